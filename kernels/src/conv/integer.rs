//! Convolutions of integers, with wrapping arithmetic as torch's. Direct: they are rare.

use super::ConvShape;
use crate::gemm::Integer;

/// `out = x ∗ w`; with `transposed`, `out` is the gradient of the input for the output's gradient `x`, as
/// [`conv_backward_input`](super::conv_backward_input).
///
/// # Panics
/// If the slices do not have the sizes that the shape asks for, or the groups do not divide the channels.
pub fn conv_integer<T: Integer>(shape: &ConvShape, transposed: bool, x: &[T], w: &[T], out: &mut [T]) {
    let (input, output) = if transposed {
        (out.len(), x.len())
    } else {
        (x.len(), out.len())
    };
    shape.check("conv_integer", input, w.len(), output);
    out.fill(T::default());
    for_each_product(shape, |input, weight, output| {
        let (from, to) = if transposed {
            (output, input)
        } else {
            (input, output)
        };
        out[to] = out[to].wrapping_mul_add(x[from], w[weight]);
    });
}

/// Calls `f` with the places in input, weight and output of every product that the convolution sums.
fn for_each_product(shape: &ConvShape, mut f: impl FnMut(usize, usize, usize)) {
    let (inputs, outputs, taps) = (shape.group_inputs(), shape.group_outputs(), shape.taps());
    for at in 0..shape.output_len() {
        let (cell, channel) = (at % shape.out_plane(), at / shape.out_plane());
        let (image, o) = (channel / shape.out_channels, channel % shape.out_channels);
        for tap in 0..taps {
            let Some(position) = source(shape, cell, tap) else {
                continue;
            };
            for i in 0..inputs {
                let plane = image * shape.in_channels + o / outputs * inputs + i;
                f(
                    plane * shape.in_plane() + position,
                    (o * inputs + i) * taps + tap,
                    at,
                );
            }
        }
    }
}

/// The cell of the input that a tap of an output cell reads, if it lies inside.
fn source(shape: &ConvShape, mut cell: usize, mut tap: usize) -> Option<usize> {
    let (mut position, mut step) = (0, 1);
    for d in (0..3).rev() {
        let (p, t) = (cell % shape.output[d], tap % shape.kernel[d]);
        (cell, tap) = (cell / shape.output[d], tap / shape.kernel[d]);
        let at = (p * shape.stride[d] + t * shape.dilation[d]).checked_sub(shape.padding[d])?;
        if at >= shape.input[d] {
            return None;
        }
        position += at * step;
        step *= shape.input[d];
    }
    Some(position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::{Tail, conv_backward_input, conv_forward};

    #[test]
    fn integers_agree_with_floats() {
        let shape = ConvShape {
            batch: 2,
            in_channels: 4,
            out_channels: 6,
            groups: 2,
            input: [1, 5, 6],
            kernel: [1, 3, 2],
            stride: [1, 2, 1],
            padding: [0, 1, 2],
            dilation: [1, 1, 2],
            output: [1, 3, 8],
        };
        let numbers = |n: usize| (0..n).map(|i| (i * 7 % 11) as i64 - 5).collect::<Vec<_>>();
        let real = |x: &[i64]| x.iter().map(|&x| x as f64).collect::<Vec<_>>();
        let (x, w, g) = (
            numbers(shape.input_len()),
            numbers(shape.weight_len()),
            numbers(shape.output_len()),
        );
        let (mut out, mut expected) = (vec![0; g.len()], vec![0.0; g.len()]);
        conv_integer(&shape, false, &x, &w, &mut out);
        conv_forward(&shape, &real(&x), &real(&w), &Tail::default(), &mut expected);
        assert_eq!(real(&out), expected);
        let (mut out, mut expected) = (vec![0; x.len()], vec![0.0; x.len()]);
        conv_integer(&shape, true, &g, &w, &mut out);
        conv_backward_input(&shape, &real(&g), &real(&w), &mut expected);
        assert_eq!(real(&out), expected);
    }
}
