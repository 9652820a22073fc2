//! Waveforms of spectrograms without phases: "Signal estimation from modified short-time Fourier transform" (Griffin & Lim,
//! 1984) with the momentum of "A fast Griffin-Lim algorithm" (Perraudin et al., 2013).

use flambeau_tensor::ops::complex::from_real;
use flambeau_tensor::ops::stft::{StftOptions, istft, stft};
use flambeau_tensor::{Result, Tensor, ensure};

use super::{frames, packed, unpacked};

/// Options of [`griffinlim`]; the defaults are those of `torchaudio.transforms.GriffinLim`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GriffinLimOptions {
    /// Samples of a transform.
    pub n_fft: usize,
    /// How often phases are improved.
    pub n_iter: usize,
    /// The window's length in samples; `n_fft` by default.
    pub win_length: Option<usize>,
    /// Samples between the beginnings of frames; half the window by default.
    pub hop_length: Option<usize>,
    /// The exponent that the spectrogram was made with.
    pub power: f64,
    /// How much of the last step each step goes on with; 0 is the original algorithm.
    pub momentum: f64,
    /// The waveform's length in samples.
    pub length: Option<usize>,
    /// Whether phases begin at random; otherwise, at 0.
    pub rand_init: bool,
}

impl Default for GriffinLimOptions {
    fn default() -> Self {
        GriffinLimOptions {
            n_fft: 400,
            n_iter: 32,
            win_length: None,
            hop_length: None,
            power: 2.0,
            momentum: 0.99,
            length: None,
            rand_init: true,
        }
    }
}

/// A waveform whose spectrogram comes close to the given one.
///
/// # Shapes
/// `[…, n_fft/2 + 1, frames] → […, length]`; without `length`, as many samples as the frames cover.
///
/// # Errors
/// `Shape` unless the spectrogram fits `n_fft`; `Value` unless `momentum` is in `[0, 1)`.
pub fn griffinlim(specgram: &Tensor, window: &Tensor, options: &GriffinLimOptions) -> Result<Tensor> {
    frames("griffinlim", specgram)?;
    ensure!(
        (0.0..1.0).contains(&options.momentum),
        Value,
        "griffinlim: momentum must be in [0, 1), got {}",
        options.momentum
    );
    let momentum = options.momentum / (1.0 + options.momentum);
    let win_length = options.win_length.unwrap_or(options.n_fft);
    let stft_options = StftOptions {
        hop_length: Some(options.hop_length.unwrap_or(win_length / 2)),
        win_length: Some(win_length),
        window: Some(window),
        onesided: Some(true),
        ..StftOptions::new(options.n_fft)
    };
    let amplitudes = packed(specgram, 2)?.pow(1.0 / options.power)?.unsqueeze(-1)?;
    let mut shape = amplitudes.shape().to_vec();
    if let Some(pair) = shape.last_mut() {
        *pair = 2;
    }
    // torch.rand of complex numbers draws the real and the imaginary part of each in turn.
    let mut phases = if options.rand_init {
        Tensor::rand(shape, specgram.dtype())?
    } else {
        from_real(&amplitudes.squeeze_dim(-1)?.ones_like()?)?
    };
    let mut last: Option<Tensor> = None;
    for _ in 0..options.n_iter {
        let waveform = istft(&amplitudes.mul(&phases)?, &stft_options, options.length)
            .map_err(|error| error.context("griffinlim"))?;
        let rebuilt = stft(&waveform, &stft_options).map_err(|error| error.context("griffinlim"))?;
        let moved = match &last {
            Some(last) if momentum > 0.0 => rebuilt.sub(&last.mul(momentum)?)?,
            _ => rebuilt.clone(),
        };
        phases = moved.div(&moved.complex_abs()?.add(1e-16)?.unsqueeze(-1)?)?;
        last = Some(rebuilt);
    }
    let waveform = istft(&amplitudes.mul(&phases)?, &stft_options, options.length)
        .map_err(|error| error.context("griffinlim"))?;
    unpacked(&waveform, specgram.shape(), 2)
}
