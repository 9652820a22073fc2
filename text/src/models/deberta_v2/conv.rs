//! The convolution that the larger models have over the first layer's input.

use flambeau_nn::{Conv1d, ConvOptions, Dropout, Forward, LayerNorm, Module, Padding};
use flambeau_tensor::{Result, Tensor};

use super::super::blocks::{Activation, layer_norm};
use super::DebertaV2Config;

/// A convolution over the first layer's input, added to its output.
#[derive(Debug, Module)]
pub(super) struct ConvLayer {
    conv: Conv1d,
    #[module(rename = "LayerNorm")]
    layer_norm: LayerNorm,
    dropout: Dropout,
    #[module(skip)]
    activation: Activation,
}

impl ConvLayer {
    pub(super) fn new(config: &DebertaV2Config) -> Result<Self> {
        let (hidden, width) = (config.hidden_size, config.conv_kernel_size);
        let options = ConvOptions {
            padding: Padding::Explicit([(width - 1) / 2]),
            groups: config.conv_groups,
            ..ConvOptions::default()
        };
        Ok(ConvLayer {
            conv: Conv1d::new(hidden, hidden, [width], options)?,
            layer_norm: layer_norm(hidden, config.layer_norm_eps)?,
            dropout: Dropout::new(config.hidden_dropout_prob)?,
            activation: config.conv_act,
        })
    }

    /// `mask` is `[batch, time, 1]`, 1 for tokens.
    pub(super) fn forward(&self, x: &Tensor, residual: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let mut out = self.conv.forward(&x.transpose(1, 2)?)?.transpose(1, 2)?;
        let mask = mask.map(|mask| mask.to_dtype(out.dtype())).transpose()?;
        if let Some(mask) = &mask {
            out = out.mul(mask)?;
        }
        let out = self.activation.apply(&self.dropout.forward(&out)?)?;
        let out = self.layer_norm.forward(&residual.add(&out)?)?;
        match &mask {
            Some(mask) => out.mul(mask),
            None => Ok(out),
        }
    }
}
