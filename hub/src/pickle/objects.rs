//! What a pickle makes: values, and nodes that several values may refer to.

use flambeau_tensor::DType;
use flambeau_tensor::io::elements::Endian;

use super::globals::Global;
use super::numpy::ArrayRef;

/// A value on the machine's stack or within a node. Texts are still in the pickle.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Object<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits, in two's complement.
    Long(&'a [u8]),
    Float(f64),
    Str(&'a str),
    Bytes(&'a [u8]),
    Global(Global),
    Node(NodeId),
}

/// The place of a node among the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(pub(crate) u32);

/// What can be referred to from several places, and be changed after that.
#[derive(Debug)]
pub(crate) enum Node<'a> {
    List(Vec<Object<'a>>),
    Tuple(Vec<Object<'a>>),
    /// Keys and values as they came; of two entries with one key the later one counts.
    Dict(Vec<(Object<'a>, Object<'a>)>),
    Bytes(Vec<u8>),
    Storage(StorageRef<'a>),
    Tensor(Box<TensorRef<'a>>),
    /// The type of NumPy's arrays.
    ArrayType(DType, Endian),
    /// One of NumPy's arrays, once it has got its attributes.
    Array(Option<Box<ArrayRef<'a>>>),
    /// The attributes of an object that is nothing but them: one of SciPy's matrices.
    Attributes(Vec<(Object<'a>, Object<'a>)>),
}

/// A storage that lies in the file beside the pickle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StorageRef<'a> {
    /// Its name.
    pub(crate) key: &'a str,
    /// The type of its elements; none for bytes.
    pub(crate) dtype: Option<DType>,
    /// The number of elements; of bytes if there is no type.
    pub(crate) numel: u64,
}

/// A view of a storage.
#[derive(Debug)]
pub(crate) struct TensorRef<'a> {
    pub(crate) storage: StorageRef<'a>,
    pub(crate) dtype: DType,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
}

/// The outcome: all nodes, and the value of the pickle.
#[derive(Debug)]
pub(crate) struct Objects<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    pub(crate) root: Object<'a>,
}

impl<'a> Objects<'a> {
    /// The node that a value refers to.
    pub(crate) fn node(&self, object: Object<'a>) -> Option<&Node<'a>> {
        match object {
            Object::Node(id) => self.nodes.get(id.0 as usize),
            _ => None,
        }
    }
}

impl Object<'_> {
    /// What a message calls the value.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Object::None => "None",
            Object::Bool(_) => "a truth value",
            Object::Int(_) | Object::Long(_) => "an integer",
            Object::Float(_) => "a float",
            Object::Str(_) => "a text",
            Object::Bytes(_) => "bytes",
            Object::Global(_) => "a name",
            Object::Node(_) => "an object",
        }
    }
}
