//! Python's pickles, as far as checkpoints and data sets need them: [`load`] reads a file that is one.
//!
//! A pickle is a program for a machine with a stack and a memo: it puts values on the stack, gathers them into lists,
//! tuples and dictionaries, names Python's functions and classes, and has them called. In Python, reading a pickle
//! therefore runs what its author wrote. Here nothing is called: `globals` is a closed list of names, each of which
//! stands for one way of putting data together, and any other name is an error.
//!
//! `opcodes` has the table of instructions, `tokens` cuts bytes into instructions, `machine` runs them, and `objects` is
//! what they make: nodes that may be shared and may contain themselves, as in Python; `numpy` has those that are arrays.
//! `pt/build.rs` turns them into a finite tree of values. `write` makes pickles.

pub(crate) mod globals;
pub(crate) mod machine;
pub(crate) mod numpy;
pub(crate) mod objects;
pub(crate) mod opcodes;
pub(crate) mod tokens;
pub(crate) mod write;

use std::io::Read;
use std::path::Path;

use flambeau_tensor::io::{io_error, open};
use flambeau_tensor::{DType, Result, Tensor, bail, ensure};

use crate::pt::{Storages, build};
use crate::value::Value;
use objects::StorageRef;

/// The longest pickle that is read. Tensors lie beside it, so that a checkpoint of 10 000 tensors takes 2 MB.
pub(crate) const MAX_LENGTH: u64 = 64 << 20;

/// Levels of lists, tuples and dictionaries, and the value in the innermost, that are read and written.
pub(crate) const MAX_DEPTH: usize = 100;

/// Reads the pickle in the file at `path`, of protocol 2 to 5: numbers, texts and bytes in lists, tuples and dictionaries, and
/// NumPy's arrays, which are tensors. One of SciPy's compressed sparse rows is a dictionary of its attributes: `data`, `indices`,
/// `indptr`, `_shape`.
///
/// # Errors
/// `Io` if the file can't be read, `Format` if it is not well formed, `Unsupported` if it holds anything else or asks for a name
/// of Python that stands for something else; all name the file, and the key where it is one value's fault.
pub fn load(path: impl AsRef<Path>) -> Result<Value> {
    let path = path.as_ref();
    let (file, length) = open(path)?;
    let read = || {
        ensure!(
            length <= MAX_LENGTH,
            Format,
            "a pickle of {length} bytes; at most {MAX_LENGTH} are read"
        );
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes).map_err(io_error)?;
        value(&bytes)
    };
    read().map_err(|error| error.context(path.display()))
}

/// Reads the bytes of a pickle.
///
/// # Errors
/// As [`load`].
pub fn from_bytes(bytes: &[u8]) -> Result<Value> {
    value(bytes).map_err(|error| error.context("pickle"))
}

fn value(bytes: &[u8]) -> Result<Value> {
    build(&machine::run(bytes)?, bytes.len(), &mut Nothing)
}

/// There are no storages beside a pickle that is a file.
struct Nothing;

impl Storages for Nothing {
    fn read(&mut self, _: &StorageRef<'_>, _: DType) -> Result<Tensor> {
        bail!(
            Format,
            "a tensor of PyTorch's, whose elements are not in the pickle"
        )
    }
}
