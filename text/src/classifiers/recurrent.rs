//! Recurrent classifiers: an embedding, recurrent layers, dropout, and a linear layer over the last hidden states of both
//! directions. `LSTMClassifier` is the one that introductions to PyTorch have, keys included.

use flambeau_nn::utils::rnn::pack_padded_sequence;
use flambeau_nn::{
    Dropout, Embedding, Forward, GRU, LSTM, Linear, LinearOptions, Module, RNN, RnnNonlinearity, RnnOptions,
};
use flambeau_tensor::ops::embedding::EmbeddingOptions;
use flambeau_tensor::{Result, Tensor};

use super::batch_and_time;

/// What a recurrent classifier is made of; the defaults are those of introductions.
#[derive(Clone, Copy, Debug)]
pub struct RecurrentOptions {
    /// Features of a token.
    pub embedding_dim: usize,
    /// Features of a hidden state.
    pub hidden_dim: usize,
    /// How many classes there are.
    pub output_dim: usize,
    /// Recurrent layers, each over the one below.
    pub n_layers: usize,
    /// Whether texts are read backwards, too.
    pub bidirectional: bool,
    /// Dropout of embeddings, between layers and before the classes.
    pub dropout: f64,
    /// The token whose vector stays zero.
    pub pad_idx: Option<usize>,
}

impl Default for RecurrentOptions {
    fn default() -> Self {
        RecurrentOptions {
            embedding_dim: 100,
            hidden_dim: 256,
            output_dim: 2,
            n_layers: 2,
            bidirectional: true,
            dropout: 0.5,
            pad_idx: None,
        }
    }
}

impl RecurrentOptions {
    fn layers(&self) -> RnnOptions {
        RnnOptions {
            num_layers: self.n_layers,
            batch_first: true,
            // Between layers, of which there must be two.
            dropout: if self.n_layers > 1 { self.dropout } else { 0.0 },
            bidirectional: self.bidirectional,
            ..RnnOptions::default()
        }
    }

    fn embedding(&self, vocab_size: usize) -> Result<Embedding> {
        let options = EmbeddingOptions {
            padding_idx: self.pad_idx.map(|index| index as isize),
            ..EmbeddingOptions::default()
        };
        Embedding::new(vocab_size, self.embedding_dim, options)
    }

    fn output(&self) -> Result<Linear> {
        let directions = if self.bidirectional { 2 } else { 1 };
        Linear::new(
            directions * self.hidden_dim,
            self.output_dim,
            LinearOptions::default(),
        )
    }
}

/// The last hidden states of the last layer, `[batch, directions·hidden]`, from those of all layers.
fn last(hidden: &Tensor, bidirectional: bool) -> Result<Tensor> {
    match bidirectional {
        true => Tensor::cat(&[hidden.select(0, -2)?, hidden.select(0, -1)?], 1),
        false => hidden.select(0, -1),
    }
}

macro_rules! classifiers {
    ($($(#[$doc:meta])* $name:ident, $field:ident: $layer:ty, |$sizes:ident, $rnn:ident| $new:expr, |$out:ident| $hidden:expr;)*) => { $(
        $(#[$doc])*
        ///
        /// Keys: `embedding.weight`, the layers', `fc.weight`, `fc.bias`.
        #[derive(Debug, Module)]
        pub struct $name {
            embedding: Embedding,
            $field: $layer,
            fc: Linear,
            dropout: Dropout,
            bidirectional: bool,
        }

        impl $name {
            /// A classifier of texts of `vocab_size` tokens, with PyTorch's initial weights.
            ///
            /// # Errors
            /// `Value` if a size is 0 or the dropout is no probability.
            pub fn new(vocab_size: usize, options: RecurrentOptions) -> Result<Self> {
                let ($sizes, $rnn) = ((options.embedding_dim, options.hidden_dim), options.layers());
                Ok($name {
                    embedding: options.embedding(vocab_size)?,
                    $field: $new?,
                    fc: options.output()?,
                    dropout: Dropout::new(options.dropout)?,
                    bidirectional: options.bidirectional,
                })
            }

            /// Scores of classes, `[batch, output_dim]`, of texts `[batch, time]`. With `lengths`, what comes after the end
            /// of a text is not read; without, padding is read as text is.
            ///
            /// # Errors
            /// `Shape` or `DType` unless there are ids; `Value` for lengths that are none; `Index` for unknown tokens.
            pub fn forward(&self, text: &Tensor, lengths: Option<&[usize]>) -> Result<Tensor> {
                batch_and_time(stringify!($name), text)?;
                let embedded = self.dropout.forward(&self.embedding.forward(text)?)?;
                let hidden = match lengths {
                    Some(lengths) => {
                        let packed = pack_padded_sequence(&embedded, lengths, true, false)?;
                        let $out = self.$field.forward_packed(&packed, None)?.1;
                        $hidden
                    }
                    None => {
                        let $out = self.$field.forward(&embedded, None)?.1;
                        $hidden
                    }
                };
                self.fc.forward(&self.dropout.forward(&last(&hidden, self.bidirectional)?)?)
            }
        }
    )* };
}

classifiers! {
    /// A classifier with LSTM layers (Hochreiter & Schmidhuber, 1997).
    LSTMClassifier, lstm: LSTM, |sizes, options| LSTM::new(sizes.0, sizes.1, options), |state| state.0;
    /// A classifier with GRU layers (Cho et al., 2014).
    GRUClassifier, gru: GRU, |sizes, options| GRU::new(sizes.0, sizes.1, options), |state| state;
    /// A classifier with plain recurrent layers (Elman, 1990).
    RNNClassifier, rnn: RNN, |sizes, options| RNN::new(sizes.0, sizes.1, RnnNonlinearity::Tanh, options), |state| state;
}
