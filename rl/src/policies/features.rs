//! What networks see of observations: vectors as they are, pictures through a convolution.

use flambeau_nn::{
    Conv2d, ConvOptions, Flatten, Forward, Linear, LinearOptions, Module, ReLU, Sequential, StateDict,
    observed,
};
use flambeau_tensor::{Result, Tensor, bail};

use crate::Space;

/// How features are made of observations (`features_extractor_class`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extractor {
    /// The numbers themselves (`FlattenExtractor`).
    Flatten,
    /// MinAtar's small convolution, for planes of 3 × 3 and more: 16 filters of 3 × 3, and 128 features.
    MinAtar,
    /// The convolution of the first DQN (`NatureCNN`), for pictures of 36 × 36 and more: 32 filters of 8 × 8, 64 of 4 × 4 and
    /// 64 of 3 × 3. Mnih et al., *Human-level control through deep reinforcement learning* (2015).
    Nature {
        /// How many features there are in the end; Stable-Baselines3's default is 512.
        features_dim: usize,
    },
}

/// From which size on [`Extractor::Nature`] has something to see.
const NATURE: usize = 36;

impl Extractor {
    /// What suits observations: a convolution for `[planes, rows, columns]`, [`Extractor::Nature`] if they are large.
    pub fn suiting(observations: &Space) -> Extractor {
        match planes(observations) {
            None => Extractor::Flatten,
            Some([_, rows, columns]) if rows >= NATURE && columns >= NATURE => {
                Extractor::Nature { features_dim: 512 }
            }
            Some(_) => Extractor::MinAtar,
        }
    }

    /// The one whose weights a state dict has under a prefix that ends with a point.
    pub(crate) fn in_state_dict(dict: &StateDict, prefix: &str) -> Extractor {
        let weight = |name: &str| dict.get(&format!("{prefix}{name}.weight"));
        match (weight("cnn.0"), weight("cnn.2")) {
            (None, _) => Extractor::Flatten,
            (Some(_), None) => Extractor::MinAtar,
            (Some(_), Some(_)) => Extractor::Nature {
                features_dim: weight("linear.0").map_or(512, |linear| linear.shape()[0]),
            },
        }
    }
}

/// The shape of pictures.
fn planes(observations: &Space) -> Option<[usize; 3]> {
    match observations {
        Space::Box { shape, .. } => shape[..].try_into().ok(),
        _ => None,
    }
}

/// Features of observations.
///
/// Planes of numbers between 0 and 255 are pictures of bytes, which are brought to between 0 and 1 first (`normalize_images`).
///
/// # Shapes
/// `[batch, numbers] → [batch, features]`.
#[derive(Debug, Module)]
pub struct FeaturesExtractor {
    /// The convolution, if there is one.
    pub cnn: Option<Sequential>,
    /// The features of its outcome.
    pub linear: Option<Sequential>,
    #[module(skip)]
    planes: [usize; 3],
    #[module(skip)]
    bytes: bool,
    #[module(skip)]
    features: usize,
}

impl FeaturesExtractor {
    /// A new one for observations; `None` takes what suits them.
    ///
    /// # Errors
    /// `Shape` if pictures are too small for it; `Unsupported` if observations are no pictures.
    pub fn new(observations: &Space, extractor: Option<Extractor>) -> Result<FeaturesExtractor> {
        let extractor = extractor.unwrap_or_else(|| Extractor::suiting(observations));
        let planes = planes(observations);
        let bytes = match observations {
            Space::Box { low, high, .. } if planes.is_some() => {
                low.iter().all(|&x| x == 0.0) && high.iter().all(|&x| x == 255.0)
            }
            _ => false,
        };
        let mut all = FeaturesExtractor {
            cnn: None,
            linear: None,
            planes: planes.unwrap_or_default(),
            bytes,
            features: observations.flat_dim(),
        };
        let (least, features) = match extractor {
            Extractor::Flatten => return Ok(all),
            Extractor::MinAtar => (3, 128),
            Extractor::Nature { features_dim } => (NATURE, features_dim),
        };
        let Some([channels, rows, columns]) = planes else {
            bail!(
                Unsupported,
                "FeaturesExtractor: expected pictures for the convolution, got observations of {observations}"
            )
        };
        flambeau_tensor::ensure!(
            rows >= least && columns >= least,
            Shape,
            "FeaturesExtractor: expected pictures of at least {least} × {least}, got {rows} × {columns}"
        );
        // Filters, their size and their stride.
        let layers: &[[usize; 3]] = match extractor {
            Extractor::Nature { .. } => &[[32, 8, 4], [64, 4, 2], [64, 3, 1]],
            _ => &[[16, 3, 1]],
        };
        let (mut cnn, mut shape) = (Sequential::new(), [channels, rows, columns]);
        for &[filters, size, stride] in layers {
            let options = ConvOptions {
                stride: [stride; 2],
                ..Default::default()
            };
            cnn = cnn
                .push(Conv2d::new(shape[0], filters, [size; 2], options)?)
                .push(ReLU);
            let after = |length: usize| (length - size) / stride + 1;
            shape = [filters, after(shape[1]), after(shape[2])];
        }
        let linear = Linear::new(shape.iter().product(), features, LinearOptions::default())?;
        all.cnn = Some(cnn.push(Flatten::default()));
        all.linear = Some(Sequential::new().push(linear).push(ReLU));
        all.features = features;
        Ok(all)
    }

    /// How many features there are.
    pub fn features_dim(&self) -> usize {
        self.features
    }
}

impl Forward for FeaturesExtractor {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = if self.bytes { x.div(255.0)? } else { x.clone() };
        match (&self.cnn, &self.linear) {
            (Some(cnn), Some(linear)) => {
                let [planes, rows, columns] = self.planes;
                let pictures = x.reshape((x.size(0)?, planes, rows, columns))?;
                linear.forward(&cnn.forward(&pictures)?)
            }
            _ => Ok(x),
        }
    }
}
