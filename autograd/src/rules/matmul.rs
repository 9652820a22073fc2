//! Rule of the matrix product `c = a·b`: `da = dc·bᵀ`, `db = aᵀ·dc`.

use flambeau_tensor::Result;
use flambeau_tensor::ops::matmul::MatmulOp;
use smallvec::smallvec;

use super::{Context, Grads};

pub(super) fn backward(op: &MatmulOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    let da = if cx.needs(0) {
        Some(grad.matmul(&cx.kept(&op.rhs)?.transpose(-2, -1)?)?)
    } else {
        None
    };
    let db = if cx.needs(1) {
        Some(cx.kept(&op.lhs)?.transpose(-2, -1)?.matmul(grad)?)
    } else {
        None
    };
    Ok(smallvec![da, db])
}
