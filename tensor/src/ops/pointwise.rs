//! Element-wise functions composed of others: `ldexp`, `frexp`, `nan_to_num`, `angle`, …

use flambeau_kernels::special::frexp;

use crate::ops::create::full_value;
use crate::value::Value;
use crate::{DType, Operand, Result, Scalar, Tensor, ensure};

impl Tensor {
    /// The sign: [`Tensor::sign`] for real tensors.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn sgn(&self) -> Result<Tensor> {
        self.sign()
    }

    /// `self·2^exponent`.
    ///
    /// # Errors
    /// `Broadcast` if the shapes don't broadcast.
    pub fn ldexp(&self, exponent: &Tensor) -> Result<Tensor> {
        let exponent = if exponent.dtype().is_float() || !self.dtype().is_float() {
            exponent.exp2()?
        } else {
            exponent.to_dtype(self.dtype())?.exp2()?
        };
        self.mul(&exponent).map_err(|error| error.context("ldexp"))
    }

    /// Mantissa and exponent: `self = mantissa·2^exponent` with `0.5 ≤ |mantissa| < 1`, the exponent as `int32`.
    ///
    /// # Errors
    /// `DType` unless the tensor is of a floating point type.
    pub fn frexp(&self) -> Result<(Tensor, Tensor)> {
        self.expect_float("frexp")?;
        let x = self.value().cast(DType::F64)?;
        let numbers = x.data::<f64>()?;
        let exponents = Value::build::<i32>(DType::I32, x.shape.clone(), |out| {
            for (o, &x) in out.iter_mut().zip(numbers) {
                *o = frexp(x).1;
            }
        })?;
        let exponents = Tensor::from_value(exponents);
        // Two steps: the inverse of a subnormal number's power of two is infinite.
        let half = exponents.trunc_divide(2)?;
        let power = |exponent: Tensor| exponent.neg()?.to_dtype(self.dtype())?.exp2();
        let mantissa = self
            .mul(&power(half.clone())?)?
            .mul(&power(exponents.sub(&half)?)?)?;
        Ok((mantissa, exponents))
    }

    /// The angle in the complex plane: 0 for positive numbers, π for negative ones.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn angle(&self) -> Result<Tensor> {
        let x = self.to_dtype(self.dtype().to_float())?;
        let angle = x.sign()?.mul(-std::f64::consts::PI)?.relu()?;
        x.isnan()?.where_cond(&x, &angle)
    }

    /// NaN, positive and negative infinity replaced by numbers: 0 and the greatest and least finite ones where `None` is
    /// given.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn nan_to_num(&self, nan: Option<f64>, posinf: Option<f64>, neginf: Option<f64>) -> Result<Tensor> {
        let dtype = self.dtype();
        if !dtype.is_float() {
            return Ok(self.clone());
        }
        let greatest = match dtype {
            DType::F16 => half::f16::MAX.to_f64(),
            DType::BF16 => half::bf16::MAX.to_f64(),
            DType::F32 => f64::from(f32::MAX),
            _ => f64::MAX,
        };
        let finite = self.isneginf()?.where_cond(neginf.unwrap_or(-greatest), self)?;
        let finite = self.isposinf()?.where_cond(posinf.unwrap_or(greatest), &finite)?;
        self.isnan()?.where_cond(nan.unwrap_or(0.0), &finite)
    }
}

/// Writing whole tensors.
impl Tensor {
    /// Every element replaced by `value`, a number or a 0-d tensor (`fill`). The gradient reaches the value.
    ///
    /// # Errors
    /// `Shape` if the value is a tensor with dimensions.
    pub fn fill<'a>(&self, value: impl Into<Operand<'a>>) -> Result<Tensor> {
        match value.into() {
            Operand::Scalar(scalar) => self.full_like(scalar),
            Operand::Tensor(value) => {
                ensure!(
                    value.rank() == 0,
                    Shape,
                    "fill: expected a number or a 0-d tensor, got {:?}",
                    value.shape()
                );
                value.to_dtype(self.dtype())?.expand(self.shape())?.contiguous()
            }
        }
    }

    /// [`Tensor::fill`] in place.
    ///
    /// # Errors
    /// As [`Tensor::fill`]; `Autograd` for a leaf that requires a gradient.
    pub fn fill_<'a>(&self, value: impl Into<Operand<'a>>) -> Result<&Tensor> {
        self.replace("fill_", self.fill(value)?)
    }

    /// Every element set to 0, in place.
    ///
    /// # Errors
    /// `Autograd` for a leaf that requires a gradient.
    pub fn zero_(&self) -> Result<&Tensor> {
        let zeros = full_value(self.dims().clone(), Scalar::Int(0), self.dtype())?;
        self.replace("zero_", Tensor::from_value(zeros))
    }

    /// The elements of `source`, broadcast and cast, written over this tensor's. The gradient reaches the source.
    ///
    /// # Errors
    /// `Broadcast` if the source does not broadcast to this tensor's shape; `Autograd` for a leaf that requires a
    /// gradient.
    pub fn copy_(&self, source: &Tensor) -> Result<&Tensor> {
        self.check_writable("copy_")?;
        let source = source.to_dtype(self.dtype())?;
        let expanded = source
            .expand(self.shape())
            .map_err(|error| error.context("copy_"))?;
        self.replace("copy_", expanded.contiguous()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mantissas_and_exponents() {
        let x = Tensor::new([-10.0f64, 0.0, f64::from_bits(1), f64::INFINITY]).unwrap();
        let (mantissa, exponent) = x.frexp().unwrap();
        assert_eq!(
            mantissa.to_vec::<f64>().unwrap(),
            [-0.625, 0.0, 0.5, f64::INFINITY]
        );
        assert_eq!(exponent.to_vec::<i32>().unwrap(), [4, 0, -1073, 0]);
        let scaled = Tensor::new([3.0f32])
            .unwrap()
            .ldexp(&Tensor::new([4i64]).unwrap())
            .unwrap();
        assert_eq!(scaled.to_vec::<f32>().unwrap(), [48.0]);
    }

    #[test]
    fn replacements_of_infinities() {
        let x = Tensor::new([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.0]).unwrap();
        let finite = x.nan_to_num(Some(2.0), None, Some(-3.0)).unwrap();
        assert_eq!(finite.to_vec::<f32>().unwrap(), [2.0, f32::MAX, -3.0, 1.0]);
        let angle = Tensor::new([-2i64, 3]).unwrap().angle().unwrap();
        assert_eq!(angle.to_vec::<f32>().unwrap(), [std::f32::consts::PI, 0.0]);
    }

    #[test]
    fn writing_leaves_other_views_alone() {
        let x = Tensor::new([1.0f32, 2.0]).unwrap();
        let view = x.narrow(0, 0, 1).unwrap();
        x.fill_(7).unwrap();
        assert_eq!(view.to_vec::<f32>().unwrap(), [1.0]);
        x.copy_(&Tensor::new([[9i64]]).unwrap().reshape([1]).unwrap())
            .unwrap();
        assert_eq!(x.to_vec::<f32>().unwrap(), [9.0, 9.0]);
        assert_eq!(x.zero_().unwrap().to_vec::<f32>().unwrap(), [0.0, 0.0]);
        assert!(x.fill(&Tensor::new([1.0f32]).unwrap()).is_err());
    }
}
