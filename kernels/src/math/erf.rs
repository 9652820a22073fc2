//! The error function: a polynomial near 0, and `erfc(a) = exp(-a²)·erfcx(a)` with a polynomial for `erfcx` further out;
//! and the normal distribution.

use super::bits::{polynomial, polynomial_by_halves};
use super::exponential::{exp, power_of_two};
use crate::unary::choose;

/// `erf(x)/x` in powers of `x²` for `|x| ≤ 0.7`.
const NEAR: [f64; 11] = [
    std::f64::consts::FRAC_2_SQRT_PI,
    -0.3761263890318374,
    0.11283791670954381,
    -0.02686617064489328,
    0.005223977621541026,
    -0.0008548326650083362,
    0.00012055310676538181,
    -1.492479275457525e-05,
    1.6440850028687107e-06,
    -1.6035854818835711e-07,
    1.185565731521002e-08,
];
/// `exp(a²)·erfc(a)·(1 + 2a)` in powers of `(a - 3)/(a + 3)` for `a` from 0.69 to 28.
const FAR: [f64; 22] = [
    1.2530080582697296,
    -0.13562110612458123,
    -0.047562294353451294,
    0.12964515870276624,
    -0.11927366341526632,
    0.06830802734373868,
    -0.02377051491986488,
    0.002529391821050219,
    0.0018886903758577208,
    -0.0007798323321876226,
    -0.00010515992055724934,
    0.00012509980543461447,
    4.9499486276536e-06,
    -2.010276623875763e-05,
    -7.322072297993521e-07,
    3.4792436862117933e-06,
    3.555187014510542e-07,
    -6.296719099484003e-07,
    -1.3398326197020984e-07,
    1.1546193462891687e-07,
    2.8926879779836992e-08,
    -1.862981950342917e-08,
];
/// `erf(x)/x` in powers of `x²` for `|x| ≤ 1`.
#[allow(clippy::approx_constant)] // Fitted: one unit in the last place off 2/√π.
const NEAR_F32: [f32; 7] = [
    1.128_379_1,
    -0.376_126_27,
    0.112_836,
    -0.026_854_442,
    0.005_189_529,
    -0.000_802_077_4,
    7.888_857e-5,
];
/// `log(erfc(a))` for `a` from 1 to 4.
const FAR_F32: [f32; 8] = [
    0.000_188_455_61,
    -1.129_580_3,
    -0.633_216_5,
    -0.108_421_97,
    0.025_210_256,
    -0.004_205_253,
    0.000_441_466_2,
    -2.169_706_2e-5,
];
/// `log2(Φ(-a))` for `a` from 0 to 6.
const TAIL_F32: [f32; 11] = [
    -1.0,
    -1.151_104_5,
    -0.459_22,
    -0.052_437_313,
    0.006_928_824_4,
    2.712_560_7e-5,
    -0.000_299_861_9,
    8.471_877e-5,
    -1.284_939_2e-5,
    1.082_283_2e-6,
    -3.958_955e-8,
];

/// `erfc(a)` for `a ≥ 0.69`.
#[inline(always)]
fn erfc_far(a: f64) -> f64 {
    let a = choose(a > 28.0, 28.0, a);
    let square = a * a;
    let lost = a.mul_add(a, -square);
    let scaled = polynomial((a - 3.0) / (a + 3.0), &FAR) / (1.0 + 2.0 * a);
    let e = exp(-square);
    e.mul_add(-lost, e) * scaled
}

/// `erf(x)` for `|x| ≤ 0.7`.
#[inline(always)]
fn erf_near(x: f64) -> f64 {
    x * polynomial(x * x, &NEAR)
}

/// The error function.
#[inline(always)]
pub(super) fn erf(x: f64) -> f64 {
    let a = x.abs();
    choose(a < 0.7, erf_near(x), (1.0 - erfc_far(a)).copysign(x))
}

/// The complementary error function.
#[inline(always)]
pub(super) fn erfc(x: f64) -> f64 {
    let far = erfc_far(x.abs());
    choose(x.abs() < 0.7, 1.0 - erf_near(x), choose(x < 0.0, 2.0 - far, far))
}

/// The error function of `f32`: beyond 1 as `1 - exp(log(erfc))`.
#[inline(always)]
pub(super) fn erf_f32(x: f32) -> f32 {
    let a = x.abs();
    let a = choose(a > 4.0, 4.0, a);
    let near = x * polynomial(a * a, &NEAR_F32);
    let far = (1.0 - exp(polynomial(a, &FAR_F32))).copysign(x);
    choose(a < 1.0, near, far)
}

/// The probability that a standard normal variable is below `x`.
#[inline(always)]
pub(super) fn normal_cdf(x: f64) -> f64 {
    0.5 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// The same for `f32`: the tail as a power of two, 0 beyond 6, and from it the greater part. So the lower tail does not
/// cancel, and there is one polynomial to compute where `erf` takes two.
#[inline(always)]
pub(super) fn normal_cdf_f32(x: f32) -> f32 {
    let a = x.abs();
    let tail = choose(a > 6.0, 0.0, power_of_two(polynomial_by_halves(a, &TAIL_F32)));
    choose(x < 0.0, tail, 1.0 - tail)
}
