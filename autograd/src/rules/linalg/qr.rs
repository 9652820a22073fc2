//! Rule of the QR factorisation: `dA = (dQ + Q·copyltu(M))·R⁻ᵀ` with `M = R·dRᵀ − dQᵀ·Q`, where copyltu mirrors the
//! lower triangle. Columns beyond the square part are `Q` times theirs of R.

use flambeau_tensor::ops::linalg::qr::{QrMode, QrOp};
use flambeau_tensor::ops::linalg::triangle;
use flambeau_tensor::{Result, Tensor, bail, ensure};

use super::super::{Context, Grads, one};
use super::mt;

pub(in super::super) fn backward(op: &QrOp, cx: &Context<'_>) -> Result<Grads> {
    let (q, r, a) = (cx.tensor(&op.q), cx.tensor(&op.r), cx.tensor(&op.a));
    let &[.., m, n] = a.shape() else {
        bail!(Shape, "backward of qr: input {:?}", a.shape())
    };
    ensure!(
        op.mode == QrMode::Reduced || (op.mode == QrMode::Complete && m <= n),
        Autograd,
        "backward of qr: mode {:?} of [{m}, {n}] has no gradient; use the reduced mode",
        op.mode
    );
    let (mut dq, dr) = (
        super::grad_or_zeros(cx.grads.first(), &q)?,
        super::grad_or_zeros(cx.grads.get(1), &r)?,
    );
    if m >= n {
        return one(square(&q, &r, &dq, &dr)?);
    }
    let (columns, rest) = (m as isize, n - m);
    let d_rest = dr.narrow(-1, columns, rest)?;
    dq = dq.add(&a.narrow(-1, columns, rest)?.matmul(&mt(&d_rest)?)?)?;
    let da = square(&q, &r.narrow(-1, 0, m)?, &dq, &dr.narrow(-1, 0, m)?)?;
    one(Tensor::cat(&[&da, &q.matmul(&d_rest)?], -1)?)
}

/// The gradient where R is square.
fn square(q: &Tensor, r: &Tensor, dq: &Tensor, dr: &Tensor) -> Result<Tensor> {
    let m = r.matmul(&mt(dr)?)?.sub(&mt(dq)?.matmul(q)?)?;
    let mirrored = triangle(&m, false, 0)?.add(&mt(&triangle(&m, false, -1)?)?)?;
    let left = dq.add(&q.matmul(&mirrored)?)?;
    // X·Rᵀ = left.
    mt(&r.solve_triangular(&mt(&left)?, true, false)?)
}
