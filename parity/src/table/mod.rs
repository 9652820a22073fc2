//! The tables behind the registry, one file per family of functions.

use crate::registry::Entry;

mod core;
mod nn;
mod nn_spatial;

/// All tables.
pub(crate) const ALL: &[&[Entry]] = &[core::TABLE, nn::TABLE, nn_spatial::TABLE];
