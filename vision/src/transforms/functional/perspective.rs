//! Perspective maps (`perspective`): `(x, y) → ((a·x + b·y + c)/(g·x + h·y + 1), (d·x + e·y + f)/(g·x + h·y + 1))`.

use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::affine::surrounding;
use super::warp::{grid_dtype, plane, quotients, sample_at};
use super::{InterpolationMode, as_picture, dimensions};
use crate::transforms::{BoundingBoxes, Geometry, KeyPoints};

/// A perspective map of the plane; also as a whole sample follows it.
#[derive(Clone, Debug)]
pub struct Perspective {
    /// `[a, b, c, d, e, f, g, h]`: where the value of each new pixel comes from.
    pub coefficients: [f64; 8],
    /// How values between pixels are made: nearest or bilinear.
    pub interpolation: InterpolationMode,
    /// What lies outside: one value or one for each channel. Without it, black that fades in over the border pixels.
    pub fill: Option<Vec<f64>>,
}

/// The coefficients of the map that takes the points `end` to the points `start`: what a picture needs whose points
/// `start` are to appear at `end`. Points are (x, y), four corners clockwise from the top left.
///
/// # Errors
/// `Value` if three of the points `end` lie on one line.
pub fn perspective_coefficients(start: &[[f64; 2]; 4], end: &[[f64; 2]; 4]) -> Result<[f64; 8]> {
    let mut rows = Vec::with_capacity(64);
    for ([x, y], [to_x, to_y]) in end.iter().zip(start) {
        rows.extend([*x, *y, 1.0, 0.0, 0.0, 0.0, -to_x * x, -to_x * y]);
        rows.extend([0.0, 0.0, 0.0, *x, *y, 1.0, -to_y * x, -to_y * y]);
    }
    let right: Vec<f64> = start.iter().flatten().copied().collect();
    let solution = Tensor::from_vec(rows, (8, 8))?
        .solve(&Tensor::from_vec(right, 8)?)
        .map_err(|error| error.context(format!("perspective: corners {end:?}")))?;
    // Torchvision keeps them in single precision.
    let solution = solution.to_dtype(DType::F32)?.to_vec_f64()?;
    let mut coefficients = [0.0; 8];
    coefficients.copy_from_slice(&solution);
    Ok(coefficients)
}

/// The picture under a perspective map.
///
/// # Errors
/// `Shape` unless the tensor is a picture; `Value` for another interpolation than nearest or bilinear, or a `fill` that
/// does not fit.
pub fn perspective(image: &Tensor, map: &Perspective) -> Result<Tensor> {
    let [_, height, width] = dimensions("perspective", image)?;
    let dtype = grid_dtype(image);
    let [a, b, c, d, e, f, g, h] = map.coefficients;
    let centres = |n: usize| Tensor::linspace(0.5, n as f64 - 0.5, n, dtype);
    let (x, y) = (centres(width)?, centres(height)?);
    let divisor = plane(&x, &y, quotients([g, h, 1.0], 1.0, dtype))?;
    let along = |m: [f64; 3], size: usize| {
        let numerator = plane(&x, &y, quotients(m, size as f64 * 0.5, dtype))?;
        numerator.div(&divisor)?.sub(1.0)
    };
    let grid = Tensor::stack(&[along([a, b, c], width)?, along([d, e, f], height)?], -1)?.unsqueeze(0)?;
    sample_at(
        "perspective",
        image,
        &grid,
        map.interpolation,
        map.fill.as_deref(),
    )
}

impl Perspective {
    /// Where points `[n, 2]` go: the inverse of where pixels come from.
    fn map_points(&self, points: &Tensor) -> Result<Tensor> {
        let [a, b, c, d, e, f, g, h] = self.coefficients;
        let scale = a * e - b * d;
        ensure!(
            scale != 0.0,
            Value,
            "perspective: points can't follow a map that has no inverse, {:?}",
            self.coefficients
        );
        let dtype = points.dtype();
        let rows = |rows: [[f64; 3]; 3]| Tensor::new(rows)?.to_dtype(dtype);
        let inverse = rows([
            [(e - f * h) / scale, (f * g - d) / scale, (d * h - e * g) / scale],
            [(c * h - b) / scale, (a - c * g) / scale, (b * g - a * h) / scale],
            [(b * f - c * e) / scale, (c * d - a * f) / scale, 1.0],
        ])?;
        let ones = points.new_ones((points.shape()[0], 1))?;
        let mapped = Tensor::cat(&[points, &ones], 1)?.matmul(&inverse)?;
        mapped.narrow(1, 0, 2)?.div(&mapped.narrow(1, 2, 1)?)
    }
}

impl Geometry for Perspective {
    fn image(&self, image: &Tensor) -> Result<Tensor> {
        perspective(image, self)
    }

    fn mask(&self, mask: &Tensor) -> Result<Tensor> {
        let nearest = Perspective {
            interpolation: InterpolationMode::Nearest,
            ..self.clone()
        };
        as_picture(mask, |mask| perspective(mask, &nearest))
    }

    fn boxes(&self, boxes: &BoundingBoxes) -> Result<BoundingBoxes> {
        if boxes.boxes.numel() == 0 {
            return Ok(boxes.clone());
        }
        surrounding(boxes, boxes.canvas, |corners| self.map_points(corners))
    }

    fn key_points(&self, points: &KeyPoints) -> Result<KeyPoints> {
        let (shape, dtype) = (points.points.shape(), points.points.dtype());
        let flat = points
            .points
            .to_dtype(dtype.to_float())?
            .reshape([points.points.numel() / 2, 2])?;
        let mapped = self.map_points(&flat)?.reshape(shape)?.to_dtype(dtype)?;
        Ok(points.with(mapped, points.canvas))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_go_where_they_are_sent() {
        let start = [[0.0, 0.0], [59.0, 0.0], [59.0, 49.0], [0.0, 49.0]];
        let end = [[5.0, 3.0], [55.0, 6.0], [50.0, 45.0], [3.0, 40.0]];
        let map = Perspective {
            coefficients: perspective_coefficients(&start, &end).unwrap(),
            interpolation: InterpolationMode::Bilinear,
            fill: None,
        };
        let mapped = map.map_points(&Tensor::new(start).unwrap()).unwrap();
        assert!(
            mapped
                .allclose(&Tensor::new(end).unwrap(), 1e-4, 1e-4, false)
                .unwrap(),
            "{mapped}"
        );
        let line = [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]];
        assert!(
            perspective_coefficients(&start, &line)
                .unwrap_err()
                .to_string()
                .starts_with("perspective")
        );
    }
}
