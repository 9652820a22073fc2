//! Normalisation: layer, RMS, group (instance) and batch norm, forward and backward.
//!
//! All are `out = (x - mean)·rstd·weight + bias` with `rstd = 1/√(var + eps)`; they differ in which elements share a
//! mean and which share a weight. Variances are biased. Statistics are returned, since the backward reads them.
//! Sums run in many lanes over short blocks and in `f64` across blocks.

mod batch;
mod group;
mod layer;

pub use batch::{batch_norm_backward, batch_norm_inference, batch_norm_inference_backward, batch_norm_train};
pub use group::{group_norm, group_norm_backward};
pub use layer::{layer_norm, layer_norm_backward, rms_norm, rms_norm_backward};

use crate::element::Float;
use crate::lanes::block_sum;
use crate::simd;

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

simd! {
    /// `out = x·scale + shift`.
    fn scale_shift[T: Float](x: &[T], scale: T, shift: T, out: &mut [T]) {
        for (o, &x) in out.iter_mut().zip(x) {
            *o = x * scale + shift;
        }
    }

    /// `Σgrad` and `Σgrad·(x - mean)`.
    fn grad_sums[T: Float](grad: &[T], x: &[T], mean: T) -> (f64, f64) {
        let x = &x[..grad.len()];
        (block_sum!(g in grad => g), block_sum!(g in grad, x in x => g * (x - mean)))
    }

    /// `out = grad·a - (x - mean)·b - c`.
    fn grad_row[T: Float](grad: &[T], x: &[T], mean: T, a: T, b: T, c: T, out: &mut [T]) {
        for ((o, &g), &x) in out.iter_mut().zip(grad).zip(x) {
            *o = g * a - (x - mean) * b - c;
        }
    }
}

#[cfg(test)]
mod tests;
