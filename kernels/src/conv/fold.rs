//! The gradient of the input for few input channels: as columns, which are summed into place.
//!
//! `columns[(channel, tap), position] = Σ_o w[o, channel, tap] · grad_out[o, position]` is a product without unfolding;
//! each of its rows is then added to the input positions that its tap reads. That is more stores but, with few input
//! channels, far fewer loads than unfolding the gradient of many output channels for every tap.

use super::ConvShape;
use super::unfold::Window;
use crate::gemm::{Epilogue, MatRef, gemm};
use crate::mem::Buf;
use crate::pool::{SendPtr, num_threads, parallel_for};
use crate::simd::Real;

/// Positions of the output whose columns are made at a time, about.
const POSITIONS: usize = 1024;

/// Whether this way is the faster one.
pub(super) fn pays(shape: &ConvShape) -> bool {
    shape.group_inputs() * 8 <= shape.group_outputs()
}

pub(super) fn backward_input<T: Real>(
    shape: &ConvShape,
    window: &Window,
    grad_out: &[T],
    w: &[T],
    grad_in: &mut [T],
) {
    let members = shape.batch * shape.groups;
    let base = SendPtr(grad_in.as_mut_ptr());
    let len = shape.group_inputs() * shape.in_plane();
    let member = |i: usize| {
        let (image, group) = (i / shape.groups, i % shape.groups);
        // SAFETY: this call alone writes the input channels of one group of one image.
        let target = unsafe { std::slice::from_raw_parts_mut(base.ptr().add(i * len), len) };
        target.fill(T::ZERO);
        let outputs = shape.group_outputs() * shape.out_plane();
        let grad = &grad_out[(image * shape.groups + group) * outputs..][..outputs];
        let weights = shape.weight_len() / shape.groups;
        one_group(shape, window, grad, &w[group * weights..][..weights], target);
    };
    if members >= 2 * num_threads() {
        parallel_for(members, member);
    } else {
        (0..members).for_each(member);
    }
}

/// One group of one image.
fn one_group<T: Real>(shape: &ConvShape, window: &Window, grad_out: &[T], w: &[T], grad_in: &mut [T]) {
    let (outputs, plane, width) = (shape.group_outputs(), shape.out_plane(), shape.output[2]);
    let (taps, in_plane) = (shape.taps(), shape.in_plane());
    let rows = shape.group_inputs() * taps;
    let weights = MatRef::row_major(w, outputs, rows).transposed();
    let step = POSITIONS.div_ceil(width) * width;
    let mut columns = Buf::<T>::take(rows * step.min(plane));
    let base = SendPtr(grad_in.as_mut_ptr());
    for first in (0..plane).step_by(step) {
        let count = step.min(plane - first);
        let grad = MatRef::new(&grad_out[first..], outputs, count, plane, 1);
        gemm(
            weights,
            grad,
            &mut columns[..rows * count],
            count,
            &Epilogue::default(),
        );
        parallel_for(shape.group_inputs(), |channel| {
            // SAFETY: this task alone writes its channel.
            let target =
                unsafe { std::slice::from_raw_parts_mut(base.ptr().add(channel * in_plane), in_plane) };
            for (t, tap) in window.taps.iter().enumerate() {
                let column = &columns[(channel * taps + t) * count..][..count];
                fold(window, tap, first / width, column, target);
            }
        });
    }
}

crate::simd! {
    /// Adds whole rows of the output, from row `first_row` on, to what they read through one tap.
    fn fold[T: Real](window: &Window, tap: &[isize; 3], first_row: usize, column: &[T], target: &mut [T]) -> () {
        let [_, height, width] = window.output;
        let stride = window.stride[2];
        for (i, row) in column.chunks_exact(width).enumerate() {
            let (z, y) = ((first_row + i) / height, (first_row + i) % height);
            let Some(start) = window.input_row(z, y, tap) else { continue };
            let inside = window.inside(tap[2], width);
            if inside.is_empty() {
                continue;
            }
            let first = (inside.start * stride) as isize + tap[2];
            let row = &row[inside];
            let target = &mut target[start + first as usize..];
            match stride {
                1 => target.iter_mut().zip(row).for_each(|(t, &x)| *t += x),
                2 => target.iter_mut().step_by(2).zip(row).for_each(|(t, &x)| *t += x),
                _ => target.iter_mut().step_by(stride).zip(row).for_each(|(t, &x)| *t += x),
            }
        }
    }
}
