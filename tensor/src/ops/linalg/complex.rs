//! Quotients, matrix products and linear systems of complex tensors (pairs in the last dimension), as gradient rules of
//! eigenvalues need them.

use crate::amp::under_autocast;
use crate::ops::complex::complex;
use crate::{Result, Tensor};

/// The quotient of complex tensors, element by element.
///
/// # Errors
/// `Shape` unless both are complex; `Broadcast` if the shapes don't broadcast.
pub fn div(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let norm = b.mul(b)?.sum_dim(-1, false)?;
    a.complex_mul(&b.conj()?)?.div(&norm.unsqueeze(-1)?)
}

/// The matrix product of complex tensors: `[…, n, k, 2] · […, k, m, 2] → […, n, m, 2]`.
///
/// # Errors
/// `Shape` unless both are complex matrices that fit.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    under_autocast!("complex_matmul": a, b => matmul(a, b));
    let ((ar, ai), (br, bi)) = ((a.real()?, a.imag()?), (b.real()?, b.imag()?));
    let re = ar.matmul(&br)?.sub(&ai.matmul(&bi)?)?;
    complex(&re, &ar.matmul(&bi)?.add(&ai.matmul(&br)?)?)
}

/// The conjugate transpose of the last two (complex) dimensions: `[…, n, m, 2] → […, m, n, 2]`.
///
/// # Errors
/// `Shape` unless the tensor is a complex matrix or a batch of them.
pub fn adjoint(z: &Tensor) -> Result<Tensor> {
    z.conj()?.transpose(-3, -2)
}

/// `x` in `a·x = b`, by the real system of twice the size: `[…, n, n, 2], […, n, m, 2] → […, n, m, 2]`.
///
/// # Errors
/// `Shape` unless the tensors fit; `Value` if a matrix is singular.
pub fn solve(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (ar, ai) = (a.real()?, a.imag()?);
    let top = Tensor::cat(&[&ar, &ai.neg()?], -1)?;
    let bottom = Tensor::cat(&[&ai, &ar], -1)?;
    let right = Tensor::cat(&[&b.real()?, &b.imag()?], -2)?;
    let x = Tensor::cat(&[&top, &bottom], -2)?.solve(&right)?;
    let n = ar.shape()[ar.rank() - 1];
    complex(&x.narrow(-2, 0, n)?, &x.narrow(-2, n as isize, n)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_undo_products() {
        let a = Tensor::new([[3.0f64, 4.0], [0.0, 0.0]]).unwrap();
        let b = Tensor::new([[1.0f64, -2.0], [5.0, 1.0]]).unwrap();
        assert_eq!(
            div(&a, &b).unwrap().to_vec::<f64>().unwrap(),
            [-1.0, 2.0, 0.0, 0.0]
        );
    }

    #[test]
    fn solve_undoes_the_product() {
        let a = Tensor::new([[[1.0f64, 1.0], [2.0, 0.0]], [[0.0, 3.0], [4.0, -1.0]]]).unwrap();
        let x = Tensor::new([[[0.5f64, -1.0]], [[2.0, 0.25]]]).unwrap();
        let back = solve(&a, &matmul(&a, &x).unwrap())
            .unwrap()
            .to_vec::<f64>()
            .unwrap();
        for (got, expected) in back.iter().zip(x.to_vec::<f64>().unwrap()) {
            assert!((got - expected).abs() < 1e-12);
        }
    }
}
