//! Division by a norm (`nn.functional.normalize`) or by the activity of neighbouring channels (`local_response_norm`).

use super::binary::pow;
use super::pad::PadMode;
use super::pool::{AvgPoolOptions, avg_pool};
use crate::{Dims, Result, Tensor, ensure};

/// `x / max(‖x‖ₚ, eps)`, the norm taken along the dimensions.
///
/// # Errors
/// `Dim` if there is no such dimension; `DType` unless the type is a floating point one.
pub fn normalize(x: &Tensor, p: f64, dims: impl Dims, eps: f64) -> Result<Tensor> {
    ensure!(
        x.dtype().is_float(),
        DType,
        "normalize: expected a floating point tensor, got {}",
        x.dtype()
    );
    let norm = x
        .vector_norm(p, dims, true)
        .map_err(|error| error.context("normalize"))?;
    x.div(&norm.clamp_min(eps)?)
}

/// `x / (k + alpha·mean(x² over size neighbouring channels))^beta` (Krizhevsky et al., 2012); channels outside count as
/// zeros.
///
/// # Shapes
/// `[batch, channels, …]`.
///
/// # Errors
/// `Shape` for fewer than three dimensions; `Value` for size 0; `DType` for bools.
pub fn local_response_norm(x: &Tensor, size: usize, alpha: f64, beta: f64, k: f64) -> Result<Tensor> {
    let shape = x.shape();
    ensure!(
        shape.len() >= 3,
        Shape,
        "local_response_norm: expected at least 3 dimensions, got {shape:?}"
    );
    ensure!(
        size > 0,
        Value,
        "local_response_norm: size must be positive, got {size}"
    );
    if x.numel() == 0 {
        return Ok(x.clone());
    }
    let inner = shape[2..].iter().product::<usize>();
    let padding = [0, 0, (size / 2) as isize, ((size - 1) / 2) as isize];
    let squares = x
        .mul(x)?
        .reshape((shape[0], 1, shape[1], inner))?
        .pad(&padding, PadMode::Constant, 0)?;
    let options = AvgPoolOptions {
        stride: Some([1, 1]),
        ..AvgPoolOptions::default()
    };
    let means = avg_pool(&squares, [size, 1], &options)?.reshape(shape)?;
    x.div(&pow(&means.mul(alpha)?.add(k)?, beta)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_get_length_one() {
        let x = Tensor::new([[3.0f64, -4.0], [0.0, 0.0]]).unwrap();
        let y = normalize(&x, 2.0, 1, 1e-12).unwrap();
        assert_eq!(y.to_vec::<f64>().unwrap(), [0.6, -0.8, 0.0, 0.0]);
        let y = normalize(&x, 1.0, 0, 1e-12).unwrap();
        assert_eq!(y.to_vec::<f64>().unwrap(), [1.0, -1.0, 0.0, 0.0]);
    }

    #[test]
    fn neighbouring_channels_dampen_each_other() {
        let x = Tensor::new([[[1.0f64], [3.0]]]).unwrap();
        let y = local_response_norm(&x, 2, 2.0, 1.0, 1.0).unwrap();
        assert_eq!(y.to_vec::<f64>().unwrap(), [0.5, 3.0 / 11.0]);
    }
}
