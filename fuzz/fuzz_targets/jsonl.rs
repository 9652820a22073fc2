//! JSON lines, packed or not: a stream gives what reading at once does.

#![no_main]

use flambeau_data::formats::jsonl;
use flambeau_data::{DataLoader, IterableDataset};
use flambeau_fuzz::file_of;
use flambeau_tensor::Result;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let path = file_of("jsonl", bytes);
    let values: Result<Vec<Value>> = jsonl::read(&path);
    let stream = jsonl::stream::<Value>([&path]).map(|value| Ok(value.to_string()));
    let loader = DataLoader::stream(stream).unbatched().build().expect("valid options");
    match (loader.iter().collect::<Result<Vec<String>>>(), values) {
        (Ok(texts), Ok(values)) => assert_eq!(texts, values.iter().map(Value::to_string).collect::<Vec<_>>()),
        (Err(_), Err(_)) => {}
        (stream, values) => panic!("a stream gives {stream:?}, the whole file {values:?}"),
    }
});
