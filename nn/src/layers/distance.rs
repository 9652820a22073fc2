//! Distances between vectors (`torch.nn.CosineSimilarity`, `PairwiseDistance`).

use flambeau_tensor::{Result, Tensor};

use crate::{Module, observed};

/// The cosine of the angle between vectors along a dimension.
#[derive(Clone, Copy, Debug, Module)]
pub struct CosineSimilarity {
    /// The dimension of the vectors.
    pub dim: isize,
    /// The least product of norms that is divided by.
    pub eps: f64,
}

impl Default for CosineSimilarity {
    fn default() -> Self {
        CosineSimilarity { dim: 1, eps: 1e-8 }
    }
}

impl CosineSimilarity {
    /// The cosines.
    ///
    /// # Errors
    /// `Broadcast` if shapes do not fit.
    #[observed]
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Result<Tensor> {
        x1.cosine_similarity(x2, self.dim, self.eps)
    }
}

/// The p-norm of the difference of vectors along the last dimension.
#[derive(Clone, Copy, Debug, Module)]
pub struct PairwiseDistance {
    /// Which norm.
    pub p: f64,
    /// Added to differences, against a division by zero in the gradient.
    pub eps: f64,
    /// Keep the last dimension with size 1.
    pub keepdim: bool,
}

impl Default for PairwiseDistance {
    fn default() -> Self {
        PairwiseDistance {
            p: 2.0,
            eps: 1e-6,
            keepdim: false,
        }
    }
}

impl PairwiseDistance {
    /// The distances.
    ///
    /// # Errors
    /// `Broadcast` if shapes do not fit.
    #[observed]
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Result<Tensor> {
        x1.pairwise_distance(x2, self.p, self.eps, self.keepdim)
            .map_err(|error| error.context("PairwiseDistance"))
    }
}
