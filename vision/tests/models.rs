//! The registry of models: what its entries claim, that models can be trained, and that they begin as torchvision's.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use flambeau_autograd::Backward;
use flambeau_nn::functional::{CrossEntropyOptions, cross_entropy};
use flambeau_nn::init;
use flambeau_tensor::{DType, Tensor, no_grad, random};
use flambeau_vision::models::{self, Options, Tap, intermediate};

/// One model of each family, the cheapest, and the size of images that it is run on.
const SMALLEST: &[(&str, usize)] = &[
    ("alexnet", 64),
    ("vgg11", 32),
    ("squeezenet1_1", 32),
    ("googlenet", 32),
    ("inception_v3", 75),
    ("resnet18", 32),
    ("resnet20", 32),
    ("densenet121", 32),
    ("mobilenet_v2", 32),
    ("mobilenet_v3_small", 32),
    ("shufflenet_v2_x0_5", 32),
    ("mnasnet0_5", 32),
    ("efficientnet_b0", 32),
    ("efficientnet_lite0", 32),
    ("regnet_y_400mf", 32),
    ("vit_b_32", 224),
    ("swin_t", 32),
    ("swin_v2_t", 32),
    ("convnext_tiny", 32),
    ("maxvit_t", 224),
];

fn small(name: &str) -> Box<dyn models::Classifier> {
    // Inception's auxiliary head needs images of 299 pixels; that it is trained, reference cases show.
    let aux_logits = (name == "inception_v3").then_some(false);
    let options = Options {
        num_classes: 3,
        aux_logits,
        ..Options::default()
    };
    random::fork(0, || models::create(name, options)).unwrap()
}

#[test]
fn entries_are_complete_and_unique() {
    let (mut names, mut files) = (BTreeSet::new(), BTreeSet::new());
    for entry in models::list() {
        assert!(
            names.insert(entry.name),
            "{} stands twice in the registry",
            entry.name
        );
        assert!(entry.gflops > 0.0 && !entry.family.is_empty(), "{entry:?}");
        let mut members = BTreeSet::new();
        for weights in entry.weights {
            let what = format!("{} {}", entry.name, weights.name);
            assert!(members.insert(weights.name), "{what} stands twice");
            assert!(
                files.insert(weights.file),
                "{what}: {} stands twice",
                weights.file
            );
            assert!(!weights.name.is_empty() && !weights.license.is_empty(), "{what}");
            assert!(weights.megabytes > 0.0 && weights.gflops > 0.0, "{what}");
            assert!(
                weights.preset.crop_size > 0 && weights.preset.resize_size >= weights.preset.crop_size,
                "{what}"
            );
            // The file's name ends in the first digits of its SHA-256.
            let digits = weights.file.trim_end_matches(".pth").rsplit('-').next().unwrap();
            assert!(
                digits.len() >= 8 && digits.chars().all(|c| c.is_ascii_hexdigit()),
                "{what}"
            );
            // Without a head there is nothing to be right or wrong.
            assert!(
                weights.accuracy.is_none() || !(weights.categories)().is_empty(),
                "{what}"
            );
            let known =
                weights.accuracy.is_some() || matches!(weights.name, "IMAGENET1K_FEATURES" | "IMAGENET1K_TF");
            assert!(known, "{what} has no accuracy");
            assert!(
                weights
                    .accuracy
                    .is_none_or(|a| a.acc1 > 50.0 && a.acc5 > a.acc1 && a.acc5 < 100.0),
                "{what}"
            );
            assert!(
                weights
                    .hub
                    .is_none_or(|hub| hub.repo.contains('/') && !hub.file.is_empty()),
                "{what}"
            );
        }
    }
    assert_eq!(models::imagenet_categories().len(), 1000);
    assert!(models::create("resnet19", Options::default()).is_err());
}

#[test]
fn models_have_as_many_parameters_as_their_entries_say() {
    for entry in models::list() {
        let num_classes = if entry.family == "resnet_cifar" { 10 } else { 1000 };
        let options = Options {
            num_classes,
            ..Options::default()
        };
        let model = init::skip(|| (entry.build)(options)).unwrap();
        assert_eq!(model.num_parameters(false), entry.parameters, "{}", entry.name);
        assert_eq!(model.num_classes(), num_classes, "{}", entry.name);
    }
}

#[test]
fn every_parameter_receives_a_gradient() {
    for &(name, size) in SMALLEST {
        let model = small(name);
        let x = Tensor::randn((2, 3, size, size), DType::F32).unwrap();
        let labels = Tensor::new([0i64, 2]).unwrap();
        let outputs = model.forward_outputs(&x).unwrap();
        let mut loss = cross_entropy(&outputs.logits, &labels, &CrossEntropyOptions::default()).unwrap();
        for logits in &outputs.auxiliary {
            let auxiliary = cross_entropy(logits, &labels, &CrossEntropyOptions::default()).unwrap();
            loss = loss.add(&auxiliary).unwrap();
        }
        loss.backward().unwrap();
        for (key, parameter) in model.named_parameters() {
            let grad = parameter
                .grad()
                .unwrap_or_else(|| panic!("{name}: {key} has no gradient"));
            let finite = grad.sum().unwrap().item::<f32>().unwrap().is_finite();
            assert!(finite, "{name}: the gradient of {key} is not finite");
        }
    }
}

#[test]
fn heads_are_replaced_and_stages_have_names() {
    for &(name, size) in SMALLEST {
        let mut model = small(name);
        model.eval();
        no_grad(|| {
            let x = Tensor::randn((1, 3, size, size), DType::F32).unwrap();
            let features = model.forward_features(&x).unwrap();
            let (out, head) = (model.forward(&x).unwrap(), model.forward_head(&features).unwrap());
            assert_eq!(
                out.to_vec::<f32>().unwrap(),
                head.to_vec::<f32>().unwrap(),
                "{name}"
            );
            assert!(
                features.shape()[1..].contains(&model.num_features()),
                "{name}: {:?}",
                features.shape()
            );

            model.reset_classifier(7).unwrap();
            assert_eq!(model.num_classes(), 7, "{name}");
            assert_eq!(model.forward(&x).unwrap().shape(), [1, 7], "{name}");

            let mut names = Vec::new();
            model
                .forward_tapped(&x, &mut Tap::new(|name, _| names.push(name.to_string())))
                .unwrap();
            let modules: BTreeSet<_> = model.named_modules().into_iter().map(|(name, _)| name).collect();
            assert!(
                names.iter().all(|stage| modules.contains(stage)),
                "{name}: {names:?}"
            );
            assert_eq!(
                names.iter().collect::<BTreeSet<_>>().len(),
                names.len(),
                "{name}: {names:?}"
            );
            let last = names.last().unwrap().as_str();
            assert_eq!(intermediate(&*model, &x, &[last]).unwrap().len(), 1);
            let error = intermediate(&*model, &x, &["nowhere"]).unwrap_err().to_string();
            assert!(error.contains(last), "{error}");
        });
    }
}

#[test]
fn initial_weights_are_those_of_torchvision() {
    let golden = include_str!("golden/initial_weights.json");
    let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
    for (name, expected) in golden["models"].as_object().unwrap() {
        // In a fork: tests that run at the same time draw, too.
        let options = Options {
            num_classes: 10,
            ..Options::default()
        };
        let model = random::fork(0, || models::create(name, options)).unwrap();
        let (mut elements, mut sum, mut squares) = (0, 0.0, 0.0);
        for (_, tensor) in model.state_entries() {
            elements += tensor.numel() as u64;
            if tensor.dtype().is_float() {
                for x in tensor.detach().to_vec::<f32>().unwrap() {
                    sum += f64::from(x);
                    squares += f64::from(x).powi(2);
                }
            }
        }
        assert_eq!(Some(elements), expected["elements"].as_u64(), "{name}");
        for (got, key) in [(sum, "sum"), (squares, "squares")] {
            let expected = expected[key].as_f64().unwrap();
            // The random numbers are the same; their logarithms and sines may differ in the last bit.
            assert!(
                (got - expected).abs() < 1e-6 * squares,
                "{name}: {key} {got}, expected {expected}"
            );
        }
    }
}

#[test]
fn options_that_a_model_has_not_are_refused() {
    let options = Options {
        image_size: Some(64),
        ..Options::default()
    };
    let error = models::create("resnet20", options).err().unwrap().to_string();
    assert!(error.contains("image_size"), "{error}");
}
