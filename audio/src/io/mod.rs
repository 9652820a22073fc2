//! Files of sound (`torchaudio.load`, `torchaudio.save`, `torchaudio.info`): `.wav`, FLAC, MP3 and Ogg Vorbis are read, and
//! `.wav` is written.

mod compressed;
mod wav;

use std::io::Read;
use std::path::Path;

use flambeau_tensor::io::{io_error, open};
use flambeau_tensor::{Result, Tensor, bail};

pub use wav::{decode_wav, encode_wav};

/// Which part of a file is read, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// How many frames (samples of every channel) are skipped.
    pub frame_offset: usize,
    /// How many are read at most; all by default.
    pub num_frames: Option<usize>,
    /// Whether samples are `float32` from -1 to 1; otherwise, they have the file's own type, which is `float32` for MP3 and
    /// Vorbis.
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
    /// Free Lossless Audio Codec.
    Flac,
    /// MPEG-1 or MPEG-2, audio layer III.
    Mp3,
    /// Vorbis.
    Vorbis,
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
    /// The size of a sample in bits; 0 for MP3 and Vorbis, where it has none.
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

/// What a file is, by its first bytes.
enum Kind {
    Wav,
    Compressed,
}

impl Kind {
    fn of(bytes: &[u8]) -> Result<Kind> {
        Ok(match bytes {
            [] => bail!(Format, "the file is empty"),
            [b'R', b'I', b'F', b'F', ..] => Kind::Wav,
            // The beginnings of FLAC and Ogg, of ID3 tags, and of frames of MPEG's layer III.
            [b'f', b'L', b'a', b'C', ..] | [b'O', b'g', b'g', b'S', ..] | [b'I', b'D', b'3', ..] => {
                Kind::Compressed
            }
            [0xff, second, ..] if second & 0xe6 == 0xe2 => Kind::Compressed,
            _ => bail!(
                Format,
                "not a file of sound that can be read: expected .wav, FLAC, Ogg Vorbis or MP3"
            ),
        })
    }
}

/// The beginning of a file of sound, or all of one that is decoded as a whole.
fn read(path: &Path) -> Result<(Kind, Vec<u8>)> {
    let (mut file, _) = open(path)?;
    let mut bytes = Vec::new();
    let mut more = |limit, bytes: &mut Vec<u8>| {
        let read = file.by_ref().take(limit).read_to_end(bytes);
        read.map_err(io_error)
    };
    more(16, &mut bytes)?;
    let kind = Kind::of(&bytes)?;
    if matches!(kind, Kind::Compressed) {
        more(u64::MAX, &mut bytes)?;
    }
    Ok((kind, bytes))
}

/// The sound in a file, and its sample rate. What kind of file it is can be seen from its content; its name does not matter.
///
/// Samples are those of libsndfile, to the last bit for `.wav` and FLAC; what the encoders of MP3 and Vorbis put before and
/// behind the sound is cut off.
///
/// # Shapes
/// `[channels, time]`, or `[time, channels]` unless `channels_first`.
///
/// # Errors
/// `Io` if the file can't be read; `Format` unless it follows its format, also if it is cut off; `Unsupported` for what
/// else the format allows; all name the file.
pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<(Tensor, usize)> {
    let path = path.as_ref();
    let loaded = read(path).and_then(|(kind, bytes)| match kind {
        Kind::Wav => wav::load(path, options),
        Kind::Compressed => compressed::decode(&bytes, options),
    });
    loaded.map_err(|error| error.context(path.display()))
}

/// The sound in the bytes of a file, and its sample rate.
///
/// # Shapes
/// `[channels, time]`, or `[time, channels]` unless `channels_first`.
///
/// # Errors
/// As [`load`].
pub fn decode(bytes: &[u8], options: &LoadOptions) -> Result<(Tensor, usize)> {
    match Kind::of(bytes)? {
        Kind::Wav => decode_wav(bytes, options),
        Kind::Compressed => compressed::decode(bytes, options),
    }
}

/// What a file says about itself.
///
/// # Errors
/// As [`load`].
pub fn info(path: impl AsRef<Path>) -> Result<AudioMetaData> {
    let path = path.as_ref();
    let found = read(path).and_then(|(kind, bytes)| match kind {
        Kind::Wav => wav::info(path),
        Kind::Compressed => compressed::info(&bytes),
    });
    found.map_err(|error| error.context(path.display()))
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
