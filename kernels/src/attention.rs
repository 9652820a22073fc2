//! Scaled-dot-product attention `softmax(scale · Q·Kᵀ + mask) · V`, forward and backward (torch:
//! `scaled_dot_product_attention`).
//!
//! Q is `[batch, queries, dim]`, K `[batch, keys, dim]`, V `[batch, keys, value_dim]`, all contiguous, batch and heads
//! folded into one. The scores are made block by block and never stored as a whole: the forward pass keeps a running
//! maximum and sum per query (Milakov & Gimelshein, 2018; Dao et al., 2022) and returns their logarithm, from which the
//! backward pass makes the scores again.
//!
//! Scores are held transposed, `[keys, queries]`, a panel of queries at a time. So the softmax runs down the lanes of
//! vectors without a horizontal step, and the panel is at once the packed right operand of the next product,
//! `Oᵀ = Vᵀ·Pᵀ`.

mod backward;

use crate::element::instantiate;
use std::ops::Range;

pub use backward::{AttentionGradients, attention_backward};

/// Everything of this module that is compiled for an element type in this crate.
#[doc(hidden)]
pub trait RealKernels<T: crate::element::Pod>: Instances<T> + backward::Instances<T> {}
impl RealKernels<f32> for f32 {}
impl RealKernels<f64> for f64 {}

use crate::gemm::{KernelTable, MatRef, PackA, PackB, Tile};
use crate::mem::Buf;
use crate::pool::{SendPtr, num_threads, parallel_for};
use crate::simd::{Real, Simd, WithSimd, exp};

/// Sizes of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Batch times heads.
    pub batch: usize,
    /// Queries of each.
    pub queries: usize,
    /// Keys and values of each.
    pub keys: usize,
    /// Elements of a query and of a key.
    pub dim: usize,
    /// Elements of a value.
    pub value_dim: usize,
}

/// What is added to the scores: a tensor `[batch, heads, queries, keys]` with any strides (0 broadcasts).
#[derive(Clone, Copy, Debug)]
pub struct AttentionMask<'a, T> {
    /// The elements.
    pub data: &'a [T],
    /// Heads of each batch element, to tell batch and heads apart again.
    pub heads: usize,
    /// Strides of batch, head, query and key.
    pub strides: [usize; 4],
}

/// How scores are made.
#[derive(Clone, Copy, Debug)]
pub struct AttentionOptions<'a, T> {
    /// Factor of the dot products; torch's default is `1 / sqrt(dim)`.
    pub scale: T,
    /// Whether query i sees the keys up to i only.
    pub causal: bool,
    /// Added to the scaled scores.
    pub mask: Option<AttentionMask<'a, T>>,
}

/// Keys per block: the scores of a block and a panel of queries fit in the first-level cache.
const KEY_BLOCK: usize = 256;

impl AttentionShape {
    fn check<T: Real>(&self, q: &[T], k: &[T], v: &[T], options: &AttentionOptions<'_, T>) {
        assert_eq!(
            q.len(),
            self.batch * self.queries * self.dim,
            "attention: the size of the queries"
        );
        assert_eq!(
            k.len(),
            self.batch * self.keys * self.dim,
            "attention: the size of the keys"
        );
        assert_eq!(
            v.len(),
            self.batch * self.keys * self.value_dim,
            "attention: the size of the values"
        );
        if let Some(mask) = options.mask
            && self.batch * self.queries * self.keys > 0
        {
            let heads = mask.heads.max(1);
            let sizes = [self.batch.div_ceil(heads), heads, self.queries, self.keys];
            let last: usize = sizes
                .iter()
                .zip(mask.strides)
                .map(|(&n, stride)| (n - 1) * stride)
                .sum();
            assert!(
                last < mask.data.len(),
                "attention: the mask is too short for its strides"
            );
        }
    }

    fn key_blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        blocks(self.keys, KEY_BLOCK)
    }
}

/// `0..n` in pieces of `size`.
fn blocks(n: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n)
        .step_by(size)
        .map(move |start| start..(start + size).min(n))
}

/// `0..n` in nearly equal pieces of at most `most`: the heights of micro-kernels.
fn panels(n: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = n.div_ceil(most);
    (0..count).map(move |p| p * n / count..(p + 1) * n / count)
}

/// The micro-kernels of two vectors' width, and products made of them.
struct Kernels<T: 'static> {
    table: &'static KernelTable<T>,
    /// Queries per panel.
    width: usize,
}

impl<T: Real> Kernels<T> {
    fn new() -> Self {
        let table = T::kernel_table();
        Kernels {
            table,
            width: 2 * table.lanes,
        }
    }

    fn height(&self) -> usize {
        self.table.packed(2).len()
    }

    /// Packs all rows of a matrix as a left operand.
    fn pack_a(&self, matrix: MatRef<'_, T>, dst: &mut [T]) {
        assert!(dst.len() >= matrix.rows * matrix.columns);
        let mut cuts = vec![0];
        cuts.extend(panels(matrix.rows, self.height()).map(|rows| rows.end));
        // SAFETY: the panels of a matrix of this size fill as many elements.
        unsafe { PackA::pack(&matrix, &cuts, 0..matrix.columns, dst.as_mut_ptr()) };
    }

    /// Packs all columns of a matrix, at most a panel of them, as a right operand.
    fn pack_b(&self, matrix: MatRef<'_, T>, dst: &mut [T]) {
        assert!(dst.len() >= matrix.rows * self.width && matrix.columns <= self.width);
        // SAFETY: one panel of the matrix's rows.
        unsafe {
            PackB::pack(
                &matrix,
                0..matrix.rows,
                0..matrix.columns,
                self.width,
                dst.as_mut_ptr(),
            )
        };
    }

    /// `c = alpha · a·b + beta · c` for packed operands: a of `rows` rows, b and c one panel wide.
    fn product(&self, rows: usize, depth: usize, a: &[T], b: &[T], c: &mut [T], alpha: T, beta: T) {
        assert!(a.len() >= rows * depth && b.len() >= depth * self.width && c.len() >= rows * self.width);
        for panel in panels(rows, self.height()) {
            let c = c[panel.start * self.width..].as_mut_ptr();
            let tile = Tile {
                alpha,
                beta,
                ..Tile::plain(c, self.width, self.table.lanes)
            };
            let a = a[panel.start * depth..].as_ptr();
            // SAFETY: the lengths were checked above.
            unsafe { self.table.packed(2)[panel.len() - 1](depth, a, b.as_ptr(), self.width, &tile) };
        }
    }
}

/// Adds the mask to the scores `[keys, width]` of one panel of queries and hides what a causal query may not see.
fn apply_mask<T: Real>(
    options: &AttentionOptions<'_, T>,
    kernels: &Kernels<T>,
    member: usize,
    queries: Range<usize>,
    keys: Range<usize>,
    scores: &mut [T],
) {
    let width = kernels.width;
    if let Some(mask) = options.mask {
        let [batch, head, query, key] = mask.strides;
        let heads = mask.heads.max(1);
        let start = member / heads * batch + member % heads * head + queries.start * query + keys.start * key;
        let block = MatRef::new(&mask.data[start..], keys.len(), queries.len(), key, query);
        let mut transposed = Buf::take(keys.len() * width);
        kernels.pack_b(block, &mut transposed);
        scores
            .iter_mut()
            .zip(transposed.iter())
            .for_each(|(s, &m)| *s += m);
    }
    if options.causal {
        for (key, row) in keys.clone().zip(scores.chunks_exact_mut(width)) {
            let hidden = key.saturating_sub(queries.start).min(width);
            row[..hidden].fill(T::NEG_INFINITY);
        }
    }
}

instantiate! {
    trait Instances for f32, f64 where Real;

    /// `out = softmax(scale · Q·Kᵀ + mask) · V`, `[batch, queries, value_dim]`; `logsumexp` is `[batch, queries]`. A query
    /// whose keys are all hidden gives zeros.
    ///
    /// # Panics
    /// If a slice does not have the size that the shape asks for.
    pub fn attention_forward(
        shape: &AttentionShape,
        q: &[T],
        k: &[T],
        v: &[T],
        options: &AttentionOptions<'_, T>,
        out: &mut [T],
        logsumexp: &mut [T],
    ) {
        shape.check(q, k, v, options);
        assert_eq!(
            out.len(),
            shape.batch * shape.queries * shape.value_dim,
            "attention: the size of the output"
        );
        assert_eq!(
            logsumexp.len(),
            shape.batch * shape.queries,
            "attention: the size of the logsumexp"
        );
        if logsumexp.is_empty() {
            return;
        }
        let kernels = Kernels::<T>::new();
        let query_panels = shape.queries.div_ceil(kernels.width);
        // Each task packs the keys and values that it needs: one task per member, unless there are too few of these.
        let groups = (4 * num_threads())
            .div_ceil(shape.batch)
            .min(query_panels.div_ceil(4));
        let (out, logsumexp) = (SendPtr(out.as_mut_ptr()), SendPtr(logsumexp.as_mut_ptr()));
        parallel_for(shape.batch * groups, |task| {
            let (member, group) = (task / groups, task % groups);
            let panels = group * query_panels / groups..(group + 1) * query_panels / groups;
            let queries = panels.start * kernels.width..(panels.end * kernels.width).min(shape.queries);
            let first = member * shape.queries + queries.start;
            // SAFETY: this task alone writes the results of its queries.
            let (out, logsumexp) = unsafe {
                (
                    std::slice::from_raw_parts_mut(
                        out.ptr().add(first * shape.value_dim),
                        queries.len() * shape.value_dim,
                    ),
                    std::slice::from_raw_parts_mut(logsumexp.ptr().add(first), queries.len()),
                )
            };
            forward_queries(shape, &kernels, member, queries, q, k, v, options, out, logsumexp);
        });
    }
}

/// The forward pass of a range of queries of one member.
fn forward_queries<T: Real>(
    shape: &AttentionShape,
    kernels: &Kernels<T>,
    member: usize,
    queries: Range<usize>,
    q: &[T],
    k: &[T],
    v: &[T],
    options: &AttentionOptions<'_, T>,
    out: &mut [T],
    logsumexp: &mut [T],
) {
    let AttentionShape {
        keys, dim, value_dim, ..
    } = *shape;
    let width = kernels.width;
    let (k, v) = (&k[member * keys * dim..], &v[member * keys * value_dim..]);
    let (mut k_packed, mut v_packed) = (Buf::<T>::take(keys * dim), Buf::<T>::take(keys * value_dim));
    for block in shape.key_blocks() {
        let (k, v) = (&k[block.start * dim..], &v[block.start * value_dim..]);
        let n = block.len();
        kernels.pack_a(MatRef::row_major(k, n, dim), &mut k_packed[block.start * dim..]);
        let v = MatRef::row_major(v, n, value_dim).transposed();
        kernels.pack_a(v, &mut v_packed[block.start * value_dim..]);
    }
    let mut q_panel = Buf::<T>::take(dim * width);
    let mut scores = Buf::<T>::take(KEY_BLOCK.min(keys) * width);
    let mut values = Buf::<T>::take(value_dim * width);
    let mut running = Running {
        largest: Buf::take(width),
        sum: Buf::take(width),
    };
    for panel in blocks(queries.len(), width) {
        let first = queries.start + panel.start;
        let rows = &q[(member * shape.queries + first) * dim..][..panel.len() * dim];
        kernels.pack_b(
            MatRef::row_major(rows, panel.len(), dim).transposed(),
            &mut q_panel,
        );
        running.largest.fill(T::LOWEST);
        running.sum.fill(T::ZERO);
        values.fill(T::ZERO);
        for block in shape.key_blocks() {
            if options.causal && block.start >= first + panel.len() {
                break;
            }
            let n = block.len();
            let k_block = &k_packed[block.start * dim..];
            kernels.product(n, dim, k_block, &q_panel, &mut scores, options.scale, T::ZERO);
            let scores = &mut scores[..n * width];
            apply_mask(
                options,
                kernels,
                member,
                first..first + panel.len(),
                block.clone(),
                scores,
            );
            T::dispatch(Softmax {
                scores,
                values: &mut values,
                running: &mut running,
            });
            let v_block = &v_packed[block.start * value_dim..];
            kernels.product(value_dim, n, v_block, scores, &mut values, T::ONE, T::ONE);
        }
        for (i, row) in panel.clone().enumerate() {
            logsumexp[row] = running.largest[i] + running.sum[i].ln();
        }
        let out = &mut out[panel.start * value_dim..panel.end * value_dim];
        T::dispatch(Normalize {
            values: &mut values,
            sum: &running.sum,
            out,
            value_dim,
        });
    }
}

/// Maximum and sum so far, per query of a panel.
struct Running<T: Real> {
    largest: Buf<T>,
    sum: Buf<T>,
}

/// Turns the scores of a block into weights relative to the new maximum, and scales what was summed before.
struct Softmax<'a, T: Real> {
    scores: &'a mut [T],
    values: &'a mut [T],
    running: &'a mut Running<T>,
}

impl<T: Real> WithSimd<T> for Softmax<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let width = 2 * S::LANES;
        let Softmax {
            scores,
            values,
            running,
        } = self;
        assert!(scores.len().is_multiple_of(width) && values.len().is_multiple_of(width));
        assert!(running.largest.len() == width && running.sum.len() == width);
        for half in 0..2 {
            let at = half * S::LANES;
            // SAFETY: all accesses are whole vectors inside rows of `width` elements, as asserted.
            unsafe {
                let (largest, sum) = (
                    running.largest.as_mut_ptr().add(at),
                    running.sum.as_mut_ptr().add(at),
                );
                let before = s.load(largest);
                let mut new = [before; 2];
                for (i, row) in scores.chunks_exact(width).enumerate() {
                    new[i % 2] = s.max(new[i % 2], s.load(row.as_ptr().add(at)));
                }
                // At least the lowest number, so that −∞ minus the maximum is not NaN.
                let new = s.max(s.splat(T::LOWEST), s.max(new[0], new[1]));
                let mut total = [s.splat(T::ZERO); 2];
                for (i, row) in scores.chunks_exact_mut(width).enumerate() {
                    let p = row.as_mut_ptr().add(at);
                    let weight = exp(s, s.sub(s.load(p), new));
                    total[i % 2] = s.add(total[i % 2], weight);
                    s.store(p, weight);
                }
                let factor = exp(s, s.sub(before, new));
                s.store(sum, s.mul_add(s.load(sum), factor, s.add(total[0], total[1])));
                s.store(largest, new);
                for row in values.chunks_exact_mut(width) {
                    let p = row.as_mut_ptr().add(at);
                    s.store(p, s.mul(s.load(p), factor));
                }
            }
        }
    }
}

/// `out[query, d] = values[d, query] / sum[query]`, 0 where the sum is 0.
struct Normalize<'a, T> {
    values: &'a mut [T],
    sum: &'a [T],
    out: &'a mut [T],
    value_dim: usize,
}

impl<T: Real> WithSimd<T> for Normalize<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let Normalize {
            values,
            sum,
            out,
            value_dim,
        } = self;
        let width = 2 * S::LANES;
        let mut inverse = [T::ZERO; 32];
        for (inverse, &sum) in inverse.iter_mut().zip(sum) {
            *inverse = if sum == T::ZERO { T::ZERO } else { T::ONE / sum };
        }
        for row in values.chunks_exact_mut(width) {
            row.iter_mut().zip(&inverse).for_each(|(x, &i)| *x *= i);
        }
        transpose(s, values, width, value_dim, out);
    }
}

/// `dst[i, d] = src[d, i]` for as many rows of `dim` elements as `dst` has, at most `width`.
#[inline(always)]
fn transpose<S: Simd>(s: S, src: &[S::Elem], width: usize, dim: usize, dst: &mut [S::Elem]) {
    let rows = dst.len().checked_div(dim).unwrap_or(0);
    assert!(rows <= width && src.len() >= dim * width);
    for i in (0..rows).step_by(S::LANES) {
        for d in (0..dim).step_by(S::LANES) {
            let (count, number) = ((dim - d).min(S::LANES), (rows - i).min(S::LANES));
            // SAFETY: the blocks lie inside `[dim, width]` and `[rows, dim]`, as asserted.
            unsafe {
                let (from, to) = (src.as_ptr().add(d * width + i), dst.as_mut_ptr().add(i * dim + d));
                s.transpose(from, width, count, number, to, dim, count);
            }
        }
    }
}

#[cfg(test)]
mod tests;
