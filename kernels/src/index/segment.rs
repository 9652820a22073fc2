//! `torch.segment_reduce`: reductions over consecutive runs of a dimension, given as offsets.
//!
//! Data is `[outer, len, inner]`; segment `s` of the dimension is `offsets[s]..offsets[s + 1]`, and the result is
//! `[outer, offsets.len() - 1, inner]`.

use super::{Reduction, larger, mean_of, rows_per_task, smaller};
use crate::element::Number;
use crate::pool::{self, SendPtr};
use crate::simd;

/// The offsets of segments with these lengths: `[0, l0, l0 + l1, …]`.
pub fn lengths_to_offsets(lengths: &[i64]) -> Vec<i64> {
    let mut offsets = Vec::with_capacity(lengths.len() + 1);
    let mut end = 0;
    offsets.push(end);
    for &length in lengths {
        end = i64::saturating_add(end, length);
        offsets.push(end);
    }
    offsets
}

/// Reduces every segment. `initial` takes part in each reduction (torch's `initial`); without it an empty segment
/// gives `empty`: torch's choice is 0 for sums, 1 for products, NaN for means and ∓infinity for maxima and minima.
pub fn segment_reduce<T: Number>(
    data: &[T],
    offsets: &[i64],
    out: &mut [T],
    reduction: Reduction,
    initial: Option<T>,
    empty: T,
    (outer, len, inner): (usize, usize, usize),
) {
    let segments = offsets.len().saturating_sub(1);
    assert_eq!(
        (data.len(), out.len()),
        (outer * len * inner, outer * segments * inner)
    );
    if out.is_empty() {
        return;
    }
    // A task is sized by what it reads on average.
    let rows = rows_per_task(outer * segments, (data.len() / (outer * segments)).max(inner));
    pool::parallel_chunks_mut(out, rows * inner, |first, piece| {
        for (r, out) in piece.chunks_exact_mut(inner).enumerate() {
            let (o, s) = ((first / inner + r) / segments, (first / inner + r) % segments);
            let (from, to) = (offsets[s] as usize, offsets[s + 1] as usize);
            let run = &data[(o * len + from) * inner..(o * len + to) * inner];
            reduce_run(run, out, reduction, initial, empty, to - from);
        }
    });
}

simd! {
    fn reduce_run[T: Number](
        run: &[T],
        out: &mut [T],
        reduction: Reduction,
        initial: Option<T>,
        empty: T,
        length: usize,
    ) {
        let mut rows = run.chunks_exact(out.len());
        match (initial, rows.len()) {
            (Some(initial), _) => out.fill(initial),
            (None, 0) => return out.fill(empty),
            (None, _) => rows.next().into_iter().for_each(|row| out.copy_from_slice(row)),
        }
        match reduction {
            Reduction::Sum | Reduction::Mean => fold(rows, out, T::plus),
            Reduction::Prod => fold(rows, out, T::times),
            Reduction::Amax => fold(rows, out, larger),
            Reduction::Amin => fold(rows, out, smaller),
        }
        if reduction == Reduction::Mean && length > 0 {
            out.iter_mut().for_each(|x| *x = mean_of(*x, length));
        }
    }
}

/// `out = f(out, row)` for each row.
#[inline(always)]
fn fold<'a, T: Number>(rows: impl Iterator<Item = &'a [T]>, out: &mut [T], f: impl Fn(T, T) -> T) {
    for row in rows {
        out.iter_mut().zip(row).for_each(|(o, &x)| *o = f(*o, x));
    }
}

/// The gradient of [`segment_reduce`]: `grad` and `out` are of the result's shape, `data_grad` of the data's.
///
/// Ties of a maximum or minimum share the gradient equally. A product gives each element the product of the others
/// (and of `initial`), also where one of them is zero.
pub fn segment_reduce_backward<T: Number>(
    data: &[T],
    offsets: &[i64],
    out: &[T],
    grad: &[T],
    data_grad: &mut [T],
    reduction: Reduction,
    initial: Option<T>,
    (outer, len, inner): (usize, usize, usize),
) {
    let segments = offsets.len().saturating_sub(1);
    assert_eq!(
        (data.len(), out.len()),
        (outer * len * inner, outer * segments * inner)
    );
    assert_eq!((grad.len(), data_grad.len()), (out.len(), data.len()));
    // Every element is in some segment, or has no gradient.
    if offsets.first() != Some(&0) || offsets.last() != Some(&(len as i64)) {
        data_grad.fill(T::ZERO);
    }
    if data.is_empty() || segments == 0 {
        return;
    }
    let grads = SendPtr(data_grad.as_mut_ptr());
    let per_task = rows_per_task(outer * segments, (data.len() / (outer * segments)).max(inner));
    pool::parallel_ranges(outer * segments, per_task, |range| {
        for at in range {
            let (o, s) = (at / segments, at % segments);
            let (from, to) = (offsets[s] as usize, offsets[s + 1] as usize);
            let (begin, end) = ((o * len + from) * inner, (o * len + to) * inner);
            // SAFETY: `offsets` ascend and stay within `len`, so that segments are disjoint and inside `data_grad`, which is
            // borrowed mutably for the whole call.
            let data_grad = unsafe { std::slice::from_raw_parts_mut(grads.ptr().add(begin), end - begin) };
            let result = at * inner..(at + 1) * inner;
            let (out, grad) = (&out[result.clone()], &grad[result]);
            share_out(&data[begin..end], out, grad, data_grad, reduction, initial);
        }
    });
}

simd! {
    /// The gradients of one segment's elements.
    fn share_out[T: Number](
        run: &[T],
        out: &[T],
        grad: &[T],
        data_grad: &mut [T],
        reduction: Reduction,
        initial: Option<T>,
    ) {
        let inner = out.len();
        let length = run.len() / inner;
        match reduction {
            Reduction::Sum => data_grad.chunks_exact_mut(inner).for_each(|row| row.copy_from_slice(grad)),
            Reduction::Mean => {
                let (first, rest) = data_grad.split_at_mut(inner.min(data_grad.len()));
                first.iter_mut().zip(grad).for_each(|(d, &g)| *d = mean_of(g, length));
                rest.chunks_exact_mut(inner).for_each(|row| row.copy_from_slice(first));
            }
            Reduction::Amax | Reduction::Amin => {
                let hit = |x: T, value: T| x == value || (x.is_not_a_number() && value.is_not_a_number());
                let mut ties = vec![0u32; inner];
                for row in run.chunks_exact(inner) {
                    let each = ties.iter_mut().zip(row).zip(out);
                    each.for_each(|((n, &x), &value)| *n += u32::from(hit(x, value)));
                }
                // A share is divided where it is needed, and where it is not, there may be none to divide by.
                let of_one = |g: T, n: u32| if n == 1 { g } else { mean_of(g, n.max(1) as usize) };
                let shares: Vec<T> = grad.iter().zip(&ties).map(|(&g, &n)| of_one(g, n)).collect();
                for (row, data_grad) in run.chunks_exact(inner).zip(data_grad.chunks_exact_mut(inner)) {
                    let each = data_grad.iter_mut().zip(row).zip(out.iter().zip(&shares));
                    each.for_each(|((d, &x), (&value, &share))| *d = if hit(x, value) { share } else { T::ZERO });
                }
            }
            Reduction::Prod => {
                for j in 0..inner {
                    // Products of what stands before, then times what stands after.
                    let mut product = grad[j].times(initial.unwrap_or(T::ONE));
                    for at in (j..run.len()).step_by(inner) {
                        data_grad[at] = product;
                        product = product.times(run[at]);
                    }
                    let mut product = T::ONE;
                    for at in (0..length).rev().map(|row| row * inner + j) {
                        data_grad[at] = data_grad[at].times(product);
                        product = product.times(run[at]);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reductions_and_gradients() {
        let data = [1.0f64, 2.0, 2.0, 0.0, 3.0];
        let offsets = lengths_to_offsets(&[3, 0, 2]);
        assert_eq!(offsets, [0, 3, 3, 5]);
        let run = |reduction, initial| {
            let mut out = [0.0; 3];
            segment_reduce(&data, &offsets, &mut out, reduction, initial, -1.0, (1, 5, 1));
            let mut grad = [9.0; 5];
            segment_reduce_backward(
                &data,
                &offsets,
                &out,
                &[1.0, 1.0, 2.0],
                &mut grad,
                reduction,
                initial,
                (1, 5, 1),
            );
            (out, grad)
        };
        assert_eq!(
            run(Reduction::Sum, None),
            ([5.0, -1.0, 3.0], [1.0, 1.0, 1.0, 2.0, 2.0])
        );
        assert_eq!(run(Reduction::Mean, Some(1.0)).0, [2.0, 1.0, 2.0]);
        assert_eq!(
            run(Reduction::Amax, None),
            ([2.0, -1.0, 3.0], [0.0, 0.5, 0.5, 0.0, 2.0])
        );
        assert_eq!(
            run(Reduction::Amin, None),
            ([1.0, -1.0, 0.0], [1.0, 0.0, 0.0, 2.0, 0.0])
        );
        assert_eq!(
            run(Reduction::Prod, Some(2.0)),
            ([8.0, 2.0, 0.0], [8.0, 4.0, 4.0, 12.0, 0.0])
        );
    }

    #[test]
    fn inner_and_outer() {
        let data: Vec<i64> = (0..12).collect();
        let mut out = [0; 8];
        segment_reduce(&data, &[0, 1, 3], &mut out, Reduction::Sum, None, 0, (2, 3, 2));
        assert_eq!(out, [0, 1, 6, 8, 6, 7, 18, 20]);
    }
}
