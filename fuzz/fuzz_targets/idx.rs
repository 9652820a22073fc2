//! IDX files, packed or not. An unpacked one has exactly the bytes that its shape says.

#![no_main]

use flambeau_data::formats::idx;
use flambeau_fuzz::file_of;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(array) = idx::read(file_of("idx", bytes))
        && !bytes.starts_with(&[0x1f, 0x8b])
    {
        let size = array.numel() * array.dtype().size_in_bytes();
        assert_eq!(bytes.len(), 4 + 4 * array.rank() + size);
    }
});
