//! Moving each pixel by a displacement of its own (`elastic`).

use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::affine::surrounding;
use super::warp::{grid_dtype, sample_at};
use super::{InterpolationMode, as_picture, dimensions};
use crate::transforms::{BoundingBoxes, Geometry, KeyPoints};

/// A displacement of each pixel; also as a whole sample follows it.
#[derive(Clone, Debug)]
pub struct Elastic {
    /// `[1, height, width, 2]`: how far from each pixel its new value comes from, along x and y, in halves of the
    /// picture's size.
    pub displacement: Tensor,
    /// How values between pixels are made: nearest or bilinear.
    pub interpolation: InterpolationMode,
    /// What lies outside: one value or one for each channel. Without it, black that fades in over the border pixels.
    pub fill: Option<Vec<f64>>,
}

/// `[1, height, width, 2]`: the centres of pixels, -1 to 1 being the edges of the picture.
fn identity_grid((height, width): (usize, usize), dtype: DType) -> Result<Tensor> {
    let centres = |n: usize| {
        let end = (n as f64 - 1.0) / n as f64;
        Tensor::linspace(-end, end, n, dtype)
    };
    let x = centres(width)?.reshape([1, width])?.expand([height, width])?;
    let y = centres(height)?.reshape([height, 1])?.expand([height, width])?;
    Tensor::stack(&[x, y], -1)?.unsqueeze(0)
}

impl Elastic {
    fn check(&self, (height, width): (usize, usize)) -> Result<()> {
        let shape = self.displacement.shape();
        ensure!(
            shape == [1, height, width, 2],
            Shape,
            "elastic: expected displacements [1, {height}, {width}, 2], got {shape:?}"
        );
        Ok(())
    }

    /// Where points `[n, 2]` go: by the displacement of the pixel they lie in, the other way.
    fn map_points(&self, points: &Tensor, canvas: (usize, usize), round_up: bool) -> Result<Tensor> {
        self.check(canvas)?;
        let dtype = points.dtype();
        let moved = identity_grid(canvas, dtype)?.sub(&self.displacement.to_dtype(dtype)?)?;
        let pixels = if round_up { points.ceil()? } else { points.clone() };
        let pixels = pixels.to_dtype(DType::I64)?;
        let at = |axis: isize, size: usize| {
            pixels
                .select(1, axis)?
                .clamp(Some(0.into()), Some((size as i64 - 1).into()))
        };
        let (x, y) = (at(0, canvas.1)?, at(1, canvas.0)?);
        let size = Tensor::new([canvas.1 as f64, canvas.0 as f64])?.to_dtype(dtype)?;
        moved.i((0, &y, &x))?.add(1.0)?.mul(&size.mul(0.5)?)?.sub(0.5)
    }
}

/// The picture with displaced pixels.
///
/// # Errors
/// `Shape` unless the tensor is a picture and there is a displacement for each of its pixels; `Value` for another
/// interpolation than nearest or bilinear, or a `fill` that does not fit.
pub fn elastic(image: &Tensor, map: &Elastic) -> Result<Tensor> {
    let [_, height, width] = dimensions("elastic", image)?;
    map.check((height, width))?;
    let dtype = grid_dtype(image);
    let grid = identity_grid((height, width), dtype)?.add(&map.displacement.to_dtype(dtype)?)?;
    sample_at("elastic", image, &grid, map.interpolation, map.fill.as_deref())
}

impl Geometry for Elastic {
    fn image(&self, image: &Tensor) -> Result<Tensor> {
        elastic(image, self)
    }

    fn mask(&self, mask: &Tensor) -> Result<Tensor> {
        let nearest = Elastic {
            interpolation: InterpolationMode::Nearest,
            ..self.clone()
        };
        as_picture(mask, |mask| elastic(mask, &nearest))
    }

    fn boxes(&self, boxes: &BoundingBoxes) -> Result<BoundingBoxes> {
        if boxes.boxes.numel() == 0 {
            return Ok(boxes.clone());
        }
        surrounding(boxes, boxes.canvas, |corners| {
            self.map_points(corners, boxes.canvas, true)
        })
    }

    fn key_points(&self, points: &KeyPoints) -> Result<KeyPoints> {
        let (shape, dtype) = (points.points.shape(), points.points.dtype());
        let flat = points
            .points
            .to_dtype(dtype.to_float())?
            .reshape([points.points.numel() / 2, 2])?;
        let mapped = self.map_points(&flat, points.canvas, false)?.reshape(shape)?;
        Ok(points.with(mapped.to_dtype(dtype)?, points.canvas))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_displacement_shifts() {
        let image = Tensor::new([[[1.0f64, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]]).unwrap();
        let displacement = Tensor::zeros((1, 2, 4, 2), DType::F64).unwrap();
        displacement.set((.., 0), 0.5).unwrap();
        let map = Elastic {
            displacement,
            interpolation: InterpolationMode::Bilinear,
            fill: Some(vec![9.0]),
        };
        let shifted = elastic(&image, &map).unwrap().to_vec::<f64>().unwrap();
        let expected = [2.0, 3.0, 4.0, 9.0, 6.0, 7.0, 8.0, 9.0];
        assert!(
            shifted.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9),
            "{shifted:?}"
        );
        let points = KeyPoints::new(Tensor::new([[2.0f64, 1.0]]).unwrap(), (2, 4)).unwrap();
        let points = map.key_points(&points).unwrap().points.to_vec::<f64>().unwrap();
        assert!(
            (points[0] - 1.0).abs() < 1e-9 && (points[1] - 1.0).abs() < 1e-9,
            "{points:?}"
        );
        assert!(elastic(&Tensor::zeros((1, 3, 4), DType::F32).unwrap(), &map).is_err());
    }
}
