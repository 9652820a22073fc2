//! Rule of functions of each element: `dx = dy·f′(x)`.
//!
//! Without `create_graph` one fused kernel computes it; with it, the derivative is written with recorded operations.

use flambeau_tensor::ops::unary::{Unary, UnaryOp};
use flambeau_tensor::{Result, Tensor, bail, is_grad_enabled};

use super::{Context, Grads, one};

pub(super) fn backward(op: &UnaryOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    if !is_grad_enabled() {
        return one(grad.unary_backward(op)?);
    }
    one(derivative(op, grad, cx)?)
}

/// `grad·f′`, recorded.
fn derivative(op: &UnaryOp, grad: &Tensor, cx: &Context<'_>) -> Result<Tensor> {
    let x = || cx.kept(&op.input);
    let y = || cx.kept(&op.output);
    match op.function {
        Unary::Neg => grad.neg(),
        Unary::Exp => grad.mul(&y()?),
        Unary::Log => grad.div(&x()?),
        Unary::Sqrt => grad.div(&y()?.mul(2.0)?),
        Unary::Sin => grad.mul(&x()?.cos()?),
        Unary::Cos => grad.mul(&x()?.sin()?.neg()?),
        Unary::Tanh => grad.sub(&grad.mul(&y()?)?.mul(&y()?)?),
        Unary::Sigmoid => grad.mul(&y()?)?.sub(&grad.mul(&y()?)?.mul(&y()?)?),
        Unary::AddScalar(_) => Ok(grad.clone()),
        Unary::MulScalar(c) => grad.mul(c),
        other => bail!(Autograd, "backward of {other:?}: no double gradient"),
    }
}
