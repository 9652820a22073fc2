//! Triangles and diagonals of matrices: `tril`, `triu`, `diag`, `diag_embed`, `diagflat`, and the indices of triangles.

use crate::graph::{Op, record};
use crate::ops::create::{check_room, checked_numel};
use crate::ops::view::{Layout, StridedOp};
use crate::shape::resolve_dims;
use crate::value::Value;
use crate::{DType, Result, Tensor, bail, ensure, with_stored};

/// A recorded triangle of matrices: the elements on one side of a diagonal, zeros on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TriangleOp {
    /// Whether the part above the diagonal is kept, or the one below.
    pub upper: bool,
    /// The diagonal, which is kept: 0 is the main one, positive ones lie above it.
    pub diagonal: isize,
}

impl TriangleOp {
    /// The columns of a row that are kept.
    fn kept(self, row: usize, columns: usize) -> std::ops::Range<usize> {
        let column = (row as isize).saturating_add(self.diagonal);
        let clamp = |c: isize| c.clamp(0, columns as isize) as usize;
        if self.upper {
            clamp(column)..columns
        } else {
            0..clamp(column.saturating_add(1))
        }
    }
}

impl Tensor {
    /// The lower triangle of the last two dimensions: what lies on and below a diagonal, zeros above (`torch.tril`).
    ///
    /// # Errors
    /// `Dim` of a tensor of fewer than two dimensions.
    pub fn tril(&self, diagonal: isize) -> Result<Tensor> {
        self.triangle(TriangleOp {
            upper: false,
            diagonal,
        })
    }

    /// The upper triangle of the last two dimensions: what lies on and above a diagonal, zeros below (`torch.triu`).
    ///
    /// # Errors
    /// `Dim` of a tensor of fewer than two dimensions.
    pub fn triu(&self, diagonal: isize) -> Result<Tensor> {
        self.triangle(TriangleOp {
            upper: true,
            diagonal,
        })
    }

    /// [`Tensor::tril`] or [`Tensor::triu`].
    ///
    /// # Errors
    /// `Dim` of a tensor of fewer than two dimensions.
    pub fn triangle(&self, op: TriangleOp) -> Result<Tensor> {
        let name = if op.upper { "triu" } else { "tril" };
        let &[.., rows, columns] = self.shape() else {
            bail!(
                Dim,
                "{name}: expected at least two dimensions, got {:?}",
                self.shape()
            )
        };
        let x = self.read();
        let source = x.value.contiguous()?;
        let value = with_stored!(source.dtype, T => {
            let data = source.data::<T>()?;
            Value::build::<T>(source.dtype, source.shape.clone(), |out| {
                if columns == 0 {
                    return;
                }
                let lines = out.chunks_mut(columns).zip(data.chunks(columns));
                for (i, (out, data)) in lines.enumerate() {
                    let kept = op.kept(i % rows, columns);
                    out[..kept.start].fill(T::default());
                    out[kept.clone()].copy_from_slice(&data[kept.clone()]);
                    out[kept.end..].fill(T::default());
                }
            })?
        });
        Ok(record(value, &[&x], |_| Op::Triangle(op)))
    }

    /// The diagonal of a matrix, or the matrix with a vector on its diagonal (`torch.diag`).
    ///
    /// # Errors
    /// `Dim` of a tensor of other than one or two dimensions.
    pub fn diag(&self, diagonal: isize) -> Result<Tensor> {
        match self.rank() {
            1 => self.diag_embed(diagonal, 0, 1),
            2 => self.diagonal(diagonal, 0, 1),
            _ => bail!(Dim, "diag: expected a vector or a matrix, got {:?}", self.shape()),
        }
    }

    /// Matrices, in the dimensions `dim1` and `dim2` of the result, with the last dimension on a diagonal and zeros
    /// elsewhere (`torch.diag_embed`).
    ///
    /// # Shapes
    /// `[…, n]` → `[…, n + |offset|, n + |offset|]` for `dim1` -2 and `dim2` -1.
    ///
    /// # Errors
    /// `Dim` of a 0-d tensor, or if there are no such dimensions.
    pub fn diag_embed(&self, offset: isize, dim1: isize, dim2: isize) -> Result<Tensor> {
        let &[.., n] = self.shape() else {
            bail!(
                Dim,
                "diag_embed: expected at least one dimension, got a 0-d tensor"
            )
        };
        let dims = resolve_dims("diag_embed", &[dim1, dim2], self.rank() + 1)?;
        let (first, second) = (dims[0].min(dims[1]), dims[0].max(dims[1]));
        let size = n.saturating_add(offset.unsigned_abs());
        let mut base = self.shape()[..self.rank() - 1].to_vec();
        base.insert(first, size);
        base.insert(second, size);
        checked_numel("diag_embed", &base)?;
        let op = StridedOp::new("diag_embed", &base, |layout: &mut Layout| {
            layout.diagonal(offset, dims[0], dims[1])
        });
        self.strided_backward(&op)
    }

    /// The matrix with all elements, in row-major order, on a diagonal (`torch.diagflat`).
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn diagflat(&self, offset: isize) -> Result<Tensor> {
        self.ravel()?.diag(offset)
    }
}

/// The row and column indices of the lower triangle of a matrix, as a tensor `[2, n]` (`torch.tril_indices`).
///
/// # Errors
/// `DType` unless `dtype` is an integer type.
pub fn tril_indices(rows: usize, columns: usize, diagonal: isize, dtype: DType) -> Result<Tensor> {
    triangle_indices(
        "tril_indices",
        rows,
        columns,
        TriangleOp {
            upper: false,
            diagonal,
        },
        dtype,
    )
}

/// The row and column indices of the upper triangle of a matrix, as a tensor `[2, n]` (`torch.triu_indices`).
///
/// # Errors
/// `DType` unless `dtype` is an integer type.
pub fn triu_indices(rows: usize, columns: usize, diagonal: isize, dtype: DType) -> Result<Tensor> {
    triangle_indices(
        "triu_indices",
        rows,
        columns,
        TriangleOp {
            upper: true,
            diagonal,
        },
        dtype,
    )
}

fn triangle_indices(name: &str, rows: usize, columns: usize, op: TriangleOp, dtype: DType) -> Result<Tensor> {
    ensure!(
        dtype.is_integer(),
        DType,
        "{name}: expected an integer type, got {dtype}"
    );
    // Rows outside this range keep nothing; each of the others keeps at least one place, if there are columns.
    let (first, end) = match op.upper {
        _ if columns == 0 => (0, 0),
        true => (0, (columns as isize).saturating_sub(op.diagonal).max(0) as usize),
        false => (op.diagonal.saturating_neg().max(0) as usize, rows),
    };
    let kept = first..rows.min(end);
    check_room::<i64>(name, kept.len().saturating_mul(2))?;
    let count = kept
        .clone()
        .fold(0, |n: usize, r| n.saturating_add(op.kept(r, columns).len()));
    check_room::<i64>(name, count.saturating_mul(2))?;
    let places = || {
        kept.clone()
            .flat_map(|r| op.kept(r, columns).map(move |c| (r as i64, c as i64)))
    };
    let data: Vec<i64> = places().map(|(r, _)| r).chain(places().map(|(_, c)| c)).collect();
    let n = data.len() / 2;
    Tensor::from_vec(data, (2, n))?.to_dtype(dtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(t: Result<Tensor>) -> Vec<i64> {
        t.unwrap().to_vec().unwrap()
    }

    #[test]
    fn triangles_and_diagonals() {
        let x = Tensor::new([[1i64, 2, 3], [4, 5, 6]]).unwrap();
        assert_eq!(values(x.tril(0)), [1, 0, 0, 4, 5, 0]);
        assert_eq!(values(x.triu(1)), [0, 2, 3, 0, 0, 6]);
        assert_eq!(values(x.tril(-5)), [0; 6]);
        assert_eq!(values(x.t().unwrap().triu(0)), [1, 4, 0, 5, 0, 0]);
        assert_eq!(values(x.diag(1)), [2, 6]);
        assert_eq!(
            values(Tensor::new([7i64, 8]).unwrap().diag(-1)),
            [0, 0, 0, 7, 0, 0, 0, 8, 0]
        );
        assert_eq!(x.diag_embed(0, 0, 2).unwrap().shape(), [3, 2, 3]);
        assert_eq!(x.diagflat(0).unwrap().shape(), [6, 6]);
        assert!(x.i(0).unwrap().tril(0).is_err());
    }

    #[test]
    fn indices_of_triangles() {
        assert_eq!(values(tril_indices(2, 3, 0, DType::I64)), [0, 1, 1, 0, 0, 1]);
        assert_eq!(values(triu_indices(2, 2, 1, DType::I64)), [0, 1]);
        assert_eq!(tril_indices(2, 0, 0, DType::I32).unwrap().shape(), [2, 0]);
        assert!(tril_indices(2, 2, 0, DType::F32).is_err());
    }
}
