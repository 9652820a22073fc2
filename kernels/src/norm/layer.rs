//! Layer norm and RMS norm: every row of `n` elements on its own, weights along the row.

use super::{part, row_statistics};
use crate::element::{Float, instantiate};
use crate::elementwise::GRAIN;
use crate::lanes::block_sum;
use crate::mem::Buf;
use crate::pool::{self, SendPtr};
use crate::simd;

/// Rows that one task of a backward takes: its weight gradients are added up before they are merged.
fn rows_per_task(rows: usize, n: usize) -> usize {
    (GRAIN / n.max(1)).max(rows.div_ceil(64)).max(1)
}

/// `f(first_row, rows)` in parallel.
fn for_rows(rows: usize, n: usize, f: impl Fn(std::ops::Range<usize>) + Sync) {
    if rows * n < 2 * GRAIN {
        return f(0..rows);
    }
    pool::parallel_ranges(rows, (GRAIN / n).max(rows.div_ceil(128)).max(1), f)
}

simd! {
    /// `out = (x - mean)·rstd·weight + bias`.
    fn affine_row[T: Float](
        x: &[T], mean: T, rstd: T, weight: Option<&[T]>, bias: Option<&[T]>, out: &mut [T],
    ) {
        match (weight, bias) {
            (Some(weight), Some(bias)) => {
                for (((o, &x), &w), &b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                    *o = (x - mean) * rstd * w + b;
                }
            }
            (Some(weight), None) => {
                for ((o, &x), &w) in out.iter_mut().zip(x).zip(weight) {
                    *o = (x - mean) * rstd * w;
                }
            }
            (None, Some(bias)) => {
                for ((o, &x), &b) in out.iter_mut().zip(x).zip(bias) {
                    *o = (x - mean) * rstd + b;
                }
            }
            (None, None) => {
                for (o, &x) in out.iter_mut().zip(x) {
                    *o = (x - mean) * rstd;
                }
            }
        }
    }

    fn statistics[T: Float](x: &[T], eps: f64) -> (T, T) {
        row_statistics(x, eps)
    }

    fn root_mean_square[T: Float](x: &[T], eps: f64) -> T {
        T::from_f64(1.0 / (block_sum!(x in x => x * x) / x.len() as f64 + eps).sqrt())
    }

    /// The gradient of one row and its part of the weights' gradients. With `centred`, the mean depends on the row too.
    fn backward_row[T: Float](
        grad: &[T], x: &[T], mean: T, rstd: T, weight: Option<&[T]>, centred: bool, out: &mut [T],
    ) {
        let n = grad.len() as f64;
        // The gradient with respect to the normalised row is `g·w`.
        let (dot, sum) = match weight {
            Some(weight) => (
                block_sum!(g in grad, w in weight, x in x => g * w * (x - mean)),
                if centred { block_sum!(g in grad, w in weight => g * w) } else { 0.0 },
            ),
            None => (
                block_sum!(g in grad, x in x => g * (x - mean)),
                if centred { block_sum!(g in grad => g) } else { 0.0 },
            ),
        };
        let slope = T::from_f64(dot / n * rstd.to_f64() * rstd.to_f64());
        let shift = T::from_f64(sum / n);
        let input = |g: T, x: T| (g - shift - (x - mean) * slope) * rstd;
        match weight {
            Some(weight) => {
                for (((o, &g), &w), &x) in out.iter_mut().zip(grad).zip(weight).zip(x) {
                    *o = input(g * w, x);
                }
            }
            None => {
                for ((o, &g), &x) in out.iter_mut().zip(grad).zip(x) {
                    *o = input(g, x);
                }
            }
        }
    }

    /// Adds one row's part to the gradients of the weights.
    fn weight_row[T: Float](grad: &[T], x: &[T], mean: T, rstd: T, dweight: &mut [T]) {
        for ((d, &g), &x) in dweight.iter_mut().zip(grad).zip(x) {
            *d += g * ((x - mean) * rstd);
        }
    }

    fn add_row[T: Float](x: &[T], sum: &mut [T]) {
        for (s, &x) in sum.iter_mut().zip(x) {
            *s += x;
        }
    }
}

/// What both backwards need: `mean` is `None` for RMS norm.
struct Saved<'a, T> {
    x: &'a [T],
    mean: Option<&'a [T]>,
    rstd: &'a [T],
    weight: Option<&'a [T]>,
}

fn backward<T: Float>(
    grad: &[T],
    saved: Saved<'_, T>,
    n: usize,
    dx: Option<&mut [T]>,
    dweight: Option<&mut [T]>,
    dbias: Option<&mut [T]>,
) {
    let rows = saved.rstd.len();
    let wants = [dweight.is_some(), dbias.is_some()];
    let per_task = rows_per_task(rows, n);
    let tasks = rows.div_ceil(per_task);
    let mut partial = [0, 1].map(|i| Buf::<T>::zeroed(if wants[i] { tasks * n } else { 0 }));
    let [to_weight, to_bias] = partial.each_mut().map(|p| SendPtr(p.as_mut_ptr()));
    let to_x = dx.map(|dx| {
        assert_eq!(
            dx.len(),
            grad.len(),
            "norm backward: the gradient's length differs"
        );
        SendPtr(dx.as_mut_ptr())
    });
    let range = |range: std::ops::Range<usize>| {
        let task = range.start / per_task;
        for row in range {
            let at = row * n..(row + 1) * n;
            let (grad, x) = (&grad[at.clone()], &saved.x[at]);
            let (mean, rstd) = (saved.mean.map_or(T::ZERO, |m| m[row]), saved.rstd[row]);
            // SAFETY: every row of `dx` and every task's part of the partial sums has one owner.
            unsafe {
                if let Some(to_x) = to_x {
                    let out = part(to_x, row * n, n);
                    backward_row(grad, x, mean, rstd, saved.weight, saved.mean.is_some(), out);
                }
                if wants[0] {
                    weight_row(grad, x, mean, rstd, part(to_weight, task * n, n));
                }
                if wants[1] {
                    add_row(grad, part(to_bias, task * n, n));
                }
            }
        }
    };
    if rows * n < 2 * GRAIN {
        (0..tasks).for_each(|t| range(t * per_task..((t + 1) * per_task).min(rows)));
    } else {
        pool::parallel_ranges(rows, per_task, range);
    }
    for (out, partial) in [dweight, dbias].into_iter().zip(&partial) {
        let Some(out) = out else { continue };
        let view = crate::view::View {
            data: partial,
            shape: &[tasks, n],
            strides: &[n, 1],
        };
        crate::reduce::reduce(crate::reduce::Reduce::Sum, view, &[true, false], out);
    }
}

fn check<T>(name: &str, x: &[T], n: usize, rows: usize, weight: Option<&[T]>, bias: Option<&[T]>) {
    assert_eq!(x.len(), rows * n, "{name}: the input's length is not rows·n");
    assert!(
        weight.is_none_or(|w| w.len() == n) && bias.is_none_or(|b| b.len() == n),
        "{name}: weight or bias length"
    );
}

instantiate! {
    trait Kernels for f32, f64 where Float;

    /// Layer norm over rows of `n` elements: `out = (x - mean)·rstd·weight + bias`. `mean` and `rstd` receive one value
    /// per row.
    pub fn layer_norm(
        x: &[T], n: usize, weight: Option<&[T]>, bias: Option<&[T]>, eps: f64,
        out: &mut [T], mean: &mut [T], rstd: &mut [T],
    ) {
        let rows = rstd.len();
        check("layer_norm", x, n, rows, weight, bias);
        assert!(out.len() == x.len() && mean.len() == rows, "layer_norm: the outputs' lengths");
        let [out, mean, rstd] = [out, mean, rstd].map(|s| SendPtr(s.as_mut_ptr()));
        for_rows(rows, n, |range| {
            // SAFETY: each row has one owner.
            let (means, rstds, out) = unsafe {
                (
                    part(mean, range.start, range.len()),
                    part(rstd, range.start, range.len()),
                    part(out, range.start * n, range.len() * n),
                )
            };
            for (i, (m, r)) in means.iter_mut().zip(rstds).enumerate() {
                let x = &x[(range.start + i) * n..][..n];
                (*m, *r) = statistics(x, eps);
                affine_row(x, *m, *r, weight, bias, &mut out[i * n..(i + 1) * n]);
            }
        })
    }

    /// RMS norm over rows of `n` elements: `out = x·rstd·weight` with `rstd = 1/√(mean(x²) + eps)`, one per row.
    pub fn rms_norm(x: &[T], n: usize, weight: Option<&[T]>, eps: f64, out: &mut [T], rstd: &mut [T]) {
        let rows = rstd.len();
        check("rms_norm", x, n, rows, weight, None);
        assert_eq!(out.len(), x.len(), "rms_norm: the output's length");
        let [out, rstd] = [out, rstd].map(|s| SendPtr(s.as_mut_ptr()));
        for_rows(rows, n, |range| {
            for row in range {
                let x = &x[row * n..(row + 1) * n];
                // SAFETY: each row has one owner.
                let (rstd, out) = unsafe { (part(rstd, row, 1), part(out, row * n, n)) };
                rstd[0] = root_mean_square(x, eps);
                affine_row(x, T::ZERO, rstd[0], weight, None, out);
            }
        })
    }

    /// The gradients of layer norm; each is computed only where an output is given.
    pub fn layer_norm_backward(
        grad: &[T], x: &[T], mean: &[T], rstd: &[T], weight: Option<&[T]>, n: usize,
        dx: Option<&mut [T]>, dweight: Option<&mut [T]>, dbias: Option<&mut [T]>,
    ) {
        check("layer_norm_backward", x, n, rstd.len(), weight, dbias.as_deref());
        assert!(grad.len() == x.len() && mean.len() == rstd.len(), "layer_norm_backward: the lengths differ");
        backward(grad, Saved { x, mean: Some(mean), rstd, weight }, n, dx, dweight, dbias)
    }

    /// The gradients of RMS norm; each is computed only where an output is given.
    pub fn rms_norm_backward(
        grad: &[T], x: &[T], rstd: &[T], weight: Option<&[T]>, n: usize,
        dx: Option<&mut [T]>, dweight: Option<&mut [T]>,
    ) {
        check("rms_norm_backward", x, n, rstd.len(), weight, dweight.as_deref());
        assert_eq!(grad.len(), x.len(), "rms_norm_backward: the lengths differ");
        backward(grad, Saved { x, mean: None, rstd, weight }, n, dx, dweight, None)
    }
}
