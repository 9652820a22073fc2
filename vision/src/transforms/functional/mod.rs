//! What transforms do to pictures, boxes and points, as functions (`torchvision.transforms.v2.functional`).
//!
//! A picture is a tensor `[…, channels, height, width]`: bytes from 0 to 255, or floats from 0 to 1. Functions that work
//! on values keep the type. Those that change the geometry (flips, crops, resizing, …) are also things that a whole
//! [`Sample`](crate::transforms::Sample) follows: see [`Geometry`](crate::transforms::Geometry).

mod affine;
mod blur;
mod boxes;
mod color;
mod convert;
mod crop;
mod elastic;
mod erase;
mod flip;
mod histogram;
mod hue;
mod levels;
mod pad;
mod perspective;
mod resize;
mod warp;

pub use affine::{Affine, Rotate, affine, rotate};
pub use blur::{adjust_sharpness, gaussian_blur};
pub use boxes::{clamp_bounding_boxes, convert_bounding_box_format, valid_boxes};
pub use color::{
    adjust_brightness, adjust_contrast, adjust_gamma, adjust_saturation, grayscale_to_rgb, invert,
    permute_channels, posterize, rgb_to_grayscale, solarize,
};
pub use convert::{gaussian_noise, normalize, normalize_bytes, to_dtype};
pub use crop::{Crop, center_crop, center_crop_of, crop, five_crop, resized_crop, ten_crop};
pub use elastic::{Elastic, elastic};
pub use erase::erase;
pub use flip::{HorizontalFlip, VerticalFlip, horizontal_flip, vertical_flip};
pub use histogram::{autocontrast, equalize};
pub use hue::adjust_hue;
pub use pad::{Pad, PaddingMode, pad, parse_padding};
pub use perspective::{Perspective, perspective, perspective_coefficients};
pub use resize::{InterpolationMode, Resize, ResizeOptions, ResizeSize, resize, resized_size};

use flambeau_tensor::{DType, Result, Tensor, ensure};

/// Channels, height and width of a picture.
///
/// # Errors
/// `Shape` unless it has at least three dimensions.
pub fn dimensions(op: &str, image: &Tensor) -> Result<[usize; 3]> {
    match image.shape() {
        [.., channels, height, width] => Ok([*channels, *height, *width]),
        shape => flambeau_tensor::bail!(
            Shape,
            "{op}: expected a picture [\u{2026}, channels, height, width], got {shape:?}"
        ),
    }
}

/// The largest value of a picture: 1 for floats, the largest number of an integer type.
pub(crate) fn max_value(dtype: DType) -> f64 {
    match dtype {
        DType::U8 => u8::MAX as f64,
        DType::I8 => i8::MAX as f64,
        DType::I16 => i16::MAX as f64,
        DType::I32 => i32::MAX as f64,
        DType::I64 => i64::MAX as f64,
        _ => 1.0,
    }
}

/// An error unless the picture has one or three channels; returns how many.
fn grey_or_rgb(op: &str, image: &Tensor) -> Result<usize> {
    let channels = dimensions(op, image)?[0];
    ensure!(
        matches!(channels, 1 | 3),
        Shape,
        "{op}: expected a picture of 1 or 3 channels, got {:?}",
        image.shape()
    );
    Ok(channels)
}

/// `f` of the picture as a batch `[n, channels, height, width]`, in the picture's leading dimensions.
fn batched(image: &Tensor, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let shape = image.shape();
    let lead = shape.len() - 3;
    if lead == 1 {
        return f(image);
    }
    let batch: usize = shape[..lead].iter().product();
    let output = f(&image.reshape([batch, shape[lead], shape[lead + 1], shape[lead + 2]])?)?;
    let mut result = shape[..lead].to_vec();
    result.extend_from_slice(&output.shape()[1..]);
    output.reshape(result)
}

/// `f` of a mask `[…, height, width]` as a picture with channels.
fn as_picture(mask: &Tensor, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    if mask.rank() < 3 {
        return f(&mask.unsqueeze(0)?)?.squeeze_dim(0);
    }
    f(mask)
}

/// Python's `round`: ties go to the even number.
fn round_half_even(x: f64) -> isize {
    x.round_ties_even() as isize
}
