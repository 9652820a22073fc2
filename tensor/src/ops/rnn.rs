//! Recurrent sequences: LSTM, GRU and plain RNN (`torch.lstm`, `gru`, `rnn_tanh`, `rnn_relu`; what `nn.LSTM` and its kin
//! compute, and with one step their cells).
//!
//! With σ the sigmoid and gates in PyTorch's order:
//!
//! - LSTM `i, f, g, o`: `c' = σ(f)·c + σ(i)·tanh(g)`, `h' = σ(o)·tanh(c')`
//! - GRU `r, z, n`: `n = tanh(x·W_inᵀ + b_in + σ(r)·(h·W_hnᵀ + b_hn))`, `h' = (1 - σ(z))·n + σ(z)·h`
//! - RNN: `h' = tanh(…)` or `h' = relu(…)`
//!
//! One layer, in one direction or both, is a primitive with fused kernels; several layers are put together of it.

mod layer;

pub use flambeau_kernels::rnn::RnnKind;
pub(crate) use layer::name;
pub use layer::{RnnOp, rnn_directions};

use super::dropout::dropout;
use crate::{DType, Error, Result, Tensor, amp, ensure};

/// The parameters of one layer in one direction.
#[derive(Clone, Copy, Debug)]
pub struct RnnParameters<'a> {
    /// `[gates · hidden, input]`.
    pub w_ih: &'a Tensor,
    /// `[gates · hidden, hidden]`.
    pub w_hh: &'a Tensor,
    /// `[gates · hidden]`.
    pub b_ih: Option<&'a Tensor>,
    /// `[gates · hidden]`.
    pub b_hh: Option<&'a Tensor>,
}

/// The results of a recurrent sequence.
#[derive(Clone, Debug)]
pub struct RnnOutput {
    /// The hidden state after every step.
    pub output: Tensor,
    /// The last hidden states.
    pub h_n: Tensor,
    /// The last cells of an LSTM.
    pub c_n: Option<Tensor>,
}

/// What a layer takes in one direction besides its input.
#[derive(Clone, Copy, Debug)]
pub struct RnnDirection<'a> {
    /// The first hidden state, `[batch, hidden]`.
    pub h0: &'a Tensor,
    /// The first cell of an LSTM, `[batch, hidden]`.
    pub c0: Option<&'a Tensor>,
    /// Its weights and biases.
    pub parameters: RnnParameters<'a>,
    /// Whether the last step comes first.
    pub reverse: bool,
}

/// [`rnn_directions`] in one direction.
///
/// # Errors
/// As [`rnn_directions`].
pub fn rnn_layer(
    kind: RnnKind,
    x: &Tensor,
    steps: &[usize],
    h0: &Tensor,
    c0: Option<&Tensor>,
    parameters: &RnnParameters<'_>,
    reverse: bool,
) -> Result<RnnOutput> {
    let direction = RnnDirection {
        h0,
        c0,
        parameters: *parameters,
        reverse,
    };
    let outputs = rnn_directions(kind, x, steps, &[direction])?;
    outputs
        .into_iter()
        .next()
        .ok_or_else(|| Error::Value("rnn_layer: no direction".to_string()))
}

/// [`rnn_directions`] in as many directions as there are `parameters`, the second in reverse; `h0` and `c0` hold a state for each.
///
/// # Errors
/// As [`rnn_directions`].
pub fn rnn_both(
    kind: RnnKind,
    x: &Tensor,
    steps: &[usize],
    h0: &Tensor,
    c0: Option<&Tensor>,
    parameters: &[RnnParameters<'_>],
) -> Result<Vec<RnnOutput>> {
    let states = |all: &Tensor| -> Result<Vec<Tensor>> {
        (0..parameters.len()).map(|i| all.select(0, i as isize)).collect()
    };
    let (h0, c0) = (states(h0)?, c0.map(states).transpose()?);
    let directions = parameters
        .iter()
        .enumerate()
        .map(|(i, &parameters)| RnnDirection {
            h0: &h0[i],
            c0: c0.as_ref().map(|c0| &c0[i]),
            parameters,
            reverse: i == 1,
        });
    rnn_directions(kind, x, steps, &directions.collect::<Vec<_>>())
}

/// Options of [`rnn`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug, Default)]
pub struct RnnOptions {
    /// Each layer runs in both directions, and their outputs are joined.
    pub bidirectional: bool,
    /// The batch comes before time.
    pub batch_first: bool,
    /// Probability with which elements between layers are dropped in training.
    pub dropout: f64,
    /// Whether this is training.
    pub training: bool,
}

/// A first state of a padded batch as [`rnn_layer`] takes it in a region of mixed precision: as in PyTorch's fused layer, those
/// of an LSTM are in the region's type, and so are its results. Those of others stay as they are.
///
/// # Errors
/// None that a valid tensor meets.
pub fn padded_state(kind: RnnKind, state: &Tensor) -> Result<Tensor> {
    match amp::get_autocast_dtype() {
        Some(half) if kind == RnnKind::Lstm && state.dtype() == DType::F32 => state.to_dtype(half),
        _ => Ok(state.clone()),
    }
}

/// Sequences through several layers, in one or both directions; `parameters` hold the layers' in order, both directions'
/// of each if there are two.
///
/// # Shapes
/// `x` `[time, batch, input]` (or the batch first), `h0` and `c0` `[layers · directions, batch, hidden]` → output
/// `[time, batch, directions · hidden]`, `h_n` and `c_n` as `h0`.
///
/// # Errors
/// `Shape` if shapes do not fit; otherwise as [`rnn_layer`].
pub fn rnn(
    kind: RnnKind,
    x: &Tensor,
    h0: &Tensor,
    c0: Option<&Tensor>,
    parameters: &[RnnParameters<'_>],
    options: &RnnOptions,
) -> Result<RnnOutput> {
    let directions = 1 + usize::from(options.bidirectional);
    let layers = parameters.len() / directions;
    let fits = x.rank() == 3 && h0.rank() == 3 && c0.is_none_or(|c| c.shape() == h0.shape());
    ensure!(
        fits && layers > 0 && h0.shape()[0] == parameters.len() && parameters.len() == layers * directions,
        Shape,
        "rnn: input {:?}, hidden state {:?} and {} sets of parameters do not fit {directions} directions",
        x.shape(),
        h0.shape(),
        parameters.len()
    );
    let x = if options.batch_first {
        x.transpose(0, 1)?
    } else {
        x.clone()
    };
    let h0 = padded_state(kind, h0)?;
    let c0 = c0.map(|c0| padded_state(kind, c0)).transpose()?;
    let (time, batch) = (x.shape()[0], x.shape()[1]);
    let steps = vec![batch; time];
    let mut rows = x.reshape((time * batch, x.shape()[2]))?;
    let (mut h_n, mut c_n) = (Vec::new(), Vec::new());
    for layer in 0..layers {
        let first = layer * directions;
        let states = |all: &Tensor| all.narrow(0, first as isize, directions);
        let (h, c) = (states(&h0)?, c0.as_ref().map(states).transpose()?);
        let own = &parameters[first..first + directions];
        let mut outputs = Vec::new();
        for out in rnn_both(kind, &rows, &steps, &h, c.as_ref(), own)? {
            outputs.push(out.output);
            h_n.push(out.h_n.unsqueeze(0)?);
            c_n.extend(out.c_n.map(|c| c.unsqueeze(0)).transpose()?);
        }
        rows = if directions == 1 {
            outputs.remove(0)
        } else {
            Tensor::cat(&outputs.iter().collect::<Vec<_>>(), 1)?
        };
        if layer + 1 < layers {
            rows = dropout(&rows, options.dropout, options.training)?;
        }
    }
    let join = |states: &[Tensor]| Tensor::cat(&states.iter().collect::<Vec<_>>(), 0);
    let output = rows.reshape((time, batch, rows.shape()[1]))?;
    Ok(RnnOutput {
        output: if options.batch_first {
            output.transpose(0, 1)?
        } else {
            output
        },
        h_n: join(&h_n)?,
        c_n: if c_n.is_empty() { None } else { Some(join(&c_n)?) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_step_by_hand() {
        let one = |x: f64| Tensor::new([[x]]).unwrap();
        let (w_ih, w_hh) = (one(2.0), one(0.5));
        let parameters = RnnParameters {
            w_ih: &w_ih,
            w_hh: &w_hh,
            b_ih: None,
            b_hh: None,
        };
        let x = Tensor::new([[1.0f64], [-3.0]]).unwrap();
        let out = rnn_layer(RnnKind::Relu, &x, &[1, 1], &one(2.0), None, &parameters, false).unwrap();
        assert_eq!(out.output.to_vec::<f64>().unwrap(), [3.0, 0.0]);
        let out = rnn_layer(RnnKind::Relu, &x, &[1, 1], &one(2.0), None, &parameters, true).unwrap();
        assert_eq!(out.output.to_vec::<f64>().unwrap(), [2.0, 0.0]);
        assert!(rnn_layer(RnnKind::Lstm, &x, &[1, 1], &one(2.0), None, &parameters, false).is_err());
        assert!(rnn_layer(RnnKind::Relu, &x, &[1, 2], &one(2.0), None, &parameters, false).is_err());
    }
    #[test]
    fn both_directions_are_two_layers_whatever_the_threads() {
        crate::random::manual_seed(1);
        let random = |rows: usize, columns: usize| Tensor::randn((rows, columns), DType::F32).unwrap();
        let weights = [0, 1].map(|_| (random(24, 3), random(24, 6)));
        let parameters = weights.each_ref().map(|(w_ih, w_hh)| RnnParameters {
            w_ih,
            w_hh,
            b_ih: None,
            b_hh: None,
        });
        let steps = [4, 3, 3, 1];
        let (x, h0, c0) = (random(11, 3), random(8, 6), random(8, 6));
        let states = [&h0, &c0].map(|state| state.reshape((2, 4, 6)).unwrap());
        let both = || {
            rnn_both(
                RnnKind::Lstm,
                &x,
                &steps,
                &states[0],
                Some(&states[1]),
                &parameters,
            )
            .unwrap()
        };
        let before = crate::pool::num_threads();
        for threads in [1, 2, 3] {
            crate::pool::set_num_threads(threads);
            for (i, got) in both().iter().enumerate() {
                let [h, c] = states
                    .each_ref()
                    .map(|state| state.select(0, i as isize).unwrap());
                let want =
                    rnn_layer(RnnKind::Lstm, &x, &steps, &h, Some(&c), &parameters[i], i == 1).unwrap();
                let bits = |t: &Tensor| {
                    t.to_vec::<f32>()
                        .unwrap()
                        .into_iter()
                        .map(f32::to_bits)
                        .collect::<Vec<_>>()
                };
                assert_eq!(bits(&got.output), bits(&want.output));
                assert_eq!(bits(&got.h_n), bits(&want.h_n));
                assert_eq!(got.c_n.as_ref().map(bits), want.c_n.as_ref().map(bits));
            }
        }
        crate::pool::set_num_threads(before);
    }
}
