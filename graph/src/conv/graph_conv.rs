//! The graph convolution `x'ᵢ = W₁·⊕ⱼ eⱼᵢ·xⱼ + b + W₂·xᵢ`, of "Weisfeiler and Leman Go Neural" (Morris et al., 2018,
//! arXiv:1810.02244); `torch_geometric.nn.GraphConv`.

use flambeau_nn::{Forward, Linear, LinearOptions, Module};
use flambeau_tensor::{Result, Tensor};

use crate::{Aggregation, Edges, MessagePassing};

/// Options of [`GraphConv`].
#[derive(Clone, Copy, Debug)]
pub struct GraphConvOptions {
    /// How neighbours become one.
    pub aggregation: Aggregation,
    /// Whether a bias is learnt.
    pub bias: bool,
}

impl Default for GraphConvOptions {
    fn default() -> Self {
        GraphConvOptions {
            aggregation: Aggregation::Sum,
            bias: true,
        }
    }
}

/// The graph convolution of Morris et al.
///
/// # Shapes
/// `[nodes, in_channels] → [nodes, out_channels]`.
#[derive(Clone, Debug, Module)]
pub struct GraphConv {
    /// Weights and bias for what arrives, `[out_channels, in_channels]`.
    pub lin_rel: Linear,
    /// Weights for a node's own features, `[out_channels, in_channels]`.
    pub lin_root: Linear,
    #[module(skip)]
    aggregation: Aggregation,
}

impl MessagePassing for GraphConv {
    fn aggregation(&self) -> Aggregation {
        self.aggregation
    }

    fn message_and_aggregate(&self, edges: &Edges, x: &Tensor) -> Result<Tensor> {
        edges.gather(x, self.aggregation)
    }
}

impl GraphConv {
    /// A layer with the initial weights of linear layers.
    ///
    /// # Errors
    /// `Shape` if the weights are larger than memory can address.
    pub fn new(in_channels: usize, out_channels: usize, options: GraphConvOptions) -> Result<GraphConv> {
        let linear = |bias| Linear::new(in_channels, out_channels, LinearOptions { bias });
        Ok(GraphConv {
            lin_rel: linear(options.bias)?,
            lin_root: linear(false)?,
            aggregation: options.aggregation,
        })
    }

    /// The new features of the nodes; each edge counts as one.
    ///
    /// # Errors
    /// `Shape` unless there is a row for each node.
    pub fn forward(&self, x: &Tensor, edges: &Edges) -> Result<Tensor> {
        self.with_own(self.propagate(edges, x)?, x)
    }

    /// The new features of the nodes for edges with weights, `[edges]` in the edges' own [order](Edges::arranged).
    ///
    /// # Errors
    /// `Shape` unless there is a row for each node and a weight for each edge.
    pub fn forward_weighted(&self, x: &Tensor, edges: &Edges, weights: &Tensor) -> Result<Tensor> {
        let arrived = match self.aggregation {
            Aggregation::Sum => edges.matmul(x, Some(weights))?,
            _ => self.aggregate(edges, &self.message(edges, x)?.mul(&weights.unsqueeze(-1)?)?)?,
        };
        self.with_own(arrived, x)
    }

    fn with_own(&self, arrived: Tensor, x: &Tensor) -> Result<Tensor> {
        self.lin_rel.forward(&arrived)?.add(&self.lin_root.forward(x)?)
    }
}
