//! Files that are cut or altered anywhere: a reader returns an error or what is still there, and never panics.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::PathBuf;

use flambeau_data::formats::csv::{self, CsvOptions};
use flambeau_data::formats::{idx, jsonl};
use flambeau_tensor::DType;

/// A file of a test's own, removed when dropped.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> File {
        File(std::env::temp_dir().join(format!("flambeau-altered-{}-{name}", std::process::id())))
    }

    fn write(&self, bytes: &[u8]) -> &PathBuf {
        std::fs::write(&self.0, bytes).unwrap();
        &self.0
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Calls `f` with the beginnings of `whole`, and with `whole` where a byte is another.
fn cut_and_altered(whole: &[u8], mut f: impl FnMut(&[u8])) {
    for length in 0..=whole.len() {
        f(&whole[..length]);
    }
    for at in 0..whole.len() {
        for value in [0, b'"', b'\n', 0x7f, 0xff, whole[at] ^ 1] {
            let mut altered = whole.to_vec();
            altered[at] = value;
            f(&altered);
        }
    }
}

#[test]
fn tables() {
    let file = File::new("csv");
    let table = "a,\"b\"\n1,-2.5\n\n3e4, 5\n\"6\",7\n".as_bytes();
    cut_and_altered(table, |bytes| {
        let path = file.write(bytes);
        for has_header in [false, true] {
            let options = CsvOptions {
                has_header,
                trim: true,
                ..CsvOptions::default()
            };
            let rows = csv::read::<Vec<String>>(path, &options);
            let numbers = csv::read_table(path, &options, DType::F64, Some(0.0));
            if let Ok(numbers) = numbers {
                assert_eq!(numbers.values.shape()[0], rows.unwrap().len());
            }
        }
    });
}

#[test]
fn lines_of_json() {
    let file = File::new("jsonl");
    let lines = b"\xef\xbb\xbf{\"a\": [1, 2.5, null]}\n\n\"\\u00e9\"\n";
    for whole in [lines.to_vec(), gzip(lines)] {
        cut_and_altered(&whole, |bytes| {
            if let Ok(values) = jsonl::read::<serde_json::Value>(file.write(bytes)) {
                assert!(values.len() <= 3);
            }
        });
    }
}

#[test]
fn arrays_of_mnist() {
    let file = File::new("idx");
    let array = [&[0, 0, 11, 2, 0, 0, 0, 2, 0, 0, 0, 1][..], &[1, 2, 3, 4]].concat();
    cut_and_altered(&array, |bytes| {
        if let Ok(array) = idx::read(file.write(bytes)) {
            assert_eq!(
                array.numel() * array.dtype().size_in_bytes(),
                bytes.len() - 4 - 4 * array.rank()
            );
        }
    });
    cut_and_altered(&gzip(&array), |bytes| {
        if let Ok(array) = idx::read(file.write(bytes)) {
            assert!(array.numel() <= 4);
        }
    });
}
