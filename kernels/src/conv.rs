//! Convolutions over one to three spatial dimensions, forward and backward, of f32 and f64.
//!
//! `out[n, o, p] = bias[o] + Σ_{c, t} x[n, c, p · stride + t · dilation − padding] · w[o, c, t]`, with x
//! `[batch, in_channels, depth, height, width]`, w `[out_channels, in_channels / groups, kernel…]` and zeros outside of x
//! (torch: `conv1d`, `conv2d`, `conv3d`). [`conv_backward_input`] is `conv_transpose1d`, `2d` and `3d` as well.
//!
//! The general way is a matrix product whose right operand, the unfolded image, is made panel by panel and never exists
//! as a whole. Convolutions with one channel per group or few input channels run directly, those of few positions by many
//! weights as dot products with the weights where they lie, and large 3 × 3 convolutions of f32 with stride 1
//! by Winograd's algorithm, which rounds more coarsely and can be switched off: see [`winograd`].

mod backward;
mod depthwise;
mod direct;
mod dots;
mod few;
mod fold;
mod integer;
mod padded;
mod pointwise;
mod tail;
mod unfold;
mod weight;
pub mod winograd;

pub use backward::{conv_backward_bias, conv_backward_input, conv_backward_weight};
pub use integer::conv_integer;
pub use tail::{Finish, Tail};

/// Everything of this module that is compiled for an element type in this crate.
#[doc(hidden)]
pub trait RealKernels<T: crate::element::Pod>: Kernels<T> + backward::Kernels<T> {}
impl RealKernels<f32> for f32 {}
impl RealKernels<f64> for f64 {}

use crate::element::instantiate;
use crate::gemm::{Activation, Epilogue, MatRef, Operand, Output, PackA, Plan};
use crate::pool::{SendPtr, num_threads, parallel_for};
use crate::simd::Real;
use unfold::{Unfold, Window};

/// The sizes of a convolution. Fewer than three spatial dimensions are the trailing ones; the leading ones are 1 (with
/// stride and dilation 1 and padding 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Images.
    pub batch: usize,
    /// Channels of the input, over all groups.
    pub in_channels: usize,
    /// Channels of the output, over all groups.
    pub out_channels: usize,
    /// Groups that are convolved independently.
    pub groups: usize,
    /// Size of the input.
    pub input: [usize; 3],
    /// Size of the kernel.
    pub kernel: [usize; 3],
    /// Steps between output positions.
    pub stride: [usize; 3],
    /// Zeros before the input. Those behind it follow from `output`: whatever lies outside of the input counts as zero.
    pub padding: [usize; 3],
    /// Steps between the kernel's taps.
    pub dilation: [usize; 3],
    /// Size of the output.
    pub output: [usize; 3],
}

impl ConvShape {
    /// The output size along one dimension for a padding before and behind; `None` if the padded input is smaller
    /// than the kernel.
    pub fn output_size(
        input: usize,
        kernel: usize,
        stride: usize,
        padding: [usize; 2],
        dilation: usize,
    ) -> Option<usize> {
        let extent = kernel.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
        let padded = input.checked_add(padding[0])?.checked_add(padding[1])?;
        Some(padded.checked_sub(extent)? / stride.max(1) + 1)
    }

    /// Elements of the input.
    pub fn input_len(&self) -> usize {
        self.batch * self.in_channels * self.in_plane()
    }

    /// Elements of the output.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_channels * self.out_plane()
    }

    /// Elements of the weight.
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.group_inputs() * self.taps()
    }

    pub(crate) fn in_plane(&self) -> usize {
        self.input.iter().product()
    }

    pub(crate) fn out_plane(&self) -> usize {
        self.output.iter().product()
    }

    pub(crate) fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    pub(crate) fn group_inputs(&self) -> usize {
        self.in_channels / self.groups
    }

    pub(crate) fn group_outputs(&self) -> usize {
        self.out_channels / self.groups
    }

    fn check(&self, op: &str, input: usize, weight: usize, output: usize) {
        assert!(
            self.groups > 0
                && self.in_channels.is_multiple_of(self.groups)
                && self.out_channels.is_multiple_of(self.groups),
            "{op}: {} and {} channels do not divide into {} groups",
            self.in_channels,
            self.out_channels,
            self.groups
        );
        assert!(
            self.stride.iter().chain(&self.dilation).all(|&s| s > 0),
            "{op}: a stride or dilation is 0"
        );
        assert_eq!(input, self.input_len(), "{op}: the size of the input");
        assert_eq!(weight, self.weight_len(), "{op}: the size of the weight");
        assert_eq!(output, self.output_len(), "{op}: the size of the output");
    }

    /// Whether every output channel reads a single input channel.
    fn is_depthwise(&self) -> bool {
        self.group_inputs() == 1 && self.groups > 1
    }
}

instantiate! {
    trait Kernels for f32, f64 where Real;

    /// `out = x ∗ w`, then what `tail` says.
    ///
    /// # Panics
    /// If the slices do not have the sizes that the shape asks for, or the groups do not divide the channels.
    pub fn conv_forward(shape: &ConvShape, x: &[T], w: &[T], tail: &Tail<'_, T>, out: &mut [T]) {
        shape.check("conv_forward", x.len(), w.len(), out.len());
        tail.check("conv_forward", shape.out_channels, out.len());
        if out.is_empty() {
            return;
        }
        if let Finish::Function(function) = tail.finish {
            // Pieces that are at hand are too short for it.
            conv_forward(shape, x, w, &Tail { finish: Finish::NONE, ..*tail }, out);
            return function(out);
        }
        let window = Window::forward(shape);
        if shape.is_depthwise() {
            return depthwise::forward(shape, &window, x, w, tail, out);
        }
        if winograd::pays::<T>(shape) {
            return winograd::forward(shape, x, w, tail, out);
        }
        if few::pays::<T>(shape) {
            return few::forward(shape, &window, x, w, tail, out);
        }
        if dots::pays(shape) {
            return dots::forward(shape, &window, x, w, tail, out);
        }
        let (inputs, outputs, plane) = (shape.group_inputs(), shape.group_outputs(), shape.out_plane());
        let rest = tail.without_bias();
        let (depth, base) = (inputs * shape.taps(), SendPtr(out.as_mut_ptr()));
        for_each_group(shape, |group| {
            let weights = MatRef::row_major(&w[group * outputs * depth..], outputs, depth);
            let unfold = Unfold::new(&window, x, shape.in_channels, group * inputs);
            let c = SendPtr(base.ptr().wrapping_add(group * outputs * plane));
            let out = Output {
                c,
                ldc: plane,
                segment: Some((plane, shape.out_channels * plane)),
            };
            let apply_rest = |row: usize, offset: usize, piece: &mut [T]| {
                let channel = group * outputs + row;
                rest.apply(channel, group * outputs * plane + offset, piece);
            };
            let epilogue = Epilogue {
                row_bias: tail.bias.map(|b| &b[group * outputs..][..outputs]),
                activation: if rest.is_plain() {
                    Activation::None
                } else {
                    Activation::Rows(&apply_rest)
                },
                ..Epilogue::default()
            };
            multiply(
                outputs,
                shape.batch * plane,
                depth,
                &weights,
                &unfold,
                out,
                &epilogue,
            );
        });
    }
}

/// Weights times unfolded image.
fn multiply<T: Real>(
    m: usize,
    n: usize,
    k: usize,
    weights: &dyn PackA<T>,
    unfold: &Unfold<'_, T>,
    out: Output<T>,
    epilogue: &Epilogue<'_, T>,
) {
    let plan = Plan::new(m, n, k);
    if n <= m {
        // Large weights for few positions are read once, and not written again as panels.
        return plan.run(Operand::Source(weights), Operand::Source(unfold), out, epilogue);
    }
    let packed = plan.pack_a(weights);
    plan.run(Operand::Packed(&packed), Operand::Source(unfold), out, epilogue);
}

/// Many groups run side by side, few one after the other with all threads each.
fn for_each_group(shape: &ConvShape, f: impl Fn(usize) + Sync) {
    if shape.groups >= 2 * num_threads() {
        parallel_for(shape.groups, f);
    } else {
        (0..shape.groups).for_each(f);
    }
}

#[cfg(test)]
mod tests;
