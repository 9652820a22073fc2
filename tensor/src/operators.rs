//! The operators `+ - * /` on tensors and numbers, and the operand type that arithmetic methods take. Numbers beside
//! operators are `f64` or `i64`, so that literals need no suffix.
//!
//! Operators are sugar for short programs: they panic where the method of the same meaning returns an error.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::ops::binary::{scalar_minus, scalar_over};
use crate::{Result, Scalar, Tensor};

/// A tensor or a number, as arithmetic methods take it: `x.add(&y)`, `x.add(1.0)`.
#[derive(Clone, Copy)]
pub enum Operand<'a> {
    /// A tensor.
    Tensor(&'a Tensor),
    /// A number.
    Scalar(Scalar),
}

impl Operand<'_> {
    pub(crate) fn is_tracked(&self) -> bool {
        matches!(self, Operand::Tensor(t) if t.is_tracked())
    }
}

impl<'a> From<&'a Tensor> for Operand<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        Operand::Tensor(tensor)
    }
}

impl<S: Into<Scalar>> From<S> for Operand<'_> {
    fn from(scalar: S) -> Self {
        Operand::Scalar(scalar.into())
    }
}

#[track_caller]
fn or_panic(result: Result<Tensor>) -> Tensor {
    match result {
        Ok(tensor) => tensor,
        Err(error) => panic!("{error}"),
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident, $scalar_first:expr;)*) => { $(
        operators!(@pair $trait $method, Tensor, &Tensor, |x, y| Tensor::$method(&x, y));
        operators!(@pair $trait $method, &Tensor, &Tensor, |x, y| Tensor::$method(x, y));
        operators!(@pair $trait $method, Tensor, Tensor, |x, y| Tensor::$method(&x, &y));
        operators!(@pair $trait $method, &Tensor, Tensor, |x, y| Tensor::$method(x, &y));
        operators!(@scalars $trait $method, $scalar_first, f64 i64);
    )* };
    (@pair $trait:ident $method:ident, $lhs:ty, $rhs:ty, |$x:ident, $y:ident| $body:expr) => {
        impl $trait<$rhs> for $lhs {
            type Output = Tensor;

            #[track_caller]
            fn $method(self, rhs: $rhs) -> Tensor {
                let ($x, $y) = (self, rhs);
                or_panic($body)
            }
        }
    };
    (@scalars $trait:ident $method:ident, $scalar_first:expr, $($t:ty)*) => { $(
        operators!(@pair $trait $method, Tensor, $t, |x, y| Tensor::$method(&x, y));
        operators!(@pair $trait $method, &Tensor, $t, |x, y| Tensor::$method(x, y));
        operators!(@pair $trait $method, $t, Tensor, |x, y| $scalar_first(x.into(), &y));
        operators!(@pair $trait $method, $t, &Tensor, |x, y| $scalar_first(x.into(), y));
    )* };
}

operators! {
    Add add, |s: Scalar, t: &Tensor| t.add(s);
    Sub sub, |s: Scalar, t: &Tensor| scalar_minus(s, t);
    Mul mul, |s: Scalar, t: &Tensor| t.mul(s);
    Div div, |s: Scalar, t: &Tensor| scalar_over(s, t);
}

impl Neg for &Tensor {
    type Output = Tensor;

    #[track_caller]
    fn neg(self) -> Tensor {
        or_panic(Tensor::neg(self))
    }
}

impl Neg for Tensor {
    type Output = Tensor;

    #[track_caller]
    fn neg(self) -> Tensor {
        or_panic(Tensor::neg(&self))
    }
}
