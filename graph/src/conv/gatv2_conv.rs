//! Graph attention whose weights depend on both ends: `x'ᵢ = Σⱼ αᵢⱼ·W₁·xⱼ`, where `α` is the softmax over `i`'s neighbours of
//! `a·LeakyReLU(W₁·xⱼ + W₂·xᵢ)`, of "How Attentive are Graph Attention Networks?" (Brody et al., 2021, arXiv:2105.14491);
//! `torch_geometric.nn.GATv2Conv`.

use flambeau_nn::{Dropout, Forward, Linear, Module, Parameter};
use flambeau_tensor::{Result, Tensor};

use super::{attention, biased, glorot_linear_with, heads_together, zero_bias};
use crate::Edges;

/// Options of [`GATv2Conv`].
#[derive(Clone, Copy, Debug)]
pub struct GATv2ConvOptions {
    /// How many attentions there are side by side.
    pub heads: usize,
    /// Whether the heads' features stand side by side; otherwise, their mean is taken.
    pub concat: bool,
    /// Slope of the leaky ReLU below 0.
    pub negative_slope: f64,
    /// Probability with which an edge of a head is dropped in training.
    pub dropout: f64,
    /// Whether biases are learnt.
    pub bias: bool,
    /// Whether sources and targets have the same weights.
    pub share_weights: bool,
}

impl Default for GATv2ConvOptions {
    fn default() -> Self {
        GATv2ConvOptions {
            heads: 1,
            concat: true,
            negative_slope: 0.2,
            dropout: 0.0,
            bias: true,
            share_weights: false,
        }
    }
}

/// Graph attention, second version. Self-loops are part of the [edges](Edges::with_self_loops).
///
/// # Shapes
/// `[nodes, in_channels] → [nodes, heads·out_channels]`, or `[nodes, out_channels]` unless heads stand side by side.
#[derive(Debug, Module)]
pub struct GATv2Conv {
    /// Weights of attention, `[1, heads, out_channels]`.
    pub att: Parameter,
    /// `[heads·out_channels]` or `[out_channels]`.
    pub bias: Option<Parameter>,
    /// Weights and bias of sources, `[heads·out_channels, in_channels]`.
    pub lin_l: Linear,
    /// Weights and bias of targets, `[heads·out_channels, in_channels]`; with `share_weights`, those of sources, under both names.
    pub lin_r: Linear,
    dropout: Dropout,
    heads: usize,
    concat: bool,
    negative_slope: f64,
    share_weights: bool,
}

impl GATv2Conv {
    /// A layer with Glorot's weights.
    ///
    /// # Errors
    /// `Shape` if the weights are larger than memory can address; `Value` unless `dropout` is between 0 and 1.
    pub fn new(in_channels: usize, out_channels: usize, options: GATv2ConvOptions) -> Result<GATv2Conv> {
        let GATv2ConvOptions {
            heads,
            concat,
            bias,
            share_weights,
            ..
        } = options;
        let linear = || glorot_linear_with(in_channels, heads * out_channels, bias);
        let lin_l = linear()?;
        let lin_r = match share_weights {
            true => lin_l.clone(),
            false => linear()?,
        };
        Ok(GATv2Conv {
            att: attention(heads, out_channels)?,
            bias: zero_bias(
                bias,
                if concat {
                    heads * out_channels
                } else {
                    out_channels
                },
            )?,
            lin_l,
            lin_r,
            dropout: Dropout::new(options.dropout)?,
            heads,
            concat,
            negative_slope: options.negative_slope,
            share_weights,
        })
    }

    /// The new features of the nodes.
    ///
    /// # Errors
    /// `Shape` unless there is a row for each node.
    pub fn forward(&self, x: &Tensor, edges: &Edges) -> Result<Tensor> {
        let size = (edges.nodes(), self.heads, self.att.shape()[2]);
        let sent = self.lin_l.forward(x)?.reshape(size)?;
        let own = match self.share_weights {
            true => sent.clone(),
            false => self.lin_r.forward(x)?.reshape(size)?,
        };
        let scores = edges
            .from_sources(&sent)?
            .add(&edges.from_targets(&own)?)?
            .leaky_relu(self.negative_slope)?
            .mul(self.att.tensor())?
            .sum_dim(-1, false)?;
        let weights = self.dropout.forward(&edges.softmax(&scores)?)?;
        let arrived = heads_together(&edges.matmul(&sent, Some(&weights))?, self.concat)?;
        biased(arrived, &self.bias)
    }
}
