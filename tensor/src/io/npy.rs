//! NumPy's `.npy` files: one array each (`numpy.load`, `numpy.save`).
//!
//! Versions 1 to 3 are read, in either byte order and either memory order, with elements of every type that tensors
//! have; `bfloat16`, which NumPy lacks, can't be written. As in `numpy.load`, data after the array are not looked at.

use std::io::{BufReader, Read, Write};
use std::path::Path;

use super::elements::{self, checked_bytes};
use super::{io_error, npy_header, open, write_atomically};
use crate::{Result, Shape, Tensor};

/// Reads the array in the file at `path`.
///
/// # Errors
/// `Io` if the file can't be read, `Format` if it is not a valid `.npy` file, `Unsupported` for an element type that
/// tensors lack (structured, complex, text, objects); all name the file.
pub fn read(path: impl AsRef<Path>) -> Result<Tensor> {
    let path = path.as_ref();
    let (file, length) = open(path)?;
    read_from(&mut BufReader::new(file), length).map_err(|error| error.context(path.display()))
}

/// Writes the tensor's value to a file at `path`, replacing the old one in one step.
///
/// # Errors
/// `Io` if the file can't be written, `Unsupported` for `bfloat16`; both name the file.
pub fn write(path: impl AsRef<Path>, tensor: &Tensor) -> Result<()> {
    write_atomically(path, |writer| write_to(writer, tensor))
}

/// Reads an array from the bytes of a `.npy` file.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(mut bytes: &[u8]) -> Result<Tensor> {
    let length = bytes.len() as u64;
    read_from(&mut bytes, length).map_err(|error| error.context("npy"))
}

/// The bytes of a `.npy` file with the tensor's value.
///
/// # Errors
/// `Unsupported` for `bfloat16`.
pub fn to_bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write_to(&mut bytes, tensor)?;
    Ok(bytes)
}

/// Reads an array from a source of at most `length` bytes.
pub(super) fn read_from(reader: &mut dyn Read, length: u64) -> Result<Tensor> {
    let (header, header_length) = npy_header::read(reader)?;
    checked_bytes(&header.shape, header.dtype, length.saturating_sub(header_length))?;
    let mut sizes = header.shape;
    if header.fortran_order {
        sizes.reverse();
    }
    let value = elements::read(reader, header.dtype, Shape::new(&sizes), header.endian)?;
    let tensor = Tensor::from_value(value);
    if header.fortran_order {
        let reversed: Vec<isize> = (0..sizes.len() as isize).rev().collect();
        tensor.permute(reversed)?.contiguous()
    } else {
        Ok(tensor)
    }
}

/// Writes header and elements.
pub(super) fn write_to(writer: &mut dyn Write, tensor: &Tensor) -> Result<()> {
    let header = npy_header::to_bytes(tensor.dtype(), tensor.shape())?;
    writer.write_all(&header).map_err(io_error)?;
    elements::write(writer, &tensor.value())
}
