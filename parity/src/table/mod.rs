//! The tables behind the registry, one file per family of functions.

use crate::registry::Entry;

mod activation;
mod core;
mod creation;
mod indexing;
mod nn;
mod nn_spatial;
mod pointwise;
mod shape;
mod special;

/// All tables.
pub(crate) const ALL: &[&[Entry]] = &[
    activation::PLAIN,
    activation::TABLE,
    core::TABLE,
    creation::TABLE,
    indexing::TABLE,
    nn::TABLE,
    nn_spatial::TABLE,
    pointwise::BINARY,
    pointwise::CASTS,
    pointwise::REFLECTED,
    pointwise::TABLE,
    pointwise::UNARY,
    shape::TABLE,
    special::POLYNOMIALS,
    special::TABLE,
    special::UNARY,
];
