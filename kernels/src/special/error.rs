//! The error function's relatives and the normal distribution (`erfcx`, `erfinv`, `ndtr`, `ndtri`, `log_ndtr`).
//!
//! Everything rests on erfcx(x) = e^(x²) erfc(x), one Chebyshev series for all x ≥ 0, and on the Taylor series of erf
//! near 0.

use super::tables::{ERFCX, chebyshev_series};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI, SQRT_2};

/// Coefficients of erf(x) = (2/√π) x Σ (−1)^k x^(2k) / (k! (2k + 1)).
const ERF_TAYLOR: [f64; 16] = {
    let mut coefficients = [0.0; 16];
    let (mut k, mut power) = (0, 1.0);
    while k < 16 {
        coefficients[k] = power / (2 * k + 1) as f64;
        k += 1;
        power /= -(k as f64);
    }
    coefficients
};

fn erf_near_zero(x: f64) -> f64 {
    let z = x * x;
    FRAC_2_SQRT_PI
        * x
        * ERF_TAYLOR
            .iter()
            .rev()
            .fold(0.0, |sum: f64, &c| sum.mul_add(z, c))
}

/// e^(−x²), with the rounding error of the square taken back.
fn exp_minus_square(x: f64) -> f64 {
    let square = x * x;
    if square > 800.0 {
        return 0.0;
    }
    let error = x.mul_add(x, -square);
    (-square).exp() * (1.0 - error)
}

/// x ≥ 0.
fn erfcx_positive(x: f64) -> f64 {
    if x > 1e8 {
        return 0.5 * FRAC_2_SQRT_PI / x;
    }
    chebyshev_series(&ERFCX, (x - 3.75) / (x + 3.75)) / (1.0 + 2.0 * x)
}

/// The scaled complementary error function e^(x²) erfc(x) (`torch.special.erfcx`). Error at most 1e-15, relative.
pub fn erfcx(x: f64) -> f64 {
    if x >= 0.0 {
        erfcx_positive(x)
    } else if x < -26.7 {
        f64::INFINITY
    } else if x < 0.0 {
        let square = x * x;
        let growth = 2.0 * square.exp() * (1.0 + x.mul_add(x, -square));
        growth - erfcx_positive(-x)
    } else {
        x
    }
}

/// The error function. Error at most 4e-16, relative.
pub fn erf(x: f64) -> f64 {
    if x.abs() < 0.5 {
        erf_near_zero(x)
    } else if x.is_nan() {
        x
    } else {
        (1.0 - exp_minus_square(x) * erfcx_positive(x.abs())).copysign(x)
    }
}

/// 1 − erf(x). Error at most 1e-15, relative.
pub fn erfc(x: f64) -> f64 {
    if x.abs() < 0.5 {
        1.0 - erf_near_zero(x)
    } else if x > 0.0 {
        exp_minus_square(x) * erfcx_positive(x)
    } else if x < 0.0 {
        2.0 - exp_minus_square(x) * erfcx_positive(-x)
    } else {
        x
    }
}

/// The inverse of erf on [−1, 1] (`torch.erfinv`); NaN outside. Error at most 1e-15, relative.
pub fn erfinv(y: f64) -> f64 {
    let size = y.abs();
    if size.is_nan() || size > 1.0 {
        return f64::NAN;
    }
    if size == 1.0 {
        return f64::INFINITY.copysign(y);
    }
    // Winitzki's approximation (0.2 %), then Halley's method, which triples the correct digits.
    const A: f64 = 0.147;
    let log = (-size * size).ln_1p();
    let half = 2.0 / (PI * A) + 0.5 * log;
    let mut x = ((half * half - log / A).sqrt() - half).max(0.0).sqrt();
    for _ in 0..3 {
        // 1 − |y| is exact where |y| is a half or more, and there erfc keeps what 1 − erf would lose.
        let difference = if size < 0.5 {
            erf(x) - size
        } else {
            (1.0 - size) - erfc(x)
        };
        let step = difference / (FRAC_2_SQRT_PI * exp_minus_square(x));
        x -= step / x.mul_add(step, 1.0);
    }
    x.copysign(y)
}

/// The distribution function of the standard normal distribution (`torch.special.ndtr`).
pub fn ndtr(x: f64) -> f64 {
    0.5 * erfc(-x * FRAC_1_SQRT_2)
}

/// ln of [`ndtr`] (`torch.special.log_ndtr`), without underflow.
pub fn log_ndtr(x: f64) -> f64 {
    let t = x * FRAC_1_SQRT_2;
    if x < -1.0 {
        (erfcx(-t) / 2.0).ln() - t * t
    } else {
        (-erfc(t) / 2.0).ln_1p()
    }
}

/// The inverse of [`ndtr`] (`torch.special.ndtri`): −∞ at 0, ∞ at 1, NaN outside. Error at most 1e-15, relative.
pub fn ndtri(p: f64) -> f64 {
    if p == 0.0 {
        return f64::NEG_INFINITY;
    }
    if p == 1.0 {
        return f64::INFINITY;
    }
    if p.is_nan() || !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if (p - 0.5).abs() < 0.375 {
        return SQRT_2 * erfinv(2.0 * p - 1.0);
    }
    let tail = p.min(1.0 - p);
    // A rational approximation of the tail's quantile (error 4.5e-4; Abramowitz and Stegun 26.2.23), then Newton's
    // method on the logarithm of the tail, which works however small the tail is.
    let log_tail = tail.ln();
    let t = (-2.0 * log_tail).sqrt();
    let above = 0.010_328f64.mul_add(t, 0.802_853).mul_add(t, 2.515_517);
    let below = 0.001_308f64
        .mul_add(t, 0.189_269)
        .mul_add(t, 1.432_788)
        .mul_add(t, 1.0);
    let mut x = t - above / below;
    for _ in 0..3 {
        let scaled = erfcx_positive(x * FRAC_1_SQRT_2);
        let difference = (0.5 * scaled).ln() - 0.5 * x * x - log_tail;
        x += difference * scaled * (PI / 2.0).sqrt();
    }
    if p < 0.5 { -x } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: f64, expected: f64) {
        assert!(
            (value - expected).abs() <= 2e-15 * expected.abs(),
            "{value} instead of {expected}"
        );
    }

    #[test]
    fn values_are_the_known_ones() {
        near(erf(0.3), 0.328_626_759_459_127_43);
        near(erf(1.0), 0.842_700_792_949_714_9);
        near(erfc(2.0), 0.004_677_734_981_047_266);
        near(erfc(-1.5), 1.966_105_146_475_310_8);
        near(erfc(20.0), 5.395_865_611_607_901e-176);
        near(erfcx(1.0), 0.427_583_576_155_807);
        near(erfcx(1e10), 5.641_895_835_477_563e-11);
        near(ndtr(-3.0), 0.001_349_898_031_630_094_6);
        near(log_ndtr(-40.0), -804.608_442_013_753_9);
    }

    #[test]
    fn inverses_invert() {
        for i in 1..400 {
            let y = f64::from(i) / 400.0;
            near(erf(erfinv(y)), y);
            near(erf(erfinv(-y)), -y);
            near(ndtr(ndtri(y)), y);
        }
        for p in [1e-3, 1e-10, 1e-100, 1e-300] {
            let x = ndtri(p);
            assert!((log_ndtr(x) - p.ln()).abs() <= 1e-15 * p.ln().abs());
        }
        near(erfinv(1e-200), 1e-200 / FRAC_2_SQRT_PI);
        near(erfinv(1.0 - f64::EPSILON / 2.0), 5.863_584_748_755_168);
    }

    #[test]
    fn edges_are_those_of_pytorch() {
        assert_eq!(erfinv(-1.0), f64::NEG_INFINITY);
        assert!(erfinv(1.5).is_nan() && ndtri(-0.1).is_nan() && erfcx(f64::NAN).is_nan());
        assert_eq!(ndtri(0.0), f64::NEG_INFINITY);
        assert_eq!(erfc(f64::NEG_INFINITY), 2.0);
        assert_eq!(erf(f64::INFINITY), 1.0);
        assert_eq!(erfcx(-27.0), f64::INFINITY);
    }
}
