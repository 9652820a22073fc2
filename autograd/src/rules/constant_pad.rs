//! Rule of `constant_pad_nd`: what was added is taken off, what was taken off is zero.

use flambeau_tensor::Result;
use flambeau_tensor::ops::constant_pad::ConstantPadOp;

use super::{Context, Grads, one};

pub(super) fn backward(op: &ConstantPadOp, cx: &Context<'_>) -> Result<Grads> {
    let pads: Vec<isize> = op.pads.iter().map(|pad| -pad).collect();
    one(cx.grad()?.constant_pad_nd(&pads, 0)?)
}
