//! The group `sched`: learning rates (and momenta) of a schedule over forty steps.

use flambeau_optim::Optimizer;
use flambeau_optim::lr_scheduler::*;
use flambeau_tensor::{DType, Error, Result, Tensor, bail, ensure};
use safetensors::SafeTensors;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};

use super::compare::differs;
use super::{expression, file, optim};

/// Names of the schedules that [`build`] knows, and the one that is stepped with a measurement.
const KNOWN: &[&str] = &[
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SWALR",
    "SequentialLR",
    "StepLR",
];

/// Whether there is such a schedule.
pub(super) fn knows(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// Options with keyword arguments put over them, all of which must be known.
fn over<O: Serialize + DeserializeOwned>(options: O, kwargs: &Json) -> Result<O> {
    let format = |error: serde_json::Error| Error::Format(error.to_string());
    let mut all = serde_json::to_value(options).map_err(format)?;
    for (name, value) in kwargs.as_object().into_iter().flatten() {
        if name == "last_epoch" && value == &json!(-1) {
            continue;
        }
        let Some(place) = all.get_mut(name) else {
            bail!(Key, "no option {name}")
        };
        *place = value.clone();
    }
    serde_json::from_value(all).map_err(format)
}

/// The functions given by expressions of `epoch`.
fn lambdas(kwargs: &Json) -> Result<Vec<LrLambda>> {
    let given = &kwargs["lr_lambda"];
    let texts = given.as_array().cloned().unwrap_or_else(|| vec![given.clone()]);
    let mut functions: Vec<LrLambda> = Vec::new();
    for text in texts {
        let text = text.as_str().unwrap_or_default().to_string();
        expression::evaluate(&text, "epoch", 0.0)?;
        functions.push(Box::new(move |epoch| {
            expression::evaluate(&text, "epoch", epoch as f64).unwrap_or(f64::NAN)
        }));
    }
    Ok(functions)
}

/// A schedule with torch's keyword arguments.
fn build(name: &str, kwargs: &Json, to: &mut dyn Optimizer) -> Result<Box<dyn LRScheduler>> {
    let several = |to: &mut dyn Optimizer| -> Result<Vec<Box<dyn LRScheduler>>> {
        let list = kwargs["schedulers"].as_array().into_iter().flatten();
        list.map(|one| build(one[0].as_str().unwrap_or_default(), &one[1], &mut *to))
            .collect()
    };
    Ok(match name {
        "ChainedScheduler" => {
            let schedulers = several(to)?;
            Box::new(ChainedScheduler::new(to, schedulers)?)
        }
        "SequentialLR" => {
            let schedulers = several(to)?;
            let milestones = kwargs["milestones"].as_array().into_iter().flatten();
            let milestones: Vec<i64> = milestones.filter_map(Json::as_i64).collect();
            Box::new(SequentialLR::new(to, schedulers, milestones)?)
        }
        "ConstantLR" => Box::new(ConstantLR::new(to, over(ConstantLROptions::default(), kwargs)?)?),
        "CosineAnnealingLR" => {
            let options = over(CosineAnnealingLROptions::new(1), kwargs)?;
            Box::new(CosineAnnealingLR::new(to, options)?)
        }
        "CosineAnnealingWarmRestarts" => {
            let options = over(CosineAnnealingWarmRestartsOptions::new(1), kwargs)?;
            Box::new(CosineAnnealingWarmRestarts::new(to, options)?)
        }
        "CyclicLR" => {
            let mut kwargs = kwargs.clone();
            let scale_fn = kwargs
                .as_object_mut()
                .and_then(|kwargs| kwargs.remove("scale_fn"));
            let mut options = over(CyclicLROptions::new(0.0, 0.0), &kwargs)?;
            if let Some(Json::String(text)) = scale_fn {
                expression::evaluate(&text, "x", 1.0)?;
                options.scale_fn = Some(ScaleFn::new(move |x| {
                    expression::evaluate(&text, "x", x).unwrap_or(f64::NAN)
                }));
            }
            Box::new(CyclicLR::new(to, options)?)
        }
        "ExponentialLR" => {
            let options = over(ExponentialLROptions { gamma: 1.0 }, kwargs)?;
            Box::new(ExponentialLR::new(to, options)?)
        }
        "LambdaLR" => Box::new(LambdaLR::new(to, LambdaLROptions::per_group(lambdas(kwargs)?))?),
        "LinearLR" => Box::new(LinearLR::new(to, over(LinearLROptions::default(), kwargs)?)?),
        "MultiStepLR" => Box::new(MultiStepLR::new(to, over(MultiStepLROptions::new([]), kwargs)?)?),
        "MultiplicativeLR" => {
            let options = MultiplicativeLROptions::per_group(lambdas(kwargs)?);
            Box::new(MultiplicativeLR::new(to, options)?)
        }
        "OneCycleLR" => {
            let mut options = OneCycleLROptions::new(0.0, 1);
            (options.total_steps, options.epochs, options.steps_per_epoch) = (None, None, None);
            Box::new(OneCycleLR::new(to, over(options, kwargs)?)?)
        }
        "PolynomialLR" => Box::new(PolynomialLR::new(
            to,
            over(PolynomialLROptions::default(), kwargs)?,
        )?),
        "SWALR" => Box::new(SWALR::new(to, over(SWALROptions::new(0.0), kwargs)?)?),
        "StepLR" => Box::new(StepLR::new(to, over(StepLROptions::new(1), kwargs)?)?),
        other => bail!(Key, "schedule {other}: not known"),
    })
}

/// An optimiser from Python's text, e.g. `SGD(momentum=0.9)`, with a group for each learning rate.
fn optimizer(text: &str, learning_rates: &Json) -> Result<Box<dyn Optimizer>> {
    let (name, arguments) = text.split_once('(').unwrap_or((text, ")"));
    let arguments = arguments.strip_suffix(')').unwrap_or(arguments);
    // As JSON: `momentum=0.9, betas=(0.9, 0.99)` has the form of an object but for its brackets and keys.
    let mut fields = Map::new();
    let mut rest = arguments;
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.replace('(', "[").replace(')', "]");
        let after = after.replace("True", "true").replace("False", "false");
        let mut values = serde_json::Deserializer::from_str(&after).into_iter::<Json>();
        let Some(Ok(value)) = values.next() else {
            bail!(Format, "{text}: no value after {key}")
        };
        fields.insert(key.trim_matches([' ', ',']).to_string(), value);
        let used = values.byte_offset();
        rest = match rest.split_once('=') {
            // `True` and `False` keep their length as `true` and `false`.
            Some((_, after)) => after.get(used..).unwrap_or_default(),
            None => "",
        };
    }
    let mut groups = Vec::new();
    for lr in learning_rates.as_array().into_iter().flatten() {
        let mut hyper = fields.clone();
        hyper.insert("lr".into(), lr.clone());
        groups.push((vec![Tensor::zeros(1, DType::F64)?], Json::Object(hyper)));
    }
    optim::build(name, groups)
}

/// Runs one case; what differs, if anything does.
pub(super) fn check(case: &Json, tensors: &SafeTensors<'_>) -> Result<Option<String>> {
    let tolerance = |name: &str| case[name].as_f64().unwrap_or(0.0);
    let (rtol, atol) = (tolerance("rtol"), tolerance("atol"));
    let id = case["id"].as_i64().unwrap_or(-1);
    let tensor = |name: &str| file::tensor(tensors, &format!("c{id}.{name}"));
    let rates = tensor("lr")?;
    let momenta = tensor("momentum").ok();
    let mut optimizer = optimizer(case["optimizer"].as_str().unwrap_or_default(), &case["base_lr"])?;
    let (name, kwargs) = (case["scheduler"].as_str().unwrap_or_default(), &case["kwargs"]);
    let to = &mut *optimizer;
    let mut schedule = match name {
        "ReduceLROnPlateau" => {
            let options = over(ReduceLROnPlateauOptions::default(), kwargs)?;
            AnySchedule::Measured(
                ReduceLROnPlateau::new(to, options)?,
                tensor("metric")?.to_vec_f64()?,
            )
        }
        name => AnySchedule::Plain(build(name, kwargs, to)?),
    };
    for step in 0..=case["steps"].as_u64().unwrap_or(0) as usize {
        if step > 0 {
            schedule.step(&mut *optimizer, step - 1)?;
        }
        let groups = optimizer.param_groups();
        let lr = groups.iter().map(|group| group.lr()).collect::<Vec<_>>();
        ensure!(
            schedule.last_lr() == lr,
            Value,
            "after step {step}: last_lr {:?}, but the groups have {lr:?}",
            schedule.last_lr()
        );
        let momentum = groups.iter().map(|group| group.momentum().unwrap_or(f64::NAN));
        let momentum: Vec<f64> = momentum.collect();
        for (what, got, expected) in [("lr", lr, Some(&rates)), ("momentum", momentum, momenta.as_ref())] {
            let Some(expected) = expected else { continue };
            let (got, expected) = (
                Tensor::from_slice(&got, got.len())?,
                expected.select(0, step as isize)?,
            );
            if let Some(why) = differs(&format!("{what} after step {step}"), &got, &expected, rtol, atol) {
                return Ok(Some(why));
            }
        }
    }
    Ok(None)
}

/// A schedule with what it is stepped with.
enum AnySchedule {
    Plain(Box<dyn LRScheduler>),
    Measured(ReduceLROnPlateau, Vec<f64>),
}

impl AnySchedule {
    fn step(&mut self, optimizer: &mut dyn Optimizer, step: usize) -> Result<()> {
        match self {
            AnySchedule::Plain(schedule) => schedule.step(optimizer),
            AnySchedule::Measured(schedule, metrics) => {
                schedule.step(optimizer, metrics.get(step).copied().unwrap_or(f64::NAN))
            }
        }
    }

    fn last_lr(&self) -> &[f64] {
        match self {
            AnySchedule::Plain(schedule) => schedule.last_lr(),
            AnySchedule::Measured(schedule, _) => schedule.last_lr(),
        }
    }
}
