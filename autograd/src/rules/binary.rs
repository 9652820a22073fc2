//! Rules of functions of two tensors. Gradients have the broadcast shape; the engine sums them back.

use flambeau_tensor::ops::binary::{Binary, BinaryOp};
use flambeau_tensor::{Result, Tensor, bail};
use smallvec::smallvec;

use super::{Context, Grads};

pub(super) fn backward(op: &BinaryOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    let a = || cx.kept(&op.lhs);
    let b = || cx.kept(&op.rhs);
    let lhs = |f: &dyn Fn() -> Result<Tensor>| if cx.needs(0) { f().map(Some) } else { Ok(None) };
    let rhs = |f: &dyn Fn() -> Result<Tensor>| if cx.needs(1) { f().map(Some) } else { Ok(None) };
    let (da, db) = match op.function {
        Binary::Add => (lhs(&|| Ok(grad.clone()))?, rhs(&|| Ok(grad.clone()))?),
        Binary::Sub => (lhs(&|| Ok(grad.clone()))?, rhs(&|| grad.neg())?),
        Binary::Mul => (lhs(&|| grad.mul(&b()?))?, rhs(&|| grad.mul(&a()?))?),
        Binary::Div => (
            lhs(&|| grad.div(&b()?))?,
            rhs(&|| grad.neg()?.mul(&a()?.div(&b()?)?)?.div(&b()?))?,
        ),
        other => bail!(Autograd, "backward of {other:?}: no gradient"),
    };
    Ok(smallvec![da, db])
}
