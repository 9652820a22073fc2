//! Wrong calls: files that are none.

use flambeau_tensor::io::{npy, npz, safetensors};

use super::table::counting;
use flambeau_tensor::{DType, Result};

/// A NumPy file of version 1 with this header and these bytes behind it.
fn numpy(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// A safetensors file with this header and these bytes behind it.
fn safe(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn npy_of(header: &str) -> Result<flambeau_tensor::Tensor> {
    npy::from_bytes(&numpy(header, 8))
}

#[rustfmt::skip]
pub(crate) fn faults() -> Vec<(String, Option<String>)> {
    let x = counting(&[2], DType::F32);
    let no_file = std::env::temp_dir().join("flambeau-no-such-file");
    refused! {
        "flambeau-no-such-file" npy::read(&no_file) => "flambeau-no-such-file";
        "flambeau-no-such-file" npz::read(&no_file) => "flambeau-no-such-file";
        "flambeau-no-such-file" safetensors::load(&no_file) => "flambeau-no-such-file";
        "flambeau-no-such-file" safetensors::save(no_file.join("x"), [("x", &x)]) => "x";
        "npy" npy::from_bytes(b"") => "npy";
        "npy" npy::from_bytes(b"\x93NUMPY\x09\x00") => "9";
        "npy" npy::from_bytes(&npy::to_bytes(&x).unwrap()[..100]) => "npy";
        "npy" npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }") => "[2, 3]", "8";
        "npy" npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }") => "[99999999999, 99999999999]";
        "npy" npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 18446744073709551615), }") => "shape";
        "npy" npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }") => "size", "51";
        "npy" npy_of("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,), }") => "fortran_order";
        "npy" npy_of("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }") => "Python objects";
        "npy" npy_of("{'descr': '<c16', 'fortran_order': False, 'shape': (1,), }") => "c16";
        "npy" npy_of("{'descr': '<f4', 'shape': (2,), }") => "fortran_order";
        "npy" npy_of("{'descr': '<f4'") => "header";
        "npz" npz::from_bytes(b"PK") => "npz";
        "npz" npz::from_bytes(b"") => "npz";
        "safetensors" safetensors::from_bytes(b"") => "early";
        "safetensors" safetensors::from_bytes(&u64::MAX.to_le_bytes()) => "18446744073709551615";
        "safetensors" safetensors::from_bytes(&safe("{", 0)) => "header";
        "safetensors" safetensors::from_bytes(&safe("[]", 0)) => "header";
        "safetensors" safetensors::from_bytes(&safe(r#"{"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}"#, 8)) => "header", "shape";
        "safetensors" safetensors::from_bytes(&safe(r#"{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}"#, 4)) => "8", "4";
        "safetensors" safetensors::from_bytes(&safe(r#"{"w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}"#, 8)) => "w", "offset";
        "safetensors" safetensors::from_bytes(&safe(r#"{"w": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}}"#, 8)) => "w", "C64";
        "safetensors" safetensors::from_bytes(&safe(r#"{"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 8]}}"#, 8)) => "-1";
        "safetensors" safetensors::from_bytes(&safe(r#"{"w": {"dtype": "F32", "shape": [18446744073709551615, 2], "data_offsets": [0, 8]}}"#, 8)) => "header", "overflow";
        "safetensors" safetensors::from_bytes(&safe(r#"{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#, 8)) => "8", "4";
    }
}
