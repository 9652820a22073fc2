//! The greatest and the least: `amax`, `amin`, `max`, `min`, `argmax`, `argmin`, `aminmax`. A NaN is both.

pub use flambeau_kernels::reduce::Extreme;
use flambeau_kernels::reduce::{extreme, extreme_with_index};
use flambeau_kernels::view::View;

use super::reduce::{DimList, all_dims, finish, kept_shape, reduced_flags};
use super::sort::picked;
use crate::graph::{Op, Saved, record};
use crate::shape::{resolve_dim, resolve_dims};
use crate::value::Value;
use crate::{DType, Dims, Result, Tensor, ensure, with_float, with_number};

/// A recorded reduction whose result is one of the elements it reduces: an extreme, or a median of all.
#[derive(Clone, Debug)]
pub struct ExtremeOp {
    /// The operation's name.
    pub name: &'static str,
    /// The input.
    pub input: Saved,
    /// The result.
    pub output: Saved,
    /// The dimensions that were reduced.
    pub dims: DimList,
}

/// Records `kept`, elements of `x` selected by their value: all elements equal to a result share its gradient evenly.
pub(crate) fn record_selected(
    name: &'static str,
    x: &Saved,
    kept: Value,
    dims: DimList,
    keepdim: bool,
) -> Tensor {
    record(finish(kept, &dims, keepdim), &[x], |output| {
        Op::Extreme(ExtremeOp {
            name,
            input: x.clone(),
            output: Saved::output(output, 0),
            dims,
        })
    })
}

impl Value {
    /// The extreme over `dims`, kept as size 1.
    fn extreme(&self, op: &str, which: Extreme, dims: &[usize]) -> Result<Value> {
        for &d in dims {
            let empty = self.shape.get(d) == Some(&0);
            ensure!(
                !empty,
                Value,
                "{op}: dimension {d} of {:?} has no elements to choose from",
                self.shape
            );
        }
        if self.dtype.is_half() {
            return self.cast(DType::F32)?.extreme(op, which, dims)?.cast(self.dtype);
        }
        let (shape, flags) = (
            kept_shape(&self.shape, dims),
            reduced_flags(self.shape.len(), dims),
        );
        with_number!(op, self.dtype, T => {
            let x = self.view::<T>()?;
            Value::build::<T>(self.dtype, shape, |out| extreme(which, x, &flags, out))
        })
    }

    /// The extreme along `dim` and its first index, both with `dim` kept as size 1.
    fn extreme_with_index(&self, op: &str, which: Extreme, dim: usize) -> Result<(Value, Value)> {
        let size = self.shape.get(dim).copied().unwrap_or(1);
        ensure!(
            size > 0,
            Value,
            "{op}: dimension {dim} of {:?} has no elements to choose from",
            self.shape
        );
        if self.dtype.is_half() {
            let (values, indices) = self.cast(DType::F32)?.extreme_with_index(op, which, dim)?;
            return Ok((values.cast(self.dtype)?, indices));
        }
        let shape = kept_shape(&self.shape, &[dim]);
        with_number!(op, self.dtype, T => {
            let x = self.view::<T>()?;
            // A 0-d value is a dimension of one element.
            let x = if x.shape.is_empty() { View { data: x.data, shape: &[1], strides: &[1] } } else { x };
            let mut indices = flambeau_kernels::mem::Buf::<i64>::take(shape.numel());
            let values = Value::build::<T>(self.dtype, shape.clone(), |values| {
                extreme_with_index(which, x, dim, values, &mut indices)
            })?;
            Ok((values, Value::new(indices, DType::I64, shape)))
        })
    }
}

impl Tensor {
    fn extreme_over(&self, op: &'static str, which: Extreme, dims: DimList, keepdim: bool) -> Result<Tensor> {
        let x = self.read();
        let kept = x.value.extreme(op, which, &dims)?;
        Ok(record_selected(op, &x, kept, dims, keepdim))
    }

    fn extreme_dim(
        &self,
        op: &'static str,
        which: Extreme,
        dim: isize,
        keepdim: bool,
    ) -> Result<(Tensor, Tensor)> {
        let d = resolve_dim(op, dim, self.rank())?;
        let x = self.read();
        let (values, indices) = x.value.extreme_with_index(op, which, d)?;
        picked(op, &x, d, values, indices, keepdim)
    }

    fn extreme_index(
        &self,
        op: &'static str,
        which: Extreme,
        dim: Option<isize>,
        keepdim: bool,
    ) -> Result<Tensor> {
        ensure!(
            self.dtype() != DType::Bool,
            DType,
            "{op}: expected a tensor of numbers, got bool"
        );
        match dim {
            Some(dim) => {
                let d = resolve_dim(op, dim, self.rank())?;
                let (_, indices) = self.value().extreme_with_index(op, which, d)?;
                Ok(Tensor::from_value(finish(indices, &[d], keepdim)))
            }
            None => {
                let flat = self.detach().reshape(self.numel())?;
                let index = flat.extreme_index(op, which, Some(0), false)?;
                index.reshape(vec![1; if keepdim { self.rank() } else { 0 }])
            }
        }
    }

    /// The greatest element, as a 0-d tensor. Elements that tie share the gradient evenly.
    ///
    /// # Errors
    /// `Value` if there are no elements.
    pub fn max(&self) -> Result<Tensor> {
        self.extreme_over("max", Extreme::Max, all_dims(self.rank()), false)
    }

    /// The least element, as a 0-d tensor. Elements that tie share the gradient evenly.
    ///
    /// # Errors
    /// `Value` if there are no elements.
    pub fn min(&self) -> Result<Tensor> {
        self.extreme_over("min", Extreme::Min, all_dims(self.rank()), false)
    }

    /// The greatest elements along a dimension and their first indices there. The gradient goes to those elements alone.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` if it is empty.
    pub fn max_dim(&self, dim: isize, keepdim: bool) -> Result<(Tensor, Tensor)> {
        self.extreme_dim("max", Extreme::Max, dim, keepdim)
    }

    /// The least elements along a dimension and their first indices there. The gradient goes to those elements alone.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` if it is empty.
    pub fn min_dim(&self, dim: isize, keepdim: bool) -> Result<(Tensor, Tensor)> {
        self.extreme_dim("min", Extreme::Min, dim, keepdim)
    }

    /// The greatest elements over the given dimensions. Elements that tie share the gradient evenly.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` if one is empty.
    pub fn amax(&self, dims: impl Dims, keepdim: bool) -> Result<Tensor> {
        let dims = resolve_dims("amax", &dims.to_dims(), self.rank())?;
        self.extreme_over("amax", Extreme::Max, dims, keepdim)
    }

    /// The least elements over the given dimensions. Elements that tie share the gradient evenly.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` if one is empty.
    pub fn amin(&self, dims: impl Dims, keepdim: bool) -> Result<Tensor> {
        let dims = resolve_dims("amin", &dims.to_dims(), self.rank())?;
        self.extreme_over("amin", Extreme::Min, dims, keepdim)
    }

    /// The first index of the greatest element: along `dim`, or of all elements in row-major order.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` if there are no elements.
    pub fn argmax(&self, dim: Option<isize>, keepdim: bool) -> Result<Tensor> {
        self.extreme_index("argmax", Extreme::Max, dim, keepdim)
    }

    /// The first index of the least element: along `dim`, or of all elements in row-major order.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` if there are no elements.
    pub fn argmin(&self, dim: Option<isize>, keepdim: bool) -> Result<Tensor> {
        self.extreme_index("argmin", Extreme::Min, dim, keepdim)
    }

    /// For the gradient of a selection: `1/k` for each of the `k` elements that equal the result of their reduction over
    /// `dims`, 0 for the others. NaN equals NaN here. `chosen` are the results, with the dimensions kept as size 1.
    /// Not recorded: the shares are constant wherever they have a derivative.
    ///
    /// # Errors
    /// `Shape` if `chosen` does not broadcast to this tensor's shape.
    pub fn shares_of(&self, chosen: &Tensor, dims: &[usize]) -> Result<Tensor> {
        let dtype = self.dtype();
        let compute = if dtype.is_half() { DType::F32 } else { dtype };
        let x = self.value().cast(compute)?;
        let chosen = chosen.expand(self.shape())?.value().cast(compute)?;
        let hits = with_float!("shares_of", compute, T => {
            let (x, chosen) = (x.data::<T>()?, chosen.data::<T>()?);
            Value::build::<T>(compute, self.dims().clone(), |out| {
                for ((out, &x), &chosen) in out.iter_mut().zip(x).zip(chosen) {
                    let hit = x == chosen || (x.is_nan() && chosen.is_nan());
                    *out = hit as u8 as T;
                }
            })?
        });
        let hits = Tensor::from_value(hits);
        let dims: Vec<isize> = dims.iter().map(|&d| d as isize).collect();
        hits.div(&hits.sum_dim(dims, true)?)?.to_dtype(dtype)
    }

    /// The least and the greatest elements along `dim`, or of all elements.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` if there are no elements.
    pub fn aminmax(&self, dim: Option<isize>, keepdim: bool) -> Result<(Tensor, Tensor)> {
        let dims = match dim {
            Some(dim) => resolve_dims("aminmax", &[dim], self.rank())?,
            None => all_dims(self.rank()),
        };
        let least = self.extreme_over("aminmax", Extreme::Min, dims.clone(), keepdim)?;
        Ok((least, self.extreme_over("aminmax", Extreme::Max, dims, keepdim)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_nan_and_empty() {
        let x = Tensor::new([[1.0f32, 3.0, 3.0], [f32::NAN, 0.0, 5.0]]).unwrap();
        let (values, indices) = x.max_dim(1, false).unwrap();
        assert_eq!(values.to_vec::<f32>().unwrap()[0], 3.0);
        assert_eq!(indices.to_vec::<i64>().unwrap(), [1, 0]);
        assert_eq!(x.argmin(None, false).unwrap().item::<i64>().unwrap(), 3);
        assert!(x.amin([0, 1], false).unwrap().item::<f32>().unwrap().is_nan());
        let empty = Tensor::zeros((0, 3), DType::F32).unwrap();
        assert!(empty.max().unwrap_err().to_string().contains("no elements"));
        assert_eq!(empty.amax(1, false).unwrap().shape(), [0]);
        let flags = Tensor::new([false, true]).unwrap();
        assert!(flags.max().unwrap().item::<bool>().unwrap());
        let shares = x.shares_of(&x.amax(1, true).unwrap(), &[1]).unwrap();
        assert_eq!(shares.to_vec::<f32>().unwrap(), [0.0, 0.5, 0.5, 1.0, 0.0, 0.0]);
    }
}
