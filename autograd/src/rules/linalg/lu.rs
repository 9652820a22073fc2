//! Rule of the LU factorisation. For square matrices, with `A = P·L·U`:
//! `dA = P·L⁻ᵀ·(tril(Lᵀ·dL, −1) + triu(dU·Uᵀ))·U⁻ᵀ`. Columns beyond the square are `L⁻¹·Pᵀ·A`, rows beyond `(Pᵀ·A)·U⁻¹`.

use flambeau_tensor::ops::linalg::lu::{LuOp, permutation};
use flambeau_tensor::ops::linalg::{identity, triangle};
use flambeau_tensor::{Result, Tensor, bail};

use super::super::{Context, Grads, one};
use super::mt;

pub(in super::super) fn backward(op: &LuOp, cx: &Context<'_>) -> Result<Grads> {
    let (factors, pivots) = (cx.tensor(&op.factors), cx.tensor(&op.pivots));
    let grad = super::grad_or_zeros(cx.grads.first(), &factors)?;
    let &[.., m, n] = factors.shape() else {
        bail!(Shape, "backward of lu: factors {:?}", factors.shape())
    };
    let k = m.min(n);
    let part = |t: &Tensor, row: usize, rows: usize, column: usize, columns: usize| {
        t.narrow(-2, row as isize, rows)?
            .narrow(-1, column as isize, columns)
    };
    let square = part(&factors, 0, k, 0, k)?;
    let (square_t, mut g) = (mt(&square)?, part(&grad, 0, k, 0, k)?);
    let mut pieces = Vec::new();
    if n > k {
        let (u, du) = (part(&factors, 0, k, k, n - k)?, part(&grad, 0, k, k, n - k)?);
        let db = square_t.solve_triangular(&du, true, true)?;
        g = g.sub(&triangle(&db.matmul(&mt(&u)?)?, false, -1)?)?;
        pieces.push(db);
    }
    if m > k {
        let (l, dl) = (part(&factors, k, m - k, 0, k)?, part(&grad, k, m - k, 0, k)?);
        let db = mt(&square.solve_triangular(&mt(&dl)?, true, false)?)?;
        g = g.sub(&triangle(&mt(&l)?.matmul(&db)?, true, 0)?)?;
        pieces.push(db);
    }
    let eye = identity(k, factors.dtype())?;
    let lt = mt(&triangle(&square, false, -1)?.add(&eye)?)?;
    let ut = mt(&triangle(&square, true, 0)?)?;
    let lower = triangle(&lt.matmul(&triangle(&g, false, -1)?)?, false, -1)?;
    let upper = triangle(&triangle(&g, true, 0)?.matmul(&ut)?, true, 0)?;
    let left = square_t.solve_triangular(&lower.add(&upper)?, true, true)?;
    // X·Uᵀ = left.
    let mut db = mt(&square.solve_triangular(&mt(&left)?, true, false)?)?;
    for piece in pieces {
        db = Tensor::cat(&[&db, &piece], if n > k { -1 } else { -2 })?;
    }
    one(permutation(&pivots, m, factors.dtype())?.matmul(&db)?)
}
