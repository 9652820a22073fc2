//! Trigonometric functions in `f64`; those of `f32` are these, rounded.
//!
//! `x = q·π/2 + r` with a whole `q`: the multiple of the rounded π/2 is subtracted exactly (a fused multiply-add rounds
//! only the result, which has few enough digits), then the rest of π/2. Beyond [`LIMIT`] there is no room for `q`.

use super::bits::{Bits, polynomial};
use crate::unary::choose;

/// The greatest magnitude that the reduction is good for.
pub(super) const LIMIT: f64 = (1u64 << 45) as f64;

/// π/2 in two parts.
const HALF_PI: [f64; 2] = [std::f64::consts::FRAC_PI_2, 6.123_233_995_736_766e-17];

/// `(sin(r)/r - 1)/r²` in powers of `r²`, for `|r| ≤ π/4`.
const SIN: [f64; 6] = [
    -0.16666666666666635,
    0.00833333333332296,
    -0.0001984126983013508,
    2.7557313780250313e-06,
    -2.5050769085404575e-08,
    1.5897304259776665e-10,
];
/// `(cos(r) - 1 + r²/2)/r⁴` in powers of `r²`, for `|r| ≤ π/4`.
const COS: [f64; 6] = [
    0.04166666666666665,
    -0.0013888888888881857,
    2.480158729383521e-05,
    -2.755731550040596e-07,
    2.087586716226088e-09,
    -1.136657116440799e-11,
];
/// `(asin(s)/s - 1)/s²` in powers of `s²`, for `s ≤ 1/2`.
const ASIN: [f64; 13] = [
    0.1666666666666668,
    0.07499999999990332,
    0.04464285715771309,
    0.030381943452322754,
    0.02237219553600912,
    0.017351938526329887,
    0.013977139548764474,
    0.01142738791603587,
    0.010628655711174845,
    0.004252480415727444,
    0.02043595011583356,
    -0.019271769885094447,
    0.03158886799062055,
];
/// `(atan(t)/t - 1)/t²` in powers of `t²`, for `t ≤ √2 - 1`.
const ATAN: [f64; 12] = [
    -0.3333333333333333,
    0.19999999999999019,
    -0.14285714285531115,
    0.11111111095914548,
    -0.09090908391182127,
    0.0769228775724527,
    -0.06666293667247596,
    0.05877621236523131,
    -0.05221962013578331,
    0.04516974230872646,
    -0.03376613475703332,
    0.015472957649812075,
];

/// The quarter turns in `x`, and the sine and cosine of what remains.
#[inline(always)]
fn quarters(x: f64) -> (u64, f64, f64) {
    let t = x.mul_add(std::f64::consts::FRAC_2_PI, f64::MAGIC);
    let q = t - f64::MAGIC;
    let r = q.mul_add(-HALF_PI[1], q.mul_add(-HALF_PI[0], x));
    let z = r * r;
    let sin = (r * z).mul_add(polynomial(z, &SIN), r);
    let cos = (z * z).mul_add(polynomial(z, &COS), z.mul_add(-0.5, 1.0));
    (t.to_bits(), sin, cos)
}

/// `x` with its sign turned where the given bit of `q` is set.
#[inline(always)]
fn turned(x: f64, q: u64) -> f64 {
    f64::from_bits(x.to_bits() ^ ((q & 2) << 62))
}

/// Sine, for `|x| ≤ LIMIT`.
#[inline(always)]
pub(super) fn sin(x: f64) -> f64 {
    let (q, sin, cos) = quarters(x);
    choose(x.abs() < 1e-9, x, turned(choose(q & 1 == 1, cos, sin), q))
}

/// Cosine, for `|x| ≤ LIMIT`.
#[inline(always)]
pub(super) fn cos(x: f64) -> f64 {
    let (q, sin, cos) = quarters(x);
    turned(choose(q & 1 == 1, sin, cos), q.wrapping_add(1))
}

/// Tangent, for `|x| ≤ LIMIT`.
#[inline(always)]
pub(super) fn tan(x: f64) -> f64 {
    let (q, sin, cos) = quarters(x);
    let odd = q & 1 == 1;
    choose(x.abs() < 1e-9, x, choose(odd, -cos, sin) / choose(odd, sin, cos))
}

/// `asin(s)` for `s = √z ≤ 1/2`.
#[inline(always)]
fn asin_small(s: f64, z: f64) -> f64 {
    (s * z).mul_add(polynomial(z, &ASIN), s)
}

/// Inverse sine: beyond 1/2 by `asin(a) = π/2 - 2·asin(√((1 - a)/2))`.
#[inline(always)]
pub(super) fn asin(x: f64) -> f64 {
    let a = x.abs();
    let far = a > 0.5;
    let z = choose(far, (1.0 - a) * 0.5, a * a);
    let p = asin_small(choose(far, z.sqrt(), a), z);
    choose(far, HALF_PI[0] - (2.0 * p - HALF_PI[1]), p).copysign(x)
}

/// Inverse cosine.
#[inline(always)]
pub(super) fn acos(x: f64) -> f64 {
    let a = x.abs();
    let far = a > 0.5;
    let z = choose(far, (1.0 - a) * 0.5, a * a);
    let p = asin_small(choose(far, z.sqrt(), a), z);
    let near = HALF_PI[0] - (p.copysign(x) - HALF_PI[1]);
    let twice = 2.0 * p;
    let beyond = choose(x < 0.0, 2.0 * HALF_PI[0] - (twice - 2.0 * HALF_PI[1]), twice);
    choose(far, beyond, near)
}

/// Inverse tangent: by `atan(1/t)` beyond tan(3π/8), by `atan((t - 1)/(t + 1))` beyond tan(π/8).
#[inline(always)]
pub(super) fn atan(x: f64) -> f64 {
    let a = x.abs();
    let (far, middle) = (
        a > std::f64::consts::SQRT_2 + 1.0,
        a > std::f64::consts::SQRT_2 - 1.0,
    );
    let numerator = choose(far, -1.0, choose(middle, a - 1.0, a));
    let denominator = choose(far, a, choose(middle, a + 1.0, 1.0));
    let t = numerator / denominator;
    let z = t * t;
    let p = (t * z).mul_add(polynomial(z, &ATAN), t);
    let [high, low] = HALF_PI;
    let base = choose(far, high, choose(middle, high * 0.5, 0.0));
    let rest = choose(far, low, choose(middle, low * 0.5, 0.0));
    (base + (p + rest)).copysign(x)
}
