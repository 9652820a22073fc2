//! LLaMA: "LLaMA: Open and Efficient Foundation Language Models" (Touvron et al., 2023, arXiv:2302.13971).
//!
//! The reference is Hugging Face's `transformers` (Apache-2.0). Places turn queries and keys (Su et al., 2021,
//! arXiv:2104.09864), several queries share a key (Ainslie et al., 2023, arXiv:2305.13245), norms are by root mean squares.

use flambeau_nn::{Embedding, Forward, Linear, Mode, Module, RMSNorm, observed};
use flambeau_tensor::ops::attention::{SdpaOptions, scaled_dot_product_attention};
use flambeau_tensor::{DType, Result, Tensor, bail, ensure};
use serde::{Deserialize, Serialize};

use super::blocks::{
    Activation, causal_mask, embedding, join_heads, key_mask, linear, positions, split_heads,
};
use super::encoder::layers;
use super::heads::decoder;
use super::{Inputs, States};
use crate::generation::{CausalLM, KvCache};

/// How places turn queries and keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RopeParameters {
    /// The kind; `default` alone is offered.
    #[serde(alias = "type")]
    pub rope_type: String,
    /// The longest wavelength over 2π.
    pub rope_theta: Option<f64>,
}

impl Default for RopeParameters {
    fn default() -> Self {
        RopeParameters {
            rope_type: "default".to_string(),
            rope_theta: None,
        }
    }
}

/// The configuration, as in `config.json`; the defaults are those of the model of 7 billion parameters.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct LlamaConfig {
    /// How many tokens there are.
    pub vocab_size: usize,
    /// Features of a token.
    pub hidden_size: usize,
    /// Features within a layer's perceptron.
    pub intermediate_size: usize,
    /// How many layers there are.
    pub num_hidden_layers: usize,
    /// How many attentions a layer has side by side.
    pub num_attention_heads: usize,
    /// How many keys and values they have; as many unless given.
    pub num_key_value_heads: Option<usize>,
    /// Features of a head; `hidden_size` over the heads unless given.
    pub head_dim: Option<usize>,
    /// The perceptrons' activation.
    pub hidden_act: Activation,
    /// How long a text may be.
    pub max_position_embeddings: usize,
    /// Standard deviation of initial weights.
    pub initializer_range: f64,
    /// Added to the mean squares of norms.
    pub rms_norm_eps: f64,
    /// The longest wavelength over 2π.
    pub rope_theta: f64,
    /// How places turn queries and keys, as newer files say it.
    #[serde(alias = "rope_scaling")]
    pub rope_parameters: Option<RopeParameters>,
    /// Whether projections have biases.
    pub attention_bias: bool,
    /// Dropout of attention weights.
    pub attention_dropout: f64,
    /// Whether perceptrons have biases.
    pub mlp_bias: bool,
    /// Whether the head has the embedding's vectors.
    pub tie_word_embeddings: bool,
}

impl Default for LlamaConfig {
    fn default() -> Self {
        LlamaConfig {
            vocab_size: 32000,
            hidden_size: 4096,
            intermediate_size: 11008,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: None,
            head_dim: None,
            hidden_act: Activation::Silu,
            max_position_embeddings: 2048,
            initializer_range: 0.02,
            rms_norm_eps: 1e-6,
            rope_theta: 10000.0,
            rope_parameters: None,
            attention_bias: false,
            attention_dropout: 0.0,
            mlp_bias: false,
            tie_word_embeddings: false,
        }
    }
}

/// Cosines and sines by which places turn pairs of features, `[batch, 1, time, dim]` each.
struct Turns {
    cos: Tensor,
    sin: Tensor,
}

impl Turns {
    fn new(places: &Tensor, dim: usize, theta: f64, dtype: DType) -> Result<Turns> {
        let half = dim / 2;
        let frequencies: Vec<f64> = (0..dim)
            .map(|i| theta.powf(-((2 * (i % half)) as f64) / dim as f64))
            .collect();
        let frequencies = Tensor::from_vec(frequencies, (1, 1, dim))?;
        let angles = places
            .to_dtype(DType::F64)?
            .unsqueeze(-1)?
            .mul(&frequencies)?
            .unsqueeze(1)?;
        Ok(Turns {
            cos: angles.cos()?.to_dtype(dtype)?,
            sin: angles.sin()?.to_dtype(dtype)?,
        })
    }

    /// Pairs are a feature of the first half and the same one of the second.
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let halves = x.chunk(2, -1)?;
        let turned = Tensor::cat(&[halves[1].neg()?, halves[0].clone()], -1)?;
        x.mul(&self.cos)?.add(&turned.mul(&self.sin)?)
    }
}

#[derive(Debug, Module)]
struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    mode: Mode,
    heads: usize,
    key_heads: usize,
    dropout: f64,
}

impl Attention {
    fn new(config: &LlamaConfig) -> Result<Self> {
        let (hidden, std, bias) = (
            config.hidden_size,
            config.initializer_range,
            config.attention_bias,
        );
        let (heads, key_heads, dim) = config.heads()?;
        Ok(Attention {
            q_proj: linear(hidden, heads * dim, bias, std)?,
            k_proj: linear(hidden, key_heads * dim, bias, std)?,
            v_proj: linear(hidden, key_heads * dim, bias, std)?,
            o_proj: linear(heads * dim, hidden, bias, std)?,
            mode: Mode::default(),
            heads,
            key_heads,
            dropout: config.attention_dropout,
        })
    }

    fn forward(&self, x: &Tensor, call: &mut Call<'_>, layer: usize) -> Result<Tensor> {
        let query = call
            .turns
            .apply(&split_heads(&self.q_proj.forward(x)?, self.heads)?)?;
        let mut key = call
            .turns
            .apply(&split_heads(&self.k_proj.forward(x)?, self.key_heads)?)?;
        let mut value = split_heads(&self.v_proj.forward(x)?, self.key_heads)?;
        if let Some(cache) = call.cache.as_deref_mut() {
            (key, value) = cache.update(layer, key, value)?;
        }
        let training = self.mode.is_training();
        let options = SdpaOptions {
            attn_mask: call.mask.as_ref(),
            is_causal: call.mask.is_none() && query.shape()[2] > 1,
            dropout_p: if training { self.dropout } else { 0.0 },
            enable_gqa: true,
            ..SdpaOptions::default()
        };
        let attended = scaled_dot_product_attention(&query, &key, &value, &options)?;
        self.o_proj.forward(&join_heads(&attended)?)
    }
}

/// What all layers of a call share.
struct Call<'a> {
    turns: Turns,
    mask: Option<Tensor>,
    cache: Option<&'a mut KvCache>,
}

#[derive(Debug, Module)]
#[allow(clippy::upper_case_acronyms)]
struct MLP {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
    #[module(skip)]
    activation: Activation,
}

impl Forward for MLP {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let gate = self.activation.apply(&self.gate_proj.forward(x)?)?;
        self.down_proj.forward(&gate.mul(&self.up_proj.forward(x)?)?)
    }
}

#[derive(Debug, Module)]
struct DecoderLayer {
    self_attn: Attention,
    mlp: MLP,
    input_layernorm: RMSNorm,
    post_attention_layernorm: RMSNorm,
}

impl DecoderLayer {
    fn new(config: &LlamaConfig) -> Result<Self> {
        let (hidden, inner, std, bias) = (
            config.hidden_size,
            config.intermediate_size,
            config.initializer_range,
            config.mlp_bias,
        );
        let norm = || RMSNorm::new(&[hidden], Some(config.rms_norm_eps), true);
        Ok(DecoderLayer {
            self_attn: Attention::new(config)?,
            mlp: MLP {
                gate_proj: linear(hidden, inner, bias, std)?,
                up_proj: linear(hidden, inner, bias, std)?,
                down_proj: linear(inner, hidden, bias, std)?,
                activation: config.hidden_act,
            },
            input_layernorm: norm()?,
            post_attention_layernorm: norm()?,
        })
    }

    fn forward(&self, x: &Tensor, call: &mut Call<'_>, layer: usize) -> Result<Tensor> {
        let normed = self.input_layernorm.forward(x)?;
        let x = self.self_attn.forward(&normed, call, layer)?.add(x)?;
        let normed = self.post_attention_layernorm.forward(&x)?;
        self.mlp.forward(&normed)?.add(&x)
    }
}

impl LlamaConfig {
    /// Heads of queries and of keys, and the features of one.
    fn heads(&self) -> Result<(usize, usize, usize)> {
        let heads = self.num_attention_heads;
        let key_heads = self.num_key_value_heads.unwrap_or(heads);
        let dim = self.head_dim.unwrap_or(self.hidden_size / heads.max(1));
        ensure!(
            heads > 0 && key_heads > 0 && heads.is_multiple_of(key_heads) && dim > 0 && dim.is_multiple_of(2),
            Value,
            "LlamaModel: expected heads in groups and an even number of features each, got {heads} heads, {key_heads} of keys, {dim} features"
        );
        Ok((heads, key_heads, dim))
    }

    /// The longest wavelength over 2π.
    fn theta(&self) -> Result<f64> {
        let Some(rope) = &self.rope_parameters else {
            return Ok(self.rope_theta);
        };
        if rope.rope_type != "default" {
            bail!(
                Unsupported,
                "LlamaModel: rope_type {}; expected default",
                rope.rope_type
            );
        }
        Ok(rope.rope_theta.unwrap_or(self.rope_theta))
    }
}

/// The decoder: hidden states of all tokens, each of which knows those before it.
#[derive(Debug, Module)]
pub struct LlamaModel {
    embed_tokens: Embedding,
    layers: Vec<DecoderLayer>,
    norm: RMSNorm,
    dim: usize,
    theta: f64,
    max_position_embeddings: usize,
}

impl LlamaModel {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model; `Unsupported` for other places.
    pub fn new(config: &LlamaConfig) -> Result<Self> {
        let (hidden, std) = (config.hidden_size, config.initializer_range);
        let ((_, _, dim), theta) = (config.heads()?, config.theta()?);
        Ok(LlamaModel {
            embed_tokens: embedding(config.vocab_size, hidden, None, std)?,
            layers: layers("LlamaModel", config.num_hidden_layers, |_| {
                DecoderLayer::new(config)
            })?,
            norm: RMSNorm::new(&[hidden], Some(config.rms_norm_eps), true)?,
            dim,
            theta,
            max_position_embeddings: config.max_position_embeddings,
        })
    }

    /// Hidden states of all tokens.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model; `Unsupported` for segments.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<States> {
        Ok(States {
            last_hidden_state: self.decode(inputs, None)?,
            pooler_output: None,
        })
    }

    /// Hidden states of the tokens that come after those in the cache, which learns them.
    fn decode(&self, inputs: &Inputs<'_>, cache: Option<&mut KvCache>) -> Result<Tensor> {
        let past = cache.as_ref().map_or(0, |cache| cache.len());
        let (_, time) = inputs.check("LlamaModel", past, self.max_position_embeddings)?;
        if inputs.token_type_ids.is_some() {
            bail!(
                Unsupported,
                "LlamaModel: there are no segments, so no token_type_ids"
            );
        }
        let places = inputs
            .position_ids
            .map_or_else(|| positions(past, time), |given| Ok(given.clone()))?;
        let mut x = self.embed_tokens.forward(inputs.input_ids)?;
        let mut call = Call {
            turns: Turns::new(&places, self.dim, self.theta, x.dtype())?,
            mask: causal_mask(time, past + time, key_mask(inputs.attention_mask)?.as_ref())?,
            cache,
        };
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, &mut call, i)?;
        }
        self.norm.forward(&x)
    }
}

/// The decoder with scores of the next token at each place.
#[derive(Debug, Module)]
pub struct LlamaForCausalLM {
    model: LlamaModel,
    lm_head: Linear,
}

impl LlamaForCausalLM {
    /// A model with initial weights.
    ///
    /// # Errors
    /// As [`LlamaModel::new`].
    pub fn new(config: &LlamaConfig) -> Result<Self> {
        let model = LlamaModel::new(config)?;
        let words = &model.embed_tokens.weight;
        let lm_head = decoder(words, config.tie_word_embeddings, None, config.initializer_range)?;
        Ok(LlamaForCausalLM { model, lm_head })
    }

    /// Scores of the next token, `[batch, time, vocab_size]`.
    ///
    /// # Errors
    /// As [`LlamaModel::forward`].
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        self.lm_head.forward(&self.model.decode(inputs, None)?)
    }
}

impl CausalLM for LlamaForCausalLM {
    type Cache = KvCache;

    fn next_scores(&self, inputs: &Inputs<'_>, cache: &mut KvCache) -> Result<Tensor> {
        let last = self.model.decode(inputs, Some(cache))?.select(1, -1)?;
        self.lm_head.forward(&last)
    }

    fn longest(&self) -> Option<usize> {
        Some(self.model.max_position_embeddings)
    }
}

text_model!(states LlamaModel, LlamaConfig, "model");
text_model!(logits LlamaForCausalLM, LlamaConfig, "model");
