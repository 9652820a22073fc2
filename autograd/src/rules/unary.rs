//! Rule of functions of each element: `dx = dy·f′(x)`.
//!
//! Without `create_graph` one fused kernel computes it; with it, the derivative is written with recorded operations.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, LN_2, LN_10};

use flambeau_tensor::ops::unary::{Unary, UnaryOp};
use flambeau_tensor::{Result, Tensor, is_grad_enabled};

use super::{Context, Grads, one, zero_where};

pub(super) fn backward(op: &UnaryOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    if !is_grad_enabled() {
        // Nobody else sees a gradient with a single handle: the next one takes its place.
        let in_place = grad.is_unique() && (op.input.is_some() || op.output.is_some());
        return one(if in_place {
            grad.unary_backward_(op)?.clone()
        } else {
            grad.unary_backward(op)?
        });
    }
    one(derivative(op, grad, cx)?)
}

/// `grad·f′`, recorded.
fn derivative(op: &UnaryOp, grad: &Tensor, cx: &Context<'_>) -> Result<Tensor> {
    let x = || cx.kept(&op.input);
    let y = || cx.kept(&op.output);
    match op.function {
        Unary::Neg | Unary::RsubScalar(_) => grad.neg(),
        Unary::Abs => grad.mul(&x()?.sgn()?),
        Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round | Unary::RoundDecimals(_) | Unary::Trunc => {
            grad.zeros_like()
        }
        Unary::Frac | Unary::AddScalar(_) => Ok(grad.clone()),
        Unary::MulScalar(value) => grad.mul(value),
        Unary::DivScalar(value) => grad.div(value),
        Unary::RdivScalar(value) => grad.mul(&x()?.pow(-2.0)?.mul(-value)?),
        Unary::Square => grad.mul(&x()?.mul(2.0)?),
        Unary::Cube => grad.mul(&x()?.square()?.mul(3.0)?),
        Unary::Sqrt => grad.div(&y()?.mul(2.0)?),
        Unary::Rsqrt => grad.mul(&y()?.pow(3.0)?.mul(-0.5)?),
        Unary::Reciprocal => grad.mul(&y()?.square()?.neg()?),
        Unary::ReciprocalSquare => grad.mul(&x()?.pow(-3.0)?.mul(-2.0)?),
        Unary::PowScalar(0.0) => grad.zeros_like(),
        Unary::PowScalar(exponent) => grad.mul(&x()?.pow(exponent - 1.0)?.mul(exponent)?),
        Unary::RpowScalar(base) => power_of(base, grad, &x()?),
        Unary::Exp => grad.mul(&y()?),
        Unary::Exp2 => grad.mul(&y()?.mul(LN_2)?),
        Unary::Expm1 => grad.mul(&y()?.add(1.0)?),
        Unary::Log => grad.div(&x()?),
        Unary::Log2 => grad.div(&x()?.mul(LN_2)?),
        Unary::Log10 => grad.div(&x()?.mul(LN_10)?),
        Unary::Log1p => grad.div(&x()?.add(1.0)?),
        Unary::Sin => grad.mul(&x()?.cos()?),
        Unary::Cos => grad.mul(&x()?.sin()?.neg()?),
        Unary::Tan => grad.mul(&y()?.square()?.add(1.0)?),
        Unary::Asin => grad.mul(&one_minus_square(&x()?)?.rsqrt()?),
        Unary::Acos => grad.neg()?.mul(&one_minus_square(&x()?)?.rsqrt()?),
        Unary::Atan => grad.div(&x()?.square()?.add(1.0)?),
        Unary::Sinh => grad.mul(&x()?.cosh()?),
        Unary::Cosh => grad.mul(&x()?.sinh()?),
        Unary::Tanh => grad.mul(&one_minus_square(&y()?)?),
        Unary::Asinh => grad.mul(&x()?.square()?.add(1.0)?.rsqrt()?),
        Unary::Acosh => grad.mul(&x()?.square()?.sub(1.0)?.rsqrt()?),
        Unary::Atanh => grad.div(&one_minus_square(&x()?)?),
        Unary::Erf => grad.mul(&bell(&x()?)?),
        Unary::Erfc => grad.neg()?.mul(&bell(&x()?)?),
        Unary::Sigmoid => grad.mul(&sigmoid_slope(&y()?)?),
        Unary::LogSigmoid => grad.mul(&x()?.neg()?.sigmoid()?),
        Unary::Relu => zero_where(&y()?.le(0.0)?, grad),
        Unary::LeakyRelu(slope) => x()?.gt(0.0)?.where_cond(grad, &grad.mul(slope)?),
        Unary::Elu {
            alpha,
            scale,
            input_scale,
        } => elu(&x()?, grad, [alpha, scale, input_scale]),
        Unary::Gelu => gelu(&x()?, grad),
        Unary::GeluTanh => gelu_tanh(&x()?, grad),
        Unary::Silu => silu(&x()?, grad),
        Unary::Mish => mish(&x()?, grad),
        Unary::Softplus { beta, threshold } => {
            let scaled = x()?.mul(beta)?;
            scaled
                .gt(threshold)?
                .where_cond(grad, &grad.mul(&scaled.sigmoid()?)?)
        }
        Unary::Hardtanh(min, max) => {
            let clamped = if op.output.is_some() { y()? } else { x()? };
            zero_where(&clamped.le(min)?.logical_or(&clamped.ge(max)?)?, grad)
        }
        Unary::Clamp(min, max) => {
            let x = x()?;
            x.gt(min)?.logical_and(&x.lt(max)?)?.where_cond(grad, 0.0)
        }
        Unary::Hardsigmoid => {
            let x = x()?;
            x.gt(-3.0)?
                .logical_and(&x.lt(3.0)?)?
                .where_cond(&grad.div(6.0)?, 0.0)
        }
        Unary::Hardswish => {
            let x = x()?;
            let middle = x.lt(3.0)?.where_cond(&grad.mul(&x.div(3.0)?.add(0.5)?)?, grad)?;
            zero_where(&x.le(-3.0)?, &middle)
        }
        Unary::Hardshrink(lambda) | Unary::Softshrink(lambda) => {
            let x = x()?;
            zero_where(&x.ge(-lambda)?.logical_and(&x.le(lambda)?)?, grad)
        }
        Unary::Threshold(threshold, _) => zero_where(&x()?.le(threshold)?, grad),
        Unary::Softsign => grad.div(&x()?.abs()?.add(1.0)?.square()?),
        Unary::Tanhshrink => grad.mul(&x()?.tanh()?.square()?),
    }
}

/// `1 - x²`.
fn one_minus_square(x: &Tensor) -> Result<Tensor> {
    x.square()?.rsub(1.0)
}

/// The derivative of the error function, `2/√π·exp(-x²)`.
fn bell(x: &Tensor) -> Result<Tensor> {
    x.square()?.neg()?.exp()?.mul(FRAC_2_SQRT_PI)
}

/// `y·(1 - y)`, the derivative of the logistic function whose value is `y`.
fn sigmoid_slope(y: &Tensor) -> Result<Tensor> {
    y.mul(&y.rsub(1.0)?)
}

/// The gradient of `base^x` with respect to `x`.
fn power_of(base: f64, grad: &Tensor, x: &Tensor) -> Result<Tensor> {
    let slope = grad.mul(&flambeau_tensor::ops::binary::pow(base, x)?.mul(base.ln())?)?;
    if base == 0.0 {
        zero_where(&x.ge(0.0)?, &slope)
    } else {
        Ok(slope)
    }
}

/// Of the exponential branch, positive inputs are cut off: it would overflow there, and `0·∞` is no zero.
fn elu(x: &Tensor, grad: &Tensor, [alpha, scale, input_scale]: [f64; 3]) -> Result<Tensor> {
    let factor = input_scale * alpha * scale;
    let negative = x.clamp_max(0.0)?.mul(input_scale)?.exp()?.mul(factor)?;
    x.gt(0.0)?.where_cond(&grad.mul(scale)?, &grad.mul(&negative)?)
}

/// `Φ(x) + x·φ(x)` with the normal distribution's function and density.
fn gelu(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let distribution = x.mul(FRAC_1_SQRT_2)?.erf()?.add(1.0)?.mul(0.5)?;
    let density = x
        .square()?
        .mul(-0.5)?
        .exp()?
        .mul(0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2)?;
    grad.mul(&distribution.add(&x.mul(&density)?)?)
}

fn gelu_tanh(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    const BETA: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
    const KAPPA: f64 = 0.044715;
    let square = x.square()?;
    let tanh = square.mul(KAPPA)?.add(1.0)?.mul(x)?.mul(BETA)?.tanh()?;
    let inner_slope = square.mul(3.0 * KAPPA)?.add(1.0)?.mul(BETA)?;
    let right = one_minus_square(&tanh)?.mul(&inner_slope)?.mul(x)?;
    grad.mul(&tanh.add(1.0)?.add(&right)?.mul(0.5)?)
}

/// `σ·(1 + x·(1 - σ))` with the logistic function σ.
fn silu(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let sigmoid = x.sigmoid()?;
    grad.mul(&sigmoid.mul(&x.mul(&sigmoid.rsub(1.0)?)?.add(1.0)?)?)
}

/// `t + x·σ·(1 - t²)` with `t = tanh(softplus(x))` and the logistic function σ.
fn mish(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let tanh = x.softplus(1.0, 20.0)?.tanh()?;
    let slope = one_minus_square(&tanh)?.mul(&x.mul(&x.sigmoid()?)?)?;
    grad.mul(&tanh.add(&slope)?)
}
