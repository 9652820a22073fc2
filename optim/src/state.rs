//! What an optimiser remembers: per parameter in memory ([`ParamState`]), and all of it as data ([`StateDict`]) that is
//! written to a file and read back exactly.

use std::collections::BTreeMap;
use std::path::Path;

use flambeau_tensor::io::safetensors::{self, SafeTensorsFile};
use flambeau_tensor::{Error, Result, Tensor, ensure};
use serde_json::{Map, Value as Json};

/// What an optimiser remembers of one parameter, under PyTorch's names: tensors such as `exp_avg`, numbers such as
/// `step`.
#[derive(Clone, Debug, Default)]
pub struct ParamState(BTreeMap<String, Slot>);

#[derive(Clone, Debug)]
enum Slot {
    Number(f64),
    Tensor(Tensor),
}

impl ParamState {
    /// The number called `name`; none before the first step.
    ///
    /// # Errors
    /// `Shape` if a tensor of several elements stands there.
    pub fn number(&self, name: &str) -> Result<Option<f64>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Slot::Number(x)) => Ok(Some(*x)),
            Some(Slot::Tensor(t)) => t.item_f64().map(Some).map_err(|e| e.context(name)),
        }
    }

    /// Sets the number called `name`.
    pub fn set_number(&mut self, name: &str, value: f64) {
        match self.0.get_mut(name) {
            Some(slot) => *slot = Slot::Number(value),
            None => {
                self.0.insert(name.to_string(), Slot::Number(value));
            }
        }
    }

    /// Counts one more step; returns its number, 1 at first.
    ///
    /// # Errors
    /// As [`ParamState::number`].
    pub fn count_step(&mut self) -> Result<u64> {
        let step = self.number("step")?.unwrap_or(0.0) + 1.0;
        self.set_number("step", step);
        Ok(step as u64)
    }

    /// The tensor called `name`; none before the first step.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        match self.0.get(name) {
            Some(Slot::Tensor(tensor)) => Some(tensor),
            _ => None,
        }
    }

    /// Sets the tensor called `name`.
    pub fn set_tensor(&mut self, name: &str, tensor: Tensor) {
        self.0.insert(name.to_string(), Slot::Tensor(tensor));
    }

    /// Forgets what is called `name`.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// The tensor called `name`, which `init` makes if there is none.
    ///
    /// # Errors
    /// Those of `init`.
    pub fn tensor_or(&mut self, name: &str, init: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        if let Some(tensor) = self.tensor(name) {
            return Ok(tensor.clone());
        }
        let tensor = init()?;
        self.set_tensor(name, tensor.clone());
        Ok(tensor)
    }

    /// Everything as tensors that later steps don't change; numbers become 0-d tensors of float64.
    pub(crate) fn to_tensors(&self) -> BTreeMap<String, Tensor> {
        let copy = |slot: &Slot| match slot {
            Slot::Number(x) => Tensor::scalar(*x),
            Slot::Tensor(t) => t.detach(),
        };
        self.0
            .iter()
            .map(|(name, slot)| (name.clone(), copy(slot)))
            .collect()
    }

    /// The inverse of [`ParamState::to_tensors`]; floating point tensors of more than a number get the type in which
    /// `param` is updated.
    pub(crate) fn from_tensors(tensors: &BTreeMap<String, Tensor>, param: &Tensor) -> Result<ParamState> {
        let mut slots = BTreeMap::new();
        for (name, tensor) in tensors {
            let tensor = tensor.detach();
            let keep = tensor.rank() == 0 || !tensor.dtype().is_float();
            let tensor = match keep {
                true => tensor,
                false => tensor.to_dtype(crate::fused::working_dtype(param))?,
            };
            slots.insert(name.clone(), Slot::Tensor(tensor));
        }
        Ok(ParamState(slots))
    }
}

/// An optimiser's whole state as data: what it remembers of each parameter, and each group's hyper-parameters.
///
/// Parameters are numbered through all groups. [`StateDict::save`] writes a `.safetensors` file with tensors called
/// `state.NUMBER.NAME` and the groups as JSON in its metadata.
#[derive(Clone, Debug, Default)]
pub struct StateDict {
    /// Tensors by parameter and name; numbers are 0-d tensors. Parameters that were never updated are absent.
    pub state: BTreeMap<usize, BTreeMap<String, Tensor>>,
    /// Hyper-parameters by PyTorch's names, and `params`, the numbers of the group's parameters.
    pub param_groups: Vec<Map<String, Json>>,
}

/// The metadata's key of the groups.
const GROUPS: &str = "param_groups";

impl StateDict {
    /// Writes the state to a `.safetensors` file, replacing an old one in one step.
    ///
    /// # Errors
    /// `Io` if the file can't be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let groups = serde_json::to_string(&self.param_groups).map_err(json_error)?;
        let metadata = BTreeMap::from([(GROUPS.to_string(), groups)]);
        let tensors = self.state.iter().flat_map(|(number, state)| {
            state
                .iter()
                .map(move |(name, tensor)| (format!("state.{number}.{name}"), tensor))
        });
        safetensors::save_with_metadata(path, tensors, &metadata)
    }

    /// Reads the state from a file that [`StateDict::save`] wrote.
    ///
    /// # Errors
    /// `Io` if the file can't be read, `Format` if it holds something else; both name the file.
    pub fn load(path: impl AsRef<Path>) -> Result<StateDict> {
        let path = path.as_ref();
        let place = |error: Error| error.context(path.display());
        let file = SafeTensorsFile::open(path)?;
        let groups = file.metadata().get(GROUPS);
        let groups = groups.ok_or_else(|| place(Error::Format(format!("no `{GROUPS}` in the metadata"))))?;
        let param_groups = serde_json::from_str(groups).map_err(|e| place(json_error(e)))?;
        let mut state = BTreeMap::<usize, BTreeMap<String, Tensor>>::new();
        for (key, tensor) in file.tensors()? {
            let parts = key.strip_prefix("state.").and_then(|rest| rest.split_once('.'));
            let parts = parts.and_then(|(number, name)| Some((number.parse::<usize>().ok()?, name)));
            let (number, name) =
                parts.ok_or_else(|| place(Error::Format(format!("{key}: expected state.NUMBER.NAME"))))?;
            state.entry(number).or_default().insert(name.to_string(), tensor);
        }
        Ok(StateDict { state, param_groups })
    }

    /// Checks the groups against the numbers of parameters that an optimiser has in each.
    pub(crate) fn check_groups(&self, sizes: &[usize]) -> Result<()> {
        ensure!(
            self.param_groups.len() == sizes.len(),
            Value,
            "loaded state dict has a different number of parameter groups: {}, expected {}",
            self.param_groups.len(),
            sizes.len()
        );
        for (group, &size) in self.param_groups.iter().zip(sizes) {
            let saved = group.get("params").and_then(Json::as_array).map_or(0, Vec::len);
            ensure!(
                saved == size,
                Value,
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group: \
                 {saved} parameters, expected {size}"
            );
        }
        Ok(())
    }
}

/// An error of the JSON library as ours.
pub(crate) fn json_error(error: serde_json::Error) -> Error {
    Error::Format(error.to_string())
}
