//! Filters of second order ("Cookbook formulae for audio EQ biquad filter coefficients", Bristow-Johnson).
//!
//! Coefficients are computed in the waveform's type, as torchaudio does. Frequencies, gains and `Q` are numbers or 0-d
//! tensors, which get gradients.

use std::f64::consts::PI;

use flambeau_tensor::{DType, Operand, Result, Tensor, bail, ensure};

use super::lfilter::filtered;
use super::{check_float, scalar, time};

/// A number or a 0-d tensor in the waveform's type.
fn number<'a>(op: &str, x: impl Into<Operand<'a>>, dtype: DType) -> Result<Tensor> {
    match x.into() {
        Operand::Scalar(x) => Ok(Tensor::scalar_tensor(x, dtype)),
        Operand::Tensor(x) => {
            ensure!(
                x.numel() == 1,
                Shape,
                "{op}: expected a number, got a tensor {:?}",
                x.shape()
            );
            x.to_dtype(dtype)?.reshape(())
        }
    }
}

/// What the filters' formulae are made of.
struct Angles {
    /// The frequency's sine and cosine.
    cos: Tensor,
    sin: Tensor,
    /// `sin/(2·Q)`.
    alpha: Tensor,
}

impl Angles {
    fn new<'a, 'b>(
        op: &str,
        waveform: &Tensor,
        sample_rate: usize,
        frequency: impl Into<Operand<'a>>,
        q: impl Into<Operand<'b>>,
    ) -> Result<Angles> {
        check_float(op, waveform)?;
        time(op, waveform)?;
        ensure!(sample_rate > 0, Value, "{op}: expected a positive sample rate");
        let dtype = waveform.dtype();
        let w0 = number(op, frequency, dtype)?
            .mul(2.0 * PI)?
            .div(sample_rate as f64)?;
        let (sin, cos) = (w0.sin()?, w0.cos()?);
        let alpha = sin.div(2)?.div(&number(op, q, dtype)?)?;
        Ok(Angles { cos, sin, alpha })
    }

    /// `1 + α, -2·cos, 1 - α`: what several filters are divided by.
    fn denominator(&self) -> Result<[Tensor; 3]> {
        Ok([self.alpha.add(1)?, self.cos.mul(-2)?, self.alpha.rsub(1)?])
    }
}

/// `10^(gain/40)`.
fn amplitude(gain: &Tensor) -> Result<Tensor> {
    gain.div(40)?.mul(10f64.ln())?.exp()
}

/// A filter of second order with these coefficients, each a number or a 0-d tensor: `b` of the input, `a` of the output.
///
/// # Shapes
/// `[…, time] → […, time]`, between -1 and 1.
///
/// # Errors
/// `DType` unless the waveform is of floating point numbers; `Shape` for coefficients of several elements.
pub fn biquad<'a>(
    waveform: &Tensor,
    b: [impl Into<Operand<'a>>; 3],
    a: [impl Into<Operand<'a>>; 3],
) -> Result<Tensor> {
    check_float("biquad", waveform)?;
    time("biquad", waveform)?;
    let dtype = waveform.dtype();
    let [b0, b1, b2] = b.map(|x| number("biquad", x, dtype));
    let [a0, a1, a2] = a.map(|x| number("biquad", x, dtype));
    filtered(waveform, [b0?, b1?, b2?], [a0?, a1?, a2?])
}

/// Filters of the form `name(waveform, sample_rate, frequency, Q)`.
macro_rules! filters {
    ($($(#[$doc:meta])* $name:ident($frequency:ident) |$w:ident| $b:expr;)*) => { $(
        $(#[$doc])*
        ///
        /// # Shapes
        /// `[…, time] → […, time]`, between -1 and 1.
        ///
        /// # Errors
        /// `DType` unless the waveform is of floating point numbers; `Value` for a sample rate of 0.
        pub fn $name<'a, 'b>(
            waveform: &Tensor,
            sample_rate: usize,
            $frequency: impl Into<Operand<'a>>,
            q: impl Into<Operand<'b>>,
        ) -> Result<Tensor> {
            let $w = Angles::new(stringify!($name), waveform, sample_rate, $frequency, q)?;
            filtered(waveform, $b, $w.denominator()?)
        }
    )* };
}

filters! {
    /// Frequencies below `cutoff_freq`.
    lowpass_biquad(cutoff_freq) |w| {
        let half = w.cos.rsub(1)?.div(2)?;
        [half.clone(), w.cos.rsub(1)?, half]
    };
    /// Frequencies above `cutoff_freq`.
    highpass_biquad(cutoff_freq) |w| {
        let half = w.cos.add(1)?.div(2)?;
        [half.clone(), w.cos.rsub(-1)?, half]
    };
    /// All frequencies, with other phases around `central_freq`.
    allpass_biquad(central_freq) |w| [w.alpha.rsub(1)?, w.cos.mul(-2)?, w.alpha.add(1)?];
    /// Frequencies except those around `central_freq`.
    bandreject_biquad(central_freq) |w| {
        let one = scalar(1.0, w.cos.dtype());
        [one.clone(), w.cos.mul(-2)?, one]
    };
}

/// Frequencies around `central_freq`; with `const_skirt_gain`, the gain there is `Q`, otherwise 1.
///
/// # Shapes
/// `[…, time] → […, time]`, between -1 and 1.
///
/// # Errors
/// `DType` unless the waveform is of floating point numbers; `Value` for a sample rate of 0.
pub fn bandpass_biquad<'a, 'b>(
    waveform: &Tensor,
    sample_rate: usize,
    central_freq: impl Into<Operand<'a>>,
    q: impl Into<Operand<'b>>,
    const_skirt_gain: bool,
) -> Result<Tensor> {
    let w = Angles::new("bandpass_biquad", waveform, sample_rate, central_freq, q)?;
    let gain = if const_skirt_gain {
        w.sin.div(2)?
    } else {
        w.alpha.clone()
    };
    let b = [gain.clone(), scalar(0.0, waveform.dtype()), gain.neg()?];
    filtered(waveform, b, w.denominator()?)
}

/// Frequencies around `center_freq`, `gain` decibels louder.
///
/// # Shapes
/// `[…, time] → […, time]`, between -1 and 1.
///
/// # Errors
/// `DType` unless the waveform is of floating point numbers; `Value` for a sample rate of 0.
pub fn equalizer_biquad<'a, 'b, 'c>(
    waveform: &Tensor,
    sample_rate: usize,
    center_freq: impl Into<Operand<'a>>,
    gain: impl Into<Operand<'b>>,
    q: impl Into<Operand<'c>>,
) -> Result<Tensor> {
    let op = "equalizer_biquad";
    let w = Angles::new(op, waveform, sample_rate, center_freq, q)?;
    let amplitude = amplitude(&number(op, gain, waveform.dtype())?)?;
    let (up, down) = (w.alpha.mul(&amplitude)?, w.alpha.div(&amplitude)?);
    let middle = w.cos.mul(-2)?;
    let b = [up.add(1)?, middle.clone(), up.rsub(1)?];
    filtered(waveform, b, [down.add(1)?, middle, down.rsub(1)?])
}

/// The shelving filters: low frequencies for `low`, high ones otherwise.
fn shelf(waveform: &Tensor, w: &Angles, amplitude: &Tensor, low: bool) -> Result<[[Tensor; 3]; 2]> {
    debug_assert!(waveform.dtype().is_float());
    let sign = if low { 1 } else { -1 };
    let root = amplitude.sqrt()?.mul(2)?.mul(&w.alpha)?;
    let (less, more) = (amplitude.sub(1)?, amplitude.add(1)?);
    // With the opposite sign for high frequencies, the formulae are the same.
    let less_cos = less.mul(&w.cos)?.mul(sign)?;
    let more_cos = more.mul(&w.cos)?.mul(sign)?;
    let b = [
        amplitude.mul(&more.sub(&less_cos)?.add(&root)?)?,
        amplitude.mul(2 * sign)?.mul(&less.sub(&more_cos)?)?,
        amplitude.mul(&more.sub(&less_cos)?.sub(&root)?)?,
    ];
    let a = [
        more.add(&less_cos)?.add(&root)?,
        less.add(&more_cos)?.mul(-2 * sign)?,
        more.add(&less_cos)?.sub(&root)?,
    ];
    Ok([b, a])
}

/// Low frequencies, `gain` decibels louder; torchaudio's defaults are a `central_freq` of 100 Hz and a `Q` of 0.707.
///
/// # Shapes
/// `[…, time] → […, time]`, between -1 and 1.
///
/// # Errors
/// `DType` unless the waveform is of floating point numbers; `Value` for a sample rate of 0.
pub fn bass_biquad<'a, 'b, 'c>(
    waveform: &Tensor,
    sample_rate: usize,
    gain: impl Into<Operand<'a>>,
    central_freq: impl Into<Operand<'b>>,
    q: impl Into<Operand<'c>>,
) -> Result<Tensor> {
    let w = Angles::new("bass_biquad", waveform, sample_rate, central_freq, q)?;
    let amplitude = amplitude(&number("bass_biquad", gain, waveform.dtype())?)?;
    let [b, a] = shelf(waveform, &w, &amplitude, true)?;
    filtered(waveform, b, a)
}

/// High frequencies, `gain` decibels louder; torchaudio's defaults are a `central_freq` of 3000 Hz and a `Q` of 0.707.
///
/// # Shapes
/// `[…, time] → […, time]`, between -1 and 1.
///
/// # Errors
/// `DType` unless the waveform is of floating point numbers; `Value` for a sample rate of 0.
pub fn treble_biquad<'a, 'b, 'c>(
    waveform: &Tensor,
    sample_rate: usize,
    gain: impl Into<Operand<'a>>,
    central_freq: impl Into<Operand<'b>>,
    q: impl Into<Operand<'c>>,
) -> Result<Tensor> {
    let w = Angles::new("treble_biquad", waveform, sample_rate, central_freq, q)?;
    let amplitude = amplitude(&number("treble_biquad", gain, waveform.dtype())?)?;
    let [b, a] = shelf(waveform, &w, &amplitude, false)?;
    filtered(waveform, b, a)
}

/// SoX's band filter around `central_freq`, for sounds with a pitch, or, with `noise`, without one.
///
/// # Shapes
/// `[…, time] → […, time]`, between -1 and 1.
///
/// # Errors
/// `DType` unless the waveform is of floating point numbers; `Value` for a sample rate of 0.
pub fn band_biquad<'a, 'b>(
    waveform: &Tensor,
    sample_rate: usize,
    central_freq: impl Into<Operand<'a>>,
    q: impl Into<Operand<'b>>,
    noise: bool,
) -> Result<Tensor> {
    let op = "band_biquad";
    check_float(op, waveform)?;
    time(op, waveform)?;
    ensure!(sample_rate > 0, Value, "{op}: expected a positive sample rate");
    let dtype = waveform.dtype();
    let (frequency, q) = (number(op, central_freq, dtype)?, number(op, q, dtype)?);
    let w0 = frequency.mul(2.0 * PI)?.div(sample_rate as f64)?;
    let a2 = frequency
        .div(&q)?
        .mul(-2.0 * PI)?
        .div(sample_rate as f64)?
        .exp()?;
    let a1 = a2.mul(-4)?.div(&a2.add(1)?)?.mul(&w0.cos()?)?;
    let squared = a1.square()?;
    let mut b0 = squared.div(&a2.mul(4)?)?.rsub(1)?.sqrt()?.mul(&a2.rsub(1)?)?;
    if noise {
        let sum = a2.add(1)?;
        let scale = sum
            .square()?
            .sub(&squared)?
            .mul(&a2.rsub(1)?)?
            .div(&sum)?
            .sqrt()?
            .div(&b0)?;
        b0 = scale.mul(&b0)?;
    }
    let zero = scalar(0.0, dtype);
    filtered(waveform, [b0, zero.clone(), zero], [scalar(1.0, dtype), a1, a2])
}

/// The de-emphasis of compact discs (ISO 908), for 44.1 and 48 kHz.
///
/// # Shapes
/// `[…, time] → […, time]`, between -1 and 1.
///
/// # Errors
/// `Value` for another sample rate; `DType` unless the waveform is of floating point numbers.
pub fn deemph_biquad(waveform: &Tensor, sample_rate: usize) -> Result<Tensor> {
    let (frequency, slope, gain) = match sample_rate {
        44100 => (5283.0, 0.4845, -9.477),
        48000 => (5356.0, 0.479, -9.62),
        _ => bail!(
            Value,
            "deemph_biquad: expected a sample rate of 44100 or 48000, got {sample_rate}"
        ),
    };
    let w0: f64 = 2.0 * PI * frequency / sample_rate as f64;
    let amplitude = 10f64.powf(gain / 40.0);
    let alpha = w0.sin() / 2.0 * ((amplitude + 1.0 / amplitude) * (1.0 / slope - 1.0) + 2.0).sqrt();
    let root = 2.0 * amplitude.sqrt() * alpha;
    let (less, more) = (amplitude - 1.0, amplitude + 1.0);
    let cos = w0.cos();
    biquad(
        waveform,
        [
            amplitude * (more + less * cos + root),
            -2.0 * amplitude * (less + more * cos),
            amplitude * (more + less * cos - root),
        ],
        [
            more - less * cos + root,
            2.0 * (less - more * cos),
            more - less * cos - root,
        ],
    )
}

/// The playback equalisation of vinyl records (RIAA), for 44.1, 48, 88.2 and 96 kHz.
///
/// # Shapes
/// `[…, time] → […, time]`, between -1 and 1.
///
/// # Errors
/// `Value` for another sample rate; `DType` unless the waveform is of floating point numbers.
pub fn riaa_biquad(waveform: &Tensor, sample_rate: usize) -> Result<Tensor> {
    let (zeros, poles) = match sample_rate {
        44100 => ([-0.2014898, 0.923382], [0.7083149, 0.9924091]),
        48000 => ([-0.1766069, 0.932159], [0.7396325, 0.993133]),
        88200 => ([-0.1168735, 0.9648312], [0.8590646, 0.9964002]),
        96000 => ([-0.1141486, 0.9676817], [0.8699137, 0.9966946]),
        _ => bail!(
            Value,
            "riaa_biquad: expected a sample rate of 44100, 48000, 88200 or 96000, got {sample_rate}"
        ),
    };
    let polynomial = |roots: [f64; 2]| [1.0, -(roots[0] + roots[1]), roots[0] * roots[1]];
    let (b, a) = (polynomial(zeros), polynomial(poles));
    // The gain at 1 kHz is 1.
    let y = 2.0 * PI * 1000.0 / sample_rate as f64;
    let squared = |c: [f64; 3]| {
        let re = c[0] + c[1] * y.cos() + c[2] * (2.0 * y).cos();
        let im = c[1] * y.sin() + c[2] * (2.0 * y).sin();
        re * re + im * im
    };
    let gain = (squared(a) / squared(b)).sqrt();
    biquad(waveform, b.map(|b| b * gain), a)
}
