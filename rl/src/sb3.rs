//! What Stable-Baselines3 saved: a `.zip` in which `policy.pth` is the policy's state dict.

use std::io::Read;
use std::path::Path;

use flambeau_hub::pt;
use flambeau_nn::StateDict;
use flambeau_tensor::io::{Unpacked, open, unpacked_limit};
use flambeau_tensor::{Error, Result, ensure};
use zip::ZipArchive;

/// The policy's weights from a file that `model.save("…")` of Stable-Baselines3 wrote, for
/// [`ActorCriticPolicy::from_state_dict`](crate::policies::ActorCriticPolicy::from_state_dict) (A2C, PPO),
/// [`DqnPolicy::from_state_dict`](crate::policies::DqnPolicy::from_state_dict) and
/// [`SacPolicy::from_state_dict`](crate::policies::SacPolicy::from_state_dict).
///
/// # Errors
/// `Io` if the file can't be read; `Format` if it is no such archive, or unpacks to more than
/// [`unpacked_limit`] allows; all name the file.
pub fn load(path: impl AsRef<Path>) -> Result<StateDict> {
    let path = path.as_ref();
    let place = |error: Error| error.context(path.display());
    let (file, length) = open(path)?;
    let broken = |error: &dyn std::fmt::Display| place(Error::Format(error.to_string()));
    let mut archive = ZipArchive::new(file).map_err(|error| broken(&error))?;
    let entry = archive
        .by_name("policy.pth")
        .map_err(|_| broken(&"not a model of Stable-Baselines3: there is no policy.pth in it"))?;
    let (most, size) = (unpacked_limit(length), entry.size());
    ensure!(
        size <= most,
        Format,
        "{}: policy.pth: expected at most {most} bytes in a file of {length}, got {size}",
        path.display()
    );
    let mut bytes = Vec::new();
    Unpacked::new(entry, size)
        .read_to_end(&mut bytes)
        .map_err(|error| broken(&error))?;
    let value = pt::from_bytes(&bytes).map_err(|error| place(error.context("policy.pth")))?;
    value.state_dict().map_err(place)
}
