//! `.npz` archives.

#![no_main]

use flambeau_tensor::io::npz::{self, Compression};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tensors) = npz::from_bytes(bytes) {
        let written = npz::to_bytes(&tensors, Compression::Stored).expect("what was read can be written");
        let again = npz::from_bytes(&written).expect("what was written can be read");
        assert!(again.keys().eq(tensors.keys()));
    }
});
