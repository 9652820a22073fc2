//! Rules of eigendecompositions. Symmetric: `dA = V·(diag(dλ) + skew(Vᵀ·dV) ∘ F)·Vᵀ` with `Fᵢⱼ = 1/(λⱼ − λᵢ)`; general: the
//! same with `V⁻ᴴ`, and the part of dV along V taken out, because eigenvectors have length 1.

use flambeau_tensor::ops::complex::from_real;
use flambeau_tensor::ops::linalg::complex;
use flambeau_tensor::ops::linalg::determinant::triangular_mask;
use flambeau_tensor::ops::linalg::eigen::{EigOp, EighOp, complex_diagonal};
use flambeau_tensor::ops::linalg::{diagonal_matrix, diagonal_of, identity};
use flambeau_tensor::{Result, Tensor};

use super::super::{Context, Grads, one};
use super::{mt, plus};

pub(in super::super) fn eigh(op: &EighOp, cx: &Context<'_>) -> Result<Grads> {
    let (values, v) = (cx.tensor(&op.values), cx.tensor(&op.vectors));
    let (n, dtype) = (v.size(-1)?, v.dtype());
    let from_values = match cx.grads.first() {
        Some(Some(grad)) => Some(diagonal_matrix(grad)?),
        _ => None,
    };
    let from_vectors = match cx.grads.get(1) {
        Some(Some(grad)) => {
            let differences = values
                .unsqueeze(-2)?
                .sub(&values.unsqueeze(-1)?)?
                .add(&identity(n, dtype)?)?;
            let off_diagonal = triangular_mask(n, dtype, 1.0, 0.0, 1.0)?;
            // The symmetric part, which is all that a change of a symmetric matrix sees: F is antisymmetric.
            let product = mt(&v)?.matmul(grad)?;
            let skew = product.sub(&mt(&product)?)?.mul(0.5)?;
            Some(skew.mul(&off_diagonal)?.div(&differences)?)
        }
        _ => None,
    };
    match plus(from_values, from_vectors)? {
        Some(middle) => one(v.matmul(&middle)?.matmul(&mt(&v)?)?),
        None => one(v.zeros_like()?),
    }
}

pub(in super::super) fn eig(op: &EigOp, cx: &Context<'_>) -> Result<Grads> {
    let (values, v) = (cx.tensor(&op.values), cx.tensor(&op.vectors));
    let vh = complex::adjoint(&v)?;
    let (n, dtype) = (values.size(-2)?, v.dtype());
    let from_values = match cx.grads.first() {
        Some(Some(grad)) => Some(complex_diagonal(grad)?),
        _ => None,
    };
    let from_vectors = match cx.grads.get(1) {
        Some(Some(grad)) => {
            let product = complex::matmul(&vh, grad)?;
            let along = diagonal_of(&product.real()?)?.unsqueeze(-2)?.unsqueeze(-1)?;
            let across = product.sub(&complex::matmul(&vh, &v)?.mul(&along)?)?;
            let eye = from_real(&identity(n, dtype)?)?;
            let differences = values.unsqueeze(-3)?.sub(&values.unsqueeze(-2)?)?.add(&eye)?;
            let off_diagonal = triangular_mask(n, dtype, 1.0, 0.0, 1.0)?.unsqueeze(-1)?;
            Some(complex::div(&across.mul(&off_diagonal)?, &differences.conj()?)?)
        }
        _ => None,
    };
    match plus(from_values, from_vectors)? {
        Some(middle) => one(real_part(&vh, &middle)?),
        None => one(v.real()?.zeros_like()?),
    }
}

/// The real part of `V⁻ᴴ·M·Vᴴ`: the matrix is real.
fn real_part(vh: &Tensor, middle: &Tensor) -> Result<Tensor> {
    complex::solve(vh, &complex::matmul(middle, vh)?)?.real()
}
