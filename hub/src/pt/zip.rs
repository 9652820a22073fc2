//! The zip format of `torch.save`.
//!
//! Entries that are compressed are refused: `torch.save` writes none, and an archive without them can't expand.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Read, Seek};

use flambeau_tensor::io::elements::{Endian, read_tensor};
use flambeau_tensor::io::io_error;
use flambeau_tensor::{DType, Error, Result, Tensor, bail, ensure};
use zip::CompressionMethod;
use zip::read::ZipArchive;
use zip::result::ZipError;

use super::build::{Storages, build, shortened};
use crate::pickle::objects::StorageRef;
use crate::pickle::{MAX_LENGTH, machine};
use crate::value::Value;

/// Reads a file of `length` bytes.
pub(super) fn read<R: Read + Seek>(reader: R, length: u64) -> Result<Value> {
    let mut archive = Archive::open(reader, length)?;
    let pickle = archive.bytes("data.pkl", MAX_LENGTH)?;
    if archive.entries.contains_key("byteorder") {
        archive.endian = match archive.bytes("byteorder", 16)?.as_slice() {
            b"little" => Endian::Little,
            b"big" => Endian::Big,
            other => bail!(Format, "byte order {:?}", String::from_utf8_lossy(other)),
        };
    }
    let objects = machine::run(&pickle).map_err(|error| error.context("data.pkl"))?;
    build(&objects, pickle.len(), &mut archive)
}

/// Whether an archive has an entry `data.pkl`.
pub(super) fn is_archive<R: Read + Seek>(reader: R) -> Result<bool> {
    Ok(contains(&ZipArchive::new(reader).map_err(zip_error)?, "data.pkl"))
}

fn contains<R: Read + Seek>(archive: &ZipArchive<R>, entry: &str) -> bool {
    let is_it = |name: Result<_, _>| name.is_ok_and(|name: Cow<'_, str>| base(&name) == Some(entry));
    archive.file_names().any(is_it)
}

struct Archive<R> {
    archive: ZipArchive<R>,
    /// Places of entries by name, without the folder that all are in.
    entries: HashMap<String, usize>,
    endian: Endian,
}

impl<R: Read + Seek> Archive<R> {
    fn open(reader: R, length: u64) -> Result<Archive<R>> {
        let archive = ZipArchive::new(reader).map_err(zip_error)?;
        ensure!(
            !contains(&archive, "constants.pkl"),
            Unsupported,
            "a TorchScript program, not a checkpoint: save the state_dict() of the module that torch.jit.load gives"
        );
        let mut entries = HashMap::new();
        let mut total = 0u64;
        for index in 0..archive.len() {
            let entry = archive.by_index_data(index).map_err(zip_error)?;
            let name = entry.name().map_err(zip_error)?;
            let shown = shortened(&name);
            ensure!(
                entry.compression() == CompressionMethod::Stored,
                Unsupported,
                "{shown:?} is compressed, which torch.save does not do"
            );
            // Entries may not lie one upon the other: each could then be as long as the file.
            total = total.saturating_add(entry.size());
            ensure!(
                entry.size() == entry.compressed_size() && total <= length,
                Format,
                "{shown:?} claims {} bytes in a file of {length}",
                entry.size()
            );
            let Some(base) = base(&name) else {
                bail!(Format, "{shown:?} is in no folder")
            };
            let twice = entries.insert(base.to_string(), index).is_some();
            ensure!(!twice, Format, "the archive has {shown:?} twice");
        }
        Ok(Archive {
            archive,
            entries,
            endian: Endian::Little,
        })
    }

    fn index(&self, name: &str) -> Result<usize> {
        match self.entries.get(name) {
            Some(index) => Ok(*index),
            None => bail!(Format, "the archive has no entry {:?}", shortened(name)),
        }
    }

    fn bytes(&mut self, name: &str, limit: u64) -> Result<Vec<u8>> {
        let index = self.index(name)?;
        let mut entry = self.archive.by_index(index).map_err(zip_error)?;
        ensure!(
            entry.size() <= limit,
            Format,
            "{name} has {} bytes; at most {limit} are read",
            entry.size()
        );
        let mut bytes = Vec::with_capacity(entry.size() as usize);
        entry.read_to_end(&mut bytes).map_err(io_error)?;
        Ok(bytes)
    }
}

impl<R: Read + Seek> Storages for Archive<R> {
    fn read(&mut self, storage: &StorageRef<'_>, dtype: DType) -> Result<Tensor> {
        let index = self.index(&format!("data/{}", storage.key))?;
        let mut entry = self.archive.by_index(index).map_err(zip_error)?;
        let (claimed, found) = (storage_bytes(storage), entry.size());
        ensure!(
            claimed == Some(found),
            Format,
            "{} elements do not fit the {found} bytes of the entry",
            storage.numel
        );
        let numel = found as usize / dtype.size_in_bytes();
        ensure!(
            found as usize == numel * dtype.size_in_bytes(),
            Format,
            "{found} bytes are not a number of {dtype} elements"
        );
        let tensor = read_tensor(&mut entry, dtype, &[numel], self.endian, found)?;
        // The checksum is compared when the reader meets the end.
        entry.read(&mut [0]).map_err(io_error)?;
        Ok(tensor)
    }
}

/// The number of bytes that the pickle says a storage has.
pub(super) fn storage_bytes(storage: &StorageRef<'_>) -> Option<u64> {
    let element = storage.dtype.map_or(1, DType::size_in_bytes) as u64;
    storage.numel.checked_mul(element)
}

/// An entry's name without the first folder.
fn base(name: &str) -> Option<&str> {
    name.split_once('/').map(|(_, base)| base)
}

fn zip_error(error: ZipError) -> Error {
    match error {
        ZipError::Io(error) => io_error(error),
        error => Error::Format(error.to_string()),
    }
}
