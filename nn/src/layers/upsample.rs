//! Up-sampling (`torch.nn.Upsample`, `UpsamplingNearest2d`, `UpsamplingBilinear2d`).

use flambeau_tensor::ops::interpolate::{InterpolateMode, InterpolateOptions, InterpolateSize, interpolate};
use flambeau_tensor::{Result, Tensor};

use super::text;
use crate::{Forward, Module, observed};

/// The input enlarged, to a size or by factors: one for each spatial dimension, or one for all.
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
    /// The input enlarged to this size.
    pub fn to_size(size: &[usize], options: InterpolateOptions) -> Upsample {
        Upsample {
            size: Some(size.to_vec()),
            scale_factor: Vec::new(),
            options,
        }
    }

    /// The input enlarged by these factors.
    pub fn by_factor(scale_factor: &[f64], options: InterpolateOptions) -> Upsample {
        Upsample {
            size: None,
            scale_factor: scale_factor.to_vec(),
            options,
        }
    }

    fn describe(&self) -> String {
        let size = match &self.size {
            Some(size) if size.len() == 1 => format!("size={}", size[0]),
            Some(size) => format!("size={}", text::list(size)),
            None => {
                let factors: Vec<String> = self
                    .scale_factor
                    .iter()
                    .map(|&factor| text::float(factor))
                    .collect();
                match &factors[..] {
                    [one] => format!("scale_factor={one}"),
                    all => format!("scale_factor=({})", all.join(", ")),
                }
            }
        };
        format!("{size}, mode='{}'", self.options.mode)
    }
}

impl Forward for Upsample {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let size = match &self.size {
            Some(size) => InterpolateSize::Size(size),
            None => InterpolateSize::ScaleFactor(&self.scale_factor),
        };
        interpolate(x, size, &self.options)
    }
}

macro_rules! images {
    ($($(#[$doc:meta])* $name:ident => $mode:ident, $align_corners:literal;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Module)]
        #[module(describe)]
        pub struct $name {
            #[module(skip)]
            upsample: Upsample,
        }

        impl $name {
            fn options() -> InterpolateOptions {
                InterpolateOptions {
                    mode: InterpolateMode::$mode,
                    align_corners: $align_corners,
                    ..InterpolateOptions::default()
                }
            }

            /// The image enlarged to this size: height and width, or one number for both.
            pub fn to_size(size: &[usize]) -> Self {
                $name { upsample: Upsample::to_size(size, Self::options()) }
            }

            /// The image enlarged by these factors: of height and width, or one number for both.
            pub fn by_factor(scale_factor: &[f64]) -> Self {
                $name { upsample: Upsample::by_factor(scale_factor, Self::options()) }
            }

            fn describe(&self) -> String {
                self.upsample.describe()
            }
        }

        impl Forward for $name {
            #[observed]
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                self.upsample.forward(x)
            }
        }
    )* };
}

images! {
    /// An image enlarged by repeating its pixels.
    UpsamplingNearest2d => Nearest, false;
    /// An image enlarged by linear interpolation between its pixels, whose corners keep their values.
    UpsamplingBilinear2d => Bilinear, true;
}
