//! DS-CNN hears keywords in MFCCs, on little hardware: depthwise separable convolutions of "Hello Edge: Keyword spotting on
//! microcontrollers" (Zhang et al., 2017, arXiv:1711.07128).

use flambeau_nn::{
    BatchNorm2d, BatchNormOptions, Conv2d, ConvOptions, Forward, Linear, LinearOptions, Module, Padding,
    ReLU, chain, observed,
};
use flambeau_tensor::{Result, Tensor, ensure};

use super::Entry;

/// A convolution of each channel, and one across channels.
///
/// # Shapes
/// `[batch, channels, frames, coefficients] → [batch, channels, frames/s₀, coefficients/s₁]`.
#[derive(Clone, Debug, Module)]
pub struct DepthwiseSeparable {
    /// Of each channel.
    pub depthwise: Conv2d,
    /// After it.
    pub bn1: BatchNorm2d,
    /// Across channels.
    pub pointwise: Conv2d,
    /// After it.
    pub bn2: BatchNorm2d,
}

impl DepthwiseSeparable {
    fn new(channels: usize, stride: [usize; 2]) -> Result<DepthwiseSeparable> {
        let depthwise = ConvOptions {
            stride,
            padding: Padding::Explicit([1, 1]),
            groups: channels,
            ..ConvOptions::default()
        };
        let norm = || BatchNorm2d::new(channels, BatchNormOptions::BATCH);
        Ok(DepthwiseSeparable {
            depthwise: Conv2d::new(channels, channels, [3, 3], depthwise)?,
            bn1: norm()?,
            pointwise: Conv2d::new(channels, channels, [1, 1], ConvOptions::default())?,
            bn2: norm()?,
        })
    }
}

impl Forward for DepthwiseSeparable {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let layers: [&dyn Forward; 6] = [
            &self.depthwise,
            &self.bn1,
            &ReLU,
            &self.pointwise,
            &self.bn2,
            &ReLU,
        ];
        chain(x, layers)
    }
}

/// Sizes of [`DsCnn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DsCnnOptions {
    /// Channels of all layers.
    pub channels: usize,
    /// The first convolution's steps, in frames and coefficients.
    pub stride: [usize; 2],
    /// The steps of each separable convolution.
    pub blocks: &'static [[usize; 2]],
    /// How many keywords there are.
    pub num_classes: usize,
}

impl DsCnnOptions {
    /// The paper's small network, for twelve classes.
    pub const SMALL: DsCnnOptions = DsCnnOptions {
        channels: 64,
        stride: [2, 2],
        blocks: &[[1, 1]; 4],
        num_classes: 12,
    };
    /// The paper's medium network.
    pub const MEDIUM: DsCnnOptions = DsCnnOptions {
        channels: 172,
        stride: [2, 1],
        blocks: &[[2, 2], [1, 1], [1, 1], [1, 1]],
        num_classes: 12,
    };
    /// The paper's large network.
    pub const LARGE: DsCnnOptions = DsCnnOptions {
        channels: 276,
        stride: [2, 1],
        blocks: &[[2, 2], [1, 1], [1, 1], [1, 1], [1, 1]],
        num_classes: 12,
    };
}

/// The network.
///
/// # Shapes
/// `[batch, 1, frames, coefficients] → [batch, classes]`, scores.
#[derive(Debug, Module)]
pub struct DsCnn {
    /// Looks at ten frames of four coefficients.
    pub conv: Conv2d,
    /// After it.
    pub bn: BatchNorm2d,
    /// The separable convolutions.
    pub blocks: Vec<DepthwiseSeparable>,
    /// Scores the classes.
    pub fc: Linear,
}

impl DsCnn {
    /// A network with initial weights.
    ///
    /// # Errors
    /// `Value` for sizes of 0.
    pub fn new(options: DsCnnOptions) -> Result<DsCnn> {
        let DsCnnOptions { channels, stride, .. } = options;
        let first = ConvOptions {
            stride,
            padding: Padding::Explicit([5, 1]),
            ..ConvOptions::default()
        };
        let blocks = options
            .blocks
            .iter()
            .map(|&stride| DepthwiseSeparable::new(channels, stride));
        Ok(DsCnn {
            conv: Conv2d::new(1, channels, [10, 4], first)?,
            bn: BatchNorm2d::new(channels, BatchNormOptions::BATCH)?,
            blocks: blocks.collect::<Result<_>>()?,
            fc: Linear::new(channels, options.num_classes, LinearOptions::default())?,
        })
    }
}

impl Forward for DsCnn {
    #[observed]
    fn forward(&self, features: &Tensor) -> Result<Tensor> {
        ensure!(
            features.rank() == 4 && features.shape()[1] == 1,
            Shape,
            "DsCnn: expected features [batch, 1, frames, coefficients], got {:?}",
            features.shape()
        );
        let mut x = chain(features, [&self.conv as &dyn Forward, &self.bn, &ReLU])?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        self.fc.forward(&x.mean_dim([-2, -1], false)?)
    }
}

/// The family's part of the registry.
pub(super) const MODELS: &[Entry] = &[
    Entry {
        name: "ds_cnn_s",
        task: "keywords",
        parameters: 23_756,
        input: &[2, 1, 49, 10],
        build: || Ok(Box::new(DsCnn::new(DsCnnOptions::SMALL)?)),
    },
    Entry {
        name: "ds_cnn_m",
        task: "keywords",
        parameters: 138_128,
        input: &[2, 1, 49, 10],
        build: || Ok(Box::new(DsCnn::new(DsCnnOptions::MEDIUM)?)),
    },
    Entry {
        name: "ds_cnn_l",
        task: "keywords",
        parameters: 416_772,
        input: &[2, 1, 49, 10],
        build: || Ok(Box::new(DsCnn::new(DsCnnOptions::LARGE)?)),
    },
];
