//! What is done to a graph before it is learnt from (`torch_geometric.transforms`): a file for each.

mod add_self_loops;
mod normalize_features;
mod random_link_split;
mod random_node_split;
mod to_undirected;

pub use add_self_loops::AddSelfLoops;
pub use normalize_features::NormalizeFeatures;
pub use random_link_split::{LinkGraph, LinkSplit, RandomLinkSplit};
pub use random_node_split::{NodeSplit, RandomNodeSplit};
pub use to_undirected::ToUndirected;

use flambeau_tensor::{Result, ensure};

use crate::Graph;

/// Makes one graph of another. A list of transforms is one, too (`Compose`).
pub trait Transform {
    /// The graph that becomes of this one.
    ///
    /// # Errors
    /// As the transform says; those of [`Graph::validate`].
    fn apply(&self, graph: Graph) -> Result<Graph>;
}

impl Transform for [&dyn Transform] {
    fn apply(&self, graph: Graph) -> Result<Graph> {
        self.iter()
            .try_fold(graph, |graph, transform| transform.apply(graph))
    }
}

/// A part of a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    /// So many.
    Count(usize),
    /// This share of all, between 0 and 1.
    Share(f64),
}

impl Size {
    /// How many of `all` that is before it is rounded.
    fn of(self, transform: &str, all: usize) -> Result<f64> {
        let size = match self {
            Size::Count(count) => count as f64,
            Size::Share(share) => {
                ensure!(
                    (0.0..=1.0).contains(&share),
                    Value,
                    "{transform}: expected a share between 0 and 1, got {share}"
                );
                share * all as f64
            }
        };
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use flambeau_tensor::{DType, Tensor};

    use super::*;

    #[test]
    fn transforms_follow_one_another() {
        let mut graph = Graph::new(Tensor::new([[0i64, 2], [1, 2]]).unwrap(), 3).unwrap();
        graph.x = Some(Tensor::new([[1f32, 3.0], [0.0, 0.0], [-2.0, 2.0]]).unwrap());
        graph.edge_attr = Some(Tensor::new([2f32, 5.0]).unwrap());
        let loops = AddSelfLoops { fill_value: 7.0 };
        let steps: [&dyn Transform; 3] = [&NormalizeFeatures, &ToUndirected, &loops];
        let graph = steps[..].apply(graph).unwrap();
        let x = graph.x().unwrap().to_vec::<f32>().unwrap();
        // The least feature of a graph becomes 0 before rows are divided by their sums.
        assert_eq!(x, [0.375, 0.625, 0.5, 0.5, 0.0, 1.0]);
        assert_eq!(
            graph.edge_index.to_vec::<i64>().unwrap(),
            [0, 1, 2, 0, 1, 2, 1, 0, 2, 0, 1, 2]
        );
        let attr = graph.edge_attr().unwrap().to_vec::<f32>().unwrap();
        assert_eq!(attr, [2.0, 2.0, 10.0, 7.0, 7.0, 7.0]);
        let bare = Graph::new(Tensor::zeros((2, 0), DType::I64).unwrap(), 2).unwrap();
        let error = NormalizeFeatures.apply(bare).unwrap_err().to_string();
        assert_eq!(error, "Graph: expected x, but the graph has none");
    }
}
