//! A plane with its padding in place, so that direct convolutions read whole vectors and never ask where the edge is.
//!
//! With a stride along the rows, each row is stored as its columns modulo the stride, one phase after the other, so
//! that neighbouring outputs read neighbouring elements whatever the stride.

use super::unfold::{Window, load_strided};
use crate::mem::Buf;
use crate::simd::{Real, Simd, WithSimd, spread};

/// Elements that may be read beyond the last output of a row: four vectors of any kind.
const SLACK: usize = 64;

/// Elements by which the input is asked for before it is copied.
const AHEAD: usize = 1024;

/// Room for one padded plane. The padding is zero; [`Padded::fill`] writes the rest.
pub(super) struct Padded<T: Real> {
    data: Buf<T>,
    input: [usize; 3],
    stride: [usize; 3],
    /// The least tap offsets, where the padded plane begins.
    low: [isize; 3],
    /// Padded size of the two outer dimensions.
    outer: [usize; 2],
    /// Elements of one phase of a row.
    phase: usize,
}

impl<T: Real> Padded<T> {
    /// For windows that read the same input with the same stride.
    pub(super) fn new<'a>(windows: impl Iterator<Item = &'a Window> + Clone) -> Option<Self> {
        let first = windows.clone().next()?;
        let taps = || windows.clone().flat_map(|w| &w.taps);
        let along = |d: usize| {
            let (low, high) = (taps().map(|t| t[d]).min()?, taps().map(|t| t[d]).max()?);
            let outputs = windows.clone().map(|w| w.output[d]).max()?;
            Some((
                low,
                outputs.saturating_sub(1) * first.stride[d] + (high - low) as usize + 1,
            ))
        };
        let ((z, depth), (y, height), (x, width)) = (along(0)?, along(1)?, along(2)?);
        let phase = width.div_ceil(first.stride[2]) + SLACK;
        Some(Padded {
            data: Buf::zeroed(depth * height * phase * first.stride[2]),
            input: first.input,
            stride: first.stride,
            low: [z, y, x],
            outer: [depth, height],
            phase,
        })
    }

    /// Elements of the padded plane.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// Where a tap reads for the first output, relative to [`Padded::row`].
    pub(super) fn tap(&self, tap: &[isize; 3]) -> usize {
        let [z, y, x] = std::array::from_fn(|d| (tap[d] - self.low[d]) as usize);
        let stride = self.stride[2];
        ((z * self.outer[1] + y) * stride + x % stride) * self.phase + x / stride
    }

    /// The padded plane from what output row `(z, y)` reads on.
    #[inline(always)]
    pub(super) fn row(&self, z: usize, y: usize) -> &[T] {
        let row = z * self.stride[0] * self.outer[1] + y * self.stride[1];
        &self.data[row * self.stride[2] * self.phase..]
    }

    /// Copies a plane of the input into place.
    pub(super) fn fill(&mut self, plane: &[T]) {
        T::dispatch(Fill(self, plane));
    }
}

struct Fill<'a, T: Real>(&'a mut Padded<T>, &'a [T]);

impl<T: Real> WithSimd<T> for Fill<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let Fill(padded, plane) = self;
        let [depth, height, width] = padded.input;
        let stride = padded.stride[2];
        for z in 0..depth {
            for y in 0..height {
                let (to_z, to_y) = (z as isize - padded.low[0], y as isize - padded.low[1]);
                let [rows_z, rows_y] = padded.outer.map(|n| n as isize);
                if !(0..rows_z).contains(&to_z) || !(0..rows_y).contains(&to_y) {
                    continue;
                }
                let from = &plane[(z * height + y) * width..][..width];
                // Planes are short, so that the hardware notices the stream late.
                for ahead in (0..width).step_by(64 / size_of::<T>()) {
                    s.prefetch(from.as_ptr().wrapping_add(AHEAD + ahead));
                }
                let start = (to_z as usize * padded.outer[1] + to_y as usize) * stride * padded.phase;
                let to = &mut padded.data[start..start + stride * padded.phase];
                for (f, to) in to.chunks_exact_mut(padded.phase).enumerate() {
                    // Element i of the phase is column `i · stride + f + low`.
                    let column = f as isize + padded.low[2];
                    let first = if column >= 0 { 0 } else { (-column) as usize }.div_ceil(stride);
                    let source = (column + (first * stride) as isize) as usize;
                    if source >= width || first + SLACK > to.len() {
                        continue;
                    }
                    let count = (width - source).div_ceil(stride).min(to.len() - SLACK - first);
                    let (from, to) = (&from[source..], &mut to[first..first + count]);
                    if stride == 1 {
                        to.copy_from_slice(&from[..count]);
                        continue;
                    }
                    for (i, to) in to.chunks_mut(S::LANES).enumerate() {
                        let p = from.as_ptr().wrapping_add(i * S::LANES * stride);
                        let mask = ((1u64 << to.len()) - 1) as u32;
                        // SAFETY: `count` elements at a distance of the stride lie inside the row.
                        unsafe {
                            let v = if stride == 2 {
                                s.load_every_second(spread(mask), p)
                            } else {
                                load_strided(s, mask, p, stride)
                            };
                            s.store_partial(to.as_mut_ptr(), v, to.len());
                        }
                    }
                }
            }
        }
    }
}
