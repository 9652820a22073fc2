//! `.wav` files: integers of 8, 16, 24 and 32 bits, and floating point numbers of 32.

use std::io::{Cursor, Read, Seek, Write};
use std::path::Path;

use flambeau_tensor::io::{io_error, open, write_atomically};
use flambeau_tensor::{DType, Error, Result, Tensor, bail, ensure};
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use super::{AudioMetaData, Encoding, LoadOptions, SaveOptions};

fn error(error: hound::Error) -> Error {
    match error {
        hound::Error::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => io_error(error),
        hound::Error::Unsupported => {
            Error::Unsupported("a .wav file with an encoding that is not supported".to_string())
        }
        other => Error::Format(format!("not a .wav file that can be read: {other}")),
    }
}

fn reader<R: Read + Seek>(source: R, length: u64) -> Result<WavReader<R>> {
    let reader = WavReader::new(source).map_err(error)?;
    let spec = reader.spec();
    // A header may claim more than there is.
    let claimed = u64::from(reader.len()) * u64::from(spec.bits_per_sample.div_ceil(8));
    ensure!(
        claimed <= length && spec.channels > 0 && spec.sample_rate > 0,
        Format,
        "a .wav file of {length} bytes claims {claimed} bytes of {} channels, {} Hz",
        spec.channels,
        spec.sample_rate
    );
    Ok(reader)
}

fn metadata<R: Read>(reader: &WavReader<R>) -> AudioMetaData {
    let spec = reader.spec();
    AudioMetaData {
        sample_rate: spec.sample_rate as usize,
        num_frames: reader.duration() as usize,
        num_channels: usize::from(spec.channels),
        bits_per_sample: usize::from(spec.bits_per_sample),
        encoding: match (spec.sample_format, spec.bits_per_sample) {
            (SampleFormat::Float, _) => Encoding::PcmF,
            (SampleFormat::Int, 8) => Encoding::PcmU,
            (SampleFormat::Int, _) => Encoding::PcmS,
        },
    }
}

/// Samples of one type, those of a frame side by side, scaled: so many after those that are passed over.
fn samples<R: Read, S: hound::Sample, T>(
    reader: &mut WavReader<R>,
    [passed, count]: [usize; 2],
    convert: impl Fn(S) -> T,
) -> Result<Vec<T>> {
    let samples = reader.samples::<S>().skip(passed).take(count);
    samples
        .map(|sample| sample.map(&convert).map_err(error))
        .collect()
}

fn read<R: Read + Seek>(mut reader: WavReader<R>, options: &LoadOptions) -> Result<(Tensor, usize)> {
    let data = metadata(&reader);
    let left = data.num_frames.saturating_sub(options.frame_offset);
    let frames = options.num_frames.unwrap_or(left).min(left);
    let bits = data.bits_per_sample;
    let mut passed = 0;
    if frames > 0 && bits == 24 {
        // These may lie in three bytes or in four, and hound seeks as if it were three.
        passed = options.frame_offset * data.num_channels;
    } else if frames > 0 {
        // At most the number of frames, which a header gives in 32 bits.
        reader.seek(options.frame_offset as u32).map_err(io_error)?;
    }
    let count = [passed, frames * data.num_channels];
    let shape = (frames, data.num_channels);
    let frames_first = match (data.encoding, options.normalize) {
        (Encoding::PcmF, _) => Tensor::from_vec(samples(&mut reader, count, |x: f32| x)?, shape)?,
        (_, true) => {
            let scale = 1.0 / 2f32.powi(bits as i32 - 1);
            Tensor::from_vec(samples(&mut reader, count, |x: i32| x as f32 * scale)?, shape)?
        }
        // hound subtracts 128 from the bytes of 8-bit files.
        (Encoding::PcmU, false) => {
            Tensor::from_vec(samples(&mut reader, count, |x: i32| (x + 128) as u8)?, shape)?
        }
        (Encoding::PcmS, false) if bits <= 16 => {
            Tensor::from_vec(samples(&mut reader, count, |x: i32| x as i16)?, shape)?
        }
        // As torchaudio does, 24 bits are the upper ones of 32.
        (_, false) => Tensor::from_vec(samples(&mut reader, count, |x: i32| x << (32 - bits))?, shape)?,
    };
    let sound = if options.channels_first {
        frames_first.t()?.contiguous()?
    } else {
        frames_first
    };
    Ok((sound, data.sample_rate))
}

/// The sound in the bytes of a `.wav` file, and its sample rate.
///
/// # Shapes
/// `[channels, time]`, or `[time, channels]` unless `channels_first`.
///
/// # Errors
/// `Format` unless the bytes are those of a `.wav` file.
pub fn decode_wav(bytes: &[u8], options: &LoadOptions) -> Result<(Tensor, usize)> {
    read(reader(Cursor::new(bytes), bytes.len() as u64)?, options)
}

pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<(Tensor, usize)> {
    let (file, length) = open(path)?;
    read(reader(std::io::BufReader::new(file), length)?, options)
}

pub(super) fn info(path: &Path) -> Result<AudioMetaData> {
    let (file, length) = open(path)?;
    Ok(metadata(&reader(std::io::BufReader::new(file), length)?))
}

/// The bytes of a `.wav` file.
///
/// # Shapes
/// `[channels, time]`.
///
/// # Errors
/// `Shape` unless there are channels and time; `Value` for a combination of encoding and bits that `.wav` lacks.
pub fn encode_wav(waveform: &Tensor, sample_rate: usize, options: &SaveOptions) -> Result<Vec<u8>> {
    let &[channels, frames] = waveform.shape() else {
        bail!(
            Shape,
            "save: expected a waveform [channels, time], got {:?}",
            waveform.shape()
        )
    };
    let (Ok(width), Ok(rate)) = (u16::try_from(channels), u32::try_from(sample_rate)) else {
        bail!(Value, "save: {channels} channels of {sample_rate} Hz")
    };
    ensure!(
        width > 0 && rate > 0 && frames < (u32::MAX / 4) as usize / channels,
        Value,
        "save: {frames} frames of {channels} channels, {sample_rate} Hz: .wav has room for 4 GiB"
    );
    let encoding = options.encoding.unwrap_or(match waveform.dtype() {
        DType::U8 => Encoding::PcmU,
        dtype if dtype.is_float() => Encoding::PcmF,
        _ => Encoding::PcmS,
    });
    let bits = options
        .bits_per_sample
        .unwrap_or(match (encoding, waveform.dtype()) {
            (Encoding::PcmF, _) | (_, DType::I32) => 32,
            (Encoding::PcmU, _) => 8,
            _ => 16,
        });
    let known = match encoding {
        Encoding::PcmF => bits == 32,
        Encoding::PcmU => bits == 8,
        Encoding::PcmS => matches!(bits, 16 | 24 | 32),
        Encoding::Flac | Encoding::Mp3 | Encoding::Vorbis => false,
    };
    ensure!(
        known,
        Value,
        "save: .wav files lack {encoding:?} of {bits} bits per sample"
    );
    let spec = WavSpec {
        channels: width,
        sample_rate: rate,
        bits_per_sample: bits as u16,
        sample_format: match encoding {
            Encoding::PcmF => SampleFormat::Float,
            _ => SampleFormat::Int,
        },
    };
    // From -1 to 1, whatever the type.
    let interleaved = waveform.detach().t()?;
    let unit = match interleaved.dtype() {
        DType::U8 => interleaved.to_dtype(DType::F64)?.sub(128)?.div(128)?,
        DType::I16 => interleaved.to_dtype(DType::F64)?.div(32768)?,
        DType::I32 => interleaved.to_dtype(DType::F64)?.div(2147483648.0)?,
        dtype if dtype.is_float() => interleaved,
        other => bail!(
            DType,
            "save: expected float, uint8, int16 or int32 samples, got {other}"
        ),
    };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut bytes, spec).map_err(error)?;
    let largest = 2f64.powi(bits as i32 - 1);
    for x in unit.to_vec_f64()? {
        match encoding {
            Encoding::PcmF => writer.write_sample(x as f32),
            _ => writer.write_sample((x * largest).round_ties_even().clamp(-largest, largest - 1.0) as i32),
        }
        .map_err(error)?;
    }
    writer.finalize().map_err(error)?;
    Ok(bytes.into_inner())
}

pub(super) fn save(path: &Path, waveform: &Tensor, sample_rate: usize, options: &SaveOptions) -> Result<()> {
    let bytes = encode_wav(waveform, sample_rate, options)?;
    write_atomically(path, |file| file.write_all(&bytes).map_err(io_error))
}
