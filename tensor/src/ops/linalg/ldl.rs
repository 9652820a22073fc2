//! LDLᵀ factorisation of symmetric matrices: `ldl_factor`, `ldl_solve`. Not tracked, as in PyTorch.

use flambeau_kernels::linalg::ldl as kernels;

use super::{batched, integers, matrix_dims, square_dims};
use crate::{DType, Result, Tensor, broadcast_shapes, ensure, with_float};

/// L and D of `A = L·D·Lᵀ` packed in the lower triangle (above it are zeros), pivots (`int32`, LAPACK's form), and for each matrix 0 or the
/// number of the first zero block (`torch.linalg.ldl_factor_ex`). The lower triangle is read.
///
/// # Errors
/// `Shape` unless the matrices are square; `DType` unless they are `float32` or `float64`.
pub fn ldl_factor_ex(a: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
    let (batch, n) = square_dims("ldl_factor", a)?;
    let count = batch.iter().product::<usize>();
    let (mut factors, mut pivots, mut info) = (a.value().copy()?, vec![0; count * n], vec![0; count]);
    with_float!("ldl_factor", factors.dtype, T => {
        let data = factors.data_mut::<T>()?;
        for i in 0..count {
            let matrix = &mut data[i * n * n..(i + 1) * n * n];
            info[i] = kernels::ldl(matrix, n, &mut pivots[i * n..(i + 1) * n]);
            for row in 0..n {
                matrix[row * n + row + 1..(row + 1) * n].fill(0.0);
            }
        }
    });
    let pivots = integers(&pivots, DType::I32, batched(batch, &[n]));
    let info = integers(&info, DType::I32, batched(batch, &[]));
    Ok((
        Tensor::from_value(factors),
        Tensor::from_value(pivots),
        Tensor::from_value(info),
    ))
}

/// The solution X of `A·X = B` from the factors of A.
///
/// # Errors
/// `Shape` unless the tensors fit; `DType` unless the pivots are `int32`.
pub fn ldl_solve(factors: &Tensor, pivots: &Tensor, b: &Tensor) -> Result<Tensor> {
    let ((batch, n), (b_batch, rows, columns)) =
        (square_dims("ldl_solve", factors)?, matrix_dims("ldl_solve", b)?);
    ensure!(
        rows == n && pivots.shape() == &factors.shape()[..factors.rank() - 1] && factors.dtype() == b.dtype(),
        Shape,
        "ldl_solve: factors {:?}, pivots {:?} and {:?} don't fit",
        factors.shape(),
        pivots.shape(),
        b.shape()
    );
    let batch = broadcast_shapes("ldl_solve", &[batch, b_batch])?;
    let factors = factors
        .detach()
        .expand(batched(&batch, &[n, n]))?
        .value()
        .contiguous()?;
    let pivots = pivots.expand(batched(&batch, &[n]))?.to_vec::<i32>()?;
    let mut x = b
        .detach()
        .expand(batched(&batch, &[n, columns]))?
        .value()
        .copy()?;
    with_float!("ldl_solve", x.dtype, T => {
        let (f, x) = (factors.data::<T>()?, x.data_mut::<T>()?);
        if n * columns > 0 {
            for (i, x) in x.chunks_exact_mut(n * columns).enumerate() {
                kernels::ldl_solve(&f[i * n * n..(i + 1) * n * n], n, &pivots[i * n..(i + 1) * n], x, columns);
            }
        }
    });
    Ok(Tensor::from_value(x))
}
