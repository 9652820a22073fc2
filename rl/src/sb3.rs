//! What Stable-Baselines3 saved: a `.zip` in which `policy.pth` is the policy's state dict.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flambeau_hub::pt;
use flambeau_nn::StateDict;
use flambeau_tensor::io::io_error;
use flambeau_tensor::{Error, Result, ensure};
use zip::ZipArchive;

/// More than this is no policy.
const LARGEST: u64 = 1 << 32;

/// The policy's weights from a file that `model.save("…")` of Stable-Baselines3 wrote, for
/// [`ActorCriticPolicy::from_state_dict`](crate::policies::ActorCriticPolicy::from_state_dict) (A2C, PPO),
/// [`DqnPolicy::from_state_dict`](crate::policies::DqnPolicy::from_state_dict) and
/// [`SacPolicy::from_state_dict`](crate::policies::SacPolicy::from_state_dict).
///
/// # Errors
/// `Io` if the file can't be read; `Format` if it is no such archive; all name the file.
pub fn load(path: impl AsRef<Path>) -> Result<StateDict> {
    let path = path.as_ref();
    let place = |error: Error| error.context(path.display());
    let file = File::open(path).map_err(|error| place(io_error(error)))?;
    let broken = |error: &dyn std::fmt::Display| place(Error::Format(error.to_string()));
    let mut archive = ZipArchive::new(file).map_err(|error| broken(&error))?;
    let entry = archive
        .by_name("policy.pth")
        .map_err(|_| broken(&"not a model of Stable-Baselines3: there is no policy.pth in it"))?;
    ensure!(
        entry.size() <= LARGEST,
        Format,
        "{}: policy.pth: expected at most {LARGEST} bytes, got {}",
        path.display(),
        entry.size()
    );
    let mut bytes = Vec::new();
    entry
        .take(LARGEST)
        .read_to_end(&mut bytes)
        .map_err(|error| broken(&error))?;
    let value = pt::from_bytes(&bytes).map_err(|error| place(error.context("policy.pth")))?;
    value.state_dict().map_err(place)
}
