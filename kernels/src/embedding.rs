//! Embedding tables: `nn.functional.embedding` and `embedding_bag` with their gradients.
//!
//! A table is `[rows, dim]`. Indices are normalised.

use crate::element::instantiate;
use crate::element::{Float, Number};
use crate::index::{self, for_destinations, larger, occurrences};
use crate::mem::Buf;
use crate::pool;
use crate::simd;

/// `out[i, :] = weight[index[i], :]`.
pub fn embedding<T: Number>(weight: &[T], index: &[i64], out: &mut [T], dim: usize) {
    index::index_select(
        weight,
        index,
        out,
        (1, weight.len().checked_div(dim).unwrap_or(0), dim),
    );
}

instantiate! {
    trait Kernels for f32, f64 where Float;

    /// The dense gradient of [`embedding`], written (not added) to `weight_grad`: row `r` is the sum of the `grad` rows
    /// whose index is `r`, in index order. The row `padding_idx` stays zero; with `scale_grad_by_freq` a row is divided by
    /// how often it was looked up.
    pub fn embedding_backward(
        grad: &[T],
        index: &[i64],
        weight_grad: &mut [T],
        dim: usize,
        padding_idx: Option<usize>,
        scale_grad_by_freq: bool,
    ) {
        assert_eq!(grad.len(), index.len() * dim);
        if weight_grad.is_empty() {
            return;
        }
        let rows = weight_grad.len() / dim;
        let counts = scale_grad_by_freq.then(|| occurrences(index, rows));
        // Zeroing the table is the greater part of the work.
        let work = weight_grad.len() + grad.len();
        for_destinations(weight_grad, (1, rows, dim), work, |_, first, piece| {
            piece.fill(T::ZERO);
            accumulate(piece, first, grad, index, dim, padding_idx);
            if let Some(counts) = &counts {
                for (row, &count) in piece.chunks_exact_mut(dim).zip(&counts[first..]) {
                    if count > 1 {
                        let count = T::from_f64(count as f64);
                        row.iter_mut().for_each(|x| *x = *x / count);
                    }
                }
            }
        });
    }

    /// Scales the rows that `index` names down to a norm of at most `max_norm` (`nn.Embedding`'s `max_norm`).
    pub fn embedding_renorm(
        weight: &mut [T],
        index: &[i64],
        dim: usize,
        max_norm: f64,
        norm_type: f64,
    ) {
        let mut index = index.to_vec();
        index.sort_unstable();
        index.dedup();
        for i in index {
            let row = &mut weight[i as usize * dim..][..dim];
            let magnitudes = row.iter().map(|x| x.to_f64().abs());
            let norm = if norm_type == f64::INFINITY {
                magnitudes.fold(0.0, larger)
            } else if norm_type == 2.0 {
                magnitudes.map(|x| x * x).sum::<f64>().sqrt()
            } else {
                magnitudes
                    .map(|x| x.powf(norm_type))
                    .sum::<f64>()
                    .powf(1.0 / norm_type)
            };
            if norm > max_norm {
                let scale = T::from_f64(max_norm / (norm + 1e-7));
                row.iter_mut().for_each(|x| *x *= scale);
            }
        }
    }

    /// `embedding_bag`: `out[b, :]` combines the rows of `index[offsets[b]..offsets[b + 1]]`, those of `padding_idx` left
    /// out; empty bags give zeros. `offsets` ends with the length of `index`. Per-sample weights go with sums only.
    ///
    /// For maxima, `max_rows` (`[bags, dim]`, else empty) receives the row each maximum came from, -1 for an empty bag.
    pub fn embedding_bag(
        weight: &[T],
        index: &[i64],
        offsets: &[i64],
        mode: BagMode,
        per_sample_weights: Option<&[T]>,
        padding_idx: Option<usize>,
        out: &mut [T],
        max_rows: &mut [i64],
        dim: usize,
    ) {
        if out.is_empty() {
            return;
        }
        let lookups = |bag: usize| {
            let range = offsets[bag] as usize..offsets[bag + 1] as usize;
            range
                .map(|at| (at, index[at] as usize))
                .filter(move |&(_, row)| padding_idx != Some(row))
        };
        let row_of = |row: usize| &weight[row * dim..][..dim];
        if mode == BagMode::Max {
            for (bag, (out, rows)) in out
                .chunks_exact_mut(dim)
                .zip(max_rows.chunks_exact_mut(dim))
                .enumerate()
            {
                out.fill(T::ZERO);
                rows.fill(-1);
                for (_, row) in lookups(bag) {
                    for ((o, at), &x) in out.iter_mut().zip(rows.iter_mut()).zip(row_of(row)) {
                        if *at < 0 || x > *o {
                            (*o, *at) = (x, row as i64);
                        }
                    }
                }
            }
            return;
        }
        let bags_per_task = index::rows_per_task(out.len() / dim, dim * (index.len() * dim / out.len() + 1));
        pool::parallel_chunks_mut(out, bags_per_task * dim, |first, piece| {
            for (i, out) in piece.chunks_exact_mut(dim).enumerate() {
                let mut count = 0;
                out.fill(T::ZERO);
                for (at, row) in lookups(first / dim + i) {
                    let scale = per_sample_weights.map_or(T::ONE, |w| w[at]);
                    out.iter_mut()
                        .zip(row_of(row))
                        .for_each(|(o, &x)| *o += scale * x);
                    count += 1;
                }
                if mode == BagMode::Mean && count > 1 {
                    let count = T::from_f64(count as f64);
                    out.iter_mut().for_each(|x| *x = *x / count);
                }
            }
        });
    }

    /// The dense gradient of [`embedding_bag`] with respect to the table, written to `weight_grad`.
    pub fn embedding_bag_backward(
        grad: &[T],
        index: &[i64],
        offsets: &[i64],
        mode: BagMode,
        per_sample_weights: Option<&[T]>,
        padding_idx: Option<usize>,
        scale_grad_by_freq: bool,
        max_rows: &[i64],
        weight_grad: &mut [T],
        dim: usize,
    ) {
        weight_grad.fill(T::ZERO);
        if dim == 0 {
            return;
        }
        if mode == BagMode::Max {
            for (at, (&row, &g)) in max_rows
                .iter()
                .zip(grad)
                .enumerate()
                .filter(|(_, (row, _))| **row >= 0)
            {
                weight_grad[row as usize * dim + at % dim] += g;
            }
            return;
        }
        let counts = scale_grad_by_freq.then(|| occurrences(index, weight_grad.len() / dim));
        // Every lookup is an edge from its bag to its row.
        let mut edges = (
            Vec::with_capacity(index.len()),
            Vec::with_capacity(index.len()),
            Vec::with_capacity(index.len()),
        );
        for (bag, ends) in offsets.windows(2).enumerate() {
            let lookups =
                (ends[0] as usize..ends[1] as usize).filter(|&at| padding_idx != Some(index[at] as usize));
            let members = lookups.clone().count();
            for at in lookups {
                let mut scale = per_sample_weights.map_or(T::ONE, |w| w[at]);
                if mode == BagMode::Mean {
                    scale = scale / T::from_f64(members as f64);
                }
                if let Some(counts) = &counts {
                    scale = scale / T::from_f64(counts[index[at] as usize] as f64);
                }
                edges.0.push(bag as i64);
                edges.1.push(index[at]);
                edges.2.push(scale);
            }
        }
        index::gather_scatter_add(grad, &edges.0, &edges.1, Some(&edges.2), weight_grad, dim);
    }

    /// The gradient of a weighted sum with respect to the per-sample weights: `grad[bag(i)] · weight[index[i]]`.
    pub fn embedding_bag_per_sample_weights_backward(
        grad: &[T],
        weight: &[T],
        index: &[i64],
        offsets: &[i64],
        padding_idx: Option<usize>,
        out: &mut [T],
        dim: usize,
    ) {
        out.fill(T::ZERO);
        for (bag, ends) in offsets.windows(2).enumerate() {
            let grad = &grad[bag * dim..][..dim];
            for at in ends[0] as usize..ends[1] as usize {
                let row = index[at] as usize;
                if padding_idx != Some(row) {
                    let row = &weight[row * dim..][..dim];
                    out[at] = grad.iter().zip(row).fold(T::ZERO, |s, (&g, &w)| s + g * w);
                }
            }
        }
    }
}

simd! {
    fn accumulate[T: Float](
        piece: &mut [T],
        first: usize,
        grad: &[T],
        index: &[i64],
        dim: usize,
        padding_idx: Option<usize>,
    ) {
        let rows = piece.len() / dim;
        for (&i, grad) in index.iter().zip(grad.chunks_exact(dim)) {
            let row = (i as usize).wrapping_sub(first);
            if row < rows && padding_idx != Some(i as usize) {
                piece[row * dim..][..dim].iter_mut().zip(grad).for_each(|(x, &g)| *x += g);
            }
        }
    }
}

/// How the rows of a bag are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BagMode {
    /// Their (weighted) sum.
    Sum,
    /// Their mean.
    Mean,
    /// Their element-wise maximum.
    Max,
}

/// The bag of every position of the index.
pub fn bag_of(offsets: &[i64]) -> Buf<i64> {
    let mut bags = Buf::take(offsets.last().map_or(0, |&n| n as usize));
    for (bag, ends) in offsets.windows(2).enumerate() {
        bags[ends[0] as usize..ends[1] as usize].fill(bag as i64);
    }
    bags
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEIGHT: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

    #[test]
    fn lookups() {
        let index = [2, 0, 2, 1];
        let mut out = [0.0; 8];
        embedding(&WEIGHT, &index, &mut out, 2);
        assert_eq!(out, [5.0, 6.0, 1.0, 2.0, 5.0, 6.0, 3.0, 4.0]);
        let mut grad = [9.0; 6];
        embedding_backward(
            &[1., 2., 3., 4., 5., 6., 7., 8.],
            &index,
            &mut grad,
            2,
            Some(1),
            false,
        );
        assert_eq!(grad, [3.0, 4.0, 0.0, 0.0, 6.0, 8.0]);
        embedding_backward(
            &[1., 2., 3., 4., 5., 6., 7., 8.],
            &index,
            &mut grad,
            2,
            None,
            true,
        );
        assert_eq!(grad, [3.0, 4.0, 7.0, 8.0, 3.0, 4.0]);
        let mut weight = [3.0f64, 4.0, 0.3, 0.4];
        embedding_renorm(&mut weight, &[0, 1, 0], 2, 1.0, 2.0);
        assert!((weight[0] - 0.6).abs() < 1e-6 && (weight[1] - 0.8).abs() < 1e-6);
        assert_eq!(weight[2..], [0.3, 0.4]);
    }

    #[test]
    fn bags() {
        let (index, offsets) = ([0, 2, 1, 2], [0, 2, 2, 4]);
        let run = |mode, weights: Option<&[f64]>, padding| {
            let (mut out, mut rows, mut grad) = ([7.0; 6], [0; 6], [7.0; 6]);
            embedding_bag(
                &WEIGHT, &index, &offsets, mode, weights, padding, &mut out, &mut rows, 2,
            );
            let g = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
            embedding_bag_backward(
                &g, &index, &offsets, mode, weights, padding, false, &rows, &mut grad, 2,
            );
            (out, grad)
        };
        assert_eq!(
            run(BagMode::Sum, None, None),
            ([6., 8., 0., 0., 8., 10.], [1., 2., 5., 6., 6., 8.])
        );
        assert_eq!(run(BagMode::Mean, None, None).0, [3.0, 4.0, 0.0, 0.0, 4.0, 5.0]);
        assert_eq!(
            run(BagMode::Mean, None, Some(2)),
            ([1., 2., 0., 0., 3., 4.], [1., 2., 5., 6., 0., 0.])
        );
        assert_eq!(
            run(BagMode::Max, None, None),
            ([5., 6., 0., 0., 5., 6.], [0., 0., 0., 0., 6., 8.])
        );
        let weights = [1.0, 2.0, 3.0, -1.0];
        let weighted = run(BagMode::Sum, Some(&weights), None);
        assert_eq!(
            weighted,
            ([11., 14., 0., 0., 4., 6.], [1., 2., 15., 18., -3., -2.])
        );
        let mut grad = [0.0; 4];
        embedding_bag_per_sample_weights_backward(
            &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            &WEIGHT,
            &index,
            &offsets,
            Some(1),
            &mut grad,
            2,
        );
        assert_eq!(grad, [5.0, 17.0, 0.0, 61.0]);
        assert_eq!(bag_of(&offsets)[..], [0, 0, 2, 2]);
    }
}
