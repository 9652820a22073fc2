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
    /// The same for any integral `n` at which the result may leave the normal range, at either end.
    #[inline(always)]
    fn scale_by_any_power_of_two(self, x: Self::Vector, n: Self::Vector) -> Self::Vector {
        // Two steps, because 2^n itself may leave it.
        let [.., round] = Self::Elem::EXP_RANGE;
        let half = self.sub(
            self.mul_add(n, self.splat(Self::Elem::from_f64(0.5)), self.splat(round)),
            self.splat(round),
        );
        self.scale_by_power_of_two(self.scale_by_power_of_two(x, half), self.sub(n, half))
    }

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
    /// Stores past the caches where the set can, so that the thread does not wait for the caches that hold what was there before.
    /// A fence of stores must follow before other threads read it.
    ///
    /// # Safety
    /// `p` is valid for writes of `LANES` elements and aligned to as many.
    #[inline(always)]
    unsafe fn store_past(self, p: *mut Self::Elem, v: Self::Vector) {
        // SAFETY: as the caller vouches.
        unsafe { self.store(p, v) }
    }
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

    /// Lane i from `p + 2 i` where bit `2 i` of `mask` is set, zero elsewhere; see `spread`.
    ///
    /// # Safety
    /// `p + j` is valid for reads for every set bit `j` of `mask`; `p` itself may lie outside of any allocation.
    #[inline(always)]
    unsafe fn load_every_second(self, mask: u32, p: *const Self::Elem) -> Self::Vector {
        let mut lanes = [Self::Elem::ZERO; 16];
        for (i, lane) in lanes.iter_mut().enumerate().take(Self::LANES) {
            if mask >> (2 * i) & 1 == 1 {
                // SAFETY: readable by contract.
                *lane = unsafe { *p.wrapping_add(2 * i) };
            }
        }
        // SAFETY: 16 lanes hold any vector of this crate.
        unsafe { self.load(lanes.as_ptr()) }
    }

    /// Reads 8 elements at each of `LANES / 2` places `stride` apart as four vectors: lane `2 q + i` of vector b is
    /// element `4 i + b` of place q.
    ///
    /// # Safety
    /// Those elements are readable.
    #[inline(always)]
    unsafe fn deinterleave(self, src: *const Self::Elem, stride: usize) -> [Self::Vector; 4] {
        let mut lanes = [[Self::Elem::ZERO; 16]; 4];
        let mut vectors = [self.splat(Self::Elem::ZERO); 4];
        for b in 0..4 {
            for lane in 0..Self::LANES {
                // SAFETY: readable by contract.
                lanes[b][lane] = unsafe { *src.add(lane / 2 * stride + lane % 2 * 4 + b) };
            }
            // SAFETY: 16 lanes hold any vector of this crate.
            vectors[b] = unsafe { self.load(lanes[b].as_ptr()) };
        }
        vectors
    }

    /// The inverse of `deinterleave` with a stride of 8.
    ///
    /// # Safety
    /// `4 · LANES` elements are writable.
    #[inline(always)]
    unsafe fn interleave(self, vectors: [Self::Vector; 4], dst: *mut Self::Elem) {
        let mut lanes = [[Self::Elem::ZERO; 16]; 4];
        for b in 0..4 {
            // SAFETY: 16 lanes hold any vector of this crate; the elements are writable by contract.
            unsafe {
                self.store(lanes[b].as_mut_ptr(), vectors[b]);
                for lane in 0..Self::LANES {
                    *dst.add(4 * lane + b) = lanes[b][lane];
                }
            }
        }
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

    /// As [`Self::prefetch`], but into the second-level cache only.
    #[inline(always)]
    fn prefetch_second(self, p: *const Self::Elem) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(p.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = p;
    }
}

/// What this thread stored past the caches comes before whatever it stores from now on.
pub(crate) fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every machine of this target has the instruction.
    unsafe {
        std::arch::x86_64::_mm_sfence()
    }
}

/// The same pointer, which the compiler does not know to be the same: what is read through both is read twice.
#[inline(always)]
#[cfg_attr(
    target_arch = "x86_64",
    expect(
        clippy::pointers_in_nomem_asm_block,
        reason = "nothing is read through the pointer there"
    )
)]
pub(crate) fn twin<T>(p: *const T) -> *const T {
    #[cfg(target_arch = "x86_64")]
    {
        let mut p = p;
        // SAFETY: no instruction at all.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) p, options(pure, nomem, nostack, preserves_flags));
        }
        p
    }
    #[cfg(not(target_arch = "x86_64"))]
    p
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
    + crate::gemm::Kernels<Self>
    + crate::conv::RealKernels<Self>
    + crate::attention::RealKernels<Self>
    + crate::rnn::RealKernels<Self>
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// ∞.
    const INFINITY: Self;
    /// −∞.
    const NEG_INFINITY: Self;
    /// The lowest finite number.
    const LOWEST: Self;
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
    /// An argument at which `exp` is 0, one at which it is ∞, 1/ln 2, ln 2 in two parts, and the number which rounds to
    /// an integer when added and subtracted.
    #[doc(hidden)]
    const EXP_RANGE: [Self; 6];

    /// Runs a kernel with the instruction set in force.
    fn dispatch<K: WithSimd<Self>>(kernel: K) -> K::Output;
    /// The function-pointer tables of matrix products for the instruction set in force.
    #[doc(hidden)]
    fn kernel_table() -> &'static KernelTable<Self>;
}

/// Moves bit i of the low 16 to bit 2 i.
#[inline(always)]
pub(crate) fn spread(mask: u32) -> u32 {
    let x = mask & 0xFFFF;
    let x = (x | x << 8) & 0x00FF_00FF;
    let x = (x | x << 4) & 0x0F0F_0F0F;
    let x = (x | x << 2) & 0x3333_3333;
    (x | x << 1) & 0x5555_5555
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
            const INFINITY: Self = $t::INFINITY;
            const NEG_INFINITY: Self = $t::NEG_INFINITY;
            const LOWEST: Self = $t::MIN;
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
    [-110.0, 89.0, std::f32::consts::LOG2_E, 0.693_359_4, -2.121_944_4e-4, 12_582_912.0],
    4, Avx512F32, Avx2F32, NeonF32);
#[rustfmt::skip]
real!(f64, 13,
    [-760.0, 710.0, std::f64::consts::LOG2_E, 0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10, 6_755_399_441_055_744.0],
    4, Avx512F64, Avx2F64, NeonF64);

/// `x = n · ln 2 + r` with integral n: the two summands.
#[inline(always)]
fn reduce_argument<S: Simd>(s: S, x: S::Vector) -> (S::Vector, S::Vector) {
    let [_, _, log2e, ln2_high, ln2_low, round] = S::Elem::EXP_RANGE;
    let n = s.sub(s.mul_add(x, s.splat(log2e), s.splat(round)), s.splat(round));
    let r = s.mul_add(n, s.splat(-ln2_high), x);
    (n, s.mul_add(n, s.splat(-ln2_low), r))
}

/// `exp` of a reduced argument without the constant term: (e^r − 1) / r.
#[inline(always)]
fn exp_tail<S: Simd>(s: S, r: S::Vector) -> S::Vector {
    let coefficients = S::Elem::EXP_POLYNOMIAL;
    let mut p = s.splat(coefficients[0]);
    for &c in &coefficients[1..coefficients.len() - 1] {
        p = s.mul_add(p, r, s.splat(c));
    }
    p
}

/// e^x to about 1 ulp; NaN stays NaN.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    let [lowest, highest, ..] = S::Elem::EXP_RANGE;
    // `min` and `max` return their second operand when one is NaN.
    let clamped = s.max(s.splat(lowest), s.min(s.splat(highest), x));
    let (n, r) = reduce_argument(s, clamped);
    let p = s.mul_add(exp_tail(s, r), r, s.splat(S::Elem::ONE));
    s.scale_by_any_power_of_two(p, n)
}

/// 1 / (1 + e^−x).
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    let one = s.splat(S::Elem::ONE);
    s.div(one, s.add(one, exp(s, s.sub(s.splat(S::Elem::ZERO), x))))
}

/// tanh x = (e^2x − 1) / (e^2x + 1) to a few ulp, small arguments included; NaN stays NaN.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    // From here on the result rounds to 1.
    let limit = S::Elem::from_f64(22.0);
    let clamped = s.max(s.splat(-limit), s.min(s.splat(limit), x));
    let (n, r) = reduce_argument(s, s.add(clamped, clamped));
    let power = s.scale_by_power_of_two(s.splat(S::Elem::ONE), n);
    let less_one = s.sub(power, s.splat(S::Elem::ONE));
    let e = s.mul_add(s.mul(exp_tail(s, r), r), power, less_one);
    s.div(e, s.add(e, s.splat(S::Elem::from_f64(2.0))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::for_every_isa;

    type Function<S> = fn(S, <S as Simd>::Vector) -> <S as Simd>::Vector;

    struct Map<'a, T>(&'a mut [T], usize);

    impl<T: Real> WithSimd<T> for Map<'_, T> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd<Elem = T>>(self, s: S) {
            let f: Function<S> = [exp, sigmoid, tanh][self.1];
            for x in self.0.chunks_mut(S::LANES) {
                // SAFETY: the chunk's own length.
                unsafe {
                    s.store_partial(x.as_mut_ptr(), f(s, s.load_partial(x.as_ptr(), x.len())), x.len())
                };
            }
        }
    }

    fn functions_are_accurate<T: Real>(epsilon: f64, limit: f64) {
        let exact: [fn(f64) -> f64; 3] = [f64::exp, |x| 1.0 / (1.0 + (-x).exp()), f64::tanh];
        for (i, exact) in exact.into_iter().enumerate() {
            let x: Vec<T> = (-4000..=4000)
                .map(|k| T::from_f64((k as f64 / 4000.0).powi(3) * limit))
                .collect();
            let mut y = x.clone();
            T::dispatch(Map(&mut y, i));
            for (x, y) in x.iter().zip(&y) {
                let want = exact(x.to_f64());
                let error = (y.to_f64() - want).abs();
                assert!(
                    error <= 4.0 * epsilon * want.abs() + 1e-36,
                    "function {i} of {x:?}: {y:?}, not {want}"
                );
            }
            let mut special = [T::NEG_INFINITY, T::from_f64(f64::INFINITY), T::from_f64(f64::NAN)];
            T::dispatch(Map(&mut special, i));
            assert_eq!(special[0].to_f64(), exact(f64::NEG_INFINITY));
            assert_eq!(special[1].to_f64(), exact(f64::INFINITY));
            assert!(special[2].to_f64().is_nan());
        }
    }

    #[test]
    fn exp_sigmoid_and_tanh() {
        for_every_isa(|| {
            functions_are_accurate::<f32>(f32::EPSILON as f64, 80.0);
            functions_are_accurate::<f64>(f64::EPSILON, 700.0);
        });
    }
}
