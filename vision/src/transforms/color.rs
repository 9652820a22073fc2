//! Random changes of colours: `ColorJitter`, `RandomPhotometricDistort`.

use flambeau_tensor::{Result, Tensor, ensure};

use super::functional::{
    adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, dimensions, permute_channels,
};
use super::{Sample, Transform, draw};

/// Changes brightness, contrast, saturation and hue, in random order and by random factors.
#[derive(Clone, Copy, Debug, Default)]
pub struct ColorJitter {
    /// Range of factors of the brightness; 1 changes nothing.
    pub brightness: Option<(f64, f64)>,
    /// Range of factors of the contrast; 1 changes nothing.
    pub contrast: Option<(f64, f64)>,
    /// Range of factors of the saturation; 1 changes nothing.
    pub saturation: Option<(f64, f64)>,
    /// Range of parts of the colour circle by which hues are turned, within -0.5 to 0.5.
    pub hue: Option<(f64, f64)>,
}

impl ColorJitter {
    /// Factors from `1 - x` (but not below 0) to `1 + x`, turns of the hue from `-hue` to `hue`.
    pub fn new(brightness: f64, contrast: f64, saturation: f64, hue: f64) -> Self {
        let around_one = |x: f64| (x != 0.0).then(|| ((1.0 - x).max(0.0), 1.0 + x));
        ColorJitter {
            brightness: around_one(brightness),
            contrast: around_one(contrast),
            saturation: around_one(saturation),
            hue: (hue != 0.0).then_some((-hue, hue)),
        }
    }
}

fn check(op: &str, what: &str, range: Option<(f64, f64)>, (low, high): (f64, f64)) -> Result<()> {
    if let Some((from, to)) = range {
        ensure!(
            low <= from && from <= to && to <= high,
            Value,
            "{op}: expected a range of the {what} within {low} to {high}, got {from} to {to}"
        );
    }
    Ok(())
}

impl Transform for ColorJitter {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let op = "ColorJitter";
        let ranges = [self.brightness, self.contrast, self.saturation];
        for (range, what) in ranges.into_iter().zip(["brightness", "contrast", "saturation"]) {
            check(op, what, range, (0.0, f64::INFINITY))?;
        }
        check(op, "hue", self.hue, (-0.5, 0.5))?;
        let order = draw::randperm(4);
        let factors = [self.brightness, self.contrast, self.saturation, self.hue]
            .map(|range| range.map(|(low, high)| draw::uniform(low, high)));
        sample.map_image(|image| {
            let mut image = image.clone();
            for which in order {
                if let Some(factor) = factors[which] {
                    image = ADJUST[which](&image, factor)?;
                }
            }
            Ok(image)
        })
    }
}

const ADJUST: [fn(&Tensor, f64) -> Result<Tensor>; 4] =
    [adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue];

/// The changes of colours that SSD was trained with (Liu et al., 2016): each with probability `p`, and the channels
/// exchanged.
#[derive(Clone, Copy, Debug)]
pub struct RandomPhotometricDistort {
    /// Range of factors of the brightness.
    pub brightness: (f64, f64),
    /// Range of factors of the contrast.
    pub contrast: (f64, f64),
    /// Range of factors of the saturation.
    pub saturation: (f64, f64),
    /// Range of parts of the colour circle by which hues are turned.
    pub hue: (f64, f64),
    /// The probability of each change.
    pub p: f64,
}

impl Default for RandomPhotometricDistort {
    fn default() -> Self {
        RandomPhotometricDistort {
            brightness: (0.875, 1.125),
            contrast: (0.5, 1.5),
            saturation: (0.5, 1.5),
            hue: (-0.05, 0.05),
            p: 0.5,
        }
    }
}

impl Transform for RandomPhotometricDistort {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let op = "RandomPhotometricDistort";
        let [channels, ..] = dimensions(op, sample.picture(op)?)?;
        let [brightness, contrast, saturation, hue] =
            [self.brightness, self.contrast, self.saturation, self.hue]
                .map(|(low, high)| draw::chance(self.p).then(|| draw::uniform(low, high)));
        let contrast_first = draw::chance(0.5);
        let permutation = draw::chance(self.p).then(|| draw::randperm(channels));
        let (first, last) = match contrast_first {
            true => (contrast, None),
            false => (None, contrast),
        };
        sample.map_image(|image| {
            let mut image = image.clone();
            let changes = [(0, brightness), (1, first), (2, saturation), (3, hue), (1, last)];
            for (which, factor) in changes {
                if let Some(factor) = factor {
                    image = ADJUST[which](&image, factor)?;
                }
            }
            match &permutation {
                Some(order) => permute_channels(&image, order),
                None => Ok(image),
            }
        })
    }
}
