//! Errors in units in the last place, measured against thirty digits (`extended`), and values at special points. The
//! bounds are those that the book states in `docs/numerics.md`.

mod extended;

use self::extended::Extended;
use super::Math;

const BOOK: &str = include_str!("../../../docs/numerics.md");

/// The numbers in the row of the book's tables that begins with this name in code type.
fn stated<const N: usize>(name: &str) -> [f64; N] {
    let begin = format!("| `{name}` |");
    let row = BOOK.lines().find_map(|line| line.strip_prefix(&begin));
    let row = row.unwrap_or_else(|| panic!("no row on `{name}`"));
    let numbers: Vec<f64> = row
        .split('|')
        .filter_map(|cell| cell.trim().parse().ok())
        .collect();
    numbers
        .try_into()
        .unwrap_or_else(|numbers| panic!("`{name}`: {numbers:?}"))
}

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

/// The distance of `got` from `want·2^-exponent` in units in the last place.
fn ulp64(got: f64, want: Extended, exponent: i32) -> f64 {
    let got = Extended::from(got).scaled(exponent);
    let magnitude = (want.high.abs().to_bits() >> 52) as i32 - 1023;
    let unit = magnitude.max(exponent - 1022) - 52;
    (got - want).scaled(-unit).high.abs()
}

/// A function by its name in the book, ours for both types, the reference, two ranges of arguments.
type Case = (
    &'static str,
    fn(f32) -> f32,
    fn(f64) -> f64,
    fn(Extended) -> Extended,
    [(f64, f64); 2],
);

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    use extended::*;
    vec![
        ("exp", Math::exp, Math::exp, exp, [(-87.0, 88.0), (-1.0, 1.0)]),
        ("exp2", Math::exp2, Math::exp2, exp2, [(-126.0, 127.9), (-1.0, 1.0)]),
        ("expm1", Math::expm1, Math::expm1, expm1, [(-20.0, 88.0), (-0.7, 0.7)]),
        ("log", Math::log, Math::log, log, [(1e-6, 4.0), (1.0, 1e6)]),
        ("log2", Math::log2, Math::log2, log2, [(1e-6, 4.0), (1.0, 1e6)]),
        ("log10", Math::log10, Math::log10, log10, [(1e-6, 4.0), (1.0, 1e6)]),
        ("log1p", Math::log1p, Math::log1p, log1p, [(-0.9, 4.0), (-1e-3, 1e-3)]),
        ("sin", Math::sin, Math::sin, sin, [(-10.0, 10.0), (-1e9, 1e9)]),
        ("cos", Math::cos, Math::cos, cos, [(-10.0, 10.0), (-1e9, 1e9)]),
        ("tan", Math::tan, Math::tan, tan, [(-10.0, 10.0), (-1e9, 1e9)]),
        ("asin", Math::asin, Math::asin, asin, [(-1.0, 1.0), (-0.01, 0.01)]),
        ("acos", Math::acos, Math::acos, acos, [(-1.0, 1.0), (0.99, 1.0)]),
        ("atan", Math::atan, Math::atan, atan, [(-5.0, 5.0), (-1e6, 1e6)]),
        ("sinh", Math::sinh, Math::sinh, sinh, [(-88.0, 88.0), (-1.0, 1.0)]),
        ("cosh", Math::cosh, Math::cosh, cosh, [(-88.0, 88.0), (-1.0, 1.0)]),
        ("tanh", Math::tanh, Math::tanh, tanh, [(-10.0, 10.0), (-0.3, 0.3)]),
        ("asinh", Math::asinh, Math::asinh, asinh, [(-5.0, 5.0), (-1e9, 1e9)]),
        ("acosh", Math::acosh, Math::acosh, acosh, [(1.0, 5.0), (1.0, 1e9)]),
        ("atanh", Math::atanh, Math::atanh, atanh, [(-1.0, 1.0), (-0.01, 0.01)]),
        ("sigmoid", Math::sigmoid, Math::sigmoid, sigmoid, [(-80.0, 20.0), (-1.0, 1.0)]),
        ("erf", Math::erf, Math::erf, erf, [(-6.0, 6.0), (-0.5, 0.5)]),
        ("erfc", Math::erfc, Math::erfc, erfc, [(-5.0, 26.0), (-0.5, 0.5)]),
    ]
}

#[test]
fn errors_are_within_the_stated_bounds() {
    let mut report = String::new();
    for (name, single, double, reference, ranges) in cases() {
        let [bound32, bound64] = stated(name);
        let (mut worst32, mut worst64) = ((0.0, 0.0), (0.0, 0.0));
        for (from, to) in ranges {
            for x in arguments(from, to) {
                let x32 = f64::from(x as f32);
                let error = ulp32(single(x as f32), reference(x32.into()).high);
                if error > worst32.0 || error.is_nan() {
                    worst32 = (error, x32);
                }
                let error = ulp64(double(x), reference(x.into()), 0);
                if error > worst64.0 || error.is_nan() {
                    worst64 = (error, x);
                }
            }
        }
        println!("{}: {worst32:?} {worst64:?}", name);
        // NaN must not pass.
        if !(worst32.0 <= bound32 && worst64.0 <= bound64) {
            report += &format!(
                "{}: f32 {worst32:?} of {bound32}, f64 {worst64:?} of {bound64}\n",
                name
            );
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn subnormal_results_of_exp_are_within_the_stated_bounds() {
    // The reference is 2²⁰⁰ times the result, and normal.
    const UP: i32 = 200;
    let [bound32, bound64] = stated("exp, subnormal");
    let (mut worst32, mut worst64) = (0.0f64, 0.0f64);
    for x in arguments(-103.0, -87.0) {
        let error = ulp32(
            Math::exp(x as f32),
            extended::exp(f64::from(x as f32).into()).high,
        );
        assert!(error <= bound32, "{x}: {error}");
        worst32 = worst32.max(error);
    }
    for x in arguments(-745.0, -700.0) {
        let error = ulp64(Math::exp(x), extended::exp_scaled(x.into(), UP), UP);
        assert!(error <= bound64, "{x}: {error}");
        worst64 = worst64.max(error);
    }
    println!("exp, subnormal: {worst32} {worst64}");
}

#[test]
fn the_normal_distribution_at_special_points() {
    for (x, want) in [
        (0.0f32, 0.5f32),
        (-0.0, 0.5),
        (6.1, 1.0),
        (-6.1, 0.0),
        (f32::MAX, 1.0),
        (-f32::MAX, 0.0),
        (f32::INFINITY, 1.0),
        (f32::NEG_INFINITY, 0.0),
    ] {
        assert_eq!(Math::normal_cdf(x), want, "{x}");
    }
    for payload in [0x7fc0_0000u32, 0x7fc0_0001, 0xffc0_01ff] {
        assert!(Math::normal_cdf(f32::from_bits(payload)).is_nan());
    }
    // The lower tail keeps its digits, where 1 - erf has none.
    for x in arguments(-5.9, 0.0).step_by(7) {
        let x = x as f32;
        let want = 0.5 * extended::erfc((-f64::from(x) * std::f64::consts::FRAC_1_SQRT_2).into()).high;
        let error = (f64::from(Math::normal_cdf(x)) - want).abs() / want;
        assert!(error < 1e-3, "Φ({x}): {error}");
    }
}

#[test]
fn hypotenuses_of_single_floats() {
    let [bound] = stated("hypot");
    for a in arguments(-30.0, 30.0).step_by(97) {
        for b in arguments(-1e-3, 1e3).step_by(1009) {
            let (a, b) = (a as f32, b as f32);
            let (got, want) = (Math::hypot(a, b), f64::from(a).hypot(f64::from(b)));
            let error = ulp32(got, want);
            assert!(error <= bound, "hypot({a}, {b}) = {got} for {want}");
        }
    }
    let special = [
        0.0,
        -0.0,
        1.0,
        -3.0,
        3e38,
        -2e38,
        1e-40,
        -1e-45,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
    ];
    for a in special {
        for b in special {
            let (got, want) = (Math::hypot(a, b), a.hypot(b));
            assert!(
                got == want || (got.is_nan() && want.is_nan()),
                "hypot({a}, {b}) = {got} for {want}"
            );
        }
    }
}

#[test]
fn powers_of_single_floats() {
    let [bound] = stated("pow");
    let mut worst = 0.0f64;
    for base in arguments(0.0, 30.0).step_by(97) {
        for exponent in arguments(-20.0, 20.0).step_by(1009) {
            let (b, e) = (base as f32, exponent as f32);
            let want = f64::from(b).powf(f64::from(e));
            let error = ulp32(Math::pow(b, e), want);
            assert!(error <= bound, "{b}^{e} = {} for {want}", Math::pow(b, e));
            worst = worst.max(error);
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
    type Triple = (&'static str, fn(f32) -> f32, fn(f64) -> f64, fn(f64) -> f64);
    #[rustfmt::skip]
    let library: [Triple; 20] = [
        ("exp", Math::exp, Math::exp, f64::exp),
        ("exp2", Math::exp2, Math::exp2, f64::exp2),
        ("expm1", Math::expm1, Math::expm1, f64::exp_m1),
        ("log", Math::log, Math::log, f64::ln),
        ("log2", Math::log2, Math::log2, f64::log2),
        ("log10", Math::log10, Math::log10, f64::log10),
        ("log1p", Math::log1p, Math::log1p, f64::ln_1p),
        ("sin", Math::sin, Math::sin, f64::sin),
        ("cos", Math::cos, Math::cos, f64::cos),
        ("tan", Math::tan, Math::tan, f64::tan),
        ("asin", Math::asin, Math::asin, f64::asin),
        ("acos", Math::acos, Math::acos, f64::acos),
        ("atan", Math::atan, Math::atan, f64::atan),
        ("sinh", Math::sinh, Math::sinh, f64::sinh),
        ("cosh", Math::cosh, Math::cosh, f64::cosh),
        ("tanh", Math::tanh, Math::tanh, f64::tanh),
        ("asinh", Math::asinh, Math::asinh, f64::asinh),
        ("acosh", Math::acosh, Math::acosh, f64::acosh),
        ("atanh", Math::atanh, Math::atanh, f64::atanh),
        ("sigmoid", Math::sigmoid, Math::sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
    ];
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
    for (name, single, double, reference) in library {
        for x in points {
            let trigonometric = matches!(name, "sin" | "cos" | "tan");
            if trigonometric && x.abs() > f64::TRIGONOMETRIC_LIMIT && x.is_finite() {
                continue;
            }
            let (got, want) = (double(x), reference(x));
            let same = got == want || got.is_nan() && want.is_nan() || ulp64(got, want.into(), 0) <= 4.0;
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
