//! Bytes cut into instructions.

use std::io::Read;

use flambeau_tensor::io::io_error;
use flambeau_tensor::{Error, Result, bail, ensure};

use super::MAX_LENGTH;
use super::opcodes::{Opcode, Operand};

/// What came with an instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Argument<'a> {
    None,
    Int(i64),
    Float(f64),
    Bytes(&'a [u8]),
    /// Module and name.
    Names(&'a str, &'a str),
}

/// The instructions of a pickle.
pub(crate) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Tokens<'a> {
        Tokens { bytes, at: 0 }
    }

    /// The place of the next instruction.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The next instruction.
    pub(crate) fn next(&mut self) -> Result<(Opcode, Argument<'a>)> {
        let opcode = known(self.array::<1>()?[0])?;
        let argument = match opcode.operand() {
            Operand::None => Argument::None,
            Operand::Unsigned(width) => match i64::try_from(unsigned(self.take(width)?)) {
                Ok(number) => Argument::Int(number),
                Err(_) => bail!(Format, "{opcode:?} with a number above 2^63"),
            },
            Operand::Signed => Argument::Int(i32::from_le_bytes(self.array()?).into()),
            Operand::Float => Argument::Float(f64::from_be_bytes(self.array()?)),
            Operand::Bytes(width) => {
                let length = unsigned(self.take(width)?);
                let left = self.bytes.len() - self.at;
                match usize::try_from(length) {
                    Ok(length) if length <= left => Argument::Bytes(self.take(length)?),
                    _ => bail!(Format, "{opcode:?} of {length} bytes, of which {left} are left"),
                }
            }
            Operand::Lines => Argument::Names(self.line()?, self.line()?),
        };
        Ok((opcode, argument))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let left = &self.bytes[self.at..];
        ensure!(length <= left.len(), Format, "the pickle ends early");
        self.at += length;
        Ok(&left[..length])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn line(&mut self) -> Result<&'a str> {
        let left = &self.bytes[self.at..];
        let Some(length) = left.iter().position(|&byte| byte == b'\n') else {
            bail!(Format, "the pickle ends within a name")
        };
        self.at += length + 1;
        text(&left[..length])
    }
}

/// Reads the bytes of one pickle, up to its end, from a source of `available` bytes in which more may follow.
pub(crate) fn read_one(reader: &mut impl Read, available: u64) -> Result<Vec<u8>> {
    let limit = available.min(MAX_LENGTH);
    let mut bytes = Vec::new();
    let mut take = |bytes: &mut Vec<u8>, length: u64| -> Result<()> {
        ensure!(
            length <= limit.saturating_sub(bytes.len() as u64),
            Format,
            "the pickle does not end within {limit} bytes"
        );
        let got = reader.take(length).read_to_end(bytes).map_err(io_error)?;
        ensure!(got as u64 == length, Format, "the pickle ends early");
        Ok(())
    };
    loop {
        take(&mut bytes, 1)?;
        let opcode = bytes.last().map_or(Ok(Opcode::Stop), |&byte| known(byte))?;
        match opcode.operand() {
            Operand::None => {}
            Operand::Unsigned(width) => take(&mut bytes, width as u64)?,
            Operand::Signed => take(&mut bytes, 4)?,
            Operand::Float => take(&mut bytes, 8)?,
            Operand::Bytes(width) => {
                take(&mut bytes, width as u64)?;
                let length = unsigned(&bytes[bytes.len() - width..]);
                take(&mut bytes, length)?;
            }
            Operand::Lines => {
                for _ in 0..2 {
                    take(&mut bytes, 1)?;
                    while bytes.last() != Some(&b'\n') {
                        take(&mut bytes, 1)?;
                    }
                }
            }
        }
        if opcode == Opcode::Stop {
            return Ok(bytes);
        }
    }
}

fn known(byte: u8) -> Result<Opcode> {
    Opcode::from_byte(byte).ok_or_else(|| {
        let character = if byte.is_ascii_graphic() {
            format!(" ({:?})", byte as char)
        } else {
            String::new()
        };
        Error::Unsupported(format!("opcode {byte:#04x}{character}, which data need not have"))
    })
}

/// A number of up to eight bytes.
fn unsigned(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// Bytes as a text.
pub(crate) fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| Error::Format(format!("a text is not UTF-8: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_have_their_arguments() -> Result<()> {
        let bytes = b"\x80\x02K\x07J\xfe\xff\xff\xffG\x3f\xf8\0\0\0\0\0\0X\x02\0\0\0hicos\nsystem\n.";
        let mut tokens = Tokens::new(bytes);
        let expected = [
            (Opcode::Proto, Argument::Int(2)),
            (Opcode::BinInt1, Argument::Int(7)),
            (Opcode::BinInt, Argument::Int(-2)),
            (Opcode::BinFloat, Argument::Float(1.5)),
            (Opcode::BinUnicode, Argument::Bytes(b"hi")),
            (Opcode::Global, Argument::Names("os", "system")),
            (Opcode::Stop, Argument::None),
        ];
        for token in expected {
            assert_eq!(tokens.next()?, token);
        }
        assert_eq!(tokens.position(), bytes.len());
        let mut followed = bytes.to_vec();
        followed.extend(b"more");
        assert_eq!(read_one(&mut &*followed, followed.len() as u64)?, bytes);
        Ok(())
    }

    #[test]
    fn pickles_cut_anywhere_are_errors() {
        let bytes = b"\x80\x02K\x07X\x02\0\0\0hicos\nsystem\n.";
        for length in 0..bytes.len() {
            let cut = &bytes[..length];
            assert!(read_one(&mut &*cut, length as u64).is_err());
            let mut tokens = Tokens::new(cut);
            while let Ok((opcode, _)) = tokens.next() {
                assert_ne!(opcode, Opcode::Stop);
            }
        }
    }

    #[test]
    fn a_claimed_length_is_compared_with_what_is_left() {
        let bytes = b"\x8d\0\0\0\0\0\0\0\x10hi.";
        let error = Tokens::new(bytes).next().err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("BinUnicode8 of 1152921504606846976 bytes, of which 3 are left")
        );
        assert!(read_one(&mut &bytes[..], bytes.len() as u64).is_err());
    }
}
