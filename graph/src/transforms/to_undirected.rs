//! `torch_geometric.transforms.ToUndirected`.

use flambeau_tensor::Result;

use super::Transform;
use crate::{Graph, utils};

/// Adds the opposite of each edge; each edge is there once afterwards, in order, and what belongs to several is added up.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToUndirected;

impl Transform for ToUndirected {
    fn apply(&self, mut graph: Graph) -> Result<Graph> {
        let attr = graph.edge_attr.as_ref();
        (graph.edge_index, graph.edge_attr) = utils::to_undirected(&graph.edge_index, attr, graph.num_nodes)?;
        Ok(graph)
    }
}
