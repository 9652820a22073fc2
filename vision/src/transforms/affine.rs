//! Random maps of the plane: `RandomRotation`, `RandomAffine`, `RandomPerspective`, `ElasticTransform`.

use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::functional::{
    Affine, Elastic, InterpolationMode, Perspective, Rotate, gaussian_blur, perspective_coefficients,
};
use super::{Sample, Transform, draw};

/// Rotates by a random angle; what is marked follows.
#[derive(Clone, Debug)]
pub struct RandomRotation {
    /// The range of angles in degrees, counter-clockwise.
    pub degrees: (f64, f64),
    /// How values between pixels are made: nearest or bilinear.
    pub interpolation: InterpolationMode,
    /// Whether the result is made large enough for the whole rotated picture.
    pub expand: bool,
    /// The point (x, y) that stays where it is; the middle unless given.
    pub center: Option<[f64; 2]>,
    /// What lies outside: one value or one for each channel.
    pub fill: Option<Vec<f64>>,
}

impl RandomRotation {
    /// Angles from `-degrees` to `degrees`, with torchvision's defaults.
    pub fn new(degrees: f64) -> Self {
        RandomRotation {
            degrees: (-degrees, degrees),
            interpolation: InterpolationMode::Nearest,
            expand: false,
            center: None,
            fill: Some(vec![0.0]),
        }
    }
}

impl Transform for RandomRotation {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        sample.follow(&Rotate {
            angle: draw::uniform(self.degrees.0, self.degrees.1),
            interpolation: self.interpolation,
            expand: self.expand,
            center: self.center,
            fill: self.fill.clone(),
        })
    }
}

/// Applies a random affine map; what is marked follows.
#[derive(Clone, Debug)]
pub struct RandomAffine {
    /// The range of angles in degrees, clockwise.
    pub degrees: (f64, f64),
    /// The largest translation along x and y, in parts of the picture's size.
    pub translate: Option<(f64, f64)>,
    /// The range of factors by which pictures grow.
    pub scale: Option<(f64, f64)>,
    /// The range of angles of shearing along x, in degrees.
    pub shear_x: Option<(f64, f64)>,
    /// The range of angles of shearing along y, in degrees; only beside one along x.
    pub shear_y: Option<(f64, f64)>,
    /// How values between pixels are made: nearest or bilinear.
    pub interpolation: InterpolationMode,
    /// What lies outside: one value or one for each channel.
    pub fill: Option<Vec<f64>>,
    /// The point (x, y) that stays where it is; the middle unless given.
    pub center: Option<[f64; 2]>,
}

impl RandomAffine {
    /// Angles from `-degrees` to `degrees`, with torchvision's defaults.
    pub fn new(degrees: f64) -> Self {
        RandomAffine {
            degrees: (-degrees, degrees),
            translate: None,
            scale: None,
            shear_x: None,
            shear_y: None,
            interpolation: InterpolationMode::Nearest,
            fill: Some(vec![0.0]),
            center: None,
        }
    }
}

impl Transform for RandomAffine {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let (height, width) = sample.size("RandomAffine")?;
        let angle = draw::uniform(self.degrees.0, self.degrees.1);
        let mut translate = [0.0; 2];
        if let Some((x, y)) = self.translate {
            for (shift, reach) in translate.iter_mut().zip([x * width as f64, y * height as f64]) {
                *shift = draw::uniform(-reach, reach).round_ties_even();
            }
        }
        let drawn = |range: Option<(f64, f64)>, default| {
            range.map_or(default, |(low, high)| draw::uniform(low, high))
        };
        let scale = drawn(self.scale, 1.0);
        let shear_x = drawn(self.shear_x, 0.0);
        let shear_y = drawn(self.shear_y.filter(|_| self.shear_x.is_some()), 0.0);
        sample.follow(&Affine {
            angle,
            translate,
            scale,
            shear: [shear_x, shear_y],
            interpolation: self.interpolation,
            fill: self.fill.clone(),
            center: self.center,
        })
    }
}

/// Moves the corners inwards at random with probability `p`; what is marked follows.
#[derive(Clone, Debug)]
pub struct RandomPerspective {
    /// How far corners are moved at most, in halves of the picture's size, from 0 to 1.
    pub distortion_scale: f64,
    /// The probability.
    pub p: f64,
    /// How values between pixels are made: nearest or bilinear.
    pub interpolation: InterpolationMode,
    /// What lies outside: one value or one for each channel.
    pub fill: Option<Vec<f64>>,
}

impl Default for RandomPerspective {
    fn default() -> Self {
        RandomPerspective {
            distortion_scale: 0.5,
            p: 0.5,
            interpolation: InterpolationMode::Bilinear,
            fill: Some(vec![0.0]),
        }
    }
}

impl Transform for RandomPerspective {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let op = "RandomPerspective";
        ensure!(
            (0.0..=1.0).contains(&self.distortion_scale),
            Value,
            "{op}: expected a distortion from 0 to 1, got {}",
            self.distortion_scale
        );
        if !draw::chance(self.p) {
            return Ok(sample);
        }
        let (height, width) = sample.size(op)?;
        ensure!(height > 0 && width > 0, Shape, "{op}: an empty picture");
        let reach = |size: usize| (self.distortion_scale * (size / 2) as f64) as usize + 1;
        let (near_x, near_y) = (reach(width).min(width), reach(height).min(height));
        let first = |reach: usize| draw::randint(0, reach) as f64;
        let last = |reach: usize, size: usize| draw::randint(size - reach, size) as f64;
        let end = [
            [first(near_x), first(near_y)],
            [last(near_x, width), first(near_y)],
            [last(near_x, width), last(near_y, height)],
            [first(near_x), last(near_y, height)],
        ];
        let (right, bottom) = (width as f64 - 1.0, height as f64 - 1.0);
        let start = [[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]];
        sample.follow(&Perspective {
            coefficients: perspective_coefficients(&start, &end)?,
            interpolation: self.interpolation,
            fill: self.fill.clone(),
        })
    }
}

/// Moves each pixel by smooth random displacements (Simard et al., 2003); what is marked follows.
#[derive(Clone, Debug)]
pub struct ElasticTransform {
    /// The strength along x and y, in pixels, before smoothing.
    pub alpha: [f64; 2],
    /// The smoothness along x and y: the standard deviation of a Gaussian, in pixels.
    pub sigma: [f64; 2],
    /// How values between pixels are made: nearest or bilinear.
    pub interpolation: InterpolationMode,
    /// What lies outside: one value or one for each channel.
    pub fill: Option<Vec<f64>>,
}

impl Default for ElasticTransform {
    fn default() -> Self {
        ElasticTransform {
            alpha: [50.0; 2],
            sigma: [5.0; 2],
            interpolation: InterpolationMode::Bilinear,
            fill: Some(vec![0.0]),
        }
    }
}

impl Transform for ElasticTransform {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let (height, width) = sample.size("ElasticTransform")?;
        let along = |alpha: f64, sigma: f64, size: usize| {
            let mut noise = Tensor::rand((1, 1, height, width), DType::F32)?
                .mul(2.0)?
                .sub(1.0)?;
            if sigma > 0.0 {
                let kernel = (8.0 * sigma + 1.0) as usize | 1;
                noise = gaussian_blur(&noise, [kernel; 2], Some(self.sigma))?;
            }
            noise.mul(alpha)?.div(size as f64)
        };
        let x = along(self.alpha[0], self.sigma[0], width)?;
        let y = along(self.alpha[1], self.sigma[1], height)?;
        sample.follow(&Elastic {
            displacement: Tensor::cat(&[x, y], 1)?.permute([0, 2, 3, 1])?,
            interpolation: self.interpolation,
            fill: self.fill.clone(),
        })
    }
}
