//! BERT: "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding" (Devlin et al., 2018,
//! arXiv:1810.04805).
//!
//! The reference is Hugging Face's `transformers` (Apache-2.0): configuration, keys and outputs.

use flambeau_nn::{Dropout, Forward, Linear, Module};
use flambeau_tensor::{Result, Tensor};
use serde::{Deserialize, Serialize};

use super::blocks::{Activation, key_mask};
use super::embeddings::{Embeddings, EmbeddingsOptions};
use super::encoder::{BertEncoder, EncoderOptions, Pooler};
use super::heads::{Encoder, HeadConfig, MaskedLMHead, MaskedLMOptions, classifier};
use super::{Inputs, States};

/// The configuration, as in `config.json`; the defaults are those of BERT-base.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct BertConfig {
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
    /// How long a text may be.
    pub max_position_embeddings: usize,
    /// How many segments there are.
    pub type_vocab_size: usize,
    /// Standard deviation of initial weights.
    pub initializer_range: f64,
    /// Added to the variances of norms.
    pub layer_norm_eps: f64,
    /// The token whose vector stays zero.
    pub pad_token_id: Option<usize>,
    /// Dropout before a classifier; `hidden_dropout_prob` unless given.
    pub classifier_dropout: Option<f64>,
    /// Whether the head for hidden tokens has the embedding's vectors.
    pub tie_word_embeddings: bool,
    /// How many classes a classifier has.
    pub num_labels: usize,
}

impl Default for BertConfig {
    fn default() -> Self {
        BertConfig {
            vocab_size: 30522,
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
            pad_token_id: Some(0),
            classifier_dropout: None,
            tie_word_embeddings: true,
            num_labels: 2,
        }
    }
}

impl BertConfig {
    fn encoder(&self) -> EncoderOptions {
        EncoderOptions {
            model: "BertModel",
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

impl HeadConfig for BertConfig {
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

/// The encoder: hidden states of all tokens.
#[derive(Debug, Module)]
pub struct BertModel {
    embeddings: Embeddings,
    encoder: BertEncoder,
    pooler: Option<Pooler>,
}

impl BertModel {
    /// A model with initial weights and a pooler.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &BertConfig) -> Result<Self> {
        Ok(BertModel {
            pooler: Some(Pooler::new(config.hidden_size, config.initializer_range)?),
            ..BertModel::encoder(config)?
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
}

impl Encoder for BertModel {
    type Config = BertConfig;

    fn encoder(config: &BertConfig) -> Result<Self> {
        Ok(BertModel {
            embeddings: Embeddings::new(&EmbeddingsOptions {
                tokens: config.vocab_size,
                places: config.max_position_embeddings,
                segments: config.type_vocab_size,
                dim: config.hidden_size,
                padding: config.pad_token_id,
                dropout: config.hidden_dropout_prob,
                eps: config.layer_norm_eps,
                std: config.initializer_range,
            })?,
            encoder: BertEncoder::new(&config.encoder())?,
            pooler: None,
        })
    }

    fn encode(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        let x = self.embeddings.forward("BertModel", inputs)?;
        self.encoder
            .forward(&x, key_mask(inputs.attention_mask)?.as_ref())
    }
}

/// The encoder with scores of tokens for each place, by which hidden ones are found.
#[derive(Debug, Module)]
pub struct BertForMaskedLM {
    bert: BertModel,
    cls: MaskedLMHead,
}

impl BertForMaskedLM {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &BertConfig) -> Result<Self> {
        let bert = BertModel::encoder(config)?;
        let cls = MaskedLMHead::new(&MaskedLMOptions {
            hidden: config.hidden_size,
            activation: config.hidden_act,
            eps: config.layer_norm_eps,
            std: config.initializer_range,
            embeddings: bert.embeddings.words(),
            tied: config.tie_word_embeddings,
        })?;
        Ok(BertForMaskedLM { bert, cls })
    }

    /// Scores of tokens, `[batch, time, vocab_size]`.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        self.cls.forward(&self.bert.encode(inputs)?)
    }
}

/// The encoder with scores of classes for the whole text.
#[derive(Debug, Module)]
pub struct BertForSequenceClassification {
    bert: BertModel,
    dropout: Dropout,
    classifier: Linear,
}

impl BertForSequenceClassification {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &BertConfig) -> Result<Self> {
        Ok(BertForSequenceClassification {
            bert: BertModel::new(config)?,
            dropout: Dropout::new(config.classifier_dropout())?,
            classifier: classifier(config)?,
        })
    }

    /// Scores of classes, `[batch, labels]`.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        let states = self.bert.forward(inputs)?;
        let pooled = states.pooler_output.unwrap_or(states.last_hidden_state);
        self.classifier.forward(&self.dropout.forward(&pooled)?)
    }
}

token_heads!(BertForTokenClassification, BertForQuestionAnswering, bert: BertModel, BertConfig);

text_model!(states BertModel, BertConfig, "bert");
text_model!(logits BertForMaskedLM, BertConfig, "bert");
text_model!(logits BertForSequenceClassification, BertConfig, "bert");
text_model!(logits BertForTokenClassification, BertConfig, "bert");
text_model!(spans BertForQuestionAnswering, BertConfig, "bert");
