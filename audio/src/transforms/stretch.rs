//! Longer or shorter at the same pitch, and higher or lower at the same length.

use std::f64::consts::PI;

use flambeau_nn::{Buffer, Forward, Module, observed};
use flambeau_tensor::{DType, Result, Tensor};

use super::spectrogram::default_window;
use crate::functional::{PitchShiftOptions, phase_vocoder, pitch_shift};

/// Spectra at another speed.
///
/// # Shapes
/// `[…, n_freq, frames, 2] → […, n_freq, ⌈frames/rate⌉, 2]`.
#[derive(Clone, Debug, Module)]
pub struct TimeStretch {
    /// `[n_freq, 1]`.
    pub phase_advance: Buffer,
}

impl TimeStretch {
    /// For spectra of `n_freq` frequencies, frames of which are `hop_length` samples apart, by default `n_freq - 1`.
    ///
    /// # Errors
    /// None on a machine with memory for the phases.
    pub fn new(hop_length: Option<usize>, n_freq: usize) -> Result<TimeStretch> {
        let hop = hop_length.unwrap_or(n_freq.saturating_sub(1));
        let phases = Tensor::linspace(0, PI * hop as f64, n_freq, DType::F32)?;
        Ok(TimeStretch {
            phase_advance: Buffer::new(phases.unsqueeze(-1)?),
        })
    }

    /// The spectra `rate` times as fast.
    ///
    /// # Errors
    /// As [`phase_vocoder`](crate::functional::phase_vocoder).
    #[observed]
    pub fn forward(&self, spectra: &Tensor, rate: f64) -> Result<Tensor> {
        phase_vocoder(spectra, rate, &self.phase_advance)
    }
}

/// Waveforms at another pitch.
///
/// # Shapes
/// `[…, time] → […, time]`.
#[derive(Clone, Debug, Module)]
pub struct PitchShift {
    /// `[win_length]`.
    pub window: Buffer,
    #[module(skip)]
    sample_rate: usize,
    #[module(skip)]
    n_steps: i64,
    #[module(skip)]
    options: PitchShiftOptions,
}

impl PitchShift {
    /// `n_steps` higher, with Hann's window.
    ///
    /// # Errors
    /// None on a machine with memory for the window.
    pub fn new(sample_rate: usize, n_steps: i64, options: PitchShiftOptions) -> Result<PitchShift> {
        let length = options.win_length.unwrap_or(options.n_fft);
        Ok(PitchShift {
            window: Buffer::new(default_window(length)?),
            sample_rate,
            n_steps,
            options,
        })
    }
}

impl Forward for PitchShift {
    #[observed]
    fn forward(&self, waveform: &Tensor) -> Result<Tensor> {
        pitch_shift(
            waveform,
            self.sample_rate,
            self.n_steps,
            Some(&self.window),
            &self.options,
        )
    }
}
