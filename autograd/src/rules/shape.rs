//! Rules of `reshape` and `permute`: the same moves backwards.

use flambeau_tensor::Result;
use flambeau_tensor::ops::shape::PermuteOp;

use super::{Context, Grads, one};

pub(super) fn reshape(cx: &Context<'_>) -> Result<Grads> {
    one(cx.grad()?.reshape(cx.input_shape(0)?)?)
}

pub(super) fn permute(op: &PermuteOp, cx: &Context<'_>) -> Result<Grads> {
    let mut inverse = vec![0isize; op.dims.len()];
    for (to, &from) in op.dims.iter().enumerate() {
        inverse[from] = to as isize;
    }
    one(cx.grad()?.permute(inverse)?)
}
