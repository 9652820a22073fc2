//! Packing: the operands of a matrix product, rearranged into the panels that the micro-kernels read.
//!
//! Whatever can fill panels can be an operand, so a convolution is a product whose B is the unfolded image and never
//! exists as a whole. Panels are filled several at a time, because neighbours read the same cache lines.

use std::ops::Range;

use super::MatRef;
use super::kernel::{LINE, STEPS};
use crate::simd::Real;

/// A left operand.
pub(crate) trait PackA<T: Real>: Sync {
    /// Fills the panels of rows `cuts[p]..cuts[p + 1]`, for columns `depth`: row i, column k of a panel of height h at
    /// `dst[(cuts[p] - cuts[0]) · depth.len() + k · h + i]`.
    ///
    /// # Safety
    /// The ranges lie inside the operand and `dst` holds the panels.
    unsafe fn pack(&self, cuts: &[usize], depth: Range<usize>, dst: *mut T);
}

/// Cache lines: `count` of them with `stride` elements from one to the next, and `runs` times so, each time one line further.
#[derive(Clone, Copy)]
pub(crate) struct Lines<T> {
    pub(super) from: *const T,
    pub(super) count: usize,
    pub(super) stride: usize,
    pub(super) runs: usize,
}

/// A right operand.
pub(crate) trait PackB<T: Real>: Sync {
    /// Fills the panels of `width` columns each that cover `columns`, for rows `depth`: row k, column j of panel q at
    /// `dst[(q · depth.len() + k) · width + j]`, zero beyond the last column.
    ///
    /// # Safety
    /// The ranges lie inside the operand and `dst` holds the panels.
    unsafe fn pack(&self, depth: Range<usize>, columns: Range<usize>, width: usize, dst: *mut T);

    /// Where that lies which `pack` will read, if there is a way to ask for it before.
    fn lines(&self, _depth: Range<usize>, _columns: Range<usize>) -> Option<Lines<T>> {
        None
    }

    /// The same, past the caches where the operand has a way to.
    ///
    /// # Safety
    /// As for `pack`; `dst` is aligned to a cache line, and a [`fence`](crate::simd::fence) follows.
    unsafe fn pack_past(&self, depth: Range<usize>, columns: Range<usize>, width: usize, dst: *mut T) {
        // SAFETY: as the caller vouches.
        unsafe { self.pack(depth, columns, width, dst) }
    }
}

impl<T: Real> PackA<T> for MatRef<'_, T> {
    unsafe fn pack(&self, cuts: &[usize], depth: Range<usize>, dst: *mut T) {
        let step = if self.row_stride == 1 {
            STEPS
        } else {
            depth.len().max(1)
        };
        for k in depth.clone().step_by(step) {
            let count = step.min(depth.end - k);
            for panel in cuts.windows(2) {
                let height = panel[1] - panel[0];
                let offset = (panel[0] - cuts[0]) * depth.len() + (k - depth.start) * height;
                // SAFETY: the ranges lie inside the matrix, hence inside its slice, and the panel inside `dst`.
                unsafe {
                    let (src, dst) = (self.at(panel[0], k), dst.add(offset));
                    pack_panel::<T, false>(
                        self.row_stride,
                        self.column_stride,
                        src,
                        height,
                        count,
                        height,
                        dst,
                    );
                }
            }
        }
    }
}

impl<T: Real> PackB<T> for MatRef<'_, T> {
    unsafe fn pack(&self, depth: Range<usize>, columns: Range<usize>, width: usize, dst: *mut T) {
        // SAFETY: as the caller vouches.
        unsafe { self.pack_columns::<false>(depth, columns, width, dst) }
    }

    fn lines(&self, depth: Range<usize>, columns: Range<usize>) -> Option<Lines<T>> {
        let runs = |len: usize| (len * size_of::<T>()).div_ceil(LINE);
        let (count, stride, runs) = if self.column_stride == 1 {
            (depth.len(), self.row_stride, runs(columns.len()))
        } else if self.row_stride == 1 {
            (columns.len(), self.column_stride, runs(depth.len()))
        } else {
            return None;
        };
        Some(Lines {
            from: self.at(depth.start, columns.start),
            count,
            stride,
            runs,
        })
    }

    unsafe fn pack_past(&self, depth: Range<usize>, columns: Range<usize>, width: usize, dst: *mut T) {
        // SAFETY: as the caller vouches.
        unsafe { self.pack_columns::<true>(depth, columns, width, dst) }
    }
}

impl<T: Real> MatRef<'_, T> {
    /// [`PackB::pack`] or [`PackB::pack_past`].
    ///
    /// # Safety
    /// As there.
    unsafe fn pack_columns<const PAST: bool>(
        &self,
        depth: Range<usize>,
        columns: Range<usize>,
        width: usize,
        dst: *mut T,
    ) {
        let step = if self.column_stride == 1 && columns.len() > width {
            STEPS
        } else {
            depth.len().max(1)
        };
        for k in depth.clone().step_by(step) {
            let count = step.min(depth.end - k);
            for (q, column) in columns.clone().step_by(width).enumerate() {
                let present = width.min(columns.end - column);
                // SAFETY: the ranges lie inside the matrix, hence inside its slice, and the panel inside `dst`.
                unsafe {
                    let dst = dst.add((q * depth.len() + k - depth.start) * width);
                    pack_panel::<T, PAST>(
                        self.column_stride,
                        self.row_stride,
                        self.at(k, column),
                        present,
                        count,
                        width,
                        dst,
                    );
                }
            }
        }
    }
}

/// `dst[k · width + i] = src[i · stride + k · depth_stride]` for `i < count`, zero from there to `width`.
///
/// # Safety
/// Those elements of `src` exist and `dst` holds `depth · width`. PAST, it is aligned to a cache line and a fence follows.
unsafe fn pack_panel<T: Real, const PAST: bool>(
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
            let pack = if PAST {
                table.pack_rows_past
            } else {
                table.pack_rows
            };
            pack(src, depth_stride, count, depth, dst, width, width)
        } else if depth_stride == 1 {
            (table.pack_transposed_ahead)(src, stride, count, depth, dst, width, width)
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
