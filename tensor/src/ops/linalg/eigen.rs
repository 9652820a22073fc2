//! Eigenvalues and eigenvectors: `eigh`, `eigvalsh`, `eig`, `eigvals`, `matrix_sqrth`.

use flambeau_kernels::mem::Buf;

use super::{batched, diagonal_matrix, mt, square_dims, triangle};
use crate::amp::under_autocast;
use crate::graph::{Op, Saved, record_many};
use crate::ops::complex;
use crate::ops::linalg::lu::two;
use crate::ops::linalg::svd::check_finite;
use crate::value::Value;
use crate::{Result, Tensor, with_float};

/// A recorded eigendecomposition of symmetric matrices.
#[derive(Clone, Debug)]
pub struct EighOp {
    /// The eigenvalues.
    pub values: Saved,
    /// The eigenvectors.
    pub vectors: Saved,
}

/// A recorded eigendecomposition of general matrices; both are complex.
#[derive(Clone, Debug)]
pub struct EigOp {
    /// The eigenvalues.
    pub values: Saved,
    /// The eigenvectors.
    pub vectors: Saved,
}

impl Tensor {
    /// The eigenvalues of symmetric matrices in ascending order, and orthonormal eigenvectors in the columns of a matrix
    /// (`torch.linalg.eigh`): `[…, n, n] → […, n], […, n, n]`. Only one triangle is read.
    ///
    /// # Errors
    /// `Shape` unless the matrices are square; `Value` for matrices with NaNs or infinities.
    pub fn eigh(&self, upper: bool) -> Result<(Tensor, Tensor)> {
        under_autocast!("eigh": a = self => a.eigh(upper));
        let (batch, n) = square_dims("eigh", self)?;
        let a = self.read();
        let lower = if upper {
            mt(self)?.value().contiguous()?
        } else {
            a.value.contiguous()?
        };
        let count = batch.iter().product::<usize>();
        let (values, vectors) = with_float!("eigh", a.value.dtype, T => {
            let data = lower.data::<T>()?;
            check_finite("eigh", data.iter().map(|x| x.is_finite()))?;
            let (mut values, mut vectors) = (vec![0.0; count * n], vec![0.0; count * n * n]);
            for i in 0..count {
                let (s, u) = (&mut values[i * n..(i + 1) * n], &mut vectors[i * n * n..(i + 1) * n * n]);
                backend::eigh::<T>(&data[i * n * n..(i + 1) * n * n], n, s, u)?;
            }
            let dtype = a.value.dtype;
            let build = |data: &[T], shape| Value::new(Buf::from_slice(data), dtype, shape);
            (build(&values, batched(batch, &[n])), build(&vectors, batched(batch, &[n, n])))
        });
        let outputs = record_many(vec![values, vectors], &[&a], |values| {
            Op::Eigh(EighOp {
                values: Saved::output(&values[0], 0),
                vectors: Saved::output(&values[1], 1),
            })
        });
        two("eigh", outputs)
    }

    /// The eigenvalues of symmetric matrices in ascending order.
    ///
    /// # Errors
    /// As [`Tensor::eigh`].
    pub fn eigvalsh(&self, upper: bool) -> Result<Tensor> {
        let found = self.eigh(upper).map_err(|error| error.context("eigvalsh"));
        Ok(found?.0)
    }

    /// The eigenvalues of general matrices and eigenvectors of length 1 in the columns of a matrix, both complex:
    /// `[…, n, n] → […, n, 2], […, n, n, 2]`.
    ///
    /// # Errors
    /// As [`Tensor::eigh`].
    pub fn eig(&self) -> Result<(Tensor, Tensor)> {
        under_autocast!("eig": a = self => a.eig());
        let (batch, n) = square_dims("eig", self)?;
        let a = self.read();
        let matrices = a.value.contiguous()?;
        let count = batch.iter().product::<usize>();
        let (values, vectors) = with_float!("eig", a.value.dtype, T => {
            let data = matrices.data::<T>()?;
            check_finite("eig", data.iter().map(|x| x.is_finite()))?;
            let (mut values, mut vectors) = (vec![0.0; count * n * 2], vec![0.0; count * n * n * 2]);
            for i in 0..count {
                let s = &mut values[i * n * 2..(i + 1) * n * 2];
                let u = &mut vectors[i * n * n * 2..(i + 1) * n * n * 2];
                backend::eig::<T>(&data[i * n * n..(i + 1) * n * n], n, s, u)?;
            }
            let dtype = a.value.dtype;
            let build = |data: &[T], shape| Value::new(Buf::from_slice(data), dtype, shape);
            (build(&values, batched(batch, &[n, 2])), build(&vectors, batched(batch, &[n, n, 2])))
        });
        let outputs = record_many(vec![values, vectors], &[&a], |values| {
            Op::Eig(EigOp {
                values: Saved::output(&values[0], 0),
                vectors: Saved::output(&values[1], 1),
            })
        });
        two("eig", outputs)
    }

    /// The complex eigenvalues of general matrices: `[…, n, n] → […, n, 2]`.
    ///
    /// # Errors
    /// As [`Tensor::eigh`].
    pub fn eigvals(&self) -> Result<Tensor> {
        Ok(self.eig()?.0)
    }

    /// The symmetric positive definite square root of symmetric positive definite matrices, of which the lower triangle
    /// is read (`torch.linalg.matrix_sqrth`).
    ///
    /// # Errors
    /// As [`Tensor::eigh`].
    pub fn matrix_sqrth(&self) -> Result<Tensor> {
        under_autocast!("matrix_sqrth": a = self => a.matrix_sqrth());
        let (values, vectors) = self.eigh(false)?;
        let scaled = vectors.mul(&values.sqrt()?.unsqueeze(-2)?)?;
        scaled.matmul(&mt(&vectors)?)
    }
}

/// Complex vectors as diagonal matrices: `[…, n, 2] → […, n, n, 2]`.
///
/// # Errors
/// `Shape` unless the tensor is complex.
pub fn complex_diagonal(d: &Tensor) -> Result<Tensor> {
    complex::complex(&diagonal_matrix(&d.real()?)?, &diagonal_matrix(&d.imag()?)?)
}

/// The symmetric matrix whose lower triangle `a` holds.
///
/// # Errors
/// `Shape` unless the matrices are square.
pub fn symmetric_from_lower(a: &Tensor) -> Result<Tensor> {
    triangle(a, false, 0)?.add(&mt(&triangle(a, false, -1)?)?)
}

/// The decompositions proper, by the crate faer.
#[cfg(feature = "linalg")]
mod backend {
    use faer::{MatRef, Side};

    use crate::{Result, bail};

    /// Eigenvalues and, in the columns of a row-major matrix, eigenvectors of a row-major symmetric matrix.
    pub(super) fn eigh<T: faer::traits::RealField + Copy>(
        a: &[T],
        n: usize,
        s: &mut [T],
        u: &mut [T],
    ) -> Result<()> {
        if n == 0 {
            return Ok(());
        }
        let Ok(eigen) = MatRef::from_row_major_slice(a, n, n).self_adjoint_eigen(Side::Lower) else {
            bail!(Value, "eigh: the algorithm did not converge")
        };
        for (i, s) in s.iter_mut().enumerate() {
            *s = eigen.S()[i];
        }
        for (e, u) in u.iter_mut().enumerate() {
            *u = eigen.U()[(e / n, e % n)];
        }
        Ok(())
    }

    /// Complex eigenvalues and unit eigenvectors of a row-major matrix, as pairs.
    pub(super) fn eig<T: faer::traits::RealField + Copy + std::ops::Div<Output = T>>(
        a: &[T],
        n: usize,
        s: &mut [T],
        u: &mut [T],
    ) -> Result<()> {
        if n == 0 {
            return Ok(());
        }
        let Ok(eigen) = faer::linalg::solvers::Eigen::new_from_real(MatRef::from_row_major_slice(a, n, n))
        else {
            bail!(Value, "eig: the algorithm did not converge")
        };
        for (i, s) in s.chunks_exact_mut(2).enumerate() {
            let value = eigen.S()[i];
            s.copy_from_slice(&[value.re, value.im]);
        }
        for j in 0..n {
            let column = eigen.U().col(j);
            let norm = column.norm_l2();
            for i in 0..n {
                let entry = column[i];
                u[(i * n + j) * 2] = entry.re / norm;
                u[(i * n + j) * 2 + 1] = entry.im / norm;
            }
        }
        Ok(())
    }
}

#[cfg(not(feature = "linalg"))]
mod backend {
    use crate::{Result, bail};

    pub(super) fn eigh<T>(_: &[T], _: usize, _: &mut [T], _: &mut [T]) -> Result<()> {
        bail!(Unsupported, "eigh: built without the feature `linalg`")
    }

    pub(super) fn eig<T>(_: &[T], _: usize, _: &mut [T], _: &mut [T]) -> Result<()> {
        bail!(Unsupported, "eig: built without the feature `linalg`")
    }
}
