//! ConvNeXt: "A ConvNet for the 2020s" (Liu et al., 2022, arXiv:2201.03545).
//!
//! The reference is torchvision (BSD-3-Clause), keys and initial weights included.

use flambeau_nn::functional::Padding;
use flambeau_nn::init::trunc_normal_;
use flambeau_nn::{
    AdaptiveAvgPool2d, Conv2d, ConvOptions, Flatten, Forward, GELU, LayerNorm, LayerNormOptions, Module,
    Parameter, Sequential, observed,
};
use flambeau_tensor::{DType, Result, Tensor};

use super::blocks::{Biases, conv, initialise, linear, run};
use super::weights::{IMAGENET1K, acc};
use super::{Classifier, Options, Preset, Tap, Weights};
use crate::ops::{
    Conv2dNormActivation, ConvNormOptions, NormLayer, Permute, StochasticDepth, StochasticDepthMode,
};

/// What a network of the family is.
#[derive(Clone, Copy, Debug)]
pub struct ConvNextConfig {
    /// Channels of the four stages.
    pub channels: [usize; 4],
    /// Blocks of the four stages.
    pub layers: [usize; 4],
    /// With what probability the last residual branch is dropped.
    pub stochastic_depth_prob: f64,
    /// What residual branches are multiplied by at first.
    pub layer_scale: f64,
}

impl ConvNextConfig {
    const fn new(channels: [usize; 4], layers: [usize; 4], stochastic_depth_prob: f64) -> Self {
        ConvNextConfig {
            channels,
            layers,
            stochastic_depth_prob,
            layer_scale: 1e-6,
        }
    }
}

const EPS: f64 = 1e-6;

/// A depthwise 7×7 convolution and a perceptron over the channels of each pixel, scaled and added to the input.
#[derive(Module)]
struct CNBlock {
    layer_scale: Parameter,
    block: Sequential,
    stochastic_depth: StochasticDepth,
}

impl CNBlock {
    fn new(dim: usize, layer_scale: f64, depth_prob: f64) -> Result<Self> {
        let depthwise = ConvOptions {
            padding: Padding::Explicit([3; 2]),
            groups: dim,
            ..ConvOptions::default()
        };
        let block = Sequential::new()
            .push(Conv2d::new(dim, dim, [7; 2], depthwise)?)
            .push(Permute::new(&[0, 2, 3, 1]))
            .push(LayerNorm::new(
                &[dim],
                LayerNormOptions {
                    eps: EPS,
                    ..LayerNormOptions::default()
                },
            )?)
            .push(linear(dim, 4 * dim)?)
            .push(GELU::default())
            .push(linear(4 * dim, dim)?)
            .push(Permute::new(&[0, 3, 1, 2]));
        Ok(CNBlock {
            layer_scale: Parameter::new(Tensor::full((dim, 1, 1), layer_scale, DType::F32)?)?,
            block,
            stochastic_depth: StochasticDepth::new(depth_prob, StochasticDepthMode::Row)?,
        })
    }
}

impl Forward for CNBlock {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let out = self.layer_scale.mul(&self.block.forward(x)?)?;
        self.stochastic_depth.forward(&out)?.add(x)
    }
}

/// A network of the family.
#[derive(Module)]
pub struct ConvNeXt {
    features: Sequential,
    avgpool: AdaptiveAvgPool2d,
    classifier: Sequential,
    num_features: usize,
    num_classes: usize,
}

impl ConvNeXt {
    /// A network with a head, for images of 32 pixels or more along each side.
    ///
    /// # Errors
    /// `Value` for other options than the classes and stochastic depth.
    pub fn new(config: &ConvNextConfig, options: Options) -> Result<Self> {
        options.only("ConvNeXt", &["stochastic_depth_prob"])?;
        let depth_prob = options
            .stochastic_depth_prob
            .unwrap_or(config.stochastic_depth_prob);
        let norm_layer = NormLayer::Layer { eps: EPS };
        let [first, .., last] = config.channels;
        let stem = ConvNormOptions {
            stride: [4; 2],
            padding: Some([0; 2]),
            bias: Some(true),
            norm_layer: Some(norm_layer),
            activation: None,
            ..ConvNormOptions::kernel(4)
        };
        let mut features = Sequential::new().push(Conv2dNormActivation::new(3, first, stem)?);
        let total: usize = config.layers.iter().sum();
        let mut index = 0;
        for (i, (channels, layers)) in config.channels.into_iter().zip(config.layers).enumerate() {
            let mut blocks = Sequential::new();
            for _ in 0..layers {
                let depth_prob = depth_prob * index as f64 / (total as f64 - 1.0);
                blocks = blocks.push(CNBlock::new(channels, config.layer_scale, depth_prob)?);
                index += 1;
            }
            features = features.push(blocks);
            if let Some(&next) = config.channels.get(i + 1) {
                let downsample = Sequential::new()
                    .push(norm_layer.build(channels)?)
                    .push(conv(channels, next, 2, 2, 0, true)?);
                features = features.push(downsample);
            }
        }
        let model = ConvNeXt {
            features,
            avgpool: AdaptiveAvgPool2d::new([Some(1); 2]),
            classifier: Sequential::new()
                .push(norm_layer.build(last)?)
                .push(Flatten::default())
                .push(linear(last, options.num_classes)?),
            num_features: last,
            num_classes: options.num_classes,
        };
        initialise(
            &model,
            |_, _, weight| trunc_normal_(weight, 0.0, 0.02, -2.0, 2.0),
            Biases::Zero,
        )?;
        Ok(model)
    }
}

impl Forward for ConvNeXt {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for ConvNeXt {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        run(&self.features, "features", x, tap)
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        self.classifier.forward(&self.avgpool.forward(features)?)
    }

    fn num_features(&self) -> usize {
        self.num_features
    }

    fn num_classes(&self) -> usize {
        self.num_classes
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        self.num_classes = num_classes;
        self.classifier
            .replace(2, linear(self.num_features, num_classes)?)
    }
}

const TINY: ConvNextConfig = ConvNextConfig::new([96, 192, 384, 768], [3, 3, 9, 3], 0.1);
const SMALL: ConvNextConfig = ConvNextConfig::new([96, 192, 384, 768], [3, 3, 27, 3], 0.4);
const BASE: ConvNextConfig = ConvNextConfig::new([128, 256, 512, 1024], [3, 3, 27, 3], 0.5);
const LARGE: ConvNextConfig = ConvNextConfig::new([192, 384, 768, 1536], [3, 3, 27, 3], 0.5);

models! {
    /// ConvNeXt Tiny.
    convnext_tiny(options) -> ConvNeXt { ConvNeXt::new(&TINY, options) }
    parameters 28_589_128, gflops 4.456,
    weights ConvNeXtTinyWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "convnext_tiny-983f1562.pth", megabytes: 109.119, accuracy: acc(82.52, 96.146),
            min_size: [32, 32], preset: Preset::imagenet(236, 224), ..IMAGENET1K
        },
    }
    /// ConvNeXt Small.
    convnext_small(options) -> ConvNeXt { ConvNeXt::new(&SMALL, options) }
    parameters 50_223_688, gflops 8.684,
    weights ConvNeXtSmallWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "convnext_small-0c510722.pth", megabytes: 191.703, accuracy: acc(83.616, 96.65),
            min_size: [32, 32], preset: Preset::imagenet(230, 224), ..IMAGENET1K
        },
    }
    /// ConvNeXt Base.
    convnext_base(options) -> ConvNeXt { ConvNeXt::new(&BASE, options) }
    parameters 88_591_464, gflops 15.355,
    weights ConvNeXtBaseWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "convnext_base-6075fbad.pth", megabytes: 338.064, accuracy: acc(84.062, 96.87),
            min_size: [32, 32], preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
    /// ConvNeXt Large.
    convnext_large(options) -> ConvNeXt { ConvNeXt::new(&LARGE, options) }
    parameters 197_767_336, gflops 34.361,
    weights ConvNeXtLargeWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "convnext_large-ea097f82.pth", megabytes: 754.537, accuracy: acc(84.414, 96.976),
            min_size: [32, 32], preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
}
