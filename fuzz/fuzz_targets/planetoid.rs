//! Citation networks: the bytes are the tensors of the file, of any types, shapes and values.

#![no_main]

use std::collections::BTreeMap;

use flambeau_fuzz::file_of;
use flambeau_graph::datasets::planetoid;
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{DType, Tensor};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 6] = ["edge_index", "x_index", "y", "train_mask", "val_mask", "test_mask"];

/// Type, shape and small or large elements of the next tensor.
fn tensor(bytes: &mut impl Iterator<Item = u8>) -> Option<Tensor> {
    let dtype = DType::ALL[bytes.next()? as usize % DType::ALL.len()];
    let rank = bytes.next()? as usize % 4;
    let shape: Vec<usize> = bytes.by_ref().take(rank).map(|size| size as usize % 9).collect();
    let count = shape.iter().product();
    let values: Vec<i64> = bytes
        .take(count)
        .map(|byte| match byte {
            0..=223 => i64::from(byte % 16),
            // The powers of two and their opposites, and the largest ones.
            224..=254 => i64::from(byte as i8 | 1).wrapping_shl(u32::from(byte) * 2),
            255 => i64::MAX,
        })
        .collect();
    Tensor::from_vec(values, shape).and_then(|tensor| tensor.to_dtype(dtype)).ok()
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.iter().copied();
    let mut tensors = BTreeMap::new();
    for name in NAMES {
        if let Some(tensor) = tensor(&mut bytes) {
            tensors.insert(name.to_string(), tensor);
        }
    }
    let file = safetensors::to_bytes(&tensors, &BTreeMap::new()).expect("tensors with different names");
    if let Ok(graph) = planetoid(file_of("planetoid", &file)) {
        graph.validate().expect("a graph that was read");
        graph.edges().expect("a graph that was read");
        let _ = graph.num_classes();
        assert_eq!(graph.x().expect("a graph with features").shape()[0], graph.num_nodes);
    }
});
