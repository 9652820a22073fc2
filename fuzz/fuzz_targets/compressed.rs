//! FLAC, Ogg Vorbis and MP3: what can be read has the channels that it says, and its samples are numbers.

#![no_main]

use flambeau_audio::io::{LoadOptions, decode, info};
use flambeau_fuzz::file_of;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // `.wav` has a target of its own.
    if bytes.starts_with(b"RIFF") {
        return;
    }
    let about = info(file_of("sound", bytes));
    let own = LoadOptions {
        normalize: false,
        channels_first: false,
        ..LoadOptions::default()
    };
    let raw = decode(bytes, &own);
    let Ok((sound, rate)) = decode(bytes, &LoadOptions::default()) else {
        assert!(raw.is_err());
        return;
    };
    let about = about.expect("what can be read can be described");
    assert_eq!((sound.shape()[0], rate), (about.num_channels, about.sample_rate));
    let (raw, _) = raw.expect("the same samples in the file's own type");
    assert_eq!(raw.shape(), [sound.shape()[1], sound.shape()[0]]);
    // A packet takes the room of its samples, of which a byte makes many, but not any number.
    assert!(sound.numel() <= 65536 * bytes.len());
    let part = LoadOptions {
        frame_offset: bytes.len() % 997,
        num_frames: Some(bytes.len() % 499),
        ..LoadOptions::default()
    };
    let (part, _) = decode(bytes, &part).expect("a part of what can be read");
    let first = sound.shape()[1].min(bytes.len() % 997);
    let count = (bytes.len() % 499).min(sound.shape()[1] - first);
    let cut = sound.narrow(1, first as isize, count).expect("a part that is inside");
    let bits = |tensor: &flambeau_tensor::Tensor| {
        let values = tensor.to_vec::<f32>().expect("floating point numbers");
        values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    assert_eq!((part.shape(), bits(&part)), (cut.shape(), bits(&cut)));
});
