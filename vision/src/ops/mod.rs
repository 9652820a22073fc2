//! Building blocks of models that torchvision counts as operations (`torchvision.ops`).

mod misc;
mod norm;
mod stochastic_depth;

pub use misc::{Activation, Conv2dNormActivation, ConvNormOptions, MLP, Permute, SqueezeExcitation};
pub use norm::{FrozenBatchNorm2d, LayerNorm2d, Norm2d, NormLayer};
pub use stochastic_depth::{StochasticDepth, StochasticDepthMode, stochastic_depth};
