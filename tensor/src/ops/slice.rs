//! Ranges of one dimension: `slice` with a step, `narrow`, `select`, and writing to them beside the tensor.

use crate::ops::view::StridedOp;
use crate::shape::resolve_dim;
use crate::{Result, Tensor, ensure};

/// Elements of one dimension: `start, start + step, …`, `len` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: usize,
    pub(crate) step: usize,
    pub(crate) len: usize,
}

/// A Python slice of a dimension of `size`: negative bounds count from the end and bounds outside are cut off.
pub(crate) fn python_range(
    op: &str,
    size: usize,
    start: Option<isize>,
    end: Option<isize>,
    step: isize,
) -> Result<Range> {
    ensure!(step > 0, Value, "{op}: step must be positive, got {step}");
    let bound = |given: Option<isize>, default: usize| match given {
        None => default,
        Some(i) if i < 0 => size.saturating_sub(i.unsigned_abs()),
        Some(i) => size.min(i as usize),
    };
    let (start, end) = (bound(start, 0), bound(end, size));
    Ok(Range {
        start,
        step: step as usize,
        len: end.saturating_sub(start).div_ceil(step as usize),
    })
}

/// An index of a dimension of `size`, negative ones counted from the end.
pub(crate) fn python_index(op: &str, index: isize, dim: usize, size: usize) -> Result<usize> {
    let n = size as isize;
    ensure!(
        (-n..n).contains(&index),
        Index,
        "{op}: index {index} is out of range for dimension {dim} of size {size}"
    );
    Ok(if index < 0 { index + n } else { index } as usize)
}

impl Tensor {
    /// The dimension and its size, of a tensor that has dimensions.
    pub(crate) fn sized_dim(&self, op: &str, dim: isize) -> Result<(usize, usize)> {
        ensure!(
            self.rank() > 0,
            Dim,
            "{op}: expected at least one dimension, got a 0-d tensor"
        );
        let d = resolve_dim(op, dim, self.rank())?;
        Ok((d, self.shape()[d]))
    }

    /// The elements `start..end` of one dimension, every `step`-th of them, as Python slices: negative bounds count from
    /// the end and bounds outside are cut off. Shares memory.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` if `step` is not positive.
    pub fn slice(&self, dim: isize, start: Option<isize>, end: Option<isize>, step: isize) -> Result<Tensor> {
        let (d, size) = self.sized_dim("slice", dim)?;
        let r = python_range("slice", size, start, end, step)?;
        self.view_with("slice", |layout| layout.slice(d, r.start, r.step, r.len))
    }

    /// The `length` elements from `start` on of one dimension. Shares memory.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Index` if the range leaves it.
    pub fn narrow(&self, dim: isize, start: isize, length: usize) -> Result<Tensor> {
        let (d, size) = self.sized_dim("narrow", dim)?;
        let first = if start < 0 { start + size as isize } else { start };
        let inside = first >= 0 && first as usize <= size && length <= size - first as usize;
        ensure!(
            inside,
            Index,
            "narrow: {length} elements from {start} on leave dimension {dim} of size {size}"
        );
        self.view_with("narrow", |layout| layout.slice(d, first as usize, 1, length))
    }

    /// One index of a dimension, which is removed. Shares memory.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Index` if the index is outside.
    pub fn select(&self, dim: isize, index: isize) -> Result<Tensor> {
        let (d, size) = self.sized_dim("select", dim)?;
        let index = python_index("select", index, d, size)?;
        self.view_with("select", |layout| layout.select(d, index))
    }

    /// This tensor with `source` in the place of a slice (`torch.slice_scatter`).
    ///
    /// # Errors
    /// As [`Tensor::slice`]; `Shape` if the source has not the slice's shape.
    pub fn slice_scatter(
        &self,
        source: &Tensor,
        dim: isize,
        start: Option<isize>,
        end: Option<isize>,
        step: isize,
    ) -> Result<Tensor> {
        let (d, size) = self.sized_dim("slice_scatter", dim)?;
        let r = python_range("slice_scatter", size, start, end, step)?;
        let op = StridedOp::new("slice_scatter", self.shape(), |layout| {
            layout.slice(d, r.start, r.step, r.len)
        });
        self.strided_scatter(&op, source)
    }

    /// This tensor with `source` at one index of a dimension (`torch.select_scatter`).
    ///
    /// # Errors
    /// As [`Tensor::select`]; `Shape` if the source has not the selection's shape.
    pub fn select_scatter(&self, source: &Tensor, dim: isize, index: isize) -> Result<Tensor> {
        let (d, size) = self.sized_dim("select_scatter", dim)?;
        let index = python_index("select_scatter", index, d, size)?;
        let op = StridedOp::new("select_scatter", self.shape(), |layout| layout.select(d, index));
        self.strided_scatter(&op, source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_follow_python() {
        let x = Tensor::from_slice(&(0..10).collect::<Vec<i64>>(), 10).unwrap();
        let get = |start, end, step| x.slice(0, start, end, step).unwrap().to_vec::<i64>().unwrap();
        assert_eq!(get(Some(1), Some(8), 3), [1, 4, 7]);
        assert_eq!(get(Some(-3), None, 1), [7, 8, 9]);
        assert_eq!(get(Some(5), Some(2), 1), [0i64; 0]);
        assert_eq!(get(None, Some(100), 4), [0, 4, 8]);
        assert_eq!(x.select(0, -1).unwrap().item::<i64>().unwrap(), 9);
        assert!(x.select(0, 10).unwrap_err().to_string().contains("index 10"));
        assert!(x.narrow(0, 8, 3).is_err());
    }

    #[test]
    fn sources_take_the_place_of_slices() {
        let x = Tensor::new([[1i64, 2, 3], [4, 5, 6]]).unwrap();
        let source = Tensor::new([[7i64, 8], [9, 10]]).unwrap();
        let y = x.slice_scatter(&source, 1, None, None, 2).unwrap();
        assert_eq!(y.to_vec::<i64>().unwrap(), [7, 2, 8, 9, 5, 10]);
        let row = Tensor::new([0i64, 0, 0]).unwrap();
        assert_eq!(
            x.select_scatter(&row, 0, -1).unwrap().to_vec::<i64>().unwrap(),
            [1, 2, 3, 0, 0, 0]
        );
        assert!(x.select_scatter(&row, 1, 0).is_err());
        let empty = Tensor::zeros((3, 0), crate::DType::F32).unwrap();
        assert_eq!(empty.select(0, 2).unwrap().shape(), [0]);
        assert!(empty.select(0, 2).unwrap().to_vec::<f32>().unwrap().is_empty());
    }
}
