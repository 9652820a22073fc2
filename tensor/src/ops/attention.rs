//! Scaled-dot-product attention `softmax(scale · Q·Kᵀ + mask)·V` (`nn.functional.scaled_dot_product_attention`).
//!
//! A primitive (but with dropout, and with a mask that requires a gradient), because the fused kernels never store the scores: memory grows with the number of queries and keys, not
//! with their product.

use flambeau_kernels::attention::{
    AttentionGradients, AttentionMask, AttentionOptions, AttentionShape, attention_backward,
    attention_forward,
};
use flambeau_kernels::mem::Buf;

use crate::amp::under_autocast;
use crate::graph::{Op, Saved, record};
use crate::ops::create::checked_numel;
use crate::ops::dropout::dropout;
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, broadcast_shapes, ensure, no_grad, with_float};

/// Options of [`scaled_dot_product_attention`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug, Default)]
pub struct SdpaOptions<'a> {
    /// Bool: whether a query may see a key; else added to the scores. Broadcasts to `[…, queries, keys]`.
    pub attn_mask: Option<&'a Tensor>,
    /// Probability with which a weight is dropped, and the others scaled up: whatever the mode, so pass 0 when evaluating.
    pub dropout_p: f64,
    /// Query `i` sees keys up to `i` only. Not with a mask.
    pub is_causal: bool,
    /// Factor of the scores; `1/√dim` unless given.
    pub scale: Option<f64>,
    /// Queries may have several times as many heads (third dimension from the end) as keys and values.
    pub enable_gqa: bool,
}

/// A recorded attention.
#[derive(Clone, Debug)]
pub struct AttentionOp {
    /// Queries `[batch…, queries, dim]`.
    pub query: Saved,
    /// Keys `[batch…, keys, dim]`.
    pub key: Saved,
    /// Values `[batch…, keys, value_dim]`.
    pub value: Saved,
    /// Factor of the scores.
    pub scale: f64,
    /// Whether query `i` sees keys up to `i` only.
    pub causal: bool,
    /// Added to the scores, `[batch…, queries, keys]`.
    mask: Option<Value>,
    out: Value,
    logsumexp: Value,
}

/// Factor of the scores, mask and causality of one call.
struct Scores<'a> {
    scale: f64,
    causal: bool,
    mask: Option<&'a Value>,
}

/// The kernel's sizes: dimensions before the last two count as one.
fn sizes(q: &Value, k: &Value, v: &Value) -> AttentionShape {
    let from_end = |x: &Value, i: usize| x.shape[x.shape.len() - i];
    AttentionShape {
        batch: q.shape[..q.shape.len() - 2].iter().product(),
        queries: from_end(q, 2),
        keys: from_end(k, 2),
        dim: from_end(q, 1),
        value_dim: from_end(v, 1),
    }
}

/// The mask as `[batch, heads, queries, keys]`, strides and all.
fn mask_view(mask: &Value) -> Result<Value> {
    let rank = mask.shape.len();
    let heads = if rank > 2 { mask.shape[rank - 3] } else { 1 };
    let batch = mask.shape[..rank.saturating_sub(3)].iter().product();
    mask.reshaped(Shape::new(&[
        batch,
        heads,
        mask.shape[rank - 2],
        mask.shape[rank - 1],
    ]))
}

fn forward(q: &Value, k: &Value, v: &Value, scores: &Scores<'_>) -> Result<(Value, Value)> {
    let dtype = q.dtype;
    if dtype.is_half() {
        let wide = |x: &Value| x.cast(DType::F32);
        let mask = scores.mask.map(wide).transpose()?;
        let scores = Scores {
            mask: mask.as_ref(),
            ..*scores
        };
        let (out, logsumexp) = forward(&wide(q)?, &wide(k)?, &wide(v)?, &scores)?;
        return Ok((out.cast(dtype)?, logsumexp));
    }
    let shape = sizes(q, k, v);
    let (q, k, v) = (q.contiguous()?, k.contiguous()?, v.contiguous()?);
    let row_shape = Shape::new(&q.shape[..q.shape.len() - 1]);
    let mask = scores.mask.map(mask_view).transpose()?;
    with_float!("scaled_dot_product_attention", dtype, T => {
        let (q, k, v) = (q.data::<T>()?, k.data::<T>()?, v.data::<T>()?);
        let options = options::<T>(scores, mask.as_ref())?;
        let mut sums = Buf::<T>::take(row_shape.numel());
        let mut out_shape = row_shape.clone();
        out_shape.push(shape.value_dim);
        let out = Value::build::<T>(dtype, out_shape, |out| {
            if shape.keys == 0 {
                out.fill(0.0);
                sums.fill(T::NEG_INFINITY);
            } else {
                attention_forward(&shape, q, k, v, &options, out, &mut sums);
            }
        })?;
        Ok((out, Value::new(sums, dtype, row_shape)))
    })
}

fn options<'a, T: crate::buffer::Stored + flambeau_kernels::simd::Real>(
    scores: &Scores<'_>,
    mask: Option<&'a Value>,
) -> Result<AttentionOptions<'a, T>> {
    let mask = match mask {
        None => None,
        Some(mask) => Some(AttentionMask {
            data: mask.data::<T>()?,
            heads: mask.shape[1],
            strides: std::array::from_fn(|d| mask.strides[d]),
        }),
    };
    Ok(AttentionOptions {
        scale: T::from_f64(scores.scale),
        causal: scores.causal,
        mask,
    })
}

/// A mask as numbers to be added: 0 where a bool mask is true, else -∞.
fn additive(mask: &Value, dtype: DType) -> Result<Value> {
    if mask.dtype != DType::Bool {
        return mask.cast_view(dtype);
    }
    let seen = mask.contiguous()?;
    let mut bytes = seen;
    bytes.dtype = DType::U8;
    let full = if dtype == DType::F64 {
        DType::F64
    } else {
        DType::F32
    };
    let added = with_float!("scaled_dot_product_attention", full, T => {
        let data = bytes.data::<u8>()?;
        Value::build::<T>(full, bytes.shape.clone(), |out| {
            out.iter_mut().zip(data).for_each(|(o, &seen)| *o = if seen != 0 { 0.0 } else { T::NEG_INFINITY });
        })?
    });
    added.cast_view(dtype)
}

/// `softmax(scale · Q·Kᵀ + mask)·V`, the weights thinned out by dropout if asked for. A query whose keys are all hidden gives zeros.
///
/// # Shapes
/// query `[…, queries, dim]`, key `[…, keys, dim]`, value `[…, keys, value_dim]` → `[…, queries, value_dim]`; what stands
/// before is broadcast.
///
/// # Errors
/// `Shape` or `Broadcast` if shapes do not fit; `DType` unless query, key and value are of one floating point type;
/// `Value` for a mask with `is_causal` and for what is no probability.
pub fn scaled_dot_product_attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    options: &SdpaOptions<'_>,
) -> Result<Tensor> {
    under_autocast!("scaled_dot_product_attention": query, key, value, attn_mask = options.attn_mask =>
        scaled_dot_product_attention(query, key, value, &SdpaOptions { attn_mask, ..*options }));
    let op = "scaled_dot_product_attention";
    let (qs, ks, vs) = (query.shape(), key.shape(), value.shape());
    let dtypes = [query.dtype(), key.dtype(), value.dtype()];
    ensure!(
        dtypes == [dtypes[0]; 3] && dtypes[0].is_float(),
        DType,
        "{op}: expected query, key and value of one floating point type, got {dtypes:?}"
    );
    let last = |s: &[usize], i: usize| s.len().checked_sub(i).map(|d| s[d]);
    let fits =
        [qs, ks, vs].iter().all(|s| s.len() >= 2) && last(qs, 1) == last(ks, 1) && last(ks, 2) == last(vs, 2);
    ensure!(
        fits,
        Shape,
        "{op}: query {qs:?}, key {ks:?} and value {vs:?}: expected […, queries, dim], […, keys, dim], […, keys, value_dim]"
    );
    ensure!(
        !(options.is_causal && options.attn_mask.is_some()),
        Value,
        "{op}: is_causal and attn_mask exclude each other"
    );
    let (key, value) = if options.enable_gqa {
        (repeat_heads(op, query, key)?, repeat_heads(op, query, value)?)
    } else {
        (key.clone(), value.clone())
    };
    let (ks, vs) = (key.shape(), value.shape());
    let (queries, keys, dim) = (qs[qs.len() - 2], ks[ks.len() - 2], qs[qs.len() - 1]);
    let batch = broadcast_shapes(
        op,
        &[&qs[..qs.len() - 2], &ks[..ks.len() - 2], &vs[..vs.len() - 2]],
    )?;
    let scale = options.scale.unwrap_or(1.0 / (dim as f64).sqrt());
    ensure!(
        (0.0..=1.0).contains(&options.dropout_p),
        Value,
        "{op}: expected a dropout probability in [0, 1], got {}",
        options.dropout_p
    );
    let with_batch = |x: &Tensor| -> Result<Tensor> {
        let mut shape = batch.clone();
        x.shape()[x.rank() - 2..]
            .iter()
            .for_each(|&size| shape.push(size));
        if x.shape() == &shape[..] {
            Ok(x.clone())
        } else {
            x.expand(shape)
        }
    };
    let (query, key, value) = (with_batch(query)?, with_batch(&key)?, with_batch(&value)?);
    let mut score_shape = batch.clone();
    score_shape.push(queries);
    score_shape.push(keys);
    let mask = match options.attn_mask {
        None => None,
        Some(mask) => {
            let dtype = mask.dtype();
            ensure!(
                dtype == DType::Bool || dtype.is_float(),
                DType,
                "{op}: expected a mask of bools or floating point numbers, got {dtype}"
            );
            let fits = broadcast_shapes(op, &[mask.shape(), &score_shape])? == score_shape;
            ensure!(
                fits,
                Broadcast,
                "{op}: the mask {:?} does not broadcast to {score_shape:?}",
                mask.shape()
            );
            if mask.is_tracked() && crate::is_grad_enabled() {
                let mask = mask.to_dtype(query.dtype())?;
                return composite(&query, &key, &value, Some(&mask), scale, options.dropout_p);
            }
            Some(additive(&mask.value(), query.dtype())?.expanded(&score_shape))
        }
    };
    if options.dropout_p > 0.0 {
        let hidden = if options.is_causal {
            Some(causal_mask(queries, keys, query.dtype())?)
        } else {
            None
        };
        let mask = mask.map(Tensor::from_value).or(hidden);
        return composite(&query, &key, &value, mask.as_ref(), scale, options.dropout_p);
    }
    let mut out_shape = batch;
    out_shape.push(queries);
    out_shape.push(value.shape()[value.rank() - 1]);
    checked_numel(op, &out_shape)?;
    let (q, k, v) = (query.read(), key.read(), value.read());
    let scores = Scores {
        scale,
        causal: options.is_causal,
        mask: mask.as_ref(),
    };
    let (out, logsumexp) = forward(&q.value, &k.value, &v.value, &scores)?;
    let tensor = record(out, &[&q, &k, &v], |out| {
        Op::Attention(AttentionOp {
            query: q.clone(),
            key: k.clone(),
            value: v.clone(),
            scale,
            causal: options.is_causal,
            mask: mask.clone(),
            out: out.clone(),
            logsumexp,
        })
    });
    Ok(tensor)
}

/// Heads of keys or values repeated to as many as the query has.
fn repeat_heads(op: &str, query: &Tensor, x: &Tensor) -> Result<Tensor> {
    let (qs, xs) = (query.shape(), x.shape());
    ensure!(
        qs.len() >= 3 && xs.len() >= 3,
        Shape,
        "{op}: grouped queries need [heads, length, dim], got {qs:?} and {xs:?}"
    );
    let (wanted, heads) = (qs[qs.len() - 3], xs[xs.len() - 3]);
    ensure!(
        heads > 0 && wanted % heads == 0,
        Shape,
        "{op}: {heads} heads of {xs:?} do not divide the query's {wanted}"
    );
    if wanted == heads {
        return Ok(x.clone());
    }
    let at = xs.len() - 3;
    let (mut repeated, mut merged) = (Shape::new(xs), Shape::new(xs));
    repeated.insert(at + 1, wanted / heads);
    merged[at] = wanted;
    x.unsqueeze(at as isize + 1)?.expand(repeated)?.reshape(merged)
}

/// Attention of recorded operations, for a mask that requires a gradient and for dropout: the scores are kept as a whole.
fn composite(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    mask: Option<&Tensor>,
    scale: f64,
    dropout_p: f64,
) -> Result<Tensor> {
    let mut scores = query.mul(scale)?.matmul(&key.transpose(-2, -1)?)?;
    if let Some(mask) = mask {
        scores = scores.add(mask)?;
    }
    dropout(&attention_weights(&scores)?, dropout_p, true)?.matmul(value)
}

/// What hides from query `i` the keys behind the `i`-th: `[queries, keys]`.
fn causal_mask(queries: usize, keys: usize, dtype: DType) -> Result<Tensor> {
    let hidden = |at: usize| {
        if at % keys > at / keys {
            f64::NEG_INFINITY
        } else {
            0.0
        }
    };
    let data: Vec<f64> = (0..queries * keys).map(hidden).collect();
    Tensor::from_vec(data, (queries, keys))?.to_dtype(dtype)
}

/// The softmax of scores over the last dimension; a row of -∞ alone gives zeros. Recorded.
///
/// # Errors
/// `Shape` for 0-d scores; `DType` unless they are of a floating point type.
pub fn attention_weights(scores: &Tensor) -> Result<Tensor> {
    let (shift, missing) = no_grad(|| row_shift(&scores.detach()))?;
    let weights = scores.sub(&shift)?.exp()?;
    weights.div(&weights.sum_dim(-1, true)?.add(&missing)?)
}

/// A finite number near the maximum of every row, and 1 for rows of -∞ alone, else 0.
fn row_shift(scores: &Tensor) -> Result<(Tensor, Tensor)> {
    ensure!(
        scores.rank() > 0,
        Shape,
        "attention_weights: expected rows of scores, got a 0-d tensor"
    );
    let (dtype, mut shape) = (scores.dtype(), scores.dims().clone());
    let last = shape.len() - 1;
    let width = std::mem::replace(&mut shape[last], 1);
    let data = scores.to_vec_f64()?;
    let largest = |row: &[f64]| row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let maxima: Vec<f64> = if width == 0 {
        vec![f64::NEG_INFINITY; shape.numel()]
    } else {
        data.chunks_exact(width).map(largest).collect()
    };
    let shift = maxima
        .iter()
        .map(|&m| if m.is_finite() { m } else { 0.0 })
        .collect();
    let missing = maxima
        .iter()
        .map(|&m| (m == f64::NEG_INFINITY) as u8 as f64)
        .collect();
    let tensor = |data: Vec<f64>| Tensor::from_vec(data, shape.clone())?.to_dtype(dtype);
    Ok((tensor(shift)?, tensor(missing)?))
}

impl Tensor {
    /// The gradients of query, key and value of `op`, this tensor being that of its output, by one fused kernel, not
    /// recorded.
    ///
    /// # Errors
    /// `Shape` if this tensor has not the output's shape.
    pub fn attention_backward(&self, op: &AttentionOp) -> Result<[Tensor; 3]> {
        let (dtype, full) = (self.dtype(), op.logsumexp.dtype);
        let [q, k, v] = [&op.query, &op.key, &op.value].map(|saved| saved.value.cast(full));
        let (q, k, v) = (q?, k?, v?);
        let (out, grad) = (op.out.cast(full)?, self.value().cast(full)?);
        ensure!(
            grad.shape == out.shape,
            Shape,
            "scaled_dot_product_attention: gradient {:?} for an output {:?}",
            grad.shape,
            out.shape
        );
        let mask = match &op.mask {
            Some(mask) => Some(mask_view(&mask.cast_view(full)?)?),
            None => None,
        };
        let scores = Scores {
            scale: op.scale,
            causal: op.causal,
            mask: None,
        };
        let shape = sizes(&q, &k, &v);
        let sums = op.logsumexp.contiguous()?;
        let values = with_float!("scaled_dot_product_attention", full, T => {
            let options = options::<T>(&scores, mask.as_ref())?;
            let [mut dq, mut dk, mut dv] = [q.numel(), k.numel(), v.numel()].map(Buf::<T>::zeroed);
            if q.numel() > 0 && k.numel() > 0 && v.numel() > 0 {
                let gradients = AttentionGradients { q: &mut dq, k: &mut dk, v: &mut dv };
                let (q, k, v) = (q.data::<T>()?, k.data::<T>()?, v.data::<T>()?);
                let (out, sums, grad) = (out.data::<T>()?, sums.data::<T>()?, grad.data::<T>()?);
                attention_backward(&shape, q, k, v, &options, out, sums, grad, gradients);
            }
            [(dq, &q), (dk, &k), (dv, &v)].map(|(buffer, like)| Value::new(buffer, full, like.shape.clone()))
        });
        let [dq, dk, dv] = values.map(|value| value.cast(dtype).map(Tensor::from_value));
        Ok([dq?, dk?, dv?])
    }
}

impl AttentionOp {
    /// What is added to the scores, of mask and causality together; `None` if nothing.
    ///
    /// # Errors
    /// None that a valid operation meets.
    pub fn added(&self) -> Result<Option<Tensor>> {
        if let Some(mask) = &self.mask {
            return Ok(Some(Tensor::from_value(mask.clone())));
        }
        if !self.causal {
            return Ok(None);
        }
        let shape = sizes(&self.query.value, &self.key.value, &self.value.value);
        let dtype = self.query.value.dtype;
        causal_mask(shape.queries, shape.keys, dtype).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::fork;

    #[test]
    fn masks_hide_keys() {
        let q = Tensor::new([[0.0f32], [0.0]]).unwrap();
        let v = Tensor::new([[1.0f32], [3.0]]).unwrap();
        let attend = |options: &SdpaOptions<'_>| {
            let out = scaled_dot_product_attention(&q, &q, &v, options).unwrap();
            out.to_vec::<f32>().unwrap()
        };
        assert_eq!(attend(&SdpaOptions::default()), [2.0, 2.0]);
        let causal = SdpaOptions {
            is_causal: true,
            ..SdpaOptions::default()
        };
        assert_eq!(attend(&causal), [1.0, 2.0]);
        let mask = Tensor::new([[false, true], [false, false]]).unwrap();
        let masked = SdpaOptions {
            attn_mask: Some(&mask),
            ..SdpaOptions::default()
        };
        assert_eq!(attend(&masked), [3.0, 0.0]);
    }

    #[test]
    fn dropped_weights_are_those_of_pytorch() {
        let q = Tensor::from_vec((0..8).map(|i| i as f64 / 10.0).collect(), (1, 4, 2)).unwrap();
        let k = q.flip([1]).unwrap();
        let v = Tensor::new([[[1.0f64], [3.0], [-2.0], [5.0]]]).unwrap();
        let check = |options: SdpaOptions<'_>, expected: [f64; 4]| {
            let out = scaled_dot_product_attention(&q, &k, &v, &options).unwrap();
            let out = out.to_vec::<f64>().unwrap();
            assert!(
                out.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12),
                "{out:?}"
            );
        };
        fork(5, || {
            let causal = SdpaOptions {
                dropout_p: 0.4,
                is_causal: true,
                ..SdpaOptions::default()
            };
            check(
                causal,
                [0.0, 0.862783845858353, 0.684644826479908, 2.145834386638472],
            );
            let mask = Tensor::new([[true, true, false, true]]).unwrap();
            let masked = SdpaOptions {
                dropout_p: 0.5,
                attn_mask: Some(&mask),
                ..SdpaOptions::default()
            };
            check(
                masked,
                [2.688389797024456, 4.991250382169603, 4.724363201685375, 0.0],
            );
        });
        let impossible = SdpaOptions {
            dropout_p: 1.5,
            ..SdpaOptions::default()
        };
        assert!(scaled_dot_product_attention(&q, &k, &v, &impossible).is_err());
    }

    #[test]
    fn wrong_calls_are_errors() {
        let q = Tensor::zeros((2, 3), DType::F32).unwrap();
        let k = Tensor::zeros((2, 4), DType::F32).unwrap();
        assert!(scaled_dot_product_attention(&q, &k, &k, &SdpaOptions::default()).is_err());
        assert!(
            scaled_dot_product_attention(
                &q,
                &q.squeeze_dim(0).unwrap().select(0, 0).unwrap(),
                &q,
                &SdpaOptions::default()
            )
            .is_err()
        );
    }
}
