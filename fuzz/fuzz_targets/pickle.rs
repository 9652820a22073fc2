//! Pickles that are files, with NumPy's arrays: what is made of one is bounded by its length.

#![no_main]

use flambeau_hub::{Value, pickle};
use libfuzzer_sys::fuzz_target;

/// Elements of all arrays, each as often as it occurs.
fn elements(value: &Value) -> usize {
    match value {
        Value::Tensor(tensor) => tensor.numel(),
        Value::List(items) | Value::Tuple(items) => items.iter().map(elements).sum(),
        Value::Dict(dict) => dict.values().map(elements).sum(),
        _ => 0,
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = pickle::from_bytes(bytes) {
        // An array takes as many bytes as it has elements, at least, and has at least one reference of two bytes.
        assert!(elements(&value) <= (bytes.len() + 2) * bytes.len().max(1));
        let _ = value.state_dict();
    }
});
