//! Where the elements of a product lie.

use std::ops::Range;

use crate::pool::SendPtr;
use crate::simd::Real;

/// Where C goes. A convolution's columns run over all images, so that they come in segments of one image each.
#[derive(Clone, Copy)]
pub(crate) struct Output<T> {
    pub(crate) c: SendPtr<T>,
    pub(crate) ldc: usize,
    /// Columns per segment, and the distance from one segment's start to the next one's.
    pub(crate) segment: Option<(usize, usize)>,
}

impl<T: Real> Output<T> {
    /// Where a tile starts, if its columns lie in one segment.
    pub(super) fn offset(&self, row: usize, columns: Range<usize>) -> Option<usize> {
        let Some((len, stride)) = self.segment else {
            return Some(row * self.ldc + columns.start);
        };
        let (segment, column) = (columns.start / len, columns.start % len);
        (column + columns.len() <= len).then(|| segment * stride + row * self.ldc + column)
    }

    /// Calls `f(column, offset, len)` for the pieces of a row that lie in one segment each.
    pub(super) fn segments(&self, row: usize, columns: Range<usize>, mut f: impl FnMut(usize, usize, usize)) {
        let (len, stride) = self.segment.unwrap_or((usize::MAX, 0));
        let mut column = columns.start;
        while column < columns.end {
            let (segment, start) = (column / len, column % len);
            let count = (len - start).min(columns.end - column);
            f(column, segment * stride + row * self.ldc + start, count);
            column += count;
        }
    }

    /// Calls `f(column, offset, elements)` for the same pieces.
    ///
    /// # Safety
    /// The row and the columns lie inside C, and nobody else accesses these elements.
    pub(super) unsafe fn for_each_segment(
        &self,
        row: usize,
        columns: Range<usize>,
        mut f: impl FnMut(usize, usize, &mut [T]),
    ) {
        self.segments(row, columns, |column, offset, len| {
            // SAFETY: as the caller vouches.
            f(column, offset, unsafe {
                std::slice::from_raw_parts_mut(self.c.ptr().add(offset), len)
            })
        });
    }
}
