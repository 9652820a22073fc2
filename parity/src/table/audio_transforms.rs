//! `torchaudio.transforms` as `audio.transforms.…`: the waveform (or spectrogram) first, the constructor's arguments by name.

use flambeau_audio::functional::{
    GriffinLimOptions, MelOptions, PitchShiftOptions, SlidingWindowOptions, SpectrogramOptions,
};
use flambeau_audio::transforms::*;
use flambeau_nn::Forward;
use flambeau_tensor::ops::windows::hann;
use flambeau_tensor::{DType, Result, Tensor, bail};

use super::audio::{
    NAMED, fill, mel_norm, mel_scale, normalized, ortho, pad_mode, resample_options, spectra,
};
use crate::args::{Arg, Args};
use crate::registry::{Entry, complex, out};

pub(super) const TABLE: &[Entry] = &[
    ("audio.transforms.Spectrogram", |a| {
        let x = a.tensor(0, "waveform")?;
        let options = spectrogram(a)?;
        let transform = Spectrogram::with_window(window(a, options.window_length())?, options);
        spectra(transform.forward(&x)?, options.power)
    }),
    ("audio.transforms.InverseSpectrogram", |a| {
        let (x, _) = a.maybe_complex(0, "spectrogram")?;
        let length = a.opt_count(1, "length")?;
        out(InverseSpectrogram::new(spectrogram(a)?)?.forward(&x, length)?)
    }),
    ("audio.transforms.GriffinLim", |a| {
        let x = a.tensor(0, "specgram")?;
        let options = GriffinLimOptions {
            n_fft: a.count(NAMED, "n_fft", 400)?,
            n_iter: a.count(NAMED, "n_iter", 32)?,
            win_length: a.opt_count(NAMED, "win_length")?,
            hop_length: a.opt_count(NAMED, "hop_length")?,
            power: a.float(NAMED, "power", 2.0)?,
            momentum: a.float(NAMED, "momentum", 0.99)?,
            length: a.opt_count(NAMED, "length")?,
            rand_init: a.bool(NAMED, "rand_init", true)?,
        };
        out(GriffinLim::new(options)?.forward(&x)?)
    }),
    ("audio.transforms.SpectralCentroid", |a| {
        let x = a.tensor(0, "waveform")?;
        let rate = a.required_count(NAMED, "sample_rate")?;
        out(SpectralCentroid::new(rate, spectrogram(a)?)?.forward(&x)?)
    }),
    ("audio.transforms.MelScale", |a| {
        let x = a.tensor(0, "specgram")?;
        let n_stft = a.count(NAMED, "n_stft", 201)?;
        out(MelScale::new(n_stft, &mel_filters(a)?)?.forward(&x)?)
    }),
    ("audio.transforms.InverseMelScale", |a| {
        let x = a.tensor(0, "melspec")?;
        let n_stft = a.required_count(NAMED, "n_stft")?;
        a.opt_str(NAMED, "driver")?;
        out(InverseMelScale::new(n_stft, &mel_filters(a)?)?.forward(&x)?)
    }),
    ("audio.transforms.MelSpectrogram", |a| {
        let x = a.tensor(0, "waveform")?;
        out(MelSpectrogram::new(mel(a)?)?.forward(&x)?)
    }),
    ("audio.transforms.MFCC", |a| {
        let x = a.tensor(0, "waveform")?;
        let sample_rate = a.count(NAMED, "sample_rate", 16000)?;
        let options = MfccOptions {
            n_mfcc: a.count(NAMED, "n_mfcc", 40)?,
            ortho: ortho(a, NAMED, Some("ortho"))?,
            log_mels: a.bool(NAMED, "log_mels", false)?,
            mel: MelSpectrogramOptions {
                sample_rate,
                ..within(a, "melkwargs", mel)?
            },
        };
        dct_type(a)?;
        out(MFCC::new(options)?.forward(&x)?)
    }),
    ("audio.transforms.LFCC", |a| {
        let x = a.tensor(0, "waveform")?;
        let options = LfccOptions {
            sample_rate: a.count(NAMED, "sample_rate", 16000)?,
            n_filter: a.count(NAMED, "n_filter", 128)?,
            f_min: a.float(NAMED, "f_min", 0.0)?,
            f_max: a.opt_float(NAMED, "f_max")?,
            n_lfcc: a.count(NAMED, "n_lfcc", 40)?,
            ortho: ortho(a, NAMED, Some("ortho"))?,
            log_lf: a.bool(NAMED, "log_lf", false)?,
            spectrogram: within(a, "speckwargs", spectrogram)?,
        };
        dct_type(a)?;
        out(LFCC::new(options)?.forward(&x)?)
    }),
    ("audio.transforms.AmplitudeToDB", |a| {
        let x = a.tensor(0, "x")?;
        let scale = match a.opt_str(NAMED, "stype")?.as_deref() {
            None | Some("power") => Scale::Power,
            Some(_) => Scale::Magnitude,
        };
        out(AmplitudeToDB::new(scale, a.opt_float(NAMED, "top_db")?)?.forward(&x)?)
    }),
    ("audio.transforms.MuLawEncoding", |a| {
        let x = a.tensor(0, "x")?;
        let quantization_channels = a.count(NAMED, "quantization_channels", 256)?;
        out(MuLawEncoding {
            quantization_channels,
        }
        .forward(&x)?)
    }),
    ("audio.transforms.MuLawDecoding", |a| {
        let x = a.tensor(0, "x_mu")?;
        let quantization_channels = a.count(NAMED, "quantization_channels", 256)?;
        out(MuLawDecoding {
            quantization_channels,
        }
        .forward(&x)?)
    }),
    ("audio.transforms.Resample", |a| {
        let x = a.tensor(0, "waveform")?;
        let (orig, new) = (
            a.count(NAMED, "orig_freq", 16000)?,
            a.count(NAMED, "new_freq", 16000)?,
        );
        out(Resample::new(orig, new, &resample_options(a, [NAMED; 4])?)?.forward(&x)?)
    }),
    ("audio.transforms.ComputeDeltas", |a| {
        let x = a.tensor(0, "specgram")?;
        let win_length = a.count(NAMED, "win_length", 5)?;
        let mode = fill(a, NAMED)?;
        out(ComputeDeltas { win_length, mode }.forward(&x)?)
    }),
    ("audio.transforms.SlidingWindowCmn", |a| {
        let x = a.tensor(0, "specgram")?;
        let options = SlidingWindowOptions {
            cmn_window: a.count(NAMED, "cmn_window", 600)?,
            min_cmn_window: a.count(NAMED, "min_cmn_window", 100)?,
            center: a.bool(NAMED, "center", false)?,
            norm_vars: a.bool(NAMED, "norm_vars", false)?,
        };
        out(SlidingWindowCmn { options }.forward(&x)?)
    }),
    ("audio.transforms.TimeStretch", |a| {
        let (x, _) = a.maybe_complex(0, "complex_specgrams")?;
        let fixed = a.opt_float(NAMED, "fixed_rate")?;
        let Some(rate) = a.opt_float(1, "overriding_rate")?.or(fixed) else {
            bail!(Value, "TimeStretch: expected a rate")
        };
        let hop = a.opt_count(NAMED, "hop_length")?;
        let stretch = TimeStretch::new(hop, a.count(NAMED, "n_freq", 201)?)?;
        complex(stretch.forward(&x, rate)?)
    }),
    ("audio.transforms.PitchShift", |a| {
        let x = a.tensor(0, "waveform")?;
        let (rate, steps) = (
            a.required_count(NAMED, "sample_rate")?,
            a.required_int(NAMED, "n_steps")?,
        );
        let win_length = a.opt_count(NAMED, "win_length")?;
        let n_fft = a.count(NAMED, "n_fft", 512)?;
        // The transform's hop is a quarter of the window, the function's a quarter of n_fft.
        let hop_length = a.opt_count(NAMED, "hop_length")?;
        let options = PitchShiftOptions {
            bins_per_octave: a.count(NAMED, "bins_per_octave", 12)?,
            n_fft,
            win_length,
            hop_length: hop_length.or(win_length.map(|length| length / 4)),
        };
        out(PitchShift::new(rate, steps, options)?.forward(&x)?)
    }),
    ("audio.transforms.Vol", |a| {
        let x = a.tensor(0, "waveform")?;
        let by = a.float(NAMED, "gain", 1.0)?;
        let gain = match a.opt_str(NAMED, "gain_type")?.as_deref() {
            None | Some("amplitude") => Gain::Amplitude(by),
            Some("power") => Gain::Power(by),
            Some("db") => Gain::Db(by),
            Some(other) => bail!(Value, "Vol: gain_type {other:?}"),
        };
        out(Vol::new(gain)?.forward(&x)?)
    }),
    ("audio.transforms.Fade", |a| {
        let x = a.tensor(0, "waveform")?;
        let fade_shape = match a.opt_str(NAMED, "fade_shape")?.as_deref() {
            None | Some("linear") => FadeShape::Linear,
            Some("exponential") => FadeShape::Exponential,
            Some("logarithmic") => FadeShape::Logarithmic,
            Some("quarter_sine") => FadeShape::QuarterSine,
            Some("half_sine") => FadeShape::HalfSine,
            Some(other) => bail!(Value, "Fade: fade_shape {other:?}"),
        };
        let fade = Fade {
            fade_in_len: a.count(NAMED, "fade_in_len", 0)?,
            fade_out_len: a.count(NAMED, "fade_out_len", 0)?,
            fade_shape,
        };
        out(fade.forward(&x)?)
    }),
];

fn window(a: &mut Args, length: usize) -> Result<Tensor> {
    let periodic = within(a, "wkwargs", |a| a.bool(NAMED, "periodic", true))?;
    hann(length, !periodic, DType::F32)
}

/// Arguments that are given as a dictionary.
fn within<T>(a: &mut Args, name: &str, read: fn(&mut Args) -> Result<T>) -> Result<T> {
    let mut inner = match a.take(NAMED, name) {
        None | Some(Arg::None) => Args::new(name, Vec::new(), Default::default()),
        Some(Arg::Dict(keywords)) => Args::new(name, Vec::new(), keywords),
        other => bail!(
            Value,
            "{}: argument `{name}`: expected a dictionary, got {other:?}",
            a.op()
        ),
    };
    let value = read(&mut inner)?;
    inner.finish()?;
    Ok(value)
}

fn dct_type(a: &mut Args) -> Result<()> {
    match a.int(NAMED, "dct_type", 2)? {
        2 => Ok(()),
        other => bail!(Value, "{}: dct_type {other}", a.op()),
    }
}

fn spectrogram(a: &mut Args) -> Result<SpectrogramOptions> {
    a.take(NAMED, "return_complex");
    let power = match a.peek(NAMED, "power") {
        None => Some(2.0),
        Some(_) => a.opt_float(NAMED, "power")?,
    };
    Ok(SpectrogramOptions {
        n_fft: a.count(NAMED, "n_fft", 400)?,
        win_length: a.opt_count(NAMED, "win_length")?,
        hop_length: a.opt_count(NAMED, "hop_length")?,
        pad: a.count(NAMED, "pad", 0)?,
        power,
        normalized: normalized(a, NAMED)?,
        center: a.bool(NAMED, "center", true)?,
        pad_mode: pad_mode(a, NAMED)?,
        onesided: a.bool(NAMED, "onesided", true)?,
    })
}

fn mel_filters(a: &mut Args) -> Result<MelOptions> {
    Ok(MelOptions {
        n_mels: a.count(NAMED, "n_mels", 128)?,
        sample_rate: a.count(NAMED, "sample_rate", 16000)?,
        f_min: a.float(NAMED, "f_min", 0.0)?,
        f_max: a.opt_float(NAMED, "f_max")?,
        norm: mel_norm(a, NAMED)?,
        mel_scale: mel_scale(a, NAMED)?,
    })
}

fn mel(a: &mut Args) -> Result<MelSpectrogramOptions> {
    a.take(NAMED, "onesided");
    let filters = mel_filters(a)?;
    Ok(MelSpectrogramOptions {
        sample_rate: filters.sample_rate,
        n_fft: a.count(NAMED, "n_fft", 400)?,
        win_length: a.opt_count(NAMED, "win_length")?,
        hop_length: a.opt_count(NAMED, "hop_length")?,
        f_min: filters.f_min,
        f_max: filters.f_max,
        pad: a.count(NAMED, "pad", 0)?,
        n_mels: filters.n_mels,
        power: a.float(NAMED, "power", 2.0)?,
        normalized: normalized(a, NAMED)?,
        center: a.bool(NAMED, "center", true)?,
        pad_mode: pad_mode(a, NAMED)?,
        norm: filters.norm,
        mel_scale: filters.mel_scale,
    })
}
