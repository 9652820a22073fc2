//! ELECTRA: "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators" (Clark et al., 2020,
//! arXiv:2003.10555).
//!
//! The reference is Hugging Face's `transformers` (Apache-2.0). Embeddings have features of their own, projected to those
//! of BERT's encoder.

use flambeau_nn::{Forward, LayerNorm, Linear, Module, observed};
use flambeau_tensor::{Result, Tensor};
use serde::{Deserialize, Serialize};

use super::blocks::{Activation, key_mask, layer_norm, linear};
use super::embeddings::{Embeddings, EmbeddingsOptions};
use super::encoder::{BertEncoder, EncoderOptions};
use super::heads::{ClassificationHead, Encoder, HeadConfig, decoder, vocabulary_bias};
use super::{Inputs, States};

/// The configuration, as in `config.json`; the defaults are those of ELECTRA-small.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ElectraConfig {
    /// How many tokens there are.
    pub vocab_size: usize,
    /// Features of embeddings.
    pub embedding_size: usize,
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

impl Default for ElectraConfig {
    fn default() -> Self {
        ElectraConfig {
            vocab_size: 30522,
            embedding_size: 128,
            hidden_size: 256,
            num_hidden_layers: 12,
            num_attention_heads: 4,
            intermediate_size: 1024,
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

impl HeadConfig for ElectraConfig {
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
pub struct ElectraModel {
    embeddings: Embeddings,
    /// Unless embeddings have the encoder's features.
    embeddings_project: Option<Linear>,
    encoder: BertEncoder,
}

impl ElectraModel {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &ElectraConfig) -> Result<Self> {
        let projects = config.embedding_size != config.hidden_size;
        let project = || {
            linear(
                config.embedding_size,
                config.hidden_size,
                true,
                config.initializer_range,
            )
        };
        let encoder = EncoderOptions {
            model: "ElectraModel",
            hidden: config.hidden_size,
            layers: config.num_hidden_layers,
            heads: config.num_attention_heads,
            intermediate: config.intermediate_size,
            activation: config.hidden_act,
            dropout: config.hidden_dropout_prob,
            attention_dropout: config.attention_probs_dropout_prob,
            eps: config.layer_norm_eps,
            std: config.initializer_range,
        };
        Ok(ElectraModel {
            embeddings: Embeddings::new(&EmbeddingsOptions {
                tokens: config.vocab_size,
                places: config.max_position_embeddings,
                segments: config.type_vocab_size,
                dim: config.embedding_size,
                padding: config.pad_token_id,
                dropout: config.hidden_dropout_prob,
                eps: config.layer_norm_eps,
                std: config.initializer_range,
            })?,
            embeddings_project: projects.then(project).transpose()?,
            encoder: BertEncoder::new(&encoder)?,
        })
    }

    /// Hidden states of all tokens.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<States> {
        Ok(States {
            last_hidden_state: self.encode(inputs)?,
            pooler_output: None,
        })
    }
}

impl Encoder for ElectraModel {
    type Config = ElectraConfig;

    fn encoder(config: &ElectraConfig) -> Result<Self> {
        ElectraModel::new(config)
    }

    fn encode(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        let mut x = self.embeddings.forward("ElectraModel", inputs)?;
        if let Some(project) = &self.embeddings_project {
            x = project.forward(&x)?;
        }
        self.encoder
            .forward(&x, key_mask(inputs.attention_mask)?.as_ref())
    }
}

/// A linear layer to the embedding's features, GELU and a norm.
#[derive(Debug, Module)]
struct GeneratorPredictions {
    #[module(rename = "LayerNorm")]
    layer_norm: LayerNorm,
    dense: Linear,
}

impl Forward for GeneratorPredictions {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.layer_norm.forward(&self.dense.forward(x)?.gelu()?)
    }
}

/// The generator: the encoder with scores of tokens for each place, by which hidden ones are found.
#[derive(Debug, Module)]
pub struct ElectraForMaskedLM {
    electra: ElectraModel,
    generator_predictions: GeneratorPredictions,
    generator_lm_head: Linear,
}

impl ElectraForMaskedLM {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &ElectraConfig) -> Result<Self> {
        let (features, std) = (config.embedding_size, config.initializer_range);
        let electra = ElectraModel::new(config)?;
        let words = electra.embeddings.words();
        let bias = vocabulary_bias(words)?;
        Ok(ElectraForMaskedLM {
            generator_predictions: GeneratorPredictions {
                layer_norm: layer_norm(features, config.layer_norm_eps)?,
                dense: linear(config.hidden_size, features, true, std)?,
            },
            generator_lm_head: decoder(words, config.tie_word_embeddings, Some(&bias), std)?,
            electra,
        })
    }

    /// Scores of tokens, `[batch, time, vocab_size]`.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        let x = self
            .generator_predictions
            .forward(&self.electra.encode(inputs)?)?;
        self.generator_lm_head.forward(&x)
    }
}

/// The encoder with scores of classes for the whole text.
#[derive(Debug, Module)]
pub struct ElectraForSequenceClassification {
    electra: ElectraModel,
    classifier: ClassificationHead,
}

impl ElectraForSequenceClassification {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &ElectraConfig) -> Result<Self> {
        Ok(ElectraForSequenceClassification {
            electra: ElectraModel::new(config)?,
            classifier: ClassificationHead::new(config, Activation::Gelu)?,
        })
    }

    /// Scores of classes, `[batch, labels]`.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        self.classifier.forward(&self.electra.encode(inputs)?)
    }
}

token_heads!(ElectraForTokenClassification, ElectraForQuestionAnswering, electra: ElectraModel, ElectraConfig);

text_model!(states ElectraModel, ElectraConfig, "electra");
text_model!(logits ElectraForMaskedLM, ElectraConfig, "electra");
text_model!(logits ElectraForSequenceClassification, ElectraConfig, "electra");
text_model!(logits ElectraForTokenClassification, ElectraConfig, "electra");
text_model!(spans ElectraForQuestionAnswering, ElectraConfig, "electra");
