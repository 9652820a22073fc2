//! Transforms of pictures with boxes: `RandomIoUCrop`, `RandomZoomOut`, `SanitizeBoundingBoxes`, `ClampBoundingBoxes`,
//! `ConvertBoundingBoxFormat`.

use flambeau_tensor::{Result, Tensor, bail, ensure};

use super::functional::{
    Crop, Pad, PaddingMode, clamp_bounding_boxes, convert_bounding_box_format, valid_boxes,
};
use super::{BoundingBoxFormat, BoundingBoxes, Sample, Transform, draw};
use crate::ops::box_iou;

fn boxes_of<'a>(op: &str, sample: &'a Sample) -> Result<&'a BoundingBoxes> {
    match &sample.boxes {
        Some(boxes) => Ok(boxes),
        None => bail!(Value, "{op}: the sample has no boxes"),
    }
}

/// Cuts out a part in which boxes have their centre and one is covered to a random degree (Liu et al., 2016). Boxes whose
/// centre lies outside become zeros: a [`SanitizeBoundingBoxes`] behind it removes them.
#[derive(Clone, Debug)]
pub struct RandomIoUCrop {
    /// The least height and width, in parts of the picture's.
    pub min_scale: f64,
    /// The largest height and width, in parts of the picture's.
    pub max_scale: f64,
    /// The least width over height.
    pub min_aspect_ratio: f64,
    /// The largest width over height.
    pub max_aspect_ratio: f64,
    /// Degrees to which a box must be covered, one of which is chosen; 1 leaves the picture as it is.
    pub sampler_options: Vec<f64>,
    /// How often a part is drawn for each degree.
    pub trials: usize,
}

impl Default for RandomIoUCrop {
    fn default() -> Self {
        RandomIoUCrop {
            min_scale: 0.3,
            max_scale: 1.0,
            min_aspect_ratio: 0.5,
            max_aspect_ratio: 2.0,
            sampler_options: vec![0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0],
            trials: 40,
        }
    }
}

impl RandomIoUCrop {
    /// A part, and which boxes have their centre in it; none to leave the picture as it is.
    fn part(&self, (height, width): (usize, usize), boxes: &Tensor) -> Result<Option<(Crop, Tensor)>> {
        let corners = boxes.unbind(-1)?;
        let middle = |axis: usize| corners[axis].add(&corners[axis + 2])?.mul(0.5);
        let (cx, cy) = (middle(0)?, middle(1)?);
        // Without an option of 1, a picture whose boxes have no centre inside would be tried for ever.
        for _ in 0..1000 {
            let degree = self.sampler_options[draw::randint(0, self.sampler_options.len())];
            if degree >= 1.0 {
                return Ok(None);
            }
            for _ in 0..self.trials {
                let side = |size: usize| {
                    let range = (self.max_scale - self.min_scale) as f32;
                    (size as f32 * (self.min_scale as f32 + range * draw::rand())) as usize
                };
                let (w, h) = (side(width), side(height));
                let aspect = w as f64 / h as f64;
                if !(self.min_aspect_ratio..=self.max_aspect_ratio).contains(&aspect) {
                    continue;
                }
                let start = |size: usize, part: usize| ((size - part) as f32 * draw::rand()) as usize;
                let (left, top) = (start(width, w), start(height, h));
                if w == 0 || h == 0 {
                    continue;
                }
                let (right, bottom) = (left + w, top + h);
                let between =
                    |x: &Tensor, low: usize, high: usize| x.gt(low as f64)?.logical_and(&x.lt(high as f64)?);
                let within = between(&cx, left, right)?.logical_and(&between(&cy, top, bottom)?)?;
                if !within.any()?.item::<bool>()? {
                    continue;
                }
                let part = Tensor::new([[left as f64, top as f64, right as f64, bottom as f64]])?;
                let part = part.to_dtype(boxes.dtype())?;
                let overlaps = box_iou(&boxes.i(&within)?, &part, BoundingBoxFormat::Xyxy)?;
                if overlaps.max()?.item_f64()? < f64::from(degree as f32) {
                    continue;
                }
                let part = Crop {
                    top: top as isize,
                    left: left as isize,
                    height: h,
                    width: w,
                };
                return Ok(Some((part, within)));
            }
        }
        Ok(None)
    }
}

impl Transform for RandomIoUCrop {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let op = "RandomIoUCrop";
        sample.picture(op)?;
        let canvas = sample.size(op)?;
        let in_order = 0.0 <= self.min_scale && self.min_scale <= self.max_scale && self.max_scale <= 1.0;
        ensure!(
            !self.sampler_options.is_empty() && in_order,
            Value,
            "{op}: expected options and scales within 0 to 1, got {self:?}"
        );
        let boxes = convert_bounding_box_format(boxes_of(op, &sample)?, BoundingBoxFormat::Xyxy)?;
        let Some((part, within)) = self.part(canvas, &boxes.boxes)? else {
            return Ok(sample);
        };
        let mut sample = sample.follow(&part)?;
        if let Some(boxes) = &mut sample.boxes {
            let gone = within.logical_not()?.unsqueeze(1)?;
            boxes.boxes = boxes.boxes.masked_fill(&gone, 0)?;
        }
        Ok(sample)
    }
}

/// Puts the picture at a random place of a larger canvas with probability `p` (Liu et al., 2016); what is marked follows.
#[derive(Clone, Debug)]
pub struct RandomZoomOut {
    /// The colour of the canvas: one value or one for each channel. Masks get its first value.
    pub fill: Vec<f64>,
    /// The range of factors by which the canvas is larger.
    pub side_range: (f64, f64),
    /// The probability.
    pub p: f64,
}

impl Default for RandomZoomOut {
    fn default() -> Self {
        RandomZoomOut {
            fill: vec![0.0],
            side_range: (1.0, 4.0),
            p: 0.5,
        }
    }
}

impl Transform for RandomZoomOut {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let op = "RandomZoomOut";
        let (low, high) = self.side_range;
        ensure!(
            1.0 <= low && low <= high,
            Value,
            "{op}: expected a range of factors of 1 and more, got {low} to {high}"
        );
        if !draw::chance(self.p) {
            return Ok(sample);
        }
        let (height, width) = sample.size(op)?;
        let factor = low as f32 + draw::rand() * (high - low) as f32;
        let grown = |size: usize| ((size as f32 * factor) as usize).max(size) - size;
        let (more_x, more_y) = (grown(width), grown(height));
        let left = (more_x as f32 * draw::rand()) as usize;
        let top = (more_y as f32 * draw::rand()) as usize;
        let pad = Pad {
            padding: [left, top, more_x - left, more_y - top].map(|n| n as isize),
            fill: self.fill.clone(),
            mode: PaddingMode::Constant,
        };
        sample.follow(&pad)
    }
}

/// Removes boxes that are too small or reach out of the picture, with their labels and masks. Do this at the end.
#[derive(Clone, Copy, Debug)]
pub struct SanitizeBoundingBoxes {
    /// The least width and height.
    pub min_size: f64,
    /// The least area.
    pub min_area: f64,
}

impl Default for SanitizeBoundingBoxes {
    fn default() -> Self {
        SanitizeBoundingBoxes {
            min_size: 1.0,
            min_area: 1.0,
        }
    }
}

impl Transform for SanitizeBoundingBoxes {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let op = "SanitizeBoundingBoxes";
        let boxes = boxes_of(op, &sample)?;
        let count = boxes.boxes.shape()[0];
        if let Some(labels) = &sample.labels {
            ensure!(
                labels.shape().first() == Some(&count),
                Shape,
                "{op}: {count} boxes and labels {:?}",
                labels.shape()
            );
        }
        let valid = valid_boxes(boxes, self.min_size, self.min_area)?;
        let kept = boxes.with(boxes.boxes.i(&valid)?, boxes.canvas);
        // The classes of pixels do not belong to boxes.
        let masks = match &sample.masks {
            Some(masks) if masks.rank() == 3 && masks.shape()[0] == count => Some(masks.i(&valid)?),
            masks => masks.clone(),
        };
        Ok(Sample {
            boxes: Some(kept),
            masks,
            labels: sample
                .labels
                .as_ref()
                .map(|labels| labels.i(&valid))
                .transpose()?,
            ..sample
        })
    }
}

/// Cuts boxes off at the edges of the picture.
#[derive(Clone, Copy, Debug)]
pub struct ClampBoundingBoxes;

impl Transform for ClampBoundingBoxes {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        Ok(Sample {
            boxes: sample.boxes.as_ref().map(clamp_bounding_boxes).transpose()?,
            ..sample
        })
    }
}

/// Converts boxes to another format.
#[derive(Clone, Copy, Debug)]
pub struct ConvertBoundingBoxFormat {
    /// The new format.
    pub format: BoundingBoxFormat,
}

impl Transform for ConvertBoundingBoxFormat {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let convert = |boxes| convert_bounding_box_format(boxes, self.format);
        Ok(Sample {
            boxes: sample.boxes.as_ref().map(convert).transpose()?,
            ..sample
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::{DType, random};

    fn sample() -> Sample {
        let boxes = Tensor::new([[4.0f32, 4.0, 20.0, 22.0], [25.0, 2.0, 38.0, 12.0]]).unwrap();
        Sample {
            boxes: Some(BoundingBoxes::new(boxes, BoundingBoxFormat::Xyxy, (30, 40)).unwrap()),
            masks: Some(Tensor::zeros((2, 30, 40), DType::Bool).unwrap()),
            labels: Some(Tensor::new([7i64, 9]).unwrap()),
            ..Tensor::zeros((3, 30, 40), DType::U8).unwrap().into()
        }
    }

    #[test]
    fn everything_keeps_together() {
        for seed in 0..20 {
            random::fork(seed, || {
                let zoomed = RandomZoomOut::default().forward(sample()).unwrap();
                let cut = RandomIoUCrop::default().forward(zoomed).unwrap();
                let (height, width) = cut.size("test").unwrap();
                let clean = SanitizeBoundingBoxes::default().forward(cut).unwrap();
                let count = clean.boxes.as_ref().unwrap().boxes.shape()[0];
                assert!(count >= 1);
                assert_eq!(clean.labels.unwrap().shape(), [count]);
                assert_eq!(clean.masks.unwrap().shape(), [count, height, width]);
            });
        }
    }

    #[test]
    fn samples_without_boxes_are_refused() {
        let image = Tensor::zeros((3, 8, 8), DType::U8).unwrap();
        assert!(
            RandomIoUCrop::default()
                .apply(&image)
                .unwrap_err()
                .to_string()
                .contains("no boxes")
        );
        assert!(SanitizeBoundingBoxes::default().apply(&image).is_err());
        assert!(ClampBoundingBoxes.apply(&image).is_ok());
    }
}
