//! DeBERTa v2 and v3: "DeBERTa: Decoding-enhanced BERT with Disentangled Attention" (He et al., 2020, arXiv:2006.03654).
//!
//! The reference is Hugging Face's `transformers` (Apache-2.0). Attention has, besides the products of contents, those of a
//! content and the vector of a distance; distances fall into buckets that widen.

mod attention;
mod conv;

use flambeau_nn::{Dropout, Embedding, Forward, LayerNorm, Linear, Module, Parameter, observed};
use flambeau_tensor::{Result, Tensor, bail, ensure};
use serde::{Deserialize, Deserializer, Serialize};

use super::blocks::{Activation, check_heads, embedding, first_segment, layer_norm, linear, positions};
use super::encoder::{EncoderOptions, Intermediate, Residual, layers};
use super::heads::{Encoder, HeadConfig, MaskedLMHead, MaskedLMOptions, classifier, vocabulary_bias};
use super::{Inputs, States};
use attention::{DisentangledSelfAttention, Distances, Relative, distances};
use conv::ConvLayer;

/// The configuration, as in `config.json`; the defaults are those of DeBERTa-v2-xlarge.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct DebertaV2Config {
    /// How many tokens there are.
    pub vocab_size: usize,
    /// Features of a token.
    pub hidden_size: usize,
    /// Features of embeddings; `hidden_size` unless given.
    pub embedding_size: Option<usize>,
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
    /// How long a text may be if places have vectors.
    pub max_position_embeddings: usize,
    /// How many segments there are; they have no vectors if 0.
    pub type_vocab_size: usize,
    /// Standard deviation of initial weights.
    pub initializer_range: f64,
    /// Added to the variances of norms.
    pub layer_norm_eps: f64,
    /// Whether attention knows distances.
    pub relative_attention: bool,
    /// The largest distance; `max_position_embeddings` if below 1.
    pub max_relative_positions: i64,
    /// How many buckets of distances there are on each side; every distance is its own if below 1.
    pub position_buckets: i64,
    /// `layer_norm` if the vectors of distances are normalised, else `none`.
    pub norm_rel_ebd: String,
    /// Whether distances are projected as contents are.
    pub share_att_key: bool,
    /// Which products with distances there are: `c2p` (content to place) and `p2c`, as a list or joined by `|`.
    #[serde(deserialize_with = "names")]
    pub pos_att_type: Vec<String>,
    /// Whether places have vectors that are added to those of tokens.
    pub position_biased_input: bool,
    /// Width of the convolution over the first layer's input; there is none if 0.
    pub conv_kernel_size: usize,
    /// Groups of that convolution.
    pub conv_groups: usize,
    /// The convolution's activation.
    pub conv_act: Activation,
    /// The token whose vector stays zero.
    pub pad_token_id: usize,
    /// Dropout before the pooler.
    pub pooler_dropout: f64,
    /// The pooler's activation.
    pub pooler_hidden_act: Activation,
    /// Dropout before a classifier of texts; `hidden_dropout_prob` unless given.
    pub cls_dropout: Option<f64>,
    /// Whether the head for hidden tokens is BERT's.
    pub legacy: bool,
    /// Whether the head for hidden tokens has the embedding's vectors.
    pub tie_word_embeddings: bool,
    /// How many classes a classifier has.
    pub num_labels: usize,
}

/// A list of names, or names joined by `|`.
fn names<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        List(Vec<String>),
        Joined(String),
    }
    Ok(match Option::<Names>::deserialize(deserializer)? {
        Some(Names::List(names)) => names,
        Some(Names::Joined(names)) => names.split('|').map(|name| name.trim().to_lowercase()).collect(),
        None => Vec::new(),
    })
}

impl Default for DebertaV2Config {
    fn default() -> Self {
        DebertaV2Config {
            vocab_size: 128100,
            hidden_size: 1536,
            embedding_size: None,
            num_hidden_layers: 24,
            num_attention_heads: 24,
            intermediate_size: 6144,
            hidden_act: Activation::Gelu,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            max_position_embeddings: 512,
            type_vocab_size: 0,
            initializer_range: 0.02,
            layer_norm_eps: 1e-7,
            relative_attention: false,
            max_relative_positions: -1,
            position_buckets: -1,
            norm_rel_ebd: "none".to_string(),
            share_att_key: false,
            pos_att_type: Vec::new(),
            position_biased_input: true,
            conv_kernel_size: 0,
            conv_groups: 1,
            conv_act: Activation::Tanh,
            pad_token_id: 0,
            pooler_dropout: 0.0,
            pooler_hidden_act: Activation::Gelu,
            cls_dropout: None,
            legacy: true,
            tie_word_embeddings: true,
            num_labels: 2,
        }
    }
}

impl DebertaV2Config {
    fn encoder(&self) -> EncoderOptions {
        EncoderOptions {
            model: "DebertaV2Model",
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

    fn largest_distance(&self) -> usize {
        match self.max_relative_positions {
            1.. => self.max_relative_positions as usize,
            _ => self.max_position_embeddings,
        }
    }

    /// How many vectors of distances there are on each side.
    fn span(&self) -> usize {
        match self.position_buckets {
            1.. => self.position_buckets as usize,
            _ => self.largest_distance(),
        }
    }

    fn has(&self, product: &str) -> bool {
        self.relative_attention && self.pos_att_type.iter().any(|name| name == product)
    }
}

impl HeadConfig for DebertaV2Config {
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
        self.hidden_dropout_prob
    }
}

/// The sum of a token's vectors, normalised; padding is zero.
#[derive(Debug, Module)]
struct Embeddings {
    word_embeddings: Embedding,
    position_embeddings: Option<Embedding>,
    token_type_embeddings: Option<Embedding>,
    embed_proj: Option<Linear>,
    #[module(rename = "LayerNorm")]
    layer_norm: LayerNorm,
    dropout: Dropout,
}

impl Embeddings {
    fn new(config: &DebertaV2Config) -> Result<Self> {
        let std = config.initializer_range;
        let features = config.embedding_size.unwrap_or(config.hidden_size);
        let table = |rows, padding| embedding(rows, features, padding, std);
        let places = || table(config.max_position_embeddings, None);
        let segments = || table(config.type_vocab_size, None);
        let project = || linear(features, config.hidden_size, false, std);
        Ok(Embeddings {
            word_embeddings: table(config.vocab_size, Some(config.pad_token_id))?,
            position_embeddings: config.position_biased_input.then(places).transpose()?,
            token_type_embeddings: (config.type_vocab_size > 0).then(segments).transpose()?,
            embed_proj: (features != config.hidden_size).then(project).transpose()?,
            layer_norm: layer_norm(config.hidden_size, config.layer_norm_eps)?,
            dropout: Dropout::new(config.hidden_dropout_prob)?,
        })
    }

    /// `mask` is `[batch, time, 1]`, 1 for tokens.
    fn forward(&self, inputs: &Inputs<'_>, mask: Option<&Tensor>) -> Result<Tensor> {
        let ids = inputs.input_ids;
        let longest = self
            .position_embeddings
            .as_ref()
            .map_or(usize::MAX, |table| table.weight.shape()[0]);
        let (_, time) = inputs.check("DebertaV2Model", 0, longest)?;
        let mut x = self.word_embeddings.forward(ids)?;
        if let Some(table) = &self.position_embeddings {
            let places = inputs
                .position_ids
                .map_or_else(|| positions(0, time), |given| Ok(given.clone()))?;
            x = x.add(&table.forward(&places)?)?;
        }
        if let Some(table) = &self.token_type_embeddings {
            let segments = inputs
                .token_type_ids
                .map_or_else(|| first_segment(ids), |given| Ok(given.clone()))?;
            x = x.add(&table.forward(&segments)?)?;
        }
        if let Some(project) = &self.embed_proj {
            x = project.forward(&x)?;
        }
        x = self.layer_norm.forward(&x)?;
        if let Some(mask) = mask {
            x = x.mul(&mask.to_dtype(x.dtype())?)?;
        }
        self.dropout.forward(&x)
    }
}

#[derive(Debug, Module)]
struct Attention {
    #[module(rename = "self")]
    attention: DisentangledSelfAttention,
    output: Residual,
}

#[derive(Debug, Module)]
struct Layer {
    attention: Attention,
    intermediate: Intermediate,
    output: Residual,
}

impl Layer {
    fn new(config: &DebertaV2Config) -> Result<Self> {
        let options = config.encoder();
        Ok(Layer {
            attention: Attention {
                attention: DisentangledSelfAttention::new(config)?,
                output: Residual::new(config.hidden_size, &options)?,
            },
            intermediate: Intermediate::new(&options)?,
            output: Residual::new(config.intermediate_size, &options)?,
        })
    }

    fn forward(&self, x: &Tensor, mask: Option<&Tensor>, relative: Option<&Relative<'_>>) -> Result<Tensor> {
        let attended = self.attention.attention.forward(x, mask, relative)?;
        let x = self.attention.output.forward(&attended, x)?;
        self.output.forward(&self.intermediate.forward(&x)?, &x)
    }
}

#[derive(Debug, Module)]
struct DebertaEncoder {
    layer: Vec<Layer>,
    rel_embeddings: Option<Embedding>,
    #[module(rename = "LayerNorm")]
    layer_norm: Option<LayerNorm>,
    conv: Option<ConvLayer>,
    #[module(skip)]
    distances: Distances,
}

impl DebertaEncoder {
    fn new(config: &DebertaV2Config) -> Result<Self> {
        let hidden = config.hidden_size;
        let normalised = config
            .norm_rel_ebd
            .split('|')
            .any(|name| name.trim() == "layer_norm");
        let vectors = || embedding(2 * config.span(), hidden, None, config.initializer_range);
        let norm = || layer_norm(hidden, config.layer_norm_eps);
        let conv = || ConvLayer::new(config);
        Ok(DebertaEncoder {
            layer: layers("DebertaV2Model", config.num_hidden_layers, |_| Layer::new(config))?,
            rel_embeddings: config.relative_attention.then(vectors).transpose()?,
            layer_norm: normalised.then(norm).transpose()?,
            conv: (config.conv_kernel_size > 0).then(conv).transpose()?,
            distances: Distances {
                span: config.span(),
                buckets: (config.position_buckets > 0).then_some(config.position_buckets),
                largest: config.largest_distance() as i64,
            },
        })
    }

    /// `mask` is `[batch, time]`, true for tokens.
    fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let rows = distances(&self.distances, x.shape()[1])?;
        let vectors = match (&self.rel_embeddings, &self.layer_norm) {
            (Some(table), Some(norm)) => Some(norm.forward(&table.weight)?),
            (Some(table), None) => Some(table.weight.tensor().clone()),
            (None, _) => None,
        };
        let relative = vectors.as_ref().map(|vectors| Relative { vectors, rows: &rows });
        let (pairs, column) = match mask {
            Some(mask) => {
                let keys = mask.unsqueeze(1)?.unsqueeze(1)?;
                let column = mask.unsqueeze(2)?;
                (Some(keys.logical_and(&column.unsqueeze(1)?)?), Some(column))
            }
            None => (None, None),
        };
        let mut states = x.clone();
        for (i, layer) in self.layer.iter().enumerate() {
            states = layer.forward(&states, pairs.as_ref(), relative.as_ref())?;
            if let (0, Some(conv)) = (i, &self.conv) {
                states = conv.forward(x, &states, column.as_ref())?;
            }
        }
        Ok(states)
    }
}

/// The encoder: hidden states of all tokens.
#[derive(Debug, Module)]
pub struct DebertaV2Model {
    embeddings: Embeddings,
    encoder: DebertaEncoder,
}

impl DebertaV2Model {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &DebertaV2Config) -> Result<Self> {
        let model = "DebertaV2Model";
        check_heads(model, config.hidden_size, config.num_attention_heads)?;
        if let Some(other) = config
            .pos_att_type
            .iter()
            .find(|name| *name != "c2p" && *name != "p2c")
        {
            bail!(
                Value,
                "{model}: expected pos_att_type of c2p and p2c, got {other}"
            );
        }
        let (buckets, largest) = (config.position_buckets, config.largest_distance() as i64);
        ensure!(
            config.span() > 0 && (buckets < 1 || (buckets > 1 && largest > buckets / 2 + 1)),
            Value,
            "{model}: expected at least two buckets of distances, half of which are fewer than distances, got {buckets} and {largest}"
        );
        Ok(DebertaV2Model {
            embeddings: Embeddings::new(config)?,
            encoder: DebertaEncoder::new(config)?,
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

impl Encoder for DebertaV2Model {
    type Config = DebertaV2Config;

    fn encoder(config: &DebertaV2Config) -> Result<Self> {
        DebertaV2Model::new(config)
    }

    fn encode(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        let mask = inputs.attention_mask.map(|mask| mask.ne(0)).transpose()?;
        let column = mask.as_ref().map(|mask| mask.unsqueeze(-1)).transpose()?;
        let x = self.embeddings.forward(inputs, column.as_ref())?;
        self.encoder.forward(&x, mask.as_ref())
    }
}

/// The head of DeBERTa v3 for hidden tokens, which uses the embedding's vectors.
#[derive(Debug, Module)]
struct PredictionHead {
    bias: Parameter,
    dense: Linear,
    #[module(rename = "LayerNorm")]
    layer_norm: LayerNorm,
    #[module(skip)]
    activation: Activation,
}

#[derive(Debug, Module)]
struct OnlyPredictions {
    lm_head: PredictionHead,
}

impl OnlyPredictions {
    #[observed]
    fn forward(&self, x: &Tensor, words: &Tensor) -> Result<Tensor> {
        let head = &self.lm_head;
        let x = head.activation.apply(&head.dense.forward(x)?)?;
        let x = head.layer_norm.forward(&x)?;
        x.matmul(&words.t()?)?.add(head.bias.tensor())
    }
}

/// The encoder with scores of tokens for each place, by which hidden ones are found.
#[derive(Debug, Module)]
pub struct DebertaV2ForMaskedLM {
    deberta: DebertaV2Model,
    cls: Option<MaskedLMHead>,
    lm_predictions: Option<OnlyPredictions>,
}

impl DebertaV2ForMaskedLM {
    /// A model with initial weights; [`DebertaV2Config::legacy`] says with which head.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &DebertaV2Config) -> Result<Self> {
        let (hidden, std) = (config.hidden_size, config.initializer_range);
        let deberta = DebertaV2Model::new(config)?;
        let words = &deberta.embeddings.word_embeddings.weight;
        let legacy = || {
            MaskedLMHead::new(&MaskedLMOptions {
                hidden,
                activation: config.hidden_act,
                eps: config.layer_norm_eps,
                std,
                embeddings: words,
                tied: config.tie_word_embeddings,
            })
        };
        let current = || -> Result<OnlyPredictions> {
            Ok(OnlyPredictions {
                lm_head: PredictionHead {
                    bias: vocabulary_bias(words)?,
                    dense: linear(hidden, hidden, true, std)?,
                    layer_norm: layer_norm(hidden, config.layer_norm_eps)?,
                    activation: config.hidden_act,
                },
            })
        };
        Ok(DebertaV2ForMaskedLM {
            cls: config.legacy.then(legacy).transpose()?,
            lm_predictions: (!config.legacy).then(current).transpose()?,
            deberta,
        })
    }

    /// Scores of tokens, `[batch, time, vocab_size]`.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        let states = self.deberta.encode(inputs)?;
        match (&self.cls, &self.lm_predictions) {
            (Some(head), _) => head.forward(&states),
            (None, Some(head)) => head.forward(&states, &self.deberta.embeddings.word_embeddings.weight),
            (None, None) => bail!(Value, "DebertaV2ForMaskedLM: the head was taken away"),
        }
    }
}

#[derive(Debug, Module)]
struct ContextPooler {
    dense: Linear,
    dropout: Dropout,
    #[module(skip)]
    activation: Activation,
}

impl Forward for ContextPooler {
    #[observed]
    fn forward(&self, states: &Tensor) -> Result<Tensor> {
        let first = self.dropout.forward(&states.select(1, 0)?)?;
        self.activation.apply(&self.dense.forward(&first)?)
    }
}

/// The encoder with scores of classes for the whole text.
#[derive(Debug, Module)]
pub struct DebertaV2ForSequenceClassification {
    deberta: DebertaV2Model,
    pooler: ContextPooler,
    classifier: Linear,
    dropout: Dropout,
}

impl DebertaV2ForSequenceClassification {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    pub fn new(config: &DebertaV2Config) -> Result<Self> {
        let (hidden, std) = (config.hidden_size, config.initializer_range);
        Ok(DebertaV2ForSequenceClassification {
            deberta: DebertaV2Model::new(config)?,
            pooler: ContextPooler {
                dense: linear(hidden, hidden, true, std)?,
                dropout: Dropout::new(config.pooler_dropout)?,
                activation: config.pooler_hidden_act,
            },
            classifier: classifier(config)?,
            dropout: Dropout::new(config.cls_dropout.unwrap_or(config.hidden_dropout_prob))?,
        })
    }

    /// Scores of classes, `[batch, labels]`.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        let pooled = self.pooler.forward(&self.deberta.encode(inputs)?)?;
        self.classifier.forward(&self.dropout.forward(&pooled)?)
    }
}

token_heads!(
    DebertaV2ForTokenClassification,
    DebertaV2ForQuestionAnswering,
    deberta: DebertaV2Model,
    DebertaV2Config
);

text_model!(states DebertaV2Model, DebertaV2Config, "deberta");
text_model!(logits DebertaV2ForMaskedLM, DebertaV2Config, "deberta");
text_model!(logits DebertaV2ForSequenceClassification, DebertaV2Config, "deberta");
text_model!(logits DebertaV2ForTokenClassification, DebertaV2Config, "deberta");
text_model!(spans DebertaV2ForQuestionAnswering, DebertaV2Config, "deberta");
