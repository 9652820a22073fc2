//! Numbers of further distributions: exponential, Cauchy, geometric, Poisson, binomial and gamma.
//!
//! All are drawn in f64, whatever the output's type. The first three transform one uniform number each and run in
//! parallel; the others reject candidates, so each element takes as many numbers as it needs, one element after another.
//! Sources: W. Hörmann, "The transformed rejection method for generating Poisson random variables" (1993) and "The
//! generation of binomial random variates" (1993); G. Marsaglia and W. W. Tsang, "A simple method for generating
//! gamma variables" (2000).

use super::{Generator, RandomFloat, RandomNumber};
use crate::pool;
use crate::special::lgamma;
use std::f64::consts::PI;

/// Uniform numbers drawn before they are transformed in parallel.
const DRAWN: usize = 1 << 16;
/// Elements that one task transforms.
const CHUNK: usize = 2048;

impl Generator {
    /// Fills `out` with `f(u)`, u uniform in [0, 1), one after another in the stream and transformed in parallel.
    fn transform<T: RandomNumber>(&mut self, out: &mut [T], f: impl Fn(f64) -> f64 + Sync) {
        let mut drawn = vec![0f64; out.len().min(DRAWN)];
        for piece in out.chunks_mut(DRAWN) {
            let drawn = &mut drawn[..piece.len()];
            self.fill_uniform_f64(drawn, 0.0, 1.0);
            let drawn = &*drawn;
            pool::parallel_chunks_mut(piece, CHUNK, |start, piece| {
                for (o, &u) in piece.iter_mut().zip(&drawn[start..]) {
                    *o = T::from_f64(f(u));
                }
            });
        }
    }

    /// Exponential numbers of rate `lambda` (`exponential_`): −ln(1 − u) / λ. Wants `lambda > 0`.
    pub fn exponential<T: RandomFloat>(&mut self, out: &mut [T], lambda: f64) {
        let scale = -1.0 / lambda;
        self.transform(out, |u| scale * (-u).ln_1p());
    }

    /// Cauchy numbers (`cauchy_`): median + σ tan(π(u − ½)). Wants `sigma > 0`.
    pub fn cauchy<T: RandomFloat>(&mut self, out: &mut [T], median: f64, sigma: f64) {
        self.transform(out, |u| (PI * (u - 0.5)).tan().mul_add(sigma, median));
    }

    /// The number of trials until the first success (`geometric_`): ⌈ln u / ln(1 − p)⌉. Wants 0 < p < 1.
    pub fn geometric<T: RandomNumber>(&mut self, out: &mut [T], p: f64) {
        let log_failure = (-p).ln_1p();
        self.transform(out, |u| (u.ln() / log_failure).ceil());
    }

    /// Poisson numbers of the given rates (`torch.poisson`). Wants rates of 0 or more.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn poisson<T: RandomFloat>(&mut self, out: &mut [T], rates: &[T]) {
        assert_eq!(out.len(), rates.len(), "poisson: one rate for every element");
        for (o, rate) in out.iter_mut().zip(rates) {
            *o = T::from_f64(self.next_poisson(rate.to_f64()));
        }
    }

    fn next_poisson(&mut self, rate: f64) -> f64 {
        if rate.is_nan() || rate <= 0.0 {
            return 0.0;
        }
        if rate < 10.0 {
            // The number of uniform factors whose product stays above e^-rate.
            let limit = (-rate).exp();
            let mut product = self.next_f64();
            let mut count = 0.0;
            while product > limit {
                count += 1.0;
                product *= self.next_f64();
            }
            return count;
        }
        // Hörmann's PTRS.
        let log_rate = rate.ln();
        let b = 0.931 + 2.53 * rate.sqrt();
        let a = -0.059 + 0.02483 * b;
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        let v_r = 0.9277 - 3.6224 / (b - 2.0);
        loop {
            let u = self.next_f64() - 0.5;
            let v = self.next_f64();
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + rate + 0.43).floor();
            if us >= 0.07 && v <= v_r {
                return k;
            }
            if k < 0.0 || (us < 0.013 && v > us) {
                continue;
            }
            let left = v.ln() + inverse_alpha.ln() - (a / (us * us) + b).ln();
            if left <= -rate + k * log_rate - lgamma(k + 1.0) {
                return k;
            }
        }
    }

    /// The number of successes in `count` trials of probability `probability` (`torch.binomial`).
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn binomial<T: RandomFloat>(&mut self, out: &mut [T], count: &[T], probability: &[T]) {
        assert!(
            out.len() == count.len() && out.len() == probability.len(),
            "binomial: one count and one probability for every element"
        );
        for ((o, count), p) in out.iter_mut().zip(count).zip(probability) {
            let (count, p) = (count.to_f64(), p.to_f64());
            let drawn = if count <= 0.0 || p <= 0.0 {
                0.0
            } else if p >= 1.0 {
                count
            } else if p <= 0.5 {
                self.next_binomial::<T>(count, p)
            } else if p > 0.5 {
                count - self.next_binomial::<T>(count, round_to::<T>(1.0 - p))
            } else {
                f64::NAN
            };
            *o = T::from_f64(drawn);
        }
    }

    /// p is at most a half.
    fn next_binomial<T: RandomFloat>(&mut self, count: f64, p: f64) -> f64 {
        if round_to::<T>(count * p) >= 10.0 {
            return self.next_binomial_btrs::<T>(count, p);
        }
        // Sums of geometric numbers: the successes that fit into `count` trials.
        let log_failure = round_to::<T>((-p).ln_1p());
        let (mut trials, mut successes) = (0.0, 0.0);
        loop {
            trials += (self.next_f64().ln() / log_failure).ceil();
            if trials > count {
                return successes;
            }
            successes += 1.0;
        }
    }

    /// Hörmann's BTRS. The quantities that PyTorch computes in the tensor's own type are rounded to it.
    fn next_binomial_btrs<T: RandomFloat>(&mut self, count: f64, p: f64) -> f64 {
        let round = round_to::<T>;
        let mean = round(count * p);
        let q = round(1.0 - p);
        let deviation = round(round(mean * q).sqrt());
        let b = 1.15 + 2.53 * deviation;
        let a = -0.0873 + 0.0248 * b + 0.01 * p;
        let c = mean + 0.5;
        let v_r = 0.92 - 4.2 / b;
        let r = round(p / q);
        let alpha = (2.83 + 5.1 / b) * deviation;
        let m = round(round(count + 1.0) * p).floor();
        loop {
            let u = self.next_f64() - 0.5;
            let v = self.next_f64();
            let us = 0.5 - u.abs();
            let k = round(((2.0 * a / us + b) * u + c).floor());
            if k < 0.0 || k > count {
                continue;
            }
            if us >= 0.07 && v <= v_r {
                return k;
            }
            let v = (v * alpha / (a / (us * us) + b)).ln();
            let bound = (m + 0.5) * ((m + 1.0) / (r * (count - m + 1.0))).ln()
                + (count + 1.0) * ((count - m + 1.0) / (count - k + 1.0)).ln()
                + (k + 0.5) * (r * (count - k + 1.0) / (k + 1.0)).ln()
                + stirling_tail(m)
                + stirling_tail(count - m)
                - stirling_tail(k)
                - stirling_tail(count - k);
            if v <= bound {
                return k;
            }
        }
    }

    /// Gamma numbers of the given shapes and scale 1 (`torch._standard_gamma`), at least the smallest normal number.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn standard_gamma<T: RandomFloat>(&mut self, out: &mut [T], alpha: &[T]) {
        assert_eq!(
            out.len(),
            alpha.len(),
            "standard_gamma: one shape for every element"
        );
        for (o, alpha) in out.iter_mut().zip(alpha) {
            let drawn = T::from_f64(self.next_gamma::<T>(alpha.to_f64()));
            *o = if drawn.to_f64() < T::MIN_POSITIVE.to_f64() {
                T::MIN_POSITIVE
            } else {
                drawn
            };
        }
    }

    fn next_gamma<T: RandomFloat>(&mut self, alpha: f64) -> f64 {
        let round = round_to::<T>;
        let mut alpha = alpha;
        let mut scale = 1.0;
        if alpha < 1.0 {
            if alpha == 0.0 {
                return 0.0;
            }
            // A number of shape alpha + 1 times u^(1/alpha) has shape alpha, and is rejected less often.
            scale = (1.0 - self.next_f64()).powf(round(1.0 / alpha));
            alpha = round(alpha + 1.0);
        }
        let d = round(alpha - f64::from(1.0f32 / 3.0f32));
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let (x, y) = loop {
                let x = self.next_normal();
                let y = 1.0 + c * x;
                if y > 0.0 {
                    break (x, y);
                }
            };
            let v = y * y * y;
            let u = 1.0 - self.next_f64();
            let xx = x * x;
            let squeeze = 1.0 - f64::from(0.0331f32) * xx * xx;
            if u < squeeze || u.ln() < 0.5 * xx + d * (1.0 - v + v.ln()) {
                return scale * d * v;
            }
        }
    }

    /// Rows of a Dirichlet distribution (`torch._sample_dirichlet`): gamma numbers divided by their sum over a row of
    /// `categories`, strictly between 0 and 1.
    ///
    /// # Panics
    /// When the lengths differ or are no multiple of `categories`.
    pub fn dirichlet<T: RandomFloat>(&mut self, out: &mut [T], alpha: &[T], categories: usize) {
        assert_eq!(
            out.len(),
            alpha.len(),
            "dirichlet: one concentration for every element"
        );
        if out.is_empty() {
            return;
        }
        assert!(
            categories > 0 && out.len().is_multiple_of(categories),
            "dirichlet: whole rows"
        );
        let gamma: Vec<f64> = alpha.iter().map(|a| self.next_gamma::<f64>(a.to_f64())).collect();
        let largest = 1.0
            - if T::DOUBLE {
                f64::EPSILON
            } else {
                f64::from(f32::EPSILON)
            } / 2.0;
        for (out, gamma) in out.chunks_mut(categories).zip(gamma.chunks(categories)) {
            let sum: f64 = gamma.iter().sum();
            for (o, g) in out.iter_mut().zip(gamma) {
                *o = T::from_f64((g / sum).clamp(T::MIN_POSITIVE.to_f64(), largest));
            }
        }
    }
}

/// The value that `T`'s own arithmetic would hold; f16 and bf16 compute in f32.
fn round_to<T: RandomFloat>(x: f64) -> f64 {
    if T::DOUBLE { x } else { f64::from(x as f32) }
}

/// ln k! minus Stirling's approximation of it.
fn stirling_tail(k: f64) -> f64 {
    const TAIL: [f64; 10] = [
        0.081_061_466_795_327_2,
        0.041_340_695_955_409_2,
        0.027_677_925_684_998_3,
        0.020_790_672_103_765_09,
        0.016_644_691_189_821_1,
        0.013_876_128_823_070_7,
        0.011_896_709_945_891_7,
        0.010_411_265_261_972,
        0.009_255_462_182_712_73,
        0.008_330_563_433_362_87,
    ];
    if k < 10.0 {
        return TAIL[k.max(0.0) as usize];
    }
    let square = (k + 1.0) * (k + 1.0);
    (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1260.0 / square) / square) / (k + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_variance(values: &[f64]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n)
    }

    fn check(values: &[f64], mean: f64, variance: f64) {
        let (m, v) = mean_and_variance(values);
        let error = 5.0 * (variance / values.len() as f64).sqrt();
        assert!((m - mean).abs() < error, "mean {m}, expected {mean}");
        assert!(
            (v - variance).abs() < 0.1 * variance,
            "variance {v}, expected {variance}"
        );
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let n = 20_000;
        let mut generator = Generator::new(0);
        let mut out = vec![0f64; n];
        generator.exponential(&mut out, 2.0);
        check(&out, 0.5, 0.25);
        generator.geometric(&mut out, 0.25);
        check(&out, 4.0, 12.0);
        for rate in [0.5, 4.0, 10.0, 200.0] {
            generator.poisson(&mut out, &vec![rate; n]);
            check(&out, rate, rate);
        }
        for (count, p) in [(10.0, 0.2), (100.0, 0.3), (100.0, 0.8), (5.0, 0.9)] {
            generator.binomial(&mut out, &vec![count; n], &vec![p; n]);
            check(&out, count * p, count * p * (1.0 - p));
        }
        for alpha in [0.3, 1.0, 7.5] {
            generator.standard_gamma(&mut out, &vec![alpha; n]);
            check(&out, alpha, alpha);
        }
        generator.cauchy(&mut out, 3.0, 2.0);
        let below = out.iter().filter(|&&x| x < 3.0).count();
        assert!((9_700..10_300).contains(&below), "{below}");
    }

    #[test]
    fn degenerate_parameters_give_degenerate_numbers() {
        let mut generator = Generator::new(0);
        let mut out = [7f64; 3];
        generator.poisson(&mut out, &[0.0; 3]);
        assert_eq!(out, [0.0; 3]);
        generator.binomial(&mut out, &[4.0, 4.0, 0.0], &[0.0, 1.0, 0.5]);
        assert_eq!(out, [0.0, 4.0, 0.0]);
        generator.standard_gamma(&mut out, &[0.0; 3]);
        assert_eq!(out, [f64::MIN_POSITIVE; 3]);
    }

    #[test]
    fn dirichlet_rows_sum_to_one() {
        let mut out = [0f64; 12];
        Generator::new(0).dirichlet(&mut out, &[0.5; 12], 4);
        for row in out.chunks(4) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
}
