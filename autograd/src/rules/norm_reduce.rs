//! Rule of norms: `dx = dy·sign(x)·(|x|/y)^(p-1)`, 0 where `y` is 0.

use flambeau_tensor::ops::norm_reduce::VectorNormOp;
use flambeau_tensor::ops::reduce::kept_shape;
use flambeau_tensor::{Result, Tensor};

use super::sum::kept_grad;
use super::{Context, Grads, one};

pub(super) fn backward(op: &VectorNormOp, cx: &Context<'_>) -> Result<Grads> {
    let (x, grad) = (cx.tensor(&op.input), kept_grad(cx, &op.dims)?);
    let norm = || cx.tensor(&op.output).reshape(kept_shape(x.shape(), &op.dims));
    // Zeros are replaced before they are divided by, so that the rule's own derivative has no NaN either.
    let without_zeros = |t: &Tensor| t.masked_fill(&t.eq(0.0)?, 1.0);
    match op.p {
        0.0 => one(x.zeros_like()?),
        1.0 => one(x.sign()?.mul(&grad)?),
        2.0 => one(x.mul(&grad.div(&without_zeros(&norm()?)?)?)?),
        p if p.is_infinite() => {
            let shares = x.detach().abs()?.shares_of(&norm()?.detach(), &op.dims)?;
            one(x.sign()?.mul(&shares)?.mul(&grad)?)
        }
        p => {
            let scale = grad.div(&without_zeros(&norm()?)?.pow(p - 1.0)?)?;
            let scaled = without_zeros(&x.abs()?)?.pow(p - 1.0)?.mul(&x.sign()?)?;
            one(scaled.mul(&scale)?)
        }
    }
}
