//! The gradient of the weight, computed directly for large planes of few output channels.
//!
//! `grad_w[o, c, t] = Σ_p grad_out[o, p] · x[c, p + t]`: with x padded, both are read along the rows without packing, and
//! the sums of several output channels and taps stay in registers for a whole plane.

use super::ConvShape;
use super::padded::Padded;
use super::unfold::Window;
use crate::mem::Buf;
use crate::pool::{SendPtr, parallel_for};
use crate::simd::{Real, Simd, WithSimd};

/// Output channels of a group up to which reading along the rows beats packed products.
const MAX_OUTPUTS: usize = 16;
/// Vectors of a plane from which on the sums across lanes at its end do not count.
const MIN_VECTORS: usize = 40;
/// Blocks of images at most.
const MAX_BLOCKS: usize = 16;
/// Multiplications that make a task.
const TASK_WORK: usize = 1 << 18;
/// Share of a row's last vector that may be idle: one in so many.
const IDLE: usize = 6;

/// Whether this way is the faster one.
pub(super) fn pays<T: Real>(shape: &ConvShape) -> bool {
    let lanes = T::kernel_table().lanes;
    let width = shape.output[2];
    let vectors = width.div_ceil(lanes);
    let idle = vectors * lanes - width;
    let large = shape.output[0] * shape.output[1] * vectors >= MIN_VECTORS && idle * IDLE <= width;
    shape.is_depthwise() || (large && shape.taps() > 1 && shape.group_outputs() <= MAX_OUTPUTS)
}

pub(super) fn backward_weight<T: Real>(
    shape: &ConvShape,
    window: &Window,
    x: &[T],
    grad_out: &[T],
    grad_w: &mut [T],
) {
    let (inputs, outputs, taps) = (shape.group_inputs(), shape.group_outputs(), shape.taps());
    let (in_plane, out_plane) = (shape.in_plane(), shape.out_plane());
    // Blocks of images have sums of their own, added in order at the end: so each plane is read once, and the bits
    // do not depend on who computes what.
    let blocks = shape.batch.min(MAX_BLOCKS);
    let parts = MAX_BLOCKS.div_ceil((blocks * shape.groups).max(1)).min(inputs);
    let len = shape.weight_len();
    let mut partial = Buf::<T>::zeroed(blocks * len);
    let base = SendPtr(partial.as_mut_ptr());
    let pieces = blocks * shape.groups * parts;
    // The padding of small planes takes longer to clear than the sums: so a task takes many.
    let work = shape.batch.div_ceil(blocks) * inputs.div_ceil(parts) * outputs * out_plane * taps;
    let tasks = pieces.div_ceil(TASK_WORK.div_ceil(work.max(1)));
    parallel_for(tasks, |task| {
        let Some(mut padded) = Padded::new([window].into_iter()) else {
            return;
        };
        let offsets: Vec<usize> = window.taps.iter().map(|t| padded.tap(t)).collect();
        for piece in task * pieces / tasks..(task + 1) * pieces / tasks {
            let (block, group, part) = (
                piece / parts / shape.groups,
                piece / parts % shape.groups,
                piece % parts,
            );
            let channels = part * inputs / parts..(part + 1) * inputs / parts;
            for image in block * shape.batch / blocks..(block + 1) * shape.batch / blocks {
                let grad_out = &grad_out[(image * shape.out_channels + group * outputs) * out_plane..];
                for channel in channels.clone() {
                    let plane = image * shape.in_channels + group * inputs + channel;
                    padded.fill(&x[plane * in_plane..][..in_plane]);
                    let start = block * len + (group * outputs * inputs + channel) * taps;
                    T::dispatch(Sums {
                        window,
                        padded: &padded,
                        offsets: &offsets,
                        grad_out: &grad_out[..outputs * out_plane],
                        outputs,
                        // This task alone writes the weights of these channels in this block.
                        sums: SendPtr(base.ptr().wrapping_add(start)),
                        stride: inputs * taps,
                    });
                }
            }
        }
    });
    grad_w.fill(T::ZERO);
    for block in partial.chunks_exact(len) {
        grad_w.iter_mut().zip(block).for_each(|(sum, &x)| *sum += x);
    }
}

/// Adds the sums over one plane of the input and some planes of the output.
struct Sums<'a, T: Real> {
    window: &'a Window,
    padded: &'a Padded<T>,
    offsets: &'a [usize],
    grad_out: &'a [T],
    outputs: usize,
    /// The taps of each output channel, `stride` apart.
    sums: SendPtr<T>,
    stride: usize,
}

impl<T: Real> WithSimd<T> for Sums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(mut self, s: S) {
        // As many sums as there are registers.
        if S::LANES * size_of::<T>() == 64 {
            self.all::<S, 3, 9>(s);
        } else {
            self.all::<S, 3, 3>(s);
        }
    }
}

impl<T: Real> Sums<'_, T> {
    #[inline(always)]
    fn all<S: Simd<Elem = T>, const CHANNELS: usize, const TAPS: usize>(&mut self, s: S) {
        let taps = self.offsets.len();
        let channels = self.outputs;
        let mut channel = 0;
        while channel < channels {
            let many = channel + CHANNELS <= channels;
            let mut tap = 0;
            while tap < taps {
                match (many, tap + TAPS <= taps) {
                    (true, true) => self.block::<S, CHANNELS, TAPS>(s, channel, tap),
                    (true, false) => self.block::<S, CHANNELS, 1>(s, channel, tap),
                    (false, true) => self.block::<S, 1, TAPS>(s, channel, tap),
                    (false, false) => self.block::<S, 1, 1>(s, channel, tap),
                }
                tap += if tap + TAPS <= taps { TAPS } else { 1 };
            }
            channel += if many { CHANNELS } else { 1 };
        }
    }

    #[inline(always)]
    fn block<S: Simd<Elem = T>, const CHANNELS: usize, const TAPS: usize>(
        &mut self,
        s: S,
        channel: usize,
        tap: usize,
    ) {
        let [depth, height, width] = self.window.output;
        let plane = depth * height * width;
        let grad_out = &self.grad_out[channel * plane..(channel + CHANNELS) * plane];
        let mut offsets = [0; TAPS];
        offsets.copy_from_slice(&self.offsets[tap..tap + TAPS]);
        let farthest = offsets.iter().copied().max().unwrap_or(0) + width.next_multiple_of(S::LANES);
        let mut acc = [[s.splat(T::ZERO); TAPS]; CHANNELS];
        for row in 0..depth * height {
            let x = self.padded.row(row / height, row % height);
            assert!(farthest <= x.len());
            for start in (0..width).step_by(S::LANES) {
                let count = (width - start).min(S::LANES);
                let mut grads = [s.splat(T::ZERO); CHANNELS];
                for c in 0..CHANNELS {
                    // SAFETY: `count` elements of a row of this channel's plane.
                    grads[c] = unsafe {
                        s.load_partial(grad_out.as_ptr().add(c * plane + row * width + start), count)
                    };
                }
                for t in 0..TAPS {
                    // SAFETY: as asserted; lanes beyond the row read zeros or other inputs and meet zero gradients.
                    let values = unsafe { s.load(x.as_ptr().add(offsets[t] + start)) };
                    for c in 0..CHANNELS {
                        acc[c][t] = s.mul_add(grads[c], values, acc[c][t]);
                    }
                }
            }
        }
        for c in 0..CHANNELS {
            for t in 0..TAPS {
                let offset = (channel + c) * self.stride + tap + t;
                // SAFETY: one of the sums that are this call's alone.
                unsafe { *self.sums.ptr().wrapping_add(offset) += s.reduce_sum(acc[c][t]) };
            }
        }
    }
}
