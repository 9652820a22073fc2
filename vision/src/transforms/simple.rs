//! Transforms that are one function of the picture, done always or with a probability.

use flambeau_tensor::Result;

use super::functional::{
    HorizontalFlip, VerticalFlip, adjust_sharpness, autocontrast, dimensions, equalize, grayscale_to_rgb,
    invert, permute_channels, posterize, rgb_to_grayscale, solarize,
};
use super::{Sample, Transform, draw};

macro_rules! at_random {
    ($(
        $(#[$doc:meta])*
        $name:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* } $p:literal => |$this:ident, $sample:ident| $body:expr;
    )*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $ty,)*
            /// The probability.
            pub p: f64,
        }

        impl $name {
            /// With torchvision's probability.
            #[allow(clippy::new_without_default)] // where there is nothing else to say, `p` should be said
            pub fn new($($field: $ty),*) -> Self {
                $name { $($field,)* p: $p }
            }
        }

        impl Transform for $name {
            fn forward(&self, $sample: Sample) -> Result<Sample> {
                let $this = self;
                if draw::chance($this.p) { $body } else { Ok($sample) }
            }
        }
    )* };
}

at_random! {
    /// Mirrors with probability `p`; boxes, masks and points follow.
    RandomHorizontalFlip {} 0.5 => |this, sample| sample.follow(&HorizontalFlip);
    /// Turns upside down with probability `p`; boxes, masks and points follow.
    RandomVerticalFlip {} 0.5 => |this, sample| sample.follow(&VerticalFlip);
    /// Takes the colours away with probability `p`; the number of channels stays.
    RandomGrayscale {} 0.1 => |this, sample| {
        let channels = dimensions("RandomGrayscale", sample.picture("RandomGrayscale")?)?[0];
        sample.map_image(|image| rgb_to_grayscale(image, channels))
    };
    /// Inverts the colours with probability `p`.
    RandomInvert {} 0.5 => |this, sample| sample.map_image(invert);
    /// Leaves `bits` bits of each value with probability `p`.
    RandomPosterize {
        /// From 0 to 8.
        bits: u32,
    } 0.5 => |this, sample| sample.map_image(|image| posterize(image, this.bits));
    /// Inverts the values from `threshold` on with probability `p`.
    RandomSolarize {
        /// In the units of the picture.
        threshold: f64,
    } 0.5 => |this, sample| sample.map_image(|image| solarize(image, this.threshold));
    /// Sharpens (`sharpness_factor` above 1) or smoothes (below 1) with probability `p`.
    RandomAdjustSharpness {
        /// 1 changes nothing.
        sharpness_factor: f64,
    } 0.5 => |this, sample| sample.map_image(|image| adjust_sharpness(image, this.sharpness_factor));
    /// Stretches the contrast of each channel with probability `p`.
    RandomAutocontrast {} 0.5 => |this, sample| sample.map_image(autocontrast);
    /// Spreads the levels of each channel evenly with probability `p`.
    RandomEqualize {} 0.5 => |this, sample| sample.map_image(equalize);
}

/// Takes the colours away.
#[derive(Clone, Copy, Debug)]
pub struct Grayscale {
    /// 1, or 3 that are the same.
    pub num_output_channels: usize,
}

impl Transform for Grayscale {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        sample.map_image(|image| rgb_to_grayscale(image, self.num_output_channels))
    }
}

/// Gives grey pictures three channels (torchvision's `RGB`).
#[derive(Clone, Copy, Debug)]
pub struct Rgb;

impl Transform for Rgb {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        sample.map_image(grayscale_to_rgb)
    }
}

/// Brings the channels into a random order.
#[derive(Clone, Copy, Debug)]
pub struct RandomChannelPermutation;

impl Transform for RandomChannelPermutation {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        sample.map_image(|image| {
            let [channels, ..] = dimensions("RandomChannelPermutation", image)?;
            permute_channels(image, &draw::randperm(channels))
        })
    }
}
