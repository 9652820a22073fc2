//! Rules of sparse products: `Y = A·X` has `X̄ = Aᵀ·Ȳ`, and where `A` has elements `Ā = Ȳ·Xᵀ`; elements of `A·Bᵀ` have
//! `Ā = S·B` and `B̄ = Sᵀ·A` for their gradients `S`.

use flambeau_tensor::Result;
use flambeau_tensor::ops::sparse::{SampledMatmulOp, SparseMatmulOp, sampled_matmul, sparse_matmul};
use smallvec::smallvec;

use super::{Context, Grads};

pub(super) fn matmul(op: &SparseMatmulOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    let values = op.values.as_ref().map(|values| cx.tensor(values));
    let mut grads: Grads = smallvec![None, None];
    if cx.needs(0) {
        grads[0] = Some(sparse_matmul(&op.pattern, !op.transposed, values.as_ref(), grad)?);
    }
    match &values {
        Some(values) if cx.needs(1) => {
            let x = cx.kept(&op.x)?;
            let (a, b) = if op.transposed { (&x, grad) } else { (grad, &x) };
            grads[1] = Some(sampled_matmul(&op.pattern, values.rank() - 1, a, b)?);
        }
        Some(_) => {}
        None => grads.truncate(1),
    }
    Ok(grads)
}

pub(super) fn sampled(op: &SampledMatmulOp, cx: &Context<'_>) -> Result<Grads> {
    let values = Some(cx.grad()?);
    let product = |needed: bool, transposed, saved| {
        needed
            .then(|| sparse_matmul(&op.pattern, transposed, values, &cx.tensor(saved)))
            .transpose()
    };
    Ok(smallvec![
        product(cx.needs(0), false, &op.b)?,
        product(cx.needs(1), true, &op.a)?
    ])
}
