//! Attention and its gradients against plain loops.

use super::*;
use crate::testing::{Lcg, assert_close, for_every_isa, same_bits_for_any_threads};

struct Reference {
    out: Vec<f64>,
    q: Vec<f64>,
    k: Vec<f64>,
    v: Vec<f64>,
}

/// Values and gradients in f64, score by score.
fn reference<T: Real>(
    shape: &AttentionShape,
    [q, k, v, grad]: [&[T]; 4],
    options: &AttentionOptions<'_, T>,
) -> Reference {
    let AttentionShape {
        batch,
        queries,
        keys,
        dim,
        value_dim,
    } = *shape;
    let f = |x: T| x.to_f64();
    let mut r = Reference {
        out: vec![0.0; batch * queries * value_dim],
        q: vec![0.0; q.len()],
        k: vec![0.0; k.len()],
        v: vec![0.0; v.len()],
    };
    for b in 0..batch {
        for i in 0..queries {
            let (qi, oi) = ((b * queries + i) * dim, (b * queries + i) * value_dim);
            let mut p: Vec<f64> = (0..keys)
                .map(|j| {
                    let dot: f64 = (0..dim)
                        .map(|d| f(q[qi + d]) * f(k[(b * keys + j) * dim + d]))
                        .sum();
                    let mask = options.mask.map_or(0.0, |m| {
                        let [sb, sh, sq, sk] = m.strides;
                        f(m.data[b / m.heads * sb + b % m.heads * sh + i * sq + j * sk])
                    });
                    let hidden = options.causal && j > i;
                    if hidden {
                        0.0
                    } else {
                        (dot * f(options.scale) + mask).exp()
                    }
                })
                .collect();
            let sum: f64 = p.iter().sum();
            p.iter_mut()
                .for_each(|p| *p = if sum == 0.0 { 0.0 } else { *p / sum });
            let dp: Vec<f64> = (0..keys)
                .map(|j| {
                    (0..value_dim)
                        .map(|d| f(grad[oi + d]) * f(v[(b * keys + j) * value_dim + d]))
                        .sum()
                })
                .collect();
            let delta: f64 = p.iter().zip(&dp).map(|(p, d)| p * d).sum();
            for j in 0..keys {
                let (kj, vj) = ((b * keys + j) * dim, (b * keys + j) * value_dim);
                let ds = p[j] * (dp[j] - delta) * f(options.scale);
                for d in 0..value_dim {
                    r.out[oi + d] += p[j] * f(v[vj + d]);
                    r.v[vj + d] += p[j] * f(grad[oi + d]);
                }
                for d in 0..dim {
                    r.q[qi + d] += ds * f(k[kj + d]);
                    r.k[kj + d] += ds * f(q[qi + d]);
                }
            }
        }
    }
    r
}

fn shapes() -> Vec<AttentionShape> {
    [
        (2, 5, 7, 4, 3),
        (4, 33, 40, 16, 16),
        (2, 70, 300, 17, 33),
        (2, 300, 70, 8, 40),
        (2, 1, 600, 64, 64),
        (2, 64, 1, 3, 5),
        (2, 3, 0, 4, 4),
        (2, 0, 3, 4, 4),
        (0, 3, 3, 4, 4),
        (2, 3, 4, 0, 2),
    ]
    .map(|(batch, queries, keys, dim, value_dim)| AttentionShape {
        batch,
        queries,
        keys,
        dim,
        value_dim,
    })
    .to_vec()
}

fn compute<T: Real>(
    shape: &AttentionShape,
    [q, k, v, grad]: [&[T]; 4],
    options: &AttentionOptions<'_, T>,
) -> [Vec<T>; 4] {
    let nan = T::from_f64(f64::NAN);
    let mut out = vec![nan; grad.len()];
    let mut logsumexp = vec![nan; shape.batch * shape.queries];
    attention_forward(shape, q, k, v, options, &mut out, &mut logsumexp);
    let [mut gq, mut gk, mut gv] = [q, k, v].map(|x| vec![nan; x.len()]);
    let gradients = AttentionGradients {
        q: &mut gq,
        k: &mut gk,
        v: &mut gv,
    };
    attention_backward(shape, q, k, v, options, &out, &logsumexp, grad, gradients);
    [out, gq, gk, gv]
}

fn attentions_match<T: Real>(tolerance: f64) {
    let mut random = Lcg::new(11);
    for shape in shapes() {
        let AttentionShape {
            batch,
            queries,
            keys,
            dim,
            value_dim,
        } = shape;
        let q = random.vec::<T>(batch * queries * dim);
        let k = random.vec::<T>(batch * keys * dim);
        let v = random.vec::<T>(batch * keys * value_dim);
        let grad = random.vec::<T>(batch * queries * value_dim);
        let mut mask = random.vec::<T>(batch * queries * keys + 1);
        for (i, m) in mask.iter_mut().enumerate() {
            // Some keys are hidden, and from some queries all.
            if i % 5 == 0 || (keys > 0 && i / keys % 4 == 2) {
                *m = T::NEG_INFINITY;
            }
        }
        for variant in 0..5 {
            let strides = match variant {
                2 => Some([2 * queries * keys, queries * keys, keys, 1]),
                3 => Some([queries * keys, 0, 1, queries]),
                4 => Some([0, 0, 0, 1]),
                _ => None,
            };
            let options = AttentionOptions {
                scale: T::from_f64(1.7 / (dim.max(1) as f64).sqrt()),
                causal: variant == 1 || variant == 3,
                mask: strides.map(|strides| AttentionMask {
                    data: &mask,
                    heads: 2,
                    strides,
                }),
            };
            let inputs = [&q[..], &k, &v, &grad];
            let got = compute(&shape, inputs, &options);
            let want = reference(&shape, inputs, &options);
            for (got, want) in got.iter().zip([want.out, want.q, want.k, want.v]) {
                assert_close(got, &want, tolerance);
            }
        }
    }
}

#[test]
fn every_shape_mask_and_set() {
    for_every_isa(|| {
        attentions_match::<f32>(1e-5);
        attentions_match::<f64>(1e-13);
    });
}

#[test]
fn the_bits_do_not_depend_on_the_threads() {
    let shape = AttentionShape {
        batch: 2,
        queries: 400,
        keys: 300,
        dim: 16,
        value_dim: 16,
    };
    let mut random = Lcg::new(12);
    let [q, k, v, grad] = [400, 300, 300, 400].map(|n| random.vec::<f32>(2 * 16 * n));
    let options = AttentionOptions {
        scale: 0.25,
        causal: false,
        mask: None,
    };
    same_bits_for_any_threads(|| compute(&shape, [&q, &k, &v, &grad], &options).concat());
}
