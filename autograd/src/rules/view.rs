//! Rules of strided views and of writing through them.

use flambeau_tensor::Result;
use flambeau_tensor::ops::view::StridedOp;

use super::{Context, Grads, one};

pub(super) fn strided(op: &StridedOp, cx: &Context<'_>) -> Result<Grads> {
    one(cx.grad()?.strided_backward(op)?)
}

/// What was written over has no gradient; what was written has that of its place.
pub(super) fn strided_scatter(op: &StridedOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    let base = cx
        .needs(0)
        .then(|| grad.strided_scatter(op, &grad.new_zeros(&op.layout.shape)?));
    let source = cx.needs(1).then(|| grad.strided(op));
    [base, source].into_iter().map(Option::transpose).collect()
}
