//! One case of the groups whose cases are calls of a function: arguments, results, gradients, double gradients.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use flambeau_autograd::{GradOptions, grad};
use flambeau_tensor::{DType, Error, Result, Tensor, amp, bail};
use safetensors::SafeTensors;
use serde_json::Value as Json;

use super::compare::differs;
use super::file;
use crate::args::{Arg, Args};
use crate::registry;

/// A call by torch's name.
#[derive(Clone, Debug)]
pub struct Call {
    /// The function.
    pub op: String,
    /// Its positional arguments.
    pub positional: Vec<Arg>,
    /// Its keyword arguments.
    pub keywords: BTreeMap<String, Arg>,
}

/// How a case ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Passed,
    /// The case touches complex tensors and the op does not take them.
    SkippedComplex,
    Failed(String),
}

impl Outcome {
    /// The outcome of a check that says what differs, if anything. A panic is a failure of this case and must not hide
    /// the others.
    pub(super) fn of(check: impl FnOnce() -> Result<Option<String>>) -> Outcome {
        match catch_unwind(AssertUnwindSafe(check)) {
            Ok(Ok(None)) => Outcome::Passed,
            Ok(Ok(Some(why))) => Outcome::Failed(why),
            Ok(Err(error)) => Outcome::Failed(error.to_string()),
            Err(_) => Outcome::Failed("it panicked".into()),
        }
    }
}

/// A case with the tensors of its file.
pub(super) struct Case<'a> {
    pub(super) json: &'a Json,
    id: i64,
    pub(super) tensors: &'a SafeTensors<'a>,
    /// Tensors of the file that have been read, by kind (`in`, `ctor`) and number.
    stored: BTreeMap<(&'static str, usize), Tensor>,
}

/// Tolerances of one comparison.
#[derive(Clone, Copy)]
pub(super) struct Tolerance {
    pub(super) rtol: f64,
    pub(super) atol: f64,
}

impl<'a> Case<'a> {
    pub(super) fn new(json: &'a Json, tensors: &'a SafeTensors<'a>) -> Case<'a> {
        Case {
            json,
            id: json["id"].as_i64().unwrap_or(-1),
            tensors,
            stored: BTreeMap::new(),
        }
    }

    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// Runs the case; a case that touches complex tensors and meets an op that doesn't take them is skipped.
    pub(super) fn run(self) -> Outcome {
        self.run_by(Case::check)
    }

    /// Runs the case by a check that tells what differs, if anything.
    pub(super) fn run_by(mut self, check: impl FnOnce(&mut Self) -> Result<Option<String>>) -> Outcome {
        let complex = self.json["complex"].as_bool().unwrap_or(false);
        // A panic is a failure of this case and must not hide the others.
        let checked = catch_unwind(AssertUnwindSafe(|| check(&mut self)));
        match checked.unwrap_or_else(|payload| Ok(Some(format!("it panicked: {}", message_of(&*payload))))) {
            Ok(None) => Outcome::Passed,
            Ok(Some(why)) => Outcome::Failed(why),
            Err(Error::Unsupported(_)) if complex => Outcome::SkippedComplex,
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    fn check(&mut self) -> Result<Option<String>> {
        let (grads, nograd) = (self.indices("grads"), self.indices("nograd"));
        let call = self.call()?;
        for j in grads.iter().chain(&nograd) {
            self.input(*j)?.requires_grad(true)?;
        }
        let args = Args::new(&call.op, call.positional, call.keywords);
        let output = amp::autocast(self.region(), || registry::call(&call.op, args))?;
        let outs = match self.compare_outputs(output.values)? {
            Ok(outs) => outs,
            Err(why) => return Ok(Some(why)),
        };
        for j in self.indices("mutates") {
            let expected = file::tensor(self.tensors, &format!("c{}.after.{j}", self.id))?;
            if let Some(why) = differs(
                &format!("input {j} after"),
                &self.input(j)?,
                &expected,
                1e-5,
                1e-6,
            ) {
                return Ok(Some(why));
            }
        }
        if grads.is_empty() && nograd.is_empty() {
            return Ok(None);
        }
        self.compare_gradients(&outs, &grads, &nograd)
    }

    /// The function and its arguments.
    pub(super) fn call(&mut self) -> Result<Call> {
        let positional = self.list("in", &self.json["args"])?;
        let mut keywords = BTreeMap::new();
        for (name, value) in self.json["kwargs"].as_object().into_iter().flatten() {
            keywords.insert(name.clone(), self.argument("in", value)?);
        }
        Ok(Call {
            op: self.json["op"].as_str().unwrap_or_default().to_string(),
            positional,
            keywords,
        })
    }

    /// The results as tensors (post-processed), or what differs from the expected ones.
    #[allow(clippy::type_complexity)]
    pub(super) fn compare_outputs(
        &mut self,
        values: Vec<Arg>,
    ) -> Result<std::result::Result<Vec<Option<Tensor>>, String>> {
        let tolerance = self.tolerance("rtol", "atol", self.json);
        let expected = self.json["outs"].as_array().cloned().unwrap_or_default();
        if values.len() != expected.len() {
            return Ok(Err(format!(
                "{} results, expected {}",
                values.len(),
                expected.len()
            )));
        }
        let mut outs = Vec::new();
        for (k, (value, expected)) in values.into_iter().zip(&expected).enumerate() {
            let what = format!("out {k}");
            let complex = matches!(value, Arg::ComplexTensor(_));
            let tensor = match value {
                Arg::Tensor(t) | Arg::ComplexTensor(t) => Some(t),
                other => {
                    if let Some(v) = expected.get("$v")
                        && let Some(why) = scalar_differs(&other, &self.argument("in", v)?, tolerance)
                    {
                        return Ok(Err(format!("{what}: {why}")));
                    }
                    None
                }
            };
            let (Some(mut tensor), Some(j)) = (tensor, expected.get("$t").and_then(Json::as_u64)) else {
                outs.push(None);
                continue;
            };
            if let Some(post) = expected.get("post").and_then(Json::as_str) {
                let arg = if complex {
                    Arg::ComplexTensor(tensor)
                } else {
                    Arg::Tensor(tensor)
                };
                tensor = registry::call(
                    &format!("post.{post}"),
                    Args::new(post, vec![arg], BTreeMap::new()),
                )?
                .values
                .into_iter()
                .find_map(|v| match v {
                    Arg::Tensor(t) | Arg::ComplexTensor(t) => Some(t),
                    _ => None,
                })
                .ok_or_else(|| Error::Value(format!("post-processing {post} gave no tensor")))?;
            }
            let reference = file::tensor(self.tensors, &format!("c{}.out.{j}", self.id))?;
            if let Some(why) = differs(&what, &tensor, &reference, tolerance.rtol, tolerance.atol) {
                return Ok(Err(why));
            }
            outs.push(Some(tensor));
        }
        Ok(Ok(outs))
    }

    fn compare_gradients(
        &mut self,
        outs: &[Option<Tensor>],
        grads: &[usize],
        nograd: &[usize],
    ) -> Result<Option<String>> {
        let double = self.json.get("gradgrad").cloned();
        let mut gouts = BTreeMap::new();
        for k in self.indices("gouts") {
            let gout = file::tensor(self.tensors, &format!("c{}.gout.{k}", self.id))?;
            if double.is_some() {
                gout.requires_grad(true)?;
            }
            gouts.insert(k, gout);
        }
        let mut roots = Vec::new();
        for (&k, gout) in &gouts {
            if let Some(Some(out)) = outs.get(k)
                && out.is_tracked()
            {
                roots.push((out, gout));
            }
        }
        let wanted: Vec<usize> = grads.iter().chain(nograd).copied().collect();
        let inputs: Vec<Tensor> = wanted.iter().map(|&j| self.input(j)).collect::<Result<_>>()?;
        let options = GradOptions {
            create_graph: double.is_some(),
            retain_graph: double.is_some(),
            allow_unused: true,
        };
        let (outputs, given): (Vec<&Tensor>, Vec<Option<&Tensor>>) =
            roots.iter().map(|(o, g)| (*o, Some(*g))).unzip();
        let got = grad(&outputs, &inputs.iter().collect::<Vec<_>>(), &given, options)?;
        let tolerance = self.tolerance("grad_rtol", "grad_atol", self.json);
        let symmetrize = self.json["gin_post"].as_str() == Some("symmetrize");
        let mut first = BTreeMap::new();
        for (&j, gin) in wanted.iter().zip(got) {
            if nograd.contains(&j) {
                if let Some(gin) = gin
                    && gin.to_vec_f64()?.iter().any(|&x| x != 0.0)
                {
                    return Ok(Some(format!(
                        "gradient {j}: PyTorch has none, got one that is not zero"
                    )));
                }
                continue;
            }
            let expected = file::tensor(self.tensors, &format!("c{}.gin.{j}", self.id))?;
            let gin = match gin {
                Some(gin) => gin,
                None if expected.to_vec_f64()?.iter().all(|&x| x == 0.0) => expected.zeros_like()?,
                None => return Ok(Some(format!("gradient {j}: none, expected one"))),
            };
            let what = format!("gradient {j}");
            let (a, b) = if symmetrize {
                (symmetric(&gin)?, symmetric(&expected)?)
            } else {
                (gin.clone(), expected)
            };
            if let Some(why) = differs(&what, &a, &b, tolerance.rtol, tolerance.atol) {
                return Ok(Some(why));
            }
            first.insert(j, gin);
        }
        match double {
            Some(double) => self.compare_double_gradients(&double, &first, &gouts),
            None => Ok(None),
        }
    }

    fn compare_double_gradients(
        &mut self,
        double: &Json,
        first: &BTreeMap<usize, Tensor>,
        gouts: &BTreeMap<usize, Tensor>,
    ) -> Result<Option<String>> {
        let tolerance = self.tolerance("rtol", "atol", double);
        let mut vectors = BTreeMap::new();
        for j in indices_of(&double["v"]) {
            vectors.insert(j, file::tensor(self.tensors, &format!("c{}.ggv.{j}", self.id))?);
        }
        let roots: Vec<(&Tensor, &Tensor)> = vectors
            .iter()
            .filter_map(|(j, v)| Some((first.get(j)?, v)))
            .filter(|(g, _)| g.is_tracked())
            .collect();
        let (gin, gout) = (indices_of(&double["gin"]), indices_of(&double["gout"]));
        let mut targets = Vec::new();
        for &j in &gin {
            targets.push((format!("ggin.{j}"), self.input(j)?));
        }
        for &k in &gout {
            match gouts.get(&k) {
                Some(t) => targets.push((format!("ggout.{k}"), t.clone())),
                None => bail!(Key, "the case has no gout.{k}"),
            }
        }
        let (outputs, given): (Vec<&Tensor>, Vec<Option<&Tensor>>) =
            roots.iter().map(|(o, g)| (*o, Some(*g))).unzip();
        let options = GradOptions {
            allow_unused: true,
            ..GradOptions::default()
        };
        let got = grad(
            &outputs,
            &targets.iter().map(|(_, t)| t).collect::<Vec<_>>(),
            &given,
            options,
        )?;
        let symmetrize = self.json["gin_post"].as_str() == Some("symmetrize");
        for ((name, target), got) in targets.iter().zip(got) {
            let expected = file::tensor(self.tensors, &format!("c{}.{name}", self.id))?;
            let got = match got {
                Some(got) => got,
                None => target.zeros_like()?,
            };
            let symmetrize = symmetrize && name.starts_with("ggin");
            let (a, b) = if symmetrize {
                (symmetric(&got)?, symmetric(&expected)?)
            } else {
                (got, expected)
            };
            if let Some(why) = differs(
                &format!("double gradient {name}"),
                &a,
                &b,
                tolerance.rtol,
                tolerance.atol,
            ) {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    /// The half-width type of the region of mixed precision in which the case is called.
    pub(super) fn region(&self) -> Option<DType> {
        self.json["autocast"].as_str().and_then(DType::from_name)
    }

    pub(super) fn tolerance(&self, rtol: &str, atol: &str, json: &Json) -> Tolerance {
        Tolerance {
            rtol: json[rtol].as_f64().unwrap_or(1e-7),
            atol: json[atol].as_f64().unwrap_or(1e-7),
        }
    }

    pub(super) fn indices(&self, name: &str) -> Vec<usize> {
        indices_of(&self.json[name])
    }

    /// Input tensor `j`; the same one each time.
    pub(super) fn input(&mut self, j: usize) -> Result<Tensor> {
        self.stored("in", j)
    }

    fn stored(&mut self, kind: &'static str, j: usize) -> Result<Tensor> {
        if let Some(tensor) = self.stored.get(&(kind, j)) {
            return Ok(tensor.clone());
        }
        let tensor = file::tensor(self.tensors, &format!("c{}.{kind}.{j}", self.id))?;
        self.stored.insert((kind, j), tensor.clone());
        Ok(tensor)
    }

    /// The arguments of a call of `name`.
    pub(super) fn arguments(
        &mut self,
        kind: &'static str,
        name: &str,
        args: &Json,
        kwargs: &Json,
    ) -> Result<Args> {
        let mut keywords = BTreeMap::new();
        for (name, value) in kwargs.as_object().into_iter().flatten() {
            keywords.insert(name.clone(), self.argument(kind, value)?);
        }
        Ok(Args::new(name, self.list(kind, args)?, keywords))
    }

    fn list(&mut self, kind: &'static str, json: &Json) -> Result<Vec<Arg>> {
        json.as_array()
            .into_iter()
            .flatten()
            .map(|item| self.argument(kind, item))
            .collect()
    }

    /// An argument from its JSON form; `kind` says where its tensors lie.
    fn argument(&mut self, kind: &'static str, json: &Json) -> Result<Arg> {
        Ok(match json {
            Json::Null => Arg::None,
            Json::Bool(b) => Arg::Bool(*b),
            Json::Number(n) => match n.as_i64() {
                Some(i) => Arg::Int(i),
                None => Arg::Float(n.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(s) => Arg::Str(s.clone()),
            Json::Array(_) => Arg::List(self.list(kind, json)?),
            Json::Object(object) => {
                let Some((key, value)) = object.iter().find(|(key, _)| key.starts_with('$')) else {
                    bail!(Format, "an argument is an object without a $ key: {json}")
                };
                let text = || value.as_str().unwrap_or_default().to_string();
                match key.as_str() {
                    "$t" => {
                        let tensor = self.stored(kind, value.as_u64().unwrap_or(u64::MAX) as usize)?;
                        let complex = object.get("complex").and_then(Json::as_bool).unwrap_or(false);
                        if complex {
                            Arg::ComplexTensor(tensor)
                        } else {
                            Arg::Tensor(tensor)
                        }
                    }
                    "$f" => Arg::Float(match value.as_str() {
                        Some("inf") => f64::INFINITY,
                        Some("-inf") => f64::NEG_INFINITY,
                        _ => f64::NAN,
                    }),
                    "$c" => Arg::Complex(
                        value[0].as_f64().unwrap_or(f64::NAN),
                        value[1].as_f64().unwrap_or(f64::NAN),
                    ),
                    "$dtype" => Arg::DType(text()),
                    "$slice" => Arg::Slice(value[0].as_i64(), value[1].as_i64(), value[2].as_i64()),
                    "$ellipsis" => Arg::Ellipsis,
                    "$tuple" => Arg::Tuple(self.list(kind, value)?),
                    "$memory_format" | "$device" | "$layout" => Arg::Name(text()),
                    "$module" => Arg::Module(Box::new(self.arguments(
                        kind,
                        value["cls"].as_str().unwrap_or_default(),
                        &value["args"],
                        &value["kwargs"],
                    )?)),
                    "$dict" => {
                        let Some(object) = value.as_object() else {
                            bail!(Format, "a dictionary that is none: {json}")
                        };
                        let items = object
                            .iter()
                            .map(|(key, value)| Ok((key.clone(), self.argument(kind, value)?)));
                        Arg::Dict(items.collect::<Result<_>>()?)
                    }
                    other => bail!(Unsupported, "argument form {other}"),
                }
            }
        })
    }
}

/// The text of a panic.
fn message_of(payload: &(dyn std::any::Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned
        .or(payload.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}

fn indices_of(json: &Json) -> Vec<usize> {
    json.as_array()
        .into_iter()
        .flatten()
        .filter_map(|j| j.as_u64().map(|j| j as usize))
        .collect()
}

/// `(x + xᵀ)/2`.
fn symmetric(x: &Tensor) -> Result<Tensor> {
    x.add(&x.transpose(-2, -1)?)?.mul(0.5)
}

fn scalar_differs(got: &Arg, expected: &Arg, tolerance: Tolerance) -> Option<String> {
    let number = |arg: &Arg| match arg {
        Arg::Bool(b) => Some(*b as i64 as f64),
        Arg::Int(i) => Some(*i as f64),
        Arg::Float(f) => Some(*f),
        _ => None,
    };
    let same = match (number(got), number(expected)) {
        (Some(g), Some(e)) => {
            (g.is_nan() && e.is_nan()) || g == e || (g - e).abs() <= tolerance.atol + tolerance.rtol * e.abs()
        }
        _ => match (got, expected) {
            (Arg::List(a) | Arg::Tuple(a), Arg::List(b) | Arg::Tuple(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .zip(b)
                        .all(|(a, b)| scalar_differs(a, b, tolerance).is_none())
            }
            _ => format!("{got:?}") == format!("{expected:?}"),
        },
    };
    (!same).then(|| format!("{got:?}, expected {expected:?}"))
}
