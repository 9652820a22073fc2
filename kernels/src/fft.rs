//! Discrete Fourier transforms of the rows of a matrix (`torch.fft.fft`, `ifft`, `rfft`, `irfft` over the last dimension).
//!
//! X\[k\] = scale · Σ_j x\[j\] e^(∓2πi jk/n), the minus sign for [`Direction::Forward`]. Complex rows are interleaved
//! pairs (re, im), so a row of n complex numbers has 2n elements. The row length n may be any positive number; rows are
//! transformed in parallel, and plans are kept for the lengths last used.

use crate::element::Pod;
use crate::pool;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftNum, FftPlanner};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sign of the exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// e^(−2πi jk/n).
    Forward,
    /// e^(+2πi jk/n), without a factor 1/n of its own.
    Inverse,
}

/// The types that are transformed: f32 and f64.
pub trait FftFloat: Pod + FftNum {
    /// The plans kept for this type.
    #[doc(hidden)]
    fn plans() -> &'static Mutex<Plans<Self>>;
}

/// The transforms that have been planned, by length.
#[doc(hidden)]
pub struct Plans<T> {
    complex: HashMap<(usize, Direction), Arc<dyn Fft<T>>>,
    forward: HashMap<usize, Arc<dyn RealToComplex<T>>>,
    inverse: HashMap<usize, Arc<dyn ComplexToReal<T>>>,
}

impl<T> Default for Plans<T> {
    fn default() -> Self {
        Self {
            complex: HashMap::new(),
            forward: HashMap::new(),
            inverse: HashMap::new(),
        }
    }
}

macro_rules! fft_float {
    ($t:ty) => {
        impl FftFloat for $t {
            fn plans() -> &'static Mutex<Plans<Self>> {
                static PLANS: std::sync::LazyLock<Mutex<Plans<$t>>> =
                    std::sync::LazyLock::new(Mutex::default);
                &PLANS
            }
        }
    };
}
fft_float!(f32);
fft_float!(f64);

/// Plans kept per kind; a program that transforms ever new lengths must not grow without bound.
const MAX_PLANS: usize = 64;
/// Elements that are worth a task of their own.
const TASK: usize = 8192;

fn lock<T: FftFloat>() -> MutexGuard<'static, Plans<T>> {
    // A plan is inserted whole or not at all, so a panic elsewhere leaves nothing broken behind.
    T::plans().lock().unwrap_or_else(PoisonError::into_inner)
}

/// The plan kept under `key`, or a new one.
fn planned<K: std::hash::Hash + Eq, P: ?Sized>(
    kept: &mut HashMap<K, Arc<P>>,
    key: K,
    make: impl FnOnce() -> Arc<P>,
) -> Arc<P> {
    if let Some(plan) = kept.get(&key) {
        return plan.clone();
    }
    if kept.len() >= MAX_PLANS {
        kept.clear();
    }
    let plan = make();
    kept.insert(key, plan.clone());
    plan
}

fn as_complex<T: FftFloat>(pairs: &[T]) -> &[Complex<T>] {
    // SAFETY: `Complex` is `repr(C)` of two `T`, so it has T's alignment and the size of two.
    unsafe { std::slice::from_raw_parts(pairs.as_ptr().cast(), pairs.len() / 2) }
}

fn as_complex_mut<T: FftFloat>(pairs: &mut [T]) -> &mut [Complex<T>] {
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts_mut(pairs.as_mut_ptr().cast(), pairs.len() / 2) }
}

fn rescale<T: FftFloat>(values: &mut [T], scale: T) {
    if scale != T::one() {
        for v in values {
            *v = *v * scale;
        }
    }
}

/// Calls `f(input rows, output rows)` in parallel for groups of rows.
fn over_rows<T: FftFloat>(
    input: &[T],
    input_row: usize,
    out: &mut [T],
    out_row: usize,
    f: impl Fn(&[T], &mut [T]) + Sync,
) {
    let rows = out.len() / out_row;
    assert!(
        out.len() == rows * out_row && input.len() == rows * input_row,
        "fft: input and output must hold the same number of whole rows"
    );
    let group = (TASK / out_row).max(1);
    pool::parallel_chunks_mut(out, group * out_row, |start, piece| {
        let first = start / out_row * input_row;
        let count = piece.len() / out_row * input_row;
        f(&input[first..first + count], piece);
    });
}

/// Transforms complex rows of length `n`: `[rows, n, 2]` → `[rows, n, 2]`, multiplied by `scale`.
///
/// # Panics
/// When `n` is 0 or the slices aren't the same number of whole rows.
pub fn fft<T: FftFloat>(input: &[T], out: &mut [T], n: usize, direction: Direction, scale: T) {
    assert!(n > 0, "fft: the length of a row must be positive");
    let plan = planned(&mut lock::<T>().complex, (n, direction), || match direction {
        Direction::Forward => FftPlanner::new().plan_fft_forward(n),
        Direction::Inverse => FftPlanner::new().plan_fft_inverse(n),
    });
    over_rows(input, 2 * n, out, 2 * n, |input, out| {
        let mut scratch = vec![Complex::new(T::zero(), T::zero()); plan.get_inplace_scratch_len()];
        out.copy_from_slice(input);
        plan.process_with_scratch(as_complex_mut(out), &mut scratch);
        rescale(out, scale);
    });
}

/// The first half of the transform of real rows: `[rows, n]` → `[rows, n / 2 + 1, 2]`, multiplied by `scale`.
///
/// # Panics
/// When `n` is 0 or the slices aren't the same number of whole rows.
pub fn rfft<T: FftFloat>(input: &[T], out: &mut [T], n: usize, scale: T) {
    assert!(n > 0, "rfft: the length of a row must be positive");
    let plan = planned(&mut lock::<T>().forward, n, || {
        RealFftPlanner::new().plan_fft_forward(n)
    });
    let out_row = 2 * (n / 2 + 1);
    over_rows(input, n, out, out_row, |input, out| {
        let (mut row, mut scratch) = (plan.make_input_vec(), plan.make_scratch_vec());
        for (input, out) in input.chunks_exact(n).zip(out.chunks_exact_mut(out_row)) {
            row.copy_from_slice(input);
            let done = plan.process_with_scratch(&mut row, as_complex_mut(out), &mut scratch);
            debug_assert!(done.is_ok(), "the plan made these buffers");
        }
        rescale(out, scale);
    });
}

/// The inverse (plus sign, no factor 1/n) of [`rfft`]: `[rows, n / 2 + 1, 2]` → `[rows, n]`, multiplied by `scale`.
///
/// The imaginary parts of the first and, if n is even, of the last column don't matter.
///
/// # Panics
/// When `n` is 0 or the slices aren't the same number of whole rows.
pub fn irfft<T: FftFloat>(input: &[T], out: &mut [T], n: usize, scale: T) {
    assert!(n > 0, "irfft: the length of a row must be positive");
    let plan = planned(&mut lock::<T>().inverse, n, || {
        RealFftPlanner::new().plan_fft_inverse(n)
    });
    let input_row = 2 * (n / 2 + 1);
    over_rows(input, input_row, out, n, |input, out| {
        let (mut row, mut scratch) = (plan.make_input_vec(), plan.make_scratch_vec());
        for (input, out) in input.chunks_exact(input_row).zip(out.chunks_exact_mut(n)) {
            row.copy_from_slice(as_complex(input));
            row[0].im = T::zero();
            if n.is_multiple_of(2) {
                row[n / 2].im = T::zero();
            }
            let done = plan.process_with_scratch(&mut row, out, &mut scratch);
            debug_assert!(
                done.is_ok(),
                "the plan made these buffers, and the row is hermitian"
            );
        }
        rescale(out, scale);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(len: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * i + 3 * i) as f64 * 0.37).sin()).collect()
    }

    fn naive(row: &[f64], sign: f64) -> Vec<f64> {
        let n = row.len() / 2;
        let mut out = vec![0.0; 2 * n];
        for k in 0..n {
            for j in 0..n {
                let angle = sign * std::f64::consts::TAU * ((j * k) % n) as f64 / n as f64;
                let (sin, cos) = angle.sin_cos();
                out[2 * k] += row[2 * j] * cos - row[2 * j + 1] * sin;
                out[2 * k + 1] += row[2 * j] * sin + row[2 * j + 1] * cos;
            }
        }
        out
    }

    fn near(a: &[f64], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        for (x, y) in a.iter().zip(b) {
            assert!((x - y).abs() < 1e-11, "{x} instead of {y}");
        }
    }

    #[test]
    fn rows_of_any_length_are_transformed() {
        for n in [1, 2, 3, 4, 5, 7, 8, 12, 17, 30, 64, 97] {
            let input = signal(3 * 2 * n);
            for (direction, sign) in [(Direction::Forward, -1.0), (Direction::Inverse, 1.0)] {
                let mut out = vec![0.0; input.len()];
                fft(&input, &mut out, n, direction, 0.5);
                for (row, out) in input.chunks(2 * n).zip(out.chunks(2 * n)) {
                    let expected: Vec<f64> = naive(row, sign).iter().map(|x| 0.5 * x).collect();
                    near(out, &expected);
                }
            }
        }
        // No rows are no work.
        fft::<f32>(&[], &mut [], 8, Direction::Forward, 1.0);
        rfft::<f64>(&[], &mut [], 8, 1.0);
    }

    #[test]
    fn real_transforms_are_half_of_the_complex_one_and_invert() {
        for n in [1, 2, 3, 6, 9, 16, 31] {
            let (rows, half) = (4, n / 2 + 1);
            let input = signal(rows * n);
            let mut spectrum = vec![0.0; rows * 2 * half];
            rfft(&input, &mut spectrum, n, 1.0);
            for (row, spectrum) in input.chunks(n).zip(spectrum.chunks(2 * half)) {
                let complex: Vec<f64> = row.iter().flat_map(|&x| [x, 0.0]).collect();
                near(spectrum, &naive(&complex, -1.0)[..2 * half]);
            }
            // What has no place in the spectrum of a real row is ignored.
            for row in spectrum.chunks_mut(2 * half) {
                row[1] = 5.0;
            }
            let mut back = vec![0.0; rows * n];
            irfft(&spectrum, &mut back, n, 1.0 / n as f64);
            near(&back, &input);
        }
    }

    #[test]
    fn many_rows_and_many_lengths_work() {
        let (rows, n) = (3000, 20);
        let input: Vec<f32> = signal(rows * n).iter().map(|&x| x as f32).collect();
        let mut spectrum = vec![0f32; rows * 22];
        rfft(&input, &mut spectrum, n, 1.0);
        let mut back = vec![0f32; rows * n];
        irfft(&spectrum, &mut back, n, 1.0 / n as f32);
        assert!(input.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-5));
        for n in 1..2 * MAX_PLANS {
            let row = vec![1f32; 2 * n];
            fft(&row, &mut vec![0f32; 2 * n], n, Direction::Forward, 1.0);
        }
        assert!(lock::<f32>().complex.len() <= MAX_PLANS);
    }
}
