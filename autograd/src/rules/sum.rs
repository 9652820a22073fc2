//! Rule of `sum`: every summand gets the gradient of its sum.

use flambeau_tensor::Result;
use flambeau_tensor::ops::sum::SumOp;

use super::{Context, Grads, one};

pub(super) fn backward(op: &SumOp, cx: &Context<'_>) -> Result<Grads> {
    let shape = cx.input_shape(0)?;
    let grad = cx.grad()?.reshape(op.kept_shape(shape))?;
    one(grad.expand(shape)?)
}
