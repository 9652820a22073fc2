//! RoBERTa: "RoBERTa: A Robustly Optimized BERT Pretraining Approach" (Liu et al., 2019, arXiv:1907.11692).
//!
//! The reference is Hugging Face's `transformers` (Apache-2.0). Places are counted from after the padding token's number,
//! and padding has none.

use flambeau_nn::{Dropout, Embedding, Forward, LayerNorm, Linear, Module, Parameter, observed};
use flambeau_tensor::{DType, Result, Tensor, ensure};
use serde::{Deserialize, Serialize};

use super::blocks::{Activation, embedding, first_segment, key_mask, layer_norm, linear};
use super::encoder::{BertEncoder, EncoderOptions, Pooler};
use super::heads::{ClassificationHead, Encoder, HeadConfig, decoder, vocabulary_bias};
use super::{Inputs, States};

/// The configuration, as in `config.json`; the defaults are those of `transformers`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RobertaConfig {
    /// How many tokens there are.
    pub vocab_size: usize,
    /// Features of a token.
    pub hidden_size: usize,
    /// How many layers there are.
    pub num_hidden_layers: usize,
    /// How many attentions a layer has side by side.
    pub num_attention_heads: usize,
    /// Features within a layer's perceptron.
    pub intermediate_size: usize,
    /// The perceptrons' activation.
    pub hidden_act: Activation,
    /// Dropout of embeddings and of what layers add.
    pub hidden_dropout_prob: f64,
    /// Dropout of attention weights.
    pub attention_probs_dropout_prob: f64,
    /// How many places there are, the first of which, up to the padding token's number, are not used.
    pub max_position_embeddings: usize,
    /// How many segments there are.
    pub type_vocab_size: usize,
    /// Standard deviation of initial weights.
    pub initializer_range: f64,
    /// Added to the variances of norms.
    pub layer_norm_eps: f64,
    /// The token whose vector stays zero.
    pub pad_token_id: usize,
    /// Dropout before a classifier; `hidden_dropout_prob` unless given.
    pub classifier_dropout: Option<f64>,
    /// Whether the head for hidden tokens has the embedding's vectors.
    pub tie_word_embeddings: bool,
    /// How many classes a classifier has.
    pub num_labels: usize,
}

impl Default for RobertaConfig {
    fn default() -> Self {
        RobertaConfig {
            vocab_size: 50265,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: Activation::Gelu,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            initializer_range: 0.02,
            layer_norm_eps: 1e-12,
            pad_token_id: 1,
            classifier_dropout: None,
            tie_word_embeddings: true,
            num_labels: 2,
        }
    }
}

impl RobertaConfig {
    fn encoder(&self) -> EncoderOptions {
        EncoderOptions {
            model: "RobertaModel",
            hidden: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            intermediate: self.intermediate_size,
            activation: self.hidden_act,
            dropout: self.hidden_dropout_prob,
            attention_dropout: self.attention_probs_dropout_prob,
            eps: self.layer_norm_eps,
            std: self.initializer_range,
        }
    }
}

impl HeadConfig for RobertaConfig {
    fn hidden(&self) -> usize {
        self.hidden_size
    }

    fn labels(&self) -> usize {
        self.num_labels
    }

    fn std(&self) -> f64 {
        self.initializer_range
    }

    fn classifier_dropout(&self) -> f64 {
        self.classifier_dropout.unwrap_or(self.hidden_dropout_prob)
    }
}

/// The sum of a token's, its segment's and its place's vectors, normalised.
#[derive(Debug, Module)]
struct Embeddings {
    word_embeddings: Embedding,
    token_type_embeddings: Embedding,
    #[module(rename = "LayerNorm")]
    layer_norm: LayerNorm,
    dropout: Dropout,
    position_embeddings: Embedding,
}

impl Embeddings {
    fn new(config: &RobertaConfig) -> Result<Self> {
        let table = |rows, padding| embedding(rows, config.hidden_size, padding, config.initializer_range);
        Ok(Embeddings {
            word_embeddings: table(config.vocab_size, Some(config.pad_token_id))?,
            token_type_embeddings: table(config.type_vocab_size, None)?,
            layer_norm: layer_norm(config.hidden_size, config.layer_norm_eps)?,
            dropout: Dropout::new(config.hidden_dropout_prob)?,
            position_embeddings: table(config.max_position_embeddings, Some(config.pad_token_id))?,
        })
    }

    fn forward(&self, ids: &Tensor, segments: &Tensor, positions: &Tensor) -> Result<Tensor> {
        let x = self
            .word_embeddings
            .forward(ids)?
            .add(&self.token_type_embeddings.forward(segments)?)?
            .add(&self.position_embeddings.forward(positions)?)?;
        self.dropout.forward(&self.layer_norm.forward(&x)?)
    }
}

/// The encoder: hidden states of all tokens.
#[derive(Debug, Module)]
pub struct RobertaModel {
    embeddings: Embeddings,
    encoder: BertEncoder,
    pooler: Option<Pooler>,
    max_position_embeddings: usize,
    pad_token_id: usize,
}

impl RobertaModel {
    /// A model with initial weights and a pooler.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &RobertaConfig) -> Result<Self> {
        Ok(RobertaModel {
            pooler: Some(Pooler::new(config.hidden_size, config.initializer_range)?),
            ..RobertaModel::encoder(config)?
        })
    }

    /// Hidden states of all tokens, and what the pooler makes of the first one.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<States> {
        let last_hidden_state = self.encode(inputs)?;
        let pooler = self.pooler.as_ref();
        Ok(States {
            pooler_output: pooler.map(|p| p.forward(&last_hidden_state)).transpose()?,
            last_hidden_state,
        })
    }

    /// Tokens counted from after the padding token's number; padding keeps that number.
    fn positions(&self, ids: &Tensor) -> Result<Tensor> {
        let pad = self.pad_token_id as i64;
        let tokens = ids.ne(pad)?.to_dtype(DType::I64)?;
        tokens.cumsum(1)?.mul(&tokens)?.add(pad)
    }
}

impl Encoder for RobertaModel {
    type Config = RobertaConfig;

    fn encoder(config: &RobertaConfig) -> Result<Self> {
        ensure!(
            config.pad_token_id < config.max_position_embeddings,
            Value,
            "RobertaModel: places begin after the padding token's number, {}, but there are {} places",
            config.pad_token_id,
            config.max_position_embeddings
        );
        Ok(RobertaModel {
            embeddings: Embeddings::new(config)?,
            encoder: BertEncoder::new(&config.encoder())?,
            pooler: None,
            max_position_embeddings: config.max_position_embeddings,
            pad_token_id: config.pad_token_id,
        })
    }

    fn encode(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        let ids = inputs.input_ids;
        let longest = self.max_position_embeddings - self.pad_token_id - 1;
        inputs.check("RobertaModel", 0, longest)?;
        let segments = inputs
            .token_type_ids
            .cloned()
            .map_or_else(|| first_segment(ids), Ok)?;
        let positions = inputs
            .position_ids
            .cloned()
            .map_or_else(|| self.positions(ids), Ok)?;
        let x = self.embeddings.forward(ids, &segments, &positions)?;
        self.encoder
            .forward(&x, key_mask(inputs.attention_mask)?.as_ref())
    }
}

/// A linear layer, GELU, a norm and scores of tokens.
#[derive(Debug, Module)]
struct LMHead {
    bias: Parameter,
    dense: Linear,
    layer_norm: LayerNorm,
    decoder: Linear,
}

impl Forward for LMHead {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.layer_norm.forward(&self.dense.forward(x)?.gelu()?)?;
        self.decoder.forward(&x)
    }
}

/// The encoder with scores of tokens for each place, by which hidden ones are found.
#[derive(Debug, Module)]
pub struct RobertaForMaskedLM {
    roberta: RobertaModel,
    lm_head: LMHead,
}

impl RobertaForMaskedLM {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &RobertaConfig) -> Result<Self> {
        let (hidden, std) = (config.hidden_size, config.initializer_range);
        let roberta = RobertaModel::encoder(config)?;
        let words = &roberta.embeddings.word_embeddings.weight;
        let bias = vocabulary_bias(words)?;
        let lm_head = LMHead {
            dense: linear(hidden, hidden, true, std)?,
            layer_norm: layer_norm(hidden, config.layer_norm_eps)?,
            decoder: decoder(words, config.tie_word_embeddings, Some(&bias), std)?,
            bias,
        };
        Ok(RobertaForMaskedLM { roberta, lm_head })
    }

    /// Scores of tokens, `[batch, time, vocab_size]`.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        self.lm_head.forward(&self.roberta.encode(inputs)?)
    }
}

/// The encoder with scores of classes for the whole text.
#[derive(Debug, Module)]
pub struct RobertaForSequenceClassification {
    roberta: RobertaModel,
    classifier: ClassificationHead,
}

impl RobertaForSequenceClassification {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &RobertaConfig) -> Result<Self> {
        Ok(RobertaForSequenceClassification {
            roberta: RobertaModel::encoder(config)?,
            classifier: ClassificationHead::new(config, Activation::Tanh)?,
        })
    }

    /// Scores of classes, `[batch, labels]`.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        self.classifier.forward(&self.roberta.encode(inputs)?)
    }
}

token_heads!(RobertaForTokenClassification, RobertaForQuestionAnswering, roberta: RobertaModel, RobertaConfig);

text_model!(states RobertaModel, RobertaConfig, "roberta");
text_model!(logits RobertaForMaskedLM, RobertaConfig, "roberta");
text_model!(logits RobertaForSequenceClassification, RobertaConfig, "roberta");
text_model!(logits RobertaForTokenClassification, RobertaConfig, "roberta");
text_model!(spans RobertaForQuestionAnswering, RobertaConfig, "roberta");
