//! Rules of determinants: `d det = det·A⁻ᵀ`, and the cofactors where A is singular.

use flambeau_tensor::Result;
use flambeau_tensor::ops::linalg::determinant::{DetOp, SlogdetOp, cofactors, inverse_transposed};

use super::super::{Context, Grads, one};

pub(in super::super) fn det(op: &DetOp, cx: &Context<'_>) -> Result<Grads> {
    let (a, grad) = (cx.tensor(&op.a), cx.grad()?);
    if a.numel() == 0 {
        return one(a.zeros_like()?);
    }
    if op.singular {
        return one(cofactors(&a)?.mul(&grad.unsqueeze(-1)?.unsqueeze(-1)?)?);
    }
    let scale = grad.mul(&cx.tensor(&op.det))?;
    one(inverse_transposed(&a)?.mul(&scale.unsqueeze(-1)?.unsqueeze(-1)?)?)
}

/// The sign has no gradient.
pub(in super::super) fn slogdet(op: &SlogdetOp, cx: &Context<'_>) -> Result<Grads> {
    let a = cx.tensor(&op.a);
    match cx.grads.get(1) {
        Some(Some(grad)) if a.numel() > 0 => {
            one(inverse_transposed(&a)?.mul(&grad.unsqueeze(-1)?.unsqueeze(-1)?)?)
        }
        _ => one(a.zeros_like()?),
    }
}
