//! Boxes within a picture: other formats, clamping, which are valid (`convert_bounding_box_format`,
//! `clamp_bounding_boxes`, `sanitize_bounding_boxes`).

use flambeau_tensor::{Result, Tensor};

use crate::ops::box_convert;
use crate::transforms::{BoundingBoxFormat, BoundingBoxes};

/// The boxes in another format.
///
/// # Errors
/// None that valid boxes meet.
pub fn convert_bounding_box_format(
    boxes: &BoundingBoxes,
    format: BoundingBoxFormat,
) -> Result<BoundingBoxes> {
    let dtype = boxes.boxes.dtype();
    // Halves of integers are cut off, as torchvision does.
    let converted = box_convert(&boxes.boxes, boxes.format, format)?.to_dtype(dtype)?;
    Ok(BoundingBoxes {
        boxes: converted,
        format,
        canvas: boxes.canvas,
    })
}

/// The parts of the boxes that lie in the picture.
///
/// # Errors
/// None that valid boxes meet.
pub fn clamp_bounding_boxes(boxes: &BoundingBoxes) -> Result<BoundingBoxes> {
    let dtype = boxes.boxes.dtype();
    let float = boxes.with(boxes.boxes.to_dtype(dtype.to_float())?, boxes.canvas);
    let xyxy = convert_bounding_box_format(&float, BoundingBoxFormat::Xyxy)?;
    let (height, width) = boxes.canvas;
    let clamped = crate::ops::clip_boxes_to_image(&xyxy.boxes, (height, width))?;
    let clamped = convert_bounding_box_format(&xyxy.with(clamped, boxes.canvas), boxes.format)?;
    Ok(boxes.with(clamped.boxes.to_dtype(dtype)?, boxes.canvas))
}

/// Which boxes lie in the picture, have sides of at least `min_size` and an area of at least `min_area`.
///
/// # Shapes
/// `→ [boxes]`, `bool`.
///
/// # Errors
/// None that valid boxes meet.
pub fn valid_boxes(boxes: &BoundingBoxes, min_size: f64, min_area: f64) -> Result<Tensor> {
    let xyxy = convert_bounding_box_format(boxes, BoundingBoxFormat::Xyxy)?.boxes;
    let (height, width) = boxes.canvas;
    let corners = xyxy.unbind(-1)?;
    let (w, h) = (corners[2].sub(&corners[0])?, corners[3].sub(&corners[1])?);
    let mut valid = w.ge(min_size)?.logical_and(&h.ge(min_size)?)?;
    valid = valid.logical_and(&w.mul(&h)?.ge(min_area)?)?;
    for (corner, size) in corners.iter().zip([width, height, width, height]) {
        valid = valid
            .logical_and(&corner.ge(0)?)?
            .logical_and(&corner.le(size as i64)?)?;
    }
    Ok(valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_clamped_in_any_format() {
        let boxes = Tensor::new([[-3.0f32, 2.0, 10.0, 4.0]]).unwrap();
        let boxes = BoundingBoxes::new(boxes, BoundingBoxFormat::Xywh, (5, 6)).unwrap();
        let clamped = clamp_bounding_boxes(&boxes).unwrap();
        assert_eq!(clamped.boxes.to_vec::<f32>().unwrap(), [0.0, 2.0, 6.0, 3.0]);
        let centred = convert_bounding_box_format(&clamped, BoundingBoxFormat::Cxcywh).unwrap();
        assert_eq!(centred.boxes.to_vec::<f32>().unwrap(), [3.0, 3.5, 6.0, 3.0]);
        assert_eq!(
            valid_boxes(&boxes, 1.0, 1.0).unwrap().to_vec::<bool>().unwrap(),
            [false]
        );
        assert_eq!(
            valid_boxes(&centred, 1.0, 1.0).unwrap().to_vec::<bool>().unwrap(),
            [true]
        );
        assert_eq!(
            valid_boxes(&centred, 4.0, 1.0).unwrap().to_vec::<bool>().unwrap(),
            [false]
        );
    }
}
