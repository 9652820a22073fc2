//! How good the bundled weights are, on all test images, where these are.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use flambeau_data::Dataset;
use flambeau_tensor::Tensor;
use flambeau_vision::datasets::{Split, fashion_mnist};
use flambeau_vision::pretrained::ImageClassifier;

/// With `FLAMBEAU_SHARED`, a folder with `assets/fashion-mnist`; ten thousand images take too long for every run of the
/// tests.
#[test]
fn as_many_test_images_are_right_as_is_said() {
    let Some(shared) = std::env::var_os("FLAMBEAU_SHARED") else {
        return;
    };
    let test = fashion_mnist(PathBuf::from(shared).join("assets/fashion-mnist"), Split::Test).unwrap();
    let classifier = ImageClassifier::fashion_mnist().unwrap();
    let mut right = 0;
    for begin in (0..test.len()).step_by(250) {
        let samples = (begin..begin + 250).map(|at| test.get(at).unwrap());
        let (pictures, classes): (Vec<Tensor>, Vec<i64>) = samples.unzip();
        let answers = classifier.classify(&pictures, 1).unwrap();
        let hits = answers.iter().zip(classes);
        right += hits
            .filter(|(answer, class)| answer[0].class as i64 == *class)
            .count();
    }
    // 9,371; on other instruction sets an answer may tip over.
    assert!(right.abs_diff(9371) <= 5, "{right} of {}", test.len());
}
