//! Functions of each element: `exp`, `relu`, `x + 2`, …
//!
//! Transcendental functions of integers are computed in the default floating point type; `float16` and `bfloat16` are
//! computed in `float32` and rounded once.

use flambeau_kernels::unary::{Needs, unary, unary_backward, unary_int};
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

/// The function's name.
pub(crate) fn name(_function: Unary) -> &'static str {
    "unary"
}

impl Value {
    /// `function` of each element of a floating point value.
    pub(crate) fn map(&self, op: &str, function: Unary) -> Result<Value> {
        if self.dtype.is_half() {
            return self.cast(DType::F32)?.map(op, function)?.cast(self.dtype);
        }
        let x = self.contiguous()?;
        with_float!(op, self.dtype, T => {
            let data = x.data::<T>()?;
            Ok(Value::build::<T>(self.dtype, self.shape.clone(), |out| unary(function, data, out)))
        })
    }

    /// `function` of each element of an integer value.
    pub(crate) fn map_integers(&self, op: &str, function: UnaryInt) -> Result<Value> {
        let x = self.contiguous()?;
        with_integer!(op, self.dtype, T => {
            let data = x.data::<T>()?;
            Ok(Value::build::<T>(self.dtype, self.shape.clone(), |out| unary_int(function, data, out)))
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
            let needs = function.backward_needs();
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
        let saved = op.input.as_ref().or(op.output.as_ref()).map(Saved::value);
        Ok(Tensor::from_value(grad.map_backward(op.function, saved)?))
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
            Ok(Value::build::<T>(self.dtype, shape, |out| unary_backward(function, value, value, grad, out)))
        })
    }
}

/// Methods that apply one function to each element.
macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident => $function:expr;)*) => {
        impl Tensor { $(
            $(#[$doc])*
            ///
            /// # Errors
            /// None that a valid tensor meets.
            pub fn $name(&self) -> Result<Tensor> {
                self.unary(stringify!($name), $function)
            }
        )* }
    };
}

methods! {
    /// `eˣ`.
    exp => Unary::Exp;
    /// The natural logarithm.
    log => Unary::Log;
    /// The square root.
    sqrt => Unary::Sqrt;
    /// Sine, of radians.
    sin => Unary::Sin;
    /// Cosine, of radians.
    cos => Unary::Cos;
    /// Hyperbolic tangent.
    tanh => Unary::Tanh;
    /// `1/(1 + e⁻ˣ)`.
    sigmoid => Unary::Sigmoid;
}

impl Tensor {
    /// `-x`.
    ///
    /// # Errors
    /// `DType` for bool tensors.
    pub fn neg(&self) -> Result<Tensor> {
        if self.dtype().is_float() {
            return self.unary("neg", Unary::Neg);
        }
        let x = self.read();
        Ok(Tensor::from_value(x.value.map_integers("neg", UnaryInt::Neg)?))
    }
}
