//! Views in another shape: `reshape`, `permute`, `expand` and their kin.
//!
//! Views share memory with their base (see [`Tensor`](crate::Tensor#memory)).

use smallvec::SmallVec;

use crate::graph::{Op, record};
use crate::ops::create::countable;
use crate::shape::{resolve_dim, resolve_dims};
use crate::value::Value;
use crate::{Dims, IntoSizes, Result, Shape, Tensor, bail, ensure};

/// A recorded permutation: dimension `i` of the result is dimension `dims[i]` of the input.
#[derive(Clone, Debug)]
pub struct PermuteOp {
    /// The permutation.
    pub dims: SmallVec<[usize; 6]>,
}

impl Value {
    /// The value in another shape of as many elements: a view where strides allow it, else a copy.
    pub(crate) fn reshaped(&self, shape: Shape) -> Result<Value> {
        match view_strides(&self.shape, &self.strides, &shape) {
            Some(strides) => Ok(self.with_layout(shape, strides, self.offset)),
            None => {
                let copy = self.copy()?;
                let strides = shape.contiguous_strides();
                Ok(copy.with_layout(shape, strides, copy.offset))
            }
        }
    }

    /// The view with stride 0 in repeated dimensions. The caller has checked that `shape` fits.
    pub(crate) fn expanded(&self, shape: &Shape) -> Value {
        let lead = shape.len() - self.shape.len();
        let repeated = |d: usize| d < lead || (self.shape[d - lead] == 1 && shape[d] != 1);
        let strides = (0..shape.len())
            .map(|d| if repeated(d) { 0 } else { self.strides[d - lead] })
            .collect();
        self.with_layout(shape.clone(), strides, self.offset)
    }

    /// The view with dimensions in another order.
    pub(crate) fn permuted(&self, dims: &[usize]) -> Value {
        let shape = dims.iter().map(|&d| self.shape[d]).collect();
        let strides = dims.iter().map(|&d| self.strides[d]).collect();
        self.with_layout(shape, strides, self.offset)
    }
}

/// The strides by which memory laid out as (`shape`, `strides`) is seen in `target`, if there are any.
fn view_strides(shape: &Shape, strides: &Shape, target: &Shape) -> Option<Shape> {
    if shape.numel() == 0 {
        return Some(target.contiguous_strides());
    }
    // Runs of dimensions that are contiguous among themselves, from the last: (elements, stride of the innermost).
    let mut runs: SmallVec<[(usize, usize); 6]> = SmallVec::new();
    for (&size, &stride) in shape.iter().zip(&**strides).rev().filter(|(size, _)| **size != 1) {
        match runs.last_mut() {
            Some((elements, inner)) if stride == *elements * *inner => *elements *= size,
            _ => runs.push((size, stride)),
        }
    }
    let mut out = target.clone();
    let mut runs = runs.into_iter();
    let (mut left, mut stride) = runs.next().unwrap_or((1, 1));
    for d in (0..target.len()).rev() {
        let size = target[d];
        if left == 1 && size != 1 {
            (left, stride) = runs.next()?;
        }
        if left % size != 0 {
            return None;
        }
        out[d] = stride;
        stride *= size;
        left /= size;
    }
    Some(out)
}

impl Tensor {
    /// The same elements in another shape (`reshape` and `view`): a view where strides allow it, else a copy. One size may
    /// be -1, which is inferred: `x.reshape((2, -1))?`.
    ///
    /// # Errors
    /// `Shape` if the numbers of elements differ.
    pub fn reshape(&self, shape: impl IntoSizes) -> Result<Tensor> {
        let shape = infer_shape("reshape", self.shape(), &shape.into_sizes())?;
        let x = self.read();
        let value = x.value.reshaped(shape)?;
        Ok(record(value, &[&x], |_| Op::Reshape(())))
    }

    /// The same elements in another shape, always sharing memory (`Tensor.view`); see [`Tensor::reshape`].
    ///
    /// # Errors
    /// `Shape` if the numbers of elements differ, or if only a copy could have this shape.
    pub fn view(&self, shape: impl IntoSizes) -> Result<Tensor> {
        let shape = infer_shape("view", self.shape(), &shape.into_sizes())?;
        let x = self.read();
        let Some(strides) = view_strides(&x.value.shape, &x.value.strides, &shape) else {
            bail!(
                Shape,
                "view: a tensor {:?} with strides {:?} can't be seen as {shape:?} without a copy; use reshape",
                self.shape(),
                x.value.strides
            )
        };
        let value = x.value.with_layout(shape, strides, x.value.offset);
        Ok(record(value, &[&x], |_| Op::Reshape(())))
    }

    /// Dimensions in another order: dimension `i` of the result is dimension `dims[i]` of this tensor.
    ///
    /// # Errors
    /// `Dim` unless `dims` names every dimension once.
    pub fn permute(&self, dims: impl Dims) -> Result<Tensor> {
        let (given, rank) = (dims.to_dims(), self.rank());
        ensure!(
            given.len() == rank,
            Dim,
            "permute: {given:?} does not name the {rank} dimensions of {:?}",
            self.shape()
        );
        let dims = resolve_dims("permute", &given, rank)?;
        let x = self.read();
        let value = x.value.permuted(&dims);
        Ok(record(value, &[&x], |_| Op::Permute(PermuteOp { dims })))
    }

    /// Two dimensions swapped.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn transpose(&self, dim0: isize, dim1: isize) -> Result<Tensor> {
        let rank = self.rank();
        let (a, b) = (
            resolve_dim("transpose", dim0, rank)?,
            resolve_dim("transpose", dim1, rank)?,
        );
        let mut dims: SmallVec<[isize; 6]> = (0..rank as isize).collect();
        if rank > 0 {
            dims.swap(a, b);
        }
        self.permute(&dims[..])
    }

    /// A 2-d tensor transposed; tensors of fewer dimensions as they are.
    ///
    /// # Errors
    /// `Dim` if there are more than two dimensions.
    pub fn t(&self) -> Result<Tensor> {
        ensure!(
            self.rank() <= 2,
            Dim,
            "t: expected at most 2 dimensions, got {:?}",
            self.shape()
        );
        if self.rank() < 2 {
            self.reshape(self.shape())
        } else {
            self.transpose(0, 1)
        }
    }

    /// Dimensions of size 1 repeated to `shape` without copying, and new ones in front (`expand`, `broadcast_to`).
    /// A size of -1 leaves a dimension as it is.
    ///
    /// # Errors
    /// `Broadcast` if the shape does not broadcast to `shape`.
    pub fn expand(&self, shape: impl IntoSizes) -> Result<Tensor> {
        let (sizes, own) = (shape.into_sizes(), self.shape());
        let lead = sizes.len().saturating_sub(own.len());
        let fits = own.len() <= sizes.len()
            && sizes[..lead].iter().all(|&want| want >= 0)
            && own
                .iter()
                .zip(&sizes[lead..])
                .all(|(&have, &want)| want == -1 || want == have as isize || (have == 1 && want >= 0));
        ensure!(fits, Broadcast, "expand: {own:?} does not broadcast to {sizes:?}");
        let size = |(d, &want): (usize, &isize)| if want < 0 { own[d - lead] } else { want as usize };
        let shape: Shape = sizes.iter().enumerate().map(size).collect();
        countable("expand", &shape)?;
        let x = self.read();
        let value = x.value.expanded(&shape);
        Ok(record(value, &[&x], |_| Op::Expand(())))
    }

    /// A dimension of size 1 inserted before `dim`.
    ///
    /// # Errors
    /// `Dim` if `dim` is not in `[-rank - 1, rank]`.
    pub fn unsqueeze(&self, dim: isize) -> Result<Tensor> {
        let d = resolve_dim("unsqueeze", dim, self.rank() + 1)?;
        let x = self.read();
        let (mut shape, mut strides) = (x.value.shape.clone(), x.value.strides.clone());
        let stride = if d < shape.len() {
            shape[d].saturating_mul(strides[d])
        } else {
            1
        };
        shape.insert(d, 1);
        strides.insert(d, stride);
        let value = x.value.with_layout(shape, strides, x.value.offset);
        Ok(record(value, &[&x], |_| Op::Reshape(())))
    }

    /// All dimensions of size 1 removed.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn squeeze(&self) -> Result<Tensor> {
        let dims: Vec<isize> = (0..self.rank() as isize).collect();
        self.squeeze_dim(dims)
    }

    /// Those of the given dimensions that have size 1 removed.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension.
    pub fn squeeze_dim(&self, dims: impl Dims) -> Result<Tensor> {
        let dims = resolve_dims("squeeze", &dims.to_dims(), self.rank())?;
        let x = self.read();
        let keep = |d: &usize| !(dims.contains(d) && x.value.shape[*d] == 1);
        let shape = (0..self.rank()).filter(keep).map(|d| x.value.shape[d]).collect();
        let strides = (0..self.rank())
            .filter(keep)
            .map(|d| x.value.strides[d])
            .collect();
        let value = x.value.with_layout(shape, strides, x.value.offset);
        Ok(record(value, &[&x], |_| Op::Reshape(())))
    }

    /// A copy in memory of its own, recorded: PyTorch's `clone` (in Rust `clone` copies the handle).
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn copy(&self) -> Result<Tensor> {
        let x = self.read();
        let value = x.value.copy()?;
        Ok(record(value, &[&x], |_| Op::Reshape(())))
    }
}

/// The shape that `sizes` mean for a tensor of shape `own`, where one of them may be -1.
pub(crate) fn infer_shape(op: &str, own: &[usize], sizes: &[isize]) -> Result<Shape> {
    let numel = crate::shape::numel(own);
    let known: Shape = sizes.iter().filter(|&&s| s >= 0).map(|&s| s as usize).collect();
    let product = countable(op, &known)?;
    let unknown = sizes.len() - known.len();
    let inferred = match unknown {
        0 if product == numel => return Ok(known),
        1 if sizes.contains(&-1) && product > 0 && numel.is_multiple_of(product) => numel / product,
        0 => bail!(
            Shape,
            "{op}: {own:?} has {numel} elements, {known:?} has {product}"
        ),
        _ => bail!(
            Shape,
            "{op}: {sizes:?} is not a shape for {own:?}, which has {numel} elements"
        ),
    };
    Ok(sizes
        .iter()
        .map(|&s| if s < 0 { inferred } else { s as usize })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn sizes_are_inferred() {
        let x = Tensor::zeros((2, 6), DType::F32).unwrap();
        assert_eq!(x.reshape((3, -1)).unwrap().shape(), [3, 4]);
        assert_eq!(x.reshape(-1).unwrap().shape(), [12]);
        assert_eq!(
            x.unsqueeze(1).unwrap().expand([-1, 4, -1]).unwrap().shape(),
            [2, 4, 6]
        );
        assert_eq!(
            x.reshape((5, -1)).unwrap_err().to_string(),
            "reshape: [5, -1] is not a shape for [2, 6], which has 12 elements"
        );
        assert!(x.reshape((-1, -1)).is_err());
        assert!(x.expand([-1, 2, 6]).is_err());
        assert!(
            x.t()
                .unwrap()
                .view(12)
                .unwrap_err()
                .to_string()
                .contains("use reshape")
        );
    }

    #[test]
    fn views_share_memory_and_copies_do_not() {
        let x = Tensor::from_slice(&(0..24).collect::<Vec<i64>>(), (2, 3, 4)).unwrap();
        let t = x.permute([2, 0, 1]).unwrap();
        assert_eq!((t.shape(), t.strides()), (&[4, 2, 3][..], vec![1, 12, 4]));
        assert!(t.shares_memory(&x));
        assert!(x.reshape((6, 4)).unwrap().shares_memory(&x));
        assert!(t.reshape((4, 6)).unwrap().shares_memory(&x));
        assert!(!t.reshape(24).unwrap().shares_memory(&x));
        assert_eq!(
            t.reshape(24).unwrap().to_vec::<i64>().unwrap()[..7],
            [0, 4, 8, 12, 16, 20, 1]
        );
    }

    #[test]
    fn squeeze_undoes_unsqueeze() {
        let x = Tensor::zeros((2, 3), DType::F32).unwrap();
        for dim in -3..3 {
            let y = x.unsqueeze(dim).unwrap();
            assert_eq!(y.size(dim).unwrap(), 1);
            assert_eq!(y.squeeze().unwrap().shape(), [2, 3]);
        }
        assert!(x.unsqueeze(3).is_err());
    }
}
