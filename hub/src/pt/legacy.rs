//! The legacy format of `torch.save`: pickles one after the other, then the storages.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};

use flambeau_tensor::io::elements::{Endian, read_tensor};
use flambeau_tensor::io::io_error;
use flambeau_tensor::{DType, Result, Tensor, bail, ensure};

use super::build::{Storages, build, shortened};
use super::zip::storage_bytes;
use crate::pickle::machine;
use crate::pickle::objects::{Node, Object, Objects, StorageRef};
use crate::pickle::tokens::read_one;
use crate::value::Value;

/// The first pickle's value, `0x1950a86a20f9469cfc6c`, low byte first.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The second pickle's value.
const PROTOCOL: i64 = 1001;

/// Reads a file of `length` bytes.
pub(super) fn read<R: Read + Seek>(mut reader: R, length: u64) -> Result<Value> {
    let magic = next(&mut reader, length)?;
    ensure!(
        matches!(machine::run(&magic)?.root, Object::Long(bytes) if bytes == MAGIC),
        Format,
        "a pickle, but not one of torch.save"
    );
    let protocol = next(&mut reader, length)?;
    match machine::run(&protocol)?.root {
        Object::Int(PROTOCOL) => {}
        Object::Int(other) => bail!(Unsupported, "version {other} of torch.save; known is {PROTOCOL}"),
        other => bail!(Format, "{} as a version of torch.save", other.kind()),
    }
    // Facts about the machine that wrote the file, which do not matter: elements always have their low bytes first.
    next(&mut reader, length)?;
    let content = next(&mut reader, length)?;
    let keys = next(&mut reader, length)?;
    let (objects, keys) = (machine::run(&content)?, machine::run(&keys)?);
    let places = places(&mut reader, length, &objects, &keys)?;
    build(&objects, content.len(), &mut Sequence { reader, places })
}

/// The next pickle.
fn next<R: Read + Seek>(reader: &mut R, length: u64) -> Result<Vec<u8>> {
    let position = reader.stream_position().map_err(io_error)?;
    read_one(reader, length.saturating_sub(position))
}

/// Where each storage's elements are: the first byte and the number of bytes. Their lengths are in the file, but
/// in elements, and what an element is stands in the references to the storages.
fn places<'a, R: Read + Seek>(
    reader: &mut R,
    length: u64,
    objects: &Objects<'a>,
    keys: &Objects<'_>,
) -> Result<HashMap<&'a str, (u64, u64)>> {
    let mut named = HashMap::new();
    for node in &objects.nodes {
        if let Node::Storage(storage) = node {
            named.insert(storage.key, *storage);
        }
    }
    let Some(Node::List(keys)) = keys.node(keys.root) else {
        bail!(Format, "the keys of the storages are no list")
    };
    let mut position = reader.stream_position().map_err(io_error)?;
    let mut places = HashMap::new();
    for key in keys {
        let Object::Str(key) = *key else {
            bail!(Format, "a storage whose name is {}", key.kind())
        };
        let mut place = || {
            let Some((key, storage)) = named.get_key_value(key) else {
                bail!(Format, "no tensor refers to it")
            };
            let mut numel = [0; 8];
            reader.seek(SeekFrom::Start(position)).map_err(io_error)?;
            reader.read_exact(&mut numel).map_err(io_error)?;
            let numel = u64::from_le_bytes(numel);
            let left = length.saturating_sub(position + 8);
            match storage_bytes(storage) {
                Some(bytes) if numel == storage.numel && bytes <= left => {
                    places.insert(*key, (position + 8, bytes));
                    position += 8 + bytes;
                    Ok(())
                }
                _ => bail!(
                    Format,
                    "{numel} elements where {} were announced and {left} bytes are left",
                    storage.numel
                ),
            }
        };
        place().map_err(|error| error.context(format_args!("storage {:?}", shortened(key))))?;
    }
    Ok(places)
}

struct Sequence<'a, R> {
    reader: R,
    places: HashMap<&'a str, (u64, u64)>,
}

impl<R: Read + Seek> Storages for Sequence<'_, R> {
    fn read(&mut self, storage: &StorageRef<'_>, dtype: DType) -> Result<Tensor> {
        let Some(&(start, bytes)) = self.places.get(storage.key) else {
            bail!(Format, "the file does not have it")
        };
        self.reader.seek(SeekFrom::Start(start)).map_err(io_error)?;
        let numel = bytes as usize / dtype.size_in_bytes();
        read_tensor(&mut self.reader, dtype, &[numel], Endian::Little, bytes)
    }
}
