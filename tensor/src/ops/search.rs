//! Places and counts of values: `searchsorted`, `bucketize`, `unique`, `unique_consecutive`, `bincount`, `histc`,
//! `histogram`, `histogramdd`. None of them has a gradient.

use flambeau_kernels::index as kernels;
use flambeau_kernels::search;
use flambeau_kernels::sort::{self, Unique};

use crate::ops::create::{check_room, checked_numel};
use crate::shape::resolve_dim;
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, ensure, with_float, with_stored};

/// What [`Tensor::unique`] finds.
#[derive(Clone, Debug)]
pub struct UniqueTensors {
    /// The distinct elements, or the distinct slices along a dimension.
    pub values: Tensor,
    /// For each element (or slice) of the input, which of them it is.
    pub inverse: Tensor,
    /// How often each occurs.
    pub counts: Tensor,
}

/// The bins of a histogram along one dimension.
#[derive(Clone, Debug)]
pub enum Bins {
    /// This many equal bins over a range.
    Count(usize),
    /// Bins between these ascending edges.
    Edges(Tensor),
}

impl Tensor {
    /// For each of `values` the place in this tensor's sorted last dimension before which it belongs: before equal
    /// elements, or behind them with `right`. `sorter` are the indices that sort this tensor, if it is not.
    ///
    /// # Shapes
    /// `self` `[len]` and `values` of any shape, or `self` `[…, len]` and `values` `[…, n]`.
    ///
    /// # Errors
    /// `Shape` if the leading dimensions or the sorter's shape differ; `Index` for a sorter out of range; `DType` if
    /// the types differ.
    pub fn searchsorted(&self, values: &Tensor, right: bool, sorter: Option<&Tensor>) -> Result<Tensor> {
        let (own, other) = (self.shape(), values.shape());
        let leading_fit = match (own, other) {
            ([lead @ .., _], [leading @ .., _]) => own.len() == 1 || lead == leading,
            _ => own.len() == 1,
        };
        ensure!(
            leading_fit,
            Shape,
            "searchsorted: sorted {own:?} and values {other:?} differ in their leading dimensions"
        );
        let (dtype, given) = (self.dtype(), values.dtype());
        ensure!(
            dtype == given,
            DType,
            "searchsorted: sorted is of {dtype}, values are of {given}"
        );
        let len = own[own.len() - 1];
        let sorter = match sorter {
            None => None,
            Some(sorter) => {
                let (shape, of) = (sorter.shape(), sorter.dtype());
                ensure!(
                    shape == own && of == DType::I64,
                    Shape,
                    "searchsorted: expected a sorter of int64 {own:?}, got {of} {shape:?}"
                );
                let indices = sorter.value().contiguous()?;
                let bad = |&&i: &&i64| !(0..len as i64).contains(&i);
                if let Some(i) = indices.data::<i64>()?.iter().find(bad) {
                    crate::bail!(
                        Index,
                        "searchsorted: the sorter's {i} is out of range of {len} elements"
                    );
                }
                Some(indices)
            }
        };
        let rows = own[..own.len() - 1].iter().product::<usize>().max(1);
        let (sorted, values) = (self.value().contiguous()?, values.value().contiguous()?);
        let value = with_stored!(dtype, T => {
            let (sorted, values) = (sorted.data::<T>()?, values.data::<T>()?);
            let sorter = sorter.as_ref().map(Value::data::<i64>).transpose()?;
            Value::build::<i64>(DType::I64, other.iter().copied().collect(), |out| {
                search::searchsorted(sorted, sorter, values, right, out, (rows, len))
            })?
        });
        Ok(Tensor::from_value(value))
    }

    /// The index of the bucket between the sorted `boundaries` into which each element falls: `boundaries[i - 1] < x <=
    /// boundaries[i]`, or with `right` `boundaries[i - 1] <= x < boundaries[i]`.
    ///
    /// # Errors
    /// `Shape` unless `boundaries` has one dimension; `DType` if the types differ.
    pub fn bucketize(&self, boundaries: &Tensor, right: bool) -> Result<Tensor> {
        let shape = boundaries.shape();
        ensure!(
            shape.len() == 1,
            Shape,
            "bucketize: expected 1-d boundaries, got {shape:?}"
        );
        boundaries.searchsorted(self, right, None)
    }

    /// The distinct elements in ascending order, or with `dim` the distinct slices along it in lexicographic order.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn unique(&self, dim: Option<isize>) -> Result<UniqueTensors> {
        self.distinct("unique", dim, false)
    }

    /// The elements (or slices along `dim`) with runs of equal ones reduced to one.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn unique_consecutive(&self, dim: Option<isize>) -> Result<UniqueTensors> {
        self.distinct("unique_consecutive", dim, true)
    }

    fn distinct(&self, op: &str, dim: Option<isize>, consecutive: bool) -> Result<UniqueTensors> {
        let plain = self.detach();
        let (rows, dim) = match dim {
            None => (plain.reshape((self.numel(), 1))?, None),
            Some(dim) => {
                let d = resolve_dim(op, dim, self.rank())?;
                let first = if self.rank() == 0 {
                    plain.reshape(1)?
                } else {
                    plain.movedim(d as isize, 0)?
                };
                let count = first.shape()[0];
                let len = first.numel() / count.max(1);
                (first.reshape((count, len))?, Some((d, first.shape().to_vec())))
            }
        };
        let (count, len) = (rows.shape()[0], rows.shape()[1]);
        let source = rows.value().contiguous()?;
        let (values, found) = with_stored!(self.dtype(), T => {
            let x = source.data::<T>()?;
            let found: Unique = match (consecutive, dim.is_some()) {
                (true, _) => sort::unique_consecutive(x, count, len),
                (false, true) => sort::unique_rows(x, count, len),
                (false, false) => sort::unique(x),
            };
            let shape = Shape::new(&[found.first.len(), len]);
            let values = Value::build::<T>(self.dtype(), shape, |out| {
                for (out, &at) in out.chunks_mut(len.max(1)).zip(&found.first) {
                    out.copy_from_slice(&x[at as usize * len..][..len]);
                }
            })?;
            (Tensor::from_value(values), found)
        });
        let distinct = found.first.len();
        let values = match &dim {
            None => values.reshape(distinct)?,
            Some((d, shape)) => {
                let mut shape = shape.clone();
                shape[0] = distinct;
                values.reshape(shape)?.movedim(0, *d as isize)?
            }
        };
        let inverse = Tensor::from_slice(&found.inverse, found.inverse.len())?;
        Ok(UniqueTensors {
            values,
            inverse: if dim.is_none() {
                inverse.reshape(self.shape())?
            } else {
                inverse
            },
            counts: Tensor::from_slice(&found.counts, distinct)?,
        })
    }

    /// How often each non-negative integer occurs in this 1-d tensor, or the sums of the weights of its occurrences; at
    /// least `minlength` entries. Weights are summed as they are if `float32`, else as `float64`.
    ///
    /// # Errors
    /// `Shape` unless the tensor is 1-d and the weights have its shape; `DType` for other than integers; `Value` for a
    /// negative element.
    pub fn bincount(&self, weights: Option<&Tensor>, minlength: usize) -> Result<Tensor> {
        let (shape, dtype) = (self.shape(), self.dtype());
        ensure!(
            shape.len() == 1,
            Shape,
            "bincount: expected a 1-d tensor, got {shape:?}"
        );
        ensure!(
            dtype.is_integer(),
            DType,
            "bincount: expected integers, got {dtype}"
        );
        let values = self.detach().to_dtype(DType::I64)?.to_vec::<i64>()?;
        if let Some(negative) = values.iter().find(|&&v| v < 0) {
            crate::bail!(Value, "bincount: expected non-negative integers, got {negative}");
        }
        let most = values.iter().max().map_or(0, |&most| most as usize + 1);
        check_room::<f64>("bincount", most.max(minlength))?;
        let Some(weights) = weights else {
            let counts = kernels::bincount(&values, minlength);
            return Tensor::from_slice(&counts, counts.len());
        };
        ensure!(
            weights.shape() == shape,
            Shape,
            "bincount: weights {:?} for values {shape:?}",
            weights.shape()
        );
        let dtype = if weights.dtype() == DType::F32 {
            DType::F32
        } else {
            DType::F64
        };
        let weights = weights.value().cast(dtype)?;
        with_float!("bincount", dtype, T => {
            let sums = kernels::bincount_weighted(&values, weights.data::<T>()?, minlength);
            Tensor::from_slice(&sums, sums.len())
        })
    }

    /// The number of elements in each of `bins` equal bins over `min..=max`; both 0 stand for the range of the data.
    ///
    /// # Errors
    /// `Value` if there are no bins or the range is not finite or reversed; `DType` for integers.
    pub fn histc(&self, bins: usize, min: f64, max: f64) -> Result<Tensor> {
        ensure!(
            bins > 0,
            Value,
            "histc: the number of bins must be positive, got {bins}"
        );
        check_room::<f64>("histc", bins)?;
        if self.dtype().is_half() {
            return self.float()?.histc(bins, min, max)?.to_dtype(self.dtype());
        }
        let x = self.value().contiguous()?;
        with_float!("histc", x.dtype, T => {
            let data = x.data::<T>()?;
            let (mut low, mut high) = (min as T, max as T);
            if low == high && !data.is_empty() {
                (low, high) = range_of(data);
            }
            if low == high {
                (low, high) = (low - 1.0, high + 1.0);
            }
            check_range("histc", low, high)?;
            let edges = kernels::uniform_edges(low, high, bins);
            let mut counts = vec![0.0; bins];
            kernels::histogram(data, None, &edges, true, &mut counts);
            Tensor::from_slice(&counts, bins)
        })
    }

    /// The number (or total weight) of elements in each bin, and the bins' edges. With `density` the counts are divided
    /// by their sum and the bins' widths. `range` is that of a bin count; the default is that of the data.
    ///
    /// # Errors
    /// As [`Tensor::histogramdd`].
    pub fn histogram(
        &self,
        bins: &Bins,
        range: Option<(f64, f64)>,
        weight: Option<&Tensor>,
        density: bool,
    ) -> Result<(Tensor, Tensor)> {
        let points = self.detach().reshape((self.numel(), 1))?;
        let weight = weight.map(|w| w.reshape(w.numel())).transpose()?;
        let range = range.map(|range| vec![range]);
        let bins = std::slice::from_ref(bins);
        let (counts, mut edges) = points
            .histogramdd(bins, range.as_deref(), weight.as_ref(), density)
            .map_err(|error| error.context("histogram"))?;
        match edges.pop() {
            Some(edges) => Ok((counts, edges)),
            None => crate::bail!(Value, "histogram: no bins"),
        }
    }

    /// The number (or total weight) of points in each cell of a grid, and the edges along each of its dimensions. This
    /// tensor's last dimension holds the coordinates of a point.
    ///
    /// # Shapes
    /// `self` `[…, D]`, `weight` `[…]`, `D` bins → counts `[bins₁, …, bins_D]`.
    ///
    /// # Errors
    /// `Shape` if the number of bins or of weights differs; `Value` for a range that is not finite or reversed, or
    /// fewer than two edges; `DType` for integers or differing types.
    pub fn histogramdd(
        &self,
        bins: &[Bins],
        ranges: Option<&[(f64, f64)]>,
        weight: Option<&Tensor>,
        density: bool,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let shape = self.shape();
        let dims = shape.last().copied().unwrap_or(0);
        ensure!(
            dims == bins.len() && dims > 0 && ranges.is_none_or(|r| r.len() == dims),
            Shape,
            "histogramdd: {} bins for points {shape:?}",
            bins.len()
        );
        let points = self.numel() / dims;
        ensure!(
            weight.is_none_or(|w| w.numel() == points && w.dtype() == self.dtype()),
            Shape,
            "histogramdd: expected one weight of {} for each of {points} points",
            self.dtype()
        );
        let x = self.value().contiguous()?;
        let weight = weight.map(|w| w.value().contiguous()).transpose()?;
        with_float!("histogramdd", x.dtype, T => {
            let data = x.data::<T>()?;
            let weight = weight.as_ref().map(Value::data::<T>).transpose()?;
            let mut edges: Vec<Vec<T>> = Vec::new();
            for (d, bins) in bins.iter().enumerate() {
                edges.push(match bins {
                    Bins::Edges(edges) => edges.to_vec::<T>()?,
                    Bins::Count(bins) => {
                        let column: Vec<T> = data.iter().skip(d).step_by(dims).copied().collect();
                        let (mut low, mut high) = match ranges {
                            Some(ranges) => (ranges[d].0 as T, ranges[d].1 as T),
                            None if column.is_empty() => (0.0, 1.0),
                            None => range_of(&column),
                        };
                        if low == high {
                            (low, high) = (low - 0.5, high + 0.5);
                        }
                        check_range("histogramdd", low, high)?;
                        ensure!(*bins > 0, Value, "histogramdd: the number of bins must be positive, got {bins}");
                        check_room::<f64>("histogramdd", *bins)?;
                        kernels::uniform_edges(low, high, *bins)
                    }
                });
                let count = edges[d].len();
                ensure!(count > 1, Value, "histogramdd: dimension {d} has {count} edges, a bin needs two");
            }
            let cells: Shape = edges.iter().map(|edges| edges.len() - 1).collect();
            checked_numel("histogramdd", &cells)?;
            let mut counts = vec![0.0 as T; cells.numel()];
            for (i, point) in data.chunks_exact(dims).enumerate() {
                let cell = point.iter().zip(&edges).try_fold(0, |cell, (&x, edges)| {
                    bin_of(x, edges).map(|bin| cell * (edges.len() - 1) + bin)
                });
                if let Some(cell) = cell {
                    counts[cell] += weight.map_or(1.0, |w| w[i]);
                }
            }
            let edges = edges.iter().map(|e| Tensor::from_slice(e, e.len())).collect::<Result<Vec<_>>>()?;
            let counts = Tensor::from_slice(&counts, cells)?;
            Ok((if density { density_of(&counts, &edges)? } else { counts }, edges))
        })
    }
}

/// The bin of `x`: half open, but for the last, which has both ends. The bisection is the one PyTorch's results come from
/// where edges don't ascend.
fn bin_of<T: Copy + PartialOrd>(x: T, edges: &[T]) -> Option<usize> {
    let (&first, &last) = (edges.first()?, edges.last()?);
    if !(x >= first && x <= last) {
        return None;
    }
    let (mut low, mut len) = (0, edges.len());
    while len > 0 {
        let half = len / 2;
        if x < edges[low + half] {
            len = half;
        } else {
            low += half + 1;
            len -= half + 1;
        }
    }
    Some(low.saturating_sub(1).min(edges.len() - 2))
}

/// Counts divided by their sum and by the widths of their bins.
fn density_of(counts: &Tensor, edges: &[Tensor]) -> Result<Tensor> {
    let mut density = counts.div(&counts.sum()?)?;
    for (d, edges) in edges.iter().enumerate() {
        let bins = edges.shape()[0] - 1;
        let widths = edges.narrow(0, 1, bins)?.sub(&edges.narrow(0, 0, bins)?)?;
        let mut shape = vec![1; counts.rank()];
        shape[d] = bins;
        density = density.div(&widths.reshape(shape)?)?;
    }
    Ok(density)
}

/// The least and the greatest of some numbers; NaN if one is.
fn range_of<T: Copy + PartialOrd>(data: &[T]) -> (T, T) {
    let fold = |better: fn(&T, &T) -> bool| {
        let pick = |a: T, b: T| {
            if better(&a, &b) || a.partial_cmp(&a).is_none() {
                a
            } else {
                b
            }
        };
        data.iter().copied().reduce(pick).unwrap_or(data[0])
    };
    (fold(|a, b| a <= b), fold(|a, b| a >= b))
}

fn check_range(op: &str, low: impl Into<f64>, high: impl Into<f64>) -> Result<()> {
    let (low, high): (f64, f64) = (low.into(), high.into());
    ensure!(
        low.is_finite() && high.is_finite() && low < high,
        Value,
        "{op}: the range {low}..{high} is not finite and ascending"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_distinct_values() {
        let edges = Tensor::new([1.0f32, 3.0, 5.0]).unwrap();
        let x = Tensor::new([[3.0f32, 9.0], [0.0, 4.0]]).unwrap();
        assert_eq!(
            x.bucketize(&edges, false).unwrap().to_vec::<i64>().unwrap(),
            [1, 3, 0, 2]
        );
        assert_eq!(
            x.bucketize(&edges, true).unwrap().to_vec::<i64>().unwrap(),
            [2, 3, 0, 2]
        );
        let x = Tensor::new([[2i64, 1, 2], [2, 1, 2]]).unwrap();
        let found = x.unique(None).unwrap();
        assert_eq!(found.values.to_vec::<i64>().unwrap(), [1, 2]);
        assert_eq!(found.inverse.to_vec::<i64>().unwrap(), [1, 0, 1, 1, 0, 1]);
        let found = x.unique(Some(0)).unwrap();
        assert_eq!(
            (found.values.shape(), found.counts.item::<i64>().unwrap()),
            (&[1, 3][..], 2)
        );
        assert_eq!(x.unique_consecutive(Some(1)).unwrap().values.shape(), [2, 3]);
    }

    #[test]
    fn counts_and_histograms() {
        let x = Tensor::new([0i64, 3, 3]).unwrap();
        assert_eq!(
            x.bincount(None, 5).unwrap().to_vec::<i64>().unwrap(),
            [1, 0, 0, 2, 0]
        );
        let x = Tensor::new([0.0f64, 1.0, 1.0, 4.0]).unwrap();
        assert_eq!(
            x.histc(4, 0.0, 0.0).unwrap().to_vec::<f64>().unwrap(),
            [1.0, 2.0, 0.0, 1.0]
        );
        let (counts, edges) = x.histogram(&Bins::Count(2), None, None, true).unwrap();
        assert_eq!(counts.to_vec::<f64>().unwrap(), [0.375, 0.125]);
        assert_eq!(edges.to_vec::<f64>().unwrap(), [0.0, 2.0, 4.0]);
    }
}
