//! [`load`] and [`save`]: one door for all formats.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use flambeau_tensor::io::npz::Compression;
use flambeau_tensor::io::safetensors::{self, SafeTensorsFile};
use flambeau_tensor::io::{io_error, npy, npz, open};
use flambeau_tensor::{Result, bail};

use crate::value::{Dict, StateDict, Value};
use crate::{gguf, pt, sharded};

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// `.safetensors`.
    SafeTensors,
    /// PyTorch's, zip or legacy.
    Pt,
    /// GGUF, which is read only.
    Gguf,
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
    /// The weights by dotted name: the tensors of [`Checkpoint::weights`]. `checkpoint.value.state_dict()` gives all
    /// tensors of the file.
    ///
    /// # Errors
    /// `Key` if two tensors have the same name.
    pub fn state_dict(&self) -> Result<StateDict> {
        self.weights().state_dict()
    }

    /// The part of the content that is the model's weights. A file that a training script wrote has them beside the
    /// optimiser's state and more, under `state_dict`, `model_state_dict` or `model`: if there is no tensor on the first
    /// level, but such an entry, it is that entry. Else it is the whole content.
    pub fn weights(&self) -> &Value {
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

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::SafeTensors => "safetensors",
            Format::Pt => "PyTorch",
            Format::Gguf => "GGUF",
            Format::Npy => "npy",
            Format::Npz => "npz",
        })
    }
}

/// Reads the file at `path`, whose format is found by its content, not by its name: `.safetensors`, PyTorch's files,
/// GGUF, `.npy`, `.npz`, or an index of shards (`model.safetensors.index.json`). Of a folder, the file that Hugging Face
/// would have put there is read: `model.safetensors` or `pytorch_model.bin` or their indexes.
///
/// # Errors
/// `Io` if the file can't be read, `Format` if its format is not known or it does not follow it, `Unsupported` for
/// what tensors lack; all name the file, and the key where it is one value's fault.
pub fn load(path: impl AsRef<Path>) -> Result<Checkpoint> {
    find(path.as_ref(), Access::Read)
}

fn find(path: &Path, access: Access) -> Result<Checkpoint> {
    if path.is_dir() {
        return find(&sharded::file_in(path)?, access);
    }
    let (file, start) = first_bytes(path)?;
    match format_of(&file, &start).map_err(|error| error.context(path.display()))? {
        Some(format) => read(path, format, access),
        None if sharded::is_index(&start) => sharded::load(path, access),
        None => bail!(Format, "{}: not a checkpoint of a known format", path.display()),
    }
}

/// As [`load`], but tensors of `.safetensors` files are mapped, not read: a large checkpoint, sharded or not, is there at once,
/// and takes no memory beyond the system's cache of its files. See [`SafeTensorsFile::open_mapped`].
///
/// # Safety
/// As long as there are tensors of the checkpoint, nobody changes or shortens its files.
///
/// # Errors
/// As [`load`].
pub unsafe fn load_mapped(path: impl AsRef<Path>) -> Result<Checkpoint> {
    find(path.as_ref(), Access::Mapped)
}

/// How tensors come from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    /// Whoever asks for it vouches for the files.
    Mapped,
}

/// Reads a file that an index names, and which can't be an index itself.
pub(crate) fn load_shard(path: &Path, access: Access) -> Result<Checkpoint> {
    let (file, start) = first_bytes(path)?;
    match format_of(&file, &start).map_err(|error| error.context(path.display()))? {
        Some(format) => read(path, format, access),
        None => bail!(Format, "{}: not a checkpoint of a known format", path.display()),
    }
}

fn first_bytes(path: &Path) -> Result<(File, Vec<u8>)> {
    let (file, _) = open(path)?;
    let mut start = Vec::new();
    match (&file).take(16).read_to_end(&mut start) {
        Ok(_) => Ok((file, start)),
        Err(error) => Err(io_error(error).context(path.display())),
    }
}

/// The format of a file that begins with `start`.
fn format_of(file: &File, start: &[u8]) -> Result<Option<Format>> {
    Ok(match start {
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Some(Format::Npy),
        [b'G', b'G', b'U', b'F', ..] => Some(Format::Gguf),
        [b'P', b'K', ..] if pt::is_archive(file)? => Some(Format::Pt),
        [b'P', b'K', ..] => Some(Format::Npz),
        [0x80, 2..=5, ..] => Some(Format::Pt),
        // The length of the header, which is below 2^32, and the header.
        [_, _, _, _, 0, 0, 0, 0, b'{', ..] => Some(Format::SafeTensors),
        _ => None,
    })
}

fn read(path: &Path, format: Format, access: Access) -> Result<Checkpoint> {
    let mut metadata = Dict::new();
    let value = match format {
        Format::SafeTensors => {
            let file = match access {
                Access::Read => SafeTensorsFile::open(path)?,
                // SAFETY: whoever asked for it vouched for the files.
                Access::Mapped => unsafe { SafeTensorsFile::open_mapped(path) }?,
            };
            let text = |(key, text): (&String, &String)| (key.as_str().into(), text.as_str().into());
            metadata = file.metadata().iter().map(text).collect();
            file.tensors()?.into()
        }
        Format::Pt => pt::load(path)?,
        Format::Gguf => {
            let (value, about) = gguf::load(path)?;
            metadata = about;
            value
        }
        Format::Npy => npy::read(path)?.into(),
        Format::Npz => npz::read(path)?.into(),
    };
    Ok(Checkpoint {
        format,
        value,
        metadata,
    })
}

/// Writes a value to a file at `path`, in the format that the name's ending says: `.safetensors`, `.npz` and `.npy`
/// keep tensors only, under the names of [`Value::tensors`]; `.pt`, `.pth`, `.bin` and `.ckpt` keep everything. The old
/// file is replaced in one step.
///
/// # Errors
/// `Io` if the file can't be written, `Unsupported` if the ending is another one or the format lacks an element type,
/// `Key` if two tensors have the same name, `Value` if a `.npy` file is to hold anything but one tensor; all name the
/// file.
pub fn save(path: impl AsRef<Path>, value: &Value) -> Result<()> {
    let path = path.as_ref();
    let named = || value.state_dict().map_err(|error| error.context(path.display()));
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("safetensors") => {
            // Loaders of Hugging Face ask whose layout tensors have.
            let metadata = BTreeMap::from([("format".to_string(), "pt".to_string())]);
            safetensors::save_with_metadata(path, &named()?, &metadata)
        }
        Some("pt" | "pth" | "bin" | "ckpt") => pt::save(path, value),
        Some("npz") => npz::write(path, &named()?, Compression::Stored),
        Some("npy") => match value.tensors().as_slice() {
            [(_, tensor)] => npy::write(path, tensor),
            tensors => bail!(
                Value,
                "{}: a .npy file holds one tensor, not {}",
                path.display(),
                tensors.len()
            ),
        },
        _ => bail!(
            Unsupported,
            "{}: expected a name that ends in .safetensors, .pt, .pth, .bin, .ckpt, .npz or .npy",
            path.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::{DType, Tensor};

    #[test]
    fn weights_are_found_beside_other_things() -> Result<()> {
        let tensor = Tensor::zeros(2, DType::F32)?;
        let weights: Value = [("w", tensor.clone())].into_iter().collect();
        let checkpoint = |value| Checkpoint {
            format: Format::Pt,
            value,
            metadata: Dict::new(),
        };
        let names =
            |value| -> Result<Vec<String>> { Ok(checkpoint(value).state_dict()?.into_keys().collect()) };

        assert_eq!(names(weights.clone())?, ["w"]);
        let training: Value = [("optimizer", weights.clone()), ("model", weights.clone())]
            .into_iter()
            .collect();
        assert_eq!(names(training)?, ["w"]);
        let nested: Value = [("encoder", weights.clone()), ("decoder", weights.clone())]
            .into_iter()
            .collect();
        assert_eq!(names(nested)?, ["decoder.w", "encoder.w"]);
        // A module that is called `model`, beside a tensor.
        let module: Value = [("model", weights), ("bias", tensor.into())]
            .into_iter()
            .collect();
        assert_eq!(names(module)?, ["bias", "model.w"]);
        Ok(())
    }
}
