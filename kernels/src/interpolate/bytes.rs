//! Resampling images of bytes as PyTorch (after Pillow) does it: weights as 16-bit fixed point numbers, one pass along
//! each dimension, from the last to the first, each rounded to bytes.

use super::Axis;

/// One output position: the first input position it reads, and weights as integers.
type Reads = (usize, Vec<i32>);

/// The axis' weights scaled by a power of two, the greatest with which they fit in 16 bits, and its exponent.
fn fixed_point(axis: &Axis<f64>) -> (Vec<Reads>, u32) {
    let merged: Vec<(usize, Vec<f64>)> = (0..axis.output)
        .map(|at| {
            // Taps beyond the border repeat its position: their weights count together.
            let first = axis.taps(at).map(|(p, _)| p).min().unwrap_or(0);
            let last = axis.taps(at).map(|(p, _)| p).max().unwrap_or(0);
            let mut weights = vec![0.0; last + 1 - first];
            axis.taps(at).for_each(|(p, w)| weights[p - first] += w);
            (first, weights)
        })
        .collect();
    let greatest = merged
        .iter()
        .flat_map(|(_, w)| w)
        .fold(0.0, |m: f64, &w| m.max(w));
    let fits = |precision: u32| (0.5 + greatest * f64::from(1u32 << (precision + 1))) < f64::from(1 << 15);
    let precision = (0..22).find(|&precision| !fits(precision)).unwrap_or(22);
    let scale = f64::from(1u32 << precision);
    let fixed = |w: f64| (w * scale + 0.5f64.copysign(w)) as i32;
    let reads = merged
        .into_iter()
        .map(|(first, weights)| (first, weights.into_iter().map(fixed).collect()));
    (reads.collect(), precision)
}

/// Resamples planes of two dimensions: `x` is `[planes, height, width]`, `axes` are those of height and width.
///
/// # Panics
/// If the sizes do not fit.
pub fn interpolate_bytes(x: &[u8], out: &mut [u8], axes: &[Axis<f64>; 2]) {
    let [rows, columns] = axes;
    let planes = out.len() / (rows.output * columns.output);
    assert_eq!(x.len(), planes * rows.input * columns.input);
    let wide = resample(x, columns, 1);
    out.copy_from_slice(&resample(&wide, rows, columns.output));
}

/// Resamples along a dimension behind which `inner` elements lie.
fn resample(x: &[u8], axis: &Axis<f64>, inner: usize) -> Vec<u8> {
    if axis.input == axis.output {
        return x.to_vec();
    }
    let (reads, precision) = fixed_point(axis);
    let half = (1i32 << precision) >> 1;
    let mut out = Vec::with_capacity(x.len() / axis.input * axis.output);
    for slab in x.chunks_exact(axis.input * inner) {
        for (first, weights) in &reads {
            for i in 0..inner {
                let sum = weights.iter().enumerate().fold(half, |sum, (k, &w)| {
                    sum + w * i32::from(slab[(first + k) * inner + i])
                });
                out.push((sum >> precision).clamp(0, 255) as u8);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Kernel, Options};
    use super::*;

    #[test]
    fn bytes_are_rounded_after_each_pass() {
        let axis = |n, m| Axis::<f64>::new(Kernel::Linear, n, m, Options::default());
        let mut out = [0; 4];
        interpolate_bytes(&[0, 255], &mut out, &[axis(1, 1), axis(2, 4)]);
        assert_eq!(out, [0, 64, 191, 255]);
        let mut out = [0; 3];
        interpolate_bytes(&[10, 20], &mut out, &[axis(2, 3), axis(1, 1)]);
        assert_eq!(out, [10, 15, 20]);
        // Cubic weights are negative too; what they overshoot is cut off.
        let cubic = |n, m| Axis::<f64>::new(Kernel::Cubic, n, m, Options::default());
        let mut out = [0; 8];
        interpolate_bytes(&[0, 0, 255, 255], &mut out, &[cubic(1, 1), cubic(4, 8)]);
        assert_eq!((out[2], out[5]), (0, 255));
    }
}
