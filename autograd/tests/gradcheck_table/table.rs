//! The table: one line a function.

use std::sync::Arc;

use flambeau_autograd::{Function as CustomFunction, apply};
use flambeau_tensor::ops::attention::{SdpaOptions, scaled_dot_product_attention};
use flambeau_tensor::ops::conv::{
    ConvOptions, ConvTransposeOptions, Padding, conv_transpose2d, conv1d, conv2d,
};
use flambeau_tensor::ops::embedding::{
    BagMode, EmbeddingBagOptions, EmbeddingOptions, embedding, embedding_bag,
};
use flambeau_tensor::ops::fold::{UnfoldOptions, unfold};
use flambeau_tensor::ops::grid_sample::{GridInterpolation, GridPadding, GridSampleOptions, grid_sample};
use flambeau_tensor::ops::interpolate::{InterpolateMode, InterpolateOptions, InterpolateSize, interpolate};
use flambeau_tensor::ops::linear::{bilinear, linear};
use flambeau_tensor::ops::norm::{
    BatchNormOptions, RunningStats, batch_norm, group_norm, layer_norm, rms_norm,
};
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::ops::pool::{AvgPoolOptions, MaxPoolOptions, adaptive_avg_pool, avg_pool2d, max_pool1d};
use flambeau_tensor::{DType, Result, Tensor, bail};

use super::Row;

macro_rules! rows {
    ($($name:ident [$($shape:expr),*] $($positive:ident)? |$x:ident| $body:expr;)*) => {
        &[$(Row {
            name: stringify!($name),
            shapes: &[$(&$shape),*],
            positive: rows!(@positive $($positive)?),
            function: |$x| $body,
        }),*]
    };
    (@positive positive) => { true };
    (@positive) => { false };
}

pub(super) const ROWS: &[Row] = rows! {
    // Functions of one tensor.
    neg [[2, 3]] |x| x[0].neg();
    exp [[2, 3]] |x| x[0].exp();
    log [[2, 3]] positive |x| x[0].log();
    sqrt [[2, 3]] positive |x| x[0].sqrt();
    sin [[2, 3]] |x| x[0].sin();
    cos [[2, 3]] |x| x[0].cos();
    tanh [[2, 3]] |x| x[0].tanh();
    sigmoid [[2, 3]] |x| x[0].sigmoid();
    scalars [[2, 3]] |x| x[0].add(1.5)?.mul(-0.5)?.sub(2.0)?.div(3.0);
    custom [[2, 3]] |x| Ok(apply(Arc::new(Cube), &[&x[0]])?.remove(0));
    cast [[2, 3]] |x| x[0].mul(&x[0])?.to_dtype(DType::F64)?.to_dtype(DType::F64)?.mul(&widened(&x[0])?);
    // Functions of two tensors, broadcast on either side, and of one tensor twice.
    add [[2, 3], [3]] |x| x[0].add(&x[1]);
    sub [[2, 1], [2, 3]] |x| x[0].sub(&x[1]);
    mul [[2, 1, 3], [4, 1]] |x| x[0].mul(&x[1]);
    div [[2, 3], [1, 3]] positive |x| x[0].div(&x[1]);
    twice [[2, 3]] |x| x[0].mul(&x[0])?.add(&x[0]);
    // Shapes.
    reshape [[2, 6]] |x| x[0].reshape((3, 4))?.exp();
    permute [[2, 3, 4]] |x| x[0].permute([2, 0, 1])?.sin();
    expand [[2, 1, 3]] |x| x[0].expand((4, 2, 2, 3))?.sin();
    slice [[5, 4]] |x| x[0].slice(0, Some(1), None, 2)?.exp();
    cat [[2, 3], [2, 2]] |x| Tensor::cat(&[&x[0], &x[1], &x[0]], 1)?.sin();
    // Sums and products.
    sum [[2, 3, 2]] |x| x[0].sin()?.sum_dim([0, 2], true);
    matmul [[3, 2], [2, 4]] |x| x[0].matmul(&x[1]);
    batched_matmul [[2, 1, 3, 2], [3, 2, 4]] |x| x[0].matmul(&x[1]);
    matrix_vector [[2, 3, 4], [4]] |x| x[0].matmul(&x[1]);
    // Linear maps, layers and convolutions.
    linear [[2, 2, 3], [4, 3], [4]] |x| linear(&x[0], &x[1], Some(&x[2]));
    bilinear [[2, 3], [2, 2], [2, 3, 2], [2]] |x| bilinear(&x[0], &x[1], &x[2], Some(&x[3]));
    pad [[2, 3]] |x| x[0].pad(&[2, -1], PadMode::Reflect, 0)?.sin();
    conv [[2, 2, 6], [4, 1, 3], [4]] |x| {
        let options = ConvOptions { stride: [2], padding: Padding::Explicit([1]), groups: 2, ..ConvOptions::default() };
        conv1d(&x[0], &x[1], Some(&x[2]), &options)
    };
    conv_same [[1, 2, 4, 3], [3, 2, 2, 3]] |x| {
        conv2d(&x[0], &x[1], None, &ConvOptions { padding: Padding::Same, ..ConvOptions::default() })
    };
    conv_transpose [[2, 2, 3, 2], [2, 2, 2, 2], [2]] |x| {
        let options = ConvTransposeOptions { stride: [2, 1], output_padding: [1, 0], ..ConvTransposeOptions::default() };
        conv_transpose2d(&x[0], &x[1], Some(&x[2]), &options)
    };
    // Pooling, resampling, look-ups.
    max_pool [[2, 2, 5]] |x| max_pool1d(&x[0], [2], &MaxPoolOptions::default())?.sin();
    avg_pool [[2, 4, 4]] |x| avg_pool2d(&x[0], [3, 2], &AvgPoolOptions { padding: [1, 0], ..AvgPoolOptions::default() })?.sin();
    adaptive_avg_pool [[2, 5, 3]] |x| adaptive_avg_pool(&x[0], [Some(2), None])?.sin();
    interpolate [[1, 2, 3, 4]] |x| {
        let options = InterpolateOptions { mode: InterpolateMode::Bicubic, ..InterpolateOptions::default() };
        interpolate(&x[0], InterpolateSize::Size(&[5, 3]), &options)?.sin()
    };
    unfold [[2, 4, 3]] |x| unfold(&x[0], [2, 2], &UnfoldOptions::default())?.sin();
    embedding [[3, 2]] |x| embedding(&Tensor::new([2i64, 0, 2])?, &x[0], &EmbeddingOptions::default())?.sin();
    embedding_bag_sum [[4, 2], [2, 3]] |x| {
        let options = EmbeddingBagOptions { mode: BagMode::Sum, per_sample_weights: Some(&x[1]), ..EmbeddingBagOptions::default() };
        embedding_bag(&Tensor::new([[2i64, 0, 2], [1, 3, 0]])?, &x[0], &options)?.sin()
    };
    embedding_bag_max [[4, 2]] |x| {
        let options = EmbeddingBagOptions { mode: BagMode::Max, ..EmbeddingBagOptions::default() };
        embedding_bag(&Tensor::new([[2i64, 0, 2], [1, 3, 0]])?, &x[0], &options)?.sin()
    };
    grid_sample [[1, 2, 3, 4], [1, 2, 2, 2]] |x| {
        let options = GridSampleOptions { interpolation: GridInterpolation::Bicubic, padding: GridPadding::Border, align_corners: false };
        grid_sample(&x[0], &x[1].mul(0.3)?, &options)
    };
    // Normalisation and attention.
    batch_norm [[3, 2, 2], [2], [2]] |x| {
        batch_norm(&x[0], true, &BatchNormOptions { weight: Some(&x[1]), bias: Some(&x[2]), ..BatchNormOptions::default() })
    };
    batch_norm_inference [[3, 2], [2]] |x| {
        let (mean, var) = (Tensor::new([0.5f64, -0.5])?, Tensor::new([2.0f64, 0.5])?);
        let running = Some(RunningStats { mean: &mean, var: &var });
        batch_norm(&x[0], false, &BatchNormOptions { running, weight: Some(&x[1]), ..BatchNormOptions::default() })?.sin()
    };
    group_norm [[2, 4, 2], [4], [4]] |x| group_norm(&x[0], 2, Some(&x[1]), Some(&x[2]), 1e-5);
    layer_norm [[3, 2, 2], [2, 2], [2, 2]] |x| layer_norm(&x[0], &[2, 2], Some(&x[1]), Some(&x[2]), 1e-5);
    rms_norm [[3, 4], [4]] |x| rms_norm(&x[0], &[4], Some(&x[1]), None);
    attention [[2, 3, 2], [2, 4, 2], [2, 4, 3]] |x| {
        scaled_dot_product_attention(&x[0], &x[1], &x[2], &SdpaOptions { is_causal: true, ..SdpaOptions::default() })
    };
};

/// `x` through `float32` would lose digits; through no other type can a `float64` go and come back, so the cast is
/// recorded by adding a `float32` zero made from it.
fn widened(x: &Tensor) -> Result<Tensor> {
    x.add(&x.to_dtype(DType::F32)?.mul(0.0)?)
}

/// `x³` with its own rule.
struct Cube;

impl CustomFunction for Cube {
    fn name(&self) -> &'static str {
        "cube"
    }

    fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![inputs[0].mul(&inputs[0])?.mul(&inputs[0])?])
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _: &[Tensor],
        grads: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        let Some(Some(grad)) = grads.first() else {
            bail!(Autograd, "cube: no gradient")
        };
        Ok(vec![Some(grad.mul(&inputs[0].mul(&inputs[0])?.mul(3.0)?)?)])
    }
}
