//! What transforms work on: a picture with what is marked on it (`torchvision.tv_tensors`).

use flambeau_tensor::{Result, Tensor, bail, ensure};

pub use crate::ops::BoundingBoxFormat;

/// Boxes on a picture.
#[derive(Clone, Debug)]
pub struct BoundingBoxes {
    /// `[boxes, 4]`.
    pub boxes: Tensor,
    /// What the four numbers are.
    pub format: BoundingBoxFormat,
    /// Height and width of the picture.
    pub canvas: (usize, usize),
}

impl BoundingBoxes {
    /// Boxes on a picture of height and width `canvas`.
    ///
    /// # Errors
    /// `Shape` unless the tensor is `[boxes, 4]`; `DType` for bools.
    pub fn new(boxes: Tensor, format: BoundingBoxFormat, canvas: (usize, usize)) -> Result<BoundingBoxes> {
        let shape = boxes.shape();
        ensure!(
            shape.len() == 2 && shape[1] == 4,
            Shape,
            "bounding boxes: expected [boxes, 4], got {shape:?}"
        );
        ensure!(
            boxes.dtype().is_float() || boxes.dtype().is_integer(),
            DType,
            "bounding boxes: expected numbers, got {}",
            boxes.dtype()
        );
        Ok(BoundingBoxes {
            boxes,
            format,
            canvas,
        })
    }

    /// Other boxes in the same format.
    pub(crate) fn with(&self, boxes: Tensor, canvas: (usize, usize)) -> BoundingBoxes {
        BoundingBoxes {
            boxes,
            format: self.format,
            canvas,
        }
    }
}

/// Points on a picture, such as joints of persons.
#[derive(Clone, Debug)]
pub struct KeyPoints {
    /// `[…, 2]`: x and y.
    pub points: Tensor,
    /// Height and width of the picture.
    pub canvas: (usize, usize),
}

impl KeyPoints {
    /// Points on a picture of height and width `canvas`.
    ///
    /// # Errors
    /// `Shape` unless the tensor is `[…, 2]`; `DType` for bools.
    pub fn new(points: Tensor, canvas: (usize, usize)) -> Result<KeyPoints> {
        ensure!(
            points.shape().last() == Some(&2),
            Shape,
            "key points: expected [\u{2026}, 2], got {:?}",
            points.shape()
        );
        ensure!(
            points.dtype().is_float() || points.dtype().is_integer(),
            DType,
            "key points: expected numbers, got {}",
            points.dtype()
        );
        Ok(KeyPoints { points, canvas })
    }

    pub(crate) fn with(&self, points: Tensor, canvas: (usize, usize)) -> KeyPoints {
        KeyPoints { points, canvas }
    }
}

/// A picture, or a batch of them, with what is known about it. What is absent is left out.
///
/// ```
/// # use flambeau_tensor::{DType, Result, Tensor};
/// # use flambeau_vision::transforms::{BoundingBoxFormat, BoundingBoxes, CenterCrop, Sample, Transform};
/// # fn main() -> Result<()> {
/// let image = Tensor::zeros((3, 100, 200), DType::U8)?;
/// let boxes = Tensor::new([[60.0f32, 10.0, 90.0, 80.0]])?;
/// let sample = Sample {
///     boxes: Some(BoundingBoxes::new(boxes, BoundingBoxFormat::Xyxy, (100, 200))?),
///     ..Sample::from(image)
/// };
/// let middle = CenterCrop::new(100).forward(sample)?;
/// assert_eq!(middle.boxes.unwrap().boxes.to_vec::<f32>()?, [10.0, 10.0, 40.0, 80.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// `[…, channels, height, width]`.
    pub image: Option<Tensor>,
    /// Boxes of things.
    pub boxes: Option<BoundingBoxes>,
    /// Masks of things, `[things, height, width]`, or the classes of pixels, `[height, width]`.
    pub masks: Option<Tensor>,
    /// Points of things.
    pub key_points: Option<KeyPoints>,
    /// What the things or the pictures are.
    pub labels: Option<Tensor>,
}

impl From<Tensor> for Sample {
    fn from(image: Tensor) -> Self {
        Sample {
            image: Some(image),
            ..Sample::default()
        }
    }
}

impl From<&Tensor> for Sample {
    fn from(image: &Tensor) -> Self {
        image.clone().into()
    }
}

/// A change of geometry that pictures and everything marked on them follow.
pub trait Geometry {
    /// The picture `[…, channels, height, width]`.
    ///
    /// # Errors
    /// As the change says.
    fn image(&self, image: &Tensor) -> Result<Tensor>;

    /// Masks `[…, height, width]`; no values are made between those of their pixels.
    ///
    /// # Errors
    /// As the change says.
    fn mask(&self, mask: &Tensor) -> Result<Tensor>;

    /// Boxes: those around what was in them.
    ///
    /// # Errors
    /// As the change says.
    fn boxes(&self, boxes: &BoundingBoxes) -> Result<BoundingBoxes>;

    /// Points.
    ///
    /// # Errors
    /// As the change says.
    fn key_points(&self, points: &KeyPoints) -> Result<KeyPoints>;
}

impl Sample {
    /// The sample with all of it changed alike.
    ///
    /// # Errors
    /// Those of the change.
    pub fn follow(self, geometry: &impl Geometry) -> Result<Sample> {
        Ok(Sample {
            image: self.image.map(|image| geometry.image(&image)).transpose()?,
            boxes: self.boxes.map(|boxes| geometry.boxes(&boxes)).transpose()?,
            masks: self.masks.map(|masks| geometry.mask(&masks)).transpose()?,
            key_points: self
                .key_points
                .map(|points| geometry.key_points(&points))
                .transpose()?,
            labels: self.labels,
        })
    }

    /// The sample with the picture changed and everything else as it is.
    ///
    /// # Errors
    /// Those of `change`.
    pub fn map_image(self, change: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Sample> {
        Ok(Sample {
            image: self.image.map(|image| change(&image)).transpose()?,
            ..self
        })
    }

    /// Height and width of what is in the sample.
    ///
    /// # Errors
    /// `Value` if there is nothing that has a size; `Shape` if sizes differ.
    pub fn size(&self, op: &str) -> Result<(usize, usize)> {
        let last_two = |t: &Tensor| match t.shape() {
            [.., height, width] => Ok((*height, *width)),
            shape => bail!(Shape, "{op}: expected height and width, got {shape:?}"),
        };
        let sizes = [
            self.image.as_ref().map(last_two).transpose()?,
            self.masks.as_ref().map(last_two).transpose()?,
            self.boxes.as_ref().map(|boxes| boxes.canvas),
            self.key_points.as_ref().map(|points| points.canvas),
        ];
        let mut sizes = sizes.into_iter().flatten();
        let Some(first) = sizes.next() else {
            bail!(Value, "{op}: the sample has neither a picture nor marks on one")
        };
        match sizes.find(|&size| size != first) {
            Some(other) => bail!(
                Shape,
                "{op}: the parts of a sample are of different sizes, {first:?} and {other:?}"
            ),
            None => Ok(first),
        }
    }

    /// The picture.
    ///
    /// # Errors
    /// `Value` if there is none.
    pub fn picture(&self, op: &str) -> Result<&Tensor> {
        match &self.image {
            Some(image) => Ok(image),
            None => bail!(Value, "{op}: the sample has no picture"),
        }
    }
}
