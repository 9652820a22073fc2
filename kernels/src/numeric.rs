//! Arithmetic that kernels are generic over.

use crate::element::Pod;
/// A type that tensors hold.
pub trait Element: Pod + PartialOrd {
    /// Zero; for floats, positive zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
}

/// An element with arithmetic. On integers it wraps; division by zero is the caller's to exclude.
pub trait Number: Element {
    /// The least value: negative infinity for floats.
    const LEAST: Self;
    /// The greatest value: positive infinity for floats.
    const GREATEST: Self;
    /// The nearest value, by C's conversion.
    fn from_f64(value: f64) -> Self;
    /// The value as `f64`, rounded.
    fn to_f64(self) -> f64;
    /// The sum.
    fn plus(self, other: Self) -> Self;
    /// The difference.
    fn minus(self, other: Self) -> Self;
    /// The product.
    fn times(self, other: Self) -> Self;
    /// Whether this is a NaN, which no integer is.
    fn is_not_a_number(self) -> bool;
}

/// `f32` or `f64`.
pub trait Float:
    Number
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
    + std::ops::MulAssign
{
    /// The square root.
    fn sqrt(self) -> Self;
    /// The absolute value.
    fn abs(self) -> Self;
    /// Rounded down.
    fn floor(self) -> Self;
    /// Rounded to even.
    fn round(self) -> Self;
}

macro_rules! float {
    ($($t:ty)*) => { $(
        impl Element for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
        }
        impl Number for $t {
            const LEAST: Self = <$t>::NEG_INFINITY;
            const GREATEST: Self = <$t>::INFINITY;
            #[inline(always)]
            fn from_f64(value: f64) -> Self { value as $t }
            #[inline(always)]
            fn to_f64(self) -> f64 { f64::from(self) }
            #[inline(always)]
            fn plus(self, other: Self) -> Self { self + other }
            #[inline(always)]
            fn minus(self, other: Self) -> Self { self - other }
            #[inline(always)]
            fn times(self, other: Self) -> Self { self * other }
            #[inline(always)]
            fn is_not_a_number(self) -> bool { self.is_nan() }
        }
        impl Float for $t {
            #[inline(always)]
            fn sqrt(self) -> Self { <$t>::sqrt(self) }
            #[inline(always)]
            fn abs(self) -> Self { <$t>::abs(self) }
            #[inline(always)]
            fn floor(self) -> Self { <$t>::floor(self) }
            #[inline(always)]
            fn round(self) -> Self { <$t>::round_ties_even(self) }
        }
    )* };
}
float!(f32 f64);

macro_rules! int {
    ($($t:ty)*) => { $(
        impl Element for $t {
            const ZERO: Self = 0;
            const ONE: Self = 1;
        }
        impl Number for $t {
            const LEAST: Self = <$t>::MIN;
            const GREATEST: Self = <$t>::MAX;
            #[inline(always)]
            fn from_f64(value: f64) -> Self { value as i64 as $t }
            #[inline(always)]
            fn to_f64(self) -> f64 { self as f64 }
            #[inline(always)]
            fn plus(self, other: Self) -> Self { self.wrapping_add(other) }
            #[inline(always)]
            fn minus(self, other: Self) -> Self { self.wrapping_sub(other) }
            #[inline(always)]
            fn times(self, other: Self) -> Self { self.wrapping_mul(other) }
            #[inline(always)]
            fn is_not_a_number(self) -> bool { false }
        }
    )* };
}
int!(i64 i32 i16 i8 u8 u32);
