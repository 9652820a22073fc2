//! GPT-2: "Language Models are Unsupervised Multitask Learners" (Radford et al., 2019).
//!
//! The reference is Hugging Face's `transformers` (Apache-2.0). Weights of linear layers lie transposed, `[in, out]`, as in
//! the published files.

use flambeau_nn::{Dropout, Embedding, Forward, LayerNorm, Linear, Mode, Module, Parameter, init, observed};
use flambeau_tensor::ops::attention::{SdpaOptions, scaled_dot_product_attention};
use flambeau_tensor::{DType, Result, Tensor, ensure};
use serde::{Deserialize, Serialize};

use super::blocks::{
    Activation, causal_mask, check_heads, embedding, join_heads, key_mask, layer_norm, linear, positions,
    split_heads,
};
use super::encoder::layers;
use super::heads::decoder;
use super::{Inputs, States};
use crate::generation::{CausalLM, KvCache};

/// The configuration, as in `config.json`; the defaults are those of the smallest model.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct GPT2Config {
    /// How many tokens there are.
    pub vocab_size: usize,
    /// How long a text may be.
    pub n_positions: usize,
    /// Features of a token.
    pub n_embd: usize,
    /// How many layers there are.
    pub n_layer: usize,
    /// How many attentions a layer has side by side.
    pub n_head: usize,
    /// Features within a layer's perceptron; four times `n_embd` unless given.
    pub n_inner: Option<usize>,
    /// The perceptrons' activation.
    pub activation_function: Activation,
    /// Dropout of what layers add.
    pub resid_pdrop: f64,
    /// Dropout of embeddings.
    pub embd_pdrop: f64,
    /// Dropout of attention weights.
    pub attn_pdrop: f64,
    /// Added to the variances of norms.
    pub layer_norm_epsilon: f64,
    /// Standard deviation of initial weights.
    pub initializer_range: f64,
    /// Whether scores are divided by the square root of the features of a head.
    pub scale_attn_weights: bool,
    /// Whether they are divided by the layer's number, too.
    pub scale_attn_by_inverse_layer_idx: bool,
    /// The token that fills up shorter texts: a classifier reads the last token that is another.
    pub pad_token_id: Option<i64>,
    /// Whether the head has the embedding's vectors.
    pub tie_word_embeddings: bool,
    /// How many classes a classifier has.
    pub num_labels: usize,
}

impl Default for GPT2Config {
    fn default() -> Self {
        GPT2Config {
            vocab_size: 50257,
            n_positions: 1024,
            n_embd: 768,
            n_layer: 12,
            n_head: 12,
            n_inner: None,
            activation_function: Activation::GeluNew,
            resid_pdrop: 0.1,
            embd_pdrop: 0.1,
            attn_pdrop: 0.1,
            layer_norm_epsilon: 1e-5,
            initializer_range: 0.02,
            scale_attn_weights: true,
            scale_attn_by_inverse_layer_idx: false,
            pad_token_id: None,
            tie_word_embeddings: true,
            num_labels: 2,
        }
    }
}

/// A linear layer whose weight is `[in, out]`.
#[derive(Debug, Module)]
struct Conv1D {
    weight: Parameter,
    bias: Parameter,
}

impl Conv1D {
    fn new(inputs: usize, outputs: usize, std: f64) -> Result<Self> {
        let weight = Tensor::zeros((inputs, outputs), DType::F32)?;
        init::normal_(&weight, 0.0, std)?;
        Ok(Conv1D {
            weight: Parameter::new(weight)?,
            bias: Parameter::new(Tensor::zeros(outputs, DType::F32)?)?,
        })
    }
}

impl Forward for Conv1D {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.matmul(&self.weight)?.add(self.bias.tensor())
    }
}

#[derive(Debug, Module)]
struct Attention {
    c_attn: Conv1D,
    c_proj: Conv1D,
    resid_dropout: Dropout,
    mode: Mode,
    heads: usize,
    scale: f64,
    dropout: f64,
}

impl Attention {
    fn new(config: &GPT2Config, layer: usize) -> Result<Self> {
        let (dim, std) = (config.n_embd, config.initializer_range);
        let mut scale = 1.0;
        if config.scale_attn_weights {
            scale /= ((dim / config.n_head) as f64).sqrt();
        }
        if config.scale_attn_by_inverse_layer_idx {
            scale /= (layer + 1) as f64;
        }
        Ok(Attention {
            c_attn: Conv1D::new(dim, 3 * dim, std)?,
            // Smaller by the number of what is added up.
            c_proj: Conv1D::new(dim, dim, std / (2.0 * config.n_layer as f64).sqrt())?,
            resid_dropout: Dropout::new(config.resid_pdrop)?,
            mode: Mode::default(),
            heads: config.n_head,
            scale,
            dropout: config.attn_pdrop,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        mask: Option<&Tensor>,
        cache: Option<(&mut KvCache, usize)>,
    ) -> Result<Tensor> {
        let parts = self.c_attn.forward(x)?.chunk(3, -1)?;
        let split = |i: usize| split_heads(&parts[i], self.heads);
        let (query, mut key, mut value) = (split(0)?, split(1)?, split(2)?);
        if let Some((cache, layer)) = cache {
            (key, value) = cache.update(layer, key, value)?;
        }
        let training = self.mode.is_training();
        let options = SdpaOptions {
            attn_mask: mask,
            is_causal: mask.is_none() && query.shape()[2] > 1,
            dropout_p: if training { self.dropout } else { 0.0 },
            scale: Some(self.scale),
            ..SdpaOptions::default()
        };
        let attended = join_heads(&scaled_dot_product_attention(&query, &key, &value, &options)?)?;
        self.resid_dropout.forward(&self.c_proj.forward(&attended)?)
    }
}

#[derive(Debug, Module)]
#[allow(clippy::upper_case_acronyms)]
struct MLP {
    c_fc: Conv1D,
    c_proj: Conv1D,
    dropout: Dropout,
    #[module(skip)]
    activation: Activation,
}

impl Forward for MLP {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.activation.apply(&self.c_fc.forward(x)?)?;
        self.dropout.forward(&self.c_proj.forward(&x)?)
    }
}

#[derive(Debug, Module)]
struct Block {
    ln_1: LayerNorm,
    attn: Attention,
    ln_2: LayerNorm,
    mlp: MLP,
}

impl Block {
    fn new(config: &GPT2Config, layer: usize) -> Result<Self> {
        let (dim, std) = (config.n_embd, config.initializer_range);
        let inner = config.n_inner.unwrap_or(4 * dim);
        Ok(Block {
            ln_1: layer_norm(dim, config.layer_norm_epsilon)?,
            attn: Attention::new(config, layer)?,
            ln_2: layer_norm(dim, config.layer_norm_epsilon)?,
            mlp: MLP {
                c_fc: Conv1D::new(dim, inner, std)?,
                c_proj: Conv1D::new(inner, dim, std / (2.0 * config.n_layer as f64).sqrt())?,
                dropout: Dropout::new(config.resid_pdrop)?,
                activation: config.activation_function,
            },
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        mask: Option<&Tensor>,
        cache: Option<(&mut KvCache, usize)>,
    ) -> Result<Tensor> {
        let x = self.attn.forward(&self.ln_1.forward(x)?, mask, cache)?.add(x)?;
        self.mlp.forward(&self.ln_2.forward(&x)?)?.add(&x)
    }
}

/// The decoder: hidden states of all tokens, each of which knows those before it.
#[derive(Debug, Module)]
pub struct GPT2Model {
    wte: Embedding,
    wpe: Embedding,
    drop: Dropout,
    h: Vec<Block>,
    ln_f: LayerNorm,
}

impl GPT2Model {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &GPT2Config) -> Result<Self> {
        let (dim, std) = (config.n_embd, config.initializer_range);
        check_heads("GPT2Model", dim, config.n_head)?;
        Ok(GPT2Model {
            wte: embedding(config.vocab_size, dim, None, std)?,
            wpe: embedding(config.n_positions, dim, None, std)?,
            drop: Dropout::new(config.embd_pdrop)?,
            h: layers("GPT2Model", config.n_layer, |i| Block::new(config, i))?,
            ln_f: layer_norm(dim, config.layer_norm_epsilon)?,
        })
    }

    /// Hidden states of all tokens. Segments have the vectors of tokens.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<States> {
        Ok(States {
            last_hidden_state: self.decode(inputs, None)?,
            pooler_output: None,
        })
    }

    /// Hidden states of the tokens that come after those in the cache, which learns them.
    fn decode(&self, inputs: &Inputs<'_>, mut cache: Option<&mut KvCache>) -> Result<Tensor> {
        let past = cache.as_ref().map_or(0, |cache| cache.len());
        let (_, time) = inputs.check("GPT2Model", past, self.wpe.weight.shape()[0])?;
        let places = inputs
            .position_ids
            .map_or_else(|| positions(past, time), |given| Ok(given.clone()))?;
        let mut x = self
            .wte
            .forward(inputs.input_ids)?
            .add(&self.wpe.forward(&places)?)?;
        if let Some(segments) = inputs.token_type_ids {
            x = x.add(&self.wte.forward(segments)?)?;
        }
        let mask = causal_mask(time, past + time, key_mask(inputs.attention_mask)?.as_ref())?;
        let mut x = self.drop.forward(&x)?;
        for (i, block) in self.h.iter().enumerate() {
            let cache = cache.as_deref_mut().map(|cache| (cache, i));
            x = block.forward(&x, mask.as_ref(), cache)?;
        }
        self.ln_f.forward(&x)
    }
}

/// The decoder with scores of the next token at each place.
#[derive(Debug, Module)]
pub struct GPT2LMHeadModel {
    transformer: GPT2Model,
    lm_head: Linear,
}

impl GPT2LMHeadModel {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &GPT2Config) -> Result<Self> {
        let transformer = GPT2Model::new(config)?;
        let words = &transformer.wte.weight;
        let lm_head = decoder(words, config.tie_word_embeddings, None, config.initializer_range)?;
        Ok(GPT2LMHeadModel { transformer, lm_head })
    }

    /// Scores of the next token, `[batch, time, vocab_size]`.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        self.lm_head.forward(&self.transformer.decode(inputs, None)?)
    }
}

impl CausalLM for GPT2LMHeadModel {
    type Cache = KvCache;

    fn next_scores(&self, inputs: &Inputs<'_>, cache: &mut KvCache) -> Result<Tensor> {
        let last = self.transformer.decode(inputs, Some(cache))?.select(1, -1)?;
        self.lm_head.forward(&last)
    }

    fn longest(&self) -> Option<usize> {
        Some(self.transformer.wpe.weight.shape()[0])
    }
}

/// The decoder with scores of classes for the whole text, read at its last token.
#[derive(Debug, Module)]
pub struct GPT2ForSequenceClassification {
    transformer: GPT2Model,
    score: Linear,
    #[module(skip)]
    pad_token_id: Option<i64>,
}

impl GPT2ForSequenceClassification {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &GPT2Config) -> Result<Self> {
        Ok(GPT2ForSequenceClassification {
            transformer: GPT2Model::new(config)?,
            score: linear(config.n_embd, config.num_labels, false, config.initializer_range)?,
            pad_token_id: config.pad_token_id,
        })
    }

    /// Scores of classes, `[batch, labels]`.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model; `Value` for several texts and a
    /// configuration without a padding token.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        let states = self.transformer.decode(inputs, None)?;
        let last = last_tokens(&states, inputs.input_ids, self.pad_token_id)?;
        self.score.forward(&last)
    }
}

/// The states of each text's last token that is no padding, `[batch, hidden]`.
pub(super) fn last_tokens(states: &Tensor, ids: &Tensor, pad: Option<i64>) -> Result<Tensor> {
    let Some(pad) = pad else {
        ensure!(
            ids.shape()[0] == 1,
            Value,
            "classification: without a padding token, where do {} texts end?",
            ids.shape()[0]
        );
        return states.select(1, -1);
    };
    let &[batch, time] = ids.shape() else {
        return states.select(1, -1);
    };
    let ids = ids.to_dtype(DType::I64)?.to_vec::<i64>()?;
    let last = |text: &[i64]| text.iter().rposition(|&id| id != pad).unwrap_or(0);
    let rows: Vec<i64> = ids
        .chunks(time)
        .enumerate()
        .map(|(row, text)| (row * time + last(text)) as i64)
        .collect();
    states
        .flatten(0, 1)?
        .index_select(0, &Tensor::from_vec(rows, batch)?)
}

text_model!(states GPT2Model, GPT2Config, "transformer");
text_model!(logits GPT2LMHeadModel, GPT2Config, "transformer");
text_model!(logits GPT2ForSequenceClassification, GPT2Config, "transformer");
