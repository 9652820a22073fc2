//! The keys of the models of `vision` are those of torchvision, and those of `text` are Hugging Face's, in the same order, with the same
//! types and shapes.

#![allow(clippy::unwrap_used)]

use flambeau_parity::golden::{crc32, state_dict_list, text_state_dict_list};
use flambeau_tensor::Result;
use serde_json::Value;

/// Compares lists with their lengths and checksums in JSON.
fn compare(golden: &str, count: usize, list: impl Fn(&str) -> Result<String>) {
    let golden: Value = serde_json::from_str(golden).unwrap();
    let golden = golden.as_object().unwrap();
    assert_eq!(golden.len(), count);
    for (name, expected) in golden {
        let list = list(name).unwrap();
        let got = [list.lines().count() as u64, u64::from(crc32(list.as_bytes()))];
        let expected: Vec<u64> = expected
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_u64().unwrap())
            .collect();
        assert_eq!(got, expected[..], "{name}");
    }
}

#[test]
fn keys_are_those_of_torchvision() {
    // Made by checksums.py beside it.
    let golden = include_str!("golden/state_dicts/checksums.json");
    compare(golden, 79, state_dict_list);
}

#[test]
fn keys_are_those_of_hugging_face() {
    // Made by text_checksums.py beside it.
    let golden = include_str!("golden/state_dicts/text_checksums.json");
    compare(golden, 40, text_state_dict_list);
}
