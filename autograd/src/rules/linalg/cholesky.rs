//! Rule of the Cholesky factorisation: `dA = ½·L⁻ᵀ·(Φ + Φᵀ)·L⁻¹`, Φ being the lower triangle of `Lᵀ·dL` with half its
//! diagonal.

use flambeau_tensor::Result;
use flambeau_tensor::ops::linalg::cholesky::CholeskyOp;
use flambeau_tensor::ops::linalg::determinant::triangular_mask;

use super::super::{Context, Grads};
use super::mt;

pub(in super::super) fn backward(op: &CholeskyOp, cx: &Context<'_>) -> Result<Grads> {
    let l = cx.tensor(&op.factor);
    let grad = super::grad_or_zeros(cx.grads.first(), &l)?;
    let n = l.size(-1)?;
    let phi = mt(&l)?
        .matmul(&grad)?
        .mul(&triangular_mask(n, l.dtype(), 0.5, 0.25, 0.0)?)?;
    let middle = phi.add(&mt(&phi)?)?;
    let left = mt(&l)?.solve_triangular(&middle, true, false)?;
    // X·L = left.
    super::super::one(mt(&mt(&l)?.solve_triangular(&mt(&left)?, true, false)?)?)
}
