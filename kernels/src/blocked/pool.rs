//! Pooling of blocked images.

use super::{BLOCK, blocked_len};
use crate::pool::{SendPtr, parallel_ranges};
use crate::simd::{Real, Simd, WithSimd};

/// Elements of the output that make a task.
const TASK: usize = 1 << 13;

/// Windows over the two dimensions of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pool {
    /// Size of the input.
    pub input: [usize; 2],
    /// Size of the output.
    pub output: [usize; 2],
    /// Size of the window.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// Positions before the input; what lies outside takes no part.
    pub padding: [usize; 2],
    /// Steps between the positions of a window.
    pub dilation: [usize; 2],
    /// The largest of each window, or else its sum divided by this, in which positions outside count as zeros.
    pub divisor: Option<f32>,
}

/// Pools `planes` blocks of channels; a NaN of a window is its largest element.
///
/// # Panics
/// If a slice does not have its size.
pub fn pool(options: &Pool, planes: usize, x: &[f32], out: &mut [f32]) {
    let of = |size: [usize; 2]| planes * size[0] * size[1] * BLOCK;
    assert_eq!(x.len(), of(options.input), "blocked::pool: the size of the input");
    assert_eq!(
        out.len(),
        of(options.output),
        "blocked::pool: the size of the output"
    );
    let base = SendPtr(out.as_mut_ptr());
    let row = options.output[1] * BLOCK;
    parallel_ranges(planes * options.output[0], TASK.div_ceil(row.max(1)), |rows| {
        for i in rows {
            let (plane, y) = (i / options.output[0], i % options.output[0]);
            let len = options.input[0] * options.input[1] * BLOCK;
            f32::dispatch(Row {
                options,
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
    options: &'a Pool,
    y: usize,
    x: &'a [f32],
    out: &'a mut [f32],
}

/// The taps of window `at` that lie inside the input.
fn inside(options: &Pool, d: usize, at: usize) -> std::ops::Range<usize> {
    let start = (at * options.stride[d]) as isize - options.padding[d] as isize;
    let dilation = options.dilation[d];
    let first = ((-start).max(0) as usize).div_ceil(dilation);
    let room = (options.input[d] as isize - start).max(0) as usize;
    let end = room.div_ceil(dilation).min(options.kernel[d]);
    first.min(end)..end
}

impl WithSimd<f32> for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = f32>>(self, _: S) {
        let options = self.options;
        let ys = inside(options, 0, self.y);
        let width = options.input[1];
        for (at, out) in self.out.chunks_exact_mut(BLOCK).enumerate() {
            let xs = inside(options, 1, at);
            let mut value = [if options.divisor.is_some() {
                0.0
            } else {
                f32::NEG_INFINITY
            }; BLOCK];
            for ky in ys.clone() {
                let row = self.y * options.stride[0] + ky * options.dilation[0] - options.padding[0];
                for kx in xs.clone() {
                    let column = at * options.stride[1] + kx * options.dilation[1] - options.padding[1];
                    let x = &self.x[(row * width + column) * BLOCK..][..BLOCK];
                    if options.divisor.is_some() {
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
            if let Some(divisor) = options.divisor {
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
