//! State dicts: parameters and buffers by name, and putting them back.

use std::collections::BTreeMap;

use flambeau_tensor::{Error, Result, Tensor, no_grad};

use crate::module::{Entry, Module, walk};

/// Parameters and persistent buffers by name, as PyTorch names them. It can be saved with
/// [`flambeau_tensor::io::safetensors::save`] as it is.
pub type StateDict = BTreeMap<String, Tensor>;

/// What a state dict lacked and had in excess when it was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Names in the module that the state dict has not.
    pub missing: Vec<String>,
    /// Names in the state dict that the module has not.
    pub unexpected: Vec<String>,
}

/// The tensors of the state by name, in PyTorch's order. One that stands in several places is given under each name.
pub(crate) fn entries<M: Module + ?Sized>(module: &M) -> Vec<(String, &Tensor)> {
    let mut all = Vec::new();
    walk(module, "", &mut |name, entry| match entry {
        Entry::Parameter(parameter) => all.push((name.to_string(), parameter.tensor())),
        Entry::Buffer(buffer) if buffer.is_persistent() => all.push((name.to_string(), buffer.tensor())),
        _ => {}
    });
    all
}

/// Copies the values of `dict` into the module's tensors, converted to their types. Nothing is changed if anything does
/// not fit.
pub(crate) fn load<M: Module + ?Sized>(module: &M, dict: &StateDict, strict: bool) -> Result<LoadReport> {
    let entries = entries(module);
    let (mut report, mut misfits) = (LoadReport::default(), Vec::new());
    for (name, tensor) in &entries {
        match dict.get(name) {
            None => report.missing.push(name.clone()),
            Some(value) if value.shape() != tensor.shape() => {
                misfits.push(format!(
                    "{name}: {:?} for a tensor of {:?}",
                    value.shape(),
                    tensor.shape()
                ));
            }
            Some(_) => {}
        }
    }
    let known = |name: &String| entries.iter().any(|(own, _)| own == name);
    report.unexpected = dict.keys().filter(|name| !known(name)).cloned().collect();

    let mut problems = Vec::new();
    if strict && !report.missing.is_empty() {
        problems.push(format!("missing {}", report.missing.join(", ")));
    }
    if strict && !report.unexpected.is_empty() {
        problems.push(format!("unexpected {}", report.unexpected.join(", ")));
    }
    if !misfits.is_empty() {
        problems.push(format!("shapes differ for {}", misfits.join(", ")));
    }
    if !problems.is_empty() {
        return Err(Error::Key(format!(
            "load_state_dict: {}: {}",
            module.name(),
            problems.join("; ")
        )));
    }
    no_grad(|| {
        entries
            .iter()
            .filter_map(|(name, tensor)| Some((tensor, dict.get(name)?)))
            .try_for_each(|(tensor, value)| tensor.copy_(&value.detach()).map(|_| ()))
    })?;
    Ok(report)
}
