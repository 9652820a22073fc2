//! Writing pictures (`encode_png`, `encode_jpeg`, `write_png`, `write_jpeg`).

use std::io::Write;
use std::path::Path;

use flambeau_tensor::io::{io_error, write_atomically};
use flambeau_tensor::{DType, Error, Result, Tensor, bail, ensure};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

/// A picture as an encoder takes it: pixel after pixel.
struct Raw {
    pixels: Vec<u8>,
    width: u32,
    height: u32,
    color: ExtendedColorType,
}

fn raw(op: &str, image: &Tensor) -> Result<Raw> {
    ensure!(
        image.dtype() == DType::U8,
        DType,
        "{op}: expected a picture of bytes, got {}",
        image.dtype()
    );
    let (color, &[_, height, width]) = (
        match image.shape() {
            [1, ..] => ExtendedColorType::L8,
            _ => ExtendedColorType::Rgb8,
        },
        image.shape(),
    ) else {
        bail!(
            Shape,
            "{op}: expected a picture [1 or 3, height, width], got {:?}",
            image.shape()
        )
    };
    let (Ok(w), Ok(h)) = (u32::try_from(width), u32::try_from(height)) else {
        bail!(Shape, "{op}: {:?} is too large", image.shape())
    };
    ensure!(
        matches!(image.shape()[0], 1 | 3) && w > 0 && h > 0,
        Shape,
        "{op}: expected a picture [1 or 3, height, width], got {:?}",
        image.shape()
    );
    Ok(Raw {
        pixels: image.detach().permute([1, 2, 0])?.to_vec::<u8>()?,
        width: w,
        height: h,
        color,
    })
}

/// The bytes of a PNG file; `compression_level` is from 0 (none) to 9 (torchvision's default: 6).
///
/// # Shapes
/// `[1 or 3, height, width]`, `uint8`.
///
/// # Errors
/// `Shape` or `DType` for other tensors; `Value` for another level.
pub fn encode_png(image: &Tensor, compression_level: u8) -> Result<Vec<u8>> {
    let op = "encode_png";
    let raw = raw(op, image)?;
    ensure!(
        compression_level <= 9,
        Value,
        "{op}: expected a compression level from 0 to 9, got {compression_level}"
    );
    let compression = match compression_level {
        0 => CompressionType::Uncompressed,
        level => CompressionType::Level(level),
    };
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, compression, FilterType::Adaptive)
        .write_image(&raw.pixels, raw.width, raw.height, raw.color)
        .map_err(|error| Error::Format(format!("{op}: {error}")))?;
    Ok(bytes)
}

/// The bytes of a JPEG file; `quality` is from 1 to 100 (torchvision's default: 75).
///
/// # Shapes
/// `[1 or 3, height, width]`, `uint8`.
///
/// # Errors
/// `Shape` or `DType` for other tensors; `Value` for another quality.
pub fn encode_jpeg(image: &Tensor, quality: u8) -> Result<Vec<u8>> {
    let op = "encode_jpeg";
    let raw = raw(op, image)?;
    ensure!(
        (1..=100).contains(&quality),
        Value,
        "{op}: expected a quality from 1 to 100, got {quality}"
    );
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .write_image(&raw.pixels, raw.width, raw.height, raw.color)
        .map_err(|error| Error::Format(format!("{op}: {error}")))?;
    Ok(bytes)
}

/// Writes the bytes in one step: whatever happens, the old file or the whole new one stands at `path`.
fn write(path: &Path, bytes: Result<Vec<u8>>) -> Result<()> {
    let bytes = bytes.map_err(|error| error.context(path.display()))?;
    write_atomically(path, |file| file.write_all(&bytes).map_err(io_error))
}

/// Writes a picture to a PNG file; see [`encode_png`].
///
/// # Errors
/// Those of [`encode_png`]; `Io` if the file can't be written. All name the file.
pub fn write_png(image: &Tensor, path: impl AsRef<Path>, compression_level: u8) -> Result<()> {
    write(path.as_ref(), encode_png(image, compression_level))
}

/// Writes a picture to a JPEG file; see [`encode_jpeg`].
///
/// # Errors
/// Those of [`encode_jpeg`]; `Io` if the file can't be written. All name the file.
pub fn write_jpeg(image: &Tensor, path: impl AsRef<Path>, quality: u8) -> Result<()> {
    write(path.as_ref(), encode_jpeg(image, quality))
}

#[cfg(test)]
mod tests {
    use super::super::{DecodeOptions, decode_image};
    use super::*;

    #[test]
    fn pictures_survive() {
        let image = Tensor::from_vec(
            (0..3 * 16 * 8).map(|i| (i / 8 * 5) as u8).collect::<Vec<u8>>(),
            (3, 16, 8),
        )
        .unwrap();
        for level in [0, 1, 6, 9] {
            let read = decode_image(&encode_png(&image, level).unwrap(), &DecodeOptions::default()).unwrap();
            assert!(read.equal(&image).unwrap(), "{level}");
        }
        let grey = Tensor::full((1, 9, 9), 77, DType::U8).unwrap();
        let read = decode_image(&encode_jpeg(&grey, 90).unwrap(), &DecodeOptions::default()).unwrap();
        assert!(
            read.shape() == [1, 9, 9] && read.to_vec::<u8>().unwrap().iter().all(|x| x.abs_diff(77) <= 1)
        );
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let message = |result: Result<Vec<u8>>| result.unwrap_err().to_string();
        let image = |shape: &[usize], dtype| Tensor::zeros(shape, dtype).unwrap();
        assert!(message(encode_png(&image(&[2, 3, 3], DType::U8), 6)).contains("[2, 3, 3]"));
        assert!(message(encode_png(&image(&[3, 3], DType::U8), 6)).contains("[3, 3]"));
        assert!(message(encode_png(&image(&[3, 0, 3], DType::U8), 6)).contains("[3, 0, 3]"));
        assert!(message(encode_jpeg(&image(&[3, 3, 3], DType::F32), 75)).contains("float32"));
        assert!(message(encode_jpeg(&image(&[3, 3, 3], DType::U8), 0)).contains("quality"));
        let error = write_png(&image(&[3, 3, 3], DType::U8), "no/such/folder/x.png", 6).unwrap_err();
        assert!(error.to_string().starts_with("no/such/folder/x.png: "), "{error}");
    }
}
