//! Files of every format: those of PyTorch and of the package gguf, our own, and hostile ones.

#![allow(clippy::unwrap_used)]

mod golden;
mod hostile;
mod pickles;
mod written;

use std::path::{Path, PathBuf};

use flambeau_tensor::Tensor;
use flambeau_tensor::io::elements::write_tensor;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// A folder of this process that is removed when the value is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("flambeau-hub-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The elements in row-major order, low bytes first.
fn bytes(tensor: &Tensor) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_tensor(&mut bytes, tensor).unwrap();
    bytes
}
