//! Loss functions (`torch.nn.functional`): how far predictions are from targets.
//!
//! Element-wise losses are broadcast as PyTorch does; [`Reduction`] says what becomes of the losses of the elements.

mod classification;
mod cross_entropy;
mod ctc;
mod margin;
mod regression;

pub use classification::*;
pub use cross_entropy::*;
pub use ctc::*;
pub use margin::*;
pub use regression::*;

use crate::{Result, Tensor};

/// What becomes of the losses of single elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// They are returned as they are.
    None,
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

impl Reduction {
    /// The reduction of PyTorch's name.
    pub fn from_name(name: &str) -> Option<Reduction> {
        Some(match name {
            "none" => Reduction::None,
            "mean" => Reduction::Mean,
            "sum" => Reduction::Sum,
            _ => return None,
        })
    }

    /// Reduces the losses of elements.
    ///
    /// # Errors
    /// `DType` for the mean of integers.
    pub fn apply(self, losses: &Tensor) -> Result<Tensor> {
        match self {
            Reduction::None => Ok(losses.clone()),
            Reduction::Mean => losses.mean(),
            Reduction::Sum => losses.sum(),
        }
    }
}

/// An error in the name of the loss unless the tensors broadcast.
fn check_broadcast(op: &str, tensors: &[&Tensor]) -> Result<()> {
    let shapes: Vec<&[usize]> = tensors.iter().map(|t| t.shape()).collect();
    crate::broadcast_shapes(op, &shapes).map(drop)
}

/// `losses` times an optional weight that broadcasts.
fn weighted(losses: Tensor, weight: Option<&Tensor>) -> Result<Tensor> {
    match weight {
        Some(weight) => losses.mul(weight),
        None => Ok(losses),
    }
}
