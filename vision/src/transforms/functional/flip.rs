//! Mirroring (`horizontal_flip`, `vertical_flip`).

use flambeau_tensor::{Result, Tensor};

use crate::transforms::{BoundingBoxFormat, BoundingBoxes, Geometry, KeyPoints};

/// The picture with left and right exchanged.
///
/// # Errors
/// `Dim` unless it has dimensions.
pub fn horizontal_flip(image: &Tensor) -> Result<Tensor> {
    image.flip(-1)
}

/// The picture upside down.
///
/// # Errors
/// `Dim` unless it has at least two dimensions.
pub fn vertical_flip(image: &Tensor) -> Result<Tensor> {
    image.flip(-2)
}

/// [`horizontal_flip`], as a whole sample follows it.
#[derive(Clone, Copy, Debug)]
pub struct HorizontalFlip;

/// [`vertical_flip`], as a whole sample follows it.
#[derive(Clone, Copy, Debug)]
pub struct VerticalFlip;

/// Boxes with the coordinate number `axis` (0 for x) mirrored within `size`.
fn mirrored(boxes: &BoundingBoxes, axis: usize, size: usize) -> Result<BoundingBoxes> {
    let size = size as i64;
    let mut columns = boxes.boxes.unbind(-1)?;
    match boxes.format {
        BoundingBoxFormat::Xyxy => {
            let (low, high) = (columns[axis].rsub(size)?, columns[axis + 2].rsub(size)?);
            (columns[axis], columns[axis + 2]) = (high, low);
        }
        BoundingBoxFormat::Xywh => columns[axis] = columns[axis].add(&columns[axis + 2])?.rsub(size)?,
        BoundingBoxFormat::Cxcywh => columns[axis] = columns[axis].rsub(size)?,
    }
    Ok(boxes.with(Tensor::stack(&columns, -1)?, boxes.canvas))
}

fn mirrored_points(points: &KeyPoints, axis: usize, size: usize) -> Result<KeyPoints> {
    let mut columns = points.points.unbind(-1)?;
    columns[axis] = columns[axis].rsub(size as i64 - 1)?;
    Ok(points.with(Tensor::stack(&columns, -1)?, points.canvas))
}

impl Geometry for HorizontalFlip {
    fn image(&self, image: &Tensor) -> Result<Tensor> {
        horizontal_flip(image)
    }

    fn mask(&self, mask: &Tensor) -> Result<Tensor> {
        horizontal_flip(mask)
    }

    fn boxes(&self, boxes: &BoundingBoxes) -> Result<BoundingBoxes> {
        mirrored(boxes, 0, boxes.canvas.1)
    }

    fn key_points(&self, points: &KeyPoints) -> Result<KeyPoints> {
        mirrored_points(points, 0, points.canvas.1)
    }
}

impl Geometry for VerticalFlip {
    fn image(&self, image: &Tensor) -> Result<Tensor> {
        vertical_flip(image)
    }

    fn mask(&self, mask: &Tensor) -> Result<Tensor> {
        vertical_flip(mask)
    }

    fn boxes(&self, boxes: &BoundingBoxes) -> Result<BoundingBoxes> {
        mirrored(boxes, 1, boxes.canvas.0)
    }

    fn key_points(&self, points: &KeyPoints) -> Result<KeyPoints> {
        mirrored_points(points, 1, points.canvas.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::DType;

    #[test]
    fn boxes_and_points_are_mirrored_with_the_picture() {
        let boxes = BoundingBoxes::new(
            Tensor::new([[1i64, 2, 4, 9]]).unwrap(),
            BoundingBoxFormat::Xyxy,
            (10, 20),
        );
        let flipped = HorizontalFlip.boxes(&boxes.unwrap()).unwrap();
        assert_eq!(flipped.boxes.to_vec::<i64>().unwrap(), [16, 2, 19, 9]);
        let flipped = VerticalFlip.boxes(&flipped).unwrap();
        assert_eq!(flipped.boxes.to_vec::<i64>().unwrap(), [16, 1, 19, 8]);
        // The pixel at (1, 2) is found again at the point that follows.
        let image = Tensor::zeros((1, 10, 20), DType::F32).unwrap();
        image.set((0, 2, 1), 1.0).unwrap();
        let points = KeyPoints::new(Tensor::new([[1.0f32, 2.0]]).unwrap(), (10, 20)).unwrap();
        let points = HorizontalFlip
            .key_points(&points)
            .unwrap()
            .points
            .to_vec::<f32>()
            .unwrap();
        let at = horizontal_flip(&image)
            .unwrap()
            .i((0, points[1] as i64, points[0] as i64))
            .unwrap();
        assert_eq!(at.item::<f32>().unwrap(), 1.0);
    }
}
