//! Reading pictures (`decode_image`, `read_image`).

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use flambeau_tensor::{Error, Result, Tensor};
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};

/// The largest picture that is decoded, in bytes.
const LARGEST: u64 = 512 << 20;

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

/// Options of [`decode_image`]; the defaults are torchvision's.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecodeOptions {
    /// Which channels.
    pub mode: ImageReadMode,
    /// Whether the picture is turned as the camera noted in its EXIF data.
    pub apply_exif_orientation: bool,
}

/// Reads the picture in a file; see [`decode_image`].
///
/// # Shapes
/// `→ [channels, height, width]`, `uint8`.
///
/// # Errors
/// `Io` if the file can't be read, `Format` if it is not a picture in a known format; both name the file.
pub fn read_image(path: impl AsRef<Path>, options: &DecodeOptions) -> Result<Tensor> {
    let path = path.as_ref();
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error: std::io::Error| Error::Io(error.to_string()));
    let picture = bytes.and_then(|bytes| decode_image(&bytes, options));
    picture.map_err(|error| error.context(path.display()))
}

/// Decodes a picture from the bytes of its file. Those with more than eight bits per channel are reduced to eight.
///
/// # Shapes
/// `→ [channels, height, width]`, `uint8`.
///
/// # Errors
/// `Format` if they are not a picture in a known format, or one of more than 512 MiB.
pub fn decode_image(bytes: &[u8], options: &DecodeOptions) -> Result<Tensor> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| Error::Io(error.to_string()))?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(LARGEST);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(format_error)?;
    let orientation = decoder.orientation().map_err(format_error)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(format_error)?;
    if options.apply_exif_orientation {
        picture.apply_orientation(orientation);
    }
    let (pixels, channels) = interleaved(&picture, options.mode);
    let (height, width) = (picture.height() as usize, picture.width() as usize);
    Tensor::from_vec(planes(&pixels, channels), (channels, height, width))
}

fn format_error(error: ImageError) -> Error {
    match error {
        ImageError::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            Error::Io(error.to_string())
        }
        other => Error::Format(format!("decode_image: {other}")),
    }
}

/// The values of all pixels one after the other, and how many each has.
fn interleaved(picture: &DynamicImage, mode: ImageReadMode) -> (Vec<u8>, usize) {
    let color = picture.color();
    let mode = match (mode, color.has_color(), color.has_alpha()) {
        (ImageReadMode::Unchanged, false, false) => ImageReadMode::Gray,
        (ImageReadMode::Unchanged, false, true) => ImageReadMode::GrayAlpha,
        (ImageReadMode::Unchanged, true, false) => ImageReadMode::Rgb,
        (ImageReadMode::Unchanged, true, true) => ImageReadMode::RgbAlpha,
        (mode, ..) => mode,
    };
    match mode {
        ImageReadMode::Gray if !color.has_color() => (picture.to_luma8().into_raw(), 1),
        ImageReadMode::GrayAlpha if !color.has_color() => (picture.to_luma_alpha8().into_raw(), 2),
        ImageReadMode::Gray => {
            let rgb = picture.to_rgb8();
            (rgb.pixels().map(|pixel| grey(pixel.0)).collect(), 1)
        }
        ImageReadMode::GrayAlpha => {
            let rgba = picture.to_rgba8();
            let grey = rgba.pixels().flat_map(|pixel| {
                let [r, g, b, a] = pixel.0;
                [grey([r, g, b]), a]
            });
            (grey.collect(), 2)
        }
        ImageReadMode::RgbAlpha => (picture.to_rgba8().into_raw(), 4),
        ImageReadMode::Rgb | ImageReadMode::Unchanged => (picture.to_rgb8().into_raw(), 3),
    }
}

/// The grey level of a colour (ITU-R 601-2), in integers as Pillow computes it.
fn grey([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

/// Channel after channel rather than pixel after pixel.
fn planes(pixels: &[u8], channels: usize) -> Vec<u8> {
    let mut planes = Vec::with_capacity(pixels.len());
    for channel in 0..channels {
        planes.extend(pixels.iter().skip(channel).step_by(channels));
    }
    planes
}

#[cfg(test)]
mod tests {
    use super::super::{encode_jpeg, encode_png};
    use super::*;
    use flambeau_tensor::DType;

    fn decoded(bytes: &[u8], mode: ImageReadMode) -> Tensor {
        let options = DecodeOptions {
            mode,
            ..DecodeOptions::default()
        };
        decode_image(bytes, &options).unwrap()
    }

    #[test]
    fn modes_choose_the_channels() {
        let image = Tensor::new([[[10u8, 200]], [[20, 100]], [[30, 0]]]).unwrap();
        let bytes = encode_png(&image, 6).unwrap();
        assert!(decoded(&bytes, ImageReadMode::Unchanged).equal(&image).unwrap());
        assert_eq!(
            decoded(&bytes, ImageReadMode::Gray).to_vec::<u8>().unwrap(),
            [18, 118]
        );
        assert_eq!(
            decoded(&bytes, ImageReadMode::GrayAlpha).to_vec::<u8>().unwrap(),
            [18, 118, 255, 255]
        );
        assert_eq!(decoded(&bytes, ImageReadMode::RgbAlpha).shape(), [4, 1, 2]);
        let grey = encode_png(&image.narrow(0, 0, 1).unwrap(), 0).unwrap();
        assert_eq!(decoded(&grey, ImageReadMode::Unchanged).shape(), [1, 1, 2]);
        assert_eq!(
            decoded(&grey, ImageReadMode::Rgb).to_vec::<u8>().unwrap(),
            [10, 200, 10, 200, 10, 200]
        );
    }

    #[test]
    fn cameras_note_how_they_were_held() {
        // A JPEG with an EXIF segment that says: turned by a quarter, clockwise to be seen upright (6).
        let image = Tensor::zeros((3, 8, 16), DType::U8).unwrap();
        image.set((.., 8..), 255).unwrap();
        let plain = encode_jpeg(&image, 95).unwrap();
        let exif =
            b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let bytes = [&plain[..2], exif, &plain[2..]].concat();
        let read = |apply_exif_orientation| {
            let options = DecodeOptions {
                apply_exif_orientation,
                ..DecodeOptions::default()
            };
            decode_image(&bytes, &options).unwrap()
        };
        assert_eq!(read(false).shape(), [3, 8, 16]);
        let upright = read(true);
        assert_eq!(upright.shape(), [3, 16, 8]);
        let at = |y: i64| upright.i((0, y, 4)).unwrap().item::<u8>().unwrap();
        assert!(at(1) < 50 && at(14) > 200);
    }

    #[test]
    fn what_is_no_picture_is_an_error() {
        let image = Tensor::zeros((3, 20, 20), DType::U8).unwrap();
        let whole = encode_png(&image, 6).unwrap();
        let options = DecodeOptions::default();
        for length in 0..whole.len() - 12 {
            assert!(decode_image(&whole[..length], &options).is_err(), "{length}");
        }
        let error = read_image("no/such/file.png", &options).unwrap_err();
        assert!(error.to_string().starts_with("no/such/file.png: "), "{error}");
    }

    #[cfg(any(feature = "gif", feature = "webp"))]
    #[test]
    fn more_formats() {
        let picture = image::RgbaImage::from_pixel(5, 4, image::Rgba([255, 0, 0, 255]));
        let formats = [
            #[cfg(feature = "gif")]
            image::ImageFormat::Gif,
            #[cfg(feature = "webp")]
            image::ImageFormat::WebP,
        ];
        for format in formats {
            let mut bytes = Cursor::new(Vec::new());
            picture.write_to(&mut bytes, format).unwrap();
            let read = decoded(&bytes.into_inner(), ImageReadMode::Rgb);
            assert_eq!(read.shape(), [3, 4, 5]);
            assert!(
                read.i(0)
                    .unwrap()
                    .to_vec::<u8>()
                    .unwrap()
                    .iter()
                    .all(|&x| x == 255)
            );
        }
    }
}
