//! `nn.functional`: convolutions, linear layers, normalisation, attention, embeddings.

use flambeau_tensor::ops::attention::{SdpaOptions, scaled_dot_product_attention};
use flambeau_tensor::ops::conv::{ConvOptions, ConvTransposeOptions, Padding, conv, conv_transpose};
use flambeau_tensor::ops::embedding::{
    BagMode, EmbeddingBagOptions, EmbeddingOptions, embedding, embedding_bag,
};
use flambeau_tensor::ops::linear::{bilinear, linear};
use flambeau_tensor::ops::multi_head_attention::{
    InProjection, MultiHeadAttention, multi_head_attention_forward,
};
use flambeau_tensor::ops::norm::{
    BatchNormOptions, RunningStats, batch_norm, group_norm, instance_norm, layer_norm, rms_norm,
};
use flambeau_tensor::ops::normalize::{local_response_norm, normalize};
use flambeau_tensor::{Result, Tensor, bail};

use crate::args::{Arg, Args};
use crate::registry::{Entry, Output, out};

pub(super) const TABLE: &[Entry] = &[
    ("nn.functional.conv1d", |a| convolution::<1>(a)),
    ("nn.functional.conv2d", |a| convolution::<2>(a)),
    ("nn.functional.conv3d", |a| convolution::<3>(a)),
    ("nn.functional.conv_transpose1d", |a| {
        transposed_convolution::<1>(a)
    }),
    ("nn.functional.conv_transpose2d", |a| {
        transposed_convolution::<2>(a)
    }),
    ("nn.functional.conv_transpose3d", |a| {
        transposed_convolution::<3>(a)
    }),
    ("nn.functional.linear", |a| {
        let (x, w, b) = (
            a.tensor(0, "input")?,
            a.tensor(1, "weight")?,
            a.opt_tensor(2, "bias")?,
        );
        out(linear(&x, &w, b.as_ref())?)
    }),
    ("nn.functional.bilinear", |a| {
        let (x1, x2) = (a.tensor(0, "input1")?, a.tensor(1, "input2")?);
        let (w, b) = (a.tensor(2, "weight")?, a.opt_tensor(3, "bias")?);
        out(bilinear(&x1, &x2, &w, b.as_ref())?)
    }),
    ("nn.functional.batch_norm", |a| {
        let x = a.tensor(0, "input")?;
        with_batch_norm_options(a, 6, |a, options| {
            out(batch_norm(&x, a.bool(5, "training", false)?, options)?)
        })
    }),
    ("nn.functional.instance_norm", |a| {
        let x = a.tensor(0, "input")?;
        with_batch_norm_options(a, 6, |a, options| {
            out(instance_norm(&x, a.bool(5, "use_input_stats", true)?, options)?)
        })
    }),
    ("nn.functional.group_norm", |a| {
        let (x, groups) = (a.tensor(0, "input")?, a.required_int(1, "num_groups")?);
        let (w, b) = (a.opt_tensor(2, "weight")?, a.opt_tensor(3, "bias")?);
        let eps = a.float(4, "eps", 1e-5)?;
        out(group_norm(
            &x,
            count("num_groups", groups, a)?,
            w.as_ref(),
            b.as_ref(),
            eps,
        )?)
    }),
    ("nn.functional.layer_norm", |a| {
        let (x, shape) = (
            a.tensor(0, "input")?,
            counts("normalized_shape", &a.ints(1, "normalized_shape")?, a)?,
        );
        let (w, b) = (a.opt_tensor(2, "weight")?, a.opt_tensor(3, "bias")?);
        let eps = a.float(4, "eps", 1e-5)?;
        out(layer_norm(&x, &shape, w.as_ref(), b.as_ref(), eps)?)
    }),
    ("nn.functional.rms_norm", |a| {
        let (x, shape) = (
            a.tensor(0, "input")?,
            counts("normalized_shape", &a.ints(1, "normalized_shape")?, a)?,
        );
        let (w, eps) = (a.opt_tensor(2, "weight")?, a.opt_float(3, "eps")?);
        out(rms_norm(&x, &shape, w.as_ref(), eps)?)
    }),
    ("nn.functional.normalize", |a| {
        let (x, p) = (a.tensor(0, "input")?, a.float(1, "p", 2.0)?);
        let dims = a.opt_dims(2, "dim")?.unwrap_or_else(|| vec![1]);
        out(normalize(&x, p, dims, a.float(3, "eps", 1e-12)?)?)
    }),
    ("nn.functional.local_response_norm", |a| {
        let (x, size) = (a.tensor(0, "input")?, a.required_int(1, "size")?);
        let (alpha, beta, k) = (
            a.float(2, "alpha", 1e-4)?,
            a.float(3, "beta", 0.75)?,
            a.float(4, "k", 1.0)?,
        );
        out(local_response_norm(&x, count("size", size, a)?, alpha, beta, k)?)
    }),
    ("nn.functional.scaled_dot_product_attention", |a| {
        let (q, k, v) = (a.tensor(0, "query")?, a.tensor(1, "key")?, a.tensor(2, "value")?);
        let mask = a.opt_tensor(3, "attn_mask")?;
        let dropout_p = a.float(4, "dropout_p", 0.0)?;
        let options = SdpaOptions {
            attn_mask: mask.as_ref(),
            dropout_p,
            is_causal: a.bool(5, "is_causal", false)?,
            scale: a.opt_float(6, "scale")?,
            enable_gqa: a.bool(7, "enable_gqa", false)?,
        };
        out(scaled_dot_product_attention(&q, &k, &v, &options)?)
    }),
    ("nn.functional.multi_head_attention_forward", multi_head_attention),
    ("nn.functional.embedding", |a| {
        let (index, weight) = (a.tensor(0, "input")?, a.tensor(1, "weight")?);
        let options = EmbeddingOptions {
            padding_idx: a.opt_int(2, "padding_idx")?.map(|i| i as isize),
            max_norm: a.opt_float(3, "max_norm")?,
            norm_type: a.float(4, "norm_type", 2.0)?,
            scale_grad_by_freq: a.bool(5, "scale_grad_by_freq", false)?,
        };
        a.bool(6, "sparse", false)?; // how PyTorch stores the gradient, not what it is
        out(embedding(&index, &weight, &options)?)
    }),
    ("nn.functional.embedding_bag", |a| {
        let (index, weight) = (a.tensor(0, "input")?, a.tensor(1, "weight")?);
        let (offsets, factors) = (
            a.opt_tensor(2, "offsets")?,
            a.opt_tensor(8, "per_sample_weights")?,
        );
        let table = EmbeddingOptions {
            max_norm: a.opt_float(3, "max_norm")?,
            norm_type: a.float(4, "norm_type", 2.0)?,
            scale_grad_by_freq: a.bool(5, "scale_grad_by_freq", false)?,
            padding_idx: a.opt_int(10, "padding_idx")?.map(|i| i as isize),
        };
        let mode = match a.opt_str(6, "mode")?.as_deref() {
            None | Some("mean") => BagMode::Mean,
            Some("sum") => BagMode::Sum,
            Some("max") => BagMode::Max,
            Some(other) => bail!(Value, "embedding_bag: mode {other}"),
        };
        a.bool(7, "sparse", false)?; // how PyTorch stores the gradient, not what it is
        let options = EmbeddingBagOptions {
            mode,
            offsets: offsets.as_ref(),
            per_sample_weights: factors.as_ref(),
            include_last_offset: a.bool(9, "include_last_offset", false)?,
            table,
        };
        out(embedding_bag(&index, &weight, &options)?)
    }),
];

/// A number that must not be negative.
pub(super) fn count(name: &str, i: i64, a: &Args) -> Result<usize> {
    match usize::try_from(i) {
        Ok(i) => Ok(i),
        Err(_) => bail!(
            Value,
            "{}: argument `{name}`: expected a number that is not negative, got {i}",
            a.op()
        ),
    }
}

/// Numbers that must not be negative.
pub(super) fn counts(name: &str, ints: &[i64], a: &Args) -> Result<Vec<usize>> {
    ints.iter().map(|&i| count(name, i, a)).collect()
}

/// One number per dimension; a single one stands for all, no argument or an empty list for `None`.
pub(super) fn per_dimension<const D: usize>(
    a: &mut Args,
    position: usize,
    name: &str,
) -> Result<Option<[usize; D]>> {
    let Some(ints) = a.opt_ints(position, name)? else {
        return Ok(None);
    };
    match counts(name, &ints, a)?[..] {
        [] => Ok(None),
        [all] => Ok(Some([all; D])),
        ref each if each.len() == D => Ok(Some(std::array::from_fn(|d| each[d]))),
        ref other => bail!(
            Value,
            "{}: argument `{name}`: expected {D} numbers, got {other:?}",
            a.op()
        ),
    }
}

fn convolution<const D: usize>(a: &mut Args) -> Result<Output> {
    let (x, w, b) = (
        a.tensor(0, "input")?,
        a.tensor(1, "weight")?,
        a.opt_tensor(2, "bias")?,
    );
    let stride = per_dimension::<D>(a, 3, "stride")?.unwrap_or([1; D]);
    let padding = match a.peek(4, "padding") {
        Some(Arg::Str(_)) => match a.opt_str(4, "padding")?.as_deref() {
            Some("same") => Padding::Same,
            Some("valid") => Padding::Valid,
            other => bail!(Value, "{}: padding {other:?}", a.op()),
        },
        _ => Padding::Explicit(per_dimension::<D>(a, 4, "padding")?.unwrap_or([0; D])),
    };
    let options = ConvOptions {
        stride,
        padding,
        dilation: per_dimension::<D>(a, 5, "dilation")?.unwrap_or([1; D]),
        groups: count("groups", a.int(6, "groups", 1)?, a)?,
    };
    out(conv(&x, &w, b.as_ref(), &options)?)
}

fn transposed_convolution<const D: usize>(a: &mut Args) -> Result<Output> {
    let (x, w, b) = (
        a.tensor(0, "input")?,
        a.tensor(1, "weight")?,
        a.opt_tensor(2, "bias")?,
    );
    let options = ConvTransposeOptions {
        stride: per_dimension::<D>(a, 3, "stride")?.unwrap_or([1; D]),
        padding: per_dimension::<D>(a, 4, "padding")?.unwrap_or([0; D]),
        output_padding: per_dimension::<D>(a, 5, "output_padding")?.unwrap_or([0; D]),
        groups: count("groups", a.int(6, "groups", 1)?, a)?,
        dilation: per_dimension::<D>(a, 7, "dilation")?.unwrap_or([1; D]),
    };
    out(conv_transpose(&x, &w, b.as_ref(), &options)?)
}

/// Running statistics, weight and bias at positions 1 to 4, momentum and eps from `momentum_at` on.
fn with_batch_norm_options(
    a: &mut Args,
    momentum_at: usize,
    call: impl FnOnce(&mut Args, &BatchNormOptions<'_>) -> Result<Output>,
) -> Result<Output> {
    let (mean, var) = (a.opt_tensor(1, "running_mean")?, a.opt_tensor(2, "running_var")?);
    let (weight, bias) = (a.opt_tensor(3, "weight")?, a.opt_tensor(4, "bias")?);
    let running = match (&mean, &var) {
        (Some(mean), Some(var)) => Some(RunningStats { mean, var }),
        (None, None) => None,
        _ => bail!(Unsupported, "{}: one running statistic without the other", a.op()),
    };
    let options = BatchNormOptions {
        running,
        weight: weight.as_ref(),
        bias: bias.as_ref(),
        momentum: a.float(momentum_at, "momentum", 0.1)?,
        eps: a.float(momentum_at + 1, "eps", 1e-5)?,
    };
    call(a, &options)
}

fn multi_head_attention(a: &mut Args) -> Result<Output> {
    let (q, k, v) = (a.tensor(0, "query")?, a.tensor(1, "key")?, a.tensor(2, "value")?);
    let embed = a.required_int(3, "embed_dim_to_check")?;
    if q.shape().last() != Some(&count("embed_dim_to_check", embed, a)?) {
        bail!(
            Shape,
            "multi_head_attention_forward: expected an embedding of {embed}, got {:?}",
            q.shape()
        )
    }
    let num_heads = count("num_heads", a.required_int(4, "num_heads")?, a)?;
    let (in_weight, in_bias) = (
        a.opt_tensor(5, "in_proj_weight")?,
        a.opt_tensor(6, "in_proj_bias")?,
    );
    let (bias_k, bias_v) = (a.opt_tensor(7, "bias_k")?, a.opt_tensor(8, "bias_v")?);
    let add_zero_attn = a.bool(9, "add_zero_attn", false)?;
    let dropout_p = a.float(10, "dropout_p", 0.0)?;
    let (out_weight, out_bias) = (
        a.tensor(11, "out_proj_weight")?,
        a.opt_tensor(12, "out_proj_bias")?,
    );
    let training = a.bool(13, "training", true)?;
    let key_padding_mask = a.opt_tensor(14, "key_padding_mask")?;
    let need_weights = a.bool(15, "need_weights", true)?;
    let attn_mask = a.opt_tensor(16, "attn_mask")?;
    let separate = a.bool(17, "use_separate_proj_weight", false)?;
    let weights = [
        a.opt_tensor(18, "q_proj_weight")?,
        a.opt_tensor(19, "k_proj_weight")?,
        a.opt_tensor(20, "v_proj_weight")?,
    ];
    for (position, name) in [(21, "static_k"), (22, "static_v")] {
        if a.opt_tensor(position, name)?.is_some() {
            bail!(Unsupported, "multi_head_attention_forward: {name}")
        }
    }
    let average_attn_weights = a.bool(23, "average_attn_weights", true)?;
    let is_causal = a.bool(24, "is_causal", false)?;
    let in_projection = match (&in_weight, &weights) {
        (_, [Some(q), Some(k), Some(v)]) if separate => InProjection::Separate([q, k, v]),
        (Some(packed), _) if !separate => InProjection::Packed(packed),
        _ => bail!(
            Value,
            "multi_head_attention_forward: the projections' weights are missing"
        ),
    };
    let bias_kv: Option<[&Tensor; 2]> = bias_k.as_ref().zip(bias_v.as_ref()).map(|(k, v)| [k, v]);
    let options = MultiHeadAttention {
        num_heads,
        in_projection,
        in_bias: in_bias.as_ref(),
        out_weight: &out_weight,
        out_bias: out_bias.as_ref(),
        bias_kv,
        add_zero_attn,
        dropout_p,
        training,
        key_padding_mask: key_padding_mask.as_ref(),
        attn_mask: attn_mask.as_ref(),
        is_causal,
        need_weights,
        average_attn_weights,
    };
    let (attended, weights) = multi_head_attention_forward(&q, &k, &v, &options)?;
    let weights = weights.map_or(Arg::None, Arg::Tensor);
    Ok(Output {
        values: vec![Arg::Tensor(attended), weights],
    })
}
