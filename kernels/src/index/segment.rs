//! `torch.segment_reduce`: reductions over consecutive runs of a dimension, given as offsets.
//!
//! Data is `[outer, len, inner]`; segment `s` of the dimension is `offsets[s]..offsets[s + 1]`, and the result is
//! `[outer, offsets.len() - 1, inner]`.

use super::{Reduction, larger, mean_of, rows_per_task, smaller};
use crate::element::Number;
use crate::pool;

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

fn reduce_run<T: Number>(
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
    let mut fold = |f: fn(T, T) -> T| {
        for row in rows.by_ref() {
            out.iter_mut().zip(row).for_each(|(o, &x)| *o = f(*o, x));
        }
    };
    match reduction {
        Reduction::Sum | Reduction::Mean => fold(T::plus),
        Reduction::Prod => fold(T::times),
        Reduction::Amax => fold(larger),
        Reduction::Amin => fold(smaller),
    }
    if reduction == Reduction::Mean && length > 0 {
        out.iter_mut().for_each(|x| *x = mean_of(*x, length));
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
    data_grad.fill(T::ZERO);
    let block = len * inner;
    if block == 0 {
        return;
    }
    pool::parallel_chunks_mut(data_grad, block, |first, data_grad| {
        let o = first / block;
        let data = &data[first..][..block];
        for s in 0..segments {
            let (from, to) = (offsets[s] as usize, offsets[s + 1] as usize);
            for j in 0..inner {
                let result = (o * segments + s) * inner + j;
                let run = (from..to).map(|i| i * inner + j);
                let (g, value) = (grad[result], out[result]);
                match reduction {
                    Reduction::Sum => run.for_each(|at| data_grad[at] = g),
                    Reduction::Mean => run.for_each(|at| data_grad[at] = mean_of(g, to - from)),
                    Reduction::Amax | Reduction::Amin => {
                        let hit = |x: T| x == value || (x.is_not_a_number() && value.is_not_a_number());
                        let ties = run.clone().filter(|&at| hit(data[at])).count();
                        run.filter(|&at| hit(data[at]))
                            .for_each(|at| data_grad[at] = mean_of(g, ties));
                    }
                    Reduction::Prod => {
                        // Products of what stands before, then times what stands after.
                        let mut product = g.times(initial.unwrap_or(T::ONE));
                        for at in run.clone() {
                            data_grad[at] = product;
                            product = product.times(data[at]);
                        }
                        let mut product = T::ONE;
                        for at in run.rev() {
                            data_grad[at] = data_grad[at].times(product);
                            product = product.times(data[at]);
                        }
                    }
                }
            }
        }
    });
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
