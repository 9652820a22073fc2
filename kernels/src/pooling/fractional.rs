//! Fractional max pooling (Graham 2014): windows of one size at pseudo-random steps.

use super::for_planes2;
use crate::element::Float;

/// Where the windows start along a dimension: torch's sequence for one random sample in `[0, 1)`.
fn starts<T: Float>(sample: T, input: usize, output: usize, kernel: usize) -> Vec<usize> {
    let last = input - kernel;
    let mut starts = Vec::with_capacity(output);
    if output > 1 {
        let alpha = T::from_f64(last as f64) / T::from_f64((output - 1) as f64);
        let cut = |x: T| x.to_f64() as i64;
        for i in 0..output - 1 {
            let start = cut((T::from_f64(i as f64) + sample) * alpha).saturating_sub(cut(sample * alpha));
            // Samples outside of [0, 1) must not lead outside of the input.
            starts.push(start.clamp(0, last as i64) as usize);
        }
    }
    if output > 0 {
        starts.push(last);
    }
    starts
}

/// `fractional_max_pool2d` with the flat index of each maximum; sizes are `[height, width]`, no smaller than the
/// kernel, and `samples` holds (width, height) samples per plane, as torch's `_random_samples`. The gradient is that of
/// [`max_pool_backward`](super::max_pool_backward).
pub fn fractional_max_pool2d<T: Float>(
    x: &[T],
    samples: &[T],
    out: &mut [T],
    indices: &mut [i64],
    input: [usize; 2],
    output: [usize; 2],
    kernel: [usize; 2],
) {
    let (in_len, out_len) = (input[0] * input[1], output[0] * output[1]);
    for_planes2(
        (out, out_len),
        (indices, out_len),
        in_len,
        |plane, out, indices| {
            let x = &x[plane * in_len..][..in_len];
            let columns = starts(samples[2 * plane], input[1], output[1], kernel[1]);
            let rows = starts(samples[2 * plane + 1], input[0], output[0], kernel[0]);
            let mut results = out.iter_mut().zip(indices);
            for &y0 in &rows {
                for &x0 in &columns {
                    let mut best = (T::LEAST, y0 * input[1] + x0);
                    for y in y0..y0 + kernel[0] {
                        for i in y * input[1] + x0..y * input[1] + x0 + kernel[1] {
                            if x[i] > best.0 || x[i].is_not_a_number() {
                                best = (x[i], i);
                            }
                        }
                    }
                    if let Some((out, index)) = results.next() {
                        (*out, *index) = (best.0, best.1 as i64);
                    }
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_end_at_the_border() {
        assert_eq!(starts(0.3f64, 7, 3, 2), [0, 3, 5]);
        assert_eq!(starts(0.9f32, 7, 1, 2), [5]);
        let x: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let (mut out, mut indices) = ([0.0; 4], [0; 4]);
        fractional_max_pool2d(&x, &[0.5, 0.5], &mut out, &mut indices, [4, 4], [2, 2], [2, 2]);
        assert_eq!(out, [5.0, 7.0, 13.0, 15.0]);
        assert_eq!(indices, [5, 7, 13, 15]);
    }
}
