//! Rule of `y = x·Wᵀ + b`: `dx = dy·W`, `dW = dyᵀ·x`, `db = Σdy`.

use flambeau_tensor::ops::linear::LinearOp;
use flambeau_tensor::{Result, Tensor};
use smallvec::smallvec;

use super::{Context, Grads};

pub(super) fn backward(op: &LinearOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    let rows = |x: &Tensor| -> Result<Tensor> {
        let last = x.shape()[x.rank() - 1];
        let rows: usize = x.shape()[..x.rank() - 1].iter().product();
        x.reshape((rows, last))
    };
    let dx = if cx.needs(0) {
        Some(grad.matmul(&cx.kept(&op.weight)?)?)
    } else {
        None
    };
    let dw = if cx.needs(1) {
        Some(rows(grad)?.t()?.matmul(&rows(&cx.kept(&op.input)?)?)?)
    } else {
        None
    };
    let mut grads: Grads = smallvec![dx, dw];
    if cx.node.inputs().len() == 3 {
        grads.push(if cx.needs(2) {
            Some(rows(grad)?.sum_dim(0, false)?)
        } else {
            None
        });
    }
    Ok(grads)
}
