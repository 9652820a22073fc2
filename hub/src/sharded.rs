//! Checkpoints in several files, as Hugging Face stores large ones: shards, and an index of which tensor is where.
//!
//! ```json
//! {"metadata": {"total_size": 13476839424},
//!  "weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors", …}}
//! ```
//!
//! Shards stand in the folder of the index; an index that points elsewhere is refused. What the index does not list is
//! not read.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use flambeau_tensor::io::{io_error, open, safetensors, write_atomically};
use flambeau_tensor::{Error, Result, Tensor, bail, ensure};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Access, Checkpoint, load_shard};
use crate::value::{Dict, Key, StateDict, Value};

/// The longest index that is read.
const MAX_INDEX: u64 = 64 << 20;

/// The file `*.index.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Index {
    #[serde(default)]
    metadata: serde_json::Value,
    /// The name of the file of each tensor.
    weight_map: IndexMap<String, String>,
}

/// Reads the tensors that the index at `path` lists, in its order.
///
/// # Errors
/// `Io` if a file can't be read, `Format` if the index is not one or names a file elsewhere, `Key` if a shard lacks a
/// tensor; and the errors of reading shards. All name the file.
pub(crate) fn load(path: &Path, access: Access) -> Result<Checkpoint> {
    let index = read_index(path).map_err(|error| error.context(path.display()))?;
    let mut names_of: IndexMap<&str, Vec<&String>> = IndexMap::new();
    for (name, shard) in &index.weight_map {
        names_of.entry(shard).or_default().push(name);
    }
    let mut tensors = StateDict::new();
    let mut format = None;
    for (shard, names) in names_of {
        let place = shard_path(path, shard).map_err(|error| error.context(path.display()))?;
        let checkpoint = load_shard(&place, access)?;
        format.get_or_insert(checkpoint.format);
        let mut shard = checkpoint
            .state_dict()
            .map_err(|error| error.context(place.display()))?;
        for name in names {
            let Some(tensor) = shard.remove(name) else {
                bail!(
                    Key,
                    "{}: no tensor `{name}`, which {} says is there",
                    place.display(),
                    path.display()
                )
            };
            tensors.insert(name.clone(), tensor);
        }
    }
    let Some(format) = format else {
        bail!(Format, "{}: the index lists no tensor", path.display())
    };
    let entry = |name: String| {
        tensors
            .remove(&name)
            .map(|tensor| (Key::from(name), tensor.into()))
    };
    let value = Value::Dict(index.weight_map.into_keys().filter_map(entry).collect());
    Ok(Checkpoint {
        format,
        value,
        metadata: metadata(&index.metadata),
    })
}

/// The files that the index at `path` names, each once.
///
/// # Errors
/// Those of [`load`] about the index.
#[cfg(feature = "download")]
pub(crate) fn files_of(path: &Path) -> Result<std::collections::BTreeSet<String>> {
    let files = read_index(path).and_then(|index| {
        let files = index.weight_map.into_values();
        files.map(|file| shard_path(path, &file).map(|_| file)).collect()
    });
    files.map_err(|error| error.context(path.display()))
}

fn read_index(path: &Path) -> Result<Index> {
    let (file, length) = open(path)?;
    ensure!(
        length <= MAX_INDEX,
        Format,
        "an index of {length} bytes; at most {MAX_INDEX} are read"
    );
    let mut text = String::new();
    file.take(MAX_INDEX).read_to_string(&mut text).map_err(io_error)?;
    serde_json::from_str(&text).map_err(|error| Error::Format(format!("not an index of shards: {error}")))
}

/// Where a shard is: beside the index, and nowhere else.
fn shard_path(index: &Path, shard: &str) -> Result<PathBuf> {
    let mut components = Path::new(shard).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(name)), None) if name == shard => Ok(index.with_file_name(name)),
        _ => bail!(
            Format,
            "the shard {shard:?} is not the name of a file in the same folder"
        ),
    }
}

/// The plain entries of the index's metadata.
fn metadata(json: &serde_json::Value) -> Dict {
    let plain = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => Some(Value::from(text.as_str())),
        serde_json::Value::Bool(truth) => Some(Value::Bool(*truth)),
        serde_json::Value::Number(number) => number
            .as_i64()
            .map(Value::Int)
            .or_else(|| number.as_f64().map(Value::Float)),
        _ => None,
    };
    let entries = json.as_object().into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.as_str().into(), plain(value)?)))
        .collect()
}

/// Writes tensors to `.safetensors` files of at most `max_shard_bytes` of elements each in a folder, with the names that
/// Hugging Face gives them: `model.safetensors` if one is enough, else `model-00001-of-00003.safetensors` and so on, and
/// `model.safetensors.index.json`. A tensor that is larger has a file of its own. Tensors stay in the given order.
///
/// Each file is replaced in one step, the index last; the index that stood there before is removed first, so that
/// it never points to shards of different checkpoints.
///
/// # Errors
/// `Io` if a file can't be written, `Key` if a name comes twice, `Value` if `max_shard_bytes` is 0.
///
/// ```
/// use flambeau_hub::{load, save_sharded};
/// use flambeau_tensor::{DType, Result, Tensor};
///
/// fn main() -> Result<()> {
///     let folder = std::env::temp_dir().join(format!("flambeau-sharded-{}", std::process::id()));
///     let (a, b) = (Tensor::ones(3, DType::F32)?, Tensor::ones(2, DType::F32)?);
///     save_sharded(&folder, [("a", &a), ("b", &b)], 12, &Default::default())?;
///     let both = load(&folder)?.state_dict()?;
///     assert_eq!(both["b"].to_vec::<f32>()?, [1.0, 1.0]);
///     assert!(folder.join("model-00002-of-00002.safetensors").exists());
/// #   std::fs::remove_dir_all(folder).ok();
///     Ok(())
/// }
/// ```
pub fn save_sharded<'a, S: AsRef<str>>(
    folder: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (S, &'a Tensor)>,
    max_shard_bytes: u64,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let folder = folder.as_ref();
    ensure!(
        max_shard_bytes > 0,
        Value,
        "save_sharded: shards of at most 0 bytes"
    );
    let tensors: Vec<(S, &Tensor)> = tensors.into_iter().collect();
    let shards = cut(&tensors, max_shard_bytes);
    std::fs::create_dir_all(folder).map_err(|error| io_error(error).context(folder.display()))?;
    let index_path = folder.join("model.safetensors.index.json");
    remove_if_there(&index_path)?;
    if let [_] | [] = shards.as_slice() {
        let named = tensors.iter().map(|(name, tensor)| (name.as_ref(), *tensor));
        return safetensors::save_with_metadata(folder.join("model.safetensors"), named, metadata);
    }
    // A file of the same folder that stands for all tensors would be found first.
    remove_if_there(&folder.join("model.safetensors"))?;
    let mut weight_map = IndexMap::new();
    for (number, shard) in shards.iter().enumerate() {
        let file = format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
        let named = shard.iter().map(|(name, tensor)| (name.as_ref(), *tensor));
        safetensors::save_with_metadata(folder.join(&file), named, metadata)?;
        for (name, _) in *shard {
            let twice = weight_map
                .insert(name.as_ref().to_string(), file.clone())
                .is_some();
            ensure!(
                !twice,
                Key,
                "save_sharded: the name `{}` is given twice",
                name.as_ref()
            );
        }
    }
    let total: u64 = tensors.iter().map(|(_, tensor)| bytes(tensor)).sum();
    let index = Index {
        metadata: serde_json::json!({ "total_size": total }),
        weight_map,
    };
    write_atomically(index_path, |writer| {
        serde_json::to_writer_pretty(writer, &index).map_err(|error| Error::Io(error.to_string()))
    })
}

/// Cuts a list of tensors where the next one would not fit.
fn cut<'t, S>(mut tensors: &'t [(S, &Tensor)], most: u64) -> Vec<&'t [(S, &'t Tensor)]> {
    let mut shards = Vec::new();
    while !tensors.is_empty() {
        let mut sum = 0u64;
        let fits = tensors.iter().take_while(|(_, tensor)| {
            sum = sum.saturating_add(bytes(tensor));
            sum <= most
        });
        let (shard, rest) = tensors.split_at(fits.count().max(1));
        shards.push(shard);
        tensors = rest;
    }
    shards
}

fn bytes(tensor: &Tensor) -> u64 {
    tensor.numel() as u64 * tensor.dtype().size_in_bytes() as u64
}

fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io_error(error).context(path.display()))
        }
        _ => Ok(()),
    }
}

/// The file of a folder that has the weights, under the names that Hugging Face gives them.
pub(crate) fn file_in(folder: &Path) -> Result<PathBuf> {
    const NAMES: [&str; 4] = [
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
    ];
    let found = NAMES
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.exists());
    found.ok_or_else(|| {
        Error::Io(format!(
            "{}: the folder has none of {}",
            folder.display(),
            NAMES.join(", ")
        ))
    })
}

/// Whether a file begins as an index does.
pub(crate) fn is_index(start: &[u8]) -> bool {
    start.trim_ascii_start().first() == Some(&b'{')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_beside_the_index() -> Result<()> {
        let index = Path::new("/models/x/model.safetensors.index.json");
        assert_eq!(
            shard_path(index, "a.safetensors")?,
            Path::new("/models/x/a.safetensors")
        );
        for elsewhere in ["../a", "/etc/passwd", "b/a", "", ".", "..", "a/", "./a"] {
            assert!(shard_path(index, elsewhere).is_err(), "{elsewhere}");
        }
        Ok(())
    }
}
