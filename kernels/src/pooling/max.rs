//! Max pooling with and without indices, its gradient, and its partial inverse.
//!
//! The first of several equal values wins, and NaN wins over everything (the last NaN of a window, as in torch). An
//! index is that of the value within its plane.

use super::{Window, for_planes, for_planes2};
use crate::element::instantiate;
use crate::element::{Number, Pod};
use crate::mem::Buf;

use crate::simd;

instantiate! {
    trait Kernels for f32, f64, i64, i32, i16, i8, u8, u32 where Number;

    /// `max_pool` without indices.
    pub fn max_pool_values(x: &[T], out: &mut [T], w: &Window) {
        let (input, output) = (w.input_len(), w.output_len());
        for_planes(out, output, input, |plane, out| {
            pool_plane_values(&x[plane * input..][..input], out, w);
        });
    }

    /// `max_pool` with the flat index of each maximum.
    pub fn max_pool(x: &[T], out: &mut [T], indices: &mut [i64], w: &Window) {
        let (input, output) = (w.input_len(), w.output_len());
        for_planes2((out, output), (indices, output), input, |plane, out, indices| {
            pool_plane(&x[plane * input..][..input], out, indices, w);
        });
    }

    /// The gradient of a max pool: each output's gradient is added where its maximum was. Planes of `x_grad` have
    /// `input` elements, those of `grad` and `indices` `output`. Also serves adaptive and fractional pooling.
    pub fn max_pool_backward(
        grad: &[T],
        indices: &[i64],
        x_grad: &mut [T],
        input: usize,
        output: usize,
    ) {
        for_planes(x_grad, input, input + output, |plane, x_grad| {
            x_grad.fill(T::ZERO);
            let plane = plane * output..(plane + 1) * output;
            for (&g, &i) in grad[plane.clone()].iter().zip(&indices[plane]) {
                let cell = &mut x_grad[i as usize];
                *cell = cell.plus(g);
            }
        });
    }
}

/// Outputs that are made at a time: as many rows as stay in the first-level cache.
const BLOCK: usize = 2048;
/// Outputs are filled up to a multiple of this, so that no loop has a rest.
const UNROLLED: usize = 64;

/// Some rows of the input with their padding, one for each row of outputs, end to end: the windows of all rows are one long
/// row then, however short each of them is.
struct Lines<T: Pod> {
    cells: Buf<T>,
    /// Outputs from one row to the next, those that reach into the next row's cells included.
    pitch: usize,
    stride: usize,
    /// Cells before a row, and cells of it.
    padding: usize,
    width: usize,
    /// Rows of outputs of a block.
    rows: usize,
}

impl<T: Number> Lines<T> {
    fn new(w: &Window) -> Self {
        let (stride, padding) = (w.stride[2], w.padding[2]);
        let span = (w.kernel[2] - 1) * w.dilation[2];
        let pitch = w.output[2] + span.div_ceil(stride);
        let rows = (BLOCK / pitch.max(1)).clamp(1, w.output[1].max(1));
        let mut cells = Buf::take((rows * pitch).next_multiple_of(UNROLLED) * stride + span);
        cells.fill(T::LEAST);
        Lines {
            cells,
            pitch,
            stride,
            padding,
            width: w.input[2].min((pitch * stride).saturating_sub(padding)),
            rows,
        }
    }

    /// Outputs of a block of `rows` rows, filled up.
    fn len(&self, rows: usize) -> usize {
        (rows * self.pitch).next_multiple_of(UNROLLED)
    }

    /// Where the cells of a row lie.
    fn row(&mut self, row: usize) -> &mut [T] {
        &mut self.cells[row * self.pitch * self.stride + self.padding..][..self.width]
    }
}

/// `new` if it is larger or NaN, else `old`.
#[inline(always)]
fn keep_larger<T: Number>(old: T, new: T) -> T {
    if new > old || new.is_not_a_number() {
        new
    } else {
        old
    }
}

simd! {
    fn pool_plane_values[T: Number](x: &[T], out: &mut [T], w: &Window) {
        let ([_, height, width], [out_d, out_h, out_w]) = (w.input, w.output);
        let mut lines = Lines::<T>::new(w);
        let mut best = Buf::<T>::take(lines.len(lines.rows));
        for z in 0..out_d {
            let (z0, z1) = w.range(0, z);
            for first in (0..out_h).step_by(lines.rows) {
                let rows = first..(first + lines.rows).min(out_h);
                // The maximum over the window's rows, then over its columns.
                for y in rows.clone() {
                    let (y0, y1) = w.range(1, y);
                    let line = lines.row(y - first);
                    line.fill(T::LEAST);
                    for z in (z0..z1).step_by(w.dilation[0]) {
                        for y in (y0..y1).step_by(w.dilation[1]) {
                            let row = &x[(z * height + y) * width..][..line.len()];
                            line.iter_mut().zip(row).for_each(|(m, &x)| *m = keep_larger(*m, x));
                        }
                    }
                }
                let best = &mut best[..lines.len(rows.len())];
                best.fill(T::LEAST);
                for k in 0..w.kernel[2] {
                    let cells = &lines.cells[k * w.dilation[2]..];
                    // Strides that the compiler knows become permutations.
                    match lines.stride {
                        1 => best.iter_mut().zip(cells).for_each(|(m, &x)| *m = keep_larger(*m, x)),
                        2 => best
                            .iter_mut()
                            .zip(cells.chunks_exact(2))
                            .for_each(|(m, x)| *m = keep_larger(*m, x[0])),
                        stride => best
                            .iter_mut()
                            .zip(cells.iter().step_by(stride))
                            .for_each(|(m, &x)| *m = keep_larger(*m, x)),
                    }
                }
                for y in rows {
                    let best = &best[(y - first) * lines.pitch..][..out_w];
                    out[(z * out_h + y) * out_w..][..out_w].copy_from_slice(best);
                }
            }
        }
    }
}

simd! {
    fn pool_plane[T: Number](x: &[T], out: &mut [T], indices: &mut [i64], w: &Window) {
        let ([_, height, width], [out_d, out_h, out_w]) = (w.input, w.output);
        assert!(x.len() <= u32::MAX as usize);
        let mut lines = Lines::<T>::new(w);
        let len = lines.len(lines.rows);
        // Of each window: where its maximum lies, less the distance that its row and its column are from the first; modulo 2³².
        let (mut best, mut offsets) = (Buf::<T>::take(len), Buf::<u32>::take(len));
        let (row_step, stride) = (w.stride[1] * width, w.stride[2]);
        for z in 0..out_d {
            let (z0, z1) = w.range(0, z);
            for first in (0..out_h).step_by(lines.rows) {
                let rows = first..(first + lines.rows).min(out_h);
                let len = lines.len(rows.len());
                let (best, offsets) = (&mut best[..len], &mut offsets[..len]);
                best.fill(T::LEAST);
                for y in rows.clone() {
                    let row = ((z0 * height + w.range(1, y).0) * width).wrapping_sub(y * row_step);
                    let offsets = &mut offsets[(y - first) * lines.pitch..][..out_w];
                    offsets.fill(row.wrapping_sub(w.padding[2]) as u32);
                    let cut = w.padding[2].div_ceil(stride).min(out_w);
                    for (at, offset) in offsets[..cut].iter_mut().enumerate() {
                        *offset = row.wrapping_add(w.range(2, at).0).wrapping_sub(at * stride) as u32;
                    }
                }
                for z in (z0..z1).step_by(w.dilation[0]) {
                    for k in 0..w.kernel[1] {
                        for y in rows.clone() {
                            let line = lines.row(y - first);
                            match (y * w.stride[1] + k * w.dilation[1]).checked_sub(w.padding[1]) {
                                Some(y) if y < height => {
                                    line.copy_from_slice(&x[(z * height + y) * width..][..line.len()])
                                }
                                _ => line.fill(T::LEAST),
                            }
                        }
                        let row = ((z * height + k * w.dilation[1]) * width).wrapping_sub(w.padding[1] * width);
                        for k in 0..w.kernel[2] {
                            let offset = row.wrapping_add(k * w.dilation[2]).wrapping_sub(w.padding[2]);
                            let cells = &lines.cells[k * w.dilation[2]..];
                            update(best, offsets, cells, stride, offset as u32);
                        }
                    }
                }
                for y in rows {
                    let (from, to) = ((y - first) * lines.pitch, (z * out_h + y) * out_w);
                    out[to..][..out_w].copy_from_slice(&best[from..][..out_w]);
                    let row = (y * row_step) as u32;
                    let indices = indices[to..][..out_w].iter_mut().zip(&offsets[from..]);
                    for (i, (index, &offset)) in indices.enumerate() {
                        *index = i64::from(offset.wrapping_add(row).wrapping_add((i * stride) as u32));
                    }
                }
            }
        }
    }
}

/// One cell of every window: `cells[i · stride]` against `best[i]`.
#[inline(always)]
fn update<T: Number>(best: &mut [T], offsets: &mut [u32], cells: &[T], stride: usize, offset: u32) {
    // What is chosen from are values, not where they lie: else the compiler gathers them.
    let update = move |best: &mut T, at: &mut u32, x: T| {
        let (old, kept) = (*best, *at);
        let take = x > old || x.is_not_a_number();
        *best = if take { x } else { old };
        *at = if take { offset } else { kept };
    };
    let targets = best.iter_mut().zip(offsets.iter_mut());
    match stride {
        1 => targets.zip(cells).for_each(|((b, o), &x)| update(b, o, x)),
        2 => targets
            .zip(cells.chunks_exact(2))
            .for_each(|((b, o), x)| update(b, o, x[0])),
        _ => targets
            .zip(cells.iter().step_by(stride))
            .for_each(|((b, o), &x)| update(b, o, x)),
    }
}

/// `max_unpool`: zeros, but for `x` at its indices; planes of `x` have `input` elements, those of `out` `output`.
/// The indices must lie in `0..output`.
pub fn max_unpool<T: Pod>(x: &[T], indices: &[i64], out: &mut [T], input: usize, output: usize) {
    for_planes(out, output, input + output, |plane, out| {
        out.fill(T::default());
        let plane = plane * input..(plane + 1) * input;
        for (&x, &i) in x[plane.clone()].iter().zip(&indices[plane]) {
            out[i as usize] = x;
        }
    });
}

/// The gradient of [`max_unpool`], and the second one of [`max_pool`]: `x_grad[i] = grad[indices[i]]` per plane.
pub fn max_unpool_backward<T: Pod>(
    grad: &[T],
    indices: &[i64],
    x_grad: &mut [T],
    input: usize,
    output: usize,
) {
    for_planes(x_grad, input, input, |plane, x_grad| {
        let grad = &grad[plane * output..][..output];
        for (x, &i) in x_grad.iter_mut().zip(&indices[plane * input..]) {
            *x = grad[i as usize];
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::output_len;
    use super::*;

    fn naive(x: &[f32], w: &Window) -> (Vec<f32>, Vec<i64>) {
        let [depth, height, width] = w.input.map(|n| n as isize);
        let mut result = (Vec::new(), Vec::new());
        let at = |o: usize, d: usize, k: usize| {
            (o * w.stride[d] + k * w.dilation[d]) as isize - w.padding[d] as isize
        };
        for z in 0..w.output[0] {
            for y in 0..w.output[1] {
                for x_out in 0..w.output[2] {
                    let mut best = None;
                    for kz in 0..w.kernel[0] {
                        for ky in 0..w.kernel[1] {
                            for kx in 0..w.kernel[2] {
                                let (z, y, x_in) = (at(z, 0, kz), at(y, 1, ky), at(x_out, 2, kx));
                                if z < 0 || y < 0 || x_in < 0 || z >= depth || y >= height || x_in >= width {
                                    continue;
                                }
                                let i = (z * height + y) * width + x_in;
                                let v = x[i as usize];
                                if best.is_none_or(|(b, _): (f32, isize)| v > b || v.is_nan()) {
                                    best = Some((v, i));
                                }
                            }
                        }
                    }
                    let (v, i) = best.unwrap();
                    result.0.push(v);
                    result.1.push(i as i64);
                }
            }
        }
        result
    }

    #[test]
    fn every_geometry_agrees_with_the_definition() {
        let mut checked = 0;
        for (kernel, stride, padding, dilation, ceil) in [
            ([1, 3, 3], [1, 2, 2], [0, 1, 1], [1, 1, 1], false),
            ([2, 2, 2], [2, 2, 2], [0, 0, 0], [1, 1, 1], true),
            ([1, 3, 2], [1, 1, 1], [0, 1, 1], [1, 2, 3], false),
            ([3, 5, 4], [1, 3, 3], [1, 2, 2], [1, 1, 1], true),
            ([1, 2, 2], [1, 3, 4], [0, 0, 0], [1, 1, 2], true),
        ] {
            // The widest rows come in more than one block.
            for input in [[3, 7, 9], [4, 8, 21], [5, 5, 5], [2, 23, 500]] {
                let lens: [Option<usize>; 3] = std::array::from_fn(|d| {
                    output_len(input[d], kernel[d], stride[d], padding[d], dilation[d], ceil)
                });
                let [Some(a), Some(b), Some(c)] = lens else {
                    continue;
                };
                let w = Window {
                    input,
                    output: [a, b, c],
                    kernel,
                    stride,
                    padding,
                    dilation,
                };
                let planes = 3;
                let mut x: Vec<f32> = (0..planes * w.input_len())
                    .map(|i| ((i * 37 % 11) as f32 * 1.3).sin())
                    .collect();
                x[3] = f32::NAN;
                x[6] = f32::NEG_INFINITY;
                let mut out = vec![0.0; planes * w.output_len()];
                let (mut values, mut indices) = (out.clone(), vec![0; out.len()]);
                max_pool(&x, &mut out, &mut indices, &w);
                max_pool_values(&x, &mut values, &w);
                for plane in 0..planes {
                    let expected = naive(&x[plane * w.input_len()..][..w.input_len()], &w);
                    let range = plane * w.output_len()..(plane + 1) * w.output_len();
                    let same = |a: &[f32]| a.iter().zip(&expected.0).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same(&out[range.clone()]), "{w:?}");
                    assert!(same(&values[range.clone()]), "{w:?}");
                    assert_eq!(indices[range], expected.1, "{w:?}");
                    checked += 1;
                }
            }
        }
        assert!(checked > 30);
    }

    #[test]
    fn backward_and_unpool() {
        let x = [1.0f64, 5.0, 3.0, 2.0];
        let w = Window {
            input: [1, 1, 4],
            output: [1, 1, 3],
            kernel: [1, 1, 2],
            stride: [1; 3],
            padding: [0; 3],
            dilation: [1; 3],
        };
        let (mut out, mut indices, mut grad) = ([0.0; 3], [0; 3], [9.0; 4]);
        max_pool(&x, &mut out, &mut indices, &w);
        assert_eq!((out, indices), ([5.0, 5.0, 3.0], [1, 1, 2]));
        max_pool_backward(&[1.0, 2.0, 4.0], &indices, &mut grad, 4, 3);
        assert_eq!(grad, [0.0, 3.0, 4.0, 0.0]);
        let mut unpooled = [9.0; 4];
        max_unpool(&out, &indices, &mut unpooled, 3, 4);
        assert_eq!(unpooled, [0.0, 5.0, 3.0, 0.0]);
        let mut back = [0.0; 3];
        max_unpool_backward(&[1.0, 2.0, 3.0, 4.0], &indices, &mut back, 3, 4);
        assert_eq!(back, [2.0, 2.0, 3.0]);
    }
}
