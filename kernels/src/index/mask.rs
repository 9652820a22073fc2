//! Indexing by masks: `masked_fill`, `masked_select`, `masked_scatter`, `nonzero`. A mask is one `u8` per element.

use crate::element::Pod;
use crate::pool;
use crate::simd;

const CHUNK: usize = 1 << 15;

/// `data[i] = value` where `mask[i]`.
pub fn masked_fill<T: Pod>(data: &mut [T], mask: &[u8], value: T) {
    assert_eq!(data.len(), mask.len());
    pool::parallel_chunks_mut(data, CHUNK, |first, piece| {
        fill_piece(piece, &mask[first..], value)
    });
}

simd! {
    fn fill_piece[T: Pod](data: &mut [T], mask: &[u8], value: T) {
        for (d, &m) in data.iter_mut().zip(mask) {
            *d = if m != 0 { value } else { *d };
        }
    }
}

/// The elements under the mask, in order.
pub fn masked_select<T: Pod>(src: &[T], mask: &[u8]) -> Vec<T> {
    assert_eq!(src.len(), mask.len());
    compact(mask.len(), |i| mask[i] != 0, |i| src[i])
}

/// The gradient of [`masked_select`]: `grad` spread over the mask, zero elsewhere.
pub fn masked_select_backward<T: Pod>(grad: &[T], mask: &[u8], out: &mut [T]) {
    let mut grad = grad.iter();
    for (o, &m) in out.iter_mut().zip(mask) {
        *o = if m != 0 {
            grad.next().copied().unwrap_or_default()
        } else {
            T::default()
        };
    }
}

/// [`masked_scatter`] was given fewer source elements than the mask selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskedScatterError {
    /// Elements under the mask.
    pub wanted: usize,
    /// Elements of the source.
    pub given: usize,
}

impl std::fmt::Display for MaskedScatterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let MaskedScatterError { wanted, given } = self;
        write!(
            f,
            "the mask selects {wanted} elements, but the source has {given}"
        )
    }
}

impl std::error::Error for MaskedScatterError {}

/// Puts the source's elements, in order, where the mask is set.
pub fn masked_scatter<T: Pod>(data: &mut [T], mask: &[u8], source: &[T]) -> Result<(), MaskedScatterError> {
    assert_eq!(data.len(), mask.len());
    let wanted = mask.iter().filter(|&&m| m != 0).count();
    if wanted > source.len() {
        return Err(MaskedScatterError {
            wanted,
            given: source.len(),
        });
    }
    let under = data.iter_mut().zip(mask).filter(|(_, m)| **m != 0);
    under.zip(source).for_each(|((d, _), &s)| *d = s);
    Ok(())
}

/// The gradient of [`masked_scatter`] with respect to its source: what was under the mask, then zeros.
pub fn masked_scatter_backward<T: Pod>(grad: &[T], mask: &[u8], source_grad: &mut [T]) {
    source_grad.fill(T::default());
    let under = grad.iter().zip(mask).filter(|(_, m)| **m != 0);
    source_grad.iter_mut().zip(under).for_each(|(s, (&g, _))| *s = g);
}

/// The linear indices of the elements that aren't zero (NaN isn't), ascending.
pub fn nonzero<T: Pod>(data: &[T]) -> Vec<i64> {
    compact(data.len(), |i| data[i] != T::default(), |i| i as i64)
}

/// The coordinates of linear indices in a tensor of `shape`: row `i` of the result, `[indices.len(), shape.len()]`,
/// belongs to index `i`.
pub fn unravel_index(indices: &[i64], shape: &[usize]) -> Vec<i64> {
    let rank = shape.len();
    let mut out = vec![0; indices.len() * rank];
    if rank > 0 {
        for (row, &index) in out.chunks_exact_mut(rank).zip(indices) {
            let mut rest = index;
            for (o, &dim) in row.iter_mut().zip(shape).rev() {
                (*o, rest) = (rest % dim as i64, rest / dim as i64);
            }
        }
    }
    out
}

/// `value(i)` for every `i` in `0..len` that `keep` says yes to, in order: counted per chunk, then written in parallel.
fn compact<T: Pod>(
    len: usize,
    keep: impl Fn(usize) -> bool + Sync,
    value: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    if len <= CHUNK {
        return (0..len).filter(|&i| keep(i)).map(value).collect();
    }
    let range = |chunk: usize| chunk * CHUNK..((chunk + 1) * CHUNK).min(len);
    let mut counts = vec![0usize; len.div_ceil(CHUNK)];
    pool::parallel_chunks_mut(&mut counts, 1, |chunk, count| {
        count[0] = range(chunk).filter(|&i| keep(i)).count();
    });
    let total = counts.iter().sum();
    let mut out = vec![T::default(); total];
    let mut rest = out.as_mut_slice();
    let mut pieces = Vec::with_capacity(counts.len());
    for &count in &counts {
        let (piece, tail) = rest.split_at_mut(count);
        pieces.push(piece);
        rest = tail;
    }
    pool::parallel_chunks_mut(&mut pieces, 1, |chunk, piece| {
        let kept = range(chunk).filter(|&i| keep(i)).map(&value);
        piece[0].iter_mut().zip(kept).for_each(|(o, v)| *o = v);
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        let mut data = [1, 2, 3, 4];
        let mask = [1, 0, 0, 1];
        assert_eq!(masked_select(&data, &mask), [1, 4]);
        masked_fill(&mut data, &mask, 7);
        assert_eq!(data, [7, 2, 3, 7]);
        assert_eq!(masked_scatter(&mut data, &mask, &[8, 9, 10]), Ok(()));
        assert_eq!(data, [8, 2, 3, 9]);
        let error = masked_scatter(&mut data, &mask, &[8]);
        assert_eq!(error, Err(MaskedScatterError { wanted: 2, given: 1 }));
        let mut grad = [0; 3];
        masked_scatter_backward(&data, &mask, &mut grad);
        assert_eq!(grad, [8, 9, 0]);
        let mut grad = [5; 4];
        masked_select_backward(&[1, 2], &mask, &mut grad);
        assert_eq!(grad, [1, 0, 0, 2]);
    }

    #[test]
    fn nonzero_of_large_and_small() {
        assert_eq!(nonzero(&[0.0, f32::NAN, -0.0, 2.0]), [1, 3]);
        let data: Vec<u8> = (0..100_000).map(|i| (i % 1000 == 3) as u8).collect();
        let expected: Vec<i64> = (0..100).map(|i| i * 1000 + 3).collect();
        assert_eq!(nonzero(&data), expected);
        assert_eq!(unravel_index(&[5, 3], &[2, 3]), [1, 2, 1, 0]);
        assert!(unravel_index(&[0], &[]).is_empty());
    }
}
