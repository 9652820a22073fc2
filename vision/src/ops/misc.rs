//! Blocks that many models are made of (`torchvision.ops.misc`): a convolution with norm and activation, squeeze and
//! excitation, multi-layer perceptrons. Keys are torchvision's.

use flambeau_nn::functional::Padding;
use flambeau_nn::{
    AdaptiveAvgPool2d, Conv2d, ConvOptions, Dropout, Forward, Linear, LinearOptions, Member, Module,
    Sequential, Step, Visitor, VisitorMut, chain, observed,
};
use flambeau_tensor::ops::unary::Unary;
use flambeau_tensor::{Result, Tensor, bail};

use super::{Norm2d, NormLayer};

macro_rules! activations {
    ($($(#[$doc:meta])* $name:ident => $method:ident, $function:expr;)*) => {
        /// The activation function of a block.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Activation {
            $($(#[$doc])* $name,)*
        }

        impl Module for Activation {
            fn name(&self) -> &str {
                match self {
                    $(Activation::$name => stringify!($name),)*
                }
            }

            fn members<'a>(&'a self, _: &mut dyn Visitor<'a>) {}

            fn members_mut(&mut self, _: &mut dyn VisitorMut) -> Result<()> {
                Ok(())
            }
        }

        impl Forward for Activation {
            #[observed]
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                match self {
                    $(Activation::$name => x.$method(),)*
                }
            }

            fn as_step(&self, _: usize) -> Option<Step<'_>> {
                Some(Step::Activation(match self {
                    $(Activation::$name => $function,)*
                }))
            }
        }
    };
}

activations! {
    /// `max(0, x)`.
    ReLU => relu, Unary::Relu;
    /// `min(max(0, x), 6)`.
    ReLU6 => relu6, Unary::Hardtanh(0.0, 6.0);
    /// `x·sigmoid(x)`.
    SiLU => silu, Unary::Silu;
    /// `x·Φ(x)`.
    GELU => gelu, Unary::Gelu;
    /// `x·min(max(x + 3, 0), 6)/6`.
    Hardswish => hardswish, Unary::Hardswish;
    /// `1/(1 + e⁻ˣ)`.
    Sigmoid => sigmoid, Unary::Sigmoid;
    /// `min(max(x + 3, 0), 6)/6`.
    Hardsigmoid => hardsigmoid, Unary::Hardsigmoid;
}

impl Member for Activation {
    fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>) {
        visitor.module(name, self)
    }

    fn visit_mut(&mut self, name: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        visitor.module(name, self)
    }
}

/// Options of [`Conv2dNormActivation`]; the defaults are torchvision's.
#[derive(Clone, Copy, Debug)]
pub struct ConvNormOptions {
    /// Height and width of the kernel.
    pub kernel_size: [usize; 2],
    /// Steps between output positions.
    pub stride: [usize; 2],
    /// Zeros on either side; what keeps the size at stride 1 unless given.
    pub padding: Option<[usize; 2]>,
    /// Steps between the kernel's taps.
    pub dilation: [usize; 2],
    /// Groups of channels that are convolved independently.
    pub groups: usize,
    /// Whether the convolution has a bias; only without a norm unless given.
    pub bias: Option<bool>,
    /// The norm after the convolution.
    pub norm_layer: Option<NormLayer>,
    /// The function after the norm.
    pub activation: Option<Activation>,
}

impl Default for ConvNormOptions {
    fn default() -> Self {
        ConvNormOptions {
            kernel_size: [3; 2],
            stride: [1; 2],
            padding: None,
            dilation: [1; 2],
            groups: 1,
            bias: None,
            norm_layer: Some(NormLayer::BATCH),
            activation: Some(Activation::ReLU),
        }
    }
}

impl ConvNormOptions {
    /// A square kernel of this size, and otherwise the defaults.
    pub fn kernel(size: usize) -> Self {
        ConvNormOptions {
            kernel_size: [size; 2],
            ..Self::default()
        }
    }

    /// With this stride along both dimensions.
    pub fn stride(self, stride: usize) -> Self {
        ConvNormOptions {
            stride: [stride; 2],
            ..self
        }
    }

    /// With so many groups.
    pub fn groups(self, groups: usize) -> Self {
        ConvNormOptions { groups, ..self }
    }

    /// With taps so far apart.
    pub fn dilation(self, dilation: usize) -> Self {
        ConvNormOptions {
            dilation: [dilation; 2],
            ..self
        }
    }

    /// With another norm.
    pub fn norm(self, norm_layer: NormLayer) -> Self {
        ConvNormOptions {
            norm_layer: Some(norm_layer),
            ..self
        }
    }

    /// With another activation, or none.
    pub fn activation(self, activation: impl Into<Option<Activation>>) -> Self {
        ConvNormOptions {
            activation: activation.into(),
            ..self
        }
    }
}

/// A convolution, a norm and an activation, one after the other.
///
/// # Shapes
/// `[batch, in_channels, height, width] → [batch, out_channels, height', width']`.
#[derive(Clone, Debug, Module)]
pub struct Conv2dNormActivation {
    /// The convolution.
    #[module(rename = "0")]
    pub conv: Conv2d,
    /// The norm.
    #[module(rename = "1")]
    pub norm: Option<Norm2d>,
    /// The activation.
    #[module(rename = "2")]
    pub activation: Option<Activation>,
}

impl Conv2dNormActivation {
    /// A block from `in_channels` to `out_channels`.
    ///
    /// # Errors
    /// As [`Conv2d::new`].
    pub fn new(in_channels: usize, out_channels: usize, options: ConvNormOptions) -> Result<Self> {
        let ConvNormOptions {
            kernel_size,
            stride,
            dilation,
            groups,
            norm_layer,
            activation,
            ..
        } = options;
        let same = std::array::from_fn(|d| kernel_size[d].saturating_sub(1) / 2 * dilation[d]);
        let convolution = ConvOptions {
            stride,
            padding: Padding::Explicit(options.padding.unwrap_or(same)),
            dilation,
            groups,
            bias: options.bias.unwrap_or(norm_layer.is_none()),
            ..ConvOptions::default()
        };
        Ok(Conv2dNormActivation {
            conv: Conv2d::new(in_channels, out_channels, kernel_size, convolution)?,
            norm: norm_layer.map(|norm| norm.build(out_channels)).transpose()?,
            activation,
        })
    }
}

impl Forward for Conv2dNormActivation {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let conv: [Option<&dyn Forward>; 3] = [
            Some(&self.conv),
            self.norm.as_ref().map(|norm| norm as _),
            self.activation.as_ref().map(|activation| activation as _),
        ];
        chain(x, conv.into_iter().flatten())
    }
}

/// Squeeze and excitation (Hu et al., 2018): channels scaled by a function of the means of all channels,
/// `x·σ(W₂·δ(W₁·mean(x)))`.
///
/// # Shapes
/// `[batch, channels, height, width]`, kept.
#[derive(Clone, Debug, Module)]
pub struct SqueezeExcitation {
    avgpool: AdaptiveAvgPool2d,
    /// `W₁`: squeezes.
    pub fc1: Conv2d,
    /// `W₂`: back to all channels.
    pub fc2: Conv2d,
    activation: Activation,
    scale_activation: Activation,
}

impl SqueezeExcitation {
    /// A block with `activation` for δ and `scale_activation` for σ (torchvision's defaults: ReLU and the sigmoid).
    ///
    /// # Errors
    /// As [`Conv2d::new`].
    pub fn new(
        input_channels: usize,
        squeeze_channels: usize,
        activation: Activation,
        scale_activation: Activation,
    ) -> Result<Self> {
        Ok(SqueezeExcitation {
            avgpool: AdaptiveAvgPool2d::new([Some(1); 2]),
            fc1: Conv2d::new(input_channels, squeeze_channels, [1; 2], ConvOptions::default())?,
            fc2: Conv2d::new(squeeze_channels, input_channels, [1; 2], ConvOptions::default())?,
            activation,
            scale_activation,
        })
    }
}

impl Forward for SqueezeExcitation {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let squeezed = self.fc1.forward(&self.avgpool.forward(x)?)?;
        let excited = self.fc2.forward(&self.activation.forward(&squeezed)?)?;
        self.scale_activation.forward(&excited)?.mul(x)
    }
}

/// Linear layers with activations between them and dropout after each.
///
/// # Shapes
/// `[…, in_channels] → […, hidden_channels[last]]`.
#[derive(Debug)]
pub struct MLP {
    layers: Sequential,
}

impl MLP {
    /// Layers to so many features each.
    ///
    /// # Errors
    /// `Value` if there are none, or unless `dropout` is between 0 and 1.
    pub fn new(
        in_channels: usize,
        hidden_channels: &[usize],
        activation: Activation,
        bias: bool,
        dropout: f64,
    ) -> Result<Self> {
        let Some((&last, hidden)) = hidden_channels.split_last() else {
            bail!(Value, "MLP: expected one layer or more, got no hidden_channels")
        };
        let (mut layers, mut features) = (Sequential::new(), in_channels);
        for &next in hidden {
            layers = layers
                .push(Linear::new(features, next, LinearOptions { bias })?)
                .push(activation)
                .push(Dropout::new(dropout)?);
            features = next;
        }
        let layers = layers
            .push(Linear::new(features, last, LinearOptions { bias })?)
            .push(Dropout::new(dropout)?);
        Ok(MLP { layers })
    }
}

impl Module for MLP {
    fn name(&self) -> &str {
        "MLP"
    }

    fn members<'a>(&'a self, visitor: &mut dyn Visitor<'a>) {
        self.layers.members(visitor)
    }

    fn members_mut(&mut self, visitor: &mut dyn VisitorMut) -> Result<()> {
        self.layers.members_mut(visitor)
    }
}

impl Member for MLP {
    fn visit<'a>(&'a self, name: &str, visitor: &mut dyn Visitor<'a>) {
        visitor.module(name, self)
    }

    fn visit_mut(&mut self, name: &str, visitor: &mut dyn VisitorMut) -> Result<()> {
        visitor.module(name, self)
    }
}

impl Forward for MLP {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.layers.forward(x)
    }
}

/// Dimensions in another order.
#[derive(Clone, Debug, Module)]
pub struct Permute {
    #[module(skip)]
    dims: Vec<isize>,
}

impl Permute {
    /// The order: dimension `i` of the output is dimension `dims[i]` of the input.
    pub fn new(dims: &[isize]) -> Self {
        Permute { dims: dims.to_vec() }
    }
}

impl Forward for Permute {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.permute(&self.dims[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::DType;

    fn keys(module: &dyn Module) -> Vec<String> {
        module.state_entries().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn blocks_have_the_keys_of_torchvision() {
        let block = Conv2dNormActivation::new(3, 4, ConvNormOptions::kernel(5).stride(2)).unwrap();
        assert_eq!(
            keys(&block),
            [
                "0.weight",
                "1.weight",
                "1.bias",
                "1.running_mean",
                "1.running_var",
                "1.num_batches_tracked"
            ]
        );
        let out = block
            .forward(&Tensor::ones((1, 3, 8, 8), DType::F32).unwrap())
            .unwrap();
        assert_eq!(out.shape(), [1, 4, 4, 4]);
        let se = SqueezeExcitation::new(4, 2, Activation::ReLU, Activation::Sigmoid).unwrap();
        assert_eq!(keys(&se), ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]);
        let mlp = MLP::new(4, &[8, 2], Activation::GELU, true, 0.0).unwrap();
        assert_eq!(keys(&mlp), ["0.weight", "0.bias", "3.weight", "3.bias"]);
        assert!(MLP::new(4, &[], Activation::GELU, true, 0.0).is_err());
    }
}
