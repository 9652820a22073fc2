//! Arm's 128-bit vectors, part of the baseline of aarch64.
#![cfg(target_arch = "aarch64")]

use std::arch::aarch64::*;

use super::Simd;

/// 4 floats.
#[derive(Clone, Copy)]
pub(crate) struct NeonF32;
/// 2 doubles.
#[derive(Clone, Copy)]
pub(crate) struct NeonF64;

macro_rules! neon {
    ($token:ident, $t:ty, $v:ty, $lanes:literal, $splat:ident, $add:ident, $sub:ident, $mul:ident, $div:ident, $fma:ident,
     $above:ident, $select:ident, $load:ident, $store:ident) => {
        impl Simd for $token {
            type Elem = $t;
            type Vector = $v;
            const LANES: usize = $lanes;

            unsafe fn assume() -> Self {
                $token
            }
            #[inline(always)]
            fn splat(self, x: $t) -> $v {
                // SAFETY: NEON is part of the target's baseline.
                unsafe { $splat(x) }
            }
            #[inline(always)]
            fn add(self, a: $v, b: $v) -> $v {
                // SAFETY: as in `splat`.
                unsafe { $add(a, b) }
            }
            #[inline(always)]
            fn sub(self, a: $v, b: $v) -> $v {
                // SAFETY: as in `splat`.
                unsafe { $sub(a, b) }
            }
            #[inline(always)]
            fn mul(self, a: $v, b: $v) -> $v {
                // SAFETY: as in `splat`.
                unsafe { $mul(a, b) }
            }
            #[inline(always)]
            fn div(self, a: $v, b: $v) -> $v {
                // SAFETY: as in `splat`.
                unsafe { $div(a, b) }
            }
            #[inline(always)]
            fn mul_add(self, a: $v, b: $v, c: $v) -> $v {
                // SAFETY: as in `splat`.
                unsafe { $fma(c, a, b) }
            }
            // A comparison and a selection, because the instructions for max and min return NaN for a NaN and a number.
            #[inline(always)]
            fn max(self, a: $v, b: $v) -> $v {
                // SAFETY: as in `splat`.
                unsafe { $select($above(a, b), a, b) }
            }
            #[inline(always)]
            fn min(self, a: $v, b: $v) -> $v {
                // SAFETY: as in `splat`.
                unsafe { $select($above(b, a), a, b) }
            }
            #[inline(always)]
            fn scale_by_power_of_two(self, x: $v, n: $v) -> $v {
                let (mut values, mut exponents) = ([0.0 as $t; $lanes], [0.0 as $t; $lanes]);
                // SAFETY: the arrays hold one vector each.
                unsafe {
                    $store(values.as_mut_ptr(), x);
                    $store(exponents.as_mut_ptr(), n);
                    for (value, &n) in values.iter_mut().zip(&exponents) {
                        *value *= f64::from_bits(((n as i64 + 1023) as u64) << 52) as $t;
                    }
                    $load(values.as_ptr())
                }
            }
            #[inline(always)]
            unsafe fn load(self, p: *const $t) -> $v {
                // SAFETY: the caller vouches for the memory.
                unsafe { $load(p) }
            }
            #[inline(always)]
            unsafe fn load_partial(self, p: *const $t, count: usize) -> $v {
                let mut lanes = [0.0; $lanes];
                // SAFETY: the caller vouches for `count` elements, at most a vector.
                unsafe {
                    std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), count);
                    $load(lanes.as_ptr())
                }
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $t, v: $v) {
                // SAFETY: the caller vouches for the memory.
                unsafe { $store(p, v) }
            }
            #[inline(always)]
            unsafe fn store_partial(self, p: *mut $t, v: $v, count: usize) {
                let mut lanes = [0.0; $lanes];
                // SAFETY: the caller vouches for `count` elements, at most a vector.
                unsafe {
                    $store(lanes.as_mut_ptr(), v);
                    std::ptr::copy_nonoverlapping(lanes.as_ptr(), p, count);
                }
            }
        }
    };
}
neon!(
    NeonF32,
    f32,
    float32x4_t,
    4,
    vdupq_n_f32,
    vaddq_f32,
    vsubq_f32,
    vmulq_f32,
    vdivq_f32,
    vfmaq_f32,
    vcgtq_f32,
    vbslq_f32,
    vld1q_f32,
    vst1q_f32
);
neon!(
    NeonF64,
    f64,
    float64x2_t,
    2,
    vdupq_n_f64,
    vaddq_f64,
    vsubq_f64,
    vmulq_f64,
    vdivq_f64,
    vfmaq_f64,
    vcgtq_f64,
    vbslq_f64,
    vld1q_f64,
    vst1q_f64
);
