//! A profile of a training step shows modules, operations, gradient rules and the optimiser's step, and no fallback.

#![allow(clippy::unwrap_used)]

use flambeau_autograd::Backward;
use flambeau_nn::functional::cross_entropy;
use flambeau_nn::{
    BatchNorm2d, BatchNormOptions, Conv2d, ConvOptions, Flatten, Forward, Linear, LinearOptions, Module,
    ReLU, Sequential,
};
use flambeau_optim::{Adam, AdamOptions, Optimizer};
use flambeau_tensor::profiler::{Kind, profile};
use flambeau_tensor::{DType, Result, Tensor, random};

#[test]
fn a_training_step_is_seen_whole() {
    random::manual_seed(0);
    let model = Sequential::new()
        .push(Conv2d::new(1, 4, [3, 3], ConvOptions::default()).unwrap())
        .push(BatchNorm2d::new(4, BatchNormOptions::BATCH).unwrap())
        .push(ReLU)
        .push(Flatten::default())
        .push(Linear::new(4 * 6 * 6, 3, LinearOptions::default()).unwrap());
    let mut optimizer = Adam::new(model.parameters(), AdamOptions::default()).unwrap();
    let x = Tensor::randn((2, 1, 8, 8), DType::F32).unwrap();
    let y = Tensor::new([0i64, 2]).unwrap();
    let (result, profiled) = profile(|| -> Result<()> {
        optimizer.zero_grad();
        cross_entropy(&model.forward(&x)?, &y, &Default::default())?.backward()?;
        optimizer.step()
    });
    result.unwrap();
    let of = |kind: Kind| -> Vec<(&str, usize)> {
        let events = profiled.events().iter().filter(|event| event.kind == kind);
        events.map(|event| (&*event.name, event.depth)).collect()
    };
    // The norm does the rectifier in its own pass.
    let modules = [
        ("Conv2d", 1),
        ("BatchNorm2d", 1),
        ("Flatten", 1),
        ("Linear", 1),
        ("Sequential", 0),
    ];
    assert_eq!(of(Kind::Module), modules);
    let rules =
        ["cross_entropy", "linear", "reshape", "batch_norm", "conv"].map(|name| format!("{name}_backward"));
    let found = of(Kind::Gradient);
    for rule in &rules {
        assert!(found.contains(&(rule, 0)), "{rule} is not among {found:?}");
    }
    assert_eq!(of(Kind::Step), [("Adam.step", 0)]);
    assert_eq!(profiled.fallbacks(), 0);
    let conv = profiled
        .events()
        .iter()
        .find(|event| event.name == "conv")
        .unwrap();
    assert_eq!(
        (conv.kind, conv.depth, &conv.shape[..]),
        (Kind::Operation, 2, &[2, 4, 6, 6][..])
    );
}
