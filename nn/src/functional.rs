//! Layers without state as functions (`torch.nn.functional`), gathered from [`flambeau_tensor::ops`].
//!
//! Functions of one tensor are its methods: `x.relu()?`, `x.softmax(-1)?`, `x.gelu()?`, `x.pad(…)?`, `x.one_hot(…)?`; so are
//! distances: `x.cdist(…)?`, `x.pdist(…)?`, `x.cosine_similarity(…)?`, `x.pairwise_distance(…)?`.

use flambeau_tensor::{Result, Tensor, ensure, no_grad};

pub use flambeau_tensor::ops::attention::{SdpaOptions, scaled_dot_product_attention};
pub use flambeau_tensor::ops::conv::{
    ConvOptions, ConvTransposeOptions, Padding, conv_transpose1d, conv_transpose2d, conv_transpose3d, conv1d,
    conv2d, conv3d,
};
pub use flambeau_tensor::ops::dropout::{alpha_dropout, dropout, feature_alpha_dropout, feature_dropout};
pub use flambeau_tensor::ops::embedding::{
    BagMode, EmbeddingBagOptions, EmbeddingOptions, embedding, embedding_bag,
};
pub use flambeau_tensor::ops::fold::{
    UnfoldOptions, channel_shuffle, fold, pixel_shuffle, pixel_unshuffle, unfold,
};
pub use flambeau_tensor::ops::grid_sample::{
    GridInterpolation, GridPadding, GridSampleOptions, affine_grid, grid_sample,
};
pub use flambeau_tensor::ops::interpolate::{
    InterpolateMode, InterpolateOptions, InterpolateSize, interpolate,
};
pub use flambeau_tensor::ops::linear::{bilinear, linear};
pub use flambeau_tensor::ops::loss::*;
pub use flambeau_tensor::ops::multi_head_attention::{
    InProjection, MultiHeadAttention, multi_head_attention_forward,
};
pub use flambeau_tensor::ops::norm::{
    BatchNormOptions, RunningStats, batch_norm, group_norm, instance_norm, layer_norm, rms_norm,
};
pub use flambeau_tensor::ops::normalize::{local_response_norm, normalize};
pub use flambeau_tensor::ops::pad::PadMode;
pub use flambeau_tensor::ops::pool::{
    AvgPoolOptions, FractionalOutput, MaxPoolOptions, adaptive_avg_pool, adaptive_max_pool_with_indices,
    avg_pool1d, avg_pool2d, avg_pool3d, fractional_max_pool, fractional_max_pool_with_indices, lp_pool,
    max_pool_with_indices, max_pool1d, max_pool2d, max_pool3d, max_unpool,
};

/// Samples of the Gumbel-softmax distribution (Jang et al., 2016; Maddison et al., 2016): `softmax((logits + g)/tau)` along a
/// dimension with noise `g = -log(e)` of exponential numbers `e`. If `hard`, the largest becomes 1 and the others 0, with the
/// gradient of the soft sample.
///
/// ```
/// # use flambeau_nn::functional::gumbel_softmax;
/// # use flambeau_tensor::{DType, Result, Tensor};
/// # fn main() -> Result<()> {
/// let sample = gumbel_softmax(&Tensor::zeros((2, 5), DType::F32)?, 1.0, true, -1)?;
/// assert_eq!(sample.sum_dim(-1, false)?.to_vec::<f32>()?, [1.0, 1.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Value` unless `tau` is positive; `DType` unless the logits are floating point numbers; `Dim` if there is no such
/// dimension.
pub fn gumbel_softmax(logits: &Tensor, tau: f64, hard: bool, dim: isize) -> Result<Tensor> {
    ensure!(
        tau > 0.0,
        Value,
        "gumbel_softmax: expected a positive temperature, got {tau}"
    );
    let noise = no_grad(|| {
        let noise = Tensor::zeros(logits.shape(), logits.dtype())?;
        noise.exponential_(1.0)?.log()?.neg()
    })?;
    let soft = logits.add(&noise)?.div(tau)?.softmax(dim)?;
    if !hard {
        return Ok(soft);
    }
    let chosen = soft.detach().argmax(Some(dim), true)?;
    let ones = Tensor::ones(chosen.shape(), soft.dtype())?;
    let one_hot = soft.zeros_like()?.detach().scatter(dim, &chosen, &ones)?;
    one_hot.sub(&soft.detach())?.add(&soft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::random;

    // PyTorch's samples for the seed 5.
    const SOFT: [f32; 6] = [0.033774, 0.0229089, 0.9433171, 0.1522739, 0.847518, 0.0002081];
    const HARD: [f32; 6] = [0.0, 0.0, 1.0, 0.0, 1.0, 0.0];

    #[test]
    fn gumbel_samples_are_those_of_pytorch() {
        let logits = Tensor::new([[0.5f32, -1.0, 2.0], [0.0, 1.0, -3.0]]).unwrap();
        let sample = |hard| random::fork(5, || gumbel_softmax(&logits, 0.7, hard, -1)).unwrap();
        let soft = sample(false).to_vec::<f32>().unwrap();
        for (got, expected) in soft.iter().zip(SOFT) {
            assert!((got - expected).abs() < 1e-5, "{soft:?}");
        }
        assert_eq!(sample(true).to_vec::<f32>().unwrap(), HARD);
        assert!(gumbel_softmax(&logits, 0.0, true, -1).is_err());
    }
}
