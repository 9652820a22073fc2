//! A tree of values from the objects of a pickle.
//!
//! In a pickle, objects may be shared, and a tree has a copy at each place. A few bytes can so describe a tree of any
//! size, or an endless one; this one is bounded by the length of the pickle, in depth, values and texts.

use std::collections::HashMap;
use std::fmt::Write;

use flambeau_tensor::{DType, Result, Tensor, bail, ensure};

use crate::pickle::MAX_DEPTH;
use crate::pickle::globals::Global;
use crate::pickle::numpy::{self, ArrayRef};
use crate::pickle::objects::{Node, NodeId, Object, Objects, StorageRef, TensorRef};
use crate::value::{Dict, Key, Value};

/// Values in the tree for each byte of the pickle, which takes at least one for each object that is not shared.
const VALUES_PER_BYTE: usize = 4;
/// Bytes of texts and of tensors' names for each byte of the pickle.
const TEXT_PER_BYTE: usize = 16;
/// The least that is allowed.
const FLOOR: usize = 1 << 14;
/// Elements that a tensor may have whatever the length of its storage: strides of zero repeat elements.
const MAX_REPEATED: usize = 1 << 24;

/// Where storages come from.
pub(crate) trait Storages {
    /// The elements of a storage, in one dimension.
    fn read(&mut self, storage: &StorageRef<'_>, dtype: DType) -> Result<Tensor>;
}

/// The tree of a pickle of `length` bytes.
pub(crate) fn build(objects: &Objects<'_>, length: usize, storages: &mut dyn Storages) -> Result<Value> {
    let mut builder = Builder {
        objects,
        storages,
        read: HashMap::new(),
        tensors: HashMap::new(),
        path: String::new(),
        depth: 0,
        values: FLOOR + VALUES_PER_BYTE * length,
        text: FLOOR + TEXT_PER_BYTE * length,
    };
    builder
        .value(objects.root)
        .map_err(|error| match builder.path.as_str() {
            "" => error,
            path => error.context(format_args!("`{}`", shortened(path))),
        })
}

struct Builder<'o, 'a> {
    objects: &'o Objects<'a>,
    storages: &'o mut dyn Storages,
    /// Storages that have been read.
    read: HashMap<(&'a str, DType), Tensor>,
    /// Tensors that have been made.
    tensors: HashMap<NodeId, Tensor>,
    /// The keys that lead to the value; those to the fault when there was one.
    path: String,
    depth: usize,
    /// Values that may still be made.
    values: usize,
    /// Bytes of texts that may still be copied.
    text: usize,
}

impl<'a> Builder<'_, 'a> {
    fn value(&mut self, object: Object<'a>) -> Result<Value> {
        ensure!(
            self.depth < MAX_DEPTH,
            Format,
            "nested in {MAX_DEPTH} levels or more, or within itself"
        );
        match self.values.checked_sub(1) {
            Some(left) => self.values = left,
            None => bail!(
                Format,
                "shared objects make the content many times larger than the file"
            ),
        }
        Ok(match object {
            Object::None => Value::None,
            Object::Bool(truth) => Value::Bool(truth),
            Object::Int(number) => Value::Int(number),
            Object::Long(_) => bail!(Unsupported, "an integer beyond 64 bits"),
            Object::Float(number) => Value::Float(number),
            Object::Str(text) => Value::Str(self.text(text)?),
            Object::Bytes(bytes) => {
                self.charge(bytes.len())?;
                Value::Bytes(bytes.to_vec())
            }
            Object::Global(Global::DType(dtype)) => Value::DType(dtype),
            Object::Global(global) => bail!(
                Unsupported,
                "a function or class ({global:?}) in place of a value"
            ),
            Object::Node(id) => return self.node(object, id),
        })
    }

    fn node(&mut self, object: Object<'a>, id: NodeId) -> Result<Value> {
        let objects = self.objects;
        Ok(match objects.node(object) {
            Some(Node::List(items)) => Value::List(self.items(items)?),
            Some(Node::Tuple(items)) => Value::Tuple(self.items(items)?),
            Some(Node::Dict(entries) | Node::Attributes(entries)) => {
                let mut dict = Dict::new();
                for &(key, item) in entries {
                    let key = self.key(key)?;
                    let value = self.below(&key, item)?;
                    dict.insert(key, value);
                }
                Value::Dict(dict)
            }
            Some(Node::Bytes(bytes)) => {
                self.charge(bytes.len())?;
                Value::Bytes(bytes.clone())
            }
            Some(Node::Tensor(tensor)) => {
                // Its name, which whoever lists tensors will make.
                self.charge(self.path.len())?;
                Value::Tensor(self.tensor(id, tensor)?)
            }
            Some(Node::Array(Some(array))) => {
                self.charge(self.path.len())?;
                Value::Tensor(self.array(id, array)?)
            }
            Some(Node::Array(None)) => bail!(Format, "an array without attributes"),
            Some(&Node::ArrayType(dtype, _)) => Value::DType(dtype),
            Some(Node::Storage(_)) => bail!(Unsupported, "a storage without a tensor"),
            None => bail!(Format, "a reference to nothing"),
        })
    }

    fn items(&mut self, items: &[Object<'a>]) -> Result<Vec<Value>> {
        items
            .iter()
            .enumerate()
            .map(|(index, &item)| self.below(&index, item))
            .collect()
    }

    /// The value of an entry. On failure, the path stays where it is.
    fn below(&mut self, part: &dyn std::fmt::Display, item: Object<'a>) -> Result<Value> {
        let length = self.path.len();
        let dot = if length > 0 { "." } else { "" };
        // Writing to a string does not fail.
        let _ = write!(self.path, "{dot}{part}");
        self.depth += 1;
        let value = self.value(item)?;
        self.depth -= 1;
        self.path.truncate(length);
        Ok(value)
    }

    fn key(&mut self, key: Object<'a>) -> Result<Key> {
        Ok(match key {
            Object::Str(text) => Key::Str(self.text(text)?),
            Object::Int(number) => Key::Int(number),
            other => bail!(
                Unsupported,
                "a key that is {}, neither a text nor an integer",
                other.kind()
            ),
        })
    }

    fn text(&mut self, text: &str) -> Result<String> {
        self.charge(text.len())?;
        Ok(text.to_string())
    }

    fn charge(&mut self, bytes: usize) -> Result<()> {
        match self.text.checked_sub(bytes) {
            Some(left) => self.text = left,
            None => bail!(
                Format,
                "shared texts make the content many times larger than the file"
            ),
        }
        Ok(())
    }

    fn tensor(&mut self, id: NodeId, tensor: &TensorRef<'a>) -> Result<Tensor> {
        if let Some(made) = self.tensors.get(&id) {
            return Ok(made.clone());
        }
        let storage = self.storage(&tensor.storage, tensor.dtype)?;
        let made = view(&storage, tensor)?;
        self.tensors.insert(id, made.clone());
        Ok(made)
    }

    fn array(&mut self, id: NodeId, array: &ArrayRef<'a>) -> Result<Tensor> {
        if let Some(made) = self.tensors.get(&id) {
            return Ok(made.clone());
        }
        let made = match (array.bytes, self.objects.node(array.bytes)) {
            // Python 2 had one type for texts and bytes.
            (Object::Str(text), _) => numpy::read(array, text.as_bytes())?,
            (Object::Bytes(bytes), _) => numpy::read(array, bytes)?,
            (_, Some(Node::Bytes(bytes))) => numpy::read(array, bytes)?,
            (other, _) => bail!(Unsupported, "an array whose elements are {}", other.kind()),
        };
        // Bytes may be shared by many arrays.
        self.charge(made.numel() * made.dtype().size_in_bytes())?;
        self.tensors.insert(id, made.clone());
        Ok(made)
    }

    fn storage(&mut self, storage: &StorageRef<'a>, dtype: DType) -> Result<Tensor> {
        if let Some(read) = self.read.get(&(storage.key, dtype)) {
            return Ok(read.clone());
        }
        let read = self
            .storages
            .read(storage, dtype)
            .map_err(|error| error.context(format_args!("storage {:?}", shortened(storage.key))))?;
        self.read.insert((storage.key, dtype), read.clone());
        Ok(read)
    }
}

/// The part of a storage that is a tensor.
fn view(storage: &Tensor, tensor: &TensorRef<'_>) -> Result<Tensor> {
    let TensorRef {
        offset,
        shape,
        strides,
        ..
    } = tensor;
    let numel = shape
        .iter()
        .try_fold(1usize, |numel, &size| numel.checked_mul(size.max(1)));
    ensure!(
        numel.is_some_and(|numel| numel <= storage.numel().max(MAX_REPEATED)),
        Format,
        "shape {shape:?} is too large for a storage of {} elements",
        storage.numel()
    );
    if tensor_is_whole(storage, tensor) {
        return storage.reshape(shape.as_slice());
    }
    match storage.as_strided(shape.as_slice(), strides, *offset) {
        Err(error) => bail!(Format, "{error}"),
        made => made,
    }
}

/// Whether the tensor has all elements of the storage in their order.
fn tensor_is_whole(storage: &Tensor, tensor: &TensorRef<'_>) -> bool {
    let mut step = 1;
    let dims = tensor.shape.iter().zip(&tensor.strides).rev();
    let contiguous = dims.fold(true, |contiguous, (&size, &stride)| {
        let fits = size == 1 || stride == step;
        step *= size;
        contiguous && fits
    });
    contiguous && tensor.offset == 0 && step == storage.numel()
}

/// A name that may be anything, for a message.
pub(super) fn shortened(name: &str) -> String {
    match name.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_string(),
    }
}
