//! Factorisations of dense matrices with LAPACK's conventions: LU with partial pivoting, Cholesky, Householder QR,
//! Bunch-Kaufman LDLᵀ, and triangular solves.
//!
//! Matrices are row-major; those that are changed lie in one slice with a leading dimension. Algorithms split problems
//! in halves (or blocks) so that nearly all work on large matrices is done by [`gemm`]; small ones are
//! solved by plain loops.

pub mod cholesky;
pub mod ldl;
pub mod lu;
pub mod qr;
pub mod triangular;

use crate::gemm::{Epilogue, MatRef, gemm};
use crate::simd::Real;

/// Problems of at most this size are solved by plain loops.
const SMALL: usize = 16;

#[inline(always)]
fn abs<T: Real>(x: T) -> T {
    if x < T::ZERO { -x } else { x }
}

#[inline(always)]
fn sqrt<T: Real>(x: T) -> T {
    T::from_f64(x.to_f64().sqrt())
}

/// `C -= A·B` on rows of `ldc` elements.
fn subtract_product<T: Real>(a: MatRef<'_, T>, b: MatRef<'_, T>, c: &mut [T], ldc: usize) {
    if a.rows == 0 || a.columns == 0 || b.columns == 0 {
        return;
    }
    let epilogue = Epilogue {
        alpha: -T::ONE,
        beta: T::ONE,
        ..Epilogue::default()
    };
    gemm(a, b, c, ldc, &epilogue);
}

/// Rows and columns of a matrix.
fn block<T>(
    a: MatRef<'_, T>,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
) -> MatRef<'_, T> {
    let empty = rows.is_empty() || columns.is_empty();
    let start = if empty {
        0
    } else {
        rows.start * a.row_stride + columns.start * a.column_stride
    };
    MatRef {
        data: &a.data[start..],
        rows: rows.len(),
        columns: columns.len(),
        ..a
    }
}

/// A contiguous copy of `rows × columns` elements that lie in rows of `lda`.
fn copied<T: Real>(a: &[T], rows: usize, columns: usize, lda: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(rows * columns);
    for i in 0..rows {
        out.extend_from_slice(&a[i * lda..i * lda + columns]);
    }
    out
}

/// `y -= factor·x`.
#[inline(always)]
fn subtract_multiple<T: Real>(y: &mut [T], factor: T, x: &[T]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y -= factor * x;
    }
}

/// Two different rows of `lda` elements: the first whole, the second for writing.
fn rows_of<T>(a: &mut [T], lda: usize, read: usize, write: usize) -> (&[T], &mut [T]) {
    if read < write {
        let (head, tail) = a.split_at_mut(write * lda);
        (&head[read * lda..], tail)
    } else {
        let (head, tail) = a.split_at_mut(read * lda);
        (tail, &mut head[write * lda..(write + 1) * lda])
    }
}

/// Swaps the first `len` elements of two rows.
fn swap_rows<T>(a: &mut [T], lda: usize, i: usize, j: usize, len: usize) {
    if i != j {
        let (low, high) = (i.min(j), i.max(j));
        let (head, tail) = a.split_at_mut(high * lda);
        head[low * lda..low * lda + len].swap_with_slice(&mut tail[..len]);
    }
}

#[cfg(test)]
pub(crate) mod test_support {
    /// A fixed matrix of numbers in (−1, 1).
    pub(crate) fn matrix(rows: usize, columns: usize) -> Vec<f64> {
        let mut state = 12345u64;
        let mut next = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        };
        (0..rows * columns).map(|_| next()).collect()
    }

    /// The product of row-major matrices `[n, k]` and `[k, m]`.
    pub(crate) fn product(a: &[f64], b: &[f64], n: usize, k: usize, m: usize) -> Vec<f64> {
        let mut out = vec![0.0; n * m];
        for i in 0..n {
            for j in 0..m {
                out[i * m + j] = (0..k).map(|l| a[i * k + l] * b[l * m + j]).sum();
            }
        }
        out
    }

    pub(crate) fn near(a: &[f64], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        for (i, (x, y)) in a.iter().zip(b).enumerate() {
            assert!(
                (x - y).abs() < 1e-10 * (1.0 + y.abs()),
                "element {i}: {x} instead of {y}"
            );
        }
    }
}
