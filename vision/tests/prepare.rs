//! Prepared models give what the models give.

#![allow(clippy::unwrap_used)]

use flambeau_nn::{Forward, Module};
use flambeau_tensor::{DType, Tensor, no_grad, random};
use flambeau_vision::models::{self, Options};

/// A model whose norms are not the identity.
fn model(name: &str) -> Box<dyn models::Classifier> {
    random::fork(1, || {
        let model = models::create(name, Options::default()).unwrap();
        for (name, buffer) in model.named_buffers() {
            no_grad(|| {
                if name.ends_with("running_mean") {
                    buffer.normal_(0.0, 0.1).unwrap();
                } else if name.ends_with("running_var") {
                    buffer.uniform_(0.5, 1.5).unwrap();
                }
            });
        }
        model.eval();
        model
    })
}

fn images(batch: usize, size: usize) -> Tensor {
    random::fork(2, || Tensor::randn((batch, 3, size, size), DType::F32)).unwrap()
}

/// The largest difference of two models' results, as a part of the largest result.
fn difference(name: &str, size: usize) -> f64 {
    let model = model(name);
    let prepared = model
        .prepare(&images(2, size))
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut worst = 0.0_f64;
    for batch in [1, 2, 5] {
        let x = images(batch, size);
        let (want, got) = no_grad(|| (model.forward(&x).unwrap(), prepared.forward(&x).unwrap()));
        assert_eq!(got.shape(), want.shape());
        let largest = f64::from(want.abs().unwrap().max().unwrap().item::<f32>().unwrap());
        let apart = f64::from(
            got.sub(&want)
                .unwrap()
                .abs()
                .unwrap()
                .max()
                .unwrap()
                .item::<f32>()
                .unwrap(),
        );
        assert!(largest > 0.0 && apart.is_finite());
        worst = worst.max(apart / largest);
    }
    worst
}

#[test]
fn convolutional_models_stay_what_they_are() {
    for (name, size) in [
        ("alexnet", 64),
        ("squeezenet1_1", 64),
        ("googlenet", 64),
        ("resnet18", 64),
        ("resnet50", 64),
        ("resnet20", 32),
        ("densenet121", 64),
        ("mobilenet_v2", 64),
        ("mobilenet_v3_small", 64),
        ("mnasnet0_5", 64),
        ("efficientnet_b0", 64),
        ("efficientnet_lite0", 64),
        ("regnet_y_400mf", 64),
        ("convnext_tiny", 64),
        ("shufflenet_v2_x0_5", 64),
        ("inception_v3", 96),
    ] {
        let apart = difference(name, size);
        println!("{name}: {apart:e}");
        assert!(apart < 1e-4, "{name}: {apart}");
    }
}
