//! DistilBERT: "DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter" (Sanh et al., 2019,
//! arXiv:1910.01108).
//!
//! The reference is Hugging Face's `transformers` (Apache-2.0). There are no segments: `token_type_ids` are refused.

use flambeau_nn::{Dropout, Embedding, Forward, LayerNorm, Linear, Mode, Module, observed};
use flambeau_tensor::{Result, Tensor, bail, no_grad};
use serde::{Deserialize, Serialize};

use super::blocks::{Activation, attend, check_heads, embedding, key_mask, layer_norm, linear, positions};
use super::encoder::layers;
use super::heads::{Encoder, HeadConfig, classifier, decoder, vocabulary_bias};
use super::{Inputs, States};

/// What is added to the variances of all norms.
const EPS: f64 = 1e-12;

/// The configuration, as in `config.json`; the defaults are those of `transformers`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct DistilBertConfig {
    /// How many tokens there are.
    pub vocab_size: usize,
    /// How long a text may be.
    pub max_position_embeddings: usize,
    /// Whether the vectors of places begin as sines and cosines.
    pub sinusoidal_pos_embds: bool,
    /// How many layers there are.
    pub n_layers: usize,
    /// How many attentions a layer has side by side.
    pub n_heads: usize,
    /// Features of a token.
    pub dim: usize,
    /// Features within a layer's perceptron.
    pub hidden_dim: usize,
    /// Dropout of embeddings and of perceptrons.
    pub dropout: f64,
    /// Dropout of attention weights.
    pub attention_dropout: f64,
    /// The perceptrons' activation.
    pub activation: Activation,
    /// Standard deviation of initial weights.
    pub initializer_range: f64,
    /// Dropout before the scores of spans.
    pub qa_dropout: f64,
    /// Dropout before a classifier of texts.
    pub seq_classif_dropout: f64,
    /// The token whose vector stays zero.
    pub pad_token_id: Option<usize>,
    /// Whether the head for hidden tokens has the embedding's vectors.
    pub tie_word_embeddings: bool,
    /// How many classes a classifier has.
    pub num_labels: usize,
}

impl Default for DistilBertConfig {
    fn default() -> Self {
        DistilBertConfig {
            vocab_size: 30522,
            max_position_embeddings: 512,
            sinusoidal_pos_embds: false,
            n_layers: 6,
            n_heads: 12,
            dim: 768,
            hidden_dim: 4 * 768,
            dropout: 0.1,
            attention_dropout: 0.1,
            activation: Activation::Gelu,
            initializer_range: 0.02,
            qa_dropout: 0.1,
            seq_classif_dropout: 0.2,
            pad_token_id: Some(0),
            tie_word_embeddings: true,
            num_labels: 2,
        }
    }
}

impl HeadConfig for DistilBertConfig {
    fn hidden(&self) -> usize {
        self.dim
    }

    fn labels(&self) -> usize {
        self.num_labels
    }

    fn std(&self) -> f64 {
        self.initializer_range
    }

    fn classifier_dropout(&self) -> f64 {
        self.dropout
    }

    fn span_dropout(&self) -> f64 {
        self.qa_dropout
    }
}

/// The sum of a token's and its place's vectors, normalised.
#[derive(Debug, Module)]
struct Embeddings {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    #[module(rename = "LayerNorm")]
    layer_norm: LayerNorm,
    dropout: Dropout,
}

impl Embeddings {
    fn new(config: &DistilBertConfig) -> Result<Self> {
        let (places, dim, std) = (
            config.max_position_embeddings,
            config.dim,
            config.initializer_range,
        );
        let position_embeddings = embedding(places, dim, None, std)?;
        if config.sinusoidal_pos_embds {
            let value = |i: usize| {
                let (place, feature) = (i / dim, i % dim);
                let angle = place as f64 / 10000f64.powf(2.0 * (feature / 2) as f64 / dim as f64);
                (if feature % 2 == 0 {
                    angle.sin()
                } else {
                    angle.cos()
                }) as f32
            };
            let values = Tensor::from_vec((0..places * dim).map(value).collect(), (places, dim))?;
            no_grad(|| position_embeddings.weight.copy_(&values).map(|_| ()))?;
        }
        Ok(Embeddings {
            word_embeddings: embedding(config.vocab_size, dim, config.pad_token_id, std)?,
            position_embeddings,
            layer_norm: layer_norm(dim, EPS)?,
            dropout: Dropout::new(config.dropout)?,
        })
    }

    fn forward(&self, ids: &Tensor, positions: &Tensor) -> Result<Tensor> {
        let x = self
            .word_embeddings
            .forward(ids)?
            .add(&self.position_embeddings.forward(positions)?)?;
        self.dropout.forward(&self.layer_norm.forward(&x)?)
    }
}

#[derive(Debug, Module)]
struct SelfAttention {
    q_lin: Linear,
    k_lin: Linear,
    v_lin: Linear,
    out_lin: Linear,
    mode: Mode,
    heads: usize,
    dropout: f64,
}

impl SelfAttention {
    #[observed]
    fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let [query, key, value] = [
            self.q_lin.forward(x)?,
            self.k_lin.forward(x)?,
            self.v_lin.forward(x)?,
        ];
        let dropout = if self.mode.is_training() {
            self.dropout
        } else {
            0.0
        };
        let attended = attend([&query, &key, &value], self.heads, mask, dropout)?;
        self.out_lin.forward(&attended)
    }
}

/// A perceptron.
#[derive(Debug, Module)]
#[allow(clippy::upper_case_acronyms)]
struct FFN {
    dropout: Dropout,
    lin1: Linear,
    lin2: Linear,
    #[module(skip)]
    activation: Activation,
}

impl Forward for FFN {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.activation.apply(&self.lin1.forward(x)?)?;
        self.dropout.forward(&self.lin2.forward(&x)?)
    }
}

#[derive(Debug, Module)]
struct TransformerBlock {
    attention: SelfAttention,
    sa_layer_norm: LayerNorm,
    ffn: FFN,
    output_layer_norm: LayerNorm,
}

impl TransformerBlock {
    fn new(config: &DistilBertConfig) -> Result<Self> {
        let (dim, std) = (config.dim, config.initializer_range);
        let projection = || linear(dim, dim, true, std);
        Ok(TransformerBlock {
            attention: SelfAttention {
                q_lin: projection()?,
                k_lin: projection()?,
                v_lin: projection()?,
                out_lin: projection()?,
                mode: Mode::default(),
                heads: config.n_heads,
                dropout: config.attention_dropout,
            },
            sa_layer_norm: layer_norm(dim, EPS)?,
            ffn: FFN {
                dropout: Dropout::new(config.dropout)?,
                lin1: linear(dim, config.hidden_dim, true, std)?,
                lin2: linear(config.hidden_dim, dim, true, std)?,
                activation: config.activation,
            },
            output_layer_norm: layer_norm(dim, EPS)?,
        })
    }

    #[observed]
    fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let x = self
            .sa_layer_norm
            .forward(&self.attention.forward(x, mask)?.add(x)?)?;
        self.output_layer_norm.forward(&self.ffn.forward(&x)?.add(&x)?)
    }
}

#[derive(Debug, Module)]
struct Transformer {
    layer: Vec<TransformerBlock>,
}

/// The encoder: hidden states of all tokens.
#[derive(Debug, Module)]
pub struct DistilBertModel {
    embeddings: Embeddings,
    transformer: Transformer,
    max_position_embeddings: usize,
}

impl DistilBertModel {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &DistilBertConfig) -> Result<Self> {
        check_heads("DistilBertModel", config.dim, config.n_heads)?;
        let layer = layers("DistilBertModel", config.n_layers, |_| {
            TransformerBlock::new(config)
        })?;
        Ok(DistilBertModel {
            embeddings: Embeddings::new(config)?,
            transformer: Transformer { layer },
            max_position_embeddings: config.max_position_embeddings,
        })
    }

    /// Hidden states of all tokens.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model; `Unsupported` for segments.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<States> {
        Ok(States {
            last_hidden_state: self.encode(inputs)?,
            pooler_output: None,
        })
    }
}

impl Encoder for DistilBertModel {
    type Config = DistilBertConfig;

    fn encoder(config: &DistilBertConfig) -> Result<Self> {
        DistilBertModel::new(config)
    }

    fn encode(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        let (_, time) = inputs.check("DistilBertModel", 0, self.max_position_embeddings)?;
        if inputs.token_type_ids.is_some() {
            bail!(
                Unsupported,
                "DistilBertModel: there are no segments, so no token_type_ids"
            );
        }
        let positions = inputs
            .position_ids
            .cloned()
            .map_or_else(|| positions(0, time), Ok)?;
        let x = self.embeddings.forward(inputs.input_ids, &positions)?;
        let mask = key_mask(inputs.attention_mask)?;
        let mut layers = self.transformer.layer.iter();
        layers.try_fold(x, |x, layer| layer.forward(&x, mask.as_ref()))
    }
}

/// The encoder with scores of tokens for each place, by which hidden ones are found.
#[derive(Debug, Module)]
pub struct DistilBertForMaskedLM {
    distilbert: DistilBertModel,
    vocab_transform: Linear,
    vocab_layer_norm: LayerNorm,
    vocab_projector: Linear,
    #[module(skip)]
    activation: Activation,
}

impl DistilBertForMaskedLM {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &DistilBertConfig) -> Result<Self> {
        let (dim, std) = (config.dim, config.initializer_range);
        let distilbert = DistilBertModel::new(config)?;
        let words = &distilbert.embeddings.word_embeddings.weight;
        let bias = vocabulary_bias(words)?;
        Ok(DistilBertForMaskedLM {
            vocab_transform: linear(dim, dim, true, std)?,
            vocab_layer_norm: layer_norm(dim, EPS)?,
            vocab_projector: decoder(words, config.tie_word_embeddings, Some(&bias), std)?,
            activation: config.activation,
            distilbert,
        })
    }

    /// Scores of tokens, `[batch, time, vocab_size]`.
    ///
    /// # Errors
    /// As [`DistilBertModel::forward`].
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        let x = self.vocab_transform.forward(&self.distilbert.encode(inputs)?)?;
        let x = self.vocab_layer_norm.forward(&self.activation.apply(&x)?)?;
        self.vocab_projector.forward(&x)
    }
}

/// The encoder with scores of classes for the whole text.
#[derive(Debug, Module)]
pub struct DistilBertForSequenceClassification {
    distilbert: DistilBertModel,
    pre_classifier: Linear,
    classifier: Linear,
    dropout: Dropout,
}

impl DistilBertForSequenceClassification {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &DistilBertConfig) -> Result<Self> {
        Ok(DistilBertForSequenceClassification {
            distilbert: DistilBertModel::new(config)?,
            pre_classifier: linear(config.dim, config.dim, true, config.initializer_range)?,
            classifier: classifier(config)?,
            dropout: Dropout::new(config.seq_classif_dropout)?,
        })
    }

    /// Scores of classes, `[batch, labels]`.
    ///
    /// # Errors
    /// As [`DistilBertModel::forward`].
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        let first = self.distilbert.encode(inputs)?.select(1, 0)?;
        let x = self
            .dropout
            .forward(&self.pre_classifier.forward(&first)?.relu()?)?;
        self.classifier.forward(&x)
    }
}

token_heads!(
    DistilBertForTokenClassification,
    DistilBertForQuestionAnswering,
    distilbert: DistilBertModel,
    DistilBertConfig
);

text_model!(states DistilBertModel, DistilBertConfig, "distilbert");
text_model!(logits DistilBertForMaskedLM, DistilBertConfig, "distilbert");
text_model!(logits DistilBertForSequenceClassification, DistilBertConfig, "distilbert");
text_model!(logits DistilBertForTokenClassification, DistilBertConfig, "distilbert");
text_model!(spans DistilBertForQuestionAnswering, DistilBertConfig, "distilbert");
