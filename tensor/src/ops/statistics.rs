//! Statistics and calculus on samples: `quantile`, `nanquantile`, `cov`, `corrcoef`, `trapezoid`,
//! `cumulative_trapezoid`, `diff`, `gradient`, `trace`.

use crate::amp::under_autocast;
use crate::shape::resolve_dim;
use crate::{DType, Result, Tensor, ensure};

/// What a quantile between two elements is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interpolation {
    /// On the line between them.
    #[default]
    Linear,
    /// The lower one.
    Lower,
    /// The higher one.
    Higher,
    /// Their mean.
    Midpoint,
    /// The nearer one; half way the one with the even rank.
    Nearest,
}

impl Interpolation {
    /// The interpolation of PyTorch's name.
    pub fn from_name(name: &str) -> Option<Interpolation> {
        Some(match name {
            "linear" => Interpolation::Linear,
            "lower" => Interpolation::Lower,
            "higher" => Interpolation::Higher,
            "midpoint" => Interpolation::Midpoint,
            "nearest" => Interpolation::Nearest,
            _ => return None,
        })
    }
}

/// Options of [`Tensor::quantile`] and [`Tensor::nanquantile`].
#[derive(Clone, Copy, Debug, Default)]
pub struct QuantileOptions {
    /// The dimension; all elements if absent.
    pub dim: Option<isize>,
    /// Whether the dimension is kept with size 1.
    pub keepdim: bool,
    /// What a quantile between two elements is.
    pub interpolation: Interpolation,
}

impl Tensor {
    /// The elements below which the fractions `q` of all lie; NaN if one is. With a 1-d `q` the result has a dimension for
    /// it in front.
    ///
    /// # Errors
    /// `Value` for a fraction outside 0..=1 or no elements; `Dim` if there is no such dimension; `DType` for integers or
    /// if the types differ; `Shape` if `q` has more than one dimension.
    pub fn quantile(&self, q: &Tensor, options: QuantileOptions) -> Result<Tensor> {
        under_autocast!("quantile": x = self, q => x.quantile(q, options));
        self.quantile_with("quantile", q, options, false)
    }

    /// [`Tensor::quantile`] of the elements that are not NaN.
    ///
    /// # Errors
    /// As [`Tensor::quantile`].
    pub fn nanquantile(&self, q: &Tensor, options: QuantileOptions) -> Result<Tensor> {
        under_autocast!("nanquantile": x = self, q => x.nanquantile(q, options));
        self.quantile_with("nanquantile", q, options, true)
    }

    fn quantile_with(
        &self,
        op: &str,
        q: &Tensor,
        options: QuantileOptions,
        ignore_nan: bool,
    ) -> Result<Tensor> {
        let (dtype, of_q) = (self.dtype(), q.dtype());
        ensure!(
            dtype.is_float() && dtype == of_q,
            DType,
            "{op}: expected a floating point tensor and q of the same type, got {dtype} and {of_q}"
        );
        ensure!(
            q.rank() <= 1,
            Shape,
            "{op}: q must be 0-d or 1-d, got {:?}",
            q.shape()
        );
        ensure!(self.numel() > 0, Value, "{op}: the tensor has no elements");
        let inside = q.to_vec_f64()?.iter().all(|q| (0.0..=1.0).contains(q));
        ensure!(
            inside,
            Value,
            "{op}: q must be between 0 and 1, got {:?}",
            q.to_vec_f64()?
        );
        let (rows, reduced) = match options.dim {
            None => (self.reshape(self.numel())?, vec![1; self.rank()]),
            Some(dim) => {
                let d = resolve_dim(op, dim, self.rank())?;
                let mut reduced = self.shape().to_vec();
                if let Some(size) = reduced.get_mut(d) {
                    *size = 1;
                }
                let rows = if self.rank() == 0 {
                    self.reshape(1)?
                } else {
                    self.transpose(d as isize, -1)?
                };
                (rows, reduced)
            }
        };
        let (sorted, _) = rows.sort(-1, false)?;
        let quantiles = sorted.interpolated(q, options.interpolation, ignore_nan)?;
        // The dimension of q is the last; the others stand as `transpose` left them.
        let q_first = quantiles.unsqueeze(0)?.transpose(0, -1)?;
        let sizes = [&[q.numel()][..], &reduced].concat();
        let mut kept = q_first;
        if let (Some(dim), true) = (options.dim, self.rank() > 0) {
            let d = resolve_dim(op, dim, self.rank())? as isize;
            kept = kept.transpose(d + 1, -1)?;
        }
        let kept = kept.reshape(sizes)?;
        let result = match (options.keepdim, options.dim) {
            (true, _) => kept,
            (false, None) => kept.reshape(q.numel())?,
            (false, Some(_)) if self.rank() == 0 => kept,
            (false, Some(dim)) => {
                let d = resolve_dim(op, dim, self.rank())? as isize;
                kept.squeeze_dim(d + 1)?
            }
        };
        if q.rank() == 0 {
            result.squeeze_dim(0)
        } else {
            Ok(result)
        }
    }

    /// The quantiles `q` of sorted rows, in the place of the last dimension.
    fn interpolated(&self, q: &Tensor, interpolation: Interpolation, ignore_nan: bool) -> Result<Tensor> {
        let last = self.size(-1)? - 1;
        let nan = self.isnan()?;
        let q = q.reshape(q.numel())?;
        let ranks = if ignore_nan {
            let numbers = nan.logical_not()?.sum_dim(-1, true)?.sub(1)?;
            let ranks = q.mul(&numbers.to_dtype(self.dtype())?)?;
            ranks.masked_fill(&ranks.lt(0.0)?, 0.0)?
        } else {
            // A row with a NaN has it at its end.
            let mut shape = self.shape().to_vec();
            shape[self.rank() - 1] = q.numel();
            let ranks = q.mul(last as f64)?.expand(shape)?;
            ranks.masked_fill(&nan.any_dim(-1, true)?, last as f64)?
        };
        let at = |ranks: &Tensor| self.gather(-1, &ranks.detach().to_dtype(DType::I64)?);
        match interpolation {
            Interpolation::Lower => at(&ranks.floor()?),
            Interpolation::Higher => at(&ranks.ceil()?),
            Interpolation::Nearest => at(&ranks.round()?),
            Interpolation::Linear | Interpolation::Midpoint => {
                let below_rank = ranks.detach().floor()?;
                let (below, above) = (at(&below_rank)?, at(&ranks.ceil()?)?);
                let distance = above.sub(&below)?;
                let step = if interpolation == Interpolation::Midpoint {
                    distance.mul(0.5)?
                } else {
                    distance.mul(&ranks.sub(&below_rank)?)?
                };
                below.add(&step)
            }
        }
    }

    /// The covariance matrix of variables (rows) over observations (columns), each of which may count with a frequency
    /// (an integer) and a weight. `correction` is subtracted from the number of observations.
    ///
    /// # Shapes
    /// `[variables, observations] → [variables, variables]`; `[observations] → []`.
    ///
    /// # Errors
    /// `Shape` for more than two dimensions or if the weights are not one for each observation.
    pub fn cov(
        &self,
        correction: f64,
        frequencies: Option<&Tensor>,
        weights: Option<&Tensor>,
    ) -> Result<Tensor> {
        ensure!(
            self.rank() <= 2,
            Shape,
            "cov: expected at most 2 dimensions, got {:?}",
            self.shape()
        );
        let dtype = self.dtype().to_float();
        let x = self.to_dtype(dtype)?;
        let x = if x.rank() < 2 {
            x.reshape((1, x.numel()))?
        } else {
            x
        };
        let observations = x.shape()[1];
        for weights in [frequencies, weights].into_iter().flatten() {
            ensure!(
                weights.shape() == [observations],
                Shape,
                "cov: weights {:?} for {observations} observations",
                weights.shape()
            );
        }
        // Weights are summed up in their own type, as PyTorch does.
        let of_weights = weights.map_or(dtype, |w| w.dtype().to_float());
        let frequencies = frequencies.map(|f| f.to_dtype(of_weights)).transpose()?;
        let weights = weights.map(|w| w.to_dtype(of_weights)).transpose()?;
        let total = match (&frequencies, &weights) {
            (Some(f), Some(w)) => Some(f.mul(w)?),
            (f, w) => f.clone().or(w.clone()),
        };
        let (mean, factor) = match &total {
            None => {
                let freedom = (observations as f64 - correction).max(0.0);
                (x.mean_dim(1, true)?, Tensor::full((), freedom, dtype)?)
            }
            Some(total) => {
                let sum = total.sum()?;
                let mean = x.mul(total)?.sum_dim(1, true)?.div(&sum)?;
                let factor = match &weights {
                    Some(w) if correction != 0.0 => {
                        sum.sub(&total.mul(w)?.sum()?.div(&sum)?.mul(correction)?)?
                    }
                    _ => sum.sub(correction)?,
                };
                (mean, factor.masked_fill(&factor.le(0.0)?, 0.0)?)
            }
        };
        let centred = x.sub(&mean)?;
        let weighted = match &total {
            None => centred.clone(),
            Some(total) => centred.mul(total)?,
        };
        let (weighted, centred) = (weighted.to_dtype(centred.dtype())?, centred.t()?);
        weighted.matmul(&centred)?.div(&factor)?.squeeze()
    }

    /// The correlation matrix of variables (rows) over observations (columns), in -1..=1.
    ///
    /// # Errors
    /// `Shape` for more than two dimensions.
    pub fn corrcoef(&self) -> Result<Tensor> {
        let cov = self
            .cov(1.0, None, None)
            .map_err(|error| error.context("corrcoef"))?;
        if cov.rank() == 0 {
            return cov.div(&cov);
        }
        let deviations = cov.diagonal(0, 0, 1)?.sqrt()?;
        let scaled = cov
            .div(&deviations.unsqueeze(1)?)?
            .div(&deviations.unsqueeze(0)?)?;
        scaled.clamp(Some((-1.0).into()), Some(1.0.into()))
    }

    /// The integral along a dimension by trapezoids, between points `x` or at steps of 1 if absent. A 1-d `x` goes along
    /// `dim`.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Broadcast` if `x` does not fit.
    pub fn trapezoid(&self, x: Option<&Tensor>, dim: isize) -> Result<Tensor> {
        let d = resolve_dim("trapezoid", dim, self.rank())?;
        ensure!(self.rank() > 0, Dim, "trapezoid: expected at least one dimension");
        self.trapezoids("trapezoid", x, d)?
            .sum_dim(d as isize, false)?
            .div(2.0)
    }

    /// The running integral along a dimension by trapezoids; see [`Tensor::trapezoid`].
    ///
    /// # Errors
    /// As [`Tensor::trapezoid`].
    pub fn cumulative_trapezoid(&self, x: Option<&Tensor>, dim: isize) -> Result<Tensor> {
        let d = resolve_dim("cumulative_trapezoid", dim, self.rank())?;
        ensure!(
            self.rank() > 0,
            Dim,
            "cumulative_trapezoid: expected at least one dimension"
        );
        self.trapezoids("cumulative_trapezoid", x, d)?
            .cumsum(d as isize)?
            .div(2.0)
    }

    /// Twice the area between each two neighbours along `dim`.
    fn trapezoids(&self, op: &str, x: Option<&Tensor>, dim: usize) -> Result<Tensor> {
        let (axis, len) = (dim as isize, self.shape()[dim]);
        let pairs = len.saturating_sub(1);
        let heights =
            self.narrow(axis, 0, pairs)?
                .add(&self.narrow(axis, (len - pairs) as isize, pairs)?)?;
        let Some(x) = x else { return Ok(heights) };
        let mut shape = vec![1; self.rank().max(x.rank())];
        if x.rank() == 1 {
            ensure!(
                x.numel() == len,
                Shape,
                "{op}: points {:?} for dimension {dim} of size {len} of {:?}",
                x.shape(),
                self.shape()
            );
            shape[dim] = len;
        } else {
            let lead = shape.len() - x.rank();
            shape[lead..].copy_from_slice(x.shape());
        }
        let x = x.reshape(shape)?;
        let width = x.size(axis)?.saturating_sub(1);
        let widths = x
            .narrow(axis, (x.size(axis)? - width) as isize, width)?
            .sub(&x.narrow(axis, 0, width)?)?;
        widths.mul(&heights)
    }

    /// The `n`-th difference of neighbours along a dimension, after `prepend` and `append` have been joined to it. Of
    /// bools, whether they differ.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Shape` if what is joined does not fit.
    pub fn diff(
        &self,
        n: usize,
        dim: isize,
        prepend: Option<&Tensor>,
        append: Option<&Tensor>,
    ) -> Result<Tensor> {
        ensure!(self.rank() > 0, Dim, "diff: expected at least one dimension");
        let d = resolve_dim("diff", dim, self.rank())? as isize;
        let parts: Vec<&Tensor> = prepend.into_iter().chain([self]).chain(append).collect();
        let mut x = if parts.len() > 1 && n > 0 {
            Tensor::cat(&parts, d)?
        } else {
            self.clone()
        };
        for _ in 0..n.min(x.size(d)?) {
            let len = x.size(d)?;
            let pairs = len.saturating_sub(1);
            let (low, high) = (
                x.narrow(d, 0, pairs)?,
                x.narrow(d, (len - pairs) as isize, pairs)?,
            );
            x = if x.dtype() == DType::Bool {
                high.logical_xor(&low)?
            } else {
                high.sub(&low)?
            };
        }
        Ok(x)
    }

    /// The derivative along a dimension by finite differences: central ones inside, one-sided ones of order `edge_order`
    /// (1 or 2) at the ends (`torch.gradient` along one dimension).
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Value` for another order or fewer than `edge_order + 1` elements; `Shape` if
    /// the coordinates are not one for each index.
    pub fn gradient(&self, spacing: &Spacing, dim: isize, edge_order: usize) -> Result<Tensor> {
        let d = resolve_dim("gradient", dim, self.rank())?;
        let len = self.size(dim)?;
        ensure!(
            matches!(edge_order, 1 | 2),
            Value,
            "gradient: edge_order must be 1 or 2, got {edge_order}"
        );
        ensure!(
            len > edge_order && self.rank() > 0,
            Value,
            "gradient: dimension {dim} of size {len} needs at least {} elements",
            edge_order + 1
        );
        let x = self.to_dtype(self.dtype().to_float())?;
        let widths = match spacing {
            Spacing::Step(step) => Tensor::full(len - 1, *step, x.dtype())?,
            Spacing::Coordinates(at) => {
                ensure!(
                    at.shape() == [len],
                    Shape,
                    "gradient: coordinates {:?} for {len} indices",
                    at.shape()
                );
                at.to_dtype(x.dtype())?.diff(1, 0, None, None)?
            }
        };
        let axis = d as isize;
        // Coefficients along `dim`, of the three neighbours of each inner point.
        let along = |w: Tensor| -> Result<Tensor> {
            let mut shape = vec![1; x.rank()];
            shape[d] = w.numel();
            w.reshape(shape)
        };
        let width = |i: isize| -> Result<Tensor> { along(widths.narrow(0, i, 1)?) };
        let point = |i: isize| x.narrow(axis, i, 1);
        let inner = len - 2;
        let mut parts = Vec::with_capacity(3);
        let ends = [(0, 1, 2, 0, 1, 1.0), (-1, -2, -3, -1, -2, -1.0)];
        let mut edges = Vec::with_capacity(2);
        for (first, second, third, near, far, sign) in ends {
            let near = width(near)?;
            edges.push(if edge_order == 1 {
                point(second)?.sub(&point(first)?)?.mul(sign)?.div(&near)?
            } else {
                let far = width(far)?;
                let both = near.add(&far)?;
                let a = near.mul(2.0)?.add(&far)?.div(&near.mul(&both)?)?.neg()?;
                let b = both.div(&near.mul(&far)?)?;
                let c = near.div(&far.mul(&both)?)?.neg()?;
                let sum = point(first)?.mul(&a)?.add(&point(second)?.mul(&b)?)?;
                sum.add(&point(third)?.mul(&c)?)?.mul(sign)?
            });
        }
        if inner > 0 {
            let (low, high) = (
                along(widths.narrow(0, 0, inner)?)?,
                along(widths.narrow(0, 1, inner)?)?,
            );
            let both = low.add(&high)?;
            let a = high.div(&low.mul(&both)?)?.neg()?;
            let b = high.sub(&low)?.div(&low.mul(&high)?)?;
            let c = low.div(&high.mul(&both)?)?;
            let sum = x
                .narrow(axis, 0, inner)?
                .mul(&a)?
                .add(&x.narrow(axis, 1, inner)?.mul(&b)?)?;
            parts.push(sum.add(&x.narrow(axis, 2, inner)?.mul(&c)?)?);
        }
        let all: Vec<&Tensor> = edges[..1].iter().chain(&parts).chain(&edges[1..]).collect();
        Tensor::cat(&all, axis)
    }

    /// The sum of the diagonal of a matrix. Integers are summed as `int64`.
    ///
    /// # Errors
    /// `Shape` unless there are two dimensions.
    pub fn trace(&self) -> Result<Tensor> {
        under_autocast!("trace": x = self => x.trace());
        ensure!(
            self.rank() == 2,
            Shape,
            "trace: expected a matrix, got {:?}",
            self.shape()
        );
        self.diagonal(0, 0, 1)?.sum()
    }
}

/// Where the samples of [`Tensor::gradient`] stand.
#[derive(Clone, Debug)]
pub enum Spacing {
    /// This far apart.
    Step(f64),
    /// At these 1-d coordinates.
    Coordinates(Tensor),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(x: &Tensor, expected: &[f64]) {
        let x = x.to_vec_f64().unwrap();
        assert_eq!(x.len(), expected.len());
        assert!(
            x.iter().zip(expected).all(|(x, e)| (x - e).abs() < 1e-12),
            "{x:?} {expected:?}"
        );
    }

    #[test]
    fn quantiles() {
        let x = Tensor::new([[4.0f64, 1.0, 2.0], [f64::NAN, 5.0, 3.0]]).unwrap();
        let q = Tensor::new([0.5f64, 0.25]).unwrap();
        let options = QuantileOptions {
            dim: Some(1),
            ..QuantileOptions::default()
        };
        let found = x.nanquantile(&q, options).unwrap();
        assert_eq!(found.shape(), [2, 2]);
        close(&found, &[2.0, 4.0, 1.5, 3.5]);
        assert!(x.quantile(&q, options).unwrap().to_vec::<f64>().unwrap()[1].is_nan());
        let all = Tensor::new([1.0f64, 2.0])
            .unwrap()
            .quantile(&Tensor::scalar(0.5f64), QuantileOptions::default());
        assert_eq!(all.unwrap().item::<f64>().unwrap(), 1.5);
    }

    #[test]
    fn calculus() {
        let y = Tensor::new([1.0f64, 4.0, 9.0, 16.0]).unwrap();
        close(
            &y.gradient(&Spacing::Step(1.0), 0, 2).unwrap(),
            &[2.0, 4.0, 6.0, 8.0],
        );
        close(
            &y.gradient(&Spacing::Step(2.0), 0, 1).unwrap(),
            &[1.5, 2.0, 3.0, 3.5],
        );
        close(&y.diff(2, 0, None, None).unwrap(), &[2.0, 2.0]);
        close(&y.trapezoid(None, 0).unwrap(), &[21.5]);
        let x = Tensor::new([0.0f64, 1.0, 3.0, 4.0]).unwrap();
        close(&y.cumulative_trapezoid(Some(&x), -1).unwrap(), &[2.5, 15.5, 28.0]);
        let flags = Tensor::new([true, false, false]).unwrap();
        assert_eq!(
            flags.diff(1, 0, None, None).unwrap().to_vec::<bool>().unwrap(),
            [true, false]
        );
    }

    #[test]
    fn covariance() {
        let x = Tensor::new([[0.0f64, 1.0, 2.0], [2.0, 1.0, 0.0]]).unwrap();
        close(&x.cov(1.0, None, None).unwrap(), &[1.0, -1.0, -1.0, 1.0]);
        close(&x.corrcoef().unwrap(), &[1.0, -1.0, -1.0, 1.0]);
    }
}
