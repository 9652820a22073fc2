//! From `[batch, channels, plane]` to `[batch, channels / 16, plane, 16]` and back.

use super::{BLOCK, blocked_len};
use crate::pool::{SendPtr, parallel_ranges};
use crate::simd::{Real, Simd, WithSimd};

/// Positions of a plane that make a task.
const TASK: usize = 512;

/// Brings `[batch, channels, plane]` into blocks; channels beyond the last are zeros.
///
/// # Panics
/// If a slice does not have its size.
pub fn to_blocked(batch: usize, channels: usize, plane: usize, x: &[f32], out: &mut [f32]) {
    check("to_blocked", batch, channels, plane, x.len(), out.len());
    let out = SendPtr(out.as_mut_ptr());
    for_pieces(batch, channels, plane, |image, block, first, count| {
        let from = (image * channels + block * BLOCK) * plane + first;
        let to = ((image * channels.div_ceil(BLOCK) + block) * plane + first) * BLOCK;
        f32::dispatch(Transpose {
            // SAFETY: the piece lies inside the input.
            src: unsafe { x.as_ptr().add(from) },
            rows: BLOCK.min(channels - block * BLOCK),
            columns: count,
            src_stride: plane,
            dst: out.ptr().wrapping_add(to),
            dst_stride: BLOCK,
            width: BLOCK,
        });
    });
}

/// The inverse of [`to_blocked`].
///
/// # Panics
/// If a slice does not have its size.
pub fn from_blocked(batch: usize, channels: usize, plane: usize, x: &[f32], out: &mut [f32]) {
    check("from_blocked", batch, channels, plane, out.len(), x.len());
    let out = SendPtr(out.as_mut_ptr());
    for_pieces(batch, channels, plane, |image, block, first, count| {
        let from = ((image * channels.div_ceil(BLOCK) + block) * plane + first) * BLOCK;
        let to = (image * channels + block * BLOCK) * plane + first;
        f32::dispatch(Transpose {
            // SAFETY: the piece lies inside the input.
            src: unsafe { x.as_ptr().add(from) },
            rows: count,
            columns: BLOCK.min(channels - block * BLOCK),
            src_stride: BLOCK,
            dst: out.ptr().wrapping_add(to),
            dst_stride: plane,
            width: count,
        });
    });
}

fn check(op: &str, batch: usize, channels: usize, plane: usize, plain: usize, blocked: usize) {
    assert_eq!(
        plain,
        batch * channels * plane,
        "{op}: the size of the plain images"
    );
    assert_eq!(
        blocked,
        blocked_len(batch, channels, plane),
        "{op}: the size of the blocked images"
    );
}

/// Calls `f(image, block, first position, positions)` for pieces of the planes.
fn for_pieces(batch: usize, channels: usize, plane: usize, f: impl Fn(usize, usize, usize, usize) + Sync) {
    let (blocks, pieces) = (channels.div_ceil(BLOCK), plane.div_ceil(TASK));
    // Small planes go several to a task.
    let together = (TASK / plane.clamp(1, TASK)).max(1);
    parallel_ranges(batch * blocks * pieces, together, |range| {
        for i in range {
            let (plane_index, piece) = (i / pieces, i % pieces);
            let first = piece * TASK;
            f(
                plane_index / blocks,
                plane_index % blocks,
                first,
                TASK.min(plane - first),
            );
        }
    });
}

/// `dst[j · dst_stride + i] = src[i · src_stride + j]` for `rows` × `columns` elements, zero for rows from `rows` to `width`.
struct Transpose {
    src: *const f32,
    rows: usize,
    columns: usize,
    src_stride: usize,
    dst: *mut f32,
    dst_stride: usize,
    width: usize,
}

impl WithSimd<f32> for Transpose {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = f32>>(self, s: S) {
        for i in (0..self.width).step_by(S::LANES) {
            let width = (self.width - i).min(S::LANES);
            let rows = self.rows.saturating_sub(i).min(width);
            for j in (0..self.columns).step_by(S::LANES) {
                let columns = (self.columns - j).min(S::LANES);
                // SAFETY: parts of the blocks, which the callers have checked.
                unsafe {
                    let src = self.src.wrapping_add(i * self.src_stride + j);
                    let dst = self.dst.wrapping_add(j * self.dst_stride + i);
                    s.transpose(src, self.src_stride, rows, columns, dst, self.dst_stride, width);
                }
            }
        }
    }
}
