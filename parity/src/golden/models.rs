//! The groups `models` (outputs of whole models), `train_steps` (one step of training) and `state_dicts` (lists of keys).
//!
//! No weights are stored: every floating point entry of a state is filled by a function of its name and of the position,
//! and so are inputs. Models are those of torchvision, and in `text.rs` Hugging Face's.

use std::collections::BTreeSet;

use flambeau_autograd::Backward;
use flambeau_nn::functional::{CrossEntropyOptions, cross_entropy};
use flambeau_nn::{Module, init};
use flambeau_tensor::{DType, Result, Tensor, bail, no_grad};
use flambeau_vision::models::{self, Classifier, Options};
use safetensors::SafeTensors;
use serde_json::Value as Json;

use super::compare::differs;
use super::{file, text};

/// The model that a file of one of the groups is about, if there is such.
fn model_of(stem: &str) -> Option<&str> {
    stem.strip_prefix("torchvision.")
        .filter(|name| models::entry(name).is_ok())
}

/// Whether there is the model that a file is named after.
pub(super) fn knows(stem: &str) -> bool {
    model_of(stem).is_some() || text::knows(stem)
}

/// The model with the constructor's arguments, in `float64` and filled.
fn filled(name: &str, ctor: &Json) -> Result<Box<dyn Classifier>> {
    let mut options = Options::default();
    for (argument, value) in ctor.as_object().into_iter().flatten() {
        let size = || value.as_u64().map(|size| size as usize);
        match argument.as_str() {
            "num_classes" => options.num_classes = size().unwrap_or(options.num_classes),
            "aux_logits" => options.aux_logits = value.as_bool(),
            "transform_input" => options.transform_input = value.as_bool(),
            "dropout" | "drop_rate" => options.dropout = value.as_f64(),
            "stochastic_depth_prob" => options.stochastic_depth_prob = value.as_f64(),
            "image_size" => options.image_size = size(),
            // All that is initialised is filled.
            "init_weights" => {}
            other => bail!(Unsupported, "{name}: argument {other} = {value}"),
        }
    }
    let mut model = init::skip(|| models::create(name, options))?;
    model.to_dtype(DType::F64)?;
    fill(&model)?;
    Ok(model)
}

/// Fills every floating point entry of a model's state, one that has several names by the first.
pub(super) fn fill(model: &impl Module) -> Result<()> {
    let mut filled = BTreeSet::new();
    for (name, tensor) in model.state_entries() {
        if tensor.dtype().is_float() && filled.insert(tensor.id()) {
            let values = parameter(&name, tensor.shape())?;
            no_grad(|| tensor.copy_(&values).map(|_| ()))?;
        }
    }
    Ok(())
}

/// `splitmix64` of the name's checksum and each position: numbers in `[-1, 1)`.
fn noise(name: &str, len: usize) -> impl Iterator<Item = f64> {
    let seed = u64::from(crc32(name.as_bytes())) << 32;
    (0..len as u64).map(move |i| {
        let mut z = seed.wrapping_add(i).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 11) as f64 * (0.5f64).powi(53) * 2.0 - 1.0
    })
}

/// The checksum CRC-32 of zlib and PNG.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// An entry of a state, scaled by what its name and shape say that it is.
fn parameter(name: &str, shape: &[usize]) -> Result<Tensor> {
    let len: usize = shape.iter().product();
    let [offset, scale] = if name.ends_with("running_var") {
        [1.0, 0.2]
    } else if name.ends_with("running_mean") {
        [0.0, 0.1]
    } else if shape.len() >= 2 {
        [0.0, (3.0 / (len / shape[0]) as f64).sqrt()]
    } else if shape.len() == 1 && name.ends_with("weight") {
        [1.0, 0.1]
    } else {
        [0.0, 0.05]
    };
    Tensor::from_vec(noise(name, len).map(|u| offset + scale * u).collect(), shape)
}

/// `{"$fill": name, "shape": […]}`.
fn input(json: &Json) -> Result<Tensor> {
    let shape: Vec<usize> = numbers(&json["shape"]);
    match json["$fill"].as_str() {
        Some(name) => Tensor::from_vec(noise(name, shape.iter().product()).collect(), shape),
        None => bail!(Format, "an input without $fill: {json}"),
    }
}

pub(super) fn numbers(json: &Json) -> Vec<usize> {
    let items = json.as_array().into_iter().flatten();
    items.filter_map(|n| n.as_u64().map(|n| n as usize)).collect()
}

fn name(json: &Json) -> &str {
    json["model"].as_str().unwrap_or_default()
}

/// Compares the outputs of a model in evaluation.
pub(super) fn check_outputs(json: &Json, tensors: &SafeTensors<'_>) -> Result<Option<String>> {
    if text::is_about(json) {
        return text::check(json, tensors);
    }
    let model = filled(name(json), &json["ctor"])?;
    model.eval();
    let output = no_grad(|| model.forward(&input(&json["inputs"][0])?))?;
    let (rtol, atol) = (
        json["rtol"].as_f64().unwrap_or(1e-3),
        json["atol"].as_f64().unwrap_or(1e-6),
    );
    for (key, expected) in json["outs"].as_object().into_iter().flatten() {
        if key != "out" {
            return Ok(Some(format!("no output {key}")));
        }
        if output.shape() != &numbers(&expected["shape"])[..] {
            return Ok(Some(format!(
                "shape {:?}, expected {}",
                output.shape(),
                expected["shape"]
            )));
        }
        let stored = stored_part(&output, expected["stored"].as_str().unwrap_or("all"))?;
        let reference = file::tensor(tensors, &format!("c{}.out.{key}", json["id"]))?;
        let got = stored.to_dtype(reference.dtype())?;
        if let Some(why) = differs(key, &got, &reference, rtol, atol) {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

/// What is stored of an output: `all`, or `flat[::step][:len]`.
pub(super) fn stored_part(output: &Tensor, stored: &str) -> Result<Tensor> {
    if stored == "all" {
        return Ok(output.clone());
    }
    let parsed = || {
        let (step, len) = stored
            .strip_prefix("flat[::")?
            .strip_suffix(']')?
            .split_once("][:")?;
        Some((step.parse::<isize>().ok()?, len.parse::<isize>().ok()?))
    };
    match parsed() {
        Some((step, len)) => output
            .reshape(-1)?
            .slice(0, None, None, step)?
            .slice(0, None, Some(len), 1),
        None => bail!(Format, "an output stored as {stored}"),
    }
}

/// Takes a step of training without the optimiser and compares scores, loss, gradients and running statistics.
pub(super) fn check_train_step(json: &Json, tensors: &SafeTensors<'_>) -> Result<Option<String>> {
    let model = filled(name(json), &json["ctor"])?;
    // What draws random numbers is off.
    for (_, module) in model.named_modules() {
        if matches!(module.name(), "Dropout" | "StochasticDepth") {
            module.eval();
        }
    }
    let parameters = model.num_parameters(false) as u64;
    if Some(parameters) != json["params"].as_u64() {
        return Ok(Some(format!(
            "{parameters} parameters, expected {}",
            json["params"]
        )));
    }
    let rtol = json["rtol"].as_f64().unwrap_or(1e-3);
    let outputs = model.forward_outputs(&input(&json["input"])?)?;
    let expected = file::tensor(tensors, &format!("c{}.out.logits", json["id"]))?;
    let logits = outputs.logits.detach().to_dtype(expected.dtype())?;
    if let Some(why) = differs("logits", &logits, &expected, rtol, 1e-5) {
        return Ok(Some(why));
    }

    let labels: Vec<i64> = numbers(&json["labels"])
        .into_iter()
        .map(|label| label as i64)
        .collect();
    let labels = Tensor::from_slice(&labels, labels.len())?;
    let entropy = |logits: &Tensor| cross_entropy(logits, &labels, &CrossEntropyOptions::default());
    let mut loss = entropy(&outputs.logits)?;
    for auxiliary in &outputs.auxiliary {
        loss = loss.add(&entropy(auxiliary)?.mul(json["aux_weight"].as_f64().unwrap_or(0.0))?)?;
    }
    let close = |got: f64, expected: &Json, atol: f64| {
        let expected = expected.as_f64().unwrap_or(f64::NAN);
        (got - expected).abs() <= atol + rtol * expected.abs()
    };
    let value = loss.item_f64()?;
    if !close(value, &json["loss"], 0.0) {
        return Ok(Some(format!("loss {value}, expected {}", json["loss"])));
    }
    loss.backward()?;

    let gradients = model.named_parameters();
    let expected = json["grad_norms"].as_object().cloned().unwrap_or_default();
    if gradients.len() != expected.len() {
        return Ok(Some(format!(
            "{} parameters, expected {}",
            gradients.len(),
            expected.len()
        )));
    }
    // Some gradients are zero but for rounding: those of biases before a batch norm.
    let largest = expected.values().filter_map(Json::as_f64).fold(0.0, f64::max);
    for (name, parameter) in gradients {
        let norm = match parameter.grad() {
            Some(grad) => grad.square()?.sum()?.item_f64()?.sqrt(),
            None => return Ok(Some(format!("{name}: no gradient"))),
        };
        if !close(norm, &expected[&name], 1e-12 * largest) {
            return Ok(Some(format!(
                "{name}: a gradient of norm {norm:e}, expected {}",
                expected[&name]
            )));
        }
    }
    for (name, buffer) in model.named_buffers() {
        let Some(expected) = json["running_sums"].get(&name) else {
            continue;
        };
        let sum = buffer.to_dtype(DType::F64)?.sum()?.item_f64()?;
        if !close(sum, expected, 1e-9) {
            return Ok(Some(format!("{name}: sum {sum}, expected {expected}")));
        }
    }
    Ok(None)
}

/// Compares the keys, types and shapes of a model's state with a list of lines `key dtype d0,d1,…`.
pub(super) fn check_state_dict(stem: &str, list: &str) -> Result<Option<String>> {
    let ours = match model_of(stem) {
        Some(name) => state_dict_list(name)?,
        None => text::text_state_dict_list(stem)?,
    };
    let (mut got, mut expected) = (ours.lines(), list.lines());
    loop {
        match (got.next(), expected.next()) {
            (None, None) => return Ok(None),
            (got, expected) if got == expected => {}
            (got, expected) => return Ok(Some(format!("{got:?}, expected {expected:?}"))),
        }
    }
}

/// The keys, types and shapes of the state of one of the models of `vision`, in PyTorch's order: lines
/// `key dtype d0,d1,…`.
///
/// # Errors
/// `Key` if there is no such model.
pub fn state_dict_list(name: &str) -> Result<String> {
    let model = init::skip(|| models::create(name, Options::default()))?;
    let entries = model.state_entries();
    Ok(entries
        .iter()
        .map(|(key, tensor)| entry_line(key, tensor))
        .collect())
}

/// A line `key dtype d0,d1,…`.
pub(super) fn entry_line(key: &str, tensor: &Tensor) -> String {
    let shape: Vec<String> = tensor.shape().iter().map(usize::to_string).collect();
    format!("{key} {} {}\n", tensor.dtype(), shape.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_reference() {
        let first = |name| noise(name, 3).collect::<Vec<f64>>();
        assert_eq!(
            first("input.0"),
            [-0.6864697421115737, 0.30131843137233205, -0.0912247555983654]
        );
        assert_eq!(
            first("layer1.0.bn1.running_var"),
            [0.8186029617639652, 0.8581936956891327, -0.778432023138806]
        );
        let var = parameter("bn.running_var", &[4])
            .unwrap()
            .to_vec::<f64>()
            .unwrap();
        assert!(var.iter().all(|v| (0.8..1.2).contains(v)));
    }

    #[test]
    fn parts_of_outputs_are_read_as_they_were_stored() {
        let x = Tensor::from_vec((0..20).map(f64::from).collect(), (2, 10)).unwrap();
        let part = stored_part(&x, "flat[::5][:3]").unwrap();
        assert_eq!(part.to_vec::<f64>().unwrap(), [0.0, 5.0, 10.0]);
        assert!(stored_part(&x, "half").is_err());
    }
}
