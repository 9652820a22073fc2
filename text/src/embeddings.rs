//! Sentences as vectors: the mean of a BERT's hidden states over the tokens, of length 1 ("Sentence-BERT", Reimers & Gurevych,
//! 2019, arXiv:1908.10084).

use std::path::Path;

use flambeau_tensor::{Result, Tensor, ensure, no_grad};

use crate::models::{BertModel, Inputs, Pretrained};
use crate::tokenize::{EncodeOptions, Tokenizer};

/// A BERT and its tokeniser, which make vectors of sentences.
#[derive(Debug)]
pub struct SentenceEmbedder {
    model: BertModel,
    tokenizer: Tokenizer,
    max_length: usize,
}

impl SentenceEmbedder {
    /// Those of a folder with `config.json`, weights and a tokeniser. Sentences are cut at `max_length` tokens.
    ///
    /// # Errors
    /// `Io`, `Format` or `Key` with the file's name.
    pub fn from_pretrained(folder: impl AsRef<Path>, max_length: usize) -> Result<SentenceEmbedder> {
        let (model, _) = BertModel::from_pretrained(&folder)?;
        SentenceEmbedder::new(model, Tokenizer::from_pretrained(folder)?, max_length)
    }

    /// An embedder of its parts.
    ///
    /// # Errors
    /// `Value` unless a sentence may have a token besides the two special ones.
    pub fn new(model: BertModel, tokenizer: Tokenizer, max_length: usize) -> Result<SentenceEmbedder> {
        ensure!(
            max_length > 2,
            Value,
            "SentenceEmbedder: sentences of at most {max_length} tokens, two of which are special"
        );
        Ok(SentenceEmbedder {
            model,
            tokenizer,
            max_length,
        })
    }

    /// The sentences' vectors, `[sentences, hidden]`, of length 1: their products are cosines.
    ///
    /// # Errors
    /// `Value` for no sentence.
    pub fn embed<S: AsRef<str>>(&self, sentences: &[S]) -> Result<Tensor> {
        let options = EncodeOptions {
            max_length: Some(self.max_length),
            ..EncodeOptions::default()
        };
        let batch = self.tokenizer.encode_batch(sentences, &options)?;
        let inputs = Inputs {
            attention_mask: Some(&batch.attention_mask),
            token_type_ids: Some(&batch.token_type_ids),
            ..Inputs::new(&batch.input_ids)
        };
        let states = no_grad(|| self.model.forward(&inputs))?.last_hidden_state;
        let mask = batch.attention_mask.unsqueeze(2)?.to_dtype(states.dtype())?;
        let mean = states
            .mul(&mask)?
            .sum_dim(1, false)?
            .div(&mask.sum_dim(1, false)?.clamp_min(1e-9)?)?;
        let length = mean.square()?.sum_dim(1, true)?.sqrt()?.clamp_min(1e-12)?;
        mean.div(&length)
    }
}
