//! Readers of common formats.
//!
//! | Format | Reader |
//! |---|---|
//! | tables, CSV | [`csv`] |
//! | JSON lines | [`jsonl`] |
//! | IDX, the files of MNIST | [`idx`] |
//! | MATLAB's files of version 5 | [`mat`] |
//! | NumPy's `.npy` and `.npz` | [`flambeau_tensor::io`]; then a [`TensorDataset`](crate::TensorDataset) |
//! | a folder for each class | [`folder`] |
//! | pictures (feature `image`) | `image` |
//! | WebDataset: tar files | [`webdataset`], over [`tar`] |
//!
//! Files are hostile until read: sizes that a file claims are checked against its length before memory is asked for, and
//! errors name the file and the line or the offset. IDX, JSON lines and tar files may be packed by gzip; that is found out
//! from their first bytes. A packed file may hold 32 MiB, or 100 times its length if that is more
//! ([`unpacked_limit`]); one that says at its end that it holds more is an error at once.

pub mod csv;
pub mod folder;
pub mod idx;
#[cfg(feature = "image")]
pub mod image;
pub mod jsonl;
pub mod mat;
pub mod tar;
pub mod webdataset;

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use flambeau_tensor::io::{Unpacked, unpacked_limit};
use flambeau_tensor::{Error, Result, ensure};
use flate2::bufread::MultiGzDecoder;

/// An open file, unpacked if gzip packed it.
struct Input {
    reader: Box<dyn BufRead + Send>,
    /// The length of what `reader` gives; of a packed file, the most that it can be.
    most: u64,
    packed: bool,
}

/// Opens a regular file.
fn open(path: &Path) -> Result<(File, u64)> {
    let place = path.display();
    let file = File::open(path).map_err(|error| io_error(error).context(&place))?;
    let metadata = file.metadata().map_err(|error| io_error(error).context(&place))?;
    ensure!(metadata.is_file(), Io, "{place}: not a regular file");
    Ok((file, metadata.len()))
}

impl Input {
    fn open(path: &Path) -> Result<Input> {
        let (file, length) = open(path)?;
        Input::of(file, length).map_err(|error| error.context(path.display()))
    }

    fn of(mut file: File, length: u64) -> Result<Input> {
        let mut beginning = Vec::new();
        (&file).take(2).read_to_end(&mut beginning).map_err(io_error)?;
        let packed = beginning == [0x1f, 0x8b];
        let most = if packed { unpacked_limit(length) } else { length };
        if packed && length >= 4 {
            // What was packed last ends with its size, of which there are the lower 32 bits.
            let mut size = [0; 4];
            file.seek(SeekFrom::End(-4)).map_err(io_error)?;
            file.read_exact(&mut size).map_err(io_error)?;
            let size = u32::from_le_bytes(size);
            ensure!(
                u64::from(size) <= most,
                Format,
                "the packed file of {length} bytes ends early, or holds {size} bytes as its end says, of which {most} are read: \
                 unpack it first if it is to hold so much"
            );
        }
        file.seek(SeekFrom::Start(0)).map_err(io_error)?;
        let reader = BufReader::with_capacity(1 << 16, file);
        Ok(Input {
            reader: if packed {
                let unpacked = Unpacked::new(MultiGzDecoder::new(reader), most);
                Box::new(BufReader::with_capacity(1 << 16, unpacked))
            } else {
                Box::new(reader)
            },
            most,
            packed,
        })
    }
}

/// Reads exactly `size` bytes; asks for memory as they come, so that a claim of many costs nothing.
fn read_bytes(reader: &mut impl Read, size: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let count = reader.take(size).read_to_end(&mut bytes).map_err(io_error)? as u64;
    ensure!(
        count == size,
        Format,
        "the data end early: {count} bytes of {size} are there"
    );
    Ok(bytes)
}

/// An error of reading. Data that end early or can't be unpacked are a fault of the file.
fn io_error(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => Error::Format("the data end early".to_string()),
        ErrorKind::InvalidData | ErrorKind::InvalidInput => Error::Format(error.to_string()),
        _ => Error::Io(error.to_string()),
    }
}

#[cfg(test)]
mod test_files {
    //! Files that tests make.

    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A folder of a test's own, removed when dropped.
    pub(super) struct Folder(PathBuf);

    impl Folder {
        pub(super) fn new() -> Folder {
            static COUNT: AtomicU64 = AtomicU64::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("flambeau-data-{}-{count}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        pub(super) fn path(&self) -> &Path {
            &self.0
        }

        /// Writes a file, with the folders that lead to it.
        pub(super) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
            let path = self.0.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
            path
        }

        /// `text` with the folder's path as `FOLDER`.
        pub(super) fn stripped(&self, text: impl ToString) -> String {
            text.to_string().replace(&self.0.display().to_string(), "FOLDER")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }
}
