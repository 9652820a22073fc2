//! Recurrent sequences: LSTM, GRU and plain RNN (`torch.lstm`, `gru`, `rnn_tanh`, `rnn_relu`; what `nn.LSTM` and its kin
//! compute, and with one step their cells).
//!
//! With σ the sigmoid and gates in PyTorch's order:
//!
//! - LSTM `i, f, g, o`: `c' = σ(f)·c + σ(i)·tanh(g)`, `h' = σ(o)·tanh(c')`
//! - GRU `r, z, n`: `n = tanh(x·W_inᵀ + b_in + σ(r)·(h·W_hnᵀ + b_hn))`, `h' = (1 - σ(z))·n + σ(z)·h`
//! - RNN: `h' = tanh(…)` or `h' = relu(…)`
//!
//! One layer in one direction is a primitive with fused kernels; layers and directions are put together of it.

use flambeau_kernels::mem::Buf;
pub use flambeau_kernels::rnn::RnnKind;
use flambeau_kernels::rnn::{RnnGradients, RnnShape, RnnWeights, rnn_backward, rnn_forward};

use super::dropout::dropout;
use super::linear::linear;
use crate::amp::under_autocast;
use crate::graph::{Op, Saved, record_many};
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, amp, ensure, no_grad, with_float};

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

/// A recorded sequence through one layer in one direction.
#[derive(Clone, Debug)]
pub struct RnnOp {
    /// The kind of layer.
    pub kind: RnnKind,
    /// Input, first hidden state, first cell (LSTM), both weights, and the biases, as far as there are any.
    pub inputs: Vec<Saved>,
    steps: Vec<usize>,
    reverse: bool,
    has_bias: [bool; 2],
    out: Value,
    reserve: Value,
}

/// The operation's name.
pub(crate) fn name(op: &RnnOp) -> &'static str {
    match op.kind {
        RnnKind::Lstm => "lstm",
        RnnKind::Gru => "gru",
        RnnKind::Tanh => "rnn_tanh",
        RnnKind::Relu => "rnn_relu",
    }
}

/// The inputs of a sequence by their roles, taken from a list in [`RnnOp::inputs`]' order.
struct Roles<'a, V> {
    x: &'a V,
    h0: &'a V,
    c0: Option<&'a V>,
    w_ih: &'a V,
    w_hh: &'a V,
    b_ih: Option<&'a V>,
    b_hh: Option<&'a V>,
}

impl<'a, V> Roles<'a, V> {
    fn new(kind: RnnKind, has_bias: [bool; 2], list: &'a [V]) -> Roles<'a, V> {
        let cell = usize::from(kind == RnnKind::Lstm);
        let biases = 4 + cell;
        Roles {
            x: &list[0],
            h0: &list[1],
            c0: (cell == 1).then(|| &list[2]),
            w_ih: &list[2 + cell],
            w_hh: &list[3 + cell],
            b_ih: has_bias[0].then(|| &list[biases]),
            b_hh: has_bias[1].then(|| &list[biases + usize::from(has_bias[0])]),
        }
    }
}

/// A sequence through one layer in one direction. Rows are packed as in PyTorch's `PackedSequence`: step `t` holds the
/// first `steps[t]` sequences, longest first; a padded batch has `steps = [batch; time]`.
///
/// # Shapes
/// `x` `[rows, input]`, `h0` and `c0` (LSTM only) `[batch, hidden]` → output `[rows, hidden]`, `h_n` and `c_n`
/// `[batch, hidden]`.
///
/// States of `float32` may go with an input and weights of a half-width type: results have the states' type.
///
/// # Errors
/// `Shape` if shapes do not fit; `Value` if the steps rise or are empty, or a cell is missing or superfluous; `DType`
/// unless all tensors are of one floating point type, but for those states.
pub fn rnn_layer(
    kind: RnnKind,
    x: &Tensor,
    steps: &[usize],
    h0: &Tensor,
    c0: Option<&Tensor>,
    parameters: &RnnParameters<'_>,
    reverse: bool,
) -> Result<RnnOutput> {
    let RnnParameters {
        w_ih,
        w_hh,
        b_ih,
        b_hh,
    } = *parameters;
    if matches!(kind, RnnKind::Tanh | RnnKind::Relu) {
        under_autocast!("rnn": x, h0, w_ih, w_hh, b_ih, b_hh => {
            rnn_layer(kind, x, steps, h0, c0, &RnnParameters { w_ih, w_hh, b_ih, b_hh }, reverse)
        });
    }
    // Gates are products of half-width floats; states are sums over all steps and stay as they are, as in PyTorch.
    under_autocast!("rnn": x, w_ih, w_hh, b_ih, b_hh => {
        rnn_layer(kind, x, steps, h0, c0, &RnnParameters { w_ih, w_hh, b_ih, b_hh }, reverse)
    });
    let has_bias = [b_ih.is_some(), b_hh.is_some()];
    let op = format!("{kind:?}").to_lowercase();
    ensure!(
        c0.is_some() == (kind == RnnKind::Lstm),
        Value,
        "{op}: an LSTM, and only an LSTM, takes a first cell"
    );
    let list: Vec<&Tensor> = [Some(x), Some(h0), c0, Some(w_ih), Some(w_hh), b_ih, b_hh]
        .into_iter()
        .flatten()
        .collect();
    let (dtype, state_dtype) = (x.dtype(), h0.dtype());
    let weights = [Some(w_ih), Some(w_hh), b_ih, b_hh];
    ensure!(
        dtype.is_float()
            && weights.into_iter().flatten().all(|t| t.dtype() == dtype)
            && c0.is_none_or(|c0| c0.dtype() == state_dtype)
            && (state_dtype == dtype || dtype.is_half() && state_dtype == DType::F32),
        DType,
        "{op}: expected tensors of one floating point type, got {:?}",
        list.iter().map(|t| t.dtype()).collect::<Vec<_>>()
    );
    ensure!(
        steps.first().is_some_and(|&n| n > 0)
            && steps.windows(2).all(|w| w[0] >= w[1])
            && !steps.contains(&0),
        Value,
        "{op}: the numbers of sequences at each step must be positive and never rise, got {steps:?}"
    );
    let rows = steps.iter().fold(0, |sum: usize, &n| sum.saturating_add(n));
    let batch = steps[0];
    let hidden = w_hh.shape().last().copied().unwrap_or(0);
    let input = w_ih.shape().last().copied().unwrap_or(0);
    let width = kind.gates() * hidden;
    let expected = [
        ("input", Some(x), vec![rows, input]),
        ("hidden state", Some(h0), vec![batch, hidden]),
        ("cell", c0, vec![batch, hidden]),
        ("weight", Some(w_ih), vec![width, input]),
        ("recurrent weight", Some(w_hh), vec![width, hidden]),
        ("bias", b_ih, vec![width]),
        ("recurrent bias", b_hh, vec![width]),
    ];
    for (what, tensor, shape) in expected {
        if let Some(tensor) = tensor {
            ensure!(
                tensor.shape() == shape,
                Shape,
                "{op}: expected a {what} {shape:?}, got {:?}",
                tensor.shape()
            );
        }
    }
    if dtype.is_half() {
        let wide = |t: &Tensor| t.to_dtype(DType::F32);
        let (c0, b_ih, b_hh) = (
            c0.map(wide).transpose()?,
            b_ih.map(wide).transpose()?,
            b_hh.map(wide).transpose()?,
        );
        let parameters = RnnParameters {
            w_ih: &wide(w_ih)?,
            w_hh: &wide(w_hh)?,
            b_ih: b_ih.as_ref(),
            b_hh: b_hh.as_ref(),
        };
        let out = rnn_layer(
            kind,
            &wide(x)?,
            steps,
            &wide(h0)?,
            c0.as_ref(),
            &parameters,
            reverse,
        )?;
        return Ok(RnnOutput {
            output: out.output.to_dtype(state_dtype)?,
            h_n: out.h_n.to_dtype(state_dtype)?,
            c_n: out.c_n.map(|c| c.to_dtype(state_dtype)).transpose()?,
        });
    }
    let inputs: Vec<Saved> = list.iter().map(|t| t.read()).collect();
    let tracked = inputs.iter().any(|input| input.edge().is_some());
    let values = contiguous(&inputs)?;
    let shape = RnnShape {
        kind,
        input,
        hidden,
        steps,
        reverse,
    };
    let (results, reserve) = with_float!(op, dtype, T => {
        let data = slices::<T>(&values)?;
        let r = Roles::new(kind, has_bias, &data);
        let weights = RnnWeights { w_ih: r.w_ih, w_hh: r.w_hh, b_ih: r.b_ih.copied(), b_hh: r.b_hh.copied() };
        let cell_len = if kind == RnnKind::Lstm { batch * hidden } else { 0 };
        let [mut out, mut h_n, mut c_n] = [rows * hidden, batch * hidden, cell_len].map(Buf::<T>::take);
        let mut reserve = Buf::<T>::take(if tracked { shape.reserve_len() } else { 0 });
        let c0: &[T] = r.c0.copied().unwrap_or_default();
        rnn_forward(&shape, &weights, r.x, r.h0, c0, &mut out, &mut h_n, &mut c_n, &mut reserve);
        let state = Shape::new(&[batch, hidden]);
        let mut results = vec![
            Value::new(out, dtype, Shape::new(&[rows, hidden])),
            Value::new(h_n, dtype, state.clone()),
        ];
        if kind == RnnKind::Lstm {
            results.push(Value::new(c_n, dtype, state));
        }
        let len = Shape::new(&[reserve.len()]);
        (results, Value::new(reserve, dtype, len))
    });
    let recorded = record_many(results, &inputs.iter().collect::<Vec<_>>(), |results| {
        Op::Rnn(RnnOp {
            kind,
            inputs: inputs.clone(),
            steps: steps.to_vec(),
            reverse,
            has_bias,
            out: results[0].clone(),
            reserve: reserve.clone(),
        })
    });
    Ok(RnnOutput {
        output: recorded[0].clone(),
        h_n: recorded[1].clone(),
        c_n: recorded.get(2).cloned(),
    })
}

fn contiguous(inputs: &[Saved]) -> Result<Vec<Value>> {
    inputs.iter().map(|input| input.value.contiguous()).collect()
}

fn slices<T: crate::buffer::Stored>(values: &[Value]) -> Result<Vec<&[T]>> {
    values.iter().map(Value::data::<T>).collect()
}

impl RnnOp {
    /// The gradients of all inputs for those of the results (`None` stands for zeros), by a fused kernel, not recorded.
    ///
    /// # Errors
    /// `Shape` if a gradient has not the shape of its result.
    pub fn gradients(&self, grads: &[Option<Tensor>]) -> Result<Vec<Tensor>> {
        let values = contiguous(&self.inputs)?;
        let roles = Roles::new(self.kind, self.has_bias, &values);
        let (input, hidden) = (roles.x.shape[1], roles.h0.shape[1]);
        let dtype = roles.x.dtype;
        let grad_of = |i: usize, shape: &Shape| -> Result<Value> {
            let grad = match grads.get(i) {
                Some(Some(grad)) => grad.value().contiguous()?,
                _ => Tensor::zeros(shape, dtype)?.value(),
            };
            ensure!(
                grad.shape == *shape,
                Shape,
                "{}: gradient {:?} for a result {shape:?}",
                name(self),
                grad.shape
            );
            Ok(grad)
        };
        let state = roles.h0.shape.clone();
        let no_cell = Shape::new(&[0]);
        let (grad_out, grad_h) = (grad_of(0, &self.out.shape)?, grad_of(1, &state)?);
        let grad_c = grad_of(2, if roles.c0.is_some() { &state } else { &no_cell })?;
        let shape = RnnShape {
            kind: self.kind,
            input,
            hidden,
            steps: &self.steps,
            reverse: self.reverse,
        };
        with_float!(name(self), dtype, T => {
            let data = slices::<T>(&values)?;
            let r = Roles::new(self.kind, self.has_bias, &data);
            let weights = RnnWeights { w_ih: r.w_ih, w_hh: r.w_hh, b_ih: r.b_ih.copied(), b_hh: r.b_hh.copied() };
            let buffer = |like: Option<&&[T]>| Buf::<T>::zeroed(like.map_or(0, |like| like.len()));
            let (mut x, mut h0, mut c0) = (buffer(Some(r.x)), buffer(Some(r.h0)), buffer(r.c0));
            let (mut w_ih, mut w_hh) = (buffer(Some(r.w_ih)), buffer(Some(r.w_hh)));
            let (mut b_ih, mut b_hh) = (buffer(r.b_ih), buffer(r.b_hh));
            let gradients = RnnGradients {
                x: &mut x,
                h0: &mut h0,
                c0: &mut c0,
                w_ih: &mut w_ih,
                w_hh: &mut w_hh,
                b_ih: self.has_bias[0].then_some(&mut b_ih[..]),
                b_hh: self.has_bias[1].then_some(&mut b_hh[..]),
            };
            rnn_backward(
                &shape,
                &weights,
                r.x,
                r.h0,
                r.c0.copied().unwrap_or_default(),
                self.out.data::<T>()?,
                self.reserve.data::<T>()?,
                grad_out.data::<T>()?,
                grad_h.data::<T>()?,
                grad_c.data::<T>()?,
                gradients,
            );
            let present = [true, true, r.c0.is_some(), true, true, self.has_bias[0], self.has_bias[1]];
            let buffers = [x, h0, c0, w_ih, w_hh, b_ih, b_hh].into_iter().zip(present);
            let present = buffers.filter(|(_, present)| *present).zip(&values);
            Ok(present
                .map(|((buffer, _), like)| Tensor::from_value(Value::new(buffer, dtype, like.shape.clone())))
                .collect())
        })
    }

    /// The results made again of recorded operations from tensors that stand for [`RnnOp::inputs`]: what double
    /// gradients go through.
    ///
    /// # Errors
    /// None for tensors of the inputs' shapes.
    pub fn composite(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let r = Roles::new(self.kind, self.has_bias, inputs);
        let batch = self.steps[0];
        let projected = linear(r.x, r.w_ih, r.b_ih)?;
        let (mut h, mut c) = (r.h0.clone(), r.c0.cloned());
        let mut outputs: Vec<Option<Tensor>> = vec![None; self.steps.len()];
        let starts: Vec<usize> = (0..self.steps.len())
            .map(|t| self.steps[..t].iter().sum())
            .collect();
        let mut order: Vec<usize> = (0..self.steps.len()).collect();
        if self.reverse {
            order.reverse();
        }
        for t in order {
            let n = self.steps[t];
            // Sequences that have ended, or in reverse not begun, keep their states.
            let split = |state: &Tensor| -> Result<(Tensor, Tensor)> {
                Ok((state.narrow(0, 0, n)?, state.narrow(0, n as isize, batch - n)?))
            };
            let (active, rest) = split(&h)?;
            let cells = c.as_ref().map(split).transpose()?;
            let from_x = projected.narrow(0, starts[t] as isize, n)?;
            let from_h = linear(&active, r.w_hh, r.b_hh)?;
            let (new_h, new_c) = self.step(&from_x, &from_h, &active, cells.as_ref().map(|(c, _)| c))?;
            h = Tensor::cat(&[&new_h, &rest], 0)?;
            if let (Some(new_c), Some((_, rest))) = (new_c, cells) {
                c = Some(Tensor::cat(&[&new_c, &rest], 0)?);
            }
            outputs[t] = Some(new_h);
        }
        let rows: Vec<&Tensor> = outputs.iter().flatten().collect();
        let mut results = vec![Tensor::cat(&rows, 0)?, h];
        results.extend(c);
        Ok(results)
    }

    /// One step: the new hidden state and cell from the gates' two parts and the old ones.
    fn step(
        &self,
        x: &Tensor,
        h: &Tensor,
        state: &Tensor,
        cell: Option<&Tensor>,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let hidden = state.shape()[1];
        let part = |t: &Tensor, i: usize| t.narrow(1, (i * hidden) as isize, hidden);
        let gate = |i: usize| part(x, i)?.add(&part(h, i)?);
        Ok(match (self.kind, cell) {
            (RnnKind::Gru, _) => {
                let (r, z) = (gate(0)?.sigmoid()?, gate(1)?.sigmoid()?);
                let n = part(x, 2)?.add(&r.mul(&part(h, 2)?)?)?.tanh()?;
                (n.add(&z.mul(&state.sub(&n)?)?)?, None)
            }
            (RnnKind::Lstm, Some(cell)) => {
                let (i, f, g) = (gate(0)?.sigmoid()?, gate(1)?.sigmoid()?, gate(2)?.tanh()?);
                let cell = f.mul(cell)?.add(&i.mul(&g)?)?;
                (gate(3)?.sigmoid()?.mul(&cell.tanh()?)?, Some(cell))
            }
            (RnnKind::Relu, _) => {
                let sum = gate(0)?;
                let positive = no_grad(|| {
                    let data = sum.to_vec_f64()?.into_iter().map(|x| (x > 0.0) as u8 as f64);
                    Tensor::from_vec(data.collect::<Vec<f64>>(), sum.shape())?.to_dtype(sum.dtype())
                })?;
                (sum.mul(&positive)?, None)
            }
            _ => (gate(0)?.tanh()?, None),
        })
    }
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
        let mut outputs = Vec::new();
        for direction in 0..directions {
            let i = layer * directions + direction;
            let (h, c) = (
                h0.select(0, i as isize)?,
                c0.as_ref().map(|c| c.select(0, i as isize)).transpose()?,
            );
            let out = rnn_layer(
                kind,
                &rows,
                &steps,
                &h,
                c.as_ref(),
                &parameters[i],
                direction == 1,
            )?;
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
}
