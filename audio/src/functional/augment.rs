//! Noise at a given ratio, and speed.

use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::{ResampleOptions, check_float, resample, time};

/// `waveform + scale·noise`, scaled so that the signal is `snr` decibels above the noise. Samples from `lengths` on do not
/// count.
///
/// # Shapes
/// `[…, time], […, time], snr […], lengths […] → […, time]`.
///
/// # Errors
/// `Shape` unless the sizes fit.
pub fn add_noise(
    waveform: &Tensor,
    noise: &Tensor,
    snr: &Tensor,
    lengths: Option<&Tensor>,
) -> Result<Tensor> {
    let length = time("add_noise", waveform)?;
    check_float("add_noise", waveform)?;
    let rank = waveform.rank();
    let fits = noise.rank() == rank
        && noise.size(-1)? == length
        && snr.rank() + 1 == rank
        && lengths.is_none_or(|lengths| lengths.rank() + 1 == rank);
    ensure!(
        fits,
        Shape,
        "add_noise: expected a waveform and noise […, time], and ratios and lengths […], got {:?}, {:?}, {:?} and {:?}",
        waveform.shape(),
        noise.shape(),
        snr.shape(),
        lengths.map(Tensor::shape)
    );
    let mask = match lengths {
        None => None,
        Some(lengths) => {
            let positions = Tensor::arange(0, length as i64, 1, DType::I64)?;
            Some(positions.lt(&lengths.unsqueeze(-1)?)?)
        }
    };
    let energy = |x: &Tensor| -> Result<Tensor> {
        let x = match &mask {
            Some(mask) => x.mul(mask)?,
            None => x.clone(),
        };
        x.vector_norm(2.0, -1, false)?.square()
    };
    let ratio = energy(waveform)?
        .log10()?
        .sub(&energy(noise)?.log10()?)?
        .mul(10)?;
    let ten = Tensor::scalar_tensor(10.0, waveform.dtype());
    let scale = ten.pow(&ratio.sub(snr)?.div(20)?)?;
    waveform.add(&scale.unsqueeze(-1)?.mul(noise)?)
}

/// The waveform `factor` times as fast, which changes its pitch, too; and the new `lengths` in samples.
///
/// # Shapes
/// `[…, time] → […, ⌈time/factor⌉]`.
///
/// # Errors
/// `Value` unless `factor` and `orig_freq` are positive.
pub fn speed(
    waveform: &Tensor,
    orig_freq: usize,
    factor: f64,
    lengths: Option<&Tensor>,
) -> Result<(Tensor, Option<Tensor>)> {
    let source = (factor * orig_freq as f64) as usize;
    ensure!(
        source > 0 && factor.is_finite(),
        Value,
        "speed: expected a positive factor and orig_freq, got {factor} and {orig_freq}"
    );
    let lengths = lengths.map(|lengths| {
        lengths
            .mul(orig_freq as f64)?
            .div(source as f64)?
            .ceil()?
            .to_dtype(lengths.dtype())
    });
    let faster = resample(waveform, source, orig_freq, &ResampleOptions::default())?;
    Ok((faster, lengths.transpose()?))
}
