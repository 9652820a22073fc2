//! Functions of two tensors' elements with broadcasting and type promotion: `add`, `mul`, `div`, `pow`, `maximum`, …
//!
//! Each function exists as `function(lhs, rhs)`, where either side may be a number, and as a method of the left tensor.

pub use flambeau_kernels::binary::{Binary, BinaryInt, Compare};
use flambeau_kernels::binary::{add_scaled_in_place, binary, binary_in_place, binary_int};
use flambeau_kernels::unary::Unary;

use crate::graph::{History, Op, Saved, record};
use crate::ops::create::scalar_value;
use crate::value::Value;
use crate::{
    DType, Error, Operand, Result, Scalar, Shape, Tensor, bail, broadcast_shapes, ensure, result_type,
    with_float, with_integer,
};

/// A recorded function of two tensors.
#[derive(Clone, Debug)]
pub struct BinaryOp {
    /// The function.
    pub function: Binary,
    /// The left operand, if a rule reads it.
    pub lhs: Option<Saved>,
    /// The right operand, if a rule reads it.
    pub rhs: Option<Saved>,
}

/// The function's name, as PyTorch has it.
pub(crate) fn name(function: Binary) -> &'static str {
    match function {
        Binary::Add => "add",
        Binary::Sub => "sub",
        Binary::Mul => "mul",
        Binary::Div | Binary::TruncDivide => "div",
        Binary::FloorDivide => "floor_divide",
        Binary::Remainder => "remainder",
        Binary::Fmod => "fmod",
        Binary::Pow => "pow",
        Binary::Maximum => "maximum",
        Binary::Minimum => "minimum",
        Binary::Fmax => "fmax",
        Binary::Fmin => "fmin",
        Binary::Atan2 => "atan2",
        Binary::Hypot => "hypot",
        Binary::Copysign => "copysign",
        Binary::NextAfter => "nextafter",
        Binary::LogAddExp => "logaddexp",
        Binary::LogAddExp2 => "logaddexp2",
        Binary::Xlogy => "xlogy",
        Binary::Xlog1py => "xlog1py",
        Binary::Heaviside => "heaviside",
    }
}

/// What a function of floats does with operands whose common type is no float.
#[derive(Clone, Copy)]
enum Integers {
    /// The function of integers; bools are refused.
    Numbers(BinaryInt),
    /// The function of integers, also of bools as 0 and 1.
    NumbersAndBools(BinaryInt),
    /// Computed in the default floating point type.
    AsFloats,
    /// Refused.
    Refused,
}

/// What an operation reads of an operand: a number becomes a 0-d value of the result's type.
pub(crate) fn read(operand: &Operand<'_>, dtype: DType) -> Saved {
    match operand {
        Operand::Tensor(t) => t.read(),
        Operand::Scalar(s) => Saved {
            value: scalar_value(*s, dtype),
            history: History::None,
        },
    }
}

/// The type in which two operands are combined.
pub(crate) fn common_dtype(a: &Operand<'_>, b: &Operand<'_>) -> DType {
    match (a, b) {
        (Operand::Tensor(a), Operand::Tensor(b)) => {
            if a.dtype() == b.dtype() {
                a.dtype()
            } else {
                result_type([*a, *b], &[])
            }
        }
        (Operand::Tensor(t), Operand::Scalar(s)) | (Operand::Scalar(s), Operand::Tensor(t)) => {
            result_type([*t], &[*s])
        }
        (Operand::Scalar(a), Operand::Scalar(b)) => result_type([], &[*a, *b]),
    }
}

impl Value {
    /// `function(self, rhs)`, as `dtype`. Both have that type, or it is a half-precision type and they are wider.
    #[inline]
    pub(crate) fn zip(&self, op: &str, function: Binary, rhs: &Value, dtype: DType) -> Result<Value> {
        if dtype.is_half() {
            let (a, b) = (self.cast_view(DType::F32)?, rhs.cast_view(DType::F32)?);
            return a.zip(op, function, &b, DType::F32)?.cast(dtype);
        }
        let compute = |a: &Value, b: &Value, shape: Shape| {
            with_float!(op, dtype, T => {
                let (a, b) = (a.view::<T>()?, b.view::<T>()?);
                Value::build::<T>(dtype, shape, |out| binary(function, a, b, out))
            })
        };
        if self.shape == rhs.shape {
            return compute(self, rhs, self.shape.clone());
        }
        let shape = broadcast_shapes(op, &[&self.shape, &rhs.shape])?;
        compute(&self.expanded(&shape), &rhs.expanded(&shape), shape)
    }

    /// `function(self, rhs)` of two values of one integer type.
    pub(crate) fn zip_integers(&self, op: &str, function: BinaryInt, rhs: &Value) -> Result<Value> {
        let (a, b, shape) = broadcast(op, self, rhs)?;
        with_integer!(op, self.dtype, T => {
            let (a, b) = (a.view::<T>()?, b.view::<T>()?);
            let mut status = Ok(());
            let value = Value::build::<T>(self.dtype, shape, |out| status = binary_int(function, a, b, out))?;
            status.map_err(|error| Error::Value(format!("{op}: {error}")))?;
            Ok(value)
        })
    }
}

/// Both values expanded to their common shape.
pub(crate) fn broadcast(op: &str, a: &Value, b: &Value) -> Result<(Value, Value, Shape)> {
    if a.shape == b.shape {
        return Ok((a.clone(), b.clone(), a.shape.clone()));
    }
    let shape = broadcast_shapes(op, &[&a.shape, &b.shape])?;
    Ok((a.expanded(&shape), b.expanded(&shape), shape))
}

/// Which operands are kept for the gradient rule of a function, given which ones are tracked: (lhs, rhs).
fn rule_reads(function: Binary, lhs_tracked: bool, rhs_tracked: bool) -> (bool, bool) {
    match function {
        Binary::Add | Binary::Sub => (false, false),
        Binary::FloorDivide | Binary::TruncDivide | Binary::Heaviside => (false, false),
        Binary::Mul => (rhs_tracked, lhs_tracked),
        Binary::Div | Binary::Remainder | Binary::Fmod => (rhs_tracked, true),
        Binary::Pow
        | Binary::Maximum
        | Binary::Minimum
        | Binary::Fmax
        | Binary::NextAfter
        | Binary::Fmin
        | Binary::Atan2
        | Binary::Hypot
        | Binary::Copysign
        | Binary::LogAddExp
        | Binary::LogAddExp2
        | Binary::Xlogy
        | Binary::Xlog1py => (true, true),
    }
}

/// `function` of two operands whose result type is a float.
pub(crate) fn float_binary(
    op: &'static str,
    function: Binary,
    a: &Operand<'_>,
    b: &Operand<'_>,
    dtype: DType,
) -> Result<Tensor> {
    // A number beside half-precision tensors is not rounded to their type before it is used, as in PyTorch.
    let number = if dtype.is_half() { DType::F32 } else { dtype };
    let (mut x, mut y) = (read(a, number), read(b, number));
    for operand in [&mut x, &mut y] {
        if operand.value.dtype != dtype && operand.value.dtype != number {
            operand.value = operand.value.cast(dtype)?;
        }
    }
    let value = x.value.zip(op, function, &y.value, dtype)?;
    Ok(record(value, &[&x, &y], |_| {
        let (reads_lhs, reads_rhs) = rule_reads(function, x.is_tracked(), y.is_tracked());
        Op::Binary(BinaryOp {
            function,
            lhs: reads_lhs.then(|| x.clone()),
            rhs: reads_rhs.then(|| y.clone()),
        })
    }))
}

/// `function` of two operands whose result type is an integer or bool.
pub(crate) fn integer_binary(
    op: &'static str,
    function: BinaryInt,
    a: &Operand<'_>,
    b: &Operand<'_>,
    dtype: DType,
) -> Result<Tensor> {
    let (x, y) = (
        read(a, dtype).value.cast(dtype)?,
        read(b, dtype).value.cast(dtype)?,
    );
    if dtype != DType::Bool {
        return Ok(Tensor::from_value(x.zip_integers(op, function, &y)?));
    }
    // Booleans: `+` is or, `*` is and, as in PyTorch; both are the byte operations of the like names.
    let bytes = |mut value: Value| {
        value.dtype = DType::U8;
        value
    };
    let logical = match function {
        BinaryInt::Add => BinaryInt::Or,
        BinaryInt::Mul => BinaryInt::And,
        other => other,
    };
    let mut value = bytes(x).zip_integers(op, logical, &bytes(y))?;
    value.dtype = DType::Bool;
    Ok(Tensor::from_value(value))
}

/// `function` of two operands in their common type.
#[inline]
fn combine(
    op: &'static str,
    function: Binary,
    integers: Integers,
    lhs: &Operand<'_>,
    rhs: &Operand<'_>,
) -> Result<Tensor> {
    let dtype = common_dtype(lhs, rhs);
    if dtype.is_float() {
        return float_binary(op, function, lhs, rhs, dtype);
    }
    match integers {
        Integers::NumbersAndBools(function) => integer_binary(op, function, lhs, rhs, dtype),
        Integers::Numbers(function) if dtype != DType::Bool => integer_binary(op, function, lhs, rhs, dtype),
        Integers::AsFloats => float_binary(op, function, lhs, rhs, DType::DEFAULT),
        Integers::Numbers(_) => bail!(DType, "{op}: not defined for two bool operands"),
        Integers::Refused => bail!(DType, "{op}: expected floating point operands, got {dtype}"),
    }
}

/// Declares methods that call the function of the same name, and their forms in place.
macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident, $in_place:ident => $function:ident;)*) => {
        impl Tensor { $(
            $(#[$doc])*
            ///
            /// # Errors
            #[doc = concat!("As [`", stringify!($name), "`].")]
            pub fn $name<'a>(&self, rhs: impl Into<Operand<'a>>) -> Result<Tensor> {
                $name(self, rhs)
            }

            #[doc = concat!("[`Tensor::", stringify!($name), "`] in place.")]
            ///
            /// # Errors
            #[doc = concat!("As [`Tensor::", stringify!($name), "`];")]
            /// `Shape` if the result would not fit; `DType` if it can't be cast; `Autograd` for a leaf that requires a
            /// gradient.
            pub fn $in_place<'a>(&self, rhs: impl Into<Operand<'a>>) -> Result<&Tensor> {
                self.in_place(stringify!($in_place), Binary::$function, rhs.into(), |x, y| $name(x, y))
            }
        )* }
    };
}

/// Declares functions of two operands as `name(lhs, rhs)`, as a method and as a method in place.
macro_rules! functions {
    ($(
        $(#[$doc:meta])*
        $name:ident, $in_place:ident => $function:ident, $integers:ident $( ( $integer:ident ) )?;
    )*) => { $(
        $(#[$doc])*
        /// Either side may be a number.
        ///
        /// # Errors
        /// `Broadcast` if the shapes don't broadcast; `DType` for element types that the function is not defined for;
        /// `Value` for an integer division by zero.
        pub fn $name<'a, 'b>(lhs: impl Into<Operand<'a>>, rhs: impl Into<Operand<'b>>) -> Result<Tensor> {
            let integers = Integers::$integers $( (BinaryInt::$integer) )?;
            combine(stringify!($name), Binary::$function, integers, &lhs.into(), &rhs.into())
        }

        methods! { $(#[$doc])* $name, $in_place => $function; }
    )* };
}

functions! {
    /// The quotient rounded towards negative infinity (Python's `//`).
    floor_divide, floor_divide_ => FloorDivide, Numbers(FloorDivide);
    /// The quotient rounded towards zero (`div(rounding_mode="trunc")`).
    trunc_divide, trunc_divide_ => TruncDivide, Numbers(TruncDivide);
    /// The remainder with the sign of the divisor (Python's `%`).
    remainder, remainder_ => Remainder, Numbers(Remainder);
    /// The remainder with the sign of the dividend (C's `fmod`).
    fmod, fmod_ => Fmod, Numbers(Fmod);
    /// The greater of two; NaN if one is.
    maximum, maximum_ => Maximum, NumbersAndBools(Maximum);
    /// The lesser of two; NaN if one is.
    minimum, minimum_ => Minimum, NumbersAndBools(Minimum);
    /// The greater of two; the other if one is NaN.
    fmax, fmax_ => Fmax, NumbersAndBools(Maximum);
    /// The lesser of two; the other if one is NaN.
    fmin, fmin_ => Fmin, NumbersAndBools(Minimum);
    /// The angle of the point `(rhs, lhs)`, in radians.
    atan2, atan2_ => Atan2, AsFloats;
    /// `√(lhs² + rhs²)` without overflow.
    hypot, hypot_ => Hypot, Refused;
    /// `|lhs|` with the sign of `rhs`.
    copysign, copysign_ => Copysign, AsFloats;
    /// The next float after `lhs` in the direction of `rhs`.
    nextafter, nextafter_ => NextAfter, Refused;
    /// `log(exp(lhs) + exp(rhs))` without overflow.
    logaddexp, logaddexp_ => LogAddExp, Refused;
    /// `log2(2^lhs + 2^rhs)` without overflow.
    logaddexp2, logaddexp2_ => LogAddExp2, Refused;
    /// `lhs·log(rhs)`; 0 where `lhs` is 0 and `rhs` is not NaN.
    xlogy, xlogy_ => Xlogy, AsFloats;
    /// `lhs·log(1 + rhs)`; 0 where `lhs` is 0 and `rhs` is not NaN.
    xlog1py, xlog1py_ => Xlog1py, AsFloats;
}

/// The sum of two operands, either of which may be a number.
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast.
pub fn add<'a, 'b>(lhs: impl Into<Operand<'a>>, rhs: impl Into<Operand<'b>>) -> Result<Tensor> {
    match (lhs.into(), rhs.into()) {
        (Operand::Tensor(t), Operand::Scalar(s)) | (Operand::Scalar(s), Operand::Tensor(t))
            if t.dtype().is_float() =>
        {
            t.unary("add", Unary::AddScalar(s.to_f64()))
        }
        (lhs, rhs) => combine(
            "add",
            Binary::Add,
            Integers::NumbersAndBools(BinaryInt::Add),
            &lhs,
            &rhs,
        ),
    }
}

/// The difference of two operands, either of which may be a number.
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast; `DType` if one is bool, unless it is a number beside a tensor that is not.
pub fn sub<'a, 'b>(lhs: impl Into<Operand<'a>>, rhs: impl Into<Operand<'b>>) -> Result<Tensor> {
    let (lhs, rhs) = (lhs.into(), rhs.into());
    let bools = [&lhs, &rhs].iter().any(|operand| operand.dtype() == DType::Bool);
    ensure!(
        !bools,
        DType,
        "sub: tensors of bool can't be subtracted; use logical_xor or logical_not"
    );
    match (lhs, rhs) {
        (Operand::Tensor(t), Operand::Scalar(s)) if t.dtype().is_float() => {
            t.unary("sub", Unary::AddScalar(-s.to_f64()))
        }
        (Operand::Scalar(s), Operand::Tensor(t)) if t.dtype().is_float() => {
            t.unary("sub", Unary::RsubScalar(s.to_f64()))
        }
        (lhs, rhs) => combine("sub", Binary::Sub, Integers::Numbers(BinaryInt::Sub), &lhs, &rhs),
    }
}

/// The product of two operands, either of which may be a number.
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast.
pub fn mul<'a, 'b>(lhs: impl Into<Operand<'a>>, rhs: impl Into<Operand<'b>>) -> Result<Tensor> {
    match (lhs.into(), rhs.into()) {
        (Operand::Tensor(t), Operand::Scalar(s)) | (Operand::Scalar(s), Operand::Tensor(t))
            if t.dtype().is_float() =>
        {
            t.unary("mul", Unary::MulScalar(s.to_f64()))
        }
        (lhs, rhs) => combine(
            "mul",
            Binary::Mul,
            Integers::NumbersAndBools(BinaryInt::Mul),
            &lhs,
            &rhs,
        ),
    }
}

/// The quotient of two operands, either of which may be a number; of integers in the default floating point type.
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast.
pub fn div<'a, 'b>(lhs: impl Into<Operand<'a>>, rhs: impl Into<Operand<'b>>) -> Result<Tensor> {
    match (lhs.into(), rhs.into()) {
        (Operand::Tensor(t), Operand::Scalar(s)) if t.dtype().is_float() => {
            t.unary("div", Unary::DivScalar(s.to_f64()))
        }
        (Operand::Scalar(s), Operand::Tensor(t)) if t.dtype().is_float() => {
            t.unary("div", Unary::RdivScalar(s.to_f64()))
        }
        (lhs, rhs) => combine("div", Binary::Div, Integers::AsFloats, &lhs, &rhs),
    }
}

/// `lhs` to the power `rhs`, either of which may be a number.
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast; `DType` for two bools; `Value` for integers to a negative number.
pub fn pow<'a, 'b>(lhs: impl Into<Operand<'a>>, rhs: impl Into<Operand<'b>>) -> Result<Tensor> {
    match (lhs.into(), rhs.into()) {
        (Operand::Tensor(base), Operand::Scalar(s)) if base.dtype().is_float() => {
            base.unary("pow", power(s.to_f64()))
        }
        (Operand::Scalar(s), Operand::Tensor(exponent)) if exponent.dtype().is_float() => {
            exponent.unary("pow", Unary::RpowScalar(s.to_f64()))
        }
        (Operand::Tensor(base), Operand::Scalar(Scalar::Int(exponent))) if exponent < 0 => {
            bail!(
                Value,
                "pow: integers can't be raised to a negative integer power, got {} and {exponent}",
                base.dtype()
            )
        }
        (lhs, rhs) => combine("pow", Binary::Pow, Integers::Numbers(BinaryInt::Pow), &lhs, &rhs),
    }
}

/// `x^exponent` in its cheapest form: the powers that PyTorch singles out, too.
fn power(exponent: f64) -> Unary {
    match exponent {
        1.0 => Unary::MulScalar(1.0),
        2.0 => Unary::Square,
        3.0 => Unary::Cube,
        0.5 => Unary::Sqrt,
        -0.5 => Unary::Rsqrt,
        -1.0 => Unary::Reciprocal,
        -2.0 => Unary::ReciprocalSquare,
        exponent => Unary::PowScalar(exponent),
    }
}

/// `lhs` to the power `rhs`, always computed as `float64`.
///
/// # Errors
/// `Broadcast` if the shapes don't broadcast.
pub fn float_power<'a, 'b>(lhs: impl Into<Operand<'a>>, rhs: impl Into<Operand<'b>>) -> Result<Tensor> {
    let double = |operand: Operand<'_>| match operand {
        Operand::Tensor(tensor) => tensor.to_dtype(DType::F64),
        Operand::Scalar(scalar) => Ok(Tensor::scalar(scalar.to_f64())),
    };
    let (lhs, rhs) = (double(lhs.into())?, double(rhs.into())?);
    pow(&lhs, &rhs).map_err(|error| error.context("float_power"))
}

/// 0 where `lhs < 0`, `rhs` where it is 0, 1 where it is greater; 0 for NaN.
///
/// # Errors
/// `DType` if the types differ; `Broadcast` if the shapes don't broadcast.
pub fn heaviside(lhs: &Tensor, rhs: &Tensor) -> Result<Tensor> {
    let (a, b) = (lhs.dtype(), rhs.dtype());
    ensure!(
        a == b,
        DType,
        "heaviside: operands of one type expected, got {a} and {b}"
    );
    let integers = Integers::NumbersAndBools(BinaryInt::Heaviside);
    combine("heaviside", Binary::Heaviside, integers, &lhs.into(), &rhs.into())
}

/// How a quotient is rounded (`rounding_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Towards zero.
    Trunc,
    /// Towards negative infinity.
    Floor,
}

/// The quotient of two operands, rounded (`div(rounding_mode=…)`).
///
/// # Errors
/// As [`floor_divide`].
pub fn div_rounded<'a, 'b>(
    lhs: impl Into<Operand<'a>>,
    rhs: impl Into<Operand<'b>>,
    rounding: Rounding,
) -> Result<Tensor> {
    match rounding {
        Rounding::Trunc => trunc_divide(lhs, rhs),
        Rounding::Floor => floor_divide(lhs, rhs),
    }
}

methods! {
    /// The sum of this and another tensor or number.
    add, add_ => Add;
    /// The difference of this and another tensor or number.
    sub, sub_ => Sub;
    /// The product of this and another tensor or number.
    mul, mul_ => Mul;
    /// The quotient of this and another tensor or number; of integers in the default floating point type.
    div, div_ => Div;
    /// This tensor to the power of another tensor or number.
    pow, pow_ => Pow;
}

impl Tensor {
    /// `rhs - self`.
    ///
    /// # Errors
    /// As [`sub`].
    pub fn rsub<'a>(&self, rhs: impl Into<Operand<'a>>) -> Result<Tensor> {
        sub(rhs, self)
    }

    /// `self^rhs`, always computed as `float64`.
    ///
    /// # Errors
    /// `Broadcast` if the shapes don't broadcast.
    pub fn float_power<'a>(&self, rhs: impl Into<Operand<'a>>) -> Result<Tensor> {
        float_power(self, rhs)
    }

    /// 0 where the element is negative, that of `values` where it is 0, 1 where it is greater; 0 for NaN.
    ///
    /// # Errors
    /// As [`heaviside`].
    pub fn heaviside(&self, values: &Tensor) -> Result<Tensor> {
        heaviside(self, values)
    }
}

mod scaled;

#[cfg(test)]
mod tests;
