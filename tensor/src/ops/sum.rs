//! Sums over dimensions, and the reverse of broadcasting.

use flambeau_kernels::reduce::{Reduce, ReduceInt, reduce, reduce_int};
use smallvec::SmallVec;

use crate::graph::{Op, record};
use crate::shape::resolve_dims;
use crate::value::Value;
use crate::{DType, Dims, IntoShape, Result, Shape, Tensor, ensure, with_float, with_integer};

/// A recorded sum.
#[derive(Clone, Debug)]
pub struct SumOp {
    /// The dimensions that were summed over, from the front.
    pub dims: SmallVec<[usize; 6]>,
}

impl SumOp {
    /// The shape of the sum of a tensor of `shape` with the summed dimensions kept as size 1.
    pub fn kept_shape(&self, shape: &[usize]) -> Shape {
        shape
            .iter()
            .enumerate()
            .map(|(d, &size)| if self.dims.contains(&d) { 1 } else { size })
            .collect()
    }
}

impl Value {
    /// The sum over `dims`, kept as size 1. Integers and bools are summed as `int64`.
    pub(crate) fn summed(&self, dims: &[usize]) -> Result<Value> {
        if self.dtype.is_half() {
            return self.cast(DType::F32)?.summed(dims)?.cast(self.dtype);
        }
        let reduced: SmallVec<[bool; 6]> = (0..self.shape.len()).map(|d| dims.contains(&d)).collect();
        let shape = SumOp { dims: dims.into() }.kept_shape(&self.shape);
        if self.dtype.is_float() {
            return with_float!("sum", self.dtype, T => {
                let x = self.view::<T>()?;
                Ok(Value::build::<T>(self.dtype, shape, |out| reduce(Reduce::Sum, x, &reduced, out)))
            });
        }
        with_integer!("sum", self.stored_dtype(), T => {
            let x = self.view::<T>()?;
            Ok(Value::build::<i64>(DType::I64, shape, |out| reduce_int(ReduceInt::Sum, x, &reduced, out)))
        })
    }
}

impl Tensor {
    /// The sum of all elements, as a 0-d tensor. Integers and bools are summed as `int64`.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn sum(&self) -> Result<Tensor> {
        let dims: Vec<isize> = (0..self.rank() as isize).collect();
        self.sum_dim(dims, false)
    }

    /// The sum over the given dimensions, which are removed or, with `keepdim`, kept with size 1.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn sum_dim(&self, dims: impl Dims, keepdim: bool) -> Result<Tensor> {
        let dims: SmallVec<[usize; 6]> = resolve_dims("sum", &dims.to_dims(), self.rank())?;
        let x = self.read();
        let kept = x.value.summed(&dims)?;
        let value = if keepdim { kept } else { remove_dims(kept, &dims)? };
        Ok(record(value, &[&x], |_| Op::Sum(SumOp { dims })))
    }

    /// The sum over the dimensions to which `shape` was broadcast to give this tensor's shape: the gradient of
    /// broadcasting.
    ///
    /// # Errors
    /// `Broadcast` if `shape` does not broadcast to this tensor's shape.
    pub fn sum_to_size(&self, shape: impl IntoShape) -> Result<Tensor> {
        let shape = shape.into_shape();
        let own = self.shape();
        if own == &shape[..] {
            return Ok(self.clone());
        }
        let fits = shape.len() <= own.len()
            && own
                .iter()
                .rev()
                .zip(shape.iter().rev())
                .all(|(&have, &want)| have == want || want == 1);
        ensure!(
            fits,
            Broadcast,
            "sum_to_size: {shape:?} does not broadcast to {own:?}"
        );
        let lead = own.len() - shape.len();
        let summed = |d: usize| d < lead || (shape[d - lead] == 1 && own[d] != 1);
        let dims: Vec<isize> = (0..own.len())
            .filter(|&d| summed(d))
            .map(|d| d as isize)
            .collect();
        self.sum_dim(dims, true)?.reshape(shape)
    }
}

/// The value without dimensions that have size 1.
pub(crate) fn remove_dims(value: Value, dims: &[usize]) -> Result<Value> {
    let keep = |d: &usize| !dims.contains(d);
    let shape = (0..value.shape.len())
        .filter(keep)
        .map(|d| value.shape[d])
        .collect();
    let strides = (0..value.shape.len())
        .filter(keep)
        .map(|d| value.strides[d])
        .collect();
    Ok(value.with_layout(shape, strides, value.offset))
}
