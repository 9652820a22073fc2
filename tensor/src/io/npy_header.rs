//! The header of a `.npy` file: magic number, version, and a Python dictionary of element type, order and shape.
//!
//! The dictionary is `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, padded with spaces so that the data
//! start at a multiple of 64 bytes. Versions 1 and 2 are Latin-1, version 3 is UTF-8; they differ for field names only.

use std::io::Read;

use super::elements::Endian;
use super::io_error;
use crate::{DType, Error, Result, bail, ensure};

pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Headers of plain element types are about a hundred bytes long.
const MAX_HEADER: usize = 1 << 16;
/// NumPy's own limit.
const MAX_RANK: usize = 64;

/// What the header says.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) dtype: DType,
    pub(super) endian: Endian,
    /// The first index runs fastest.
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<usize>,
}

/// Reads the header; also gives the number of bytes it takes.
pub(super) fn read(reader: &mut dyn Read) -> Result<(Header, u64)> {
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(io_error)?;
    let [magic @ .., major, minor] = start;
    ensure!(
        &magic == MAGIC,
        Format,
        "not a .npy file: it does not start with \\x93NUMPY"
    );
    let (length, prefix) = match (major, minor) {
        (1, 0) => {
            let mut length = [0; 2];
            reader.read_exact(&mut length).map_err(io_error)?;
            (u16::from_le_bytes(length) as usize, 10)
        }
        (2 | 3, 0) => {
            let mut length = [0; 4];
            reader.read_exact(&mut length).map_err(io_error)?;
            (u32::from_le_bytes(length) as usize, 12)
        }
        _ => bail!(
            Unsupported,
            ".npy version {major}.{minor}; known are 1.0, 2.0 and 3.0"
        ),
    };
    ensure!(
        length <= MAX_HEADER,
        Format,
        "a header of {length} bytes; at most {MAX_HEADER} are read"
    );
    let mut text = vec![0; length];
    reader.read_exact(&mut text).map_err(io_error)?;
    let header = Parser { text: &text, at: 0 }.header()?;
    Ok((header, (prefix + length) as u64))
}

/// The bytes before the data, as NumPy writes them.
pub(super) fn to_bytes(dtype: DType, shape: &[usize]) -> Result<Vec<u8>> {
    let descr = match dtype {
        DType::Bool => "|b1",
        DType::U8 => "|u1",
        DType::I8 => "|i1",
        DType::I16 => "<i2",
        DType::I32 => "<i4",
        DType::I64 => "<i8",
        DType::F16 => "<f2",
        DType::F32 => "<f4",
        DType::F64 => "<f8",
        DType::BF16 => bail!(Unsupported, "NumPy has no bfloat16; convert to float32 first"),
    };
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut text = format!(
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}",
        sizes.join(", ")
    );
    // NumPy leaves room for the first size to grow to 21 digits when rows are appended to the file.
    let growth = sizes.first().map_or(0, |size| 21usize.saturating_sub(size.len()));
    text.extend(std::iter::repeat_n(' ', growth));
    let padding = 64 - (10 + text.len() + 1) % 64;
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    let Ok(length) = u16::try_from(text.len()) else {
        bail!(
            Unsupported,
            "a shape of {} dimensions does not fit into the header",
            shape.len()
        )
    };
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend(length.to_le_bytes());
    bytes.extend(text.into_bytes());
    Ok(bytes)
}

/// Reads the few Python literals that a header is made of.
struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn header(mut self) -> Result<Header> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.expect(b'{')?;
        while !self.accept(b'}') {
            let key = self.string()?;
            self.expect(b':')?;
            let twice = match key {
                "descr" => descr.replace(self.descr()?).is_some(),
                "fortran_order" => fortran_order.replace(self.truth()?).is_some(),
                "shape" => shape.replace(self.shape()?).is_some(),
                _ => bail!(Format, "the header has an unknown key {key:?}"),
            };
            ensure!(!twice, Format, "the header has the key {key:?} twice");
            if !self.accept(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        ensure!(
            self.peek().is_none(),
            Format,
            "the header goes on after its end at byte {}",
            self.at
        );
        let missing = |key: &str| Error::Format(format!("the header lacks the key {key:?}"));
        let (dtype, endian) = descr.ok_or_else(|| missing("descr"))?;
        Ok(Header {
            dtype,
            endian,
            fortran_order: fortran_order.ok_or_else(|| missing("fortran_order"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
        })
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        while self
            .text
            .get(self.at)
            .is_some_and(|byte| b" \t\r\n".contains(byte))
        {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += found as usize;
        found
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        ensure!(
            self.accept(byte),
            Format,
            "the header has no '{}' at byte {}",
            byte as char,
            self.at
        );
        Ok(())
    }

    /// The bytes from here on that satisfy the condition.
    fn run(&mut self, condition: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|&byte| !condition(byte))
            .unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn string(&mut self) -> Result<&'a str> {
        let quote = match self.peek() {
            Some(quote @ (b'\'' | b'"')) => quote,
            _ => bail!(Format, "the header has no string at byte {}", self.at),
        };
        self.at += 1;
        let bytes = self.run(|byte| byte != quote && byte != b'\\');
        let text = std::str::from_utf8(bytes);
        let text = text.map_err(|_| Error::Format("the header is not text".to_string()))?;
        ensure!(
            self.text.get(self.at) == Some(&quote),
            Format,
            "the header's string {text:?} does not end"
        );
        self.at += 1;
        Ok(text)
    }

    fn descr(&mut self) -> Result<(DType, Endian)> {
        ensure!(
            !matches!(self.peek(), Some(b'[' | b'(')),
            Unsupported,
            "structured element types are not read; save each field as an array of its own"
        );
        let descr = self.string()?;
        let (endian, name) = match descr.split_at_checked(1) {
            Some((">", name)) => (Endian::Big, name),
            Some(("<" | "|", name)) => (Endian::Little, name),
            Some(("=", name)) if cfg!(target_endian = "big") => (Endian::Big, name),
            Some(("=", name)) => (Endian::Little, name),
            _ => (Endian::Little, descr),
        };
        let dtype = match name {
            "b1" | "?" => DType::Bool,
            "u1" => DType::U8,
            "i1" => DType::I8,
            "i2" => DType::I16,
            "i4" => DType::I32,
            "i8" => DType::I64,
            "f2" => DType::F16,
            "f4" => DType::F32,
            "f8" => DType::F64,
            "O" => bail!(
                Unsupported,
                "an array of Python objects; pickles are never executed"
            ),
            _ => bail!(
                Unsupported,
                "element type {descr:?}; read are bool, uint8, int8 to int64 and float16 to float64"
            ),
        };
        Ok((dtype, endian))
    }

    fn truth(&mut self) -> Result<bool> {
        self.peek();
        match self.run(|byte| byte.is_ascii_alphabetic()) {
            b"True" => Ok(true),
            b"False" => Ok(false),
            _ => bail!(Format, "the header's fortran_order is neither True nor False"),
        }
    }

    fn shape(&mut self) -> Result<Vec<usize>> {
        let mut shape = Vec::new();
        let mut commas = 0;
        self.expect(b'(')?;
        while !self.accept(b')') {
            self.peek();
            let digits = self.run(|byte| byte.is_ascii_digit());
            let size = std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| digits.parse().ok());
            let Some(size) = size else {
                bail!(Format, "the header's shape has no valid size at byte {}", self.at)
            };
            // Python 2 wrote its long integers with this suffix.
            self.accept(b'L');
            shape.push(size);
            ensure!(
                shape.len() <= MAX_RANK,
                Format,
                "a shape of more than {MAX_RANK} dimensions"
            );
            if !self.accept(b',') {
                self.expect(b')')?;
                break;
            }
            commas += 1;
        }
        ensure!(
            shape.len() != 1 || commas == 1,
            Format,
            "the header's shape is a number, not a tuple"
        );
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Header> {
        Parser {
            text: text.as_bytes(),
            at: 0,
        }
        .header()
    }

    #[test]
    fn keys_come_in_any_order_and_quotes() {
        let header = parse(r#"{ "shape":(2,3L) ,"fortran_order":True, 'descr': ">i4"}  "#).unwrap();
        let expected = Header {
            dtype: DType::I32,
            endian: Endian::Big,
            fortran_order: true,
            shape: vec![2, 3],
        };
        assert_eq!(header, expected);
    }

    #[test]
    fn faults_are_named() {
        for (text, message) in [
            ("", "no '{'"),
            ("{}", "lacks the key \"descr\""),
            ("{'descr': '<f4', 'descr': '<f4'}", "twice"),
            ("{'descr': '<f4', 'fortran_order': 0}", "neither True nor False"),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (3)}",
                "not a tuple",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}",
                "no valid size",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
                "no valid size",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} x",
                "after its end",
            ),
            ("{'descr': '<f4', 'x': 1}", "unknown key \"x\""),
            ("{'descr': '<f4", "does not end"),
            ("{'descr': '<c8'}", "\"<c8\""),
            ("{'descr': '|O'}", "never executed"),
            ("{'descr': [('a', '<f4')]}", "structured"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
