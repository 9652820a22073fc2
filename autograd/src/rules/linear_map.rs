//! Rule of linear maps `y = A·x`: `x̄ = Aᵀ·ȳ`.

use flambeau_tensor::Result;
use flambeau_tensor::ops::linear_map::LinearMapOp;

use super::{Context, Grads, one};

pub(super) fn backward(op: &LinearMapOp, cx: &Context<'_>) -> Result<Grads> {
    one(cx.grad()?.linear_map(op.transpose())?)
}
