//! How pictures are prepared for published weights (`torchvision.transforms._presets`).

use flambeau_nn::functional::InterpolateMode;
use flambeau_tensor::{DType, Result, Tensor, bail, ensure};
use serde::{Deserialize, Serialize};

use super::functional::{
    center_crop, dimensions, grayscale_to_rgb, invert, normalize, normalize_bytes, resize, rgb_to_grayscale,
    to_dtype,
};
use super::{InterpolationMode, ResizeOptions, Sample, Transform};
use crate::models::Preset;

/// For classification: the smaller edge resized, the middle cut out, levels brought to `[0, 1]` and normalised.
///
/// # Shapes
/// `[…, 3, height, width]` → `[…, 3, crop_size, crop_size]`, `float32`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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
fn normalized(image: &Tensor, mean: &[f64], std: &[f64]) -> Result<Tensor> {
    match image.dtype() {
        DType::U8 => normalize_bytes(image, mean, std),
        _ => normalize(&to_dtype(image, DType::F32, true)?, mean, std),
    }
}

/// For classification of single things on a plain ground, as MNIST's and Fashion-MNIST's pictures were made from others:
/// turned grey, turned to bright on dark if the ground is bright, the longer edge resized, the rest filled with black on
/// both sides, normalised. A grey picture of the right size on a dark ground is only normalised.
///
/// The ground is bright if the outermost rows and columns are brighter than half of white on average.
///
/// # Shapes
/// `[1 or 3, height, width]` → `[3, size, size]`, `float32`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GreyThumbnail {
    /// Height and width.
    pub size: usize,
    /// Subtracted from the levels, which are from 0 to 1.
    pub mean: f64,
    /// What they are divided by then.
    pub std: f64,
}

impl GreyThumbnail {
    /// For models that were trained on Fashion-MNIST: 28 pixels, the mean and the deviation of its training images.
    pub const FASHION_MNIST: GreyThumbnail = GreyThumbnail {
        size: 28,
        mean: 0.2860,
        std: 0.3530,
    };
}

impl Transform for GreyThumbnail {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        sample.map_image(|image| {
            let [_, height, width] = dimensions("GreyThumbnail", image)?;
            ensure!(
                image.rank() == 3 && height > 0 && width > 0,
                Shape,
                "GreyThumbnail: expected a picture [1 or 3, height, width], got {:?}",
                image.shape()
            );
            let mut grey = to_dtype(&rgb_to_grayscale(image, 1)?, DType::F32, true)?;
            if border_level(&grey)? > 0.5 {
                grey = invert(&grey)?;
            }
            let edge = |edge: usize| (edge * self.size).div_ceil(height.max(width));
            let small = resize(&grey, (edge(height), edge(width)), &ResizeOptions::default())?;
            let square = center_crop(&small, (self.size, self.size))?;
            normalized(&grayscale_to_rgb(&square)?, &[self.mean; 3], &[self.std; 3])
        })
    }
}

/// The mean of the outermost rows and columns of a grey picture.
fn border_level(grey: &Tensor) -> Result<f64> {
    let [_, height, width] = dimensions("GreyThumbnail", grey)?;
    let lines = [
        grey.select(1, 0)?,
        grey.select(1, height as isize - 1)?,
        grey.select(2, 0)?,
        grey.select(2, width as isize - 1)?,
    ];
    let lines: Vec<&Tensor> = lines.iter().collect();
    Tensor::cat(&lines, 1)?.mean()?.item_f64()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbnails_are_bright_things_on_black() {
        let transform = GreyThumbnail {
            size: 4,
            mean: 0.5,
            std: 0.5,
        };
        // A dark line on a bright ground, twice as high as wide.
        let image = Tensor::full((3, 8, 4), 255, DType::U8).unwrap();
        image.set((.., 2..6, 1..3), 0).unwrap();
        let small = transform.apply(&image).unwrap();
        assert_eq!((small.shape(), small.dtype()), (&[3, 4, 4][..], DType::F32));
        let rows = small.select(0, 2).unwrap().to_vec::<f32>().unwrap();
        for (at, level) in rows.iter().enumerate() {
            // Bright in the middle, black at the sides, where there was no picture.
            let inside = [5, 6, 9, 10].contains(&at);
            assert!(if inside { *level > 0.0 } else { *level < 0.0 }, "{rows:?}");
        }
        assert_eq!((rows[4], rows[7]), (-1.0, -1.0));
    }

    #[test]
    fn pictures_of_the_right_kind_are_only_normalised() {
        let image = Tensor::zeros((1, 28, 28), DType::U8).unwrap();
        image.set((.., 5..20, 7..), 200).unwrap();
        let transform = GreyThumbnail::FASHION_MNIST;
        let expected = normalize_bytes(
            &image.expand([3, 28, 28]).unwrap(),
            &[transform.mean; 3],
            &[transform.std; 3],
        );
        assert!(
            transform
                .apply(&image)
                .unwrap()
                .equal(&expected.unwrap())
                .unwrap()
        );
        assert!(
            transform
                .apply(&Tensor::zeros((3, 0, 4), DType::U8).unwrap())
                .is_err()
        );
    }
}
