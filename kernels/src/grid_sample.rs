//! `nn.functional.grid_sample` over images and volumes: bilinear (trilinear), nearest and bicubic, with zeros, border
//! or reflection padding; the gradients with respect to the input and to the grid.
//!
//! The input is `[batch, channels, spatial…]`, the grid `[batch, points, D]` with coordinates from the last dimension
//! to the first (x, y, z), -1 and 1 being the ends of the input; the output is `[batch, channels, points]`. For every
//! point of an image of the batch the cells it reads and their weights are computed once and used for all channels.

use crate::element::Float;
use crate::index::rows_per_task;
use crate::interpolate::cubic_weights;
use crate::mem::Buf;
use crate::pool;

/// How a value is made of the cells around a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The `2^D` cells around it, linearly.
    Bilinear,
    /// The nearest cell; ties go to the even one.
    Nearest,
    /// The `4^D` cells around it by cubic convolution with a = -0.75.
    Bicubic,
}

/// What lies outside the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Zeros.
    Zeros,
    /// The nearest border cell.
    Border,
    /// The input mirrored at its border.
    Reflection,
}

/// The arguments of a call besides the tensors.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Interpolation.
    pub interpolation: Interpolation,
    /// Padding.
    pub padding: Padding,
    /// Whether -1 and 1 are the centres of the corner cells, rather than their outer edges.
    pub align_corners: bool,
}

/// A cell outside the input.
const NONE: u32 = u32::MAX;

/// For every point `taps` cells (flat, or [`NONE`]), their weights, and the weights' derivatives by the D coordinates.
struct Taps<T: crate::element::Pod> {
    count: usize,
    cells: Buf<u32>,
    weights: Buf<T>,
    /// `[points, D, taps]`; empty unless asked for.
    slopes: Buf<T>,
}

/// One coordinate: the position in cells, and its derivative by the grid's value.
fn unnormalize<T: Float>(x: T, size: usize, align_corners: bool) -> (T, T) {
    let (one, two) = (T::ONE, T::from_f64(2.0));
    let size = T::from_f64(size as f64);
    if align_corners {
        ((x + one) / two * (size - one), (size - one) / two)
    } else {
        (((x + one) * size - one) / two, size / two)
    }
}

/// A position brought into the input, and the derivative of doing so.
fn bring_inside<T: Float>(x: T, size: usize, options: &Options) -> (T, T) {
    match options.padding {
        Padding::Zeros => (x, T::ONE),
        Padding::Border => clip(x, size),
        Padding::Reflection => {
            let twice_ends = if options.align_corners {
                (0, 2 * (size as i64 - 1))
            } else {
                (-1, 2 * size as i64 - 1)
            };
            let (x, slope) = reflect(x, twice_ends);
            let (x, clipped) = clip(x, size);
            (x, slope * clipped)
        }
    }
}

fn clip<T: Float>(x: T, size: usize) -> (T, T) {
    let last = T::from_f64(size as f64 - 1.0);
    // A NaN goes to the first cell.
    if x >= last {
        (last, T::ZERO)
    } else if x > T::ZERO {
        (x, T::ONE)
    } else {
        (T::ZERO, T::ZERO)
    }
}

fn reflect<T: Float>(x: T, (twice_low, twice_high): (i64, i64)) -> (T, T) {
    if twice_low == twice_high {
        return (T::ZERO, T::ZERO);
    }
    let low = T::from_f64(twice_low as f64 / 2.0);
    let span = T::from_f64((twice_high - twice_low) as f64 / 2.0);
    let from_low = x - low;
    let (distance, slope) = if from_low < T::ZERO {
        (-from_low, -T::ONE)
    } else {
        (from_low, T::ONE)
    };
    let flips = (distance / span).floor();
    let extra = distance - flips * span;
    if (flips * T::from_f64(0.5)).floor() * T::from_f64(2.0) == flips {
        (extra + low, slope)
    } else {
        (span - extra + low, -slope)
    }
}

/// A coordinate as a cell; far outside where it is no number or too large.
fn cell_of<T: Float>(x: T) -> i64 {
    let x = x.to_f64();
    if x.abs() < 1e9 { x as i64 } else { -100 }
}

/// What a point reads along one dimension: up to four cells with their weights.
#[derive(Clone, Copy, Debug)]
pub struct Along<T> {
    /// How many cells.
    pub count: usize,
    /// The cells; `None` outside of the input.
    pub cells: [Option<usize>; 4],
    /// Their weights.
    pub weights: [T; 4],
    /// The weights' derivatives by the grid's value.
    pub slopes: [T; 4],
    /// How far the point lies behind the cell before it: what the weights are functions of.
    pub behind: T,
    /// The derivative of `behind` by the grid's value.
    pub scale: T,
}

/// What a point with coordinate `x` (-1 to 1) reads along a dimension of `size` cells.
pub fn along<T: Float>(x: T, size: usize, options: &Options) -> Along<T> {
    let (x, scale) = unnormalize(x, size, options.align_corners);
    let inside = |cell: i64| usize::try_from(cell).ok().filter(|&cell| cell < size);
    let mut result = Along {
        count: 0,
        cells: [None; 4],
        weights: [T::ZERO; 4],
        slopes: [T::ZERO; 4],
        behind: T::ZERO,
        scale: T::ZERO,
    };
    match options.interpolation {
        Interpolation::Nearest => {
            let (x, _) = bring_inside(x, size, options);
            result.count = 1;
            result.cells[0] = inside(cell_of(x.round_ties_even()));
            result.weights[0] = T::ONE;
        }
        Interpolation::Bilinear => {
            let (x, slope) = bring_inside(x, size, options);
            let scale = scale * slope;
            let cell = cell_of(x.floor());
            let behind = x - x.floor();
            (result.behind, result.scale) = (behind, scale);
            result.count = 2;
            result.cells[..2].copy_from_slice(&[inside(cell), inside(cell + 1)]);
            result.weights[..2].copy_from_slice(&[T::ONE - behind, behind]);
            result.slopes[..2].copy_from_slice(&[-scale, scale]);
        }
        Interpolation::Bicubic => {
            // The cells are brought inside one by one, the point is not.
            let floor = x.floor();
            let behind = x - floor;
            let a = T::from_f64(-0.75);
            (result.behind, result.scale) = (behind, scale);
            result.count = 4;
            result.weights = cubic_weights(behind, a);
            result.slopes = cubic_slopes(behind, a).map(|slope| slope * scale);
            for (k, cell) in result.cells.iter_mut().enumerate() {
                let (x, _) = bring_inside(floor + T::from_f64(k as f64 - 1.0), size, options);
                *cell = inside(cell_of(x));
            }
        }
    }
    result
}

/// The derivatives of [`cubic_weights`] by `t`.
fn cubic_slopes<T: Float>(t: T, a: T) -> [T; 4] {
    let c = T::from_f64;
    let near = |x: T| (c(3.0) * (a + c(2.0)) * x - c(2.0) * (a + c(3.0))) * x;
    let far = |x: T| (c(3.0) * a * x - c(10.0) * a) * x + c(8.0) * a;
    [far(t + T::ONE), near(t), -near(T::ONE - t), -far(c(2.0) - t)]
}

/// The taps of one image's points; `sizes` are the spatial sizes, first to last.
fn taps<T: Float, const D: usize>(grid: &[T], sizes: [usize; D], options: &Options, slopes: bool) -> Taps<T> {
    let points = grid.len() / D;
    let per_dimension = match options.interpolation {
        Interpolation::Nearest => 1usize,
        Interpolation::Bilinear => 2,
        Interpolation::Bicubic => 4,
    };
    let count = per_dimension.pow(D as u32);
    let slope_len = if slopes { D * count } else { 0 };
    let mut result = Taps {
        count,
        cells: Buf::take(points * count),
        weights: Buf::take(points * count),
        slopes: Buf::take(points * slope_len),
    };
    let points_per_task = rows_per_task(points, 16 * count);
    let (cells, weights) = (
        result.cells.chunks_mut(points_per_task * count),
        result.weights.chunks_mut(points_per_task * count),
    );
    let mut slope_pieces = result.slopes.chunks_mut((points_per_task * slope_len).max(1));
    let mut pieces: Vec<_> = cells
        .zip(weights)
        .map(|(c, w)| (c, w, slope_pieces.next().unwrap_or_default()))
        .collect();
    pool::parallel_chunks_mut(&mut pieces, 1, |task, piece| {
        let (cells, weights, slopes) = &mut piece[0];
        let grid = &grid[task * points_per_task * D..];
        for (p, (cells, weights)) in cells.chunks_mut(count).zip(weights.chunks_mut(count)).enumerate() {
            let point = &grid[p * D..][..D];
            // The grid's coordinates come last dimension first.
            let dims: [Along<T>; D] = std::array::from_fn(|d| along(point[D - 1 - d], sizes[d], options));
            for tap in 0..count {
                let (mut cell, mut weight, mut rest) = (Some(0), T::ONE, tap);
                let mut ks = [0; D];
                for d in (0..D).rev() {
                    ks[d] = rest % per_dimension;
                    rest /= per_dimension;
                }
                for d in 0..D {
                    cell = cell
                        .zip(dims[d].cells[ks[d]])
                        .map(|(cell, along)| cell * sizes[d] + along);
                    weight *= dims[d].weights[ks[d]];
                }
                cells[tap] = cell.map_or(NONE, |cell| cell as u32);
                weights[tap] = weight;
                if slope_len > 0 {
                    for by in 0..D {
                        let factor = |d: usize| {
                            if d == by {
                                dims[d].slopes[ks[d]]
                            } else {
                                dims[d].weights[ks[d]]
                            }
                        };
                        let slope = (0..D).fold(T::ONE, |s, d| s * factor(d));
                        slopes[p * slope_len + (D - 1 - by) * count + tap] = slope;
                    }
                }
            }
        }
    });
    result
}

/// The value at every point of the grid. `sizes` are `[height, width]` or `[depth, height, width]`.
pub fn grid_sample<T: Float, const D: usize>(
    x: &[T],
    grid: &[T],
    out: &mut [T],
    (batch, channels): (usize, usize),
    sizes: [usize; D],
    options: &Options,
) {
    let plane = sizes.iter().product::<usize>();
    assert!(plane < NONE as usize);
    let points = grid.len().checked_div(batch * D).unwrap_or(0);
    assert_eq!(
        (x.len(), out.len()),
        (batch * channels * plane, batch * channels * points)
    );
    if out.is_empty() {
        return;
    }
    for n in 0..batch {
        let taps = taps(&grid[n * points * D..][..points * D], sizes, options, false);
        let x = &x[n * channels * plane..][..channels * plane];
        let out = &mut out[n * channels * points..][..channels * points];
        pool::parallel_chunks_mut(out, pool::chunk_len(channels * points, 4096), |first, piece| {
            for (i, o) in piece.iter_mut().enumerate() {
                let (channel, point) = ((first + i) / points, (first + i) % points);
                let range = point * taps.count..(point + 1) * taps.count;
                let x = &x[channel * plane..][..plane];
                let reads = taps.cells[range.clone()].iter().zip(&taps.weights[range]);
                *o = reads
                    .filter(|(cell, _)| **cell != NONE)
                    .fold(T::ZERO, |s, (&cell, &weight)| s + weight * x[cell as usize]);
            }
        });
    }
}

/// The gradients of [`grid_sample`], written to `x_grad` and `grid_grad`; an empty slice means that one isn't wanted.
pub fn grid_sample_backward<T: Float, const D: usize>(
    grad: &[T],
    x: &[T],
    grid: &[T],
    x_grad: &mut [T],
    grid_grad: &mut [T],
    (batch, channels): (usize, usize),
    sizes: [usize; D],
    options: &Options,
) {
    let plane = sizes.iter().product::<usize>();
    let points = grid.len().checked_div(batch * D).unwrap_or(0);
    assert_eq!(
        (x.len(), grad.len()),
        (batch * channels * plane, batch * channels * points)
    );
    x_grad.fill(T::ZERO);
    grid_grad.fill(T::ZERO);
    if points == 0 || plane == 0 || channels == 0 {
        return;
    }
    for n in 0..batch {
        let taps = taps(
            &grid[n * points * D..][..points * D],
            sizes,
            options,
            !grid_grad.is_empty(),
        );
        let count = taps.count;
        let x = &x[n * channels * plane..][..channels * plane];
        let grad = &grad[n * channels * points..][..channels * points];
        if !x_grad.is_empty() {
            let x_grad = &mut x_grad[n * channels * plane..][..channels * plane];
            let planes = rows_per_task(channels, plane + points * count);
            pool::parallel_chunks_mut(x_grad, planes * plane, |first, piece| {
                for (c, x_grad) in piece.chunks_exact_mut(plane).enumerate() {
                    let grad = &grad[(first / plane + c) * points..][..points];
                    let writes = taps
                        .cells
                        .chunks_exact(count)
                        .zip(taps.weights.chunks_exact(count));
                    for (&g, (cells, weights)) in grad.iter().zip(writes) {
                        for (&cell, &weight) in cells.iter().zip(weights).filter(|(cell, _)| **cell != NONE) {
                            x_grad[cell as usize] += weight * g;
                        }
                    }
                }
            });
        }
        if !grid_grad.is_empty() {
            let grid_grad = &mut grid_grad[n * points * D..][..points * D];
            let points_per_task = rows_per_task(points, channels * count);
            pool::parallel_chunks_mut(grid_grad, points_per_task * D, |first, piece| {
                for (i, grid_grad) in piece.chunks_exact_mut(D).enumerate() {
                    let point = first / D + i;
                    for tap in 0..count {
                        let cell = taps.cells[point * count + tap];
                        if cell == NONE {
                            continue;
                        }
                        let along = (0..channels).fold(T::ZERO, |s, channel| {
                            s + grad[channel * points + point] * x[channel * plane + cell as usize]
                        });
                        for (d, o) in grid_grad.iter_mut().enumerate() {
                            *o += along * taps.slopes[(point * D + d) * count + tap];
                        }
                    }
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(interpolation: Interpolation, padding: Padding, align_corners: bool) -> Options {
        Options {
            interpolation,
            padding,
            align_corners,
        }
    }

    fn sample(grid: &[f64], o: Options) -> Vec<f64> {
        let mut out = vec![0.0; grid.len() / 2];
        grid_sample(
            &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            grid,
            &mut out,
            (1, 1),
            [2, 3],
            &o,
        );
        out
    }

    #[test]
    fn known_points() {
        let grid = [-1.0, -1.0, 0.0, 0.0, 1.0, 1.0, 0.5, -1.0];
        let bilinear = options(Interpolation::Bilinear, Padding::Zeros, true);
        assert_eq!(sample(&grid, bilinear), [1.0, 3.5, 6.0, 2.5]);
        let edges = options(Interpolation::Bilinear, Padding::Zeros, false);
        assert_eq!(sample(&grid, edges), [0.25, 3.5, 1.5, 1.375]);
        let border = options(Interpolation::Bilinear, Padding::Border, false);
        assert_eq!(
            sample(&[-1.0, -1.0, 3.0, 0.0, f64::NAN, 1.0], border),
            [1.0, 4.5, 4.0]
        );
        let nearest = options(Interpolation::Nearest, Padding::Reflection, false);
        assert_eq!(sample(&[-1.7, 0.9, 9.0, f64::NAN], nearest)[0], 5.0);
        let cubic = options(Interpolation::Bicubic, Padding::Border, true);
        assert_eq!(sample(&grid[..2], cubic), [1.0]);
    }

    /// Both gradients against central differences, over a smooth stretch of the grid.
    #[test]
    fn gradients() {
        for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
            for padding in [Padding::Zeros, Padding::Border, Padding::Reflection] {
                for align_corners in [true, false] {
                    let o = options(interpolation, padding, align_corners);
                    check([3, 4], &[0.31, -0.43, -1.17, 0.21, 0.83, 1.29, -0.07, 0.63], &o);
                }
            }
        }
        let o = options(Interpolation::Bilinear, Padding::Reflection, false);
        check([2, 3, 4], &[0.31, -0.43, 0.1, -1.17, 0.21, -0.2], &o);
    }

    fn check<const D: usize>(sizes: [usize; D], grid: &[f64], o: &Options) {
        let (plane, points) = (sizes.iter().product::<usize>(), grid.len() / D);
        let x: Vec<f64> = (0..2 * plane).map(|i| (i as f64 * 1.7).sin()).collect();
        let g: Vec<f64> = (0..2 * points).map(|i| 1.0 + (i as f64).cos()).collect();
        let loss = |x: &[f64], grid: &[f64]| {
            let mut out = vec![0.0; 2 * points];
            grid_sample(x, grid, &mut out, (1, 2), sizes, o);
            out.iter().zip(&g).map(|(o, g)| o * g).sum::<f64>()
        };
        let (mut x_grad, mut grid_grad) = (vec![9.0; x.len()], vec![9.0; grid.len()]);
        grid_sample_backward(&g, &x, grid, &mut x_grad, &mut grid_grad, (1, 2), sizes, o);
        let numeric = |values: &[f64], at: usize, f: &dyn Fn(&[f64]) -> f64| {
            let moved = |by: f64| {
                let mut values = values.to_vec();
                values[at] += by;
                f(&values)
            };
            (moved(1e-6) - moved(-1e-6)) / 2e-6
        };
        for (at, &analytic) in x_grad.iter().enumerate() {
            assert!((numeric(&x, at, &|x| loss(x, grid)) - analytic).abs() < 1e-6);
        }
        for (at, &analytic) in grid_grad.iter().enumerate() {
            let expected = numeric(grid, at, &|grid| loss(&x, grid));
            assert!(
                (expected - analytic).abs() < 1e-6,
                "{o:?} {at}: {expected} {analytic}"
            );
        }
    }
}
