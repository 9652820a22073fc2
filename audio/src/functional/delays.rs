//! Echoes whose delay swings: the flanger and the phaser, after SoX.
//!
//! Both are linear in the sound: at every moment, some earlier samples are added with weights that do not depend on it. In a
//! feedback, earlier samples of the result are. The gradient of either is the same sum with its arrows turned round.

use std::f64::consts::{FRAC_PI_2, PI, TAU};
use std::sync::Arc;

use flambeau_tensor::ops::custom::{Function, apply};
use flambeau_tensor::{Result, Tensor, bail, ensure};

use super::{check_float, time};

/// The shape of the swing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Modulation {
    /// A sine.
    #[default]
    Sinusoidal,
    /// Straight up and straight down.
    Triangular,
}

impl Modulation {
    /// One swing of `size` steps from `low` to `high` and back, which begins at a phase from 0 to 2π.
    fn table(self, size: usize, low: f64, high: f64, phase: f64) -> Vec<f64> {
        let offset = (phase / TAU * size as f64 + 0.5) as usize;
        let level = |step: usize| {
            let point = (step + offset) % size;
            let part = point as f64 / size as f64;
            let level = match self {
                Modulation::Sinusoidal => (f64::sin(part * TAU) + 1.0) / 2.0,
                Modulation::Triangular => match 4 * point / size {
                    0 => 2.0 * part + 0.5,
                    1 | 2 => 1.5 - 2.0 * part,
                    _ => 2.0 * part - 1.5,
                },
            };
            level * (high - low) + low
        };
        (0..size).map(level).collect()
    }
}

/// The earlier samples that are added at one moment: weights, and how many samples ago.
type Moment = Vec<(f64, usize)>;

/// `y[t] = Σ w[t]·x[t - d[t]]`, or `y[t] = x[t] + Σ w[t]·y[t - d[t]]` with feedback, of `x` `[batch, channels, time]`.
#[derive(Clone)]
struct Delays {
    name: &'static str,
    /// For each channel and each moment.
    moments: Arc<Vec<Vec<Moment>>>,
    feedback: bool,
    /// Whether samples go from where they would come from: the gradient.
    turned: bool,
}

impl Function for Delays {
    fn name(&self) -> &'static str {
        self.name
    }

    fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let x = &inputs[0];
        let time = x.size(-1)?;
        let from = x.to_vec_f64()?;
        let mut to = match self.feedback {
            true => from.clone(),
            false => vec![0.0; from.len()],
        };
        if time > 0 {
            let signals = from.chunks_exact(time).zip(to.chunks_exact_mut(time));
            for ((from, to), moments) in signals.zip(self.moments.iter().cycle()) {
                self.run(from, to, moments);
            }
        }
        Ok(vec![Tensor::from_vec(to, x.shape())?.to_dtype(x.dtype())?])
    }

    fn backward(&self, _: &[Tensor], _: &[Tensor], grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let Some(grad) = &grads[0] else {
            return Ok(vec![None]);
        };
        let turned = Delays {
            turned: !self.turned,
            ..self.clone()
        };
        Ok(vec![Some(turned.apply(grad)?)])
    }
}

impl Delays {
    fn run(&self, from: &[f64], to: &mut [f64], moments: &[Moment]) {
        let step = |t: usize, to: &mut [f64]| {
            for &(weight, delay) in &moments[t] {
                let Some(before) = t.checked_sub(delay) else {
                    continue;
                };
                let (source, target) = if self.turned { (t, before) } else { (before, t) };
                let sample = if self.feedback { to[source] } else { from[source] };
                to[target] += weight * sample;
            }
        };
        if self.turned {
            (0..to.len()).rev().for_each(|t| step(t, to));
        } else {
            (0..to.len()).for_each(|t| step(t, to));
        }
    }

    fn apply(self, x: &Tensor) -> Result<Tensor> {
        Ok(apply(Arc::new(self), &[x])?.swap_remove(0))
    }
}

/// An error unless a setting is in its range.
fn check_range(op: &str, name: &str, value: f64, low: f64, high: f64) -> Result<()> {
    ensure!(
        (low..=high).contains(&value),
        Value,
        "{op}: expected {name} from {low} to {high}, got {value}"
    );
    Ok(())
}

/// Options of [`phaser`]; the defaults are torchaudio's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PhaserOptions {
    /// How loud the sound goes in, from 0 to 1.
    pub gain_in: f64,
    /// How loud the result is, from 0.
    pub gain_out: f64,
    /// The longest delay in milliseconds, up to 5.
    pub delay_ms: f64,
    /// How loud an echo is, from 0 to 0.99.
    pub decay: f64,
    /// Swings a second, from 0.1 to 2.
    pub mod_speed: f64,
    /// The shape of the swing.
    pub modulation: Modulation,
}

impl Default for PhaserOptions {
    fn default() -> Self {
        PhaserOptions {
            gain_in: 0.4,
            gain_out: 0.74,
            delay_ms: 3.0,
            decay: 0.4,
            mod_speed: 0.5,
            modulation: Modulation::Sinusoidal,
        }
    }
}

/// SoX's phaser: an echo of the result itself, whose delay swings between one sample and `delay_ms`.
///
/// # Shapes
/// `[…, time] → […, time]`, between -1 and 1.
///
/// # Errors
/// `Value` for settings out of their ranges, or a delay of less than half a sample; `Shape` for a 0-d tensor; `DType` unless
/// the waveform is of floating point numbers.
pub fn phaser(waveform: &Tensor, sample_rate: usize, options: &PhaserOptions) -> Result<Tensor> {
    let op = "phaser";
    let length = time(op, waveform)?;
    check_float(op, waveform)?;
    let o = options;
    check_range(op, "gain_in", o.gain_in, 0.0, 1.0)?;
    check_range(op, "gain_out", o.gain_out, 0.0, 1e9)?;
    check_range(op, "delay_ms", o.delay_ms, 0.0, 5.0)?;
    check_range(op, "decay", o.decay, 0.0, 0.99)?;
    check_range(op, "mod_speed", o.mod_speed, 0.1, 2.0)?;
    let longest = (o.delay_ms * 0.001 * sample_rate as f64 + 0.5) as usize;
    ensure!(
        longest > 0,
        Value,
        "{op}: {} ms are no sample at {sample_rate} Hz",
        o.delay_ms
    );
    let period = (sample_rate as f64 / o.mod_speed + 0.5) as usize;
    let swing = o.modulation.table(period, 1.0, longest as f64, FRAC_PI_2);
    let moment = |t: usize| vec![(o.decay, longest - (swing[t % period] + 0.5) as usize + 1)];
    let echoes = Delays {
        name: op,
        moments: Arc::new(vec![(0..length).map(moment).collect()]),
        feedback: true,
        turned: false,
    };
    echoes
        .apply(&waveform.mul(o.gain_in)?)?
        .mul(o.gain_out)?
        .clamp(Some((-1).into()), Some(1.into()))
}

/// How a flanger reads between two samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DelayInterpolation {
    /// On the line through two samples.
    #[default]
    Linear,
    /// On the parabola through three samples.
    Quadratic,
}

/// Options of [`flanger`]; the defaults are torchaudio's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlangerOptions {
    /// The shortest delay in milliseconds, up to 30.
    pub delay: f64,
    /// How many milliseconds longer it gets, up to 10.
    pub depth: f64,
    /// How much of the echo is fed back, in percent from -95 to 95.
    pub regen: f64,
    /// How loud the echo is, in percent.
    pub width: f64,
    /// Swings a second, from 0.1 to 10.
    pub speed: f64,
    /// How far each channel's swing is ahead of the one before, in percent.
    pub phase: f64,
    /// The shape of the swing.
    pub modulation: Modulation,
    /// How echoes are read between two samples.
    pub interpolation: DelayInterpolation,
}

impl Default for FlangerOptions {
    fn default() -> Self {
        FlangerOptions {
            delay: 0.0,
            depth: 2.0,
            regen: 0.0,
            width: 71.0,
            speed: 0.5,
            phase: 25.0,
            modulation: Modulation::Sinusoidal,
            interpolation: DelayInterpolation::Linear,
        }
    }
}

/// SoX's flanger: the sound and an echo of it whose delay swings, in each channel a little ahead of the one before.
///
/// # Shapes
/// `[…, channels, time] → […, channels, time]`, between -1 and 1, with at most 4 channels.
///
/// # Errors
/// `Value` for settings out of their ranges; `Shape` unless there are 1 to 4 channels; `DType` unless the waveform is of
/// floating point numbers.
pub fn flanger(waveform: &Tensor, sample_rate: usize, options: &FlangerOptions) -> Result<Tensor> {
    let op = "flanger";
    check_float(op, waveform)?;
    let &[.., channels @ 1..=4, length] = waveform.shape() else {
        bail!(
            Shape,
            "{op}: expected a waveform […, channels, time] of 1 to 4 channels, got {:?}",
            waveform.shape()
        )
    };
    let o = options;
    check_range(op, "delay", o.delay, 0.0, 30.0)?;
    check_range(op, "depth", o.depth, 0.0, 10.0)?;
    check_range(op, "regen", o.regen, -95.0, 95.0)?;
    check_range(op, "width", o.width, 0.0, 100.0)?;
    check_range(op, "speed", o.speed, 0.1, 10.0)?;
    check_range(op, "phase", o.phase, 0.0, 100.0)?;
    ensure!(
        sample_rate > 0,
        Value,
        "{op}: expected a positive sample rate, got 0"
    );
    let feedback = o.regen / 100.0;
    let width = o.width / 100.0;
    let rate = sample_rate as f64;
    let shortest = (o.delay / 1000.0 * rate + 0.5).floor();
    let longest = ((o.delay / 1000.0 + o.depth / 1000.0) * rate + 0.5).floor();
    let period = ((rate / o.speed) as usize).max(1);
    let swing = o.modulation.table(period, shortest, longest, 3.0 * PI / 2.0);
    // Delays are float32, as they are in torchaudio, whatever the waveform's type.
    let read = |t: usize, channel: usize| -> Moment {
        let ahead = (channel * period) as f32 * (o.phase / 100.0) as f32 + 0.5;
        let delay = swing[(t + ahead as usize) % period] as f32;
        let (whole, part) = (delay.floor() as usize, f64::from(delay.fract()));
        let weights = match o.interpolation {
            DelayInterpolation::Linear => [1.0 - part, part, 0.0],
            DelayInterpolation::Quadratic => {
                let (second, third) = (part * (2.0 - part), part * (part - 1.0) / 2.0);
                [1.0 - second - third, second, third]
            }
        };
        let samples = weights.into_iter().zip(whole..);
        samples.filter(|&(weight, _)| weight != 0.0).collect()
    };
    let echo: Vec<Vec<Moment>> = (0..channels)
        .map(|channel| (0..length).map(|t| read(t, channel)).collect())
        .collect();
    let lead: usize = waveform.shape()[..waveform.rank() - 2].iter().product();
    let x = waveform.reshape((lead, channels, length))?;
    let mut line = x.clone();
    if feedback != 0.0 {
        // What goes into the delay line is the sound and the echo of a moment ago.
        let fed = |moment: &Moment| -> Moment {
            let earlier = moment.iter();
            earlier
                .map(|&(weight, delay)| (feedback * weight, delay + 1))
                .collect()
        };
        let fed = |echo: &Vec<Moment>| -> Vec<Moment> {
            std::iter::once(Moment::new())
                .chain(echo[..length.saturating_sub(1)].iter().map(fed))
                .take(length)
                .collect()
        };
        let delays = Delays {
            name: op,
            moments: Arc::new(echo.iter().map(fed).collect()),
            feedback: true,
            turned: false,
        };
        line = delays.apply(&x)?;
    }
    let delays = Delays {
        name: op,
        moments: Arc::new(echo),
        feedback: false,
        turned: false,
    };
    let echo = delays.apply(&line)?;
    let loud = width / (1.0 + width) * (1.0 - feedback.abs());
    x.div(1.0 + width)?
        .add(&echo.mul(loud)?)?
        .clamp(Some((-1).into()), Some(1.into()))?
        .reshape(waveform.shape())
}
