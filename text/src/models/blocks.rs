//! What several families have in common: activations, initialised layers, attention of several heads and its masks.

use flambeau_nn::{Embedding, LayerNorm, LayerNormOptions, Linear, LinearOptions, init};
use flambeau_tensor::ops::attention::{SdpaOptions, scaled_dot_product_attention};
use flambeau_tensor::ops::embedding::EmbeddingOptions;
use flambeau_tensor::{DType, Result, Tensor, ensure, no_grad};
use serde::{Deserialize, Serialize};

/// An activation by the name that it has in `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x·Φ(x)`.
    Gelu,
    /// GELU's approximation by the hyperbolic tangent.
    #[serde(alias = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluNew,
    /// `max(0, x)`.
    Relu,
    /// `x·σ(x)`.
    #[serde(alias = "swish")]
    Silu,
    /// The hyperbolic tangent.
    Tanh,
    /// The logistic function.
    Sigmoid,
    /// The input itself.
    #[serde(alias = "linear")]
    Identity,
}

impl Activation {
    /// The function's values.
    ///
    /// # Errors
    /// `DType` unless the elements are floating point numbers.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Activation::Gelu => x.gelu(),
            Activation::GeluNew => x.gelu_tanh(),
            Activation::Relu => x.relu(),
            Activation::Silu => x.silu(),
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => x.sigmoid(),
            Activation::Identity => Ok(x.clone()),
        }
    }
}

/// A linear layer with normal weights and, if wanted, a bias of zeros.
pub(super) fn linear(inputs: usize, outputs: usize, bias: bool, std: f64) -> Result<Linear> {
    let linear = Linear::new(inputs, outputs, LinearOptions { bias })?;
    init::normal_(&linear.weight, 0.0, std)?;
    if let Some(bias) = &linear.bias {
        init::zeros_(bias)?;
    }
    Ok(linear)
}

/// A table of normal vectors, with zeros in the padding row.
pub(super) fn embedding(rows: usize, dim: usize, padding_idx: Option<usize>, std: f64) -> Result<Embedding> {
    let options = EmbeddingOptions {
        padding_idx: padding_idx.map(|row| row as isize),
        ..EmbeddingOptions::default()
    };
    let table = Embedding::new(rows, dim, options)?;
    init::normal_(&table.weight, 0.0, std)?;
    if let Some(row) = padding_idx {
        no_grad(|| table.weight.set(row as isize, 0.0).map(|_| ()))?;
    }
    Ok(table)
}

/// A layer norm over the last dimension.
pub(super) fn layer_norm(dim: usize, eps: f64) -> Result<LayerNorm> {
    LayerNorm::new(
        &[dim],
        LayerNormOptions {
            eps,
            ..LayerNormOptions::default()
        },
    )
}

/// Whether the heads divide the features.
pub(super) fn check_heads(model: &str, hidden: usize, heads: usize) -> Result<()> {
    ensure!(
        hidden > 0 && heads > 0 && hidden.is_multiple_of(heads),
        Value,
        "{model}: expected attention heads that divide the hidden size, got {heads} heads and {hidden} features"
    );
    Ok(())
}

/// Features of several heads apart, `[batch, time, heads·dim] → [batch, heads, time, dim]`.
pub(super) fn split_heads(x: &Tensor, heads: usize) -> Result<Tensor> {
    x.unflatten(-1, [heads as isize, -1])?.transpose(1, 2)
}

/// [`split_heads`] undone.
pub(super) fn join_heads(x: &Tensor) -> Result<Tensor> {
    x.transpose(1, 2)?.flatten(2, -1)
}

/// Attention of several heads, `[batch, time, heads·dim]` each.
pub(super) fn attend(
    [query, key, value]: [&Tensor; 3],
    heads: usize,
    mask: Option<&Tensor>,
    dropout_p: f64,
) -> Result<Tensor> {
    let options = SdpaOptions {
        attn_mask: mask,
        dropout_p,
        ..SdpaOptions::default()
    };
    let [query, key, value] = [
        split_heads(query, heads)?,
        split_heads(key, heads)?,
        split_heads(value, heads)?,
    ];
    join_heads(&scaled_dot_product_attention(&query, &key, &value, &options)?)
}

/// An attention mask `[batch, keys]` as attention takes it, `[batch, 1, 1, keys]` of bools; none if nothing is hidden.
pub(super) fn key_mask(mask: Option<&Tensor>) -> Result<Option<Tensor>> {
    let Some(mask) = mask else { return Ok(None) };
    let seen = mask.ne(0)?;
    if seen.all()?.item::<bool>()? {
        return Ok(None);
    }
    seen.unsqueeze(1)?.unsqueeze(1).map(Some)
}

/// Which keys the last `queries` of `keys` positions see: those that are not after them and not hidden by `mask`
/// `[batch, 1, 1, keys]`. `None` if that is what causal attention has anyway, or everything.
pub(super) fn causal_mask(queries: usize, keys: usize, mask: Option<&Tensor>) -> Result<Option<Tensor>> {
    if mask.is_none() && (queries == 1 || queries == keys) {
        return Ok(None);
    }
    let past = keys - queries;
    let seen: Vec<bool> = (0..queries * keys).map(|i| i % keys <= past + i / keys).collect();
    let seen = Tensor::from_vec(seen, (queries, keys))?;
    match mask {
        None => Ok(Some(seen)),
        Some(mask) => seen.logical_and(mask).map(Some),
    }
}

/// Numbers `first, first + 1, …` for each sequence, `[1, time]`.
pub(super) fn positions(first: usize, time: usize) -> Result<Tensor> {
    let numbers: Vec<i64> = (first as i64..(first + time) as i64).collect();
    Tensor::from_vec(numbers, (1, time))
}

/// Zeros of the shape of the ids: the first segment.
pub(super) fn first_segment(ids: &Tensor) -> Result<Tensor> {
    Tensor::zeros(ids.shape(), DType::I64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_positions_see_all_that_came_before() {
        assert!(causal_mask(3, 3, None).unwrap().is_none());
        assert!(causal_mask(1, 9, None).unwrap().is_none());
        let mask = causal_mask(2, 4, None).unwrap().unwrap();
        let expected = [[true, true, true, false], [true, true, true, true]];
        assert_eq!(mask.to_vec2::<bool>().unwrap(), expected);
        let hidden = key_mask(Some(&Tensor::new([[0i64, 1, 1, 1]]).unwrap())).unwrap();
        let mask = causal_mask(2, 4, hidden.as_ref()).unwrap().unwrap();
        let expected = [false, true, true, false, false, true, true, true];
        assert_eq!(mask.to_vec::<bool>().unwrap(), expected);
    }

    #[test]
    fn a_mask_that_hides_nothing_is_none() {
        assert!(
            key_mask(Some(&Tensor::new([[1i64, 1]]).unwrap()))
                .unwrap()
                .is_none()
        );
        assert!(
            key_mask(Some(&Tensor::new([[1.0f32, 0.0]]).unwrap()))
                .unwrap()
                .is_some()
        );
    }
}
