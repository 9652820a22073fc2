//! Recurrent sequences: one layer, one direction, of LSTM, GRU or plain RNN, forward and backward (torch: `nn.LSTM`,
//! `nn.GRU`, `nn.RNN`; with one step `LSTMCell`, `GRUCell`, `RNNCell`).
//!
//! With σ the sigmoid and gates in torch's order:
//!
//! - LSTM `i, f, g, o`: `c' = σ(f)·c + σ(i)·tanh(g)`, `h' = σ(o)·tanh(c')`
//! - GRU `r, z, n`: `n = tanh(x·W_inᵀ + b_in + σ(r)·(h·W_hnᵀ + b_hn))`, `h' = (1 − σ(z))·n + σ(z)·h`
//! - RNN: `h' = tanh(…)` or `h' = relu(…)`
//!
//! Rows are packed as in torch's `PackedSequence`: step t holds the first `steps[t]` sequences, longest first, so that
//! a padded batch is `steps = [batch; time]`. The input's part of the gates is one product for many steps, and so are
//! the gradients of the input and of the weights. Directions of a bidirectional layer are independent calls,
//! which may run side by side.

mod backward;
mod cell;
mod product;

pub use backward::{RnnGradients, rnn_backward};

/// Everything of this module that is compiled for an element type in this crate.
#[doc(hidden)]
pub trait RealKernels<T: crate::element::Pod>: Kernels<T> + backward::Kernels<T> {}
impl RealKernels<f32> for f32 {}
impl RealKernels<f64> for f64 {}

use std::ops::Range;

use crate::element::instantiate;
use crate::gemm::MatRef;
use crate::mem::Buf;
use crate::pool::{SendPtr, available_threads, parallel_for};
use crate::simd::Real;
use cell::Step;
use product::{Packed, product};

/// The kind of a recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RnnKind {
    /// Long short-term memory.
    Lstm,
    /// Gated recurrent unit.
    Gru,
    /// `tanh`.
    Tanh,
    /// `relu`.
    Relu,
}

impl RnnKind {
    /// Blocks of `hidden` rows in the weights.
    pub fn gates(self) -> usize {
        match self {
            RnnKind::Lstm => 4,
            RnnKind::Gru => 3,
            RnnKind::Tanh | RnnKind::Relu => 1,
        }
    }

    /// Blocks of `hidden` values that the forward pass keeps per row for the backward pass: the activated gates and
    /// the cell of an LSTM; of a GRU the gates and the recurrent part of n.
    fn kept(self) -> usize {
        match self {
            RnnKind::Lstm => 5,
            RnnKind::Gru => 4,
            RnnKind::Tanh | RnnKind::Relu => 0,
        }
    }
}

/// Elements of gates that are made before the steps which use them: a part of the second-level cache.
const GATE_ELEMENTS: usize = 1 << 17;

/// Bytes of recurrent weights up to which every thread may read all of them at every step: they stay in its own cache.
const SHARED_WEIGHTS: usize = 1 << 20;
/// Sequences of a thread from which on it takes them through the steps by itself: the rows of a tile.
const SEQUENCES: usize = 8;

/// Sizes of a sequence.
#[derive(Clone, Copy, Debug)]
pub struct RnnShape<'a> {
    /// The kind of layer.
    pub kind: RnnKind,
    /// Elements of an input row.
    pub input: usize,
    /// Elements of a hidden state.
    pub hidden: usize,
    /// Sequences present at each step, never rising; `steps[0]` is the batch.
    pub steps: &'a [usize],
    /// Whether the last step comes first.
    pub reverse: bool,
}

impl RnnShape<'_> {
    /// Sequences.
    pub fn batch(&self) -> usize {
        self.steps.first().copied().unwrap_or(0)
    }

    /// Rows of the input and of the output: the sum of the steps.
    pub fn rows(&self) -> usize {
        self.steps.iter().sum()
    }

    /// Elements that the forward pass keeps for the backward pass.
    pub fn reserve_len(&self) -> usize {
        self.rows() * self.kind.kept() * self.hidden
    }

    /// `(first row, rows)` of each step, in the order of computation.
    fn order(&self) -> Vec<(usize, usize)> {
        let mut start = 0;
        let mut order: Vec<_> = self
            .steps
            .iter()
            .map(|&rows| {
                start += rows;
                (start - rows, rows)
            })
            .collect();
        if self.reverse {
            order.reverse();
        }
        order
    }

    /// Takes the sequences through some steps of the order: calls `f` with a step and those of its sequences that come together.
    /// Where there are enough of them, every thread takes its own, so that none waits for another after each step; else they
    /// all come together, and `f` may share its work.
    fn in_parts<T>(
        &self,
        order: &[(usize, usize)],
        steps: impl Iterator<Item = usize> + Clone + Sync,
        f: impl Fn(usize, Range<usize>) + Sync,
    ) {
        let most = steps.clone().map(|i| order[i].1).max().unwrap_or(0);
        let threads = available_threads();
        let weights = self.kind.gates() * self.hidden * self.hidden * size_of::<T>();
        let apart = weights <= SHARED_WEIGHTS && most >= threads * SEQUENCES;
        let parts = if apart { threads } else { 1 };
        parallel_for(parts, |part| {
            for i in steps.clone() {
                let [start, end] = [part, part + 1].map(|part| (part * most / parts).min(order[i].1));
                if start < end {
                    f(i, start..end);
                }
            }
        });
    }

    fn check<T: Real>(&self, weights: &RnnWeights<'_, T>, x: &[T], states: [(&str, &[T]); 2]) {
        let gates = self.kind.gates() * self.hidden;
        assert!(
            self.steps.windows(2).all(|w| w[0] >= w[1]),
            "rnn: the number of sequences rises"
        );
        assert_eq!(x.len(), self.rows() * self.input, "rnn: the size of the input");
        assert_eq!(weights.w_ih.len(), gates * self.input, "rnn: the size of w_ih");
        assert_eq!(weights.w_hh.len(), gates * self.hidden, "rnn: the size of w_hh");
        for bias in [weights.b_ih, weights.b_hh].into_iter().flatten() {
            assert_eq!(bias.len(), gates, "rnn: the size of a bias");
        }
        for (name, state) in states {
            assert_eq!(
                state.len(),
                self.state_len(name == "c"),
                "rnn: the size of {name}"
            );
        }
    }

    /// Elements of a state; only an LSTM has a cell.
    fn state_len(&self, cell: bool) -> usize {
        if cell && self.kind != RnnKind::Lstm {
            0
        } else {
            self.batch() * self.hidden
        }
    }
}

/// The first row of some steps, and how many they have.
fn span(steps: &[(usize, usize)]) -> (usize, usize) {
    let first = steps.iter().map(|step| step.0).min().unwrap_or(0);
    (first, steps.iter().map(|step| step.1).sum())
}

/// Some rows of `width` elements.
///
/// # Safety
/// They lie inside the slice that begins at `data`, and nobody else accesses them.
unsafe fn rows_of<'a, T>(data: SendPtr<T>, rows: Range<usize>, width: usize) -> &'a mut [T] {
    // SAFETY: as the caller vouches.
    unsafe { std::slice::from_raw_parts_mut(data.ptr().add(rows.start * width), rows.len() * width) }
}

/// The parameters of a layer and direction.
#[derive(Clone, Copy, Debug)]
pub struct RnnWeights<'a, T> {
    /// `[gates · hidden, input]`.
    pub w_ih: &'a [T],
    /// `[gates · hidden, hidden]`.
    pub w_hh: &'a [T],
    /// `[gates · hidden]`.
    pub b_ih: Option<&'a [T]>,
    /// `[gates · hidden]`.
    pub b_hh: Option<&'a [T]>,
}

instantiate! {
    trait Kernels for f32, f64 where Real;

    /// Runs a sequence.
    ///
    /// # Shapes
    /// `x` `[rows, input]`, `h0` and `h_n` `[batch, hidden]`, `c0` and `c_n` the same for an LSTM and empty otherwise,
    /// `out` `[rows, hidden]`, `reserve` [`RnnShape::reserve_len`], or empty when no backward pass follows.
    ///
    /// # Panics
    /// If a slice does not have its size.
    pub fn rnn_forward(
        shape: &RnnShape<'_>,
        weights: &RnnWeights<'_, T>,
        x: &[T],
        h0: &[T],
        c0: &[T],
        out: &mut [T],
        h_n: &mut [T],
        c_n: &mut [T],
        reserve: &mut [T],
    ) {
        shape.check(weights, x, [("h", h0), ("c", c0)]);
        assert_eq!(
            out.len(),
            shape.rows() * shape.hidden,
            "rnn: the size of the output"
        );
        assert_eq!(
            [h_n.len(), c_n.len()],
            [h0.len(), c0.len()],
            "rnn: the sizes of the last states"
        );
        assert!(
            reserve.is_empty() || reserve.len() == shape.reserve_len(),
            "rnn: the size of the reserve"
        );
        h_n.copy_from_slice(h0);
        c_n.copy_from_slice(c0);
        let (rows, hidden) = (shape.rows(), shape.hidden);
        if rows == 0 || hidden == 0 {
            return;
        }
        let width = shape.kind.gates() * hidden;
        let w_ih = Packed::new(MatRef::row_major(weights.w_ih, width, shape.input).transposed());
        let w_hh = Packed::new(MatRef::row_major(weights.w_hh, width, hidden).transposed());
        let kept = if reserve.is_empty() {
            0
        } else {
            shape.kind.kept() * hidden
        };
        let mut recurrent = Buf::<T>::take(shape.batch() * width);
        let mut gates = Buf::<T>::take(0);
        // The input's part of the gates is made for as many steps at a time as stay in the cache.
        let order = shape.order();
        let together = (GATE_ELEMENTS / (shape.batch() * width)).max(1);
        for start in (0..order.len()).step_by(together) {
            let steps = start..(start + together).min(order.len());
            let (first, rows) = span(&order[steps.clone()]);
            if gates.len() < rows * width {
                gates = Buf::take(rows * width);
            }
            let input = &x[first * shape.input..];
            product(input, shape.input, &w_ih, &mut gates[..rows * width], weights.b_ih.into());
            let states = [&mut *h_n, &mut *c_n, &mut *out, &mut *reserve, &mut *recurrent];
            let [h, c, out, reserve, recurrent] = states.map(|data| SendPtr(data.as_mut_ptr()));
            let gates = &gates[..];
            shape.in_parts::<T>(&order, steps, |i, part| {
                let (at, count) = (order[i].0 + part.start, part.len());
                // SAFETY: this task alone accesses these sequences, whose rows lie inside each slice, as has been checked.
                let (h, c, out, kept, recurrent) = unsafe {
                    (
                        rows_of(h, part.clone(), hidden),
                        rows_of(c, part.clone(), if c0.is_empty() { 0 } else { hidden }),
                        rows_of(out, at..at + count, hidden),
                        rows_of(reserve, at..at + count, kept),
                        rows_of(recurrent, part, width),
                    )
                };
                product(h, hidden, &w_hh, recurrent, weights.b_hh.into());
                T::dispatch(Step {
                    kind: shape.kind,
                    hidden,
                    gates: &gates[(at - first) * width..][..count * width],
                    recurrent,
                    h,
                    c,
                    kept,
                });
                out.copy_from_slice(h);
            });
        }
    }
}

#[cfg(test)]
mod tests;
