//! Rules of softmax, `dx = y·(dy - Σy·dy)`, and of its logarithm, `dx = dy - eʸ·Σdy`.
//!
//! Without `create_graph` one fused kernel computes them.

use flambeau_tensor::ops::softmax::SoftmaxOp;
use flambeau_tensor::{Result, is_grad_enabled};

use super::{Context, Grads, one};

pub(super) fn backward(op: &SoftmaxOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    if !is_grad_enabled() {
        return one(grad.softmax_backward(op)?);
    }
    let (y, dim) = (cx.tensor(&op.output), op.dim as isize);
    if op.log {
        return one(grad.sub(&y.exp()?.mul(&grad.sum_dim(dim, true)?)?)?);
    }
    let weighted = grad.mul(&y)?;
    one(weighted.sub(&y.mul(&weighted.sum_dim(dim, true)?)?)?)
}
