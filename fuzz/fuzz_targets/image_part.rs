//! Parts of pictures: of one that can be decoded, every part can, too. What is damaged elsewhere need not show in it.

#![no_main]

use flambeau_data::formats::image::{DecodeOptions, EncodedImage};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The last four bytes say which part.
    let Some((bytes, &[top, bottom, left, right])) = bytes.split_last_chunk() else {
        return;
    };
    let Ok(picture) = EncodedImage::new(bytes, &DecodeOptions::RGB) else {
        return;
    };
    let (height, width) = picture.size();
    let range = |from: u8, to: u8, size: usize| {
        let (from, to) = (from.min(to) as usize, from.max(to) as usize);
        size * from / 256..(size * to).div_ceil(255)
    };
    let (rows, columns) = (range(top, bottom, height), range(left, right, width));
    let part = picture.decode_part(rows.clone(), columns.clone());
    let Ok(whole) = picture.decode() else {
        return;
    };
    if rows.is_empty() || columns.is_empty() {
        assert!(part.is_err());
        return;
    }
    assert_eq!(whole.shape(), [3, height, width]);
    let part = part.expect("a part of what can be decoded");
    assert_eq!(part.shape(), [3, rows.len(), columns.len()]);
});
