//! Message passing over the edges of a graph: `index_add(zeros, targets, index_select(x, sources))` in one pass, without
//! the `[edges, features]` tensor in between.
//!
//! The gradient with respect to `x` is the same kernel with sources and targets exchanged. Edges that are used again and again are
//! sorted once: see `sparse`.

use super::for_destinations;
use crate::element::Number;
use crate::simd;

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
pub(super) const AHEAD: usize = 12;

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
pub(super) fn add_row<T: Number>(out: &mut [T], source: &[T], weight: Option<T>) {
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
pub(super) fn prefetch<T>(data: &[T], start: usize, len: usize) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fused_agrees_with_two_steps() {
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
                for (a, e) in fused.iter().zip(&expected) {
                    assert!((a - e).abs() < 1e-4);
                }
            }
        }
    }
}
