//! The zip format of `torch.save`, written so that `torch.load(weights_only=True)` reads it.
//!
//! Which storages there are: tensors that share memory go to one storage as views, as in PyTorch, unless copies of them
//! take less. So a weight with two names is written once, an expanded tensor takes as much as what it repeats, and a
//! small part of a large tensor does not drag all of that along. (PyTorch writes whole storages always.)

use std::collections::HashMap;
use std::io::{Cursor, Seek, Write};
use std::path::Path;

use flambeau_tensor::io::elements::write_tensor;
use flambeau_tensor::io::{io_error, write_atomically};
use flambeau_tensor::{DType, Error, Result, Tensor};
use zip::CompressionMethod;
use zip::result::ZipError;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::pickle::write::{Place, to_pickle};
use crate::value::Value;

/// Where entries start, so that they can be mapped into memory.
const ALIGNMENT: u16 = 64;
/// The archive's folder, which PyTorch names after the file; readers take any.
const FOLDER: &str = "archive";

/// Writes a value to a file at `path`, replacing the old one in one step. The same value always gives the same bytes.
///
/// Tensors that share memory are written as views of one storage, and do so again after they have been read; in
/// PyTorch, changing one in place then changes the others.
///
/// # Errors
/// `Io` if the file can't be written, `Unsupported` if values are nested in a hundred levels; both name the file.
pub fn save(path: impl AsRef<Path>, value: &Value) -> Result<()> {
    write_atomically(path, |writer| write_to(writer, value))
}

/// The bytes of a file with a value.
///
/// # Errors
/// `Unsupported` if values are nested in a hundred levels.
pub fn to_bytes(value: &Value) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    write_to(&mut bytes, value)?;
    Ok(bytes.into_inner())
}

fn write_to(writer: &mut (impl Write + Seek), value: &Value) -> Result<()> {
    let tensors: Vec<Tensor> = value
        .tensors()
        .into_iter()
        .map(|(_, tensor)| tensor.detach())
        .collect();
    let (storages, places) = storages(&tensors)?;
    let mut archive = ZipWriter::new(writer);
    let mut entry = |name: &str, bytes: u64, write: &dyn Fn(&mut dyn Write) -> Result<()>| {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .with_alignment(ALIGNMENT)
            .large_file(bytes > u64::from(u32::MAX));
        archive
            .start_file(format!("{FOLDER}/{name}"), options)
            .map_err(zip_error)?;
        write(&mut archive)
    };
    let mut text = |name: &str, bytes: &[u8]| {
        entry(name, bytes.len() as u64, &|writer| {
            writer.write_all(bytes).map_err(io_error)
        })
    };
    text("data.pkl", &to_pickle(value, &places)?)?;
    text(".format_version", b"1")?;
    text(".storage_alignment", ALIGNMENT.to_string().as_bytes())?;
    text("byteorder", b"little")?;
    for (number, storage) in storages.iter().enumerate() {
        let bytes = storage.numel() as u64 * storage.dtype().size_in_bytes() as u64;
        entry(&format!("data/{number}"), bytes, &|writer| {
            write_tensor(writer, storage)
        })?;
    }
    entry("version", 2, &|writer| writer.write_all(b"3\n").map_err(io_error))?;
    archive.finish().map_err(zip_error)?;
    Ok(())
}

/// The storages to write, and where each tensor is in them.
fn storages(tensors: &[Tensor]) -> Result<(Vec<Tensor>, Vec<Place>)> {
    // Tensors of one memory, in the order in which memories come first.
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut numbers: HashMap<(usize, DType), usize> = HashMap::new();
    for (index, tensor) in tensors.iter().enumerate() {
        let number = *numbers
            .entry((tensor.storage_id(), tensor.dtype()))
            .or_insert(groups.len());
        if number == groups.len() {
            groups.push(Vec::new());
        }
        groups[number].push(index);
    }
    let mut storages = Vec::new();
    let mut places: Vec<Option<Place>> = vec![None; tensors.len()];
    for group in groups {
        let span = group
            .iter()
            .filter_map(|&index| span(&tensors[index]))
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let copied: usize = group.iter().map(|&index| tensors[index].numel()).sum();
        let shared = span.filter(|(start, end)| end - start <= copied);
        if let Some((start, end)) = shared {
            let memory = tensors[group[0]].storage();
            for &index in &group {
                let tensor = &tensors[index];
                // A tensor without elements may point anywhere.
                let offset = tensor.storage_offset().clamp(start, end) - start;
                places[index] = Some(Place {
                    storage: storages.len(),
                    numel: end - start,
                    offset,
                    strides: tensor.strides(),
                });
            }
            storages.push(memory.as_strided([end - start].as_slice(), &[1], start)?);
        } else {
            for &index in &group {
                let tensor = tensors[index].contiguous()?;
                places[index] = Some(Place {
                    storage: storages.len(),
                    numel: tensor.numel(),
                    offset: 0,
                    strides: contiguous_strides(tensor.shape()),
                });
                storages.push(tensor);
            }
        }
    }
    Ok((storages, places.into_iter().flatten().collect()))
}

/// The first element in memory and the one after the last; none if there are no elements.
fn span(tensor: &Tensor) -> Option<(usize, usize)> {
    let start = tensor.storage_offset();
    let strides = tensor.strides();
    let dims = tensor.shape().iter().zip(&strides);
    let reach: usize = dims.map(|(size, stride)| size.saturating_sub(1) * stride).sum();
    (tensor.numel() > 0).then_some((start, start + reach + 1))
}

fn contiguous_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d] * shape[d].max(1);
    }
    strides
}

fn zip_error(error: ZipError) -> Error {
    match error {
        ZipError::Io(error) => io_error(error),
        error => Error::Format(error.to_string()),
    }
}
