//! What targets share.

use std::path::PathBuf;

/// A file of this process that holds `bytes`, for readers that take a path. The next call of that `name` overwrites it.
pub fn file_of(name: &str, bytes: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("flambeau-fuzz-{name}-{}", std::process::id()));
    std::fs::write(&path, bytes).expect("a temporary file");
    path
}
