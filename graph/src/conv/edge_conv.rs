//! The edge convolution `x'ᵢ = ⊕ⱼ h(xᵢ, xⱼ - xᵢ)`, of "Dynamic Graph CNN for Learning on Point Clouds" (Wang et al., 2018,
//! arXiv:1801.07829); `torch_geometric.nn.EdgeConv`.

use flambeau_nn::{Forward, Module};
use flambeau_tensor::{Result, Tensor};

use crate::{Aggregation, Edges, MessagePassing};

/// The edge convolution around a network `h` that works on each edge by itself.
///
/// # Shapes
/// `[nodes, in_channels] → [nodes, out_channels]`, where `h` maps `[edges, 2·in_channels] → [edges, out_channels]`.
#[derive(Clone, Debug, Module)]
pub struct EdgeConv<N> {
    /// `h`.
    pub nn: N,
    #[module(skip)]
    aggregation: Aggregation,
}

impl<N: Forward> MessagePassing for EdgeConv<N> {
    fn aggregation(&self) -> Aggregation {
        self.aggregation
    }

    fn message(&self, edges: &Edges, x: &Tensor) -> Result<Tensor> {
        let own = edges.from_targets(x)?;
        let difference = edges.from_sources(x)?.sub(&own)?;
        self.nn.forward(&Tensor::cat(&[&own, &difference], -1)?)
    }
}

impl<N: Forward> EdgeConv<N> {
    /// A layer around a network; PyTorch Geometric's default takes the largest of each feature ([`Aggregation::Max`]).
    pub fn new(nn: N, aggregation: Aggregation) -> EdgeConv<N> {
        EdgeConv { nn, aggregation }
    }

    /// The new features of the nodes.
    ///
    /// # Errors
    /// `Shape` unless there is a row for each node; those of the network.
    pub fn forward(&self, x: &Tensor, edges: &Edges) -> Result<Tensor> {
        self.propagate(edges, x)
    }
}
