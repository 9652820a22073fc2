//! Files that tests make.

use std::path::Path;

use flambeau_tensor::{DType, Tensor};

use crate::io::{encode_jpeg, write_png};

fn make_parent(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
}

/// A JPEG of one colour, with the folders that lead to it.
pub(super) fn write_image(path: &Path, height: usize, width: usize, level: u8) {
    make_parent(path);
    let image = Tensor::full((3, height, width), level, DType::U8).unwrap();
    std::fs::write(path, encode_jpeg(&image, 95).unwrap()).unwrap();
}

/// A mask as a PNG of grey levels.
pub(super) fn write_mask(path: &Path, height: usize, width: usize, levels: &[u8]) {
    make_parent(path);
    let mask = Tensor::from_slice(levels, (1, height, width)).unwrap();
    write_png(&mask, path, 6).unwrap();
}
