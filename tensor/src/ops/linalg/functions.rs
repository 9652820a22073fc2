//! Functions of square matrices: `matrix_power`, `matrix_exp`.

use super::{identity, norms::MatrixNorm, square_dims};
use crate::amp::under_autocast;
use crate::{Result, Tensor};

impl Tensor {
    /// The n-th power of square matrices; negative ones are powers of the inverse.
    ///
    /// # Errors
    /// `Shape` unless the matrices are square; `Value` for a negative power of a singular matrix.
    pub fn matrix_power(&self, n: i64) -> Result<Tensor> {
        let (_, size) = square_dims("matrix_power", self)?;
        if n == 0 {
            // Tracked, with a gradient of zero, as in PyTorch.
            return self.mul(0.0)?.add(&identity(size, self.dtype())?);
        }
        let mut square = if n < 0 { self.inv()? } else { self.clone() };
        let mut left = n.unsigned_abs();
        let mut power: Option<Tensor> = None;
        loop {
            if left % 2 == 1 {
                power = Some(match power {
                    Some(power) => power.matmul(&square)?,
                    None => square.clone(),
                });
            }
            left /= 2;
            match power {
                Some(power) if left == 0 => return Ok(power),
                _ => square = square.matmul(&square)?,
            }
        }
    }

    /// The exponential of square matrices: a Taylor polynomial of the matrix scaled down, squared back.
    ///
    /// # Errors
    /// `Shape` unless the matrices are square.
    pub fn matrix_exp(&self) -> Result<Tensor> {
        /// The degree whose remainder for norms up to 1 is below the rounding of `f64`.
        const DEGREE: i32 = 18;
        under_autocast!("matrix_exp": a = self => a.matrix_exp());
        let (_, n) = square_dims("matrix_exp", self)?;
        if self.numel() == 0 {
            return Ok(self.clone());
        }
        let norms = self.detach().matrix_norm(MatrixNorm::One, false)?.to_vec_f64()?;
        let largest = norms.into_iter().fold(0.0f64, f64::max);
        let squarings = if largest > 1.0 && largest.is_finite() {
            largest.log2().ceil() as i32
        } else {
            0
        };
        let a = self.mul(0.5f64.powi(squarings))?;
        let eye = identity(n, self.dtype())?;
        let mut sum = a.mul(1.0 / DEGREE as f64)?.add(&eye)?;
        for k in (1..DEGREE).rev() {
            sum = a.matmul(&sum)?.mul(1.0 / k as f64)?.add(&eye)?;
        }
        (0..squarings).try_fold(sum, |x, _| x.matmul(&x))
    }
}
