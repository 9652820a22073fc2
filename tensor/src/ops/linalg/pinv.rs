//! Pseudo-inverses and ranks: `pinv`, `matrix_rank`.

use super::{batched, matrix_dims, mt, square_dims};
use crate::amp::under_autocast;
use crate::graph::{Op, Saved, record};
use crate::ops::linalg::svd::epsilon;
use crate::{DType, Result, Tensor};

/// A recorded pseudo-inverse.
#[derive(Clone, Debug)]
pub struct PinvOp {
    /// The matrices.
    pub a: Saved,
    /// Their pseudo-inverses.
    pub output: Saved,
}

/// Which singular values count as zero: those not above `max(atol, rtol·largest)`.
#[derive(Clone, Debug, Default)]
pub struct RankTolerance {
    /// Absolute; 0 by default. Broadcasts to the batch.
    pub atol: Option<Tensor>,
    /// Relative; `max(m, n)·ε` by default, 0 if `atol` is given and positive.
    pub rtol: Option<Tensor>,
    /// Whether the matrices are symmetric: eigenvalues are used then, and one triangle read.
    pub hermitian: bool,
}

/// Singular vectors and values, or eigenvectors and eigenvalues, untracked: (U, values, Vᵀ, threshold for each matrix).
fn spectrum(op: &str, a: &Tensor, tolerance: &RankTolerance) -> Result<(Tensor, Tensor, Tensor, Vec<f64>)> {
    let (batch, m, n) = matrix_dims(op, a)?;
    let a = a.detach();
    let (u, s, vh) = if tolerance.hermitian {
        square_dims(op, &a)?;
        let (values, vectors) = a.eigh(false)?;
        (vectors.clone(), values, mt(&vectors)?)
    } else {
        a.svd(false)?
    };
    let count = batch.iter().product::<usize>();
    let per_matrix = |t: &Option<Tensor>| -> Result<Option<Vec<f64>>> {
        let Some(t) = t else { return Ok(None) };
        t.detach().expand(batched(batch, &[]))?.to_vec_f64().map(Some)
    };
    let (atol, rtol) = (per_matrix(&tolerance.atol)?, per_matrix(&tolerance.rtol)?);
    let k = m.min(n);
    let values = s.to_vec_f64()?;
    let threshold = |i: usize| {
        let largest = values[i * k..(i + 1) * k]
            .iter()
            .fold(0.0f64, |max, x| max.max(x.abs()));
        let absolute = atol.as_ref().map_or(0.0, |t| t[i]);
        let default = if absolute > 0.0 {
            0.0
        } else {
            m.max(n) as f64 * epsilon(a.dtype())
        };
        absolute.max(rtol.as_ref().map_or(default, |t| t[i]) * largest)
    };
    let thresholds = (0..count).map(threshold).collect();
    Ok((u, s, vh, thresholds))
}

impl Tensor {
    /// The Moore-Penrose pseudo-inverse: `[…, m, n] → […, n, m]`.
    ///
    /// # Errors
    /// `Shape` unless the tensor is a matrix or a batch of them; `Value` for matrices with NaNs or infinities.
    pub fn pinv(&self, tolerance: &RankTolerance) -> Result<Tensor> {
        under_autocast!("pinv": a = self => a.pinv(tolerance));
        let (batch, m, n) = matrix_dims("pinv", self)?;
        if self.numel() == 0 {
            return mt(self);
        }
        let (u, s, vh, thresholds) = spectrum("pinv", self, tolerance)?;
        let k = m.min(n);
        let inverted: Vec<f64> = s
            .to_vec_f64()?
            .iter()
            .enumerate()
            .map(|(e, &x)| if x.abs() > thresholds[e / k] { 1.0 / x } else { 0.0 })
            .collect();
        let inverted = Tensor::from_vec(inverted, batched(batch, &[1, k]))?.to_dtype(self.dtype())?;
        let value = mt(&vh)?.mul(&inverted)?.matmul(&mt(&u)?)?.value();
        let a = self.read();
        Ok(record(value, &[&a], |output| {
            Op::Pinv(PinvOp {
                a: a.clone(),
                output: Saved::output(output, 0),
            })
        }))
    }

    /// The number of singular values that are not zero within the tolerance, `int64`.
    ///
    /// # Errors
    /// As [`Tensor::pinv`].
    pub fn matrix_rank(&self, tolerance: &RankTolerance) -> Result<Tensor> {
        under_autocast!("matrix_rank": a = self => a.matrix_rank(tolerance));
        let (batch, m, n) = matrix_dims("matrix_rank", self)?;
        if self.numel() == 0 {
            return Tensor::zeros(batched(batch, &[]), DType::I64);
        }
        let (_, s, _, thresholds) = spectrum("matrix_rank", self, tolerance)?;
        let (k, values) = (m.min(n), s.to_vec_f64()?);
        let rank = |(i, &threshold): (usize, &f64)| {
            values[i * k..(i + 1) * k]
                .iter()
                .filter(|x| x.abs() > threshold)
                .count() as i64
        };
        Tensor::from_vec(
            thresholds.iter().enumerate().map(rank).collect::<Vec<_>>(),
            batched(batch, &[]),
        )
    }
}
