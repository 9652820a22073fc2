//! Window functions (`torch.signal.windows.*`, `torch.hann_window` and its kin), as free functions.
//!
//! `sym` makes a symmetric window, for filter design; else it is one period of a longer symmetric one, for spectra
//! (`periodic=True` of the older functions). Windows are computed in `float64` and rounded once.

use flambeau_kernels::special::windows as kernels;

use crate::ops::create::check_room;
use crate::{DType, Result, Tensor, ensure};

fn window(data: Vec<f64>, op: &str, dtype: DType) -> Result<Tensor> {
    ensure!(
        dtype.is_float(),
        DType,
        "{op}: expected a floating point type, got {dtype}"
    );
    let len = data.len();
    Tensor::from_vec(data, len)?.to_dtype(dtype)
}

/// Windows without parameters, or with one.
macro_rules! windows {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*);)*) => { $(
        $(#[$doc])*
        ///
        /// # Errors
        /// `DType` unless `dtype` is a floating point type.
        pub fn $name(len: usize, $($arg: $ty,)* sym: bool, dtype: DType) -> Result<Tensor> {
            check_room::<f64>(stringify!($name), len)?;
            window(kernels::$name(len, $($arg,)* sym), stringify!($name), dtype)
        }
    )* };
}

windows! {
    /// A triangle with zero ends.
    bartlett();
    /// Blackman's window, the cosine sum 0.42, 0.5, 0.08.
    blackman();
    /// Half a period of a sine.
    cosine();
    /// `exp(-|k - center| / tau)`; the center is the window's middle unless given.
    exponential(center: Option<f64>, tau: f64);
    /// A bell curve of standard deviation `std`, in samples.
    gaussian(std: f64);
    /// `Σ (-1)^i aᵢ cos(2πik/N)`.
    general_cosine(a: &[f64]);
    /// `α - (1 - α) cos(2πk/N)`.
    general_hamming(alpha: f64);
    /// Hamming's window: the general one with `α` 0.54.
    hamming();
    /// Hann's window: the general Hamming window with `α` ½.
    hann();
    /// Kaiser's window, `I₀(√(β² - κ²))/I₀(β)` with `κ` from `-β` to `β`.
    kaiser(beta: f64);
    /// Nuttall's minimum four-term cosine sum.
    nuttall();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_rounded_to_their_type() {
        let hann = hann(4, false, DType::F64).unwrap();
        let expected = [0.0, 0.5, 1.0, 0.5];
        for (x, e) in hann.to_vec::<f64>().unwrap().iter().zip(expected) {
            assert!((x - e).abs() < 1e-15);
        }
        assert_eq!(
            gaussian(3, 1.0, true, DType::F32)
                .unwrap()
                .to_vec::<f32>()
                .unwrap()[1],
            1.0
        );
        assert!(bartlett(3, true, DType::I64).is_err());
    }
}
