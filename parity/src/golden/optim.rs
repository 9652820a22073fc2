//! The group `optim`: twenty steps of an optimiser, given the gradients of every step or a closure.

use std::cell::Cell;

use flambeau_autograd::Backward;
use flambeau_optim::{self as optim, Algorithm, Grouped, HyperParameters, Optimizer};
use flambeau_tensor::{Error, Result, Tensor, bail, ensure, no_grad};
use safetensors::SafeTensors;
use serde_json::Value as Json;

use super::compare::differs;
use super::file;

/// Names of the optimisers that [`build`] knows.
const KNOWN: &[&str] = &[
    "ASGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "LBFGS",
    "Muon",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
    "SparseAdam",
];

/// Arguments that choose how PyTorch computes a step, and not what.
const HOW_NOT_WHAT: [&str; 4] = ["foreach", "fused", "capturable", "differentiable"];

/// Whether there is such an optimiser.
pub(super) fn knows(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// Parameters and torch's keyword arguments.
pub(super) type GroupArguments = (Vec<Tensor>, Json);

/// An optimiser of groups.
pub(super) fn build(name: &str, groups: Vec<GroupArguments>) -> Result<Box<dyn Optimizer>> {
    fn grouped<A: Algorithm + 'static>(groups: Vec<GroupArguments>) -> Result<Box<dyn Optimizer>> {
        let groups = groups
            .into_iter()
            .map(|(params, hyper)| Ok((params, options(&hyper)?)));
        Ok(Box::new(Grouped::<A>::with_groups(
            groups.collect::<Result<Vec<_>>>()?,
        )?))
    }
    match name {
        "ASGD" => grouped::<optim::ASGDOptions>(groups),
        "Adadelta" => grouped::<optim::AdadeltaOptions>(groups),
        "Adafactor" => grouped::<optim::AdafactorOptions>(groups),
        "Adagrad" => grouped::<optim::AdagradOptions>(groups),
        "Adam" => grouped::<optim::AdamOptions>(groups),
        "AdamW" => grouped::<optim::AdamWOptions>(groups),
        "Adamax" => grouped::<optim::AdamaxOptions>(groups),
        "LBFGS" => {
            let params = groups.iter().flat_map(|(params, _)| params).cloned();
            let hyper = groups.first().map_or(&Json::Null, |(_, hyper)| hyper);
            Ok(Box::new(optim::LBFGS::new(params, options(hyper)?)?))
        }
        "Muon" => grouped::<optim::MuonOptions>(groups),
        "NAdam" => grouped::<optim::NAdamOptions>(groups),
        "RAdam" => grouped::<optim::RAdamOptions>(groups),
        "RMSprop" => grouped::<optim::RMSpropOptions>(groups),
        "Rprop" => grouped::<optim::RpropOptions>(groups),
        "SGD" => grouped::<optim::SGDOptions>(groups),
        "SparseAdam" => grouped::<optim::SparseAdamOptions>(groups),
        other => bail!(Key, "optimizer {other}: not known"),
    }
}

/// Options from keyword arguments, all of which must be known.
fn options<H: HyperParameters>(hyper: &Json) -> Result<H> {
    let format = |error: serde_json::Error| Error::Format(format!("{}: {error}", H::NAME));
    let options: H = serde_json::from_value(hyper.clone()).map_err(format)?;
    let known = serde_json::to_value(&options).map_err(format)?;
    for (name, _) in hyper.as_object().into_iter().flatten() {
        let known = known.get(name).is_some() || HOW_NOT_WHAT.contains(&name.as_str());
        ensure!(known, Key, "{}: no option {name}", H::NAME);
    }
    Ok(options)
}

/// Runs one case; what differs, if anything does.
pub(super) fn check(case: &Json, tensors: &SafeTensors<'_>) -> Result<Option<String>> {
    let tolerance = |name: &str| case[name].as_f64().unwrap_or(0.0);
    let (rtol, atol) = (tolerance("rtol"), tolerance("atol"));
    let id = case["id"].as_i64().unwrap_or(-1);
    let tensor = |name: String| file::tensor(tensors, &format!("c{id}.{name}"));
    let params: Vec<Tensor> = (0..case["nparams"].as_u64().unwrap_or(0))
        .map(|i| tensor(format!("p0.{i}"))?.requires_grad(true))
        .collect::<Result<_>>()?;
    let problem = Problem {
        a: tensor("A".into())?,
        b: tensor("b".into())?,
        params: params.clone(),
    };
    let name = case["optimizer"].as_str().unwrap_or_default();
    let mut optimizer = build(name, vec![(params.clone(), case["hyper"].clone())])?;
    let numbers = |name: &str| case[name].as_array().cloned().unwrap_or_default();
    let (losses, evals) = (numbers("losses"), numbers("evals"));
    for step in 0..case["steps"].as_u64().unwrap_or(0) as usize {
        let calls = Cell::new(0u64);
        let loss = match case["uses"].as_str() {
            Some("closure") => optimizer.step_with_closure(&mut || {
                calls.set(calls.get() + 1);
                let loss = problem.loss()?;
                loss.backward()?;
                Ok(loss)
            })?,
            uses => {
                let loss = no_grad(|| problem.loss())?;
                for (i, param) in params.iter().enumerate() {
                    let mut grad = tensor(format!("g.{i}"))?.select(0, step as isize)?;
                    if uses == Some("sparse_grad") {
                        let rows = tensor(format!("rows.{i}"))?.select(0, step as isize)?;
                        grad = param.detach().zeros_like()?.index_add(0, &rows, &grad)?;
                    }
                    param.set_grad(Some(grad))?;
                }
                optimizer.step()?;
                loss
            }
        };
        let expected = losses.get(step).and_then(Json::as_f64).unwrap_or(f64::NAN);
        let expected = Tensor::scalar(expected).to_dtype(loss.dtype())?;
        if let Some(why) = differs(
            &format!("loss before step {step}"),
            &loss.detach(),
            &expected,
            rtol,
            atol,
        ) {
            return Ok(Some(why));
        }
        if let Some(expected) = evals.get(step).and_then(Json::as_u64)
            && expected != calls.get()
        {
            return Ok(Some(format!(
                "step {step}: {} calls of the closure, expected {expected}",
                calls.get()
            )));
        }
        for (i, param) in params.iter().enumerate() {
            let expected = tensor(format!("p.{i}"))?.select(0, step as isize)?;
            let what = format!("parameter {i} after step {step}");
            if let Some(why) = differs(&what, &param.detach(), &expected, rtol, atol) {
                return Ok(Some(why));
            }
        }
    }
    let state = optimizer.state_dict()?.state;
    for (number, names) in case["final_state"].as_object().into_iter().flatten() {
        for name in names.as_array().into_iter().flatten().filter_map(Json::as_str) {
            let what = format!("state.{number}.{name}");
            let of_param = number.parse().ok().and_then(|number: usize| state.get(&number));
            let Some(got) = of_param.and_then(|state| state.get(name)) else {
                return Ok(Some(format!("{what}: none")));
            };
            if let Some(why) = differs(&what, got, &tensor(what.clone())?, rtol, atol) {
                return Ok(Some(why));
            }
        }
    }
    Ok(None)
}

/// The function that is minimised: `(x-b)ᵀA(x-b)/2 + 0.05·Σx⁴`, where `x` is all parameters in a row.
struct Problem {
    a: Tensor,
    b: Tensor,
    params: Vec<Tensor>,
}

impl Problem {
    fn loss(&self) -> Result<Tensor> {
        let flat: Vec<Tensor> = self
            .params
            .iter()
            .map(|param| param.flatten(0, -1))
            .collect::<Result<_>>()?;
        let x = Tensor::cat(&flat, 0)?;
        let off = x.sub(&self.b)?;
        let quadratic = off.mul(&self.a.matmul(&off)?)?.sum()?.mul(0.5)?;
        quadratic.add(&x.pow(4.0)?.sum()?.mul(0.05)?)
    }
}
