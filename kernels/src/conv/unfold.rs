//! The unfolded image as an operand of a matrix product: row `(channel, tap)`, column `(image, output position)`.
//!
//! Columns that lie in one row of the output read one row of the input, at a distance of the stride. So a vector of
//! columns is a few masked loads, whose masks and offsets depend on the tap alone and serve all channels.

use std::ops::Range;

use super::ConvShape;
use crate::gemm::PackB;
use crate::simd::{Real, Simd, WithSimd};

/// Which input positions an output position reads, per tap.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) input: [usize; 3],
    pub(super) output: [usize; 3],
    pub(super) stride: [usize; 3],
    /// Output position p reads input position `p · stride + tap`.
    pub(super) taps: Vec<[isize; 3]>,
}

impl Window {
    pub(super) fn forward(shape: &ConvShape) -> Self {
        let offset = |d: usize, t: usize| (t * shape.dilation[d]) as isize - shape.padding[d] as isize;
        let [depth, height, width] = shape.kernel;
        let mut taps = Vec::with_capacity(shape.taps());
        for z in 0..depth {
            for y in 0..height {
                for x in 0..width {
                    taps.push([offset(0, z), offset(1, y), offset(2, x)]);
                }
            }
        }
        Window {
            input: shape.input,
            output: shape.output,
            stride: shape.stride,
            taps,
        }
    }

    pub(super) fn out_plane(&self) -> usize {
        self.output.iter().product()
    }

    pub(super) fn in_plane(&self) -> usize {
        self.input.iter().product()
    }

    /// The lanes of `count` consecutive columns of an output row, starting at input column `start`, that read inside
    /// the input: `start + lane · stride` lies in `0..width`.
    #[inline(always)]
    pub(super) fn inside(&self, start: isize, count: usize) -> Range<usize> {
        let (width, stride) = (self.input[2] as isize, self.stride[2] as isize);
        if start >= 0 && start + (count as isize - 1) * stride < width {
            return 0..count;
        }
        let first = if start >= 0 {
            0
        } else {
            (-start + stride - 1) / stride
        };
        let end = if start >= width {
            0
        } else {
            (width - 1 - start) / stride + 1
        };
        let end = (end as usize).min(count);
        (first as usize).min(end)..end
    }
}

/// An image batch `[batch, channels, …]`, of which the channels from `first_channel` on are unfolded.
pub(super) struct Unfold<'a, T> {
    window: &'a Window,
    x: &'a [T],
    /// Elements from one image to the next.
    image: usize,
    first_channel: usize,
}

/// One masked load: lanes of `mask` from `offset + lane · stride`.
#[derive(Clone, Copy)]
struct Load {
    offset: isize,
    mask: u32,
}

/// Lanes that lie in one row of the output.
#[derive(Clone, Copy, Default)]
struct Run {
    lane: usize,
    len: usize,
    image: usize,
    /// The input position of the first lane before a tap is added.
    origin: [isize; 3],
}

/// The loads of one vector of columns, for every tap.
struct Loads {
    loads: Vec<Load>,
    /// The loads of tap t are `loads[ends[t - 1]..ends[t]]`.
    ends: Vec<usize>,
}

impl<'a, T: Real> Unfold<'a, T> {
    pub(super) fn new(window: &'a Window, x: &'a [T], channels: usize, first_channel: usize) -> Self {
        Unfold {
            window,
            x,
            image: channels * window.in_plane(),
            first_channel,
        }
    }

    /// Computes the loads of `count` columns from `column` on.
    fn loads(&self, column: usize, count: usize, loads: &mut Loads) {
        let window = self.window;
        let [_, height, width] = window.output;
        let plane = window.out_plane();
        let mut runs = [Run::default(); 16];
        let (mut number, mut lane) = (0, 0);
        let (mut image, position) = (column / plane, column % plane);
        let mut out = [
            position / (height * width),
            position / width % height,
            position % width,
        ];
        while lane < count {
            let len = (width - out[2]).min(count - lane);
            let origin = std::array::from_fn(|d| (out[d] * window.stride[d]) as isize);
            runs[number] = Run {
                lane,
                len,
                image,
                origin,
            };
            number += 1;
            lane += len;
            out[2] = 0;
            out[1] += 1;
            if out[1] == height {
                out[1] = 0;
                out[0] += 1;
                if out[0] == window.output[0] {
                    out[0] = 0;
                    image += 1;
                }
            }
        }
        loads.loads.clear();
        loads.ends.clear();
        for tap in &window.taps {
            for run in &runs[..number] {
                let [z, y, x] = [
                    run.origin[0] + tap[0],
                    run.origin[1] + tap[1],
                    run.origin[2] + tap[2],
                ];
                let within = |p: isize, d: usize| p >= 0 && p < window.input[d] as isize;
                if !within(z, 0) || !within(y, 1) {
                    continue;
                }
                let lanes = window.inside(x, run.len);
                if lanes.is_empty() {
                    continue;
                }
                let mask = ((1u32 << lanes.len()) - 1) << (lanes.start + run.lane);
                let row = (z * window.input[1] as isize + y) * window.input[2] as isize;
                let offset =
                    (run.image * self.image) as isize + row + x - (run.lane * window.stride[2]) as isize;
                loads.loads.push(Load { offset, mask });
            }
            loads.ends.push(loads.loads.len());
        }
    }

    /// Calls `f(row, vector)` for the rows `rows` of the vector of columns that `loads` describes.
    #[inline(always)]
    fn for_each_row<S: Simd<Elem = T>>(
        &self,
        s: S,
        loads: &Loads,
        rows: Range<usize>,
        mut f: impl FnMut(usize, S::Vector),
    ) {
        if rows.is_empty() {
            return;
        }
        let (taps, plane) = (self.window.taps.len(), self.window.in_plane());
        let stride = self.window.stride[2];
        let (mut channel, mut tap) = (rows.start / taps, rows.start % taps);
        let mut base = self
            .x
            .as_ptr()
            .wrapping_add((self.first_channel + channel) * plane);
        for row in rows {
            let start = if tap == 0 { 0 } else { loads.ends[tap - 1] };
            let mut v = s.splat(T::ZERO);
            for load in &loads.loads[start..loads.ends[tap]] {
                let p = base.wrapping_offset(load.offset);
                // SAFETY: the mask selects lanes which read inside the input.
                unsafe {
                    v = match stride {
                        1 => s.load_masked(v, load.mask, p),
                        2 => s.add(v, s.load_every_second(load.mask, p)),
                        _ => s.add(v, load_strided(s, load.mask, p, stride)),
                    };
                }
            }
            f(row, v);
            tap += 1;
            if tap == taps {
                tap = 0;
                channel += 1;
                base = self
                    .x
                    .as_ptr()
                    .wrapping_add((self.first_channel + channel) * plane);
            }
        }
    }
}

/// Lane `i` from `p + i · stride` where the mask is set, zero elsewhere.
///
/// # Safety
/// The elements of set bits are readable.
#[inline(always)]
pub(super) unsafe fn load_strided<S: Simd>(s: S, mask: u32, p: *const S::Elem, stride: usize) -> S::Vector {
    let mut lanes = [S::Elem::ZERO; 16];
    let mut rest = mask;
    while rest != 0 {
        let i = rest.trailing_zeros() as usize;
        // SAFETY: the bit is set.
        lanes[i] = unsafe { *p.wrapping_add(i * stride) };
        rest &= rest - 1;
    }
    // SAFETY: 16 lanes hold any vector.
    unsafe { s.load(lanes.as_ptr()) }
}

impl<T: Real> PackB<T> for Unfold<'_, T> {
    unsafe fn pack(&self, depth: Range<usize>, columns: Range<usize>, width: usize, dst: *mut T) {
        T::dispatch(Pack {
            unfold: self,
            depth,
            columns,
            width,
            dst,
        });
    }
}

struct Pack<'a, T> {
    unfold: &'a Unfold<'a, T>,
    depth: Range<usize>,
    columns: Range<usize>,
    width: usize,
    dst: *mut T,
}

impl<T: Real> WithSimd<T> for Pack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let mut loads = Loads {
            loads: Vec::new(),
            ends: Vec::new(),
        };
        for start in (0..self.width).step_by(S::LANES) {
            let count = self.columns.len().saturating_sub(start).min(S::LANES);
            self.unfold.loads(self.columns.start + start, count, &mut loads);
            let (first, width, dst) = (self.depth.start, self.width, self.dst.wrapping_add(start));
            self.unfold.for_each_row(s, &loads, self.depth.clone(), |row, v| {
                // SAFETY: the caller of `PackB::pack` vouches for `depth · width` elements, of which this is one vector.
                unsafe { s.store(dst.add((row - first) * width), v) };
            });
        }
    }
}

/// The transpose: row `(image, output position)`, column `(channel, tap)`. The gradient of the weight is a product
/// with it.
pub(super) struct UnfoldTransposed<'a, T>(pub(super) Unfold<'a, T>);

impl<T: Real> PackB<T> for UnfoldTransposed<'_, T> {
    unsafe fn pack(&self, depth: Range<usize>, columns: Range<usize>, width: usize, dst: *mut T) {
        T::dispatch(PackTransposed(Pack {
            unfold: &self.0,
            depth,
            columns,
            width,
            dst,
        }));
    }
}

struct PackTransposed<'a, T>(Pack<'a, T>);

impl<T: Real> WithSimd<T> for PackTransposed<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let Pack {
            unfold,
            depth,
            columns,
            width,
            dst,
        } = self.0;
        let mut loads = Loads {
            loads: Vec::new(),
            ends: Vec::new(),
        };
        // One vector of positions for each of up to 16 rows `(channel, tap)`.
        let mut block = [T::ZERO; 16 * 16];
        for position in depth.clone().step_by(S::LANES) {
            let count = (depth.end - position).min(S::LANES);
            unfold.loads(position, count, &mut loads);
            for start in (0..width).step_by(S::LANES) {
                let rows = columns.start + start..(columns.start + start + S::LANES).min(columns.end);
                let (first, number) = (rows.start, rows.len());
                if !rows.is_empty() {
                    let block = block.as_mut_ptr();
                    unfold.for_each_row(s, &loads, rows, |row, v| {
                        // SAFETY: at most LANES rows of LANES elements, at most 16 · 16.
                        unsafe { s.store(block.add((row - first) * S::LANES), v) };
                    });
                }
                let target = dst.wrapping_add((position - depth.start) * width + start);
                // SAFETY: the block holds `number` rows; the caller of `PackB::pack` vouches for the panel.
                unsafe { s.transpose(block.as_ptr(), S::LANES, number, count, target, width, S::LANES) };
            }
        }
    }
}
