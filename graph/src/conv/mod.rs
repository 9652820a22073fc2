//! Graph convolutions under PyTorch Geometric's names, with its keys and initial weights.

mod gat_conv;
mod gcn_conv;
mod sage_conv;

pub use gat_conv::{GATConv, GATConvOptions};
pub use gcn_conv::{GCNConv, GCNConvOptions};
pub use sage_conv::{SAGEConv, SAGEConvOptions};

use flambeau_nn::{Linear, LinearOptions, Parameter, init};
use flambeau_tensor::{DType, Result, Tensor};

/// A linear layer without bias whose weights are Glorot's.
fn glorot_linear(inputs: usize, outputs: usize) -> Result<Linear> {
    let linear = init::skip(|| Linear::new(inputs, outputs, LinearOptions { bias: false }))?;
    init::xavier_uniform_(&linear.weight, 1.0)?;
    Ok(linear)
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
