//! ShuffleNet v2: "Practical Guidelines for Efficient CNN Architecture Design" (Ma et al., 2018, arXiv:1807.11164).
//!
//! The reference is torchvision (BSD-3-Clause), keys and initial weights included.

use flambeau_nn::functional::{Padding, channel_shuffle};
use flambeau_nn::{
    BatchNorm2d, BatchNormOptions, Conv2d, ConvOptions, Forward, Linear, MaxPool2d, Module, ReLU, Sequential,
    observed,
};
use flambeau_tensor::{Result, Tensor, ensure};

use super::blocks::{conv, linear, max_pool, pooled, stage};
use super::weights::{IMAGENET1K, acc};
use super::{Classifier, Options, Preset, Tap, Weights};

fn norm(channels: usize) -> Result<BatchNorm2d> {
    BatchNorm2d::new(channels, BatchNormOptions::BATCH)
}

fn depthwise(channels: usize, stride: usize) -> Result<Conv2d> {
    let options = ConvOptions {
        stride: [stride; 2],
        padding: Padding::Explicit([1; 2]),
        groups: channels,
        bias: false,
        ..ConvOptions::default()
    };
    Conv2d::new(channels, channels, [3; 2], options)
}

/// Half the channels go through three convolutions, then halves are shuffled; with a stride, all channels go through both
/// branches.
#[derive(Module)]
struct InvertedResidual {
    branch1: Sequential,
    branch2: Sequential,
    stride: usize,
}

impl InvertedResidual {
    fn new(inp: usize, oup: usize, stride: usize) -> Result<Self> {
        let half = oup / 2;
        let mut branch1 = Sequential::new();
        if stride > 1 {
            branch1 = branch1
                .push(depthwise(inp, stride)?)
                .push(norm(inp)?)
                .push(conv(inp, half, 1, 1, 0, false)?)
                .push(norm(half)?)
                .push(ReLU);
        }
        let branch2 = Sequential::new()
            .push(conv(if stride > 1 { inp } else { half }, half, 1, 1, 0, false)?)
            .push(norm(half)?)
            .push(ReLU)
            .push(depthwise(half, stride)?)
            .push(norm(half)?)
            .push(conv(half, half, 1, 1, 0, false)?)
            .push(norm(half)?)
            .push(ReLU);
        Ok(InvertedResidual {
            branch1,
            branch2,
            stride,
        })
    }
}

impl Forward for InvertedResidual {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let halves = if self.stride == 1 {
            let half = x.size(1)? / 2;
            let kept = x.narrow(1, 0, half)?;
            [kept, self.branch2.forward(&x.narrow(1, half as isize, half)?)?]
        } else {
            [self.branch1.forward(x)?, self.branch2.forward(x)?]
        };
        channel_shuffle(&Tensor::cat(&halves, 1)?, 2)
    }
}

/// ShuffleNet v2.
#[derive(Module)]
pub struct ShuffleNetV2 {
    conv1: Sequential,
    maxpool: MaxPool2d,
    stage2: Sequential,
    stage3: Sequential,
    stage4: Sequential,
    conv5: Sequential,
    fc: Linear,
}

impl ShuffleNetV2 {
    /// A network whose first convolution, three stages and last convolution have so many channels.
    ///
    /// # Errors
    /// `Value` for other options than the classes, and for stages with an odd number of channels.
    pub fn new(channels: [usize; 5], options: Options) -> Result<Self> {
        options.only("ShuffleNetV2", &[])?;
        let [first, stages @ .., last] = channels;
        ensure!(
            stages.iter().all(|channels| channels.is_multiple_of(2)),
            Value,
            "ShuffleNetV2: stages have an even number of channels, got {stages:?}"
        );
        let stage = |inp: usize, oup: usize, blocks: usize| -> Result<Sequential> {
            let mut stage = Sequential::new().push(InvertedResidual::new(inp, oup, 2)?);
            for _ in 1..blocks {
                stage = stage.push(InvertedResidual::new(oup, oup, 1)?);
            }
            Ok(stage)
        };
        Ok(ShuffleNetV2 {
            conv1: Sequential::new()
                .push(conv(3, first, 3, 2, 1, false)?)
                .push(norm(first)?)
                .push(ReLU),
            maxpool: max_pool(3, 2, 1, false),
            stage2: stage(first, stages[0], 4)?,
            stage3: stage(stages[0], stages[1], 8)?,
            stage4: stage(stages[1], stages[2], 4)?,
            conv5: Sequential::new()
                .push(conv(stages[2], last, 1, 1, 0, false)?)
                .push(norm(last)?)
                .push(ReLU),
            fc: linear(last, options.num_classes)?,
        })
    }
}

impl Forward for ShuffleNetV2 {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for ShuffleNetV2 {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        let x = stage(&self.conv1, "conv1", x, tap)?;
        let x = stage(&self.maxpool, "maxpool", &x, tap)?;
        let x = stage(&self.stage2, "stage2", &x, tap)?;
        let x = stage(&self.stage3, "stage3", &x, tap)?;
        let x = stage(&self.stage4, "stage4", &x, tap)?;
        stage(&self.conv5, "conv5", &x, tap)
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        self.fc.forward(&pooled(features)?)
    }

    fn num_features(&self) -> usize {
        self.fc.weight.shape()[1]
    }

    fn num_classes(&self) -> usize {
        self.fc.weight.shape()[0]
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        self.fc = linear(self.num_features(), num_classes)?;
        Ok(())
    }
}

models! {
    /// ShuffleNet v2 with half the channels.
    shufflenet_v2_x0_5(options) -> ShuffleNetV2 { ShuffleNetV2::new([24, 48, 96, 192, 1024], options) }
    parameters 1_366_792, gflops 0.04,
    weights ShuffleNetV2X0_5Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "shufflenetv2_x0.5-f707e7126e.pth", megabytes: 5.282, accuracy: acc(60.552, 81.746),
            ..IMAGENET1K
        },
    }
    /// ShuffleNet v2.
    shufflenet_v2_x1_0(options) -> ShuffleNetV2 { ShuffleNetV2::new([24, 116, 232, 464, 1024], options) }
    parameters 2_278_604, gflops 0.145,
    weights ShuffleNetV2X1_0Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "shufflenetv2_x1-5666bf0f80.pth", megabytes: 8.791, accuracy: acc(69.362, 88.316),
            ..IMAGENET1K
        },
    }
    /// ShuffleNet v2 with one and a half times the channels.
    shufflenet_v2_x1_5(options) -> ShuffleNetV2 { ShuffleNetV2::new([24, 176, 352, 704, 1024], options) }
    parameters 3_503_624, gflops 0.296,
    weights ShuffleNetV2X1_5Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "shufflenetv2_x1_5-3c479a10.pth", megabytes: 13.557, accuracy: acc(72.996, 91.086),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
    /// ShuffleNet v2 with twice the channels.
    shufflenet_v2_x2_0(options) -> ShuffleNetV2 { ShuffleNetV2::new([24, 244, 488, 976, 2048], options) }
    parameters 7_393_996, gflops 0.583,
    weights ShuffleNetV2X2_0Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "shufflenetv2_x2_0-8be3c8ee.pth", megabytes: 28.433, accuracy: acc(76.23, 93.006),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
}
