//! GGUF files.

#![no_main]

use std::io::Cursor;

use flambeau_hub::gguf::GgufFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut file) = GgufFile::new(Cursor::new(bytes), bytes.len() as u64, "fuzz") {
        for name in file.names() {
            let shape = file.shape(&name).expect("a name that is there").to_vec();
            // One of a kind that is known by name only is an error.
            if let Ok(tensor) = file.tensor(&name) {
                assert_eq!(tensor.shape(), shape);
            }
        }
    }
});
