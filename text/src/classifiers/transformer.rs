//! A Transformer encoder (Vaswani et al., 2017, arXiv:1706.03762) over the words, the mean of its states, a linear layer.

use flambeau_nn::{
    AttentionMasks, Dropout, Embedding, Forward, Linear, LinearOptions, Module, TransformerEncoder,
    TransformerEncoderLayer, TransformerLayerOptions,
};
use flambeau_tensor::ops::embedding::EmbeddingOptions;
use flambeau_tensor::{Result, Tensor, ensure};

use super::batch_and_time;

/// What a [`TransformerClassifier`] is made of.
#[derive(Clone, Copy, Debug)]
pub struct TransformerOptions {
    /// Features of a token.
    pub d_model: usize,
    /// How many attentions a layer has side by side.
    pub nhead: usize,
    /// Features within a layer's perceptron.
    pub dim_feedforward: usize,
    /// How many layers there are.
    pub num_layers: usize,
    /// How many classes there are.
    pub output_dim: usize,
    /// Dropout everywhere.
    pub dropout: f64,
    /// The token that fills up shorter texts and is not read.
    pub pad_idx: usize,
}

impl Default for TransformerOptions {
    fn default() -> Self {
        TransformerOptions {
            d_model: 128,
            nhead: 4,
            dim_feedforward: 256,
            num_layers: 2,
            output_dim: 2,
            dropout: 0.1,
            pad_idx: 0,
        }
    }
}

/// A classifier with a Transformer encoder; places are sines and cosines.
///
/// Keys: `embedding.weight`, those of `nn.TransformerEncoder` behind `encoder.`, `fc.weight`, `fc.bias`.
#[derive(Debug, Module)]
pub struct TransformerClassifier {
    embedding: Embedding,
    encoder: TransformerEncoder,
    fc: Linear,
    dropout: Dropout,
    pad_idx: usize,
}

impl TransformerClassifier {
    /// A classifier of texts of `vocab_size` tokens, with PyTorch's initial weights.
    ///
    /// # Errors
    /// `Value` if heads do not divide the features, these are odd, there is no layer or the dropout is no probability;
    /// `Index` if the padding is no token.
    pub fn new(vocab_size: usize, options: TransformerOptions) -> Result<Self> {
        let dim = options.d_model;
        ensure!(
            dim.is_multiple_of(2) && options.num_layers > 0,
            Value,
            "TransformerClassifier: expected an even number of features and at least one layer, got {dim} and {}",
            options.num_layers
        );
        let layer = TransformerLayerOptions {
            dim_feedforward: options.dim_feedforward,
            dropout: options.dropout,
            batch_first: true,
            ..TransformerLayerOptions::default()
        };
        let table = EmbeddingOptions {
            padding_idx: Some(options.pad_idx as isize),
            ..EmbeddingOptions::default()
        };
        let layers = (0..options.num_layers).map(|_| TransformerEncoderLayer::new(dim, options.nhead, layer));
        Ok(TransformerClassifier {
            embedding: Embedding::new(vocab_size, dim, table)?,
            encoder: TransformerEncoder {
                layers: layers.collect::<Result<_>>()?,
                norm: None,
            },
            fc: Linear::new(dim, options.output_dim, LinearOptions::default())?,
            dropout: Dropout::new(options.dropout)?,
            pad_idx: options.pad_idx,
        })
    }
}

/// Sines and cosines of places, `[time, dim]`.
fn places(time: usize, dim: usize) -> Result<Tensor> {
    let value = |i: usize| {
        let (place, feature) = ((i / dim) as f64, i % dim);
        let angle = place / 10000f64.powf((feature - feature % 2) as f64 / dim as f64);
        (if feature.is_multiple_of(2) {
            angle.sin()
        } else {
            angle.cos()
        }) as f32
    };
    Tensor::from_vec((0..time * dim).map(value).collect(), (time, dim))
}

impl Forward for TransformerClassifier {
    fn forward(&self, text: &Tensor) -> Result<Tensor> {
        let (_, time) = batch_and_time("TransformerClassifier", text)?;
        let padding = text.eq(self.pad_idx as i64)?;
        // The first token is read in any case, so that a text without tokens has a mean.
        let first = Tensor::from_vec((0..time).map(|place| place > 0).collect::<Vec<bool>>(), (1, time))?;
        let padding = padding.logical_and(&first)?;
        let embedded = self.embedding.forward(text)?;
        let dim = embedded.shape()[2];
        let places = places(time, dim)?.to_dtype(embedded.dtype())?;
        let x = embedded.mul((dim as f64).sqrt())?.add(&places)?;
        let masks = AttentionMasks {
            key_padding_mask: Some(&padding),
            ..AttentionMasks::default()
        };
        let states = self
            .encoder
            .forward_with_masks(&self.dropout.forward(&x)?, masks)?;
        let read = padding.logical_not()?.to_dtype(states.dtype())?.unsqueeze(2)?;
        let mean = states
            .mul(&read)?
            .sum_dim(1, false)?
            .div(&read.sum_dim(1, false)?)?;
        self.fc.forward(&self.dropout.forward(&mean)?)
    }
}
