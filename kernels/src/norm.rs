//! Normalisation: layer, RMS, group (instance) and batch norm, forward and backward.
//!
//! All are `out = (x - mean)·rstd·weight + bias` with `rstd = 1/√(var + eps)`; they differ in which elements share a
//! mean and which share a weight. Variances are biased. Statistics are returned, since the backward reads them.
//! Sums run in many lanes over short blocks and in `f64` across blocks.

mod batch;
mod group;
mod layer;

pub use batch::{
    Clamp, Clamped, batch_norm_backward, batch_norm_backward_in_place, batch_norm_inference,
    batch_norm_inference_backward, batch_norm_scale_shift, batch_norm_shift, batch_norm_train,
};
pub use group::{group_norm, group_norm_backward};
pub use layer::{layer_norm, layer_norm_backward, rms_norm, rms_norm_backward};

use crate::element::Float;
use crate::lanes::block_sum;
use crate::pool::SendPtr;
use crate::simd;
use crate::unary::{choose, clamp};

/// The instantiations that [`Float`] promises.
#[doc(hidden)]
pub trait FloatKernels<T: crate::element::Pod>:
    batch::Kernels<T> + group::Kernels<T> + layer::Kernels<T>
{
}
impl FloatKernels<f32> for f32 {}
impl FloatKernels<f64> for f64 {}

/// The mean of a row and `1/√(var + eps)`: the mean first, then the squared deviations from it.
#[inline(always)]
fn row_statistics<T: Float>(x: &[T], eps: f64) -> (T, T) {
    let count = x.len() as f64;
    let mean = T::from_f64(block_sum!(x in x => x) / count);
    let squares = block_sum!(x in x => {
        let d = x - mean;
        d * d
    });
    (mean, T::from_f64(1.0 / (squares / count + eps).sqrt()))
}

/// The part of an output that one task owns.
///
/// # Safety
/// The range lies inside the allocation and belongs to the caller alone.
unsafe fn part<'a, T>(base: SendPtr<T>, start: usize, len: usize) -> &'a mut [T] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(base.ptr().add(start), len) }
}

simd! {
    /// `out = x·scale + shift`.
    fn scale_shift[T: Float](x: &[T], scale: T, shift: T, out: &mut [T]) {
        for (o, &x) in out.iter_mut().zip(x) {
            *o = x * scale + shift;
        }
    }

    /// `out = clamp(x·scale + shift)`.
    fn scale_shift_clamp[T: Float](x: &[T], scale: T, shift: T, limits: Clamp<T>, out: &mut [T]) {
        for (o, &x) in out.iter_mut().zip(x) {
            *o = clamp(x * scale + shift, limits.low, limits.high);
        }
    }

    /// `Σgrad` and `Σgrad·(x - mean)`, of what the gate lets pass.
    fn grad_sums[T: Float](grad: &[T], x: &[T], mean: T, gate: Option<Gate<T>>) -> (f64, f64) {
        match gate {
            Some(gate) => sums_of(grad, x, mean, |g, x| gate.pass(g, x)),
            None => sums_of(grad, x, mean, |g, _| g),
        }
    }

    /// `out = grad·a - (x - mean)·b - c`, of what the gate lets pass; the gradient lies in `out` unless given.
    fn grad_row[T: Float](
        grad: Option<&[T]>, x: &[T], mean: T, factors: [T; 3], gate: Option<Gate<T>>, out: &mut [T],
    ) {
        let [a, b, c] = factors;
        match gate {
            Some(gate) => grad_of(grad, x, out, |g, x| gate.pass(g, x) * a - (x - mean) * b - c),
            None => grad_of(grad, x, out, |g, x| g * a - (x - mean) * b - c),
        }
    }
}

/// Where the gradient of a clamped `y = x·scale + shift` passes.
#[derive(Clone, Copy)]
struct Gate<T> {
    scale: T,
    shift: T,
    limits: Clamp<T>,
}

impl<T: Float> Gate<T> {
    /// 0 from a limit on, as for `clamp` by itself; NaN passes.
    #[inline(always)]
    fn pass(&self, grad: T, x: T) -> T {
        let y = x * self.scale + self.shift;
        choose(y <= self.limits.low || y >= self.limits.high, T::ZERO, grad)
    }
}

#[inline(always)]
fn sums_of<T: Float>(grad: &[T], x: &[T], mean: T, pass: impl Fn(T, T) -> T) -> (f64, f64) {
    const BLOCK: usize = 4096; // that of `block_sum`, so that a block is read from memory once
    let (mut sum, mut dot) = (0.0, 0.0);
    for (grad, x) in grad.chunks(BLOCK).zip(x[..grad.len()].chunks(BLOCK)) {
        sum += block_sum!(g in grad, x in x => pass(g, x));
        dot += block_sum!(g in grad, x in x => pass(g, x) * (x - mean));
    }
    (sum, dot)
}

#[inline(always)]
fn grad_of<T: Float>(grad: Option<&[T]>, x: &[T], out: &mut [T], f: impl Fn(T, T) -> T) {
    match grad {
        Some(grad) => {
            for ((o, &g), &x) in out.iter_mut().zip(grad).zip(x) {
                *o = f(g, x);
            }
        }
        None => {
            for (o, &x) in out.iter_mut().zip(x) {
                *o = f(*o, x);
            }
        }
    }
}

#[cfg(test)]
mod tests;
