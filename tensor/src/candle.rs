//! The door to candle: exchange of tensors, and operations run by candle, which are counted.
//!
//! This is the only module that names candle. `core` is the crate itself, in the version that tensors are exchanged with.

pub use candle_core as core;

use candle_core as candle;
use flambeau_kernels::mem::Buf;

use crate::profiler::{self, Kind};
use crate::value::Value;
use crate::{DType, Error, Result, Shape, Tensor, bail};

/// Counters for tests and benchmarks.
pub mod debug {
    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};

    static FALLBACKS: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

    pub(super) fn count(op: &str) {
        *FALLBACKS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(op.to_string())
            .or_default() += 1;
    }

    /// How often each operation has been run by candle since the last [`reset_fallbacks`].
    pub fn fallbacks() -> BTreeMap<String, u64> {
        FALLBACKS.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets all counters to zero.
    pub fn reset_fallbacks() {
        FALLBACKS.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl From<candle::Error> for Error {
    fn from(error: candle::Error) -> Error {
        Error::Backend(error.to_string())
    }
}

impl Tensor {
    /// A copy of a candle tensor, from whatever device. `u32`, which has no counterpart, becomes `int64`.
    ///
    /// # Errors
    /// `Unsupported` for candle's 4- to 8-bit floats; `Backend` if the device refuses.
    pub fn from_candle(tensor: &candle::Tensor) -> Result<Tensor> {
        let flat = tensor.to_device(&candle::Device::Cpu)?.flatten_all()?;
        let shape = Shape::new(tensor.dims());
        macro_rules! copy {
            ($($theirs:ident => $t:ty, $ours:ident;)*) => {
                match tensor.dtype() {
                    $(candle::DType::$theirs => Value::new(Buf::from_slice(&flat.to_vec1::<$t>()?), DType::$ours, shape),)*
                    candle::DType::U32 => {
                        return Tensor::from_candle(&tensor.to_dtype(candle::DType::I64)?);
                    }
                    other => bail!(Unsupported, "from_candle: candle's {other:?} has no counterpart"),
                }
            };
        }
        Ok(Tensor::from_value(copy! {
            U8 => u8, U8; I16 => i16, I16; I32 => i32, I32; I64 => i64, I64;
            F16 => half::f16, F16; BF16 => half::bf16, BF16; F32 => f32, F32; F64 => f64, F64;
        }))
    }

    /// A copy as a candle tensor on its CPU device. `bool` and `int8`, which candle lacks, become `u8` and `i16`.
    ///
    /// # Errors
    /// `Backend` if candle refuses.
    pub fn to_candle(&self) -> Result<candle::Tensor> {
        let value = match self.dtype() {
            DType::I8 => self.value().cast(DType::I16)?,
            _ => self.value().contiguous()?,
        };
        let shape = value.shape().to_vec();
        macro_rules! copy {
            ($($ours:pat => $t:ty;)*) => {
                match value.dtype() {
                    $($ours => candle::Tensor::from_slice(value.data::<$t>()?, shape, &candle::Device::Cpu)?,)*
                }
            };
        }
        Ok(copy! {
            DType::Bool | DType::U8 => u8; DType::I8 | DType::I16 => i16; DType::I32 => i32; DType::I64 => i64;
            DType::F16 => half::f16; DType::BF16 => half::bf16; DType::F32 => f32; DType::F64 => f64;
        })
    }

    /// Runs an operation that only candle has on copies of `inputs`. The result is not tracked and the call is counted
    /// in [`debug::fallbacks`] under `name`.
    ///
    /// # Errors
    /// `Autograd` if an input is tracked while operations are recorded, since the gradient would be lost; `Backend` if
    /// candle refuses.
    pub fn apply_candle(
        name: &str,
        inputs: &[&Tensor],
        f: impl FnOnce(&[candle::Tensor]) -> candle::Result<candle::Tensor>,
    ) -> Result<Tensor> {
        if crate::is_grad_enabled() && inputs.iter().any(|t| t.is_tracked()) {
            bail!(
                Autograd,
                "{name}: candle's operations are not recorded; use no_grad or detach the inputs"
            );
        }
        debug::count(name);
        profiler::operation(Kind::Fallback, name, Default::default, || {
            let inputs: Vec<candle::Tensor> = inputs.iter().map(|t| t.to_candle()).collect::<Result<_>>()?;
            Tensor::from_candle(&f(&inputs)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_survive_the_round_trip() {
        for dtype in DType::ALL {
            let x = Tensor::new([[0i64, 1, 2], [3, 4, 5]])
                .unwrap()
                .to_dtype(dtype)
                .unwrap()
                .t()
                .unwrap();
            let back = Tensor::from_candle(&x.to_candle().unwrap()).unwrap();
            assert_eq!(back.shape(), x.shape());
            assert_eq!(back.to_vec_f64().unwrap(), x.to_vec_f64().unwrap());
        }
    }

    #[test]
    fn operations_run_by_candle_are_counted() {
        let x = Tensor::new([1.0f32, 4.0]).unwrap();
        let y = Tensor::apply_candle("counted_sqrt", &[&x], |t| t[0].sqrt()).unwrap();
        assert_eq!(y.to_vec::<f32>().unwrap(), [1.0, 2.0]);
        assert_eq!(debug::fallbacks().get("counted_sqrt"), Some(&1));
        let tracked = x.requires_grad(true).unwrap();
        assert!(Tensor::apply_candle("counted_sqrt", &[&tracked], |t| t[0].sqrt()).is_err());
    }
}
