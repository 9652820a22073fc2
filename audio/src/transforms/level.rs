//! Decibels, mu-law, deltas and normalisation as modules without parameters.

use flambeau_nn::{Forward, Module, observed};
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::{Result, Tensor, ensure};

use crate::functional::{
    SlidingWindowOptions, amplitude_to_db, compute_deltas, mu_law_decoding, mu_law_encoding,
    sliding_window_cmn,
};

/// What a spectrogram's numbers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Squares of amplitudes.
    #[default]
    Power,
    /// Amplitudes.
    Magnitude,
}

/// Spectrograms in decibels.
#[derive(Clone, Copy, Debug, Module)]
pub struct AmplitudeToDB {
    #[module(skip)]
    multiplier: f64,
    #[module(skip)]
    top_db: Option<f64>,
}

impl AmplitudeToDB {
    /// With `top_db`, what is further than that below the maximum is raised.
    ///
    /// # Errors
    /// `Value` for a negative `top_db`.
    pub fn new(stype: Scale, top_db: Option<f64>) -> Result<AmplitudeToDB> {
        ensure!(
            top_db.is_none_or(|db| db >= 0.0),
            Value,
            "AmplitudeToDB: expected a positive top_db, got {top_db:?}"
        );
        let multiplier = match stype {
            Scale::Power => 10.0,
            Scale::Magnitude => 20.0,
        };
        Ok(AmplitudeToDB { multiplier, top_db })
    }
}

impl Forward for AmplitudeToDB {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        amplitude_to_db(x, self.multiplier, 1e-10, 0.0, self.top_db)
    }
}

/// Waveforms as mu-law codes.
#[derive(Clone, Copy, Debug, Module)]
pub struct MuLawEncoding {
    /// How many codes there are; torchaudio's default is 256.
    #[module(skip)]
    pub quantization_channels: usize,
}

impl Forward for MuLawEncoding {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        mu_law_encoding(x, self.quantization_channels)
    }
}

/// Mu-law codes as waveforms.
#[derive(Clone, Copy, Debug, Module)]
pub struct MuLawDecoding {
    /// How many codes there are; torchaudio's default is 256.
    #[module(skip)]
    pub quantization_channels: usize,
}

impl Forward for MuLawDecoding {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        mu_law_decoding(x, self.quantization_channels)
    }
}

/// How fast features change.
#[derive(Clone, Copy, Debug, Module)]
pub struct ComputeDeltas {
    /// Frames of a regression; torchaudio's default is 5.
    #[module(skip)]
    pub win_length: usize,
    /// What stands beyond the first and last frame; torchaudio's default repeats these.
    #[module(skip)]
    pub mode: PadMode,
}

impl Default for ComputeDeltas {
    fn default() -> Self {
        ComputeDeltas {
            win_length: 5,
            mode: PadMode::Replicate,
        }
    }
}

impl Forward for ComputeDeltas {
    #[observed]
    fn forward(&self, specgram: &Tensor) -> Result<Tensor> {
        compute_deltas(specgram, self.win_length, self.mode)
    }
}

/// Features minus their mean over a sliding window.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct SlidingWindowCmn {
    /// The windows.
    #[module(skip)]
    pub options: SlidingWindowOptions,
}

impl Forward for SlidingWindowCmn {
    #[observed]
    fn forward(&self, specgram: &Tensor) -> Result<Tensor> {
        sliding_window_cmn(specgram, &self.options)
    }
}
