//! Sound: what can be read is as long as the file says, a part of it is what the whole has there, and it can be written.

#![no_main]

use flambeau_audio::io::{LoadOptions, SaveOptions, decode_wav, encode_wav};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = decode_wav(bytes, &LoadOptions::default());
    let own = LoadOptions {
        normalize: false,
        channels_first: false,
        ..LoadOptions::default()
    };
    let raw = decode_wav(bytes, &own);
    assert_eq!(whole.is_ok(), raw.is_ok());
    let part = LoadOptions {
        frame_offset: bytes.len() % 7,
        num_frames: Some(bytes.len() % 5),
        ..LoadOptions::default()
    };
    let part = decode_wav(bytes, &part);
    let (Ok((whole, rate)), Ok((raw, _))) = (whole, raw) else {
        return;
    };
    let (channels, frames) = (whole.shape()[0], whole.shape()[1]);
    assert_eq!(raw.shape(), [frames, channels]);
    let (part, _) = part.expect("a part of what can be read");
    let first = frames.min(bytes.len() % 7);
    let count = (bytes.len() % 5).min(frames - first);
    let cut = whole.narrow(1, first as isize, count).expect("a part that is inside");
    let bits = |tensor: &flambeau_tensor::Tensor| {
        let values = tensor.to_vec::<f32>().expect("floating point numbers");
        values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    assert_eq!((part.shape(), bits(&part)), (cut.shape(), bits(&cut)));
    if let Ok(written) = encode_wav(&whole, rate, &SaveOptions::default()) {
        let (again, _) = decode_wav(&written, &LoadOptions::default()).expect("what was written can be read");
        assert_eq!(again.shape(), whole.shape());
    }
});
