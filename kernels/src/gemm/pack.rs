//! Packing: the operands of a matrix product, rearranged into the panels that the micro-kernels read.
//!
//! Whatever can fill a panel can be an operand, so a convolution is a product whose B is the unfolded image and never
//! exists as a whole.

use std::ops::Range;

use super::MatRef;
use crate::simd::Real;

/// A left operand.
pub(crate) trait PackA<T: Real>: Sync {
    /// Writes rows `rows`, columns `depth` as `dst[k · rows.len() + i]`.
    ///
    /// # Safety
    /// The ranges lie inside the operand and `dst` holds the panel.
    unsafe fn pack(&self, rows: Range<usize>, depth: Range<usize>, dst: *mut T);
}

/// A right operand.
pub(crate) trait PackB<T: Real>: Sync {
    /// Writes rows `depth`, columns `columns` as `dst[k · width + j]`, zero from `columns.len()` to `width`.
    ///
    /// # Safety
    /// The ranges lie inside the operand and `dst` holds the panel.
    unsafe fn pack(&self, depth: Range<usize>, columns: Range<usize>, width: usize, dst: *mut T);
}

impl<T: Real> PackA<T> for MatRef<'_, T> {
    unsafe fn pack(&self, rows: Range<usize>, depth: Range<usize>, dst: *mut T) {
        // SAFETY: the ranges lie inside the matrix, hence inside its slice.
        unsafe {
            pack_panel(
                self.row_stride,
                self.column_stride,
                self.at(rows.start, depth.start),
                rows.len(),
                depth.len(),
                rows.len(),
                dst,
            )
        }
    }
}

impl<T: Real> PackB<T> for MatRef<'_, T> {
    unsafe fn pack(&self, depth: Range<usize>, columns: Range<usize>, width: usize, dst: *mut T) {
        // SAFETY: the ranges lie inside the matrix, hence inside its slice.
        unsafe {
            pack_panel(
                self.column_stride,
                self.row_stride,
                self.at(depth.start, columns.start),
                columns.len(),
                depth.len(),
                width,
                dst,
            )
        }
    }
}

/// `dst[k · width + i] = src[i · stride + k · depth_stride]` for `i < count`, zero from there to `width`.
///
/// # Safety
/// Those elements of `src` exist and `dst` holds `depth · width`.
unsafe fn pack_panel<T: Real>(
    stride: usize,
    depth_stride: usize,
    src: *const T,
    count: usize,
    depth: usize,
    width: usize,
    dst: *mut T,
) {
    let table = T::kernel_table();
    // SAFETY: the kernels read and write what the caller vouches for.
    unsafe {
        if stride == 1 || count == 1 {
            (table.pack_rows)(src, depth_stride, count, depth, dst, width, width)
        } else if depth_stride == 1 {
            (table.pack_transposed)(src, stride, count, depth, dst, width, width)
        } else {
            for k in 0..depth {
                for i in 0..width {
                    *dst.add(k * width + i) = if i < count {
                        *src.add(i * stride + k * depth_stride)
                    } else {
                        T::ZERO
                    };
                }
            }
        }
    }
}
