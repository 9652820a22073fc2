//! Direct convolutions: tasks, and the tiles of each.

use std::ops::Range;

use super::super::BLOCK;
use super::super::few::Rows;
use super::super::gather::Gather;
use super::super::kernel::{Segment, Tile};
use super::{Call, Way, panel, panel_blocks, tile_rows};
use crate::mem::Buf;
use crate::pool::{num_threads, parallel_chunks_mut, parallel_for};

/// Bytes of weights that one task should go through, so that they stay in the second-level cache.
const WEIGHT_BYTES: usize = 384 << 10;
/// The same where all rows of all images are gathered first: each group of panels reads these once.
const GATHERED_WEIGHT_BYTES: usize = 1200 << 10;
/// Bytes of inputs that one task should go through.
const INPUT_BYTES: usize = 192 << 10;
/// Positions of a task that gathers rows and goes through all weights, and those from which on this pays.
const TASK_POSITIONS: usize = 224;
const LEAST_POSITIONS: usize = 96;
/// Tasks for each thread.
const TASKS_PER_THREAD: usize = 4;
/// Segments that all tiles go through before the next ones: 32 KiB of weights for the widest panel.
const CHUNK: usize = 16;

impl Call<'_> {
    /// Tasks are groups of panels, and within each all images in pieces of rows or positions.
    pub(super) fn direct(&self) {
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
            return Cuts {
                panel_groups: 1,
                pieces,
                length,
            };
        }
        let panel = shape.group_inputs() * shape.taps() * together * BLOCK * size_of::<f32>();
        let panel_groups = panels.div_ceil((GATHERED_WEIGHT_BYTES / panel).max(1));
        let missing = |so_far: usize| (threads * TASKS_PER_THREAD).div_ceil(so_far);
        let panel_groups = panel_groups.max(missing(others));
        let panel_groups = panel_groups.next_multiple_of(threads).min(panels);
        let most = shape.out_plane() / (2 * tile_rows());
        Cuts {
            panel_groups,
            pieces: missing(others * panel_groups).min(most).clamp(1, length),
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

    /// Panel `p` at consecutive positions of the image, the first of which reads from `x` on. All tiles go through one chunk
    /// of the inner dimension before the next one, so that they find its weights in the first-level cache.
    fn run(&self, p: usize, segments: &[Segment], x: *const f32, positions: Range<usize>) {
        let call = self.call;
        let first = p * self.together;
        let width = (self.blocks - first).min(self.together);
        let kernels = panel(width).by_rows;
        let block = self.group * self.blocks + first;
        let all_blocks = call.shape.out_channels.div_ceil(BLOCK);
        let place = self.image * all_blocks + block;
        let mut weights = call.conv.weights[block * BLOCK * self.depth..].as_ptr();
        let tiles = positions.len().div_ceil(kernels.len());
        let chunks = segments.len().div_ceil(CHUNK);
        for (c, segments) in segments.chunks(segments.len().div_ceil(chunks)).enumerate() {
            let len = width * BLOCK * segments.iter().map(|s| s.depth).sum::<usize>();
            let next = weights.wrapping_add(len);
            for t in 0..tiles {
                let start = t * positions.len() / tiles;
                let rows = (t + 1) * positions.len() / tiles - start;
                let (out, residual) = call.places(place, positions.start + start);
                let bias = call.conv.bias[block * BLOCK..].as_ptr();
                let mut tile = Tile::plain(out, bias, call.shape.out_plane() * BLOCK).and_asks(next, len, t);
                tile.resumes = c > 0;
                // Later panels find the inputs in the cache.
                tile.ahead = if p == self.panels.start { rows * BLOCK } else { 0 };
                if c + 1 == chunks {
                    tile.residual = residual;
                    [tile.low, tile.high] = call.bounds();
                }
                // SAFETY: the segments lie in the input, the packed weights and the bias hold the panel, and this task alone
                // writes the tile's positions of these blocks, which hold the sums of the chunks before.
                unsafe { kernels[rows - 1](segments, x.wrapping_add(start * BLOCK), weights, &tile) };
            }
            weights = next;
        }
        for b in 0..width {
            // SAFETY: just written by this task.
            unsafe { call.finish(place + b, positions.start, positions.len()) };
        }
    }
}
