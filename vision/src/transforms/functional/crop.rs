//! Cutting out (`crop`, `center_crop`, `resized_crop`, `five_crop`, `ten_crop`).

use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::{Result, Tensor, ensure};

use super::{
    ResizeOptions, ResizeSize, as_picture, clamp_bounding_boxes, dimensions, horizontal_flip, resize,
    round_half_even, vertical_flip,
};
use crate::transforms::{BoundingBoxFormat, BoundingBoxes, Geometry, KeyPoints};

/// A part of a picture, which may reach over its edges; also as a whole sample follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// The first row.
    pub top: isize,
    /// The first column.
    pub left: isize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// The part of a picture, zeros where it reaches over the edges.
///
/// # Shapes
/// `[…, channels, height, width] → […, channels, part.height, part.width]`; shares memory unless it has to be filled.
///
/// # Errors
/// `Shape` unless the tensor is a picture.
pub fn crop(image: &Tensor, part: Crop) -> Result<Tensor> {
    let [_, height, width] = dimensions("crop", image)?;
    let (rows, above, below) = along(part.top, part.height, height);
    let (columns, before, behind) = along(part.left, part.width, width);
    let inner = image.slice(-2, Some(rows.0), Some(rows.1), 1)?;
    let inner = inner.slice(-1, Some(columns.0), Some(columns.1), 1)?;
    if [above, below, before, behind] == [0; 4] {
        return Ok(inner);
    }
    inner.pad(&[before, behind, above, below], PadMode::Constant, 0)
}

/// The range of cells that lie inside of `size`, and how many are missing before and behind it.
fn along(start: isize, length: usize, size: usize) -> ((isize, isize), isize, isize) {
    let (size, end) = (size as isize, start + length as isize);
    let range = (start.clamp(0, size), end.clamp(0, size));
    let before = (end.min(0) - start).max(0);
    let behind = (end - start.max(size)).max(0);
    (range, before, behind)
}

/// The part of height and width `size` around the middle of a picture of height and width `canvas`.
pub fn center_crop_of(canvas: (usize, usize), size: (usize, usize)) -> Crop {
    // A picture that is too small gets its additional rows below and its additional columns to the right.
    let start = |canvas: usize, size: usize| {
        let difference = canvas as f64 - size as f64;
        if difference < 0.0 {
            -((-difference / 2.0).floor() as isize)
        } else {
            round_half_even(difference / 2.0)
        }
    };
    Crop {
        top: start(canvas.0, size.0),
        left: start(canvas.1, size.1),
        height: size.0,
        width: size.1,
    }
}

/// The middle of a picture, zeros around it where it is too small.
///
/// # Shapes
/// `[…, channels, height, width] → […, channels, size.0, size.1]`.
///
/// # Errors
/// `Shape` unless the tensor is a picture.
pub fn center_crop(image: &Tensor, size: (usize, usize)) -> Result<Tensor> {
    let [_, height, width] = dimensions("center_crop", image)?;
    crop(image, center_crop_of((height, width), size))
}

/// A part of a picture in another size.
///
/// # Errors
/// As [`crop`] and [`resize`].
pub fn resized_crop(
    image: &Tensor,
    part: Crop,
    size: impl Into<ResizeSize>,
    options: &ResizeOptions,
) -> Result<Tensor> {
    resize(&crop(image, part)?, size, options)
}

/// The four corners (top left, top right, bottom left, bottom right) and the middle.
///
/// # Errors
/// `Shape` if the picture is smaller than `size`.
pub fn five_crop(image: &Tensor, size: (usize, usize)) -> Result<Vec<Tensor>> {
    let [_, height, width] = dimensions("five_crop", image)?;
    ensure!(
        size.0 <= height && size.1 <= width,
        Shape,
        "five_crop: parts of {size:?} are larger than the picture {:?}",
        image.shape()
    );
    let (bottom, right) = ((height - size.0) as isize, (width - size.1) as isize);
    let corner = |top, left| Crop {
        top,
        left,
        height: size.0,
        width: size.1,
    };
    let middle = center_crop_of((height, width), size);
    [
        corner(0, 0),
        corner(0, right),
        corner(bottom, 0),
        corner(bottom, right),
        middle,
    ]
    .iter()
    .map(|&part| crop(image, part))
    .collect()
}

/// The [`five_crop`] of a picture and of its mirror image.
///
/// # Errors
/// As [`five_crop`].
pub fn ten_crop(image: &Tensor, size: (usize, usize), vertical: bool) -> Result<Vec<Tensor>> {
    let mirrored = if vertical {
        vertical_flip(image)?
    } else {
        horizontal_flip(image)?
    };
    let mut parts = five_crop(image, size)?;
    parts.extend(five_crop(&mirrored, size)?);
    Ok(parts)
}

impl Geometry for Crop {
    fn image(&self, image: &Tensor) -> Result<Tensor> {
        crop(image, *self)
    }

    fn mask(&self, mask: &Tensor) -> Result<Tensor> {
        as_picture(mask, |mask| crop(mask, *self))
    }

    fn boxes(&self, boxes: &BoundingBoxes) -> Result<BoundingBoxes> {
        let (left, top) = (self.left as i64, self.top as i64);
        let offset = match boxes.format {
            BoundingBoxFormat::Xyxy => [left, top, left, top],
            BoundingBoxFormat::Xywh | BoundingBoxFormat::Cxcywh => [left, top, 0, 0],
        };
        let offset = Tensor::new(offset)?.to_dtype(boxes.boxes.dtype())?;
        let moved = boxes.with(boxes.boxes.sub(&offset)?, (self.height, self.width));
        clamp_bounding_boxes(&moved)
    }

    fn key_points(&self, points: &KeyPoints) -> Result<KeyPoints> {
        let offset = Tensor::new([self.left as i64, self.top as i64])?.to_dtype(points.points.dtype())?;
        Ok(points.with(points.points.sub(&offset)?, (self.height, self.width)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_may_reach_over_the_edges() {
        let image = Tensor::new([[[1i64, 2, 3], [4, 5, 6]]]).unwrap();
        let part = |top, left, height, width| Crop {
            top,
            left,
            height,
            width,
        };
        let cut = |part| crop(&image, part).unwrap().to_vec::<i64>().unwrap();
        assert_eq!(cut(part(1, 1, 1, 2)), [5, 6]);
        assert_eq!(cut(part(-1, 1, 2, 3)), [0, 0, 0, 2, 3, 0]);
        assert_eq!(cut(part(5, -3, 1, 2)), [0, 0]);
        let middle = center_crop(&image, (4, 2)).unwrap();
        assert_eq!(middle.to_vec::<i64>().unwrap(), [0, 0, 1, 2, 4, 5, 0, 0]);
        assert!(five_crop(&image, (3, 1)).is_err());
    }
}
