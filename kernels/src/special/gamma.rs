//! The logarithm of the gamma function (`lgamma`).

use std::f64::consts::PI;

/// 1 − γ, the slope of ln Γ at 2.
const ONE_MINUS_EULER: f64 = 0.422_784_335_098_467_14;
/// ln(2π) / 2.
pub(super) const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;

/// ln Γ(2 + z) for |z| ≤ ½ by its Taylor series (1 − γ)z + Σ (−1)^k (ζ(k) − 1) z^k / k.
fn ln_gamma_near_two(z: f64) -> f64 {
    const COEFFICIENTS: [f64; 26] = [
        0.322_467_033_424_113_2,
        -0.067_352_301_053_198_1,
        0.020_580_808_427_784_546,
        -0.007_385_551_028_673_985,
        0.002_890_510_330_741_523_3,
        -0.001_192_753_911_703_261,
        5.096_695_247_430_425e-4,
        -2.231_547_584_535_793_8e-4,
        9.945_751_278_180_853e-5,
        -4.492_623_673_813_314e-5,
        2.050_721_277_567_069e-5,
        -9.439_488_275_268_396e-6,
        4.374_866_789_907_488e-6,
        -2.039_215_753_801_366e-6,
        9.551_412_130_407_42e-7,
        -4.492_469_198_764_566e-7,
        2.120_718_480_555_466_6e-7,
        -1.004_322_482_396_81e-7,
        4.769_810_169_363_98e-8,
        -2.271_109_460_894_316_4e-8,
        1.083_865_921_489_695_5e-8,
        -5.183_475_041_970_047e-9,
        2.483_674_543_802_478_5e-9,
        -1.192_140_140_586_091_3e-9,
        5.731_367_241_678_862e-10,
        -2.759_522_885_124_233e-10,
    ];
    let series = COEFFICIENTS
        .iter()
        .rev()
        .fold(0.0, |sum: f64, &c| sum.mul_add(z, c));
    z * z.mul_add(series, ONE_MINUS_EULER)
}

/// ln Γ(x) for x ≥ 8 by Stirling's series.
fn ln_gamma_stirling(x: f64) -> f64 {
    if x > 1e300 {
        // x ln x may overflow although the difference doesn't yet.
        return x * (x.ln() - 1.0);
    }
    const COEFFICIENTS: [f64; 8] = [
        0.083_333_333_333_333_33,
        -0.002_777_777_777_777_778,
        7.936_507_936_507_937e-4,
        -5.952_380_952_380_953e-4,
        8.417_508_417_508_417e-4,
        -0.001_917_526_917_526_917_5,
        0.006_410_256_410_256_41,
        -0.029_550_653_594_771_242,
    ];
    let inverse = 1.0 / x;
    let z = inverse * inverse;
    let series = COEFFICIENTS
        .iter()
        .rev()
        .fold(0.0, |sum: f64, &c| sum.mul_add(z, c));
    ((x - 0.5) * x.ln() - x) + HALF_LN_TAU + series * inverse
}

/// sin(πx), exact in its argument reduction.
pub(super) fn sin_pi(x: f64) -> f64 {
    let r = x - 2.0 * (x / 2.0).round();
    // r is in [-1, 1]; fold it to [-1/2, 1/2], where the sine is steepest and its zero at ±1 becomes exact.
    let folded = if r > 0.5 {
        1.0 - r
    } else if r < -0.5 {
        -1.0 - r
    } else {
        r
    };
    (PI * folded).sin()
}

/// ln |Γ(x)|, infinite at 0 and the negative integers (`torch.lgamma`).
///
/// Error at most 2e-15 of max(1, |result|).
pub fn lgamma(x: f64) -> f64 {
    if !x.is_finite() {
        return if x.is_nan() { x } else { f64::INFINITY };
    }
    if x < 0.5 {
        if x <= 0.0 && x == x.floor() {
            return f64::INFINITY;
        }
        if x >= -0.5 {
            // Γ(2 + x) = (1 + x) x Γ(x).
            return ln_gamma_near_two(x) - x.ln_1p() - x.abs().ln();
        }
        // Reflection: Γ(x) Γ(1 − x) = π / sin(πx).
        return (PI / sin_pi(x).abs()).ln() - lgamma(1.0 - x);
    }
    if x < 1.5 {
        let z = x - 1.0;
        return ln_gamma_near_two(z) - z.ln_1p();
    }
    if x < 8.0 {
        let (mut x, mut product) = (x, 1.0);
        while x > 2.5 {
            x -= 1.0;
            product *= x;
        }
        return ln_gamma_near_two(x - 2.0) + product.ln();
    }
    ln_gamma_stirling(x)
}
