//! The micro-kernels of matrix products, and the tables from which one is taken by tile height and width.
//!
//! A micro-kernel multiplies a packed panel of A (`[depth, rows]`) with a panel of B (`[depth, vectors · LANES]`) and
//! keeps the whole tile of C in registers: 14 × 2 or 8 × 3 vectors of AVX-512, 6 × 2 or 4 × 3 of AVX2.

use crate::blocked::kernel::Panel;
use crate::dots::accumulate;
use crate::isa;
use crate::simd::{Real, Simd, twin};

/// Where a tile goes and what happens to it on the way: `C = act(alpha · acc + beta · C + biases + residual)`.
#[derive(Clone, Copy)]
pub(crate) struct Tile<T> {
    pub(crate) c: *mut T,
    pub(crate) ldc: usize,
    /// Lanes in use of the last vector of each row.
    pub(crate) last: usize,
    pub(crate) alpha: T,
    /// With 0, C is not read.
    pub(crate) beta: T,
    /// One value per row, or null.
    pub(crate) row_bias: *const T,
    /// One value per column, or null.
    pub(crate) column_bias: *const T,
    /// Laid out like C, or null.
    pub(crate) residual: *const T,
    pub(crate) relu: bool,
    /// What later tiles read, and how many elements of it this one asks for with every two steps.
    pub(crate) ahead: *const T,
    pub(crate) requested: usize,
}

impl<T: Real> Tile<T> {
    /// A tile that is written as it is.
    pub(crate) fn plain(c: *mut T, ldc: usize, last: usize) -> Self {
        Tile {
            c,
            ldc,
            last,
            alpha: T::ONE,
            beta: T::ZERO,
            row_bias: std::ptr::null(),
            column_bias: std::ptr::null(),
            residual: std::ptr::null(),
            relu: false,
            ahead: c,
            requested: 0,
        }
    }
}

/// `(depth, a, b, b_stride, tile)`: A is packed with the kernel's height; row k of B starts at `b + k · b_stride`.
pub(crate) type MicroKernel<T> = unsafe fn(usize, *const T, *const T, usize, &Tile<T>);
/// `(depth, x, x_stride, w, w_stride, out)`: dot products of rows of x with rows of w into `out[row · DOTS + column]`.
pub(crate) type DotKernel<T> = unsafe fn(usize, *const T, usize, *const T, usize, *mut T);
/// `(src, src_stride, rows, depth, dst, dst_stride, width)`: transposes `rows` rows of `depth` contiguous elements
/// into `depth` rows of `width`, zero beyond `rows`. Copies, if it is `pack_rows`: see there.
pub(crate) type PackKernel<T> = unsafe fn(*const T, usize, usize, usize, *mut T, usize, usize);

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;
/// Steps of the inner dimension that are packed for all panels before the next ones, where a step's elements are
/// contiguous across panels: few enough that their cache lines stay.
pub(super) const STEPS: usize = 8;
/// Bytes from one row to the next from which on the machine does not foresee that pieces of rows follow each other.
const FAR: usize = 1024;
/// Columns of one call of a dot kernel.
pub(crate) const DOTS: usize = 4;
/// The greatest height of a micro-kernel that reads B where it lies.
pub(crate) const UNPACKED_ROWS: usize = 8;

/// The kernels of one element type in one instruction set.
pub struct KernelTable<T: 'static> {
    /// Elements per vector.
    pub(crate) lanes: usize,
    /// `packed[vectors - 1][rows - 1]`.
    packed: [&'static [MicroKernel<T>]; 3],
    /// Like `packed[1]`, with fewer instructions and more loads, where the set has such.
    rereading: &'static [MicroKernel<T>],
    /// By `rows - 1`: kernels over an unpacked B whose last vector is partial, widest first, with their vectors.
    pub(crate) unpacked: [[(usize, MicroKernel<T>); 3]; UNPACKED_ROWS],
    /// By rows of x, less one.
    pub(crate) dots: [DotKernel<T>; 4],
    /// The same for a single row of w.
    pub(crate) dot: [DotKernel<T>; 4],
    pub(crate) pack_transposed: PackKernel<T>,
    /// Asks for the same part of the rows after these, where they are far apart: they are packed next.
    pub(super) pack_transposed_ahead: PackKernel<T>,
    pub(crate) pack_rows: PackKernel<T>,
    /// Stores past the caches.
    pub(super) pack_rows_past: PackKernel<T>,
    /// Of convolutions in the blocked layout, by width of the panel.
    pub(crate) segments: &'static [Panel<T>],
}

impl<T> KernelTable<T> {
    /// The kernels over panels of `vectors` vectors, by `rows - 1`: of two ways with the same results the faster one. Intel's cores
    /// issue so few instructions beside two multiplications that it pays to save some by more loads; on others it is the loads
    /// that hold up.
    pub(crate) fn packed(&self, vectors: usize) -> &'static [MicroKernel<T>] {
        if vectors == 2 && isa::intel() {
            self.rereading
        } else {
            self.packed[vectors - 1]
        }
    }

    /// Those of two vectors, in both ways.
    #[cfg(test)]
    pub(super) fn two_ways(&self) -> (&'static [MicroKernel<T>], &'static [MicroKernel<T>]) {
        (self.packed[1], self.rereading)
    }
}

/// # Safety
/// The panels hold `depth` steps, the tile's pointers cover its rows and columns, and the machine has S.
#[inline(always)]
pub(crate) unsafe fn micro<
    S: Simd,
    const ROWS: usize,
    const VECTORS: usize,
    const UNPACKED: bool,
    const REREADING: bool,
>(
    depth: usize,
    a: *const S::Elem,
    b: *const S::Elem,
    b_stride: usize,
    tile: &Tile<S::Elem>,
) {
    // SAFETY: all addresses lie in the panels and in the tile, which the caller vouches for.
    unsafe {
        let s = S::assume();
        let mut acc = [[s.splat(S::Elem::ZERO); VECTORS]; ROWS];
        let mut at = At { a, twin: twin(a), b };
        // Two steps at a time, by addresses that are one register each: the core issues few instructions beside the
        // multiplications, and fewer when it is shared. First the rows of C are asked for, one by one, since many requests
        // at once would hold up what the steps read.
        let (mut c, mut ahead) = (tile.c.cast_const(), tile.ahead);
        let rows = ROWS.min(depth / 2);
        for _ in 0..rows {
            s.prefetch(c);
            s.prefetch(c.wrapping_add((VECTORS - 1) * S::LANES));
            c = c.wrapping_add(tile.ldc);
            step::<S, ROWS, VECTORS, UNPACKED, REREADING>(s, &mut at, b_stride, tile, &mut acc);
            step::<S, ROWS, VECTORS, UNPACKED, REREADING>(s, &mut at, b_stride, tile, &mut acc);
            (at.a, at.twin) = (twin(at.a), twin(at.twin));
        }
        for _ in rows..depth / 2 {
            s.prefetch_second(ahead);
            ahead = ahead.wrapping_add(tile.requested);
            step::<S, ROWS, VECTORS, UNPACKED, REREADING>(s, &mut at, b_stride, tile, &mut acc);
            step::<S, ROWS, VECTORS, UNPACKED, REREADING>(s, &mut at, b_stride, tile, &mut acc);
            (at.a, at.twin) = (twin(at.a), twin(at.twin));
        }
        if depth % 2 == 1 {
            step::<S, ROWS, VECTORS, UNPACKED, REREADING>(s, &mut at, b_stride, tile, &mut acc);
        }
        finish::<S, ROWS, VECTORS>(s, &acc, tile);
    }
}

/// Where the operands of a step lie.
struct At<T> {
    a: *const T,
    /// The [`twin`] of `a`.
    twin: *const T,
    b: *const T,
}

/// One step of the inner dimension of a tile.
///
/// Each row's element of A is spread over a register, from which all its vectors take it. REREADING, in a tile of two vectors
/// most rows read it once for each of them instead, in the multiplication itself: fewer instructions, and so many loads that
/// two of them for two multiplications just suffice.
///
/// # Safety
/// As for [`micro`].
#[inline(always)]
unsafe fn step<
    S: Simd,
    const ROWS: usize,
    const VECTORS: usize,
    const UNPACKED: bool,
    const REREADING: bool,
>(
    s: S,
    at: &mut At<S::Elem>,
    b_stride: usize,
    tile: &Tile<S::Elem>,
    acc: &mut [[S::Vector; VECTORS]; ROWS],
) {
    // SAFETY: as the caller vouches.
    unsafe {
        let mut row = [s.splat(S::Elem::ZERO); VECTORS];
        for v in 0..VECTORS {
            let p = at.b.add(v * S::LANES);
            row[v] = if UNPACKED && v + 1 == VECTORS {
                s.load_partial(p, tile.last)
            } else {
                s.load(p)
            };
        }
        for i in 0..ROWS {
            if REREADING && VECTORS == 2 && i < ROWS * 5 / 7 {
                acc[i][0] = s.mul_add(s.splat(*at.a.add(i)), row[0], acc[i][0]);
                acc[i][1] = s.mul_add(s.splat(*at.twin.add(i)), row[1], acc[i][1]);
                continue;
            }
            let x = s.splat(*at.a.add(i));
            for v in 0..VECTORS {
                acc[i][v] = s.mul_add(x, row[v], acc[i][v]);
            }
        }
        at.a = at.a.add(ROWS);
        at.twin = at.twin.add(ROWS);
        at.b = at.b.wrapping_add(b_stride);
    }
}

/// Applies the epilogue to the registers of a tile and stores them. The common cases address registers by constants
/// only, so that they stay registers.
#[inline(always)]
unsafe fn finish<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    acc: &[[S::Vector; VECTORS]; ROWS],
    tile: &Tile<S::Elem>,
) {
    // SAFETY: the tile's pointers cover ROWS rows of VECTORS vectors, the last of which has `last` lanes.
    unsafe {
        let unbiased = tile.last == S::LANES && tile.row_bias.is_null() && tile.residual.is_null();
        let whole = unbiased && tile.alpha == S::Elem::ONE;
        let plain = whole && tile.column_bias.is_null() && !tile.relu;
        let scaled = unbiased && tile.column_bias.is_null() && !tile.relu && tile.beta == S::Elem::ZERO;
        if whole && !tile.column_bias.is_null() && tile.beta == S::Elem::ZERO {
            // A linear layer's tile.
            let mut bias = [s.splat(S::Elem::ZERO); VECTORS];
            for v in 0..VECTORS {
                bias[v] = s.load(tile.column_bias.add(v * S::LANES));
            }
            if tile.relu {
                let zero = s.splat(S::Elem::ZERO);
                for i in 0..ROWS {
                    for v in 0..VECTORS {
                        let x = s.add(acc[i][v], bias[v]);
                        // In this order a NaN stays one.
                        s.store(tile.c.add(i * tile.ldc + v * S::LANES), s.max(zero, x));
                    }
                }
            } else {
                for i in 0..ROWS {
                    for v in 0..VECTORS {
                        s.store(tile.c.add(i * tile.ldc + v * S::LANES), s.add(acc[i][v], bias[v]));
                    }
                }
            }
        } else if plain && tile.beta == S::Elem::ZERO {
            for i in 0..ROWS {
                for v in 0..VECTORS {
                    s.store(tile.c.add(i * tile.ldc + v * S::LANES), acc[i][v]);
                }
            }
        } else if plain && tile.beta == S::Elem::ONE {
            for i in 0..ROWS {
                for v in 0..VECTORS {
                    let p = tile.c.add(i * tile.ldc + v * S::LANES);
                    s.store(p, s.add(s.load(p), acc[i][v]));
                }
            }
        } else if scaled {
            // Scores.
            let alpha = s.splat(tile.alpha);
            for i in 0..ROWS {
                for v in 0..VECTORS {
                    s.store(tile.c.add(i * tile.ldc + v * S::LANES), s.mul(acc[i][v], alpha));
                }
            }
        } else {
            let mut spilled = [s.splat(S::Elem::ZERO); 28];
            for i in 0..ROWS {
                for v in 0..VECTORS {
                    spilled[i * VECTORS + v] = acc[i][v];
                }
            }
            finish_general(s, &spilled, ROWS, VECTORS, tile);
        }
    }
}

/// # Safety
/// The tile's pointers cover `rows` rows of `vectors` vectors, the last of which has `last` lanes.
#[inline(always)]
unsafe fn finish_general<S: Simd>(
    s: S,
    acc: &[S::Vector; 28],
    rows: usize,
    vectors: usize,
    tile: &Tile<S::Elem>,
) {
    // SAFETY: as the caller vouches.
    unsafe {
        let zero = s.splat(S::Elem::ZERO);
        let (alpha, beta) = (s.splat(tile.alpha), s.splat(tile.beta));
        for i in 0..rows {
            for v in 0..vectors {
                let offset = i * tile.ldc + v * S::LANES;
                let count = if v + 1 < vectors { S::LANES } else { tile.last };
                let mut x = s.mul(acc[i * vectors + v], alpha);
                if tile.beta != S::Elem::ZERO {
                    x = s.mul_add(beta, s.load_partial(tile.c.add(offset), count), x);
                }
                if !tile.row_bias.is_null() {
                    x = s.add(x, s.splat(*tile.row_bias.add(i)));
                }
                if !tile.column_bias.is_null() {
                    x = s.add(x, s.load_partial(tile.column_bias.add(v * S::LANES), count));
                }
                if !tile.residual.is_null() {
                    x = s.add(x, s.load_partial(tile.residual.add(offset), count));
                }
                if tile.relu {
                    // In this order a NaN stays one.
                    x = s.max(zero, x);
                }
                s.store_partial(tile.c.add(offset), x, count);
            }
        }
    }
}

/// # Safety
/// ROWS rows of x and COLUMNS of w hold `depth` elements; `out` holds `(ROWS - 1) · DOTS + COLUMNS`; the machine has S.
#[inline(always)]
pub(crate) unsafe fn dots<S: Simd, const ROWS: usize, const COLUMNS: usize>(
    depth: usize,
    x: *const S::Elem,
    x_stride: usize,
    w: *const S::Elem,
    w_stride: usize,
    out: *mut S::Elem,
) {
    // SAFETY: all addresses lie in the rows and in `out`, which the caller vouches for.
    unsafe {
        let s = S::assume();
        let mut acc = [[s.splat(S::Elem::ZERO); COLUMNS]; ROWS];
        let rows = std::array::from_fn(|i| x.add(i * x_stride));
        let columns = std::array::from_fn(|j| w.add(j * w_stride));
        accumulate::<S, ROWS, COLUMNS>(s, &mut acc, rows, columns, depth);
        for i in 0..ROWS {
            for j in 0..COLUMNS {
                *out.add(i * DOTS + j) = s.reduce_sum(acc[i][j]);
            }
        }
    }
}

/// `dst[k, i] = src[i, k]` for `rows` rows of `depth` elements; see [`PackKernel`]. AHEAD, the rows after these are packed next.
///
/// # Safety
/// The blocks are readable and writable, and the machine has S.
#[inline(always)]
pub(crate) unsafe fn pack_transposed<S: Simd, const AHEAD: bool>(
    src: *const S::Elem,
    src_stride: usize,
    rows: usize,
    depth: usize,
    dst: *mut S::Elem,
    dst_stride: usize,
    width: usize,
) {
    // SAFETY: blocks inside those that the caller vouches for.
    unsafe {
        let s = S::assume();
        let far = AHEAD && src_stride * size_of::<S::Elem>() >= FAR;
        let mut i = 0;
        while i < width {
            let block = (width - i).min(S::LANES);
            let present = rows.saturating_sub(i).min(block);
            let mut k = 0;
            while k < depth {
                if far {
                    let next = src.wrapping_add((i + rows) * src_stride + k);
                    for row in 0..present {
                        s.prefetch(next.wrapping_add(row * src_stride));
                    }
                }
                s.transpose(
                    src.wrapping_add(i * src_stride + k),
                    src_stride,
                    present,
                    (depth - k).min(S::LANES),
                    dst.add(k * dst_stride + i),
                    dst_stride,
                    block,
                );
                k += S::LANES;
            }
            i += S::LANES;
        }
    }
}

/// `dst[k, i] = src[k, i]` for `depth` rows of `rows` contiguous elements, zero from there to `width`. PAST, whole vectors are
/// stored past the caches: then `dst` is aligned to a vector, `dst_stride` is a number of them, and a fence must follow.
///
/// # Safety
/// The blocks are readable and writable, and the machine has S.
#[inline(always)]
pub(crate) unsafe fn pack_rows<S: Simd, const PAST: bool>(
    src: *const S::Elem,
    src_stride: usize,
    rows: usize,
    depth: usize,
    dst: *mut S::Elem,
    dst_stride: usize,
    width: usize,
) {
    // SAFETY: blocks inside those that the caller vouches for.
    unsafe {
        let s = S::assume();
        let put = |to: *mut S::Elem, x: S::Vector| {
            if PAST {
                s.store_past(to, x);
            } else {
                s.store(to, x);
            }
        };
        let far = src_stride * size_of::<S::Elem>() >= FAR;
        if rows == 2 * S::LANES && width == rows {
            for k in 0..depth {
                if far {
                    let ahead = src.wrapping_add((k + STEPS) * src_stride);
                    s.prefetch(ahead);
                    s.prefetch(ahead.wrapping_add(S::LANES));
                }
                let (from, to) = (src.wrapping_add(k * src_stride), dst.add(k * dst_stride));
                let x = [s.load(from), s.load(from.add(S::LANES))];
                put(to, x[0]);
                put(to.add(S::LANES), x[1]);
            }
            return;
        }
        for k in 0..depth {
            let (from, to) = (src.wrapping_add(k * src_stride), dst.add(k * dst_stride));
            if far {
                let ahead = src.wrapping_add((k + STEPS) * src_stride);
                for line in (0..rows).step_by(LINE / size_of::<S::Elem>()) {
                    s.prefetch(ahead.wrapping_add(line));
                }
            }
            let mut i = 0;
            while i + S::LANES <= rows {
                put(to.add(i), s.load(from.add(i)));
                i += S::LANES;
            }
            while i < width {
                let x = s.load_partial(from.wrapping_add(i), rows.saturating_sub(i).min(S::LANES));
                s.store_partial(to.add(i), x, (width - i).min(S::LANES));
                i += S::LANES;
            }
        }
    }
}

/// The tables: one associated constant per instruction set, generic in the vector type.
pub(crate) mod tables {
    use super::{DotKernel, KernelTable, MicroKernel, PackKernel, Tile};
    use crate::blocked::kernel::{self as blocked, Panel, Segment, SegmentKernel};
    use crate::simd::Simd;
    use std::marker::PhantomData;

    macro_rules! table {
        ($(#[$meta:meta])* $name:ident, $module:ident, [$($feature:meta)?], rows [$one:tt $two:tt $three:tt], rereading $rereading:literal, unpacked $unpacked:tt, segments [$($vectors:literal $heights:tt),*]) => {
            $(#[$meta])*
            pub(crate) struct $name<S>(PhantomData<S>);

            $(#[cfg(target_arch = "x86_64")] #[doc = concat!("For ", stringify!($feature))])?
            mod $module {
                use super::*;

                $(#[$feature])?
                pub(super) unsafe fn micro<
                    S: Simd, const ROWS: usize, const VECTORS: usize, const UNPACKED: bool, const REREADING: bool,
                >(
                    depth: usize, a: *const S::Elem, b: *const S::Elem, b_stride: usize, tile: &Tile<S::Elem>,
                ) {
                    // SAFETY: the caller's contract is the same.
                    unsafe { super::super::micro::<S, ROWS, VECTORS, UNPACKED, REREADING>(depth, a, b, b_stride, tile) }
                }
                $(#[$feature])?
                pub(super) unsafe fn segments<S: Simd, const ROWS: usize, const VECTORS: usize>(
                    segments: &[Segment], x: *const S::Elem, w: *const S::Elem, tile: &blocked::Tile<S::Elem>,
                ) {
                    // SAFETY: the caller's contract is the same.
                    unsafe { blocked::segments::<S, ROWS, VECTORS>(segments, x, w, tile) }
                }
                $(#[$feature])?
                pub(super) unsafe fn dots<S: Simd, const ROWS: usize, const COLUMNS: usize>(
                    depth: usize, x: *const S::Elem, x_stride: usize, w: *const S::Elem, w_stride: usize, out: *mut S::Elem,
                ) {
                    // SAFETY: the caller's contract is the same.
                    unsafe { super::super::dots::<S, ROWS, COLUMNS>(depth, x, x_stride, w, w_stride, out) }
                }
                $(#[$feature])?
                pub(super) unsafe fn pack_transposed<S: Simd, const AHEAD: bool>(
                    src: *const S::Elem, src_stride: usize, rows: usize, depth: usize, dst: *mut S::Elem, dst_stride: usize, width: usize,
                ) {
                    // SAFETY: the caller's contract is the same.
                    unsafe { super::super::pack_transposed::<S, AHEAD>(src, src_stride, rows, depth, dst, dst_stride, width) }
                }
                $(#[$feature])?
                pub(super) unsafe fn pack_rows<S: Simd, const PAST: bool>(
                    src: *const S::Elem, src_stride: usize, rows: usize, depth: usize, dst: *mut S::Elem, dst_stride: usize, width: usize,
                ) {
                    // SAFETY: the caller's contract is the same.
                    unsafe { super::super::pack_rows::<S, PAST>(src, src_stride, rows, depth, dst, dst_stride, width) }
                }
            }

            impl<S: Simd> $name<S> {
                /// The kernels.
                pub(crate) const TABLE: &'static KernelTable<S::Elem> = &KernelTable {
                    lanes: S::LANES,
                    packed: [
                        table!(@packed $module, 1, false, $one),
                        table!(@packed $module, 2, false, $two),
                        table!(@packed $module, 3, false, $three),
                    ],
                    rereading: table!(@packed $module, 2, $rereading, $two),
                    unpacked: table!(@unpacked $module, $unpacked),
                    dots: [
                        $module::dots::<S, 1, 4> as DotKernel<S::Elem>, $module::dots::<S, 2, 4>,
                        $module::dots::<S, 3, 4>, $module::dots::<S, 4, 4>,
                    ],
                    dot: [
                        $module::dots::<S, 1, 1> as DotKernel<S::Elem>, $module::dots::<S, 2, 1>,
                        $module::dots::<S, 3, 1>, $module::dots::<S, 4, 1>,
                    ],
                    pack_transposed: $module::pack_transposed::<S, false> as PackKernel<S::Elem>,
                    pack_transposed_ahead: $module::pack_transposed::<S, true> as PackKernel<S::Elem>,
                    pack_rows: $module::pack_rows::<S, false> as PackKernel<S::Elem>,
                    pack_rows_past: $module::pack_rows::<S, true> as PackKernel<S::Elem>,
                    segments: &[$(Panel { vectors: $vectors, by_rows: table!(@segments $module, $vectors, $heights) }),*],
                };
            }
        };
        (@packed $module:ident, $vectors:literal, $rereading:literal, [$($rows:literal)*]) => {
            &[$($module::micro::<S, $rows, $vectors, false, $rereading> as MicroKernel<S::Elem>),*]
        };
        (@segments $module:ident, $vectors:literal, [$($rows:literal)*]) => {
            &[$($module::segments::<S, $rows, $vectors> as SegmentKernel<S::Elem>),*]
        };
        (@unpacked $module:ident, [$($rows:literal $vectors:literal),*]) => {
            [$([
                ($vectors, $module::micro::<S, $rows, $vectors, true, false> as MicroKernel<S::Elem>),
                (2, $module::micro::<S, $rows, 2, true, false> as MicroKernel<S::Elem>),
                (1, $module::micro::<S, $rows, 1, true, false> as MicroKernel<S::Elem>),
            ]),*]
        };
    }

    #[cfg(target_arch = "x86_64")]
    table! {
        /// 32 registers of 512 bits.
        Avx512, avx512, [target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi2")],
        rows [[1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8 9 10 11 12 13 14] [1 2 3 4 5 6 7 8]], rereading true,
        unpacked [1 8, 2 8, 3 8, 4 6, 5 4, 6 4, 7 3, 8 3],
        segments [1 [1 2 3 4 5 6 7 8 9 10 11 12 13 14], 2 [1 2 3 4 5 6 7 8 9 10 11 12 13 14]]
    }
    #[cfg(target_arch = "x86_64")]
    table! {
        /// 16 registers of 256 bits.
        Avx2, avx2, [target_feature(enable = "avx2,fma,bmi2")],
        rows [[1 2 3 4 5 6] [1 2 3 4 5 6] [1 2 3 4]], rereading false,
        unpacked [1 8, 2 6, 3 4, 4 3, 5 2, 6 2, 7 1, 8 1],
        segments [2 [1 2 3 4 5 6]]
    }
    table! {
        /// At least 16 registers of 128 bits.
        Baseline, baseline, [],
        rows [[1 2 3 4] [1 2 3 4] [1 2 3 4]], rereading false,
        unpacked [1 8, 2 4, 3 3, 4 3, 5 2, 6 2, 7 1, 8 1],
        segments [4 [1 2 3]]
    }
}
