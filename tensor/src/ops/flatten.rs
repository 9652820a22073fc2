//! Shapes by name: `flatten`, `unflatten`, `atleast_2d`, `movedim`, `mT`, `view_as`, `broadcast_tensors`, …: each a
//! `reshape`, a `permute` or an `expand`.

use smallvec::SmallVec;

use crate::ops::shape::infer_shape;
use crate::shape::{resolve_dim, resolve_dims};
use crate::{Dims, IntoSizes, Result, Tensor, broadcast_shapes, ensure};

impl Tensor {
    /// The dimensions `start..=end` as one (`torch.flatten`). A 0-d tensor becomes 1-d.
    ///
    /// # Shapes
    /// `[a, b, c, d]` with 1 and 2 → `[a, b·c, d]`.
    ///
    /// # Errors
    /// `Dim` if there are no such dimensions or `start` lies behind `end`.
    pub fn flatten(&self, start: isize, end: isize) -> Result<Tensor> {
        let rank = self.rank();
        let (first, last) = (
            resolve_dim("flatten", start, rank)?,
            resolve_dim("flatten", end, rank)?,
        );
        ensure!(
            first <= last,
            Dim,
            "flatten: dimension {start} lies behind {end} in {:?}",
            self.shape()
        );
        if rank == 0 {
            return self.reshape(1);
        }
        let shape = self.shape();
        let merged: usize = shape[first..=last].iter().product();
        let sizes = shape[..first]
            .iter()
            .copied()
            .chain([merged])
            .chain(shape[last + 1..].iter().copied());
        self.reshape(sizes.collect::<Vec<_>>())
    }

    /// A dimension as several, of which one may be -1 (`torch.unflatten`).
    ///
    /// # Shapes
    /// `[a, b·c, d]` with 1 and `(b, c)` → `[a, b, c, d]`.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `Shape` if the sizes don't multiply to its size.
    pub fn unflatten(&self, dim: isize, sizes: impl IntoSizes) -> Result<Tensor> {
        let (d, size) = self.sized_dim("unflatten", dim)?;
        let inner = infer_shape("unflatten", &[size], &sizes.into_sizes())?;
        let shape = self.shape();
        let sizes = shape[..d].iter().chain(&*inner).chain(&shape[d + 1..]);
        self.reshape(sizes.copied().collect::<Vec<_>>())
    }

    /// All elements in row-major order as a 1-d tensor (`torch.ravel`).
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn ravel(&self) -> Result<Tensor> {
        self.reshape(self.numel())
    }

    /// [`Tensor::reshape`] to the shape of `other`.
    ///
    /// # Errors
    /// As [`Tensor::reshape`].
    pub fn reshape_as(&self, other: &Tensor) -> Result<Tensor> {
        self.reshape(other.shape())
    }

    /// [`Tensor::view`] in the shape of `other`.
    ///
    /// # Errors
    /// As [`Tensor::view`].
    pub fn view_as(&self, other: &Tensor) -> Result<Tensor> {
        self.view(other.shape())
    }

    /// [`Tensor::expand`] to the shape of `other`.
    ///
    /// # Errors
    /// As [`Tensor::expand`].
    pub fn expand_as(&self, other: &Tensor) -> Result<Tensor> {
        self.expand(other.shape())
    }

    /// [`Tensor::expand`] under the name of `torch.broadcast_to`.
    ///
    /// # Errors
    /// As [`Tensor::expand`].
    pub fn broadcast_to(&self, shape: impl IntoSizes) -> Result<Tensor> {
        self.expand(shape).map_err(|error| error.context("broadcast_to"))
    }

    /// [`Tensor::transpose`] under NumPy's name.
    ///
    /// # Errors
    /// As [`Tensor::transpose`].
    pub fn swapaxes(&self, axis0: isize, axis1: isize) -> Result<Tensor> {
        self.transpose(axis0, axis1)
            .map_err(|error| error.context("swapaxes"))
    }

    /// Dimensions moved to other places, the rest in their order (`torch.movedim`, `moveaxis`).
    ///
    /// # Errors
    /// `Dim` if there are no such dimensions, one appears twice, or the lists differ in length.
    pub fn movedim(&self, source: impl Dims, destination: impl Dims) -> Result<Tensor> {
        let (source, destination) = (source.to_dims(), destination.to_dims());
        ensure!(
            source.len() == destination.len(),
            Dim,
            "movedim: {:?} has {} dimensions to move, {:?} has {} places for them",
            &source[..],
            source.len(),
            &destination[..],
            destination.len()
        );
        let rank = self.rank();
        let from = resolve_dims("movedim", &source, rank)?;
        let to = resolve_dims("movedim", &destination, rank)?;
        let mut rest = (0..rank).filter(|d| !from.contains(d));
        let order = (0..rank).filter_map(|place| match to.iter().position(|&t| t == place) {
            Some(i) => Some(from[i]),
            None => rest.next(),
        });
        let order: SmallVec<[isize; 6]> = order.map(|d| d as isize).collect();
        self.permute(&order[..])
    }

    /// The last two dimensions swapped (`Tensor.mT`; of a real tensor `Tensor.mH` too).
    ///
    /// # Errors
    /// `Dim` of a tensor of fewer than two dimensions.
    pub fn mt(&self) -> Result<Tensor> {
        ensure!(
            self.rank() >= 2,
            Dim,
            "mT: expected at least two dimensions, got {:?}",
            self.shape()
        );
        self.transpose(-2, -1)
    }

    /// At least one dimension: a 0-d tensor becomes 1-d (`torch.atleast_1d`).
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn atleast_1d(&self) -> Result<Tensor> {
        if self.rank() == 0 {
            self.reshape(1)
        } else {
            Ok(self.clone())
        }
    }

    /// At least two dimensions: a 1-d tensor becomes a row (`torch.atleast_2d`).
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn atleast_2d(&self) -> Result<Tensor> {
        if self.rank() < 2 {
            self.reshape((1, -1))
        } else {
            Ok(self.clone())
        }
    }

    /// At least three dimensions: `[n]` becomes `[1, n, 1]`, `[n, m]` `[n, m, 1]` (`torch.atleast_3d`).
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn atleast_3d(&self) -> Result<Tensor> {
        match self.rank() {
            0 | 1 => self.reshape((1, self.numel(), 1)),
            2 => self.unsqueeze(-1),
            _ => Ok(self.clone()),
        }
    }

    /// Tensors expanded to their common shape (`torch.broadcast_tensors`).
    ///
    /// # Errors
    /// `Broadcast` if the shapes don't broadcast.
    pub fn broadcast_tensors(tensors: &[impl AsRef<Tensor>]) -> Result<Vec<Tensor>> {
        let shapes: Vec<&[usize]> = tensors.iter().map(|t| t.as_ref().shape()).collect();
        let shape = broadcast_shapes("broadcast_tensors", &shapes)?;
        tensors.iter().map(|t| t.as_ref().expand(&shape)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    fn zeros(shape: &[usize]) -> Tensor {
        Tensor::zeros(shape, DType::F32).unwrap()
    }

    #[test]
    fn dimensions_merge_and_part() {
        let x = zeros(&[2, 3, 4]);
        assert_eq!(x.flatten(0, -1).unwrap().shape(), [24]);
        assert_eq!(x.flatten(1, 2).unwrap().shape(), [2, 12]);
        assert_eq!(zeros(&[]).flatten(0, -1).unwrap().shape(), [1]);
        assert_eq!(x.unflatten(-1, (2, -1)).unwrap().shape(), [2, 3, 2, 2]);
        assert!(x.flatten(2, 1).is_err());
        assert!(x.unflatten(0, [3, 2]).is_err());
    }

    #[test]
    fn dimensions_move() {
        let x = zeros(&[2, 3, 4]);
        assert_eq!(x.movedim(0, -1).unwrap().shape(), [3, 4, 2]);
        assert_eq!(x.movedim([0, 1], [2, 0]).unwrap().shape(), [3, 4, 2]);
        assert_eq!(x.mt().unwrap().shape(), [2, 4, 3]);
        assert!(x.movedim([0, 1], 0).is_err());
        assert_eq!(zeros(&[5]).atleast_3d().unwrap().shape(), [1, 5, 1]);
        assert_eq!(zeros(&[5]).atleast_2d().unwrap().shape(), [1, 5]);
        let both = Tensor::broadcast_tensors(&[zeros(&[2, 1]), zeros(&[3])]).unwrap();
        assert_eq!((both[0].shape(), both[1].shape()), (&[2, 3][..], &[2, 3][..]));
    }
}
