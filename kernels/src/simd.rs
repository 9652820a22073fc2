//! Explicit vectors, for the kernels whose speed depends on registers: matrix products, convolutions, attention.
//!
//! A type that implements [`Simd`] is a token: whoever holds one runs on a machine with that instruction set, so
//! arithmetic on its vectors is safe and only memory accesses are not. A kernel is a struct with a generic
//! [`WithSimd::run`], and [`Real::dispatch`] compiles it for every instruction set and picks one at run time. The body
//! and all its helpers must be `#[inline(always)]`, or they would be compiled without the instruction set.

mod neon;
mod portable;
mod x86;

use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::element::Pod;
use crate::gemm::KernelTable;

/// Vectors of one element type in one instruction set. A value of the type proves that the machine has the set.
pub trait Simd: Copy + Send + Sync + 'static {
    /// The element type.
    type Elem: Real;
    /// One register.
    type Vector: Copy;
    /// Elements per register.
    const LANES: usize;

    /// The token.
    ///
    /// # Safety
    /// The machine has the instruction set.
    unsafe fn assume() -> Self;
    /// All lanes `x`.
    fn splat(self, x: Self::Elem) -> Self::Vector;
    /// `a + b`.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a - b`.
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b`.
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a / b`.
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`, fused where the instruction set can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The larger of each lane (of a NaN and a number, `b`).
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The smaller of each lane (of a NaN and a number, `b`).
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `x · 2^n` for integral `n` between the smallest normal exponent and the largest.
    fn scale_by_power_of_two(self, x: Self::Vector, n: Self::Vector) -> Self::Vector;

    /// # Safety
    /// `p` is valid for reads of `LANES` elements.
    unsafe fn load(self, p: *const Self::Elem) -> Self::Vector;
    /// The first `count` lanes from memory, zeros in the others.
    ///
    /// # Safety
    /// `p` is valid for reads of `count` elements; `count` is at most `LANES`.
    unsafe fn load_partial(self, p: *const Self::Elem, count: usize) -> Self::Vector;
    /// # Safety
    /// `p` is valid for writes of `LANES` elements.
    unsafe fn store(self, p: *mut Self::Elem, v: Self::Vector);
    /// Writes the first `count` lanes.
    ///
    /// # Safety
    /// `p` is valid for writes of `count` elements; `count` is at most `LANES`.
    unsafe fn store_partial(self, p: *mut Self::Elem, v: Self::Vector, count: usize);

    /// Lanes `i` with bit `i` of `mask` set from `p + i`, the others from `other`. No other memory is touched.
    ///
    /// # Safety
    /// `p + i` is valid for reads for every set bit `i` of `mask`; `p` itself may lie outside of any allocation.
    #[inline(always)]
    unsafe fn load_masked(self, other: Self::Vector, mask: u32, p: *const Self::Elem) -> Self::Vector {
        let mut lanes = [Self::Elem::ZERO; 16];
        // SAFETY: 16 lanes hold any vector of this crate; set bits are readable by contract.
        unsafe {
            self.store(lanes.as_mut_ptr(), other);
            for (i, lane) in lanes.iter_mut().enumerate().take(Self::LANES) {
                if mask >> i & 1 == 1 {
                    *lane = *p.wrapping_add(i);
                }
            }
            self.load(lanes.as_ptr())
        }
    }

    /// As `load_masked` with lane `i` read from `p + 2 i`, unset lanes being zero.
    ///
    /// # Safety
    /// `p + 2 i` is valid for reads for every set bit `i` of `mask`; `p` itself may lie outside of any allocation.
    #[inline(always)]
    unsafe fn load_every_second(self, mask: u32, p: *const Self::Elem) -> Self::Vector {
        let mut lanes = [Self::Elem::ZERO; 16];
        for (i, lane) in lanes.iter_mut().enumerate().take(Self::LANES) {
            if mask >> i & 1 == 1 {
                // SAFETY: readable by contract.
                *lane = unsafe { *p.wrapping_add(2 * i) };
            }
        }
        // SAFETY: 16 lanes hold any vector of this crate.
        unsafe { self.load(lanes.as_ptr()) }
    }

    /// The sum of the lanes.
    #[inline(always)]
    fn reduce_sum(self, v: Self::Vector) -> Self::Elem {
        let mut lanes = [Self::Elem::ZERO; 16];
        // SAFETY: no vector of this crate has more than 16 lanes.
        unsafe { self.store(lanes.as_mut_ptr(), v) };
        let mut width = Self::LANES;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
        }
        lanes[0]
    }

    /// The largest lane.
    #[inline(always)]
    fn reduce_max(self, v: Self::Vector) -> Self::Elem {
        let mut lanes = [Self::Elem::ZERO; 16];
        // SAFETY: no vector of this crate has more than 16 lanes.
        unsafe { self.store(lanes.as_mut_ptr(), v) };
        lanes[1..Self::LANES]
            .iter()
            .fold(lanes[0], |a, &b| if b > a { b } else { a })
    }

    /// Transposes a block of `rows` rows of `columns` elements; both are at most `LANES`. Writes `columns` rows of
    /// `width` elements (`rows <= width <= LANES`), zeros from column `rows` on.
    ///
    /// # Safety
    /// `src` is valid for those reads with `src_stride` between rows, `dst` for the writes with `dst_stride`.
    #[inline(always)]
    unsafe fn transpose(
        self,
        src: *const Self::Elem,
        src_stride: usize,
        rows: usize,
        columns: usize,
        dst: *mut Self::Elem,
        dst_stride: usize,
        width: usize,
    ) {
        for j in 0..columns {
            for i in 0..width {
                // SAFETY: inside the blocks that the caller vouches for.
                unsafe {
                    *dst.add(j * dst_stride + i) = if i < rows {
                        *src.add(i * src_stride + j)
                    } else {
                        Self::Elem::ZERO
                    };
                }
            }
        }
    }

    /// Asks for the cache line at `p`, which need not be valid.
    #[inline(always)]
    fn prefetch(self, p: *const Self::Elem) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch has no effect on what the program computes, whatever the address; SSE is baseline.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(p.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = p;
    }
}

/// A kernel over vectors of `T`, generic in the instruction set. `run` must be `#[inline(always)]`.
pub trait WithSimd<T: Real> {
    /// What the kernel returns.
    type Output;
    /// The kernel's body.
    fn run<S: Simd<Elem = T>>(self, simd: S) -> Self::Output;
}

/// `f32` and `f64`: the element types of the vector kernels.
pub trait Real:
    Pod
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + std::iter::Sum
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// −∞.
    const NEG_INFINITY: Self;
    /// The nearest value.
    fn from_f64(x: f64) -> Self;
    /// The same value.
    fn to_f64(self) -> f64;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// e to the power of this.
    fn exp(self) -> Self;
    /// Coefficients of `exp(x) = 2^n · p(r)`: the polynomial in falling powers, down to the constant 1.
    #[doc(hidden)]
    const EXP_POLYNOMIAL: &'static [Self];
    /// The least argument at which vectorised `exp` stays normal, the greatest below overflow, 1/ln 2, ln 2 in two
    /// parts, and the number which rounds to an integer when added and subtracted.
    #[doc(hidden)]
    const EXP_RANGE: [Self; 6];

    /// Runs a kernel with the instruction set in force.
    fn dispatch<K: WithSimd<Self>>(kernel: K) -> K::Output;
    /// The function-pointer tables of matrix products for the instruction set in force.
    #[doc(hidden)]
    fn kernel_table() -> &'static KernelTable<Self>;
}

/// 1/k! for the Taylor polynomials of `exp` on |r| ≤ ln 2 / 2.
const fn inverse_factorial(k: u32) -> f64 {
    let (mut product, mut i) = (1.0, 2);
    while i <= k {
        product *= i as f64;
        i += 1;
    }
    1.0 / product
}

macro_rules! real {
    ($t:ident, $degree:literal, $range:expr, $lanes:literal, $avx512:ident, $avx2:ident, $neon:ident) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NEG_INFINITY: Self = $t::NEG_INFINITY;
            const EXP_POLYNOMIAL: &'static [Self] = &{
                let (mut c, mut i) = ([0.0; $degree + 1], 0);
                while i <= $degree {
                    c[i] = inverse_factorial($degree - i as u32) as $t;
                    i += 1;
                }
                c
            };
            const EXP_RANGE: [Self; 6] = $range;

            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn ln(self) -> Self {
                self.ln()
            }
            #[inline(always)]
            fn exp(self) -> Self {
                self.exp()
            }

            #[inline]
            fn dispatch<K: WithSimd<Self>>(kernel: K) -> K::Output {
                match crate::isa::current() {
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: `isa::current` never exceeds what `isa::detect` saw on this machine.
                    crate::isa::Isa::Avx512 => unsafe { x86::avx512(x86::$avx512::assume(), kernel) },
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: as above.
                    crate::isa::Isa::Avx2 => unsafe { x86::avx2(x86::$avx2::assume(), kernel) },
                    #[cfg(target_arch = "aarch64")]
                    crate::isa::Isa::Neon => kernel.run(neon::$neon),
                    _ => kernel.run(portable::Portable::<$t, $lanes>::default()),
                }
            }

            #[inline]
            fn kernel_table() -> &'static KernelTable<Self> {
                use crate::gemm::tables;
                match crate::isa::current() {
                    #[cfg(target_arch = "x86_64")]
                    crate::isa::Isa::Avx512 => tables::Avx512::<x86::$avx512>::TABLE,
                    #[cfg(target_arch = "x86_64")]
                    crate::isa::Isa::Avx2 => tables::Avx2::<x86::$avx2>::TABLE,
                    #[cfg(target_arch = "aarch64")]
                    crate::isa::Isa::Neon => tables::Baseline::<neon::$neon>::TABLE,
                    _ => tables::Baseline::<portable::Portable<$t, $lanes>>::TABLE,
                }
            }
        }
    };
}

#[rustfmt::skip]
real!(f32, 7,
    [-87.336_54, 88.722_83, std::f32::consts::LOG2_E, 0.693_359_4, -2.121_944_4e-4, 12_582_912.0],
    4, Avx512F32, Avx2F32, NeonF32);
#[rustfmt::skip]
real!(f64, 13,
    [-708.396_418_532_264, 709.782_712_893_384, std::f64::consts::LOG2_E, 0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10, 6_755_399_441_055_744.0],
    4, Avx512F64, Avx2F64, NeonF64);

/// e^x to about 1 ulp; 0 below the normal range, ∞ above it, NaN kept.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    let [lowest, highest, log2e, ln2_high, ln2_low, round] = S::Elem::EXP_RANGE;
    // `min` and `max` return their second operand when one is NaN, so that a NaN in `x` survives.
    let clamped = s.max(s.splat(lowest), s.min(s.splat(highest), x));
    let n = s.sub(s.mul_add(clamped, s.splat(log2e), s.splat(round)), s.splat(round));
    let r = s.mul_add(n, s.splat(-ln2_high), clamped);
    let r = s.mul_add(n, s.splat(-ln2_low), r);
    let mut p = s.splat(S::Elem::EXP_POLYNOMIAL[0]);
    for &c in &S::Elem::EXP_POLYNOMIAL[1..] {
        p = s.mul_add(p, r, s.splat(c));
    }
    // Two steps, because 2^n itself can overflow at the upper end.
    let half = s.sub(
        s.mul_add(n, s.splat(S::Elem::from_f64(0.5)), s.splat(round)),
        s.splat(round),
    );
    s.scale_by_power_of_two(s.scale_by_power_of_two(p, half), s.sub(n, half))
}
