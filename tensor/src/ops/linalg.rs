//! Linear algebra (`torch.linalg`): factorisations, solvers, determinants and norms of matrices and batches of them.
//!
//! A batch is whatever comes before the last two dimensions. Few operations are recorded as primitives (solve, inverse,
//! LU, Cholesky, QR, eigenvalues, singular values, determinant, pseudo-inverse, norms); the others are composed of them.

pub mod cholesky;
pub mod complex;
pub mod determinant;
pub mod eigen;
pub mod functions;
pub mod ldl;
pub mod lstsq;
pub mod lu;
pub mod norms;
pub mod pinv;
pub mod qr;
pub mod solve;
pub mod svd;

use flambeau_kernels::mem::Buf;

use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, bail, ensure};

/// The batch dimensions, rows and columns of a matrix or a batch of matrices of a floating point type.
pub(crate) fn matrix_dims<'a>(op: &str, a: &'a Tensor) -> Result<(&'a [usize], usize, usize)> {
    ensure!(
        a.dtype().is_float(),
        DType,
        "{op}: expected a floating point tensor, got {}",
        a.dtype()
    );
    match a.shape() {
        &[ref batch @ .., m, n] => Ok((batch, m, n)),
        shape => bail!(
            Shape,
            "{op}: expected a matrix or a batch of matrices, got {shape:?}"
        ),
    }
}

/// The batch dimensions and the size of square matrices.
pub(crate) fn square_dims<'a>(op: &str, a: &'a Tensor) -> Result<(&'a [usize], usize)> {
    match matrix_dims(op, a)? {
        (batch, m, n) if m == n => Ok((batch, n)),
        _ => bail!(Shape, "{op}: expected square matrices, got {:?}", a.shape()),
    }
}

/// A shape of batch dimensions and further ones.
pub(crate) fn batched(batch: &[usize], sizes: &[usize]) -> Shape {
    batch.iter().chain(sizes).copied().collect()
}

/// A matrix of `f(i, j)`, untracked.
pub(crate) fn constant(
    rows: usize,
    columns: usize,
    dtype: DType,
    f: impl Fn(usize, usize) -> f64,
) -> Result<Tensor> {
    let data: Vec<f64> = (0..rows * columns).map(|e| f(e / columns, e % columns)).collect();
    Tensor::from_vec(data, (rows, columns))?.to_dtype(dtype)
}

/// The identity matrix.
///
/// # Errors
/// `DType` unless the type is a floating point type.
pub fn identity(n: usize, dtype: DType) -> Result<Tensor> {
    constant(n, n, dtype, |i, j| if i == j { 1.0 } else { 0.0 })
}

/// The matrices with zeros below the `diagonal`-th diagonal (`upper`) or above it.
///
/// # Errors
/// `Shape` unless the tensor is a matrix or a batch of them.
pub fn triangle(a: &Tensor, upper: bool, diagonal: isize) -> Result<Tensor> {
    let (_, m, n) = matrix_dims("triangle", a)?;
    let kept = |i: usize, j: usize| {
        let offset = j as isize - i as isize;
        if upper {
            offset >= diagonal
        } else {
            offset <= diagonal
        }
    };
    a.mul(&constant(
        m,
        n,
        a.dtype(),
        |i, j| if kept(i, j) { 1.0 } else { 0.0 },
    )?)
}

/// Vectors as diagonal matrices: `[…, n] → […, n, n]`.
///
/// # Errors
/// `Shape` for a 0-d tensor.
pub fn diagonal_matrix(d: &Tensor) -> Result<Tensor> {
    let Some(&n) = d.shape().last() else {
        bail!(Shape, "diagonal_matrix: expected vectors, got a 0-d tensor")
    };
    d.unsqueeze(-1)?.mul(&identity(n, d.dtype())?)
}

/// The diagonals of square matrices: `[…, n, n] → […, n]`.
///
/// # Errors
/// `Shape` unless the matrices are square.
pub fn diagonal_of(a: &Tensor) -> Result<Tensor> {
    let (batch, n) = square_dims("diagonal", a)?;
    a.reshape(batched(batch, &[n * n]))?
        .slice(-1, None, None, n as isize + 1)
}

/// The transpose of the last two dimensions.
pub(crate) fn mt(a: &Tensor) -> Result<Tensor> {
    a.transpose(-2, -1)
}

/// Numbers of a batch (pivots, error codes, ranks) as a value.
pub(crate) fn integers<T: crate::buffer::Stored>(data: &[T], dtype: DType, shape: Shape) -> Value {
    Value::new(Buf::from_slice(data), dtype, shape)
}

/// An error if a factorisation of some matrix of the batch failed.
pub(crate) fn check_info(op: &str, info: &[i32], what: &str) -> Result<()> {
    match info.iter().position(|&i| i != 0) {
        Some(at) => bail!(
            Value,
            "{op}: matrix {at} of the batch is {what} (at row {})",
            info[at]
        ),
        None => Ok(()),
    }
}
