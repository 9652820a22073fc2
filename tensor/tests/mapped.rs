//! `.safetensors` files that are mapped: what the ordinary reader gives, whatever the types, sizes and places of the tensors; the
//! file stays as it is, and need not stay open.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::path::PathBuf;

use flambeau_tensor::io::elements::write_tensor;
use flambeau_tensor::io::safetensors::{self, SafeTensorsFile};
use flambeau_tensor::{DType, Result, Tensor};

/// A folder of this process that is removed when the value is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("flambeau-mapped-{name}-{}", std::process::id()));
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

/// The elements in row-major order, low bytes first.
fn bytes(tensor: &Tensor) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_tensor(&mut bytes, tensor).unwrap();
    bytes
}

#[test]
fn every_type_is_what_the_ordinary_reader_gives() -> Result<()> {
    let folder = Folder::new("types");
    let path = folder.path("x.safetensors");
    // Of each type: as much as is mapped, a page and a little more, and what is read all the same.
    let mut tensors = BTreeMap::new();
    for dtype in DType::ALL {
        for count in [0, 3, (1 << 16) + 1, (1 << 16) / dtype.size_in_bytes()] {
            tensors.insert(format!("{dtype}/{count}"), counting(&[count], dtype)?);
        }
        tensors.insert(format!("{dtype}/none"), counting(&[2, 0, 70_000], dtype)?);
        tensors.insert(format!("{dtype}/scalar"), counting(&[], dtype)?);
        tensors.insert(format!("{dtype}/rows"), counting(&[3, 30_000], dtype)?);
    }
    safetensors::save(&path, &tensors)?;
    let read = safetensors::load(&path)?;
    // SAFETY: the file is this test's own, and stays as it is.
    let mapped = unsafe { SafeTensorsFile::open_mapped(&path) }?.tensors()?;
    assert!(mapped.keys().eq(tensors.keys()));
    for (name, tensor) in &mapped {
        let read = &read[name];
        assert_eq!(
            (tensor.shape(), tensor.dtype()),
            (read.shape(), read.dtype()),
            "{name}"
        );
        assert!(bytes(tensor) == bytes(read), "{name}");
    }
    Ok(())
}

/// A header can be of any length, and tensors of bytes can stand before others, so that elements begin anywhere.
#[test]
fn elements_may_begin_anywhere() -> Result<()> {
    let folder = Folder::new("anywhere");
    let count = 40_000usize;
    for (dtype, name, size) in [
        (DType::F64, "F64", 8),
        (DType::I64, "I64", 8),
        (DType::F32, "F32", 4),
        (DType::BF16, "BF16", 2),
        (DType::F16, "F16", 2),
        (DType::I8, "I8", 1),
    ] {
        let expected = counting(&[count], dtype)?;
        for before in [0, 1, 2, 4, 8, 4096] {
            let end = before + count * size;
            let header = format!(
                r#"{{"a":{{"dtype":"U8","shape":[{before}],"data_offsets":[0,{before}]}},"x":{{"dtype":"{name}","shape":[{count}],"data_offsets":[{before},{end}]}}}}"#
            );
            let header = format!("{header:<0$}", header.len().next_multiple_of(8));
            let start = [
                &(header.len() as u64).to_le_bytes(),
                header.as_bytes(),
                &vec![7; before],
            ]
            .concat();
            let path = folder.path("x.safetensors");
            fs::write(&path, [start, bytes(&expected)].concat()).unwrap();
            // SAFETY: the file is this test's own, and no tensor is left when it is written again.
            let file = unsafe { SafeTensorsFile::open_mapped(&path) }?;
            assert_same(
                &file.tensor("x")?,
                &expected,
                &format!("{dtype} after {before} bytes"),
            );
            assert_same(&file.tensor("a")?, &Tensor::full(before, 7, DType::U8)?, "a");
        }
    }
    Ok(())
}

#[test]
fn tensors_outlive_their_file_and_are_copied_when_they_are_written_to() -> Result<()> {
    let folder = Folder::new("outlive");
    let path = folder.path("x.safetensors");
    let expected = counting(&[300, 100], DType::F32)?;
    safetensors::save(&path, [("x", &expected)])?;
    // SAFETY: the file is this test's own; removing its name changes nothing in it.
    let file = unsafe { SafeTensorsFile::open_mapped(&path) }?;
    let (x, y) = (file.tensor("x")?, file.tensor("x")?);
    drop(file);
    fs::remove_file(&path).unwrap();
    let (view, copy) = (x.narrow(0, 10, 5)?, x.clone());
    x.add_(1)?;
    assert_same(&x, &expected.add(1)?, "written");
    assert_same(&copy, &x, "the same tensor");
    assert_same(&y, &expected, "another tensor of the same place");
    assert_same(&view, &expected.narrow(0, 10, 5)?, "a view");
    // From other threads, and when the first tensor is gone.
    drop((x, copy));
    let sums = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| y.sum()?.item::<f32>())).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect::<Result<Vec<f32>>>()
    })?;
    assert_eq!(sums, [expected.sum()?.item::<f32>()?; 4]);
    Ok(())
}

#[test]
fn mapped_tensors_are_those_of_the_file_and_leave_it_as_it_is() -> Result<()> {
    let folder = Folder::new("mapped");
    let path = folder.path("x.safetensors");
    let (long, half) = (
        counting(&[300, 100], DType::F32)?,
        counting(&[40000], DType::F16)?,
    );
    let flags = Tensor::full(70000, true, DType::Bool)?;
    let tensors = [
        ("flags", &flags),
        ("half", &half),
        ("long", &long),
        ("short", &half.narrow(0, 0, 3)?),
    ];
    safetensors::save(&path, tensors)?;
    let before = fs::read(&path).unwrap();
    // SAFETY: the file is this test's own, and stays as it is while there are tensors of it.
    let file = unsafe { SafeTensorsFile::open_mapped(&path) }?;
    for (name, tensor) in tensors {
        let got = file.tensor(name)?;
        assert_same(&got, tensor, name);
        // Another tensor of the same place is not changed.
        let other = file.tensor(name)?;
        got.zero_()?;
        assert_same(&other, tensor, name);
    }
    // Tensors outlive the open file, and one that replaces it.
    let kept = file.tensor("long")?;
    drop(file);
    assert_eq!(fs::read(&path).unwrap(), before);
    safetensors::save(&path, [("other", &half)])?;
    assert_same(&kept, &long, "kept");
    Ok(())
}

#[test]
fn mapped_files_that_were_shortened_or_changed_are_errors() -> Result<()> {
    let folder = Folder::new("shortened");
    let path = folder.path("x.safetensors");
    let long = counting(&[300, 100], DType::F32)?;
    safetensors::save(&path, [("a", &long), ("b", &long)])?;
    let whole = fs::read(&path).unwrap();
    // SAFETY: here and below, no tensor is left when the file changes.
    let open = || unsafe { SafeTensorsFile::open_mapped(&path) };
    let file = open()?;
    let shortened = OpenOptions::new().write(true).open(&path).unwrap();
    shortened.set_len(whole.len() as u64 - 1).unwrap();
    assert_same(&file.tensor("a")?, &long, "a");
    let error = file.tensor("b").unwrap_err().to_string();
    assert!(
        error.ends_with("x.safetensors: `b`: the data end early"),
        "{error}"
    );
    assert!(
        open()
            .unwrap_err()
            .to_string()
            .contains("the header describes 240000 bytes of data")
    );
    // A header of another length puts floats where they can't be used, but they can be read.
    let size = u64::from_le_bytes(whole[..8].try_into().unwrap());
    let mut text = whole[8..8 + size as usize].trim_ascii_end().to_vec();
    if text.len().is_multiple_of(2) {
        text.push(b' ');
    }
    let moved = [
        &(text.len() as u64).to_le_bytes()[..],
        &text,
        &whole[8 + size as usize..],
    ]
    .concat();
    fs::write(&path, moved).unwrap();
    assert_same(&open()?.tensor("b")?, &long, "b");
    Ok(())
}
