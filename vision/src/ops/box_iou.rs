//! Intersection over union of boxes with boxes, and what is subtracted from it for boxes that lie apart (`box_iou`,
//! `generalized_box_iou`, `distance_box_iou`, `complete_box_iou`). Boxes are (x, y, x, y) unless said otherwise.

use std::f64::consts::PI;

use flambeau_tensor::{Result, Tensor, no_grad};

use super::boxes::{check_boxes, upcast};
use super::{BoundingBoxFormat, box_area, box_convert};

/// `[n, m]` tensors of all pairs of `n` and `m` boxes.
struct Pairs {
    /// Columns `[n, 1]` of the first boxes.
    a: Vec<Tensor>,
    /// Columns `[1, m]` of the second ones.
    b: Vec<Tensor>,
    /// The areas of intersections.
    inter: Tensor,
    /// The areas of unions.
    union: Tensor,
}

impl Pairs {
    fn new(op: &str, boxes1: &Tensor, boxes2: &Tensor, format: BoundingBoxFormat) -> Result<Pairs> {
        check_boxes(op, boxes1)?;
        check_boxes(op, boxes2)?;
        let area = |boxes: &Tensor, dim: isize| box_area(boxes, format)?.unsqueeze(dim);
        let areas = area(boxes1, -1)?.add(&area(boxes2, -2)?)?;
        let columns = |boxes: &Tensor, dim: isize| {
            let xyxy = box_convert(boxes, format, BoundingBoxFormat::Xyxy)?.unbind(-1)?;
            xyxy.iter()
                .map(|column| column.unsqueeze(dim))
                .collect::<Result<Vec<_>>>()
        };
        let (a, b) = (columns(boxes1, -1)?, columns(boxes2, -2)?);
        let side = |axis: usize| {
            let low = a[axis].maximum(&b[axis])?;
            upcast(&a[axis + 2].minimum(&b[axis + 2])?.sub(&low)?)?.clamp_min(0)
        };
        let inter = side(0)?.mul(&side(1)?)?;
        let union = areas.sub(&inter)?;
        Ok(Pairs { a, b, inter, union })
    }

    fn iou(&self) -> Result<Tensor> {
        self.inter.div(&self.union)
    }

    /// A side of the smallest box around both.
    fn enclosing(&self, axis: usize) -> Result<Tensor> {
        let low = self.a[axis].minimum(&self.b[axis])?;
        upcast(&self.a[axis + 2].maximum(&self.b[axis + 2])?.sub(&low)?)?.clamp_min(0)
    }

    /// The square of the distance of the centres over that of the diagonal around both.
    fn distance(&self, eps: f64) -> Result<Tensor> {
        let diagonal = self
            .enclosing(0)?
            .square()?
            .add(&self.enclosing(1)?.square()?)?
            .add(eps)?;
        let apart = |axis: usize| {
            let center = |columns: &[Tensor]| columns[axis].add(&columns[axis + 2])?.div(2.0);
            upcast(&center(&self.a)?.sub(&center(&self.b)?)?)?.square()
        };
        apart(0)?.add(&apart(1)?)?.div(&diagonal)
    }
}

/// The area that two boxes share over the area that they cover, for all pairs.
///
/// # Shapes
/// `[n, 4], [m, 4] → [n, m]`; leading dimensions broadcast.
///
/// # Errors
/// `Shape` for other tensors.
pub fn box_iou(boxes1: &Tensor, boxes2: &Tensor, format: BoundingBoxFormat) -> Result<Tensor> {
    Pairs::new("box_iou", boxes1, boxes2, format)?.iou()
}

/// [`box_iou`] less the share of the smallest box around both that neither covers (Rezatofighi et al., 2019).
///
/// # Shapes
/// `[n, 4], [m, 4] → [n, m]`; leading dimensions broadcast.
///
/// # Errors
/// `Shape` for other tensors.
pub fn generalized_box_iou(boxes1: &Tensor, boxes2: &Tensor) -> Result<Tensor> {
    let pairs = Pairs::new("generalized_box_iou", boxes1, boxes2, BoundingBoxFormat::Xyxy)?;
    let around = pairs.enclosing(0)?.mul(&pairs.enclosing(1)?)?;
    pairs.iou()?.sub(&around.sub(&pairs.union)?.div(&around)?)
}

/// [`box_iou`] less the squared distance of the centres over that of the diagonal around both (Zheng et al., 2019).
///
/// # Shapes
/// `[n, 4], [m, 4] → [n, m]`; leading dimensions broadcast.
///
/// # Errors
/// `Shape` for other tensors.
pub fn distance_box_iou(boxes1: &Tensor, boxes2: &Tensor, eps: f64) -> Result<Tensor> {
    let (boxes1, boxes2) = (upcast(boxes1)?, upcast(boxes2)?);
    let pairs = Pairs::new("distance_box_iou", &boxes1, &boxes2, BoundingBoxFormat::Xyxy)?;
    pairs.iou()?.sub(&pairs.distance(eps)?)
}

/// [`distance_box_iou`] less a measure of how the proportions differ (Zheng et al., 2019), whose weight has no gradient.
///
/// # Shapes
/// `[n, 4], [m, 4] → [n, m]`; leading dimensions broadcast.
///
/// # Errors
/// `Shape` for other tensors.
pub fn complete_box_iou(boxes1: &Tensor, boxes2: &Tensor, eps: f64) -> Result<Tensor> {
    let (boxes1, boxes2) = (upcast(boxes1)?, upcast(boxes2)?);
    let pairs = Pairs::new("complete_box_iou", &boxes1, &boxes2, BoundingBoxFormat::Xyxy)?;
    let iou = pairs.iou()?;
    let angle = |columns: &[Tensor]| {
        let (w, h) = (columns[2].sub(&columns[0])?, columns[3].sub(&columns[1])?);
        w.div(&h)?.atan()
    };
    let v = aspect_difference(&angle(&pairs.a)?, &angle(&pairs.b)?)?;
    let penalty = aspect_weight(&v, &iou, eps)?.mul(&v)?;
    iou.sub(&pairs.distance(eps)?)?.sub(&penalty)
}

/// `4/π²·(α - β)²`.
pub(super) fn aspect_difference(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.sub(b)?.square()?.mul(4.0 / (PI * PI))
}

/// `v/(1 - iou + v + eps)`, without a gradient.
pub(super) fn aspect_weight(v: &Tensor, iou: &Tensor, eps: f64) -> Result<Tensor> {
    no_grad(|| v.div(&iou.rsub(1.0)?.add(v)?.add(eps)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_of_known_boxes() {
        let a = Tensor::new([[0i64, 0, 4, 4]]).unwrap();
        let b = Tensor::new([[2i64, 0, 6, 4], [8, 0, 12, 4]]).unwrap();
        let iou = box_iou(&a, &b, BoundingBoxFormat::Xyxy).unwrap();
        assert_eq!(iou.to_vec::<f32>().unwrap(), [8.0 / 24.0, 0.0]);
        let giou = generalized_box_iou(&a, &b).unwrap().to_vec::<f32>().unwrap();
        assert_eq!(giou, [8.0 / 24.0, -16.0 / 48.0]);
        let xywh = box_convert(&b, BoundingBoxFormat::Xyxy, BoundingBoxFormat::Xywh).unwrap();
        let same = box_iou(&a, &xywh, BoundingBoxFormat::Xywh).unwrap();
        assert!(same.equal(&iou).unwrap());
        assert!(
            box_iou(
                &a,
                &Tensor::zeros((2, 5), flambeau_tensor::DType::F32).unwrap(),
                BoundingBoxFormat::Xyxy
            )
            .is_err()
        );
    }
}
