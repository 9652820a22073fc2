//! Vision Transformer: "An Image is Worth 16x16 Words" (Dosovitskiy et al., 2020, arXiv:2010.11929).
//!
//! The reference is torchvision (BSD-3-Clause), keys and initial weights included. Images have the size that the model was
//! made for: [`Options::image_size`].

use flambeau_nn::init::{normal_, trunc_normal_, xavier_uniform_, zeros_};
use flambeau_nn::{
    AttentionOptions, Conv2d, Dropout, Forward, LayerNorm, LayerNormOptions, Module, MultiheadAttention,
    MultiheadAttentionOptions, Parameter, Sequential, observed,
};
use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::blocks::{conv, linear};
use super::weights::{IMAGENET1K, acc};
use super::{Classifier, Options, Preset, Tap, Weights};
use crate::ops::{Activation, MLP};

/// What a network of the family is.
#[derive(Clone, Copy, Debug)]
pub struct VisionTransformerConfig {
    /// Height and width of a patch, in pixels.
    pub patch_size: usize,
    /// How many blocks there are.
    pub num_layers: usize,
    /// How many heads attention has.
    pub num_heads: usize,
    /// Features of a token.
    pub hidden_dim: usize,
    /// Features within a block's perceptron.
    pub mlp_dim: usize,
    /// Probability with which attention weights are dropped in training.
    pub attention_dropout: f64,
}

impl VisionTransformerConfig {
    const fn new(patch_size: usize, num_layers: usize, num_heads: usize, hidden_dim: usize) -> Self {
        VisionTransformerConfig {
            patch_size,
            num_layers,
            num_heads,
            hidden_dim,
            mlp_dim: 4 * hidden_dim,
            attention_dropout: 0.0,
        }
    }
}

fn layer_norm(dim: usize) -> Result<LayerNorm> {
    LayerNorm::new(
        &[dim],
        LayerNormOptions {
            eps: 1e-6,
            ..LayerNormOptions::default()
        },
    )
}

/// A perceptron with one hidden layer, initialised as in transformers.
pub(super) fn mlp(dim: usize, hidden: usize, dropout: f64) -> Result<MLP> {
    let mlp = MLP::new(dim, &[hidden, dim], Activation::GELU, true, dropout)?;
    for (name, parameter) in mlp.named_parameters() {
        if name.ends_with("weight") {
            xavier_uniform_(parameter, 1.0)?;
        } else {
            normal_(parameter, 0.0, 1e-6)?;
        }
    }
    Ok(mlp)
}

/// Attention and a perceptron, each behind a norm and added to its input.
#[derive(Module)]
struct EncoderBlock {
    ln_1: LayerNorm,
    self_attention: MultiheadAttention,
    dropout: Dropout,
    ln_2: LayerNorm,
    mlp: MLP,
}

impl EncoderBlock {
    fn new(config: &VisionTransformerConfig, dropout: f64) -> Result<Self> {
        let dim = config.hidden_dim;
        let attention = MultiheadAttentionOptions {
            dropout: config.attention_dropout,
            batch_first: true,
            ..MultiheadAttentionOptions::default()
        };
        Ok(EncoderBlock {
            ln_1: layer_norm(dim)?,
            self_attention: MultiheadAttention::new(dim, config.num_heads, attention)?,
            dropout: Dropout::new(dropout)?,
            ln_2: layer_norm(dim)?,
            mlp: mlp(dim, config.mlp_dim, dropout)?,
        })
    }
}

impl Forward for EncoderBlock {
    #[observed]
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let x = self.ln_1.forward(input)?;
        let options = AttentionOptions {
            need_weights: false,
            ..AttentionOptions::default()
        };
        let (x, _) = self.self_attention.forward(&x, &x, &x, &options)?;
        let x = self.dropout.forward(&x)?.add(input)?;
        x.add(&self.mlp.forward(&self.ln_2.forward(&x)?)?)
    }
}

/// Positions added to the tokens, and the blocks.
#[derive(Module)]
struct Encoder {
    pos_embedding: Parameter,
    dropout: Dropout,
    layers: Sequential,
    ln: LayerNorm,
}

impl Encoder {
    fn new(config: &VisionTransformerConfig, tokens: usize, dropout: f64) -> Result<Self> {
        let pos_embedding = Tensor::zeros((1, tokens, config.hidden_dim), DType::F32)?;
        normal_(&pos_embedding, 0.0, 0.02)?;
        let mut layers = Sequential::new();
        for i in 0..config.num_layers {
            layers = layers.push_named(format!("encoder_layer_{i}"), EncoderBlock::new(config, dropout)?);
        }
        Ok(Encoder {
            pos_embedding: Parameter::new(pos_embedding)?,
            dropout: Dropout::new(dropout)?,
            layers,
            ln: layer_norm(config.hidden_dim)?,
        })
    }
}

/// A transformer over patches of an image.
#[derive(Module)]
pub struct VisionTransformer {
    class_token: Parameter,
    conv_proj: Conv2d,
    encoder: Encoder,
    heads: Sequential,
    image_size: usize,
    num_classes: usize,
}

impl VisionTransformer {
    /// A network for square images, of 224 pixels along each side unless given; there is no dropout unless given.
    ///
    /// # Errors
    /// `Value` for other options than the classes, dropout and `image_size`, and unless patches divide the image.
    pub fn new(config: &VisionTransformerConfig, options: Options) -> Result<Self> {
        options.only("VisionTransformer", &["dropout", "image_size"])?;
        let (dim, patch, image_size) = (
            config.hidden_dim,
            config.patch_size,
            options.image_size.unwrap_or(224),
        );
        ensure!(
            patch > 0 && image_size.is_multiple_of(patch),
            Value,
            "VisionTransformer: patches of {patch} pixels must divide images of {image_size}"
        );
        let tokens = (image_size / patch).pow(2) + 1;
        let conv_proj = conv(3, dim, patch, patch, 0, true)?;
        let encoder = Encoder::new(config, tokens, options.dropout.unwrap_or(0.0))?;
        let head = linear(dim, options.num_classes)?;
        let fan_in = (3 * patch * patch) as f64;
        trunc_normal_(&conv_proj.weight, 0.0, (1.0 / fan_in).sqrt(), -2.0, 2.0)?;
        zeros_(&head.weight)?;
        for bias in [&conv_proj.bias, &head.bias].into_iter().flatten() {
            zeros_(bias)?;
        }
        Ok(VisionTransformer {
            class_token: Parameter::new(Tensor::zeros((1, 1, dim), DType::F32)?)?,
            conv_proj,
            encoder,
            heads: Sequential::new().push_named("head", head),
            image_size,
            num_classes: options.num_classes,
        })
    }

    /// Patches as tokens, `[batch, 3, size, size] → [batch, patches, hidden_dim]`.
    fn tokens(&self, x: &Tensor) -> Result<Tensor> {
        let size = self.image_size;
        let fits = matches!(x.shape(), &[_, 3, height, width] if height == size && width == size);
        ensure!(
            fits,
            Shape,
            "VisionTransformer: expected images [batch, 3, {size}, {size}], got {:?}",
            x.shape()
        );
        self.conv_proj.forward(x)?.flatten(2, -1)?.transpose(1, 2)
    }
}

impl Forward for VisionTransformer {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for VisionTransformer {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        let x = self.tokens(x)?;
        let (batch, dim) = (x.shape()[0], x.shape()[2]);
        let class_token = self.class_token.expand((batch, 1, dim))?;
        let x = Tensor::cat(&[&class_token, &x], 1)?.add(self.encoder.pos_embedding.tensor())?;
        let x = self.encoder.dropout.forward(&x)?;
        let x = super::blocks::run(&self.encoder.layers, "encoder.layers", &x, tap)?;
        super::blocks::stage(&self.encoder.ln, "encoder.ln", &x, tap)
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        self.heads.forward(&features.select(1, 0)?)
    }

    fn num_features(&self) -> usize {
        self.class_token.shape()[2]
    }

    fn num_classes(&self) -> usize {
        self.num_classes
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        self.num_classes = num_classes;
        self.heads.replace(0, linear(self.num_features(), num_classes)?)
    }
}

const B_16: VisionTransformerConfig = VisionTransformerConfig::new(16, 12, 12, 768);
const B_32: VisionTransformerConfig = VisionTransformerConfig::new(32, 12, 12, 768);
const L_16: VisionTransformerConfig = VisionTransformerConfig::new(16, 24, 16, 1024);
const L_32: VisionTransformerConfig = VisionTransformerConfig::new(32, 24, 16, 1024);
const H_14: VisionTransformerConfig = VisionTransformerConfig::new(14, 32, 16, 1280);

models! {
    /// ViT-B/16.
    vit_b_16(options) -> VisionTransformer { VisionTransformer::new(&B_16, options) }
    parameters 86_567_656, gflops 17.564,
    weights ViTB16Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "vit_b_16-c867db91.pth", megabytes: 330.285, accuracy: acc(81.072, 95.318),
            min_size: [224, 224], ..IMAGENET1K
        },
        IMAGENET1K_SWAG_E2E_V1 = Weights {
            file: "vit_b_16_swag-9ac1b537.pth", megabytes: 331.398, parameters: 86_859_496, gflops: 55.484,
            accuracy: acc(85.304, 97.65), min_size: [384, 384], preset: Preset::imagenet_bicubic(384, 384),
            license: "CC-BY-NC-4.0", ..IMAGENET1K
        },
        IMAGENET1K_SWAG_LINEAR_V1 = Weights {
            file: "vit_b_16_lc_swag-4e70ced5.pth", megabytes: 330.285, accuracy: acc(81.886, 96.18),
            min_size: [224, 224], preset: Preset::imagenet_bicubic(224, 224), license: "CC-BY-NC-4.0",
            ..IMAGENET1K
        },
    }
    /// ViT-B/32.
    vit_b_32(options) -> VisionTransformer { VisionTransformer::new(&B_32, options) }
    parameters 88_224_232, gflops 4.409,
    weights ViTB32Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "vit_b_32-d86f8d99.pth", megabytes: 336.604, accuracy: acc(75.912, 92.466),
            min_size: [224, 224], ..IMAGENET1K
        },
    }
    /// ViT-L/16.
    vit_l_16(options) -> VisionTransformer { VisionTransformer::new(&L_16, options) }
    parameters 304_326_632, gflops 61.555,
    weights ViTL16Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "vit_l_16-852ce7e3.pth", megabytes: 1161.023, accuracy: acc(79.662, 94.638),
            min_size: [224, 224], preset: Preset::imagenet(242, 224), ..IMAGENET1K
        },
        IMAGENET1K_SWAG_E2E_V1 = Weights {
            file: "vit_l_16_swag-4f3808c9.pth", megabytes: 1164.258, parameters: 305_174_504,
            gflops: 361.986, accuracy: acc(88.064, 98.512), min_size: [512, 512],
            preset: Preset::imagenet_bicubic(512, 512), license: "CC-BY-NC-4.0", ..IMAGENET1K
        },
        IMAGENET1K_SWAG_LINEAR_V1 = Weights {
            file: "vit_l_16_lc_swag-4d563306.pth", megabytes: 1161.023, accuracy: acc(85.146, 97.422),
            min_size: [224, 224], preset: Preset::imagenet_bicubic(224, 224), license: "CC-BY-NC-4.0",
            ..IMAGENET1K
        },
    }
    /// ViT-L/32.
    vit_l_32(options) -> VisionTransformer { VisionTransformer::new(&L_32, options) }
    parameters 306_535_400, gflops 15.378,
    weights ViTL32Weights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "vit_l_32-c7638314.pth", megabytes: 1169.449, accuracy: acc(76.972, 93.07),
            min_size: [224, 224], ..IMAGENET1K
        },
    }
    /// ViT-H/14.
    vit_h_14(options) -> VisionTransformer { VisionTransformer::new(&H_14, options) }
    parameters 632_045_800, gflops 167.295,
    weights ViTH14Weights, default IMAGENET1K_SWAG_E2E_V1 {
        IMAGENET1K_SWAG_E2E_V1 = Weights {
            file: "vit_h_14_swag-80465313.pth", megabytes: 2416.643, parameters: 633_470_440,
            gflops: 1016.717, accuracy: acc(88.552, 98.694), min_size: [518, 518], preset: Preset::imagenet_bicubic(518, 518), license: "CC-BY-NC-4.0",
            ..IMAGENET1K
        },
        IMAGENET1K_SWAG_LINEAR_V1 = Weights {
            file: "vit_h_14_lc_swag-c1eb923e.pth", megabytes: 2411.209, accuracy: acc(85.708, 97.73),
            min_size: [224, 224], preset: Preset::imagenet_bicubic(224, 224), license: "CC-BY-NC-4.0", ..IMAGENET1K
        },
    }
}
