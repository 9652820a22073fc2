//! Rules of functions of two tensors. Gradients have the broadcast shape; the engine sums them back.

use flambeau_tensor::ops::binary::{Binary, BinaryOp};
use flambeau_tensor::{Result, Tensor};
use smallvec::smallvec;

use super::{Context, Grads, zero_where};

pub(super) fn backward(op: &BinaryOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    let a = || cx.kept(&op.lhs);
    let b = || cx.kept(&op.rhs);
    let lhs = |f: &dyn Fn() -> Result<Tensor>| if cx.needs(0) { f().map(Some) } else { Ok(None) };
    let rhs = |f: &dyn Fn() -> Result<Tensor>| if cx.needs(1) { f().map(Some) } else { Ok(None) };
    let zeros = || grad.zeros_like();
    let (da, db) = match op.function {
        Binary::Add => (lhs(&|| Ok(grad.clone()))?, rhs(&|| Ok(grad.clone()))?),
        Binary::Sub => (lhs(&|| Ok(grad.clone()))?, rhs(&|| grad.neg())?),
        Binary::Mul => (lhs(&|| grad.mul(&b()?))?, rhs(&|| grad.mul(&a()?))?),
        Binary::Div => (
            lhs(&|| grad.div(&b()?))?,
            rhs(&|| grad.neg()?.mul(&a()?.div(&b()?)?)?.div(&b()?))?,
        ),
        Binary::FloorDivide | Binary::TruncDivide | Binary::Heaviside => (lhs(&zeros)?, rhs(&zeros)?),
        Binary::NextAfter => (lhs(&|| zero_where(&a()?.eq(&b()?)?, grad))?, rhs(&zeros)?),
        Binary::Remainder => (
            lhs(&|| Ok(grad.clone()))?,
            rhs(&|| grad.neg()?.mul(&a()?.floor_divide(&b()?)?))?,
        ),
        Binary::Fmod => (
            lhs(&|| Ok(grad.clone()))?,
            rhs(&|| grad.neg()?.mul(&a()?.trunc_divide(&b()?)?))?,
        ),
        Binary::Pow => (
            lhs(&|| power_by_base(grad, &a()?, &b()?))?,
            rhs(&|| power_by_exponent(grad, &a()?, &b()?))?,
        ),
        Binary::Maximum => (
            lhs(&|| zero_where(&a()?.lt(&b()?)?, &halved_where_equal(grad, &a()?, &b()?)?))?,
            rhs(&|| zero_where(&a()?.gt(&b()?)?, &halved_where_equal(grad, &a()?, &b()?)?))?,
        ),
        Binary::Minimum => (
            lhs(&|| zero_where(&a()?.gt(&b()?)?, &halved_where_equal(grad, &a()?, &b()?)?))?,
            rhs(&|| zero_where(&a()?.lt(&b()?)?, &halved_where_equal(grad, &a()?, &b()?)?))?,
        ),
        // Nothing goes to a NaN beside a number.
        Binary::Fmax => {
            let taken = a()?.ge(&b()?)?.logical_or(&b()?.isnan()?)?;
            let left = a()?.gt(&b()?)?.logical_or(&b()?.isnan()?)?;
            let grad = halved_where_equal(grad, &a()?, &b()?)?;
            (
                lhs(&|| taken.where_cond(&grad, 0.0))?,
                rhs(&|| zero_where(&left, &grad))?,
            )
        }
        Binary::Fmin => {
            let taken = a()?.le(&b()?)?.logical_or(&b()?.isnan()?)?;
            let left = a()?.lt(&b()?)?.logical_or(&b()?.isnan()?)?;
            let grad = halved_where_equal(grad, &a()?, &b()?)?;
            (
                lhs(&|| taken.where_cond(&grad, 0.0))?,
                rhs(&|| zero_where(&left, &grad))?,
            )
        }
        Binary::Atan2 => {
            let (a, b) = (a()?, b()?);
            let square = a.square()?.add(&b.square()?)?;
            let scaled = zero_where(&square.eq(0.0)?, &grad.div(&square)?)?;
            (lhs(&|| scaled.mul(&b))?, rhs(&|| scaled.mul(&a)?.neg())?)
        }
        Binary::Hypot => {
            let (a, b) = (a()?, b()?);
            let length = a.hypot(&b)?;
            (
                lhs(&|| grad.mul(&a)?.div(&length))?,
                rhs(&|| grad.mul(&b)?.div(&length))?,
            )
        }
        Binary::Copysign => (
            lhs(&|| grad.mul(&a()?.sgn()?)?.mul(&b()?.ones_like()?.copysign(&b()?)?))?,
            rhs(&zeros)?,
        ),
        Binary::LogAddExp => (
            lhs(&|| grad.div(&b()?.sub(&a()?)?.exp()?.add(1.0)?))?,
            rhs(&|| grad.div(&a()?.sub(&b()?)?.exp()?.add(1.0)?))?,
        ),
        Binary::LogAddExp2 => (
            lhs(&|| grad.div(&b()?.sub(&a()?)?.exp2()?.add(1.0)?))?,
            rhs(&|| grad.div(&a()?.sub(&b()?)?.exp2()?.add(1.0)?))?,
        ),
        Binary::Xlogy => (
            lhs(&|| {
                let nothing = a()?.eq(0.0)?.logical_and(&b()?.le(0.0)?)?;
                zero_where(&nothing, &grad.xlogy(&b()?)?)
            })?,
            rhs(&|| grad.mul(&a()?.div(&b()?)?))?,
        ),
        Binary::Xlog1py => (
            lhs(&|| {
                let nothing = a()?.eq(0.0)?.logical_and(&b()?.le(-1.0)?)?;
                zero_where(&nothing, &grad.xlog1py(&b()?)?)
            })?,
            rhs(&|| grad.mul(&a()?.div(&b()?.add(1.0)?)?))?,
        ),
    };
    Ok(smallvec![da, db])
}

/// Half the gradient goes to each side where both have the extreme value.
fn halved_where_equal(grad: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.eq(b)?.where_cond(&grad.div(2.0)?, grad)
}

/// `b·a^(b - 1)`, 0 where `b` is 0.
fn power_by_base(grad: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    zero_where(&b.eq(0.0)?, &grad.mul(&b.mul(&a.pow(&b.sub(1.0)?)?)?)?)
}

/// `a^b·log(a)`, 0 where `a` is 0 and `b` is not negative.
fn power_by_exponent(grad: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let nothing = a.eq(0.0)?.logical_and(&b.ge(0.0)?)?;
    zero_where(&nothing, &grad.mul(&a.pow(b)?.mul(&a.log()?)?)?)
}
