//! Rule of the singular value decomposition `A = U·S·Vᵀ`. With `E = Sⱼ² − Sᵢ²` and `skew(X) = X − Xᵀ`:
//! `dA = U·[skew(Uᵀ·dU)/E·S + S·skew(Vᵀ·dV)/E + diag(dS)]·Vᵀ`, plus what dU and dV have outside the spans of U and V.

use flambeau_tensor::ops::linalg::svd::SvdOp;
use flambeau_tensor::ops::linalg::{diagonal_matrix, identity};
use flambeau_tensor::{Result, Tensor};

use super::super::{Context, Grads, one};
use super::{mt, plus};

pub(in super::super) fn backward(op: &SvdOp, cx: &Context<'_>) -> Result<Grads> {
    let s = cx.tensor(&op.s);
    let k = s.size(-1)?;
    // Of full matrices only the first k singular vectors are determined, and have a gradient.
    let u = cx.tensor(&op.u).narrow(-1, 0, k)?;
    let v = mt(&cx.tensor(&op.vh).narrow(-2, 0, k)?)?;
    let grad = |slot: usize| cx.grads.get(slot).and_then(Option::as_ref);
    let du = grad(0).map(|g| g.narrow(-1, 0, k)).transpose()?;
    let ds = grad(1).map(diagonal_matrix).transpose()?;
    let dv = grad(2).map(|g| mt(&g.narrow(-2, 0, k)?)).transpose()?;

    let (row, column) = (s.unsqueeze(-2)?, s.unsqueeze(-1)?);
    let differences = row
        .mul(&row)?
        .sub(&column.mul(&column)?)?
        .add(&identity(k, s.dtype())?)?;
    let turn = |basis: &Tensor, d: &Tensor| -> Result<Tensor> {
        let product = mt(basis)?.matmul(d)?;
        product.sub(&mt(&product)?)?.div(&differences)
    };
    let from_u = du.as_ref().map(|d| turn(&u, d)?.mul(&row)).transpose()?;
    let from_v = dv.as_ref().map(|d| turn(&v, d)?.mul(&column)).transpose()?;
    let middle = plus(plus(from_u, from_v)?, ds)?;
    let mut total = middle.map(|m| u.matmul(&m)?.matmul(&mt(&v)?)).transpose()?;

    // d without its part in the span of the basis, over the singular values.
    let outside = |basis: &Tensor, d: &Tensor| d.sub(&basis.matmul(&mt(basis)?.matmul(d)?)?)?.div(&row);
    if let Some(d) = &du
        && u.size(-2)? > k
    {
        total = plus(total, Some(outside(&u, d)?.matmul(&mt(&v)?)?))?;
    }
    if let Some(d) = &dv
        && v.size(-2)? > k
    {
        total = plus(total, Some(u.matmul(&mt(&outside(&v, d)?)?)?))?;
    }
    match total {
        Some(total) => one(total),
        None => one(u.matmul(&mt(&v)?)?.zeros_like()?),
    }
}
