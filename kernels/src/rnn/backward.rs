//! The gradients of a recurrent sequence: back through the steps, then one product for each weight.

use super::cell::StepBackward;
use super::{RnnKind, RnnShape, RnnWeights, sum_rows};
use crate::element::instantiate;
use crate::gemm::{Epilogue, MatRef, PackedB, gemm, gemm_packed};
use crate::mem::Buf;
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
            b_ih,
            b_hh,
        } = gradients;
        for bias in [&b_ih, &b_hh].into_iter().flatten() {
            assert_eq!(bias.len(), width, "rnn: the size of a bias's gradient");
        }
        grad_h.copy_from_slice(grad_h_n);
        grad_c.copy_from_slice(grad_c_n);

        let before = States::new(shape, out, h0, c0, reserve);
        let mut grad_gates = Buf::<T>::take(rows * width);
        let mut grad_recurrent = Buf::<T>::take(if shape.kind == RnnKind::Gru {
            rows * width
        } else {
            0
        });
        if rows > 0 && hidden > 0 {
            let w_hh = PackedB::new(MatRef::row_major(weights.w_hh, width, hidden));
            let add = Epilogue {
                beta: T::ONE,
                ..Epilogue::default()
            };
            let kept = shape.kind.kept() * hidden;
            for (start, count) in shape.order().into_iter().rev() {
                let states = start * hidden..(start + count) * hidden;
                let gates = start * width..(start + count) * width;
                T::dispatch(StepBackward {
                    kind: shape.kind,
                    hidden,
                    out: &out[states.clone()],
                    h: &before.h[states.clone()],
                    c: if before.c.is_empty() {
                        &[]
                    } else {
                        &before.c[states.clone()]
                    },
                    kept: &reserve[start * kept..][..count * kept],
                    grad_out: &grad_out[states],
                    grad_h: &mut grad_h[..count * hidden],
                    grad_c,
                    grad_gates: &mut grad_gates[gates.clone()],
                    grad_recurrent: if grad_recurrent.is_empty() {
                        &mut []
                    } else {
                        &mut grad_recurrent[gates.clone()]
                    },
                });
                let through = if grad_recurrent.is_empty() {
                    &grad_gates[gates]
                } else {
                    &grad_recurrent[gates]
                };
                let through = MatRef::row_major(through, count, width);
                gemm_packed(through, &w_hh, &mut grad_h[..count * hidden], hidden, &add);
            }
        }
        let input = MatRef::row_major(&grad_gates, rows, width);
        let recurrent = if grad_recurrent.is_empty() {
            input
        } else {
            MatRef::row_major(&grad_recurrent, rows, width)
        };
        let plain = Epilogue::default();
        gemm(
            input,
            MatRef::row_major(weights.w_ih, width, shape.input),
            grad_x,
            shape.input,
            &plain,
        );
        gemm(
            input.transposed(),
            MatRef::row_major(x, rows, shape.input),
            grad_w_ih,
            shape.input,
            &plain,
        );
        gemm(
            recurrent.transposed(),
            MatRef::row_major(&before.h, rows, hidden),
            grad_w_hh,
            hidden,
            &plain,
        );
        if let Some(grad) = b_ih {
            sum_rows(input.data, width, grad);
        }
        if let Some(grad) = b_hh {
            sum_rows(recurrent.data, width, grad);
        }
    }
}

/// The states before each step, row by row.
struct States<T: Real> {
    /// `[rows, hidden]`.
    h: Buf<T>,
    /// The same for an LSTM, else empty.
    c: Buf<T>,
}

impl<T: Real> States<T> {
    fn new(shape: &RnnShape<'_>, out: &[T], h0: &[T], c0: &[T], reserve: &[T]) -> Self {
        let (rows, hidden) = (shape.rows(), shape.hidden);
        let lstm = shape.kind == RnnKind::Lstm;
        let (mut h, mut c) = (
            Buf::take(rows * hidden),
            Buf::take(if lstm { rows * hidden } else { 0 }),
        );
        let mut previous: Option<(usize, usize)> = None;
        for (start, count) in shape.order() {
            for row in 0..count {
                let to = (start + row) * hidden..(start + row + 1) * hidden;
                // A sequence that was not there at the previous step of this direction begins here.
                match previous.filter(|&(_, there)| row < there) {
                    Some((first, _)) => {
                        let from = first + row;
                        h[to.clone()].copy_from_slice(&out[from * hidden..][..hidden]);
                        if lstm {
                            c[to].copy_from_slice(&reserve[(from * 5 + 4) * hidden..][..hidden]);
                        }
                    }
                    None => {
                        h[to.clone()].copy_from_slice(&h0[row * hidden..][..hidden]);
                        if lstm {
                            c[to].copy_from_slice(&c0[row * hidden..][..hidden]);
                        }
                    }
                }
            }
            previous = Some((start, count));
        }
        States { h, c }
    }
}
