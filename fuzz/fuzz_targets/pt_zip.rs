//! PyTorch's files of the zip format: whole archives, and pickles that are put into one.

#![no_main]

use std::io::{Cursor, Write};

use flambeau_hub::{Value, pt};
use libfuzzer_sys::fuzz_target;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

/// An archive with this pickle and two storages. Changes to archives seldom get past their checksums.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in [("data.pkl", pickle), ("data/0", &[7; 96]), ("data/1", &[0; 8])] {
        archive
            .start_file(format!("archive/{name}"), options)
            .expect("a new name");
        archive.write_all(bytes).expect("memory takes everything");
    }
    archive.finish().expect("memory takes everything").into_inner()
}

fn names(value: &Value) -> Vec<String> {
    value.tensors().into_iter().map(|(name, _)| name).collect()
}

fuzz_target!(|bytes: &[u8]| {
    let read = if bytes.starts_with(b"PK") {
        pt::from_bytes(bytes)
    } else {
        pt::from_bytes(&archive(bytes))
    };
    if let Ok(value) = read {
        let written = pt::to_bytes(&value).expect("what was read can be written");
        let again = pt::from_bytes(&written).expect("what was written can be read");
        assert_eq!(names(&again), names(&value));
    }
});
