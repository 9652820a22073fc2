//! Convolutions and their gradients against plain loops, for every instruction set.

use super::*;
use crate::testing::{Lcg, assert_close, for_every_isa, same_bits_for_any_threads};

/// Calls `f(output index, input index, weight index)` for every multiplication.
fn for_each_product(s: &ConvShape, mut f: impl FnMut(usize, usize, usize)) {
    let (inputs, outputs) = (s.group_inputs(), s.group_outputs());
    for n in 0..s.batch {
        for o in 0..s.out_channels {
            for p in 0..s.out_plane() {
                let position = [
                    p / (s.output[1] * s.output[2]),
                    p / s.output[2] % s.output[1],
                    p % s.output[2],
                ];
                for c in 0..inputs {
                    for t in 0..s.taps() {
                        let tap = [
                            t / (s.kernel[1] * s.kernel[2]),
                            t / s.kernel[2] % s.kernel[1],
                            t % s.kernel[2],
                        ];
                        let at: [isize; 3] = std::array::from_fn(|d| {
                            (position[d] * s.stride[d] + tap[d] * s.dilation[d]) as isize
                                - s.padding[d] as isize
                        });
                        if (0..3).all(|d| at[d] >= 0 && at[d] < s.input[d] as isize) {
                            let at = at.map(|x| x as usize);
                            let channel = o / outputs * inputs + c;
                            f(
                                (n * s.out_channels + o) * s.out_plane() + p,
                                (n * s.in_channels + channel) * s.in_plane()
                                    + (at[0] * s.input[1] + at[1]) * s.input[2]
                                    + at[2],
                                (o * inputs + c) * s.taps() + t,
                            );
                        }
                    }
                }
            }
        }
    }
}

/// One dimension: input, kernel, stride, padding before and behind, dilation.
type Dim = (usize, usize, usize, usize, usize, usize);

fn shape(batch: usize, channels: [usize; 2], groups: usize, dims: [Dim; 3]) -> ConvShape {
    ConvShape {
        batch,
        in_channels: channels[0],
        out_channels: channels[1],
        groups,
        input: dims.map(|d| d.0),
        kernel: dims.map(|d| d.1),
        stride: dims.map(|d| d.2),
        padding: dims.map(|d| d.3),
        dilation: dims.map(|d| d.5),
        output: dims.map(|d| ConvShape::output_size(d.0, d.1, d.2, [d.3, d.4], d.5).unwrap()),
    }
}

const ONE: Dim = (1, 1, 1, 0, 0, 1);

fn shapes() -> Vec<ConvShape> {
    let square = |size, kernel, stride, padding| {
        let d = (size, kernel, stride, padding, padding, 1);
        [ONE, d, d]
    };
    vec![
        shape(2, [3, 5], 1, [ONE, ONE, (17, 3, 1, 1, 1, 1)]),
        shape(1, [4, 6], 2, [ONE, ONE, (100, 5, 3, 2, 0, 2)]),
        shape(3, [1, 2], 1, [ONE, ONE, (7, 7, 1, 0, 0, 1)]),
        shape(2, [3, 4], 1, square(9, 3, 1, 1)),
        shape(2, [5, 17], 1, square(13, 3, 1, 1)),
        shape(3, [16, 16], 1, square(7, 3, 1, 1)),
        shape(1, [8, 9], 1, square(33, 3, 1, 0)),
        shape(2, [9, 8], 1, square(20, 3, 1, 2)),
        shape(2, [3, 8], 1, square(30, 7, 2, 3)),
        shape(2, [6, 4], 1, square(15, 3, 2, 1)),
        shape(2, [6, 7], 1, square(8, 1, 1, 0)),
        shape(2, [6, 7], 1, square(9, 1, 2, 0)),
        shape(1, [3, 10], 1, square(16, 4, 4, 0)),
        shape(2, [2, 3], 1, [ONE, (12, 3, 2, 0, 2, 2), (11, 2, 3, 1, 0, 3)]),
        shape(1, [8, 12], 4, square(10, 3, 1, 1)),
        shape(2, [6, 6], 6, square(19, 3, 1, 1)),
        shape(2, [6, 6], 6, square(35, 3, 2, 1)),
        shape(2, [4, 8], 4, square(12, 5, 3, 2)),
        shape(
            2,
            [2, 3],
            1,
            [(5, 3, 1, 1, 1, 1), (6, 2, 2, 0, 1, 1), (7, 3, 1, 1, 1, 2)],
        ),
        shape(
            1,
            [3, 3],
            3,
            [(6, 2, 2, 1, 0, 1), (5, 3, 1, 1, 1, 1), (9, 3, 2, 1, 1, 1)],
        ),
        shape(2, [3, 2], 1, square(2, 1, 3, 3)),
        // Several blocks of the inner dimension, and images whose ends tiles cross.
        shape(3, [50, 20], 1, square(5, 3, 1, 1)),
        shape(2, [450, 70], 1, square(3, 1, 1, 0)),
        shape(2, [2, 16], 1, square(19, 5, 2, 2)),
        shape(
            2,
            [2, 20],
            2,
            [(3, 2, 1, 0, 1, 1), (7, 3, 1, 1, 1, 1), (9, 3, 3, 1, 0, 1)],
        ),
        // Vectors that run on from tap to tap, and more of them than one tile has.
        shape(5, [3, 21], 1, square(23, 7, 2, 3)),
        shape(3, [20, 9], 1, square(10, 3, 1, 1)),
        shape(2, [1, 13], 1, square(30, 5, 1, 2)),
        // Panels that are partly empty, several row panels, and dilation in place of neighbours.
        shape(2, [37, 70], 1, square(8, 3, 2, 1)),
        shape(1, [33, 18], 1, [ONE, (12, 3, 1, 3, 1, 2), (13, 3, 2, 2, 2, 3)]),
        shape(4, [34, 50], 2, square(9, 2, 1, 0)),
        shape(2, [65, 9], 1, square(11, 1, 3, 2)),
        // Rows that are cut, and rows of the input that nothing reads.
        shape(2, [17, 12], 1, [ONE, (4, 1, 3, 0, 0, 1), (1000, 5, 1, 2, 2, 1)]),
        shape(
            1,
            [16, 10],
            1,
            [(7, 1, 2, 1, 1, 1), (6, 3, 1, 4, 4, 1), (5, 1, 1, 0, 3, 1)],
        ),
        shape(0, [3, 2], 1, square(5, 3, 1, 1)),
        shape(2, [0, 2], 1, square(5, 3, 1, 1)),
    ]
}

fn convolutions_match<T: Real>(shapes: &[ConvShape], tolerance: f64) {
    let mut random = Lcg::new(7);
    for &s in shapes {
        let (x, w) = (random.vec::<T>(s.input_len()), random.vec::<T>(s.weight_len()));
        let (bias, grad) = (random.vec::<T>(s.out_channels), random.vec::<T>(s.output_len()));
        let plane = s.out_plane();
        let mut want: Vec<f64> = (0..s.output_len())
            .map(|i| bias[i / plane % s.out_channels].to_f64())
            .collect();
        let (mut want_x, mut want_w) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        for_each_product(&s, |o, i, t| {
            want[o] += x[i].to_f64() * w[t].to_f64();
            want_x[i] += grad[o].to_f64() * w[t].to_f64();
            want_w[t] += grad[o].to_f64() * x[i].to_f64();
        });
        let nan = T::from_f64(f64::NAN);
        let mut out = vec![nan; want.len()];
        conv_forward(&s, &x, &w, &Tail::bias(Some(&bias)), &mut out);
        assert_close(&out, &want, tolerance);
        let mut grad_x = vec![nan; x.len()];
        conv_backward_input(&s, &grad, &w, &mut grad_x);
        assert_close(&grad_x, &want_x, tolerance);
        let mut grad_w = vec![nan; w.len()];
        conv_backward_weight(&s, &x, &grad, &mut grad_w);
        assert_close(&grad_w, &want_w, tolerance * 10.0);
        let mut grad_bias = vec![nan; bias.len()];
        conv_backward_bias(&s, &grad, &mut grad_bias);
        let mut want_bias = vec![0.0; bias.len()];
        grad.iter()
            .enumerate()
            .for_each(|(i, g)| want_bias[i / plane % s.out_channels] += g.to_f64());
        assert_close(&grad_bias, &want_bias, tolerance * 10.0);
    }
}

#[test]
fn every_shape_and_set() {
    for_every_isa(|| {
        convolutions_match::<f32>(&shapes(), 1e-5);
        convolutions_match::<f64>(&shapes(), 1e-13);
    });
}

/// Every way of a convolution, with and without each part of its tail.
#[test]
fn tails_are_passes_of_their_own() {
    fn bits<T: Real>(shapes: &[ConvShape], finish: [Finish<T>; 2]) {
        let mut random = Lcg::new(11);
        for s in shapes {
            let (x, w) = (random.vec::<T>(s.input_len()), random.vec::<T>(s.weight_len()));
            let [bias, scale, shift] = [0; 3].map(|_| random.vec::<T>(s.out_channels));
            let residual = random.vec::<T>(s.output_len());
            for parts in 0..16 {
                let part = |i: usize| parts >> i & 1 == 1;
                let tail = Tail {
                    bias: part(0).then_some(&bias[..]),
                    affine: part(1).then_some([&scale[..], &shift[..]]),
                    residual: part(2).then_some(&residual[..]),
                    finish: if part(3) {
                        finish[parts / 2 % 2]
                    } else {
                        Finish::NONE
                    },
                };
                let [mut want, mut got] = [0; 2].map(|_| vec![T::from_f64(f64::NAN); s.output_len()]);
                conv_forward(s, &x, &w, &Tail::bias(tail.bias), &mut want);
                for (i, x) in want.iter_mut().enumerate() {
                    let channel = i / s.out_plane() % s.out_channels;
                    if tail.affine.is_some() {
                        *x *= scale[channel];
                        *x += shift[channel];
                    }
                    if tail.residual.is_some() {
                        *x += residual[i];
                    }
                }
                tail.finish.apply(&mut want);
                conv_forward(s, &x, &w, &tail, &mut got);
                assert!(got == want, "{s:?} with {tail:?}");
            }
        }
    }
    let square = |size, kernel, stride| {
        let d = (size, kernel, stride, kernel / 2, kernel / 2, 1);
        [ONE, d, d]
    };
    let mut shapes = shapes();
    shapes.extend([
        shape(2, [17, 20], 1, square(30, 3, 1)),
        shape(25, [20, 16], 1, square(7, 3, 1)),
        shape(2, [3, 16], 1, square(64, 7, 2)),
        shape(1, [20, 20], 20, square(41, 3, 2)),
        shape(2, [33, 33], 33, square(9, 5, 1)),
        shape(2, [40, 51], 1, square(5, 3, 1)),
    ]);
    for_every_isa(|| {
        let clamp = Finish::Clamp { low: 0.0, high: 0.5 };
        bits::<f32>(
            &shapes,
            [clamp, Finish::Function(|x| x.iter_mut().for_each(|x| *x *= 0.5))],
        );
        bits::<f64>(
            &shapes,
            [
                Finish::RELU,
                Finish::Function(|x| x.iter_mut().for_each(|x| *x += 0.5)),
            ],
        );
    });
}

#[test]
fn dot_products_match() {
    let dim = |size, kernel, stride| (size, kernel, stride, kernel / 2, kernel / 2, 1);
    let shapes = [
        // Two images in one product, panels of several widths, sums in two blocks that do not end with a vector.
        shape(2, [141, 61], 1, [ONE, dim(5, 3, 1), dim(5, 3, 1)]),
        // Outputs in several rounds for each task.
        shape(1, [29, 203], 1, [ONE, dim(13, 3, 2), dim(14, 3, 2)]),
        shape(1, [300, 9], 1, [ONE, ONE, dim(9, 1, 1)]),
        shape(
            3,
            [33, 13],
            1,
            [(2, 2, 1, 0, 0, 1), dim(3, 2, 3), (5, 2, 1, 0, 0, 3)],
        ),
    ];
    for_every_isa(|| {
        assert!(shapes.iter().all(dots::pays));
        convolutions_match::<f32>(&shapes, 1e-5);
        convolutions_match::<f64>(&shapes, 1e-13);
    });
}

#[test]
fn winograd_matches_within_its_error() {
    let dim = |size, before, after| (size, 3, 1, before, after, 1);
    let shapes = [
        shape(2, [17, 20], 1, [ONE, dim(29, 1, 1), dim(30, 1, 1)]),
        shape(1, [16, 33], 1, [ONE, dim(43, 0, 2), dim(50, 2, 0)]),
        shape(25, [20, 16], 1, [ONE, dim(7, 1, 1), dim(8, 3, 3)]),
    ];
    for_every_isa(|| {
        assert!(shapes.iter().all(winograd::pays::<f32>) && !winograd::pays::<f64>(&shapes[0]));
        convolutions_match::<f32>(&shapes, 2e-4);
    });
}

#[test]
fn gradients_of_the_weight_by_dot_products_match() {
    let dim = |size| (size, 1, 1, 0, 0, 1);
    let shapes = [
        // The last tiles are not full, nor are the last vectors.
        shape(3, [5, 31], 1, [ONE, dim(23), dim(23)]),
        shape(2, [20, 26], 2, [ONE, dim(19), dim(29)]),
        // Planes in several pieces, more outputs than one task takes.
        shape(2, [4, 60], 1, [dim(3), dim(31), dim(27)]),
    ];
    for_every_isa(|| {
        assert!(
            shapes
                .iter()
                .all(|s| pointwise::pays::<f32>(s) && pointwise::pays::<f64>(s))
        );
        convolutions_match::<f32>(&shapes, 1e-5);
        convolutions_match::<f64>(&shapes, 1e-13);
    });
}

#[test]
fn gradients_of_the_weight_by_winograd_match_within_their_error() {
    let dim = |size, before, after| (size, 3, 1, before, after, 1);
    let shapes = [
        shape(3, [33, 50], 1, [ONE, dim(21, 1, 1), dim(17, 0, 2)]),
        // Images one at a time.
        shape(2, [34, 72], 1, [ONE, dim(86, 1, 1), dim(82, 1, 1)]),
        // Bands of several images in a group, and a group's bands one at a time.
        shape(4, [17, 20], 1, [ONE, dim(46, 1, 1), dim(49, 0, 2)]),
        shape(1, [40, 33], 1, [ONE, dim(130, 1, 1), dim(126, 1, 1)]),
        // Block by block.
        shape(6, [150, 300], 1, [ONE, dim(7, 1, 1), dim(5, 2, 2)]),
    ];
    let mut random = Lcg::new(9);
    for s in shapes {
        let (x, grad) = (
            random.vec::<f32>(s.input_len()),
            random.vec::<f32>(s.output_len()),
        );
        let mut want = vec![0.0; s.weight_len()];
        for_each_product(&s, |o, i, t| want[t] += f64::from(grad[o]) * f64::from(x[i]));
        let largest = want.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        for_every_isa(|| {
            assert!(winograd::weight::pays::<f32>(&s) && !winograd::weight::pays::<f64>(&s));
            let mut got = vec![f32::NAN; want.len()];
            conv_backward_weight(&s, &x, &grad, &mut got);
            for (got, want) in got.iter().zip(&want) {
                assert!(
                    (f64::from(*got) - want).abs() <= 1e-5 * largest,
                    "{got}, not {want}"
                );
            }
        });
    }
}

#[test]
fn the_bits_do_not_depend_on_the_threads() {
    let mut random = Lcg::new(8);
    let d = (28, 3, 1, 1, 1, 1);
    for s in [
        shape(3, [40, 30], 1, [ONE, d, d]),
        shape(3, [40, 40], 40, [ONE, d, d]),
        shape(3, [60, 60], 1, [ONE, (5, 3, 1, 1, 1, 1), (5, 3, 1, 1, 1, 1)]),
        shape(7, [16, 24], 1, [ONE, d, (28, 3, 2, 1, 1, 1)]),
        shape(3, [16, 30], 1, [ONE, (28, 1, 1, 0, 0, 1), (28, 1, 1, 0, 0, 1)]),
        shape(6, [150, 300], 1, [ONE, (7, 3, 1, 1, 1, 1), (5, 3, 1, 1, 1, 1)]),
        shape(11, [16, 18], 1, [ONE, d, d]),
        shape(1, [130, 200], 1, [ONE, (7, 3, 1, 1, 1, 1), (7, 3, 1, 1, 1, 1)]),
    ] {
        let (x, w) = (
            random.vec::<f32>(s.input_len()),
            random.vec::<f32>(s.weight_len()),
        );
        let grad = random.vec::<f32>(s.output_len());
        same_bits_for_any_threads(|| {
            let mut all = vec![0.0; s.output_len() + s.input_len() + s.weight_len()];
            let (out, rest) = all.split_at_mut(s.output_len());
            let (grad_x, grad_w) = rest.split_at_mut(s.input_len());
            conv_forward(&s, &x, &w, &Tail::default(), out);
            conv_backward_input(&s, &grad, &w, grad_x);
            conv_backward_weight(&s, &x, &grad, grad_w);
            all
        });
    }
}

#[test]
#[should_panic(expected = "groups")]
fn groups_must_divide_the_channels() {
    let mut s = shape(1, [4, 4], 1, [ONE, ONE, (5, 3, 1, 1, 1, 1)]);
    s.groups = 3;
    conv_forward(&s, &[0.0f32; 20], &[0.0; 48], &Tail::default(), &mut [0.0; 20]);
}
