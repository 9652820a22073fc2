//! ALBERT: "ALBERT: A Lite BERT for Self-supervised Learning of Language Representations" (Lan et al., 2019,
//! arXiv:1909.11942).
//!
//! The reference is Hugging Face's `transformers` (Apache-2.0). Layers of a group share their weights.

use flambeau_nn::{Dropout, Forward, LayerNorm, Linear, Mode, Module, Parameter, observed};
use flambeau_tensor::{Result, Tensor, ensure};
use serde::{Deserialize, Serialize};

use super::blocks::{Activation, attend, check_heads, key_mask, layer_norm, linear};
use super::embeddings::{Embeddings, EmbeddingsOptions};
use super::encoder::layers;
use super::heads::{Encoder, HeadConfig, classifier, decoder, vocabulary_bias};
use super::{Inputs, States};

/// The configuration, as in `config.json`; the defaults are those of ALBERT-xxlarge.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct AlbertConfig {
    /// How many tokens there are.
    pub vocab_size: usize,
    /// Features of embeddings.
    pub embedding_size: usize,
    /// Features of a token.
    pub hidden_size: usize,
    /// How many layers there are.
    pub num_hidden_layers: usize,
    /// How many groups the layers make; the layers of one share their weights.
    pub num_hidden_groups: usize,
    /// How many attentions a layer has side by side.
    pub num_attention_heads: usize,
    /// Features within a layer's perceptron.
    pub intermediate_size: usize,
    /// How many layers stand for one.
    pub inner_group_num: usize,
    /// The perceptrons' activation.
    pub hidden_act: Activation,
    /// Dropout of embeddings and of attention's output.
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
    /// Dropout before a classifier.
    pub classifier_dropout_prob: f64,
    /// The token whose vector stays zero.
    pub pad_token_id: Option<usize>,
    /// Whether the head for hidden tokens has the embedding's vectors.
    pub tie_word_embeddings: bool,
    /// How many classes a classifier has.
    pub num_labels: usize,
}

impl Default for AlbertConfig {
    fn default() -> Self {
        AlbertConfig {
            vocab_size: 30000,
            embedding_size: 128,
            hidden_size: 4096,
            num_hidden_layers: 12,
            num_hidden_groups: 1,
            num_attention_heads: 64,
            intermediate_size: 16384,
            inner_group_num: 1,
            hidden_act: Activation::GeluNew,
            hidden_dropout_prob: 0.0,
            attention_probs_dropout_prob: 0.0,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            initializer_range: 0.02,
            layer_norm_eps: 1e-12,
            classifier_dropout_prob: 0.1,
            pad_token_id: Some(0),
            tie_word_embeddings: true,
            num_labels: 2,
        }
    }
}

impl HeadConfig for AlbertConfig {
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
        self.classifier_dropout_prob
    }
}

#[derive(Debug, Module)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    dense: Linear,
    #[module(rename = "LayerNorm")]
    layer_norm: LayerNorm,
    output_dropout: Dropout,
    mode: Mode,
    heads: usize,
    dropout: f64,
}

impl Attention {
    #[observed]
    fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let [query, key, value] = [
            self.query.forward(x)?,
            self.key.forward(x)?,
            self.value.forward(x)?,
        ];
        let dropout = if self.mode.is_training() {
            self.dropout
        } else {
            0.0
        };
        let attended = attend([&query, &key, &value], self.heads, mask, dropout)?;
        let attended = self.output_dropout.forward(&self.dense.forward(&attended)?)?;
        self.layer_norm.forward(&x.add(&attended)?)
    }
}

#[derive(Debug, Module)]
struct Layer {
    full_layer_layer_norm: LayerNorm,
    attention: Attention,
    ffn: Linear,
    ffn_output: Linear,
    #[module(skip)]
    activation: Activation,
}

impl Layer {
    fn new(config: &AlbertConfig) -> Result<Self> {
        let (hidden, std) = (config.hidden_size, config.initializer_range);
        let projection = || linear(hidden, hidden, true, std);
        Ok(Layer {
            full_layer_layer_norm: layer_norm(hidden, config.layer_norm_eps)?,
            attention: Attention {
                query: projection()?,
                key: projection()?,
                value: projection()?,
                dense: projection()?,
                layer_norm: layer_norm(hidden, config.layer_norm_eps)?,
                output_dropout: Dropout::new(config.hidden_dropout_prob)?,
                mode: Mode::default(),
                heads: config.num_attention_heads,
                dropout: config.attention_probs_dropout_prob,
            },
            ffn: linear(hidden, config.intermediate_size, true, std)?,
            ffn_output: linear(config.intermediate_size, hidden, true, std)?,
            activation: config.hidden_act,
        })
    }

    #[observed]
    fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let x = self.attention.forward(x, mask)?;
        let inner = self.activation.apply(&self.ffn.forward(&x)?)?;
        self.full_layer_layer_norm
            .forward(&self.ffn_output.forward(&inner)?.add(&x)?)
    }
}

#[derive(Debug, Module)]
struct LayerGroup {
    albert_layers: Vec<Layer>,
}

#[derive(Debug, Module)]
struct Transformer {
    embedding_hidden_mapping_in: Linear,
    albert_layer_groups: Vec<LayerGroup>,
    layers: usize,
}

impl Transformer {
    fn new(config: &AlbertConfig) -> Result<Self> {
        let model = "AlbertModel";
        let (groups, count) = (config.num_hidden_groups, config.num_hidden_layers);
        ensure!(
            (1..=count.max(1)).contains(&groups),
            Value,
            "{model}: expected from one group to a group for each of {count} layers, got {groups}"
        );
        let group = |_| {
            Ok(LayerGroup {
                albert_layers: layers(model, config.inner_group_num, |_| Layer::new(config))?,
            })
        };
        Ok(Transformer {
            embedding_hidden_mapping_in: linear(
                config.embedding_size,
                config.hidden_size,
                true,
                config.initializer_range,
            )?,
            albert_layer_groups: layers(model, groups, group)?,
            layers: count,
        })
    }

    #[observed]
    fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let mut x = self.embedding_hidden_mapping_in.forward(x)?;
        for i in 0..self.layers {
            let group = i * self.albert_layer_groups.len() / self.layers;
            for layer in &self.albert_layer_groups[group].albert_layers {
                x = layer.forward(&x, mask)?;
            }
        }
        Ok(x)
    }
}

/// The encoder: hidden states of all tokens.
#[derive(Debug, Module)]
pub struct AlbertModel {
    embeddings: Embeddings,
    encoder: Transformer,
    pooler: Option<Linear>,
}

impl AlbertModel {
    /// A model with initial weights and a pooler.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &AlbertConfig) -> Result<Self> {
        let (hidden, std) = (config.hidden_size, config.initializer_range);
        Ok(AlbertModel {
            pooler: Some(linear(hidden, hidden, true, std)?),
            ..AlbertModel::encoder(config)?
        })
    }

    /// Hidden states of all tokens, and what the pooler makes of the first one.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<States> {
        let last_hidden_state = self.encode(inputs)?;
        let pool = |pooler: &Linear| pooler.forward(&last_hidden_state.select(1, 0)?)?.tanh();
        Ok(States {
            pooler_output: self.pooler.as_ref().map(pool).transpose()?,
            last_hidden_state,
        })
    }
}

impl Encoder for AlbertModel {
    type Config = AlbertConfig;

    fn encoder(config: &AlbertConfig) -> Result<Self> {
        check_heads("AlbertModel", config.hidden_size, config.num_attention_heads)?;
        Ok(AlbertModel {
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
            encoder: Transformer::new(config)?,
            pooler: None,
        })
    }

    fn encode(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        let x = self.embeddings.forward("AlbertModel", inputs)?;
        self.encoder
            .forward(&x, key_mask(inputs.attention_mask)?.as_ref())
    }
}

/// A linear layer to the embedding's features, an activation, a norm and scores of tokens.
#[derive(Debug, Module)]
struct MLMHead {
    bias: Parameter,
    #[module(rename = "LayerNorm")]
    layer_norm: LayerNorm,
    dense: Linear,
    decoder: Linear,
    #[module(skip)]
    activation: Activation,
}

impl Forward for MLMHead {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.activation.apply(&self.dense.forward(x)?)?;
        self.decoder.forward(&self.layer_norm.forward(&x)?)
    }
}

/// The encoder with scores of tokens for each place, by which hidden ones are found.
#[derive(Debug, Module)]
pub struct AlbertForMaskedLM {
    albert: AlbertModel,
    predictions: MLMHead,
}

impl AlbertForMaskedLM {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &AlbertConfig) -> Result<Self> {
        let std = config.initializer_range;
        let albert = AlbertModel::encoder(config)?;
        let words = albert.embeddings.words();
        let bias = vocabulary_bias(words)?;
        let predictions = MLMHead {
            layer_norm: layer_norm(config.embedding_size, config.layer_norm_eps)?,
            dense: linear(config.hidden_size, config.embedding_size, true, std)?,
            decoder: decoder(words, config.tie_word_embeddings, Some(&bias), std)?,
            activation: config.hidden_act,
            bias,
        };
        Ok(AlbertForMaskedLM { albert, predictions })
    }

    /// Scores of tokens, `[batch, time, vocab_size]`.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        self.predictions.forward(&self.albert.encode(inputs)?)
    }
}

/// The encoder with scores of classes for the whole text.
#[derive(Debug, Module)]
pub struct AlbertForSequenceClassification {
    albert: AlbertModel,
    dropout: Dropout,
    classifier: Linear,
}

impl AlbertForSequenceClassification {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &AlbertConfig) -> Result<Self> {
        Ok(AlbertForSequenceClassification {
            albert: AlbertModel::new(config)?,
            dropout: Dropout::new(config.classifier_dropout_prob)?,
            classifier: classifier(config)?,
        })
    }

    /// Scores of classes, `[batch, labels]`.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        let states = self.albert.forward(inputs)?;
        let pooled = states.pooler_output.unwrap_or(states.last_hidden_state);
        self.classifier.forward(&self.dropout.forward(&pooled)?)
    }
}

token_heads!(AlbertForTokenClassification, AlbertForQuestionAnswering, albert: AlbertModel, AlbertConfig);

text_model!(states AlbertModel, AlbertConfig, "albert");
text_model!(logits AlbertForMaskedLM, AlbertConfig, "albert");
text_model!(logits AlbertForSequenceClassification, AlbertConfig, "albert");
text_model!(logits AlbertForTokenClassification, AlbertConfig, "albert");
text_model!(spans AlbertForQuestionAnswering, AlbertConfig, "albert");
