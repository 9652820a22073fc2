//! Extremes along one dimension together with where they are.

use super::fold::{Fold, fold_slice};
use crate::element::Number;
use crate::elementwise::GRAIN;
use crate::pool::{self, SendPtr};
use crate::simd;
use crate::unary::choose;
use crate::view::{Dim, Nest, View};

/// The most neighbouring outputs that are searched together.
const COLUMNS: usize = 512;

/// The extreme value along `dim` and its first index, for every index of the other dimensions in row-major order.
pub(super) fn along<T: Number, F: Fold<T, Lane = T>>(
    fold: F,
    x: View<'_, T>,
    dim: usize,
    values: &mut [T],
    indices: &mut [i64],
) {
    assert!(
        x.extent() <= x.data.len(),
        "extreme_with_index: the view reaches beyond its data"
    );
    assert_eq!(
        values.len(),
        indices.len(),
        "extreme_with_index: the outputs' lengths differ"
    );
    let kept = Nest::from_dims((0..x.shape.len()).filter(|&d| d != dim).map(|d| Dim {
        len: x.shape[d],
        strides: [x.strides[d]],
    }));
    assert_eq!(
        kept.numel(),
        values.len(),
        "extreme_with_index: the outputs' length is not the other dimensions'"
    );
    let (len, step) = x.shape.get(dim).map_or((1, 1), |&len| (len, x.strides[dim]));
    assert!(
        len > 0 || values.is_empty(),
        "extreme_with_index: the dimension is empty"
    );
    let inner = kept.inner();
    let (width, inner_step) = (inner.len, inner.strides[0]);
    let (to_values, to_indices) = (SendPtr(values.as_mut_ptr()), SendPtr(indices.as_mut_ptr()));
    let blocks = width.div_ceil(COLUMNS);
    let task = |task: usize| {
        let (row, from) = (task / blocks, task % blocks * COLUMNS);
        let count = COLUMNS.min(width - from);
        let start = row * width + from;
        // SAFETY: the outputs have `rows · width` elements, and each task has columns of its own.
        let (values, indices) = unsafe {
            (
                std::slice::from_raw_parts_mut(to_values.ptr().add(start), count),
                std::slice::from_raw_parts_mut(to_indices.ptr().add(start), count),
            )
        };
        let data = &x.data[kept.row(row)[0] + from * inner_step..];
        if step == 1 || inner_step != 1 {
            for (j, (value, index)) in values.iter_mut().zip(indices).enumerate() {
                (*value, *index) = search(fold, &data[j * inner_step..], len, step);
            }
        } else {
            search_columns(fold, data, len, step, values, indices);
        }
    };
    let tasks = if values.is_empty() {
        0
    } else {
        kept.rows() * blocks
    };
    if len * values.len() < 2 * GRAIN {
        return (0..tasks).for_each(task);
    }
    let group = (GRAIN / (len * COLUMNS.min(width)).max(1))
        .max(tasks.div_ceil(128))
        .max(1);
    pool::parallel_ranges(tasks, group, |range| range.for_each(&task))
}

/// The extreme of `len` elements `step` apart, and its first index.
fn search<T: Number, F: Fold<T, Lane = T>>(fold: F, data: &[T], len: usize, step: usize) -> (T, i64) {
    if step == 1 {
        let x = &data[..len];
        let best = fold_slice(fold, x);
        let at = if best.is_not_a_number() {
            x.iter().position(|x| x.is_not_a_number())
        } else {
            x.iter().position(|&x| x == best)
        };
        let at = at.unwrap_or(0);
        return (x[at], at as i64);
    }
    let (mut best, mut at) = (data[0], 0);
    for i in 1..len {
        let x = data[i * step];
        if displaces(fold, best, x) {
            (best, at) = (x, i as i64);
        }
    }
    (best, at)
}

/// Whether `x`, which comes later, takes the place of `best`.
#[inline(always)]
fn displaces<T: Number, F: Fold<T, Lane = T>>(fold: F, best: T, x: T) -> bool {
    let joined = fold.join(best, x);
    !best.is_not_a_number() && ((joined != best) || joined.is_not_a_number())
}

simd! {
    fn search_columns[T: Number, F: Fold<T, Lane = T>](
        fold: F, data: &[T], len: usize, step: usize, values: &mut [T], indices: &mut [i64],
    ) {
        let width = values.len();
        let indices = &mut indices[..width];
        values.copy_from_slice(&data[..width]);
        indices.fill(0);
        for i in 1..len {
            let row = &data[i * step..i * step + width];
            for j in 0..width {
                let better = displaces(fold, values[j], row[j]);
                indices[j] = choose(better, i as i64, indices[j]);
                values[j] = choose(better, row[j], values[j]);
            }
        }
    }
}
