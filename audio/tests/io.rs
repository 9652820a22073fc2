//! Files of sound come back as they were written, and what is no such file is an error.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use flambeau_audio::io::{
    Encoding, LoadOptions, SaveOptions, decode, decode_wav, encode_wav, info, load, save,
};
use flambeau_tensor::io::safetensors;
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
fn parts_of_24_bits_in_four_bytes_are_where_they_are() {
    let samples: [i32; 4] = [1 << 16, -(1 << 20), 3, 5 << 12];
    // WAVE_FORMAT_EXTENSIBLE: one channel, four bytes a frame, of which 24 bits count.
    let mut bytes =
        b"RIFF\x4c\0\0\0WAVEfmt \x28\0\0\0\xfe\xff\x01\0\x40\x1f\0\0\0\x7d\0\0\x04\0\x20\0\x16\0\x18\0"
            .to_vec();
    bytes.extend(b"\x04\0\0\0\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71data\x10\0\0\0");
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    let decode = |frame_offset, num_frames| {
        let options = LoadOptions {
            frame_offset,
            num_frames,
            normalize: false,
            ..LoadOptions::default()
        };
        decode_wav(&bytes, &options).unwrap().0.to_vec::<i32>().unwrap()
    };
    let whole = samples.map(|sample| sample << 8);
    assert_eq!(decode(0, None), whole);
    assert_eq!(decode(1, Some(2)), whole[1..3]);
    assert_eq!(decode(3, None), whole[3..]);
    assert!(decode(4, None).is_empty());
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
        error.contains("text.wav: not a file of sound that can be read"),
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
    assert!(error.contains("lack PcmF of 16 bits"), "{error}");
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

/// Files that `sounds/make_sounds.py` made, and how much their samples may differ from libsndfile's.
const COMPRESSED: [(&str, usize, usize, Encoding, f64); 7] = [
    ("stereo16.flac", 22050, 16, Encoding::Flac, 0.0),
    ("mono24.flac", 48000, 24, Encoding::Flac, 0.0),
    ("mono8.flac", 8000, 8, Encoding::Flac, 0.0),
    ("stereo.ogg", 22050, 0, Encoding::Vorbis, 2e-6),
    ("mono.ogg", 16000, 0, Encoding::Vorbis, 2e-6),
    ("stereo.mp3", 44100, 0, Encoding::Mp3, 2e-6),
    ("mono.mp3", 16000, 0, Encoding::Mp3, 2e-6),
];

fn sounds() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "sounds"].iter().collect()
}

#[test]
fn compressed_files_decode_to_the_samples_of_libsndfile() {
    let decoded = safetensors::load(sounds().join("decoded.safetensors")).unwrap();
    for (name, rate, bits, encoding, tolerance) in COMPRESSED {
        let expected = &decoded[name];
        let data = info(sounds().join(name)).unwrap();
        assert_eq!([data.num_channels, data.num_frames], expected.shape(), "{name}");
        assert_eq!(
            (data.sample_rate, data.bits_per_sample, data.encoding),
            (rate, bits, encoding),
            "{name}"
        );
        let (sound, found) = load(sounds().join(name), &LoadOptions::default()).unwrap();
        assert_eq!((sound.shape(), found), (expected.shape(), rate), "{name}");
        let difference = largest_difference(&sound, expected);
        assert!(difference <= tolerance, "{name}: {difference:e}");

        // A part is where it is in the whole.
        let options = LoadOptions {
            frame_offset: 700,
            num_frames: Some(200),
            channels_first: false,
            ..LoadOptions::default()
        };
        let (part, _) = load(sounds().join(name), &options).unwrap();
        let there = sound.narrow(1, 700, 200).unwrap().t().unwrap();
        assert_eq!(part.shape(), there.shape(), "{name}");
        assert_eq!(largest_difference(&part, &there), 0.0, "{name}");
        let beyond = LoadOptions {
            frame_offset: 100_000,
            ..LoadOptions::default()
        };
        let (nothing, _) = load(sounds().join(name), &beyond).unwrap();
        assert_eq!(nothing.shape(), [data.num_channels, 0], "{name}");

        // In its own type, it is what is in the file.
        let own = LoadOptions {
            normalize: false,
            ..LoadOptions::default()
        };
        let (own, _) = load(sounds().join(name), &own).unwrap();
        let (dtype, scale) = match bits {
            0 => (DType::F32, 1.0),
            8 | 16 => (DType::I16, 32768.0),
            _ => (DType::I32, 2147483648.0),
        };
        assert_eq!(own.dtype(), dtype, "{name}");
        let unit = own.to_dtype(DType::F64).unwrap().div(scale).unwrap();
        assert_eq!(largest_difference(&unit, &sound), 0.0, "{name}");
    }
}

/// The content says what a file is, not its name; tags before an MP3 file's frames are passed over.
#[test]
fn names_do_not_matter_and_tags_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sound.wav");
    let whole = LoadOptions::default();
    std::fs::copy(sounds().join("mono.mp3"), &path).unwrap();
    let (sound, rate) = load(&path, &whole).unwrap();
    assert_eq!((sound.shape(), rate), (&[1, 3003][..], 16000));

    let mp3 = std::fs::read(&path).unwrap();
    let tag = [
        b"ID3\x04\0\0\0\0\0\x14TIT2\0\0\0\x0a\0\0\0a title".as_slice(),
        b"\0\0",
    ]
    .concat();
    let (tagged, _) = decode(&[tag, mp3.clone()].concat(), &whole).unwrap();
    assert_eq!(largest_difference(&tagged, &sound), 0.0);

    // Without the first frame, which says how much of the others is not sound, all of them are.
    let frame = mp3.len()
        - mp3
            .windows(2)
            .skip(2)
            .position(|pair| pair == [0xff, mp3[1]])
            .unwrap()
        - 2;
    let (untrimmed, _) = decode(&mp3[mp3.len() - frame..], &whole).unwrap();
    let frames = untrimmed.shape()[1];
    assert!(frames % 576 == 0 && frames > 3003, "{frames}");
}

#[test]
fn files_that_were_cut_off_or_altered_are_errors() {
    let whole = LoadOptions::default();
    assert_eq!(decode(&[], &whole).unwrap_err().to_string(), "the file is empty");
    for (name, ..) in COMPRESSED {
        let bytes = std::fs::read(sounds().join(name)).unwrap();
        for part in [4, 20, bytes.len() / 4, bytes.len() / 2, bytes.len() - 1] {
            let error = decode(&bytes[..part], &whole).unwrap_err().to_string();
            assert!(!error.is_empty(), "{name}: {part} bytes");
        }
        random::fork(1, || {
            for _ in 0..60 {
                let draw = Tensor::rand(2, DType::F64).unwrap().to_vec_f64().unwrap();
                let mut altered = bytes.clone();
                altered[(draw[0] * bytes.len() as f64) as usize] ^= 1 + (draw[1] * 255.0) as u8;
                let read = decode(&altered, &whole);
                // FLAC has a checksum of the sound, and each of Ogg's pages one of its bytes.
                if let Ok((sound, _)) = read
                    && name.ends_with(".flac")
                {
                    let (right, _) = decode(&bytes, &whole).unwrap();
                    assert_eq!(largest_difference(&sound, &right), 0.0, "{name}");
                }
            }
        });
    }
    // The messages say what is missing.
    for (name, expected) in [
        ("stereo16.flac", "the file claims 5001 frames and has "),
        ("stereo.ogg", "a page of the Ogg file is cut off"),
        ("stereo.mp3", "the file claims 9001 frames and has "),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let bytes = std::fs::read(sounds().join(name)).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
        let error = load(&path, &whole).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(expected), "{error}");
    }
}
