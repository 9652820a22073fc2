//! Bessel functions of order 0 and 1, modified and not, the spherical one of order 0, and the Airy function Ai.
//!
//! Up to a bound the functions are Chebyshev, power or rational series (with their logarithm split off), beyond it their
//! asymptotic form: amplitude and phase.
//!
//! Errors: the modified functions and Ai for x > −2.09: 6e-15, relative. The oscillating ones equal PyTorch's to 1e-15
//! and share its errors, which `rational` states.

use super::rational::*;
use super::tables::*;
use std::f64::consts::{FRAC_2_PI, FRAC_PI_4, PI};

/// Euler's constant.
const EULER: f64 = 0.577_215_664_901_532_9;

/// e^−|x| I₀(x) (`torch.special.i0e`).
pub fn i0e(x: f64) -> f64 {
    let x = x.abs();
    if x <= 8.0 {
        chebyshev_series(&I0E_SMALL, x / 4.0 - 1.0)
    } else {
        chebyshev_series(&I0E_LARGE, 16.0 / x - 1.0) / x.sqrt()
    }
}

/// I₀(x) (`torch.special.i0`, `modified_bessel_i0`).
pub fn i0(x: f64) -> f64 {
    x.abs().exp() * i0e(x)
}

/// e^−|x| I₁(x) (`torch.special.i1e`).
pub fn i1e(x: f64) -> f64 {
    let size = x.abs();
    if size <= 8.0 {
        chebyshev_series(&I1E_SMALL, size / 4.0 - 1.0) * x
    } else {
        (chebyshev_series(&I1E_LARGE, 16.0 / size - 1.0) / size.sqrt()).copysign(x)
    }
}

/// I₁(x) (`torch.special.i1`, `modified_bessel_i1`).
pub fn i1(x: f64) -> f64 {
    x.abs().exp() * i1e(x)
}

/// K₀(x) = −(ln(x/2) + γ) I₀(x) + Σ H_k (x²/4)^k / (k!)² for 0 < x ≤ 2.
fn k0_small(x: f64) -> f64 {
    let z = 0.25 * x * x;
    let (mut term, mut harmonic, mut i0, mut rest) = (1.0, 0.0, 1.0, 0.0);
    for k in 1..20 {
        let k = f64::from(k);
        term *= z / (k * k);
        harmonic += 1.0 / k;
        i0 += term;
        rest += term * harmonic;
    }
    rest - ((0.5 * x).ln() + EULER) * i0
}

/// K₁(x) = 1/x + ln(x/2) I₁(x) − (x/4) Σ (ψ(k+1) + ψ(k+2)) (x²/4)^k / (k! (k+1)!) for 0 < x ≤ 2.
fn k1_small(x: f64) -> f64 {
    let z = 0.25 * x * x;
    let (mut term, mut digammas) = (1.0, 1.0 - 2.0 * EULER);
    let (mut i1, mut rest) = (0.0, 0.0);
    for k in 0..20 {
        let k = f64::from(k);
        i1 += term;
        rest += term * digammas;
        term *= z / ((k + 1.0) * (k + 2.0));
        digammas += 1.0 / (k + 1.0) + 1.0 / (k + 2.0);
    }
    1.0 / x + 0.5 * x * ((0.5 * x).ln() * i1 - 0.5 * rest)
}

/// ∞ at 0 and NaN below, as for every function with a logarithm at 0; otherwise `f`.
#[inline]
fn on_positive(x: f64, at_zero: f64, f: impl FnOnce(f64) -> f64) -> f64 {
    if x > 0.0 {
        f(x)
    } else if x == 0.0 {
        at_zero
    } else {
        f64::NAN
    }
}

/// K₀(x) (`torch.special.modified_bessel_k0`): ∞ at 0, NaN below.
pub fn k0(x: f64) -> f64 {
    on_positive(x, f64::INFINITY, |x| {
        if x <= 2.0 {
            k0_small(x)
        } else {
            (-x).exp() * k0e(x)
        }
    })
}

/// e^x K₀(x) (`torch.special.scaled_modified_bessel_k0`).
pub fn k0e(x: f64) -> f64 {
    on_positive(x, f64::INFINITY, |x| {
        if x <= 2.0 {
            x.exp() * k0_small(x)
        } else {
            chebyshev_series(&K0E_LARGE, 4.0 / x - 1.0) / x.sqrt()
        }
    })
}

/// K₁(x) (`torch.special.modified_bessel_k1`): ∞ at 0, NaN below.
pub fn k1(x: f64) -> f64 {
    on_positive(x, f64::INFINITY, |x| {
        if x <= 2.0 {
            k1_small(x)
        } else {
            (-x).exp() * k1e(x)
        }
    })
}

/// e^x K₁(x) (`torch.special.scaled_modified_bessel_k1`).
pub fn k1e(x: f64) -> f64 {
    on_positive(x, f64::INFINITY, |x| {
        if x <= 2.0 {
            x.exp() * k1_small(x)
        } else {
            chebyshev_series(&K1E_LARGE, 4.0 / x - 1.0) / x.sqrt()
        }
    })
}

/// √(2/(πx)) times the amplitudes of the cosine and the sine of the phase, for x > 5.
fn amplitudes(x: f64, cos_part: &Rational, sin_part: &Rational) -> (f64, f64) {
    let w = 5.0 / x;
    let scale = (FRAC_2_PI / x).sqrt();
    (scale * cos_part.at(w * w), scale * w * sin_part.at(w * w))
}

/// J₀(x) (`torch.special.bessel_j0`).
pub fn j0(x: f64) -> f64 {
    let x = x.abs();
    if x <= 5.0 {
        let z = x * x;
        if x < 1e-5 {
            return 1.0 - 0.25 * z;
        }
        return (z - 5.783_185_962_946_785) * (z - 30.471_262_343_662_087) * J0_NEAR.at(z);
    }
    let (p, q) = amplitudes(x, &ORDER_0_COS, &ORDER_0_SIN);
    let (sin, cos) = (x - FRAC_PI_4).sin_cos();
    p * cos - q * sin
}

/// J₁(x) (`torch.special.bessel_j1`).
pub fn j1(x: f64) -> f64 {
    let size = x.abs();
    if size <= 5.0 {
        let z = x * x;
        return x * J1_NEAR.at(z) * (z - 14.681_970_642_123_893) * (z - 49.218_456_321_694_6);
    }
    let (p, q) = amplitudes(size, &ORDER_1_COS, &ORDER_1_SIN);
    let (sin, cos) = (size - 3.0 * FRAC_PI_4).sin_cos();
    (p * cos - q * sin) * 1f64.copysign(x)
}

/// Y₀(x) (`torch.special.bessel_y0`): −∞ at 0, NaN below.
pub fn y0(x: f64) -> f64 {
    on_positive(x, f64::NEG_INFINITY, |x| {
        if x <= 5.0 {
            return Y0_NEAR.at(x * x) + FRAC_2_PI * x.ln() * j0(x);
        }
        let (p, q) = amplitudes(x, &ORDER_0_COS, &ORDER_0_SIN);
        let (sin, cos) = (x - FRAC_PI_4).sin_cos();
        p * sin + q * cos
    })
}

/// Y₁(x) (`torch.special.bessel_y1`): −∞ at 0, NaN below.
pub fn y1(x: f64) -> f64 {
    on_positive(x, f64::NEG_INFINITY, |x| {
        if x <= 5.0 {
            return x * Y1_NEAR.at(x * x) + FRAC_2_PI * (x.ln() * j1(x) - 1.0 / x);
        }
        let (p, q) = amplitudes(x, &ORDER_1_COS, &ORDER_1_SIN);
        let (sin, cos) = (x - 3.0 * FRAC_PI_4).sin_cos();
        p * sin + q * cos
    })
}

/// sin(x) / x (`torch.special.spherical_bessel_j0`).
pub fn spherical_bessel_j0(x: f64) -> f64 {
    if x.is_infinite() {
        0.0
    } else if x == 0.0 {
        1.0
    } else {
        x.sin() / x
    }
}

/// The Airy function Ai(x) (`torch.special.airy_ai`): NaN at ±∞, 0 from where it underflows.
pub fn airy_ai(x: f64) -> f64 {
    // ⅔ · 2^(3/2), where the asymptotic form begins.
    const ZETA_2: f64 = 1.885_618_083_164_126_7;
    if x.is_infinite() {
        return f64::NAN;
    }
    if x > 103.892 {
        return 0.0;
    }
    if (-2.09..=2.0).contains(&x) {
        return chebyshev_series(&AIRY_MID, (2.0 * x + 3.0) / 7.0);
    }
    let size = x.abs();
    let root = size.sqrt();
    let zeta = 2.0 * size * root / 3.0;
    if x > 0.0 {
        let series = chebyshev_series(&AIRY_POS, 2.0 * ZETA_2 / zeta - 1.0);
        return series * (-zeta).exp() / (2.0 * PI.sqrt() * root.sqrt());
    }
    let z = 1.0 / zeta;
    let (sin, cos) = (zeta + FRAC_PI_4).sin_cos();
    let oscillation = sin * (z * z).mul_add(AIRY_SIN.at(z * z), 1.0) - cos * z * AIRY_COS.at(z * z);
    oscillation / (PI.sqrt() * root.sqrt())
}
