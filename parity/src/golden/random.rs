//! The group `random`: PyTorch's CPU streams of random numbers, drawn by functions, by layers for their parameters and by
//! initialisers. Each case begins with `manual_seed`.

use std::collections::BTreeMap;
use std::path::Path;

use flambeau_nn::init::{self, FanMode, Nonlinearity};
use flambeau_tensor::random::{self, Generator, Sample};
use flambeau_tensor::{DType, Error, Result, Tensor, bail};
use safetensors::SafeTensors;
use serde_json::Value as Json;

use super::case::Outcome;
use super::compare::differs;
use super::file::{self, CaseFile};
use super::report::GroupReport;
use crate::args::{Arg, Args};
use crate::modules;

/// Relative tolerance of floating point draws; integers are compared exactly.
const RTOL: f64 = 1e-6;

/// Runs a file of the group.
pub(super) fn run(path: &Path, stem: &str, report: &mut GroupReport) -> Result<()> {
    let file = CaseFile::open(path)?;
    let tensors = file.tensors()?;
    for (i, case) in file.cases.iter().enumerate() {
        let name = case["layer"].as_str().unwrap_or_default();
        if case["kind"] == "layer" && !modules::knows(name) {
            let name = format!("layer.{name}");
            if !report.unknown.contains(&name) {
                report.unknown.push(name);
            }
            continue;
        }
        for name in names(case) {
            report.known_names.insert(name);
        }
        let outcome = match check(case, &tensors) {
            Ok(None) => Outcome::Passed,
            Ok(Some(why)) => Outcome::Failed(why),
            Err(error) => Outcome::Failed(error.to_string()),
        };
        report.count(stem, i as i64, outcome);
    }
    report.known = report.known_names.len();
    Ok(())
}

/// The functions and layers that a case is about.
fn names(case: &Json) -> Vec<String> {
    let one = case["layer"].as_str().or(case["op"].as_str());
    let calls = case["calls"].as_array().into_iter().flatten();
    let all = calls.filter_map(|call| call[0].as_str()).chain(one);
    all.map(str::to_string).collect()
}

/// What differs, if anything.
fn check(case: &Json, tensors: &SafeTensors<'_>) -> Result<Option<String>> {
    let outs: Vec<&str> = case["outs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    let drawn = match case["kind"].as_str() {
        Some("layer") => layer(case, &outs)?,
        Some("init") => vec![initialised(case)?],
        _ => drawn(case)?,
    };
    if drawn.len() != outs.len() {
        return Ok(Some(format!("{} results, expected {}", drawn.len(), outs.len())));
    }
    // What is drawn for `orthogonal_` is decomposed: the reference's QR in `float32` is off by up to 2.4e-7 of the whole
    // matrix (entries up to 1), and its small elements by up to 8e-5 of themselves, against QR of the same draws in
    // `float64`.
    let atol = if case["op"] == "orthogonal_" { 1e-6 } else { 0.0 };
    for (got, name) in drawn.iter().zip(outs) {
        let expected = file::tensor(tensors, name)?;
        if let Some(why) = differs(
            &format!("{} {name}", names(case).join(", ")),
            got,
            &expected,
            RTOL,
            atol,
        ) {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

/// The results of a case's calls in a row, on one generator.
fn drawn(case: &Json) -> Result<Vec<Tensor>> {
    let mut generator = Generator::new(seed(case));
    let mut draw = |op: &Json, kwargs: &Json| draw(op.as_str().unwrap_or_default(), kwargs, &mut generator);
    match case["calls"].as_array() {
        None => Ok(vec![draw(&case["op"], &case["kwargs"])?]),
        Some(calls) => calls.iter().map(|call| draw(&call[0], &call[1])).collect(),
    }
}

fn seed(case: &Json) -> u64 {
    case["seed"].as_u64().unwrap_or(0)
}

/// The entries of a new layer's state dict that a case names.
fn layer(case: &Json, outs: &[&str]) -> Result<Vec<Tensor>> {
    let args = case["args"].as_array().into_iter().flatten();
    let argument = |json: &Json| match json {
        Json::Bool(b) => Arg::Bool(*b),
        Json::Number(n) => n
            .as_i64()
            .map_or(Arg::Float(n.as_f64().unwrap_or(f64::NAN)), Arg::Int),
        Json::String(s) => Arg::Str(s.clone()),
        _ => Arg::None,
    };
    random::manual_seed(seed(case));
    let class = case["layer"].as_str().unwrap_or_default();
    let layer = modules::build(Args::new(class, args.map(argument).collect(), BTreeMap::new()))?;
    let mut state = layer.module().state_dict();
    let entry = |name: &&str| {
        let key = name.split_once(".out.").map_or(*name, |(_, key)| key);
        state
            .remove(key)
            .ok_or_else(|| Error::Key(format!("{class}: {key} is not in the state dict")))
    };
    outs.iter().map(entry).collect()
}

/// A tensor filled by a function of `torch.nn.init`.
fn initialised(case: &Json) -> Result<Tensor> {
    let kwargs = &case["kwargs"];
    let number = |name: &str, default: f64| kwargs[name].as_f64().unwrap_or(default);
    let mode = match kwargs["mode"].as_str() {
        Some("fan_out") => FanMode::FanOut,
        _ => FanMode::FanIn,
    };
    let nonlinearity = match kwargs["nonlinearity"].as_str() {
        None | Some("leaky_relu") => Nonlinearity::LeakyRelu(number("a", 0.0)),
        Some("relu") => Nonlinearity::Relu,
        Some("tanh") => Nonlinearity::Tanh,
        Some("selu") => Nonlinearity::Selu,
        Some("sigmoid") => Nonlinearity::Sigmoid,
        Some("linear") => Nonlinearity::Linear,
        Some(other) => bail!(Value, "init: nonlinearity {other}"),
    };
    let tensor = Tensor::zeros(&shape(case)[..], DType::F32)?;
    random::manual_seed(seed(case));
    match case["op"].as_str().unwrap_or_default() {
        "uniform_" => init::uniform_(&tensor, number("a", 0.0), number("b", 1.0)),
        "normal_" => init::normal_(&tensor, number("mean", 0.0), number("std", 1.0)),
        "constant_" => init::constant_(&tensor, number("val", f64::NAN)),
        "ones_" => init::ones_(&tensor),
        "zeros_" => init::zeros_(&tensor),
        "eye_" => init::eye_(&tensor),
        "dirac_" => init::dirac_(&tensor, number("groups", 1.0) as usize),
        "xavier_uniform_" => init::xavier_uniform_(&tensor, number("gain", 1.0)),
        "xavier_normal_" => init::xavier_normal_(&tensor, number("gain", 1.0)),
        "kaiming_uniform_" => init::kaiming_uniform_(&tensor, mode, nonlinearity),
        "kaiming_normal_" => init::kaiming_normal_(&tensor, mode, nonlinearity),
        "orthogonal_" => init::orthogonal_(&tensor, number("gain", 1.0)),
        "trunc_normal_" => {
            let (mean, std) = (number("mean", 0.0), number("std", 1.0));
            init::trunc_normal_(&tensor, mean, std, number("a", -2.0), number("b", 2.0))
        }
        "sparse_" => init::sparse_(&tensor, number("sparsity", f64::NAN), number("std", 0.01)),
        other => bail!(Key, "init {other}: not known"),
    }?;
    Ok(tensor)
}

/// The shape that a case or a call names.
fn shape(json: &Json) -> Vec<usize> {
    let sizes = json["shape"].as_array().into_iter().flatten();
    sizes.filter_map(|n| n.as_u64().map(|n| n as usize)).collect()
}

fn draw(op: &str, kwargs: &Json, g: &mut Generator) -> Result<Tensor> {
    let shape = shape(kwargs);
    let dtype = kwargs["dtype"].as_str().and_then(DType::from_name);
    let float = dtype.unwrap_or(DType::DEFAULT);
    let number = |name: &str| kwargs[name].as_f64().unwrap_or(f64::NAN);
    let int = |name: &str| kwargs[name].as_i64().unwrap_or(0);
    let filled = |fill: &mut dyn FnMut(&mut [f32])| {
        let mut data = vec![0f32; shape.iter().product()];
        fill(&mut data);
        Tensor::from_vec(data, &shape[..])
    };
    match op {
        "rand" => g.rand(&shape[..], float),
        "randn" => g.randn(&shape[..], float),
        "randint" => g.randint(int("low"), int("high"), &shape[..], dtype.unwrap_or(DType::I64)),
        "randperm" => g.randperm(int("n") as usize),
        "bernoulli" => {
            let p = Tensor::full(&shape[..], number("p"), DType::F32)?;
            Sample::bernoulli(g, &p)
        }
        "uniform_" => filled(&mut |out| g.uniform(out, number("a"), number("b"))),
        "normal_" => filled(&mut |out| g.normal(out, number("mean"), number("std"))),
        "exponential_" => filled(&mut |out| g.exponential(out, number("lambd"))),
        "dropout" => {
            let p = number("p");
            let keep = filled(&mut |out| Generator::bernoulli(g, out, 1.0 - p))?;
            keep.div(1.0 - p)
        }
        "multinomial" => {
            let weights: Vec<f32> = kwargs["weights"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|w| w.as_f64().map(|w| w as f32))
                .collect();
            let weights = Tensor::from_slice(&weights, weights.len())?;
            Sample::multinomial(
                g,
                &weights,
                int("n") as usize,
                kwargs["replacement"].as_bool().unwrap_or(false),
            )
        }
        other => bail!(Key, "random {other}: not known"),
    }
}
