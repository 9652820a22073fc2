//! Norms and dropout.

use flambeau_nn::*;
use flambeau_tensor::Result;

use super::{Entry, unary};
use crate::args::Args;

macro_rules! norms {
    ($($name:ident, $default:ident, $lazy:literal, $lazy_default:ident;)*) => { &[$(
        (stringify!($name), |a| {
            let features = a.required_count(0, "num_features")?;
            unary($name::new(features, options(a, 1, BatchNormOptions::$default)?)?)
        }),
        ($lazy, |a| unary($name::lazy(options(a, 0, BatchNormOptions::$lazy_default)?))),
    )*] };
}

/// The settings from `eps`, which stands at `first`.
fn options(a: &mut Args, first: usize, default: BatchNormOptions) -> Result<BatchNormOptions> {
    let momentum = match a.peek(first + 1, "momentum") {
        None => default.momentum,
        Some(_) => a.opt_float(first + 1, "momentum")?,
    };
    Ok(BatchNormOptions {
        eps: a.float(first, "eps", default.eps)?,
        momentum,
        affine: a.bool(first + 2, "affine", default.affine)?,
        bias: a.bool(usize::MAX, "bias", true)?,
        track_running_stats: a.bool(first + 3, "track_running_stats", default.track_running_stats)?,
    })
}

pub(super) const BATCH: &[Entry] = norms! {
    BatchNorm1d, BATCH, "LazyBatchNorm1d", BATCH;
    BatchNorm2d, BATCH, "LazyBatchNorm2d", BATCH;
    BatchNorm3d, BATCH, "LazyBatchNorm3d", BATCH;
    InstanceNorm1d, INSTANCE, "LazyInstanceNorm1d", BATCH;
    InstanceNorm2d, INSTANCE, "LazyInstanceNorm2d", BATCH;
    InstanceNorm3d, INSTANCE, "LazyInstanceNorm3d", BATCH;
};

fn shape(a: &mut Args) -> Result<Vec<usize>> {
    Ok(a.ints(0, "normalized_shape")?
        .into_iter()
        .map(|size| size as usize)
        .collect())
}

pub(super) const TABLE: &[Entry] = &[
    ("AlphaDropout", |a| {
        unary(AlphaDropout::new(a.float(0, "p", 0.5)?)?)
    }),
    ("Dropout", |a| unary(Dropout::new(a.float(0, "p", 0.5)?)?)),
    ("Dropout1d", |a| unary(Dropout1d::new(a.float(0, "p", 0.5)?)?)),
    ("Dropout2d", |a| unary(Dropout2d::new(a.float(0, "p", 0.5)?)?)),
    ("Dropout3d", |a| unary(Dropout3d::new(a.float(0, "p", 0.5)?)?)),
    ("FeatureAlphaDropout", |a| {
        unary(FeatureAlphaDropout::new(a.float(0, "p", 0.5)?)?)
    }),
    ("GroupNorm", |a| {
        let sizes = [
            a.required_int(0, "num_groups")?,
            a.required_int(1, "num_channels")?,
        ];
        let options = GroupNormOptions {
            eps: a.float(2, "eps", 1e-5)?,
            affine: a.bool(3, "affine", true)?,
            bias: a.bool(usize::MAX, "bias", true)?,
        };
        unary(GroupNorm::new(sizes[0] as usize, sizes[1] as usize, options)?)
    }),
    ("LayerNorm", |a| unary(layer_norm(a)?)),
    ("LocalResponseNorm", |a| {
        let norm = LocalResponseNorm::new(a.required_int(0, "size")? as usize);
        unary(LocalResponseNorm {
            alpha: a.float(1, "alpha", norm.alpha)?,
            beta: a.float(2, "beta", norm.beta)?,
            k: a.float(3, "k", norm.k)?,
            ..norm
        })
    }),
    ("RMSNorm", |a| {
        let shape = shape(a)?;
        unary(RMSNorm::new(
            &shape,
            a.opt_float(1, "eps")?,
            a.bool(2, "elementwise_affine", true)?,
        )?)
    }),
];

pub(super) fn layer_norm(a: &mut Args) -> Result<LayerNorm> {
    let shape = shape(a)?;
    let options = LayerNormOptions {
        eps: a.float(1, "eps", 1e-5)?,
        elementwise_affine: a.bool(2, "elementwise_affine", true)?,
        bias: a.bool(3, "bias", true)?,
    };
    LayerNorm::new(&shape, options)
}
