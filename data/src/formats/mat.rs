//! MATLAB's files of version 5 (`scipy.io.loadmat`): arrays of numbers.
//!
//! A header of 128 bytes (text, then the version `0x0100` and the marks `IM` or `MI` of the byte order), then elements: type
//! and size, each of 32 bits, and data padded to 8 bytes; data of up to 4 bytes stand in place of half of the size. A matrix
//! (type 14) is made of elements: flags with the class, sizes, name, numbers, which may be stored in a smaller type than that
//! of the class. Elements may be packed by zlib (type 15). Text, structs, cells, sparse and complex arrays are passed over.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use flambeau_tensor::io::{Unpacked, unpacked_limit};
use flambeau_tensor::{DType, Error, Result, Tensor, bail, ensure};
use flate2::bufread::ZlibDecoder;

use super::{io_error, open, read_bytes};

const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// Reads the arrays of numbers in the file at `path`, by name. Their sizes are in MATLAB's order.
///
/// ```no_run
/// use flambeau_data::formats::mat;
///
/// let digits = mat::read("train_32x32.mat")?;
/// println!("{:?}", digits["X"].shape()); // [32, 32, 3, 73257]
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
///
/// # Errors
/// `Io` if the file can't be read, `Format` if it is not a valid file of version 5; both name it.
pub fn read(path: impl AsRef<Path>) -> Result<BTreeMap<String, Tensor>> {
    let path = path.as_ref();
    let (mut file, length) = open(path)?;
    let arrays = read_bytes(&mut file, length).and_then(|bytes| from_bytes(&bytes));
    arrays.map_err(|error| error.context(path.display()))
}

/// The arrays of numbers in the bytes of a file; see [`read`].
///
/// # Errors
/// `Format` if they are not a valid file of version 5.
pub fn from_bytes(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let header: Option<&[u8; 128]> = bytes.first_chunk();
    let big = match header {
        Some([.., 0x00, 0x01, b'I', b'M']) => false,
        Some([.., 0x01, 0x00, b'M', b'I']) => true,
        _ => bail!(Format, "not a MATLAB file of version 5"),
    };
    let mut arrays = BTreeMap::new();
    // What all elements may still unpack to.
    let mut left = unpacked_limit(bytes.len() as u64);
    let mut elements = Elements {
        bytes: &bytes[128..],
        big,
        padded: false,
    };
    while let Some((kind, data)) = elements.next()? {
        let unpacked;
        let matrix = match kind {
            COMPRESSED => {
                unpacked = unpack(data, left)?;
                left -= unpacked.len() as u64;
                let mut inner = Elements {
                    bytes: &unpacked,
                    big,
                    padded: true,
                };
                match inner.next()? {
                    Some((MATRIX, data)) => array(data, big)?,
                    _ => None,
                }
            }
            MATRIX => array(data, big)?,
            _ => None,
        };
        arrays.extend(matrix);
    }
    Ok(arrays)
}

fn unpack(data: &[u8], most: u64) -> Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    Unpacked::new(ZlibDecoder::new(data), most)
        .read_to_end(&mut unpacked)
        .map_err(io_error)?;
    Ok(unpacked)
}

/// Elements one after the other.
struct Elements<'a> {
    bytes: &'a [u8],
    big: bool,
    /// Whether each begins at a multiple of 8 bytes. Packed ones at the top do not.
    padded: bool,
}

impl<'a> Elements<'a> {
    fn word(&self, at: usize) -> Result<u32> {
        match self.bytes.get(at..).and_then(|bytes| bytes.first_chunk()) {
            Some(word) if self.big => Ok(u32::from_be_bytes(*word)),
            Some(word) => Ok(u32::from_le_bytes(*word)),
            None => bail!(Format, "the data end early"),
        }
    }

    /// Type and data of the next element; none at the end.
    fn next(&mut self) -> Result<Option<(u32, &'a [u8])>> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let tag = self.word(0)?;
        let (kind, start, size) = match tag >> 16 {
            0 => (tag, 8, self.word(4)? as usize),
            small => (tag & 0xffff, 4, small as usize),
        };
        ensure!(start == 8 || size <= 4, Format, "{size} bytes in an element of 4");
        let Some(data) = self.bytes.get(start..).and_then(|bytes| bytes.get(..size)) else {
            bail!(
                Format,
                "an element of {size} bytes, but {} are left",
                self.bytes.len().saturating_sub(start)
            )
        };
        let padded = self.padded || kind != COMPRESSED;
        let end = if start == 4 {
            8
        } else {
            start + if padded { size.next_multiple_of(8) } else { size }
        };
        self.bytes = self.bytes.get(end..).unwrap_or_default();
        Ok(Some((kind, data)))
    }

    /// The next element, which has to be there.
    fn part(&mut self, what: &str) -> Result<(u32, &'a [u8])> {
        let part = self.next()?;
        part.ok_or_else(|| Error::Format(format!("a matrix without {what}")))
    }
}

/// Name and values of a matrix of numbers; none for other kinds.
fn array(data: &[u8], big: bool) -> Result<Option<(String, Tensor)>> {
    let mut parts = Elements {
        bytes: data,
        big,
        padded: true,
    };
    let (_, flags) = parts.part("flags")?;
    let flags = numbers(6, flags, big)?.first().copied().unwrap_or(0.0) as u32;
    let (class, complex) = (flags & 0xff, flags & 0x800 != 0);
    let dtype = match class {
        6 => DType::F64,
        7 => DType::F32,
        8 => DType::I8,
        9 => DType::U8,
        10 => DType::I16,
        // The framework has no unsigned types but bytes: those that hold all their values.
        11 => DType::I32,
        12 => DType::I32,
        13 | 14 => DType::I64,
        _ => return Ok(None),
    };
    if complex {
        return Ok(None);
    }
    let (_, sizes) = parts.part("sizes")?;
    let sizes = numbers(5, sizes, big)?;
    ensure!(
        sizes.len() >= 2 && sizes.iter().all(|&n| n >= 0.0),
        Format,
        "a matrix of the sizes {sizes:?}"
    );
    let shape: Vec<usize> = sizes.iter().map(|&n| n as usize).collect();
    let (_, name) = parts.part("a name")?;
    let name = String::from_utf8_lossy(name).into_owned();
    let (kind, values) = parts.part("numbers")?;
    let count = shape
        .iter()
        .try_fold(1usize, |product, &n| product.checked_mul(n));
    let width = width_of(kind)?;
    ensure!(
        count.and_then(|count| count.checked_mul(width)) == Some(values.len()),
        Format,
        "{name}: a matrix of the sizes {shape:?} in {} bytes of type {kind}",
        values.len()
    );
    // The first dimension varies fastest.
    let turned: Vec<usize> = shape.iter().rev().copied().collect();
    let flat = match (kind, dtype) {
        (2, DType::U8) => Tensor::from_slice(values, turned)?,
        // 64-bit integers beyond 2⁵³ are not exact in double precision.
        (12 | 13, _) => Tensor::from_vec(integers(values, big), turned)?.to_dtype(dtype)?,
        _ => Tensor::from_vec(numbers(kind, values, big)?, turned)?.to_dtype(dtype)?,
    };
    let order: Vec<isize> = (0..shape.len() as isize).rev().collect();
    Ok(Some((name, flat.permute(order)?.contiguous()?)))
}

/// The bytes of a number of a type.
fn width_of(kind: u32) -> Result<usize> {
    Ok(match kind {
        1 | 2 => 1,
        3 | 4 => 2,
        5..=7 => 4,
        9 | 12 | 13 => 8,
        _ => bail!(Format, "numbers of the unknown type {kind}"),
    })
}

fn integers(bytes: &[u8], big: bool) -> Vec<i64> {
    let (words, _) = bytes.as_chunks::<8>();
    let integer = |word: &[u8; 8]| {
        if big {
            i64::from_be_bytes(*word)
        } else {
            i64::from_le_bytes(*word)
        }
    };
    words.iter().map(integer).collect()
}

/// Numbers of one of the types that are exact in double precision.
fn numbers(kind: u32, bytes: &[u8], big: bool) -> Result<Vec<f64>> {
    fn all<const N: usize>(bytes: &[u8], big: bool, number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        let (words, _) = bytes.as_chunks::<N>();
        let little = |word: &[u8; N]| {
            let mut word = *word;
            if big {
                word.reverse();
            }
            number(word)
        };
        words.iter().map(little).collect()
    }
    Ok(match kind {
        1 => all(bytes, big, |b| f64::from(i8::from_le_bytes(b))),
        2 => all(bytes, big, |b| f64::from(u8::from_le_bytes(b))),
        3 => all(bytes, big, |b| f64::from(i16::from_le_bytes(b))),
        4 => all(bytes, big, |b| f64::from(u16::from_le_bytes(b))),
        5 => all(bytes, big, |b| f64::from(i32::from_le_bytes(b))),
        6 => all(bytes, big, |b| f64::from(u32::from_le_bytes(b))),
        7 => all(bytes, big, |b| f64::from(f32::from_le_bytes(b))),
        9 => all(bytes, big, f64::from_le_bytes),
        _ => bail!(Format, "numbers of the unknown type {kind}"),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn element(kind: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = if (1..=4).contains(&data.len()) {
            [(kind | (data.len() as u32) << 16).to_le_bytes().as_slice(), data].concat()
        } else {
            [&kind.to_le_bytes(), &(data.len() as u32).to_le_bytes(), data].concat()
        };
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn matrix(class: u32, sizes: &[i32], name: &str, kind: u32, values: &[u8]) -> Vec<u8> {
        let flags = [class.to_le_bytes(), [0; 4]].concat();
        let sizes: Vec<u8> = sizes.iter().flat_map(|n| n.to_le_bytes()).collect();
        let parts = [
            element(6, &flags),
            element(5, &sizes),
            element(1, name.as_bytes()),
            element(kind, values),
        ];
        element(MATRIX, &parts.concat())
    }

    fn packed(element: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(element).unwrap();
        let data = encoder.finish().unwrap();
        [
            &COMPRESSED.to_le_bytes()[..],
            &(data.len() as u32).to_le_bytes(),
            &data,
        ]
        .concat()
    }

    fn file(elements: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![b' '; 124];
        bytes.extend(b"\x00\x01IM");
        bytes.extend(elements.concat());
        bytes
    }

    #[test]
    fn arrays_are_read_in_the_order_of_matlab() {
        let text = matrix(4, &[1, 1], "text", 16, b"x");
        let bytes = matrix(9, &[2, 3], "X", 2, &[1, 2, 3, 4, 5, 6]);
        // Doubles that are bytes in the file.
        let doubles = matrix(6, &[3, 1], "y", 2, &[10, 1, 2]);
        let wide: Vec<u8> = [i64::MIN, i64::MAX]
            .iter()
            .flat_map(|n| n.to_le_bytes())
            .collect();
        let wide = matrix(14, &[1, 2], "wide", 12, &wide);
        for elements in [
            vec![text.clone(), bytes.clone(), doubles.clone(), wide.clone()],
            [&text, &bytes, &doubles, &wide]
                .iter()
                .map(|element| packed(element))
                .collect(),
        ] {
            let arrays = from_bytes(&file(&elements)).unwrap();
            assert_eq!(arrays.keys().collect::<Vec<_>>(), ["X", "wide", "y"]);
            assert_eq!(arrays["X"].to_vec2::<u8>().unwrap(), [[1, 3, 5], [2, 4, 6]]);
            assert_eq!(arrays["y"].to_vec2::<f64>().unwrap(), [[10.0], [1.0], [2.0]]);
            assert_eq!(arrays["wide"].to_vec::<i64>().unwrap(), [i64::MIN, i64::MAX]);
        }
    }

    #[test]
    fn bad_files_are_errors() {
        let message = |bytes: &[u8]| from_bytes(bytes).unwrap_err().to_string();
        assert_eq!(message(b"MATLAB"), "not a MATLAB file of version 5");
        let large = file(&[matrix(9, &[1 << 30, 1 << 30], "X", 2, &[0; 8])]);
        assert!(message(&large).starts_with("X: a matrix of the sizes [1073741824, 1073741824] in 8 bytes"));
        assert!(from_bytes(&file(&[matrix(9, &[-1, 8], "X", 2, &[0; 8])])).is_err());
        assert!(from_bytes(&file(&[matrix(9, &[1, 1], "X", 77, &[0; 8])])).is_err());
        let cut = file(&[matrix(9, &[1, 8], "X", 2, &[0; 8])]);
        assert!(message(&cut[..cut.len() - 8]).starts_with("an element of "));
    }

    #[test]
    fn altered_bytes_never_panic_and_parts_are_no_arrays() {
        let plain = matrix(9, &[2, 3], "X", 2, &[1, 2, 3, 4, 5, 6]);
        for whole in [file(&[packed(&plain)]), file(&[plain])] {
            for at in 0..whole.len() {
                // Without its only array, a file may be whole.
                let read = from_bytes(&whole[..at]);
                assert!(
                    read.is_err() || read.is_ok_and(|arrays| arrays.is_empty()),
                    "the first {at} bytes"
                );
                for value in [0, 1, 15, 0x7f, 0xff, whole[at] ^ 1] {
                    let mut altered = whole.clone();
                    altered[at] = value;
                    let _ = from_bytes(&altered);
                }
            }
        }
    }
}
