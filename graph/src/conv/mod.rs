//! Graph convolutions under PyTorch Geometric's names, with its keys and initial weights: a file for each.

mod cheb_conv;
mod edge_conv;
mod gat_conv;
mod gatv2_conv;
mod gcn_conv;
mod gin_conv;
mod graph_conv;
mod sage_conv;

pub use cheb_conv::{ChebConv, ChebConvOptions, Normalization};
pub use edge_conv::EdgeConv;
pub use gat_conv::{GATConv, GATConvOptions};
pub use gatv2_conv::{GATv2Conv, GATv2ConvOptions};
pub use gcn_conv::{GCNConv, GCNConvOptions};
pub use gin_conv::{GINConv, GINConvOptions};
pub use graph_conv::{GraphConv, GraphConvOptions};
pub use sage_conv::{SAGEConv, SAGEConvOptions};

use flambeau_nn::{Linear, LinearOptions, Parameter, init};
use flambeau_tensor::{DType, Result, Tensor};

/// A linear layer without bias whose weights are Glorot's.
fn glorot_linear(inputs: usize, outputs: usize) -> Result<Linear> {
    glorot_linear_with(inputs, outputs, false)
}

/// A linear layer whose weights are Glorot's, and whose bias, if there is one, is that of other linear layers.
fn glorot_linear_with(inputs: usize, outputs: usize, bias: bool) -> Result<Linear> {
    let linear = init::skip(|| Linear::new(inputs, outputs, LinearOptions { bias }))?;
    init::xavier_uniform_(&linear.weight, 1.0)?;
    if let Some(bias) = &linear.bias {
        let bound = 1.0 / (inputs.max(1) as f64).sqrt();
        init::uniform_(bias, -bound, bound)?;
    }
    Ok(linear)
}

/// Weights of attention, `[1, heads, channels]`, with Glorot's bound by the last two dimensions, as PyTorch Geometric has it.
fn attention(heads: usize, channels: usize) -> Result<Parameter> {
    let weights = Tensor::zeros((1, heads, channels), DType::F32)?;
    let bound = (6.0 / (heads + channels).max(1) as f64).sqrt();
    init::uniform_(&weights, -bound, bound)?;
    Parameter::new(weights)
}

/// `[nodes, heads, channels] → [nodes, heads·channels]`, or the heads' mean, `[nodes, channels]`.
fn heads_together(x: &Tensor, concat: bool) -> Result<Tensor> {
    if concat {
        x.flatten(1, -1)
    } else {
        x.mean_dim(1, false)
    }
}

/// A bias of zeros, if there is to be one.
fn zero_bias(wanted: bool, features: usize) -> Result<Option<Parameter>> {
    let zeros = || Parameter::new(Tensor::zeros(features, DType::F32)?);
    wanted.then(zeros).transpose()
}

/// `x` with a bias, if there is one.
fn biased(x: Tensor, bias: &Option<Parameter>) -> Result<Tensor> {
    match bias {
        Some(bias) => x.add(bias.tensor()),
        None => Ok(x),
    }
}
