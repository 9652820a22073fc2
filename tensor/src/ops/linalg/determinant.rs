//! Determinants: `det`, `slogdet`, `logdet`.

use super::{batched, constant, diagonal_of, lu, mt, square_dims};
use crate::graph::{Op, Saved, record, record_many};
use crate::value::Value;
use crate::{Result, Tensor};

/// A recorded determinant.
#[derive(Clone, Debug)]
pub struct DetOp {
    /// The matrices.
    pub a: Saved,
    /// The determinants.
    pub det: Saved,
    /// Whether a matrix is singular, or so nearly that its inverse is noise.
    pub singular: bool,
}

/// A recorded logarithm of a determinant's magnitude.
#[derive(Clone, Debug)]
pub struct SlogdetOp {
    /// The matrices.
    pub a: Saved,
}

/// For each matrix the sign of the determinant, and the diagonal of U.
fn signs_and_pivots(op: &str, a: &Value) -> Result<(Vec<f64>, Vec<Vec<f64>>)> {
    let n = a.shape[a.shape.len() - 1];
    let (factors, pivots, info) = lu::factorise(op, a, true)?;
    let factors = Tensor::from_value(factors);
    let diagonals = diagonal_of(&factors)?.to_vec_f64()?;
    let swaps = |i: usize| {
        let own = &pivots[i * n..(i + 1) * n];
        own.iter()
            .enumerate()
            .filter(|&(row, &p)| p as usize != row + 1)
            .count()
    };
    let signs = (0..info.len())
        .map(|i| if swaps(i) % 2 == 0 { 1.0 } else { -1.0 })
        .collect();
    Ok((
        signs,
        (0..info.len())
            .map(|i| diagonals[i * n..(i + 1) * n].to_vec())
            .collect(),
    ))
}

/// Whether pivots differ so much in magnitude that the smallest is rounding noise.
fn is_noise(pivots: &[f64], epsilon: f64) -> bool {
    let largest = pivots.iter().fold(0.0f64, |max, x| max.max(x.abs()));
    pivots
        .iter()
        .any(|x| x.abs() <= 10.0 * epsilon * pivots.len() as f64 * largest)
}

impl Tensor {
    /// The determinants of square matrices: `[…, n, n] → […]`.
    ///
    /// # Errors
    /// `Shape` unless the matrices are square; `DType` unless they are `float32` or `float64`.
    pub fn det(&self) -> Result<Tensor> {
        let (batch, _) = square_dims("det", self)?;
        let a = self.read();
        let (signs, pivots) = signs_and_pivots("det", &a.value)?;
        let dets: Vec<f64> = signs
            .iter()
            .zip(&pivots)
            .map(|(s, p)| s * p.iter().product::<f64>())
            .collect();
        let value = Tensor::from_vec(dets, batched(batch, &[]))?
            .to_dtype(self.dtype())?
            .value();
        let epsilon = super::svd::epsilon(self.dtype());
        Ok(record(value, &[&a], |det| {
            Op::Det(DetOp {
                a: a.clone(),
                det: Saved::output(det, 0),
                singular: pivots.iter().any(|p| is_noise(p, epsilon)),
            })
        }))
    }

    /// Sign and logarithm of the magnitude of the determinants; 0 and -∞ for singular matrices.
    ///
    /// # Errors
    /// As [`Tensor::det`].
    pub fn slogdet(&self) -> Result<(Tensor, Tensor)> {
        let (batch, _) = square_dims("slogdet", self)?;
        let a = self.read();
        let (signs, pivots) = signs_and_pivots("slogdet", &a.value)?;
        let sign = |(s, p): (&f64, &Vec<f64>)| {
            p.iter()
                .fold(*s, |s, &x| s * if x == 0.0 { 0.0 } else { x.signum() })
        };
        let signs: Vec<f64> = signs.iter().zip(&pivots).map(sign).collect();
        let logs: Vec<f64> = pivots
            .iter()
            .map(|p| p.iter().map(|x| x.abs().ln()).sum())
            .collect();
        let value = |data: Vec<f64>| -> Result<Value> {
            Ok(Tensor::from_vec(data, batched(batch, &[]))?
                .to_dtype(self.dtype())?
                .value())
        };
        let values = vec![value(signs)?, value(logs)?];
        lu::two(
            "slogdet",
            record_many(values, &[&a], |_| Op::Slogdet(SlogdetOp { a: a.clone() })),
        )
    }

    /// The logarithm of the determinants; NaN where they are negative.
    ///
    /// # Errors
    /// As [`Tensor::det`].
    pub fn logdet(&self) -> Result<Tensor> {
        let (sign, log) = self.slogdet().map_err(|error| error.context("logdet"))?;
        log.add(&sign.detach().log()?)
    }
}

/// The transposed adjugates of square matrices, `det(A)·A⁻ᵀ` wherever that exists: from the singular values, so that
/// singular matrices have one too.
///
/// # Errors
/// As [`Tensor::det`].
pub fn cofactors(a: &Tensor) -> Result<Tensor> {
    let (_, n) = square_dims("det", a)?;
    let (u, s, vh) = a.svd(true)?;
    // Products of all singular values but one.
    let ones = s.narrow(-1, 0, 1.min(n))?.ones_like()?;
    let running = |backward: bool| -> Result<Vec<Tensor>> {
        let mut products = vec![ones.clone()];
        for i in 0..n.saturating_sub(1) {
            let at = if backward { n - 1 - i } else { i };
            let next = products[i].mul(&s.narrow(-1, at as isize, 1)?)?;
            products.push(next);
        }
        if backward {
            products.reverse();
        }
        Ok(products)
    };
    let (before, after) = (running(false)?, running(true)?);
    let others: Vec<Tensor> = before
        .iter()
        .zip(&after)
        .map(|(b, a)| b.mul(a))
        .collect::<Result<_>>()?;
    let others = Tensor::cat(&others.iter().collect::<Vec<_>>(), -1)?;
    // Both are ±1.
    let sign = u.detach().det()?.mul(&vh.detach().det()?)?;
    let core = others.unsqueeze(-2)?.mul(&u)?.matmul(&vh)?;
    core.mul(&sign.unsqueeze(-1)?.unsqueeze(-1)?)
}

/// `A⁻ᵀ`, or for 0×0 matrices the same.
///
/// # Errors
/// As [`Tensor::inv_ex`].
pub fn inverse_transposed(a: &Tensor) -> Result<Tensor> {
    mt(&a.inv_ex()?.0)
}

/// A square mask, as gradient rules multiply by:  `below` under the diagonal, `on` on it and `above` over it.
///
/// # Errors
/// `DType` unless the type is a floating point type.
pub fn triangular_mask(n: usize, dtype: crate::DType, below: f64, on: f64, above: f64) -> Result<Tensor> {
    constant(n, n, dtype, |i, j| match i.cmp(&j) {
        std::cmp::Ordering::Greater => below,
        std::cmp::Ordering::Equal => on,
        std::cmp::Ordering::Less => above,
    })
}
