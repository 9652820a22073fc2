//! Convolutions, norms of channels, pools, padding, up-sampling, in one to three dimensions.

use flambeau_nn::*;
use flambeau_tensor::DType;
use flambeau_tensor::ops::conv::Padding;
use flambeau_tensor::ops::interpolate::{InterpolateMode, InterpolateOptions};
use flambeau_tensor::ops::pool::{AvgPoolOptions, FractionalOutput, MaxPoolOptions};

use crate::table::{Case, case, one, unary, x};

fn reflect<const D: usize>() -> ConvOptions<D> {
    ConvOptions {
        stride: [2; D],
        padding: Padding::Explicit([1; D]),
        groups: 2,
        bias: false,
        padding_mode: PaddingMode::Reflect,
        ..ConvOptions::default()
    }
}

fn same<const D: usize>() -> ConvOptions<D> {
    ConvOptions {
        padding: Padding::Same,
        dilation: [2; D],
        ..ConvOptions::default()
    }
}

fn padded<const D: usize>() -> ConvOptions<D> {
    ConvOptions {
        padding: Padding::Explicit([1; D]),
        ..ConvOptions::default()
    }
}

fn transposed<const D: usize>() -> ConvTransposeOptions<D> {
    ConvTransposeOptions {
        stride: [2; D],
        padding: [1; D],
        output_padding: [1; D],
        groups: 2,
        bias: false,
        dilation: [2; D],
    }
}

fn strided<const D: usize>() -> ConvTransposeOptions<D> {
    ConvTransposeOptions {
        stride: [2; D],
        ..ConvTransposeOptions::default()
    }
}

fn averaged() -> BatchNormOptions {
    BatchNormOptions {
        momentum: None,
        ..BatchNormOptions::BATCH
    }
}

fn instance() -> BatchNormOptions {
    BatchNormOptions {
        eps: 1e-3,
        affine: true,
        bias: false,
        ..BatchNormOptions::INSTANCE
    }
}

fn max<const D: usize>() -> MaxPoolOptions<D> {
    MaxPoolOptions {
        stride: Some([2; D]),
        padding: [1; D],
        ..MaxPoolOptions::default()
    }
}

/// Layers of one number of dimensions; `$x` is the shape of inputs of 4 channels.
macro_rules! spatial {
    ($d:literal, $x:expr, $sizes:expr; $conv:ident $reflect:literal $same:literal $lazy:literal, $transposed:ident $lazy_transposed:literal,
     $batch:ident $lazy_batch:literal, $instance:ident $lazy_instance:literal,
     $max:ident $unpool:ident $average:ident $lp:ident $adaptive_max:ident $adaptive_average:ident,
     $constant:ident $zero:ident $reflection:ident $replication:ident $circular:ident) => {{
        const X: &[usize] = $x;
        const SIZES: [Option<usize>; $d] = $sizes;
        let flat = || x(&[4]);
        let other = || {
            let mut shape = X.to_vec();
            shape[1] = 3;
            x(&shape)
        };
        let tiny = || {
            let mut shape = X.to_vec();
            shape[2..].fill(1);
            x(&shape)
        };
        vec![
            unary(
                stringify!($conv),
                || $conv::new(4, 6, [3; $d], ConvOptions::default()),
                X,
                other(),
                "takes 4",
            ),
            unary(
                $reflect,
                || $conv::new(4, 6, [3; $d], reflect()),
                X,
                tiny(),
                "reflect can't put 1 and 1 cells around dimension 2",
            ),
            unary($same, || $conv::new(4, 6, [3; $d], same()), X, other(), "takes 4"),
            unary(
                $lazy,
                || Ok($conv::lazy(6, [3; $d], padded())),
                X,
                flat(),
                "for an input [4]",
            ),
            unary(
                stringify!($transposed),
                || $transposed::new(4, 6, [3; $d], transposed()),
                X,
                other(),
                "takes 4",
            ),
            unary(
                $lazy_transposed,
                || Ok($transposed::lazy(6, [3; $d], strided())),
                X,
                flat(),
                "for an input [4]",
            ),
            unary(
                stringify!($batch),
                || $batch::new(4, BatchNormOptions::BATCH),
                X,
                other(),
                "expected 4 channels",
            ),
            unary(
                $lazy_batch,
                || Ok($batch::lazy(averaged())),
                X,
                flat(),
                "for an input [4]",
            ),
            unary(
                stringify!($instance),
                || $instance::new(4, instance()),
                X,
                other(),
                "expected 4 channels",
            ),
            unary(
                $lazy_instance,
                || Ok($instance::lazy(BatchNormOptions::BATCH)),
                X,
                flat(),
                "for an input [4]",
            ),
            unary(
                stringify!($max),
                || Ok($max::new([3; $d], max())),
                X,
                flat(),
                "expected an input of",
            ),
            case(
                stringify!($unpool),
                || Ok($unpool::new([2; $d], None, [0; $d])),
                |layer| {
                    let pool = $max::new([2; $d], MaxPoolOptions::default());
                    let (values, indices) = pool.forward_with_indices(&x(X))?;
                    one(layer.forward(&values, &indices, None))
                },
                |layer| one(layer.forward(&x(X), &x(X), None)),
                "expected indices of int64, got float32",
            ),
            unary(
                stringify!($average),
                || Ok($average::new([2; $d], AvgPoolOptions::default())),
                X,
                flat(),
                "expected an input of",
            ),
            unary(
                stringify!($lp),
                || Ok($lp::new(2.0, [3; $d], Some([2; $d]), false)),
                X,
                flat(),
                "expected an input of",
            ),
            unary(
                stringify!($adaptive_max),
                || Ok($adaptive_max::new(SIZES)),
                X,
                flat(),
                "expected an input of",
            ),
            unary(
                stringify!($adaptive_average),
                || Ok($adaptive_average::new(SIZES)),
                X,
                flat(),
                "expected an input of",
            ),
            unary(
                stringify!($constant),
                || {
                    Ok($constant {
                        padding: [1; 2 * $d],
                        value: 3.5,
                    })
                },
                X,
                Tensor::scalar(1f32),
                "pairs for at most the 0 dimensions of []",
            ),
            unary(
                stringify!($zero),
                || Ok($zero { padding: [1; 2 * $d] }),
                X,
                Tensor::scalar(1f32),
                "pairs for at most the 0 dimensions of []",
            ),
            unary(
                stringify!($reflection),
                || Ok($reflection { padding: [1; 2 * $d] }),
                X,
                tiny(),
                "reflect can't put 1 and 1 cells around dimension 2",
            ),
            unary(
                stringify!($replication),
                || Ok($replication { padding: [1; 2 * $d] }),
                X,
                Tensor::scalar(1f32),
                "pairs for at most the 0 dimensions of []",
            ),
            unary(
                stringify!($circular),
                || Ok($circular { padding: [1; 2 * $d] }),
                X,
                Tensor::scalar(1f32),
                "pairs for at most the 0 dimensions of []",
            ),
        ]
    }};
}

pub(crate) fn cases() -> Vec<Case> {
    let mut all = spatial!(1, &[2, 4, 7], [Some(2)];
        Conv1d "Conv1d.reflect" "Conv1d.same" "LazyConv1d", ConvTranspose1d "LazyConvTranspose1d",
        BatchNorm1d "LazyBatchNorm1d", InstanceNorm1d "LazyInstanceNorm1d",
        MaxPool1d MaxUnpool1d AvgPool1d LPPool1d AdaptiveMaxPool1d AdaptiveAvgPool1d,
        ConstantPad1d ZeroPad1d ReflectionPad1d ReplicationPad1d CircularPad1d);
    all.extend(spatial!(2, &[2, 4, 7, 6], [Some(2), None];
        Conv2d "Conv2d.reflect" "Conv2d.same" "LazyConv2d", ConvTranspose2d "LazyConvTranspose2d",
        BatchNorm2d "LazyBatchNorm2d", InstanceNorm2d "LazyInstanceNorm2d",
        MaxPool2d MaxUnpool2d AvgPool2d LPPool2d AdaptiveMaxPool2d AdaptiveAvgPool2d,
        ConstantPad2d ZeroPad2d ReflectionPad2d ReplicationPad2d CircularPad2d));
    all.extend(spatial!(3, &[2, 4, 5, 6, 4], [Some(2), None, Some(3)];
        Conv3d "Conv3d.reflect" "Conv3d.same" "LazyConv3d", ConvTranspose3d "LazyConvTranspose3d",
        BatchNorm3d "LazyBatchNorm3d", InstanceNorm3d "LazyInstanceNorm3d",
        MaxPool3d MaxUnpool3d AvgPool3d LPPool3d AdaptiveMaxPool3d AdaptiveAvgPool3d,
        ConstantPad3d ZeroPad3d ReflectionPad3d ReplicationPad3d CircularPad3d));
    all.extend(images());
    all
}

fn images() -> Vec<Case> {
    const IMAGE: &[usize] = &[2, 3, 4, 5];
    let bilinear = InterpolateOptions {
        mode: InterpolateMode::Bilinear,
        ..InterpolateOptions::default()
    };
    vec![
        unary(
            "Upsample",
            move || Ok(Upsample::by_factor(&[2.0], bilinear)),
            IMAGE,
            x(&[2, 3, 4]),
            "interpolate: bilinear does not take an input of 3 dimensions, [2, 3, 4]",
        ),
        unary(
            "Upsample.size",
            || Ok(Upsample::to_size(&[5, 7], InterpolateOptions::default())),
            IMAGE,
            x(&[2, 3, 4]),
            "interpolate: expected 1 sizes or scale factors for [2, 3, 4], or one, got",
        ),
        unary(
            "FractionalMaxPool2d",
            || {
                let mut pool = FractionalMaxPool2d::new([2, 2], FractionalOutput::Ratio([0.5, 0.5]));
                pool.random_samples = Some(Buffer::new(Tensor::full((2, 3, 2), 0.25, DType::F32)?));
                Ok(pool)
            },
            IMAGE,
            x(&[2, 3, 1, 1]),
            "output [0, 0] of windows [2, 2] does not fit the input",
        ),
        unary(
            "FractionalMaxPool3d",
            || {
                let mut pool = FractionalMaxPool3d::new([2, 2, 2], FractionalOutput::Size([2, 2, 1]));
                pool.random_samples = Some(Buffer::new(Tensor::full((1, 2, 3), 0.25, DType::F32)?));
                Ok(pool)
            },
            &[2, 3, 4, 5],
            x(&[3, 4]),
            "expected an input of 4 or 5 dimensions, got [3, 4]",
        ),
        unary(
            "UpsamplingNearest2d",
            || Ok(UpsamplingNearest2d::by_factor(&[2.0])),
            IMAGE,
            x(&[3, 4]),
            "interpolate: nearest does not take an input of 2 dimensions, [3, 4]",
        ),
        unary(
            "UpsamplingBilinear2d",
            || Ok(UpsamplingBilinear2d::to_size(&[5, 7])),
            IMAGE,
            x(&[3, 4]),
            "interpolate: bilinear does not take an input of 2 dimensions, [3, 4]",
        ),
        unary(
            "GroupNorm",
            || GroupNorm::new(2, 4, GroupNormOptions::default()),
            &[2, 4, 3],
            x(&[2, 3, 3]),
            "group_norm: 3 channels of [2, 3, 3] do not divide into 2 groups",
        ),
        unary(
            "LocalResponseNorm",
            || Ok(LocalResponseNorm::new(3)),
            IMAGE,
            x(&[3, 4]),
            "local_response_norm: expected at least 3 dimensions, got [3, 4]",
        ),
    ]
}
