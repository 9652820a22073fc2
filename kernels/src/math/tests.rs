//! Errors in units in the last place, measured against `f64` for `f32` and against the C library for `f64` (whose own
//! error, up to half a unit and a little more, is part of what is measured), and values at special points.

use super::Math;

/// Many arguments between two limits: dense, and at random.
fn arguments(from: f64, to: f64) -> impl Iterator<Item = f64> {
    const N: usize = 40_000;
    let mut state = 1u64;
    (0..N).map(move |i| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let jitter = (state >> 11) as f64 / (1u64 << 53) as f64;
        from + (to - from) * ((i as f64 + jitter) / N as f64)
    })
}

/// The distance of `got` from `want` in units in the last place of `want` as an `f32`.
fn ulp32(got: f32, want: f64) -> f64 {
    if got.is_nan() && want.is_nan()
        || f64::from(got) == want
        || want.abs() > f64::from(f32::MAX) && got.is_infinite()
    {
        return 0.0;
    }
    let exponent = (want.abs().max(f64::from(f32::MIN_POSITIVE)).to_bits() >> 52) as i32 - 1023;
    (f64::from(got) - want).abs() / 2f64.powi(exponent - 23)
}

/// The distance of two `f64` in units in the last place.
fn ulp64(got: f64, want: f64) -> f64 {
    if got == want || got.is_nan() && want.is_nan() {
        return 0.0;
    }
    let exponent = (want.abs().max(f64::MIN_POSITIVE).to_bits() >> 52) as i32 - 1023;
    (got - want).abs() / 2f64.powi((exponent - 52).max(-1022)) / 2f64.powi((exponent - 52).min(-1022) + 1022)
}

/// The inverse hyperbolic cosine by a formula that is good near 1 too.
fn acosh(x: f64) -> f64 {
    2.0 * ((x - 1.0) * 0.5).sqrt().asinh()
}

/// The inverse hyperbolic tangent by a formula that is good near -1 too.
fn atanh(x: f64) -> f64 {
    x.abs().atanh().copysign(x)
}

type Case = (
    &'static str,
    fn(f32) -> f32,
    fn(f64) -> f64,
    fn(f64) -> f64,
    [f64; 2],
    [(f64, f64); 2],
);

/// Name, ours for both types, the reference, the bounds, two ranges of arguments.
#[rustfmt::skip]
fn cases() -> Vec<Case> {
    vec![
        ("exp", Math::exp, Math::exp, f64::exp, [1.1, 1.1], [(-87.0, 88.0), (-1.0, 1.0)]),
        ("exp subnormal", Math::exp, Math::exp, f64::exp, [1.1, 1.6], [(-103.0, -87.0), (-745.0, -700.0)]),
        ("exp2", Math::exp2, Math::exp2, f64::exp2, [1.1, 1.1], [(-126.0, 127.9), (-1.0, 1.0)]),
        ("expm1", Math::expm1, Math::expm1, f64::exp_m1, [1.6, 2.5], [(-20.0, 88.0), (-0.7, 0.7)]),
        ("log", Math::log, Math::log, f64::ln, [1.0, 1.2], [(1e-6, 4.0), (1.0, 1e6)]),
        ("log2", Math::log2, Math::log2, f64::log2, [0.6, 1.2], [(1e-6, 4.0), (1.0, 1e6)]),
        ("log10", Math::log10, Math::log10, f64::log10, [0.6, 2.5], [(1e-6, 4.0), (1.0, 1e6)]),
        ("log1p", Math::log1p, Math::log1p, f64::ln_1p, [1.2, 1.2], [(-0.9, 4.0), (-1e-3, 1e-3)]),
        ("sin", Math::sin, Math::sin, f64::sin, [0.6, 2.5], [(-10.0, 10.0), (-1e9, 1e9)]),
        ("cos", Math::cos, Math::cos, f64::cos, [0.6, 2.5], [(-10.0, 10.0), (-1e9, 1e9)]),
        ("tan", Math::tan, Math::tan, f64::tan, [0.6, 3.5], [(-10.0, 10.0), (-1e9, 1e9)]),
        ("asin", Math::asin, Math::asin, f64::asin, [0.6, 2.5], [(-1.0, 1.0), (-0.01, 0.01)]),
        ("acos", Math::acos, Math::acos, f64::acos, [0.6, 1.5], [(-1.0, 1.0), (0.99, 1.0)]),
        ("atan", Math::atan, Math::atan, f64::atan, [0.6, 1.5], [(-5.0, 5.0), (-1e6, 1e6)]),
        ("sinh", Math::sinh, Math::sinh, f64::sinh, [3.0, 3.5], [(-88.0, 88.0), (-1.0, 1.0)]),
        ("cosh", Math::cosh, Math::cosh, f64::cosh, [3.0, 3.5], [(-88.0, 88.0), (-1.0, 1.0)]),
        ("tanh", Math::tanh, Math::tanh, f64::tanh, [2.6, 3.5], [(-10.0, 10.0), (-0.3, 0.3)]),
        ("asinh", Math::asinh, Math::asinh, f64::asinh, [2.5, 4.0], [(-5.0, 5.0), (-1e9, 1e9)]),
        ("acosh", Math::acosh, Math::acosh, acosh, [2.5, 4.0], [(1.0, 5.0), (1.0, 1e9)]),
        ("atanh", Math::atanh, Math::atanh, atanh, [2.5, 4.0], [(-1.0, 1.0), (-0.01, 0.01)]),
        ("sigmoid", Math::sigmoid, Math::sigmoid, |x| 1.0 / (1.0 + (-x).exp()), [2.5, 3.5], [(-80.0, 20.0), (-1.0, 1.0)]),
    ]
}

#[test]
fn errors_are_within_the_stated_bounds() {
    let mut report = String::new();
    for (name, single, double, reference, [bound32, bound64], ranges) in cases() {
        let (mut worst32, mut worst64) = ((0.0, 0.0), (0.0, 0.0));
        for (from, to) in ranges {
            for x in arguments(from, to) {
                let x32 = x as f32;
                let error = ulp32(single(x32), reference(f64::from(x32)));
                if error > worst32.0 || error.is_nan() {
                    worst32 = (error, f64::from(x32));
                }
                let error = ulp64(double(x), reference(x));
                if error > worst64.0 || error.is_nan() {
                    worst64 = (error, x);
                }
            }
        }
        // NaN must not pass.
        if !(worst32.0 <= bound32 && worst64.0 <= bound64) {
            report += &format!("{name}: f32 {worst32:?} of {bound32}, f64 {worst64:?} of {bound64}\n");
        }
    }
    assert!(report.is_empty(), "{report}");
}

/// Values of erfc, correctly rounded.
const ERFC: [(f64, f64); 14] = [
    (0.0, 1.0),
    (0.125, 0.8596837951986662),
    (0.5, 0.4795001221869535),
    (0.6875, 0.33091533711391874),
    (0.75, 0.28884436634648486),
    (1.0, 0.15729920705028513),
    (1.5, 0.033894853524689274),
    (2.0, 0.004677734981047266),
    (3.0, 2.209049699858544e-05),
    (5.0, 1.537459794428035e-12),
    (9.0, 4.13703174651381e-37),
    (20.0, 5.395865611607901e-176),
    (-0.5, 1.5204998778130465),
    (-2.0, 1.9953222650189528),
];

#[test]
fn error_functions() {
    for (x, want) in ERFC {
        let erf = 1.0 - want;
        assert!(
            ulp64(Math::erfc(x), want) <= 4.0,
            "erfc({x}) = {} for {want}",
            Math::erfc(x)
        );
        assert!(
            ulp32(Math::erfc(x as f32), want) <= 0.6 || x as f32 as f64 != x,
            "erfc({x}) as f32"
        );
        assert!(
            (Math::erf(x) - erf).abs() <= 3e-16,
            "erf({x}) = {} for {erf}",
            Math::erf(x)
        );
        assert!(
            (Math::erf(x as f32) as f64 - erf).abs() <= 1.2e-7,
            "erf({x}) = {} for {erf}",
            Math::erf(x as f32)
        );
    }
    // The single-precision function against the double-precision one, in units of the last place.
    let worst = arguments(-4.5, 4.5)
        .map(|x| x as f32)
        .map(|x| ulp32(Math::erf(x), Math::erf(f64::from(x))))
        .fold(0.0, f64::max);
    assert!(worst <= 2.5, "{worst}");
    for x in arguments(-6.0, 6.0) {
        assert!((Math::erf(x) + Math::erfc(x) - 1.0).abs() <= 4e-16);
    }
}

#[test]
fn powers_of_single_floats() {
    for base in arguments(0.0, 30.0).step_by(97) {
        for exponent in arguments(-20.0, 20.0).step_by(1009) {
            let (b, e) = (base as f32, exponent as f32);
            let want = f64::from(b).powf(f64::from(e));
            assert!(
                ulp32(Math::pow(b, e), want) <= 0.6,
                "{b}^{e} = {} for {want}",
                Math::pow(b, e)
            );
        }
    }
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        2.0,
        -2.0,
        0.5,
        -0.5,
        3.0,
        -3.0,
        2.5,
        -2.5,
        1e30,
        -1e30,
        1e-40,
        16_777_217.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
    ];
    for b in special {
        for e in special {
            let (got, want) = (Math::pow(b, e), b.powf(e));
            assert!(
                got.to_bits() == want.to_bits()
                    || got.is_nan() && want.is_nan()
                    || ulp32(got, want as f64) <= 1.0,
                "{b}^{e} = {got} for {want}"
            );
            assert_eq!(
                got.is_sign_negative() && !got.is_nan(),
                want.is_sign_negative() && !want.is_nan()
            );
        }
    }
}

#[test]
fn special_points_are_those_of_the_c_library() {
    let points = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        1e-30,
        -1e-30,
        1e-310,
        f64::MIN_POSITIVE,
        1e30,
        -1e30,
        1e300,
        800.0,
        -800.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ];
    for (name, single, double, reference, ..) in cases() {
        for x in points {
            let trigonometric = matches!(name, "sin" | "cos" | "tan");
            if trigonometric && x.abs() > f64::TRIGONOMETRIC_LIMIT && x.is_finite() {
                continue;
            }
            let (got, want) = (double(x), reference(x));
            let same = got == want || got.is_nan() && want.is_nan() || ulp64(got, want) <= 4.0;
            assert!(same, "{name}({x}) = {got} for {want}");
            assert!(
                got.is_nan() || got.is_sign_negative() == want.is_sign_negative(),
                "{name}({x}) = {got}"
            );
            let x = x as f32;
            let (got, want) = (single(x), reference(f64::from(x)));
            let same = got == want as f32 || got.is_nan() && want.is_nan() || ulp32(got, want) <= 4.0;
            assert!(same, "{name}({x}f32) = {got} for {want}");
        }
    }
    assert_eq!(Math::erf(f64::INFINITY), 1.0);
    assert_eq!(Math::erfc(f64::INFINITY), 0.0);
    assert_eq!(Math::erf(f32::NEG_INFINITY), -1.0);
    assert!(Math::erf(f32::NAN).is_nan() && Math::erfc(f64::NAN).is_nan());
    assert!(Math::erf(-0.0f32).is_sign_negative());
}
