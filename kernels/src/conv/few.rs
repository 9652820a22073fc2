//! Convolutions of few input channels, such as the first one of most vision models, without unfolding.
//!
//! A product with the unfolded image would spend its time on the unfolding, as each of its few channels is written once for
//! every tap and read by few rows of the weights. With the planes padded, and their columns in the phases of the stride, a
//! tap is an offset. A tile is some output channels times some vectors of a row, in registers until its sum is complete:
//! over channels and taps in the order in which the product takes them, so both ways give the same bits.

use std::ops::Range;

use super::padded::Padded;
use super::unfold::Window;
use super::{ConvShape, Tail};
use crate::gemm::DEPTH_BLOCK;
use crate::mem::Buf;
use crate::pool::{SendPtr, num_threads, parallel_chunks_mut, parallel_for};
use crate::simd::{Real, Simd, WithSimd};

/// Input channels up to which this way is the faster one.
const MAX_INPUTS: usize = 4;
/// Output channels come in panels of so many, where there are 32 registers, and of half as many elsewhere.
const ROWS: usize = 8;
/// Vectors of a tile.
const VECTORS: usize = 3;
/// Share of a row's last vector that may be idle: one in so many.
const IDLE: usize = 4;
/// Elements of padded planes at a time, which stay in the last cache.
const PADDED: usize = 4 << 20;
/// Tasks for each thread.
const TASKS_PER_THREAD: usize = 4;

/// Whether this way is the faster one.
pub(super) fn pays<T: Real>(shape: &ConvShape) -> bool {
    let width = shape.output[2];
    let idle = width.next_multiple_of(T::kernel_table().lanes) - width;
    let depth = shape.in_channels * shape.taps();
    let lines = shape.batch * shape.output[0] * shape.output[1];
    shape.groups == 1
        && lines >= 2 * num_threads()
        && shape.in_channels <= MAX_INPUTS
        && shape.out_channels.is_multiple_of(ROWS)
        && shape.taps() > 1
        && idle * IDLE <= width
        && depth * size_of::<T>() <= DEPTH_BLOCK * size_of::<f32>()
}

pub(super) fn forward<T: Real>(
    shape: &ConvShape,
    window: &Window,
    x: &[T],
    w: &[T],
    tail: &Tail<'_, T>,
    out: &mut [T],
) {
    let rows = if T::kernel_table().lanes * size_of::<T>() == 64 {
        ROWS
    } else {
        ROWS / 2
    };
    let (channels, depth) = (shape.in_channels, shape.in_channels * shape.taps());
    // `[panel, step, row]`.
    let mut weights = Buf::<T>::take(w.len());
    for (panel, w) in weights
        .chunks_exact_mut(rows * depth)
        .zip(w.chunks_exact(rows * depth))
    {
        for (k, panel) in panel.chunks_exact_mut(rows).enumerate() {
            (0..rows).for_each(|i| panel[i] = w[i * depth + k]);
        }
    }
    let Some(empty) = Padded::<T>::new([window].into_iter()) else {
        return;
    };
    let offsets: Vec<usize> = window.taps.iter().map(|t| empty.tap(t)).collect();
    let together = (PADDED / (channels * empty.len())).clamp(1, shape.batch);
    let lines = shape.output[0] * shape.output[1];
    let base = SendPtr(out.as_mut_ptr());
    for start in (0..shape.batch).step_by(together) {
        let images = together.min(shape.batch - start);
        let mut planes: Vec<Option<Padded<T>>> = (0..images * channels).map(|_| None).collect();
        parallel_chunks_mut(&mut planes, 1, |i, plane| {
            let mut padded = Padded::new([window].into_iter());
            let source = &x[(start * channels + i) * shape.in_plane()..][..shape.in_plane()];
            padded.iter_mut().for_each(|padded| padded.fill(source));
            plane[0] = padded;
        });
        let planes: Vec<&Padded<T>> = planes.iter().flatten().collect();
        let pieces = (num_threads() * TASKS_PER_THREAD).div_ceil(images).min(lines);
        parallel_for(images * pieces, |task| {
            let (image, piece) = (task / pieces, task % pieces);
            let at = (start + image) * shape.out_channels * shape.out_plane();
            T::dispatch(Lines {
                window,
                planes: &planes[image * channels..][..channels],
                offsets: &offsets,
                lines: piece * lines / pieces..(piece + 1) * lines / pieces,
                weights: &weights,
                tail,
                base,
                image: at,
            });
        });
    }
}

/// Some rows of an image's output, of all channels.
struct Lines<'a, T: Real> {
    window: &'a Window,
    planes: &'a [&'a Padded<T>],
    offsets: &'a [usize],
    lines: Range<usize>,
    weights: &'a [T],
    tail: &'a Tail<'a, T>,
    /// The output.
    base: SendPtr<T>,
    /// Where the image begins there.
    image: usize,
}

impl<T: Real> WithSimd<T> for Lines<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        if S::LANES * size_of::<T>() == 64 {
            self.panels::<S, ROWS>(s);
        } else {
            self.panels::<S, { ROWS / 2 }>(s);
        }
    }
}

impl<T: Real> Lines<'_, T> {
    #[inline(always)]
    fn panels<S: Simd<Elem = T>, const ROWS: usize>(&self, s: S) {
        let width = self.window.output[2];
        let vectors = width.div_ceil(S::LANES);
        let tiles = vectors.div_ceil(VECTORS);
        for panel in 0..self.weights.len() / (ROWS * self.planes.len() * self.offsets.len()) {
            for line in self.lines.clone() {
                for tile in 0..tiles {
                    let (from, to) = (tile * vectors / tiles, (tile + 1) * vectors / tiles);
                    let columns = from * S::LANES..(to * S::LANES).min(width);
                    match to - from {
                        1 => self.tile::<S, ROWS, 1>(s, panel, line, columns),
                        2 => self.tile::<S, ROWS, 2>(s, panel, line, columns),
                        _ => self.tile::<S, ROWS, VECTORS>(s, panel, line, columns),
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd<Elem = T>, const ROWS: usize, const VECTORS: usize>(
        &self,
        s: S,
        panel: usize,
        line: usize,
        columns: Range<usize>,
    ) {
        let [_, height, width] = self.window.output;
        let plane = self.window.out_plane();
        debug_assert!(columns.len().div_ceil(S::LANES) == VECTORS && columns.end <= width);
        let depth = self.planes.len() * self.offsets.len();
        let farthest = self.offsets.iter().copied().max().unwrap_or(0) + columns.start + VECTORS * S::LANES;
        let mut weights = self.weights[panel * ROWS * depth..][..ROWS * depth].as_ptr();
        let mut acc = [[s.splat(T::ZERO); VECTORS]; ROWS];
        for padded in self.planes {
            let x = padded.row(line / height, line % height);
            assert!(farthest <= x.len());
            for &offset in self.offsets {
                // SAFETY: as asserted; the panel has ROWS weights for each channel and tap.
                unsafe {
                    let x = x.as_ptr().add(offset + columns.start);
                    let mut values = [s.splat(T::ZERO); VECTORS];
                    for v in 0..VECTORS {
                        values[v] = s.load(x.add(v * S::LANES));
                    }
                    for i in 0..ROWS {
                        let weight = s.splat(*weights.add(i));
                        for v in 0..VECTORS {
                            acc[i][v] = s.mul_add(weight, values[v], acc[i][v]);
                        }
                    }
                    weights = weights.add(ROWS);
                }
            }
        }
        // Vector by vector into memory, as the loop below picks sums by number: those above stay registers.
        let mut sums = [[s.splat(T::ZERO); VECTORS]; ROWS];
        for i in 0..ROWS {
            for v in 0..VECTORS {
                sums[i][v] = acc[i][v];
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let channel = panel * ROWS + i;
            let tail = self.tail.of_channel(s, channel);
            let at = self.image + channel * plane + line * width;
            for v in 0..VECTORS {
                let column = columns.start + v * S::LANES;
                let count = (columns.end - column).min(S::LANES);
                // SAFETY: columns of this row of the output, which this task alone writes.
                unsafe {
                    let value = tail.of(s, sums[v], at + column, count);
                    s.store_partial(self.base.ptr().wrapping_add(at + column), value, count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::conv_forward;
    use super::*;
    use crate::testing::{Lcg, for_every_isa};

    /// A ninth output channel rules this way out.
    #[test]
    fn the_bits_are_those_of_the_product() {
        let size = ConvShape::output_size;
        for (kernel, stride, padding, dilation) in [(3, 1, 1, 1), (7, 2, 3, 1), (2, 3, 0, 2), (5, 1, 4, 1)] {
            for (channels, [height, width]) in [(1, [9, 16]), (3, [30, 97]), (4, [12, 161])] {
                let shape = |outputs: usize| ConvShape {
                    batch: 2,
                    in_channels: channels,
                    out_channels: outputs,
                    groups: 1,
                    input: [1, height, width],
                    kernel: [1, kernel, kernel],
                    stride: [1, stride, stride],
                    padding: [0, padding, padding],
                    dilation: [1, dilation, dilation],
                    output: [1, height, width].map(|n| match n {
                        1 => 1,
                        n => size(n, kernel, stride, [padding; 2], dilation).unwrap(),
                    }),
                };
                let mut random = Lcg::new(5);
                let x = random.vec::<f32>(shape(9).input_len());
                let w = random.vec::<f32>(shape(9).weight_len());
                let bias = random.vec::<f32>(9);
                for_every_isa(|| {
                    let out = |outputs: usize, bias: Option<&[f32]>| {
                        let shape = shape(outputs);
                        let mut out = vec![f32::NAN; shape.output_len()];
                        conv_forward(&shape, &x, &w[..shape.weight_len()], &Tail::bias(bias), &mut out);
                        out
                    };
                    let plane = shape(9).out_plane();
                    for biased in [false, true] {
                        let [few, product] = [8, 9].map(|n| out(n, biased.then_some(&bias[..n])));
                        for (few, product) in few.chunks(8 * plane).zip(product.chunks(9 * plane)) {
                            assert_eq!(few, &product[..8 * plane]);
                        }
                    }
                });
            }
        }
    }

    #[test]
    fn it_is_taken_for_first_layers() {
        let shape = |width: usize, outputs: usize| ConvShape {
            // Rows enough for any number of threads.
            batch: 64,
            in_channels: 3,
            out_channels: outputs,
            groups: 1,
            input: [1, 224, 2 * width],
            kernel: [1, 7, 7],
            stride: [1, 2, 2],
            padding: [0, 3, 3],
            dilation: [1; 3],
            output: [1, 112, width],
        };
        assert!(pays::<f32>(&shape(112, 64)));
        assert!(!pays::<f32>(&shape(112, 63)));
        let deep = ConvShape {
            in_channels: 5,
            ..shape(112, 64)
        };
        assert!(!pays::<f32>(&deep));
    }
}
