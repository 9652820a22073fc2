//! The bundled recogniser writes down what voices say that it has never heard, and weights come back from files.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use flambeau_audio::decoder::BeamOptions;
use flambeau_audio::io::{LoadOptions, decode, load};
use flambeau_audio::{Recognizer, SAMPLE_RATE};
use flambeau_nn::Module;
use flambeau_tensor::{DType, Tensor, random};

/// The sentences of `speech/make_speech.py` with what is said in them.
fn sentences() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/speech");
    let list = std::fs::read_to_string(folder.join("speech.tsv")).unwrap();
    let line = |line: &str| {
        let (file, said) = line.split_once('\t').unwrap();
        (folder.join(file), said.to_string())
    };
    list.lines().map(line).collect()
}

#[test]
fn the_bundled_weights_write_down_what_is_said() {
    let recognizer = Recognizer::pretrained().unwrap();
    let sentences = sentences();
    assert_eq!(sentences.len(), 4);
    for (file, said) in sentences {
        let (sound, rate) = load(&file, &LoadOptions::default()).unwrap();
        for beam in [None, Some(&BeamOptions::default())] {
            let heard = recognizer.transcribe(&sound, rate, beam).unwrap();
            assert_eq!(heard, said, "{}", file.display());
        }
    }
    let command = include_bytes!("../assets/command.wav");
    let (sound, rate) = decode(command, &LoadOptions::default()).unwrap();
    let stereo = Tensor::cat(&[&sound, &sound], 0).unwrap();
    let heard = recognizer.transcribe(&stereo, rate, None).unwrap();
    assert_eq!(heard, "turn on the heater in the garage");
}

/// Files hold half precision; what is loaded is `float32` again.
#[test]
fn weights_come_back_rounded_to_half_precision() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let saved = random::fork(0, Recognizer::new).unwrap();
    saved.save(&path).unwrap();
    let loaded = Recognizer::load(&path).unwrap();
    let (saved, loaded) = (saved.model.state_dict(), loaded.model.state_dict());
    assert!(saved.keys().eq(loaded.keys()));
    for (key, value) in &saved {
        let rounded = match value.dtype() {
            DType::F32 => value.to_dtype(DType::F16).unwrap(),
            _ => value.clone(),
        };
        assert_eq!(loaded[key].dtype(), value.dtype(), "{key}");
        assert_eq!(
            loaded[key].to_vec_f64().unwrap(),
            rounded.to_vec_f64().unwrap(),
            "{key}"
        );
    }
    std::fs::write(&path, "no weights").unwrap();
    let error = Recognizer::load(&path).unwrap_err().to_string();
    assert!(error.contains("weights.safetensors"), "{error}");
}

#[test]
fn what_is_no_sound_is_an_error() {
    let recognizer = Recognizer::pretrained().unwrap();
    let message = |x: Tensor| {
        recognizer
            .transcribe(&x, SAMPLE_RATE, None)
            .unwrap_err()
            .to_string()
    };
    let short = message(Tensor::zeros(399, DType::F32).unwrap());
    assert!(
        short.contains("at least 25 ms of sound, got 399 samples"),
        "{short}"
    );
    let batch = message(Tensor::zeros((1, 1, 16000), DType::F32).unwrap());
    assert!(batch.contains("got [1, 1, 16000]"), "{batch}");
}
