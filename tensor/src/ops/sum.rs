//! Sums and means over dimensions, and the reverse of broadcasting.

use flambeau_kernels::reduce::{Reduce, ReduceInt};

use super::reduce::{DimList, all_dims, finish, kept_shape};
use crate::graph::{Op, Saved, record};
use crate::shape::resolve_dims;
use crate::value::Value;
use crate::{Dims, IntoShape, Result, Shape, Tensor, ensure};

/// A recorded sum.
#[derive(Clone, Debug)]
pub struct SumOp {
    /// The dimensions that were summed over, from the front.
    pub dims: DimList,
}

impl SumOp {
    /// The shape of the sum of a tensor of `shape` with the summed dimensions kept as size 1.
    pub fn kept_shape(&self, shape: &[usize]) -> Shape {
        kept_shape(shape, &self.dims)
    }
}

/// A recorded mean.
#[derive(Clone, Debug)]
pub struct MeanOp {
    /// The dimensions that were averaged over.
    pub dims: DimList,
}

impl Value {
    /// The sum over `dims`, kept as size 1. Integers and bools are summed as `int64`.
    pub(crate) fn summed(&self, dims: &[usize]) -> Result<Value> {
        if self.dtype.is_float() {
            self.reduced("sum", Reduce::Sum, dims)
        } else {
            self.reduced_integers("sum", ReduceInt::Sum, dims)
        }
    }
}

impl Tensor {
    /// The sum of all elements, as a 0-d tensor. Integers and bools are summed as `int64`.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn sum(&self) -> Result<Tensor> {
        self.sum_over(all_dims(self.rank()), false)
    }

    /// The sum over the given dimensions, which are removed or, with `keepdim`, kept with size 1.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn sum_dim(&self, dims: impl Dims, keepdim: bool) -> Result<Tensor> {
        self.sum_over(resolve_dims("sum", &dims.to_dims(), self.rank())?, keepdim)
    }

    fn sum_over(&self, dims: DimList, keepdim: bool) -> Result<Tensor> {
        let x = self.read();
        let value = finish(x.value.summed(&dims)?, &dims, keepdim);
        Ok(record(value, &[&x], |_| Op::Sum(SumOp { dims })))
    }

    /// The mean of all elements, as a 0-d tensor; NaN if there are none.
    ///
    /// # Errors
    /// `DType` for integers: cast them first.
    pub fn mean(&self) -> Result<Tensor> {
        self.mean_over(all_dims(self.rank()), false)
    }

    /// The mean over the given dimensions, which are removed or, with `keepdim`, kept with size 1.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `DType` for integers: cast them first.
    pub fn mean_dim(&self, dims: impl Dims, keepdim: bool) -> Result<Tensor> {
        self.mean_over(resolve_dims("mean", &dims.to_dims(), self.rank())?, keepdim)
    }

    fn mean_over(&self, dims: DimList, keepdim: bool) -> Result<Tensor> {
        let x = self.read();
        let value = finish(x.value.reduced("mean", Reduce::Mean, &dims)?, &dims, keepdim);
        Ok(record_mean(value, &x, dims))
    }

    /// The sum over the given dimensions without the NaNs. Integers and bools are summed as `int64`.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn nansum(&self, dims: impl Dims, keepdim: bool) -> Result<Tensor> {
        if !self.dtype().is_float() {
            return self.sum_dim(dims, keepdim);
        }
        if self.is_tracked() {
            return self.masked_fill(&self.isnan()?, 0.0)?.sum_dim(dims, keepdim);
        }
        let dims = resolve_dims("nansum", &dims.to_dims(), self.rank())?;
        let kept = self.value().reduced("nansum", Reduce::NanSum, &dims)?;
        Ok(Tensor::from_value(finish(kept, &dims, keepdim)))
    }

    /// The mean over the given dimensions without the NaNs; NaN where there is nothing else.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `DType` for integers: cast them first.
    pub fn nanmean(&self, dims: impl Dims, keepdim: bool) -> Result<Tensor> {
        let dtype = self.dtype();
        ensure!(
            dtype.is_float(),
            DType,
            "nanmean: expected a floating point tensor, got {dtype}"
        );
        let dims = dims.to_dims();
        let numbers = self.isnan()?.logical_not()?.sum_dim(&dims[..], keepdim)?;
        self.nansum(&dims[..], keepdim)?.div(&numbers)
    }

    /// The sum over the dimensions to which `shape` was broadcast to give this tensor's shape: the gradient of
    /// broadcasting.
    ///
    /// # Errors
    /// `Broadcast` if `shape` does not broadcast to this tensor's shape.
    pub fn sum_to_size(&self, shape: impl IntoShape) -> Result<Tensor> {
        let shape = shape.into_shape();
        let own = self.shape();
        if shape.is_empty() {
            return self.sum();
        }
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

/// Records a mean of `x` that has been computed.
pub(crate) fn record_mean(value: Value, x: &Saved, dims: DimList) -> Tensor {
    record(value, &[x], |_| Op::Mean(MeanOp { dims }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn sums_and_means() {
        let x = Tensor::new([[1.0f32, 2.0, f32::NAN], [4.0, 5.0, 6.0]]).unwrap();
        assert_eq!(x.nansum(1, false).unwrap().to_vec::<f32>().unwrap(), [3.0, 15.0]);
        assert_eq!(x.nanmean(1, true).unwrap().to_vec::<f32>().unwrap(), [1.5, 5.0]);
        assert_eq!(x.mean_dim(1, false).unwrap().to_vec::<f32>().unwrap()[1], 5.0);
        let flags = Tensor::new([true, true]).unwrap().sum().unwrap();
        assert_eq!((flags.dtype(), flags.item::<i64>().unwrap()), (DType::I64, 2));
        assert!(
            Tensor::zeros(0, DType::F32)
                .unwrap()
                .mean()
                .unwrap()
                .item::<f32>()
                .unwrap()
                .is_nan()
        );
        assert!(Tensor::new([1i64]).unwrap().mean().is_err());
    }
}
