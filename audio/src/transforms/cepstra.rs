//! Cepstral coefficients: cosine transforms of the logarithms of what mel filters (MFCC) or linear ones (LFCC) let through.

use flambeau_nn::{Buffer, Forward, Module, observed};
use flambeau_tensor::{Result, Tensor, ensure};

use super::mel::through;
use super::{AmplitudeToDB, MelSpectrogram, MelSpectrogramOptions, Scale, Spectrogram};
use crate::functional::{SpectrogramOptions, create_dct, linear_fbanks};

/// Added to what the logarithm is taken of.
const LOG_OFFSET: f64 = 1e-6;

/// Logarithms: natural ones, or decibels of which the quietest are raised.
fn compressed(x: &Tensor, log: bool, decibels: &AmplitudeToDB) -> Result<Tensor> {
    if log {
        x.add(LOG_OFFSET)?.log()
    } else {
        decibels.forward(x)
    }
}

/// Options of [`MFCC`]; the defaults are torchaudio's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MfccOptions {
    /// How many coefficients are kept.
    pub n_mfcc: usize,
    /// Whether the transform is orthonormal (`norm="ortho"`).
    pub ortho: bool,
    /// Whether logarithms are natural ones; otherwise, decibels.
    pub log_mels: bool,
    /// The mel spectrogram, with the sample rate.
    pub mel: MelSpectrogramOptions,
}

impl Default for MfccOptions {
    fn default() -> Self {
        MfccOptions {
            n_mfcc: 40,
            ortho: true,
            log_mels: false,
            mel: MelSpectrogramOptions::default(),
        }
    }
}

/// Mel-frequency cepstral coefficients.
///
/// # Shapes
/// `[…, time] → […, n_mfcc, frames]`.
#[derive(Clone, Debug, Module)]
pub struct MFCC {
    /// The cosines, `[n_mels, n_mfcc]`.
    pub dct_mat: Buffer,
    #[module(rename = "amplitude_to_DB")]
    decibels: AmplitudeToDB,
    /// Makes the mel spectrogram.
    #[module(rename = "MelSpectrogram")]
    pub mel_spectrogram: MelSpectrogram,
    #[module(skip)]
    log_mels: bool,
}

impl MFCC {
    /// With Hann's window.
    ///
    /// # Errors
    /// `Value` for more coefficients than filters.
    pub fn new(options: MfccOptions) -> Result<MFCC> {
        ensure!(
            options.n_mfcc <= options.mel.n_mels,
            Value,
            "MFCC: expected at most {} coefficients, as there are filters, got {}",
            options.mel.n_mels,
            options.n_mfcc
        );
        Ok(MFCC {
            dct_mat: Buffer::new(create_dct(options.n_mfcc, options.mel.n_mels, options.ortho)?),
            decibels: AmplitudeToDB::new(Scale::Power, Some(80.0))?,
            mel_spectrogram: MelSpectrogram::new(options.mel)?,
            log_mels: options.log_mels,
        })
    }
}

impl Forward for MFCC {
    #[observed]
    fn forward(&self, waveform: &Tensor) -> Result<Tensor> {
        let mel = self.mel_spectrogram.forward(waveform)?;
        through(&compressed(&mel, self.log_mels, &self.decibels)?, &self.dct_mat)
    }
}

/// Options of [`LFCC`]; the defaults are torchaudio's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LfccOptions {
    /// Samples a second.
    pub sample_rate: usize,
    /// How many filters there are.
    pub n_filter: usize,
    /// The lowest frequency, in Hz.
    pub f_min: f64,
    /// The highest frequency, in Hz; half the sample rate by default.
    pub f_max: Option<f64>,
    /// How many coefficients are kept.
    pub n_lfcc: usize,
    /// Whether the transform is orthonormal (`norm="ortho"`).
    pub ortho: bool,
    /// Whether logarithms are natural ones; otherwise, decibels.
    pub log_lf: bool,
    /// The spectrogram.
    pub spectrogram: SpectrogramOptions,
}

impl Default for LfccOptions {
    fn default() -> Self {
        LfccOptions {
            sample_rate: 16000,
            n_filter: 128,
            f_min: 0.0,
            f_max: None,
            n_lfcc: 40,
            ortho: true,
            log_lf: false,
            spectrogram: SpectrogramOptions::default(),
        }
    }
}

/// Linear-frequency cepstral coefficients.
///
/// # Shapes
/// `[…, time] → […, n_lfcc, frames]`.
#[derive(Clone, Debug, Module)]
pub struct LFCC {
    /// The filters, `[frequencies, n_filter]`.
    pub filter_mat: Buffer,
    /// The cosines, `[n_filter, n_lfcc]`.
    pub dct_mat: Buffer,
    #[module(rename = "amplitude_to_DB")]
    decibels: AmplitudeToDB,
    /// Makes the spectrogram.
    #[module(rename = "Spectrogram")]
    pub spectrogram: Spectrogram,
    #[module(skip)]
    log_lf: bool,
}

impl LFCC {
    /// With Hann's window.
    ///
    /// # Errors
    /// `Value` for more coefficients than samples of a transform, or a complex spectrogram.
    pub fn new(o: LfccOptions) -> Result<LFCC> {
        let n_fft = o.spectrogram.n_fft;
        ensure!(
            o.n_lfcc <= n_fft && o.spectrogram.power.is_some(),
            Value,
            "LFCC: expected at most {n_fft} coefficients of a spectrogram with a power, got {}",
            o.n_lfcc
        );
        let f_max = o.f_max.unwrap_or((o.sample_rate / 2) as f64);
        let filters = linear_fbanks(n_fft / 2 + 1, o.f_min, f_max, o.n_filter, o.sample_rate)?;
        Ok(LFCC {
            filter_mat: Buffer::new(filters),
            dct_mat: Buffer::new(create_dct(o.n_lfcc, o.n_filter, o.ortho)?),
            decibels: AmplitudeToDB::new(Scale::Power, Some(80.0))?,
            spectrogram: Spectrogram::new(o.spectrogram)?,
            log_lf: o.log_lf,
        })
    }
}

impl Forward for LFCC {
    #[observed]
    fn forward(&self, waveform: &Tensor) -> Result<Tensor> {
        let filtered = through(&self.spectrogram.forward(waveform)?, &self.filter_mat)?;
        through(
            &compressed(&filtered, self.log_lf, &self.decibels)?,
            &self.dct_mat,
        )
    }
}
