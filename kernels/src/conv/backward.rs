//! The gradients of a convolution.
//!
//! The gradient of the input (equally: the transposed convolution) is a convolution of the output's gradient with the
//! weights turned round. With a stride the input positions fall into phases, by their remainder; each phase meets only
//! every stride-th tap, and is a convolution with stride 1 of its own.
//!
//! The gradient of the weight has a file for each of its ways: `weight` for most, `winograd/weight` for large 3 × 3
//! convolutions, `pointwise` for 1 × 1 ones of few, `direct` for very few. What is left, such as many channels of few positions, is a
//! product with the transpose of the unfolded image.

use crate::element::instantiate;
use std::ops::Range;

use super::unfold::{Unfold, UnfoldTransposed, Window};
use super::{ConvShape, depthwise, direct, fold, for_each_group, multiply, pointwise, weight, winograd};
use crate::gemm::{Epilogue, MatRef, Operand, Output, PackA, Plan};
use crate::mem::Buf;
use crate::pool::{SendPtr, parallel_chunks_mut, parallel_for};
use crate::simd::{Real, Simd, WithSimd};

/// Input positions with the same remainder modulo the stride, and what they read.
pub(super) struct Phase {
    /// The remainders.
    pub(super) first: [usize; 3],
    /// From input positions of the phase to output positions, with stride 1.
    pub(super) window: Window,
    /// The kernel's tap that belongs to each tap of the window.
    pub(super) taps: Vec<usize>,
}

/// All phases that have any positions.
pub(super) fn phases(shape: &ConvShape) -> Vec<Phase> {
    // Per dimension and remainder: the taps that meet it and the offsets at which they do.
    let along = |d: usize, first: usize| -> Vec<(usize, isize)> {
        let stride = shape.stride[d] as isize;
        let distance = |t: usize| (first + shape.padding[d]) as isize - (t * shape.dilation[d]) as isize;
        (0..shape.kernel[d])
            .filter(|&t| distance(t).rem_euclid(stride) == 0)
            .map(|t| (t, distance(t).div_euclid(stride)))
            .collect()
    };
    let mut phases = Vec::new();
    let firsts = |d: usize| 0..shape.stride[d].min(shape.input[d]);
    for z in firsts(0) {
        for y in firsts(1) {
            for x in firsts(2) {
                let first = [z, y, x];
                let size = |d: usize| (shape.input[d] - first[d]).div_ceil(shape.stride[d]);
                let (mut offsets, mut taps) = (Vec::new(), Vec::new());
                for &(kz, oz) in &along(0, z) {
                    for &(ky, oy) in &along(1, y) {
                        for &(kx, ox) in &along(2, x) {
                            offsets.push([oz, oy, ox]);
                            taps.push((kz * shape.kernel[1] + ky) * shape.kernel[2] + kx);
                        }
                    }
                }
                let window = Window {
                    input: shape.output,
                    output: [size(0), size(1), size(2)],
                    stride: [1; 3],
                    taps: offsets,
                };
                phases.push(Phase { first, window, taps });
            }
        }
    }
    phases
}

instantiate! {
    trait Kernels for f32, f64 where Real;

    /// `grad_in`, given the gradient of the output. As `conv_transpose`: the shape is that of the convolution which goes
    /// the other way, `grad_out` is the input, `w` is `[in_channels, out_channels / groups, …]` in torch's words, and
    /// `shape.input`, which includes any output padding, is the size of the result.
    ///
    /// # Panics
    /// If the slices do not have the sizes that the shape asks for, or the groups do not divide the channels.
    pub fn conv_backward_input(shape: &ConvShape, grad_out: &[T], w: &[T], grad_in: &mut [T]) {
        shape.check("conv_backward_input", grad_in.len(), w.len(), grad_out.len());
        if grad_in.is_empty() {
            return;
        }
        if shape.is_depthwise() {
            return depthwise::backward_input(shape, &phases(shape), grad_out, w, grad_in);
        }
        if winograd::pays::<T>(shape) {
            return winograd::backward_input(shape, grad_out, w, grad_in);
        }
        if fold::pays(shape) {
            return fold::backward_input(shape, &Window::forward(shape), grad_out, w, grad_in);
        }
        let (inputs, outputs, plane) = (shape.group_inputs(), shape.group_outputs(), shape.in_plane());
        let base = SendPtr(grad_in.as_mut_ptr());
        let whole = shape.stride == [1; 3];
        for phases in phases(shape).chunks(columns_together(shape)) {
            let scratch: Vec<_> = phases
                .iter()
                .map(|phase| {
                    let count = phase.window.out_plane();
                    let mut scratch = Buf::<T>::take(if whole {
                        0
                    } else {
                        shape.batch * shape.in_channels * count
                    });
                    let base = if whole { base } else { SendPtr(scratch.as_mut_ptr()) };
                    for_each_group(shape, |group| {
                        let depth = outputs * phase.taps.len();
                        let mut turned = Buf::<T>::take(inputs * depth);
                        turn_weights(shape, w, group, &phase.taps, &mut turned);
                        let weights = MatRef::row_major(&turned, inputs, depth);
                        let unfold = Unfold::new(&phase.window, grad_out, shape.out_channels, group * outputs);
                        let out = Output {
                            c: SendPtr(base.ptr().wrapping_add(group * inputs * count)),
                            ldc: count,
                            segment: Some((count, shape.in_channels * count)),
                        };
                        let columns = shape.batch * count;
                        multiply(inputs, columns, depth, &weights, &unfold, out, &Epilogue::default());
                    });
                    scratch
                })
                .collect();
            if !whole {
                parallel_for(shape.batch * shape.in_channels, |i| {
                    let source = |at: usize| {
                        let count = phases[at].window.out_plane();
                        &scratch[at][i * count..][..count]
                    };
                    // SAFETY: this task alone writes plane i.
                    let target = unsafe { std::slice::from_raw_parts_mut(base.ptr().add(i * plane), plane) };
                    match phases {
                        [phase, _] => weave(shape, phase, source(0), source(1), target),
                        _ => interleave(shape, &phases[0], source(0), target),
                    }
                });
            }
        }
    }

    /// `grad_w`, given the input and the gradient of the output.
    ///
    /// # Panics
    /// If the slices do not have the sizes that the shape asks for, or the groups do not divide the channels.
    pub fn conv_backward_weight(shape: &ConvShape, x: &[T], grad_out: &[T], grad_w: &mut [T]) {
        shape.check("conv_backward_weight", x.len(), grad_w.len(), grad_out.len());
        if grad_w.is_empty() {
            return;
        }
        if winograd::weight::pays::<T>(shape) {
            return winograd::weight::backward_weight(shape, x, grad_out, grad_w);
        }
        if pointwise::pays::<T>(shape) {
            return pointwise::backward_weight(shape, x, grad_out, grad_w);
        }
        if weight::pays::<T>(shape) {
            return weight::backward_weight(shape, x, grad_out, grad_w);
        }
        let window = Window::forward(shape);
        if direct::pays::<T>(shape) {
            return direct::backward_weight(shape, &window, x, grad_out, grad_w);
        }
        let (inputs, outputs, plane) = (shape.group_inputs(), shape.group_outputs(), shape.out_plane());
        let (columns, depth) = (inputs * shape.taps(), shape.batch * plane);
        let base = SendPtr(grad_w.as_mut_ptr());
        for_each_group(shape, |group| {
            let gradient = Channels {
                x: grad_out,
                plane,
                channels: shape.out_channels,
                first: group * outputs,
            };
            let unfold = UnfoldTransposed(Unfold::new(&window, x, shape.in_channels, group * inputs));
            let c = SendPtr(base.ptr().wrapping_add(group * outputs * columns));
            let out = Output {
                c,
                ldc: columns,
                segment: None,
            };
            let plan = Plan::new(outputs, columns, depth);
            let packed = plan.pack_a(&gradient);
            plan.run(
                Operand::Packed(&packed),
                Operand::Source(&unfold),
                out,
                &Epilogue::default(),
            );
        });
    }

    /// `grad_bias[o] = Σ grad_out[n, o, p]`.
    ///
    /// # Panics
    /// If the slices do not have the sizes that the shape asks for.
    pub fn conv_backward_bias(shape: &ConvShape, grad_out: &[T], grad_bias: &mut [T]) {
        assert_eq!(
            grad_out.len(),
            shape.output_len(),
            "conv_backward_bias: the size of the output's gradient"
        );
        assert_eq!(
            grad_bias.len(),
            shape.out_channels,
            "conv_backward_bias: the size of the bias"
        );
        let plane = shape.out_plane();
        parallel_chunks_mut(grad_bias, 1, |channel, out| {
            let plane_of = |image: usize| &grad_out[(image * shape.out_channels + channel) * plane..][..plane];
            out[0] = (0..shape.batch)
                .map(|image| T::dispatch(Sum(plane_of(image))))
                .sum();
        });
    }
}

/// The weights of a group as `[in_channels, out_channels · taps]`.
fn turn_weights<T: Real>(shape: &ConvShape, w: &[T], group: usize, taps: &[usize], turned: &mut [T]) {
    let (inputs, outputs, all) = (shape.group_inputs(), shape.group_outputs(), shape.taps());
    if turned.is_empty() {
        return;
    }
    let row = outputs * taps.len();
    parallel_chunks_mut(turned, row * (1usize << 14).div_ceil(row), |start, rows| {
        for (i, row) in rows.chunks_exact_mut(row).enumerate() {
            let channel = start / row.len() + i;
            for (o, out) in row.chunks_exact_mut(taps.len()).enumerate() {
                let kernel = &w[((group * outputs + o) * inputs + channel) * all..][..all];
                for (out, &tap) in out.iter_mut().zip(taps) {
                    *out = kernel[tap];
                }
            }
        }
    });
}

/// Writes the positions of a phase to their places in the plane.
pub(super) fn interleave<T: Real>(shape: &ConvShape, phase: &Phase, source: &[T], target: &mut [T]) {
    let [_, height, width] = shape.input;
    let [depth, rows, columns] = phase.window.output;
    for z in 0..depth {
        for y in 0..rows {
            let from = &source[(z * rows + y) * columns..][..columns];
            let plane = phase.first[0] + z * shape.stride[0];
            let row = (plane * height + phase.first[1] + y * shape.stride[1]) * width + phase.first[2];
            let end = row + width - phase.first[2];
            for (to, &x) in target[row..end].iter_mut().step_by(shape.stride[2]).zip(from) {
                *to = x;
            }
        }
    }
}

/// Phases that are written together: the two whose columns take turns, which come one after the other.
pub(super) fn columns_together(shape: &ConvShape) -> usize {
    1 + usize::from(shape.stride[2] == 2 && shape.input[2] > 1)
}

/// Writes the positions of two phases whose columns take turns to their places in the plane. `first` is the phase of
/// the even columns.
pub(super) fn weave<T: Real>(shape: &ConvShape, first: &Phase, even: &[T], odd: &[T], target: &mut [T]) {
    let [_, height, width] = shape.input;
    let [depth, rows, columns] = first.window.output;
    for row in 0..depth * rows {
        let plane = first.first[0] + row / rows * shape.stride[0];
        let to = plane * height + first.first[1] + row % rows * shape.stride[1];
        let to = &mut target[to * width..][..width];
        let (even, odd) = (
            &even[row * columns..][..columns],
            &odd[row * (width / 2)..][..width / 2],
        );
        for (to, (&even, &odd)) in to.chunks_exact_mut(2).zip(even.iter().zip(odd)) {
            (to[0], to[1]) = (even, odd);
        }
        if !width.is_multiple_of(2) {
            to[width - 1] = even[columns - 1];
        }
    }
}

/// Images `[batch, channels, plane]` as a matrix `[channels, (image, position)]`.
struct Channels<'a, T> {
    x: &'a [T],
    plane: usize,
    channels: usize,
    first: usize,
}

impl<T: Real> PackA<T> for Channels<'_, T> {
    unsafe fn pack(&self, cuts: &[usize], depth: Range<usize>, dst: *mut T) {
        for panel in cuts.windows(2) {
            let height = panel[1] - panel[0];
            let panel_dst = dst.wrapping_add((panel[0] - cuts[0]) * depth.len());
            let mut k = depth.start;
            while k < depth.end {
                let (image, position) = (k / self.plane, k % self.plane);
                let len = (self.plane - position).min(depth.end - k);
                let start = (image * self.channels + self.first) * self.plane;
                let piece = MatRef::row_major(&self.x[start..], panel[1], self.plane);
                // SAFETY: the piece of the panel that holds `len` steps.
                unsafe {
                    let dst = panel_dst.add((k - depth.start) * height);
                    piece.pack(panel, position..position + len, dst);
                }
                k += len;
            }
        }
    }
}

struct Sum<'a, T>(&'a [T]);

impl<T: Real> WithSimd<T> for Sum<'_, T> {
    type Output = T;

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) -> T {
        let mut acc = [s.splat(T::ZERO); 4];
        let mut chunks = self.0.chunks_exact(4 * S::LANES);
        for chunk in &mut chunks {
            for (i, acc) in acc.iter_mut().enumerate() {
                // SAFETY: the chunk holds four vectors.
                *acc = s.add(*acc, unsafe { s.load(chunk.as_ptr().add(i * S::LANES)) });
            }
        }
        let sum = s.add(s.add(acc[0], acc[1]), s.add(acc[2], acc[3]));
        s.reduce_sum(sum) + chunks.remainder().iter().copied().sum()
    }
}
