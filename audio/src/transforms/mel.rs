//! Mel spectrograms: spectrograms through a bank of filters that are equally wide in mel.

use flambeau_nn::{Buffer, Forward, Module, observed};
use flambeau_tensor::ops::linalg::lstsq::LstsqDriver;
use flambeau_tensor::{Result, Tensor, bail, ensure};

use super::Spectrogram;
use crate::functional::{MelNorm, MelOptions, MelScaleKind, Normalized, SpectrogramOptions, melscale_fbanks};
use flambeau_tensor::ops::stft::PadMode;

/// `filtersᵀ · specgram`: what each filter lets through.
pub(super) fn through(specgram: &Tensor, filters: &Tensor) -> Result<Tensor> {
    let got = if specgram.rank() < 2 {
        0
    } else {
        specgram.size(-2)?
    };
    ensure!(
        got == filters.shape()[0],
        Shape,
        "expected a spectrogram […, {}, frames], got {:?}",
        filters.shape()[0],
        specgram.shape()
    );
    filters.t()?.matmul(specgram)
}

/// Spectrograms as mel spectrograms.
///
/// # Shapes
/// `[…, n_stft, frames] → […, n_mels, frames]`.
#[derive(Clone, Debug, Module)]
pub struct MelScale {
    /// The filters, `[n_stft, n_mels]`.
    pub fb: Buffer,
}

impl MelScale {
    /// The filters for spectra of `n_stft` frequencies.
    ///
    /// # Errors
    /// `Value` unless `0 ≤ f_min ≤ f_max`.
    pub fn new(n_stft: usize, options: &MelOptions) -> Result<MelScale> {
        Ok(MelScale {
            fb: Buffer::new(melscale_fbanks(n_stft, options)?),
        })
    }
}

impl Forward for MelScale {
    #[observed]
    fn forward(&self, specgram: &Tensor) -> Result<Tensor> {
        through(specgram, &self.fb).map_err(|error| error.context("MelScale"))
    }
}

/// Spectrograms that mel spectrograms may have come from, by least squares.
///
/// # Shapes
/// `[…, n_mels, frames] → […, n_stft, frames]`.
#[derive(Clone, Debug, Module)]
pub struct InverseMelScale {
    /// The filters, `[n_stft, n_mels]`.
    pub fb: Buffer,
}

impl InverseMelScale {
    /// The filters for spectra of `n_stft` frequencies.
    ///
    /// # Errors
    /// `Value` unless `0 ≤ f_min ≤ f_max`.
    pub fn new(n_stft: usize, options: &MelOptions) -> Result<InverseMelScale> {
        Ok(InverseMelScale {
            fb: Buffer::new(melscale_fbanks(n_stft, options)?),
        })
    }
}

impl Forward for InverseMelScale {
    #[observed]
    fn forward(&self, melspec: &Tensor) -> Result<Tensor> {
        let &[n_stft, n_mels] = self.fb.shape() else {
            bail!(Shape, "InverseMelScale: expected filters [n_stft, n_mels]")
        };
        let &[ref lead @ .., got, frames] = melspec.shape() else {
            bail!(
                Shape,
                "InverseMelScale: expected […, {n_mels}, frames], got {:?}",
                melspec.shape()
            )
        };
        ensure!(
            got == n_mels,
            Shape,
            "InverseMelScale: expected […, {n_mels}, frames], got {:?}",
            melspec.shape()
        );
        let sounds: usize = lead.iter().product();
        let packed = melspec.reshape((sounds, n_mels, frames))?;
        let filters = self.fb.t()?.expand((sounds, n_mels, n_stft))?;
        let solution = filters.lstsq(&packed, None, LstsqDriver::Gels)?.solution;
        let mut shape = lead.to_vec();
        shape.extend([n_stft, frames]);
        solution.relu()?.reshape(shape)
    }
}

/// Options of [`MelSpectrogram`]; the defaults are torchaudio's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MelSpectrogramOptions {
    /// Samples a second.
    pub sample_rate: usize,
    /// Samples of a transform.
    pub n_fft: usize,
    /// The window's length in samples; `n_fft` by default.
    pub win_length: Option<usize>,
    /// Samples between the beginnings of frames; half the window by default.
    pub hop_length: Option<usize>,
    /// The lowest frequency, in Hz.
    pub f_min: f64,
    /// The highest frequency, in Hz; half the sample rate by default.
    pub f_max: Option<f64>,
    /// Zeros before and behind the waveform.
    pub pad: usize,
    /// How many filters there are.
    pub n_mels: usize,
    /// The exponent of absolute values.
    pub power: f64,
    /// What spectra are divided by.
    pub normalized: Normalized,
    /// Whether frame t is centred at sample `t·hop_length`.
    pub center: bool,
    /// What stands beyond the ends of a centred signal.
    pub pad_mode: PadMode,
    /// How filters are scaled: to a height of 1 by default.
    pub norm: Option<MelNorm>,
    /// The scale's formula.
    pub mel_scale: MelScaleKind,
}

impl Default for MelSpectrogramOptions {
    fn default() -> Self {
        MelSpectrogramOptions {
            sample_rate: 16000,
            n_fft: 400,
            win_length: None,
            hop_length: None,
            f_min: 0.0,
            f_max: None,
            pad: 0,
            n_mels: 128,
            power: 2.0,
            normalized: Normalized::No,
            center: true,
            pad_mode: PadMode::Reflect,
            norm: None,
            mel_scale: MelScaleKind::Htk,
        }
    }
}

/// Mel spectrograms of waveforms.
///
/// ```
/// # use flambeau_audio::transforms::{MelSpectrogram, MelSpectrogramOptions};
/// # use flambeau_nn::Forward;
/// # use flambeau_tensor::{DType, Result, Tensor};
/// # fn main() -> Result<()> {
/// let mel = MelSpectrogram::new(MelSpectrogramOptions { n_mels: 40, ..Default::default() })?;
/// let second = Tensor::randn((1, 16000), DType::F32)?;
/// assert_eq!(mel.forward(&second)?.shape(), [1, 40, 81]);
/// # Ok(())
/// # }
/// ```
///
/// # Shapes
/// `[…, time] → […, n_mels, frames]`.
#[derive(Clone, Debug, Module)]
pub struct MelSpectrogram {
    /// Makes the spectrogram.
    pub spectrogram: Spectrogram,
    /// Filters it.
    pub mel_scale: MelScale,
}

impl MelSpectrogram {
    /// With Hann's window.
    ///
    /// # Errors
    /// `Value` unless `0 ≤ f_min ≤ f_max`.
    pub fn new(o: MelSpectrogramOptions) -> Result<MelSpectrogram> {
        let spectrogram = Spectrogram::new(SpectrogramOptions {
            n_fft: o.n_fft,
            win_length: o.win_length,
            hop_length: o.hop_length,
            pad: o.pad,
            power: Some(o.power),
            normalized: o.normalized,
            center: o.center,
            pad_mode: o.pad_mode,
            onesided: true,
        })?;
        let mel = MelOptions {
            n_mels: o.n_mels,
            sample_rate: o.sample_rate,
            f_min: o.f_min,
            f_max: o.f_max,
            norm: o.norm,
            mel_scale: o.mel_scale,
        };
        Ok(MelSpectrogram {
            spectrogram,
            mel_scale: MelScale::new(o.n_fft / 2 + 1, &mel)?,
        })
    }
}

impl Forward for MelSpectrogram {
    #[observed]
    fn forward(&self, waveform: &Tensor) -> Result<Tensor> {
        self.mel_scale.forward(&self.spectrogram.forward(waveform)?)
    }
}
