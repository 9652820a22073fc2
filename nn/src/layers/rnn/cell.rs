//! One step of a recurrent layer: `RNNCell`, `LSTMCell` and `GRUCell` (`torch.nn`'s of the same names). The formulas stand
//! with [`RNN`](crate::RNN), [`LSTM`](crate::LSTM) and [`GRU`](crate::GRU).

use flambeau_tensor::ops::rnn::{RnnKind, RnnOutput, rnn_layer};
use flambeau_tensor::{Result, Tensor, amp, ensure};

use super::{RnnNonlinearity, RnnWeights, both};
use crate::layers::linear::rows;
use crate::{Module, observed};

/// Parameters uniform in `±1/√hidden`.
fn weights(op: &str, kind: RnnKind, input: usize, hidden: usize, bias: bool) -> Result<RnnWeights> {
    ensure!(
        input > 0 && hidden > 0,
        Value,
        "{op}: expected positive sizes, got an input of {input} and a hidden state of {hidden}"
    );
    RnnWeights::new(kind, input, hidden, None, bias)
}

/// The state after one step from the given one, or from zeros.
fn step(
    op: &str,
    kind: RnnKind,
    weights: &RnnWeights,
    x: &Tensor,
    h: Option<&Tensor>,
    c: Option<&Tensor>,
) -> Result<RnnOutput> {
    let [input, hidden] = [weights.weight_ih.shape()[1], weights.weight_hh.shape()[1]];
    let dtype = weights.weight_ih.dtype();
    ensure!(
        (1..=2).contains(&x.rank()) && x.shape().last() == Some(&input),
        Shape,
        "{op}: expected an input [batch, {input}] or [{input}], got {:?}",
        x.shape()
    );
    ensure!(
        x.dtype() == dtype || amp::is_autocast_enabled(),
        DType,
        "{op}: expected an input of the parameters' type {dtype}, got {}",
        x.dtype()
    );
    let mut shape = x.shape().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = hidden;
    }
    let state = |given: Option<&Tensor>| match given {
        None => Tensor::zeros(&shape[..], x.dtype()),
        Some(state) => {
            ensure!(
                state.shape() == shape,
                Shape,
                "{op}: expected a state {shape:?}, got {:?}",
                state.shape()
            );
            Ok(state.clone())
        }
    };
    let h = state(h)?;
    let c = (kind == RnnKind::Lstm).then(|| state(c)).transpose()?;
    let rows = |x: &Tensor| {
        if x.rank() == 1 {
            x.unsqueeze(0)
        } else {
            Ok(x.clone())
        }
    };
    let (rows_of_x, h, c) = (rows(x)?, rows(&h)?, c.as_ref().map(rows).transpose()?);
    let batch = [rows_of_x.shape()[0]];
    let out = rnn_layer(
        kind,
        &rows_of_x,
        &batch,
        &h,
        c.as_ref(),
        &weights.parameters(),
        false,
    )?;
    if x.rank() == 2 {
        return Ok(out);
    }
    Ok(RnnOutput {
        output: out.output.squeeze_dim(0)?,
        h_n: out.h_n.squeeze_dim(0)?,
        c_n: out.c_n.map(|c| c.squeeze_dim(0)).transpose()?,
    })
}

/// The settings that all cells print.
fn describe(weights: &RnnWeights) -> String {
    let bias = if weights.bias_ih.is_none() {
        ", bias=False"
    } else {
        ""
    };
    format!(
        "{}, {}{bias}",
        weights.weight_ih.shape()[1],
        weights.weight_hh.shape()[1]
    )
}

/// One step of an [`RNN`](crate::RNN).
#[derive(Clone, Debug, Module)]
#[module(describe, cost)]
pub struct RNNCell {
    /// `weight_ih`, `weight_hh`, `bias_ih` and `bias_hh`.
    pub weights: RnnWeights,
    #[module(skip)]
    nonlinearity: RnnNonlinearity,
}

impl RNNCell {
    /// A cell whose parameters are uniform in `±1/√hidden_size`.
    ///
    /// # Errors
    /// `Value` if a size is 0; `Shape` if a weight is larger than memory can address.
    pub fn new(
        input_size: usize,
        hidden_size: usize,
        bias: bool,
        nonlinearity: RnnNonlinearity,
    ) -> Result<RNNCell> {
        Ok(RNNCell {
            weights: weights("RNNCell", nonlinearity.kind(), input_size, hidden_size, bias)?,
            nonlinearity,
        })
    }

    /// The hidden state after `h`; `None` stands for zeros.
    ///
    /// # Shapes
    /// `[batch, input]` and `[batch, hidden]` → `[batch, hidden]`; the batch may be left out everywhere.
    ///
    /// # Errors
    /// `Shape` if shapes do not fit; `DType` if types differ.
    #[observed]
    pub fn forward(&self, x: &Tensor, h: Option<&Tensor>) -> Result<Tensor> {
        Ok(step("RNNCell", self.nonlinearity.kind(), &self.weights, x, h, None)?.h_n)
    }

    fn cost(&self, _: &[Tensor], outputs: &[Tensor]) -> u64 {
        rows(outputs) * self.weights.multiplications()
    }

    fn describe(&self) -> String {
        match self.nonlinearity {
            RnnNonlinearity::Tanh => describe(&self.weights),
            RnnNonlinearity::Relu => describe(&self.weights) + ", nonlinearity=relu",
        }
    }
}

/// One step of an [`LSTM`](crate::LSTM).
#[derive(Clone, Debug, Module)]
#[module(describe, cost)]
pub struct LSTMCell {
    /// `weight_ih`, `weight_hh`, `bias_ih` and `bias_hh`.
    pub weights: RnnWeights,
}

impl LSTMCell {
    /// A cell whose parameters are uniform in `±1/√hidden_size`.
    ///
    /// # Errors
    /// As [`RNNCell::new`].
    pub fn new(input_size: usize, hidden_size: usize, bias: bool) -> Result<LSTMCell> {
        Ok(LSTMCell {
            weights: weights("LSTMCell", RnnKind::Lstm, input_size, hidden_size, bias)?,
        })
    }

    /// The hidden state and the cell after `(h, c)`; `None` stands for zeros.
    ///
    /// # Shapes
    /// `[batch, input]` and twice `[batch, hidden]` → twice `[batch, hidden]`; the batch may be left out everywhere.
    ///
    /// # Errors
    /// `Shape` if shapes do not fit; `DType` if types differ.
    #[observed]
    pub fn forward(&self, x: &Tensor, state: Option<(&Tensor, &Tensor)>) -> Result<(Tensor, Tensor)> {
        let (h, c) = (state.map(|s| s.0), state.map(|s| s.1));
        let out = step("LSTMCell", RnnKind::Lstm, &self.weights, x, h, c)?;
        both("LSTMCell", out.h_n, out.c_n)
    }

    fn cost(&self, _: &[Tensor], outputs: &[Tensor]) -> u64 {
        rows(outputs) * self.weights.multiplications()
    }

    fn describe(&self) -> String {
        describe(&self.weights)
    }
}

/// One step of a [`GRU`](crate::GRU).
#[derive(Clone, Debug, Module)]
#[module(describe, cost)]
pub struct GRUCell {
    /// `weight_ih`, `weight_hh`, `bias_ih` and `bias_hh`.
    pub weights: RnnWeights,
}

impl GRUCell {
    /// A cell whose parameters are uniform in `±1/√hidden_size`.
    ///
    /// # Errors
    /// As [`RNNCell::new`].
    pub fn new(input_size: usize, hidden_size: usize, bias: bool) -> Result<GRUCell> {
        Ok(GRUCell {
            weights: weights("GRUCell", RnnKind::Gru, input_size, hidden_size, bias)?,
        })
    }

    /// The hidden state after `h`; `None` stands for zeros.
    ///
    /// # Shapes
    /// `[batch, input]` and `[batch, hidden]` → `[batch, hidden]`; the batch may be left out everywhere.
    ///
    /// # Errors
    /// `Shape` if shapes do not fit; `DType` if types differ.
    #[observed]
    pub fn forward(&self, x: &Tensor, h: Option<&Tensor>) -> Result<Tensor> {
        Ok(step("GRUCell", RnnKind::Gru, &self.weights, x, h, None)?.h_n)
    }

    fn cost(&self, _: &[Tensor], outputs: &[Tensor]) -> u64 {
        rows(outputs) * self.weights.multiplications()
    }

    fn describe(&self) -> String {
        describe(&self.weights)
    }
}
