//! Single elements by index: `gather`, `scatter`, `scatter_add`, `scatter_reduce`.
//!
//! The index is `[outer, n, inner]`, the tensor `[outer, len, inner]`. The gradient of `gather` is `scatter_add` into
//! zeros; of `scatter_add` with respect to its source, `gather`; of `scatter`, `scatter_value` of the gradient with
//! zero, and `gather`.

use super::{Reduction, for_destinations, larger, mean_of, rows_per_task, smaller};
use crate::element::{Number, Pod};

use crate::pool;

/// `out[o, i, j] = src[o, index[o, i, j], j]`, with `src` `[outer, len, inner]`, index and `out` `[outer, n, inner]`.
pub fn gather<T: Pod>(src: &[T], index: &[i64], out: &mut [T], (outer, len, inner): (usize, usize, usize)) {
    assert_eq!((src.len(), index.len()), (outer * len * inner, out.len()));
    if out.is_empty() {
        return;
    }
    let n = out.len() / (outer * inner);
    // The task's unit is a row of `inner` elements, or all `n` of them where `inner` is 1.
    let (row, rows_per_block) = if inner == 1 { (n, 1) } else { (inner, n) };
    let rows = rows_per_task(out.len() / row, row);
    pool::parallel_chunks_mut(out, rows * row, |first, piece| {
        for (r, (out, index)) in piece.chunks_mut(row).zip(index[first..].chunks(row)).enumerate() {
            let o = (first / row + r) / rows_per_block;
            let src = &src[o * len * inner..][..len * inner];
            for (j, (out, &i)) in out.iter_mut().zip(index).enumerate() {
                *out = src[if inner == 1 {
                    i as usize
                } else {
                    i as usize * inner + j
                }];
            }
        }
    });
}

/// `data[o, index[o, i, j], j] = src[o, i, j]`; of several writes to one element the last wins.
pub fn scatter<T: Pod>(data: &mut [T], index: &[i64], src: &[T], sizes: (usize, usize, usize)) {
    assert_eq!(index.len(), src.len());
    each_element::<false, _>(data, index, sizes, |d, _, source| *d = src[source]);
}

/// `data[o, index[o, i, j], j] = value`.
pub fn scatter_value<T: Pod>(data: &mut [T], index: &[i64], value: T, sizes: (usize, usize, usize)) {
    each_element::<false, _>(data, index, sizes, |d, _, _| *d = value);
}

/// `data[o, index[o, i, j], j] += src[o, i, j]`, in index order.
pub fn scatter_add<T: Number>(data: &mut [T], index: &[i64], src: &[T], sizes: (usize, usize, usize)) {
    assert_eq!(index.len(), src.len());
    each_element::<false, _>(data, index, sizes, |d, _, source| *d = d.plus(src[source]));
}

/// Adds to each element of `counts` (`[outer, len, inner]`) how often the index names it.
pub fn scatter_count<T: Number>(counts: &mut [T], index: &[i64], sizes: (usize, usize, usize)) {
    each_element::<false, _>(counts, index, sizes, |d, _, _| *d = d.plus(T::ONE));
}

/// `scatter_reduce`: combines `data[o, index[o, i, j], j]` with `src[o, i, j]`. Unless `include_self`, what was in an
/// element that is written does not count. Elements that no index names keep their values.
pub fn scatter_reduce<T: Number>(
    data: &mut [T],
    index: &[i64],
    src: &[T],
    reduction: Reduction,
    include_self: bool,
    sizes: (usize, usize, usize),
) {
    assert_eq!(index.len(), src.len());
    match reduction {
        Reduction::Sum | Reduction::Mean => combine(data, index, src, T::plus, include_self, sizes),
        Reduction::Prod => combine(data, index, src, T::times, include_self, sizes),
        Reduction::Amax => combine(data, index, src, larger, include_self, sizes),
        Reduction::Amin => combine(data, index, src, smaller, include_self, sizes),
    }
    if reduction == Reduction::Mean {
        let mut counts = vec![0i32; data.len()];
        scatter_count(&mut counts, index, sizes);
        for (x, &count) in data.iter_mut().zip(&counts) {
            if count > 0 {
                *x = mean_of(*x, count as usize + include_self as usize);
            }
        }
    }
}

fn combine<T: Number>(
    data: &mut [T],
    index: &[i64],
    src: &[T],
    f: impl Fn(T, T) -> T + Sync,
    include_self: bool,
    sizes: (usize, usize, usize),
) {
    if include_self {
        return each_element::<false, _>(data, index, sizes, |d, _, source| *d = f(*d, src[source]));
    }
    each_element::<true, _>(data, index, sizes, |d, seen, source| {
        *d = if seen { f(*d, src[source]) } else { src[source] };
    });
}

/// Calls `f(destination, seen_before, offset_in_index)` for every entry of the index, in order. `seen_before` is only
/// kept where `TRACK` asks for it.
fn each_element<const TRACK: bool, T: Pod>(
    data: &mut [T],
    index: &[i64],
    sizes: (usize, usize, usize),
    f: impl Fn(&mut T, bool, usize) + Sync,
) {
    let (outer, _, inner) = sizes;
    if index.is_empty() {
        return;
    }
    let block = index.len() / outer;
    for_destinations(data, sizes, index.len(), |o, first, piece| {
        let mut seen = vec![false; if TRACK { piece.len() } else { 0 }];
        let rows = piece.len() / inner;
        for (i, index) in index[o * block..][..block].chunks(inner).enumerate() {
            for (j, &target) in index.iter().enumerate() {
                let row = (target as usize).wrapping_sub(first);
                if row < rows {
                    let at = row * inner + j;
                    f(&mut piece[at], TRACK && seen[at], o * block + i * inner + j);
                    if TRACK {
                        seen[at] = true;
                    }
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::check_reductions;

    const INDEX: [i64; 4] = [2, 0, 2, 1];

    #[test]
    fn gather_along_every_layout() {
        // [2, 3] along the last dimension, then along the first.
        let src = [1, 2, 3, 4, 5, 6];
        let mut out = [0; 4];
        gather(&src, &INDEX, &mut out, (2, 3, 1));
        assert_eq!(out, [3, 1, 6, 5]);
        gather(&src, &INDEX, &mut out, (1, 3, 2));
        assert_eq!(out, [5, 2, 5, 4]);
    }

    #[test]
    fn scatters() {
        let mut data = [0.0f32; 6];
        scatter(&mut data, &INDEX, &[1., 2., 3., 4.], (1, 3, 2));
        assert_eq!(data, [0., 2., 0., 4., 3., 0.]);
        scatter_add(&mut data, &INDEX, &[1., 2., 3., 4.], (1, 3, 2));
        assert_eq!(data, [0., 4., 0., 8., 7., 0.]);
        scatter_value(&mut data, &INDEX, -1.0, (2, 3, 1));
        assert_eq!(data, [-1., 4., -1., 8., -1., -1.]);
        let mut counts = [0i64; 6];
        scatter_count(&mut counts, &INDEX, (1, 3, 2));
        assert_eq!(counts, [0, 1, 0, 1, 2, 0]);
    }

    #[test]
    fn reductions() {
        check_reductions(scatter_reduce);
        let mut data = [f32::NAN, 1.0];
        scatter_reduce(
            &mut data,
            &[0, 1],
            &[1.0, f32::NAN],
            Reduction::Amax,
            true,
            (1, 2, 1),
        );
        assert!(data.iter().all(|x| x.is_nan()));
    }
}
