//! What the families share: convolutions in short, walks over layers for their initial weights, and stages that show
//! their outputs.

use flambeau_nn::functional::{MaxPoolOptions, Padding, adaptive_avg_pool};
use flambeau_nn::init::{self, FanMode, Nonlinearity};
use flambeau_nn::{
    BatchNorm2d, BatchNormOptions, Conv2d, ConvOptions, Forward, Linear, LinearOptions, MaxPool2d, Module,
    ReLU, Sequential, chain, observed,
};
use flambeau_tensor::{Result, Tensor};

use super::{Preset, Tap};

/// A convolution with a square kernel.
pub(super) fn conv(
    in_channels: usize,
    out_channels: usize,
    kernel_size: usize,
    stride: usize,
    padding: usize,
    bias: bool,
) -> Result<Conv2d> {
    let options = ConvOptions {
        stride: [stride; 2],
        padding: Padding::Explicit([padding; 2]),
        bias,
        ..ConvOptions::default()
    };
    Conv2d::new(in_channels, out_channels, [kernel_size; 2], options)
}

/// A linear layer with a bias.
pub(super) fn linear(in_features: usize, out_features: usize) -> Result<Linear> {
    Linear::new(in_features, out_features, LinearOptions::default())
}

/// The mean of each channel, `[batch, channels, height, width] → [batch, channels]`.
pub(super) fn pooled(x: &Tensor) -> Result<Tensor> {
    adaptive_avg_pool(x, [Some(1); 2])?.flatten(1, -1)
}

/// The output of layers one after the other; each is shown under its name after `prefix`.
pub(super) fn run(layers: &Sequential, prefix: &str, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
    if tap.is_none() {
        return chain(x, layers.iter().map(|(_, layer)| layer));
    }
    layers.iter().try_fold(x.clone(), |x, (name, layer)| {
        let x = layer.forward(&x)?;
        tap.show(&format!("{prefix}.{name}"), &x);
        Ok(x)
    })
}

/// The output of stages one after the other, each shown under its name.
pub(super) fn stages(stages: &[(&dyn Forward, &str)], x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
    if tap.is_none() {
        return chain(x, stages.iter().map(|(layer, _)| *layer));
    }
    stages
        .iter()
        .try_fold(x.clone(), |x, (layer, name)| stage(*layer, name, &x, tap))
}

/// The output of a stage, shown under its name.
pub(super) fn stage(layer: &dyn Forward, name: &str, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
    let x = layer.forward(x)?;
    tap.show(name, &x);
    Ok(x)
}

/// A layer that torchvision initialises.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Conv,
    Linear,
}

/// Initialises the weights of the convolutions and linear layers of a model, in torchvision's order, by a function of
/// their kind and path, and their biases with zeros. Norms are the identity as they are made.
pub(super) fn initialise(
    model: &dyn Module,
    mut weight: impl FnMut(Kind, &str, &Tensor) -> Result<()>,
    biases: Biases,
) -> Result<()> {
    for (path, module) in model.named_modules() {
        let kind = match module.name() {
            "Conv2d" | "Conv3d" => Kind::Conv,
            "Linear" => Kind::Linear,
            _ => continue,
        };
        for (name, parameter) in module.named_parameters() {
            match name.as_str() {
                "weight" => weight(kind, &path, parameter)?,
                _ if biases == Biases::Kept => {}
                _ if biases == Biases::ZeroIfLinear && kind == Kind::Conv => {}
                _ => init::zeros_(parameter)?,
            }
        }
    }
    Ok(())
}

/// What becomes of biases.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Biases {
    /// They stay as PyTorch makes them.
    Kept,
    /// They become zero.
    Zero,
    /// Those of linear layers become zero.
    ZeroIfLinear,
}

/// The initial weights of a convolution that keep the variance in the backward pass.
pub(super) fn kaiming_fan_out(weight: &Tensor) -> Result<()> {
    init::kaiming_normal_(weight, FanMode::FanOut, Nonlinearity::Relu)
}

/// The initial weights of a linear layer in many models: normal, with a deviation of 0.01.
pub(super) fn normal(weight: &Tensor) -> Result<()> {
    init::normal_(weight, 0.0, 0.01)
}

/// A max pool over squares.
pub(super) fn max_pool(kernel_size: usize, stride: usize, padding: usize, ceil_mode: bool) -> MaxPool2d {
    let options = MaxPoolOptions {
        stride: Some([stride; 2]),
        padding: [padding; 2],
        ceil_mode,
        ..MaxPoolOptions::default()
    };
    MaxPool2d::new([kernel_size; 2], options)
}

/// A convolution without bias, a batch norm with an `eps` of 0.001 and a ReLU: GoogLeNet's and Inception v3's.
#[derive(Clone, Debug, Module)]
pub(super) struct BasicConv2d {
    conv: Conv2d,
    bn: BatchNorm2d,
}

impl BasicConv2d {
    pub(super) fn new(
        in_channels: usize,
        out_channels: usize,
        kernel_size: [usize; 2],
        stride: usize,
        padding: [usize; 2],
    ) -> Result<Self> {
        let options = ConvOptions {
            stride: [stride; 2],
            padding: Padding::Explicit(padding),
            bias: false,
            ..ConvOptions::default()
        };
        let norm = BatchNormOptions {
            eps: 0.001,
            ..BatchNormOptions::BATCH
        };
        Ok(BasicConv2d {
            conv: Conv2d::new(in_channels, out_channels, kernel_size, options)?,
            bn: BatchNorm2d::new(out_channels, norm)?,
        })
    }
}

impl Forward for BasicConv2d {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        chain(x, [&self.conv as &dyn Forward, &self.bn, &ReLU])
    }
}

/// Brings images that were normalised by ImageNet's means and deviations to `[-1, 1]`, which weights from TensorFlow
/// expect.
pub(super) fn renormalised(x: &Tensor) -> Result<Tensor> {
    let Preset { mean, std, .. } = Preset::imagenet(256, 224);
    let of = |values: [f64; 3]| Tensor::new(values)?.to_dtype(x.dtype())?.reshape((1, 3, 1, 1));
    x.mul(&of(std.map(|s| s / 0.5))?)?
        .add(&of(mean.map(|m| (m - 0.5) / 0.5))?)
}

/// `channels` rounded to a multiple of `divisor`, at least `divisor` and not lower by more than a tenth (from the
/// reference of MobileNet v2).
pub(super) fn make_divisible(channels: f64, divisor: usize) -> usize {
    let step = divisor as f64;
    let rounded = (((channels + step / 2.0) / step).floor() * step).max(step);
    let rounded = if rounded < 0.9 * channels {
        rounded + step
    } else {
        rounded
    };
    rounded as usize
}
