//! Pictures that are read and not decoded yet: [`EncodedImage`].

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use flambeau_tensor::{Result, Tensor, bail, ensure};

use super::jpeg::{Header, Part};
use super::{DecodeOptions, ImageReadMode, LARGEST, check_packing, decode_any, size_of_any};
use crate::formats::{open, read_bytes};

/// A picture in the bytes of its file, to be decoded whole or in part.
///
/// What a random crop will take is known from the picture's size alone, and the part of a baseline JPEG costs less than
/// the whole:
///
/// ```no_run
/// use flambeau_data::formats::image::{DecodeOptions, EncodedImage};
///
/// let picture = EncodedImage::read("rose.jpg", &DecodeOptions::RGB)?;
/// let (height, width) = picture.size();
/// let middle = picture.decode_part(height / 4..3 * height / 4, width / 4..3 * width / 4)?;
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct EncodedImage<'a> {
    bytes: Cow<'a, [u8]>,
    options: DecodeOptions,
    size: (usize, usize),
    /// Where its parts are decoded here.
    header: Option<Header>,
    /// What errors begin with: the file and the function.
    place: String,
}

const OP: &str = "decode_image";

impl EncodedImage<'static> {
    /// The picture in the file at `path`.
    ///
    /// # Errors
    /// `Io` if the file can't be read, `Format` if it does not begin as a picture in a known format; both name the file.
    pub fn read(path: impl AsRef<Path>, options: &DecodeOptions) -> Result<Self> {
        let path = path.as_ref();
        let (mut file, length) = open(path)?;
        let bytes = read_bytes(&mut file, length).map_err(|error| error.context(path.display()))?;
        EncodedImage::begin(bytes.into(), options, format!("{}: {OP}", path.display()))
    }
}

impl<'a> EncodedImage<'a> {
    /// The picture in the bytes of its file.
    ///
    /// # Errors
    /// `Format` if they do not begin as a picture in a known format.
    pub fn new(bytes: &'a [u8], options: &DecodeOptions) -> Result<Self> {
        EncodedImage::begin(bytes.into(), options, OP.to_string())
    }

    fn begin(bytes: Cow<'a, [u8]>, options: &DecodeOptions, place: String) -> Result<Self> {
        let upright = options.apply_exif_orientation;
        let header = if upright { None } else { Header::new(&bytes) };
        let size = match &header {
            Some(header) => (header.height, header.width),
            None => size_of_any(&bytes, upright).map_err(|error| error.context(&place))?,
        };
        // Grey of colours is not luma, as Pillow has it.
        let header = header.filter(|header| {
            matches!(
                (options.mode, header.channels()),
                (ImageReadMode::Unchanged, _) | (ImageReadMode::Rgb, 3) | (ImageReadMode::Gray, 1)
            )
        });
        Ok(EncodedImage {
            bytes,
            options: *options,
            size,
            header,
            place,
        })
    }

    /// Height and width.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// The picture.
    ///
    /// # Shapes
    /// `→ [channels, height, width]`, `uint8`.
    ///
    /// # Errors
    /// `Format` if it is damaged or not whole, or larger than 512 MiB.
    pub fn decode(&self) -> Result<Tensor> {
        self.decode_part(0..self.size.0, 0..self.size.1)
    }

    /// A part of the picture: the bytes that [`decode`](Self::decode) has there. Damage elsewhere may go unnoticed, but
    /// a file that ends early does not.
    ///
    /// # Shapes
    /// `→ [channels, rows, columns]`, `uint8`.
    ///
    /// # Errors
    /// Those of [`decode`](Self::decode); `Index` if the part is empty or reaches over the picture's edges.
    pub fn decode_part(&self, rows: Range<usize>, columns: Range<usize>) -> Result<Tensor> {
        let inside = |range: &Range<usize>, size: usize| range.start < range.end && range.end <= size;
        ensure!(
            inside(&rows, self.size.0) && inside(&columns, self.size.1),
            Index,
            "{}: rows {rows:?} and columns {columns:?} are no part of a picture of {:?}",
            self.place,
            self.size
        );
        self.part(Part { rows, columns })
            .map_err(|error| error.context(&self.place))
    }

    fn part(&self, part: Part) -> Result<Tensor> {
        if let Some(header) = &self.header {
            let channels = header.channels();
            let bytes = (channels * self.size.0) as u64 * self.size.1 as u64;
            ensure!(
                bytes <= LARGEST,
                Format,
                "a picture of {bytes} bytes is too large"
            );
            check_packing(&self.bytes, Some(image::ImageFormat::Jpeg), bytes)?;
            let mut whole = None;
            let tensor = Tensor::filled_by((channels, part.rows.len(), part.columns.len()), |out| {
                whole = header.decode(&self.bytes, &part, out);
            })?;
            if whole.is_some() {
                return Ok(tensor);
            }
            // The other decoder says what is wrong, or puts up with it.
        }
        let image = decode_any(&self.bytes, &self.options)?;
        let [_, height, width] = *image.shape() else {
            bail!(
                Shape,
                "expected [channels, height, width], got {:?}",
                image.shape()
            )
        };
        if (part.rows.len(), part.columns.len()) == (height, width) {
            return Ok(image);
        }
        let along =
            |image: &Tensor, dim, range: Range<usize>| image.narrow(dim, range.start as isize, range.len());
        along(&along(&image, 1, part.rows)?, 2, part.columns)?.contiguous()
    }
}
