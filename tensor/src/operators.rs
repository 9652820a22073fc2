//! The operators `+ - * / % & | ^ << >> !` on tensors and numbers, and the operand type that arithmetic methods take.
//! Numbers beside operators are `f64` or `i64`, so that literals need no suffix.
//!
//! Operators are sugar for short programs: they panic where the method of the same meaning returns an error.

use std::ops::{
    Add, AddAssign, BitAnd, BitOr, BitXor, Div, DivAssign, Mul, MulAssign, Neg, Not, Rem, Shl, Shr, Sub,
    SubAssign,
};

use crate::ops::{binary, bitwise};
use crate::{DType, Result, Scalar, Tensor};

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

    /// The element type; of a number the type of a tensor made from it.
    pub(crate) fn dtype(&self) -> DType {
        match self {
            Operand::Tensor(tensor) => tensor.dtype(),
            Operand::Scalar(scalar) => scalar.default_dtype(),
        }
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
fn or_panic<T>(result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

/// Operators with two operands: each pair of owned and borrowed tensors, and numbers on either side.
macro_rules! operators {
    ($($trait:ident $method:ident => $function:path, $($number:ty)*;)*) => { $(
        operators!(@pair $trait $method, Tensor, &Tensor, |x, y| $function(&x, y));
        operators!(@pair $trait $method, &Tensor, &Tensor, |x, y| $function(x, y));
        operators!(@pair $trait $method, Tensor, Tensor, |x, y| $function(&x, &y));
        operators!(@pair $trait $method, &Tensor, Tensor, |x, y| $function(x, &y));
        operators!(@numbers $trait $method => $function, $($number)*);
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
    (@numbers $trait:ident $method:ident => $function:path, $($number:ty)*) => { $(
        operators!(@pair $trait $method, Tensor, $number, |x, y| $function(&x, y));
        operators!(@pair $trait $method, &Tensor, $number, |x, y| $function(x, y));
        operators!(@pair $trait $method, $number, Tensor, |x, y| $function(x, &y));
        operators!(@pair $trait $method, $number, &Tensor, |x, y| $function(x, y));
    )* };
}

operators! {
    Add add => binary::add, f64 i64;
    Sub sub => binary::sub, f64 i64;
    Mul mul => binary::mul, f64 i64;
    Div div => binary::div, f64 i64;
    Rem rem => binary::remainder, f64 i64;
    BitAnd bitand => bitwise::bitwise_and, i64 bool;
    BitOr bitor => bitwise::bitwise_or, i64 bool;
    BitXor bitxor => bitwise::bitwise_xor, i64 bool;
    Shl shl => bitwise::bitwise_left_shift, i64;
    Shr shr => bitwise::bitwise_right_shift, i64;
}

macro_rules! prefix_operators {
    ($($trait:ident $method:ident => $function:path;)*) => { $(
        impl $trait for &Tensor {
            type Output = Tensor;

            #[track_caller]
            fn $method(self) -> Tensor {
                or_panic($function(self))
            }
        }

        impl $trait for Tensor {
            type Output = Tensor;

            #[track_caller]
            fn $method(self) -> Tensor {
                or_panic($function(&self))
            }
        }
    )* };
}

prefix_operators! {
    Neg neg => Tensor::neg;
    Not not => Tensor::bitwise_not;
}

/// `x += y` and its kin: in place, seen through every handle to `x`.
macro_rules! assignments {
    ($($trait:ident $method:ident => $function:ident;)*) => { $(
        impl<'a, T: Into<Operand<'a>>> $trait<T> for Tensor {
            #[track_caller]
            fn $method(&mut self, rhs: T) {
                or_panic(self.$function(rhs.into()).map(|_| ()));
            }
        }
    )* };
}

assignments! {
    AddAssign add_assign => add_;
    SubAssign sub_assign => sub_;
    MulAssign mul_assign => mul_;
    DivAssign div_assign => div_;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_both_sides() {
        let x = Tensor::new([5i64, -5]).unwrap();
        assert_eq!((7 - &x).to_vec::<i64>().unwrap(), [2, 12]);
        assert_eq!((&x % 3).to_vec::<i64>().unwrap(), [2, 1]);
        assert_eq!((1 << x.abs().unwrap()).to_vec::<i64>().unwrap(), [32, 32]);
        assert_eq!((!&x & 3).to_vec::<i64>().unwrap(), [2, 0]);
        assert_eq!((1.0 / &x).to_vec::<f32>().unwrap(), [0.2, -0.2]);
        let flags = x.gt(0).unwrap();
        assert_eq!((!flags ^ true).to_vec::<bool>().unwrap(), [true, false]);
    }

    #[test]
    fn assignments_are_seen_through_every_handle() {
        let mut x = Tensor::new([1.0f32, 2.0]).unwrap();
        let handle = x.clone();
        x += 1.0;
        x *= &handle.detach();
        assert_eq!(handle.to_vec::<f32>().unwrap(), [4.0, 9.0]);
    }

    #[test]
    #[should_panic(expected = "add: shapes [2] and [3] cannot be broadcast together")]
    fn errors_are_panics() {
        let _ = Tensor::new([1.0f32, 2.0]).unwrap() + Tensor::new([1.0f32; 3]).unwrap();
    }
}
