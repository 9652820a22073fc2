//! The element types that kernels are generic over.
//!
//! [`Pod`] is anything that may lie in recycled memory, [`Element`] what a tensor may hold, [`Number`] what has
//! arithmetic, [`Int`] and [`Float`] the two kinds of it. Half-precision types are elements (they are copied,
//! compared and cast) but not numbers: arithmetic on them widens to `f32` first. Booleans are stored as `u8` 0 and 1.

use half::{bf16, f16};

use crate::math::Math;

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
pod!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 f32 f64);
// SAFETY: a transparent wrapper around u16.
unsafe impl Pod for f16 {}
// SAFETY: a transparent wrapper around u16.
unsafe impl Pod for bf16 {}

/// Names an element type at run time, for kernels that choose by pairs of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Kind {
    F32,
    F64,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    U32,
}

impl Kind {
    /// The size of an element in bytes.
    pub fn size(self) -> usize {
        match self {
            Kind::F64 | Kind::I64 => 8,
            Kind::F32 | Kind::I32 | Kind::U32 => 4,
            Kind::F16 | Kind::Bf16 | Kind::I16 => 2,
            Kind::I8 | Kind::U8 => 1,
        }
    }
}

/// A type that tensors hold.
pub trait Element:
    Pod + PartialOrd + crate::binary::CompareKernels<Self> + crate::reduce::CountKernels<Self>
{
    /// The type's run-time name.
    const KIND: Kind;
    /// Zero; for floats, positive zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
}

/// An element with arithmetic. On integers it wraps; division by zero is the caller's to exclude.
pub trait Number:
    Element
    + crate::reduce::ExtremeKernels<Self>
    + crate::ternary::NumberKernels<Self>
    + crate::scan::ScanKernels<Self>
    + crate::pooling::NumberKernels<Self>
{
    /// The least value: negative infinity for floats.
    const LEAST: Self;
    /// The greatest value: positive infinity for floats.
    const GREATEST: Self;
    /// The type that sums of this one are kept in: `f64` for floats, `i64` for integers.
    type Acc: Number;
    /// The type that sums over short blocks are kept in: the float itself, `i64` for integers.
    type Lane: Number<Acc = Self::Acc>;

    /// The nearest value, by C's conversion.
    fn from_f64(value: f64) -> Self;
    /// The value as `f64`, rounded.
    fn to_f64(self) -> f64;
    /// The value in the type for short blocks.
    fn to_lane(self) -> Self::Lane;
    /// The value in the accumulator type.
    fn to_acc(self) -> Self::Acc;
    /// The accumulator's value in this type: rounded for floats, wrapped for integers.
    fn from_acc(acc: Self::Acc) -> Self;
    /// The sum.
    fn plus(self, other: Self) -> Self;
    /// The difference.
    fn minus(self, other: Self) -> Self;
    /// The product.
    fn times(self, other: Self) -> Self;
    /// Whether this is a NaN, which no integer is.
    fn is_not_a_number(self) -> bool;
}

/// A signed or unsigned integer.
pub trait Int:
    Number<Acc = i64, Lane = i64>
    + Eq
    + Ord
    + crate::unary::IntKernels<Self>
    + crate::binary::IntKernels<Self>
    + crate::reduce::IntKernels<Self>
{
    /// The number of bits.
    const BITS: u32;

    /// The value, which every integer element fits but for none.
    fn to_i64(self) -> i64;
    /// The low bits of `value`.
    fn from_i64(value: i64) -> Self;
}

/// `f32` or `f64`.
pub trait Float:
    Number<Acc = f64, Lane = Self>
    + Math
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Rem<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
    + std::ops::MulAssign
    + crate::unary::FloatKernels<Self>
    + crate::binary::FloatKernels<Self>
    + crate::ternary::FloatKernels<Self>
    + crate::reduce::FloatKernels<Self>
    + crate::scan::FloatKernels<Self>
    + crate::softmax::FloatKernels<Self>
    + crate::norm::FloatKernels<Self>
    + crate::loss::FloatKernels<Self>
    + crate::pooling::FloatKernels<Self>
    + crate::embedding::Kernels<Self>
    + crate::interpolate::Kernels<Self>
{
}

macro_rules! element {
    ($($t:ty, $kind:ident, $zero:expr, $one:expr;)*) => { $(
        impl Element for $t {
            const KIND: Kind = Kind::$kind;
            const ZERO: Self = $zero;
            const ONE: Self = $one;
        }
    )* };
}
element! {
    f32, F32, 0.0, 1.0;
    f64, F64, 0.0, 1.0;
    f16, F16, f16::ZERO, f16::ONE;
    bf16, Bf16, bf16::ZERO, bf16::ONE;
    i64, I64, 0, 1;
    i32, I32, 0, 1;
    i16, I16, 0, 1;
    i8, I8, 0, 1;
    u8, U8, 0, 1;
    u32, U32, 0, 1;
}

macro_rules! float {
    ($($t:ty)*) => { $(
        impl Number for $t {
            const LEAST: Self = <$t>::NEG_INFINITY;
            const GREATEST: Self = <$t>::INFINITY;
            type Acc = f64;
            type Lane = $t;

            #[inline(always)]
            fn to_lane(self) -> $t {
                self
            }
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn to_acc(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn from_acc(acc: f64) -> Self {
                acc as $t
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self - other
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self * other
            }
            #[inline(always)]
            fn is_not_a_number(self) -> bool {
                self.is_nan()
            }
        }
        impl Float for $t {}
    )* };
}
float!(f32 f64);

macro_rules! int {
    ($($t:ty)*) => { $(
        impl Number for $t {
            const LEAST: Self = <$t>::MIN;
            const GREATEST: Self = <$t>::MAX;
            type Acc = i64;
            type Lane = i64;

            #[inline(always)]
            fn to_lane(self) -> i64 {
                self as i64
            }
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as i64 as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn to_acc(self) -> i64 {
                self as i64
            }
            #[inline(always)]
            fn from_acc(acc: i64) -> Self {
                acc as $t
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            #[inline(always)]
            fn is_not_a_number(self) -> bool {
                false
            }
        }
        impl Int for $t {
            const BITS: u32 = <$t>::BITS;

            #[inline(always)]
            fn to_i64(self) -> i64 {
                self as i64
            }
            #[inline(always)]
            fn from_i64(value: i64) -> Self {
                value as $t
            }
        }
    )* };
}
int!(i64 i32 i16 i8 u8 u32);

/// Publishes generic kernels whose code is compiled in this crate, once for each listed type.
///
/// A plain generic function would be compiled anew in every crate that calls it, there without optimisation in debug
/// builds. So each function's body becomes a method of a hidden trait, implemented for the listed types, and the public
/// function forwards to it. The type parameter is always named `T`.
///
/// ```text
/// instantiate! {
///     trait FloatKernels for f32, f64 where Float;
///     /// `out = -x`.
///     pub fn neg(x: &[T], out: &mut [T]) { … }
/// }
/// ```
macro_rules! instantiate {
    (@impls $Trait:ident, $Bound:path, [$($elem:ty),+], $functions:tt) => {
        $( $crate::element::instantiate!(@impl $Trait, $Bound, $elem, $functions); )+
    };
    (@impl $Trait:ident, $Bound:path, $elem:ty, {$( $name:ident ($($arg:ident : $ty:ty),*) ($($ret:ty)?) $body:block )*}) => {
        const _: () = {
            type T = $elem;
            impl $Trait<T> for T {
                $( fn $name($($arg: $ty),*) $(-> $ret)? {
                    fn body<T: $Bound>($($arg: $ty),*) $(-> $ret)? $body
                    body::<T>($($arg),*)
                } )*
            }
        };
    };
    (
        trait $Trait:ident for $($elem:ty),+ where $Bound:path;
        $( $(#[$meta:meta])* pub fn $name:ident ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block )*
    ) => {
        /// The instantiations of this module's kernels for one element type.
        #[doc(hidden)]
        #[allow(missing_docs)]
        pub trait $Trait<T: $crate::element::Pod> {
            $( fn $name($($arg: $ty),*) $(-> $ret)?; )*
        }
        $(
            $(#[$meta])*
            #[inline]
            pub fn $name<T: $Bound>($($arg: $ty),*) $(-> $ret)? {
                <T as $Trait<T>>::$name($($arg),*)
            }
        )*
        $crate::element::instantiate!(@impls $Trait, $Bound, [$($elem),+], {$( $name ($($arg : $ty),*) ($($ret)?) $body )*});
    };
}
pub(crate) use instantiate;
