//! Normalisation of each sample: group, layer and RMS norm (`torch.nn.GroupNorm`, `LayerNorm`, `RMSNorm`), and
//! `LocalResponseNorm`. Batch and instance norm stand in `batch_norm.rs`.

use flambeau_tensor::ops::norm::{group_norm, layer_norm, rms_norm};
use flambeau_tensor::ops::normalize::local_response_norm;
use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::text;
use crate::{Forward, Module, Parameter, observed};

/// A factor of ones and a summand of zeros, if they are wanted.
pub(super) fn affine(shape: &[usize], weight: bool, bias: bool) -> Result<[Option<Parameter>; 2]> {
    let filled = |value: f64| Parameter::new(Tensor::full(shape, value, DType::F32)?);
    Ok([
        weight.then(|| filled(1.0)).transpose()?,
        bias.then(|| filled(0.0)).transpose()?,
    ])
}

/// Group norm (Wu & He, 2018): the channels of a group of a sample normalised together over space.
#[derive(Clone, Debug, Module)]
#[module(describe)]
pub struct GroupNorm {
    /// Factors, `[channels]`.
    pub weight: Option<Parameter>,
    /// Summands, `[channels]`.
    pub bias: Option<Parameter>,
    num_groups: usize,
    num_channels: usize,
    eps: f64,
}

/// Options of [`GroupNorm`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct GroupNormOptions {
    /// Added to variances.
    pub eps: f64,
    /// Whether a factor per channel is learnt, and a summand too unless `bias` is false.
    pub affine: bool,
    /// Whether a summand per channel is learnt.
    pub bias: bool,
}

impl Default for GroupNormOptions {
    fn default() -> Self {
        GroupNormOptions {
            eps: 1e-5,
            affine: true,
            bias: true,
        }
    }
}

impl GroupNorm {
    /// A norm of `num_channels` channels in groups.
    ///
    /// # Errors
    /// `Value` unless the groups divide the channels.
    pub fn new(num_groups: usize, num_channels: usize, options: GroupNormOptions) -> Result<Self> {
        ensure!(
            num_groups > 0 && num_channels.is_multiple_of(num_groups),
            Value,
            "GroupNorm: {num_groups} groups must divide {num_channels} channels"
        );
        let [weight, bias] = affine(&[num_channels], options.affine, options.affine && options.bias)?;
        Ok(GroupNorm {
            weight,
            bias,
            num_groups,
            num_channels,
            eps: options.eps,
        })
    }

    fn describe(&self) -> String {
        let (groups, channels, eps) = (self.num_groups, self.num_channels, text::float(self.eps));
        let [affine, bias] = [self.weight.is_some(), self.bias.is_some()].map(text::bool);
        format!("{groups}, {channels}, eps={eps}, affine={affine}, bias={bias}")
    }
}

impl Forward for GroupNorm {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        group_norm(
            x,
            self.num_groups,
            self.weight.as_deref(),
            self.bias.as_deref(),
            self.eps,
        )
    }
}

/// Layer norm (Ba et al., 2016): the trailing dimensions of each sample normalised together.
#[derive(Clone, Debug, Module)]
#[module(describe)]
pub struct LayerNorm {
    /// Factors, of the normalised shape.
    pub weight: Option<Parameter>,
    /// Summands, of the normalised shape.
    pub bias: Option<Parameter>,
    #[module(skip)]
    normalized_shape: Vec<usize>,
    eps: f64,
}

/// Options of [`LayerNorm`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct LayerNormOptions {
    /// Added to variances.
    pub eps: f64,
    /// Whether factors are learnt, and summands too unless `bias` is false.
    pub elementwise_affine: bool,
    /// Whether summands are learnt.
    pub bias: bool,
}

impl Default for LayerNormOptions {
    fn default() -> Self {
        LayerNormOptions {
            eps: 1e-5,
            elementwise_affine: true,
            bias: true,
        }
    }
}

impl LayerNorm {
    /// A norm over trailing dimensions of this shape.
    ///
    /// # Errors
    /// `Shape` if it is larger than memory can address.
    pub fn new(normalized_shape: &[usize], options: LayerNormOptions) -> Result<Self> {
        let learnt = options.elementwise_affine;
        let [weight, bias] = affine(normalized_shape, learnt, learnt && options.bias)?;
        Ok(LayerNorm {
            weight,
            bias,
            normalized_shape: normalized_shape.to_vec(),
            eps: options.eps,
        })
    }

    fn describe(&self) -> String {
        let (shape, eps) = (text::list(&self.normalized_shape), text::float(self.eps));
        let [affine, bias] = [self.weight.is_some(), self.bias.is_some()].map(text::bool);
        format!("{shape}, eps={eps}, elementwise_affine={affine}, bias={bias}")
    }
}

impl Forward for LayerNorm {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        layer_norm(
            x,
            &self.normalized_shape,
            self.weight.as_deref(),
            self.bias.as_deref(),
            self.eps,
        )
    }
}

/// RMS norm (Zhang & Sennrich, 2019): the trailing dimensions of each sample divided by their root mean square.
#[derive(Clone, Debug, Module)]
#[module(describe)]
pub struct RMSNorm {
    /// Factors, of the normalised shape.
    pub weight: Option<Parameter>,
    #[module(skip)]
    normalized_shape: Vec<usize>,
    eps: Option<f64>,
}

impl RMSNorm {
    /// A norm over trailing dimensions of this shape. Without `eps` (PyTorch's default), the smallest step of the type at
    /// 1 is added to the mean square.
    ///
    /// # Errors
    /// `Shape` if it is larger than memory can address.
    pub fn new(normalized_shape: &[usize], eps: Option<f64>, elementwise_affine: bool) -> Result<Self> {
        let [weight, _] = affine(normalized_shape, elementwise_affine, false)?;
        Ok(RMSNorm {
            weight,
            normalized_shape: normalized_shape.to_vec(),
            eps,
        })
    }

    fn describe(&self) -> String {
        let eps = self.eps.map_or("None".to_string(), text::float);
        let affine = text::bool(self.weight.is_some());
        format!(
            "{}, eps={eps}, elementwise_affine={affine}",
            text::list(&self.normalized_shape)
        )
    }
}

impl Forward for RMSNorm {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        rms_norm(x, &self.normalized_shape, self.weight.as_deref(), self.eps)
    }
}

/// Local response norm over neighbouring channels (Krizhevsky et al., 2012).
#[derive(Clone, Copy, Debug, Module)]
#[module(describe)]
pub struct LocalResponseNorm {
    /// How many channels count.
    pub size: usize,
    /// Factor of the mean square.
    pub alpha: f64,
    /// Exponent.
    pub beta: f64,
    /// Summand.
    pub k: f64,
}

impl LocalResponseNorm {
    /// A norm over `size` channels, with PyTorch's defaults for the rest.
    pub fn new(size: usize) -> Self {
        LocalResponseNorm {
            size,
            alpha: 1e-4,
            beta: 0.75,
            k: 1.0,
        }
    }

    fn describe(&self) -> String {
        let [alpha, beta, k] = [self.alpha, self.beta, self.k].map(text::float);
        format!("{}, alpha={alpha}, beta={beta}, k={k}", self.size)
    }
}

impl Forward for LocalResponseNorm {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        local_response_norm(x, self.size, self.alpha, self.beta, self.k)
    }
}
