//! Loudness by ITU-R BS.1770-4: the mean energy of what a head and an ear let through, of blocks that are not silent.

use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::{check_float, highpass_biquad, treble_biquad};

/// The loudness in LKFS.
///
/// # Shapes
/// `[…, channels, time] → […]`.
///
/// # Errors
/// `Shape` for more than five channels or less than 0.4 seconds; `DType` unless the waveform is of floating point numbers.
pub fn loudness(waveform: &Tensor, sample_rate: usize) -> Result<Tensor> {
    check_float("loudness", waveform)?;
    let [channels, time] = super::frames("loudness", waveform)?;
    // Blocks of 0.4 s that overlap by three quarters.
    let block = (0.4 * sample_rate as f64).round_ties_even() as usize;
    let step = (block as f64 * 0.25).round_ties_even() as usize;
    ensure!(
        (1..=5).contains(&channels) && time >= block && step > 0,
        Shape,
        "loudness: expected […, 1 to 5 channels, at least {block} samples], got {:?}",
        waveform.shape()
    );
    let heard = treble_biquad(waveform, sample_rate, 4.0, 1500.0, 0.5f64.sqrt())?;
    let heard = highpass_biquad(&heard, sample_rate, 38.0, 0.5)?;
    let energy = heard.square()?.unfold(-1, block, step)?.mean_dim(-1, false)?;
    // Sound from behind counts more.
    let weights = Tensor::new([1.0, 1.0, 1.0, 1.41, 1.41])?
        .narrow(0, 0, channels)?
        .to_dtype(waveform.dtype())?;
    let lkfs = |weighted: &Tensor| weighted.log10()?.mul(10)?.add(-0.691);
    let blocks = lkfs(&weights.unsqueeze(-1)?.mul(&energy)?.sum_dim(-2, false)?)?;
    let mean = |kept: &Tensor| -> Result<Tensor> {
        let kept = kept.unsqueeze(-2)?.to_dtype(waveform.dtype())?;
        let of_channels = kept
            .mul(&energy)?
            .sum_dim(-1, false)?
            .div(&kept.sum_dim(-1, false)?)?;
        lkfs(&weights.mul(&of_channels)?.sum_dim(-1, false)?)
    };
    let audible = blocks.gt(-70)?;
    let threshold = mean(&audible)?.sub(10)?;
    let kept = audible.logical_and(&blocks.gt(&threshold.unsqueeze(-1)?)?)?;
    debug_assert_eq!(kept.dtype(), DType::Bool);
    mean(&kept)
}
