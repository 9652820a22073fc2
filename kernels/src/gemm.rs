//! Matrix products `C = act(alpha · A·B + beta · C + biases + residual)` of f32 and f64, and of integers.
//!
//! A is `[m, k]` and B `[k, n]`, both with any strides, so that transposes are views; C is row-major. (torch: `mm`,
//! `matmul`, `bmm`, `addmm`, `linear`.) Large products are cut into blocks, packed, and run through micro-kernels that
//! hold a tile of C in registers; products with few rows or columns read the large operand once, where it lies. Which
//! way is taken and in which blocks the inner dimension is summed depends on the sizes alone, so results are the same
//! bits whatever the number of threads.

mod driver;
mod integer;
mod kernel;
mod output;
mod pack;
mod plan;
mod small;

pub use integer::{Integer, gemm_integer};
pub use kernel::KernelTable;

pub(crate) use driver::Operand;
pub(crate) use kernel::{Tile, tables};
pub(crate) use output::Output;
pub(crate) use pack::{PackA, PackB};
pub(crate) use plan::{DEPTH_BLOCK, Plan};

use crate::element::{Pod, instantiate};
use crate::mem::Buf;
use crate::pool::{SendPtr, num_threads, parallel_for};
use crate::simd::Real;

/// A matrix in a slice: element `(i, j)` is `data[i · row_stride + j · column_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct MatRef<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a, T> MatRef<'a, T> {
    /// A view with any strides (0 repeats).
    ///
    /// # Panics
    /// If the last element lies outside `data`.
    pub fn new(data: &'a [T], rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> Self {
        let matrix = MatRef {
            data,
            rows,
            columns,
            row_stride,
            column_stride,
        };
        assert!(
            matrix.span() <= data.len(),
            "a {rows} × {columns} matrix with strides {row_stride} and {column_stride} does not fit in {} elements",
            data.len()
        );
        matrix
    }

    /// A contiguous row-major matrix.
    pub fn row_major(data: &'a [T], rows: usize, columns: usize) -> Self {
        Self::new(data, rows, columns, columns, 1)
    }

    /// The same elements with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        MatRef {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Elements from the first to the last.
    fn span(&self) -> usize {
        if self.rows == 0 || self.columns == 0 {
            return 0;
        }
        let last = (self.rows - 1).checked_mul(self.row_stride).and_then(|r| {
            r.checked_add((self.columns - 1).checked_mul(self.column_stride)?)?
                .checked_add(1)
        });
        last.unwrap_or(usize::MAX)
    }

    /// The address of element `(i, j)`, which may be one past a range.
    pub(crate) fn at(&self, i: usize, j: usize) -> *const T {
        self.data
            .as_ptr()
            .wrapping_add(i * self.row_stride + j * self.column_stride)
    }

    /// Columns `from..to`.
    fn columns(self, from: usize, to: usize) -> Self {
        let start = if self.rows == 0 || from == to {
            0
        } else {
            from * self.column_stride
        };
        MatRef {
            data: &self.data[start..],
            columns: to - from,
            ..self
        }
    }
}

/// What happens to the elements of a product before they are stored.
#[derive(Clone, Copy)]
pub struct Epilogue<'a, T> {
    /// Factor of the product.
    pub alpha: T,
    /// Factor of what C held before; with 0, C is not read.
    pub beta: T,
    /// `[m]`: one value for each row of C.
    pub row_bias: Option<&'a [T]>,
    /// `[n]`: one value for each column of C.
    pub column_bias: Option<&'a [T]>,
    /// Laid out like C (the same leading dimension and batch strides).
    pub residual: Option<&'a [T]>,
    /// Applied last.
    pub activation: Activation<'a, T>,
}

impl<T: Real> Default for Epilogue<'_, T> {
    fn default() -> Self {
        Epilogue {
            alpha: T::ONE,
            beta: T::ZERO,
            row_bias: None,
            column_bias: None,
            residual: None,
            activation: Activation::None,
        }
    }
}

/// What is done to the elements of a product at the end.
#[derive(Clone, Copy, Default)]
pub enum Activation<'a, T> {
    /// Nothing.
    #[default]
    None,
    /// `max(x, 0)`; NaN stays NaN.
    Relu,
    /// Anything, in place, to pieces of rows while they are in the cache: called with the row, where the piece begins in C
    /// (in that of the member of a batch), and the piece.
    Rows(&'a (dyn Fn(usize, usize, &mut [T]) + Sync)),
}

instantiate! {
    trait Kernels for f32, f64 where Real;

    /// [`PackedB::new`].
    pub fn pack_b(b: MatRef<'_, T>) -> PackedB<T> {
        PackedB {
            packed: PackedB::plan(usize::MAX, b.rows, b.columns).pack_b(&b),
            rows: b.rows,
            columns: b.columns,
            isa: crate::isa::current(),
        }
    }

    /// `C = act(alpha · A·B + beta · C + biases + residual)`, with `ldc` elements from one row of C to the next.
    ///
    /// # Panics
    /// If the inner dimensions differ, or C, a bias or the residual is too short.
    pub fn gemm(
        a: MatRef<'_, T>,
        b: MatRef<'_, T>,
        c: &mut [T],
        ldc: usize,
        epilogue: &Epilogue<'_, T>,
    ) {
        let (m, n) = check(a, b.rows, b.columns, c, ldc, epilogue);
        if m > 0 && n > 0 {
            product(a, b, SendPtr(c.as_mut_ptr()), ldc, epilogue);
        }
    }

    /// `batch` products: A, B and C of member `i` start `i` batch strides after those of member 0 (0 repeats a matrix, but
    /// not for C). The epilogue's biases are shared, its residual is laid out like C.
    ///
    /// # Panics
    /// As [`gemm`], and if the matrices of C overlap.
    pub fn gemm_batched(
        batch: usize,
        a: MatRef<'_, T>,
        a_stride: usize,
        b: MatRef<'_, T>,
        b_stride: usize,
        c: &mut [T],
        ldc: usize,
        c_stride: usize,
        epilogue: &Epilogue<'_, T>,
    ) {
        let (m, n) = check(a, b.rows, b.columns, c, ldc, epilogue);
        if batch == 0 || m == 0 || n == 0 {
            return;
        }
        let matrix = (m - 1) * ldc + n;
        assert!(
            batch == 1 || c_stride >= matrix,
            "gemm_batched: the matrices of C overlap"
        );
        let fits = |len: usize, stride: usize, span: usize| {
            let needed = (batch - 1).checked_mul(stride).and_then(|s| s.checked_add(span));
            span == 0 || needed.is_some_and(|needed| needed <= len)
        };
        assert!(
            fits(a.data.len(), a_stride, a.span()),
            "gemm_batched: A holds fewer than {batch} matrices"
        );
        assert!(
            fits(b.data.len(), b_stride, b.span()),
            "gemm_batched: B holds fewer than {batch} matrices"
        );
        assert!(
            fits(c.len(), c_stride, matrix),
            "gemm_batched: C holds fewer than {batch} matrices"
        );
        assert!(
            epilogue.residual.is_none_or(|r| fits(r.len(), c_stride, matrix)),
            "gemm_batched: the residual holds fewer than {batch} matrices"
        );
        let c = SendPtr(c.as_mut_ptr());
        let member = |i: usize| {
            let skip = |matrix: MatRef<'_, T>, stride: usize| if matrix.span() == 0 { 0 } else { i * stride };
            let a = MatRef {
                data: &a.data[skip(a, a_stride)..],
                ..a
            };
            let b = MatRef {
                data: &b.data[skip(b, b_stride)..],
                ..b
            };
            let residual = epilogue.residual.map(|r| &r[i * c_stride..]);
            // The members' matrices are disjoint and inside C, as checked above.
            let c = SendPtr(c.ptr().wrapping_add(i * c_stride));
            product(
                a,
                b,
                c,
                ldc,
                &Epilogue {
                    residual,
                    ..*epilogue
                },
            );
        };
        let work = m.saturating_mul(n).saturating_mul(a.columns.max(1));
        if batch == 1 || (work >= LARGE_MEMBER && batch < 4 * num_threads()) {
            return (0..batch).for_each(member);
        }
        // Some members per task where one alone is not worth a fork.
        let members = (1_usize << 16).div_ceil(work).min(batch);
        parallel_for(batch.div_ceil(members), |t| {
            (t * members..((t + 1) * members).min(batch)).for_each(member)
        });
    }

    /// [`gemm`] with a packed B.
    ///
    /// # Panics
    /// As [`gemm`], and if the instruction set has changed since B was packed.
    pub fn gemm_packed(
        a: MatRef<'_, T>,
        b: &PackedB<T>,
        c: &mut [T],
        ldc: usize,
        epilogue: &Epilogue<'_, T>,
    ) {
        let (m, n) = check(a, b.rows, b.columns, c, ldc, epilogue);
        assert_eq!(
            b.isa,
            crate::isa::current(),
            "gemm_packed: B was packed for another instruction set"
        );
        if m == 0 || n == 0 {
            return;
        }
        let out = Output {
            c: SendPtr(c.as_mut_ptr()),
            ldc,
            segment: None,
        };
        PackedB::<T>::plan(m, b.rows, n).run(Operand::Source(&a), Operand::Packed(&b.packed), out, epilogue);
    }
}

fn check<T: Real>(
    a: MatRef<'_, T>,
    b_rows: usize,
    n: usize,
    c: &[T],
    ldc: usize,
    epilogue: &Epilogue<'_, T>,
) -> (usize, usize) {
    let m = a.rows;
    assert_eq!(a.columns, b_rows, "gemm: the inner dimensions of A and B differ");
    if m > 0 && n > 0 {
        let needed = (m - 1) * ldc + n;
        assert!(
            m == 1 || ldc >= n,
            "gemm: a leading dimension of {ldc} is less than a row of {n}"
        );
        assert!(
            c.len() >= needed,
            "gemm: C holds {} elements, not {needed}",
            c.len()
        );
        assert!(
            epilogue.row_bias.is_none_or(|b| b.len() >= m),
            "gemm: the row bias is shorter than {m}"
        );
        assert!(
            epilogue.column_bias.is_none_or(|b| b.len() >= n),
            "gemm: the column bias is shorter than {n}"
        );
        assert!(
            epilogue.residual.is_none_or(|r| r.len() >= needed),
            "gemm: the residual is shorter than C"
        );
    }
    (m, n)
}

/// Elements of an operand up to which it is packed as a whole for all tasks.
const SHARED_ELEMENTS: usize = 1 << 27;

/// The product of checked operands; C is a pointer so that a batch can run in parallel.
fn product<T: Real>(
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    c: SendPtr<T>,
    ldc: usize,
    epilogue: &Epilogue<'_, T>,
) {
    if small::run(a, b, c, ldc, epilogue) {
        return;
    }
    let plan = Plan::new(a.rows, b.columns, a.columns).apart();
    let out = Output {
        c,
        ldc,
        segment: None,
    };
    if plan.packs_in_tasks() {
        return plan.run(Operand::Source(&a), Operand::Source(&b), out, epilogue);
    }
    if a.rows >= b.columns && b.columns * a.columns <= SHARED_ELEMENTS {
        let packed = plan.pack_b(&b);
        plan.run(Operand::Source(&a), Operand::Packed(&packed), out, epilogue);
    } else {
        let packed = plan.pack_a(&a);
        plan.run(Operand::Packed(&packed), Operand::Source(&b), out, epilogue);
    }
}

/// Multiplications in one member of a batch from which on each is worth splitting over the threads.
const LARGE_MEMBER: usize = 1 << 26;

/// A right operand packed once for many products.
#[derive(Debug)]
pub struct PackedB<T: Pod> {
    packed: Buf<T>,
    rows: usize,
    columns: usize,
    isa: crate::isa::Isa,
}

impl<T: Real> PackedB<T> {
    /// Packs B for the instruction set in force.
    pub fn new(b: MatRef<'_, T>) -> Self {
        pack_b(b)
    }

    /// `[rows, columns]` of the matrix.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// The panels' width must not depend on the number of rows, which is not known when B is packed.
    fn plan(m: usize, k: usize, n: usize) -> Plan<T> {
        Plan::with_vectors(2, m, n, k)
    }
}

#[cfg(test)]
mod tests;
