//! MaxViT: "MaxViT: Multi-Axis Vision Transformer" (Tu et al., 2022, arXiv:2204.01697).
//!
//! The reference is torchvision (BSD-3-Clause), keys and initial weights included. Unlike there, the size of images is not
//! fixed: partitions have 7×7 tokens whatever it is.

use flambeau_nn::functional::{AvgPoolOptions, SdpaOptions, scaled_dot_product_attention};
use flambeau_nn::init::{normal_, trunc_normal_};
use flambeau_nn::{
    AdaptiveAvgPool2d, AvgPool2d, Buffer, Dropout, Flatten, Forward, GELU, LayerNorm, LayerNormOptions,
    Linear, LinearOptions, Module, Parameter, Sequential, Tanh, observed,
};
use flambeau_tensor::{DType, Result, Tensor, bail, ensure};

use super::blocks::{Biases, conv, initialise, linear, run};
use super::swin_transformer::position_index;
use super::weights::{IMAGENET1K, acc};
use super::{Classifier, Options, Preset, Tap, Weights};
use crate::ops::{
    Activation, Conv2dNormActivation, ConvNormOptions, NormLayer, SqueezeExcitation, StochasticDepth,
    StochasticDepthMode,
};

/// Channels of the stem and of the four blocks.
const CHANNELS: [usize; 5] = [64, 64, 128, 256, 512];
/// Layers of the four blocks.
const LAYERS: [usize; 4] = [2, 2, 5, 2];
/// Height and width of partitions, in tokens.
const PARTITION: usize = 7;
/// Features of a head of attention.
const HEAD: usize = 32;
/// The norm after convolutions, with TensorFlow's settings.
const NORM: NormLayer = NormLayer::batch(1e-3, 0.01);

fn layer_norm(features: usize) -> Result<LayerNorm> {
    LayerNorm::new(&[features], LayerNormOptions::default())
}

fn row_depth(p: f64) -> Result<StochasticDepth> {
    StochasticDepth::new(p, StochasticDepthMode::Row)
}

/// A norm, more channels, a depthwise convolution, squeeze and excitation, fewer channels; past it goes the input, at the
/// size of the output.
#[derive(Module)]
struct MBConv {
    proj: Sequential,
    stochastic_depth: StochasticDepth,
    layers: Sequential,
}

impl MBConv {
    fn new(input: usize, output: usize, stride: usize, depth_prob: f64) -> Result<Self> {
        let mut proj = Sequential::new();
        if stride == 2 {
            let options = AvgPoolOptions {
                stride: Some([2; 2]),
                padding: [1; 2],
                ..AvgPoolOptions::default()
            };
            proj = proj.push(AvgPool2d::new([3; 2], options));
        }
        if stride == 2 || input != output {
            proj = proj.push(conv(input, output, 1, 1, 0, true)?);
        }
        let (expanded, squeezed) = (4 * output, output / 4);
        let gelu = |kernel: usize| {
            ConvNormOptions::kernel(kernel)
                .norm(NORM)
                .activation(Activation::GELU)
        };
        let depthwise = gelu(3).stride(stride).groups(expanded);
        let layers = Sequential::new()
            .push_named("pre_norm", NORM.build(input)?)
            .push_named("conv_a", Conv2dNormActivation::new(input, expanded, gelu(1))?)
            .push_named(
                "conv_b",
                Conv2dNormActivation::new(expanded, expanded, depthwise)?,
            )
            .push_named(
                "squeeze_excitation",
                SqueezeExcitation::new(expanded, squeezed, Activation::SiLU, Activation::Sigmoid)?,
            )
            .push_named("conv_c", conv(expanded, output, 1, 1, 0, true)?);
        Ok(MBConv {
            proj,
            stochastic_depth: row_depth(depth_prob)?,
            layers,
        })
    }
}

impl Forward for MBConv {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let out = self.stochastic_depth.forward(&self.layers.forward(x)?)?;
        self.proj.forward(x)?.add(&out)
    }
}

/// Attention between the tokens of a partition, with a bias for each distance: `[batch, partitions, tokens, features]`,
/// kept.
#[derive(Module)]
struct RelativePositionalMultiHeadAttention {
    relative_position_bias_table: Parameter,
    relative_position_index: Buffer,
    to_qkv: Linear,
    merge: Linear,
    features: usize,
}

impl RelativePositionalMultiHeadAttention {
    fn new(features: usize) -> Result<Self> {
        let (to_qkv, merge) = (linear(features, 3 * features)?, linear(features, features)?);
        let (side, tokens) = (2 * PARTITION - 1, PARTITION * PARTITION);
        let table = Tensor::zeros((side * side, features / HEAD), DType::F32)?;
        trunc_normal_(&table, 0.0, 0.02, -2.0, 2.0)?;
        Ok(RelativePositionalMultiHeadAttention {
            relative_position_bias_table: Parameter::new(table)?,
            relative_position_index: Buffer::new(position_index(PARTITION)?.reshape((tokens, tokens))?),
            to_qkv,
            merge,
            features,
        })
    }

    /// What is added to the scores, `[heads, tokens, tokens]`.
    fn position_bias(&self) -> Result<Tensor> {
        let tokens = PARTITION * PARTITION;
        let index = self.relative_position_index.flatten(0, -1)?;
        let pairs = self.relative_position_bias_table.index_select(0, &index)?;
        pairs
            .reshape((tokens, tokens, self.features / HEAD))?
            .permute([2, 0, 1])
    }
}

impl Forward for RelativePositionalMultiHeadAttention {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let &[batch, partitions, tokens, features] = x.shape() else {
            bail!(
                Shape,
                "MaxVit: expected tokens [batch, partitions, tokens, features], got {:?}",
                x.shape()
            )
        };
        let heads = self.features / HEAD;
        let qkv = self
            .to_qkv
            .forward(x)?
            .reshape((batch, partitions, tokens, 3, heads, HEAD))?
            .permute([3, 0, 1, 4, 2, 5])?;
        let bias = self.position_bias()?;
        let options = SdpaOptions {
            attn_mask: Some(&bias),
            // By all features, not by those of a head.
            scale: Some((self.features as f64).powf(-0.5)),
            ..SdpaOptions::default()
        };
        let [query, key, value] = [qkv.select(0, 0)?, qkv.select(0, 1)?, qkv.select(0, 2)?];
        let out = scaled_dot_product_attention(&query, &key, &value, &options)?;
        let out = out
            .transpose(-3, -2)?
            .reshape((batch, partitions, tokens, features))?;
        self.merge.forward(&out)
    }
}

/// What the tokens of a partition have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Partition {
    /// They are neighbours.
    Window,
    /// They are spread evenly over the image.
    Grid,
}

impl Partition {
    /// Where the rows and columns of partitions, then those of tokens in them, stand in `[batch, channels, outer rows, inner
    /// rows, outer columns, inner columns]`.
    fn order(self) -> [isize; 6] {
        match self {
            Partition::Window => [0, 2, 4, 3, 5, 1],
            Partition::Grid => [0, 3, 5, 2, 4, 1],
        }
    }

    /// `size` as outer and inner parts.
    fn split(self, size: usize) -> [usize; 2] {
        match self {
            Partition::Window => [size / PARTITION, PARTITION],
            Partition::Grid => [PARTITION, size / PARTITION],
        }
    }
}

/// Attention and a perceptron over the tokens of each partition, each with a norm before it and added to its input.
#[derive(Module)]
struct PartitionAttentionLayer {
    attn_layer: Sequential,
    mlp_layer: Sequential,
    stochastic_dropout: StochasticDepth,
    #[module(skip)]
    partition: Partition,
}

impl PartitionAttentionLayer {
    fn new(channels: usize, partition: Partition, depth_prob: f64) -> Result<Self> {
        Ok(PartitionAttentionLayer {
            attn_layer: Sequential::new()
                .push(layer_norm(channels)?)
                .push(RelativePositionalMultiHeadAttention::new(channels)?)
                .push(Dropout::new(0.0)?),
            mlp_layer: Sequential::new()
                .push(layer_norm(channels)?)
                .push(linear(channels, 4 * channels)?)
                .push(GELU::default())
                .push(linear(4 * channels, channels)?)
                .push(Dropout::new(0.0)?),
            stochastic_dropout: row_depth(depth_prob)?,
            partition,
        })
    }
}

impl Forward for PartitionAttentionLayer {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let &[batch, channels, height, width] = x.shape() else {
            bail!(
                Shape,
                "MaxVit: expected [batch, channels, height, width], got {:?}",
                x.shape()
            )
        };
        ensure!(
            height % PARTITION == 0 && width % PARTITION == 0,
            Shape,
            "MaxVit: {height}×{width} tokens are no multiple of {PARTITION}×{PARTITION}; expected images whose sides are \
             multiples of 224"
        );
        let ([rows, row], [columns, column]) = (self.partition.split(height), self.partition.split(width));
        let order = self.partition.order();
        let apart = x
            .reshape((batch, channels, rows, row, columns, column))?
            .permute(order)?;
        let shape = apart.shape().to_vec();
        let mut x = apart.reshape((batch, shape[1] * shape[2], shape[3] * shape[4], channels))?;
        for layers in [&self.attn_layer, &self.mlp_layer] {
            x = x.add(&self.stochastic_dropout.forward(&layers.forward(&x)?)?)?;
        }
        let mut back = [0; 6];
        for (place, dim) in order.into_iter().enumerate() {
            back[dim as usize] = place as isize;
        }
        x.reshape(shape)?
            .permute(back)?
            .reshape((batch, channels, height, width))
    }
}

/// Layers one after the other, under the name that torchvision gives them.
#[derive(Module)]
struct MaxVitLayer {
    layers: Sequential,
}

impl Forward for MaxVitLayer {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.layers.forward(x)
    }
}

impl MaxVitLayer {
    fn new(input: usize, output: usize, stride: usize, depth_prob: f64) -> Result<Self> {
        let attention = |partition| PartitionAttentionLayer::new(output, partition, depth_prob);
        Ok(MaxVitLayer {
            layers: Sequential::new()
                .push_named("MBconv", MBConv::new(input, output, stride, depth_prob)?)
                .push_named("window_attention", attention(Partition::Window)?)
                .push_named("grid_attention", attention(Partition::Grid)?),
        })
    }
}

/// MaxViT.
#[derive(Module)]
pub struct MaxVit {
    stem: Sequential,
    blocks: Sequential,
    classifier: Sequential,
    num_classes: usize,
}

impl MaxVit {
    /// The tiny network; residual branches are dropped with a probability of up to 0.2 unless given.
    ///
    /// # Errors
    /// `Value` for other options than the classes and stochastic depth.
    pub fn tiny(options: Options) -> Result<Self> {
        options.only("MaxVit", &["stochastic_depth_prob"])?;
        let depth_prob = options.stochastic_depth_prob.unwrap_or(0.2);
        let (first, plain) = (
            ConvNormOptions::kernel(3)
                .stride(2)
                .norm(NORM)
                .activation(Activation::GELU),
            ConvNormOptions {
                norm_layer: None,
                activation: None,
                ..ConvNormOptions::kernel(3)
            },
        );
        let stem = Sequential::new()
            .push(Conv2dNormActivation::new(3, CHANNELS[0], first)?)
            .push(Conv2dNormActivation::new(CHANNELS[0], CHANNELS[0], plain)?);
        let total: usize = LAYERS.iter().sum();
        let (mut blocks, mut index) = (Sequential::new(), 0);
        for (channels, layers) in CHANNELS.windows(2).zip(LAYERS) {
            let mut block = Sequential::new();
            for i in 0..layers {
                let (input, stride) = if i == 0 {
                    (channels[0], 2)
                } else {
                    (channels[1], 1)
                };
                let depth_prob = depth_prob * index as f64 / (total - 1) as f64;
                block = block.push(MaxVitLayer::new(input, channels[1], stride, depth_prob)?);
                index += 1;
            }
            blocks = blocks.push(MaxVitLayer { layers: block });
        }
        let features = CHANNELS[4];
        let model = MaxVit {
            stem,
            blocks,
            classifier: Sequential::new()
                .push(AdaptiveAvgPool2d::new([Some(1); 2]))
                .push(Flatten::default())
                .push(layer_norm(features)?)
                .push(linear(features, features)?)
                .push(Tanh)
                .push(head(options.num_classes)?),
            num_classes: options.num_classes,
        };
        initialise(&model, |_, _, weight| normal_(weight, 0.0, 0.02), Biases::Zero)?;
        Ok(model)
    }
}

/// The last layer.
fn head(num_classes: usize) -> Result<Linear> {
    Linear::new(CHANNELS[4], num_classes, LinearOptions { bias: false })
}

impl Forward for MaxVit {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for MaxVit {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        run(&self.blocks, "blocks", &run(&self.stem, "stem", x, tap)?, tap)
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        self.classifier.forward(features)
    }

    fn num_features(&self) -> usize {
        CHANNELS[4]
    }

    fn num_classes(&self) -> usize {
        self.num_classes
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        self.num_classes = num_classes;
        self.classifier.replace(5, head(num_classes)?)
    }
}

models! {
    /// MaxViT-T.
    maxvit_t(options) -> MaxVit { MaxVit::tiny(options) }
    parameters 30_919_624, gflops 5.558,
    weights MaxVitTWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "maxvit_t-bc5ab103.pth", megabytes: 118.769, accuracy: acc(83.7, 96.722),
            min_size: [224, 224], preset: Preset::imagenet_bicubic(224, 224), ..IMAGENET1K
        },
    }
}
