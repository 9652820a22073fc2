//! Least squares: `lstsq`.

use super::{matrix_dims, mt};
use crate::amp::under_autocast;
use crate::ops::linalg::pinv::RankTolerance;
use crate::ops::linalg::qr::QrMode;
use crate::{DType, Result, Tensor, bail, ensure};

/// LAPACK's driver, which decides what is returned and whether rank deficiency is dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LstsqDriver {
    /// QR; matrices have full rank.
    Gels,
    /// Any rank.
    Gelsy,
    /// Any rank; singular values are returned.
    Gelsd,
    /// As `Gelsd`.
    Gelss,
}

impl LstsqDriver {
    /// LAPACK's name.
    ///
    /// # Errors
    /// `Value` for other names.
    pub fn from_name(name: &str) -> Result<LstsqDriver> {
        match name {
            "gels" => Ok(LstsqDriver::Gels),
            "gelsy" => Ok(LstsqDriver::Gelsy),
            "gelsd" => Ok(LstsqDriver::Gelsd),
            "gelss" => Ok(LstsqDriver::Gelss),
            _ => bail!(
                Value,
                "lstsq: driver must be gels, gelsy, gelsd or gelss, got {name:?}"
            ),
        }
    }
}

/// What [`Tensor::lstsq`] gives; what a driver does not compute is empty.
#[derive(Clone, Debug)]
pub struct Lstsq {
    /// The solutions X, of least norm where there are many.
    pub solution: Tensor,
    /// `Σ(A·X − B)²` for each column, if there are more equations than unknowns and the rank is full.
    pub residuals: Tensor,
    /// The ranks, `int64`.
    pub rank: Tensor,
    /// The singular values of A.
    pub singular_values: Tensor,
}

impl Tensor {
    /// X that makes `‖A·X − B‖` least, where A is this tensor: `[…, m, n], […, m, k] → […, n, k]`. Singular values up to
    /// `rcond` times the largest count as zero; by default `max(m, n)·ε`.
    ///
    /// # Errors
    /// `Shape` unless the tensors fit; `Value` for matrices with NaNs or infinities.
    pub fn lstsq(&self, b: &Tensor, rcond: Option<f64>, driver: LstsqDriver) -> Result<Lstsq> {
        under_autocast!("lstsq": a = self, b => a.lstsq(b, rcond, driver));
        let (batch, m, n) = matrix_dims("lstsq", self)?;
        if b.rank() + 1 == self.rank() && b.shape() == &self.shape()[..b.rank()] {
            let mut found = self.lstsq(&b.unsqueeze(-1)?, rcond, driver)?;
            found.solution = found.solution.squeeze_dim(-1)?;
            if found.residuals.numel() > 0 {
                found.residuals = found.residuals.squeeze_dim(-1)?;
            }
            return Ok(found);
        }
        let (b_batch, rows, _) = matrix_dims("lstsq", b)?;
        ensure!(
            rows == m && self.dtype() == b.dtype(),
            Shape,
            "lstsq: {:?} of {} and {:?} of {} don't fit",
            self.shape(),
            self.dtype(),
            b.shape(),
            b.dtype()
        );
        crate::broadcast_shapes("lstsq", &[batch, b_batch])?;
        let tolerance = RankTolerance {
            rtol: rcond.map(|r| Tensor::full((), r, DType::F64)).transpose()?,
            ..RankTolerance::default()
        };
        let rank = match driver {
            LstsqDriver::Gels => Tensor::zeros(0, DType::I64)?,
            _ => self.matrix_rank(&tolerance)?,
        };
        let full = rank.to_vec::<i64>()?.iter().all(|&r| r == m.min(n) as i64);
        let solution = match full && self.numel() > 0 {
            true if m >= n => {
                let (q, r) = self.qr(QrMode::Reduced)?;
                r.solve_triangular(&mt(&q)?.matmul(b)?, true, false)?
            }
            true => {
                let (q, r) = mt(self)?.qr(QrMode::Reduced)?;
                q.matmul(&mt(&r)?.solve_triangular(b, false, false)?)?
            }
            false => self.pinv(&tolerance)?.matmul(b)?,
        };
        let none = || Tensor::zeros(0, self.dtype());
        let residuals = if m > n && full && driver != LstsqDriver::Gelsy {
            let error = self.matmul(&solution)?.sub(b)?;
            error.mul(&error)?.sum_dim(-2, false)?
        } else {
            none()?
        };
        let has_values = matches!(driver, LstsqDriver::Gelsd | LstsqDriver::Gelss);
        Ok(Lstsq {
            residuals,
            rank,
            singular_values: if has_values {
                self.detach().svdvals()?
            } else {
                none()?
            },
            solution,
        })
    }
}
