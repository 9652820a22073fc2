//! Cholesky factors and what they solve: `cholesky`, `cholesky_solve`, `cholesky_inverse`.

use flambeau_kernels::linalg::cholesky as kernels;

use super::{batched, check_info, identity, integers, mt, square_dims};
use crate::amp::under_autocast;
use crate::graph::{Op, Saved, record};
use crate::{DType, Result, Tensor, with_float};

/// A recorded Cholesky factorisation.
#[derive(Clone, Debug)]
pub struct CholeskyOp {
    /// L.
    pub factor: Saved,
}

impl Tensor {
    /// L of `A = L·Lᵀ` (with `upper` its transpose), and for each matrix 0 or the size of its first leading block that
    /// is not positive definite (`torch.linalg.cholesky_ex`). Only one triangle of A is read.
    ///
    /// # Errors
    /// `Shape` unless the matrices are square; `DType` unless they are `float32` or `float64`.
    pub fn cholesky_ex(&self, upper: bool) -> Result<(Tensor, Tensor)> {
        under_autocast!("cholesky": a = self => a.cholesky_ex(upper));
        if upper {
            let (factor, info) = mt(self)?.cholesky_ex(false)?;
            return Ok((mt(&factor)?, info));
        }
        let (batch, n) = square_dims("cholesky", self)?;
        let a = self.read();
        let mut factor = a.value.copy()?;
        let mut info = vec![0; batch.iter().product()];
        with_float!("cholesky", factor.dtype, T => {
            let data = factor.data_mut::<T>()?;
            for (i, info) in info.iter_mut().enumerate() {
                *info = kernels::cholesky(&mut data[i * n * n..(i + 1) * n * n], n);
            }
        });
        let factor = record(factor, &[&a], |l| {
            Op::Cholesky(CholeskyOp {
                factor: Saved::output(l, 0),
            })
        });
        Ok((
            factor,
            Tensor::from_value(integers(&info, DType::I32, batched(batch, &[]))),
        ))
    }

    /// L of `A = L·Lᵀ`, or with `upper` its transpose.
    ///
    /// # Errors
    /// As [`Tensor::cholesky_ex`]; `Value` if a matrix is not positive definite.
    pub fn cholesky(&self, upper: bool) -> Result<Tensor> {
        let (factor, info) = self.cholesky_ex(upper)?;
        check_info("cholesky", &info.to_vec::<i32>()?, "not positive definite")?;
        Ok(factor)
    }

    /// The solution of `A·X = B`, where B is this tensor and A is given by its Cholesky factor.
    ///
    /// # Errors
    /// `Shape` unless the tensors fit.
    pub fn cholesky_solve(&self, factor: &Tensor, upper: bool) -> Result<Tensor> {
        under_autocast!("cholesky_solve": b = self, factor => b.cholesky_solve(factor, upper));
        let l = if upper { mt(factor)? } else { factor.clone() };
        l.solve_triangular_with(self, false, false, true)
            .and_then(|y| mt(&l)?.solve_triangular_with(&y, true, false, true))
            .map_err(|error| error.context("cholesky_solve"))
    }

    /// The inverse of the matrix whose Cholesky factor this tensor is.
    ///
    /// # Errors
    /// `Shape` unless the matrices are square.
    pub fn cholesky_inverse(&self, upper: bool) -> Result<Tensor> {
        under_autocast!("cholesky_inverse": factor = self => factor.cholesky_inverse(upper));
        let (_, n) = square_dims("cholesky_inverse", self)?;
        let l = if upper { mt(self)? } else { self.clone() };
        let inverse = l.solve_triangular_with(&identity(n, self.dtype())?, false, false, true)?;
        mt(&inverse)?.matmul(&inverse)
    }
}
