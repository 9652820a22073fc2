//! Convolutions in which every output channel reads one input channel, computed directly along the rows.

use super::ConvShape;
use super::backward::{Phase, interleave};
use super::unfold::Window;
use crate::mem::Buf;
use crate::pool::{SendPtr, parallel_for};
use crate::simd::{Real, Simd, WithSimd, spread};

/// Multiplications that make a task.
const TASK_WORK: usize = 1 << 17;

fn planes_per_task(window: &Window, planes: usize) -> usize {
    TASK_WORK
        .div_ceil((window.out_plane() * window.taps.len()).max(1))
        .min(planes)
}

/// Calls `f` for all planes, several per task where they are small.
fn for_each_plane(window: &Window, planes: usize, f: impl Fn(usize) + Sync) {
    let per_task = planes_per_task(window, planes).max(1);
    parallel_for(planes.div_ceil(per_task), |t| {
        (t * per_task..((t + 1) * per_task).min(planes)).for_each(&f)
    });
}

pub(super) fn forward<T: Real>(
    shape: &ConvShape,
    window: &Window,
    x: &[T],
    w: &[T],
    bias: Option<&[T]>,
    out: &mut [T],
) {
    let (taps, multiplier) = (shape.taps(), shape.group_outputs());
    let (in_plane, out_plane) = (shape.in_plane(), shape.out_plane());
    let base = SendPtr(out.as_mut_ptr());
    for_each_plane(window, shape.batch * shape.out_channels, |i| {
        let (image, channel) = (i / shape.out_channels, i % shape.out_channels);
        let plane = Plane {
            window,
            x: &x[(image * shape.in_channels + channel / multiplier) * in_plane..][..in_plane],
            w: &w[channel * taps..][..taps],
            bias: bias.map_or(T::ZERO, |b| b[channel]),
            // SAFETY: this task alone writes plane i.
            out: unsafe { std::slice::from_raw_parts_mut(base.ptr().add(i * out_plane), out_plane) },
        };
        T::dispatch(plane);
    });
}

pub(super) fn backward_input<T: Real>(
    shape: &ConvShape,
    phases: &[Phase],
    grad_out: &[T],
    w: &[T],
    grad_in: &mut [T],
) {
    let (taps, multiplier) = (shape.taps(), shape.group_outputs());
    let (in_plane, out_plane) = (shape.in_plane(), shape.out_plane());
    let base = SendPtr(grad_in.as_mut_ptr());
    for_each_plane(&Window::forward(shape), shape.batch * shape.in_channels, |i| {
        let (image, channel) = (i / shape.in_channels, i % shape.in_channels);
        // SAFETY: this task alone writes plane i.
        let target = unsafe { std::slice::from_raw_parts_mut(base.ptr().add(i * in_plane), in_plane) };
        for phase in phases {
            let count = phase.window.out_plane();
            let (mut sum, mut part) = (Buf::<T>::zeroed(count), Buf::<T>::take(count));
            for output in channel * multiplier..(channel + 1) * multiplier {
                let kernel: Vec<T> = phase.taps.iter().map(|&t| w[output * taps + t]).collect();
                T::dispatch(Plane {
                    window: &phase.window,
                    x: &grad_out[(image * shape.out_channels + output) * out_plane..][..out_plane],
                    w: &kernel,
                    bias: T::ZERO,
                    out: &mut part,
                });
                if multiplier == 1 {
                    std::mem::swap(&mut sum, &mut part);
                } else {
                    sum.iter_mut().zip(part.iter()).for_each(|(s, &p)| *s += p);
                }
            }
            interleave(shape, phase, &sum, target);
        }
    });
}

pub(super) fn backward_weight<T: Real>(
    shape: &ConvShape,
    window: &Window,
    x: &[T],
    grad_out: &[T],
    grad_w: &mut [T],
) {
    let (taps, multiplier) = (shape.taps(), shape.group_outputs());
    let (in_plane, out_plane) = (shape.in_plane(), shape.out_plane());
    let base = SendPtr(grad_w.as_mut_ptr());
    parallel_for(shape.out_channels, |channel| {
        // SAFETY: this task alone writes the weights of its channel.
        let grad = unsafe { std::slice::from_raw_parts_mut(base.ptr().add(channel * taps), taps) };
        grad.fill(T::ZERO);
        for image in 0..shape.batch {
            T::dispatch(PlaneWeight {
                window,
                x: &x[(image * shape.in_channels + channel / multiplier) * in_plane..][..in_plane],
                grad_out: &grad_out[(image * shape.out_channels + channel) * out_plane..][..out_plane],
                grad_w: &mut *grad,
            });
        }
    });
}

/// One plane of the output from one plane of the input.
struct Plane<'a, T> {
    window: &'a Window,
    x: &'a [T],
    w: &'a [T],
    bias: T,
    out: &'a mut [T],
}

/// `count` lanes from `x[row + start + lane · stride]`, zero outside of the input row.
#[inline(always)]
fn load<S: Simd>(s: S, window: &Window, x: &[S::Elem], row: usize, start: isize, count: usize) -> S::Vector {
    let p = x.as_ptr().wrapping_add(row).wrapping_offset(start);
    let lanes = window.inside(start, count);
    if lanes.is_empty() {
        return s.splat(S::Elem::ZERO);
    }
    let mask = ((1u32 << lanes.len()) - 1) << lanes.start;
    // SAFETY: the lanes of the mask lie inside the row.
    unsafe {
        match window.stride[2] {
            1 if lanes.len() == S::LANES => s.load(p),
            1 => s.load_masked(s.splat(S::Elem::ZERO), mask, p),
            2 => s.load_every_second(spread(mask), p),
            stride => super::unfold::load_strided(s, mask, p, stride),
        }
    }
}

impl<T: Real> WithSimd<T> for Plane<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let Plane {
            window,
            x,
            w,
            bias,
            out,
        } = self;
        let [_, height, width] = window.output;
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            for start in (0..width).step_by(S::LANES) {
                let count = (width - start).min(S::LANES);
                let mut acc = s.splat(bias);
                for (tap, &w) in window.taps.iter().zip(w) {
                    if let Some(from) = window.input_row(row / height, row % height, tap) {
                        let first = (start * window.stride[2]) as isize + tap[2];
                        acc = s.mul_add(load(s, window, x, from, first, count), s.splat(w), acc);
                    }
                }
                // SAFETY: `count` elements of the output row.
                unsafe { s.store_partial(out.as_mut_ptr().add(start), acc, count) };
            }
        }
    }
}

/// The gradient of one plane's weights, added to `grad_w`.
struct PlaneWeight<'a, T> {
    window: &'a Window,
    x: &'a [T],
    grad_out: &'a [T],
    grad_w: &'a mut [T],
}

impl<T: Real> WithSimd<T> for PlaneWeight<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let PlaneWeight {
            window,
            x,
            grad_out,
            grad_w,
        } = self;
        let [_, height, width] = window.output;
        for (tap, sum) in window.taps.iter().zip(grad_w) {
            let mut acc = s.splat(T::ZERO);
            for (row, grad) in grad_out.chunks_exact(width).enumerate() {
                let Some(from) = window.input_row(row / height, row % height, tap) else {
                    continue;
                };
                for start in (0..width).step_by(S::LANES) {
                    let count = (width - start).min(S::LANES);
                    // SAFETY: `count` elements of the gradient's row.
                    let grad = unsafe { s.load_partial(grad.as_ptr().add(start), count) };
                    let first = (start * window.stride[2]) as isize + tap[2];
                    acc = s.mul_add(load(s, window, x, from, first, count), grad, acc);
                }
            }
            *sum += s.reduce_sum(acc);
        }
    }
}
