//! Rule of norms: `dx = dy·sign(x)·(|x|/y)^(p-1)`, 0 where `y` is 0.

use flambeau_tensor::ops::norm_reduce::VectorNormOp;
use flambeau_tensor::ops::reduce::kept_shape;
use flambeau_tensor::{Result, Tensor};

use super::sum::kept_grad;
use super::{Context, Grads, one};

pub(super) fn backward(op: &VectorNormOp, cx: &Context<'_>) -> Result<Grads> {
    let (x, grad) = (cx.tensor(&op.input), kept_grad(cx, &op.dims)?);
    let norm = || cx.tensor(&op.output).reshape(kept_shape(x.shape(), &op.dims));
    // What is 0 is set to 0 after the division, as in PyTorch: so at a zero the rule's own derivative is NaN, where the
    // norm has no second derivative.
    let ratio = |x: &Tensor, p: f64| {
        let norm = norm()?;
        x.div(&if p == 1.0 { norm.clone() } else { norm.pow(p)? })?
            .masked_fill(&norm.eq(0.0)?, 0.0)
    };
    match op.p {
        0.0 => one(x.zeros_like()?),
        1.0 => one(x.sign()?.mul(&grad)?),
        2.0 => one(ratio(&x, 1.0)?.mul(&grad)?),
        p if p.is_infinite() => {
            let shares = x.detach().abs()?.shares_of(&norm()?.detach(), &op.dims)?;
            one(x.sign()?.mul(&shares)?.mul(&grad)?)
        }
        p if p < 1.0 => {
            let powers = x.abs()?.pow(p - 1.0)?.masked_fill(&x.eq(0.0)?, 0.0)?;
            one(x.sign()?.mul(&powers)?.mul(&grad)?.mul(&norm()?.pow(1.0 - p)?)?)
        }
        p if p < 2.0 => {
            let powers = x.sign()?.mul(&x.abs()?.pow(p - 1.0)?)?;
            one(powers.mul(&ratio(&grad, p - 1.0)?)?)
        }
        p => {
            let powers = x.mul(&x.abs()?.pow(p - 2.0)?)?;
            one(powers.mul(&ratio(&grad, p - 1.0)?)?)
        }
    }
}
