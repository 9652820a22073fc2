//! How texts are written: the settings of `GenerationConfig`.

use flambeau_tensor::{Result, ensure};
use serde::{Deserialize, Deserializer, Serialize};

/// When beam search is content with what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum EarlyStopping {
    /// When no open text promises to become better than the finished ones, by its score so far.
    #[default]
    Heuristic,
    /// As soon as there are as many finished texts as beams.
    Yes,
    /// When no open text can become better.
    Never,
}

impl<'de> Deserialize<'de> for EarlyStopping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Flag(bool),
            Word(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Flag(false) => Ok(EarlyStopping::Heuristic),
            Written::Flag(true) => Ok(EarlyStopping::Yes),
            Written::Word(word) if word == "never" => Ok(EarlyStopping::Never),
            Written::Word(word) => Err(serde::de::Error::custom(format!(
                "early_stopping: expected true, false or \"never\", got {word:?}"
            ))),
        }
    }
}

/// One token or a list of them.
fn tokens<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Tokens {
        One(i64),
        Several(Vec<i64>),
    }
    Ok(match Option::<Tokens>::deserialize(deserializer)? {
        Some(Tokens::One(token)) => vec![token],
        Some(Tokens::Several(tokens)) => tokens,
        None => Vec::new(),
    })
}

/// How a text is continued; names and defaults are those of Hugging Face's `GenerationConfig`, and so is its JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct GenerationConfig {
    /// How many tokens are added at most; 20 unless given here or in `max_length`.
    pub max_new_tokens: Option<usize>,
    /// How many tokens the text has in the end at most, its beginning included.
    pub max_length: Option<usize>,
    /// How many tokens are added at least.
    pub min_new_tokens: usize,
    /// How many tokens the text has in the end at least.
    pub min_length: usize,
    /// Whether tokens are drawn by their probabilities; otherwise, the most probable one is taken.
    pub do_sample: bool,
    /// How many texts are pursued at once.
    pub num_beams: usize,
    /// How many texts are returned for each beginning.
    pub num_return_sequences: usize,
    /// Scores are divided by it before tokens are drawn.
    pub temperature: f64,
    /// Tokens are drawn from this many best ones; from all if 0.
    pub top_k: usize,
    /// Tokens are drawn from the fewest best ones that have this probability together.
    pub top_p: f64,
    /// Tokens are drawn from those that are at least this share as probable as the best one.
    pub min_p: Option<f64>,
    /// By which factor tokens that are in the text already become less likely.
    pub repetition_penalty: f64,
    /// No sequence of this many tokens occurs twice; 0 for no such rule.
    pub no_repeat_ngram_size: usize,
    /// Tokens that never occur.
    pub suppress_tokens: Option<Vec<i64>>,
    /// Sequences that never occur.
    pub bad_words_ids: Option<Vec<Vec<i64>>>,
    /// The power of the length by which beam search divides the score of a text: longer ones are preferred if it is
    /// larger.
    pub length_penalty: f64,
    /// When beam search is content with what it has.
    pub early_stopping: EarlyStopping,
    /// Tokens that end a text.
    #[serde(deserialize_with = "tokens")]
    pub eos_token_id: Vec<i64>,
    /// The token that fills up texts that ended before others; the first that ends a text, unless given.
    pub pad_token_id: Option<i64>,
}

impl Default for GenerationConfig {
    fn default() -> Self {
        GenerationConfig {
            max_new_tokens: None,
            max_length: None,
            min_new_tokens: 0,
            min_length: 0,
            do_sample: false,
            num_beams: 1,
            num_return_sequences: 1,
            temperature: 1.0,
            top_k: 50,
            top_p: 1.0,
            min_p: None,
            repetition_penalty: 1.0,
            no_repeat_ngram_size: 0,
            suppress_tokens: None,
            bad_words_ids: None,
            length_penalty: 1.0,
            early_stopping: EarlyStopping::Heuristic,
            eos_token_id: Vec::new(),
            pad_token_id: None,
        }
    }
}

impl GenerationConfig {
    pub(super) fn check(&self) -> Result<()> {
        let op = "generate";
        ensure!(
            self.num_beams > 0 && self.num_return_sequences > 0,
            Value,
            "{op}: expected at least one beam and one text to return, got {} and {}",
            self.num_beams,
            self.num_return_sequences
        );
        ensure!(
            self.do_sample || self.num_return_sequences <= self.num_beams,
            Value,
            "{op}: {} texts of {} beams; more need do_sample",
            self.num_return_sequences,
            self.num_beams
        );
        ensure!(
            self.num_beams == 1 || self.num_return_sequences <= self.num_beams,
            Value,
            "{op}: {} texts of {} beams",
            self.num_return_sequences,
            self.num_beams
        );
        ensure!(
            self.temperature > 0.0 && self.repetition_penalty > 0.0,
            Value,
            "{op}: expected a positive temperature and repetition penalty, got {} and {}",
            self.temperature,
            self.repetition_penalty
        );
        for (name, share) in [("top_p", self.top_p), ("min_p", self.min_p.unwrap_or(0.0))] {
            ensure!(
                (0.0..=1.0).contains(&share),
                Value,
                "{op}: expected {name} from 0 to 1, got {share}"
            );
        }
        Ok(())
    }

    /// How many tokens a text may have that begins with so many.
    pub(super) fn limit(&self, prompt: usize) -> usize {
        match (self.max_new_tokens, self.max_length) {
            (Some(new), _) => prompt.saturating_add(new),
            (None, Some(all)) => all,
            (None, None) => prompt + 20,
        }
    }

    /// What stands after the end of a text.
    pub(super) fn padding(&self) -> i64 {
        self.pad_token_id
            .or(self.eos_token_id.first().copied())
            .unwrap_or(0)
    }
}
