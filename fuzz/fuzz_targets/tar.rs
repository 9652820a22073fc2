//! Tar files, and as the shards of a WebDataset.

#![no_main]

use flambeau_data::DataLoader;
use flambeau_data::formats::tar::TarReader;
use flambeau_data::formats::webdataset::WebDataset;
use flambeau_fuzz::file_of;
use libfuzzer_sys::fuzz_target;

/// The bytes with right checksums where a header may be: changes would seldom get past them.
fn signed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for block in bytes.chunks_exact_mut(512).filter(|block| block[257..].starts_with(b"ustar")) {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
    bytes
}

fuzz_target!(|bytes: &[u8]| {
    let path = file_of("tar", &signed(bytes));
    let Ok(reader) = TarReader::open(&path) else {
        return;
    };
    let mut size = 0;
    for entry in reader {
        match entry {
            Ok(entry) => size += entry.bytes.len(),
            Err(_) => break,
        }
    }
    assert!(bytes.starts_with(&[0x1f, 0x8b]) || size <= bytes.len());
    let loader = DataLoader::stream(WebDataset::new([&path])).unbatched().build().expect("valid options");
    for sample in loader.iter().map_while(Result::ok) {
        for field in sample.fields.keys() {
            // Whatever the field holds, it is a number or an error.
            let _ = (sample.integer(field), sample.npy(field), sample.json::<serde_json::Value>(field));
        }
    }
});
