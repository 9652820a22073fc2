//! Elementary functions to about 30 digits: the reference for the errors of those in double precision.
//!
//! A number is the unevaluated sum of two `f64` (Dekker, "A floating-point technique for extending the available
//! precision", 1971). `exp` is a Taylor series of a reduced argument, so are sine and cosine; inverse functions are
//! one Newton step from the C library's value, which doubles its digits.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// `high + low`, where `low` is at most half a unit in the last place of `high`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extended {
    pub(super) high: f64,
    pub(super) low: f64,
}

const fn pair(high: f64, low: f64) -> Extended {
    Extended { high, low }
}

const ONE: Extended = pair(1.0, 0.0);
const LN_2: Extended = pair(std::f64::consts::LN_2, 2.319_046_813_846_299_6e-17);
const LN_10: Extended = pair(std::f64::consts::LN_10, -2.170_756_223_382_249_4e-16);
/// π/2 in three parts, for the reduction of arguments up to 10⁹.
const HALF_PI: [f64; 3] = [
    std::f64::consts::FRAC_PI_2,
    6.123_233_995_736_766e-17,
    -1.497_384_904_859_169_8e-33,
];
/// √π.
const ROOT_PI: Extended = pair(1.772_453_850_905_516, -7.666_586_499_825_799e-17);

/// The sum of two numbers and what its rounding lost.
fn two_sum(a: f64, b: f64) -> Extended {
    let sum = a + b;
    let b_part = sum - a;
    pair(sum, (a - (sum - b_part)) + (b - b_part))
}

/// The product of two numbers and what its rounding lost.
fn two_product(a: f64, b: f64) -> Extended {
    let product = a * b;
    pair(product, a.mul_add(b, -product))
}

/// The same number with its low part made as small as can be.
fn normal(high: f64, low: f64) -> Extended {
    let sum = high + low;
    pair(sum, low - (sum - high))
}

impl From<f64> for Extended {
    fn from(x: f64) -> Self {
        pair(x, 0.0)
    }
}

impl Neg for Extended {
    type Output = Extended;

    fn neg(self) -> Extended {
        pair(-self.high, -self.low)
    }
}

impl Add for Extended {
    type Output = Extended;

    fn add(self, other: Extended) -> Extended {
        let (high, low) = (two_sum(self.high, other.high), two_sum(self.low, other.low));
        let high = normal(high.high, high.low + low.high);
        normal(high.high, high.low + low.low)
    }
}

impl Sub for Extended {
    type Output = Extended;

    fn sub(self, other: Extended) -> Extended {
        self + -other
    }
}

impl Mul for Extended {
    type Output = Extended;

    fn mul(self, other: Extended) -> Extended {
        let product = two_product(self.high, other.high);
        normal(
            product.high,
            product.low + (self.high * other.low + self.low * other.high),
        )
    }
}

impl Div for Extended {
    type Output = Extended;

    fn div(self, other: Extended) -> Extended {
        let first = self.high / other.high;
        let rest = self - other * first.into();
        let second = rest.high / other.high;
        let rest = rest - other * second.into();
        normal(first, second) + (rest.high / other.high).into()
    }
}

impl Extended {
    /// Times a power of two, in steps that neither overflow nor underflow before the result does.
    pub(super) fn scaled(self, exponent: i32) -> Extended {
        let (half, rest) = (exponent / 2, exponent - exponent / 2);
        let times = |x: f64| x * 2f64.powi(half) * 2f64.powi(rest);
        pair(times(self.high), times(self.low))
    }
}

/// `(k, r)` with `x = k·ln 2 + r` and `|r| ≤ ln 2 / 2`.
fn reduced(x: Extended) -> (i32, Extended) {
    let k = (x.high / LN_2.high).round();
    (k as i32, x - LN_2 * k.into())
}

/// `eˣ - 1` for small `x`: the series for `x/512`, squared nine times.
fn small_expm1(x: Extended) -> Extended {
    const HALVINGS: i32 = 9;
    let x = x.scaled(-HALVINGS);
    let mut sum = ONE;
    for n in (2..=11).rev() {
        sum = ONE + sum * x / f64::from(n).into();
    }
    let mut power = sum * x;
    for _ in 0..HALVINGS {
        power = power * (power + 2.0.into());
    }
    power
}

/// `eˣ·2^exponent`.
pub(super) fn exp_scaled(x: Extended, exponent: i32) -> Extended {
    let (k, r) = reduced(x);
    (ONE + small_expm1(r)).scaled(k + exponent)
}

pub(super) fn exp(x: Extended) -> Extended {
    exp_scaled(x, 0)
}

pub(super) fn exp2(x: Extended) -> Extended {
    exp(x * LN_2)
}

pub(super) fn expm1(x: Extended) -> Extended {
    match reduced(x) {
        (0, r) => small_expm1(r),
        (k, r) => (ONE + small_expm1(r)).scaled(k) - ONE,
    }
}

pub(super) fn log1p(x: Extended) -> Extended {
    let y = Extended::from(x.high.ln_1p());
    // The rest is log(1 + e) for a tiny e.
    let e = x + (ONE + x) * expm1(-y);
    y + e - e * e * 0.5.into()
}

pub(super) fn log(x: Extended) -> Extended {
    log1p(x - ONE)
}

pub(super) fn log2(x: Extended) -> Extended {
    log(x) / LN_2
}

pub(super) fn log10(x: Extended) -> Extended {
    log(x) / LN_10
}

pub(super) fn sinh(x: Extended) -> Extended {
    let e = expm1(x);
    (e + e / (e + ONE)) * 0.5.into()
}

pub(super) fn cosh(x: Extended) -> Extended {
    let e = exp(x);
    (e + ONE / e) * 0.5.into()
}

pub(super) fn tanh(x: Extended) -> Extended {
    let e = expm1(x + x);
    e / (e + 2.0.into())
}

pub(super) fn sigmoid(x: Extended) -> Extended {
    ONE / (ONE + exp(-x))
}

pub(super) fn asinh(x: Extended) -> Extended {
    let y = Extended::from(x.high.asinh());
    y + (x - sinh(y)) / cosh(y)
}

pub(super) fn acosh(x: Extended) -> Extended {
    // The library's formula loses digits near 1, this one does not.
    let y = Extended::from(2.0 * ((x.high - 1.0) * 0.5).sqrt().asinh());
    y + (x - cosh(y)) / sinh(y)
}

pub(super) fn atanh(x: Extended) -> Extended {
    // The library's formula loses digits near -1 only.
    let y = Extended::from(x.high.abs().atanh().copysign(x.high));
    let t = tanh(y);
    y + (x - t) / (ONE - x * t)
}

/// Sine and cosine by their series, for arguments up to π/4.
fn small_sin_cos(x: Extended) -> (Extended, Extended) {
    let square = x * x;
    let series = |first: i32| {
        let mut sum = ONE;
        for step in (0..14).rev() {
            let n = first + 2 * step;
            sum = ONE - sum * square / f64::from(n * (n + 1)).into();
        }
        sum
    };
    (x * series(2), series(1))
}

/// Sine and cosine of arguments up to 10⁹.
fn sin_cos(x: Extended) -> (Extended, Extended) {
    let k = (x.high / HALF_PI[0]).round();
    let mut r = x;
    for part in HALF_PI {
        r = r - two_product(k, part);
    }
    let (sin, cos) = small_sin_cos(r);
    match (k as i64).rem_euclid(4) {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

pub(super) fn sin(x: Extended) -> Extended {
    sin_cos(x).0
}

pub(super) fn cos(x: Extended) -> Extended {
    sin_cos(x).1
}

pub(super) fn tan(x: Extended) -> Extended {
    let (sin, cos) = sin_cos(x);
    sin / cos
}

pub(super) fn asin(x: Extended) -> Extended {
    let y = Extended::from(x.high.asin());
    let (sin, cos) = sin_cos(y);
    y + (x - sin) / cos
}

pub(super) fn acos(x: Extended) -> Extended {
    let y = Extended::from(x.high.acos());
    let (sin, cos) = sin_cos(y);
    y + (cos - x) / sin
}

pub(super) fn atan(x: Extended) -> Extended {
    let y = Extended::from(x.high.atan());
    let (sin, cos) = sin_cos(y);
    y + (x * cos - sin) / (cos + x * sin)
}

/// `erf(x) = 2/√π·e^(-x²)·Σ 2ⁿ·x^(2n+1)/(1·3·…·(2n+1))`: all terms have one sign.
pub(super) fn erf(x: Extended) -> Extended {
    let square = x * x;
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.high.abs() > 1e-33 * sum.high.abs() {
        n += 2.0;
        term = term * square * 2.0.into() / n.into();
        sum = sum + term;
    }
    exp(-square) * sum * 2.0.into() / ROOT_PI
}

/// `1 - erf(x)`; beyond 3 by Laplace's continued fraction, from its 300th term backwards.
pub(super) fn erfc(x: Extended) -> Extended {
    if x.high < 3.0 {
        return ONE - erf(x);
    }
    let mut tail = x;
    for n in (1..=300).rev() {
        tail = x + Extended::from(f64::from(n) * 0.5) / tail;
    }
    exp(-(x * x)) / (ROOT_PI * tail)
}

#[test]
fn constants_and_identities_hold_to_thirty_digits() {
    let close = |a: Extended, b: Extended, what: &str| {
        let error = (a - b).high.abs();
        assert!(error <= 1e-30 * b.high.abs(), "{what}: {a:?} for {b:?}");
    };
    close(
        exp(ONE),
        pair(std::f64::consts::E, 1.445_646_891_729_250_2e-16),
        "e",
    );
    close(exp(LN_2), 2.0.into(), "exp(ln 2)");
    close(exp(LN_10), 10.0.into(), "exp(ln 10)");
    close(ROOT_PI * ROOT_PI, pair(2.0 * HALF_PI[0], 2.0 * HALF_PI[1]), "π");
    close(
        log(0.3.into()) + log(3.0.into()),
        log(two_product(0.3, 3.0)),
        "log",
    );
    for x in [-2.5, -0.1, 0.7, 40.0, 1e8] {
        let (sin, cos) = sin_cos(x.into());
        close(sin * sin + cos * cos, ONE, "sin² + cos²");
    }
    for x in [-0.9, -0.01, 0.3, 0.99] {
        let x = Extended::from(x);
        close(sin(asin(x)), x, "asin");
        close(cos(acos(x)), x, "acos");
        close(tan(atan(x)), x, "atan");
        close(tanh(atanh(x)), x, "atanh");
        close(sinh(asinh(x)), x, "asinh");
        close(expm1(log1p(x)), x, "log1p");
        close(erf(x) + erfc(x), ONE, "erf");
    }
    // Where the continued fraction begins, the series still has digits enough.
    let (fraction, series) = (erfc(3.0.into()), ONE - erf(3.0.into()));
    assert!(
        (fraction - series).high.abs() <= 1e-26 * series.high,
        "{fraction:?} for {series:?}"
    );
}
