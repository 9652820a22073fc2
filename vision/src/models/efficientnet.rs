//! EfficientNet: "Rethinking Model Scaling for Convolutional Neural Networks" (Tan & Le, 2019, arXiv:1905.11946), and
//! EfficientNetV2: "Smaller Models and Faster Training" (Tan & Le, 2021, arXiv:2104.00298).
//!
//! The reference is torchvision (BSD-3-Clause), keys and initial weights included. As there, convolutions are padded alike
//! on both sides; [`efficientnet_lite0`](super::efficientnet_lite0) pads as TensorFlow does.

use flambeau_nn::init::uniform_;
use flambeau_nn::{BatchNormOptions, Dropout, Forward, Module, Sequential, observed};
use flambeau_tensor::{Result, Tensor};

use super::blocks::{Biases, Kind, initialise, kaiming_fan_out, linear, make_divisible, pooled, run};
use super::weights::{IMAGENET1K, acc};
use super::{Classifier, Options, Preset, Tap, Weights};
use crate::ops::{
    Activation, Conv2dNormActivation, ConvNormOptions, NormLayer, SqueezeExcitation, StochasticDepth,
    StochasticDepthMode,
};

/// A stage of the papers' tables: blocks of one kind, the first of which has the stride.
#[derive(Clone, Copy, Debug)]
pub struct EfficientNetStage {
    /// Whether the first two convolutions are one.
    pub fused: bool,
    /// How many times as many channels there are within a block.
    pub expand_ratio: usize,
    /// Height and width of the kernels.
    pub kernel: usize,
    /// Stride of the first block.
    pub stride: usize,
    /// Channels before.
    pub input_channels: usize,
    /// Channels after.
    pub out_channels: usize,
    /// How many blocks.
    pub num_layers: usize,
}

const fn mbconv(
    expand_ratio: usize,
    kernel: usize,
    stride: usize,
    [input_channels, out_channels]: [usize; 2],
    num_layers: usize,
) -> EfficientNetStage {
    EfficientNetStage {
        fused: false,
        expand_ratio,
        kernel,
        stride,
        input_channels,
        out_channels,
        num_layers,
    }
}

const fn fused(
    expand_ratio: usize,
    stride: usize,
    channels: [usize; 2],
    num_layers: usize,
) -> EfficientNetStage {
    EfficientNetStage {
        fused: true,
        ..mbconv(expand_ratio, 3, stride, channels, num_layers)
    }
}

/// B0, which the others are scaled from.
const B0: &[EfficientNetStage] = &[
    mbconv(1, 3, 1, [32, 16], 1),
    mbconv(6, 3, 2, [16, 24], 2),
    mbconv(6, 5, 2, [24, 40], 2),
    mbconv(6, 3, 2, [40, 80], 3),
    mbconv(6, 5, 1, [80, 112], 3),
    mbconv(6, 5, 2, [112, 192], 4),
    mbconv(6, 3, 1, [192, 320], 1),
];

const V2_S: &[EfficientNetStage] = &[
    fused(1, 1, [24, 24], 2),
    fused(4, 2, [24, 48], 4),
    fused(4, 2, [48, 64], 4),
    mbconv(4, 3, 2, [64, 128], 6),
    mbconv(6, 3, 1, [128, 160], 9),
    mbconv(6, 3, 2, [160, 256], 15),
];

const V2_M: &[EfficientNetStage] = &[
    fused(1, 1, [24, 24], 3),
    fused(4, 2, [24, 48], 5),
    fused(4, 2, [48, 80], 5),
    mbconv(4, 3, 2, [80, 160], 7),
    mbconv(6, 3, 1, [160, 176], 14),
    mbconv(6, 3, 2, [176, 304], 18),
    mbconv(6, 3, 1, [304, 512], 5),
];

const V2_L: &[EfficientNetStage] = &[
    fused(1, 1, [32, 32], 4),
    fused(4, 2, [32, 64], 7),
    fused(4, 2, [64, 96], 7),
    mbconv(4, 3, 2, [96, 192], 10),
    mbconv(6, 3, 1, [192, 224], 19),
    mbconv(6, 3, 2, [224, 384], 25),
    mbconv(6, 3, 1, [384, 640], 7),
];

/// What a network of the family is.
#[derive(Clone, Copy, Debug)]
pub struct EfficientNetConfig {
    /// Its stages, before scaling.
    pub stages: &'static [EfficientNetStage],
    /// Factor of all channels.
    pub width_mult: f64,
    /// Factor of the numbers of blocks.
    pub depth_mult: f64,
    /// Channels before the head; four times those of the last stage unless given.
    pub last_channel: Option<usize>,
    /// Probability of dropout before the head.
    pub dropout: f64,
    /// The norm after each convolution.
    pub norm_layer: NormLayer,
}

impl EfficientNetConfig {
    /// The first version, scaled.
    const fn v1(width_mult: f64, depth_mult: f64, dropout: f64) -> Self {
        EfficientNetConfig {
            stages: B0,
            width_mult,
            depth_mult,
            last_channel: None,
            dropout,
            norm_layer: NormLayer::BATCH,
        }
    }

    /// The first version, scaled, with the norm's settings of TensorFlow.
    const fn v1_large(width_mult: f64, depth_mult: f64, dropout: f64) -> Self {
        EfficientNetConfig {
            norm_layer: NormLayer::batch(0.001, 0.01),
            ..Self::v1(width_mult, depth_mult, dropout)
        }
    }

    /// The second version.
    const fn v2(stages: &'static [EfficientNetStage], dropout: f64) -> Self {
        let norm = BatchNormOptions {
            eps: 1e-3,
            ..BatchNormOptions::BATCH
        };
        EfficientNetConfig {
            stages,
            last_channel: Some(1280),
            norm_layer: NormLayer::Batch(norm),
            ..Self::v1(1.0, 1.0, dropout)
        }
    }
}

/// More channels, a depthwise convolution, squeeze and excitation, fewer channels (MBConv), or the first two of these as
/// one convolution and without squeeze (Fused-MBConv); past it goes the input, if sizes are the same.
#[derive(Module)]
struct MBConv {
    block: Sequential,
    stochastic_depth: StochasticDepth,
    use_res_connect: bool,
}

impl MBConv {
    fn new(stage: &EfficientNetStage, depth_prob: f64, norm_layer: NormLayer) -> Result<Self> {
        let EfficientNetStage {
            kernel,
            stride,
            input_channels: input,
            out_channels: out,
            ..
        } = *stage;
        let options = |kernel: usize| {
            ConvNormOptions::kernel(kernel)
                .norm(norm_layer)
                .activation(Activation::SiLU)
        };
        let expanded = make_divisible((input * stage.expand_ratio) as f64, 8);
        let project = || Conv2dNormActivation::new(expanded, out, options(1).activation(None));
        let mut block = Sequential::new();
        if stage.fused && expanded == input {
            block = block.push(Conv2dNormActivation::new(
                input,
                out,
                options(kernel).stride(stride),
            )?);
        } else if stage.fused {
            block = block
                .push(Conv2dNormActivation::new(
                    input,
                    expanded,
                    options(kernel).stride(stride),
                )?)
                .push(project()?);
        } else {
            if expanded != input {
                block = block.push(Conv2dNormActivation::new(input, expanded, options(1))?);
            }
            let depthwise = options(kernel).stride(stride).groups(expanded);
            let (squeezed, inner, outer) = ((input / 4).max(1), Activation::SiLU, Activation::Sigmoid);
            block = block
                .push(Conv2dNormActivation::new(expanded, expanded, depthwise)?)
                .push(SqueezeExcitation::new(expanded, squeezed, inner, outer)?)
                .push(project()?);
        }
        Ok(MBConv {
            block,
            stochastic_depth: StochasticDepth::new(depth_prob, StochasticDepthMode::Row)?,
            use_res_connect: stride == 1 && input == out,
        })
    }
}

impl Forward for MBConv {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let out = self.block.forward(x)?;
        if self.use_res_connect {
            self.stochastic_depth.forward(&out)?.add(x)
        } else {
            Ok(out)
        }
    }
}

/// A network of the family.
#[derive(Module)]
pub struct EfficientNet {
    features: Sequential,
    classifier: Sequential,
    num_features: usize,
    num_classes: usize,
}

impl EfficientNet {
    /// A network with a head; residual branches are dropped with a probability of up to 0.2 unless given.
    ///
    /// # Errors
    /// `Value` for other options than the classes, dropout and stochastic depth.
    pub fn new(config: &EfficientNetConfig, options: Options) -> Result<Self> {
        options.only("EfficientNet", &["dropout", "stochastic_depth_prob"])?;
        let depth_prob = options.stochastic_depth_prob.unwrap_or(0.2);
        let channels = |channels: usize| make_divisible(channels as f64 * config.width_mult, 8);
        let scaled: Vec<EfficientNetStage> = config
            .stages
            .iter()
            .map(|stage| EfficientNetStage {
                input_channels: channels(stage.input_channels),
                out_channels: channels(stage.out_channels),
                num_layers: (stage.num_layers as f64 * config.depth_mult).ceil() as usize,
                ..*stage
            })
            .collect();
        let (first, last) = (scaled[0].input_channels, scaled[scaled.len() - 1].out_channels);
        let silu = |kernel: usize| {
            ConvNormOptions::kernel(kernel)
                .norm(config.norm_layer)
                .activation(Activation::SiLU)
        };
        let mut features = Sequential::new().push(Conv2dNormActivation::new(3, first, silu(3).stride(2))?);
        let total: usize = scaled.iter().map(|stage| stage.num_layers).sum();
        let mut index = 0;
        for stage in &scaled {
            let mut blocks = Sequential::new();
            for i in 0..stage.num_layers {
                let later = EfficientNetStage {
                    input_channels: stage.out_channels,
                    stride: 1,
                    ..*stage
                };
                let depth_prob = depth_prob * index as f64 / total as f64;
                let block = if i == 0 { stage } else { &later };
                blocks = blocks.push(MBConv::new(block, depth_prob, config.norm_layer)?);
                index += 1;
            }
            features = features.push(blocks);
        }
        let num_features = config.last_channel.unwrap_or(4 * last);
        let model = EfficientNet {
            features: features.push(Conv2dNormActivation::new(last, num_features, silu(1))?),
            classifier: Sequential::new()
                .push(Dropout::new(options.dropout.unwrap_or(config.dropout))?)
                .push(linear(num_features, options.num_classes)?),
            num_features,
            num_classes: options.num_classes,
        };
        let weights = |kind: Kind, _: &str, weight: &Tensor| match kind {
            Kind::Conv => kaiming_fan_out(weight),
            Kind::Linear => {
                let range = 1.0 / (options.num_classes as f64).sqrt();
                uniform_(weight, -range, range)
            }
        };
        initialise(&model, weights, Biases::Zero)?;
        Ok(model)
    }
}

impl Forward for EfficientNet {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for EfficientNet {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        run(&self.features, "features", x, tap)
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        self.classifier.forward(&pooled(features)?)
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
            .replace(1, linear(self.num_features, num_classes)?)
    }
}

models! {
    /// EfficientNet-B0.
    efficientnet_b0(options) -> EfficientNet { EfficientNet::new(&EfficientNetConfig::v1(1.0, 1.0, 0.2), options) }
    parameters 5_288_548, gflops 0.386,
    weights EfficientNetB0Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "efficientnet_b0_rwightman-7f5810bc.pth", megabytes: 20.451,
            accuracy: acc(77.692, 93.532), preset: Preset::imagenet_bicubic(256, 224), ..IMAGENET1K
        },
    }
    /// EfficientNet-B1.
    efficientnet_b1(options) -> EfficientNet { EfficientNet::new(&EfficientNetConfig::v1(1.0, 1.1, 0.2), options) }
    parameters 7_794_184, gflops 0.687,
    weights EfficientNetB1Weights, default IMAGENET1K_V2 {
        IMAGENET1K_V1 = Weights {
            file: "efficientnet_b1_rwightman-bac287d4.pth", megabytes: 30.134,
            accuracy: acc(78.642, 94.186), preset: Preset::imagenet_bicubic(256, 240), ..IMAGENET1K
        },
        IMAGENET1K_V2 = Weights {
            file: "efficientnet_b1-c27df63c.pth", megabytes: 30.136, accuracy: acc(79.838, 94.934),
            preset: Preset::imagenet(255, 240), ..IMAGENET1K
        },
    }
    /// EfficientNet-B2.
    efficientnet_b2(options) -> EfficientNet { EfficientNet::new(&EfficientNetConfig::v1(1.1, 1.2, 0.3), options) }
    parameters 9_109_994, gflops 1.088,
    weights EfficientNetB2Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "efficientnet_b2_rwightman-c35c1473.pth", megabytes: 35.174, accuracy: acc(80.608, 95.31),
            preset: Preset::imagenet_bicubic(288, 288), ..IMAGENET1K
        },
    }
    /// EfficientNet-B3.
    efficientnet_b3(options) -> EfficientNet { EfficientNet::new(&EfficientNetConfig::v1(1.2, 1.4, 0.3), options) }
    parameters 12_233_232, gflops 1.827,
    weights EfficientNetB3Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "efficientnet_b3_rwightman-b3899882.pth", megabytes: 47.184,
            accuracy: acc(82.008, 96.054), preset: Preset::imagenet_bicubic(320, 300), ..IMAGENET1K
        },
    }
    /// EfficientNet-B4.
    efficientnet_b4(options) -> EfficientNet { EfficientNet::new(&EfficientNetConfig::v1(1.4, 1.8, 0.4), options) }
    parameters 19_341_616, gflops 4.394,
    weights EfficientNetB4Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "efficientnet_b4_rwightman-23ab8bcd.pth", megabytes: 74.489,
            accuracy: acc(83.384, 96.594), preset: Preset::imagenet_bicubic(384, 380), ..IMAGENET1K
        },
    }
    /// EfficientNet-B5.
    efficientnet_b5(options) -> EfficientNet { EfficientNet::new(&EfficientNetConfig::v1_large(1.6, 2.2, 0.4), options) }
    parameters 30_389_784, gflops 10.266,
    weights EfficientNetB5Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "efficientnet_b5_lukemelas-1a07897c.pth", megabytes: 116.864,
            accuracy: acc(83.444, 96.628), preset: Preset::imagenet_bicubic(456, 456), ..IMAGENET1K
        },
    }
    /// EfficientNet-B6.
    efficientnet_b6(options) -> EfficientNet { EfficientNet::new(&EfficientNetConfig::v1_large(1.8, 2.6, 0.5), options) }
    parameters 43_040_704, gflops 19.068,
    weights EfficientNetB6Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "efficientnet_b6_lukemelas-24a108a5.pth", megabytes: 165.362,
            accuracy: acc(84.008, 96.916), preset: Preset::imagenet_bicubic(528, 528), ..IMAGENET1K
        },
    }
    /// EfficientNet-B7.
    efficientnet_b7(options) -> EfficientNet { EfficientNet::new(&EfficientNetConfig::v1_large(2.0, 3.1, 0.5), options) }
    parameters 66_347_960, gflops 37.746,
    weights EfficientNetB7Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "efficientnet_b7_lukemelas-c5b4e57e.pth", megabytes: 254.675,
            accuracy: acc(84.122, 96.908), preset: Preset::imagenet_bicubic(600, 600), ..IMAGENET1K
        },
    }
    /// EfficientNetV2-S.
    efficientnet_v2_s(options) -> EfficientNet { EfficientNet::new(&EfficientNetConfig::v2(V2_S, 0.2), options) }
    parameters 21_458_488, gflops 8.366,
    weights EfficientNetV2SWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "efficientnet_v2_s-dd5fe13b.pth", megabytes: 82.704, accuracy: acc(84.228, 96.878),
            min_size: [33, 33], preset: Preset::imagenet(384, 384), ..IMAGENET1K
        },
    }
    /// EfficientNetV2-M.
    efficientnet_v2_m(options) -> EfficientNet { EfficientNet::new(&EfficientNetConfig::v2(V2_M, 0.3), options) }
    parameters 54_139_356, gflops 24.582,
    weights EfficientNetV2MWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "efficientnet_v2_m-dc08266a.pth", megabytes: 208.01, accuracy: acc(85.112, 97.156),
            min_size: [33, 33], preset: Preset::imagenet(480, 480), ..IMAGENET1K
        },
    }
    /// EfficientNetV2-L.
    efficientnet_v2_l(options) -> EfficientNet { EfficientNet::new(&EfficientNetConfig::v2(V2_L, 0.4), options) }
    parameters 118_515_272, gflops 56.08,
    weights EfficientNetV2LWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "efficientnet_v2_l-59c71312.pth", megabytes: 454.573, accuracy: acc(85.808, 97.788),
            min_size: [33, 33],
            preset: Preset { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], ..Preset::imagenet_bicubic(480, 480) },
            ..IMAGENET1K
        },
    }
}
