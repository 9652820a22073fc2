//! Small functions with edge cases: entropies, logit, sinc, x log y, neighbours, common divisors, binary exponents.

use super::SpecialFloat;
use std::f64::consts::PI;

/// −x ln x, 0 at 0 and −∞ below (`torch.special.entr`).
pub fn entr(x: f64) -> f64 {
    if x > 0.0 {
        -x * x.ln()
    } else if x == 0.0 {
        0.0
    } else if x < 0.0 {
        f64::NEG_INFINITY
    } else {
        x
    }
}

/// ln(x / (1 − x)) (`torch.logit`), of x clamped to [eps, 1 − eps] if there is an eps.
pub fn logit(x: f64, eps: Option<f64>) -> f64 {
    let x = match eps {
        Some(eps) if x < eps => eps,
        Some(eps) if x > 1.0 - eps => 1.0 - eps,
        _ => x,
    };
    (x / (1.0 - x)).ln()
}

/// sin(πx) / (πx), 1 at 0 (`torch.sinc`). The product is rounded to the type of x before the sine is taken.
pub fn sinc<T: SpecialFloat>(x: T) -> T {
    if x == T::ZERO {
        return T::ONE;
    }
    let product = x * T::from_f64(PI);
    T::from_f64(product.to_f64().sin() / product.to_f64())
}

/// x ln y, 0 where x is 0 unless y is NaN (`torch.xlogy`).
pub fn xlogy(x: f64, y: f64) -> f64 {
    if y.is_nan() {
        y
    } else if x == 0.0 {
        0.0
    } else {
        x * y.ln()
    }
}

/// x ln(1 + y), 0 where x is 0 unless y is NaN (`torch.special.xlog1py`).
pub fn xlog1py(x: f64, y: f64) -> f64 {
    if y.is_nan() {
        y
    } else if x == 0.0 {
        0.0
    } else {
        x * y.ln_1p()
    }
}

/// The next representable number after `from` towards `to` (`torch.nextafter`).
pub fn nextafter<T: SpecialFloat>(from: T, to: T) -> T {
    if from.to_f64().is_nan() || to.to_f64().is_nan() {
        T::from_f64(f64::NAN)
    } else if from == to {
        to
    } else if from < to {
        from.up()
    } else {
        -((-from).up())
    }
}

/// An integer type of [`gcd`] and [`lcm`]; arithmetic wraps as in C.
pub trait Integer: Copy + PartialEq + Default {
    /// The absolute value, wrapping at the smallest number.
    fn magnitude(self) -> Self;
    /// The remainder; `divisor` isn't zero.
    fn remainder(self, divisor: Self) -> Self;
    /// `self / divisor * factor`, wrapping; `divisor` isn't zero.
    fn scaled(self, divisor: Self, factor: Self) -> Self;
}

macro_rules! integer {
    ($($t:ty: $abs:expr),*) => { $(
        impl Integer for $t {
            #[inline]
            fn magnitude(self) -> Self {
                $abs(self)
            }

            #[inline]
            fn remainder(self, divisor: Self) -> Self {
                self.wrapping_rem(divisor)
            }

            #[inline]
            fn scaled(self, divisor: Self, factor: Self) -> Self {
                self.wrapping_div(divisor).wrapping_mul(factor)
            }
        }
    )* };
}
integer!(
    u8: std::convert::identity,
    i8: i8::wrapping_abs,
    i16: i16::wrapping_abs,
    i32: i32::wrapping_abs,
    i64: i64::wrapping_abs
);

/// The greatest common divisor, not negative (`torch.gcd`).
pub fn gcd<T: Integer>(a: T, b: T) -> T {
    let (mut a, mut b) = (a.magnitude(), b.magnitude());
    while a != T::default() {
        (a, b) = (b.remainder(a), a);
    }
    b
}

/// The least common multiple, not negative; 0 if either is 0 (`torch.lcm`).
pub fn lcm<T: Integer>(a: T, b: T) -> T {
    let divisor = gcd(a, b);
    if divisor == T::default() {
        divisor
    } else {
        a.scaled(divisor, b).magnitude()
    }
}

/// x = mantissa · 2^exponent with ½ ≤ |mantissa| < 1 (`torch.frexp`); x itself and 0 for 0, NaN and the infinities.
pub fn frexp(x: f64) -> (f64, i32) {
    if x == 0.0 || !x.is_finite() {
        return (x, 0);
    }
    const EXPONENT: u64 = 0x7ff << 52;
    // Subnormal numbers are brought into the normal range first.
    let (x, offset) = if x.abs() < f64::MIN_POSITIVE {
        (x * 2f64.powi(54), -54)
    } else {
        (x, 0)
    };
    let bits = x.to_bits();
    let exponent = ((bits & EXPONENT) >> 52) as i32 - 1022;
    (f64::from_bits((bits & !EXPONENT) | 1022 << 52), exponent + offset)
}

/// x · 2^exponent (`torch.ldexp`); like there, the power overflows by itself.
pub fn ldexp(x: f64, exponent: f64) -> f64 {
    x * exponent.exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_those_of_pytorch() {
        assert_eq!((entr(0.0), entr(-1.0), entr(1.0)), (0.0, f64::NEG_INFINITY, 0.0));
        assert_eq!((xlogy(0.0, 0.0), xlog1py(0.0, -1.0)), (0.0, 0.0));
        assert!(xlogy(0.0, f64::NAN).is_nan());
        assert_eq!((sinc(0.0f32), sinc(0.5f64)), (1.0, 2.0 / PI));
        assert_eq!((logit(0.5, None), logit(2.0, Some(0.5))), (0.0, 0.0));
        assert!(logit(-0.5, None).is_nan());
        assert_eq!(nextafter(1.0f32, 2.0), 1.0 + f32::EPSILON);
        assert_eq!(nextafter(0.0f64, -1.0), -f64::from_bits(1));
        assert_eq!((gcd(-12i64, 18), lcm(4i32, -6), lcm(0i64, 5)), (6, 12, 0));
        assert_eq!(
            (frexp(-10.0), frexp(f64::from_bits(1))),
            ((-0.625, 4), (0.5, -1073))
        );
        assert_eq!(ldexp(3.0, -1.0), 1.5);
    }
}
