//! Rule of `segment_reduce`: every element gets its share of its segment's gradient.

use flambeau_tensor::ops::index::Reduction;
use flambeau_tensor::ops::segment::SegmentReduceOp;
use flambeau_tensor::{Result, bail, is_grad_enabled};

use super::{Context, Grads, one};

pub(super) fn backward(op: &SegmentReduceOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    if !is_grad_enabled() {
        return one(op.backward(grad)?);
    }
    if op.reduction == Reduction::Prod {
        bail!(
            Unsupported,
            "backward of segment_reduce: products have no double gradient"
        );
    }
    // The shares of sums, means and extremes are constant.
    let shares = op.backward(&grad.ones_like()?)?;
    one(grad
        .gather(op.axis() as isize, &op.segment_of_each()?)?
        .mul(&shares)?)
}
