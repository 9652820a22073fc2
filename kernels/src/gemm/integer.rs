//! Matrix products of integers, with wrapping arithmetic as torch's.

use super::MatRef;
use crate::element::Pod;
use crate::pool::parallel_chunks_mut;

/// An integer element type.
pub trait Integer: Pod {
    /// `self + a * b`, modulo the width.
    fn wrapping_mul_add(self, a: Self, b: Self) -> Self;
}

macro_rules! integer {
    ($($t:ty)*) => { $(
        impl Integer for $t {
            #[inline(always)]
            fn wrapping_mul_add(self, a: Self, b: Self) -> Self {
                self.wrapping_add(a.wrapping_mul(b))
            }
        }
    )* };
}
integer!(i8 i16 i32 i64 u8);

/// `C = A·B`, C row-major and contiguous.
///
/// # Panics
/// If the inner dimensions differ or C has another size than `[m, n]`.
pub fn gemm_integer<T: Integer>(a: MatRef<'_, T>, b: MatRef<'_, T>, c: &mut [T]) {
    assert_eq!(
        a.columns, b.rows,
        "gemm_integer: the inner dimensions of A and B differ"
    );
    assert_eq!(c.len(), a.rows * b.columns, "gemm_integer: the size of C");
    let n = b.columns;
    if n == 0 {
        return;
    }
    let rows = (1_usize << 14).div_ceil((n * a.columns).max(1));
    parallel_chunks_mut(c, rows * n, |start, c| {
        for (i, c) in c.chunks_exact_mut(n).enumerate() {
            row(a, start / n + i, b, c);
        }
    });
}

crate::simd! {
    fn row[T: Integer](a: MatRef<'_, T>, i: usize, b: MatRef<'_, T>, c: &mut [T]) -> () {
        c.fill(T::default());
        for k in 0..a.columns {
            let x = a.data[i * a.row_stride + k * a.column_stride];
            if b.column_stride == 1 {
                for (c, &b) in c.iter_mut().zip(&b.data[k * b.row_stride..]) {
                    *c = c.wrapping_mul_add(x, b);
                }
            } else {
                for (j, c) in c.iter_mut().enumerate() {
                    *c = c.wrapping_mul_add(x, b.data[k * b.row_stride + j * b.column_stride]);
                }
            }
        }
    }
}
