//! The tree of values that a checkpoint is: tensors, numbers and texts in lists, tuples and dictionaries.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};

use flambeau_tensor::{DType, Result, Tensor, ensure};
use indexmap::{Equivalent, IndexMap};

/// Tensors by dotted name, as `Module::state_dict` gives and `Module::load_state_dict` takes them.
pub type StateDict = BTreeMap<String, Tensor>;

/// A dictionary, in the order of the file.
///
/// ```
/// use flambeau_hub::{Dict, Value};
///
/// let mut group = Dict::new();
/// group.insert("lr".into(), Value::Float(0.1));
/// assert!(matches!(group.get("lr"), Some(Value::Float(0.1))));
/// ```
pub type Dict = IndexMap<Key, Value>;

/// A value in a checkpoint: what Python's pickles of state dicts and the metadata of other formats are made of.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// `None`.
    #[default]
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating point number.
    Float(f64),
    /// A text.
    Str(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// An element type, such as `torch.float32`.
    DType(DType),
    /// A tensor. Those that shared a storage in the file share memory.
    Tensor(Tensor),
    /// A list.
    List(Vec<Value>),
    /// A tuple; `torch.Size` is one.
    Tuple(Vec<Value>),
    /// A dictionary; `collections.OrderedDict` is one.
    Dict(Dict),
}

/// The key of an entry of a dictionary. Keys are texts as a rule; optimisers number their parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A text.
    Str(String),
    /// An integer.
    Int(i64),
}

impl Value {
    /// The entry of this name, if the value is a dictionary that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_dict()?.get(key)
    }

    /// The dictionary, if the value is one.
    pub fn as_dict(&self) -> Option<&Dict> {
        if let Value::Dict(dict) = self {
            Some(dict)
        } else {
            None
        }
    }

    /// The items, if the value is a list or a tuple.
    pub fn as_list(&self) -> Option<&[Value]> {
        if let Value::List(items) | Value::Tuple(items) = self {
            Some(items)
        } else {
            None
        }
    }

    /// The tensor, if the value is one.
    pub fn as_tensor(&self) -> Option<&Tensor> {
        if let Value::Tensor(tensor) = self {
            Some(tensor)
        } else {
            None
        }
    }

    /// The text, if the value is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::Str(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The integer, if the value is one.
    pub fn as_i64(&self) -> Option<i64> {
        if let Value::Int(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    /// The number, if the value is an integer or a floating point number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// The truth value, if the value is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(truth) = self {
            Some(*truth)
        } else {
            None
        }
    }

    /// All tensors in the order of the file, under the keys and positions that lead to them, joined by dots:
    /// `encoder.0.weight`. A value that is a tensor itself has the empty name.
    pub fn tensors(&self) -> Vec<(String, &Tensor)> {
        let mut tensors = Vec::new();
        self.collect("", &mut tensors);
        tensors
    }

    fn collect<'a>(&'a self, name: &str, tensors: &mut Vec<(String, &'a Tensor)>) {
        let below = |part: &dyn fmt::Display| match name {
            "" => part.to_string(),
            name => format!("{name}.{part}"),
        };
        match self {
            Value::Tensor(tensor) => tensors.push((name.to_string(), tensor)),
            Value::List(items) | Value::Tuple(items) => {
                for (index, item) in items.iter().enumerate().filter(|(_, item)| item.is_branch()) {
                    item.collect(&below(&index), tensors);
                }
            }
            Value::Dict(dict) => {
                for (key, item) in dict.iter().filter(|(_, item)| item.is_branch()) {
                    item.collect(&below(key), tensors);
                }
            }
            _ => {}
        }
    }

    /// Whether tensors can be here or below.
    fn is_branch(&self) -> bool {
        matches!(
            self,
            Value::Tensor(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_)
        )
    }

    /// All tensors by name, as [`Value::tensors`] names them.
    ///
    /// # Errors
    /// `Key` if two tensors have the same name, as in `{"a.b": x, "a": {"b": y}}`.
    pub fn state_dict(&self) -> Result<StateDict> {
        let mut dict = StateDict::new();
        for (name, tensor) in self.tensors() {
            let twice = dict.insert(name.clone(), tensor.clone()).is_some();
            ensure!(!twice, Key, "two tensors are called `{name}`");
        }
        Ok(dict)
    }
}

/// A text hashes as a `str`, which finds it in a [`Dict`].
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Key::Str(text) => text.hash(state),
            Key::Int(number) => number.hash(state),
        }
    }
}

impl Equivalent<Key> for str {
    fn equivalent(&self, key: &Key) -> bool {
        matches!(key, Key::Str(text) if text == self)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Str(text) => f.write_str(text),
            Key::Int(number) => write!(f, "{number}"),
        }
    }
}

macro_rules! from {
    ($($to:ident: $variant:ident($t:ty)),*) => { $(
        impl From<$t> for $to {
            fn from(value: $t) -> $to {
                $to::$variant(value.into())
            }
        }
    )* };
}
from!(
    Key: Str(&str), Key: Str(String), Key: Int(i64),
    Value: Bool(bool), Value: Int(i64), Value: Float(f64), Value: Str(&str), Value: Str(String),
    Value: DType(DType), Value: Tensor(Tensor), Value: List(Vec<Value>), Value: Dict(Dict)
);

impl From<StateDict> for Value {
    fn from(dict: StateDict) -> Value {
        dict.into_iter().collect()
    }
}

impl<K: Into<Key>, V: Into<Value>> FromIterator<(K, V)> for Value {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Value {
        let entry = |(key, value): (K, V)| (key.into(), value.into());
        Value::Dict(entries.into_iter().map(entry).collect())
    }
}
