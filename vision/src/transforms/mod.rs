//! Preparation and augmentation of pictures and of what is marked on them (`torchvision.transforms.v2`).
//!
//! A [`Transform`] takes a [`Sample`], a picture with boxes, masks and points that follow along, or a picture alone.
//! Random ones draw from the thread's default generator exactly what torchvision draws, so that the same seed gives the
//! same picture, and in a loader the same batch whatever the number of its workers.
//!
//! # Example: augmentation for training
//!
//! ```
//! use flambeau_tensor::{DType, Result, Tensor};
//! use flambeau_vision::transforms::{
//!     Compose, Normalize, RandomHorizontalFlip, RandomResizedCrop, ToDtype, Transform,
//! };
//!
//! fn main() -> Result<()> {
//!     let train = Compose::new()
//!         .push(RandomResizedCrop::new(224))
//!         .push(RandomHorizontalFlip { p: 0.5 })
//!         .push(ToDtype::scaled(DType::F32))
//!         .push(Normalize::IMAGENET);
//!     let image = Tensor::full((3, 300, 400), 128, DType::U8)?;
//!     assert_eq!(train.apply(&image)?.shape(), [3, 224, 224]);
//!     Ok(())
//! }
//! ```

mod affine;
mod auto_augment;
mod color;
mod container;
mod convert;
mod crop;
mod detection;
mod draw;
mod erasing;
pub mod functional;
mod mix;
mod policy;
mod presets;
mod resize;
mod sample;
mod simple;

use flambeau_tensor::{Result, Tensor, bail};

pub use affine::{ElasticTransform, RandomAffine, RandomPerspective, RandomRotation};
pub use auto_augment::{AugMix, AutoAugment, RandAugment, TrivialAugmentWide};
pub use color::{ColorJitter, RandomPhotometricDistort};
pub use container::{Compose, RandomApply, RandomChoice, RandomOrder};
pub use convert::{GaussianBlur, GaussianNoise, Lambda, Normalize, ToDtype, ToImage};
pub use crop::{CenterCrop, FiveCrop, RandomCrop, RandomResizedCrop, TenCrop};
pub use detection::{
    ClampBoundingBoxes, ConvertBoundingBoxFormat, RandomIoUCrop, RandomZoomOut, SanitizeBoundingBoxes,
};
pub use erasing::{ErasingValue, RandomErasing};
pub use functional::{InterpolationMode, Pad, PaddingMode, Resize, ResizeOptions, ResizeSize};
pub use mix::{CutMix, MixUp};
pub use policy::AutoAugmentPolicy;
pub use presets::{GreyThumbnail, ImageClassification, ObjectDetection, SemanticSegmentation};
pub use resize::{RandomResize, RandomShortestSize, ScaleJitter};
pub use sample::{BoundingBoxFormat, BoundingBoxes, Geometry, KeyPoints, Sample};
pub use simple::{
    Grayscale, RandomAdjustSharpness, RandomAutocontrast, RandomChannelPermutation, RandomEqualize,
    RandomGrayscale, RandomHorizontalFlip, RandomInvert, RandomPosterize, RandomSolarize, RandomVerticalFlip,
    Rgb,
};

/// Something that is done to samples.
pub trait Transform: std::fmt::Debug + Send + Sync {
    /// The transformed sample.
    ///
    /// # Errors
    /// As the transform says; `Shape` and `DType` for pictures that it can't take.
    fn forward(&self, sample: Sample) -> Result<Sample>;

    /// The transformed picture.
    ///
    /// # Errors
    /// As [`Transform::forward`].
    fn apply(&self, image: &Tensor) -> Result<Tensor> {
        match self.forward(image.into())?.image {
            Some(image) => Ok(image),
            None => bail!(Value, "{self:?}: no picture is left"),
        }
    }
}
