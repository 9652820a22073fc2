//! What the families share: convolutions in short, walks over layers for their initial weights, and stages that show
//! their outputs.

use flambeau_nn::functional::{Padding, adaptive_avg_pool};
use flambeau_nn::{Conv2d, ConvOptions, Forward, Linear, LinearOptions, Module, init};
use flambeau_tensor::{Result, Tensor};

use super::Tap;

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

/// The output of a stage, shown under its name.
pub(super) fn stage(layer: &dyn Forward, name: &str, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
    let x = layer.forward(x)?;
    tap(name, &x);
    Ok(x)
}

/// A layer with a weight and, perhaps, a bias.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Conv,
    Linear,
}

/// Initialises the convolutions and linear layers of a model, in torchvision's order, by `weights`, and their biases with
/// zeros. Norms are the identity as they are made.
pub(super) fn initialise(
    model: &dyn Module,
    mut weights: impl FnMut(Kind, &Tensor) -> Result<()>,
    zero_biases: bool,
) -> Result<()> {
    for (_, module) in model.named_modules() {
        let kind = match module.name() {
            "Conv2d" => Kind::Conv,
            "Linear" => Kind::Linear,
            _ => continue,
        };
        for (name, parameter) in module.named_parameters() {
            match name.as_str() {
                "weight" => weights(kind, parameter)?,
                _ if zero_biases => init::zeros_(parameter)?,
                _ => {}
            }
        }
    }
    Ok(())
}
