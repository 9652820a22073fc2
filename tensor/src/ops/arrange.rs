//! Elements in another order, or repeated: `flip`, `roll`, `rot90`, `repeat`, `tile`, `repeat_interleave`.

use crate::ops::create::checked_numel;
use crate::shape::resolve_dims;
use crate::{DType, Dims, Result, Tensor, bail, ensure};

impl Tensor {
    /// The entries of dimensions in reverse order (`torch.flip`). A copy.
    ///
    /// # Errors
    /// `Dim` if there are no such dimensions or one appears twice.
    pub fn flip(&self, dims: impl Dims) -> Result<Tensor> {
        let dims = resolve_dims("flip", &dims.to_dims(), self.rank())?;
        let mut x = self.clone();
        for d in dims.into_iter().filter(|&d| d < self.rank()) {
            let reversed: Vec<i64> = (0..self.shape()[d] as i64).rev().collect();
            x = x.index_select(d as isize, &Tensor::from_vec(reversed, self.shape()[d])?)?;
        }
        if x.same(self) { self.copy() } else { Ok(x) }
    }

    /// Columns in reverse order (`torch.fliplr`).
    ///
    /// # Errors
    /// `Dim` of a tensor of fewer than two dimensions.
    pub fn fliplr(&self) -> Result<Tensor> {
        ensure!(
            self.rank() >= 2,
            Dim,
            "fliplr: expected at least two dimensions, got {:?}",
            self.shape()
        );
        self.flip(1)
    }

    /// Rows in reverse order (`torch.flipud`).
    ///
    /// # Errors
    /// `Dim` of a 0-d tensor.
    pub fn flipud(&self) -> Result<Tensor> {
        ensure!(self.rank() >= 1, Dim, "flipud: a 0-d tensor has no rows");
        self.flip(0)
    }

    /// Entries moved along dimensions by `shifts`, those that leave coming back at the other end (`torch.roll`). Without
    /// dimensions, the flattened tensor is rolled by the only shift.
    ///
    /// # Errors
    /// `Dim` if there are no such dimensions; `Value` if there are not as many shifts as dimensions.
    pub fn roll(&self, shifts: impl Dims, dims: impl Dims) -> Result<Tensor> {
        let (shifts, dims) = (shifts.to_dims(), dims.to_dims());
        if dims.is_empty() && shifts.len() == 1 {
            return self.ravel()?.roll(&shifts[..], 0)?.reshape(self.shape());
        }
        ensure!(
            shifts.len() == dims.len() && !dims.is_empty(),
            Value,
            "roll: expected a shift for each dimension, got shifts {:?} for dimensions {:?}",
            &shifts[..],
            &dims[..]
        );
        let mut x = self.clone();
        for (&shift, &dim) in shifts.iter().zip(&*dims) {
            let (d, size) = self.sized_dim("roll", dim)?;
            if size > 0 {
                let cut = (size as isize - shift.rem_euclid(size as isize)) % size as isize;
                let (head, tail) = (
                    x.narrow(d as isize, 0, cut as usize)?,
                    x.narrow(d as isize, cut, size - cut as usize)?,
                );
                x = Tensor::cat(&[tail, head], d as isize)?;
            }
        }
        Ok(x)
    }

    /// The plane of two dimensions turned by `k` quarters, from the first towards the second (`torch.rot90`).
    ///
    /// # Errors
    /// `Dim` if there are no such dimensions or both are the same.
    pub fn rot90(&self, k: isize, dims: [isize; 2]) -> Result<Tensor> {
        ensure!(
            self.rank() >= 2,
            Dim,
            "rot90: expected at least two dimensions, got {:?}",
            self.shape()
        );
        let plane = resolve_dims("rot90", &dims, self.rank())?;
        let (a, b) = (plane[0] as isize, plane[1] as isize);
        match k.rem_euclid(4) {
            0 => self.copy(),
            1 => self.flip(b)?.transpose(a, b),
            2 => self.flip([a, b]),
            _ => self.flip(a)?.transpose(a, b),
        }
    }

    /// The tensor repeated `repeats[d]` times along each dimension; more repeats than dimensions make new ones in front
    /// (`Tensor.repeat`).
    ///
    /// # Shapes
    /// `[a, b]` with `[x, y, z]` → `[x, y·a, z·b]`.
    ///
    /// # Errors
    /// `Shape` if there are fewer repeats than dimensions.
    pub fn repeat(&self, repeats: &[usize]) -> Result<Tensor> {
        ensure!(
            repeats.len() >= self.rank(),
            Shape,
            "repeat: expected a number of repeats for every dimension of {:?}, got {repeats:?}",
            self.shape()
        );
        let lead = repeats.len() - self.rank();
        let sizes = std::iter::repeat_n(1, lead).chain(self.shape().iter().copied());
        // Between every two dimensions one that is expanded: [1, a, 1, b] → [y, a, z, b].
        let (mut apart, mut expanded, mut merged) = (Vec::new(), Vec::new(), Vec::new());
        for (&times, size) in repeats.iter().zip(sizes) {
            apart.extend([1, size]);
            expanded.extend([times, size]);
            merged.push(times.saturating_mul(size));
        }
        checked_numel("repeat", &merged)?;
        if repeats.iter().all(|&times| times == 1) {
            return self.copy()?.reshape(merged);
        }
        self.reshape(apart)?.expand(expanded)?.reshape(merged)
    }

    /// [`Tensor::repeat`] where fewer repeats than dimensions count for the last ones (`torch.tile`).
    ///
    /// # Errors
    /// `Shape` if the result has more elements than memory can address.
    pub fn tile(&self, repeats: &[usize]) -> Result<Tensor> {
        let missing = self.rank().saturating_sub(repeats.len());
        let repeats: Vec<usize> = std::iter::repeat_n(1, missing)
            .chain(repeats.iter().copied())
            .collect();
        self.repeat(&repeats)
    }

    /// Every entry of a dimension `repeats` times in a row; without a dimension, every element of the flattened tensor
    /// (`torch.repeat_interleave`).
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn repeat_interleave(&self, repeats: usize, dim: Option<isize>) -> Result<Tensor> {
        let Some(dim) = dim else {
            return self.ravel()?.repeat_interleave(repeats, Some(0));
        };
        let (d, size) = self.sized_dim("repeat_interleave", dim)?;
        let mut shape = self.shape().to_vec();
        shape[d] = size.saturating_mul(repeats);
        checked_numel("repeat_interleave", &shape)?;
        let mut expanded = self.shape().to_vec();
        expanded.insert(d + 1, repeats);
        self.unsqueeze(d as isize + 1)?.expand(expanded)?.reshape(shape)
    }

    /// [`Tensor::repeat_interleave`] with a number for every entry: a 1-d integer tensor, of one entry or as many as the
    /// dimension has.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Shape` if the numbers don't fit; `Value` if one is negative.
    pub fn repeat_interleave_each(&self, repeats: &Tensor, dim: Option<isize>) -> Result<Tensor> {
        let Some(dim) = dim else {
            return self.ravel()?.repeat_interleave_each(repeats, Some(0));
        };
        let (d, size) = self.sized_dim("repeat_interleave", dim)?;
        let numbers = integers("repeat_interleave", repeats)?;
        if let [only] = numbers[..] {
            return self.repeat_interleave(non_negative(only)?, Some(dim));
        }
        ensure!(
            numbers.len() == size && repeats.rank() == 1,
            Shape,
            "repeat_interleave: repeats {:?} for dimension {d} of size {size} of {:?}",
            repeats.shape(),
            self.shape()
        );
        self.index_select(d as isize, &repeated_indices(&numbers)?)
    }
}

/// The index of every entry as often as `repeats` says: `[1, 2]` gives `[0, 1, 1]` (`torch.repeat_interleave` of repeats
/// alone).
///
/// # Errors
/// `DType` unless the repeats are integers; `Value` if one is negative.
pub fn repeat_indices(repeats: &Tensor) -> Result<Tensor> {
    repeated_indices(&integers("repeat_interleave", repeats)?)?.to_dtype(repeats.dtype())
}

fn repeated_indices(numbers: &[i64]) -> Result<Tensor> {
    let mut index = Vec::new();
    for (i, &n) in numbers.iter().enumerate() {
        index.extend(std::iter::repeat_n(i as i64, non_negative(n)?));
    }
    let len = index.len();
    Tensor::from_vec(index, len)
}

/// The elements of an integer tensor.
pub(crate) fn integers(op: &str, tensor: &Tensor) -> Result<Vec<i64>> {
    let dtype = tensor.dtype();
    ensure!(dtype.is_integer(), DType, "{op}: expected integers, got {dtype}");
    tensor.to_dtype(DType::I64)?.to_vec()
}

fn non_negative(n: i64) -> Result<usize> {
    match usize::try_from(n) {
        Ok(n) => Ok(n),
        Err(_) => bail!(Value, "repeat_interleave: repeats can't be negative, got {n}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Tensor {
        Tensor::new([[1i64, 2, 3], [4, 5, 6]]).unwrap()
    }

    fn values(t: Result<Tensor>) -> Vec<i64> {
        t.unwrap().to_vec().unwrap()
    }

    #[test]
    fn orders_are_changed() {
        assert_eq!(values(grid().flip([0, 1])), [6, 5, 4, 3, 2, 1]);
        assert_eq!(values(grid().fliplr()), [3, 2, 1, 6, 5, 4]);
        assert_eq!(values(grid().roll(1, 1)), [3, 1, 2, 6, 4, 5]);
        assert_eq!(values(grid().roll(-7, [0isize; 0])), [2, 3, 4, 5, 6, 1]);
        assert_eq!(values(grid().roll([1, -1], [0, 1])), [5, 6, 4, 2, 3, 1]);
        assert_eq!(values(grid().rot90(1, [0, 1])), [3, 6, 2, 5, 1, 4]);
        assert_eq!(values(grid().rot90(-1, [0, 1])), [4, 1, 5, 2, 6, 3]);
        assert_eq!(values(grid().rot90(2, [0, 1])), [6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn elements_are_repeated() {
        let x = Tensor::new([1i64, 2]).unwrap();
        assert_eq!(values(x.repeat(&[2, 2])), [1, 2, 1, 2, 1, 2, 1, 2]);
        assert_eq!(grid().tile(&[2]).unwrap().shape(), [2, 6]);
        assert_eq!(x.repeat(&[0]).unwrap().shape(), [0]);
        assert_eq!(values(x.repeat_interleave(2, None)), [1, 1, 2, 2]);
        let repeats = Tensor::new([0i64, 3]).unwrap();
        assert_eq!(
            values(grid().repeat_interleave_each(&repeats, Some(0)))[..4],
            [4, 5, 6, 4]
        );
        assert_eq!(values(repeat_indices(&repeats)), [1, 1, 1]);
        assert!(grid().repeat(&[2]).is_err());
        assert!(
            x.repeat_interleave_each(&Tensor::new([1i64, -1]).unwrap(), None)
                .is_err()
        );
    }
}
