//! Spectrograms and their inverses, with Hann's window unless another one is given.

use flambeau_nn::{Buffer, Forward, Module, observed};
use flambeau_tensor::ops::windows::hann;
use flambeau_tensor::{DType, Result, Tensor};

use crate::functional::{
    GriffinLimOptions, SpectrogramOptions, griffinlim, inverse_spectrogram, spectral_centroid, spectrogram,
};

/// Hann's window, `float32`.
pub(super) fn default_window(length: usize) -> Result<Tensor> {
    hann(length, false, DType::F32)
}

/// [`spectrogram`](crate::functional::spectrogram) with these options.
///
/// # Shapes
/// `[…, time] → […, frequencies, frames]`.
#[derive(Clone, Debug, Module)]
pub struct Spectrogram {
    /// `[win_length]`.
    pub window: Buffer,
    #[module(skip)]
    options: SpectrogramOptions,
}

impl Spectrogram {
    /// With Hann's window.
    ///
    /// # Errors
    /// None on a machine with memory for the window.
    pub fn new(options: SpectrogramOptions) -> Result<Spectrogram> {
        Ok(Self::with_window(
            default_window(options.window_length())?,
            options,
        ))
    }

    /// With a window of `win_length` samples.
    pub fn with_window(window: Tensor, options: SpectrogramOptions) -> Spectrogram {
        Spectrogram {
            window: Buffer::new(window),
            options,
        }
    }

    /// The options.
    pub fn options(&self) -> &SpectrogramOptions {
        &self.options
    }
}

impl Forward for Spectrogram {
    #[observed]
    fn forward(&self, waveform: &Tensor) -> Result<Tensor> {
        spectrogram(waveform, &self.window, &self.options)
    }
}

/// [`inverse_spectrogram`](crate::functional::inverse_spectrogram) with these options.
///
/// # Shapes
/// `[…, frequencies, frames, 2] → […, time]`.
#[derive(Clone, Debug, Module)]
pub struct InverseSpectrogram {
    /// `[win_length]`.
    pub window: Buffer,
    #[module(skip)]
    options: SpectrogramOptions,
}

impl InverseSpectrogram {
    /// With Hann's window.
    ///
    /// # Errors
    /// None on a machine with memory for the window.
    pub fn new(options: SpectrogramOptions) -> Result<InverseSpectrogram> {
        Ok(InverseSpectrogram {
            window: Buffer::new(default_window(options.window_length())?),
            options,
        })
    }

    /// The waveform, of a given length if it is known.
    ///
    /// # Errors
    /// As [`inverse_spectrogram`](crate::functional::inverse_spectrogram).
    #[observed]
    pub fn forward(&self, spectra: &Tensor, length: Option<usize>) -> Result<Tensor> {
        inverse_spectrogram(spectra, length, &self.window, &self.options)
    }
}

/// [`griffinlim`](crate::functional::griffinlim) with these options.
///
/// # Shapes
/// `[…, frequencies, frames] → […, time]`.
#[derive(Clone, Debug, Module)]
pub struct GriffinLim {
    /// `[win_length]`.
    pub window: Buffer,
    #[module(skip)]
    options: GriffinLimOptions,
}

impl GriffinLim {
    /// With Hann's window.
    ///
    /// # Errors
    /// None on a machine with memory for the window.
    pub fn new(options: GriffinLimOptions) -> Result<GriffinLim> {
        let length = options.win_length.unwrap_or(options.n_fft);
        Ok(GriffinLim {
            window: Buffer::new(default_window(length)?),
            options,
        })
    }
}

impl Forward for GriffinLim {
    #[observed]
    fn forward(&self, specgram: &Tensor) -> Result<Tensor> {
        griffinlim(specgram, &self.window, &self.options)
    }
}

/// [`spectral_centroid`](crate::functional::spectral_centroid) with these options.
///
/// # Shapes
/// `[…, time] → […, frames]`.
#[derive(Clone, Debug, Module)]
pub struct SpectralCentroid {
    /// `[win_length]`.
    pub window: Buffer,
    #[module(skip)]
    sample_rate: usize,
    #[module(skip)]
    options: SpectrogramOptions,
}

impl SpectralCentroid {
    /// With Hann's window.
    ///
    /// # Errors
    /// None on a machine with memory for the window.
    pub fn new(sample_rate: usize, options: SpectrogramOptions) -> Result<SpectralCentroid> {
        Ok(SpectralCentroid {
            window: Buffer::new(default_window(options.window_length())?),
            sample_rate,
            options,
        })
    }
}

impl Forward for SpectralCentroid {
    #[observed]
    fn forward(&self, waveform: &Tensor) -> Result<Tensor> {
        spectral_centroid(waveform, self.sample_rate, &self.window, &self.options)
    }
}
