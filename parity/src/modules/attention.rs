//! Attention and the Transformer.

use flambeau_nn::*;
use flambeau_tensor::{Result, Tensor, bail};

use super::norm::layer_norm;
use super::{Entry, of};
use crate::args::{Arg, Args};
use crate::registry::{Output, out};

pub(super) const TABLE: &[Entry] = &[
    ("MultiheadAttention", |a| {
        let (embed_dim, num_heads) = (
            a.required_count(0, "embed_dim")?,
            a.required_count(1, "num_heads")?,
        );
        let options = MultiheadAttentionOptions {
            dropout: a.float(2, "dropout", 0.0)?,
            bias: a.bool(3, "bias", true)?,
            add_bias_kv: a.bool(4, "add_bias_kv", false)?,
            add_zero_attn: a.bool(5, "add_zero_attn", false)?,
            kdim: a.opt_count(6, "kdim")?,
            vdim: a.opt_count(7, "vdim")?,
            batch_first: a.bool(8, "batch_first", false)?,
        };
        of(MultiheadAttention::new(embed_dim, num_heads, options)?, attend)
    }),
    ("Transformer", |a| {
        let (d_model, nhead) = (a.count(0, "d_model", 512)?, a.count(1, "nhead", 8)?);
        let options = TransformerOptions {
            num_encoder_layers: a.count(2, "num_encoder_layers", 6)?,
            num_decoder_layers: a.count(3, "num_decoder_layers", 6)?,
            layer: layer_options(a, 4, 9)?,
        };
        of(Transformer::new(d_model, nhead, options)?, |transformer, a| {
            let (src, tgt) = (a.tensor(0, "src")?, a.tensor(1, "tgt")?);
            let [src_given, tgt_given, memory_given] = [
                masks(
                    a,
                    [(2, "src_mask"), (5, "src_key_padding_mask"), (8, "src_is_causal")],
                )?,
                masks(
                    a,
                    [(3, "tgt_mask"), (6, "tgt_key_padding_mask"), (9, "tgt_is_causal")],
                )?,
                memory_masks(a, 4, 7, 10)?,
            ];
            let masks = TransformerMasks {
                src: src_given.borrowed(),
                tgt: tgt_given.borrowed(),
                memory: memory_given.borrowed(),
            };
            out(transformer.forward(&src, &tgt, &masks)?)
        })
    }),
    ("TransformerDecoder", |a| {
        let given = a.take(0, "decoder_layer");
        let layer = nested(a, given, "TransformerDecoderLayer", decoder_layer)?;
        let (layers, norm) = (a.required_count(1, "num_layers")?, norm(a)?);
        of(TransformerDecoder::new(&layer, layers, norm)?, |decoder, a| {
            decode(a, |tgt, memory, own, other| {
                decoder.forward(tgt, memory, own, other)
            })
        })
    }),
    ("TransformerDecoderLayer", |a| {
        of(decoder_layer(a)?, |layer, a| {
            decode(a, |tgt, memory, own, other| {
                layer.forward(tgt, memory, own, other)
            })
        })
    }),
    ("TransformerEncoder", |a| {
        let given = a.take(0, "encoder_layer");
        let layer = nested(a, given, "TransformerEncoderLayer", encoder_layer)?;
        let (layers, norm) = (a.required_count(1, "num_layers")?, norm(a)?);
        // Whether padding is left out by nested tensors does not change what stands elsewhere.
        a.bool(3, "enable_nested_tensor", true)?;
        a.bool(4, "mask_check", true)?;
        of(TransformerEncoder::new(&layer, layers, norm)?, |encoder, a| {
            let src = a.tensor(0, "src")?;
            let given = masks(a, [(1, "mask"), (2, "src_key_padding_mask"), (3, "is_causal")])?;
            out(encoder.forward_with_masks(&src, given.borrowed())?)
        })
    }),
    ("TransformerEncoderLayer", |a| {
        of(encoder_layer(a)?, |layer, a| {
            let src = a.tensor(0, "src")?;
            let given = masks(
                a,
                [(1, "src_mask"), (2, "src_key_padding_mask"), (3, "is_causal")],
            )?;
            out(layer.forward_with_masks(&src, given.borrowed())?)
        })
    }),
];

fn attend(attention: &MultiheadAttention, a: &mut Args) -> Result<Output> {
    let (query, key, value) = (a.tensor(0, "query")?, a.tensor(1, "key")?, a.tensor(2, "value")?);
    let (padding, mask) = (
        a.opt_tensor(3, "key_padding_mask")?,
        a.opt_tensor(5, "attn_mask")?,
    );
    let options = AttentionOptions {
        key_padding_mask: padding.as_ref(),
        attn_mask: mask.as_ref(),
        need_weights: a.bool(4, "need_weights", true)?,
        average_attn_weights: a.bool(6, "average_attn_weights", true)?,
        is_causal: a.bool(7, "is_causal", false)?,
    };
    let (attended, weights) = attention.forward(&query, &key, &value, &options)?;
    Ok(Output {
        values: vec![Arg::Tensor(attended), weights.map_or(Arg::None, Arg::Tensor)],
    })
}

/// A layer's options: `dim_feedforward`, `dropout` and `activation` from one position on, the others from another.
fn layer_options(a: &mut Args, first: usize, second: usize) -> Result<TransformerLayerOptions> {
    let activation: fn(&Tensor) -> Result<Tensor> = match a.opt_str(first + 2, "activation")?.as_deref() {
        None | Some("relu") => Tensor::relu,
        Some("gelu") => Tensor::gelu,
        Some(other) => bail!(Value, "{}: activation {other}", a.op()),
    };
    Ok(TransformerLayerOptions {
        dim_feedforward: a.count(first, "dim_feedforward", 2048)?,
        dropout: a.float(first + 1, "dropout", 0.1)?,
        activation,
        layer_norm_eps: a.float(second, "layer_norm_eps", 1e-5)?,
        batch_first: a.bool(second + 1, "batch_first", false)?,
        norm_first: a.bool(second + 2, "norm_first", false)?,
        bias: a.bool(second + 3, "bias", true)?,
    })
}

fn encoder_layer(a: &mut Args) -> Result<TransformerEncoderLayer> {
    let (d_model, nhead) = (a.required_count(0, "d_model")?, a.required_count(1, "nhead")?);
    TransformerEncoderLayer::new(d_model, nhead, layer_options(a, 2, 5)?)
}

fn decoder_layer(a: &mut Args) -> Result<TransformerDecoderLayer> {
    let (d_model, nhead) = (a.required_count(0, "d_model")?, a.required_count(1, "nhead")?);
    TransformerDecoderLayer::new(d_model, nhead, layer_options(a, 2, 5)?)
}

/// A module that is an argument itself, by its constructor's arguments.
fn nested<M>(a: &Args, given: Option<Arg>, class: &str, build: fn(&mut Args) -> Result<M>) -> Result<M> {
    match given {
        Some(Arg::Module(mut args)) if args.op() == class => {
            let module = build(&mut args)?;
            args.finish()?;
            Ok(module)
        }
        other => bail!(Unsupported, "{}: expected a {class}, got {other:?}", a.op()),
    }
}

/// The norm at a stack's end.
fn norm(a: &mut Args) -> Result<Option<LayerNorm>> {
    match a.take(2, "norm") {
        None | Some(Arg::None) => Ok(None),
        given => nested(a, given, "LayerNorm", layer_norm).map(Some),
    }
}

/// The masks of one attention.
struct Masks {
    mask: Option<Tensor>,
    key_padding_mask: Option<Tensor>,
    is_causal: Option<bool>,
}

impl Masks {
    fn borrowed(&self) -> AttentionMasks<'_> {
        AttentionMasks {
            mask: self.mask.as_ref(),
            key_padding_mask: self.key_padding_mask.as_ref(),
            is_causal: self.is_causal,
        }
    }
}

/// Mask, mask of padding and whether it is causal, by position and name.
fn masks(a: &mut Args, names: [(usize, &str); 3]) -> Result<Masks> {
    let [mask, padding, causal] = names;
    Ok(Masks {
        mask: a.opt_tensor(mask.0, mask.1)?,
        key_padding_mask: a.opt_tensor(padding.0, padding.1)?,
        is_causal: match a.peek(causal.0, causal.1) {
            None | Some(Arg::None) => {
                a.take(causal.0, causal.1);
                None
            }
            Some(_) => Some(a.bool(causal.0, causal.1, false)?),
        },
    })
}

fn memory_masks(a: &mut Args, mask: usize, padding: usize, causal: usize) -> Result<Masks> {
    let names = [
        (mask, "memory_mask"),
        (padding, "memory_key_padding_mask"),
        (causal, "memory_is_causal"),
    ];
    masks(a, names)
}

/// A call of a decoder or one of its layers.
fn decode(
    a: &mut Args,
    forward: impl FnOnce(&Tensor, &Tensor, AttentionMasks<'_>, AttentionMasks<'_>) -> Result<Tensor>,
) -> Result<Output> {
    let (tgt, memory) = (a.tensor(0, "tgt")?, a.tensor(1, "memory")?);
    let own = masks(
        a,
        [(2, "tgt_mask"), (4, "tgt_key_padding_mask"), (6, "tgt_is_causal")],
    )?;
    let other = memory_masks(a, 3, 5, 7)?;
    out(forward(&tgt, &memory, own.borrowed(), other.borrowed())?)
}
