//! LU factorisation with partial pivoting: `lu_factor`, `lu`, `lu_unpack`, `lu_solve`.

use flambeau_kernels::linalg::lu as kernels;

use super::{batched, check_info, constant, integers, matrix_dims, mt, square_dims, triangle};
use crate::amp::under_autocast;
use crate::graph::{Op, Saved, record_many};
use crate::value::Value;
use crate::{DType, Result, Tensor, bail, ensure, with_float};

/// A recorded LU factorisation.
#[derive(Clone, Debug)]
pub struct LuOp {
    /// The packed factors.
    pub factors: Saved,
    /// The pivots, `int32`, from 1.
    pub pivots: Saved,
}

/// The factors of `P·A = L·U` in one matrix, the pivots, and for each matrix 0 or the number of its first zero pivot.
pub(crate) fn factorise(op: &str, a: &Value, pivot: bool) -> Result<(Value, Vec<i32>, Vec<i32>)> {
    let rank = a.shape.len();
    let (m, n) = (a.shape[rank - 2], a.shape[rank - 1]);
    let (count, k) = (a.shape[..rank - 2].iter().product::<usize>(), m.min(n));
    let (mut factors, mut pivots, mut info) = (a.copy()?, vec![0; count * k], vec![0; count]);
    with_float!(op, a.dtype, T => {
        let data = factors.data_mut::<T>()?;
        for i in 0..count {
            let matrix = &mut data[i * m * n..(i + 1) * m * n];
            info[i] = kernels::lu(matrix, m, n, pivot, &mut pivots[i * k..(i + 1) * k]);
        }
    });
    Ok((factors, pivots, info))
}

/// The permutation matrices P of `A = P·L·U`: `[…, k] pivots → […, m, m]`.
///
/// # Errors
/// `DType` unless the pivots are `int32`.
pub fn permutation(pivots: &Tensor, m: usize, dtype: DType) -> Result<Tensor> {
    let k = pivots.shape().last().copied().unwrap_or(0);
    let list = pivots.to_vec::<i32>()?;
    if let Some(&pivot) = list.iter().find(|&&p| p < 1 || p as usize > m) {
        bail!(
            Index,
            "lu_unpack: pivot {pivot} is not a row of matrices of {m} rows"
        );
    }
    let batch = &pivots.shape()[..pivots.rank().saturating_sub(1)];
    let mut data = Vec::with_capacity(batch.iter().product::<usize>() * m * m);
    for i in 0..batch.iter().product::<usize>() {
        let mut matrix: Vec<f64> = (0..m * m)
            .map(|e| if e / m == e % m { 1.0 } else { 0.0 })
            .collect();
        kernels::swap_by_pivots(&list[i * k..(i + 1) * k], &mut matrix, m, m, true);
        data.extend(matrix);
    }
    Tensor::from_vec(data, batched(batch, &[m, m]))?.to_dtype(dtype)
}

/// What [`lu_unpack`] and [`lu()`] give: `A = P·L·U`.
#[derive(Clone, Debug)]
pub struct Lu {
    /// The permutation matrices `[…, m, m]`.
    pub p: Tensor,
    /// The unit lower triangles `[…, m, k]`.
    pub l: Tensor,
    /// The upper triangles `[…, k, n]`.
    pub u: Tensor,
}

/// P, L and U from packed factors and pivots.
///
/// # Errors
/// `Shape` unless the factors are matrices; `DType` unless the pivots are `int32`.
pub fn lu_unpack(factors: &Tensor, pivots: &Tensor) -> Result<Lu> {
    let (_, m, n) = matrix_dims("lu_unpack", factors)?;
    let k = m.min(n);
    check_pivots("lu_unpack", factors, pivots, k)?;
    let ones = constant(m, k, factors.dtype(), |i, j| if i == j { 1.0 } else { 0.0 })?;
    Ok(Lu {
        p: permutation(pivots, m, factors.dtype())?,
        l: triangle(&factors.narrow(-1, 0, k)?, false, -1)?.add(&ones)?,
        u: triangle(&factors.narrow(-2, 0, k)?, true, 0)?,
    })
}

/// `A = P·L·U` (`torch.linalg.lu`); without `pivot`, P is the identity.
///
/// # Errors
/// As [`Tensor::lu_factor_ex`].
pub fn lu(a: &Tensor, pivot: bool) -> Result<Lu> {
    let (factors, pivots, _) = a.lu_factor_ex(pivot).map_err(|error| error.context("lu"))?;
    lu_unpack(&factors, &pivots)
}

/// An error unless there are `k` pivots for each matrix.
fn check_pivots(op: &str, factors: &Tensor, pivots: &Tensor, k: usize) -> Result<()> {
    let batch = &factors.shape()[..factors.rank() - 2];
    ensure!(
        pivots.shape() == &*batched(batch, &[k]),
        Shape,
        "{op}: expected {k} pivots for each matrix of factors {:?}, got pivots {:?}",
        factors.shape(),
        pivots.shape()
    );
    Ok(())
}

/// The solution of `A·X = B` (of `X·A = B` unless `left`; with A transposed if `adjoint`) from A's factors.
///
/// # Errors
/// `Shape` unless the tensors fit; `DType` unless the pivots are `int32`.
pub fn lu_solve(factors: &Tensor, pivots: &Tensor, b: &Tensor, left: bool, adjoint: bool) -> Result<Tensor> {
    under_autocast!("lu_solve": factors, b => lu_solve(factors, pivots, b, left, adjoint));
    let (_, n) = square_dims("lu_solve", factors)?;
    if !left {
        return mt(&lu_solve(factors, pivots, &mt(b)?, true, !adjoint)?);
    }
    check_pivots("lu_solve", factors, pivots, n)?;
    let p = permutation(pivots, n, factors.dtype())?;
    if adjoint {
        let y = mt(factors)?.solve_triangular(b, false, false)?;
        p.matmul(&mt(factors)?.solve_triangular(&y, true, true)?)
    } else {
        let y = factors.solve_triangular(&mt(&p)?.matmul(b)?, false, true)?;
        factors.solve_triangular(&y, true, false)
    }
}

impl Tensor {
    /// The factors of `P·A = L·U` packed in one matrix, the pivots (`int32`, from 1), and for each matrix 0 or the
    /// number of its first pivot that is zero (`torch.linalg.lu_factor_ex`).
    ///
    /// # Errors
    /// `Shape` unless the tensor is a matrix or a batch of them; `DType` unless it is `float32` or `float64`.
    pub fn lu_factor_ex(&self, pivot: bool) -> Result<(Tensor, Tensor, Tensor)> {
        under_autocast!("lu": a = self => a.lu_factor_ex(pivot));
        let (batch, m, n) = matrix_dims("lu_factor", self)?;
        let x = self.read();
        let (factors, pivots, info) = factorise("lu_factor", &x.value, pivot)?;
        let pivots = integers(&pivots, DType::I32, batched(batch, &[m.min(n)]));
        let info = integers(&info, DType::I32, batched(batch, &[]));
        let outputs = record_many(vec![factors, pivots, info], &[&x], |values| {
            Op::Lu(LuOp {
                factors: Saved::output(&values[0], 0),
                pivots: Saved::output(&values[1], 1),
            })
        });
        three("lu_factor", outputs)
    }

    /// [`Tensor::lu_factor_ex`] with an error for singular matrices.
    ///
    /// # Errors
    /// As [`Tensor::lu_factor_ex`]; `Value` if a pivot is zero.
    pub fn lu_factor(&self, pivot: bool) -> Result<(Tensor, Tensor)> {
        let (factors, pivots, info) = self.lu_factor_ex(pivot)?;
        check_info("lu_factor", &info.to_vec::<i32>()?, "singular")?;
        Ok((factors, pivots))
    }
}

/// Three results of one operation.
pub(crate) fn three(op: &str, outputs: Vec<Tensor>) -> Result<(Tensor, Tensor, Tensor)> {
    let count = outputs.len();
    let mut outputs = outputs.into_iter();
    match (outputs.next(), outputs.next(), outputs.next()) {
        (Some(a), Some(b), Some(c)) => Ok((a, b, c)),
        _ => crate::bail!(Backend, "{op}: {count} results, expected three"),
    }
}

/// Two results of one operation.
pub(crate) fn two(op: &str, outputs: Vec<Tensor>) -> Result<(Tensor, Tensor)> {
    let count = outputs.len();
    let mut outputs = outputs.into_iter();
    match (outputs.next(), outputs.next()) {
        (Some(a), Some(b)) => Ok((a, b)),
        _ => crate::bail!(Backend, "{op}: {count} results, expected two"),
    }
}

/// Replaces B by the solution of `A·X = B` (or `Aᵀ·X = B`) from A's factors; values of one batch shape.
pub(crate) fn solve_value(factors: &Value, pivots: &[i32], b: &Value, transposed: bool) -> Result<Value> {
    let rank = b.shape.len();
    let (n, columns) = (b.shape[rank - 2], b.shape[rank - 1]);
    ensure!(
        factors.shape[..rank - 1] == b.shape[..rank - 1],
        Shape,
        "solve: factors {:?} for {:?}",
        factors.shape,
        b.shape
    );
    let mut x = b.copy()?;
    let factors = factors.contiguous()?;
    with_float!("solve", b.dtype, T => {
        let f = factors.data::<T>()?;
        let data = x.data_mut::<T>()?;
        if n * columns > 0 {
            for (i, x) in data.chunks_exact_mut(n * columns).enumerate() {
                let pivots = &pivots[i * n..(i + 1) * n];
                kernels::lu_solve(&f[i * n * n..(i + 1) * n * n], n, pivots, x, columns, transposed);
            }
        }
    });
    Ok(x)
}
