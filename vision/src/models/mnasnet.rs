//! MNASNet: "Platform-Aware Neural Architecture Search for Mobile" (Tan et al., 2018, arXiv:1807.11626), the variant B1.
//!
//! The reference is torchvision (BSD-3-Clause), keys (of its version 2) and initial weights included.

use flambeau_nn::functional::Padding;
use flambeau_nn::init::{FanMode, Nonlinearity, kaiming_uniform_};
use flambeau_nn::{
    BatchNorm2d, BatchNormOptions, Conv2d, ConvOptions, Dropout, Forward, Module, ReLU, Sequential, observed,
};
use flambeau_tensor::{Result, Tensor, ensure};

use super::blocks::{Biases, Kind, conv, initialise, kaiming_fan_out, linear, pooled, run};
use super::weights::{IMAGENET1K, acc};
use super::{Classifier, Options, Preset, Tap, Weights};

/// The paper's momentum of TensorFlow's kind, 0.9997, as one of PyTorch's kind.
const NORM: BatchNormOptions = BatchNormOptions {
    momentum: Some(1.0 - 0.9997),
    ..BatchNormOptions::BATCH
};

fn norm(channels: usize) -> Result<BatchNorm2d> {
    BatchNorm2d::new(channels, NORM)
}

fn depthwise(channels: usize, kernel_size: usize, stride: usize) -> Result<Conv2d> {
    let options = ConvOptions {
        stride: [stride; 2],
        padding: Padding::Explicit([kernel_size / 2; 2]),
        groups: channels,
        bias: false,
        ..ConvOptions::default()
    };
    Conv2d::new(channels, channels, [kernel_size; 2], options)
}

/// More channels, a depthwise convolution, fewer channels; past it goes the input, if sizes are the same.
#[derive(Module)]
struct InvertedResidual {
    layers: Sequential,
    apply_residual: bool,
}

impl InvertedResidual {
    fn new(inp: usize, oup: usize, kernel_size: usize, stride: usize, expansion: usize) -> Result<Self> {
        let mid = inp * expansion;
        Ok(InvertedResidual {
            layers: Sequential::new()
                .push(conv(inp, mid, 1, 1, 0, false)?)
                .push(norm(mid)?)
                .push(ReLU)
                .push(depthwise(mid, kernel_size, stride)?)
                .push(norm(mid)?)
                .push(ReLU)
                .push(conv(mid, oup, 1, 1, 0, false)?)
                .push(norm(oup)?),
            apply_residual: inp == oup && stride == 1,
        })
    }

    /// So many blocks, the first of which has the stride.
    fn stack(
        [inp, oup]: [usize; 2],
        kernel_size: usize,
        stride: usize,
        expansion: usize,
        repeats: usize,
    ) -> Result<Sequential> {
        let mut stack = Sequential::new().push(Self::new(inp, oup, kernel_size, stride, expansion)?);
        for _ in 1..repeats {
            stack = stack.push(Self::new(oup, oup, kernel_size, 1, expansion)?);
        }
        Ok(stack)
    }
}

impl Forward for InvertedResidual {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let out = self.layers.forward(x)?;
        if self.apply_residual { out.add(x) } else { Ok(out) }
    }
}

/// `depth` rounded to a multiple of 8, down only if little is lost.
fn rounded(depth: f64) -> usize {
    let low = ((depth + 4.0) / 8.0).floor().max(1.0) * 8.0;
    (if low >= 0.9 * depth { low } else { low + 8.0 }) as usize
}

/// MNASNet.
#[derive(Module)]
pub struct MNASNet {
    layers: Sequential,
    classifier: Sequential,
    num_classes: usize,
}

impl MNASNet {
    /// A network whose channels are multiplied by `alpha`; dropout is 0.2 unless given.
    ///
    /// # Errors
    /// `Value` for other options than the classes and dropout, and unless `alpha` is positive.
    pub fn new(alpha: f64, options: Options) -> Result<Self> {
        options.only("MNASNet", &["dropout"])?;
        ensure!(alpha > 0.0, Value, "MNASNet: alpha must be positive, got {alpha}");
        let d = [32, 16, 24, 40, 80, 96, 192, 320].map(|depth| rounded(f64::from(depth) * alpha));
        let layers = Sequential::new()
            .push(conv(3, d[0], 3, 2, 1, false)?)
            .push(norm(d[0])?)
            .push(ReLU)
            .push(depthwise(d[0], 3, 1)?)
            .push(norm(d[0])?)
            .push(ReLU)
            .push(conv(d[0], d[1], 1, 1, 0, false)?)
            .push(norm(d[1])?)
            .push(InvertedResidual::stack([d[1], d[2]], 3, 2, 3, 3)?)
            .push(InvertedResidual::stack([d[2], d[3]], 5, 2, 3, 3)?)
            .push(InvertedResidual::stack([d[3], d[4]], 5, 2, 6, 3)?)
            .push(InvertedResidual::stack([d[4], d[5]], 3, 1, 6, 2)?)
            .push(InvertedResidual::stack([d[5], d[6]], 5, 2, 6, 4)?)
            .push(InvertedResidual::stack([d[6], d[7]], 3, 1, 6, 1)?)
            .push(conv(d[7], 1280, 1, 1, 0, false)?)
            .push(norm(1280)?)
            .push(ReLU);
        let model = MNASNet {
            layers,
            classifier: Sequential::new()
                .push(Dropout::new(options.dropout.unwrap_or(0.2))?)
                .push(linear(1280, options.num_classes)?),
            num_classes: options.num_classes,
        };
        let weights = |kind: Kind, _: &str, weight: &Tensor| match kind {
            Kind::Conv => kaiming_fan_out(weight),
            Kind::Linear => kaiming_uniform_(weight, FanMode::FanOut, Nonlinearity::Sigmoid),
        };
        initialise(&model, weights, Biases::Zero)?;
        Ok(model)
    }
}

impl Forward for MNASNet {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for MNASNet {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        run(&self.layers, "layers", x, tap)
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        self.classifier.forward(&pooled(features)?)
    }

    fn num_features(&self) -> usize {
        1280
    }

    fn num_classes(&self) -> usize {
        self.num_classes
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        self.num_classes = num_classes;
        self.classifier.replace(1, linear(1280, num_classes)?)
    }
}

models! {
    /// MNASNet with half the channels.
    mnasnet0_5(options) -> MNASNet { MNASNet::new(0.5, options) }
    parameters 2_218_512, gflops 0.104,
    weights MNASNet0_5Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "mnasnet0.5_top1_67.823-3ffadce67e.pth", megabytes: 8.591, accuracy: acc(67.734, 87.49),
            ..IMAGENET1K
        },
    }
    /// MNASNet with three quarters of the channels.
    mnasnet0_75(options) -> MNASNet { MNASNet::new(0.75, options) }
    parameters 3_170_208, gflops 0.215,
    weights MNASNet0_75Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "mnasnet0_75-7090bc5f.pth", megabytes: 12.303, accuracy: acc(71.18, 90.496),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
    /// MNASNet.
    mnasnet1_0(options) -> MNASNet { MNASNet::new(1.0, options) }
    parameters 4_383_312, gflops 0.314,
    weights MNASNet1_0Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "mnasnet1.0_top1_73.512-f206786ef8.pth", megabytes: 16.915, accuracy: acc(73.456, 91.51),
            ..IMAGENET1K
        },
    }
    /// MNASNet with 1.3 times the channels.
    mnasnet1_3(options) -> MNASNet { MNASNet::new(1.3, options) }
    parameters 6_282_256, gflops 0.526,
    weights MNASNet1_3Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "mnasnet1_3-a4c69d6f.pth", megabytes: 24.246, accuracy: acc(76.506, 93.522),
            preset: Preset::imagenet(232, 224), ..IMAGENET1K
        },
    }
}
