//! JPEGs, whole and in parts, beside what Pillow and torchvision decode.

#![cfg(feature = "image")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use flambeau_data::formats::image::{DecodeOptions, EncodedImage, ImageReadMode, decode};
use flambeau_tensor::Tensor;
use flambeau_tensor::io::safetensors;

/// Files with their pixels, by name (`golden/make_jpegs.py`).
fn files() -> BTreeMap<String, (Vec<u8>, Tensor)> {
    let tensors = safetensors::from_bytes(include_bytes!("golden/jpegs.safetensors")).unwrap();
    let named = |(name, file): (&String, &Tensor)| {
        let name = name.strip_suffix(".file")?;
        let pixels = tensors[&format!("{name}.pixels")].clone();
        Some((name.to_string(), (file.to_vec().unwrap(), pixels)))
    };
    tensors.iter().filter_map(named).collect()
}

#[test]
fn pixels_are_those_of_libjpeg_turbo() {
    let files = files();
    assert_eq!(files.len(), 27);
    for (name, (bytes, pixels)) in &files {
        let decoded = decode(bytes, &DecodeOptions::default()).unwrap();
        assert!(decoded.equal(pixels).unwrap(), "{name}");
        let rgb = decode(bytes, &DecodeOptions::RGB).unwrap();
        let expected = pixels.expand([3, pixels.shape()[1], pixels.shape()[2]]).unwrap();
        assert!(rgb.equal(&expected).unwrap(), "{name}");
    }
}

#[test]
fn parts_are_what_the_whole_has_there() {
    for (name, (bytes, pixels)) in files() {
        for options in [DecodeOptions::default(), DecodeOptions::RGB] {
            let picture = EncodedImage::new(&bytes, &options).unwrap();
            let (height, width) = picture.size();
            assert_eq!(pixels.shape()[1..], [height, width]);
            let whole = picture.decode().unwrap();
            for rows in [0..1, 0..height, height / 3..height, height / 2..height / 2 + 1] {
                for columns in [0..width, width - 1..width, width / 3..width / 2 + 1] {
                    let part = picture.decode_part(rows.clone(), columns.clone()).unwrap();
                    let expected = whole.narrow(1, rows.start as isize, rows.len()).unwrap();
                    let expected = expected.narrow(2, columns.start as isize, columns.len()).unwrap();
                    assert!(part.equal(&expected).unwrap(), "{name}: {rows:?} {columns:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_part_is_refused() {
    let files = files();
    let picture = EncodedImage::new(&files["grey"].0, &DecodeOptions::default()).unwrap();
    for (rows, columns) in [(0..0, 0..1), (0..22, 0..1), (21..22, 0..1), (0..1, 34..35)] {
        let error = picture.decode_part(rows, columns).unwrap_err().to_string();
        assert!(error.starts_with("decode_image: rows "), "{error}");
        assert!(error.ends_with("are no part of a picture of (21, 34)"), "{error}");
    }
}

#[test]
fn damaged_files_never_panic_and_parts_of_files_are_errors() {
    for (name, (bytes, _)) in files() {
        // Every kind of table and marker, without the pictures that differ in size alone.
        if name.starts_with("waves") || name == "wide" {
            continue;
        }
        let decode = |bytes: &[u8]| {
            let picture = EncodedImage::new(bytes, &DecodeOptions::default())?;
            let (height, width) = picture.size();
            picture.decode_part(height / 2..height, width / 2..width)
        };
        for at in (0..bytes.len()).step_by(11) {
            assert!(decode(&bytes[..at]).is_err(), "{name}, the first {at} bytes");
            for value in [0, 0xff, bytes[at] ^ 0x10] {
                let mut altered = bytes.clone();
                altered[at] = value;
                let _ = decode(&altered);
            }
        }
    }
}

#[test]
fn the_mode_chooses_the_decoder_and_not_the_size() {
    let files = files();
    let (bytes, pixels) = &files["waves_27x40_2"];
    for mode in [
        ImageReadMode::Gray,
        ImageReadMode::GrayAlpha,
        ImageReadMode::RgbAlpha,
    ] {
        let options = DecodeOptions {
            mode,
            ..DecodeOptions::default()
        };
        let picture = EncodedImage::new(bytes, &options).unwrap();
        assert_eq!(picture.size(), (27, 40));
        let part = picture.decode_part(3..9, 0..40).unwrap();
        assert_eq!(part.shape()[1..], [6, 40]);
    }
    let upright = DecodeOptions {
        apply_exif_orientation: true,
        ..DecodeOptions::RGB
    };
    assert!(decode(bytes, &upright).unwrap().equal(pixels).unwrap());
}

/// Decoders put up with different damage to tables; which of them reads a file must not depend on the channels that are asked for.
#[test]
fn every_mode_takes_the_same_damaged_files() {
    let files = files();
    let (bytes, _) = &files["waves_27x40_2"];
    let tables = bytes
        .windows(2)
        .enumerate()
        .filter(|(_, marker)| *marker == [0xff, 0xc4]);
    let (mut taken, mut refused) = (0, 0);
    for (start, _) in tables {
        let length = u16::from_be_bytes([bytes[start + 2], bytes[start + 3]]) as usize;
        for at in start + 4..start + 2 + length {
            for value in [0, 3, bytes[at].wrapping_add(1)] {
                let mut altered = bytes.clone();
                altered[at] = value;
                let taken_in = |mode| {
                    let options = DecodeOptions {
                        mode,
                        ..DecodeOptions::default()
                    };
                    decode(&altered, &options).is_ok()
                };
                let first = taken_in(ImageReadMode::Unchanged);
                for mode in [ImageReadMode::Gray, ImageReadMode::Rgb, ImageReadMode::RgbAlpha] {
                    assert_eq!(taken_in(mode), first, "byte {at} as {value}, {mode:?}");
                }
                *if first { &mut taken } else { &mut refused } += 1;
            }
        }
    }
    assert!(taken > 0 && refused > 0, "{taken} files taken, {refused} refused");
}
