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

/// `fractional_max_pool{2,3}d` with the flat index of each maximum; sizes are `[depth, height, width]`, no smaller than the
/// kernel. `samples` holds one number for each dimension of a plane, `order` which of them is whose: torch's
/// `_random_samples` have the width first in two dimensions and the depth first in three. The gradient is that of
/// [`max_pool_backward`](super::max_pool_backward).
#[allow(clippy::too_many_arguments)] // the sizes of three things, and their order
pub fn fractional_max_pool<T: Float>(
    x: &[T],
    samples: &[T],
    order: &[usize],
    out: &mut [T],
    indices: &mut [i64],
    input: [usize; 3],
    output: [usize; 3],
    kernel: [usize; 3],
) {
    let (in_len, out_len) = (input.iter().product::<usize>(), output.iter().product());
    let dims = order.len();
    for_planes2(
        (out, out_len),
        (indices, out_len),
        in_len,
        |plane, out, indices| {
            let x = &x[plane * in_len..][..in_len];
            let samples = &samples[plane * dims..][..dims];
            // Leading dimensions that the pool has not are of size 1, and so are their windows.
            let starts = |d: usize| match (d + dims).checked_sub(3) {
                Some(own) => starts(samples[order[own]], input[d], output[d], kernel[d]),
                None => vec![0],
            };
            let [slices, rows, columns] = [0, 1, 2].map(starts);
            let mut results = out.iter_mut().zip(indices);
            for &z0 in &slices {
                for &y0 in &rows {
                    for &x0 in &columns {
                        let row = |z: usize, y: usize| (z * input[1] + y) * input[2];
                        let mut best = (T::LEAST, row(z0, y0) + x0);
                        for z in z0..z0 + kernel[0] {
                            for y in y0..y0 + kernel[1] {
                                for i in row(z, y) + x0..row(z, y) + x0 + kernel[2] {
                                    if x[i] > best.0 || x[i].is_not_a_number() {
                                        best = (x[i], i);
                                    }
                                }
                            }
                        }
                        if let Some((out, index)) = results.next() {
                            (*out, *index) = (best.0, best.1 as i64);
                        }
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
        let sizes = [[1, 4, 4], [1, 2, 2], [1, 2, 2]];
        let [input, output, kernel] = sizes;
        fractional_max_pool(
            &x,
            &[0.5, 0.5],
            &[1, 0],
            &mut out,
            &mut indices,
            input,
            output,
            kernel,
        );
        assert_eq!(out, [5.0, 7.0, 13.0, 15.0]);
        assert_eq!(indices, [5, 7, 13, 15]);
    }

    #[test]
    fn every_dimension_has_its_sample() {
        // torch.nn.functional.fractional_max_pool3d(x, (1, 1, 2), (2, 2, 2), _random_samples=[[[0.9, 0.1, 0.6]]])
        let x: Vec<f64> = (0..3 * 4 * 5).map(|i| ((i * 7) % 60) as f64).collect();
        let (mut out, mut indices) = ([0.0; 8], [0; 8]);
        let (input, output, kernel) = ([3, 4, 5], [2, 2, 2], [1, 1, 2]);
        let samples = [0.9, 0.1, 0.6];
        fractional_max_pool(
            &x,
            &samples,
            &[0, 1, 2],
            &mut out,
            &mut indices,
            input,
            output,
            kernel,
        );
        assert_eq!(indices, [1, 4, 16, 19, 41, 44, 56, 59]);
        assert!(out.iter().zip(indices).all(|(&out, i)| out == x[i as usize]));
    }
}
