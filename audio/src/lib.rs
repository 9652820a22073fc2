//! Sound: features and filters under torchaudio's names, with its defaults (`torchaudio`).
//!
//! # Example: the mel spectrogram of a tone
//!
//! ```
//! use flambeau_audio::transforms::{AmplitudeToDB, MelSpectrogram, MelSpectrogramOptions, Scale};
//! use flambeau_nn::Forward;
//! use flambeau_tensor::{DType, Result, Tensor};
//!
//! fn main() -> Result<()> {
//!     let time = Tensor::arange(0, 16000, 1, DType::F32)?.div(16000)?;
//!     let tone = time.mul(440.0 * std::f64::consts::TAU)?.sin()?.unsqueeze(0)?;
//!     let mel = MelSpectrogram::new(MelSpectrogramOptions { n_mels: 64, ..Default::default() })?;
//!     let decibels = AmplitudeToDB::new(Scale::Power, Some(80.0))?.forward(&mel.forward(&tone)?)?;
//!     assert_eq!(decibels.shape(), [1, 64, 81]);
//!     Ok(())
//! }
//! ```

pub mod decoder;
pub mod functional;
pub mod io;
pub mod kaldi;
pub mod metrics;
pub mod models;
mod recognizer;
pub mod transforms;

pub use recognizer::{Recognizer, SAMPLE_RATE};

/// The page of the book whose program is a test.
#[cfg(doctest)]
#[doc = include_str!("../../docs/audio.md")]
struct Book;
