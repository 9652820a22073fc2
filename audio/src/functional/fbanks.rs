//! Filter banks of triangles over the frequencies of a spectrogram, on mel scales and in Hz, and the matrix of the discrete
//! cosine transform.

use std::f64::consts::PI;

use flambeau_tensor::{Result, Tensor, ensure};

/// The mel scale's formula.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MelScaleKind {
    /// `2595·log10(1 + f/700)`.
    #[default]
    Htk,
    /// Linear below 1 kHz and logarithmic above, as in Slaney's Auditory Toolbox.
    Slaney,
}

impl MelScaleKind {
    /// The scale of torchaudio's name.
    pub fn from_name(name: &str) -> Option<MelScaleKind> {
        match name {
            "htk" => Some(MelScaleKind::Htk),
            "slaney" => Some(MelScaleKind::Slaney),
            _ => None,
        }
    }

    /// Hz as mel.
    fn of_hz(self, hz: f64) -> f64 {
        match self {
            MelScaleKind::Htk => 2595.0 * (1.0 + hz / 700.0).log10(),
            MelScaleKind::Slaney if hz >= 1000.0 => 15.0 + (hz / 1000.0).ln() / log_step(),
            MelScaleKind::Slaney => hz * 3.0 / 200.0,
        }
    }

    /// Mel as Hz.
    fn to_hz(self, mel: f64) -> f64 {
        match self {
            MelScaleKind::Htk => 700.0 * (10f64.powf(mel / 2595.0) - 1.0),
            MelScaleKind::Slaney if mel >= 15.0 => 1000.0 * (log_step() * (mel - 15.0)).exp(),
            MelScaleKind::Slaney => mel * 200.0 / 3.0,
        }
    }
}

/// From 1000 Hz on, 27 mel of Slaney's are a factor of 6.4.
fn log_step() -> f64 {
    6.4f64.ln() / 27.0
}

/// How filters are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MelNorm {
    /// To equal areas.
    Slaney,
}

/// A bank of mel filters; the defaults are those of `torchaudio.transforms.MelScale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MelOptions {
    /// How many filters there are.
    pub n_mels: usize,
    /// Samples a second.
    pub sample_rate: usize,
    /// The lowest frequency, in Hz.
    pub f_min: f64,
    /// The highest frequency, in Hz; half the sample rate by default.
    pub f_max: Option<f64>,
    /// How filters are scaled: to a height of 1 by default.
    pub norm: Option<MelNorm>,
    /// The scale's formula.
    pub mel_scale: MelScaleKind,
}

impl Default for MelOptions {
    fn default() -> Self {
        MelOptions {
            n_mels: 128,
            sample_rate: 16000,
            f_min: 0.0,
            f_max: None,
            norm: None,
            mel_scale: MelScaleKind::Htk,
        }
    }
}

/// Triangles between points, evaluated at equally spaced frequencies up to half the sample rate: `[n_freqs, filters]`.
fn triangles(
    n_freqs: usize,
    sample_rate: usize,
    points: &[f64],
    height: impl Fn(usize) -> f64,
) -> Result<Tensor> {
    let filters = points.len() - 2;
    let top = (sample_rate / 2) as f64;
    let step = if n_freqs > 1 {
        top / (n_freqs - 1) as f64
    } else {
        0.0
    };
    let mut bank = Vec::with_capacity(n_freqs * filters);
    for k in 0..n_freqs {
        let frequency = step * k as f64;
        for m in 0..filters {
            let up = (frequency - points[m]) / (points[m + 1] - points[m]);
            let down = (points[m + 2] - frequency) / (points[m + 2] - points[m + 1]);
            bank.push((up.min(down).max(0.0) * height(m)) as f32);
        }
    }
    Tensor::from_vec(bank, (n_freqs, filters))
}

/// `n + 2` equally spaced points.
fn points(f_min: f64, f_max: f64, n: usize) -> impl Iterator<Item = f64> {
    (0..n + 2).map(move |i| f_min + (f_max - f_min) * i as f64 / (n + 1) as f64)
}

fn check_range(op: &str, f_min: f64, f_max: f64) -> Result<()> {
    ensure!(
        f_min >= 0.0 && f_min <= f_max && f_max.is_finite(),
        Value,
        "{op}: expected 0 <= f_min <= f_max, got {f_min} and {f_max}"
    );
    Ok(())
}

/// A bank of triangular filters that are equally wide in mel, `float32`.
///
/// # Shapes
/// `[n_freqs, n_mels]`.
///
/// # Errors
/// `Value` unless `0 ≤ f_min ≤ f_max`.
pub fn melscale_fbanks(n_freqs: usize, options: &MelOptions) -> Result<Tensor> {
    let f_max = options.f_max.unwrap_or((options.sample_rate / 2) as f64);
    check_range("melscale_fbanks", options.f_min, f_max)?;
    let scale = options.mel_scale;
    let points: Vec<f64> = points(scale.of_hz(options.f_min), scale.of_hz(f_max), options.n_mels)
        .map(|mel| scale.to_hz(mel))
        .collect();
    triangles(n_freqs, options.sample_rate, &points, |m| match options.norm {
        Some(MelNorm::Slaney) => 2.0 / (points[m + 2] - points[m]),
        None => 1.0,
    })
}

/// A bank of triangular filters that are equally wide in Hz, `float32`.
///
/// # Shapes
/// `[n_freqs, n_filter]`.
///
/// # Errors
/// `Value` unless `0 ≤ f_min ≤ f_max`.
pub fn linear_fbanks(
    n_freqs: usize,
    f_min: f64,
    f_max: f64,
    n_filter: usize,
    sample_rate: usize,
) -> Result<Tensor> {
    check_range("linear_fbanks", f_min, f_max)?;
    let points: Vec<f64> = points(f_min, f_max, n_filter).collect();
    triangles(n_freqs, sample_rate, &points, |_| 1.0)
}

/// The matrix of the discrete cosine transform (type II): `2·cos(π/n_mels·(n + ½)·k)`, or, if `ortho`, orthonormal;
/// `float32`.
///
/// # Shapes
/// `[n_mels, n_mfcc]`.
///
/// # Errors
/// None on a machine with memory for it.
pub fn create_dct(n_mfcc: usize, n_mels: usize, ortho: bool) -> Result<Tensor> {
    let mut dct = Vec::with_capacity(n_mels * n_mfcc);
    for n in 0..n_mels {
        for k in 0..n_mfcc {
            let scale = match (ortho, k) {
                (false, _) => 2.0,
                (true, 0) => (1.0 / n_mels as f64).sqrt(),
                (true, _) => (2.0 / n_mels as f64).sqrt(),
            };
            dct.push((scale * (PI / n_mels as f64 * (n as f64 + 0.5) * k as f64).cos()) as f32);
        }
    }
    Tensor::from_vec(dct, (n_mels, n_mfcc))
}
