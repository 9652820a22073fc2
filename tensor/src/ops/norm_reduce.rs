//! Norms of vectors: `norm`, `dist`, `renorm`, `pairwise_distance`, `cosine_similarity`.
//!
//! `‖x‖ₚ = (Σ|x|ᵖ)^(1/p)`, with its limits: the number of non-zeros at `p = 0`, the greatest and least magnitude at ±∞.
//! Where a norm has no derivative its gradient is the subgradient PyTorch takes: 0 at `x = 0`, shared evenly by the
//! magnitudes that tie at ±∞.

use flambeau_kernels::reduce::Reduce;

use super::reduce::{DimList, finish};
use crate::graph::{Op, Saved, record};
use crate::shape::{resolve_dim, resolve_dims};
use crate::{Dims, Result, Tensor, ensure};

/// A recorded norm.
#[derive(Clone, Debug)]
pub struct VectorNormOp {
    /// The exponent.
    pub p: f64,
    /// The dimensions that were reduced.
    pub dims: DimList,
    /// The input.
    pub input: Saved,
    /// The norm.
    pub output: Saved,
}

impl Tensor {
    /// The `p`-norm of the elements over the given dimensions (`torch.linalg.vector_norm`), whatever their number.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension; `DType` for integers; `Value` if there are no elements and `p` is negative
    /// or infinite.
    pub fn vector_norm(&self, p: f64, dims: impl Dims, keepdim: bool) -> Result<Tensor> {
        let dims = resolve_dims("vector_norm", &dims.to_dims(), self.rank())?;
        let defined = p >= 0.0 && p != f64::INFINITY;
        let empty = dims.iter().any(|&d| self.shape().get(d) == Some(&0));
        ensure!(
            defined || !empty,
            Value,
            "vector_norm: the norm of order {p} of no elements is not defined ({:?})",
            self.shape()
        );
        let x = self.read();
        let kept = x.value.reduced("vector_norm", Reduce::Norm(p), &dims)?;
        Ok(record(finish(kept, &dims, keepdim), &[&x], |output| {
            Op::VectorNorm(VectorNormOp {
                p,
                dims,
                input: x.clone(),
                output: Saved::output(output, 0),
            })
        }))
    }

    /// The 2-norm of all elements.
    ///
    /// # Errors
    /// `DType` for integers.
    pub fn norm(&self) -> Result<Tensor> {
        let dims: Vec<isize> = (0..self.rank() as isize).collect();
        self.vector_norm(2.0, dims, false)
    }

    /// The `p`-norm of the difference of two tensors.
    ///
    /// # Errors
    /// `Broadcast` if the shapes don't broadcast; `DType` for integers.
    pub fn dist(&self, other: &Tensor, p: f64) -> Result<Tensor> {
        let difference = self.sub(other).map_err(|error| error.context("dist"))?;
        let dims: Vec<isize> = (0..difference.rank() as isize).collect();
        difference.vector_norm(p, dims, false)
    }

    /// Each of the slices along `dim` scaled down to the `p`-norm `maxnorm` if its norm is greater.
    ///
    /// # Errors
    /// `Dim` if there is no such dimension or only one; `Value` if `p` is not positive or `maxnorm` is negative.
    pub fn renorm(&self, p: f64, dim: isize, maxnorm: f64) -> Result<Tensor> {
        ensure!(p > 0.0, Value, "renorm: p must be positive, got {p}");
        ensure!(
            maxnorm >= 0.0,
            Value,
            "renorm: maxnorm must not be negative, got {maxnorm}"
        );
        ensure!(
            self.rank() > 1,
            Dim,
            "renorm: expected at least 2 dimensions, got {:?}",
            self.shape()
        );
        let d = resolve_dim("renorm", dim, self.rank())?;
        let others: Vec<isize> = (0..self.rank()).filter(|&i| i != d).map(|i| i as isize).collect();
        let norm = self.vector_norm(p, others, true)?;
        let scale = norm.add(1e-7)?.reciprocal()?.mul(maxnorm)?;
        let scale = scale.masked_fill(&norm.le(maxnorm)?, 1.0)?;
        self.mul(&scale)
    }

    /// `‖x - y + eps‖ₚ` over the last dimension (`nn.functional.pairwise_distance`).
    ///
    /// # Errors
    /// `Broadcast` if the shapes don't broadcast.
    pub fn pairwise_distance(&self, other: &Tensor, p: f64, eps: f64, keepdim: bool) -> Result<Tensor> {
        let difference = self
            .sub(other)
            .map_err(|error| error.context("pairwise_distance"))?;
        difference.add(eps)?.vector_norm(p, -1, keepdim)
    }

    /// `x·y/(max(‖x‖, eps)·max(‖y‖, eps))` over a dimension (`nn.functional.cosine_similarity`).
    ///
    /// # Errors
    /// `Broadcast` if the shapes don't broadcast; `Dim` if there is no such dimension; `DType` for integers.
    pub fn cosine_similarity(&self, other: &Tensor, dim: isize, eps: f64) -> Result<Tensor> {
        let shape = crate::broadcast_shapes("cosine_similarity", &[self.shape(), other.shape()])?;
        let dtype = crate::promote(self.dtype(), other.dtype());
        ensure!(
            dtype.is_float(),
            DType,
            "cosine_similarity: expected floating point tensors, got {dtype}"
        );
        let unit = |x: &Tensor| -> Result<Tensor> {
            let x = x.to_dtype(dtype)?.expand(&shape)?;
            let norm = x.vector_norm(2.0, dim, true)?;
            // As in PyTorch, the gradient does not see that a small norm is raised to eps.
            let plain = norm.detach();
            let raised = plain.masked_fill(&plain.lt(eps)?, eps)?.sub(&plain)?;
            x.div(&norm.add(&raised)?)
        };
        unit(self)?.mul(&unit(other)?)?.sum_dim(dim, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_of_every_order() {
        let x = Tensor::new([[3.0f64, -4.0], [0.0, 0.0]]).unwrap();
        let norm = |p| x.vector_norm(p, 1, false).unwrap().to_vec::<f64>().unwrap();
        assert_eq!(norm(2.0), [5.0, 0.0]);
        assert_eq!(norm(1.0), [7.0, 0.0]);
        assert_eq!(norm(0.0), [2.0, 0.0]);
        assert_eq!(norm(f64::INFINITY), [4.0, 0.0]);
        assert_eq!(norm(f64::NEG_INFINITY), [3.0, 0.0]);
        let renormed = x.renorm(2.0, 0, 1.0).unwrap().to_vec::<f64>().unwrap();
        assert!((renormed[0] - 0.6).abs() < 1e-6 && renormed[2] == 0.0);
    }
}
