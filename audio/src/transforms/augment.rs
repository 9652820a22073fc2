//! Masked spectrograms, and the volume of waveforms.

use std::f64::consts::{FRAC_PI_2, PI};

use flambeau_nn::{Forward, Module, observed};
use flambeau_tensor::{Result, Tensor, ensure};

use crate::functional::{MaskOptions, gain, mask_along_axis, mask_along_axis_iid};

/// Masks of one dimension of spectrograms, counted from behind.
fn masked(
    specgram: &Tensor,
    mask_param: usize,
    from_behind: usize,
    iid: bool,
    p: f64,
    value: &Tensor,
) -> Result<Tensor> {
    let options = MaskOptions {
        mask_param,
        axis: specgram.rank().saturating_sub(from_behind),
        p,
    };
    if iid {
        mask_along_axis_iid(specgram, &options, value)
    } else {
        mask_along_axis(specgram, &options, value)
    }
}

/// Masks a band of frequencies with zeros.
///
/// # Shapes
/// `[…, frequencies, frames] → […, frequencies, frames]`.
#[derive(Clone, Copy, Debug, Module)]
pub struct FrequencyMasking {
    /// Bands are narrower than this.
    #[module(skip)]
    pub freq_mask_param: usize,
    /// Whether each spectrogram of a batch has a band of its own.
    #[module(skip)]
    pub iid_masks: bool,
}

impl Forward for FrequencyMasking {
    #[observed]
    fn forward(&self, specgram: &Tensor) -> Result<Tensor> {
        let zero = Tensor::scalar_tensor(0.0, specgram.dtype());
        masked(specgram, self.freq_mask_param, 2, self.iid_masks, 1.0, &zero)
    }
}

/// Masks some frames with zeros.
///
/// # Shapes
/// `[…, frequencies, frames] → […, frequencies, frames]`.
#[derive(Clone, Copy, Debug, Module)]
pub struct TimeMasking {
    /// Fewer frames than this are masked.
    #[module(skip)]
    pub time_mask_param: usize,
    /// Whether each spectrogram of a batch has frames of its own.
    #[module(skip)]
    pub iid_masks: bool,
    /// The part of the frames that may be masked at most; torchaudio's default is 1.
    #[module(skip)]
    pub p: f64,
}

impl Forward for TimeMasking {
    #[observed]
    fn forward(&self, specgram: &Tensor) -> Result<Tensor> {
        let zero = Tensor::scalar_tensor(0.0, specgram.dtype());
        masked(specgram, self.time_mask_param, 1, self.iid_masks, self.p, &zero)
    }
}

/// Options of [`SpecAugment`]; the first four have no defaults in torchaudio, and 0 here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpecAugmentOptions {
    /// How often frames are masked.
    pub n_time_masks: usize,
    /// Fewer frames than this each time.
    pub time_mask_param: usize,
    /// How often frequencies are masked.
    pub n_freq_masks: usize,
    /// Fewer frequencies than this each time.
    pub freq_mask_param: usize,
    /// Whether each spectrogram of a batch has masks of its own.
    pub iid_masks: bool,
    /// The part of the frames that a mask may take at most.
    pub p: f64,
    /// Whether masks are zeros; otherwise, the spectrogram's mean.
    pub zero_masking: bool,
}

impl Default for SpecAugmentOptions {
    fn default() -> Self {
        SpecAugmentOptions {
            n_time_masks: 0,
            time_mask_param: 0,
            n_freq_masks: 0,
            freq_mask_param: 0,
            iid_masks: true,
            p: 1.0,
            zero_masking: false,
        }
    }
}

/// Masks of frames and frequencies: "SpecAugment" (Park et al., 2019, arXiv:1904.08779), without its time warp.
///
/// # Shapes
/// `[…, frequencies, frames] → […, frequencies, frames]`.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct SpecAugment {
    /// The masks.
    #[module(skip)]
    pub options: SpecAugmentOptions,
}

impl Forward for SpecAugment {
    #[observed]
    fn forward(&self, specgram: &Tensor) -> Result<Tensor> {
        let o = &self.options;
        let value = if o.zero_masking {
            Tensor::scalar_tensor(0.0, specgram.dtype())
        } else {
            specgram.mean()?
        };
        let iid = o.iid_masks && specgram.rank() > 2;
        let mut x = specgram.clone();
        for _ in 0..o.n_time_masks {
            x = masked(&x, o.time_mask_param, 1, iid, o.p, &value)?;
        }
        for _ in 0..o.n_freq_masks {
            x = masked(&x, o.freq_mask_param, 2, iid, o.p, &value)?;
        }
        Ok(x)
    }
}

/// A louder or softer waveform, between -1 and 1.
#[derive(Clone, Copy, Debug, Module)]
pub struct Vol {
    #[module(skip)]
    gain: Gain,
}

/// How much louder [`Vol`] makes a waveform.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gain {
    /// By this factor, which is not negative.
    Amplitude(f64),
    /// By this factor of the power, which is not negative.
    Power(f64),
    /// By so many decibels.
    Db(f64),
}

impl Vol {
    /// With this gain.
    ///
    /// # Errors
    /// `Value` for a negative factor.
    pub fn new(gain: Gain) -> Result<Vol> {
        if let Gain::Amplitude(by) | Gain::Power(by) = gain {
            ensure!(
                by >= 0.0,
                Value,
                "Vol: expected a factor that is not negative, got {by}"
            );
        }
        Ok(Vol { gain })
    }
}

impl Forward for Vol {
    #[observed]
    fn forward(&self, waveform: &Tensor) -> Result<Tensor> {
        let louder = match self.gain {
            Gain::Amplitude(by) => waveform.mul(by)?,
            Gain::Power(by) => gain(waveform, 10.0 * by.log10())?,
            Gain::Db(by) => gain(waveform, by)?,
        };
        louder.clamp(Some((-1).into()), Some(1.into()))
    }
}

/// The curve of a [`Fade`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FadeShape {
    /// A quarter of a sine.
    QuarterSine,
    /// Half a sine.
    HalfSine,
    /// A line.
    #[default]
    Linear,
    /// A logarithm.
    Logarithmic,
    /// An exponential.
    Exponential,
}

impl FadeShape {
    /// The curve at `x` from 0 (silence) to 1.
    fn rising(self, x: f64) -> f64 {
        match self {
            FadeShape::Linear => x,
            FadeShape::Exponential => 2f64.powf(x - 1.0) * x,
            FadeShape::Logarithmic => (0.1 + x).log10() + 1.0,
            FadeShape::QuarterSine => (x * FRAC_PI_2).sin(),
            FadeShape::HalfSine => (x * PI - FRAC_PI_2).sin() / 2.0 + 0.5,
        }
    }

    /// `count` factors that rise from 0 to 1.
    fn factors(self, count: usize) -> Vec<f64> {
        let last = count.saturating_sub(1).max(1) as f64;
        (0..count)
            .map(|i| self.rising(i as f64 / last).clamp(0.0, 1.0))
            .collect()
    }
}

/// Fades a waveform in and out.
///
/// # Shapes
/// `[…, time] → […, time]`.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct Fade {
    /// Samples of the fade-in.
    #[module(skip)]
    pub fade_in_len: usize,
    /// Samples of the fade-out.
    #[module(skip)]
    pub fade_out_len: usize,
    /// The curve.
    #[module(skip)]
    pub fade_shape: FadeShape,
}

impl Forward for Fade {
    #[observed]
    fn forward(&self, waveform: &Tensor) -> Result<Tensor> {
        let time = waveform.size(-1)?;
        ensure!(
            self.fade_in_len <= time && self.fade_out_len <= time,
            Shape,
            "Fade: {} and {} samples of {time}",
            self.fade_in_len,
            self.fade_out_len
        );
        let mut factors = vec![1.0; time];
        for (factor, rise) in factors.iter_mut().zip(self.fade_shape.factors(self.fade_in_len)) {
            *factor *= rise;
        }
        for (factor, rise) in factors
            .iter_mut()
            .rev()
            .zip(self.fade_shape.factors(self.fade_out_len))
        {
            *factor *= rise;
        }
        waveform.mul(&Tensor::from_vec(factors, time)?.to_dtype(waveform.dtype())?)
    }
}
