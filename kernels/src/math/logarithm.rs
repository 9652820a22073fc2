//! Logarithms: `x = m·2^k` with `√½ ≤ m < √2`, and a series in `s = f/(2 + f)` for `log(1 + f)` with `f = m - 1`.

use super::bits::{Bits, polynomial};
use super::exponential::exp2;
use crate::unary::choose;

/// `k` and `f` with `x = (1 + f)·2^k`, for any `x > 0`.
#[inline(always)]
fn reduce<T: Bits>(x: T) -> (T, T) {
    // 2^60 lifts every subnormal of f64 (and of f32) to a normal number.
    let subnormal = x < T::NORMAL;
    let lift = T::from_f64((1u64 << 60) as f64);
    let (k, m) = T::split(choose(subnormal, x * lift, x));
    (k - choose(subnormal, T::from_f64(60.0), T::ZERO), m - T::ONE)
}

/// `f²/2` and `s·(f²/2 + R)`: together with `f` they make `log(1 + f) = f - (f²/2 - s·(f²/2 + R))`.
#[inline(always)]
fn series<T: Bits>(f: T) -> (T, T) {
    let s = f / (f + T::from_f64(2.0));
    let z = s * s;
    let half_square = T::from_f64(0.5) * f * f;
    (half_square, s * z.fma(polynomial(z, T::LOG), half_square))
}

/// `value` where `0 < x < ∞`, else the limits of a logarithm.
#[inline(always)]
fn with_limits<T: Bits>(x: T, value: T) -> T {
    let nan = T::from_f64(f64::NAN);
    let limit = choose(x == T::ZERO, T::LEAST, choose(x == T::GREATEST, x, nan));
    choose((x > T::ZERO) & (x < T::GREATEST), value, limit)
}

/// The natural logarithm.
#[inline(always)]
pub(super) fn log<T: Bits>(x: T) -> T {
    let (k, f) = reduce(x);
    let (half_square, tail) = series(f);
    with_limits(x, k.fma(T::LN_2[0], f - (half_square - k.fma(T::LN_2[1], tail))))
}

/// `log(1 + x)`, exact to the last digits near 0.
#[inline(always)]
pub(super) fn log1p<T: Bits>(x: T) -> T {
    let u = T::ONE + x;
    let (k, f) = reduce(u);
    // What rounding `1 + x` lost, relative to it.
    let lost = choose(x > T::ONE, T::ONE - (u - x), x - (u - T::ONE)) / u;
    let (half_square, tail) = series(f);
    let value = k.fma(T::LN_2[0], f - (half_square - (tail + k.fma(T::LN_2[1], lost))));
    choose(x.magnitude() < T::TINY, x, with_limits(u, value))
}

/// The logarithm to another base, `k·per_octave + log(1 + f)·factor`, each given in two parts.
#[inline(always)]
fn log_to_base(x: f64, per_octave: [f64; 2], factor: [f64; 2]) -> f64 {
    let (k, f) = reduce(x);
    let (half_square, tail) = series(f);
    // log(1 + f) as an unevaluated sum, then each product and sum with its rounding error.
    let high = f - half_square;
    let low = (f - high) - half_square + tail;
    let product = high * factor[0];
    let rest = high.fma(factor[0], -product) + low.fma(factor[0], high * factor[1]);
    let whole = k * per_octave[0];
    let sum = whole + product;
    let carried = rounding_error(whole, product, sum);
    with_limits(x, sum + (carried + k.fma(per_octave[1], rest)))
}

/// The rounding error of `sum = a + b`.
#[inline(always)]
fn rounding_error(a: f64, b: f64, sum: f64) -> f64 {
    let from_b = sum - a;
    (a - (sum - from_b)) + (b - from_b)
}

/// 1/log(2) in two parts.
const LOG2_E: [f64; 2] = [std::f64::consts::LOG2_E, 2.035_527_374_093_103_3e-17];
/// 1/log(10) in two parts.
const LOG10_E: [f64; 2] = [std::f64::consts::LOG10_E, 1.098_319_650_216_765e-17];
/// log10(2) in two parts; the first has so few digits that its multiples by an exponent are exact.
const LOG10_2: [f64; 2] = [0.301_029_995_663_839_14, 1.420_502_322_726_61e-13];

/// The logarithm to base 2.
#[inline(always)]
pub(super) fn log2(x: f64) -> f64 {
    log_to_base(x, [1.0, 0.0], LOG2_E)
}

/// The logarithm to base 10.
#[inline(always)]
pub(super) fn log10(x: f64) -> f64 {
    log_to_base(x, LOG10_2, LOG10_E)
}

/// `x^y` for `f32`: by base-2 logarithm and exponential in `f64`, which leaves no error to speak of.
#[inline(always)]
pub(super) fn pow_f32(x: f32, y: f32) -> f32 {
    let (a, b) = (f64::from(x.abs()), f64::from(y));
    let size = exp2(b * log2(a)) as f32;
    let whole = y.trunc() == y;
    // Whole numbers from 2^24 on are even.
    let odd = whole & ((y * 0.5).trunc() != y * 0.5);
    let undefined = (x < 0.0) & !whole & (x > f32::NEG_INFINITY);
    let signed = choose(undefined, f32::NAN, choose(odd, size.copysign(x), size));
    let one = (y == 0.0) | (x == 1.0) | ((y.abs() == f32::INFINITY) & (a == 1.0));
    choose(one, 1.0, choose(x.is_nan() | y.is_nan(), f32::NAN, signed))
}

/// The inverse hyperbolic sine.
#[inline(always)]
pub(super) fn asinh<T: Bits>(x: T) -> T {
    let a = x.magnitude();
    let square = a * a;
    let near = log1p(a + square / (T::ONE + (T::ONE + square).root()));
    choose(a > T::ONE / T::TINY, log(a) + T::LN_2[0], near).signed_like(x)
}

/// The inverse hyperbolic cosine; NaN below 1.
#[inline(always)]
pub(super) fn acosh<T: Bits>(x: T) -> T {
    let t = x - T::ONE;
    let near = log1p(t + (t + t + t * t).root());
    let value = choose(x > T::ONE / T::TINY, log(x) + T::LN_2[0], near);
    choose(x < T::ONE, T::from_f64(f64::NAN), value)
}

/// The inverse hyperbolic tangent; NaN beyond ±1.
#[inline(always)]
pub(super) fn atanh<T: Bits>(x: T) -> T {
    let a = x.magnitude();
    (T::from_f64(0.5) * log1p((a + a) / (T::ONE - a))).signed_like(x)
}
