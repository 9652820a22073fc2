//! Elementary functions for `f32` and `f64`, written so that the compiler vectorises loops over them.

/// The elementary functions that kernels use. Semantics at NaN, infinities and zeros are those of C's `<math.h>`.
#[allow(missing_docs)]
pub trait Math: Copy + PartialOrd {
    fn exp(self) -> Self;
    fn exp2(self) -> Self;
    fn expm1(self) -> Self;
    fn log(self) -> Self;
    fn log2(self) -> Self;
    fn log10(self) -> Self;
    fn log1p(self) -> Self;
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    fn tan(self) -> Self;
    fn asin(self) -> Self;
    fn acos(self) -> Self;
    fn atan(self) -> Self;
    fn atan2(self, x: Self) -> Self;
    fn sinh(self) -> Self;
    fn cosh(self) -> Self;
    fn tanh(self) -> Self;
    fn asinh(self) -> Self;
    fn acosh(self) -> Self;
    fn atanh(self) -> Self;
    fn sigmoid(self) -> Self;
    fn erf(self) -> Self;
    fn erfc(self) -> Self;
    fn pow(self, e: Self) -> Self;
    fn hypot(self, other: Self) -> Self;
    fn sqrt(self) -> Self;
    fn abs(self) -> Self;
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    fn trunc(self) -> Self;
    fn round_ties_even(self) -> Self;
    fn copysign(self, sign: Self) -> Self;
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    fn next_after(self, towards: Self) -> Self;
    fn is_finite(self) -> bool;
    fn is_sign_negative(self) -> bool;
}

macro_rules! math {
    ($t:ident, $bits:ty) => {
        impl Math for $t {
            math!(@std $t: exp exp2 sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sqrt abs floor ceil trunc
                round_ties_even log2 log10);
            math!(@std2 $t: atan2 hypot copysign);

            #[inline(always)]
            fn expm1(self) -> Self {
                self.exp_m1()
            }
            #[inline(always)]
            fn log(self) -> Self {
                self.ln()
            }
            #[inline(always)]
            fn log1p(self) -> Self {
                self.ln_1p()
            }
            #[inline(always)]
            fn pow(self, e: Self) -> Self {
                self.powf(e)
            }
            #[inline(always)]
            fn sigmoid(self) -> Self {
                1.0 / (1.0 + Math::exp(-self))
            }
            #[inline(always)]
            fn erf(self) -> Self {
                erf64(self as f64) as $t
            }
            #[inline(always)]
            fn erfc(self) -> Self {
                erfc64(self as f64) as $t
            }
            #[inline(always)]
            fn mul_add(self, factor: Self, addend: Self) -> Self {
                <$t>::mul_add(self, factor, addend)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                <$t>::is_finite(self)
            }
            #[inline(always)]
            fn is_sign_negative(self) -> bool {
                <$t>::is_sign_negative(self)
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
                    return <$t>::from_bits(1).copysign(towards);
                }
                let away = (self < towards) == (self > 0.0);
                <$t>::from_bits(if away { self.to_bits() + 1 } else { self.to_bits() - 1 })
            }
        }
    };
    (@std $t:ident: $($f:ident)*) => { $(
        #[inline(always)]
        fn $f(self) -> Self {
            <$t>::$f(self)
        }
    )* };
    (@std2 $t:ident: $($f:ident)*) => { $(
        #[inline(always)]
        fn $f(self, other: Self) -> Self {
            <$t>::$f(self, other)
        }
    )* };
}
math!(f32, u32);
math!(f64, u64);

/// The error function by its power series.
fn erf64(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x.abs() > 2.5 {
        return if x > 0.0 {
            1.0 - erfc64(x)
        } else {
            erfc64(-x) - 1.0
        };
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > 1e-18 * sum.abs() {
        n += 1.0;
        term *= -x * x / n * (2.0 * n - 1.0) / (2.0 * n + 1.0);
        sum += term;
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

/// The complementary error function by its continued fraction.
fn erfc64(x: f64) -> f64 {
    if x < 2.5 {
        return if x < -2.5 {
            2.0 - erfc64(-x)
        } else {
            1.0 - erf64(x)
        };
    }
    let mut f = 0.0;
    for k in (1..80).rev() {
        f = k as f64 / 2.0 / (x + f);
    }
    (-x * x).exp() / ((x + f) * std::f64::consts::PI.sqrt())
}
