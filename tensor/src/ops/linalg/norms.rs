//! Norms of matrices, and condition numbers: `matrix_norm`, `cond`.

use super::{matrix_dims, square_dims};
use crate::amp::under_autocast;
use crate::shape::resolve_dims;
use crate::{Result, Tensor, bail};

/// A norm of matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatrixNorm {
    /// The root of the sum of squares.
    Frobenius,
    /// The sum of the singular values.
    Nuclear,
    /// The greatest column sum of magnitudes.
    One,
    /// The least column sum of magnitudes.
    MinusOne,
    /// The greatest singular value.
    Two,
    /// The least singular value.
    MinusTwo,
    /// The greatest row sum of magnitudes.
    Infinity,
    /// The least row sum of magnitudes.
    MinusInfinity,
}

impl MatrixNorm {
    /// PyTorch's `ord` when it is a string: `"fro"` or `"nuc"`.
    ///
    /// # Errors
    /// `Value` for other names.
    pub fn from_name(name: &str) -> Result<MatrixNorm> {
        match name {
            "fro" => Ok(MatrixNorm::Frobenius),
            "nuc" => Ok(MatrixNorm::Nuclear),
            _ => bail!(
                Value,
                "matrix_norm: ord must be a number, \"fro\" or \"nuc\", got {name:?}"
            ),
        }
    }

    /// PyTorch's `ord` when it is a number.
    ///
    /// # Errors
    /// `Value` for other numbers than ±1, ±2 and ±∞.
    pub fn from_number(p: f64) -> Result<MatrixNorm> {
        match p {
            1.0 => Ok(MatrixNorm::One),
            -1.0 => Ok(MatrixNorm::MinusOne),
            2.0 => Ok(MatrixNorm::Two),
            -2.0 => Ok(MatrixNorm::MinusTwo),
            f64::INFINITY => Ok(MatrixNorm::Infinity),
            f64::NEG_INFINITY => Ok(MatrixNorm::MinusInfinity),
            _ => bail!(Value, "matrix_norm: ord must be ±1, ±2 or ±inf, got {p}"),
        }
    }
}

impl Tensor {
    /// A norm of the matrices in the last two dimensions.
    ///
    /// # Errors
    /// `Shape` unless the tensor is a matrix or a batch of them; `Value` for matrices with NaNs or infinities where
    /// singular values are needed.
    pub fn matrix_norm(&self, ord: MatrixNorm, keepdim: bool) -> Result<Tensor> {
        matrix_dims("matrix_norm", self)?;
        let greatest = |x: Tensor| {
            if x.numel() == 0 {
                x.sum_dim(-1, false)
            } else {
                x.amax(-1, false)
            }
        };
        let least = |x: Tensor| {
            if x.numel() == 0 {
                x.sum_dim(-1, false)
            } else {
                x.amin(-1, false)
            }
        };
        let norm = match ord {
            MatrixNorm::Frobenius => self.vector_norm(2.0, [-2, -1], false)?,
            MatrixNorm::Nuclear => self.svdvals()?.sum_dim(-1, false)?,
            MatrixNorm::One => greatest(self.vector_norm(1.0, [-2], false)?)?,
            MatrixNorm::MinusOne => least(self.vector_norm(1.0, [-2], false)?)?,
            MatrixNorm::Infinity => greatest(self.vector_norm(1.0, [-1], false)?)?,
            MatrixNorm::MinusInfinity => least(self.vector_norm(1.0, [-1], false)?)?,
            MatrixNorm::Two => greatest(self.svdvals()?)?,
            MatrixNorm::MinusTwo => least(self.svdvals()?)?,
        };
        if keepdim {
            norm.unsqueeze(-1)?.unsqueeze(-1)
        } else {
            Ok(norm)
        }
    }

    /// [`Tensor::matrix_norm`] over two dimensions: of rows and of columns.
    ///
    /// # Errors
    /// As [`Tensor::matrix_norm`]; `Dim` for unknown or equal dimensions.
    pub fn matrix_norm_dims(&self, ord: MatrixNorm, dims: (isize, isize), keepdim: bool) -> Result<Tensor> {
        matrix_dims("matrix_norm", self)?;
        let pair = resolve_dims("matrix_norm", &[dims.0, dims.1], self.rank())?;
        let rest = (0..self.rank()).filter(|d| !pair.contains(d));
        let order: Vec<isize> = rest.chain(pair.iter().copied()).map(|d| d as isize).collect();
        let norm = self.permute(order)?.matrix_norm(ord, false)?;
        if !keepdim {
            return Ok(norm);
        }
        let shape: Vec<usize> = (0..self.rank())
            .map(|d| if pair.contains(&d) { 1 } else { self.shape()[d] })
            .collect();
        norm.reshape(shape)
    }

    /// The condition number of matrices: the norm times that of the inverse, or for `None` (and ±2) the ratio of the
    /// greatest to the least singular value (`torch.linalg.cond`).
    ///
    /// # Errors
    /// As [`Tensor::matrix_norm`]; `Shape` unless the matrices are square where an inverse is needed.
    pub fn cond(&self, ord: Option<MatrixNorm>) -> Result<Tensor> {
        under_autocast!("cond": a = self => a.cond(ord));
        let (_, m, n) = matrix_dims("cond", self)?;
        let ord = ord.unwrap_or(MatrixNorm::Two);
        if self.numel() == 0 {
            return self.matrix_norm(MatrixNorm::Frobenius, false);
        }
        if matches!(ord, MatrixNorm::Two | MatrixNorm::MinusTwo) {
            let s = self.svdvals()?;
            let (greatest, least) = (s.select(-1, 0)?, s.select(-1, m.min(n) as isize - 1)?);
            return if ord == MatrixNorm::Two {
                greatest.div(&least)
            } else {
                least.div(&greatest)
            };
        }
        square_dims("cond", self)?;
        self.matrix_norm(ord, false)?
            .mul(&self.inv_ex()?.0.matrix_norm(ord, false)?)
    }
}
