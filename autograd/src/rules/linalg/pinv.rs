//! Rule of the pseudo-inverse P of A, for matrices of constant rank:
//! `dA = −Pᵀ·G·Pᵀ + (I − A·P)·Gᵀ·P·Pᵀ + Pᵀ·P·Gᵀ·(I − P·A)`.

use flambeau_tensor::Result;
use flambeau_tensor::ops::linalg::pinv::PinvOp;

use super::super::{Context, Grads, one};
use super::mt;

pub(in super::super) fn backward(op: &PinvOp, cx: &Context<'_>) -> Result<Grads> {
    let (a, p) = (cx.tensor(&op.a), cx.tensor(&op.output));
    let (grad, pt) = (cx.grad()?, mt(&p)?);
    let gt = mt(grad)?;
    let inner = pt.matmul(grad)?.matmul(&pt)?;
    let left = gt.matmul(&p)?.matmul(&pt)?;
    let right = pt.matmul(&p)?.matmul(&gt)?;
    let outer = left
        .sub(&a.matmul(&p.matmul(&left)?)?)?
        .add(&right.sub(&right.matmul(&p)?.matmul(&a)?)?)?;
    one(outer.sub(&inner)?)
}
