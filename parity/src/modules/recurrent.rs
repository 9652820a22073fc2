//! Recurrent layers and their cells.

use flambeau_nn::*;
use flambeau_tensor::{Result, Tensor, bail};

use super::{Entry, of};
use crate::args::{Arg, Args};
use crate::registry::out;

pub(super) const TABLE: &[Entry] = &[
    ("GRU", |a| {
        let (sizes, options) = (sizes(a)?, options(a, 3)?);
        let gru = GRU::new(sizes[0], sizes[1], options)?;
        of(gru, |gru, a| {
            let x = a.tensor(0, "input")?;
            out(gru.forward(&x, a.opt_tensor(1, "hx")?.as_ref())?)
        })
    }),
    ("GRUCell", |a| {
        let (sizes, bias) = (sizes(a)?, a.bool(2, "bias", true)?);
        let cell = GRUCell::new(sizes[0], sizes[1], bias)?;
        of(cell, |cell, a| {
            let x = a.tensor(0, "input")?;
            out(cell.forward(&x, a.opt_tensor(1, "hx")?.as_ref())?)
        })
    }),
    ("LSTM", |a| {
        let (sizes, options) = (sizes(a)?, options(a, 3)?);
        let lstm = match a.count(7, "proj_size", 0)? {
            0 => LSTM::new(sizes[0], sizes[1], options)?,
            projection => LSTM::with_projection(sizes[0], sizes[1], projection, options)?,
        };
        of(lstm, |lstm, a| {
            let (x, state) = (a.tensor(0, "input")?, states(a)?);
            let (output, (h_n, c_n)) = lstm.forward(&x, state.as_ref().map(|[h, c]| (h, c)))?;
            out([output, h_n, c_n])
        })
    }),
    ("LSTMCell", |a| {
        let (sizes, bias) = (sizes(a)?, a.bool(2, "bias", true)?);
        let cell = LSTMCell::new(sizes[0], sizes[1], bias)?;
        of(cell, |cell, a| {
            let (x, state) = (a.tensor(0, "input")?, states(a)?);
            out(cell.forward(&x, state.as_ref().map(|[h, c]| (h, c)))?)
        })
    }),
    ("RNN", |a| {
        let (sizes, nonlinearity) = (sizes(a)?, nonlinearity(a)?);
        let rnn = RNN::new(sizes[0], sizes[1], nonlinearity, options(a, 4)?)?;
        of(rnn, |rnn, a| {
            let x = a.tensor(0, "input")?;
            out(rnn.forward(&x, a.opt_tensor(1, "hx")?.as_ref())?)
        })
    }),
    ("RNNCell", |a| {
        let (sizes, bias) = (sizes(a)?, a.bool(2, "bias", true)?);
        let cell = RNNCell::new(sizes[0], sizes[1], bias, nonlinearity(a)?)?;
        of(cell, |cell, a| {
            let x = a.tensor(0, "input")?;
            out(cell.forward(&x, a.opt_tensor(1, "hx")?.as_ref())?)
        })
    }),
];

fn sizes(a: &mut Args) -> Result<[usize; 2]> {
    Ok([
        a.required_count(0, "input_size")?,
        a.required_count(1, "hidden_size")?,
    ])
}

fn nonlinearity(a: &mut Args) -> Result<RnnNonlinearity> {
    match a.opt_str(3, "nonlinearity")?.as_deref() {
        None | Some("tanh") => Ok(RnnNonlinearity::Tanh),
        Some("relu") => Ok(RnnNonlinearity::Relu),
        Some(other) => bail!(Value, "{}: nonlinearity {other}", a.op()),
    }
}

/// The options from position `bias` on, and the number of layers.
fn options(a: &mut Args, bias: usize) -> Result<RnnOptions> {
    Ok(RnnOptions {
        num_layers: a.count(2, "num_layers", 1)?,
        bias: a.bool(bias, "bias", true)?,
        batch_first: a.bool(bias + 1, "batch_first", false)?,
        dropout: a.float(bias + 2, "dropout", 0.0)?,
        bidirectional: a.bool(bias + 3, "bidirectional", false)?,
    })
}

/// An LSTM's hidden state and cell.
fn states(a: &mut Args) -> Result<Option<[Tensor; 2]>> {
    if matches!(a.peek(1, "hx"), None | Some(Arg::None)) {
        a.take(1, "hx");
        return Ok(None);
    }
    match <[Tensor; 2]>::try_from(a.tensors(1, "hx")?) {
        Ok(states) => Ok(Some(states)),
        Err(others) => bail!(
            Value,
            "{}: expected a hidden state and a cell, got {} tensors",
            a.op(),
            others.len()
        ),
    }
}
