//! `nn.functional.unfold` (im2col) and `fold` (col2im), each the other's gradient.
//!
//! Images are `[planes, height, width]` with `planes = batch · channels`; columns are
//! `[planes, kernel height · kernel width, blocks]`.

use crate::element::{Number, Pod};
use crate::index::rows_per_task;

use crate::pool;

/// The sliding blocks: `[height, width]` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Size of the image.
    pub image: [usize; 2],
    /// Size of a block.
    pub kernel: [usize; 2],
    /// Distance between blocks.
    pub stride: [usize; 2],
    /// Zeros around the image.
    pub padding: [usize; 2],
    /// Distance between the cells of a block.
    pub dilation: [usize; 2],
}

impl Blocks {
    /// The number of blocks down and across, or None where no block fits.
    pub fn counts(&self) -> Option<[usize; 2]> {
        let mut counts = [0; 2];
        for d in 0..2 {
            let len = |ceil| {
                let (kernel, stride) = (self.kernel[d], self.stride[d]);
                crate::pooling::output_len(
                    self.image[d],
                    kernel,
                    stride,
                    self.padding[d],
                    self.dilation[d],
                    ceil,
                )
            };
            counts[d] = len(false)?;
        }
        Some(counts)
    }

    /// Calls `f(block cell, block row, first block across, one past the last, image index of the first)` for every row
    /// of blocks, per cell of the kernel, that reaches into the image; blocks across are `stride` apart in the image.
    fn runs(&self, [down, across]: [usize; 2], mut f: impl FnMut(usize, usize, usize, usize, usize)) {
        let [height, width] = self.image;
        for cell in 0..self.kernel[0] * self.kernel[1] {
            let (ky, kx) = (
                cell / self.kernel[1] * self.dilation[0],
                cell % self.kernel[1] * self.dilation[1],
            );
            let stride = self.stride[1];
            let from = self.padding[1].saturating_sub(kx).div_ceil(stride).min(across);
            let to = (width + self.padding[1])
                .saturating_sub(kx)
                .div_ceil(stride)
                .clamp(from, across);
            if from == to {
                continue;
            }
            for row in 0..down {
                let y = row * self.stride[0] + ky;
                if y >= self.padding[0] && y - self.padding[0] < height {
                    let first = (y - self.padding[0]) * width + from * stride + kx - self.padding[1];
                    f(cell, row, from, to, first);
                }
            }
        }
    }
}

/// `unfold`: the cells of every block. `blocks.counts()` must be some.
pub fn unfold<T: Pod>(image: &[T], columns: &mut [T], blocks: &Blocks) {
    let Some(counts) = blocks.counts() else { return };
    let (plane, block_count) = (blocks.image[0] * blocks.image[1], counts[0] * counts[1]);
    let column_plane = blocks.kernel[0] * blocks.kernel[1] * block_count;
    if columns.is_empty() {
        return;
    }
    let planes = rows_per_task(columns.len() / column_plane, column_plane);
    pool::parallel_chunks_mut(columns, planes * column_plane, |first, piece| {
        for (i, columns) in piece.chunks_exact_mut(column_plane).enumerate() {
            let image = &image[(first / column_plane + i) * plane..][..plane];
            columns.fill(T::default());
            blocks.runs(counts, |cell, row, from, to, first| {
                let out = &mut columns[cell * block_count + row * counts[1]..][from..to];
                if blocks.stride[1] == 1 {
                    out.copy_from_slice(&image[first..][..to - from]);
                } else {
                    let cells = image[first..].iter().step_by(blocks.stride[1]);
                    out.iter_mut().zip(cells).for_each(|(o, &x)| *o = x);
                }
            });
        }
    });
}

/// `fold`: the sum of the cells of every block at each place of the image, written to `image`.
pub fn fold<T: Number>(columns: &[T], image: &mut [T], blocks: &Blocks) {
    let Some(counts) = blocks.counts() else { return };
    let (plane, block_count) = (blocks.image[0] * blocks.image[1], counts[0] * counts[1]);
    let column_plane = blocks.kernel[0] * blocks.kernel[1] * block_count;
    if image.is_empty() {
        return;
    }
    let planes = rows_per_task(image.len() / plane, column_plane);
    pool::parallel_chunks_mut(image, planes * plane, |first, piece| {
        for (i, image) in piece.chunks_exact_mut(plane).enumerate() {
            let columns = &columns[(first / plane + i) * column_plane..][..column_plane];
            image.fill(T::ZERO);
            blocks.runs(counts, |cell, row, from, to, first| {
                let source = &columns[cell * block_count + row * counts[1]..][from..to];
                let cells = image[first..].iter_mut().step_by(blocks.stride[1]);
                cells.zip(source).for_each(|(o, &x)| *o = o.plus(x));
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCKS: Blocks = Blocks {
        image: [3, 3],
        kernel: [2, 2],
        stride: [1, 1],
        padding: [0, 0],
        dilation: [1, 1],
    };

    #[test]
    fn columns() {
        let image: Vec<i64> = (1..10).collect();
        let mut out = [0; 16];
        unfold(&image, &mut out, &BLOCKS);
        assert_eq!(out, [1, 2, 4, 5, 2, 3, 5, 6, 4, 5, 7, 8, 5, 6, 8, 9]);
        let mut back = [0; 9];
        fold(&out, &mut back, &BLOCKS);
        assert_eq!(back, [1, 4, 3, 8, 20, 12, 7, 16, 9]);
    }

    #[test]
    fn padding_stride_and_dilation() {
        for padding in [0, 1, 3] {
            for stride in [1, 2] {
                let blocks = Blocks {
                    image: [5, 4],
                    kernel: [2, 3],
                    stride: [stride, 3 - stride],
                    padding: [padding, 1],
                    dilation: [2, 1],
                };
                let [down, across] = blocks.counts().unwrap();
                let image: Vec<i32> = (1..41).collect();
                let mut out = vec![-1; 2 * 6 * down * across];
                unfold(&image, &mut out, &blocks);
                for (i, &o) in out.iter().enumerate() {
                    let (b, cell, plane) = (
                        i % (down * across),
                        i / (down * across) % 6,
                        i / (down * across) / 6,
                    );
                    let y = (b / across * stride + cell / 3 * 2) as isize - padding as isize;
                    let x = (b % across * (3 - stride) + cell % 3) as isize - 1;
                    let inside = (0..5).contains(&y) && (0..4).contains(&x);
                    assert_eq!(
                        o,
                        if inside {
                            image[plane * 20 + (y * 4 + x) as usize]
                        } else {
                            0
                        }
                    );
                }
            }
        }
        assert_eq!(
            Blocks {
                kernel: [4, 1],
                ..BLOCKS
            }
            .counts(),
            None
        );
    }
}
