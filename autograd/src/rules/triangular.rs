//! Rule of `tril` and `triu`: the same triangle of the gradient.

use flambeau_tensor::Result;
use flambeau_tensor::ops::triangular::TriangleOp;

use super::{Context, Grads, one};

pub(super) fn triangle(op: TriangleOp, cx: &Context<'_>) -> Result<Grads> {
    one(cx.grad()?.triangle(op)?)
}
