//! Conversion between element types (torch's `Tensor.to(dtype)`).
//!
//! Floats become integers by truncation towards zero and integers become narrower ones by dropping high bits, as in C
//! on x86-64: a float out of range gives the least value of the 32- or 64-bit conversion before its bits are dropped.
//! Half-precision types go through `f32`, rare pairs through other types. Booleans are `u8`: use [`cast_to_bool`] to make them.

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

/// Declares the pairs of types with a conversion of their own, as a function of two kinds.
macro_rules! direct {
    ($($a_kind:ident $a:ty => $($b_kind:ident $b:ty),+;)+) => {
        /// Converts by the pair's own loop, if it has one.
        ///
        /// # Safety
        /// The pointers point to `len` elements of the kinds' types; the output is not aliased.
        unsafe fn cast_directly(from: Kind, src: *const u8, to: Kind, out: *mut u8, len: usize) -> bool {
            match (from, to) {
                $($(
                    // SAFETY: the caller's promise.
                    (Kind::$a_kind, Kind::$b_kind) => unsafe {
                        let src = std::slice::from_raw_parts(src.cast::<$a>(), len);
                        convert::<$a, $b>(src, std::slice::from_raw_parts_mut(out.cast::<$b>(), len));
                    },
                )+)+
                _ => return false,
            }
            true
        }
    };
}
direct! {
    F32 f32 => F32 f32, F64 f64, F16 f16, Bf16 bf16, I64 i64, I32 i32, U8 u8;
    F64 f64 => F64 f64, F32 f32, I64 i64, I32 i32;
    F16 f16 => F32 f32;
    Bf16 bf16 => F32 f32;
    I64 i64 => F32 f32, F64 f64, I64 i64, I32 i32, I16 i16, I8 i8, U8 u8, U32 u32;
    I32 i32 => F32 f32, F64 f64, I64 i64;
    I16 i16 => I64 i64;
    I8 i8 => I64 i64;
    U8 u8 => F32 f32, I64 i64;
    U32 u32 => I64 i64;
}

/// The type through which a pair without a conversion of its own goes next.
fn detour(from: Kind, to: Kind) -> Kind {
    match (from, to) {
        (Kind::F16 | Kind::Bf16, _) => Kind::F32,
        (Kind::F32 | Kind::F64, Kind::I16 | Kind::I8 | Kind::U8) => Kind::I32,
        (Kind::F32 | Kind::F64, Kind::U32) => Kind::I64,
        (Kind::F64 | Kind::I64, _) => Kind::F32,
        _ => Kind::I64,
    }
}

/// Converts between the types that two kinds name, block by block through others where there is no direct way.
///
/// # Safety
/// The pointers point to `len` elements of the kinds' types; the output is not aliased.
unsafe fn cast_raw(from: Kind, src: *const u8, to: Kind, out: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    if unsafe { cast_directly(from, src, to, out, len) } {
        return;
    }
    const STEP: usize = 512;
    let between = detour(from, to);
    let mut scratch = [0u64; STEP];
    for start in (0..len).step_by(STEP) {
        let count = STEP.min(len - start);
        // SAFETY: pieces of the caller's slices, and a buffer that holds `STEP` elements of any type.
        unsafe {
            let buffer: *mut u8 = scratch.as_mut_ptr().cast();
            cast_raw(from, src.add(start * from.size()), between, buffer, count);
            cast_raw(between, buffer, to, out.add(start * to.size()), count);
        }
    }
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
    i32 => f32 f64 i64;
    i16 => i64;
    i8 => i64;
    u8 => f32 i64;
    u32 => i64;
}

macro_rules! truncating {
    ($($a:ty => $b:ty, by $through:ty;)*) => { $(
        impl CastFrom<$a> for $b {
            #[inline(always)]
            fn cast_from(value: $a) -> $b {
                const LIMIT: $a = -(<$through>::MIN as $a);
                // Rust's own conversion saturates; C's gives the least value for all that is out of range.
                let whole = if (-LIMIT..LIMIT).contains(&value) { value as $through } else { <$through>::MIN };
                whole as $b
            }
        }
    )* };
}
truncating! {
    f32 => i64, by i64;
    f32 => i32, by i32;
    f32 => u8, by i32;
    f64 => i64, by i64;
    f64 => i32, by i32;
}

macro_rules! halves {
    ($($h:ty)*) => { $(
        impl CastFrom<$h> for f32 {
            #[inline(always)]
            fn cast_from(value: $h) -> f32 {
                value.to_f32()
            }
        }
        impl CastFrom<f32> for $h {
            #[inline(always)]
            fn cast_from(value: f32) -> $h {
                <$h>::from_f32(value)
            }
        }
    )* };
}
halves!(f16 bf16);

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
