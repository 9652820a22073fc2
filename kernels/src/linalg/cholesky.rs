//! `A = L·Lᵀ` of a symmetric positive definite matrix (LAPACK's `potrf`).

use super::triangular::solve_right_lower_transposed;
use super::{SMALL, block, copied, sqrt, subtract_product};
use crate::gemm::MatRef;
use crate::simd::Real;

/// Replaces A `[n, n]`, of which the lower triangle is read, by L; the upper triangle becomes zero. Returns 0, or the
/// size of the first leading block that is not positive definite; A is unspecified then.
///
/// # Panics
/// If A has not `n²` elements.
pub fn cholesky<T: Real>(a: &mut [T], n: usize) -> i32 {
    assert_eq!(a.len(), n * n, "cholesky: sizes");
    let info = factorise(a, n, n);
    for (i, row) in a.chunks_exact_mut(n.max(1)).enumerate() {
        row[i + 1..].fill(T::ZERO);
    }
    info
}

fn factorise<T: Real>(a: &mut [T], n: usize, lda: usize) -> i32 {
    if n <= SMALL {
        return small(a, n, lda);
    }
    let half = n / 2;
    let info = factorise(a, half, lda);
    if info != 0 {
        return info;
    }
    let (top, bottom) = a.split_at_mut(half * lda);
    let corner = block(MatRef::new(top, half, lda.min(n), lda, 1), 0..half, 0..half);
    solve_right_lower_transposed(corner, bottom, n - half, lda);
    let l = copied(bottom, n - half, half, lda);
    let l = MatRef::row_major(&l, n - half, half);
    subtract_product(l, l.transposed(), &mut bottom[half..], lda);
    match factorise(&mut bottom[half..], n - half, lda) {
        0 => 0,
        info => info + half as i32,
    }
}

fn small<T: Real>(a: &mut [T], n: usize, lda: usize) -> i32 {
    for i in 0..n {
        let (above, row) = a.split_at_mut(i * lda);
        for j in 0..i {
            let mut x = row[j];
            for k in 0..j {
                x -= row[k] * above[j * lda + k];
            }
            row[j] = x / above[j * lda + j];
        }
        let mut x = row[i];
        for &y in &row[..i] {
            x -= y * y;
        }
        // Not positive, or NaN.
        if x.partial_cmp(&T::ZERO) != Some(std::cmp::Ordering::Greater) {
            row[i] = x;
            return i as i32 + 1;
        }
        row[i] = sqrt(x);
    }
    0
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{matrix, near, product};
    use super::*;

    #[test]
    fn factors_multiply_back() {
        for n in [0, 1, 5, 16, 53] {
            let b = matrix(n, n);
            let t: Vec<f64> = (0..n * n).map(|e| b[e % n * n + e / n]).collect();
            let mut a = product(&b, &t, n, n, n);
            for i in 0..n {
                a[i * n + i] += 1.0;
            }
            let mut l = a.clone();
            assert_eq!(cholesky(&mut l, n), 0);
            let t: Vec<f64> = (0..n * n).map(|e| l[e % n * n + e / n]).collect();
            near(&product(&l, &t, n, n, n), &a);
        }
    }

    #[test]
    fn indefinite_matrices_are_reported() {
        assert_eq!(cholesky(&mut [1.0f64, 0.0, 0.0, -1.0], 2), 2);
        assert_eq!(cholesky(&mut [f64::NAN], 1), 1);
        let n = 40;
        let mut a: Vec<f64> = (0..n * n)
            .map(|e| if e / n == e % n { 1.0 } else { 0.0 })
            .collect();
        a[30 * n + 30] = -1.0;
        assert_eq!(cholesky(&mut a, n), 31);
    }
}
