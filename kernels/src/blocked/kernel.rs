//! The micro-kernel of blocked convolutions: a tile of positions times a panel of output channels, in registers.
//!
//! Positions of an image lie [`BLOCK`] elements apart, so that the channels of a tile's positions are read where they
//! are: the inner dimension comes in segments, one for each block of input channels and tap.

use super::BLOCK;
use crate::simd::{Real, Simd};

/// A part of the inner dimension: `depth` neighbouring channels, at `offset` from the tile's first position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) offset: usize,
    pub(crate) depth: usize,
}

/// Where a tile goes and what happens to it on the way: `min(max(acc + bias + residual, low), high)`.
pub(crate) struct Tile<T> {
    /// The first position, in the panel's first block.
    pub(crate) out: *mut T,
    /// Laid out like the output, or null.
    pub(crate) residual: *const T,
    /// One value for each channel of the panel.
    pub(crate) bias: *const T,
    /// Elements from one block of the output to the next.
    pub(crate) plane: usize,
    pub(crate) low: T,
    pub(crate) high: T,
    /// Whether the outputs hold sums already, to which this part of the inner dimension is added.
    pub(crate) resumes: bool,
    /// Elements from the positions that are read to those that are asked for meanwhile.
    pub(crate) ahead: usize,
    /// Weights that are asked for meanwhile, and elements from one line of them to the next.
    next: *const T,
    next_step: usize,
}

/// Tiles that share the asking for weights, as each asks for a line in two steps, and reads two lines in one.
const ASKING_TILES: usize = 4;

impl<T: Real> Tile<T> {
    /// A tile that is written as it is.
    pub(crate) fn plain(out: *mut T, bias: *const T, plane: usize) -> Self {
        Tile {
            out,
            residual: std::ptr::null(),
            bias,
            plane,
            low: T::NEG_INFINITY,
            high: T::INFINITY,
            resumes: false,
            ahead: 0,
            next: bias,
            next_step: 0,
        }
    }

    /// Asks for its part of the `len` weights from `next` on, which are read after tile `t` and its neighbours: they come from
    /// the last cache, and faster when spread over several tiles.
    pub(crate) fn and_asks(mut self, next: *const T, len: usize, t: usize) -> Self {
        if t < ASKING_TILES {
            self.next = next.wrapping_add(t * len / ASKING_TILES);
            self.next_step = 64 / size_of::<T>();
        }
        self
    }
}

/// Elements of the weights by which they are asked for before they are read: they come from the last cache, and once.
const AHEAD: usize = 1024;

/// `(segments, x, w, tile)`: w is packed as `[segment, depth, channels of the panel]`.
pub(crate) type SegmentKernel<T> = unsafe fn(&[Segment], *const T, *const T, &Tile<T>);

/// The kernels of one panel width.
#[derive(Clone, Copy)]
pub(crate) struct Panel<T: 'static> {
    /// Vectors of output channels.
    pub(crate) vectors: usize,
    /// By positions of the tile, less one.
    pub(crate) by_rows: &'static [SegmentKernel<T>],
}

/// # Safety
/// The segments lie in the input, w and bias hold the panel, the tile's pointers cover ROWS positions of its blocks (with sums
/// in the outputs if it resumes), and the machine has S.
#[inline(always)]
pub(crate) unsafe fn segments<S: Simd, const ROWS: usize, const VECTORS: usize>(
    segments: &[Segment],
    x: *const S::Elem,
    mut w: *const S::Elem,
    tile: &Tile<S::Elem>,
) {
    // SAFETY: all addresses lie in what the caller vouches for.
    unsafe {
        let s = S::assume();
        let mut acc = [[s.splat(S::Elem::ZERO); VECTORS]; ROWS];
        for v in 0..VECTORS {
            let channel = v * S::LANES;
            let (first, step) = if tile.resumes {
                let offset = channel / BLOCK * tile.plane + channel % BLOCK;
                (tile.out.cast_const().wrapping_add(offset), BLOCK)
            } else {
                (tile.bias.wrapping_add(channel), 0)
            };
            for i in 0..ROWS {
                acc[i][v] = s.load(first.wrapping_add(i * step));
            }
        }
        // By the time that the sums are there, so are the lines that they go to.
        for v in 0..VECTORS {
            let channel = v * S::LANES;
            let offset = channel / BLOCK * tile.plane + channel % BLOCK;
            for i in 0..ROWS {
                if !tile.resumes {
                    s.prefetch(tile.out.wrapping_add(offset + i * BLOCK));
                }
                if !tile.residual.is_null() {
                    s.prefetch(tile.residual.wrapping_add(offset + i * BLOCK));
                }
            }
        }
        let mut next = tile.next;
        for segment in segments {
            let mut x = x.add(segment.offset);
            let mut ahead = x.wrapping_add(tile.ahead);
            // Two steps at a time: the core issues few instructions beside the multiplications.
            for _ in 0..segment.depth / 2 {
                s.prefetch(next);
                next = next.wrapping_add(tile.next_step);
                s.prefetch(ahead);
                s.prefetch(ahead.wrapping_add(BLOCK));
                ahead = ahead.wrapping_add(2 * BLOCK);
                for step in 0..2 {
                    add_step::<S, ROWS, VECTORS>(s, x.add(step), w.add(step * VECTORS * S::LANES), &mut acc);
                }
                x = x.add(2);
                w = w.add(2 * VECTORS * S::LANES);
            }
            if segment.depth % 2 == 1 {
                add_step::<S, ROWS, VECTORS>(s, x, w, &mut acc);
                w = w.add(VECTORS * S::LANES);
            }
        }
        let (low, high) = (s.splat(tile.low), s.splat(tile.high));
        for v in 0..VECTORS {
            let channel = v * S::LANES;
            let offset = channel / BLOCK * tile.plane + channel % BLOCK;
            for i in 0..ROWS {
                let mut value = acc[i][v];
                if !tile.residual.is_null() {
                    value = s.add(value, s.load(tile.residual.add(offset + i * BLOCK)));
                }
                // In this order a NaN stays one.
                value = s.min(high, s.max(low, value));
                s.store(tile.out.add(offset + i * BLOCK), value);
            }
        }
    }
}

/// One step of the inner dimension: a channel of all positions times its row of weights.
///
/// # Safety
/// As for [`segments`]; `x` is the channel at the first position.
#[inline(always)]
unsafe fn add_step<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    x: *const S::Elem,
    w: *const S::Elem,
    acc: &mut [[S::Vector; VECTORS]; ROWS],
) {
    // SAFETY: as the caller vouches.
    unsafe {
        for line in (0..VECTORS * S::LANES).step_by(64 / size_of::<S::Elem>()) {
            s.prefetch(w.wrapping_add(AHEAD + line));
        }
        let mut row = [s.splat(S::Elem::ZERO); VECTORS];
        for v in 0..VECTORS {
            row[v] = s.load(w.add(v * S::LANES));
        }
        for i in 0..ROWS {
            let a = s.splat(*x.add(i * BLOCK));
            for v in 0..VECTORS {
                acc[i][v] = s.mul_add(a, row[v], acc[i][v]);
            }
        }
    }
}
