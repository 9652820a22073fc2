//! Corner cases of element-wise functions, with the values that PyTorch gives: signed zeros, infinities, NaN, integer
//! limits.

#![allow(clippy::unwrap_used)]

use flambeau_tensor::ops::{binary, special};
use flambeau_tensor::{DType, Result, Tensor};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// Fails unless `got` has these elements, zeros with their signs and NaN equal to NaN.
#[track_caller]
fn expect(got: Result<Tensor>, expected: &[f64]) {
    let got = got.and_then(|t| t.to_vec_f64()).unwrap();
    let same = |g: f64, e: f64| {
        (g.is_nan() && e.is_nan())
            || g == e && g.is_sign_negative() == e.is_sign_negative()
            || g != e && (g - e).abs() <= 1e-12 * e.abs()
    };
    let all = got.len() == expected.len() && got.iter().zip(expected).all(|(&g, &e)| same(g, e));
    assert!(all, "{got:?}, expected {expected:?}");
}

fn t<const N: usize>(x: [f64; N]) -> Tensor {
    Tensor::new(x).unwrap()
}

#[test]
fn division_by_zero_and_remainders() {
    expect(t([1.0, -1.0, INF]).fmod(0.0), &[NAN, NAN, NAN]);
    expect(t([1.0, -1.0]).remainder(&t([0.0, INF])), &[NAN, INF]);
    expect(t([5.0, -5.0, 0.0]).floor_divide(0.0), &[INF, -INF, NAN]);
    expect(t([5.0, -0.0]).trunc_divide(0), &[INF, NAN]);
}

#[test]
fn signs_powers_and_angles() {
    expect(t([NAN, -0.0]).relu(), &[NAN, -0.0]);
    expect(t([NAN]).sign(), &[0.0]);
    expect(t([-8.0]).pow(1.0 / 3.0), &[NAN]);
    expect(binary::pow(0, &t([0.0, -1.0])), &[1.0, INF]);
    expect(t([INF]).hypot(&t([NAN])), &[INF]);
    let pi = std::f64::consts::PI;
    expect(
        t([-0.0, 0.0, -0.0]).atan2(&t([-1.0, -0.0, 0.0])),
        &[-pi, pi, -0.0],
    );
    expect(t([1.0, NAN]).copysign(&t([-0.0, -1.0])), &[-1.0, NAN]);
    expect(t([INF]).logaddexp(&t([-INF])), &[INF]);
    expect(t([0.0]).xlogy(&t([NAN])), &[NAN]);
    expect(t([0.5, 1.5, -2.5]).round(), &[0.0, 2.0, -2.0]);
    expect(t([0.0, 1.0]).logit(None), &[-INF, INF]);
    expect(t([-1.0, -2.0]).log1p(), &[-INF, NAN]);
    expect(t([-0.0, 0.0, -1.0]).rsqrt(), &[-INF, INF, NAN]);
    expect(t([-0.0, 1e-20]).expm1(), &[-0.0, 1e-20]);
    expect(t([0.0]).nextafter(&t([1.0])), &[5e-324]);
    expect(t([NAN, 1.0]).maximum(&t([1.0, NAN])), &[NAN, NAN]);
    expect(t([NAN, 1.0]).fmax(&t([1.0, NAN])), &[1.0, 1.0]);
}

#[test]
fn integers_at_their_limits() {
    let whole = |x: [i64; 3]| Tensor::new(x).unwrap();
    let exact = |x: Result<Tensor>| x.unwrap().to_vec::<i64>().unwrap();
    let shifted = whole([1, 1, 1]).bitwise_left_shift(&whole([63, 64, -1]));
    assert_eq!(exact(shifted), [i64::MIN, 0, 0]);
    let shifted = whole([-8, -8, 8]).bitwise_right_shift(&whole([64, -1, 1]));
    assert_eq!(exact(shifted), [-1, -1, 4]);
    let least = whole([i64::MIN, -7, 7]);
    assert_eq!(exact(least.abs()), [i64::MIN, 7, 7]);
    assert_eq!(exact(least.neg()), [i64::MIN, 7, -7]);
    assert_eq!(exact(least.fmod(3)), [-2, -1, 1]);
    assert_eq!(exact(least.remainder(3)), [1, 2, 1]);
    assert_eq!(exact(least.floor_divide(-2)), [1 << 62, 3, -4]);
    expect(whole([0, -4, 7]).gcd(&whole([0, 6, 0])), &[0.0, 2.0, 7.0]);
    expect(whole([0, -4, 7]).lcm(&whole([5, 6, 0])), &[0.0, 12.0, 0.0]);
    let power = Tensor::new([2u8]).unwrap().pow(&Tensor::new([9u8]).unwrap());
    assert_eq!(power.as_ref().unwrap().dtype(), DType::U8);
    expect(power, &[0.0]);
}

#[test]
fn activations_far_out() {
    let softplus = t([-100.0, 100.0, 20.0]).softplus(1.0, 20.0);
    expect(softplus, &[(-100f64).exp(), 100.0, 20.000_000_002_061_153]);
    expect(t([-INF]).silu(), &[NAN]);
    expect(t([-INF]).mish(), &[NAN]);
    expect(t([NAN, -INF, INF]).hardswish(), &[NAN, NAN, INF]);
    expect(t([NAN]).threshold(0.0, 1.0), &[NAN]);
    expect(t([NAN]).hardtanh(-1.0, 1.0), &[NAN]);
    expect(t([NAN, -200.0]).elu(1.0), &[NAN, -1.0]);
    expect(t([NAN]).hardshrink(0.5), &[NAN]);
    expect(t([NAN]).clamp(Some(0.into()), Some(1.into())), &[NAN]);
}

#[test]
fn special_functions_at_their_poles() {
    expect(t([0.0, -0.0, -1.0]).digamma(), &[-INF, INF, NAN]);
    expect(t([0.0, -1.0, -INF]).lgamma(), &[INF, INF, INF]);
    expect(
        special::zeta(&t([1.0, 2.0, -1.0]), &t([1.0, 0.0, 2.0])),
        &[INF, INF, NAN],
    );
    expect(t([0.0]).polygamma(1), &[INF]);
    expect(t([0.0, -1.0]).entr(), &[0.0, -INF]);
}
