//! Mu-law companding: `sign(x)·ln(1 + μ|x|)/ln(1 + μ)`, in `quantization_channels = μ + 1` steps (ITU-T G.711).

use flambeau_tensor::{DType, Result, Tensor, ensure};

fn mu(op: &str, quantization_channels: usize, dtype: DType) -> Result<Tensor> {
    ensure!(
        quantization_channels > 1,
        Value,
        "{op}: expected at least 2 channels, got {quantization_channels}"
    );
    Ok(super::scalar(quantization_channels as f64 - 1.0, dtype))
}

/// Numbers from 0 to `quantization_channels - 1` for samples from -1 to 1.
///
/// ```
/// # use flambeau_audio::functional::{mu_law_decoding, mu_law_encoding};
/// # use flambeau_tensor::{Result, Tensor};
/// # fn main() -> Result<()> {
/// let codes = mu_law_encoding(&Tensor::new([-1.0f32, 0.0, 0.5, 1.0])?, 256)?;
/// assert_eq!(codes.to_vec::<i64>()?, [0, 128, 239, 255]);
/// let samples = mu_law_decoding(&codes, 256)?.to_vec::<f32>()?;
/// assert!((samples[2] - 0.5).abs() < 0.01);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Value` for fewer than two channels.
pub fn mu_law_encoding(x: &Tensor, quantization_channels: usize) -> Result<Tensor> {
    let x = x.to_dtype(x.dtype().to_float())?;
    let mu = mu("mu_law_encoding", quantization_channels, x.dtype())?;
    let companded = x.sign()?.mul(&mu.mul(&x.abs()?)?.log1p()?)?.div(&mu.log1p()?)?;
    companded.add(1)?.div(2)?.mul(&mu)?.add(0.5)?.to_dtype(DType::I64)
}

/// Samples from -1 to 1 for numbers from 0 to `quantization_channels - 1`.
///
/// # Errors
/// `Value` for fewer than two channels.
pub fn mu_law_decoding(x_mu: &Tensor, quantization_channels: usize) -> Result<Tensor> {
    let x = x_mu.to_dtype(x_mu.dtype().to_float())?;
    let mu = mu("mu_law_decoding", quantization_channels, x.dtype())?;
    let x = x.div(&mu)?.mul(2)?.sub(1)?;
    let expanded = x.abs()?.mul(&mu.log1p()?)?.exp()?.sub(1)?;
    x.sign()?.mul(&expanded)?.div(&mu)
}
