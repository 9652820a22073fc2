//! Rules of `prod` and `logsumexp`.

use flambeau_tensor::ops::reduce::{LogSumExpOp, ProdOp, kept_shape};
use flambeau_tensor::{Result, Tensor};

use super::sum::kept_grad;
use super::{Context, Grads, one};

/// `dxᵢ = dy·y/xᵢ`, or, if there are zeros, `dxᵢ = dy·Π xⱼ over j ≠ i`.
pub(super) fn prod(op: &ProdOp, cx: &Context<'_>) -> Result<Grads> {
    let (x, grad) = (cx.tensor(&op.input), kept_grad(cx, &op.dims)?);
    if has_zeros(&x)? {
        return one(grad.mul(&product_of_others(&x, &op.dims)?)?);
    }
    let product = cx.tensor(&op.output).reshape(kept_shape(x.shape(), &op.dims))?;
    one(grad.mul(&product)?.div(&x)?)
}

/// Whether an element is 0.
pub(super) fn has_zeros(x: &Tensor) -> Result<bool> {
    Ok(x.count_nonzero()?.item::<i64>()? < x.numel() as i64)
}

/// For each element the product of those that are reduced together with it, itself left out: what stands before times
/// what stands behind.
pub(super) fn product_of_others(x: &Tensor, dims: &[usize]) -> Result<Tensor> {
    let rank = x.rank() as isize;
    let order: Vec<isize> = (0..rank)
        .filter(|&d| !dims.contains(&(d as usize)))
        .chain(dims.iter().map(|&d| d as isize).filter(|&d| d < rank))
        .collect();
    let mut inverse = vec![0isize; order.len()];
    for (to, &from) in order.iter().enumerate() {
        inverse[from as usize] = to as isize;
    }
    let moved = x.permute(&order[..])?;
    let kept = (rank as usize).saturating_sub(dims.len());
    let rows: usize = moved.shape()[..kept].iter().product();
    let len: usize = moved.shape()[kept..].iter().product();
    let flat = moved.reshape((rows, len))?;
    let ones = Tensor::ones((rows, 1), x.dtype())?;
    let before = flat.narrow(1, 0, len - 1)?.cumprod(1)?;
    let behind = flat.narrow(1, 1, len - 1)?.cumprod_from(1, true)?;
    let others = Tensor::cat(&[&ones, &before], 1)?.mul(&Tensor::cat(&[&behind, &ones], 1)?)?;
    others.reshape(moved.shape())?.permute(&inverse[..])
}

/// `dx = dy·e^(x - y)`: NaN where all exponents are -∞, as in PyTorch.
pub(super) fn logsumexp(op: &LogSumExpOp, cx: &Context<'_>) -> Result<Grads> {
    let (x, grad) = (cx.tensor(&op.input), kept_grad(cx, &op.dims)?);
    let y = cx.tensor(&op.output).reshape(kept_shape(x.shape(), &op.dims))?;
    one(grad.mul(&x.sub(&y)?.exp()?)?)
}
