//! `softmax(x) = eˣ/Σeˣ` and its logarithm along a dimension, computed without overflow; `softmin(x) = softmax(-x)`.

use flambeau_kernels::softmax as kernels;

use crate::graph::{Op, Saved, record};
use crate::shape::resolve_dim;
use crate::value::Value;
use crate::{DType, Result, Tensor, ensure, with_float};

/// A recorded softmax or log-softmax.
#[derive(Clone, Debug)]
pub struct SoftmaxOp {
    /// The dimension.
    pub dim: usize,
    /// Whether the result is the logarithm.
    pub log: bool,
    /// The result.
    pub output: Saved,
}

impl Value {
    fn softmax(&self, op: &str, dim: usize, log: bool) -> Result<Value> {
        if self.dtype.is_half() {
            return self.cast(DType::F32)?.softmax(op, dim, log)?.cast(self.dtype);
        }
        let (x, sizes) = (self.contiguous()?, self.sizes_around(dim));
        with_float!(op, self.dtype, T => {
            let data = x.data::<T>()?;
            let kernel = if log { kernels::log_softmax::<T> } else { kernels::softmax::<T> };
            Value::build::<T>(self.dtype, self.shape.clone(), |out| kernel(data, sizes, out))
        })
    }

    fn softmax_backward(&self, output: &Value, dim: usize, log: bool) -> Result<Value> {
        if self.dtype.is_half() {
            let output = output.cast(DType::F32)?;
            let grad = self.cast(DType::F32)?;
            return grad.softmax_backward(&output, dim, log)?.cast(self.dtype);
        }
        let (grad, y, sizes) = (self.contiguous()?, output.contiguous()?, self.sizes_around(dim));
        with_float!("softmax", self.dtype, T => {
            let (grad, y) = (grad.data::<T>()?, y.data::<T>()?);
            let kernel = if log { kernels::log_softmax_backward::<T> } else { kernels::softmax_backward::<T> };
            Value::build::<T>(self.dtype, self.shape.clone(), |out| kernel(y, grad, sizes, out))
        })
    }
}

impl Tensor {
    /// `eˣ/Σeˣ` along a dimension.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `DType` for integers: cast them first.
    pub fn softmax(&self, dim: isize) -> Result<Tensor> {
        self.softmax_with("softmax", dim, false)
    }

    /// `log(eˣ/Σeˣ)` along a dimension.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `DType` for integers: cast them first.
    pub fn log_softmax(&self, dim: isize) -> Result<Tensor> {
        self.softmax_with("log_softmax", dim, true)
    }

    /// `softmax(-x)` along a dimension.
    ///
    /// # Errors
    /// As [`Tensor::softmax`].
    pub fn softmin(&self, dim: isize) -> Result<Tensor> {
        self.neg()?.softmax(dim)
    }

    fn softmax_with(&self, op: &str, dim: isize, log: bool) -> Result<Tensor> {
        let dim = resolve_dim(op, dim, self.rank())?;
        let x = self.read();
        let value = x.value.softmax(op, dim, log)?;
        Ok(record(value, &[&x], |output| {
            Op::Softmax(SoftmaxOp {
                dim,
                log,
                output: Saved::output(output, 0),
            })
        }))
    }

    /// The gradient of a softmax, where this tensor is that of its output: one fused kernel, not recorded.
    ///
    /// # Errors
    /// `Shape` if this tensor has not the shape of what `op` saved.
    pub fn softmax_backward(&self, op: &SoftmaxOp) -> Result<Tensor> {
        let (shape, output) = (self.shape(), op.output.value());
        ensure!(
            shape == output.shape(),
            Shape,
            "softmax: gradient {shape:?} for {:?}",
            output.shape()
        );
        Ok(Tensor::from_value(
            self.value().softmax_backward(output, op.dim, op.log)?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_sum_to_one_along_any_dimension() {
        let x = Tensor::new([[1.0f64, 2.0, 1000.0], [0.0, -1000.0, 3.0]]).unwrap();
        for dim in 0..2 {
            let sums = x.softmax(dim).unwrap().sum_dim(dim, false).unwrap();
            assert!(
                sums.to_vec::<f64>()
                    .unwrap()
                    .iter()
                    .all(|s| (s - 1.0).abs() < 1e-12)
            );
        }
        let log = x.log_softmax(1).unwrap().to_vec::<f64>().unwrap();
        assert_eq!(log[..3], [-999.0, -998.0, 0.0]);
        assert_eq!(
            Tensor::new(3.0f32)
                .unwrap()
                .softmax(0)
                .unwrap()
                .item::<f32>()
                .unwrap(),
            1.0
        );
        assert!(Tensor::new([1i64]).unwrap().softmax(0).is_err());
    }
}
