//! Functions of two tensors' elements with broadcasting and type promotion: `add`, `mul`, `div`, …

pub use flambeau_kernels::binary::{Binary, BinaryInt, Compare};
use flambeau_kernels::binary::{binary, binary_in_place, binary_int};
use flambeau_kernels::unary::Unary;

use crate::graph::{History, Op, Saved, record};
use crate::ops::create::full_value;
use crate::value::Value;
use crate::{
    DType, Error, Operand, Result, Scalar, Shape, Tensor, broadcast_shapes, result_type, with_float,
    with_integer,
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

/// The function's name.
pub(crate) fn name(_function: Binary) -> &'static str {
    "binary"
}

/// What an operation reads of an operand: a number becomes a 0-d value of the result's type.
fn read(operand: &Operand<'_>, dtype: DType) -> Saved {
    match operand {
        Operand::Tensor(t) => t.read(),
        Operand::Scalar(s) => Saved {
            value: full_value(Shape::default(), *s, dtype),
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
    /// `function(self, rhs)` of two values of one floating point type.
    pub(crate) fn zip(&self, op: &str, function: Binary, rhs: &Value) -> Result<Value> {
        if self.dtype.is_half() {
            return self
                .cast(DType::F32)?
                .zip(op, function, &rhs.cast(DType::F32)?)?
                .cast(self.dtype);
        }
        let (a, b, shape) = broadcast(op, self, rhs)?;
        with_float!(op, self.dtype, T => {
            let (a, b) = (a.view::<T>()?, b.view::<T>()?);
            Ok(Value::build::<T>(self.dtype, shape, |out| binary(function, a, b, out)))
        })
    }

    /// `function(self, rhs)` of two values of one integer type.
    pub(crate) fn zip_integers(&self, op: &str, function: BinaryInt, rhs: &Value) -> Result<Value> {
        let (a, b, shape) = broadcast(op, self, rhs)?;
        with_integer!(op, self.dtype, T => {
            let (a, b) = (a.view::<T>()?, b.view::<T>()?);
            let mut status = Ok(());
            let value = Value::build::<T>(self.dtype, shape, |out| status = binary_int(function, a, b, out));
            status.map_err(|error| Error::Value(format!("{op}: {error}")))?;
            Ok(value)
        })
    }
}

/// Both values expanded to their common shape.
fn broadcast(op: &str, a: &Value, b: &Value) -> Result<(Value, Value, Shape)> {
    if a.shape == b.shape {
        return Ok((a.clone(), b.clone(), a.shape.clone()));
    }
    let shape = broadcast_shapes(op, &[&a.shape, &b.shape])?;
    Ok((a.expanded(&shape), b.expanded(&shape), shape))
}

/// Which operands the gradient rule of a function reads: (lhs, rhs).
fn rule_reads(function: Binary) -> (bool, bool) {
    match function {
        Binary::Add | Binary::Sub => (false, false),
        _ => (true, true),
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
    let (mut x, mut y) = (read(a, dtype), read(b, dtype));
    for operand in [&mut x, &mut y] {
        operand.value = operand.value.cast_view(dtype)?;
    }
    let value = x.value.zip(op, function, &y.value)?;
    Ok(record(value, &[&x, &y], |_| {
        let (reads_lhs, reads_rhs) = rule_reads(function);
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

impl Tensor {
    fn arithmetic<'a>(
        &'a self,
        op: &'static str,
        float: Binary,
        integer: BinaryInt,
        rhs: Operand<'a>,
    ) -> Result<Tensor> {
        let lhs = Operand::Tensor(self);
        let dtype = common_dtype(&lhs, &rhs);
        if dtype.is_float() {
            float_binary(op, float, &lhs, &rhs, dtype)
        } else {
            integer_binary(op, integer, &lhs, &rhs, dtype)
        }
    }

    /// The sum of this and another tensor or number.
    ///
    /// # Errors
    /// `Broadcast` if the shapes don't broadcast.
    pub fn add<'a>(&'a self, rhs: impl Into<Operand<'a>>) -> Result<Tensor> {
        match rhs.into() {
            Operand::Scalar(s) if is_full_float(self.dtype()) => {
                self.unary("add", Unary::AddScalar(s.to_f64()))
            }
            rhs => self.arithmetic("add", Binary::Add, BinaryInt::Add, rhs),
        }
    }

    /// The difference of this and another tensor or number.
    ///
    /// # Errors
    /// `Broadcast` if the shapes don't broadcast; `DType` for two bool tensors.
    pub fn sub<'a>(&'a self, rhs: impl Into<Operand<'a>>) -> Result<Tensor> {
        let rhs = rhs.into();
        let dtype = common_dtype(&Operand::Tensor(self), &rhs);
        crate::ensure!(
            dtype != DType::Bool,
            DType,
            "sub: bools can't be subtracted; use logical_xor or logical_not"
        );
        self.arithmetic("sub", Binary::Sub, BinaryInt::Sub, rhs)
    }

    /// The product of this and another tensor or number.
    ///
    /// # Errors
    /// `Broadcast` if the shapes don't broadcast.
    pub fn mul<'a>(&'a self, rhs: impl Into<Operand<'a>>) -> Result<Tensor> {
        match rhs.into() {
            Operand::Scalar(s) if is_full_float(self.dtype()) => {
                self.unary("mul", Unary::MulScalar(s.to_f64()))
            }
            rhs => self.arithmetic("mul", Binary::Mul, BinaryInt::Mul, rhs),
        }
    }

    /// The quotient of this and another tensor or number; of integers in the default floating point type.
    ///
    /// # Errors
    /// `Broadcast` if the shapes don't broadcast.
    pub fn div<'a>(&'a self, rhs: impl Into<Operand<'a>>) -> Result<Tensor> {
        let (lhs, rhs) = (Operand::Tensor(self), rhs.into());
        let dtype = common_dtype(&lhs, &rhs).to_float();
        float_binary("div", Binary::Div, &lhs, &rhs, dtype)
    }

    /// Adds another tensor or number in place.
    ///
    /// # Errors
    /// As [`Tensor::add`]; `Shape` if the result would not fit; `Autograd` for a leaf that requires a gradient.
    pub fn add_<'a>(&'a self, rhs: impl Into<Operand<'a>>) -> Result<&'a Tensor> {
        self.in_place("add_", Binary::Add, rhs.into(), |x, y| x.add(y))
    }

    /// Subtracts another tensor or number in place.
    ///
    /// # Errors
    /// As [`Tensor::add_`].
    pub fn sub_<'a>(&'a self, rhs: impl Into<Operand<'a>>) -> Result<&'a Tensor> {
        self.in_place("sub_", Binary::Sub, rhs.into(), |x, y| x.sub(y))
    }

    /// Multiplies by another tensor or number in place.
    ///
    /// # Errors
    /// As [`Tensor::add_`].
    pub fn mul_<'a>(&'a self, rhs: impl Into<Operand<'a>>) -> Result<&'a Tensor> {
        self.in_place("mul_", Binary::Mul, rhs.into(), |x, y| x.mul(y))
    }

    /// Divides by another tensor or number in place.
    ///
    /// # Errors
    /// As [`Tensor::add_`]; `DType` for integer tensors, whose quotients are floats.
    pub fn div_<'a>(&'a self, rhs: impl Into<Operand<'a>>) -> Result<&'a Tensor> {
        self.in_place("div_", Binary::Div, rhs.into(), |x, y| x.div(y))
    }

    /// Writes straight to the tensor's memory where nothing is recorded and types agree; else computes beside and
    /// replaces.
    fn in_place<'a>(
        &'a self,
        op: &'static str,
        function: Binary,
        rhs: Operand<'a>,
        beside: impl FnOnce(&'a Tensor, Operand<'a>) -> Result<Tensor>,
    ) -> Result<&'a Tensor> {
        let dtype = self.dtype();
        let untracked = !crate::is_grad_enabled() || (!self.is_tracked() && !rhs.is_tracked());
        if !untracked || !is_full_float(dtype) || common_dtype(&Operand::Tensor(self), &rhs) != dtype {
            return self.replace(op, beside(self, rhs)?);
        }
        let other = read(&rhs, dtype).value.cast_view(dtype)?;
        let shape = broadcast_shapes(op, &[self.shape(), &other.shape])?;
        crate::ensure!(
            shape == *self.shape(),
            Shape,
            "{op}: the result {shape:?} does not fit {:?}",
            self.shape()
        );
        let other = other.expanded(&shape);
        with_float!(op, dtype, T => {
            let view = other.view::<T>()?;
            self.write::<T, _>(op, |own| binary_in_place(function, own, view))?;
        });
        Ok(self)
    }
}

/// `float32` or `float64`, which kernels compute in directly.
fn is_full_float(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64)
}

/// `number - tensor`.
pub(crate) fn scalar_minus(lhs: Scalar, rhs: &Tensor) -> Result<Tensor> {
    let (lhs, rhs) = (Operand::Scalar(lhs), Operand::Tensor(rhs));
    let dtype = common_dtype(&lhs, &rhs);
    if dtype.is_float() {
        float_binary("sub", Binary::Sub, &lhs, &rhs, dtype)
    } else {
        integer_binary("sub", BinaryInt::Sub, &lhs, &rhs, dtype)
    }
}

/// `number / tensor`.
pub(crate) fn scalar_over(lhs: Scalar, rhs: &Tensor) -> Result<Tensor> {
    let (lhs, rhs) = (Operand::Scalar(lhs), Operand::Tensor(rhs));
    float_binary(
        "div",
        Binary::Div,
        &lhs,
        &rhs,
        common_dtype(&lhs, &rhs).to_float(),
    )
}
