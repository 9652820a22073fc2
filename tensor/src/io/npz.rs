//! NumPy's `.npz` files: zip archives of `.npy` files (`numpy.load`, `numpy.savez`, `numpy.savez_compressed`).
//!
//! An archive can claim to expand to any size. It is refused before anything is unpacked if its entries claim more together than
//! a packed file may hold: 32 MiB, or 100 times the archive's length ([`unpacked_limit`]). Weights stay far below that; for an
//! archive of large masks or zeros there is [`NpzFile::open_with_limit`], and `numpy.savez`, which stores arrays as they are.
//! Entries that lie one upon the other in the file are refused, too; one that holds more than it claims, or whose checksum is
//! wrong, is an error.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, Write};
use std::path::Path;

use zip::CompressionMethod;
use zip::read::ZipArchive;
use zip::result::ZipError;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::elements::expect_end;
use super::{by_name, io_error, npy, open, unpacked_limit, write_atomically};
use crate::{Error, Result, Tensor, bail, ensure};

/// Whether arrays are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As they are (`numpy.savez`).
    #[default]
    Stored,
    /// By deflate (`numpy.savez_compressed`).
    Deflated,
}

/// Reads all arrays of the archive at `path`.
///
/// # Errors
/// `Io` if the file can't be read, `Format` if it is not a valid archive of `.npy` files, claims to expand to more than
/// 32 MiB and 100 times its length, or has a name twice, `Unsupported` for element types that tensors lack; all name the
/// file, and the array where it is one array's fault.
pub fn read(path: impl AsRef<Path>) -> Result<BTreeMap<String, Tensor>> {
    NpzFile::open(path)?.tensors()
}

/// Reads all arrays from the bytes of an archive.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let length = bytes.len() as u64;
    NpzFile::new(Cursor::new(bytes), length, "npz", unpacked_limit(length))?.tensors()
}

/// Writes named tensors to an archive at `path`, in the order of their names, replacing the old file in one step. The
/// same tensors always give the same bytes.
///
/// # Errors
/// `Io` if the file can't be written, `Key` if a name comes twice, `Unsupported` for `bfloat16`; all name the file.
pub fn write<'a, S: AsRef<str>>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (S, &'a Tensor)>,
    compression: Compression,
) -> Result<()> {
    write_atomically(path, |writer| write_to(writer, tensors, compression))
}

/// The bytes of an archive with named tensors.
///
/// # Errors
/// `Key` if a name comes twice, `Unsupported` for `bfloat16`.
pub fn to_bytes<'a, S: AsRef<str>>(
    tensors: impl IntoIterator<Item = (S, &'a Tensor)>,
    compression: Compression,
) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    write_to(&mut bytes, tensors, compression)?;
    Ok(bytes.into_inner())
}

fn write_to<'a, S: AsRef<str>>(
    writer: &mut (impl Write + Seek),
    tensors: impl IntoIterator<Item = (S, &'a Tensor)>,
    compression: Compression,
) -> Result<()> {
    let method = match compression {
        Compression::Stored => CompressionMethod::Stored,
        Compression::Deflated => CompressionMethod::Deflated,
    };
    let mut archive = ZipWriter::new(writer);
    for (name, tensor) in by_name(tensors)? {
        let entry = |error: Error| error.context(format_args!("`{name}`"));
        // An archive's plain fields hold sizes below 4 GiB; deflate may add a little.
        let large = tensor.numel() as u64 * tensor.dtype().size_in_bytes() as u64 > 0xF000_0000;
        let options = SimpleFileOptions::default()
            .compression_method(method)
            .large_file(large);
        archive
            .start_file(format!("{name}.npy"), options)
            .map_err(|error| entry(zip_error(error)))?;
        npy::write_to(&mut archive, tensor).map_err(entry)?;
    }
    archive.finish().map_err(zip_error)?;
    Ok(())
}

/// An open archive, whose arrays are read one by one.
///
/// ```no_run
/// use flambeau_tensor::io::npz::NpzFile;
///
/// let mut file = NpzFile::open("weights.npz")?;
/// for name in file.names() {
///     println!("{name}: {:?}", file.tensor(&name)?);
/// }
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
pub struct NpzFile<R: Read + Seek = BufReader<File>> {
    archive: ZipArchive<R>,
    /// Names of arrays with their places in the archive.
    entries: BTreeMap<String, usize>,
    /// What errors call the archive.
    place: String,
}

impl NpzFile {
    /// Opens the archive at `path`; no array is read yet.
    ///
    /// # Errors
    /// As [`read`].
    pub fn open(path: impl AsRef<Path>) -> Result<NpzFile> {
        NpzFile::open_within(path.as_ref(), unpacked_limit)
    }

    /// Opens the archive at `path`, whose arrays may take up to `limit` bytes together, however well they are packed: for
    /// archives that are trusted, and known to hold so much.
    ///
    /// # Errors
    /// As [`read`].
    pub fn open_with_limit(path: impl AsRef<Path>, limit: u64) -> Result<NpzFile> {
        NpzFile::open_within(path.as_ref(), |_| limit)
    }

    /// Opens the archive at `path` with a limit that may depend on its length.
    fn open_within(path: &Path, limit: impl Fn(u64) -> u64) -> Result<NpzFile> {
        let (file, length) = open(path)?;
        let place = path.display().to_string();
        NpzFile::new(BufReader::new(file), length, &place, limit(length))
    }
}

impl<R: Read + Seek> NpzFile<R> {
    fn new(reader: R, length: u64, place: &str, limit: u64) -> Result<Self> {
        let archive = ZipArchive::new(reader).map_err(|error| zip_error(error).context(place))?;
        let entries = entries(&archive, length, limit).map_err(|error| error.context(place))?;
        Ok(NpzFile {
            archive,
            entries,
            place: place.to_string(),
        })
    }

    /// The names of the arrays, sorted.
    pub fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    /// Reads one array.
    ///
    /// # Errors
    /// `Key` if the archive has no array of this name; else as [`read`].
    pub fn tensor(&mut self, name: &str) -> Result<Tensor> {
        let Some(&index) = self.entries.get(name) else {
            bail!(
                Key,
                "{}: no array `{name}`; the archive has {:?}",
                self.place,
                self.entries.keys()
            )
        };
        let read = |archive: &mut ZipArchive<R>| {
            let mut entry = archive.by_index(index).map_err(zip_error)?;
            let length = entry.size();
            let tensor = npy::read_from(&mut entry, length)?;
            // The reader compares the checksum when it meets the end.
            expect_end(&mut entry)?;
            Ok(tensor)
        };
        read(&mut self.archive)
            .map_err(|error: Error| error.context(format_args!("{}: `{name}`", self.place)))
    }

    /// Reads all arrays.
    ///
    /// # Errors
    /// As [`read`].
    pub fn tensors(&mut self) -> Result<BTreeMap<String, Tensor>> {
        self.names()
            .into_iter()
            .map(|name| {
                let tensor = self.tensor(&name)?;
                Ok((name, tensor))
            })
            .collect()
    }
}

/// The arrays of an archive of `length` bytes, with all claims about sizes checked.
fn entries<R: Read + Seek>(
    archive: &ZipArchive<R>,
    length: u64,
    limit: u64,
) -> Result<BTreeMap<String, usize>> {
    let mut entries = BTreeMap::new();
    let (mut total, mut packed) = (0u64, 0u64);
    for index in 0..archive.len() {
        let entry = archive.by_index_data(index).map_err(zip_error)?;
        let file_name = entry.name().map_err(zip_error)?.into_owned();
        let Some(name) = file_name.strip_suffix(".npy") else {
            bail!(
                Format,
                "the archive holds {file_name:?}, which is not a .npy file"
            )
        };
        let (size, compressed) = (entry.size(), entry.compressed_size());
        // Entries may not lie one upon the other: many could then unpack the same bytes.
        packed = packed.saturating_add(compressed);
        ensure!(
            packed <= length,
            Format,
            "`{name}` claims {compressed} bytes, more than an archive of {length} has beside the others"
        );
        total = total.saturating_add(size);
        ensure!(
            total <= limit,
            Format,
            "`{name}` claims to expand from {compressed} bytes to {size}, and all up to it to {total}; the limit is {limit} for \
             this archive of {length} bytes (NpzFile::open_with_limit sets another one)"
        );
        let twice = entries.insert(name.to_string(), index).is_some();
        ensure!(!twice, Format, "the archive has the name `{name}` twice");
    }
    Ok(entries)
}

fn zip_error(error: ZipError) -> Error {
    match error {
        ZipError::Io(error) => io_error(error),
        error => Error::Format(error.to_string()),
    }
}
