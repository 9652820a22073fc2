//! The matrix product with PyTorch's rules for vectors and batches.

use flambeau_kernels::gemm::{Epilogue, MatRef, gemm_batched, gemm_integer};

use crate::amp::under_autocast;
use crate::graph::{Op, Saved, record};
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, bail, broadcast_shapes, ensure, with_float, with_integer};

/// A recorded matrix product of two tensors with at least two dimensions each.
#[derive(Clone, Debug)]
pub struct MatmulOp {
    /// The left factor, if the right one's gradient is wanted.
    pub lhs: Option<Saved>,
    /// The right factor, if the left one's gradient is wanted.
    pub rhs: Option<Saved>,
}

impl Tensor {
    /// The matrix product over the last two dimensions; the dimensions before them are broadcast. A vector on the left
    /// is a row, one on the right a column, and the dimension added for it is removed from the result.
    ///
    /// # Shapes
    /// `[…, n, k] · […, k, m] → […, n, m]`, `[k] · [k] → []`, `[n, k] · [k] → [n]`.
    ///
    /// # Errors
    /// `Shape` for a 0-d tensor or if the inner dimensions differ; `Broadcast` if the others don't broadcast; `DType` if
    /// the types differ.
    pub fn matmul(&self, rhs: &Tensor) -> Result<Tensor> {
        under_autocast!("matmul": a = self, rhs => a.matmul(rhs));
        let (a, b) = (self.shape(), rhs.shape());
        ensure!(
            !a.is_empty() && !b.is_empty(),
            Shape,
            "matmul: lhs {a:?} and rhs {b:?}: 0-d tensors have no product"
        );
        let (s, t) = (self.dtype(), rhs.dtype());
        ensure!(
            s == t,
            DType,
            "matmul: expected tensors of one type, got {s} and {t}"
        );
        let inner = (a[a.len() - 1], b[b.len().saturating_sub(2)]);
        ensure!(
            inner.0 == inner.1,
            Shape,
            "matmul: lhs {a:?} and rhs {b:?}: inner dimensions {} and {} differ",
            inner.0,
            inner.1
        );
        match (a.len(), b.len()) {
            (1, 1) => self.unsqueeze(0)?.matmul(&rhs.unsqueeze(1)?)?.reshape(()),
            (1, _) => self.unsqueeze(0)?.matmul(rhs)?.squeeze_dim(-2),
            (_, 1) => self.matmul(&rhs.unsqueeze(1)?)?.squeeze_dim(-1),
            _ => self.matrix_product(rhs),
        }
    }

    fn matrix_product(&self, rhs: &Tensor) -> Result<Tensor> {
        let (x, y) = (self.read(), rhs.read());
        let value = x.value.product(&y.value)?;
        Ok(record(value, &[&x, &y], |_| {
            Op::Matmul(MatmulOp {
                lhs: y.edge().map(|_| x.clone()),
                rhs: x.edge().map(|_| y.clone()),
            })
        }))
    }
}

impl Value {
    /// The matrix product of two values of one type with at least two dimensions each and equal inner ones.
    fn product(&self, rhs: &Value) -> Result<Value> {
        if self.dtype.is_half() {
            return self
                .cast(DType::F32)?
                .product(&rhs.cast(DType::F32)?)?
                .cast(self.dtype);
        }
        let (ra, rb) = (self.shape.len(), rhs.shape.len());
        let (n, k, m) = (self.shape[ra - 2], self.shape[ra - 1], rhs.shape[rb - 1]);
        let Ok(batch_shape) = broadcast_shapes("matmul", &[&self.shape[..ra - 2], &rhs.shape[..rb - 2]])
        else {
            bail!(
                Broadcast,
                "matmul: lhs {:?} and rhs {:?}: the dimensions before the matrices cannot be broadcast together",
                self.shape,
                rhs.shape
            )
        };
        let mut shape: Shape = batch_shape.clone();
        shape.push(n);
        shape.push(m);
        if k == 0 || shape.numel() == 0 {
            // Sums of nothing. Without elements the strides below mean nothing.
            return Value::zeros(self.dtype, shape);
        }
        // Many matrices against one: a single tall product.
        if rb == 2 && ra > 2 && self.is_contiguous() {
            let tall = self.reshaped(Shape::new(&[batch_shape.numel() * n, k]))?;
            return tall.product(rhs)?.reshaped(shape);
        }
        let (a, a_stride) = self.batched(&batch_shape)?;
        let (b, b_stride) = rhs.batched(&batch_shape)?;
        let last = |v: &Value| [v.strides[v.strides.len() - 2], v.strides[v.strides.len() - 1]];
        let ([a_row, a_column], [b_row, b_column]) = (last(&a), last(&b));
        let batch = batch_shape.numel();
        if !self.dtype.is_float() {
            return with_integer!("matmul", self.dtype, T => {
                let (a_data, b_data) = (a.data::<T>()?, b.data::<T>()?);
                Value::build::<T>(self.dtype, shape, |out| {
                    for (i, c) in out.chunks_exact_mut((n * m).max(1)).enumerate() {
                        let lhs = MatRef::new(&a_data[i * a_stride..], n, k, a_row, a_column);
                        gemm_integer(lhs, MatRef::new(&b_data[i * b_stride..], k, m, b_row, b_column), c);
                    }
                })
            });
        }
        with_float!("matmul", self.dtype, T => {
            let lhs = MatRef::new(a.data::<T>()?, n, k, a_row, a_column);
            let rhs = MatRef::new(b.data::<T>()?, k, m, b_row, b_column);
            Value::build::<T>(self.dtype, shape, |out| {
                gemm_batched(batch, lhs, a_stride, rhs, b_stride, out, m, n * m, &Epilogue::default())
            })
        })
    }

    /// The value seen as a batch of matrices a constant stride apart, copied if there is no such view.
    fn batched(&self, batch: &Shape) -> Result<(Value, usize)> {
        let rank = self.shape.len();
        let mut full = batch.clone();
        full.push(self.shape[rank - 2]);
        full.push(self.shape[rank - 1]);
        let numel = batch.numel();
        let flat = Shape::new(&[numel, full[batch.len()], full[batch.len() + 1]]);
        if self.shape[..rank - 2].iter().all(|&size| size == 1) {
            return Ok((self.reshaped(Shape::new(&flat[1..]))?, 0));
        }
        let value = self.expanded(&full).reshaped(flat)?;
        let stride = if numel > 1 { value.strides[0] } else { 0 };
        Ok((value, stride))
    }
}
