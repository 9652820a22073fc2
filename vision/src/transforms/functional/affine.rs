//! Affine maps: rotation, translation, scaling and shearing (`affine`, `rotate`).

use flambeau_tensor::{Result, Tensor, ensure};

use super::warp::{centred, grid_dtype, plane, quotients, sample_at};
use super::{InterpolationMode, as_picture, clamp_bounding_boxes, convert_bounding_box_format, dimensions};
use crate::transforms::{BoundingBoxFormat, BoundingBoxes, Geometry, KeyPoints};

/// An affine map of the plane; also as a whole sample follows it.
#[derive(Clone, Debug)]
pub struct Affine {
    /// Clockwise rotation in degrees.
    pub angle: f64,
    /// Pixels to the right and downwards.
    pub translate: [f64; 2],
    /// The factor by which the picture grows.
    pub scale: f64,
    /// Shearing along x and y in degrees.
    pub shear: [f64; 2],
    /// How values between pixels are made: nearest or bilinear.
    pub interpolation: InterpolationMode,
    /// What lies outside: one value or one for each channel. Without it, black that fades in over the border pixels.
    pub fill: Option<Vec<f64>>,
    /// The point (x, y) in pixels that stays where it is, from the top left; the middle unless given.
    pub center: Option<[f64; 2]>,
}

impl Default for Affine {
    fn default() -> Self {
        Affine {
            angle: 0.0,
            translate: [0.0; 2],
            scale: 1.0,
            shear: [0.0; 2],
            interpolation: InterpolationMode::Nearest,
            fill: None,
            center: None,
        }
    }
}

/// `[a, b, c, d, e, f]` of `x' = a·x + b·y + c`, `y' = d·x + e·y + f`.
type Matrix = [f64; 6];

impl Affine {
    /// The product of rotation, scaling and shearing without the scale: `R(angle)·Shear_y·Shear_x`.
    fn linear(&self) -> [f64; 4] {
        let (rotation, [sx, sy]) = (self.angle.to_radians(), self.shear.map(f64::to_radians));
        let a = (rotation - sy).cos() / sy.cos();
        let c = (rotation - sy).sin() / sy.cos();
        [
            a,
            -(a * sx.tan() + rotation.sin()),
            c,
            rotation.cos() - c * sx.tan(),
        ]
    }

    /// The map of points around `center`.
    fn forward(&self, center: [f64; 2]) -> Matrix {
        let ([a, b, c, d], [x, y], scale) = (self.linear(), center, self.scale);
        let [a, b, c, d] = [a * scale, b * scale, c * scale, d * scale];
        let [to_x, to_y] = [x + self.translate[0], y + self.translate[1]];
        [a, b, to_x - a * x - b * y, c, d, to_y - c * x - d * y]
    }

    /// The inverse of that map: where the value of each new pixel comes from.
    fn inverse(&self, center: [f64; 2]) -> Matrix {
        // The determinant of the part without the scale is 1.
        let ([a, b, c, d], [x, y], scale) = (self.linear(), center, self.scale);
        let [a, b, c, d] = [d / scale, -b / scale, -c / scale, a / scale];
        let [from_x, from_y] = [x + self.translate[0], y + self.translate[1]];
        [
            a,
            b,
            x - a * from_x - b * from_y,
            c,
            d,
            y - c * from_x - d * from_y,
        ]
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.scale > 0.0,
            Value,
            "affine: expected a scale above 0, got {}",
            self.scale
        );
        Ok(())
    }

    fn center_of(&self, canvas: (usize, usize)) -> [f64; 2] {
        self.center
            .unwrap_or([canvas.1 as f64 * 0.5, canvas.0 as f64 * 0.5])
    }

    /// The image of a picture; `expand` makes the result large enough for all of it.
    fn warp(&self, op: &str, image: &Tensor, expand: bool) -> Result<Tensor> {
        self.check()?;
        let [_, height, width] = dimensions(op, image)?;
        let middle = [width as f64 * 0.5, height as f64 * 0.5];
        // Grids count from the middle.
        let center = self
            .center
            .map_or([0.0; 2], |[x, y]| [x - middle[0], y - middle[1]]);
        let matrix = self.inverse(center);
        let (rows, columns) = match expand {
            true => expanded(&matrix, (height, width)),
            false => (height, width),
        };
        let dtype = grid_dtype(image);
        let (x, y) = (centred(columns, dtype)?, centred(rows, dtype)?);
        let row = |m: &[f64], half: f64| plane(&x, &y, quotients([m[0], m[1], m[2]], half, dtype));
        let grid = [row(&matrix[..3], middle[0])?, row(&matrix[3..], middle[1])?];
        let grid = Tensor::stack(&grid, -1)?.unsqueeze(0)?;
        sample_at(op, image, &grid, self.interpolation, self.fill.as_deref())
    }

    /// The image of points `[n, 2]`, moved so that the whole picture is within the new canvas if that grows.
    fn map_points(&self, points: &Tensor, canvas: (usize, usize), expand: bool) -> Result<Tensor> {
        self.check()?;
        let matrix = self.forward(self.center_of(canvas));
        let mapped = transformed(points, &matrix)?;
        if !expand {
            return Ok(mapped);
        }
        let (h, w) = (canvas.0 as f64, canvas.1 as f64);
        let corners = Tensor::new([[0.0, 0.0], [0.0, h], [w, h], [w, 0.0]])?.to_dtype(points.dtype())?;
        mapped.sub(&transformed(&corners, &matrix)?.amin(0, true)?)
    }

    fn map_boxes(&self, boxes: &BoundingBoxes, expand: bool) -> Result<BoundingBoxes> {
        if boxes.boxes.numel() == 0 {
            return Ok(boxes.clone());
        }
        let canvas = self.canvas(boxes.canvas, expand);
        surrounding(boxes, canvas, |corners| {
            self.map_points(corners, boxes.canvas, expand)
        })
    }

    fn map_key_points(&self, points: &KeyPoints, expand: bool) -> Result<KeyPoints> {
        let (shape, dtype) = (points.points.shape(), points.points.dtype());
        let flat = points
            .points
            .to_dtype(dtype.to_float())?
            .reshape([points.points.numel() / 2, 2])?;
        let mapped = self.map_points(&flat, points.canvas, expand)?.reshape(shape)?;
        Ok(points.with(mapped.to_dtype(dtype)?, self.canvas(points.canvas, expand)))
    }

    fn canvas(&self, canvas: (usize, usize), expand: bool) -> (usize, usize) {
        match expand {
            true => expanded(&self.inverse(self.center_of(canvas)), canvas),
            false => canvas,
        }
    }
}

/// `points·Aᵀ + t` of points `[n, 2]`.
fn transformed(points: &Tensor, m: &Matrix) -> Result<Tensor> {
    let matrix = Tensor::new([[m[0], m[3]], [m[1], m[4]]])?.to_dtype(points.dtype())?;
    points
        .matmul(&matrix)?
        .add(&Tensor::new([m[2], m[5]])?.to_dtype(points.dtype())?)
}

/// The boxes around the images of boxes' corners under a map of points `[n, 2]`, within the new canvas.
pub(super) fn surrounding(
    boxes: &BoundingBoxes,
    canvas: (usize, usize),
    map: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<BoundingBoxes> {
    let dtype = boxes.boxes.dtype();
    let float = boxes.with(boxes.boxes.to_dtype(dtype.to_float())?, boxes.canvas);
    let xyxy = convert_bounding_box_format(&float, BoundingBoxFormat::Xyxy)?;
    let corners = xyxy
        .boxes
        .index_select(-1, &Tensor::new([0i64, 1, 2, 1, 2, 3, 0, 3])?)?;
    let count = corners.shape()[0];
    let mapped = map(&corners.reshape([count * 4, 2])?)?.reshape([count, 4, 2])?;
    let around = Tensor::cat(&[mapped.amin(1, false)?, mapped.amax(1, false)?], -1)?;
    let clamped = clamp_bounding_boxes(&xyxy.with(around, canvas))?;
    let result = convert_bounding_box_format(&clamped, boxes.format)?;
    Ok(boxes.with(result.boxes.to_dtype(dtype)?, canvas))
}

/// Height and width of a canvas that holds the whole image of one of height and width `canvas`, in single precision as
/// torchvision computes it.
fn expanded(inverse: &Matrix, canvas: (usize, usize)) -> (usize, usize) {
    let m = inverse.map(|x| x as f32);
    let (half_h, half_w) = (0.5 * canvas.0 as f32, 0.5 * canvas.1 as f32);
    let corners = [
        (-half_w, -half_h),
        (-half_w, half_h),
        (half_w, half_h),
        (half_w, -half_h),
    ];
    let extent = |row: &[f32], half: f32| {
        let along = corners.map(|(x, y)| x * row[0] + y * row[1] + row[2]);
        let low = along.iter().copied().fold(f32::INFINITY, f32::min) + half;
        let high = along.iter().copied().fold(f32::NEG_INFINITY, f32::max) + half;
        // What is less than a ten-thousandth of a pixel does not count.
        let cut = |x: f32| (x * 1e4).trunc() * 1e-4;
        (cut(high).ceil() - cut(low).floor()) as usize
    };
    (extent(&m[3..], half_h), extent(&m[..3], half_w))
}

/// The picture under an affine map.
///
/// # Errors
/// `Shape` unless the tensor is a picture; `Value` for a scale that is not positive, another interpolation than nearest
/// or bilinear, or a `fill` that does not fit.
pub fn affine(image: &Tensor, map: &Affine) -> Result<Tensor> {
    map.warp("affine", image, false)
}

impl Geometry for Affine {
    fn image(&self, image: &Tensor) -> Result<Tensor> {
        affine(image, self)
    }

    fn mask(&self, mask: &Tensor) -> Result<Tensor> {
        let nearest = Affine {
            interpolation: InterpolationMode::Nearest,
            ..self.clone()
        };
        as_picture(mask, |mask| affine(mask, &nearest))
    }

    fn boxes(&self, boxes: &BoundingBoxes) -> Result<BoundingBoxes> {
        self.map_boxes(boxes, false)
    }

    fn key_points(&self, points: &KeyPoints) -> Result<KeyPoints> {
        self.map_key_points(points, false)
    }
}

/// A rotation; also as a whole sample follows it.
#[derive(Clone, Debug, Default)]
pub struct Rotate {
    /// Counter-clockwise, in degrees.
    pub angle: f64,
    /// How values between pixels are made: nearest or bilinear.
    pub interpolation: InterpolationMode,
    /// Whether the result is made large enough for the whole rotated picture.
    pub expand: bool,
    /// The point (x, y) in pixels that stays where it is, from the top left; the middle unless given.
    pub center: Option<[f64; 2]>,
    /// What lies outside: one value or one for each channel.
    pub fill: Option<Vec<f64>>,
}

impl Rotate {
    fn map(&self, angle: f64) -> Affine {
        Affine {
            angle: -angle,
            interpolation: self.interpolation,
            fill: self.fill.clone(),
            center: self.center,
            ..Affine::default()
        }
    }
}

/// The picture rotated. Quarters of a turn around the middle move pixels without interpolation.
///
/// # Errors
/// As [`affine`].
pub fn rotate(image: &Tensor, rotation: &Rotate) -> Result<Tensor> {
    let [_, height, width] = dimensions("rotate", image)?;
    let angle = rotation.angle.rem_euclid(360.0);
    if rotation.center.is_none() {
        let quarters = [0.0, 90.0, 180.0, 270.0]
            .iter()
            .position(|&quarter| quarter == angle);
        let fits = rotation.expand || height == width;
        match quarters {
            Some(0) => return Ok(image.clone()),
            Some(k) if k == 2 || fits => return image.rot90(k as isize, [-2, -1]),
            _ => {}
        }
    }
    rotation.map(angle).warp("rotate", image, rotation.expand)
}

impl Geometry for Rotate {
    fn image(&self, image: &Tensor) -> Result<Tensor> {
        rotate(image, self)
    }

    fn mask(&self, mask: &Tensor) -> Result<Tensor> {
        let nearest = Rotate {
            interpolation: InterpolationMode::Nearest,
            ..self.clone()
        };
        as_picture(mask, |mask| rotate(mask, &nearest))
    }

    fn boxes(&self, boxes: &BoundingBoxes) -> Result<BoundingBoxes> {
        self.map(self.angle).map_boxes(boxes, self.expand)
    }

    fn key_points(&self, points: &KeyPoints) -> Result<KeyPoints> {
        self.map(self.angle).map_key_points(points, self.expand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::DType;

    #[test]
    fn inverse_and_map_cancel() {
        let map = Affine {
            angle: 20.0,
            translate: [3.0, -2.0],
            scale: 1.3,
            shear: [5.0, -8.0],
            ..Affine::default()
        };
        let points = Tensor::new([[1.0f64, 2.0], [-3.0, 4.5]]).unwrap();
        let there = transformed(&points, &map.forward([2.0, 7.0])).unwrap();
        let back = transformed(&there, &map.inverse([2.0, 7.0])).unwrap();
        assert!(back.allclose(&points, 1e-12, 1e-12, false).unwrap());
    }

    #[test]
    fn what_is_marked_stays_on_the_picture() {
        let rotation = Rotate {
            angle: 90.0,
            expand: true,
            ..Rotate::default()
        };
        let image = Tensor::zeros((1, 4, 6), DType::U8).unwrap();
        image.set((0, 1, 2..5), 9).unwrap();
        let boxes = Tensor::new([[2.0f32, 1.0, 5.0, 2.0]]).unwrap();
        let boxes = BoundingBoxes::new(boxes, BoundingBoxFormat::Xyxy, (4, 6)).unwrap();
        let (image, boxes) = (rotation.image(&image).unwrap(), rotation.boxes(&boxes).unwrap());
        assert_eq!((image.shape(), boxes.canvas), (&[1, 6, 4][..], (6, 4)));
        let corners = boxes.boxes.to_vec::<f32>().unwrap();
        assert!(
            corners
                .iter()
                .zip([1.0, 1.0, 2.0, 4.0])
                .all(|(a, b)| (a - b).abs() < 1e-4),
            "{corners:?}"
        );
        assert_eq!(image.i((0, 1..4, 1)).unwrap().to_vec::<u8>().unwrap(), [9; 3]);
    }

    #[test]
    fn wrong_arguments_are_errors() {
        let image = Tensor::zeros((3, 4, 4), DType::U8).unwrap();
        let wrong = |map: Affine| affine(&image, &map).unwrap_err().to_string();
        let default = Affine::default;
        assert!(
            wrong(Affine {
                scale: 0.0,
                ..default()
            })
            .contains("above 0")
        );
        assert!(
            wrong(Affine {
                fill: Some(vec![1.0; 2]),
                ..default()
            })
            .contains("3 channels")
        );
        let cubic = InterpolationMode::Bicubic;
        assert!(
            wrong(Affine {
                interpolation: cubic,
                ..default()
            })
            .contains("Bicubic")
        );
    }
}
