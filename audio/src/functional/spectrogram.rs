//! Spectrograms: `|STFT(x)|^power` (`torchaudio.functional.spectrogram`), their inverse, and the centroid of each frame.

use flambeau_tensor::ops::pad::PadMode as Fill;
use flambeau_tensor::ops::stft::{PadMode, StftOptions, istft, stft};
use flambeau_tensor::{Result, Tensor, bail, ensure};

use super::{packed, time, unpacked};

/// What a spectrum is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalized {
    /// Nothing (`False`).
    #[default]
    No,
    /// The window's 2-norm (`True`, `"window"`).
    Window,
    /// The root of the frame's length (`"frame_length"`).
    FrameLength,
}

impl Normalized {
    /// The normalisation of torchaudio's name.
    pub fn from_name(name: &str) -> Option<Normalized> {
        match name {
            "window" => Some(Normalized::Window),
            "frame_length" => Some(Normalized::FrameLength),
            _ => None,
        }
    }
}

/// How a spectrogram is made; the defaults are those of `torchaudio.transforms.Spectrogram`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpectrogramOptions {
    /// Samples of a transform.
    pub n_fft: usize,
    /// The window's length in samples; `n_fft` by default.
    pub win_length: Option<usize>,
    /// Samples between the beginnings of frames; half the window by default.
    pub hop_length: Option<usize>,
    /// Zeros before and behind the waveform.
    pub pad: usize,
    /// The exponent of absolute values; the complex spectrum if none.
    pub power: Option<f64>,
    /// What spectra are divided by.
    pub normalized: Normalized,
    /// Whether frame t is centred at sample `t·hop_length`.
    pub center: bool,
    /// What stands beyond the ends of a centred signal.
    pub pad_mode: PadMode,
    /// Whether only the first half of each spectrum is kept.
    pub onesided: bool,
}

impl Default for SpectrogramOptions {
    fn default() -> Self {
        SpectrogramOptions {
            n_fft: 400,
            win_length: None,
            hop_length: None,
            pad: 0,
            power: Some(2.0),
            normalized: Normalized::No,
            center: true,
            pad_mode: PadMode::Reflect,
            onesided: true,
        }
    }
}

impl SpectrogramOptions {
    /// The window's length in samples.
    pub fn window_length(&self) -> usize {
        self.win_length.unwrap_or(self.n_fft)
    }

    /// Samples between the beginnings of frames.
    pub fn hop(&self) -> usize {
        self.hop_length.unwrap_or(self.window_length() / 2)
    }

    /// The transforms, as `torch.stft` takes them.
    pub(crate) fn stft<'a>(&self, window: &'a Tensor) -> StftOptions<'a> {
        StftOptions {
            n_fft: self.n_fft,
            hop_length: Some(self.hop()),
            win_length: Some(self.window_length()),
            window: Some(window),
            center: self.center,
            pad_mode: self.pad_mode,
            normalized: self.normalized == Normalized::FrameLength,
            onesided: Some(self.onesided),
        }
    }
}

/// The 2-norm of a window.
fn window_norm(window: &Tensor) -> Result<Tensor> {
    window.square()?.sum()?.sqrt()
}

/// The spectrogram of a waveform. Without a power, the last dimension is (real, imaginary).
///
/// ```
/// # use flambeau_audio::functional::{SpectrogramOptions, spectrogram};
/// # use flambeau_tensor::ops::windows::hann;
/// # use flambeau_tensor::{DType, Result, Tensor};
/// # fn main() -> Result<()> {
/// let options = SpectrogramOptions { n_fft: 128, ..Default::default() };
/// let x = Tensor::randn((2, 640), DType::F32)?;
/// let y = spectrogram(&x, &hann(128, false, DType::F32)?, &options)?;
/// assert_eq!(y.shape(), [2, 65, 11]);
/// # Ok(())
/// # }
/// ```
///
/// # Shapes
/// `[…, time] → […, frequencies, frames]` or `[…, frequencies, frames, 2]`.
///
/// # Errors
/// `Shape` if the waveform is too short, or the window has another length than the options; `Value` for lengths of 0.
pub fn spectrogram(waveform: &Tensor, window: &Tensor, options: &SpectrogramOptions) -> Result<Tensor> {
    time("spectrogram", waveform)?;
    let waveform = match options.pad as isize {
        0 => waveform.clone(),
        pad => waveform.pad(&[pad, pad], Fill::Constant, 0)?,
    };
    let spectra =
        stft(&packed(&waveform, 1)?, &options.stft(window)).map_err(|error| error.context("spectrogram"))?;
    let mut spectra = unpacked(&spectra, waveform.shape(), 1)?;
    if options.normalized == Normalized::Window {
        spectra = spectra.div(&window_norm(window)?)?;
    }
    match options.power {
        None => Ok(spectra),
        Some(1.0) => spectra.complex_abs(),
        Some(power) => {
            ensure!(
                power > 0.0,
                Value,
                "spectrogram: expected a positive power, got {power}"
            );
            spectra.complex_abs()?.pow(power)
        }
    }
}

/// The waveform whose spectra come closest to these (`torchaudio.functional.inverse_spectrogram`); `power` and `pad_mode`
/// are not used, `pad` only with a length.
///
/// # Shapes
/// `[…, frequencies, frames, 2] → […, length]`; without `length`, as many samples as the frames cover.
///
/// # Errors
/// `Shape` unless the spectra fit `n_fft`; `Value` where windows leave a sample without weight.
pub fn inverse_spectrogram(
    spectra: &Tensor,
    length: Option<usize>,
    window: &Tensor,
    options: &SpectrogramOptions,
) -> Result<Tensor> {
    let &[.., _, _, 2] = spectra.shape() else {
        bail!(
            Shape,
            "inverse_spectrogram: expected complex spectra […, frequencies, frames, 2], got {:?}",
            spectra.shape()
        )
    };
    let scaled = match options.normalized {
        Normalized::Window => spectra.mul(&window_norm(window)?)?,
        _ => spectra.clone(),
    };
    let (pad, padded) = (
        options.pad,
        length.map(|length| length.saturating_add(2 * options.pad)),
    );
    let mut waveform = istft(&packed(&scaled, 3)?, &options.stft(window), padded)
        .map_err(|error| error.context("inverse_spectrogram"))?;
    if let Some(length) = length {
        waveform = waveform.narrow(-1, pad as isize, length)?;
    }
    unpacked(&waveform, spectra.shape(), 3)
}

/// The mean frequency of each frame, in Hz, weighted by amplitude; `power` is not used.
///
/// # Shapes
/// `[…, time] → […, frames]`.
///
/// # Errors
/// As [`spectrogram`].
pub fn spectral_centroid(
    waveform: &Tensor,
    sample_rate: usize,
    window: &Tensor,
    options: &SpectrogramOptions,
) -> Result<Tensor> {
    let options = SpectrogramOptions {
        power: Some(1.0),
        ..*options
    };
    let specgram = spectrogram(waveform, window, &options)?;
    let bins = options.n_fft / 2 + 1;
    let frequencies = Tensor::linspace(0, (sample_rate / 2) as f64, bins, specgram.dtype())?.unsqueeze(-1)?;
    frequencies
        .mul(&specgram)?
        .sum_dim(-2, false)?
        .div(&specgram.sum_dim(-2, false)?)
}
