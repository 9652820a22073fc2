//! Cross-entropy over class indices, fused with the log-softmax (torch's `nn.functional.cross_entropy`).
//!
//! With `p = softmax(x)` over the classes, target `t`, class weights `w`, smoothing `ε` and `C` classes, an element's loss
//! is `-(1 - ε)·w[t]·log p[t] - ε/C·Σw[c]·log p[c]`, and 0 where the target is ignored. The forward keeps one number
//! per element, the log-sum-exp; the backward recomputes the probabilities from it.
//!
//! Logits are contiguous with shape `[outer, classes, inner]`; targets and losses have shape `[outer, inner]`.

use crate::element::{Float, instantiate};
use crate::pool::SendPtr;
use crate::simd;
use crate::softmax::{COLUMNS, column_sums, for_lines, log_sum_exp_row};

/// How losses are weighted.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy<'a, T> {
    /// One weight per class; all 1 if absent.
    pub weight: Option<&'a [T]>,
    /// Elements with this target count for nothing (torch's default: -100).
    pub ignore_index: i64,
    /// The share `ε` of the target distribution that is spread over all classes.
    pub label_smoothing: f64,
}

impl<T> Default for CrossEntropy<'_, T> {
    fn default() -> Self {
        CrossEntropy {
            weight: None,
            ignore_index: -100,
            label_smoothing: 0.0,
        }
    }
}

/// A target that names no class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetOutOfRange {
    /// The target's position.
    pub position: usize,
    /// The target.
    pub target: i64,
    /// The number of classes.
    pub classes: usize,
}

impl std::fmt::Display for TargetOutOfRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "target {} at position {} is not one of {} classes",
            self.target, self.position, self.classes
        )
    }
}

impl std::error::Error for TargetOutOfRange {}

impl<T: Float> CrossEntropy<'_, T> {
    fn check(&self, targets: &[i64], classes: usize) -> Result<(), TargetOutOfRange> {
        let bad = |&target: &i64| target != self.ignore_index && !(0..classes as i64).contains(&target);
        match targets.iter().position(bad) {
            Some(position) => Err(TargetOutOfRange {
                position,
                target: targets[position],
                classes,
            }),
            None => Ok(()),
        }
    }

    fn weight_of(&self, class: usize) -> T {
        self.weight.map_or(T::ONE, |w| w[class])
    }

    /// What an element's smoothed loss and gradient are made of: `(1 - ε)·w[t]` and `ε/C`.
    fn shares(&self, class: usize, classes: usize) -> (T, T) {
        let smoothing = self.label_smoothing;
        (
            T::from_f64((1.0 - smoothing) * self.weight_of(class).to_f64()),
            T::from_f64(smoothing / classes as f64),
        )
    }

    /// `Σw`.
    fn total_weight(&self, classes: usize) -> f64 {
        self.weight
            .map_or(classes as f64, |w| w.iter().map(|w| w.to_f64()).sum())
    }
}

simd! {
    /// `Σw·x` of a row, or `Σx`.
    fn weighted_sum[T: Float](x: &[T], weight: Option<&[T]>) -> f64 {
        let mut sum = 0.0;
        match weight {
            Some(weight) => {
                for (&x, &w) in x.iter().zip(weight) {
                    sum += (x * w).to_f64();
                }
            }
            None => {
                for &x in x {
                    sum += x.to_f64();
                }
            }
        }
        sum
    }

    /// `out = exp(x - lse)·scale - w·smooth`.
    fn gradient_row[T: Float](x: &[T], lse: T, scale: T, smooth: T, weight: Option<&[T]>, out: &mut [T]) {
        match weight {
            Some(weight) if smooth != T::ZERO => {
                for ((o, &x), &w) in out.iter_mut().zip(x).zip(weight) {
                    *o = (x - lse).exp() * scale - w * smooth;
                }
            }
            _ => {
                for (o, &x) in out.iter_mut().zip(x) {
                    *o = (x - lse).exp() * scale - smooth;
                }
            }
        }
    }

    /// `out = exp(x - lse)·scale - smooth` for neighbouring columns.
    fn gradient_columns[T: Float](x: &[T], lse: &[T], scale: &[T], smooth: &[T], weight: T, out: &mut [T]) {
        for ((((o, &x), &l), &s), &m) in out.iter_mut().zip(x).zip(lse).zip(scale).zip(smooth) {
            *o = (x - l).exp() * s - weight * m;
        }
    }
}

instantiate! {
    trait FloatKernels for f32, f64 where Float;

    /// The loss of each element and its log-sum-exp, which the backward reads. An error if a target names no class.
    pub fn cross_entropy(
        logits: &[T], shape: [usize; 3], targets: &[i64], options: CrossEntropy<'_, T>,
        losses: &mut [T], lse: &mut [T],
    ) -> Result<(), TargetOutOfRange> {
        let [outer, classes, inner] = shape;
        let elements = outer * inner;
        assert_eq!(logits.len(), outer * classes * inner, "cross_entropy: the logits' length is not the shape's");
        assert!(
            targets.len() == elements && losses.len() == elements && lse.len() == elements,
            "cross_entropy: targets, losses and log-sum-exps have one value per element"
        );
        assert!(options.weight.is_none_or(|w| w.len() == classes), "cross_entropy: one weight per class");
        options.check(targets, classes)?;
        let [losses, lse] = [losses, lse].map(|s| SendPtr(s.as_mut_ptr()));
        let total_weight = options.total_weight(classes);
        for_lines(shape, |at, count| {
            let first = at / (classes * inner) * inner + at % inner;
            // SAFETY: each task has `count` elements of its own.
            let (losses, lse) = unsafe {
                (
                    std::slice::from_raw_parts_mut(losses.ptr().add(first), count),
                    std::slice::from_raw_parts_mut(lse.ptr().add(first), count),
                )
            };
            if inner == 1 {
                lse[0] = log_sum_exp_row(&logits[at..at + classes]);
            } else {
                let mut sum = [T::ZERO; COLUMNS];
                column_sums(&logits[at..], inner, classes, true, lse, &mut sum[..count]);
                for (l, s) in lse.iter_mut().zip(sum) {
                    *l += s.log();
                }
            }
            for (j, (loss, &lse)) in losses.iter_mut().zip(lse.iter()).enumerate() {
                let target = targets[first + j];
                if target == options.ignore_index {
                    *loss = T::ZERO;
                    continue;
                }
                let (own, smooth) = options.shares(target as usize, classes);
                *loss = own * (lse - logits[at + j + target as usize * inner]);
                if smooth != T::ZERO {
                    let sum = if inner == 1 {
                        weighted_sum(&logits[at..at + classes], options.weight)
                    } else {
                        (0..classes)
                            .map(|c| (logits[at + j + c * inner] * options.weight_of(c)).to_f64())
                            .sum()
                    };
                    *loss += T::from_f64(smooth.to_f64() * (total_weight * lse.to_f64() - sum));
                }
            }
        });
        Ok(())
    }

    /// The gradient with respect to the logits, given that of each element's loss.
    pub fn cross_entropy_backward(
        logits: &[T], shape: [usize; 3], targets: &[i64], options: CrossEntropy<'_, T>, lse: &[T], grad: &[T],
        out: &mut [T],
    ) -> Result<(), TargetOutOfRange> {
        let [outer, classes, inner] = shape;
        let elements = outer * inner;
        assert!(
            logits.len() == outer * classes * inner && out.len() == logits.len(),
            "cross_entropy_backward: the logits' length is not the shape's"
        );
        assert!(
            targets.len() == elements && lse.len() == elements && grad.len() == elements,
            "cross_entropy_backward: targets, log-sum-exps and gradients have one value per element"
        );
        options.check(targets, classes)?;
        let base = SendPtr(out.as_mut_ptr());
        let total_weight = options.total_weight(classes);
        for_lines(shape, |at, count| {
            let first = at / (classes * inner) * inner + at % inner;
            let (mut scale, mut smooth, mut own) = ([T::ZERO; COLUMNS], [T::ZERO; COLUMNS], [T::ZERO; COLUMNS]);
            for j in 0..count {
                let target = targets[first + j];
                if target != options.ignore_index {
                    let (share, spread) = options.shares(target as usize, classes);
                    let g = grad[first + j];
                    own[j] = g * share;
                    smooth[j] = g * spread;
                    scale[j] = own[j] + smooth[j] * T::from_f64(total_weight);
                }
            }
            for class in 0..if inner == 1 { 1 } else { classes } {
                let start = at + class * inner;
                let len = if inner == 1 { classes } else { count };
                // SAFETY: each task has its own rows or columns of `out`.
                let out = unsafe { std::slice::from_raw_parts_mut(base.ptr().add(start), len) };
                let x = &logits[start..start + len];
                if inner == 1 {
                    if targets[first] == options.ignore_index {
                        out.fill(T::ZERO);
                    } else {
                        gradient_row(x, lse[first], scale[0], smooth[0], options.weight, out);
                        out[targets[first] as usize] += -own[0];
                    }
                } else {
                    let lse = &lse[first..first + count];
                    gradient_columns(x, lse, &scale, &smooth, options.weight_of(class), out);
                    for (j, o) in out.iter_mut().enumerate() {
                        let target = targets[first + j];
                        if target == options.ignore_index {
                            *o = T::ZERO;
                        } else if target == class as i64 {
                            *o += -own[j];
                        }
                    }
                }
            }
        });
        Ok(())
    }

    /// The divisor of a mean loss: the sum of the weights of the targets that count.
    pub fn cross_entropy_weight(
        targets: &[i64], classes: usize, options: CrossEntropy<'_, T>,
    ) -> Result<f64, TargetOutOfRange> {
        options.check(targets, classes)?;
        let counted = targets.iter().filter(|&&t| t != options.ignore_index);
        Ok(counted.map(|&t| options.weight_of(t as usize).to_f64()).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(x: &[f64], shape: [usize; 3], targets: &[i64], options: CrossEntropy<'_, f64>) -> Vec<f64> {
        let [_, classes, inner] = shape;
        let one = |(i, &t): (usize, &i64)| {
            if t == options.ignore_index {
                return 0.0;
            }
            let at = |c: usize| x[(i / inner * classes + c) * inner + i % inner];
            let lse = (0..classes).map(|c| at(c).exp()).sum::<f64>().ln();
            let w = |c: usize| options.weight.map_or(1.0, |w| w[c]);
            let e = options.label_smoothing;
            let spread: f64 = (0..classes).map(|c| w(c) * (lse - at(c))).sum();
            (1.0 - e) * w(t as usize) * (lse - at(t as usize)) + e / classes as f64 * spread
        };
        targets.iter().enumerate().map(one).collect()
    }

    #[test]
    fn losses_and_gradients() {
        for shape in [[6, 5, 1], [2, 4, 3], [2, 3, 200]] {
            let [outer, classes, inner] = shape;
            let n = outer * inner;
            let x: Vec<f64> = (0..n * classes)
                .map(|i| ((i * 37) % 19) as f64 / 6.0 - 1.0)
                .collect();
            let targets: Vec<i64> = (0..n)
                .map(|i| {
                    if i % 5 == 4 {
                        -100
                    } else {
                        (i * 7 % classes) as i64
                    }
                })
                .collect();
            let weights: Vec<f64> = (0..classes).map(|c| 0.5 + c as f64).collect();
            for weight in [None, Some(&weights[..])] {
                for label_smoothing in [0.0, 0.1] {
                    let options = CrossEntropy {
                        weight,
                        label_smoothing,
                        ..Default::default()
                    };
                    let (mut losses, mut lse) = (vec![0.0; n], vec![0.0; n]);
                    cross_entropy(&x, shape, &targets, options, &mut losses, &mut lse).unwrap();
                    for (got, want) in losses.iter().zip(loss(&x, shape, &targets, options)) {
                        assert!((got - want).abs() < 1e-12, "{shape:?}: {got} for {want}");
                    }
                    let grad: Vec<f64> = (0..n).map(|i| 1.0 + (i % 3) as f64).collect();
                    let mut dx = vec![0.0; x.len()];
                    cross_entropy_backward(&x, shape, &targets, options, &lse, &grad, &mut dx).unwrap();
                    for k in (0..x.len()).step_by(7) {
                        let total = |h: f64| {
                            let mut x = x.clone();
                            x[k] += h;
                            let losses = loss(&x, shape, &targets, options);
                            losses.iter().zip(&grad).map(|(l, g)| l * g).sum::<f64>()
                        };
                        let slope = (total(1e-6) - total(-1e-6)) / 2e-6;
                        assert!((dx[k] - slope).abs() < 1e-6, "{shape:?}: {} for {slope}", dx[k]);
                    }
                }
            }
        }
    }

    #[test]
    fn targets_are_checked() {
        let (mut losses, mut lse) = ([0.0f32; 2], [0.0f32; 2]);
        let error = cross_entropy(
            &[0.0; 6],
            [2, 3, 1],
            &[0, 3],
            CrossEntropy::default(),
            &mut losses,
            &mut lse,
        );
        assert_eq!(
            error,
            Err(TargetOutOfRange {
                position: 1,
                target: 3,
                classes: 3
            })
        );
        let weight = cross_entropy_weight::<f32>(&[0, -100, 2], 3, CrossEntropy::default()).unwrap();
        assert_eq!(weight, 2.0);
    }
}
