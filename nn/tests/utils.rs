//! Parametrizations, pruning and fusion, compared with PyTorch's values (`golden/make_utils.py` made them).

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use flambeau_autograd::Backward;
use flambeau_nn::utils::fusion::{fuse_conv_bn_eval, fuse_linear_bn_eval};
use flambeau_nn::utils::parametrizations::{
    OrthogonalMap, OrthogonalOptions, SpectralNormOptions, orthogonal, spectral_norm, weight_norm,
};
use flambeau_nn::utils::parametrize::{Parametrization, Parametrized};
use flambeau_nn::utils::prune::{self, Amount, Method};
use flambeau_nn::utils::{clip_grads_with_norm_, get_total_norm};
use flambeau_nn::*;
use flambeau_tensor::ops::conv::Padding;
use flambeau_tensor::{DType, no_grad, random};

struct Golden(BTreeMap<String, Tensor>);

impl Golden {
    fn new() -> Golden {
        let bytes = include_bytes!("golden/utils.safetensors");
        Golden(flambeau_tensor::io::safetensors::from_bytes(bytes).unwrap())
    }

    fn get(&self, name: &str) -> &Tensor {
        &self.0[name]
    }

    /// The tensors whose names begin with `name/`.
    fn state(&self, name: &str) -> StateDict {
        let begin = format!("{name}/");
        let own = self.0.iter().filter_map(|(key, value)| {
            let key = key.strip_prefix(&begin)?;
            Some((key.to_string(), value.clone()))
        });
        own.collect()
    }
}

#[track_caller]
fn assert_close(what: &str, got: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(got.shape(), expected.shape(), "{what}");
    let (got, expected) = (got.to_vec_f64().unwrap(), expected.to_vec_f64().unwrap());
    for (got, expected) in got.iter().zip(&expected) {
        assert!(
            (got - expected).abs() <= tolerance * (1.0 + expected.abs()),
            "{what}: {got}, expected {expected}"
        );
    }
}

#[track_caller]
fn assert_state(what: &str, module: &dyn Module, expected: &StateDict, tolerance: f64) {
    let state = module.state_dict();
    assert_eq!(
        state.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>(),
        "{what}"
    );
    for (key, expected) in expected {
        assert_close(&format!("{what}: {key}"), &state[key], expected, tolerance);
    }
}

/// A layer with PyTorch's state gives PyTorch's results, gradients and state.
fn check<M: Forward>(
    golden: &Golden,
    name: &str,
    layer: M,
    register: impl FnOnce(&mut Parametrized<M>) -> Result<()>,
) {
    let mut layer = Parametrized::new(layer);
    register(&mut layer).unwrap();
    layer.to_dtype(DType::F64).unwrap();
    layer
        .load_state_dict(&golden.state(&format!("{name}/before")), true)
        .unwrap();
    let x = golden.get(&format!("{name}/x"));
    let y = layer.forward(x).unwrap();
    assert_close(name, &y, golden.get(&format!("{name}/y")), 1e-9);
    y.square().unwrap().sum().unwrap().backward().unwrap();
    let grads = golden.state(&format!("{name}/grad"));
    assert_eq!(layer.named_parameters().len(), grads.len(), "{name}");
    for (key, parameter) in layer.named_parameters() {
        assert_close(
            &format!("{name}: gradient of {key}"),
            &parameter.grad().unwrap(),
            &grads[&key],
            1e-8,
        );
    }
    assert_state(name, &layer, &golden.state(&format!("{name}/after")), 1e-9);
    layer.eval();
    let expected = golden.get(&format!("{name}/eval"));
    assert_close(name, &layer.forward(x).unwrap(), expected, 1e-9);
    // The values stay when the parametrization goes.
    let plain = layer.into_inner().unwrap();
    plain.eval();
    assert_close(name, &plain.forward(x).unwrap(), expected, 1e-9);
}

fn linear(inputs: usize, outputs: usize) -> Linear {
    Linear::new(inputs, outputs, LinearOptions::default()).unwrap()
}

fn conv1d(groups: usize, bias: bool) -> Conv1d {
    let options = ConvOptions {
        groups,
        bias,
        padding: Padding::Valid,
        ..ConvOptions::default()
    };
    Conv1d::new(4, 6, [3], options).unwrap()
}

#[test]
fn weight_and_spectral_norm_compute_what_pytorch_computes() {
    let golden = Golden::new();
    for (name, dim) in [("0", Some(0)), ("1", Some(1)), ("None", None)] {
        let name = format!("weight_norm.linear.{name}");
        check(&golden, &name, linear(4, 3), |layer| {
            weight_norm(layer, "weight", dim)
        });
    }
    check(&golden, "weight_norm.conv1d.2", conv1d(2, true), |layer| {
        weight_norm(layer, "weight", Some(2))
    });
    check(&golden, "spectral_norm.linear", linear(4, 3), |layer| {
        spectral_norm(layer, "weight", SpectralNormOptions::default())
    });
    let transposed = ConvTranspose2d::new(4, 3, [2, 2], ConvTransposeOptions::default()).unwrap();
    check(&golden, "spectral_norm.conv_transpose2d", transposed, |layer| {
        let options = SpectralNormOptions {
            n_power_iterations: 2,
            ..SpectralNormOptions::default()
        };
        spectral_norm(layer, "weight", options)
    });
}

#[test]
fn orthogonal_computes_what_pytorch_computes() {
    let golden = Golden::new();
    let maps = [
        ("matrix_exp", OrthogonalMap::MatrixExp),
        ("cayley", OrthogonalMap::Cayley),
        ("householder", OrthogonalMap::Householder),
    ];
    for (name, map) in maps {
        for [rows, columns] in [[3, 3], [5, 3], [3, 5]] {
            let name = format!("orthogonal.{name}.{rows}x{columns}");
            check(&golden, &name, linear(columns, rows), |layer| {
                let options = OrthogonalOptions {
                    orthogonal_map: Some(map),
                    ..OrthogonalOptions::default()
                };
                orthogonal(layer, "weight", options)
            });
        }
    }
    check(&golden, "orthogonal.householder.plain", linear(3, 5), |layer| {
        orthogonal(layer, "weight", plain_householder())
    });
}

fn plain_householder() -> OrthogonalOptions {
    OrthogonalOptions {
        orthogonal_map: Some(OrthogonalMap::Householder),
        use_trivialization: false,
    }
}

#[test]
fn parametrizations_begin_at_the_value_that_was_there() {
    let golden = Golden::new();
    let begin = |weight: &str, name: &str, register: &dyn Fn(&mut Parametrized<Linear>) -> Result<()>| {
        let weight = golden.get(weight);
        let mut layer = linear(weight.shape()[1], weight.shape()[0]);
        layer.to_dtype(DType::F64).unwrap();
        no_grad(|| layer.weight.copy_(weight).map(|_| ())).unwrap();
        let bias = golden.get(&format!("{name}/bias"));
        no_grad(|| layer.bias.as_ref().unwrap().copy_(bias).map(|_| ())).unwrap();
        let mut layer = Parametrized::new(layer);
        register(&mut layer).unwrap();
        assert_state(name, &layer, &golden.state(name), 1e-12);
        layer.value("weight").unwrap()
    };
    let value = begin("begin/weight", "begin/weight_norm", &|layer| {
        weight_norm(layer, "weight", Some(0))
    });
    assert_close("weight_norm", &value, golden.get("begin/weight"), 1e-12);
    begin("begin/weight", "begin/householder", &|layer| {
        orthogonal(layer, "weight", plain_householder())
    });
    let value = begin("begin/square", "begin/matrix_exp", &|layer| {
        orthogonal(layer, "weight", OrthogonalOptions::default())
    });
    assert_close("orthogonal", &value, golden.get("begin/square"), 1e-12);
}

#[test]
fn the_original_goes_on_being_learnt_and_learning_changes_the_value() {
    let mut layer = Parametrized::new(linear(3, 3));
    let before = layer.get_parameter("weight").unwrap().clone();
    orthogonal(&mut layer, "weight", OrthogonalOptions::default()).unwrap();
    let original = layer
        .get_parameter("parametrizations.weight.original")
        .unwrap()
        .clone();
    assert!(before.same(&original));
    let x = Tensor::new([[1.0f32, 2.0, 3.0]]).unwrap();
    for _ in 0..3 {
        let loss = layer.forward(&x).unwrap().select(1, 0).unwrap().sum().unwrap();
        layer.zero_grad();
        loss.backward().unwrap();
        let step = original.grad().unwrap().mul(0.1).unwrap();
        no_grad(|| original.sub_(&step).map(|_| ())).unwrap();
        let q = layer.value("weight").unwrap();
        let product = q.matmul(&q.t().unwrap()).unwrap();
        assert_close("QQᵀ", &product, &Tensor::eye(3, 3, DType::F32).unwrap(), 1e-5);
    }
    // An assigned value is what comes out, as it is orthogonal.
    let turned = Tensor::new([[0.0f32, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]).unwrap();
    layer.assign("weight", &turned).unwrap();
    assert_close("assigned", &layer.value("weight").unwrap(), &turned, 1e-6);
    layer.remove("weight", true).unwrap();
    assert!(layer.get_parameter("weight").unwrap().same(&before) && before.is_tracked());
    assert_eq!(layer.repr(), "Linear(in_features=3, out_features=3, bias=True)");
}

/// `x + 1`, which may follow another function.
#[derive(Module)]
struct PlusOne;

impl Parametrization for PlusOne {
    fn forward(&self, originals: &[Tensor]) -> Result<Tensor> {
        originals[0].add(1)
    }

    fn right_inverse(&mut self, value: &Tensor) -> Result<Vec<Tensor>> {
        Ok(vec![value.sub(1)?])
    }
}

/// Gives a tensor of another shape.
#[derive(Module)]
struct Sum;

impl Parametrization for Sum {
    fn forward(&self, originals: &[Tensor]) -> Result<Tensor> {
        originals[0].sum()
    }
}

#[test]
fn functions_follow_each_other_deep_in_a_model() {
    let block = Sequential::new().push(linear(2, 2)).push(ReLU);
    let mut model = Parametrized::new(Sequential::new().push(block).push(linear(2, 1)));
    let before = model.get_parameter("0.0.weight").unwrap().detach();
    weight_norm(&mut model, "0.0.weight", Some(0)).unwrap();
    model.register("0.0.weight", Box::new(PlusOne)).unwrap();
    assert_close("value", &model.value("0.0.weight").unwrap(), &before, 1e-6);
    let keys: Vec<String> = model.state_dict().into_keys().collect();
    let expected = [
        "0.0.bias",
        "0.0.parametrizations.weight.original0",
        "0.0.parametrizations.weight.original1",
        "1.bias",
        "1.weight",
    ];
    assert_eq!(keys, expected);
    let x = Tensor::ones((3, 2), DType::F32).unwrap();
    model.forward(&x).unwrap().sum().unwrap().backward().unwrap();
    assert!(
        model
            .parameters()
            .iter()
            .all(|parameter| parameter.grad().is_some())
    );
    // A second pass has a record of its own, and none without gradients.
    model.forward(&x).unwrap().sum().unwrap().backward().unwrap();
    assert!(!no_grad(|| model.forward(&x)).unwrap().is_tracked());

    let error = model.register("1.weight", Box::new(Sum)).unwrap_err().to_string();
    assert!(
        error.contains("expected [1, 2] of float32 for 1.weight, got []"),
        "{error}"
    );
    let error = model
        .register("1.scale", Box::new(PlusOne))
        .unwrap_err()
        .to_string();
    assert!(error.contains("no parameter 1.scale"), "{error}");
    let error = model.remove("0.0.weight", false).unwrap_err().to_string();
    assert!(error.contains("made of 2 tensors"), "{error}");
}

#[test]
fn parametrized_modules_print_as_in_pytorch() {
    let mut model = Parametrized::new(Sequential::new().push(linear(4, 3)).push(ReLU));
    weight_norm(&mut model, "0.weight", Some(0)).unwrap();
    assert_eq!(model.repr() + "\n", include_str!("golden/parametrized.txt"));
}

fn prunable(golden: &Golden) -> Parametrized<Sequential> {
    let options = ConvOptions::default();
    let model = Sequential::new()
        .push(linear(5, 4))
        .push(Conv1d::new(3, 4, [2], options).unwrap());
    model
        .load_state_dict(&golden.state("prune/weights"), true)
        .unwrap();
    Parametrized::new(model)
}

#[test]
fn pruning_keeps_what_pytorch_keeps() {
    let golden = Golden::new();
    type Prune = fn(&mut Parametrized<Sequential>, Amount) -> Result<()>;
    let steps: [(&str, Prune); 7] = [
        ("l1", |m, amount| {
            prune::l1_unstructured(m, "0.weight", amount, None)
        }),
        ("random", |m, amount| {
            prune::random_unstructured(m, "0.weight", amount)
        }),
        ("ln1", |m, amount| {
            prune::ln_structured(m, "1.weight", amount, 2.0, 1, None)
        }),
        ("ln0", |m, amount| {
            prune::ln_structured(m, "1.weight", amount, f64::INFINITY, -3, None)
        }),
        ("random_structured", |m, amount| {
            prune::random_structured(m, "1.weight", amount, 0)
        }),
        ("global", |m, amount| {
            prune::global_unstructured(m, &["0.weight", "1.weight"], Method::L1, amount)
        }),
        ("global_random", |m, amount| {
            prune::global_unstructured(m, &["0.weight", "1.weight"], Method::Random, amount)
        }),
    ];
    for (name, step) in steps {
        let mut model = prunable(&golden);
        assert!(!prune::is_pruned(&model));
        random::fork(3, || {
            step(&mut model, Amount::Fraction(0.3)).unwrap();
            assert_state(name, &model, &golden.state(&format!("prune/{name}/0")), 0.0);
            step(&mut model, Amount::Count(1)).unwrap();
            assert_state(name, &model, &golden.state(&format!("prune/{name}/1")), 0.0);
        });
        assert!(prune::is_pruned(&model));
    }
    let mut model = prunable(&golden);
    let learnt = model.get_parameter("0.weight").unwrap().clone();
    prune::l1_unstructured(&mut model, "0.weight", Amount::Count(6), None).unwrap();
    prune::ln_structured(&mut model, "0.weight", Amount::Fraction(0.5), 1.0, 0, None).unwrap();
    let y = model
        .run(|model| model.get(0).unwrap().forward(golden.get("prune/mixed/x")))
        .unwrap();
    assert_close("pruned", &y, golden.get("prune/mixed/y"), 1e-6);
    y.square().unwrap().sum().unwrap().backward().unwrap();
    assert_close(
        "gradient",
        &learnt.grad().unwrap(),
        golden.get("prune/mixed/grad"),
        1e-5,
    );
    assert_state("mixed", &model, &golden.state("prune/mixed/0"), 0.0);
    prune::remove(&mut model, "0.weight").unwrap();
    assert_state("removed", &model, &golden.state("prune/removed"), 0.0);
    assert!(model.get_parameter("0.weight").unwrap().same(&learnt) && !prune::is_pruned(&model));

    // A mask of one's own, and importance that is not the size.
    let mask = Tensor::new([[1i64, 0, 1, 1, 0]]).unwrap().expand([4, 5]).unwrap();
    prune::custom_from_mask(&mut model, "0.weight", &mask).unwrap();
    let importance = Tensor::arange(0, 20, 1, Some(DType::I64))
        .unwrap()
        .reshape((4, 5))
        .unwrap();
    prune::l1_unstructured(&mut model, "0.weight", Amount::Count(3), Some(&importance)).unwrap();
    let kept = model.state_dict()["0.weight_mask"].to_vec::<f32>().unwrap();
    assert_eq!(kept[..10], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0]);

    let error = prune::l1_unstructured(&mut model, "0.weight", Amount::Fraction(1.5), None).unwrap_err();
    assert!(
        error.to_string().contains("fraction from 0 to 1, got 1.5"),
        "{error}"
    );
    let error = prune::random_structured(&mut model, "0.bias", Amount::Count(1), 0).unwrap_err();
    assert!(
        error.to_string().contains("two or more dimensions, got [4]"),
        "{error}"
    );
    let error = prune::custom_from_mask(&mut model, "1.weight", &mask).unwrap_err();
    assert!(
        error.to_string().contains("expected the shape [4, 3, 2]"),
        "{error}"
    );
    assert!(
        prune::remove(&mut model, "1.weight").is_err() && weight_norm(&mut model, "0.weight", None).is_err()
    );
}

#[test]
fn fused_layers_have_pytorchs_parameters() {
    let golden = Golden::new();
    let norm1 = |name: &str| {
        let options = BatchNormOptions {
            eps: 1e-3,
            ..BatchNormOptions::default()
        };
        let mut norm = BatchNorm1d::new(6, options).unwrap();
        norm.to_dtype(DType::F64).unwrap();
        norm.load_state_dict(&golden.state(&format!("fusion/{name}/norm")), true)
            .unwrap();
        norm
    };
    fn loaded<M: Module>(golden: &Golden, name: &str, mut layer: M) -> M {
        layer.to_dtype(DType::F64).unwrap();
        layer
            .load_state_dict(&golden.state(&format!("fusion/{name}/layer")), true)
            .unwrap();
        layer
    }
    let fused = |name: &str, layer: &dyn Module| {
        assert_state(name, layer, &golden.state(&format!("fusion/{name}/fused")), 1e-12);
    };
    let conv = loaded(&golden, "conv1d", conv1d(2, false));
    let norm = norm1("conv1d");
    let error = fuse_conv_bn_eval(&conv, &norm).unwrap_err().to_string();
    assert!(error.contains("evaluation mode"), "{error}");
    norm.eval();
    let one = fuse_conv_bn_eval(&conv, &norm).unwrap();
    fused("conv1d", &one);
    assert!(one.repr().contains("groups=2") && !one.repr().contains("bias=False"));
    let layer = loaded(&golden, "linear", linear(4, 6));
    let norm = norm1("linear");
    norm.eval();
    fused("linear", &fuse_linear_bn_eval(&layer, &norm).unwrap());

    let norm2 = |name: &str| {
        let options = BatchNormOptions {
            eps: 1e-3,
            ..BatchNormOptions::default()
        };
        let mut norm = BatchNorm2d::new(6, options).unwrap();
        norm.to_dtype(DType::F64).unwrap();
        norm.load_state_dict(&golden.state(&format!("fusion/{name}/norm")), true)
            .unwrap();
        norm.eval();
        norm
    };
    let conv = loaded(
        &golden,
        "conv2d",
        Conv2d::new(4, 6, [3, 3], ConvOptions::default()).unwrap(),
    );
    fused("conv2d", &fuse_conv_bn_eval(&conv, &norm2("conv2d")).unwrap());
    let transposed = ConvTranspose2d::new(4, 6, [3, 3], ConvTransposeOptions::default()).unwrap();
    let transposed = loaded(&golden, "conv_transpose2d", transposed);
    let norm = norm2("conv_transpose2d");
    fused(
        "conv_transpose2d",
        &fuse_conv_bn_eval(&transposed, &norm).unwrap(),
    );

    // Groups of a transposed convolution, which PyTorch does not fuse: the outputs are those of both layers.
    let options = ConvTransposeOptions {
        groups: 2,
        ..ConvTransposeOptions::default()
    };
    let mut grouped = ConvTranspose2d::new(4, 6, [3, 3], options).unwrap();
    grouped.to_dtype(DType::F64).unwrap();
    let x = Tensor::randn((2, 4, 3, 3), DType::F64).unwrap();
    let both = norm.forward(&grouped.forward(&x).unwrap()).unwrap();
    let one = fuse_conv_bn_eval(&grouped, &norm).unwrap();
    assert_close("groups", &one.forward(&x).unwrap(), &both, 1e-10);
    let narrow = Conv2d::new(4, 5, [3, 3], ConvOptions::default()).unwrap();
    let error = fuse_conv_bn_eval(&narrow, &norm).unwrap_err().to_string();
    assert!(
        error.contains("a norm of 6 channels after a layer of 5"),
        "{error}"
    );
}

#[test]
fn norms_of_all_gradients_together() {
    let golden = Golden::new();
    let tensors = [golden.get("norm/0").clone(), golden.get("norm/1").clone()];
    for (name, p) in [("1.0", 1.0), ("2.0", 2.0), ("inf", f64::INFINITY)] {
        let total = get_total_norm(&tensors, p, true).unwrap();
        assert_close(name, &total, golden.get(&format!("norm/total/{name}")), 1e-12);
    }
    let parameter = Tensor::zeros(2, DType::F32).unwrap().requires_grad(true).unwrap();
    parameter
        .set_grad(Some(Tensor::new([3.0f32, 4.0]).unwrap()))
        .unwrap();
    clip_grads_with_norm_(
        std::slice::from_ref(&parameter),
        1.0,
        &Tensor::new(10.0f32).unwrap(),
    )
    .unwrap();
    assert_close(
        "clipped",
        &parameter.grad().unwrap(),
        &Tensor::new([0.3f32, 0.4]).unwrap(),
        1e-6,
    );
}

#[test]
fn computed_parameters_do_not_hide_a_model_from_hooks_and_summaries() {
    let x = Tensor::ones((3, 4), DType::F32).unwrap();
    let calls = |model: &dyn Module, forward: &dyn Fn() -> Result<Tensor>| {
        let summary = summarize(model, forward).unwrap();
        (
            summary.rows[0].calls,
            summary.rows[0].class.clone(),
            summary.parameters(),
        )
    };
    let mut layer = Parametrized::new(linear(4, 2));
    weight_norm(&mut layer, "weight", Some(0)).unwrap();
    let expected = (1, "ParametrizedLinear".to_string(), 8 + 2 + 2);
    assert_eq!(calls(&layer, &|| layer.forward(&x)), expected);
    let mut model = Parametrized::new(Sequential::new().push(linear(4, 3)).push(linear(3, 2)));
    prune::l1_unstructured(&mut model, "0.weight", Amount::Fraction(0.5), None).unwrap();
    let expected = (1, "Sequential".to_string(), 15 + 8);
    assert_eq!(calls(&model, &|| model.forward(&x)), expected);
    // The whole and what has plain parameters can be hooked.
    let hooks = Hooks::new()
        .forward("1", |_, _, outputs| Ok(Some(vec![outputs[0].mul(2)?])))
        .forward("", |_, _, outputs| Ok(Some(vec![outputs[0].add(1)?])));
    let plain = model.forward(&x).unwrap();
    let hooked = hooks.run(&model, || model.forward(&x)).unwrap();
    assert_close("hooked", &hooked, &plain.mul(2).unwrap().add(1).unwrap(), 1e-6);
}
