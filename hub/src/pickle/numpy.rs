//! NumPy's arrays and SciPy's sparse matrices, as pickles hold them.
//!
//! An array is a call of `numpy.core.multiarray._reconstruct(ndarray, (0,), b"b")`, which is then given its attributes:
//! `(version, shape, dtype, is_fortran, bytes)`. Its type is a call of `numpy.dtype("f4", …)`, whose attributes begin with a
//! version and the order of bytes. A matrix is a `csr_matrix` without arguments, whose attributes are a dictionary.

use flambeau_tensor::io::elements::{Endian, read_tensor};
use flambeau_tensor::{DType, Result, Tensor, bail, ensure};

use super::machine::{MAX_RANK, Machine, size};
use super::objects::{Node, Object};

/// An array, whose bytes are somewhere in the pickle.
#[derive(Debug)]
pub(crate) struct ArrayRef<'a> {
    pub(crate) dtype: DType,
    pub(crate) endian: Endian,
    pub(crate) shape: Vec<usize>,
    /// Whether the first index runs fastest.
    pub(crate) is_fortran: bool,
    pub(crate) bytes: Object<'a>,
}

/// The type of elements that NumPy has under a code.
pub(crate) fn dtype(code: &str) -> Result<DType> {
    Ok(match code {
        "b1" => DType::Bool,
        "u1" => DType::U8,
        "i1" => DType::I8,
        "i2" => DType::I16,
        "i4" => DType::I32,
        "i8" => DType::I64,
        "f2" => DType::F16,
        "f4" => DType::F32,
        "f8" => DType::F64,
        other => bail!(Unsupported, "an array of NumPy's type {other:?}"),
    })
}

/// The order of bytes that NumPy has under a character; that of types of one byte is neither.
pub(crate) fn endian(order: &str) -> Result<Endian> {
    match order {
        "<" | "|" => Ok(Endian::Little),
        ">" => Ok(Endian::Big),
        other => bail!(Unsupported, "an array with the order of bytes {other:?}"),
    }
}

impl<'a> Machine<'a> {
    /// Gives the object on the stack its attributes.
    pub(super) fn build(&mut self, attributes: Object<'a>) -> Result<()> {
        let object = self.top()?;
        let Object::Node(id) = object else {
            bail!(Format, "attributes for {}", object.kind())
        };
        let made = match self.node(object) {
            Some(Node::Array(_)) => self.array(attributes)?,
            Some(&Node::ArrayType(dtype, _)) => match self.items(attributes)? {
                [_version, Object::Str(order), ..] => Node::ArrayType(dtype, endian(order)?),
                _ => bail!(Format, "the type of an array without an order of bytes"),
            },
            Some(Node::Attributes(_)) => self.matrix(attributes)?,
            // Attributes beside the data, such as an OrderedDict's `_metadata`, which says the versions of modules.
            _ => return Ok(()),
        };
        if let Some(node) = self.nodes.get_mut(id.0 as usize) {
            *node = made;
        }
        Ok(())
    }

    /// An array from `(version, shape, dtype, is_fortran, bytes)`.
    fn array(&mut self, attributes: Object<'a>) -> Result<Node<'a>> {
        let &[_version, shape, dtype, Object::Bool(is_fortran), bytes] = self.items(attributes)? else {
            bail!(Format, "an array with other attributes than NumPy's")
        };
        let Some(&Node::ArrayType(dtype, endian)) = self.node(dtype) else {
            bail!(Format, "an array whose type is {}", dtype.kind())
        };
        let sizes = self.items(shape)?;
        ensure!(
            sizes.len() <= MAX_RANK,
            Format,
            "an array of {} sizes",
            sizes.len()
        );
        let shape = sizes
            .iter()
            .map(|&object| size(object))
            .collect::<Result<Vec<_>>>()?;
        self.charge(shape.len() * size_of::<usize>())?;
        Ok(Node::Array(Some(Box::new(ArrayRef {
            dtype,
            endian,
            shape,
            is_fortran,
            bytes,
        }))))
    }

    /// A matrix from the dictionary of its attributes.
    fn matrix(&mut self, attributes: Object<'a>) -> Result<Node<'a>> {
        self.deepen(&[attributes])?;
        let Some(Node::Dict(entries)) = self.node(attributes) else {
            bail!(Format, "attributes of a matrix that are {}", attributes.kind())
        };
        // What is too much is refused after one copy, which is no longer than the pickle.
        let entries = entries.clone();
        self.charge(entries.len() * size_of::<(Object, Object)>())?;
        Ok(Node::Attributes(entries))
    }
}

/// The array with these bytes.
pub(crate) fn read(array: &ArrayRef<'_>, bytes: &[u8]) -> Result<Tensor> {
    let size = array.dtype.size_in_bytes();
    let claimed = array
        .shape
        .iter()
        .try_fold(size, |all, &size| all.checked_mul(size));
    ensure!(
        claimed == Some(bytes.len()),
        Format,
        "an array of shape {:?} and type {} with {} bytes",
        array.shape,
        array.dtype,
        bytes.len()
    );
    let mut shape = array.shape.clone();
    if array.is_fortran {
        shape.reverse();
    }
    let read = read_tensor(
        &mut &*bytes,
        array.dtype,
        &shape,
        array.endian,
        bytes.len() as u64,
    )?;
    if !array.is_fortran {
        return Ok(read);
    }
    let dims: Vec<isize> = (0..shape.len() as isize).rev().collect();
    read.permute(&dims)?.contiguous()
}
