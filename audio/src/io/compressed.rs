//! FLAC, MP3 and Ogg Vorbis files, which `symphonia` decodes. What lossy encoders put before and behind the sound is cut
//! off again, where the file says how much that is.

use std::io::Cursor;

use flambeau_tensor::io::io_error;
use flambeau_tensor::{Error, Result, Tensor, bail, ensure};
use symphonia::core::audio::conv::ConvertibleSample;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_FLAC, CODEC_ID_MP3, CODEC_ID_VORBIS};
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;

use super::{AudioMetaData, Encoding, LoadOptions};

fn error(error: SymphoniaError) -> Error {
    match error {
        SymphoniaError::IoError(error) => io_error(error),
        SymphoniaError::Unsupported(what) => Error::Unsupported(what.to_string()),
        SymphoniaError::ResetRequired => {
            Error::Unsupported("several streams one after the other".to_string())
        }
        other => Error::Format(other.to_string()),
    }
}

/// A stream of packets, and what decodes them.
struct Stream<'a> {
    format: Box<dyn FormatReader + 'a>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    sample_rate: usize,
    channels: usize,
    /// 0 where samples have no fixed size.
    bits: usize,
    encoding: Encoding,
    /// How many frames the file says that it has, if it says so exactly.
    claimed: Option<u64>,
}

impl<'a> Stream<'a> {
    fn open(bytes: &'a [u8]) -> Result<Stream<'a>> {
        if bytes.starts_with(b"OggS") {
            check_pages(bytes)?;
        }
        let source = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
        let format = symphonia::default::get_probe()
            .probe(&Hint::new(), source, Default::default(), Default::default())
            .map_err(error)?;
        let Some(track) = format.default_track(TrackType::Audio) else {
            bail!(Format, "the file holds no sound")
        };
        let params = track.codec_params.as_ref().and_then(|params| params.audio());
        let Some(params) = params else {
            bail!(Unsupported, "the sound has an unknown encoding")
        };
        let encoding = match params.codec {
            CODEC_ID_FLAC => Encoding::Flac,
            CODEC_ID_VORBIS => Encoding::Vorbis,
            CODEC_ID_MP3 => Encoding::Mp3,
            other => bail!(Unsupported, "the sound has the encoding {other}"),
        };
        let (Some(rate), Some(channels)) = (params.sample_rate, &params.channels) else {
            bail!(Format, "the file lacks a sample rate or a number of channels")
        };
        let channels = channels.count();
        ensure!(
            rate > 0 && channels > 0,
            Format,
            "the file claims {channels} channels of {rate} Hz"
        );
        let bits = match encoding {
            Encoding::Flac => params.bits_per_sample.unwrap_or(16) as usize,
            _ => 0,
        };
        // The lengths of other MP3 files are estimates; Ogg's pages say where they are, not how long.
        let exact = encoding == Encoding::Flac || encoding == Encoding::Mp3 && track.delay.is_some();
        let claimed = track.num_frames.filter(|_| exact);
        let options = AudioDecoderOptions::default().verify(true);
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(params, &options)
            .map_err(error)?;
        Ok(Stream {
            track: track.id,
            sample_rate: rate as usize,
            channels,
            bits,
            encoding,
            claimed,
            decoder,
            format,
        })
    }

    /// The frames `from..to`, of which there may be fewer, samples of a frame side by side; also how many frames were
    /// decoded for them.
    fn samples<S: ConvertibleSample>(&mut self, from: usize, to: usize) -> Result<(Vec<S>, usize)> {
        let (mut samples, mut decoded) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < to {
            let Some(packet) = self.format.next_packet().map_err(error)? else {
                self.check_end(at)?;
                break;
            };
            if packet.track_id != self.track {
                continue;
            }
            let buffer = self.decoder.decode(&packet).map_err(error)?;
            let (channels, rate) = (buffer.spec().channels().count(), buffer.spec().rate());
            ensure!(
                buffer.frames() == 0 || channels == self.channels && rate as usize == self.sample_rate,
                Unsupported,
                "the sound changes from {} to {channels} channels, from {} to {rate} Hz",
                self.channels,
                self.sample_rate
            );
            buffer.copy_to_vec_interleaved(&mut decoded);
            let here = |frame: usize| frame.clamp(at, at + buffer.frames()) - at;
            samples.extend_from_slice(&decoded[here(from) * self.channels..here(to) * self.channels]);
            at += buffer.frames();
        }
        Ok((samples, at))
    }

    /// Whether so many frames are all, and right as far as the file lets that be seen.
    fn check_end(&mut self, frames: usize) -> Result<()> {
        if let Some(claimed) = self.claimed {
            ensure!(
                claimed == frames as u64,
                Format,
                "the file claims {claimed} frames and has {frames}"
            );
        }
        ensure!(
            self.decoder.finalize().verify_ok != Some(false),
            Format,
            "the sound is not the one of the file's MD5 checksum"
        );
        Ok(())
    }
}

/// Ogg's pages give their lengths, and the last one says so: a file that was cut off can be told.
fn check_pages(bytes: &[u8]) -> Result<()> {
    const HEADER: usize = 27;
    let (mut rest, mut is_last) = (bytes, false);
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        ensure!(
            rest.starts_with(b"OggS"),
            Format,
            "byte {at}: expected a page of an Ogg file"
        );
        let page = || {
            let segments = usize::from(*rest.get(HEADER - 1)?);
            let lengths = rest.get(HEADER..HEADER + segments)?;
            let length: usize = lengths.iter().map(|&n| usize::from(n)).sum();
            Some((rest[5] & 4 != 0, rest.get(HEADER + segments + length..)?))
        };
        let Some((last, next)) = page() else {
            bail!(Format, "byte {at}: a page of the Ogg file is cut off")
        };
        (is_last, rest) = (last, next);
    }
    ensure!(is_last, Format, "the last page of the Ogg file is missing");
    Ok(())
}

/// The sound in the bytes of a file, and its sample rate.
pub(super) fn decode(bytes: &[u8], options: &LoadOptions) -> Result<(Tensor, usize)> {
    let mut stream = Stream::open(bytes)?;
    let from = options.frame_offset;
    let to = options.num_frames.map_or(usize::MAX, |n| from.saturating_add(n));
    let frames_first = if stream.encoding == Encoding::Flac {
        // Integers fill the upper bits of 32, whatever their size.
        let bits = stream.bits;
        let (samples, _) = stream.samples::<i32>(from, to)?;
        let shape = shape_of(samples.len(), stream.channels);
        if options.normalize {
            let unit = samples.iter().map(|&x| x as f32 / 2147483648.0);
            Tensor::from_vec(unit.collect::<Vec<f32>>(), shape)?
        } else if bits <= 16 {
            let short = samples.iter().map(|&x| (x >> 16) as i16);
            Tensor::from_vec(short.collect::<Vec<i16>>(), shape)?
        } else {
            Tensor::from_vec(samples, shape)?
        }
    } else {
        let (samples, _) = stream.samples::<f32>(from, to)?;
        let shape = shape_of(samples.len(), stream.channels);
        Tensor::from_vec(samples, shape)?
    };
    let sound = if options.channels_first {
        frames_first.t()?.contiguous()?
    } else {
        frames_first
    };
    Ok((sound, stream.sample_rate))
}

fn shape_of(samples: usize, channels: usize) -> (usize, usize) {
    (samples / channels, channels)
}

/// What a file says about itself; where it does not say how long it is, it is decoded.
pub(super) fn info(bytes: &[u8]) -> Result<AudioMetaData> {
    let mut stream = Stream::open(bytes)?;
    let num_frames = match stream.claimed {
        Some(frames) => frames as usize,
        None => stream.samples::<f32>(usize::MAX, usize::MAX)?.1,
    };
    Ok(AudioMetaData {
        sample_rate: stream.sample_rate,
        num_frames,
        num_channels: stream.channels,
        bits_per_sample: stream.bits,
        encoding: stream.encoding,
    })
}
