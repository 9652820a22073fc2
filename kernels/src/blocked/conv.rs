//! Convolutions with packed weights over blocked images.

mod direct;

use super::gather::Axis;
use super::kernel::Panel;
use super::{BLOCK, blocked_len, depthwise, winograd};
use crate::conv::{ConvShape, Finish, winograd::winograd_enabled};
use crate::isa::{self, Isa};
use crate::mem::Buf;
use crate::pool::{SendPtr, parallel_for};
use crate::simd::Real;

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
}
