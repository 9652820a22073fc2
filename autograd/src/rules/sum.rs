//! Rules of `sum` and `mean`: every element gets the gradient of its sum, or its part of that of its mean.

use flambeau_tensor::ops::reduce::{kept_shape, reduced_numel};
use flambeau_tensor::ops::sum::{MeanOp, SumOp};
use flambeau_tensor::{Result, Tensor};

use super::{Context, Grads, one};

/// The gradient of a reduction's result with the reduced dimensions as size 1.
pub(super) fn kept_grad(cx: &Context<'_>, dims: &[usize]) -> Result<Tensor> {
    cx.grad()?.reshape(kept_shape(cx.input_shape(0)?, dims))
}

pub(super) fn backward(op: &SumOp, cx: &Context<'_>) -> Result<Grads> {
    one(kept_grad(cx, &op.dims)?.expand(cx.input_shape(0)?)?)
}

pub(super) fn mean(op: &MeanOp, cx: &Context<'_>) -> Result<Grads> {
    let shape = cx.input_shape(0)?;
    // Of no elements there is no gradient, whatever it is divided by.
    let count = reduced_numel(shape, &op.dims).max(1) as f64;
    one(kept_grad(cx, &op.dims)?.mul(1.0 / count)?.expand(shape)?)
}
