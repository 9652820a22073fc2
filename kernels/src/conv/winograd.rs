//! Winograd's algorithm F(4 × 4, 3 × 3) for 3 × 3 convolutions with stride 1 (Lavin & Gray, 2016).
//!
//! A tile of 6 × 6 inputs d gives 4 × 4 outputs `Aᵀ[(G·g·Gᵀ) ∘ (Bᵀ·d·B)]A`: 36 multiplications instead of 144, which
//! over many tiles and channels are 36 matrix products. The price is rounding: errors up to 2 · 10⁻⁵ of the largest
//! output, where the direct sum has up to 10⁻⁶. It is used for f32 from [`MIN_TILES`] tiles and [`MIN_CHANNELS`] channels
//! on, and [`set_winograd_enabled`] switches it off for the process.
//!
//! Four tiles next to each other, a quad, span 16 columns and lie in registers as four columns modulo 4; a vector holds
//! one, two or four quads.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ConvShape;
use crate::gemm::{KernelTable, Tile};
use crate::mem::Buf;
use crate::pool::{SendPtr, parallel_for, parallel_ranges};
use crate::simd::{Real, Simd, WithSimd};

/// Tiles of 4 × 4 outputs from which on the transformation of the weights pays.
pub const MIN_TILES: usize = 24;
/// The same for weights that, transformed, have more than [`IN_CACHE`] elements.
pub const MIN_TILES_OF_MANY: usize = 100;
/// Transformed weights that stay in the last cache until they are used.
const IN_CACHE: usize = 4 << 20;
/// Input and output channels from which on the transformation of tiles pays.
pub const MIN_CHANNELS: usize = 16;

/// Elements of a transformed tile.
const POINTS: usize = 36;
/// Output channels whose products are held at a time.
const CHANNEL_BLOCK: usize = 64;
/// Elements between the values of one point and those of the next, which keep the 36 from sharing few sets of the caches.
const GAP: usize = 16;
/// Elements from one row of a quad's half-transformed inputs to the next, of which 20 are used.
const ROW: usize = 32;

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
    let min_tiles = if POINTS * shape.in_channels * shape.out_channels <= IN_CACHE {
        MIN_TILES
    } else {
        MIN_TILES_OF_MANY
    };
    size_of::<T>() == 4
        && winograd_enabled()
        && shape.groups == 1
        && shape.kernel == [1, 3, 3]
        && [shape.stride, shape.dilation] == [[1; 3]; 2]
        && shape.input[0] == 1
        && shape.output[0] == 1
        && shape.in_channels.min(shape.out_channels) >= MIN_CHANNELS
        && shape.batch * height.div_ceil(4) * width.div_ceil(4) >= min_tiles
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

pub(super) fn forward<T: Real>(shape: &ConvShape, x: &[T], w: &[T], bias: Option<&[T]>, out: &mut [T]) {
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
    problem.run(x, &weights, bias, out);
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
    problem.run(grad_out, &weights, None, grad_in);
}

impl Problem {
    fn tile_rows(&self) -> usize {
        self.output[0].div_ceil(4)
    }

    fn quads_per_row(&self) -> usize {
        self.output[1].div_ceil(16)
    }

    /// Image, row and column of the first output of a quad.
    fn place(&self, quad: usize) -> (usize, usize, usize) {
        let (row, column) = (quad / self.quads_per_row(), quad % self.quads_per_row());
        (row / self.tile_rows(), 4 * (row % self.tile_rows()), 16 * column)
    }

    fn run<T: Real>(&self, x: &[T], weights: &Weights<'_, T>, bias: Option<&[T]>, out: &mut [T]) {
        let table = T::kernel_table();
        let height = table.packed[1].len();
        let panels = self.rows.div_ceil(height);
        let cut = |p: usize| p * self.rows / panels;
        let stride = self.rows * self.depth + GAP;
        let mut transformed = Buf::<T>::take(POINTS * stride);
        let base = SendPtr(transformed.as_mut_ptr());
        parallel_ranges(panels * self.depth, 64, |range| {
            for i in range {
                let (panel, k) = (i / self.depth, i % self.depth);
                let rows = cut(panel)..cut(panel + 1);
                let offset = rows.start * self.depth + k * rows.len();
                T::dispatch(TransformWeights {
                    weights,
                    rows,
                    k,
                    dst: base.ptr().wrapping_add(offset),
                    stride,
                });
            }
        });
        let quads = self.batch * self.tile_rows() * self.quads_per_row();
        let per_block = table.lanes / 2;
        let out = SendPtr(out.as_mut_ptr());
        parallel_for(quads.div_ceil(per_block), |block| {
            let quads = block * per_block..((block + 1) * per_block).min(quads);
            self.block(table, &cut, panels, x, &transformed, bias, quads, out);
        });
    }

    /// All channels of one block of quads, two vectors of tiles.
    fn block<T: Real>(
        &self,
        table: &KernelTable<T>,
        cut: &dyn Fn(usize) -> usize,
        panels: usize,
        x: &[T],
        weights: &[T],
        bias: Option<&[T]>,
        quads: Range<usize>,
        out: SendPtr<T>,
    ) {
        let tiles = 2 * table.lanes;
        let (from_weights, from_inputs) = (self.rows * self.depth + GAP, self.depth * tiles + GAP);
        let mut inputs = Buf::<T>::take(POINTS * from_inputs);
        T::dispatch(TransformInputs {
            problem: self,
            x,
            quads: quads.clone(),
            dst: &mut inputs,
        });
        let together = (CHANNEL_BLOCK / table.packed[1].len()).max(1);
        let mut products = Buf::<T>::take(POINTS * (together * table.packed[1].len() * tiles + GAP));
        for first in (0..panels).step_by(together) {
            let last = (first + together).min(panels);
            let rows = cut(first)..cut(last);
            for point in 0..POINTS {
                let b = inputs[point * from_inputs..].as_ptr();
                for p in first..last {
                    let panel = cut(p)..cut(p + 1);
                    let a = weights[point * from_weights + panel.start * self.depth..].as_ptr();
                    let c = products
                        [point * (rows.len() * tiles + GAP) + (panel.start - rows.start) * tiles..]
                        .as_mut_ptr();
                    let tile = Tile::plain(c, tiles, table.lanes);
                    // SAFETY: panels of `depth` steps, and a tile inside the products.
                    unsafe { table.packed[1][panel.len() - 1](self.depth, a, b, tiles, &tile) };
                }
            }
            T::dispatch(TransformOutputs {
                problem: self,
                products: &products,
                rows,
                bias,
                quads: quads.clone(),
                out,
            });
        }
    }
}

/// G·g·Gᵀ of the kernels of a panel of rows, for one k: `dst[point · stride + i]`.
struct TransformWeights<'a, T> {
    weights: &'a Weights<'a, T>,
    rows: Range<usize>,
    k: usize,
    dst: *mut T,
    stride: usize,
}

/// G times three values.
#[inline(always)]
fn weight_points<S: Simd>(s: S, g: [S::Vector; 3]) -> [S::Vector; 6] {
    let of = |x: f64| s.splat(S::Elem::from_f64(x));
    let [a, b, c] = g;
    let even = s.mul(of(-1.0 / 6.0), s.add(a, c));
    let odd = s.mul(of(-1.0 / 6.0), b);
    let even_2 = s.mul_add(of(1.0 / 24.0), a, s.mul(of(1.0 / 6.0), c));
    let odd_2 = s.mul(of(1.0 / 12.0), b);
    let quarter = s.mul(of(0.25), a);
    [
        quarter,
        s.add(even, odd),
        s.sub(even, odd),
        s.add(even_2, odd_2),
        s.sub(even_2, odd_2),
        c,
    ]
}

impl<T: Real> WithSimd<T> for TransformWeights<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let TransformWeights {
            weights,
            rows,
            k,
            dst,
            stride,
        } = self;
        let mut taps = [T::ZERO; 9 * 16];
        for first in rows.clone().step_by(S::LANES) {
            let count = (rows.end - first).min(S::LANES);
            let kernels = &weights.w[first * weights.row_stride + k * weights.depth_stride..];
            assert!(kernels.len() >= (count - 1) * weights.row_stride + 9);
            // Tap t of all kernels as a vector: a transposition, in two parts where there are fewer than 9 lanes.
            for tap in (0..9).step_by(S::LANES) {
                let number = (9 - tap).min(S::LANES);
                // SAFETY: `count` kernels of 9 taps, as asserted, and 9 vectors.
                unsafe {
                    let (src, taps) = (kernels.as_ptr().add(tap), taps.as_mut_ptr().add(tap * S::LANES));
                    s.transpose(src, weights.row_stride, count, number, taps, S::LANES, S::LANES);
                }
            }
            let mut half = [[s.splat(T::ZERO); 3]; 6];
            for x in 0..3 {
                let mut g = [s.splat(T::ZERO); 3];
                for y in 0..3 {
                    let tap = if weights.turned {
                        8 - (3 * y + x)
                    } else {
                        3 * y + x
                    };
                    // SAFETY: one of 9 vectors.
                    g[y] = unsafe { s.load(taps.as_ptr().add(tap * S::LANES)) };
                }
                let points = weight_points(s, g);
                for y in 0..6 {
                    half[y][x] = points[y];
                }
            }
            for y in 0..6 {
                let points = weight_points(s, half[y]);
                for x in 0..6 {
                    let p = dst.wrapping_add((6 * y + x) * stride + first - rows.start);
                    // SAFETY: the rows of this panel and k, which this call alone writes.
                    unsafe { s.store_partial(p, points[x], count) };
                }
            }
        }
    }
}

/// Bᵀ·d·B of a block's tiles: `dst[point · (depth · tiles + GAP) + k · tiles + tile]`.
struct TransformInputs<'a, T> {
    problem: &'a Problem,
    x: &'a [T],
    quads: Range<usize>,
    dst: &'a mut [T],
}

/// Bᵀ times six values.
#[inline(always)]
fn input_points<S: Simd>(s: S, d: [S::Vector; 6]) -> [S::Vector; 6] {
    let of = |x: f64| s.splat(S::Elem::from_f64(x));
    let (two, four, five) = (of(2.0), of(4.0), of(-5.0));
    let even = s.mul_add(of(-4.0), d[2], d[4]);
    let odd = s.mul_add(of(-4.0), d[1], d[3]);
    let difference = s.sub(d[4], d[2]);
    let doubled = s.mul(two, s.sub(d[3], d[1]));
    [
        s.mul_add(four, d[0], s.mul_add(five, d[2], d[4])),
        s.add(even, odd),
        s.sub(even, odd),
        s.add(difference, doubled),
        s.sub(difference, doubled),
        s.mul_add(four, d[1], s.mul_add(five, d[3], d[5])),
    ]
}

/// Where a quad's inputs lie.
#[derive(Clone, Copy, Default)]
struct Patch {
    /// Of the first element, in channel 0; may lie outside.
    offset: isize,
    /// Rows of the six that lie inside the image.
    rows: [usize; 2],
    /// Columns of the 20 that do.
    columns: u32,
}

impl Problem {
    fn patch(&self, quad: usize) -> Patch {
        let (image, row, column) = self.place(quad);
        let (y, x) = (row as isize - self.padding[0], column as isize - self.padding[1]);
        let [height, width] = self.input.map(|n| n as isize);
        let within = |start: isize, count: isize, size: isize| {
            let first = (-start).clamp(0, count);
            [first as usize, (size - start).clamp(first, count) as usize]
        };
        let [first, end] = within(x, 20, width);
        let plane = height * width;
        Patch {
            offset: (image * self.depth) as isize * plane + y * width + x,
            rows: within(y, 6, height),
            columns: ((1 << end) - 1) & !((1 << first) - 1),
        }
    }
}

impl<T: Real> WithSimd<T> for TransformInputs<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let TransformInputs {
            problem,
            x,
            quads,
            dst,
        } = self;
        let (depth, tiles, per_vector) = (problem.depth, 2 * S::LANES, S::LANES / 4);
        assert_eq!(dst.len(), POINTS * (depth * tiles + GAP));
        let [height, width] = problem.input;
        let zero = s.splat(T::ZERO);
        let mut patches = [Patch::default(); 8];
        for (patch, quad) in patches.iter_mut().zip(quads) {
            *patch = problem.patch(quad);
        }
        // The six rows of each quad of a vector, transformed along columns of the image.
        let mut half = [T::ZERO; 4 * 6 * ROW];
        for k in 0..depth {
            let channel = x.as_ptr().wrapping_add(k * height * width);
            for group in 0..2 {
                for q in 0..per_vector {
                    let patch = patches[group * per_vector + q];
                    for column in (0..20).step_by(S::LANES) {
                        let mask = (patch.columns >> column) & ((1u32 << S::LANES) - 1);
                        let mut d = [zero; 6];
                        for y in 0..6 {
                            if y >= patch.rows[0] && y < patch.rows[1] {
                                let offset = patch.offset + (y * width + column) as isize;
                                // SAFETY: row and mask select elements of the image.
                                d[y] = unsafe { s.load_masked(zero, mask, channel.wrapping_offset(offset)) };
                            }
                        }
                        let points = input_points(s, d);
                        for y in 0..6 {
                            // SAFETY: at most 32 columns of 6 rows of 4 quads.
                            unsafe { s.store(half.as_mut_ptr().add((q * 6 + y) * ROW + column), points[y]) };
                        }
                    }
                }
                for y in 0..6 {
                    // SAFETY: 20 columns of row y of each quad; the vectors lie inside `dst`, as asserted.
                    unsafe {
                        let row = half.as_ptr().add(y * ROW);
                        let [d0, d1, d2, d3] = s.deinterleave(row, 6 * ROW);
                        let [d4, d5, ..] = s.deinterleave(row.add(4), 6 * ROW);
                        let points = input_points(s, [d0, d1, d2, d3, d4, d5]);
                        for x in 0..6 {
                            let at = (6 * y + x) * (depth * tiles + GAP) + k * tiles + group * S::LANES;
                            s.store(dst.as_mut_ptr().add(at), points[x]);
                        }
                    }
                }
            }
        }
    }
}

/// Aᵀ·m·A of some output channels of a block's tiles, with the bias, to their places in the output.
struct TransformOutputs<'a, T> {
    problem: &'a Problem,
    products: &'a [T],
    rows: Range<usize>,
    bias: Option<&'a [T]>,
    quads: Range<usize>,
    out: SendPtr<T>,
}

/// Aᵀ times six values.
#[inline(always)]
fn output_points<S: Simd>(s: S, m: [S::Vector; 6]) -> [S::Vector; 4] {
    let of = |x: f64| s.splat(S::Elem::from_f64(x));
    let (even, odd) = (s.add(m[1], m[2]), s.sub(m[1], m[2]));
    let (even_2, odd_2) = (s.add(m[3], m[4]), s.sub(m[3], m[4]));
    [
        s.add(s.add(m[0], even), even_2),
        s.mul_add(of(2.0), odd_2, odd),
        s.mul_add(of(4.0), even_2, even),
        s.add(s.mul_add(of(8.0), odd_2, odd), m[5]),
    ]
}

impl<T: Real> WithSimd<T> for TransformOutputs<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let TransformOutputs {
            problem,
            products,
            rows,
            bias,
            quads,
            out,
        } = self;
        let (tiles, per_vector) = (2 * S::LANES, S::LANES / 4);
        assert!(products.len() >= POINTS * (rows.len() * tiles + GAP));
        let [height, width] = problem.output;
        let mut places = [(0, 0, 0); 8];
        for (place, quad) in places.iter_mut().zip(quads.clone()) {
            *place = problem.place(quad);
        }
        // 16 columns of one row of each quad of a vector.
        let mut line = [T::ZERO; 4 * 16];
        for row in rows.clone() {
            let bias = s.splat(bias.map_or(T::ZERO, |b| b[row]));
            for group in 0..2 {
                let mut half = [[s.splat(T::ZERO); 6]; 4];
                for x in 0..6 {
                    let mut m = [s.splat(T::ZERO); 6];
                    for y in 0..6 {
                        let at = (6 * y + x) * (rows.len() * tiles + GAP)
                            + (row - rows.start) * tiles
                            + group * S::LANES;
                        // SAFETY: inside the products, as asserted.
                        m[y] = unsafe { s.load(products.as_ptr().add(at)) };
                    }
                    let points = output_points(s, m);
                    for y in 0..4 {
                        half[y][x] = points[y];
                    }
                }
                for y in 0..4 {
                    let [a, b, c, d] = output_points(s, half[y]);
                    let values = [s.add(a, bias), s.add(b, bias), s.add(c, bias), s.add(d, bias)];
                    // SAFETY: 16 columns of each quad.
                    unsafe { s.interleave(values, line.as_mut_ptr(), 16) };
                    for q in 0..per_vector {
                        let i = group * per_vector + q;
                        if i >= quads.len() {
                            break;
                        }
                        let (image, first_row, column) = places[i];
                        if first_row + y >= height {
                            continue;
                        }
                        let offset = ((image * problem.rows + row) * height + first_row + y) * width + column;
                        for start in (0..16).step_by(S::LANES) {
                            let count = (width - column).saturating_sub(start).min(S::LANES);
                            // SAFETY: columns of a row of the output which this task alone writes.
                            unsafe {
                                let values = s.load(line.as_ptr().add(q * 16 + start));
                                s.store_partial(out.ptr().wrapping_add(offset + start), values, count);
                            }
                        }
                    }
                }
            }
        }
    }
}
