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
use flambeau_tensor::ops::fft::{self, Norm};
use flambeau_tensor::ops::fold::{UnfoldOptions, unfold};
use flambeau_tensor::ops::grid_sample::{GridInterpolation, GridPadding, GridSampleOptions, grid_sample};
use flambeau_tensor::ops::interpolate::{InterpolateMode, InterpolateOptions, InterpolateSize, interpolate};
use flambeau_tensor::ops::linalg::identity;
use flambeau_tensor::ops::linalg::norms::MatrixNorm;
use flambeau_tensor::ops::linalg::pinv::RankTolerance;
use flambeau_tensor::ops::linalg::qr::QrMode;
use flambeau_tensor::ops::linear::{bilinear, linear};
use flambeau_tensor::ops::loss::{
    CrossEntropyOptions, CtcOptions, Reduction as LossReduction, binary_cross_entropy, cross_entropy,
    ctc_loss,
};
use flambeau_tensor::ops::norm::{
    BatchNormOptions, RunningStats, batch_norm, batch_norm_activated, group_norm, layer_norm, rms_norm,
};
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::ops::pool::{
    AvgPoolOptions, FractionalOutput, MaxPoolOptions, adaptive_avg_pool, avg_pool2d, fractional_max_pool,
    max_pool1d,
};
use flambeau_tensor::ops::rnn::{RnnKind, RnnOutput, RnnParameters, rnn_layer};
use flambeau_tensor::ops::segment::Segments;
use flambeau_tensor::ops::sparse::{Pattern, sampled_matmul, sparse_matmul};
use flambeau_tensor::ops::stft::{self, StftOptions};
use flambeau_tensor::ops::unary::Unary;
use flambeau_tensor::ops::{binary, special};
use flambeau_tensor::random::fork;
use flambeau_tensor::{DType, Reduction, Result, Tensor, bail, step};

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
    abs [[2, 3]] |x| x[0].abs();
    powers [[2, 3]] positive |x| x[0].pow(1.7)?.add(&x[0].pow(3.0)?)?.add(&x[0].pow(-2.0)?)?.add(&x[0].rsqrt()?);
    reciprocal [[2, 3]] positive |x| x[0].reciprocal()?.add(&binary::div(2.0, &x[0])?)?.add(&binary::pow(3.0, &x[0])?);
    exponentials [[2, 3]] |x| x[0].exp2()?.add(&x[0].expm1()?)?.add(&x[0].square()?);
    logarithms [[2, 3]] positive |x| x[0].log2()?.add(&x[0].log10()?)?.mul(&x[0].log1p()?);
    trigonometry [[2, 3]] |x| x[0].tan()?.mul(&x[0].atan()?);
    inverses [[2, 3]] |x| unit(&x[0])?.asin()?.mul(&unit(&x[0])?.acos()?)?.add(&unit(&x[0])?.atanh()?);
    hyperbolic [[2, 3]] |x| x[0].sinh()?.mul(&x[0].cosh()?)?.add(&x[0].asinh()?);
    acosh [[2, 3]] positive |x| x[0].add(1.0)?.acosh();
    errors [[2, 3]] |x| x[0].erf()?.add(&x[0].mul(0.5)?.erfc()?);
    frac [[2, 3]] |x| x[0].frac()?.mul(&x[0]);
    clamp [[2, 3]] |x| x[0].clamp(Some((-0.4).into()), Some(0.6.into()))?.mul(&x[0]);
    // Activations.
    rectifiers [[2, 3]] |x| x[0].relu()?.add(&x[0].leaky_relu(0.1)?)?.add(&x[0].threshold(0.2, 0.1)?)?.mul(&x[0]);
    elu [[2, 3]] |x| x[0].elu(0.7)?.add(&x[0].celu(1.3)?)?.mul(&x[0].selu()?);
    gelu [[2, 3]] |x| x[0].gelu();
    gelu_tanh [[2, 3]] |x| x[0].gelu_tanh();
    silu [[2, 3]] |x| x[0].silu();
    mish [[2, 3]] |x| x[0].mish();
    softplus [[2, 3]] |x| x[0].softplus(1.5, 20.0)?.mul(&x[0].logsigmoid()?);
    hard [[2, 3]] |x| x[0].hardtanh(-0.5, 0.7)?.add(&x[0].hardsigmoid()?)?.add(&x[0].hardswish()?)?.mul(&x[0]);
    shrinks [[2, 3]] |x| x[0].hardshrink(0.2)?.add(&x[0].softshrink(0.3)?)?.mul(&x[0].tanhshrink()?);
    softsign [[2, 3]] |x| x[0].softsign();
    prelu [[2, 3], [3]] |x| x[0].prelu(&x[1]);
    glu [[2, 4]] |x| x[0].glu(-1);
    // Special functions.
    gamma [[2, 3]] positive |x| x[0].lgamma()?.add(&x[0].digamma()?)?.add(&x[0].polygamma(2)?);
    mvlgamma [[2, 3]] positive |x| x[0].add(1.0)?.mvlgamma(3);
    normal [[2, 3]] |x| x[0].ndtr()?.add(&x[0].log_ndtr()?)?.add(&unit(&x[0])?.erfinv()?)?.add(&x[0].erfcx()?);
    ndtri [[2, 3]] |x| x[0].sigmoid()?.ndtri()?.add(&x[0].sigmoid()?.logit(None)?);
    bessel [[2, 3]] positive |x| x[0].bessel_j0()?.add(&x[0].bessel_j1()?)?.add(&x[0].bessel_y0()?)?.mul(&x[0].bessel_y1()?);
    modified_bessel [[2, 3]] positive |x| x[0].i0()?.add(&x[0].i1()?)?.add(&x[0].i0e()?)?.add(&x[0].i1e()?);
    modified_bessel_k [[2, 3]] positive |x| x[0].modified_bessel_k0()?.add(&x[0].modified_bessel_k1()?);
    scaled_bessel_k [[2, 3]] positive |x| x[0].scaled_modified_bessel_k0()?.add(&x[0].scaled_modified_bessel_k1()?);
    quotients [[2, 3]] |x| x[0].sinc()?.add(&x[0].spherical_bessel_j0()?)?.add(&x[0].exp()?.entr()?);
    igamma [[2, 3]] positive |x| Tensor::full((), 1.5, DType::F64)?.igamma(&x[0]);
    zeta [[2, 3]] positive |x| special::zeta(2.5, &x[0]);
    // Functions of two tensors, broadcast on either side, and of one tensor twice.
    add [[2, 3], [3]] |x| x[0].add(&x[1]);
    sub [[2, 1], [2, 3]] |x| x[0].sub(&x[1]);
    mul [[2, 1, 3], [4, 1]] |x| x[0].mul(&x[1]);
    div [[2, 3], [1, 3]] positive |x| x[0].div(&x[1]);
    pow [[2, 3], [3]] positive |x| x[0].pow(&x[1]);
    extremes [[2, 3], [3]] |x| x[0].maximum(&x[1])?.mul(&x[0].fmin(&x[1])?)?.add(&x[0].minimum(&x[1])?.fmax(&x[1])?);
    remainders [[2, 3], [3]] positive |x| x[0].remainder(&x[1])?.mul(&x[0].fmod(&x[1])?);
    angles [[2, 3], [3]] positive |x| x[0].atan2(&x[1])?.add(&x[0].hypot(&x[1])?)?.mul(&x[0].copysign(&x[1])?);
    sums_of_exponentials [[2, 3], [3]] |x| x[0].logaddexp(&x[1])?.add(&x[0].logaddexp2(&x[1])?);
    xlogy [[2, 3], [3]] positive |x| x[0].xlogy(&x[1])?.add(&x[0].xlog1py(&x[1])?);
    ldexp [[2, 3], [3]] |x| x[0].ldexp(&x[1]);
    // Functions of three tensors.
    where_cond [[2, 3], [3]] |x| x[0].detach().gt(0.0)?.where_cond(&x[0].exp()?, &x[1].mul(&x[1])?);
    clamp_tensors [[2, 3], [3], [2, 1]] |x| x[0].clamp(Some((&x[1]).into()), Some((&x[2]).into()))?.mul(&x[0]);
    addcmul [[2, 3], [3], [2, 1]] |x| x[0].addcmul(&x[1], &x[2], 0.5);
    addcdiv [[2, 3], [3], [2, 1]] positive |x| x[0].addcdiv(&x[1], &x[2], 0.5);
    lerp [[2, 3], [3], [2, 1]] |x| x[0].lerp(&x[1], &x[2]);
    polar [[2, 3], [3]] |x| flambeau_tensor::ops::complex::polar(&x[0], &x[1])?.complex_mul(&x[0].unsqueeze(-1)?.expand([2, 3, 2])?);
    twice [[2, 3]] |x| x[0].mul(&x[0])?.add(&x[0]);
    // Shapes.
    reshape [[2, 6]] |x| x[0].reshape((3, 4))?.exp();
    permute [[2, 3, 4]] |x| x[0].permute([2, 0, 1])?.sin();
    expand [[2, 1, 3]] |x| x[0].expand((4, 2, 2, 3))?.sin();
    slice [[5, 4]] |x| x[0].slice(0, Some(1), None, 2)?.exp();
    basic_index [[3, 4, 2]] |x| x[0].i((1.., None, step(.., 3), -1))?.exp();
    diagonal [[3, 4, 2]] |x| x[0].diagonal(1, 0, 1)?.exp();
    unfold [[7]] |x| x[0].unfold(0, 3, 2)?.exp();
    as_strided [[3, 3]] |x| x[0].as_strided((2, 2, 2), &[1, 2, 1], 1)?.exp();
    slice_scatter [[4, 3], [2, 3]] |x| x[0].slice_scatter(&x[1], 0, Some(0), None, 2)?.sin();
    diag_embed [[2, 3]] |x| x[0].diag_embed(1, 0, -1)?.sin();
    triangles [[2, 3, 4]] |x| x[0].tril(1)?.exp()?.mul(&x[0].triu(0)?);
    constant_pad [[2, 3]] |x| x[0].constant_pad_nd(&[-1, 2, 1, 0], 0.5)?.sin();
    cat [[2, 3], [2, 2]] |x| Tensor::cat(&[&x[0], &x[1], &x[0]], 1)?.sin();
    // Places by index tensors and masks.
    index_select [[4, 3]] |x| x[0].index_select(0, &Tensor::new([2i64, 0, 2])?)?.exp();
    gather [[3, 4]] |x| x[0].gather(1, &Tensor::new([[0i64, 3, 3], [1, 0, 2]])?)?.exp();
    advanced_index [[3, 4, 2]] |x| x[0].i(([2, 0, 2], 0.., [1, 1, 0]))?.exp();
    scatter [[3, 4], [2, 3]] |x| x[0].scatter(0, &Tensor::new([[2i64, 0, 1], [0, 1, 2]])?, &x[1])?.sin();
    scatter_add [[4, 2], [3, 2]] |x| x[0].scatter_add(0, &Tensor::new([[3i64, 0], [3, 1], [0, 0]])?, &x[1])?.sin();
    index_fill [[4, 3]] |x| x[0].sin()?.index_fill(0, &Tensor::new([1i64, 3])?, 2.0)?.mul(&x[0]);
    index_mean [[3, 2], [4, 2]] |x| reduced(x, Reduction::Mean, false)?.sin();
    index_product [[3, 2], [4, 2]] |x| reduced(x, Reduction::Prod, true)?.sin();
    index_product_of_source [[3, 2], [4, 2]] |x| reduced(x, Reduction::Prod, false)?.sin();
    index_maximum [[3, 2], [4, 2]] |x| reduced(x, Reduction::Amax, true)?.sin();
    masked_fill [[2, 3]] |x| x[0].masked_fill(&Tensor::new([true, false, true])?, &x[0].sum()?.sin()?)?.exp();
    masked_select [[2, 3]] |x| x[0].masked_select(&Tensor::new([true, false, true])?)?.exp();
    // Sums and products.
    sum [[2, 3, 2]] |x| x[0].sin()?.sum_dim([0, 2], true);
    // Reductions, running reductions, order.
    mean [[2, 3, 2]] |x| x[0].mean_dim([0, 2], true)?.sin();
    prod [[3, 2]] |x| x[0].prod_dim(0, false)?.sin();
    prod_with_zeros [[3, 2]] |x| x[0].mul(&Tensor::new([[0.0], [1.0], [1.0]])?)?.prod_dim(0, false)?.sin();
    logsumexp [[2, 3]] |x| x[0].logsumexp(1, false)?.sin();
    amax [[2, 3]] |x| x[0].amax(1, true)?.sin();
    max_dim [[2, 3]] |x| x[0].max_dim(0, false)?.0.sin();
    var [[2, 3, 2]] |x| x[0].var([0, 2], 1.0, false)?.sin();
    std [[2, 3]] |x| x[0].std(1, 0.0, true)?.sin();
    vector_norm [[2, 3]] |x| x[0].vector_norm(3.0, 1, false)?.add(&x[0].vector_norm(2.0, 1, false)?)?.sin();
    cumsum [[2, 3]] |x| x[0].cumsum(1)?.sin();
    cumprod [[3, 2]] |x| x[0].cumprod(0)?.sin();
    cumprod_with_zeros [[3, 2]] |x| x[0].mul(&Tensor::new([[1.0], [0.0], [1.0]])?)?.cumprod(0)?.sin();
    logcumsumexp [[3, 2]] |x| x[0].logcumsumexp(0)?.sin();
    softmax [[2, 3]] |x| x[0].softmax(0)?.sin();
    log_softmax [[2, 3]] |x| x[0].log_softmax(1)?.sin();
    sort [[4, 2]] |x| x[0].sort(0, true)?.0.sin();
    median [[3, 3]] |x| x[0].median()?.sin();
    segment_mean [[4, 2]] |x| segment_means(&x[0])?.sin();
    sparse_product [[3, 2]] |x| sparse_matmul(&pattern()?, false, None, &x[0])?.sin();
    sparse_product_of_values [[3, 2, 2], [5, 2]] |x| sparse_matmul(&pattern()?, false, Some(&x[1]), &x[0]);
    sparse_product_transposed [[4, 2], [5]] |x| sparse_matmul(&pattern()?, true, Some(&x[1]), &x[0])?.sin();
    sampled_product [[4, 2, 3], [3, 2, 3]] |x| sampled_matmul(&pattern()?, 1, &x[0], &x[1])?.sin();
    segment_product [[2, 5, 2]] |x| segment_products(&x[0])?.sin();
    segment_product_of_zeros [[2, 5, 2]] |x| segment_products(&x[0].mul(&Tensor::new([[1.0f64], [0.0], [1.0], [0.0], [0.0]])?)?);
    cdist [[2, 3], [4, 3]] |x| x[0].cdist(&x[1], 1.5)?.sin();
    // Losses.
    cross_entropy [[3, 4, 2]] |x| {
        let target = Tensor::new([[1i64, 0], [-100, 3], [2, 2]])?;
        let options = CrossEntropyOptions { label_smoothing: 0.2, ..CrossEntropyOptions::default() };
        cross_entropy(&x[0], &target, &options)?.sin()
    };
    binary_cross_entropy [[2, 3], [2, 3]] |x| {
        binary_cross_entropy(&x[0].sigmoid()?, &x[1].sigmoid()?, None, LossReduction::Mean)?.sin()
    };
    ctc_loss [[5, 3, 4]] |x| {
        let targets = Tensor::new([[1i64, 2], [3, 3], [2, 1]])?;
        let options = CtcOptions { reduction: LossReduction::Sum, ..CtcOptions::default() };
        ctc_loss(&x[0].log_softmax(2)?, &targets, &[5, 4, 3], &[2, 2, 1], options)?.sin()
    };
    ctc_loss_impossible [[3, 2, 3]] |x| {
        let targets = Tensor::new([2i64, 2, 1])?;
        let options = CtcOptions { zero_infinity: true, blank: 0, reduction: LossReduction::Mean };
        ctc_loss(&x[0].log_softmax(2)?, &targets, &[2, 3], &[2, 1], options)
    };
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
    fractional_max_pool [[1, 1, 3, 4, 3]] |x| {
        let samples = Tensor::new([[[0.3f64, 0.9, 0.5]]])?;
        fractional_max_pool(&x[0], [2, 1, 2], FractionalOutput::Size([2, 3, 2]), Some(&samples))?.sin()
    };
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
    batch_norm_rectified [[3, 2, 2], [2], [2]] |x| {
        batch_norm_activated(&x[0], &BatchNormOptions { weight: Some(&x[1]), bias: Some(&x[2]), ..BatchNormOptions::default() }, Unary::Relu)
    };
    batch_norm_between_limits [[3, 2, 2], [2], [2]] |x| {
        let options = BatchNormOptions { weight: Some(&x[1]), bias: Some(&x[2]), ..BatchNormOptions::default() };
        batch_norm_activated(&x[0], &options, Unary::Hardtanh(-0.4, 0.6))?.mul(&x[0])
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
    attention_dropout [[2, 3, 2], [2, 4, 2], [2, 4, 3]] |x| {
        let options = SdpaOptions { dropout_p: 0.4, ..SdpaOptions::default() };
        fork(1, || scaled_dot_product_attention(&x[0], &x[1], &x[2], &options))
    };
    // Linear algebra; factorisations that are unique up to signs through functions that don't see them.
    nuclear_norm [[3, 2]] |x| x[0].matrix_norm(MatrixNorm::Nuclear, false);
    solve [[2, 3, 3], [3, 2]] |x| x[0].solve(&x[1]);
    solve_triangular [[3, 3], [2, 3, 2]] positive |x| x[0].solve_triangular(&x[1], true, false);
    inverse [[3, 3]] |x| x[0].inv();
    lu_square [[3, 3]] |x| Ok(x[0].lu_factor_ex(true)?.0);
    lu_wide [[2, 4]] |x| Ok(x[0].lu_factor_ex(true)?.0);
    lu_tall [[4, 2]] |x| Ok(x[0].lu_factor_ex(true)?.0);
    det [[2, 3, 3]] |x| x[0].det();
    slogdet [[2, 3, 3]] |x| Ok(x[0].slogdet()?.1);
    cholesky [[3, 3]] |x| definite(&x[0])?.cholesky(false);
    qr [[4, 3]] |x| { let (q, r) = x[0].qr(QrMode::Reduced)?; q.mul(&q)?.matmul(&r.mul(&r)?) };
    qr_wide [[2, 4]] |x| { let (q, r) = x[0].qr(QrMode::Reduced)?; q.mul(&q)?.matmul(&r.mul(&r)?) };
    eigh [[3, 3]] |x| { let (l, v) = definite(&x[0])?.eigh(false)?; v.mul(&v)?.matmul(&l.exp()?) };
    eig [[3, 3]] |x| { let (l, v) = x[0].eig()?; v.vector_norm(2.0, -1, false)?.sin()?.matmul(&l.vector_norm(2.0, -1, false)?) };
    svd [[4, 3]] |x| { let (u, s, v) = x[0].svd(false)?; u.mul(&u)?.mul(&s)?.matmul(&v.mul(&v)?) };
    svd_wide [[2, 4]] |x| { let (u, s, v) = x[0].svd(false)?; u.mul(&u)?.mul(&s)?.matmul(&v.mul(&v)?) };
    pinv [[3, 2]] |x| x[0].pinv(&RankTolerance::default());
    matrix_exp [[3, 3]] |x| x[0].matrix_exp();
    householder_product [[4, 2], [2]] |x| x[0].householder_product(&x[1]);
    // Fourier transforms.
    fft [[3, 5, 2]] |x| fft::fft(&x[0], Some(4), 0, Norm::Ortho);
    rfft [[3, 6]] |x| fft::rfft(&x[0], None, -1, Norm::Backward);
    rfft_odd [[5, 2]] |x| fft::rfft(&x[0], None, 0, Norm::Backward);
    irfft [[4, 2, 2]] |x| fft::irfft(&x[0], None, 0, Norm::Backward);
    irfft_odd [[2, 3, 2]] |x| fft::irfft(&x[0], Some(5), 1, Norm::Backward);
    stft [[2, 12]] |x| stft::stft(&x[0], &StftOptions::new(4));
    istft [[3, 4, 2]] |x| stft::istft(&x[0], &StftOptions::new(4), None);
    // Recurrent layers over a packed batch.
    lstm [[5, 2], [2, 2], [2, 2], [8, 2], [8, 2], [8]] |x| {
        let parameters = RnnParameters { w_ih: &x[3], w_hh: &x[4], b_ih: Some(&x[5]), b_hh: None };
        states(rnn_layer(RnnKind::Lstm, &x[0], &[2, 2, 1], &x[1], Some(&x[2]), &parameters, false)?)
    };
    gru [[5, 2], [2, 2], [6, 2], [6, 2], [6], [6]] |x| {
        let parameters = RnnParameters { w_ih: &x[2], w_hh: &x[3], b_ih: Some(&x[4]), b_hh: Some(&x[5]) };
        states(rnn_layer(RnnKind::Gru, &x[0], &[2, 2, 1], &x[1], None, &parameters, true)?)
    };
    rnn [[4, 2], [2, 2], [2, 2], [2, 2]] |x| {
        let parameters = RnnParameters { w_ih: &x[2], w_hh: &x[3], b_ih: None, b_hh: None };
        states(rnn_layer(RnnKind::Tanh, &x[0], &[2, 2], &x[1], None, &parameters, false)?)
    };
};

/// `x` brought between -1 and 1.
fn unit(x: &Tensor) -> Result<Tensor> {
    x.tanh()?.mul(0.9)
}

/// Four rows combined with three.
fn reduced(x: &[Tensor], reduction: Reduction, include_self: bool) -> Result<Tensor> {
    x[0].index_reduce(0, &Tensor::new([0i64, 2, 0, 0])?, &x[1], reduction, include_self)
}

/// A symmetric positive definite matrix made from any square one.
fn definite(x: &Tensor) -> Result<Tensor> {
    x.matmul(&x.transpose(-2, -1)?)?
        .add(&identity(x.size(-1)?, x.dtype())?)
}

/// All results of a recurrent layer in one tensor.
fn states(out: RnnOutput) -> Result<Tensor> {
    let mut parts = vec![&out.output, &out.h_n];
    parts.extend(&out.c_n);
    Tensor::cat(&parts, 0)
}

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

/// Elements of a matrix of four rows, one of them empty, and three columns; two are at one place.
fn pattern() -> Result<Pattern> {
    Ok(Pattern::new(&[3, 0, 3, 0, 1], &[1, 0, 1, 2, 0], [4, 3])?.0)
}

/// The means of two runs of the first dimension.
fn segment_means(x: &Tensor) -> Result<Tensor> {
    let lengths = Tensor::new([3i64, 1])?;
    x.segment_reduce(Reduction::Mean, Segments::Lengths(&lengths), 0, None)
}

/// Products of runs of the second dimension, one of them empty, of which the first element is in none.
fn segment_products(x: &Tensor) -> Result<Tensor> {
    let offsets = Tensor::new([[1i64, 3, 3, 5], [0, 1, 4, 5]])?;
    x.segment_reduce(Reduction::Prod, Segments::Offsets(&offsets), 1, Some(1.5.into()))
}
