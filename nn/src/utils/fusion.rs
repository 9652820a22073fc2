//! Layers and the batch norms after them made one layer (`torch.nn.utils.fusion`): with the running statistics fixed, a
//! norm is a factor and a summand of each channel, which the layer's weight and bias take up:
//! `W' = W·s` and `b' = (b - mean)·s + bias` with `s = weight/√(var + eps)`.

use flambeau_tensor::{Result, Tensor, bail, ensure, no_grad};

use crate::layers::{
    ChannelNorm, Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, Linear,
};
use crate::{Buffer, Parameter};

/// A convolution that can take up a norm.
pub trait Convolution: Sized {
    /// Weight, bias and, of transposed convolutions, the groups: their weights have output channels in the second
    /// dimension.
    fn parts(&self) -> (&Parameter, Option<&Parameter>, Option<usize>);

    /// The same layer with other parameters.
    fn with(&self, weight: Parameter, bias: Parameter) -> Self;
}

macro_rules! convolutions {
    ($($conv:ident, $transpose:ident;)*) => { $(
        impl Convolution for $conv {
            fn parts(&self) -> (&Parameter, Option<&Parameter>, Option<usize>) {
                (&self.weight, self.bias.as_ref(), None)
            }

            fn with(&self, weight: Parameter, bias: Parameter) -> Self {
                self.with_parameters(weight, bias)
            }
        }

        impl Convolution for $transpose {
            fn parts(&self) -> (&Parameter, Option<&Parameter>, Option<usize>) {
                (&self.weight, self.bias.as_ref(), Some(self.options().groups))
            }

            fn with(&self, weight: Parameter, bias: Parameter) -> Self {
                self.with_parameters(weight, bias)
            }
        }
    )* };
}

convolutions! {
    Conv1d, ConvTranspose1d;
    Conv2d, ConvTranspose2d;
    Conv3d, ConvTranspose3d;
}

/// A convolution that gives what `norm` makes of the outputs of `conv`, in evaluation mode; both stay as they are.
///
/// ```
/// # use flambeau_nn::{BatchNorm2d, BatchNormOptions, Conv2d, ConvOptions, Forward, Module};
/// # use flambeau_nn::utils::fusion::fuse_conv_bn_eval;
/// # use flambeau_tensor::{DType, Result, Tensor};
/// # fn main() -> Result<()> {
/// let conv = Conv2d::new(3, 8, [3, 3], ConvOptions::default())?;
/// let norm = BatchNorm2d::new(8, BatchNormOptions::default())?;
/// norm.eval();
/// let fused = fuse_conv_bn_eval(&conv, &norm)?;
/// let x = Tensor::ones((1, 3, 5, 5), DType::F32)?;
/// assert!(fused.forward(&x)?.allclose(&norm.forward(&conv.forward(&x)?)?, 1e-4, 1e-5, false)?);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Value` if the norm is being trained or has no running statistics; `Shape` if it has other channels.
pub fn fuse_conv_bn_eval<C: Convolution>(conv: &C, norm: &ChannelNorm) -> Result<C> {
    let (weight, bias, groups) = conv.parts();
    let shape = weight.shape();
    let channels = shape[1] * groups.unwrap_or(1);
    let channels = if groups.is_some() { channels } else { shape[0] };
    let (scale, moved) = affine("fuse_conv_bn_eval", norm, bias.map(Parameter::tensor), channels)?;
    no_grad(|| {
        let weight = match groups {
            None => scaled_channels(weight, &scale)?,
            Some(groups) => {
                // Of `[in, out/groups, …]`, each group of inputs has the output channels of its own.
                let space = &shape[2..];
                let lead = [groups, shape[0] / groups, shape[1]];
                let ones = vec![1; space.len()];
                let scale = scale.reshape([&[groups, 1, shape[1]], &ones[..]].concat())?;
                weight
                    .reshape([&lead, space].concat())?
                    .mul(&scale)?
                    .reshape(shape)?
            }
        };
        Ok(conv.with(Parameter::new(weight)?, Parameter::new(moved)?))
    })
}

/// A linear layer that gives what `norm` makes of the outputs of `linear`, in evaluation mode; both stay as they are. A norm
/// of one channel stands for all features.
///
/// # Errors
/// As [`fuse_conv_bn_eval`].
pub fn fuse_linear_bn_eval(linear: &Linear, norm: &ChannelNorm) -> Result<Linear> {
    let features = linear.weight.shape()[0];
    let (scale, moved) = affine("fuse_linear_bn_eval", norm, linear.bias.as_deref(), features)?;
    no_grad(|| {
        let weight = linear.weight.mul(&scale.unsqueeze(-1)?)?;
        Ok(Linear {
            weight: Parameter::new(weight)?,
            bias: Some(Parameter::new(moved)?),
        })
    })
}

/// The shape of a vector that multiplies the first of `rank` dimensions.
fn column(rank: usize) -> Vec<isize> {
    let mut shape = vec![1; rank];
    shape[0] = -1;
    shape
}

/// A norm's factors, and the bias that the layer before it gets.
fn affine(op: &str, norm: &ChannelNorm, bias: Option<&Tensor>, channels: usize) -> Result<(Tensor, Tensor)> {
    ensure!(
        !norm.is_training(),
        Value,
        "{op}: expected a norm in evaluation mode, since statistics of batches are no fixed factors"
    );
    let (Some(mean), Some(var)) = (&norm.running_mean, &norm.running_var) else {
        bail!(Value, "{op}: expected a norm with running statistics")
    };
    let linear = op == "fuse_linear_bn_eval" && norm.num_features() == 1;
    ensure!(
        norm.num_features() == channels || linear,
        Shape,
        "{op}: a norm of {} channels after a layer of {channels}",
        norm.num_features()
    );
    let detached = |buffer: &Buffer| buffer.detach();
    let parameter = |p: &Option<Parameter>| p.as_ref().map(|p| p.detach());
    let (weight, shift) = (parameter(&norm.weight), parameter(&norm.bias));
    let eps = norm.options().eps;
    let (scale, shift) = channel_factors(
        &detached(mean),
        &detached(var),
        eps,
        weight.as_ref(),
        shift.as_ref(),
    )?;
    no_grad(|| {
        let moved = match bias {
            Some(bias) => bias.detach().mul(&scale)?.add(&shift)?,
            None => shift.expand([channels])?,
        };
        Ok((scale, moved.contiguous()?))
    })
}

/// A norm with fixed statistics as a factor and a summand of each channel.
pub(crate) fn channel_factors(
    mean: &Tensor,
    var: &Tensor,
    eps: f64,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
) -> Result<(Tensor, Tensor)> {
    no_grad(|| {
        let mut scale = var.add(eps)?.rsqrt()?;
        if let Some(weight) = weight {
            scale = scale.mul(weight)?;
        }
        let mut shift = mean.mul(&scale)?.neg()?;
        if let Some(bias) = bias {
            shift = shift.add(bias)?;
        }
        Ok((scale, shift))
    })
}

/// A convolution's weight with every output channel, its first dimension, scaled.
pub(crate) fn scaled_channels(weight: &Tensor, scale: &Tensor) -> Result<Tensor> {
    weight.mul(&scale.reshape(column(weight.rank()))?)
}
