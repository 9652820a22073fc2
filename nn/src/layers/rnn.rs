//! Recurrent layers over whole sequences: `RNN`, `LSTM` and `GRU` (`torch.nn`'s of the same names), of several layers, in
//! one or both directions, over padded or packed batches.
//!
//! Every step computes, with σ the sigmoid and `x` the layer's input (below layer 0: the step's features; above: the
//! hidden state of the layer below):
//!
//! - RNN: `h' = tanh(W_ih·x + b_ih + W_hh·h + b_hh)`, or ReLU for tanh (Elman, 1990)
//! - LSTM: `i, f, g, o = W_ih·x + b_ih + W_hh·h + b_hh`, `c' = σ(f)·c + σ(i)·tanh(g)`, `h' = σ(o)·tanh(c')`, and with a
//!   projection `h' = W_hr·(σ(o)·tanh(c'))` (Hochreiter & Schmidhuber, 1997; Sak et al., 2014)
//! - GRU: `r, z` as the LSTM's gates, `n = tanh(W_in·x + b_in + σ(r)·(W_hn·h + b_hn))`, `h' = (1 - σ(z))·n + σ(z)·h` (Cho et
//!   al., 2014)

mod cell;
mod stack;
mod weights;

use flambeau_tensor::ops::rnn::RnnKind;
use flambeau_tensor::{Result, Tensor, bail};

pub use cell::{GRUCell, LSTMCell, RNNCell};
use stack::Stack;
pub use weights::RnnWeights;

use super::linear::rows;
use crate::utils::rnn::PackedSequence;
use crate::{Module, observed};

/// The function of [`RNN`](crate::RNN) and [`RNNCell`](crate::RNNCell).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RnnNonlinearity {
    /// The hyperbolic tangent.
    #[default]
    Tanh,
    /// `max(0, x)`.
    Relu,
}

impl RnnNonlinearity {
    fn kind(self) -> RnnKind {
        match self {
            RnnNonlinearity::Tanh => RnnKind::Tanh,
            RnnNonlinearity::Relu => RnnKind::Relu,
        }
    }
}

/// Options of [`RNN`], [`LSTM`] and [`GRU`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct RnnOptions {
    /// Layers, each over the hidden states of the one below.
    pub num_layers: usize,
    /// Whether biases are learnt.
    pub bias: bool,
    /// Whether the batch comes before time in inputs and outputs; states have the batch in the middle all the same.
    pub batch_first: bool,
    /// Probability with which elements between layers are set to zero in training.
    pub dropout: f64,
    /// Whether each layer also runs backwards in time, with weights of its own.
    pub bidirectional: bool,
}

impl Default for RnnOptions {
    fn default() -> Self {
        RnnOptions {
            num_layers: 1,
            bias: true,
            batch_first: false,
            dropout: 0.0,
            bidirectional: false,
        }
    }
}

macro_rules! layers {
    ($($(#[$doc:meta])* $name:ident;)*) => { $(
        $(#[$doc])*
        ///
        /// Inputs are `[time, batch, input_size]`, or `[batch, time, input_size]` if `batch_first`; the batch may be left
        /// out. Parameters are called `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, …, with `_reverse`
        /// appended for the second direction, and begin uniform in `±1/√hidden_size`.
        #[derive(Clone, Debug, Module)]
        #[module(describe, cost)]
        pub struct $name {
            stack: Stack,
        }

        impl $name {
            /// The parameters of a layer; `None` if there is no such layer or direction.
            pub fn weights(&self, layer: usize, reverse: bool) -> Option<&RnnWeights> {
                self.stack.weights(layer, reverse)
            }

            /// The settings.
            pub fn options(&self) -> &RnnOptions {
                &self.stack.options
            }

            fn cost(&self, _: &[Tensor], outputs: &[Tensor]) -> u64 {
                rows(outputs) * self.stack.multiplications()
            }

            fn describe(&self) -> String {
                self.stack.describe()
            }
        }
    )* };
}

layers! {
    /// A plain recurrent network (Elman, 1990): `h' = tanh(W_ih·x + b_ih + W_hh·h + b_hh)`, or ReLU for tanh.
    RNN;
    /// Long short-term memory (Hochreiter & Schmidhuber, 1997): `c' = σ(f)·c + σ(i)·tanh(g)`, `h' = σ(o)·tanh(c')`, with
    /// gates `i, f, g, o = W_ih·x + b_ih + W_hh·h + b_hh`.
    LSTM;
    /// Gated recurrent units (Cho et al., 2014): `n = tanh(W_in·x + b_in + σ(r)·(W_hn·h + b_hn))`,
    /// `h' = (1 - σ(z))·n + σ(z)·h`.
    GRU;
}

/// Forward passes of the layers whose state is one tensor.
macro_rules! forward_with_one_state {
    ($($name:ident),*) => { $(
        impl $name {
            /// The last layer's hidden states at all steps, and every layer's last one. `h0` begins; `None` stands for
            /// zeros.
            ///
            /// # Shapes
            /// `[time, batch, input]` → `[time, batch, directions·hidden]` and `[layers·directions, batch, hidden]`, which
            /// `h0` has too. `batch_first` swaps time and batch, but not in the states; the batch may be left out everywhere.
            ///
            /// # Errors
            /// `Shape` if shapes do not fit; `DType` if types differ.
            #[observed]
            pub fn forward(&self, x: &Tensor, h0: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
                let out = self.stack.forward(x, h0, None)?;
                Ok((out.output, out.h_n))
            }

            /// [`Self::forward`] over sequences of different lengths.
            ///
            /// # Errors
            /// As [`Self::forward`].
            #[observed]
            pub fn forward_packed(
                &self,
                x: &PackedSequence,
                h0: Option<&Tensor>,
            ) -> Result<(PackedSequence, Tensor)> {
                let (output, h_n, _) = self.stack.forward_packed(x, h0, None)?;
                Ok((output, h_n))
            }
        }
    )* };
}

forward_with_one_state!(RNN, GRU);

impl RNN {
    /// Plain recurrent layers.
    ///
    /// # Errors
    /// `Value` if a size is 0 or the dropout is no probability; `Shape` if a weight is larger than memory can address.
    pub fn new(
        input_size: usize,
        hidden_size: usize,
        nonlinearity: RnnNonlinearity,
        options: RnnOptions,
    ) -> Result<RNN> {
        let stack = Stack::new("RNN", nonlinearity.kind(), input_size, hidden_size, None, options)?;
        Ok(RNN { stack })
    }
}

impl GRU {
    /// Layers of gated recurrent units.
    ///
    /// # Errors
    /// As [`RNN::new`].
    pub fn new(input_size: usize, hidden_size: usize, options: RnnOptions) -> Result<GRU> {
        let stack = Stack::new("GRU", RnnKind::Gru, input_size, hidden_size, None, options)?;
        Ok(GRU { stack })
    }
}

impl LSTM {
    /// LSTM layers.
    ///
    /// # Errors
    /// As [`RNN::new`].
    pub fn new(input_size: usize, hidden_size: usize, options: RnnOptions) -> Result<LSTM> {
        let stack = Stack::new("LSTM", RnnKind::Lstm, input_size, hidden_size, None, options)?;
        Ok(LSTM { stack })
    }

    /// LSTM layers whose hidden states are projected to `proj_size` features (Sak et al., 2014), by `weight_hr_l0`, ….
    ///
    /// # Errors
    /// `Value` unless `proj_size` is from 1 to below `hidden_size`; otherwise as [`RNN::new`].
    pub fn with_projection(
        input_size: usize,
        hidden_size: usize,
        proj_size: usize,
        options: RnnOptions,
    ) -> Result<LSTM> {
        let projection = Some(proj_size);
        let stack = Stack::new(
            "LSTM",
            RnnKind::Lstm,
            input_size,
            hidden_size,
            projection,
            options,
        )?;
        Ok(LSTM { stack })
    }

    /// The last layer's hidden states at all steps, and every layer's last hidden state and cell. `(h0, c0)` begins;
    /// `None` stands for zeros.
    ///
    /// # Shapes
    /// `[time, batch, input]` → `[time, batch, directions·output]`, `h_n` `[layers·directions, batch, output]` and `c_n`
    /// `[layers·directions, batch, hidden]`, which `h0` and `c0` have too; `output` is the projection's size or else
    /// `hidden`. `batch_first` swaps time and batch, but not in the states; the batch may be left out everywhere.
    ///
    /// # Errors
    /// `Shape` if shapes do not fit; `DType` if types differ.
    #[observed]
    pub fn forward(
        &self,
        x: &Tensor,
        state: Option<(&Tensor, &Tensor)>,
    ) -> Result<(Tensor, (Tensor, Tensor))> {
        let out = self.stack.forward(x, state.map(|s| s.0), state.map(|s| s.1))?;
        Ok((out.output, both("LSTM", out.h_n, out.c_n)?))
    }

    /// [`LSTM::forward`] over sequences of different lengths.
    ///
    /// # Errors
    /// As [`LSTM::forward`].
    #[observed]
    pub fn forward_packed(
        &self,
        x: &PackedSequence,
        state: Option<(&Tensor, &Tensor)>,
    ) -> Result<(PackedSequence, (Tensor, Tensor))> {
        let (output, h_n, c_n) = self
            .stack
            .forward_packed(x, state.map(|s| s.0), state.map(|s| s.1))?;
        Ok((output, both("LSTM", h_n, c_n)?))
    }
}

/// An LSTM's hidden state and cell.
fn both(op: &str, h: Tensor, c: Option<Tensor>) -> Result<(Tensor, Tensor)> {
    let Some(c) = c else {
        bail!(Value, "{op}: no cell came of it")
    };
    Ok((h, c))
}
