//! Language models to be trained from scratch, over letters or words: an embedding, LSTM layers, scores of the next token
//! ("Generating Sequences With Recurrent Neural Networks", Graves, 2013, arXiv:1308.0850); and a small GPT-2 that has read a
//! book, [`moby_dick`].

use flambeau_nn::{Dropout, Embedding, Forward, LSTM, Linear, LinearOptions, Module, RnnOptions};
use flambeau_tensor::io::safetensors;
use flambeau_tensor::ops::embedding::EmbeddingOptions;
use flambeau_tensor::{Error, Result, Tensor, bail, ensure};

use crate::generation::{Cache, CausalLM};
use crate::models::{GPT2LMHeadModel, Inputs, Pretrained};
use crate::tokenize::Tokenizer;

/// The bundled GPT-2 and its tokeniser, which have read Herman Melville's "Moby-Dick" and nothing else;
/// `text/references/moby_dick/README.md` says how they were trained.
///
/// # Errors
/// None that a sound build meets.
pub fn moby_dick() -> Result<(GPT2LMHeadModel, Tokenizer)> {
    let config = serde_json::from_str(include_str!("../assets/moby_dick/config.json"))
        .map_err(|error| Error::Format(error.to_string()))?;
    let weights = safetensors::from_bytes(include_bytes!("../assets/moby_dick/model.safetensors"))?;
    let (model, _) = GPT2LMHeadModel::from_parts(&config, weights)?;
    let tokenizer = Tokenizer::from_bytes(include_bytes!("../assets/moby_dick/tokenizer.json"))?;
    Ok((model, tokenizer))
}

/// What an [`LSTMLanguageModel`] is made of.
#[derive(Clone, Copy, Debug)]
pub struct LanguageModelOptions {
    /// Features of a token.
    pub embedding_dim: usize,
    /// Features of a hidden state.
    pub hidden_dim: usize,
    /// LSTM layers, each over the one below.
    pub n_layers: usize,
    /// Dropout of embeddings, between layers and before the scores.
    pub dropout: f64,
}

impl Default for LanguageModelOptions {
    fn default() -> Self {
        LanguageModelOptions {
            embedding_dim: 64,
            hidden_dim: 256,
            n_layers: 1,
            dropout: 0.0,
        }
    }
}

/// Hidden state and cell of all layers, `[layers, batch, hidden]` each; none before the first token.
#[derive(Clone, Debug, Default)]
pub struct LSTMState(Option<(Tensor, Tensor)>);

impl Cache for LSTMState {
    fn reorder(&mut self, rows: &Tensor) -> Result<()> {
        if let Some((hidden, cell)) = &mut self.0 {
            *hidden = hidden.index_select(1, rows)?;
            *cell = cell.index_select(1, rows)?;
        }
        Ok(())
    }
}

/// An LSTM that says the next token.
///
/// Keys: `embedding.weight`, `lstm.weight_ih_l0`, …, `fc.weight`, `fc.bias`.
#[derive(Debug, Module)]
pub struct LSTMLanguageModel {
    embedding: Embedding,
    lstm: LSTM,
    fc: Linear,
    dropout: Dropout,
}

impl LSTMLanguageModel {
    /// A model of texts of `vocab_size` tokens, with PyTorch's initial weights.
    ///
    /// # Errors
    /// `Value` if a size is 0 or the dropout is no probability.
    pub fn new(vocab_size: usize, options: LanguageModelOptions) -> Result<Self> {
        let LanguageModelOptions {
            embedding_dim,
            hidden_dim,
            n_layers,
            dropout,
        } = options;
        let layers = RnnOptions {
            num_layers: n_layers,
            batch_first: true,
            dropout: if n_layers > 1 { dropout } else { 0.0 },
            ..RnnOptions::default()
        };
        Ok(LSTMLanguageModel {
            embedding: Embedding::new(vocab_size, embedding_dim, EmbeddingOptions::default())?,
            lstm: LSTM::new(embedding_dim, hidden_dim, layers)?,
            fc: Linear::new(hidden_dim, vocab_size, LinearOptions::default())?,
            dropout: Dropout::new(dropout)?,
        })
    }

    /// Scores of the next token at each place, `[batch, time, vocab_size]`, of texts `[batch, time]` that go on from
    /// `state`, which becomes that of their ends.
    ///
    /// # Errors
    /// `Shape` or `DType` unless there are ids; `Index` for unknown tokens.
    pub fn forward(&self, text: &Tensor, state: &mut LSTMState) -> Result<Tensor> {
        ensure!(
            text.rank() == 2 && text.numel() > 0,
            Shape,
            "LSTMLanguageModel: expected text [batch, time] of at least one token, got {:?}",
            text.shape()
        );
        let embedded = self.dropout.forward(&self.embedding.forward(text)?)?;
        let before = state.0.as_ref().map(|(hidden, cell)| (hidden, cell));
        let (states, last) = self.lstm.forward(&embedded, before)?;
        state.0 = Some(last);
        self.fc.forward(&self.dropout.forward(&states)?)
    }
}

impl CausalLM for LSTMLanguageModel {
    type Cache = LSTMState;

    fn next_scores(&self, inputs: &Inputs<'_>, cache: &mut LSTMState) -> Result<Tensor> {
        if inputs.attention_mask.is_some() {
            bail!(
                Unsupported,
                "LSTMLanguageModel: texts of one length alone, as padding would be read"
            );
        }
        self.forward(inputs.input_ids, cache)?.select(1, -1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_autograd::Backward;
    use flambeau_tensor::random;

    use crate::generation::{GenerationConfig, generate};

    fn model() -> LSTMLanguageModel {
        let options = LanguageModelOptions {
            embedding_dim: 6,
            hidden_dim: 5,
            n_layers: 2,
            dropout: 0.0,
        };
        random::fork(0, || LSTMLanguageModel::new(7, options)).unwrap()
    }

    #[test]
    fn every_parameter_receives_a_gradient() {
        let model = model();
        let text = Tensor::new([[1i64, 2, 3], [4, 5, 6]]).unwrap();
        let scores = model.forward(&text, &mut LSTMState::default()).unwrap();
        assert_eq!(scores.shape(), [2, 3, 7]);
        scores.square().unwrap().sum().unwrap().backward().unwrap();
        for (name, parameter) in model.named_parameters() {
            let size = parameter
                .grad()
                .unwrap()
                .abs()
                .unwrap()
                .sum()
                .unwrap()
                .item::<f32>()
                .unwrap();
            assert!(size > 0.0, "{name}");
        }
    }

    #[test]
    fn texts_in_parts_are_texts_as_a_whole() {
        let model = model();
        let text = Tensor::new([[1i64, 2, 3, 4]]).unwrap();
        let whole = model.forward(&text, &mut LSTMState::default()).unwrap();
        let mut state = LSTMState::default();
        model.forward(&text.narrow(1, 0, 2).unwrap(), &mut state).unwrap();
        let rest = model.forward(&text.narrow(1, 2, 2).unwrap(), &mut state).unwrap();
        let expected = whole.narrow(1, 2, 2).unwrap();
        assert!(rest.allclose(&expected, 1e-5, 1e-6, false).unwrap());
    }

    #[test]
    fn beams_and_greedy_search_write_texts() {
        let model = model();
        model.eval();
        let text = Tensor::new([[1i64, 2]]).unwrap();
        for num_beams in [1, 3] {
            let settings = GenerationConfig {
                max_new_tokens: Some(4),
                num_beams,
                ..GenerationConfig::default()
            };
            assert_eq!(generate(&model, &text, None, &settings).unwrap().shape(), [1, 6]);
        }
        let flat = Tensor::new([1i64]).unwrap();
        let error = model
            .forward(&flat, &mut LSTMState::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("expected text [batch, time] of at least one token, got [1]"));
    }
}
