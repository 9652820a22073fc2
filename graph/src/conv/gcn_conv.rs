//! The graph convolution `X' = D^(-1/2)·A·D^(-1/2)·X·Wᵀ + b` of "Semi-Supervised Classification with Graph Convolutional
//! Networks" (Kipf & Welling, 2016, arXiv:1609.02907); `torch_geometric.nn.GCNConv`.

use flambeau_nn::{Forward, Linear, Module, Parameter};
use flambeau_tensor::{Result, Tensor};

use super::{biased, glorot_linear, zero_bias};
use crate::{Aggregation, Edges, MessagePassing};

/// Options of [`GCNConv`].
#[derive(Clone, Copy, Debug)]
pub struct GCNConvOptions {
    /// Whether a bias is learnt.
    pub bias: bool,
}

impl Default for GCNConvOptions {
    fn default() -> Self {
        GCNConvOptions { bias: true }
    }
}

/// The graph convolution of Kipf and Welling. Self-loops are part of the [edges](Edges::with_self_loops), so that they are
/// made once and not in every layer.
///
/// # Shapes
/// `[nodes, in_channels] → [nodes, out_channels]`.
#[derive(Clone, Debug, Module)]
pub struct GCNConv {
    /// `[out_channels]`.
    pub bias: Option<Parameter>,
    /// The weights, `[out_channels, in_channels]`.
    pub lin: Linear,
}

impl MessagePassing for GCNConv {
    fn message_and_aggregate(&self, edges: &Edges, x: &Tensor) -> Result<Tensor> {
        edges.gather(x, Aggregation::Sum)
    }
}

impl GCNConv {
    /// A layer with Glorot's weights and a bias of zeros.
    ///
    /// # Errors
    /// `Shape` if the weights are larger than memory can address.
    pub fn new(in_channels: usize, out_channels: usize, options: GCNConvOptions) -> Result<GCNConv> {
        Ok(GCNConv {
            bias: zero_bias(options.bias, out_channels)?,
            lin: glorot_linear(in_channels, out_channels)?,
        })
    }

    /// The new features of the nodes; each edge counts as one.
    ///
    /// # Errors
    /// `Shape` unless there is a row for each node.
    pub fn forward(&self, x: &Tensor, edges: &Edges) -> Result<Tensor> {
        let x = self.lin.forward(x)?;
        // D^(-1/2) on either side: rows of what is sent, rows of what arrives.
        let scale = inverse_root(&edges.degrees(x.dtype())?)?.unsqueeze(-1)?;
        let arrived = self.propagate(edges, &x.mul(&scale)?)?.mul(&scale)?;
        biased(arrived, &self.bias)
    }

    /// The new features of the nodes for edges with weights, `[edges]` in the edges' own [order](Edges::arranged).
    ///
    /// # Errors
    /// `Shape` unless there is a row for each node and a weight for each edge.
    pub fn forward_weighted(&self, x: &Tensor, edges: &Edges, weights: &Tensor) -> Result<Tensor> {
        let x = self.lin.forward(x)?;
        let degrees = edges.aggregate(weights, Aggregation::Sum)?;
        let scale = inverse_root(&degrees)?;
        let weights = edges
            .from_sources(&scale)?
            .mul(weights)?
            .mul(&edges.from_targets(&scale)?)?;
        biased(edges.matmul(&x, Some(&weights))?, &self.bias)
    }
}

/// `1/√degree`, and 0 where the degree is.
pub(super) fn inverse_root(degrees: &Tensor) -> Result<Tensor> {
    let isolated = degrees.eq(0)?;
    degrees.pow(-0.5)?.masked_fill(&isolated, 0)
}
