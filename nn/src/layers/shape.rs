//! Layers that move elements without computing: flattening, padding, shuffling pixels and channels, sliding blocks,
//! up-sampling; and the two distances.

use flambeau_tensor::ops::fold::{
    UnfoldOptions, channel_shuffle, fold, pixel_shuffle, pixel_unshuffle, unfold,
};
use flambeau_tensor::ops::interpolate::{InterpolateOptions, InterpolateSize, interpolate};
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::{Result, Tensor};

use super::text;
use crate::{Forward, Module};

/// Several dimensions made one.
#[derive(Clone, Copy, Debug, Module)]
#[module(describe)]
pub struct Flatten {
    /// The first of them.
    pub start_dim: isize,
    /// The last of them.
    pub end_dim: isize,
}

impl Default for Flatten {
    fn default() -> Self {
        Flatten {
            start_dim: 1,
            end_dim: -1,
        }
    }
}

impl Flatten {
    fn describe(&self) -> String {
        format!("start_dim={}, end_dim={}", self.start_dim, self.end_dim)
    }
}

impl Forward for Flatten {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.flatten(self.start_dim, self.end_dim)
    }
}

/// One dimension made several; one of their sizes may be -1.
#[derive(Clone, Debug, Module)]
#[module(describe)]
pub struct Unflatten {
    /// The dimension.
    pub dim: isize,
    /// What it becomes.
    #[module(skip)]
    pub unflattened_size: Vec<isize>,
}

impl Unflatten {
    fn describe(&self) -> String {
        let sizes: Vec<String> = self.unflattened_size.iter().map(isize::to_string).collect();
        format!("dim={}, unflattened_size=({})", self.dim, sizes.join(", "))
    }
}

impl Forward for Unflatten {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.unflatten(self.dim, &self.unflattened_size[..])
    }
}

macro_rules! pads {
    ($($d:literal: $constant:ident, $zero:ident, $reflection:ident, $replication:ident, $circular:ident;)*) => { $(
        /// Cells of one value added around the input: `[before, after]` of the last dimension, then of the one before.
        #[derive(Clone, Copy, Debug, Module)]
        #[module(describe)]
        pub struct $constant {
            /// Cells before and behind each dimension, the last first; negative numbers cut off.
            #[module(skip)]
            pub padding: [isize; 2 * $d],
            /// Their value.
            pub value: f64,
        }

        impl $constant {
            fn describe(&self) -> String {
                format!("padding={}, value={}", padding(&self.padding), text::float(self.value))
            }
        }

        impl Forward for $constant {
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                x.pad(&self.padding, PadMode::Constant, self.value)
            }
        }

        pads!(@other $d, $zero, PadMode::Constant, "Zeros added around the input.");
        pads!(@other $d, $reflection, PadMode::Reflect, "The input continued by its mirror image, without the edge.");
        pads!(@other $d, $replication, PadMode::Replicate, "The input continued by its edge.");
        pads!(@other $d, $circular, PadMode::Circular, "The input continued by itself.");
    )* };
    (@other $d:literal, $name:ident, $mode:expr, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, Module)]
        #[module(describe)]
        pub struct $name {
            /// Cells before and behind each dimension, the last first; negative numbers cut off.
            #[module(skip)]
            pub padding: [isize; 2 * $d],
        }

        impl $name {
            fn describe(&self) -> String {
                padding(&self.padding)
            }
        }

        impl Forward for $name {
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                x.pad(&self.padding, $mode, 0)
            }
        }
    };
}

pads! {
    1: ConstantPad1d, ZeroPad1d, ReflectionPad1d, ReplicationPad1d, CircularPad1d;
    2: ConstantPad2d, ZeroPad2d, ReflectionPad2d, ReplicationPad2d, CircularPad2d;
    3: ConstantPad3d, ZeroPad3d, ReflectionPad3d, ReplicationPad3d, CircularPad3d;
}

fn padding(sizes: &[isize]) -> String {
    let sizes: Vec<String> = sizes.iter().map(isize::to_string).collect();
    format!("({})", sizes.join(", "))
}

/// Channels laid out in space: `[…, c·r², h, w] → […, c, h·r, w·r]` (Shi et al., 2016).
#[derive(Clone, Copy, Debug, Module)]
#[module(describe)]
pub struct PixelShuffle {
    /// How much larger images get.
    pub upscale_factor: usize,
}

impl PixelShuffle {
    fn describe(&self) -> String {
        format!("upscale_factor={}", self.upscale_factor)
    }
}

impl Forward for PixelShuffle {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        pixel_shuffle(x, self.upscale_factor)
    }
}

/// Space laid out in channels: undoes [`PixelShuffle`].
#[derive(Clone, Copy, Debug, Module)]
#[module(describe)]
pub struct PixelUnshuffle {
    /// How much smaller images get.
    pub downscale_factor: usize,
}

impl PixelUnshuffle {
    fn describe(&self) -> String {
        format!("downscale_factor={}", self.downscale_factor)
    }
}

impl Forward for PixelUnshuffle {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        pixel_unshuffle(x, self.downscale_factor)
    }
}

/// The channels of all groups taken in turn (Zhang et al., 2017).
#[derive(Clone, Copy, Debug, Module)]
#[module(describe)]
pub struct ChannelShuffle {
    /// Into how many groups channels are divided.
    pub groups: usize,
}

impl ChannelShuffle {
    fn describe(&self) -> String {
        format!("groups={}", self.groups)
    }
}

impl Forward for ChannelShuffle {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        channel_shuffle(x, self.groups)
    }
}

/// Sliding blocks of images as columns, `[batch?, channels, h, w] → [batch?, channels·kernel, blocks]`.
#[derive(Clone, Copy, Debug, Module)]
#[module(describe)]
pub struct Unfold {
    /// Height and width of a block.
    #[module(skip)]
    pub kernel_size: [usize; 2],
    /// How blocks slide.
    #[module(skip)]
    pub options: UnfoldOptions,
}

impl Unfold {
    fn describe(&self) -> String {
        let UnfoldOptions {
            dilation,
            padding,
            stride,
        } = self.options;
        let [kernel, dilation, padding, stride] =
            [self.kernel_size, dilation, padding, stride].map(text::tuple);
        format!("kernel_size={kernel}, dilation={dilation}, padding={padding}, stride={stride}")
    }
}

impl Forward for Unfold {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        unfold(x, self.kernel_size, &self.options)
    }
}

/// Sliding blocks added up to images: the transpose of [`Unfold`].
#[derive(Clone, Copy, Debug, Module)]
#[module(describe)]
pub struct Fold {
    /// Height and width of the image.
    #[module(skip)]
    pub output_size: [usize; 2],
    /// Height and width of a block.
    #[module(skip)]
    pub kernel_size: [usize; 2],
    /// How blocks slide.
    #[module(skip)]
    pub options: UnfoldOptions,
}

impl Fold {
    fn describe(&self) -> String {
        let UnfoldOptions {
            dilation,
            padding,
            stride,
        } = self.options;
        let [kernel, dilation, padding, stride] =
            [self.kernel_size, dilation, padding, stride].map(text::tuple);
        let output = text::tuple(self.output_size);
        format!(
            "output_size={output}, kernel_size={kernel}, dilation={dilation}, padding={padding}, stride={stride}"
        )
    }
}

impl Forward for Fold {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        fold(x, self.output_size, self.kernel_size, &self.options)
    }
}

/// The input enlarged, to a size or by factors, one for each spatial dimension.
#[derive(Clone, Debug, Module)]
#[module(describe)]
pub struct Upsample {
    /// The size wanted.
    #[module(skip)]
    pub size: Option<Vec<usize>>,
    /// The factors wanted, if no size is.
    #[module(skip)]
    pub scale_factor: Vec<f64>,
    /// How values between cells are made.
    #[module(skip)]
    pub options: InterpolateOptions,
}

impl Upsample {
    fn describe(&self) -> String {
        let size = match &self.size {
            Some(size) => format!("size={}", text::list(size)),
            None => {
                let factors: Vec<String> = self
                    .scale_factor
                    .iter()
                    .map(|&factor| text::float(factor))
                    .collect();
                format!("scale_factor=({})", factors.join(", "))
            }
        };
        format!("{size}, mode='{}'", self.options.mode)
    }
}

impl Forward for Upsample {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let size = match &self.size {
            Some(size) => InterpolateSize::Size(size),
            None => InterpolateSize::ScaleFactor(&self.scale_factor),
        };
        interpolate(x, size, &self.options)
    }
}

/// The cosine of the angle between vectors along a dimension.
#[derive(Clone, Copy, Debug, Module)]
pub struct CosineSimilarity {
    /// The dimension of the vectors.
    pub dim: isize,
    /// The least product of norms that is divided by.
    pub eps: f64,
}

impl Default for CosineSimilarity {
    fn default() -> Self {
        CosineSimilarity { dim: 1, eps: 1e-8 }
    }
}

impl CosineSimilarity {
    /// The cosines.
    ///
    /// # Errors
    /// `Broadcast` if shapes do not fit.
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Result<Tensor> {
        x1.cosine_similarity(x2, self.dim, self.eps)
    }
}

/// The p-norm of the difference of vectors along the last dimension.
#[derive(Clone, Copy, Debug, Module)]
pub struct PairwiseDistance {
    /// Which norm.
    pub p: f64,
    /// Added to differences, against a division by zero in the gradient.
    pub eps: f64,
    /// Keep the last dimension with size 1.
    pub keepdim: bool,
}

impl Default for PairwiseDistance {
    fn default() -> Self {
        PairwiseDistance {
            p: 2.0,
            eps: 1e-6,
            keepdim: false,
        }
    }
}

impl PairwiseDistance {
    /// The distances.
    ///
    /// # Errors
    /// `Broadcast` if shapes do not fit.
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Result<Tensor> {
        x1.pairwise_distance(x2, self.p, self.eps, self.keepdim)
    }
}
