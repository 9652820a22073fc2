//! How pictures are prepared for published weights (`torchvision.transforms._presets`).

use flambeau_nn::functional::InterpolateMode;
use flambeau_tensor::{DType, Result, bail};

use super::functional::{center_crop, normalize, normalize_bytes, resize, to_dtype};
use super::{InterpolationMode, ResizeOptions, Sample, Transform};
use crate::models::Preset;

/// For classification: the smaller edge resized, the middle cut out, levels brought to `[0, 1]` and normalised.
///
/// # Shapes
/// `[…, 3, height, width]` → `[…, 3, crop_size, crop_size]`, `float32`.
#[derive(Clone, Copy, Debug)]
pub struct ImageClassification {
    /// Height and width of the part that is cut out.
    pub crop_size: usize,
    /// The smaller edge after resizing.
    pub resize_size: usize,
    /// Subtracted from the channels.
    pub mean: [f64; 3],
    /// What the channels are divided by then.
    pub std: [f64; 3],
    /// How values between pixels are made.
    pub interpolation: InterpolationMode,
    /// Whether shrinking averages over all pixels that a new one covers.
    pub antialias: bool,
}

impl ImageClassification {
    /// With torchvision's defaults: the smaller edge to 256, ImageNet's statistics, bilinearly.
    pub fn new(crop_size: usize) -> Self {
        ImageClassification {
            crop_size,
            resize_size: 256,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            interpolation: InterpolationMode::Bilinear,
            antialias: true,
        }
    }
}

impl TryFrom<Preset> for ImageClassification {
    type Error = flambeau_tensor::Error;

    /// What weights say about themselves, as a transform.
    ///
    /// # Errors
    /// `Value` if their interpolation is not one of pictures.
    fn try_from(preset: Preset) -> Result<Self> {
        let interpolation = match preset.interpolation {
            InterpolateMode::Nearest => InterpolationMode::Nearest,
            InterpolateMode::NearestExact => InterpolationMode::NearestExact,
            InterpolateMode::Bilinear => InterpolationMode::Bilinear,
            InterpolateMode::Bicubic => InterpolationMode::Bicubic,
            other => bail!(
                Value,
                "ImageClassification: {other} interpolation is not for pictures"
            ),
        };
        Ok(ImageClassification {
            crop_size: preset.crop_size,
            resize_size: preset.resize_size,
            mean: preset.mean,
            std: preset.std,
            interpolation,
            antialias: true,
        })
    }
}

impl Transform for ImageClassification {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let options = ResizeOptions {
            interpolation: self.interpolation,
            antialias: self.antialias,
            ..ResizeOptions::default()
        };
        sample.map_image(|image| {
            let image = resize(image, self.resize_size, &options)?;
            let image = center_crop(&image, (self.crop_size, self.crop_size))?;
            normalized(&image, &self.mean, &self.std)
        })
    }
}

/// The picture as normalised `float32`.
fn normalized(image: &flambeau_tensor::Tensor, mean: &[f64], std: &[f64]) -> Result<flambeau_tensor::Tensor> {
    match image.dtype() {
        DType::U8 => normalize_bytes(image, mean, std),
        _ => normalize(&to_dtype(image, DType::F32, true)?, mean, std),
    }
}

/// For detection: levels brought to `[0, 1]`; the models resize and normalise themselves.
#[derive(Clone, Copy, Debug)]
pub struct ObjectDetection;

impl Transform for ObjectDetection {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        sample.map_image(|image| to_dtype(image, DType::F32, true))
    }
}

/// For segmentation: the smaller edge resized if asked for, levels brought to `[0, 1]` and normalised.
#[derive(Clone, Copy, Debug)]
pub struct SemanticSegmentation {
    /// The smaller edge after resizing.
    pub resize_size: Option<usize>,
    /// Subtracted from the channels.
    pub mean: [f64; 3],
    /// What the channels are divided by then.
    pub std: [f64; 3],
    /// How to resize.
    pub options: ResizeOptions,
}

impl SemanticSegmentation {
    /// With ImageNet's statistics, bilinearly.
    pub fn new(resize_size: Option<usize>) -> Self {
        let ImageClassification { mean, std, .. } = ImageClassification::new(0);
        SemanticSegmentation {
            resize_size,
            mean,
            std,
            options: ResizeOptions::default(),
        }
    }
}

impl Transform for SemanticSegmentation {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        sample.map_image(|image| {
            let image = match self.resize_size {
                Some(size) => resize(image, size, &self.options)?,
                None => image.clone(),
            };
            normalized(&image, &self.mean, &self.std)
        })
    }
}
