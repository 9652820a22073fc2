//! Blocked convolutions and pools against plain ones, for every instruction set.

use super::*;
use crate::conv::{ConvShape, Finish, Tail, conv_forward};
use crate::pooling::{AvgOptions, Window, avg_pool, max_pool_values};
use crate::testing::{Lcg, assert_close, for_every_isa, same_bits_for_any_threads};

/// Size, kernel, stride, padding, dilation of one dimension.
type Dim = (usize, usize, usize, usize, usize);

fn shape(batch: usize, channels: [usize; 2], groups: usize, [h, w]: [Dim; 2]) -> ConvShape {
    let dims = [(1, 1, 1, 0, 1), h, w];
    ConvShape {
        batch,
        in_channels: channels[0],
        out_channels: channels[1],
        groups,
        input: dims.map(|d| d.0),
        kernel: dims.map(|d| d.1),
        stride: dims.map(|d| d.2),
        padding: dims.map(|d| d.3),
        dilation: dims.map(|d| d.4),
        output: dims.map(|d| ConvShape::output_size(d.0, d.1, d.2, [d.3; 2], d.4).unwrap()),
    }
}

fn shapes() -> Vec<ConvShape> {
    let square = |size, kernel, stride, padding| [(size, kernel, stride, padding, 1); 2];
    vec![
        // Few channels.
        shape(2, [3, 24], 1, square(30, 7, 2, 3)),
        shape(1, [1, 5], 1, square(9, 3, 1, 1)),
        shape(3, [15, 33], 1, [(8, 3, 1, 0, 2), (11, 2, 3, 1, 1)]),
        // Pointwise.
        shape(2, [16, 16], 1, square(7, 1, 1, 0)),
        shape(3, [40, 72], 1, square(9, 1, 1, 0)),
        shape(1, [300, 10], 1, [(1, 1, 1, 0, 1); 2]),
        shape(1, [270, 72], 1, square(5, 1, 1, 0)),
        shape(2, [64, 64], 2, square(6, 1, 1, 0)),
        // Spatial.
        shape(2, [16, 48], 1, square(5, 3, 1, 1)),
        shape(2, [20, 35], 1, square(15, 3, 2, 1)),
        shape(1, [24, 16], 1, square(13, 1, 2, 0)),
        shape(1, [17, 50], 1, [(12, 3, 1, 4, 1), (9, 5, 3, 2, 2)]),
        shape(2, [32, 32], 1, [(10, 1, 3, 1, 1), (11, 7, 1, 3, 1)]),
        shape(2, [64, 32], 2, square(7, 3, 1, 1)),
        shape(1, [32, 40], 1, square(28, 3, 2, 1)),
        shape(2, [20, 72], 1, [(28, 3, 4, 1, 2), (30, 2, 4, 3, 3)]),
        // Winograd's algorithm.
        shape(1, [32, 64], 1, square(16, 3, 1, 1)),
        shape(3, [33, 40], 1, [(10, 3, 1, 0, 1), (14, 3, 1, 2, 1)]),
        shape(5, [48, 130], 1, square(9, 3, 1, 1)),
        // Every channel by itself.
        shape(2, [32, 32], 32, square(19, 3, 1, 1)),
        shape(2, [24, 24], 24, square(14, 5, 2, 2)),
        shape(1, [7, 7], 7, [(9, 3, 1, 1, 2), (40, 3, 3, 0, 1)]),
        // Windows that are never inside as a whole, or not at all.
        shape(2, [20, 20], 20, [(3, 5, 1, 4, 1), (4, 7, 2, 5, 1)]),
        shape(1, [16, 16], 16, [(6, 2, 1, 3, 1), (5, 2, 3, 4, 3)]),
    ]
}

fn blocked(batch: usize, channels: usize, plane: usize, x: &[f32]) -> Vec<f32> {
    let mut out = vec![f32::NAN; blocked_len(batch, channels, plane)];
    to_blocked(batch, channels, plane, x, &mut out);
    out
}

fn plain(batch: usize, channels: usize, plane: usize, x: &[f32]) -> Vec<f32> {
    let mut out = vec![f32::NAN; batch * channels * plane];
    from_blocked(batch, channels, plane, x, &mut out);
    out
}

/// A blocked convolution of plain images, to plain ones.
fn run(
    s: &ConvShape,
    x: &[f32],
    w: &[f32],
    bias: &[f32],
    residual: Option<&[f32]>,
    finish: Finish,
) -> Vec<f32> {
    let conv = Conv::new(s, w, Some(bias)).unwrap();
    let x = if conv.reads_plain() {
        x.to_vec()
    } else {
        blocked(s.batch, s.in_channels, s.in_plane(), x)
    };
    let residual = residual.map(|r| blocked(s.batch, s.out_channels, s.out_plane(), r));
    let mut out = vec![f32::NAN; conv.output_len(s.batch)];
    conv.forward(s.batch, &x, residual.as_deref(), finish, &mut out);
    plain(s.batch, s.out_channels, s.out_plane(), &out)
}

#[test]
fn convolutions_equal_plain_ones() {
    let mut random = Lcg::new(1);
    for s in shapes() {
        let x = random.vec::<f32>(s.input_len());
        let w = random.vec::<f32>(s.weight_len());
        let bias = random.vec::<f32>(s.out_channels);
        let residual = random.vec::<f32>(s.output_len());
        let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        for_every_isa(|| {
            let mut want = vec![0.0; s.output_len()];
            conv_forward(
                &s,
                &wide(&x),
                &wide(&w),
                &Tail::bias(Some(&wide(&bias))),
                &mut want,
            );
            // As far as sums in another order may go, and Winograd's algorithm.
            let largest = want.iter().fold(1.0, |a: f64, b| a.max(b.abs()));
            let winograd = Conv::new(&s, &w, None).is_some_and(|c| c.is_winograd());
            let tolerance = if winograd { 2e-5 } else { 1e-6 } * largest;
            assert_close(&run(&s, &x, &w, &bias, None, Finish::NONE), &want, tolerance);
            let sums: Vec<f64> = want
                .iter()
                .zip(&residual)
                .map(|(a, &b)| a + f64::from(b))
                .collect();
            let relu: Vec<f64> = sums.iter().map(|x| x.max(0.0)).collect();
            assert_close(
                &run(&s, &x, &w, &bias, Some(&residual), Finish::RELU),
                &relu,
                tolerance,
            );
            let double = Finish::Function(|x| x.iter_mut().for_each(|x| *x *= 2.0));
            let twice: Vec<f64> = sums.iter().map(|x| 2.0 * x).collect();
            assert_close(
                &run(&s, &x, &w, &bias, Some(&residual), double),
                &twice,
                2.0 * tolerance,
            );
        });
    }
}

#[test]
fn threads_do_not_change_bits() {
    let mut random = Lcg::new(2);
    for s in shapes() {
        let (x, w) = (
            random.vec::<f32>(s.input_len()),
            random.vec::<f32>(s.weight_len()),
        );
        let bias = random.vec::<f32>(s.out_channels);
        same_bits_for_any_threads(|| run(&s, &x, &w, &bias, None, Finish::NONE));
    }
}

#[test]
fn not_a_number_stays_one() {
    for s in shapes() {
        let x = vec![f32::NAN; s.input_len()];
        let (w, bias) = (vec![1.0; s.weight_len()], vec![0.0; s.out_channels]);
        for_every_isa(|| {
            let out = run(&s, &x, &w, &bias, None, Finish::Clamp { low: 0.0, high: 6.0 });
            // Outputs that read padding alone are 0.
            assert!(out.iter().all(|x| x.is_nan() || *x == 0.0) && out.iter().any(|x| x.is_nan()));
        });
    }
}

#[test]
fn what_has_no_blocked_form_is_refused() {
    let square = [(9, 3, 1, 1, 1); 2];
    for s in [shape(1, [8, 8], 4, square), shape(1, [8, 16], 8, square)] {
        assert!(Conv::new(&s, &vec![0.0; s.weight_len()], None).is_none());
    }
    let mut volume = shape(1, [16, 16], 1, square);
    (volume.input[0], volume.output[0]) = (2, 2);
    assert!(Conv::new(&volume, &vec![0.0; volume.weight_len()], None).is_none());
}

#[test]
fn layouts_are_inverses() {
    let mut random = Lcg::new(3);
    for (batch, channels, plane) in [(1, 1, 1), (2, 16, 49), (3, 35, 1000), (1, 100, 7), (2, 3, 600)] {
        let x = random.vec::<f32>(batch * channels * plane);
        for_every_isa(|| {
            let there = blocked(batch, channels, plane, &x);
            for (i, value) in there.iter().enumerate() {
                let (rest, lane) = (i / BLOCK, i % BLOCK);
                let (rest, position) = (rest / plane, rest % plane);
                let blocks = channels.div_ceil(BLOCK);
                let channel = rest % blocks * BLOCK + lane;
                let want = if channel < channels {
                    x[(rest / blocks * channels + channel) * plane + position]
                } else {
                    0.0
                };
                assert_eq!(*value, want);
            }
            assert_eq!(plain(batch, channels, plane, &there), x);
        });
    }
}

#[test]
fn pools_equal_plain_ones() {
    let mut random = Lcg::new(4);
    let window = |input: [usize; 2], k: usize, s: usize, p: usize, d: usize| {
        let size = |n: usize| ConvShape::output_size(n, k, s, [p; 2], d).unwrap();
        Window {
            input: [1, input[0], input[1]],
            output: [1, size(input[0]), size(input[1])],
            kernel: [1, k, k],
            stride: [1, s, s],
            padding: [0, p, p],
            dilation: [1, d, d],
        }
    };
    let without_padding = AvgOptions {
        count_include_pad: false,
        divisor_override: None,
    };
    for (w, average) in [
        (window([14, 11], 3, 2, 1, 1), None),
        (window([8, 8], 2, 2, 0, 1), Some(AvgOptions::default())),
        (window([9, 7], 3, 1, 1, 2), None),
        (window([5, 6], 3, 1, 1, 1), Some(AvgOptions::default())),
        (window([5, 6], 3, 2, 1, 1), Some(without_padding)),
    ] {
        let (batch, channels) = (2, 19);
        let [ins, outs] = [w.input, w.output].map(|n| n[1] * n[2]);
        let mut x = random.vec::<f32>(batch * channels * ins);
        x[37] = f32::NAN;
        for_every_isa(|| {
            let mut out = vec![f32::NAN; blocked_len(batch, channels, outs)];
            let planes = batch * channels.div_ceil(BLOCK);
            pool(&w, average, planes, &blocked(batch, channels, ins, &x), &mut out);
            let mut want = vec![f32::NAN; batch * channels * outs];
            match average {
                Some(options) => avg_pool(&x, &mut want, &w, options),
                None => max_pool_values(&x, &mut want, &w),
            }
            for (i, (got, want)) in plain(batch, channels, outs, &out)
                .into_iter()
                .zip(want)
                .enumerate()
            {
                let close = (got - want).abs() <= 1e-6 || got.is_nan() && want.is_nan();
                assert!(close, "element {i}: {got}, not {want}");
            }
            let mut means = vec![f32::NAN; blocked_len(batch, channels, 1)];
            super::average(
                batch,
                channels,
                ins,
                &blocked(batch, channels, ins, &x),
                &mut means,
            );
            let means = plain(batch, channels, 1, &means);
            for (plane, &got) in x.chunks_exact(ins).zip(&means) {
                let want = plane.iter().map(|&x| f64::from(x)).sum::<f64>() / ins as f64;
                assert!((f64::from(got) - want).abs() < 1e-6 || got.is_nan() && want.is_nan());
            }
        });
    }
}
