//! The three transformations of F(4 × 4, 3 × 3): of weights, of inputs and of products.

use std::ops::Range;

use smallvec::SmallVec;

use super::{GAP, POINTS, Problem, Tail, Weights};
use crate::pool::SendPtr;
use crate::simd::{Real, Simd, WithSimd};

/// Elements from one row of a pair's half-transformed inputs to the next, of which 10 are used.
const ROW: usize = 16;

/// G·g·Gᵀ of the kernels of a panel of rows, for some k: `dst[point · stride + (k − depth.start) · rows.len() + i]`.
pub(super) struct TransformWeights<'a, T> {
    pub(super) weights: &'a Weights<'a, T>,
    pub(super) rows: Range<usize>,
    pub(super) depth: Range<usize>,
    pub(super) dst: *mut T,
    pub(super) stride: usize,
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
        for (i, k) in self.depth.clone().enumerate() {
            let dst = self.dst.wrapping_add(i * self.rows.len());
            for first in self.rows.clone().step_by(S::LANES) {
                self.kernels(s, first, k, dst.wrapping_add(first - self.rows.start));
            }
        }
    }
}

impl<T: Real> TransformWeights<'_, T> {
    /// The kernels of as many rows as there are lanes, from `first` on.
    #[inline(always)]
    fn kernels<S: Simd<Elem = T>>(&self, s: S, first: usize, k: usize, dst: *mut T) {
        let weights = self.weights;
        let count = (self.rows.end - first).min(S::LANES);
        let kernels = &weights.w[first * weights.row_stride + k * weights.depth_stride..];
        assert!(kernels.len() >= (count - 1) * weights.row_stride + 9);
        let mut taps = [T::ZERO; 9 * 16];
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
                let p = dst.wrapping_add((6 * y + x) * self.stride);
                // SAFETY: the rows of this panel and k, which this task alone writes.
                unsafe { s.store_partial(p, points[x], count) };
            }
        }
    }
}

/// Bᵀ·d·B of a block's tiles: `dst[point · (depth · tiles + GAP) + k · tiles + tile]`.
pub(super) struct TransformInputs<'a, T> {
    pub(super) problem: &'a Problem,
    pub(super) x: &'a [T],
    pub(super) pairs: Range<usize>,
    pub(super) dst: &'a mut [T],
}

/// Bᵀ times six values.
#[inline(always)]
pub(crate) fn input_points<S: Simd>(s: S, d: [S::Vector; 6]) -> [S::Vector; 6] {
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

/// Where a pair's inputs lie.
#[derive(Clone, Copy, Default)]
struct Patch {
    /// Of the first element, in channel 0; may lie outside.
    offset: isize,
    /// Rows of the six that lie inside the image.
    rows: [usize; 2],
    /// Columns of the 10 that do.
    columns: u32,
}

impl Problem {
    fn patch(&self, pair: usize) -> Patch {
        let (image, row, column) = self.place(pair);
        let (y, x) = (row as isize - self.padding[0], column as isize - self.padding[1]);
        let [height, width] = self.input.map(|n| n as isize);
        let within = |start: isize, count: isize, size: isize| {
            let first = (-start).clamp(0, count);
            [first as usize, (size - start).clamp(first, count) as usize]
        };
        let [first, end] = within(x, 10, width);
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
            pairs,
            dst,
        } = self;
        let (depth, tiles, per_vector) = (problem.depth, 2 * S::LANES, S::LANES / 2);
        assert_eq!(dst.len(), POINTS * (depth * tiles + GAP));
        let [height, width] = problem.input;
        let zero = s.splat(T::ZERO);
        let mut patches = [Patch::default(); 16];
        for (patch, pair) in patches.iter_mut().zip(pairs) {
            *patch = problem.patch(pair);
        }
        // The six rows of each pair of a vector, transformed along columns of the image.
        let mut half = [T::ZERO; 8 * 6 * ROW];
        for k in 0..depth {
            let channel = x.as_ptr().wrapping_add(k * height * width);
            for group in 0..2 {
                for q in 0..per_vector {
                    let patch = patches[group * per_vector + q];
                    for column in (0..10).step_by(S::LANES) {
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
                            // SAFETY: at most 16 columns of 6 rows of 8 pairs.
                            unsafe { s.store(half.as_mut_ptr().add((q * 6 + y) * ROW + column), points[y]) };
                        }
                    }
                }
                for y in 0..6 {
                    // SAFETY: 12 columns of row y of each pair; the vectors lie inside `dst`, as asserted.
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
pub(super) struct TransformOutputs<'a, T> {
    pub(super) problem: &'a Problem,
    pub(super) products: &'a [T],
    pub(super) rows: Range<usize>,
    pub(super) tail: &'a Tail<'a, T>,
    pub(super) pairs: Range<usize>,
    pub(super) out: SendPtr<T>,
}

/// Where the outputs of neighbouring pairs go.
#[derive(Clone, Copy)]
struct Span {
    /// Of the first element, in a row of outputs of all pairs of a vector.
    line: usize,
    /// The same in channel 0 of the output.
    offset: usize,
    rows: usize,
    columns: usize,
}

impl Problem {
    /// The spans of the pairs of a vector.
    fn spans(&self, pairs: Range<usize>) -> SmallVec<[Span; 8]> {
        let [height, width] = self.output;
        let mut spans = SmallVec::<[Span; 8]>::new();
        for (q, pair) in pairs.enumerate() {
            let (image, row, column) = self.place(pair);
            let columns = (width - column).min(8);
            match spans.last_mut() {
                Some(left) if column > 0 => left.columns += columns,
                _ => spans.push(Span {
                    line: 8 * q,
                    offset: (image * self.rows * height + row) * width + column,
                    rows: (height - row).min(4),
                    columns,
                }),
            }
        }
        spans
    }
}

/// Aᵀ times six values.
#[inline(always)]
pub(crate) fn output_points<S: Simd>(s: S, m: [S::Vector; 6]) -> [S::Vector; 4] {
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
            tail,
            pairs,
            out,
        } = self;
        let (tiles, per_vector) = (2 * S::LANES, S::LANES / 2);
        assert!(products.len() >= POINTS * (rows.len() * tiles + GAP));
        let [height, width] = problem.output;
        let spans = [0, 1].map(|group| {
            let of_vector = |at: usize| (pairs.start + at * per_vector).min(pairs.end);
            problem.spans(of_vector(group)..of_vector(group + 1))
        });
        // 8 columns of one row of each pair of a vector, and what a vector read from the last pair's place goes beyond.
        let mut line = [T::ZERO; 8 * 8 + 8];
        for row in rows.clone() {
            let tail = tail.of_channel(s, row);
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
                    // SAFETY: 8 columns of each pair.
                    unsafe { s.interleave(output_points(s, half[y]), line.as_mut_ptr()) };
                    for span in spans[group].iter().filter(|span| y < span.rows) {
                        let at = span.offset + (row * height + y) * width;
                        for start in (0..span.columns).step_by(S::LANES) {
                            let count = (span.columns - start).min(S::LANES);
                            // SAFETY: columns of a row of the output which this task alone writes.
                            unsafe {
                                let values = s.load(line.as_ptr().add(span.line + start));
                                let values = tail.of(s, values, at + start, count);
                                s.store_partial(out.ptr().wrapping_add(at + start), values, count);
                            }
                        }
                    }
                }
            }
        }
    }
}
