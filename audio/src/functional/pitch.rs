//! The pitch of each frame by normalised cross-correlation with the waveform itself, a few milliseconds later, smoothed by
//! medians (`torchaudio.functional.detect_pitch_frequency`).

use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::{check_float, packed, time, unpacked};

/// Options of [`detect_pitch_frequency`]; the defaults are torchaudio's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PitchOptions {
    /// A frame's duration in seconds.
    pub frame_time: f64,
    /// Frames of a median.
    pub win_length: usize,
    /// The lowest pitch that is looked for, in Hz.
    pub freq_low: usize,
    /// The highest pitch that is looked for, in Hz.
    pub freq_high: usize,
}

impl Default for PitchOptions {
    fn default() -> Self {
        PitchOptions {
            frame_time: 0.01,
            win_length: 30,
            freq_low: 85,
            freq_high: 3400,
        }
    }
}

/// The pitch of each frame in Hz, `float32`.
///
/// # Shapes
/// `[…, time] → […, frames]`.
///
/// # Errors
/// `Value` for frequencies or times that make no sense; `Shape` for a waveform with fewer frames than half a median.
pub fn detect_pitch_frequency(
    waveform: &Tensor,
    sample_rate: usize,
    options: &PitchOptions,
) -> Result<Tensor> {
    let op = "detect_pitch_frequency";
    let length = time(op, waveform)?;
    check_float(op, waveform)?;
    ensure!(
        0 < options.freq_low && options.freq_low < options.freq_high && sample_rate > 0,
        Value,
        "{op}: expected a sample rate and 0 < freq_low < freq_high, got {sample_rate}, {} and {}",
        options.freq_low,
        options.freq_high
    );
    let lags = sample_rate.div_ceil(options.freq_low);
    let frame = (sample_rate as f64 * options.frame_time).ceil() as usize;
    ensure!(
        frame > 0 && options.win_length > 0,
        Value,
        "{op}: expected frames and medians of some length, got {options:?}"
    );
    let count = length.div_ceil(frame);
    let half = (options.win_length - 1) / 2;
    let least = sample_rate.div_ceil(options.freq_high);
    ensure!(
        count > half && least < lags / 2,
        Shape,
        "{op}: {length} samples are too few for medians of {} frames",
        options.win_length
    );
    let behind = lags + count * frame - length;
    let x = packed(waveform, 1)?.pad(&[0, behind as isize], PadMode::Constant, 0)?;
    let framed = |lag: usize| -> Result<Tensor> {
        x.narrow(-1, lag as isize, count * frame)?
            .unflatten(-1, (count, frame))
    };
    let norm = |frames: &Tensor| frames.vector_norm(2.0, -1, false)?.add(1e-9)?.square();
    let here = framed(0)?;
    let here_norm = norm(&here)?;
    let correlations = (1..=lags).map(|lag| {
        let there = framed(lag)?;
        here.mul(&there)?
            .sum_dim(-1, false)?
            .div(&here_norm)?
            .div(&norm(&there)?)
    });
    let correlations = Tensor::stack(&correlations.collect::<Result<Vec<_>>>()?, -1)?;

    // The best lag; one in the shorter half that is nearly as good is preferred, since twice a period is one, too.
    let (best, at) = correlations
        .narrow(-1, least as isize, lags - least)?
        .max_dim(-1, false)?;
    let (short, short_at) = correlations
        .narrow(-1, least as isize, lags / 2 - least)?
        .max_dim(-1, false)?;
    let lag = short.gt(&best.mul(0.99)?)?.where_cond(&short_at, &at)?;
    let lag = lag.add(least as i64 + 1)?;

    let first = lag.narrow(-1, half as isize, 1)?.expand((lag.shape()[0], half))?;
    let (median, _) = Tensor::cat(&[&first, &lag], -1)?
        .unfold(-1, options.win_length, 1)?
        .median_dim(-1, false)?;
    let frequency = median
        .to_dtype(DType::F32)?
        .add(1e-9)?
        .reciprocal()?
        .mul(sample_rate as f64)?;
    unpacked(&frequency, waveform.shape(), 1)
}
