//! What PyTorch and the package gguf wrote (`tests/scripts`) is read as they read it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flambeau_hub::{Format, Key, Value, gguf, load, pt};
use flambeau_tensor::{DType, Error, Result, Tensor};
use indexmap::IndexMap;

use super::{bytes, golden};

/// What a script wrote down of a tensor.
#[derive(Debug, PartialEq, serde::Deserialize)]
struct Facts {
    dtype: String,
    shape: Vec<usize>,
    crc32: u32,
}

fn facts(tensor: &Tensor) -> Facts {
    Facts {
        dtype: tensor.dtype().to_string(),
        shape: tensor.shape().to_vec(),
        crc32: crc32fast::hash(&bytes(tensor)),
    }
}

/// For each file what is expected of its tensors, in the order of the file.
fn expected(name: &str) -> BTreeMap<String, IndexMap<String, Facts>> {
    serde_json::from_reader(std::fs::File::open(golden(name)).unwrap()).unwrap()
}

fn assert_as_expected(path: &Path, expected: &IndexMap<String, Facts>, ordered: bool) {
    let checkpoint = load(path).unwrap();
    let tensors = checkpoint.value.tensors();
    let names: Vec<&String> = tensors.iter().map(|(name, _)| name).collect();
    let mut wanted: Vec<&String> = expected.keys().collect();
    if !ordered {
        wanted.sort();
    }
    assert_eq!(names, wanted, "{}", path.display());
    for (name, tensor) in &tensors {
        assert_eq!(facts(tensor), expected[name], "{}: {name}", path.display());
    }
}

#[test]
fn files_of_pytorch() {
    let expected = expected("expected.json");
    assert_eq!(expected.len(), 9);
    for (name, tensors) in &expected {
        assert_as_expected(&golden(name), tensors, true);
    }
}

/// The pretrained weights that PyTorch's programs use, where they are: `FLAMBEAU_SHARED` or `../shared`.
#[test]
fn pretrained_weights() {
    let shared = std::env::var_os("FLAMBEAU_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    for (name, tensors) in &expected("weights.json") {
        let path = shared.join("assets/weights").join(name);
        if path.exists() {
            let sorted = [".safetensors", ".npz"]
                .iter()
                .any(|ending| name.ends_with(ending));
            assert_as_expected(&path, tensors, !sorted);
        } else {
            assert!(
                std::env::var_os("FLAMBEAU_SHARED").is_none(),
                "{} is missing",
                path.display()
            );
        }
    }
}

#[test]
fn quantised_tensors_of_gguf() {
    for (name, tensors) in &expected("gguf.json") {
        assert_as_expected(&golden(name), tensors, true);
    }
}

#[test]
fn metadata_and_alignment_of_gguf() -> Result<()> {
    let checkpoint = load(golden("quants.gguf"))?;
    assert_eq!(checkpoint.format, Format::Gguf);
    let metadata = &checkpoint.metadata;
    let integer = |key: &str| metadata[key].as_i64();
    assert_eq!(metadata["general.name"].as_str(), Some("every kind"));
    assert_eq!(
        ["n.u8", "n.i8", "n.u16", "n.i16", "n.u32", "n.i32"].map(|key| integer(key).unwrap()),
        [255, -1, 65535, -2, 4294967295, -3]
    );
    assert_eq!(
        (integer("n.u64"), integer("n.i64")),
        (Some(i64::MAX), Some(i64::MIN))
    );
    assert_eq!(
        (metadata["n.f32"].as_f64(), metadata["n.f64"].as_f64()),
        (Some(0.5), Some(0.1))
    );
    assert_eq!(metadata["n.bool"].as_bool(), Some(true));
    let texts: Vec<_> = metadata["a.texts"]
        .as_list()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect();
    assert_eq!(texts, ["a", "", "ü"]);
    let array = |key: &str| metadata[key].as_tensor().unwrap().to_vec_f64();
    assert_eq!(array("a.integers")?, [1.0, 2.0, 3.0]);
    assert_eq!(array("a.floats")?, [0.5, -1.5]);
    assert_eq!(array("a.truths")?, [1.0, 0.0]);

    let mut file = gguf::GgufFile::open(golden("aligned.gguf"))?;
    assert_eq!(file.names(), ["x", "y", "z"]);
    assert_eq!(file.tensor("y")?.to_vec::<f32>()?, [0.0, 1.0, 2.0, 3.0]);
    assert_eq!((file.shape("z")?, file.kind("z")?), (&[1, 32][..], "IQ4_NL"));
    let error = file.tensor("z").unwrap_err();
    assert!(
        matches!(&error, Error::Unsupported(text) if text.contains("`z`") && text.contains("IQ4_NL")),
        "{error}"
    );
    Ok(())
}

#[test]
fn tensors_of_one_storage_share_memory() -> Result<()> {
    for name in ["views_zip.pt", "views_legacy.pt"] {
        let value = load(golden(name))?.value;
        let get = |key: &str| value.get(key).unwrap().as_tensor().unwrap();
        let base = get("base");
        for view in ["transposed", "part", "offset", "windows", "tied"] {
            assert_eq!(get(view).storage_id(), base.storage_id(), "{name}: {view}");
        }
        assert_eq!(get("transposed").strides(), [1, 6]);
        assert_eq!(get("repeated").strides(), [1, 0]);
        assert_eq!(get("repeated_all").strides(), [0, 0]);
        assert_eq!(get("channels_last").strides(), [16, 1, 8, 2]);
        assert_eq!(get("repeated").storage().numel(), 3);
    }
    Ok(())
}

#[test]
fn everything_that_training_saves() -> Result<()> {
    for name in ["training_zip.pt", "training_legacy.pt"] {
        let checkpoint = load(golden(name))?;
        assert_eq!(
            checkpoint.state_dict()?.into_keys().collect::<Vec<_>>(),
            [
                "0.bias",
                "0.weight",
                "1.bias",
                "1.num_batches_tracked",
                "1.running_mean",
                "1.running_var",
                "1.weight"
            ]
        );
        let value = &checkpoint.value;
        let get = |key: &str| value.get(key).unwrap();
        assert_eq!(get("epoch").as_i64(), Some(3));
        assert_eq!(get("best").as_f64(), Some(0.5));
        assert_eq!(get("name").as_str(), Some("résumé"));
        assert!(matches!(get("nothing"), Value::None));
        assert!(
            matches!(get("flags"), Value::Tuple(flags) if matches!(flags[..], [Value::Bool(true), Value::Bool(false)]))
        );
        let integers: Vec<i64> = get("integers")
            .as_list()
            .unwrap()
            .iter()
            .map(|x| x.as_i64().unwrap())
            .collect();
        let limits = [-1 << 31, 1 << 31, 1 << 62, i64::MIN];
        assert_eq!(integers, [&[0, 255, 256, 65535, 65536, -1], &limits[..]].concat());
        let floats: Vec<u64> = get("floats")
            .as_list()
            .unwrap()
            .iter()
            .map(|x| x.as_f64().unwrap().to_bits())
            .collect();
        assert_eq!(floats, [0.1, f64::INFINITY, -0.0, 1e300].map(f64::to_bits));
        assert!(
            matches!(get("shape"), Value::Tuple(sizes) if matches!(sizes[..], [Value::Int(2), Value::Int(3)]))
        );
        assert!(matches!(get("dtype"), Value::DType(DType::BF16)));
        assert_eq!(get("device").as_str(), Some("cpu"));
        assert!(matches!(get("bytes"), Value::Bytes(bytes) if bytes == b"\x00\x80\xff"));
        assert_eq!(get("classes").as_list().unwrap()[0].as_str(), Some("cat"));
        assert_eq!(get("counts").get("a").unwrap().as_i64(), Some(2));
        assert_eq!(
            value.as_dict().unwrap()[&Key::Int(7)].as_str(),
            Some("a number as a key")
        );

        let state = get("optimizer").get("state").unwrap().as_dict().unwrap();
        assert_eq!(state.len(), 4);
        let first = &state[&Key::Int(0)];
        assert_eq!(
            first.get("step").unwrap().as_tensor().unwrap().item::<f32>()?,
            3.0
        );
        assert_eq!(first.get("exp_avg").unwrap().as_tensor().unwrap().shape(), [2, 3]);
        let group = &get("optimizer").get("param_groups").unwrap().as_list().unwrap()[0];
        assert_eq!(group.get("amsgrad").unwrap().as_bool(), Some(true));
        assert!(matches!(group.get("foreach"), Some(Value::None)));
        assert_eq!(
            group.get("betas").unwrap().as_list().unwrap()[1].as_f64(),
            Some(0.999)
        );
        assert_eq!(group.get("params").unwrap().as_list().unwrap().len(), 4);
        assert_eq!(get("scheduler").get("last_epoch").unwrap().as_i64(), Some(3));
        assert_eq!(get("parameters").as_list().unwrap().len(), 4);
    }
    Ok(())
}

#[test]
fn what_is_not_plain_data_is_refused_by_name() {
    for (name, parts) in [
        ("module.pt", ["Linear", "nothing was executed"]),
        ("class.pt", ["Odd", "nothing was executed"]),
        ("sparse.pt", ["_rebuild_sparse_tensor", "data.pkl"]),
        ("complex.pt", ["ComplexFloatStorage", "data.pkl"]),
        ("huge_integer.pt", ["`huge`", "64 bits"]),
        ("tuple_key.pt", ["a key", "neither"]),
        ("torchscript.pt", ["TorchScript", "state_dict"]),
    ] {
        let error = load(golden(name)).unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{error:?}");
        let text = error.to_string();
        assert!(
            parts.iter().all(|part| text.contains(part)) && text.contains(name),
            "{text}"
        );
    }
}

#[test]
fn files_cut_anywhere_are_errors() {
    for name in ["views_zip.pt", "views_legacy.pt", "aligned.gguf"] {
        let whole = std::fs::read(golden(name)).unwrap();
        for length in (0..whole.len()).step_by(7) {
            let cut = &whole[..length];
            let read = if name.ends_with("gguf") {
                gguf::from_bytes(cut).map(|(value, _)| value)
            } else {
                pt::from_bytes(cut)
            };
            assert!(read.is_err(), "{name}: {length} bytes");
        }
    }
}

#[test]
fn altered_bytes_never_panic() {
    for name in [
        "views_zip.pt",
        "views_legacy.pt",
        "training_legacy.pt",
        "quants.gguf",
    ] {
        let whole = std::fs::read(golden(name)).unwrap();
        for (at, value) in (0..whole.len().min(3000))
            .step_by(3)
            .zip([0, 1, 0x28, 0x7f, 0x80, 0xff].into_iter().cycle())
        {
            let mut altered = whole.clone();
            altered[at] = value;
            if name.ends_with("gguf") {
                let _ = gguf::from_bytes(&altered);
            } else {
                let _ = pt::from_bytes(&altered);
            }
        }
    }
}
