//! Message passing: what all graph convolutions have in common (`torch_geometric.nn.MessagePassing`; Gilmer et al., 2017,
//! arXiv:1704.01212).

use flambeau_tensor::{Result, Tensor};

use crate::{Aggregation, Edges};

/// A layer whose nodes get new features from what their neighbours send: `x'ᵢ = γ(⊕ⱼ φ(xⱼ))`. What is not overridden sends
/// features as they are and adds them up.
pub trait MessagePassing {
    /// `φ`: what goes along each edge.
    ///
    /// # Shapes
    /// `[nodes, …] → [edges, …]`.
    ///
    /// # Errors
    /// `Shape` unless there is a row for each node.
    fn message(&self, edges: &Edges, x: &Tensor) -> Result<Tensor> {
        edges.from_sources(x)
    }

    /// `⊕`: what arrives at each node.
    ///
    /// # Shapes
    /// `[edges, …] → [nodes, …]`.
    ///
    /// # Errors
    /// `Shape` unless there is a row for each edge.
    fn aggregate(&self, edges: &Edges, messages: &Tensor) -> Result<Tensor> {
        edges.aggregate(messages, Aggregation::Sum)
    }

    /// `γ`: what becomes of it.
    ///
    /// # Errors
    /// Those of the layer.
    fn update(&self, arrived: Tensor) -> Result<Tensor> {
        Ok(arrived)
    }

    /// Messages, their aggregation and the update.
    ///
    /// # Shapes
    /// `[nodes, …] → [nodes, …]`.
    ///
    /// # Errors
    /// Those of the three.
    fn propagate(&self, edges: &Edges, x: &Tensor) -> Result<Tensor> {
        let messages = self.message(edges, x)?;
        self.update(self.aggregate(edges, &messages)?)
    }
}
