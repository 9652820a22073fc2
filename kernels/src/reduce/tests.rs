//! Reductions against a reference that visits every index.

use super::*;
use crate::view::extent;

/// For each kept index in row-major order, the reduced elements in row-major order.
fn groups<T: Copy>(data: &[T], shape: &[usize], strides: &[usize], reduced: &[bool]) -> Vec<Vec<T>> {
    let offsets = |which: bool| {
        let mut offsets = vec![0];
        for d in (0..shape.len()).filter(|&d| reduced[d] == which) {
            offsets = offsets
                .iter()
                .flat_map(|&o| (0..shape[d]).map(move |i| o + i * strides[d]))
                .collect();
        }
        offsets
    };
    offsets(false)
        .iter()
        .map(|&k| offsets(true).iter().map(|&r| data[k + r]).collect())
        .collect()
}

/// Deterministic values between -1 and 1.
fn noise(n: usize) -> Vec<f64> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect()
}

type Layout = (&'static [usize], &'static [usize], &'static [bool]);

const LAYOUTS: [Layout; 14] = [
    (&[5], &[1], &[true]),
    (&[5], &[1], &[false]),
    (&[], &[], &[]),
    (&[3, 1000], &[1000, 1], &[false, true]),
    (&[1000, 3], &[3, 1], &[true, false]),
    (&[300, 700], &[700, 1], &[true, false]),
    (&[300, 700], &[700, 1], &[true, true]),
    (&[300, 700], &[1, 300], &[true, false]),
    (&[300, 700], &[1, 300], &[false, true]),
    (&[8, 5, 30, 20], &[3000, 600, 20, 1], &[true, false, true, true]),
    (&[8, 5, 30, 20], &[3000, 600, 20, 1], &[false, true, false, true]),
    (&[8, 5, 30, 20], &[3000, 600, 20, 1], &[true, false, true, false]),
    (&[7, 200, 3], &[0, 3, 1], &[true, false, false]),
    (&[9, 11, 13], &[1, 9, 99], &[false, true, false]),
];

fn check(op: Reduce, reference: impl Fn(&[f64]) -> f64) {
    for (shape, strides, reduced) in LAYOUTS {
        let data = noise(extent(shape, strides));
        let single: Vec<f32> = data.iter().map(|&x| x as f32).collect();
        let expected: Vec<f64> = groups(&data, shape, strides, reduced)
            .iter()
            .map(|g| reference(g))
            .collect();
        let mut out = vec![0.0; expected.len()];
        reduce(
            op,
            View {
                data: &data,
                shape,
                strides,
            },
            reduced,
            &mut out,
        );
        let mut out32 = vec![0f32; expected.len()];
        reduce(
            op,
            View {
                data: &single,
                shape,
                strides,
            },
            reduced,
            &mut out32,
        );
        for ((&got, &got32), &want) in out.iter().zip(&out32).zip(&expected) {
            let size = want.abs().max(1.0);
            assert!(
                (got - want).abs() <= 1e-12 * size,
                "{op:?} {shape:?} {reduced:?}: {got} for {want}"
            );
            assert!(
                (got32 as f64 - want).abs() <= 1e-5 * size,
                "{op:?} {shape:?} {reduced:?}: {got32} for {want}"
            );
        }
    }
}

#[test]
fn sums_and_norms() {
    check(Reduce::Sum, |g| g.iter().sum());
    check(Reduce::Mean, |g| g.iter().sum::<f64>() / g.len() as f64);
    check(Reduce::SumSquares, |g| g.iter().map(|x| x * x).sum());
    check(Reduce::AbsSum, |g| g.iter().map(|x| x.abs()).sum());
    check(Reduce::PowSum(3.0), |g| g.iter().map(|x| x.abs().powi(3)).sum());
    check(Reduce::Norm(2.0), |g| g.iter().map(|x| x * x).sum::<f64>().sqrt());
    check(Reduce::Norm(0.0), |g| {
        g.iter().filter(|&&x| x != 0.0).count() as f64
    });
    check(Reduce::LogSumExp, |g| g.iter().map(|x| x.exp()).sum::<f64>().ln());
}

#[test]
fn extremes_and_products() {
    check(Reduce::Max, |g| {
        g.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b))
    });
    check(Reduce::Min, |g| g.iter().fold(f64::INFINITY, |a, &b| a.min(b)));
    check(Reduce::AbsMax, |g| g.iter().fold(0.0, |a, &b| a.max(b.abs())));
    check(Reduce::AbsMin, |g| {
        g.iter().fold(f64::INFINITY, |a, &b| a.min(b.abs()))
    });
    check(Reduce::Prod, |g| g.iter().product());
}

#[test]
fn moments() {
    for (shape, strides, reduced) in LAYOUTS {
        // A mean far from 0 is where one-pass formulas lose their digits.
        let data: Vec<f64> = noise(extent(shape, strides)).iter().map(|x| x + 1e4).collect();
        let groups = groups(&data, shape, strides, reduced);
        let (mut var, mut mean) = (vec![0.0; groups.len()], vec![0.0; groups.len()]);
        var_mean(
            View {
                data: &data,
                shape,
                strides,
            },
            reduced,
            0.0,
            &mut var,
            &mut mean,
        );
        for ((v, m), group) in var.iter().zip(&mean).zip(&groups) {
            let n = group.len() as f64;
            let want = group.iter().sum::<f64>() / n;
            let squares = group.iter().map(|x| (x - want) * (x - want)).sum::<f64>() / n;
            assert!(
                (m - want).abs() < 1e-10 && (v - squares).abs() < 1e-10,
                "{shape:?}: {m} {want} {v} {squares}"
            );
        }
    }
    let (mut var, mut mean) = ([0.0f32], [0.0f32]);
    var_mean(
        View {
            data: &[1.0],
            shape: &[1],
            strides: &[1],
        },
        &[true],
        1.0,
        &mut var,
        &mut mean,
    );
    assert!(var[0].is_nan() && mean[0] == 1.0);
}

#[test]
fn a_long_sum_of_floats_is_exact_to_1e_6() {
    let n = 10_000_000;
    let x = vec![0.1f32; n];
    let mut out = [0.0];
    reduce(
        Reduce::Sum,
        View {
            data: &x,
            shape: &[n],
            strides: &[1],
        },
        &[true],
        &mut out,
    );
    assert!((out[0] / (0.1f32 as f64 * n as f64) as f32 - 1.0).abs() < 1e-6);
    let mut columns = [0.0; 4];
    reduce(
        Reduce::Sum,
        View {
            data: &x,
            shape: &[n / 4, 4],
            strides: &[4, 1],
        },
        &[true, false],
        &mut columns,
    );
    assert!(
        columns
            .iter()
            .all(|&s| (s / (0.1f32 as f64 * n as f64 / 4.0) as f32 - 1.0).abs() < 1e-6)
    );
}

#[test]
fn extremes_have_their_first_index_and_nan_wins() {
    let data = [1.0f32, 5.0, 5.0, 0.0, f32::NAN, 7.0, f32::NAN, 7.0];
    for (shape, strides) in [([2, 4], [4, 1]), ([4, 2], [1, 4])] {
        let dim = if shape[0] == 2 { 1 } else { 0 };
        let (mut values, mut indices) = ([0.0; 2], [0; 2]);
        let x = View {
            data: &data,
            shape: &shape,
            strides: &strides,
        };
        extreme_with_index(Extreme::Max, x, dim, &mut values, &mut indices);
        assert_eq!((values[0], indices), (5.0, [1, 0]));
        assert!(values[1].is_nan());
        extreme_with_index(Extreme::Min, x, dim, &mut values, &mut indices);
        assert_eq!((values[0], indices), (0.0, [3, 0]));
    }
    let columns: Vec<i64> = (0..3000).map(|i| (i * 7919) % 1013).collect();
    let (mut values, mut indices) = (vec![0; 1000], vec![0; 1000]);
    let x = View {
        data: &columns,
        shape: &[3, 1000],
        strides: &[1000, 1],
    };
    extreme_with_index(Extreme::Max, x, 0, &mut values, &mut indices);
    for j in 0..1000 {
        let best = (0..3).map(|i| columns[i * 1000 + j]).max().unwrap();
        assert_eq!((values[j], columns[indices[j] as usize * 1000 + j]), (best, best));
    }
}

#[test]
fn integers_and_counts() {
    let data: Vec<u8> = (0..=255).collect();
    let x = View {
        data: &data,
        shape: &[2, 128],
        strides: &[128, 1],
    };
    let (mut sums, mut counts, mut flags) = ([0; 2], [0; 2], [9; 2]);
    reduce_int(ReduceInt::Sum, x, &[false, true], &mut sums);
    assert_eq!(sums, [8128, 24512]);
    count_nonzero(x, &[false, true], &mut counts);
    assert_eq!(counts, [127, 128]);
    all(x, &[false, true], &mut flags);
    assert_eq!(flags, [0, 1]);
    any(x, &[false, true], &mut flags);
    assert_eq!(flags, [1, 1]);
    let none = View {
        data: &data[..0],
        shape: &[0, 2],
        strides: &[2, 1],
    };
    all(none, &[true, false], &mut flags);
    assert_eq!(flags, [1, 1]);
    let mut product = [0; 2];
    reduce_int(ReduceInt::Prod, none, &[true, false], &mut product);
    assert_eq!(product, [1, 1]);
}

#[test]
fn infinite_values_don_t_become_nan_in_log_sum_exp() {
    let mut out = [0.0f64];
    for (data, want) in [
        (vec![f64::NEG_INFINITY; 3], f64::NEG_INFINITY),
        (vec![1.0, f64::INFINITY], f64::INFINITY),
        (vec![f64::NEG_INFINITY, 2.0], 2.0),
    ] {
        let x = View {
            data: &data,
            shape: &[data.len()],
            strides: &[1],
        };
        reduce(Reduce::LogSumExp, x, &[true], &mut out);
        assert_eq!(out[0], want);
    }
}
