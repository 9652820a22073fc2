//! What Stable-Baselines3 saved: a `.zip` in which `policy.pth` is the policy's state dict and `data` its options.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flambeau_hub::pt;
use flambeau_nn::StateDict;
use flambeau_tensor::io::{Unpacked, open, unpacked_limit};
use flambeau_tensor::{Error, Result, bail, ensure};
use serde_json::Value as Json;
use zip::ZipArchive;

use crate::policies::Activation;

/// A model that Stable-Baselines3 saved.
#[derive(Clone, Debug)]
pub struct Model {
    /// The weights of the policy. They say which layers it has.
    pub weights: StateDict,
    /// What lies between its layers, if that is not the policy's default.
    pub activation: Option<Activation>,
}

/// The model in a file that `model.save("…")` of Stable-Baselines3 wrote, for
/// [`ActorCriticPolicy::from_state_dict`](crate::policies::ActorCriticPolicy::from_state_dict) (A2C, PPO),
/// [`DqnPolicy::from_state_dict`](crate::policies::DqnPolicy::from_state_dict) and
/// [`SacPolicy::from_state_dict`](crate::policies::SacPolicy::from_state_dict).
///
/// # Errors
/// `Io` if the file can't be read; `Format` if it is no such archive, or unpacks to more than
/// [`unpacked_limit`] allows; `Unsupported` if an option of the policy has no counterpart here; all name the file.
pub fn load(path: impl AsRef<Path>) -> Result<Model> {
    let path = path.as_ref();
    let place = |error: Error| error.context(path.display());
    let (file, length) = open(path)?;
    let mut archive = ZipArchive::new(file).map_err(|error| place(Error::Format(error.to_string())))?;
    let bytes = entry(&mut archive, "policy.pth", length).map_err(place)?;
    let value = pt::from_bytes(&bytes).map_err(|error| place(error.context("policy.pth")))?;
    let data = entry(&mut archive, "data", length).map_err(place)?;
    let data: Json =
        serde_json::from_slice(&data).map_err(|error| place(Error::Format(format!("data: {error}"))))?;
    Ok(Model {
        weights: value.state_dict().map_err(place)?,
        activation: activation(&data).map_err(place)?,
    })
}

fn entry(archive: &mut ZipArchive<File>, name: &str, length: u64) -> Result<Vec<u8>> {
    let entry = archive.by_name(name).map_err(|_| {
        Error::Format(format!(
            "not a model of Stable-Baselines3: there is no {name} in it"
        ))
    })?;
    let (most, size) = (unpacked_limit(length), entry.size());
    ensure!(
        size <= most,
        Format,
        "{name}: expected at most {most} bytes in a file of {length}, got {size}"
    );
    let mut bytes = Vec::new();
    Unpacked::new(entry, size)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::Format(format!("{name}: {error}")))?;
    Ok(bytes)
}

/// The activation that the options name. Others that change what a policy does have to be those that policies have here.
fn activation(data: &Json) -> Result<Option<Activation>> {
    ensure!(
        data.get("use_sde").and_then(Json::as_bool) != Some(true),
        Unsupported,
        "expected a model that explores by noise on actions, got one with use_sde=True"
    );
    let Some(Json::Object(options)) = data.get("policy_kwargs") else {
        return Ok(None);
    };
    let mut activation = None;
    for (name, value) in options {
        // What is no JSON is there as Python's `str` gives it: "<class 'torch.nn.modules.activation.ELU'>".
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        let class = || {
            text.trim_end_matches("'>")
                .rsplit('.')
                .next()
                .unwrap_or_default()
                .to_string()
        };
        let known = match name.as_str() {
            "activation_fn" => {
                activation = Activation::ALL
                    .into_iter()
                    .find(|known| format!("{known:?}") == class());
                activation.is_some()
            }
            "features_extractor_class" => ["FlattenExtractor", "NatureCNN"].contains(&class().as_str()),
            "normalize_images" => text == "true",
            "use_sde" | "squash_output" => text == "false",
            "n_critics" => text == "2",
            // Found in the weights, or without effect on what has been learnt.
            "net_arch"
            | "features_extractor_kwargs"
            | "share_features_extractor"
            | "ortho_init"
            | "log_std_init"
            | "optimizer_class"
            | "optimizer_kwargs" => true,
            _ => name.starts_with(':'),
        };
        if !known {
            bail!(
                Unsupported,
                "expected a policy of {:?} between its layers and otherwise as Stable-Baselines3 makes it, got {name}={text}",
                Activation::ALL
            );
        }
    }
    Ok(activation)
}
