//! Elements from bytes and to bytes, a block at a time: what readers and writers of formats are made with.

use std::io::{Read, Write};

use flambeau_kernels::mem::Buf;
use half::{bf16, f16};

use super::io_error;
use crate::buffer::Stored;
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, ensure, with_stored};

/// Bytes that are converted at once.
const BLOCK: usize = 1 << 16;

/// The order of the bytes of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    /// The low byte first.
    Little,
    /// The high byte first.
    Big,
}

/// Reads a tensor's elements in row-major order from a source that has `available` bytes more.
///
/// # Errors
/// `Format` if the elements take more than `available` bytes, which is found out before memory is asked for, or if the
/// source ends early all the same; `Io` if it can't be read.
pub fn read_tensor(
    reader: &mut dyn Read,
    dtype: DType,
    shape: &[usize],
    endian: Endian,
    available: u64,
) -> Result<Tensor> {
    checked_bytes(shape, dtype, available)?;
    Ok(Tensor::from_value(read(
        reader,
        dtype,
        Shape::new(shape),
        endian,
    )?))
}

/// Writes a tensor's elements in row-major order, low bytes first.
///
/// # Errors
/// `Io` if they can't be written.
pub fn write_tensor(writer: &mut dyn Write, tensor: &Tensor) -> Result<()> {
    write(writer, &tensor.value())
}

/// An element type that has a representation in bytes.
trait Bytes: Stored {
    fn decode(bytes: &[u8], endian: Endian, out: &mut [Self]);
    fn encode(elements: &[Self], out: &mut Vec<u8>);
}

macro_rules! bytes {
    ($($t:ty)*) => { $(
        impl Bytes for $t {
            fn decode(bytes: &[u8], endian: Endian, out: &mut [$t]) {
                let (chunks, _) = bytes.as_chunks();
                let pairs = out.iter_mut().zip(chunks);
                match endian {
                    Endian::Little => pairs.for_each(|(x, &chunk)| *x = <$t>::from_le_bytes(chunk)),
                    Endian::Big => pairs.for_each(|(x, &chunk)| *x = <$t>::from_be_bytes(chunk)),
                }
            }

            fn encode(elements: &[$t], out: &mut Vec<u8>) {
                out.extend(elements.iter().flat_map(|x| x.to_le_bytes()));
            }
        }
    )* };
}
bytes!(u8 i8 i16 i32 i64 f16 bf16 f32 f64);

/// The number of bytes of a tensor, an error if it is above `available`.
pub(super) fn checked_bytes(shape: &[usize], dtype: DType, available: u64) -> Result<usize> {
    let bytes = shape
        .iter()
        .try_fold(dtype.size_in_bytes(), |n, &size| n.checked_mul(size));
    // A size of zero excuses any other size, but the strides of such a shape must be computable too.
    let addressable = shape
        .iter()
        .try_fold(1usize, |n, &size| n.checked_mul(size.max(1)))
        .is_some_and(|n| n <= isize::MAX as usize / 16);
    match bytes {
        Some(bytes) if addressable && bytes as u64 <= available => Ok(bytes),
        _ => crate::bail!(
            Format,
            "shape {shape:?} of {dtype} does not fit into the {available} bytes of data that there are"
        ),
    }
}

/// Reads the elements of a tensor in row-major order. The caller has checked the size with [`checked_bytes`].
pub(super) fn read(reader: &mut dyn Read, dtype: DType, shape: Shape, endian: Endian) -> Result<Value> {
    fn typed<T: Bytes>(reader: &mut dyn Read, dtype: DType, shape: Shape, endian: Endian) -> Result<Value> {
        let mut buf = Buf::<T>::take(shape.numel());
        let mut block = vec![0; BLOCK.min(buf.len() * size_of::<T>())];
        for part in buf.chunks_mut(BLOCK / size_of::<T>()) {
            let bytes = &mut block[..size_of_val(part)];
            reader.read_exact(bytes).map_err(io_error)?;
            if dtype == DType::Bool {
                bytes.iter_mut().for_each(|byte| *byte = (*byte != 0) as u8);
            }
            T::decode(bytes, endian, part);
        }
        Ok(Value::new(buf, dtype, shape))
    }
    with_stored!(dtype, T => typed::<T>(reader, dtype, shape, endian))
}

/// Writes the elements in row-major order, low bytes first.
pub(super) fn write(writer: &mut dyn Write, value: &Value) -> Result<()> {
    let value = value.contiguous()?;
    let mut block = Vec::with_capacity(BLOCK);
    with_stored!(value.dtype(), T => {
        for part in value.data::<T>()?.chunks(BLOCK / size_of::<T>()) {
            block.clear();
            T::encode(part, &mut block);
            writer.write_all(&block).map_err(io_error)?;
        }
    });
    Ok(())
}

/// An error unless everything has been read: what follows the data of an archive's entry can't be meant.
pub(super) fn expect_end(reader: &mut dyn Read) -> Result<()> {
    let mut byte = [0];
    let more = reader.read(&mut byte).map_err(io_error)?;
    ensure!(more == 0, Format, "there are data after the last element");
    Ok(())
}
