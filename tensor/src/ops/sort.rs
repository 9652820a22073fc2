//! Order along a dimension: `sort`, `argsort`, `msort`, `topk`, `kthvalue`, `median`, `nanmedian`, `mode`.
//!
//! NaN is the greatest of all. Values that were selected by an index are recorded as a gather by that index, so that the
//! gradient goes back to where they came from.

use flambeau_kernels::mem::Buf;
use flambeau_kernels::sort as kernels;
use smallvec::SmallVec;

use super::extreme::record_selected;
use super::index::{Addressing, IndexOp};
use super::reduce::{all_dims, finish};
use crate::graph::{Op, Saved, record};
use crate::shape::resolve_dim;
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, bail, ensure, with_stored};

/// Records `values`, which stand in `x` at `indices` along `dim`, and gives both. `dim` is removed unless `keepdim`.
pub(crate) fn picked(
    op: &'static str,
    x: &Saved,
    dim: usize,
    values: Value,
    indices: Value,
    keepdim: bool,
) -> Result<(Tensor, Tensor)> {
    let [outer, len, inner] = x.value.sizes_around(dim);
    let index = indices.contiguous()?;
    let values = record(values, &[x], |_| {
        Op::Gather(IndexOp {
            name: op,
            addressing: Addressing::Elements,
            sizes: (outer, len, inner),
            base: x.value.shape.clone(),
            picked: index.shape.clone(),
            index: index.clone(),
        })
    });
    let indices = Tensor::from_value(index);
    if keepdim || values.rank() == 0 {
        return Ok((values, indices));
    }
    let dim = dim as isize;
    Ok((values.squeeze_dim(dim)?, indices.squeeze_dim(dim)?))
}

impl Value {
    /// The value with `dim` moved to the end, contiguous; a 0-d value becomes one of one element.
    fn rows(&self, dim: usize) -> Result<Value> {
        if self.shape.is_empty() {
            return self.reshaped(Shape::new(&[1]));
        }
        self.permuted(&moved_to_end(self.shape.len(), dim)).contiguous()
    }

    /// What [`Value::rows`] did undone; `self` may have another size in its last dimension.
    fn unrows(self, rank: usize, dim: usize) -> Result<Value> {
        if rank == 0 {
            return self.reshaped(Shape::default());
        }
        let order = moved_to_end(rank, dim);
        let mut inverse: SmallVec<[usize; 6]> = SmallVec::from_elem(0, rank);
        for (to, &from) in order.iter().enumerate() {
            inverse[from] = to;
        }
        Ok(self.permuted(&inverse))
    }

    /// Calls `kernel` with the rows along `dim`; it gives `per_row` values and indices for each.
    fn select_rows(&self, dim: usize, per_row: usize, kernel: Selection) -> Result<(Value, Value)> {
        let rows = self.rows(dim)?;
        let (mut shape, last) = (rows.shape.clone(), rows.shape.len() - 1);
        let len = shape[last];
        shape[last] = per_row;
        let mut indices = Buf::<i64>::take(shape.numel());
        let values = with_stored!(self.dtype, T => {
            let x = rows.data::<T>()?;
            Value::build::<T>(self.dtype, shape.clone(), |values| match kernel {
                Selection::Sort { descending } => kernels::sort(x, values, &mut indices, len, descending),
                Selection::Top { largest, sorted } => {
                    kernels::topk(x, values, &mut indices, (len, per_row), largest, sorted)
                }
                Selection::Kth(k) => kernels::kthvalue(x, values, &mut indices, len, k),
                Selection::Median { ignore_nan } => kernels::median(x, values, &mut indices, len, ignore_nan),
                Selection::Mode => kernels::mode(x, values, &mut indices, len),
            })?
        });
        let indices = Value::new(indices, DType::I64, shape);
        let rank = self.shape.len();
        Ok((values.unrows(rank, dim)?, indices.unrows(rank, dim)?))
    }
}

/// What is selected from each row.
#[derive(Clone, Copy)]
enum Selection {
    Sort { descending: bool },
    Top { largest: bool, sorted: bool },
    Kth(usize),
    Median { ignore_nan: bool },
    Mode,
}

/// The permutation that moves `dim` to the end.
fn moved_to_end(rank: usize, dim: usize) -> SmallVec<[usize; 6]> {
    (0..rank).filter(|&d| d != dim).chain([dim]).collect()
}

impl Tensor {
    fn selected(
        &self,
        op: &'static str,
        dim: isize,
        per_row: Option<usize>,
        kernel: Selection,
        keepdim: bool,
    ) -> Result<(Tensor, Tensor)> {
        let sorts = !matches!(kernel, Selection::Median { .. });
        ensure!(
            sorts || self.dtype() != DType::Bool,
            DType,
            "{op}: expected a tensor of numbers, got bool"
        );
        let dim = resolve_dim(op, dim, self.rank())?;
        let len = self.size(dim as isize)?;
        ensure!(
            per_row != Some(1) || len > 0 || matches!(kernel, Selection::Top { .. }),
            Value,
            "{op}: dimension {dim} of {:?} has no elements to choose from",
            self.shape()
        );
        let x = self.read();
        let (values, indices) = x.value.select_rows(dim, per_row.unwrap_or(len), kernel)?;
        picked(op, &x, dim, values, indices, keepdim)
    }

    /// The elements in ascending (or descending) order along a dimension and where they stood. Equal elements keep
    /// their order.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn sort(&self, dim: isize, descending: bool) -> Result<(Tensor, Tensor)> {
        self.selected("sort", dim, None, Selection::Sort { descending }, true)
    }

    /// The indices that sort a dimension, stably.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn argsort(&self, dim: isize, descending: bool) -> Result<Tensor> {
        let sort = Selection::Sort { descending };
        Ok(self.detach().selected("argsort", dim, None, sort, true)?.1)
    }

    /// The elements in ascending order along the first dimension.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn msort(&self) -> Result<Tensor> {
        let sort = Selection::Sort { descending: false };
        Ok(self.selected("msort", 0, None, sort, true)?.0)
    }

    /// The `k` largest (or smallest) elements along a dimension and their indices, in order if `sorted`.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` if it has fewer than `k` elements.
    pub fn topk(&self, k: usize, dim: isize, largest: bool, sorted: bool) -> Result<(Tensor, Tensor)> {
        let d = resolve_dim("topk", dim, self.rank())?;
        let len = self.shape().get(d).copied().unwrap_or(1);
        ensure!(
            k <= len,
            Value,
            "topk: k is {k}, but dimension {dim} of {:?} has {len} elements",
            self.shape()
        );
        self.selected("topk", dim, Some(k), Selection::Top { largest, sorted }, true)
    }

    /// The `k`-th smallest element along a dimension, `k` from 1, and its index.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` unless it has `k` elements.
    pub fn kthvalue(&self, k: usize, dim: isize, keepdim: bool) -> Result<(Tensor, Tensor)> {
        let d = resolve_dim("kthvalue", dim, self.rank())?;
        let len = self.shape().get(d).copied().unwrap_or(1);
        ensure!(
            (1..=len).contains(&k),
            Value,
            "kthvalue: k is {k}, but dimension {dim} of {:?} has {len} elements",
            self.shape()
        );
        self.selected("kthvalue", dim, Some(1), Selection::Kth(k), keepdim)
    }

    /// The lower median along a dimension and its index; NaN if there is one.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` if it is empty.
    pub fn median_dim(&self, dim: isize, keepdim: bool) -> Result<(Tensor, Tensor)> {
        let kernel = Selection::Median { ignore_nan: false };
        self.selected("median", dim, Some(1), kernel, keepdim)
    }

    /// The lower median of the numbers that are not NaN along a dimension, and its index.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` if it is empty.
    pub fn nanmedian_dim(&self, dim: isize, keepdim: bool) -> Result<(Tensor, Tensor)> {
        let kernel = Selection::Median { ignore_nan: true };
        self.selected("nanmedian", dim, Some(1), kernel, keepdim)
    }

    /// The lower median of all elements. Elements that equal it share the gradient evenly.
    ///
    /// # Errors
    /// `Value` if there are no elements.
    pub fn median(&self) -> Result<Tensor> {
        self.median_of_all("median", false)
    }

    /// The lower median of all elements that are not NaN. Elements that equal it share the gradient evenly.
    ///
    /// # Errors
    /// `Value` if there are no elements.
    pub fn nanmedian(&self) -> Result<Tensor> {
        self.median_of_all("nanmedian", true)
    }

    fn median_of_all(&self, op: &'static str, ignore_nan: bool) -> Result<Tensor> {
        ensure!(
            self.dtype() != DType::Bool,
            DType,
            "{op}: expected a tensor of numbers, got bool"
        );
        let (x, rank, dtype) = (self.read(), self.rank(), self.dtype());
        if self.numel() == 0 {
            if dtype.is_float() {
                return Tensor::full((), f64::NAN, dtype);
            }
            bail!(Value, "{op}: there are no elements to choose from");
        }
        let flat = x.value.reshaped(Shape::new(&[self.numel()]))?;
        let (value, _) = flat.select_rows(0, 1, Selection::Median { ignore_nan })?;
        let kept = value.reshaped((0..rank).map(|_| 1).collect())?;
        Ok(record_selected(
            op,
            &x,
            finish(kept, &[], true),
            all_dims(rank),
            false,
        ))
    }

    /// The most frequent element along a dimension, the smallest of several, and the index of an occurrence.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` if it is empty.
    pub fn mode(&self, dim: isize, keepdim: bool) -> Result<(Tensor, Tensor)> {
        self.selected("mode", dim, Some(1), Selection::Mode, keepdim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_along_any_dimension() {
        let x = Tensor::new([[3.0f32, 1.0], [2.0, 5.0], [1.0, f32::NAN]]).unwrap();
        let (values, indices) = x.sort(0, false).unwrap();
        assert_eq!(values.to_vec::<f32>().unwrap()[..4], [1.0, 1.0, 2.0, 5.0]);
        assert_eq!(indices.to_vec::<i64>().unwrap(), [2, 0, 1, 1, 0, 2]);
        let (values, indices) = x.topk(1, 1, false, true).unwrap();
        assert_eq!(values.to_vec::<f32>().unwrap(), [1.0, 2.0, 1.0]);
        assert_eq!(indices.to_vec::<i64>().unwrap(), [1, 0, 0]);
        assert_eq!(
            x.kthvalue(2, 0, false).unwrap().0.to_vec::<f32>().unwrap(),
            [2.0, 5.0]
        );
        assert!(x.median().unwrap().item::<f32>().unwrap().is_nan());
        assert_eq!(x.nanmedian().unwrap().item::<f32>().unwrap(), 2.0);
        assert_eq!(x.nanmedian_dim(0, true).unwrap().0.shape(), [1, 2]);
        assert!(x.topk(4, 0, true, true).is_err());
        assert_eq!(
            Tensor::new(2i64)
                .unwrap()
                .sort(-1, true)
                .unwrap()
                .1
                .item::<i64>()
                .unwrap(),
            0
        );
        let empty = Tensor::zeros((0, 2), DType::F32).unwrap();
        assert!(empty.median_dim(0, false).is_err());
        assert_eq!(empty.sort(0, false).unwrap().0.shape(), [0, 2]);
    }
}
