//! Tiles of dot products of rows that lie in memory as their sums run.

use crate::simd::Simd;

/// Adds `a[i] · b[j]`, over `len` elements of each, to the lanes of `acc[i][j]`.
///
/// # Safety
/// `len` elements are readable at every pointer.
#[inline(always)]
pub(crate) unsafe fn accumulate<S: Simd, const ROWS: usize, const COLUMNS: usize>(
    s: S,
    acc: &mut [[S::Vector; COLUMNS]; ROWS],
    a: [*const S::Elem; ROWS],
    b: [*const S::Elem; COLUMNS],
    len: usize,
) {
    let mut k = 0;
    // SAFETY: less than `len` elements from the pointers, which the caller vouches for.
    unsafe {
        while k + S::LANES <= len {
            let columns = b.map(|b| s.load(b.add(k)));
            for i in 0..ROWS {
                let row = s.load(a[i].add(k));
                for j in 0..COLUMNS {
                    acc[i][j] = s.mul_add(row, columns[j], acc[i][j]);
                }
            }
            k += S::LANES;
        }
        if k < len {
            let columns = b.map(|b| s.load_partial(b.add(k), len - k));
            for i in 0..ROWS {
                let row = s.load_partial(a[i].add(k), len - k);
                for j in 0..COLUMNS {
                    acc[i][j] = s.mul_add(row, columns[j], acc[i][j]);
                }
            }
        }
    }
}
