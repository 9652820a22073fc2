//! Mixing the pictures of a batch with each other, labels included: `MixUp`, `CutMix`.

use flambeau_tensor::{DType, Result, Tensor, bail, ensure};

use super::{Sample, Transform, draw};

/// Mixes each picture of a batch with the one before it (Zhang et al., 2018): `λ·x + (1 - λ)·x'`, λ from a Beta
/// distribution.
///
/// # Shapes
/// pictures `[batch, channels, height, width]`, labels `[batch]` of classes or `[batch, classes]` of probabilities →
/// labels `[batch, classes]`.
#[derive(Clone, Copy, Debug)]
pub struct MixUp {
    /// Of the Beta distribution: 1 is uniform, more is nearer to a half.
    pub alpha: f64,
    /// The number of classes; needed for labels that are classes.
    pub num_classes: Option<usize>,
}

/// Puts a rectangle of the picture before it into each picture of a batch (Yun et al., 2019).
///
/// # Shapes
/// As for [`MixUp`].
#[derive(Clone, Copy, Debug)]
pub struct CutMix {
    /// Of the Beta distribution of areas: 1 is uniform, more is nearer to a half.
    pub alpha: f64,
    /// The number of classes; needed for labels that are classes.
    pub num_classes: Option<usize>,
}

/// The batch of pictures and its labels as probabilities.
fn batch(op: &str, sample: &Sample, num_classes: Option<usize>) -> Result<(Tensor, Tensor)> {
    ensure!(
        sample.boxes.is_none() && sample.masks.is_none() && sample.key_points.is_none(),
        Unsupported,
        "{op}: boxes, masks and points can't be mixed"
    );
    let (Some(images), Some(labels)) = (&sample.image, &sample.labels) else {
        bail!(Value, "{op}: expected pictures with labels")
    };
    ensure!(
        images.rank() == 4 && images.shape()[0] == labels.shape().first().copied().unwrap_or(0),
        Shape,
        "{op}: expected pictures [batch, channels, height, width] with a label each, got {:?} and {:?}",
        images.shape(),
        labels.shape()
    );
    let probabilities = match (labels.rank(), num_classes) {
        (1, Some(classes)) => labels.one_hot(Some(classes))?,
        (1, None) => bail!(Value, "{op}: labels that are classes need num_classes"),
        (2, classes) if classes.is_none_or(|classes| classes == labels.shape()[1]) => labels.clone(),
        _ => bail!(
            Shape,
            "{op}: labels {:?} for {num_classes:?} classes",
            labels.shape()
        ),
    };
    let dtype = match labels.dtype() {
        dtype if dtype.is_float() => dtype,
        _ => DType::F32,
    };
    Ok((images.clone(), probabilities.to_dtype(dtype)?))
}

/// `λ·x + (1 - λ)·x'`, x' being the one before.
fn mixed(x: &Tensor, share: f64) -> Result<Tensor> {
    x.roll(1, 0)?.mul(1.0 - share)?.add(&x.mul(share)?)
}

impl Transform for MixUp {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let op = "MixUp";
        let (images, labels) = batch(op, &sample, self.num_classes)?;
        ensure!(
            images.dtype().is_float(),
            DType,
            "{op}: expected pictures of floats, got {}",
            images.dtype()
        );
        let share = draw::beta(self.alpha);
        Ok(Sample {
            image: Some(mixed(&images, share)?),
            labels: Some(mixed(&labels, share)?),
            ..sample
        })
    }
}

impl Transform for CutMix {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let op = "CutMix";
        let (images, labels) = batch(op, &sample, self.num_classes)?;
        let (height, width) = sample.size(op)?;
        let share = draw::beta(self.alpha);
        let (x, y) = (draw::randint(0, width), draw::randint(0, height));
        let half = 0.5 * (1.0 - share).sqrt();
        let around = |at: usize, size: usize| {
            let half = (half * size as f64) as usize;
            (at.saturating_sub(half), (at + half).min(size))
        };
        let ((left, right), (top, bottom)) = (around(x, width), around(y, height));
        let area = ((right - left) * (bottom - top)) as f64;
        let part = (.., top..bottom, left..right);
        let mixed_images = images.copy()?;
        mixed_images.set(part.clone(), &images.roll(1, 0)?.i(part)?)?;
        Ok(Sample {
            image: Some(mixed_images),
            labels: Some(mixed(&labels, 1.0 - area / (width * height) as f64)?),
            ..sample
        })
    }
}
