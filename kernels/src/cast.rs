//! Conversion between element types (torch's `Tensor.to(dtype)`).
//!
//! Floats become integers by truncation towards zero and integers become narrower ones by dropping high bits, as in C
//! on x86-64: a float out of range gives the least value of the 32- or 64-bit conversion before its bits are dropped.
//! Half-precision types go through `f32`. Booleans are `u8`: use [`cast_to_bool`] to make them.

use half::{bf16, f16};

use crate::element::{Element, Kind};
use crate::elementwise::split;
use crate::simd;

/// `out = src`, converted.
pub fn cast<A: Element, B: Element>(src: &[A], out: &mut [B]) {
    assert_eq!(src.len(), out.len(), "cast: the lengths differ");
    split(out, |at, out| {
        let src = &src[at..at + out.len()];
        // SAFETY: the two kinds name the two slices' element types.
        unsafe {
            cast_raw(
                A::KIND,
                src.as_ptr().cast(),
                B::KIND,
                out.as_mut_ptr().cast(),
                out.len(),
            )
        }
    })
}

/// `out = (src != 0)`; NaN counts as true.
pub fn cast_to_bool<A: Element>(src: &[A], out: &mut [u8]) {
    assert_eq!(src.len(), out.len(), "cast_to_bool: the lengths differ");
    crate::reduce::nonzero_mask(src, out)
}

trait CastFrom<A> {
    fn cast_from(value: A) -> Self;
}

simd! {
    fn convert[A: Copy, B: CastFrom<A>](src: &[A], out: &mut [B]) {
        for (o, &x) in out.iter_mut().zip(src) {
            *o = B::cast_from(x);
        }
    }
}

/// Calls `convert` for the pair of types that two kinds name.
///
/// # Safety
/// The pointers point to `len` elements of the kinds' types; the output is not aliased.
unsafe fn cast_raw(from: Kind, src: *const u8, to: Kind, out: *mut u8, len: usize) {
    macro_rules! pairs {
        ($a:ty => $($kind:ident $b:ty),*) => {
            match to {
                // SAFETY: the caller's promise.
                $(Kind::$kind => unsafe {
                    let src = std::slice::from_raw_parts(src.cast::<$a>(), len);
                    convert::<$a, $b>(src, std::slice::from_raw_parts_mut(out.cast::<$b>(), len))
                },)*
            }
        };
    }
    macro_rules! from_each {
        ($($kind:ident $a:ty),*) => {
            match from {
                $(Kind::$kind => pairs!($a => F32 f32, F64 f64, F16 f16, Bf16 bf16, I64 i64, I32 i32, I16 i16, I8 i8,
                    U8 u8, U32 u32),)*
            }
        };
    }
    from_each!(F32 f32, F64 f64, F16 f16, Bf16 bf16, I64 i64, I32 i32, I16 i16, I8 i8, U8 u8, U32 u32)
}

macro_rules! plain {
    ($($a:ty => $($b:ty)*;)*) => { $($(
        impl CastFrom<$a> for $b {
            #[inline(always)]
            fn cast_from(value: $a) -> $b {
                value as $b
            }
        }
    )*)* };
}
plain! {
    f32 => f32 f64;
    f64 => f32 f64;
    i64 => f32 f64 i64 i32 i16 i8 u8 u32;
    i32 => f32 f64 i64 i32 i16 i8 u8 u32;
    i16 => f32 f64 i64 i32 i16 i8 u8 u32;
    i8 => f32 f64 i64 i32 i16 i8 u8 u32;
    u8 => f32 f64 i64 i32 i16 i8 u8 u32;
    u32 => f32 f64 i64 i32 i16 i8 u8 u32;
}

macro_rules! truncating {
    ($($a:ty => { $($b:ty, $through:ty;)* })*) => { $($(
        impl CastFrom<$a> for $b {
            #[inline(always)]
            fn cast_from(value: $a) -> $b {
                const LIMIT: $a = -(<$through>::MIN as $a);
                // Rust's own conversion saturates; C's gives the least value for all that is out of range.
                let whole = if (-LIMIT..LIMIT).contains(&value) { value as $through } else { <$through>::MIN };
                whole as $b
            }
        }
    )*)* };
}
truncating! {
    f32 => { i64, i64; i32, i32; i16, i32; i8, i32; u8, i32; u32, i64; }
    f64 => { i64, i64; i32, i32; i16, i32; i8, i32; u8, i32; u32, i64; }
}

macro_rules! halves {
    ($($h:ty: $($t:ty)*;)*) => { $($(
        impl CastFrom<$h> for $t {
            #[inline(always)]
            fn cast_from(value: $h) -> $t {
                <$t>::cast_from(value.to_f32())
            }
        }
        impl CastFrom<$t> for $h {
            #[inline(always)]
            fn cast_from(value: $t) -> $h {
                <$h>::from_f32(f32::cast_from(value))
            }
        }
    )*)* };
}
halves! {
    f16: f32 f64 i64 i32 i16 i8 u8 u32;
    bf16: f32 f64 i64 i32 i16 i8 u8 u32;
}

macro_rules! between_halves {
    ($($a:ty => $b:ty;)*) => { $(
        impl CastFrom<$a> for $b {
            #[inline(always)]
            fn cast_from(value: $a) -> $b {
                <$b>::from_f32(value.to_f32())
            }
        }
    )* };
}
between_halves! {
    f16 => f16;
    f16 => bf16;
    bf16 => f16;
    bf16 => bf16;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to<A: Element, B: Element>(x: A) -> B {
        let mut out = [B::ZERO];
        cast(&[x], &mut out);
        out[0]
    }

    #[test]
    fn truncation_and_wrapping_are_those_of_c() {
        assert_eq!(to::<f32, i32>(-1.9), -1);
        assert_eq!(to::<f64, u8>(-1.0), 255);
        assert_eq!(to::<f64, u8>(300.7), 44);
        assert_eq!(to::<f32, i64>(f32::NAN), i64::MIN);
        assert_eq!(to::<f64, i32>(1e20), i32::MIN);
        assert_eq!(to::<i64, i8>(200), -56);
        assert_eq!(to::<i64, f32>(16_777_217), 16_777_216.0);
        assert_eq!(to::<i8, u32>(-1), u32::MAX);
        assert_eq!(to::<f64, f16>(1e10), f16::INFINITY);
        assert_eq!(to::<bf16, i64>(bf16::from_f32(-3.5)), -3);
        assert_eq!(to::<f32, bf16>(1.003_906_2).to_f32(), 1.0);
    }

    #[test]
    fn booleans() {
        let mut out = [9; 4];
        cast_to_bool(&[0.0f32, -0.0, f32::NAN, 1e-40], &mut out);
        assert_eq!(out, [0, 0, 1, 1]);
    }
}
