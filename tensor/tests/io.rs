//! Files of tensors: round trips, files made by NumPy and by the reference implementation of safetensors
//! (`scripts/io_files.py`), and files that are cut, altered or lie about their sizes.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flambeau_tensor::io::npz::{self, Compression, NpzFile};
use flambeau_tensor::io::safetensors::{self, SafeTensorsFile};
use flambeau_tensor::io::{npy, write_atomically};
use flambeau_tensor::{DType, Error, Result, Tensor, bail};
use proptest::prelude::*;

const SHAPES: &[&[usize]] = &[&[], &[0], &[1], &[7], &[2, 0, 3], &[3, 1, 2], &[2, 2, 2, 2, 2]];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/io")
        .join(name)
}

/// A folder of this process that is removed when the value is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("flambeau-io-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// 0, 1, 2, … in row-major order; truth values alternate.
fn counting(shape: &[usize], dtype: DType) -> Result<Tensor> {
    let data: Vec<f64> = (0..shape.iter().product())
        .map(|i: usize| if dtype == DType::Bool { i % 2 } else { i } as f64)
        .collect();
    Tensor::from_vec(data, shape)?.to_dtype(dtype)
}

fn assert_same(got: &Tensor, expected: &Tensor, what: &str) {
    assert_eq!(
        (got.shape(), got.dtype()),
        (expected.shape(), expected.dtype()),
        "{what}"
    );
    assert_eq!(
        got.to_vec_f64().unwrap(),
        expected.to_vec_f64().unwrap(),
        "{what}"
    );
}

#[test]
fn every_type_and_shape_survives() -> Result<()> {
    for dtype in DType::ALL {
        for shape in SHAPES {
            let what = format!("{dtype} {shape:?}");
            let tensor = counting(shape, dtype)?;
            let named = [("x", &tensor)];
            let back = safetensors::from_bytes(&safetensors::to_bytes(named, &BTreeMap::new())?)?;
            assert_same(&back["x"], &tensor, &what);
            if dtype == DType::BF16 {
                assert!(matches!(npy::to_bytes(&tensor), Err(Error::Unsupported(_))));
                continue;
            }
            assert_same(&npy::from_bytes(&npy::to_bytes(&tensor)?)?, &tensor, &what);
            for compression in [Compression::Stored, Compression::Deflated] {
                let back = npz::from_bytes(&npz::to_bytes(named, compression)?)?;
                assert_same(&back["x"], &tensor, &what);
            }
        }
    }
    Ok(())
}

#[test]
fn blocks_join_without_seam() -> Result<()> {
    let tensor = counting(&[70_001], DType::I64)?;
    assert_same(&npy::from_bytes(&npy::to_bytes(&tensor)?)?, &tensor, "long");
    let view = counting(&[300, 200], DType::F32)?.t()?;
    assert_same(&npy::from_bytes(&npy::to_bytes(&view)?)?, &view, "transposed");
    Ok(())
}

#[test]
fn arrays_of_numpy_are_read() -> Result<()> {
    use DType::*;
    let dtypes = [
        ("bool", Bool),
        ("uint8", U8),
        ("int8", I8),
        ("int16", I16),
        ("int32", I32),
        ("int64", I64),
        ("float16", F16),
        ("float32", F32),
        ("float64", F64),
        ("int16_big", I16),
        ("int32_big", I32),
        ("int64_big", I64),
        ("float16_big", F16),
        ("float32_big", F32),
        ("float64_big", F64),
        ("version2", F32),
        ("version3", F32),
    ];
    for (name, dtype) in dtypes {
        let tensor = npy::read(golden(&format!("{name}.npy")))?;
        assert_same(&tensor, &counting(&[2, 3], dtype)?, name);
    }
    let read = |name: &str| npy::read(golden(name));
    assert_same(&read("fortran.npy")?, &counting(&[2, 3, 4], F32)?, "fortran");
    assert_same(&read("fortran_big.npy")?, &counting(&[3, 2], I32)?, "fortran_big");
    assert_same(&read("zero_dim.npy")?, &Tensor::scalar(7.5f64), "zero_dim");
    assert_same(&read("empty.npy")?, &counting(&[0, 3], F32)?, "empty");
    for (name, part) in [
        ("structured", "structured"),
        ("complex", "<c8"),
        ("unsigned", "<u4"),
        ("text", "<U2"),
        ("missing", "missing.npy"),
    ] {
        let error = read(&format!("{name}.npy")).unwrap_err().to_string();
        assert!(
            error.contains(part) && error.contains(&format!("{name}.npy")),
            "{error}"
        );
    }
    Ok(())
}

#[test]
fn arrays_are_written_as_numpy_writes_them() -> Result<()> {
    for name in [
        "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "zero_dim",
        "empty", "one_dim", "long",
    ] {
        let bytes = std::fs::read(golden(&format!("{name}.npy"))).unwrap();
        assert_eq!(npy::to_bytes(&npy::from_bytes(&bytes)?)?, bytes, "{name}");
    }
    Ok(())
}

#[test]
fn archives_of_numpy_are_read() -> Result<()> {
    for name in ["stored.npz", "deflated.npz"] {
        let tensors = npz::read(golden(name))?;
        assert_eq!(tensors.keys().collect::<Vec<_>>(), ["bias/x", "flag", "weight"]);
        assert_same(&tensors["weight"], &counting(&[2, 3], DType::F32)?, name);
        assert_same(&tensors["bias/x"], &counting(&[3], DType::I64)?, name);
        assert_same(&tensors["flag"], &Tensor::scalar(true), name);
    }
    let mut file = NpzFile::open(golden("stored.npz"))?;
    assert_eq!(file.tensor("flag")?.to_vec::<bool>()?, [true]);
    let error = file.tensor("flags").unwrap_err();
    assert!(
        matches!(&error, Error::Key(m) if m.contains("stored.npz") && m.contains("`flags`")),
        "{error}"
    );
    let error = NpzFile::open_with_limit(golden("stored.npz"), 100)
        .err()
        .map(|e| e.to_string());
    assert!(error.is_some_and(|m| m.contains("the limit is 100")));
    Ok(())
}

#[test]
fn safetensors_agree_with_the_reference() -> Result<()> {
    let path = golden("tensors.safetensors");
    let file = SafeTensorsFile::open(&path)?;
    assert_eq!(
        file.names().collect::<Vec<_>>(),
        ["a.bias", "a.mask", "b.weight", "count", "empty", "z"]
    );
    assert_eq!(file.metadata()["format"], "pt");
    assert_eq!(
        (file.shape("b.weight")?, file.dtype("a.bias")?),
        (&[2, 3][..], DType::BF16)
    );
    assert_same(
        &file.tensor("b.weight")?,
        &counting(&[2, 3], DType::F32)?,
        "b.weight",
    );
    assert_eq!(file.tensor("a.bias")?.to_vec_f64()?, [0.5, -1.0]);
    let error = file.tensor("c").unwrap_err();
    assert!(
        matches!(&error, Error::Key(m) if m.contains("tensors.safetensors") && m.contains("`c`")),
        "{error}"
    );
    // The same tensors give the same bytes as the reference implementation's.
    let tensors = safetensors::load(&path)?;
    let bytes = safetensors::to_bytes(&tensors, file.metadata())?;
    assert_eq!(bytes, std::fs::read(&path).unwrap());
    let empty = safetensors::to_bytes(&BTreeMap::<String, Tensor>::new(), file.metadata())?;
    assert!(safetensors::from_bytes(&empty)?.is_empty());
    Ok(())
}

#[test]
fn files_are_replaced_in_one_step() -> Result<()> {
    let folder = Folder::new("replace");
    let path = folder.path("x.npy");
    npy::write(&path, &counting(&[2], DType::F32)?)?;
    npy::write(&path, &counting(&[3], DType::F32)?)?;
    // A write that fails leaves the old file and nothing else.
    let failed = write_atomically(&path, |_| bail!(Value, "interrupted"));
    assert!(failed.unwrap_err().to_string().contains("x.npy: interrupted"));
    assert!(npy::write(&path, &counting(&[1], DType::BF16)?).is_err());
    assert_same(&npy::read(&path)?, &counting(&[3], DType::F32)?, "kept");
    let tensors = BTreeMap::from([("a".to_string(), counting(&[2], DType::I64)?)]);
    npz::write(folder.path("x.npz"), &tensors, Compression::Deflated)?;
    safetensors::save(folder.path("x.safetensors"), &tensors)?;
    assert_same(&npz::read(folder.path("x.npz"))?["a"], &tensors["a"], "npz");
    assert_same(
        &safetensors::load(folder.path("x.safetensors"))?["a"],
        &tensors["a"],
        "safetensors",
    );
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 3);
    assert!(matches!(npy::read(&folder.0), Err(Error::Io(_))));
    assert!(matches!(
        npy::write(folder.path("none/x.npy"), &tensors["a"]),
        Err(Error::Io(_))
    ));
    Ok(())
}

#[test]
fn names_must_differ() -> Result<()> {
    let x = counting(&[2], DType::F32)?;
    let twice = [("x", &x), ("x", &x)];
    assert!(matches!(
        npz::to_bytes(twice, Compression::Stored),
        Err(Error::Key(_))
    ));
    assert!(matches!(
        safetensors::to_bytes(twice, &BTreeMap::new()),
        Err(Error::Key(_))
    ));
    assert!(matches!(
        safetensors::to_bytes([("__metadata__", &x)], &BTreeMap::new()),
        Err(Error::Key(_))
    ));
    Ok(())
}

/// The bytes of a `.npy` file of version 1 with this header and these data.
fn npy_with(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn safetensors_with(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn claimed_sizes_are_checked_before_memory_is_asked_for() {
    let header = |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    for shape in [
        "(3,)",
        "(1000000000000,)",
        "(4294967296, 4294967296)",
        "(9223372036854775807, 8)",
        "(0, 9223372036854775807, 8)",
    ] {
        let error = npy::from_bytes(&npy_with(&header(shape), &[0; 8])).unwrap_err();
        assert!(matches!(error, Error::Format(_)), "{shape}: {error}");
    }
    for (header, data) in [
        (r#"{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8),
        (
            r#"{"x":{"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,8]}}"#,
            8,
        ),
        (r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 7),
        (r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 9),
        (r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#, 16),
        (
            r#"{"x":{"dtype":"F32","shape":[0,9223372036854775807,8],"data_offsets":[0,0]}}"#,
            0,
        ),
        (r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, 8),
        (r#"{"x":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#, 8),
        (r#"{"x":1}"#, 0),
        (r#"["#, 0),
    ] {
        let error = safetensors::from_bytes(&safetensors_with(header, &vec![0; data])).unwrap_err();
        assert!(matches!(error, Error::Format(_)), "{header}: {error}");
    }
    let unknown = r#"{"x":{"dtype":"U16","shape":[1],"data_offsets":[0,2]}}"#;
    let error = safetensors::from_bytes(&safetensors_with(unknown, &[0; 2])).unwrap_err();
    assert!(
        matches!(&error, Error::Unsupported(m) if m.contains("`x`") && m.contains("U16")),
        "{error}"
    );
    let mut long = u64::MAX.to_le_bytes().to_vec();
    long.extend(b"{}");
    assert!(matches!(safetensors::from_bytes(&long), Err(Error::Format(_))));
}

/// Reads the bytes in every format, of which none may panic and at most one may take them; whether one did.
fn read_all(bytes: &[u8]) -> bool {
    let taken = [
        npy::from_bytes(bytes).is_ok(),
        npz::from_bytes(bytes).is_ok(),
        safetensors::from_bytes(bytes).is_ok(),
    ];
    assert!(taken.iter().filter(|&&ok| ok).count() <= 1, "{taken:?}");
    taken.contains(&true)
}

/// One small valid file of each kind.
fn samples() -> Vec<Vec<u8>> {
    let names = [
        "float32.npy",
        "fortran_big.npy",
        "version3.npy",
        "stored.npz",
        "deflated.npz",
        "tensors.safetensors",
    ];
    names
        .iter()
        .map(|name| std::fs::read(golden(name)).unwrap())
        .collect()
}

#[test]
fn files_cut_anywhere_are_errors() {
    for bytes in samples() {
        assert!(read_all(&bytes));
        for length in 0..bytes.len() {
            let whole = bytes.len();
            assert!(!read_all(&bytes[..length]), "cut to {length} of {whole} bytes");
        }
    }
}

#[test]
fn altered_archives_fail_their_checksums() -> Result<()> {
    let tensor = counting(&[64], DType::F32)?;
    let mut bytes = npz::to_bytes([("x", &tensor)], Compression::Stored)?;
    // The data of the only entry lie before the directory; 200 bytes in they are elements.
    bytes[200] ^= 1;
    let error = npz::from_bytes(&bytes).unwrap_err().to_string();
    assert!(
        error.contains("`x`") && error.to_lowercase().contains("checksum"),
        "{error}"
    );
    Ok(())
}

#[test]
fn bombs_are_refused() -> Result<()> {
    // An entry that holds 4 MiB of zeros in 4 KiB is read, but not beyond a limit.
    let zeros = Tensor::zeros(1 << 20, DType::F32)?;
    let bytes = npz::to_bytes([("x", &zeros)], Compression::Deflated)?;
    assert!(bytes.len() < 8192 && npz::from_bytes(&bytes).is_ok());
    let folder = Folder::new("bomb");
    std::fs::write(folder.path("bomb.npz"), &bytes).unwrap();
    let limited = NpzFile::open_with_limit(folder.path("bomb.npz"), 1 << 20)
        .err()
        .map(|e| e.to_string());
    assert!(limited.is_some_and(|m| m.contains("bomb.npz") && m.contains("the limit is")));
    let directory = bytes.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    let claiming = |at: usize, size: u32| {
        let mut liar = bytes.clone();
        liar[directory + at..directory + at + 4].copy_from_slice(&size.to_le_bytes());
        npz::from_bytes(&liar).unwrap_err().to_string()
    };
    // The directory says that more or less comes out than does.
    for (size, expected) in [
        (
            0xFFFF_FF00,
            format!("`x` claims to expand from {}", zip_entry_length(&bytes)),
        ),
        (
            (32 << 20) + 1,
            "the limit is 33554432 for this archive".to_string(),
        ),
        (
            (4 << 20) + 127,
            "does not fit into the 4194303 bytes of data".to_string(),
        ),
    ] {
        let message = claiming(24, size);
        assert!(
            message.starts_with("npz: ") && message.contains(&expected),
            "{message}"
        );
    }
    // The directory says that the entry takes more bytes than the archive has.
    let message = claiming(20, bytes.len() as u32 + 1);
    assert!(message.contains("more than an archive of"), "{message}");
    Ok(())
}

/// The number of bytes that the only entry of an archive takes, as its directory says.
fn zip_entry_length(bytes: &[u8]) -> u32 {
    let directory = bytes.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    u32::from_le_bytes(*bytes[directory + 20..].first_chunk().unwrap())
}

#[test]
fn arrays_that_are_packed_well_are_read_up_to_a_limit() -> Result<()> {
    // 64 MiB, nearly all of them zero: a bomb by its look, unless whoever reads it says otherwise.
    let folder = Folder::new("packed");
    let path = folder.path("mask.npz");
    let mask = Tensor::zeros(64 << 20, DType::U8)?;
    npz::write(&path, [("mask", &mask)], Compression::Deflated)?;
    let message = npz::read(&path).unwrap_err().to_string();
    assert!(
        message.contains("mask.npz: `mask` claims to expand from")
            && message.contains("to 67108992")
            && message.contains("NpzFile::open_with_limit"),
        "{message}"
    );
    let mut file = NpzFile::open_with_limit(&path, 1 << 30)?;
    assert_eq!(file.tensor("mask")?.shape(), [64 << 20]);
    // As it is, or beside what is not packed that well, it is read.
    npz::write(&path, [("mask", &mask)], Compression::Stored)?;
    assert_eq!(NpzFile::open(&path)?.names(), ["mask"]);
    let weight = Tensor::rand(1 << 18, DType::F32)?;
    npz::write(
        &path,
        [("mask", &mask), ("weight", &weight)],
        Compression::Deflated,
    )?;
    assert_eq!(NpzFile::open(&path)?.names(), ["mask", "weight"]);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
        for magic in [&b"\x93NUMPY\x01\x00\x40\x00{'descr': '"[..], b"PK\x03\x04", b"\x20\0\0\0\0\0\0\0{\""] {
            read_all(&[magic, &bytes].concat());
        }
    }

    #[test]
    fn altered_bytes_never_panic(
        sample in 0..6usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = samples().swap_remove(sample);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        read_all(&bytes);
    }
}
