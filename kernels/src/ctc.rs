//! Connectionist temporal classification (torch's `nn.functional.ctc_loss`): the probability of all alignments of a
//! target with a longer input.
//!
//! With the target `l` extended by blanks, `_ l₁ _ l₂ … _`, the forward variable `α[t, s]` is the probability of all
//! alignments of the first `t + 1` steps that end at place `s`, the backward variable `β[t, s]` that of those of the
//! steps from `t` on that begin there. All in logarithms and `f64`. Log-probabilities are `[time, batch, classes]`.

use crate::element::Float;
use crate::pool::{self, SendPtr};

/// One sample: its target classes and the number of input steps that count.
#[derive(Clone, Copy, Debug)]
pub struct CtcSample<'a> {
    /// The classes, no blank among them.
    pub target: &'a [i64],
    /// The number of steps.
    pub steps: usize,
}

/// `log(eᵃ + eᵇ + eᶜ)`.
fn log_sum(terms: [f64; 3]) -> f64 {
    let greatest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if greatest == f64::NEG_INFINITY {
        return greatest;
    }
    greatest + terms.iter().map(|x| (x - greatest).exp()).sum::<f64>().ln()
}

/// The loss `-log p(target)` of each sample and, if asked for, its gradient `eˣ - Σ αβ/(p·eˣ)` with respect to the
/// log-probabilities `x`. As in torch it is the gradient for normalised `x`, taken through their log-softmax; the steps
/// behind a sample's have none.
pub fn ctc_loss<T: Float>(
    log_probs: &[T],
    [time, batch, classes]: [usize; 3],
    samples: &[CtcSample<'_>],
    blank: usize,
    losses: &mut [T],
    grad: Option<&mut [T]>,
) {
    assert_eq!(
        log_probs.len(),
        time * batch * classes,
        "ctc_loss: the log-probabilities' length"
    );
    assert!(
        samples.len() == batch && losses.len() == batch,
        "ctc_loss: one sample and loss per batch entry"
    );
    let grad = grad.map(|grad| {
        assert_eq!(grad.len(), log_probs.len(), "ctc_loss: the gradient's length");
        grad.fill(T::ZERO);
        SendPtr(grad.as_mut_ptr())
    });
    let losses = SendPtr(losses.as_mut_ptr());
    let x = |t: usize, n: usize, class: usize| log_probs[(t * batch + n) * classes + class].to_f64();
    pool::parallel_ranges(batch, 1, |range| {
        for n in range {
            let CtcSample { target, steps } = samples[n];
            let places = 2 * target.len() + 1;
            let class = |s: usize| {
                if s.is_multiple_of(2) {
                    blank
                } else {
                    target[s / 2] as usize
                }
            };
            // Whether a blank may be left out before place `s`.
            let skips = |s: usize| s % 2 == 1 && s >= 2 && target[s / 2] != target[s / 2 - 1];
            let mut alpha = vec![f64::NEG_INFINITY; steps * places];
            for t in 0..steps {
                for s in 0..places {
                    let before = if t == 0 {
                        if s < 2 { 0.0 } else { f64::NEG_INFINITY }
                    } else {
                        let at = |back: usize| match s.checked_sub(back) {
                            Some(s) => alpha[(t - 1) * places + s],
                            None => f64::NEG_INFINITY,
                        };
                        log_sum([at(0), at(1), if skips(s) { at(2) } else { f64::NEG_INFINITY }])
                    };
                    alpha[t * places + s] = before + x(t, n, class(s));
                }
            }
            let end = |back: usize| match (steps, places.checked_sub(back)) {
                (1.., Some(s)) => alpha[(steps - 1) * places + s],
                _ => f64::NEG_INFINITY,
            };
            let log_p = match (steps, target.len()) {
                (0, 0) => 0.0,
                (_, 0) => end(1),
                _ => log_sum([end(1), end(2), f64::NEG_INFINITY]),
            };
            // SAFETY: every sample writes its own loss.
            unsafe { *losses.ptr().add(n) = T::from_f64(-log_p) };
            let Some(grad) = grad else { continue };
            let mut beta = vec![f64::NEG_INFINITY; places];
            let mut next = beta.clone();
            let mut joint = vec![f64::NEG_INFINITY; classes];
            for t in (0..steps).rev() {
                joint.fill(f64::NEG_INFINITY);
                for s in 0..places {
                    let behind = if t + 1 == steps {
                        if s + 2 >= places { 0.0 } else { f64::NEG_INFINITY }
                    } else {
                        let at = |ahead: usize| next.get(s + ahead).copied().unwrap_or(f64::NEG_INFINITY);
                        let skip = s + 2 < places && skips(s + 2);
                        log_sum([at(0), at(1), if skip { at(2) } else { f64::NEG_INFINITY }])
                    };
                    beta[s] = behind + x(t, n, class(s));
                    let both = &mut joint[class(s)];
                    *both = log_sum([*both, alpha[t * places + s] + beta[s], f64::NEG_INFINITY]);
                }
                for (c, &both) in joint.iter().enumerate() {
                    let p = x(t, n, c);
                    let value = if both == f64::NEG_INFINITY {
                        p.exp()
                    } else {
                        p.exp() - (both - log_p - p).exp()
                    };
                    // SAFETY: every sample writes the rows of its own batch entry, which lie inside the buffer.
                    unsafe { *grad.ptr().add((t * batch + n) * classes + c) = T::from_f64(value) };
                }
                std::mem::swap(&mut beta, &mut next);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The probability of a target by enumeration of all alignments.
    fn enumerate(x: &[f64], time: usize, classes: usize, target: &[i64], blank: i64) -> f64 {
        let mut total = 0.0;
        for code in 0..classes.pow(time as u32) {
            let path: Vec<i64> = (0..time)
                .map(|t| (code / classes.pow(t as u32) % classes) as i64)
                .collect();
            let mut collapsed = path.clone();
            collapsed.dedup();
            collapsed.retain(|&c| c != blank);
            if collapsed == target {
                let p: f64 = path
                    .iter()
                    .enumerate()
                    .map(|(t, &c)| x[t * classes + c as usize])
                    .sum();
                total += p.exp();
            }
        }
        total
    }

    #[test]
    fn all_alignments_are_counted() {
        let (time, classes) = (4, 3);
        let raw: Vec<f64> = (0..time * classes).map(|i| ((i * 7) % 5) as f64 / 3.0).collect();
        let x: Vec<f64> = raw
            .chunks(classes)
            .flat_map(|row| {
                let lse = row.iter().map(|x| x.exp()).sum::<f64>().ln();
                row.iter().map(move |x| x - lse)
            })
            .collect();
        for target in [&[1i64, 2][..], &[1, 1], &[2], &[]] {
            let sample = CtcSample { target, steps: time };
            let (mut loss, mut grad) = ([0.0], vec![0.0; x.len()]);
            ctc_loss(&x, [time, 1, classes], &[sample], 0, &mut loss, Some(&mut grad));
            assert!((loss[0] + enumerate(&x, time, classes, target, 0).ln()).abs() < 1e-12);
            // The gradient less its normalising part is the derivative by a finite difference.
            for i in 0..x.len() {
                let mut moved = x.clone();
                moved[i] += 1e-6;
                let mut other = [0.0];
                ctc_loss(&moved, [time, 1, classes], &[sample], 0, &mut other, None);
                let derivative = (other[0] - loss[0]) / 1e-6;
                assert!((grad[i] - x[i].exp() - derivative).abs() < 1e-5);
            }
        }
        let impossible = CtcSample {
            target: &[1, 1, 1],
            steps: 4,
        };
        let mut loss = [0.0];
        ctc_loss(&x, [time, 1, classes], &[impossible], 0, &mut loss, None);
        assert_eq!(loss[0], f64::INFINITY);
    }
}
