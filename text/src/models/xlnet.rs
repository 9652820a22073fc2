//! XLNet: "XLNet: Generalized Autoregressive Pretraining for Language Understanding" (Yang et al., 2019,
//! arXiv:1906.08237).
//!
//! The reference is Hugging Face's `transformers` (Apache-2.0): the content stream, as fine-tuned models have it. Attention
//! knows distances by sines and cosines; every token sees itself, whatever the mask.

use flambeau_nn::{Dropout, Embedding, Forward, LayerNorm, Linear, Module, Parameter, init, observed};
use flambeau_tensor::ops::einsum::einsum;
use flambeau_tensor::{DType, Result, Tensor, bail, ensure};
use serde::{Deserialize, Serialize};

use super::blocks::{Activation, check_heads, embedding, layer_norm, linear};
use super::encoder::layers;
use super::heads::{Encoder, HeadConfig, classifier, decoder, vocabulary_bias};
use super::{Inputs, States};

/// Which tokens see which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttentionType {
    /// All.
    Bi,
    /// None that come after.
    Uni,
}

/// Which token stands for the whole text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SummaryType {
    /// The last one.
    #[serde(alias = "cls_index")]
    Last,
    /// The first one.
    First,
    /// The mean of all.
    Mean,
}

/// The configuration, as in `config.json`; the defaults are those of XLNet-large.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct XLNetConfig {
    /// How many tokens there are.
    pub vocab_size: usize,
    /// Features of a token.
    pub d_model: usize,
    /// How many layers there are.
    pub n_layer: usize,
    /// How many attentions a layer has side by side.
    pub n_head: usize,
    /// Features within a layer's perceptron.
    pub d_inner: usize,
    /// The perceptrons' activation.
    pub ff_activation: Activation,
    /// Which tokens see which.
    pub attn_type: AttentionType,
    /// Standard deviation of initial weights.
    pub initializer_range: f64,
    /// Added to the variances of norms.
    pub layer_norm_eps: f64,
    /// Dropout everywhere.
    pub dropout: f64,
    /// Whether half of the batch is read backwards, which is not offered.
    pub bi_data: bool,
    /// The largest distance that is told from larger ones; all are if below 1.
    pub clamp_len: i64,
    /// Which token stands for the whole text.
    pub summary_type: SummaryType,
    /// Whether it goes through a linear layer.
    pub summary_use_proj: bool,
    /// The activation behind it.
    pub summary_activation: Option<Activation>,
    /// Dropout behind that.
    pub summary_last_dropout: f64,
    /// Whether the head of the language model has the embedding's vectors.
    pub tie_word_embeddings: bool,
    /// How many classes a classifier has.
    pub num_labels: usize,
}

impl Default for XLNetConfig {
    fn default() -> Self {
        XLNetConfig {
            vocab_size: 32000,
            d_model: 1024,
            n_layer: 24,
            n_head: 16,
            d_inner: 4096,
            ff_activation: Activation::Gelu,
            attn_type: AttentionType::Bi,
            initializer_range: 0.02,
            layer_norm_eps: 1e-12,
            dropout: 0.1,
            bi_data: false,
            clamp_len: -1,
            summary_type: SummaryType::Last,
            summary_use_proj: true,
            summary_activation: Some(Activation::Tanh),
            summary_last_dropout: 0.1,
            tie_word_embeddings: true,
            num_labels: 2,
        }
    }
}

impl HeadConfig for XLNetConfig {
    fn hidden(&self) -> usize {
        self.d_model
    }

    fn labels(&self) -> usize {
        self.num_labels
    }

    fn std(&self) -> f64 {
        self.initializer_range
    }

    fn classifier_dropout(&self) -> f64 {
        0.0
    }
}

/// Normal numbers.
fn normal(shape: &[usize], std: f64) -> Result<Parameter> {
    let values = Tensor::zeros(shape, DType::F32)?;
    init::normal_(&values, 0.0, std)?;
    Parameter::new(values)
}

/// What all layers of a call share.
struct Context {
    /// Sines and cosines of distances from `time` down to `1 - time`, `[2·time, d_model]`.
    distances: Tensor,
    /// Whether two tokens are of two segments, 0 or 1: `[batch, time, time]`.
    segments: Option<Tensor>,
    /// What is added to scores, `[batch, 1, time, time]`.
    mask: Option<Tensor>,
}

#[derive(Debug, Module)]
struct RelativeAttention {
    q: Parameter,
    k: Parameter,
    v: Parameter,
    o: Parameter,
    r: Parameter,
    r_r_bias: Parameter,
    r_s_bias: Parameter,
    r_w_bias: Parameter,
    seg_embed: Parameter,
    layer_norm: LayerNorm,
    dropout: Dropout,
}

impl RelativeAttention {
    fn new(config: &XLNetConfig) -> Result<Self> {
        let (model, heads, std) = (config.d_model, config.n_head, config.initializer_range);
        let dim = model / heads;
        let projection = || normal(&[model, heads, dim], std);
        let bias = || normal(&[heads, dim], std);
        Ok(RelativeAttention {
            q: projection()?,
            k: projection()?,
            v: projection()?,
            o: projection()?,
            r: projection()?,
            r_r_bias: bias()?,
            r_s_bias: bias()?,
            r_w_bias: bias()?,
            seg_embed: normal(&[2, heads, dim], std)?,
            layer_norm: layer_norm(model, config.layer_norm_eps)?,
            dropout: Dropout::new(config.dropout)?,
        })
    }

    fn forward(&self, x: &Tensor, context: &Context) -> Result<Tensor> {
        let project = |weight: &Tensor| einsum("bih,hnd->bind", &[x, weight]);
        let (query, key, value) = (project(&self.q)?, project(&self.k)?, project(&self.v)?);
        let places = einsum("jh,hnd->jnd", &[&context.distances, &self.r])?;
        let contents = einsum("bind,bjnd->bnij", &[&query.add(self.r_w_bias.tensor())?, &key])?;
        let by_place = einsum("bind,jnd->bnij", &[&query.add(self.r_r_bias.tensor())?, &places])?;
        let mut scores = contents.add(&shifted(&by_place)?)?;
        if let Some(segments) = &context.segments {
            let query = query.add(self.r_s_bias.tensor())?;
            let of = einsum("bind,snd->bnis", &[&query, &self.seg_embed])?;
            let same = of.narrow(-1, 0, 1)?;
            let difference = of.narrow(-1, 1, 1)?.sub(&same)?;
            let segments = segments.unsqueeze(1)?.to_dtype(x.dtype())?;
            scores = scores.add(&same.add(&difference.mul(&segments)?)?)?;
        }
        scores = scores.mul(1.0 / (query.shape()[3] as f64).sqrt())?;
        if let Some(mask) = &context.mask {
            scores = scores.add(&mask.to_dtype(x.dtype())?)?;
        }
        let weights = self.dropout.forward(&scores.softmax(-1)?)?;
        let attended = einsum("bnij,bjnd->bind", &[&weights, &value])?;
        let out = einsum("bind,hnd->bih", &[&attended, &self.o])?;
        self.layer_norm.forward(&self.dropout.forward(&out)?.add(x)?)
    }
}

/// Scores by distance, `[batch, heads, time, 2·time]` from `time` down, in the columns of keys: row `i` moves left by
/// `time - i`, which reading all rows as one and leaving out its beginning does.
fn shifted(scores: &Tensor) -> Result<Tensor> {
    let &[batch, heads, time, distances] = scores.shape() else {
        bail!(Shape, "XLNetModel: scores by distance {:?}", scores.shape())
    };
    scores
        .reshape((batch, heads, distances, time))?
        .narrow(2, 1, distances - 1)?
        .reshape((batch, heads, time, distances - 1))?
        .narrow(3, 0, time)
}

#[derive(Debug, Module)]
struct FeedForward {
    layer_norm: LayerNorm,
    layer_1: Linear,
    layer_2: Linear,
    dropout: Dropout,
    #[module(skip)]
    activation: Activation,
}

impl Forward for FeedForward {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let inner = self.activation.apply(&self.layer_1.forward(x)?)?;
        let out = self.layer_2.forward(&self.dropout.forward(&inner)?)?;
        self.layer_norm.forward(&self.dropout.forward(&out)?.add(x)?)
    }
}

#[derive(Debug, Module)]
struct Layer {
    rel_attn: RelativeAttention,
    ff: FeedForward,
}

impl Layer {
    fn new(config: &XLNetConfig) -> Result<Self> {
        let (model, inner, std) = (config.d_model, config.d_inner, config.initializer_range);
        Ok(Layer {
            rel_attn: RelativeAttention::new(config)?,
            ff: FeedForward {
                layer_norm: layer_norm(model, config.layer_norm_eps)?,
                layer_1: linear(model, inner, true, std)?,
                layer_2: linear(inner, model, true, std)?,
                dropout: Dropout::new(config.dropout)?,
                activation: config.ff_activation,
            },
        })
    }
}

/// The encoder: hidden states of all tokens.
#[derive(Debug, Module)]
pub struct XLNetModel {
    /// The vector of tokens that are not known yet, which pretraining alone uses.
    mask_emb: Parameter,
    word_embedding: Embedding,
    layer: Vec<Layer>,
    dropout: Dropout,
    #[module(skip)]
    attn_type: AttentionType,
    clamp_len: i64,
}

impl XLNetModel {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model; `Unsupported` for `bi_data`.
    pub fn new(config: &XLNetConfig) -> Result<Self> {
        let (model, std) = ("XLNetModel", config.initializer_range);
        check_heads(model, config.d_model, config.n_head)?;
        ensure!(
            !config.bi_data,
            Unsupported,
            "{model}: bi_data, a batch half of which is read backwards"
        );
        Ok(XLNetModel {
            mask_emb: normal(&[1, 1, config.d_model], std)?,
            word_embedding: embedding(config.vocab_size, config.d_model, None, std)?,
            layer: layers(model, config.n_layer, |_| Layer::new(config))?,
            dropout: Dropout::new(config.dropout)?,
            attn_type: config.attn_type,
            clamp_len: config.clamp_len,
        })
    }

    /// Hidden states of all tokens.
    ///
    /// # Errors
    /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model; `Unsupported` for places.
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<States> {
        Ok(States {
            last_hidden_state: self.encode(inputs)?,
            pooler_output: None,
        })
    }

    /// Sines, then cosines, of distances from `time` down to `1 - time`.
    fn distances(&self, time: usize) -> Result<Tensor> {
        let model = self.mask_emb.shape()[2];
        let half = model.div_ceil(2);
        let value = |i: usize| {
            let (row, column) = (i / (2 * half), i % (2 * half));
            let mut distance = time as f64 - row as f64;
            if self.clamp_len > 0 {
                distance = distance.clamp(-self.clamp_len as f64, self.clamp_len as f64);
            }
            let frequency = 10000f64.powf(-((2 * (column % half)) as f64) / model as f64);
            if column < half {
                (distance * frequency).sin()
            } else {
                (distance * frequency).cos()
            }
        };
        let values = (0..2 * time * 2 * half).map(value).collect();
        Tensor::from_vec(values, (2 * time, 2 * half))?.to_dtype(self.mask_emb.dtype())
    }

    /// -10³⁰ for what a token must not see, which is never itself.
    fn mask(&self, inputs: &Inputs<'_>, time: usize) -> Result<Option<Tensor>> {
        let hidden = match inputs.attention_mask {
            Some(mask) => Some(mask.eq(0)?.unsqueeze(1)?.unsqueeze(1)?),
            None => None,
        };
        let pairs = |hides: fn(usize, usize) -> bool| {
            let all = (0..time * time).map(|i| hides(i / time, i % time)).collect();
            Tensor::from_vec(all, (1, 1, time, time))
        };
        let hidden = match (self.attn_type, hidden) {
            (AttentionType::Bi, hidden) => hidden,
            (AttentionType::Uni, None) => Some(pairs(|query, key| key > query)?),
            (AttentionType::Uni, Some(hidden)) => Some(hidden.logical_or(&pairs(|query, key| key > query)?)?),
        };
        let Some(hidden) = hidden else { return Ok(None) };
        let others = pairs(|query, key| query != key)?;
        let hidden = hidden.logical_and(&others)?;
        hidden.to_dtype(self.mask_emb.dtype())?.mul(-1e30).map(Some)
    }
}

impl Encoder for XLNetModel {
    type Config = XLNetConfig;

    fn encoder(config: &XLNetConfig) -> Result<Self> {
        XLNetModel::new(config)
    }

    fn encode(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        let (_, time) = inputs.check("XLNetModel", 0, usize::MAX)?;
        ensure!(
            inputs.position_ids.is_none(),
            Unsupported,
            "XLNetModel: places are known by distance alone, so no position_ids"
        );
        let segments = |ids: &Tensor| ids.unsqueeze(2)?.ne(&ids.unsqueeze(1)?);
        let context = Context {
            distances: self.dropout.forward(&self.distances(time)?)?,
            segments: inputs.token_type_ids.map(segments).transpose()?,
            mask: self.mask(inputs, time)?,
        };
        let mut x = self
            .dropout
            .forward(&self.word_embedding.forward(inputs.input_ids)?)?;
        for layer in &self.layer {
            x = layer.ff.forward(&layer.rel_attn.forward(&x, &context)?)?;
        }
        self.dropout.forward(&x)
    }
}

/// The encoder with scores of tokens for each place.
#[derive(Debug, Module)]
pub struct XLNetLMHeadModel {
    transformer: XLNetModel,
    lm_loss: Linear,
}

impl XLNetLMHeadModel {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model; `Unsupported` for `bi_data`.
    pub fn new(config: &XLNetConfig) -> Result<Self> {
        let transformer = XLNetModel::new(config)?;
        let words = &transformer.word_embedding.weight;
        let bias = vocabulary_bias(words)?;
        let lm_loss = decoder(
            words,
            config.tie_word_embeddings,
            Some(&bias),
            config.initializer_range,
        )?;
        Ok(XLNetLMHeadModel { transformer, lm_loss })
    }

    /// Scores of tokens, `[batch, time, vocab_size]`.
    ///
    /// # Errors
    /// As [`XLNetModel::forward`].
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        self.lm_loss.forward(&self.transformer.encode(inputs)?)
    }
}

/// One token, or the mean of all, through a linear layer and an activation.
#[derive(Debug, Module)]
struct SequenceSummary {
    summary: Option<Linear>,
    last_dropout: Dropout,
    #[module(skip)]
    kind: SummaryType,
    #[module(skip)]
    activation: Option<Activation>,
}

impl Forward for SequenceSummary {
    #[observed]
    fn forward(&self, states: &Tensor) -> Result<Tensor> {
        let mut x = match self.kind {
            SummaryType::Last => states.select(1, -1)?,
            SummaryType::First => states.select(1, 0)?,
            SummaryType::Mean => states.mean_dim(1, false)?,
        };
        if let Some(summary) = &self.summary {
            x = summary.forward(&x)?;
        }
        if let Some(activation) = self.activation {
            x = activation.apply(&x)?;
        }
        self.last_dropout.forward(&x)
    }
}

/// The encoder with scores of classes for the whole text.
#[derive(Debug, Module)]
pub struct XLNetForSequenceClassification {
    transformer: XLNetModel,
    sequence_summary: SequenceSummary,
    logits_proj: Linear,
}

impl XLNetForSequenceClassification {
    /// A model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model; `Unsupported` for `bi_data`.
    pub fn new(config: &XLNetConfig) -> Result<Self> {
        let summary = || linear(config.d_model, config.d_model, true, config.initializer_range);
        Ok(XLNetForSequenceClassification {
            transformer: XLNetModel::new(config)?,
            sequence_summary: SequenceSummary {
                summary: config.summary_use_proj.then(summary).transpose()?,
                last_dropout: Dropout::new(config.summary_last_dropout)?,
                kind: config.summary_type,
                activation: config.summary_activation,
            },
            logits_proj: classifier(config)?,
        })
    }

    /// Scores of classes, `[batch, labels]`.
    ///
    /// # Errors
    /// As [`XLNetModel::forward`].
    pub fn forward(&self, inputs: &Inputs<'_>) -> Result<Tensor> {
        let states = self.transformer.encode(inputs)?;
        self.logits_proj.forward(&self.sequence_summary.forward(&states)?)
    }
}

token_heads!(
    XLNetForTokenClassification,
    XLNetForQuestionAnsweringSimple,
    transformer: XLNetModel,
    XLNetConfig
);

text_model!(states XLNetModel, XLNetConfig, "transformer");
text_model!(logits XLNetLMHeadModel, XLNetConfig, "transformer");
text_model!(logits XLNetForSequenceClassification, XLNetConfig, "transformer");
text_model!(logits XLNetForTokenClassification, XLNetConfig, "transformer");
text_model!(spans XLNetForQuestionAnsweringSimple, XLNetConfig, "transformer");
