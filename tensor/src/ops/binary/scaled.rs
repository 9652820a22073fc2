//! Sums and differences with a factor, `x + alpha·y`, and what writes straight to the left tensor's memory.

use super::*;

impl Tensor {
    /// `self + alpha·rhs` (`add(alpha=…)`).
    ///
    /// # Errors
    /// As [`Tensor::add`]; `Value` for a fractional `alpha` and an integer result.
    pub fn add_scaled<'a>(&self, rhs: impl Into<Operand<'a>>, alpha: impl Into<Scalar>) -> Result<Tensor> {
        let rhs = rhs.into();
        let scaled = scaled("add", self, &rhs, alpha.into())?;
        self.add(scaled.as_ref().map_or(rhs, Operand::from))
    }

    /// `self - alpha·rhs` (`sub(alpha=…)`).
    ///
    /// # Errors
    /// As [`Tensor::sub`]; `Value` for a fractional `alpha` and an integer result.
    pub fn sub_scaled<'a>(&self, rhs: impl Into<Operand<'a>>, alpha: impl Into<Scalar>) -> Result<Tensor> {
        let rhs = rhs.into();
        let scaled = scaled("sub", self, &rhs, alpha.into())?;
        self.sub(scaled.as_ref().map_or(rhs, Operand::from))
    }

    /// [`Tensor::add_scaled`] in place: one fused pass where nothing is recorded.
    ///
    /// # Errors
    /// As [`Tensor::add_`]; `Value` for a fractional `alpha` and an integer result.
    pub fn add_scaled_<'a>(&self, rhs: impl Into<Operand<'a>>, alpha: impl Into<Scalar>) -> Result<&Tensor> {
        let (rhs, alpha) = (rhs.into(), alpha.into());
        match self.readable_beside("add_", &rhs)? {
            None => self.replace("add_", self.add_scaled(rhs, alpha)?),
            Some(other) => {
                with_float!("add_", self.dtype(), T => {
                    let view = other.view::<T>()?;
                    self.write::<T, _>("add_", |own| add_scaled_in_place(own, view, alpha.to_f64()))?;
                });
                Ok(self)
            }
        }
    }

    /// Writes straight to the tensor's memory where nothing is recorded and types agree; else computes beside and
    /// replaces.
    pub(super) fn in_place<'a>(
        &self,
        op: &'static str,
        function: Binary,
        rhs: Operand<'a>,
        beside: impl FnOnce(&Tensor, Operand<'a>) -> Result<Tensor>,
    ) -> Result<&Tensor> {
        match self.readable_beside(op, &rhs)? {
            None => self.replace(op, beside(self, rhs)?),
            Some(other) => {
                with_float!(op, self.dtype(), T => {
                    let view = other.view::<T>()?;
                    self.write::<T, _>(op, |own| binary_in_place(function, own, view))?;
                });
                Ok(self)
            }
        }
    }

    /// The right operand of an operation that may write straight to this tensor's memory, in its shape and type; `None`
    /// where it may not: something is recorded, or the types ask for another way.
    fn readable_beside(&self, op: &str, rhs: &Operand<'_>) -> Result<Option<Value>> {
        let dtype = self.dtype();
        let untracked = !crate::is_grad_enabled() || (!self.is_tracked() && !rhs.is_tracked());
        let full = matches!(dtype, DType::F32 | DType::F64);
        if !untracked || !full || common_dtype(&Operand::Tensor(self), rhs) != dtype {
            return Ok(None);
        }
        let other = read(rhs, dtype).value.cast_view(dtype)?;
        let shape = broadcast_shapes(op, &[self.shape(), &other.shape])?;
        ensure!(
            shape == *self.shape(),
            Shape,
            "{op}: the result {shape:?} does not fit {:?}",
            self.shape()
        );
        Ok(Some(other.expanded(&shape)))
    }
}

/// `alpha·rhs`; `None` where `alpha` is 1.
fn scaled(op: &str, lhs: &Tensor, rhs: &Operand<'_>, alpha: Scalar) -> Result<Option<Tensor>> {
    if alpha.to_f64() == 1.0 {
        return Ok(None);
    }
    let whole = !common_dtype(&Operand::Tensor(lhs), rhs).is_float();
    ensure!(
        !(whole && matches!(alpha, Scalar::Float(_))),
        Value,
        "{op}: alpha must be an integer for integer operands, got {alpha:?}"
    );
    match rhs {
        Operand::Tensor(rhs) => rhs.mul(alpha).map(Some),
        Operand::Scalar(rhs) => mul(*rhs, alpha).map(Some),
    }
}
