//! The element types that random numbers come in, and how each draws its own.

use super::Generator;
use crate::element::Pod;
use half::{bf16, f16};

/// A number that can hold random integers.
pub trait RandomNumber: Pod {
    /// Integers without a given range are drawn from 0 to this, exclusive (`random_()`); 0 stands for 2⁶⁴.
    const INTEGERS: u64;
    /// Whether such an integer takes 64 random bits rather than 32.
    const TAKES_64_BITS: bool;

    /// Conversion as by a C cast.
    fn from_i64(value: i64) -> Self;
    /// Conversion as by a C cast.
    fn from_f64(value: f64) -> Self;
}

/// A floating-point number, with its own uniform and normal streams.
pub trait RandomFloat: RandomNumber {
    /// Whether arithmetic on it is done in f64 rather than in f32.
    const DOUBLE: bool;

    /// The value as an f64.
    fn to_f64(self) -> f64;

    /// The smallest positive normal number.
    const MIN_POSITIVE: Self;

    /// See [`Generator::uniform`].
    #[doc(hidden)]
    fn fill_uniform(generator: &mut Generator, out: &mut [Self], from: f64, to: f64);

    /// See [`Generator::normal`]; called with 16 elements or more.
    #[doc(hidden)]
    fn fill_normal(generator: &mut Generator, out: &mut [Self], mean: f64, std: f64);
}

macro_rules! integer {
    ($($t:ty)*) => { $(
        impl RandomNumber for $t {
            const INTEGERS: u64 = <$t>::MAX as u64 + 1;
            const TAKES_64_BITS: bool = size_of::<$t>() == 8;

            #[inline]
            fn from_i64(value: i64) -> Self {
                value as Self
            }

            #[inline]
            fn from_f64(value: f64) -> Self {
                value as Self
            }
        }
    )* };
}
integer!(u8 u16 u32 i8 i16 i32 i64);

impl RandomNumber for f32 {
    const INTEGERS: u64 = (1 << 24) + 1;
    const TAKES_64_BITS: bool = false;

    #[inline]
    fn from_i64(value: i64) -> Self {
        value as f32
    }

    #[inline]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
}

impl RandomFloat for f32 {
    const DOUBLE: bool = false;
    const MIN_POSITIVE: Self = f32::MIN_POSITIVE;

    #[inline]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn fill_uniform(generator: &mut Generator, out: &mut [Self], from: f64, to: f64) {
        generator.fill_uniform_f32(out, from as f32, to as f32);
    }

    fn fill_normal(generator: &mut Generator, out: &mut [Self], mean: f64, std: f64) {
        generator.fill_normal_f32(out, mean as f32, std as f32);
    }
}

impl RandomNumber for f64 {
    const INTEGERS: u64 = (1 << 53) + 1;
    const TAKES_64_BITS: bool = true;

    #[inline]
    fn from_i64(value: i64) -> Self {
        value as f64
    }

    #[inline]
    fn from_f64(value: f64) -> Self {
        value
    }
}

impl RandomFloat for f64 {
    const DOUBLE: bool = true;
    const MIN_POSITIVE: Self = f64::MIN_POSITIVE;

    #[inline]
    fn to_f64(self) -> f64 {
        self
    }

    fn fill_uniform(generator: &mut Generator, out: &mut [Self], from: f64, to: f64) {
        generator.fill_uniform_f64(out, from, to);
    }

    fn fill_normal(generator: &mut Generator, out: &mut [Self], mean: f64, std: f64) {
        generator.fill_normal_f64(out, mean, std);
    }
}

macro_rules! half_float {
    ($t:ty, $integers:expr) => {
        impl RandomNumber for $t {
            const INTEGERS: u64 = $integers;
            const TAKES_64_BITS: bool = false;

            #[inline]
            fn from_i64(value: i64) -> Self {
                Self::from_f32(value as f32)
            }

            #[inline]
            fn from_f64(value: f64) -> Self {
                Self::from_f32(value as f32)
            }
        }

        impl RandomFloat for $t {
            const DOUBLE: bool = false;
            const MIN_POSITIVE: Self = <$t>::MIN_POSITIVE;

            #[inline]
            fn to_f64(self) -> f64 {
                self.to_f64()
            }

            fn fill_uniform(generator: &mut Generator, out: &mut [Self], from: f64, to: f64) {
                let (lowest, end) = (Self::from_f32(from as f32), Self::from_f32(to as f32));
                let mut wide = [0f32; 1024];
                for piece in out.chunks_mut(1024) {
                    let wide = &mut wide[..piece.len()];
                    generator.fill_uniform_f32(wide, from as f32, to as f32);
                    for (o, &x) in piece.iter_mut().zip(wide.iter()) {
                        let rounded = Self::from_f32(x);
                        // Rounding may reach the end of the interval, which doesn't belong to it.
                        *o = if rounded == end { lowest } else { rounded };
                    }
                }
            }

            fn fill_normal(generator: &mut Generator, out: &mut [Self], mean: f64, std: f64) {
                let convert = |from: &[f32], to: &mut [Self]| {
                    for (o, &x) in to.iter_mut().zip(from) {
                        *o = Self::from_f32(x);
                    }
                };
                let mut wide = [0f32; 1024];
                let whole = out.len() / 16 * 16;
                for piece in out[..whole].chunks_mut(1024) {
                    let wide = &mut wide[..piece.len()];
                    generator.fill_normal_f32(wide, mean as f32, std as f32);
                    convert(wide, piece);
                }
                if whole < out.len() {
                    let last = out.len() - 16;
                    generator.fill_normal_f32(&mut wide[..16], mean as f32, std as f32);
                    convert(&wide[..16], &mut out[last..]);
                }
            }
        }
    };
}
half_float!(f16, (1 << 11) + 1);
half_float!(bf16, (1 << 8) + 1);
