//! Singular values: `svd`, `svdvals`, `matrix_rank`, `cond`'s 2-norm, `polar`.

use flambeau_kernels::mem::Buf;

use super::{batched, matrix_dims, mt};
use crate::amp::under_autocast;
use crate::graph::{Op, Saved, record_many};
use crate::ops::linalg::lu::three;
use crate::value::Value;
use crate::{DType, Result, Tensor, ensure, with_float};

/// A recorded singular value decomposition.
#[derive(Clone, Debug)]
pub struct SvdOp {
    /// U.
    pub u: Saved,
    /// The singular values.
    pub s: Saved,
    /// Vᵀ.
    pub vh: Saved,
}

/// The distance from 1 to the next number of a floating point type.
pub fn epsilon(dtype: DType) -> f64 {
    if dtype == DType::F64 {
        f64::EPSILON
    } else {
        f32::EPSILON as f64
    }
}

/// An error if some number is not finite: iterations would not converge.
pub(crate) fn check_finite(op: &str, mut finite: impl Iterator<Item = bool>) -> Result<()> {
    ensure!(
        finite.all(|x| x),
        Value,
        "{op}: the matrix has NaNs or infinities"
    );
    Ok(())
}

impl Tensor {
    /// `A = U·diag(S)·Vᵀ` with singular values in descending order (`torch.linalg.svd`; the third result is Vᵀ). Unless
    /// `full_matrices`, U and V have `min(m, n)` columns.
    ///
    /// # Errors
    /// `Shape` unless the tensor is a matrix or a batch of them; `Value` for matrices with NaNs or infinities.
    pub fn svd(&self, full_matrices: bool) -> Result<(Tensor, Tensor, Tensor)> {
        under_autocast!("svd": a = self => a.svd(full_matrices));
        let (batch, m, n) = matrix_dims("svd", self)?;
        let k = m.min(n);
        let (p, q) = if full_matrices { (m, n) } else { (k, k) };
        let a = self.read();
        let matrices = a.value.contiguous()?;
        let count = batch.iter().product::<usize>();
        let values = with_float!("svd", a.value.dtype, T => {
            let data = matrices.data::<T>()?;
            check_finite("svd", data.iter().map(|x| x.is_finite()))?;
            let (mut u, mut s, mut vh) = (vec![0.0; count * m * p], vec![0.0; count * k], vec![0.0; count * q * n]);
            for i in 0..count {
                backend::svd::<T>(
                    &data[i * m * n..(i + 1) * m * n],
                    (m, n),
                    full_matrices,
                    &mut u[i * m * p..(i + 1) * m * p],
                    &mut s[i * k..(i + 1) * k],
                    &mut vh[i * q * n..(i + 1) * q * n],
                )?;
            }
            let dtype = a.value.dtype;
            let build = |data: &[T], sizes: &[usize]| {
                Value::new(Buf::from_slice(data), dtype, batched(batch, sizes))
            };
            vec![build(&u, &[m, p]), build(&s, &[k]), build(&vh, &[q, n])]
        });
        let outputs = record_many(values, &[&a], |values| {
            Op::Svd(SvdOp {
                u: Saved::output(&values[0], 0),
                s: Saved::output(&values[1], 1),
                vh: Saved::output(&values[2], 2),
            })
        });
        three("svd", outputs)
    }

    /// The singular values in descending order.
    ///
    /// # Errors
    /// As [`Tensor::svd`].
    pub fn svdvals(&self) -> Result<Tensor> {
        let found = self.svd(false).map_err(|error| error.context("svdvals"));
        Ok(found?.1)
    }

    /// `A = U·H` with orthonormal columns of U and symmetric positive semidefinite H, for matrices with at least as many
    /// rows as columns (`torch.linalg.polar`).
    ///
    /// # Errors
    /// As [`Tensor::svd`]; `Shape` if there are fewer rows than columns.
    pub fn polar_decomposition(&self) -> Result<(Tensor, Tensor)> {
        let (_, m, n) = matrix_dims("polar", self)?;
        ensure!(
            m >= n,
            Shape,
            "polar: expected at least as many rows as columns, got {:?}",
            self.shape()
        );
        let (u, s, vh) = self.svd(false)?;
        let h = mt(&vh)?.mul(&s.unsqueeze(-2)?)?.matmul(&vh)?;
        Ok((u.matmul(&vh)?.to_dtype(self.dtype())?, h.to_dtype(self.dtype())?))
    }
}

#[cfg(feature = "linalg")]
mod backend {
    use faer::MatRef;

    use crate::{Result, bail};

    /// U, S and Vᵀ of a row-major `m × n` matrix, row-major.
    pub(super) fn svd<T: faer::traits::RealField + Copy + From<f32>>(
        a: &[T],
        (m, n): (usize, usize),
        full: bool,
        u: &mut [T],
        s: &mut [T],
        vh: &mut [T],
    ) -> Result<()> {
        if m == 0 || n == 0 {
            // No singular values; full matrices are identities.
            u.iter_mut().step_by(m + 1).for_each(|x| *x = T::from(1.0));
            vh.iter_mut().step_by(n + 1).for_each(|x| *x = T::from(1.0));
            return Ok(());
        }
        let a = MatRef::from_row_major_slice(a, m, n);
        let Ok(svd) = (if full { a.svd() } else { a.thin_svd() }) else {
            bail!(Value, "svd: the algorithm did not converge")
        };
        let (p, v) = (svd.U().ncols(), svd.V());
        for (e, u) in u.iter_mut().enumerate() {
            *u = svd.U()[(e / p, e % p)];
        }
        for (i, s) in s.iter_mut().enumerate() {
            *s = svd.S()[i];
        }
        for (e, vh) in vh.iter_mut().enumerate() {
            *vh = v[(e % n, e / n)];
        }
        Ok(())
    }
}

#[cfg(not(feature = "linalg"))]
mod backend {
    use crate::{Result, bail};

    pub(super) fn svd<T>(
        _: &[T],
        _: (usize, usize),
        _: bool,
        _: &mut [T],
        _: &mut [T],
        _: &mut [T],
    ) -> Result<()> {
        bail!(Unsupported, "svd: built without the feature `linalg`")
    }
}
