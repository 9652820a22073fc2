//! What networks see of observations: vectors as they are, pictures through a convolution.

use flambeau_nn::{
    Conv2d, ConvOptions, Flatten, Forward, Linear, LinearOptions, Module, ReLU, Sequential, observed,
};
use flambeau_tensor::{Result, Tensor};

use crate::Space;

/// Features of observations: the numbers themselves, or, of planes of pixels (`[planes, rows, columns]`), those of a
/// small convolutional network, which is MinAtar's: 16 filters of 3 × 3 and 128 features.
#[derive(Debug, Module)]
pub struct FeaturesExtractor {
    /// The convolution, if observations are pictures.
    pub cnn: Option<Sequential>,
    /// The features of its outcome.
    pub linear: Option<Sequential>,
    #[module(skip)]
    planes: [usize; 3],
    #[module(skip)]
    features: usize,
}

impl FeaturesExtractor {
    /// What suits the observations.
    ///
    /// # Errors
    /// `Shape` if pictures are smaller than 3 × 3.
    pub fn new(observation_space: &Space) -> Result<FeaturesExtractor> {
        let mut extractor = FeaturesExtractor {
            cnn: None,
            linear: None,
            planes: [0; 3],
            features: observation_space.flat_dim(),
        };
        if let Space::Box { shape, .. } = observation_space
            && let [planes, rows, columns] = shape[..]
        {
            flambeau_tensor::ensure!(
                rows >= 3 && columns >= 3,
                Shape,
                "FeaturesExtractor: expected pictures of at least 3 × 3, got {rows} × {columns}"
            );
            extractor.planes = [planes, rows, columns];
            extractor.features = 128;
            let convolution = Conv2d::new(planes, 16, [3, 3], ConvOptions::default())?;
            extractor.cnn = Some(
                Sequential::new()
                    .push(convolution)
                    .push(ReLU)
                    .push(Flatten::default()),
            );
            let inputs = 16 * (rows - 2) * (columns - 2);
            let linear = Linear::new(inputs, 128, LinearOptions::default())?;
            extractor.linear = Some(Sequential::new().push(linear).push(ReLU));
        }
        Ok(extractor)
    }

    /// How many features there are.
    pub fn features_dim(&self) -> usize {
        self.features
    }
}

impl Forward for FeaturesExtractor {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match (&self.cnn, &self.linear) {
            (Some(cnn), Some(linear)) => {
                let [planes, rows, columns] = self.planes;
                let pictures = x.reshape((x.size(0)?, planes, rows, columns))?;
                linear.forward(&cnn.forward(&pictures)?)
            }
            _ => Ok(x.clone()),
        }
    }
}
