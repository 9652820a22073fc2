//! Reductions that take one element at a time into an accumulator.

use super::driver::{COLUMNS, Reducer};
use crate::element::{Element, Float, Number, Pod};
use crate::simd;
use crate::unary::choose;

/// Accumulators side by side.
const LANES: usize = 64;

/// A reduction by steps. Lanes run over short blocks, states over everything.
pub(super) trait Fold<T: Pod>: Copy + Sync {
    /// A short-range accumulator.
    type Lane: Copy;
    /// A long-range accumulator.
    type State: Copy + Send + Sync;

    /// An element that changes no lane.
    fn neutral(self) -> T;
    /// A lane that has seen nothing.
    fn start() -> Self::Lane;
    /// Takes an element in.
    fn step(self, lane: Self::Lane, x: T) -> Self::Lane;
    /// Joins two lanes.
    fn join(self, a: Self::Lane, b: Self::Lane) -> Self::Lane;
    /// A lane as a state.
    fn state(lane: Self::Lane) -> Self::State;
    /// Joins two states.
    fn merge(self, a: Self::State, b: Self::State) -> Self::State;
}

/// A fold as a reducer.
#[derive(Clone, Copy)]
pub(super) struct ByStep<F>(pub(super) F);

impl<T: Pod, F: Fold<T>> Reducer<T> for ByStep<F> {
    type State = F::State;

    fn empty(self) -> F::State {
        F::state(F::start())
    }

    fn slice(self, x: &[T]) -> F::State {
        F::state(fold_slice(self.0, x))
    }

    fn columns(self, x: &[T], step: usize, rows: usize, states: &mut [F::State]) {
        let mut lanes = [F::start(); COLUMNS];
        let lanes = &mut lanes[..states.len()];
        fold_columns(self.0, x, step, rows, lanes);
        for (state, &lane) in states.iter_mut().zip(lanes.iter()) {
            *state = self.0.merge(*state, F::state(lane));
        }
    }

    fn merge(self, a: F::State, b: F::State) -> F::State {
        self.0.merge(a, b)
    }
}

simd! {
    pub(super) fn fold_slice[T: Pod, F: Fold<T>](fold: F, x: &[T]) -> F::Lane {
        if x.len() < LANES / 4 {
            return x.iter().fold(F::start(), |lane, &x| fold.step(lane, x));
        }
        let mut lanes = [F::start(); LANES];
        let (chunks, rest) = x.as_chunks::<LANES>();
        for chunk in chunks {
            for i in 0..LANES {
                lanes[i] = fold.step(lanes[i], chunk[i]);
            }
        }
        if !rest.is_empty() {
            let mut last = [fold.neutral(); LANES];
            last[..rest.len()].copy_from_slice(rest);
            for i in 0..LANES {
                lanes[i] = fold.step(lanes[i], last[i]);
            }
        }
        let mut width = LANES / 2;
        while width > 0 {
            for i in 0..width {
                lanes[i] = fold.join(lanes[i], lanes[i + width]);
            }
            width /= 2;
        }
        lanes[0]
    }

    fn fold_columns[T: Pod, F: Fold<T>](fold: F, x: &[T], step: usize, rows: usize, lanes: &mut [F::Lane]) {
        let width = lanes.len();
        let row = |i: usize| &x[i * step..i * step + width];
        let mut i = 0;
        while i + 4 <= rows {
            let (a, b, c, d) = (row(i), row(i + 1), row(i + 2), row(i + 3));
            for j in 0..width {
                lanes[j] = fold.step(fold.step(fold.step(fold.step(lanes[j], a[j]), b[j]), c[j]), d[j]);
            }
            i += 4;
        }
        while i < rows {
            for (lane, &x) in lanes.iter_mut().zip(row(i)) {
                *lane = fold.step(*lane, x);
            }
            i += 1;
        }
    }
}

/// `Σx`.
#[derive(Clone, Copy)]
pub(super) struct Sum;

impl<T: Number> Fold<T> for Sum {
    type Lane = T::Lane;
    type State = T::Acc;

    #[inline(always)]
    fn neutral(self) -> T {
        T::ZERO
    }
    #[inline(always)]
    fn start() -> T::Lane {
        T::Lane::ZERO
    }
    #[inline(always)]
    fn step(self, lane: T::Lane, x: T) -> T::Lane {
        lane.plus(x.to_lane())
    }
    #[inline(always)]
    fn join(self, a: T::Lane, b: T::Lane) -> T::Lane {
        a.plus(b)
    }
    #[inline(always)]
    fn state(lane: T::Lane) -> T::Acc {
        lane.to_acc()
    }
    #[inline(always)]
    fn merge(self, a: T::Acc, b: T::Acc) -> T::Acc {
        a.plus(b)
    }
}

/// `Πx`.
#[derive(Clone, Copy)]
pub(super) struct Prod;

impl<T: Number> Fold<T> for Prod {
    type Lane = T::Lane;
    type State = T::Acc;

    #[inline(always)]
    fn neutral(self) -> T {
        T::ONE
    }
    #[inline(always)]
    fn start() -> T::Lane {
        T::Lane::ONE
    }
    #[inline(always)]
    fn step(self, lane: T::Lane, x: T) -> T::Lane {
        lane.times(x.to_lane())
    }
    #[inline(always)]
    fn join(self, a: T::Lane, b: T::Lane) -> T::Lane {
        a.times(b)
    }
    #[inline(always)]
    fn state(lane: T::Lane) -> T::Acc {
        lane.to_acc()
    }
    #[inline(always)]
    fn merge(self, a: T::Acc, b: T::Acc) -> T::Acc {
        a.times(b)
    }
}

/// A term of a sum.
pub(super) trait Term<T>: Copy + Sync {
    /// The term of one element.
    fn of(self, x: T) -> T;
    /// An element whose term is 0.
    fn without_effect(self) -> T;
}

/// `Σ term(x)` of floats.
#[derive(Clone, Copy)]
pub(super) struct SumOf<M>(pub(super) M);

impl<T: Float, M: Term<T>> Fold<T> for SumOf<M> {
    type Lane = T;
    type State = f64;

    #[inline(always)]
    fn neutral(self) -> T {
        self.0.without_effect()
    }
    #[inline(always)]
    fn start() -> T {
        T::ZERO
    }
    #[inline(always)]
    fn step(self, lane: T, x: T) -> T {
        lane + self.0.of(x)
    }
    #[inline(always)]
    fn join(self, a: T, b: T) -> T {
        a + b
    }
    #[inline(always)]
    fn state(lane: T) -> f64 {
        lane.to_f64()
    }
    #[inline(always)]
    fn merge(self, a: f64, b: f64) -> f64 {
        a + b
    }
}

/// `x`, or 0 for NaN.
#[derive(Clone, Copy)]
pub(super) struct NotNan;

impl<T: Float> Term<T> for NotNan {
    #[inline(always)]
    fn of(self, x: T) -> T {
        choose(x.is_not_a_number(), T::ZERO, x)
    }
    #[inline(always)]
    fn without_effect(self) -> T {
        T::ZERO
    }
}

/// `x²`.
#[derive(Clone, Copy)]
pub(super) struct Square;

impl<T: Float> Term<T> for Square {
    #[inline(always)]
    fn of(self, x: T) -> T {
        x * x
    }
    #[inline(always)]
    fn without_effect(self) -> T {
        T::ZERO
    }
}

/// `|x|`.
#[derive(Clone, Copy)]
pub(super) struct Abs;

impl<T: Float> Term<T> for Abs {
    #[inline(always)]
    fn of(self, x: T) -> T {
        x.abs()
    }
    #[inline(always)]
    fn without_effect(self) -> T {
        T::ZERO
    }
}

/// `|x|^p`.
#[derive(Clone, Copy)]
pub(super) struct AbsPow<T>(pub(super) T);

impl<T: Float> Term<T> for AbsPow<T> {
    #[inline(always)]
    fn of(self, x: T) -> T {
        x.abs().pow(self.0)
    }
    #[inline(always)]
    fn without_effect(self) -> T {
        choose(self.0 < T::ZERO, T::GREATEST, T::ZERO)
    }
}

/// The number of elements that are not 0. Lanes hold the counts of a block.
#[derive(Clone, Copy)]
pub(super) struct Nonzero;

impl<T: Element> Fold<T> for Nonzero {
    type Lane = u32;
    type State = i64;

    #[inline(always)]
    fn neutral(self) -> T {
        T::ZERO
    }
    #[inline(always)]
    fn start() -> u32 {
        0
    }
    #[inline(always)]
    fn step(self, lane: u32, x: T) -> u32 {
        lane + (x != T::ZERO) as u32
    }
    #[inline(always)]
    fn join(self, a: u32, b: u32) -> u32 {
        a + b
    }
    #[inline(always)]
    fn state(lane: u32) -> i64 {
        i64::from(lane)
    }
    #[inline(always)]
    fn merge(self, a: i64, b: i64) -> i64 {
        a + b
    }
}

/// Declares the reductions to an extreme value of `view(x)`: `wins` says whether a new value displaces an old one.
macro_rules! extremes {
    ($($(#[$meta:meta])* $name:ident over $Bound:ident, $worst:ident, |$x:ident| $view:expr, |$new:ident, $old:ident| $wins:expr;)*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy)]
        pub(super) struct $name;

        impl<T: $Bound> Fold<T> for $name {
            type Lane = T;
            type State = T;

            #[inline(always)]
            fn neutral(self) -> T {
                T::$worst
            }
            #[inline(always)]
            fn start() -> T {
                T::$worst
            }
            #[inline(always)]
            fn step(self, $old: T, $x: T) -> T {
                let $new = $view;
                choose($wins || $new.is_not_a_number(), $new, $old)
            }
            #[inline(always)]
            fn join(self, $old: T, $new: T) -> T {
                choose($wins || $new.is_not_a_number(), $new, $old)
            }
            #[inline(always)]
            fn state(lane: T) -> T {
                lane
            }
            #[inline(always)]
            fn merge(self, a: T, b: T) -> T {
                self.join(a, b)
            }
        }
    )* };
}
extremes! {
    /// The greatest.
    Max over Number, LEAST, |x| x, |new, old| new > old;
    /// The least.
    Min over Number, GREATEST, |x| x, |new, old| new < old;
    /// The greatest magnitude.
    AbsMax over Float, ZERO, |x| x.abs(), |new, old| new > old;
    /// The least magnitude.
    AbsMin over Float, GREATEST, |x| x.abs(), |new, old| new < old;
}
