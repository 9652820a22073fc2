//! Typed, pooled memory: what a tensor's elements lie in.

use flambeau_kernels::element::Pod;
use flambeau_kernels::mem::Buf;
use half::{bf16, f16};

use crate::{DType, Result, bail};

/// Elements of one type. `Bool` tensors lie in a `U8` buffer.
#[derive(Clone, Debug)]
pub enum Buffer {
    /// Bytes: `uint8` and `bool`.
    U8(Buf<u8>),
    /// `int8`.
    I8(Buf<i8>),
    /// `int16`.
    I16(Buf<i16>),
    /// `int32`.
    I32(Buf<i32>),
    /// `int64`.
    I64(Buf<i64>),
    /// `float16`.
    F16(Buf<f16>),
    /// `bfloat16`.
    BF16(Buf<bf16>),
    /// `float32`.
    F32(Buf<f32>),
    /// `float64`.
    F64(Buf<f64>),
}

/// Evaluates `$body` with `$T` standing for the type beside `$dtype` in a list; the macros below have the lists.
#[macro_export]
#[doc(hidden)]
macro_rules! with_type_of {
    ($dtype:expr, $T:ident => $body:expr, $($($variant:ident)|+: $type:ty),+ $(; $other:ident => $otherwise:expr)?) => {
        match $dtype {
            $($($crate::DType::$variant)|+ => {
                type $T = $type;
                $body
            })+
            $($other => $otherwise)?
        }
    };
}

/// Evaluates `$body` with `$T` standing for the type that stores elements of `$dtype`.
#[macro_export]
#[doc(hidden)]
macro_rules! with_stored {
    ($dtype:expr, $T:ident => $body:expr) => {
        $crate::with_type_of!(
            $dtype, $T => $body,
            Bool | U8: u8, I8: i8, I16: i16, I32: i32, I64: i64,
            F16: half::f16, BF16: half::bf16, F32: f32, F64: f64
        )
    };
}

/// Evaluates `$body` with `$T` standing for `f32` or `f64`; other types are an error of the operation `$op`.
#[macro_export]
#[doc(hidden)]
macro_rules! with_float {
    ($op:expr, $dtype:expr, $T:ident => $body:expr) => {
        $crate::with_type_of!(
            $dtype, $T => $body, F32: f32, F64: f64;
            other => $crate::bail!(DType, "{}: expected a floating point tensor, got {other}", $op)
        )
    };
}

/// Evaluates `$body` with `$T` standing for an integer type; other types are an error of the operation `$op`.
#[macro_export]
#[doc(hidden)]
macro_rules! with_integer {
    ($op:expr, $dtype:expr, $T:ident => $body:expr) => {
        $crate::with_type_of!(
            $dtype, $T => $body, U8: u8, I8: i8, I16: i16, I32: i32, I64: i64;
            other => $crate::bail!(DType, "{}: expected an integer tensor, got {other}", $op)
        )
    };
}

/// Evaluates `$body` with `$T` standing for the type that stores elements of `$dtype`, if it has arithmetic: `float16` and
/// `bfloat16` are an error of the operation `$op`, to be computed in `float32` by the caller.
#[macro_export]
#[doc(hidden)]
macro_rules! with_number {
    ($op:expr, $dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::DType::F32 | $crate::DType::F64 => $crate::with_float!($op, $dtype, $T => $body),
            $crate::DType::Bool => {
                type $T = u8;
                $body
            }
            dtype => $crate::with_integer!($op, dtype, $T => $body),
        }
    };
}

/// A type that buffers hold.
pub trait Stored: Pod {
    /// Wraps a typed buffer.
    fn wrap(buf: Buf<Self>) -> Buffer;
    /// The typed elements, if the buffer holds this type.
    fn slice(buffer: &Buffer) -> Option<&[Self]>;
    /// The typed elements for writing, if the buffer holds this type.
    fn slice_mut(buffer: &mut Buffer) -> Option<&mut [Self]>;
}

macro_rules! stored {
    ($($variant:ident $t:ty),*) => { $(
        impl Stored for $t {
            #[inline]
            fn wrap(buf: Buf<$t>) -> Buffer {
                Buffer::$variant(buf)
            }
            #[inline]
            fn slice(buffer: &Buffer) -> Option<&[$t]> {
                if let Buffer::$variant(buf) = buffer { Some(buf) } else { None }
            }
            #[inline]
            fn slice_mut(buffer: &mut Buffer) -> Option<&mut [$t]> {
                if let Buffer::$variant(buf) = buffer { Some(buf) } else { None }
            }
        }
    )* };
}
stored!(U8 u8, I8 i8, I16 i16, I32 i32, I64 i64, F16 f16, BF16 bf16, F32 f32, F64 f64);

impl Buffer {
    /// The type of the elements; a buffer of `bool` answers `U8`.
    pub fn stored_dtype(&self) -> DType {
        match self {
            Buffer::U8(_) => DType::U8,
            Buffer::I8(_) => DType::I8,
            Buffer::I16(_) => DType::I16,
            Buffer::I32(_) => DType::I32,
            Buffer::I64(_) => DType::I64,
            Buffer::F16(_) => DType::F16,
            Buffer::BF16(_) => DType::BF16,
            Buffer::F32(_) => DType::F32,
            Buffer::F64(_) => DType::F64,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        crate::with_stored!(self.stored_dtype(), T => T::slice(self).map_or(0, <[T]>::len))
    }

    /// The elements as `T`.
    ///
    /// # Errors
    /// `DType` if the buffer holds another type.
    #[inline]
    pub fn as_slice<T: Stored>(&self) -> Result<&[T]> {
        match T::slice(self) {
            Some(slice) => Ok(slice),
            None => bail!(
                DType,
                "a buffer of {} was read as {}",
                self.stored_dtype(),
                std::any::type_name::<T>()
            ),
        }
    }
}
