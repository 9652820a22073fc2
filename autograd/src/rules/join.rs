//! Rule of `cat`: every tensor gets its part of the gradient.

use flambeau_tensor::Result;
use flambeau_tensor::ops::join::CatOp;

use super::{Context, Grads};

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
