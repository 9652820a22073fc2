//! Boxes `[…, 4]`: formats, areas, clipping (`box_convert`, `box_area`, `clip_boxes_to_image`, …).

use flambeau_tensor::{DType, Result, Tensor, ensure};

/// What the four numbers of a box are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BoundingBoxFormat {
    /// The left, upper, right and lower edges.
    #[default]
    Xyxy,
    /// The left and upper edges, width and height.
    Xywh,
    /// The centre, width and height.
    Cxcywh,
}

impl BoundingBoxFormat {
    /// The format of torchvision's name.
    pub fn from_name(name: &str) -> Option<BoundingBoxFormat> {
        Some(match name.to_ascii_lowercase().as_str() {
            "xyxy" => BoundingBoxFormat::Xyxy,
            "xywh" => BoundingBoxFormat::Xywh,
            "cxcywh" => BoundingBoxFormat::Cxcywh,
            _ => return None,
        })
    }
}

pub(super) fn check_boxes(op: &str, boxes: &Tensor) -> Result<()> {
    ensure!(
        boxes.shape().last() == Some(&4),
        Shape,
        "{op}: expected boxes [\u{2026}, 4], got {:?}",
        boxes.shape()
    );
    Ok(())
}

/// Narrow integers as `int32` and halves as `float32`, so that areas do not overflow.
pub(super) fn upcast(x: &Tensor) -> Result<Tensor> {
    x.to_dtype(match x.dtype() {
        dtype if dtype.is_half() => DType::F32,
        dtype @ (DType::F32 | DType::F64 | DType::I32 | DType::I64) => dtype,
        _ => DType::I32,
    })
}

/// Boxes in another format. Integers with halves become `float32`.
///
/// # Shapes
/// `[…, 4] → […, 4]`.
///
/// # Errors
/// `Shape` for other tensors.
pub fn box_convert(boxes: &Tensor, from: BoundingBoxFormat, to: BoundingBoxFormat) -> Result<Tensor> {
    use BoundingBoxFormat::*;
    check_boxes("box_convert", boxes)?;
    if from == to {
        return Ok(boxes.clone());
    }
    let boxes = match (from, to) {
        (Cxcywh, _) | (_, Cxcywh) => boxes.to_dtype(boxes.dtype().to_float())?,
        _ => boxes.clone(),
    };
    let columns = boxes.unbind(-1)?;
    let [a, b, c, d] = [&columns[0], &columns[1], &columns[2], &columns[3]];
    let xyxy = match from {
        Xyxy => [a.clone(), b.clone(), c.clone(), d.clone()],
        Xywh => [a.clone(), b.clone(), a.add(c)?, b.add(d)?],
        Cxcywh => {
            let (w, h) = (c.mul(0.5)?, d.mul(0.5)?);
            [a.sub(&w)?, b.sub(&h)?, a.add(&w)?, b.add(&h)?]
        }
    };
    let [x1, y1, x2, y2] = &xyxy;
    let result = match to {
        Xyxy => xyxy,
        Xywh => [x1.clone(), y1.clone(), x2.sub(x1)?, y2.sub(y1)?],
        Cxcywh => [
            x1.add(x2)?.div(2.0)?,
            y1.add(y2)?.div(2.0)?,
            x2.sub(x1)?,
            y2.sub(y1)?,
        ],
    };
    Tensor::stack(&result, -1)
}

/// The areas of boxes.
///
/// # Shapes
/// `[…, 4] → […]`.
///
/// # Errors
/// `Shape` for other tensors.
pub fn box_area(boxes: &Tensor, format: BoundingBoxFormat) -> Result<Tensor> {
    check_boxes("box_area", boxes)?;
    let columns = upcast(boxes)?.unbind(-1)?;
    match format {
        BoundingBoxFormat::Xyxy => {
            let (w, h) = (columns[2].sub(&columns[0])?, columns[3].sub(&columns[1])?);
            w.mul(&h)
        }
        _ => columns[2].mul(&columns[3]),
    }
}

/// The parts of boxes (x, y, x, y) that lie in a picture of height and width `size`.
///
/// # Shapes
/// `[…, 4] → […, 4]`.
///
/// # Errors
/// `Shape` for other tensors.
pub fn clip_boxes_to_image(boxes: &Tensor, size: (usize, usize)) -> Result<Tensor> {
    check_boxes("clip_boxes_to_image", boxes)?;
    let (height, width) = (size.0 as i64, size.1 as i64);
    let mut columns = boxes.unbind(-1)?;
    for (column, bound) in columns.iter_mut().zip([width, height, width, height]) {
        *column = column.clamp(Some(0.into()), Some(bound.into()))?;
    }
    Tensor::stack(&columns, -1)
}

/// The positions of the boxes (x, y, x, y) whose sides are at least `min_size` long.
///
/// # Shapes
/// `[boxes, 4] → [kept]`, `int64`.
///
/// # Errors
/// `Shape` for other tensors.
pub fn remove_small_boxes(boxes: &Tensor, min_size: f64) -> Result<Tensor> {
    check_boxes("remove_small_boxes", boxes)?;
    ensure!(
        boxes.rank() == 2,
        Shape,
        "remove_small_boxes: expected [boxes, 4], got {:?}",
        boxes.shape()
    );
    let columns = boxes.unbind(-1)?;
    let wide = columns[2].sub(&columns[0])?.ge(min_size)?;
    let high = columns[3].sub(&columns[1])?.ge(min_size)?;
    wide.logical_and(&high)?.nonzero()?.reshape([-1])
}

/// The boxes (x, y, x, y) around masks; zeros for an empty one. The edges are the outermost pixels.
///
/// # Shapes
/// `[masks, height, width] → [masks, 4]`, `float32`.
///
/// # Errors
/// `Shape` for other tensors.
pub fn masks_to_boxes(masks: &Tensor) -> Result<Tensor> {
    if masks.numel() == 0 {
        return Tensor::zeros((0, 4), DType::F32);
    }
    let &[count, height, width] = masks.shape() else {
        flambeau_tensor::bail!(
            Shape,
            "masks_to_boxes: expected [masks, height, width], got {:?}",
            masks.shape()
        )
    };
    let masks = masks.detach().bool()?.to_vec::<bool>()?;
    let mut boxes = Vec::with_capacity(4 * count);
    for mask in masks.chunks_exact(height * width) {
        let mut around = None;
        for (y, row) in mask.chunks_exact(width).enumerate() {
            let (first, last) = (row.iter().position(|&x| x), row.iter().rposition(|&x| x));
            if let (Some(first), Some(last)) = (first, last) {
                let (left, top, right) = around
                    .map_or((first, y, last), |[left, top, right, _]: [usize; 4]| {
                        (left.min(first), top, right.max(last))
                    });
                around = Some([left, top, right, y]);
            }
        }
        boxes.extend(around.unwrap_or_default().map(|x| x as f32));
    }
    Tensor::from_vec(boxes, (count, 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use BoundingBoxFormat::*;

    #[test]
    fn formats_convert_there_and_back() {
        let boxes = Tensor::new([[1.0f64, 2.0, 5.0, 8.0], [0.0, 0.0, 3.0, 1.0]]).unwrap();
        for from in [Xyxy, Xywh, Cxcywh] {
            for to in [Xyxy, Xywh, Cxcywh] {
                let there = box_convert(&boxes, from, to).unwrap();
                assert!(box_convert(&there, to, from).unwrap().equal(&boxes).unwrap());
                let (a, b) = (box_area(&boxes, from).unwrap(), box_area(&there, to).unwrap());
                assert!(a.equal(&b).unwrap(), "{from:?} {to:?}");
            }
        }
        let whole = Tensor::new([1i64, 2, 4, 6]).unwrap();
        let centred = box_convert(&whole, Xyxy, Cxcywh).unwrap();
        assert_eq!(centred.to_vec::<f32>().unwrap(), [2.5, 4.0, 3.0, 4.0]);
        assert_eq!(box_convert(&whole, Xyxy, Xywh).unwrap().dtype(), DType::I64);
        assert!(box_convert(&Tensor::zeros((2, 3), DType::F32).unwrap(), Xyxy, Xywh).is_err());
    }

    #[test]
    fn boxes_surround_masks() {
        let masks = Tensor::zeros((2, 4, 5), DType::Bool).unwrap();
        masks.set((1, 1..3, 2), true).unwrap();
        masks.set((1, 2, 4), true).unwrap();
        let boxes = masks_to_boxes(&masks).unwrap().to_vec::<f32>().unwrap();
        assert_eq!(boxes, [0.0, 0.0, 0.0, 0.0, 2.0, 1.0, 4.0, 2.0]);
    }
}
