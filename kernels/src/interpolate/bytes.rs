//! Resampling images of bytes as PyTorch (after Pillow) does it: weights as 16-bit fixed point numbers, one pass along
//! each dimension, from the last to the first, each rounded to bytes.

use super::Axis;
use crate::pool::parallel_chunks_mut;
use crate::simd;

/// What the output positions of an axis read: as many neighbouring input positions each.
struct Reads {
    /// The first input position of each.
    first: Vec<usize>,
    /// Weights as integers, `taps` of each.
    weights: Vec<i32>,
    taps: usize,
    /// Weights are multiplied by two to this power.
    precision: u32,
}

impl Reads {
    /// The axis' weights scaled by the greatest power of two with which they fit in 16 bits.
    fn new(axis: &Axis<f64>) -> Reads {
        let ends = |at: usize| {
            let places = axis.taps(at).map(|(p, _)| p);
            places.fold((axis.input, 0), |(first, last), p| (first.min(p), last.max(p)))
        };
        let taps = (0..axis.output)
            .map(ends)
            .map(|(first, last)| last + 1 - first)
            .max()
            .unwrap_or(0);
        let mut weights = vec![0.0; taps * axis.output];
        let mut firsts = Vec::with_capacity(axis.output);
        for (at, weights) in weights.chunks_exact_mut(taps.max(1)).enumerate() {
            let first = ends(at).0.min(axis.input - taps);
            // Taps beyond the border repeat its position: their weights count together.
            axis.taps(at).for_each(|(p, w)| weights[p - first] += w);
            firsts.push(first);
        }
        let greatest = weights.iter().fold(0.0, |m: f64, &w| m.max(w));
        let fits =
            |precision: u32| (0.5 + greatest * f64::from(1u32 << (precision + 1))) < f64::from(1 << 15);
        let precision = (0..22).find(|&precision| !fits(precision)).unwrap_or(22);
        let scale = f64::from(1u32 << precision);
        let fixed = |w: f64| (w * scale + 0.5f64.copysign(w)) as i32;
        Reads {
            first: firsts,
            weights: weights.into_iter().map(fixed).collect(),
            taps,
            precision,
        }
    }

    /// The first input position and the weights of an output position.
    #[inline(always)]
    fn at(&self, at: usize) -> (usize, &[i32]) {
        (self.first[at], &self.weights[at * self.taps..][..self.taps])
    }
}

/// Resamples planes of two dimensions: `x` is `[planes, height, width]`, `axes` are those of height and width.
///
/// # Panics
/// If the sizes do not fit.
pub fn interpolate_bytes(x: &[u8], out: &mut [u8], axes: &[Axis<f64>; 2]) {
    let [rows, columns] = axes;
    let planes = out.len() / (rows.output * columns.output);
    assert_eq!(x.len(), planes * rows.input * columns.input);
    if columns.input == columns.output {
        return along_columns(x, out, rows, columns.output);
    }
    let mut wide = vec![0; planes * rows.input * columns.output];
    along_rows(x, &mut wide, columns);
    along_columns(&wide, out, rows, columns.output);
}

/// Rows that are resampled together: one column of them fills a vector or two.
const TILE: usize = 32;

/// Sums of a row that are computed together.
const BLOCK: usize = 64;

/// Resamples each row.
fn along_rows(x: &[u8], out: &mut [u8], axis: &Axis<f64>) {
    let reads = Reads::new(axis);
    parallel_chunks_mut(out, 2 * TILE * axis.output, |start, out| {
        let mut source = vec![[0; TILE]; axis.input.next_multiple_of(8)];
        let mut target = vec![[0; TILE]; axis.output.next_multiple_of(8)];
        let first = start / axis.output;
        for (tile, out) in out.chunks_mut(TILE * axis.output).enumerate() {
            let rows = &x[(first + tile * TILE) * axis.input..];
            to_columns(
                &rows[..out.len() / axis.output * axis.input],
                axis.input,
                &mut source,
            );
            sum_columns(&source, &reads, &mut target[..axis.output]);
            to_rows(&target, axis.output, out);
        }
    });
}

/// The columns of the rows of a tile.
fn to_columns(rows: &[u8], width: usize, columns: &mut [[u8; TILE]]) {
    for (group, rows) in rows.chunks(8 * width).enumerate() {
        for (block, columns) in columns.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let mut square = [0; 8];
            for (word, row) in square.iter_mut().zip(rows.chunks_exact(width)) {
                *word = word_of(&row[8 * block..]);
            }
            for (column, word) in columns.iter_mut().zip(transposed(square)) {
                column[8 * group..][..8].copy_from_slice(&word.to_le_bytes());
            }
        }
    }
}

/// The rows of which these are the columns.
fn to_rows(columns: &[[u8; TILE]], width: usize, rows: &mut [u8]) {
    for (group, rows) in rows.chunks_mut(8 * width).enumerate() {
        for (block, columns) in columns.as_chunks::<8>().0.iter().enumerate() {
            let square = columns.each_ref().map(|column| word_of(&column[8 * group..]));
            for (row, word) in rows.chunks_exact_mut(width).zip(transposed(square)) {
                let row = &mut row[8 * block..];
                let len = row.len().min(8);
                row[..len].copy_from_slice(&word.to_le_bytes()[..len]);
            }
        }
    }
}

/// The first eight bytes, or as many as there are.
fn word_of(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => bytes
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

/// Eight times eight bytes transposed: halves, quarters and eighths off the diagonal change places.
fn transposed(mut rows: [u64; 8]) -> [u64; 8] {
    let steps = [
        (4, 32, 0x0000_0000_ffff_ffff),
        (2, 16, 0x0000_ffff_0000_ffff),
        (1, 8, 0x00ff_00ff_00ff_00ff),
    ];
    for (distance, bits, mask) in steps {
        for at in (0..8).filter(|at| at & distance == 0) {
            let (a, b) = (rows[at], rows[at + distance]);
            let changed = (a >> bits ^ b) & mask;
            rows[at] = a ^ changed << bits;
            rows[at + distance] = b ^ changed;
        }
    }
    rows
}

/// Sums as bytes, rounded.
#[inline(always)]
fn rounded<const N: usize>(sums: &[i32; N], precision: u32, out: &mut [u8; N]) {
    for (out, &sum) in out.iter_mut().zip(sums) {
        *out = (sum >> precision).clamp(0, 255) as u8;
    }
}

/// Adds `w` times each byte. (Sums of 16-bit weights that are 1 in all can't overflow; checks would not vectorise.)
#[inline(always)]
fn add<const N: usize>(sums: &mut [i32; N], w: i32, bytes: &[u8; N]) {
    for (sum, &x) in sums.iter_mut().zip(bytes) {
        *sum = sum.wrapping_add(w.wrapping_mul(i32::from(x)));
    }
}

simd! {
    fn sum_columns(x: &[[u8; TILE]], reads: &Reads, out: &mut [[u8; TILE]]) {
        let half = (1i32 << reads.precision) >> 1;
        for (at, out) in out.iter_mut().enumerate() {
            let (first, weights) = reads.at(at);
            let mut sums = [half; TILE];
            for (&w, column) in weights.iter().zip(&x[first..]) {
                add(&mut sums, w, column);
            }
            rounded(&sums, reads.precision, out);
        }
    }

    fn sum_rows(x: &[u8], width: usize, weights: &[i32], precision: u32, out: &mut [u8]) {
        let half = (1i32 << precision) >> 1;
        let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
        let start = blocks.len() * BLOCK;
        for (block, out) in blocks.iter_mut().enumerate() {
            let mut sums = [half; BLOCK];
            for (&w, row) in weights.iter().zip(x.chunks_exact(width)) {
                if let Some(bytes) = row[block * BLOCK..].first_chunk() {
                    add(&mut sums, w, bytes);
                }
            }
            rounded(&sums, precision, out);
        }
        for (at, out) in rest.iter_mut().enumerate() {
            let column = weights.iter().zip(x.chunks_exact(width)).map(|(&w, row)| w * i32::from(row[start + at]));
            *out = (column.fold(half, |sum, x| sum + x) >> precision).clamp(0, 255) as u8;
        }
    }
}

/// Resamples the columns of planes of so many of them.
fn along_columns(x: &[u8], out: &mut [u8], axis: &Axis<f64>, width: usize) {
    if axis.input == axis.output {
        return out.copy_from_slice(x);
    }
    let reads = Reads::new(axis);
    parallel_chunks_mut(out, 2 * TILE * width, |start, out| {
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            let row = start / width + row;
            let (first, weights) = reads.at(row % axis.output);
            let plane = row / axis.output * axis.input;
            sum_rows(
                &x[(plane + first) * width..],
                width,
                weights,
                reads.precision,
                out,
            );
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::{Kernel, Options};
    use super::*;

    #[test]
    fn bytes_are_rounded_after_each_pass() {
        let axis = |n, m| Axis::<f64>::new(Kernel::Linear, n, m, Options::default());
        let mut out = [0; 4];
        interpolate_bytes(&[0, 255], &mut out, &[axis(1, 1), axis(2, 4)]);
        assert_eq!(out, [0, 64, 191, 255]);
        let mut out = [0; 3];
        interpolate_bytes(&[10, 20], &mut out, &[axis(2, 3), axis(1, 1)]);
        assert_eq!(out, [10, 15, 20]);
        // Cubic weights are negative too; what they overshoot is cut off.
        let cubic = |n, m| Axis::<f64>::new(Kernel::Cubic, n, m, Options::default());
        let mut out = [0; 8];
        interpolate_bytes(&[0, 0, 255, 255], &mut out, &[cubic(1, 1), cubic(4, 8)]);
        assert_eq!((out[2], out[5]), (0, 255));
    }

    /// One sum after the other along a dimension behind which `inner` elements lie.
    fn resample(x: &[u8], axis: &Axis<f64>, inner: usize) -> Vec<u8> {
        if axis.input == axis.output {
            return x.to_vec();
        }
        let reads = Reads::new(axis);
        let mut out = Vec::new();
        for slab in x.chunks_exact(axis.input * inner) {
            for at in 0..axis.output {
                let (first, weights) = reads.at(at);
                for i in 0..inner {
                    let sum = weights
                        .iter()
                        .enumerate()
                        .fold((1 << reads.precision) >> 1, |sum, (k, &w)| {
                            sum + w * i32::from(slab[(first + k) * inner + i])
                        });
                    out.push((sum >> reads.precision).clamp(0, 255) as u8);
                }
            }
        }
        out
    }

    #[test]
    fn tiles_are_what_single_sums_are() {
        for (kernel, antialias) in [
            (Kernel::Linear, false),
            (Kernel::Linear, true),
            (Kernel::Cubic, true),
        ] {
            let axis = |n, m| {
                let options = Options {
                    antialias,
                    ..Options::default()
                };
                Axis::<f64>::new(kernel, n, m, options)
            };
            for (from, to) in [
                ([1, 1], [3, 5]),
                ([9, 17], [4, 8]),
                ([20, 7], [33, 7]),
                ([5, 70], [5, 9]),
            ] {
                let axes = [axis(from[0], to[0]), axis(from[1], to[1])];
                let x: Vec<u8> = (0..3 * from[0] * from[1])
                    .map(|i| (i * i * 7 % 251) as u8)
                    .collect();
                let mut out = vec![0; 3 * to[0] * to[1]];
                interpolate_bytes(&x, &mut out, &axes);
                let wide = resample(&x, &axes[1], 1);
                assert_eq!(
                    out,
                    resample(&wide, &axes[0], to[1]),
                    "{kernel:?} {from:?} {to:?}"
                );
            }
        }
    }
}
