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
    /// `[rows, kept · hidden]`.
    pub(super) kept: &'a mut [T],
}

/// A vector of a row: `hidden` elements are cut into vectors, the last of which may be partial.
#[derive(Clone, Copy)]
struct At {
    offset: usize,
    count: usize,
}

#[inline(always)]
fn get<S: Simd>(s: S, data: &[S::Elem], at: At) -> S::Vector {
    let part = &data[at.offset..at.offset + at.count];
    // SAFETY: the slice's own length, which is at most LANES.
    unsafe {
        if at.count == S::LANES {
            s.load(part.as_ptr())
        } else {
            s.load_partial(part.as_ptr(), at.count)
        }
    }
}

#[inline(always)]
fn put<S: Simd>(s: S, data: &mut [S::Elem], at: At, v: S::Vector) {
    let part = &mut data[at.offset..at.offset + at.count];
    // SAFETY: the slice's own length, which is at most LANES.
    unsafe {
        if at.count == S::LANES {
            s.store(part.as_mut_ptr(), v)
        } else {
            s.store_partial(part.as_mut_ptr(), v, at.count)
        }
    }
}

/// Calls `f(row, vector)` where `vector(blocks, block)` is the vector's place in a row of so many blocks.
#[inline(always)]
fn for_each_vector(rows: usize, hidden: usize, lanes: usize, mut f: impl FnMut(&dyn Fn(usize, usize) -> At)) {
    for row in 0..rows {
        for j in (0..hidden).step_by(lanes) {
            let count = (hidden - j).min(lanes);
            f(&|blocks, block| At {
                offset: (row * blocks + block) * hidden + j,
                count,
            });
        }
    }
}

impl<T: Real> WithSimd<T> for Step<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let Step {
            kind,
            hidden,
            gates,
            recurrent,
            h,
            c,
            kept,
        } = self;
        let gates_per_row = kind.gates();
        for_each_vector(h.len() / hidden, hidden, S::LANES, |at| {
            let input = |gate: usize| get(s, gates, at(gates_per_row, gate));
            let own = |gate: usize| get(s, recurrent, at(gates_per_row, gate));
            let gate = |gate: usize| s.add(input(gate), own(gate));
            let state = at(1, 0);
            let new = match kind {
                RnnKind::Lstm => {
                    let (i, f) = (sigmoid(s, gate(0)), sigmoid(s, gate(1)));
                    let (g, o) = (tanh(s, gate(2)), sigmoid(s, gate(3)));
                    let cell = s.mul_add(f, get(s, c, state), s.mul(i, g));
                    put(s, c, state, cell);
                    for (block, value) in [i, f, g, o, cell].into_iter().enumerate() {
                        put(s, kept, at(5, block), value);
                    }
                    s.mul(o, tanh(s, cell))
                }
                RnnKind::Gru => {
                    let (r, z) = (sigmoid(s, gate(0)), sigmoid(s, gate(1)));
                    let inner = own(2);
                    let n = tanh(s, s.mul_add(r, inner, input(2)));
                    for (block, value) in [r, z, n, inner].into_iter().enumerate() {
                        put(s, kept, at(4, block), value);
                    }
                    s.mul_add(z, s.sub(get(s, h, state), n), n)
                }
                RnnKind::Tanh => tanh(s, gate(0)),
                RnnKind::Relu => s.max(s.splat(T::ZERO), gate(0)),
            };
            put(s, h, state, new);
        });
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
        let (one, zero) = (s.splat(T::ONE), s.splat(T::ZERO));
        // σ' = y (1 − y) and tanh' = 1 − y² of the activated values.
        let sigmoid_slope = |y: S::Vector| s.mul(y, s.sub(one, y));
        let tanh_slope = |y: S::Vector| s.sub(one, s.mul(y, y));
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
        for_each_vector(grad_h.len() / hidden, hidden, S::LANES, |at| {
            let state = at(1, 0);
            let grad = s.add(get(s, grad_out, state), get(s, grad_h, state));
            let keep = |block: usize| get(s, kept, at(kind.kept(), block));
            match kind {
                RnnKind::Lstm => {
                    let [i, f, g, o] = [keep(0), keep(1), keep(2), keep(3)];
                    let cell = tanh(s, keep(4));
                    let grad_cell = s.mul_add(s.mul(grad, o), tanh_slope(cell), get(s, grad_c, state));
                    let gates = [
                        s.mul(s.mul(grad_cell, g), sigmoid_slope(i)),
                        s.mul(s.mul(grad_cell, get(s, c, state)), sigmoid_slope(f)),
                        s.mul(s.mul(grad_cell, i), tanh_slope(g)),
                        s.mul(s.mul(grad, cell), sigmoid_slope(o)),
                    ];
                    for (block, value) in gates.into_iter().enumerate() {
                        put(s, grad_gates, at(4, block), value);
                    }
                    put(s, grad_c, state, s.mul(grad_cell, f));
                    put(s, grad_h, state, zero);
                }
                RnnKind::Gru => {
                    let [r, z, n, inner] = [keep(0), keep(1), keep(2), keep(3)];
                    let grad_n = s.mul(s.mul(grad, s.sub(one, z)), tanh_slope(n));
                    let grad_z = s.mul(s.mul(grad, s.sub(get(s, h, state), n)), sigmoid_slope(z));
                    let grad_r = s.mul(s.mul(grad_n, inner), sigmoid_slope(r));
                    for (block, value) in [grad_r, grad_z, grad_n].into_iter().enumerate() {
                        put(s, grad_gates, at(3, block), value);
                    }
                    for (block, value) in [grad_r, grad_z, s.mul(grad_n, r)].into_iter().enumerate() {
                        put(s, grad_recurrent, at(3, block), value);
                    }
                    put(s, grad_h, state, s.mul(grad, z));
                }
                RnnKind::Tanh | RnnKind::Relu => {
                    put(s, grad_gates, state, s.mul(grad, tanh_slope(get(s, out, state))));
                    put(s, grad_h, state, zero);
                }
            }
        });
    }
}
