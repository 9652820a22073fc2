//! Winograd's algorithm F(4 × 4, 3 × 3) for 3 × 3 convolutions with stride 1 (Lavin & Gray, 2016).
//!
//! A tile of 6 × 6 inputs d gives 4 × 4 outputs `Aᵀ[(G·g·Gᵀ) ∘ (Bᵀ·d·B)]A`: 36 multiplications instead of 144, which
//! over many tiles and channels are 36 matrix products. The price is rounding: errors up to 2 · 10⁻⁵ of the largest
//! output, where the direct sum has up to 10⁻⁶. It is used for f32 from [`MIN_TILES`] tiles and [`MIN_CHANNELS`] channels
//! on, and [`set_winograd_enabled`] switches it off for the process.
//!
//! The gradient of the input is such a convolution itself, that of the weight the transpose of one: see `weight`.
//!
//! Two tiles next to each other, a pair, span 8 columns and lie in registers as four columns modulo 4; a vector holds
//! half as many pairs as lanes.

pub(crate) mod transforms;
pub(super) mod weight;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{ConvShape, Tail};
use crate::gemm::{KernelTable, Tile};
use crate::mem::Buf;
use crate::pool::{SendPtr, parallel_chunks_mut, parallel_for, parallel_ranges};
use crate::simd::Real;
use transforms::{TransformInputs, TransformOutputs, TransformWeights};

/// Tiles of 4 × 4 outputs from which on the transformation of the weights pays.
pub const MIN_TILES: usize = 24;
/// Transformed weights that stay in the last cache until they are used.
const IN_CACHE: usize = 4 << 20;
/// Blocks of tiles that stay there.
const FEW_BLOCKS: usize = 8;
/// Input and output channels from which on the transformation of tiles pays.
pub const MIN_CHANNELS: usize = 16;

/// Elements of a transformed tile.
const POINTS: usize = 36;
/// Output channels whose products are held at a time.
const CHANNEL_BLOCK: usize = 64;
/// Elements between the values of one point and those of the next, which keep the 36 from sharing few sets of the caches.
const GAP: usize = 16;

static ENABLED: AtomicBool = AtomicBool::new(true);

/// Whether 3 × 3 convolutions of f32 may run by Winograd's algorithm.
pub fn winograd_enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// Allows or forbids Winograd's algorithm for the whole process: it is allowed at first. Without it convolutions are
/// slower and round as a direct sum does.
pub fn set_winograd_enabled(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// Whether a convolution and its gradient by the input are of the kind and size.
pub(super) fn pays<T: Real>(shape: &ConvShape) -> bool {
    let [_, height, width] = shape.output;
    size_of::<T>() == 4
        && winograd_enabled()
        && shape.groups == 1
        && shape.kernel == [1, 3, 3]
        && [shape.stride, shape.dilation] == [[1; 3]; 2]
        && shape.input[0] == 1
        && shape.output[0] == 1
        && shape.in_channels.min(shape.out_channels) >= MIN_CHANNELS
        && shape.batch * height.div_ceil(4) * width.div_ceil(4) >= MIN_TILES
}

/// A convolution of images `[batch, depth, input]` to `[batch, rows, output]`, where depth and rows are channels.
struct Problem {
    batch: usize,
    depth: usize,
    rows: usize,
    input: [usize; 2],
    output: [usize; 2],
    padding: [isize; 2],
}

/// The weights of row i and depth k start at `w[i · row_stride + k · depth_stride]`.
struct Weights<'a, T> {
    w: &'a [T],
    row_stride: usize,
    depth_stride: usize,
    /// Whether the taps run backwards.
    turned: bool,
}

pub(super) fn forward<T: Real>(shape: &ConvShape, x: &[T], w: &[T], tail: &Tail<'_, T>, out: &mut [T]) {
    let problem = Problem {
        batch: shape.batch,
        depth: shape.in_channels,
        rows: shape.out_channels,
        input: [shape.input[1], shape.input[2]],
        output: [shape.output[1], shape.output[2]],
        padding: [shape.padding[1] as isize, shape.padding[2] as isize],
    };
    let weights = Weights {
        w,
        row_stride: 9 * shape.in_channels,
        depth_stride: 9,
        turned: false,
    };
    problem.run(x, &weights, tail, out);
}

pub(super) fn backward_input<T: Real>(shape: &ConvShape, grad_out: &[T], w: &[T], grad_in: &mut [T]) {
    let problem = Problem {
        batch: shape.batch,
        depth: shape.out_channels,
        rows: shape.in_channels,
        input: [shape.output[1], shape.output[2]],
        output: [shape.input[1], shape.input[2]],
        padding: [2 - shape.padding[1] as isize, 2 - shape.padding[2] as isize],
    };
    let weights = Weights {
        w,
        row_stride: 9,
        depth_stride: 9 * shape.in_channels,
        turned: true,
    };
    problem.run(grad_out, &weights, &Tail::default(), grad_in);
}

impl Problem {
    fn tile_rows(&self) -> usize {
        self.output[0].div_ceil(4)
    }

    fn pairs_per_row(&self) -> usize {
        self.output[1].div_ceil(8)
    }

    /// Image, row and column of the first output of a pair.
    fn place(&self, pair: usize) -> (usize, usize, usize) {
        let (row, column) = (pair / self.pairs_per_row(), pair % self.pairs_per_row());
        (row / self.tile_rows(), 4 * (row % self.tile_rows()), 8 * column)
    }

    /// Blocks of pairs, each of which gives two vectors of tiles.
    fn blocks(&self, lanes: usize) -> usize {
        (self.batch * self.tile_rows() * self.pairs_per_row()).div_ceil(lanes)
    }

    fn pairs(&self, block: usize, lanes: usize) -> Range<usize> {
        let pairs = self.batch * self.tile_rows() * self.pairs_per_row();
        block * lanes..((block + 1) * lanes).min(pairs)
    }

    /// Both orders give the same bits: every product runs over the whole depth at once.
    fn run<T: Real>(&self, x: &[T], weights: &Weights<'_, T>, tail: &Tail<'_, T>, out: &mut [T]) {
        let table = T::kernel_table();
        let out = SendPtr(out.as_mut_ptr());
        let panels = Panels::new(self.rows, table.packed(2).len());
        let many = POINTS * self.rows * self.depth > IN_CACHE;
        if many && self.blocks(table.lanes) <= FEW_BLOCKS {
            self.channels_by_channels(table, &panels, x, weights, tail, out)
        } else {
            self.tiles_by_tiles(table, &panels, x, weights, tail, out)
        }
    }

    /// All weights are transformed first, and every task does all channels of one block of tiles.
    fn tiles_by_tiles<T: Real>(
        &self,
        table: &KernelTable<T>,
        panels: &Panels,
        x: &[T],
        weights: &Weights<'_, T>,
        tail: &Tail<'_, T>,
        out: SendPtr<T>,
    ) {
        let stride = self.rows * self.depth + GAP;
        let mut transformed = Buf::<T>::take(POINTS * stride);
        let base = SendPtr(transformed.as_mut_ptr());
        parallel_ranges(panels.count * self.depth, 64, |range| {
            let mut at = range.start;
            while at < range.end {
                let (panel, k) = (at / self.depth, at % self.depth);
                let depth = k..(k + range.end - at).min(self.depth);
                at += depth.len();
                let rows = panels.rows(panel..panel + 1);
                let offset = rows.start * self.depth + k * rows.len();
                T::dispatch(TransformWeights {
                    weights,
                    rows,
                    depth,
                    dst: base.ptr().wrapping_add(offset),
                    stride,
                });
            }
        });
        parallel_for(self.blocks(table.lanes), |block| {
            let mut inputs = Buf::<T>::take(self.inputs_len(table.lanes));
            self.inputs(table.lanes, x, block, &mut inputs);
            for first in (0..panels.count).step_by(panels.together) {
                let group = first..(first + panels.together).min(panels.count);
                let weights = (
                    &transformed[panels.rows(group.clone()).start * self.depth..],
                    stride,
                );
                self.group(table, panels, group, weights, &inputs, tail, block, out);
            }
        });
    }

    /// All tiles are transformed first, and every task transforms the weights of some channels and does these channels of
    /// all tiles: where the transformed weights would not stay in the cache until they are used.
    fn channels_by_channels<T: Real>(
        &self,
        table: &KernelTable<T>,
        panels: &Panels,
        x: &[T],
        weights: &Weights<'_, T>,
        tail: &Tail<'_, T>,
        out: SendPtr<T>,
    ) {
        let len = self.inputs_len(table.lanes);
        let mut inputs = Buf::<T>::take(self.blocks(table.lanes) * len);
        parallel_chunks_mut(&mut inputs, len, |at, piece| {
            self.inputs(table.lanes, x, at / len, piece)
        });
        parallel_for(panels.count.div_ceil(panels.together), |task| {
            let first = task * panels.together;
            let group = first..(first + panels.together).min(panels.count);
            let start = panels.rows(group.clone()).start;
            let stride = panels.rows(group.clone()).len() * self.depth + GAP;
            let mut transformed = Buf::<T>::take(POINTS * stride);
            for panel in group.clone() {
                let rows = panels.rows(panel..panel + 1);
                T::dispatch(TransformWeights {
                    weights,
                    rows: rows.clone(),
                    depth: 0..self.depth,
                    dst: transformed[(rows.start - start) * self.depth..].as_mut_ptr(),
                    stride,
                });
            }
            for (block, inputs) in inputs.chunks(len).enumerate() {
                self.group(
                    table,
                    panels,
                    group.clone(),
                    (&transformed, stride),
                    inputs,
                    tail,
                    block,
                    out,
                );
            }
        });
    }

    fn inputs_len(&self, lanes: usize) -> usize {
        POINTS * (self.depth * 2 * lanes + GAP)
    }

    /// Transforms the inputs of a block of pairs.
    fn inputs<T: Real>(&self, lanes: usize, x: &[T], block: usize, dst: &mut [T]) {
        T::dispatch(TransformInputs {
            problem: self,
            x,
            pairs: self.pairs(block, lanes),
            dst,
        });
    }

    /// The channels of a group of panels, whose transformed weights begin at `weights.0` and lie `weights.1` apart from
    /// point to point, for one block of tiles.
    fn group<T: Real>(
        &self,
        table: &KernelTable<T>,
        panels: &Panels,
        group: Range<usize>,
        weights: (&[T], usize),
        inputs: &[T],
        tail: &Tail<'_, T>,
        block: usize,
        out: SendPtr<T>,
    ) {
        let (tiles, rows) = (2 * table.lanes, panels.rows(group.clone()));
        let mut products = Buf::<T>::take(POINTS * (rows.len() * tiles + GAP));
        for point in 0..POINTS {
            let b = inputs[point * (self.depth * tiles + GAP)..].as_ptr();
            for p in group.clone() {
                let panel = panels.rows(p..p + 1);
                let at = panel.start - rows.start;
                let a = weights.0[point * weights.1 + at * self.depth..].as_ptr();
                let c = products[point * (rows.len() * tiles + GAP) + at * tiles..].as_mut_ptr();
                let tile = Tile::plain(c, tiles, table.lanes);
                // SAFETY: panels of `depth` steps, and a tile inside the products.
                unsafe { table.packed(2)[panel.len() - 1](self.depth, a, b, tiles, &tile) };
            }
        }
        T::dispatch(TransformOutputs {
            problem: self,
            products: &products,
            rows,
            tail,
            pairs: self.pairs(block, table.lanes),
            out,
        });
    }
}

/// The output channels, cut into panels that differ by at most one channel.
struct Panels {
    channels: usize,
    count: usize,
    /// Panels whose products are held at a time.
    together: usize,
}

impl Panels {
    fn new(channels: usize, height: usize) -> Self {
        Panels {
            channels,
            count: channels.div_ceil(height),
            together: (CHANNEL_BLOCK / height).max(1),
        }
    }

    fn rows(&self, panels: Range<usize>) -> Range<usize> {
        panels.start * self.channels / self.count..panels.end * self.channels / self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Lcg, for_every_isa};

    #[test]
    fn both_orders_give_the_same_bits() {
        let problem = Problem {
            batch: 5,
            depth: 20,
            rows: 75,
            input: [7, 18],
            output: [7, 18],
            padding: [1, 1],
        };
        let mut random = Lcg::new(3);
        let x = random.vec::<f32>(5 * 20 * 7 * 18);
        let weights = Weights {
            w: &random.vec::<f32>(75 * 20 * 9),
            row_stride: 9 * 20,
            depth_stride: 9,
            turned: false,
        };
        let bias = random.vec::<f32>(75);
        let tail = Tail::bias(Some(&bias));
        for_every_isa(|| {
            let table = f32::kernel_table();
            let panels = Panels::new(problem.rows, table.packed(2).len());
            let mut outs = [0, 1].map(|_| vec![f32::NAN; 5 * 75 * 7 * 18]);
            let [by_tiles, by_channels] = outs.each_mut().map(|out| SendPtr(out.as_mut_ptr()));
            problem.tiles_by_tiles(table, &panels, &x, &weights, &tail, by_tiles);
            problem.channels_by_channels(table, &panels, &x, &weights, &tail, by_channels);
            assert!(outs[0].iter().all(|o| o.is_finite()));
            assert_eq!(outs[0], outs[1]);
        });
    }
}
