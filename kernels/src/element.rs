//! The element types that kernels are generic over.

use half::{bf16, f16};

/// A plain value of fixed size for which every bit pattern is valid, so that recycled memory may be read as it.
///
/// # Safety
/// Implementors have no padding, no invalid bit patterns, no destructor and an alignment of at most 64.
pub unsafe trait Pod: Copy + Send + Sync + std::fmt::Debug + Default + PartialEq + 'static {}

macro_rules! pod {
    ($($t:ty)*) => { $(
        // SAFETY: a primitive number.
        unsafe impl Pod for $t {}
    )* };
}
pod!(u8 u16 u32 u64 usize i8 i16 i32 i64 f32 f64);
// SAFETY: a transparent wrapper around u16.
unsafe impl Pod for f16 {}
// SAFETY: a transparent wrapper around u16.
unsafe impl Pod for bf16 {}
