//! Batch norm over `[batch, channels, inner]`: each channel has a mean, a variance and weights.
//!
//! Work is cut by channels where there are enough of them, so that what statistics were taken of is still in a cache when it is
//! normalised; else by planes of `inner` elements of one channel of one sample. Where `inner` is 1 (fully connected layers)
//! whole rows of channels are treated at once. Sums run over planes, or pieces of a channel, however the work is cut.

use super::{Gate, grad_row, grad_sums, part, scale_shift, scale_shift_clamp};
use crate::element::{Float, instantiate};
use crate::elementwise::GRAIN;
use crate::pool::{self, SendPtr};
use crate::reduce;
use crate::simd;
use crate::view::View;
use std::ops::Range;

/// Rows of channels whose sums are added up by one task when `inner` is 1.
const ROWS: usize = 64;
/// Bytes that a task takes if channels are small: neighbouring channels are read without a gap.
const TASK_BYTES: usize = 512 << 10;
/// Bytes of one channel that are found in a cache again.
const CACHED: usize = 2 << 20;

/// Limits of what a batch norm gives, kept in the same pass: a rectifier is `[0, NaN]`, as a limit that is NaN does not bind.
#[derive(Clone, Copy, Debug)]
pub struct Clamp<T> {
    /// Less becomes this.
    pub low: T,
    /// More becomes this.
    pub high: T,
}

/// The limits that a forward pass kept, for its gradients.
#[derive(Clone, Copy, Debug)]
pub struct Clamped<'a, T> {
    /// The limits.
    pub limits: Clamp<T>,
    /// [`batch_norm_shift`] of each channel.
    pub shift: &'a [T],
}

impl<T: Float> Clamped<'_, T> {
    fn gate(&self, channel: usize, rstd: &[T], weight: Option<&[T]>) -> Gate<T> {
        Gate {
            scale: rstd[channel] * weight.map_or(T::ONE, |w| w[channel]),
            shift: self.shift[channel],
            limits: self.limits,
        }
    }
}

simd! {
    /// `out = x·scale + shift` along a row of channels.
    fn scale_shift_row[T: Float](x: &[T], scale: &[T], shift: &[T], out: &mut [T]) {
        for (((o, &x), &a), &b) in out.iter_mut().zip(x).zip(scale).zip(shift) {
            *o = x * a + b;
        }
    }

    /// Adds `grad` and `grad·(x - mean)` of a row of channels to their sums.
    fn grad_sums_row[T: Float](grad: &[T], x: &[T], mean: &[T], sums: &mut [T], dots: &mut [T]) {
        for ((((s, d), &g), &x), &m) in sums.iter_mut().zip(dots).zip(grad).zip(x).zip(mean) {
            *s += g;
            *d += g * (x - m);
        }
    }

    /// `out = grad·a - (x - mean)·b - c` along a row of channels; the gradient lies in `out` unless given.
    fn grad_channels_row[T: Float](
        grad: Option<&[T]>, x: &[T], mean: &[T], a: &[T], b: &[T], c: &[T], out: &mut [T],
    ) {
        if let Some(grad) = grad {
            out.copy_from_slice(grad);
        }
        let n = out.len();
        let (x, mean, a, b, c) = (&x[..n], &mean[..n], &a[..n], &b[..n], &c[..n]);
        for i in 0..n {
            out[i] = out[i] * a[i] - (x[i] - mean[i]) * b[i] - c[i];
        }
    }
}

/// Calls `f` for ranges of channels and returns true, if those that a task takes stay in the caches from its first pass over
/// `tensors` tensors to its second, and there are enough for all threads.
fn for_channels<T>(
    [batch, channels, inner]: [usize; 3],
    tensors: usize,
    f: impl Fn(Range<usize>) + Sync,
) -> bool {
    let bytes = batch * inner * tensors * size_of::<T>();
    let together = (TASK_BYTES / bytes.max(1)).max(1);
    let large = batch * channels * inner >= 2 * GRAIN;
    let enough = channels.div_ceil(together) >= 2 * pool::num_threads();
    if inner > 1 && large && enough && bytes <= CACHED {
        pool::parallel_ranges(channels, together, f);
        return true;
    }
    false
}

/// Calls `f(channel, range)` for each plane, or `f(0, range)` for each row of channels if `inner` is 1.
fn for_planes([batch, channels, inner]: [usize; 3], f: impl Fn(usize, Range<usize>) + Sync) {
    let (count, len) = if inner == 1 {
        (batch, channels)
    } else {
        (batch * channels, inner)
    };
    let plane = |i: usize| f(if inner == 1 { 0 } else { i % channels }, i * len..(i + 1) * len);
    if count * len < 2 * GRAIN {
        return (0..count).for_each(plane);
    }
    let group = (GRAIN / len).max(count.div_ceil(128)).max(1);
    pool::parallel_ranges(count, group, |range| range.for_each(&plane))
}

/// `out = x·scale[channel] + shift[channel]`, between limits if there are any and `inner` is not 1.
fn apply<T: Float>(
    x: &[T],
    shape: [usize; 3],
    scale: &[T],
    shift: &[T],
    limits: Option<Clamp<T>>,
    out: &mut [T],
) {
    let base = SendPtr(out.as_mut_ptr());
    for_planes(shape, |channel, range| {
        // SAFETY: the ranges are disjoint and inside `out`.
        let out = unsafe { std::slice::from_raw_parts_mut(base.ptr().add(range.start), range.len()) };
        if shape[2] == 1 {
            scale_shift_row(&x[range], scale, shift, out)
        } else {
            apply_plane(&x[range], scale[channel], shift[channel], limits, out)
        }
    })
}

fn apply_plane<T: Float>(x: &[T], scale: T, shift: T, limits: Option<Clamp<T>>, out: &mut [T]) {
    match limits {
        Some(limits) => scale_shift_clamp(x, scale, shift, limits, out),
        None => scale_shift(x, scale, shift, out),
    }
}

/// Calls `f(i, range)` for the planes of the i-th of some channels, the last image first: what has been read last is in the nearest
/// cache.
fn planes_backwards(
    [batch, channels, inner]: [usize; 3],
    range: Range<usize>,
    mut f: impl FnMut(usize, Range<usize>),
) {
    for image in (0..batch).rev() {
        for (i, channel) in range.clone().enumerate() {
            let start = (image * channels + channel) * inner;
            f(i, start..start + inner);
        }
    }
}

/// Means, biased variances and `1/√(var + eps)` of some channels.
fn statistics<T: Float>(
    x: &[T],
    [batch, channels, inner]: [usize; 3],
    range: Range<usize>,
    eps: f64,
    mean: &mut [T],
    var: &mut [T],
    rstd: &mut [T],
) {
    let view = View {
        data: &x[range.start * inner..],
        shape: &[batch, range.len(), inner],
        strides: &[channels * inner, inner, 1],
    };
    reduce::var_mean(view, &[true, false, true], 0.0, var, mean);
    for (r, v) in rstd.iter_mut().zip(var.iter()) {
        *r = T::from_f64(1.0 / (v.to_f64() + eps).sqrt());
    }
}

/// Per channel: `Σgrad` and `Σgrad·(x - mean)`, of what passes the channel's gate if `inner` is not 1.
fn channel_sums<T: Float>(
    grad: &[T],
    x: &[T],
    mean: &[T],
    [batch, channels, inner]: [usize; 3],
    gate: impl Fn(usize) -> Option<Gate<T>> + Sync,
) -> Vec<(f64, f64)> {
    // One partial sum per plane, or per some rows of channels: summed per channel afterwards, in order.
    let rows = if inner == 1 { batch.div_ceil(ROWS) } else { batch };
    let mut partial = vec![(0.0, 0.0); rows * channels];
    if inner == 1 {
        let chunk = |row: usize, partial: &mut [(f64, f64)]| {
            let (mut sums, mut dots) = (vec![T::ZERO; channels], vec![T::ZERO; channels]);
            for at in (row * ROWS..((row + 1) * ROWS).min(batch)).map(|r| r * channels..(r + 1) * channels) {
                grad_sums_row(&grad[at.clone()], &x[at], mean, &mut sums, &mut dots);
            }
            for ((p, s), d) in partial.iter_mut().zip(sums).zip(dots) {
                *p = (s.to_f64(), d.to_f64());
            }
        };
        pool::parallel_chunks_mut(&mut partial, channels, |at, partial| {
            chunk(at / channels, partial)
        });
    } else {
        let to = SendPtr(partial.as_mut_ptr());
        for_planes([batch, channels, inner], |channel, range| {
            let plane = range.start / inner;
            let sums = grad_sums(&grad[range.clone()], &x[range], mean[channel], gate(channel));
            // SAFETY: each plane has one element of its own.
            unsafe { *to.ptr().add(plane) = sums };
        });
    }
    let mut sums = vec![(0.0, 0.0); channels];
    for row in partial.chunks(channels.max(1)) {
        for (s, p) in sums.iter_mut().zip(row) {
            *s = (s.0 + p.0, s.1 + p.1);
        }
    }
    sums
}

/// `out = grad·a - (x - mean)·b - c` with one `mean`, `a`, `b`, `c` per channel, of what passes the channel's gate if `inner` is
/// not 1; the gradient lies in `out` unless given.
fn grad_planes<T: Float>(
    grad: Option<&[T]>,
    x: &[T],
    shape: [usize; 3],
    [mean, a, b, c]: [&[T]; 4],
    gate: impl Fn(usize) -> Option<Gate<T>> + Sync,
    out: SendPtr<T>,
) {
    for_planes(shape, |k, range| {
        // SAFETY: the ranges are disjoint and inside `out`.
        let out = unsafe { part(out, range.start, range.len()) };
        let (grad, x) = (grad.map(|grad| &grad[range.clone()]), &x[range]);
        if shape[2] == 1 {
            grad_channels_row(grad, x, mean, a, b, c, out)
        } else {
            grad_row(grad, x, mean[k], [a[k], b[k], c[k]], gate(k), out)
        }
    })
}

/// Where a gradient is, and where that of the input goes.
enum Gradient<'a, T> {
    Beside(&'a [T], &'a mut [T]),
    InPlace(&'a mut [T]),
}

impl<T> Gradient<'_, T> {
    fn len(&self) -> usize {
        match self {
            Gradient::Beside(from, to) => {
                assert_eq!(
                    from.len(),
                    to.len(),
                    "batch_norm_backward: the gradient's length differs"
                );
                from.len()
            }
            Gradient::InPlace(both) => both.len(),
        }
    }
}

/// The gradient of the input of a batch norm that took its own statistics. Returns `Σgrad` and `Σgrad·(x - mean)` of each
/// channel.
fn backward<T: Float>(
    gradient: Gradient<'_, T>,
    x: &[T],
    shape: [usize; 3],
    mean: &[T],
    rstd: &[T],
    weight: Option<&[T]>,
    clamped: Option<Clamped<'_, T>>,
) -> Vec<(f64, f64)> {
    let [batch, channels, inner] = shape;
    let gate = |k: usize| clamped.map(|clamped| clamped.gate(k, rstd, weight));
    let n = (batch * inner) as f64;
    let len = gradient.len();
    let (beside, to) = match gradient {
        Gradient::Beside(from, to) => (Some(from), SendPtr(to.as_mut_ptr())),
        Gradient::InPlace(both) => (None, SendPtr(both.as_mut_ptr())),
    };
    let grad = |at: Range<usize>| match beside {
        Some(from) => &from[at],
        // SAFETY: nobody writes there as long as the result lives: the sums of a plane come before the plane is written.
        None => unsafe { &*part(to, at.start, at.len()) },
    };
    // The factors of `dx = grad·a - (x - mean)·b - c`.
    let factors = |k: usize, sums: (f64, f64)| {
        let (r, w) = (rstd[k].to_f64(), weight.map_or(1.0, |w| w[k].to_f64()));
        [r * w, sums.1 * r * r * r * w / n, sums.0 * r * w / n].map(T::from_f64)
    };
    let mut sums = vec![(0.0, 0.0); channels];
    let to_sums = SendPtr(sums.as_mut_ptr());
    let done = for_channels::<T>(shape, 2, |range| {
        // SAFETY: each channel has one owner.
        let sums = unsafe { part(to_sums, range.start, range.len()) };
        for image in 0..batch {
            for (k, s) in range.clone().zip(&mut *sums) {
                let start = (image * channels + k) * inner;
                let plane = grad_sums(
                    grad(start..start + inner),
                    &x[start..start + inner],
                    mean[k],
                    gate(k),
                );
                *s = (s.0 + plane.0, s.1 + plane.1);
            }
        }
        let factors: Vec<_> = range.clone().zip(sums).map(|(k, s)| factors(k, *s)).collect();
        let first = range.start;
        planes_backwards(shape, range, |k, at| {
            // SAFETY: each plane has one owner, too.
            let out = unsafe { part(to, at.start, at.len()) };
            let grad = beside.map(|grad| &grad[at.clone()]);
            grad_row(grad, &x[at], mean[first + k], factors[k], gate(first + k), out)
        });
    });
    if !done {
        sums = channel_sums(grad(0..len), x, mean, shape, gate);
        let factors: Vec<_> = sums.iter().enumerate().map(|(k, &s)| factors(k, s)).collect();
        let [a, b, c] = [0, 1, 2].map(|i| factors.iter().map(|f| f[i]).collect::<Vec<T>>());
        grad_planes(beside, x, shape, [mean, &a, &b, &c], gate, to);
    }
    sums
}

/// Writes the weights' gradients where they are wanted.
fn affine_grads<T: Float>(
    sums: &[(f64, f64)],
    rstd: &[T],
    dweight: Option<&mut [T]>,
    dbias: Option<&mut [T]>,
) {
    if let Some(dweight) = dweight {
        for ((d, s), r) in dweight.iter_mut().zip(sums).zip(rstd) {
            *d = T::from_f64(s.1 * r.to_f64());
        }
    }
    if let Some(dbias) = dbias {
        for (d, s) in dbias.iter_mut().zip(sums) {
            *d = T::from_f64(s.0);
        }
    }
}

fn check<T>(
    name: &str,
    lens: &[usize],
    shape: [usize; 3],
    channel_lens: &[usize],
    affine: [Option<&[T]>; 2],
) {
    let numel: usize = shape.iter().product();
    assert!(
        lens.iter().all(|&l| l == numel),
        "{name}: the lengths are not the shape's"
    );
    assert!(
        channel_lens.iter().all(|&l| l == shape[1]),
        "{name}: the statistics' lengths are not the channels'"
    );
    assert!(
        affine.iter().all(|a| a.is_none_or(|a| a.len() == shape[1])),
        "{name}: weight or bias length"
    );
}

instantiate! {
    trait Kernels for f32, f64 where Float;

    /// Batch norm of `x` with shape `[batch, channels, inner]` by the batch's own statistics, then between limits if there are
    /// any, in planes of more than one element. `mean`, `var` (biased) and `rstd` receive one value per channel.
    pub fn batch_norm_train(
        x: &[T], shape: [usize; 3], weight: Option<&[T]>, bias: Option<&[T]>, eps: f64, limits: Option<Clamp<T>>,
        out: &mut [T], mean: &mut [T], var: &mut [T], rstd: &mut [T],
    ) {
        check("batch_norm_train", &[x.len(), out.len()], shape, &[mean.len(), var.len(), rstd.len()], [weight, bias]);
        assert!(limits.is_none() || shape[2] > 1, "batch_norm_train: limits are for planes");
        let to_out = SendPtr(out.as_mut_ptr());
        let to_statistics = [&mut *mean, &mut *var, &mut *rstd].map(|s| SendPtr(s.as_mut_ptr()));
        let done = for_channels::<T>(shape, 1, |range| {
            // SAFETY: each channel, and each of its planes, has one owner.
            let [mean, var, rstd] = to_statistics.map(|s| unsafe { part(s, range.start, range.len()) });
            statistics(x, shape, range.clone(), eps, mean, var, rstd);
            let [weight, bias] = [weight, bias].map(|s| s.map(|s| &s[range.clone()]));
            let (scale, shift) = scale_and_shift(mean, rstd, weight, bias);
            planes_backwards(shape, range, |k, at| {
                // SAFETY: as above.
                let out = unsafe { part(to_out, at.start, at.len()) };
                apply_plane(&x[at], scale[k], shift[k], limits, out)
            });
        });
        if !done {
            statistics(x, shape, 0..shape[1], eps, mean, var, rstd);
            let (scale, shift) = scale_and_shift(mean, rstd, weight, bias);
            apply(x, shape, &scale, &shift, limits, out)
        }
    }

    /// What [`batch_norm_train`] adds to the scaled inputs of each channel.
    pub fn batch_norm_shift(
        mean: &[T], rstd: &[T], weight: Option<&[T]>, bias: Option<&[T]>
    ) -> Vec<T> {
        scale_and_shift(mean, rstd, weight, bias).1
    }

    /// Batch norm by given statistics.
    pub fn batch_norm_inference(
        x: &[T], shape: [usize; 3], mean: &[T], var: &[T], weight: Option<&[T]>, bias: Option<&[T]>, eps: f64,
        out: &mut [T],
    ) {
        check("batch_norm_inference", &[x.len(), out.len()], shape, &[mean.len(), var.len()], [weight, bias]);
        let [scale, shift] = batch_norm_scale_shift(mean, var, weight, bias, eps);
        apply(x, shape, &scale, &shift, None, out)
    }

    /// What [`batch_norm_inference`] does to each channel: `x·scale + shift`.
    pub fn batch_norm_scale_shift(
        mean: &[T], var: &[T], weight: Option<&[T]>, bias: Option<&[T]>, eps: f64
    ) -> [Vec<T>; 2] {
        let rstd: Vec<T> = var.iter().map(|v| T::from_f64(1.0 / (v.to_f64() + eps).sqrt())).collect();
        let (scale, shift) = scale_and_shift(mean, &rstd, weight, bias);
        [scale, shift]
    }

    /// The gradients of [`batch_norm_train`], with its limits; each is computed only where an output is given.
    pub fn batch_norm_backward(
        grad: &[T], x: &[T], shape: [usize; 3], mean: &[T], rstd: &[T], weight: Option<&[T]>,
        clamped: Option<Clamped<'_, T>>,
        dx: Option<&mut [T]>, dweight: Option<&mut [T]>, dbias: Option<&mut [T]>,
    ) {
        check("batch_norm_backward", &[x.len(), grad.len()], shape, &[mean.len(), rstd.len()], [weight, clamped.map(|c| c.shift)]);
        assert!(clamped.is_none() || shape[2] > 1, "batch_norm_backward: limits are for planes");
        let sums = match dx {
            Some(dx) => backward(Gradient::Beside(grad, dx), x, shape, mean, rstd, weight, clamped),
            None => channel_sums(grad, x, mean, shape, |k| clamped.map(|clamped| clamped.gate(k, rstd, weight))),
        };
        affine_grads(&sums, rstd, dweight, dbias);
    }

    /// [`batch_norm_backward`] with the gradient of the input in place of that of the output.
    pub fn batch_norm_backward_in_place(
        grad: &mut [T], x: &[T], shape: [usize; 3], mean: &[T], rstd: &[T], weight: Option<&[T]>,
        clamped: Option<Clamped<'_, T>>,
        dweight: Option<&mut [T]>, dbias: Option<&mut [T]>,
    ) {
        check("batch_norm_backward", &[x.len(), grad.len()], shape, &[mean.len(), rstd.len()], [weight, clamped.map(|c| c.shift)]);
        assert!(clamped.is_none() || shape[2] > 1, "batch_norm_backward: limits are for planes");
        let sums = backward(Gradient::InPlace(grad), x, shape, mean, rstd, weight, clamped);
        affine_grads(&sums, rstd, dweight, dbias);
    }

    /// The gradients of [`batch_norm_inference`]; each is computed only where an output is given.
    pub fn batch_norm_inference_backward(
        grad: &[T], x: &[T], shape: [usize; 3], mean: &[T], var: &[T], weight: Option<&[T]>, eps: f64,
        dx: Option<&mut [T]>, dweight: Option<&mut [T]>, dbias: Option<&mut [T]>,
    ) {
        let channels = shape[1];
        check("batch_norm_inference_backward", &[x.len(), grad.len()], shape, &[mean.len(), var.len()], [weight, None]);
        let rstd: Vec<T> = var.iter().map(|v| T::from_f64(1.0 / (v.to_f64() + eps).sqrt())).collect();
        if let Some(dx) = dx {
            assert_eq!(dx.len(), x.len(), "batch_norm_inference_backward: the gradient's length differs");
            let scale: Vec<T> = (0..channels).map(|k| rstd[k] * weight.map_or(T::ONE, |w| w[k])).collect();
            apply(grad, shape, &scale, &vec![T::ZERO; channels], None, dx);
        }
        if dweight.is_some() || dbias.is_some() {
            affine_grads(&channel_sums(grad, x, mean, shape, |_| None), &rstd, dweight, dbias);
        }
    }
}

/// The factors of `out = x·scale + shift`.
fn scale_and_shift<T: Float>(
    mean: &[T],
    rstd: &[T],
    weight: Option<&[T]>,
    bias: Option<&[T]>,
) -> (Vec<T>, Vec<T>) {
    let scale: Vec<T> = (0..mean.len())
        .map(|k| rstd[k] * weight.map_or(T::ONE, |w| w[k]))
        .collect();
    let shift = (0..mean.len())
        .map(|k| bias.map_or(T::ZERO, |b| b[k]) - mean[k] * scale[k])
        .collect();
    (scale, shift)
}
