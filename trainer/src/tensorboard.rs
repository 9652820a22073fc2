//! Event files that TensorBoard shows.
//!
//! A file is a sequence of records: the length of the data (8 bytes, little-endian), a checksum of the length, the data, a
//! checksum of the data. The checksum is the CRC-32C, rotated by 15 bits and shifted by a constant. The data is an `Event`
//! in Protocol Buffers' encoding:
//!
//! ```text
//! Event        1: wall_time (double)  2: step (int64)  3: file_version (string)  5: summary (Summary)
//! Summary      1: value (Summary.Value)
//! Value        1: tag (string)  2: simple_value (float)  4: image (Image)  5: histo (Histogram)
//! Image        1: height  2: width  3: colorspace (channels)  4: encoded_image_string (PNG)
//! Histogram    1: min  2: max  3: num  4: sum  5: sum_squares  6: bucket_limit (packed doubles)  7: bucket
//! ```

use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crc::{CRC_32_ISCSI, Crc};
use flambeau_tensor::{DType, Error, Result, Tensor, ensure};

use crate::io_error;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// The number of intervals of a histogram.
const BUCKETS: usize = 64;

/// Writes measurements to an event file (`torch.utils.tensorboard.SummaryWriter`).
///
/// ```
/// use flambeau_trainer::TensorBoard;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// let mut board = TensorBoard::create(folder.join("runs/first"))?;
/// board.add_scalar("loss/train", 0.75, 1)?;
/// board.add_scalar("loss/train", 0.5, 2)?;
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
///
/// `tensorboard --logdir runs` shows it.
#[derive(Debug)]
pub struct TensorBoard {
    path: PathBuf,
    file: File,
}

impl TensorBoard {
    /// Begins a new file in `folder`, which is made if need be. A run that is resumed begins another file there;
    /// TensorBoard shows them as one.
    ///
    /// # Errors
    /// `Io` if the file can't be made.
    pub fn create(folder: impl AsRef<Path>) -> Result<TensorBoard> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(|error| io_error(folder, error))?;
        let seconds = now() as u64;
        // Two runs that begin in one second get two files.
        let names = (0..).map(|n| folder.join(format!("events.out.tfevents.{seconds}.{n}.flambeau")));
        for path in names {
            match File::create_new(&path) {
                Ok(file) => {
                    let mut board = TensorBoard { path, file };
                    let mut event = Message::default();
                    event.double(1, now());
                    event.bytes(3, b"brain.Event:2");
                    board.record(&event)?;
                    return Ok(board);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(io_error(&path, error)),
            }
        }
        Err(io_error(folder, "no free name for an event file"))
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a point to a curve.
    ///
    /// # Errors
    /// `Io` if it can't be written.
    pub fn add_scalar(&mut self, tag: &str, value: f64, step: u64) -> Result<()> {
        self.value(tag, step, |message| message.float(2, value as f32))
    }

    /// Adds an image.
    ///
    /// # Shapes
    /// `[channels, height, width]` of `uint8`, with 1 or 3 channels.
    ///
    /// # Errors
    /// `Shape` or `DType` for another tensor, `Io` if it can't be written.
    pub fn add_image(&mut self, tag: &str, image: &Tensor, step: u64) -> Result<()> {
        ensure!(
            image.rank() == 3 && [1, 3].contains(&image.shape()[0]),
            Shape,
            "add_image: expected [1 or 3, height, width], got {:?}",
            image.shape()
        );
        ensure!(
            image.dtype() == DType::U8,
            DType,
            "add_image: expected uint8, got {}",
            image.dtype()
        );
        let (channels, height, width) = (image.shape()[0], image.shape()[1], image.shape()[2]);
        let pixels = image.permute([1, 2, 0])?.to_vec::<u8>()?;
        let color = match channels {
            1 => image::ExtendedColorType::L8,
            _ => image::ExtendedColorType::Rgb8,
        };
        let mut png = Cursor::new(Vec::new());
        image::write_buffer_with_format(
            &mut png,
            &pixels,
            width as u32,
            height as u32,
            color,
            image::ImageFormat::Png,
        )
        .map_err(|error| Error::Value(format!("add_image: {error}")))?;
        self.value(tag, step, |message| {
            let mut picture = Message::default();
            picture.varint(1, height as u64);
            picture.varint(2, width as u64);
            picture.varint(3, channels as u64);
            picture.bytes(4, png.get_ref());
            message.bytes(4, &picture.0);
        })
    }

    /// Adds the distribution of a tensor's elements.
    ///
    /// # Errors
    /// `Value` if there are no elements or one is not finite; `Io` if it can't be written.
    pub fn add_histogram(&mut self, tag: &str, values: &Tensor, step: u64) -> Result<()> {
        let values = values.to_dtype(DType::F64)?.to_vec::<f64>()?;
        ensure!(
            !values.is_empty() && values.iter().all(|x| x.is_finite()),
            Value,
            "add_histogram: {tag:?} has no elements, or one that is not finite"
        );
        let min = values.iter().copied().fold(f64::INFINITY, f64::min);
        let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let width = if max > min {
            (max - min) / BUCKETS as f64
        } else {
            1.0
        };
        let mut counts = vec![0f64; BUCKETS];
        for x in &values {
            counts[(((x - min) / width) as usize).min(BUCKETS - 1)] += 1.0;
        }
        let limits: Vec<f64> = (1..=BUCKETS).map(|i| min + i as f64 * width).collect();
        self.value(tag, step, |message| {
            let mut histogram = Message::default();
            histogram.double(1, min);
            histogram.double(2, max);
            histogram.double(3, values.len() as f64);
            histogram.double(4, values.iter().sum());
            histogram.double(5, values.iter().map(|x| x * x).sum());
            histogram.doubles(6, &limits);
            histogram.doubles(7, &counts);
            message.bytes(5, &histogram.0);
        })
    }

    /// Writes an event with one value.
    fn value(&mut self, tag: &str, step: u64, fill: impl FnOnce(&mut Message)) -> Result<()> {
        let mut value = Message::default();
        value.bytes(1, tag.as_bytes());
        fill(&mut value);
        let mut summary = Message::default();
        summary.bytes(1, &value.0);
        let mut event = Message::default();
        event.double(1, now());
        event.varint(2, step);
        event.bytes(5, &summary.0);
        self.record(&event)
    }

    /// Writes one record, in one call: what follows a crash is a file that ends in a whole record.
    fn record(&mut self, event: &Message) -> Result<()> {
        let length = (event.0.len() as u64).to_le_bytes();
        let mut bytes = Vec::with_capacity(event.0.len() + 16);
        bytes.extend(length);
        bytes.extend(masked_crc(&length).to_le_bytes());
        bytes.extend(&event.0);
        bytes.extend(masked_crc(&event.0).to_le_bytes());
        self.file
            .write_all(&bytes)
            .map_err(|error| io_error(&self.path, error))
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

fn masked_crc(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A message in Protocol Buffers' encoding.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, mut x: u64) {
        while x >= 0x80 {
            self.0.push(x as u8 | 0x80);
            x >>= 7;
        }
        self.0.push(x as u8);
    }

    fn key(&mut self, field: u64, wire: u64) {
        self.number(field << 3 | wire);
    }

    fn varint(&mut self, field: u64, x: u64) {
        self.key(field, 0);
        self.number(x);
    }

    fn double(&mut self, field: u64, x: f64) {
        self.key(field, 1);
        self.0.extend(x.to_le_bytes());
    }

    fn float(&mut self, field: u64, x: f32) {
        self.key(field, 5);
        self.0.extend(x.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn doubles(&mut self, field: u64, numbers: &[f64]) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.bytes(field, &bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records' data, their checksums checked.
    fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
        let (mut records, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let crc = |from: usize| u32::from_le_bytes(rest[from..from + 4].try_into().unwrap());
            assert_eq!(crc(8), masked_crc(&rest[..8]));
            assert_eq!(crc(12 + length), masked_crc(&rest[12..12 + length]));
            records.push(rest[12..12 + length].to_vec());
            rest = &rest[16 + length..];
        }
        records
    }

    #[test]
    fn checksums_are_those_of_the_format() {
        // CRC-32C of "123456789", masked.
        assert_eq!(CRC.checksum(b"123456789"), 0xe306_9283);
        assert_eq!(
            masked_crc(b"123456789"),
            0xe306_9283u32.rotate_right(15).wrapping_add(0xa282_ead8)
        );
    }

    #[test]
    fn events_are_encoded_field_by_field() {
        let folder = tempfile::tempdir().unwrap();
        let mut board = TensorBoard::create(folder.path().join("run")).unwrap();
        board.add_scalar("loss", 0.5, 300).unwrap();
        let records = records(&fs::read(board.path()).unwrap());
        assert_eq!(records.len(), 2);
        assert!(records[0].ends_with(b"\x1a\x0dbrain.Event:2"));
        // step 300, then a summary of 13 bytes with a value of 11: the tag, and 0.5.
        let expected = [
            &[0x10, 0xac, 0x02, 0x2a, 13, 0x0a, 11, 0x0a, 4][..],
            b"loss",
            &[0x15, 0, 0, 0, 0x3f],
        ];
        assert_eq!(records[1][9..], expected.concat());
        let other = TensorBoard::create(folder.path().join("run")).unwrap();
        assert_ne!(other.path(), board.path());
    }

    #[test]
    fn images_and_histograms_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let mut board = TensorBoard::create(folder.path()).unwrap();
        board
            .add_image("photo", &Tensor::zeros((3, 2, 4), DType::U8).unwrap(), 0)
            .unwrap();
        board
            .add_histogram("weights", &Tensor::new([1.0f32, 2.0, 2.5]).unwrap(), 0)
            .unwrap();
        let records = records(&fs::read(board.path()).unwrap());
        assert!(records[1].windows(8).any(|bytes| bytes == b"\x89PNG\r\n\x1a\n"));
        assert!(
            records[2].windows(8).any(|bytes| bytes == 5.5f64.to_le_bytes()),
            "the sum"
        );
        let wrong = [
            board.add_image("photo", &Tensor::zeros((2, 2, 4), DType::U8).unwrap(), 0),
            board.add_image("photo", &Tensor::zeros((3, 2, 4), DType::F32).unwrap(), 0),
            board.add_histogram("weights", &Tensor::new([f32::NAN]).unwrap(), 0),
        ];
        assert!(wrong.iter().all(Result::is_err));
    }
}
