//! Average pooling and its gradient.

use super::{Window, for_planes};
use crate::element::Float;
use crate::element::instantiate;

/// What an average is divided by.
#[derive(Clone, Copy, Debug)]
pub struct AvgOptions {
    /// Padding counts as cells of value zero.
    pub count_include_pad: bool,
    /// Divide by this rather than by the number of cells.
    pub divisor_override: Option<i64>,
}

impl Default for AvgOptions {
    fn default() -> Self {
        AvgOptions {
            count_include_pad: true,
            divisor_override: None,
        }
    }
}

impl AvgOptions {
    /// What the sum of the window at a place is divided by.
    pub(crate) fn divisor(&self, w: &Window, at: [usize; 3]) -> i64 {
        let spans: [_; 3] = std::array::from_fn(|d| span(w, d, at[d]));
        let count = |(first, end, padded): (usize, usize, usize)| {
            if self.count_include_pad {
                padded
            } else {
                end.saturating_sub(first)
            }
        };
        let cells: usize = spans.into_iter().map(count).product();
        self.divisor_override.unwrap_or(cells as i64)
    }
}

/// The cells that a window averages in one dimension, and how many it spans with padding (but not beyond it).
fn span(w: &Window, d: usize, at: usize) -> (usize, usize, usize) {
    let start = (at * w.stride[d]) as isize - w.padding[d] as isize;
    let end = (start + w.kernel[d] as isize).min((w.input[d] + w.padding[d]) as isize);
    let clipped = |x: isize| x.clamp(0, w.input[d] as isize) as usize;
    (clipped(start), clipped(end), (end - start).max(0) as usize)
}

fn spans(w: &Window) -> [Vec<(usize, usize, usize)>; 3] {
    std::array::from_fn(|d| (0..w.output[d]).map(|at| span(w, d, at)).collect())
}

/// Calls `f(output index, input ranges, 1 / divisor)` for every window that has cells inside.
#[inline(always)]
fn windows<T: Float>(
    spans: &[Vec<(usize, usize, usize)>; 3],
    options: AvgOptions,
    mut f: impl FnMut(usize, [(usize, usize); 3], T),
) {
    let mut at = 0;
    for &(z0, z1, nz) in &spans[0] {
        for &(y0, y1, ny) in &spans[1] {
            for &(x0, x1, nx) in &spans[2] {
                let cells = z1.saturating_sub(z0) * y1.saturating_sub(y0) * x1.saturating_sub(x0);
                let padded = if options.count_include_pad {
                    nz * ny * nx
                } else {
                    cells
                };
                let divisor = options.divisor_override.unwrap_or(padded as i64);
                if cells > 0 {
                    f(at, [(z0, z1), (y0, y1), (x0, x1)], T::from_f64(divisor as f64));
                }
                at += 1;
            }
        }
    }
}

instantiate! {
    trait Kernels for f32, f64 where Float;

    /// `avg_pool`; the window's dilation is 1.
    pub fn avg_pool(x: &[T], out: &mut [T], w: &Window, options: AvgOptions) {
        let (input, output) = (w.input_len(), w.output_len());
        let [_, height, width] = w.input;
        let spans = spans(w);
        for_planes(
            out,
            output,
            input + output * w.kernel.iter().product::<usize>(),
            |plane, out| {
                let x = &x[plane * input..][..input];
                out.fill(T::ZERO);
                windows(
                    &spans,
                    options,
                    |at, [(z0, z1), (y0, y1), (x0, x1)], divisor: T| {
                        let mut sum = T::ZERO;
                        for z in z0..z1 {
                            for y in y0..y1 {
                                let row = (z * height + y) * width;
                                x[row + x0..row + x1].iter().for_each(|&x| sum += x);
                            }
                        }
                        out[at] = sum / divisor;
                    },
                );
            },
        );
    }

    /// The gradient of [`avg_pool`].
    pub fn avg_pool_backward(grad: &[T], x_grad: &mut [T], w: &Window, options: AvgOptions) {
        let (input, output) = (w.input_len(), w.output_len());
        let [_, height, width] = w.input;
        let spans = spans(w);
        for_planes(
            x_grad,
            input,
            input + output * w.kernel.iter().product::<usize>(),
            |plane, x_grad| {
                let grad = &grad[plane * output..][..output];
                x_grad.fill(T::ZERO);
                windows(
                    &spans,
                    options,
                    |at, [(z0, z1), (y0, y1), (x0, x1)], divisor: T| {
                        let share = grad[at] / divisor;
                        for z in z0..z1 {
                            for y in y0..y1 {
                                let row = (z * height + y) * width;
                                x_grad[row + x0..row + x1].iter_mut().for_each(|x| *x += share);
                            }
                        }
                    },
                );
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: Window = Window {
        input: [1, 2, 3],
        output: [1, 2, 2],
        kernel: [1, 2, 2],
        stride: [1, 1, 2],
        padding: [0, 1, 1],
        dilation: [1; 3],
    };

    #[test]
    fn divisors() {
        let x = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
        let run = |count_include_pad, divisor_override| {
            let mut out = [0.0; 4];
            avg_pool(
                &x,
                &mut out,
                &W,
                AvgOptions {
                    count_include_pad,
                    divisor_override,
                },
            );
            out
        };
        assert_eq!(run(true, None), [0.25, 1.25, 1.25, 4.0]);
        assert_eq!(run(false, None), [1.0, 2.5, 2.5, 4.0]);
        assert_eq!(run(true, Some(2)), [0.5, 2.5, 2.5, 8.0]);
    }

    #[test]
    fn backward_is_the_transpose() {
        let x: Vec<f64> = (0..12).map(|i| (i as f64).cos()).collect();
        let g: Vec<f64> = (0..8).map(|i| (i as f64).sin()).collect();
        for count_include_pad in [true, false] {
            let options = AvgOptions {
                count_include_pad,
                divisor_override: None,
            };
            let (mut out, mut back) = ([0.0; 8], [0.0; 12]);
            avg_pool(&x, &mut out, &W, options);
            avg_pool_backward(&g, &mut back, &W, options);
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            assert!((dot(&out, &g) - dot(&x, &back)).abs() < 1e-12);
        }
    }
}
