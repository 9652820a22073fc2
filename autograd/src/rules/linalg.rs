//! Rules of linear algebra, one file per family, written with recorded operations.
//!
//! Sources of the formulas: M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
//! differentiation" (2008), and what follows from differentiating each factorisation's defining equations.

pub(super) mod cholesky;
pub(super) mod determinant;
pub(super) mod eigen;
pub(super) mod lu;
pub(super) mod pinv;
pub(super) mod qr;
pub(super) mod solve;
pub(super) mod svd;

use flambeau_tensor::{Result, Tensor};

/// The transpose of the last two dimensions.
fn mt(a: &Tensor) -> Result<Tensor> {
    a.transpose(-2, -1)
}

/// The gradient of an output, zeros if none came.
fn grad_or_zeros(grad: Option<&Option<Tensor>>, like: &Tensor) -> Result<Tensor> {
    match grad {
        Some(Some(grad)) => Ok(grad.clone()),
        _ => like.zeros_like(),
    }
}

/// `Σ` of two optional terms.
fn plus(a: Option<Tensor>, b: Option<Tensor>) -> Result<Option<Tensor>> {
    match (a, b) {
        (Some(a), Some(b)) => a.add(&b).map(Some),
        (a, b) => Ok(a.or(b)),
    }
}
