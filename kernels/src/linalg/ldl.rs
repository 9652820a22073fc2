//! `A = L·D·Lᵀ` of a symmetric indefinite matrix by Bunch and Kaufman's pivoting; D has blocks of size 1 and 2
//! (LAPACK's `sytrf` and `sytrs` for the lower triangle).

use super::{abs, subtract_multiple, swap_rows};
use crate::simd::Real;

/// Replaces the lower triangle of A `[n, n]` by D's blocks on the diagonal and L below.
///
/// `pivots[k] > 0`: a block of size 1, rows k and `pivots[k] − 1` were swapped. `pivots[k] = pivots[k + 1] < 0`: a block
/// of size 2, rows k + 1 and `−pivots[k] − 1` were swapped. Returns 0, or the number of the first zero block.
///
/// # Panics
/// If A has not `n²` elements or there are not n pivots.
pub fn ldl<T: Real>(a: &mut [T], n: usize, pivots: &mut [i32]) -> i32 {
    assert!(a.len() == n * n && pivots.len() == n, "ldl: sizes");
    let threshold = T::from_f64((1.0 + 17f64.sqrt()) / 8.0);
    let (mut k, mut info) = (0, 0);
    while k < n {
        let (mut swap, mut step) = (k, 1);
        let diagonal = abs(a[k * n + k]);
        let (below, column_max) = largest((k + 1..n).map(|i| (i, a[i * n + k])), k);
        if !(diagonal > T::ZERO || column_max > T::ZERO) {
            if info == 0 {
                info = k as i32 + 1;
            }
            pivots[k] = k as i32 + 1;
            k += 1;
            continue;
        }
        if diagonal < threshold * column_max {
            let (_, left) = largest((k..below).map(|j| (j, a[below * n + j])), k);
            let (_, down) = largest((below + 1..n).map(|i| (i, a[i * n + below])), k);
            let row_max = if down > left { down } else { left };
            if diagonal < threshold * column_max * (column_max / row_max) {
                swap = below;
                if abs(a[below * n + below]) < threshold * row_max {
                    step = 2;
                }
            }
        }
        exchange(a, n, k, k + step - 1, swap);
        if step == 1 {
            eliminate_one(a, n, k);
            pivots[k] = swap as i32 + 1;
        } else {
            eliminate_two(a, n, k);
            pivots[k] = -(swap as i32 + 1);
            pivots[k + 1] = pivots[k];
        }
        k += step;
    }
    info
}

/// The element of the greatest magnitude and where it is; (`default`, 0) for none.
fn largest<T: Real>(elements: impl Iterator<Item = (usize, T)>, default: usize) -> (usize, T) {
    elements.fold((default, T::ZERO), |(at, max), (i, x)| {
        if abs(x) > max { (i, abs(x)) } else { (at, max) }
    })
}

/// Swaps rows and columns `to` and `from ≥ to` of the symmetric matrix from column k on, in the lower triangle.
fn exchange<T: Real>(a: &mut [T], n: usize, k: usize, to: usize, from: usize) {
    if from == to {
        return;
    }
    for i in from + 1..n {
        a.swap(i * n + to, i * n + from);
    }
    for j in to + 1..from {
        a.swap(j * n + to, from * n + j);
    }
    a.swap(to * n + to, from * n + from);
    if to > k {
        a.swap(to * n + k, from * n + k);
    }
}

fn eliminate_one<T: Real>(a: &mut [T], n: usize, k: usize) {
    let inverse = T::ONE / a[k * n + k];
    let column: Vec<T> = (k + 1..n).map(|i| a[i * n + k]).collect();
    for (r, &x) in column.iter().enumerate() {
        let row = &mut a[(k + 1 + r) * n..];
        subtract_multiple(&mut row[k + 1..k + 2 + r], inverse * x, &column[..=r]);
        row[k] = inverse * x;
    }
}

fn eliminate_two<T: Real>(a: &mut [T], n: usize, k: usize) {
    let off = a[(k + 1) * n + k];
    let (d11, d22) = (a[(k + 1) * n + k + 1] / off, a[k * n + k] / off);
    let scale = T::ONE / (d11 * d22 - T::ONE) / off;
    let columns: Vec<[T; 2]> = (k + 2..n).map(|i| [a[i * n + k], a[i * n + k + 1]]).collect();
    let factor = |[x, y]: [T; 2]| [scale * (d11 * x - y), scale * (d22 * y - x)];
    let factors: Vec<[T; 2]> = columns.iter().map(|&c| factor(c)).collect();
    for (r, &[x, y]) in columns.iter().enumerate() {
        let row = &mut a[(k + 2 + r) * n..];
        for (c, &[fx, fy]) in factors[..=r].iter().enumerate() {
            row[k + 2 + c] -= x * fx + y * fy;
        }
        [row[k], row[k + 1]] = factors[r];
    }
}

/// Replaces B `[n, columns]` by the solution of `A·X = B`, where A is given by its factors.
///
/// # Panics
/// If a slice has not the size of its matrix.
pub fn ldl_solve<T: Real>(a: &[T], n: usize, pivots: &[i32], b: &mut [T], columns: usize) {
    assert!(
        a.len() == n * n && pivots.len() == n && b.len() == n * columns,
        "ldl_solve: sizes"
    );
    let row_of = |pivot: i32| pivot.unsigned_abs().clamp(1, n as u32) as usize - 1;
    let mut k = 0;
    while k < n {
        let step = if pivots[k] > 0 || k + 1 == n { 1 } else { 2 };
        swap_rows(b, columns, k + step - 1, row_of(pivots[k]), columns);
        let (top, below) = b.split_at_mut((k + step) * columns);
        for (i, row) in below.chunks_exact_mut(columns.max(1)).enumerate() {
            for j in k..k + step {
                subtract_multiple(row, a[(k + step + i) * n + j], &top[j * columns..][..columns]);
            }
        }
        let (first, second) = top[k * columns..].split_at_mut(columns);
        if step == 1 {
            first.iter_mut().for_each(|x| *x /= a[k * n + k]);
        } else {
            let off = a[(k + 1) * n + k];
            let (d11, d22) = (a[k * n + k] / off, a[(k + 1) * n + k + 1] / off);
            let determinant = d11 * d22 - T::ONE;
            for (x, y) in first.iter_mut().zip(second) {
                let (p, q) = (*x / off, *y / off);
                *x = (d22 * p - q) / determinant;
                *y = (d11 * q - p) / determinant;
            }
        }
        k += step;
    }
    while k > 0 {
        let last = k - 1;
        let step = if pivots[last] > 0 || last == 0 { 1 } else { 2 };
        let (top, below) = b.split_at_mut(k * columns);
        for j in k - step..k {
            for (i, row) in below.chunks_exact(columns.max(1)).enumerate() {
                subtract_multiple(&mut top[j * columns..][..columns], a[(k + i) * n + j], row);
            }
        }
        swap_rows(b, columns, last, row_of(pivots[last]), columns);
        k -= step;
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{matrix, near, product};
    use super::*;

    #[test]
    fn symmetric_indefinite_systems_are_solved() {
        for n in [1, 2, 5, 24] {
            let b = matrix(n, n);
            let mut a: Vec<f64> = (0..n * n).map(|e| b[e] + b[e % n * n + e / n]).collect();
            match n {
                1 => a[0] = -3.0,
                2 => (a[0], a[3]) = (0.0, 0.0), // so that a block of size 2 is needed
                _ => a[0] = 0.0,
            }
            let x = matrix(n, 3);
            let mut y = product(&a, &x, n, n, 3);
            let (mut f, mut pivots) = (a.clone(), vec![0; n]);
            assert_eq!(ldl(&mut f, n, &mut pivots), 0);
            assert!(n != 2 || pivots.iter().all(|&p| p < 0));
            ldl_solve(&f, n, &pivots, &mut y, 3);
            near(&y, &x);
        }
    }
}
