//! Parts of large graphs as batches (`torch_geometric.loader`).

mod neighbor;

pub(crate) use neighbor::below;
pub use neighbor::{NeighborSampler, Neighborhood};
