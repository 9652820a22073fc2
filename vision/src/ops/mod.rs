//! Building blocks of models that torchvision counts as operations (`torchvision.ops`).

mod misc;
mod stochastic_depth;

pub use misc::{
    Activation, Conv2dNormActivation, ConvNormOptions, FrozenBatchNorm2d, LayerNorm2d, MLP, Norm2d,
    NormLayer, Permute, SqueezeExcitation,
};
pub use stochastic_depth::{StochasticDepth, StochasticDepthMode, stochastic_depth};
