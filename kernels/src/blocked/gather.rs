//! The rows of an image that some rows of a convolution's output read, with their padding.
//!
//! Strides are resolved here: rows that are equal modulo the stride lie side by side, in a phase each, and so do columns, so
//! that neighbouring outputs read neighbouring positions whatever the stride. Where the rows of the output are no good length
//! for tiles, every tap's columns get a copy of their own instead of sharing those of a phase: then a row of the output reads
//! just as many positions as it has, and tiles run on from one row into the next. Copying costs little beside a convolution,
//! which reads every copied vector once for each output channel and tap.

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

    /// Inputs modulo the stride that can be read.
    fn phases(&self) -> usize {
        self.stride.min(self.span(1))
    }

    /// Phase, and place in it, of what tap `t` reads for the first output.
    fn place(&self, t: usize) -> (usize, usize) {
        (t * self.dilation % self.stride, t * self.dilation / self.stride)
    }

    /// Whether a tap reads this phase.
    fn reads(&self, phase: usize) -> bool {
        (0..self.kernel).any(|t| self.place(t).0 == phase)
    }
}

/// Room for the rows, as `[block, column phase or tap, row phase, row, column, BLOCK]`.
pub(super) struct Gather {
    rows: Axis,
    columns: Axis,
    /// Rows of the output at most.
    outputs: usize,
    /// Whether every tap has its own columns, so that rows of the output follow each other without gaps.
    dense: bool,
    /// Rows of a row phase.
    height: usize,
    /// Columns of a column phase or tap.
    width: usize,
}

impl Gather {
    /// For so many rows of the output.
    pub(super) fn new(rows: Axis, columns: Axis, outputs: usize, dense: bool) -> Self {
        Gather {
            rows,
            columns,
            outputs,
            dense,
            height: rows.span(outputs).div_ceil(rows.stride),
            width: if dense {
                columns.output
            } else {
                columns.span(columns.output).div_ceil(columns.stride)
            },
        }
    }

    /// Elements of one block of channels.
    pub(super) fn block_len(&self) -> usize {
        let planes = if self.dense {
            self.columns.kernel
        } else {
            self.columns.phases()
        };
        planes * self.rows.phases() * self.height * self.width * BLOCK
    }

    /// Where tap `(y, x)` reads for the first output.
    pub(super) fn tap(&self, y: usize, x: usize) -> usize {
        let (row_phase, row) = self.rows.place(y);
        let (plane, column) = if self.dense { (x, 0) } else { self.columns.place(x) };
        let row = (plane * self.rows.phases() + row_phase) * self.height + row;
        (row * self.width + column) * BLOCK
    }

    /// Where row `y` of the output begins to read, counted from the first row.
    pub(super) fn output_row(&self, y: usize) -> usize {
        y * self.width * BLOCK
    }

    /// Copies what the rows from `first` on read of one block of channels, `[height, width, BLOCK]`, into its place.
    pub(super) fn fill(&self, plane: &[f32], first: usize, target: &mut [f32]) {
        let (rows, columns) = (&self.rows, &self.columns);
        let span = rows.span(self.outputs);
        for (i, target) in target.chunks_exact_mut(self.width * BLOCK).enumerate() {
            let (rest, row) = (i / self.height, i % self.height);
            let (part, phase) = (rest / rows.phases(), rest % rows.phases());
            let row = row * rows.stride + phase;
            if row >= span || !rows.reads(phase) || !self.dense && !columns.reads(part) {
                continue;
            }
            let row = (first * rows.stride + row).checked_sub(rows.padding);
            let Some(row) = row.filter(|&row| row < rows.input) else {
                target.fill(0.0);
                continue;
            };
            let source = &plane[row * columns.input * BLOCK..][..columns.input * BLOCK];
            self.fill_row(
                source,
                if self.dense { part * columns.dilation } else { part },
                target,
            );
        }
    }

    /// Element i of the target is column `i · stride + origin − padding`.
    fn fill_row(&self, source: &[f32], origin: usize, target: &mut [f32]) {
        let columns = &self.columns;
        let first = columns.padding.saturating_sub(origin).div_ceil(columns.stride);
        let from = (first * columns.stride + origin).saturating_sub(columns.padding);
        let first = first.min(self.width);
        let count = columns.input.saturating_sub(from).div_ceil(columns.stride);
        let end = (first + count).min(self.width);
        target[..first * BLOCK].fill(0.0);
        if columns.stride == 1 {
            target[first * BLOCK..end * BLOCK]
                .copy_from_slice(&source[from.min(columns.input) * BLOCK..][..(end - first) * BLOCK]);
        } else {
            let (sources, _) = source[(from * BLOCK).min(source.len())..].as_chunks::<BLOCK>();
            let (targets, _) = target[first * BLOCK..end * BLOCK].as_chunks_mut::<BLOCK>();
            let sources = sources.iter().step_by(columns.stride);
            targets.iter_mut().zip(sources).for_each(|(t, s)| *t = *s);
        }
        target[end * BLOCK..].fill(0.0);
    }
}
