//! Graph attention: `x'ᵢ = Σⱼ αᵢⱼ·W·xⱼ`, where `α` is the softmax over `i`'s neighbours of `LeakyReLU(a·W·xⱼ + b·W·xᵢ)`, of
//! "Graph Attention Networks" (Veličković et al., 2017, arXiv:1710.10903); `torch_geometric.nn.GATConv`.

use flambeau_nn::{Dropout, Forward, Linear, Module, Parameter};
use flambeau_tensor::{Result, Tensor};

use super::{attention, biased, glorot_linear, heads_together, zero_bias};
use crate::Edges;

/// Options of [`GATConv`].
#[derive(Clone, Copy, Debug)]
pub struct GATConvOptions {
    /// How many attentions there are side by side.
    pub heads: usize,
    /// Whether the heads' features stand side by side; otherwise, their mean is taken.
    pub concat: bool,
    /// Slope of the leaky ReLU below 0.
    pub negative_slope: f64,
    /// Probability with which an edge of a head is dropped in training.
    pub dropout: f64,
    /// Whether a bias is learnt.
    pub bias: bool,
}

impl Default for GATConvOptions {
    fn default() -> Self {
        GATConvOptions {
            heads: 1,
            concat: true,
            negative_slope: 0.2,
            dropout: 0.0,
            bias: true,
        }
    }
}

/// Graph attention. Self-loops are part of the [edges](Edges::with_self_loops).
///
/// # Shapes
/// `[nodes, in_channels] → [nodes, heads·out_channels]`, or `[nodes, out_channels]` unless heads stand side by side.
#[derive(Debug, Module)]
pub struct GATConv {
    /// How much a neighbour's features count, `[1, heads, out_channels]`.
    pub att_src: Parameter,
    /// How much a node's own features count, `[1, heads, out_channels]`.
    pub att_dst: Parameter,
    /// `[heads·out_channels]` or `[out_channels]`.
    pub bias: Option<Parameter>,
    /// The weights, `[heads·out_channels, in_channels]`.
    pub lin: Linear,
    dropout: Dropout,
    heads: usize,
    concat: bool,
    negative_slope: f64,
}

impl GATConv {
    /// A layer with Glorot's weights and a bias of zeros.
    ///
    /// # Errors
    /// `Shape` if the weights are larger than memory can address; `Value` unless `dropout` is between 0 and 1.
    pub fn new(in_channels: usize, out_channels: usize, options: GATConvOptions) -> Result<GATConv> {
        let GATConvOptions { heads, concat, .. } = options;
        let lin = glorot_linear(in_channels, heads * out_channels)?;
        Ok(GATConv {
            att_src: attention(heads, out_channels)?,
            att_dst: attention(heads, out_channels)?,
            bias: zero_bias(
                options.bias,
                if concat {
                    heads * out_channels
                } else {
                    out_channels
                },
            )?,
            lin,
            dropout: Dropout::new(options.dropout)?,
            heads,
            concat,
            negative_slope: options.negative_slope,
        })
    }

    /// The new features of the nodes.
    ///
    /// # Errors
    /// `Shape` unless there is a row for each node.
    pub fn forward(&self, x: &Tensor, edges: &Edges) -> Result<Tensor> {
        let nodes = edges.nodes();
        let channels = self.att_src.shape()[2];
        let x = self.lin.forward(x)?.reshape((nodes, self.heads, channels))?;
        let score = |attention: &Tensor| x.mul(attention)?.sum_dim(-1, false);
        let scores = edges
            .from_sources(&score(&self.att_src)?)?
            .add(&edges.from_targets(&score(&self.att_dst)?)?)?
            .leaky_relu(self.negative_slope)?;
        let weights = self.dropout.forward(&edges.softmax(&scores)?)?;
        let arrived = heads_together(&edges.matmul(&x, Some(&weights))?, self.concat)?;
        biased(arrived, &self.bias)
    }
}
