//! Non-maximum suppression: of boxes that overlap, the one with the highest score stays (`nms`, `batched_nms`).

use flambeau_tensor::{DType, Result, Tensor, amp, ensure};

use super::taps::Real;

/// From how many coordinates on [`batched_nms`] goes class by class, as in torchvision.
const MANY: usize = 4000;

/// The positions of the boxes (x, y, x, y) that stay, by falling score: each box that overlaps one with a higher score by
/// an intersection over union of more than `iou_threshold` goes.
///
/// # Shapes
/// boxes `[n, 4]`, scores `[n]` → `[kept]`, `int64`.
///
/// # Errors
/// `Shape` if they do not fit; `DType` unless both are of one floating point type.
pub fn nms(boxes: &Tensor, scores: &Tensor, iou_threshold: f64) -> Result<Tensor> {
    check("nms", boxes, scores)?;
    let order = scores.detach().argsort(0, true)?.to_vec::<i64>()?;
    let boxes = boxes.detach();
    let kept = match boxes.dtype() {
        DType::F64 => suppress::<f64>(&boxes.to_vec::<f64>()?, &order, |iou| iou > iou_threshold),
        _ => {
            let boxes = boxes.to_dtype(DType::F32)?.to_vec::<f32>()?;
            suppress::<f32>(&boxes, &order, |iou| f64::from(iou) > iou_threshold)
        }
    };
    let count = kept.len();
    Tensor::from_vec(kept, count)
}

fn check(op: &str, boxes: &Tensor, scores: &Tensor) -> Result<()> {
    let (b, s) = (boxes.shape(), scores.shape());
    ensure!(
        b.len() == 2 && b[1] == 4 && s == [b[0]],
        Shape,
        "{op}: expected boxes [n, 4] and scores [n], got {b:?} and {s:?}"
    );
    ensure!(
        boxes.dtype().is_float() && (boxes.dtype() == scores.dtype() || amp::is_autocast_enabled()),
        DType,
        "{op}: expected boxes and scores of one floating point type, got {} and {}",
        boxes.dtype(),
        scores.dtype()
    );
    Ok(())
}

fn suppress<T: Real>(boxes: &[T], order: &[i64], too_much: impl Fn(T) -> bool) -> Vec<i64> {
    // In the order of the scores, so that the inner loop runs through memory.
    let sorted: Vec<[T; 4]> = order
        .iter()
        .map(|&at| std::array::from_fn(|k| boxes[4 * at as usize + k]))
        .collect();
    let areas: Vec<T> = sorted
        .iter()
        .map(|[x1, y1, x2, y2]| (*x2 - *x1) * (*y2 - *y1))
        .collect();
    let zero = T::of(0.0);
    let mut gone = vec![false; sorted.len()];
    let mut kept = Vec::new();
    for (i, &[x1, y1, x2, y2]) in sorted.iter().enumerate() {
        if gone[i] {
            continue;
        }
        kept.push(order[i]);
        for (j, other) in sorted.iter().enumerate().skip(i + 1) {
            let width = (x2.or_less(other[2]) - x1.or_more(other[0])).or_more(zero);
            let height = (y2.or_less(other[3]) - y1.or_more(other[1])).or_more(zero);
            let inter = width * height;
            if inter > zero && too_much(inter / (areas[i] + areas[j] - inter)) {
                gone[j] = true;
            }
        }
    }
    kept
}

/// [`nms`] among the boxes of each class.
///
/// # Shapes
/// boxes `[n, 4]`, scores `[n]`, classes `[n]` → `[kept]`, `int64`.
///
/// # Errors
/// As [`nms`].
pub fn batched_nms(boxes: &Tensor, scores: &Tensor, classes: &Tensor, iou_threshold: f64) -> Result<Tensor> {
    let op = "batched_nms";
    check(op, boxes, scores)?;
    ensure!(
        classes.shape() == scores.shape(),
        Shape,
        "{op}: scores {:?} and classes {:?}",
        scores.shape(),
        classes.shape()
    );
    if boxes.numel() == 0 {
        return Tensor::zeros(0, DType::I64);
    }
    let (boxes, scores) = (boxes.detach(), scores.detach());
    if boxes.numel() <= MANY {
        // Classes are moved apart so far that their boxes don't meet.
        let step = boxes.max()?.add(1.0)?;
        let offsets = classes.to_dtype(boxes.dtype())?.mul(&step)?.unsqueeze(1)?;
        return nms(&boxes.add(&offsets)?, &scores, iou_threshold);
    }
    let names = classes.to_dtype(DType::I64)?.to_vec::<i64>()?;
    let mut of_class = std::collections::BTreeMap::<i64, Vec<i64>>::new();
    for (at, name) in names.into_iter().enumerate() {
        of_class.entry(name).or_default().push(at as i64);
    }
    let mut kept = Vec::new();
    for members in of_class.into_values() {
        let count = members.len();
        let members = Tensor::from_vec(members, count)?;
        let stay = nms(
            &boxes.index_select(0, &members)?,
            &scores.index_select(0, &members)?,
            iou_threshold,
        )?;
        kept.extend(members.index_select(0, &stay)?.to_vec::<i64>()?);
    }
    kept.sort_unstable();
    let count = kept.len();
    let kept = Tensor::from_vec(kept, count)?;
    kept.index_select(0, &scores.index_select(0, &kept)?.argsort(0, true)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_overlapping_boxes_stays() {
        let boxes = Tensor::new([
            [0.0f32, 0.0, 4.0, 4.0],
            [0.0, 0.0, 4.0, 5.0],
            [9.0, 9.0, 12.0, 12.0],
        ])
        .unwrap();
        let scores = Tensor::new([0.5f32, 0.9, 0.7]).unwrap();
        let kept = |threshold| nms(&boxes, &scores, threshold).unwrap().to_vec::<i64>().unwrap();
        assert_eq!(kept(0.5), [1, 2]);
        assert_eq!(kept(0.85), [1, 2, 0]);
        let classes = Tensor::new([1i64, 0, 0]).unwrap();
        let kept = batched_nms(&boxes, &scores, &classes, 0.5).unwrap();
        assert_eq!(kept.to_vec::<i64>().unwrap(), [1, 2, 0]);
        assert!(nms(&boxes, &scores.to_dtype(DType::F64).unwrap(), 0.5).is_err());
    }

    #[test]
    fn many_boxes_go_class_by_class() {
        let n = 1200;
        let corners = Tensor::rand((n, 2), DType::F32).unwrap().mul(50.0).unwrap();
        let sides = Tensor::rand((n, 2), DType::F32)
            .unwrap()
            .mul(20.0)
            .unwrap()
            .add(1.0)
            .unwrap();
        let boxes = Tensor::cat(&[&corners, &corners.add(&sides).unwrap()], 1).unwrap();
        let scores = Tensor::rand(n, DType::F32).unwrap();
        let classes = Tensor::randint(0, 3, n).unwrap();
        let all = batched_nms(&boxes, &scores, &classes, 0.3)
            .unwrap()
            .to_vec::<i64>()
            .unwrap();
        let mut expected = Vec::new();
        for class in 0..3i64 {
            let members = classes
                .eq(class)
                .unwrap()
                .nonzero()
                .unwrap()
                .reshape([-1])
                .unwrap();
            let (b, s) = (
                boxes.index_select(0, &members).unwrap(),
                scores.index_select(0, &members).unwrap(),
            );
            let kept = nms(&b, &s, 0.3).unwrap();
            expected.extend(members.index_select(0, &kept).unwrap().to_vec::<i64>().unwrap());
        }
        let falling = scores.to_vec::<f32>().unwrap();
        assert!(
            all.windows(2)
                .all(|w| falling[w[0] as usize] >= falling[w[1] as usize])
        );
        let sorted = |mut kept: Vec<i64>| {
            kept.sort_unstable();
            kept
        };
        assert_eq!(sorted(all), sorted(expected));
    }
}
