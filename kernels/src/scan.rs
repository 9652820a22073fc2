//! Running sums, products and extremes along a dimension.
//!
//! The operand is contiguous with shape `[outer, len, inner]`; the scan runs over `len`, from its start or, reversed,
//! from its end. Floats accumulate in `f64` and are rounded on the way out, as in PyTorch.

use crate::element::{Element, Float, Number, instantiate};
use crate::elementwise::GRAIN;
use crate::pool::{self, SendPtr};

/// Neighbouring lines that are scanned together.
const COLUMNS: usize = 128;

/// A running reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// The running sum.
    Sum,
    /// The running product.
    Prod,
}

/// A scan as a state and a step.
trait Step<T>: Copy + Sync {
    type State: Copy;
    /// The state before the first element.
    fn start(self) -> Self::State;
    /// The state after one more element, which has the given position.
    fn step(self, state: Self::State, x: T, position: usize) -> Self::State;
}

/// Runs `step` over all lines and hands every state to `emit(offset, state)`, which may write to that offset only.
fn run<T: Number, S: Step<T>>(
    step: S,
    x: &[T],
    [outer, len, inner]: [usize; 3],
    reverse: bool,
    emit: impl Fn(usize, S::State) + Sync,
) {
    assert_eq!(
        x.len(),
        outer * len * inner,
        "scan: the input's length is not outer·len·inner"
    );
    if x.is_empty() {
        return;
    }
    let blocks = inner.div_ceil(COLUMNS);
    let task = |task: usize| {
        let first = task % blocks * COLUMNS;
        let count = COLUMNS.min(inner - first);
        let base = task / blocks * len * inner + first;
        let mut states = [step.start(); COLUMNS];
        for i in 0..len {
            let position = if reverse { len - 1 - i } else { i };
            let at = base + position * inner;
            for (j, state) in states[..count].iter_mut().enumerate() {
                *state = step.step(*state, x[at + j], position);
                emit(at + j, *state);
            }
        }
    };
    let tasks = outer * blocks;
    if x.len() < 2 * GRAIN {
        return (0..tasks).for_each(task);
    }
    let group = (GRAIN / (len * inner.min(COLUMNS)))
        .max(tasks.div_ceil(128))
        .max(1);
    pool::parallel_ranges(tasks, group, |range| range.for_each(&task))
}

#[derive(Clone, Copy)]
struct Sum;

impl<T: Number> Step<T> for Sum {
    type State = T::Acc;

    fn start(self) -> T::Acc {
        T::Acc::ZERO
    }
    fn step(self, state: T::Acc, x: T, _position: usize) -> T::Acc {
        state.plus(x.to_acc())
    }
}

#[derive(Clone, Copy)]
struct Prod;

impl<T: Number> Step<T> for Prod {
    type State = T::Acc;

    fn start(self) -> T::Acc {
        T::Acc::ONE
    }
    fn step(self, state: T::Acc, x: T, _position: usize) -> T::Acc {
        state.times(x.to_acc())
    }
}

/// The running extreme and its last position; NaN stays once it has come.
#[derive(Clone, Copy)]
struct Best {
    greatest: bool,
}

impl<T: Number> Step<T> for Best {
    type State = Option<(T, usize)>;

    fn start(self) -> Self::State {
        None
    }
    fn step(self, state: Self::State, x: T, position: usize) -> Self::State {
        match state {
            Some((best, _)) if !x.is_not_a_number() => {
                let ahead = if self.greatest { x >= best } else { x <= best };
                if ahead { Some((x, position)) } else { state }
            }
            _ => Some((x, position)),
        }
    }
}

/// `log Σeˣ` so far.
#[derive(Clone, Copy)]
struct LogSumExp;

impl<T: Float> Step<T> for LogSumExp {
    type State = f64;

    fn start(self) -> f64 {
        f64::NEG_INFINITY
    }
    fn step(self, state: f64, x: T, _position: usize) -> f64 {
        let x = x.to_f64();
        let (greater, lesser) = if x > state || x.is_nan() {
            (x, state)
        } else {
            (state, x)
        };
        if greater.is_infinite() {
            greater
        } else {
            greater + (lesser - greater).exp().ln_1p()
        }
    }
}

instantiate! {
    trait ScanKernels for f32, f64, i64, i32, i16, i8, u8, u32 where Number;

    /// The running sum or product along the middle of the three dimensions.
    pub fn scan(op: Scan, x: &[T], shape: [usize; 3], reverse: bool, out: &mut [T]) {
        assert_eq!(x.len(), out.len(), "scan: the lengths differ");
        let out = SendPtr(out.as_mut_ptr());
        // SAFETY: `run` passes offsets below `x.len()`, each to one task.
        let emit = |at: usize, state: T::Acc| unsafe { *out.ptr().add(at) = T::from_acc(state) };
        match op {
            Scan::Sum => run(Sum, x, shape, reverse, emit),
            Scan::Prod => run(Prod, x, shape, reverse, emit),
        }
    }

    /// The running extreme and the position where it last stood (torch's `cummax` and `cummin`). From a NaN on, all is
    /// NaN.
    pub fn scan_extreme(
        op: crate::reduce::Extreme, x: &[T], shape: [usize; 3], reverse: bool, values: &mut [T], indices: &mut [i64],
    ) {
        assert!(x.len() == values.len() && x.len() == indices.len(), "scan_extreme: the lengths differ");
        let (values, indices) = (SendPtr(values.as_mut_ptr()), SendPtr(indices.as_mut_ptr()));
        let best = Best { greatest: op == crate::reduce::Extreme::Max };
        run(best, x, shape, reverse, |at, state: Option<(T, usize)>| {
            if let Some((value, position)) = state {
                // SAFETY: `run` passes offsets below `x.len()`, each to one task.
                unsafe {
                    *values.ptr().add(at) = value;
                    *indices.ptr().add(at) = position as i64;
                }
            }
        })
    }
}

instantiate! {
    trait FloatKernels for f32, f64 where Float;

    /// The running `log Σeˣ` along the middle of the three dimensions.
    pub fn log_cum_sum_exp(x: &[T], shape: [usize; 3], reverse: bool, out: &mut [T]) {
        assert_eq!(x.len(), out.len(), "log_cum_sum_exp: the lengths differ");
        let out = SendPtr(out.as_mut_ptr());
        run(LogSumExp, x, shape, reverse, |at, state: f64| {
            // SAFETY: `run` passes offsets below `x.len()`, each to one task.
            unsafe { *out.ptr().add(at) = T::from_f64(state) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reduce::Extreme;

    #[test]
    fn sums_and_products_run_along_the_middle() {
        let x: Vec<f32> = (1..=12).map(|i| i as f32).collect();
        let mut out = [0.0; 12];
        scan(Scan::Sum, &x, [2, 3, 2], false, &mut out);
        assert_eq!(
            out,
            [1.0, 2.0, 4.0, 6.0, 9.0, 12.0, 7.0, 8.0, 16.0, 18.0, 27.0, 30.0]
        );
        scan(Scan::Sum, &x, [1, 12, 1], true, &mut out);
        assert_eq!((out[11], out[10], out[0]), (12.0, 23.0, 78.0));
        scan(Scan::Prod, &x[..4], [1, 4, 1], false, &mut out[..4]);
        assert_eq!(out[..4], [1.0, 2.0, 6.0, 24.0]);
        let mut bytes = [0i8; 3];
        scan(Scan::Sum, &[100i8, 100, 1], [1, 3, 1], false, &mut bytes);
        assert_eq!(bytes, [100, -56, -55]);
    }

    #[test]
    fn long_lines_and_many_columns() {
        let (outer, len, inner) = (3, 50, 301);
        let x: Vec<i64> = (0..outer * len * inner)
            .map(|i| (i as i64 * 7919) % 101 - 50)
            .collect();
        let mut out = vec![0; x.len()];
        scan(Scan::Sum, &x, [outer, len, inner], false, &mut out);
        for o in 0..outer {
            for j in 0..inner {
                let mut sum = 0;
                for i in 0..len {
                    let at = (o * len + i) * inner + j;
                    sum += x[at];
                    assert_eq!(out[at], sum);
                }
            }
        }
    }

    #[test]
    fn extremes_keep_the_last_of_equals_and_nan() {
        let x = [1.0f32, 3.0, 3.0, 2.0, f32::NAN, 9.0];
        let (mut values, mut indices) = ([0.0; 6], [0; 6]);
        scan_extreme(Extreme::Max, &x, [1, 6, 1], false, &mut values, &mut indices);
        assert_eq!(values[..4], [1.0, 3.0, 3.0, 3.0]);
        assert!(values[4].is_nan() && values[5].is_nan());
        assert_eq!(indices, [0, 1, 2, 2, 4, 4]);
    }

    #[test]
    fn log_sums_of_infinite_values() {
        let x = [f64::NEG_INFINITY, 0.0, 0.0, f64::INFINITY, 1.0];
        let mut out = [0.0; 5];
        log_cum_sum_exp(&x, [1, 5, 1], false, &mut out);
        assert_eq!(
            out,
            [f64::NEG_INFINITY, 0.0, 2f64.ln(), f64::INFINITY, f64::INFINITY]
        );
    }
}
