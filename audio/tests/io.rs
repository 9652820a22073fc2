//! Files of sound come back as they were written, and what is no such file is an error.

#![allow(clippy::unwrap_used)]

use flambeau_audio::io::{Encoding, LoadOptions, SaveOptions, decode_wav, encode_wav, info, load, save};
use flambeau_tensor::{DType, Tensor, random};

fn noise() -> Tensor {
    random::fork(0, || {
        Tensor::rand((2, 300), DType::F32)
            .unwrap()
            .mul(1.98)
            .unwrap()
            .sub(0.99)
            .unwrap()
    })
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    let a = a.to_dtype(DType::F64).unwrap().sub(b).unwrap();
    a.abs().unwrap().max().unwrap().item_f64().unwrap()
}

#[test]
fn every_encoding_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let sound = noise();
    let encodings = [
        (Encoding::PcmF, 32, 0.0, DType::F32),
        (Encoding::PcmS, 32, 1e-7, DType::I32),
        (Encoding::PcmS, 24, 1e-6, DType::I32),
        (Encoding::PcmS, 16, 2e-5, DType::I16),
        (Encoding::PcmU, 8, 5e-3, DType::U8),
    ];
    for (encoding, bits, tolerance, native) in encodings {
        let path = folder.path().join(format!("{encoding:?}{bits}.wav"));
        let options = SaveOptions {
            encoding: Some(encoding),
            bits_per_sample: Some(bits),
        };
        save(&path, &sound, 22050, &options).unwrap();
        let data = info(&path).unwrap();
        assert_eq!(
            (data.sample_rate, data.num_frames, data.num_channels),
            (22050, 300, 2)
        );
        assert_eq!((data.bits_per_sample, data.encoding), (bits, encoding));
        let (read, rate) = load(&path, &LoadOptions::default()).unwrap();
        assert_eq!(
            (read.shape(), read.dtype(), rate),
            (&[2, 300][..], DType::F32, 22050)
        );
        assert!(
            largest_difference(&read, &sound) <= tolerance,
            "{encoding:?} {bits}"
        );

        // In the file's own type, and written again, it is the same file.
        let raw = LoadOptions {
            normalize: false,
            ..LoadOptions::default()
        };
        let (raw, _) = load(&path, &raw).unwrap();
        assert_eq!(raw.dtype(), native);
        let bytes = encode_wav(&raw, 22050, &options).unwrap();
        assert_eq!(bytes, std::fs::read(&path).unwrap(), "{encoding:?} {bits}");
    }
}

#[test]
fn parts_are_where_they_are_in_the_whole() {
    let bytes = encode_wav(&noise(), 8000, &SaveOptions::default()).unwrap();
    let whole = noise();
    for (frame_offset, num_frames, expected) in [
        (0, Some(10), 0..10),
        (100, Some(50), 100..150),
        (290, None, 290..300),
    ] {
        let options = LoadOptions {
            frame_offset,
            num_frames,
            ..LoadOptions::default()
        };
        let (part, _) = decode_wav(&bytes, &options).unwrap();
        let expected = whole.narrow(1, expected.start as isize, expected.len()).unwrap();
        assert_eq!(part.to_vec::<f32>().unwrap(), expected.to_vec::<f32>().unwrap());
    }
    let beyond = LoadOptions {
        frame_offset: 400,
        ..LoadOptions::default()
    };
    assert_eq!(decode_wav(&bytes, &beyond).unwrap().0.shape(), [2, 0]);
    let frames_first = LoadOptions {
        channels_first: false,
        ..LoadOptions::default()
    };
    assert_eq!(decode_wav(&bytes, &frames_first).unwrap().0.shape(), [300, 2]);
}

#[test]
fn what_is_no_file_of_sound_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.wav");
    std::fs::write(&path, "this is text").unwrap();
    let error = load(&path, &LoadOptions::default()).unwrap_err().to_string();
    assert!(
        error.contains("text.wav: not a .wav file that can be read"),
        "{error}"
    );
    let missing = folder.path().join("missing.wav");
    assert!(info(&missing).unwrap_err().to_string().contains("missing.wav"));
    let one = Tensor::zeros(3, DType::F32).unwrap();
    let error = save(&path, &one, 8000, &SaveOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected a waveform [channels, time], got [3]"),
        "{error}"
    );
    let options = SaveOptions {
        encoding: Some(Encoding::PcmF),
        bits_per_sample: Some(16),
    };
    let error = save(&path, &noise(), 8000, &options).unwrap_err().to_string();
    assert!(error.contains("PcmF of 16 bits"), "{error}");
}

#[test]
fn altered_bytes_never_panic_and_parts_are_errors() {
    let bytes = encode_wav(&noise(), 8000, &SaveOptions::default()).unwrap();
    for end in 0..60 {
        assert!(
            decode_wav(&bytes[..end], &LoadOptions::default()).is_err(),
            "{end} bytes"
        );
    }
    for at in 0..60 {
        for value in [0, 1, 127, 255] {
            let mut altered = bytes.clone();
            altered[at] = value;
            // Whether it is an error depends on the byte.
            let _ = decode_wav(&altered, &LoadOptions::default());
        }
    }
}
