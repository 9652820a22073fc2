//! Types, normalisation, blur and noise as transforms; functions of one's own.

use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::functional::{gaussian_blur, gaussian_noise, normalize, normalize_bytes, to_dtype};
use super::{Sample, Transform, draw};

/// Converts pictures to another type; with `scale`, the limits of one type become those of the other.
#[derive(Clone, Copy, Debug)]
pub struct ToDtype {
    /// The new type.
    pub dtype: DType,
    /// Whether values are scaled: bytes to floats from 0 to 1.
    pub scale: bool,
}

impl ToDtype {
    /// With values scaled to the limits of the new type.
    pub const fn scaled(dtype: DType) -> Self {
        ToDtype { dtype, scale: true }
    }
}

impl Transform for ToDtype {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        sample.map_image(|image| to_dtype(image, self.dtype, self.scale))
    }
}

/// Makes pictures `[channels, height, width]` of those that other libraries lay out as `[height, width, channels]`, or
/// as `[height, width]` if they are grey.
#[derive(Clone, Copy, Debug)]
pub struct ToImage;

impl Transform for ToImage {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        sample.map_image(|image| match image.rank() {
            2 => image.unsqueeze(0),
            rank => {
                ensure!(
                    rank == 3,
                    Shape,
                    "ToImage: expected [height, width, channels], got {:?}",
                    image.shape()
                );
                image.permute([2, 0, 1])?.contiguous()
            }
        })
    }
}

/// Subtracts a mean from each channel and divides it by a standard deviation.
#[derive(Clone, Copy, Debug)]
pub struct Normalize<const CHANNELS: usize> {
    /// The means.
    pub mean: [f64; CHANNELS],
    /// The standard deviations.
    pub std: [f64; CHANNELS],
}

impl Normalize<3> {
    /// The statistics of ImageNet's pictures.
    pub const IMAGENET: Normalize<3> = Normalize {
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };
}

impl<const CHANNELS: usize> Transform for Normalize<CHANNELS> {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        sample.map_image(|image| normalize(image, &self.mean, &self.std))
    }
}

/// [`ToDtype`] to scaled `float32` and [`Normalize`], in one pass over bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScaleNormalize<const CHANNELS: usize>(Normalize<CHANNELS>);

impl<const CHANNELS: usize> ScaleNormalize<CHANNELS> {
    pub(super) fn boxed(normalize: &Normalize<CHANNELS>) -> Box<dyn Transform> {
        Box::new(ScaleNormalize(*normalize))
    }
}

impl<const CHANNELS: usize> Transform for ScaleNormalize<CHANNELS> {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let Normalize { mean, std } = &self.0;
        sample.map_image(|image| {
            let channels = image.rank().checked_sub(3).map(|dim| image.shape()[dim]);
            if image.dtype() == DType::U8 && channels == Some(CHANNELS) {
                return normalize_bytes(image, mean, std);
            }
            normalize(&to_dtype(image, DType::F32, true)?, mean, std)
        })
    }
}

/// Blurs with a Gaussian of a random standard deviation.
#[derive(Clone, Copy, Debug)]
pub struct GaussianBlur {
    /// Odd sizes of the kernel along x and y.
    pub kernel_size: [usize; 2],
    /// The range of standard deviations.
    pub sigma: (f64, f64),
}

impl GaussianBlur {
    /// A square kernel with torchvision's range of standard deviations.
    pub fn new(kernel_size: usize) -> Self {
        GaussianBlur {
            kernel_size: [kernel_size; 2],
            sigma: (0.1, 2.0),
        }
    }
}

impl Transform for GaussianBlur {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let sigma = draw::uniform(self.sigma.0, self.sigma.1);
        sample.map_image(|image| gaussian_blur(image, self.kernel_size, Some([sigma; 2])))
    }
}

/// Adds normal noise; values are in parts of the full range.
#[derive(Clone, Copy, Debug)]
pub struct GaussianNoise {
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub sigma: f64,
    /// Whether values are cut off at the limits of the type.
    pub clip: bool,
}

impl Default for GaussianNoise {
    fn default() -> Self {
        GaussianNoise {
            mean: 0.0,
            sigma: 0.1,
            clip: true,
        }
    }
}

impl Transform for GaussianNoise {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        sample.map_image(|image| gaussian_noise(image, self.mean, self.sigma, self.clip))
    }
}

/// A function of pictures.
pub struct Lambda<F>(pub F);

impl<F> std::fmt::Debug for Lambda<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lambda")
    }
}

impl<F: Fn(&Tensor) -> Result<Tensor> + Send + Sync> Transform for Lambda<F> {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        sample.map_image(&self.0)
    }
}
