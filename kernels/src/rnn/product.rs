//! Products of a recurrent layer: many, of few rows each, with a matrix that is packed once. The rows, which have often just
//! been written, are read where they lie: to pack them, as a product of the general kind does, takes up to a tenth of its time.
//!
//! Sums run over the same blocks of the inner dimension and in the same order as in [`gemm`](crate::gemm), so the bits
//! are the same.

use std::ops::Range;

use crate::gemm::{DEPTH_BLOCK, MatRef, PackB};
use crate::mem::Buf;
use crate::pool::{SendPtr, num_threads, parallel_for};
use crate::simd::{Real, Simd, WithSimd, twin};

/// Elements to leave between rows that would otherwise be a multiple of [`PAGE`] apart: a cache line or two.
pub(super) const GAP: usize = 16;
/// Vectors in a row of a panel.
const VECTORS: usize = 2;
/// Rows so many bytes apart share one set of the first-level cache, which doesn't hold all of a tile's.
const PAGE: usize = 4096;
/// Rows of the highest tile of any instruction set.
const HIGHEST: usize = 14;
/// Multiplications below which a product is one task.
const SERIAL_WORK: usize = 1 << 18;

/// A right operand, in panels of `VECTORS` vectors: block by block of the inner dimension, panel by panel.
pub(super) struct Packed<T: Real> {
    panels: Buf<T>,
    rows: usize,
    columns: usize,
    /// Columns of a panel.
    width: usize,
}

impl<T: Real> Packed<T> {
    pub(super) fn new(matrix: MatRef<'_, T>) -> Self {
        let (rows, columns) = (matrix.rows, matrix.columns);
        let width = VECTORS * T::kernel_table().lanes;
        let count = columns.div_ceil(width);
        let mut panels = Buf::<T>::take(count * width * rows);
        let base = SendPtr(panels.as_mut_ptr());
        parallel_for(count, |panel| {
            for depth in blocks::<T>(rows) {
                let at = width * (count * depth.start + panel * depth.len());
                let columns = panel * width..((panel + 1) * width).min(columns);
                // SAFETY: the ranges lie inside the matrix; this task alone writes this panel, which lies inside the buffer.
                unsafe { matrix.pack(depth, columns, width, base.ptr().add(at)) };
            }
        });
        Packed {
            panels,
            rows,
            columns,
            width,
        }
    }
}

/// The blocks of an inner dimension.
fn blocks<T>(depth: usize) -> impl Iterator<Item = Range<usize>> {
    let count = depth.div_ceil(DEPTH_BLOCK * 4 / size_of::<T>()).max(1);
    (0..count).map(move |i| i * depth / count..(i + 1) * depth / count)
}

/// What is added to a product.
#[derive(Clone, Copy)]
pub(super) enum Plus<'a, T> {
    Nothing,
    /// What C holds.
    Itself,
    /// A value for each column.
    Bias(&'a [T]),
}

impl<'a, T> From<Option<&'a [T]>> for Plus<'a, T> {
    fn from(bias: Option<&'a [T]>) -> Self {
        bias.map_or(Plus::Nothing, Plus::Bias)
    }
}

/// `C = A·B + plus`. Rows of A are `a_stride` elements apart, those of C lie close together.
///
/// # Panics
/// If A, C or the bias is too short.
pub(super) fn product<T: Real>(a: &[T], a_stride: usize, b: &Packed<T>, c: &mut [T], plus: Plus<'_, T>) {
    if c.is_empty() {
        return;
    }
    let rows = c.len() / b.columns;
    assert!(
        a_stride >= b.rows && a.len() >= (rows - 1) * a_stride + b.rows,
        "rnn: {rows} rows of {} elements, {a_stride} apart, are not in {}",
        b.rows,
        a.len()
    );
    if let Plus::Bias(bias) = plus {
        assert!(bias.len() >= b.columns, "rnn: the size of a bias");
    }
    let mut apart;
    let (a, a_stride) = if rows > 1 && b.rows > 0 && (a_stride * size_of::<T>()).is_multiple_of(PAGE) {
        let stride = b.rows + GAP;
        apart = Buf::<T>::take(rows * stride);
        for (to, from) in apart.chunks_exact_mut(stride).zip(a.chunks(a_stride)) {
            to[..b.rows].copy_from_slice(&from[..b.rows]);
        }
        (&apart[..], stride)
    } else {
        (a, a_stride)
    };
    let height = T::kernel_table().packed(VECTORS).len();
    let (groups, panels) = (rows.div_ceil(height), b.columns.div_ceil(b.width));
    // Rows are only split where there are too few panels for the threads.
    let is_serial = rows * b.rows * b.columns < SERIAL_WORK;
    let parts = if is_serial {
        1
    } else {
        (2 * num_threads()).div_ceil(panels).min(groups)
    };
    let c = SendPtr(c.as_mut_ptr());
    let run = |task: usize| {
        let (panel, part) = (task / parts, task % parts);
        T::dispatch(Task {
            a,
            a_stride,
            b,
            c,
            plus,
            panel,
            groups: (part * groups / parts..(part + 1) * groups / parts, groups),
            rows,
        })
    };
    if is_serial {
        (0..panels).for_each(run)
    } else {
        parallel_for(panels * parts, run)
    }
}

/// Some groups of rows times a panel.
struct Task<'a, T: Real> {
    a: &'a [T],
    a_stride: usize,
    b: &'a Packed<T>,
    c: SendPtr<T>,
    plus: Plus<'a, T>,
    panel: usize,
    /// Which groups, and of how many.
    groups: (Range<usize>, usize),
    rows: usize,
}

impl<T: Real> WithSimd<T> for Task<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let Packed {
            panels,
            rows: depth,
            columns,
            width,
        } = self.b;
        assert_eq!(
            *width,
            VECTORS * S::LANES,
            "rnn: packed for another instruction set"
        );
        let first = self.panel * width;
        let count = (columns - first).min(*width);
        for block in blocks::<T>(*depth) {
            let at = width * (columns.div_ceil(*width) * block.start + self.panel * block.len());
            let panel = &panels[at..][..width * block.len()];
            for group in self.groups.0.clone() {
                let row = group * self.rows / self.groups.1;
                let height = (group + 1) * self.rows / self.groups.1 - row;
                let tile = Tile {
                    depth: block.len(),
                    a: self.a[row * self.a_stride + block.start..].as_ptr(),
                    a_stride: self.a_stride,
                    b: panel.as_ptr(),
                    c: self.c.ptr().wrapping_add(row * columns + first),
                    c_stride: *columns,
                    count,
                    add: block.start > 0 || matches!(self.plus, Plus::Itself),
                    bias: match self.plus {
                        Plus::Bias(bias) if block.end == *depth => bias[first..][..count].as_ptr(),
                        _ => std::ptr::null(),
                    },
                };
                macro_rules! run {
                    ($($height:literal)*) => {
                        match height {
                            // SAFETY: `product` has checked that the rows lie in A; the panel has the block's depth; this task
                            // alone writes this tile, which lies inside C.
                            $($height => unsafe { tile.run::<S, $height>(s) },)*
                            _ => unreachable!("no micro-kernel is {height} rows tall"),
                        }
                    };
                }
                run!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
            }
        }
    }
}

/// How far the rows of A lie from the first one. The distance of row `i` is the odd part of `i`, which a register holds, times a
/// power of two, which an address takes care of: so no instruction is spent on addresses.
struct Rows([usize; HIGHEST / 2]);

impl Rows {
    /// For rows `stride` bytes apart.
    #[inline(always)]
    fn new(stride: usize) -> Self {
        // Hidden from the compiler, which would add the stride row by row.
        Rows(std::array::from_fn(|i| {
            twin(((2 * i + 1) * stride) as *const u8) as usize
        }))
    }

    #[inline(always)]
    fn of(&self, row: usize) -> usize {
        if row == 0 {
            return 0;
        }
        let powers = row.trailing_zeros();
        self.0[row >> powers >> 1] << powers
    }
}

/// One step of the inner dimension: an element of each row of A times a row of the panel.
///
/// # Safety
/// The element of each row lies in A, and B has VECTORS vectors.
#[inline(always)]
unsafe fn step<S: Simd, const ROWS: usize>(
    s: S,
    a: *const S::Elem,
    rows: &Rows,
    b: *const S::Elem,
    sums: &mut [[S::Vector; VECTORS]; ROWS],
) {
    // SAFETY: as the caller vouches.
    unsafe {
        let mut row = [s.splat(S::Elem::ZERO); VECTORS];
        for v in 0..VECTORS {
            row[v] = s.load(b.add(v * S::LANES));
        }
        for i in 0..ROWS {
            let x = s.splat(*a.byte_add(rows.of(i)));
            for v in 0..VECTORS {
                sums[i][v] = s.mul_add(x, row[v], sums[i][v]);
            }
        }
    }
}

/// A tile of C, which stays in registers, and where its operands lie.
struct Tile<T> {
    depth: usize,
    a: *const T,
    a_stride: usize,
    b: *const T,
    c: *mut T,
    c_stride: usize,
    /// Columns.
    count: usize,
    add: bool,
    /// A value for each column, or null.
    bias: *const T,
}

impl<T: Real> Tile<T> {
    /// # Safety
    /// A has ROWS rows of `depth` elements, B `depth` rows of VECTORS vectors, C ROWS rows of `count` elements.
    #[inline(always)]
    unsafe fn run<S: Simd<Elem = T>, const ROWS: usize>(&self, s: S) {
        // SAFETY: all addresses lie in the operands, which the caller vouches for.
        unsafe {
            let mut sums = [[s.splat(T::ZERO); VECTORS]; ROWS];
            let (mut a, mut b) = (self.a, self.b);
            let rows = Rows::new(self.a_stride * size_of::<T>());
            // Two steps at a time: the core issues few instructions beside the multiplications.
            for _ in 0..self.depth / 2 {
                step::<S, ROWS>(s, a, &rows, b, &mut sums);
                step::<S, ROWS>(s, a.add(1), &rows, b.add(VECTORS * S::LANES), &mut sums);
                (a, b) = (a.add(2), b.add(2 * VECTORS * S::LANES));
            }
            if self.depth % 2 == 1 {
                step::<S, ROWS>(s, a, &rows, b, &mut sums);
            }
            if self.count < VECTORS * S::LANES {
                let mut spilled = [s.splat(T::ZERO); HIGHEST * VECTORS];
                for i in 0..ROWS {
                    for v in 0..VECTORS {
                        spilled[i * VECTORS + v] = sums[i][v];
                    }
                }
                return self.store_part(s, &spilled[..ROWS * VECTORS]);
            }
            // These loops address registers by constants only, so that they stay registers.
            if self.add {
                for i in 0..ROWS {
                    for v in 0..VECTORS {
                        let c = self.c.add(i * self.c_stride + v * S::LANES);
                        sums[i][v] = s.add(s.load(c), sums[i][v]);
                    }
                }
            }
            if !self.bias.is_null() {
                for v in 0..VECTORS {
                    let bias = s.load(self.bias.add(v * S::LANES));
                    for i in 0..ROWS {
                        sums[i][v] = s.add(sums[i][v], bias);
                    }
                }
            }
            for i in 0..ROWS {
                for v in 0..VECTORS {
                    s.store(self.c.add(i * self.c_stride + v * S::LANES), sums[i][v]);
                }
            }
        }
    }

    /// Stores a tile that is less than whole vectors wide.
    ///
    /// # Safety
    /// C has as many rows as there are sums for, of `count` elements, and the bias has as many.
    #[inline(always)]
    unsafe fn store_part<S: Simd<Elem = T>>(&self, s: S, sums: &[S::Vector]) {
        for (i, sums) in sums.chunks_exact(VECTORS).enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                let (first, mut sum) = (v * S::LANES, sum);
                let count = self.count.saturating_sub(first).min(S::LANES);
                let c = self.c.wrapping_add(i * self.c_stride + first);
                // SAFETY: the first `count` lanes, which lie in C and in the bias.
                unsafe {
                    if self.add {
                        sum = s.add(s.load_partial(c, count), sum);
                    }
                    if !self.bias.is_null() {
                        sum = s.add(sum, s.load_partial(self.bias.wrapping_add(first), count));
                    }
                    s.store_partial(c, sum, count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::{Epilogue, PackedB, gemm_packed};
    use crate::testing::{Lcg, for_every_isa};

    fn compare<T: Real>(random: &mut Lcg, rows: usize, depth: usize, columns: usize, stride: usize) {
        let (a, b) = (random.vec::<T>(rows * stride), random.vec::<T>(depth * columns));
        let (c, bias) = (random.vec::<T>(rows * columns), random.vec::<T>(columns));
        let matrix = MatRef::row_major(&b, depth, columns);
        let (packed, general) = (Packed::new(matrix), PackedB::new(matrix));
        let plain = Epilogue::default();
        let add = Epilogue {
            beta: T::ONE,
            ..plain
        };
        let biased = Epilogue {
            column_bias: Some(&bias),
            ..plain
        };
        for (plus, epilogue) in [
            (Plus::Nothing, plain),
            (Plus::Itself, add),
            (Plus::Bias(&bias), biased),
        ] {
            let (mut got, mut want) = (c.clone(), c.clone());
            product(&a, stride, &packed, &mut got, plus);
            let a = MatRef::new(&a, rows, depth, stride, 1);
            gemm_packed(a, &general, &mut want, columns, &epilogue);
            for (got, want) in got.iter().zip(&want) {
                assert_eq!(got.to_f64().to_bits(), want.to_f64().to_bits());
            }
        }
    }

    #[test]
    fn a_product_has_the_bits_of_gemm() {
        for_every_isa(|| {
            let mut random = Lcg::new(24);
            // One block of the inner dimension and several; whole panels and parts; rows a page apart.
            for (depth, stride) in [(1, 1), (40, 57), (500, 516), (1000, 1024)] {
                for columns in [1, 32, 75] {
                    for rows in [1, 9, 37] {
                        compare::<f32>(&mut random, rows, depth, columns, stride);
                        compare::<f64>(&mut random, rows, depth, columns, stride);
                    }
                }
            }
        });
    }
}
