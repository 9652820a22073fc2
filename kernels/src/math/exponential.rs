//! Exponentials: `x = n·log(2) + r` with a whole `n`, a polynomial for `eʳ`, and `2^n` by its bits.

use super::bits::{Bits, bounded, polynomial};
use crate::unary::choose;

/// `n + MAGIC` and `r` with `x = n·log(2) + r`.
#[inline(always)]
fn reduce<T: Bits>(x: T) -> (T, T) {
    let t = x.fma(T::LOG2_E, T::MAGIC);
    let n = t - T::MAGIC;
    (t, n.fma(-T::LN_2[1], n.fma(-T::LN_2[0], x)))
}

/// `eˣ`.
#[inline(always)]
pub(super) fn exp<T: Bits>(x: T) -> T {
    let (t, r) = reduce(bounded(x, T::EXP_MIN, T::EXP_MAX));
    let (a, b) = T::powers(t);
    ((r * r).fma(polynomial(r, T::EXP), r) + T::ONE) * a * b
}

/// `2ˣ`.
#[inline(always)]
pub(super) fn exp2<T: Bits>(x: T) -> T {
    let x = bounded(x, T::EXP2_RANGE[0], T::EXP2_RANGE[1]);
    let t = x + T::MAGIC;
    let r = x - (t - T::MAGIC);
    let (a, b) = T::powers(t);
    r.fma(polynomial(r, T::EXP2), T::ONE) * a * b
}

/// `2ˣ` where it is a normal number; NaN stays NaN.
#[inline(always)]
pub(super) fn power_of_two(x: f32) -> f32 {
    let t = x + f32::MAGIC;
    let r = x - (t - f32::MAGIC);
    // The mantissa of 1.5·2²³ ends in zeros, so that what is left of it above the exponent is the whole number.
    let power = f32::from_bits((t.to_bits() << 23).wrapping_add(1f32.to_bits()));
    r.fma(polynomial(r, f32::EXP2), 1.0) * power
}

/// `eˣ - 1`, exact to the last digits near 0.
#[inline(always)]
pub(super) fn expm1<T: Bits>(x: T) -> T {
    let (t, r) = reduce(bounded(x, T::EXPM1_MIN, T::EXP_MAX));
    let (a, b) = T::powers(t);
    // Halves, so that 2^n stays finite where the result is.
    let half = T::from_f64(0.5);
    let scale = a * (b * half);
    let y = scale.fma((r * r).fma(polynomial(r, T::EXP), r), scale - half);
    choose(x.magnitude() < T::TINY, x, y + y)
}

/// `1/(1 + e⁻ˣ)`.
#[inline(always)]
pub(super) fn sigmoid<T: Bits>(x: T) -> T {
    T::ONE / (T::ONE + exp(-x))
}

/// `tanh(x) = -e/(2 + e)` with `e = expm1(-2|x|)`.
#[inline(always)]
pub(super) fn tanh<T: Bits>(x: T) -> T {
    let a = x.magnitude();
    let e = expm1(-(a + a));
    (-e / (e + T::from_f64(2.0))).signed_like(x)
}

/// `sinh(x) = (e + e/(1 + e))/2` with `e = expm1(|x|)`, and by squares where that is beyond the range.
#[inline(always)]
pub(super) fn sinh<T: Bits>(x: T) -> T {
    let (a, half) = (x.magnitude(), T::from_f64(0.5));
    let e = expm1(a);
    let root = exp(a * half);
    let y = choose(
        a > T::from_f64(40.0),
        half * root * root,
        half * (e + e / (e + T::ONE)),
    );
    y.signed_like(x)
}

/// `cosh(x) = (e + 1/e)/2` with `e = exp(|x|)`, and by squares where that is beyond the range.
#[inline(always)]
pub(super) fn cosh<T: Bits>(x: T) -> T {
    let (a, half) = (x.magnitude(), T::from_f64(0.5));
    let e = exp(a);
    let root = exp(a * half);
    choose(a > T::from_f64(40.0), half * root * root, half * (e + T::ONE / e))
}
