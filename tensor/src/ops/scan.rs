//! Running reductions along a dimension: `cumsum`, `cumprod`, `cummax`, `cummin`, `logcumsumexp`.

use flambeau_kernels::scan::{self, Scan};

use super::extreme::Extreme;
use super::sort::picked;
use crate::graph::{Op, Saved, record};
use crate::shape::resolve_dim;
use crate::value::Value;
use crate::{DType, Result, Tensor, with_float, with_number};

/// A recorded running sum.
#[derive(Clone, Debug)]
pub struct CumSumOp {
    /// The dimension.
    pub dim: usize,
    /// Whether it runs from the last element to the first.
    pub reverse: bool,
}

/// A recorded running product or running log-sum-exp.
#[derive(Clone, Debug)]
pub struct ScanOp {
    /// The dimension.
    pub dim: usize,
    /// Whether it runs from the last element to the first.
    pub reverse: bool,
    /// The input.
    pub input: Saved,
    /// The result.
    pub output: Saved,
}

impl Value {
    /// The sizes before, of and after a dimension, the only one of a 0-d value included.
    pub(crate) fn sizes_around(&self, dim: usize) -> [usize; 3] {
        if self.shape.is_empty() {
            return [1, 1, 1];
        }
        let (outer, len, inner) = self.shape.around(dim);
        [outer, len, inner]
    }

    fn scanned(&self, op: &str, which: Scan, dim: usize, reverse: bool) -> Result<Value> {
        if self.dtype.is_half() {
            return self
                .cast(DType::F32)?
                .scanned(op, which, dim, reverse)?
                .cast(self.dtype);
        }
        let dtype = if self.dtype.is_float() {
            self.dtype
        } else {
            DType::I64
        };
        let (x, sizes) = (self.cast(dtype)?, self.sizes_around(dim));
        with_number!(op, dtype, T => {
            let data = x.data::<T>()?;
            let shape = self.shape.clone();
            Value::build::<T>(dtype, shape, |out| scan::scan(which, data, sizes, reverse, out))
        })
    }

    fn scanned_extreme(&self, op: &str, which: Extreme, dim: usize) -> Result<(Value, Value)> {
        if self.dtype.is_half() {
            let (values, indices) = self.cast(DType::F32)?.scanned_extreme(op, which, dim)?;
            return Ok((values.cast(self.dtype)?, indices));
        }
        let (x, sizes, shape) = (self.contiguous()?, self.sizes_around(dim), self.shape.clone());
        with_number!(op, self.dtype, T => {
            let data = x.data::<T>()?;
            let mut indices = flambeau_kernels::mem::Buf::<i64>::take(shape.numel());
            let values = Value::build::<T>(self.dtype, shape.clone(), |values| {
                scan::scan_extreme(which, data, sizes, false, values, &mut indices)
            })?;
            Ok((values, Value::new(indices, DType::I64, shape)))
        })
    }

    fn log_cum_sum_exp(&self, dim: usize, reverse: bool) -> Result<Value> {
        if self.dtype.is_half() {
            return self
                .cast(DType::F32)?
                .log_cum_sum_exp(dim, reverse)?
                .cast(self.dtype);
        }
        let (x, sizes) = (self.contiguous()?, self.sizes_around(dim));
        with_float!("logcumsumexp", self.dtype, T => {
            let data = x.data::<T>()?;
            let shape = self.shape.clone();
            Value::build::<T>(self.dtype, shape, |out| scan::log_cum_sum_exp(data, sizes, reverse, out))
        })
    }
}

impl Tensor {
    /// The running sum along a dimension. Integers and bools are summed as `int64`.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn cumsum(&self, dim: isize) -> Result<Tensor> {
        self.cumsum_from(dim, false)
    }

    /// The running sum along a dimension, from the last element to the first if `reverse`.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn cumsum_from(&self, dim: isize, reverse: bool) -> Result<Tensor> {
        let dim = resolve_dim("cumsum", dim, self.rank())?;
        let x = self.read();
        let value = x.value.scanned("cumsum", Scan::Sum, dim, reverse)?;
        Ok(record(value, &[&x], |_| Op::CumSum(CumSumOp { dim, reverse })))
    }

    /// The running product along a dimension. Integers and bools are multiplied as `int64`.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn cumprod(&self, dim: isize) -> Result<Tensor> {
        self.cumprod_from(dim, false)
    }

    /// The running product along a dimension, from the last element to the first if `reverse`.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn cumprod_from(&self, dim: isize, reverse: bool) -> Result<Tensor> {
        let dim = resolve_dim("cumprod", dim, self.rank())?;
        let x = self.read();
        let value = x.value.scanned("cumprod", Scan::Prod, dim, reverse)?;
        Ok(record(value, &[&x], |output| {
            Op::CumProd(scan_op(&x, output, dim, reverse))
        }))
    }

    /// The running `log Σeˣ` along a dimension, computed without overflow.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `DType` for integers.
    pub fn logcumsumexp(&self, dim: isize) -> Result<Tensor> {
        self.logcumsumexp_from(dim, false)
    }

    /// The running `log Σeˣ` along a dimension, from the last element to the first if `reverse`.
    ///
    /// # Errors
    /// As [`Tensor::logcumsumexp`].
    pub fn logcumsumexp_from(&self, dim: isize, reverse: bool) -> Result<Tensor> {
        let dim = resolve_dim("logcumsumexp", dim, self.rank())?;
        let x = self.read();
        let value = x.value.log_cum_sum_exp(dim, reverse)?;
        Ok(record(value, &[&x], |output| {
            Op::LogCumSumExp(scan_op(&x, output, dim, reverse))
        }))
    }

    /// The running maximum along a dimension and the index where it last stood. From a NaN on, all is NaN.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn cummax(&self, dim: isize) -> Result<(Tensor, Tensor)> {
        self.running("cummax", Extreme::Max, dim)
    }

    /// The running minimum along a dimension and the index where it last stood. From a NaN on, all is NaN.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn cummin(&self, dim: isize) -> Result<(Tensor, Tensor)> {
        self.running("cummin", Extreme::Min, dim)
    }

    fn running(&self, op: &'static str, which: Extreme, dim: isize) -> Result<(Tensor, Tensor)> {
        let dim = resolve_dim(op, dim, self.rank())?;
        let x = self.read();
        let (values, indices) = x.value.scanned_extreme(op, which, dim)?;
        picked(op, &x, dim, values, indices, true)
    }
}

fn scan_op(x: &Saved, output: &Value, dim: usize, reverse: bool) -> ScanOp {
    ScanOp {
        dim,
        reverse,
        input: x.clone(),
        output: Saved::output(output, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_sums_products_and_extremes() {
        let x = Tensor::new([[1i32, 2, 3], [4, 5, 6]]).unwrap();
        assert_eq!(x.cumsum(0).unwrap().to_vec::<i64>().unwrap(), [1, 2, 3, 5, 7, 9]);
        assert_eq!(
            x.cumprod(-1).unwrap().to_vec::<i64>().unwrap(),
            [1, 2, 6, 4, 20, 120]
        );
        let y = Tensor::new([1.0f32, 3.0, 3.0, 2.0]).unwrap();
        let (values, indices) = y.cummax(0).unwrap();
        assert_eq!(values.to_vec::<f32>().unwrap(), [1.0, 3.0, 3.0, 3.0]);
        assert_eq!(indices.to_vec::<i64>().unwrap(), [0, 1, 2, 2]);
        let scalar = Tensor::new(2.0f64).unwrap();
        assert_eq!(scalar.cumsum(0).unwrap().shape(), [0usize; 0]);
        assert!(scalar.cumsum(1).is_err());
    }
}
