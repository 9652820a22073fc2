//! One layer in one direction, or in both: the primitive.
//!
//! Both directions of a layer are one operation, because on two threads they run side by side: steps wait for each other,
//! directions don't.

use std::sync::{Mutex, PoisonError};

use flambeau_kernels::mem::Buf;
use flambeau_kernels::pool::side_by_side;
use flambeau_kernels::rnn::{RnnGradients, RnnKind, RnnShape, RnnWeights, rnn_backward, rnn_forward};

use super::{RnnDirection, RnnOutput, RnnParameters};
use crate::amp::{self, Argument, Policy, policy};
use crate::graph::{Op, Saved, record_many};
use crate::ops::linear::linear;
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, ensure, no_grad, profiler, with_float};

/// A recorded sequence through one layer, in one direction or in both.
#[derive(Clone, Debug)]
pub struct RnnOp {
    /// The kind of layer.
    pub kind: RnnKind,
    /// The input, then of each direction: first hidden state, first cell (LSTM), both weights, and the biases, as far as there
    /// are any.
    pub inputs: Vec<Saved>,
    steps: Vec<usize>,
    directions: Vec<Recorded>,
}

/// What the operation keeps of a direction besides its inputs.
#[derive(Clone, Debug)]
struct Recorded {
    form: Form,
    out: Value,
    reserve: Value,
}

/// Which tensors a direction has.
#[derive(Clone, Copy, Debug)]
struct Form {
    cell: bool,
    bias: [bool; 2],
    reverse: bool,
}

impl Form {
    /// How many tensors that is, the layer's input not counted.
    fn len(self) -> usize {
        3 + [self.cell, self.bias[0], self.bias[1]]
            .into_iter()
            .filter(|&is| is)
            .count()
    }
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

/// The tensors of a direction by their roles, taken from a list in [`RnnOp::inputs`]' order.
struct Roles<'a, V> {
    h0: &'a V,
    c0: Option<&'a V>,
    w_ih: &'a V,
    w_hh: &'a V,
    b_ih: Option<&'a V>,
    b_hh: Option<&'a V>,
}

impl<'a, V> Roles<'a, V> {
    fn new(form: Form, list: &'a [V]) -> Roles<'a, V> {
        let cell = usize::from(form.cell);
        let biases = 3 + cell;
        Roles {
            h0: &list[0],
            c0: form.cell.then(|| &list[1]),
            w_ih: &list[1 + cell],
            w_hh: &list[2 + cell],
            b_ih: form.bias[0].then(|| &list[biases]),
            b_hh: form.bias[1].then(|| &list[biases + usize::from(form.bias[0])]),
        }
    }

    /// Those of all directions.
    fn of_each(forms: impl Iterator<Item = Form>, mut list: &'a [V]) -> Vec<Roles<'a, V>> {
        forms
            .map(|form| {
                let (own, rest) = list.split_at(form.len());
                list = rest;
                Roles::new(form, own)
            })
            .collect()
    }
}

impl<'a, T> Roles<'a, &'a [T]> {
    fn weights(&self) -> RnnWeights<'a, T> {
        RnnWeights {
            w_ih: self.w_ih,
            w_hh: self.w_hh,
            b_ih: self.b_ih.copied(),
            b_hh: self.b_hh.copied(),
        }
    }
}

/// A sequence through one layer in each of `directions`. Rows are packed as in PyTorch's `PackedSequence`: step `t` holds the
/// first `steps[t]` sequences, longest first; a padded batch has `steps = [batch; time]`.
///
/// # Shapes
/// `x` `[rows, input]`, `h0` and `c0` (LSTM only) `[batch, hidden]` → of each direction, output `[rows, hidden]`, `h_n` and
/// `c_n` `[batch, hidden]`.
///
/// States of `float32` may go with an input and weights of a half-width type: results have the states' type.
///
/// # Errors
/// `Shape` if shapes do not fit; `Value` if the steps rise or are empty, or a cell is missing or superfluous; `DType`
/// unless all tensors are of one floating point type, but for those states.
pub fn rnn_directions(
    kind: RnnKind,
    x: &Tensor,
    steps: &[usize],
    directions: &[RnnDirection<'_>],
) -> Result<Vec<RnnOutput>> {
    if amp::is_autocast_enabled() {
        const POLICY: Policy = policy("rnn");
        let to = POLICY.target(&[Some(x.dtype())]);
        // Gates are products of half-width floats; states of an LSTM and a GRU are sums over all steps and stay as they are, as in
        // PyTorch.
        let states = matches!(kind, RnnKind::Tanh | RnnKind::Relu);
        let cast = |t: &Tensor, is_state: bool| t.cast(if is_state && !states { None } else { to });
        return amp::autocast(None, || with_tensors(kind, x, steps, directions, cast));
    }
    let op = format!("{kind:?}").to_lowercase();
    check(&op, kind, x, steps, directions)?;
    let (dtype, state_dtype) = (x.dtype(), directions.first().map_or(x.dtype(), |d| d.h0.dtype()));
    if dtype.is_half() {
        let outputs = with_tensors(kind, x, steps, directions, |t, _| t.to_dtype(DType::F32))?;
        let narrow = |out: RnnOutput| -> Result<RnnOutput> {
            Ok(RnnOutput {
                output: out.output.to_dtype(state_dtype)?,
                h_n: out.h_n.to_dtype(state_dtype)?,
                c_n: out.c_n.map(|c| c.to_dtype(state_dtype)).transpose()?,
            })
        };
        return outputs.into_iter().map(narrow).collect();
    }
    let forms: Vec<Form> = directions.iter().map(RnnDirection::form).collect();
    let tensors = directions.iter().flat_map(RnnDirection::tensors);
    let inputs: Vec<Saved> = std::iter::once(x).chain(tensors).map(Tensor::read).collect();
    let tracked = inputs.iter().any(|input| input.edge().is_some());
    let values = contiguous(&inputs)?;
    let batch = steps[0];
    let hidden = directions.first().map_or(0, |d| d.h0.shape()[1]);
    let shapes: Vec<RnnShape<'_>> = forms
        .iter()
        .map(|form| shape(kind, &values, hidden, steps, form.reverse))
        .collect();
    let state = Shape::new(&[batch, hidden]);
    let (results, reserves) = with_float!(op, dtype, T => {
        struct Work<T: flambeau_kernels::element::Pod> {
            out: Buf<T>,
            h_n: Buf<T>,
            c_n: Buf<T>,
            reserve: Buf<T>,
        }
        let data = slices::<T>(&values)?;
        let roles = Roles::of_each(forms.iter().copied(), &data[1..]);
        profiler::takes_memory();
        let work = shapes.iter().map(|shape| {
            let cell = if kind == RnnKind::Lstm { batch * hidden } else { 0 };
            Mutex::new(Work {
                out: Buf::<T>::take(shape.rows() * hidden),
                h_n: Buf::take(batch * hidden),
                c_n: Buf::take(cell),
                reserve: Buf::take(if tracked { shape.reserve_len() } else { 0 }),
            })
        });
        let work: Vec<Mutex<Work<T>>> = work.collect();
        side_by_side(work.len(), |i| {
            let mut work = work[i].lock().unwrap_or_else(PoisonError::into_inner);
            let Work { out, h_n, c_n, reserve } = &mut *work;
            let r = &roles[i];
            let c0 = r.c0.copied().unwrap_or_default();
            rnn_forward(&shapes[i], &r.weights(), data[0], r.h0, c0, out, h_n, c_n, reserve);
        });
        let (mut results, mut reserves) = (Vec::new(), Vec::new());
        for (work, shape) in work.into_iter().zip(&shapes) {
            let Work { out, h_n, c_n, reserve } = work.into_inner().unwrap_or_else(PoisonError::into_inner);
            results.push(Value::new(out, dtype, Shape::new(&[shape.rows(), hidden])));
            results.push(Value::new(h_n, dtype, state.clone()));
            if kind == RnnKind::Lstm {
                results.push(Value::new(c_n, dtype, state.clone()));
            }
            let len = Shape::new(&[reserve.len()]);
            reserves.push(Value::new(reserve, dtype, len));
        }
        (results, reserves)
    });
    let each = 2 + usize::from(kind == RnnKind::Lstm);
    let recorded = record_many(results, &inputs.iter().collect::<Vec<_>>(), |results| {
        let kept = forms.iter().zip(results.chunks_exact(each)).zip(reserves);
        let kept = kept.map(|((&form, results), reserve)| Recorded {
            form,
            out: results[0].clone(),
            reserve,
        });
        Op::Rnn(RnnOp {
            kind,
            inputs: inputs.clone(),
            steps: steps.to_vec(),
            directions: kept.collect(),
        })
    });
    let outputs = recorded.chunks_exact(each).map(|results| RnnOutput {
        output: results[0].clone(),
        h_n: results[1].clone(),
        c_n: results.get(2).cloned(),
    });
    Ok(outputs.collect())
}

impl<'a> RnnDirection<'a> {
    fn form(&self) -> Form {
        Form {
            cell: self.c0.is_some(),
            bias: [self.parameters.b_ih.is_some(), self.parameters.b_hh.is_some()],
            reverse: self.reverse,
        }
    }

    /// Its tensors in the order of [`RnnOp::inputs`].
    fn tensors(&self) -> impl Iterator<Item = &'a Tensor> + use<'a> {
        let RnnParameters {
            w_ih,
            w_hh,
            b_ih,
            b_hh,
        } = self.parameters;
        [Some(self.h0), self.c0, Some(w_ih), Some(w_hh), b_ih, b_hh]
            .into_iter()
            .flatten()
    }
}

/// The layer of other tensors: `cast` gets each, and whether it is a state.
fn with_tensors(
    kind: RnnKind,
    x: &Tensor,
    steps: &[usize],
    directions: &[RnnDirection<'_>],
    cast: impl Fn(&Tensor, bool) -> Result<Tensor>,
) -> Result<Vec<RnnOutput>> {
    let forms: Vec<Form> = directions.iter().map(RnnDirection::form).collect();
    let mut list = Vec::new();
    for direction in directions {
        let states = 1 + usize::from(direction.c0.is_some());
        for (i, tensor) in direction.tensors().enumerate() {
            list.push(cast(tensor, i < states)?);
        }
    }
    let roles = Roles::of_each(forms.iter().copied(), &list);
    let directions = roles.iter().zip(&forms).map(|(r, form)| RnnDirection {
        h0: r.h0,
        c0: r.c0,
        parameters: RnnParameters {
            w_ih: r.w_ih,
            w_hh: r.w_hh,
            b_ih: r.b_ih,
            b_hh: r.b_hh,
        },
        reverse: form.reverse,
    });
    rnn_directions(kind, &cast(x, false)?, steps, &directions.collect::<Vec<_>>())
}

fn check(
    op: &str,
    kind: RnnKind,
    x: &Tensor,
    steps: &[usize],
    directions: &[RnnDirection<'_>],
) -> Result<()> {
    ensure!(
        directions
            .iter()
            .all(|d| d.c0.is_some() == (kind == RnnKind::Lstm)),
        Value,
        "{op}: an LSTM, and only an LSTM, takes a first cell"
    );
    let (dtype, state_dtype) = (x.dtype(), directions.first().map_or(x.dtype(), |d| d.h0.dtype()));
    let fits = |direction: &RnnDirection<'_>| {
        let states = 1 + usize::from(direction.c0.is_some());
        let expected = |i: usize| if i < states { state_dtype } else { dtype };
        direction
            .tensors()
            .enumerate()
            .all(|(i, t)| t.dtype() == expected(i))
    };
    let list = || std::iter::once(x).chain(directions.iter().flat_map(RnnDirection::tensors));
    ensure!(
        dtype.is_float()
            && directions.iter().all(fits)
            && (state_dtype == dtype || dtype.is_half() && state_dtype == DType::F32),
        DType,
        "{op}: expected tensors of one floating point type, got {:?}",
        list().map(|t| t.dtype()).collect::<Vec<_>>()
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
    let last = |t: &Tensor| t.shape().last().copied().unwrap_or(0);
    let first = directions.first().map(|d| d.parameters);
    let (hidden, input) = first.map_or((0, 0), |first| (last(first.w_hh), last(first.w_ih)));
    let width = kind.gates() * hidden;
    for RnnDirection {
        h0, c0, parameters, ..
    } in directions
    {
        let expected = [
            ("input", Some(x), vec![rows, input]),
            ("hidden state", Some(*h0), vec![batch, hidden]),
            ("cell", *c0, vec![batch, hidden]),
            ("weight", Some(parameters.w_ih), vec![width, input]),
            ("recurrent weight", Some(parameters.w_hh), vec![width, hidden]),
            ("bias", parameters.b_ih, vec![width]),
            ("recurrent bias", parameters.b_hh, vec![width]),
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
    }
    Ok(())
}

fn shape<'a>(
    kind: RnnKind,
    values: &[Value],
    hidden: usize,
    steps: &'a [usize],
    reverse: bool,
) -> RnnShape<'a> {
    RnnShape {
        kind,
        input: values[0].shape[1],
        hidden,
        steps,
        reverse,
    }
}

fn contiguous(inputs: &[Saved]) -> Result<Vec<Value>> {
    inputs.iter().map(|input| input.value.contiguous()).collect()
}

fn slices<T: crate::buffer::Stored>(values: &[Value]) -> Result<Vec<&[T]>> {
    values.iter().map(Value::data::<T>).collect()
}

impl RnnOp {
    fn forms(&self) -> impl Iterator<Item = Form> {
        self.directions.iter().map(|direction| direction.form)
    }

    /// The gradients of all inputs for those of the results (`None` stands for zeros), by a fused kernel, not recorded.
    ///
    /// # Errors
    /// `Shape` if a gradient has not the shape of its result.
    pub fn gradients(&self, grads: &[Option<Tensor>]) -> Result<Vec<Tensor>> {
        let values = contiguous(&self.inputs)?;
        let dtype = values[0].dtype;
        let each = 2 + usize::from(self.kind == RnnKind::Lstm);
        let state = values[1].shape.clone();
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
        let no_cell = Shape::new(&[0]);
        let mut incoming = Vec::new();
        for (i, direction) in self.directions.iter().enumerate() {
            let cell = if direction.form.cell {
                (i * each + 2, &state)
            } else {
                (usize::MAX, &no_cell)
            };
            incoming.push([
                grad_of(i * each, &direction.out.shape)?,
                grad_of(i * each + 1, &state)?,
                grad_of(cell.0, cell.1)?,
            ]);
        }
        let hidden = state[1];
        let shapes = self
            .forms()
            .map(|form| shape(self.kind, &values, hidden, &self.steps, form.reverse));
        let shapes: Vec<RnnShape<'_>> = shapes.collect();
        with_float!(name(self), dtype, T => {
            let data = slices::<T>(&values)?;
            let roles = Roles::of_each(self.forms(), &data[1..]);
            let kept = self.directions.iter().map(|direction| Ok([&direction.out, &direction.reserve].map(Value::data::<T>)));
            let kept: Vec<[Result<&[T]>; 2]> = kept.collect::<Result<_>>()?;
            let room = |like: Option<&&[T]>| Buf::<T>::take(like.map_or(0, |like| like.len()));
            // In the order of the inputs; of what a direction has not, nothing. The kernel writes all of it.
            let found = roles.iter().map(|r| {
                Mutex::new([Some(&data[0]), Some(r.h0), r.c0, Some(r.w_ih), Some(r.w_hh), r.b_ih, r.b_hh].map(room))
            });
            let found: Vec<Mutex<[Buf<T>; 7]>> = found.collect();
            let incoming: Vec<[&[T]; 3]> = incoming
                .iter()
                .map(|[out, h, c]| Ok([out.data::<T>()?, h.data::<T>()?, c.data::<T>()?]))
                .collect::<Result<_>>()?;
            let kept: Vec<[&[T]; 2]> = kept
                .into_iter()
                .map(|[out, reserve]| Ok([out?, reserve?]))
                .collect::<Result<_>>()?;
            side_by_side(found.len(), |i| {
                let mut found = found[i].lock().unwrap_or_else(PoisonError::into_inner);
                let [x, h0, c0, w_ih, w_hh, b_ih, b_hh] = &mut *found;
                let r = &roles[i];
                let gradients = RnnGradients {
                    x,
                    h0,
                    c0,
                    w_ih,
                    w_hh,
                    b_ih: r.b_ih.is_some().then_some(&mut b_ih[..]),
                    b_hh: r.b_hh.is_some().then_some(&mut b_hh[..]),
                };
                let (first_cell, [grad_out, grad_h, grad_c], [out, reserve]) =
                    (r.c0.copied().unwrap_or_default(), incoming[i], kept[i]);
                rnn_backward(
                    &shapes[i], &r.weights(), data[0], r.h0, first_cell, out, reserve, grad_out, grad_h, grad_c,
                    gradients,
                );
            });
            let mut grad_x: Option<Tensor> = None;
            let mut others = Vec::new();
            let mut likes = values[1..].iter();
            let tensor = |buffer, like: &Value| Tensor::from_value(Value::new(buffer, dtype, like.shape.clone()));
            for (found, form) in found.into_iter().zip(self.forms()) {
                let [x, own @ ..] = found.into_inner().unwrap_or_else(PoisonError::into_inner);
                let x = tensor(x, &values[0]);
                match &grad_x {
                    Some(sum) => sum.add_(&x).map(drop)?,
                    None => grad_x = Some(x),
                }
                let present = [true, form.cell, true, true, form.bias[0], form.bias[1]];
                let present = own.into_iter().zip(present).filter(|(_, present)| *present);
                others.extend(present.zip(likes.by_ref()).map(|((buffer, _), like)| tensor(buffer, like)));
            }
            Ok(grad_x.into_iter().chain(others).collect())
        })
    }

    /// The results made again of recorded operations from tensors that stand for [`RnnOp::inputs`]: what double
    /// gradients go through.
    ///
    /// # Errors
    /// None for tensors of the inputs' shapes.
    pub fn composite(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut results = Vec::new();
        for (r, form) in Roles::of_each(self.forms(), &inputs[1..])
            .iter()
            .zip(self.forms())
        {
            results.extend(self.direction(&inputs[0], r, form.reverse)?);
        }
        Ok(results)
    }

    fn direction(&self, x: &Tensor, r: &Roles<'_, Tensor>, reverse: bool) -> Result<Vec<Tensor>> {
        let batch = self.steps[0];
        let projected = linear(x, r.w_ih, r.b_ih)?;
        let (mut h, mut c) = (r.h0.clone(), r.c0.cloned());
        let mut outputs: Vec<Option<Tensor>> = vec![None; self.steps.len()];
        let starts: Vec<usize> = (0..self.steps.len())
            .map(|t| self.steps[..t].iter().sum())
            .collect();
        let mut order: Vec<usize> = (0..self.steps.len()).collect();
        if reverse {
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
