//! Linear layers: `y = x·Wᵀ + b` (`torch.nn.Linear`) and `y = x₁ᵀ·W·x₂ + b` (`torch.nn.Bilinear`); `Identity`.

use flambeau_tensor::ops::conv::ConvTail;
use flambeau_tensor::ops::linear::{bilinear, linear, linear_relu};
use flambeau_tensor::ops::unary::Unary;
use flambeau_tensor::{DType, Result, Tensor};

use super::text;
use crate::init::{self, FanMode, Nonlinearity};
use crate::{Forward, Lazy, Module, Parameter, observed};

/// Options of [`Linear`].
#[derive(Clone, Copy, Debug)]
pub struct LinearOptions {
    /// Whether a bias is learnt.
    pub bias: bool,
}

impl Default for LinearOptions {
    fn default() -> Self {
        LinearOptions { bias: true }
    }
}

/// `y = x·Wᵀ + b`.
///
/// # Shapes
/// `[…, in_features] → […, out_features]`; weight `[out_features, in_features]`, bias `[out_features]`.
#[derive(Clone, Debug, Module)]
#[module(describe, cost)]
pub struct Linear {
    /// `[out_features, in_features]`.
    pub weight: Parameter,
    /// `[out_features]`.
    pub bias: Option<Parameter>,
}

impl Linear {
    /// A layer whose weight and bias are uniform in `±1/√in_features`.
    ///
    /// # Errors
    /// `Shape` if the weight is larger than memory can address.
    pub fn new(in_features: usize, out_features: usize, options: LinearOptions) -> Result<Linear> {
        let weight = Tensor::zeros((out_features, in_features), DType::F32)?;
        kaiming_uniform_of_layers(&weight)?;
        let bias = options
            .bias
            .then(|| bias(out_features, in_features))
            .transpose()?;
        Ok(Linear {
            weight: Parameter::new(weight)?,
            bias,
        })
    }

    /// A layer of as many inputs as the first one has features (`torch.nn.LazyLinear`).
    pub fn lazy(out_features: usize, options: LinearOptions) -> Lazy<Linear> {
        let described = describe(0, out_features, options.bias);
        Lazy::new(move |x| Linear::new(x.size(-1)?, out_features, options)).described("LazyLinear", described)
    }

    fn cost(&self, _: &[Tensor], outputs: &[Tensor]) -> u64 {
        elements(outputs) * self.weight.shape()[1] as u64
    }

    fn describe(&self) -> String {
        describe(
            self.weight.shape()[1],
            self.weight.shape()[0],
            self.bias.is_some(),
        )
    }
}

fn describe(in_features: usize, out_features: usize, bias: bool) -> String {
    let bias = text::bool(bias);
    format!("in_features={in_features}, out_features={out_features}, bias={bias}")
}

impl Forward for Linear {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        linear(x, &self.weight, self.bias.as_deref())
    }

    #[observed]
    fn forward_with_tail(&self, x: &Tensor, tail: &ConvTail<'_>) -> Result<Option<Tensor>> {
        match tail {
            ConvTail {
                norm: None,
                residual: None,
                activation: Some(Unary::Relu),
            } => linear_relu(x, &self.weight, self.bias.as_deref()).map(Some),
            _ => Ok(None),
        }
    }
}

/// How PyTorch initialises the weights of linear layers and convolutions: uniform in `±1/√fan_in`.
pub(crate) fn kaiming_uniform_of_layers(weight: &Tensor) -> Result<()> {
    init::kaiming_uniform_(weight, FanMode::FanIn, Nonlinearity::LeakyRelu(5f64.sqrt()))
}

/// A bias of `len` elements, uniform in `±1/√fan_in`.
pub(crate) fn bias(len: usize, fan_in: usize) -> Result<Parameter> {
    let bias = Tensor::zeros(len, DType::F32)?;
    if fan_in > 0 {
        let bound = 1.0 / (fan_in as f64).sqrt();
        init::uniform_(&bias, -bound, bound)?;
    }
    Parameter::new(bias)
}

/// `y = x₁ᵀ·Wₒ·x₂ + bₒ` for every output feature `o`.
///
/// # Shapes
/// `[…, in1_features], […, in2_features] → […, out_features]`; weight `[out_features, in1_features, in2_features]`.
#[derive(Clone, Debug, Module)]
#[module(describe, cost)]
pub struct Bilinear {
    /// `[out_features, in1_features, in2_features]`.
    pub weight: Parameter,
    /// `[out_features]`.
    pub bias: Option<Parameter>,
}

impl Bilinear {
    /// A layer whose weight and bias are uniform in `±1/√in1_features`.
    ///
    /// # Errors
    /// `Shape` if the weight is larger than memory can address.
    pub fn new(
        in1_features: usize,
        in2_features: usize,
        out_features: usize,
        options: LinearOptions,
    ) -> Result<Bilinear> {
        let weight = Tensor::zeros((out_features, in1_features, in2_features), DType::F32)?;
        if in1_features > 0 {
            let bound = 1.0 / (in1_features as f64).sqrt();
            init::uniform_(&weight, -bound, bound)?;
        }
        let bias = options
            .bias
            .then(|| bias(out_features, in1_features))
            .transpose()?;
        Ok(Bilinear {
            weight: Parameter::new(weight)?,
            bias,
        })
    }

    /// The output for two inputs.
    ///
    /// # Errors
    /// `Shape` if sizes do not fit.
    #[observed]
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Result<Tensor> {
        bilinear(x1, x2, &self.weight, self.bias.as_deref())
    }

    fn cost(&self, _: &[Tensor], outputs: &[Tensor]) -> u64 {
        let shape = self.weight.shape();
        elements(outputs) * (shape[1] * shape[2]) as u64
    }

    fn describe(&self) -> String {
        let (shape, bias) = (self.weight.shape(), text::bool(self.bias.is_some()));
        format!(
            "in1_features={}, in2_features={}, out_features={}, bias={bias}",
            shape[1], shape[2], shape[0]
        )
    }
}

/// The elements of the first of a call's tensors.
pub(super) fn elements(tensors: &[Tensor]) -> u64 {
    tensors.first().map_or(0, |tensor| tensor.numel() as u64)
}

/// The rows of the first of a call's tensors: its elements without the last dimension.
pub(super) fn rows(tensors: &[Tensor]) -> u64 {
    let last = tensors.first().and_then(|tensor| tensor.shape().last());
    elements(tensors) / last.map_or(1, |&last| last.max(1) as u64)
}

/// The input itself.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct Identity;

impl Forward for Identity {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.clone())
    }
}
