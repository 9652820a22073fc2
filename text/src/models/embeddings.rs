//! What BERT, ELECTRA and ALBERT begin with: the sum of a token's, its place's and its segment's vectors, normalised.

use flambeau_nn::{Dropout, Embedding, Forward, LayerNorm, Module, Parameter};
use flambeau_tensor::{Result, Tensor};

use super::Inputs;
use super::blocks::{embedding, first_segment, layer_norm, positions};

/// What the embeddings read of a family's configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct EmbeddingsOptions {
    pub(super) tokens: usize,
    pub(super) places: usize,
    pub(super) segments: usize,
    pub(super) dim: usize,
    pub(super) padding: Option<usize>,
    pub(super) dropout: f64,
    pub(super) eps: f64,
    pub(super) std: f64,
}

#[derive(Debug, Module)]
pub(super) struct Embeddings {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embeddings: Embedding,
    #[module(rename = "LayerNorm")]
    layer_norm: LayerNorm,
    dropout: Dropout,
}

impl Embeddings {
    pub(super) fn new(options: &EmbeddingsOptions) -> Result<Self> {
        let table = |rows, padding| embedding(rows, options.dim, padding, options.std);
        Ok(Embeddings {
            word_embeddings: table(options.tokens, options.padding)?,
            position_embeddings: table(options.places, None)?,
            token_type_embeddings: table(options.segments, None)?,
            layer_norm: layer_norm(options.dim, options.eps)?,
            dropout: Dropout::new(options.dropout)?,
        })
    }

    /// The vectors of tokens, `[tokens, dim]`.
    pub(super) fn words(&self) -> &Parameter {
        &self.word_embeddings.weight
    }

    /// `[batch, time, dim]`.
    pub(super) fn forward(&self, model: &str, inputs: &Inputs<'_>) -> Result<Tensor> {
        let ids = inputs.input_ids;
        let (_, time) = inputs.check(model, 0, self.position_embeddings.weight.shape()[0])?;
        let segments = inputs
            .token_type_ids
            .map_or_else(|| first_segment(ids), |given| Ok(given.clone()))?;
        let places = inputs
            .position_ids
            .map_or_else(|| positions(0, time), |given| Ok(given.clone()))?;
        let x = self
            .word_embeddings
            .forward(ids)?
            .add(&self.token_type_embeddings.forward(&segments)?)?
            .add(&self.position_embeddings.forward(&places)?)?;
        self.dropout.forward(&self.layer_norm.forward(&x)?)
    }
}
