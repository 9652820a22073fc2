//! Reductions whose blocks take two passes: variance and log-sum-exp.

use super::driver::{COLUMNS, Reducer};
use super::fold::{Max, Sum, fold_slice};
use crate::element::Float;
use crate::simd;
use crate::unary::choose;

/// Count, mean and sum of squared deviations of some elements.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

// SAFETY: three floats.
unsafe impl crate::element::Pod for Moments {}

impl Moments {
    /// The variance with `count - correction` as divisor, which counts as 0 when negative.
    pub(super) fn variance(self, correction: f64) -> f64 {
        self.squares / (self.count - correction).max(0.0)
    }

    /// The mean; NaN for no elements.
    pub(super) fn mean(self) -> f64 {
        if self.count == 0.0 { f64::NAN } else { self.mean }
    }

    /// Chan's formula for the moments of two parts.
    fn merge(self, other: Self) -> Self {
        if self.count == 0.0 {
            return other;
        }
        if other.count == 0.0 {
            return self;
        }
        let count = self.count + other.count;
        let apart = other.mean - self.mean;
        Moments {
            count,
            mean: self.mean + apart * (other.count / count),
            squares: self.squares + other.squares + apart * apart * (self.count * other.count / count),
        }
    }
}

/// The moments: of a block, its sum first and then its deviations from the mean.
#[derive(Clone, Copy)]
pub(super) struct Variance;

impl<T: Float> Reducer<T> for Variance {
    type State = Moments;

    fn empty(self) -> Moments {
        Moments::default()
    }

    fn slice(self, x: &[T]) -> Moments {
        let count = x.len() as f64;
        let mean = fold_slice(Sum, x).to_f64() / count;
        // The mean is rounded to the element type for the second pass; what that shifts is corrected afterwards.
        let rounded = T::from_f64(mean);
        let (sum, squares) = deviations(x, rounded);
        let shift = sum.to_f64() / count;
        Moments {
            count,
            mean: rounded.to_f64() + shift,
            squares: squares.to_f64() - shift * shift * count,
        }
    }

    fn columns(self, x: &[T], step: usize, rows: usize, states: &mut [Moments]) {
        let width = states.len();
        let (mut means, mut sums, mut squares) = ([T::ZERO; COLUMNS], [T::ZERO; COLUMNS], [T::ZERO; COLUMNS]);
        column_deviations(
            x,
            step,
            rows,
            &mut means[..width],
            &mut sums[..width],
            &mut squares[..width],
        );
        let count = rows as f64;
        for (j, state) in states.iter_mut().enumerate() {
            let shift = sums[j].to_f64() / count;
            *state = state.merge(Moments {
                count,
                mean: means[j].to_f64() + shift,
                squares: squares[j].to_f64() - shift * shift * count,
            });
        }
    }

    fn merge(self, a: Moments, b: Moments) -> Moments {
        a.merge(b)
    }
}

simd! {
    /// `Σ(x - mean)` and `Σ(x - mean)²`.
    fn deviations[T: Float](x: &[T], mean: T) -> (T, T) {
        const LANES: usize = 32;
        let (mut sums, mut squares) = ([T::ZERO; LANES], [T::ZERO; LANES]);
        let (chunks, rest) = x.as_chunks::<LANES>();
        for chunk in chunks {
            for i in 0..LANES {
                let d = chunk[i] - mean;
                sums[i] += d;
                squares[i] += d * d;
            }
        }
        let mut last = [mean; LANES];
        last[..rest.len()].copy_from_slice(rest);
        for i in 0..LANES {
            let d = last[i] - mean;
            sums[i] += d;
            squares[i] += d * d;
        }
        let (mut sum, mut square) = (T::ZERO, T::ZERO);
        for i in 0..LANES {
            sum += sums[i];
            square += squares[i];
        }
        (sum, square)
    }

    /// The means of columns, and the sums of deviations from them and of their squares.
    fn column_deviations[T: Float](
        x: &[T], step: usize, rows: usize, means: &mut [T], sums: &mut [T], squares: &mut [T],
    ) {
        let width = means.len();
        let (sums, squares) = (&mut sums[..width], &mut squares[..width]);
        for i in 0..rows {
            for (mean, &x) in means.iter_mut().zip(&x[i * step..i * step + width]) {
                *mean += x;
            }
        }
        for mean in means.iter_mut() {
            *mean = *mean / T::from_f64(rows as f64);
        }
        for i in 0..rows {
            let row = &x[i * step..i * step + width];
            for j in 0..width {
                let d = row[j] - means[j];
                sums[j] += d;
                squares[j] += d * d;
            }
        }
    }

    /// `Σexp(x - shift)`.
    fn shifted_exp_sum[T: Float](x: &[T], shift: T) -> T {
        const LANES: usize = 32;
        let mut sums = [T::ZERO; LANES];
        let (chunks, rest) = x.as_chunks::<LANES>();
        for chunk in chunks {
            for i in 0..LANES {
                sums[i] += (chunk[i] - shift).exp();
            }
        }
        let mut last = [T::LEAST; LANES];
        last[..rest.len()].copy_from_slice(rest);
        for i in 0..LANES {
            sums[i] += (last[i] - shift).exp();
        }
        sums.iter().fold(T::ZERO, |a, &b| a + b)
    }

    /// For each column its maximum (0 if that is infinite) and `Σexp(x - maximum)`.
    fn column_exp_sums[T: Float](x: &[T], step: usize, rows: usize, shifts: &mut [T], sums: &mut [T]) {
        let width = shifts.len();
        let sums = &mut sums[..width];
        for i in 0..rows {
            for (max, &x) in shifts.iter_mut().zip(&x[i * step..i * step + width]) {
                *max = choose(x > *max, x, *max);
            }
        }
        for shift in shifts.iter_mut() {
            *shift = finite_shift(*shift);
        }
        for i in 0..rows {
            let row = &x[i * step..i * step + width];
            for j in 0..width {
                sums[j] += (row[j] - shifts[j]).exp();
            }
        }
    }
}

/// A maximum that may be subtracted: 0 in place of an infinite one.
#[inline(always)]
fn finite_shift<T: Float>(max: T) -> T {
    choose(max.abs() < T::GREATEST, max, T::ZERO)
}

/// `log Σexp(x)` as a shift and the sum of `exp(x - shift)`.
#[derive(Clone, Copy)]
pub(super) struct LogSumExp;

/// The result of a log-sum-exp state.
pub(super) fn log_sum_exp<T: Float>((shift, sum): (f64, f64)) -> T {
    T::from_f64(shift + sum.ln())
}

fn merge_exp_sums((a, sum_a): (f64, f64), (b, sum_b): (f64, f64)) -> (f64, f64) {
    if sum_a == 0.0 {
        return (b, sum_b);
    }
    if sum_b == 0.0 {
        return (a, sum_a);
    }
    let shift = a.max(b);
    (shift, sum_a * (a - shift).exp() + sum_b * (b - shift).exp())
}

impl<T: Float> Reducer<T> for LogSumExp {
    type State = (f64, f64);

    fn empty(self) -> (f64, f64) {
        (0.0, 0.0)
    }

    fn slice(self, x: &[T]) -> (f64, f64) {
        let max: T = fold_slice(Max, x);
        let shift = finite_shift(max);
        (shift.to_f64(), shifted_exp_sum(x, shift).to_f64())
    }

    fn columns(self, x: &[T], step: usize, rows: usize, states: &mut [(f64, f64)]) {
        let width = states.len();
        let (mut shifts, mut sums) = ([T::LEAST; COLUMNS], [T::ZERO; COLUMNS]);
        column_exp_sums(x, step, rows, &mut shifts[..width], &mut sums[..width]);
        for (j, state) in states.iter_mut().enumerate() {
            *state = merge_exp_sums(*state, (shifts[j].to_f64(), sums[j].to_f64()));
        }
    }

    fn merge(self, a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
        merge_exp_sums(a, b)
    }
}
