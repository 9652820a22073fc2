//! Reductions and normalisations of the elements that a mask keeps (`torch.masked`).
//!
//! A mask is a bool tensor that broadcasts to the input; where it is false the element counts for nothing. That is done
//! by putting the operation's identity in its place: 0 for sums, 1 for products, -∞ for maxima and softmax.

use crate::{DType, Operand, Result, Scalar, Tensor, ensure};

/// What all masked operations take.
#[derive(Clone, Debug, Default)]
pub struct Masked {
    /// Which elements count; all if absent.
    pub mask: Option<Tensor>,
    /// The dimensions to reduce; all if absent.
    pub dims: Option<Vec<isize>>,
    /// Whether they are kept with size 1.
    pub keepdim: bool,
    /// The type to compute in; PyTorch's choice if absent.
    pub dtype: Option<DType>,
}

impl Masked {
    fn dims(&self, x: &Tensor) -> Vec<isize> {
        let all = || (0..x.rank() as isize).collect();
        self.dims.clone().unwrap_or_else(all)
    }

    fn cast(&self, x: &Tensor) -> Result<Tensor> {
        self.dtype
            .map_or_else(|| Ok(x.clone()), |dtype| x.to_dtype(dtype))
    }

    fn cast_to_float(&self, x: &Tensor) -> Result<Tensor> {
        x.to_dtype(self.dtype.unwrap_or(x.dtype().to_float()))
    }

    /// `x` with `identity` where the mask is false.
    fn fill(&self, x: &Tensor, identity: impl Into<Scalar>) -> Result<Tensor> {
        filled(x, self.mask.as_ref(), identity.into())
    }
}

fn filled(x: &Tensor, mask: Option<&Tensor>, identity: Scalar) -> Result<Tensor> {
    let Some(mask) = mask else {
        return Ok(x.clone());
    };
    ensure!(
        mask.dtype() == DType::Bool,
        DType,
        "masked: expected a bool mask, got {}",
        mask.dtype()
    );
    let outside = mask.expand(x.shape())?.logical_not()?;
    x.masked_fill(&outside, Operand::Scalar(identity))
}

/// The least value of a type, the identity of maxima.
fn least(dtype: DType) -> Scalar {
    match dtype {
        DType::Bool => Scalar::Bool(false),
        DType::U8 => Scalar::Int(0),
        DType::I8 => Scalar::Int(i8::MIN as i64),
        DType::I16 => Scalar::Int(i16::MIN as i64),
        DType::I32 => Scalar::Int(i32::MIN as i64),
        DType::I64 => Scalar::Int(i64::MIN),
        _ => Scalar::Float(f64::NEG_INFINITY),
    }
}

/// The greatest value of a type, the identity of minima.
fn greatest(dtype: DType) -> Scalar {
    match dtype {
        DType::Bool => Scalar::Bool(true),
        DType::U8 => Scalar::Int(u8::MAX as i64),
        DType::I8 => Scalar::Int(i8::MAX as i64),
        DType::I16 => Scalar::Int(i16::MAX as i64),
        DType::I32 => Scalar::Int(i32::MAX as i64),
        DType::I64 => Scalar::Int(i64::MAX),
        _ => Scalar::Float(f64::INFINITY),
    }
}

/// The sum.
///
/// # Errors
/// `Dim` if there is no such dimension; `Broadcast` if the mask does not broadcast to the input.
pub fn sum(x: &Tensor, masked: &Masked) -> Result<Tensor> {
    let x = masked.cast(x)?;
    let sum = masked.fill(&x, 0i64)?.sum_dim(masked.dims(&x), masked.keepdim)?;
    masked.cast(&sum)
}

/// The product.
///
/// # Errors
/// As [`sum`].
pub fn prod(x: &Tensor, masked: &Masked) -> Result<Tensor> {
    let x = masked.cast(x)?;
    let product = masked.fill(&x, 1i64)?.prod_dim(masked.dims(&x), masked.keepdim)?;
    masked.cast(&product)
}

/// The greatest element.
///
/// # Errors
/// As [`sum`]; `Value` if a dimension is empty.
pub fn amax(x: &Tensor, masked: &Masked) -> Result<Tensor> {
    let x = masked.cast(x)?;
    masked
        .fill(&x, least(x.dtype()))?
        .amax(masked.dims(&x), masked.keepdim)
}

/// The least element.
///
/// # Errors
/// As [`sum`]; `Value` if a dimension is empty.
pub fn amin(x: &Tensor, masked: &Masked) -> Result<Tensor> {
    let x = masked.cast(x)?;
    masked
        .fill(&x, greatest(x.dtype()))?
        .amin(masked.dims(&x), masked.keepdim)
}

/// The index of the greatest element along a dimension or of all.
///
/// # Errors
/// As [`sum`]; `Value` if there are no elements.
pub fn argmax(x: &Tensor, dim: Option<isize>, masked: &Masked) -> Result<Tensor> {
    let x = masked.cast(x)?;
    masked.fill(&x, least(x.dtype()))?.argmax(dim, masked.keepdim)
}

/// The index of the least element along a dimension or of all.
///
/// # Errors
/// As [`sum`]; `Value` if there are no elements.
pub fn argmin(x: &Tensor, dim: Option<isize>, masked: &Masked) -> Result<Tensor> {
    let x = masked.cast(x)?;
    masked.fill(&x, greatest(x.dtype()))?.argmin(dim, masked.keepdim)
}

/// How many elements count in each reduction, as `int64`.
fn count(x: &Tensor, masked: &Masked, keepdim: bool) -> Result<Tensor> {
    let ones = Tensor::ones(x.shape(), DType::I64)?;
    masked.fill(&ones, 0i64)?.sum_dim(masked.dims(x), keepdim)
}

/// The mean; NaN where nothing counts.
///
/// # Errors
/// As [`sum`]; `DType` for integers.
pub fn mean(x: &Tensor, masked: &Masked) -> Result<Tensor> {
    let x = masked.cast(x)?;
    ensure!(
        x.dtype().is_float(),
        DType,
        "masked.mean: expected a floating point tensor, got {}",
        x.dtype()
    );
    if masked.mask.is_none() {
        return x.mean_dim(masked.dims(&x), masked.keepdim);
    }
    sum(&x, masked)?.div(&count(&x, masked, masked.keepdim)?)
}

/// The variance, `Σ(x - mean)²/max(n - correction, 0)`.
///
/// # Errors
/// As [`sum`].
pub fn var(x: &Tensor, correction: f64, masked: &Masked) -> Result<Tensor> {
    let x = masked.cast_to_float(x)?;
    let kept = Masked {
        keepdim: true,
        ..masked.clone()
    };
    let n = count(&x, masked, true)?;
    let deviation = x.sub(&sum(&x, &kept)?.div(&n)?)?;
    let total = sum(&deviation.square()?, masked)?;
    let freedom = n.to_dtype(x.dtype())?.sub(correction)?.clamp_min(0.0)?;
    total.div(&freedom.reshape(total.shape())?)
}

/// The standard deviation: the root of [`var`].
///
/// # Errors
/// As [`sum`].
pub fn std(x: &Tensor, correction: f64, masked: &Masked) -> Result<Tensor> {
    var(x, correction, masked)?.sqrt()
}

/// The `p`-norm.
///
/// # Errors
/// As [`sum`].
pub fn norm(x: &Tensor, p: f64, masked: &Masked) -> Result<Tensor> {
    let x = masked.cast_to_float(x)?;
    let identity = if p == f64::NEG_INFINITY {
        f64::INFINITY
    } else {
        0.0
    };
    masked
        .fill(&x, identity)?
        .vector_norm(p, masked.dims(&x), masked.keepdim)
}

/// `x/max(‖x‖ₚ, eps)` along a dimension.
///
/// # Errors
/// As [`sum`].
pub fn normalize(x: &Tensor, p: f64, dim: isize, eps: f64, masked: &Masked) -> Result<Tensor> {
    let x = masked.cast_to_float(x)?;
    let kept = Masked {
        dims: Some(vec![dim]),
        keepdim: true,
        ..masked.clone()
    };
    let norm = norm(&x, p, &kept)?;
    masked.fill(&x, 0.0)?.div(&norm.maximum(eps)?)
}

/// The lower median along a dimension; NaN where nothing counts.
///
/// # Errors
/// As [`sum`]; `DType` for integers with a mask.
pub fn median(x: &Tensor, dim: isize, masked: &Masked) -> Result<Tensor> {
    let x = masked.cast(x)?;
    if masked.mask.is_none() {
        return Ok(x.median_dim(dim, masked.keepdim)?.0);
    }
    ensure!(
        x.dtype().is_float(),
        DType,
        "masked.median: expected a floating point tensor, got {}",
        x.dtype()
    );
    Ok(masked.fill(&x, f64::NAN)?.nanmedian_dim(dim, masked.keepdim)?.0)
}

/// `log Σeˣ`, in the input's type: cut off to integers for integers, as PyTorch does.
///
/// # Errors
/// As [`sum`].
pub fn logsumexp(x: &Tensor, masked: &Masked) -> Result<Tensor> {
    let x = masked.cast(x)?;
    let result = masked
        .fill(&x, least(x.dtype()))?
        .logsumexp(masked.dims(&x), masked.keepdim)?;
    result.to_dtype(x.dtype())
}

/// `log(eˣ + eʸ)` of two tensors with a mask each.
///
/// # Errors
/// `Broadcast` if a mask does not broadcast to its tensor.
pub fn logaddexp(x: &Tensor, y: &Tensor, x_mask: Option<&Tensor>, y_mask: Option<&Tensor>) -> Result<Tensor> {
    let nothing = Scalar::Float(f64::NEG_INFINITY);
    filled(x, x_mask, nothing)?.logaddexp(&filled(y, y_mask, nothing)?)
}

/// Softmax along a dimension over what counts.
///
/// # Errors
/// As [`sum`].
pub fn softmax(x: &Tensor, dim: isize, masked: &Masked) -> Result<Tensor> {
    let x = masked.cast_to_float(x)?;
    masked.fill(&x, f64::NEG_INFINITY)?.softmax(dim)
}

/// Softmax of the negated elements along a dimension over what counts.
///
/// # Errors
/// As [`sum`].
pub fn softmin(x: &Tensor, dim: isize, masked: &Masked) -> Result<Tensor> {
    let x = masked.cast_to_float(x)?;
    masked.fill(&x, f64::INFINITY)?.softmin(dim)
}

/// The logarithm of softmax along a dimension over what counts.
///
/// # Errors
/// As [`sum`].
pub fn log_softmax(x: &Tensor, dim: isize, masked: &Masked) -> Result<Tensor> {
    let x = masked.cast_to_float(x)?;
    masked.fill(&x, f64::NEG_INFINITY)?.log_softmax(dim)
}

/// The running sum along a dimension, in the input's type.
///
/// # Errors
/// As [`sum`].
pub fn cumsum(x: &Tensor, dim: isize, masked: &Masked) -> Result<Tensor> {
    let x = masked.cast(x)?;
    masked.fill(&x, 0i64)?.cumsum(dim)?.to_dtype(x.dtype())
}

/// The running product along a dimension, in the input's type.
///
/// # Errors
/// As [`sum`].
pub fn cumprod(x: &Tensor, dim: isize, masked: &Masked) -> Result<Tensor> {
    let x = masked.cast(x)?;
    masked.fill(&x, 1i64)?.cumprod(dim)?.to_dtype(x.dtype())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_masked_out_does_not_count() {
        let x = Tensor::new([[1.0f64, 2.0, 9.0], [4.0, 5.0, 6.0]]).unwrap();
        let masked = Masked {
            mask: Some(Tensor::new([[true, true, false], [false, false, false]]).unwrap()),
            dims: Some(vec![1]),
            ..Masked::default()
        };
        assert_eq!(sum(&x, &masked).unwrap().to_vec::<f64>().unwrap(), [3.0, 0.0]);
        assert_eq!(mean(&x, &masked).unwrap().to_vec::<f64>().unwrap()[0], 1.5);
        assert_eq!(
            amax(&x, &masked).unwrap().to_vec::<f64>().unwrap(),
            [2.0, f64::NEG_INFINITY]
        );
        assert_eq!(var(&x, 1.0, &masked).unwrap().to_vec::<f64>().unwrap()[0], 0.5);
        assert_eq!(median(&x, 1, &masked).unwrap().to_vec::<f64>().unwrap()[0], 1.0);
        assert_eq!(softmax(&x, 1, &masked).unwrap().to_vec::<f64>().unwrap()[2], 0.0);
    }
}
