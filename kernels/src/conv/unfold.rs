//! The unfolded image as an operand of a matrix product: row `(channel, tap)`, column `(image, output position)`.
//!
//! Columns that lie in one row of the output read one row of the input, at a distance of the stride. So a vector of
//! columns is a few masked loads, whose masks and offsets depend on the tap alone and serve all channels.

use std::ops::Range;

use super::ConvShape;
use crate::gemm::PackB;
use crate::simd::{Real, Simd, WithSimd, spread};

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

    /// The start of the input row that a tap reads for row `(z, y)` of the output, if there is one.
    #[inline(always)]
    pub(super) fn input_row(&self, z: usize, y: usize, tap: &[isize; 3]) -> Option<usize> {
        let row = (z * self.stride[0]) as isize + tap[0];
        let column = (y * self.stride[1]) as isize + tap[1];
        let inside =
            (0..self.input[0] as isize).contains(&row) && (0..self.input[1] as isize).contains(&column);
        inside.then(|| (row as usize * self.input[1] + column as usize) * self.input[2])
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

/// Channels by which a copied one is asked for ahead.
const AHEAD: usize = 5;

/// One masked load: lanes of `mask` from `offset + lane · stride`.
#[derive(Clone, Copy)]
struct Load {
    offset: isize,
    /// Bit `lane`, or with a stride of 2 bit `2 · lane`.
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

/// The loads of consecutive vectors of columns, for every tap.
#[derive(Default)]
struct Loads {
    loads: Vec<Load>,
    /// Those of tap t of vector v are `loads[ends[i]..ends[i + 1]]` with `i = v · taps + t`.
    ends: Vec<usize>,
}

impl Loads {
    /// Those of index `i`.
    #[inline(always)]
    fn get(&self, i: usize) -> &[Load] {
        // SAFETY: `ends` rises up to the number of loads.
        unsafe { self.loads.get_unchecked(self.ends[i]..self.ends[i + 1]) }
    }
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

    /// Where in a channel of the first image these columns begin, if the window reads one position for each of the output and
    /// they lie in one image.
    fn contiguous(&self, columns: &Range<usize>) -> Option<usize> {
        let (window, plane) = (self.window, self.window.out_plane());
        let pointwise =
            window.taps[..] == [[0; 3]] && window.stride == [1; 3] && window.input == window.output;
        let image = columns.start / plane;
        (pointwise && columns.end <= (image + 1) * plane).then(|| image * self.image + columns.start % plane)
    }

    /// The loads of columns `columns`, cut into vectors of `lanes`.
    fn loads(&self, columns: Range<usize>, lanes: usize) -> Loads {
        let mut loads = Loads::default();
        loads.ends.push(0);
        for column in columns.clone().step_by(lanes) {
            self.push_loads(column, (columns.end - column).min(lanes), &mut loads);
        }
        loads
    }

    /// Adds the loads of `count` columns from `column` on.
    fn push_loads(&self, column: usize, count: usize, loads: &mut Loads) {
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
                let mask = if window.stride[2] == 2 { spread(mask) } else { mask };
                let row = (z * window.input[1] as isize + y) * window.input[2] as isize;
                let offset =
                    (run.image * self.image) as isize + row + x - (run.lane * window.stride[2]) as isize;
                loads.loads.push(Load { offset, mask });
            }
            loads.ends.push(loads.loads.len());
        }
    }

    /// The vector that `loads` make of the channel that starts at `base`. STRIDE is 1, 2, or 0 for any other.
    #[inline(always)]
    fn load<S: Simd<Elem = T>, const STRIDE: usize>(
        &self,
        s: S,
        loads: &[Load],
        base: *const T,
    ) -> S::Vector {
        let mut vector = s.splat(T::ZERO);
        for load in loads {
            let p = base.wrapping_offset(load.offset);
            // SAFETY: the mask selects lanes which read inside the input.
            unsafe {
                vector = match STRIDE {
                    1 => s.load_masked(vector, load.mask, p),
                    2 => s.add(vector, s.load_every_second(load.mask, p)),
                    _ => s.add(vector, load_strided(s, load.mask, p, self.window.stride[2])),
                };
            }
        }
        vector
    }

    /// Where channel `channel` of those that are unfolded starts in the first image.
    fn channel(&self, channel: usize) -> *const T {
        self.x
            .as_ptr()
            .wrapping_add((self.first_channel + channel) * self.window.in_plane())
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
        T::dispatch(Pack::<T, false> {
            unfold: self,
            depth,
            columns,
            width,
            dst,
        });
    }
}

struct Pack<'a, T, const TRANSPOSED: bool> {
    unfold: &'a Unfold<'a, T>,
    depth: Range<usize>,
    columns: Range<usize>,
    width: usize,
    dst: *mut T,
}

impl<T: Real, const TRANSPOSED: bool> WithSimd<T> for Pack<'_, T, TRANSPOSED> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        match self.unfold.window.stride[2] {
            1 => self.pack::<S, 1>(s),
            2 => self.pack::<S, 2>(s),
            _ => self.pack::<S, 0>(s),
        }
    }
}

impl<T: Real, const TRANSPOSED: bool> Pack<'_, T, TRANSPOSED> {
    /// A `STRIDE` of 0 stands for those that have no code of their own.
    #[inline(always)]
    fn pack<S: Simd<Elem = T>, const STRIDE: usize>(self, s: S) {
        if TRANSPOSED {
            self.columns::<S, STRIDE>(s)
        } else {
            self.rows::<S, STRIDE>(s)
        }
    }

    /// Copies channels, each from `start` on.
    #[inline(always)]
    fn copy<S: Simd<Elem = T>>(self, s: S, start: usize) {
        let Pack {
            unfold,
            depth,
            columns,
            width,
            dst,
        } = self;
        let plane = unfold.window.in_plane();
        for (row, channel) in depth.clone().enumerate() {
            let base = unfold.channel(channel).wrapping_add(start);
            for (q, first) in (0..columns.len()).step_by(width).enumerate() {
                let (from, count) = (base.wrapping_add(first), (columns.len() - first).min(width));
                // SAFETY: `count` elements of the channel; the caller of `PackB::pack` vouches for the panels.
                unsafe {
                    let to = dst.add((q * depth.len() + row) * width);
                    for v in (0..width).step_by(S::LANES) {
                        s.prefetch(from.wrapping_add(AHEAD * plane + v));
                        let here = count.saturating_sub(v).min(S::LANES);
                        let vector = if here == S::LANES {
                            s.load(from.add(v))
                        } else {
                            s.load_partial(from.wrapping_add(v), here)
                        };
                        s.store(to.add(v), vector);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn rows<S: Simd<Elem = T>, const STRIDE: usize>(self, s: S) {
        if let Some(start) = self.unfold.contiguous(&self.columns) {
            return self.copy(s, start);
        }
        let Pack {
            unfold,
            depth,
            columns,
            width,
            dst,
        } = self;
        let taps = unfold.window.taps.len();
        if depth.is_empty() {
            return;
        }
        let vectors = columns.len().div_ceil(S::LANES);
        let loads = unfold.loads(columns, S::LANES);
        let per_panel = width / S::LANES;
        // With few taps the next channel comes too soon for its first cache lines to be there.
        let ahead = (1 + 4 / taps) * unfold.window.in_plane();
        // A channel's rows for all columns, before the next channel: that reads along the image.
        let mut row = depth.start;
        while row < depth.end {
            let (channel, tap) = (row / taps, row % taps);
            let count = (taps - tap).min(depth.end - row);
            let base = unfold.channel(channel);
            for v in 0..vectors {
                if let Some(load) = loads.get(v * taps + taps / 2).first() {
                    s.prefetch(base.wrapping_offset(load.offset).wrapping_add(ahead));
                }
                let start =
                    (v / per_panel * depth.len() + row - depth.start) * width + v % per_panel * S::LANES;
                for t in 0..count {
                    let vector = unfold.load::<S, STRIDE>(s, loads.get(v * taps + tap + t), base);
                    // SAFETY: the caller of `PackB::pack` vouches for whole panels, of which this is one vector.
                    unsafe { s.store(dst.add(start + t * width), vector) };
                }
            }
            row += count;
        }
        // The last panel may have vectors without columns.
        for v in vectors..vectors.next_multiple_of(per_panel) {
            for row in 0..depth.len() {
                let start = (v / per_panel * depth.len() + row) * width + v % per_panel * S::LANES;
                // SAFETY: as above.
                unsafe { s.store(dst.add(start), s.splat(T::ZERO)) };
            }
        }
    }
}

/// The transpose: row `(image, output position)`, column `(channel, tap)`. The gradient of the weight is a product
/// with it.
pub(super) struct UnfoldTransposed<'a, T>(pub(super) Unfold<'a, T>);

impl<T: Real> PackB<T> for UnfoldTransposed<'_, T> {
    unsafe fn pack(&self, depth: Range<usize>, columns: Range<usize>, width: usize, dst: *mut T) {
        T::dispatch(Pack::<T, true> {
            unfold: &self.0,
            depth,
            columns,
            width,
            dst,
        });
    }
}

impl<T: Real, const TRANSPOSED: bool> Pack<'_, T, TRANSPOSED> {
    #[inline(always)]
    fn columns<S: Simd<Elem = T>, const STRIDE: usize>(self, s: S) {
        let Pack {
            unfold,
            depth,
            columns,
            width,
            dst,
        } = self;
        let taps = unfold.window.taps.len();
        let loads = unfold.loads(depth.clone(), S::LANES);
        // One vector of positions for each of up to 16 rows `(channel, tap)`.
        let mut block = [T::ZERO; 16 * 16];
        for (q, first) in columns.clone().step_by(width).enumerate() {
            for start in (0..width).step_by(S::LANES) {
                let rows = (first + start).min(columns.end)..(first + start + S::LANES).min(columns.end);
                let mut sources = [(0, std::ptr::null()); 16];
                for (source, row) in sources.iter_mut().zip(rows.clone()) {
                    *source = (row % taps, unfold.channel(row / taps));
                }
                let sources = &sources[..rows.len()];
                for (v, position) in depth.clone().step_by(S::LANES).enumerate() {
                    let count = (depth.end - position).min(S::LANES);
                    // The next rows' channels, for the same positions.
                    if let Some(load) = loads.get(v * taps + taps / 2).first() {
                        for channel in rows.end.div_ceil(taps)..=(rows.end + S::LANES - 1) / taps {
                            s.prefetch(unfold.channel(channel).wrapping_offset(load.offset));
                        }
                    }
                    for (i, &(tap, base)) in sources.iter().enumerate() {
                        let vector = unfold.load::<S, STRIDE>(s, loads.get(v * taps + tap), base);
                        // SAFETY: at most LANES rows of LANES elements, at most 16 · 16.
                        unsafe { s.store(block.as_mut_ptr().add(i * S::LANES), vector) };
                    }
                    let target = (q * depth.len() + position - depth.start) * width + start;
                    // SAFETY: the block holds these rows; the caller of `PackB::pack` vouches for the panels.
                    unsafe {
                        let target = dst.wrapping_add(target);
                        s.transpose(
                            block.as_ptr(),
                            S::LANES,
                            sources.len(),
                            count,
                            target,
                            width,
                            S::LANES,
                        );
                    }
                }
            }
        }
    }
}
