//! Heads that stand on several families, and the macros that write them down.

use flambeau_nn::{Dropout, Forward, LayerNorm, Linear, Module, Parameter, observed};
use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::blocks::{Activation, layer_norm, linear};
use super::{Inputs, Spans};

/// The part of a model below its head.
pub(super) trait Encoder: Module + Sized {
    type Config: HeadConfig;

    /// The encoder without a pooler.
    fn encoder(config: &Self::Config) -> Result<Self>;

    /// `[batch, time, hidden]`.
    fn encode(&self, inputs: &Inputs<'_>) -> Result<Tensor>;
}

/// What heads read of a configuration.
pub(super) trait HeadConfig {
    /// Features of a token.
    fn hidden(&self) -> usize;
    /// How many classes there are.
    fn labels(&self) -> usize;
    /// Standard deviation of initial weights.
    fn std(&self) -> f64;
    /// Dropout before a classifier.
    fn classifier_dropout(&self) -> f64;
    /// Dropout before the scores of spans.
    fn span_dropout(&self) -> f64 {
        0.0
    }
}

/// A linear layer for as many classes as the configuration has.
pub(super) fn classifier(config: &impl HeadConfig) -> Result<Linear> {
    linear(config.hidden(), config.labels(), true, config.std())
}

/// Scores of first and last tokens from `[batch, time, 2]`.
pub(super) fn spans(model: &str, logits: &Tensor) -> Result<Spans> {
    ensure!(
        logits.shape().last() == Some(&2),
        Value,
        "{model}: spans need two labels, the configuration has {:?}",
        logits.shape().last()
    );
    Ok(Spans {
        start_logits: logits.select(-1, 0)?,
        end_logits: logits.select(-1, 1)?,
    })
}

/// A linear layer, an activation and a norm: what stands before the scores of tokens.
#[derive(Debug, Module)]
struct Transform {
    dense: Linear,
    #[module(rename = "LayerNorm")]
    layer_norm: LayerNorm,
    #[module(skip)]
    activation: Activation,
}

/// Scores of tokens, by the vectors of the embedding if these are shared.
#[derive(Debug, Module)]
struct Predictions {
    bias: Parameter,
    transform: Transform,
    decoder: Linear,
}

/// BERT's head for hidden tokens (`cls.predictions`).
#[derive(Debug, Module)]
pub(super) struct MaskedLMHead {
    predictions: Predictions,
}

/// What a head for hidden tokens is made of.
pub(super) struct MaskedLMOptions<'a> {
    pub(super) hidden: usize,
    pub(super) activation: Activation,
    pub(super) eps: f64,
    pub(super) std: f64,
    /// The vectors of tokens, `[vocabulary, features]`.
    pub(super) embeddings: &'a Parameter,
    pub(super) tied: bool,
}

impl MaskedLMHead {
    pub(super) fn new(options: &MaskedLMOptions<'_>) -> Result<Self> {
        let features = options.embeddings.shape()[1];
        let bias = vocabulary_bias(options.embeddings)?;
        Ok(MaskedLMHead {
            predictions: Predictions {
                transform: Transform {
                    dense: linear(options.hidden, features, true, options.std)?,
                    layer_norm: layer_norm(features, options.eps)?,
                    activation: options.activation,
                },
                decoder: decoder(options.embeddings, options.tied, Some(&bias), options.std)?,
                bias,
            },
        })
    }
}

impl Forward for MaskedLMHead {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let Transform {
            dense,
            layer_norm,
            activation,
        } = &self.predictions.transform;
        let x = layer_norm.forward(&activation.apply(&dense.forward(x)?)?)?;
        self.predictions.decoder.forward(&x)
    }
}

/// A bias of zeros for every token.
pub(super) fn vocabulary_bias(embeddings: &Parameter) -> Result<Parameter> {
    Parameter::new(Tensor::zeros(embeddings.shape()[0], DType::F32)?)
}

/// Scores of tokens: by the embedding's own vectors if they are tied, else by others.
pub(super) fn decoder(
    embeddings: &Parameter,
    tied: bool,
    bias: Option<&Parameter>,
    std: f64,
) -> Result<Linear> {
    let weight = match tied {
        true => embeddings.clone(),
        false => linear(embeddings.shape()[1], embeddings.shape()[0], false, std)?.weight,
    };
    Ok(Linear {
        weight,
        bias: bias.cloned(),
    })
}

/// What the models RoBERTa and ELECTRA have in place of a pooler: two linear layers over the first token.
#[derive(Debug, Module)]
pub(super) struct ClassificationHead {
    dense: Linear,
    dropout: Dropout,
    out_proj: Linear,
    #[module(skip)]
    activation: Activation,
}

impl ClassificationHead {
    pub(super) fn new(config: &impl HeadConfig, activation: Activation) -> Result<Self> {
        Ok(ClassificationHead {
            dense: linear(config.hidden(), config.hidden(), true, config.std())?,
            dropout: Dropout::new(config.classifier_dropout())?,
            out_proj: classifier(config)?,
            activation,
        })
    }
}

impl Forward for ClassificationHead {
    #[observed]
    fn forward(&self, states: &Tensor) -> Result<Tensor> {
        let x = self.dropout.forward(&states.select(1, 0)?)?;
        let x = self.activation.apply(&self.dense.forward(&x)?)?;
        self.out_proj.forward(&self.dropout.forward(&x)?)
    }
}

/// Implements [`TextModel`](super::TextModel) and [`Pretrained`](super::Pretrained) for models whose `forward` gives
/// scores (`logits`), scores of spans (`spans`) or hidden states (`states`).
macro_rules! text_model {
    (@outputs logits $model:ident $inputs:ident) => {
        Ok(vec![("logits", $model.forward($inputs)?)])
    };
    (@outputs spans $model:ident $inputs:ident) => {{
        let spans = $model.forward($inputs)?;
        Ok(vec![("start_logits", spans.start_logits), ("end_logits", spans.end_logits)])
    }};
    (@outputs states $model:ident $inputs:ident) => {{
        let states = $model.forward($inputs)?;
        let mut outputs = vec![("last_hidden_state", states.last_hidden_state)];
        outputs.extend(states.pooler_output.map(|pooled| ("pooler_output", pooled)));
        Ok(outputs)
    }};
    ($kind:ident $name:ident, $config:ty, $base:literal) => {
        impl $crate::models::TextModel for $name {
            fn outputs(
                &self,
                inputs: &$crate::models::Inputs<'_>,
            ) -> flambeau_tensor::Result<Vec<(&'static str, flambeau_tensor::Tensor)>> {
                let model = self;
                text_model!(@outputs $kind model inputs)
            }
        }

        impl $crate::models::Pretrained for $name {
            type Config = $config;
            const BASE: &'static str = $base;

            fn from_config(config: &$config) -> flambeau_tensor::Result<Self> {
                $name::new(config)
            }
        }
    };
}

/// Defines a family's models with the heads that are alike everywhere: classes of tokens, and spans.
///
/// `token_heads!(Bert, bert: BertModel, BertConfig, "bert")` is `BertForTokenClassification` and
/// `BertForQuestionAnswering`; the names are given, as macros cannot join them.
macro_rules! token_heads {
    ($classification:ident, $spans:ident, $base:ident: $model:ident, $config:ident) => {
        /// The encoder with scores of classes for each token.
        #[derive(Debug, flambeau_nn::Module)]
        pub struct $classification {
            $base: $model,
            dropout: flambeau_nn::Dropout,
            classifier: flambeau_nn::Linear,
        }

        impl $classification {
            /// A model with initial weights.
            ///
            /// # Errors
            /// `Value` or `Shape` for a configuration that makes no model.
            pub fn new(config: &$config) -> flambeau_tensor::Result<Self> {
                use $crate::models::heads::HeadConfig;
                Ok($classification {
                    $base: <$model as $crate::models::heads::Encoder>::encoder(config)?,
                    dropout: flambeau_nn::Dropout::new(config.classifier_dropout())?,
                    classifier: $crate::models::heads::classifier(config)?,
                })
            }

            /// Scores of classes, `[batch, time, labels]`.
            ///
            /// # Errors
            /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
            pub fn forward(
                &self,
                inputs: &$crate::models::Inputs<'_>,
            ) -> flambeau_tensor::Result<flambeau_tensor::Tensor> {
                use flambeau_nn::Forward;
                let states = $crate::models::heads::Encoder::encode(&self.$base, inputs)?;
                self.classifier.forward(&self.dropout.forward(&states)?)
            }
        }

        /// The encoder with scores of each token as the first and the last one of an answer.
        #[derive(Debug, flambeau_nn::Module)]
        pub struct $spans {
            $base: $model,
            dropout: flambeau_nn::Dropout,
            qa_outputs: flambeau_nn::Linear,
        }

        impl $spans {
            /// A model with initial weights; the configuration must have two labels.
            ///
            /// # Errors
            /// `Value` or `Shape` for a configuration that makes no model.
            pub fn new(config: &$config) -> flambeau_tensor::Result<Self> {
                use $crate::models::heads::HeadConfig;
                Ok($spans {
                    $base: <$model as $crate::models::heads::Encoder>::encoder(config)?,
                    dropout: flambeau_nn::Dropout::new(config.span_dropout())?,
                    qa_outputs: $crate::models::heads::classifier(config)?,
                })
            }

            /// Scores of first and last tokens, `[batch, time]` each.
            ///
            /// # Errors
            /// `Shape`, `DType` or `Index` for inputs that do not fit together or the model.
            pub fn forward(
                &self,
                inputs: &$crate::models::Inputs<'_>,
            ) -> flambeau_tensor::Result<$crate::models::Spans> {
                use flambeau_nn::Forward;
                let states = $crate::models::heads::Encoder::encode(&self.$base, inputs)?;
                let logits = self.qa_outputs.forward(&self.dropout.forward(&states)?)?;
                $crate::models::heads::spans(stringify!($spans), &logits)
            }
        }
    };
}
