//! MobileNet v2: "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (Sandler et al., 2018, arXiv:1801.04381).
//!
//! The reference is torchvision (BSD-3-Clause), keys and initial weights included.

use flambeau_nn::{Dropout, Forward, Module, Sequential, observed};
use flambeau_tensor::{Result, Tensor};

use super::blocks::{
    Biases, Kind, conv, initialise, kaiming_fan_out, linear, make_divisible, normal, pooled, run,
};
use super::weights::{IMAGENET1K, acc};
use super::{Classifier, Options, Preset, Tap, Weights};
use crate::ops::{Activation, Conv2dNormActivation, ConvNormOptions, NormLayer};

/// Stages of inverted residuals with the same number of channels: expansion, channels, blocks, stride of the first.
const STAGES: [[usize; 4]; 7] = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
];

/// More channels by a 1×1 convolution, a depthwise 3×3 convolution, fewer channels by a 1×1 convolution; past it goes the
/// input, if sizes are the same.
#[derive(Module)]
struct InvertedResidual {
    conv: Sequential,
    use_res_connect: bool,
}

impl InvertedResidual {
    fn new(inp: usize, oup: usize, stride: usize, expand_ratio: usize) -> Result<Self> {
        let hidden = inp * expand_ratio;
        let relu6 = |kernel: usize| ConvNormOptions::kernel(kernel).activation(Activation::ReLU6);
        let mut layers = Sequential::new();
        if expand_ratio != 1 {
            layers = layers.push(Conv2dNormActivation::new(inp, hidden, relu6(1))?);
        }
        let depthwise = relu6(3).stride(stride).groups(hidden);
        Ok(InvertedResidual {
            conv: layers
                .push(Conv2dNormActivation::new(hidden, hidden, depthwise)?)
                .push(conv(hidden, oup, 1, 1, 0, false)?)
                .push(NormLayer::BATCH.build(oup)?),
            use_res_connect: stride == 1 && inp == oup,
        })
    }
}

impl Forward for InvertedResidual {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let out = self.conv.forward(x)?;
        if self.use_res_connect {
            x.add(&out)
        } else {
            Ok(out)
        }
    }
}

/// MobileNet v2.
#[derive(Module)]
pub struct MobileNetV2 {
    features: Sequential,
    classifier: Sequential,
    last_channel: usize,
    num_classes: usize,
}

impl MobileNetV2 {
    /// A network whose channels are multiplied by `width_mult` and rounded to multiples of 8; dropout is 0.2 unless given.
    ///
    /// # Errors
    /// `Value` for other options than the classes and dropout.
    pub fn new(width_mult: f64, options: Options) -> Result<Self> {
        options.only("MobileNetV2", &["dropout"])?;
        let scaled = |channels: usize, factor: f64| make_divisible(channels as f64 * factor, 8);
        let mut channels = scaled(32, width_mult);
        let last_channel = scaled(1280, width_mult.max(1.0));
        let relu6 = |kernel: usize| ConvNormOptions::kernel(kernel).activation(Activation::ReLU6);
        let mut features =
            Sequential::new().push(Conv2dNormActivation::new(3, channels, relu6(3).stride(2))?);
        for [expand, out, blocks, stride] in STAGES {
            let out = scaled(out, width_mult);
            for i in 0..blocks {
                let stride = if i == 0 { stride } else { 1 };
                features = features.push(InvertedResidual::new(channels, out, stride, expand)?);
                channels = out;
            }
        }
        let model = MobileNetV2 {
            features: features.push(Conv2dNormActivation::new(channels, last_channel, relu6(1))?),
            classifier: Sequential::new()
                .push(Dropout::new(options.dropout.unwrap_or(0.2))?)
                .push(linear(last_channel, options.num_classes)?),
            last_channel,
            num_classes: options.num_classes,
        };
        initialise(&model, mobile, Biases::Zero)?;
        Ok(model)
    }

    /// The stages before the head: the backbone of other models.
    pub fn into_features(self) -> Sequential {
        self.features
    }
}

/// The initial weights of both versions.
pub(super) fn mobile(kind: Kind, _: &str, weight: &Tensor) -> Result<()> {
    match kind {
        Kind::Conv => kaiming_fan_out(weight),
        Kind::Linear => normal(weight),
    }
}

impl Forward for MobileNetV2 {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for MobileNetV2 {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        run(&self.features, "features", x, tap)
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        self.classifier.forward(&pooled(features)?)
    }

    fn num_features(&self) -> usize {
        self.last_channel
    }

    fn num_classes(&self) -> usize {
        self.num_classes
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        self.num_classes = num_classes;
        self.classifier
            .replace(1, linear(self.last_channel, num_classes)?)
    }
}

models! {
    /// MobileNet v2.
    mobilenet_v2(options) -> MobileNetV2 { MobileNetV2::new(1.0, options) }
    parameters 3_504_872, gflops 0.301,
    weights MobileNetV2Weights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "mobilenet_v2-b0353104.pth", megabytes: 13.555, accuracy: acc(71.878, 90.286),
            ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "mobilenet_v2-7ebf99e0.pth", megabytes: 13.598, accuracy: acc(72.154, 90.822),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
}
