//! Counting: `bincount`, `histc`/`histogram`, `one_hot`.

use crate::element::{Float, Number};
use crate::pool;

/// How often each value occurs; the result has `max(minlength, largest + 1)` entries. Values are not negative.
pub fn bincount(values: &[i64], minlength: usize) -> Vec<i64> {
    let mut counts = vec![0; bins(values, minlength)];
    values.iter().for_each(|&v| counts[v as usize] += 1);
    counts
}

/// The sum of the weights of each value's occurrences.
pub fn bincount_weighted<T: Number>(values: &[i64], weights: &[T], minlength: usize) -> Vec<T> {
    assert_eq!(values.len(), weights.len());
    let mut sums = vec![T::ZERO; bins(values, minlength)];
    values
        .iter()
        .zip(weights)
        .for_each(|(&v, &w)| sums[v as usize] = sums[v as usize].plus(w));
    sums
}

fn bins(values: &[i64], minlength: usize) -> usize {
    values.iter().max().map_or(0, |&v| v as usize + 1).max(minlength)
}

/// The edges of `bins` equal bins over `min..=max`, as `torch.linspace` gives them.
pub fn uniform_edges<T: Float>(min: T, max: T, bins: usize) -> Vec<T> {
    let step = (max - min) / T::from_f64(bins as f64);
    let half = bins.div_ceil(2);
    (0..=bins)
        .map(|i| {
            if i < half {
                min + step * T::from_f64(i as f64)
            } else {
                max - step * T::from_f64((bins - i) as f64)
            }
        })
        .collect()
}

/// The bin of `value` among ascending `edges` (`bins + 1` of them): half open, but for the last, which has both ends.
/// None outside, and for NaN.
pub fn bin_of<T: Float>(value: T, edges: &[T]) -> Option<usize> {
    let (first, last) = (*edges.first()?, *edges.last()?);
    if !(value >= first && value <= last) || edges.len() < 2 {
        return None;
    }
    let after = edges.partition_point(|&edge| edge <= value);
    Some((after - 1).min(edges.len() - 2))
}

/// Adds to `counts` the weight (or one) of every value that falls into a bin.
///
/// With `uniform` the bin is found by arithmetic alone, as `histc` does: at an edge rounding decides.
pub fn histogram<T: Float>(
    values: &[T],
    weights: Option<&[T]>,
    edges: &[T],
    uniform: bool,
    counts: &mut [T],
) {
    assert_eq!(counts.len() + 1, edges.len());
    let (Some(&min), Some(&max)) = (edges.first(), edges.last()) else {
        return;
    };
    let bins = counts.len();
    for (i, &value) in values.iter().enumerate() {
        let bin = if uniform {
            if !(value >= min && value <= max) {
                continue;
            }
            let guess = ((value - min) * T::from_f64(bins as f64) / (max - min)).to_f64() as usize;
            Some(guess.min(bins - 1))
        } else {
            bin_of(value, edges)
        };
        if let Some(bin) = bin {
            counts[bin] += weights.map_or(T::ONE, |w| w[i]);
        }
    }
}

/// `out[i, values[i]] = 1`, zero elsewhere; `out` is `[values.len(), classes]`.
pub fn one_hot<T: Number>(values: &[i64], classes: usize, out: &mut [T]) {
    assert_eq!(out.len(), values.len() * classes);
    if classes == 0 {
        return;
    }
    let rows = super::rows_per_task(values.len(), classes);
    pool::parallel_chunks_mut(out, rows * classes, |first, piece| {
        piece.fill(T::ZERO);
        for (row, &v) in piece.chunks_exact_mut(classes).zip(&values[first / classes..]) {
            row[v as usize] = T::ONE;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        assert_eq!(bincount(&[0, 3, 3], 2), [1, 0, 0, 2]);
        assert_eq!(bincount(&[], 3), [0, 0, 0]);
        assert_eq!(bincount_weighted(&[1, 1], &[0.5f32, 2.0], 0), [0.0, 2.5]);
        let mut out = [7i64; 6];
        one_hot(&[2, 0], 3, &mut out);
        assert_eq!(out, [0, 0, 1, 1, 0, 0]);
    }

    #[test]
    fn histograms() {
        let values = [0.0f32, 0.1, 0.9, 1.0, 1.5, f32::NAN, -0.1, 0.5];
        let edges = uniform_edges(0.0, 1.0, 4);
        assert_eq!(edges, [0.0, 0.25, 0.5, 0.75, 1.0]);
        for uniform in [true, false] {
            let mut counts = [0.0; 4];
            histogram(&values, None, &edges, uniform, &mut counts);
            assert_eq!(counts, [2.0, 0.0, 1.0, 2.0]);
        }
        let mut counts = [0.0f64; 2];
        histogram(
            &[1.0, 5.0],
            Some(&[2.0, 3.0]),
            &[0.0, 4.0, 10.0],
            false,
            &mut counts,
        );
        assert_eq!(counts, [2.0, 3.0]);
    }
}
