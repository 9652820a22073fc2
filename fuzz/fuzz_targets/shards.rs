//! Indexes of shards: the bytes are the index; a shard `s` with two tensors, `a` and `b`, stands beside it.

#![no_main]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use flambeau_hub::load;
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{DType, Tensor};
use libfuzzer_sys::fuzz_target;

/// A folder of this process with the shard.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("flambeau-fuzz-shards-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let tensor = Tensor::zeros(2, DType::F32).expect("two elements");
    let tensors = BTreeMap::from([("a".to_string(), tensor.clone()), ("b".to_string(), tensor)]);
    safetensors::save(folder.join("s"), &tensors).expect("a file in the folder");
    folder
});

fuzz_target!(|bytes: &[u8]| {
    // Files are told apart by what is in them: text without zeros can be nothing but an index.
    if bytes.contains(&0) || !bytes.trim_ascii_start().starts_with(b"{") {
        return;
    }
    let index = FOLDER.join("model.safetensors.index.json");
    std::fs::write(&index, bytes).expect("a file in the folder");
    if let Ok(checkpoint) = load(&index) {
        let names = checkpoint.state_dict().expect("names are told apart").into_keys();
        assert!(names.into_iter().all(|name| name == "a" || name == "b"));
    }
});
