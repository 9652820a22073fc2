//! Bessel functions of order 0 and 1, modified and not, the spherical one of order 0, and the Airy function Ai.
//!
//! Up to a bound the functions are Chebyshev or power series (with their logarithm split off), beyond it their asymptotic
//! form, amplitude and phase, with Chebyshev series for its slowly varying parts.
//!
//! Errors: the modified functions, Ai for x > 0: 3e-15, relative. The oscillating ones: 3e-16 absolute, besides what the
//! argument's own rounding implies where it is large.

use super::tables::*;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, FRAC_PI_4, PI};

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

/// The argument of the series over x² in [0, 64].
fn square_argument(x: f64) -> f64 {
    x * x / 32.0 - 1.0
}

/// √(2/(πx)) and the amplitudes of the cosine and the sine of the phase for x > 8.
fn amplitudes(x: f64, cos_part: &[f64], sin_part: &[f64]) -> (f64, f64) {
    let t = 128.0 / (x * x) - 1.0;
    let scale = (FRAC_2_PI / x).sqrt();
    (
        scale * chebyshev_series(cos_part, t),
        scale * chebyshev_series(sin_part, t) / x,
    )
}

/// (sin, cos) of x − π/4, without losing digits to the subtraction.
fn phase_order_0(x: f64) -> (f64, f64) {
    let (sin, cos) = x.sin_cos();
    (FRAC_1_SQRT_2 * (sin - cos), FRAC_1_SQRT_2 * (cos + sin))
}

/// (sin, cos) of x − 3π/4.
fn phase_order_1(x: f64) -> (f64, f64) {
    let (sin, cos) = x.sin_cos();
    (-FRAC_1_SQRT_2 * (sin + cos), FRAC_1_SQRT_2 * (sin - cos))
}

/// J₀(x) (`torch.special.bessel_j0`).
pub fn j0(x: f64) -> f64 {
    let x = x.abs();
    if x <= 8.0 {
        return chebyshev_series(&J0_SMALL, square_argument(x));
    }
    let (p, q) = amplitudes(x, &J0_COS, &J0_SIN);
    let (sin, cos) = phase_order_0(x);
    p * cos - q * sin
}

/// J₁(x) (`torch.special.bessel_j1`).
pub fn j1(x: f64) -> f64 {
    let size = x.abs();
    if size <= 8.0 {
        return x * chebyshev_series(&J1_SMALL, square_argument(x));
    }
    let (p, q) = amplitudes(size, &J1_COS, &J1_SIN);
    let (sin, cos) = phase_order_1(size);
    (p * cos - q * sin) * 1f64.copysign(x)
}

/// Y₀(x) (`torch.special.bessel_y0`): −∞ at 0, NaN below.
pub fn y0(x: f64) -> f64 {
    on_positive(x, f64::NEG_INFINITY, |x| {
        if x <= 8.0 {
            return chebyshev_series(&Y0_SMALL, square_argument(x)) + FRAC_2_PI * x.ln() * j0(x);
        }
        let (p, q) = amplitudes(x, &J0_COS, &J0_SIN);
        let (sin, cos) = phase_order_0(x);
        p * sin + q * cos
    })
}

/// Y₁(x) (`torch.special.bessel_y1`): −∞ at 0, NaN below.
pub fn y1(x: f64) -> f64 {
    on_positive(x, f64::NEG_INFINITY, |x| {
        if x <= 8.0 {
            let regular = x * chebyshev_series(&Y1_SMALL, square_argument(x));
            return regular + FRAC_2_PI * (x.ln() * j1(x) - 1.0 / x);
        }
        let (p, q) = amplitudes(x, &J1_COS, &J1_SIN);
        let (sin, cos) = phase_order_1(x);
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
    // ⅔ · 2^(3/2) and ⅔ · 5^(3/2), where the asymptotic forms begin.
    const ZETA_2: f64 = 1.885_618_083_164_126_7;
    const ZETA_5: f64 = 7.453_559_924_999_299;
    if x.is_infinite() {
        return f64::NAN;
    }
    if x > 103.892 {
        return 0.0;
    }
    if (-5.0..=2.0).contains(&x) {
        return chebyshev_series(&AIRY_MID, (2.0 * x + 3.0) / 7.0);
    }
    let size = x.abs();
    let root = size.sqrt();
    let zeta = 2.0 * size * root / 3.0;
    if x > 0.0 {
        let series = chebyshev_series(&AIRY_POS, 2.0 * ZETA_2 / zeta - 1.0);
        return series * (-zeta).exp() / (2.0 * PI.sqrt() * root.sqrt());
    }
    let ratio = ZETA_5 / zeta;
    let t = 2.0 * ratio * ratio - 1.0;
    // The phase is ζ − π/4: its cosine is the sine of ζ + π/4, and its sine minus the cosine of that.
    let (sin, cos) = (zeta + FRAC_PI_4).sin_cos();
    let oscillation = chebyshev_series(&AIRY_COS, t) * sin - chebyshev_series(&AIRY_SIN, t) / zeta * cos;
    oscillation / (PI.sqrt() * root.sqrt())
}
