//! Losses of predicted boxes: 1 less a kind of intersection over union (`generalized_box_iou_loss`,
//! `distance_box_iou_loss`, `complete_box_iou_loss`). Boxes are (x, y, x, y), the first with the first, and so on.

use flambeau_tensor::ops::loss::Reduction;
use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::box_iou::{aspect_difference, aspect_weight};
use super::boxes::check_boxes;

/// Predicted and true boxes, their columns, and the areas of intersections and unions.
struct Matched {
    a: Vec<Tensor>,
    b: Vec<Tensor>,
    inter: Tensor,
    union: Tensor,
}

impl Matched {
    fn new(op: &str, boxes1: &Tensor, boxes2: &Tensor) -> Result<Matched> {
        check_boxes(op, boxes1)?;
        check_boxes(op, boxes2)?;
        ensure!(
            boxes1.shape() == boxes2.shape(),
            Shape,
            "{op}: boxes {:?} and {:?}",
            boxes1.shape(),
            boxes2.shape()
        );
        let columns = |boxes: &Tensor| {
            let dtype = match boxes.dtype() {
                DType::F64 => DType::F64,
                _ => DType::F32,
            };
            boxes.to_dtype(dtype)?.unbind(-1)
        };
        let (a, b) = (columns(boxes1)?, columns(boxes2)?);
        let side = |axis: usize| {
            a[axis + 2]
                .minimum(&b[axis + 2])?
                .sub(&a[axis].maximum(&b[axis])?)
        };
        let (w, h) = (side(0)?, side(1)?);
        let meet = w.gt(0.0)?.logical_and(&h.gt(0.0)?)?;
        let inter = w.mul(&h)?.masked_fill(&meet.logical_not()?, 0.0)?;
        let area = |c: &[Tensor]| c[2].sub(&c[0])?.mul(&c[3].sub(&c[1])?);
        let union = area(&a)?.add(&area(&b)?)?.sub(&inter)?;
        Ok(Matched { a, b, inter, union })
    }

    fn iou(&self, eps: f64) -> Result<Tensor> {
        self.inter.div(&self.union.add(eps)?)
    }

    /// A side of the smallest box around both.
    fn enclosing(&self, axis: usize) -> Result<Tensor> {
        let low = self.a[axis].minimum(&self.b[axis])?;
        self.a[axis + 2].maximum(&self.b[axis + 2])?.sub(&low)
    }

    /// `1 - iou + distance²/diagonal²`.
    fn distance_loss(&self, eps: f64) -> Result<Tensor> {
        let diagonal = self
            .enclosing(0)?
            .square()?
            .add(&self.enclosing(1)?.square()?)?
            .add(eps)?;
        let apart = |axis: usize| {
            let center = |c: &[Tensor]| c[axis].add(&c[axis + 2])?.div(2.0);
            center(&self.a)?.sub(&center(&self.b)?)?.square()
        };
        let distance = apart(0)?.add(&apart(1)?)?.div(&diagonal)?;
        self.iou(eps)?.rsub(1.0)?.add(&distance)
    }
}

/// The mean of no losses is 0 here.
fn reduced(losses: &Tensor, reduction: Reduction) -> Result<Tensor> {
    match reduction {
        Reduction::Mean if losses.numel() == 0 => losses.sum(),
        reduction => reduction.apply(losses),
    }
}

/// 1 less the generalised intersection over union (Rezatofighi et al., 2019).
///
/// # Shapes
/// `[…, 4], […, 4] → […]`, or one number.
///
/// # Errors
/// `Shape` if the tensors are no boxes or not as many.
pub fn generalized_box_iou_loss(
    boxes1: &Tensor,
    boxes2: &Tensor,
    reduction: Reduction,
    eps: f64,
) -> Result<Tensor> {
    let boxes = Matched::new("generalized_box_iou_loss", boxes1, boxes2)?;
    let around = boxes.enclosing(0)?.mul(&boxes.enclosing(1)?)?;
    let empty = around.sub(&boxes.union)?.div(&around.add(eps)?)?;
    reduced(&boxes.iou(eps)?.sub(&empty)?.rsub(1.0)?, reduction)
}

/// 1 less the intersection over union, plus the squared distance of the centres over that of the diagonal around both
/// (Zheng et al., 2019).
///
/// # Shapes
/// `[…, 4], […, 4] → […]`, or one number.
///
/// # Errors
/// `Shape` if the tensors are no boxes or not as many.
pub fn distance_box_iou_loss(
    boxes1: &Tensor,
    boxes2: &Tensor,
    reduction: Reduction,
    eps: f64,
) -> Result<Tensor> {
    let boxes = Matched::new("distance_box_iou_loss", boxes1, boxes2)?;
    reduced(&boxes.distance_loss(eps)?, reduction)
}

/// [`distance_box_iou_loss`] plus a measure of how the proportions differ (Zheng et al., 2019), whose weight has no
/// gradient.
///
/// # Shapes
/// `[…, 4], […, 4] → […]`, or one number.
///
/// # Errors
/// `Shape` if the tensors are no boxes or not as many.
pub fn complete_box_iou_loss(
    boxes1: &Tensor,
    boxes2: &Tensor,
    reduction: Reduction,
    eps: f64,
) -> Result<Tensor> {
    let boxes = Matched::new("complete_box_iou_loss", boxes1, boxes2)?;
    let angle = |c: &[Tensor]| c[2].sub(&c[0])?.div(&c[3].sub(&c[1])?)?.atan();
    let v = aspect_difference(&angle(&boxes.b)?, &angle(&boxes.a)?)?;
    // Torchvision takes its default here, whatever `eps` is.
    let tiny = 1e-7;
    let weight = aspect_weight(&v, &boxes.iou(tiny)?, eps)?;
    reduced(&boxes.distance_loss(tiny)?.add(&weight.mul(&v)?)?, reduction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_prediction_costs_nothing() {
        let boxes = Tensor::new([[1.0f64, 2.0, 5.0, 8.0], [0.0, 0.0, 3.0, 1.0]]).unwrap();
        for loss in [
            generalized_box_iou_loss,
            distance_box_iou_loss,
            complete_box_iou_loss,
        ] {
            let loss = |a: &Tensor| {
                loss(a, &boxes, Reduction::Mean, 1e-7)
                    .unwrap()
                    .item::<f64>()
                    .unwrap()
            };
            assert!(loss(&boxes).abs() < 1e-6);
            assert!(loss(&boxes.add(20.0).unwrap()) > 1.0);
        }
        let none = Tensor::zeros((0, 4), DType::F32).unwrap();
        let loss = distance_box_iou_loss(&none, &none, Reduction::Mean, 1e-7).unwrap();
        assert_eq!(loss.item::<f32>().unwrap(), 0.0);
        assert!(distance_box_iou_loss(&none, &boxes, Reduction::Mean, 1e-7).is_err());
    }
}
