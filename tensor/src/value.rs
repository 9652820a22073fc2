//! A tensor's value without its history: shared memory and a strided layout over it.

use std::borrow::Cow;
use std::sync::Arc;

use flambeau_kernels::mem::Buf;
use flambeau_kernels::{cast, copy, view::View};

use crate::buffer::{Buffer, Stored};
use crate::{DType, Error, Result, Shape, bail, profiler, with_stored};

/// Elements of a shared [`Buffer`] seen through shape, strides and offset. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Value {
    pub(crate) buffer: Arc<Buffer>,
    pub(crate) dtype: DType,
    pub(crate) shape: Shape,
    pub(crate) strides: Shape,
    pub(crate) offset: usize,
}

/// Memory for the elements of a tensor of `shape`, their values unspecified.
///
/// # Errors
/// `Shape` if there is not so much.
#[inline]
pub(crate) fn buffer<T: Stored>(shape: &Shape) -> Result<Buf<T>> {
    profiler::takes_memory();
    Buf::try_take(shape.numel()).ok_or_else(|| no_memory::<T>(shape))
}

#[cold]
fn no_memory<T>(shape: &[usize]) -> Error {
    let bytes = shape
        .iter()
        .fold(size_of::<T>() as f64, |n, &size| n * size as f64);
    let gib = bytes / (1u64 << 30) as f64;
    Error::Shape(format!(
        "a tensor {shape:?} takes {gib:.1} GiB, which is more than there is memory for"
    ))
}

impl Value {
    /// The contiguous value of `shape` whose elements are `buf`, which holds exactly as many.
    #[inline]
    pub(crate) fn new<T: Stored>(buf: Buf<T>, dtype: DType, shape: Shape) -> Value {
        debug_assert_eq!(buf.len(), shape.numel());
        let strides = shape.contiguous_strides();
        Value {
            buffer: Arc::new(T::wrap(buf)),
            dtype,
            shape,
            strides,
            offset: 0,
        }
    }

    /// A contiguous value of `shape` that `fill` writes; the elements are unspecified before.
    ///
    /// # Errors
    /// `Shape` if there is no memory for so many elements.
    #[inline]
    pub(crate) fn build<T: Stored>(dtype: DType, shape: Shape, fill: impl FnOnce(&mut [T])) -> Result<Value> {
        let mut buf = buffer::<T>(&shape)?;
        fill(&mut buf);
        Ok(Value::new(buf, dtype, shape))
    }

    /// A contiguous value of zeros.
    ///
    /// # Errors
    /// As [`Value::build`].
    pub(crate) fn zeros(dtype: DType, shape: Shape) -> Result<Value> {
        with_stored!(dtype, T => match Buf::<T>::try_zeroed(shape.numel()) {
            Some(buf) => Ok(Value::new(buf, dtype, shape)),
            None => Err(no_memory::<T>(&shape)),
        })
    }

    /// Another view of the same memory. The caller has checked that it lies inside.
    pub(crate) fn with_layout(&self, shape: Shape, strides: Shape, offset: usize) -> Value {
        Value {
            buffer: self.buffer.clone(),
            dtype: self.dtype,
            shape,
            strides,
            offset,
        }
    }

    /// The shape.
    #[inline]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The element type.
    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The type of the elements in memory: `uint8` for `bool`.
    pub(crate) fn stored_dtype(&self) -> DType {
        if self.dtype == DType::Bool {
            DType::U8
        } else {
            self.dtype
        }
    }

    /// Whether this value is the only one that refers to its memory.
    pub(crate) fn is_unique(&self) -> bool {
        Arc::strong_count(&self.buffer) == 1
    }

    /// The value with elements of type `dtype`: itself, strides and all, if it has that type already.
    pub(crate) fn cast_view(&self, dtype: DType) -> Result<Value> {
        if dtype == self.dtype {
            Ok(self.clone())
        } else {
            self.cast(dtype)
        }
    }

    /// The number of elements.
    #[inline]
    pub fn numel(&self) -> usize {
        self.shape.numel()
    }

    /// Whether the elements lie one after the other in row-major order.
    pub fn is_contiguous(&self) -> bool {
        let mut step = 1;
        for (&size, &stride) in self.shape.iter().zip(&*self.strides).rev() {
            if size != 1 && stride != step {
                return self.numel() == 0;
            }
            step *= size;
        }
        true
    }

    /// The elements from the first one on, in memory order; for a contiguous value exactly its elements.
    #[inline]
    pub(crate) fn data<T: Stored>(&self) -> Result<&[T]> {
        let all = self.buffer.as_slice::<T>()?;
        if self.numel() == 0 {
            return Ok(&[]); // whatever the offset, which may lie beyond an empty buffer
        }
        let end = if self.is_contiguous() {
            self.offset + self.numel()
        } else {
            all.len()
        };
        match all.get(self.offset.min(all.len())..end) {
            Some(data) => Ok(data),
            None => bail!(
                Index,
                "a view reaches to element {end} of a buffer of {}",
                all.len()
            ),
        }
    }

    /// The value as kernels read it.
    #[inline]
    pub(crate) fn view<T: Stored>(&self) -> Result<View<'_, T>> {
        Ok(View {
            data: self.data()?,
            shape: &self.shape,
            strides: &self.strides,
        })
    }

    /// The same elements in row-major order: this value if it is contiguous, else a copy.
    #[inline]
    pub(crate) fn contiguous(&self) -> Result<Value> {
        if self.is_contiguous() {
            Ok(self.clone())
        } else {
            self.copy()
        }
    }

    /// [`Value::contiguous`] for a while: borrows this value instead of counting one more reference to its memory.
    #[inline]
    pub(crate) fn in_order(&self) -> Result<Cow<'_, Value>> {
        if self.is_contiguous() {
            Ok(Cow::Borrowed(self))
        } else {
            self.copy().map(Cow::Owned)
        }
    }

    /// A contiguous copy in memory of its own.
    pub(crate) fn copy(&self) -> Result<Value> {
        with_stored!(self.dtype, T => {
            let view = self.view::<T>()?;
            Value::build::<T>(self.dtype, self.shape.clone(), |out| copy::gather_strided(view, out))
        })
    }

    /// The elements in row-major order as a contiguous value of type `dtype`.
    pub(crate) fn cast(&self, dtype: DType) -> Result<Value> {
        let source = self.contiguous()?;
        if dtype == self.dtype {
            return Ok(source);
        }
        with_stored!(self.dtype, S => {
            let data = source.data::<S>()?;
            let shape = self.shape.clone();
            if dtype == DType::Bool {
                return Value::build::<u8>(dtype, shape, |out| cast::cast_to_bool(data, out));
            }
            with_stored!(dtype, T => Value::build::<T>(dtype, shape, |out| cast::cast(data, out)))
        })
    }

    /// The contiguous elements for writing, copied first if anybody else refers to the memory.
    pub(crate) fn data_mut<T: Stored>(&mut self) -> Result<&mut [T]> {
        if Arc::strong_count(&self.buffer) != 1 || !self.is_contiguous() {
            *self = self.copy()?;
        }
        let (offset, numel) = (self.offset, self.numel());
        match Arc::get_mut(&mut self.buffer).and_then(T::slice_mut) {
            Some(all) => Ok(&mut all[offset..offset + numel]),
            None => bail!(
                Backend,
                "a buffer of {} is shared or not of {}",
                self.dtype,
                std::any::type_name::<T>()
            ),
        }
    }
}
