//! `torch_geometric.transforms.NormalizeFeatures`.

use flambeau_tensor::Result;

use super::Transform;
use crate::Graph;

/// Subtracts the least of all features, and divides each node's features by their sum, or by 1 if that is less.
#[derive(Clone, Copy, Debug, Default)]
pub struct NormalizeFeatures;

impl Transform for NormalizeFeatures {
    fn apply(&self, mut graph: Graph) -> Result<Graph> {
        let x = graph.x()?;
        if x.numel() > 0 {
            let x = x.sub(&x.min()?)?;
            graph.x = Some(x.div(&x.sum_dim(-1, true)?.clamp_min(1.0)?)?);
        }
        Ok(graph)
    }
}
