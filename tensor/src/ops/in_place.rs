//! Operations in place that are computed beside and put in the tensor's place: `lerp_`, `clamp_min_`, `elu_`, …
//!
//! The common ones that write straight to memory (`add_`, `exp_`, `relu_`, …) stand with their functions.

use crate::{Operand, Result, Scalar, Tensor};

/// Declares `name_(arguments)` for functions `name`.
macro_rules! in_place {
    ($($in_place:ident $( <$life:lifetime> )? ( $($arg:ident: $t:ty),* ) => $name:ident;)*) => {
        impl Tensor { $(
            #[doc = concat!("[`Tensor::", stringify!($name), "`] in place.")]
            ///
            /// # Errors
            #[doc = concat!("As [`Tensor::", stringify!($name), "`];")]
            /// `Shape` or `DType` if the result would not fit; `Autograd` for a leaf that requires a gradient.
            pub fn $in_place $( <$life> )? (&self $(, $arg: $t)*) -> Result<&Tensor> {
                self.replace(stringify!($in_place), self.$name($($arg),*)?)
            }
        )* }
    };
}

in_place! {
    addcdiv_(a: &Tensor, b: &Tensor, value: impl Into<Scalar>) => addcdiv;
    addcmul_(a: &Tensor, b: &Tensor, value: impl Into<Scalar>) => addcmul;
    celu_(alpha: f64) => celu;
    clamp_max_<'a>(max: impl Into<Operand<'a>>) => clamp_max;
    clamp_min_<'a>(min: impl Into<Operand<'a>>) => clamp_min;
    digamma_() => digamma;
    elu_(alpha: f64) => elu;
    erfinv_() => erfinv;
    float_power_<'a>(exponent: impl Into<Operand<'a>>) => float_power;
    frac_() => frac;
    hardtanh_(min: f64, max: f64) => hardtanh;
    i0_() => i0;
    ldexp_(exponent: &Tensor) => ldexp;
    leaky_relu_(negative_slope: f64) => leaky_relu;
    lerp_<'a>(end: &Tensor, weight: impl Into<Operand<'a>>) => lerp;
    lgamma_() => lgamma;
    logit_(eps: Option<f64>) => logit;
    nan_to_num_(nan: Option<f64>, posinf: Option<f64>, neginf: Option<f64>) => nan_to_num;
    polygamma_(n: u32) => polygamma;
    relu6_() => relu6;
    round_decimals_(decimals: i32) => round_decimals;
    sgn_() => sgn;
    sinc_() => sinc;
    sub_scaled_<'a>(rhs: impl Into<Operand<'a>>, alpha: impl Into<Scalar>) => sub_scaled;
    threshold_(threshold: impl Into<Scalar>, value: impl Into<Scalar>) => threshold;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_take_the_tensors_place() {
        let x = Tensor::new([1.0f32, -4.0]).unwrap();
        let handle = x.clone();
        x.lerp_(&Tensor::new([3.0f32, 0.0]).unwrap(), 0.5)
            .unwrap()
            .clamp_min_(0)
            .unwrap();
        assert_eq!(handle.to_vec::<f32>().unwrap(), [2.0, 0.0]);
        x.sub_scaled_(1.0, 2.0).unwrap();
        assert_eq!(handle.to_vec::<f32>().unwrap(), [0.0, -2.0]);
        let whole = Tensor::new([1i64]).unwrap();
        assert!(whole.float_power_(2).is_err());
        let leaf = Tensor::new([1.0f32]).unwrap().requires_grad(true).unwrap();
        assert!(leaf.elu_(1.0).is_err());
    }
}
