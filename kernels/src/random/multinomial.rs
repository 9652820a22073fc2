//! Draws of indices from rows of weights (`torch.multinomial`).
//!
//! With replacement: a binary search in the cumulative weights for every uniform number. Without replacement, or for a
//! single draw: the indices of the largest weight / e, e exponential, which is an exact sample without replacement.
//! Equal quotients, frequent in f16 and bf16 and among zero weights, come in the order of their indices (in PyTorch, in
//! an order that depends on its sorting algorithm).

use super::{Generator, RandomFloat};

/// Why rows of weights can't be drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultinomialError {
    /// A weight is negative, infinite or NaN.
    InvalidWeight,
    /// The weights of a row sum to zero.
    ZeroSum,
    /// Without replacement, more draws are asked for than there are categories.
    TooManySamples,
}

impl std::fmt::Display for MultinomialError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::InvalidWeight => {
                "multinomial: expected finite weights >= 0, got one that is negative, inf or nan"
            }
            Self::ZeroSum => {
                "multinomial: expected rows of weights with a positive sum, got one that sums to 0"
            }
            Self::TooManySamples => {
                "multinomial: expected at most as many samples as categories when drawing without replacement"
            }
        })
    }
}

impl std::error::Error for MultinomialError {}

impl Generator {
    /// Draws `samples` indices from every row of `categories` weights into a row of `out`.
    ///
    /// # Errors
    /// When a weight is negative or not finite, a row sums to zero, or `samples > categories` without replacement.
    ///
    /// # Panics
    /// When `out` doesn't hold one row of `samples` for every row of weights.
    pub fn multinomial<T: RandomFloat>(
        &mut self,
        weights: &[T],
        categories: usize,
        samples: usize,
        replacement: bool,
        out: &mut [i64],
    ) -> Result<(), MultinomialError> {
        if weights.is_empty() || samples == 0 {
            return if categories == 0 && samples > 0 {
                Err(MultinomialError::ZeroSum)
            } else {
                Ok(())
            };
        }
        assert!(
            weights.len().is_multiple_of(categories) && out.len() == weights.len() / categories * samples,
            "multinomial: whole rows"
        );
        if !replacement && samples > categories {
            return Err(MultinomialError::TooManySamples);
        }
        for row in weights.chunks(categories) {
            if row.iter().any(|w| !w.to_f64().is_finite() || w.to_f64() < 0.0) {
                return Err(MultinomialError::InvalidWeight);
            }
            if row.iter().all(|w| w.to_f64() == 0.0) {
                return Err(MultinomialError::ZeroSum);
            }
        }
        if replacement && samples > 1 {
            self.with_replacement(weights, categories, samples, out);
        } else {
            self.without_replacement(weights, categories, samples, out);
        }
        Ok(())
    }

    fn with_replacement<T: RandomFloat>(
        &mut self,
        weights: &[T],
        categories: usize,
        samples: usize,
        out: &mut [i64],
    ) {
        // The sums are those of T's own arithmetic (f32 for f16 and bf16): an addition or division of two f32 in f64,
        // rounded to f32, is the f32 operation.
        let round = |x: f64| if T::DOUBLE { x } else { f64::from(x as f32) };
        let mut cumulative = vec![0f64; categories];
        for (row, out) in weights.chunks(categories).zip(out.chunks_mut(samples)) {
            let mut sum = 0.0;
            for (c, w) in cumulative.iter_mut().zip(row) {
                sum = round(sum + w.to_f64());
                *c = sum;
            }
            for c in &mut cumulative {
                *c = round(*c / sum);
            }
            cumulative[categories - 1] = 1.0;
            for o in out {
                let u = self.next_f64();
                *o = cumulative.partition_point(|&c| c < u) as i64;
            }
        }
    }

    fn without_replacement<T: RandomFloat>(
        &mut self,
        weights: &[T],
        categories: usize,
        samples: usize,
        out: &mut [i64],
    ) {
        let mut ratio = vec![T::default(); weights.len()];
        self.exponential(&mut ratio, 1.0);
        for (r, w) in ratio.iter_mut().zip(weights) {
            *r = T::from_f64(w.to_f64() / r.to_f64());
        }
        let mut order: Vec<usize> = Vec::with_capacity(categories);
        for (ratio, out) in ratio.chunks(categories).zip(out.chunks_mut(samples)) {
            order.clear();
            order.extend(0..categories);
            // 0 / 0 is NaN, which PyTorch's topk and argmax put first, as `total_cmp` does for a positive NaN.
            let descending = |&a: &usize, &b: &usize| {
                ratio[b]
                    .to_f64()
                    .abs()
                    .total_cmp(&ratio[a].to_f64().abs())
                    .then(a.cmp(&b))
            };
            if samples < categories {
                order.select_nth_unstable_by(samples, descending);
            }
            order[..samples].sort_unstable_by(descending);
            for (o, &i) in out.iter_mut().zip(&order) {
                *o = i as i64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_those_of_pytorch() {
        // torch.manual_seed(0); torch.multinomial(torch.tensor([.1, .2, .3, .4]), 12, True)
        let mut out = [0; 12];
        let weights = [0.1f32, 0.2, 0.3, 0.4];
        Generator::new(0)
            .multinomial(&weights, 4, 12, true, &mut out)
            .unwrap();
        assert_eq!(out, [3, 3, 2, 3, 3, 3, 1, 2, 2, 1, 2, 1]);
        // torch.manual_seed(0); torch.multinomial(torch.tensor([.1, .2, .3, .4]), 3)
        let mut out = [0; 3];
        Generator::new(0)
            .multinomial(&weights, 4, 3, false, &mut out)
            .unwrap();
        assert_eq!(out, [2, 1, 3]);
    }

    #[test]
    fn frequencies_follow_the_weights() {
        let weights = [1.0f64, 0.0, 3.0].repeat(5_000);
        let mut out = vec![0; 5_000];
        Generator::new(1)
            .multinomial(&weights, 3, 1, false, &mut out)
            .unwrap();
        let twos = out.iter().filter(|&&i| i == 2).count();
        assert!((3_600..3_900).contains(&twos), "{twos}");
        assert!(!out.contains(&1));
    }

    #[test]
    fn bad_weights_are_refused() {
        let mut out = [0; 2];
        let mut draw = |w: &[f32], replacement| {
            let drawn = Generator::new(0).multinomial(w, w.len(), 2, replacement, &mut out);
            drawn.unwrap_err()
        };
        assert_eq!(draw(&[0.5, -1.0], true), MultinomialError::InvalidWeight);
        assert_eq!(draw(&[0.5, f32::NAN], false), MultinomialError::InvalidWeight);
        assert_eq!(draw(&[0.0, 0.0], true), MultinomialError::ZeroSum);
        assert_eq!(draw(&[1.0], false), MultinomialError::TooManySamples);
    }
}
