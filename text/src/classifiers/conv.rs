//! "Convolutional Neural Networks for Sentence Classification" (Kim, 2014, arXiv:1408.5882): filters of several widths over
//! the words, the largest answer of each, a linear layer.

use flambeau_nn::{Conv1d, ConvOptions, Dropout, Embedding, Forward, Linear, LinearOptions, Module};
use flambeau_tensor::ops::embedding::EmbeddingOptions;
use flambeau_tensor::{Result, Tensor, ensure};

use super::batch_and_time;

/// What a [`TextCNN`] is made of; the defaults are the paper's.
#[derive(Clone, Debug)]
pub struct TextCNNOptions {
    /// Features of a token.
    pub embedding_dim: usize,
    /// Filters of each width.
    pub n_filters: usize,
    /// Widths of filters, in tokens.
    pub filter_sizes: Vec<usize>,
    /// How many classes there are.
    pub output_dim: usize,
    /// Dropout before the classes.
    pub dropout: f64,
    /// The token whose vector stays zero; shorter texts than the widest filter are filled up by it.
    pub pad_idx: usize,
}

impl Default for TextCNNOptions {
    fn default() -> Self {
        TextCNNOptions {
            embedding_dim: 300,
            n_filters: 100,
            filter_sizes: vec![3, 4, 5],
            output_dim: 2,
            dropout: 0.5,
            pad_idx: 0,
        }
    }
}

/// A convolutional classifier of texts.
///
/// Keys: `embedding.weight`, `convs.0.weight`, `convs.0.bias`, …, `fc.weight`, `fc.bias`.
#[derive(Debug, Module)]
pub struct TextCNN {
    embedding: Embedding,
    convs: Vec<Conv1d>,
    fc: Linear,
    dropout: Dropout,
    widest: usize,
    pad_idx: usize,
}

impl TextCNN {
    /// A classifier of texts of `vocab_size` tokens, with PyTorch's initial weights.
    ///
    /// # Errors
    /// `Value` if a size is 0 or the dropout is no probability; `Index` if the padding is no token.
    pub fn new(vocab_size: usize, options: &TextCNNOptions) -> Result<Self> {
        let (dim, filters) = (options.embedding_dim, options.n_filters);
        ensure!(
            !options.filter_sizes.is_empty() && !options.filter_sizes.contains(&0),
            Value,
            "TextCNN: expected widths of filters of at least one token, got {:?}",
            options.filter_sizes
        );
        let table = EmbeddingOptions {
            padding_idx: Some(options.pad_idx as isize),
            ..EmbeddingOptions::default()
        };
        let conv = |&width: &usize| Conv1d::new(dim, filters, [width], ConvOptions::default());
        let answers = filters * options.filter_sizes.len();
        Ok(TextCNN {
            embedding: Embedding::new(vocab_size, dim, table)?,
            convs: options.filter_sizes.iter().map(conv).collect::<Result<_>>()?,
            fc: Linear::new(answers, options.output_dim, LinearOptions::default())?,
            dropout: Dropout::new(options.dropout)?,
            widest: options.filter_sizes.iter().copied().max().unwrap_or(1),
            pad_idx: options.pad_idx,
        })
    }
}

impl Forward for TextCNN {
    fn forward(&self, text: &Tensor) -> Result<Tensor> {
        let (_, time) = batch_and_time("TextCNN", text)?;
        let missing = self.widest.saturating_sub(time) as isize;
        let text = text.constant_pad_nd(&[0, missing], self.pad_idx as i64)?;
        let embedded = self.embedding.forward(&text)?.transpose(1, 2)?;
        let answer = |conv: &Conv1d| conv.forward(&embedded)?.relu()?.amax(2, false);
        let answers = self.convs.iter().map(answer).collect::<Result<Vec<Tensor>>>()?;
        self.fc
            .forward(&self.dropout.forward(&Tensor::cat(&answers, 1)?)?)
    }
}
