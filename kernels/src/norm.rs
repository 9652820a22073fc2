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
use crate::simd;

/// The instantiations that [`Float`] promises.
#[doc(hidden)]
pub trait FloatKernels<T: crate::element::Pod>:
    batch::Kernels<T> + group::Kernels<T> + layer::Kernels<T>
{
}
impl FloatKernels<f32> for f32 {}
impl FloatKernels<f64> for f64 {}

/// Independent accumulators of a sum.
const LANES: usize = 64;
/// Elements that are summed in the element type before the sum moves to `f64`.
const BLOCK: usize = 4096;

/// `Σf(i)` for `i < $len`, with the terms computed in the element type.
macro_rules! lane_sum {
    ($len:expr, |$i:ident| $term:expr) => {{
        let (len, mut total) = ($len, 0.0);
        for block in (0..len).step_by(crate::norm::BLOCK) {
            let end = (block + crate::norm::BLOCK).min(len);
            let mut sums = [T::ZERO; crate::norm::LANES];
            let whole = block + (end - block) / crate::norm::LANES * crate::norm::LANES;
            for start in (block..whole).step_by(crate::norm::LANES) {
                for lane in 0..crate::norm::LANES {
                    let $i = start + lane;
                    sums[lane] += $term;
                }
            }
            let mut width = crate::norm::LANES / 2;
            while width > 0 {
                for lane in 0..width {
                    let other = sums[lane + width];
                    sums[lane] += other;
                }
                width /= 2;
            }
            let mut sum = sums[0];
            for $i in whole..end {
                sum += $term;
            }
            total += sum.to_f64();
        }
        total
    }};
}
use lane_sum;

/// The mean of a row and `1/√(var + eps)`: the mean first, then the squared deviations from it.
#[inline(always)]
fn row_statistics<T: Float>(x: &[T], eps: f64) -> (T, T) {
    let count = x.len() as f64;
    let mean = T::from_f64(lane_sum!(x.len(), |i| x[i]) / count);
    let squares = lane_sum!(x.len(), |i| {
        let d = x[i] - mean;
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
        (lane_sum!(grad.len(), |i| grad[i]), lane_sum!(grad.len(), |i| grad[i] * (x[i] - mean)))
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
