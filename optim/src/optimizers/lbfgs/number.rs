//! Numbers that round as PyTorch's do: among Python's floats in double precision, and in single precision as soon as one
//! comes from a tensor of `float32`.

use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Sub};

use flambeau_tensor::{DType, Result, Tensor};

/// A Python float, or the element of a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    value: f64,
    /// Of a tensor of `float32`.
    single: bool,
}

impl Number {
    /// A Python float.
    pub(super) const fn float(value: f64) -> Number {
        Number { value, single: false }
    }

    /// The element of a 0-d tensor.
    pub(super) fn of(tensor: &Tensor) -> Result<Number> {
        Ok(Number {
            value: tensor.item_f64()?,
            single: tensor.dtype() != DType::F64,
        })
    }

    pub(super) fn value(self) -> f64 {
        self.value
    }

    fn with(self, other: Number, double: fn(f64, f64) -> f64, single: fn(f32, f32) -> f32) -> Number {
        if self.single || other.single {
            Number {
                value: f64::from(single(self.value as f32, other.value as f32)),
                single: true,
            }
        } else {
            Number::float(double(self.value, other.value))
        }
    }

    pub(super) fn abs(self) -> Number {
        Number {
            value: self.value.abs(),
            ..self
        }
    }

    pub(super) fn sqrt(self) -> Number {
        self.with(self, |x, _| x.sqrt(), |x, _| x.sqrt())
    }

    /// Python's `min`: of equals, and of what can't be compared, the first.
    pub(super) fn min(self, other: Number) -> Number {
        if other < self { other } else { self }
    }

    /// Python's `max`.
    pub(super) fn max(self, other: Number) -> Number {
        if other > self { other } else { self }
    }
}

impl Add for Number {
    type Output = Number;
    fn add(self, other: Number) -> Number {
        self.with(other, |a, b| a + b, |a, b| a + b)
    }
}

impl Sub for Number {
    type Output = Number;
    fn sub(self, other: Number) -> Number {
        self.with(other, |a, b| a - b, |a, b| a - b)
    }
}

impl Mul for Number {
    type Output = Number;
    fn mul(self, other: Number) -> Number {
        self.with(other, |a, b| a * b, |a, b| a * b)
    }
}

impl Div for Number {
    type Output = Number;
    fn div(self, other: Number) -> Number {
        if other.single && !self.single {
            // A float over a tensor is the float times the tensor's reciprocal.
            return self.with(other, |a, b| a / b, |a, b| a * (1.0 / b));
        }
        self.with(other, |a, b| a / b, |a, b| a / b)
    }
}

impl Neg for Number {
    type Output = Number;
    fn neg(self) -> Number {
        Number {
            value: -self.value,
            ..self
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        if self.single || other.single {
            (self.value as f32).partial_cmp(&(other.value as f32))
        } else {
            self.value.partial_cmp(&other.value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_single_precision_round() {
        let element = |x: f32| Number::of(&Tensor::scalar(x)).unwrap();
        let third = Number::float(1.0) / Number::float(3.0);
        assert_eq!(third.value(), 1.0 / 3.0);
        assert_eq!(
            (Number::float(1.0) / element(3.0)).value(),
            f64::from(1.0f32 / 3.0)
        );
        assert_eq!(
            (Number::float(5.0) / element(3.0)).value(),
            f64::from(5.0 * (1.0f32 / 3.0))
        );
        assert_eq!((element(5.0) / element(3.0)).value(), f64::from(5.0f32 / 3.0));
        assert_eq!(
            (Number::float(0.1) * element(3.0)).value(),
            f64::from(0.1f32 * 3.0)
        );
        // Compared in single precision, a tenth is a tenth.
        assert!(Number::float(0.1) == element(0.1) && Number::float(0.1) != Number::float(f64::from(0.1f32)));
        assert!(Number::float(f64::NAN).max(third).value().is_nan());
        let double = Number::of(&Tensor::scalar(0.1f64)).unwrap();
        assert_eq!((double * double).value(), 0.1 * 0.1);
    }
}
