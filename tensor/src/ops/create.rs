//! Making tensors: from data, and constant ones.

use flambeau_kernels::mem::{self, Buf};

use crate::buffer::Stored;
use crate::value::Value;
use crate::{DType, Element, IntoShape, Result, Scalar, Shape, Tensor, ensure, with_stored};

/// Nested data that [`Tensor::new`] accepts: a number, an array, a slice or a `Vec`, to any depth.
pub trait NestedData {
    /// The type of the numbers.
    type Item: Element;

    /// Appends the sizes of this level and those below.
    fn push_shape(&self, shape: &mut Vec<usize>);

    /// Appends the numbers in row-major order.
    ///
    /// # Errors
    /// `Shape` if an inner size differs from `shape`.
    fn push_data(&self, shape: &[usize], data: &mut Vec<Self::Item>) -> Result<()>;
}

macro_rules! nested_numbers {
    ($($t:ty)*) => { $(
        impl NestedData for $t {
            type Item = $t;

            fn push_shape(&self, _: &mut Vec<usize>) {}

            fn push_data(&self, _: &[usize], data: &mut Vec<$t>) -> Result<()> {
                data.push(*self);
                Ok(())
            }
        }
    )* };
}
nested_numbers!(bool u8 i8 i16 i32 i64 half::f16 half::bf16 f32 f64);

impl<D: NestedData> NestedData for [D] {
    type Item = D::Item;

    fn push_shape(&self, shape: &mut Vec<usize>) {
        shape.push(self.len());
        if let Some(first) = self.first() {
            first.push_shape(shape);
        }
    }

    fn push_data(&self, shape: &[usize], data: &mut Vec<D::Item>) -> Result<()> {
        let wanted = shape.first().copied().unwrap_or(0);
        ensure!(
            self.len() == wanted,
            Shape,
            "tensor: a row has {} entries where the first has {wanted}",
            self.len()
        );
        self.iter().try_for_each(|row| row.push_data(&shape[1..], data))
    }
}

/// Data that is nested like something it contains or points to.
macro_rules! nested_like_slice {
    ($([$($generics:tt)*] $t:ty => $inner:ty, $as_inner:expr;)*) => { $(
        impl<$($generics)*> NestedData for $t {
            type Item = <$inner as NestedData>::Item;

            fn push_shape(&self, shape: &mut Vec<usize>) {
                let inner: fn(&Self) -> &$inner = $as_inner;
                inner(self).push_shape(shape)
            }

            fn push_data(&self, shape: &[usize], data: &mut Vec<Self::Item>) -> Result<()> {
                let inner: fn(&Self) -> &$inner = $as_inner;
                inner(self).push_data(shape, data)
            }
        }
    )* };
}
nested_like_slice! {
    [D: NestedData, const N: usize] [D; N] => [D], |x| x.as_slice();
    [D: NestedData] Vec<D> => [D], |x| x.as_slice();
    [D: NestedData + ?Sized] &D => D, |x| *x;
}

impl Tensor {
    /// A tensor of the given numbers, nested as they are (`torch.tensor`): `Tensor::new([[1.0f32, 2.0], [3.0, 4.0]])`.
    ///
    /// # Errors
    /// `Shape` if rows differ in length.
    pub fn new(data: impl NestedData) -> Result<Tensor> {
        let (mut shape, mut flat) = (Vec::new(), Vec::new());
        data.push_shape(&mut shape);
        data.push_data(&shape, &mut flat)?;
        Tensor::from_slice(&flat, shape)
    }

    /// A tensor of `shape` with the elements of `data` in row-major order.
    ///
    /// # Errors
    /// `Shape` if the number of elements differs.
    pub fn from_slice<T: Element>(data: &[T], shape: impl IntoShape) -> Result<Tensor> {
        let shape = shape.into_shape();
        let (given, wanted) = (data.len(), checked_numel("from_slice", &shape)?);
        ensure!(
            given == wanted,
            Shape,
            "from_slice: {given} elements for shape {shape:?}, which has {wanted}"
        );
        Ok(Tensor::from_value(Value::new(stored(data), T::DTYPE, shape)))
    }

    /// A tensor of `shape` with the elements of `data` in row-major order.
    ///
    /// # Errors
    /// `Shape` if the number of elements differs.
    pub fn from_vec<T: Element>(data: Vec<T>, shape: impl IntoShape) -> Result<Tensor> {
        Tensor::from_slice(&data, shape)
    }

    /// A tensor of `shape` whose elements `fill` writes, in row-major order; they are unspecified before.
    ///
    /// ```
    /// # use flambeau_tensor::Tensor;
    /// let squares = Tensor::filled_by(4, |out: &mut [i64]| (0..).zip(out).for_each(|(i, x)| *x = i * i))?;
    /// assert_eq!(squares.to_vec::<i64>()?, [0, 1, 4, 9]);
    /// # Ok::<(), flambeau_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Shape` if there is no memory for so many elements.
    pub fn filled_by<T: Element<Stored = T> + Stored>(
        shape: impl IntoShape,
        fill: impl FnOnce(&mut [T]),
    ) -> Result<Tensor> {
        let shape = shape.into_shape();
        checked_numel("filled_by", &shape)?;
        Ok(Tensor::from_value(Value::build(T::DTYPE, shape, fill)?))
    }

    /// A 1-d tensor of the elements.
    pub(crate) fn vector<T: Element>(data: &[T]) -> Tensor {
        let stored: Buf<T::Stored> = stored(data);
        let shape = Shape::new(&[data.len()]);
        Tensor::from_value(Value::new(stored, T::DTYPE, shape))
    }

    /// A 2-d tensor of the elements in row-major order, of which there are `rows · columns`.
    pub(crate) fn rows<T: Element>(data: &[T], rows: usize, columns: usize) -> Tensor {
        Tensor::from_value(Value::new(stored(data), T::DTYPE, Shape::new(&[rows, columns])))
    }

    /// A 0-d tensor of a number, of the number's own type.
    pub fn scalar<T: Element>(x: T) -> Tensor {
        Tensor::from_value(Value::new(
            Buf::from_slice(&[x.store()]),
            T::DTYPE,
            Shape::default(),
        ))
    }

    /// A tensor with every element `value`, cast to `dtype` (`torch.full`).
    ///
    /// # Errors
    /// `Shape` if the shape has more elements than memory can address.
    pub fn full(shape: impl IntoShape, value: impl Into<Scalar>, dtype: DType) -> Result<Tensor> {
        let (shape, value) = (shape.into_shape(), value.into());
        checked_numel("full", &shape)?;
        Ok(Tensor::from_value(full_value(shape, value, dtype)?))
    }

    /// A tensor of zeros (`torch.zeros`).
    ///
    /// # Errors
    /// `Shape` if the shape has more elements than memory can address.
    pub fn zeros(shape: impl IntoShape, dtype: DType) -> Result<Tensor> {
        let shape = shape.into_shape();
        checked_numel("zeros", &shape)?;
        Ok(Tensor::from_value(Value::zeros(dtype, shape)?))
    }

    /// A tensor of ones (`torch.ones`).
    ///
    /// # Errors
    /// `Shape` if the shape has more elements than memory can address.
    pub fn ones(shape: impl IntoShape, dtype: DType) -> Result<Tensor> {
        let shape = shape.into_shape();
        checked_numel("ones", &shape)?;
        Tensor::full(shape, 1i64, dtype)
    }

    /// A tensor whose elements are whatever the memory held before (`torch.empty`).
    ///
    /// # Errors
    /// `Shape` if the shape has more elements than memory can address.
    pub fn empty(shape: impl IntoShape, dtype: DType) -> Result<Tensor> {
        let shape = shape.into_shape();
        checked_numel("empty", &shape)?;
        if dtype == DType::Bool {
            return Tensor::zeros(shape, dtype); // memory may hold bytes other than 0 and 1
        }
        Ok(Tensor::from_value(
            with_stored!(dtype, T => Value::build::<T>(dtype, shape, |_| ())?),
        ))
    }

    /// A 0-d tensor of a number, in the given type (`torch.scalar_tensor`).
    pub fn scalar_tensor(value: impl Into<Scalar>, dtype: DType) -> Tensor {
        Tensor::from_value(scalar_value(value.into(), dtype))
    }

    /// Zeros of another shape in the type of this tensor.
    ///
    /// # Errors
    /// As [`Tensor::zeros`].
    pub fn new_zeros(&self, shape: impl IntoShape) -> Result<Tensor> {
        Tensor::zeros(shape, self.dtype())
    }

    /// Ones of another shape in the type of this tensor.
    ///
    /// # Errors
    /// As [`Tensor::ones`].
    pub fn new_ones(&self, shape: impl IntoShape) -> Result<Tensor> {
        Tensor::ones(shape, self.dtype())
    }

    /// Another shape filled with a number in the type of this tensor.
    ///
    /// # Errors
    /// As [`Tensor::full`].
    pub fn new_full(&self, shape: impl IntoShape, value: impl Into<Scalar>) -> Result<Tensor> {
        Tensor::full(shape, value, self.dtype())
    }

    /// [`Tensor::empty`] of another shape in the type of this tensor.
    ///
    /// # Errors
    /// As [`Tensor::empty`].
    pub fn new_empty(&self, shape: impl IntoShape) -> Result<Tensor> {
        Tensor::empty(shape, self.dtype())
    }

    /// [`Tensor::empty`] in the shape and type of this tensor.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn empty_like(&self) -> Result<Tensor> {
        Tensor::empty(self.shape(), self.dtype())
    }

    /// Zeros in the shape and type of this tensor.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn zeros_like(&self) -> Result<Tensor> {
        Tensor::zeros(self.shape(), self.dtype())
    }

    /// Ones in the shape and type of this tensor.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn ones_like(&self) -> Result<Tensor> {
        Tensor::ones(self.shape(), self.dtype())
    }

    /// A tensor with every element `value` in the shape and type of this tensor.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn full_like(&self, value: impl Into<Scalar>) -> Result<Tensor> {
        Tensor::full(self.shape(), value, self.dtype())
    }
}

/// Elements as they lie in memory.
fn stored<T: Element>(data: &[T]) -> Buf<T::Stored> {
    let mut buf = Buf::<T::Stored>::take(data.len());
    for (slot, &x) in buf.iter_mut().zip(data) {
        *slot = x.store();
    }
    buf
}

/// The number of elements of a shape that comes from outside, an error if no machine, or not this one, can hold them.
pub(crate) fn checked_numel(op: &str, shape: &[usize]) -> Result<usize> {
    /// What is worth asking the system for.
    const LARGE: usize = 1 << 30;
    let numel = countable(op, shape)?;
    ensure!(
        numel < LARGE || mem::available(numel),
        Shape,
        "{op}: shape {shape:?} has more elements than there is memory for"
    );
    Ok(numel)
}

/// An error if there is no memory for a list of `len` elements, whose length comes from outside.
pub(crate) fn check_room<T>(op: &str, len: usize) -> Result<()> {
    let bytes = len.saturating_mul(size_of::<T>());
    ensure!(
        bytes < 1 << 30 || mem::available(bytes),
        Value,
        "{op}: {len} elements are more than there is memory for"
    );
    Ok(())
}

/// The number of elements of a shape that comes from outside, for views, which need no memory.
pub(crate) fn countable(op: &str, shape: &[usize]) -> Result<usize> {
    // A size of zero excuses no other size: strides must be computable too.
    let reach = shape
        .iter()
        .fold(1usize, |n, &size| n.saturating_mul(size.max(1)));
    ensure!(
        reach < isize::MAX as usize / 16, // bytes, of complex numbers of float64 too
        Shape,
        "{op}: shape {shape:?} has more elements than memory can address"
    );
    Ok(crate::shape::numel(shape))
}

/// A 0-d value.
pub(crate) fn scalar_value(value: Scalar, dtype: DType) -> Value {
    with_stored!(dtype, T => {
        let element = if dtype == DType::Bool { Scalar::Bool(value.to_bool()) } else { value };
        Value::new(Buf::from_slice(&[<T as FromScalar>::from_scalar(element)]), dtype, Shape::default())
    })
}

/// A contiguous value with every element `value`.
pub(crate) fn full_value(shape: Shape, value: Scalar, dtype: DType) -> Result<Value> {
    with_stored!(dtype, T => {
        let element = if dtype == DType::Bool { Scalar::Bool(value.to_bool()) } else { value };
        Value::build::<T>(dtype, shape, |out| out.fill(<T as FromScalar>::from_scalar(element)))
    })
}

/// Conversion of a number to an element: integers wrap, floats are rounded (or cut off to integers).
pub(crate) trait FromScalar {
    fn from_scalar(scalar: Scalar) -> Self;
}

macro_rules! from_scalar {
    ($($t:ty)*) => { $(
        impl FromScalar for $t {
            #[inline]
            fn from_scalar(scalar: Scalar) -> $t {
                match scalar {
                    Scalar::Bool(b) => b as u8 as $t,
                    Scalar::Int(i) => i as $t,
                    Scalar::Float(f) => f as $t,
                }
            }
        }
    )* };
}
from_scalar!(u8 i8 i16 i32 i64 f32 f64);

impl FromScalar for half::f16 {
    fn from_scalar(scalar: Scalar) -> Self {
        half::f16::from_f64(scalar.to_f64())
    }
}

impl FromScalar for half::bf16 {
    fn from_scalar(scalar: Scalar) -> Self {
        half::bf16::from_f64(scalar.to_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_data_gives_its_shape() {
        let t = Tensor::new([[1i64, 2, 3], [4, 5, 6]]).unwrap();
        assert_eq!((t.shape(), t.dtype()), (&[2, 3][..], DType::I64));
        assert_eq!(Tensor::new(2.5f64).unwrap().shape(), [0usize; 0]);
        let flags = Tensor::new(vec![vec![true, false]; 2]).unwrap();
        assert_eq!(flags.to_vec::<bool>().unwrap(), [true, false, true, false]);
        let error = Tensor::new(vec![vec![1.0f32], vec![]]).unwrap_err().to_string();
        assert_eq!(error, "tensor: a row has 0 entries where the first has 1");
    }

    #[test]
    fn impossible_sizes_are_errors() {
        assert!(Tensor::zeros([usize::MAX, 2], DType::F32).is_err());
        let error = Tensor::from_slice(&[1.0f32], [2, 2]).unwrap_err().to_string();
        assert_eq!(error, "from_slice: 1 elements for shape [2, 2], which has 4");
    }
}
