//! The tables behind the registry, one file per family of functions.

use crate::registry::Entry;

mod activation;
mod core;
mod creation;
mod indexing;
mod loss;
mod masked;
mod nn;
mod nn_spatial;
mod pointwise;
mod reduction;
mod shape;
mod sorting;
mod special;

/// All tables.
pub(crate) const ALL: &[&[Entry]] = &[
    activation::PLAIN,
    activation::TABLE,
    core::TABLE,
    creation::TABLE,
    indexing::TABLE,
    loss::TABLE,
    masked::TABLE,
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
];
