//! Convolutions of every channel by itself: a vector of channels at each position, taps one after the other.

use super::BLOCK;
use super::conv::Call;
use super::gather::Gather;
use crate::conv::ConvShape;
use crate::mem::Buf;
use crate::pool::parallel_for;
use crate::simd::{Real, Simd, WithSimd};

/// Multiplications of vectors that make a task.
const TASK_WORK: usize = 1 << 14;

/// The weights as `[block, tap, BLOCK]`.
pub(super) fn pack(shape: &ConvShape, w: &[f32]) -> Buf<f32> {
    let taps = shape.taps();
    let mut packed = Buf::<f32>::zeroed(shape.out_channels.next_multiple_of(BLOCK) * taps);
    for (channel, kernel) in w.chunks_exact(taps).enumerate() {
        for (tap, &value) in kernel.iter().enumerate() {
            packed[(channel / BLOCK * taps + tap) * BLOCK + channel % BLOCK] = value;
        }
    }
    packed
}

pub(super) fn forward(call: &Call<'_>) {
    let shape = &call.shape;
    let (taps, blocks) = (shape.taps(), shape.out_channels.div_ceil(BLOCK));
    let (in_plane, out_plane) = (shape.in_plane() * BLOCK, shape.out_plane());
    let (height, width) = (shape.output[1], shape.output[2]);
    let planes = shape.batch * blocks;
    // Small planes go several to a task, large ones are cut into rows.
    let rows_per_task = (TASK_WORK / (width * taps).max(1)).clamp(1, height);
    let pieces = height.div_ceil(rows_per_task);
    let together = if pieces > 1 {
        1
    } else {
        (TASK_WORK / (out_plane * taps).max(1)).max(1)
    };
    parallel_for((planes * pieces).div_ceil(together), |task| {
        for i in task * together..((task + 1) * together).min(planes * pieces) {
            let (plane, piece) = (i / pieces, i % pieces);
            let rows = piece * height / pieces..(piece + 1) * height / pieces;
            let gather = Gather::new(call.axis(1), call.axis(2), rows.len(), false);
            let mut gathered = Buf::<f32>::take(gather.block_len());
            gather.fill(&call.x[plane * in_plane..][..in_plane], rows.start, &mut gathered);
            f32::dispatch(Rows {
                call,
                plane,
                first: rows.start,
                count: rows.len(),
                gather: &gather,
                gathered: &gathered,
            });
            // SAFETY: just written by this task.
            unsafe { call.finish(plane, rows.start * width, rows.len() * width) };
        }
    });
}

/// Some rows of one block of the output.
struct Rows<'a> {
    call: &'a Call<'a>,
    /// The block, counted over the whole batch.
    plane: usize,
    first: usize,
    count: usize,
    gather: &'a Gather,
    gathered: &'a [f32],
}

impl WithSimd<f32> for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = f32>>(self, s: S) {
        let shape = &self.call.shape;
        let [_, height, width] = shape.kernel;
        let mut taps = Vec::with_capacity(height * width);
        for y in 0..height {
            taps.extend((0..width).map(|x| self.gather.tap(y, x)));
        }
        let block = self.plane % shape.out_channels.div_ceil(BLOCK);
        let weights = &self.call.conv.weights[block * taps.len() * BLOCK..][..taps.len() * BLOCK];
        let bias = &self.call.conv.bias[block * BLOCK..][..BLOCK];
        let width = shape.output[2];
        for row in 0..self.count {
            let x = &self.gathered[self.gather.output_row(row)..];
            let (out, residual) = self.call.places(self.plane, (self.first + row) * width);
            let mut start = 0;
            while start < width {
                let tile = Tile {
                    x: x[start * BLOCK..].as_ptr(),
                    out: out.wrapping_add(start * BLOCK),
                    residual: if residual.is_null() {
                        residual
                    } else {
                        residual.wrapping_add(start * BLOCK)
                    },
                    bounds: self.call.bounds(),
                };
                // SAFETY: positions of a gathered row, and of a row of the output that this task alone writes.
                start += unsafe {
                    match width - start {
                        8.. => tile.run::<S, 8>(s, &taps, weights, bias),
                        7 => tile.run::<S, 7>(s, &taps, weights, bias),
                        4.. => tile.run::<S, 4>(s, &taps, weights, bias),
                        2.. => tile.run::<S, 2>(s, &taps, weights, bias),
                        _ => tile.run::<S, 1>(s, &taps, weights, bias),
                    }
                };
            }
        }
    }
}

/// Consecutive positions of a row.
struct Tile {
    x: *const f32,
    out: *mut f32,
    residual: *const f32,
    bounds: [f32; 2],
}

impl Tile {
    /// N positions; returns N.
    ///
    /// # Safety
    /// The taps of N positions are readable from `x` on, and N positions of the output writable.
    #[inline(always)]
    unsafe fn run<S: Simd<Elem = f32>, const N: usize>(
        &self,
        s: S,
        taps: &[usize],
        weights: &[f32],
        bias: &[f32],
    ) -> usize {
        let [low, high] = self.bounds.map(|x| s.splat(x));
        for lane in (0..BLOCK).step_by(S::LANES) {
            // SAFETY: as the caller vouches; weights and bias hold whole blocks.
            unsafe {
                let mut acc = [s.load(bias.as_ptr().add(lane)); N];
                for (t, &tap) in taps.iter().enumerate() {
                    let w = s.load(weights.as_ptr().add(t * BLOCK + lane));
                    for i in 0..N {
                        let x = s.load(self.x.add(tap + i * BLOCK + lane));
                        acc[i] = s.mul_add(x, w, acc[i]);
                    }
                }
                for i in 0..N {
                    let at = i * BLOCK + lane;
                    if !self.residual.is_null() {
                        acc[i] = s.add(acc[i], s.load(self.residual.add(at)));
                    }
                    // In this order a NaN stays one.
                    s.store(self.out.add(at), s.min(high, s.max(low, acc[i])));
                }
            }
        }
        N
    }
}
