//! Transforms as modules (`torchaudio.transforms`): their windows, filters and matrices are buffers under torchaudio's keys,
//! so that they stand in a model and follow it to another type.

mod augment;
mod cepstra;
mod level;
mod mel;
mod resample;
mod spectrogram;
mod stretch;

pub use augment::{
    Fade, FadeShape, FrequencyMasking, Gain, SpecAugment, SpecAugmentOptions, TimeMasking, Vol,
};
pub use cepstra::{LFCC, LfccOptions, MFCC, MfccOptions};
pub use level::{AmplitudeToDB, ComputeDeltas, MuLawDecoding, MuLawEncoding, Scale, SlidingWindowCmn};
pub use mel::{InverseMelScale, MelScale, MelSpectrogram, MelSpectrogramOptions};
pub use resample::{Resample, Speed, SpeedPerturbation};
pub use spectrogram::{GriffinLim, InverseSpectrogram, SpectralCentroid, Spectrogram};
pub use stretch::{PitchShift, TimeStretch};
