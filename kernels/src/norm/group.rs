//! Group norm over `[batch, channels, inner]`: the channels of a sample are cut into groups that share a mean; weights
//! are per channel. With as many groups as channels it is instance norm.

use super::{grad_row, grad_sums, row_statistics, scale_shift};
use crate::element::{Float, instantiate};
use crate::elementwise::GRAIN;
use crate::pool::{self, SendPtr};
use crate::simd;

simd! {
    fn statistics[T: Float](x: &[T], eps: f64) -> (T, T) {
        row_statistics(x, eps)
    }
}

/// `f(row)` in parallel, for rows of `n` elements.
fn for_rows(rows: usize, n: usize, f: impl Fn(usize) + Sync) {
    if rows * n < 2 * GRAIN {
        return (0..rows).for_each(f);
    }
    let group = (GRAIN / n).max(rows.div_ceil(128)).max(1);
    pool::parallel_ranges(rows, group, |range| range.for_each(&f))
}

instantiate! {
    trait Kernels for f32, f64 where Float;

    /// Group norm of `x` with shape `[batch, channels, inner]`. `mean` and `rstd` receive `batch·groups` values, `weight`
    /// and `bias` hold one per channel.
    pub fn group_norm(
        x: &[T], shape: [usize; 3], groups: usize, weight: Option<&[T]>, bias: Option<&[T]>, eps: f64,
        out: &mut [T], mean: &mut [T], rstd: &mut [T],
    ) {
        let [batch, channels, inner] = shape;
        let (per_group, rows) = (channels / groups, batch * groups);
        let n = per_group * inner;
        assert!(x.len() == rows * n && out.len() == x.len(), "group_norm: the lengths are not the shape's");
        assert!(mean.len() == rows && rstd.len() == rows, "group_norm: the statistics' lengths");
        let [out, mean, rstd] = [out, mean, rstd].map(|s| SendPtr(s.as_mut_ptr()));
        for_rows(rows, n, |row| {
            let x = &x[row * n..(row + 1) * n];
            let (m, r) = statistics(x, eps);
            // SAFETY: each row has one owner.
            let out = unsafe {
                *mean.ptr().add(row) = m;
                *rstd.ptr().add(row) = r;
                std::slice::from_raw_parts_mut(out.ptr().add(row * n), n)
            };
            for (i, (x, out)) in x.chunks(inner.max(1)).zip(out.chunks_mut(inner.max(1))).enumerate() {
                let channel = row % groups * per_group + i;
                let scale = r * weight.map_or(T::ONE, |w| w[channel]);
                scale_shift(x, scale, bias.map_or(T::ZERO, |b| b[channel]) - m * scale, out);
            }
        })
    }

    /// The gradients of group norm; each is computed only where an output is given.
    pub fn group_norm_backward(
        grad: &[T], x: &[T], mean: &[T], rstd: &[T], weight: Option<&[T]>, shape: [usize; 3], groups: usize,
        dx: Option<&mut [T]>, dweight: Option<&mut [T]>, dbias: Option<&mut [T]>,
    ) {
        let [batch, channels, inner] = shape;
        let (per_group, rows) = (channels / groups, batch * groups);
        let n = per_group * inner;
        assert!(x.len() == rows * n && grad.len() == x.len(), "group_norm_backward: the lengths differ");
        assert!(mean.len() == rows && rstd.len() == rows, "group_norm_backward: the statistics' lengths");
        // Per sample and channel: Σgrad and Σgrad·(x - mean).
        let mut sums = vec![(0.0, 0.0); batch * channels];
        let to_sums = SendPtr(sums.as_mut_ptr());
        let to_x = dx.map(|dx| {
            assert_eq!(dx.len(), x.len(), "group_norm_backward: the gradient's length differs");
            SendPtr(dx.as_mut_ptr())
        });
        for_rows(rows, n, |row| {
            let (m, r) = (mean[row], rstd[row]);
            let scale = |channel: usize| weight.map_or(T::ONE, |w| w[channel]);
            let (mut sum, mut dot) = (0.0, 0.0);
            for i in 0..per_group {
                let (channel, at) = (row % groups * per_group + i, row * n + i * inner);
                let part = grad_sums(&grad[at..at + inner], &x[at..at + inner], m, None);
                // SAFETY: each row owns the sums of its channels.
                unsafe { *to_sums.ptr().add(row * per_group + i) = part };
                sum += part.0 * scale(channel).to_f64();
                dot += part.1 * scale(channel).to_f64();
            }
            let Some(to_x) = to_x else { return };
            let r64 = r.to_f64();
            let (slope, shift) = (dot * r64 * r64 * r64 / n as f64, sum * r64 / n as f64);
            for i in 0..per_group {
                let (channel, at) = (row % groups * per_group + i, row * n + i * inner);
                // SAFETY: each row has one owner.
                let out = unsafe { std::slice::from_raw_parts_mut(to_x.ptr().add(at), inner) };
                let (slope, shift) = (T::from_f64(slope), T::from_f64(shift));
                grad_row(Some(&grad[at..at + inner]), &x[at..at + inner], m, [r * scale(channel), slope, shift], None, out);
            }
        });
        let channel_sum = |channel: usize, f: &dyn Fn(usize) -> f64| {
            T::from_f64((0..batch).map(|b| f(b * channels + channel)).sum::<f64>())
        };
        if let Some(dweight) = dweight {
            for (channel, d) in dweight.iter_mut().enumerate() {
                *d = channel_sum(channel, &|at| sums[at].1 * rstd[at / per_group].to_f64());
            }
        }
        if let Some(dbias) = dbias {
            for (channel, d) in dbias.iter_mut().enumerate() {
                *d = channel_sum(channel, &|at| sums[at].0);
            }
        }
    }
}
