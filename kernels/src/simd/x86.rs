//! AVX-512 and AVX2 + FMA.
#![cfg(target_arch = "x86_64")]

use std::arch::x86_64::*;

use super::{Real, Simd, WithSimd};

/// Runs a kernel compiled for AVX-512.
///
/// # Safety
/// The machine has the instruction set.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi2")]
pub(super) unsafe fn avx512<T: Real, S: Simd<Elem = T>, K: WithSimd<T>>(simd: S, kernel: K) -> K::Output {
    kernel.run(simd)
}

/// Runs a kernel compiled for AVX2 and FMA.
///
/// # Safety
/// The machine has the instruction set.
#[target_feature(enable = "avx2,fma,bmi2")]
pub(super) unsafe fn avx2<T: Real, S: Simd<Elem = T>, K: WithSimd<T>>(simd: S, kernel: K) -> K::Output {
    kernel.run(simd)
}

macro_rules! token {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name(());
    };
}
token! {
    /// 16 floats.
    Avx512F32
}
token! {
    /// 8 doubles.
    Avx512F64
}
token! {
    /// 8 floats.
    Avx2F32
}
token! {
    /// 4 doubles.
    Avx2F64
}

macro_rules! arithmetic {
    ($t:ty, $v:ty, $set1:ident, $($name:ident = $intrinsic:ident),*; $fma:ident) => {
        #[inline(always)]
        fn splat(self, x: $t) -> $v {
            // SAFETY: the token proves that the machine has the instruction set.
            unsafe { $set1(x) }
        }
        $(
            #[inline(always)]
            fn $name(self, a: $v, b: $v) -> $v {
                // SAFETY: as in `splat`.
                unsafe { $intrinsic(a, b) }
            }
        )*
        #[inline(always)]
        fn mul_add(self, a: $v, b: $v, c: $v) -> $v {
            // SAFETY: as in `splat`.
            unsafe { $fma(a, b, c) }
        }
    };
}

macro_rules! memory {
    ($t:ty, $v:ty, $load:ident, $store:ident, $stream:ident) => {
        #[inline(always)]
        unsafe fn load(self, p: *const $t) -> $v {
            // SAFETY: the caller vouches for the memory, the token for the instruction set.
            unsafe { $load(p) }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut $t, v: $v) {
            // SAFETY: the caller vouches for the memory, the token for the instruction set.
            unsafe { $store(p, v) }
        }
        #[inline(always)]
        unsafe fn store_past(self, p: *mut $t, v: $v) {
            // SAFETY: the caller vouches for the memory, its alignment and the fence, the token for the instruction set.
            unsafe { $stream(p, v) }
        }
    };
}

macro_rules! avx512_masked {
    ($t:ty, $v:ty, $mask:ty, $load:ident, $load_other:ident, $store:ident) => {
        #[inline(always)]
        unsafe fn load_partial(self, p: *const $t, count: usize) -> $v {
            // SAFETY: the caller vouches for the memory, the token for the instruction set.
            unsafe { $load(((1u32 << count) - 1) as $mask, p) }
        }
        #[inline(always)]
        unsafe fn store_partial(self, p: *mut $t, v: $v, count: usize) {
            // SAFETY: the caller vouches for the memory, the token for the instruction set.
            unsafe { $store(p, ((1u32 << count) - 1) as $mask, v) }
        }
        #[inline(always)]
        unsafe fn load_masked(self, other: $v, mask: u32, p: *const $t) -> $v {
            // SAFETY: the caller vouches for the memory, the token for the instruction set.
            unsafe { $load_other(other, mask as $mask, p) }
        }
    };
}

impl Simd for Avx512F32 {
    type Elem = f32;
    type Vector = __m512;
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn assume() -> Self {
        Self(())
    }
    arithmetic!(f32, __m512, _mm512_set1_ps, add = _mm512_add_ps, sub = _mm512_sub_ps, mul = _mm512_mul_ps,
        div = _mm512_div_ps, max = _mm512_max_ps, min = _mm512_min_ps, scale_by_power_of_two = _mm512_scalef_ps,
        scale_by_any_power_of_two = _mm512_scalef_ps; _mm512_fmadd_ps);
    memory!(f32, __m512, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_stream_ps);
    avx512_masked!(
        f32,
        __m512,
        u16,
        _mm512_maskz_loadu_ps,
        _mm512_mask_loadu_ps,
        _mm512_mask_storeu_ps
    );

    #[inline(always)]
    unsafe fn load_every_second(self, mask: u32, p: *const f32) -> __m512 {
        // SAFETY: only the elements of set bits are read, which the caller vouches for.
        unsafe {
            let even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
            let low = _mm512_maskz_loadu_ps(mask as u16, p);
            let high = _mm512_maskz_loadu_ps((mask >> 16) as u16, p.wrapping_add(16));
            _mm512_permutex2var_ps(low, even, high)
        }
    }

    #[inline(always)]
    unsafe fn deinterleave(self, src: *const f32, stride: usize) -> [__m512; 4] {
        // SAFETY: the caller vouches for 8 elements at each place, the token for the instruction set.
        unsafe {
            let mut v = [_mm512_setzero_ps(); 4];
            for (q, v) in v.iter_mut().enumerate() {
                let place = src.add(2 * q * stride).cast::<f64>();
                let first = _mm512_castpd256_pd512(_mm256_loadu_pd(place));
                let both =
                    _mm512_insertf64x4::<1>(first, _mm256_loadu_pd(src.add((2 * q + 1) * stride).cast()));
                *v = _mm512_permutexvar_ps(transpose_4x4_index(), _mm512_castpd_ps(both));
            }
            transpose_quarters(v)
        }
    }

    #[inline(always)]
    unsafe fn interleave(self, vectors: [__m512; 4], dst: *mut f32) {
        // SAFETY: the caller vouches for 64 elements, the token for the instruction set.
        unsafe {
            for (q, v) in transpose_quarters(vectors).into_iter().enumerate() {
                _mm512_storeu_ps(dst.add(16 * q), _mm512_permutexvar_ps(transpose_4x4_index(), v));
            }
        }
    }

    #[inline(always)]
    fn reduce_sum(self, v: __m512) -> f32 {
        // SAFETY: the token proves that the machine has the instruction set.
        unsafe { _mm512_reduce_add_ps(v) }
    }

    #[inline(always)]
    unsafe fn transpose(
        self,
        src: *const f32,
        src_stride: usize,
        rows: usize,
        columns: usize,
        dst: *mut f32,
        dst_stride: usize,
        width: usize,
    ) {
        // SAFETY: masked accesses inside the blocks that the caller vouches for; the token proves the instruction set.
        unsafe {
            let read = ((1u32 << columns) - 1) as u16;
            let write = ((1u32 << width) - 1) as u16;
            let mut r = [_mm512_setzero_ps(); 16];
            if rows == 16 {
                for i in 0..16 {
                    r[i] = _mm512_maskz_loadu_ps(read, src.add(i * src_stride));
                }
            } else {
                for i in 0..16 {
                    if i < rows {
                        r[i] = _mm512_maskz_loadu_ps(read, src.add(i * src_stride));
                    }
                }
            }
            transpose_16x16(&mut r);
            if columns == 16 {
                for i in 0..16 {
                    _mm512_mask_storeu_ps(dst.add(i * dst_stride), write, r[i]);
                }
            } else {
                for i in 0..16 {
                    if i < columns {
                        _mm512_mask_storeu_ps(dst.add(i * dst_stride), write, r[i]);
                    }
                }
            }
        }
    }
}

/// The permutation that transposes 16 lanes as a 4 × 4 matrix.
#[inline(always)]
unsafe fn transpose_4x4_index() -> __m512i {
    // SAFETY: register arithmetic; the caller has the instruction set.
    unsafe { _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15) }
}

/// Transposes a 4 × 4 matrix of quarters of registers.
#[inline(always)]
unsafe fn transpose_quarters(v: [__m512; 4]) -> [__m512; 4] {
    // SAFETY: register arithmetic; the caller has the instruction set.
    unsafe {
        let (a, b) = (
            _mm512_shuffle_f32x4::<0x44>(v[0], v[1]),
            _mm512_shuffle_f32x4::<0xEE>(v[0], v[1]),
        );
        let (c, d) = (
            _mm512_shuffle_f32x4::<0x44>(v[2], v[3]),
            _mm512_shuffle_f32x4::<0xEE>(v[2], v[3]),
        );
        [
            _mm512_shuffle_f32x4::<0x88>(a, c),
            _mm512_shuffle_f32x4::<0xDD>(a, c),
            _mm512_shuffle_f32x4::<0x88>(b, d),
            _mm512_shuffle_f32x4::<0xDD>(b, d),
        ]
    }
}

/// Transposes 16 registers of 16 floats: pairs, quads, then 128-bit lanes.
#[inline(always)]
unsafe fn transpose_16x16(r: &mut [__m512; 16]) {
    // SAFETY: register arithmetic; the caller has the instruction set.
    unsafe {
        let mut t = [_mm512_setzero_ps(); 16];
        for i in 0..8 {
            t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        for i in 0..4 {
            let (a, b) = (_mm512_castps_pd(t[4 * i]), _mm512_castps_pd(t[4 * i + 2]));
            let (c, d) = (_mm512_castps_pd(t[4 * i + 1]), _mm512_castps_pd(t[4 * i + 3]));
            r[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            r[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
            r[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(c, d));
            r[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(c, d));
        }
        for i in 0..4 {
            t[i] = _mm512_shuffle_f32x4::<0x88>(r[i], r[4 + i]);
            t[4 + i] = _mm512_shuffle_f32x4::<0xDD>(r[i], r[4 + i]);
            t[8 + i] = _mm512_shuffle_f32x4::<0x88>(r[8 + i], r[12 + i]);
            t[12 + i] = _mm512_shuffle_f32x4::<0xDD>(r[8 + i], r[12 + i]);
        }
        for i in 0..4 {
            r[i] = _mm512_shuffle_f32x4::<0x88>(t[i], t[8 + i]);
            r[8 + i] = _mm512_shuffle_f32x4::<0xDD>(t[i], t[8 + i]);
            r[4 + i] = _mm512_shuffle_f32x4::<0x88>(t[4 + i], t[12 + i]);
            r[12 + i] = _mm512_shuffle_f32x4::<0xDD>(t[4 + i], t[12 + i]);
        }
    }
}

impl Simd for Avx512F64 {
    type Elem = f64;
    type Vector = __m512d;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn assume() -> Self {
        Self(())
    }
    arithmetic!(f64, __m512d, _mm512_set1_pd, add = _mm512_add_pd, sub = _mm512_sub_pd, mul = _mm512_mul_pd,
        div = _mm512_div_pd, max = _mm512_max_pd, min = _mm512_min_pd, scale_by_power_of_two = _mm512_scalef_pd,
        scale_by_any_power_of_two = _mm512_scalef_pd; _mm512_fmadd_pd);
    memory!(f64, __m512d, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_stream_pd);
    avx512_masked!(
        f64,
        __m512d,
        u8,
        _mm512_maskz_loadu_pd,
        _mm512_mask_loadu_pd,
        _mm512_mask_storeu_pd
    );
}

/// `MASKS[8 - n..]` starts with n set lanes of 32 bits.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
/// The same for 4 lanes of 64 bits.
static WIDE_MASKS: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];

#[inline(always)]
unsafe fn first_lanes_32(count: usize) -> __m256i {
    // SAFETY: `count` is at most 8, so that the eight lanes lie inside the table.
    unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(8 - count).cast()) }
}

#[inline(always)]
unsafe fn first_lanes_64(count: usize) -> __m256i {
    // SAFETY: `count` is at most 4, so that the four lanes lie inside the table.
    unsafe { _mm256_loadu_si256(WIDE_MASKS.as_ptr().add(4 - count).cast()) }
}

impl Simd for Avx2F32 {
    type Elem = f32;
    type Vector = __m256;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn assume() -> Self {
        Self(())
    }
    arithmetic!(f32, __m256, _mm256_set1_ps, add = _mm256_add_ps, sub = _mm256_sub_ps, mul = _mm256_mul_ps,
        div = _mm256_div_ps, max = _mm256_max_ps, min = _mm256_min_ps; _mm256_fmadd_ps);
    memory!(f32, __m256, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_stream_ps);

    #[inline(always)]
    fn scale_by_power_of_two(self, x: __m256, n: __m256) -> __m256 {
        // SAFETY: the token proves that the machine has the instruction set.
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
        }
    }
    #[inline(always)]
    unsafe fn load_partial(self, p: *const f32, count: usize) -> __m256 {
        // SAFETY: the caller vouches for the memory, the token for the instruction set.
        unsafe { _mm256_maskload_ps(p, first_lanes_32(count)) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, p: *mut f32, v: __m256, count: usize) {
        // SAFETY: the caller vouches for the memory, the token for the instruction set.
        unsafe { _mm256_maskstore_ps(p, first_lanes_32(count), v) }
    }
    #[inline(always)]
    unsafe fn load_masked(self, other: __m256, mask: u32, p: *const f32) -> __m256 {
        // SAFETY: only lanes of set bits are read, which the caller vouches for; the token proves the instruction set.
        unsafe {
            let bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let lanes = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(mask as i32), bits), bits);
            _mm256_blendv_ps(other, _mm256_maskload_ps(p, lanes), _mm256_castsi256_ps(lanes))
        }
    }
}

impl Simd for Avx2F64 {
    type Elem = f64;
    type Vector = __m256d;
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn assume() -> Self {
        Self(())
    }
    arithmetic!(f64, __m256d, _mm256_set1_pd, add = _mm256_add_pd, sub = _mm256_sub_pd, mul = _mm256_mul_pd,
        div = _mm256_div_pd, max = _mm256_max_pd, min = _mm256_min_pd; _mm256_fmadd_pd);
    memory!(f64, __m256d, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_stream_pd);

    #[inline(always)]
    fn scale_by_power_of_two(self, x: __m256d, n: __m256d) -> __m256d {
        // SAFETY: the token proves that the machine has the instruction set.
        unsafe {
            let exponent = _mm256_add_epi64(
                _mm256_cvtepi32_epi64(_mm256_cvtpd_epi32(n)),
                _mm256_set1_epi64x(1023),
            );
            _mm256_mul_pd(x, _mm256_castsi256_pd(_mm256_slli_epi64::<52>(exponent)))
        }
    }
    #[inline(always)]
    unsafe fn load_partial(self, p: *const f64, count: usize) -> __m256d {
        // SAFETY: the caller vouches for the memory, the token for the instruction set.
        unsafe { _mm256_maskload_pd(p, first_lanes_64(count)) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, p: *mut f64, v: __m256d, count: usize) {
        // SAFETY: the caller vouches for the memory, the token for the instruction set.
        unsafe { _mm256_maskstore_pd(p, first_lanes_64(count), v) }
    }
}
