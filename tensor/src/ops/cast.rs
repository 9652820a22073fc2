//! Conversion between element types: `tensor.to(dtype)`.

use crate::graph::{Op, record};
use crate::{DType, Result, Tensor};

impl Tensor {
    /// The tensor with elements of another type (`to`); the tensor itself if it has that type already. Floats are cut
    /// off towards zero to integers; everything but zero, NaN included, is `true` as `bool`. The gradient is cast back.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn to_dtype(&self, dtype: DType) -> Result<Tensor> {
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        let x = self.read();
        let value = x.value.cast(dtype)?;
        Ok(record(value, &[&x], |_| Op::Cast(())))
    }
}
