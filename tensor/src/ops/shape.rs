//! Views in another shape: reshape, permute, expand and their kin; and joining by `cat`.
//!
//! Views share memory with their base (see [`Tensor`](crate::Tensor#memory)).

use smallvec::SmallVec;

use crate::graph::{Op, Saved, record};
use crate::ops::create::checked_numel;
use crate::shape::{resolve_dim, resolve_dims};
use crate::value::Value;
use crate::{DType, Dims, IntoShape, Result, Shape, Tensor, bail, ensure, with_stored};

/// A recorded permutation: dimension `i` of the result is dimension `dims[i]` of the input.
#[derive(Clone, Debug)]
pub struct PermuteOp {
    /// The permutation.
    pub dims: SmallVec<[usize; 6]>,
}

/// A recorded concatenation.
#[derive(Clone, Debug)]
pub struct CatOp {
    /// The dimension along which tensors were joined.
    pub dim: usize,
    /// The size of each tensor in that dimension.
    pub sizes: Vec<usize>,
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
    /// The same elements in another shape (`reshape` and `view`): a view where strides allow it, else a copy. See
    /// [`Tensor::reshape_infer`] for a size left to be inferred.
    ///
    /// # Errors
    /// `Shape` if the numbers of elements differ.
    pub fn reshape(&self, shape: impl IntoShape) -> Result<Tensor> {
        let shape = shape.into_shape();
        let (numel, wanted) = (self.numel(), checked_numel("reshape", &shape)?);
        ensure!(
            numel == wanted,
            Shape,
            "reshape: {:?} has {numel} elements, {shape:?} has {wanted}",
            self.shape()
        );
        let x = self.read();
        let value = x.value.reshaped(shape)?;
        Ok(record(value, &[&x], |_| Op::Reshape(())))
    }

    /// [`Tensor::reshape`] with at most one size given as -1, which is inferred from the others.
    ///
    /// # Errors
    /// `Shape` if the numbers of elements can't be made equal, or more than one size is negative.
    pub fn reshape_infer(&self, sizes: &[isize]) -> Result<Tensor> {
        self.reshape(infer_shape("reshape", self.numel(), sizes)?)
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
    ///
    /// # Errors
    /// `Broadcast` if the shape does not broadcast to `shape`.
    pub fn expand(&self, shape: impl IntoShape) -> Result<Tensor> {
        let shape = shape.into_shape();
        let own = self.shape();
        let fits = own.len() <= shape.len()
            && own
                .iter()
                .rev()
                .zip(shape.iter().rev())
                .all(|(&have, &want)| have == want || have == 1);
        ensure!(fits, Broadcast, "expand: {own:?} does not broadcast to {shape:?}");
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
        let stride = if d < shape.len() { shape[d] * strides[d] } else { 1 };
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

    /// Tensors joined along one dimension (`torch.cat`). Their types are promoted; 1-d tensors without elements are left
    /// out, as in PyTorch.
    ///
    /// # Errors
    /// `Value` if there are no tensors; `Shape` if they differ in another dimension; `Dim` if there is no such one.
    pub fn cat(tensors: &[&Tensor], dim: isize) -> Result<Tensor> {
        let dtypes = tensors.iter().map(|t| t.dtype());
        let Some(dtype) = dtypes.reduce(crate::promote) else {
            bail!(Value, "cat: expected at least one tensor");
        };
        let kept = tensors
            .iter()
            .filter(|t| t.shape() != [0])
            .map(|t| t.to_dtype(dtype));
        let kept: Vec<Tensor> = kept.collect::<Result<_>>()?;
        let Some(first) = kept.first() else {
            return Tensor::zeros(0, dtype);
        };
        ensure!(
            first.rank() > 0,
            Dim,
            "cat: 0-d tensors can't be joined; use stack"
        );
        let d = resolve_dim("cat", dim, first.rank())?;
        for t in &kept {
            let fits = t.rank() == first.rank()
                && t.shape()
                    .iter()
                    .zip(first.shape())
                    .enumerate()
                    .all(|(i, (a, b))| i == d || a == b);
            ensure!(
                fits,
                Shape,
                "cat: {:?} and {:?} differ outside dimension {dim}",
                first.shape(),
                t.shape()
            );
        }
        let inputs: Vec<Saved> = kept.iter().map(Tensor::read).collect();
        let sizes: Vec<usize> = kept.iter().map(|t| t.shape()[d]).collect();
        let mut shape = first.dims().clone();
        shape[d] = sizes.iter().sum();
        let value = cat_values(&inputs, d, shape, dtype)?;
        Ok(record(value, &inputs.iter().collect::<Vec<_>>(), |_| {
            Op::Cat(CatOp { dim: d, sizes })
        }))
    }
}

fn cat_values(inputs: &[Saved], dim: usize, shape: Shape, dtype: DType) -> Result<Value> {
    let (outer, len, inner) = shape.around(dim);
    let row = len * inner;
    let parts: Vec<Value> = inputs
        .iter()
        .map(|x| x.value.contiguous())
        .collect::<Result<_>>()?;
    with_stored!(dtype, T => {
        let parts: Vec<(&[T], usize)> =
            parts.iter().map(|v| Ok((v.data::<T>()?, v.shape[dim] * inner))).collect::<Result<_>>()?;
        Ok(Value::build::<T>(dtype, shape, |out| {
            let mut at = 0;
            for (data, width) in parts {
                for o in 0..outer {
                    out[o * row + at..o * row + at + width].copy_from_slice(&data[o * width..(o + 1) * width]);
                }
                at += width;
            }
        }))
    })
}

/// The shape that `sizes` mean for `numel` elements, where one of them may be -1.
pub(crate) fn infer_shape(op: &str, numel: usize, sizes: &[isize]) -> Result<Shape> {
    let known: usize = sizes.iter().filter(|&&s| s >= 0).map(|&s| s as usize).product();
    let unknown = sizes.iter().filter(|&&s| s < 0).count();
    match unknown {
        0 => Ok(sizes.iter().map(|&s| s as usize).collect()),
        1 if sizes.contains(&-1) && known > 0 && numel % known == 0 => Ok(sizes
            .iter()
            .map(|&s| if s < 0 { numel / known } else { s as usize })
            .collect()),
        _ => bail!(Shape, "{op}: {sizes:?} is not a shape for {numel} elements"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn cat_promotes_and_checks() {
        let a = Tensor::new([[1i64, 2]]).unwrap();
        let b = Tensor::new([[0.5f32, 1.5]]).unwrap();
        assert_eq!(
            Tensor::cat(&[&a, &b], 0).unwrap().to_vec::<f32>().unwrap(),
            [1.0, 2.0, 0.5, 1.5]
        );
        assert_eq!(Tensor::cat(&[&a, &a], -1).unwrap().shape(), [1, 4]);
        assert!(Tensor::cat(&[&a, &Tensor::zeros((1, 3), DType::F32).unwrap()], 0).is_err());
    }
}
