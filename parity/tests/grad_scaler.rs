//! `GradScaler` does what PyTorch's does, call by call, over the programs of `golden/make_grad_scaler.py`.

#![allow(clippy::unwrap_used)]

use flambeau_autograd::Backward;
use flambeau_nn::utils::clip_grad_norm_;
use flambeau_optim::{GradScaler, GradScalerOptions, Optimizer, SGD, SGDOptions};
use flambeau_tensor::{DType, Error, Result, Tensor};
use serde_json::Value as Json;

const PROGRAMS: &str = include_str!("golden/grad_scaler.json");

/// A number, also one that JSON has not.
fn number(json: &Json) -> f64 {
    json.as_f64()
        .unwrap_or_else(|| json.as_str().unwrap().parse().unwrap())
}

fn numbers(json: &Json) -> Vec<f64> {
    json.as_array().unwrap().iter().map(number).collect()
}

fn vector(values: &[f32]) -> Tensor {
    Tensor::from_slice(values, values.len()).unwrap()
}

/// Two optimisers, over two groups and one.
struct Program {
    scaler: GradScaler,
    params: [Tensor; 3],
    optimizers: [SGD; 2],
}

impl Program {
    fn new(options: &Json) -> Program {
        let mut all = serde_json::to_value(GradScalerOptions::default()).unwrap();
        for (name, value) in options.as_object().unwrap() {
            all[name] = value.clone();
        }
        let leaf = |values: &[f32]| vector(values).requires_grad(true).unwrap();
        let params = [leaf(&[1.0, -2.0]), leaf(&[0.5]), leaf(&[3.0, 4.0, 5.0])];
        let options = |lr, momentum| SGDOptions {
            lr,
            momentum,
            ..Default::default()
        };
        let [a, b, c] = params.clone();
        let groups = [(vec![a], options(0.1, 0.9)), (vec![b], options(0.01, 0.9))];
        Program {
            scaler: GradScaler::new(serde_json::from_value(all).unwrap()).unwrap(),
            params,
            optimizers: [
                SGD::with_groups(groups).unwrap(),
                SGD::new([c], options(0.5, 0.0)).unwrap(),
            ],
        }
    }

    /// Makes a call; what it gives, if anything.
    fn call(&mut self, name: &str, args: &[Json]) -> Result<Option<Json>> {
        let index = || args[0].as_u64().unwrap() as usize;
        match name {
            "backward" => {
                let mut loss = Tensor::scalar(0f32);
                for (factor, param) in args.iter().zip(&self.params) {
                    if !factor.is_null() {
                        let half = param.square()?.sum()?.mul(number(factor))?.div(2)?;
                        loss = loss.add(&half)?;
                    }
                }
                self.scaler.scale(&loss)?.backward()?;
            }
            "grad" => {
                let values: Vec<f32> = args[1..].iter().map(|x| number(x) as f32).collect();
                self.params[index()].set_grad(Some(vector(&values)))?;
            }
            "zero_grad" => self.optimizers.iter().for_each(|optimizer| optimizer.zero_grad()),
            "unscale_" => self.scaler.unscale_(&self.optimizers[index()])?,
            "clip" => {
                let groups = self.optimizers[index()].param_groups();
                let params: Vec<Tensor> = groups.iter().flat_map(|group| group.params()).cloned().collect();
                let norm = clip_grad_norm_(&params, number(&args[1]), 2.0, false)?;
                return Ok(Some(norm.item_f64()?.into()));
            }
            "step" => {
                self.scaler.step(&mut self.optimizers[index()])?;
            }
            "update" => self.scaler.update(args.first().map(number))?,
            "state_dict" => return self.scaler.state_dict().map(Some),
            "load_state_dict" => self.scaler.load_state_dict(&args[0])?,
            "scaled" => {
                let dtype = DType::from_name(args[1].as_str().unwrap()).unwrap();
                let loss = Tensor::scalar(number(&args[0])).to_dtype(dtype)?;
                return Ok(Some(self.scaler.scale(&loss)?.item_f64()?.into()));
            }
            other => panic!("no call {other}"),
        }
        Ok(None)
    }
}

/// Whether a result, a number or a state, is the expected one.
fn same(got: &Json, expected: &Json) -> bool {
    match (got.as_object(), expected.as_object()) {
        (Some(got), Some(expected)) => {
            got.len() == expected.len() && expected.iter().all(|(name, value)| close(&got[name], value))
        }
        _ => close(got, expected),
    }
}

/// Within a few roundings of `float32`.
fn close(got: &Json, expected: &Json) -> bool {
    // JSON has no infinity; what has become null was one.
    let got = got.as_f64().unwrap_or(f64::INFINITY);
    near(got, number(expected))
}

fn near(got: f64, expected: f64) -> bool {
    got == expected || (got.is_nan() && expected.is_nan()) || (got - expected).abs() <= 1e-6 * expected.abs()
}

fn vectors_agree(what: &str, got: Option<&Tensor>, expected: &Json) {
    match got {
        None => assert!(expected.is_null(), "{what}: none, expected {expected}"),
        Some(got) => {
            assert!(!expected.is_null(), "{what}: {got:?}, expected none");
            let (got, expected) = (got.to_vec_f64().unwrap(), numbers(expected));
            let agree = got.len() == expected.len() && got.iter().zip(&expected).all(|(&g, &e)| near(g, e));
            assert!(agree, "{what}: {got:?}, expected {expected:?}");
        }
    }
}

#[test]
fn every_call_does_what_pytorch_s_does() {
    let golden: Json = serde_json::from_str(PROGRAMS).unwrap();
    let mut calls = 0;
    for (name, recorded) in golden["programs"].as_object().unwrap() {
        let mut program = Program::new(&recorded["options"]);
        for (i, expected) in recorded["calls"].as_array().unwrap().iter().enumerate() {
            let call = expected["call"].as_str().unwrap();
            let place = format!("{name}, call {i}, {call}");
            let result = program.call(call, expected["args"].as_array().unwrap());
            match (result, expected["error"].as_str()) {
                (Ok(got), None) => match (got, expected.get("result")) {
                    (Some(got), Some(expected)) => {
                        assert!(same(&got, expected), "{place}: {got}, expected {expected}")
                    }
                    (got, expected) => assert_eq!(got.as_ref(), expected, "{place}"),
                },
                (Err(Error::Value(got)), Some(expected)) => assert_eq!(got, expected, "{place}"),
                (got, expected) => panic!("{place}: {got:?}, expected the error {expected:?}"),
            }
            let (scaler, params) = (&program.scaler, &program.params);
            assert_eq!(scaler.get_scale(), number(&expected["scale"]), "{place}");
            if scaler.is_enabled() {
                let state = scaler.state_dict().unwrap();
                assert_eq!(state["_growth_tracker"], expected["growth_tracker"], "{place}");
            }
            for (j, param) in params.iter().enumerate() {
                vectors_agree(
                    &format!("{place}: parameter {j}"),
                    Some(&param.detach()),
                    &expected["params"][j],
                );
                vectors_agree(
                    &format!("{place}: gradient {j}"),
                    param.grad().as_ref(),
                    &expected["grads"][j],
                );
            }
            calls += 1;
        }
    }
    assert!(calls > 100);
}

#[test]
fn half_width_losses_and_gradients_and_wrong_factors() {
    let param = vector(&[1.0]).half().unwrap().requires_grad(true).unwrap();
    let optimizer = SGD::new([param.clone()], SGDOptions::default()).unwrap();
    let mut scaler = GradScaler::new(GradScalerOptions::default()).unwrap();
    // A 0-d loss becomes one of float32, others keep their type.
    let loss = param.sum().unwrap();
    assert_eq!(scaler.scale(&loss).unwrap().dtype(), DType::F32);
    assert_eq!(scaler.scale(&param).unwrap().dtype(), DType::F16);
    assert!(scaler.scale(&Tensor::scalar(1i64)).is_err());
    loss.backward().unwrap();
    let error = scaler.unscale_(&optimizer).unwrap_err().to_string();
    assert_eq!(error, "Attempting to unscale FP16 gradients.");
    let wrong = GradScalerOptions {
        growth_factor: 1.0,
        ..Default::default()
    };
    assert!(GradScaler::new(wrong.clone()).is_err());
    let enabled = false;
    assert!(GradScaler::new(GradScalerOptions { enabled, ..wrong }).is_ok());
}
