//! The gradients of attention.
//!
//! With P the weights, `dV = Pᵀ·dO`, `dP = dO·Vᵀ`, `dS = scale · P ∘ (dP − rowsum(dO ∘ O))`, `dQ = dS·K`, `dK = dSᵀ·Q`.
//! P is made again from the scores and the logsumexp, transposed as in the forward pass.

use super::{AttentionOptions, AttentionShape, KEY_BLOCK, Kernels, apply_mask, blocks, transpose};
use crate::element::instantiate;
use crate::gemm::{MatRef, Tile};
use crate::mem::Buf;
use crate::pool::{SendPtr, parallel_for};
use crate::simd::{Real, Simd, WithSimd, exp};

/// Panels of queries whose scores are held at a time, so that the sums over queries are not too short.
const PANELS: usize = 4;

/// Where the gradients go; each has the size of what it is the gradient of.
#[derive(Debug)]
pub struct AttentionGradients<'a, T> {
    /// Of the queries.
    pub q: &'a mut [T],
    /// Of the keys.
    pub k: &'a mut [T],
    /// Of the values.
    pub v: &'a mut [T],
}

instantiate! {
    trait Instances for f32, f64 where Real;

    /// The gradients of queries, keys and values, given `out` and `logsumexp` of the forward pass and the gradient of `out`.
    ///
    /// # Panics
    /// If a slice does not have the size that the shape asks for.
    pub fn attention_backward(
        shape: &AttentionShape,
        q: &[T],
        k: &[T],
        v: &[T],
        options: &AttentionOptions<'_, T>,
        out: &[T],
        logsumexp: &[T],
        grad_out: &[T],
        gradients: AttentionGradients<'_, T>,
    ) {
        shape.check(q, k, v, options);
        let AttentionGradients {
            q: grad_q,
            k: grad_k,
            v: grad_v,
        } = gradients;
        assert_eq!(
            out.len(),
            shape.batch * shape.queries * shape.value_dim,
            "attention: the size of the output"
        );
        assert_eq!(
            grad_out.len(),
            out.len(),
            "attention: the size of the output's gradient"
        );
        assert_eq!(
            logsumexp.len(),
            shape.batch * shape.queries,
            "attention: the size of the logsumexp"
        );
        assert_eq!(
            [grad_q.len(), grad_k.len(), grad_v.len()],
            [q.len(), k.len(), v.len()],
            "attention: the sizes of the gradients"
        );
        let pointers = [grad_q.as_mut_ptr(), grad_k.as_mut_ptr(), grad_v.as_mut_ptr()].map(SendPtr);
        let lengths = [
            shape.queries * shape.dim,
            shape.keys * shape.dim,
            shape.keys * shape.value_dim,
        ];
        parallel_for(shape.batch, |member| {
            // SAFETY: this task alone writes the gradients of its member.
            let [grad_q, grad_k, grad_v] = std::array::from_fn(|i| unsafe {
                std::slice::from_raw_parts_mut(pointers[i].ptr().add(member * lengths[i]), lengths[i])
            });
            let values = shape.queries * shape.value_dim;
            Member {
                shape,
                options,
                kernels: Kernels::new(),
                member,
                q: &q[member * lengths[0]..][..lengths[0]],
                k: &k[member * lengths[1]..][..lengths[1]],
                v: &v[member * lengths[2]..][..lengths[2]],
                out: &out[member * values..][..values],
                grad_out: &grad_out[member * values..][..values],
                logsumexp: &logsumexp[member * shape.queries..][..shape.queries],
            }
            .run(grad_q, grad_k, grad_v);
        });
    }
}

/// One member of the batch.
struct Member<'a, T: Real> {
    shape: &'a AttentionShape,
    options: &'a AttentionOptions<'a, T>,
    kernels: Kernels<T>,
    member: usize,
    q: &'a [T],
    k: &'a [T],
    v: &'a [T],
    out: &'a [T],
    grad_out: &'a [T],
    logsumexp: &'a [T],
}

impl<T: Real> Member<'_, T> {
    fn run(&self, grad_q: &mut [T], grad_k: &mut [T], grad_v: &mut [T]) {
        let AttentionShape {
            queries,
            keys,
            dim,
            value_dim,
            ..
        } = *self.shape;
        let (kernels, width) = (&self.kernels, self.kernels.width);
        grad_q.fill(T::ZERO);
        grad_k.fill(T::ZERO);
        grad_v.fill(T::ZERO);
        let block = KEY_BLOCK.min(keys);
        let mut k_packed = Buf::<T>::take(block * dim);
        let mut k_turned = Buf::<T>::take(block * dim);
        let mut v_packed = Buf::<T>::take(block * value_dim);
        let mut weights = Buf::<T>::take(PANELS * block * width);
        let mut scores = Buf::<T>::take(PANELS * block * width);
        let mut q_panel = Buf::<T>::take(dim * width);
        let mut grad_panel = Buf::<T>::take(value_dim * width);
        let mut turned = Buf::<T>::take(dim * width);
        for keys in self.shape.key_blocks() {
            let n = keys.len();
            let k = MatRef::row_major(&self.k[keys.start * dim..], n, dim);
            let v = MatRef::row_major(&self.v[keys.start * value_dim..], n, value_dim);
            kernels.pack_a(k, &mut k_packed);
            kernels.pack_a(k.transposed(), &mut k_turned);
            kernels.pack_a(v, &mut v_packed);
            for group in blocks(queries, PANELS * width) {
                if self.options.causal && keys.start >= group.end {
                    continue;
                }
                for (i, panel) in blocks(group.len(), width).enumerate() {
                    let panel = group.start + panel.start..group.start + panel.end;
                    let number = panel.len();
                    let weights = &mut weights[i * n * width..][..n * width];
                    let scores = &mut scores[i * n * width..][..n * width];
                    let q = MatRef::row_major(&self.q[panel.start * dim..], number, dim);
                    kernels.pack_b(q.transposed(), &mut q_panel);
                    kernels.product(n, dim, &k_packed, &q_panel, weights, self.options.scale, T::ZERO);
                    apply_mask(
                        self.options,
                        kernels,
                        self.member,
                        panel.clone(),
                        keys.clone(),
                        weights,
                    );
                    let values = panel.start * value_dim..panel.end * value_dim;
                    let grad = MatRef::row_major(&self.grad_out[values.clone()], number, value_dim);
                    kernels.pack_b(grad.transposed(), &mut grad_panel);
                    kernels.product(n, value_dim, &v_packed, &grad_panel, scores, T::ONE, T::ZERO);
                    T::dispatch(ScoreGradients {
                        weights,
                        scores,
                        logsumexp: &self.logsumexp[panel.clone()],
                        out: &self.out[values.clone()],
                        grad_out: &self.grad_out[values],
                        value_dim,
                        scale: self.options.scale,
                    });
                    kernels.product(dim, n, &k_turned, scores, &mut turned, T::ONE, T::ZERO);
                    let grad_q = &mut grad_q[panel.start * dim..panel.end * dim];
                    T::dispatch(AddTransposed {
                        src: &mut turned,
                        dim,
                        dst: grad_q,
                    });
                }
                let grad_out = &self.grad_out[group.start * value_dim..group.end * value_dim];
                let grad_v = &mut grad_v[keys.start * value_dim..keys.end * value_dim];
                self.sum_over_queries(n, group.len(), &weights, grad_out, value_dim, grad_v);
                let q = &self.q[group.start * dim..group.end * dim];
                let grad_k = &mut grad_k[keys.start * dim..keys.end * dim];
                self.sum_over_queries(n, group.len(), &scores, q, dim, grad_k);
            }
        }
    }

    /// `sums[key, d] += Σ_query panels[key, query] · rows[query, d]`, where `panels` holds `[keys, width]` for each
    /// panel of queries.
    fn sum_over_queries(
        &self,
        keys: usize,
        queries: usize,
        panels: &[T],
        rows: &[T],
        dim: usize,
        sums: &mut [T],
    ) {
        let (kernels, width) = (&self.kernels, self.kernels.width);
        let mut a = Buf::<T>::take(kernels.height() * queries);
        let mut b = Buf::<T>::take(queries * dim.next_multiple_of(width));
        for columns in blocks(dim, width) {
            let matrix = MatRef::new(&rows[columns.start..], queries, columns.len(), dim, 1);
            kernels.pack_b(matrix, &mut b[columns.start * queries..]);
        }
        for panel in super::panels(keys, kernels.height()) {
            let height = panel.len();
            for (i, part) in blocks(queries, width).enumerate() {
                let block = &panels[(i * keys + panel.start) * width..][..height * width];
                let matrix = MatRef::new(block, height, part.len(), width, 1);
                kernels.pack_a(matrix, &mut a[part.start * height..]);
            }
            for columns in blocks(dim, width) {
                let vectors = columns.len().div_ceil(kernels.table.lanes);
                let last = columns.len() - (vectors - 1) * kernels.table.lanes;
                let c = sums[panel.start * dim + columns.start..].as_mut_ptr();
                let tile = Tile {
                    beta: T::ONE,
                    ..Tile::plain(c, dim, last)
                };
                let b = b[columns.start * queries..].as_ptr();
                // SAFETY: panels of `queries` steps, and a tile inside `[keys, dim]`.
                unsafe { kernels.table.packed(vectors)[height - 1](queries, a.as_ptr(), b, width, &tile) };
            }
        }
    }
}

/// From scores to weights P, and from dP to dS, for one panel of queries.
struct ScoreGradients<'a, T> {
    weights: &'a mut [T],
    scores: &'a mut [T],
    logsumexp: &'a [T],
    out: &'a [T],
    grad_out: &'a [T],
    value_dim: usize,
    scale: T,
}

impl<T: Real> WithSimd<T> for ScoreGradients<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let width = 2 * S::LANES;
        // Queries beyond the last get the weight 0, and so do those that see no key.
        let (mut logsumexp, mut delta) = ([T::INFINITY; 32], [T::ZERO; 32]);
        for (i, &l) in self.logsumexp.iter().enumerate() {
            if l != T::NEG_INFINITY {
                logsumexp[i] = l;
            }
            let row = i * self.value_dim..(i + 1) * self.value_dim;
            let mut sum = s.splat(T::ZERO);
            let (out, grad) = (&self.out[row.clone()], &self.grad_out[row]);
            for (out, grad) in out.chunks(S::LANES).zip(grad.chunks(S::LANES)) {
                // SAFETY: the chunks' own lengths.
                unsafe {
                    let (out, grad) = (
                        s.load_partial(out.as_ptr(), out.len()),
                        s.load_partial(grad.as_ptr(), grad.len()),
                    );
                    sum = s.mul_add(out, grad, sum);
                }
            }
            delta[i] = s.reduce_sum(sum);
        }
        let scale = s.splat(self.scale);
        for (weights, scores) in self
            .weights
            .chunks_exact_mut(width)
            .zip(self.scores.chunks_exact_mut(width))
        {
            for at in [0, S::LANES] {
                // SAFETY: whole vectors inside rows of `width` elements, at most 32.
                unsafe {
                    let (w, g) = (weights.as_mut_ptr().add(at), scores.as_mut_ptr().add(at));
                    let weight = exp(s, s.sub(s.load(w), s.load(logsumexp.as_ptr().add(at))));
                    let grad = s.sub(s.load(g), s.load(delta.as_ptr().add(at)));
                    s.store(w, weight);
                    s.store(g, s.mul(s.mul(weight, scale), grad));
                }
            }
        }
    }
}

/// `dst[i, d] += src[d, i]`.
struct AddTransposed<'a, T> {
    src: &'a mut [T],
    dim: usize,
    dst: &'a mut [T],
}

impl<T: Real> WithSimd<T> for AddTransposed<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let mut turned = Buf::<T>::take(self.dst.len());
        transpose(s, self.src, 2 * S::LANES, self.dim, &mut turned);
        self.dst.iter_mut().zip(turned.iter()).for_each(|(d, &t)| *d += t);
    }
}
