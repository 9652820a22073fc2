//! What is done to waveforms and spectrograms, as functions (`torchaudio.functional`).
//!
//! A waveform is `[…, time]`, a spectrogram `[…, frequencies, frames]`, a complex spectrogram
//! `[…, frequencies, frames, 2]`. All functions are differentiable where torchaudio's are.

mod augment;
mod biquads;
mod convolve;
mod delays;
mod deltas;
mod dither;
mod edit_distance;
mod effects;
mod fbanks;
mod forced_align;
mod griffinlim;
mod level;
mod lfilter;
mod loudness;
mod mask;
mod mu_law;
mod pitch;
mod resample;
mod rnnt;
mod sliding_window;
mod spectrogram;
mod vocoder;

pub use augment::{add_noise, speed};
pub use biquads::{
    allpass_biquad, band_biquad, bandpass_biquad, bandreject_biquad, bass_biquad, biquad, deemph_biquad,
    equalizer_biquad, highpass_biquad, lowpass_biquad, riaa_biquad, treble_biquad,
};
pub use convolve::{ConvolveMode, convolve, fftconvolve};
pub use delays::{DelayInterpolation, FlangerOptions, Modulation, PhaserOptions, flanger, phaser};
pub use deltas::compute_deltas;
pub use dither::{DensityFunction, dither};
pub use edit_distance::edit_distance;
pub use effects::{contrast, dcshift, deemphasis, gain, overdrive, preemphasis};
pub use fbanks::{MelNorm, MelOptions, MelScaleKind, create_dct, linear_fbanks, melscale_fbanks};
pub use forced_align::{TokenSpan, forced_align, merge_tokens};
pub use griffinlim::{GriffinLimOptions, griffinlim};
pub use level::{amplitude_to_db, db_to_amplitude};
pub use lfilter::{filtfilt, lfilter};
pub use loudness::loudness;
pub use mask::{MaskOptions, mask_along_axis, mask_along_axis_iid};
pub use mu_law::{mu_law_decoding, mu_law_encoding};
pub use pitch::{PitchOptions, detect_pitch_frequency};
pub(crate) use resample::{Kernel, resample_kernel, resampled};
pub use resample::{ResampleOptions, ResamplingMethod, resample};
pub use rnnt::{RnntOptions, rnnt_loss};
pub use sliding_window::{SlidingWindowOptions, sliding_window_cmn};
pub use spectrogram::{Normalized, SpectrogramOptions, inverse_spectrogram, spectral_centroid, spectrogram};
pub use vocoder::{PitchShiftOptions, phase_vocoder, pitch_shift};

use flambeau_tensor::{DType, Result, Tensor, bail, ensure};

/// The length in time of a waveform `[…, time]`.
fn time(op: &str, waveform: &Tensor) -> Result<usize> {
    match waveform.shape() {
        [.., time] => Ok(*time),
        [] => bail!(Shape, "{op}: expected a waveform […, time], got a 0-d tensor"),
    }
}

/// An error unless the tensor has floating point numbers.
fn check_float(op: &str, x: &Tensor) -> Result<()> {
    ensure!(
        x.dtype().is_float(),
        DType,
        "{op}: expected floating point numbers, got {}",
        x.dtype()
    );
    Ok(())
}

/// Frequencies and frames of a spectrogram.
fn frames(op: &str, specgram: &Tensor) -> Result<[usize; 2]> {
    match specgram.shape() {
        &[.., frequencies, frames] => Ok([frequencies, frames]),
        shape => bail!(
            Shape,
            "{op}: expected a spectrogram […, frequencies, frames], got {shape:?}"
        ),
    }
}

/// `x` with another size of the last dimension and everything before it in one.
fn packed(x: &Tensor, kept: usize) -> Result<Tensor> {
    let shape = x.shape();
    let lead: usize = shape[..shape.len() - kept].iter().product();
    let sizes: Vec<usize> = std::iter::once(lead)
        .chain(shape[shape.len() - kept..].iter().copied())
        .collect();
    x.reshape(sizes)
}

/// Undoes [`packed`]: the first dimension of `x` becomes those of `like` but the last `kept`.
fn unpacked(x: &Tensor, like: &[usize], kept: usize) -> Result<Tensor> {
    let sizes: Vec<usize> = like[..like.len() - kept]
        .iter()
        .chain(&x.shape()[1..])
        .copied()
        .collect();
    x.reshape(sizes)
}

/// 0-d tensors of numbers in the type of a waveform, as torchaudio computes the coefficients of filters.
fn scalar(x: f64, dtype: DType) -> Tensor {
    Tensor::scalar_tensor(x, dtype)
}
