//! Gain, contrast, offset, overdrive, and the emphasis of high frequencies.

use std::f64::consts::FRAC_PI_2;

use flambeau_tensor::{Result, Tensor, ensure};

use super::lfilter::leaky_difference;
use super::{check_float, lfilter, time};

/// The waveform, `gain_db` decibels louder.
///
/// # Errors
/// `DType` unless the waveform is of numbers.
pub fn gain(waveform: &Tensor, gain_db: f64) -> Result<Tensor> {
    if gain_db == 0.0 {
        return Ok(waveform.clone());
    }
    waveform.mul(10f64.powf(gain_db / 20.0))
}

/// SoX's compression that makes sound brighter: `sin(x·π/2 + amount/750·sin(2π·x))`, with an amount from 0 to 100.
///
/// # Errors
/// `Value` for an amount outside of these; `DType` unless the waveform is of floating point numbers.
pub fn contrast(waveform: &Tensor, enhancement_amount: f64) -> Result<Tensor> {
    check_float("contrast", waveform)?;
    ensure!(
        (0.0..=100.0).contains(&enhancement_amount),
        Value,
        "contrast: expected an amount from 0 to 100, got {enhancement_amount}"
    );
    let angle = waveform.mul(FRAC_PI_2)?;
    let bend = angle.mul(4)?.sin()?.mul(enhancement_amount / 750.0)?;
    angle.add(&bend)?.sin()
}

/// The waveform plus `shift`, between -1 and 1; with a `limiter_gain`, peaks that would leave that range are compressed.
///
/// # Errors
/// `DType` unless the waveform is of floating point numbers.
pub fn dcshift(waveform: &Tensor, shift: f64, limiter_gain: Option<f64>) -> Result<Tensor> {
    check_float("dcshift", waveform)?;
    let shifted = waveform.add(shift)?.clamp(Some((-1).into()), Some(1.into()))?;
    let Some(gain) = limiter_gain.filter(|_| shift != 0.0) else {
        return Ok(shifted);
    };
    let threshold = 1.0 - (shift.abs() - gain);
    // Negative shifts are positive ones upside down.
    let (up, upright) = if shift > 0.0 {
        (waveform.clone(), 1)
    } else {
        (waveform.neg()?, -1)
    };
    let limited = up
        .sub(threshold)?
        .mul(gain)?
        .div(1.0 - threshold)?
        .add(threshold + shift.abs())?
        .clamp_max(threshold)?
        .mul(upright)?;
    up.gt(threshold)?.where_cond(&limited, &shifted)
}

/// SoX's non-linear distortion; `gain` in decibels, `colour` (0 to 100) for the even harmonics.
///
/// # Shapes
/// `[…, time] → […, time]`, between -1 and 1.
///
/// # Errors
/// `DType` unless the waveform is of floating point numbers.
pub fn overdrive(waveform: &Tensor, gain: f64, colour: f64) -> Result<Tensor> {
    check_float("overdrive", waveform)?;
    time("overdrive", waveform)?;
    let driven = waveform.mul(10f64.powf(gain / 20.0))?.add(colour / 200.0)?;
    // x - x³/3 has its extremes at ±1; beyond them it stays there.
    let bounded = driven.clamp(Some((-1).into()), Some(1.into()))?;
    let bent = bounded.sub(&bounded.pow(3)?.div(3)?)?;
    let moved = leaky_difference(&bent)?.reshape(waveform.shape())?;
    waveform
        .mul(0.5)?
        .add(&moved.mul(0.75)?)?
        .clamp(Some((-1).into()), Some(1.into()))
}

/// `y[t] = x[t] - coeff·x[t-1]`.
///
/// # Shapes
/// `[…, time] → […, time]`.
///
/// # Errors
/// `Shape` for a 0-d tensor; `DType` unless the waveform is of floating point numbers.
pub fn preemphasis(waveform: &Tensor, coeff: f64) -> Result<Tensor> {
    let length = time("preemphasis", waveform)?;
    check_float("preemphasis", waveform)?;
    if length < 2 {
        return Ok(waveform.clone());
    }
    let now = waveform.narrow(-1, 1, length - 1)?;
    let before = waveform.narrow(-1, 0, length - 1)?;
    let first = waveform.narrow(-1, 0, 1)?;
    Tensor::cat(&[&first, &now.sub(&before.mul(coeff)?)?], -1)
}

/// Undoes [`preemphasis`]: `y[t] = x[t] + coeff·y[t-1]`, between -1 and 1.
///
/// # Shapes
/// `[…, time] → […, time]`.
///
/// # Errors
/// `Shape` for a 0-d tensor; `DType` unless the waveform is of floating point numbers.
pub fn deemphasis(waveform: &Tensor, coeff: f64) -> Result<Tensor> {
    check_float("deemphasis", waveform)?;
    let coefficients = |values: [f64; 2]| Tensor::new(values)?.to_dtype(waveform.dtype());
    lfilter(
        waveform,
        &coefficients([1.0, -coeff])?,
        &coefficients([1.0, 0.0])?,
        true,
        true,
    )
    .map_err(|error| error.context("deemphasis"))
}
