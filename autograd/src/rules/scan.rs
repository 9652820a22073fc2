//! Rules of running sums, products and log-sum-exps.

use flambeau_tensor::ops::scan::{CumSumOp, ScanOp};
use flambeau_tensor::{Result, Tensor};

use super::reduce::has_zeros;
use super::{Context, Grads, one};

/// The running sum of the gradient the other way.
pub(super) fn cumsum(op: &CumSumOp, cx: &Context<'_>) -> Result<Grads> {
    one(cx.grad()?.cumsum_from(op.dim as isize, !op.reverse)?)
}

/// `dxₖ = Σ dyⱼ·yⱼ/xₖ` over the products that hold `xₖ`; with zeros, the quotients are multiplied out.
pub(super) fn cumprod(op: &ScanOp, cx: &Context<'_>) -> Result<Grads> {
    let (x, grad) = (cx.tensor(&op.input), cx.grad()?);
    if x.rank() == 0 {
        return one(grad.clone());
    }
    if has_zeros(&x)? {
        return one(cumprod_with_zeros(op, &x, grad)?);
    }
    let weighted = grad.mul(&cx.tensor(&op.output))?;
    one(weighted.cumsum_from(op.dim as isize, !op.reverse)?.div(&x)?)
}

/// For each `k` the sum of `dyⱼ·(yⱼ without the factor xₖ)`: what came before `k` times the running product of what
/// comes after.
fn cumprod_with_zeros(op: &ScanOp, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let (dim, len) = (op.dim as isize, x.shape()[op.dim]);
    let one = Tensor::ones(x.narrow(dim, 0, 1)?.shape(), x.dtype())?;
    let mut parts = Vec::with_capacity(len);
    for k in 0..len {
        let (low, high) = (x.narrow(dim, 0, k)?, x.narrow(dim, k as isize + 1, len - k - 1)?);
        let (factor, running, grad) = if op.reverse {
            let running = Tensor::cat(&[&low.cumprod_from(dim, true)?, &one], dim)?;
            (high.prod_dim(dim, true)?, running, grad.narrow(dim, 0, k + 1)?)
        } else {
            let running = Tensor::cat(&[&one, &high.cumprod(dim)?], dim)?;
            (
                low.prod_dim(dim, true)?,
                running,
                grad.narrow(dim, k as isize, len - k)?,
            )
        };
        parts.push(grad.mul(&running)?.mul(&factor)?.sum_dim(dim, true)?);
    }
    Tensor::cat(&parts.iter().collect::<Vec<_>>(), dim)
}

/// `dxₖ = Σ dyⱼ·e^(xₖ - yⱼ)`, summed in logarithms, separately for positive and negative gradients.
pub(super) fn logcumsumexp(op: &ScanOp, cx: &Context<'_>) -> Result<Grads> {
    let (x, y, grad) = (cx.tensor(&op.input), cx.tensor(&op.output), cx.grad()?);
    let part = |grad: &Tensor| -> Result<Tensor> {
        // The smallest normal number stands for zero: its share of the sum is lost in rounding.
        let positive = grad.masked_fill(&grad.le(0.0)?, f32::MIN_POSITIVE as f64)?;
        let summed = positive
            .log()?
            .sub(&y)?
            .logcumsumexp_from(op.dim as isize, !op.reverse)?;
        summed.add(&x)?.exp()
    };
    one(part(grad)?.sub(&part(&grad.neg()?)?)?)
}
