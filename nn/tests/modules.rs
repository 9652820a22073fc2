//! Modules: names, state dicts, training mode, conversion.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use flambeau_autograd::{Backward, no_grad};
use flambeau_nn::{
    Buffer, Forward, Linear, LinearOptions, Mode, Module, Parameter, ReLU, Sequential, StateDict,
};
use flambeau_tensor::{DType, Result, Tensor};

#[derive(Module)]
struct Block {
    inner: Linear,
    scale: Parameter,
    mean: Buffer,
    scratch: Buffer,
    mode: Mode,
}

#[derive(Module)]
struct Model<H> {
    blocks: Vec<Block>,
    #[module(rename = "classifier")]
    head: H,
    absent: Option<Linear>,
    by_name: BTreeMap<String, Linear>,
    tied: Parameter,
    width: usize,
    #[module(skip)]
    note: std::time::Duration,
}

fn linear(inputs: usize, outputs: usize) -> Linear {
    Linear::new(inputs, outputs, LinearOptions::default()).unwrap()
}

fn model() -> Model<Sequential> {
    let block = || Block {
        inner: linear(3, 3),
        scale: Parameter::new(Tensor::ones(3, DType::F32).unwrap()).unwrap(),
        mean: Buffer::new(Tensor::zeros(3, DType::F32).unwrap()),
        scratch: Buffer::transient(Tensor::zeros(3, DType::F32).unwrap()),
        mode: Mode::default(),
    };
    let blocks = vec![block(), block()];
    Model {
        tied: blocks[0].scale.clone(),
        blocks,
        head: Sequential::new().push(ReLU).push(linear(3, 2)),
        absent: None,
        by_name: BTreeMap::from([("side".to_string(), linear(3, 1))]),
        width: 3,
        note: std::time::Duration::ZERO,
    }
}

#[test]
fn names_are_those_of_pytorch() {
    let model = model();
    let names: Vec<String> = model
        .named_parameters()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    // The model's own parameters stand first, and a tied one counts once.
    let expected = [
        "tied",
        "blocks.0.inner.weight",
        "blocks.0.inner.bias",
        "blocks.1.scale",
        "blocks.1.inner.weight",
        "blocks.1.inner.bias",
        "classifier.1.weight",
        "classifier.1.bias",
        "by_name.side.weight",
        "by_name.side.bias",
    ];
    assert_eq!(names, expected);
    let keys: Vec<String> = model.state_dict().into_keys().collect();
    for key in ["tied", "blocks.0.scale", "blocks.0.mean", "blocks.1.mean"] {
        assert!(keys.iter().any(|k| k == key), "{key} is not in {keys:?}");
    }
    assert!(
        !keys
            .iter()
            .any(|key| key.contains("scratch") || key.contains("absent"))
    );
    let modules: Vec<String> = model.named_modules().into_iter().map(|(name, _)| name).collect();
    assert_eq!(modules[..3], ["", "blocks.0", "blocks.0.inner"]);
    let parameters = 3 + 12 + 3 + 12 + 8 + 4;
    assert_eq!(model.num_parameters(false), parameters);
    model.by_name["side"].requires_grad_(false).unwrap();
    assert_eq!(model.num_parameters(true), parameters - 4);
    assert_eq!((model.width, model.note.as_secs()), (3, 0));
}

#[test]
fn a_state_dict_goes_through_a_file_and_back() {
    let (a, b) = (model(), model());
    let bytes = flambeau_tensor::io::safetensors::to_bytes(a.state_dict().iter(), &BTreeMap::new()).unwrap();
    let read: StateDict = flambeau_tensor::io::safetensors::from_bytes(&bytes).unwrap();
    assert_eq!(b.load_state_dict(&read, true).unwrap(), Default::default());
    for ((name, x), (_, y)) in a.named_parameters().iter().zip(b.named_parameters()) {
        assert_eq!(x.to_vec::<f32>().unwrap(), y.to_vec::<f32>().unwrap(), "{name}");
    }
}

#[test]
fn a_state_dict_is_a_snapshot() {
    let layer = linear(2, 2);
    let before = layer.state_dict();
    flambeau_nn::init::zeros_(&layer.weight).unwrap();
    assert!(
        before["weight"]
            .to_vec::<f32>()
            .unwrap()
            .iter()
            .any(|&x| x != 0.0)
    );
    layer.load_state_dict(&before, true).unwrap();
    assert_eq!(
        layer.weight.to_vec::<f32>().unwrap(),
        before["weight"].to_vec::<f32>().unwrap()
    );
}

#[test]
fn all_that_does_not_fit_is_named_at_once_and_nothing_is_loaded() {
    let model = model();
    let mut dict = model.state_dict();
    let zeros = Tensor::zeros(7, DType::F32).unwrap();
    dict.remove("tied");
    dict.insert("extra".into(), zeros.clone());
    dict.insert("classifier.1.bias".into(), zeros);
    dict.insert("blocks.0.mean".into(), Tensor::ones(3, DType::F32).unwrap());
    let error = model.load_state_dict(&dict, true).unwrap_err().to_string();
    assert_eq!(
        error,
        "load_state_dict: Model: missing tied; unexpected extra; shapes differ for classifier.1.bias: [7] for a \
         tensor of [2]"
    );
    assert_eq!(model.blocks[0].mean.to_vec::<f32>().unwrap(), [0.0; 3]);
    dict.remove("classifier.1.bias");
    let report = model.load_state_dict(&dict, false).unwrap();
    assert_eq!(
        (report.missing, report.unexpected),
        (
            vec!["tied".into(), "classifier.1.bias".into()],
            vec!["extra".into()]
        )
    );
    assert_eq!(model.blocks[0].mean.to_vec::<f32>().unwrap(), [1.0; 3]);
}

#[test]
fn eval_and_train_reach_everything() {
    let model = model();
    assert!(model.is_training());
    model.eval();
    assert!(model.blocks.iter().all(|block| !block.mode.is_training()) && !model.is_training());
    model.train();
    assert!(model.blocks.iter().all(|block| block.mode.is_training()));
}

#[test]
fn conversion_keeps_ties_and_flags() -> Result<()> {
    let mut model = model();
    model.by_name["side"].requires_grad_(false)?;
    model.to_dtype(DType::F64)?;
    assert!(
        model
            .named_parameters()
            .iter()
            .all(|(_, parameter)| parameter.dtype() == DType::F64)
    );
    assert!(model.tied.same(&model.blocks[0].scale) && model.tied.is_tracked());
    assert!(!model.by_name["side"].weight.is_tracked());
    let x = Tensor::ones((1, 3), DType::F64)?;
    model
        .head
        .forward(&model.blocks[0].inner.forward(&x)?)?
        .sum()?
        .backward()?;
    assert!(model.blocks[0].inner.weight.grad().is_some());
    model.zero_grad();
    assert!(model.blocks[0].inner.weight.grad().is_none());
    Ok(())
}

/// `ReLU` after a linear layer is done on its way: what comes out and the gradients are those of single calls.
#[test]
fn relu_on_a_layers_way_changes_nothing() -> Result<()> {
    let model = Sequential::new()
        .push(linear(3, 5))
        .push(ReLU)
        .push(ReLU)
        .push(Sequential::new().push(linear(5, 4)))
        .push(ReLU);
    let x = Tensor::new([[1.0f32, -2.0, 3.0], [-1.0, 0.5, 0.25]])?;
    let single = || {
        model
            .iter()
            .try_fold(x.clone(), |x, (_, module)| module.forward(&x))
    };
    let untracked = no_grad(|| model.forward(&x))?;
    assert_eq!(untracked.to_vec::<f32>()?, single()?.to_vec::<f32>()?);

    let gradients = |y: Tensor| -> Result<Vec<Vec<f32>>> {
        model.zero_grad();
        y.sum()?.backward()?;
        let grads = model.parameters().into_iter();
        grads.map(|p| p.grad().unwrap().to_vec()).collect()
    };
    assert_eq!(gradients(model.forward(&x)?)?, gradients(single()?)?);
    Ok(())
}
