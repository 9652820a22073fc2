//! Message passing over the edges of a graph: `index_add(zeros, targets, index_select(x, sources))` in one pass, without
//! the `[edges, features]` tensor in between.
//!
//! The gradient with respect to `x` is the same kernel with sources and targets exchanged.

use super::for_destinations;
use crate::element::Number;
use crate::mem::Buf;
use crate::pool;
use crate::simd;

/// The edges of a graph sorted by row: row `r` owns `order[offsets[r]..offsets[r + 1]]`.
#[derive(Clone, Debug)]
pub struct Csr {
    /// Where each row's edges begin; one more entry than rows.
    pub offsets: Buf<i64>,
    /// Edge numbers, ascending within a row.
    pub order: Buf<i64>,
}

/// Sorts edges by row (a stable counting sort): `index[e]` is the row of edge `e`.
pub fn csr_from_edges(index: &[i64], rows: usize) -> Csr {
    let mut offsets = Buf::zeroed(rows + 1);
    index.iter().for_each(|&row| offsets[row as usize + 1] += 1);
    for row in 0..rows {
        offsets[row + 1] += offsets[row];
    }
    let mut next = offsets.clone();
    let mut order = Buf::take(index.len());
    for (edge, &row) in index.iter().enumerate() {
        let at = &mut next[row as usize];
        order[*at as usize] = edge as i64;
        *at += 1;
    }
    Csr { offsets, order }
}

/// `out[targets[e], :] += weights[e] · x[sources[e], :]` for every edge, in edge order. `x` is `[nodes, features]`,
/// `out` `[out nodes, features]`; without weights they are one.
pub fn gather_scatter_add<T: Number>(
    x: &[T],
    sources: &[i64],
    targets: &[i64],
    weights: Option<&[T]>,
    out: &mut [T],
    features: usize,
) {
    assert_eq!(sources.len(), targets.len());
    assert!(weights.is_none_or(|w| w.len() == sources.len()));
    if features == 0 {
        return;
    }
    let nodes = out.len() / features;
    for_destinations(
        out,
        (1, nodes, features),
        sources.len() * features,
        |_, first, piece| accumulate_edges(piece, first, x, sources, targets, weights, features),
    );
}

/// How many edges ahead rows are fetched into the cache.
const AHEAD: usize = 12;

simd! {
    fn accumulate_edges[T: Number](
        piece: &mut [T],
        first: usize,
        x: &[T],
        sources: &[i64],
        targets: &[i64],
        weights: Option<&[T]>,
        features: usize,
    ) {
        let rows = piece.len() / features;
        for (e, (&source, &target)) in sources.iter().zip(targets).enumerate() {
            if e + AHEAD < sources.len() {
                let ahead = (targets[e + AHEAD] as usize).wrapping_sub(first);
                if ahead < rows {
                    prefetch(x, sources[e + AHEAD] as usize * features, features);
                    prefetch(piece, ahead * features, features);
                }
            }
            let row = (target as usize).wrapping_sub(first);
            if row >= rows {
                continue;
            }
            let source = &x[source as usize * features..][..features];
            let out = &mut piece[row * features..][..features];
            add_row(out, source, weights.map(|weights| weights[e]));
        }
    }
}

/// `out += weight·source`, the weight being 1 if there is none.
#[inline(always)]
fn add_row<T: Number>(out: &mut [T], source: &[T], weight: Option<T>) {
    match weight {
        None => out.iter_mut().zip(source).for_each(|(o, &s)| *o = o.plus(s)),
        Some(weight) => out
            .iter_mut()
            .zip(source)
            .for_each(|(o, &s)| *o = o.plus(weight.times(s))),
    }
}

/// Asks for the cache lines of `data[start..start + len]`, up to 256 bytes.
#[inline(always)]
fn prefetch<T>(data: &[T], start: usize, len: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let bytes = (len * size_of::<T>()).min(256);
        for offset in (0..bytes).step_by(64) {
            let address = data
                .as_ptr()
                .wrapping_add(start)
                .cast::<i8>()
                .wrapping_add(offset);
            // SAFETY: a prefetch reads nothing that a program can see and never faults, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (data, start, len);
}

/// The same sums from edges that were sorted by target once, for graphs that are used again and again: every row of
/// `out` is written once, and rows are independent.
pub fn gather_scatter_csr<T: Number>(
    x: &[T],
    sources: &[i64],
    csr: &Csr,
    weights: Option<&[T]>,
    out: &mut [T],
    features: usize,
) {
    add_rows(x, sources, csr, weights, out, features, false)
}

/// Adds every row's edges to what it holds, or to zero unless `keep`.
fn add_rows<T: Number>(
    x: &[T],
    sources: &[i64],
    csr: &Csr,
    weights: Option<&[T]>,
    out: &mut [T],
    features: usize,
    keep: bool,
) {
    let nodes = csr.offsets.len().saturating_sub(1);
    assert_eq!(out.len(), nodes * features);
    if out.is_empty() {
        return;
    }
    let rows = super::rows_per_task(nodes, (csr.order.len() / nodes + 1) * features);
    pool::parallel_chunks_mut(out, rows * features, |first, piece| {
        if !keep {
            piece.fill(T::ZERO);
        }
        accumulate_rows(piece, first / features, x, sources, csr, weights, features)
    });
}

simd! {
    fn accumulate_rows[T: Number](
        piece: &mut [T],
        first: usize,
        x: &[T],
        sources: &[i64],
        csr: &Csr,
        weights: Option<&[T]>,
        features: usize,
    ) {
        for (r, out) in piece.chunks_exact_mut(features).enumerate() {
            let range = csr.offsets[first + r] as usize..csr.offsets[first + r + 1] as usize;
            for at in range {
                if let Some(&ahead) = csr.order.get(at + AHEAD) {
                    prefetch(x, sources[ahead as usize] as usize * features, features);
                }
                let edge = csr.order[at] as usize;
                let source = &x[sources[edge] as usize * features..][..features];
                add_row(out, source, weights.map(|weights| weights[edge]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fused_and_sorted_agree_with_two_steps() {
        for edges in [4000, 20_000] {
            let (nodes, features) = (97, 5);
            let x: Vec<f32> = (0..nodes * features).map(|i| (i as f32).sin()).collect();
            let sources: Vec<i64> = (0..edges).map(|e| (e * 31 % nodes) as i64).collect();
            let targets: Vec<i64> = (0..edges).map(|e| (e * e % nodes) as i64).collect();
            let weights: Vec<f32> = (0..edges).map(|e| (e as f32 * 0.1).cos()).collect();
            for weights in [None, Some(&weights[..])] {
                let mut expected = vec![0.0; nodes * features];
                for e in 0..edges {
                    for j in 0..features {
                        let term = weights.map_or(1.0, |w| w[e]) * x[sources[e] as usize * features + j];
                        expected[targets[e] as usize * features + j] += term;
                    }
                }
                let mut fused = vec![0.0; nodes * features];
                gather_scatter_add(&x, &sources, &targets, weights, &mut fused, features);
                let mut sorted = vec![f32::NAN; nodes * features];
                let csr = csr_from_edges(&targets, nodes);
                gather_scatter_csr(&x, &sources, &csr, weights, &mut sorted, features);
                for ((a, b), e) in fused.iter().zip(&sorted).zip(&expected) {
                    assert!((a - e).abs() < 1e-4 && (b - e).abs() < 1e-4);
                }
            }
        }
    }
}
