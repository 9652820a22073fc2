//! Other sample rates, by a windowed sinc: "Digital audio resampling" (Smith, 2002), as a convolution with a filter for each
//! phase.

use std::f64::consts::PI;

use flambeau_tensor::ops::conv::{ConvOptions, conv1d};
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::{check_float, packed, time, unpacked};

/// The window of the sinc.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum ResamplingMethod {
    /// Hann's window (`"sinc_interp_hann"`).
    #[default]
    SincInterpHann,
    /// Kaiser's window (`"sinc_interp_kaiser"`).
    SincInterpKaiser,
}

impl ResamplingMethod {
    /// The method of torchaudio's name.
    pub fn from_name(name: &str) -> Option<ResamplingMethod> {
        match name {
            "sinc_interp_hann" => Some(ResamplingMethod::SincInterpHann),
            "sinc_interp_kaiser" => Some(ResamplingMethod::SincInterpKaiser),
            _ => None,
        }
    }
}

/// Options of [`resample`]; the defaults are torchaudio's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResampleOptions {
    /// Zero crossings of the sinc on either side: more are sharper and take longer.
    pub lowpass_filter_width: usize,
    /// The highest frequency that is kept, as a part of the highest one that there can be.
    pub rolloff: f64,
    /// The window.
    pub resampling_method: ResamplingMethod,
    /// The shape of Kaiser's window; 14.769656459379492 by default.
    pub beta: Option<f64>,
}

impl Default for ResampleOptions {
    fn default() -> Self {
        ResampleOptions {
            lowpass_filter_width: 6,
            rolloff: 0.99,
            resampling_method: ResamplingMethod::SincInterpHann,
            beta: None,
        }
    }
}

/// The filters of a change of rate.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// `[new, 1, 2·width + orig]`.
    pub(crate) filters: Tensor,
    /// Samples on either side.
    pub(crate) width: usize,
    /// The rates, divided by their greatest common divisor.
    pub(crate) orig: usize,
    pub(crate) new: usize,
}

/// The greatest common divisor.
fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The modified Bessel function of the first kind of order 0, by its series, whose terms are all positive.
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-17 {
        term *= (x / (2.0 * k)) * (x / (2.0 * k));
        sum += term;
        k += 1.0;
    }
    sum
}

/// The filters between two rates, in `dtype`.
pub(crate) fn resample_kernel(
    orig_freq: usize,
    new_freq: usize,
    options: &ResampleOptions,
    dtype: DType,
) -> Result<Kernel> {
    ensure!(
        orig_freq > 0 && new_freq > 0,
        Value,
        "resample: expected positive sample rates, got {orig_freq} and {new_freq}"
    );
    let zeros = options.lowpass_filter_width as f64;
    ensure!(
        zeros > 0.0 && options.rolloff > 0.0 && options.rolloff.is_finite(),
        Value,
        "resample: expected a positive lowpass_filter_width and rolloff, got {} and {}",
        options.lowpass_filter_width,
        options.rolloff
    );
    let divisor = gcd(orig_freq, new_freq);
    let (orig, new) = (orig_freq / divisor, new_freq / divisor);
    let base = orig.min(new) as f64 * options.rolloff;
    let width = (zeros * orig as f64 / base).ceil() as usize;
    let taps = 2 * width + orig;
    let beta = options.beta.unwrap_or(14.769656459379492);
    let mut filters = Vec::with_capacity(new * taps);
    for phase in 0..new {
        for tap in 0..taps {
            let at = (tap as f64 - width as f64) / orig as f64 - phase as f64 / new as f64;
            let t = (at * base).clamp(-zeros, zeros);
            let window = match options.resampling_method {
                ResamplingMethod::SincInterpHann => (t * PI / zeros / 2.0).cos().powi(2),
                ResamplingMethod::SincInterpKaiser => {
                    bessel_i0(beta * (1.0 - (t / zeros).powi(2)).sqrt()) / bessel_i0(beta)
                }
            };
            let sinc = if t == 0.0 { 1.0 } else { (t * PI).sin() / (t * PI) };
            filters.push(sinc * window * base / orig as f64);
        }
    }
    Ok(Kernel {
        filters: Tensor::from_vec(filters, (new, 1, taps))?.to_dtype(dtype)?,
        width,
        orig,
        new,
    })
}

/// A waveform through the filters.
pub(crate) fn resampled(waveform: &Tensor, kernel: &Kernel) -> Result<Tensor> {
    let length = time("resample", waveform)?;
    check_float("resample", waveform)?;
    let (width, orig) = (kernel.width as isize, kernel.orig as isize);
    let padded = packed(waveform, 1)?.pad(&[width, width + orig], PadMode::Constant, 0)?;
    let options = ConvOptions {
        stride: [kernel.orig],
        ..ConvOptions::default()
    };
    let phases = conv1d(&padded.unsqueeze(1)?, &kernel.filters, None, &options)?;
    let resampled = phases.transpose(1, 2)?.flatten(1, 2)?;
    let wanted = (kernel.new * length).div_ceil(kernel.orig);
    unpacked(&resampled.narrow(-1, 0, wanted)?, waveform.shape(), 1)
}

/// The waveform at another sample rate.
///
/// ```
/// # use flambeau_audio::functional::{ResampleOptions, resample};
/// # use flambeau_tensor::{DType, Result, Tensor};
/// # fn main() -> Result<()> {
/// let second = Tensor::zeros((2, 44100), DType::F32)?;
/// assert_eq!(resample(&second, 44100, 16000, &ResampleOptions::default())?.shape(), [2, 16000]);
/// # Ok(())
/// # }
/// ```
///
/// # Shapes
/// `[…, time] → […, ⌈time·new_freq/orig_freq⌉]`.
///
/// # Errors
/// `Value` for rates of 0; `DType` unless the waveform is of floating point numbers.
pub fn resample(
    waveform: &Tensor,
    orig_freq: usize,
    new_freq: usize,
    options: &ResampleOptions,
) -> Result<Tensor> {
    check_float("resample", waveform)?;
    if orig_freq == new_freq && orig_freq > 0 {
        return Ok(waveform.clone());
    }
    resampled(
        waveform,
        &resample_kernel(orig_freq, new_freq, options, waveform.dtype())?,
    )
}
