//! What targets share.

use std::path::PathBuf;

/// A file of this process that holds `bytes`, for readers that take a path. The next call of that `name` overwrites it.
pub fn file_of(name: &str, bytes: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("flambeau-fuzz-{name}-{}", std::process::id()));
    std::fs::write(&path, bytes).expect("a temporary file");
    path
}

/// A folder of this process with such files, for readers that take one. A file without bytes is removed; others of that
/// folder stay.
pub fn folder_of<'a>(name: &str, files: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("flambeau-fuzz-{name}-{}", std::process::id()));
    for (file, bytes) in files {
        let path = folder.join(file);
        match bytes {
            Some(bytes) => {
                let parent = path.parent().unwrap_or(&folder);
                std::fs::create_dir_all(parent).expect("a temporary folder");
                std::fs::write(&path, bytes).expect("a temporary file");
            }
            // It may not be there.
            None => drop(std::fs::remove_file(&path)),
        }
    }
    folder
}

/// The bytes of a picture of 12 by 16 pixels.
pub fn picture() -> &'static [u8] {
    include_bytes!("picture.png")
}
