//! The gradient of the weight of a convolution that reads one position for each of the output.
//!
//! `grad_w[o, c] = Σ_p grad_out[o, p] · x[c, p]`: both planes lie in memory as a sum over the positions wants them, so nothing is
//! turned or packed. A tile holds a vector of partial sums for each of some outputs and inputs, and adds their lanes up once
//! it has seen a block of positions.
//!
//! With many channels the other ways are faster: they read each element fewer times.

use super::ConvShape;
use crate::dots::accumulate;
use crate::mem::Buf;
use crate::pool::{SendPtr, parallel_for};
use crate::simd::{Real, Simd, WithSimd};

/// Outputs and inputs of a tile, for vectors of 64 bytes and for shorter ones.
const TILE: [usize; 2] = [6, 4];
const SMALL_TILE: [usize; 2] = [3, 3];
/// Positions of a block: a tile's planes stay in the nearest cache.
const DEPTH: usize = 1024;
/// Outputs of a task.
const OUTPUTS: usize = 24;
/// Parts of the positions at most, each with a gradient of its own.
const PARTS: usize = 16;
/// Vectors of a plane below which adding up lanes takes too long.
const SHORT_PLANE: usize = 32;
/// Channels of the side with fewer up to which this way is the faster one.
const FEW_CHANNELS: usize = 32;
/// Inputs at most: their planes of a block stay in the second-level cache.
const INPUTS: usize = 256;

/// Whether this way is the faster one.
pub(super) fn pays<T: Real>(shape: &ConvShape) -> bool {
    let plain = shape.kernel == [1; 3] && shape.stride == [1; 3] && shape.padding == [0; 3];
    let (inputs, outputs) = (shape.group_inputs(), shape.group_outputs());
    let few = (TILE[1]..=FEW_CHANNELS).contains(&inputs.min(outputs)) && inputs <= INPUTS;
    let long = shape.out_plane() >= SHORT_PLANE * T::kernel_table().lanes;
    plain && shape.input == shape.output && few && long
}

pub(super) fn backward_weight<T: Real>(shape: &ConvShape, x: &[T], grad_out: &[T], grad_w: &mut [T]) {
    if grad_out.is_empty() {
        return grad_w.fill(T::ZERO);
    }
    let (inputs, outputs, plane) = (shape.group_inputs(), shape.group_outputs(), shape.out_plane());
    let runs = runs(shape);
    let blocks = (runs.len() * runs[0].len).div_ceil(DEPTH).min(runs.len());
    let parts = blocks.min(PARTS);
    let spans = outputs.div_ceil(OUTPUTS);
    let mut sums = Buf::<T>::take(parts * grad_w.len());
    let base = SendPtr(sums.as_mut_ptr());
    parallel_for(parts * shape.groups * spans, |task| {
        let (rest, span) = (task / spans, task % spans);
        let (part, group) = (rest / shape.groups, rest % shape.groups);
        let first = group * outputs + span * OUTPUTS;
        let rows = OUTPUTS.min(outputs - span * OUTPUTS);
        for block in part * blocks / parts..(part + 1) * blocks / parts {
            T::dispatch(Product {
                runs: &runs[block * runs.len() / blocks..(block + 1) * runs.len() / blocks],
                plane,
                grad: &grad_out[first * plane..],
                x: &x[group * inputs * plane..],
                rows,
                columns: inputs,
                sums: base.ptr().wrapping_add(part * grad_w.len() + first * inputs),
                onto: block > part * blocks / parts,
            });
        }
    });
    let (len, to) = (grad_w.len(), SendPtr(grad_w.as_mut_ptr()));
    parallel_for(shape.out_channels.div_ceil(OUTPUTS), |task| {
        let range = task * OUTPUTS * inputs..((task + 1) * OUTPUTS * inputs).min(len);
        // SAFETY: this task alone writes this range.
        let out = unsafe { std::slice::from_raw_parts_mut(to.ptr().add(range.start), range.len()) };
        out.copy_from_slice(&sums[range.clone()]);
        for part in 1..parts {
            let other = &sums[part * len..][range.clone()];
            out.iter_mut().zip(other).for_each(|(sum, &part)| *sum += part);
        }
    });
}

/// Positions of one image: where they begin in the first plane of the output and of the input, and how many they are.
struct Run {
    grad: usize,
    x: usize,
    len: usize,
}

/// All positions, in runs of at most `DEPTH`; the first is not shorter than the others by more than one position.
fn runs(shape: &ConvShape) -> Vec<Run> {
    let plane = shape.out_plane();
    let pieces = plane.div_ceil(DEPTH);
    let of = |i: usize| {
        let (image, piece) = (i / pieces, i % pieces);
        let (start, end) = (piece * plane / pieces, (piece + 1) * plane / pieces);
        Run {
            grad: image * shape.out_channels * plane + start,
            x: image * shape.in_channels * plane + start,
            len: end - start,
        }
    };
    (0..shape.batch * pieces).map(of).collect()
}

/// The sums of some outputs times all inputs of a group over a block of positions.
struct Product<'a, T> {
    runs: &'a [Run],
    plane: usize,
    /// From the first output of the first image on.
    grad: &'a [T],
    /// From the first input of the first image on.
    x: &'a [T],
    rows: usize,
    columns: usize,
    /// `[rows, columns]`.
    sums: *mut T,
    /// Whether the sums are added to what is there.
    onto: bool,
}

impl<T: Real> WithSimd<T> for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        // SAFETY: rows and columns are there for all runs, and this task alone writes the sums.
        unsafe {
            if S::LANES * size_of::<T>() == 64 {
                self.tiles::<S, { TILE[0] }, { TILE[1] }>(s)
            } else {
                self.tiles::<S, { SMALL_TILE[0] }, { SMALL_TILE[1] }>(s)
            }
        }
    }
}

impl<T: Real> Product<'_, T> {
    /// # Safety
    /// The planes of all rows and columns hold the runs, and `sums` holds the rows.
    #[inline(always)]
    unsafe fn tiles<S: Simd<Elem = T>, const ROWS: usize, const COLUMNS: usize>(&self, s: S) {
        for row in (0..self.rows).step_by(ROWS) {
            for column in (0..self.columns).step_by(COLUMNS) {
                // SAFETY: as the caller vouches.
                let tile = unsafe { self.tile::<S, ROWS, COLUMNS>(s, row, column) };
                for (i, sums) in tile.iter().enumerate().take(self.rows - row) {
                    for (j, &sum) in sums.iter().enumerate().take(self.columns - column) {
                        // SAFETY: as the caller vouches.
                        unsafe {
                            let to = self.sums.add((row + i) * self.columns + column + j);
                            *to = if self.onto { *to + sum } else { sum };
                        }
                    }
                }
            }
        }
    }

    /// The sums of a tile; beyond the last row and column, those of the last ones again.
    ///
    /// # Safety
    /// As for [`Self::tiles`].
    #[inline(always)]
    unsafe fn tile<S: Simd<Elem = T>, const ROWS: usize, const COLUMNS: usize>(
        &self,
        s: S,
        row: usize,
        column: usize,
    ) -> [[T; COLUMNS]; ROWS] {
        let mut acc = [[s.splat(T::ZERO); COLUMNS]; ROWS];
        // SAFETY: as the caller vouches.
        unsafe {
            for run in self.runs {
                let grad: [*const T; ROWS] = std::array::from_fn(|i| {
                    let plane = (row + i).min(self.rows - 1) * self.plane;
                    self.grad.as_ptr().add(run.grad + plane)
                });
                let x: [*const T; COLUMNS] = std::array::from_fn(|j| {
                    let plane = (column + j).min(self.columns - 1) * self.plane;
                    self.x.as_ptr().add(run.x + plane)
                });
                accumulate::<S, ROWS, COLUMNS>(s, &mut acc, grad, x, run.len);
            }
        }
        let mut sums = [[T::ZERO; COLUMNS]; ROWS];
        for i in 0..ROWS {
            for j in 0..COLUMNS {
                sums[i][j] = s.reduce_sum(acc[i][j]);
            }
        }
        sums
    }
}
