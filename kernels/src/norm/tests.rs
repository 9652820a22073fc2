//! Every norm against its definition, and every backward against central differences.

use super::*;
use crate::testing::same_bits_for_any_threads;

fn noise(n: usize, seed: usize) -> Vec<f64> {
    (0..n)
        .map(|i| ((i * 7919 + seed * 104_729) % 2003) as f64 / 500.0 - 2.0)
        .collect()
}

/// `Σgrad·f(values)`'s slope with respect to each value, compared with `got`.
fn check_slopes(what: &str, values: &[f64], grad: &[f64], f: impl Fn(&[f64]) -> Vec<f64>, got: &[f64]) {
    for k in (0..values.len()).step_by(1 + values.len() / 17) {
        let total = |h: f64| {
            let mut values = values.to_vec();
            values[k] += h;
            f(&values).iter().zip(grad).map(|(y, g)| y * g).sum::<f64>()
        };
        let slope = (total(1e-5) - total(-1e-5)) / 2e-5;
        assert!(
            (got[k] - slope).abs() < 1e-6 * (1.0 + slope.abs()),
            "{what} at {k}: {} for {slope}",
            got[k]
        );
    }
}

/// Normalises the elements of each group by their own mean and variance.
fn normalised(x: &[f64], group_of: impl Fn(usize) -> usize, groups: usize, eps: f64) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0, 0.0); groups];
    for (i, &x) in x.iter().enumerate() {
        sums[group_of(i)].0 += 1.0;
        sums[group_of(i)].1 += x;
    }
    for (i, &x) in x.iter().enumerate() {
        let s = &mut sums[group_of(i)];
        s.2 += (x - s.1 / s.0).powi(2);
    }
    let normal = |(i, &x): (usize, &f64)| {
        let (n, sum, squares) = sums[group_of(i)];
        (x - sum / n) / (squares / n + eps).sqrt()
    };
    x.iter().enumerate().map(normal).collect()
}

fn assert_close(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(
            (g - w).abs() < 1e-10 * (1.0 + w.abs()),
            "{what} at {i}: {g} for {w}"
        );
    }
}

#[test]
fn layer_and_rms_norm() {
    let eps = 1e-5;
    for (rows, n) in [(1, 1), (3, 7), (5, 130), (70, 400)] {
        let (x, w, b) = (noise(rows * n, 1), noise(n, 2), noise(n, 3));
        let grad = noise(rows * n, 4);
        let forward = |x: &[f64], w: &[f64], b: &[f64]| {
            let mut y = normalised(x, |i| i / n, rows, eps);
            y.iter_mut()
                .enumerate()
                .for_each(|(i, y)| *y = *y * w[i % n] + b[i % n]);
            y
        };
        let (mut out, mut mean, mut rstd) = (vec![0.0; rows * n], vec![0.0; rows], vec![0.0; rows]);
        layer_norm(&x, n, Some(&w), Some(&b), eps, &mut out, &mut mean, &mut rstd);
        assert_close("layer_norm", &out, &forward(&x, &w, &b));
        let (mut dx, mut dw, mut db) = (vec![0.0; rows * n], vec![0.0; n], vec![0.0; n]);
        layer_norm_backward(
            &grad,
            &x,
            &mean,
            &rstd,
            Some(&w),
            n,
            Some(&mut dx),
            Some(&mut dw),
            Some(&mut db),
        );
        if n > 1 {
            check_slopes("layer_norm x", &x, &grad, |x| forward(x, &w, &b), &dx);
        }
        check_slopes("layer_norm weight", &w, &grad, |w| forward(&x, w, &b), &dw);
        check_slopes("layer_norm bias", &b, &grad, |b| forward(&x, &w, b), &db);

        let rms = |x: &[f64], w: &[f64]| {
            let mut y = x.to_vec();
            for row in y.chunks_mut(n) {
                let r = 1.0 / (row.iter().map(|x| x * x).sum::<f64>() / n as f64 + eps).sqrt();
                row.iter_mut().zip(w).for_each(|(x, w)| *x *= r * w);
            }
            y
        };
        rms_norm(&x, n, Some(&w), eps, &mut out, &mut rstd);
        assert_close("rms_norm", &out, &rms(&x, &w));
        rms_norm_backward(&grad, &x, &rstd, Some(&w), n, Some(&mut dx), Some(&mut dw));
        check_slopes("rms_norm x", &x, &grad, |x| rms(x, &w), &dx);
        check_slopes("rms_norm weight", &w, &grad, |w| rms(&x, w), &dw);
    }
}

#[test]
fn group_and_instance_norm() {
    let eps = 1e-5;
    for (shape, groups) in [([2, 4, 3], 2), ([3, 6, 1], 3), ([2, 8, 300], 4), ([2, 3, 5], 3)] {
        let [batch, channels, inner] = shape;
        let len = batch * channels * inner;
        let (x, w, b, grad) = (
            noise(len, 1),
            noise(channels, 2),
            noise(channels, 3),
            noise(len, 4),
        );
        let n = channels / groups * inner;
        let forward = |x: &[f64], w: &[f64], b: &[f64]| {
            let mut y = normalised(x, |i| i / n, batch * groups, eps);
            y.iter_mut().enumerate().for_each(|(i, y)| {
                let channel = i / inner % channels;
                *y = *y * w[channel] + b[channel]
            });
            y
        };
        let (mut out, mut mean, mut rstd) = (
            vec![0.0; len],
            vec![0.0; batch * groups],
            vec![0.0; batch * groups],
        );
        group_norm(
            &x,
            shape,
            groups,
            Some(&w),
            Some(&b),
            eps,
            &mut out,
            &mut mean,
            &mut rstd,
        );
        assert_close("group_norm", &out, &forward(&x, &w, &b));
        let (mut dx, mut dw, mut db) = (vec![0.0; len], vec![0.0; channels], vec![0.0; channels]);
        group_norm_backward(
            &grad,
            &x,
            &mean,
            &rstd,
            Some(&w),
            shape,
            groups,
            Some(&mut dx),
            Some(&mut dw),
            Some(&mut db),
        );
        check_slopes("group_norm x", &x, &grad, |x| forward(x, &w, &b), &dx);
        check_slopes("group_norm weight", &w, &grad, |w| forward(&x, w, &b), &dw);
        check_slopes("group_norm bias", &b, &grad, |b| forward(&x, &w, b), &db);
    }
}

#[test]
fn batch_norm() {
    let eps = 1e-5;
    for shape in [[4, 3, 1], [70, 5, 1], [2, 3, 4], [4, 6, 900]] {
        let [batch, channels, inner] = shape;
        let len = batch * channels * inner;
        let (x, w, b, grad) = (
            noise(len, 1),
            noise(channels, 2),
            noise(channels, 3),
            noise(len, 4),
        );
        let channel = |i: usize| i / inner % channels;
        let forward = |x: &[f64], w: &[f64], b: &[f64]| {
            let mut y = normalised(x, channel, channels, eps);
            y.iter_mut()
                .enumerate()
                .for_each(|(i, y)| *y = *y * w[channel(i)] + b[channel(i)]);
            y
        };
        let mut out = vec![0.0; len];
        let [mut mean, mut var, mut rstd] = [0; 3].map(|_| vec![0.0; channels]);
        batch_norm_train(
            &x,
            shape,
            Some(&w),
            Some(&b),
            eps,
            None,
            &mut out,
            &mut mean,
            &mut var,
            &mut rstd,
        );
        assert_close("batch_norm", &out, &forward(&x, &w, &b));
        let (mut dx, mut dw, mut db) = (vec![0.0; len], vec![0.0; channels], vec![0.0; channels]);
        batch_norm_backward(
            &grad,
            &x,
            shape,
            &mean,
            &rstd,
            Some(&w),
            None,
            Some(&mut dx),
            Some(&mut dw),
            Some(&mut db),
        );
        check_slopes("batch_norm x", &x, &grad, |x| forward(x, &w, &b), &dx);
        check_slopes("batch_norm weight", &w, &grad, |w| forward(&x, w, &b), &dw);
        check_slopes("batch_norm bias", &b, &grad, |b| forward(&x, &w, b), &db);

        let (mean, var) = (noise(channels, 5), vec![0.7; channels]);
        let inference = |x: &[f64], w: &[f64], b: &[f64]| {
            let mut out = vec![0.0; x.len()];
            batch_norm_inference(x, shape, &mean, &var, Some(w), Some(b), eps, &mut out);
            out
        };
        batch_norm_inference_backward(
            &grad,
            &x,
            shape,
            &mean,
            &var,
            Some(&w),
            eps,
            Some(&mut dx),
            Some(&mut dw),
            Some(&mut db),
        );
        let want: Vec<f64> = (0..len)
            .map(|i| (x[i] - mean[channel(i)]) / (0.7f64 + eps).sqrt() * w[channel(i)] + b[channel(i)])
            .collect();
        assert_close("inference", &inference(&x, &w, &b), &want);
        check_slopes("inference x", &x, &grad, |x| inference(x, &w, &b), &dx);
        check_slopes("inference weight", &w, &grad, |w| inference(&x, w, &b), &dw);
        check_slopes("inference bias", &b, &grad, |b| inference(&x, &w, b), &db);
    }
}

/// With few threads each takes whole channels, with many they share them.
#[test]
fn batch_norm_has_the_same_bits_by_channels_and_by_planes_beside_and_in_place() {
    let shape = [4, 6, 9000];
    let [batch, channels, inner] = shape;
    let len = batch * channels * inner;
    let [x, grad] = [1, 4].map(|seed| noise(len, seed).iter().map(|&x| x as f32).collect::<Vec<_>>());
    let [w, b] = [2, 3].map(|seed| {
        noise(channels, seed)
            .iter()
            .map(|&x| x as f32)
            .collect::<Vec<_>>()
    });
    same_bits_for_any_threads(|| {
        let mut out = vec![0.0; len];
        let [mut mean, mut var, mut rstd] = [0; 3].map(|_| vec![0.0; channels]);
        batch_norm_train(
            &x,
            shape,
            Some(&w),
            Some(&b),
            1e-5,
            None,
            &mut out,
            &mut mean,
            &mut var,
            &mut rstd,
        );
        let (mut dx, [mut dw, mut db]) = (vec![0.0; len], [0; 2].map(|_| vec![0.0; channels]));
        batch_norm_backward(
            &grad,
            &x,
            shape,
            &mean,
            &rstd,
            Some(&w),
            None,
            Some(&mut dx),
            Some(&mut dw),
            Some(&mut db),
        );
        let mut in_place = grad.clone();
        let [mut dw_again, mut db_again] = [0; 2].map(|_| vec![0.0; channels]);
        batch_norm_backward_in_place(
            &mut in_place,
            &x,
            shape,
            &mean,
            &rstd,
            Some(&w),
            None,
            Some(&mut dw_again),
            Some(&mut db_again),
        );
        assert!(in_place == dx && dw_again == dw && db_again == db);
        [out, mean, var, rstd, dx, dw, db].concat()
    });
}

/// The pass that keeps limits gives the bits of a pass for the norm and one for the limits, forward and backward.
#[test]
fn batch_norm_between_limits_has_the_bits_of_two_passes() {
    for shape in [[4, 6, 9000], [2, 3, 50], [3, 2, 18]] {
        let [batch, channels, inner] = shape;
        let len = batch * channels * inner;
        let of = |n: usize, seed| noise(n, seed).iter().map(|&x| x as f32).collect::<Vec<_>>();
        let (mut x, grad, w) = (of(len, 1), of(len, 4), of(channels, 2));
        let b: Vec<f32> = of(channels, 3).iter().map(|b| b / 10.0).collect();
        for (low, high, poisoned) in [(0.0, f32::NAN, false), (-0.3, 0.7, false), (0.0, f32::NAN, true)] {
            if poisoned {
                x[0] = f32::NAN;
            }
            let limits = Clamp { low, high };
            same_bits_for_any_threads(|| {
                let [mut plain, mut out] = [0; 2].map(|_| vec![0.0; len]);
                let [mut mean, mut var, mut rstd] = [0; 3].map(|_| vec![0.0; channels]);
                for (limits, out) in [(None, &mut plain), (Some(limits), &mut out)] {
                    let (w, b) = (Some(&w[..]), Some(&b[..]));
                    batch_norm_train(&x, shape, w, b, 1e-5, limits, out, &mut mean, &mut var, &mut rstd);
                }
                for y in &mut plain {
                    *y = clamp(*y, low, high);
                }
                let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&out), bits(&plain));

                let shift = batch_norm_shift(&mean, &rstd, Some(&w), Some(&b));
                let clamped = Some(Clamped {
                    limits,
                    shift: &shift,
                });
                let passes = |(&g, &y): (&f32, &f32)| choose(y <= low || y >= high, 0.0, g);
                let passed: Vec<f32> = grad.iter().zip(&plain).map(passes).collect();
                assert!(poisoned || passed.contains(&0.0));
                let results = [(&passed, None), (&grad, clamped)].map(|(grad, clamped)| {
                    let (mut dx, [mut dw, mut db]) = (vec![0.0; len], [0; 2].map(|_| vec![0.0; channels]));
                    let outputs = (Some(&mut dx[..]), Some(&mut dw[..]), Some(&mut db[..]));
                    let (to_x, to_w, to_b) = outputs;
                    batch_norm_backward(grad, &x, shape, &mean, &rstd, Some(&w), clamped, to_x, to_w, to_b);
                    let mut in_place = grad.clone();
                    batch_norm_backward_in_place(
                        &mut in_place,
                        &x,
                        shape,
                        &mean,
                        &rstd,
                        Some(&w),
                        clamped,
                        None,
                        None,
                    );
                    assert_eq!(bits(&in_place), bits(&dx));
                    [dx, dw, db].concat()
                });
                assert_eq!(bits(&results[1]), bits(&results[0]));
                bits(&out)
                    .into_iter()
                    .chain(bits(&results[1]))
                    .map(f64::from)
                    .collect::<Vec<f64>>()
            });
        }
    }
}

#[test]
fn batch_norm_of_rows_of_channels_has_the_same_bits_beside_and_in_place() {
    let shape = [300, 40, 1];
    let (x, grad, w) = (noise(12_000, 1), noise(12_000, 4), noise(40, 2));
    let [mean, rstd] = [5, 6].map(|seed| noise(40, seed));
    let mut dx = vec![0.0; 12_000];
    batch_norm_backward(
        &grad,
        &x,
        shape,
        &mean,
        &rstd,
        Some(&w),
        None,
        Some(&mut dx),
        None,
        None,
    );
    let mut in_place = grad.clone();
    batch_norm_backward_in_place(&mut in_place, &x, shape, &mean, &rstd, Some(&w), None, None, None);
    assert_eq!(in_place, dx);
}
