//! `torchaudio.functional` as `audio.functional.…`, and the features of `torchaudio.compliance.kaldi` as `audio.kaldi.…`.

use flambeau_audio::functional::*;
use flambeau_audio::kaldi::{self, FbankOptions, FrameOptions, MelBankOptions, WindowType};
use flambeau_tensor::ops::pad::PadMode as Fill;
use flambeau_tensor::ops::stft::PadMode;
use flambeau_tensor::{Result, Tensor, bail};

use crate::args::{Arg, Args, Either};
use crate::registry::{Entry, Output, complex, out};

pub(super) const TABLE: &[Entry] = &[
    ("audio.functional.spectrogram", |a| {
        let x = a.tensor(0, "waveform")?;
        let window = a.tensor(2, "window")?;
        let options = SpectrogramOptions {
            pad: a.count(1, "pad", 0)?,
            n_fft: a.required_count(3, "n_fft")?,
            hop_length: Some(a.required_count(4, "hop_length")?),
            win_length: Some(a.required_count(5, "win_length")?),
            power: a.opt_float(6, "power")?,
            normalized: normalized(a, 7)?,
            center: a.bool(8, "center", true)?,
            pad_mode: pad_mode(a, 9)?,
            onesided: a.bool(10, "onesided", true)?,
        };
        a.take(11, "return_complex");
        spectra(spectrogram(&x, &window, &options)?, options.power)
    }),
    ("audio.functional.inverse_spectrogram", |a| {
        let (x, _) = a.maybe_complex(0, "spectrogram")?;
        let length = a.opt_count(1, "length")?;
        let window = a.tensor(3, "window")?;
        let options = SpectrogramOptions {
            pad: a.count(2, "pad", 0)?,
            n_fft: a.required_count(4, "n_fft")?,
            hop_length: Some(a.required_count(5, "hop_length")?),
            win_length: Some(a.required_count(6, "win_length")?),
            normalized: normalized(a, 7)?,
            center: a.bool(8, "center", true)?,
            pad_mode: pad_mode(a, 9)?,
            onesided: a.bool(10, "onesided", true)?,
            power: None,
        };
        out(inverse_spectrogram(&x, length, &window, &options)?)
    }),
    ("audio.functional.griffinlim", |a| {
        let x = a.tensor(0, "specgram")?;
        let window = a.tensor(1, "window")?;
        let options = GriffinLimOptions {
            n_fft: a.required_count(2, "n_fft")?,
            hop_length: Some(a.required_count(3, "hop_length")?),
            win_length: Some(a.required_count(4, "win_length")?),
            power: a.float(5, "power", 2.0)?,
            n_iter: a.required_count(6, "n_iter")?,
            momentum: a.float(7, "momentum", 0.99)?,
            length: a.opt_count(8, "length")?,
            rand_init: a.bool(9, "rand_init", true)?,
        };
        out(griffinlim(&x, &window, &options)?)
    }),
    ("audio.functional.spectral_centroid", |a| {
        let x = a.tensor(0, "waveform")?;
        let sample_rate = a.required_count(1, "sample_rate")?;
        let window = a.tensor(3, "window")?;
        let options = SpectrogramOptions {
            pad: a.count(2, "pad", 0)?,
            n_fft: a.required_count(4, "n_fft")?,
            hop_length: Some(a.required_count(5, "hop_length")?),
            win_length: Some(a.required_count(6, "win_length")?),
            ..SpectrogramOptions::default()
        };
        out(spectral_centroid(&x, sample_rate, &window, &options)?)
    }),
    ("audio.functional.phase_vocoder", |a| {
        let (x, _) = a.maybe_complex(0, "complex_specgrams")?;
        let rate = a.float(1, "rate", 1.0)?;
        complex(phase_vocoder(&x, rate, &a.tensor(2, "phase_advance")?)?)
    }),
    ("audio.functional.pitch_shift", |a| {
        let x = a.tensor(0, "waveform")?;
        let sample_rate = a.required_count(1, "sample_rate")?;
        let n_steps = a.required_int(2, "n_steps")?;
        let options = PitchShiftOptions {
            bins_per_octave: a.count(3, "bins_per_octave", 12)?,
            n_fft: a.count(4, "n_fft", 512)?,
            win_length: a.opt_count(5, "win_length")?,
            hop_length: a.opt_count(6, "hop_length")?,
        };
        let window = a.opt_tensor(7, "window")?;
        out(pitch_shift(&x, sample_rate, n_steps, window.as_ref(), &options)?)
    }),
    ("audio.functional.amplitude_to_DB", |a| {
        let x = a.tensor(0, "x")?;
        let numbers = [
            a.float(1, "multiplier", 10.0)?,
            a.float(2, "amin", 1e-10)?,
            a.float(3, "db_multiplier", 0.0)?,
        ];
        let top_db = a.opt_float(4, "top_db")?;
        out(amplitude_to_db(&x, numbers[0], numbers[1], numbers[2], top_db)?)
    }),
    ("audio.functional.DB_to_amplitude", |a| {
        let x = a.tensor(0, "x")?;
        out(db_to_amplitude(
            &x,
            a.float(1, "ref", 1.0)?,
            a.float(2, "power", 1.0)?,
        )?)
    }),
    ("audio.functional.melscale_fbanks", |a| {
        let n_freqs = a.required_count(0, "n_freqs")?;
        let options = MelOptions {
            f_min: a.float(1, "f_min", 0.0)?,
            f_max: a.opt_float(2, "f_max")?,
            n_mels: a.required_count(3, "n_mels")?,
            sample_rate: a.required_count(4, "sample_rate")?,
            norm: mel_norm(a, 5)?,
            mel_scale: mel_scale(a, 6)?,
        };
        out(melscale_fbanks(n_freqs, &options)?)
    }),
    ("audio.functional.linear_fbanks", |a| {
        let n_freqs = a.required_count(0, "n_freqs")?;
        let (f_min, f_max) = (a.float(1, "f_min", 0.0)?, a.float(2, "f_max", 0.0)?);
        let (filters, rate) = (
            a.required_count(3, "n_filter")?,
            a.required_count(4, "sample_rate")?,
        );
        out(linear_fbanks(n_freqs, f_min, f_max, filters, rate)?)
    }),
    ("audio.functional.create_dct", |a| {
        let (n_mfcc, n_mels) = (a.required_count(0, "n_mfcc")?, a.required_count(1, "n_mels")?);
        out(create_dct(n_mfcc, n_mels, ortho(a, 2, None)?)?)
    }),
    ("audio.functional.mu_law_encoding", |a| {
        let x = a.tensor(0, "x")?;
        out(mu_law_encoding(
            &x,
            a.required_count(1, "quantization_channels")?,
        )?)
    }),
    ("audio.functional.mu_law_decoding", |a| {
        let x = a.tensor(0, "x_mu")?;
        out(mu_law_decoding(
            &x,
            a.required_count(1, "quantization_channels")?,
        )?)
    }),
    ("audio.functional.mask_along_axis", |a| {
        let (x, options, value) = mask(a)?;
        out(mask_along_axis(&x, &options, value.operand())?)
    }),
    ("audio.functional.mask_along_axis_iid", |a| {
        let (x, options, value) = mask(a)?;
        out(mask_along_axis_iid(&x, &options, value.operand())?)
    }),
    ("audio.functional.compute_deltas", |a| {
        let x = a.tensor(0, "specgram")?;
        let win_length = a.count(1, "win_length", 5)?;
        out(compute_deltas(&x, win_length, fill(a, 2)?)?)
    }),
    ("audio.functional.sliding_window_cmn", |a| {
        let x = a.tensor(0, "specgram")?;
        let options = SlidingWindowOptions {
            cmn_window: a.count(1, "cmn_window", 600)?,
            min_cmn_window: a.count(2, "min_cmn_window", 100)?,
            center: a.bool(3, "center", false)?,
            norm_vars: a.bool(4, "norm_vars", false)?,
        };
        out(sliding_window_cmn(&x, &options)?)
    }),
    ("audio.functional.detect_pitch_frequency", |a| {
        let x = a.tensor(0, "waveform")?;
        let rate = a.required_count(1, "sample_rate")?;
        let options = PitchOptions {
            frame_time: a.float(2, "frame_time", 0.01)?,
            win_length: a.count(3, "win_length", 30)?,
            freq_low: a.count(4, "freq_low", 85)?,
            freq_high: a.count(5, "freq_high", 3400)?,
        };
        out(detect_pitch_frequency(&x, rate, &options)?)
    }),
    ("audio.functional.resample", |a| {
        let x = a.tensor(0, "waveform")?;
        let (orig, new) = (
            a.required_count(1, "orig_freq")?,
            a.required_count(2, "new_freq")?,
        );
        out(resample(&x, orig, new, &resample_options(a, [3, 4, 5, 6])?)?)
    }),
    ("audio.functional.speed", |a| {
        let x = a.tensor(0, "waveform")?;
        let (rate, factor) = (a.required_count(1, "orig_freq")?, a.float(2, "factor", 1.0)?);
        let lengths = a.opt_tensor(3, "lengths")?;
        let (faster, lengths) = speed(&x, rate, factor, lengths.as_ref())?;
        out(Output {
            values: vec![Arg::Tensor(faster), lengths.map_or(Arg::None, Arg::Tensor)],
        })
    }),
    ("audio.functional.edit_distance", |a| {
        let (from, to) = (sequence(a, 0, "seq1")?, sequence(a, 1, "seq2")?);
        out(Arg::Int(edit_distance(&from, &to) as i64))
    }),
    ("audio.functional.loudness", |a| {
        let x = a.tensor(0, "waveform")?;
        out(loudness(&x, a.required_count(1, "sample_rate")?)?)
    }),
    ("audio.functional.convolve", |a| {
        let (x, y) = (a.tensor(0, "x")?, a.tensor(1, "y")?);
        out(convolve(&x, &y, convolve_mode(a)?)?)
    }),
    ("audio.functional.fftconvolve", |a| {
        let (x, y) = (a.tensor(0, "x")?, a.tensor(1, "y")?);
        out(fftconvolve(&x, &y, convolve_mode(a)?)?)
    }),
    ("audio.functional.add_noise", |a| {
        let (x, noise, snr) = (
            a.tensor(0, "waveform")?,
            a.tensor(1, "noise")?,
            a.tensor(2, "snr")?,
        );
        let lengths = a.opt_tensor(3, "lengths")?;
        out(add_noise(&x, &noise, &snr, lengths.as_ref())?)
    }),
    ("audio.functional.preemphasis", |a| {
        let x = a.tensor(0, "waveform")?;
        out(preemphasis(&x, a.float(1, "coeff", 0.97)?)?)
    }),
    ("audio.functional.deemphasis", |a| {
        let x = a.tensor(0, "waveform")?;
        out(deemphasis(&x, a.float(1, "coeff", 0.97)?)?)
    }),
    ("audio.functional.gain", |a| {
        let x = a.tensor(0, "waveform")?;
        out(gain(&x, a.float(1, "gain_db", 1.0)?)?)
    }),
    ("audio.functional.contrast", |a| {
        let x = a.tensor(0, "waveform")?;
        out(contrast(&x, a.float(1, "enhancement_amount", 75.0)?)?)
    }),
    ("audio.functional.dcshift", |a| {
        let x = a.tensor(0, "waveform")?;
        let shift = a.float(1, "shift", 0.0)?;
        out(dcshift(&x, shift, a.opt_float(2, "limiter_gain")?)?)
    }),
    ("audio.functional.overdrive", |a| {
        let x = a.tensor(0, "waveform")?;
        out(overdrive(
            &x,
            a.float(1, "gain", 20.0)?,
            a.float(2, "colour", 20.0)?,
        )?)
    }),
    ("audio.functional.lfilter", |a| {
        let (x, filter) = (a.tensor(0, "waveform")?, a.tensor(1, "a_coeffs")?);
        let b = a.tensor(2, "b_coeffs")?;
        let (clamp, batching) = (a.bool(3, "clamp", true)?, a.bool(4, "batching", true)?);
        out(lfilter(&x, &filter, &b, clamp, batching)?)
    }),
    ("audio.functional.filtfilt", |a| {
        let (x, filter) = (a.tensor(0, "waveform")?, a.tensor(1, "a_coeffs")?);
        let b = a.tensor(2, "b_coeffs")?;
        out(filtfilt(&x, &filter, &b, a.bool(3, "clamp", true)?)?)
    }),
    ("audio.functional.biquad", |a| {
        let x = a.tensor(0, "waveform")?;
        let b = [a.operand(1, "b0")?, a.operand(2, "b1")?, a.operand(3, "b2")?];
        let filter = [a.operand(4, "a0")?, a.operand(5, "a1")?, a.operand(6, "a2")?];
        out(biquad(
            &x,
            b.each_ref().map(Either::operand),
            filter.each_ref().map(Either::operand),
        )?)
    }),
    ("audio.functional.lowpass_biquad", |a| {
        let (x, rate, [frequency, q]) = filter(a, ["cutoff_freq"])?;
        out(lowpass_biquad(&x, rate, frequency.operand(), q.operand())?)
    }),
    ("audio.functional.highpass_biquad", |a| {
        let (x, rate, [frequency, q]) = filter(a, ["cutoff_freq"])?;
        out(highpass_biquad(&x, rate, frequency.operand(), q.operand())?)
    }),
    ("audio.functional.allpass_biquad", |a| {
        let (x, rate, [frequency, q]) = filter(a, ["central_freq"])?;
        out(allpass_biquad(&x, rate, frequency.operand(), q.operand())?)
    }),
    ("audio.functional.bandreject_biquad", |a| {
        let (x, rate, [frequency, q]) = filter(a, ["central_freq"])?;
        out(bandreject_biquad(&x, rate, frequency.operand(), q.operand())?)
    }),
    ("audio.functional.bandpass_biquad", |a| {
        let (x, rate, [frequency, q]) = filter(a, ["central_freq"])?;
        let skirt = a.bool(4, "const_skirt_gain", false)?;
        out(bandpass_biquad(
            &x,
            rate,
            frequency.operand(),
            q.operand(),
            skirt,
        )?)
    }),
    ("audio.functional.band_biquad", |a| {
        let (x, rate, [frequency, q]) = filter(a, ["central_freq"])?;
        let noise = a.bool(4, "noise", false)?;
        out(band_biquad(&x, rate, frequency.operand(), q.operand(), noise)?)
    }),
    ("audio.functional.equalizer_biquad", |a| {
        let (x, rate, frequency) = (
            a.tensor(0, "waveform")?,
            a.required_count(1, "sample_rate")?,
            a.operand(2, "center_freq")?,
        );
        let (gain, q) = (a.operand(3, "gain")?, operand(a, 4, "Q", 0.707)?);
        out(equalizer_biquad(
            &x,
            rate,
            frequency.operand(),
            gain.operand(),
            q.operand(),
        )?)
    }),
    ("audio.functional.bass_biquad", |a| {
        let (x, rate, [gain, frequency, q]) = shelf(a, 100.0)?;
        out(bass_biquad(
            &x,
            rate,
            gain.operand(),
            frequency.operand(),
            q.operand(),
        )?)
    }),
    ("audio.functional.treble_biquad", |a| {
        let (x, rate, [gain, frequency, q]) = shelf(a, 3000.0)?;
        out(treble_biquad(
            &x,
            rate,
            gain.operand(),
            frequency.operand(),
            q.operand(),
        )?)
    }),
    ("audio.functional.deemph_biquad", |a| {
        let x = a.tensor(0, "waveform")?;
        out(deemph_biquad(&x, a.required_count(1, "sample_rate")?)?)
    }),
    ("audio.functional.riaa_biquad", |a| {
        let x = a.tensor(0, "waveform")?;
        out(riaa_biquad(&x, a.required_count(1, "sample_rate")?)?)
    }),
    ("audio.kaldi.spectrogram", |a| {
        let x = a.tensor(0, "waveform")?;
        out(kaldi::spectrogram(&x, &kaldi_frames(a)?)?)
    }),
    ("audio.kaldi.fbank", |a| {
        let x = a.tensor(0, "waveform")?;
        let options = FbankOptions {
            frames: kaldi_frames(a)?,
            mel: kaldi_mel(a)?,
            htk_compat: a.bool(NAMED, "htk_compat", false)?,
            use_energy: a.bool(NAMED, "use_energy", false)?,
            use_log_fbank: a.bool(NAMED, "use_log_fbank", true)?,
            use_power: a.bool(NAMED, "use_power", true)?,
        };
        out(kaldi::fbank(&x, &options)?)
    }),
    ("audio.kaldi.mfcc", |a| {
        let x = a.tensor(0, "waveform")?;
        let options = kaldi::MfccOptions {
            frames: kaldi_frames(a)?,
            mel: kaldi_mel(a)?,
            cepstral_lifter: a.float(NAMED, "cepstral_lifter", 22.0)?,
            htk_compat: a.bool(NAMED, "htk_compat", false)?,
            num_ceps: a.count(NAMED, "num_ceps", 13)?,
            use_energy: a.bool(NAMED, "use_energy", false)?,
        };
        out(kaldi::mfcc(&x, &options)?)
    }),
];

/// The position of arguments that are given by name only.
pub(super) const NAMED: usize = usize::MAX;

/// A spectrogram, or complex spectra if there is no power.
pub(super) fn spectra(x: Tensor, power: Option<f64>) -> Result<Output> {
    match power {
        None => complex(x),
        Some(_) => out(x),
    }
}

pub(super) fn normalized(a: &mut Args, position: usize) -> Result<Normalized> {
    match a.take(position, "normalized") {
        None | Some(Arg::Bool(false)) => Ok(Normalized::No),
        Some(Arg::Bool(true)) => Ok(Normalized::Window),
        Some(Arg::Str(name)) if Normalized::from_name(&name).is_some() => {
            Ok(Normalized::from_name(&name).unwrap_or_default())
        }
        other => bail!(Value, "{}: normalized {other:?}", a.op()),
    }
}

pub(super) fn pad_mode(a: &mut Args, position: usize) -> Result<PadMode> {
    match a.opt_str(position, "pad_mode")?.as_deref() {
        None | Some("reflect") => Ok(PadMode::Reflect),
        Some("constant") => Ok(PadMode::Constant),
        Some("replicate") => Ok(PadMode::Replicate),
        Some("circular") => Ok(PadMode::Circular),
        Some(other) => bail!(Value, "{}: pad_mode {other:?}", a.op()),
    }
}

pub(super) fn fill(a: &mut Args, position: usize) -> Result<Fill> {
    match a.opt_str(position, "mode")?.as_deref() {
        None | Some("replicate") => Ok(Fill::Replicate),
        Some("constant") => Ok(Fill::Constant),
        Some("reflect") => Ok(Fill::Reflect),
        Some("circular") => Ok(Fill::Circular),
        Some(other) => bail!(Value, "{}: mode {other:?}", a.op()),
    }
}

pub(super) fn mel_norm(a: &mut Args, position: usize) -> Result<Option<MelNorm>> {
    match a.opt_str(position, "norm")?.as_deref() {
        None => Ok(None),
        Some("slaney") => Ok(Some(MelNorm::Slaney)),
        Some(other) => bail!(Value, "{}: norm {other:?}", a.op()),
    }
}

pub(super) fn mel_scale(a: &mut Args, position: usize) -> Result<MelScaleKind> {
    let name = a.opt_str(position, "mel_scale")?;
    match MelScaleKind::from_name(name.as_deref().unwrap_or("htk")) {
        Some(scale) => Ok(scale),
        None => bail!(Value, "{}: mel_scale {name:?}", a.op()),
    }
}

/// The norm of a cosine transform: `None` if nothing is given, or `default` if it is left out.
pub(super) fn ortho(a: &mut Args, position: usize, default: Option<&str>) -> Result<bool> {
    let name = match a.take(position, "norm") {
        None => default.map(str::to_string),
        Some(Arg::None) => None,
        Some(Arg::Str(name)) => Some(name),
        other => bail!(Value, "{}: norm {other:?}", a.op()),
    };
    match name.as_deref() {
        None => Ok(false),
        Some("ortho") => Ok(true),
        Some(other) => bail!(Value, "{}: norm {other:?}", a.op()),
    }
}

/// `lowpass_filter_width`, `rolloff`, `resampling_method` and `beta`, at these positions.
pub(super) fn resample_options(a: &mut Args, at: [usize; 4]) -> Result<ResampleOptions> {
    let name = a.opt_str(at[2], "resampling_method")?;
    let Some(resampling_method) = ResamplingMethod::from_name(name.as_deref().unwrap_or("sinc_interp_hann"))
    else {
        bail!(Value, "{}: resampling_method {name:?}", a.op())
    };
    Ok(ResampleOptions {
        lowpass_filter_width: a.count(at[0], "lowpass_filter_width", 6)?,
        rolloff: a.float(at[1], "rolloff", 0.99)?,
        resampling_method,
        beta: a.opt_float(at[3], "beta")?,
    })
}

fn mask(a: &mut Args) -> Result<(Tensor, MaskOptions, Either)> {
    let x = match a.peek(0, "specgram") {
        Some(_) => a.tensor(0, "specgram")?,
        None => a.tensor(0, "specgrams")?,
    };
    let value = a.operand(2, "mask_value")?;
    let options = MaskOptions {
        mask_param: a.required_count(1, "mask_param")?,
        axis: a.required_count(3, "axis")?,
        p: a.float(4, "p", 1.0)?,
    };
    Ok((x, options, value))
}

fn convolve_mode(a: &mut Args) -> Result<ConvolveMode> {
    let name = a.opt_str(2, "mode")?;
    match ConvolveMode::from_name(name.as_deref().unwrap_or("full")) {
        Some(mode) => Ok(mode),
        None => bail!(Value, "{}: mode {name:?}", a.op()),
    }
}

/// A number or tensor, or the default.
fn operand(a: &mut Args, position: usize, name: &str, default: f64) -> Result<Either> {
    match a.peek(position, name) {
        None => Ok(Either::Scalar(default.into())),
        Some(_) => a.operand(position, name),
    }
}

/// Waveform, sample rate, frequency and `Q`.
fn filter(a: &mut Args, [frequency]: [&str; 1]) -> Result<(Tensor, usize, [Either; 2])> {
    let (x, rate) = (a.tensor(0, "waveform")?, a.required_count(1, "sample_rate")?);
    Ok((x, rate, [a.operand(2, frequency)?, operand(a, 3, "Q", 0.707)?]))
}

/// Waveform, sample rate, gain, frequency and `Q`.
fn shelf(a: &mut Args, frequency: f64) -> Result<(Tensor, usize, [Either; 3])> {
    let (x, rate) = (a.tensor(0, "waveform")?, a.required_count(1, "sample_rate")?);
    let gain = a.operand(2, "gain")?;
    let frequency = operand(a, 3, "central_freq", frequency)?;
    Ok((x, rate, [gain, frequency, operand(a, 4, "Q", 0.707)?]))
}

/// Letters of a string, or items of a list, as text.
fn sequence(a: &mut Args, position: usize, name: &str) -> Result<Vec<String>> {
    match a.take(position, name) {
        Some(Arg::Str(text)) => Ok(text.chars().map(String::from).collect()),
        Some(Arg::List(items) | Arg::Tuple(items)) => {
            Ok(items.iter().map(|item| format!("{item:?}")).collect())
        }
        other => bail!(
            Value,
            "{}: argument `{name}`: expected a sequence, got {other:?}",
            a.op()
        ),
    }
}

fn kaldi_frames(a: &mut Args) -> Result<FrameOptions> {
    let d = FrameOptions::default();
    let window = a.opt_str(NAMED, "window_type")?;
    let Some(window_type) = WindowType::from_name(window.as_deref().unwrap_or("povey")) else {
        bail!(Value, "{}: window_type {window:?}", a.op())
    };
    Ok(FrameOptions {
        blackman_coeff: a.float(NAMED, "blackman_coeff", d.blackman_coeff)?,
        channel: a.int(NAMED, "channel", -1)?.max(0) as usize,
        dither: a.float(NAMED, "dither", d.dither)?,
        energy_floor: a.float(NAMED, "energy_floor", d.energy_floor)?,
        frame_length: a.float(NAMED, "frame_length", d.frame_length)?,
        frame_shift: a.float(NAMED, "frame_shift", d.frame_shift)?,
        min_duration: a.float(NAMED, "min_duration", d.min_duration)?,
        preemphasis_coefficient: a.float(NAMED, "preemphasis_coefficient", d.preemphasis_coefficient)?,
        raw_energy: a.bool(NAMED, "raw_energy", d.raw_energy)?,
        remove_dc_offset: a.bool(NAMED, "remove_dc_offset", d.remove_dc_offset)?,
        round_to_power_of_two: a.bool(NAMED, "round_to_power_of_two", d.round_to_power_of_two)?,
        sample_frequency: a.float(NAMED, "sample_frequency", d.sample_frequency)?,
        snip_edges: a.bool(NAMED, "snip_edges", d.snip_edges)?,
        subtract_mean: a.bool(NAMED, "subtract_mean", d.subtract_mean)?,
        window_type,
    })
}

fn kaldi_mel(a: &mut Args) -> Result<MelBankOptions> {
    let d = MelBankOptions::default();
    Ok(MelBankOptions {
        high_freq: a.float(NAMED, "high_freq", d.high_freq)?,
        low_freq: a.float(NAMED, "low_freq", d.low_freq)?,
        num_mel_bins: a.count(NAMED, "num_mel_bins", d.num_mel_bins)?,
        vtln_high: a.float(NAMED, "vtln_high", d.vtln_high)?,
        vtln_low: a.float(NAMED, "vtln_low", d.vtln_low)?,
        vtln_warp: a.float(NAMED, "vtln_warp", d.vtln_warp)?,
    })
}
