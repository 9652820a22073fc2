//! The phase vocoder, which makes sound longer or shorter and keeps its pitch, and the change of pitch that comes of it.

use std::f64::consts::PI;

use flambeau_tensor::ops::complex::polar;
use flambeau_tensor::ops::pad::PadMode as Fill;
use flambeau_tensor::ops::stft::{StftOptions, istft, stft};
use flambeau_tensor::ops::windows::hann;
use flambeau_tensor::{DType, Result, Tensor, bail, ensure};

use super::{ResampleOptions, packed, resample, time, unpacked};

/// Spectra `rate` times as fast (`torchaudio.functional.phase_vocoder`). `phase_advance`, `[frequencies, 1]`, is by how much
/// the phase of each frequency moves on from frame to frame.
///
/// # Shapes
/// `[…, frequencies, frames, 2] → […, frequencies, ⌈frames/rate⌉, 2]`.
///
/// # Errors
/// `Shape` unless the spectra are complex; `Value` unless `rate` is positive and finite.
pub fn phase_vocoder(spectra: &Tensor, rate: f64, phase_advance: &Tensor) -> Result<Tensor> {
    let &[.., _, count, 2] = spectra.shape() else {
        bail!(
            Shape,
            "phase_vocoder: expected complex spectra […, frequencies, frames, 2], got {:?}",
            spectra.shape()
        )
    };
    ensure!(
        rate > 0.0 && rate.is_finite(),
        Value,
        "phase_vocoder: expected a positive rate, got {rate}"
    );
    if rate == 1.0 {
        return Ok(spectra.clone());
    }
    let x = packed(spectra, 3)?;
    let steps = Tensor::arange(0, count as f64, rate, x.dtype())?;
    let whole = steps.floor()?;
    let fraction = steps.sub(&whole)?;
    let first_phase = x.narrow(-2, 0, 1.min(count))?.complex_angle()?;
    // Two frames of zeros, for what is read beyond the last one.
    let x = x.pad(&[0, 0, 0, 2], Fill::Constant, 0)?;
    let at = |index: &Tensor| x.index_select(-2, &index.to_dtype(DType::I64)?);
    let (before, after) = (at(&whole)?, at(&steps.add(1)?.floor()?)?);

    let difference = after
        .complex_angle()?
        .sub(&before.complex_angle()?)?
        .sub(phase_advance)?;
    let turns = difference.div(2.0 * PI)?.round()?.mul(2.0 * PI)?;
    let phase = difference.sub(&turns)?.add(phase_advance)?;
    let moved = phase.narrow(-1, 0, steps.numel().saturating_sub(1))?;
    let phase = Tensor::cat(&[&first_phase, &moved], -1)?.cumsum(-1)?;
    let magnitude = fraction
        .mul(&after.complex_abs()?)?
        .add(&fraction.rsub(1)?.mul(&before.complex_abs()?)?)?;
    unpacked(&polar(&magnitude, &phase)?, spectra.shape(), 3)
}

/// Options of [`pitch_shift`]; the defaults are torchaudio's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PitchShiftOptions {
    /// Steps of an octave.
    pub bins_per_octave: usize,
    /// Samples of a transform.
    pub n_fft: usize,
    /// The window's length in samples; `n_fft` by default.
    pub win_length: Option<usize>,
    /// Samples between the beginnings of frames; a quarter of `n_fft` by default.
    pub hop_length: Option<usize>,
}

impl Default for PitchShiftOptions {
    fn default() -> Self {
        PitchShiftOptions {
            bins_per_octave: 12,
            n_fft: 512,
            win_length: None,
            hop_length: None,
        }
    }
}

/// The waveform `n_steps` higher, as long as before. Without a window, Hann's is used.
///
/// # Shapes
/// `[…, time] → […, time]`.
///
/// # Errors
/// `Shape` if the waveform is too short; `Value` for lengths of 0.
pub fn pitch_shift(
    waveform: &Tensor,
    sample_rate: usize,
    n_steps: i64,
    window: Option<&Tensor>,
    options: &PitchShiftOptions,
) -> Result<Tensor> {
    let length = time("pitch_shift", waveform)?;
    ensure!(
        options.bins_per_octave > 0 && sample_rate > 0,
        Value,
        "pitch_shift: expected a positive sample rate and bins_per_octave, got {sample_rate} and {}",
        options.bins_per_octave
    );
    let win_length = options.win_length.unwrap_or(options.n_fft);
    let hop = options.hop_length.unwrap_or(options.n_fft / 4);
    let default = hann(win_length, false, waveform.dtype())?;
    let stft_options = StftOptions {
        hop_length: Some(hop),
        win_length: Some(win_length),
        window: Some(window.unwrap_or(&default)),
        onesided: Some(true),
        ..StftOptions::new(options.n_fft)
    };
    let rate = 2f64.powf(-(n_steps as f64) / options.bins_per_octave as f64);
    let spectra = stft(&packed(waveform, 1)?, &stft_options).map_err(|error| error.context("pitch_shift"))?;
    let bins = options.n_fft / 2 + 1;
    let advance = Tensor::linspace(0, PI * hop as f64, bins, spectra.dtype())?.unsqueeze(-1)?;
    let stretched = phase_vocoder(&spectra, rate, &advance)?;
    let stretched_length = (length as f64 / rate).round_ties_even() as usize;
    let stretched = istft(&stretched, &stft_options, Some(stretched_length))
        .map_err(|error| error.context("pitch_shift"))?;
    let shifted = resample(
        &stretched,
        (sample_rate as f64 / rate) as usize,
        sample_rate,
        &ResampleOptions::default(),
    )?;
    let got = shifted.size(-1)?;
    let fitted = if got > length {
        shifted.narrow(-1, 0, length)?
    } else {
        shifted.pad(&[0, (length - got) as isize], Fill::Constant, 0)?
    };
    unpacked(&fitted, waveform.shape(), 1)
}
