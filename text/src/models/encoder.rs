//! The encoder of "BERT" (Devlin et al., 2018, arXiv:1810.04805), which RoBERTa and ELECTRA have as it is, and whose
//! perceptrons DeBERTa has too.

use flambeau_nn::{Dropout, Forward, LayerNorm, Linear, Mode, Module, observed};
use flambeau_tensor::{Result, Tensor, ensure};

use super::blocks::{Activation, attend, check_heads, layer_norm, linear};

/// What the encoder reads of a family's configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct EncoderOptions {
    pub(super) model: &'static str,
    pub(super) hidden: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) intermediate: usize,
    pub(super) activation: Activation,
    pub(super) dropout: f64,
    pub(super) attention_dropout: f64,
    pub(super) eps: f64,
    pub(super) std: f64,
}

/// More layers than any model has; a file that asks for more is wrong.
const MOST_LAYERS: usize = 10_000;

/// Makes `count` layers.
pub(super) fn layers<L>(model: &str, count: usize, layer: impl FnMut(usize) -> Result<L>) -> Result<Vec<L>> {
    ensure!(
        count <= MOST_LAYERS,
        Value,
        "{model}: expected at most {MOST_LAYERS} layers, got {count}"
    );
    (0..count).map(layer).collect()
}

#[derive(Debug, Module)]
struct SelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    mode: Mode,
    heads: usize,
    dropout: f64,
}

impl SelfAttention {
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
        attend([&query, &key, &value], self.heads, mask, dropout)
    }
}

/// A linear layer, whose output is added to another tensor and normalised.
#[derive(Debug, Module)]
pub(super) struct Residual {
    dense: Linear,
    #[module(rename = "LayerNorm")]
    layer_norm: LayerNorm,
    dropout: Dropout,
}

impl Residual {
    pub(super) fn new(inputs: usize, options: &EncoderOptions) -> Result<Self> {
        Ok(Residual {
            dense: linear(inputs, options.hidden, true, options.std)?,
            layer_norm: layer_norm(options.hidden, options.eps)?,
            dropout: Dropout::new(options.dropout)?,
        })
    }

    #[observed]
    pub(super) fn forward(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let x = self.dropout.forward(&self.dense.forward(x)?)?;
        self.layer_norm.forward(&x.add(residual)?)
    }
}

/// A linear layer and an activation.
#[derive(Debug, Module)]
pub(super) struct Intermediate {
    dense: Linear,
    #[module(skip)]
    activation: Activation,
}

impl Intermediate {
    pub(super) fn new(options: &EncoderOptions) -> Result<Self> {
        Ok(Intermediate {
            dense: linear(options.hidden, options.intermediate, true, options.std)?,
            activation: options.activation,
        })
    }
}

impl Forward for Intermediate {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.activation.apply(&self.dense.forward(x)?)
    }
}

#[derive(Debug, Module)]
struct Attention {
    #[module(rename = "self")]
    attention: SelfAttention,
    output: Residual,
}

#[derive(Debug, Module)]
struct Layer {
    attention: Attention,
    intermediate: Intermediate,
    output: Residual,
}

impl Layer {
    fn new(options: &EncoderOptions) -> Result<Self> {
        let projection = || linear(options.hidden, options.hidden, true, options.std);
        Ok(Layer {
            attention: Attention {
                attention: SelfAttention {
                    query: projection()?,
                    key: projection()?,
                    value: projection()?,
                    mode: Mode::default(),
                    heads: options.heads,
                    dropout: options.attention_dropout,
                },
                output: Residual::new(options.hidden, options)?,
            },
            intermediate: Intermediate::new(options)?,
            output: Residual::new(options.intermediate, options)?,
        })
    }

    #[observed]
    fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let attended = self.attention.attention.forward(x, mask)?;
        let x = self.attention.output.forward(&attended, x)?;
        self.output.forward(&self.intermediate.forward(&x)?, &x)
    }
}

/// Layers of attention and perceptrons, each added to its input and normalised.
#[derive(Debug, Module)]
pub(super) struct BertEncoder {
    layer: Vec<Layer>,
}

impl BertEncoder {
    pub(super) fn new(options: &EncoderOptions) -> Result<Self> {
        check_heads(options.model, options.hidden, options.heads)?;
        Ok(BertEncoder {
            layer: layers(options.model, options.layers, |_| Layer::new(options))?,
        })
    }

    /// `[batch, time, hidden]`; the mask is `[batch, 1, 1, time]`.
    #[observed]
    pub(super) fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        self.layer
            .iter()
            .try_fold(x.clone(), |x, layer| layer.forward(&x, mask))
    }
}

/// A linear layer and a hyperbolic tangent over the first token.
#[derive(Debug, Module)]
pub(super) struct Pooler {
    dense: Linear,
}

impl Pooler {
    pub(super) fn new(hidden: usize, std: f64) -> Result<Self> {
        Ok(Pooler {
            dense: linear(hidden, hidden, true, std)?,
        })
    }
}

impl Forward for Pooler {
    #[observed]
    fn forward(&self, states: &Tensor) -> Result<Tensor> {
        self.dense.forward(&states.select(1, 0)?)?.tanh()
    }
}
