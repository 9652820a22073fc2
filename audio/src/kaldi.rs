//! Features as Kaldi computes them (`torchaudio.compliance.kaldi`): spectrograms, logarithms of mel energies, and MFCCs.

use std::f64::consts::PI;

use flambeau_tensor::ops::fft::{Norm, rfft};
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::ops::windows;
use flambeau_tensor::{DType, Result, Tensor, bail, ensure};

use crate::functional::create_dct;

/// What is under a logarithm is at least this: float32's smallest step at 1.
const EPSILON: f64 = f32::EPSILON as f64;

/// A frame's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WindowType {
    /// A raised cosine with ends of 0.08.
    Hamming,
    /// A raised cosine.
    Hanning,
    /// Hann's window to the power of 0.85.
    #[default]
    Povey,
    /// Ones.
    Rectangular,
    /// Blackman's window with the options' coefficient.
    Blackman,
}

impl WindowType {
    /// The window of torchaudio's name.
    pub fn from_name(name: &str) -> Option<WindowType> {
        match name {
            "hamming" => Some(WindowType::Hamming),
            "hanning" => Some(WindowType::Hanning),
            "povey" => Some(WindowType::Povey),
            "rectangular" => Some(WindowType::Rectangular),
            "blackman" => Some(WindowType::Blackman),
            _ => None,
        }
    }

    fn window(self, size: usize, blackman_coeff: f64, dtype: DType) -> Result<Tensor> {
        match self {
            WindowType::Hanning => windows::hann(size, true, dtype),
            WindowType::Hamming => windows::hamming(size, true, dtype),
            WindowType::Povey => windows::hann(size, true, dtype)?.pow(0.85),
            WindowType::Rectangular => Tensor::ones(size, dtype),
            WindowType::Blackman => {
                let step = 2.0 * PI / (size as f64 - 1.0);
                let value = |i: usize| {
                    let angle = step * i as f64;
                    blackman_coeff - 0.5 * angle.cos() + (0.5 - blackman_coeff) * (2.0 * angle).cos()
                };
                Tensor::from_vec((0..size).map(value).collect::<Vec<f64>>(), size)?.to_dtype(dtype)
            }
        }
    }
}

/// How a waveform is cut into frames; the defaults are Kaldi's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameOptions {
    /// The coefficient of Blackman's window.
    pub blackman_coeff: f64,
    /// The channel that is used.
    pub channel: usize,
    /// The standard deviation of noise that is added, against logarithms of zero.
    pub dither: f64,
    /// The least energy.
    pub energy_floor: f64,
    /// A frame's duration in milliseconds.
    pub frame_length: f64,
    /// From frame to frame, in milliseconds.
    pub frame_shift: f64,
    /// Shorter waveforms give no frames, in seconds.
    pub min_duration: f64,
    /// The emphasis of high frequencies, from 0 to 1.
    pub preemphasis_coefficient: f64,
    /// Whether energies are computed before emphasis and window.
    pub raw_energy: bool,
    /// Whether each frame's mean is subtracted.
    pub remove_dc_offset: bool,
    /// Whether frames are filled up to a power of 2.
    pub round_to_power_of_two: bool,
    /// Samples a second.
    pub sample_frequency: f64,
    /// Whether frames lie within the waveform; otherwise it is mirrored at its ends.
    pub snip_edges: bool,
    /// Whether the mean over frames is subtracted from each feature.
    pub subtract_mean: bool,
    /// The window.
    pub window_type: WindowType,
}

impl Default for FrameOptions {
    fn default() -> Self {
        FrameOptions {
            blackman_coeff: 0.42,
            channel: 0,
            dither: 0.0,
            energy_floor: 1.0,
            frame_length: 25.0,
            frame_shift: 10.0,
            min_duration: 0.0,
            preemphasis_coefficient: 0.97,
            raw_energy: true,
            remove_dc_offset: true,
            round_to_power_of_two: true,
            sample_frequency: 16000.0,
            snip_edges: true,
            subtract_mean: false,
            window_type: WindowType::Povey,
        }
    }
}

/// The mel filters of [`fbank`]; the defaults are Kaldi's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MelBankOptions {
    /// The highest frequency in Hz; up to 0, it counts from half the sample rate.
    pub high_freq: f64,
    /// The lowest frequency in Hz.
    pub low_freq: f64,
    /// How many filters there are.
    pub num_mel_bins: usize,
    /// Above this, frequencies are not warped, in Hz; below 0, it counts from half the sample rate.
    pub vtln_high: f64,
    /// Below this, frequencies are not warped, in Hz.
    pub vtln_low: f64,
    /// By how much the length of a vocal tract differs (vocal tract length normalisation).
    pub vtln_warp: f64,
}

impl Default for MelBankOptions {
    fn default() -> Self {
        MelBankOptions {
            high_freq: 0.0,
            low_freq: 20.0,
            num_mel_bins: 23,
            vtln_high: -500.0,
            vtln_low: 100.0,
            vtln_warp: 1.0,
        }
    }
}

/// Options of [`fbank`]; the defaults are Kaldi's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FbankOptions {
    /// How the waveform is cut.
    pub frames: FrameOptions,
    /// The filters.
    pub mel: MelBankOptions,
    /// Whether the energy stands last.
    pub htk_compat: bool,
    /// Whether a frame's energy is a feature, too.
    pub use_energy: bool,
    /// Whether energies are logarithms.
    pub use_log_fbank: bool,
    /// Whether filters see squared amplitudes.
    pub use_power: bool,
}

impl Default for FbankOptions {
    fn default() -> Self {
        FbankOptions {
            frames: FrameOptions::default(),
            mel: MelBankOptions::default(),
            htk_compat: false,
            use_energy: false,
            use_log_fbank: true,
            use_power: true,
        }
    }
}

/// Options of [`mfcc`]; the defaults are Kaldi's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MfccOptions {
    /// How the waveform is cut.
    pub frames: FrameOptions,
    /// The filters.
    pub mel: MelBankOptions,
    /// How strongly higher coefficients are scaled up.
    pub cepstral_lifter: f64,
    /// Whether the energy stands last.
    pub htk_compat: bool,
    /// How many coefficients are kept.
    pub num_ceps: usize,
    /// Whether a frame's energy is the first coefficient.
    pub use_energy: bool,
}

impl Default for MfccOptions {
    fn default() -> Self {
        MfccOptions {
            frames: FrameOptions::default(),
            mel: MelBankOptions::default(),
            cepstral_lifter: 22.0,
            htk_compat: false,
            num_ceps: 13,
            use_energy: false,
        }
    }
}

/// Frames with their window, and the logarithm of each one's energy.
struct Frames {
    /// `[frames, padded]`.
    windowed: Tensor,
    /// `[frames]`.
    log_energy: Tensor,
}

/// The waveform's frames; none if it is shorter than `min_duration`.
fn cut(op: &str, waveform: &Tensor, o: &FrameOptions) -> Result<Option<Frames>> {
    let &[channels, time] = waveform.shape() else {
        bail!(
            Shape,
            "{op}: expected a waveform [channels, time], got {:?}",
            waveform.shape()
        )
    };
    ensure!(
        waveform.dtype().is_float(),
        DType,
        "{op}: expected floating point numbers, got {}",
        waveform.dtype()
    );
    ensure!(
        o.channel < channels,
        Index,
        "{op}: channel {} of {channels}",
        o.channel
    );
    let samples = |milliseconds: f64| (o.sample_frequency * milliseconds * 0.001) as usize;
    let (size, shift) = (samples(o.frame_length), samples(o.frame_shift));
    if (time as f64) < o.min_duration * o.sample_frequency {
        return Ok(None);
    }
    ensure!(
        (2..=time).contains(&size) && shift > 0,
        Value,
        "{op}: expected frames of 2 to {time} samples, some apart, got {size}, {shift} apart"
    );
    ensure!(
        (0.0..=1.0).contains(&o.preemphasis_coefficient),
        Value,
        "{op}: expected a preemphasis_coefficient from 0 to 1, got {}",
        o.preemphasis_coefficient
    );
    let padded = if o.round_to_power_of_two {
        size.next_power_of_two()
    } else {
        size
    };
    ensure!(
        padded.is_multiple_of(2),
        Value,
        "{op}: expected frames of an even number of samples, got {padded}"
    );
    let signal = waveform.select(0, o.channel as isize)?;
    let mut x = if o.snip_edges {
        signal.unfold(0, size, shift)?
    } else {
        mirrored(&signal, size, shift)?
    };
    if o.dither != 0.0 {
        x = x.add(&x.randn_like()?.mul(o.dither)?)?;
    }
    if o.remove_dc_offset {
        x = x.sub(&x.mean_dim(1, true)?)?;
    }
    let raw_energy = o.raw_energy.then(|| log_energy(&x, o.energy_floor)).transpose()?;
    if o.preemphasis_coefficient != 0.0 {
        let before = Tensor::cat(&[&x.narrow(1, 0, 1)?, &x.narrow(1, 0, size - 1)?], 1)?;
        x = x.sub(&before.mul(o.preemphasis_coefficient)?)?;
    }
    x = x.mul(&o.window_type.window(size, o.blackman_coeff, x.dtype())?)?;
    if padded > size {
        x = x.pad(&[0, (padded - size) as isize], PadMode::Constant, 0)?;
    }
    let log_energy = match raw_energy {
        Some(energy) => energy,
        None => log_energy(&x, o.energy_floor)?,
    };
    Ok(Some(Frames {
        windowed: x,
        log_energy,
    }))
}

/// Frames around every `shift`-th sample, of a signal that is mirrored at its ends.
fn mirrored(signal: &Tensor, size: usize, shift: usize) -> Result<Tensor> {
    let time = signal.size(0)?;
    let count = (time + shift / 2) / shift;
    let pad = (size / 2) as isize - (shift / 2) as isize;
    let backwards = signal.flip(0)?;
    let extended = if pad > 0 {
        let before = backwards.narrow(0, time as isize - pad, pad as usize)?;
        Tensor::cat(&[&before, signal, &backwards], 0)?
    } else {
        let skipped = pad.unsigned_abs();
        Tensor::cat(
            &[&signal.narrow(0, skipped as isize, time - skipped)?, &backwards],
            0,
        )?
    };
    extended.unfold(0, size, shift)?.narrow(0, 0, count)
}

fn log_energy(x: &Tensor, floor: f64) -> Result<Tensor> {
    let energy = x.square()?.sum_dim(1, false)?.clamp_min(EPSILON)?.log()?;
    if floor == 0.0 {
        return Ok(energy);
    }
    energy.clamp_min(floor.ln())
}

fn without_mean(x: Tensor, subtract: bool) -> Result<Tensor> {
    if subtract {
        return x.sub(&x.mean_dim(0, true)?);
    }
    Ok(x)
}

/// The logarithms of powers; the first of each frame is its energy's.
///
/// # Shapes
/// `[channels, time] → [frames, padded/2 + 1]`.
///
/// # Errors
/// `Shape` unless the waveform has channels and time; `Value` for options that make no sense.
pub fn spectrogram(waveform: &Tensor, options: &FrameOptions) -> Result<Tensor> {
    let Some(frames) = cut("kaldi::spectrogram", waveform, options)? else {
        return Tensor::empty(0, waveform.dtype());
    };
    let spectrum = rfft(&frames.windowed, None, -1, Norm::Backward)?;
    let power = spectrum.complex_abs()?.square()?.clamp_min(EPSILON)?.log()?;
    let others = power.narrow(1, 1, power.size(1)? - 1)?;
    let features = Tensor::cat(&[&frames.log_energy.unsqueeze(1)?, &others], 1)?;
    without_mean(features, options.subtract_mean)
}

/// Hz as mel.
fn mel(hz: f64) -> f64 {
    1127.0 * (1.0 + hz / 700.0).ln()
}

/// Mel as Hz.
fn hz(mel: f64) -> f64 {
    700.0 * ((mel / 1127.0).exp() - 1.0)
}

/// The warp of frequencies, linear in three pieces, that stands for another length of the vocal tract.
struct Warp {
    low: f64,
    high: f64,
    vtln_low: f64,
    vtln_high: f64,
    factor: f64,
}

impl Warp {
    fn mel(&self, of: f64) -> f64 {
        if self.factor == 1.0 {
            return of;
        }
        mel(self.hz(hz(of)))
    }

    fn hz(&self, f: f64) -> f64 {
        let l = self.vtln_low * self.factor.max(1.0);
        let h = self.vtln_high * self.factor.min(1.0);
        let scale = 1.0 / self.factor;
        let left = (scale * l - self.low) / (l - self.low);
        let right = (self.high - scale * h) / (self.high - h);
        if f < self.low || f > self.high {
            f
        } else if f < l {
            self.low + left * (f - self.low)
        } else if f < h {
            scale * f
        } else {
            self.high + right * (f - self.high)
        }
    }
}

/// The filters over all but the last frequency, `[filters, padded/2]`.
fn mel_banks(padded: usize, sample_frequency: f64, o: &MelBankOptions) -> Result<Vec<f32>> {
    let nyquist = 0.5 * sample_frequency;
    let up_to = |f: f64, count: bool| if count { f + nyquist } else { f };
    let (low, high) = (o.low_freq, up_to(o.high_freq, o.high_freq <= 0.0));
    let vtln_high = up_to(o.vtln_high, o.vtln_high < 0.0);
    ensure!(
        o.num_mel_bins > 3,
        Value,
        "kaldi: expected more than 3 mel filters, got {}",
        o.num_mel_bins
    );
    ensure!(
        0.0 <= low && low < high && high <= nyquist,
        Value,
        "kaldi: expected 0 <= low_freq < high_freq <= {nyquist}, got {low} and {high}"
    );
    ensure!(
        o.vtln_warp == 1.0
            || (low < o.vtln_low && o.vtln_low < vtln_high && vtln_high < high && o.vtln_warp > 0.0),
        Value,
        "kaldi: expected {low} < vtln_low < vtln_high < {high}, got {} and {vtln_high}",
        o.vtln_low
    );
    let warp = Warp {
        low,
        high,
        vtln_low: o.vtln_low,
        vtln_high,
        factor: o.vtln_warp,
    };
    let delta = (mel(high) - mel(low)) / (o.num_mel_bins + 1) as f64;
    let mut banks = Vec::with_capacity(o.num_mel_bins * (padded / 2));
    for bin in 0..o.num_mel_bins {
        let [left, center, right] = [0.0, 1.0, 2.0].map(|i| warp.mel(mel(low) + (bin as f64 + i) * delta));
        for k in 0..padded / 2 {
            let at = mel(sample_frequency / padded as f64 * k as f64);
            let (up, down) = ((at - left) / (center - left), (right - at) / (right - center));
            banks.push(up.min(down).max(0.0) as f32);
        }
    }
    Ok(banks)
}

/// The energies of mel filters, or their logarithms.
///
/// ```
/// # use flambeau_audio::kaldi::{FbankOptions, fbank};
/// # use flambeau_tensor::{DType, Result, Tensor};
/// # fn main() -> Result<()> {
/// let second = Tensor::randn((1, 16000), DType::F32)?;
/// assert_eq!(fbank(&second, &FbankOptions::default())?.shape(), [98, 23]);
/// # Ok(())
/// # }
/// ```
///
/// # Shapes
/// `[channels, time] → [frames, num_mel_bins]`, or one feature more with the energy.
///
/// # Errors
/// `Shape` unless the waveform has channels and time; `Value` for options that make no sense.
pub fn fbank(waveform: &Tensor, options: &FbankOptions) -> Result<Tensor> {
    let Some(frames) = cut("kaldi::fbank", waveform, &options.frames)? else {
        return Tensor::empty(0, waveform.dtype());
    };
    let mut spectrum = rfft(&frames.windowed, None, -1, Norm::Backward)?.complex_abs()?;
    if options.use_power {
        spectrum = spectrum.square()?;
    }
    let padded = frames.windowed.size(1)?;
    let banks = mel_banks(padded, options.frames.sample_frequency, &options.mel)?;
    let banks =
        Tensor::from_vec(banks, (options.mel.num_mel_bins, padded / 2))?.to_dtype(spectrum.dtype())?;
    let mut features = spectrum.narrow(1, 0, padded / 2)?.matmul(&banks.t()?)?;
    if options.use_log_fbank {
        features = features.clamp_min(EPSILON)?.log()?;
    }
    if options.use_energy {
        let energy = frames.log_energy.unsqueeze(1)?;
        features = match options.htk_compat {
            true => Tensor::cat(&[&features, &energy], 1)?,
            false => Tensor::cat(&[&energy, &features], 1)?,
        };
    }
    without_mean(features, options.frames.subtract_mean)
}

/// The mel-frequency cepstral coefficients: the cosine transform of [`fbank`]'s logarithms.
///
/// # Shapes
/// `[channels, time] → [frames, num_ceps]`.
///
/// # Errors
/// As [`fbank`]; `Value` for more coefficients than filters.
pub fn mfcc(waveform: &Tensor, options: &MfccOptions) -> Result<Tensor> {
    let (ceps, bins) = (options.num_ceps, options.mel.num_mel_bins);
    ensure!(
        (1..=bins).contains(&ceps),
        Value,
        "kaldi::mfcc: expected 1 to {bins} coefficients, as there are filters, got {ceps}"
    );
    let fbank_options = FbankOptions {
        frames: FrameOptions {
            subtract_mean: false,
            ..options.frames
        },
        mel: options.mel,
        use_energy: true,
        ..FbankOptions::default()
    };
    let energies = fbank(waveform, &fbank_options)?;
    if energies.rank() < 2 {
        return Ok(energies);
    }
    let (log_energy, energies) = (energies.narrow(1, 0, 1)?, energies.narrow(1, 1, bins)?);
    let dct = create_dct(ceps, bins, true)?.to_dtype(energies.dtype())?;
    let mut features = energies.matmul(&dct)?;
    if options.cepstral_lifter != 0.0 {
        let lift = options.cepstral_lifter;
        let factor = |i: usize| 1.0 + 0.5 * lift * (PI * i as f64 / lift).sin();
        let factors = Tensor::from_vec((0..ceps).map(factor).collect::<Vec<f64>>(), ceps)?;
        features = features.mul(&factors.to_dtype(features.dtype())?)?;
    }
    let others = features.narrow(1, 1, ceps - 1)?;
    let mut first = if options.use_energy {
        log_energy
    } else {
        features.narrow(1, 0, 1)?
    };
    features = if options.htk_compat {
        // HTK's first coefficient is not orthonormal.
        if !options.use_energy {
            first = first.mul(2f64.sqrt())?;
        }
        Tensor::cat(&[&others, &first], 1)?
    } else {
        Tensor::cat(&[&first, &others], 1)?
    };
    without_mean(features, options.frames.subtract_mean)
}
