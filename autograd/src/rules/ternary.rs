//! Rules of functions of three tensors. Gradients have the broadcast shape; the engine sums them back.

use flambeau_tensor::ops::ternary::{Ternary, TernaryOp, WhereOp};
use flambeau_tensor::{Result, Tensor};
use smallvec::smallvec;

use super::{Context, Grads, zero_where};

pub(super) fn backward(op: &TernaryOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    let (b, c) = (cx.tensor(&op.second), cx.tensor(&op.third));
    let when = |needed: bool, f: &dyn Fn() -> Result<Tensor>| if needed { f().map(Some) } else { Ok(None) };
    let (da, db, dc) = match op.function {
        Ternary::Addcmul(value) => (
            when(cx.needs(0), &|| Ok(grad.clone()))?,
            when(cx.needs(1), &|| grad.mul(&c.mul(value)?))?,
            when(cx.needs(2), &|| grad.mul(&b.mul(value)?))?,
        ),
        Ternary::Addcdiv(value) => (
            when(cx.needs(0), &|| Ok(grad.clone()))?,
            when(cx.needs(1), &|| grad.mul(&c.reciprocal()?.mul(value)?))?,
            when(cx.needs(2), &|| grad.mul(&b.mul(-value)?.div(&c.square()?)?))?,
        ),
        Ternary::Lerp => (
            when(cx.needs(0), &|| grad.mul(&c.rsub(1.0)?))?,
            when(cx.needs(1), &|| grad.mul(&c))?,
            when(cx.needs(2), &|| grad.mul(&b.sub(&cx.kept(&op.first)?)?))?,
        ),
    };
    Ok(smallvec![da, db, dc])
}

pub(super) fn choice(op: &WhereOp, cx: &Context<'_>) -> Result<Grads> {
    let (grad, condition) = (cx.grad()?, cx.tensor(&op.condition));
    let first = if cx.needs(0) {
        Some(condition.where_cond(grad, 0.0)?)
    } else {
        None
    };
    let second = if cx.needs(1) {
        Some(zero_where(&condition, grad)?)
    } else {
        None
    };
    Ok(smallvec![first, second])
}
