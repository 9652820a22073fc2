//! VGG: "Very Deep Convolutional Networks for Large-Scale Image Recognition" (Simonyan & Zisserman, 2014, arXiv:1409.1556),
//! with and without batch norm.
//!
//! The reference is torchvision (BSD-3-Clause), keys and initial weights included.

use flambeau_nn::{
    AdaptiveAvgPool2d, BatchNorm2d, BatchNormOptions, Dropout, Forward, Module, ReLU, Sequential, observed,
};
use flambeau_tensor::{Result, Tensor};

use super::blocks::{Biases, Kind, conv, initialise, kaiming_fan_out, linear, max_pool, normal, run};
use super::weights::{IMAGENET1K, acc};
use super::{Classifier, Options, Preset, Tap, Weights};

/// How many convolutions stand before each of the five pools: the paper's configurations.
#[derive(Clone, Copy, Debug)]
pub struct VggConfig {
    /// Convolutions of 64, 128, 256, 512 and 512 channels.
    pub convolutions: [usize; 5],
    /// Whether a batch norm follows each.
    pub batch_norm: bool,
}

impl VggConfig {
    const fn plain(convolutions: [usize; 5]) -> Self {
        VggConfig {
            convolutions,
            batch_norm: false,
        }
    }

    const fn normed(convolutions: [usize; 5]) -> Self {
        VggConfig {
            convolutions,
            batch_norm: true,
        }
    }
}

/// The paper's configurations A, B, D and E.
const A: [usize; 5] = [1, 1, 2, 2, 2];
const B: [usize; 5] = [2, 2, 2, 2, 2];
const D: [usize; 5] = [2, 2, 3, 3, 3];
const E: [usize; 5] = [2, 2, 4, 4, 4];

/// Stages of 3×3 convolutions, each with a pool at its end, and three linear layers.
#[derive(Module)]
pub struct VGG {
    features: Sequential,
    avgpool: AdaptiveAvgPool2d,
    classifier: Sequential,
    num_classes: usize,
}

impl VGG {
    /// A network for images of 32 pixels or more along each side; dropout is 0.5 unless given.
    ///
    /// # Errors
    /// `Value` for other options than the classes and dropout.
    pub fn new(config: VggConfig, options: Options) -> Result<Self> {
        options.only("VGG", &["dropout"])?;
        let (dropout, classes) = (options.dropout.unwrap_or(0.5), options.num_classes);
        let features = features(config)?;
        let classifier = Sequential::new()
            .push(linear(512 * 7 * 7, 4096)?)
            .push(ReLU)
            .push(Dropout::new(dropout)?)
            .push(linear(4096, 4096)?)
            .push(ReLU)
            .push(Dropout::new(dropout)?)
            .push(linear(4096, classes)?);
        let model = VGG {
            features,
            avgpool: AdaptiveAvgPool2d::new([Some(7); 2]),
            classifier,
            num_classes: classes,
        };
        let weights = |kind: Kind, _: &str, weight: &Tensor| match kind {
            Kind::Conv => kaiming_fan_out(weight),
            Kind::Linear => normal(weight),
        };
        initialise(&model, weights, Biases::Zero)?;
        Ok(model)
    }
}

/// The convolutional part.
fn features(config: VggConfig) -> Result<Sequential> {
    let (mut features, mut in_channels) = (Sequential::new(), 3);
    for (convolutions, channels) in config.convolutions.into_iter().zip([64, 128, 256, 512, 512]) {
        for _ in 0..convolutions {
            features = features.push(conv(in_channels, channels, 3, 1, 1, true)?);
            if config.batch_norm {
                features = features.push(BatchNorm2d::new(channels, BatchNormOptions::BATCH)?);
            }
            features = features.push(ReLU);
            in_channels = channels;
        }
        features = features.push(max_pool(2, 2, 0, false));
    }
    Ok(features)
}

impl Forward for VGG {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for VGG {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        run(&self.features, "features", x, tap)
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        self.classifier
            .forward(&self.avgpool.forward(features)?.flatten(1, -1)?)
    }

    fn num_features(&self) -> usize {
        512
    }

    fn num_classes(&self) -> usize {
        self.num_classes
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        self.num_classes = num_classes;
        self.classifier.replace(6, linear(4096, num_classes)?)
    }
}

models! {
    /// VGG-11.
    vgg11(options) -> VGG { VGG::new(VggConfig::plain(A), options) }
    parameters 132_863_336, gflops 7.609,
    weights VGG11Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "vgg11-8a719046.pth", megabytes: 506.84, accuracy: acc(69.02, 88.628), min_size: [32, 32],
            ..IMAGENET1K
        },
    }
    /// VGG-11 with batch norm.
    vgg11_bn(options) -> VGG { VGG::new(VggConfig::normed(A), options) }
    parameters 132_868_840, gflops 7.609,
    weights VGG11BNWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "vgg11_bn-6002323d.pth", megabytes: 506.881, accuracy: acc(70.37, 89.81),
            min_size: [32, 32], ..IMAGENET1K
        },
    }
    /// VGG-13.
    vgg13(options) -> VGG { VGG::new(VggConfig::plain(B), options) }
    parameters 133_047_848, gflops 11.308,
    weights VGG13Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "vgg13-19584684.pth", megabytes: 507.545, accuracy: acc(69.928, 89.246),
            min_size: [32, 32], ..IMAGENET1K
        },
    }
    /// VGG-13 with batch norm.
    vgg13_bn(options) -> VGG { VGG::new(VggConfig::normed(B), options) }
    parameters 133_053_736, gflops 11.308,
    weights VGG13BNWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "vgg13_bn-abd245e5.pth", megabytes: 507.59, accuracy: acc(71.586, 90.374),
            min_size: [32, 32], ..IMAGENET1K
        },
    }
    /// VGG-16.
    vgg16(options) -> VGG { VGG::new(VggConfig::plain(D), options) }
    parameters 138_357_544, gflops 15.47,
    weights VGG16Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "vgg16-397923af.pth", megabytes: 527.796, accuracy: acc(71.592, 90.382),
            min_size: [32, 32], ..IMAGENET1K
        },
        IMAGENET1K_FEATURES = Weights {
            file: "vgg16_features-amdegroot-88682ab5.pth", megabytes: 527.802, min_size: [32, 32],
            preset: Preset { mean: [0.48235, 0.45882, 0.40784], std: [1.0 / 255.0; 3], ..Preset::imagenet(256, 224) },
            categories: Vec::new, ..IMAGENET1K
        },
    }
    /// VGG-16 with batch norm.
    vgg16_bn(options) -> VGG { VGG::new(VggConfig::normed(D), options) }
    parameters 138_365_992, gflops 15.47,
    weights VGG16BNWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "vgg16_bn-6c64b313.pth", megabytes: 527.866, accuracy: acc(73.36, 91.516),
            min_size: [32, 32], ..IMAGENET1K
        },
    }
    /// VGG-19.
    vgg19(options) -> VGG { VGG::new(VggConfig::plain(E), options) }
    parameters 143_667_240, gflops 19.632,
    weights VGG19Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "vgg19-dcbb9e9d.pth", megabytes: 548.051, accuracy: acc(72.376, 90.876),
            min_size: [32, 32], ..IMAGENET1K
        },
    }
    /// VGG-19 with batch norm.
    vgg19_bn(options) -> VGG { VGG::new(VggConfig::normed(E), options) }
    parameters 143_678_248, gflops 19.632,
    weights VGG19BNWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "vgg19_bn-c79401a0.pth", megabytes: 548.143, accuracy: acc(74.218, 91.842),
            min_size: [32, 32], ..IMAGENET1K
        },
    }
}
