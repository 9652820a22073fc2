//! Whole rows by index: `index_select`, `index_copy`, `index_fill`, `index_add`, `index_reduce`.
//!
//! The gradient of `index_select` is `index_add` into zeros; that of `index_add` with respect to its source is
//! `index_select`; of `index_copy`, `index_fill` of the gradient with zero, and `index_select`.

use super::{Reduction, for_destinations, larger, occurrences, rows_per_task, smaller};
use crate::element::{Number, Pod};

use crate::pool;
use crate::simd;

/// `out[o, i, :] = src[o, index[i], :]`, with `src` `[outer, len, inner]` and `out` `[outer, index.len(), inner]`.
pub fn index_select<T: Pod>(
    src: &[T],
    index: &[i64],
    out: &mut [T],
    (outer, len, inner): (usize, usize, usize),
) {
    let n = index.len();
    assert_eq!((src.len(), out.len()), (outer * len * inner, outer * n * inner));
    if out.is_empty() {
        return;
    }
    let rows = rows_per_task(outer * n, inner);
    pool::parallel_chunks_mut(out, rows * inner, |first, piece| {
        let first = first / inner;
        if inner == 1 {
            return select_elements(src, index, piece, first, len);
        }
        for (r, out) in piece.chunks_exact_mut(inner).enumerate() {
            let (o, i) = ((first + r) / n, (first + r) % n);
            out.copy_from_slice(&src[(o * len + index[i] as usize) * inner..][..inner]);
        }
    });
}

/// Elements `first..` of the flattened output of an `index_select` with `inner == 1`.
fn select_elements<T: Pod>(src: &[T], index: &[i64], out: &mut [T], first: usize, len: usize) {
    let n = index.len();
    let (mut o, mut i) = (first / n, first % n);
    let mut done = 0;
    while done < out.len() {
        let take = (n - i).min(out.len() - done);
        let src = &src[o * len..][..len];
        for (out, &i) in out[done..done + take].iter_mut().zip(&index[i..i + take]) {
            *out = src[i as usize];
        }
        (done, o, i) = (done + take, o + 1, 0);
    }
}

/// `data[o, index[i], :] = src[o, i, :]`; of several writes to one row the last wins.
pub fn index_copy<T: Pod>(data: &mut [T], index: &[i64], src: &[T], sizes: (usize, usize, usize)) {
    let (outer, _, inner) = sizes;
    assert_eq!(src.len(), outer * index.len() * inner);
    each_row(data, index, sizes, |_, row, source| {
        row.copy_from_slice(&src[source..][..inner])
    });
}

/// `data[o, index[i], :] = value`.
pub fn index_fill<T: Pod>(data: &mut [T], index: &[i64], value: T, sizes: (usize, usize, usize)) {
    each_row(data, index, sizes, |_, row, _| row.fill(value));
}

/// `data[o, index[i], :] += alpha · src[o, i, :]`, in index order.
pub fn index_add<T: Number>(
    data: &mut [T],
    index: &[i64],
    src: &[T],
    alpha: T,
    sizes: (usize, usize, usize),
) {
    let (outer, _, inner) = sizes;
    let n = index.len();
    assert_eq!(src.len(), outer * n * inner);
    for_destinations(data, sizes, src.len(), |o, first, piece| {
        let src = &src[o * n * inner..][..n * inner];
        if inner == 1 {
            add_elements(piece, first, index, src, alpha)
        } else {
            add_rows(piece, first, index, src, alpha, inner)
        }
    });
}

fn add_elements<T: Number>(piece: &mut [T], first: usize, index: &[i64], src: &[T], alpha: T) {
    for (&i, &s) in index.iter().zip(src) {
        if let Some(d) = piece.get_mut((i as usize).wrapping_sub(first)) {
            *d = d.plus(alpha.times(s));
        }
    }
}

simd! {
    fn add_rows[T: Number](piece: &mut [T], first: usize, index: &[i64], src: &[T], alpha: T, inner: usize) {
        let rows = piece.len() / inner;
        for (&i, src) in index.iter().zip(src.chunks_exact(inner)) {
            let row = (i as usize).wrapping_sub(first);
            if row < rows {
                for (d, &s) in piece[row * inner..][..inner].iter_mut().zip(src) {
                    *d = d.plus(alpha.times(s));
                }
            }
        }
    }
}

/// `index_reduce`: combines `data[o, index[i], :]` with `src[o, i, :]`. Unless `include_self`, what was in a row that
/// is written does not count. Rows that no index names keep their values.
pub fn index_reduce<T: Number>(
    data: &mut [T],
    index: &[i64],
    src: &[T],
    reduction: Reduction,
    include_self: bool,
    sizes: (usize, usize, usize),
) {
    let (outer, len, inner) = sizes;
    assert_eq!(src.len(), outer * index.len() * inner);
    match reduction {
        Reduction::Sum | Reduction::Mean => combine(data, index, src, T::plus, include_self, sizes),
        Reduction::Prod => combine(data, index, src, T::times, include_self, sizes),
        Reduction::Amax => combine(data, index, src, larger, include_self, sizes),
        Reduction::Amin => combine(data, index, src, smaller, include_self, sizes),
    }
    if reduction == Reduction::Mean && inner > 0 {
        let counts = occurrences(index, len);
        for (row, &count) in data.chunks_mut(inner).zip(counts.iter().cycle()) {
            if count > 0 {
                row.iter_mut()
                    .for_each(|x| *x = super::mean_of(*x, count as usize + include_self as usize));
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
    let inner = sizes.2;
    each_row(data, index, sizes, |seen, row, source| {
        let src = &src[source..][..inner];
        if seen || include_self {
            row.iter_mut().zip(src).for_each(|(d, &s)| *d = f(*d, s));
        } else {
            row.copy_from_slice(src);
        }
    });
}

/// Calls `f(seen_before, destination_row, offset_in_source)` for every entry of the index and every outer block.
fn each_row<T: Pod>(
    data: &mut [T],
    index: &[i64],
    sizes: (usize, usize, usize),
    f: impl Fn(bool, &mut [T], usize) + Sync,
) {
    let (outer, _, inner) = sizes;
    let n = index.len();
    for_destinations(data, sizes, outer * n * inner, |o, first, piece| {
        let mut seen = vec![false; piece.len() / inner];
        for (i, &target) in index.iter().enumerate() {
            let row = (target as usize).wrapping_sub(first);
            if let Some(seen) = seen.get_mut(row) {
                f(*seen, &mut piece[row * inner..][..inner], (o * n + i) * inner);
                *seen = true;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::check_reductions;

    #[test]
    fn select_and_add_are_each_others_gradient() {
        let src: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let index = [2, 0, 2];
        let mut out = [0.0; 18];
        index_select(&src, &index, &mut out, (2, 4, 3));
        assert_eq!(out[..9], [6., 7., 8., 0., 1., 2., 6., 7., 8.]);
        assert_eq!(out[9..12], [18., 19., 20.]);
        let mut back = [0.0; 24];
        index_add(&mut back, &index, &[1.0; 18], 0.5, (2, 4, 3));
        assert_eq!(back[..9], [0.5, 0.5, 0.5, 0., 0., 0., 1., 1., 1.]);
        assert_eq!(back[12..15], [0.5; 3]);
        let mut flat = [0i64; 4];
        index_select(&[5, 6, 7], &[1, 1, 0, 2], &mut flat, (1, 3, 1));
        assert_eq!(flat, [6, 6, 5, 7]);
    }

    #[test]
    fn copies_and_fills() {
        let mut data = [0; 6];
        index_copy(&mut data, &[1, 1], &[1, 2, 3, 4], (1, 3, 2));
        assert_eq!(data, [0, 0, 3, 4, 0, 0]);
        index_fill(&mut data, &[2, 0], 9, (1, 3, 2));
        assert_eq!(data, [9, 9, 3, 4, 9, 9]);
    }

    #[test]
    fn reductions() {
        check_reductions(index_reduce);
        let mut data = [7i64, 7];
        index_reduce(&mut data, &[0, 0], &[-2, -3], Reduction::Mean, false, (1, 2, 1));
        assert_eq!(data, [-3, 7]);
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let n = 20_000;
        let index: Vec<i64> = (0..n).map(|i| (i * 7919 % 501) as i64).collect();
        let src: Vec<f32> = (0..n * 4).map(|i| (i as f32 * 0.37).sin()).collect();
        let results: Vec<Vec<f32>> = [1, 2, 5]
            .map(|threads| {
                pool::set_num_threads(threads);
                let mut data = vec![0.0; 501 * 4];
                index_add(&mut data, &index, &src, 1.0, (1, 501, 4));
                data
            })
            .to_vec();
        assert_eq!(results[0], results[1]);
        assert_eq!(results[0], results[2]);
    }
}
