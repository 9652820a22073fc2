//! Resizing (`resize`).
//!
//! Bytes are resized in integers, as Pillow and PyTorch do; floats as they are; other types as `float32`.

use flambeau_tensor::ops::interpolate::{InterpolateMode, InterpolateOptions, InterpolateSize, interpolate};
use flambeau_tensor::{DType, Result, Tensor, bail, ensure};
use serde::{Deserialize, Serialize};

use super::{as_picture, batched, dimensions};
use crate::transforms::{BoundingBoxes, Geometry, KeyPoints};

/// How values between pixels are made (`torchvision.transforms.InterpolationMode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterpolationMode {
    /// The nearest pixel, by PyTorch's original rounding.
    Nearest,
    /// The nearest pixel, by the positions of the pixels' centres, as Pillow does.
    NearestExact,
    /// Linear along both dimensions.
    #[default]
    Bilinear,
    /// Cubic along both dimensions.
    Bicubic,
}

impl InterpolationMode {
    /// The mode of torchvision's name.
    pub fn from_name(name: &str) -> Option<InterpolationMode> {
        Some(match name {
            "nearest" => InterpolationMode::Nearest,
            "nearest-exact" => InterpolationMode::NearestExact,
            "bilinear" => InterpolationMode::Bilinear,
            "bicubic" => InterpolationMode::Bicubic,
            _ => return None,
        })
    }
}

/// The size to resize to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResizeSize {
    /// Of the smaller edge; the other one follows in proportion.
    SmallerEdge(usize),
    /// Height and width.
    HeightWidth(usize, usize),
    /// The larger edge gets [`ResizeOptions::max_size`] (torchvision's `size=None`).
    LargerEdge,
}

impl From<usize> for ResizeSize {
    fn from(size: usize) -> Self {
        ResizeSize::SmallerEdge(size)
    }
}

impl From<(usize, usize)> for ResizeSize {
    fn from((height, width): (usize, usize)) -> Self {
        ResizeSize::HeightWidth(height, width)
    }
}

/// Options of [`resize`]; the defaults are torchvision's.
#[derive(Clone, Copy, Debug)]
pub struct ResizeOptions {
    /// How values between pixels are made.
    pub interpolation: InterpolationMode,
    /// The larger edge gets no larger than this, whatever the smaller one should be.
    pub max_size: Option<usize>,
    /// Whether shrinking averages over all pixels that a new one covers. For linear and cubic interpolation.
    pub antialias: bool,
}

impl Default for ResizeOptions {
    fn default() -> Self {
        ResizeOptions {
            interpolation: InterpolationMode::Bilinear,
            max_size: None,
            antialias: true,
        }
    }
}

/// Height and width that [`resize`] gives a picture of height and width `canvas`.
///
/// # Errors
/// `Value` if `max_size` is missing, does not leave room for the smaller edge, or is given beside both sizes; `Shape` for
/// an empty picture whose proportions are asked for.
pub fn resized_size(
    canvas: (usize, usize),
    size: ResizeSize,
    max_size: Option<usize>,
) -> Result<(usize, usize)> {
    let (height, width) = canvas;
    let (short, long) = (height.min(width), height.max(width));
    let (new_short, new_long) = match (size, max_size) {
        (ResizeSize::HeightWidth(..), Some(max)) => bail!(
            Value,
            "resize: a largest size ({max}) is for a size of the smaller edge, not for {size:?}"
        ),
        (ResizeSize::HeightWidth(height, width), None) => return Ok((height, width)),
        (ResizeSize::LargerEdge, None) => bail!(Value, "resize: the larger edge needs max_size"),
        _ if short == 0 => bail!(Shape, "resize: a picture of {canvas:?} has no proportions"),
        (ResizeSize::LargerEdge, Some(max)) => (scaled(max, short, long), max),
        (ResizeSize::SmallerEdge(edge), max_size) => {
            let new_long = scaled(edge, long, short);
            match max_size {
                Some(max) if max <= edge => bail!(
                    Value,
                    "resize: max_size {max} must be greater than the size of the smaller edge, {edge}"
                ),
                Some(max) if new_long > max => (scaled(max, edge, new_long), max),
                _ => (edge, new_long),
            }
        }
    };
    Ok(if width <= height {
        (new_long, new_short)
    } else {
        (new_short, new_long)
    })
}

/// `a·b/c`, cut off.
fn scaled(a: usize, b: usize, c: usize) -> usize {
    (a as f64 * b as f64 / c as f64) as usize
}

/// The picture in another size.
///
/// # Shapes
/// `[…, channels, height, width] → […, channels, new height, new width]`.
///
/// # Errors
/// Those of [`resized_size`]; `Shape` if a new size is 0 or the tensor is no picture.
pub fn resize(image: &Tensor, size: impl Into<ResizeSize>, options: &ResizeOptions) -> Result<Tensor> {
    let [_, height, width] = dimensions("resize", image)?;
    let (new_height, new_width) = resized_size((height, width), size.into(), options.max_size)?;
    if (new_height, new_width) == (height, width) {
        return Ok(image.clone());
    }
    ensure!(
        new_height > 0 && new_width > 0 && image.numel() > 0,
        Shape,
        "resize: can't make a picture of {new_height} x {new_width} of {:?}",
        image.shape()
    );
    let mode = match options.interpolation {
        InterpolationMode::Nearest => InterpolateMode::Nearest,
        InterpolationMode::NearestExact => InterpolateMode::NearestExact,
        InterpolationMode::Bilinear => InterpolateMode::Bilinear,
        InterpolationMode::Bicubic => InterpolateMode::Bicubic,
    };
    let smooth = matches!(mode, InterpolateMode::Bilinear | InterpolateMode::Bicubic);
    let interpolation = InterpolateOptions {
        mode,
        antialias: options.antialias && smooth,
        ..InterpolateOptions::default()
    };
    let dtype = image.dtype();
    let native = !smooth || matches!(dtype, DType::U8 | DType::F32 | DType::F64);
    let source = image.to_dtype(if native { dtype } else { DType::F32 })?;
    let output = batched(&source, |x| {
        interpolate(x, InterpolateSize::Size(&[new_height, new_width]), &interpolation)
    })?;
    if native {
        Ok(output)
    } else if dtype.is_float() {
        output.to_dtype(dtype)
    } else {
        output.round()?.to_dtype(dtype)
    }
}

/// [`resize`], as a whole sample follows it.
#[derive(Clone, Copy, Debug)]
pub struct Resize {
    /// The new size.
    pub size: ResizeSize,
    /// How.
    pub options: ResizeOptions,
}

impl Resize {
    fn ratios(&self, canvas: (usize, usize)) -> Result<((usize, usize), [f32; 2])> {
        let (height, width) = resized_size(canvas, self.size, self.options.max_size)?;
        let ratio = |new: usize, old: usize| (new as f64 / old as f64) as f32;
        Ok(((height, width), [ratio(width, canvas.1), ratio(height, canvas.0)]))
    }
}

impl Geometry for Resize {
    fn image(&self, image: &Tensor) -> Result<Tensor> {
        resize(image, self.size, &self.options)
    }

    fn mask(&self, mask: &Tensor) -> Result<Tensor> {
        let interpolation = match self.options.interpolation {
            InterpolationMode::NearestExact => InterpolationMode::NearestExact,
            _ => InterpolationMode::Nearest,
        };
        let options = ResizeOptions {
            interpolation,
            ..self.options
        };
        as_picture(mask, |mask| resize(mask, self.size, &options))
    }

    fn boxes(&self, boxes: &BoundingBoxes) -> Result<BoundingBoxes> {
        let (canvas, [x, y]) = self.ratios(boxes.canvas)?;
        if canvas == boxes.canvas {
            return Ok(boxes.clone());
        }
        let scaled = boxes.boxes.mul(&Tensor::new([x, y, x, y])?)?;
        Ok(boxes.with(scaled.to_dtype(boxes.boxes.dtype())?, canvas))
    }

    fn key_points(&self, points: &KeyPoints) -> Result<KeyPoints> {
        let (canvas, ratios) = self.ratios(points.canvas)?;
        if canvas == points.canvas {
            return Ok(points.clone());
        }
        let scaled = points.points.mul(&Tensor::new(ratios)?)?;
        Ok(points.with(scaled.to_dtype(points.points.dtype())?, canvas))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_smaller_edge() {
        let size = |canvas, size: ResizeSize, max| resized_size(canvas, size, max).unwrap();
        assert_eq!(size((50, 60), 24.into(), None), (24, 28));
        assert_eq!(size((60, 50), 24.into(), None), (28, 24));
        assert_eq!(size((50, 100), 24.into(), Some(40)), (20, 40));
        assert_eq!(size((50, 100), ResizeSize::LargerEdge, Some(40)), (20, 40));
        assert_eq!(size((50, 100), (7, 9).into(), None), (7, 9));
        assert!(resized_size((50, 60), 24.into(), Some(24)).is_err());
        assert!(resized_size((50, 60), (7, 9).into(), Some(24)).is_err());
        assert!(resized_size((0, 60), 24.into(), None).is_err());
    }

    #[test]
    fn every_type_is_resized() {
        for dtype in [
            DType::U8,
            DType::I32,
            DType::F16,
            DType::F32,
            DType::F64,
            DType::I64,
        ] {
            let image = Tensor::full((3, 4, 6), 7, dtype).unwrap();
            let resized = resize(&image, (2, 3), &ResizeOptions::default()).unwrap();
            assert_eq!((resized.dtype(), resized.shape()), (dtype, &[3, 2, 3][..]));
            assert!(resized.to_vec_f64().unwrap().iter().all(|&x| x == 7.0), "{dtype}");
        }
        let error = resize(
            &Tensor::zeros((4, 6), DType::U8).unwrap(),
            2,
            &ResizeOptions::default(),
        );
        assert!(
            error
                .unwrap_err()
                .to_string()
                .starts_with("resize: expected a picture")
        );
    }
}
