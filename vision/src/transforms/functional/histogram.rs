//! Stretching and flattening the distribution of levels (`autocontrast`, `equalize`).

use flambeau_tensor::{DType, Result, Tensor};

use super::color::limited;
use super::{dimensions, grey_or_rgb, max_value, to_dtype};

/// The picture with each channel's smallest value at black and its largest at full.
///
/// # Errors
/// `Shape` unless the picture has one or three channels.
pub fn autocontrast(image: &Tensor) -> Result<Tensor> {
    grey_or_rgb("autocontrast", image)?;
    if image.numel() == 0 {
        return Ok(image.clone());
    }
    let dtype = image.dtype();
    let values = image.to_dtype(dtype.to_float())?;
    let (low, high) = (values.amin([-2, -1], true)?, values.amax([-2, -1], true)?);
    // A channel of one value stays as it is.
    let flat = low.eq(&high)?;
    let scale = high.sub(&low)?.mul(1.0 / max_value(dtype))?;
    let (low, scale) = (low.masked_fill(&flat, 0.0)?, scale.masked_fill(&flat, 1.0)?);
    limited(&values.sub(&low)?.div(&scale)?, dtype)
}

/// The picture with the levels of each channel spread evenly, as Pillow does it. Other types than bytes are equalised as
/// bytes.
///
/// # Errors
/// `Shape` unless the tensor is a picture; `DType` for types that can't be converted to bytes and back.
pub fn equalize(image: &Tensor) -> Result<Tensor> {
    let [_, height, width] = dimensions("equalize", image)?;
    if image.numel() == 0 {
        return Ok(image.clone());
    }
    let mut bytes = to_dtype(&image.detach(), DType::U8, true)?.to_vec::<u8>()?;
    for plane in bytes.chunks_exact_mut(height * width) {
        if let Some(levels) = equalizing_levels(plane) {
            plane.iter_mut().for_each(|x| *x = levels[usize::from(*x)]);
        }
    }
    to_dtype(&Tensor::from_vec(bytes, image.shape())?, image.dtype(), true)
}

/// The new level for each level of a plane; none if the pixels below the largest level are too few to tell.
fn equalizing_levels(plane: &[u8]) -> Option<[u8; 256]> {
    let mut counts = [0usize; 256];
    plane.iter().for_each(|&x| counts[usize::from(x)] += 1);
    let last = counts.iter().rev().find(|&&count| count > 0)?;
    let step = (plane.len() - last) / 255;
    if step == 0 {
        return None;
    }
    let mut levels = [0; 256];
    let mut below = step / 2;
    for (level, count) in levels.iter_mut().zip(counts) {
        *level = (below / step).min(255) as u8;
        below += count;
    }
    Some(levels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_reaches_from_end_to_end() {
        let image = Tensor::new([[[50u8, 100, 150]]]).unwrap();
        assert_eq!(
            autocontrast(&image).unwrap().to_vec::<u8>().unwrap(),
            [0, 127, 254]
        );
        let flat = Tensor::full((1, 2, 2), 9, DType::U8).unwrap();
        assert_eq!(autocontrast(&flat).unwrap().to_vec::<u8>().unwrap(), [9; 4]);
    }

    #[test]
    fn few_levels_are_spread() {
        let image = Tensor::from_vec(
            (0..1024).map(|i| 10 + (i / 256) as u8).collect::<Vec<u8>>(),
            (1, 32, 32),
        )
        .unwrap();
        let levels = equalize(&image).unwrap().to_vec::<u8>().unwrap();
        assert_eq!(
            [levels[0], levels[300], levels[600], levels[900]],
            [0, 85, 171, 255]
        );
        let small = Tensor::new([[[1u8, 2, 3]]]).unwrap();
        assert_eq!(equalize(&small).unwrap().to_vec::<u8>().unwrap(), [1, 2, 3]);
    }
}
