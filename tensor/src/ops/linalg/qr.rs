//! QR factorisation and Householder reflections: `qr`, `geqrf`, `householder_product`, `ormqr`.

use flambeau_kernels::linalg::qr as kernels;

use super::{batched, constant, matrix_dims};
use crate::amp::under_autocast;
use crate::graph::{Op, Saved, record_many};
use crate::ops::linalg::lu::two;
use crate::value::Value;
use crate::{Result, Tensor, bail, ensure, with_float};

/// How much of Q is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QrMode {
    /// The first `min(m, n)` columns.
    Reduced,
    /// All m columns.
    Complete,
    /// None: Q is empty.
    R,
}

impl QrMode {
    /// PyTorch's name: `"reduced"`, `"complete"` or `"r"`.
    ///
    /// # Errors
    /// `Value` for other names.
    pub fn from_name(name: &str) -> Result<QrMode> {
        match name {
            "reduced" => Ok(QrMode::Reduced),
            "complete" => Ok(QrMode::Complete),
            "r" => Ok(QrMode::R),
            _ => bail!(
                Value,
                "qr: mode must be \"reduced\", \"complete\" or \"r\", got {name:?}"
            ),
        }
    }
}

/// A recorded QR factorisation.
#[derive(Clone, Debug)]
pub struct QrOp {
    /// Q.
    pub q: Saved,
    /// R.
    pub r: Saved,
    /// The factorised matrix, whose columns beyond the square part the rule reads.
    pub a: Saved,
    /// How much of Q was computed.
    pub mode: QrMode,
}

/// The packed reflections and their factors τ.
fn packed(op: &str, a: &Value) -> Result<(Value, Value)> {
    let rank = a.shape.len();
    let (m, n) = (a.shape[rank - 2], a.shape[rank - 1]);
    let k = m.min(n);
    let mut packed = a.copy()?;
    let shape = batched(&a.shape[..rank - 2], &[k]);
    let count = a.shape[..rank - 2].iter().product::<usize>();
    let tau = with_float!(op, a.dtype, T => {
        let data = packed.data_mut::<T>()?;
        Value::build::<T>(a.dtype, shape, |tau| {
            for i in 0..count {
                kernels::qr(&mut data[i * m * n..(i + 1) * m * n], m, n, &mut tau[i * k..(i + 1) * k]);
            }
        })?
    });
    Ok((packed, tau))
}

/// The first `columns` columns of the product of reflections.
fn product_of_reflections(op: &str, packed: &Value, tau: &Value, columns: usize) -> Result<Value> {
    let rank = packed.shape.len();
    let (m, n) = (packed.shape[rank - 2], packed.shape[rank - 1]);
    let k = tau.shape[rank - 2];
    let shape = batched(&packed.shape[..rank - 2], &[m, columns]);
    let count = packed.shape[..rank - 2].iter().product::<usize>();
    with_float!(op, packed.dtype, T => {
        let (data, tau) = (packed.data::<T>()?, tau.data::<T>()?);
        Value::build::<T>(packed.dtype, shape, |out| {
            out.fill(0.0);
            for i in 0..count {
                let q = &mut out[i * m * columns..(i + 1) * m * columns];
                (0..m.min(columns)).for_each(|d| q[d * columns + d] = 1.0);
                let tau = &tau[i * k..(i + 1) * k];
                kernels::apply_reflections(&data[i * m * n..(i + 1) * m * n], n, tau, q, m, columns, false);
            }
        })
    })
}

impl Tensor {
    /// `A = Q·R` with orthonormal columns of Q and upper triangular R (`torch.linalg.qr`).
    ///
    /// # Errors
    /// `Shape` unless the tensor is a matrix or a batch of them; `DType` unless it is `float32` or `float64`.
    pub fn qr(&self, mode: QrMode) -> Result<(Tensor, Tensor)> {
        under_autocast!("qr": a = self => a.qr(mode));
        let (_, m, n) = matrix_dims("qr", self)?;
        let a = self.read();
        let (packed, tau) = packed("qr", &a.value)?;
        let k = m.min(n);
        let columns = if mode == QrMode::Complete { m } else { k };
        let full = Tensor::from_value(packed.clone());
        // The packed matrix has R's rows on top; a complete R has zero rows below.
        let r = super::triangle(&full.narrow(-2, 0, columns)?, true, 0)?.value();
        let q = match mode {
            QrMode::R => Tensor::zeros(0, self.dtype())?.value(),
            _ => product_of_reflections("qr", &packed, &tau, columns)?,
        };
        let outputs = record_many(vec![q, r], &[&a], |values| {
            Op::Qr(QrOp {
                q: Saved::output(&values[0], 0),
                r: Saved::output(&values[1], 1),
                a: a.clone(),
                mode,
            })
        });
        two("qr", outputs)
    }

    /// R and the Householder vectors in one matrix, and the factors τ (`torch.geqrf`, LAPACK's form). Not tracked.
    ///
    /// # Errors
    /// As [`Tensor::qr`].
    pub fn geqrf(&self) -> Result<(Tensor, Tensor)> {
        under_autocast!("geqrf": a = self => a.geqrf());
        matrix_dims("geqrf", self)?;
        let (packed, tau) = packed("geqrf", &self.value())?;
        Ok((Tensor::from_value(packed), Tensor::from_value(tau)))
    }

    /// The first n columns of the product of the reflections whose vectors lie below this tensor's diagonal:
    /// `[…, m, n], […, k] → […, m, n]`.
    ///
    /// # Errors
    /// `Shape` unless m ≥ n ≥ k.
    pub fn householder_product(&self, tau: &Tensor) -> Result<Tensor> {
        under_autocast!("householder_product": a = self, tau => a.householder_product(tau));
        let (_, m, n) = matrix_dims("householder_product", self)?;
        let k = tau.shape().last().copied().unwrap_or(0);
        ensure!(
            m >= n && n >= k && tau.rank() + 1 == self.rank(),
            Shape,
            "householder_product: expected [m, n] with m >= n and at most n factors, got {:?} and {:?}",
            self.shape(),
            tau.shape()
        );
        let eye = constant(m, n, self.dtype(), |i, j| if i == j { 1.0 } else { 0.0 })?;
        let eye = eye.expand(self.shape())?;
        self.reflect(tau, &eye, false)
    }

    /// `Q·C`, where Q is the product of all reflections whose vectors lie below this tensor's diagonal; with `transpose`
    /// `Qᵀ·C`, and unless `left` `C·Q` or `C·Qᵀ`.
    ///
    /// # Errors
    /// `Shape` unless the tensors fit.
    pub fn ormqr(&self, tau: &Tensor, c: &Tensor, left: bool, transpose: bool) -> Result<Tensor> {
        under_autocast!("ormqr": a = self, tau, c => a.ormqr(tau, c, left, transpose));
        if !left {
            return super::mt(&self.ormqr(tau, &super::mt(c)?, true, !transpose)?);
        }
        let ((_, m, _), (_, rows, _)) = (matrix_dims("ormqr", self)?, matrix_dims("ormqr", c)?);
        ensure!(
            m == rows && tau.rank() + 1 == self.rank(),
            Shape,
            "ormqr: reflections {:?} with factors {:?} for {:?}",
            self.shape(),
            tau.shape(),
            c.shape()
        );
        self.reflect(tau, c, transpose)
    }

    /// Applies the reflections one by one, as recorded operations.
    fn reflect(&self, tau: &Tensor, c: &Tensor, transpose: bool) -> Result<Tensor> {
        let (_, m, n) = matrix_dims("reflect", self)?;
        let k = tau.shape().last().copied().unwrap_or(0);
        ensure!(
            k <= m.min(n),
            Shape,
            "reflect: {k} factors for {:?}",
            self.shape()
        );
        let ones = constant(m, n, self.dtype(), |i, j| if i == j { 1.0 } else { 0.0 })?;
        let vectors = super::triangle(self, false, -1)?.add(&ones)?;
        let step = |c: Tensor, i: usize| -> Result<Tensor> {
            let v = vectors.narrow(-1, i as isize, 1)?;
            let scaled = v.mul(&tau.narrow(-1, i as isize, 1)?.unsqueeze(-1)?)?;
            c.sub(&scaled.matmul(&super::mt(&v)?.matmul(&c)?)?)
        };
        if transpose {
            (0..k).try_fold(c.clone(), step)
        } else {
            (0..k).rev().try_fold(c.clone(), step)
        }
    }
}
