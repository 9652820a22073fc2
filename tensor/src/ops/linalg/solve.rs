//! Linear systems and inverses: `solve`, `solve_triangular`, `inv`, `tensorsolve`, `tensorinv`.

use flambeau_kernels::gemm::MatRef;
use flambeau_kernels::linalg::triangular;

use super::{batched, check_info, identity, integers, lu, matrix_dims, mt, square_dims};
use crate::amp::under_autocast;
use crate::graph::{Op, Saved, record};
use crate::value::Value;
use crate::{DType, Result, Tensor, broadcast_shapes, ensure, with_float};

/// A recorded solution X of `A·X = B`.
#[derive(Clone, Debug)]
pub struct SolveOp {
    /// A.
    pub a: Saved,
    /// X.
    pub x: Saved,
    /// A's packed LU factors, for gradients that are not recorded.
    factors: Value,
    pivots: Vec<i32>,
}

impl SolveOp {
    /// The solution of `Aᵀ·Y = G` from the factors of A: one step of the gradient, not recorded.
    ///
    /// # Errors
    /// `Shape` if G has not the shape of X.
    pub fn solve_transposed(&self, g: &Tensor) -> Result<Tensor> {
        Ok(Tensor::from_value(lu::solve_value(
            &self.factors,
            &self.pivots,
            &g.value(),
            true,
        )?))
    }
}

/// A recorded solution X of a triangular system `A·X = B`.
#[derive(Clone, Debug)]
pub struct SolveTriangularOp {
    /// A.
    pub a: Saved,
    /// X.
    pub x: Saved,
    /// Whether the upper triangle is read.
    pub upper: bool,
    /// Whether the diagonal counts as ones.
    pub unit: bool,
    /// Whether the gradient of A is that of a general matrix, not of its triangle.
    pub general: bool,
}

/// A recorded inverse.
#[derive(Clone, Debug)]
pub struct InverseOp {
    /// The inverse.
    pub output: Saved,
}

/// Both tensors expanded to a common batch shape.
fn common_batch(op: &str, a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    let ((a_batch, m, n), (b_batch, r, c)) = (matrix_dims(op, a)?, matrix_dims(op, b)?);
    ensure!(
        a.dtype() == b.dtype(),
        DType,
        "{op}: expected tensors of one type, got {} and {}",
        a.dtype(),
        b.dtype()
    );
    if a_batch == b_batch {
        return Ok((a.clone(), b.clone()));
    }
    let batch = broadcast_shapes(op, &[a_batch, b_batch])?;
    Ok((
        a.expand(batched(&batch, &[m, n]))?,
        b.expand(batched(&batch, &[r, c]))?,
    ))
}

impl Tensor {
    /// The solution X of `A·X = B`, where A is this tensor and B a batch of matrices of as many rows, or of vectors (if
    /// it has one dimension, or exactly this tensor's shape but for the last dimension).
    ///
    /// # Errors
    /// `Shape` unless the tensors fit; `Value` if a matrix is singular; `DType` if the types differ.
    pub fn solve(&self, b: &Tensor) -> Result<Tensor> {
        let (x, info) = self.solve_ex(b, true)?;
        check_info("solve", &info.to_vec::<i32>()?, "singular")?;
        Ok(x)
    }

    /// [`Tensor::solve`] (of `X·A = B` unless `left`) with error codes instead of errors: 0, or the number of the first
    /// pivot that is zero.
    ///
    /// # Errors
    /// `Shape` unless the tensors fit; `DType` if the types differ.
    pub fn solve_ex(&self, b: &Tensor, left: bool) -> Result<(Tensor, Tensor)> {
        under_autocast!("solve": a = self, b => a.solve_ex(b, left));
        let (_, n) = square_dims("solve", self)?;
        let vector = b.rank() == 1 || (b.rank() + 1 == self.rank() && b.shape() == &self.shape()[..b.rank()]);
        let equations = match b.shape() {
            [.., rows] if vector => *rows,
            [.., rows, columns] => {
                if left {
                    *rows
                } else {
                    *columns
                }
            }
            _ => 0,
        };
        ensure!(
            equations == n,
            Shape,
            "solve: {:?} has {n} equations, {:?} gives {equations} right-hand sides",
            self.shape(),
            b.shape()
        );
        if vector {
            let (x, info) = self.solve_ex(&b.unsqueeze(-1)?, true)?;
            return Ok((x.squeeze_dim(-1)?, info));
        }
        if !left {
            let (x, info) = mt(self)?.solve_ex(&mt(b)?, true)?;
            return Ok((mt(&x)?, info));
        }
        let (a, b) = common_batch("solve", self, b)?;
        let (a, b) = (a.read(), b.read());
        let (factors, pivots, info) = lu::factorise("solve", &a.value, true)?;
        let batch = batched(&a.value.shape[..a.value.shape.len() - 2], &[]);
        let info = Tensor::from_value(integers(&info, DType::I32, batch));
        let x = lu::solve_value(&factors, &pivots, &b.value, false)?;
        let x = record(x, &[&a, &b], |x| {
            Op::Solve(SolveOp {
                a: a.clone(),
                x: Saved::output(x, 0),
                factors,
                pivots,
            })
        });
        Ok((x, info))
    }

    /// The solution X of `A·X = B`, where this tensor holds A in its upper or lower triangle; the other one is not read.
    /// With `unit` the diagonal counts as ones. Transpose both sides for `X·A = B`.
    ///
    /// # Errors
    /// `Shape` unless the tensors fit; `DType` if the types differ.
    pub fn solve_triangular(&self, b: &Tensor, upper: bool, unit: bool) -> Result<Tensor> {
        self.solve_triangular_with(b, upper, unit, false)
    }

    /// [`Tensor::solve_triangular`]; with `general`, A's gradient is that of `A⁻¹·B` for a general matrix that happens to
    /// be triangular, as PyTorch's functions of Cholesky factors have it.
    ///
    /// # Errors
    /// As [`Tensor::solve_triangular`].
    pub fn solve_triangular_with(
        &self,
        b: &Tensor,
        upper: bool,
        unit: bool,
        general: bool,
    ) -> Result<Tensor> {
        under_autocast!("triangular_solve": a = self, b => a.solve_triangular_with(b, upper, unit, general));
        let op = "solve_triangular";
        let ((_, n), (_, rows, columns)) = (square_dims(op, self)?, matrix_dims(op, b)?);
        ensure!(
            rows == n,
            Shape,
            "{op}: {:?} and {:?} have no solution",
            self.shape(),
            b.shape()
        );
        let (a, b) = common_batch(op, self, b)?;
        let (a, b) = (a.read(), b.read());
        // The transpose of a contiguous matrix is read by its strides.
        let transposed = {
            let mut dims: Vec<usize> = (0..a.value.shape.len()).collect();
            let r = dims.len();
            dims.swap(r - 2, r - 1);
            a.value.permuted(&dims)
        };
        let by_columns = !a.value.is_contiguous() && transposed.is_contiguous();
        let matrices = if by_columns {
            transposed
        } else {
            a.value.contiguous()?
        };
        let mut x = b.value.copy()?;
        with_float!(op, x.dtype, T => {
            let (data, x) = (matrices.data::<T>()?, x.data_mut::<T>()?);
            if n * columns > 0 {
                for (i, x) in x.chunks_exact_mut(n * columns).enumerate() {
                    let a = MatRef::row_major(&data[i * n * n..(i + 1) * n * n], n, n);
                    let a = if by_columns { a.transposed() } else { a };
                    triangular::solve_triangular(a, upper, unit, x, columns, columns);
                }
            }
        });
        Ok(record(x, &[&a, &b], |x| {
            Op::SolveTriangular(SolveTriangularOp {
                a: a.clone(),
                x: Saved::output(x, 0),
                upper,
                unit,
                general,
            })
        }))
    }

    /// The inverses of square matrices, and for each 0 or the number of its first pivot that is zero.
    ///
    /// # Errors
    /// `Shape` unless the matrices are square; `DType` unless they are `float32` or `float64`.
    pub fn inv_ex(&self) -> Result<(Tensor, Tensor)> {
        under_autocast!("inv": a = self => a.inv_ex());
        let (batch, n) = square_dims("inv", self)?;
        let a = self.read();
        let (factors, pivots, info) = lu::factorise("inv", &a.value, true)?;
        let eye = identity(n, self.dtype())?.expand(self.shape())?;
        let value = lu::solve_value(&factors, &pivots, &eye.value(), false)?;
        let inverse = record(value, &[&a], |output| {
            Op::Inverse(InverseOp {
                output: Saved::output(output, 0),
            })
        });
        Ok((
            inverse,
            Tensor::from_value(integers(&info, DType::I32, batched(batch, &[]))),
        ))
    }

    /// The inverses of square matrices.
    ///
    /// # Errors
    /// As [`Tensor::inv_ex`]; `Value` if a matrix is singular.
    pub fn inv(&self) -> Result<Tensor> {
        let (inverse, info) = self.inv_ex()?;
        check_info("inv", &info.to_vec::<i32>()?, "singular")?;
        Ok(inverse)
    }

    /// The inverse with respect to the first `ind` dimensions: `[a…, b…] → [b…, a…]` (`torch.linalg.tensorinv`).
    ///
    /// # Errors
    /// `Shape` unless both groups of dimensions have as many elements; `Value` if the matrix is singular or `ind` is 0.
    pub fn tensorinv(&self, ind: usize) -> Result<Tensor> {
        under_autocast!("tensorinv": a = self => a.tensorinv(ind));
        ensure!(
            ind > 0 && ind <= self.rank(),
            Value,
            "tensorinv: ind must be in [1, {}], got {ind}",
            self.rank()
        );
        let (rows, columns) = self.shape().split_at(ind);
        let (n, m) = (rows.iter().product::<usize>(), columns.iter().product::<usize>());
        ensure!(
            n == m,
            Shape,
            "tensorinv: of {:?}, {rows:?} has {n} elements, {columns:?} has {m}",
            self.shape()
        );
        self.reshape((n, n))?.inv()?.reshape([columns, rows].concat())
    }

    /// The solution x of `tensordot(self, x, x.rank()) = b` (`torch.linalg.tensorsolve`); `dims` are moved to the end
    /// first.
    ///
    /// # Errors
    /// `Shape` unless the tensors fit; `Value` if the matrix is singular.
    pub fn tensorsolve(&self, b: &Tensor, dims: Option<&[isize]>) -> Result<Tensor> {
        under_autocast!("tensorsolve": a = self, b => a.tensorsolve(b, dims));
        let mut a = self.clone();
        if let Some(dims) = dims {
            let moved = crate::shape::resolve_dims("tensorsolve", dims, a.rank())?;
            let order = (0..a.rank())
                .filter(|d| !moved.contains(d))
                .chain(moved.iter().copied());
            a = a.permute(order.map(|d| d as isize).collect::<Vec<_>>())?;
        }
        ensure!(
            a.rank() >= b.rank() && a.numel() == b.numel() * b.numel(),
            Shape,
            "tensorsolve: {:?} and {:?} make no square system",
            a.shape(),
            b.shape()
        );
        let n = b.numel();
        let shape = a.shape()[b.rank()..].to_vec();
        a.reshape((n, n))?.solve(&b.reshape(n)?)?.reshape(shape)
    }
}
