//! Files of sound (`torchaudio.load`, `torchaudio.save`, `torchaudio.info`).

mod wav;

use std::path::Path;

use flambeau_tensor::{Result, Tensor};

pub use wav::{decode_wav, encode_wav};

/// Which part of a file is read, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// How many frames (samples of every channel) are skipped.
    pub frame_offset: usize,
    /// How many are read at most; all by default.
    pub num_frames: Option<usize>,
    /// Whether samples are `float32` from -1 to 1; otherwise, they have the file's own type.
    pub normalize: bool,
    /// Whether channels come first; otherwise, time.
    pub channels_first: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            frame_offset: 0,
            num_frames: None,
            normalize: true,
            channels_first: true,
        }
    }
}

/// How samples are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Integers with a sign.
    PcmS,
    /// Integers without a sign.
    PcmU,
    /// Floating point numbers.
    PcmF,
}

/// What a file says about itself (`torchaudio.AudioMetaData`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioMetaData {
    /// Frames a second.
    pub sample_rate: usize,
    /// How many frames there are.
    pub num_frames: usize,
    /// How many channels there are.
    pub num_channels: usize,
    /// The size of a sample in bits.
    pub bits_per_sample: usize,
    /// How samples are stored.
    pub encoding: Encoding,
}

/// How [`save`] stores samples; 32-bit floating point numbers for these, 16-bit integers for others, by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaveOptions {
    /// How samples are stored: as they are by default.
    pub encoding: Option<Encoding>,
    /// The size of a sample in bits.
    pub bits_per_sample: Option<usize>,
}

/// The sound in a file, and its sample rate.
///
/// # Shapes
/// `[channels, time]`, or `[time, channels]` unless `channels_first`.
///
/// # Errors
/// `Io` if the file can't be read; `Format` unless it follows its format; all name the file.
pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<(Tensor, usize)> {
    let path = path.as_ref();
    wav::load(path, options).map_err(|error| error.context(path.display()))
}

/// What a file says about itself.
///
/// # Errors
/// As [`load`].
pub fn info(path: impl AsRef<Path>) -> Result<AudioMetaData> {
    let path = path.as_ref();
    wav::info(path).map_err(|error| error.context(path.display()))
}

/// Writes a `.wav` file, in one step.
///
/// ```
/// use flambeau_audio::io::{LoadOptions, SaveOptions, info, load, save};
/// use flambeau_tensor::{DType, Tensor};
///
/// # fn main() -> flambeau_tensor::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("tone.wav");
/// let time = Tensor::arange(0, 8000, 1, DType::F32)?.div(8000)?;
/// let tone = time.mul(2764.6)?.sin()?.unsqueeze(0)?;
/// save(&path, &tone, 8000, &SaveOptions::default())?;
/// assert_eq!(info(&path)?.num_frames, 8000);
/// let part = LoadOptions { frame_offset: 2000, num_frames: Some(100), ..Default::default() };
/// let (samples, rate) = load(&path, &part)?;
/// assert_eq!((samples.shape(), rate), (&[1, 100][..], 8000));
/// # Ok(())
/// # }
/// ```
///
/// # Shapes
/// `[channels, time]`.
///
/// # Errors
/// `Shape` unless there are channels and time; `Value` for a combination of encoding and bits that `.wav` lacks; `Io` if
/// the file can't be written; all name the file.
pub fn save(
    path: impl AsRef<Path>,
    waveform: &Tensor,
    sample_rate: usize,
    options: &SaveOptions,
) -> Result<()> {
    let path = path.as_ref();
    wav::save(path, waveform, sample_rate, options).map_err(|error| error.context(path.display()))
}
