//! One step of a recurrent layer, element-wise: from gates to states, and the way back.

use std::ops::Range;

use super::RnnKind;
use crate::simd::{Real, Simd, WithSimd, sigmoid, tanh};

/// A forward step of some rows.
pub(super) struct Step<'a, T> {
    pub(super) kind: RnnKind,
    pub(super) hidden: usize,
    /// `[rows, gates · hidden]`: the input's part, bias included.
    pub(super) gates: &'a [T],
    /// The same of the hidden state.
    pub(super) recurrent: &'a [T],
    /// `[rows, hidden]`, updated.
    pub(super) h: &'a mut [T],
    /// `[rows, hidden]` or more for an LSTM, updated.
    pub(super) c: &'a mut [T],
    /// `[rows, kept · hidden]`, or empty.
    pub(super) kept: &'a mut [T],
}

/// A vector of a row: its elements are cut into vectors, the last of which may be partial.
#[derive(Clone, Copy)]
struct At {
    row: usize,
    hidden: usize,
    start: usize,
    count: usize,
}

impl At {
    /// All vectors of `rows` rows. (Kernels loop over them: a closure would be compiled without the instruction set.)
    #[inline(always)]
    fn all(rows: usize, hidden: usize, lanes: usize) -> impl Iterator<Item = At> {
        let vectors = hidden.div_ceil(lanes);
        (0..rows * vectors).map(move |i| {
            let (row, start) = (i / vectors, i % vectors * lanes);
            At {
                row,
                hidden,
                start,
                count: (hidden - start).min(lanes),
            }
        })
    }

    /// Its elements in block `block` of a row of `blocks` blocks.
    #[inline(always)]
    fn range(self, blocks: usize, block: usize) -> Range<usize> {
        let start = (self.row * blocks + block) * self.hidden + self.start;
        start..start + self.count
    }
}

#[inline(always)]
fn get<S: Simd>(s: S, data: &[S::Elem], range: Range<usize>) -> S::Vector {
    let part = &data[range];
    // SAFETY: the slice's own length, which is at most LANES.
    unsafe { s.load_partial(part.as_ptr(), part.len()) }
}

#[inline(always)]
fn put<S: Simd>(s: S, data: &mut [S::Elem], range: Range<usize>, v: S::Vector) {
    let part = &mut data[range];
    // SAFETY: the slice's own length, which is at most LANES.
    unsafe { s.store_partial(part.as_mut_ptr(), v, part.len()) }
}

impl<T: Real> Step<'_, T> {
    /// The input's and the hidden state's part of a gate, added.
    #[inline(always)]
    fn gate<S: Simd<Elem = T>>(&self, s: S, at: At, gate: usize) -> S::Vector {
        let range = at.range(self.kind.gates(), gate);
        s.add(get(s, self.gates, range.clone()), get(s, self.recurrent, range))
    }

    #[inline(always)]
    fn keep<S: Simd<Elem = T>>(&mut self, s: S, at: At, block: usize, v: S::Vector) {
        if !self.kept.is_empty() {
            put(s, self.kept, at.range(self.kind.kept(), block), v);
        }
    }
}

impl<T: Real> WithSimd<T> for Step<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(mut self, s: S) {
        for at in At::all(self.h.len() / self.hidden, self.hidden, S::LANES) {
            let state = at.range(1, 0);
            let new = match self.kind {
                RnnKind::Lstm => {
                    let i = sigmoid(s, self.gate(s, at, 0));
                    let f = sigmoid(s, self.gate(s, at, 1));
                    let g = tanh(s, self.gate(s, at, 2));
                    let o = sigmoid(s, self.gate(s, at, 3));
                    let cell = s.mul_add(f, get(s, self.c, state.clone()), s.mul(i, g));
                    put(s, self.c, state.clone(), cell);
                    self.keep(s, at, 0, i);
                    self.keep(s, at, 1, f);
                    self.keep(s, at, 2, g);
                    self.keep(s, at, 3, o);
                    self.keep(s, at, 4, cell);
                    s.mul(o, tanh(s, cell))
                }
                RnnKind::Gru => {
                    let r = sigmoid(s, self.gate(s, at, 0));
                    let z = sigmoid(s, self.gate(s, at, 1));
                    let inner = get(s, self.recurrent, at.range(3, 2));
                    let n = tanh(s, s.mul_add(r, inner, get(s, self.gates, at.range(3, 2))));
                    self.keep(s, at, 0, r);
                    self.keep(s, at, 1, z);
                    self.keep(s, at, 2, n);
                    self.keep(s, at, 3, inner);
                    s.mul_add(z, s.sub(get(s, self.h, state.clone()), n), n)
                }
                RnnKind::Tanh => tanh(s, self.gate(s, at, 0)),
                RnnKind::Relu => s.max(s.splat(T::ZERO), self.gate(s, at, 0)),
            };
            put(s, self.h, state, new);
        }
    }
}

/// A backward step of some rows: from the gradient of the new states to those of the gates and the old states.
pub(super) struct StepBackward<'a, T> {
    pub(super) kind: RnnKind,
    pub(super) hidden: usize,
    /// The new hidden state, and the one before.
    pub(super) out: &'a [T],
    pub(super) h: &'a [T],
    /// The cell before; empty but for an LSTM.
    pub(super) c: &'a [T],
    pub(super) kept: &'a [T],
    /// `[rows, hidden]`: the gradient of the output of this step.
    pub(super) grad_out: &'a [T],
    /// The gradient of the new hidden state from later steps; becomes the part of the old one's that does not pass
    /// through the gates.
    pub(super) grad_h: &'a mut [T],
    /// The gradient of the new cell; becomes that of the old one.
    pub(super) grad_c: &'a mut [T],
    /// `[rows, gates · hidden]`: the gradients of the input's parts.
    pub(super) grad_gates: &'a mut [T],
    /// Those of the recurrent parts where they differ, which is for a GRU; empty otherwise.
    pub(super) grad_recurrent: &'a mut [T],
}

/// σ' = y (1 − y) of an activated value.
#[inline(always)]
fn sigmoid_slope<S: Simd>(s: S, y: S::Vector) -> S::Vector {
    s.mul(y, s.sub(s.splat(S::Elem::ONE), y))
}

/// tanh' = 1 − y² of an activated value.
#[inline(always)]
fn tanh_slope<S: Simd>(s: S, y: S::Vector) -> S::Vector {
    s.sub(s.splat(S::Elem::ONE), s.mul(y, y))
}

impl<T: Real> WithSimd<T> for StepBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let StepBackward {
            kind,
            hidden,
            out,
            h,
            c,
            kept,
            grad_out,
            grad_h,
            grad_c,
            grad_gates,
            grad_recurrent,
        } = self;
        let zero = s.splat(T::ZERO);
        if kind == RnnKind::Relu {
            for (i, gate) in grad_gates.iter_mut().enumerate() {
                *gate = if out[i] > T::ZERO {
                    grad_out[i] + grad_h[i]
                } else {
                    T::ZERO
                };
                grad_h[i] = T::ZERO;
            }
            return;
        }
        for at in At::all(grad_h.len() / hidden, hidden, S::LANES) {
            let state = at.range(1, 0);
            let grad = s.add(get(s, grad_out, state.clone()), get(s, grad_h, state.clone()));
            match kind {
                RnnKind::Lstm => {
                    let (i, f) = (get(s, kept, at.range(5, 0)), get(s, kept, at.range(5, 1)));
                    let (g, o) = (get(s, kept, at.range(5, 2)), get(s, kept, at.range(5, 3)));
                    let cell = tanh(s, get(s, kept, at.range(5, 4)));
                    let later = get(s, grad_c, state.clone());
                    let grad_cell = s.mul_add(s.mul(grad, o), tanh_slope(s, cell), later);
                    let before = get(s, c, state.clone());
                    let grad_i = s.mul(s.mul(grad_cell, g), sigmoid_slope(s, i));
                    let grad_f = s.mul(s.mul(grad_cell, before), sigmoid_slope(s, f));
                    let grad_g = s.mul(s.mul(grad_cell, i), tanh_slope(s, g));
                    let grad_o = s.mul(s.mul(grad, cell), sigmoid_slope(s, o));
                    put(s, grad_gates, at.range(4, 0), grad_i);
                    put(s, grad_gates, at.range(4, 1), grad_f);
                    put(s, grad_gates, at.range(4, 2), grad_g);
                    put(s, grad_gates, at.range(4, 3), grad_o);
                    put(s, grad_c, state.clone(), s.mul(grad_cell, f));
                    put(s, grad_h, state, zero);
                }
                RnnKind::Gru => {
                    let (r, z) = (get(s, kept, at.range(4, 0)), get(s, kept, at.range(4, 1)));
                    let (n, inner) = (get(s, kept, at.range(4, 2)), get(s, kept, at.range(4, 3)));
                    let one = s.splat(T::ONE);
                    let grad_n = s.mul(s.mul(grad, s.sub(one, z)), tanh_slope(s, n));
                    let change = s.sub(get(s, h, state.clone()), n);
                    let grad_z = s.mul(s.mul(grad, change), sigmoid_slope(s, z));
                    let grad_r = s.mul(s.mul(grad_n, inner), sigmoid_slope(s, r));
                    put(s, grad_gates, at.range(3, 0), grad_r);
                    put(s, grad_gates, at.range(3, 1), grad_z);
                    put(s, grad_gates, at.range(3, 2), grad_n);
                    put(s, grad_recurrent, at.range(3, 0), grad_r);
                    put(s, grad_recurrent, at.range(3, 1), grad_z);
                    put(s, grad_recurrent, at.range(3, 2), s.mul(grad_n, r));
                    put(s, grad_h, state, s.mul(grad, z));
                }
                RnnKind::Tanh | RnnKind::Relu => {
                    let slope = tanh_slope(s, get(s, out, state.clone()));
                    put(s, grad_gates, state.clone(), s.mul(grad, slope));
                    put(s, grad_h, state, zero);
                }
            }
        }
    }
}
