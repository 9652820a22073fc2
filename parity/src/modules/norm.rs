//! Norms and dropout.

use flambeau_nn::*;
use flambeau_tensor::Result;

use super::{Entry, unary};
use crate::args::Args;

macro_rules! norms {
    ($($batch:ident, $instance:ident;)*) => { &[$(
        (stringify!($batch), |a| {
            let features = a.required_int(0, "num_features")? as usize;
            unary($batch::new(features, options(a, BatchNormOptions::BATCH)?)?)
        }),
        (stringify!($instance), |a| {
            let features = a.required_int(0, "num_features")? as usize;
            unary($instance::new(features, options(a, BatchNormOptions::INSTANCE)?)?)
        }),
    )*] };
}

fn options(a: &mut Args, default: BatchNormOptions) -> Result<BatchNormOptions> {
    let momentum = match a.peek(2, "momentum") {
        None => default.momentum,
        Some(_) => a.opt_float(2, "momentum")?,
    };
    Ok(BatchNormOptions {
        eps: a.float(1, "eps", default.eps)?,
        momentum,
        affine: a.bool(3, "affine", default.affine)?,
        track_running_stats: a.bool(4, "track_running_stats", default.track_running_stats)?,
    })
}

pub(super) const BATCH: &[Entry] = norms! {
    BatchNorm1d, InstanceNorm1d;
    BatchNorm2d, InstanceNorm2d;
    BatchNorm3d, InstanceNorm3d;
};

fn shape(a: &mut Args) -> Result<Vec<usize>> {
    Ok(a.ints(0, "normalized_shape")?
        .into_iter()
        .map(|size| size as usize)
        .collect())
}

pub(super) const TABLE: &[Entry] = &[
    ("Dropout", |a| unary(Dropout::new(a.float(0, "p", 0.5)?)?)),
    ("Dropout1d", |a| unary(Dropout1d::new(a.float(0, "p", 0.5)?)?)),
    ("Dropout2d", |a| unary(Dropout2d::new(a.float(0, "p", 0.5)?)?)),
    ("Dropout3d", |a| unary(Dropout3d::new(a.float(0, "p", 0.5)?)?)),
    ("GroupNorm", |a| {
        let sizes = [
            a.required_int(0, "num_groups")?,
            a.required_int(1, "num_channels")?,
        ];
        let (eps, affine) = (a.float(2, "eps", 1e-5)?, a.bool(3, "affine", true)?);
        unary(GroupNorm::new(sizes[0] as usize, sizes[1] as usize, eps, affine)?)
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
