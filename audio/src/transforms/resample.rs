//! Other sample rates and speeds; filters are computed once.

use flambeau_nn::{Buffer, Forward, Module, observed};
use flambeau_tensor::{DType, Result, Tensor, ensure};

use crate::functional::{Kernel, ResampleOptions, resample_kernel, resampled};

/// [`resample`](crate::functional::resample) between two rates.
///
/// # Shapes
/// `[…, time] → […, ⌈time·new_freq/orig_freq⌉]`.
#[derive(Clone, Debug, Module)]
pub struct Resample {
    /// A filter for each phase, unless the rates are equal.
    pub kernel: Option<Buffer>,
    #[module(skip)]
    rest: [usize; 3],
}

impl Resample {
    /// The filters between two rates, in Hz.
    ///
    /// # Errors
    /// `Value` for rates of 0.
    pub fn new(orig_freq: usize, new_freq: usize, options: &ResampleOptions) -> Result<Resample> {
        if orig_freq == new_freq && orig_freq > 0 {
            return Ok(Resample {
                kernel: None,
                rest: [0, 1, 1],
            });
        }
        let kernel = resample_kernel(orig_freq, new_freq, options, DType::F32)?;
        Ok(Resample {
            kernel: Some(Buffer::new(kernel.filters)),
            rest: [kernel.width, kernel.orig, kernel.new],
        })
    }
}

impl Forward for Resample {
    #[observed]
    fn forward(&self, waveform: &Tensor) -> Result<Tensor> {
        let Some(filters) = &self.kernel else {
            return Ok(waveform.clone());
        };
        let [width, orig, new] = self.rest;
        let kernel = Kernel {
            filters: filters.tensor().clone(),
            width,
            orig,
            new,
        };
        resampled(waveform, &kernel)
    }
}

/// [`speed`](crate::functional::speed) by one factor.
#[derive(Clone, Debug, Module)]
pub struct Speed {
    /// Makes it faster.
    pub resampler: Resample,
    #[module(skip)]
    ratio: f64,
}

impl Speed {
    /// `factor` times as fast, of `orig_freq` samples a second.
    ///
    /// # Errors
    /// `Value` unless both are positive.
    pub fn new(orig_freq: usize, factor: f64) -> Result<Speed> {
        let source = (factor * orig_freq as f64) as usize;
        ensure!(
            source > 0 && factor.is_finite(),
            Value,
            "Speed: expected a positive factor and orig_freq, got {factor} and {orig_freq}"
        );
        Ok(Speed {
            resampler: Resample::new(source, orig_freq, &ResampleOptions::default())?,
            ratio: orig_freq as f64 / source as f64,
        })
    }

    /// The waveform and, if given, its lengths in samples, at the new speed.
    ///
    /// # Errors
    /// `DType` unless the waveform is of floating point numbers.
    #[observed]
    pub fn forward(&self, waveform: &Tensor, lengths: Option<&Tensor>) -> Result<(Tensor, Option<Tensor>)> {
        let faster = self.resampler.forward(waveform)?;
        let lengths = lengths.map(|lengths| lengths.mul(self.ratio)?.ceil()?.to_dtype(lengths.dtype()));
        Ok((faster, lengths.transpose()?))
    }
}

/// One of several speeds, drawn at random: "Audio augmentation for speech recognition" (Ko et al., 2015).
#[derive(Debug, Module)]
pub struct SpeedPerturbation {
    /// One for each factor.
    pub speeders: Vec<Speed>,
}

impl SpeedPerturbation {
    /// These factors, of `orig_freq` samples a second.
    ///
    /// # Errors
    /// `Value` without factors, or if one is not positive.
    pub fn new(orig_freq: usize, factors: &[f64]) -> Result<SpeedPerturbation> {
        ensure!(
            !factors.is_empty(),
            Value,
            "SpeedPerturbation: expected at least one factor"
        );
        let speeders = factors.iter().map(|&factor| Speed::new(orig_freq, factor));
        Ok(SpeedPerturbation {
            speeders: speeders.collect::<Result<_>>()?,
        })
    }

    /// The waveform and, if given, its lengths in samples, at the speed that is drawn.
    ///
    /// # Errors
    /// `DType` unless the waveform is of floating point numbers.
    #[observed]
    pub fn forward(&self, waveform: &Tensor, lengths: Option<&Tensor>) -> Result<(Tensor, Option<Tensor>)> {
        let drawn = Tensor::randint(0, self.speeders.len() as i64, ())?.item::<i64>()?;
        self.speeders[drawn as usize].forward(waveform, lengths)
    }
}
