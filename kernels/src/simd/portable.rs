//! Vectors as arrays: the baseline of every target, which the compiler maps to what registers there are.

use std::marker::PhantomData;

use super::{Real, Simd};

/// `LANES` elements of `T` in the target's baseline.
#[derive(Clone, Copy, Default)]
pub(crate) struct Portable<T, const LANES: usize>(PhantomData<T>);

macro_rules! lanewise {
    ($($name:ident($a:ident, $b:ident) $body:expr;)*) => { $(
        #[inline(always)]
        fn $name(self, a: [T; N], b: [T; N]) -> [T; N] {
            let mut out = a;
            for i in 0..N {
                let ($a, $b) = (a[i], b[i]);
                out[i] = $body;
            }
            out
        }
    )* };
}

impl<T: Real, const N: usize> Simd for Portable<T, N> {
    type Elem = T;
    type Vector = [T; N];
    const LANES: usize = N;

    unsafe fn assume() -> Self {
        Self::default()
    }

    #[inline(always)]
    fn splat(self, x: T) -> [T; N] {
        [x; N]
    }

    lanewise! {
        add(a, b) a + b;
        sub(a, b) a - b;
        mul(a, b) a * b;
        div(a, b) a / b;
        max(a, b) if a > b { a } else { b };
        min(a, b) if a < b { a } else { b };
        scale_by_power_of_two(x, n) x * T::from_f64(f64::from_bits(((n.to_f64() as i64 + 1023) as u64) << 52));
    }

    #[inline(always)]
    fn mul_add(self, a: [T; N], b: [T; N], c: [T; N]) -> [T; N] {
        let mut out = c;
        for i in 0..N {
            out[i] = a[i] * b[i] + c[i];
        }
        out
    }

    #[inline(always)]
    unsafe fn load(self, p: *const T) -> [T; N] {
        // SAFETY: the caller vouches for N elements; the read does not assume more alignment than T's.
        unsafe { *p.cast::<[T; N]>() }
    }

    #[inline(always)]
    unsafe fn load_partial(self, p: *const T, count: usize) -> [T; N] {
        let mut out = [T::ZERO; N];
        for (i, o) in out.iter_mut().enumerate().take(count) {
            // SAFETY: the caller vouches for `count` elements.
            *o = unsafe { *p.add(i) };
        }
        out
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut T, v: [T; N]) {
        // SAFETY: the caller vouches for N elements.
        unsafe { *p.cast::<[T; N]>() = v };
    }

    #[inline(always)]
    unsafe fn store_partial(self, p: *mut T, v: [T; N], count: usize) {
        for (i, &x) in v.iter().enumerate().take(count) {
            // SAFETY: the caller vouches for `count` elements.
            unsafe { *p.add(i) = x };
        }
    }
}
