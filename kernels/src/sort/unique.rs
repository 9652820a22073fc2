//! `unique` and `unique_consecutive`, of elements and of rows.

use super::{SortKey, pack_row, sort_packed};

/// What is different in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unique {
    /// The position in the input of each distinct element's first occurrence.
    pub first: Vec<i64>,
    /// For each element of the input, which distinct element it is.
    pub inverse: Vec<i64>,
    /// How often each distinct element occurs.
    pub counts: Vec<i64>,
}

impl Unique {
    /// Walks through positions in which equal elements are neighbours.
    fn of(order: impl Iterator<Item = usize>, len: usize, same: impl Fn(usize, usize) -> bool) -> Unique {
        let mut unique = Unique {
            first: Vec::new(),
            inverse: vec![0; len],
            counts: Vec::new(),
        };
        let mut previous = None;
        for at in order {
            match unique.counts.last_mut() {
                Some(count) if previous.is_some_and(|p| same(p, at)) => *count += 1,
                _ => {
                    unique.first.push(at as i64);
                    unique.counts.push(1);
                }
            }
            unique.inverse[at] = unique.counts.len() as i64 - 1;
            previous = Some(at);
        }
        unique
    }
}

/// The distinct elements in ascending order. Every NaN is distinct, as in torch.
pub fn unique<T: SortKey>(x: &[T]) -> Unique {
    let mut packed = Vec::with_capacity(x.len());
    pack_row(x, false, &mut packed);
    sort_packed(&mut packed);
    Unique::of(packed.into_iter().map(T::position), x.len(), |a, b| x[a] == x[b])
}

/// The distinct elements where only neighbours are compared; `len` is the size of one element's row, 1 for scalars.
pub fn unique_consecutive<T: SortKey>(x: &[T], rows: usize, len: usize) -> Unique {
    let row = |i: usize| &x[i * len..][..len];
    Unique::of(0..rows, rows, |a, b| row(a) == row(b))
}

/// The distinct rows of `[rows, len]` in lexicographic order.
pub fn unique_rows<T: SortKey>(x: &[T], rows: usize, len: usize) -> Unique {
    let row = |i: usize| &x[i * len..][..len];
    let keys = |i: usize| row(i).iter().map(|x| x.sort_key());
    let mut order: Vec<usize> = (0..rows).collect();
    order.sort_by(|&a, &b| keys(a).cmp(keys(b)));
    Unique::of(order.into_iter(), rows, |a, b| row(a) == row(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_and_rows() {
        let found = unique(&[3, 1, 3, 2]);
        assert_eq!(
            (found.first, found.inverse, found.counts),
            (vec![1, 3, 0], vec![2, 0, 2, 1], vec![1, 1, 2])
        );
        assert_eq!(unique(&[f32::NAN, 1.0, f32::NAN]).counts, [1, 1, 1]);
        assert_eq!(unique(&[0.0f64, -0.0]).counts, [2]);
        let found = unique_consecutive(&[1, 1, 2, 1], 4, 1);
        assert_eq!(
            (found.first, found.inverse, found.counts),
            (vec![0, 2, 3], vec![0, 0, 1, 2], vec![2, 1, 1])
        );
        let found = unique_rows(&[2, 1, 1, 5, 2, 1], 3, 2);
        assert_eq!(
            (found.first, found.inverse, found.counts),
            (vec![1, 0], vec![1, 0, 1], vec![1, 2])
        );
        assert_eq!(unique::<i64>(&[]).counts.len(), 0);
        assert_eq!(unique_rows::<i64>(&[], 3, 0).counts, [3]);
    }
}
