//! Layers that move elements without computing: flattening, shuffling pixels and channels, sliding blocks.

use flambeau_tensor::ops::fold::{
    UnfoldOptions, channel_shuffle, fold, pixel_shuffle, pixel_unshuffle, unfold,
};
use flambeau_tensor::{Result, Tensor};

use super::text;
use crate::{Forward, Module, observed};

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
    #[observed]
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
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.unflatten(self.dim, &self.unflattened_size[..])
    }
}

/// Layers of one setting.
macro_rules! shuffles {
    ($($(#[$doc:meta])* $name:ident { $(#[$field_doc:meta])* $field:ident } => $function:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Module)]
        #[module(describe)]
        pub struct $name {
            $(#[$field_doc])*
            pub $field: usize,
        }

        impl $name {
            fn describe(&self) -> String {
                format!("{}={}", stringify!($field), self.$field)
            }
        }

        impl Forward for $name {
            #[observed]
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                $function(x, self.$field)
            }
        }
    )* };
}

shuffles! {
    /// Channels laid out in space: `[…, c·r², h, w] → […, c, h·r, w·r]` (Shi et al., 2016).
    PixelShuffle {
        /// How much larger images get.
        upscale_factor
    } => pixel_shuffle;
    /// Space laid out in channels: undoes [`PixelShuffle`].
    PixelUnshuffle {
        /// How much smaller images get.
        downscale_factor
    } => pixel_unshuffle;
    /// The channels of all groups taken in turn (Zhang et al., 2017).
    ChannelShuffle {
        /// Into how many groups channels are divided.
        groups
    } => channel_shuffle;
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
        describe_blocks(self.kernel_size, &self.options)
    }
}

impl Forward for Unfold {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        unfold(x, self.kernel_size, &self.options)
    }
}

fn describe_blocks(kernel_size: [usize; 2], options: &UnfoldOptions) -> String {
    let UnfoldOptions {
        dilation,
        padding,
        stride,
    } = *options;
    let [kernel, dilation, padding, stride] = [kernel_size, dilation, padding, stride].map(text::size);
    format!("kernel_size={kernel}, dilation={dilation}, padding={padding}, stride={stride}")
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
        let output = text::size(self.output_size);
        format!(
            "output_size={output}, {}",
            describe_blocks(self.kernel_size, &self.options)
        )
    }
}

impl Forward for Fold {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        fold(x, self.output_size, self.kernel_size, &self.options)
    }
}
