//! Colours and levels (`adjust_brightness`, `rgb_to_grayscale`, `solarize`, …).
//!
//! Integers are computed with in `float32` and cut off at the limits of their type; bytes in one pass.

use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::{dimensions, grey_or_rgb, levels, max_value, to_dtype};

/// The grey value of each pixel, `0.2989·red + 0.587·green + 0.114·blue`, as floats. Keeps the dimension of channels.
fn luma(image: &Tensor) -> Result<Tensor> {
    let channel = |c: isize| image.narrow(-3, c, 1);
    let sum = channel(0)?.mul(0.2989)?;
    sum.add_scaled_(&channel(1)?, 0.587)?;
    sum.add_scaled_(&channel(2)?, 0.114)?;
    Ok(sum)
}

/// The picture without colours.
///
/// # Shapes
/// `[…, 1 or 3, height, width] → […, output_channels, height, width]`, output_channels being 1 or 3.
///
/// # Errors
/// `Shape` for other numbers of channels, `Value` for another number of output channels.
pub fn rgb_to_grayscale(image: &Tensor, output_channels: usize) -> Result<Tensor> {
    let op = "rgb_to_grayscale";
    ensure!(
        matches!(output_channels, 1 | 3),
        Value,
        "{op}: expected 1 or 3 output channels, got {output_channels}"
    );
    let grey = match grey_or_rgb(op, image)? {
        1 => image.clone(),
        _ if image.dtype() == DType::U8 => levels::grayscale(op, image)?,
        _ => luma(image)?.to_dtype(image.dtype())?,
    };
    repeated(grey, output_channels)
}

/// A picture of one channel with that channel several times.
fn repeated(grey: Tensor, channels: usize) -> Result<Tensor> {
    if channels == 1 {
        return Ok(grey);
    }
    let mut shape = grey.shape().to_vec();
    let at = shape.len() - 3;
    shape[at] = channels;
    grey.expand(shape)
}

/// A grey picture with three channels; others as they are.
///
/// # Errors
/// `Shape` unless the tensor is a picture.
pub fn grayscale_to_rgb(image: &Tensor) -> Result<Tensor> {
    match dimensions("grayscale_to_rgb", image)?[0] {
        1 => repeated(image.clone(), 3),
        _ => Ok(image.clone()),
    }
}

/// `ratio·image + (1 - ratio)·other`, within the limits of the picture's type.
fn blend(image: &Tensor, other: &Tensor, ratio: f64) -> Result<Tensor> {
    let mixed = image.mul(ratio)?;
    mixed.add_scaled_(other, 1.0 - ratio)?;
    limited(&mixed, image.dtype())
}

/// The values, cut off at the limits of `dtype` and converted to it.
pub(super) fn limited(values: &Tensor, dtype: DType) -> Result<Tensor> {
    let bound = max_value(dtype);
    values
        .clamp(Some(0.0.into()), Some(bound.into()))?
        .to_dtype(dtype)
}

pub(super) fn check_factor(op: &str, factor: f64) -> Result<()> {
    ensure!(
        factor >= 0.0,
        Value,
        "{op}: expected a factor of at least 0, got {factor}"
    );
    Ok(())
}

/// The picture `factor` times as bright: black for 0, unchanged for 1.
///
/// # Errors
/// `Value` for a negative factor; `Shape` unless the picture has one or three channels.
pub fn adjust_brightness(image: &Tensor, factor: f64) -> Result<Tensor> {
    check_factor("adjust_brightness", factor)?;
    grey_or_rgb("adjust_brightness", image)?;
    if image.dtype() == DType::U8 {
        return levels::brightness(image, factor);
    }
    limited(&image.mul(factor)?, image.dtype())
}

/// The picture mixed with its own grey version: grey for 0, unchanged for 1.
///
/// # Errors
/// As [`adjust_brightness`].
pub fn adjust_saturation(image: &Tensor, factor: f64) -> Result<Tensor> {
    check_factor("adjust_saturation", factor)?;
    match grey_or_rgb("adjust_saturation", image)? {
        1 => Ok(image.clone()),
        _ if image.dtype() == DType::U8 => levels::saturation(image, factor),
        _ => blend(image, &grey_levels(image)?, factor),
    }
}

/// Grey values as floats, whole ones for pictures of integers.
fn grey_levels(image: &Tensor) -> Result<Tensor> {
    let grey = luma(image)?;
    if image.dtype().is_float() {
        Ok(grey)
    } else {
        grey.floor()
    }
}

/// The picture mixed with the mean of its grey values: evenly grey for 0, unchanged for 1.
///
/// # Errors
/// As [`adjust_brightness`].
pub fn adjust_contrast(image: &Tensor, factor: f64) -> Result<Tensor> {
    check_factor("adjust_contrast", factor)?;
    let grey = match grey_or_rgb("adjust_contrast", image)? {
        _ if image.dtype() == DType::U8 => return levels::contrast(image, factor),
        1 => image.to_dtype(image.dtype().to_float())?,
        _ => grey_levels(image)?,
    };
    blend(image, &grey.mean_dim([-3, -2, -1], true)?, factor)
}

/// `gain·image^gamma`, with values from 0 to 1.
///
/// # Errors
/// `Value` for a negative `gamma`; `Shape` unless the tensor is a picture.
pub fn adjust_gamma(image: &Tensor, gamma: f64, gain: f64) -> Result<Tensor> {
    check_factor("adjust_gamma", gamma)?;
    dimensions("adjust_gamma", image)?;
    let dtype = image.dtype();
    let mut output = to_dtype(image, dtype.to_float(), true)?.pow(gamma)?;
    if gain != 1.0 {
        output = output.mul(gain)?.clamp(Some(0.0.into()), Some(1.0.into()))?;
    }
    to_dtype(&output, dtype, true)
}

/// The negative of a picture.
///
/// # Errors
/// `DType` for bools.
pub fn invert(image: &Tensor) -> Result<Tensor> {
    match image.dtype() {
        dtype if dtype.is_float() => image.rsub(1.0),
        DType::U8 => image.bitwise_not(),
        // The bit of the sign stays.
        dtype => image.bitwise_xor(max_value(dtype) as i64),
    }
}

/// The picture with the pixels from `threshold` on inverted.
///
/// # Errors
/// `Value` if the threshold lies above the limit of the type.
pub fn solarize(image: &Tensor, threshold: f64) -> Result<Tensor> {
    let bound = max_value(image.dtype());
    ensure!(
        threshold <= bound,
        Value,
        "solarize: expected a threshold of at most {bound}, got {threshold}"
    );
    image.ge(threshold)?.where_cond(&invert(image)?, image)
}

/// The picture with `bits` bits of each value left.
///
/// # Errors
/// `Value` for more than 8 bits.
pub fn posterize(image: &Tensor, bits: u32) -> Result<Tensor> {
    ensure!(bits <= 8, Value, "posterize: expected 0 to 8 bits, got {bits}");
    let dtype = image.dtype();
    if dtype.is_float() {
        let levels = (1u32 << bits) as f64;
        let floor = image.mul(levels)?.floor()?;
        return floor
            .clamp(Some(0.0.into()), Some((levels - 1.0).into()))?
            .mul(1.0 / levels);
    }
    let value_bits = (max_value(dtype) + 1.0).log2() as u32;
    if bits >= value_bits {
        return Ok(image.clone());
    }
    image.bitwise_and(((1i64 << bits) - 1) << (value_bits - bits))
}

/// The picture with its channels in another order: channel `c` of the result is channel `permutation[c]`.
///
/// # Errors
/// `Value` unless there is an entry for each channel; `Index` if one names none.
pub fn permute_channels(image: &Tensor, permutation: &[usize]) -> Result<Tensor> {
    let [channels, ..] = dimensions("permute_channels", image)?;
    ensure!(
        permutation.len() == channels,
        Value,
        "permute_channels: {permutation:?} for a picture of {channels} channels"
    );
    let order: Vec<i64> = permutation.iter().map(|&c| c as i64).collect();
    image.index_select(-3, &Tensor::from_vec(order, channels)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rgb() -> Tensor {
        Tensor::new([[[10u8, 200]], [[100, 50]], [[250, 0]]]).unwrap()
    }

    #[test]
    fn factors_of_zero_and_one() {
        let bytes = |t: Result<Tensor>| t.unwrap().to_vec::<u8>().unwrap();
        assert_eq!(bytes(adjust_brightness(&rgb(), 0.0)), [0; 6]);
        for f in [adjust_brightness, adjust_saturation, adjust_contrast] {
            assert_eq!(bytes(f(&rgb(), 1.0)), [10, 200, 100, 50, 250, 0]);
            assert!(f(&rgb(), -1.0).unwrap_err().to_string().contains("at least 0"));
            assert!(f(&Tensor::zeros((2, 1, 1), DType::U8).unwrap(), 1.0).is_err());
        }
        assert_eq!(bytes(adjust_saturation(&rgb(), 0.0)), [90, 89, 90, 89, 90, 89]);
        assert_eq!(bytes(rgb_to_grayscale(&rgb(), 1)), [90, 89]);
    }

    #[test]
    fn levels() {
        let signed = Tensor::new([[[3i8, 127]]]).unwrap();
        assert_eq!(invert(&signed).unwrap().to_vec::<i8>().unwrap(), [124, 0]);
        assert_eq!(posterize(&signed, 3).unwrap().to_vec::<i8>().unwrap(), [0, 112]);
        assert_eq!(
            posterize(&rgb(), 8).unwrap().to_vec::<u8>().unwrap(),
            rgb().to_vec::<u8>().unwrap()
        );
        assert!(solarize(&rgb(), 256.0).is_err());
        assert_eq!(
            permute_channels(&rgb(), &[2, 0, 1])
                .unwrap()
                .to_vec::<u8>()
                .unwrap(),
            [250, 0, 10, 200, 100, 50]
        );
    }
}
