//! One step of a recurrent layer, element-wise: from gates to states, and the way back.

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

/// A vector of a row: its elements are cut into vectors, of which the last may not be `WHOLE`.
#[derive(Clone, Copy)]
struct At<S, const WHOLE: bool> {
    simd: S,
    row: usize,
    hidden: usize,
    start: usize,
    count: usize,
}

impl<S: Simd, const WHOLE: bool> At<S, WHOLE> {
    /// Its elements of block `block`, in rows of `blocks` blocks.
    #[inline(always)]
    fn get(self, data: &[S::Elem], blocks: usize, block: usize) -> S::Vector {
        let part = &data[(self.row * blocks + block) * self.hidden + self.start..][..self.count];
        // SAFETY: the slice's own length, which is that of a vector if it is whole and less otherwise.
        unsafe {
            if WHOLE {
                self.simd.load(part.as_ptr())
            } else {
                self.simd.load_partial(part.as_ptr(), part.len())
            }
        }
    }

    #[inline(always)]
    fn put(self, data: &mut [S::Elem], blocks: usize, block: usize, v: S::Vector) {
        self.put_apart(data, blocks * self.hidden, block, v)
    }

    /// The same, with rows `stride` elements apart.
    #[inline(always)]
    fn put_apart(self, data: &mut [S::Elem], stride: usize, block: usize, v: S::Vector) {
        let part = &mut data[self.row * stride + block * self.hidden + self.start..][..self.count];
        // SAFETY: as in `get`.
        unsafe {
            if WHOLE {
                self.simd.store(part.as_mut_ptr(), v)
            } else {
                self.simd.store_partial(part.as_mut_ptr(), v, part.len())
            }
        }
    }
}

/// What is to be done with every vector of some rows. (A trait, because a closure would be compiled without the
/// instruction set.)
trait ForEachVector<T: Real> {
    fn vector<S: Simd<Elem = T>, const WHOLE: bool>(&mut self, at: At<S, WHOLE>);

    #[inline(always)]
    fn all<S: Simd<Elem = T>>(&mut self, simd: S, rows: usize, hidden: usize) {
        let whole = hidden - hidden % S::LANES;
        for row in 0..rows {
            for start in (0..whole).step_by(S::LANES) {
                self.vector(At::<S, true> {
                    simd,
                    row,
                    hidden,
                    start,
                    count: S::LANES,
                });
            }
            if whole < hidden {
                self.vector(At::<S, false> {
                    simd,
                    row,
                    hidden,
                    start: whole,
                    count: hidden - whole,
                });
            }
        }
    }
}

impl<T: Real> Step<'_, T> {
    /// The input's and the hidden state's part of a gate, added.
    #[inline(always)]
    fn gate<S: Simd<Elem = T>, const WHOLE: bool>(&self, at: At<S, WHOLE>, gate: usize) -> S::Vector {
        let gates = self.kind.gates();
        at.simd.add(
            at.get(self.gates, gates, gate),
            at.get(self.recurrent, gates, gate),
        )
    }

    #[inline(always)]
    fn keep<S: Simd<Elem = T>, const WHOLE: bool>(&mut self, at: At<S, WHOLE>, values: &[S::Vector]) {
        if !self.kept.is_empty() {
            for (block, &v) in values.iter().enumerate() {
                at.put(self.kept, self.kind.kept(), block, v);
            }
        }
    }
}

impl<T: Real> WithSimd<T> for Step<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(mut self, s: S) {
        self.all(s, self.h.len() / self.hidden, self.hidden);
    }
}

impl<T: Real> ForEachVector<T> for Step<'_, T> {
    #[inline(always)]
    fn vector<S: Simd<Elem = T>, const WHOLE: bool>(&mut self, at: At<S, WHOLE>) {
        let s = at.simd;
        let new = match self.kind {
            RnnKind::Lstm => {
                let i = sigmoid(s, self.gate(at, 0));
                let f = sigmoid(s, self.gate(at, 1));
                let g = tanh(s, self.gate(at, 2));
                let o = sigmoid(s, self.gate(at, 3));
                let cell = s.mul_add(f, at.get(self.c, 1, 0), s.mul(i, g));
                at.put(self.c, 1, 0, cell);
                self.keep(at, &[i, f, g, o, cell]);
                s.mul(o, tanh(s, cell))
            }
            RnnKind::Gru => {
                let r = sigmoid(s, self.gate(at, 0));
                let z = sigmoid(s, self.gate(at, 1));
                let inner = at.get(self.recurrent, 3, 2);
                let n = tanh(s, s.mul_add(r, inner, at.get(self.gates, 3, 2)));
                self.keep(at, &[r, z, n, inner]);
                s.mul_add(z, s.sub(at.get(self.h, 1, 0), n), n)
            }
            RnnKind::Tanh => tanh(s, self.gate(at, 0)),
            RnnKind::Relu => s.max(s.splat(T::ZERO), self.gate(at, 0)),
        };
        at.put(self.h, 1, 0, new);
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
    /// From one row of the gates' gradients to the next.
    pub(super) stride: usize,
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
    fn run<S: Simd<Elem = T>>(mut self, s: S) {
        if self.kind != RnnKind::Relu {
            return self.all(s, self.grad_h.len() / self.hidden, self.hidden);
        }
        for row in 0..self.grad_h.len() / self.hidden {
            for j in 0..self.hidden {
                let i = row * self.hidden + j;
                self.grad_gates[row * self.stride + j] = if self.out[i] > T::ZERO {
                    self.grad_out[i] + self.grad_h[i]
                } else {
                    T::ZERO
                };
                self.grad_h[i] = T::ZERO;
            }
        }
    }
}

impl<T: Real> ForEachVector<T> for StepBackward<'_, T> {
    #[inline(always)]
    fn vector<S: Simd<Elem = T>, const WHOLE: bool>(&mut self, at: At<S, WHOLE>) {
        let s = at.simd;
        let grad = s.add(at.get(self.grad_out, 1, 0), at.get(self.grad_h, 1, 0));
        match self.kind {
            RnnKind::Lstm => {
                let (i, f) = (at.get(self.kept, 5, 0), at.get(self.kept, 5, 1));
                let (g, o) = (at.get(self.kept, 5, 2), at.get(self.kept, 5, 3));
                let cell = tanh(s, at.get(self.kept, 5, 4));
                let later = at.get(self.grad_c, 1, 0);
                let grad_cell = s.mul_add(s.mul(grad, o), tanh_slope(s, cell), later);
                let before = at.get(self.c, 1, 0);
                let grad_i = s.mul(s.mul(grad_cell, g), sigmoid_slope(s, i));
                let grad_f = s.mul(s.mul(grad_cell, before), sigmoid_slope(s, f));
                let grad_g = s.mul(s.mul(grad_cell, i), tanh_slope(s, g));
                let grad_o = s.mul(s.mul(grad, cell), sigmoid_slope(s, o));
                at.put_apart(self.grad_gates, self.stride, 0, grad_i);
                at.put_apart(self.grad_gates, self.stride, 1, grad_f);
                at.put_apart(self.grad_gates, self.stride, 2, grad_g);
                at.put_apart(self.grad_gates, self.stride, 3, grad_o);
                at.put(self.grad_c, 1, 0, s.mul(grad_cell, f));
                at.put(self.grad_h, 1, 0, s.splat(T::ZERO));
            }
            RnnKind::Gru => {
                let (r, z) = (at.get(self.kept, 4, 0), at.get(self.kept, 4, 1));
                let (n, inner) = (at.get(self.kept, 4, 2), at.get(self.kept, 4, 3));
                let one = s.splat(T::ONE);
                let grad_n = s.mul(s.mul(grad, s.sub(one, z)), tanh_slope(s, n));
                let change = s.sub(at.get(self.h, 1, 0), n);
                let grad_z = s.mul(s.mul(grad, change), sigmoid_slope(s, z));
                let grad_r = s.mul(s.mul(grad_n, inner), sigmoid_slope(s, r));
                at.put_apart(self.grad_gates, self.stride, 0, grad_r);
                at.put_apart(self.grad_gates, self.stride, 1, grad_z);
                at.put_apart(self.grad_gates, self.stride, 2, grad_n);
                at.put_apart(self.grad_recurrent, self.stride, 0, grad_r);
                at.put_apart(self.grad_recurrent, self.stride, 1, grad_z);
                at.put_apart(self.grad_recurrent, self.stride, 2, s.mul(grad_n, r));
                at.put(self.grad_h, 1, 0, s.mul(grad, z));
            }
            RnnKind::Tanh | RnnKind::Relu => {
                let slope = tanh_slope(s, at.get(self.out, 1, 0));
                at.put_apart(self.grad_gates, self.stride, 0, s.mul(grad, slope));
                at.put(self.grad_h, 1, 0, s.splat(T::ZERO));
            }
        }
    }
}
