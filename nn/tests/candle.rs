//! Modules written for candle run as frozen layers.

#![allow(clippy::unwrap_used)]

use flambeau_autograd::Backward;
use flambeau_nn::*;
use flambeau_tensor::candle::core::{self, Module as _};
use flambeau_tensor::{DType, debug, no_grad};

/// A linear layer as candle-nn writes it.
struct Affine {
    weight: core::Tensor,
    bias: core::Tensor,
}

impl core::Module for Affine {
    fn forward(&self, x: &core::Tensor) -> core::Result<core::Tensor> {
        x.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)
    }
}

fn pair(name: &'static str) -> (Linear, CandleModule<Affine>) {
    let linear = Linear::new(3, 2, LinearOptions::default()).unwrap();
    let affine = Affine {
        weight: linear.weight.to_candle().unwrap(),
        bias: linear.bias.as_ref().unwrap().to_candle().unwrap(),
    };
    (linear, CandleModule::new(name, affine))
}

fn x() -> Tensor {
    Tensor::new([[1.0f32, -2.0, 0.5], [0.0, 3.0, 1.0]]).unwrap()
}

#[test]
fn a_candle_module_computes_and_is_counted() {
    let (linear, affine) = pair("affine");
    let (ours, theirs) = (linear.forward(&x()).unwrap(), affine.forward(&x()).unwrap());
    assert!(ours.allclose(&theirs, 1e-6, 1e-6, false).unwrap() && !theirs.is_tracked());
    affine.forward(&x()).unwrap();
    assert_eq!(debug::fallbacks()["affine"], 2);
    assert!(affine.parameters().is_empty());
    assert_eq!(affine.repr(), "CandleModule(affine)");

    let model = Sequential::new()
        .push(affine)
        .push(Linear::new(2, 1, LinearOptions::default()).unwrap());
    let summary = summary(&model, &x()).unwrap();
    assert_eq!(summary.rows[1].output_shapes, [[2, 2]]);
    model.forward(&x()).unwrap().sum().unwrap().backward().unwrap();
    assert!(
        model
            .parameters()
            .iter()
            .all(|parameter| parameter.grad().is_some())
    );
}

#[test]
fn no_gradient_is_lost_unseen() {
    let (linear, affine) = pair("refusing");
    let tracked = Linear::new(3, 3, LinearOptions::default())
        .unwrap()
        .forward(&x())
        .unwrap();
    let error = affine.forward(&tracked).unwrap_err().to_string();
    assert_eq!(
        error,
        "refusing: candle's operations are not recorded; use no_grad or detach the inputs"
    );
    assert!(no_grad(|| affine.forward(&tracked)).is_ok());
    let detached = affine.detached();
    let y = detached.forward(&tracked).unwrap();
    assert!(!y.is_tracked());
    let ours = no_grad(|| linear.forward(&tracked)).unwrap();
    assert!(ours.allclose(&y, 1e-6, 1e-6, false).unwrap());
    assert_eq!(detached.repr(), "CandleModule(refusing, detached)");
}

#[test]
fn closures_and_errors_of_candle() {
    let chain = |x: &core::Tensor| x.relu()?.sqr();
    let layer = CandleModule::new("chain", chain);
    let y = layer.forward(&x()).unwrap();
    assert_eq!(y.to_vec::<f32>().unwrap(), [1.0, 0.0, 0.25, 0.0, 9.0, 1.0]);
    assert_eq!(chain.forward(&x().to_candle().unwrap()).unwrap().dims(), [2, 3]);
    let (_, affine) = pair("misfit");
    let wrong = affine
        .forward(&Tensor::ones((2, 5), DType::F32).unwrap())
        .unwrap_err();
    assert!(matches!(wrong, Error::Backend(_)), "{wrong:?}");
}
