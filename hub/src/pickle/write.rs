//! Pickles of values, in protocol 2, for every reader of PyTorch's files to understand.

use std::collections::HashMap;

use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::MAX_DEPTH;
use super::globals::storage_name;
use super::opcodes::Opcode;
use crate::value::{Dict, Key, Value};

/// Texts up to this length are kept in the memo, so that keys which come again take two bytes.
const MAX_KEPT: usize = 256;

/// Where a tensor's elements are: `storage` is the number of the storage that it views.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) storage: usize,
    pub(crate) numel: usize,
    pub(crate) offset: usize,
    pub(crate) strides: Vec<usize>,
}

/// The pickle of `value`, whose tensors, in the order of [`Value::tensors`], are at `places`.
pub(crate) fn to_pickle(value: &Value, places: &[Place]) -> Result<Vec<u8>> {
    let mut writer = Writer {
        bytes: Vec::new(),
        memo: HashMap::new(),
        places: places.iter(),
    };
    writer.bytes.extend([Opcode::Proto.byte(), 2]);
    writer.value(value, 0)?;
    writer.op(Opcode::Stop);
    Ok(writer.bytes)
}

struct Writer<'p> {
    bytes: Vec<u8>,
    /// Numbers under which texts and names are kept.
    memo: HashMap<String, u32>,
    places: std::slice::Iter<'p, Place>,
}

impl Writer<'_> {
    fn op(&mut self, opcode: Opcode) {
        self.bytes.push(opcode.byte());
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<()> {
        ensure!(
            depth < MAX_DEPTH,
            Unsupported,
            "values nested in {MAX_DEPTH} levels or more"
        );
        match value {
            Value::None => self.op(Opcode::None),
            Value::Bool(truth) => self.truth(*truth),
            Value::Int(number) => self.int(*number),
            Value::Float(number) => {
                self.op(Opcode::BinFloat);
                self.bytes.extend(number.to_be_bytes());
            }
            Value::Str(text) => self.text(text)?,
            Value::Bytes(bytes) => self.raw_bytes(bytes)?,
            Value::DType(dtype) => self.global("torch", dtype.name()),
            Value::Tensor(tensor) => self.tensor(tensor)?,
            Value::List(items) => {
                self.op(Opcode::EmptyList);
                self.op(Opcode::Mark);
                items.iter().try_for_each(|item| self.value(item, depth + 1))?;
                self.op(Opcode::Appends);
            }
            Value::Tuple(items) => {
                self.op(Opcode::Mark);
                items.iter().try_for_each(|item| self.value(item, depth + 1))?;
                self.op(Opcode::Tuple);
            }
            Value::Dict(dict) => self.dict(dict, depth)?,
        }
        Ok(())
    }

    fn dict(&mut self, dict: &Dict, depth: usize) -> Result<()> {
        self.op(Opcode::EmptyDict);
        self.op(Opcode::Mark);
        for (key, value) in dict {
            match key {
                Key::Str(text) => self.text(text)?,
                Key::Int(number) => self.int(*number),
            }
            self.value(value, depth + 1)?;
        }
        self.op(Opcode::SetItems);
        Ok(())
    }

    fn truth(&mut self, truth: bool) {
        self.op(if truth { Opcode::NewTrue } else { Opcode::NewFalse });
    }

    fn int(&mut self, number: i64) {
        if let Ok(byte) = u8::try_from(number) {
            self.op(Opcode::BinInt1);
            self.bytes.push(byte);
        } else if let Ok(number) = i32::try_from(number) {
            self.op(Opcode::BinInt);
            self.bytes.extend(number.to_le_bytes());
        } else {
            self.op(Opcode::Long1);
            self.bytes.push(8);
            self.bytes.extend(number.to_le_bytes());
        }
    }

    fn text(&mut self, text: &str) -> Result<()> {
        if text.len() > MAX_KEPT {
            return self.plain_text(text);
        }
        // Names of functions have a new line in the memo's key, and can't be taken for a text: see `global`.
        let key = format!("text {text}");
        if !self.recall(&key) {
            self.plain_text(text)?;
            self.keep(key);
        }
        Ok(())
    }

    fn plain_text(&mut self, text: &str) -> Result<()> {
        let Ok(length) = u32::try_from(text.len()) else {
            flambeau_tensor::bail!(Unsupported, "a text of {} bytes", text.len())
        };
        self.op(Opcode::BinUnicode);
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(text.as_bytes());
        Ok(())
    }

    /// Protocol 2 has no bytes: Python writes a text of which each character is one of them.
    fn raw_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        self.global("_codecs", "encode");
        self.plain_text(&text)?;
        self.text("latin1")?;
        self.op(Opcode::Tuple2);
        self.op(Opcode::Reduce);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) {
        let key = format!("name {module}.{name}");
        if !self.recall(&key) {
            self.op(Opcode::Global);
            self.bytes.extend(format!("{module}\n{name}\n").into_bytes());
            self.keep(key);
        }
    }

    /// Puts what is kept under this key on the stack.
    fn recall(&mut self, key: &str) -> bool {
        let Some(&number) = self.memo.get(key) else {
            return false;
        };
        self.memo_op(Opcode::BinGet, Opcode::LongBinGet, number);
        true
    }

    /// Keeps what is on the stack.
    fn keep(&mut self, key: String) {
        let number = self.memo.len() as u32;
        self.memo_op(Opcode::BinPut, Opcode::LongBinPut, number);
        self.memo.insert(key, number);
    }

    fn memo_op(&mut self, short: Opcode, long: Opcode, number: u32) {
        if let Ok(byte) = u8::try_from(number) {
            self.op(short);
            self.bytes.push(byte);
        } else {
            self.op(long);
            self.bytes.extend(number.to_le_bytes());
        }
    }

    fn sizes(&mut self, sizes: &[usize]) {
        self.op(Opcode::Mark);
        sizes.iter().for_each(|&size| self.int(size as i64));
        self.op(Opcode::Tuple);
    }

    fn tensor(&mut self, tensor: &Tensor) -> Result<()> {
        let Some(place) = self.places.next() else {
            flambeau_tensor::bail!(Value, "a tensor without a place")
        };
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.op(Opcode::Mark);
        self.storage(tensor.dtype(), place)?;
        self.int(place.offset as i64);
        self.sizes(tensor.shape());
        self.sizes(&place.strides);
        self.truth(false);
        self.global("collections", "OrderedDict");
        self.op(Opcode::EmptyTuple);
        self.op(Opcode::Reduce);
        self.op(Opcode::Tuple);
        self.op(Opcode::Reduce);
        Ok(())
    }

    fn storage(&mut self, dtype: DType, place: &Place) -> Result<()> {
        self.op(Opcode::Mark);
        self.text("storage")?;
        self.global("torch", storage_name(dtype));
        self.text(&place.storage.to_string())?;
        self.text("cpu")?;
        self.int(place.numel as i64);
        self.op(Opcode::Tuple);
        self.op(Opcode::BinPersId);
        Ok(())
    }
}
