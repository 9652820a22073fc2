//! Pictures as tensors (`torchvision.io.decode_image`): JPEG and PNG, and GIF and WebP behind features of these names.
//!
//! Baseline JPEGs, whole or in part ([`EncodedImage`]), are decoded here; the rest is left to the crate `image`.

mod encoded;
mod jpeg;

use std::io::Cursor;
use std::path::Path;

use ::image::metadata::Orientation;
use ::image::{
    DynamicImage, GrayImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage,
};
use flambeau_tensor::{Error, Result, Tensor, bail, ensure};

use super::{io_error, open, read_bytes};

pub use encoded::EncodedImage;
use jpeg::Header;

/// The largest picture that is decoded: 512 MiB.
const LARGEST: u64 = 512 << 20;

/// Deflate makes at most this many bytes of one.
const MAX_RATIO: u64 = 1032;

/// Which channels a picture is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageReadMode {
    /// Those of the file.
    #[default]
    Unchanged,
    /// One: grey.
    Gray,
    /// Two: grey and opacity.
    GrayAlpha,
    /// Three: red, green and blue.
    Rgb,
    /// Four: red, green, blue and opacity.
    RgbAlpha,
}

/// Options of [`decode`] and [`read`]; the defaults are torchvision's.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecodeOptions {
    /// Which channels.
    pub mode: ImageReadMode,
    /// Whether the picture is turned as the camera noted in its EXIF data.
    pub apply_exif_orientation: bool,
}

impl DecodeOptions {
    /// Red, green and blue, whatever is in the file: what models take.
    pub const RGB: DecodeOptions = DecodeOptions {
        mode: ImageReadMode::Rgb,
        apply_exif_orientation: false,
    };
}

/// Reads the picture in the file at `path`; see [`decode`].
///
/// # Shapes
/// `→ [channels, height, width]`, `uint8`.
///
/// # Errors
/// `Io` if the file can't be read, `Format` if it is not a picture in a known format; both name the file.
pub fn read(path: impl AsRef<Path>, options: &DecodeOptions) -> Result<Tensor> {
    EncodedImage::read(path, options)?.decode()
}

/// Decodes a picture from the bytes of its file. Those with more than eight bits per channel are reduced to eight.
///
/// # Shapes
/// `→ [channels, height, width]`, `uint8`.
///
/// # Errors
/// `Format` if they are not a whole picture in a known format, or one of more than 512 MiB.
pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Tensor> {
    EncodedImage::new(bytes, options)?.decode()
}

/// The picture by the crate `image`.
fn decode_any(bytes: &[u8], options: &DecodeOptions) -> Result<Tensor> {
    let picture = dynamic_image(bytes, options.apply_exif_orientation)?;
    let (height, width) = (picture.height() as usize, picture.width() as usize);
    let (pixels, channels) = interleaved(picture, options.mode);
    Tensor::from_vec(planes(&pixels, channels), (channels, height, width))
}

/// Height and width of the picture, by the crate `image`.
fn size_of_any(bytes: &[u8], upright: bool) -> Result<(usize, usize)> {
    let mut decoder = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(io_error)?
        .into_decoder()
        .map_err(picture_error)?;
    let (width, height) = decoder.dimensions();
    let turned = upright && {
        use Orientation::*;
        let orientation = decoder.orientation().map_err(picture_error)?;
        matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
    };
    Ok(if turned {
        (width as usize, height as usize)
    } else {
        (height as usize, width as usize)
    })
}

fn dynamic_image(bytes: &[u8], upright: bool) -> Result<DynamicImage> {
    // Whatever the channels are to be, the same decoder decides whether this is a picture.
    if !upright && let Some(picture) = baseline(bytes) {
        return Ok(picture);
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(LARGEST);
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(io_error)?;
    reader.limits(limits.clone());
    let format = reader.format();
    let mut decoder = reader.into_decoder().map_err(picture_error)?;
    // Not every decoder counts the picture itself.
    let size = decoder.total_bytes();
    limits.reserve(size).map_err(picture_error)?;
    check_packing(bytes, format, size)?;
    let orientation = if upright {
        decoder.orientation().map_err(picture_error)?
    } else {
        Orientation::NoTransforms
    };
    let mut picture = match baseline(bytes) {
        Some(picture) => picture,
        None => DynamicImage::from_decoder(decoder).map_err(picture_error)?,
    };
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// The picture if it is a baseline JPEG that is not damaged.
fn baseline(bytes: &[u8]) -> Option<DynamicImage> {
    let header = Header::new(bytes)?;
    let size = header.channels() * header.height * header.width;
    if size as u64 > LARGEST || check_packing(bytes, Some(ImageFormat::Jpeg), size as u64).is_err() {
        return None;
    }
    let mut values = vec![0; size];
    header.decode(bytes, &header.whole(), &mut values)?;
    let (width, height) = (header.width as u32, header.height as u32);
    if header.channels() == 1 {
        return GrayImage::from_vec(width, height, values).map(DynamicImage::from);
    }
    let (red, rest) = values.split_at(values.len() / 3);
    let (green, blue) = rest.split_at(red.len());
    let pixels = red
        .iter()
        .zip(green)
        .zip(blue)
        .flat_map(|((&red, &green), &blue)| [red, green, blue]);
    RgbImage::from_vec(width, height, pixels.collect()).map(DynamicImage::from)
}

fn picture_error(error: ImageError) -> Error {
    match error {
        ImageError::IoError(error) => io_error(error),
        other => Error::Format(other.to_string()),
    }
}

/// An error if so many bytes of a picture can't be in a file of these `bytes`.
fn check_packing(bytes: &[u8], format: Option<ImageFormat>, size: u64) -> Result<()> {
    // Deflate packs at most `MAX_RATIO` bytes into one, and each may hold 8 pixels. A block of 8 by 8 pixels of a JPEG takes
    // a bit at least, which is less packing than that.
    let bounded = matches!(format, Some(ImageFormat::Png | ImageFormat::Jpeg));
    ensure!(
        !bounded || size / (8 * MAX_RATIO) <= bytes.len() as u64,
        Format,
        "a picture of {size} bytes can't be in a file of {}",
        bytes.len()
    );
    // The decoder fills what is missing with grey. A picture ends with this marker, though there may be more behind it.
    ensure!(
        format != Some(ImageFormat::Jpeg) || bytes.windows(2).rev().any(|marker| marker == [0xff, 0xd9]),
        Format,
        "the data end early"
    );
    Ok(())
}

/// Reads the numbers of the colours in a PNG file with a palette, or its levels of grey if it has none: what masks are
/// stored in (Pillow's modes `P` and `L`).
///
/// # Shapes
/// `→ [height, width]`, `uint8`.
///
/// # Errors
/// `Io` if the file can't be read, `Format` if it is not such a PNG; both name the file.
pub fn read_indices(path: impl AsRef<Path>) -> Result<Tensor> {
    let path = path.as_ref();
    let (mut file, length) = open(path)?;
    let indices = read_bytes(&mut file, length).and_then(|bytes| decode_indices(&bytes));
    indices.map_err(|error| error.context(path.display()))
}

/// Decodes a mask from the bytes of its file; see [`read_indices`].
///
/// # Errors
/// `Format` if they are not a PNG of at most eight bits per pixel, with a palette or grey.
pub fn decode_indices(bytes: &[u8]) -> Result<Tensor> {
    let op = "decode_indices";
    let bad = |error: png::DecodingError| Error::Format(format!("{op}: {error}"));
    let mut decoder = png::Decoder::new_with_limits(
        Cursor::new(bytes),
        png::Limits {
            bytes: LARGEST as usize,
        },
    );
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(bad)?;
    let (color, depth) = reader.output_color_type();
    ensure!(
        matches!(color, png::ColorType::Indexed | png::ColorType::Grayscale)
            && depth != png::BitDepth::Sixteen,
        Format,
        "{op}: expected a palette or grey, of at most 8 bits, got {color:?} of {} bits",
        depth as u8
    );
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    let size = reader.output_buffer_size().filter(|&size| size as u64 <= LARGEST);
    let Some(size) = size else {
        bail!(Format, "{op}: a picture of {height} x {width} is too large")
    };
    check_packing(bytes, Some(ImageFormat::Png), size as u64)?;
    let mut rows = vec![0; size];
    let info = reader.next_frame(&mut rows).map_err(bad)?;
    let bits = depth as usize;
    let mask = (1u16 << bits) as u8;
    let mut indices = Vec::with_capacity(height * width);
    for row in rows.chunks_exact(info.line_size.max(1)).take(height) {
        // The first pixel of a byte is in its highest bits.
        indices.extend(
            (0..width).map(|x| row[x * bits / 8] >> (8 - bits - x * bits % 8) & mask.wrapping_sub(1)),
        );
    }
    Tensor::from_vec(indices, (height, width))
}

/// The values of all pixels one after the other, and how many each has.
fn interleaved(picture: DynamicImage, mode: ImageReadMode) -> (Vec<u8>, usize) {
    let color = picture.color();
    let mode = match (mode, color.has_color(), color.has_alpha()) {
        (ImageReadMode::Unchanged, false, false) => ImageReadMode::Gray,
        (ImageReadMode::Unchanged, false, true) => ImageReadMode::GrayAlpha,
        (ImageReadMode::Unchanged, true, false) => ImageReadMode::Rgb,
        (ImageReadMode::Unchanged, true, true) => ImageReadMode::RgbAlpha,
        (mode, ..) => mode,
    };
    match mode {
        ImageReadMode::Gray if !color.has_color() => (picture.into_luma8().into_raw(), 1),
        ImageReadMode::GrayAlpha if !color.has_color() => (picture.into_luma_alpha8().into_raw(), 2),
        ImageReadMode::Gray => {
            let rgb = picture.into_rgb8();
            (rgb.pixels().map(|pixel| grey(pixel.0)).collect(), 1)
        }
        ImageReadMode::GrayAlpha => {
            let rgba = picture.into_rgba8();
            let grey = rgba.pixels().flat_map(|pixel| {
                let [r, g, b, a] = pixel.0;
                [grey([r, g, b]), a]
            });
            (grey.collect(), 2)
        }
        ImageReadMode::RgbAlpha => (picture.into_rgba8().into_raw(), 4),
        ImageReadMode::Rgb | ImageReadMode::Unchanged => (picture.into_rgb8().into_raw(), 3),
    }
}

/// The grey level of a colour (ITU-R 601-2), in integers as Pillow computes it.
fn grey([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

/// Channel after channel rather than pixel after pixel.
fn planes(pixels: &[u8], channels: usize) -> Vec<u8> {
    match channels {
        1 => pixels.to_vec(),
        2 => split::<2>(pixels),
        3 => split::<3>(pixels),
        _ => split::<4>(pixels),
    }
}

/// One pass over the pixels, which writes all planes.
fn split<const CHANNELS: usize>(pixels: &[u8]) -> Vec<u8> {
    let (pixels, _) = pixels.as_chunks::<CHANNELS>();
    let mut planes = vec![0; CHANNELS * pixels.len()];
    for (channel, plane) in planes.chunks_exact_mut(pixels.len().max(1)).enumerate() {
        for (out, pixel) in plane.iter_mut().zip(pixels) {
            *out = pixel[channel];
        }
    }
    planes
}

#[cfg(test)]
mod tests {
    use super::super::test_files::Folder;
    use super::*;
    use ::image::{Rgb, RgbaImage};

    fn bytes_of(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn decoded(bytes: &[u8], mode: ImageReadMode) -> Tensor {
        let options = DecodeOptions {
            mode,
            ..DecodeOptions::default()
        };
        decode(bytes, &options).unwrap()
    }

    fn values(tensor: &Tensor) -> Vec<u8> {
        tensor.to_vec::<u8>().unwrap()
    }

    #[test]
    fn pictures_become_planes() {
        let folder = Folder::new();
        let picture = RgbImage::from_fn(3, 2, |x, y| Rgb([x as u8, y as u8, 7]));
        let path = folder.file("x.png", bytes_of(picture, ImageFormat::Png));
        let planes = read(path, &DecodeOptions::default()).unwrap();
        assert_eq!(planes.shape(), [3, 2, 3]);
        let expected = [0, 1, 2, 0, 1, 2, 0, 0, 0, 1, 1, 1, 7, 7, 7, 7, 7, 7];
        assert_eq!(values(&planes), expected);
        let grey = RgbImage::from_pixel(8, 8, Rgb([128; 3]));
        let jpeg = decode(&bytes_of(grey, ImageFormat::Jpeg), &DecodeOptions::RGB).unwrap();
        assert!(values(&jpeg).iter().all(|x| x.abs_diff(128) <= 1));
    }

    #[test]
    fn modes_choose_the_channels() {
        let colors = RgbImage::from_vec(2, 1, vec![10, 20, 30, 200, 100, 0]).unwrap();
        let bytes = bytes_of(colors, ImageFormat::Png);
        let read = |mode| decoded(&bytes, mode);
        assert_eq!(values(&read(ImageReadMode::Unchanged)), [10, 200, 20, 100, 30, 0]);
        assert_eq!(values(&read(ImageReadMode::Gray)), [18, 118]);
        assert_eq!(values(&read(ImageReadMode::GrayAlpha)), [18, 118, 255, 255]);
        assert_eq!(read(ImageReadMode::RgbAlpha).shape(), [4, 1, 2]);
        let grey = GrayImage::from_vec(2, 1, vec![10, 200]).unwrap();
        let grey = bytes_of(grey, ImageFormat::Png);
        assert_eq!(decoded(&grey, ImageReadMode::Unchanged).shape(), [1, 1, 2]);
        let rgb = decoded(&grey, ImageReadMode::Rgb);
        assert_eq!(values(&rgb), [10, 200, 10, 200, 10, 200]);
        let transparent = bytes_of(RgbaImage::new(1, 1), ImageFormat::Png);
        assert_eq!(decoded(&transparent, ImageReadMode::Unchanged).shape(), [4, 1, 1]);
        assert_eq!(decoded(&transparent, ImageReadMode::Rgb).shape(), [3, 1, 1]);
    }

    #[test]
    fn cameras_note_how_they_were_held() {
        // A JPEG with an EXIF segment that says: turned by a quarter, clockwise to be seen upright (6).
        let picture = RgbImage::from_fn(16, 8, |x, _| Rgb([if x < 8 { 0 } else { 255 }; 3]));
        let plain = bytes_of(picture, ImageFormat::Jpeg);
        let exif =
            b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let bytes = [&plain[..2], exif, &plain[2..]].concat();
        let read = |apply_exif_orientation| {
            let options = DecodeOptions {
                apply_exif_orientation,
                ..DecodeOptions::default()
            };
            decode(&bytes, &options).unwrap()
        };
        assert_eq!(read(false).shape(), [3, 8, 16]);
        let upright = read(true);
        assert_eq!(upright.shape(), [3, 16, 8]);
        let at = |y: i64| upright.i((0, y, 4)).unwrap().item::<u8>().unwrap();
        assert!(at(1) < 50 && at(14) > 200);
    }

    #[test]
    fn bad_pictures_are_errors() {
        let folder = Folder::new();
        let options = DecodeOptions::default();
        let whole = bytes_of(RgbImage::new(40, 40), ImageFormat::Png);
        for length in 0..whole.len() - 12 {
            let error = read(folder.file("x.png", &whole[..length]), &options).unwrap_err();
            let error = folder.stripped(error);
            assert!(error.starts_with("FOLDER/x.png: decode_image: "), "{error}");
        }
        let error = folder.stripped(read(folder.path().join("absent.png"), &options).unwrap_err());
        assert!(error.starts_with("FOLDER/absent.png: "), "{error}");
        let jpeg = bytes_of(RgbImage::new(40, 40), ImageFormat::Jpeg);
        assert!(decode(&jpeg, &options).is_ok());
        for length in 0..jpeg.len() - 1 {
            assert!(decode(&jpeg[..length], &options).is_err(), "{length}");
        }
        let mut huge = whole.clone();
        // The width and height in the header, and its checksum.
        huge[16..24].copy_from_slice(&[0x7f; 8]);
        assert!(decode(&huge, &options).is_err());
    }

    #[test]
    fn masks_are_numbers_of_colours() {
        let encoded = |color, depth, width: u32, rows: &[u8]| {
            let mut bytes = Vec::new();
            let mut encoder = png::Encoder::new(&mut bytes, width, 2);
            encoder.set_color(color);
            encoder.set_depth(depth);
            encoder.set_palette(vec![0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]);
            encoder.write_header().unwrap().write_image_data(rows).unwrap();
            bytes
        };
        let palette = encoded(
            png::ColorType::Indexed,
            png::BitDepth::Eight,
            3,
            &[0, 1, 2, 3, 2, 1],
        );
        let indices = decode_indices(&palette).unwrap();
        assert_eq!(indices.to_vec2::<u8>().unwrap(), [[0, 1, 2], [3, 2, 1]]);
        let packed = encoded(
            png::ColorType::Indexed,
            png::BitDepth::Two,
            5,
            &[0x1b, 0xc0, 0xe4, 0x40],
        );
        let indices = decode_indices(&packed).unwrap();
        assert_eq!(
            indices.to_vec2::<u8>().unwrap(),
            [[0, 1, 2, 3, 3], [3, 2, 1, 0, 1]]
        );
        let folder = Folder::new();
        let grey = encoded(png::ColorType::Grayscale, png::BitDepth::Eight, 1, &[255, 7]);
        assert_eq!(
            values(&read_indices(folder.file("x.png", grey)).unwrap()),
            [255, 7]
        );
        let colors = bytes_of(RgbImage::new(2, 2), ImageFormat::Png);
        let error = decode_indices(&colors).unwrap_err().to_string();
        assert!(error.contains("got Rgb of 8 bits"), "{error}");
        for at in 0..palette.len() {
            let _ = decode_indices(&palette[..at]);
            for value in [0, 1, 0x7f, 0xff, palette[at] ^ 1] {
                let mut altered = palette.clone();
                altered[at] = value;
                let _ = decode_indices(&altered);
            }
        }
    }

    #[test]
    fn claims_of_size_are_checked_before_memory_is_asked_for() {
        // The height and width of a JPEG stand behind the marker of its frame.
        let mut bytes = bytes_of(RgbImage::new(16, 16), ImageFormat::Jpeg);
        let frame = bytes.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
        let mut message = |height: u16, width: u16| {
            let sizes = [height.to_be_bytes(), width.to_be_bytes()].concat();
            bytes[frame + 5..frame + 9].copy_from_slice(&sizes);
            decode(&bytes, &DecodeOptions::default()).unwrap_err().to_string()
        };
        let error = message(65535, 65535);
        assert_eq!(error, "decode_image: a picture of 12884508675 bytes is too large");
        let error = message(10_000, 10_000);
        assert!(
            error.starts_with("decode_image: a picture of 300000000 bytes can't be in a file of "),
            "{error}"
        );
    }

    #[test]
    fn altered_bytes_never_panic_and_parts_are_no_pictures() {
        let picture = || RgbImage::from_fn(19, 11, |x, y| Rgb([x as u8 * 13, y as u8 * 23, (x * y) as u8]));
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let whole = bytes_of(picture(), format);
            let all = decode(&whole, &DecodeOptions::default()).unwrap();
            for at in 0..whole.len() {
                for value in [0, 1, 0x7f, 0xff, whole[at] ^ 0x10] {
                    let mut altered = whole.clone();
                    altered[at] = value;
                    let _ = decode(&altered, &DecodeOptions::default());
                }
                // What is missing at the end may be no part of the picture; a part of one is an error.
                if let Ok(read) = decode(&whole[..at], &DecodeOptions::default()) {
                    assert!(read.equal(&all).unwrap(), "the first {at} bytes of {format:?}");
                }
            }
        }
    }

    #[cfg(any(feature = "gif", feature = "webp"))]
    #[test]
    fn more_formats() {
        let picture = RgbaImage::from_pixel(5, 4, ::image::Rgba([255, 0, 0, 255]));
        let formats = [
            #[cfg(feature = "gif")]
            ImageFormat::Gif,
            #[cfg(feature = "webp")]
            ImageFormat::WebP,
        ];
        for format in formats {
            let read = decoded(&bytes_of(picture.clone(), format), ImageReadMode::Rgb);
            assert_eq!(read.shape(), [3, 4, 5]);
            assert!(values(&read.i(0).unwrap()).iter().all(|&x| x == 255));
        }
    }
}
