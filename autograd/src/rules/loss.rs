//! Rules of the losses that are primitives.

use flambeau_tensor::ops::loss::{BinaryCrossEntropyOp, CrossEntropyOp};
use flambeau_tensor::{Result, is_grad_enabled};
use smallvec::smallvec;

use super::{Context, Grads, one};

/// `dx = dy·(softmax(x)·Σq - q)` for the target distribution `q`; without `create_graph` one fused kernel.
pub(super) fn cross_entropy(op: &CrossEntropyOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    if !is_grad_enabled() {
        return one(op.backward(grad)?);
    }
    let [outer, classes, inner] = op.sizes;
    let logits = cx.tensor(&op.logits);
    let (q, total) = op.target_distribution()?;
    let p = logits.reshape((outer, classes, inner))?.softmax(1)?;
    let grad = grad.reshape((outer, 1, inner))?;
    one(p.mul(&total)?.sub(&q)?.mul(&grad)?.reshape(logits.shape())?)
}

/// `dx = dl·(x - y)/(x·(1 - x))`, the divisor at least 1e-12, `dy = dl·(log(1 - x) - log x)`.
pub(super) fn binary_cross_entropy(op: &BinaryCrossEntropyOp, cx: &Context<'_>) -> Result<Grads> {
    let (x, y, grad) = (cx.tensor(&op.input), cx.tensor(&op.target), cx.grad()?);
    let rest = x.neg()?.add(1.0)?;
    let dx = if cx.needs(0) {
        Some(grad.mul(&x.sub(&y)?)?.div(&x.mul(&rest)?.clamp_min(1e-12)?)?)
    } else {
        None
    };
    let dy = if cx.needs(1) {
        Some(grad.mul(&rest.log()?.sub(&x.log()?)?)?)
    } else {
        None
    };
    Ok(smallvec![dx, dy])
}
