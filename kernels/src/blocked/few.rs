//! Convolutions of few channels, such as the first one over a picture: of plain images `[batch, channels, height, width]`.
//!
//! With the channels brought side by side, the taps of a row of the kernel are one run of neighbours, which is copied in parts
//! of [`BLOCK`] for every output position. Copying costs little beside the products with all output channels.

use std::ops::Range;

use super::BLOCK;
use super::conv::Call;
use super::kernel::Segment;
use crate::mem::Buf;
use crate::simd::{Real, Simd, WithSimd};

/// The rows of an image that some rows of the output read, padded, as `[row, column, channel]`.
pub(super) struct Rows<'a> {
    call: &'a Call<'a>,
    outputs: Range<usize>,
    data: Buf<f32>,
    /// Elements of a row, with room for a whole part behind it.
    row: usize,
}

impl<'a> Rows<'a> {
    /// Runs of neighbours that an output reads, and the elements of one: a row of the kernel where its taps are neighbours,
    /// else a tap.
    fn runs(call: &Call<'_>) -> (usize, usize) {
        let [_, height, width] = call.shape.kernel;
        match call.shape.dilation[2] {
            1 => (height, width * call.shape.in_channels),
            _ => (height * width, call.shape.in_channels),
        }
    }

    /// Parts of at most [`BLOCK`] elements of all runs.
    pub(super) fn parts(call: &Call<'_>) -> usize {
        let (runs, len) = Self::runs(call);
        runs * len.div_ceil(BLOCK)
    }

    pub(super) fn new(call: &'a Call<'a>, image: usize, outputs: Range<usize>) -> Self {
        let (rows, columns, channels) = (call.axis(1), call.axis(2), call.shape.in_channels);
        let (span, width) = (rows.span(outputs.len()), columns.span(columns.output));
        let row = width * channels + BLOCK;
        let mut data = Buf::<f32>::zeroed(span * row);
        let first = outputs.start * rows.stride;
        for (i, target) in data.chunks_exact_mut(row).enumerate() {
            let Some(y) = (first + i).checked_sub(rows.padding).filter(|&y| y < rows.input) else {
                continue;
            };
            let count = columns.input.min(width.saturating_sub(columns.padding));
            f32::dispatch(Interleave {
                x: &call.x[(image * channels * rows.input + y) * columns.input..],
                plane: rows.input * columns.input,
                channels,
                count,
                to: &mut target[(columns.padding * channels).min(row)..],
            });
        }
        Rows {
            call,
            outputs,
            data,
            row,
        }
    }

    /// What the outputs read, as `[part, position, BLOCK]`, and the parts.
    pub(super) fn unfolded(&self) -> (Buf<f32>, Vec<Segment>) {
        let positions = self.outputs.len() * self.call.shape.output[2];
        let (runs, len) = Self::runs(self.call);
        let mut unfolded = Buf::take(Self::parts(self.call) * positions * BLOCK);
        let mut segments = Vec::with_capacity(Self::parts(self.call));
        let width = runs / self.call.shape.kernel[1];
        for run in 0..runs {
            let (y, x) = (
                run / width * self.call.shape.dilation[1],
                run % width * self.call.shape.dilation[2],
            );
            for start in (0..len).step_by(BLOCK) {
                let offset = segments.len() * positions * BLOCK;
                segments.push(Segment {
                    offset,
                    depth: (len - start).min(BLOCK),
                });
                f32::dispatch(Copy {
                    rows: self,
                    from: y * self.row + x * self.call.shape.in_channels + start,
                    to: &mut unfolded[offset..offset + positions * BLOCK],
                });
            }
        }
        (unfolded, segments)
    }
}

/// A row of every channel, element by element of all of them.
struct Interleave<'a> {
    /// From the row of the first channel on.
    x: &'a [f32],
    /// Elements from one channel to the next.
    plane: usize,
    channels: usize,
    /// Elements of the row.
    count: usize,
    to: &'a mut [f32],
}

impl WithSimd<f32> for Interleave<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = f32>>(self, _: S) {
        let source = |channel: usize| &self.x[channel * self.plane..][..self.count];
        if self.channels == 3 {
            // Colours: in this form the compiler finds vectors.
            let (r, g, b) = (source(0), source(1), source(2));
            let (to, _) = self.to.as_chunks_mut::<3>();
            for (((to, &r), &g), &b) in to.iter_mut().zip(r).zip(g).zip(b) {
                *to = [r, g, b];
            }
            return;
        }
        for channel in 0..self.channels {
            let to = self.to.iter_mut().skip(channel).step_by(self.channels);
            to.zip(source(channel)).for_each(|(to, &x)| *to = x);
        }
    }
}

/// A part of all positions.
struct Copy<'a> {
    rows: &'a Rows<'a>,
    /// Where the first position's part is.
    from: usize,
    to: &'a mut [f32],
}

impl WithSimd<f32> for Copy<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = f32>>(self, s: S) {
        let (rows, shape) = (self.rows, &self.rows.call.shape);
        let width = shape.output[2];
        let step = shape.stride[2] * shape.in_channels;
        for (i, to) in self.to.chunks_exact_mut(width * BLOCK).enumerate() {
            let from = &rows.data[i * shape.stride[1] * rows.row + self.from..];
            assert!((width - 1) * step + BLOCK <= from.len());
            for (x, to) in to.chunks_exact_mut(BLOCK).enumerate() {
                for lane in (0..BLOCK).step_by(S::LANES) {
                    // SAFETY: as asserted, and a block of the target.
                    unsafe {
                        s.store(
                            to.as_mut_ptr().add(lane),
                            s.load(from.as_ptr().add(x * step + lane)),
                        )
                    };
                }
            }
        }
    }
}
