//! The Transformer (Vaswani et al., 2017; `torch.nn.Transformer`): layers of attention and feed-forward blocks, stacks of
//! layers, and encoder and decoder together.
//!
//! With `norm_first`, a block computes `x + dropout(block(norm(x)))` (Xiong et al., 2020), otherwise
//! `norm(x + dropout(block(x)))`. Sequences are `[length, batch, d_model]`, `[batch, length, d_model]` if `batch_first`, or
//! `[length, d_model]`.

use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::attention::{AttentionOptions, MultiheadAttention, MultiheadAttentionOptions};
use super::dropout::Dropout;
use super::linear::{Linear, LinearOptions};
use super::norm::{LayerNorm, LayerNormOptions};
use crate::{Forward, Module, init, observed};

/// Options of the Transformer's layers; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct TransformerLayerOptions {
    /// Features between the two linear layers of the feed-forward block.
    pub dim_feedforward: usize,
    /// Probability with which elements, and attention weights, are dropped in training.
    pub dropout: f64,
    /// The function between the two linear layers: `Tensor::relu`, `Tensor::gelu`, or another.
    pub activation: fn(&Tensor) -> Result<Tensor>,
    /// Added to variances by the norms.
    pub layer_norm_eps: f64,
    /// Whether the batch comes before the sequence.
    pub batch_first: bool,
    /// Whether norms stand before the blocks rather than after the sums.
    pub norm_first: bool,
    /// Whether linear layers and norms have biases.
    pub bias: bool,
}

impl Default for TransformerLayerOptions {
    fn default() -> Self {
        TransformerLayerOptions {
            dim_feedforward: 2048,
            dropout: 0.1,
            activation: Tensor::relu,
            layer_norm_eps: 1e-5,
            batch_first: false,
            norm_first: false,
            bias: true,
        }
    }
}

impl TransformerLayerOptions {
    fn attention(&self, d_model: usize, nhead: usize) -> Result<MultiheadAttention> {
        let options = MultiheadAttentionOptions {
            dropout: self.dropout,
            bias: self.bias,
            batch_first: self.batch_first,
            ..MultiheadAttentionOptions::default()
        };
        MultiheadAttention::new(d_model, nhead, options)
    }

    fn linear(&self, inputs: usize, outputs: usize) -> Result<Linear> {
        Linear::new(inputs, outputs, LinearOptions { bias: self.bias })
    }

    fn norm(&self, d_model: usize) -> Result<LayerNorm> {
        let options = LayerNormOptions {
            eps: self.layer_norm_eps,
            bias: self.bias,
            ..LayerNormOptions::default()
        };
        LayerNorm::new(&[d_model], options)
    }
}

/// What is hidden from the queries of one attention.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttentionMasks<'a> {
    /// What a query does not see, `[queries, keys]` or `[batch·heads, queries, keys]`: bools (true hides) or numbers added
    /// to the scores.
    pub mask: Option<&'a Tensor>,
    /// Keys to leave out, `[batch, keys]`: bools (true hides) or numbers added to the scores.
    pub key_padding_mask: Option<&'a Tensor>,
    /// Whether `mask` hides from every query the keys after it and no others, so that it need not be read. If this is not
    /// said, stacks look at the mask to find out, and layers use it as it is.
    pub is_causal: Option<bool>,
}

impl AttentionMasks<'_> {
    /// The output of an attention for these masks.
    fn attend(&self, attention: &MultiheadAttention, query: &Tensor, key: &Tensor) -> Result<Tensor> {
        let options = AttentionOptions {
            key_padding_mask: self.key_padding_mask,
            attn_mask: self.mask,
            need_weights: false,
            is_causal: self.is_causal.unwrap_or(false),
            ..AttentionOptions::default()
        };
        Ok(attention.forward(query, key, key, &options)?.0)
    }

    /// Finds out whether the mask is causal, unless that is said.
    fn detected(self, length: usize) -> Result<Self> {
        let is_causal = match (self.is_causal, self.mask) {
            (None, Some(mask)) if mask.shape() == [length, length] => {
                let hides = if mask.dtype() == DType::Bool {
                    1.0
                } else {
                    f64::NEG_INFINITY
                };
                let values = mask.to_vec_f64()?;
                let mut values = values.into_iter().enumerate();
                values.all(|(i, x)| x == if i % length > i / length { hides } else { 0.0 })
            }
            (said, _) => said.unwrap_or(false),
        };
        Ok(AttentionMasks {
            is_causal: Some(is_causal),
            ..self
        })
    }
}

/// The mask `[size, size]` that hides from every query the keys after it: -∞ there, and 0 elsewhere.
///
/// # Errors
/// `DType` unless `dtype` is a floating point type; `Shape` if the mask is larger than memory can address.
pub fn generate_square_subsequent_mask(size: usize, dtype: DType) -> Result<Tensor> {
    ensure!(
        dtype.is_float(),
        DType,
        "generate_square_subsequent_mask: expected a floating point type, got {dtype}"
    );
    Tensor::full((size, size), f64::NEG_INFINITY, dtype)?.triu(1)
}

/// How many steps a sequence has.
fn length(x: &Tensor, batch_first: bool) -> usize {
    let dim = usize::from(x.rank() == 3 && batch_first);
    x.shape().get(dim).copied().unwrap_or(0)
}

/// A layer of the encoder: self-attention, then `linear2(dropout(activation(linear1(x))))`.
#[derive(Clone, Debug, Module)]
pub struct TransformerEncoderLayer {
    /// Attention of the sequence to itself.
    pub self_attn: MultiheadAttention,
    /// Widens to `dim_feedforward`.
    pub linear1: Linear,
    /// Between the linear layers.
    pub dropout: Dropout,
    /// Back to `d_model`.
    pub linear2: Linear,
    /// The attention's norm.
    pub norm1: LayerNorm,
    /// The feed-forward block's norm.
    pub norm2: LayerNorm,
    /// After the attention.
    pub dropout1: Dropout,
    /// After the feed-forward block.
    pub dropout2: Dropout,
    #[module(skip)]
    options: TransformerLayerOptions,
}

impl TransformerEncoderLayer {
    /// A layer of `nhead` heads over `d_model` features.
    ///
    /// # Errors
    /// `Value` unless the heads divide the features and the dropout is a probability; `Shape` if a weight is larger than
    /// memory can address.
    pub fn new(d_model: usize, nhead: usize, options: TransformerLayerOptions) -> Result<Self> {
        Ok(TransformerEncoderLayer {
            self_attn: options.attention(d_model, nhead)?,
            linear1: options.linear(d_model, options.dim_feedforward)?,
            dropout: Dropout::new(options.dropout)?,
            linear2: options.linear(options.dim_feedforward, d_model)?,
            norm1: options.norm(d_model)?,
            norm2: options.norm(d_model)?,
            dropout1: Dropout::new(options.dropout)?,
            dropout2: Dropout::new(options.dropout)?,
            options,
        })
    }

    /// The settings.
    pub fn options(&self) -> &TransformerLayerOptions {
        &self.options
    }

    /// The output for a sequence of which something is hidden; [`Forward::forward`] hides nothing.
    ///
    /// # Errors
    /// `Shape` if shapes do not fit; `DType` if types differ; `Value` if a mask is said to be causal that is not given.
    #[observed]
    pub fn forward_with_masks(&self, src: &Tensor, masks: AttentionMasks<'_>) -> Result<Tensor> {
        let attend = |x: &Tensor| self.dropout1.forward(&masks.attend(&self.self_attn, x, x)?);
        let feed = |x: &Tensor| {
            let wide = self
                .dropout
                .forward(&(self.options.activation)(&self.linear1.forward(x)?)?)?;
            self.dropout2.forward(&self.linear2.forward(&wide)?)
        };
        let x = residual(&self.options, &self.norm1, src, attend)?;
        residual(&self.options, &self.norm2, &x, feed)
    }
}

impl Forward for TransformerEncoderLayer {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_with_masks(x, AttentionMasks::default())
    }
}

/// A block with its norm and the sum with its input.
fn residual(
    options: &TransformerLayerOptions,
    norm: &LayerNorm,
    x: &Tensor,
    block: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    if options.norm_first {
        x.add(&block(&norm.forward(x)?)?)
    } else {
        norm.forward(&x.add(&block(x)?)?)
    }
}

/// A layer of the decoder: self-attention, attention to the encoder's output, then
/// `linear2(dropout(activation(linear1(x))))`.
#[derive(Clone, Debug, Module)]
pub struct TransformerDecoderLayer {
    /// Attention of the sequence to itself.
    pub self_attn: MultiheadAttention,
    /// Attention of the sequence to the memory.
    pub multihead_attn: MultiheadAttention,
    /// Widens to `dim_feedforward`.
    pub linear1: Linear,
    /// Between the linear layers.
    pub dropout: Dropout,
    /// Back to `d_model`.
    pub linear2: Linear,
    /// The self-attention's norm.
    pub norm1: LayerNorm,
    /// The norm of the attention to the memory.
    pub norm2: LayerNorm,
    /// The feed-forward block's norm.
    pub norm3: LayerNorm,
    /// After the self-attention.
    pub dropout1: Dropout,
    /// After the attention to the memory.
    pub dropout2: Dropout,
    /// After the feed-forward block.
    pub dropout3: Dropout,
    #[module(skip)]
    options: TransformerLayerOptions,
}

impl TransformerDecoderLayer {
    /// A layer of `nhead` heads over `d_model` features.
    ///
    /// # Errors
    /// As [`TransformerEncoderLayer::new`].
    pub fn new(d_model: usize, nhead: usize, options: TransformerLayerOptions) -> Result<Self> {
        Ok(TransformerDecoderLayer {
            self_attn: options.attention(d_model, nhead)?,
            multihead_attn: options.attention(d_model, nhead)?,
            linear1: options.linear(d_model, options.dim_feedforward)?,
            dropout: Dropout::new(options.dropout)?,
            linear2: options.linear(options.dim_feedforward, d_model)?,
            norm1: options.norm(d_model)?,
            norm2: options.norm(d_model)?,
            norm3: options.norm(d_model)?,
            dropout1: Dropout::new(options.dropout)?,
            dropout2: Dropout::new(options.dropout)?,
            dropout3: Dropout::new(options.dropout)?,
            options,
        })
    }

    /// The settings.
    pub fn options(&self) -> &TransformerLayerOptions {
        &self.options
    }

    /// The output for a target sequence and the encoder's output, of both of which something may be hidden.
    ///
    /// # Errors
    /// As [`TransformerEncoderLayer::forward_with_masks`].
    #[observed]
    pub fn forward(
        &self,
        tgt: &Tensor,
        memory: &Tensor,
        tgt_masks: AttentionMasks<'_>,
        memory_masks: AttentionMasks<'_>,
    ) -> Result<Tensor> {
        let attend = |x: &Tensor| self.dropout1.forward(&tgt_masks.attend(&self.self_attn, x, x)?);
        let remember = |x: &Tensor| {
            let attended = memory_masks.attend(&self.multihead_attn, x, memory)?;
            self.dropout2.forward(&attended)
        };
        let feed = |x: &Tensor| {
            let wide = self
                .dropout
                .forward(&(self.options.activation)(&self.linear1.forward(x)?)?)?;
            self.dropout3.forward(&self.linear2.forward(&wide)?)
        };
        let x = residual(&self.options, &self.norm1, tgt, attend)?;
        let x = residual(&self.options, &self.norm2, &x, remember)?;
        residual(&self.options, &self.norm3, &x, feed)
    }
}

/// Copies of a layer with values of their own.
fn copies<M: Module + Clone>(op: &str, layer: &M, num_layers: usize) -> Result<Vec<M>> {
    ensure!(num_layers > 0, Value, "{op}: expected at least one layer, got 0");
    (0..num_layers).map(|_| layer.deep_clone()).collect()
}

/// A stack of encoder layers and, if wanted, a norm.
#[derive(Clone, Debug, Module)]
pub struct TransformerEncoder {
    /// The layers.
    pub layers: Vec<TransformerEncoderLayer>,
    /// After the last layer.
    pub norm: Option<LayerNorm>,
}

impl TransformerEncoder {
    /// A stack of copies of a layer. They all begin with its values, as in PyTorch: initialise them afresh to train them.
    ///
    /// # Errors
    /// `Value` for no layers.
    pub fn new(layer: &TransformerEncoderLayer, num_layers: usize, norm: Option<LayerNorm>) -> Result<Self> {
        Ok(TransformerEncoder {
            layers: copies("TransformerEncoder", layer, num_layers)?,
            norm,
        })
    }

    /// The output for a sequence of which something is hidden; [`Forward::forward`] hides nothing.
    ///
    /// # Errors
    /// As [`TransformerEncoderLayer::forward_with_masks`].
    #[observed]
    pub fn forward_with_masks(&self, src: &Tensor, masks: AttentionMasks<'_>) -> Result<Tensor> {
        let batch_first = self.layers.first().is_some_and(|layer| layer.options.batch_first);
        let masks = masks.detected(length(src, batch_first))?;
        let mut layers = self.layers.iter();
        let x = layers.try_fold(src.clone(), |x, layer| layer.forward_with_masks(&x, masks))?;
        self.norm.as_ref().map_or(Ok(x.clone()), |norm| norm.forward(&x))
    }
}

impl Forward for TransformerEncoder {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_with_masks(x, AttentionMasks::default())
    }
}

/// A stack of decoder layers and, if wanted, a norm.
#[derive(Clone, Debug, Module)]
pub struct TransformerDecoder {
    /// The layers.
    pub layers: Vec<TransformerDecoderLayer>,
    /// After the last layer.
    pub norm: Option<LayerNorm>,
}

impl TransformerDecoder {
    /// A stack of copies of a layer. They all begin with its values, as in PyTorch: initialise them afresh to train them.
    ///
    /// # Errors
    /// `Value` for no layers.
    pub fn new(layer: &TransformerDecoderLayer, num_layers: usize, norm: Option<LayerNorm>) -> Result<Self> {
        Ok(TransformerDecoder {
            layers: copies("TransformerDecoder", layer, num_layers)?,
            norm,
        })
    }

    /// The output for a target sequence and the encoder's output, of both of which something may be hidden.
    ///
    /// # Errors
    /// As [`TransformerEncoderLayer::forward_with_masks`].
    #[observed]
    pub fn forward(
        &self,
        tgt: &Tensor,
        memory: &Tensor,
        tgt_masks: AttentionMasks<'_>,
        memory_masks: AttentionMasks<'_>,
    ) -> Result<Tensor> {
        let batch_first = self.layers.first().is_some_and(|layer| layer.options.batch_first);
        let tgt_masks = tgt_masks.detected(length(tgt, batch_first))?;
        let mut layers = self.layers.iter();
        let x = layers.try_fold(tgt.clone(), |x, layer| {
            layer.forward(&x, memory, tgt_masks, memory_masks)
        })?;
        self.norm.as_ref().map_or(Ok(x.clone()), |norm| norm.forward(&x))
    }
}

/// Options of [`Transformer`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct TransformerOptions {
    /// Layers of the encoder.
    pub num_encoder_layers: usize,
    /// Layers of the decoder.
    pub num_decoder_layers: usize,
    /// Options of all layers.
    pub layer: TransformerLayerOptions,
}

impl Default for TransformerOptions {
    fn default() -> Self {
        TransformerOptions {
            num_encoder_layers: 6,
            num_decoder_layers: 6,
            layer: TransformerLayerOptions::default(),
        }
    }
}

/// What is hidden from the three attentions of a [`Transformer`].
#[derive(Clone, Copy, Debug, Default)]
pub struct TransformerMasks<'a> {
    /// Of the source sequence from itself.
    pub src: AttentionMasks<'a>,
    /// Of the target sequence from itself.
    pub tgt: AttentionMasks<'a>,
    /// Of the encoder's output from the target sequence.
    pub memory: AttentionMasks<'a>,
}

/// Encoder and decoder, each with a norm at its end.
#[derive(Clone, Debug, Module)]
pub struct Transformer {
    /// Reads the source sequence.
    pub encoder: TransformerEncoder,
    /// Writes the target sequence.
    pub decoder: TransformerDecoder,
    d_model: usize,
    batch_first: bool,
}

impl Transformer {
    /// A transformer of `nhead` heads over `d_model` features (PyTorch's defaults: 8 and 512), all of whose matrices are
    /// initialised by `xavier_uniform_`.
    ///
    /// # Errors
    /// As [`TransformerEncoderLayer::new`] and [`TransformerEncoder::new`].
    pub fn new(d_model: usize, nhead: usize, options: TransformerOptions) -> Result<Transformer> {
        let layer = options.layer;
        let transformer = Transformer {
            encoder: TransformerEncoder::new(
                &TransformerEncoderLayer::new(d_model, nhead, layer)?,
                options.num_encoder_layers,
                Some(layer.norm(d_model)?),
            )?,
            decoder: TransformerDecoder::new(
                &TransformerDecoderLayer::new(d_model, nhead, layer)?,
                options.num_decoder_layers,
                Some(layer.norm(d_model)?),
            )?,
            d_model,
            batch_first: layer.batch_first,
        };
        for (_, parameter) in transformer.named_parameters() {
            if parameter.rank() > 1 {
                init::xavier_uniform_(parameter, 1.0)?;
            }
        }
        Ok(transformer)
    }

    /// The decoder's output for a target sequence, given the source sequence.
    ///
    /// # Shapes
    /// src `[sources, batch, d_model]`, tgt `[targets, batch, d_model]` → `[targets, batch, d_model]`, with the batch first if
    /// `batch_first`; the batch may be left out everywhere.
    ///
    /// # Errors
    /// As [`TransformerEncoderLayer::forward_with_masks`].
    #[observed]
    pub fn forward(&self, src: &Tensor, tgt: &Tensor, masks: &TransformerMasks<'_>) -> Result<Tensor> {
        let features = Some(&self.d_model);
        let batch = |x: &Tensor| x.shape().get(usize::from(!self.batch_first)).copied();
        let fits = src.shape().last() == features
            && tgt.shape().last() == features
            && src.rank() == tgt.rank()
            && (src.rank() != 3 || batch(src) == batch(tgt));
        ensure!(
            fits,
            Shape,
            "Transformer: expected sequences of {} features and one batch, got src {:?} and tgt {:?}",
            self.d_model,
            src.shape(),
            tgt.shape()
        );
        let memory = self.encoder.forward_with_masks(src, masks.src)?;
        self.decoder.forward(tgt, &memory, masks.tgt, masks.memory)
    }
}
