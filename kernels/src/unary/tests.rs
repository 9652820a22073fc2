//! Values of the functions, and every backward against central differences.

use super::*;

fn at(op: Unary, x: f64) -> f64 {
    let mut out = [0.0];
    unary(op, &[x], &mut out);
    out[0]
}

/// Functions with points inside their smooth domain.
fn smooth() -> Vec<(Unary, Vec<f64>)> {
    use Unary::*;
    let anywhere = vec![-2.7, -1.3, -0.4, 0.3, 0.8, 2.2, 4.7];
    let positive = vec![0.2, 0.9, 1.7, 5.5];
    let inside = vec![-0.8, -0.3, 0.1, 0.6];
    let all = [
        Neg,
        Abs,
        Sign,
        Square,
        Cube,
        Exp,
        Exp2,
        Expm1,
        Sin,
        Cos,
        Tan,
        Atan,
        Sinh,
        Cosh,
        Tanh,
        Asinh,
        Erf,
        Erfc,
        Sigmoid,
        LogSigmoid,
        Relu,
        LeakyRelu(0.1),
        Elu {
            alpha: 1.3,
            scale: 0.9,
            input_scale: 0.7,
        },
        Gelu,
        GeluTanh,
        Silu,
        Mish,
        Softplus {
            beta: 1.5,
            threshold: 4.0,
        },
        Hardtanh(-1.0, 2.0),
        Hardsigmoid,
        Hardswish,
        Hardshrink(0.5),
        Softshrink(0.5),
        Threshold(0.5, 9.0),
        Softsign,
        Tanhshrink,
        Floor,
        Ceil,
        Round,
        RoundDecimals(1),
        Trunc,
        Frac,
        Clamp(-1.0, 1.0),
        PowScalar(3.0),
        PowScalar(2.0),
        PowScalar(0.0),
        RpowScalar(1.7),
        AddScalar(2.0),
        RsubScalar(2.0),
        MulScalar(-3.0),
        DivScalar(7.0),
        RdivScalar(2.0),
        Reciprocal,
        ReciprocalSquare,
    ];
    let mut table: Vec<_> = all.into_iter().map(|op| (op, anywhere.clone())).collect();
    for op in [
        Sqrt,
        Rsqrt,
        Log,
        Log2,
        Log10,
        Log1p,
        PowScalar(2.5),
        PowScalar(-0.5),
    ] {
        table.push((op, positive.clone()));
    }
    for op in [Asin, Acos, Atanh] {
        table.push((op, inside.clone()));
    }
    table.push((Acosh, vec![1.1, 2.0, 6.0]));
    table
}

#[test]
fn every_backward_is_the_slope() {
    for (op, points) in smooth() {
        for &x in &points {
            let h = 1e-6;
            let slope = (at(op, x + h) - at(op, x - h)) / (2.0 * h);
            let (y, mut out) = (at(op, x), [0.0]);
            let (xs, ys): (&[f64], &[f64]) = match op.backward_needs() {
                Needs::Nothing => (&[], &[]),
                Needs::Input => (&[x], &[]),
                Needs::Output => (&[], &[y]),
            };
            unary_backward(op, xs, ys, &[1.7], &mut out);
            let error = (out[0] - 1.7 * slope).abs();
            assert!(
                error <= 1e-7 * (1.0 + slope.abs()),
                "{op:?} at {x}: {} for {}",
                out[0],
                1.7 * slope
            );
        }
    }
}

#[test]
fn single_precision_and_in_place_agree() {
    for (op, points) in smooth() {
        let x: Vec<f32> = points.iter().map(|&x| x as f32).collect();
        let (mut out, mut in_place) = (vec![0.0; x.len()], x.clone());
        unary(op, &x, &mut out);
        unary_in_place(op, &mut in_place);
        assert_eq!(out, in_place, "{op:?}");
        for (&x, &y) in x.iter().zip(&out) {
            let want = at(op, x as f64);
            assert!(
                (y as f64 - want).abs() <= 4e-6 * want.abs().max(1.0),
                "{op:?} at {x}: {y} for {want}"
            );
        }
    }
}

#[test]
fn gradients_in_place_have_the_bits_of_those_beside() {
    for (op, points) in smooth() {
        let values: Vec<f32> = points.iter().cycle().take(5000).map(|&x| x as f32).collect();
        let mut saved = values.clone();
        if op.backward_needs() == Needs::Output {
            unary(op, &values, &mut saved);
        }
        let grad: Vec<f32> = (0..5000).map(|i| i as f32 * 0.01 - 20.0).collect();
        let (mut out, mut in_place) = (vec![0.0; 5000], grad.clone());
        unary_backward(op, &saved, &saved, &grad, &mut out);
        unary_backward_in_place(op, &saved, &mut in_place);
        assert_eq!(in_place, out, "{op:?}");
    }
}

#[test]
fn nan_stays_nan() {
    for (op, _) in smooth() {
        if matches!(op, Unary::Sign | Unary::PowScalar(0.0)) {
            continue;
        }
        assert!(at(op, f64::NAN).is_nan(), "{op:?}");
        let mut out = [0.0f32; 20];
        unary(op, &[f32::NAN; 20], &mut out);
        assert!(out.iter().all(|y| y.is_nan()), "{op:?}");
    }
}

#[test]
fn special_values() {
    assert_eq!(at(Unary::Round, 2.5), 2.0);
    assert_eq!(at(Unary::RoundDecimals(-2), 250.0), 200.0);
    assert_eq!(at(Unary::RoundDecimals(2), 1.005), 1.0);
    assert_eq!(at(Unary::Frac, -1.5), -0.5);
    assert!(at(Unary::Relu, -0.0).is_sign_negative());
    assert_eq!(at(Unary::Clamp(f64::NEG_INFINITY, 3.0), 5.0), 3.0);
    assert_eq!(
        at(
            Unary::Softplus {
                beta: 1.0,
                threshold: 20.0
            },
            1000.0
        ),
        1000.0
    );
    assert_eq!(at(Unary::LogSigmoid, -1000.0), -1000.0);
    assert_eq!(
        at(
            Unary::Elu {
                alpha: 1.0,
                scale: 1.0,
                input_scale: 1.0
            },
            f64::NEG_INFINITY
        ),
        -1.0
    );
    assert_eq!(at(Unary::Gelu, 40.0), 40.0);
    // A parameter is rounded to the element type first.
    let mut out = [0.0f32];
    unary(Unary::MulScalar(0.1), &[3.0], &mut out);
    assert_eq!(out[0], 3.0 * 0.1f32);
}

#[test]
fn arguments_of_any_size() {
    for x in [1e14, -3e20, 1e300] {
        assert_eq!(at(Unary::Sin, x), x.sin());
        assert_eq!(at(Unary::Tan, x), x.tan());
        let mut slope = [0.0];
        unary_backward(Unary::Cos, &[x], &[], &[2.0], &mut slope);
        assert_eq!(slope[0], -2.0 * x.sin());
    }
}

#[test]
fn tests_and_integers() {
    let x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1.0];
    let mut out = [9; 5];
    for (what, want) in [
        (Test::Nan, [1, 0, 0, 0, 0]),
        (Test::Infinite, [0, 1, 1, 0, 0]),
        (Test::Finite, [0, 0, 0, 1, 1]),
        (Test::PositiveInfinite, [0, 1, 0, 0, 0]),
        (Test::NegativeInfinite, [0, 0, 1, 0, 0]),
    ] {
        test(what, &x, &mut out);
        assert_eq!(out, want, "{what:?}");
    }
    let int = |op, x: i8| {
        let mut out = [0];
        unary_int(op, &[x], &mut out);
        out[0]
    };
    assert_eq!(int(UnaryInt::Abs, -128), -128);
    assert_eq!(int(UnaryInt::Neg, 5), -5);
    assert_eq!(int(UnaryInt::Not, 5), -6);
    assert_eq!(int(UnaryInt::AddScalar(300), 1), 45);
    assert_eq!(int(UnaryInt::Clamp(-3, 400), 100), 100);
    assert_eq!(int(UnaryInt::Sign, -7), -1);
}

#[test]
fn long_inputs_are_split() {
    let x: Vec<f32> = (0..100_003).map(|i| i as f32).collect();
    let mut out = vec![0.0; x.len()];
    unary(Unary::AddScalar(1.0), &x, &mut out);
    assert!(out.iter().enumerate().all(|(i, &y)| y == i as f32 + 1.0));
}
