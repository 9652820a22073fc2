//! Adaptive pooling: the windows follow from the sizes of input and output ([`adaptive_range`]).

use super::{adaptive_range, for_planes, for_planes2};
use crate::element::instantiate;
use crate::element::{Float, Number};

fn ranges(input: [usize; 3], output: [usize; 3]) -> [Vec<(usize, usize)>; 3] {
    std::array::from_fn(|d| {
        let range = |at| adaptive_range(at, input[d], output[d]);
        (0..output[d])
            .map(|at| (range(at).start, range(at).end))
            .collect()
    })
}

/// Calls `f(output index, input ranges)` for every window of a plane.
#[inline(always)]
fn windows(ranges: &[Vec<(usize, usize)>; 3], mut f: impl FnMut(usize, [(usize, usize); 3])) {
    let mut at = 0;
    for &z in &ranges[0] {
        for &y in &ranges[1] {
            for &x in &ranges[2] {
                f(at, [z, y, x]);
                at += 1;
            }
        }
    }
}

fn count<T: Float>(window: [(usize, usize); 3]) -> T {
    T::from_f64(window.iter().map(|(from, to)| to - from).product::<usize>() as f64)
}

instantiate! {
    trait Kernels for f32, f64 where Float;

    /// `adaptive_avg_pool`: every output cell is the mean of its range.
    pub fn adaptive_avg_pool(x: &[T], out: &mut [T], input: [usize; 3], output: [usize; 3]) {
        let (in_len, out_len) = (input.iter().product::<usize>(), output.iter().product());
        let ranges = ranges(input, output);
        for_planes(out, out_len, in_len, |plane, out| {
            let x = &x[plane * in_len..][..in_len];
            windows(&ranges, |at, window| {
                let [(z0, z1), (y0, y1), (x0, x1)] = window;
                let mut sum = T::ZERO;
                for z in z0..z1 {
                    for y in y0..y1 {
                        let row = (z * input[1] + y) * input[2];
                        sum += sum_of(&x[row + x0..row + x1]);
                    }
                }
                out[at] = sum / count::<T>(window);
            });
        });
    }

    /// The gradient of [`adaptive_avg_pool`].
    pub fn adaptive_avg_pool_backward(
        grad: &[T],
        x_grad: &mut [T],
        input: [usize; 3],
        output: [usize; 3],
    ) {
        let (in_len, out_len) = (input.iter().product::<usize>(), output.iter().product::<usize>());
        let ranges = ranges(input, output);
        for_planes(x_grad, in_len, in_len, |plane, x_grad| {
            let grad = &grad[plane * out_len..][..out_len];
            x_grad.fill(T::ZERO);
            windows(&ranges, |at, window| {
                let [(z0, z1), (y0, y1), (x0, x1)] = window;
                let share = grad[at] / count::<T>(window);
                for z in z0..z1 {
                    for y in y0..y1 {
                        let row = (z * input[1] + y) * input[2];
                        x_grad[row + x0..row + x1].iter_mut().for_each(|x| *x += share);
                    }
                }
            });
        });
    }
}

/// A sum with eight accumulators, which the compiler vectorises.
fn sum_of<T: Float>(x: &[T]) -> T {
    let mut sums = [T::ZERO; 8];
    let chunks = x.chunks_exact(8);
    let rest = chunks.remainder().iter().fold(T::ZERO, |s, &x| s + x);
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(s, &x)| *s += x);
    }
    sums.iter().fold(rest, |s, &x| s + x)
}

/// `adaptive_max_pool` with the flat index of each maximum; the gradient is that of
/// [`max_pool_backward`](super::max_pool_backward).
pub fn adaptive_max_pool<T: Number>(
    x: &[T],
    out: &mut [T],
    indices: &mut [i64],
    input: [usize; 3],
    output: [usize; 3],
) {
    let (in_len, out_len) = (input.iter().product::<usize>(), output.iter().product());
    let ranges = ranges(input, output);
    for_planes2(
        (out, out_len),
        (indices, out_len),
        in_len,
        |plane, out, indices| {
            let x = &x[plane * in_len..][..in_len];
            windows(&ranges, |at, [(z0, z1), (y0, y1), (x0, x1)]| {
                let mut best = (T::LEAST, (z0 * input[1] + y0) * input[2] + x0);
                for z in z0..z1 {
                    for y in y0..y1 {
                        let row = (z * input[1] + y) * input[2];
                        for i in row + x0..row + x1 {
                            if x[i] > best.0 || x[i].is_not_a_number() {
                                best = (x[i], i);
                            }
                        }
                    }
                }
                (out[at], indices[at]) = (best.0, best.1 as i64);
            });
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_overlap_as_torchs() {
        let x = [1.0f64, 2.0, 3.0, 4.0, 5.0];
        let mut out = [0.0; 3];
        adaptive_avg_pool(&x, &mut out, [1, 1, 5], [1, 1, 3]);
        assert_eq!(out, [1.5, 3.0, 4.5]);
        let mut grad = [0.0; 5];
        adaptive_avg_pool_backward(&[2.0, 3.0, 4.0], &mut grad, [1, 1, 5], [1, 1, 3]);
        assert_eq!(grad, [1.0, 2.0, 1.0, 3.0, 2.0]);
        let mut indices = [0; 3];
        adaptive_max_pool(&x, &mut out, &mut indices, [1, 1, 5], [1, 1, 3]);
        assert_eq!((out, indices), ([2.0, 4.0, 5.0], [1, 3, 4]));
    }

    #[test]
    fn larger_outputs_repeat() {
        let mut out = [0.0f32; 12];
        adaptive_avg_pool(&[1.0, 2.0, 3.0, 4.0], &mut out, [1, 2, 2], [1, 3, 4]);
        assert_eq!(out, [1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0, 4.0, 4.0]);
    }
}
