//! Masks laid over a picture (`draw_segmentation_masks`).

use flambeau_tensor::{DType, Result, Tensor, ensure, no_grad};

use super::Color;
use super::color::for_each;

/// Options of [`draw_segmentation_masks`]; the defaults are torchvision's.
#[derive(Clone, Copy, Debug)]
pub struct DrawMasksOptions<'a> {
    /// The opacity of masks, from 0 to 1.
    pub alpha: f64,
    /// The colours: one for all, one for each, or the palette's if empty.
    pub colors: &'a [Color],
}

impl Default for DrawMasksOptions<'_> {
    fn default() -> Self {
        DrawMasksOptions {
            alpha: 0.8,
            colors: &[],
        }
    }
}

/// The picture with masks laid over it; where several overlap, it is blackened.
///
/// # Shapes
/// image `[3, height, width]` of bytes, or floats from 0 to 1, masks `[masks, height, width]` or `[height, width]`,
/// `bool` → `[3, height, width]`.
///
/// # Errors
/// `Shape`, `DType` for other tensors; `Value` for too few colours.
pub fn draw_segmentation_masks(
    image: &Tensor,
    masks: &Tensor,
    options: &DrawMasksOptions<'_>,
) -> Result<Tensor> {
    let op = "draw_segmentation_masks";
    let dtype = image.dtype();
    ensure!(
        dtype == DType::U8 || dtype.is_float(),
        DType,
        "{op}: expected a picture of bytes or floats, got {dtype}"
    );
    ensure!(
        masks.dtype() == DType::Bool,
        DType,
        "{op}: expected masks of bools, got {}",
        masks.dtype()
    );
    let masks = match masks.rank() {
        2 => masks.unsqueeze(0)?,
        _ => masks.clone(),
    };
    ensure!(
        image.rank() == 3
            && image.shape()[0] == 3
            && masks.rank() == 3
            && masks.shape()[1..] == image.shape()[1..],
        Shape,
        "{op}: expected a picture [3, height, width] and masks [masks, height, width], got {:?} and {:?}",
        image.shape(),
        masks.shape()
    );
    let count = masks.shape()[0];
    let colors = for_each(op, options.colors, count)?;
    if count == 0 {
        return Ok(image.clone());
    }
    let levels = if dtype.is_float() { 255.0 } else { 1.0 };
    no_grad(|| {
        let mut painted = image.detach();
        for (at, color) in colors.iter().enumerate() {
            let color = color.0.map(|level| f64::from(level) / levels);
            let color = Tensor::from_slice(&color, (3, 1, 1))?.to_dtype(dtype)?;
            painted = masks.select(0, at as isize)?.where_cond(&color, &painted)?;
        }
        let several = masks.to_dtype(DType::I64)?.sum_dim(0, false)?.gt(1)?;
        let painted = painted.masked_fill(&several, 0)?;
        let mixed = image
            .mul(1.0 - options.alpha)?
            .add(&painted.mul(options.alpha)?)?;
        mixed.to_dtype(dtype)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_black() {
        let image = Tensor::full((3, 1, 3), 100, DType::U8).unwrap();
        let masks = Tensor::new([[[true, true, false]], [[false, true, false]]]).unwrap();
        let options = DrawMasksOptions {
            alpha: 0.5,
            colors: &[Color([200, 0, 0])],
        };
        let drawn = draw_segmentation_masks(&image, &masks, &options).unwrap();
        assert_eq!(
            drawn.to_vec::<u8>().unwrap(),
            [150, 50, 100, 50, 50, 100, 50, 50, 100]
        );
        let wrong = masks.to_dtype(DType::U8).unwrap();
        assert!(draw_segmentation_masks(&image, &wrong, &options).is_err());
    }
}
