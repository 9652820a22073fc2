//! The gradient of the weight, by tiles that stay in registers while they walk along the rows of the output.
//!
//! `grad_w[o, c, t] = Σ_p grad_out[o, p] · x[c, p · stride + t]` is a product of matrices for each tap, whose inner
//! dimension are the positions p. Both operands are turned once so that the channels of a position lie side by side; x
//! with its padding, so that a tap is an offset and nothing is unfolded. A tile is some rows `o` times some vectors, each
//! a tap of a few channels. For few channels a vector runs on into the columns to the right, which are the next taps.
//!
//! Images are turned a few at a time, and the sum over them is cut in places that follow from the shape alone.

use std::ops::Range;

use super::{ConvShape, direct};
use crate::mem::Buf;
use crate::pool::{SendPtr, parallel_for};
use crate::simd::{Real, Simd, WithSimd};

/// Vectors of a tile.
const VECTORS: usize = 3;
/// Steps of the inner dimension after which a tile is added to the sum so far: what they read stays in the nearest cache.
pub(super) const DEPTH: usize = 400;
/// Bytes of turned images at a time: they stay in the last cache.
pub(super) const TURNED: usize = 16 << 20;
/// Tasks below which the positions are dealt out as well.
const TASKS: usize = 16;
/// Panels of rows that meet the same panels of the input one after the other, if there are tasks enough.
const ROW_PANELS: usize = 4;
/// Share of the lanes in use below which they are too few.
const FEW_LANES: f64 = 0.25;
/// Output channels below which products across positions are faster, for large planes.
const FEW_OUTPUTS: usize = 8;

/// Whether this way is the faster one.
pub(super) fn pays<T: Real>(shape: &ConvShape) -> bool {
    // With few positions the operands are small beside the gradient, which is written twice here.
    let positions = shape.batch * shape.out_plane();
    let direct = shape.group_outputs() < FEW_OUTPUTS && direct::pays::<T>(shape);
    Lanes::new::<T>(shape).share >= FEW_LANES
        && positions >= shape.group_outputs()
        && !shape.is_depthwise()
        && !direct
}

pub(super) fn backward_weight<T: Real>(shape: &ConvShape, x: &[T], grad_out: &[T], grad_w: &mut [T]) {
    let shape = &flattened(shape);
    let layout = Layout::new::<T>(shape);
    if grad_out.is_empty() {
        return grad_w.fill(T::ZERO);
    }
    let (groups, outputs, plane) = (shape.groups, shape.group_outputs(), shape.out_plane());
    let Layout { lanes, panels, .. } = layout;
    let row_panels = outputs.div_ceil(lanes);
    // The distance from one image to the next, turned.
    let (x_image, g_image) = (
        groups * panels * layout.panel,
        groups * row_panels * plane * lanes,
    );
    let together = (TURNED / size_of::<T>() / (x_image + g_image).max(1)).clamp(1, shape.batch);
    // What lies behind the last row is read where a vector runs on, and meets nothing.
    let mut turned_x = Buf::<T>::take(together * x_image + lanes);
    turned_x[together * x_image..].fill(T::ZERO);
    let mut turned_g = Buf::<T>::take(together * g_image);

    let columns = layout.offsets.len();
    let (span, ld) = (layout.span(), panels * columns * lanes);
    let spans = panels.div_ceil(span);
    let segments = layout.segments(shape, together, x_image, g_image);
    let per_image = segments.len() / together;
    let parts = TASKS.div_ceil(groups * row_panels * spans).min(segments.len());
    let row_span = if groups * row_panels * spans < TASKS * ROW_PANELS {
        1
    } else {
        ROW_PANELS
    };
    let row_spans = row_panels.div_ceil(row_span);
    let part_len = groups * outputs * ld;
    let mut sums = Buf::<T>::take(parts * part_len);
    let sums_base = SendPtr(sums.as_mut_ptr());
    for start in (0..shape.batch).step_by(together) {
        let count = together.min(shape.batch - start);
        let (x_base, g_base) = (SendPtr(turned_x.as_mut_ptr()), SendPtr(turned_g.as_mut_ptr()));
        let (x_tasks, g_tasks) = (count * groups * panels, count * groups * row_panels);
        parallel_for(x_tasks + g_tasks, |task| {
            if task < x_tasks {
                let (image, group, panel) = (
                    start + task / panels / groups,
                    task / panels % groups,
                    task % panels,
                );
                // SAFETY: this task alone writes this panel, which lies inside the buffer.
                unsafe {
                    layout.turn(
                        shape,
                        x,
                        image,
                        group,
                        panel,
                        0..layout.size[1],
                        x_base.ptr().add(task * layout.panel),
                    )
                };
                return;
            }
            let task = task - x_tasks;
            let first = task % row_panels * lanes;
            let channel = task / row_panels % groups * outputs + first;
            let image = start + task / row_panels / groups;
            let source = &grad_out[(image * shape.out_channels + channel) * plane..];
            let rows = lanes.min(outputs - first);
            // SAFETY: `rows` planes from `source` on are there, and this task alone writes this panel.
            unsafe {
                let target = g_base.ptr().add(task * plane * lanes);
                (T::kernel_table().pack_transposed)(source.as_ptr(), plane, rows, plane, target, lanes, lanes)
            };
        });
        let segments = &segments[..count * per_image];
        parallel_for(parts * groups * row_spans * spans, |task| {
            let (rest, first_panel) = (task / spans, task % spans * span);
            let (rest, row_panel) = (rest / row_spans, rest % row_spans * row_span);
            let (part, group) = (rest / groups, rest % groups);
            let row = row_panel * lanes;
            let offset = part * part_len + (group * outputs + row) * ld + first_panel * columns * lanes;
            let product = Product {
                offsets: &layout.offsets,
                x_panel: layout.panel,
                step: layout.stride[2] * layout.pitch,
                g_panel: plane * lanes,
                segments: &segments[part * segments.len() / parts..(part + 1) * segments.len() / parts],
                g: turned_g[(group * row_panels + row_panel) * plane * lanes..].as_ptr(),
                x: turned_x[(group * panels + first_panel) * layout.panel..].as_ptr(),
                rows: (row_span * lanes).min(outputs - row),
                panels: span.min(panels - first_panel),
                c: sums_base.ptr().wrapping_add(offset),
                ldc: ld,
                onto: start > 0,
            };
            T::dispatch(product);
        });
    }
    let base = SendPtr(grad_w.as_mut_ptr());
    let weights = shape.group_inputs() * shape.taps();
    parallel_for(groups * outputs, |row| {
        // SAFETY: this task alone accesses this row, in the sums and in the gradient.
        unsafe {
            let part = |part: usize| sums_base.ptr().add(part * part_len + row * ld);
            let sum = std::slice::from_raw_parts_mut(part(0), ld);
            for i in 1..parts {
                let other = std::slice::from_raw_parts(part(i), ld);
                sum.iter_mut().zip(other).for_each(|(a, &b)| *a += b);
            }
            let out = std::slice::from_raw_parts_mut(base.ptr().add(row * weights), weights);
            layout.arrange(shape, sum, out);
        }
    });
}

/// A convolution that reads one position for each of the output, as one over a single long row.
fn flattened(shape: &ConvShape) -> ConvShape {
    let plain = shape.kernel == [1; 3] && shape.stride == [1; 3] && shape.padding == [0; 3];
    if !plain || shape.input != shape.output {
        return *shape;
    }
    let row = [1, 1, shape.in_plane()];
    ConvShape {
        input: row,
        output: row,
        ..*shape
    }
}

/// How the input lies once it is turned: panels of channels, in each `[depth, height, width, pitch]` with the padding.
pub(super) struct Layout {
    lanes: usize,
    /// Channels of a panel.
    pitch: usize,
    /// Panels of a group.
    panels: usize,
    /// Size of the padded input.
    pub(super) size: [usize; 3],
    /// Input rows from one padded row to the next: not 1 where those between are not read.
    skip: [usize; 2],
    /// Padded positions from one output to the next.
    stride: [usize; 3],
    /// Elements of a panel.
    pub(super) panel: usize,
    /// Where the vectors of a panel lie for the first output.
    offsets: Vec<usize>,
    /// Vectors that read one row.
    per_row: usize,
    /// Whether vectors run on from tap to tap.
    runs_on: bool,
}

/// What the lanes of a vector hold.
struct Lanes {
    count: usize,
    /// Whether they run on from tap to tap.
    run_on: bool,
    /// The share of them that hold anything.
    share: f64,
}

impl Lanes {
    fn new<T: Real>(shape: &ConvShape) -> Self {
        let (count, inputs) = (T::kernel_table().lanes, shape.group_inputs());
        let share = |n: usize| n as f64 / n.next_multiple_of(count) as f64;
        let (apart, together) = (share(inputs), share(inputs * shape.kernel[2]));
        let run_on = inputs < 2 * count && shape.dilation[2] == 1 && together > apart;
        Lanes {
            count,
            run_on,
            share: if run_on { together } else { apart },
        }
    }
}

impl Layout {
    pub(super) fn new<T: Real>(shape: &ConvShape) -> Self {
        let Lanes {
            count: lanes,
            run_on: runs_on,
            ..
        } = Lanes::new::<T>(shape);
        let (inputs, [_, _, taps]) = (shape.group_inputs(), shape.kernel);
        let pitch = if runs_on { inputs } else { lanes };
        let panels = inputs.div_ceil(pitch);
        let (mut skip, mut stride) = ([1; 2], shape.stride);
        for d in 0..2 {
            if shape.kernel[d] == 1 {
                (skip[d], stride[d]) = (stride[d], 1);
            }
        }
        let size: [usize; 3] = std::array::from_fn(|d| {
            shape.output[d].saturating_sub(1) * stride[d] + (shape.kernel[d] - 1) * shape.dilation[d] + 1
        });
        let per_row = if runs_on {
            (inputs * taps).div_ceil(lanes)
        } else {
            taps
        };
        let mut offsets = Vec::with_capacity(shape.kernel[0] * shape.kernel[1] * per_row);
        for z in 0..shape.kernel[0] {
            for y in 0..shape.kernel[1] {
                let row = (z * shape.dilation[0] * size[1] + y * shape.dilation[1]) * size[2] * pitch;
                let step = if runs_on { lanes } else { shape.dilation[2] * pitch };
                offsets.extend((0..per_row).map(|v| row + v * step));
            }
        }
        Layout {
            lanes,
            pitch,
            panels,
            size,
            skip,
            stride,
            panel: size.iter().product::<usize>() * pitch,
            offsets,
            per_row,
            runs_on,
        }
    }

    /// Panels that one task takes, so that most tiles are of full width.
    fn span(&self) -> usize {
        let columns = self.offsets.len();
        if columns.is_multiple_of(VECTORS) || columns > 4 * VECTORS {
            1
        } else {
            VECTORS
        }
    }

    /// The rows of the output of some images, none of them longer than a block.
    fn segments(&self, shape: &ConvShape, images: usize, x_image: usize, g_image: usize) -> Vec<Segment> {
        let [depth, height, width] = shape.output;
        let pieces = width.div_ceil(DEPTH);
        let mut segments = Vec::with_capacity(images * depth * height * pieces);
        for image in 0..images {
            for z in 0..depth {
                for y in 0..height {
                    let row = z * self.stride[0] * self.size[1] + y * self.stride[1];
                    for piece in 0..pieces {
                        let start = piece * width / pieces;
                        let column = row * self.size[2] + start * self.stride[2];
                        segments.push(Segment {
                            g: image * g_image + ((z * height + y) * width + start) * self.lanes,
                            x: image * x_image + column * self.pitch,
                            len: (piece + 1) * width / pieces - start,
                        });
                    }
                }
            }
        }
        segments
    }

    /// Turns these rows of a panel of the input, of all of its planes.
    ///
    /// # Safety
    /// `dst` holds that part of a panel.
    pub(super) unsafe fn turn<T: Real>(
        &self,
        shape: &ConvShape,
        x: &[T],
        image: usize,
        group: usize,
        panel: usize,
        padded: Range<usize>,
        dst: *mut T,
    ) {
        let first = panel * self.pitch;
        let rows = self.pitch.min(shape.group_inputs() - first);
        let channel = image * shape.in_channels + group * shape.group_inputs() + first;
        let (plane, [depth, height, width]) = (shape.in_plane(), shape.input);
        let row_len = self.size[2] * self.pitch;
        let left = shape.padding[2].min(self.size[2]);
        let count = width.min(self.size[2] - left);
        for z in 0..self.size[0] {
            for y in padded.clone() {
                let at = z * padded.len() + y - padded.start;
                // SAFETY: a row of the panel.
                let row = unsafe { std::slice::from_raw_parts_mut(dst.add(at * row_len), row_len) };
                let from_z = (z * self.skip[0])
                    .checked_sub(shape.padding[0])
                    .filter(|&z| z < depth);
                let from_y = (y * self.skip[1])
                    .checked_sub(shape.padding[1])
                    .filter(|&y| y < height);
                let (Some(from_z), Some(from_y)) = (from_z, from_y) else {
                    row.fill(T::ZERO);
                    continue;
                };
                let source = &x[channel * plane + (from_z * height + from_y) * width..];
                row[..left * self.pitch].fill(T::ZERO);
                row[(left + count) * self.pitch..].fill(T::ZERO);
                // SAFETY: `count` columns of a row of each of the channels; they have room in the row.
                unsafe {
                    let target = row.as_mut_ptr().add(left * self.pitch);
                    let table = T::kernel_table();
                    (table.pack_transposed)(
                        source.as_ptr(),
                        plane,
                        rows,
                        count,
                        target,
                        self.pitch,
                        self.pitch,
                    )
                };
            }
        }
    }

    /// From vectors to `[inputs, taps]`, for one output channel.
    fn arrange<T: Real>(&self, shape: &ConvShape, sums: &[T], out: &mut [T]) {
        let (taps, lanes) = (shape.taps(), self.lanes);
        if self.runs_on {
            let (inputs, along) = (shape.group_inputs(), shape.kernel[2]);
            for (row, sums) in sums.chunks_exact(self.per_row * lanes).enumerate() {
                for (column, sums) in sums[..along * inputs].chunks_exact(inputs).enumerate() {
                    let out = out[row * along + column..].iter_mut().step_by(taps);
                    out.zip(sums).for_each(|(out, &sum)| *out = sum);
                }
            }
            return;
        }
        for (sums, out) in sums.chunks_exact(taps * lanes).zip(out.chunks_mut(taps * lanes)) {
            let (pack, channels) = (T::kernel_table().pack_transposed, out.len() / taps);
            // SAFETY: `taps` vectors, of which `channels` lanes become as many rows of `taps` elements.
            unsafe { pack(sums.as_ptr(), lanes, taps, channels, out.as_mut_ptr(), taps, taps) };
        }
    }
}

/// Outputs of one row: where their gradients begin, where what they read begins, and how many they are.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub(super) g: usize,
    pub(super) x: usize,
    pub(super) len: usize,
}

/// Some panels of rows times some panels of the input, over some segments.
pub(super) struct Product<'a, T> {
    pub(super) segments: &'a [Segment],
    /// The first panel of the gradient, and from one panel to the next.
    pub(super) g: *const T,
    pub(super) g_panel: usize,
    /// The first panel of the input, from one panel to the next, and from one position to the next.
    pub(super) x: *const T,
    pub(super) x_panel: usize,
    pub(super) step: usize,
    /// Where the vectors of a panel lie for the first position.
    pub(super) offsets: &'a [usize],
    pub(super) rows: usize,
    pub(super) panels: usize,
    pub(super) c: *mut T,
    pub(super) ldc: usize,
    /// Whether the product is added to what is there.
    pub(super) onto: bool,
}

impl<T: Real> WithSimd<T> for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let columns = self.offsets.len();
        let all = self.panels * columns;
        let offset = |column: usize| column / columns * self.x_panel + self.offsets[column % columns];
        // As many rows as there are registers for, and no more than a panel holds.
        let tallest = if S::LANES * size_of::<T>() == 64 { 8 } else { 4 };
        let tallest = tallest.min(S::LANES);
        let mut onto = self.onto;
        let mut rest = self.segments;
        while !rest.is_empty() {
            let (block, others) = rest.split_at(block(rest));
            rest = others;
            for column in (0..all).step_by(VECTORS) {
                let vectors = VECTORS.min(all - column);
                let mut offsets = [0; VECTORS];
                for (v, to) in offsets.iter_mut().enumerate().take(vectors) {
                    *to = offset(column + v);
                }
                for row in (0..self.rows).step_by(tallest) {
                    let tile = Tile {
                        segments: block,
                        g: self
                            .g
                            .wrapping_add(row / S::LANES * self.g_panel + row % S::LANES),
                        x: self.x,
                        offsets,
                        step: self.step,
                        c: self.c.wrapping_add(row * self.ldc + column * S::LANES),
                        ldc: self.ldc,
                        onto,
                    };
                    let rows = tallest.min(self.rows - row);
                    // SAFETY: the segments lie inside the panels, and this task alone writes the tile.
                    unsafe { tile.any(s, rows, vectors) };
                }
            }
            onto = true;
        }
    }
}

/// Segments of a block.
fn block(segments: &[Segment]) -> usize {
    let mut steps = 0;
    let more = |s: &&Segment| {
        steps += s.len;
        steps <= DEPTH
    };
    segments.iter().take_while(more).count().max(1)
}

/// Some rows times some vectors.
struct Tile<'a, T> {
    segments: &'a [Segment],
    g: *const T,
    x: *const T,
    offsets: [usize; VECTORS],
    /// From what an output reads to what the next one does.
    step: usize,
    c: *mut T,
    ldc: usize,
    onto: bool,
}

impl<T: Real> Tile<'_, T> {
    /// # Safety
    /// The pointers cover what the segments and the tile's size say.
    #[inline(always)]
    unsafe fn any<S: Simd<Elem = T>>(&self, s: S, rows: usize, vectors: usize) {
        macro_rules! rows {
            ($vectors:literal, $($rows:literal)*) => {
                match rows {
                    // SAFETY: as the caller vouches.
                    $($rows => unsafe { self.sum::<S, $rows, $vectors>(s) },)*
                    _ => {}
                }
            };
        }
        macro_rules! vectors {
            ($($rows:literal)*) => {
                match vectors {
                    1 => rows!(1, $($rows)*),
                    2 => rows!(2, $($rows)*),
                    _ => rows!(3, $($rows)*),
                }
            };
        }
        if S::LANES * size_of::<T>() == 64 {
            vectors!(1 2 3 4 5 6 7 8)
        } else {
            vectors!(1 2 3 4)
        }
    }

    /// # Safety
    /// As for [`Self::any`].
    #[inline(always)]
    unsafe fn sum<S: Simd<Elem = T>, const ROWS: usize, const COLUMNS: usize>(&self, s: S) {
        let mut acc = [[s.splat(T::ZERO); COLUMNS]; ROWS];
        // SAFETY: all addresses lie in the panels and in the tile, which the caller vouches for.
        unsafe {
            for segment in self.segments {
                let mut g = self.g.add(segment.g);
                let mut x = self.x.add(segment.x);
                for _ in 0..segment.len {
                    let mut row = [s.splat(T::ZERO); COLUMNS];
                    for v in 0..COLUMNS {
                        row[v] = s.load(x.add(self.offsets[v]));
                    }
                    for i in 0..ROWS {
                        let factor = s.splat(*g.add(i));
                        for v in 0..COLUMNS {
                            acc[i][v] = s.mul_add(factor, row[v], acc[i][v]);
                        }
                    }
                    g = g.add(S::LANES);
                    x = x.wrapping_add(self.step);
                }
            }
            for i in 0..ROWS {
                for v in 0..COLUMNS {
                    let p = self.c.add(i * self.ldc + v * S::LANES);
                    let sum = if self.onto {
                        s.add(s.load(p), acc[i][v])
                    } else {
                        acc[i][v]
                    };
                    s.store(p, sum);
                }
            }
        }
    }
}
