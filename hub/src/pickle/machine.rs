//! The machine that runs pickles: a stack, a memo, and nodes that are made and filled.
//!
//! It loops over instructions and never recurses, and each instruction does a bounded amount of work and makes at most
//! one node, so that time and memory are within a constant factor of the pickle's length.

use std::collections::HashMap;

use flambeau_tensor::io::elements::Endian;
use flambeau_tensor::{DType, Error, Result, bail, ensure};

use super::globals::{self, Global};
use super::numpy;
use super::objects::{Node, NodeId, Object, Objects, StorageRef, TensorRef};
use super::opcodes::Opcode;
use super::tokens::{Argument, Tokens, text};
use super::{MAX_DEPTH, MAX_LENGTH};

/// The most nodes of a pickle; a tensor takes about seven.
const MAX_NODES: usize = 1 << 19;
/// The bytes that may be copied from node to node: so many, and so many for each byte of the pickle. A node can be named
/// again and again by two bytes, and each time copied.
const COPIES: usize = 1 << 16;
const COPIES_PER_BYTE: usize = 8;
/// Levels after which a pickle is given up. The tree is held to fewer, but chains of millions need not be made first.
const MAX_LEVELS: u16 = 2 * MAX_DEPTH as u16;
/// The most dimensions of a tensor, NumPy's number.
pub(super) const MAX_RANK: usize = 64;

/// Runs the pickle that `bytes` begin with.
///
/// # Errors
/// `Format` with the place in the pickle if it is not well formed, `Unsupported` if it uses an instruction or a name
/// that data need not have.
pub(crate) fn run(bytes: &[u8]) -> Result<Objects<'_>> {
    ensure!(
        bytes.len() as u64 <= MAX_LENGTH,
        Format,
        "a pickle of {} bytes; at most {MAX_LENGTH} are read",
        bytes.len()
    );
    let mut machine = Machine {
        copies: COPIES + COPIES_PER_BYTE * bytes.len(),
        ..Machine::default()
    };
    let mut tokens = Tokens::new(bytes);
    loop {
        let position = tokens.position();
        let mut step = || {
            let (opcode, argument) = tokens.next()?;
            machine.step(opcode, argument)
        };
        match step() {
            Ok(None) => {}
            Ok(Some(root)) => {
                return Ok(Objects {
                    nodes: machine.nodes,
                    root,
                });
            }
            Err(error) => return Err(error.context(format_args!("pickle, byte {position}"))),
        }
    }
}

#[derive(Default)]
pub(super) struct Machine<'a> {
    stack: Vec<Object<'a>>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<i64, Object<'a>>,
    pub(super) nodes: Vec<Node<'a>>,
    /// How many levels there are at least below each node, itself included.
    levels: Vec<u16>,
    /// The bytes that may still be copied.
    copies: usize,
}

impl<'a> Machine<'a> {
    /// Does one instruction; gives the pickle's value at its end.
    fn step(&mut self, opcode: Opcode, argument: Argument<'a>) -> Result<Option<Object<'a>>> {
        match (opcode, argument) {
            (Opcode::Proto, Argument::Int(version)) => {
                ensure!(
                    version <= 5,
                    Unsupported,
                    "protocol {version}; known are those up to 5"
                );
            }
            (Opcode::Frame, _) => {}
            (Opcode::Stop, _) => return self.pop().map(Some),

            (Opcode::Mark, _) => self.marks.push(self.stack.len()),
            (Opcode::Pop, _) => {
                // Python's pickler pops marks, too.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            (Opcode::PopMark, _) => drop(self.pop_mark()?),
            (Opcode::Dup, _) => self.stack.push(self.top()?),

            (Opcode::BinPut | Opcode::LongBinPut, Argument::Int(number)) => {
                self.memo.insert(number, self.top()?);
            }
            (Opcode::Memoize, _) => {
                self.memo.insert(self.memo.len() as i64, self.top()?);
            }
            (Opcode::BinGet | Opcode::LongBinGet, Argument::Int(number)) => match self.memo.get(&number) {
                Some(object) => self.stack.push(*object),
                None => bail!(Format, "the memo has no value {number}"),
            },

            (Opcode::None, _) => self.stack.push(Object::None),
            (Opcode::NewTrue, _) => self.stack.push(Object::Bool(true)),
            (Opcode::NewFalse, _) => self.stack.push(Object::Bool(false)),
            (Opcode::BinInt | Opcode::BinInt1 | Opcode::BinInt2, Argument::Int(number)) => {
                self.stack.push(Object::Int(number));
            }
            (Opcode::Long1 | Opcode::Long4, Argument::Bytes(bytes)) => self.stack.push(integer(bytes)),
            (Opcode::BinFloat, Argument::Float(number)) => self.stack.push(Object::Float(number)),

            (Opcode::BinUnicode | Opcode::ShortBinUnicode | Opcode::BinUnicode8, Argument::Bytes(bytes)) => {
                self.stack.push(Object::Str(text(bytes)?));
            }
            (Opcode::BinString | Opcode::ShortBinString, Argument::Bytes(bytes)) => {
                // Python 2 had one type for texts and bytes.
                let object = std::str::from_utf8(bytes).map_or(Object::Bytes(bytes), Object::Str);
                self.stack.push(object);
            }
            (
                Opcode::BinBytes | Opcode::ShortBinBytes | Opcode::BinBytes8 | Opcode::ByteArray8,
                Argument::Bytes(bytes),
            ) => self.stack.push(Object::Bytes(bytes)),

            (Opcode::EmptyList, _) => self.push_node(Node::List(Vec::new()))?,
            (Opcode::List, _) => {
                let items = self.pop_mark()?;
                self.push_node(Node::List(items))?;
            }
            (Opcode::Append, _) => {
                let item = self.pop()?;
                self.deepen(&[item])?;
                self.list()?.push(item);
            }
            (Opcode::Appends, _) => {
                let items = self.pop_mark()?;
                self.deepen(&items)?;
                self.list()?.extend(items);
            }
            (Opcode::EmptyTuple, _) => self.push_node(Node::Tuple(Vec::new()))?,
            (Opcode::Tuple, _) => {
                let items = self.pop_mark()?;
                self.push_node(Node::Tuple(items))?;
            }
            (Opcode::Tuple1, _) => self.tuple(1)?,
            (Opcode::Tuple2, _) => self.tuple(2)?,
            (Opcode::Tuple3, _) => self.tuple(3)?,
            (Opcode::EmptyDict, _) => self.push_node(Node::Dict(Vec::new()))?,
            (Opcode::Dict, _) => {
                let entries = pairs(self.pop_mark()?)?;
                self.push_node(Node::Dict(entries))?;
            }
            (Opcode::SetItem, _) => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.deepen(&[key, value])?;
                self.dict()?.push((key, value));
            }
            (Opcode::SetItems, _) => {
                let items = self.pop_mark()?;
                self.deepen(&items)?;
                let entries = pairs(items)?;
                self.dict()?.extend(entries);
            }

            (Opcode::Global, Argument::Names(module, name)) => {
                self.stack.push(Object::Global(globals::find(module, name)?));
            }
            (Opcode::StackGlobal, _) => match (self.pop()?, self.pop()?) {
                (Object::Str(name), Object::Str(module)) => {
                    self.stack.push(Object::Global(globals::find(module, name)?));
                }
                (name, module) => bail!(Format, "a name of {} and {}", module.kind(), name.kind()),
            },
            (Opcode::Reduce | Opcode::NewObj, _) => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let made = self.call(function, arguments)?;
                self.stack.push(made);
            }
            (Opcode::Build, _) => {
                let attributes = self.pop()?;
                self.build(attributes)?;
            }
            (Opcode::BinPersId, _) => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push_node(Node::Storage(storage))?;
            }
            (opcode, argument) => bail!(Format, "{opcode:?} with {argument:?}"),
        }
        Ok(None)
    }

    fn pop(&mut self) -> Result<Object<'a>> {
        ensure!(
            self.marks.last().is_none_or(|&mark| mark < self.stack.len()),
            Format,
            "a value was expected, a mark came"
        );
        self.stack.pop().ok_or_else(empty)
    }

    pub(super) fn top(&self) -> Result<Object<'a>> {
        self.stack.last().copied().ok_or_else(empty)
    }

    /// The values above the last mark, which goes too.
    fn pop_mark(&mut self) -> Result<Vec<Object<'a>>> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => bail!(Format, "a mark was expected, there is none"),
        }
    }

    fn push_node(&mut self, node: Node<'a>) -> Result<()> {
        ensure!(
            self.nodes.len() < MAX_NODES,
            Format,
            "more than {MAX_NODES} lists, tuples, dictionaries and tensors"
        );
        let levels = match &node {
            Node::List(items) | Node::Tuple(items) => self.levels_of(items)?,
            Node::Dict(entries) => self.levels_of_entries(entries)?,
            _ => 1,
        };
        self.stack.push(Object::Node(NodeId(self.nodes.len() as u32)));
        self.nodes.push(node);
        self.levels.push(levels);
        Ok(())
    }

    /// The levels of a node with these items.
    fn levels_of(&self, items: &[Object<'a>]) -> Result<u16> {
        let below = items.iter().filter_map(|item| match item {
            Object::Node(id) => self.levels.get(id.0 as usize).copied(),
            _ => None,
        });
        let levels = below.max().unwrap_or(0) + 1;
        ensure!(
            levels <= MAX_LEVELS,
            Format,
            "nested in {MAX_DEPTH} levels or more, or within itself"
        );
        Ok(levels)
    }

    fn levels_of_entries(&self, entries: &[(Object<'a>, Object<'a>)]) -> Result<u16> {
        entries.iter().try_fold(1, |most, &(key, value)| {
            Ok(self.levels_of(&[key, value])?.max(most))
        })
    }

    /// Notes that items go to the node on the stack.
    pub(super) fn deepen(&mut self, items: &[Object<'a>]) -> Result<()> {
        let levels = self.levels_of(items)?;
        if let Object::Node(id) = self.top()?
            && let Some(own) = self.levels.get_mut(id.0 as usize)
        {
            *own = levels.max(*own);
        }
        Ok(())
    }

    fn tuple(&mut self, length: usize) -> Result<()> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(length) {
            Some(start) if start >= floor => {
                let items = self.stack.split_off(start);
                self.push_node(Node::Tuple(items))
            }
            _ => Err(empty()),
        }
    }

    pub(super) fn node(&self, object: Object<'a>) -> Option<&Node<'a>> {
        match object {
            Object::Node(id) => self.nodes.get(id.0 as usize),
            _ => None,
        }
    }

    fn top_node(&mut self) -> Result<Option<&mut Node<'a>>> {
        Ok(match self.top()? {
            Object::Node(id) => self.nodes.get_mut(id.0 as usize),
            _ => None,
        })
    }

    fn list(&mut self) -> Result<&mut Vec<Object<'a>>> {
        match self.top_node()? {
            Some(Node::List(items)) => Ok(items),
            _ => bail!(Format, "items for what is no list"),
        }
    }

    fn dict(&mut self) -> Result<&mut Vec<(Object<'a>, Object<'a>)>> {
        match self.top_node()? {
            Some(Node::Dict(entries)) => Ok(entries),
            _ => bail!(Format, "entries for what is no dictionary"),
        }
    }

    /// The items of a tuple; those of a list too, which some old files have in place of one.
    pub(super) fn items(&self, object: Object<'a>) -> Result<&[Object<'a>]> {
        match self.node(object) {
            Some(Node::Tuple(items) | Node::List(items)) => Ok(items),
            _ => bail!(Format, "a tuple was expected, {} came", object.kind()),
        }
    }

    /// What the call of a function or the construction of an object stands for.
    fn call(&mut self, function: Object<'a>, arguments: Object<'a>) -> Result<Object<'a>> {
        let Object::Global(function) = function else {
            bail!(Format, "a call of {}", function.kind())
        };
        self.charge_call(function, arguments)?;
        let items = self.items(arguments)?;
        let node = match (function, items) {
            (Global::Dict, []) => Node::Dict(Vec::new()),
            (Global::Dict, &[dict]) if matches!(self.node(dict), Some(Node::Dict(_))) => return Ok(dict),
            (Global::Dict, &[entries]) => Node::Dict(self.entries(entries)?),
            (
                Global::DefaultDict,
                [] | [Object::Global(Global::Class | Global::Dict | Global::Set) | Object::None],
            ) => Node::Dict(Vec::new()),
            (Global::Set, []) => Node::List(Vec::new()),
            (Global::Set, &[items]) if matches!(self.node(items), Some(Node::List(_))) => return Ok(items),
            (Global::Size, []) => Node::Tuple(Vec::new()),
            (Global::Size, &[sizes]) if matches!(self.node(sizes), Some(Node::Tuple(_))) => return Ok(sizes),
            // The number of the device is of no use elsewhere.
            (Global::Device, &[name @ Object::Str(_), ..]) => return Ok(name),
            (Global::Encode, [Object::Str(text), Object::Str("latin1")]) => Node::Bytes(latin1(text)?),
            (Global::Array, [Object::Global(Global::Class), _, _]) => Node::Array(None),
            (Global::ArrayType, [Object::Str(code), ..]) => {
                Node::ArrayType(numpy::dtype(code)?, Endian::Little)
            }
            (Global::Matrix, []) => Node::Attributes(Vec::new()),
            (Global::ByteArray, []) => return Ok(Object::Bytes(&[])),
            (Global::ByteArray, &[bytes]) if self.is_bytes(bytes) => return Ok(bytes),
            (Global::Tensor1, &[storage, offset, shape, strides]) => {
                self.tensor(storage, None, offset, shape, strides)?
            }
            (
                Global::Tensor2,
                &[
                    storage,
                    offset,
                    shape,
                    strides,
                    _requires_grad,
                    _hooks,
                    ref metadata @ ..,
                ],
            ) => {
                self.expect_no_metadata(metadata)?;
                self.tensor(storage, None, offset, shape, strides)?
            }
            (
                Global::Tensor3,
                &[
                    storage,
                    offset,
                    shape,
                    strides,
                    _requires_grad,
                    _hooks,
                    Object::Global(Global::DType(dtype)),
                    ref metadata @ ..,
                ],
            ) => {
                self.expect_no_metadata(metadata)?;
                self.tensor(storage, Some(dtype), offset, shape, strides)?
            }
            (Global::Parameter, &[tensor, ..]) | (Global::Class, &[tensor])
                if matches!(self.node(tensor), Some(Node::Tensor(_))) =>
            {
                return Ok(tensor);
            }
            (
                Global::FromType,
                &[
                    function @ Object::Global(inner),
                    Object::Global(Global::Class),
                    arguments,
                    _state,
                ],
            ) if inner != Global::FromType => {
                return self.call(function, arguments);
            }
            (function, items) => {
                let kinds: Vec<&str> = items.iter().take(8).map(Object::kind).collect();
                bail!(
                    Unsupported,
                    "{function:?} of {} arguments ({})",
                    items.len(),
                    kinds.join(", ")
                )
            }
        };
        self.push_node(node)?;
        self.pop()
    }

    fn is_bytes(&self, object: Object<'a>) -> bool {
        matches!(object, Object::Bytes(_)) || matches!(self.node(object), Some(Node::Bytes(_)))
    }

    /// Takes what a call will copy from the account.
    fn charge_call(&mut self, function: Global, arguments: Object<'a>) -> Result<()> {
        let length = |&object: &Object<'a>| match (object, self.node(object)) {
            (Object::Str(text), _) => text.len(),
            (_, Some(Node::List(items) | Node::Tuple(items))) => items.len() * size_of::<(Object, Object)>(),
            _ => 0,
        };
        let copied = match function {
            Global::Dict | Global::Encode | Global::Tensor1 | Global::Tensor2 | Global::Tensor3 => {
                self.items(arguments)?.iter().map(length).sum()
            }
            _ => 0usize,
        };
        self.charge(copied)
    }

    /// Takes so many bytes from the account.
    pub(super) fn charge(&mut self, copied: usize) -> Result<()> {
        match self.copies.checked_sub(copied) {
            Some(left) => self.copies = left,
            None => bail!(Format, "one object is copied too often"),
        }
        Ok(())
    }

    /// The entries of a dictionary that is given as a list of pairs.
    fn entries(&self, object: Object<'a>) -> Result<Vec<(Object<'a>, Object<'a>)>> {
        let pair = |&item: &Object<'a>| match self.items(item)? {
            &[key, value] => Ok((key, value)),
            items => bail!(Format, "an entry of a dictionary with {} parts", items.len()),
        };
        self.items(object)?.iter().map(pair).collect()
    }

    /// A tensor's metadata say that it is to be conjugated or negated when it is read.
    fn expect_no_metadata(&self, metadata: &[Object<'a>]) -> Result<()> {
        let empty = |&object: &Object<'a>| {
            matches!(object, Object::None)
                || matches!(self.node(object), Some(Node::Dict(entries)) if entries.is_empty())
        };
        ensure!(
            metadata.len() <= 1 && metadata.iter().all(empty),
            Unsupported,
            "a tensor with metadata, which says that it is a lazily negated one"
        );
        Ok(())
    }

    fn tensor(
        &self,
        storage: Object<'a>,
        dtype: Option<DType>,
        offset: Object<'a>,
        shape: Object<'a>,
        strides: Object<'a>,
    ) -> Result<Node<'a>> {
        let Some(Node::Storage(storage)) = self.node(storage) else {
            bail!(Format, "a tensor of {} instead of a storage", storage.kind())
        };
        let Some(dtype) = dtype.or(storage.dtype) else {
            bail!(Format, "a tensor of a storage without element type")
        };
        let (shape, strides) = (self.items(shape)?, self.items(strides)?);
        ensure!(
            shape.len() == strides.len() && shape.len() <= MAX_RANK,
            Format,
            "a tensor of {} sizes and {} strides",
            shape.len(),
            strides.len()
        );
        Ok(Node::Tensor(Box::new(TensorRef {
            storage: *storage,
            dtype,
            offset: size(offset)?,
            shape: shape.iter().map(|&object| size(object)).collect::<Result<_>>()?,
            strides: strides
                .iter()
                .map(|&object| size(object))
                .collect::<Result<_>>()?,
        })))
    }

    /// A storage from `("storage", class, key, location, numel)`; old files have a sixth item, for views of storages.
    fn storage(&self, id: Object<'a>) -> Result<StorageRef<'a>> {
        match self.items(id)? {
            &[
                Object::Str("storage"),
                Object::Global(Global::Storage(dtype)),
                key,
                _location,
                numel,
            ]
            | &[
                Object::Str("storage"),
                Object::Global(Global::Storage(dtype)),
                key,
                _location,
                numel,
                Object::None,
            ] => {
                let Object::Str(key) = key else {
                    bail!(Format, "a storage whose name is {}", key.kind())
                };
                Ok(StorageRef {
                    key,
                    dtype,
                    numel: size(numel)? as u64,
                })
            }
            [Object::Str("storage"), Object::Global(Global::Storage(_)), ..] => {
                bail!(Unsupported, "a view of a storage, as PyTorch 0.3 wrote them")
            }
            [Object::Str("module"), ..] => bail!(
                Unsupported,
                "the file holds a whole module, which is a program, instead of its state_dict()"
            ),
            items => bail!(
                Format,
                "a reference to something outside of {} parts",
                items.len()
            ),
        }
    }
}

fn empty() -> Error {
    Error::Format("a value was expected, the stack is empty".to_string())
}

/// Keys and values in turn.
fn pairs<'a>(items: Vec<Object<'a>>) -> Result<Vec<(Object<'a>, Object<'a>)>> {
    let (pairs, rest) = items.as_chunks();
    ensure!(rest.is_empty(), Format, "a key without a value");
    Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
}

/// A number that is not negative.
pub(super) fn size(object: Object<'_>) -> Result<usize> {
    match object {
        Object::Int(number) if number >= 0 => Ok(number as usize),
        Object::Int(number) => bail!(Format, "{number} as a size"),
        other => bail!(Format, "{} as a size", other.kind()),
    }
}

/// An integer in two's complement, low byte first.
fn integer(bytes: &[u8]) -> Object<'_> {
    let fill = if bytes.last().is_some_and(|&byte| byte >= 0x80) {
        0xff
    } else {
        0
    };
    let mut array = [fill; 8];
    match array.get_mut(..bytes.len()) {
        Some(low) => {
            low.copy_from_slice(bytes);
            Object::Int(i64::from_le_bytes(array))
        }
        None => Object::Long(bytes),
    }
}

/// Each character as one byte.
fn latin1(text: &str) -> Result<Vec<u8>> {
    let byte = |character: char| u8::try_from(u32::from(character)).ok();
    match text.chars().map(byte).collect() {
        Some(bytes) => Ok(bytes),
        None => bail!(Format, "a text beyond Latin-1 as bytes"),
    }
}
