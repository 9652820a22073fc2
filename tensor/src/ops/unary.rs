//! Functions of each element: `exp`, `relu`, `x + 2`, …
//!
//! Transcendental functions of integers are computed in the default floating point type; `float16` and `bfloat16` are
//! computed in `float32` and rounded once.

use flambeau_kernels::unary::{
    Needs, unary, unary_backward, unary_backward_in_place, unary_in_place, unary_int,
};
pub use flambeau_kernels::unary::{Unary, UnaryInt};

use crate::graph::{History, Op, Saved, record};
use crate::value::Value;
use crate::{DType, Result, Tensor, ensure, with_float, with_integer};

/// A recorded function of each element.
#[derive(Clone, Debug)]
pub struct UnaryOp {
    /// The function.
    pub function: Unary,
    /// The input, if the rule reads it.
    pub input: Option<Saved>,
    /// The output, if the rule reads it.
    pub output: Option<Saved>,
}

impl UnaryOp {
    /// What the rule reads.
    fn saved(&self) -> Option<&Value> {
        self.input.as_ref().or(self.output.as_ref()).map(Saved::value)
    }
}

/// The function's name, as PyTorch has it.
pub(crate) fn name(function: Unary) -> &'static str {
    match function {
        Unary::Neg => "neg",
        Unary::Abs => "abs",
        Unary::Sign => "sign",
        Unary::Square => "square",
        Unary::Sqrt => "sqrt",
        Unary::Rsqrt => "rsqrt",
        Unary::Reciprocal => "reciprocal",
        Unary::Exp => "exp",
        Unary::Exp2 => "exp2",
        Unary::Expm1 => "expm1",
        Unary::Log => "log",
        Unary::Log2 => "log2",
        Unary::Log10 => "log10",
        Unary::Log1p => "log1p",
        Unary::Sin => "sin",
        Unary::Cos => "cos",
        Unary::Tan => "tan",
        Unary::Asin => "asin",
        Unary::Acos => "acos",
        Unary::Atan => "atan",
        Unary::Sinh => "sinh",
        Unary::Cosh => "cosh",
        Unary::Tanh => "tanh",
        Unary::Asinh => "asinh",
        Unary::Acosh => "acosh",
        Unary::Atanh => "atanh",
        Unary::Erf => "erf",
        Unary::Erfc => "erfc",
        Unary::Sigmoid => "sigmoid",
        Unary::LogSigmoid => "logsigmoid",
        Unary::Relu => "relu",
        Unary::LeakyRelu(_) => "leaky_relu",
        Unary::Elu { .. } => "elu",
        Unary::Gelu | Unary::GeluTanh => "gelu",
        Unary::Silu => "silu",
        Unary::Mish => "mish",
        Unary::Softplus { .. } => "softplus",
        Unary::Hardtanh(..) => "hardtanh",
        Unary::Hardsigmoid => "hardsigmoid",
        Unary::Hardswish => "hardswish",
        Unary::Hardshrink(_) => "hardshrink",
        Unary::Softshrink(_) => "softshrink",
        Unary::Threshold(..) => "threshold",
        Unary::Softsign => "softsign",
        Unary::Tanhshrink => "tanhshrink",
        Unary::Floor => "floor",
        Unary::Ceil => "ceil",
        Unary::Round | Unary::RoundDecimals(_) => "round",
        Unary::Trunc => "trunc",
        Unary::Frac => "frac",
        Unary::Clamp(..) => "clamp",
        Unary::Cube | Unary::ReciprocalSquare | Unary::PowScalar(_) | Unary::RpowScalar(_) => "pow",
        Unary::AddScalar(_) => "add",
        Unary::RsubScalar(_) => "rsub",
        Unary::MulScalar(_) => "mul",
        Unary::DivScalar(_) | Unary::RdivScalar(_) => "div",
    }
}

impl Value {
    /// `function` of each element of a floating point value.
    pub(crate) fn map(&self, op: &str, function: Unary) -> Result<Value> {
        if self.dtype.is_half() {
            return self.cast(DType::F32)?.map(op, function)?.cast(self.dtype);
        }
        let x = self.in_order()?;
        with_float!(op, self.dtype, T => {
            let data = x.data::<T>()?;
            Value::build::<T>(self.dtype, self.shape.clone(), |out| unary(function, data, out))
        })
    }

    /// `function` of each element of an integer value.
    pub(crate) fn map_integers(&self, op: &str, function: UnaryInt) -> Result<Value> {
        let x = self.contiguous()?;
        with_integer!(op, self.dtype, T => {
            let data = x.data::<T>()?;
            Value::build::<T>(self.dtype, self.shape.clone(), |out| unary_int(function, data, out))
        })
    }
}

impl Tensor {
    /// `function` of each element; integers and bools become the default floating point type first.
    pub(crate) fn unary(&self, op: &'static str, function: Unary) -> Result<Tensor> {
        let mut x = self.read();
        if !x.value.dtype.is_float() {
            x = Saved {
                value: x.value.cast(DType::DEFAULT)?,
                history: History::None,
            };
        }
        let value = x.value.map(op, function)?;
        Ok(record(value, &[&x], |output| {
            // Where numbers were clamped the output shows as well, and whatever comes next keeps that anyway. (Half-width floats
            // round the bounds.)
            let clamps = matches!(function, Unary::Hardtanh(..)) && !x.value.dtype.is_half();
            let needs = if clamps {
                Needs::Output
            } else {
                function.backward_needs()
            };
            Op::Unary(UnaryOp {
                function,
                input: (needs == Needs::Input).then(|| x.clone()),
                output: (needs == Needs::Output).then(|| Saved::output(output, 0)),
            })
        }))
    }
}

impl Tensor {
    /// `self·f′`, where this tensor is the gradient of the output of `op`: one fused kernel, not recorded.
    ///
    /// # Errors
    /// `Shape` if this tensor has not the shape of what `op` saved.
    pub fn unary_backward(&self, op: &UnaryOp) -> Result<Tensor> {
        let grad = self.value();
        Ok(Tensor::from_value(grad.map_backward(op.function, op.saved())?))
    }

    /// [`Tensor::unary_backward`] in place, where the elements lie if no other tensor shares them.
    ///
    /// # Errors
    /// As [`Tensor::unary_backward`].
    pub fn unary_backward_(&self, op: &UnaryOp) -> Result<&Tensor> {
        let dtype = self.dtype();
        let fits = |saved: &&Value| saved.dtype == dtype && !dtype.is_half() && *saved.shape == *self.shape();
        let Some(saved) = op.saved().filter(fits) else {
            return self.replace("unary_backward_", self.unary_backward(op)?);
        };
        let saved = saved.contiguous()?;
        with_float!("backward", dtype, T => {
            let value = saved.data::<T>()?;
            self.write::<T, _>("unary_backward_", |grad| unary_backward_in_place(op.function, value, grad))?
        });
        Ok(self)
    }
}

impl Value {
    /// `self·f′` at the saved input or output.
    fn map_backward(&self, function: Unary, saved: Option<&Value>) -> Result<Value> {
        if self.dtype.is_half() {
            let wide = saved.map(|s| s.cast(DType::F32)).transpose()?;
            return self
                .cast(DType::F32)?
                .map_backward(function, wide.as_ref())?
                .cast(self.dtype);
        }
        let grad = self.contiguous()?;
        let saved = saved.unwrap_or(&grad).contiguous()?;
        ensure!(
            saved.shape == self.shape,
            Shape,
            "backward: gradient {:?} for {:?}",
            self.shape,
            saved.shape
        );
        with_float!("backward", self.dtype, T => {
            let (value, grad) = (saved.data::<T>()?, grad.data::<T>()?);
            let shape = self.shape.clone();
            Value::build::<T>(self.dtype, shape, |out| unary_backward(function, value, value, grad, out))
        })
    }
}

impl Tensor {
    /// [`Tensor::unary`] in place: straight in the tensor's memory where nothing is recorded.
    pub(crate) fn unary_(&self, op: &'static str, function: Unary) -> Result<&Tensor> {
        if self.is_recorded() || !matches!(self.dtype(), DType::F32 | DType::F64) {
            return self.replace(op, self.unary(op, function)?);
        }
        with_float!(op, self.dtype(), T => self.write::<T, _>(op, |own| unary_in_place(function, own))?);
        Ok(self)
    }

    /// Whether operations on this tensor are recorded now.
    pub(crate) fn is_recorded(&self) -> bool {
        crate::is_grad_enabled() && self.is_tracked()
    }

    /// `floats` of floating point elements, `integers` of integer ones; bools are refused.
    pub(crate) fn unary_of_numbers(
        &self,
        op: &'static str,
        floats: Unary,
        integers: UnaryInt,
    ) -> Result<Tensor> {
        if self.dtype().is_float() {
            return self.unary(op, floats);
        }
        Ok(Tensor::from_value(self.value().map_integers(op, integers)?))
    }

    /// Rounding of one kind or another: integers are whole already, bools are refused.
    fn rounded(&self, op: &'static str, function: Unary) -> Result<Tensor> {
        if self.dtype().is_float() {
            return self.unary(op, function);
        }
        self.refuse_bool(op)?;
        Ok(self.clone())
    }

    /// An error if this is a bool tensor.
    pub(crate) fn refuse_bool(&self, op: &str) -> Result<()> {
        ensure!(
            self.dtype() != DType::Bool,
            DType,
            "{op}: not defined for bool tensors, got {:?}",
            self.shape()
        );
        Ok(())
    }

    /// An error unless this is a floating point tensor.
    pub(crate) fn expect_float(&self, op: &str) -> Result<()> {
        let dtype = self.dtype();
        ensure!(
            dtype.is_float(),
            DType,
            "{op}: expected a floating point tensor, got {dtype} {:?}",
            self.shape()
        );
        Ok(())
    }
}

/// Methods that apply one function to each element, and the same in place.
macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident, $in_place:ident => $function:expr;)*) => {
        impl Tensor { $(
            $(#[$doc])*
            ///
            /// # Errors
            /// None that a valid tensor meets.
            pub fn $name(&self) -> Result<Tensor> {
                self.unary(stringify!($name), $function)
            }

            #[doc = concat!("[`Tensor::", stringify!($name), "`] in place.")]
            ///
            /// # Errors
            /// `DType` for integer tensors; `Autograd` for a leaf that requires a gradient.
            pub fn $in_place(&self) -> Result<&Tensor> {
                self.unary_(stringify!($in_place), $function)
            }
        )* }
    };
}

methods! {
    /// `eˣ`.
    exp, exp_ => Unary::Exp;
    /// `2ˣ`.
    exp2, exp2_ => Unary::Exp2;
    /// `eˣ - 1`, accurate near 0.
    expm1, expm1_ => Unary::Expm1;
    /// The natural logarithm.
    log, log_ => Unary::Log;
    /// The logarithm to base 2.
    log2, log2_ => Unary::Log2;
    /// The logarithm to base 10.
    log10, log10_ => Unary::Log10;
    /// `log(1 + x)`, accurate near 0.
    log1p, log1p_ => Unary::Log1p;
    /// The square root.
    sqrt, sqrt_ => Unary::Sqrt;
    /// `1/√x`.
    rsqrt, rsqrt_ => Unary::Rsqrt;
    /// `1/x`.
    reciprocal, reciprocal_ => Unary::Reciprocal;
    /// Sine, of radians.
    sin, sin_ => Unary::Sin;
    /// Cosine, of radians.
    cos, cos_ => Unary::Cos;
    /// Tangent, of radians.
    tan, tan_ => Unary::Tan;
    /// Inverse sine.
    asin, asin_ => Unary::Asin;
    /// Inverse cosine.
    acos, acos_ => Unary::Acos;
    /// Inverse tangent.
    atan, atan_ => Unary::Atan;
    /// Hyperbolic sine.
    sinh, sinh_ => Unary::Sinh;
    /// Hyperbolic cosine.
    cosh, cosh_ => Unary::Cosh;
    /// Hyperbolic tangent.
    tanh, tanh_ => Unary::Tanh;
    /// Inverse hyperbolic sine.
    asinh, asinh_ => Unary::Asinh;
    /// Inverse hyperbolic cosine.
    acosh, acosh_ => Unary::Acosh;
    /// Inverse hyperbolic tangent.
    atanh, atanh_ => Unary::Atanh;
    /// The error function.
    erf, erf_ => Unary::Erf;
    /// The complementary error function, `1 - erf(x)`.
    erfc, erfc_ => Unary::Erfc;
    /// `1/(1 + e⁻ˣ)`.
    sigmoid, sigmoid_ => Unary::Sigmoid;
    /// Degrees to radians.
    deg2rad, deg2rad_ => Unary::MulScalar(std::f64::consts::PI / 180.0);
    /// Radians to degrees.
    rad2deg, rad2deg_ => Unary::MulScalar(180.0 / std::f64::consts::PI);
}

/// Methods of rounding, and the same in place.
macro_rules! rounding {
    ($($(#[$doc:meta])* $name:ident, $in_place:ident => $function:expr;)*) => {
        impl Tensor { $(
            $(#[$doc])*
            /// Integers stay what they are.
            ///
            /// # Errors
            /// `DType` for bool tensors.
            pub fn $name(&self) -> Result<Tensor> {
                self.rounded(stringify!($name), $function)
            }

            #[doc = concat!("[`Tensor::", stringify!($name), "`] in place.")]
            ///
            /// # Errors
            /// `DType` for bool tensors; `Autograd` for a leaf that requires a gradient.
            pub fn $in_place(&self) -> Result<&Tensor> {
                if self.dtype().is_float() {
                    return self.unary_(stringify!($in_place), $function);
                }
                self.refuse_bool(stringify!($in_place)).map(|()| self)
            }
        )* }
    };
}

rounding! {
    /// The greatest whole number that is not above `x`.
    floor, floor_ => Unary::Floor;
    /// The least whole number that is not below `x`.
    ceil, ceil_ => Unary::Ceil;
    /// The nearest whole number, ties to even.
    round, round_ => Unary::Round;
    /// The whole part: rounded towards zero (`fix`).
    trunc, trunc_ => Unary::Trunc;
}

impl Tensor {
    /// Rounded to a number of decimals, which may be negative (`round(decimals=…)`); ties to even.
    ///
    /// # Errors
    /// `DType` unless the tensor is of a floating point type or `decimals` is 0 and it is of integers.
    pub fn round_decimals(&self, decimals: i32) -> Result<Tensor> {
        if decimals == 0 {
            return self.round();
        }
        self.expect_float("round")?;
        self.unary("round", Unary::RoundDecimals(decimals))
    }

    /// The part behind the point, with the sign of `x`.
    ///
    /// # Errors
    /// `DType` unless the tensor is of a floating point type.
    pub fn frac(&self) -> Result<Tensor> {
        self.expect_float("frac")?;
        self.unary("frac", Unary::Frac)
    }

    /// `-x`.
    ///
    /// # Errors
    /// `DType` for bool tensors.
    pub fn neg(&self) -> Result<Tensor> {
        self.refuse_bool("neg")?;
        self.unary_of_numbers("neg", Unary::Neg, UnaryInt::Neg)
    }

    /// [`Tensor::neg`] in place.
    ///
    /// # Errors
    /// `DType` for bool tensors; `Autograd` for a leaf that requires a gradient.
    pub fn neg_(&self) -> Result<&Tensor> {
        self.replace("neg_", self.neg()?)
    }

    /// `x` itself (`+x` in Python).
    ///
    /// # Errors
    /// `DType` for bool tensors.
    pub fn positive(&self) -> Result<Tensor> {
        self.refuse_bool("positive")?;
        Ok(self.clone())
    }

    /// `|x|`; of the least signed integer that integer itself.
    ///
    /// # Errors
    /// `DType` for bool tensors.
    pub fn abs(&self) -> Result<Tensor> {
        self.refuse_bool("abs")?;
        self.unary_of_numbers("abs", Unary::Abs, UnaryInt::Abs)
    }

    /// [`Tensor::abs`] in place.
    ///
    /// # Errors
    /// `DType` for bool tensors; `Autograd` for a leaf that requires a gradient.
    pub fn abs_(&self) -> Result<&Tensor> {
        self.replace("abs_", self.abs()?)
    }

    /// -1, 0 or 1 by the sign of `x`; a bool is its own sign. Of NaN 0.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn sign(&self) -> Result<Tensor> {
        if self.dtype() == DType::Bool {
            return Ok(self.clone());
        }
        self.unary_of_numbers("sign", Unary::Sign, UnaryInt::Sign)
    }

    /// [`Tensor::sign`] in place.
    ///
    /// # Errors
    /// `Autograd` for a leaf that requires a gradient.
    pub fn sign_(&self) -> Result<&Tensor> {
        self.replace("sign_", self.sign()?)
    }

    /// `x²`; of bools as `int64`.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn square(&self) -> Result<Tensor> {
        if self.dtype() == DType::Bool {
            return self.to_dtype(DType::I64);
        }
        self.unary_of_numbers("square", Unary::Square, UnaryInt::Square)
    }

    /// [`Tensor::square`] in place.
    ///
    /// # Errors
    /// `DType` for bool tensors; `Autograd` for a leaf that requires a gradient.
    pub fn square_(&self) -> Result<&Tensor> {
        self.replace("square_", self.square()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_become_floats_or_stay() {
        let x = Tensor::new([-4i64, 9]).unwrap();
        assert_eq!(x.abs().unwrap().to_vec::<i64>().unwrap(), [4, 9]);
        assert_eq!(x.floor().unwrap().dtype(), DType::I64);
        let root = x.sqrt().unwrap();
        assert_eq!(root.dtype(), DType::F32);
        assert!(root.to_vec::<f32>().unwrap()[0].is_nan());
        let wrapped = Tensor::new([1u8, 255]).unwrap().neg().unwrap();
        assert_eq!(wrapped.to_vec::<u8>().unwrap(), [255, 1]);
    }

    #[test]
    fn bools_are_refused_where_pytorch_refuses_them() {
        let flags = Tensor::new([true, false]).unwrap();
        for result in [
            flags.neg(),
            flags.abs(),
            flags.floor(),
            flags.positive(),
            flags.frac(),
        ] {
            assert!(matches!(result, Err(crate::Error::DType(_))));
        }
        assert_eq!(flags.sign().unwrap().dtype(), DType::Bool);
        assert_eq!(flags.square().unwrap().to_vec::<i64>().unwrap(), [1, 0]);
    }

    #[test]
    fn in_place_functions_write_where_they_may() {
        let x = Tensor::new([1.0f32, 4.0]).unwrap();
        let shared = x.detach();
        x.sqrt_().unwrap().neg_().unwrap();
        assert_eq!(x.to_vec::<f32>().unwrap(), [-1.0, -2.0]);
        assert_eq!(shared.to_vec::<f32>().unwrap(), [1.0, 4.0]);
        let error = Tensor::new([1i64]).unwrap().exp_().unwrap_err().to_string();
        assert_eq!(error, "exp_: result of float32 can't be cast to int64");
    }

    #[test]
    fn decimals_may_be_negative() {
        let x = Tensor::new([1234.567f64, -0.0005]).unwrap();
        assert_eq!(
            x.round_decimals(-2).unwrap().to_vec::<f64>().unwrap(),
            [1200.0, -0.0]
        );
        assert_eq!(
            x.round_decimals(2).unwrap().to_vec::<f64>().unwrap(),
            [1234.57, -0.0]
        );
    }
}
