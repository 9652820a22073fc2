//! Random choices among many changes of pictures: `AutoAugment`, `RandAugment`, `TrivialAugmentWide`, `AugMix`.

use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::functional::{
    Affine, InterpolationMode, Rotate, adjust_brightness, adjust_contrast, adjust_saturation,
    adjust_sharpness, affine, autocontrast, dimensions, equalize, invert, max_value, posterize, rotate,
    solarize,
};
use super::policy::AutoAugmentPolicy;
use super::{Sample, Transform, draw};

/// A change of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
    Invert,
}

use Change::*;

/// How pixels are made where a change moves them.
#[derive(Clone, Copy)]
struct Moving<'a> {
    interpolation: InterpolationMode,
    fill: Option<&'a [f64]>,
}

impl Change {
    /// The picture changed with strength `x`, whose meaning depends on the change.
    fn apply(self, image: &Tensor, x: f64, moving: Moving<'_>) -> Result<Tensor> {
        let map = |map: Affine| {
            let map = Affine {
                interpolation: moving.interpolation,
                fill: moving.fill.map(<[f64]>::to_vec),
                ..map
            };
            affine(image, &map)
        };
        // Sheared around the corner, as in the paper.
        let shear = |shear: [f64; 2]| {
            map(Affine {
                shear,
                center: Some([0.0; 2]),
                ..Affine::default()
            })
        };
        let translate = |translate: [f64; 2]| {
            map(Affine {
                translate,
                ..Affine::default()
            })
        };
        match self {
            Identity => Ok(image.clone()),
            ShearX => shear([x.atan().to_degrees(), 0.0]),
            ShearY => shear([0.0, x.atan().to_degrees()]),
            TranslateX => translate([x.trunc(), 0.0]),
            TranslateY => translate([0.0, x.trunc()]),
            Change::Rotate => rotate(
                image,
                &super::functional::Rotate {
                    angle: x,
                    interpolation: moving.interpolation,
                    fill: moving.fill.map(<[f64]>::to_vec),
                    ..Rotate::default()
                },
            ),
            Brightness => adjust_brightness(image, 1.0 + x),
            Color => adjust_saturation(image, 1.0 + x),
            Contrast => adjust_contrast(image, 1.0 + x),
            Sharpness => adjust_sharpness(image, 1.0 + x),
            Posterize => posterize(image, x as u32),
            Solarize => solarize(image, max_value(image.dtype()) * x),
            AutoContrast => autocontrast(image),
            Equalize => equalize(image),
            Invert => invert(image),
        }
    }
}

/// The strengths of changes: the largest of each kind, and how many steps there are.
struct Strengths {
    shear: f64,
    translate: (f64, f64),
    rotate: f64,
    colour: f64,
    /// Bits that are left, and how many fewer for the largest strength.
    posterize: (f64, f64),
    steps: usize,
}

impl Strengths {
    /// Those of AutoAugment and RandAugment, for a picture of height and width `size`.
    fn auto_augment((height, width): (usize, usize), steps: usize) -> Strengths {
        Strengths {
            shear: 0.3,
            translate: (150.0 / 331.0 * width as f64, 150.0 / 331.0 * height as f64),
            rotate: 30.0,
            colour: 0.9,
            posterize: (8.0, 4.0),
            steps,
        }
    }

    fn of(&self, change: Change, step: usize) -> Result<f64> {
        let between = |from: f64, to: f64| {
            let all = Tensor::linspace(from, to, self.steps, DType::F32)?;
            all.select(0, step as isize)?.item_f64()
        };
        match change {
            ShearX | ShearY => between(0.0, self.shear),
            TranslateX => between(0.0, self.translate.0),
            TranslateY => between(0.0, self.translate.1),
            Change::Rotate => between(0.0, self.rotate),
            Brightness | Color | Contrast | Sharpness => between(0.0, self.colour),
            Posterize => {
                let (bits, fewer) = self.posterize;
                let per_step = (self.steps as f64 - 1.0) / fewer;
                Ok(f64::from(
                    (bits as f32 - step as f32 / per_step as f32).round_ties_even(),
                ))
            }
            Solarize => between(1.0, 0.0),
            Identity | AutoContrast | Equalize | Invert => Ok(0.0),
        }
    }

    /// The strength, of either sign at random where there are two.
    fn signed(&self, change: Change, step: usize) -> Result<f64> {
        let strength = self.of(change, step)?;
        let two_sided = matches!(
            change,
            ShearX
                | ShearY
                | TranslateX
                | TranslateY
                | Change::Rotate
                | Brightness
                | Color
                | Contrast
                | Sharpness
        );
        if two_sided && draw::rand() <= 0.5 {
            Ok(-strength)
        } else {
            Ok(strength)
        }
    }
}

/// The picture, alone: what is marked on it can't follow these changes.
fn picture<'a>(op: &str, sample: &'a Sample) -> Result<(&'a Tensor, (usize, usize))> {
    ensure!(
        sample.boxes.is_none() && sample.masks.is_none() && sample.key_points.is_none(),
        Unsupported,
        "{op}: boxes, masks and points can't follow"
    );
    let image = sample.picture(op)?;
    let [_, height, width] = dimensions(op, image)?;
    Ok((image, (height, width)))
}

fn replaced(sample: Sample, image: Tensor) -> Sample {
    Sample {
        image: Some(image),
        ..sample
    }
}

/// Two changes of a policy that was learnt (Cubuk et al., 2019).
#[derive(Clone, Debug)]
pub struct AutoAugment {
    /// The policy.
    pub policy: AutoAugmentPolicy,
    /// How values between pixels are made: nearest or bilinear.
    pub interpolation: InterpolationMode,
    /// What lies outside: one value or one for each channel.
    pub fill: Option<Vec<f64>>,
}

impl Default for AutoAugment {
    fn default() -> Self {
        AutoAugment {
            policy: AutoAugmentPolicy::ImageNet,
            interpolation: InterpolationMode::Nearest,
            fill: None,
        }
    }
}

impl Transform for AutoAugment {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let (image, size) = picture("AutoAugment", &sample)?;
        let strengths = Strengths::auto_augment(size, 10);
        let moving = Moving {
            interpolation: self.interpolation,
            fill: self.fill.as_deref(),
        };
        let pairs = self.policy.pairs();
        let mut image = image.clone();
        for &(change, probability, step) in &pairs[draw::randint(0, pairs.len())] {
            if draw::rand() <= probability {
                image = change.apply(&image, strengths.signed(change, step)?, moving)?;
            }
        }
        Ok(replaced(sample, image))
    }
}

/// The changes of RandAugment and TrivialAugment, in torchvision's order.
const ALL: [Change; 14] = [
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Change::Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
];

/// Several random changes of the same strength (Cubuk et al., 2020).
#[derive(Clone, Debug)]
pub struct RandAugment {
    /// How many changes.
    pub num_ops: usize,
    /// The strength, below `num_magnitude_bins`.
    pub magnitude: usize,
    /// The number of strengths.
    pub num_magnitude_bins: usize,
    /// How values between pixels are made: nearest or bilinear.
    pub interpolation: InterpolationMode,
    /// What lies outside: one value or one for each channel.
    pub fill: Option<Vec<f64>>,
}

impl Default for RandAugment {
    fn default() -> Self {
        RandAugment {
            num_ops: 2,
            magnitude: 9,
            num_magnitude_bins: 31,
            interpolation: InterpolationMode::Nearest,
            fill: None,
        }
    }
}

impl Transform for RandAugment {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let op = "RandAugment";
        ensure!(
            self.magnitude < self.num_magnitude_bins,
            Value,
            "{op}: expected a magnitude below {}, got {}",
            self.num_magnitude_bins,
            self.magnitude
        );
        let (image, size) = picture(op, &sample)?;
        let strengths = Strengths::auto_augment(size, self.num_magnitude_bins);
        let moving = Moving {
            interpolation: self.interpolation,
            fill: self.fill.as_deref(),
        };
        let mut image = image.clone();
        for _ in 0..self.num_ops {
            let change = ALL[draw::randint(0, ALL.len())];
            image = change.apply(&image, strengths.signed(change, self.magnitude)?, moving)?;
        }
        Ok(replaced(sample, image))
    }
}

/// One random change of random strength, from a wide range (Müller and Hutter, 2021).
#[derive(Clone, Debug)]
pub struct TrivialAugmentWide {
    /// The number of strengths.
    pub num_magnitude_bins: usize,
    /// How values between pixels are made: nearest or bilinear.
    pub interpolation: InterpolationMode,
    /// What lies outside: one value or one for each channel.
    pub fill: Option<Vec<f64>>,
}

impl Default for TrivialAugmentWide {
    fn default() -> Self {
        TrivialAugmentWide {
            num_magnitude_bins: 31,
            interpolation: InterpolationMode::Nearest,
            fill: None,
        }
    }
}

impl Transform for TrivialAugmentWide {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let op = "TrivialAugmentWide";
        ensure!(
            self.num_magnitude_bins > 1,
            Value,
            "{op}: expected two strengths or more"
        );
        let (image, _) = picture(op, &sample)?;
        let strengths = Strengths {
            shear: 0.99,
            translate: (32.0, 32.0),
            rotate: 135.0,
            colour: 0.99,
            posterize: (8.0, 6.0),
            steps: self.num_magnitude_bins,
        };
        let moving = Moving {
            interpolation: self.interpolation,
            fill: self.fill.as_deref(),
        };
        let change = ALL[draw::randint(0, ALL.len())];
        let strength = match change {
            Identity | AutoContrast | Equalize => 0.0,
            _ => strengths.signed(change, draw::randint(0, self.num_magnitude_bins))?,
        };
        let image = change.apply(image, strength, moving)?;
        Ok(replaced(sample, image))
    }
}

/// The changes of AugMix, in torchvision's order; the last four are those of colours.
const MIXED: [Change; 13] = [
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Change::Rotate,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
    Brightness,
    Color,
    Contrast,
    Sharpness,
];

/// The picture mixed with several chains of changes of it (Hendrycks et al., 2020).
#[derive(Clone, Debug)]
pub struct AugMix {
    /// The largest strength, from 1 to 10.
    pub severity: usize,
    /// The number of chains.
    pub mixture_width: usize,
    /// The length of chains; random, from 1 to 3, unless given.
    pub chain_depth: Option<usize>,
    /// Of the distributions of shares: 1 is uniform.
    pub alpha: f64,
    /// Whether colours are changed too.
    pub all_ops: bool,
    /// How values between pixels are made: nearest or bilinear.
    pub interpolation: InterpolationMode,
    /// What lies outside: one value or one for each channel.
    pub fill: Option<Vec<f64>>,
}

impl Default for AugMix {
    fn default() -> Self {
        AugMix {
            severity: 3,
            mixture_width: 3,
            chain_depth: None,
            alpha: 1.0,
            all_ops: true,
            interpolation: InterpolationMode::Bilinear,
            fill: None,
        }
    }
}

/// The number of strengths of AugMix.
const AUGMIX_STEPS: usize = 10;

impl AugMix {
    fn chain(&self, image: &Tensor, strengths: &Strengths) -> Result<Tensor> {
        let moving = Moving {
            interpolation: self.interpolation,
            fill: self.fill.as_deref(),
        };
        let changes = &MIXED[..if self.all_ops { 13 } else { 9 }];
        let depth = self.chain_depth.unwrap_or_else(|| draw::randint(1, 4));
        let mut image = image.clone();
        for _ in 0..depth {
            let change = changes[draw::randint(0, changes.len())];
            let strength = match change {
                AutoContrast | Equalize => 0.0,
                _ => strengths.signed(change, draw::randint(0, self.severity))?,
            };
            image = change.apply(&image, strength, moving)?;
        }
        Ok(image)
    }
}

impl Transform for AugMix {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let op = "AugMix";
        ensure!(
            (1..=AUGMIX_STEPS).contains(&self.severity) && self.mixture_width > 0 && self.alpha > 0.0,
            Value,
            "{op}: expected a severity from 1 to 10, chains and an alpha above 0, got {self:?}"
        );
        let (image, (height, width)) = picture(op, &sample)?;
        ensure!(
            image.rank() == 3,
            Shape,
            "{op}: expected one picture [channels, height, width], got {:?}",
            image.shape()
        );
        let strengths = Strengths {
            translate: (width as f64 / 3.0, height as f64 / 3.0),
            posterize: (4.0, 4.0),
            ..Strengths::auto_augment((height, width), AUGMIX_STEPS)
        };
        let shares = draw::dirichlet(self.alpha, 2);
        let weights = draw::dirichlet(self.alpha, self.mixture_width);
        let mut mix = image.mul(f64::from(shares[0]))?;
        for weight in weights {
            let chain = self.chain(image, &strengths)?;
            mix = mix.add(&chain.mul(f64::from(weight * shares[1]))?)?;
        }
        let mix = mix.to_dtype(image.dtype())?;
        Ok(replaced(sample, mix))
    }
}
