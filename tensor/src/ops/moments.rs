//! Variance and standard deviation: `var`, `std`, `var_mean`, `std_mean`.
//!
//! `var = Σ(x - mean)²/(n - correction)`; `correction` is 1 for the unbiased estimate, 0 for the population's.

use flambeau_kernels::mem::Buf;
use flambeau_kernels::reduce::var_mean;

use super::reduce::{DimList, finish, kept_shape, reduced_flags};
use super::sum::record_mean;
use crate::graph::{Op, Saved, record};
use crate::shape::resolve_dims;
use crate::value::Value;
use crate::{DType, Dims, Result, Tensor, with_float};

/// A recorded variance or standard deviation.
#[derive(Clone, Debug)]
pub struct VarianceOp {
    /// The dimensions that were reduced.
    pub dims: DimList,
    /// What is subtracted from the number of elements in the divisor.
    pub correction: f64,
    /// The input.
    pub input: Saved,
    /// The result, if it is the standard deviation.
    pub std: Option<Saved>,
}

impl Value {
    /// The variance and the mean over `dims`, kept as size 1.
    fn variance_and_mean(&self, op: &str, dims: &[usize], correction: f64) -> Result<(Value, Value)> {
        if self.dtype.is_half() {
            let (var, mean) = self.cast(DType::F32)?.variance_and_mean(op, dims, correction)?;
            return Ok((var.cast(self.dtype)?, mean.cast(self.dtype)?));
        }
        let flags = reduced_flags(self.shape.len(), dims);
        let shape = kept_shape(&self.shape, dims);
        with_float!(op, self.dtype, T => {
            let x = self.view::<T>()?;
            let mut mean = Buf::<T>::take(shape.numel());
            let var = Value::build::<T>(self.dtype, shape.clone(), |var| {
                var_mean(x, &flags, correction, var, &mut mean)
            })?;
            Ok((var, Value::new(mean, self.dtype, shape)))
        })
    }
}

impl Tensor {
    fn moments(
        &self,
        op: &str,
        dims: impl Dims,
        correction: f64,
        keepdim: bool,
        root: bool,
    ) -> Result<(Tensor, Tensor)> {
        let dims = resolve_dims(op, &dims.to_dims(), self.rank())?;
        let x = self.read();
        let (mut spread, mean) = x.value.variance_and_mean(op, &dims, correction)?;
        if root {
            spread = spread.map(op, flambeau_kernels::unary::Unary::Sqrt)?;
        }
        let mean = record_mean(finish(mean, &dims, keepdim), &x, dims.clone());
        let spread = record(finish(spread, &dims, keepdim), &[&x], |output| {
            Op::Variance(VarianceOp {
                dims,
                correction,
                input: x.clone(),
                std: root.then(|| Saved::output(output, 0)),
            })
        });
        Ok((spread, mean))
    }

    /// The variance over the given dimensions.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `DType` for integers.
    pub fn var(&self, dims: impl Dims, correction: f64, keepdim: bool) -> Result<Tensor> {
        Ok(self.moments("var", dims, correction, keepdim, false)?.0)
    }

    /// The standard deviation over the given dimensions. Its gradient where it is 0 is 0.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `DType` for integers.
    pub fn std(&self, dims: impl Dims, correction: f64, keepdim: bool) -> Result<Tensor> {
        Ok(self.moments("std", dims, correction, keepdim, true)?.0)
    }

    /// The variance and the mean over the given dimensions, computed together.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `DType` for integers.
    pub fn var_mean(&self, dims: impl Dims, correction: f64, keepdim: bool) -> Result<(Tensor, Tensor)> {
        self.moments("var_mean", dims, correction, keepdim, false)
    }

    /// The standard deviation and the mean over the given dimensions, computed together.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `DType` for integers.
    pub fn std_mean(&self, dims: impl Dims, correction: f64, keepdim: bool) -> Result<(Tensor, Tensor)> {
        self.moments("std_mean", dims, correction, keepdim, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections() {
        let x = Tensor::new([1.0f64, 2.0, 3.0, 4.0]).unwrap();
        let var = |c| x.var(0, c, false).unwrap().item::<f64>().unwrap();
        assert_eq!((var(0.0), var(1.0)), (1.25, 5.0 / 3.0));
        assert_eq!(var(4.0), f64::INFINITY);
        let (std, mean) = x.std_mean(0, 0.0, true).unwrap();
        assert_eq!(
            (std.item::<f64>().unwrap(), mean.shape()),
            (1.25f64.sqrt(), &[1][..])
        );
    }
}
