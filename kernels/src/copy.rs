//! Copies between strided and contiguous memory.
//!
//! What is copied doesn't matter, only its size does: the kernels work on unsigned integers of 1 to 16 bytes.

use crate::element::Pod;
use crate::elementwise::{GRAIN, split};
use crate::pool::{self, SendPtr};
use crate::view::{Nest, View, extent};

/// Rows and columns of a tile of a transposition.
const TILE: usize = 64;

/// `out = src` in row-major order (torch's `contiguous`). `out` has as many elements as `src`.
pub fn gather_strided<T: Pod>(src: View<'_, T>, out: &mut [T]) {
    assert_eq!(
        src.numel(),
        out.len(),
        "gather_strided: the output's length is not the source's"
    );
    assert!(
        src.extent() <= src.data.len(),
        "gather_strided: the view reaches beyond its data"
    );
    if out.is_empty() {
        return;
    }
    let nest = Nest::new(src.shape, [src.strides]);
    match size_of::<T>() {
        1 => gather::<u8>(bits(src.data), &nest, bits_mut(out)),
        2 => gather::<u16>(bits(src.data), &nest, bits_mut(out)),
        4 => gather::<u32>(bits(src.data), &nest, bits_mut(out)),
        8 => gather::<u64>(bits(src.data), &nest, bits_mut(out)),
        _ => gather::<T>(src.data, &nest, out),
    }
}

/// `out[…] = src` for row-major `src` of the given shape and an output with strides. Elements of `out` between those
/// that the strides reach keep their values; an element reached more than once gets the last value.
pub fn scatter_strided<T: Pod>(src: &[T], out: &mut [T], shape: &[usize], out_strides: &[usize]) {
    assert_eq!(
        src.len(),
        shape.iter().product(),
        "scatter_strided: the source's length is not the shape's"
    );
    assert!(
        extent(shape, out_strides) <= out.len(),
        "scatter_strided: the strides reach beyond the output"
    );
    if src.is_empty() {
        return;
    }
    let nest = Nest::new(shape, [out_strides]);
    match size_of::<T>() {
        1 => scatter::<u8>(bits(src), bits_mut(out), &nest),
        2 => scatter::<u16>(bits(src), bits_mut(out), &nest),
        4 => scatter::<u32>(bits(src), bits_mut(out), &nest),
        8 => scatter::<u64>(bits(src), bits_mut(out), &nest),
        _ => scatter::<T>(src, out, &nest),
    }
}

/// `out[..] = value`.
pub fn fill<T: Pod>(out: &mut [T], value: T) {
    split(out, |_, out| out.fill(value))
}

/// `out = src`, both contiguous.
pub fn copy<T: Pod>(src: &[T], out: &mut [T]) {
    assert_eq!(src.len(), out.len(), "copy: the lengths differ");
    split(out, |at, out| out.copy_from_slice(&src[at..at + out.len()]))
}

/// The slice as another type of the same size and alignment.
pub(crate) fn bits<T: Pod, U: Pod>(slice: &[T]) -> &[U] {
    assert!(size_of::<T>() == size_of::<U>() && align_of::<T>() >= align_of::<U>());
    // SAFETY: same size, no stricter alignment, and every bit pattern is valid for plain data.
    unsafe { std::slice::from_raw_parts(slice.as_ptr().cast(), slice.len()) }
}

/// The slice as another type of the same size and alignment.
pub(crate) fn bits_mut<T: Pod, U: Pod>(slice: &mut [T]) -> &mut [U] {
    assert!(size_of::<T>() == size_of::<U>() && align_of::<T>() >= align_of::<U>());
    // SAFETY: as in `bits`, and borrowed mutably.
    unsafe { std::slice::from_raw_parts_mut(slice.as_mut_ptr().cast(), slice.len()) }
}

fn gather<T: Pod>(data: &[T], nest: &Nest<1>, out: &mut [T]) {
    let inner = nest.inner();
    let dense = nest.dims.iter().position(|d| d.strides[0] == 1);
    match dense {
        Some(dense) if inner.strides[0] > 1 && out.len() >= TILE * TILE => transpose(data, nest, dense, out),
        _ => split(out, |at, out| gather_range(data, nest, at, out)),
    }
}

/// Copies the elements from index `at` on, in row-major order of the nest, to `out`.
pub(crate) fn gather_range<T: Pod>(data: &[T], nest: &Nest<1>, at: usize, out: &mut [T]) {
    let (len, stride) = (nest.inner().len, nest.inner().strides[0]);
    if out.is_empty() {
        return;
    }
    let (first, last) = (at / len, (at + out.len() - 1) / len);
    let mut done = 0;
    nest.for_rows(first..last + 1, |row, [offset]| {
        let from = if row == first { at % len } else { 0 };
        let count = (len - from).min(out.len() - done);
        let (piece, start) = (&mut out[done..done + count], offset + from * stride);
        match stride {
            0 => piece.fill(data[start]),
            1 => piece.copy_from_slice(&data[start..start + count]),
            // Parts of complex numbers: a step that the compiler knows becomes vector instructions.
            2 => {
                let (pairs, last) = data[start..][..2 * count - 1].as_chunks::<2>();
                for (o, &[x, _]) in piece.iter_mut().zip(pairs) {
                    *o = x;
                }
                piece[count - 1] = last[0];
            }
            _ => {
                for (o, &x) in piece.iter_mut().zip(data[start..].iter().step_by(stride)) {
                    *o = x;
                }
            }
        }
        done += count;
    });
}

/// The nest's innermost dimension has a large step and `dense` is the one with step 1: copies square tiles over the two
/// so that both sides are touched in whole cache lines.
fn transpose<T: Pod>(data: &[T], nest: &Nest<1>, dense: usize, out: &mut [T]) {
    let dims = &nest.dims;
    let last = dims.len() - 1;
    let out_stride = |d: usize| dims[d + 1..].iter().map(|d| d.len).product::<usize>();
    let (rows, columns) = (dims[dense].len, dims[last].len);
    let (row_step, column_step) = (out_stride(dense), dims[last].strides[0]);
    let others = Nest::from_dims(
        (0..last)
            .filter(|&d| d != dense)
            .map(|d| crate::view::Dim {
                len: dims[d].len,
                strides: [dims[d].strides[0], out_stride(d)],
            })
            .chain([crate::view::Dim {
                len: 1,
                strides: [0, 0],
            }]),
    );
    let (bands, planes) = (rows.div_ceil(TILE), others.numel());
    let inner = others.inner();
    let base = SendPtr(out.as_mut_ptr());
    let total = out.len();
    let band = |task: usize| {
        let (plane, first) = (task / bands, task % bands * TILE);
        let height = TILE.min(rows - first);
        let [mut from, mut to] = others.row(plane / inner.len);
        from += plane % inner.len * inner.strides[0] + first;
        to += plane % inner.len * inner.strides[1] + first * row_step;
        // Through a tile of its own: lines that lie a power of two apart would throw each other out of the cache.
        let mut tile = [[T::default(); TILE]; TILE];
        for column in (0..columns).step_by(TILE) {
            let width = TILE.min(columns - column);
            for (k, line) in tile[..width].iter_mut().enumerate() {
                let start = from + (column + k) * column_step;
                line[..height].copy_from_slice(&data[start..start + height]);
            }
            for i in 0..height {
                let start = to + i * row_step + column;
                assert!(start + width <= total);
                // SAFETY: in bounds by the assertion; tasks write disjoint rows or planes of `out`.
                let line = unsafe { std::slice::from_raw_parts_mut(base.ptr().add(start), width) };
                for (o, column) in line.iter_mut().zip(&tile) {
                    *o = column[i];
                }
            }
        }
    };
    let tasks = planes * bands;
    if total < 2 * GRAIN {
        return (0..tasks).for_each(band);
    }
    let group = tasks.div_ceil(128).max(1);
    pool::parallel_ranges(tasks, group, |range| range.for_each(band))
}

fn scatter<T: Pod>(src: &[T], out: &mut [T], nest: &Nest<1>) {
    let inner = nest.inner();
    let (len, stride) = (inner.len, inner.strides[0]);
    let base = SendPtr(out.as_mut_ptr());
    let total = out.len();
    let rows = |rows: std::ops::Range<usize>| {
        nest.for_rows(rows, |row, [offset]| {
            let source = &src[row * len..(row + 1) * len];
            assert!(offset + (len - 1) * stride < total);
            // SAFETY: in bounds by the assertion; rows that are written in parallel are disjoint.
            unsafe {
                let start = base.ptr().add(offset);
                if stride == 1 {
                    std::ptr::copy_nonoverlapping(source.as_ptr(), start, len);
                } else {
                    for (i, &x) in source.iter().enumerate() {
                        *start.add(i * stride) = x;
                    }
                }
            }
        })
    };
    if src.len() < 2 * GRAIN || !is_injective(nest) {
        return rows(0..nest.rows());
    }
    pool::parallel_ranges(
        nest.rows(),
        nest.rows().div_ceil(128).max(GRAIN.div_ceil(len)),
        rows,
    )
}

/// Whether no two indices share an offset; may say no where they don't.
fn is_injective(nest: &Nest<1>) -> bool {
    let mut dims = nest.dims.clone();
    dims.sort_by_key(|d| d.strides[0]);
    let mut reach = 0;
    dims.iter().all(|d| {
        let apart = d.len == 1 || d.strides[0] > reach;
        reach += (d.len - 1) * d.strides[0];
        apart
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(shape: &[usize], strides: &[usize]) -> Vec<usize> {
        let mut offsets = vec![0];
        for (&len, &stride) in shape.iter().zip(strides) {
            offsets = offsets
                .iter()
                .flat_map(|&o| (0..len).map(move |i| o + i * stride))
                .collect();
        }
        offsets
    }

    fn check<T: Pod>(shape: &[usize], strides: &[usize], value: impl Fn(usize) -> T) {
        let offsets = reference(shape, strides);
        let data: Vec<T> = (0..extent(shape, strides)).map(value).collect();
        let mut out = vec![T::default(); offsets.len()];
        gather_strided(
            View {
                data: &data,
                shape,
                strides,
            },
            &mut out,
        );
        assert!(
            out.iter().zip(&offsets).all(|(o, &i)| *o == data[i]),
            "{shape:?} {strides:?}"
        );
        let mut back = vec![T::default(); data.len()];
        scatter_strided(&out, &mut back, shape, strides);
        assert!(
            offsets.iter().all(|&i| back[i] == data[i]),
            "{shape:?} {strides:?}"
        );
    }

    #[test]
    fn every_layout_gives_the_elements_in_order() {
        let layouts: [(&[usize], &[usize]); 9] = [
            (&[2, 3], &[3, 1]),
            (&[3, 2], &[1, 3]),
            (&[200, 130], &[1, 200]),
            (&[3, 70, 50], &[3500, 1, 70]),
            (&[70, 3, 50], &[1, 3500, 70]),
            (&[5, 0, 3], &[1, 1, 1]),
            (&[40, 1000], &[0, 1]),
            (&[1000, 40], &[1, 0]),
            (&[30, 30, 30], &[1, 30, 900]),
        ];
        for (shape, strides) in layouts {
            check(shape, strides, |i| i as f32);
            check(shape, strides, |i| i as f64);
            check(shape, strides, |i| i as u8);
            check(shape, strides, |i| i as i16);
        }
    }

    #[test]
    fn fill_and_copy() {
        let mut out = vec![0i32; 40_000];
        fill(&mut out, 7);
        assert!(out.iter().all(|&x| x == 7));
        let src: Vec<i32> = (0..40_000).collect();
        copy(&src, &mut out);
        assert_eq!(src, out);
    }
}
