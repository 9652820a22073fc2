//! `P·A = L·U` with partial pivoting (LAPACK's `getrf`).

use super::triangular::solve_triangular;
use super::{SMALL, abs, block, copied, subtract_multiple, subtract_product, swap_rows};
use crate::gemm::MatRef;
use crate::simd::Real;

/// Replaces A `[m, n]`, contiguous, by its factors: U in the upper triangle, L without its unit diagonal below.
///
/// Row i was swapped with row `pivots[i] − 1` at step i; without `pivot` no rows are swapped. Returns 0, or the number
/// (from 1) of the first pivot that is zero.
///
/// # Panics
/// If A has not `m·n` elements or there are not `min(m, n)` pivots.
pub fn lu<T: Real>(a: &mut [T], m: usize, n: usize, pivot: bool, pivots: &mut [i32]) -> i32 {
    let k = m.min(n);
    assert!(a.len() == m * n && pivots.len() == k, "lu: sizes");
    let mut info = 0;
    columns(a, m, n, 0..k, pivot, pivots, &mut info);
    if n > m && m > 0 {
        let l = copied(a, m, m, n);
        solve_triangular(MatRef::row_major(&l, m, m), false, true, &mut a[m..], n - m, n);
    }
    info
}

/// Factorises the columns of a range, from the row of the range's beginning on. Whole rows are swapped, so that the
/// columns on both sides follow at once.
fn columns<T: Real>(
    a: &mut [T],
    m: usize,
    n: usize,
    range: std::ops::Range<usize>,
    pivot: bool,
    pivots: &mut [i32],
    info: &mut i32,
) {
    if range.len() <= SMALL {
        return panel(a, m, n, range.start, range.end, pivot, pivots, info);
    }
    let middle = range.start + range.len() / 2;
    let (left, right) = (middle - range.start, range.end - middle);
    columns(a, m, n, range.start..middle, pivot, pivots, info);
    let corner = copied(&a[range.start * n + range.start..], left, left, n);
    let above = &mut a[range.start * n + middle..];
    solve_triangular(
        MatRef::row_major(&corner, left, left),
        false,
        true,
        above,
        right,
        n,
    );
    let (top, bottom) = a.split_at_mut(middle * n);
    let l = copied(&bottom[range.start..], m - middle, left, n);
    let u = block(
        MatRef::new(top, middle, n, n, 1),
        range.start..middle,
        middle..range.end,
    );
    subtract_product(
        MatRef::row_major(&l, m - middle, left),
        u,
        &mut bottom[middle..],
        n,
    );
    columns(a, m, n, middle..range.end, pivot, pivots, info);
}

crate::simd! {
    fn panel[T: Real](
        a: &mut [T], m: usize, n: usize, start: usize, end: usize, pivot: bool, pivots: &mut [i32], info: &mut i32
    ) -> () {
        for j in start..end {
            let mut best = j;
            if pivot {
                for i in j + 1..m {
                    if abs(a[i * n + j]) > abs(a[best * n + j]) {
                        best = i;
                    }
                }
                swap_rows(a, n, j, best, n);
            }
            pivots[j] = best as i32 + 1;
            let divisor = a[j * n + j];
            if divisor == T::ZERO {
                if *info == 0 {
                    *info = j as i32 + 1;
                }
                continue;
            }
            let (top, bottom) = a.split_at_mut((j + 1) * n);
            let above = &top[j * n + j + 1..j * n + end];
            for row in bottom.chunks_exact_mut(n) {
                let factor = row[j] / divisor;
                row[j] = factor;
                subtract_multiple(&mut row[j + 1..end], factor, above);
            }
        }
    }
}

/// Applies the row swaps of `pivots` to B, in their order or, with `backward`, undoing them.
pub fn swap_by_pivots<T>(pivots: &[i32], b: &mut [T], columns: usize, ldb: usize, backward: bool) {
    let swap = |b: &mut [T], i: usize| swap_rows(b, ldb, i, (pivots[i].max(1) - 1) as usize, columns);
    if backward {
        (0..pivots.len()).rev().for_each(|i| swap(b, i));
    } else {
        (0..pivots.len()).for_each(|i| swap(b, i));
    }
}

/// Replaces B `[n, columns]` by the solution of `A·X = B`, or with `transposed` of `Aᵀ·X = B`, where A `[n, n]` is given
/// by its factors.
pub fn lu_solve<T: Real>(
    factors: &[T],
    n: usize,
    pivots: &[i32],
    b: &mut [T],
    columns: usize,
    transposed: bool,
) {
    let a = MatRef::row_major(factors, n, n);
    if transposed {
        solve_triangular(a.transposed(), false, false, b, columns, columns);
        solve_triangular(a.transposed(), true, true, b, columns, columns);
        swap_by_pivots(pivots, b, columns, columns, true);
    } else {
        swap_by_pivots(pivots, b, columns, columns, false);
        solve_triangular(a, false, true, b, columns, columns);
        solve_triangular(a, true, false, b, columns, columns);
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{matrix, near, product};
    use super::*;

    #[test]
    fn factors_multiply_back() {
        for (m, n) in [(1, 1), (3, 5), (5, 3), (40, 40), (33, 70), (70, 33)] {
            for pivot in [true, false] {
                let mut a = matrix(m, n);
                for i in 0..m.min(n) {
                    a[i * n + i] += if pivot { 0.0 } else { 9.0 };
                }
                let k = m.min(n);
                let (mut f, mut pivots) = (a.clone(), vec![0; k]);
                assert_eq!(lu(&mut f, m, n, pivot, &mut pivots), 0);
                let entry = |i: usize, j: usize| f[i * n + j];
                let l: Vec<f64> = (0..m * k)
                    .map(|e| match (e / k, e % k) {
                        (i, j) if i == j => 1.0,
                        (i, j) if i > j => entry(i, j),
                        _ => 0.0,
                    })
                    .collect();
                let u: Vec<f64> = (0..k * n)
                    .map(|e| if e % n >= e / n { entry(e / n, e % n) } else { 0.0 })
                    .collect();
                let mut back = product(&l, &u, m, k, n);
                swap_by_pivots(&pivots, &mut back, n, n, true);
                near(&back, &a);
            }
        }
    }

    #[test]
    fn systems_are_solved_both_ways() {
        let (n, columns) = (21, 4);
        let (a, x) = (matrix(n, n), matrix(n, columns));
        let (mut f, mut pivots) = (a.clone(), vec![0; n]);
        lu(&mut f, n, n, true, &mut pivots);
        let mut b = product(&a, &x, n, n, columns);
        lu_solve(&f, n, &pivots, &mut b, columns, false);
        near(&b, &x);
        let t: Vec<f64> = (0..n * n).map(|e| a[e % n * n + e / n]).collect();
        let mut b = product(&t, &x, n, n, columns);
        lu_solve(&f, n, &pivots, &mut b, columns, true);
        near(&b, &x);
    }

    #[test]
    fn singular_matrices_are_reported() {
        let mut a = vec![1.0f64, 2.0, 2.0, 4.0];
        assert_eq!(lu(&mut a, 2, 2, true, &mut [0; 2]), 2);
    }
}
