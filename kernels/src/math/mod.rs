//! Elementary functions for `f32` and `f64`.
//!
//! They are straight-line code without branches, so that the compiler vectorises loops over them inside
//! [`simd!`](crate::simd!); both sides of a case distinction are computed and one is taken. Semantics at NaN,
//! infinities, subnormal numbers and signed zeros are those of C's `<math.h>`. Their errors stand in the book's page on
//! numerics (`docs/numerics.md`), from which a test takes its bounds.

mod bits;
mod erf;
mod exponential;
mod logarithm;
mod trigonometric;

/// The elementary functions that kernels use.
pub trait Math: Copy + PartialOrd {
    /// `sin`, `cos` and `tan` are good up to this magnitude; kernels recompute what lies beyond by `*_far`.
    const TRIGONOMETRIC_LIMIT: Self;

    /// `eˣ`.
    fn exp(self) -> Self;
    /// `2ˣ`.
    fn exp2(self) -> Self;
    /// `eˣ - 1`.
    fn expm1(self) -> Self;
    /// The natural logarithm.
    fn log(self) -> Self;
    /// The logarithm to base 2.
    fn log2(self) -> Self;
    /// The logarithm to base 10.
    fn log10(self) -> Self;
    /// `log(1 + x)`.
    fn log1p(self) -> Self;
    /// Sine up to [`TRIGONOMETRIC_LIMIT`](Self::TRIGONOMETRIC_LIMIT).
    fn sin(self) -> Self;
    /// Cosine up to [`TRIGONOMETRIC_LIMIT`](Self::TRIGONOMETRIC_LIMIT).
    fn cos(self) -> Self;
    /// Tangent up to [`TRIGONOMETRIC_LIMIT`](Self::TRIGONOMETRIC_LIMIT).
    fn tan(self) -> Self;
    /// Sine of any number, not vectorised.
    fn sin_far(self) -> Self;
    /// Cosine of any number, not vectorised.
    fn cos_far(self) -> Self;
    /// Tangent of any number, not vectorised.
    fn tan_far(self) -> Self;
    /// Inverse sine.
    fn asin(self) -> Self;
    /// Inverse cosine.
    fn acos(self) -> Self;
    /// Inverse tangent.
    fn atan(self) -> Self;
    /// The angle of the point `(x, self)`; that of the C library, not vectorised.
    fn atan2(self, x: Self) -> Self;
    /// Hyperbolic sine.
    fn sinh(self) -> Self;
    /// Hyperbolic cosine.
    fn cosh(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Inverse hyperbolic sine.
    fn asinh(self) -> Self;
    /// Inverse hyperbolic cosine.
    fn acosh(self) -> Self;
    /// Inverse hyperbolic tangent.
    fn atanh(self) -> Self;
    /// `1/(1 + e⁻ˣ)`.
    fn sigmoid(self) -> Self;
    /// The error function.
    fn erf(self) -> Self;
    /// `1 - erf(x)`.
    fn erfc(self) -> Self;
    /// The probability that a standard normal variable is below `x`.
    fn normal_cdf(self) -> Self;
    /// `self^e`; for `f64` that of the C library, not vectorised.
    fn pow(self, e: Self) -> Self;
    /// `√(self² + other²)` without overflow, infinite if one of them is; for `f64` that of the C library, not
    /// vectorised.
    fn hypot(self, other: Self) -> Self;
    /// The square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// The absolute value.
    fn abs(self) -> Self;
    /// Rounded down.
    fn floor(self) -> Self;
    /// Rounded up.
    fn ceil(self) -> Self;
    /// Rounded towards 0.
    fn trunc(self) -> Self;
    /// Rounded to the nearest whole number, ties to even.
    fn round_ties_even(self) -> Self;
    /// The magnitude with the sign of another number.
    fn copysign(self, sign: Self) -> Self;
    /// `self·factor + addend`, rounded once.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// The next number in the direction of another.
    fn next_after(self, towards: Self) -> Self;
    /// Whether this is neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// Whether the sign bit is set.
    fn is_sign_negative(self) -> bool;
}

/// Functions that forward to a path: `name` to `path(self)`, or to `path(self as f64) as f32` where marked `wide`.
macro_rules! forward {
    (wide: $($f:ident => $path:path),* $(,)?) => { $(
        #[inline(always)]
        fn $f(self) -> Self {
            $path(f64::from(self)) as f32
        }
    )* };
    ($t:ident: $($f:ident => $path:path),* $(,)?) => { $(
        #[inline(always)]
        fn $f(self) -> Self {
            $path(self)
        }
    )* };
}

/// What both types share. Functions that lose digits in their steps are computed in double precision: `$wide` is `wide`
/// for `f32`.
macro_rules! common {
    ($t:ident, $wide:ident) => {
        const TRIGONOMETRIC_LIMIT: Self = trigonometric::LIMIT as $t;

        forward! { $t:
            exp => exponential::exp,
            exp2 => exponential::exp2,
            expm1 => exponential::expm1,
            log => logarithm::log,
            log1p => logarithm::log1p,
            sinh => exponential::sinh,
            cosh => exponential::cosh,
            tanh => exponential::tanh,
            sigmoid => exponential::sigmoid,
            asinh => logarithm::asinh,
            acosh => logarithm::acosh,
            atanh => logarithm::atanh,
            sin_far => $t::sin,
            cos_far => $t::cos,
            tan_far => $t::tan,
            sqrt => $t::sqrt,
            abs => $t::abs,
            floor => $t::floor,
            ceil => $t::ceil,
            trunc => $t::trunc,
            round_ties_even => $t::round_ties_even,
        }
        forward! { $wide:
            log2 => logarithm::log2,
            log10 => logarithm::log10,
            sin => trigonometric::sin,
            cos => trigonometric::cos,
            tan => trigonometric::tan,
            asin => trigonometric::asin,
            acos => trigonometric::acos,
            atan => trigonometric::atan,
            erfc => erf::erfc,
        }

        #[inline(always)]
        fn atan2(self, x: Self) -> Self {
            $t::atan2(self, x)
        }
        #[inline(always)]
        fn copysign(self, sign: Self) -> Self {
            $t::copysign(self, sign)
        }
        #[inline(always)]
        fn mul_add(self, factor: Self, addend: Self) -> Self {
            $t::mul_add(self, factor, addend)
        }
        #[inline(always)]
        fn next_after(self, towards: Self) -> Self {
            if self.is_nan() || towards.is_nan() {
                return self + towards;
            }
            if self == towards {
                return towards;
            }
            if self == 0.0 {
                return $t::from_bits(1).copysign(towards);
            }
            let away = (self < towards) == (self > 0.0);
            $t::from_bits(if away {
                self.to_bits() + 1
            } else {
                self.to_bits() - 1
            })
        }
        #[inline(always)]
        fn is_finite(self) -> bool {
            $t::is_finite(self)
        }
        #[inline(always)]
        fn is_sign_negative(self) -> bool {
            $t::is_sign_negative(self)
        }
    };
}

impl Math for f32 {
    common!(f32, wide);
    forward! { f32: erf => erf::erf_f32, normal_cdf => erf::normal_cdf_f32 }

    #[inline(always)]
    fn pow(self, e: Self) -> Self {
        logarithm::pow_f32(self, e)
    }
    /// The squares of `f32` neither overflow nor lose digits in `f64`.
    #[inline(always)]
    fn hypot(self, other: Self) -> Self {
        let (a, b) = (self as f64, other as f64);
        let root = Math::sqrt(a * a + b * b) as f32;
        if self.abs() == f32::INFINITY || other.abs() == f32::INFINITY {
            f32::INFINITY
        } else {
            root
        }
    }
}

impl Math for f64 {
    common!(f64, f64);
    forward! { f64: erf => erf::erf, normal_cdf => erf::normal_cdf }

    #[inline(always)]
    fn pow(self, e: Self) -> Self {
        self.powf(e)
    }
    #[inline(always)]
    fn hypot(self, other: Self) -> Self {
        f64::hypot(self, other)
    }
}

#[cfg(test)]
mod tests;
