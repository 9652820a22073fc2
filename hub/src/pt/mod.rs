//! PyTorch's files (`.pt`, `.pth`, `.bin`, `.ckpt`), which `torch.save` writes: a pickle, and storages beside it.
//!
//! **The zip format** (since PyTorch 1.6) is an archive whose entries are not compressed and start at multiples of 64
//! bytes:
//!
//! | Entry | What it is |
//! |---|---|
//! | `archive/data.pkl` | a pickle, in which a storage is named by `("storage", class, key, location, numel)` |
//! | `archive/data/KEY` | the elements of the storage `KEY`, in the byte order that `byteorder` says |
//! | `archive/byteorder` | `little` or `big`; absent from older files, which are little-endian |
//! | `archive/version` | `3` |
//!
//! **The legacy format** is a sequence of pickles: a magic number, a protocol's number, facts about the machine, the
//! content, and the keys of the storages; then each storage's number of elements in eight bytes, and its elements, low
//! bytes first.
//!
//! In both, a tensor is a call of `torch._utils._rebuild_tensor_v2` with storage, offset, shape and strides. Tensors of
//! one storage share memory here as well. Nothing is executed: see `pickle/` in this crate. Not kept are `requires_grad`,
//! devices, hooks, and attributes such as `state_dict()._metadata`.
//!
//! A file that holds a whole module rather than its state dict, or a TorchScript program, is an error.

mod build;
mod legacy;
mod write;
mod zip;

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use flambeau_tensor::Result;
use flambeau_tensor::io::{io_error, open};

use crate::value::Value;
pub(crate) use build::{Storages, build};
pub use write::{save, to_bytes};

/// Reads the file at `path`, of either format.
///
/// # Errors
/// `Io` if the file can't be read, `Format` if it is not well formed, `Unsupported` if it holds what is not plain data
/// and dense tensors of known types; all name the file, and the key where it is one value's fault.
pub fn load(path: impl AsRef<Path>) -> Result<Value> {
    let path = path.as_ref();
    let (file, length) = open(path)?;
    read(BufReader::new(file), length).map_err(|error| error.context(path.display()))
}

/// Reads the bytes of a file of either format.
///
/// # Errors
/// As [`load`].
pub fn from_bytes(bytes: &[u8]) -> Result<Value> {
    read(Cursor::new(bytes), bytes.len() as u64).map_err(|error| error.context("pt"))
}

fn read<R: Read + Seek>(mut reader: R, length: u64) -> Result<Value> {
    let mut start = [0; 2];
    reader.read_exact(&mut start).map_err(io_error)?;
    reader.seek(SeekFrom::Start(0)).map_err(io_error)?;
    if &start == b"PK" {
        zip::read(reader, length)
    } else {
        legacy::read(reader, length)
    }
}

/// Whether the archive at the start of `file` is one of `torch.save`: such an archive has an entry `data.pkl`.
pub(crate) fn is_archive(file: &File) -> Result<bool> {
    zip::is_archive(BufReader::new(file))
}
