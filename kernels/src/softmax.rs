//! Softmax, log-softmax and log-sum-exp along a dimension, forward and backward.
//!
//! `softmax(x)ᵢ = exp(xᵢ - m)/Σexp(xⱼ - m)` with the maximum `m`. Operands are contiguous with shape
//! `[outer, len, inner]`; the softmax runs over `len`. Rows (`inner` = 1) are read once from memory and stay in the
//! cache; otherwise blocks of neighbouring columns are treated together.

use crate::element::{Float, instantiate};
use crate::elementwise::GRAIN;
use crate::lanes::lane_sum;
use crate::pool::{self, SendPtr};
use crate::simd;
use crate::unary::choose;

/// Neighbouring columns that are treated together.
pub(crate) const COLUMNS: usize = 128;
/// Independent accumulators of a row's sums.
const LANES: usize = 64;

/// Calls `f(task)` for each row, or for each block of columns of each outer index, in parallel.
///
/// A task is `(base, count)`: the offset of its first element and its number of columns.
pub(crate) fn for_lines([outer, len, inner]: [usize; 3], f: impl Fn(usize, usize) + Sync) {
    if outer * len * inner == 0 {
        return;
    }
    let blocks = inner.div_ceil(COLUMNS);
    let task = |task: usize| {
        let first = task % blocks * COLUMNS;
        f(task / blocks * len * inner + first, COLUMNS.min(inner - first))
    };
    let tasks = outer * blocks;
    if outer * len * inner < GRAIN {
        return (0..tasks).for_each(task);
    }
    let group = (GRAIN / (len * inner.min(COLUMNS)))
        .max(tasks.div_ceil(128))
        .max(1);
    pool::parallel_ranges(tasks, group, |range| range.for_each(&task))
}

/// The greatest element; NaN if there is one.
#[inline(always)]
fn row_max<T: Float>(x: &[T]) -> T {
    let mut lanes = [T::LEAST; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = greater(lanes[i], chunk[i]);
        }
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = greater(lanes[lane], lanes[lane + width]);
        }
        width /= 2;
    }
    rest.iter().fold(lanes[0], |a, &b| greater(a, b))
}

#[inline(always)]
fn greater<T: Float>(a: T, b: T) -> T {
    choose(b > a || b.is_not_a_number(), b, a)
}

simd! {
    fn softmax_row[T: Float](x: &[T], out: &mut [T]) {
        let len = x.len();
        let out = &mut out[..len];
        let max = row_max(x);
        for (o, &x) in out.iter_mut().zip(x) {
            *o = (x - max).exp();
        }
        let scale = T::ONE / lane_sum!(LANES, e in out => e);
        for o in out {
            *o *= scale;
        }
    }

    fn log_softmax_row[T: Float](x: &[T], out: &mut [T]) {
        let max = row_max(x);
        let log = shifted_log_sum(x, max);
        for (o, &x) in out.iter_mut().zip(x) {
            *o = (x - max) - log;
        }
    }

    /// `log Σexp(x)` of a row.
    pub(crate) fn log_sum_exp_row[T: Float](x: &[T]) -> T {
        let max = finite(row_max(x));
        max + shifted_log_sum(x, max)
    }

    fn softmax_backward_row[T: Float](y: &[T], grad: &[T], out: &mut [T]) {
        let (y, grad) = (&y[..out.len()], &grad[..out.len()]);
        let dot = lane_sum!(LANES, y in y, g in grad => y * g);
        for ((o, &y), &g) in out.iter_mut().zip(y).zip(grad) {
            *o = y * (g - dot);
        }
    }

    fn log_softmax_backward_row[T: Float](y: &[T], grad: &[T], out: &mut [T]) {
        let (y, grad) = (&y[..out.len()], &grad[..out.len()]);
        let sum = lane_sum!(LANES, g in grad => g);
        for ((o, &y), &g) in out.iter_mut().zip(y).zip(grad) {
            *o = g - y.exp() * sum;
        }
    }

    /// For `len` rows `step` apart: each column's maximum and `Σexp(x - maximum)`. With `bounded`, an infinite maximum
    /// is replaced by 0, which leaves the logarithm of the sum right.
    pub(crate) fn column_sums[T: Float](
        x: &[T], step: usize, len: usize, bounded: bool, max: &mut [T], sum: &mut [T],
    ) {
        let width = max.len();
        let sum = &mut sum[..width];
        max.fill(T::LEAST);
        sum.fill(T::ZERO);
        for i in 0..len {
            for (m, &x) in max.iter_mut().zip(&x[i * step..i * step + width]) {
                *m = greater(*m, x);
            }
        }
        if bounded {
            for m in max.iter_mut() {
                *m = finite(*m);
            }
        }
        for i in 0..len {
            let row = &x[i * step..i * step + width];
            for j in 0..width {
                sum[j] += (row[j] - max[j]).exp();
            }
        }
    }
}

/// A maximum that may be subtracted from the elements: 0 in place of an infinite one.
#[inline(always)]
fn finite<T: Float>(max: T) -> T {
    choose(max.abs() == T::GREATEST, T::ZERO, max)
}

/// `log Σexp(x - shift)`.
#[inline(always)]
fn shifted_log_sum<T: Float>(x: &[T], shift: T) -> T {
    lane_sum!(LANES, x in x => (x - shift).exp()).log()
}

/// Runs `row(base, out_row)` over rows or `columns(base, count, out)` over blocks of columns.
fn lines<T: Float>(
    shape: [usize; 3],
    out: &mut [T],
    row: impl Fn(usize, &mut [T]) + Sync,
    columns: impl Fn(usize, usize, SendPtr<T>) + Sync,
) {
    assert_eq!(
        out.len(),
        shape.iter().product::<usize>(),
        "softmax: the length is not outer·len·inner"
    );
    let (len, inner) = (shape[1], shape[2]);
    let base = SendPtr(out.as_mut_ptr());
    for_lines(shape, |at, count| {
        if inner == 1 {
            // SAFETY: rows are disjoint and inside `out`.
            row(at, unsafe {
                std::slice::from_raw_parts_mut(base.ptr().add(at), len)
            })
        } else {
            columns(at, count, base)
        }
    })
}

/// `out[at + i·step + j] = f(i, j)` for a block of columns.
///
/// # Safety
/// These elements are inside the allocation, and nobody else uses them.
#[inline(always)]
unsafe fn write_columns<T>(
    out: SendPtr<T>,
    at: usize,
    [len, step, count]: [usize; 3],
    f: impl Fn(usize, usize) -> T,
) {
    for i in 0..len {
        // SAFETY: the caller's promise.
        let row = unsafe { std::slice::from_raw_parts_mut(out.ptr().add(at + i * step), count) };
        for (j, o) in row.iter_mut().enumerate() {
            *o = f(at + i * step + j, j);
        }
    }
}

simd! {
    fn softmax_columns[T: Float](x: &[T], at: usize, dims: [usize; 3], out: SendPtr<T>) {
        let [len, step, count] = dims;
        let (mut max, mut sum) = ([T::ZERO; COLUMNS], [T::ZERO; COLUMNS]);
        column_sums(&x[at..], step, len, false, &mut max[..count], &mut sum[..count]);
        // SAFETY: `for_lines` hands each block of columns to one task.
        unsafe { write_columns(out, at, dims, |k, j| (x[k] - max[j]).exp() / sum[j]) }
    }

    fn log_softmax_columns[T: Float](x: &[T], at: usize, dims: [usize; 3], out: SendPtr<T>) {
        let [len, step, count] = dims;
        let (mut max, mut sum) = ([T::ZERO; COLUMNS], [T::ZERO; COLUMNS]);
        column_sums(&x[at..], step, len, false, &mut max[..count], &mut sum[..count]);
        for s in &mut sum[..count] {
            *s = s.log();
        }
        // SAFETY: as above.
        unsafe { write_columns(out, at, dims, |k, j| (x[k] - max[j]) - sum[j]) }
    }

    fn softmax_backward_columns[T: Float](y: &[T], grad: &[T], at: usize, dims: [usize; 3], out: SendPtr<T>) {
        let [len, step, count] = dims;
        let mut dot = [T::ZERO; COLUMNS];
        for i in 0..len {
            let range = at + i * step..at + i * step + count;
            for ((d, &y), &g) in dot.iter_mut().zip(&y[range.clone()]).zip(&grad[range]) {
                *d += y * g;
            }
        }
        // SAFETY: as above.
        unsafe { write_columns(out, at, dims, |k, j| y[k] * (grad[k] - dot[j])) }
    }

    fn log_softmax_backward_columns[T: Float](y: &[T], grad: &[T], at: usize, dims: [usize; 3], out: SendPtr<T>) {
        let [len, step, count] = dims;
        let mut sum = [T::ZERO; COLUMNS];
        for i in 0..len {
            for (s, &g) in sum.iter_mut().zip(&grad[at + i * step..at + i * step + count]) {
                *s += g;
            }
        }
        // SAFETY: as above.
        unsafe { write_columns(out, at, dims, |k, j| grad[k] - y[k].exp() * sum[j]) }
    }
}

instantiate! {
    trait FloatKernels for f32, f64 where Float;

    /// `out = softmax(x)` over the middle of the three dimensions.
    pub fn softmax(x: &[T], shape: [usize; 3], out: &mut [T]) {
        assert_eq!(x.len(), out.len(), "softmax: the lengths differ");
        let [_, len, inner] = shape;
        lines(
            shape,
            out,
            |at, out| softmax_row(&x[at..at + len], out),
            |at, count, out| softmax_columns(x, at, [len, inner, count], out),
        )
    }

    /// `out = log(softmax(x))` over the middle of the three dimensions.
    pub fn log_softmax(x: &[T], shape: [usize; 3], out: &mut [T]) {
        assert_eq!(x.len(), out.len(), "log_softmax: the lengths differ");
        let [_, len, inner] = shape;
        lines(
            shape,
            out,
            |at, out| log_softmax_row(&x[at..at + len], out),
            |at, count, out| log_softmax_columns(x, at, [len, inner, count], out),
        )
    }

    /// `out = y·(grad - Σy·grad)`, the gradient with respect to the input of `y = softmax(x)`.
    pub fn softmax_backward(y: &[T], grad: &[T], shape: [usize; 3], out: &mut [T]) {
        assert!(y.len() == out.len() && grad.len() == out.len(), "softmax_backward: the lengths differ");
        let [_, len, inner] = shape;
        lines(
            shape,
            out,
            |at, out| softmax_backward_row(&y[at..at + len], &grad[at..at + len], out),
            |at, count, out| softmax_backward_columns(y, grad, at, [len, inner, count], out),
        )
    }

    /// `out = grad - exp(y)·Σgrad`, the gradient with respect to the input of `y = log_softmax(x)`.
    pub fn log_softmax_backward(y: &[T], grad: &[T], shape: [usize; 3], out: &mut [T]) {
        assert!(y.len() == out.len() && grad.len() == out.len(), "log_softmax_backward: the lengths differ");
        let [_, len, inner] = shape;
        lines(
            shape,
            out,
            |at, out| log_softmax_backward_row(&y[at..at + len], &grad[at..at + len], out),
            |at, count, out| log_softmax_backward_columns(y, grad, at, [len, inner, count], out),
        )
    }

    /// `out = log Σexp(x)` over the middle of the three dimensions; `out` has `outer·inner` elements.
    pub fn log_sum_exp(x: &[T], shape: [usize; 3], out: &mut [T]) {
        let [outer, len, inner] = shape;
        assert_eq!(x.len(), outer * len * inner, "log_sum_exp: the input's length is not outer·len·inner");
        assert_eq!(out.len(), outer * inner, "log_sum_exp: the output's length is not outer·inner");
        if len == 0 {
            return out.fill(T::LEAST);
        }
        let base = SendPtr(out.as_mut_ptr());
        for_lines(shape, |at, count| {
            let first = at / (len * inner) * inner + at % inner;
            // SAFETY: each task has `count` outputs of its own.
            let out = unsafe { std::slice::from_raw_parts_mut(base.ptr().add(first), count) };
            if inner == 1 {
                out[0] = log_sum_exp_row(&x[at..at + len]);
            } else {
                let mut sum = [T::ZERO; COLUMNS];
                column_sums(&x[at..], inner, len, true, out, &mut sum[..count]);
                for (o, &s) in out.iter_mut().zip(&sum) {
                    *o += s.log();
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(n: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7919) % 1013) as f64 / 100.0 - 5.0).collect()
    }

    /// Softmax by its definition.
    fn reference(x: &[f64], [outer, len, inner]: [usize; 3]) -> Vec<f64> {
        let mut out = vec![0.0; x.len()];
        for line in 0..outer * inner {
            let at = |i: usize| (line / inner * len + i) * inner + line % inner;
            let sum: f64 = (0..len).map(|i| x[at(i)].exp()).sum();
            (0..len).for_each(|i| out[at(i)] = x[at(i)].exp() / sum);
        }
        out
    }

    #[test]
    fn forward_and_backward() {
        for shape in [
            [1, 1, 1],
            [3, 5, 1],
            [200, 130, 1],
            [2, 7, 3],
            [3, 70, 300],
            [2, 0, 3],
        ] {
            let n = shape.iter().product();
            let (x, want) = (input(n), reference(&input(n), shape));
            let grad: Vec<f64> = (0..n).map(|i| (i % 11) as f64 - 4.0).collect();
            let (mut y, mut log, mut dx, mut dlog) = (vec![0.0; n], vec![0.0; n], vec![0.0; n], vec![0.0; n]);
            softmax(&x, shape, &mut y);
            log_softmax(&x, shape, &mut log);
            softmax_backward(&y, &grad, shape, &mut dx);
            log_softmax_backward(&log, &grad, shape, &mut dlog);
            let [_, len, inner] = shape;
            for i in 0..n {
                assert!(
                    (y[i] - want[i]).abs() < 1e-13 && (log[i] - want[i].ln()).abs() < 1e-12,
                    "{shape:?}"
                );
                let start = i / (len * inner) * len * inner + i % inner;
                let line = || (0..len).map(|k| start + k * inner);
                let dot: f64 = line().map(|k| want[k] * grad[k]).sum();
                let sum: f64 = line().map(|k| grad[k]).sum();
                assert!((dx[i] - want[i] * (grad[i] - dot)).abs() < 1e-12, "{shape:?}");
                assert!((dlog[i] - (grad[i] - want[i] * sum)).abs() < 1e-10, "{shape:?}");
            }
            let mut lse = vec![0.0; shape[0] * inner];
            log_sum_exp(&x, shape, &mut lse);
            for (line, &got) in lse.iter().enumerate().take(if len == 0 { 0 } else { usize::MAX }) {
                let at = line / inner * len * inner + line % inner;
                assert!((got - (x[at] - want[at].ln())).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn large_and_infinite_values() {
        let mut out = [0.0f32; 3];
        softmax(&[1e30, 1e30, -1e30], [1, 3, 1], &mut out);
        assert_eq!(out, [0.5, 0.5, 0.0]);
        softmax(&[f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY], [1, 3, 1], &mut out);
        assert_eq!(out, [0.0, 1.0, 0.0]);
        softmax(&[f32::NEG_INFINITY; 3], [1, 3, 1], &mut out);
        assert!(out.iter().all(|x| x.is_nan()));
        let mut lse = [0.0f32];
        log_sum_exp(&[f32::NEG_INFINITY; 3], [1, 3, 1], &mut lse);
        assert_eq!(lse, [f32::NEG_INFINITY]);
        log_sum_exp(&[f32::INFINITY, 1.0], [1, 2, 1], &mut lse);
        assert_eq!(lse, [f32::INFINITY]);
    }
}
