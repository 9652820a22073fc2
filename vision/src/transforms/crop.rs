//! Cutting out as transforms: `CenterCrop`, `RandomCrop`, `RandomResizedCrop`, `FiveCrop`, `TenCrop`.

use flambeau_data::formats::image::EncodedImage;
use flambeau_tensor::{Result, Tensor, ensure};

use super::functional::{
    Crop, Pad, PaddingMode, Resize, ResizeOptions, ResizeSize, center_crop_of, five_crop, ten_crop,
};
use super::{Geometry, Sample, Transform, draw};

/// Cuts out the middle; what is marked follows.
#[derive(Clone, Copy, Debug)]
pub struct CenterCrop {
    /// Height and width.
    pub size: (usize, usize),
}

impl CenterCrop {
    /// A square.
    pub fn new(size: usize) -> Self {
        CenterCrop { size: (size, size) }
    }
}

impl Transform for CenterCrop {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let canvas = sample.size("CenterCrop")?;
        sample.follow(&center_crop_of(canvas, self.size))
    }
}

/// Cuts out a random part, of a picture that may be padded before; what is marked follows.
#[derive(Clone, Debug)]
pub struct RandomCrop {
    /// Height and width.
    pub size: (usize, usize),
    /// What is added around pictures before: `[left, top, right, bottom]`.
    pub padding: Option<[usize; 4]>,
    /// Whether pictures that are too small are padded.
    pub pad_if_needed: bool,
    /// The colour of padding: one value or one for each channel.
    pub fill: Vec<f64>,
    /// What padding consists of.
    pub padding_mode: PaddingMode,
}

impl RandomCrop {
    /// A square, without padding.
    pub fn new(size: usize) -> Self {
        RandomCrop {
            size: (size, size),
            padding: None,
            pad_if_needed: false,
            fill: vec![0.0],
            padding_mode: PaddingMode::Constant,
        }
    }

    /// The same with so many pixels added on all sides before.
    pub fn padding(self, padding: usize) -> Self {
        RandomCrop {
            padding: Some([padding; 4]),
            ..self
        }
    }
}

impl Transform for RandomCrop {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let canvas = sample.size("RandomCrop")?;
        let mut around = self.padding.unwrap_or_default();
        let [left, top, right, bottom] = &mut around;
        let (mut height, mut width) = (canvas.0 + *top + *bottom, canvas.1 + *left + *right);
        if self.pad_if_needed {
            for (size, wanted, before, behind) in [
                (&mut height, self.size.0, top, bottom),
                (&mut width, self.size.1, left, right),
            ] {
                let missing = wanted.saturating_sub(*size);
                *before += missing;
                *behind += missing;
                *size += 2 * missing;
            }
        }
        ensure!(
            self.size.0 <= height && self.size.1 <= width,
            Shape,
            "RandomCrop: a part of {:?} is larger than the picture, {height} x {width}",
            self.size
        );
        let start = |size: usize, wanted: usize| match size - wanted {
            0 => 0,
            rest => draw::randint(0, rest + 1) as isize,
        };
        let part = Crop {
            top: start(height, self.size.0),
            left: start(width, self.size.1),
            height: self.size.0,
            width: self.size.1,
        };
        let mut sample = sample;
        if around != [0; 4] {
            sample = sample.follow(&Pad {
                padding: around.map(|n| n as isize),
                fill: self.fill.clone(),
                mode: self.padding_mode,
            })?;
        }
        if (height, width) == self.size {
            return Ok(sample);
        }
        sample.follow(&part)
    }
}

/// Cuts out a part of random area and proportions and resizes it (Szegedy et al., 2015); what is marked follows.
#[derive(Clone, Copy, Debug)]
pub struct RandomResizedCrop {
    /// Height and width of the result.
    pub size: (usize, usize),
    /// The range of areas, in parts of the picture's.
    pub scale: (f64, f64),
    /// The range of widths over heights.
    pub ratio: (f64, f64),
    /// How to resize.
    pub options: ResizeOptions,
}

impl RandomResizedCrop {
    /// A square, with torchvision's ranges.
    pub fn new(size: usize) -> Self {
        RandomResizedCrop {
            size: (size, size),
            scale: (0.08, 1.0),
            ratio: (3.0 / 4.0, 4.0 / 3.0),
            options: ResizeOptions::default(),
        }
    }

    /// What [`forward`](Transform::forward) makes of the decoded picture, bit for bit and with the same random numbers; no
    /// more of it is decoded than the part that is cut out, which of a baseline JPEG is less work.
    ///
    /// # Shapes
    /// `→ [channels, size.0, size.1]`, `uint8`.
    ///
    /// # Errors
    /// Those of [`EncodedImage::decode_part`]; `Shape` if the new size is 0.
    pub fn decode(&self, picture: &EncodedImage<'_>) -> Result<Tensor> {
        let part = self.part(picture.size())?;
        let range = |start: isize, length| start as usize..start as usize + length;
        let image = picture.decode_part(range(part.top, part.height), range(part.left, part.width))?;
        self.resize().image(&image)
    }

    fn resize(&self) -> Resize {
        Resize {
            size: ResizeSize::HeightWidth(self.size.0, self.size.1),
            options: self.options,
        }
    }

    fn part(&self, (height, width): (usize, usize)) -> Result<Crop> {
        let (area, log_ratio) = ((height * width) as f64, log_range(self.ratio)?);
        for _ in 0..10 {
            let (target, aspect) = area_and_aspect(area, self.scale, log_ratio)?;
            let w = (target * aspect).sqrt().round_ties_even() as usize;
            let h = (target / aspect).sqrt().round_ties_even() as usize;
            if 0 < w && w <= width && 0 < h && h <= height {
                return Ok(Crop {
                    top: draw::randint(0, height - h + 1) as isize,
                    left: draw::randint(0, width - w + 1) as isize,
                    height: h,
                    width: w,
                });
            }
        }
        // The largest part in the middle whose proportions are within the range.
        let (low, high) = (self.ratio.0.min(self.ratio.1), self.ratio.0.max(self.ratio.1));
        let proportions = width as f64 / height as f64;
        let (h, w) = if proportions < low {
            ((width as f64 / low).round_ties_even() as usize, width)
        } else if proportions > high {
            (height, (height as f64 * high).round_ties_even() as usize)
        } else {
            (height, width)
        };
        Ok(Crop {
            top: (height.saturating_sub(h) / 2) as isize,
            left: (width.saturating_sub(w) / 2) as isize,
            height: h,
            width: w,
        })
    }
}

/// The logarithms of a range, in single precision.
pub(super) fn log_range(range: (f64, f64)) -> Result<(f64, f64)> {
    let log = Tensor::new([range.0 as f32, range.1 as f32])?
        .log()?
        .to_vec_f64()?;
    Ok((log[0], log[1]))
}

/// A random area, in parts of another one, and random proportions.
pub(super) fn area_and_aspect(area: f64, scale: (f64, f64), log_ratio: (f64, f64)) -> Result<(f64, f64)> {
    let target = area * draw::uniform(scale.0, scale.1);
    let aspect = Tensor::scalar(draw::uniform(log_ratio.0, log_ratio.1) as f32).exp()?;
    Ok((target, aspect.item_f64()?))
}

impl Transform for RandomResizedCrop {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let canvas = sample.size("RandomResizedCrop")?;
        sample.follow(&self.part(canvas)?)?.follow(&self.resize())
    }
}

/// The four corners and the middle of a picture, stacked in a new first dimension.
#[derive(Clone, Copy, Debug)]
pub struct FiveCrop {
    /// Height and width of the parts.
    pub size: (usize, usize),
}

/// The four corners and the middle of a picture and of its mirror image, stacked in a new first dimension.
#[derive(Clone, Copy, Debug)]
pub struct TenCrop {
    /// Height and width of the parts.
    pub size: (usize, usize),
    /// Whether the picture is turned upside down rather than mirrored.
    pub vertical_flip: bool,
}

fn check_unmarked(op: &str, sample: &Sample) -> Result<()> {
    ensure!(
        sample.boxes.is_none() && sample.masks.is_none() && sample.key_points.is_none(),
        Unsupported,
        "{op}: boxes, masks and points can't follow"
    );
    Ok(())
}

impl Transform for FiveCrop {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        check_unmarked("FiveCrop", &sample)?;
        sample.map_image(|image| Tensor::stack(&five_crop(image, self.size)?, 0))
    }
}

impl Transform for TenCrop {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        check_unmarked("TenCrop", &sample)?;
        sample.map_image(|image| Tensor::stack(&ten_crop(image, self.size, self.vertical_flip)?, 0))
    }
}

impl Transform for Pad {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        sample.follow(self)
    }
}
