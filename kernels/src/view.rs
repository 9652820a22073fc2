//! Strided operands: [`View`], the merging of dimensions, and walks over what remains.
//!
//! Strides are counted in elements and never negative; a stride of 0 repeats an element (broadcasting). A kernel
//! merges an operand's dimensions ([`Nest`]), so that most operands become one or two loops whatever their rank.

use smallvec::SmallVec;

use crate::element::Pod;

/// A read-only strided operand. `data` starts at the first element.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    /// The memory, from the first element on; it may reach further than the view.
    pub data: &'a [T],
    /// The length of each dimension.
    pub shape: &'a [usize],
    /// The distance in elements between neighbours along each dimension.
    pub strides: &'a [usize],
}

impl<'a, T: Pod> View<'a, T> {
    /// The number of elements.
    #[inline]
    pub fn numel(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the elements lie one after the other in row-major order.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        for (&len, &stride) in self.shape.iter().zip(self.strides).rev() {
            if len != 1 {
                if stride != expected {
                    return len == 0 || self.shape.contains(&0);
                }
                expected *= len;
            }
        }
        true
    }

    /// The elements in order, if they are contiguous.
    #[inline]
    pub fn as_slice(&self) -> Option<&'a [T]> {
        self.is_contiguous().then(|| &self.data[..self.numel()])
    }

    /// The elements in order, copied if they are not contiguous.
    pub fn to_contiguous(&self) -> std::borrow::Cow<'a, [T]> {
        match self.as_slice() {
            Some(slice) => slice.into(),
            None => {
                let mut out = vec![T::default(); self.numel()];
                crate::copy::gather_strided(*self, &mut out);
                out.into()
            }
        }
    }

    /// One more than the greatest index that the view reads; 0 for an empty view.
    pub fn extent(&self) -> usize {
        extent(self.shape, self.strides)
    }
}

/// One more than the greatest offset reached by a shape with strides; 0 when there are no elements.
pub fn extent(shape: &[usize], strides: &[usize]) -> usize {
    if shape.contains(&0) {
        return 0;
    }
    1 + shape
        .iter()
        .zip(strides)
        .map(|(&len, &stride)| (len - 1) * stride)
        .sum::<usize>()
}

/// A dimension of several operands walked together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dim<const N: usize> {
    /// The number of steps.
    pub len: usize,
    /// Each operand's distance per step.
    pub strides: [usize; N],
}

/// Nested loops over `N` operands, outermost first, with dimensions of length 1 dropped and neighbours merged where
/// that is possible for all operands. There is always at least one dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nest<const N: usize> {
    /// The loops.
    pub dims: SmallVec<[Dim<N>; 4]>,
}

impl<const N: usize> Nest<N> {
    /// The loops over `shape`, in its order.
    pub fn new(shape: &[usize], strides: [&[usize]; N]) -> Self {
        Self::from_dims((0..shape.len()).map(|d| Dim {
            len: shape[d],
            strides: strides.map(|s| s[d]),
        }))
    }

    /// The loops over given dimensions, in their order.
    pub fn from_dims(given: impl Iterator<Item = Dim<N>>) -> Self {
        let mut dims: SmallVec<[Dim<N>; 4]> = SmallVec::new();
        for dim in given {
            if dim.len == 1 {
                continue;
            }
            match dims.last_mut() {
                Some(outer) if (0..N).all(|i| outer.strides[i] == dim.strides[i] * dim.len) => {
                    *outer = Dim {
                        len: outer.len * dim.len,
                        strides: dim.strides,
                    }
                }
                _ => dims.push(dim),
            }
        }
        if dims.is_empty() {
            dims.push(Dim {
                len: 1,
                strides: [1; N],
            });
        }
        Nest { dims }
    }

    /// The number of elements.
    pub fn numel(&self) -> usize {
        self.dims.iter().map(|d| d.len).product()
    }

    /// The innermost loop.
    pub fn inner(&self) -> Dim<N> {
        self.dims[self.dims.len() - 1]
    }

    /// The number of runs of the innermost loop.
    pub fn rows(&self) -> usize {
        self.dims[..self.dims.len() - 1].iter().map(|d| d.len).product()
    }

    /// The operands' offsets at the start of the given row.
    pub fn row(&self, row: usize) -> [usize; N] {
        let mut rest = row;
        let mut offsets = [0; N];
        for dim in self.dims[..self.dims.len() - 1].iter().rev() {
            let i = rest % dim.len;
            rest /= dim.len;
            for (offset, stride) in offsets.iter_mut().zip(dim.strides) {
                *offset += i * stride;
            }
        }
        offsets
    }

    /// Calls `f(row, offsets)` for each row of the range, in order; `offsets` are those of the row's start.
    #[inline]
    pub fn for_rows(&self, rows: std::ops::Range<usize>, mut f: impl FnMut(usize, [usize; N])) {
        if rows.is_empty() {
            return;
        }
        let outer = &self.dims[..self.dims.len() - 1];
        let mut index: SmallVec<[usize; 4]> = SmallVec::from_elem(0, outer.len());
        let mut rest = rows.start;
        for (i, dim) in index.iter_mut().zip(outer).rev() {
            *i = rest % dim.len;
            rest /= dim.len;
        }
        let mut offsets = self.row(rows.start);
        for row in rows {
            f(row, offsets);
            for (i, dim) in index.iter_mut().zip(outer).rev() {
                *i += 1;
                if *i < dim.len {
                    for (offset, stride) in offsets.iter_mut().zip(dim.strides) {
                        *offset += stride;
                    }
                    break;
                }
                *i = 0;
                for (offset, stride) in offsets.iter_mut().zip(dim.strides) {
                    *offset -= (dim.len - 1) * stride;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_merge_where_every_operand_allows() {
        let both = Nest::new(&[2, 3, 1, 4], [&[12, 4, 4, 1], &[12, 4, 9, 1]]);
        assert_eq!(
            both.dims.as_slice(),
            [Dim {
                len: 24,
                strides: [1, 1]
            }]
        );
        let row = Nest::new(&[2, 3, 4], [&[12, 4, 1], &[0, 0, 1]]);
        assert_eq!(
            row.dims.as_slice(),
            [
                Dim {
                    len: 6,
                    strides: [4, 0]
                },
                Dim {
                    len: 4,
                    strides: [1, 1]
                }
            ]
        );
        assert_eq!(
            Nest::new(&[], [&[], &[]]).dims.as_slice(),
            [Dim {
                len: 1,
                strides: [1, 1]
            }]
        );
    }

    #[test]
    fn rows_are_walked_in_order() {
        let nest = Nest::new(&[2, 3, 4], [&[1, 2, 6]]);
        let mut seen = vec![];
        nest.for_rows(0..nest.rows(), |_, [o]| seen.push(o));
        assert_eq!(seen, [0, 2, 4, 1, 3, 5]);
        for (row, &offset) in seen.iter().enumerate() {
            assert_eq!(nest.row(row), [offset]);
        }
        let mut tail = vec![];
        nest.for_rows(2..5, |row, [o]| tail.push((row, o)));
        assert_eq!(tail, [(2, 4), (3, 1), (4, 3)]);
    }

    #[test]
    fn contiguity() {
        let data = [0.0f32; 24];
        let view = |shape, strides| View {
            data: &data,
            shape,
            strides,
        };
        assert!(view(&[2, 3], &[3, 1]).is_contiguous());
        assert!(view(&[2, 1, 3], &[3, 77, 1]).is_contiguous());
        assert!(view(&[0, 3], &[9, 9]).is_contiguous());
        assert!(view(&[], &[]).is_contiguous());
        assert!(!view(&[2, 3], &[1, 2]).is_contiguous());
        assert_eq!(view(&[2, 3], &[1, 2]).extent(), 6);
    }
}
