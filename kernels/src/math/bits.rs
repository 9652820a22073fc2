//! The bit tricks under the elementary functions: rounding, powers of two, exponents, polynomials.

use crate::element::Number;
use crate::unary::choose;

/// A float as seen by the elementary functions: its format's constants, its bits, and the functions' coefficients.
pub(super) trait Bits:
    Number
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
{
    /// 1.5·2^(explicit mantissa bits): adding it rounds to a whole number, which is left in the low bits.
    const MAGIC: Self;
    /// Half the distance of 1 to its neighbour, below which `1 + x` is 1.
    const TINY: Self;
    /// The least normal number.
    const NORMAL: Self;
    /// `x < EXP_MIN` has `exp(x) = 0`.
    const EXP_MIN: Self;
    /// `x > EXP_MAX` has `exp(x) = ∞`.
    const EXP_MAX: Self;
    /// `x < EXPM1_MIN` has `expm1(x) = -1`.
    const EXPM1_MIN: Self;
    /// The same limits for `2ˣ`.
    const EXP2_RANGE: [Self; 2];
    /// log(2), rounded, and what is missing of it.
    const LN_2: [Self; 2];
    /// 1/log(2).
    const LOG2_E: Self;
    /// `(eʳ - 1 - r)/r²` for `|r| ≤ log(2)/2`.
    const EXP: &'static [Self];
    /// `(2ʳ - 1)/r` for `|r| ≤ 1/2`.
    const EXP2: &'static [Self];
    /// `(2·atanh(s)/s - 2)/s²` in powers of `s²`, for `s ≤ (√2 - 1)/(√2 + 1)`.
    const LOG: &'static [Self];

    /// For `t = n + MAGIC`: 2^⌊n/2⌋ and 2^⌈n/2⌉, whose product is 2^n even where that is beyond the format's range.
    fn powers(t: Self) -> (Self, Self);
    /// `k` and `m` with `x = m·2^k` and `√½ ≤ m < √2`, for normal `x > 0`.
    fn split(x: Self) -> (Self, Self);
    /// `self·factor + addend`, rounded once.
    fn fma(self, factor: Self, addend: Self) -> Self;
    /// The square root.
    fn root(self) -> Self;
    /// The absolute value.
    fn magnitude(self) -> Self;
    /// The value with the sign of another.
    fn signed_like(self, sign: Self) -> Self;
}

/// The value of a polynomial, coefficients of low powers first.
#[inline(always)]
pub(super) fn polynomial<T: Bits>(x: T, coefficients: &[T]) -> T {
    let mut value = coefficients[coefficients.len() - 1];
    for i in (0..coefficients.len() - 1).rev() {
        value = value.fma(x, coefficients[i]);
    }
    value
}

/// The same, of degree 1 at least, as two sums that do not wait for each other, of even powers and of odd ones: for long polynomials.
#[inline(always)]
pub(super) fn polynomial_by_halves<T: Bits>(x: T, coefficients: &[T]) -> T {
    let (square, degree) = (x * x, coefficients.len() - 1);
    let mut sums = [
        coefficients[degree - degree % 2],
        coefficients[degree - 1 + degree % 2],
    ];
    for i in (0..degree - 1).rev() {
        sums[i % 2] = sums[i % 2].fma(square, coefficients[i]);
    }
    sums[1].fma(x, sums[0])
}

/// `x` bounded, where NaN stays NaN.
#[inline(always)]
pub(super) fn bounded<T: Bits>(x: T, min: T, max: T) -> T {
    let x = choose(x < min, min, x);
    choose(x > max, max, x)
}

macro_rules! bits {
    ($t:ident, $unsigned:ident, $signed:ident, $mantissa:literal, $bias:literal, { $($constants:tt)* }) => {
        impl Bits for $t {
            const MAGIC: Self = 1.5 * (1u64 << $mantissa) as $t;
            const TINY: Self = $t::EPSILON / 2.0;
            const NORMAL: Self = $t::MIN_POSITIVE;
            $($constants)*

            #[inline(always)]
            fn powers(t: Self) -> (Self, Self) {
                let n = t.to_bits().wrapping_sub(Self::MAGIC.to_bits()) as $signed;
                let half = n >> 1;
                let power = |n: $signed| $t::from_bits((n.wrapping_add($bias) << $mantissa) as $unsigned);
                (power(half), power(n.wrapping_sub(half)))
            }
            #[inline(always)]
            fn split(x: Self) -> (Self, Self) {
                const HALF_ROOT: $unsigned = (std::$t::consts::FRAC_1_SQRT_2).to_bits();
                let k = (x.to_bits().wrapping_sub(HALF_ROOT) as $signed) >> $mantissa;
                let m = $t::from_bits(x.to_bits().wrapping_sub((k << $mantissa) as $unsigned));
                let whole = $t::from_bits(Self::MAGIC.to_bits().wrapping_add(k as $unsigned)) - Self::MAGIC;
                (whole, m)
            }
            #[inline(always)]
            fn fma(self, factor: Self, addend: Self) -> Self {
                self.mul_add(factor, addend)
            }
            #[inline(always)]
            fn root(self) -> Self {
                self.sqrt()
            }
            #[inline(always)]
            fn magnitude(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn signed_like(self, sign: Self) -> Self {
                self.copysign(sign)
            }
        }
    };
}

bits!(f32, u32, i32, 23, 127, {
    const EXP_MIN: Self = -104.0;
    const EXP_MAX: Self = 89.0;
    const EXPM1_MIN: Self = -80.0;
    const EXP2_RANGE: [Self; 2] = [-151.0, 129.0];
    const LN_2: [Self; 2] = [std::f32::consts::LN_2, -1.904_654_3e-9];
    const LOG2_E: Self = std::f32::consts::LOG2_E;
    const EXP: &'static [Self] = &[0.5, 0.166_665_21, 0.041_666_21, 0.008_368_758_5, 0.001_395_039_7];
    const EXP2: &'static [Self] = &[
        std::f32::consts::LN_2,
        0.240_226_5,
        0.055_503_298,
        0.009_618_004,
        0.001_339_975_7,
        0.000_154_763_13,
    ];
    const LOG: &'static [Self] = &[0.666_666_7, 0.400_003_2, 0.285_380_84, 0.235_698_49];
});

bits!(f64, u64, i64, 52, 1023, {
    const EXP_MIN: Self = -746.0;
    const EXP_MAX: Self = 710.0;
    const EXPM1_MIN: Self = -700.0;
    const EXP2_RANGE: [Self; 2] = [-1076.0, 1025.0];
    const LN_2: [Self; 2] = [std::f64::consts::LN_2, 2.319_046_813_846_299_6e-17];
    const LOG2_E: Self = std::f64::consts::LOG2_E;
    const EXP: &'static [Self] = &[
        0.500000000000001,
        0.16666666666666696,
        0.041666666666533285,
        0.008333333333308905,
        0.0013888888943053438,
        0.000198412699144001,
        2.4801493516334277e-05,
        2.7557218533384592e-06,
        2.763014788877766e-07,
        2.511725500845448e-08,
    ];
    const EXP2: &'static [Self] = &[
        std::f64::consts::LN_2,
        0.2402265069591013,
        0.055504108664821736,
        0.009618129107594287,
        0.001333355814638016,
        0.00015403530457108752,
        1.5252733866817234e-05,
        1.3215435213888993e-06,
        1.0178046668422413e-07,
        7.073803728461078e-09,
        4.45736589633812e-10,
    ];
    const LOG: &'static [Self] = &[
        0.6666666666666715,
        0.39999999999515307,
        0.2857142872340595,
        0.22222200279948198,
        0.18183484982641596,
        0.1531589212876982,
        0.14779062974586257,
    ];
});
