//! Convolutions of every channel by itself with vectors of channels in place of vectors of columns.
//!
//! Some rows of `LANES` channels are transposed into `[row, column, channel]` with their padding in place, convolved one
//! position per vector, and transposed back. Each sum runs in the order of the way along the rows and has the same bits.

use super::super::backward::Phase;
use super::super::{ConvShape, Tail};
use crate::mem::Buf;
use crate::pool::{SendPtr, parallel_for};
use crate::simd::{Real, Simd, WithSimd};

/// Multiplications that make a task, and those of the rows into which large planes are cut.
const TASK_WORK: usize = 1 << 16;
const PIECE_WORK: usize = 1 << 17;

/// Positions of the output, in whole rows, that are transposed back together.
const BAND: usize = 128;

/// Elements of a plane by which the next are asked for before they are transposed.
const AHEAD: usize = 128;

/// Channels of a task: a multiple of the lanes of any vector.
const BLOCK: usize = 16;

/// One convolution.
pub(super) struct Channels<'a, T> {
    /// What the positions of the output read. Those of a phase lie `step` apart, from its `first` on.
    pub(super) phases: &'a [Phase],
    pub(super) step: [usize; 3],
    /// The size of the output.
    pub(super) size: [usize; 3],
    /// Planes of the input, as many as of the output.
    pub(super) planes: usize,
    /// Of these, those of one image.
    pub(super) channels: usize,
    pub(super) x: &'a [T],
    pub(super) w: &'a [T],
    pub(super) tail: &'a Tail<'a, T>,
}

/// Columns beyond which a row with its padding takes too much memory as vectors.
const WIDEST: usize = 1024;

/// Whether this way can be gone, and is faster: with a stride, as the other way reads and writes with gaps, and else
/// where a row fills few vectors.
pub(super) fn pays<T: Real>(shape: &ConvShape) -> bool {
    let planar = [shape.input[0], shape.kernel[0], shape.output[0]] == [1; 3] && shape.padding[0] == 0;
    let (lanes, width) = (T::dispatch(Lanes), shape.input[2].max(shape.output[2]));
    let narrow = width <= if shape.stride[2] > 1 { WIDEST } else { 2 * lanes };
    planar && shape.group_outputs() == 1 && shape.in_channels >= lanes && narrow
}

struct Lanes;

impl<T: Real> WithSimd<T> for Lanes {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, _: S) -> usize {
        S::LANES
    }
}

impl<T: Real> Channels<'_, T> {
    pub(super) fn run(&self, out: &mut [T]) {
        let [_, height, width] = self.size;
        let Some(frame) = Frame::new(self.phases) else {
            return out.fill(T::ZERO);
        };
        let taps = self.phases.iter().map(|p| p.taps.len()).sum::<usize>();
        let row_work = (width * BLOCK * taps).div_ceil(self.phases.len());
        // Small planes go several to a task, large ones are cut into rows.
        let rows = (PIECE_WORK / row_work)
            .clamp(1, height)
            .next_multiple_of(self.step[1]);
        let pieces = height.div_ceil(rows);
        let blocks = self.channels.div_ceil(BLOCK);
        let count = self.planes / self.channels * blocks * pieces;
        let tasks = count.div_ceil((TASK_WORK / (row_work * rows.min(height))).max(1));
        let base = SendPtr(out.as_mut_ptr());
        parallel_for(tasks, |task| {
            T::dispatch(Task {
                all: self,
                frame: &frame,
                rows,
                blocks,
                pieces: task * count / tasks..(task + 1) * count / tasks,
                out: base,
            });
        });
    }
}

/// What the taps read around an output position.
struct Frame {
    /// The least offsets of the taps along rows and columns.
    low: [isize; 2],
    /// The largest offsets less the least.
    extent: [usize; 2],
    /// Columns of a row with its padding.
    pitch: usize,
    /// For every tap of every phase, the position from which it reads for the first output, and its weight.
    taps: Vec<Vec<(usize, usize)>>,
}

impl Frame {
    /// `None` without taps.
    fn new(phases: &[Phase]) -> Option<Self> {
        let along = |d: usize| {
            let taps = || phases.iter().flat_map(|p| &p.window.taps).map(|t| t[d]);
            let (low, high) = (taps().min()?, taps().max()?);
            Some((low, (high - low) as usize))
        };
        let ((y, height), (x, width)) = (along(1)?, along(2)?);
        // The first phase has the most positions.
        let window = &phases[0].window;
        let pitch = (window.output[2] - 1) * window.stride[2] + width + 1;
        let place = |t: &[isize; 3]| (t[1] - y) as usize * pitch + (t[2] - x) as usize;
        let taps = |p: &Phase| {
            p.window
                .taps
                .iter()
                .map(place)
                .zip(p.taps.iter().copied())
                .collect()
        };
        Some(Frame {
            low: [y, x],
            extent: [height, width],
            pitch,
            taps: phases.iter().map(taps).collect(),
        })
    }
}

/// Consecutive pieces, each some rows of a block of channels.
struct Task<'a, T> {
    all: &'a Channels<'a, T>,
    frame: &'a Frame,
    /// Rows of a piece.
    rows: usize,
    /// Blocks of an image.
    blocks: usize,
    pieces: std::ops::Range<usize>,
    out: SendPtr<T>,
}

impl<T: Real> WithSimd<T> for Task<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let (all, frame) = (self.all, self.frame);
        let [_, height, width] = all.size;
        let [_, in_height, in_width] = all.phases[0].window.input;
        let (out_plane, in_plane) = (height * width, in_height * in_width);
        let taps = all.w.len() / all.channels;
        let stride = all.phases[0].window.stride[1];
        // Rows of the input for some rows of the output, the first of which is one of the first phase.
        let reach = |rows: usize| (rows.div_ceil(all.step[1]) - 1) * stride + frame.extent[0] + 1;
        let pitch = frame.pitch * S::LANES;
        let mut padded = Buf::<T>::take(reach(self.rows) * pitch);
        let band = (BAND / width).max(1).next_multiple_of(all.step[1]);
        let mut sums = Buf::<T>::take(band * width * S::LANES);
        let mut weights = Buf::<T>::take(taps * S::LANES);
        let per_plane = height.div_ceil(self.rows);
        let rest = all.tail.without_bias();
        for piece in self.pieces {
            let (block, piece) = (piece / per_plane, piece % per_plane);
            let first = piece * self.rows;
            let rows = self.rows.min(height - first);
            let channels = block % self.blocks * BLOCK..all.channels.min((block % self.blocks + 1) * BLOCK);
            for channel in channels.clone().step_by(S::LANES) {
                let count = (channels.end - channel).min(S::LANES);
                let plane = block / self.blocks * all.channels + channel;
                let x = &all.x[plane * in_plane..][..count * in_plane];
                let w = &all.w[channel * taps..][..count * taps];
                // SAFETY: `count` planes of weights; the buffer holds a vector for every tap.
                unsafe { transpose(s, w.as_ptr(), taps, count, taps, weights.as_mut_ptr()) };
                // SAFETY: `count` elements of the bias.
                let bias = all.tail.bias.map_or(s.splat(T::ZERO), |b| unsafe {
                    s.load_partial(b[channel..][..count].as_ptr(), count)
                });
                let top = (first / all.step[1] * stride) as isize + frame.low[0];
                let mut filled = 0;
                for start in (0..rows).step_by(band) {
                    let end = rows.min(start + band);
                    let next = &mut padded[filled * pitch..reach(end) * pitch];
                    fill(s, frame, x, [in_height, in_width], top + filled as isize, next);
                    filled = reach(end);
                    let padded = &padded[start / all.step[1] * stride * pitch..];
                    let sums = &mut sums[..(end - start) * width * S::LANES];
                    for (phase, taps) in all.phases.iter().zip(&frame.taps) {
                        convolve(s, all, phase, taps, padded, pitch, &weights, bias, sums);
                    }
                    let at = plane * out_plane + (first + start) * width;
                    let out = self.out.ptr().wrapping_add(at);
                    // SAFETY: the sums of these rows, which this piece alone writes, in each of `count` planes.
                    unsafe { transpose_back(s, sums, out, out_plane, count) };
                    for i in 0..count {
                        // SAFETY: these rows of one of the planes.
                        let written = unsafe {
                            std::slice::from_raw_parts_mut(out.add(i * out_plane), (end - start) * width)
                        };
                        rest.apply(channel + i, at + i * out_plane, written);
                    }
                }
            }
        }
    }
}

/// Writes vectors of channels to as many places in each of `count` planes, from `out` on.
///
/// # Safety
/// Those places are writable; there are at most `LANES` planes, `plane` elements apart.
#[inline(always)]
unsafe fn transpose_back<S: Simd>(s: S, sums: &[S::Elem], out: *mut S::Elem, plane: usize, count: usize) {
    for (i, from) in sums.chunks(S::LANES * S::LANES).enumerate() {
        let positions = from.len() / S::LANES;
        // SAFETY: the chunk holds `positions` vectors; the caller vouches for the rest.
        unsafe {
            let to = out.add(i * S::LANES);
            s.transpose(from.as_ptr(), S::LANES, positions, count, to, plane, positions);
        }
    }
}

/// `columns` vectors of `rows` channels from as many rows of memory, the lanes beyond zero.
///
/// # Safety
/// `src` is valid for reads of `columns` elements in each of `rows` rows, of which there are at most `LANES`, and `dst`
/// for writes of `columns` vectors.
#[inline(always)]
unsafe fn transpose<S: Simd>(
    s: S,
    src: *const S::Elem,
    src_stride: usize,
    rows: usize,
    columns: usize,
    dst: *mut S::Elem,
) {
    // Small planes make short work of what is asked for within them: there it is the next ones' turn.
    let ahead = if src_stride < 8 * AHEAD {
        rows * src_stride
    } else {
        AHEAD
    };
    for start in (0..columns).step_by(S::LANES) {
        let count = (columns - start).min(S::LANES);
        for row in 0..rows {
            s.prefetch(src.wrapping_add(row * src_stride + start + ahead));
        }
        // SAFETY: as the caller vouches.
        unsafe {
            let dst = dst.add(start * S::LANES);
            s.transpose(src.add(start), src_stride, rows, count, dst, S::LANES, S::LANES);
        }
    }
}

/// Fills `padded` with vectors of channels from row `top` of the planes on, zeros outside of them.
#[inline(always)]
fn fill<S: Simd>(
    s: S,
    frame: &Frame,
    planes: &[S::Elem],
    [height, width]: [usize; 2],
    top: isize,
    padded: &mut [S::Elem],
) {
    // The columns of a padded row that lie in the input.
    let clamp = |column: isize| (column - frame.low[1]).clamp(0, frame.pitch as isize) as usize;
    let inside = clamp(0)..clamp(width as isize);
    let plane = height * width;
    for (y, to) in (top..).zip(padded.chunks_exact_mut(frame.pitch * S::LANES)) {
        if inside.is_empty() || !(0..height as isize).contains(&y) {
            to.fill(S::Elem::ZERO);
            continue;
        }
        to[..inside.start * S::LANES].fill(S::Elem::ZERO);
        to[inside.end * S::LANES..].fill(S::Elem::ZERO);
        let first = y as usize * width + (inside.start as isize + frame.low[1]) as usize;
        let to = &mut to[inside.start * S::LANES..];
        // SAFETY: the columns lie in row y of every plane.
        unsafe {
            let from = planes.as_ptr().add(first);
            transpose(
                s,
                from,
                plane,
                planes.len() / plane,
                inside.len(),
                to.as_mut_ptr(),
            );
        }
    }
}

/// The sums of a phase in the rows that `sums` holds, the first of which reads from the start of `padded` on.
#[inline(always)]
fn convolve<S: Simd>(
    s: S,
    all: &Channels<'_, S::Elem>,
    phase: &Phase,
    taps: &[(usize, usize)],
    padded: &[S::Elem],
    pitch: usize,
    weights: &[S::Elem],
    bias: S::Vector,
    sums: &mut [S::Elem],
) {
    let [_, _, width] = phase.window.output;
    let [_, down, right] = phase.window.stride;
    let rows = sums.chunks_exact_mut(all.size[2] * S::LANES);
    // Columns that are computed together. The last of a row are moved back to where they are whole.
    let together = match width {
        1 => 1,
        2..=3 => 2,
        4..=6 => 4,
        _ if width.next_multiple_of(7) < width.next_multiple_of(8) => 7,
        _ => 8,
    };
    for (row, sums) in rows.skip(phase.first[1]).step_by(all.step[1]).enumerate() {
        let x = &padded[row * down * pitch..];
        for start in (0..width).step_by(together) {
            let start = start.min(width - together);
            let tile = Tile {
                x: &x[start * right * S::LANES..],
                x_step: right * S::LANES,
                out: &mut sums[(phase.first[2] + start * all.step[2]) * S::LANES..],
                out_step: all.step[2] * S::LANES,
            };
            match together {
                1 => tile.run::<S, 1>(s, taps, weights, bias),
                2 => tile.run::<S, 2>(s, taps, weights, bias),
                4 => tile.run::<S, 4>(s, taps, weights, bias),
                7 => tile.run::<S, 7>(s, taps, weights, bias),
                _ => tile.run::<S, 8>(s, taps, weights, bias),
            }
        }
    }
}

/// Neighbouring positions of a row, a vector each.
struct Tile<'a, T> {
    x: &'a [T],
    x_step: usize,
    out: &'a mut [T],
    out_step: usize,
}

impl<T: Real> Tile<'_, T> {
    /// Computes N positions.
    #[inline(always)]
    fn run<S: Simd<Elem = T>, const N: usize>(
        self,
        s: S,
        taps: &[(usize, usize)],
        weights: &[T],
        bias: S::Vector,
    ) {
        let mut acc = [bias; N];
        for &(place, weight) in taps {
            let w = &weights[weight * S::LANES..][..S::LANES];
            let x = &self.x[place * S::LANES..][..(N - 1) * self.x_step + S::LANES];
            // SAFETY: the slices hold a vector, and N vectors at that distance.
            unsafe {
                let w = s.load(w.as_ptr());
                for i in 0..N {
                    acc[i] = s.mul_add(s.load(x.as_ptr().add(i * self.x_step)), w, acc[i]);
                }
            }
        }
        let out = &mut self.out[..(N - 1) * self.out_step + S::LANES];
        for i in 0..N {
            // The way along the rows adds zero too, which counts where a sum is -0.
            let sum = s.add(acc[i], s.splat(T::ZERO));
            // SAFETY: the slice holds N vectors at that distance.
            unsafe { s.store(out.as_mut_ptr().add(i * self.out_step), sum) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::unfold::Window;
    use super::super::super::{ConvShape, Tail, backward::phases, conv_backward_input};
    use super::super::{along_rows, backward_along_rows, backward_channels, forward_channels};
    use super::pays;
    use crate::simd::Real;
    use crate::testing::{Lcg, for_every_isa, same_bits_for_any_threads};

    fn square(channels: usize, side: usize, kernel: usize, stride: usize, padding: usize) -> ConvShape {
        uneven(
            channels,
            [side; 2],
            [kernel; 2],
            [stride; 2],
            [padding; 2],
            [1; 2],
        )
    }

    fn uneven(
        channels: usize,
        input: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
        dilation: [usize; 2],
    ) -> ConvShape {
        let output: [_; 2] = std::array::from_fn(|d| {
            ConvShape::output_size(input[d], kernel[d], stride[d], [padding[d]; 2], dilation[d]).unwrap()
        });
        let planar = |first: usize, [y, x]: [usize; 2]| [first, y, x];
        ConvShape {
            batch: 2,
            in_channels: channels,
            out_channels: channels,
            groups: channels,
            input: planar(1, input),
            kernel: planar(1, kernel),
            stride: planar(1, stride),
            padding: planar(0, padding),
            dilation: planar(1, dilation),
            output: planar(1, output),
        }
    }

    fn shapes() -> Vec<ConvShape> {
        let mut shapes = vec![
            // Rows of several pieces, and of more than one transposition.
            square(16, 112, 3, 1, 1),
            square(17, 113, 5, 2, 2),
            uneven(5, [9, 14], [3, 5], [2, 1], [0, 2], [3, 2]),
            uneven(20, [14, 9], [5, 2], [1, 3], [4, 1], [1, 3]),
            // Rows and columns that no output reads, and outputs that read padding alone.
            square(19, 11, 2, 4, 0),
            square(4, 2, 1, 3, 3),
            // No tap meets the input's only position.
            square(16, 1, 1, 3, 1),
        ];
        for channels in [3, 16, 33] {
            for (side, kernel) in [(7, 3), (14, 3), (28, 3), (7, 5), (15, 5)] {
                shapes.extend([1, 2].map(|stride| square(channels, side, kernel, stride, kernel / 2)));
            }
        }
        shapes
    }

    fn both_ways_agree<T: Real>() {
        let mut random = Lcg::new(3);
        for s in shapes() {
            let (x, w) = (random.vec::<T>(s.input_len()), random.vec::<T>(s.weight_len()));
            let (bias, grad) = (random.vec::<T>(s.out_channels), random.vec::<T>(s.output_len()));
            let window = Window::forward(&s);
            for bias in [None, Some(&bias[..])] {
                let tail = &Tail::bias(bias);
                let mut results = [0, 1].map(|_| vec![T::ONE; s.output_len()]);
                forward_channels(&s, &window, &x, &w, tail, &mut results[0]);
                along_rows(&s, &window, &x, &w, tail, &mut results[1]);
                same_bits(&s, &results);
            }
            let mut results = [0, 1].map(|_| vec![T::ONE; s.input_len()]);
            backward_channels(&s, &phases(&s), &grad, &w, &mut results[0]);
            backward_along_rows(&s, &phases(&s), &grad, &w, &mut results[1]);
            same_bits(&s, &results);
        }
    }

    fn same_bits<T: Real>(s: &ConvShape, [got, want]: &[Vec<T>; 2]) {
        for (i, (a, b)) in got.iter().zip(want).enumerate() {
            assert_eq!(
                a.to_f64().to_bits(),
                b.to_f64().to_bits(),
                "element {i} of {s:?}: {a:?}, not {b:?}"
            );
        }
    }

    #[test]
    fn the_bits_are_those_of_the_way_along_the_rows() {
        for_every_isa(|| {
            both_ways_agree::<f32>();
            both_ways_agree::<f64>();
        });
    }

    #[test]
    fn the_bits_do_not_depend_on_the_threads() {
        let s = square(80, 14, 3, 2, 1);
        let mut random = Lcg::new(5);
        let (grad, w) = (
            random.vec::<f32>(s.output_len()),
            random.vec::<f32>(s.weight_len()),
        );
        same_bits_for_any_threads(|| {
            let mut out = vec![0.0; s.input_len()];
            conv_backward_input(&s, &grad, &w, &mut out);
            out
        });
    }

    #[test]
    fn it_is_taken_for_small_planes_and_strides() {
        for_every_isa(|| {
            assert!(pays::<f32>(&square(960, 7, 3, 1, 1)));
            assert!(pays::<f32>(&square(96, 112, 3, 2, 1)));
            assert!(!pays::<f32>(&square(32, 112, 3, 1, 1)));
            assert!(!pays::<f32>(&square(3, 7, 3, 1, 1)));
            let doubled = ConvShape {
                out_channels: 1920,
                ..square(960, 7, 3, 1, 1)
            };
            assert!(!pays::<f32>(&doubled));
        });
    }
}
