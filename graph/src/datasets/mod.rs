//! Graphs to learn from.

mod karate;
mod planetoid;

pub use karate::karate_club;
pub use planetoid::planetoid;

use flambeau_tensor::Tensor;

use crate::Edges;

/// A graph whose nodes belong to classes (`torch_geometric.data.Data`).
#[derive(Clone, Debug)]
pub struct NodeGraph {
    /// Features of the nodes, `[nodes, features]`.
    pub x: Tensor,
    /// Edges in both directions, without self-loops.
    pub edges: Edges,
    /// The class of each node, `[nodes]`, `int64`.
    pub y: Tensor,
    /// How many classes there are.
    pub num_classes: usize,
    /// Which nodes are learnt from, `[nodes]`, `bool`.
    pub train_mask: Tensor,
    /// Which nodes a model is chosen by, `[nodes]`, `bool`.
    pub val_mask: Tensor,
    /// Which nodes it is tested on, `[nodes]`, `bool`.
    pub test_mask: Tensor,
}
