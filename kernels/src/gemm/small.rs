//! Products with few rows, few columns or a long inner dimension, where packing would cost more than it saves.
//!
//! With few rows, B is read once and where it lies: along its rows by micro-kernels that are wider than they are tall,
//! or, for weights `[out, in]`, as dot products of contiguous rows. Few columns are few rows of the transposed product.

use super::kernel::{DOTS, Tile, UNPACKED_ROWS};
use super::pack::PackA;
use super::{Activation, Epilogue, MatRef};
use crate::mem::Buf;
use crate::pool::{SendPtr, parallel_for};
use crate::simd::Real;

/// Rows (or columns) up to which the large operand is read in place.
const FEW: usize = UNPACKED_ROWS;
/// Elements of C up to which the inner dimension is split, and the length of the pieces.
const SPLIT_OUTPUTS: usize = 64 * 64;
const SPLIT_DEPTH: usize = 4096;
/// Pieces of the inner dimension at most.
const MAX_SPLITS: usize = 16;
/// Elements of the large operand that make a task.
const TASK_ELEMENTS: usize = 1 << 14;

/// Computes the product if it is one of this module's kind.
pub(super) fn run<T: Real>(
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    c: SendPtr<T>,
    ldc: usize,
    epilogue: &Epilogue<'_, T>,
) -> bool {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    if k >= 2 * SPLIT_DEPTH && m * n <= SPLIT_OUTPUTS {
        split_depth(a, b, c, ldc, epilogue);
        return true;
    }
    if m <= FEW && n >= m && k > 0 {
        let place = Place {
            c,
            row: ldc,
            column: 1,
            epilogue,
            transposed: false,
        };
        return few_rows(a, b, place);
    }
    if n <= FEW && k > 0 {
        let place = Place {
            c,
            row: 1,
            column: ldc,
            epilogue,
            transposed: true,
        };
        return few_rows(b.transposed(), a.transposed(), place);
    }
    false
}

/// Where the product of few rows goes: to C, or to its transpose.
struct Place<'a, T> {
    c: SendPtr<T>,
    row: usize,
    column: usize,
    epilogue: &'a Epilogue<'a, T>,
    transposed: bool,
}

impl<T: Real> Place<'_, T> {
    /// Finishes and stores one element; `Activation::Rows` is left to `activate`.
    ///
    /// # Safety
    /// The element lies inside C and nobody else accesses it.
    #[inline(always)]
    unsafe fn put(&self, i: usize, j: usize, value: T) {
        let offset = i * self.row + j * self.column;
        let (row, column) = if self.transposed { (j, i) } else { (i, j) };
        let e = self.epilogue;
        let mut x = if e.alpha == T::ONE { value } else { e.alpha * value };
        // SAFETY: the caller vouches for the element.
        unsafe {
            let p = self.c.ptr().add(offset);
            if e.beta != T::ZERO {
                x += e.beta * *p;
            }
            if let Some(bias) = e.row_bias {
                x += bias[row];
            }
            if let Some(bias) = e.column_bias {
                x += bias[column];
            }
            if let Some(residual) = e.residual {
                x += residual[offset];
            }
            if matches!(e.activation, Activation::Relu) && x < T::ZERO {
                x = T::ZERO;
            }
            *p = x;
        }
    }

    /// Applies `Activation::Rows` to rows `0..m` of columns `from..to`.
    ///
    /// # Safety
    /// The elements lie inside C and nobody else accesses them.
    unsafe fn activate(&self, m: usize, from: usize, to: usize) {
        let Activation::Rows(f) = self.epilogue.activation else {
            return;
        };
        let (lines, len) = if self.transposed {
            (from..to, m)
        } else {
            (0..m, to - from)
        };
        for line in lines {
            let offset = if self.transposed {
                line * self.column
            } else {
                line * self.row + from
            };
            // SAFETY: contiguous elements of C, for which the caller vouches.
            f(line, offset, unsafe {
                std::slice::from_raw_parts_mut(self.c.ptr().add(offset), len)
            });
        }
    }
}

/// A product of at most `FEW` rows. Returns whether B lies so that it can be read in place.
fn few_rows<T: Real>(a: MatRef<'_, T>, b: MatRef<'_, T>, place: Place<'_, T>) -> bool {
    if b.row_stride == 1 && (b.column_stride != 1 || b.columns == 1) {
        dots(a, b, &place);
    } else if b.column_stride == 1 {
        along_rows(a, b, &place);
    } else {
        return false;
    }
    true
}

/// B's columns are contiguous: dot products.
fn dots<T: Real>(a: MatRef<'_, T>, b: MatRef<'_, T>, place: &Place<'_, T>) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    let table = T::kernel_table();
    let mut copy;
    let (x, x_stride) = if a.column_stride == 1 {
        (a.data, a.row_stride)
    } else {
        copy = Buf::<T>::take(m * k);
        for i in 0..m {
            // SAFETY: one row of A, and one of the copy.
            unsafe { PackA::pack(&a, &[i, i + 1], 0..k, copy.as_mut_ptr().add(i * k)) };
        }
        (&copy[..], k)
    };
    let chunk = TASK_ELEMENTS.div_ceil(k).next_multiple_of(DOTS);
    parallel_for(n.div_ceil(chunk), |t| {
        let (from, to) = (t * chunk, ((t + 1) * chunk).min(n));
        let mut out = [T::ZERO; 4 * DOTS];
        let mut j = from;
        while j < to {
            let (columns, kernels) = if to - j >= DOTS {
                (DOTS, &table.dots)
            } else {
                (1, &table.dot)
            };
            let mut i = 0;
            while i < m {
                let rows = (m - i).min(4);
                // SAFETY: `rows` rows of A and `columns` columns of B of k elements; elements of C of this task alone.
                unsafe {
                    let (x, w) = (x.as_ptr().add(i * x_stride), b.at(0, j));
                    kernels[rows - 1](k, x, x_stride, w, b.column_stride, out.as_mut_ptr());
                    for r in 0..rows {
                        for q in 0..columns {
                            place.put(i + r, j + q, out[r * DOTS + q]);
                        }
                    }
                }
                i += rows;
            }
            j += columns;
        }
        // SAFETY: elements of C of this task alone.
        unsafe { place.activate(m, from, to) };
    });
}

/// B's rows are contiguous: sums of its rows.
fn along_rows<T: Real>(a: MatRef<'_, T>, b: MatRef<'_, T>, place: &Place<'_, T>) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    let table = T::kernel_table();
    let mut panel = Buf::take(m * k);
    // SAFETY: all of A, and a buffer of its size.
    unsafe { PackA::pack(&a, &[0, m], 0..k, panel.as_mut_ptr()) };
    let kernels = &table.unpacked[m - 1];
    let widest = kernels[0].0 * table.lanes;
    let chunk = TASK_ELEMENTS.div_ceil(k).next_multiple_of(widest);
    let e = place.epilogue;
    parallel_for(n.div_ceil(chunk), |t| {
        let (from, to) = (t * chunk, ((t + 1) * chunk).min(n));
        let mut buffer = if place.transposed {
            Buf::take(m * (to - from))
        } else {
            Buf::take(0)
        };
        let mut j = from;
        while j < to {
            let vectors = (to - j).div_ceil(table.lanes);
            let (vectors, kernel) = kernels
                .iter()
                .find(|kernel| kernel.0 <= vectors)
                .unwrap_or(&kernels[2]);
            let columns = (vectors * table.lanes).min(to - j);
            let last = columns - (vectors - 1) * table.lanes;
            let pointer = |values: Option<&[T]>, offset: usize| {
                values.map_or(std::ptr::null(), |v| v[offset..].as_ptr())
            };
            let tile = if place.transposed {
                Tile::plain(buffer[j - from..].as_mut_ptr(), to - from, last)
            } else {
                Tile {
                    c: place.c.ptr().wrapping_add(j),
                    ldc: place.row,
                    last,
                    alpha: e.alpha,
                    beta: e.beta,
                    row_bias: pointer(e.row_bias, 0),
                    column_bias: pointer(e.column_bias, j),
                    residual: pointer(e.residual, j),
                    relu: matches!(e.activation, Activation::Relu),
                    ahead: place.c.ptr(),
                    requested: 0,
                }
            };
            // SAFETY: k rows of `columns` elements of B, and a tile inside C or the buffer.
            unsafe { kernel(k, panel.as_ptr(), b.at(0, j), b.row_stride, &tile) };
            j += columns;
        }
        // SAFETY: elements of C of this task alone.
        unsafe {
            if place.transposed {
                for j in from..to {
                    for i in 0..m {
                        place.put(i, j, buffer[i * (to - from) + j - from]);
                    }
                }
            }
            place.activate(m, from, to);
        }
    });
}

/// Few elements of C, each a long sum: pieces of the inner dimension in parallel, added in order.
fn split_depth<T: Real>(
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    c: SendPtr<T>,
    ldc: usize,
    epilogue: &Epilogue<'_, T>,
) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    let pieces = (k / SPLIT_DEPTH).min(MAX_SPLITS);
    let mut partial = Buf::<T>::take(pieces * m * n);
    let base = SendPtr(partial.as_mut_ptr());
    parallel_for(pieces, |t| {
        let (from, to) = (t * k / pieces, (t + 1) * k / pieces);
        let b = b.transposed().columns(from, to).transposed();
        let c = SendPtr(base.ptr().wrapping_add(t * m * n));
        unsplit(a.columns(from, to), b, c);
    });
    let place = Place {
        c,
        row: ldc,
        column: 1,
        epilogue,
        transposed: false,
    };
    for i in 0..m {
        for j in 0..n {
            let sum = (0..pieces).map(|t| partial[(t * m + i) * n + j]).sum();
            // SAFETY: the element lies inside C.
            unsafe { place.put(i, j, sum) };
        }
    }
    // SAFETY: all of C.
    unsafe { place.activate(m, 0, n) };
}

/// A product whose inner dimension is not split again.
fn unsplit<T: Real>(a: MatRef<'_, T>, b: MatRef<'_, T>, c: SendPtr<T>) {
    let (m, n) = (a.rows, b.columns);
    let epilogue = &Epilogue::default();
    let few = if m <= FEW && n >= m {
        few_rows(
            a,
            b,
            Place {
                c,
                row: n,
                column: 1,
                epilogue,
                transposed: false,
            },
        )
    } else if n <= FEW {
        few_rows(
            b.transposed(),
            a.transposed(),
            Place {
                c,
                row: 1,
                column: n,
                epilogue,
                transposed: true,
            },
        )
    } else {
        false
    };
    if !few {
        let out = super::Output {
            c,
            ldc: n,
            segment: None,
        };
        super::Plan::new(m, n, a.columns).run(
            super::Operand::Source(&a),
            super::Operand::Source(&b),
            out,
            epilogue,
        );
    }
}
