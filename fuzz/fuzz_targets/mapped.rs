//! Mapped `.safetensors` files: the bytes are the header, and data of the length that it speaks of follow. Tensors are those of
//! the ordinary reader, and what that refuses is an error.

#![no_main]

use flambeau_fuzz::file_of;
use flambeau_tensor::io::safetensors::{self, SafeTensorsFile};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// How far the places of a header reach, as long as that is not far.
fn reach(header: &[u8]) -> usize {
    let Ok(Value::Object(entries)) = serde_json::from_slice(header) else {
        return 1 << 17;
    };
    let end = |entry: &Value| entry.get("data_offsets")?.get(1)?.as_u64();
    let ends = entries.values().filter_map(end);
    ends.filter(|&end| end <= 1 << 20).max().unwrap_or(0) as usize
}

fuzz_target!(|bytes: &[u8]| {
    let data = (0..reach(bytes)).map(|i| (i * 7) as u8);
    let length = (bytes.len() as u64).to_le_bytes();
    let file: Vec<u8> = length.into_iter().chain(bytes.iter().copied()).chain(data).collect();
    let path = file_of("mapped", &file);
    let read = safetensors::load(&path);
    // SAFETY: the file is this process's own, and there are no tensors of it when it is written again.
    let mapped = unsafe { SafeTensorsFile::open_mapped(&path) }.and_then(|file| file.tensors());
    match (read, mapped) {
        (Ok(read), Ok(mapped)) => {
            let bytes = |tensors| safetensors::to_bytes(tensors, &Default::default()).expect("what was read");
            assert_eq!(bytes(&read), bytes(&mapped));
        }
        // Of several faults, either may be named.
        (Err(_), Err(_)) => {}
        (read, mapped) => panic!("reading gives {read:?}, mapping {mapped:?}"),
    }
});
