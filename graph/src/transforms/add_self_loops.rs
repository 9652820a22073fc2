//! `torch_geometric.transforms.AddSelfLoops`.

use flambeau_tensor::Result;

use super::Transform;
use crate::{Graph, utils};

/// Adds an edge from each node to itself, behind the others.
#[derive(Clone, Copy, Debug)]
pub struct AddSelfLoops {
    /// The attributes of the new edges.
    pub fill_value: f64,
}

impl Default for AddSelfLoops {
    fn default() -> Self {
        AddSelfLoops { fill_value: 1.0 }
    }
}

impl Transform for AddSelfLoops {
    fn apply(&self, mut graph: Graph) -> Result<Graph> {
        let attr = graph.edge_attr.as_ref();
        (graph.edge_index, graph.edge_attr) =
            utils::add_self_loops(&graph.edge_index, attr, self.fill_value, graph.num_nodes)?;
        Ok(graph)
    }
}
