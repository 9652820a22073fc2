//! EfficientNet-Lite0: EfficientNet-B0 for mobile hardware (Liu, 2020, in the repository tensorflow/tpu, Apache-2.0): ReLU6
//! in the place of SiLU, and neither squeeze and excitation nor a scaled stem and head.
//!
//! Keys are those of EfficientNet-PyTorch (Melas-Kyriazi, Apache-2.0), which ports of the weights have; images are
//! `(levels - 127)/128`. Convolutions are padded as TensorFlow's "SAME" pads them: so that there are `⌈size/stride⌉` outputs,
//! with the odd row or column of zeros at the bottom or right.

use flambeau_nn::functional::Padding;
use flambeau_nn::{
    BatchNorm2d, BatchNormOptions, Conv2d, ConvOptions, Dropout, Forward, Linear, Module, observed,
};
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::{Result, Tensor, ensure};

use super::blocks::{Biases, Kind, initialise, kaiming_fan_out, linear, normal, pooled};
use super::weights::IMAGENET1K;
use super::{Classifier, Options, Preset, Tap, Weights};
use crate::ops::{StochasticDepth, StochasticDepthMode};

/// Stages: expansion, kernel, stride of the first block, channels, blocks.
const STAGES: [[usize; 5]; 7] = [
    [1, 3, 1, 16, 1],
    [6, 3, 2, 24, 2],
    [6, 5, 2, 40, 2],
    [6, 3, 2, 80, 3],
    [6, 5, 1, 112, 3],
    [6, 5, 2, 192, 4],
    [6, 3, 1, 320, 1],
];

/// A convolution without bias, to be padded by [`same`].
fn conv(
    in_channels: usize,
    out_channels: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
) -> Result<Conv2d> {
    let options = ConvOptions {
        stride: [stride; 2],
        padding: Padding::Valid,
        groups,
        bias: false,
        ..ConvOptions::default()
    };
    Conv2d::new(in_channels, out_channels, [kernel; 2], options)
}

/// A batch norm with the reference's settings.
fn norm(channels: usize) -> Result<BatchNorm2d> {
    let options = BatchNormOptions {
        eps: 1e-3,
        momentum: Some(0.01),
        ..BatchNormOptions::BATCH
    };
    BatchNorm2d::new(channels, options)
}

/// The convolution's output for an image padded by TensorFlow's "SAME".
fn same(conv: &Conv2d, x: &Tensor) -> Result<Tensor> {
    ensure!(
        x.rank() == 4,
        Shape,
        "EfficientNetLite: expected a batch of images, got {:?}",
        x.shape()
    );
    let around = |d: usize| {
        let (size, stride, kernel) = (
            x.shape()[2 + d],
            conv.options().stride[d],
            conv.weight.shape()[2 + d],
        );
        let needed = size.div_ceil(stride).saturating_sub(1) * stride + kernel;
        let total = needed.saturating_sub(size);
        [total / 2, total - total / 2].map(|zeros| zeros as isize)
    };
    let ([top, bottom], [left, right]) = (around(0), around(1));
    if [top, bottom, left, right] == [0; 4] {
        return conv.forward(x);
    }
    conv.forward(&x.pad(&[left, right, top, bottom], PadMode::Constant, 0)?)
}

/// More channels, a depthwise convolution, fewer channels; past it goes the input, if sizes are the same.
#[derive(Clone, Debug, Module)]
struct MBConvBlock {
    #[module(rename = "_expand_conv")]
    expand_conv: Option<Conv2d>,
    #[module(rename = "_bn0")]
    bn0: Option<BatchNorm2d>,
    #[module(rename = "_depthwise_conv")]
    depthwise_conv: Conv2d,
    #[module(rename = "_bn1")]
    bn1: BatchNorm2d,
    #[module(rename = "_project_conv")]
    project_conv: Conv2d,
    #[module(rename = "_bn2")]
    bn2: BatchNorm2d,
    drop_connect: StochasticDepth,
    use_res_connect: bool,
}

impl MBConvBlock {
    fn new([input, out]: [usize; 2], [expand, kernel, stride]: [usize; 3], depth_prob: f64) -> Result<Self> {
        let (width, expands) = (input * expand, expand != 1);
        Ok(MBConvBlock {
            expand_conv: expands.then(|| conv(input, width, 1, 1, 1)).transpose()?,
            bn0: expands.then(|| norm(width)).transpose()?,
            depthwise_conv: conv(width, width, kernel, stride, width)?,
            bn1: norm(width)?,
            project_conv: conv(width, out, 1, 1, 1)?,
            bn2: norm(out)?,
            drop_connect: StochasticDepth::new(depth_prob, StochasticDepthMode::Row)?,
            use_res_connect: stride == 1 && input == out,
        })
    }
}

impl Forward for MBConvBlock {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut out = x.clone();
        if let (Some(conv), Some(norm)) = (&self.expand_conv, &self.bn0) {
            out = norm.forward(&same(conv, &out)?)?.relu6()?;
        }
        let out = self.bn1.forward(&same(&self.depthwise_conv, &out)?)?.relu6()?;
        let out = self.bn2.forward(&same(&self.project_conv, &out)?)?;
        if self.use_res_connect {
            self.drop_connect.forward(&out)?.add(x)
        } else {
            Ok(out)
        }
    }
}

/// EfficientNet-Lite0.
#[derive(Module)]
pub struct EfficientNetLite {
    #[module(rename = "_conv_stem")]
    conv_stem: Conv2d,
    #[module(rename = "_bn0")]
    bn0: BatchNorm2d,
    #[module(rename = "_blocks")]
    blocks: Vec<MBConvBlock>,
    #[module(rename = "_conv_head")]
    conv_head: Conv2d,
    #[module(rename = "_bn1")]
    bn1: BatchNorm2d,
    #[module(rename = "_dropout")]
    dropout: Dropout,
    #[module(rename = "_fc")]
    fc: Linear,
}

impl EfficientNetLite {
    /// A network with a head; dropout is 0.2 unless given, and so is the highest probability with which residual branches
    /// are dropped. Weights are initialised as torchvision's EfficientNets, linear ones with a deviation of 0.01.
    ///
    /// # Errors
    /// `Value` for other options than the classes, dropout and stochastic depth.
    pub fn new(options: Options) -> Result<Self> {
        options.only("EfficientNetLite", &["dropout", "stochastic_depth_prob"])?;
        let depth_prob = options.stochastic_depth_prob.unwrap_or(0.2);
        let total: usize = STAGES.iter().map(|stage| stage[4]).sum();
        let (conv_stem, bn0) = (conv(3, 32, 3, 2, 1)?, norm(32)?);
        let (mut blocks, mut channels) = (Vec::with_capacity(total), 32);
        for [expand, kernel, stride, out, count] in STAGES {
            for i in 0..count {
                let shape = [expand, kernel, if i == 0 { stride } else { 1 }];
                let depth_prob = depth_prob * blocks.len() as f64 / total as f64;
                blocks.push(MBConvBlock::new([channels, out], shape, depth_prob)?);
                channels = out;
            }
        }
        let model = EfficientNetLite {
            conv_stem,
            bn0,
            blocks,
            conv_head: conv(channels, 1280, 1, 1, 1)?,
            bn1: norm(1280)?,
            dropout: Dropout::new(options.dropout.unwrap_or(0.2))?,
            fc: linear(1280, options.num_classes)?,
        };
        let weights = |kind: Kind, _: &str, weight: &Tensor| match kind {
            Kind::Conv => kaiming_fan_out(weight),
            Kind::Linear => normal(weight),
        };
        initialise(&model, weights, Biases::Zero)?;
        Ok(model)
    }
}

impl Forward for EfficientNetLite {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for EfficientNetLite {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        let mut x = self.bn0.forward(&same(&self.conv_stem, x)?)?;
        tap.show("_bn0", &x);
        x = x.relu6()?;
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x)?;
            tap.show(&format!("_blocks.{i}"), &x);
        }
        let x = self.bn1.forward(&same(&self.conv_head, &x)?)?;
        tap.show("_bn1", &x);
        x.relu6()
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        self.fc.forward(&self.dropout.forward(&pooled(features)?)?)
    }

    fn num_features(&self) -> usize {
        1280
    }

    fn num_classes(&self) -> usize {
        self.fc.weight.shape()[0]
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        self.fc = linear(1280, num_classes)?;
        Ok(())
    }
}

models! {
    /// EfficientNet-Lite0. Its weights are its authors', ported from TensorFlow.
    efficientnet_lite0(options) -> EfficientNetLite { EfficientNetLite::new(options) }
    parameters 4_652_008, gflops 0.384,
    weights EfficientNetLite0Weights, default IMAGENET1K_TF {
        IMAGENET1K_TF = Weights {
            file: "efficientnet-lite0-57934424.pth", megabytes: 17.954, license: "Apache-2.0",
            preset: Preset {
                mean: [127.0 / 255.0; 3], std: [128.0 / 255.0; 3], ..Preset::imagenet_bicubic(256, 224)
            },
            ..IMAGENET1K
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_nn::init::ones_;
    use flambeau_tensor::DType;

    /// What a kernel of ones gives for a row of ones: how many of its taps lie within it.
    fn taps_within(width: usize, kernel: usize, stride: usize) -> Vec<f32> {
        let conv = conv(1, 1, kernel, stride, 1).unwrap();
        ones_(&conv.weight).unwrap();
        let x = Tensor::ones((1, 1, width, width), DType::F32).unwrap();
        let out = same(&conv, &x).unwrap();
        let middle = out.shape()[2] / 2;
        let row = out.select(2, middle as isize).unwrap().to_vec::<f32>().unwrap();
        row.iter()
            .map(|taps| taps / row.iter().fold(0.0, |m: f32, &t| m.max(t)) * kernel as f32)
            .collect()
    }

    #[test]
    fn odd_zeros_stand_at_the_end() {
        // One zero is needed, and stands on the right; padded alike on both sides, the first window would lack a tap.
        assert_eq!(taps_within(6, 3, 2), [3.0, 3.0, 2.0]);
        assert_eq!(taps_within(7, 3, 2), [2.0, 3.0, 3.0, 2.0]);
        assert_eq!(taps_within(8, 5, 2), [4.0, 5.0, 5.0, 3.0]);
        assert_eq!(taps_within(5, 3, 1), [2.0, 3.0, 3.0, 3.0, 2.0]);
    }
}
