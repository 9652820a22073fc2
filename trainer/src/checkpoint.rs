//! Everything a run depends on in one file.

use std::collections::BTreeMap;
use std::path::Path;

use flambeau_optim::StateDict as OptimizerState;
use flambeau_tensor::io::safetensors::{self, SafeTensorsFile};
use flambeau_tensor::{Error, Result, Tensor, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// What a run depends on: the tensors of its models, the state of its optimisers, and values such as the state of a schedule,
/// of a loader and of random generators, each under a name.
///
/// The file is a `.safetensors` file: tensors are called `NAME.KEY`, and the values are JSON in its metadata. It is written
/// to a temporary file and renamed, so that a kill at any instant leaves the old one or the new one.
///
/// ```
/// use flambeau_nn::{Linear, LinearOptions, Module};
/// use flambeau_optim::{Adam, AdamOptions, Optimizer};
/// use flambeau_tensor::{Result, random};
/// use flambeau_trainer::Checkpoint;
///
/// # fn main() -> Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("last.safetensors");
/// let model = Linear::new(4, 2, LinearOptions::default())?;
/// let mut optimizer = Adam::new(model.parameters(), AdamOptions::default())?;
///
/// let mut checkpoint = Checkpoint::new();
/// checkpoint.set_tensors("model", model.state_dict())?;
/// checkpoint.set_optimizer("optimizer", &optimizer.state_dict()?)?;
/// checkpoint.set("epoch", &3)?;
/// checkpoint.save(&path)?;
///
/// let checkpoint = Checkpoint::load(&path)?;
/// model.load_state_dict(&checkpoint.tensors("model")?, true)?;
/// optimizer.load_state_dict(&checkpoint.optimizer("optimizer")?)?;
/// assert_eq!(checkpoint.get::<u32>("epoch")?, 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    tensors: BTreeMap<String, BTreeMap<String, Tensor>>,
    values: serde_json::Map<String, Json>,
    /// The file that it was read from, for errors.
    file: Option<String>,
}

/// The metadata's key of the values.
const VALUES: &str = "checkpoint";
/// What an optimiser's groups are called among the values, after its name.
const GROUPS: &str = "param_groups";

impl Checkpoint {
    /// One that holds nothing yet.
    pub fn new() -> Checkpoint {
        Checkpoint::default()
    }

    /// Puts in tensors, such as a module's `state_dict()`.
    ///
    /// # Errors
    /// `Key` if the name is taken, empty or has a dot.
    pub fn set_tensors(
        &mut self,
        name: &str,
        tensors: impl IntoIterator<Item = (String, Tensor)>,
    ) -> Result<()> {
        self.check_new(name)?;
        self.tensors
            .insert(name.to_string(), tensors.into_iter().collect());
        Ok(())
    }

    /// Puts in an optimiser's state.
    ///
    /// # Errors
    /// As [`Checkpoint::set_tensors`].
    pub fn set_optimizer(&mut self, name: &str, state: &OptimizerState) -> Result<()> {
        let tensors = state.state.iter().flat_map(|(number, slots)| {
            slots
                .iter()
                .map(move |(slot, tensor)| (format!("{number}.{slot}"), tensor.clone()))
        });
        self.set_tensors(name, tensors)?;
        let groups = state.param_groups.iter().cloned().map(Json::Object).collect();
        self.values.insert(format!("{name}.{GROUPS}"), groups);
        Ok(())
    }

    /// Puts in a value.
    ///
    /// # Errors
    /// As [`Checkpoint::set_tensors`]; `Format` if it can't be written as JSON.
    pub fn set<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<()> {
        self.check_new(name)?;
        let value = serde_json::to_value(value)
            .map_err(|error| Error::Format(format!("checkpoint: {name}: {error}")))?;
        self.values.insert(name.to_string(), value);
        Ok(())
    }

    /// The tensors of that name.
    ///
    /// # Errors
    /// `Key` if there are none.
    pub fn tensors(&self, name: &str) -> Result<BTreeMap<String, Tensor>> {
        let names = || self.tensors.keys().cloned().collect();
        self.tensors
            .get(name)
            .cloned()
            .ok_or_else(|| self.missing(name, names()))
    }

    /// The optimiser's state of that name.
    ///
    /// # Errors
    /// `Key` if there is none, `Format` if it is something else.
    pub fn optimizer(&self, name: &str) -> Result<OptimizerState> {
        let param_groups = self.get(&format!("{name}.{GROUPS}"))?;
        let mut state = BTreeMap::<usize, BTreeMap<String, Tensor>>::new();
        // An optimiser that has not taken a step remembers nothing.
        for (key, tensor) in self.tensors.get(name).into_iter().flatten() {
            let parts = key.split_once('.');
            let parts = parts.and_then(|(number, slot)| Some((number.parse::<usize>().ok()?, slot)));
            let Some((number, slot)) = parts else {
                return Err(self.place(Error::Format(format!(
                    "{name}.{key}: expected {name}.NUMBER.NAME"
                ))));
            };
            state
                .entry(number)
                .or_default()
                .insert(slot.to_string(), tensor.clone());
        }
        Ok(OptimizerState { state, param_groups })
    }

    /// The value of that name.
    ///
    /// # Errors
    /// `Key` if there is none, `Format` if it has another type.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let names = || self.values.keys().cloned().collect();
        let value = self.values.get(name).ok_or_else(|| self.missing(name, names()))?;
        serde_json::from_value(value.clone())
            .map_err(|error| self.place(Error::Format(format!("{name}: {error}"))))
    }

    /// Writes the file, replacing an old one in one step.
    ///
    /// # Errors
    /// `Io` if it can't be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let tensors = self.tensors.iter().flat_map(|(name, tensors)| {
            tensors
                .iter()
                .map(move |(key, tensor)| (format!("{name}.{key}"), tensor))
        });
        let values = Json::Object(self.values.clone()).to_string();
        let metadata = BTreeMap::from([(VALUES.to_string(), values)]);
        safetensors::save_with_metadata(path, tensors, &metadata)
    }

    /// Reads a file that [`Checkpoint::save`] wrote.
    ///
    /// # Errors
    /// `Io` if it can't be read, `Format` if it is something else; both name the file.
    pub fn load(path: impl AsRef<Path>) -> Result<Checkpoint> {
        let path = path.as_ref();
        let mut checkpoint = Checkpoint {
            file: Some(path.display().to_string()),
            ..Checkpoint::default()
        };
        let file = SafeTensorsFile::open(path)?;
        let Some(values) = file.metadata().get(VALUES) else {
            let text = format!("not a checkpoint: its metadata has no `{VALUES}`");
            return Err(checkpoint.place(Error::Format(text)));
        };
        checkpoint.values = serde_json::from_str(values)
            .map_err(|error| checkpoint.place(Error::Format(error.to_string())))?;
        for (full, tensor) in file.tensors()? {
            let Some((name, key)) = full.split_once('.') else {
                return Err(checkpoint.place(Error::Format(format!("{full}: expected NAME.KEY"))));
            };
            let part = checkpoint.tensors.entry(name.to_string()).or_default();
            part.insert(key.to_string(), tensor);
        }
        Ok(checkpoint)
    }

    fn check_new(&self, name: &str) -> Result<()> {
        ensure!(
            !name.is_empty() && !name.contains('.'),
            Key,
            "checkpoint: expected a name without dots, got {name:?}"
        );
        ensure!(
            !self.tensors.contains_key(name) && !self.values.contains_key(name),
            Key,
            "checkpoint: {name:?} is in it already"
        );
        Ok(())
    }

    fn missing(&self, name: &str, names: Vec<String>) -> Error {
        self.place(Error::Key(format!(
            "no {name:?} in the checkpoint, which has {names:?}"
        )))
    }

    fn place(&self, error: Error) -> Error {
        match &self.file {
            Some(file) => error.context(file),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_autograd::Backward;
    use flambeau_optim::{Optimizer, SGD, SGDOptions};

    fn parameter() -> Tensor {
        Tensor::new([1.0f32, -2.0]).unwrap().requires_grad(true).unwrap()
    }

    fn step(parameter: &Tensor, optimizer: &mut SGD) {
        optimizer.zero_grad();
        parameter.square().unwrap().sum().unwrap().backward().unwrap();
        optimizer.step().unwrap();
    }

    fn sgd(parameter: &Tensor) -> SGD {
        let options = SGDOptions {
            lr: 0.1,
            momentum: 0.9,
            ..SGDOptions::default()
        };
        SGD::new([parameter.clone()], options).unwrap()
    }

    #[test]
    fn a_run_goes_on_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last.safetensors");
        let parameter_a = parameter();
        let mut optimizer_a = sgd(&parameter_a);
        step(&parameter_a, &mut optimizer_a);
        let mut checkpoint = Checkpoint::new();
        checkpoint
            .set_tensors("model", [("weight".to_string(), parameter_a.detach())])
            .unwrap();
        checkpoint
            .set_optimizer("optimizer", &optimizer_a.state_dict().unwrap())
            .unwrap();
        checkpoint.set("history", &[0.1 + 0.2, 1e-300]).unwrap();
        checkpoint.save(&path).unwrap();
        step(&parameter_a, &mut optimizer_a);

        let checkpoint = Checkpoint::load(&path).unwrap();
        let parameter_b = parameter();
        let saved = &checkpoint.tensors("model").unwrap()["weight"];
        flambeau_tensor::no_grad(|| parameter_b.copy_(saved).map(|_| ())).unwrap();
        let mut optimizer_b = sgd(&parameter_b);
        optimizer_b
            .load_state_dict(&checkpoint.optimizer("optimizer").unwrap())
            .unwrap();
        step(&parameter_b, &mut optimizer_b);
        assert_eq!(
            parameter_b.to_vec::<f32>().unwrap(),
            parameter_a.to_vec::<f32>().unwrap()
        );
        assert_eq!(
            checkpoint.get::<Vec<f64>>("history").unwrap(),
            [0.1 + 0.2, 1e-300]
        );
    }

    #[test]
    fn an_optimiser_without_a_step_is_kept_too() {
        let optimizer = sgd(&parameter());
        let mut checkpoint = Checkpoint::new();
        checkpoint
            .set_optimizer("optimizer", &optimizer.state_dict().unwrap())
            .unwrap();
        assert_eq!(checkpoint.optimizer("optimizer").unwrap().param_groups.len(), 1);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last.safetensors");
        let mut checkpoint = Checkpoint::new();
        checkpoint.set("epoch", &3).unwrap();
        assert!(checkpoint.set("epoch", &4).is_err());
        assert!(checkpoint.set("a.b", &4).is_err());
        checkpoint.save(&path).unwrap();
        let checkpoint = Checkpoint::load(&path).unwrap();
        let text = checkpoint.get::<i64>("step").unwrap_err().to_string();
        assert!(
            text.contains("last.safetensors") && text.contains(r#"no "step" in the checkpoint"#),
            "{text}"
        );
        assert!(text.contains("epoch"), "{text}");
        assert!(checkpoint.get::<String>("epoch").is_err());
        assert!(checkpoint.tensors("model").is_err());
        safetensors::save(&path, [("x", &parameter())]).unwrap();
        let text = Checkpoint::load(&path).unwrap_err().to_string();
        assert!(text.contains("not a checkpoint"), "{text}");
    }
}
