//! Transforms made of transforms: one after the other, some of them, or in any order.

use std::any::Any;

use flambeau_tensor::{DType, Result, ensure};

use super::convert::ScaleNormalize;
use super::{Normalize, Sample, ToDtype, Transform, draw};

/// Transforms one after the other.
///
/// [`ToDtype`] to scaled `float32` and [`Normalize`] after it are done in one pass, which gives the same bits.
#[derive(Debug, Default)]
pub struct Compose {
    transforms: Vec<Box<dyn Transform>>,
    /// The last one makes scaled `float32`.
    scaled: bool,
}

impl Compose {
    /// No transforms: samples stay as they are.
    pub fn new() -> Self {
        Compose::default()
    }

    /// Adds a transform.
    pub fn push(mut self, transform: impl Transform + 'static) -> Self {
        let any: &dyn Any = &transform;
        let grey = any.downcast_ref::<Normalize<1>>().map(ScaleNormalize::boxed);
        let colors = any.downcast_ref::<Normalize<3>>().map(ScaleNormalize::boxed);
        let to_scaled = any
            .downcast_ref::<ToDtype>()
            .is_some_and(|to| to.scale && to.dtype == DType::F32);
        match grey.or(colors) {
            Some(both) if self.scaled => {
                self.transforms.pop();
                self.transforms.push(both);
            }
            _ => self.transforms.push(Box::new(transform)),
        }
        self.scaled = to_scaled;
        self
    }
}

impl Transform for Compose {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        self.transforms
            .iter()
            .try_fold(sample, |sample, transform| transform.forward(sample))
    }
}

/// With probability `p` all transforms one after the other, else none.
#[derive(Debug)]
pub struct RandomApply {
    transforms: Compose,
    p: f64,
}

impl RandomApply {
    /// No transforms yet (torchvision's default for `p`: 0.5).
    pub fn new(p: f64) -> Self {
        RandomApply {
            transforms: Compose::new(),
            p,
        }
    }

    /// Adds a transform.
    pub fn push(mut self, transform: impl Transform + 'static) -> Self {
        self.transforms = self.transforms.push(transform);
        self
    }
}

impl Transform for RandomApply {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        if draw::chance(self.p) {
            self.transforms.forward(sample)
        } else {
            Ok(sample)
        }
    }
}

/// One of the transforms.
#[derive(Debug, Default)]
pub struct RandomChoice {
    transforms: Vec<Box<dyn Transform>>,
    weights: Vec<f64>,
}

impl RandomChoice {
    /// No transforms yet.
    pub fn new() -> Self {
        RandomChoice::default()
    }

    /// Adds a transform that is as likely as others of weight 1.
    pub fn push(self, transform: impl Transform + 'static) -> Self {
        self.push_weighted(transform, 1.0)
    }

    /// Adds a transform that is chosen in proportion to its weight.
    pub fn push_weighted(mut self, transform: impl Transform + 'static, weight: f64) -> Self {
        self.transforms.push(Box::new(transform));
        self.weights.push(weight);
        self
    }
}

impl Transform for RandomChoice {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        ensure!(
            !self.transforms.is_empty(),
            Value,
            "RandomChoice: expected one transform or more"
        );
        self.transforms[draw::choice(&self.weights)?].forward(sample)
    }
}

/// All transforms in random order.
#[derive(Debug, Default)]
pub struct RandomOrder {
    transforms: Vec<Box<dyn Transform>>,
}

impl RandomOrder {
    /// No transforms yet.
    pub fn new() -> Self {
        RandomOrder::default()
    }

    /// Adds a transform.
    pub fn push(mut self, transform: impl Transform + 'static) -> Self {
        self.transforms.push(Box::new(transform));
        self
    }
}

impl Transform for RandomOrder {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let mut order = draw::randperm(self.transforms.len()).into_iter();
        order.try_fold(sample, |sample, at| self.transforms[at].forward(sample))
    }
}
