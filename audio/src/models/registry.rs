//! All models by name. A family lists its models in a table `MODELS`, which stands in `FAMILIES`.

use flambeau_nn::Forward;
use flambeau_tensor::{Result, bail};

use crate::functional::edit_distance;

/// A model of the registry.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub task: &'static str,
    /// How many numbers are learnt.
    pub parameters: usize,
    /// The shape of an input that it takes.
    pub input: &'static [usize],
    /// Makes it, with initial weights.
    pub build: fn() -> Result<Box<dyn Forward>>,
}

/// The families, in the order in which they are listed.
const FAMILIES: &[&[Entry]] = &[
    super::crepe::MODELS,
    super::ds_cnn::MODELS,
    super::lstm_ctc::MODELS,
    super::m5::MODELS,
    super::silero_vad::MODELS,
];

/// All models.
pub fn list() -> impl Iterator<Item = &'static Entry> {
    FAMILIES.iter().copied().flatten()
}

/// The model of this name.
///
/// # Errors
/// `Key` if there is none, with the name that comes closest.
pub fn entry(name: &str) -> Result<&'static Entry> {
    if let Some(entry) = list().find(|entry| entry.name == name) {
        return Ok(entry);
    }
    let letters = |text: &str| text.chars().collect::<Vec<char>>();
    let closest = list().min_by_key(|entry| edit_distance(&letters(name), &letters(entry.name)));
    bail!(
        Key,
        "models: no model is called {name}; the closest name is {}",
        closest.map_or("", |entry| entry.name)
    )
}

/// Makes the model of this name, with initial weights.
///
/// # Errors
/// `Key` if there is none.
pub fn create(name: &str) -> Result<Box<dyn Forward>> {
    (entry(name)?.build)()
}
