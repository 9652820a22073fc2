//! GraphSAGE's convolution `x'ᵢ = W₁·⊕ⱼ xⱼ + b + W₂·xᵢ`, of "Inductive Representation Learning on Large Graphs" (Hamilton et
//! al., 2017, arXiv:1706.02216); `torch_geometric.nn.SAGEConv`.

use flambeau_nn::{Forward, Linear, LinearOptions, Module};
use flambeau_tensor::{Result, Tensor};

use crate::{Aggregation, Edges, MessagePassing};

/// Options of [`SAGEConv`].
#[derive(Clone, Copy, Debug)]
pub struct SAGEConvOptions {
    /// How neighbours become one.
    pub aggregation: Aggregation,
    /// Whether a node's own features count too.
    pub root_weight: bool,
    /// Whether a bias is learnt.
    pub bias: bool,
}

impl Default for SAGEConvOptions {
    fn default() -> Self {
        SAGEConvOptions {
            aggregation: Aggregation::Mean,
            root_weight: true,
            bias: true,
        }
    }
}

/// GraphSAGE's convolution.
///
/// # Shapes
/// `[nodes, in_channels] → [nodes, out_channels]`.
#[derive(Clone, Debug, Module)]
pub struct SAGEConv {
    /// Weights and bias for what arrives, `[out_channels, in_channels]`.
    pub lin_l: Linear,
    /// Weights for a node's own features, `[out_channels, in_channels]`.
    pub lin_r: Option<Linear>,
    #[module(skip)]
    aggregation: Aggregation,
}

impl MessagePassing for SAGEConv {
    fn aggregation(&self) -> Aggregation {
        self.aggregation
    }

    fn message_and_aggregate(&self, edges: &Edges, x: &Tensor) -> Result<Tensor> {
        edges.gather(x, self.aggregation)
    }

    fn update(&self, arrived: Tensor) -> Result<Tensor> {
        self.lin_l.forward(&arrived)
    }
}

impl SAGEConv {
    /// A layer with the initial weights of linear layers.
    ///
    /// # Errors
    /// `Shape` if the weights are larger than memory can address.
    pub fn new(in_channels: usize, out_channels: usize, options: SAGEConvOptions) -> Result<SAGEConv> {
        let linear = |bias| Linear::new(in_channels, out_channels, LinearOptions { bias });
        Ok(SAGEConv {
            lin_l: linear(options.bias)?,
            lin_r: options.root_weight.then(|| linear(false)).transpose()?,
            aggregation: options.aggregation,
        })
    }

    /// The new features of the nodes.
    ///
    /// # Errors
    /// `Shape` unless there is a row for each node.
    pub fn forward(&self, x: &Tensor, edges: &Edges) -> Result<Tensor> {
        let arrived = self.propagate(edges, x)?;
        match &self.lin_r {
            Some(own) => arrived.add(&own.forward(x)?),
            None => Ok(arrived),
        }
    }
}
