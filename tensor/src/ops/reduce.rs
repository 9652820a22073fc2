//! What reductions over dimensions share, and those that are neither sums nor extremes: `prod`, `logsumexp`, `any`,
//! `all`, `count_nonzero`.

use flambeau_kernels::reduce::{self, Reduce, ReduceInt};
use smallvec::SmallVec;

use crate::amp::under_autocast;
use crate::graph::{Op, Saved, record};
use crate::shape::resolve_dims;
use crate::value::Value;
use crate::{DType, Dims, Result, Shape, Tensor, with_float, with_integer, with_stored};

/// A set of dimensions, from the front.
pub type DimList = SmallVec<[usize; 6]>;

/// Every dimension of a tensor with `rank` of them.
pub(crate) fn all_dims(rank: usize) -> DimList {
    (0..rank).collect()
}

/// `shape` with the dimensions of `dims` set to 1.
pub fn kept_shape(shape: &[usize], dims: &[usize]) -> Shape {
    let size = |(d, &size): (usize, &usize)| if dims.contains(&d) { 1 } else { size };
    shape.iter().enumerate().map(size).collect()
}

/// The number of elements that meet in one result.
pub fn reduced_numel(shape: &[usize], dims: &[usize]) -> usize {
    let reduced = shape.iter().enumerate().filter(|(d, _)| dims.contains(d));
    reduced.map(|(_, &size)| size).product()
}

/// `dims` as the flags that kernels read.
pub(crate) fn reduced_flags(rank: usize, dims: &[usize]) -> SmallVec<[bool; 6]> {
    (0..rank).map(|d| dims.contains(&d)).collect()
}

/// The value without the dimensions `dims`, which have size 1, unless they are to be kept.
pub(crate) fn finish(kept: Value, dims: &[usize], keepdim: bool) -> Value {
    if keepdim {
        return kept;
    }
    let left = |sizes: &[usize]| -> Shape {
        let left = sizes.iter().enumerate().filter(|(d, _)| !dims.contains(d));
        left.map(|(_, &size)| size).collect()
    };
    let (shape, strides) = (left(&kept.shape), left(&kept.strides));
    let offset = kept.offset;
    kept.with_layout(shape, strides, offset)
}

impl Value {
    /// A reduction of a floating point value over `dims`, kept as size 1.
    pub(crate) fn reduced(&self, op: &str, reduction: Reduce, dims: &[usize]) -> Result<Value> {
        if self.dtype.is_half() {
            return self
                .cast(DType::F32)?
                .reduced(op, reduction, dims)?
                .cast(self.dtype);
        }
        let flags = reduced_flags(self.shape.len(), dims);
        with_float!(op, self.dtype, T => {
            let x = self.view::<T>()?;
            let shape = kept_shape(&self.shape, dims);
            Value::build::<T>(self.dtype, shape, |out| reduce::reduce(reduction, x, &flags, out))
        })
    }

    /// A reduction of an integer or bool value to `int64` over `dims`, kept as size 1.
    pub(crate) fn reduced_integers(&self, op: &str, reduction: ReduceInt, dims: &[usize]) -> Result<Value> {
        let flags = reduced_flags(self.shape.len(), dims);
        with_integer!(op, self.stored_dtype(), T => {
            let x = self.view::<T>()?;
            let shape = kept_shape(&self.shape, dims);
            Value::build::<i64>(DType::I64, shape, |out| reduce::reduce_int(reduction, x, &flags, out))
        })
    }
}

/// A recorded product.
#[derive(Clone, Debug)]
pub struct ProdOp {
    /// The input.
    pub input: Saved,
    /// The product.
    pub output: Saved,
    /// The dimensions that were multiplied over.
    pub dims: DimList,
}

/// A recorded log-sum-exp.
#[derive(Clone, Debug)]
pub struct LogSumExpOp {
    /// The input.
    pub input: Saved,
    /// The result.
    pub output: Saved,
    /// The dimensions that were reduced.
    pub dims: DimList,
}

impl Tensor {
    /// The product of all elements, as a 0-d tensor. Integers and bools are multiplied as `int64`.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn prod(&self) -> Result<Tensor> {
        under_autocast!("prod": x = self => x.prod());
        self.prod_over(all_dims(self.rank()), false)
    }

    /// The product over the given dimensions, which are removed or, with `keepdim`, kept with size 1.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn prod_dim(&self, dims: impl Dims, keepdim: bool) -> Result<Tensor> {
        under_autocast!("prod": x = self => x.prod_dim(dims, keepdim));
        self.prod_over(resolve_dims("prod", &dims.to_dims(), self.rank())?, keepdim)
    }

    fn prod_over(&self, dims: DimList, keepdim: bool) -> Result<Tensor> {
        let x = self.read();
        let kept = if x.value.dtype.is_float() {
            x.value.reduced("prod", Reduce::Prod, &dims)?
        } else {
            x.value.reduced_integers("prod", ReduceInt::Prod, &dims)?
        };
        Ok(record(finish(kept, &dims, keepdim), &[&x], |output| {
            Op::Prod(ProdOp {
                input: x.clone(),
                output: Saved::output(output, 0),
                dims,
            })
        }))
    }

    /// `log Σeˣ` over the given dimensions, computed without overflow. Integers become the default floating point type.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn logsumexp(&self, dims: impl Dims, keepdim: bool) -> Result<Tensor> {
        let dims = resolve_dims("logsumexp", &dims.to_dims(), self.rank())?;
        let x = self.to_dtype(self.dtype().to_float())?.read();
        let kept = x.value.reduced("logsumexp", Reduce::LogSumExp, &dims)?;
        Ok(record(finish(kept, &dims, keepdim), &[&x], |output| {
            Op::LogSumExp(LogSumExpOp {
                input: x.clone(),
                output: Saved::output(output, 0),
                dims,
            })
        }))
    }

    /// Whether any element is not 0 (NaN counts as true), over all dimensions: `bool`, or `uint8` for `uint8` tensors.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn any(&self) -> Result<Tensor> {
        self.truth(false, all_dims(self.rank()), false)
    }

    /// Whether any element is not 0 over the given dimensions.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn any_dim(&self, dims: impl Dims, keepdim: bool) -> Result<Tensor> {
        self.truth(false, resolve_dims("any", &dims.to_dims(), self.rank())?, keepdim)
    }

    /// Whether all elements are not 0 (NaN counts as true), over all dimensions: `bool`, or `uint8` for `uint8` tensors.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn all(&self) -> Result<Tensor> {
        self.truth(true, all_dims(self.rank()), false)
    }

    /// Whether all elements are not 0 over the given dimensions.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn all_dim(&self, dims: impl Dims, keepdim: bool) -> Result<Tensor> {
        self.truth(true, resolve_dims("all", &dims.to_dims(), self.rank())?, keepdim)
    }

    fn truth(&self, all: bool, dims: DimList, keepdim: bool) -> Result<Tensor> {
        let x = self.value();
        let (shape, flags) = (kept_shape(&x.shape, &dims), reduced_flags(x.shape.len(), &dims));
        let dtype = if x.dtype == DType::U8 {
            DType::U8
        } else {
            DType::Bool
        };
        let kept = with_stored!(x.dtype, T => {
            let view = x.view::<T>()?;
            Value::build::<u8>(dtype, shape, |out| {
                if all { reduce::all(view, &flags, out) } else { reduce::any(view, &flags, out) }
            })?
        });
        Ok(Tensor::from_value(finish(kept, &dims, keepdim)))
    }

    /// The number of elements that are not 0, over all dimensions.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn count_nonzero(&self) -> Result<Tensor> {
        self.counted(all_dims(self.rank()))
    }

    /// The number of elements that are not 0, over the given dimensions.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn count_nonzero_dim(&self, dims: impl Dims) -> Result<Tensor> {
        self.counted(resolve_dims("count_nonzero", &dims.to_dims(), self.rank())?)
    }

    fn counted(&self, dims: DimList) -> Result<Tensor> {
        let x = self.value();
        let (shape, flags) = (kept_shape(&x.shape, &dims), reduced_flags(x.shape.len(), &dims));
        let kept = with_stored!(x.dtype, T => {
            let view = x.view::<T>()?;
            Value::build::<i64>(DType::I64, shape, |out| reduce::count_nonzero(view, &flags, out))?
        });
        Ok(Tensor::from_value(finish(kept, &dims, false)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_truth() {
        let x = Tensor::new([[1i32, 2, 3], [4, 0, 6]]).unwrap();
        let p = x.prod_dim(1, false).unwrap();
        assert_eq!((p.dtype(), p.to_vec::<i64>().unwrap()), (DType::I64, vec![6, 0]));
        assert!(x.any().unwrap().item::<bool>().unwrap());
        assert_eq!(
            x.all_dim(0, true).unwrap().to_vec::<bool>().unwrap(),
            [true, false, true]
        );
        assert_eq!(x.count_nonzero_dim([0, 1]).unwrap().item::<i64>().unwrap(), 5);
        let bytes = Tensor::new([0u8, 3]).unwrap();
        assert_eq!(bytes.any().unwrap().item::<u8>().unwrap(), 1);
        let empty = Tensor::zeros((0, 2), DType::F32).unwrap();
        assert_eq!(
            empty.prod_dim(0, false).unwrap().to_vec::<f32>().unwrap(),
            [1.0, 1.0]
        );
    }
}
