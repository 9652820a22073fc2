//! The registry of models: what its entries claim, and that models can be trained; the bundled ones do what is said of them.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::f64::consts::TAU;

use flambeau_audio::io::{LoadOptions, decode_wav};
use flambeau_audio::models::{self, Crepe, CrepeDecoder, SileroVad, SpeechOptions};
use flambeau_autograd::Backward;
use flambeau_nn::{Module, init};
use flambeau_tensor::{DType, Tensor, no_grad, random};

#[test]
fn entries_are_complete_and_unique() {
    let mut names = BTreeSet::new();
    for entry in models::list() {
        assert!(names.insert(entry.name), "{} stands twice", entry.name);
        assert!(!entry.task.is_empty(), "{}", entry.name);
        let model = init::skip(entry.build).unwrap();
        assert_eq!(model.num_parameters(false), entry.parameters, "{}", entry.name);
    }
    let error = models::create("crepe_tin").err().unwrap().to_string();
    assert_eq!(
        error,
        "models: no model is called crepe_tin; the closest name is crepe_tiny"
    );
}

#[test]
fn every_parameter_receives_a_gradient() {
    for entry in models::list() {
        random::fork(0, || {
            let model = (entry.build)().unwrap();
            let x = Tensor::randn(entry.input, DType::F32).unwrap();
            let y = model.forward(&x).unwrap();
            let weights = Tensor::randn(y.shape(), DType::F32).unwrap();
            y.mul(&weights).unwrap().sum().unwrap().backward().unwrap();
            for (key, parameter) in model.named_parameters() {
                let grad = parameter
                    .grad()
                    .unwrap_or_else(|| panic!("{}: {key} has no gradient", entry.name));
                let size = grad.abs().unwrap().sum().unwrap().item::<f32>().unwrap();
                assert!(
                    size.is_finite(),
                    "{}: the gradient of {key} is not finite",
                    entry.name
                );
            }
        });
    }
}

#[test]
fn wrong_inputs_are_errors_that_say_what_was_expected() {
    for entry in models::list() {
        let model = init::skip(entry.build).unwrap();
        let error = model
            .forward(&Tensor::zeros((2, 3, 5, 7, 9), DType::F32).unwrap())
            .unwrap_err();
        assert!(
            error.to_string().contains("[2, 3, 5, 7, 9]"),
            "{}: {error}",
            entry.name
        );
    }
}

#[test]
fn crepe_hears_the_pitch_of_sines() {
    let crepe = Crepe::pretrained().unwrap();
    let time = Tensor::arange(0, 8000, 1, DType::F32)
        .unwrap()
        .div(16000)
        .unwrap();
    for (hz, expected) in [(110.0, 110.4), (440.0, 441.5), (880.0, 883.1)] {
        let sine = time.mul(hz * TAU).unwrap().sin().unwrap();
        let mut pitches = crepe.track(&sine, 16000, 0.02, CrepeDecoder::Argmax).unwrap();
        pitches.sort_by(|a, b| a.frequency.total_cmp(&b.frequency));
        let median = pitches[pitches.len() / 2].frequency;
        assert!((median - expected).abs() < 0.5, "{hz} Hz is heard as {median}");
    }
}

/// What PyTorch makes of windows of the sentence with the same weights, window by window.
const EXPECTED: [(usize, f64); 6] = [
    (0, 0.10619),
    (10, 0.99036),
    (20, 0.99995),
    (50, 0.99997),
    (90, 0.99951),
    (100, 0.03257),
];

fn sentence() -> Tensor {
    let (sound, rate) =
        decode_wav(include_bytes!("../assets/sentence.wav"), &LoadOptions::default()).unwrap();
    assert_eq!(rate, 16000);
    sound.squeeze_dim(0).unwrap()
}

#[test]
fn silero_hears_where_speech_is() {
    let detector = SileroVad::pretrained().unwrap();
    let sentence = sentence();
    let probabilities = no_grad(|| flambeau_nn::Forward::forward(&detector, &sentence.unsqueeze(0)?))
        .unwrap()
        .to_vec_f64()
        .unwrap();
    for (window, expected) in EXPECTED {
        assert!(
            (probabilities[window] - expected).abs() < 2e-5,
            "window {window}: {}",
            probabilities[window]
        );
    }
    let speech = detector.speech(&sentence, &SpeechOptions::default()).unwrap();
    assert!(
        !speech.is_empty() && speech[0][0] > 0.0 && speech[0][0] < 0.5,
        "{speech:?}"
    );
}

/// A stream in pieces is the stream as a whole.
#[test]
fn silero_goes_on_where_it_stopped() {
    let detector = SileroVad::pretrained().unwrap();
    let sound = sentence().narrow(0, 0, 16 * 512).unwrap().unsqueeze(0).unwrap();
    no_grad(|| {
        let whole = flambeau_nn::Forward::forward(&detector, &sound)
            .unwrap()
            .to_vec_f64()
            .unwrap();
        let mut state = detector.begin(1).unwrap();
        let mut pieces = Vec::new();
        for piece in sound.split(4 * 512, 1).unwrap() {
            pieces.extend(detector.step(&piece, &mut state).unwrap().to_vec_f64().unwrap());
        }
        for (piece, whole) in pieces.iter().zip(&whole) {
            assert!((piece - whole).abs() < 1e-6);
        }
        assert_eq!(pieces.len(), whole.len());
    });
}
