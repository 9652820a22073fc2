//! Rules of `slice` and of its transpose: each is the other's.

use flambeau_tensor::Result;
use flambeau_tensor::ops::slice::SliceOp;

use super::{Context, Grads, one};

pub(super) fn slice(op: &SliceOp, cx: &Context<'_>) -> Result<Grads> {
    one(cx.grad()?.slice_backward(op)?)
}

pub(super) fn slice_backward(op: &SliceOp, cx: &Context<'_>) -> Result<Grads> {
    one(cx.grad()?.slice_of(op)?)
}
