//! Hooks on modules, summaries, and what finds modules and parameters by name.

#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use flambeau_autograd::Backward;
use flambeau_nn::*;
use flambeau_tensor::DType;

fn linear(inputs: usize, outputs: usize) -> Linear {
    Linear::new(inputs, outputs, LinearOptions::default()).unwrap()
}

/// Two equal activations without a size, and a block that is used twice.
#[derive(Module)]
struct Model {
    stem: Sequential,
    block: Linear,
    relu1: ReLU,
    relu2: ReLU,
    attention: MultiheadAttention,
    dropout: Dropout,
}

impl Model {
    fn new() -> Model {
        Model {
            stem: Sequential::new().push(linear(3, 4)).push(Tanh).push(Tanh),
            block: linear(4, 4),
            relu1: ReLU,
            relu2: ReLU,
            attention: MultiheadAttention::new(4, 2, MultiheadAttentionOptions::default()).unwrap(),
            dropout: Dropout::new(0.5).unwrap(),
        }
    }
}

impl Forward for Model {
    #[observed]
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.stem.forward(x)?;
        let x = self.relu1.forward(&self.block.forward(&x)?)?;
        let x = self.relu2.forward(&self.block.forward(&x)?)?;
        let (x, _) = self.attention.forward(&x, &x, &x, &AttentionOptions::default())?;
        self.dropout.forward(&x)
    }
}

fn x() -> Tensor {
    let values: Vec<f32> = (0..18).map(|i| (i as f32 * 0.7).sin()).collect();
    Tensor::from_vec(values, (3, 2, 3)).unwrap()
}

#[test]
fn every_call_is_seen_under_its_name() {
    let model = Model::new();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let names: Vec<String> = model.named_modules().into_iter().map(|(name, _)| name).collect();
    let mut hooks = Hooks::new();
    for name in names.iter().filter(|name| *name != "attention.out_proj") {
        let (seen, own) = (seen.clone(), name.clone());
        hooks = hooks.forward(name, move |module, _, _| {
            seen.borrow_mut().push(format!("{own} {}", module.name()));
            Ok(None)
        });
    }
    hooks.run(&model, || model.forward(&x())).unwrap();
    let expected = [
        "stem.0 Linear",
        "stem.1 Tanh",
        "stem.2 Tanh",
        "stem Sequential",
        "block Linear",
        "relu1 ReLU",
        "block Linear",
        "relu2 ReLU",
        "attention MultiheadAttention",
        "dropout Dropout",
        " Model",
    ];
    assert_eq!(*seen.borrow(), expected);
}

#[test]
fn hooks_replace_inputs_and_outputs() {
    let model = Sequential::new().push(linear(2, 2)).push(ReLU);
    init::ones_(model.get_parameter("0.weight").unwrap()).unwrap();
    init::zeros_(model.get_parameter("0.bias").unwrap()).unwrap();
    let x = Tensor::new([[1.0f32, 2.0]]).unwrap();
    let hooks = Hooks::new()
        .forward_pre("0", |_, inputs| Ok(Some(vec![inputs[0].mul(10)?])))
        .forward("*", |_, _, outputs| Ok(Some(vec![outputs[0].add(1)?])));
    let y = hooks.run(&model, || model.forward(&x)).unwrap();
    // (1 + 2)·10 + 1 of the linear layer, + 1 of ReLU, + 1 of the whole.
    assert_eq!(y.to_vec::<f32>().unwrap(), [33.0, 33.0]);
    assert_eq!(model.forward(&x).unwrap().to_vec::<f32>().unwrap(), [3.0, 3.0]);

    let two = Hooks::new().forward("1", |_, _, outputs| Ok(Some(vec![outputs[0].clone(); 2])));
    let error = two.run(&model, || model.forward(&x)).unwrap_err().to_string();
    assert!(error.contains("2 outputs in the place of 1"), "{error}");
}

#[test]
fn hooks_that_cannot_be_called_are_errors() {
    let model = Model::new();
    let hooks = |name: &str| Hooks::new().forward(name, |_, _, _| Ok(None));
    let error = hooks("stm").run(&model, || model.forward(&x())).unwrap_err();
    assert!(error.to_string().contains("no module called \"stm\""), "{error}");
    // Attention computes with the weight of its last layer, and does not call it.
    let error = hooks("attention.out_proj")
        .run(&model, || model.forward(&x()))
        .unwrap_err();
    assert!(error.to_string().contains("was not called"), "{error}");
    // After an error, nobody watches any more.
    assert!(model.forward(&x()).is_ok());
}

#[test]
fn backward_hooks_see_and_replace_gradients() {
    let layer = linear(2, 1);
    init::ones_(&layer.weight).unwrap();
    let x = Tensor::new([[1.0f32, 2.0]]).unwrap().requires_grad(true).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let hooks = Hooks::new().full_backward("", move |inputs, outputs| {
        let values = |grads: &[Option<Tensor>]| grads[0].as_ref().map(|grad| grad.to_vec::<f32>().unwrap());
        kept.lock().unwrap().push((values(inputs), values(outputs)));
        match &inputs[0] {
            Some(grad) => Ok(Some(vec![Some(grad.mul(5)?)])),
            None => Ok(None),
        }
    });
    // The input is used outside of the layer too: that part of its gradient is not the layer's.
    let y = hooks.run(&layer, || layer.forward(&x)).unwrap();
    y.mul(3)
        .unwrap()
        .sum()
        .unwrap()
        .add(&x.sum().unwrap())
        .unwrap()
        .backward()
        .unwrap();
    assert_eq!(*seen.lock().unwrap(), [(Some(vec![3.0, 3.0]), Some(vec![3.0]))]);
    assert_eq!(x.grad().unwrap().to_vec::<f32>().unwrap(), [16.0, 16.0]);
    assert_eq!(layer.weight.grad().unwrap().to_vec::<f32>().unwrap(), [3.0, 6.0]);

    // Without a gradient of the input, the hook sees that of the output.
    seen.lock().unwrap().clear();
    let y = hooks.run(&layer, || layer.forward(&x.detach())).unwrap();
    y.sum().unwrap().backward().unwrap();
    assert_eq!(*seen.lock().unwrap(), [(None, Some(vec![1.0]))]);
}

#[test]
fn a_summary_counts_calls_parameters_and_multiplications() {
    let model = Model::new();
    model.freeze(&["stem"]).unwrap();
    let summary = summary(&model, &x()).unwrap();
    assert!(model.is_training() && model.dropout.is_training());
    // Of the attention over 3 steps and 2 sequences: four projections, and two products with 3 keys.
    assert_eq!(
        summary.to_string(),
        "\
Layer (type)                       Output shape          Parameters  Mult-adds
──────────────────────────────────────────────────────────────────────────────
Model                              [3, 2, 4]                     --         --
├─ stem (Sequential)               [3, 2, 4]                     --         --
│  ├─ 0 (Linear)                   [3, 2, 4]                   (16)         72
│  ├─ 1 (Tanh)                     [3, 2, 4]                     --         --
│  └─ 2 (Tanh)                     [3, 2, 4]                     --         --
├─ block (Linear)                  [3, 2, 4]                     20        192
├─ relu1 (ReLU)                    [3, 2, 4]                     --         --
├─ relu2 (ReLU)                    [3, 2, 4]                     --         --
├─ attention (MultiheadAttention)  [3, 2, 4], [2, 3, 3]          60        528
│  └─ out_proj (Linear)            --                            20         --
└─ dropout (Dropout)               [3, 2, 4]                     --         --
──────────────────────────────────────────────────────────────────────────────
Parameters: 116 (100 trainable, 16 frozen)
Mult-adds: 792
Memory: 0.00 MB of parameters and buffers, 0.00 MB of outputs
"
    );
    let block = summary.rows.iter().find(|row| row.name == "block").unwrap();
    assert_eq!((block.calls, block.depth, &block.class[..]), (2, 1, "Linear"));
    assert_eq!(summary.state_bytes, 4 * 116);
}

#[test]
fn multiplications_are_those_of_products_and_convolutions() {
    let count = |module: &dyn Forward, shape: &[usize]| {
        let x = Tensor::ones(shape, DType::F32).unwrap();
        summarize(module, || module.forward(&x)).unwrap().multiply_adds()
    };
    let conv = ConvOptions {
        stride: [2, 1],
        groups: 2,
        ..ConvOptions::default()
    };
    let conv = Conv2d::new(4, 6, [3, 2], conv).unwrap();
    // 2·6·3·5 outputs, each of 2 channels of 3 × 2.
    assert_eq!(count(&conv, &[2, 4, 7, 6]), 180 * 12);
    let transposed = ConvTranspose1d::new(4, 6, [3], ConvTransposeOptions::default()).unwrap();
    // 2·4·5 inputs, each to 6 channels of 3.
    assert_eq!(count(&transposed, &[2, 4, 5]), 40 * 18);
    assert_eq!(
        count(
            &BatchNorm1d::new(4, BatchNormOptions::default()).unwrap(),
            &[2, 4]
        ),
        0
    );
    let options = RnnOptions {
        bidirectional: true,
        ..RnnOptions::default()
    };
    let gru = GRU::new(3, 5, options).unwrap();
    let x = Tensor::ones((4, 2, 3), DType::F32).unwrap();
    let steps = summarize(&gru, || gru.forward(&x, None)).unwrap();
    assert_eq!(steps.multiply_adds(), 8 * 2 * 15 * (3 + 5));
}

#[test]
fn parts_are_found_and_frozen_by_name() {
    let model = Model::new();
    assert_eq!(model.get_submodule("stem.1").unwrap().name(), "Tanh");
    assert_eq!(model.get_submodule("").unwrap().name(), "Model");
    assert!(model.get_submodule("stem.9").is_err() && model.get_parameter("stem").is_err());
    assert_eq!(model.freeze(&["stem", "block.bias"]).unwrap(), 3);
    assert!(!model.block.bias.as_ref().unwrap().is_tracked() && model.block.weight.is_tracked());
    let error = model.freeze(&["block", "sten"]).unwrap_err().to_string();
    assert!(error.contains("no parameters called sten"), "{error}");
    assert!(model.block.weight.is_tracked());
    assert_eq!(model.unfreeze(&[""]).unwrap(), 8);
    let mut order = Vec::new();
    model
        .apply(&mut |module| {
            order.push(module.name().to_string());
            Ok(())
        })
        .unwrap();
    assert_eq!(order[..4], ["Linear", "Tanh", "Tanh", "Sequential"]);
    assert_eq!(order.last().unwrap(), "Model");
}
