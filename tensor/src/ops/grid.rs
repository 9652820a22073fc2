//! Grids and choices from vectors: `meshgrid`, `cartesian_prod`, `combinations`, `vander`.

use crate::ops::create::{check_room, checked_numel};
use crate::{DType, Result, Tensor, bail, ensure};

/// The order of the first two dimensions of a [`meshgrid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Indexing {
    /// The first vector runs along the first dimension: a matrix's order.
    #[default]
    Ij,
    /// The first vector runs along the second dimension: a picture's order.
    Xy,
}

/// Every vector repeated along the dimensions of all the others (`torch.meshgrid`). 0-d tensors count as vectors of one
/// element.
///
/// # Shapes
/// `[a]`, `[b]`, `[c]` → three of `[a, b, c]`, or `[b, a, c]` for [`Indexing::Xy`].
///
/// # Errors
/// `Value` without tensors; `Shape` if one has more than one dimension.
pub fn meshgrid(tensors: &[impl AsRef<Tensor>], indexing: Indexing) -> Result<Vec<Tensor>> {
    ensure!(
        !tensors.is_empty(),
        Value,
        "meshgrid: expected at least one tensor"
    );
    let vectors = vectors("meshgrid", tensors)?;
    let mut shape: Vec<usize> = vectors.iter().map(Tensor::numel).collect();
    let swap = indexing == Indexing::Xy && shape.len() >= 2;
    if swap {
        shape.swap(0, 1);
    }
    let place = |i: usize| if swap && i < 2 { 1 - i } else { i };
    let grid = |(i, vector): (usize, &Tensor)| {
        let mut along = vec![1; shape.len()];
        along[place(i)] = vector.numel();
        vector.reshape(along)?.expand(&shape[..])
    };
    vectors.iter().enumerate().map(grid).collect()
}

/// All tuples with one element of each vector, one row each (`torch.cartesian_prod`); of one vector the vector itself.
///
/// # Shapes
/// `[a]`, `[b]` → `[a·b, 2]`.
///
/// # Errors
/// As [`meshgrid`].
pub fn cartesian_prod(tensors: &[impl AsRef<Tensor>]) -> Result<Tensor> {
    let vectors = vectors("cartesian_prod", tensors)?;
    if let [only] = &vectors[..] {
        return Ok(only.clone());
    }
    let columns = meshgrid(&vectors, Indexing::Ij)?;
    let columns: Vec<Tensor> = columns.iter().map(Tensor::ravel).collect::<Result<_>>()?;
    Tensor::stack(&columns, 1)
}

fn vectors(op: &str, tensors: &[impl AsRef<Tensor>]) -> Result<Vec<Tensor>> {
    let vector = |t: &Tensor| {
        ensure!(
            t.rank() <= 1,
            Shape,
            "{op}: expected vectors, got {:?}",
            t.shape()
        );
        t.atleast_1d()
    };
    tensors.iter().map(|t| vector(t.as_ref())).collect()
}

impl Tensor {
    /// All choices of `r` elements of a vector in ascending order of position, one row each (`torch.combinations`); with
    /// replacement an element may be chosen again.
    ///
    /// # Shapes
    /// `[n]` → `[number of choices, r]`.
    ///
    /// # Errors
    /// `Shape` unless the tensor is a vector.
    pub fn combinations(&self, r: usize, with_replacement: bool) -> Result<Tensor> {
        let &[n] = self.shape() else {
            bail!(Shape, "combinations: expected a vector, got {:?}", self.shape())
        };
        if r == 0 {
            return Tensor::zeros(0, self.dtype());
        }
        check_room::<i64>(
            "combinations",
            number_of_choices(n, r, with_replacement).saturating_mul(r),
        )?;
        let index = choices(n, r, with_replacement);
        let rows = index.len() / r;
        let index = Tensor::from_vec(index, rows * r)?;
        self.index_select(0, &index)?.reshape((rows, r))
    }

    /// The powers `x⁰ … xⁿ⁻¹` of every element in a new last dimension (`linalg.vander`); by default as many as the last
    /// dimension is long.
    ///
    /// # Shapes
    /// `[…, k]` → `[…, k, n]`.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn vander(&self, n: Option<usize>) -> Result<Tensor> {
        let x = if !self.dtype().is_float() {
            self.to_dtype(DType::I64)?
        } else {
            self.clone()
        }
        .atleast_1d()?;
        let n = n.unwrap_or_else(|| x.shape().last().copied().unwrap_or(1));
        checked_numel("vander", &[x.shape(), &[n]].concat())?;
        check_room::<Tensor>("vander", n)?;
        // Products in sequence, exact for integers: the gradient is that of products as well.
        let mut powers: Vec<Tensor> = Vec::with_capacity(n);
        for k in 0..n {
            powers.push(match powers.last() {
                None => x.ones_like()?,
                Some(_) if k == 1 => x.clone(),
                Some(last) => last.mul(&x)?,
            });
        }
        if powers.is_empty() {
            let mut shape = x.shape().to_vec();
            shape.push(0);
            return Tensor::zeros(shape, x.dtype());
        }
        Tensor::stack(&powers, -1)
    }
}

/// How many choices there are: `n! / (r! (n - r)!)`, of `n + r - 1` with replacement.
fn number_of_choices(n: usize, r: usize, with_replacement: bool) -> usize {
    let n = if with_replacement {
        n.saturating_add(r).saturating_sub(1)
    } else {
        n
    };
    let Some(rest) = n.checked_sub(r) else { return 0 };
    let few = r.min(rest) as u128;
    let mut count = 1u128;
    for i in 1..=few {
        if count > usize::MAX as u128 {
            return usize::MAX;
        }
        count = count * (n as u128 - few + i) / i;
    }
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// The positions of all choices, one after the other.
fn choices(n: usize, r: usize, with_replacement: bool) -> Vec<i64> {
    let gap = if with_replacement { 0 } else { 1 };
    let mut all = Vec::new();
    if n == 0 || (!with_replacement && r > n) {
        return all;
    }
    let mut choice: Vec<usize> = (0..r).map(|i| i * gap).collect();
    loop {
        all.extend(choice.iter().map(|&i| i as i64));
        // The last place that can still advance; those behind it start as near as they may.
        let most = |place: usize| n - 1 - (r - 1 - place) * gap;
        let Some(place) = (0..r).rev().find(|&place| choice[place] < most(place)) else {
            return all;
        };
        let first = choice[place] + 1;
        for (i, slot) in choice[place..].iter_mut().enumerate() {
            *slot = first + i * gap;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(t: &Tensor) -> Vec<i64> {
        t.to_vec().unwrap()
    }

    #[test]
    fn grids() {
        let (a, b) = (
            Tensor::new([1i64, 2]).unwrap(),
            Tensor::new([3i64, 4, 5]).unwrap(),
        );
        let ij = meshgrid(&[&a, &b], Indexing::Ij).unwrap();
        assert_eq!(values(&ij[0]), [1, 1, 1, 2, 2, 2]);
        let xy = meshgrid(&[&a, &b], Indexing::Xy).unwrap();
        assert_eq!(
            (xy[0].shape(), values(&xy[0])),
            (&[3, 2][..], vec![1, 2, 1, 2, 1, 2])
        );
        let product = cartesian_prod(&[&a, &b]).unwrap();
        assert_eq!(values(&product)[..6], [1, 3, 1, 4, 1, 5]);
        assert!(meshgrid(&[&ij[0]], Indexing::Ij).is_err());
    }

    #[test]
    fn choices_and_powers() {
        let x = Tensor::new([1i64, 2, 3]).unwrap();
        assert_eq!(values(&x.combinations(2, false).unwrap()), [1, 2, 1, 3, 2, 3]);
        assert_eq!(
            values(&x.combinations(2, true).unwrap()),
            [1, 1, 1, 2, 1, 3, 2, 2, 2, 3, 3, 3]
        );
        assert_eq!(x.combinations(4, false).unwrap().shape(), [0, 4]);
        assert_eq!(x.combinations(4, true).unwrap().shape(), [15, 4]);
        assert_eq!(values(&x.vander(None).unwrap()), [1, 1, 1, 1, 2, 4, 1, 3, 9]);
    }
}
