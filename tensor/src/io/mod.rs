//! Tensors in files: NumPy's `.npy` and `.npz`, and `.safetensors`.
//!
//! Every file is taken for hostile. Lengths are checked against the file's length, and headers against fixed bounds,
//! before memory is asked for; what a packed file may hold is bounded by its length ([`unpacked_limit`]); nothing in a
//! file is executed; what does not follow the format is an [`Error::Format`] that names the file and the key. Files are
//! written to a temporary file in the same folder, synced and renamed, so that a crash leaves the old file or the new one.

pub mod elements;
pub mod npy;
mod npy_header;
pub mod npz;
mod packed;
pub mod safetensors;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result, Tensor, bail, ensure};
pub use packed::{Unpacked, too_much, unpacked_limit};

/// Opens a regular file; also gives its length.
///
/// # Errors
/// `Io` with the path if it can't be opened, or is a folder, a device or a pipe.
pub fn open(path: &Path) -> Result<(File, u64)> {
    let place = path.display();
    // Asked before opening, which would wait for the other end of a pipe.
    let metadata = std::fs::metadata(path).map_err(|error| io_error(error).context(&place))?;
    ensure!(metadata.is_file(), Io, "{place}: not a regular file");
    let file = File::open(path).map_err(|error| io_error(error).context(&place))?;
    let metadata = file.metadata().map_err(|error| io_error(error).context(&place))?;
    Ok((file, metadata.len()))
}

/// An error of reading or writing. Data that ends early or can't be unpacked is a fault of the file: `Format`; anything
/// else is `Io`.
pub fn io_error(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => Error::Format("the data end early".to_string()),
        ErrorKind::InvalidData => Error::Format(error.to_string()),
        _ => Error::Io(error.to_string()),
    }
}

/// Writes a file so that, whatever happens, either the old file or the complete new one stands at `path`: `write` fills
/// a temporary file in the same folder, which is synced and renamed. Into what is no file, such as a device or a pipe, it
/// writes as it is.
///
/// # Errors
/// `Io` with the path if the file can't be written; what `write` returns. The temporary file is removed then.
pub fn write_atomically(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return write_into(path, write).map_err(|error| error.context(path.display()));
    }
    let temporary = temporary_beside(path)?;
    let result = write_and_sync(&temporary, write)
        .and_then(|()| std::fs::rename(&temporary, path).map_err(io_error))
        .and_then(|()| sync_folder_of(path));
    if result.is_err() {
        // The error of the write is what matters; the file may not even have been made.
        let _ = std::fs::remove_file(&temporary);
    }
    result.map_err(|error| error.context(path.display()))
}

/// Writes into what is there and can't be replaced.
fn write_into(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    let file = OpenOptions::new().write(true).open(path).map_err(io_error)?;
    let mut writer = BufWriter::with_capacity(1 << 16, file);
    write(&mut writer)?;
    writer.flush().map_err(io_error)
}

/// A new name in the folder of `path`.
fn temporary_beside(path: &Path) -> Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let Some(name) = path.file_name() else {
        bail!(Io, "{}: not the name of a file", path.display())
    };
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!(".{}.{}-{count}.tmp", name.to_string_lossy(), std::process::id());
    Ok(path.with_file_name(name))
}

fn write_and_sync(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(io_error)?;
    let mut writer = BufWriter::with_capacity(1 << 16, file);
    write(&mut writer)?;
    writer.flush().map_err(io_error)?;
    writer.get_ref().sync_all().map_err(io_error)
}

/// Makes the renaming last through a power failure, where folders can be synced.
fn sync_folder_of(path: &Path) -> Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io_error)?;
    }
    Ok(())
}

/// Named tensors in the order of their names.
///
/// # Errors
/// `Key` if a name comes twice.
fn by_name<'a, S: AsRef<str>>(
    tensors: impl IntoIterator<Item = (S, &'a Tensor)>,
) -> Result<BTreeMap<String, &'a Tensor>> {
    let mut map = BTreeMap::new();
    for (name, tensor) in tensors {
        let name = name.as_ref();
        ensure!(
            map.insert(name.to_string(), tensor).is_none(),
            Key,
            "the name `{name}` is given twice"
        );
    }
    Ok(map)
}
