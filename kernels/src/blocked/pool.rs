//! Pooling of blocked images.

use std::ops::Range;

use super::{BLOCK, blocked_len};
use crate::pool::{SendPtr, parallel_ranges};
use crate::pooling::{AvgOptions, Window};
use crate::simd::{Real, Simd, WithSimd};

/// Elements of the output that make a task.
const TASK: usize = 1 << 13;

/// The largest element of each window, or with options its mean, of `planes` blocks of channels. The windows' first dimension
/// is of size 1. A NaN of a window is its largest element.
///
/// # Panics
/// If a slice does not have its size.
pub fn pool(window: &Window, average: Option<AvgOptions>, planes: usize, x: &[f32], out: &mut [f32]) {
    let of = |size: [usize; 3]| planes * size.iter().product::<usize>() * BLOCK;
    assert_eq!(x.len(), of(window.input), "blocked::pool: the size of the input");
    assert_eq!(
        out.len(),
        of(window.output),
        "blocked::pool: the size of the output"
    );
    let base = SendPtr(out.as_mut_ptr());
    let [_, height, width] = window.output;
    let row = width * BLOCK;
    parallel_ranges(planes * height, TASK.div_ceil(row.max(1)), |rows| {
        for i in rows {
            let (plane, y) = (i / height, i % height);
            let len = window.input.iter().product::<usize>() * BLOCK;
            f32::dispatch(Row {
                window,
                average,
                y,
                x: &x[plane * len..][..len],
                // SAFETY: this task alone writes this row.
                out: unsafe { std::slice::from_raw_parts_mut(base.ptr().add(i * row), row) },
            });
        }
    });
}

/// The mean of every channel over its plane: `[batch, blocks, BLOCK]`.
///
/// # Panics
/// If a slice does not have its size.
pub fn average(batch: usize, channels: usize, plane: usize, x: &[f32], out: &mut [f32]) {
    assert_eq!(
        x.len(),
        blocked_len(batch, channels, plane),
        "blocked::average: the size of the input"
    );
    assert_eq!(
        out.len(),
        blocked_len(batch, channels, 1),
        "blocked::average: the size of the output"
    );
    let base = SendPtr(out.as_mut_ptr());
    let len = plane * BLOCK;
    parallel_ranges(out.len() / BLOCK, TASK.div_ceil(len.max(1)), |blocks| {
        for i in blocks {
            f32::dispatch(Mean {
                x: &x[i * len..][..len],
                // SAFETY: this task alone writes this block.
                out: unsafe { std::slice::from_raw_parts_mut(base.ptr().add(i * BLOCK), BLOCK) },
            });
        }
    });
}

struct Row<'a> {
    window: &'a Window,
    average: Option<AvgOptions>,
    y: usize,
    x: &'a [f32],
    out: &'a mut [f32],
}

/// The taps of window `at` that lie inside the input.
fn inside(w: &Window, d: usize, at: usize) -> Range<usize> {
    let start = (at * w.stride[d]) as isize - w.padding[d] as isize;
    let first = ((-start).max(0) as usize).div_ceil(w.dilation[d]);
    let room = (w.input[d] as isize - start).max(0) as usize;
    let end = room.div_ceil(w.dilation[d]).min(w.kernel[d]);
    first.min(end)..end
}

impl WithSimd<f32> for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = f32>>(self, _: S) {
        let w = self.window;
        let ys = inside(w, 1, self.y);
        for (at, out) in self.out.chunks_exact_mut(BLOCK).enumerate() {
            let xs = inside(w, 2, at);
            let start = if self.average.is_some() {
                0.0
            } else {
                f32::NEG_INFINITY
            };
            let mut value = [start; BLOCK];
            for ky in ys.clone() {
                let row = self.y * w.stride[1] + ky * w.dilation[1] - w.padding[1];
                for kx in xs.clone() {
                    let column = at * w.stride[2] + kx * w.dilation[2] - w.padding[2];
                    let x = &self.x[(row * w.input[2] + column) * BLOCK..][..BLOCK];
                    if self.average.is_some() {
                        value.iter_mut().zip(x).for_each(|(sum, &x)| *sum += x);
                    } else {
                        for (largest, &x) in value.iter_mut().zip(x) {
                            if x > *largest || x.is_nan() {
                                *largest = x;
                            }
                        }
                    }
                }
            }
            if let Some(options) = self.average {
                let divisor = options.divisor(w, [0, self.y, at]) as f32;
                value.iter_mut().for_each(|x| *x /= divisor);
            }
            out.copy_from_slice(&value);
        }
    }
}

struct Mean<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd<f32> for Mean<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = f32>>(self, s: S) {
        let count = s.splat((self.x.len() / BLOCK) as f32);
        for lane in (0..BLOCK).step_by(S::LANES) {
            // Four sums, so that additions need not wait for each other.
            let mut sums = [s.splat(0.0); 4];
            for (i, x) in self.x.chunks_exact(BLOCK).enumerate() {
                // SAFETY: a block of the plane.
                sums[i % 4] = s.add(sums[i % 4], unsafe { s.load(x.as_ptr().add(lane)) });
            }
            let sum = s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3]));
            // SAFETY: a block of the output.
            unsafe { s.store(self.out.as_mut_ptr().add(lane), s.div(sum, count)) };
        }
    }
}
