//! Binary search: `torch.searchsorted` and `torch.bucketize`.

use crate::element::Element;
use crate::pool;

/// For each of `values` (`[rows, n]`) the place in its row of `sorted` (`[rows, len]`, or one row for all) before
/// which it belongs: before equal entries, or behind them with `right`. `sorter` holds, per row of `sorted`, the
/// indices that sort it. NaN belongs at the end.
pub fn searchsorted<T: Element>(
    sorted: &[T],
    sorter: Option<&[i64]>,
    values: &[T],
    right: bool,
    out: &mut [i64],
    (rows, len): (usize, usize),
) {
    assert_eq!(values.len(), out.len());
    if out.is_empty() {
        return;
    }
    if len == 0 {
        return out.fill(0);
    }
    let shared = sorted.len() == len;
    let n = values.len() / rows.max(1);
    pool::parallel_chunks_mut(out, pool::chunk_len(values.len(), 2048), |first, piece| {
        for (i, o) in piece.iter_mut().enumerate() {
            let row = if shared { 0 } else { (first + i) / n };
            let value = values[first + i];
            let sorted = &sorted[row * len..][..len];
            // Written so that a NaN compares as torch compares it.
            #[allow(clippy::neg_cmp_op_on_partial_ord)]
            let before = |x: T| if right { !(x > value) } else { !(x >= value) };
            *o = match sorter {
                None => sorted.partition_point(|&x| before(x)),
                Some(sorter) => sorter[row * len..][..len].partition_point(|&at| before(sorted[at as usize])),
            } as i64;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_rows_and_sorters() {
        let sorted = [1.0f32, 3.0, 3.0, 5.0, 0.0, 0.5, 0.5, 2.0];
        let run = |right| {
            let mut out = [0; 4];
            searchsorted(&sorted, None, &[3.0, 6.0, 0.5, f32::NAN], right, &mut out, (2, 4));
            out
        };
        assert_eq!(run(false), [1, 4, 1, 4]);
        assert_eq!(run(true), [3, 4, 3, 4]);
        let mut out = [0; 3];
        searchsorted(&[5, 1, 3], Some(&[1, 2, 0]), &[0, 3, 9], false, &mut out, (1, 3));
        assert_eq!(out, [0, 1, 3]);
        searchsorted(&[], None, &[1, 2, 3], false, &mut out, (1, 0));
        assert_eq!(out, [0; 3]);
    }
}
