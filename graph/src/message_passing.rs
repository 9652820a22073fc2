//! Message passing: what all graph convolutions have in common (`torch_geometric.nn.MessagePassing`; Gilmer et al., 2017,
//! arXiv:1704.01212).

use flambeau_tensor::{Result, Tensor};

use crate::{Aggregation, Edges};

/// A layer whose nodes get new features from what their neighbours send: `x'ᵢ = γ(⊕ⱼ φ(xᵢ, xⱼ))`. What is not overridden sends
/// features as they are and adds them up.
///
/// A layer that needs more than features (weights of edges, attention) says so in `message`, which sees the layer, or
/// calls [`Edges`] itself.
///
/// ```
/// use flambeau_graph::{Aggregation, Edges, MessagePassing};
/// use flambeau_tensor::{Result, Tensor};
///
/// /// By how much each neighbour differs, at most.
/// struct LargestDifference;
///
/// impl MessagePassing for LargestDifference {
///     fn aggregation(&self) -> Aggregation {
///         Aggregation::Max
///     }
///
///     fn message(&self, edges: &Edges, x: &Tensor) -> Result<Tensor> {
///         edges.from_sources(x)?.sub(&edges.from_targets(x)?)?.abs()
///     }
/// }
///
/// let edges = Edges::undirected(&Tensor::new([[0i64, 1], [1, 2]])?, 3)?;
/// let x = Tensor::new([[0f32], [1.0], [5.0]])?;
/// assert_eq!(LargestDifference.propagate(&edges, &x)?.to_vec::<f32>()?, [1.0, 4.0, 4.0]);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
pub trait MessagePassing {
    /// Which `⊕` it is.
    fn aggregation(&self) -> Aggregation {
        Aggregation::Sum
    }

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
        edges.aggregate(messages, self.aggregation())
    }

    /// Both in one, for layers whose messages need not be there one by one: with [`Edges::gather`] or [`Edges::matmul`].
    ///
    /// # Shapes
    /// `[nodes, …] → [nodes, …]`.
    ///
    /// # Errors
    /// Those of the two.
    fn message_and_aggregate(&self, edges: &Edges, x: &Tensor) -> Result<Tensor> {
        self.aggregate(edges, &self.message(edges, x)?)
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
        self.update(self.message_and_aggregate(edges, x)?)
    }
}
