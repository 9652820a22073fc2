//! The group `random`: PyTorch's CPU streams of random numbers. Each case begins with `manual_seed`.

use std::path::Path;

use flambeau_tensor::random::{Generator, Sample};
use flambeau_tensor::{DType, Result, Tensor, bail};
use safetensors::SafeTensors;
use serde_json::Value as Json;

use super::case::Outcome;
use super::compare::differs;
use super::file::{self, CaseFile};
use super::report::GroupReport;

/// Relative tolerance of floating point draws; integers are compared exactly.
const RTOL: f64 = 1e-6;

/// Runs a file of the group. Default initialisations of layers (`layer`, `init`) are unknown here.
pub(super) fn run(path: &Path, stem: &str, report: &mut GroupReport) -> Result<()> {
    let file = CaseFile::open(path)?;
    let tensors = file.tensors()?;
    for (i, case) in file.cases.iter().enumerate() {
        let kind = case["kind"].as_str().unwrap_or_default();
        let calls = match kind {
            "call" => vec![(case["op"].clone(), case["kwargs"].clone())],
            "sequence" => {
                let calls = case["calls"].as_array().into_iter().flatten();
                calls.map(|call| (call[0].clone(), call[1].clone())).collect()
            }
            _ => {
                let name = case["layer"].as_str().or(case["op"].as_str()).unwrap_or_default();
                let name = format!("{kind}.{name}");
                if !report.unknown.contains(&name) {
                    report.unknown.push(name);
                }
                continue;
            }
        };
        for (op, _) in &calls {
            report
                .known_names
                .insert(op.as_str().unwrap_or_default().to_string());
        }
        let outcome = match check(case, &calls, &tensors) {
            Ok(None) => Outcome::Passed,
            Ok(Some(why)) => Outcome::Failed(why),
            Err(error) => Outcome::Failed(error.to_string()),
        };
        report.count(stem, i as i64, outcome);
    }
    report.known = report.known_names.len();
    Ok(())
}

fn check(case: &Json, calls: &[(Json, Json)], tensors: &SafeTensors<'_>) -> Result<Option<String>> {
    let names = case["outs"].as_array().cloned().unwrap_or_default();
    let mut generator = Generator::new(case["seed"].as_u64().unwrap_or(0));
    for ((op, kwargs), name) in calls.iter().zip(&names) {
        let got = draw(op.as_str().unwrap_or_default(), kwargs, &mut generator)?;
        let expected = file::tensor(tensors, name.as_str().unwrap_or_default())?;
        if let Some(why) = differs(&format!("{op}"), &got, &expected, RTOL, 0.0) {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

fn draw(op: &str, kwargs: &Json, g: &mut Generator) -> Result<Tensor> {
    let shape: Vec<usize> = kwargs["shape"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|n| n.as_u64().map(|n| n as usize))
        .collect();
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
