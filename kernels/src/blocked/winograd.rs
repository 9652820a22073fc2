//! Winograd's algorithm F(4 × 4, 3 × 3) over blocked images (Lavin & Gray, 2016): see [`crate::conv::winograd`].
//!
//! A vector holds channels, so the transformations of tiles need no shuffling; the 36 products run on the micro-kernel of the
//! direct convolution, with tiles for positions. The weights are transformed in double precision when they are packed.

use std::ops::Range;

use super::BLOCK;
use super::conv::{Call, panel, panel_blocks, tile_rows};
use super::kernel::{Segment, Tile};
use crate::conv::ConvShape;
use crate::conv::winograd::transforms::{input_points, output_points};
use crate::mem::Buf;
use crate::pool::{SendPtr, num_threads, parallel_for};
use crate::simd::{Real, Simd, WithSimd};

/// Tiles of 4 × 4 outputs from which on the transformation of tiles pays.
const MIN_TILES: usize = 16;
/// Input and output channels from which on it does.
const MIN_CHANNELS: usize = 32;
/// Elements of a transformed tile.
const POINTS: usize = 36;
/// Elements between the values of one point and those of the next, which keep the 36 from sharing few sets of the caches.
const GAP: usize = 16;

pub(super) fn pays(shape: &ConvShape) -> bool {
    shape.groups == 1
        && shape.kernel == [1, 3, 3]
        && [shape.stride, shape.dilation] == [[1; 3]; 2]
        && shape.in_channels.min(shape.out_channels) >= MIN_CHANNELS
        && shape.batch * tiles_of(shape)[0] * tiles_of(shape)[1] >= MIN_TILES
}

/// Rows and columns of tiles.
fn tiles_of(shape: &ConvShape) -> [usize; 2] {
    [shape.output[1].div_ceil(4), shape.output[2].div_ceil(4)]
}

/// G·g·Gᵀ of every kernel, as `[panel, point, input channel, channel of the panel]`.
pub(super) fn pack(shape: &ConvShape, w: &[f32]) -> Buf<f32> {
    const G: [[f64; 3]; 6] = [
        [0.25, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];
    let (inputs, outputs) = (shape.in_channels, shape.out_channels);
    let (blocks, together) = (outputs.div_ceil(BLOCK), panel_blocks());
    let mut packed = Buf::<f32>::zeroed(POINTS * inputs * blocks * BLOCK);
    let base = SendPtr(packed.as_mut_ptr());
    parallel_for(blocks.div_ceil(together), |panel| {
        let first = panel * together * BLOCK;
        let width = (blocks * BLOCK - first).min(together * BLOCK);
        let (start, len) = (POINTS * inputs * first, POINTS * inputs * width);
        // SAFETY: the panels are disjoint and lie inside the buffer.
        let target = unsafe { std::slice::from_raw_parts_mut(base.ptr().add(start), len) };
        for j in 0..width.min(outputs - first) {
            let kernels = &w[(first + j) * inputs * 9..][..inputs * 9];
            for (k, g) in kernels.chunks_exact(9).enumerate() {
                let half = G.map(|row| {
                    let column = |x: usize| (0..3).map(|y| row[y] * f64::from(g[3 * y + x])).sum::<f64>();
                    [column(0), column(1), column(2)]
                });
                for (y, half) in half.iter().enumerate() {
                    for (x, row) in G.iter().enumerate() {
                        let value: f64 = half.iter().zip(row).map(|(a, b)| a * b).sum();
                        target[((6 * y + x) * inputs + k) * width + j] = value as f32;
                    }
                }
            }
        }
    });
    packed
}

pub(super) fn forward(call: &Call<'_>) {
    let shape = &call.shape;
    let [rows, columns] = tiles_of(shape);
    let tiles = shape.batch * rows * columns;
    let height = tile_rows();
    let threads = num_threads();
    // Groups of tiles whose number is a multiple of the threads'.
    let groups = tiles
        .div_ceil(2 * height)
        .next_multiple_of(threads)
        .min(tiles.div_ceil(height));
    let group = |i: usize| i * tiles / groups..(i + 1) * tiles / groups;
    let panels = shape.out_channels.div_ceil(BLOCK).div_ceil(panel_blocks());
    if groups >= threads && !(groups < 2 * threads && panels >= 2 * threads) {
        return parallel_for(groups, |i| {
            let job = Job::new(call, group(i));
            let mut inputs = Buf::<f32>::take(job.inputs_len());
            let blocks = shape.in_channels.div_ceil(BLOCK);
            job.inputs(0..blocks, SendPtr(inputs.as_mut_ptr()));
            (0..panels).for_each(|p| job.panel(p, &inputs));
        });
    }
    // Few tiles: all threads transform them first, and share the channels then.
    for i in 0..groups {
        let job = Job::new(call, group(i));
        let mut inputs = Buf::<f32>::take(job.inputs_len());
        let base = SendPtr(inputs.as_mut_ptr());
        parallel_for(shape.in_channels.div_ceil(BLOCK), |block| {
            job.inputs(block..block + 1, base)
        });
        parallel_for(panels, |p| job.panel(p, &inputs));
    }
}

/// Some tiles of a call.
struct Job<'a> {
    call: &'a Call<'a>,
    tiles: Range<usize>,
    /// Rows and columns of tiles.
    grid: [usize; 2],
}

impl<'a> Job<'a> {
    fn new(call: &'a Call<'a>, tiles: Range<usize>) -> Self {
        Job {
            call,
            tiles,
            grid: tiles_of(&call.shape),
        }
    }

    /// Image, first row and first column of a tile's outputs.
    fn place(&self, tile: usize) -> (usize, usize, usize) {
        let [rows, columns] = self.grid;
        (
            tile / (rows * columns),
            4 * (tile / columns % rows),
            4 * (tile % columns),
        )
    }

    fn input_blocks(&self) -> usize {
        self.call.shape.in_channels.div_ceil(BLOCK)
    }

    /// Elements from one point's inputs, `[block, tile, BLOCK]`, to the next one's.
    fn point_len(&self) -> usize {
        self.input_blocks() * self.tiles.len() * BLOCK + GAP
    }

    fn inputs_len(&self) -> usize {
        POINTS * self.point_len()
    }

    /// Transforms some blocks of the tiles' inputs.
    fn inputs(&self, blocks: Range<usize>, target: SendPtr<f32>) {
        f32::dispatch(TransformInputs {
            job: self,
            blocks,
            target,
        });
    }

    /// One panel of output channels of all tiles.
    fn panel(&self, p: usize, inputs: &[f32]) {
        let shape = &self.call.shape;
        let first = p * panel_blocks();
        let width = (shape.out_channels.div_ceil(BLOCK) - first).min(panel_blocks());
        let kernels = panel(width).by_rows;
        let (tiles, steps) = (self.tiles.len(), shape.in_channels);
        let segments: Vec<Segment> = (0..self.input_blocks())
            .map(|b| Segment {
                offset: b * tiles * BLOCK,
                depth: (steps - b * BLOCK).min(BLOCK),
            })
            .collect();
        let product = width * tiles * BLOCK + GAP;
        let mut products = Buf::<f32>::take(POINTS * product);
        let zeros = [0.0; 2 * BLOCK];
        let parts = tiles.div_ceil(kernels.len());
        let len = width * BLOCK * steps;
        for point in 0..POINTS {
            let start = (POINTS * first + point * width) * BLOCK * steps;
            let weights = self.call.conv.weights[start..].as_ptr();
            let next = weights.wrapping_add(len);
            for part in 0..parts {
                let start = part * tiles / parts;
                let rows = (part + 1) * tiles / parts - start;
                let x = inputs[point * self.point_len() + start * BLOCK..].as_ptr();
                let out = products[point * product + start * BLOCK..].as_mut_ptr();
                let tile = Tile::plain(out, zeros.as_ptr(), tiles * BLOCK).and_asks(next, len, part);
                // SAFETY: the segments lie in the inputs, the packed weights hold the panel, the tile lies in the products.
                unsafe { kernels[rows - 1](&segments, x, weights, &tile) };
            }
        }
        f32::dispatch(TransformOutputs {
            job: self,
            first,
            width,
            products: &products,
            product,
        });
    }
}

/// Bᵀ·d·B of all tiles, for some blocks of channels.
struct TransformInputs<'a> {
    job: &'a Job<'a>,
    blocks: Range<usize>,
    target: SendPtr<f32>,
}

impl WithSimd<f32> for TransformInputs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = f32>>(self, s: S) {
        let TransformInputs { job, blocks, target } = self;
        let shape = &job.call.shape;
        let [_, height, width] = shape.input;
        let zero = s.splat(0.0);
        let all_blocks = job.input_blocks();
        for (i, tile) in job.tiles.clone().enumerate() {
            let (image, row, column) = job.place(tile);
            let (y0, x0) = (
                row as isize - shape.padding[1] as isize,
                column as isize - shape.padding[2] as isize,
            );
            let whole = y0 >= 0 && x0 >= 0 && y0 + 6 <= height as isize && x0 + 6 <= width as isize;
            for block in blocks.clone() {
                let plane = (image * all_blocks + block) * height * width * BLOCK;
                let origin = plane as isize + (y0 * width as isize + x0) * BLOCK as isize;
                for lane in (0..BLOCK).step_by(S::LANES) {
                    let src = job.call.x.as_ptr().wrapping_offset(origin).wrapping_add(lane);
                    let mut half = [[zero; 6]; 6];
                    for x in 0..6 {
                        let mut d = [zero; 6];
                        for y in 0..6 {
                            let (at_y, at_x) = (y0 + y as isize, x0 + x as isize);
                            let inside =
                                (0..height as isize).contains(&at_y) && (0..width as isize).contains(&at_x);
                            if whole || inside {
                                // SAFETY: a position of the image.
                                d[y] = unsafe { s.load(src.wrapping_add((y * width + x) * BLOCK)) };
                            }
                        }
                        let points = input_points(s, d);
                        for y in 0..6 {
                            half[y][x] = points[y];
                        }
                    }
                    let dst = target
                        .ptr()
                        .wrapping_add((block * job.tiles.len() + i) * BLOCK + lane);
                    for y in 0..6 {
                        let points = input_points(s, half[y]);
                        for x in 0..6 {
                            // SAFETY: this task alone writes these blocks of the inputs.
                            unsafe { s.store(dst.wrapping_add((6 * y + x) * job.point_len()), points[x]) };
                        }
                    }
                }
            }
        }
    }
}

/// Aᵀ·m·A of a panel of all tiles, with bias, residual and bounds, to their places in the output.
struct TransformOutputs<'a> {
    job: &'a Job<'a>,
    /// The panel's first block, and its blocks.
    first: usize,
    width: usize,
    products: &'a [f32],
    /// Elements from one point's products to the next one's.
    product: usize,
}

impl WithSimd<f32> for TransformOutputs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = f32>>(self, s: S) {
        let job = self.job;
        let (call, shape) = (job.call, &job.call.shape);
        let [_, height, width] = shape.output;
        let all_blocks = shape.out_channels.div_ceil(BLOCK);
        let [low, high] = call.bounds().map(|x| s.splat(x));
        let zero = s.splat(0.0);
        for b in 0..self.width {
            for (i, tile) in job.tiles.clone().enumerate() {
                let (image, row, column) = job.place(tile);
                let block = image * all_blocks + self.first + b;
                let (out, residual) = call.places(block, row * width + column);
                let (rows, columns) = ((height - row).min(4), (width - column).min(4));
                for lane in (0..BLOCK).step_by(S::LANES) {
                    // SAFETY: the products of this block and tile, the bias of whole blocks, and positions of the output that
                    // this task alone writes.
                    unsafe {
                        let m = self
                            .products
                            .as_ptr()
                            .add((b * job.tiles.len() + i) * BLOCK + lane);
                        let bias = s.load(call.conv.bias.as_ptr().add((self.first + b) * BLOCK + lane));
                        let mut half = [[zero; 6]; 4];
                        for x in 0..6 {
                            let mut values = [zero; 6];
                            for y in 0..6 {
                                values[y] = s.load(m.add((6 * y + x) * self.product));
                            }
                            let points = output_points(s, values);
                            for y in 0..4 {
                                half[y][x] = points[y];
                            }
                        }
                        for y in 0..4 {
                            let points = output_points(s, half[y]);
                            if y >= rows {
                                continue;
                            }
                            for x in 0..4 {
                                if x >= columns {
                                    continue;
                                }
                                let at = (y * width + x) * BLOCK + lane;
                                let mut value = s.add(points[x], bias);
                                if !residual.is_null() {
                                    value = s.add(value, s.load(residual.add(at)));
                                }
                                // In this order a NaN stays one.
                                s.store(out.add(at), s.min(high, s.max(low, value)));
                            }
                        }
                    }
                }
                for y in 0..rows {
                    // SAFETY: just written by this task.
                    unsafe { call.finish(block, (row + y) * width + column, columns) };
                }
            }
        }
    }
}
