//! How element-wise kernels meet their operands: as blocks of contiguous elements.
//!
//! Every element-wise kernel is a loop over equally long contiguous slices. [`Operand`] delivers such slices for any
//! strided view: straight from memory where the elements lie side by side, through a small buffer that stays in the
//! first-level cache otherwise (broadcasts, small steps). So there is one loop per operation, not one per layout.

use crate::copy;
use crate::element::Pod;
use crate::mem::Buf;
use crate::pool;
use crate::view::{Nest, View};

/// Elements per block that goes through a buffer.
pub(crate) const BLOCK: usize = 1024;
/// Outputs up to this many elements are one block.
const SMALL: usize = 64;
/// Elements per task of a parallel call, and about the least that is worth sharing.
pub(crate) const GRAIN: usize = 8 * 1024;

/// Runs `f(first_index, piece)` over pieces of `out`, in parallel if it is long enough.
#[inline]
pub(crate) fn split<T: Pod>(out: &mut [T], f: impl Fn(usize, &mut [T]) + Sync) {
    if out.len() < 2 * GRAIN {
        return f(0, out);
    }
    pool::parallel_chunks_mut(out, pool::chunk_len(out.len(), GRAIN), f)
}

/// A strided operand, ready to be read in blocks.
pub(crate) struct Operand<'a, T: Pod> {
    data: &'a [T],
    nest: Nest<1>,
}

impl<'a, T: Pod> Operand<'a, T> {
    /// Prepares a view.
    pub(crate) fn new(view: View<'a, T>) -> Self {
        assert!(
            view.extent() <= view.data.len(),
            "kernel operand: the view reaches beyond its data"
        );
        let nest = Nest::new(view.shape, [view.strides]);
        Operand {
            data: view.data,
            nest,
        }
    }

    /// How many elements from output index `at` on may form one block, at most `len`: rows of a good length are not
    /// crossed, so that they need no copy.
    #[inline]
    fn run(&self, at: usize, len: usize) -> usize {
        let inner = self.nest.inner();
        match (inner.strides[0], self.nest.dims.len()) {
            (1, 1) => len,
            (1, _) if inner.len >= 64 => len.min(inner.len - at % inner.len),
            _ => len.min(BLOCK),
        }
    }

    /// The elements `at..at + len` in row-major order.
    #[inline]
    fn block<'b>(&'b self, at: usize, len: usize, scratch: &'b mut [T]) -> &'b [T] {
        let inner = self.nest.inner();
        let single = self.nest.dims.len() == 1;
        if inner.strides[0] == 1 && (single || at % inner.len + len <= inner.len) {
            let start = if single {
                at
            } else {
                self.nest.row(at / inner.len)[0] + at % inner.len
            };
            return &self.data[start..start + len];
        }
        let scratch = &mut scratch[..len];
        copy::gather_range(self.data, &self.nest, at, scratch);
        scratch
    }
}

/// Whether a view, read row by row, would step through memory in big strides though some other dimension is dense:
/// it is then cheaper to make it contiguous by a blocked transposition first.
fn wants_transposition<T: Pod>(view: &View<'_, T>) -> bool {
    let nest = Nest::new(view.shape, [view.strides]);
    let inner = nest.inner();
    inner.strides[0] > 1 && nest.numel() >= GRAIN && nest.dims.iter().any(|d| d.strides[0] == 1)
}

/// Calls `with` on an equivalent view that is good to read row by row.
fn prepared<T: Pod, R>(view: View<'_, T>, with: impl FnOnce(View<'_, T>) -> R) -> R {
    if !wants_transposition(&view) {
        return with(view);
    }
    let mut buf = Buf::take(view.numel());
    copy::gather_strided(view, &mut buf);
    let strides = contiguous_strides(view.shape);
    with(View {
        data: &buf,
        shape: view.shape,
        strides: &strides,
    })
}

/// The row-major strides of a shape.
pub(crate) fn contiguous_strides(shape: &[usize]) -> smallvec::SmallVec<[usize; 6]> {
    let mut strides = smallvec::SmallVec::from_elem(1, shape.len());
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d] * shape[d];
    }
    strides
}

/// `kernel(a, b, out)` over blocks, where `a` and `b` have the same shape and `out` as many elements.
pub(crate) fn zip2<A: Pod, B: Pod, O: Pod>(
    a: View<'_, A>,
    b: View<'_, B>,
    out: &mut [O],
    kernel: impl Fn(&[A], &[B], &mut [O]) + Sync,
) {
    assert_eq!(
        a.shape, b.shape,
        "element-wise kernel: the operands' shapes differ"
    );
    assert_eq!(
        a.numel(),
        out.len(),
        "element-wise kernel: the output's length is not the operands'"
    );
    if let (Some(a), Some(b)) = (a.as_slice(), b.as_slice()) {
        return split(out, |at, out| {
            kernel(&a[at..at + out.len()], &b[at..at + out.len()], out)
        });
    }
    if out.len() <= SMALL {
        let (a, b) = (Operand::new(a), Operand::new(b));
        let (mut sa, mut sb) = ([A::default(); SMALL], [B::default(); SMALL]);
        let len = out.len();
        return kernel(a.block(0, len, &mut sa), b.block(0, len, &mut sb), out);
    }
    prepared(a, |a| {
        prepared(b, |b| {
            let (a, b) = (Operand::new(a), Operand::new(b));
            split(out, |start, out| {
                let (mut sa, mut sb) = ([A::default(); BLOCK], [B::default(); BLOCK]);
                let mut at = 0;
                while at < out.len() {
                    let len = b.run(start + at, a.run(start + at, out.len() - at));
                    let a = a.block(start + at, len, &mut sa);
                    kernel(a, b.block(start + at, len, &mut sb), &mut out[at..at + len]);
                    at += len;
                }
            })
        })
    })
}

/// `kernel(a, b, c, out)` over blocks, where the operands have the same shape and `out` as many elements.
pub(crate) fn zip3<A: Pod, B: Pod, C: Pod, O: Pod>(
    a: View<'_, A>,
    b: View<'_, B>,
    c: View<'_, C>,
    out: &mut [O],
    kernel: impl Fn(&[A], &[B], &[C], &mut [O]) + Sync,
) {
    assert!(
        a.shape == b.shape && a.shape == c.shape,
        "element-wise kernel: the operands' shapes differ"
    );
    assert_eq!(
        a.numel(),
        out.len(),
        "element-wise kernel: the output's length is not the operands'"
    );
    if let (Some(a), Some(b), Some(c)) = (a.as_slice(), b.as_slice(), c.as_slice()) {
        return split(out, |at, out| {
            let range = at..at + out.len();
            kernel(&a[range.clone()], &b[range.clone()], &c[range], out)
        });
    }
    prepared(a, |a| {
        prepared(b, |b| {
            prepared(c, |c| {
                let (a, b, c) = (Operand::new(a), Operand::new(b), Operand::new(c));
                split(out, |start, out| {
                    let (mut sa, mut sb) = ([A::default(); BLOCK], [B::default(); BLOCK]);
                    let mut sc = [C::default(); BLOCK];
                    let mut at = 0;
                    while at < out.len() {
                        let len = c.run(start + at, b.run(start + at, a.run(start + at, out.len() - at)));
                        let a = a.block(start + at, len, &mut sa);
                        let b = b.block(start + at, len, &mut sb);
                        kernel(a, b, c.block(start + at, len, &mut sc), &mut out[at..at + len]);
                        at += len;
                    }
                })
            })
        })
    })
}

/// `kernel(a, b, out)` in place: `out` is also the first operand, copied block by block.
pub(crate) fn zip2_in_place<T: Pod>(
    out: &mut [T],
    b: View<'_, T>,
    kernel: impl Fn(&[T], &[T], &mut [T]) + Sync,
) {
    assert_eq!(
        b.numel(),
        out.len(),
        "element-wise kernel in place: the operands' lengths differ"
    );
    prepared(b, |b| {
        let b = Operand::new(b);
        split(out, |start, out| {
            let (mut sa, mut sb) = ([T::default(); BLOCK], [T::default(); BLOCK]);
            let mut at = 0;
            while at < out.len() {
                let len = b.run(start + at, (out.len() - at).min(BLOCK));
                let out = &mut out[at..at + len];
                let a = &mut sa[..len];
                a.copy_from_slice(out);
                kernel(a, b.block(start + at, len, &mut sb), out);
                at += len;
            }
        })
    })
}

/// `kernel(x, out)` in place.
pub(crate) fn map_in_place<T: Pod>(out: &mut [T], kernel: impl Fn(&[T], &mut [T]) + Sync) {
    split(out, |_, out| {
        let mut scratch = [T::default(); BLOCK];
        for out in out.chunks_mut(BLOCK) {
            let x = &mut scratch[..out.len()];
            x.copy_from_slice(out);
            kernel(x, out);
        }
    })
}
