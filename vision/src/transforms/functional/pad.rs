//! Padding (`pad`).

use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::{Result, Tensor, bail, ensure};

use super::{as_picture, clamp_bounding_boxes, dimensions};
use crate::transforms::{BoundingBoxFormat, BoundingBoxes, Geometry, KeyPoints};

/// What comes around a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PaddingMode {
    /// A colour.
    #[default]
    Constant,
    /// The border pixels.
    Edge,
    /// The picture mirrored at its border pixels, which are not repeated.
    Reflect,
    /// The picture mirrored at its edges: border pixels are repeated.
    Symmetric,
}

impl PaddingMode {
    /// The mode of torchvision's name.
    pub fn from_name(name: &str) -> Option<PaddingMode> {
        Some(match name {
            "constant" => PaddingMode::Constant,
            "edge" => PaddingMode::Edge,
            "reflect" => PaddingMode::Reflect,
            "symmetric" => PaddingMode::Symmetric,
            _ => return None,
        })
    }
}

/// Torchvision's forms of padding as `[left, top, right, bottom]`: one number for all sides, two for left and right and
/// for top and bottom, or four.
///
/// # Errors
/// `Value` for another length.
pub fn parse_padding(padding: &[isize]) -> Result<[isize; 4]> {
    match *padding {
        [all] => Ok([all; 4]),
        [x, y] => Ok([x, y, x, y]),
        [left, top, right, bottom] => Ok([left, top, right, bottom]),
        _ => bail!(Value, "pad: expected 1, 2 or 4 numbers, got {padding:?}"),
    }
}

/// The picture with pixels added around it: `padding` is `[left, top, right, bottom]`; negative numbers cut off. `fill` is
/// one number for all channels or one for each; black if it is empty.
///
/// # Shapes
/// `[…, channels, height, width] → […, channels, top + height + bottom, left + width + right]`.
///
/// # Errors
/// `Shape` if the mode can't fill so many pixels or nothing remains; `Value` if `fill` does not fit.
pub fn pad(image: &Tensor, padding: [isize; 4], fill: &[f64], mode: PaddingMode) -> Result<Tensor> {
    let [channels, height, width] = dimensions("pad", image)?;
    let [left, top, right, bottom] = padding;
    let around = [left, right, top, bottom];
    let filled = |value: f64| image.pad(&around, PadMode::Constant, value);
    match (mode, fill) {
        (PaddingMode::Constant, []) => filled(0.0),
        (PaddingMode::Constant, &[value]) => filled(value),
        (PaddingMode::Constant, _) => {
            ensure!(
                fill.len() == channels,
                Value,
                "pad: {} values to fill a picture of {channels} channels",
                fill.len()
            );
            let colour = Tensor::from_slice(fill, (channels, 1, 1))?.to_dtype(image.dtype())?;
            let inside = image.detach().i((.., 0..1, 0.., 0..))?.ones_like()?;
            let inside = inside.pad(&around, PadMode::Constant, 0)?.bool()?;
            inside.where_cond(&filled(0.0)?, &colour)
        }
        (_, [_, _, ..]) => bail!(Value, "pad: {mode:?} takes no colour, got {fill:?}"),
        (PaddingMode::Edge, _) => super::batched(image, |x| x.pad(&around, PadMode::Replicate, 0)),
        (PaddingMode::Reflect, _) => super::batched(image, |x| x.pad(&around, PadMode::Reflect, 0)),
        (PaddingMode::Symmetric, _) => {
            let rows = mirrored(height, top, bottom)?;
            let columns = mirrored(width, left, right)?;
            image.index_select(-2, &rows)?.index_select(-1, &columns)
        }
    }
}

/// The positions `-before, …, size - 1 + behind` mirrored into `0..size`, with the border repeated.
fn mirrored(size: usize, before: isize, behind: isize) -> Result<Tensor> {
    let length = size as isize;
    ensure!(
        before <= length && behind <= length && length + before + behind > 0,
        Shape,
        "pad: can't add {before} and {behind} mirrored pixels to {size}"
    );
    let positions = (-before..length + behind).map(|i| {
        let i = if i < 0 { -1 - i } else { i };
        (if i < length { i } else { 2 * length - 1 - i }) as i64
    });
    let positions: Vec<i64> = positions.collect();
    let count = positions.len();
    Tensor::from_vec(positions, count)
}

/// [`pad`], as a whole sample follows it.
#[derive(Clone, Debug)]
pub struct Pad {
    /// `[left, top, right, bottom]`.
    pub padding: [isize; 4],
    /// The colour.
    pub fill: Vec<f64>,
    /// What comes around.
    pub mode: PaddingMode,
}

impl Pad {
    fn canvas(&self, what: &str, canvas: (usize, usize)) -> Result<(usize, usize)> {
        ensure!(
            self.mode == PaddingMode::Constant,
            Unsupported,
            "pad: {what} follow constant padding only, not {:?}",
            self.mode
        );
        let [left, top, right, bottom] = self.padding;
        let grown = |size: usize, by: isize| size.saturating_add_signed(by);
        Ok((grown(canvas.0, top + bottom), grown(canvas.1, left + right)))
    }
}

impl Geometry for Pad {
    fn image(&self, image: &Tensor) -> Result<Tensor> {
        pad(image, self.padding, &self.fill, self.mode)
    }

    fn mask(&self, mask: &Tensor) -> Result<Tensor> {
        ensure!(
            self.fill.len() <= 1,
            Value,
            "pad: a mask is filled with one number, got {:?}",
            self.fill
        );
        as_picture(mask, |mask| pad(mask, self.padding, &self.fill, self.mode))
    }

    fn boxes(&self, boxes: &BoundingBoxes) -> Result<BoundingBoxes> {
        let canvas = self.canvas("boxes", boxes.canvas)?;
        let (left, top) = (self.padding[0] as i64, self.padding[1] as i64);
        let offset = match boxes.format {
            BoundingBoxFormat::Xyxy => [left, top, left, top],
            BoundingBoxFormat::Xywh | BoundingBoxFormat::Cxcywh => [left, top, 0, 0],
        };
        let offset = Tensor::new(offset)?.to_dtype(boxes.boxes.dtype())?;
        clamp_bounding_boxes(&boxes.with(boxes.boxes.add(&offset)?, canvas))
    }

    fn key_points(&self, points: &KeyPoints) -> Result<KeyPoints> {
        let canvas = self.canvas("key points", points.canvas)?;
        let offset = Tensor::new([self.padding[0] as i64, self.padding[1] as i64])?;
        Ok(points.with(
            points.points.add(&offset.to_dtype(points.points.dtype())?)?,
            canvas,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::DType;

    #[test]
    fn modes() {
        let image = Tensor::new([[[1i64, 2, 3]]]).unwrap();
        let padded = |mode| {
            let padding = [2, 0, 1, 0];
            pad(&image, padding, &[], mode).unwrap().to_vec::<i64>().unwrap()
        };
        assert_eq!(padded(PaddingMode::Constant), [0, 0, 1, 2, 3, 0]);
        assert_eq!(padded(PaddingMode::Edge), [1, 1, 1, 2, 3, 3]);
        assert_eq!(padded(PaddingMode::Reflect), [3, 2, 1, 2, 3, 2]);
        assert_eq!(padded(PaddingMode::Symmetric), [2, 1, 1, 2, 3, 3]);
        assert!(pad(&image, [9, 0, 0, 0], &[], PaddingMode::Symmetric).is_err());
        assert!(pad(&image, [1; 4], &[1.0, 2.0], PaddingMode::Constant).is_err());
    }

    #[test]
    fn a_colour_has_a_value_for_each_channel() {
        let image = Tensor::full((2, 1, 1), 7, DType::U8).unwrap();
        let padded = pad(&image, [1, 0, 0, 0], &[3.9, 200.0], PaddingMode::Constant).unwrap();
        assert_eq!(padded.to_vec::<u8>().unwrap(), [3, 7, 200, 7]);
    }
}
