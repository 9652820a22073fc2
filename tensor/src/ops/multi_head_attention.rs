//! Multi-head attention with its projections (`nn.functional.multi_head_attention_forward`; Vaswani et al., 2017).
//!
//! `out = concat(head₁, …)·Wᵒᵀ + bᵒ`, `headᵢ = attention(q·Wᵢ, k·Wᵢ, v·Wᵢ)`. Where the weights are not asked for, the heads
//! run through the fused attention.

use super::attention::{SdpaOptions, attention_weights, scaled_dot_product_attention};
use super::dropout::dropout;
use super::linear::linear;
use crate::{DType, Result, Tensor, bail, ensure};

/// The projections of query, key and value.
#[derive(Clone, Copy, Debug)]
pub enum InProjection<'a> {
    /// One weight `[3·embed, embed]`, query first.
    Packed(&'a Tensor),
    /// A weight for each of query, key and value.
    Separate([&'a Tensor; 3]),
}

/// What [`multi_head_attention_forward`] needs besides query, key and value.
#[derive(Clone, Copy, Debug)]
pub struct MultiHeadAttention<'a> {
    /// Heads, which divide the embedding.
    pub num_heads: usize,
    /// Projections of query, key and value.
    pub in_projection: InProjection<'a>,
    /// Biases of the three projections, `[3·embed]`.
    pub in_bias: Option<&'a Tensor>,
    /// Weight of the last projection.
    pub out_weight: &'a Tensor,
    /// Its bias.
    pub out_bias: Option<&'a Tensor>,
    /// A key and a value `[1, 1, embed]` (or of that many elements) appended to all sequences.
    pub bias_kv: Option<[&'a Tensor; 2]>,
    /// Append a key and a value of zeros.
    pub add_zero_attn: bool,
    /// Probability with which attention weights are dropped in training.
    pub dropout_p: f64,
    /// Whether this is training.
    pub training: bool,
    /// Keys to be left out: bool (true hides) or added to the scores, `[batch, keys]`.
    pub key_padding_mask: Option<&'a Tensor>,
    /// Bool (true hides) or added to the scores, `[queries, keys]` or `[batch·heads, queries, keys]`.
    pub attn_mask: Option<&'a Tensor>,
    /// That `attn_mask` hides from every query the keys after it and no others: the fused attention need not read it then.
    pub is_causal: bool,
    /// Return the attention weights too.
    pub need_weights: bool,
    /// Average them over the heads.
    pub average_attn_weights: bool,
}

/// A mask as numbers to be added; in contrast to `scaled_dot_product_attention`, true hides.
fn additive(mask: &Tensor, dtype: DType) -> Result<Tensor> {
    if mask.dtype() == DType::Bool {
        let hidden = mask.to_vec::<bool>()?;
        let data = hidden
            .iter()
            .map(|&hidden| if hidden { f64::NEG_INFINITY } else { 0.0 });
        return Tensor::from_vec(data.collect::<Vec<f64>>(), mask.shape())?.to_dtype(dtype);
    }
    ensure!(
        mask.dtype().is_float(),
        DType,
        "multi_head_attention_forward: expected masks of bools or floating point numbers, got {}",
        mask.dtype()
    );
    mask.to_dtype(dtype)
}

/// Whether `[length, batch, …]` is a view of `[batch, length, …]`, as it comes from a layer whose inputs have the batch first. What
/// is done to it in that order needs no copy.
fn is_batch_major(x: &Tensor) -> Result<bool> {
    Ok(!x.is_contiguous() && x.transpose(0, 1)?.is_contiguous())
}

/// [`linear`] of `[length, batch, …]`, in the order in which its elements lie.
fn linear_in_place(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    if is_batch_major(x)? {
        linear(&x.transpose(0, 1)?, weight, bias)?.transpose(0, 1)
    } else {
        linear(x, weight, bias)
    }
}

/// `[length, batch, embed]` as `[batch·heads, length, embed / heads]`.
fn split_heads(x: &Tensor, heads: usize) -> Result<Tensor> {
    let [length, batch, embed] = three(x)?;
    if is_batch_major(x)? {
        let split = x
            .transpose(0, 1)?
            .reshape((batch, length, heads, embed / heads))?;
        return split
            .transpose(1, 2)?
            .reshape((batch * heads, length, embed / heads));
    }
    x.reshape((length, batch * heads, embed / heads))?.transpose(0, 1)
}

/// The reverse of [`split_heads`], with the elements in the order of batches if `batch_major`.
fn merge_heads(x: &Tensor, heads: usize, batch_major: bool) -> Result<Tensor> {
    let [members, length, size] = three(x)?;
    let (batch, embed) = (members / heads, heads * size);
    if batch_major {
        let split = x.reshape((batch, heads, length, size))?.transpose(1, 2)?;
        return split.reshape((batch, length, embed))?.transpose(0, 1);
    }
    x.transpose(0, 1)?.reshape((length, batch, embed))
}

fn three(x: &Tensor) -> Result<[usize; 3]> {
    match *x.shape() {
        [a, b, c] => Ok([a, b, c]),
        ref other => bail!(
            Shape,
            "multi_head_attention_forward: expected [length, batch, embed], got {other:?}"
        ),
    }
}

impl MultiHeadAttention<'_> {
    /// Query, key and value projected, `[length, batch, embed]` each.
    fn project(&self, inputs: [&Tensor; 3]) -> Result<[Tensor; 3]> {
        let embed = inputs[0].shape()[2];
        let packed = match self.in_projection {
            InProjection::Packed(weight) => Some(weight.shape()),
            InProjection::Separate(_) => None,
        };
        let bias = self.in_bias.map(Tensor::shape);
        ensure!(
            packed.is_none_or(|shape| shape == [3 * embed, embed])
                && bias.is_none_or(|shape| shape == [3 * embed]),
            Shape,
            "multi_head_attention_forward: expected in_proj_weight [{0}, {embed}] and in_proj_bias [{0}], got {packed:?} and {bias:?}",
            3 * embed
        );
        let part = |packed: &Tensor, i: usize| packed.narrow(0, (i * embed) as isize, embed);
        let project = |i: usize| {
            let weight = match self.in_projection {
                InProjection::Packed(weight) => part(weight, i)?,
                InProjection::Separate(weights) => weights[i].clone(),
            };
            let bias = self.in_bias.map(|bias| part(bias, i)).transpose()?;
            linear_in_place(inputs[i], &weight, bias.as_ref())
        };
        Ok([project(0)?, project(1)?, project(2)?])
    }

    /// The sum of both masks, `[batch·heads, queries, keys]` or broadcasting to that, widened by `extra` visible keys.
    fn mask(
        &self,
        batch: usize,
        [queries, keys]: [usize; 2],
        extra: usize,
        dtype: DType,
    ) -> Result<Option<Tensor>> {
        let widen = |mask: Tensor| mask.pad(&[0, extra as isize], super::pad::PadMode::Constant, 0.0);
        let heads = self.num_heads;
        let mut sum = None;
        if let Some(mask) = self.attn_mask {
            let fits = mask.shape() == [queries, keys] || mask.shape() == [batch * heads, queries, keys];
            ensure!(
                fits,
                Shape,
                "multi_head_attention_forward: expected a mask [{queries}, {keys}] or [{}, {queries}, {keys}], got {:?}",
                batch * heads,
                mask.shape()
            );
            sum = Some(widen(additive(mask, dtype)?)?);
        }
        if let Some(mask) = self.key_padding_mask {
            ensure!(
                mask.shape() == [batch, keys],
                Shape,
                "multi_head_attention_forward: expected a key_padding_mask [{batch}, {keys}], got {:?}",
                mask.shape()
            );
            let mask = widen(additive(mask, dtype)?)?;
            let width = keys + extra;
            let mask = mask
                .reshape((batch, 1, 1, width))?
                .expand((batch, heads, 1, width))?;
            let mask = mask.reshape((batch * heads, 1, width))?;
            sum = Some(match sum {
                Some(sum) => sum.add(&mask)?,
                None => mask,
            });
        }
        Ok(sum)
    }
}

/// Attention of several heads between the projections of query, key and value; also the attention weights, if asked for.
///
/// # Shapes
/// query `[queries, batch, embed]`, key and value `[keys, batch, …]` → `[queries, batch, embed]` and, averaged,
/// `[batch, queries, keys]`, else `[batch, heads, queries, keys]`. The batch may be left out everywhere.
///
/// # Errors
/// `Shape` if shapes do not fit; `DType` if types differ.
pub fn multi_head_attention_forward(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    options: &MultiHeadAttention<'_>,
) -> Result<(Tensor, Option<Tensor>)> {
    let op = "multi_head_attention_forward";
    if query.rank() == 2 {
        let [q, k, v] = [query, key, value].map(|x| x.unsqueeze(1));
        let padding = options
            .key_padding_mask
            .map(|mask| mask.unsqueeze(0))
            .transpose()?;
        let options = MultiHeadAttention {
            key_padding_mask: padding.as_ref(),
            ..*options
        };
        let (out, weights) = multi_head_attention_forward(&q?, &k?, &v?, &options)?;
        let weights = weights.map(|weights| weights.squeeze_dim(0)).transpose()?;
        return Ok((out.squeeze_dim(1)?, weights));
    }
    let ([queries, batch, embed], [keys, key_batch, _]) = (three(query)?, three(key)?);
    let heads = options.num_heads;
    ensure!(
        heads > 0 && embed % heads == 0,
        Shape,
        "{op}: an embedding of {embed} does not divide into {heads} heads"
    );
    ensure!(
        key_batch == batch && value.shape()[..value.rank().min(2)] == [keys, batch],
        Shape,
        "{op}: query {:?}, key {:?} and value {:?} differ in batch or length",
        query.shape(),
        key.shape(),
        value.shape()
    );
    let [q, mut k, mut v] = options.project([query, key, value])?;
    let mut extra = 0;
    if let Some(biases) = options.bias_kv {
        let [bias_k, bias_v] = biases.map(|bias| bias.reshape((1, 1, embed))?.expand((1, batch, embed)));
        k = Tensor::cat(&[&k, &bias_k?], 0)?;
        v = Tensor::cat(&[&v, &bias_v?], 0)?;
        extra += 1;
    }
    if options.add_zero_attn {
        let zeros = Tensor::zeros((1, batch, embed), k.dtype())?;
        k = Tensor::cat(&[&k, &zeros], 0)?;
        v = Tensor::cat(&[&v, &zeros], 0)?;
        extra += 1;
    }
    let drops = options.training && options.dropout_p > 0.0;
    let fused = !options.need_weights && !drops;
    let causal = fused && options.is_causal && options.key_padding_mask.is_none();
    let mask = if causal {
        None
    } else {
        options.mask(batch, [queries, keys], extra, q.dtype())?
    };
    let [q, k, v] = [&q, &k, &v].map(|x| split_heads(x, heads));
    let (q, k, v) = (q?, k?, v?);
    let (context, weights) = if !fused {
        let scale = 1.0 / ((embed / heads) as f64).sqrt();
        let mut scores = q.mul(scale)?.matmul(&k.transpose(-2, -1)?)?;
        if let Some(mask) = &mask {
            scores = scores.add(mask)?;
        }
        // As in PyTorch, a query from which all keys are hidden has weights of NaN where weights are asked for.
        let weights = if options.need_weights {
            scores.softmax(-1)?
        } else {
            attention_weights(&scores)?
        };
        let weights = dropout(&weights, options.dropout_p, options.training)?;
        (weights.matmul(&v)?, Some(weights))
    } else {
        let options = SdpaOptions {
            attn_mask: mask.as_ref(),
            is_causal: causal,
            ..SdpaOptions::default()
        };
        (scaled_dot_product_attention(&q, &k, &v, &options)?, None)
    };
    let merged = merge_heads(&context, heads, is_batch_major(query)?)?;
    let out = linear_in_place(&merged, options.out_weight, options.out_bias)?;
    let weights = match weights.filter(|_| options.need_weights) {
        None => None,
        Some(weights) => {
            let weights = weights.reshape((batch, heads, queries, keys + extra))?;
            Some(if options.average_attn_weights {
                weights.sum_dim(1, false)?.div(heads as f64)?
            } else {
                weights
            })
        }
    };
    Ok((out, weights))
}
