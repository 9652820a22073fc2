//! Functions of three tensors' elements with broadcasting: `where`, `clamp`, `lerp`, `addcmul`, `addcdiv`.

use flambeau_kernels::ternary::{addcdiv, addcmul, lerp, select};
use flambeau_kernels::unary::Unary;

use crate::graph::{Op, Saved, record};
use crate::ops::binary::{common_dtype, maximum, minimum, read};
use crate::value::Value;
use crate::{
    DType, Operand, Result, Scalar, Shape, Tensor, bail, broadcast_shapes, ensure, result_type, with_float,
    with_stored,
};

/// A recorded choice between two tensors.
#[derive(Clone, Debug)]
pub struct WhereOp {
    /// Where the first one is taken.
    pub condition: Saved,
}

/// A function of three floats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ternary {
    /// `a + value·b·c`.
    Addcmul(f64),
    /// `a + value·b/c`.
    Addcdiv(f64),
    /// `a + c·(b - a)`.
    Lerp,
}

/// A recorded function of three tensors.
#[derive(Clone, Debug)]
pub struct TernaryOp {
    /// The function.
    pub function: Ternary,
    /// The first operand, if a rule reads it.
    pub first: Option<Saved>,
    /// The second operand.
    pub second: Saved,
    /// The third operand.
    pub third: Saved,
}

/// The function's name.
pub(crate) fn name(function: Ternary) -> &'static str {
    match function {
        Ternary::Addcmul(_) => "addcmul",
        Ternary::Addcdiv(_) => "addcdiv",
        Ternary::Lerp => "lerp",
    }
}

/// Three values expanded to their common shape.
fn broadcast3(op: &str, values: [&Value; 3]) -> Result<([Value; 3], Shape)> {
    let shape = broadcast_shapes(op, &values.map(|v| &v.shape[..]))?;
    Ok((values.map(|v| v.expanded(&shape)), shape))
}

/// `function` of three values of one floating point type.
fn compute(function: Ternary, values: [&Value; 3]) -> Result<Value> {
    let (op, dtype) = (name(function), values[0].dtype);
    if dtype.is_half() {
        let [a, b, c] = values;
        let (a, b, c) = (a.cast(DType::F32)?, b.cast(DType::F32)?, c.cast(DType::F32)?);
        return compute(function, [&a, &b, &c])?.cast(dtype);
    }
    let ([a, b, c], shape) = broadcast3(op, values)?;
    with_float!(op, dtype, T => {
        let (a, b, c) = (a.view::<T>()?, b.view::<T>()?, c.view::<T>()?);
        Value::build::<T>(dtype, shape, |out| match function {
            Ternary::Addcmul(value) => addcmul(a, b, c, value, out),
            Ternary::Addcdiv(value) => addcdiv(a, b, c, value, out),
            Ternary::Lerp => lerp(a, b, c, out),
        })
    })
}

fn apply(function: Ternary, mut operands: [Saved; 3], dtype: DType) -> Result<Tensor> {
    for operand in &mut operands {
        // A number beside half-width tensors keeps its digits.
        if !(dtype.is_half() && operand.value.dtype == DType::F32 && operand.value.shape.is_empty()) {
            operand.value = operand.value.cast_view(dtype)?;
        }
    }
    let [a, b, c] = operands;
    let value = compute(function, [&a.value, &b.value, &c.value])?;
    Ok(record(value, &[&a, &b, &c], |_| {
        Op::Ternary(Box::new(TernaryOp {
            function,
            first: (function == Ternary::Lerp).then(|| a.clone()),
            second: b.clone(),
            third: c.clone(),
        }))
    }))
}

impl Tensor {
    /// The elements of `a` where this bool tensor is true, of `b` elsewhere (`torch.where(self, a, b)`). Both may be
    /// numbers.
    ///
    /// # Errors
    /// `DType` if this is not a bool (or `uint8`) tensor; `Broadcast` if the shapes don't broadcast.
    pub fn where_cond<'a>(&self, a: impl Into<Operand<'a>>, b: impl Into<Operand<'a>>) -> Result<Tensor> {
        let (a, b) = (a.into(), b.into());
        let condition = self.read();
        ensure!(
            matches!(self.dtype(), DType::Bool | DType::U8),
            DType,
            "where: expected a bool condition, got {}",
            self.dtype()
        );
        let dtype = common_dtype(&a, &b);
        let (mut x, mut y) = (read(&a, dtype), read(&b, dtype));
        for operand in [&mut x, &mut y] {
            operand.value = operand.value.cast_view(dtype)?;
        }
        let ([c, v, w], shape) = broadcast3("where", [&condition.value, &x.value, &y.value])?;
        let value = with_stored!(dtype, T => {
            let (c, v, w) = (c.view::<u8>()?, v.view::<T>()?, w.view::<T>()?);
            Value::build::<T>(dtype, shape, |out| select(c, v, w, out))?
        });
        Ok(record(value, &[&x, &y], |_| {
            Op::Where(WhereOp {
                condition: condition.clone(),
            })
        }))
    }

    /// `self + value·a·b`.
    ///
    /// # Errors
    /// `Broadcast` if the shapes don't broadcast; `Value` for a fractional `value` and integer tensors; `DType` for bool
    /// tensors.
    pub fn addcmul(&self, a: &Tensor, b: &Tensor, value: impl Into<Scalar>) -> Result<Tensor> {
        let value = value.into();
        let dtype = result_type([self, a, b], &[]);
        ensure!(
            dtype != DType::Bool,
            DType,
            "addcmul: not defined for bool tensors"
        );
        if dtype.is_float() {
            return apply(
                Ternary::Addcmul(value.to_f64()),
                [self.read(), a.read(), b.read()],
                dtype,
            );
        }
        let Scalar::Int(value) = value else {
            bail!(
                Value,
                "addcmul: value must be an integer for {dtype} tensors, got {value:?}"
            )
        };
        self.add(&a.mul(b)?.mul(value)?)
    }

    /// `self + value·a/b`.
    ///
    /// # Errors
    /// `Broadcast` if the shapes don't broadcast; `DType` unless the common type is a floating point type.
    pub fn addcdiv(&self, a: &Tensor, b: &Tensor, value: impl Into<Scalar>) -> Result<Tensor> {
        let dtype = result_type([self, a, b], &[]);
        ensure!(
            dtype.is_float(),
            DType,
            "addcdiv: expected floating point tensors, got {dtype}"
        );
        let function = Ternary::Addcdiv(value.into().to_f64());
        apply(function, [self.read(), a.read(), b.read()], dtype)
    }

    /// `self + weight·(end - self)`, exact at weights 0 and 1. The weight may be a number.
    ///
    /// # Errors
    /// `DType` unless all tensors are of one floating point type; `Broadcast` if the shapes don't broadcast.
    pub fn lerp<'a>(&self, end: &Tensor, weight: impl Into<Operand<'a>>) -> Result<Tensor> {
        let (weight, dtype) = (weight.into(), self.dtype());
        self.expect_float("lerp")?;
        ensure!(
            end.dtype() == dtype && (matches!(weight, Operand::Scalar(_)) || weight.dtype() == dtype),
            DType,
            "lerp: tensors of one type expected, got {dtype}, {} and {}",
            end.dtype(),
            weight.dtype()
        );
        let wide = if dtype.is_half() { DType::F32 } else { dtype };
        let weight = read(&weight, wide);
        apply(Ternary::Lerp, [self.read(), end.read(), weight], dtype)
    }

    /// `min(max(x, min), max)`; a bound that is `None` does not bound. Bounds may be numbers or tensors; where `min` is
    /// greater than `max`, the result is `max`. NaN in, NaN out.
    ///
    /// # Errors
    /// `Value` if both bounds are `None`; `Broadcast` if the shapes don't broadcast.
    pub fn clamp<'a>(&self, min: Option<Operand<'a>>, max: Option<Operand<'a>>) -> Result<Tensor> {
        ensure!(
            min.is_some() || max.is_some(),
            Value,
            "clamp: at least one of min and max must be given"
        );
        if let (None | Some(Operand::Scalar(_)), None | Some(Operand::Scalar(_))) = (min, max)
            && self.dtype().is_float()
        {
            let number = |bound: Option<Operand<'_>>, otherwise| match bound {
                Some(Operand::Scalar(s)) => s.to_f64(),
                _ => otherwise,
            };
            let (low, high) = (number(min, f64::NEG_INFINITY), number(max, f64::INFINITY));
            if low.is_nan() || high.is_nan() {
                return self.full_like(f64::NAN);
            }
            return self.unary("clamp", Unary::Clamp(low, high));
        }
        let mut dtype = self.dtype();
        for bound in [min, max].into_iter().flatten() {
            dtype = crate::promote(dtype, common_dtype(&self.into(), &bound));
        }
        let mut x = self.to_dtype(dtype)?;
        if let Some(min) = min {
            x = maximum(&x, min).map_err(|error| error.context("clamp"))?;
        }
        if let Some(max) = max {
            x = minimum(&x, max).map_err(|error| error.context("clamp"))?;
        }
        Ok(x)
    }

    /// [`Tensor::clamp`] with a lower bound.
    ///
    /// # Errors
    /// `Broadcast` if the shapes don't broadcast.
    pub fn clamp_min<'a>(&self, min: impl Into<Operand<'a>>) -> Result<Tensor> {
        self.clamp(Some(min.into()), None)
    }

    /// [`Tensor::clamp`] with an upper bound.
    ///
    /// # Errors
    /// `Broadcast` if the shapes don't broadcast.
    pub fn clamp_max<'a>(&self, max: impl Into<Operand<'a>>) -> Result<Tensor> {
        self.clamp(None, Some(max.into()))
    }

    /// [`Tensor::clamp`] in place.
    ///
    /// # Errors
    /// As [`Tensor::clamp`]; `Shape` or `DType` if the result would not fit; `Autograd` for a leaf that requires a
    /// gradient.
    pub fn clamp_<'a>(&self, min: Option<Operand<'a>>, max: Option<Operand<'a>>) -> Result<&Tensor> {
        self.replace("clamp_", self.clamp(min, max)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(x: Result<Tensor>) -> Vec<f64> {
        x.unwrap().to_vec_f64().unwrap()
    }

    #[test]
    fn choices_promote_and_broadcast() {
        let condition = Tensor::new([[true], [false]]).unwrap();
        let x = Tensor::new([1i64, 2]).unwrap();
        let chosen = condition.where_cond(&x, 0.5).unwrap();
        assert_eq!((chosen.shape(), chosen.dtype()), (&[2, 2][..], DType::F32));
        assert_eq!(values(Ok(chosen)), [1.0, 2.0, 0.5, 0.5]);
        assert!(x.where_cond(1, 2).is_err());
    }

    #[test]
    fn bounds_of_every_kind() {
        let x = Tensor::new([-1.0f32, 0.5, 3.0]).unwrap();
        assert_eq!(values(x.clamp(Some(0.into()), Some(1.into()))), [0.0, 0.5, 1.0]);
        let bounds = Tensor::new([0.0f64, f64::NAN, 5.0]).unwrap();
        let bounded = x.clamp_min(&bounds).unwrap();
        assert_eq!(bounded.dtype(), DType::F64);
        let bounded = values(Ok(bounded));
        assert!(bounded[0] == 0.0 && bounded[1].is_nan() && bounded[2] == 5.0);
        assert_eq!(values(x.clamp(Some(2.0.into()), Some(1.0.into()))), [1.0; 3]);
        let whole = Tensor::new([-5i64, 5]).unwrap();
        assert_eq!(whole.clamp_max(2).unwrap().to_vec::<i64>().unwrap(), [-5, 2]);
        assert_eq!(whole.clamp_max(2.5).unwrap().dtype(), DType::F32);
        assert!(x.clamp(None, None).is_err());
    }

    #[test]
    fn multiply_and_add() {
        let (a, b) = (
            Tensor::new([1.0f64, 2.0]).unwrap(),
            Tensor::new([3.0f64, 4.0]).unwrap(),
        );
        assert_eq!(values(a.addcmul(&b, &b, 2)), [19.0, 34.0]);
        assert_eq!(values(a.addcdiv(&b, &a, 1.0)), [4.0, 4.0]);
        assert_eq!(values(a.lerp(&b, 0.5)), [2.0, 3.0]);
        let whole = Tensor::new([1i64]).unwrap();
        assert_eq!(values(whole.addcmul(&whole, &whole, 3)), [4.0]);
        assert!(whole.addcmul(&whole, &whole, 0.5).is_err());
        assert!(whole.addcdiv(&whole, &whole, 1).is_err());
        assert!(a.lerp(&b, &whole).is_err());
    }

    #[test]
    fn a_number_beside_halves_keeps_its_digits() {
        let x = |v: f64| Tensor::full(2, v, DType::BF16).unwrap();
        // In bfloat16 0.4 is 0.400390625: a 25th of 1 more.
        let y = x(-40.0).lerp(&x(60.0), 0.4).unwrap();
        assert!(y.to_vec_f64().unwrap()[0].abs() < 1e-5);
        let y = x(-40.0).lerp(&x(60.0), &x(0.4)).unwrap();
        assert_eq!(y.to_vec_f64().unwrap(), [0.0390625; 2]);
    }
}
