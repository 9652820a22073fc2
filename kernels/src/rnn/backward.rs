//! The gradients of a recurrent sequence: back through the steps, and after every few hundred rows the products for the
//! input and the weights, while the gradients of the gates are in the cache.

use super::cell::StepBackward;
use super::product::{GAP, Packed, Plus, product};
use super::{RnnKind, RnnShape, RnnWeights, rows_of, span};
use crate::element::instantiate;
use crate::gemm::{Epilogue, MatRef, gemm};
use crate::mem::Buf;
use crate::pool::{SendPtr, parallel_chunks_mut};
use crate::simd;
use crate::simd::Real;

/// Where the gradients go; each has the size of what it is the gradient of.
#[derive(Debug)]
pub struct RnnGradients<'a, T> {
    /// Of the input.
    pub x: &'a mut [T],
    /// Of the first hidden state.
    pub h0: &'a mut [T],
    /// Of the first cell; empty but for an LSTM.
    pub c0: &'a mut [T],
    /// Of the weights.
    pub w_ih: &'a mut [T],
    /// Of the recurrent weights.
    pub w_hh: &'a mut [T],
    /// Of the bias, if wanted.
    pub b_ih: Option<&'a mut [T]>,
    /// Of the recurrent bias, if wanted.
    pub b_hh: Option<&'a mut [T]>,
}

/// Rows of which the gradients of the input and of the weights are made at a time: they stay in the caches, and fewer rows are
/// one product each. Part of what defines the bits of the weights' gradients.
const ROWS_TOGETHER: usize = 1024;

instantiate! {
    trait Kernels for f32, f64 where Real;

    /// All gradients of [`rnn_forward`](super::rnn_forward), given its inputs, its `out` and `reserve`, and the gradients
    /// of `out`, `h_n` and `c_n`.
    ///
    /// # Panics
    /// If a slice does not have its size.
    pub fn rnn_backward(
        shape: &RnnShape<'_>,
        weights: &RnnWeights<'_, T>,
        x: &[T],
        h0: &[T],
        c0: &[T],
        out: &[T],
        reserve: &[T],
        grad_out: &[T],
        grad_h_n: &[T],
        grad_c_n: &[T],
        gradients: RnnGradients<'_, T>,
    ) {
        shape.check(weights, x, [("h", h0), ("c", c0)]);
        shape.check(weights, gradients.x, [("h", gradients.h0), ("c", gradients.c0)]);
        shape.check(weights, x, [("h", grad_h_n), ("c", grad_c_n)]);
        let (rows, hidden) = (shape.rows(), shape.hidden);
        assert_eq!(
            [out.len(), grad_out.len()],
            [rows * hidden; 2],
            "rnn: the size of the output or its gradient"
        );
        assert_eq!(reserve.len(), shape.reserve_len(), "rnn: the size of the reserve");
        assert_eq!(
            [gradients.w_ih.len(), gradients.w_hh.len()],
            [weights.w_ih.len(), weights.w_hh.len()],
            "rnn: the sizes of the weights' gradients"
        );
        let width = shape.kind.gates() * hidden;
        let RnnGradients {
            x: grad_x,
            h0: grad_h,
            c0: grad_c,
            w_ih: grad_w_ih,
            w_hh: grad_w_hh,
            mut b_ih,
            mut b_hh,
        } = gradients;
        for bias in [&mut b_ih, &mut b_hh].into_iter().flatten() {
            assert_eq!(bias.len(), width, "rnn: the size of a bias's gradient");
            bias.fill(T::ZERO);
        }
        grad_h.copy_from_slice(grad_h_n);
        grad_c.copy_from_slice(grad_c_n);
        if rows == 0 || hidden == 0 {
            return [grad_x, grad_w_ih, grad_w_hh]
                .into_iter()
                .for_each(|grad| grad.fill(T::ZERO));
        }

        let order = shape.order();
        let together = (ROWS_TOGETHER / shape.batch()).max(1);
        let most = together.min(order.len()) * shape.batch();
        let is_gru = shape.kind == RnnKind::Gru;
        let stride = width + GAP;
        let mut grad_gates = Buf::<T>::take(most * stride);
        let mut grad_recurrent = Buf::<T>::take(if is_gru { most * stride } else { 0 });
        let (mut h_before, mut c_before) = (Buf::<T>::take(most * hidden), Buf::<T>::take(c0.len()));
        let w_ih = Packed::new(MatRef::row_major(weights.w_ih, width, shape.input));
        let w_hh = Packed::new(MatRef::row_major(weights.w_hh, width, hidden));
        let plain = Epilogue::default();
        let add = Epilogue {
            beta: T::ONE,
            ..plain
        };
        let kept = shape.kind.kept() * hidden;
        for end in (1..=order.len()).rev().step_by(together) {
            let steps = end.saturating_sub(together)..end;
            let (first, rows) = span(&order[steps.clone()]);
            let states = [&mut *grad_h, &mut *grad_c, &mut *h_before, &mut *c_before];
            let [h, c, h_states, c_states] = states.map(|data| SendPtr(data.as_mut_ptr()));
            let [gates, through] = [&mut *grad_gates, &mut *grad_recurrent].map(|data| SendPtr(data.as_mut_ptr()));
            shape.in_parts::<T>(&order, steps.rev(), |i, part| {
                let (at, count) = (order[i].0 + part.start, part.len());
                // SAFETY: this task alone accesses these sequences, whose rows lie inside each slice, as has been checked.
                let (grad_h, grad_c, h, c, grad_gates, grad_recurrent) = unsafe {
                    let here = at - first..at - first + count;
                    let cell = if c0.is_empty() { 0 } else { hidden };
                    (
                        rows_of(h, part.clone(), hidden),
                        rows_of(c, part.clone(), cell),
                        rows_of(h_states, here.clone(), hidden),
                        rows_of(c_states, part.clone(), cell),
                        rows_of(gates, here.clone(), stride),
                        rows_of(through, here, if is_gru { stride } else { 0 }),
                    )
                };
                // A sequence that was not there at the previous step of this direction begins here.
                let (from, there) = i.checked_sub(1).map_or((0, 0), |i| order[i]);
                let from = from + part.start.min(there)..from + part.end.min(there);
                let there = part.start + from.len();
                let (continued, begun) = h.split_at_mut(from.len() * hidden);
                continued.copy_from_slice(&out[from.start * hidden..from.end * hidden]);
                begun.copy_from_slice(&h0[there * hidden..part.end * hidden]);
                if !c0.is_empty() {
                    let (continued, begun) = c.split_at_mut(from.len() * hidden);
                    for (row, to) in from.zip(continued.chunks_exact_mut(hidden)) {
                        to.copy_from_slice(&reserve[row * kept + 4 * hidden..][..hidden]);
                    }
                    begun.copy_from_slice(&c0[there * hidden..part.end * hidden]);
                }
                let rows = at * hidden..(at + count) * hidden;
                T::dispatch(StepBackward {
                    kind: shape.kind,
                    hidden,
                    out: &out[rows.clone()],
                    h,
                    c,
                    kept: &reserve[at * kept..][..count * kept],
                    grad_out: &grad_out[rows],
                    grad_h,
                    grad_c,
                    stride,
                    grad_gates,
                    grad_recurrent,
                });
                let through = if is_gru { grad_recurrent } else { grad_gates };
                product(through, stride, &w_hh, grad_h, Plus::Itself);
            });

            let grad_recurrent = if is_gru { &grad_recurrent } else { &grad_gates };
            let [input, recurrent] =
                [&grad_gates, grad_recurrent].map(|grad| MatRef::new(grad, rows, width, stride, 1));
            let x_rows = first * shape.input..(first + rows) * shape.input;
            product(&grad_gates, stride, &w_ih, &mut grad_x[x_rows.clone()], Plus::Nothing);
            let sum = if end == order.len() { &plain } else { &add };
            let x = MatRef::row_major(&x[x_rows], rows, shape.input);
            gemm(input.transposed(), x, grad_w_ih, shape.input, sum);
            let h = MatRef::row_major(&h_before, rows, hidden);
            gemm(recurrent.transposed(), h, grad_w_hh, hidden, sum);
            if let Some(grad) = &mut b_ih {
                add_rows(&grad_gates[..rows * stride], stride, grad);
            }
            if let (Some(grad), true) = (&mut b_hh, is_gru || b_ih.is_none()) {
                add_rows(&grad_recurrent[..rows * stride], stride, grad);
            }
        }
        // Both biases are added to the same gates, but for n of a GRU.
        if let (Some(from), Some(to), false) = (b_ih, b_hh, is_gru) {
            to.copy_from_slice(from);
        }
    }
}

/// Adds the rows of a matrix, `stride` elements apart, to `sums`, in their order.
fn add_rows<T: Real>(matrix: &[T], stride: usize, sums: &mut [T]) {
    let width = sums.len().div_ceil(8).max(64);
    parallel_chunks_mut(sums, width, |start, sums| {
        add_columns(matrix, stride, start, sums)
    });
}

simd! {
    fn add_columns[T: Real](matrix: &[T], stride: usize, start: usize, sums: &mut [T]) {
        for row in matrix.chunks_exact(stride) {
            sums.iter_mut().zip(&row[start..]).for_each(|(s, &x)| *s += x);
        }
    }
}
