//! Conversion between element types: `tensor.to(dtype)`, `float()`, `long()`, …

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

    /// The tensor with elements of the type of `other`'s.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn type_as(&self, other: &Tensor) -> Result<Tensor> {
        self.to_dtype(other.dtype())
    }
}

/// Casts by PyTorch's names of the types.
macro_rules! casts {
    ($($name:ident => $dtype:ident, $torch:literal;)*) => {
        impl Tensor { $(
            #[doc = concat!("The elements as `", $torch, "`: see [`Tensor::to_dtype`].")]
            ///
            /// # Errors
            /// None that a valid tensor meets.
            pub fn $name(&self) -> Result<Tensor> {
                self.to_dtype(DType::$dtype)
            }
        )* }
    };
}

casts! {
    bool => Bool, "bool";
    byte => U8, "uint8";
    char => I8, "int8";
    short => I16, "int16";
    int => I32, "int32";
    long => I64, "int64";
    half => F16, "float16";
    bfloat16 => BF16, "bfloat16";
    float => F32, "float32";
    double => F64, "float64";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_cut_off_wrap_and_test_for_zero() {
        let x = Tensor::new([-1.9f64, 0.0, 300.7]).unwrap();
        assert_eq!(x.long().unwrap().to_vec::<i64>().unwrap(), [-1, 0, 300]);
        assert_eq!(x.byte().unwrap().to_vec::<u8>().unwrap(), [255, 0, 44]);
        assert_eq!(x.bool().unwrap().to_vec::<bool>().unwrap(), [true, false, true]);
        assert_eq!(x.type_as(&x.half().unwrap()).unwrap().dtype(), DType::F16);
        assert!(x.double().unwrap().same(&x));
    }
}
