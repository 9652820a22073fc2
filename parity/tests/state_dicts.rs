//! The keys of the models of `vision` are those of torchvision, in the same order, with the same types and shapes.

#![allow(clippy::unwrap_used)]

use flambeau_parity::golden::{crc32, state_dict_list};
use serde_json::Value;

#[test]
fn keys_are_those_of_torchvision() {
    // Made by checksums.py beside it.
    let golden: Value = serde_json::from_str(include_str!("golden/state_dicts/checksums.json")).unwrap();
    let golden = golden.as_object().unwrap();
    assert_eq!(golden.len(), 79);
    for (name, expected) in golden {
        let list = state_dict_list(name).unwrap();
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
