//! What is written is read again as it was, and by PyTorch: `tests/scripts/read_by_pytorch.py` reads the very bytes that
//! `tests/golden/written.pt` has, and these tests write them.

use std::collections::BTreeMap;

use flambeau_hub::{Dict, Key, Value, load, load_mapped, pt, save, save_sharded};
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{DType, Error, Result, Tensor};

use super::{Folder, bytes, golden};

fn range(end: i64) -> Tensor {
    Tensor::from_vec((0..end).map(|x| x as f32).collect(), end as usize).unwrap()
}

/// One of everything: all types, views, shared memory, an optimiser's state.
fn everything() -> Result<Value> {
    let base = range(24);
    let matrix = base.reshape([4, 6])?;
    let types: Value = DType::ALL
        .into_iter()
        .map(|dtype| Ok((dtype.name(), range(6).reshape([2, 3])?.to_dtype(dtype)?)))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .collect();
    let views: Value = [
        ("base", base.clone()),
        ("transposed", matrix.t()?),
        ("offset", base.narrow(0, 5, 3)?),
        ("tied", base.clone()),
        ("repeated", range(3).reshape([3, 1])?.expand([3, 4])?),
        ("small_part", range(1000).narrow(0, 7, 2)?),
        ("every_third", range(1000).slice(0, Some(1), None, 3)?),
        ("scalar", Tensor::scalar(2.5f64)),
        ("empty", Tensor::zeros([0, 3], DType::F32)?),
    ]
    .into_iter()
    .collect();
    let state: Dict = [(
        Key::Int(0),
        [("step", Value::Tensor(range(1)))].into_iter().collect(),
    )]
    .into_iter()
    .collect();
    let group: Value = [
        ("lr", Value::Float(0.1)),
        ("betas", Value::Tuple(vec![0.9.into(), 0.999.into()])),
        ("foreach", Value::None),
        ("amsgrad", false.into()),
        (
            "params",
            Value::List(vec![
                0.into(),
                255.into(),
                256.into(),
                (-1).into(),
                (1 << 40).into(),
            ]),
        ),
    ]
    .into_iter()
    .collect();
    let optimizer: Value = [
        ("state", Value::Dict(state)),
        ("param_groups", vec![group].into()),
    ]
    .into_iter()
    .collect();
    Ok([
        ("types", types),
        ("views", views),
        ("optimizer", optimizer),
        ("text", "résumé".into()),
        ("long", "x".repeat(300).into()),
        ("dtype", DType::BF16.into()),
        ("bytes", Value::Bytes(vec![0, 0x80, 0xff])),
        (
            "limits",
            vec![
                i64::MIN.into(),
                i64::MAX.into(),
                f64::INFINITY.into(),
                (-0.0).into(),
            ]
            .into(),
        ),
        ("nothing", Value::List(vec![])),
    ]
    .into_iter()
    .collect())
}

fn assert_same(got: &Value, expected: &Value, place: &str) {
    match (got, expected) {
        (Value::Tensor(a), Value::Tensor(b)) => {
            assert_eq!((a.shape(), a.dtype()), (b.shape(), b.dtype()), "{place}");
            assert_eq!(bytes(a), bytes(b), "{place}");
        }
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            assert_eq!(a.len(), b.len(), "{place}");
            a.iter()
                .zip(b)
                .enumerate()
                .for_each(|(i, (a, b))| assert_same(a, b, &format!("{place}.{i}")));
        }
        (Value::Dict(a), Value::Dict(b)) => {
            assert!(a.keys().eq(b.keys()), "{place}");
            a.iter()
                .for_each(|(key, a)| assert_same(a, &b[key], &format!("{place}.{key}")));
        }
        (Value::Tensor(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_), _) => panic!("{place}"),
        (a, b) => assert_eq!(format!("{a:?}"), format!("{b:?}"), "{place}"),
    }
}

#[test]
fn pt_round_trip() -> Result<()> {
    let value = everything()?;
    let read = pt::from_bytes(&pt::to_bytes(&value)?)?;
    assert_same(&read, &value, "");
    let views = read.get("views").unwrap();
    let get = |name: &str| views.get(name).unwrap().as_tensor().unwrap();
    for name in ["transposed", "offset", "tied"] {
        assert_eq!(get(name).storage_id(), get("base").storage_id(), "{name}");
    }
    let elements = |name: &str| get(name).storage().numel();
    assert_eq!(
        ["base", "repeated", "small_part", "every_third", "empty"].map(elements),
        [24, 3, 2, 333, 0]
    );
    Ok(())
}

#[test]
fn the_bytes_are_those_that_pytorch_has_read() -> Result<()> {
    let written = pt::to_bytes(&everything()?)?;
    if std::env::var_os("FLAMBEAU_WRITE").is_some() {
        std::fs::write(golden("written.pt"), &written).unwrap();
    }
    let read_by_pytorch = std::fs::read(golden("written.pt")).unwrap();
    assert!(
        written == read_by_pytorch,
        "the bytes changed: tests/scripts/read_by_pytorch.py says what to do"
    );
    Ok(())
}

#[test]
fn endings_say_the_format() -> Result<()> {
    let folder = Folder::new("endings");
    let value: Value = [("a", range(3)), ("b", range(2))].into_iter().collect();
    for name in ["x.pt", "x.pth", "x.bin", "x.ckpt", "x.safetensors", "x.npz"] {
        save(folder.path(name), &value)?;
        assert_same(&load(folder.path(name))?.value, &value, name);
    }
    let one = Value::Tensor(range(3));
    save(folder.path("x.npy"), &one)?;
    assert_same(&load(folder.path("x.npy"))?.value, &one, "x.npy");
    let error = |name: &str| save(folder.path(name), &value).unwrap_err();
    assert!(matches!(error("x.npy"), Error::Value(text) if text.contains("x.npy") && text.contains("not 2")));
    assert!(matches!(error("x.gguf"), Error::Unsupported(text) if text.contains("x.gguf")));
    // The content says the format, not the name.
    let renamed = folder.write("renamed.safetensors", pt::to_bytes(&value)?);
    assert_same(&load(renamed)?.value, &value, "renamed");
    Ok(())
}

#[test]
fn values_that_are_nested_too_deeply_are_refused() -> Result<()> {
    let nested = |levels: usize| (0..levels).fold(Value::None, |value, _| Value::List(vec![value]));
    assert_same(&pt::from_bytes(&pt::to_bytes(&nested(99))?)?, &nested(99), "");
    assert!(matches!(pt::to_bytes(&nested(100)), Err(Error::Unsupported(_))));
    Ok(())
}

#[test]
fn shards() -> Result<()> {
    let folder = Folder::new("shards");
    let tensors = [
        ("b", range(4)),
        ("a", range(3)),
        ("big", range(100)),
        ("c", range(1)),
    ];
    let named = || tensors.iter().map(|(name, tensor)| (*name, tensor));
    let metadata = BTreeMap::from([("format".to_string(), "pt".to_string())]);
    save_sharded(&folder.0, named(), 28, &metadata)?;
    let mut files: Vec<_> = std::fs::read_dir(&folder.0)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "model-00001-of-00003.safetensors",
            "model-00002-of-00003.safetensors",
            "model-00003-of-00003.safetensors",
            "model.safetensors.index.json",
        ]
    );
    let first = safetensors::SafeTensorsFile::open(folder.path(&files[0]))?;
    assert_eq!(first.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(first.metadata(), &metadata);

    let expected: Value = named().map(|(name, tensor)| (name, tensor.clone())).collect();
    for path in [folder.0.clone(), folder.path("model.safetensors.index.json")] {
        let checkpoint = load(&path)?;
        assert_same(&checkpoint.value, &expected, "sharded");
        // SAFETY: the files are this test's own, and stay as they are.
        let mapped = unsafe { load_mapped(&path) }?;
        assert_same(&mapped.value, &expected, "sharded, mapped");
        assert_eq!(checkpoint.metadata["total_size"].as_i64(), Some(432));
    }

    // With room for all there is one file, and the index of old is gone.
    save_sharded(&folder.0, named(), 1 << 20, &metadata)?;
    assert!(!folder.path("model.safetensors.index.json").exists());
    assert_eq!(load(&folder.0)?.state_dict()?.len(), 4);
    Ok(())
}

#[test]
fn shards_of_pytorch() -> Result<()> {
    let folder = Folder::new("bin-shards");
    let shard = |name: &str| -> Value { [(name, range(2))].into_iter().collect() };
    pt::save(folder.path("pytorch_model-00001-of-00002.bin"), &shard("x"))?;
    pt::save(folder.path("pytorch_model-00002-of-00002.bin"), &shard("w"))?;
    folder.write(
        "pytorch_model.bin.index.json",
        r#"{"weight_map": {"x": "pytorch_model-00001-of-00002.bin", "w": "pytorch_model-00002-of-00002.bin"}}"#,
    );
    let names: Vec<String> = load(&folder.0)?
        .value
        .tensors()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["x", "w"]);
    Ok(())
}
