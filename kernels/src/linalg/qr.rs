//! Householder reflections: `A = Q·R` with `Q = H₀·H₁·…`, `Hᵢ = I − τᵢ·vᵢ·vᵢᵀ` (LAPACK's `geqrf`, `orgqr`, `ormqr`).
//!
//! vᵢ is zero before element i, one there, and lies below the diagonal of column i of the packed factor.

use super::{copied, sqrt, subtract_multiple, subtract_product};
use crate::gemm::{Epilogue, MatRef, gemm};
use crate::simd::Real;

/// Reflections that are applied together.
const BLOCK: usize = 32;

/// Replaces A `[m, n]` by R in its upper triangle and the vectors of the reflections below.
///
/// # Panics
/// If A has not `m·n` elements or there are not `min(m, n)` factors.
pub fn qr<T: Real>(a: &mut [T], m: usize, n: usize, tau: &mut [T]) {
    let k = m.min(n);
    assert!(a.len() == m * n && tau.len() == k, "qr: sizes");
    for start in (0..k).step_by(BLOCK) {
        let end = (start + BLOCK).min(k);
        panel(a, m, n, start, end, tau);
        if end < n {
            let block = Reflections::new(
                &a[start * n + start..],
                m - start,
                end - start,
                n,
                &tau[start..end],
            );
            block.apply(&mut a[start * n + end..], n - end, n, true);
        }
    }
}

crate::simd! {
    fn panel[T: Real](a: &mut [T], m: usize, n: usize, start: usize, end: usize, tau: &mut [T]) -> () {
        let mut w = [T::ZERO; BLOCK];
        for j in start..end {
            tau[j] = reflect(a, m, n, j);
            let width = end - j - 1;
            if tau[j] == T::ZERO || width == 0 {
                continue;
            }
            let w = &mut w[..width];
            let (head, below) = a.split_at_mut((j + 1) * n);
            let row = &mut head[j * n + j + 1..j * n + end];
            w.copy_from_slice(row);
            for r in below.chunks_exact(n) {
                subtract_multiple(w, -r[j], &r[j + 1..end]);
            }
            subtract_multiple(row, tau[j], w);
            for r in below.chunks_exact_mut(n) {
                let factor = tau[j] * r[j];
                subtract_multiple(&mut r[j + 1..end], factor, w);
            }
        }
    }
}

/// Makes the reflection that zeroes column j below the diagonal, and stores it there (LAPACK's `larfg`).
#[inline(always)]
fn reflect<T: Real>(a: &mut [T], m: usize, n: usize, j: usize) -> T {
    // Scaled, so that squares neither overflow nor vanish.
    let mut largest = T::ZERO;
    for i in j + 1..m {
        let x = super::abs(a[i * n + j]);
        if x > largest {
            largest = x;
        }
    }
    if largest == T::ZERO {
        return T::ZERO;
    }
    let alpha = a[j * n + j];
    let scale = if super::abs(alpha) > largest {
        super::abs(alpha)
    } else {
        largest
    };
    let mut sum = (alpha / scale) * (alpha / scale);
    for i in j + 1..m {
        let x = a[i * n + j] / scale;
        sum += x * x;
    }
    let norm = scale * sqrt(sum);
    let beta = if alpha.to_f64().is_sign_negative() {
        norm
    } else {
        -norm
    };
    for i in j + 1..m {
        a[i * n + j] /= alpha - beta;
    }
    a[j * n + j] = beta;
    (beta - alpha) / beta
}

/// A few reflections in the form `I − V·T·Vᵀ`.
struct Reflections<T> {
    v: Vec<T>,
    t: Vec<T>,
    rows: usize,
    count: usize,
}

impl<T: Real> Reflections<T> {
    /// Of the vectors below the diagonal of `packed`, which has rows of `ld` elements.
    fn new(packed: &[T], rows: usize, count: usize, ld: usize, tau: &[T]) -> Self {
        let mut v = copied(packed, rows, count, ld);
        for (i, row) in v.chunks_exact_mut(count.max(1)).enumerate().take(count) {
            row[i..].fill(T::ZERO);
            row[i] = T::ONE;
        }
        // Column i of T: −τᵢ·T·(Vᵀ·vᵢ), with τᵢ on the diagonal.
        let vs = MatRef::row_major(&v, rows, count);
        let mut products = vec![T::ZERO; count * count];
        gemm(vs.transposed(), vs, &mut products, count, &Epilogue::default());
        let mut t = vec![T::ZERO; count * count];
        for i in 0..count {
            for r in 0..i {
                let mut sum = T::ZERO;
                for c in r..i {
                    sum += t[r * count + c] * products[c * count + i];
                }
                t[r * count + i] = -tau[i] * sum;
            }
            t[i * count + i] = tau[i];
        }
        Reflections { v, t, rows, count }
    }

    /// Applies the product of the reflections, or its transpose, to the rows of C.
    fn apply(&self, c: &mut [T], columns: usize, ldc: usize, transposed: bool) {
        let v = MatRef::row_major(&self.v, self.rows, self.count);
        let t = MatRef::row_major(&self.t, self.count, self.count);
        let t = if transposed { t.transposed() } else { t };
        let (mut w, mut tw) = (
            vec![T::ZERO; self.count * columns],
            vec![T::ZERO; self.count * columns],
        );
        let seen = MatRef::new(c, self.rows, columns, ldc, 1);
        gemm(v.transposed(), seen, &mut w, columns, &Epilogue::default());
        gemm(
            t,
            MatRef::row_major(&w, self.count, columns),
            &mut tw,
            columns,
            &Epilogue::default(),
        );
        subtract_product(v, MatRef::row_major(&tw, self.count, columns), c, ldc);
    }
}

/// Replaces C `[m, columns]` by `Q·C` or, with `transposed`, `Qᵀ·C`, where Q is the product of `tau.len()` reflections
/// packed in rows of `ld` elements.
///
/// # Panics
/// If a slice is too short, or there are more than m reflections.
pub fn apply_reflections<T: Real>(
    packed: &[T],
    ld: usize,
    tau: &[T],
    c: &mut [T],
    m: usize,
    columns: usize,
    transposed: bool,
) {
    let k = tau.len();
    assert!(k <= m && c.len() >= m * columns, "apply_reflections: sizes");
    if columns == 0 {
        return;
    }
    let apply = |start: usize, c: &mut [T]| {
        let end = (start + BLOCK).min(k);
        let packed = &packed[start * ld + start..];
        Reflections::new(packed, m - start, end - start, ld, &tau[start..end]).apply(
            &mut c[start * columns..],
            columns,
            columns,
            transposed,
        );
    };
    let starts = (0..k).step_by(BLOCK);
    if transposed {
        starts.for_each(|start| apply(start, c));
    } else {
        starts.rev().for_each(|start| apply(start, c));
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{matrix, near, product};
    use super::*;

    #[test]
    fn factors_multiply_back_and_q_is_orthogonal() {
        for (m, n) in [(1, 1), (4, 4), (9, 5), (5, 9), (80, 70), (40, 100)] {
            let a = matrix(m, n);
            let k = m.min(n);
            let (mut packed, mut tau) = (a.clone(), vec![0.0; k]);
            qr(&mut packed, m, n, &mut tau);
            let mut r: Vec<f64> = (0..m * n)
                .map(|e| if e % n >= e / n { packed[e] } else { 0.0 })
                .collect();
            apply_reflections(&packed, n, &tau, &mut r, m, n, false);
            near(&r, &a);
            let eye: Vec<f64> = (0..m * m)
                .map(|e| if e / m == e % m { 1.0 } else { 0.0 })
                .collect();
            let (mut q, mut qt) = (eye.clone(), eye.clone());
            apply_reflections(&packed, n, &tau, &mut q, m, m, false);
            apply_reflections(&packed, n, &tau, &mut qt, m, m, true);
            near(&product(&q, &qt, m, m, m), &eye);
        }
    }
}
