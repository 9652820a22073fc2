//! DenseNet: "Densely Connected Convolutional Networks" (Huang et al., 2016, arXiv:1608.06993), with bottlenecks and
//! compression (DenseNet-BC).
//!
//! The reference is torchvision (BSD-3-Clause), keys and initial weights included. Its option to recompute activations
//! instead of keeping them is `autograd`'s `checkpoint` here.

use flambeau_nn::functional::AvgPoolOptions;
use flambeau_nn::init::{FanMode, Nonlinearity, kaiming_normal_};
use flambeau_nn::{
    AvgPool2d, BatchNorm2d, BatchNormOptions, Conv2d, Dropout, Forward, Linear, Member, Module, ReLU,
    Sequential, Visitor, VisitorMut, observed,
};
use flambeau_tensor::{Result, Tensor};

use super::blocks::{Biases, Kind, conv, initialise, linear, max_pool, pooled, run};
use super::weights::{IMAGENET1K, acc, hub};
use super::{Classifier, Options, Tap, Weights};

/// What a network of the family is.
#[derive(Clone, Copy, Debug)]
pub struct DenseNetConfig {
    /// Channels that each layer adds.
    pub growth_rate: usize,
    /// How many layers each of the four blocks has.
    pub block_config: [usize; 4],
    /// Channels of the first convolution.
    pub num_init_features: usize,
    /// Channels of a bottleneck, in growth rates.
    pub bn_size: usize,
}

impl DenseNetConfig {
    const fn new(growth_rate: usize, block_config: [usize; 4], num_init_features: usize) -> Self {
        DenseNetConfig {
            growth_rate,
            block_config,
            num_init_features,
            bn_size: 4,
        }
    }
}

fn norm(channels: usize) -> Result<BatchNorm2d> {
    BatchNorm2d::new(channels, BatchNormOptions::BATCH)
}

/// `conv3×3(relu(bn(conv1×1(relu(bn(x))))))`.
#[derive(Clone, Debug, Module)]
struct DenseLayer {
    norm1: BatchNorm2d,
    relu1: ReLU,
    conv1: Conv2d,
    norm2: BatchNorm2d,
    relu2: ReLU,
    conv2: Conv2d,
    dropout: Option<Dropout>,
}

impl DenseLayer {
    fn new(in_channels: usize, config: &DenseNetConfig, dropout: f64) -> Result<Self> {
        let width = config.bn_size * config.growth_rate;
        Ok(DenseLayer {
            norm1: norm(in_channels)?,
            relu1: ReLU,
            conv1: conv(in_channels, width, 1, 1, 0, false)?,
            norm2: norm(width)?,
            relu2: ReLU,
            conv2: conv(width, config.growth_rate, 3, 1, 1, false)?,
            dropout: (dropout > 0.0).then(|| Dropout::new(dropout)).transpose()?,
        })
    }
}

impl Forward for DenseLayer {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self
            .conv1
            .forward(&self.relu1.forward(&self.norm1.forward(x)?)?)?;
        let x = self
            .conv2
            .forward(&self.relu2.forward(&self.norm2.forward(&x)?)?)?;
        match &self.dropout {
            Some(dropout) => dropout.forward(&x),
            None => Ok(x),
        }
    }
}

/// Layers `denselayer1`, `denselayer2`, …, each of which sees the outputs of all before it.
#[derive(Clone, Debug)]
struct DenseBlock {
    layers: Vec<DenseLayer>,
}

impl Forward for DenseBlock {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut features = vec![x.clone()];
        for layer in &self.layers {
            features.push(layer.forward(&Tensor::cat(&features, 1)?)?);
        }
        Tensor::cat(&features, 1)
    }
}

impl Module for DenseBlock {
    fn name(&self) -> &str {
        "DenseBlock"
    }

    fn members<'a>(&'a self, visitor: &mut dyn Visitor<'a>) {
        for (i, layer) in self.layers.iter().enumerate() {
            layer.visit(&format!("denselayer{}", i + 1), visitor)
        }
    }

    fn members_mut(&mut self, visitor: &mut dyn VisitorMut) -> Result<()> {
        let mut layers = self.layers.iter_mut().enumerate();
        layers.try_for_each(|(i, layer)| layer.visit_mut(&format!("denselayer{}", i + 1), visitor))
    }
}

impl Member for DenseBlock {
    fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>) {
        visitor.module(name, self)
    }

    fn visit_mut(&mut self, name: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        visitor.module(name, self)
    }
}

/// Half the channels, half the height and width.
#[derive(Clone, Debug, Module)]
struct Transition {
    norm: BatchNorm2d,
    relu: ReLU,
    conv: Conv2d,
    pool: AvgPool2d,
}

impl Transition {
    fn new(in_channels: usize) -> Result<Self> {
        Ok(Transition {
            norm: norm(in_channels)?,
            relu: ReLU,
            conv: conv(in_channels, in_channels / 2, 1, 1, 0, false)?,
            pool: AvgPool2d::new([2; 2], AvgPoolOptions::default()),
        })
    }
}

impl Forward for Transition {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.pool
            .forward(&self.conv.forward(&self.relu.forward(&self.norm.forward(x)?)?)?)
    }
}

/// A densely connected network.
#[derive(Module)]
pub struct DenseNet {
    features: Sequential,
    classifier: Linear,
}

impl DenseNet {
    /// A network for images of 29 pixels or more along each side; there is no dropout unless given (torchvision's
    /// `drop_rate`, after each layer).
    ///
    /// # Errors
    /// `Value` for other options than the classes and dropout.
    pub fn new(config: DenseNetConfig, options: Options) -> Result<Self> {
        options.only("DenseNet", &["dropout"])?;
        let mut channels = config.num_init_features;
        let mut features = Sequential::new()
            .push_named("conv0", conv(3, channels, 7, 2, 3, false)?)
            .push_named("norm0", norm(channels)?)
            .push_named("relu0", ReLU)
            .push_named("pool0", max_pool(3, 2, 1, false));
        for (i, count) in config.block_config.into_iter().enumerate() {
            let mut layers = Vec::with_capacity(count);
            for _ in 0..count {
                layers.push(DenseLayer::new(
                    channels,
                    &config,
                    options.dropout.unwrap_or(0.0),
                )?);
                channels += config.growth_rate;
            }
            features = features.push_named(format!("denseblock{}", i + 1), DenseBlock { layers });
            if i + 1 < config.block_config.len() {
                features = features.push_named(format!("transition{}", i + 1), Transition::new(channels)?);
                channels /= 2;
            }
        }
        let model = DenseNet {
            features: features.push_named("norm5", norm(channels)?),
            classifier: linear(channels, options.num_classes)?,
        };
        let weights = |kind: Kind, _: &str, weight: &Tensor| match kind {
            Kind::Conv => kaiming_normal_(weight, FanMode::FanIn, Nonlinearity::Relu),
            Kind::Linear => Ok(()),
        };
        initialise(&model, weights, Biases::Zero)?;
        Ok(model)
    }
}

impl Forward for DenseNet {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for DenseNet {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        run(&self.features, "features", x, tap)?.relu()
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        self.classifier.forward(&pooled(features)?)
    }

    fn num_features(&self) -> usize {
        self.classifier.weight.shape()[1]
    }

    fn num_classes(&self) -> usize {
        self.classifier.weight.shape()[0]
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        self.classifier = linear(self.num_features(), num_classes)?;
        Ok(())
    }
}

models! {
    /// DenseNet-121.
    densenet121(options) -> DenseNet { DenseNet::new(DenseNetConfig::new(32, [6, 12, 24, 16], 64), options) }
    parameters 7_978_856, gflops 2.834,
    weights DenseNet121Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "densenet121-a639ec97.pth", hub: hub("timm/densenet121.tv_in1k"), megabytes: 30.845,
            accuracy: acc(74.434, 91.972), min_size: [29, 29], ..IMAGENET1K
        },
    }
    /// DenseNet-161.
    densenet161(options) -> DenseNet { DenseNet::new(DenseNetConfig::new(48, [6, 12, 36, 24], 96), options) }
    parameters 28_681_000, gflops 7.728,
    weights DenseNet161Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "densenet161-8d451a50.pth", hub: hub("timm/densenet161.tv_in1k"), megabytes: 110.369,
            accuracy: acc(77.138, 93.56), min_size: [29, 29], ..IMAGENET1K
        },
    }
    /// DenseNet-169.
    densenet169(options) -> DenseNet { DenseNet::new(DenseNetConfig::new(32, [6, 12, 32, 32], 64), options) }
    parameters 14_149_480, gflops 3.36,
    weights DenseNet169Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "densenet169-b2777c0a.pth", hub: hub("timm/densenet169.tv_in1k"), megabytes: 54.708,
            accuracy: acc(75.6, 92.806), min_size: [29, 29], ..IMAGENET1K
        },
    }
    /// DenseNet-201.
    densenet201(options) -> DenseNet { DenseNet::new(DenseNetConfig::new(32, [6, 12, 48, 32], 64), options) }
    parameters 20_013_928, gflops 4.291,
    weights DenseNet201Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "densenet201-c1103571.pth", hub: hub("timm/densenet201.tv_in1k"), megabytes: 77.373,
            accuracy: acc(76.896, 93.37), min_size: [29, 29], ..IMAGENET1K
        },
    }
}
