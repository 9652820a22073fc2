//! A classifier with its vocabulary and the names of its classes, as two files: `NAME.json` and `NAME.safetensors`.

use std::fs;
use std::path::Path;

use flambeau_nn::{Module, StateDict, init};
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{Error, Result, ensure, no_grad};
use serde::{Deserialize, Serialize};

use super::{LSTMClassifier, RecurrentOptions};
use crate::files;
use crate::tokenize::{Vocab, basic_english, pad};

/// The token of texts' ends.
const PAD: &str = "<pad>";
/// The token of words that are not in the vocabulary.
const UNKNOWN: &str = "<unk>";

/// What a classifier is, beside its weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Description {
    /// The classes, in the order of their scores.
    pub classes: Vec<String>,
    /// How many tokens of a text are read.
    pub max_length: usize,
    /// Features of a token.
    pub embedding_dim: usize,
    /// Features of a hidden state.
    pub hidden_dim: usize,
    /// How many layers there are.
    pub n_layers: usize,
    /// Dropout in training.
    pub dropout: f64,
    /// How it was trained and how good it is, in words.
    pub recipe: String,
    /// The tokens, in the order of their numbers; the first two stand for ends and for unknown words.
    pub tokens: Vec<String>,
}

/// A class and how probable it is.
#[derive(Clone, Debug, Serialize)]
pub struct Prediction {
    /// The class.
    pub class: String,
    /// From 0 to 1.
    pub probability: f32,
}

/// An [`LSTMClassifier`] of both directions that takes texts and gives names.
#[derive(Debug)]
pub struct TextClassifier {
    /// The network.
    pub model: LSTMClassifier,
    vocab: Vocab,
    description: Description,
}

impl TextClassifier {
    /// A classifier with initial weights.
    ///
    /// # Errors
    /// `Value` for no class, for a vocabulary that does not begin with `<pad>` and `<unk>`, and for sizes that make no
    /// network.
    pub fn new(description: Description) -> Result<TextClassifier> {
        ensure!(
            description
                .tokens
                .starts_with(&[PAD.to_string(), UNKNOWN.to_string()]),
            Value,
            "TextClassifier: expected tokens that begin with {PAD} and {UNKNOWN}"
        );
        ensure!(
            !description.classes.is_empty() && description.max_length > 0,
            Value,
            "TextClassifier: expected at least one class and one token of a text"
        );
        let options = RecurrentOptions {
            embedding_dim: description.embedding_dim,
            hidden_dim: description.hidden_dim,
            output_dim: description.classes.len(),
            n_layers: description.n_layers,
            bidirectional: true,
            dropout: description.dropout,
            pad_idx: Some(0),
        };
        Ok(TextClassifier {
            model: LSTMClassifier::new(description.tokens.len(), options)?,
            vocab: Vocab::new(description.tokens.clone(), Some(UNKNOWN))?,
            description,
        })
    }

    /// The bundled one for e-mails, spam or ham, which is what is no spam; `text/assets/README.md` says how it was trained.
    ///
    /// # Errors
    /// None that a sound build meets.
    pub fn spam_or_ham() -> Result<TextClassifier> {
        let description = include_str!("../../assets/spam_or_ham.json");
        let weights = safetensors::from_bytes(include_bytes!("../../assets/spam_or_ham.safetensors"))?;
        TextClassifier::of(description, &weights)
    }

    /// The classifier of two files, `path` with the endings `.json` and `.safetensors`, ready for use (`eval`).
    ///
    /// # Errors
    /// `Io`, `Format`, `Value` or `Key` with the file's name.
    pub fn load(path: impl AsRef<Path>) -> Result<TextClassifier> {
        let json = path.as_ref().with_extension("json");
        let text = files::read_text(&json)?;
        let weights = safetensors::load(path.as_ref().with_extension("safetensors"))?;
        TextClassifier::of(&text, &weights).map_err(|error| error.context(json.display()))
    }

    fn of(description: &str, weights: &StateDict) -> Result<TextClassifier> {
        let description: Description = serde_json::from_str(description)
            .map_err(|error| Error::Format(format!("no description of a classifier: {error}")))?;
        let classifier = init::skip(|| TextClassifier::new(description))?;
        classifier.model.load_state_dict(weights, true)?;
        files::check_finite(&classifier.model)?;
        classifier.model.eval();
        Ok(classifier)
    }

    /// Writes the two files of [`TextClassifier::load`].
    ///
    /// # Errors
    /// `Io` with the file's name.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let json = path.as_ref().with_extension("json");
        let text =
            serde_json::to_string(&self.description).map_err(|error| Error::Format(error.to_string()))?;
        fs::write(&json, text + "\n").map_err(|error| Error::Io(format!("{}: {error}", json.display())))?;
        safetensors::save(
            path.as_ref().with_extension("safetensors"),
            &self.model.state_dict(),
        )
    }

    /// What the classifier is.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Says how it was trained and how good it is.
    pub fn set_recipe(&mut self, recipe: impl Into<String>) {
        self.description.recipe = recipe.into();
    }

    /// The tokens of a text that are read, as numbers.
    ///
    /// # Errors
    /// None that a valid classifier meets.
    pub fn ids(&self, text: &str) -> Result<Vec<i64>> {
        let mut words = basic_english(text);
        words.truncate(self.description.max_length);
        self.vocab.ids(&words)
    }

    /// The classes of texts by their probability, the most probable first.
    ///
    /// # Errors
    /// `Value` for no text.
    pub fn predict<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<Vec<Prediction>>> {
        let ids = texts
            .iter()
            .map(|text| self.ids(text.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        let (ids, lengths) = pad(&ids, 0, None)?;
        let scores = no_grad(|| self.model.forward(&ids, Some(&lengths))?.softmax(1))?;
        let named = |row: Vec<f32>| {
            let classes = self.description.classes.iter().cloned();
            let mut all: Vec<Prediction> = classes
                .zip(row)
                .map(|(class, probability)| Prediction { class, probability })
                .collect();
            all.sort_by(|a, b| b.probability.total_cmp(&a.probability));
            all
        };
        Ok(scores.to_vec2::<f32>()?.into_iter().map(named).collect())
    }
}
