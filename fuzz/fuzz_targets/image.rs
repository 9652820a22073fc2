//! Pictures: whatever the mode, one that can be decoded has the same height and width, and the channels of the mode; so have
//! its parts.

#![no_main]

use flambeau_data::formats::image::{DecodeOptions, EncodedImage, ImageReadMode, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(picture) = decode(bytes, &DecodeOptions::default()) else {
        return;
    };
    let (height, width) = (picture.shape()[1], picture.shape()[2]);
    let (rows, columns) = (height / 3..height.div_ceil(2), width / 2..width);
    let part = EncodedImage::new(bytes, &DecodeOptions::default())
        .and_then(|encoded| encoded.decode_part(rows.clone(), columns.clone()))
        .expect("a picture that was decoded once");
    assert_eq!(part.shape(), [picture.shape()[0], rows.len(), columns.len()]);
    let modes = [
        (ImageReadMode::Gray, 1),
        (ImageReadMode::GrayAlpha, 2),
        (ImageReadMode::Rgb, 3),
        (ImageReadMode::RgbAlpha, 4),
    ];
    let (mode, channels) = modes[bytes.len() % 4];
    let options = DecodeOptions {
        mode,
        apply_exif_orientation: false,
    };
    let other = decode(bytes, &options).expect("a picture that was decoded once");
    assert_eq!(other.shape(), [channels, picture.shape()[1], picture.shape()[2]]);
    let upright = DecodeOptions {
        apply_exif_orientation: true,
        ..options
    };
    if let Ok(turned) = decode(bytes, &upright) {
        assert_eq!(turned.numel(), other.numel());
    }
});
