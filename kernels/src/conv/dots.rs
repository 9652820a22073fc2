//! Convolutions of few positions by many weights, as dot products of the weights with the unfolded image.
//!
//! The weights of an output lie in memory as its sum runs, and are read once, where they lie. To turn them into panels takes
//! longer than to multiply them by nine positions. It is the unfolded image, the smaller of the two, that is turned.

use std::ops::Range;

use super::unfold::{Unfold, UnfoldTransposed, Window};
use super::{ConvShape, Tail};
use crate::dots::accumulate;
use crate::gemm::PackB;
use crate::mem::Buf;
use crate::pool::{SendPtr, num_threads, parallel_for};
use crate::simd::{Real, Simd, WithSimd};

/// Outputs and positions of a tile: of so many positions for vectors of 64 bytes, and for shorter ones.
const ROWS: usize = 4;
const COLUMNS: [usize; 2] = [6, 2];
/// Bytes of a position that are multiplied at a time: those of a tile stay in the nearest cache.
const DEPTH_BYTES: usize = 4608;
/// Outputs that the positions of a block meet at a time: their weights stay in the second-level cache.
const OUTPUTS: usize = 48;
/// Elements of the longest vector. Blocks end with whole ones, and one lies idle between a position's block and the next one's,
/// which keeps them from the same places in the caches.
const VECTOR: usize = 16;
/// Positions that are turned together.
const POSITIONS: usize = 16;
/// Positions up to which this way is the faster one, and the elements of a sum from which on.
const MAX_POSITIONS: usize = 56;
const MIN_DEPTH: usize = 256;

/// Whether this way is the faster one.
pub(super) fn pays(shape: &ConvShape) -> bool {
    let positions = shape.batch * shape.out_plane();
    shape.groups == 1
        && positions <= MAX_POSITIONS.min(shape.out_channels)
        && shape.in_channels * shape.taps() >= MIN_DEPTH
}

pub(super) fn forward<T: Real>(
    shape: &ConvShape,
    window: &Window,
    x: &[T],
    w: &[T],
    tail: &Tail<'_, T>,
    out: &mut [T],
) {
    let (outputs, plane) = (shape.out_channels, shape.out_plane());
    let unfolded = Unfolded::new(shape, window, x);
    let Unfolded { positions, depth, .. } = unfolded;
    let tasks = outputs.div_ceil(OUTPUTS).min(num_threads());
    let out = SendPtr(out.as_mut_ptr());
    parallel_for(tasks, |task| {
        let rows = task * outputs / tasks..(task + 1) * outputs / tasks;
        let mut sums = Buf::<T>::take(rows.len() * positions);
        for block in 0..unfolded.blocks {
            let range = unfolded.block(block);
            for first in rows.clone().step_by(OUTPUTS) {
                T::dispatch(Product {
                    a: &w[first * depth + range.start..],
                    a_stride: depth,
                    rows: OUTPUTS.min(rows.end - first),
                    b: &unfolded.data[block * positions * unfolded.stride..],
                    b_stride: unfolded.stride,
                    columns: positions,
                    depth: range.len(),
                    sums: &mut sums[(first - rows.start) * positions..],
                    onto: block > 0,
                });
            }
        }
        for (row, sums) in rows.zip(sums.chunks_exact(positions)) {
            for (image, sums) in sums.chunks_exact(plane).enumerate() {
                let offset = (image * outputs + row) * plane;
                // SAFETY: this task alone writes these rows.
                let piece = unsafe { std::slice::from_raw_parts_mut(out.ptr().add(offset), plane) };
                piece.copy_from_slice(sums);
                tail.apply(row, offset, piece);
            }
        }
    });
}

/// The unfolded image `[block, position, stride]`.
struct Unfolded<T: Real> {
    data: Buf<T>,
    positions: usize,
    depth: usize,
    blocks: usize,
    stride: usize,
}

impl<T: Real> Unfolded<T> {
    fn new(shape: &ConvShape, window: &Window, x: &[T]) -> Self {
        let (positions, depth) = (shape.batch * shape.out_plane(), shape.in_channels * shape.taps());
        let blocks = (depth * size_of::<T>()).div_ceil(DEPTH_BYTES);
        let stride = depth.div_ceil(blocks).next_multiple_of(VECTOR) + VECTOR;
        let mut this: Self = Unfolded {
            data: Buf::take(blocks * positions * stride),
            positions,
            depth,
            blocks,
            stride,
        };
        let source = UnfoldTransposed(Unfold::new(window, x, shape.in_channels, 0));
        let base = SendPtr(this.data.as_mut_ptr());
        let groups = positions.div_ceil(POSITIONS);
        parallel_for(blocks * groups, |task| {
            let (block, first) = (task / groups, task % groups * POSITIONS);
            let rows = first..(first + POSITIONS).min(positions);
            // SAFETY: this task alone writes these positions of the block, each of which has `stride` elements.
            unsafe {
                let to = base.ptr().add((block * positions + first) * stride);
                source.pack(rows, this.block(block), stride, to);
            }
        });
        this
    }

    /// The elements of a position that are in a block: whole vectors, but for the last.
    fn block(&self, block: usize) -> Range<usize> {
        let vectors = self.depth.div_ceil(VECTOR);
        let start = block * vectors / self.blocks * VECTOR;
        start..self.depth.min((block + 1) * vectors / self.blocks * VECTOR)
    }
}

/// `sums[i, j] = Σ_k a[i, k] · b[j, k]`, or added to what is there.
struct Product<'a, T> {
    /// The weights of outputs.
    a: &'a [T],
    a_stride: usize,
    rows: usize,
    /// Positions.
    b: &'a [T],
    b_stride: usize,
    columns: usize,
    depth: usize,
    /// `[rows, columns]`.
    sums: &'a mut [T],
    /// Whether the sums are added to what is there.
    onto: bool,
}

impl<T: Real> WithSimd<T> for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(mut self, s: S) {
        let wide = S::LANES * size_of::<T>() == 64;
        let panels = self.columns.div_ceil(COLUMNS[usize::from(!wide)]);
        for panel in 0..panels {
            let columns = panel * self.columns / panels..(panel + 1) * self.columns / panels;
            for row in (0..self.rows).step_by(ROWS) {
                match columns.len() {
                    6 if wide => self.tile::<S, 6>(s, row, columns.start),
                    5 if wide => self.tile::<S, 5>(s, row, columns.start),
                    4 if wide => self.tile::<S, 4>(s, row, columns.start),
                    3 if wide => self.tile::<S, 3>(s, row, columns.start),
                    2 => self.tile::<S, 2>(s, row, columns.start),
                    _ => self.tile::<S, 1>(s, row, columns.start),
                }
            }
        }
    }
}

impl<T: Real> Product<'_, T> {
    /// Rows beyond the last one are the last one again.
    #[inline(always)]
    fn tile<S: Simd<Elem = T>, const COLUMNS: usize>(&mut self, s: S, row: usize, column: usize) {
        let mut acc = [[s.splat(T::ZERO); COLUMNS]; ROWS];
        let a = std::array::from_fn(|i| {
            self.a[(row + i).min(self.rows - 1) * self.a_stride..][..self.depth].as_ptr()
        });
        let b = std::array::from_fn(|j| self.b[(column + j) * self.b_stride..][..self.depth].as_ptr());
        // SAFETY: slices of `depth` elements.
        unsafe { accumulate::<S, ROWS, COLUMNS>(s, &mut acc, a, b, self.depth) };
        for (i, acc) in acc.into_iter().enumerate().take(self.rows - row) {
            let sums = &mut self.sums[(row + i) * self.columns + column..][..COLUMNS];
            for (sum, acc) in sums.iter_mut().zip(acc) {
                let new = s.reduce_sum(acc);
                *sum = if self.onto { *sum + new } else { new };
            }
        }
    }
}
