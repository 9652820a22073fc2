//! Triangular systems.

use super::{SMALL, block, subtract_multiple, subtract_product};
use crate::gemm::MatRef;
use crate::simd::Real;

/// Replaces B by the solution X of `A·X = B`, where A is triangular `[n, n]` and B has n rows of `columns` elements that
/// begin `ldb` apart. Only the triangle that `upper` names is read, and of it, with `unit`, not the diagonal, which
/// counts as ones. Division by a zero on the diagonal gives infinities or NaNs.
///
/// # Panics
/// If A is not square or B is too short.
pub fn solve_triangular<T: Real>(
    a: MatRef<'_, T>,
    upper: bool,
    unit: bool,
    b: &mut [T],
    columns: usize,
    ldb: usize,
) {
    let n = a.rows;
    assert_eq!(n, a.columns, "solve_triangular: A must be square");
    if n == 0 || columns == 0 {
        return;
    }
    assert!(
        b.len() >= (n - 1) * ldb + columns,
        "solve_triangular: B is too short"
    );
    if n <= SMALL {
        return solve_small(a, upper, unit, b, columns, ldb);
    }
    let half = n / 2;
    let (first, second) = (block(a, 0..half, 0..half), block(a, half..n, half..n));
    let (top, bottom) = b.split_at_mut(half * ldb);
    if upper {
        solve_triangular(second, upper, unit, bottom, columns, ldb);
        let x = MatRef::new(bottom, n - half, columns, ldb, 1);
        subtract_product(block(a, 0..half, half..n), x, top, ldb);
        solve_triangular(first, upper, unit, top, columns, ldb);
    } else {
        solve_triangular(first, upper, unit, top, columns, ldb);
        let x = MatRef::new(top, half, columns, ldb, 1);
        subtract_product(block(a, half..n, 0..half), x, bottom, ldb);
        solve_triangular(second, upper, unit, bottom, columns, ldb);
    }
}

crate::simd! {
    fn solve_small[T: Real](a: MatRef<'_, T>, upper: bool, unit: bool, b: &mut [T], columns: usize, ldb: usize) -> () {
        let n = a.rows;
        for step in 0..n {
            let i = if upper { n - 1 - step } else { step };
            let known = if upper { i + 1..n } else { 0..i };
            for j in known {
                let factor = a.data[i * a.row_stride + j * a.column_stride];
                let (x, row) = super::rows_of(b, ldb, j, i);
                subtract_multiple(&mut row[..columns], factor, &x[..columns]);
            }
            if !unit {
                let pivot = a.data[i * (a.row_stride + a.column_stride)];
                for x in &mut b[i * ldb..i * ldb + columns] {
                    *x /= pivot;
                }
            }
        }
    }
}

/// Replaces B by the solution X of `X·Aᵀ = B`, where A is lower triangular `[n, n]` and B has `rows` rows of n elements:
/// what a Cholesky factorisation needs.
pub(super) fn solve_right_lower_transposed<T: Real>(a: MatRef<'_, T>, b: &mut [T], rows: usize, ldb: usize) {
    let n = a.rows;
    if rows == 0 || n == 0 {
        return;
    }
    if n <= SMALL {
        for row in b.chunks_mut(ldb).take(rows) {
            for j in 0..n {
                let mut x = row[j];
                for (k, &known) in row[..j].iter().enumerate() {
                    x -= known * a.data[j * a.row_stride + k * a.column_stride];
                }
                row[j] = x / a.data[j * (a.row_stride + a.column_stride)];
            }
        }
        return;
    }
    let half = n / 2;
    solve_right_lower_transposed(block(a, 0..half, 0..half), b, rows, ldb);
    let x = super::copied(b, rows, half, ldb);
    let below = block(a, half..n, 0..half).transposed();
    subtract_product(MatRef::row_major(&x, rows, half), below, &mut b[half..], ldb);
    solve_right_lower_transposed(block(a, half..n, half..n), &mut b[half..], rows, ldb);
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{matrix, near, product};
    use super::*;

    #[test]
    fn solutions_multiply_back() {
        for n in [1, 3, 16, 37] {
            for (upper, unit, transposed) in [
                (false, false, false),
                (true, false, false),
                (true, true, true),
                (false, true, true),
            ] {
                let (mut a, columns) = (matrix(n, n), 5);
                for i in 0..n {
                    for j in 0..n {
                        a[i * n + j] /= n as f64;
                    }
                    a[i * n + i] += 2.0;
                }
                let x = matrix(n, columns);
                // The triangle of the (possibly transposed) matrix, written out.
                let mut full = vec![0.0; n * n];
                for i in 0..n {
                    for j in 0..n {
                        let value = if transposed { a[j * n + i] } else { a[i * n + j] };
                        full[i * n + j] = match (i == j, upper == (j > i)) {
                            (true, _) => {
                                if unit {
                                    1.0
                                } else {
                                    value
                                }
                            }
                            (false, true) => value,
                            (false, false) => 0.0,
                        };
                    }
                }
                let mut b = product(&full, &x, n, n, columns);
                let a = MatRef::row_major(&a, n, n);
                let a = if transposed { a.transposed() } else { a };
                solve_triangular(a, upper, unit, &mut b, columns, columns);
                near(&b, &x);
            }
        }
    }
}
