//! The rows of an image that some rows of a convolution's output read, with their padding.
//!
//! A stride along the rows is resolved here: columns that are equal modulo the stride lie side by side, in a phase each, so
//! that neighbouring outputs read neighbouring positions whatever the stride. Copying costs little beside a convolution, which
//! reads every copied vector once for each output channel and tap.

use std::ops::Range;

use super::BLOCK;

/// One spatial dimension of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) dilation: usize,
}

impl Axis {
    /// Padded inputs that so many outputs span.
    pub(super) fn span(&self, outputs: usize) -> usize {
        (outputs - 1) * self.stride + (self.kernel - 1) * self.dilation + 1
    }
}

/// Room for the rows, as `[block, row, phase, column, BLOCK]`.
pub(super) struct Gather {
    rows: Axis,
    columns: Axis,
    /// Rows of the output at most, and the padded rows of the input that these span.
    span: usize,
    /// Columns of a phase.
    phase: usize,
}

impl Gather {
    pub(super) fn new(rows: Axis, columns: Axis, outputs: usize) -> Self {
        Gather {
            rows,
            columns,
            span: rows.span(outputs),
            phase: columns.span(columns.output).div_ceil(columns.stride),
        }
    }

    /// Elements of a row of one block.
    fn row_len(&self) -> usize {
        self.columns.stride * self.phase * BLOCK
    }

    /// Elements of one block of channels.
    pub(super) fn block_len(&self) -> usize {
        self.span * self.row_len()
    }

    /// Where tap `(y, x)` reads for the first output.
    pub(super) fn tap(&self, y: usize, x: usize) -> usize {
        let column = x * self.columns.dilation;
        let (phase, column) = (column % self.columns.stride, column / self.columns.stride);
        y * self.rows.dilation * self.row_len() + (phase * self.phase + column) * BLOCK
    }

    /// Where row `y` of the output begins to read, counted from the first row.
    pub(super) fn output_row(&self, y: usize) -> usize {
        y * self.rows.stride * self.row_len()
    }

    /// Copies what the rows `outputs` read of one block of channels, `[height, width, BLOCK]`, into its place.
    pub(super) fn fill(&self, plane: &[f32], outputs: &Range<usize>, target: &mut [f32]) {
        let (rows, columns) = (&self.rows, &self.columns);
        let is_read = |distance: usize, axis: &Axis| {
            (0..axis.kernel).any(|t| distance % axis.stride == t * axis.dilation % axis.stride)
        };
        for (i, target) in target
            .chunks_exact_mut(self.row_len())
            .enumerate()
            .take(rows.span(outputs.len()))
        {
            if !is_read(i, rows) {
                continue;
            }
            let row = (outputs.start * rows.stride + i).checked_sub(rows.padding);
            let Some(row) = row.filter(|&row| row < rows.input) else {
                target.fill(0.0);
                continue;
            };
            let source = &plane[row * columns.input * BLOCK..][..columns.input * BLOCK];
            for (phase, target) in target.chunks_exact_mut(self.phase * BLOCK).enumerate() {
                if !is_read(phase, columns) {
                    continue;
                }
                // Element i of the phase is column `i · stride + phase − padding`.
                let first = columns.padding.saturating_sub(phase).div_ceil(columns.stride);
                let from = (first * columns.stride + phase).saturating_sub(columns.padding);
                let first = first.min(self.phase);
                let count = columns.input.saturating_sub(from).div_ceil(columns.stride);
                let end = (first + count).min(self.phase);
                target[..first * BLOCK].fill(0.0);
                if columns.stride == 1 {
                    target[first * BLOCK..end * BLOCK]
                        .copy_from_slice(&source[from * BLOCK..][..(end - first) * BLOCK]);
                } else {
                    let (sources, _) = source[(from * BLOCK).min(source.len())..].as_chunks::<BLOCK>();
                    let (targets, _) = target[first * BLOCK..end * BLOCK].as_chunks_mut::<BLOCK>();
                    let sources = sources.iter().step_by(columns.stride);
                    targets.iter_mut().zip(sources).for_each(|(t, s)| *t = *s);
                }
                target[end * BLOCK..].fill(0.0);
            }
        }
    }
}
