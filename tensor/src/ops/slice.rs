//! Ranges of one dimension: `slice` with a step, `narrow`, `select`, and the transpose of `slice`.

use crate::graph::{Op, record};
use crate::shape::resolve_dim;
use crate::value::Value;
use crate::{Result, Shape, Tensor, ensure, with_stored};

/// A recorded slice: the elements `start, start + step, …` (`len` of them) of dimension `dim`, which has `size`.
#[derive(Clone, Debug)]
pub struct SliceOp {
    /// The dimension.
    pub dim: usize,
    /// The first index taken.
    pub start: usize,
    /// The distance of indices taken.
    pub step: usize,
    /// How many are taken.
    pub len: usize,
    /// The size of the dimension that is sliced.
    pub size: usize,
}

impl Value {
    /// The view of a slice. The caller has checked that it lies inside.
    pub(crate) fn sliced(&self, op: &SliceOp) -> Value {
        let (mut shape, mut strides) = (self.shape.clone(), self.strides.clone());
        shape[op.dim] = op.len;
        strides[op.dim] *= op.step;
        let offset = if op.len == 0 {
            self.offset
        } else {
            self.offset + op.start * self.strides[op.dim]
        };
        self.with_layout(shape, strides, offset)
    }
}

impl Tensor {
    /// The elements `start..end` of one dimension, every `step`-th of them, as Python slices: negative bounds count from
    /// the end and bounds outside are cut off.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` if `step` is not positive.
    pub fn slice(&self, dim: isize, start: Option<isize>, end: Option<isize>, step: isize) -> Result<Tensor> {
        ensure!(self.rank() > 0, Dim, "slice: a 0-d tensor can't be sliced");
        ensure!(step > 0, Value, "slice: step must be positive, got {step}");
        let d = resolve_dim("slice", dim, self.rank())?;
        let size = self.shape()[d];
        let bound = |given: Option<isize>, default: usize| match given {
            None => default,
            Some(i) if i < 0 => size.saturating_sub(i.unsigned_abs()),
            Some(i) => size.min(i as usize),
        };
        let (start, end) = (bound(start, 0), bound(end, size));
        let len = end.saturating_sub(start).div_ceil(step as usize);
        self.slice_with(SliceOp {
            dim: d,
            start,
            step: step as usize,
            len,
            size,
        })
    }

    /// The `length` elements from `start` on of one dimension.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Index` if the range leaves it.
    pub fn narrow(&self, dim: isize, start: isize, length: usize) -> Result<Tensor> {
        ensure!(self.rank() > 0, Dim, "narrow: a 0-d tensor can't be narrowed");
        let d = resolve_dim("narrow", dim, self.rank())?;
        let size = self.shape()[d];
        let first = if start < 0 { start + size as isize } else { start };
        let inside = first >= 0 && first as usize <= size && length <= size - first as usize;
        ensure!(
            inside,
            Index,
            "narrow: {length} elements from {start} on leave dimension {dim} of size {size}"
        );
        self.slice_with(SliceOp {
            dim: d,
            start: first as usize,
            step: 1,
            len: length,
            size,
        })
    }

    /// One index of a dimension, which is removed.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Index` if the index is outside.
    pub fn select(&self, dim: isize, index: isize) -> Result<Tensor> {
        ensure!(
            self.rank() > 0,
            Dim,
            "select: a 0-d tensor has no dimension to select from"
        );
        let d = resolve_dim("select", dim, self.rank())?;
        let size = self.shape()[d] as isize;
        let inside = (-size..size).contains(&index);
        ensure!(
            inside,
            Index,
            "select: index {index} is out of range for dimension {dim} of size {size}"
        );
        self.narrow(d as isize, index, 1)?.squeeze_dim(d as isize)
    }

    /// The slice that `op` describes: what [`Tensor::slice`] records, and the gradient of [`Tensor::slice_backward`].
    ///
    /// # Errors
    /// `Shape` if this tensor's dimension `op.dim` has another size than `op.size`.
    pub fn slice_of(&self, op: &SliceOp) -> Result<Tensor> {
        let size = self.shape().get(op.dim).copied();
        ensure!(
            size == Some(op.size),
            Shape,
            "slice: expected size {} in dimension {}, got {size:?}",
            op.size,
            op.dim
        );
        self.slice_with(op.clone())
    }

    fn slice_with(&self, op: SliceOp) -> Result<Tensor> {
        let x = self.read();
        let value = x.value.sliced(&op);
        Ok(record(value, &[&x], |_| Op::Slice(op)))
    }

    /// Zeros of size `op.size` in dimension `op.dim`, with this tensor in the place of the slice: the gradient of `slice`.
    ///
    /// # Errors
    /// None for the slice that made this tensor's shape.
    pub fn slice_backward(&self, op: &SliceOp) -> Result<Tensor> {
        let x = self.read();
        let mut shape: Shape = x.value.shape.clone();
        shape[op.dim] = op.size;
        let source = x.value.contiguous()?;
        let value = with_stored!(x.value.dtype, T => {
            let data = source.data::<T>()?;
            let mut buf = flambeau_kernels::mem::Buf::<T>::zeroed(shape.numel());
            let (outer, size, inner) = shape.around(op.dim);
            for o in 0..outer {
                for i in 0..op.len {
                    let to = (o * size + op.start + i * op.step) * inner;
                    let from = (o * op.len + i) * inner;
                    buf[to..to + inner].copy_from_slice(&data[from..from + inner]);
                }
            }
            Value::new(buf, x.value.dtype, shape)
        });
        Ok(record(value, &[&x], |_| Op::SliceBackward(op.clone())))
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
}
