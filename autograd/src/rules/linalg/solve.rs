//! Rules of linear systems. `A·X = B`: `dB = A⁻ᵀ·dX`, `dA = −dB·Xᵀ`.

use flambeau_tensor::ops::linalg::solve::{InverseOp, SolveOp, SolveTriangularOp};
use flambeau_tensor::ops::linalg::triangle;
use flambeau_tensor::{Result, is_grad_enabled};
use smallvec::smallvec;

use super::super::{Context, Grads, one};
use super::mt;

pub(in super::super) fn solve(op: &SolveOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    let db = if is_grad_enabled() {
        mt(&cx.tensor(&op.a))?.solve_ex(grad, true)?.0
    } else {
        op.solve_transposed(grad)?
    };
    let da = if cx.needs(0) {
        Some(db.matmul(&mt(&cx.tensor(&op.x))?)?.neg()?)
    } else {
        None
    };
    Ok(smallvec![da, Some(db)])
}

pub(in super::super) fn solve_triangular(op: &SolveTriangularOp, cx: &Context<'_>) -> Result<Grads> {
    let db = mt(&cx.tensor(&op.a))?.solve_triangular_with(cx.grad()?, !op.upper, op.unit, op.general)?;
    let da = if cx.needs(0) {
        // Only what was read has a gradient: one triangle, without the diagonal if that counts as ones.
        let offset = match (op.unit, op.upper) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => -1,
        };
        let da = db.matmul(&mt(&cx.tensor(&op.x))?)?.neg()?;
        Some(if op.general {
            da
        } else {
            triangle(&da, op.upper, offset)?
        })
    } else {
        None
    };
    Ok(smallvec![da, Some(db)])
}

/// `dA = −A⁻ᵀ·dX·A⁻ᵀ`.
pub(in super::super) fn inverse(op: &InverseOp, cx: &Context<'_>) -> Result<Grads> {
    let xt = mt(&cx.tensor(&op.output))?;
    one(xt.matmul(cx.grad()?)?.matmul(&xt)?.neg()?)
}
