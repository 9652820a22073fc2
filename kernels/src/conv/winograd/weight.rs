//! The gradient of the weight: `Gᵀ[Σ (A·e·Aᵀ) ∘ (Bᵀ·d·B)]G` over tiles of 4 × 4 gradients e of the output and the 6 × 6
//! inputs d which they meet, the transpose of the convolution itself.
//!
//! Inputs and gradients are turned first, so that a vector holds the channels of a position, then transformed vector by
//! vector. The sum over tiles and images is a product of matrices for each of the 36 points. Where there are few channels, and
//! so few sums, this is done band by band in the nearer caches; else all is transformed first.

use std::ops::Range;

use super::super::ConvShape;
use super::super::weight::{DEPTH, Layout, Product, Segment, TURNED};
use super::transforms::input_points;
use super::{GAP, POINTS};
use crate::mem::Buf;
use crate::pool::{SendPtr, parallel_chunks_mut, parallel_for};
use crate::simd::{Real, Simd, WithSimd};

/// Channels on both sides from which on a quarter of the multiplications makes up for the transformations, and tiles from which
/// on it does for fewer.
const MIN_CHANNELS: usize = 32;
const MANY_TILES: usize = 512;
/// Bytes of sums that stay in the second-level cache, and of transformed tiles beside them.
const FEW_SUMS: usize = 320 << 10;
const TILES: usize = 640 << 10;
/// Bytes of the sums of all groups of bands, the most groups, and tiles of a group that make up for its sums.
const GROUP_SUMS: usize = 5 << 20;
const MAX_GROUPS: usize = 64;
const GROUP_TILES: usize = 64;
/// Bytes of sums that do not stay in the last cache.
const MANY_SUMS: usize = 6 << 20;
/// Output channels of a block, a multiple of all vectors' lanes, and vectors of input channels.
const BLOCK_ROWS: usize = 64;
const BLOCK_PANELS: usize = 3;

/// Whether this way is the faster one.
pub(in super::super) fn pays<T: Real>(shape: &ConvShape) -> bool {
    let channels = shape.in_channels.min(shape.out_channels);
    super::pays::<T>(shape) && (channels >= MIN_CHANNELS || tiles(shape) >= MANY_TILES)
}

/// Tiles of all images.
fn tiles(shape: &ConvShape) -> usize {
    shape.batch * shape.output[1].div_ceil(4) * shape.output[2].div_ceil(4)
}

pub(in super::super) fn backward_weight<T: Real>(
    shape: &ConvShape,
    x: &[T],
    grad_out: &[T],
    grad_w: &mut [T],
) {
    let problem = Problem::new(shape, x, grad_out);
    let len = problem.vectors[0] * problem.lanes * shape.out_channels;
    if tiles(shape) >= MANY_TILES && POINTS * len * size_of::<T>() <= FEW_SUMS {
        problem.by_bands(grad_w)
    } else {
        problem.by_points(grad_w)
    }
}

/// Both operands as inputs of convolutions with a single tap, which read what whole tiles do.
struct Problem<'a, T> {
    shape: &'a ConvShape,
    lanes: usize,
    /// Tiles of an image, down and across.
    tiles: [usize; 2],
    /// Vectors of input and of output channels.
    vectors: [usize; 2],
    shapes: [ConvShape; 2],
    layouts: [Layout; 2],
    values: [&'a [T]; 2],
}

impl<'a, T: Real> Problem<'a, T> {
    fn new(shape: &'a ConvShape, x: &'a [T], grad_out: &'a [T]) -> Self {
        let lanes = T::kernel_table().lanes;
        let [_, height, width] = shape.output;
        let tiles = [height.div_ceil(4), width.div_ceil(4)];
        let shapes = [
            ConvShape {
                kernel: [1; 3],
                output: [1, 4 * tiles[0] + 2, 4 * tiles[1] + 2],
                ..*shape
            },
            ConvShape {
                in_channels: shape.out_channels,
                input: shape.output,
                kernel: [1; 3],
                padding: [0; 3],
                output: [1, 4 * tiles[0], 4 * tiles[1]],
                ..*shape
            },
        ];
        Problem {
            shape,
            lanes,
            tiles,
            vectors: [shape.in_channels, shape.out_channels].map(|n| n.div_ceil(lanes)),
            layouts: shapes.each_ref().map(Layout::new::<T>),
            shapes,
            values: [x, grad_out],
        }
    }

    /// Transforms these rows of tiles of an image, for a vector of the channels of both operands.
    ///
    /// # Safety
    /// `dst` holds the tiles, for each of the points.
    unsafe fn transform(
        &self,
        image: usize,
        bands: Range<usize>,
        vector: usize,
        turned: &mut Buf<T>,
        dst: *mut T,
        point: usize,
    ) {
        let gradient = vector >= self.vectors[0];
        let side = usize::from(gradient);
        let (layout, size) = (&self.layouts[side], if gradient { 4 } else { 6 });
        let padded = 4 * bands.start..4 * (bands.end - 1) + size;
        let len = padded.len() * layout.size[2] * self.lanes;
        if turned.len() < len {
            *turned = Buf::take(len);
        }
        let panel = vector - side * self.vectors[0];
        // SAFETY: the buffer holds these rows of a panel.
        unsafe {
            layout.turn(
                &self.shapes[side],
                self.values[side],
                image,
                0,
                panel,
                padded,
                turned.as_mut_ptr(),
            )
        };
        T::dispatch(Transform {
            turned,
            row: layout.size[2],
            tiles: [bands.len(), self.tiles[1]],
            gradient,
            dst,
            point,
        });
    }

    /// Few sums: they stay in the nearer caches while band by band, a row of tiles of an image, is transformed and
    /// multiplied. The groups of bands, each with sums of its own, follow from the shape alone.
    fn by_bands(&self, grad_w: &mut [T]) {
        let (shape, lanes, [down, across]) = (self.shape, self.lanes, self.tiles);
        let all = self.vectors[0] + self.vectors[1];
        let ld = self.vectors[0] * lanes;
        let point_sums = shape.out_channels * ld + GAP;
        let group_sums = POINTS * point_sums;
        let bands = shape.batch * down;
        let groups = (GROUP_SUMS / size_of::<T>() / group_sums)
            .clamp(1, MAX_GROUPS)
            .min(tiles(shape).div_ceil(GROUP_TILES))
            .min(bands);
        let tile_bytes = POINTS * all * lanes * size_of::<T>();
        let together = (TILES / tile_bytes).min(DEPTH) / across;
        let together = together.clamp(1, bands.div_ceil(groups));
        let panel = together * across * lanes;
        let point = all * panel + GAP;
        let mut sums = Buf::<T>::take(groups * group_sums);
        let base = SendPtr(sums.as_mut_ptr());
        parallel_for(groups, |group| {
            let (first, end) = (group * bands / groups, (group + 1) * bands / groups);
            let mut transformed = Buf::<T>::take(POINTS * point);
            let mut turned = Buf::take(0);
            for start in (first..end).step_by(together) {
                let stop = (start + together).min(end);
                let mut band = start;
                while band < stop {
                    let (image, row) = (band / down, band % down);
                    let rows = row..down.min(row + stop - band);
                    for vector in 0..all {
                        let at = vector * panel + (band - start) * across * lanes;
                        // SAFETY: as many bands as `together` have room.
                        unsafe {
                            let dst = transformed.as_mut_ptr().add(at);
                            self.transform(image, rows.clone(), vector, &mut turned, dst, point)
                        };
                    }
                    band += rows.len();
                }
                let segments = segments((stop - start) * across, lanes);
                for at in 0..POINTS {
                    let c = base.ptr().wrapping_add(group * group_sums + at * point_sums);
                    T::dispatch(Product {
                        segments: &segments,
                        g: transformed[at * point + self.vectors[0] * panel..].as_ptr(),
                        g_panel: panel,
                        x: transformed[at * point..].as_ptr(),
                        x_panel: panel,
                        step: lanes,
                        offsets: &[0],
                        rows: shape.out_channels,
                        panels: self.vectors[0],
                        c,
                        ldc: ld,
                        onto: start > first,
                    });
                }
            }
        });
        let sums_len = shape.out_channels * ld;
        parallel_for(POINTS, |at| {
            // SAFETY: this task alone accesses this point's sums of all groups.
            unsafe {
                let of = |group: usize| base.ptr().add(group * group_sums + at * point_sums);
                let sum = std::slice::from_raw_parts_mut(of(0), sums_len);
                for group in 1..groups {
                    let other = std::slice::from_raw_parts(of(group), sums_len);
                    sum.iter_mut().zip(other).for_each(|(a, &b)| *a += b);
                }
            }
        });
        parallel_chunks_mut(grad_w, 9 * shape.in_channels, |at, out| {
            let sums = &sums[at / (9 * shape.in_channels) * ld..];
            T::dispatch(Back {
                sums,
                point: point_sums,
                out,
            });
        });
    }

    /// Many sums: all tiles of some images are transformed first, and the points multiplied one by one.
    fn by_points(&self, grad_w: &mut [T]) {
        let (shape, lanes, vectors) = (self.shape, self.lanes, self.vectors);
        let per_image = self.tiles[0] * self.tiles[1];
        let all = vectors[0] + vectors[1];
        let image_bytes = POINTS * per_image * all * lanes * size_of::<T>();
        let together = (TURNED / image_bytes).clamp(1, shape.batch);
        let panel = together * per_image * lanes;
        // The panels of the input, then those of the gradient, for each point.
        let point = all * panel + GAP;
        let mut transformed = Buf::<T>::take(POINTS * point);
        // Many sums are made block by block and transformed back at once, if that is possible: they would not stay in the
        // caches.
        let len = shape.in_channels.next_multiple_of(lanes) * shape.out_channels;
        let in_blocks = together == shape.batch && POINTS * len * size_of::<T>() > MANY_SUMS;
        let (rows, panels) = if in_blocks {
            (BLOCK_ROWS, BLOCK_PANELS)
        } else {
            (shape.out_channels, vectors[0])
        };
        let blocks = [shape.out_channels.div_ceil(rows), vectors[0].div_ceil(panels)];
        let ld = panels * lanes;
        let point_sums = rows * ld + GAP;
        let mut sums = Buf::<T>::take(if in_blocks { 0 } else { POINTS * point_sums });
        let sums_base = SendPtr(sums.as_mut_ptr());
        let grad_base = SendPtr(grad_w.as_mut_ptr());
        let row_weights = 9 * shape.in_channels;
        // Transforms the sums of one output channel and some vectors back.
        let back = |sums: &[T], row: usize, panels: Range<usize>| {
            let channels = panels.start * lanes..(panels.end * lanes).min(shape.in_channels);
            let at = row * row_weights + 9 * channels.start;
            // SAFETY: the calling task alone accesses these weights.
            let out = unsafe { std::slice::from_raw_parts_mut(grad_base.ptr().add(at), 9 * channels.len()) };
            let point = point_sums;
            T::dispatch(Back { sums, point, out });
        };
        for start in (0..shape.batch).step_by(together) {
            let count = together.min(shape.batch - start);
            let base = SendPtr(transformed.as_mut_ptr());
            parallel_for(count * all, |task| {
                let (image, vector) = (task / all, task % all);
                let dst = base
                    .ptr()
                    .wrapping_add(vector * panel + image * per_image * lanes);
                let mut turned = Buf::take(0);
                // SAFETY: the tiles of an image have room; this task alone writes them.
                unsafe { self.transform(start + image, 0..self.tiles[0], vector, &mut turned, dst, point) };
            });
            let segments = segments(count * per_image, lanes);
            // The product of one point for the rows and panels of a block.
            let product = |at: usize, rows: Range<usize>, panels: Range<usize>, c: *mut T| {
                let operands = &transformed[at * point..][..all * panel];
                T::dispatch(Product {
                    segments: &segments,
                    g: operands[(vectors[0] + rows.start / lanes) * panel..].as_ptr(),
                    g_panel: panel,
                    x: operands[panels.start * panel..].as_ptr(),
                    x_panel: panel,
                    step: lanes,
                    offsets: &[0],
                    rows: rows.len(),
                    panels: panels.len(),
                    c,
                    ldc: ld,
                    onto: start > 0,
                });
            };
            if !in_blocks {
                parallel_for(POINTS, |at| {
                    let c = sums_base.ptr().wrapping_add(at * point_sums);
                    product(at, 0..shape.out_channels, 0..vectors[0], c)
                });
                continue;
            }
            parallel_for(blocks[0] * blocks[1], |block| {
                let (row, first) = (block % blocks[0] * rows, block / blocks[0] * panels);
                let rows = row..(row + rows).min(shape.out_channels);
                let panels = first..(first + panels).min(vectors[0]);
                let mut sums = Buf::<T>::take(POINTS * point_sums);
                for at in 0..POINTS {
                    product(
                        at,
                        rows.clone(),
                        panels.clone(),
                        sums[at * point_sums..].as_mut_ptr(),
                    );
                }
                for (i, row) in rows.enumerate() {
                    back(&sums[i * ld..], row, panels.clone());
                }
            });
        }
        if !in_blocks {
            parallel_for(shape.out_channels, |row| {
                back(&sums[row * ld..], row, 0..vectors[0])
            });
        }
    }
}

/// The steps of a product, cut into pieces that are no longer than a block.
fn segments(steps: usize, lanes: usize) -> Vec<Segment> {
    let pieces = steps.div_ceil(DEPTH);
    let piece = |i: usize| {
        let from = i * steps / pieces;
        Segment {
            g: from * lanes,
            x: from * lanes,
            len: (i + 1) * steps / pieces - from,
        }
    };
    (0..pieces).map(piece).collect()
}

/// Transforms the tiles of a turned image, for the channels of one vector.
struct Transform<'a, T> {
    turned: &'a [T],
    /// Positions of a row.
    row: usize,
    tiles: [usize; 2],
    /// Whether these are gradients of the output, in tiles of 4 × 4, or inputs, in tiles of 6 × 6.
    gradient: bool,
    dst: *mut T,
    /// From one point to the next.
    point: usize,
}

/// A times four values.
#[inline(always)]
fn gradient_points<S: Simd>(s: S, e: [S::Vector; 4]) -> [S::Vector; 6] {
    let of = |x: f64| s.splat(S::Elem::from_f64(x));
    let (even, odd) = (s.add(e[0], e[2]), s.add(e[1], e[3]));
    let even_2 = s.mul_add(of(4.0), e[2], e[0]);
    let odd_2 = s.mul_add(of(8.0), e[3], s.mul(of(2.0), e[1]));
    [
        e[0],
        s.add(even, odd),
        s.sub(even, odd),
        s.add(even_2, odd_2),
        s.sub(even_2, odd_2),
        e[3],
    ]
}

/// Gᵀ times six values.
#[inline(always)]
fn tap_sums<S: Simd>(s: S, m: [S::Vector; 6]) -> [S::Vector; 3] {
    let of = |x: f64| s.splat(S::Elem::from_f64(x));
    let (even, odd) = (s.add(m[1], m[2]), s.sub(m[1], m[2]));
    let (even_2, odd_2) = (s.add(m[3], m[4]), s.sub(m[3], m[4]));
    let sixth = of(1.0 / 6.0);
    [
        s.mul_add(
            of(0.25),
            m[0],
            s.mul_add(of(-1.0 / 6.0), even, s.mul(of(1.0 / 24.0), even_2)),
        ),
        s.mul_add(of(1.0 / 12.0), odd_2, s.mul(of(-1.0 / 6.0), odd)),
        s.mul_add(sixth, s.sub(even_2, even), m[5]),
    ]
}

impl<T: Real> WithSimd<T> for Transform<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let size = if self.gradient { 4 } else { 6 };
        let [down, across] = self.tiles;
        assert!(
            self.turned.len()
                >= ((4 * (down - 1) + size - 1) * self.row + 4 * (across - 1) + size) * S::LANES
        );
        let zero = s.splat(T::ZERO);
        for y in 0..down {
            for x in 0..across {
                let from = (4 * y * self.row + 4 * x) * S::LANES;
                // SAFETY: element `(i, j)` of a tile, inside the image as asserted.
                let load = |i: usize, j: usize| unsafe {
                    s.load(self.turned.as_ptr().add(from + (i * self.row + j) * S::LANES))
                };
                let mut half = [[zero; 6]; 6];
                for j in 0..size {
                    let points = if self.gradient {
                        gradient_points(s, [load(0, j), load(1, j), load(2, j), load(3, j)])
                    } else {
                        let d = [
                            load(0, j),
                            load(1, j),
                            load(2, j),
                            load(3, j),
                            load(4, j),
                            load(5, j),
                        ];
                        input_points(s, d)
                    };
                    for i in 0..6 {
                        half[i][j] = points[i];
                    }
                }
                for (i, half) in half.iter().enumerate() {
                    let points = if self.gradient {
                        gradient_points(s, [half[0], half[1], half[2], half[3]])
                    } else {
                        input_points(s, *half)
                    };
                    for (j, &value) in points.iter().enumerate() {
                        let at = (6 * i + j) * self.point + (y * across + x) * S::LANES;
                        // SAFETY: this tile's vector of a point, which this task alone writes.
                        unsafe { s.store(self.dst.wrapping_add(at), value) };
                    }
                }
            }
        }
    }
}

/// Transforms the sums of one output channel back.
struct Back<'a, T> {
    sums: &'a [T],
    /// From one point to the next.
    point: usize,
    out: &'a mut [T],
}

impl<T: Real> WithSimd<T> for Back<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let zero = s.splat(T::ZERO);
        let mut taps = [T::ZERO; 9 * 16];
        for (vector, out) in self.out.chunks_mut(9 * S::LANES).enumerate() {
            let sums = &self.sums[vector * S::LANES..];
            assert!(sums.len() >= (POINTS - 1) * self.point + S::LANES);
            let mut half = [[zero; 6]; 3];
            for j in 0..6 {
                let mut m = [zero; 6];
                for (i, m) in m.iter_mut().enumerate() {
                    // SAFETY: a vector of a point, as asserted.
                    *m = unsafe { s.load(sums.as_ptr().add((6 * i + j) * self.point)) };
                }
                let sums = tap_sums(s, m);
                for i in 0..3 {
                    half[i][j] = sums[i];
                }
            }
            for (i, half) in half.iter().enumerate() {
                for (j, &sum) in tap_sums(s, *half).iter().enumerate() {
                    // SAFETY: one of 9 vectors.
                    unsafe { s.store(taps.as_mut_ptr().add((3 * i + j) * S::LANES), sum) };
                }
            }
            let pack = T::kernel_table().pack_transposed;
            // SAFETY: 9 vectors, of which as many lanes as there are channels become rows of 9 taps.
            unsafe { pack(taps.as_ptr(), S::LANES, 9, out.len() / 9, out.as_mut_ptr(), 9, 9) };
        }
    }
}
