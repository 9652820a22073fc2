//! Conversion between element types: `tensor.to(dtype)`, `float()`, `long()`, …

use crate::graph::{Op, record};
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, bail, ensure, with_stored};

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

    /// The same bytes read as elements of another type (`Tensor.view(dtype)`), in memory of their own. The last
    /// dimension gets longer or shorter as the elements' size does. Not tracked, unless
    /// the type is the same.
    ///
    /// # Errors
    /// `Shape` if the last dimension can't be divided so, or a 0-d tensor's size would change.
    pub fn view_dtype(&self, dtype: DType) -> Result<Tensor> {
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        let (from, to) = (self.dtype().size_in_bytes(), dtype.size_in_bytes());
        let mut shape = Shape::new(self.shape());
        match shape.last().copied() {
            Some(last) => {
                ensure!(
                    (last * from).is_multiple_of(to),
                    Shape,
                    "view: {last} elements of {} are no whole number of {dtype}: {:?}",
                    self.dtype(),
                    self.shape()
                );
                let end = shape.len() - 1;
                shape[end] = last * from / to;
            }
            None if from != to => bail!(
                Shape,
                "view: a 0-d tensor of {} can't be one of {dtype}",
                self.dtype()
            ),
            None => {}
        }
        let source = self.value().contiguous()?;
        let mut bytes: Vec<u8> = with_stored!(source.dtype, T => {
            source.data::<T>()?.iter().flat_map(|x| x.to_le_bytes()).collect()
        });
        if dtype == DType::Bool {
            // A bool is 0 or 1.
            bytes.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
        }
        Ok(Tensor::from_value(with_stored!(dtype, T => {
            Value::build::<T>(dtype, shape, |out| {
                for (out, bytes) in out.iter_mut().zip(bytes.chunks_exact(to)) {
                    // Every chunk has the size of an element.
                    *out = T::from_le_bytes(bytes.try_into().unwrap_or_default());
                }
            })?
        })))
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

    #[test]
    fn the_same_bytes_as_another_type() {
        let x = Tensor::new([[1.0f32, -2.0]]).unwrap();
        let bits = x.view_dtype(DType::I32).unwrap();
        assert_eq!(bits.to_vec::<i32>().unwrap(), [0x3f80_0000, -0x4000_0000]);
        let halves = x.view_dtype(DType::I16).unwrap();
        assert_eq!(
            (halves.shape(), halves.to_vec::<i16>().unwrap()),
            (&[1, 4][..], vec![0, 0x3f80, 0, -0x4000])
        );
        let back = halves.view_dtype(DType::F32).unwrap();
        assert_eq!(back.to_vec::<f32>().unwrap(), [1.0, -2.0]);
        assert!(Tensor::new([1.0f32]).unwrap().view_dtype(DType::F64).is_err());
        assert!(Tensor::scalar(1.0f32).view_dtype(DType::U8).is_err());
    }
}
