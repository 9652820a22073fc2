//! Comparisons, tests of single elements and logic: results are bool tensors, without gradient.

use flambeau_kernels::binary::{Compare, compare};
use flambeau_kernels::unary::{Test, test};

use crate::ops::binary::{broadcast, common_dtype, read};
use crate::value::Value;
use crate::{DType, Operand, Result, Tensor, ensure, with_float, with_stored};

impl Value {
    /// Where `relation` holds between two values of one type.
    fn compared(&self, op: &str, relation: Compare, rhs: &Value) -> Result<Value> {
        let (a, b, shape) = broadcast(op, self, rhs)?;
        with_stored!(self.dtype, T => {
            let (a, b) = (a.view::<T>()?, b.view::<T>()?);
            Value::build::<u8>(DType::Bool, shape, |out| compare(relation, a, b, out))
        })
    }

    /// Where `what` is true; for a floating point value.
    fn tested(&self, op: &str, what: Test) -> Result<Value> {
        if self.dtype.is_half() {
            return self.cast(DType::F32)?.tested(op, what);
        }
        let x = self.contiguous()?;
        with_float!(op, self.dtype, T => {
            let data = x.data::<T>()?;
            Value::build::<u8>(DType::Bool, self.shape.clone(), |out| test(what, data, out))
        })
    }
}

fn relate(op: &str, relation: Compare, lhs: &Operand<'_>, rhs: &Operand<'_>) -> Result<Tensor> {
    let dtype = common_dtype(lhs, rhs);
    let (x, y) = (
        read(lhs, dtype).value.cast_view(dtype)?,
        read(rhs, dtype).value.cast_view(dtype)?,
    );
    Ok(Tensor::from_value(x.compared(op, relation, &y)?))
}

/// Declares relations as `name(lhs, rhs)`, as a method and as a method in place.
macro_rules! relations {
    ($($(#[$doc:meta])* $name:ident, $in_place:ident => $relation:ident;)*) => { $(
        $(#[$doc])*
        /// Either side may be a number.
        ///
        /// # Errors
        /// `Broadcast` if the shapes don't broadcast.
        pub fn $name<'a, 'b>(lhs: impl Into<Operand<'a>>, rhs: impl Into<Operand<'b>>) -> Result<Tensor> {
            relate(stringify!($name), Compare::$relation, &lhs.into(), &rhs.into())
        }

        impl Tensor {
            $(#[$doc])*
            ///
            /// # Errors
            /// `Broadcast` if the shapes don't broadcast.
            pub fn $name<'a>(&self, rhs: impl Into<Operand<'a>>) -> Result<Tensor> {
                $name(self, rhs)
            }

            #[doc = concat!("[`Tensor::", stringify!($name), "`] in place: 1 and 0 of the tensor's own type.")]
            ///
            /// # Errors
            /// `Broadcast` or `Shape` if the shapes don't fit; `Autograd` for a leaf that requires a gradient.
            pub fn $in_place<'a>(&self, rhs: impl Into<Operand<'a>>) -> Result<&Tensor> {
                self.replace(stringify!($in_place), $name(self, rhs)?)
            }
        }
    )* };
}

relations! {
    /// Where the elements are equal; NaN equals nothing.
    eq, eq_ => Eq;
    /// Where the elements differ.
    ne, ne_ => Ne;
    /// Where the left element is less.
    lt, lt_ => Lt;
    /// Where the left element is less or equal.
    le, le_ => Le;
    /// Where the left element is greater.
    gt, gt_ => Gt;
    /// Where the left element is greater or equal.
    ge, ge_ => Ge;
    /// Where both elements are true, that is: not zero.
    logical_and, logical_and_ => LogicalAnd;
    /// Where at least one element is true.
    logical_or, logical_or_ => LogicalOr;
    /// Where exactly one element is true.
    logical_xor, logical_xor_ => LogicalXor;
}

impl Tensor {
    /// Where the element is zero.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn logical_not(&self) -> Result<Tensor> {
        self.eq(false)
    }

    /// [`Tensor::logical_not`] in place.
    ///
    /// # Errors
    /// `Autograd` for a leaf that requires a gradient.
    pub fn logical_not_(&self) -> Result<&Tensor> {
        self.replace("logical_not_", self.logical_not()?)
    }

    /// `what` of floats; `otherwise` for every integer and bool.
    fn test(&self, op: &str, what: Test, otherwise: bool) -> Result<Tensor> {
        if self.dtype().is_float() {
            return Ok(Tensor::from_value(self.value().tested(op, what)?));
        }
        Tensor::full(self.shape(), otherwise, DType::Bool)
    }

    /// Where the element is NaN.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn isnan(&self) -> Result<Tensor> {
        self.test("isnan", Test::Nan, false)
    }

    /// Where the element is infinite.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn isinf(&self) -> Result<Tensor> {
        self.test("isinf", Test::Infinite, false)
    }

    /// Where the element is neither infinite nor NaN.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn isfinite(&self) -> Result<Tensor> {
        self.test("isfinite", Test::Finite, true)
    }

    /// Where the element is positive infinity.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn isposinf(&self) -> Result<Tensor> {
        self.test("isposinf", Test::PositiveInfinite, false)
    }

    /// Where the element is negative infinity.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn isneginf(&self) -> Result<Tensor> {
        self.test("isneginf", Test::NegativeInfinite, false)
    }

    /// Where the imaginary part is zero: everywhere, of a real tensor.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn isreal(&self) -> Result<Tensor> {
        Tensor::full(self.shape(), true, DType::Bool)
    }

    /// Where the sign bit is set: below zero, and at -0.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn signbit(&self) -> Result<Tensor> {
        if self.dtype().is_float() {
            return self.test("signbit", Test::SignBit, false);
        }
        self.lt(0)
    }

    /// Where `|self - other| ≤ atol + rtol·|other|`, or both are the same infinity, or, with `equal_nan`, both are NaN.
    /// PyTorch's defaults: `rtol` 1e-5, `atol` 1e-8.
    ///
    /// # Errors
    /// `DType` if the types differ; `Value` for a negative tolerance; `Broadcast` if the shapes don't broadcast.
    pub fn isclose(&self, other: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Result<Tensor> {
        let (a, b) = (self.dtype(), other.dtype());
        ensure!(
            a == b,
            DType,
            "isclose: tensors of one type expected, got {a} and {b}"
        );
        ensure!(
            rtol >= 0.0 && atol >= 0.0,
            Value,
            "isclose: tolerances must not be negative, got rtol {rtol}, atol {atol}"
        );
        let (x, y) = (self.detach(), other.detach());
        let mut close = x.eq(&y)?;
        if equal_nan && a.is_float() {
            close = close.logical_or(&x.isnan()?.logical_and(&y.isnan()?)?)?;
        }
        if rtol == 0.0 && atol == 0.0 {
            return Ok(close);
        }
        let (x, y) = (x.to_dtype(a.to_float())?, y.to_dtype(a.to_float())?);
        let allowed = y.mul(rtol)?.abs()?.add(atol)?;
        let apart = x.sub(&y)?.abs()?;
        close.logical_or(&apart.isfinite()?.logical_and(&apart.le(&allowed)?)?)
    }

    /// Whether all elements are close: see [`Tensor::isclose`].
    ///
    /// # Errors
    /// As [`Tensor::isclose`].
    pub fn allclose(&self, other: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Result<bool> {
        let close = self.isclose(other, rtol, atol, equal_nan)?.value();
        Ok(close.data::<u8>()?.iter().all(|&c| c != 0))
    }

    /// Whether two tensors have the same shape and equal elements.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn equal(&self, other: &Tensor) -> Result<bool> {
        if self.shape() != other.shape() {
            return Ok(false);
        }
        Ok(self.eq(other)?.value().data::<u8>()?.iter().all(|&e| e != 0))
    }
}

/// Where an element of `elements` is among `test_elements`, or, with `invert`, where it is not.
///
/// # Errors
/// None that valid tensors meet.
pub fn isin<'a, 'b>(
    elements: impl Into<Operand<'a>>,
    test_elements: impl Into<Operand<'b>>,
    invert: bool,
) -> Result<Tensor> {
    let (elements, test_elements) = (elements.into(), test_elements.into());
    let dtype = common_dtype(&elements, &test_elements);
    let (x, set) = (
        read(&elements, dtype).value.cast(dtype)?,
        read(&test_elements, dtype).value.cast(dtype)?,
    );
    with_stored!(dtype, T => {
        let (data, shape) = (x.data::<T>()?, x.shape.clone());
        // What has no order, NaN, equals nothing and is left out.
        let mut set: Vec<T> = set.data::<T>()?.iter().copied().filter(|s| s.partial_cmp(s).is_some()).collect();
        let order = |a: &T, b: &T| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Less);
        set.sort_unstable_by(order);
        let found = |x: &T| set.binary_search_by(|s| order(s, x)).is_ok();
        let value = Value::build::<u8>(DType::Bool, shape, |out| {
            for (o, x) in out.iter_mut().zip(data) {
                *o = (found(x) != invert) as u8;
            }
        })?;
        Ok(Tensor::from_value(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(x: Result<Tensor>) -> Vec<bool> {
        x.unwrap().to_vec().unwrap()
    }

    #[test]
    fn relations_promote_and_broadcast() {
        let x = Tensor::new([1i64, 2, 3]).unwrap();
        assert_eq!(flags(x.lt(2.5)), [true, true, false]);
        assert_eq!(flags(gt(2, &x)), [true, false, false]);
        let column = Tensor::new([[1.0f32], [3.0]]).unwrap();
        assert_eq!(flags(x.eq(&column)), [true, false, false, false, false, true]);
        assert_eq!(
            flags(x.logical_and(&Tensor::new([0.5f32, 0.0, f32::NAN]).unwrap())),
            [true, false, true]
        );
        assert_eq!(
            flags(Tensor::new([0.0f32, 2.0]).unwrap().logical_not()),
            [true, false]
        );
        x.ge_(2).unwrap();
        assert_eq!(x.to_vec::<i64>().unwrap(), [0, 1, 1]);
    }

    #[test]
    fn tests_of_elements() {
        let x = Tensor::new([f32::NAN, f32::INFINITY, -0.0, f32::NEG_INFINITY]).unwrap();
        assert_eq!(flags(x.isnan()), [true, false, false, false]);
        assert_eq!(flags(x.isinf()), [false, true, false, true]);
        assert_eq!(flags(x.isfinite()), [false, false, true, false]);
        assert_eq!(
            flags(x.to_dtype(DType::BF16).unwrap().isneginf()),
            [false, false, false, true]
        );
        assert!(flags(x.signbit())[2]);
        assert_eq!(flags(Tensor::new([-1i64, 0]).unwrap().signbit()), [true, false]);
        assert_eq!(flags(Tensor::new([-1i64, 0]).unwrap().isfinite()), [true, true]);
    }

    #[test]
    fn closeness_and_membership() {
        let (x, y) = (
            Tensor::new([1.0f64, f64::INFINITY, f64::NAN]).unwrap(),
            Tensor::new([1.0 + 1e-9, f64::INFINITY, f64::NAN]).unwrap(),
        );
        assert_eq!(flags(x.isclose(&y, 1e-5, 1e-8, false)), [true, true, false]);
        assert!(x.allclose(&y, 1e-5, 1e-8, true).unwrap());
        assert!(!x.equal(&y).unwrap());
        let whole = Tensor::new([1i64, 2, 3]).unwrap();
        assert_eq!(
            flags(isin(&whole, &Tensor::new([3i64, 1]).unwrap(), false)),
            [true, false, true]
        );
        assert_eq!(flags(isin(&whole, 2, true)), [true, false, true]);
        assert_eq!(flags(isin(&x, &x, false)), [true, true, false]);
    }
}
