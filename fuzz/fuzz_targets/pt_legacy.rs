//! PyTorch's files of the legacy format.

#![no_main]

use flambeau_hub::{Value, pt};
use libfuzzer_sys::fuzz_target;

fn names(value: &Value) -> Vec<String> {
    value.tensors().into_iter().map(|(name, _)| name).collect()
}

fuzz_target!(|bytes: &[u8]| {
    if bytes.starts_with(b"PK") {
        return;
    }
    if let Ok(value) = pt::from_bytes(bytes) {
        let written = pt::to_bytes(&value).expect("what was read can be written");
        let again = pt::from_bytes(&written).expect("what was written can be read");
        assert_eq!(names(&again), names(&value));
    }
});
