//! The closed list of Python's names that a pickle may use, and what each stands for.
//!
//! It holds what PyTorch's own `torch.load(weights_only=True)` allows and tensors can represent, and NumPy's arrays and
//! SciPy's sparse matrices, in which data sets are pickled. Nothing is looked up in a module and nothing is called: a name
//! selects an arm of a `match`.

use flambeau_tensor::{DType, Result, bail};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Global {
    /// A dictionary: `OrderedDict()`, filled afterwards or from pairs.
    Dict,
    /// A dictionary whose first argument is a factory of missing values: `defaultdict(list)`.
    DefaultDict,
    /// A class that comes as an argument only, and says nothing about the data.
    Class,
    /// A list from a list: `set([…])`.
    Set,
    /// A tuple from a tuple: `torch.Size((…))`.
    Size,
    /// A device from its name: `torch.device("cuda", 0)`.
    Device,
    /// Bytes from a text, each character one byte: `_codecs.encode(text, "latin1")`.
    Encode,
    /// Bytes from bytes: `bytearray(b"…")`, `bytes()`.
    ByteArray,
    /// An element type: `torch.float32`.
    DType(DType),
    /// The class of a storage of elements of one type, or of bytes.
    Storage(Option<DType>),
    /// `_rebuild_tensor(storage, offset, size, stride)`.
    Tensor1,
    /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, metadata?)`.
    Tensor2,
    /// `_rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype, metadata?)`.
    Tensor3,
    /// `_rebuild_parameter(tensor, requires_grad, hooks, state?)`.
    Parameter,
    /// `_rebuild_from_type_v2(function, type, arguments, state)`.
    FromType,
    /// `numpy.core.multiarray._reconstruct(ndarray, (0,), b"b")`, filled afterwards.
    Array,
    /// `numpy.dtype("f4", align, copy)`, given its order of bytes afterwards.
    ArrayType,
    /// `csr_matrix()`, given its attributes afterwards.
    Matrix,
}

const GLOBALS: &[(&str, &str, Global)] = {
    use Global::*;
    &[
        ("collections", "OrderedDict", Dict),
        ("collections", "Counter", Dict),
        ("collections", "defaultdict", DefaultDict),
        ("builtins", "dict", Class),
        ("builtins", "list", Class),
        ("builtins", "int", Class),
        ("builtins", "float", Class),
        ("builtins", "set", Set),
        ("builtins", "bytearray", ByteArray),
        ("builtins", "bytes", ByteArray),
        ("_codecs", "encode", Encode),
        ("torch", "Size", Size),
        ("torch", "device", Device),
        ("torch", "Tensor", Class),
        ("torch.nn.parameter", "Parameter", Class),
        ("torch._utils", "_rebuild_tensor", Tensor1),
        ("torch._utils", "_rebuild_tensor_v2", Tensor2),
        ("torch._utils", "_rebuild_tensor_v3", Tensor3),
        ("torch._utils", "_rebuild_parameter", Parameter),
        ("torch._utils", "_rebuild_parameter_with_state", Parameter),
        ("torch._tensor", "_rebuild_from_type_v2", FromType),
        ("torch.storage", "UntypedStorage", Storage(None)),
        ("torch", "UntypedStorage", Storage(None)),
        ("numpy.core.multiarray", "_reconstruct", Array),
        ("numpy._core.multiarray", "_reconstruct", Array),
        ("numpy", "ndarray", Class),
        ("numpy", "dtype", ArrayType),
        ("scipy.sparse.csr", "csr_matrix", Matrix),
        ("scipy.sparse._csr", "csr_matrix", Matrix),
    ]
};

/// PyTorch's name of the storage of each element type.
const STORAGES: [(&str, DType); 10] = [
    ("BoolStorage", DType::Bool),
    ("ByteStorage", DType::U8),
    ("CharStorage", DType::I8),
    ("ShortStorage", DType::I16),
    ("IntStorage", DType::I32),
    ("LongStorage", DType::I64),
    ("HalfStorage", DType::F16),
    ("BFloat16Storage", DType::BF16),
    ("FloatStorage", DType::F32),
    ("DoubleStorage", DType::F64),
];

/// What this name stands for.
///
/// # Errors
/// `Unsupported` with the name if it is not in the list.
pub(crate) fn find(module: &str, name: &str) -> Result<Global> {
    // Python 2's name of the module, which protocol 2 keeps.
    let module = if module == "__builtin__" {
        "builtins"
    } else {
        module
    };
    if let Some((.., global)) = GLOBALS.iter().find(|(m, n, _)| (*m, *n) == (module, name)) {
        return Ok(*global);
    }
    // A storage on another device holds the same elements.
    if matches!(module, "torch" | "torch.cuda")
        && let Some((_, dtype)) = STORAGES.iter().find(|(storage, _)| *storage == name)
    {
        return Ok(Global::Storage(Some(*dtype)));
    }
    if module == "torch"
        && let Some(dtype) = DType::from_name(name).filter(|dtype| dtype.name() == name)
    {
        return Ok(Global::DType(dtype));
    }
    bail!(
        Unsupported,
        "the file asks for Python's `{module}.{name}`, which is not among the names that stand for plain data and \
         tensors; nothing was executed"
    )
}

/// The name of the class of storages, without the module `torch`.
pub(crate) fn storage_name(dtype: DType) -> &'static str {
    STORAGES
        .iter()
        .find(|(_, other)| *other == dtype)
        .map_or("UntypedStorage", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_of_the_list_are_errors() {
        for (module, name) in [
            ("os", "system"),
            ("builtins", "eval"),
            ("torch", "load"),
            ("", ""),
        ] {
            let error = find(module, name).map_err(|error| error.to_string());
            assert!(error.is_err_and(|error| error.contains(&format!("`{module}.{name}`"))));
        }
    }

    #[test]
    fn every_element_type_has_a_storage_and_a_name() -> Result<()> {
        for dtype in DType::ALL {
            assert_eq!(find("torch", storage_name(dtype))?, Global::Storage(Some(dtype)));
            assert_eq!(find("torch", dtype.name())?, Global::DType(dtype));
        }
        Ok(())
    }
}
