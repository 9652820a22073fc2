//! `nn.functional.interpolate`: nearest, nearest-exact, linear/bilinear/trilinear, bicubic, and the antialiased kinds.
//! (`area` is adaptive average pooling.)
//!
//! Interpolation is linear in the input and separable: an [`Axis`] lists, for every output position along one
//! dimension, the input positions it reads and their weights, computed exactly as PyTorch computes its source
//! coordinates. An output row combines the input rows that the leading axes name, then resamples along the last. The
//! gradient is the transposed map.

mod bytes;

pub use bytes::interpolate_bytes;

use crate::element::Pod;
use crate::element::instantiate;
use crate::element::{Float, Number};
use crate::index::rows_per_task;
use crate::mem::Buf;
use crate::pool;
use crate::simd;

/// The kernel of an interpolation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Two taps (linear, bilinear, trilinear).
    Linear,
    /// Four taps: cubic convolution with a = -0.75.
    Cubic,
}

/// How output positions map to source coordinates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The corner cells' centres coincide, rather than the corners.
    pub align_corners: bool,
    /// The scale factor given by the user, which replaces `output / input`.
    pub scale: Option<f64>,
    /// Widen the kernel when shrinking (a triangle, or a cubic with a = -0.5, as Pillow has them).
    pub antialias: bool,
}

/// What every output position along one dimension reads: `taps` input positions and weights.
#[derive(Clone, Debug)]
pub struct Axis<T> {
    input: usize,
    output: usize,
    taps: usize,
    /// `[output, taps]`
    positions: Vec<u32>,
    weights: Vec<T>,
}

/// Input cells per output cell.
fn ratio<T: Float>(input: usize, output: usize, options: &Options) -> T {
    let real = |x: usize| T::from_f64(x as f64);
    if options.align_corners {
        return if output > 1 {
            real(input - 1) / real(output - 1)
        } else {
            T::ZERO
        };
    }
    match options.scale {
        Some(scale) if scale > 0.0 => T::from_f64(1.0 / scale),
        _ => real(input) / real(output),
    }
}

fn half<T: Float>() -> T {
    T::from_f64(0.5)
}

impl<T: Float> Axis<T> {
    /// The axis of a dimension of `input` cells that becomes one of `output` cells; neither is 0.
    pub fn new(kernel: Kernel, input: usize, output: usize, options: Options) -> Self {
        assert!(input > 0 && output > 0);
        if options.antialias {
            return Self::antialiased(kernel, input, output, options);
        }
        let ratio = ratio::<T>(input, output, &options);
        let source = |at: usize| {
            let at = T::from_f64(at as f64);
            if options.align_corners {
                ratio * at
            } else {
                ratio * (at + half()) - half()
            }
        };
        // The cell before a coordinate, and how far the coordinate lies behind it.
        let split = |x: T| {
            let cell = x.floor().to_f64().min((input - 1) as f64);
            let behind = (x - T::from_f64(cell)).to_f64().clamp(0.0, 1.0);
            (cell as isize, T::from_f64(behind))
        };
        let last = input as isize - 1;
        let mut axis = Axis {
            input,
            output,
            taps: 0,
            positions: Vec::new(),
            weights: Vec::new(),
        };
        for at in 0..output {
            match kernel {
                Kernel::Linear => {
                    let x = source(at);
                    let (cell, behind) = if input == output {
                        (at as isize, T::ZERO)
                    } else {
                        split(if x < T::ZERO { T::ZERO } else { x })
                    };
                    axis.taps = 2;
                    axis.positions.extend([cell as u32, (cell + 1).min(last) as u32]);
                    axis.weights.extend([T::ONE - behind, behind]);
                }
                Kernel::Cubic => {
                    let (cell, behind) = split(source(at));
                    axis.taps = 4;
                    axis.positions
                        .extend((cell - 1..cell + 3).map(|x| x.clamp(0, last) as u32));
                    axis.weights.extend(cubic_weights(behind, T::from_f64(-0.75)));
                }
            }
        }
        axis
    }

    fn antialiased(kernel: Kernel, input: usize, output: usize, options: Options) -> Self {
        let ratio = ratio::<T>(input, output, &options);
        let (reach, filter): (f64, fn(T) -> T) = match kernel {
            Kernel::Linear => (1.0, triangle),
            Kernel::Cubic => (2.0, pillow_cubic),
        };
        let shrinks = ratio >= T::ONE;
        let support = if shrinks {
            T::from_f64(reach) * ratio
        } else {
            T::from_f64(reach)
        };
        let inverse = if shrinks { T::ONE / ratio } else { T::ONE };
        let taps = support.to_f64().ceil() as usize * 2 + 1;
        let mut axis = Axis {
            input,
            output,
            taps,
            positions: Vec::new(),
            weights: Vec::new(),
        };
        for at in 0..output {
            let center = ratio * (T::from_f64(at as f64) + half());
            let from = (center - support + half()).to_f64().max(0.0) as usize;
            let to = ((center + support + half()).to_f64() as usize)
                .min(input)
                .min(from + taps);
            let from = from.min(input - 1);
            let weights: Vec<T> = (from..to.max(from + 1))
                .map(|x| filter((T::from_f64(x as f64) - center + half()) * inverse))
                .collect();
            let total = weights.iter().fold(T::ZERO, |s, &w| s + w);
            // Unused taps repeat the first position with no weight.
            for tap in 0..taps {
                let used = tap < weights.len();
                axis.positions.push(if used { from + tap } else { from } as u32);
                axis.weights.push(match weights.get(tap) {
                    Some(&w) if total != T::ZERO => w / total,
                    Some(&w) => w,
                    None => T::ZERO,
                });
            }
        }
        axis
    }

    /// Input positions and weights of output position `at`.
    fn taps(&self, at: usize) -> impl Iterator<Item = (usize, T)> + Clone {
        let range = at * self.taps..(at + 1) * self.taps;
        self.positions[range.clone()]
            .iter()
            .zip(&self.weights[range])
            .map(|(&p, &w)| (p as usize, w))
    }
}

/// The weights of the four cells around a point that lies `t` behind the second.
pub(crate) fn cubic_weights<T: Float>(t: T, a: T) -> [T; 4] {
    let c = T::from_f64;
    let near = |x: T| ((a + c(2.0)) * x - (a + c(3.0))) * x * x + T::ONE;
    let far = |x: T| ((a * x - c(5.0) * a) * x + c(8.0) * a) * x - c(4.0) * a;
    [far(t + T::ONE), near(t), near(T::ONE - t), far(c(2.0) - t)]
}

fn triangle<T: Float>(x: T) -> T {
    let x = x.abs();
    if x < T::ONE { T::ONE - x } else { T::ZERO }
}

fn pillow_cubic<T: Float>(x: T) -> T {
    let (x, a, c) = (x.abs(), T::from_f64(-0.5), T::from_f64);
    if x < T::ONE {
        ((a + c(2.0)) * x - (a + c(3.0))) * x * x + T::ONE
    } else if x < c(2.0) {
        (((x - c(5.0)) * x + c(8.0)) * x - c(4.0)) * a
    } else {
        T::ZERO
    }
}

fn sizes<T>(axes: &[Axis<T>]) -> (usize, usize) {
    (
        axes.iter().map(|a| a.input).product(),
        axes.iter().map(|a| a.output).product(),
    )
}

/// The input rows that output row `row` of a plane combines, with their weights: the product of the leading axes' taps.
fn rows_of<T: Float>(leading: &[Axis<T>], mut row: usize, rows: &mut Vec<(usize, T)>) {
    rows.clear();
    rows.push((0, T::ONE));
    let mut place = 1;
    for axis in leading.iter().rev() {
        let at = row % axis.output;
        row /= axis.output;
        // The innermost taps vary fastest.
        let inner = std::mem::take(rows);
        for (position, weight) in axis.taps(at) {
            rows.extend(inner.iter().map(|&(r, w)| (position * place + r, weight * w)));
        }
        place *= axis.input;
    }
    rows.retain(|&(_, w)| w != T::ZERO);
}

instantiate! {
    trait Kernels for f32, f64 where Float;

    /// Resamples planes of one to three dimensions: `x` is `[planes, inputs of the axes…]`.
    pub fn interpolate(x: &[T], out: &mut [T], axes: &[Axis<T>]) {
        let (input, output) = sizes(axes);
        let Some((last, leading)) = axes.split_last() else {
            return;
        };
        let planes = out.len() / output;
        assert_eq!(x.len(), planes * input);
        let (width, rows_per_plane) = (last.output, output / last.output);
        let rows = rows_per_task(out.len() / width, width * last.taps);
        pool::parallel_chunks_mut(out, rows * width, |first, piece| {
            let mut line = Buf::take(last.input);
            let mut taps = Vec::new();
            for (i, out) in piece.chunks_exact_mut(width).enumerate() {
                let row = first / width + i;
                let plane = &x[row / rows_per_plane * input..][..input];
                rows_of(leading, row % rows_per_plane, &mut taps);
                if let [(only, weight)] = taps[..]
                    && weight == T::ONE
                {
                    resample_row(&plane[only * last.input..][..last.input], out, last);
                } else {
                    combine_rows(plane, &taps, &mut line);
                    resample_row(&line, out, last);
                }
            }
        });
    }

    /// The gradient of [`interpolate`], written to `x_grad`.
    pub fn interpolate_backward(grad: &[T], x_grad: &mut [T], axes: &[Axis<T>]) {
        let (input, output) = sizes(axes);
        let Some((last, leading)) = axes.split_last() else {
            return;
        };
        if input == 0 {
            return;
        }
        let planes = rows_per_task(x_grad.len() / input, input + output * last.taps);
        pool::parallel_chunks_mut(x_grad, planes * input, |first, piece| {
            let mut line = Buf::take(last.input);
            let mut taps = Vec::new();
            for (i, x_grad) in piece.chunks_exact_mut(input).enumerate() {
                x_grad.fill(T::ZERO);
                let grad = &grad[(first / input + i) * output..][..output];
                for (row, grad) in grad.chunks_exact(last.output).enumerate() {
                    line.fill(T::ZERO);
                    for (at, &g) in grad.iter().enumerate() {
                        last.taps(at).for_each(|(p, w)| line[p] += w * g);
                    }
                    rows_of(leading, row, &mut taps);
                    for &(row, weight) in &taps {
                        let row = &mut x_grad[row * last.input..][..last.input];
                        row.iter_mut()
                            .zip(line.iter())
                            .for_each(|(x, &l)| *x += weight * l);
                    }
                }
            }
        });
    }
}

simd! {
    /// `line = Σ weight · row`.
    fn combine_rows[T: Float](plane: &[T], taps: &[(usize, T)], line: &mut [T]) {
        let width = line.len();
        line.fill(T::ZERO);
        for &(row, weight) in taps {
            let row = &plane[row * width..][..width];
            line.iter_mut().zip(row).for_each(|(l, &x)| *l += weight * x);
        }
    }

    /// One row along the last axis.
    fn resample_row[T: Float](line: &[T], out: &mut [T], axis: &Axis<T>) {
        let line = &line[..axis.input];
        if axis.taps == 2 {
            for ((o, p), w) in out.iter_mut().zip(axis.positions.chunks_exact(2)).zip(axis.weights.chunks_exact(2)) {
                *o = line[p[0] as usize] * w[0] + line[p[1] as usize] * w[1];
            }
            return;
        }
        let taps = axis.taps.max(1);
        for ((o, p), w) in out.iter_mut().zip(axis.positions.chunks_exact(taps)).zip(axis.weights.chunks_exact(taps)) {
            *o = p.iter().zip(w).fold(T::ZERO, |s, (&p, &w)| s + w * line[p as usize]);
        }
    }
}

/// The input position that each output position of a nearest-neighbour interpolation copies: `floor(at · ratio)`, or
/// with `exact` `floor((at + 0.5) · ratio)`. As in PyTorch, coordinates are computed in the tensor's type (`f32` for
/// integers) and rounded down as `f32`.
pub fn nearest_positions<T: Float>(
    input: usize,
    output: usize,
    scale: Option<f64>,
    exact: bool,
) -> Vec<usize> {
    let ratio = ratio::<T>(
        input,
        output,
        &Options {
            scale,
            ..Options::default()
        },
    );
    (0..output)
        .map(|at| {
            let at = T::from_f64(at as f64);
            let x = if exact {
                ratio * (at + half()) - half()
            } else {
                ratio * at
            };
            let x = if x < T::ZERO { T::ZERO } else { x };
            let x = if exact { x + half() } else { x };
            (x.to_f64() as f32).floor().min((input - 1) as f32) as usize
        })
        .collect()
}

/// Copies `x` (`[planes, inputs…]`) by positions per axis, the last axis last; `input` are the sizes it comes from.
pub fn nearest<T: Pod>(x: &[T], out: &mut [T], input: &[usize], positions: &[Vec<usize>]) {
    let Some((last, leading)) = positions.split_last() else {
        return;
    };
    let (width, width_in) = (last.len(), input.last().copied().unwrap_or(1));
    if out.is_empty() {
        return;
    }
    let rows = rows_per_task(out.len() / width, width);
    pool::parallel_chunks_mut(out, rows * width, |first, piece| {
        for (i, out) in piece.chunks_exact_mut(width).enumerate() {
            let row = source_row(first / width + i, input, leading);
            let row = &x[row * width_in..][..width_in];
            out.iter_mut().zip(last).for_each(|(o, &p)| *o = row[p]);
        }
    });
}

/// The input row that output row `row` (counted over all planes) copies.
fn source_row(mut row: usize, input: &[usize], leading: &[Vec<usize>]) -> usize {
    let (mut source, mut place) = (0, 1);
    for (positions, &input) in leading.iter().zip(input).rev() {
        source += positions[row % positions.len()] * place;
        row /= positions.len();
        place *= input;
    }
    source + row * place
}

/// The gradient of [`nearest`], written to `x_grad`.
pub fn nearest_backward<T: Number>(grad: &[T], x_grad: &mut [T], input: &[usize], positions: &[Vec<usize>]) {
    let Some((last, leading)) = positions.split_last() else {
        return;
    };
    let width_in = input.last().copied().unwrap_or(1);
    let (plane, plane_out) = (
        input.iter().product::<usize>(),
        positions.iter().map(Vec::len).product::<usize>(),
    );
    if x_grad.is_empty() || plane_out == 0 {
        return x_grad.fill(T::ZERO);
    }
    let planes = rows_per_task(x_grad.len() / plane, plane + plane_out);
    pool::parallel_chunks_mut(x_grad, planes * plane, |first, piece| {
        piece.fill(T::ZERO);
        let grad = &grad[first / plane * plane_out..][..piece.len() / plane * plane_out];
        for (row, grad) in grad.chunks_exact(last.len()).enumerate() {
            let target = &mut piece[source_row(row, input, leading) * width_in..][..width_in];
            grad.iter()
                .zip(last)
                .for_each(|(&g, &p)| target[p] = target[p].plus(g));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kernel: Kernel, x: &[f64], output: usize, options: Options) -> Vec<f64> {
        let mut out = vec![0.0; output];
        interpolate(x, &mut out, &[Axis::new(kernel, x.len(), output, options)]);
        out
    }

    fn close(a: &[f64], b: &[f64]) {
        assert!(
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9),
            "{a:?} {b:?}"
        );
    }

    const X: [f64; 4] = [1.0, 3.0, 2.0, 5.0];

    #[test]
    fn linear() {
        let plain = Options::default();
        close(
            &line(Kernel::Linear, &X, 8, plain),
            &[1.0, 1.5, 2.5, 2.75, 2.25, 2.75, 4.25, 5.0],
        );
        let aligned = Options {
            align_corners: true,
            ..plain
        };
        close(
            &line(Kernel::Linear, &X, 7, aligned),
            &[1.0, 2.0, 3.0, 2.5, 2.0, 3.5, 5.0],
        );
        close(&line(Kernel::Linear, &X, 1, aligned), &[1.0]);
        close(&line(Kernel::Linear, &X, 2, plain), &[2.0, 3.5]);
        let scaled = Options {
            scale: Some(0.6),
            ..plain
        };
        close(&line(Kernel::Linear, &X, 2, scaled), &[1.0 + 2.0 / 3.0, 2.0]);
    }

    #[test]
    fn cubic_keeps_cells_and_antialiasing_averages() {
        let aligned = Options {
            align_corners: true,
            ..Options::default()
        };
        close(&line(Kernel::Cubic, &X, 4, aligned), &X);
        let smooth = Options {
            antialias: true,
            ..Options::default()
        };
        close(&line(Kernel::Linear, &X, 4, smooth), &X);
        close(&line(Kernel::Cubic, &[2.0; 9], 4, smooth), &[2.0; 4]);
        // Halving weighs four cells by a triangle: 1, 3, 3, 1, and 3, 3, 1 at the border.
        close(
            &line(Kernel::Linear, &X, 2, smooth),
            &[(3.0 + 9.0 + 2.0) / 7.0, (3.0 + 6.0 + 15.0) / 7.0],
        );
    }

    #[test]
    fn nearest_positions_are_torchs() {
        assert_eq!(nearest_positions::<f32>(4, 7, None, false), [0, 0, 1, 1, 2, 2, 3]);
        assert_eq!(nearest_positions::<f32>(4, 7, None, true), [0, 0, 1, 2, 2, 3, 3]);
        assert_eq!(nearest_positions::<f64>(5, 2, Some(0.5), false), [0, 2]);
        let (mut out, mut back) = ([0u8; 12], [0i32; 4]);
        let maps = [
            nearest_positions::<f32>(2, 3, None, false),
            nearest_positions::<f32>(2, 4, None, false),
        ];
        nearest(&[1, 2, 3, 4], &mut out, &[2, 2], &maps);
        assert_eq!(out, [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4]);
        nearest_backward(&[1; 12], &mut back, &[2, 2], &maps);
        assert_eq!(back, [4, 4, 2, 2]);
    }

    #[test]
    fn backward_is_the_transpose() {
        for kernel in [Kernel::Linear, Kernel::Cubic] {
            for antialias in [false, true] {
                let options = Options {
                    antialias,
                    ..Options::default()
                };
                let axes = [Axis::new(kernel, 3, 5, options), Axis::new(kernel, 7, 4, options)];
                let x: Vec<f64> = (0..42).map(|i| (i as f64).sin()).collect();
                let g: Vec<f64> = (0..40).map(|i| (i as f64 * 0.7).cos()).collect();
                let (mut out, mut back) = (vec![0.0; 40], vec![0.0; 42]);
                interpolate(&x, &mut out, &axes);
                interpolate_backward(&g, &mut back, &axes);
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                close(&[dot(&out, &g)], &[dot(&x, &back)]);
            }
        }
    }
}
