//! Rules of special functions. Where PyTorch has no gradient, neither is there one here: asking for it is an error.

use std::f64::consts::{FRAC_2_SQRT_PI, PI};

use flambeau_tensor::ops::special::{SpecialBinary, SpecialBinaryOp, SpecialOp, SpecialUnary, zeta};
use flambeau_tensor::{Result, Tensor, bail};
use smallvec::smallvec;

use super::{Context, Grads, one, zero_where};

pub(super) fn unary(op: &SpecialOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    let (x, y) = (cx.tensor(&op.input), cx.tensor(&op.output));
    one(match op.function {
        SpecialUnary::Lgamma => grad.mul(&x.digamma()?)?,
        SpecialUnary::Digamma => grad.mul(&x.polygamma(1)?)?,
        SpecialUnary::Polygamma(n) => grad.mul(&x.polygamma(n + 1)?)?,
        SpecialUnary::Multigammaln(p) => {
            let mut slope = x.digamma()?;
            for i in 1..p {
                slope = slope.add(&x.sub(f64::from(i) / 2.0)?.digamma()?)?;
            }
            grad.mul(&slope)?
        }
        SpecialUnary::Erf => grad.mul(&x.square()?.neg()?.exp()?.mul(FRAC_2_SQRT_PI)?)?,
        SpecialUnary::Erfc => grad.mul(&x.square()?.neg()?.exp()?.mul(-FRAC_2_SQRT_PI)?)?,
        SpecialUnary::Erfcx => grad.mul(&x.mul(&y)?.mul(2.0)?.sub(FRAC_2_SQRT_PI)?)?,
        SpecialUnary::Erfinv => grad.mul(&y.square()?.exp()?.div(FRAC_2_SQRT_PI)?)?,
        SpecialUnary::Ndtr => grad.mul(&x.square()?.mul(-0.5)?.exp()?.div((2.0 * PI).sqrt())?)?,
        SpecialUnary::Ndtri => grad.mul(&y.square()?.mul(0.5)?.exp()?.mul((2.0 * PI).sqrt())?)?,
        // φ/Φ, of which neither may be computed alone in the lower tail.
        SpecialUnary::LogNdtr => {
            let ratio = x.mul(-std::f64::consts::FRAC_1_SQRT_2)?.erfcx()?;
            grad.div(&ratio)?.mul((2.0 / PI).sqrt())?
        }
        SpecialUnary::I0 => grad.mul(&x.i1()?)?,
        SpecialUnary::I0e => grad.mul(&x.i1e()?.sub(&x.sgn()?.mul(&y)?)?)?,
        SpecialUnary::I1 => grad.mul(&from_order_zero(&x, 0.5, &|x| x.i0(), &y)?)?,
        SpecialUnary::I1e => {
            let slope = from_order_zero(&x, 0.5, &|x| x.i0e(), &y)?;
            grad.mul(&slope.sub(&x.sgn()?.mul(&y)?)?)?
        }
        SpecialUnary::BesselJ0 => grad.mul(&x.bessel_j1()?.neg()?)?,
        SpecialUnary::BesselJ1 => grad.mul(&from_order_zero(&x, 0.5, &|x| x.bessel_j0(), &y)?)?,
        SpecialUnary::BesselY0 => grad.mul(&x.bessel_y1()?.neg()?)?,
        SpecialUnary::BesselY1 => grad.mul(&x.bessel_y0()?.sub(&y.div(&x)?)?)?,
        SpecialUnary::ModifiedBesselK0 => grad.mul(&x.modified_bessel_k1()?.neg()?)?,
        SpecialUnary::ModifiedBesselK1 => grad.mul(&x.modified_bessel_k0()?.add(&y.div(&x)?)?.neg()?)?,
        SpecialUnary::ScaledModifiedBesselK0 => grad.mul(&y.sub(&x.scaled_modified_bessel_k1()?)?)?,
        SpecialUnary::ScaledModifiedBesselK1 => {
            let falling = x.scaled_modified_bessel_k0()?.add(&y.div(&x)?)?;
            grad.mul(&y.sub(&falling)?)?
        }
        SpecialUnary::SphericalBesselJ0 => grad.mul(&sine_quotient_slope(&x, &y)?)?,
        SpecialUnary::AiryAi => bail!(
            Autograd,
            "backward of special_airy_ai: it has no gradient, as in PyTorch"
        ),
        SpecialUnary::Entr => grad.mul(&x.log()?.add(1.0)?.neg()?)?,
        SpecialUnary::Logit(eps) => logit(&x, grad, eps)?,
        SpecialUnary::Sinc => {
            let scaled = x.mul(PI)?;
            grad.mul(&sine_quotient_slope(&scaled, &y)?.mul(PI)?)?
        }
    })
}

/// `f₀(x) - y/x`, the derivative of a Bessel function of order 1 from that of order 0, and its limit at 0. There the
/// quotient is kept finite, so that its own gradient is.
fn from_order_zero(
    x: &Tensor,
    limit: f64,
    order_zero: &dyn Fn(&Tensor) -> Result<Tensor>,
    y: &Tensor,
) -> Result<Tensor> {
    let at_zero = x.eq(0.0)?;
    let safe = at_zero.where_cond(1.0, x)?;
    at_zero.where_cond(limit, &order_zero(&safe)?.sub(&y.div(&safe)?)?)
}

/// `(cos(x) - y)/x`, the derivative of `y = sin(x)/x`, and its limit at 0.
fn sine_quotient_slope(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let at_zero = x.eq(0.0)?;
    let safe = at_zero.where_cond(1.0, x)?;
    zero_where(&at_zero, &x.cos()?.sub(y)?.div(&safe)?)
}

/// `1/(x·(1 - x))`: 0 where `x` was clamped, NaN outside `[0, 1]` if it was not.
fn logit(x: &Tensor, grad: &Tensor, eps: Option<f64>) -> Result<Tensor> {
    let (low, outside) = match eps {
        Some(eps) => (eps, 0.0),
        None => (0.0, f64::NAN),
    };
    let beyond = x.lt(low)?.logical_or(&x.gt(1.0 - low)?)?;
    beyond.where_cond(outside, &grad.div(&x.mul(&x.rsub(1.0)?)?)?)
}

pub(super) fn binary(op: &SpecialBinaryOp, cx: &Context<'_>) -> Result<Grads> {
    let grad = cx.grad()?;
    let (a, b) = (cx.tensor(&op.lhs), cx.tensor(&op.rhs));
    let none = |which: &str| -> Result<Option<Tensor>> {
        bail!(
            Autograd,
            "backward of {}: it has no gradient by its {which} argument, as in PyTorch",
            cx.node.name()
        )
    };
    let lhs = if cx.needs(0) { none("first")? } else { None };
    if !cx.needs(1) {
        return Ok(smallvec![lhs, None]);
    }
    // The density of the gamma distribution.
    let density = || a.sub(1.0)?.mul(&b.log()?)?.sub(&b)?.sub(&a.lgamma()?)?.exp();
    let rhs = match op.function {
        SpecialBinary::Gammainc => Some(grad.mul(&density()?)?),
        SpecialBinary::Gammaincc => Some(grad.neg()?.mul(&density()?)?),
        SpecialBinary::Zeta => Some(grad.mul(&a.neg()?.mul(&zeta(&a.add(1.0)?, &b)?)?)?),
        SpecialBinary::Xlogy
        | SpecialBinary::Xlog1py
        | SpecialBinary::Nextafter
        | SpecialBinary::ChebyshevPolynomial(_)
        | SpecialBinary::ShiftedChebyshevPolynomial(_)
        | SpecialBinary::HermitePolynomialH
        | SpecialBinary::HermitePolynomialHe
        | SpecialBinary::LaguerrePolynomialL
        | SpecialBinary::LegendrePolynomialP => none("second")?,
    };
    Ok(smallvec![lhs, rhs])
}
