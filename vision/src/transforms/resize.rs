//! Resizing as transforms: `Resize`, `RandomResize`, `RandomShortestSize`, `ScaleJitter`.

use flambeau_tensor::{Result, ensure};

use super::functional::{Resize, ResizeOptions, ResizeSize};
use super::{Sample, Transform, draw};

impl Resize {
    /// To a size of the smaller edge, or to height and width, bilinearly.
    pub fn new(size: impl Into<ResizeSize>) -> Self {
        Resize {
            size: size.into(),
            options: ResizeOptions::default(),
        }
    }
}

impl Transform for Resize {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        sample.follow(self)
    }
}

fn to_size(sample: Sample, height: usize, width: usize, options: ResizeOptions) -> Result<Sample> {
    sample.follow(&Resize {
        size: ResizeSize::HeightWidth(height, width),
        options,
    })
}

/// Resizes the smaller edge to a random size.
#[derive(Clone, Copy, Debug)]
pub struct RandomResize {
    /// The least size.
    pub min_size: usize,
    /// The size that is just too large.
    pub max_size: usize,
    /// How to resize.
    pub options: ResizeOptions,
}

impl Transform for RandomResize {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        ensure!(
            self.min_size < self.max_size,
            Value,
            "RandomResize: expected min_size < max_size, got {} and {}",
            self.min_size,
            self.max_size
        );
        let edge = draw::randint(self.min_size, self.max_size);
        sample.follow(&Resize {
            size: ResizeSize::SmallerEdge(edge),
            options: self.options,
        })
    }
}

/// Resizes the smaller edge to one of several sizes, as far as the larger one does not get too large.
#[derive(Clone, Debug)]
pub struct RandomShortestSize {
    /// The sizes.
    pub min_size: Vec<usize>,
    /// The largest size of the larger edge.
    pub max_size: Option<usize>,
    /// How to resize.
    pub options: ResizeOptions,
}

impl Transform for RandomShortestSize {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let op = "RandomShortestSize";
        let (height, width) = sample.size(op)?;
        ensure!(
            !self.min_size.is_empty(),
            Value,
            "{op}: expected one size or more"
        );
        let edge = self.min_size[draw::randint(0, self.min_size.len())];
        let mut scale = edge as f64 / height.min(width) as f64;
        if let Some(max) = self.max_size {
            scale = scale.min(max as f64 / height.max(width) as f64);
        }
        let scaled = |size: usize| (size as f64 * scale) as usize;
        to_size(sample, scaled(height), scaled(width), self.options)
    }
}

/// Resizes pictures to fit a size times a random factor (Ghiasi et al., 2021).
#[derive(Clone, Copy, Debug)]
pub struct ScaleJitter {
    /// The size to fit.
    pub target_size: (usize, usize),
    /// The range of factors.
    pub scale_range: (f64, f64),
    /// How to resize.
    pub options: ResizeOptions,
}

impl ScaleJitter {
    /// With torchvision's range of factors.
    pub fn new(target_size: (usize, usize)) -> Self {
        ScaleJitter {
            target_size,
            scale_range: (0.1, 2.0),
            options: ResizeOptions::default(),
        }
    }
}

impl Transform for ScaleJitter {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let (height, width) = sample.size("ScaleJitter")?;
        let (low, high) = self.scale_range;
        let factor = low as f32 + draw::rand() * (high - low) as f32;
        let (a, b) = (
            self.target_size.1 as f64 / height as f64,
            self.target_size.0 as f64 / width as f64,
        );
        let scale = a.min(b) as f32 * factor;
        let scaled = |size: usize| (size as f32 * scale) as usize;
        to_size(sample, scaled(height), scaled(width), self.options)
    }
}
