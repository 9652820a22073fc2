//! Models from folders as Hugging Face has them: `config.json` and weights; models by the names of their classes.

use std::collections::BTreeMap;
use std::path::Path;

use flambeau_hub::StateDict;
use flambeau_nn::{LoadReport, init};
use flambeau_tensor::{Error, Result, bail};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::*;
use crate::files;

/// A model that is made from a `config.json` and weights.
pub trait Pretrained: TextModel + Sized {
    /// What `config.json` holds.
    type Config: DeserializeOwned;

    /// Under which name its encoder stands in models with a head.
    const BASE: &'static str;

    /// The model with initial weights.
    ///
    /// # Errors
    /// `Value` or `Shape` for a configuration that makes no model.
    fn from_config(config: &Self::Config) -> Result<Self>;

    /// The model of a folder with `config.json` and weights, as Hugging Face has it, ready for use (`eval`). Weights of an
    /// encoder alone and of other heads are found under their names in this model; what is in excess is reported.
    ///
    /// # Errors
    /// `Io` or `Format` with the file's name; `Key` if weights are missing or of other shapes, `Value` if they are not finite.
    fn from_pretrained(folder: impl AsRef<Path>) -> Result<(Self, LoadReport)> {
        let folder = folder.as_ref();
        let config = read_config(folder)?;
        let weights = flambeau_hub::load(folder)?.state_dict()?;
        Self::from_parts(&config, weights).map_err(|error| error.context(folder.display()))
    }

    /// [`Pretrained::from_pretrained`] of what such a folder holds.
    ///
    /// # Errors
    /// `Format`, `Value` or `Shape` for a configuration that makes no model; `Key` if weights are missing or of other
    /// shapes, `Value` if they are not finite.
    fn from_parts(config: &Json, weights: StateDict) -> Result<(Self, LoadReport)> {
        let model = init::skip(|| Self::from_config(&parse(config)?))?;
        let report = load(&model, Self::BASE, weights)?;
        files::check_finite(&model)?;
        model.eval();
        Ok((model, report))
    }
}

/// The file `config.json` of a folder.
///
/// # Errors
/// `Io` if it can't be read, `Format` if it is not JSON, or too long for a configuration.
pub fn read_config(folder: impl AsRef<Path>) -> Result<Json> {
    let path = folder.as_ref().join("config.json");
    let text = files::read_text(&path)?;
    serde_json::from_str(&text).map_err(|error| Error::Format(format!("{}: {error}", path.display())))
}

/// A configuration from JSON. How many labels there are is in `num_labels` or in the names of `id2label`.
///
/// # Errors
/// `Format` for values of other types than the configuration's.
pub fn parse<C: DeserializeOwned>(json: &Json) -> Result<C> {
    let Json::Object(mut object) = json.clone() else {
        bail!(Format, "configuration: expected a JSON object");
    };
    let labels = object
        .get("id2label")
        .and_then(Json::as_object)
        .map(|names| names.len());
    if let (Some(labels), false) = (labels, object.contains_key("num_labels")) {
        object.insert("num_labels".to_string(), labels.into());
    }
    // What is null has its default.
    object.retain(|_, value| !value.is_null());
    serde_json::from_value(Json::Object(object))
        .map_err(|error| Error::Format(format!("configuration: {error}")))
}

/// Gives a model the weights of a checkpoint, whatever stands around the encoder there.
fn load<M: TextModel>(model: &M, base: &str, weights: StateDict) -> Result<LoadReport> {
    let entries = model.state_entries();
    let prefix = format!("{base}.");
    let prefixed = entries.iter().any(|(name, _)| name.starts_with(&prefix));
    let known: BTreeMap<&str, usize> = entries
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.id()))
        .collect();
    let mut dict = StateDict::new();
    for (name, tensor) in weights {
        // Names of the norms' parameters in files of TensorFlow's time.
        let name = match name.rsplit_once('.') {
            Some((stem, "gamma")) => format!("{stem}.weight"),
            Some((stem, "beta")) => format!("{stem}.bias"),
            _ => name,
        };
        let name = match name.strip_prefix(&prefix) {
            Some(rest) if !prefixed => rest.to_string(),
            None if prefixed && !known.contains_key(name.as_str()) => {
                let longer = format!("{prefix}{name}");
                if known.contains_key(longer.as_str()) {
                    longer
                } else {
                    name
                }
            }
            _ => name,
        };
        dict.insert(name, tensor);
    }
    // A tensor that stands in several places may be given in any of them.
    let given: Vec<usize> = dict
        .keys()
        .filter_map(|name| known.get(name.as_str()).copied())
        .collect();
    let missing: Vec<&str> = entries
        .iter()
        .filter(|(name, tensor)| !dict.contains_key(name) && !given.contains(&tensor.id()))
        .map(|(name, _)| name.as_str())
        .collect();
    if let [first, ..] = missing[..] {
        bail!(
            Key,
            "{}: the weights lack {} of {} tensors, such as {first}",
            model.name(),
            missing.len(),
            entries.len()
        );
    }
    let mut report = model.load_state_dict(&dict, false)?;
    report.missing.clear();
    Ok(report)
}

/// A model of the registry.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Hugging Face's name of the class, as `architectures` in `config.json` has it.
    pub name: &'static str,
    /// Makes it from a configuration.
    pub build: fn(&Json) -> Result<Box<dyn TextModel>>,
}

macro_rules! registry {
    ($($name:ident),+ $(,)?) => {
        const MODELS: &[Entry] = &[$(
            Entry {
                name: stringify!($name),
                build: |config| Ok(Box::new(<$name as Pretrained>::from_config(&parse(config)?)?)),
            }
        ),+];
    };
}

registry! {
    AlbertForMaskedLM, AlbertForQuestionAnswering, AlbertForSequenceClassification, AlbertForTokenClassification,
    AlbertModel,
    BertForMaskedLM, BertForQuestionAnswering, BertForSequenceClassification, BertForTokenClassification, BertModel,
    DebertaV2ForMaskedLM, DebertaV2ForQuestionAnswering, DebertaV2ForSequenceClassification,
    DebertaV2ForTokenClassification, DebertaV2Model,
    DistilBertForMaskedLM, DistilBertForQuestionAnswering, DistilBertForSequenceClassification,
    DistilBertForTokenClassification, DistilBertModel,
    ElectraForMaskedLM, ElectraForQuestionAnswering, ElectraForSequenceClassification, ElectraForTokenClassification,
    ElectraModel,
    GPT2ForSequenceClassification, GPT2LMHeadModel, GPT2Model,
    LlamaForCausalLM, LlamaModel,
    RobertaForMaskedLM, RobertaForQuestionAnswering, RobertaForSequenceClassification, RobertaForTokenClassification,
    RobertaModel,
    XLNetForQuestionAnsweringSimple, XLNetForSequenceClassification, XLNetForTokenClassification, XLNetLMHeadModel,
    XLNetModel,
}

/// All models, by name.
pub fn list() -> impl Iterator<Item = &'static Entry> {
    MODELS.iter()
}

/// The model of this name, with initial weights.
///
/// # Errors
/// `Key` if there is none; `Format`, `Value` or `Shape` for a configuration that makes no model.
pub fn create(name: &str, config: &Json) -> Result<Box<dyn TextModel>> {
    match list().find(|entry| entry.name == name) {
        Some(entry) => (entry.build)(config),
        None => bail!(
            Key,
            "models: no model for texts is called {name}; models::list has all names"
        ),
    }
}
