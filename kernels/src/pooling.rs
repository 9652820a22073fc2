//! Pooling over up to three spatial dimensions: torch's `max_pool*d`, `max_unpool*d`, `avg_pool*d`,
//! `adaptive_{avg,max}_pool*d`, `fractional_max_pool{2,3}d`.
//!
//! Tensors are `[planes, depth, height, width]` with `planes = batch · channels`; in one and two dimensions the leading
//! spatial sizes are 1 ([`embed`] does that). Indices are torch's: flat within the plane. Each plane is one unit of
//! parallel work, so results don't depend on the number of threads.

mod adaptive;
mod average;
mod fractional;
mod max;

pub use adaptive::{adaptive_avg_pool, adaptive_avg_pool_backward, adaptive_max_pool};
pub use average::{AvgOptions, avg_pool, avg_pool_backward};
pub use fractional::fractional_max_pool;
pub use max::{max_pool, max_pool_backward, max_pool_values, max_unpool, max_unpool_backward};

/// Everything of this module that is compiled for an element type in this crate.
#[doc(hidden)]
pub trait FloatKernels<T: crate::element::Pod>: average::Kernels<T> + adaptive::Kernels<T> {}
impl FloatKernels<f32> for f32 {}
impl FloatKernels<f64> for f64 {}

/// As [`FloatKernels`], for all numbers.
#[doc(hidden)]
pub use max::Kernels as NumberKernels;

use std::ops::Range;

use crate::pool;

/// The sizes of a pooling call: `[depth, height, width]` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Size of the input plane.
    pub input: [usize; 3],
    /// Size of the output plane; see [`output_len`].
    pub output: [usize; 3],
    /// Size of the window.
    pub kernel: [usize; 3],
    /// Distance between windows.
    pub stride: [usize; 3],
    /// Cells of padding before the input.
    pub padding: [usize; 3],
    /// Distance between the cells of a window.
    pub dilation: [usize; 3],
}

impl Window {
    /// Elements of an input plane.
    pub fn input_len(&self) -> usize {
        self.input.iter().product()
    }

    /// Elements of an output plane.
    pub fn output_len(&self) -> usize {
        self.output.iter().product()
    }

    /// The input positions that the window of output position `at` covers in dimension `d`, the padding left out:
    /// first, one past the last, in steps of the dilation.
    #[inline(always)]
    fn range(&self, d: usize, at: usize) -> (usize, usize) {
        let start = (at * self.stride[d]) as isize - self.padding[d] as isize;
        let dilation = self.dilation[d] as isize;
        let end = (start + (self.kernel[d] as isize - 1) * dilation + 1).min(self.input[d] as isize);
        // The first cell of the window that lies inside.
        let first = if start < 0 {
            start + (-start + dilation - 1) / dilation * dilation
        } else {
            start
        };
        (first as usize, end.max(first) as usize)
    }
}

/// The three spatial sizes of an operation over fewer: `fill` stands for the missing leading ones.
pub fn embed(sizes: &[usize], fill: usize) -> [usize; 3] {
    let mut out = [fill; 3];
    for (o, &size) in out.iter_mut().rev().zip(sizes.iter().rev()) {
        *o = size;
    }
    out
}

/// The output size of a pooling dimension, or None where the window does not fit or an argument is zero.
///
/// `floor((input + 2·padding - dilation·(kernel - 1) - 1) / stride) + 1`; with `ceil_mode` the quotient is rounded up,
/// but the last window must start inside the input or the padding before it.
pub fn output_len(
    input: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    ceil_mode: bool,
) -> Option<usize> {
    if kernel == 0 || stride == 0 || dilation == 0 {
        return None;
    }
    let span = dilation.checked_mul(kernel - 1)?.checked_add(1)?;
    let padded = padding.checked_mul(2)?.checked_add(input)?;
    let reach = padded.checked_sub(span);
    if !ceil_mode {
        return Some(reach? / stride + 1);
    }
    // Rounded up, a window that is too large by less than a stride still gives one output.
    let quotient = match reach {
        Some(reach) => reach.div_ceil(stride),
        None if span - padded < stride => 0,
        None => return None,
    };
    let len = quotient + 1;
    Some(if (len - 1) * stride >= input + padding {
        len - 1
    } else {
        len
    })
}

/// The part of the input that cell `at` of an adaptive pool's output averages: from `floor(at · input / output)` to
/// `ceil((at + 1) · input / output)`.
pub fn adaptive_range(at: usize, input: usize, output: usize) -> Range<usize> {
    at * input / output..((at + 1) * input).div_ceil(output)
}

/// Calls `f(plane, piece of the plane)` in parallel for the planes of `out`, several small planes to a task.
/// `work` is the number of elements that a plane reads and writes.
fn for_planes<T: Send>(out: &mut [T], plane: usize, work: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    if plane == 0 {
        return;
    }
    let planes = crate::index::rows_per_task(out.len() / plane, work.max(plane));
    pool::parallel_chunks_mut(out, planes * plane, |first, piece| {
        for (i, piece) in piece.chunks_mut(plane).enumerate() {
            f(first / plane + i, piece);
        }
    });
}

/// Two outputs at once.
fn for_planes2<A: Send, B: Send>(
    (a, plane_a): (&mut [A], usize),
    (b, plane_b): (&mut [B], usize),
    work: usize,
    f: impl Fn(usize, &mut [A], &mut [B]) + Sync,
) {
    if plane_a == 0 || plane_b == 0 {
        return;
    }
    let mut pairs: Vec<_> = a.chunks_mut(plane_a).zip(b.chunks_mut(plane_b)).collect();
    let planes = crate::index::rows_per_task(pairs.len(), work.max(plane_a));
    pool::parallel_chunks_mut(&mut pairs, planes, |first, pairs| {
        for (i, (a, b)) in pairs.iter_mut().enumerate() {
            f(first + i, a, b);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_sizes_are_torchs() {
        assert_eq!(output_len(7, 3, 2, 0, 1, false), Some(3));
        assert_eq!(output_len(8, 3, 2, 0, 1, false), Some(3));
        assert_eq!(output_len(8, 3, 2, 0, 1, true), Some(4));
        assert_eq!(output_len(112, 3, 2, 1, 1, false), Some(56));
        // The last window would start in the padding behind the input.
        assert_eq!(output_len(3, 2, 2, 1, 1, true), Some(2));
        assert_eq!(output_len(5, 1, 3, 0, 1, true), Some(2));
        assert_eq!(output_len(2, 3, 2, 0, 1, false), None);
        assert_eq!(output_len(2, 3, 2, 0, 1, true), Some(1));
        assert_eq!(output_len(10, 3, 1, 0, 4, false), Some(2));
        assert_eq!(output_len(10, 3, 0, 0, 1, false), None);
    }

    #[test]
    fn adaptive_ranges_cover_the_input() {
        assert_eq!(
            (0..3).map(|i| adaptive_range(i, 7, 3)).collect::<Vec<_>>(),
            [0..3, 2..5, 4..7]
        );
        assert_eq!(embed(&[5, 6], 1), [1, 5, 6]);
    }
}
