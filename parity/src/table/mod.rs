//! The tables behind the registry, one file per family of functions.

use crate::registry::Entry;

mod activation;
mod audio;
mod audio_transforms;
mod creation;
mod fft;
mod indexing;
mod linalg;
mod loss;
mod masked;
mod matmul;
mod nn;
mod nn_spatial;
mod pointwise;
mod reduction;
mod shape;
mod sorting;
mod special;
mod vision;
mod vision_ops;

/// All tables.
pub(crate) const ALL: &[&[Entry]] = &[
    activation::PLAIN,
    activation::TABLE,
    audio::TABLE,
    audio_transforms::TABLE,
    creation::TABLE,
    fft::TABLE,
    indexing::TABLE,
    linalg::TABLE,
    loss::TABLE,
    masked::TABLE,
    matmul::TABLE,
    nn::TABLE,
    nn_spatial::TABLE,
    pointwise::BINARY,
    pointwise::CASTS,
    pointwise::REFLECTED,
    pointwise::TABLE,
    pointwise::UNARY,
    reduction::TABLE,
    shape::TABLE,
    sorting::TABLE,
    special::POLYNOMIALS,
    special::TABLE,
    special::UNARY,
    vision::TABLE,
    vision_ops::TABLE,
];
