//! Convolutions with packed weights over blocked images.

use std::ops::Range;

use super::few::Rows;
use super::gather::{Axis, Gather};
use super::kernel::{Panel, Segment, Tile};
use super::{BLOCK, blocked_len, depthwise, winograd};
use crate::conv::{ConvShape, winograd::winograd_enabled};
use crate::isa::{self, Isa};
use crate::mem::Buf;
use crate::pool::{SendPtr, num_threads, parallel_chunks_mut, parallel_for};
use crate::simd::Real;

/// What happens to the outputs of a convolution before they are stored, after the bias and the residual were added.
#[derive(Clone, Copy, Debug)]
pub enum Finish {
    /// `min(max(x, low), high)`; NaN stays NaN.
    Clamp {
        /// The least output.
        low: f32,
        /// The greatest output.
        high: f32,
    },
    /// Any function that keeps zeros finite, applied in place to pieces of rows while they are in the cache.
    Function(fn(&mut [f32])),
}

impl Finish {
    /// The identity.
    pub const NONE: Finish = Finish::Clamp {
        low: f32::NEG_INFINITY,
        high: f32::INFINITY,
    };
    /// `max(x, 0)`.
    pub const RELU: Finish = Finish::Clamp {
        low: 0.0,
        high: f32::INFINITY,
    };

    /// Whether nothing happens.
    pub fn is_none(self) -> bool {
        matches!(self, Finish::Clamp { low, high } if low == f32::NEG_INFINITY && high == f32::INFINITY)
    }

    /// The same for outputs that are there already.
    pub fn apply(self, out: &mut [f32]) {
        match self {
            Finish::Function(function) => function(out),
            Finish::Clamp { low, high } => {
                // A NaN compares as neither.
                for x in out {
                    *x = if *x < low {
                        low
                    } else if *x > high {
                        high
                    } else {
                        *x
                    };
                }
            }
        }
    }

    pub(super) fn bounds(self) -> [f32; 2] {
        match self {
            Finish::Clamp { low, high } => [low, high],
            Finish::Function(_) => [f32::NEG_INFINITY, f32::INFINITY],
        }
    }
}

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Every output reads one position: the input is read where it lies.
    Pointwise,
    /// Rows are gathered with their padding, and taps are offsets into them.
    Spatial,
    /// Few channels: the plain input is read, see [`super::few`].
    Few,
    /// One channel per group.
    Depthwise,
    /// Large 3 × 3 convolutions with stride 1.
    Winograd,
}

/// A two-dimensional convolution whose weights are packed, for images of one size.
#[derive(Debug)]
pub struct Conv {
    pub(super) shape: ConvShape,
    way: Way,
    pub(super) weights: Buf<f32>,
    /// One value for each channel of whole blocks.
    pub(super) bias: Buf<f32>,
    isa: Isa,
}

/// Bytes of weights that one task should go through, so that they stay in the second-level cache.
const WEIGHT_BYTES: usize = 384 << 10;
/// Bytes of inputs that one task should go through.
const INPUT_BYTES: usize = 192 << 10;
/// Positions of a task that gathers rows and goes through all weights, and those from which on this pays.
const TASK_POSITIONS: usize = 224;
const LEAST_POSITIONS: usize = 96;
/// Tasks for each thread.
const TASKS_PER_THREAD: usize = 4;

impl Conv {
    /// Packs `w`, `[out_channels, in_channels / groups, height, width]`, and `bias` for images of the shape's size; its batch
    /// does not matter but for the choice of the way. `None` if the convolution has none here: it is over other than two
    /// dimensions, or has groups of other than one or whole blocks of channels.
    ///
    /// # Panics
    /// If the slices do not have the sizes that the shape asks for.
    pub fn new(shape: &ConvShape, w: &[f32], bias: Option<&[f32]>) -> Option<Self> {
        assert_eq!(
            w.len(),
            shape.weight_len(),
            "blocked::Conv: the size of the weight"
        );
        assert!(
            bias.is_none_or(|b| b.len() == shape.out_channels),
            "blocked::Conv: the size of the bias"
        );
        let way = Way::of(shape)?;
        let mut whole = Buf::zeroed(shape.out_channels.next_multiple_of(BLOCK));
        if let Some(bias) = bias {
            whole[..bias.len()].copy_from_slice(bias);
        }
        let weights = match way {
            Way::Depthwise => depthwise::pack(shape, w),
            Way::Winograd => winograd::pack(shape, w),
            _ => pack(shape, &steps(shape, way), w),
        };
        Some(Conv {
            shape: *shape,
            way,
            weights,
            bias: whole,
            isa: isa::current(),
        })
    }

    /// Whether the input is `[batch, channels, height, width]` after all, as it has too few channels for a block.
    pub fn reads_plain(&self) -> bool {
        self.way == Way::Few
    }

    /// Whether it runs by Winograd's algorithm, which rounds more coarsely.
    pub fn is_winograd(&self) -> bool {
        self.way == Way::Winograd
    }

    /// Whether the instruction set in force is the one for which the weights were packed.
    pub fn is_current(&self) -> bool {
        self.isa == isa::current()
    }

    /// Elements of the output for so many images.
    pub fn output_len(&self, batch: usize) -> usize {
        blocked_len(batch, self.shape.out_channels, self.shape.out_plane())
    }

    /// `out = finish(x ∗ w + bias + residual)` for `batch` images, all blocked but for what [`Conv::reads_plain`] says.
    ///
    /// # Panics
    /// If a slice does not have its size, or the instruction set has changed since the weights were packed.
    pub fn forward(
        &self,
        batch: usize,
        x: &[f32],
        residual: Option<&[f32]>,
        finish: Finish,
        out: &mut [f32],
    ) {
        let shape = ConvShape { batch, ..self.shape };
        let expected = match self.way {
            Way::Few => shape.input_len(),
            _ => blocked_len(batch, shape.in_channels, shape.in_plane()),
        };
        assert_eq!(x.len(), expected, "blocked::Conv: the size of the input");
        assert_eq!(
            out.len(),
            self.output_len(batch),
            "blocked::Conv: the size of the output"
        );
        assert!(
            residual.is_none_or(|r| r.len() == out.len()),
            "blocked::Conv: the size of the residual"
        );
        assert!(
            self.is_current(),
            "blocked::Conv: the weights were packed for another instruction set"
        );
        let call = Call {
            conv: self,
            shape,
            x,
            residual: residual.map_or(std::ptr::null_mut(), |r| r.as_ptr().cast_mut()),
            finish,
            out: SendPtr(out.as_mut_ptr()),
        };
        match self.way {
            Way::Depthwise => depthwise::forward(&call),
            Way::Winograd => winograd::forward(&call),
            Way::Pointwise | Way::Spatial | Way::Few => call.direct(),
        }
    }
}

impl Way {
    fn of(shape: &ConvShape) -> Option<Way> {
        let flat = [shape.input[0], shape.kernel[0], shape.output[0]] == [1; 3] && shape.padding[0] == 0;
        if !flat || shape.output_len() == 0 || shape.weight_len() == 0 {
            return None;
        }
        let (inputs, outputs) = (shape.group_inputs(), shape.group_outputs());
        if inputs == 1 && outputs == 1 && (shape.groups > 1 || shape.taps() == 1) {
            return Some(Way::Depthwise);
        }
        if shape.groups > 1 && !(inputs.is_multiple_of(BLOCK) && outputs.is_multiple_of(BLOCK)) {
            return None;
        }
        Some(if inputs < BLOCK {
            Way::Few
        } else if shape.kernel == [1; 3] && shape.stride == [1; 3] && shape.input == shape.output {
            Way::Pointwise
        } else if winograd_enabled() && winograd::pays(shape) {
            Way::Winograd
        } else {
            Way::Spatial
        })
    }
}

/// Where each step of the inner dimension is found in the weights of an output channel.
fn steps(shape: &ConvShape, way: Way) -> Vec<usize> {
    let (inputs, taps) = (shape.group_inputs(), shape.taps());
    let mut steps = Vec::with_capacity(inputs * taps);
    if way == Way::Few {
        for tap in 0..taps {
            steps.extend((0..inputs).map(|channel| channel * taps + tap));
        }
        return steps;
    }
    for first in (0..inputs).step_by(BLOCK) {
        for tap in 0..taps {
            steps.extend((first..inputs.min(first + BLOCK)).map(|channel| channel * taps + tap));
        }
    }
    steps
}

/// The weights as `[group, panel, step, channel of the panel]`, zero for channels beyond the last.
fn pack(shape: &ConvShape, steps: &[usize], w: &[f32]) -> Buf<f32> {
    let outputs = shape.group_outputs();
    let blocks = outputs.div_ceil(BLOCK);
    let together = panel_blocks();
    let mut packed = Buf::<f32>::take(shape.groups * blocks * BLOCK * steps.len());
    let base = SendPtr(packed.as_mut_ptr());
    let panels = blocks.div_ceil(together);
    parallel_for(shape.groups * panels, |i| {
        let (group, panel) = (i / panels, i % panels);
        let first = panel * together * BLOCK;
        let width = (blocks * BLOCK - first).min(together * BLOCK);
        let start = (group * blocks * BLOCK + first) * steps.len();
        // SAFETY: the panels are disjoint and lie inside the buffer.
        let target = unsafe { std::slice::from_raw_parts_mut(base.ptr().add(start), width * steps.len()) };
        for (row, &step) in target.chunks_exact_mut(width).zip(steps) {
            for (j, value) in row.iter_mut().enumerate() {
                let channel = first + j;
                *value = if channel < outputs {
                    w[(group * outputs + channel) * steps.len() + step]
                } else {
                    0.0
                };
            }
        }
    });
    packed
}

/// Blocks of output channels of a panel, for the instruction set in force.
pub(super) fn panel_blocks() -> usize {
    let table = f32::kernel_table();
    let widest = table.segments.iter().map(|p| p.vectors * table.lanes);
    widest.max().unwrap_or(BLOCK).min(2 * BLOCK) / BLOCK
}

/// The kernels of a panel of so many blocks.
pub(super) fn panel(blocks: usize) -> Panel<f32> {
    let table = f32::kernel_table();
    let fits = |p: &&Panel<f32>| p.vectors * table.lanes == blocks * BLOCK;
    match table.segments.iter().find(fits) {
        Some(panel) => *panel,
        None => unreachable!("every table has kernels of one block and of its widest panel"),
    }
}

/// The most positions of a tile of the widest panel.
pub(super) fn tile_rows() -> usize {
    panel(panel_blocks()).by_rows.len()
}

/// One call of [`Conv::forward`].
pub(super) struct Call<'a> {
    pub(super) conv: &'a Conv,
    pub(super) shape: ConvShape,
    pub(super) x: &'a [f32],
    /// Or null.
    residual: *mut f32,
    finish: Finish,
    out: SendPtr<f32>,
}

// SAFETY: the residual is read only, and lives as long as the call.
unsafe impl Sync for Call<'_> {}

impl Call<'_> {
    /// Where position `at` of the output's block (counted over the whole batch) lies, in the output and in the residual.
    pub(super) fn places(&self, block: usize, at: usize) -> (*mut f32, *const f32) {
        let offset = (block * self.shape.out_plane() + at) * BLOCK;
        let residual = if self.residual.is_null() {
            std::ptr::null()
        } else {
            self.residual.wrapping_add(offset).cast_const()
        };
        (self.out.ptr().wrapping_add(offset), residual)
    }

    pub(super) fn bounds(&self) -> [f32; 2] {
        self.finish.bounds()
    }

    /// Applies a function to `count` positions of a block of the output, if there is one to apply.
    ///
    /// # Safety
    /// The caller's task alone writes these positions, and has written them.
    pub(super) unsafe fn finish(&self, block: usize, at: usize, count: usize) {
        if let Finish::Function(function) = self.finish {
            // SAFETY: as the caller vouches.
            function(unsafe { std::slice::from_raw_parts_mut(self.places(block, at).0, count * BLOCK) });
        }
    }

    pub(super) fn axis(&self, d: usize) -> Axis {
        let shape = &self.shape;
        Axis {
            input: shape.input[d],
            output: shape.output[d],
            kernel: shape.kernel[d],
            stride: shape.stride[d],
            padding: shape.padding[d],
            dilation: shape.dilation[d],
        }
    }

    /// Tasks are groups of panels, and within each all images in pieces of rows or positions.
    fn direct(&self) {
        let shape = &self.shape;
        let (blocks, together) = (shape.group_outputs().div_ceil(BLOCK), panel_blocks());
        let cuts = self.cuts(blocks.div_ceil(together), together);
        // Where many tasks read the same rows, these are gathered once.
        let shared = (self.conv.way == Way::Spatial && cuts.panel_groups > 1).then(|| self.gather_all());
        parallel_for(
            shape.groups * cuts.panel_groups * shape.batch * cuts.pieces,
            |task| {
                let (rest, piece) = (task / cuts.pieces, task % cuts.pieces);
                let (rest, image) = (rest / shape.batch, rest % shape.batch);
                let (group, panel_group) = (rest / cuts.panel_groups, rest % cuts.panel_groups);
                let part = |i: usize, n: usize, of: usize| i * of / n..(i + 1) * of / n;
                let work = Work {
                    call: self,
                    image,
                    group,
                    blocks,
                    together,
                    depth: shape.group_inputs() * shape.taps(),
                    panels: part(panel_group, cuts.panel_groups, blocks.div_ceil(together)),
                };
                let piece = part(piece, cuts.pieces, cuts.length);
                match self.conv.way {
                    Way::Spatial => work.spatial(piece, shared.as_deref()),
                    Way::Few => work.few(piece),
                    _ => work.pointwise(piece),
                }
            },
        );
    }

    /// Cuts that keep a task's weights and inputs in the second-level cache, and give every thread several tasks.
    fn cuts(&self, panels: usize, together: usize) -> Cuts {
        if self.conv.way == Way::Spatial {
            return self.spatial_cuts(panels, together);
        }
        let shape = &self.shape;
        let panel = shape.group_inputs() * shape.taps() * together * BLOCK * size_of::<f32>();
        let mut panel_groups = panels.div_ceil((WEIGHT_BYTES / panel).max(1));
        // Whole rows, or tiles of positions where rows do not matter; and elements that are read for them.
        let (length, least, inputs) = match self.conv.way {
            Way::Pointwise => {
                let channels = shape.group_inputs().next_multiple_of(BLOCK);
                (shape.out_plane(), 2 * tile_rows(), channels * shape.in_plane())
            }
            // A part is read right after it was written.
            _ => (
                shape.output[1],
                4,
                Rows::parts(self) * shape.out_plane() / 2 * BLOCK,
            ),
        };
        let longest = length * INPUT_BYTES / (inputs * size_of::<f32>()).max(1);
        let mut pieces = length.div_ceil(longest.max(least));
        let (others, threads) = (shape.groups * shape.batch, num_threads());
        if threads > 1 {
            let missing = |so_far: usize| (threads * TASKS_PER_THREAD).div_ceil(so_far);
            pieces = pieces.max(missing(others * panel_groups).min(length / least));
            if pieces > 1 && !(others * panel_groups).is_multiple_of(threads) {
                pieces = pieces.next_multiple_of(threads).min(length);
            }
            panel_groups = panel_groups.max(missing(others * pieces).min(panels));
            if !(others * pieces).is_multiple_of(threads) {
                panel_groups = panel_groups.next_multiple_of(threads).min(panels);
            }
        }
        Cuts {
            panel_groups,
            pieces,
            length,
        }
    }

    /// Tasks that gather their rows themselves and use them for all channels, where there are enough positions for a task to
    /// be worth going through all weights. Otherwise the rows are gathered first, and tasks share the channels.
    fn spatial_cuts(&self, panels: usize, together: usize) -> Cuts {
        let shape = &self.shape;
        let (others, threads, length) = (shape.groups * shape.batch, num_threads(), shape.output[1]);
        let mut pieces = shape.out_plane().div_ceil(TASK_POSITIONS).min(length);
        if !(others * pieces).is_multiple_of(threads) {
            pieces = pieces.next_multiple_of(threads).min(length);
        }
        if panels == 1 || shape.out_plane() >= pieces * LEAST_POSITIONS {
            return Cuts { panel_groups: 1, pieces, length };
        }
        let panel = shape.group_inputs() * shape.taps() * together * BLOCK * size_of::<f32>();
        let panel_groups = panels.div_ceil((WEIGHT_BYTES / panel).max(1));
        let missing = (threads * TASKS_PER_THREAD).div_ceil(others);
        Cuts {
            panel_groups: panel_groups.max(missing).next_multiple_of(threads).min(panels),
            pieces: 1,
            length,
        }
    }

    /// The layout of what so many rows of the output read.
    fn gather(&self, rows: usize) -> Gather {
        Gather::new(self.axis(1), self.axis(2), rows, self.is_dense())
    }

    /// Whether every tap has columns of its own: where that is no more to copy, or rows alone would make short tiles.
    fn is_dense(&self) -> bool {
        let (columns, tile) = (self.axis(2), tile_rows());
        let tiles = columns.output.div_ceil(tile);
        columns.kernel <= columns.stride || 4 * columns.output < 3 * tile * tiles
    }

    /// All that a convolution by rows reads, as `[image, block]` of [`Gather`]'s blocks.
    fn gather_all(&self) -> Buf<f32> {
        let plane = self.shape.in_plane() * BLOCK;
        let gather = self.gather(self.shape.output[1]);
        let mut gathered = Buf::take(self.x.len() / plane * gather.block_len());
        parallel_chunks_mut(&mut gathered, gather.block_len(), |start, target| {
            let plane = &self.x[start / gather.block_len() * plane..][..plane];
            gather.fill(plane, 0, target);
        });
        gathered
    }
}

/// How a call is cut into tasks.
struct Cuts {
    panel_groups: usize,
    /// Of every image.
    pieces: usize,
    /// Rows or positions of an image.
    length: usize,
}

/// Some panels of one group, for one image.
struct Work<'a> {
    call: &'a Call<'a>,
    image: usize,
    group: usize,
    /// Blocks of the group's output, and of a whole panel.
    blocks: usize,
    together: usize,
    /// Steps of the inner dimension.
    depth: usize,
    panels: Range<usize>,
}

impl Work<'_> {
    /// The blocks of the group's input that lie in one image, and where they start.
    fn input(&self) -> (usize, &[f32]) {
        let shape = &self.call.shape;
        let blocks = shape.group_inputs().div_ceil(BLOCK);
        let first = self.image * shape.in_channels.div_ceil(BLOCK) + self.group * blocks;
        (blocks, &self.call.x[first * shape.in_plane() * BLOCK..])
    }

    /// Channels of block `b` of the input.
    fn channels(&self, b: usize) -> usize {
        (self.call.shape.group_inputs() - b * BLOCK).min(BLOCK)
    }

    fn pointwise(&self, positions: Range<usize>) {
        let (blocks, x) = self.input();
        let plane = self.call.shape.in_plane() * BLOCK;
        let segments: Vec<Segment> = (0..blocks)
            .map(|b| Segment {
                offset: b * plane,
                depth: self.channels(b),
            })
            .collect();
        for p in self.panels.clone() {
            self.run(
                p,
                &segments,
                x[positions.start * BLOCK..].as_ptr(),
                positions.clone(),
            );
        }
    }

    /// Whole rows; `shared` is what [`Call::gather_all`] gave, for all rows.
    fn spatial(&self, rows: Range<usize>, shared: Option<&[f32]>) {
        let shape = &self.call.shape;
        let (blocks, x) = self.input();
        let gather = match shared {
            Some(_) => self.call.gather(shape.output[1]),
            None => self.call.gather(rows.len()),
        };
        let len = blocks * gather.block_len();
        let mut own = Buf::<f32>::take(if shared.is_some() { 0 } else { len });
        let planes = x.chunks_exact(shape.in_plane() * BLOCK);
        for (target, plane) in own.chunks_exact_mut(gather.block_len()).zip(planes) {
            gather.fill(plane, rows.start, target);
        }
        let gathered = match shared {
            Some(shared) => {
                let image = &shared[(self.image * shape.groups + self.group) * len..][..len];
                &image[gather.output_row(rows.start)..]
            }
            None => &own,
        };
        let mut segments = Vec::with_capacity(blocks * shape.taps());
        for b in 0..blocks {
            for y in 0..shape.kernel[1] {
                for x in 0..shape.kernel[2] {
                    segments.push(Segment {
                        offset: b * gather.block_len() + gather.tap(y, x),
                        depth: self.channels(b),
                    });
                }
            }
        }
        let width = shape.output[2];
        // Rows whose positions follow each other, there and in the output.
        let together = if self.call.is_dense() { rows.len() } else { 1 };
        for p in self.panels.clone() {
            for row in rows.clone().step_by(together) {
                let x = gathered[gather.output_row(row - rows.start)..].as_ptr();
                self.run(p, &segments, x, row * width..(row + together) * width);
            }
        }
    }

    fn few(&self, rows: Range<usize>) {
        let width = self.call.shape.output[2];
        let (unfolded, segments) = Rows::new(self.call, self.image, rows.clone()).unfolded();
        for p in self.panels.clone() {
            self.run(
                p,
                &segments,
                unfolded.as_ptr(),
                rows.start * width..rows.end * width,
            );
        }
    }

    /// Panel `p` at consecutive positions of the image, the first of which reads from `x` on.
    fn run(&self, p: usize, segments: &[Segment], x: *const f32, positions: Range<usize>) {
        let call = self.call;
        let first = p * self.together;
        let width = (self.blocks - first).min(self.together);
        let kernels = panel(width).by_rows;
        let block = self.group * self.blocks + first;
        let all_blocks = call.shape.out_channels.div_ceil(BLOCK);
        let place = self.image * all_blocks + block;
        let weights = call.conv.weights[block * BLOCK * self.depth..].as_ptr();
        let [low, high] = call.bounds();
        let tiles = positions.len().div_ceil(kernels.len());
        for t in 0..tiles {
            let start = t * positions.len() / tiles;
            let rows = (t + 1) * positions.len() / tiles - start;
            let (out, residual) = call.places(place, positions.start + start);
            let tile = Tile {
                residual,
                plane: call.shape.out_plane() * BLOCK,
                low,
                high,
                ..Tile::plain(out, call.conv.bias[block * BLOCK..].as_ptr(), 0)
            };
            // SAFETY: the segments lie in the input, the packed weights and the bias hold the panel, and this task alone
            // writes the tile's positions of these blocks.
            unsafe { kernels[rows - 1](segments, x.wrapping_add(start * BLOCK), weights, &tile) };
        }
        for b in 0..width {
            // SAFETY: just written by this task.
            unsafe { call.finish(place + b, positions.start, positions.len()) };
        }
    }
}
