//! Element-wise functions of three arguments with broadcasting. The views have one shape; the output is contiguous.

use crate::copy::{bits, bits_mut};
use crate::element::{Float, Number, Pod, instantiate};
use crate::elementwise::zip3;
use crate::simd;
use crate::unary::choose;
use crate::view::View;

/// `out = a` where `condition` is not 0, else `b` (torch's `where`).
pub fn select<T: Pod>(condition: View<'_, u8>, a: View<'_, T>, b: View<'_, T>, out: &mut [T]) {
    match size_of::<T>() {
        1 => select_as::<T, u8>(condition, a, b, out),
        2 => select_as::<T, u16>(condition, a, b, out),
        4 => select_as::<T, u32>(condition, a, b, out),
        8 => select_as::<T, u64>(condition, a, b, out),
        _ => select_as::<T, T>(condition, a, b, out),
    }
}

fn select_as<T: Pod, U: Pod>(condition: View<'_, u8>, a: View<'_, T>, b: View<'_, T>, out: &mut [T]) {
    let a = View {
        data: bits::<T, U>(a.data),
        shape: a.shape,
        strides: a.strides,
    };
    let b = View {
        data: bits::<T, U>(b.data),
        shape: b.shape,
        strides: b.strides,
    };
    zip3(condition, a, b, bits_mut::<T, U>(out), select_block::<U>)
}

simd! {
    fn select_block[T: Pod](condition: &[u8], a: &[T], b: &[T], out: &mut [T]) {
        for (((o, &c), &a), &b) in out.iter_mut().zip(condition).zip(a).zip(b) {
            *o = choose(c != 0, a, b);
        }
    }

    fn addcmul_block[T: Float](value: T, a: &[T], b: &[T], c: &[T], out: &mut [T]) {
        for (((o, &a), &b), &c) in out.iter_mut().zip(a).zip(b).zip(c) {
            *o = a + value * b * c;
        }
    }

    fn addcdiv_block[T: Float](value: T, a: &[T], b: &[T], c: &[T], out: &mut [T]) {
        for (((o, &a), &b), &c) in out.iter_mut().zip(a).zip(b).zip(c) {
            *o = a + value * b / c;
        }
    }

    fn lerp_block[T: Float](a: &[T], b: &[T], weight: &[T], out: &mut [T]) {
        for (((o, &a), &b), &w) in out.iter_mut().zip(a).zip(b).zip(weight) {
            let apart = b - a;
            *o = choose(w.abs() < T::from_f64(0.5), a + w * apart, b - apart * (T::ONE - w));
        }
    }

    fn clamp_block[T: Number](x: &[T], min: &[T], max: &[T], out: &mut [T]) {
        for (((o, &x), &min), &max) in out.iter_mut().zip(x).zip(min).zip(max) {
            let raised = choose(x < min || min.is_not_a_number(), min, x);
            let bounded = choose(raised > max || max.is_not_a_number(), max, raised);
            *o = choose(x.is_not_a_number(), x, bounded);
        }
    }
}

instantiate! {
    trait FloatKernels for f32, f64 where Float;

    /// `out = a + value·b·c`.
    pub fn addcmul(a: View<'_, T>, b: View<'_, T>, c: View<'_, T>, value: f64, out: &mut [T]) {
        let value = T::from_f64(value);
        zip3(a, b, c, out, |a, b, c, out| addcmul_block(value, a, b, c, out))
    }

    /// `out = a + value·b/c`.
    pub fn addcdiv(a: View<'_, T>, b: View<'_, T>, c: View<'_, T>, value: f64, out: &mut [T]) {
        let value = T::from_f64(value);
        zip3(a, b, c, out, |a, b, c, out| addcdiv_block(value, a, b, c, out))
    }

    /// `out = a + weight·(b - a)`, exact at weights 0 and 1.
    pub fn lerp(a: View<'_, T>, b: View<'_, T>, weight: View<'_, T>, out: &mut [T]) {
        zip3(a, b, weight, out, |a, b, w, out| lerp_block(a, b, w, out))
    }
}

instantiate! {
    trait NumberKernels for f32, f64, i64, i32, i16, i8, u8, u32 where Number;

    /// `out = min(max(x, min), max)`; NaN if any of the three is.
    pub fn clamp(x: View<'_, T>, min: View<'_, T>, max: View<'_, T>, out: &mut [T]) {
        zip3(x, min, max, out, |x, min, max, out| clamp_block(x, min, max, out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_broadcast() {
        let (condition, a, b) = ([1u8, 0, 1], [1.0f32, 2.0], [-1.0f32]);
        let shape = [2, 3];
        let mut out = [0.0; 6];
        select(
            View {
                data: &condition,
                shape: &shape,
                strides: &[0, 1],
            },
            View {
                data: &a,
                shape: &shape,
                strides: &[1, 0],
            },
            View {
                data: &b,
                shape: &shape,
                strides: &[0, 0],
            },
            &mut out,
        );
        assert_eq!(out, [1.0, -1.0, 1.0, 2.0, -1.0, 2.0]);
    }

    #[test]
    fn values() {
        fn view<'a>(data: &'a [f64]) -> View<'a, f64> {
            View {
                data,
                shape: &[2],
                strides: &[1],
            }
        }
        let mut out = [0.0; 2];
        addcmul(
            view(&[1.0, 2.0]),
            view(&[3.0, 4.0]),
            view(&[5.0, 6.0]),
            0.5,
            &mut out,
        );
        assert_eq!(out, [8.5, 14.0]);
        addcdiv(
            view(&[1.0, 2.0]),
            view(&[3.0, 4.0]),
            view(&[4.0, 8.0]),
            2.0,
            &mut out,
        );
        assert_eq!(out, [2.5, 3.0]);
        lerp(view(&[1.0, 2.0]), view(&[3.0, 4.0]), view(&[0.25, 1.0]), &mut out);
        assert_eq!(out, [1.5, 4.0]);
        clamp(
            view(&[f64::NAN, 7.0]),
            view(&[0.0, 0.0]),
            view(&[1.0, 5.0]),
            &mut out,
        );
        assert!(out[0].is_nan() && out[1] == 5.0);
    }
}
