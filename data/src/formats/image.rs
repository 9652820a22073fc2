//! Pictures as tensors (`torchvision.io.decode_image`), through the crate `image`: JPEG and PNG.

use std::io::Cursor;
use std::path::Path;

use ::image::{ImageError, ImageReader, Limits};
use flambeau_tensor::{Error, Result, Tensor};

use super::{io_error, open, read_bytes};

/// The largest picture that is decoded: 512 MiB.
const LARGEST: u64 = 512 << 20;

/// Reads the picture in the file at `path`.
///
/// # Shapes
/// `→ [3, height, width]`, `uint8`: red, green and blue. Transparency is left out.
///
/// # Errors
/// `Io` if the file can't be read, `Format` if it is not a picture in a known format; both name the file.
pub fn read(path: impl AsRef<Path>) -> Result<Tensor> {
    let path = path.as_ref();
    let (mut file, length) = open(path)?;
    let picture = read_bytes(&mut file, length).and_then(|bytes| decode(&bytes));
    picture.map_err(|error| error.context(path.display()))
}

/// Decodes a picture from the bytes of its file; see [`read`].
///
/// # Errors
/// `Format` if they are not a picture in a known format, or one of more than 512 MiB.
pub fn decode(bytes: &[u8]) -> Result<Tensor> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(io_error)?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(LARGEST);
    reader.limits(limits);
    let picture = reader.decode().map_err(|error| match error {
        ImageError::IoError(error) => io_error(error),
        other => Error::Format(format!("image: {other}")),
    })?;
    let picture = picture.into_rgb8();
    let shape = (picture.height() as usize, picture.width() as usize, 3);
    Tensor::from_vec(picture.into_raw(), shape)?
        .permute([2, 0, 1])?
        .contiguous()
}

#[cfg(test)]
mod tests {
    use super::super::test_files::Folder;
    use super::*;
    use ::image::{ImageFormat, Rgb, RgbImage, RgbaImage};

    fn bytes_of(picture: impl Into<::image::DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn pictures_become_planes() {
        let folder = Folder::new();
        let picture = RgbImage::from_fn(3, 2, |x, y| Rgb([x as u8, y as u8, 7]));
        let planes = read(folder.file("x.png", bytes_of(picture, ImageFormat::Png))).unwrap();
        assert_eq!(planes.shape(), [3, 2, 3]);
        let expected = [0, 1, 2, 0, 1, 2, 0, 0, 0, 1, 1, 1, 7, 7, 7, 7, 7, 7];
        assert_eq!(planes.to_vec::<u8>().unwrap(), expected);
        let transparent = bytes_of(RgbaImage::new(1, 1), ImageFormat::Png);
        assert_eq!(decode(&transparent).unwrap().shape(), [3, 1, 1]);
        let grey = RgbImage::from_pixel(8, 8, Rgb([128; 3]));
        let jpeg = decode(&bytes_of(grey, ImageFormat::Jpeg))
            .unwrap()
            .to_vec::<u8>()
            .unwrap();
        assert!(jpeg.iter().all(|x| x.abs_diff(128) <= 1));
    }

    #[test]
    fn bad_pictures_are_errors() {
        let folder = Folder::new();
        let whole = bytes_of(RgbImage::new(40, 40), ImageFormat::Png);
        for length in 0..whole.len() - 12 {
            let error = folder.stripped(read(folder.file("x.png", &whole[..length])).unwrap_err());
            assert!(error.starts_with("FOLDER/x.png: "), "{error}");
        }
        let mut huge = whole.clone();
        // The width and height in the header, and its checksum.
        huge[16..24].copy_from_slice(&[0x7f; 8]);
        assert!(decode(&huge).is_err());
    }
}
