//! The tables behind the registry, one file per family of functions.

use crate::registry::Entry;

mod core;

/// All tables.
pub(crate) const ALL: &[&[Entry]] = &[core::TABLE];
