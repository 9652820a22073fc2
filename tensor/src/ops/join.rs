//! Joining tensors: `cat`, `stack` and their kin, `block_diag`.

use flambeau_kernels::{copy, pool};

use crate::graph::{Op, Saved, record};
use crate::shape::resolve_dim;
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, bail, ensure, with_stored};

/// A recorded concatenation.
#[derive(Clone, Debug)]
pub struct CatOp {
    /// The dimension along which tensors were joined.
    pub dim: usize,
    /// The size of each tensor in that dimension.
    pub sizes: Vec<usize>,
}

/// Elements that a task copies at least.
const GRAIN: usize = 1 << 15;

fn cat_values(inputs: &[Saved], dim: usize, shape: Shape, dtype: DType) -> Result<Value> {
    let (outer, len, inner) = shape.around(dim);
    let row = len * inner;
    let parts: Vec<Value> = inputs
        .iter()
        .map(|x| x.value.contiguous())
        .collect::<Result<_>>()?;
    with_stored!(dtype, T => {
        // Each part with the number of its elements in one row.
        let parts: Vec<(&[T], usize)> =
            parts.iter().map(|v| Ok((v.data::<T>()?, v.shape[dim] * inner))).collect::<Result<_>>()?;
        Value::build::<T>(dtype, shape, |out| {
            if out.is_empty() {
                return;
            }
            if outer == 1 {
                let mut rest = out;
                for (data, width) in parts {
                    let (piece, tail) = rest.split_at_mut(width);
                    copy::copy(data, piece);
                    rest = tail;
                }
                return;
            }
            let rows = (GRAIN / row).max(1);
            pool::parallel_chunks_mut(out, rows * row, |first, piece| {
                for (r, mut out) in piece.chunks_mut(row).enumerate() {
                    let o = first / row + r;
                    for (data, width) in &parts {
                        let (piece, tail) = out.split_at_mut(*width);
                        piece.copy_from_slice(&data[o * width..][..*width]);
                        out = tail;
                    }
                }
            });
        })
    })
}

impl Tensor {
    /// Tensors joined along one dimension (`torch.cat`). Their types are promoted; 1-d tensors without elements are left
    /// out, as in PyTorch.
    ///
    /// # Errors
    /// `Value` if there are no tensors; `Shape` if they differ in another dimension; `Dim` if there is no such one.
    pub fn cat(tensors: &[impl AsRef<Tensor>], dim: isize) -> Result<Tensor> {
        let tensors = tensors.iter().map(|t| t.as_ref());
        let Some(dtype) = tensors.clone().map(Tensor::dtype).reduce(crate::promote) else {
            bail!(Value, "cat: expected at least one tensor");
        };
        let rank = tensors.clone().map(Tensor::rank).max().unwrap_or(0);
        let kept = tensors
            .filter(|t| t.shape() != [0] || rank == 1)
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

    /// Tensors of one shape joined along a new dimension (`torch.stack`).
    ///
    /// # Shapes
    /// `n` tensors `[a, b]` → `[n, a, b]` for `dim` 0.
    ///
    /// # Errors
    /// `Value` if there are no tensors; `Shape` if they differ in shape; `Dim` if `dim` is not in `[-rank - 1, rank]`.
    pub fn stack(tensors: &[impl AsRef<Tensor>], dim: isize) -> Result<Tensor> {
        let Some(first) = tensors.first().map(AsRef::as_ref) else {
            bail!(Value, "stack: expected at least one tensor");
        };
        for t in tensors {
            let shape = t.as_ref().shape();
            ensure!(
                shape == first.shape(),
                Shape,
                "stack: tensors {:?} and {shape:?} differ in shape",
                first.shape()
            );
        }
        let d = resolve_dim("stack", dim, first.rank() + 1)? as isize;
        joined("stack", tensors, |t| t.unsqueeze(d), d)
    }

    /// Tensors joined row-wise: along the first dimension if they are 1-d, else along the second (`torch.hstack`).
    ///
    /// # Errors
    /// As [`Tensor::cat`].
    pub fn hstack(tensors: &[impl AsRef<Tensor>]) -> Result<Tensor> {
        let flat = tensors.first().is_some_and(|t| t.as_ref().rank() <= 1);
        joined("hstack", tensors, |t| t.atleast_1d(), if flat { 0 } else { 1 })
    }

    /// Tensors joined along the first dimension; 1-d ones count as rows (`torch.vstack`).
    ///
    /// # Errors
    /// As [`Tensor::cat`].
    pub fn vstack(tensors: &[impl AsRef<Tensor>]) -> Result<Tensor> {
        joined("vstack", tensors, |t| t.atleast_2d(), 0)
    }

    /// Tensors joined along the third dimension (`torch.dstack`).
    ///
    /// # Errors
    /// As [`Tensor::cat`].
    pub fn dstack(tensors: &[impl AsRef<Tensor>]) -> Result<Tensor> {
        joined("dstack", tensors, |t| t.atleast_3d(), 2)
    }

    /// Tensors joined along the second dimension; 0-d and 1-d ones count as columns (`torch.column_stack`).
    ///
    /// # Errors
    /// As [`Tensor::cat`].
    pub fn column_stack(tensors: &[impl AsRef<Tensor>]) -> Result<Tensor> {
        let column = |t: &Tensor| {
            if t.rank() <= 1 {
                t.reshape((-1, 1))
            } else {
                Ok(t.clone())
            }
        };
        joined("column_stack", tensors, column, 1)
    }

    /// Matrices along the diagonal of a larger one, zeros elsewhere (`torch.block_diag`). 0-d and 1-d tensors count as
    /// rows.
    ///
    /// # Shapes
    /// `[a, b]`, `[c, d]` → `[a + c, b + d]`.
    ///
    /// # Errors
    /// `Shape` if a tensor has more than two dimensions.
    pub fn block_diag(tensors: &[impl AsRef<Tensor>]) -> Result<Tensor> {
        let mut blocks = Vec::with_capacity(tensors.len());
        for t in tensors.iter().map(AsRef::as_ref) {
            ensure!(
                t.rank() <= 2,
                Shape,
                "block_diag: expected matrices, got {:?}",
                t.shape()
            );
            blocks.push(t.atleast_2d()?);
        }
        if blocks.is_empty() {
            return Tensor::zeros((1, 0), DType::DEFAULT);
        }
        let total: usize = blocks.iter().map(|b| b.shape()[1]).sum();
        let mut before = 0;
        let mut rows = Vec::with_capacity(blocks.len());
        for block in &blocks {
            let width = block.shape()[1];
            let after = total - before - width;
            rows.push(block.constant_pad_nd(&[before as isize, after as isize], 0)?);
            before += width;
        }
        Tensor::cat(&rows, 0)
    }
}

/// [`Tensor::cat`] of tensors that are each reshaped first.
fn joined(
    op: &str,
    tensors: &[impl AsRef<Tensor>],
    reshape: impl Fn(&Tensor) -> Result<Tensor>,
    dim: isize,
) -> Result<Tensor> {
    let reshaped: Vec<Tensor> = tensors
        .iter()
        .map(|t| reshape(t.as_ref()))
        .collect::<Result<_>>()?;
    Tensor::cat(&reshaped, dim).map_err(|error| error.context(op))
}

impl AsRef<Tensor> for Tensor {
    fn as_ref(&self) -> &Tensor {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let nothing: [Tensor; 0] = [];
        assert!(Tensor::cat(&nothing, 0).is_err());
    }

    #[test]
    fn stacks_add_a_dimension() {
        let (a, b) = (Tensor::new([1i64, 2]).unwrap(), Tensor::new([3i64, 4]).unwrap());
        let get = |t: Result<Tensor>| t.unwrap().to_vec::<i64>().unwrap();
        assert_eq!(get(Tensor::stack(&[&a, &b], 0)), [1, 2, 3, 4]);
        assert_eq!(get(Tensor::stack(&[&a, &b], -1)), [1, 3, 2, 4]);
        assert_eq!(get(Tensor::hstack(&[&a, &b])), [1, 2, 3, 4]);
        assert_eq!(get(Tensor::column_stack(&[&a, &b])), [1, 3, 2, 4]);
        assert_eq!(Tensor::vstack(&[&a, &b]).unwrap().shape(), [2, 2]);
        assert_eq!(Tensor::dstack(&[&a, &b]).unwrap().shape(), [1, 2, 2]);
        assert!(Tensor::stack(&[&a, &a.unsqueeze(0).unwrap()], 0).is_err());
        let blocks = Tensor::block_diag(&[&a, &b.unsqueeze(1).unwrap()]).unwrap();
        assert_eq!(blocks.to_vec::<i64>().unwrap(), [1, 2, 0, 0, 0, 3, 0, 0, 4]);
    }

    #[test]
    fn many_rows_are_joined_in_parallel() {
        let n = 3000;
        let a = Tensor::full((n, 20), 1, DType::F32).unwrap();
        let b = Tensor::full((n, 5), 2, DType::F32).unwrap();
        let c = Tensor::cat(&[&a, &b], 1).unwrap();
        assert_eq!(c.sum().unwrap().item::<f32>().unwrap(), (n * 30) as f32);
        assert_eq!(
            c.i((n as i64 - 1, 19..22)).unwrap().to_vec::<f32>().unwrap(),
            [1.0, 2.0, 2.0]
        );
    }
}
