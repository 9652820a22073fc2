//! [`load`]: one door for all formats.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flambeau_tensor::io::{npy, npz, safetensors};
use flambeau_tensor::{Error, Result, bail};

use crate::value::{Dict, StateDict, Value};

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// `.safetensors`.
    SafeTensors,
    /// `.npy`.
    Npy,
    /// `.npz`.
    Npz,
}

/// What a file holds.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The format that was found.
    pub format: Format,
    /// The content.
    pub value: Value,
    /// Texts and numbers about the content, where the format has them.
    pub metadata: Dict,
}

/// Keys under which training scripts put the weights of the model beside other things, the most telling first.
const WRAPPERS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

impl Checkpoint {
    /// The weights by dotted name. A file that a training script wrote has them beside the optimiser's state and more,
    /// under `state_dict`, `model_state_dict` or `model`: if there is no tensor on the first level, but such an entry,
    /// its tensors are given, without the entry's name. `checkpoint.value.state_dict()` gives all tensors of the file.
    ///
    /// # Errors
    /// `Key` if two tensors have the same name.
    pub fn state_dict(&self) -> Result<StateDict> {
        self.weights().state_dict()
    }

    fn weights(&self) -> &Value {
        let flat = |dict: &Dict| dict.values().any(|value| value.as_tensor().is_some());
        match &self.value {
            Value::Dict(dict) if !flat(dict) => WRAPPERS
                .iter()
                .find_map(|name| dict.get(*name).filter(|value| value.as_dict().is_some()))
                .unwrap_or(&self.value),
            value => value,
        }
    }
}

/// Reads the file at `path`, whose format is found by its content.
///
/// # Errors
/// `Io` if the file can't be read, `Format` if its format is not known or it does not follow it, `Unsupported` for
/// what tensors lack; all name the file, and the key where it is one value's fault.
pub fn load(path: impl AsRef<Path>) -> Result<Checkpoint> {
    let path = path.as_ref();
    let start = first_bytes(path).map_err(|error| Error::Io(format!("{}: {error}", path.display())))?;
    let (format, value) = match start.as_slice() {
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => (Format::Npy, npy::read(path)?.into()),
        [b'P', b'K', 3 | 5, 4 | 6, ..] => (Format::Npz, npz::read(path)?.into()),
        [_, _, _, _, _, _, _, _, b'{', ..] => (Format::SafeTensors, safetensors::load(path)?.into()),
        _ => bail!(Format, "{}: not a checkpoint of a known format", path.display()),
    };
    Ok(Checkpoint {
        format,
        value,
        metadata: Dict::new(),
    })
}

/// Up to sixteen bytes.
fn first_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::open(path)?.take(16).read_to_end(&mut start)?;
    Ok(start)
}
