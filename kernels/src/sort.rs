//! Sorting along rows: torch's `sort`, `argsort`, `topk`, `kthvalue`, `median`, `nanmedian`, `mode`, `unique`,
//! `unique_consecutive`.
//!
//! Data is `[rows, len]`. Elements are mapped to integers of the same order ([`SortKey`]; NaN is the greatest, -0 equals
//! 0) and packed with their position, so that one sort of plain integers gives a stable order of values and indices.

mod select;
mod unique;

pub use select::{kthvalue, median, mode, topk};
pub use unique::{Unique, unique, unique_consecutive, unique_rows};

use half::{bf16, f16};

use crate::element::Pod;
use crate::pool;

/// An element with a total order as an unsigned integer.
pub trait SortKey: Pod {
    /// The key and a position in one integer.
    type Packed: Ord + Copy + Send + Sync;

    /// The key: ascending with the value, equal for equal values; all NaN share the greatest.
    fn sort_key(self) -> u64;
    /// Packs `key` (inverted for a descending order) above `position`.
    fn pack(self, position: u32, descending: bool) -> Self::Packed;
    /// The position in a packed integer.
    fn position(packed: Self::Packed) -> usize;
    /// Whether this is a NaN.
    #[inline(always)]
    #[allow(clippy::eq_op)]
    fn is_nan(self) -> bool {
        self != self
    }
}

macro_rules! sort_key {
    ($($t:ty, $packed:ty, $key:ty, |$x:ident| $map:expr;)*) => { $(
        impl SortKey for $t {
            type Packed = $packed;

            #[inline(always)]
            fn sort_key(self) -> u64 {
                let $x = self;
                let key: $key = $map;
                key as u64
            }
            #[inline(always)]
            fn pack(self, position: u32, descending: bool) -> $packed {
                let $x = self;
                let key: $key = $map;
                ((if descending { !key } else { key }) as $packed) << 32 | position as $packed
            }
            #[inline(always)]
            fn position(packed: $packed) -> usize {
                packed as u32 as usize
            }
        }
    )* };
}
sort_key! {
    f32, u64, u32, |x| float_key32(x);
    f16, u64, u32, |x| float_key32(x.to_f32());
    bf16, u64, u32, |x| float_key32(x.to_f32());
    f64, u128, u64, |x| float_key64(x);
    i64, u128, u64, |x| (x as u64) ^ (1 << 63);
    i32, u64, u32, |x| (x as u32) ^ (1 << 31);
    i16, u64, u32, |x| (x as i32 as u32) ^ (1 << 31);
    i8, u64, u32, |x| (x as i32 as u32) ^ (1 << 31);
    u8, u64, u32, |x| x as u32;
    u32, u64, u32, |x| x;
}

/// Negative floats count down as integers: their bits are inverted; the others come above them.
#[inline(always)]
fn float_key32(x: f32) -> u32 {
    if x.is_nan() {
        return u32::MAX;
    }
    let bits = (x + 0.0).to_bits();
    bits ^ ((bits as i32 >> 31) as u32 | 1 << 31)
}

#[inline(always)]
fn float_key64(x: f64) -> u64 {
    if x.is_nan() {
        return u64::MAX;
    }
    let bits = (x + 0.0).to_bits();
    bits ^ ((bits as i64 >> 63) as u64 | 1 << 63)
}

fn pack_row<T: SortKey>(x: &[T], descending: bool, packed: &mut Vec<T::Packed>) {
    assert!(x.len() <= u32::MAX as usize);
    packed.clear();
    packed.extend(x.iter().enumerate().map(|(i, &x)| x.pack(i as u32, descending)));
}

/// Rows shorter than this are sorted as they are; longer ones in pieces in parallel, then merged.
const PIECE: usize = 1 << 16;

/// Sorts packed integers. They are all different, so the result doesn't depend on how the work is split.
fn sort_packed<P: Ord + Copy + Send + Sync>(packed: &mut Vec<P>) {
    let len = packed.len();
    if len <= PIECE {
        return packed.sort_unstable();
    }
    pool::parallel_chunks_mut(packed, PIECE, |_, piece| piece.sort_unstable());
    let mut other = packed.clone();
    let mut width = PIECE;
    while width < len {
        let source = &*packed;
        pool::parallel_chunks_mut(&mut other, 2 * width, |first, out| {
            let pair = &source[first..first + out.len()];
            let (a, b) = pair.split_at(width.min(pair.len()));
            merge(a, b, out);
        });
        std::mem::swap(packed, &mut other);
        width *= 2;
    }
}

/// Merges two sorted runs.
fn merge<P: Ord + Copy + Send + Sync>(a: &[P], b: &[P], out: &mut [P]) {
    let (mut i, mut j) = (0, 0);
    for o in out {
        let from_a = j == b.len() || (i < a.len() && a[i] < b[j]);
        *o = if from_a { a[i] } else { b[j] };
        i += from_a as usize;
        j += !from_a as usize;
    }
}

/// Sorts every row, stably: `values` and `indices` are `[rows, len]`.
pub fn sort<T: SortKey>(x: &[T], values: &mut [T], indices: &mut [i64], len: usize, descending: bool) {
    for_rows(
        x,
        (values, len),
        (indices, len),
        len,
        |x, packed, values, indices| {
            pack_row(x, descending, packed);
            sort_packed(packed);
            unpack(x, packed, values, indices);
        },
    );
}

/// The indices that sort every row, stably.
pub fn argsort<T: SortKey>(x: &[T], indices: &mut [i64], len: usize, descending: bool) {
    let mut values = crate::mem::Buf::take(x.len());
    sort(x, &mut values, indices, len, descending);
}

fn unpack<T: SortKey>(x: &[T], packed: &[T::Packed], values: &mut [T], indices: &mut [i64]) {
    for ((v, i), &p) in values.iter_mut().zip(indices).zip(packed) {
        let at = T::position(p);
        (*v, *i) = (x[at], at as i64);
    }
}

/// Calls `f(row, scratch, piece of values, piece of indices)` for every row, in parallel.
fn for_rows<T: SortKey>(
    x: &[T],
    (values, per_row): (&mut [T], usize),
    (indices, per_row_of_indices): (&mut [i64], usize),
    len: usize,
    f: impl Fn(&[T], &mut Vec<T::Packed>, &mut [T], &mut [i64]) + Sync,
) {
    assert_eq!((values.len(), per_row), (indices.len(), per_row_of_indices));
    if values.is_empty() || len == 0 {
        return;
    }
    let mut pieces: Vec<_> = x
        .chunks(len)
        .zip(values.chunks_mut(per_row))
        .zip(indices.chunks_mut(per_row))
        .collect();
    let rows = if pieces.len() == 1 {
        1
    } else {
        (1usize << 12).div_ceil(len)
    };
    #[allow(clippy::type_complexity)] // a row to read with the row and the indices to write; used here alone
    let run = |pieces: &mut [((&[T], &mut [T]), &mut [i64])]| {
        let mut packed = Vec::with_capacity(len);
        for ((x, values), indices) in pieces {
            f(x, &mut packed, values, indices);
        }
    };
    if pieces.len() <= rows {
        // Not inside a task, so that a long row may be sorted in parallel.
        return run(&mut pieces);
    }
    pool::parallel_chunks_mut(&mut pieces, rows, |_, pieces| run(pieces));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted<T: SortKey>(x: &[T], len: usize, descending: bool) -> (Vec<T>, Vec<i64>) {
        let (mut values, mut indices) = (x.to_vec(), vec![0; x.len()]);
        sort(x, &mut values, &mut indices, len, descending);
        (values, indices)
    }

    #[test]
    fn nan_is_greatest_and_ties_keep_their_order() {
        let x = [
            3.0f32,
            f32::NAN,
            -1.0,
            0.0,
            -0.0,
            f32::NEG_INFINITY,
            3.0,
            f32::INFINITY,
        ];
        assert_eq!(sorted(&x, 8, false).1, [5, 2, 3, 4, 0, 6, 7, 1]);
        assert_eq!(sorted(&x, 8, true).1, [1, 7, 0, 6, 3, 4, 2, 5]);
        let x = x.map(f64::from);
        assert_eq!(sorted(&x, 8, false).1, [5, 2, 3, 4, 0, 6, 7, 1]);
        assert_eq!(
            sorted(&[2i64, -5, 7, -5, 0, i64::MIN], 3, false),
            (vec![-5, 2, 7, i64::MIN, -5, 0], vec![1, 0, 2, 2, 0, 1],)
        );
        assert_eq!(sorted(&[3u8, 200, 0], 3, true).0, [200, 3, 0]);
        assert_eq!(sorted(&[3i8, -100, 0], 3, true).1, [0, 2, 1]);
    }

    #[test]
    fn long_rows() {
        let x: Vec<i32> = (0..300_001u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 12) as i32 % 1000)
            .collect();
        let (values, indices) = sorted(&x, x.len(), false);
        assert!(values.windows(2).all(|w| w[0] <= w[1]));
        assert!(values.iter().zip(&indices).all(|(&v, &i)| x[i as usize] == v));
        let stable = values
            .windows(2)
            .zip(indices.windows(2))
            .all(|(v, i)| v[0] < v[1] || i[0] < i[1]);
        assert!(stable);
        let mut order = vec![0; x.len()];
        argsort(&x, &mut order, x.len(), false);
        assert_eq!(order, indices);
    }
}
