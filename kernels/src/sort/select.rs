//! Selection without a full sort: `topk`, `kthvalue`, `median`, `nanmedian`, and `mode`.

use super::{SortKey, for_rows, pack_row, sort_packed, unpack};

/// The `k` largest (or smallest) of every row with their indices, in order if `sorted`; both results are `[rows, k]`
/// and `k` is at most `len`. NaN is the greatest; of equal values the first come first.
pub fn topk<T: SortKey>(
    x: &[T],
    values: &mut [T],
    indices: &mut [i64],
    (len, k): (usize, usize),
    largest: bool,
    sorted: bool,
) {
    for_rows(x, (values, k), (indices, k), len, |x, packed, values, indices| {
        pack_row(x, largest, packed);
        if k < len {
            packed.select_nth_unstable(k);
            packed.truncate(k);
        }
        if sorted {
            sort_packed(packed);
        }
        unpack(x, packed, values, indices);
    });
}

/// The `k`-th smallest of every row (`k` from 1) and its index.
pub fn kthvalue<T: SortKey>(x: &[T], values: &mut [T], indices: &mut [i64], len: usize, k: usize) {
    assert!(k > 0 && k <= len);
    for_rows(x, (values, 1), (indices, 1), len, |x, packed, values, indices| {
        pack_row(x, false, packed);
        let (_, kth, _) = packed.select_nth_unstable(k - 1);
        unpack(x, &[*kth], values, indices);
    });
}

/// The lower median of every row and its index. A NaN is the median of its row; with `ignore_nan` (`nanmedian`) the
/// median is that of the rest, and NaN only if there is none. `len` is not 0.
pub fn median<T: SortKey>(x: &[T], values: &mut [T], indices: &mut [i64], len: usize, ignore_nan: bool) {
    for_rows(x, (values, 1), (indices, 1), len, |x, packed, values, indices| {
        let nans = x.iter().filter(|x| x.is_nan()).count();
        if nans == len || (nans > 0 && !ignore_nan) {
            let first = x.iter().position(|x| x.is_nan()).unwrap_or(0);
            (values[0], indices[0]) = (x[first], first as i64);
            return;
        }
        pack_row(x, false, packed);
        let (_, middle, _) = packed.select_nth_unstable((len - nans - 1) / 2);
        unpack(x, &[*middle], values, indices);
    });
}

/// The most frequent value of every row, the smallest of several, and the index of its last occurrence.
pub fn mode<T: SortKey>(x: &[T], values: &mut [T], indices: &mut [i64], len: usize) {
    for_rows(x, (values, 1), (indices, 1), len, |x, packed, values, indices| {
        pack_row(x, false, packed);
        sort_packed(packed);
        let (mut best, mut run) = ((0, 0), 0);
        for (i, &p) in packed.iter().enumerate() {
            let key = |p| x[T::position(p)].sort_key();
            run = if i > 0 && key(packed[i - 1]) == key(p) {
                run + 1
            } else {
                1
            };
            if run > best.0 {
                best = (run, T::position(p));
            }
        }
        (values[0], indices[0]) = (x[best.1], best.1 as i64);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f32 = f32::NAN;

    #[test]
    fn top_and_bottom() {
        let x = [3.0, NAN, 1.0, 2.0, 5.0, 5.0, 0.0, 5.0];
        let (mut values, mut indices) = ([0.0; 4], [0; 4]);
        topk(&x, &mut values, &mut indices, (4, 2), true, true);
        assert_eq!(indices, [1, 0, 0, 1]);
        topk(&x, &mut values, &mut indices, (4, 2), false, true);
        assert_eq!((values, indices), ([1.0, 2.0, 0.0, 5.0], [2, 3, 2, 0]));
        topk::<f32>(&x, &mut [], &mut [], (4, 0), false, true);
    }

    #[test]
    fn order_statistics() {
        let x = [3.0, NAN, 1.0, 2.0, 4.0, 7.0];
        let (mut value, mut index) = ([0.0], [0]);
        median(&x, &mut value, &mut index, 6, false);
        assert!(value[0].is_nan() && index == [1]);
        median(&x, &mut value, &mut index, 6, true);
        assert_eq!((value, index), ([3.0], [0]));
        median(&[4i64, 1, 3, 2], &mut [0], &mut index, 4, false);
        assert_eq!(index, [3]);
        kthvalue(&x, &mut value, &mut index, 6, 5);
        assert_eq!((value, index), ([7.0], [5]));
        kthvalue(&x, &mut value, &mut index, 6, 6);
        assert_eq!(index, [1]);
    }

    #[test]
    fn modes() {
        let (mut value, mut index) = ([0, 0], [0, 0]);
        mode(&[3, 3, 1, 1, 2, 5, 5, 5, 1, 1], &mut value, &mut index, 5);
        assert_eq!((value, index), ([1, 5], [3, 2]));
    }
}
