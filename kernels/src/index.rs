//! Indexing: torch's `index_select`, `gather`, `scatter*`, `index_add`/`copy`/`fill`/`reduce`, `masked_*`, `nonzero`,
//! `segment_reduce`, `bincount`, `histogram`, `one_hot`, sparse products, and fused message passing over the edges of a graph.
//!
//! Tensors are contiguous slices seen as `[outer, len, inner]`, where `len` is the indexed dimension. Indices are
//! `i64`, already checked and made non-negative by [`normalise`].
//!
//! General advanced indexing (`x[i, j]`, `index_put`, `take`, `put`) is [`linear_index`] followed by
//! [`index_select`], [`index_copy`] or [`index_add`] over the indexed dimensions seen as one; `gather` and `scatter`
//! whose index is smaller than the tensor in other dimensions are [`gather_linear_index`] followed by
//! the same kernels (or [`scatter_reduce`]) over the tensor seen as one dimension.
//!
//! Kernels that write by index split the *destination* among the threads and apply the index in its order, so the last
//! of several writes wins, and sums are the same bits whatever the number of threads.

mod count;
mod gather;
mod graph;
mod mask;
mod segment;
mod select;
mod sparse;

pub use count::{bin_of, bincount, bincount_weighted, histogram, one_hot, uniform_edges};
pub use gather::{gather, scatter, scatter_add, scatter_count, scatter_reduce, scatter_value};
pub use graph::gather_scatter_add;
pub use mask::{
    MaskedScatterError, masked_fill, masked_scatter, masked_scatter_backward, masked_select,
    masked_select_backward, nonzero, unravel_index,
};
pub use segment::{lengths_to_offsets, segment_reduce, segment_reduce_backward};
pub use select::{index_add, index_copy, index_fill, index_reduce, index_select};
pub use sparse::{Csr, Rows, csr_from_rows, sampled_products, sparse_product};

use crate::element::{Number, Pod};
use crate::mem::Buf;

use crate::pool;
use crate::simd;

/// An index that lies outside its dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadIndex {
    /// Where in the list of indices it stands.
    pub position: usize,
    /// The index as given.
    pub index: i64,
    /// The size of the dimension it was meant for.
    pub len: usize,
}

impl std::fmt::Display for BadIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let BadIndex { position, index, len } = self;
        write!(
            f,
            "index {index} at position {position} is out of range for a dimension of size {len}"
        )
    }
}

impl std::error::Error for BadIndex {}

/// Checks that every index lies in `0..len`.
pub fn validate(index: &[i64], len: usize) -> Result<(), BadIndex> {
    if !any_outside(index, 0, len as u64) {
        return Ok(());
    }
    match index.iter().position(|&i| i < 0 || i as usize >= len) {
        Some(position) => Err(BadIndex {
            position,
            index: index[position],
            len,
        }),
        None => Ok(()),
    }
}

/// Checks that every index lies in `-len..len` and adds `len` to the negative ones.
pub fn normalise(index: &mut [i64], len: usize) -> Result<(), BadIndex> {
    let bound = len as i64;
    if any_outside(index, bound, 2 * len as u64)
        && let Some(position) = index.iter().position(|&i| i < -bound || i >= bound)
    {
        return Err(BadIndex {
            position,
            index: index[position],
            len,
        });
    }
    index.iter_mut().for_each(|i| *i += bound & (*i >> 63));
    Ok(())
}

simd! {
    /// Whether some `i + shift` lies outside `0..bound`.
    fn any_outside(index: &[i64], shift: i64, bound: u64) -> bool {
        index.iter().fold(false, |bad, &i| bad | (i.wrapping_add(shift) as u64 >= bound))
    }
}

/// How several values that meet at one destination are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// Their product.
    Prod,
    /// Their mean (rounded down for integers).
    Mean,
    /// The largest; NaN wins.
    Amax,
    /// The smallest; NaN wins.
    Amin,
}

/// The larger of two values; NaN wins.
#[inline(always)]
pub(crate) fn larger<T: PartialOrd>(a: T, b: T) -> T {
    // `a != a` is how a generic value says that it is NaN.
    #[allow(clippy::eq_op)]
    if a >= b || a != a { a } else { b }
}

/// The smaller of two values; NaN wins.
#[inline(always)]
pub(crate) fn smaller<T: PartialOrd>(a: T, b: T) -> T {
    #[allow(clippy::eq_op)]
    if a <= b || a != a { a } else { b }
}

/// `sum / count`, rounded down for integers (whose magnitude is below 2^53).
#[inline(always)]
pub(crate) fn mean_of<T: Number>(sum: T, count: usize) -> T {
    // For floats, rounding the f64 quotient gives the very f32 quotient. An integer type rounds one half to zero.
    let mean = sum.to_f64() / count as f64;
    T::from_f64(if T::from_f64(0.5) == T::ZERO {
        mean.floor()
    } else {
        mean
    })
}

/// One linear index from several index lists of equal length: `sum_k indices[k][i] · stride_k` with the contiguous
/// strides of `dims`. The indices must be normalised, one list per dimension.
pub fn linear_index(dims: &[usize], indices: &[&[i64]], out: &mut [i64]) {
    assert_eq!(dims.len(), indices.len());
    out.fill(0);
    for (&dim, index) in dims.iter().zip(indices) {
        for (o, &i) in out.iter_mut().zip(*index) {
            *o = *o * dim as i64 + i;
        }
    }
}

/// For a `gather` along `dim` of a tensor of `shape`, the linear index of the element that each entry of `index`
/// (of `index_shape`, nowhere larger than `shape` but along `dim`) refers to.
pub fn gather_linear_index(
    shape: &[usize],
    dim: usize,
    index_shape: &[usize],
    index: &[i64],
    out: &mut [i64],
) {
    let rank = shape.len();
    if rank == 0 {
        return out.copy_from_slice(index);
    }
    let mut strides = vec![1usize; rank];
    for d in (0..rank - 1).rev() {
        strides[d] = strides[d + 1] * shape[d + 1];
    }
    let row = index_shape[rank - 1];
    if row == 0 {
        return;
    }
    pool::parallel_chunks_mut(
        out,
        row * rows_per_task(index.len() / row, row),
        |first, piece| {
            for (r, out) in piece.chunks_mut(row).enumerate() {
                let (mut rest, mut base) = (first / row + r, 0);
                let index = &index[rest * row..][..row];
                for d in (0..rank - 1).rev() {
                    if d != dim {
                        base += rest % index_shape[d] * strides[d];
                    }
                    rest /= index_shape[d];
                }
                let along_row = if dim == rank - 1 { 0 } else { 1 };
                for (x, (o, &i)) in out.iter_mut().zip(index).enumerate() {
                    *o = (base + x * along_row) as i64 + i * strides[dim] as i64;
                }
            }
        },
    );
}

/// How many rows of `row` elements make a task: at least about 16,000 elements, at most 128 tasks.
pub(crate) fn rows_per_task(rows: usize, row: usize) -> usize {
    (pool::chunk_len(rows.saturating_mul(row), 1 << 14) / row.max(1)).max(1)
}

/// Below this many elements touched, a call is not worth a fork.
const PARALLEL_FROM: usize = 1 << 14;
/// Every part of the destination reads the whole index, so there are few.
const MAX_PARTS: usize = 16;

/// Splits `data` (`[outer, len, inner]`) into disjoint pieces and calls `f(outer_index, first_row, piece)` for each;
/// a piece is a range of whole rows of one outer block. `work` is the number of elements that will be written.
///
/// Whoever writes by index goes through the whole index in order for each piece, so results do not depend on the cut,
/// and the number of pieces may follow the number of threads.
pub(crate) fn for_destinations<T: Pod>(
    data: &mut [T],
    (outer, len, inner): (usize, usize, usize),
    work: usize,
    f: impl Fn(usize, usize, &mut [T]) + Sync,
) {
    let block = len * inner;
    assert_eq!(data.len(), outer * block);
    if block == 0 {
        return;
    }
    let threads = if work < PARALLEL_FROM {
        1
    } else {
        pool::num_threads()
    };
    if threads == 1 {
        return data
            .chunks_mut(block)
            .enumerate()
            .for_each(|(o, piece)| f(o, 0, piece));
    }
    if outer >= threads {
        let blocks = outer.div_ceil(4 * threads);
        return pool::parallel_chunks_mut(data, blocks * block, |first, piece| {
            for (i, piece) in piece.chunks_mut(block).enumerate() {
                f(first / block + i, 0, piece);
            }
        });
    }
    let rows = len.div_ceil(threads.min(MAX_PARTS));
    for (o, data) in data.chunks_mut(block).enumerate() {
        pool::parallel_chunks_mut(data, rows * inner, |first, piece| f(o, first / inner, piece));
    }
}

/// How often each of `0..len` occurs in a normalised index.
pub(crate) fn occurrences(index: &[i64], len: usize) -> Buf<u32> {
    let mut counts = Buf::zeroed(len);
    index.iter().for_each(|&i| counts[i as usize] += 1);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    type Reduce = fn(&mut [f64], &[i64], &[f64], Reduction, bool, (usize, usize, usize));

    /// Each reduction into 10, 20, 30, where 0 gets 1 and 4, and 2 gets 2.
    pub(super) fn check_reductions(reduce: Reduce) {
        for (reduction, include_self, want) in [
            (Reduction::Sum, true, [15.0, 20.0, 32.0]),
            (Reduction::Sum, false, [5.0, 20.0, 2.0]),
            (Reduction::Mean, true, [5.0, 20.0, 16.0]),
            (Reduction::Mean, false, [2.5, 20.0, 2.0]),
            (Reduction::Prod, true, [40.0, 20.0, 60.0]),
            (Reduction::Prod, false, [4.0, 20.0, 2.0]),
            (Reduction::Amax, true, [10.0, 20.0, 30.0]),
            (Reduction::Amax, false, [4.0, 20.0, 2.0]),
            (Reduction::Amin, true, [1.0, 20.0, 2.0]),
            (Reduction::Amin, false, [1.0, 20.0, 2.0]),
        ] {
            let mut data = [10.0, 20.0, 30.0];
            let src = [1.0, 2.0, 4.0];
            reduce(&mut data, &[0, 2, 0], &src, reduction, include_self, (1, 3, 1));
            assert_eq!(data, want, "{reduction:?}, include_self: {include_self}");
        }
    }

    #[test]
    fn indices_are_checked_and_made_non_negative() {
        let mut index = [0, -1, 4, -5];
        assert_eq!(normalise(&mut index, 5), Ok(()));
        assert_eq!(index, [0, 4, 4, 0]);
        assert_eq!(
            normalise(&mut [1, 5], 5),
            Err(BadIndex {
                position: 1,
                index: 5,
                len: 5
            })
        );
        assert_eq!(normalise(&mut [-6], 5).map_err(|e| e.index), Err(-6));
        assert_eq!(validate(&[2, -1], 5).map_err(|e| e.position), Err(1));
        assert_eq!(validate(&[0], 0).map_err(|e| e.len), Err(0));
        assert_eq!(validate(&[], 0), Ok(()));
        assert_eq!(
            normalise(&mut [i64::MIN, i64::MAX], 3).map_err(|e| e.index),
            Err(i64::MIN)
        );
    }

    #[test]
    fn linear_indices() {
        let mut out = [0; 3];
        linear_index(&[4, 5], &[&[0, 3, 1], &[4, 0, 2]], &mut out);
        assert_eq!(out, [4, 15, 7]);
        // A gather along dim 0 of a 3×4 tensor with a 2×2 index.
        let mut out = [0; 4];
        gather_linear_index(&[3, 4], 0, &[2, 2], &[2, 0, 1, 1], &mut out);
        assert_eq!(out, [8, 1, 4, 5]);
        gather_linear_index(&[3, 4], 1, &[2, 2], &[3, 0, 1, 1], &mut out);
        assert_eq!(out, [3, 0, 5, 5]);
        let mut one = [0];
        gather_linear_index(&[], 0, &[], &[0], &mut one);
        assert_eq!(one, [0]);
    }
}
