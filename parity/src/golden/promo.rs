//! The group `promo`: result types of operations on operands of every pair of types, and which casts are allowed.
//!
//! The file has one table for each kind of operands (`"int32,float16": "float16"`) and one for whole operations
//! (`"add(int32,float16)": "float16"`), where `null` says that PyTorch raises an error.

use std::collections::BTreeMap;
use std::path::Path;

use flambeau_tensor::{DType, Error, Result, Scalar, Tensor, bail, result_type};
use serde_json::{Map, Value as Json};

use super::case::Outcome;
use super::report::GroupReport;
use crate::args::{Arg, Args};
use crate::registry;

/// Runs the file of the group.
pub(super) fn run(path: &Path, stem: &str, report: &mut GroupReport) -> Result<()> {
    let io = |error: std::io::Error| Error::Io(format!("{}: {error}", path.display()));
    let bytes = std::fs::read(path).map_err(io)?;
    let json: Json = serde_json::from_slice(&bytes)
        .map_err(|error| Error::Format(format!("{}: {error}", path.display())))?;
    let mut run = Run { stem, report, id: 0 };
    run.table(&json, "tensor_tensor", |names| {
        let [a, b] = pair(names)?;
        Ok(Json::from(result_type([&one(a)?, &one(b)?], &[]).name()))
    });
    run.table(&json, "tensor_zerodim", |names| {
        let [a, b] = pair(names)?;
        Ok(Json::from(
            result_type([&one(a)?, &one(b)?.reshape(())?], &[]).name(),
        ))
    });
    run.table(&json, "tensor_scalar", |names| {
        let [a, b] = pair(names)?;
        let number = match b {
            "bool" => Scalar::Bool(true),
            "int" => Scalar::Int(1),
            "float" => Scalar::Float(1.0),
            other => bail!(Unsupported, "number of {other}"),
        };
        Ok(Json::from(result_type([&one(a)?], &[number]).name()))
    });
    run.table(&json, "can_cast", |names| {
        let [a, b] = pair(names)?;
        Ok(Json::from(dtype(a)?.can_cast(dtype(b)?)))
    });
    run.operations(&json);
    report.known = report.known_names.len();
    Ok(())
}

struct Run<'a> {
    stem: &'a str,
    report: &'a mut GroupReport,
    id: i64,
}

impl Run<'_> {
    /// Compares one table with what `answer` gives for each key.
    fn table(&mut self, json: &Json, name: &str, answer: impl Fn(&str) -> Result<Json>) {
        self.report.known_names.insert(name.to_string());
        for (key, expected) in entries(json, name) {
            self.count(&format!("{name}({key})"), expected, answer(key));
        }
    }

    /// Compares the table of whole operations; those that the registry has not are unknown.
    fn operations(&mut self, json: &Json) {
        for (key, expected) in entries(json, "ops") {
            let Some((name, types)) = key.split_once('(') else {
                continue;
            };
            let function = torch_name(name);
            if !registry::knows(function) {
                if !self.report.unknown.iter().any(|n| n == name) {
                    self.report.unknown.push(name.to_string());
                }
                continue;
            }
            self.report.known_names.insert(name.to_string());
            self.count(
                key,
                expected,
                result_of(name, function, types.trim_end_matches(')')),
            );
        }
    }

    fn count(&mut self, key: &str, expected: &Json, got: Result<Json>) {
        let outcome = match got {
            _ if key.contains("complex") => Outcome::SkippedComplex,
            Ok(got) if got == *expected => Outcome::Passed,
            Err(_) if expected.is_null() => Outcome::Passed,
            Ok(got) => Outcome::Failed(format!("{key}: {got}, expected {expected}")),
            Err(error) => Outcome::Failed(format!("{key}: {error}, expected {expected}")),
        };
        self.report.count(self.stem, self.id, outcome);
        self.id += 1;
    }
}

fn entries<'a>(json: &'a Json, name: &str) -> impl Iterator<Item = (&'a String, &'a Json)> {
    json[name].as_object().into_iter().flat_map(Map::iter)
}

fn pair(names: &str) -> Result<[&str; 2]> {
    match names.split_once(',') {
        Some((a, b)) => Ok([a, b]),
        None => bail!(Format, "two types expected, got {names}"),
    }
}

fn dtype(name: &str) -> Result<DType> {
    match DType::from_name(name) {
        Some(dtype) => Ok(dtype),
        None => bail!(Unsupported, "type {name}"),
    }
}

/// A tensor of one element, with one dimension.
fn one(name: &str) -> Result<Tensor> {
    Tensor::ones([1], dtype(name)?)
}

/// The registry's name of an operation in the table: some stand there with an argument.
fn torch_name(name: &str) -> &str {
    match name {
        "clamp01" => "clamp",
        "softmax0" => "softmax",
        "sort0" => "sort",
        "gelu" => "nn.functional.gelu",
        other => other,
    }
}

/// The type of the operation's first result on ones of the given types.
fn result_of(name: &str, function: &str, types: &str) -> Result<Json> {
    let shape: &[usize] = if name == "matmul" { &[2, 2] } else { &[2] };
    let mut arguments: Vec<Arg> = types
        .split(',')
        .map(|name| Ok(Arg::Tensor(Tensor::ones(shape, dtype(name)?)?)))
        .collect::<Result<_>>()?;
    match name {
        "clamp01" => arguments.extend([Arg::Int(0), Arg::Int(1)]),
        "softmax0" | "sort0" => arguments.push(Arg::Int(0)),
        "where" => arguments.insert(0, Arg::Tensor(Tensor::ones(shape, DType::Bool)?)),
        _ => {}
    }
    let output = registry::call(function, Args::new(function, arguments, BTreeMap::new()))?;
    match output.values.first() {
        Some(Arg::Tensor(tensor)) => Ok(Json::from(tensor.dtype().name())),
        other => bail!(Value, "{name}: the first result is {other:?}"),
    }
}
