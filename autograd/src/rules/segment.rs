//! Rule of `segment_reduce`: every element gets its share of its segment's gradient.

use flambeau_tensor::ops::index::Reduction;
use flambeau_tensor::ops::segment::SegmentReduceOp;
use flambeau_tensor::{Result, Tensor, is_grad_enabled};

use super::reduce::product_of_others;
use super::{Context, Grads, one};

pub(super) fn backward(op: &SegmentReduceOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    if !is_grad_enabled() {
        return one(op.backward(grad)?);
    }
    if op.reduction == Reduction::Prod {
        return one(products(op, &cx.tensor(&op.input), grad)?);
    }
    // The shares of sums, means and extremes are constant.
    let shares = op.backward(&grad.ones_like()?)?;
    one(grad
        .gather(op.axis() as isize, &op.segment_of_each()?)?
        .mul(&shares)?)
}

/// `dxᵢ = dy·initial·Π xⱼ` over the others of the segment, of recorded operations: the segments, filled up with ones to
/// one length, are taken out, and what becomes of them is put back.
fn products(op: &SegmentReduceOp, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let [outer, len, inner] = op.sizes();
    let (index, segments, longest) = op.segments_filled_up()?;
    if x.numel() == 0 || longest == 0 {
        return x.zeros_like();
    }
    let with_one = x
        .reshape((outer, len, inner))?
        .constant_pad_nd(&[0, 0, 0, 1], 1.0)?;
    let runs = with_one
        .gather(1, &index)?
        .reshape((outer, segments, longest, inner))?;
    let grad = grad
        .reshape((outer, segments, 1, inner))?
        .mul(op.initial().unwrap_or(1.0))?;
    let grads = product_of_others(&runs, &[2])?.mul(&grad)?;
    let back = with_one
        .zeros_like()?
        .scatter_add(1, &index, &grads.reshape(index.shape())?)?;
    back.narrow(1, 0, len)?.reshape(x.shape())
}
