//! Swin Transformer: "Hierarchical Vision Transformer using Shifted Windows" (Liu et al., 2021, arXiv:2103.14030), and
//! version 2: "Scaling Up Capacity and Resolution" (Liu et al., 2021, arXiv:2111.09883).
//!
//! The reference is torchvision (BSD-3-Clause), keys and initial weights included. Tokens are `[batch, height, width,
//! channels]`; images of any size are padded to whole windows.

use flambeau_nn::functional::{SdpaOptions, linear as linear_map, normalize, scaled_dot_product_attention};
use flambeau_nn::init::trunc_normal_;
use flambeau_nn::{
    AdaptiveAvgPool2d, Buffer, Flatten, Forward, LayerNorm, LayerNormOptions, Linear, LinearOptions, Module,
    Parameter, ReLU, Sequential, observed,
};
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::blocks::{Biases, Kind, conv, initialise, linear, run, stage};
use super::vision_transformer::mlp;
use super::weights::{IMAGENET1K, acc};
use super::{Classifier, Options, Preset, Tap, Weights};
use crate::ops::{MLP, Permute, StochasticDepth, StochasticDepthMode};

/// What a network of the family is.
#[derive(Clone, Copy, Debug)]
pub struct SwinTransformerConfig {
    /// Whether it is of version 2: norms behind attention and perceptron, attention by cosines, biases by a perceptron of
    /// distances.
    pub v2: bool,
    /// Channels of the first stage; they double from stage to stage.
    pub embed_dim: usize,
    /// Blocks of the four stages.
    pub depths: [usize; 4],
    /// Heads of the four stages.
    pub num_heads: [usize; 4],
    /// Height and width of windows, in tokens.
    pub window_size: usize,
    /// With what probability the last residual branch is dropped.
    pub stochastic_depth_prob: f64,
}

impl SwinTransformerConfig {
    const fn v1(embed_dim: usize, third: usize, stochastic_depth_prob: f64) -> Self {
        let heads = embed_dim / 32;
        SwinTransformerConfig {
            v2: false,
            embed_dim,
            depths: [2, 2, third, 2],
            num_heads: [heads, 2 * heads, 4 * heads, 8 * heads],
            window_size: 7,
            stochastic_depth_prob,
        }
    }

    const fn v2(embed_dim: usize, third: usize, stochastic_depth_prob: f64) -> Self {
        SwinTransformerConfig {
            v2: true,
            window_size: 8,
            ..Self::v1(embed_dim, third, stochastic_depth_prob)
        }
    }
}

fn layer_norm(dim: usize) -> Result<LayerNorm> {
    LayerNorm::new(&[dim], LayerNormOptions::default())
}

/// Half the height and width, twice the channels: of each 2×2 tokens, one.
#[derive(Clone, Debug, Module)]
struct PatchMerging {
    reduction: Linear,
    norm: LayerNorm,
    v2: bool,
}

impl PatchMerging {
    fn new(dim: usize, v2: bool) -> Result<Self> {
        Ok(PatchMerging {
            reduction: Linear::new(4 * dim, 2 * dim, LinearOptions { bias: false })?,
            norm: layer_norm(if v2 { 2 * dim } else { 4 * dim })?,
            v2,
        })
    }
}

impl Forward for PatchMerging {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let odd = |d: isize| -> Result<isize> { Ok((x.size(d)? % 2) as isize) };
        let x = x.pad(&[0, 0, 0, odd(2)?, 0, odd(1)?], PadMode::Constant, 0)?;
        let every =
            |row: isize, column: isize| x.slice(1, Some(row), None, 2)?.slice(2, Some(column), None, 2);
        let x = Tensor::cat(&[every(0, 0)?, every(1, 0)?, every(0, 1)?, every(1, 1)?], -1)?;
        if self.v2 {
            self.norm.forward(&self.reduction.forward(&x)?)
        } else {
            self.reduction.forward(&self.norm.forward(&x)?)
        }
    }
}

/// Attention within windows, which are shifted in every second block.
#[derive(Module)]
struct ShiftedWindowAttention {
    relative_position_bias_table: Option<Parameter>,
    logit_scale: Option<Parameter>,
    relative_coords_table: Option<Buffer>,
    relative_position_index: Buffer,
    qkv: Linear,
    proj: Linear,
    cpb_mlp: Option<Sequential>,
    window: usize,
    shift: usize,
    heads: usize,
}

impl ShiftedWindowAttention {
    fn new(dim: usize, window: usize, shift: usize, heads: usize, v2: bool) -> Result<Self> {
        let (qkv, proj) = (linear(dim, 3 * dim)?, linear(dim, dim)?);
        let side = 2 * window - 1;
        let mut attention = ShiftedWindowAttention {
            relative_position_bias_table: None,
            logit_scale: None,
            relative_coords_table: None,
            relative_position_index: Buffer::new(position_index(window)?),
            qkv,
            proj,
            cpb_mlp: None,
            window,
            shift,
            heads,
        };
        if v2 {
            let scale = Tensor::full((heads, 1, 1), 10f64.ln(), DType::F32)?;
            attention.logit_scale = Some(Parameter::new(scale)?);
            attention.relative_coords_table = Some(Buffer::new(log_distances(window)?));
            let cpb_mlp = Sequential::new()
                .push(linear(2, 512)?)
                .push(ReLU)
                .push(Linear::new(512, heads, LinearOptions { bias: false })?);
            attention.cpb_mlp = Some(cpb_mlp);
        } else {
            let table = Tensor::zeros((side * side, heads), DType::F32)?;
            trunc_normal_(&table, 0.0, 0.02, -2.0, 2.0)?;
            attention.relative_position_bias_table = Some(Parameter::new(table)?);
        }
        Ok(attention)
    }

    /// What is added to the scores by how far a key is from a query, `[heads, tokens, tokens]` of a window.
    fn position_bias(&self) -> Result<Option<Tensor>> {
        let tokens = self.window * self.window;
        let by_pair = |table: &Tensor| {
            let pairs = table.index_select(0, &self.relative_position_index)?;
            pairs.reshape((tokens, tokens, self.heads))?.permute([2, 0, 1])
        };
        match (
            &self.relative_position_bias_table,
            &self.cpb_mlp,
            &self.relative_coords_table,
        ) {
            (Some(table), ..) => by_pair(table).map(Some),
            (None, Some(mlp), Some(coords)) => {
                let table = mlp.forward(coords)?.reshape((-1, self.heads as isize))?;
                by_pair(&table)?.sigmoid()?.mul(16.0).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Queries, keys and values of windows, `[windows, tokens, channels] → [windows, heads, tokens, channels/heads]` each.
    fn projected(&self, x: &Tensor) -> Result<[Tensor; 3]> {
        let (windows, tokens, channels) = (x.shape()[0], x.shape()[1], x.shape()[2]);
        let mut bias = self.qkv.bias.as_deref().cloned();
        if let (Some(full), Some(_)) = (&bias, &self.logit_scale) {
            // Keys have no bias in version 2.
            let part = |i: usize| full.narrow(0, (i * channels) as isize, channels);
            bias = Some(Tensor::cat(&[part(0)?, full.new_zeros(channels)?, part(2)?], 0)?);
        }
        let qkv = linear_map(x, &self.qkv.weight, bias.as_ref())?
            .reshape((windows, tokens, 3, self.heads, channels / self.heads))?
            .permute([2, 0, 3, 1, 4])?;
        Ok([qkv.select(0, 0)?, qkv.select(0, 1)?, qkv.select(0, 2)?])
    }

    /// Attention within windows, of which an image has so many; with `mask`, not between all of a window's tokens.
    fn attend(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let [mut query, mut key, mut value] = self.projected(x)?;
        let mut scale = None;
        if let Some(logit_scale) = &self.logit_scale {
            let factor = logit_scale.clamp_max(100f64.ln())?.exp()?;
            query = normalize(&query, 2.0, -1, 1e-12)?.mul(&factor)?;
            key = normalize(&key, 2.0, -1, 1e-12)?;
            scale = Some(1.0);
        }
        let mut bias = self.position_bias()?;
        if let Some(mask) = mask {
            // The windows of an image differ, those of a batch repeat.
            let windows = mask.shape()[0];
            let by_image = |t: Tensor| {
                let (all, rest) = (t.shape()[0], t.shape()[1..].to_vec());
                t.reshape([&[all / windows, windows], &rest[..]].concat())
            };
            (query, key, value) = (by_image(query)?, by_image(key)?, by_image(value)?);
            let mask = mask.unsqueeze(1)?;
            bias = Some(match bias {
                Some(bias) => bias.add(&mask)?,
                None => mask,
            });
        }
        let options = SdpaOptions {
            attn_mask: bias.as_ref(),
            scale,
            ..SdpaOptions::default()
        };
        let out = scaled_dot_product_attention(&query, &key, &value, &options)?;
        let out = out
            .transpose(-3, -2)?
            .reshape((x.shape()[0], x.shape()[1], x.shape()[2]))?;
        self.proj.forward(&out)
    }
}

impl Forward for ShiftedWindowAttention {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let &[batch, height, width, channels] = x.shape() else {
            flambeau_tensor::bail!(
                Shape,
                "SwinTransformer: expected tokens [batch, height, width, channels], got {:?}",
                x.shape()
            )
        };
        let window = self.window;
        let [padded_height, padded_width] = [height, width].map(|size| size.next_multiple_of(window));
        let (below, right) = ((padded_height - height) as isize, (padded_width - width) as isize);
        let mut tokens = x.pad(&[0, 0, 0, right, 0, below], PadMode::Constant, 0)?;
        // Where there is one window, there is nowhere to shift it.
        let shift = |size: usize| if window >= size { 0 } else { self.shift };
        let shifts = [shift(padded_height), shift(padded_width)];
        let shifted = shifts != [0; 2];
        let [down, across] = shifts.map(|shift| shift as isize);
        if shifted {
            tokens = tokens.roll([-down, -across], [1, 2])?;
        }
        let (rows, columns) = (padded_height / window, padded_width / window);
        let windows = tokens
            .reshape((batch, rows, window, columns, window, channels))?
            .permute([0, 1, 3, 2, 4, 5])?
            .reshape((batch * rows * columns, window * window, channels))?;
        let mask = if shifted {
            Some(shift_mask([padded_height, padded_width], window, shifts)?.to_dtype(x.dtype())?)
        } else {
            None
        };
        let mut out = self
            .attend(&windows, mask.as_ref())?
            .reshape((batch, rows, columns, window, window, channels))?
            .permute([0, 1, 3, 2, 4, 5])?
            .reshape((batch, padded_height, padded_width, channels))?;
        if shifted {
            out = out.roll([down, across], [1, 2])?;
        }
        out.narrow(1, 0, height)?.narrow(2, 0, width)
    }
}

/// For each pair of tokens of a window, the place of their distance in the table of biases, `[tokens·tokens]`.
pub(super) fn position_index(window: usize) -> Result<Tensor> {
    let side = 2 * window - 1;
    let mut index = Vec::with_capacity(window.pow(4));
    for query in 0..window * window {
        for key in 0..window * window {
            let row = query / window + window - 1 - key / window;
            let column = query % window + window - 1 - key % window;
            index.push((row * side + column) as i64);
        }
    }
    Tensor::from_vec(index, window.pow(4))
}

/// All distances within a window, brought to `±8` and then to a logarithmic scale, `[1, 2·window - 1, 2·window - 1, 2]`.
fn log_distances(window: usize) -> Result<Tensor> {
    let side = 2 * window - 1;
    let scaled = |i: usize| {
        let x = (i as f32 - (window - 1) as f32) / (window as f32 - 1.0) * 8.0;
        x.signum() * (x.abs() + 1.0).log2() / 3.0
    };
    let mut table = Vec::with_capacity(2 * side * side);
    for row in 0..side {
        for column in 0..side {
            table.extend([scaled(row), scaled(column)]);
        }
    }
    Tensor::from_vec(table, (1, side, side, 2))
}

/// -100 between tokens that the shift brought together from opposite edges of the image, else 0:
/// `[windows, tokens, tokens]`.
fn shift_mask(size: [usize; 2], window: usize, shifts: [usize; 2]) -> Result<Tensor> {
    let region = |d: usize, position: usize| match shifts[d] {
        0 => 0,
        shift if position >= size[d] - shift => 2,
        _ if position >= size[d] - window => 1,
        _ => 0,
    };
    let tokens = window * window;
    let mut mask = Vec::with_capacity(size[0] * size[1] * tokens);
    for top in (0..size[0]).step_by(window) {
        for left in (0..size[1]).step_by(window) {
            let regions: Vec<[i32; 2]> = (0..tokens)
                .map(|token| [region(0, top + token / window), region(1, left + token % window)])
                .collect();
            for query in &regions {
                mask.extend(regions.iter().map(|key| if key == query { 0f32 } else { -100.0 }));
            }
        }
    }
    Tensor::from_vec(mask, (size[0] * size[1] / tokens, tokens, tokens))
}

/// Attention and a perceptron, each with a norm (before it in version 1, behind it in version 2) and added to its input.
#[derive(Module)]
struct SwinTransformerBlock {
    norm1: LayerNorm,
    attn: ShiftedWindowAttention,
    stochastic_depth: StochasticDepth,
    norm2: LayerNorm,
    mlp: MLP,
    v2: bool,
}

impl SwinTransformerBlock {
    fn new(dim: usize, window: usize, shift: usize, heads: usize, depth_prob: f64, v2: bool) -> Result<Self> {
        Ok(SwinTransformerBlock {
            norm1: layer_norm(dim)?,
            attn: ShiftedWindowAttention::new(dim, window, shift, heads, v2)?,
            stochastic_depth: StochasticDepth::new(depth_prob, StochasticDepthMode::Row)?,
            norm2: layer_norm(dim)?,
            mlp: mlp(dim, 4 * dim, 0.0)?,
            v2,
        })
    }
}

impl Forward for SwinTransformerBlock {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let branch = |x: &Tensor, norm: &LayerNorm, layer: &dyn Forward| {
            let out = if self.v2 {
                norm.forward(&layer.forward(x)?)?
            } else {
                layer.forward(&norm.forward(x)?)?
            };
            x.add(&self.stochastic_depth.forward(&out)?)
        };
        branch(&branch(x, &self.norm1, &self.attn)?, &self.norm2, &self.mlp)
    }
}

/// A network of the family.
#[derive(Module)]
pub struct SwinTransformer {
    features: Sequential,
    norm: LayerNorm,
    permute: Permute,
    avgpool: AdaptiveAvgPool2d,
    flatten: Flatten,
    head: Linear,
}

impl SwinTransformer {
    /// A network with a head for so many classes.
    ///
    /// # Errors
    /// `Value` for other options than the classes and stochastic depth, and unless windows have two tokens or more along
    /// each side.
    pub fn new(config: &SwinTransformerConfig, options: Options) -> Result<Self> {
        options.only("SwinTransformer", &["stochastic_depth_prob"])?;
        let SwinTransformerConfig {
            v2,
            embed_dim,
            window_size: window,
            ..
        } = *config;
        ensure!(
            window > 1,
            Value,
            "SwinTransformer: expected windows of 2 tokens or more, got {window}"
        );
        let depth_prob = options
            .stochastic_depth_prob
            .unwrap_or(config.stochastic_depth_prob);
        let patches = Sequential::new()
            .push(conv(3, embed_dim, 4, 4, 0, true)?)
            .push(Permute::new(&[0, 2, 3, 1]))
            .push(layer_norm(embed_dim)?);
        let mut features = Sequential::new().push(patches);
        let total: usize = config.depths.iter().sum();
        let (mut index, mut dim) = (0, embed_dim);
        for (i, (depth, heads)) in config.depths.into_iter().zip(config.num_heads).enumerate() {
            let mut blocks = Sequential::new();
            for j in 0..depth {
                let depth_prob = depth_prob * index as f64 / (total as f64 - 1.0);
                let shift = if j % 2 == 0 { 0 } else { window / 2 };
                blocks = blocks.push(SwinTransformerBlock::new(
                    dim, window, shift, heads, depth_prob, v2,
                )?);
                index += 1;
            }
            features = features.push(blocks);
            if i + 1 < config.depths.len() {
                features = features.push(PatchMerging::new(dim, v2)?);
                dim *= 2;
            }
        }
        let model = SwinTransformer {
            features,
            norm: layer_norm(dim)?,
            permute: Permute::new(&[0, 3, 1, 2]),
            avgpool: AdaptiveAvgPool2d::new([Some(1); 2]),
            flatten: Flatten::default(),
            head: linear(dim, options.num_classes)?,
        };
        let weights = |kind: Kind, _: &str, weight: &Tensor| match kind {
            Kind::Linear => trunc_normal_(weight, 0.0, 0.02, -2.0, 2.0),
            Kind::Conv => Ok(()),
        };
        initialise(&model, weights, Biases::ZeroIfLinear)?;
        Ok(model)
    }
}

impl Forward for SwinTransformer {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_head(&self.forward_features(x)?)
    }
}

impl Classifier for SwinTransformer {
    fn forward_tapped(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor> {
        let x = run(&self.features, "features", x, tap)?;
        self.permute.forward(&stage(&self.norm, "norm", &x, tap)?)
    }

    fn forward_head(&self, features: &Tensor) -> Result<Tensor> {
        let x = self.flatten.forward(&self.avgpool.forward(features)?)?;
        self.head.forward(&x)
    }

    fn num_features(&self) -> usize {
        self.head.weight.shape()[1]
    }

    fn num_classes(&self) -> usize {
        self.head.weight.shape()[0]
    }

    fn reset_classifier(&mut self, num_classes: usize) -> Result<()> {
        self.head = linear(self.num_features(), num_classes)?;
        Ok(())
    }
}

const T: SwinTransformerConfig = SwinTransformerConfig::v1(96, 6, 0.2);
const S: SwinTransformerConfig = SwinTransformerConfig::v1(96, 18, 0.3);
const B: SwinTransformerConfig = SwinTransformerConfig::v1(128, 18, 0.5);
const V2_T: SwinTransformerConfig = SwinTransformerConfig::v2(96, 6, 0.2);
const V2_S: SwinTransformerConfig = SwinTransformerConfig::v2(96, 18, 0.3);
const V2_B: SwinTransformerConfig = SwinTransformerConfig::v2(128, 18, 0.5);

models! {
    /// Swin-T.
    swin_t(options) -> SwinTransformer { SwinTransformer::new(&T, options) }
    parameters 28_288_354, gflops 4.491,
    weights SwinTWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "swin_t-704ceda3.pth", megabytes: 108.19, accuracy: acc(81.474, 95.776),
            min_size: [224, 224], preset: Preset::imagenet_bicubic(232, 224), ..IMAGENET1K
        },
    }
    /// Swin-S.
    swin_s(options) -> SwinTransformer { SwinTransformer::new(&S, options) }
    parameters 49_606_258, gflops 8.741,
    weights SwinSWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "swin_s-5e29d889.pth", megabytes: 189.786, accuracy: acc(83.196, 96.36),
            min_size: [224, 224], preset: Preset::imagenet_bicubic(246, 224), ..IMAGENET1K
        },
    }
    /// Swin-B.
    swin_b(options) -> SwinTransformer { SwinTransformer::new(&B, options) }
    parameters 87_768_224, gflops 15.431,
    weights SwinBWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "swin_b-68c6b09e.pth", megabytes: 335.364, accuracy: acc(83.582, 96.64),
            min_size: [224, 224], preset: Preset::imagenet_bicubic(238, 224), ..IMAGENET1K
        },
    }
    /// Swin-T of version 2.
    swin_v2_t(options) -> SwinTransformer { SwinTransformer::new(&V2_T, options) }
    parameters 28_351_570, gflops 5.94,
    weights SwinV2TWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "swin_v2_t-b137f0e2.pth", megabytes: 108.626, accuracy: acc(82.072, 96.132),
            min_size: [256, 256], preset: Preset::imagenet_bicubic(260, 256), ..IMAGENET1K
        },
    }
    /// Swin-S of version 2.
    swin_v2_s(options) -> SwinTransformer { SwinTransformer::new(&V2_S, options) }
    parameters 49_737_442, gflops 11.546,
    weights SwinV2SWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "swin_v2_s-637d8ceb.pth", megabytes: 190.675, accuracy: acc(83.712, 96.816),
            min_size: [256, 256], preset: Preset::imagenet_bicubic(260, 256), ..IMAGENET1K
        },
    }
    /// Swin-B of version 2.
    swin_v2_b(options) -> SwinTransformer { SwinTransformer::new(&V2_B, options) }
    parameters 87_930_848, gflops 20.325,
    weights SwinV2BWeights, default IMAGENET1K_V1 {
        IMAGENET1K_V1 = Weights {
            file: "swin_v2_b-781e5279.pth", megabytes: 336.372, accuracy: acc(84.112, 96.864),
            min_size: [256, 256], preset: Preset::imagenet_bicubic(272, 256), ..IMAGENET1K
        },
    }
}
