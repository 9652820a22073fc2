//! `.safetensors` files: a JSON header of names, types, shapes and places, then the elements.
//!
//! Reading goes through plain reads at the places that the header gives, unless a memory map is asked for
//! ([`SafeTensorsFile::open_mapped`]): a mapped file that somebody else truncates kills the process. The header's length is checked against the file's before it is read, and
//! its places must cover the file without gap or overlap. Writing follows the reference implementation byte for byte:
//! tensors sorted by descending alignment, then by name; the header padded to eight bytes. Metadata, which that writes
//! in a random order, are sorted, so that the same tensors always give the same bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use flambeau_kernels::mem::Buf;
use memmap2::MmapOptions;
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensorError};

use super::elements::{self, Endian, checked_bytes};
use super::{by_name, io_error, open, write_atomically};
use crate::value::Value;
use crate::{DType, Error, Result, Shape, Tensor, bail, ensure, with_stored};

/// The reference implementation's limit on the header's length.
const MAX_HEADER: u64 = 100_000_000;
/// Tensors of fewer bytes are read, not mapped: a map takes whole pages, of which the system has so many.
const MAP_FROM: u64 = 1 << 16;
/// The header's key that is not a tensor's name.
const METADATA: &str = "__metadata__";

/// Reads all tensors of the file at `path`.
///
/// # Errors
/// `Io` if the file can't be read, `Format` if it is not a valid `.safetensors` file, `Unsupported` for element types
/// that tensors lack; all name the file, and the tensor where it is one tensor's fault.
pub fn load(path: impl AsRef<Path>) -> Result<BTreeMap<String, Tensor>> {
    SafeTensorsFile::open(path)?.tensors()
}

/// Reads all tensors from the bytes of a file.
///
/// # Errors
/// As [`load`].
pub fn from_bytes(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let read = || -> Result<BTreeMap<String, Tensor>> {
        let header = Header::read(&mut &*bytes, bytes.len() as u64)?;
        let mut reader = Cursor::new(bytes);
        let tensor = |name: &String| Ok((name.clone(), header.tensor(&mut reader, name)?));
        header.tensors.keys().map(tensor).collect()
    };
    read().map_err(|error| error.context("safetensors"))
}

/// Writes named tensors to a file at `path`, replacing the old one in one step.
///
/// # Errors
/// `Io` if the file can't be written; `Key` if a name comes twice or is `__metadata__`. Both name the file.
pub fn save<'a, S: AsRef<str>>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (S, &'a Tensor)>,
) -> Result<()> {
    save_with_metadata(path, tensors, &BTreeMap::new())
}

/// As [`save`], with texts about the file, such as `format = "pt"`, which PyTorch's loaders expect.
///
/// # Errors
/// As [`save`].
pub fn save_with_metadata<'a, S: AsRef<str>>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (S, &'a Tensor)>,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    write_atomically(path, |writer| write_to(writer, tensors, metadata))
}

/// The bytes of a file with named tensors and metadata.
///
/// # Errors
/// `Key` if a name comes twice or is `__metadata__`.
pub fn to_bytes<'a, S: AsRef<str>>(
    tensors: impl IntoIterator<Item = (S, &'a Tensor)>,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write_to(&mut bytes, tensors, metadata)?;
    Ok(bytes)
}

fn write_to<'a, S: AsRef<str>>(
    writer: &mut dyn Write,
    tensors: impl IntoIterator<Item = (S, &'a Tensor)>,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let mut tensors: Vec<(String, &Tensor)> = by_name(tensors)?.into_iter().collect();
    // A stable sort: names stay in order among tensors of one type.
    tensors.sort_by_key(|(_, tensor)| std::cmp::Reverse(to_file_dtype(tensor.dtype())));
    let mut offset = 0usize;
    let mut infos = Vec::with_capacity(tensors.len());
    for (name, tensor) in &tensors {
        ensure!(name != METADATA, Key, "a tensor can't be called `{METADATA}`");
        let start = offset;
        offset += tensor.numel() * tensor.dtype().size_in_bytes();
        let info = TensorInfo {
            dtype: to_file_dtype(tensor.dtype()),
            shape: tensor.shape().to_vec(),
            data_offsets: (start, offset),
        };
        infos.push((name.clone(), info));
    }
    let header = header_text(infos, metadata)?;
    writer
        .write_all(&(header.len() as u64).to_le_bytes())
        .map_err(io_error)?;
    writer.write_all(header.as_bytes()).map_err(io_error)?;
    for (_, tensor) in &tensors {
        elements::write(writer, &tensor.value())?;
    }
    Ok(())
}

/// The header in JSON, padded with spaces to a multiple of eight bytes.
fn header_text(infos: Vec<(String, TensorInfo)>, metadata: &BTreeMap<String, String>) -> Result<String> {
    let json = |error: serde_json::Error| Error::Format(error.to_string());
    let tensors = Metadata::new(None, infos).map_err(format_error)?;
    let mut text = serde_json::to_string(&tensors).map_err(json)?;
    if !metadata.is_empty() {
        let metadata = serde_json::to_string(metadata).map_err(json)?;
        let comma = if text == "{}" { "" } else { "," };
        text.insert_str(1, &format!("\"{METADATA}\":{metadata}{comma}"));
    }
    let padding = text.len().next_multiple_of(8) - text.len();
    text.extend(std::iter::repeat_n(' ', padding));
    ensure!(
        text.len() as u64 <= MAX_HEADER,
        Format,
        "a header of more than {MAX_HEADER} bytes"
    );
    Ok(text)
}

/// What a file's header says of one tensor.
#[derive(Clone, Debug)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    /// The place of the first element, from the start of the file.
    start: u64,
    /// The number of bytes.
    bytes: u64,
}

/// A file's header.
#[derive(Debug)]
struct Header {
    tensors: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

impl Header {
    /// Reads the header of a file of `length` bytes.
    fn read(reader: &mut dyn Read, length: u64) -> Result<Header> {
        let mut size = [0; 8];
        reader.read_exact(&mut size).map_err(io_error)?;
        let size = u64::from_le_bytes(size);
        let room = length.saturating_sub(8).min(MAX_HEADER);
        ensure!(
            size <= room,
            Format,
            "a header of {size} bytes, of which the file can hold {room}"
        );
        let mut text = vec![0; size as usize];
        reader.read_exact(&mut text).map_err(io_error)?;
        // This also checks that the tensors lie one after the other and are as long as their shapes say.
        let header: Metadata =
            serde_json::from_slice(&text).map_err(|error| Error::Format(format!("header: {error}")))?;
        let (expected, found) = (header.data_len() as u64, length - 8 - size);
        ensure!(
            expected == found,
            Format,
            "the header describes {expected} bytes of data, the file has {found}"
        );
        let entry = |info: &TensorInfo| Entry {
            dtype: info.dtype,
            shape: info.shape.clone(),
            start: 8 + size + info.data_offsets.0 as u64,
            bytes: (info.data_offsets.1 - info.data_offsets.0) as u64,
        };
        Ok(Header {
            tensors: header
                .tensors()
                .into_iter()
                .map(|(name, info)| (name, entry(info)))
                .collect(),
            metadata: header
                .metadata()
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
        })
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        match self.tensors.get(name) {
            Some(entry) => Ok(entry),
            None => bail!(
                Key,
                "no tensor `{name}`; the file has {} tensors",
                self.tensors.len()
            ),
        }
    }

    fn tensor<R: Read + Seek>(&self, reader: &mut R, name: &str) -> Result<Tensor> {
        let entry = self.entry(name)?;
        let mut read = || {
            let dtype = from_file_dtype(entry.dtype)?;
            checked_bytes(&entry.shape, dtype, entry.bytes)?;
            reader.seek(SeekFrom::Start(entry.start)).map_err(io_error)?;
            elements::read(reader, dtype, Shape::new(&entry.shape), Endian::Little)
        };
        let value = read().map_err(|error: Error| error.context(format_args!("`{name}`")))?;
        Ok(Tensor::from_value(value))
    }
}

/// The elements of a tensor where they lie in the file, if they can be used there. The pages are read when they are first
/// used, and copied when they are written to: the file stays as it is.
///
/// # Safety
/// As [`SafeTensorsFile::open_mapped`] says.
unsafe fn mapped(file: &File, entry: &Entry, dtype: DType) -> Result<Option<Value>> {
    // Bools other than 0 and 1 would have to be changed, as would elements of the other byte order.
    if entry.bytes < MAP_FROM || dtype == DType::Bool || cfg!(target_endian = "big") {
        return Ok(None);
    }
    let length = file.metadata().map_err(io_error)?.len();
    ensure!(entry.start + entry.bytes <= length, Format, "the data end early");
    let mut options = MmapOptions::new();
    options.offset(entry.start).len(entry.bytes as usize);
    // SAFETY: the caller vouches for the file; the map is private.
    let mut map = unsafe { options.map_copy(file) }.map_err(io_error)?;
    let Some(start) = NonNull::new(map.as_mut_ptr()) else {
        return Ok(None);
    };
    Ok(with_stored!(dtype, T => {
        let start = start.cast::<T>();
        start.is_aligned().then(|| {
            let shape = Shape::new(&entry.shape);
            // SAFETY: the map is as long as the elements, aligned for them, and owned by the block alone; every pattern of
            // bits is an element.
            let buf = unsafe { Buf::foreign(start, shape.numel(), Box::new(map)) };
            Value::new(buf, dtype, shape)
        })
    }))
}

/// An open file, whose tensors are read one by one, from any thread.
///
/// ```no_run
/// use flambeau_tensor::io::safetensors::SafeTensorsFile;
///
/// let file = SafeTensorsFile::open("model.safetensors")?;
/// for name in file.names() {
///     println!("{name}: {:?} of {}", file.shape(name)?, file.dtype(name)?);
/// }
/// let weight = file.tensor("fc.weight")?;
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct SafeTensorsFile {
    file: Mutex<File>,
    header: Header,
    /// Whether tensors are mapped.
    mapped: bool,
    /// What errors call the file.
    place: String,
}

impl SafeTensorsFile {
    /// Opens the file at `path` and reads its header.
    ///
    /// # Errors
    /// As [`load`].
    pub fn open(path: impl AsRef<Path>) -> Result<SafeTensorsFile> {
        let path = path.as_ref();
        let (mut file, length) = open(path)?;
        let header = Header::read(&mut file, length).map_err(|error| error.context(path.display()))?;
        Ok(SafeTensorsFile {
            file: Mutex::new(file),
            header,
            mapped: false,
            place: path.display().to_string(),
        })
    }

    /// Opens the file at `path` so that its larger tensors are not read but mapped: they take no memory beyond the system's
    /// cache of the file, which other processes share, until they are written to; and their elements come from the disk
    /// when they are first used. Writing to a tensor does not change the file. A tensor that is not aligned in the file is
    /// read after all.
    ///
    /// # Safety
    /// As long as there are tensors of the file, nobody changes or shortens it: elements that change under a reference are
    /// undefined behaviour, and the use of a page that is no longer there ends the process (`SIGBUS`). Replacing the file by
    /// renaming another, as [`save`] does, is fine: the old one lives on.
    ///
    /// ```
    /// use flambeau_tensor::io::safetensors::{self, SafeTensorsFile};
    /// use flambeau_tensor::{DType, Tensor};
    ///
    /// # let path = std::env::temp_dir().join(format!("flambeau-mapped-{}.safetensors", std::process::id()));
    /// safetensors::save(&path, [("weight", &Tensor::ones((300, 300), DType::F32)?)])?;
    /// // SAFETY: nobody else knows of the file.
    /// let file = unsafe { SafeTensorsFile::open_mapped(&path) }?;
    /// assert_eq!(file.tensor("weight")?.sum()?.item::<f32>()?, 90000.0);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), flambeau_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`load`].
    pub unsafe fn open_mapped(path: impl AsRef<Path>) -> Result<SafeTensorsFile> {
        let file = SafeTensorsFile::open(path)?;
        Ok(SafeTensorsFile { mapped: true, ..file })
    }

    /// The names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.header.tensors.keys().map(String::as_str)
    }

    /// Whether the file has a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.header.tensors.contains_key(name)
    }

    /// The texts about the file.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.header.metadata
    }

    /// The shape of a tensor, which is not read.
    ///
    /// # Errors
    /// `Key` if the file has no tensor of this name.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        let entry = self
            .header
            .entry(name)
            .map_err(|error| error.context(&self.place))?;
        Ok(&entry.shape)
    }

    /// The element type of a tensor, which is not read.
    ///
    /// # Errors
    /// `Key` if the file has no tensor of this name, `Unsupported` if its element type is one that tensors lack.
    pub fn dtype(&self, name: &str) -> Result<DType> {
        let dtype = || from_file_dtype(self.header.entry(name)?.dtype);
        dtype().map_err(|error| error.context(format_args!("{}: `{name}`", self.place)))
    }

    /// Reads one tensor.
    ///
    /// # Errors
    /// `Key` if the file has no tensor of this name; else as [`load`].
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if self.mapped
            && let Some(value) = self.map(&file, name)?
        {
            return Ok(Tensor::from_value(value));
        }
        self.header
            .tensor(&mut *file, name)
            .map_err(|error| error.context(&self.place))
    }

    fn map(&self, file: &File, name: &str) -> Result<Option<Value>> {
        let map = || {
            let entry = self.header.entry(name)?;
            let dtype = from_file_dtype(entry.dtype)?;
            checked_bytes(&entry.shape, dtype, entry.bytes)?;
            // SAFETY: whoever opened the file vouched for it.
            unsafe { mapped(file, entry, dtype) }
        };
        map().map_err(|error: Error| error.context(format_args!("{}: `{name}`", self.place)))
    }

    /// Reads all tensors.
    ///
    /// # Errors
    /// As [`load`].
    pub fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        self.names()
            .map(|name| Ok((name.to_string(), self.tensor(name)?)))
            .collect()
    }
}

fn to_file_dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::Bool => Dtype::BOOL,
        DType::U8 => Dtype::U8,
        DType::I8 => Dtype::I8,
        DType::I16 => Dtype::I16,
        DType::I32 => Dtype::I32,
        DType::I64 => Dtype::I64,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
    }
}

fn from_file_dtype(dtype: Dtype) -> Result<DType> {
    Ok(match dtype {
        Dtype::BOOL => DType::Bool,
        Dtype::U8 => DType::U8,
        Dtype::I8 => DType::I8,
        Dtype::I16 => DType::I16,
        Dtype::I32 => DType::I32,
        Dtype::I64 => DType::I64,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        other => bail!(Unsupported, "element type {other}, which tensors lack"),
    })
}

fn format_error(error: SafeTensorError) -> Error {
    Error::Format(error.to_string())
}
