//! Rule of selections by value: elements that equal a result share its gradient evenly.

use flambeau_tensor::Result;
use flambeau_tensor::ops::extreme::ExtremeOp;
use flambeau_tensor::ops::reduce::kept_shape;

use super::sum::kept_grad;
use super::{Context, Grads, one};

pub(super) fn backward(op: &ExtremeOp, cx: &Context<'_>) -> Result<Grads> {
    let x = cx.tensor(&op.input).detach();
    let chosen = cx
        .tensor(&op.output)
        .detach()
        .reshape(kept_shape(x.shape(), &op.dims))?;
    one(kept_grad(cx, &op.dims)?.mul(&x.shares_of(&chosen, &op.dims)?)?)
}
