//! Covering a random part of the picture (Zhong et al., 2020; `RandomErasing`).

use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::crop::{area_and_aspect, log_range};
use super::functional::{Crop, dimensions, erase};
use super::{Sample, Transform, draw};

/// What a part is covered with.
#[derive(Clone, Debug)]
pub enum ErasingValue {
    /// One value, or one for each channel.
    Constant(Vec<f64>),
    /// Normal numbers.
    Random,
}

/// Covers a random part of the picture with probability `p`. What is marked stays.
#[derive(Clone, Debug)]
pub struct RandomErasing {
    /// The probability.
    pub p: f64,
    /// The range of areas, in parts of the picture's.
    pub scale: (f64, f64),
    /// The range of heights over widths.
    pub ratio: (f64, f64),
    /// What the part is covered with.
    pub value: ErasingValue,
}

impl Default for RandomErasing {
    fn default() -> Self {
        RandomErasing {
            p: 0.5,
            scale: (0.02, 0.33),
            ratio: (0.3, 3.3),
            value: ErasingValue::Constant(vec![0.0]),
        }
    }
}

impl RandomErasing {
    /// The part and its cover; none if ten tries did not fit.
    fn cover(&self, [channels, height, width]: [usize; 3]) -> Result<Option<(Crop, Tensor)>> {
        let (area, log_ratio) = ((height * width) as f64, log_range(self.ratio)?);
        for _ in 0..10 {
            let (target, aspect) = area_and_aspect(area, self.scale, log_ratio)?;
            let h = (target * aspect).sqrt().round_ties_even() as usize;
            let w = (target / aspect).sqrt().round_ties_even() as usize;
            if h >= height || w >= width {
                continue;
            }
            let value = match &self.value {
                ErasingValue::Random => Tensor::randn((channels, h, w), DType::F32)?,
                ErasingValue::Constant(values) => {
                    let column = Tensor::from_slice(values, (values.len(), 1, 1))?;
                    column.to_dtype(DType::F32)?
                }
            };
            let part = Crop {
                top: draw::randint(0, height - h + 1) as isize,
                left: draw::randint(0, width - w + 1) as isize,
                height: h,
                width: w,
            };
            return Ok(Some((part, value)));
        }
        Ok(None)
    }
}

impl Transform for RandomErasing {
    fn forward(&self, sample: Sample) -> Result<Sample> {
        let op = "RandomErasing";
        let size = dimensions(op, sample.picture(op)?)?;
        if let ErasingValue::Constant(values) = &self.value {
            ensure!(
                values.len() == 1 || values.len() == size[0],
                Value,
                "{op}: {} values for {} channels",
                values.len(),
                size[0]
            );
        }
        if !draw::chance(self.p) {
            return Ok(sample);
        }
        match self.cover(size)? {
            Some((part, value)) => sample.map_image(|image| erase(image, part, &value)),
            None => Ok(sample),
        }
    }
}
