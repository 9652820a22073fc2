//! MATLAB's files, whose elements may be packed; and the elements of one behind a right header, packed here.

#![no_main]

use std::io::Write;

use flambeau_data::formats::mat;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = mat::from_bytes(bytes);
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).expect("memory takes everything");
    let packed = packer.finish().expect("memory takes everything");
    let header = [&[b' '; 124][..], b"\x00\x01IM", &15u32.to_le_bytes(), &(packed.len() as u32).to_le_bytes()];
    if let Ok(arrays) = mat::from_bytes(&[&header.concat()[..], &packed].concat()) {
        // Elements take at most eight times the room of those that are stored as bytes.
        assert!(arrays.values().all(|array| array.numel() <= bytes.len()));
    }
});
