//! Reductions over any axes of a view: sums, products, extremes, norms, moments, counts.
//!
//! `reduced` marks the dimensions to reduce; the output holds the remaining ones in row-major order. Sums add up in many
//! lanes over short blocks and in `f64` (`i64` for integers) across blocks: a sum of 10⁷ `f32` is right to 1e-6.

mod arg;
mod driver;
mod fold;
mod moments;

use crate::cast::cast;
use crate::copy;
use crate::element::{Element, Float, Int, Kind, Number, Pod, instantiate};
use crate::elementwise::{contiguous_strides, split};
use crate::mem::Buf;
use crate::view::View;
use fold::ByStep;

/// A reduction of floats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reduce {
    /// `Σx`; 0 for no elements.
    Sum,
    /// `Σx` without the NaNs.
    NanSum,
    /// `Σx/n`; NaN for no elements.
    Mean,
    /// `Πx`; 1 for no elements.
    Prod,
    /// The greatest; NaN if there is one.
    Max,
    /// The least; NaN if there is one.
    Min,
    /// `Σx²`.
    SumSquares,
    /// `Σ|x|`.
    AbsSum,
    /// `max|x|`; 0 for no elements.
    AbsMax,
    /// `min|x|`.
    AbsMin,
    /// `Σ|x|^p`.
    PowSum(f64),
    /// `(Σ|x|^p)^(1/p)`, with its limits at 0 (the count of non-zeros) and ±∞.
    Norm(f64),
    /// `log Σeˣ`, computed without overflow; -∞ for no elements.
    LogSumExp,
}

/// The greatest or the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extreme {
    /// The greatest.
    Max,
    /// The least.
    Min,
}

/// A reduction of integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReduceInt {
    /// The sum, wrapping at 64 bits.
    Sum,
    /// The product, wrapping at 64 bits.
    Prod,
}

instantiate! {
    trait FloatKernels for f32, f64 where Float;

    /// Reduces the marked dimensions.
    pub fn reduce(op: Reduce, x: View<'_, T>, reduced: &[bool], out: &mut [T]) {
        let n: usize = x.shape.iter().zip(reduced).filter(|&(_, &r)| r).map(|(&len, _)| len).product();
        match op {
            Reduce::Sum => driver::reduce(ByStep(fold::Sum), x, reduced, out, T::from_acc),
            Reduce::NanSum => driver::reduce(ByStep(fold::SumOf(fold::NotNan)), x, reduced, out, T::from_acc),
            Reduce::Mean => driver::reduce(ByStep(fold::Sum), x, reduced, out, |s: f64| T::from_acc(s / n as f64)),
            Reduce::Prod => driver::reduce(ByStep(fold::Prod), x, reduced, out, T::from_acc),
            Reduce::Max => driver::reduce(ByStep(fold::Max), x, reduced, out, |s| s),
            Reduce::Min => driver::reduce(ByStep(fold::Min), x, reduced, out, |s| s),
            Reduce::SumSquares => driver::reduce(ByStep(fold::SumOf(fold::Square)), x, reduced, out, T::from_acc),
            Reduce::AbsSum => driver::reduce(ByStep(fold::SumOf(fold::Abs)), x, reduced, out, T::from_acc),
            Reduce::AbsMax => driver::reduce(ByStep(fold::AbsMax), x, reduced, out, |s| s),
            Reduce::AbsMin => driver::reduce(ByStep(fold::AbsMin), x, reduced, out, |s| s),
            Reduce::PowSum(p) => driver::reduce(ByStep(fold::SumOf(fold::AbsPow(T::from_f64(p)))), x, reduced, out, T::from_acc),
            Reduce::Norm(p) => match p {
                0.0 => driver::reduce(ByStep(fold::Nonzero), x, reduced, out, |count: i64| T::from_f64(count as f64)),
                1.0 => reduce(Reduce::AbsSum, x, reduced, out),
                2.0 => driver::reduce(ByStep(fold::SumOf(fold::Square)), x, reduced, out, |s: f64| T::from_acc(s.sqrt())),
                f64::INFINITY => reduce(Reduce::AbsMax, x, reduced, out),
                f64::NEG_INFINITY => reduce(Reduce::AbsMin, x, reduced, out),
                p => driver::reduce(ByStep(fold::SumOf(fold::AbsPow(T::from_f64(p)))), x, reduced, out, |s: f64| {
                    T::from_acc(s.powf(1.0 / p))
                }),
            },
            Reduce::LogSumExp => driver::reduce(moments::LogSumExp, x, reduced, out, moments::log_sum_exp),
        }
    }

    /// The variance with `correction` (1 for the unbiased estimate) and the mean over the marked dimensions.
    /// Block-wise two-pass sums, merged by Chan's formula.
    pub fn var_mean(x: View<'_, T>, reduced: &[bool], correction: f64, var: &mut [T], mean: &mut [T]) {
        assert_eq!(var.len(), mean.len(), "var_mean: the outputs' lengths differ");
        let mut moments = vec![moments::Moments::default(); var.len()];
        driver::reduce(moments::Variance, x, reduced, &mut moments, |m| m);
        for ((v, m), s) in var.iter_mut().zip(mean).zip(&moments) {
            *v = T::from_acc(s.variance(correction));
            *m = T::from_acc(s.mean());
        }
    }
}

instantiate! {
    trait IntKernels for i64, i32, i16, i8, u8, u32 where Int;

    /// Reduces the marked dimensions, in `i64`.
    pub fn reduce_int(op: ReduceInt, x: View<'_, T>, reduced: &[bool], out: &mut [i64]) {
        widened(x, |x: View<'_, i64>| match op {
            ReduceInt::Sum => driver::reduce(ByStep(fold::Sum), x, reduced, out, |s| s),
            ReduceInt::Prod => driver::reduce(ByStep(fold::Prod), x, reduced, out, |s| s),
        })
    }
}

instantiate! {
    trait ExtremeKernels for f32, f64, i64, i32, i16, i8, u8, u32 where Number;

    /// The greatest or least over the marked dimensions, which must not be empty; NaN if there is one.
    pub fn extreme(op: Extreme, x: View<'_, T>, reduced: &[bool], out: &mut [T]) {
        fn through<T: Number, W: Number>(op: Extreme, x: View<'_, T>, reduced: &[bool], out: &mut [T]) {
            narrowed(out, |out: &mut [W]| {
                widened(x, |x: View<'_, W>| match op {
                    Extreme::Max => driver::reduce(ByStep(fold::Max), x, reduced, out, |s| s),
                    Extreme::Min => driver::reduce(ByStep(fold::Min), x, reduced, out, |s| s),
                })
            })
        }
        match T::KIND {
            Kind::F32 => through::<T, f32>(op, x, reduced, out),
            Kind::F64 => through::<T, f64>(op, x, reduced, out),
            _ => through::<T, i64>(op, x, reduced, out),
        }
    }

    /// The greatest or least along dimension `dim`, which must not be empty, and its first index there; the first NaN
    /// if there is one. The outputs are shaped like `x` without `dim`.
    pub fn extreme_with_index(op: Extreme, x: View<'_, T>, dim: usize, values: &mut [T], indices: &mut [i64]) {
        fn through<T: Number, W: Number>(
            op: Extreme, x: View<'_, T>, dim: usize, values: &mut [T], indices: &mut [i64],
        ) {
            narrowed(values, |values: &mut [W]| {
                widened(x, |x: View<'_, W>| match op {
                    Extreme::Max => arg::along(fold::Max, x, dim, values, indices),
                    Extreme::Min => arg::along(fold::Min, x, dim, values, indices),
                })
            })
        }
        match T::KIND {
            Kind::F32 => through::<T, f32>(op, x, dim, values, indices),
            Kind::F64 => through::<T, f64>(op, x, dim, values, indices),
            _ => through::<T, i64>(op, x, dim, values, indices),
        }
    }
}

/// Calls `with` on the view in another type: as it is if that is its own, else on a converted copy. So the rarer
/// integer types need no kernels of their own.
fn widened<T: Element, W: Element, R>(x: View<'_, T>, with: impl FnOnce(View<'_, W>) -> R) -> R {
    if T::KIND == W::KIND {
        return with(View {
            data: copy::bits(x.data),
            shape: x.shape,
            strides: x.strides,
        });
    }
    let dense = x.to_contiguous();
    let mut wide = Buf::take(dense.len());
    cast(&dense, &mut wide);
    with(View {
        data: &wide,
        shape: x.shape,
        strides: &contiguous_strides(x.shape),
    })
}

/// Lets `write` fill the output in another type and converts it back.
fn narrowed<T: Element, W: Element>(out: &mut [T], write: impl FnOnce(&mut [W])) {
    if T::KIND == W::KIND {
        return write(copy::bits_mut(out));
    }
    let mut wide = Buf::take(out.len());
    write(&mut wide);
    cast(&wide, out);
}

instantiate! {
    trait CountKernels for f32, f64, half::f16, half::bf16, i64, i32, i16, i8, u8, u32 where Element;

    /// The number of elements that are not 0 over the marked dimensions.
    pub fn count_nonzero(x: View<'_, T>, reduced: &[bool], out: &mut [i64]) {
        count(x, reduced, out, |count| count)
    }

    /// 1 where some element is not 0.
    pub fn any(x: View<'_, T>, reduced: &[bool], out: &mut [u8]) {
        count(x, reduced, out, |count| (count > 0) as u8)
    }

    /// 1 where no element is 0.
    pub fn all(x: View<'_, T>, reduced: &[bool], out: &mut [u8]) {
        let n: usize = x.shape.iter().zip(reduced).filter(|&(_, &r)| r).map(|(&len, _)| len).product();
        count(x, reduced, out, |count| (count == n as i64) as u8)
    }

    /// `out = 1` where `x` is not 0, else 0.
    pub fn nonzero_mask(x: &[T], out: &mut [u8]) {
        assert_eq!(x.len(), out.len(), "nonzero_mask: the lengths differ");
        split(out, |at, out| {
            for (o, &x) in out.iter_mut().zip(&x[at..]) {
                *o = (x != T::ZERO) as u8;
            }
        })
    }
}

/// Counts what is not 0: directly in the common types, in a mask for the others.
fn count<T: Element, O: Pod>(
    x: View<'_, T>,
    reduced: &[bool],
    out: &mut [O],
    finish: impl Fn(i64) -> O + Sync,
) {
    fn directly<T: Element, W: Element, O: Pod>(
        x: View<'_, T>,
        reduced: &[bool],
        out: &mut [O],
        finish: impl Fn(i64) -> O + Sync,
    ) {
        let x = View {
            data: copy::bits::<T, W>(x.data),
            shape: x.shape,
            strides: x.strides,
        };
        driver::reduce(ByStep(fold::Nonzero), x, reduced, out, finish)
    }
    match T::KIND {
        Kind::F32 => directly::<T, f32, O>(x, reduced, out, finish),
        Kind::U8 => directly::<T, u8, O>(x, reduced, out, finish),
        _ => {
            let dense = x.to_contiguous();
            let mut mask = Buf::<u8>::take(dense.len());
            nonzero_mask(&dense, &mut mask);
            let x = View {
                data: &mask,
                shape: x.shape,
                strides: &contiguous_strides(x.shape),
            };
            driver::reduce(ByStep(fold::Nonzero), x, reduced, out, finish)
        }
    }
}

#[cfg(test)]
mod tests;
