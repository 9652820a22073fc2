//! Activation functions, linear layers, embeddings, distances, layers that move elements, dropout, containers.

use flambeau_nn::*;
use flambeau_tensor::ops::embedding::{BagMode, EmbeddingOptions};
use flambeau_tensor::ops::fold::UnfoldOptions;

use crate::table::{Case, case, integers, one, unary, whole, x};

pub(crate) fn cases() -> Vec<Case> {
    [activations(), others()].into_iter().flatten().collect()
}

fn activations() -> Vec<Case> {
    const SHAPE: &[usize] = &[2, 4, 3];
    macro_rules! activations {
        ($($name:literal $layer:expr, $wrong:expr => $says:literal;)*) => {
            vec![$( unary($name, || Ok($layer), SHAPE, $wrong, $says) ),*]
        };
    }
    let int = || integers(&[3]);
    activations! {
        "ReLU" ReLU, int() => "";
        "ReLU6" ReLU6, int() => "";
        "SELU" SELU, int() => "selu: expected a floating point tensor, got int64 [3]";
        "SiLU" SiLU, int() => "silu: expected a floating point tensor, got int64 [3]";
        "Mish" Mish, int() => "mish: expected a floating point tensor, got int64 [3]";
        "Sigmoid" Sigmoid, int() => "";
        "LogSigmoid" LogSigmoid, int() => "logsigmoid: expected a floating point tensor, got int64 [3]";
        "Tanh" Tanh, int() => "";
        "Tanhshrink" Tanhshrink, int() => "";
        "Hardsigmoid" Hardsigmoid, int() => "hardsigmoid: expected a floating point tensor, got int64 [3]";
        "Hardswish" Hardswish, int() => "hardswish: expected a floating point tensor, got int64 [3]";
        "Softsign" Softsign, int() => "";
        "Softmax2d" Softmax2d, x(&[2, 3]) => "softmax: dimension -3 is out of range [-2, 1] of a 2-d tensor";
        "Identity" Identity, int() => "";
        "LeakyReLU" LeakyReLU { negative_slope: 0.2 }, int() => "leaky_relu: expected a floating point tensor, got int64 [3]";
        "RReLU" RReLU::default(), int() => "rrelu: expected a floating point tensor, got int64 [3]";
        "ELU" ELU::default(), int() => "elu: expected a floating point tensor, got int64 [3]";
        "CELU" CELU { alpha: 2.0 }, int() => "celu: expected a floating point tensor, got int64 [3]";
        "GELU" GELU::default(), int() => "gelu: expected a floating point tensor, got int64 [3]";
        "GELU.tanh" GELU { tanh: true }, int() => "gelu_tanh: expected a floating point tensor, got int64 [3]";
        "GLU" GLU { dim: 1 }, x(&[2, 3]) => "glu: dimension 1 of [2, 3] has odd size 3";
        "Hardtanh" Hardtanh::default(), int() => "";
        "Hardshrink" Hardshrink::default(), int() => "hardshrink: expected a floating point tensor, got int64 [3]";
        "Softshrink" Softshrink { lambda: 0.25 }, int() => "softshrink: expected a floating point tensor, got int64 [3]";
        "Softplus" Softplus::default(), int() => "softplus: expected a floating point tensor, got int64 [3]";
        "Threshold" Threshold { threshold: 0.1, value: 20.0 }, int() => "";
        "Softmax" Softmax { dim: 1 }, x(&[2]) => "softmax: dimension 1 is out of range [-1, 0] of a 1-d tensor";
        "LogSoftmax" LogSoftmax { dim: 1 }, x(&[2]) => "log_softmax: dimension 1 is out of range [-1, 0] of a 1-d tensor";
        "Softmin" Softmin { dim: 1 }, x(&[2]) => "softmax: dimension 1 is out of range [-1, 0] of a 1-d tensor";
        "Dropout" Dropout::new(0.25)?, int() => "dropout: expected a floating point tensor, got int64";
        "Dropout1d" Dropout1d::new(0.25)?, int() => "feature_dropout: expected a floating point tensor, got int64";
        "AlphaDropout" AlphaDropout::new(0.25)?, int() => "alpha_dropout: expected a floating point tensor, got int64";
        "FeatureAlphaDropout" FeatureAlphaDropout::new(0.25)?, x(&[4]) => "feature_alpha_dropout: expected at least 2 dimensions, got [4]";
    }
}

fn others() -> Vec<Case> {
    let linear = |inputs, outputs| Linear::new(inputs, outputs, LinearOptions::default());
    let table = EmbeddingOptions {
        padding_idx: Some(1),
        max_norm: Some(2.0),
        ..EmbeddingOptions::default()
    };
    let bag = EmbeddingBagOptions {
        mode: BagMode::Sum,
        ..EmbeddingBagOptions::default()
    };
    vec![
        unary(
            "PReLU",
            || PReLU::new(3, 0.25),
            &[2, 3],
            x(&[2, 4]),
            "prelu: weight [3] for input [2, 4] with 4 channels: expected 1 or 4",
        ),
        unary(
            "Dropout2d",
            || Dropout2d::new(0.25),
            &[2, 3, 4, 4],
            integers(&[2, 3, 4, 4]),
            "feature_dropout: expected a floating point tensor, got int64",
        ),
        unary(
            "Dropout3d",
            || Dropout3d::new(0.25),
            &[2, 3, 2, 2, 2],
            integers(&[2, 3, 2, 2, 2]),
            "feature_dropout: expected a floating point tensor, got int64",
        ),
        unary(
            "Linear",
            move || linear(4, 3),
            &[2, 4],
            x(&[2, 5]),
            "linear: input [2, 5] and weight [3, 4]: expected […, in] and [out, in]",
        ),
        unary(
            "LazyLinear",
            || Ok(Linear::lazy(3, LinearOptions { bias: false })),
            &[2, 4],
            Tensor::scalar(1f32),
            "expected […, in] and [out, in]",
        ),
        case(
            "Bilinear",
            || Bilinear::new(4, 3, 2, LinearOptions::default()),
            |layer| one(layer.forward(&x(&[5, 4]), &x(&[5, 3]))),
            |layer| one(layer.forward(&x(&[5, 4]), &x(&[5, 4]))),
            "bilinear: inputs [5, 4] and [5, 4] and weight [2, 4, 3]: expected […,",
        ),
        unary_of_indices("Embedding", move || Embedding::new(6, 3, table)),
        case(
            "EmbeddingBag",
            move || EmbeddingBag::new(6, 3, bag),
            |layer| one(layer.forward(&whole(&[0, 2, 5, 2]), Some(&whole(&[0, 1])), None)),
            |layer| one(layer.forward(&whole(&[0, 2, 6]), Some(&whole(&[0, 1])), None)),
            "embedding_bag: index 6 at position 2 is outside of a table of 6 rows",
        ),
        unary(
            "Flatten",
            || Ok(Flatten::default()),
            &[2, 3, 4],
            x(&[2]),
            "flatten: dimension 1 is out of range [-1, 0] of a 1-d tensor",
        ),
        unary(
            "Unflatten",
            || {
                Ok(Unflatten {
                    dim: 1,
                    unflattened_size: vec![2, 3],
                })
            },
            &[2, 6],
            x(&[2, 5]),
            "unflatten: [5] has 5 elements, [2, 3] has 6",
        ),
        unary(
            "PixelShuffle",
            || Ok(PixelShuffle { upscale_factor: 2 }),
            &[8, 2, 3],
            x(&[6, 2, 3]),
            "pixel_shuffle: 6 channels of [6, 2, 3] do not divide by 2²",
        ),
        unary(
            "PixelUnshuffle",
            || Ok(PixelUnshuffle { downscale_factor: 2 }),
            &[2, 4, 6],
            x(&[2, 3, 6]),
            "pixel_unshuffle: height and width of [2, 3, 6] do not divide by 2",
        ),
        unary(
            "ChannelShuffle",
            || Ok(ChannelShuffle { groups: 2 }),
            &[2, 4, 3],
            x(&[2, 3, 3]),
            "channel_shuffle: 3 channels of [2, 3, 3] do not divide into 2 groups",
        ),
        unary(
            "Unfold",
            || {
                Ok(Unfold {
                    kernel_size: [2, 2],
                    options: UnfoldOptions::default(),
                })
            },
            &[2, 3, 4, 4],
            x(&[3, 4]),
            "unfold: expected an image of 3 or 4 dimensions, got [3, 4]",
        ),
        unary(
            "Fold",
            || {
                Ok(Fold {
                    output_size: [3, 4],
                    kernel_size: [2, 2],
                    options: UnfoldOptions::default(),
                })
            },
            &[2, 8, 6],
            x(&[2, 8, 5]),
            "fold: expected [batch, channels · 4, 6] for images [3, 4], got [2, 8, 5]",
        ),
        case(
            "CosineSimilarity",
            || Ok(CosineSimilarity::default()),
            |layer| one(layer.forward(&x(&[2, 3]), &x(&[2, 3]))),
            |layer| one(layer.forward(&x(&[2, 3]), &x(&[2, 4]))),
            "cosine_similarity: shapes [2, 3] and [2, 4] cannot be broadcast together",
        ),
        case(
            "PairwiseDistance",
            || Ok(PairwiseDistance::default()),
            |layer| one(layer.forward(&x(&[2, 3]), &x(&[2, 3]).neg()?)),
            |layer| one(layer.forward(&x(&[2, 3]), &x(&[2, 4]))),
            "PairwiseDistance: pairwise_distance: sub: shapes [2, 3] and [2, 4]",
        ),
        unary(
            "LayerNorm",
            || LayerNorm::new(&[3, 4], LayerNormOptions::default()),
            &[2, 3, 4],
            x(&[2, 4]),
            "layer_norm: expected an input […, [3, 4]], got [2, 4]",
        ),
        unary(
            "RMSNorm",
            || RMSNorm::new(&[4], None, true),
            &[2, 3, 4],
            x(&[2, 3]),
            "rms_norm: expected an input […, [4]], got [2, 3]",
        ),
        unary(
            "Sequential",
            move || {
                Ok(Sequential::new()
                    .push(linear(4, 3)?)
                    .push(ReLU)
                    .push(linear(3, 2)?))
            },
            &[2, 4],
            x(&[2, 5]),
            "expected […, in] and [out, in]",
        ),
    ]
}

fn unary_of_indices<M: Forward + 'static>(
    name: &'static str,
    build: impl Fn() -> Result<M> + 'static,
) -> Case {
    case(
        name,
        build,
        |layer| one(layer.forward(&whole(&[0, 2, 5, 2]))),
        |layer| one(layer.forward(&whole(&[0, 6]))),
        "index 6 at position 1 is outside of a table of 6 rows",
    )
}
