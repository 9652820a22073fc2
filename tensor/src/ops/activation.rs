//! Activation functions (`torch.nn.functional`'s element-wise ones): `relu`, `gelu`, `softplus`, …
//!
//! All but the rectifiers that also take integers want a floating point tensor. Defaults are PyTorch's and named in
//! each function's doc.

use flambeau_kernels::unary::{Unary, UnaryInt};

use crate::amp::under_autocast;
use crate::{DType, Result, Scalar, Tensor, ensure, no_grad};

/// SELU's constants, for which activations keep zero mean and unit variance.
const SELU_ALPHA: f64 = 1.673_263_242_354_377_3;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

/// Activations without parameters, and the same in place.
macro_rules! activations {
    ($($(#[$doc:meta])* $name:ident, $in_place:ident => $function:expr;)*) => {
        impl Tensor { $(
            $(#[$doc])*
            ///
            /// # Errors
            /// `DType` unless the tensor is of a floating point type.
            pub fn $name(&self) -> Result<Tensor> {
                self.expect_float(stringify!($name))?;
                self.unary(stringify!($name), $function)
            }

            #[doc = concat!("[`Tensor::", stringify!($name), "`] in place.")]
            ///
            /// # Errors
            /// `DType` unless the tensor is of a floating point type; `Autograd` for a leaf that requires a gradient.
            pub fn $in_place(&self) -> Result<&Tensor> {
                self.expect_float(stringify!($in_place))?;
                self.unary_(stringify!($in_place), $function)
            }
        )* }
    };
}

activations! {
    /// `log(sigmoid(x))`, without overflow.
    logsigmoid, logsigmoid_ => Unary::LogSigmoid;
    /// `x·Φ(x)` with the normal distribution function Φ.
    gelu, gelu_ => Unary::Gelu;
    /// GELU's approximation `x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))` (`gelu(approximate="tanh")`).
    gelu_tanh, gelu_tanh_ => Unary::GeluTanh;
    /// `x·sigmoid(x)`, also called swish.
    silu, silu_ => Unary::Silu;
    /// `x·tanh(log(1 + eˣ))`.
    mish, mish_ => Unary::Mish;
    /// `min(max(x + 3, 0), 6)/6`.
    hardsigmoid, hardsigmoid_ => Unary::Hardsigmoid;
    /// `x·min(max(x + 3, 0), 6)/6`.
    hardswish, hardswish_ => Unary::Hardswish;
    /// `scale·(max(0, x) + min(0, alpha·(eˣ - 1)))` with the constants of self-normalising networks.
    selu, selu_ => Unary::Elu { alpha: SELU_ALPHA, scale: SELU_SCALE, input_scale: 1.0 };
}

impl Tensor {
    /// `max(x, 0)`.
    ///
    /// # Errors
    /// `DType` for bool tensors.
    pub fn relu(&self) -> Result<Tensor> {
        self.refuse_bool("relu")?;
        self.unary_of_numbers("relu", Unary::Relu, UnaryInt::Clamp(0, i64::MAX))
    }

    /// [`Tensor::relu`] in place.
    ///
    /// # Errors
    /// `DType` for bool tensors; `Autograd` for a leaf that requires a gradient.
    pub fn relu_(&self) -> Result<&Tensor> {
        if self.dtype().is_float() {
            return self.unary_("relu_", Unary::Relu);
        }
        self.replace("relu_", self.relu()?)
    }

    /// `min(max(x, 0), 6)`.
    ///
    /// # Errors
    /// `DType` for bool tensors.
    pub fn relu6(&self) -> Result<Tensor> {
        self.hardtanh(0.0, 6.0)
    }

    /// `x` between `min` and `max` (PyTorch's defaults: -1 and 1).
    ///
    /// # Errors
    /// `Value` if `min > max`; `DType` for bool tensors.
    pub fn hardtanh(&self, min: f64, max: f64) -> Result<Tensor> {
        ensure!(min <= max, Value, "hardtanh: min {min} is greater than max {max}");
        self.refuse_bool("hardtanh")?;
        self.unary_of_numbers(
            "hardtanh",
            Unary::Hardtanh(min, max),
            UnaryInt::Clamp(min as i64, max as i64),
        )
    }

    /// `x` if positive, else `negative_slope·x` (PyTorch's default: 0.01).
    ///
    /// # Errors
    /// `DType` unless the tensor is of a floating point type.
    pub fn leaky_relu(&self, negative_slope: f64) -> Result<Tensor> {
        self.expect_float("leaky_relu")?;
        self.unary("leaky_relu", Unary::LeakyRelu(negative_slope))
    }

    /// `x` if positive, else `alpha·(eˣ - 1)` (PyTorch's default: 1).
    ///
    /// # Errors
    /// `DType` unless the tensor is of a floating point type.
    pub fn elu(&self, alpha: f64) -> Result<Tensor> {
        self.expect_float("elu")?;
        let (scale, input_scale) = (1.0, 1.0);
        self.unary(
            "elu",
            Unary::Elu {
                alpha,
                scale,
                input_scale,
            },
        )
    }

    /// `max(0, x) + min(0, alpha·(exp(x/alpha) - 1))` (PyTorch's default: 1).
    ///
    /// # Errors
    /// `DType` unless the tensor is of a floating point type; `Value` if `alpha` is 0.
    pub fn celu(&self, alpha: f64) -> Result<Tensor> {
        self.expect_float("celu")?;
        ensure!(alpha != 0.0, Value, "celu: alpha is 0");
        let (scale, input_scale) = (1.0, 1.0 / alpha);
        self.unary(
            "celu",
            Unary::Elu {
                alpha,
                scale,
                input_scale,
            },
        )
    }

    /// `log(1 + exp(beta·x))/beta`, and `x` itself where `beta·x > threshold` (PyTorch's defaults: 1 and 20).
    ///
    /// # Errors
    /// `DType` unless the tensor is of a floating point type.
    pub fn softplus(&self, beta: f64, threshold: f64) -> Result<Tensor> {
        self.expect_float("softplus")?;
        self.unary("softplus", Unary::Softplus { beta, threshold })
    }

    /// 0 where `|x| ≤ lambda`, else `x` (PyTorch's default: 0.5).
    ///
    /// # Errors
    /// `DType` unless the tensor is of a floating point type.
    pub fn hardshrink(&self, lambda: f64) -> Result<Tensor> {
        self.expect_float("hardshrink")?;
        self.unary("hardshrink", Unary::Hardshrink(lambda))
    }

    /// `x` moved towards 0 by `lambda`, 0 where it would cross it (PyTorch's default: 0.5).
    ///
    /// # Errors
    /// `DType` unless the tensor is of a floating point type; `Value` if `lambda` is negative.
    pub fn softshrink(&self, lambda: f64) -> Result<Tensor> {
        self.expect_float("softshrink")?;
        ensure!(
            lambda >= 0.0,
            Value,
            "softshrink: lambda must not be negative, got {lambda}"
        );
        self.unary("softshrink", Unary::Softshrink(lambda))
    }

    /// `x` where it is greater than `threshold`, else `value`.
    ///
    /// # Errors
    /// `DType` for bool tensors.
    pub fn threshold(&self, threshold: impl Into<Scalar>, value: impl Into<Scalar>) -> Result<Tensor> {
        let (threshold, value) = (threshold.into(), value.into());
        self.refuse_bool("threshold")?;
        if self.dtype().is_float() {
            return self.unary("threshold", Unary::Threshold(threshold.to_f64(), value.to_f64()));
        }
        self.le(threshold.to_i64())?.where_cond(value.to_i64(), self)
    }

    /// `x/(1 + |x|)`.
    ///
    /// # Errors
    /// `DType` for bool tensors.
    pub fn softsign(&self) -> Result<Tensor> {
        self.refuse_bool("softsign")?;
        self.unary("softsign", Unary::Softsign)
    }

    /// `x - tanh(x)`.
    ///
    /// # Errors
    /// `DType` for bool tensors.
    pub fn tanhshrink(&self) -> Result<Tensor> {
        self.refuse_bool("tanhshrink")?;
        self.unary("tanhshrink", Unary::Tanhshrink)
    }

    /// `x` if positive, else `weight·x` with a learnt weight: one for all, or one for each channel, the second
    /// dimension.
    ///
    /// # Errors
    /// `DType` unless both are of one floating point type; `Shape` if the weight has neither one element nor as many as
    /// there are channels.
    pub fn prelu(&self, weight: &Tensor) -> Result<Tensor> {
        under_autocast!("prelu": x = self, weight => x.prelu(weight));
        self.expect_float("prelu")?;
        let (own, other) = (self.dtype(), weight.dtype());
        ensure!(own == other, DType, "prelu: input of {own}, weight of {other}");
        let (shape, elements) = (self.shape(), weight.numel());
        let channels = shape.get(1).copied().unwrap_or(1);
        ensure!(
            weight.rank() <= 1 && (elements == 1 || elements == channels),
            Shape,
            "prelu: weight {:?} for input {shape:?} with {channels} channels: expected 1 or {channels} elements",
            weight.shape()
        );
        let mut along_channels = vec![1; shape.len().max(1)];
        if elements > 1 {
            along_channels[1] = elements;
        }
        if shape.is_empty() {
            along_channels.clear();
        }
        let weight = weight.reshape(along_channels)?;
        self.gt(0.0)?.where_cond(self, &weight.mul(self)?)
    }

    /// `a·sigmoid(b)` with `a` and `b` the two halves of the tensor along `dim` (PyTorch's default: -1).
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Shape` if its size is odd or the tensor is 0-d; `DType` unless the tensor
    /// is of a floating point type.
    pub fn glu(&self, dim: isize) -> Result<Tensor> {
        self.expect_float("glu")?;
        ensure!(self.rank() > 0, Shape, "glu: a 0-d tensor can't be split");
        let (_, size) = self.sized_dim("glu", dim)?;
        ensure!(
            size % 2 == 0,
            Shape,
            "glu: dimension {dim} of {:?} has odd size {size}",
            self.shape()
        );
        let half = size / 2;
        let gate = self.narrow(dim, half as isize, half)?.sigmoid()?;
        self.narrow(dim, 0, half)?.mul(&gate)
    }

    /// The leaky rectifier with the middle of the slopes `lower` and `upper`: what a randomised leaky rectifier is
    /// outside training (`rrelu(training=False)`; PyTorch's defaults: 1/8 and 1/3).
    ///
    /// # Errors
    /// `DType` unless the tensor is of a floating point type; `Value` if `lower > upper`.
    pub fn rrelu(&self, lower: f64, upper: f64) -> Result<Tensor> {
        self.check_slopes(lower, upper)?;
        self.unary("rrelu", Unary::LeakyRelu((lower + upper) / 2.0))
    }

    fn check_slopes(&self, lower: f64, upper: f64) -> Result<()> {
        self.expect_float("rrelu")?;
        ensure!(
            lower <= upper,
            Value,
            "rrelu: lower {lower} is greater than upper {upper}"
        );
        Ok(())
    }

    /// The randomised leaky rectifier in training (`rrelu(training=True)`): each element that is not positive is
    /// multiplied by a slope of its own, drawn uniformly from `[lower, upper)`.
    ///
    /// ```
    /// use flambeau_tensor::{Tensor, random};
    ///
    /// random::manual_seed(0);
    /// let x = Tensor::new([-1.0f32, -1.0, 2.0, -1.0])?;
    /// assert_eq!(x.rrelu_training(0.1, 0.3)?.to_string(), "tensor([-0.2940, -0.2416,  2.0000, -0.1919])");
    /// # Ok::<(), flambeau_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::rrelu`].
    pub fn rrelu_training(&self, lower: f64, upper: f64) -> Result<Tensor> {
        self.check_slopes(lower, upper)?;
        // PyTorch draws in double precision, and only for the elements that take a slope.
        let slopes = no_grad(|| {
            let sloped = self.le(0.0)?;
            let count = sloped.sum()?.item::<i64>()? as usize;
            let draws = Tensor::zeros(count, DType::F64)?;
            draws.uniform_(lower, upper)?;
            let ones = Tensor::ones(self.shape(), DType::F64)?;
            ones.masked_scatter(&sloped, &draws)?.to_dtype(self.dtype())
        })?;
        self.mul(&slopes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(x: &Tensor) -> Vec<f64> {
        x.to_vec_f64().unwrap()
    }

    #[test]
    fn rectifiers() {
        let x = Tensor::new([-2.0f64, 0.0, 7.0]).unwrap();
        assert_eq!(values(&x.relu().unwrap()), [0.0, 0.0, 7.0]);
        assert_eq!(values(&x.relu6().unwrap()), [0.0, 0.0, 6.0]);
        assert_eq!(values(&x.leaky_relu(0.5).unwrap()), [-1.0, 0.0, 7.0]);
        assert_eq!(values(&x.threshold(1.0, 9.0).unwrap()), [9.0, 9.0, 7.0]);
        assert_eq!(values(&x.rrelu(0.0, 1.0).unwrap()), [-1.0, 0.0, 7.0]);
        let whole = Tensor::new([-2i64, 8]).unwrap();
        assert_eq!(whole.relu6().unwrap().to_vec::<i64>().unwrap(), [0, 6]);
        assert_eq!(whole.threshold(0, 3).unwrap().to_vec::<i64>().unwrap(), [3, 8]);
        assert_eq!(whole.softsign().unwrap().dtype(), DType::F32);
    }

    #[test]
    fn channels_and_halves() {
        let x = Tensor::new([[-1.0f64, -2.0], [3.0, -4.0]]).unwrap();
        let weight = Tensor::new([0.5, 0.25]).unwrap();
        assert_eq!(values(&x.prelu(&weight).unwrap()), [-0.5, -0.5, 3.0, -1.0]);
        let gated = Tensor::new([2.0f64, 0.0]).unwrap().glu(0).unwrap();
        assert_eq!(values(&gated), [1.0]);
        assert!(x.prelu(&Tensor::new([1.0f64; 3]).unwrap()).is_err());
        assert!(Tensor::new([1.0f64; 3]).unwrap().glu(-1).is_err());
        assert!(Tensor::new([1i64]).unwrap().gelu().is_err());
    }
}
