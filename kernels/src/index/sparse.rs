//! Products with sparse matrices in compressed rows: `torch.sparse.mm` and `torch.sparse.sampled_addmm`, over several matrices with one
//! pattern at a time ("heads").
//!
//! `y[r, h, :] = Σ_e values[e, h]·x[columns[e], h, :]` over the elements `e` of row `r`. The gradient with respect to `x` is the
//! same product with the transposed matrix, that with respect to `values` is sampled from `ȳ·xᵀ` where there are elements. Rows are
//! independent and each is summed in the order of its elements.

use super::graph::{AHEAD, add_row, prefetch};
use crate::element::Number;
use crate::mem::Buf;
use crate::pool;
use crate::simd;

/// Elements sorted by row: row `r` owns `order[offsets[r]..offsets[r + 1]]`.
#[derive(Clone, Debug)]
pub struct Csr {
    /// Where each row's elements begin; one more entry than rows.
    pub offsets: Buf<i64>,
    /// Numbers of elements, ascending within a row.
    pub order: Buf<i64>,
}

/// Sorts elements by row (a stable counting sort): `index[e]` is the row of element `e`.
pub fn csr_from_rows(index: &[i64], rows: usize) -> Csr {
    let mut offsets = Buf::zeroed(rows + 1);
    index.iter().for_each(|&row| offsets[row as usize + 1] += 1);
    for row in 0..rows {
        offsets[row + 1] += offsets[row];
    }
    let mut next = offsets.clone();
    let mut order = Buf::take(index.len());
    for (element, &row) in index.iter().enumerate() {
        let at = &mut next[row as usize];
        order[*at as usize] = element as i64;
        *at += 1;
    }
    Csr { offsets, order }
}

/// The rows of a sparse matrix.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Where each row's elements begin; one more entry than rows.
    pub offsets: &'a [i64],
    /// The column of each element, row after row.
    pub columns: &'a [i64],
    /// Which of the values belongs to each element, unless they stand in this order.
    pub values: Option<&'a [i64]>,
}

/// `out[r, h, :] = Σ_e values[e, h]·x[columns[e], h, :]`, where `values` is `[elements, heads]` (all 1 if there are none), `x`
/// `[columns, heads, inner]` and `out` `[rows, heads, inner]`.
pub fn sparse_product<T: Number>(
    rows: Rows<'_>,
    values: Option<&[T]>,
    x: &[T],
    out: &mut [T],
    (heads, inner): (usize, usize),
) {
    let (count, features) = (rows.offsets.len().saturating_sub(1), heads * inner);
    assert_eq!(out.len(), count * features);
    assert!(values.is_none_or(|values| values.len() == rows.columns.len() * heads));
    if out.is_empty() {
        return;
    }
    let per_task = super::rows_per_task(count, (rows.columns.len() / count + 1) * features);
    pool::parallel_chunks_mut(out, per_task * features, |first, piece| {
        add_up(rows, values, x, piece, first / features, heads, inner)
    });
}

simd! {
    fn add_up[T: Number](
        rows: Rows<'_>,
        values: Option<&[T]>,
        x: &[T],
        piece: &mut [T],
        first: usize,
        heads: usize,
        inner: usize,
    ) {
        let features = heads * inner;
        for (r, out) in piece.chunks_exact_mut(features).enumerate() {
            out.fill(T::ZERO);
            for at in rows.offsets[first + r] as usize..rows.offsets[first + r + 1] as usize {
                if let Some(&ahead) = rows.columns.get(at + AHEAD) {
                    prefetch(x, ahead as usize * features, features);
                }
                let source = &x[rows.columns[at] as usize * features..][..features];
                let Some(values) = values else {
                    add_row(out, source, None);
                    continue;
                };
                let value = rows.values.map_or(at, |values| values[at] as usize);
                let values = &values[value * heads..][..heads];
                if inner == 1 {
                    let each = out.iter_mut().zip(source).zip(values);
                    each.for_each(|((o, &s), &w)| *o = o.plus(w.times(s)));
                } else {
                    for ((out, source), &w) in out.chunks_exact_mut(inner).zip(source.chunks_exact(inner)).zip(values) {
                        add_row(out, source, Some(w));
                    }
                }
            }
        }
    }
}

/// `out[e, h] = Σ_j a[row[e], h, j]·b[column[e], h, j]`: elements of the products `a·bᵀ`, `[elements, heads]`, where `a` is `[rows, heads,
/// inner]` and `b` `[columns, heads, inner]`.
pub fn sampled_products<T: Number>(
    row: &[i64],
    column: &[i64],
    a: &[T],
    b: &[T],
    out: &mut [T],
    (heads, inner): (usize, usize),
) {
    assert_eq!((row.len(), out.len()), (column.len(), row.len() * heads));
    if out.is_empty() {
        return;
    }
    let per_task = super::rows_per_task(row.len(), heads * inner.max(1));
    pool::parallel_chunks_mut(out, per_task * heads, |first, piece| {
        sample(row, column, a, b, piece, first / heads, heads, inner)
    });
}

/// Partial sums of a product of two vectors, so that it does not wait for one addition after the other.
const LANES: usize = 8;

simd! {
    fn sample[T: Number](
        row: &[i64],
        column: &[i64],
        a: &[T],
        b: &[T],
        piece: &mut [T],
        first: usize,
        heads: usize,
        inner: usize,
    ) {
        let features = heads * inner;
        for (e, out) in piece.chunks_exact_mut(heads).enumerate() {
            let e = first + e;
            if let Some(&ahead) = column.get(e + AHEAD) {
                prefetch(b, ahead as usize * features, features);
            }
            let a = &a[row[e] as usize * features..][..features];
            let b = &b[column[e] as usize * features..][..features];
            if inner == 1 {
                out.iter_mut().zip(a).zip(b).for_each(|((o, &a), &b)| *o = a.times(b));
                continue;
            }
            for (h, o) in out.iter_mut().enumerate() {
                let (a, b) = (&a[h * inner..][..inner], &b[h * inner..][..inner]);
                let mut sums = [T::ZERO; LANES];
                let (mut left, mut right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
                for (a, b) in left.by_ref().zip(right.by_ref()) {
                    for l in 0..LANES {
                        sums[l] = sums[l].plus(a[l].times(b[l]));
                    }
                }
                let rest = left.remainder().iter().zip(right.remainder());
                let rest = rest.fold(T::ZERO, |sum, (&a, &b)| sum.plus(a.times(b)));
                *o = sums.into_iter().fold(rest, T::plus);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_dense_matrices() {
        let (rows, columns, elements) = (61, 47, 900);
        let row: Vec<i64> = (0..elements).map(|e| (e * e % rows) as i64).collect();
        let column: Vec<i64> = (0..elements).map(|e| (e * 31 % columns) as i64).collect();
        let csr = csr_from_rows(&row, rows);
        let sorted: Vec<i64> = csr.order.iter().map(|&e| column[e as usize]).collect();
        for (heads, inner) in [(1, 1), (1, 16), (3, 1), (2, 5), (2, 19)] {
            let features = heads * inner;
            // Small whole numbers: sums are exact in any order.
            let number = |i: usize| (i * 7 % 11) as f32 - 5.0;
            let x: Vec<f32> = (0..columns * features).map(number).collect();
            let a: Vec<f32> = (0..rows * features).map(number).collect();
            let values: Vec<f32> = (0..elements * heads).map(|i| number(i + 3)).collect();
            for values in [None, Some(&values[..])] {
                let mut expected = vec![0.0; rows * features];
                for e in 0..elements {
                    for j in 0..features {
                        let w = values.map_or(1.0, |w| w[e * heads + j / inner]);
                        let x = x[column[e] as usize * features + j];
                        expected[row[e] as usize * features + j] += w * x;
                    }
                }
                let sorted = Rows {
                    offsets: &csr.offsets,
                    columns: &sorted,
                    values: Some(&csr.order),
                };
                let mut out = vec![f32::NAN; rows * features];
                sparse_product(sorted, values, &x, &mut out, (heads, inner));
                assert_eq!(out, expected);
            }
            let mut out = vec![f32::NAN; elements * heads];
            sampled_products(&row, &column, &a, &x, &mut out, (heads, inner));
            for e in 0..elements {
                for h in 0..heads {
                    let at = |end: &[i64], j: usize| end[e] as usize * features + h * inner + j;
                    let expected: f32 = (0..inner).map(|j| a[at(&row, j)] * x[at(&column, j)]).sum();
                    assert_eq!(out[e * heads + h], expected);
                }
            }
        }
    }
}
