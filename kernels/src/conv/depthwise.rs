//! Convolutions in which every output channel reads one input channel, computed directly: along the rows, or with vectors of
//! channels where rows are short or have strides (`channels`).

mod channels;

use super::backward::{Phase, columns_together, interleave, weave};
use super::padded::Padded;
use super::unfold::Window;
use super::{ConvShape, Tail};
use crate::mem::Buf;
use crate::pool::{SendPtr, parallel_for};
use crate::simd::{Real, Simd, WithSimd};
use channels::Channels;

/// Multiplications that make a task.
const TASK_WORK: usize = 1 << 17;

/// Calls `f` for ranges of planes, several per task where they are small.
fn for_planes(window: &Window, planes: usize, f: impl Fn(std::ops::Range<usize>) + Sync) {
    let per_task = TASK_WORK.div_ceil((window.out_plane() * window.taps.len()).max(1));
    let tasks = planes.div_ceil(per_task);
    parallel_for(tasks, |t| f(t * planes / tasks..(t + 1) * planes / tasks));
}

pub(super) fn forward<T: Real>(
    shape: &ConvShape,
    window: &Window,
    x: &[T],
    w: &[T],
    tail: &Tail<'_, T>,
    out: &mut [T],
) {
    if channels::pays::<T>(shape) {
        forward_channels(shape, window, x, w, tail, out);
    } else {
        along_rows(shape, window, x, w, tail, out);
    }
}

/// [`forward`] with vectors of channels.
fn forward_channels<T: Real>(
    shape: &ConvShape,
    window: &Window,
    x: &[T],
    w: &[T],
    tail: &Tail<'_, T>,
    out: &mut [T],
) {
    let phase = Phase {
        first: [0; 3],
        window: window.clone(),
        taps: (0..shape.taps()).collect(),
    };
    let all = Channels {
        phases: &[phase],
        step: [1; 3],
        size: shape.output,
        planes: shape.batch * shape.out_channels,
        channels: shape.out_channels,
        x,
        w,
        tail,
    };
    all.run(out);
}

/// [`forward`] with vectors of columns.
fn along_rows<T: Real>(
    shape: &ConvShape,
    window: &Window,
    x: &[T],
    w: &[T],
    tail: &Tail<'_, T>,
    out: &mut [T],
) {
    let (taps, multiplier) = (shape.taps(), shape.group_outputs());
    let (in_plane, out_plane) = (shape.in_plane(), shape.out_plane());
    let (base, rest) = (SendPtr(out.as_mut_ptr()), tail.without_bias());
    for_planes(window, shape.batch * shape.out_channels, |planes| {
        let Some(mut padded) = Padded::new([window].into_iter()) else {
            return;
        };
        let offsets = offsets(window, &padded);
        for i in planes.clone() {
            let (image, channel) = (i / shape.out_channels, i % shape.out_channels);
            let input = image * shape.in_channels + channel / multiplier;
            if i == planes.start || channel % multiplier == 0 {
                padded.fill(&x[input * in_plane..][..in_plane]);
            }
            // SAFETY: this task alone writes plane i.
            let out = unsafe { std::slice::from_raw_parts_mut(base.ptr().add(i * out_plane), out_plane) };
            T::dispatch(Plane {
                window,
                padded: &padded,
                offsets: &offsets,
                w: &w[channel * taps..][..taps],
                bias: tail.bias.map_or(T::ZERO, |b| b[channel]),
                out,
                add: false,
            });
            rest.apply(channel, i * out_plane, out);
        }
    });
}

pub(super) fn backward_input<T: Real>(
    shape: &ConvShape,
    phases: &[Phase],
    grad_out: &[T],
    w: &[T],
    grad_in: &mut [T],
) {
    if channels::pays::<T>(shape) {
        backward_channels(shape, phases, grad_out, w, grad_in);
    } else {
        backward_along_rows(shape, phases, grad_out, w, grad_in);
    }
}

/// [`backward_input`] with vectors of channels.
fn backward_channels<T: Real>(
    shape: &ConvShape,
    phases: &[Phase],
    grad_out: &[T],
    w: &[T],
    grad_in: &mut [T],
) {
    let all = Channels {
        phases,
        step: shape.stride,
        size: shape.input,
        planes: shape.batch * shape.in_channels,
        channels: shape.in_channels,
        x: grad_out,
        w,
        tail: &Tail::default(),
    };
    all.run(grad_in);
}

/// [`backward_input`] with vectors of columns.
fn backward_along_rows<T: Real>(
    shape: &ConvShape,
    phases: &[Phase],
    grad_out: &[T],
    w: &[T],
    grad_in: &mut [T],
) {
    let (taps, multiplier) = (shape.taps(), shape.group_outputs());
    let (in_plane, out_plane) = (shape.in_plane(), shape.out_plane());
    let base = SendPtr(grad_in.as_mut_ptr());
    for_planes(
        &Window::forward(shape),
        shape.batch * shape.in_channels,
        |planes| {
            let Some(mut padded) = Padded::new(phases.iter().map(|p| &p.window)) else {
                // No tap meets the input.
                // SAFETY: this task alone writes its planes.
                let planes = unsafe {
                    let len = planes.len() * in_plane;
                    std::slice::from_raw_parts_mut(base.ptr().add(planes.start * in_plane), len)
                };
                return planes.fill(T::ZERO);
            };
            // A single phase is the plane itself.
            let whole = phases.len() == 1 && phases[0].window.output == shape.input;
            let mut sums: Vec<_> = phases
                .iter()
                .map(|p| Buf::<T>::take(if whole { 0 } else { p.window.out_plane() }))
                .collect();
            let mut kernel = vec![T::ZERO; taps];
            let offsets: Vec<_> = phases.iter().map(|p| offsets(&p.window, &padded)).collect();
            for i in planes {
                let (image, channel) = (i / shape.in_channels, i % shape.in_channels);
                // SAFETY: this task alone writes plane i.
                let target =
                    unsafe { std::slice::from_raw_parts_mut(base.ptr().add(i * in_plane), in_plane) };
                for m in 0..multiplier {
                    let output = channel * multiplier + m;
                    padded.fill(&grad_out[(image * shape.out_channels + output) * out_plane..][..out_plane]);
                    for ((phase, offsets), sum) in phases.iter().zip(&offsets).zip(&mut sums) {
                        let kernel = &mut kernel[..phase.taps.len()];
                        let weights = phase.taps.iter().map(|&t| w[output * taps + t]);
                        kernel.iter_mut().zip(weights).for_each(|(to, w)| *to = w);
                        T::dispatch(Plane {
                            window: &phase.window,
                            padded: &padded,
                            offsets,
                            w: kernel,
                            bias: T::ZERO,
                            out: if whole { &mut *target } else { sum },
                            add: m > 0,
                        });
                    }
                }
                if whole {
                    continue;
                }
                let together = columns_together(shape);
                for (phases, sums) in phases.chunks(together).zip(sums.chunks(together)) {
                    match (phases, sums) {
                        ([phase, _], [even, odd]) => weave(shape, phase, even, odd, target),
                        _ => interleave(shape, &phases[0], &sums[0], target),
                    }
                }
            }
        },
    );
}

/// Where the taps of a window read for the first output.
fn offsets<T: Real>(window: &Window, padded: &Padded<T>) -> Vec<usize> {
    window.taps.iter().map(|t| padded.tap(t)).collect()
}

/// One plane of the output from one padded plane of the input.
struct Plane<'a, T: Real> {
    window: &'a Window,
    padded: &'a Padded<T>,
    offsets: &'a [usize],
    w: &'a [T],
    bias: T,
    out: &'a mut [T],
    /// Whether to add to what `out` holds.
    add: bool,
}

impl<T: Real> WithSimd<T> for Plane<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let Plane {
            window,
            padded,
            offsets,
            w,
            bias,
            out,
            add,
        } = self;
        let [_, height, width] = window.output;
        let taps = (offsets, w);
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            let x = padded.row(row / height, row % height);
            let mut start = 0;
            while start < width {
                let out = &mut out[start..];
                let x = &x[start..];
                start += match out.len().div_ceil(S::LANES) {
                    1 => outputs::<S, 1>(s, x, taps, bias, out, add),
                    2 => outputs::<S, 2>(s, x, taps, bias, out, add),
                    3 => outputs::<S, 3>(s, x, taps, bias, out, add),
                    _ => outputs::<S, 4>(s, x, taps, bias, out, add),
                };
            }
        }
    }
}

/// The next N vectors of a row, of which the last may be partial. Returns their elements.
#[inline(always)]
fn outputs<S: Simd, const N: usize>(
    s: S,
    x: &[S::Elem],
    (offsets, w): (&[usize], &[S::Elem]),
    bias: S::Elem,
    out: &mut [S::Elem],
    add: bool,
) -> usize {
    let mut acc = [s.splat(bias); N];
    for (&offset, &w) in offsets.iter().zip(w) {
        let x = &x[offset..offset + N * S::LANES];
        for v in 0..N {
            // SAFETY: the slice holds N vectors.
            acc[v] = s.mul_add(
                unsafe { s.load(x.as_ptr().add(v * S::LANES)) },
                s.splat(w),
                acc[v],
            );
        }
    }
    for v in 0..N {
        let start = (v * S::LANES).min(out.len());
        let out = &mut out[start..];
        let count = out.len().min(S::LANES);
        // SAFETY: `count` elements of the slice.
        unsafe {
            let before = if add {
                s.load_partial(out.as_ptr(), count)
            } else {
                s.splat(S::Elem::ZERO)
            };
            s.store_partial(out.as_mut_ptr(), s.add(acc[v], before), count);
        }
    }
    N * S::LANES
}
