//! Rules of `reshape`, `permute` and `cat`: the same moves backwards.

use flambeau_tensor::Result;
use flambeau_tensor::ops::shape::{CatOp, PermuteOp};

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

pub(super) fn cat(op: &CatOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    let mut start = 0;
    let mut grads = Grads::new();
    for (i, &size) in op.sizes.iter().enumerate() {
        let part = if cx.needs(i) {
            Some(grad.narrow(op.dim as isize, start as isize, size)?)
        } else {
            None
        };
        grads.push(part);
        start += size;
    }
    Ok(grads)
}
