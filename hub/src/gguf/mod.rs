//! GGUF, the format of llama.cpp and its kin: metadata, then tensors, most of them quantised.
//!
//! A file of version 2 or 3, all numbers low byte first:
//!
//! | Part | What it is |
//! |---|---|
//! | `GGUF`, version, number of tensors, number of metadata | four, four, eight and eight bytes |
//! | metadata | for each: key, type, value; a text is a length of eight bytes and UTF-8 |
//! | tensors | for each: name, number of sizes, sizes with the fastest running one first, kind, offset |
//! | padding | up to a multiple of `general.alignment`, 32 if there is none |
//! | data | each tensor at its offset from here, a multiple of the alignment |
//!
//! Tensors come with PyTorch's shapes, the slowest running size first. Those that are quantised come as `float32`:
//! `Q4_0`, `Q4_1`, `Q5_0`, `Q5_1`, `Q8_0`, and `Q2_K` to `Q6_K`, `Q8_K`. Others,
//! such as the `IQ` family, are [`Unsupported`](flambeau_tensor::Error::Unsupported), by name.

mod header;
mod quants;

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use flambeau_tensor::io::elements::{Endian, read_tensor};
use flambeau_tensor::io::{io_error, open};
use flambeau_tensor::{Error, Result, Tensor, bail};
use indexmap::IndexMap;

use crate::value::{Dict, Value};
use header::{Entry, Header};
use quants::{Blocks, Layout};

/// Blocks that are read at once.
const BLOCKS: usize = 256;

/// Reads all tensors, in the order of the file, and the metadata of the file at `path`.
///
/// # Errors
/// `Io` if the file can't be read, `Format` if it is not well formed, `Unsupported` for kinds of tensors that are not
/// known, other versions and big-endian files; all name the file, and the tensor where it is one tensor's fault.
pub fn load(path: impl AsRef<Path>) -> Result<(Value, Dict)> {
    GgufFile::open(path)?.into_all()
}

/// Reads all tensors and the metadata from the bytes of a file.
///
/// # Errors
/// As [`load`].
pub fn from_bytes(bytes: &[u8]) -> Result<(Value, Dict)> {
    GgufFile::new(Cursor::new(bytes), bytes.len() as u64, "gguf")?.into_all()
}

/// An open file, whose tensors are read one by one.
///
/// ```no_run
/// use flambeau_hub::gguf::GgufFile;
///
/// let mut file = GgufFile::open("model.gguf")?;
/// println!("{:?}", file.metadata().get("general.architecture"));
/// for name in file.names() {
///     println!("{name}: {:?} of {}", file.shape(&name)?, file.kind(&name)?);
/// }
/// let embedding = file.tensor("token_embd.weight")?;
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct GgufFile<R: Read + Seek = BufReader<File>> {
    reader: R,
    metadata: Dict,
    tensors: IndexMap<String, Entry>,
    /// What errors call the file.
    place: String,
}

impl GgufFile {
    /// Opens the file at `path` and reads everything but the tensors' elements.
    ///
    /// # Errors
    /// As [`load`].
    pub fn open(path: impl AsRef<Path>) -> Result<GgufFile> {
        let path = path.as_ref();
        let (file, length) = open(path)?;
        GgufFile::new(BufReader::new(file), length, &path.display().to_string())
    }
}

impl<R: Read + Seek> GgufFile<R> {
    /// Reads everything but the tensors' elements from a source of `length` bytes, which errors call `place`.
    ///
    /// # Errors
    /// As [`load`].
    pub fn new(mut reader: R, length: u64, place: &str) -> Result<GgufFile<R>> {
        let Header { metadata, tensors } =
            header::read(&mut reader, length).map_err(|error| error.context(place))?;
        Ok(GgufFile {
            reader,
            metadata,
            tensors,
            place: place.to_string(),
        })
    }

    /// The metadata in the order of the file. Arrays of numbers are tensors of one dimension.
    pub fn metadata(&self) -> &Dict {
        &self.metadata
    }

    /// The names of the tensors in the order of the file.
    pub fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    /// The shape of a tensor, which is not read.
    ///
    /// # Errors
    /// `Key` if the file has no tensor of this name.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.entry(name)?.shape)
    }

    /// The kind of a tensor under GGML's name, such as `Q4_K`.
    ///
    /// # Errors
    /// `Key` if the file has no tensor of this name.
    pub fn kind(&self, name: &str) -> Result<&'static str> {
        Ok(self.entry(name)?.kind.name)
    }

    /// Reads one tensor; one that is quantised as `float32`.
    ///
    /// # Errors
    /// `Key` if the file has no tensor of this name; else as [`load`].
    pub fn tensor(&mut self, name: &str) -> Result<Tensor> {
        let entry = self.entry(name)?.clone();
        self.read(&entry)
            .map_err(|error| error.context(format_args!("{}: `{name}`", self.place)))
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        match self.tensors.get(name) {
            Some(entry) => Ok(entry),
            None => bail!(
                Key,
                "{}: no tensor `{name}`; the file has {} tensors",
                self.place,
                self.tensors.len()
            ),
        }
    }

    fn read(&mut self, entry: &Entry) -> Result<Tensor> {
        self.reader.seek(SeekFrom::Start(entry.start)).map_err(io_error)?;
        match entry.kind.layout {
            Layout::Plain(dtype) => {
                read_tensor(&mut self.reader, dtype, &entry.shape, Endian::Little, entry.bytes)
            }
            Layout::Blocks(ref blocks) => self.dequantise(entry, blocks),
            Layout::Unknown => bail!(Unsupported, "elements of kind {}", entry.kind.name),
        }
    }

    /// The header's reader has compared the number of bytes with the shape and with the file's length.
    fn dequantise(&mut self, entry: &Entry, blocks: &Blocks) -> Result<Tensor> {
        let count = entry.bytes as usize / blocks.bytes;
        let mut elements = vec![0.0f32; count * blocks.elements];
        let mut bytes = vec![0; BLOCKS.min(count) * blocks.bytes];
        for part in elements.chunks_mut(BLOCKS * blocks.elements) {
            let bytes = &mut bytes[..part.len() / blocks.elements * blocks.bytes];
            self.reader.read_exact(bytes).map_err(io_error)?;
            let pairs = bytes
                .chunks_exact(blocks.bytes)
                .zip(part.chunks_exact_mut(blocks.elements));
            pairs.for_each(|(block, out)| (blocks.decode)(block, out));
        }
        Tensor::from_vec(elements, entry.shape.as_slice())
    }

    fn into_all(mut self) -> Result<(Value, Dict)> {
        let tensors: Result<Dict> = self
            .names()
            .into_iter()
            .map(|name| {
                let tensor = self.tensor(&name)?;
                Ok((name.into(), tensor.into()))
            })
            .collect();
        Ok((tensors?.into(), self.metadata))
    }
}

/// An error of the format.
fn fault(message: impl Into<String>) -> Error {
    Error::Format(message.into())
}
