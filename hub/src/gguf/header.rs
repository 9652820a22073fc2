//! What precedes the data of a GGUF file: metadata, and where which tensor is.
//!
//! Numbers of things that are to come are compared with the bytes that are left, at the least that each takes; memory
//! is asked for as they come.

use std::io::{Read, Seek};

use flambeau_tensor::io::elements::{Endian, read_tensor};
use flambeau_tensor::io::io_error;
use flambeau_tensor::{DType, Result, Tensor, bail, ensure};
use indexmap::IndexMap;

use super::fault;
use super::quants::{Kind, Layout, kind};
use crate::value::{Dict, Value};

const MAGIC: &[u8; 4] = b"GGUF";
const ALIGNMENT: u64 = 32;
/// GGML's own limit.
const MAX_RANK: u32 = 4;
/// Arrays within arrays.
const MAX_DEPTH: usize = 4;
/// The longest name of a tensor or a key. GGML's limits are 64 bytes and 65 535.
const MAX_NAME: u64 = 65_535;

/// Where a tensor is.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) kind: &'static Kind,
    pub(super) shape: Vec<usize>,
    /// The place of the first byte, from the start of the file.
    pub(super) start: u64,
    /// The number of bytes.
    pub(super) bytes: u64,
}

/// Everything but the data.
pub(super) struct Header {
    pub(super) metadata: Dict,
    pub(super) tensors: IndexMap<String, Entry>,
}

/// Reads the header of a file of `length` bytes.
pub(super) fn read<R: Read + Seek>(reader: &mut R, length: u64) -> Result<Header> {
    let mut source = Source {
        reader,
        at: 0,
        length,
    };
    ensure!(
        &source.array()? == MAGIC,
        Format,
        "not a GGUF file: it does not start with GGUF"
    );
    match source.u32()? {
        2 | 3 => {}
        version if version & 0xffff == 0 => bail!(Unsupported, "a big-endian GGUF file"),
        version => bail!(Unsupported, "GGUF version {version}; known are 2 and 3"),
    }
    // The least that a tensor and an entry of the metadata take.
    let tensor_count = source.count(24)?;
    let metadata_count = source.count(13)?;
    let mut metadata = Dict::new();
    for _ in 0..metadata_count {
        let key = source.text(MAX_NAME)?;
        let code = source.u32()?;
        let value = source
            .value(code, 0)
            .map_err(|error| error.context(format_args!("metadata `{key}`")))?;
        let twice = metadata.insert(key.clone().into(), value).is_some();
        ensure!(!twice, Format, "metadata `{key}` are there twice");
    }
    let alignment = match metadata.get("general.alignment") {
        None => ALIGNMENT,
        Some(Value::Int(number)) if u32::try_from(*number).is_ok_and(u32::is_power_of_two) => *number as u64,
        Some(other) => bail!(Format, "an alignment of {other:?}"),
    };
    let mut tensors = IndexMap::new();
    for _ in 0..tensor_count {
        let name = source.text(MAX_NAME)?;
        let entry = source
            .entry(alignment)
            .map_err(|error| error.context(format_args!("`{name}`")))?;
        let twice = tensors.insert(name.clone(), entry).is_some();
        ensure!(!twice, Format, "`{name}` is there twice");
    }
    place(&mut tensors, source.at.next_multiple_of(alignment), length)?;
    Ok(Header { metadata, tensors })
}

/// Turns offsets from `start` into places in the file. Tensors must lie within the file, and none upon another.
fn place(tensors: &mut IndexMap<String, Entry>, start: u64, length: u64) -> Result<()> {
    let mut spans = Vec::with_capacity(tensors.len());
    for (index, (name, entry)) in tensors.iter_mut().enumerate() {
        entry.start = entry.start.saturating_add(start);
        let end = entry.start.saturating_add(entry.bytes);
        ensure!(
            end <= length || entry.bytes == 0,
            Format,
            "`{name}`: {} bytes at {} are not within the {length} bytes of the file",
            entry.bytes,
            entry.start
        );
        if entry.bytes > 0 {
            spans.push((entry.start, end, index));
        }
    }
    spans.sort_unstable();
    let name = |index: usize| tensors.get_index(index).map_or("", |(name, _)| name.as_str());
    for pair in spans.windows(2) {
        ensure!(
            pair[0].1 <= pair[1].0,
            Format,
            "`{}` and `{}` overlap",
            name(pair[0].2),
            name(pair[1].2)
        );
    }
    Ok(())
}

/// A reader that knows how much is left.
struct Source<'r, R> {
    reader: &'r mut R,
    at: u64,
    length: u64,
}

impl<R: Read> Source<'_, R> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(io_error)?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn left(&self) -> u64 {
        self.length.saturating_sub(self.at)
    }

    /// A number of things that take at least `least` bytes each.
    fn count(&mut self, least: u64) -> Result<u64> {
        let count = self.u64()?;
        let left = self.left();
        ensure!(
            count.checked_mul(least).is_some_and(|bytes| bytes <= left),
            Format,
            "{count} entries are announced, {left} bytes are left"
        );
        Ok(count)
    }

    fn text(&mut self, limit: u64) -> Result<String> {
        let length = self.u64()?;
        let limit = limit.min(self.left());
        ensure!(
            length <= limit,
            Format,
            "a text of {length} bytes, where at most {limit} can be"
        );
        let mut bytes = vec![0; length as usize];
        self.reader.read_exact(&mut bytes).map_err(io_error)?;
        self.at += length;
        String::from_utf8(bytes).map_err(|error| fault(format!("a text is not UTF-8: {error}")))
    }

    /// A value of the metadata.
    fn value(&mut self, code: u32, depth: usize) -> Result<Value> {
        Ok(match code {
            0 => Value::Int(u8::from_le_bytes(self.array()?).into()),
            1 => Value::Int(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Int(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Int(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Int(self.u32()?.into()),
            5 => Value::Int(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array()?).into()),
            7 => match self.array()? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                [other] => bail!(Format, "{other} as a truth value"),
            },
            8 => Value::Str(self.text(u64::MAX)?),
            9 => self.list(depth)?,
            10 => Value::Int(signed(self.u64()?)?),
            11 => Value::Int(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            _ => bail!(Format, "a value of the unknown type {code}"),
        })
    }

    /// An array. Numbers become a tensor, whose type holds all values of theirs.
    fn list(&mut self, depth: usize) -> Result<Value> {
        ensure!(
            depth < MAX_DEPTH,
            Format,
            "arrays in more than {MAX_DEPTH} levels"
        );
        let code = self.u32()?;
        match code {
            0 => self.numbers(DType::U8),
            1 => self.numbers(DType::I8),
            3 => self.numbers(DType::I16),
            5 => self.numbers(DType::I32),
            6 => self.numbers(DType::F32),
            7 => self.numbers(DType::Bool),
            11 => self.numbers(DType::I64),
            12 => self.numbers(DType::F64),
            2 => self.widened(2, |source| {
                source.array().map(|bytes| u16::from_le_bytes(bytes).into())
            }),
            4 => self.widened(4, |source| source.u32().map(i64::from)),
            10 => self.widened(8, |source| signed(source.u64()?)),
            // The least of a text is its length; that of an array is its type and length.
            8 | 9 => {
                let count = self.count(if code == 8 { 8 } else { 12 })?;
                let items = (0..count).map(|_| self.value(code, depth + 1));
                Ok(Value::List(items.collect::<Result<_>>()?))
            }
            _ => bail!(Format, "an array of the unknown type {code}"),
        }
    }

    fn numbers(&mut self, dtype: DType) -> Result<Value> {
        let count = self.count(dtype.size_in_bytes() as u64)?;
        let left = self.left();
        let tensor = read_tensor(&mut self.reader, dtype, &[count as usize], Endian::Little, left)?;
        self.at += count * dtype.size_in_bytes() as u64;
        Ok(tensor.into())
    }

    fn widened(&mut self, width: u64, read: impl Fn(&mut Self) -> Result<i64>) -> Result<Value> {
        let count = self.count(width)?;
        let numbers: Vec<i64> = (0..count).map(|_| read(self)).collect::<Result<_>>()?;
        let length = numbers.len();
        Ok(Tensor::from_vec(numbers, length)?.into())
    }

    /// What the header says of a tensor after its name. The place is still an offset.
    fn entry(&mut self, alignment: u64) -> Result<Entry> {
        let rank = self.u32()?;
        ensure!(
            rank <= MAX_RANK,
            Format,
            "{rank} dimensions; there are at most {MAX_RANK}"
        );
        let mut shape = Vec::new();
        for _ in 0..rank {
            match usize::try_from(self.u64()?) {
                Ok(size) => shape.push(size),
                Err(_) => bail!(Format, "a size beyond the address space"),
            }
        }
        let kind = kind(self.u32()?)?;
        let offset = self.u64()?;
        ensure!(
            offset % alignment == 0,
            Format,
            "an offset of {offset}, which is not a multiple of {alignment}"
        );
        // Blocks run along the first size, the fastest running one.
        let row = shape.first().copied().unwrap_or(1);
        shape.reverse();
        let (elements, bytes) = match &kind.layout {
            Layout::Plain(dtype) => (1, dtype.size_in_bytes()),
            Layout::Blocks(blocks) => (blocks.elements, blocks.bytes),
            Layout::Unknown => (1, 0),
        };
        ensure!(
            row % elements == 0,
            Format,
            "rows of {row} elements of kind {}, which come in blocks of {elements}",
            kind.name
        );
        let numel = shape
            .iter()
            .try_fold(1usize, |numel, &size| numel.checked_mul(size));
        match numel.and_then(|numel| (numel / elements).checked_mul(bytes)) {
            Some(bytes) => Ok(Entry {
                kind,
                shape,
                start: offset,
                bytes: bytes as u64,
            }),
            None => bail!(Format, "shape {shape:?} is too large for any file"),
        }
    }
}

fn signed(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| fault(format!("the number {number} is beyond 63 bits")))
}
