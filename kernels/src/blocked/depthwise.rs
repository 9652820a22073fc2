//! Convolutions of every channel by itself: a vector of channels at each position, taps one after the other.
//!
//! The input is read where it lies. Positions whose taps are all inside the image are computed side by side, those at its
//! sides one by one, by the taps that are inside; and rows near the top and bottom leave out rows of the kernel.

use std::ops::Range;

use super::BLOCK;
use super::conv::Call;
use super::gather::Axis;
use crate::conv::ConvShape;
use crate::mem::Buf;
use crate::pool::{num_threads, parallel_for};
use crate::simd::{Real, Simd, WithSimd};

/// Multiplications of vectors that make a task.
const TASK_WORK: usize = 1 << 12;
/// Positions by which the input is asked for ahead, beyond the window.
const AHEAD: usize = 32;

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
    let (height, width) = (shape.output[1], shape.output[2]);
    let planes = shape.batch * blocks;
    let strips = strips(call);
    // Large planes are cut into rows, of small ones several make a task.
    let pieces = (height * width * taps).div_ceil(TASK_WORK).min(height);
    let (units, work) = (planes * pieces, planes * height * width * taps);
    let tasks = (work / TASK_WORK)
        .max(1)
        .next_multiple_of(num_threads())
        .min(units);
    parallel_for(tasks, |task| {
        for unit in task * units / tasks..(task + 1) * units / tasks {
            let (plane, piece) = (unit / pieces, unit % pieces);
            let rows = piece * height / pieces..(piece + 1) * height / pieces;
            f32::dispatch(Rows {
                call,
                strips: &strips,
                plane,
                rows: rows.clone(),
            });
            // SAFETY: just written by this task.
            unsafe { call.finish(plane, rows.start * width, rows.len() * width) };
        }
    });
}

/// Columns of the output that use the same columns of the kernel.
struct Strip {
    columns: Range<usize>,
    /// Columns of the kernel.
    width: usize,
    /// Row by row of the kernel.
    taps: Vec<Tap>,
}

/// What is read of the input, and the weights for it.
struct Tap {
    /// From the position of the input at which the window begins, which may lie outside.
    offset: isize,
    /// Where the weights of a block are.
    weight: usize,
}

/// All columns in order: one by one at the sides, and in between those that use the whole kernel.
fn strips(call: &Call<'_>) -> Vec<Strip> {
    let (rows, columns) = (call.axis(1), call.axis(2));
    let is_whole = |&x: &usize| columns.taps_inside(x) == (0..columns.kernel);
    let first = (0..columns.output).find(is_whole).unwrap_or(0);
    let whole = first..first + (first..columns.output).take_while(is_whole).count();
    let sides = |range: Range<usize>| range.map(|x| x..x + 1);
    sides(0..whole.start)
        .chain((!whole.is_empty()).then_some(whole.clone()))
        .chain(sides(whole.end..columns.output))
        .map(|strip| {
            let inside = columns.taps_inside(strip.start);
            let tap = |y: usize, x: usize| Tap {
                offset: ((y * rows.dilation * columns.input + x * columns.dilation) * BLOCK) as isize,
                weight: (y * columns.kernel + x) * BLOCK,
            };
            Strip {
                columns: strip,
                width: inside.len(),
                taps: (0..rows.kernel)
                    .flat_map(|y| inside.clone().map(move |x| tap(y, x)))
                    .collect(),
            }
        })
        .collect()
}

impl Axis {
    /// The taps that read inside the input for one output.
    fn taps_inside(&self, output: usize) -> Range<usize> {
        let start = (output * self.stride) as isize - self.padding as isize;
        let inside = |&t: &usize| {
            let at = start + (t * self.dilation) as isize;
            (0..self.input as isize).contains(&at)
        };
        let first = (0..self.kernel).find(inside).unwrap_or(0);
        let count = (first..self.kernel).take_while(inside).count();
        first..first + count
    }
}

/// Some rows of one block of the output.
struct Rows<'a> {
    call: &'a Call<'a>,
    strips: &'a [Strip],
    /// The block, counted over the whole batch.
    plane: usize,
    rows: Range<usize>,
}

impl WithSimd<f32> for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = f32>>(self, s: S) {
        let (call, shape) = (self.call, &self.call.shape);
        let (rows, columns) = (call.axis(1), call.axis(2));
        let block = self.plane % shape.out_channels.div_ceil(BLOCK);
        let weights = call.conv.weights[block * shape.taps() * BLOCK..].as_ptr();
        let bias = call.conv.bias[block * BLOCK..].as_ptr();
        let x = call.x[self.plane * shape.in_plane() * BLOCK..].as_ptr();
        let step = columns.stride * BLOCK;
        for row in self.rows {
            let inside = rows.taps_inside(row);
            let top = (row * rows.stride) as isize - rows.padding as isize;
            let ahead = x.wrapping_add(((row * rows.stride + rows.kernel) * columns.input + AHEAD) * BLOCK);
            let origin = (top * columns.input as isize - columns.padding as isize) * BLOCK as isize;
            for strip in self.strips {
                let taps = &strip.taps[inside.start * strip.width..inside.end * strip.width];
                let mut start = strip.columns.start;
                while start < strip.columns.end {
                    let (out, residual) = call.places(self.plane, row * columns.output + start);
                    let tile = Tile {
                        x: x.wrapping_offset(origin).wrapping_add(start * step),
                        step,
                        weights,
                        bias,
                        out,
                        residual,
                        bounds: call.bounds(),
                    };
                    // As many positions as this tile uses up, some rows on: another core has written them, as a rule.
                    let lines = columns.stride * rows.stride;
                    for line in start * lines..(start + 8).min(strip.columns.end) * lines {
                        s.prefetch(ahead.wrapping_add(line * BLOCK));
                    }
                    // SAFETY: taps inside the image, of positions of a row of the output that this task alone writes.
                    start += unsafe {
                        match strip.columns.end - start {
                            8.. => tile.run::<S, 8>(s, taps),
                            7 => tile.run::<S, 7>(s, taps),
                            6 => tile.run::<S, 6>(s, taps),
                            5 => tile.run::<S, 5>(s, taps),
                            4 => tile.run::<S, 4>(s, taps),
                            2.. => tile.run::<S, 2>(s, taps),
                            _ => tile.run::<S, 1>(s, taps),
                        }
                    };
                }
            }
        }
    }
}

/// Consecutive positions of a row.
struct Tile {
    /// Where the window of the first position begins, and the elements from one position to the next.
    x: *const f32,
    step: usize,
    weights: *const f32,
    bias: *const f32,
    out: *mut f32,
    residual: *const f32,
    bounds: [f32; 2],
}

impl Tile {
    /// N positions; returns N.
    ///
    /// # Safety
    /// The taps of N positions are readable, their weights and a bias are there, and N positions of the output are writable.
    #[inline(always)]
    unsafe fn run<S: Simd<Elem = f32>, const N: usize>(&self, s: S, taps: &[Tap]) -> usize {
        let [low, high] = self.bounds.map(|x| s.splat(x));
        for lane in (0..BLOCK).step_by(S::LANES) {
            // SAFETY: as the caller vouches; all are whole blocks.
            unsafe {
                let mut acc = [s.load(self.bias.add(lane)); N];
                for tap in taps {
                    let w = s.load(self.weights.add(tap.weight + lane));
                    let x = self.x.wrapping_offset(tap.offset).wrapping_add(lane);
                    for i in 0..N {
                        acc[i] = s.mul_add(s.load(x.wrapping_add(i * self.step)), w, acc[i]);
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
