//! Small classifiers: every parameter learns, padding changes nothing, the bundled one knows spam, and what is wrong is said.

#![allow(clippy::unwrap_used)]

use flambeau_autograd::Backward;
use flambeau_nn::{Forward, Module};
use flambeau_tensor::{Tensor, no_grad};
use flambeau_text::classifiers::{
    GRUClassifier, LSTMClassifier, RNNClassifier, RecurrentOptions, TextCNN, TextCNNOptions, TextClassifier,
    TransformerClassifier, TransformerOptions,
};

fn recurrent() -> RecurrentOptions {
    RecurrentOptions {
        embedding_dim: 6,
        hidden_dim: 5,
        output_dim: 3,
        dropout: 0.0,
        ..RecurrentOptions::default()
    }
}

fn texts() -> Tensor {
    Tensor::new([[4i64, 2, 9, 1], [3, 8, 0, 0]]).unwrap()
}

fn learns(model: &dyn Module, scores: &Tensor) {
    assert_eq!(scores.shape(), [2, 3]);
    scores.square().unwrap().sum().unwrap().backward().unwrap();
    for (name, parameter) in model.named_parameters() {
        let grad = parameter
            .grad()
            .unwrap_or_else(|| panic!("{}: {name} has no gradient", model.name()));
        let size = grad.abs().unwrap().sum().unwrap().item::<f32>().unwrap();
        // A bias of keys moves all scores of a query alike, but stands in one parameter with others.
        assert!(size > 0.0, "{}: the gradient of {name} is zero", model.name());
    }
}

#[test]
fn every_parameter_receives_a_gradient() {
    let (texts, lengths) = (texts(), [4, 2]);
    let lstm = LSTMClassifier::new(10, recurrent()).unwrap();
    learns(&lstm, &lstm.forward(&texts, Some(&lengths)).unwrap());
    let gru = GRUClassifier::new(10, recurrent()).unwrap();
    learns(&gru, &gru.forward(&texts, None).unwrap());
    let rnn = RNNClassifier::new(10, recurrent()).unwrap();
    learns(&rnn, &rnn.forward(&texts, Some(&lengths)).unwrap());
    let options = TextCNNOptions {
        embedding_dim: 6,
        n_filters: 5,
        output_dim: 3,
        ..TextCNNOptions::default()
    };
    let cnn = TextCNN::new(10, &options).unwrap();
    cnn.eval();
    learns(&cnn, &cnn.forward(&texts).unwrap());
    let options = TransformerOptions {
        d_model: 8,
        nhead: 2,
        dim_feedforward: 16,
        output_dim: 3,
        ..TransformerOptions::default()
    };
    let transformer = TransformerClassifier::new(10, options).unwrap();
    transformer.eval();
    learns(&transformer, &transformer.forward(&texts).unwrap());
}

#[test]
fn keys_are_those_of_the_introduction() {
    let model = LSTMClassifier::new(10, recurrent()).unwrap();
    let keys: Vec<String> = model.state_entries().into_iter().map(|(name, _)| name).collect();
    let mut expected = vec!["embedding.weight".to_string()];
    for layer in ["l0", "l0_reverse", "l1", "l1_reverse"] {
        for part in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] {
            expected.push(format!("lstm.{part}_{layer}"));
        }
    }
    expected.extend(["fc.weight".to_string(), "fc.bias".to_string()]);
    assert_eq!(keys, expected);
}

#[test]
fn padding_changes_nothing() {
    let short = Tensor::new([[3i64, 8]]).unwrap();
    let long = Tensor::new([[3i64, 8, 0, 0, 0]]).unwrap();
    let model = LSTMClassifier::new(10, recurrent()).unwrap();
    let alone = model.forward(&short, None).unwrap().to_vec::<f32>().unwrap();
    let padded = model.forward(&long, Some(&[2])).unwrap().to_vec::<f32>().unwrap();
    assert_eq!(alone, padded);
    let options = TransformerOptions {
        d_model: 8,
        nhead: 2,
        dim_feedforward: 16,
        ..TransformerOptions::default()
    };
    let model = TransformerClassifier::new(10, options).unwrap();
    model.eval();
    let scores = |text: &Tensor| no_grad(|| model.forward(text)).unwrap().to_vec::<f32>().unwrap();
    let pairs = scores(&short).into_iter().zip(scores(&long));
    assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-5));
    // A text of padding alone has scores, too.
    assert!(
        scores(&Tensor::new([[0i64, 0]]).unwrap())
            .iter()
            .all(|score| score.is_finite())
    );
}

#[test]
fn the_bundled_classifier_knows_spam() {
    let classifier = TextClassifier::spam_or_ham().unwrap();
    let texts = [
        "Re: [ILUG] mailing list. On Thursday Tom wrote: I think the patch should go in before the release, the kernel \
         does not build without it.",
        "Click here to claim your free money now! This is a limited time offer, to be removed from our list reply with \
         remove in the subject.",
    ];
    let answers = classifier.predict(&texts).unwrap();
    let best: Vec<&str> = answers.iter().map(|answer| &answer[0].class[..]).collect();
    assert_eq!(best, ["ham", "spam"]);
    for answer in &answers {
        assert!((answer.iter().map(|class| class.probability).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    // Texts together are what they are alone; an empty one has an answer.
    let alone = classifier.predict(&texts[1..]).unwrap();
    assert!((alone[0][0].probability - answers[1][0].probability).abs() < 1e-5);
    assert_eq!(classifier.predict(&[""]).unwrap()[0].len(), 2);
    assert!(classifier.predict::<&str>(&[]).is_err());
    // What its description says, and the page about it.
    let recipe = &classifier.description().recipe;
    let page = include_str!("../references/spam_or_ham/README.md");
    let share = recipe.split("seed 0: ").nth(1).unwrap();
    assert!(page.contains(share), "{share}");
}

#[test]
fn files_are_read_as_they_were_written() {
    let classifier = TextClassifier::spam_or_ham().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy");
    classifier.save(&path).unwrap();
    let copy = TextClassifier::load(&path).unwrap();
    let text = ["free money"];
    assert_eq!(
        copy.predict(&text).unwrap()[0][0].probability,
        classifier.predict(&text).unwrap()[0][0].probability
    );
    let message = |path: &std::path::Path| TextClassifier::load(path).unwrap_err().to_string();
    assert!(message(&folder.path().join("none")).contains("none.json"));
    std::fs::write(path.with_extension("json"), "{}").unwrap();
    assert!(message(&path).contains("no description of a classifier: missing field"));
}

#[test]
fn what_does_not_fit_is_said() {
    let model = LSTMClassifier::new(10, recurrent()).unwrap();
    let message =
        |text: &Tensor, lengths: Option<&[usize]>| model.forward(text, lengths).unwrap_err().to_string();
    let flat = Tensor::new([1i64]).unwrap();
    assert_eq!(
        message(&flat, None),
        "LSTMClassifier: expected text [batch, time], got [1]"
    );
    let floats = Tensor::new([[1.0f32]]).unwrap();
    assert!(message(&floats, None).contains("expected ids of tokens, got float32"));
    assert!(message(&texts(), Some(&[5, 2])).contains("expected 2 lengths from 1 to 4"));
    let unknown = Tensor::new([[10i64]]).unwrap();
    assert!(message(&unknown, None).contains("10"));
    let odd = TransformerOptions {
        d_model: 7,
        ..TransformerOptions::default()
    };
    assert!(TransformerClassifier::new(10, odd).is_err());
    let none = TextCNNOptions {
        filter_sizes: vec![],
        ..TextCNNOptions::default()
    };
    assert!(TextCNN::new(10, &none).is_err());
}
