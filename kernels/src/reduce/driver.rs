//! How reductions walk a strided operand: along contiguous rows, down contiguous columns, or through a buffer.
//!
//! A reduction is a [`Reducer`]: it turns a contiguous slice, or a block of rows column by column, into states and
//! merges states. How an operand is cut into pieces depends on its layout alone and states are merged in a fixed order,
//! so that results don't depend on the number of threads.

use smallvec::SmallVec;

use crate::copy::gather_range;
use crate::element::Pod;
use crate::elementwise::{BLOCK, GRAIN};
use crate::pool::{self, SendPtr};
use crate::view::{Dim, Nest, View};

/// The most elements that a reducer sees in one slice.
pub(super) const SEGMENT: usize = 4096;
/// The most rows that a reducer sees in one block of columns.
pub(super) const ROWS: usize = 64;
/// The most columns in a block.
pub(super) const COLUMNS: usize = 1024;
/// Elements that one task of a large reduction takes at least.
const PIECE: usize = 32 * 1024;

/// One kind of reduction.
pub(super) trait Reducer<T: Pod>: Copy + Sync {
    /// What is known about a part of the elements.
    type State: Copy + Send + Sync;

    /// The state of no elements.
    fn empty(self) -> Self::State;
    /// The state of at most [`SEGMENT`] elements.
    fn slice(self, x: &[T]) -> Self::State;
    /// Merges into each state that of a column: column `j` consists of `x[j + i·step]` for `i < rows ≤ ROWS`.
    fn columns(self, x: &[T], step: usize, rows: usize, states: &mut [Self::State]);
    /// The state of two parts, the first part first.
    fn merge(self, a: Self::State, b: Self::State) -> Self::State;
}

/// Reduces the dimensions of `x` marked in `reduced` and writes `finish(state)` for each remaining index, in row-major
/// order.
pub(super) fn reduce<T: Pod, R: Reducer<T>, O: Pod>(
    reducer: R,
    x: View<'_, T>,
    reduced: &[bool],
    out: &mut [O],
    finish: impl Fn(R::State) -> O + Sync,
) {
    assert_eq!(x.shape.len(), reduced.len(), "reduction: one mark per dimension");
    assert!(
        x.extent() <= x.data.len(),
        "reduction: the view reaches beyond its data"
    );
    let plan = Plan::new(&x, reduced);
    assert_eq!(
        plan.kept.numel(),
        out.len(),
        "reduction: the output's length is not that of the kept dimensions"
    );
    if out.is_empty() {
        return;
    }
    if plan.reduced.numel() == 0 {
        return out.fill(finish(reducer.empty()));
    }
    if plan.by_columns() {
        plan.columns(reducer, x.data, out, finish)
    } else {
        plan.rows(reducer, x.data, out, finish)
    }
}

/// The kept and the reduced dimensions, each as nested loops.
struct Plan {
    kept: Nest<1>,
    reduced: Nest<1>,
}

/// The offset of the element with the given row-major index.
fn offset(nest: &Nest<1>, index: usize) -> usize {
    let inner = nest.inner();
    nest.row(index / inner.len)[0] + index % inner.len * inner.strides[0]
}

impl Plan {
    fn new<T>(x: &View<'_, T>, reduced: &[bool]) -> Self {
        let dims = |which: bool| {
            (0..x.shape.len())
                .filter(move |&d| reduced[d] == which)
                .map(|d| Dim {
                    len: x.shape[d],
                    strides: [x.strides[d]],
                })
        };
        // The order of reduced elements is free: that of memory is the fastest.
        let mut inward: SmallVec<[Dim<1>; 6]> = dims(true).collect();
        inward.sort_by_key(|d| std::cmp::Reverse(d.strides[0]));
        Plan {
            kept: Nest::from_dims(dims(false)),
            reduced: Nest::from_dims(inward.into_iter()),
        }
    }

    fn by_columns(&self) -> bool {
        let (kept, reduced) = (self.kept.inner(), self.reduced.inner());
        kept.strides[0] == 1 && kept.len >= 4 && reduced.strides[0] != 1 && self.reduced.numel() > 1
    }

    /// Each output from slices of its own.
    fn rows<T: Pod, R: Reducer<T>, O: Pod>(
        &self,
        reducer: R,
        data: &[T],
        out: &mut [O],
        finish: impl Fn(R::State) -> O + Sync,
    ) {
        let len = self.reduced.numel();
        let piece = len.div_ceil(64).max(PIECE).next_multiple_of(SEGMENT);
        let pieces = len.div_ceil(piece);
        if pieces == 1 {
            let fill = |first: usize, out: &mut [O]| {
                for (k, o) in out.iter_mut().enumerate() {
                    *o = finish(self.segments(reducer, &data[offset(&self.kept, first + k)..], 0..len));
                }
            };
            if out.len() * len < 2 * GRAIN {
                return fill(0, out);
            }
            return pool::parallel_chunks_mut(out, (PIECE / len).max(out.len().div_ceil(128)).max(1), fill);
        }
        let partial = parallel_states(reducer, out.len() * pieces, |task| {
            let at = task % pieces * piece;
            let data = &data[offset(&self.kept, task / pieces)..];
            self.segments(reducer, data, at..(at + piece).min(len))
        });
        for (o, states) in out.iter_mut().zip(partial.chunks(pieces)) {
            *o = finish(states.iter().skip(1).fold(states[0], |a, &b| reducer.merge(a, b)));
        }
    }

    /// The state of a range of one output's elements.
    fn segments<T: Pod, R: Reducer<T>>(
        &self,
        reducer: R,
        data: &[T],
        range: std::ops::Range<usize>,
    ) -> R::State {
        let inner = self.reduced.inner();
        let single = self.reduced.dims.len() == 1;
        let mut state: Option<R::State> = None;
        let mut add = |x: &[T]| {
            let new = reducer.slice(x);
            state = Some(state.map_or(new, |old| reducer.merge(old, new)));
        };
        let mut at = range.start;
        if inner.strides[0] == 1 && (single || inner.len >= 64) {
            while at < range.end {
                let left = inner.len - at % inner.len;
                let start = offset(&self.reduced, at);
                let len = left.min(SEGMENT).min(range.end - at);
                add(&data[start..start + len]);
                at += len;
            }
        } else {
            let mut scratch = [T::default(); BLOCK];
            while at < range.end {
                let scratch = &mut scratch[..BLOCK.min(range.end - at)];
                gather_range(data, &self.reduced, at, scratch);
                add(scratch);
                at += scratch.len();
            }
        }
        state.unwrap_or(reducer.empty())
    }

    /// Neighbouring outputs together, from rows that hold one element of each.
    fn columns<T: Pod, R: Reducer<T>, O: Pod>(
        &self,
        reducer: R,
        data: &[T],
        out: &mut [O],
        finish: impl Fn(R::State) -> O + Sync,
    ) {
        let width = self.kept.inner().len;
        let block = width.min(COLUMNS);
        let blocks = width.div_ceil(block);
        let len = self.reduced.numel();
        let piece = len.div_ceil(64).max(PIECE / block).next_multiple_of(ROWS);
        let pieces = len.div_ceil(piece);
        // States of (kept row, piece, column); with one piece these are the outputs' own.
        let total = self.kept.rows() * pieces * width;
        let mut states = vec![reducer.empty(); total];
        let base = SendPtr(states.as_mut_ptr());
        let task = |task: usize| {
            let (column, rest) = (task % blocks * block, task / blocks);
            let (part, kept) = (rest % pieces, rest / pieces);
            let count = block.min(width - column);
            let first = (kept * pieces + part) * width + column;
            assert!(first + count <= total);
            // SAFETY: in bounds by the assertion; each task has its own kept row, piece and columns.
            let states = unsafe { std::slice::from_raw_parts_mut(base.ptr().add(first), count) };
            let data = &data[self.kept.row(kept)[0] + column..];
            self.column_block(reducer, data, part * piece..((part + 1) * piece).min(len), states);
        };
        let tasks = self.kept.rows() * pieces * blocks;
        if len * out.len() < 2 * GRAIN {
            (0..tasks).for_each(task);
        } else {
            let group = (PIECE / (piece.min(len) * block)).max(tasks.div_ceil(128)).max(1);
            pool::parallel_ranges(tasks, group, |range| range.for_each(&task));
        }
        for (out, states) in out.chunks_mut(width).zip(states.chunks(pieces * width)) {
            for (j, o) in out.iter_mut().enumerate() {
                let mut state = states[j];
                for part in 1..pieces {
                    state = reducer.merge(state, states[part * width + j]);
                }
                *o = finish(state);
            }
        }
    }

    /// Merges a range of rows into the states of a block of columns.
    fn column_block<T: Pod, R: Reducer<T>>(
        &self,
        reducer: R,
        data: &[T],
        range: std::ops::Range<usize>,
        states: &mut [R::State],
    ) {
        let inner = self.reduced.inner();
        let mut at = range.start;
        while at < range.end {
            let rows = (inner.len - at % inner.len).min(ROWS).min(range.end - at);
            reducer.columns(&data[offset(&self.reduced, at)..], inner.strides[0], rows, states);
            at += rows;
        }
    }
}

/// One state per task, computed in parallel.
fn parallel_states<T: Pod, R: Reducer<T>>(
    reducer: R,
    tasks: usize,
    f: impl Fn(usize) -> R::State + Sync,
) -> Vec<R::State> {
    let mut states = vec![reducer.empty(); tasks];
    pool::parallel_chunks_mut(&mut states, 1, |task, state| state[0] = f(task));
    states
}
