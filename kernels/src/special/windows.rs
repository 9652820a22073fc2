//! Window functions (`torch.signal.windows.*`, `torch.hann_window` and its kin).
//!
//! Each takes the length and whether the window is symmetric (`sym = true`, for filter design) or periodic (one period
//! of a longer symmetric one, for spectra). A window of length 1 is `[1]`, of length 0 empty.

use super::bessel::i0;
use std::f64::consts::{PI, SQRT_2};

/// `f(k)` for k = 0, …, n − 1; 1 for the single sample of a window of length 1.
fn window(n: usize, f: impl Fn(f64) -> f64) -> Vec<f64> {
    if n == 1 {
        return vec![1.0];
    }
    (0..n).map(|k| f(k as f64)).collect()
}

/// The number of steps over which a window extends.
fn steps(n: usize, symmetric: bool) -> f64 {
    if symmetric {
        n.saturating_sub(1) as f64
    } else {
        n as f64
    }
}

/// A triangle with zero ends (`bartlett`).
pub fn bartlett(n: usize, symmetric: bool) -> Vec<f64> {
    let steps = steps(n, symmetric);
    window(n, |k| 1.0 - (2.0 * k / steps - 1.0).abs())
}

/// Σ (−1)^i a_i cos(2πik / N) (`general_cosine`).
pub fn general_cosine(n: usize, coefficients: &[f64], symmetric: bool) -> Vec<f64> {
    let unit = 2.0 * PI / steps(n, symmetric);
    window(n, |k| {
        let terms = coefficients.iter().enumerate();
        let signed = |i: usize, a: f64| if i.is_multiple_of(2) { a } else { -a };
        terms
            .map(|(i, &a)| signed(i, a) * (i as f64 * unit * k).cos())
            .sum()
    })
}

/// α − (1 − α) cos(2πk / N) (`general_hamming`).
pub fn general_hamming(n: usize, alpha: f64, symmetric: bool) -> Vec<f64> {
    general_cosine(n, &[alpha, 1.0 - alpha], symmetric)
}

/// The general Hamming window with α = 0.54 (`hamming`).
pub fn hamming(n: usize, symmetric: bool) -> Vec<f64> {
    general_hamming(n, 0.54, symmetric)
}

/// The general Hamming window with α = ½ (`hann`).
pub fn hann(n: usize, symmetric: bool) -> Vec<f64> {
    general_hamming(n, 0.5, symmetric)
}

/// Blackman's window, the cosine sum 0.42, 0.5, 0.08 (`blackman`).
pub fn blackman(n: usize, symmetric: bool) -> Vec<f64> {
    general_cosine(n, &[0.42, 0.5, 0.08], symmetric)
}

/// Nuttall's minimum four-term cosine sum (`nuttall`).
pub fn nuttall(n: usize, symmetric: bool) -> Vec<f64> {
    general_cosine(
        n,
        &[0.363_581_9, 0.489_177_5, 0.136_599_5, 0.010_641_1],
        symmetric,
    )
}

/// Half a period of a sine (`cosine`).
pub fn cosine(n: usize, symmetric: bool) -> Vec<f64> {
    let unit = PI / (steps(n, symmetric) + 1.0);
    window(n, |k| ((k + 0.5) * unit).sin())
}

/// e^(−|k − center| / tau) (`exponential`); the center is the window's middle unless given.
pub fn exponential(n: usize, center: Option<f64>, tau: f64, symmetric: bool) -> Vec<f64> {
    let center = center.unwrap_or(0.5 * steps(n, symmetric));
    window(n, |k| (-((k - center) / tau).abs()).exp())
}

/// e^(−(k − middle)² / (2 std²)) (`gaussian`).
pub fn gaussian(n: usize, std: f64, symmetric: bool) -> Vec<f64> {
    let middle = 0.5 * steps(n, symmetric);
    window(n, |k| {
        let z = (k - middle) / (std * SQRT_2);
        (-z * z).exp()
    })
}

/// I₀(√(β² − κ²)) / I₀(β), κ running from −β to β (`kaiser`).
pub fn kaiser(n: usize, beta: f64, symmetric: bool) -> Vec<f64> {
    let steps = steps(n, symmetric);
    let scale = 1.0 / i0(beta);
    window(n, |k| {
        let kappa = beta * (2.0 * k / steps - 1.0);
        i0((beta * beta - kappa * kappa).max(0.0).sqrt()) * scale
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(values: &[f64], expected: &[f64]) {
        assert_eq!(values.len(), expected.len());
        for (v, e) in values.iter().zip(expected) {
            assert!((v - e).abs() < 1e-6, "{values:?} instead of {expected:?}");
        }
    }

    #[test]
    fn windows_are_those_of_pytorch() {
        near(&hann(4, true), &[0.0, 0.75, 0.75, 0.0]);
        near(&hann(4, false), &[0.0, 0.5, 1.0, 0.5]);
        near(&bartlett(5, true), &[0.0, 0.5, 1.0, 0.5, 0.0]);
        near(&bartlett(4, false), &[0.0, 0.5, 1.0, 0.5]);
        near(&hamming(3, true), &[0.08, 1.0, 0.08]);
        near(&blackman(5, true), &[0.0, 0.34, 1.0, 0.34, 0.0]);
        near(&kaiser(3, 12.0, true), &[5.277_343e-5, 1.0, 5.277_343e-5]);
        near(&gaussian(3, 1.0, true), &[0.606_530_66, 1.0, 0.606_530_66]);
        near(
            &exponential(3, None, 1.0, true),
            &[0.367_879_44, 1.0, 0.367_879_44],
        );
        near(&cosine(3, true), &[0.5, 1.0, 0.5]);
    }

    #[test]
    fn short_windows_are_empty_or_one() {
        for symmetric in [true, false] {
            for f in [hann, hamming, bartlett, blackman, nuttall, cosine] {
                assert_eq!(f(0, symmetric), []);
                assert_eq!(f(1, symmetric), [1.0]);
            }
            assert_eq!(kaiser(1, 12.0, symmetric), [1.0]);
        }
    }
}
