//! SqueezeNet: "AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size" (Iandola et al., 2016,
//! arXiv:1602.07360); version 1.1 of its authors computes 2.4 times less.
//!
//! The reference is torchvision (BSD-3-Clause), keys and initial weights included.

use flambeau_nn::init::{FanMode, Nonlinearity, kaiming_uniform_};
use flambeau_nn::{AdaptiveAvgPool2d, Conv2d, Dropout, Forward, Module, ReLU, Sequential, observed};
use flambeau_tensor::{Result, Tensor};

use super::blocks::{Biases, Kind, conv, initialise, max_pool, normal, run};
use super::weights::{IMAGENET1K, acc};
use super::{Classifier, Options, Tap, Weights};

/// The two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqueezeNetVersion {
    /// The paper's.
    V1_0,
    /// The cheaper one.
    V1_1,
}

/// A 1×1 convolution that squeezes, and a 1×1 and a 3×3 convolution of its output side by side.
#[derive(Clone, Debug, Module)]
struct Fire {
    squeeze: Conv2d,
    squeeze_activation: ReLU,
    expand1x1: Conv2d,
    expand1x1_activation: ReLU,
    expand3x3: Conv2d,
    expand3x3_activation: ReLU,
}

impl Fire {
    fn new(inplanes: usize, squeeze: usize, expand: usize) -> Result<Self> {
        Ok(Fire {
            squeeze: conv(inplanes, squeeze, 1, 1, 0, true)?,
            squeeze_activation: ReLU,
            expand1x1: conv(squeeze, expand, 1, 1, 0, true)?,
            expand1x1_activation: ReLU,
            expand3x3: conv(squeeze, expand, 3, 1, 1, true)?,
            expand3x3_activation: ReLU,
        })
    }
}

impl Forward for Fire {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.squeeze_activation.forward(&self.squeeze.forward(x)?)?;
        let small = self.expand1x1_activation.forward(&self.expand1x1.forward(&x)?)?;
        let large = self.expand3x3_activation.forward(&self.expand3x3.forward(&x)?)?;
        Tensor::cat(&[small, large], 1)
    }
}

/// Fire modules between pools, and a convolution as the head.
#[derive(Module)]
pub struct SqueezeNet {
    features: Sequential,
    classifier: Sequential,
    num_classes: usize,
}

impl SqueezeNet {
    /// A network for images of 21 pixels or more along each side (17 for version 1.1); dropout is 0.5 unless given.
    ///
    /// # Errors
    /// `Value` for other options than the classes and dropout.
    pub fn new(version: SqueezeNetVersion, options: Options) -> Result<Self> {
        options.only("SqueezeNet", &["dropout"])?;
        let pool = || max_pool(3, 2, 0, true);
        let features = match version {
            SqueezeNetVersion::V1_0 => Sequential::new()
                .push(conv(3, 96, 7, 2, 0, true)?)
                .push(ReLU)
                .push(pool())
                .push(Fire::new(96, 16, 64)?)
                .push(Fire::new(128, 16, 64)?)
                .push(Fire::new(128, 32, 128)?)
                .push(pool())
                .push(Fire::new(256, 32, 128)?)
                .push(Fire::new(256, 48, 192)?)
                .push(Fire::new(384, 48, 192)?)
                .push(Fire::new(384, 64, 256)?)
                .push(pool())
                .push(Fire::new(512, 64, 256)?),
            SqueezeNetVersion::V1_1 => Sequential::new()
                .push(conv(3, 64, 3, 2, 0, true)?)
                .push(ReLU)
                .push(pool())
                .push(Fire::new(64, 16, 64)?)
                .push(Fire::new(128, 16, 64)?)
                .push(pool())
                .push(Fire::new(128, 32, 128)?)
                .push(Fire::new(256, 32, 128)?)
                .push(pool())
                .push(Fire::new(256, 48, 192)?)
                .push(Fire::new(384, 48, 192)?)
                .push(Fire::new(384, 64, 256)?)
                .push(Fire::new(512, 64, 256)?),
        };
        let classifier = Sequential::new()
            .push(Dropout::new(options.dropout.unwrap_or(0.5))?)
            .push(conv(512, options.num_classes, 1, 1, 0, true)?)
            .push(ReLU)
            .push(AdaptiveAvgPool2d::new([Some(1); 2]));
        let model = SqueezeNet {
            features,
            classifier,
            num_classes: options.num_classes,
        };
        let weights = |_: Kind, path: &str, weight: &Tensor| match path {
            "classifier.1" => normal(weight),
            _ => kaiming_uniform_(weight, FanMode::FanIn, Nonlinearity::Relu),
        };
        initialise(&model, weights, Biases::Zero)?;
        Ok(model)
    }
}

impl Forward for SqueezeNet {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for SqueezeNet {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        run(&self.features, "features", x, tap)
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        self.classifier.forward(features)?.flatten(1, -1)
    }

    fn num_features(&self) -> usize {
        512
    }

    fn num_classes(&self) -> usize {
        self.num_classes
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        self.num_classes = num_classes;
        self.classifier.replace(1, conv(512, num_classes, 1, 1, 0, true)?)
    }
}

models! {
    /// SqueezeNet 1.0.
    squeezenet1_0(options) -> SqueezeNet { SqueezeNet::new(SqueezeNetVersion::V1_0, options) }
    parameters 1_248_424, gflops 0.819,
    weights SqueezeNet1_0Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "squeezenet1_0-b66bff10.pth", megabytes: 4.778, accuracy: acc(58.092, 80.42),
            min_size: [21, 21], ..IMAGENET1K
        },
    }
    /// SqueezeNet 1.1.
    squeezenet1_1(options) -> SqueezeNet { SqueezeNet::new(SqueezeNetVersion::V1_1, options) }
    parameters 1_235_496, gflops 0.349,
    weights SqueezeNet1_1Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "squeezenet1_1-b8a52dc0.pth", megabytes: 4.729, accuracy: acc(58.178, 80.624),
            min_size: [17, 17], ..IMAGENET1K
        },
    }
}
