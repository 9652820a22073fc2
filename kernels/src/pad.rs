//! `nn.functional.pad`: constant, reflect, replicate and circular, over any number of trailing dimensions.
//!
//! Padding is separable: an axis lists, for every output position, the input position it copies, or [`OUTSIDE`].
//! Negative padding crops.

use crate::element::{Number, Pod};
use crate::index::rows_per_task;

use crate::pool;

/// In a list of positions: the constant.
pub const OUTSIDE: usize = usize::MAX;

/// What is put around the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A value.
    Constant,
    /// The input mirrored at its border cells, which are not repeated.
    Reflect,
    /// The border cells.
    Replicate,
    /// The other end of the input.
    Circular,
}

/// PyTorch's name.
impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Mode::Constant => "constant",
            Mode::Reflect => "reflect",
            Mode::Replicate => "replicate",
            Mode::Circular => "circular",
        })
    }
}

/// The positions along a dimension of `input` cells with `before` and `after` cells added, or None where the mode can't:
/// reflection needs less padding than cells, circular padding no more, replication a cell, and no size is negative.
/// Circular padding goes round what negative padding leaves.
pub fn positions(mode: Mode, input: usize, before: isize, after: isize) -> Option<Vec<usize>> {
    let len = input as isize;
    let output = len.checked_add(before)?.checked_add(after)?;
    let most = before.max(after);
    let first = (-before).max(0);
    let kept = len + before.min(0) + after.min(0);
    let possible = match mode {
        Mode::Constant => true,
        Mode::Reflect => most < len,
        Mode::Replicate => len > 0,
        Mode::Circular => most <= kept.max(0),
    };
    let start = before.checked_neg()?;
    if output < 0 || !possible {
        return None;
    }
    let source = |at: isize| match mode {
        Mode::Constant if at < 0 || at >= len => OUTSIDE,
        Mode::Constant => at as usize,
        Mode::Reflect if at < 0 => -at as usize,
        Mode::Reflect if at >= len => (2 * len - 2 - at) as usize,
        Mode::Reflect => at as usize,
        Mode::Replicate => at.clamp(0, len - 1) as usize,
        Mode::Circular => (first + (at - first).rem_euclid(kept)) as usize,
    };
    let mut positions = Vec::new();
    positions.try_reserve_exact(output as usize).ok()?;
    positions.extend((start..start.checked_add(output)?).map(source));
    Some(positions)
}

/// The longest run of consecutive positions: where it begins, and its length.
fn longest_run(positions: &[usize]) -> (usize, usize) {
    let (mut best, mut start) = ((0, 0), 0);
    for at in 0..positions.len() {
        if positions[at] == OUTSIDE {
            start = at + 1;
            continue;
        }
        if at > start && positions[at] != positions[at - 1] + 1 {
            start = at;
        }
        if at + 1 - start > best.1 {
            best = (start, at + 1 - start);
        }
    }
    best
}

/// The input row that output row `row` (counted over all planes) copies, or [`OUTSIDE`].
fn source_row(mut row: usize, input: &[usize], leading: &[Vec<usize>]) -> usize {
    let (mut source, mut place) = (0, 1);
    for (positions, &input) in leading.iter().zip(input).rev() {
        let position = positions[row % positions.len()];
        if position == OUTSIDE {
            return OUTSIDE;
        }
        source += position * place;
        row /= positions.len();
        place *= input;
    }
    source + row * place
}

/// Pads `x` (`[planes, inputs…]`): `input` are the padded dimensions' sizes, `positions` one list for each.
pub fn pad<T: Pod>(x: &[T], out: &mut [T], input: &[usize], positions: &[Vec<usize>], value: T) {
    let (Some((last, leading)), Some(&width_in)) = (positions.split_last(), input.last()) else {
        return out.copy_from_slice(x);
    };
    if out.is_empty() {
        return;
    }
    let width = last.len();
    let (run, run_len) = longest_run(last);
    let rows = rows_per_task(out.len() / width, width);
    pool::parallel_chunks_mut(out, rows * width, |first, piece| {
        for (i, out) in piece.chunks_exact_mut(width).enumerate() {
            let row = source_row(first / width + i, input, leading);
            if row == OUTSIDE {
                out.fill(value);
                continue;
            }
            let row = &x[row * width_in..][..width_in];
            if run_len > 0 {
                out[run..run + run_len].copy_from_slice(&row[last[run]..][..run_len]);
            }
            for at in (0..run).chain(run + run_len..width) {
                out[at] = if last[at] == OUTSIDE { value } else { row[last[at]] };
            }
        }
    });
}

/// The gradient of [`pad`], written to `x_grad`.
pub fn pad_backward<T: Number>(grad: &[T], x_grad: &mut [T], input: &[usize], positions: &[Vec<usize>]) {
    let (Some((last, leading)), Some(&width_in)) = (positions.split_last(), input.last()) else {
        return x_grad.copy_from_slice(grad);
    };
    let (plane, plane_out) = (
        input.iter().product::<usize>(),
        positions.iter().map(Vec::len).product::<usize>(),
    );
    if x_grad.is_empty() || plane_out == 0 {
        return x_grad.fill(T::ZERO);
    }
    let planes = rows_per_task(x_grad.len() / plane, plane + plane_out);
    pool::parallel_chunks_mut(x_grad, planes * plane, |first, piece| {
        piece.fill(T::ZERO);
        let grad = &grad[first / plane * plane_out..][..piece.len() / plane * plane_out];
        for (row, grad) in grad.chunks_exact(last.len()).enumerate() {
            let row = source_row(row, input, leading);
            if row != OUTSIDE {
                let target = &mut piece[row * width_in..][..width_in];
                for (&g, &p) in grad.iter().zip(last).filter(|(_, p)| **p != OUTSIDE) {
                    target[p] = target[p].plus(g);
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(mode: Mode, before: isize, after: isize) -> Option<Vec<i32>> {
        let positions = positions(mode, 4, before, after)?;
        let mut out = vec![-1; positions.len()];
        pad(&[1, 2, 3, 4], &mut out, &[4], &[positions], 9);
        Some(out)
    }

    #[test]
    fn modes() {
        assert_eq!(line(Mode::Constant, 1, 2), Some(vec![9, 1, 2, 3, 4, 9, 9]));
        assert_eq!(line(Mode::Constant, -1, -2), Some(vec![2]));
        assert_eq!(line(Mode::Reflect, 3, 2), Some(vec![4, 3, 2, 1, 2, 3, 4, 3, 2]));
        assert_eq!(line(Mode::Replicate, 2, -1), Some(vec![1, 1, 1, 2, 3]));
        assert_eq!(line(Mode::Circular, 1, 4), Some(vec![4, 1, 2, 3, 4, 1, 2, 3, 4]));
        assert_eq!(line(Mode::Reflect, 4, 0), None);
        assert_eq!(line(Mode::Circular, 5, 0), None);
        assert_eq!(line(Mode::Constant, -3, -2), None);
    }

    #[test]
    fn two_dimensions_and_gradients() {
        let maps = [
            positions(Mode::Reflect, 2, 1, 0).unwrap(),
            positions(Mode::Circular, 2, 0, 1).unwrap(),
        ];
        let mut out = [0; 18];
        pad(&[1, 2, 3, 4, 5, 6, 7, 8], &mut out, &[2, 2], &maps, 0);
        assert_eq!(out[..9], [3, 4, 3, 1, 2, 1, 3, 4, 3]);
        assert_eq!(out[9..12], [7, 8, 7]);
        let mut grad = [0.0; 8];
        pad_backward(&[1.0f64; 18], &mut grad, &[2, 2], &maps);
        assert_eq!(grad, [2.0, 1.0, 4.0, 2.0, 2.0, 1.0, 4.0, 2.0]);
        let maps = [
            positions(Mode::Constant, 2, 1, 0).unwrap(),
            positions(Mode::Constant, 2, -1, 1).unwrap(),
        ];
        let mut out = [0; 6];
        pad(&[1, 2, 3, 4], &mut out, &[2, 2], &maps, 7);
        assert_eq!(out, [7, 7, 2, 7, 4, 7]);
        let mut grad = [0; 4];
        pad_backward(&[1, 2, 3, 4, 5, 6], &mut grad, &[2, 2], &maps);
        assert_eq!(grad, [0, 3, 0, 5]);
    }
}
