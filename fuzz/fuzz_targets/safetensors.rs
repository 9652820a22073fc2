//! `.safetensors` files.

#![no_main]

use std::collections::BTreeMap;

use flambeau_tensor::io::safetensors;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tensors) = safetensors::from_bytes(bytes) {
        let written =
            safetensors::to_bytes(&tensors, &BTreeMap::new()).expect("what was read can be written");
        let again = safetensors::from_bytes(&written).expect("what was written can be read");
        assert!(again.keys().eq(tensors.keys()));
    }
});
