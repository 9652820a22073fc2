//! The loss of connectionist temporal classification is PyTorch's, and searches find what an enumeration of all paths finds.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use flambeau_audio::decoder::{Alphabet, BeamOptions, ctc_beam_search, ctc_greedy};
use flambeau_audio::metrics::ErrorRate;
use flambeau_autograd::Backward;
use flambeau_nn::functional::{CtcOptions, Reduction, ctc_loss};
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{DType, Tensor, random};

#[test]
fn losses_and_gradients_are_those_of_pytorch() {
    let golden = safetensors::from_bytes(include_bytes!("golden/ctc.safetensors")).unwrap();
    let lengths = |key: &str| golden[key].to_vec::<i64>().unwrap();
    let assert_close = |got: &Tensor, key: &str| {
        let (got, expected) = (got.to_vec_f64().unwrap(), golden[key].to_vec_f64().unwrap());
        assert_eq!(got.len(), expected.len(), "{key}");
        for (got, expected) in got.iter().zip(expected) {
            assert!(
                (got - expected).abs() < 1e-11,
                "{key}: {got}, expected {expected}"
            );
        }
    };
    let reductions = [
        ("mean", Reduction::Mean),
        ("sum", Reduction::Sum),
        ("none", Reduction::None),
    ];
    for (name, reduction) in reductions {
        let logits = golden["logits"].copy().unwrap().requires_grad(true).unwrap();
        let options = CtcOptions {
            reduction,
            ..CtcOptions::default()
        };
        let loss = ctc_loss(
            &logits.log_softmax(-1).unwrap(),
            &golden["targets"],
            &lengths("lengths"),
            &lengths("target_lengths"),
            options,
        )
        .unwrap();
        assert_close(&loss.detach(), &format!("loss.{name}"));
        loss.sum().unwrap().backward().unwrap();
        assert_close(&logits.grad().unwrap(), &format!("grad.{name}"));
    }
}

/// The probability of every text, summed over all paths of `time` classes.
fn enumerated(log_probs: &[Vec<f64>]) -> BTreeMap<Vec<usize>, f64> {
    let classes = log_probs[0].len();
    let mut texts = BTreeMap::new();
    for number in 0..classes.pow(log_probs.len() as u32) {
        let (mut rest, mut last, mut text, mut log_prob) = (number, 0, Vec::new(), 0.0);
        for row in log_probs {
            let class = rest % classes;
            rest /= classes;
            if class != 0 && class != last {
                text.push(class);
            }
            last = class;
            log_prob += row[class];
        }
        *texts.entry(text).or_insert(0.0) += f64::exp(log_prob);
    }
    texts
}

#[test]
fn a_wide_beam_finds_the_probability_of_every_text() {
    random::fork(0, || {
        for _ in 0..10 {
            let log_probs = Tensor::randn((5, 3), DType::F64)
                .unwrap()
                .log_softmax(-1)
                .unwrap();
            let expected = enumerated(&log_probs.to_vec2::<f64>().unwrap());
            let options = BeamOptions {
                beam_size: 1000,
                nbest: 1000,
                least: 0.0,
                ..BeamOptions::default()
            };
            let found = ctc_beam_search(&log_probs, &options).unwrap();
            assert_eq!(found.len(), expected.len());
            assert!(found.is_sorted_by(|a, b| a.score >= b.score));
            for hypothesis in found {
                let expected = expected[&hypothesis.labels];
                assert!(
                    (hypothesis.score.exp() - expected).abs() < 1e-12,
                    "{hypothesis:?}"
                );
                assert_eq!(hypothesis.timesteps.len(), hypothesis.labels.len());
            }
        }
    });
}

#[test]
fn letters_are_classes_and_back() {
    let alphabet = Alphabet::english();
    assert_eq!(alphabet.num_classes(), 28);
    let classes = alphabet.encode("two tens").unwrap();
    let labels: Vec<usize> = classes.iter().map(|&class| class as usize).collect();
    assert_eq!(alphabet.decode(&labels), "two tens");
    let error = alphabet.encode("a1").unwrap_err().to_string();
    assert_eq!(error, "Alphabet: no class is '1', which stands in \"a1\"");
    assert!(Alphabet::new("aba").is_err());
}

#[test]
fn wrong_calls_say_what_was_expected() {
    let x = Tensor::zeros((2, 3, 4), DType::F32).unwrap();
    let error = ctc_greedy(&x, 0).unwrap_err().to_string();
    assert!(
        error.starts_with("ctc_greedy: expected logarithms of probabilities [time, classes]"),
        "{error}"
    );
    let x = Tensor::zeros((2, 3), DType::F32).unwrap();
    let options = BeamOptions {
        blank: 3,
        ..BeamOptions::default()
    };
    let error = ctc_beam_search(&x, &options).unwrap_err().to_string();
    assert_eq!(error, "ctc_beam_search: the blank is class 3 of 3");
}

#[test]
fn error_rates_are_edits_over_what_was_said() {
    let mut rate = ErrorRate::default();
    rate.add_words("one two three", "one three");
    rate.add_words("four", "four five");
    assert_eq!((rate.edits, rate.items, rate.rate()), (2, 4, 0.5));
}
