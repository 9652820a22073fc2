//! Special functions (`torch.special`) beyond the elementary ones: gamma and Bessel functions, the normal distribution,
//! orthogonal polynomials.
//!
//! Integers are computed in the default floating point type. Where PyTorch has no gradient (`zeta` by its first
//! argument, the polynomials, …) neither is there one here, and asking for it is an error.

pub use flambeau_kernels::special::{ChebyshevKind, SpecialBinary, SpecialUnary};

use crate::graph::{History, Op, Saved, record};
use crate::ops::binary::{broadcast, common_dtype, read};
use crate::value::Value;
use crate::{DType, Operand, Result, Tensor, ensure, with_float};

/// A recorded special function of one argument.
#[derive(Clone, Debug)]
pub struct SpecialOp {
    /// The function.
    pub function: SpecialUnary,
    /// The argument.
    pub input: Saved,
    /// The result.
    pub output: Saved,
}

/// A recorded special function of two arguments.
#[derive(Clone, Debug)]
pub struct SpecialBinaryOp {
    /// The function.
    pub function: SpecialBinary,
    /// The first argument.
    pub lhs: Saved,
    /// The second argument.
    pub rhs: Saved,
}

/// The function's name.
pub(crate) fn unary_name(function: SpecialUnary) -> &'static str {
    match function {
        SpecialUnary::Lgamma => "lgamma",
        SpecialUnary::Digamma => "digamma",
        SpecialUnary::Polygamma(_) => "polygamma",
        SpecialUnary::Multigammaln(_) => "mvlgamma",
        SpecialUnary::Erf => "erf",
        SpecialUnary::Erfc => "erfc",
        SpecialUnary::Erfcx => "special_erfcx",
        SpecialUnary::Erfinv => "erfinv",
        SpecialUnary::Ndtr => "special_ndtr",
        SpecialUnary::Ndtri => "special_ndtri",
        SpecialUnary::LogNdtr => "special_log_ndtr",
        SpecialUnary::I0 => "i0",
        SpecialUnary::I0e => "special_i0e",
        SpecialUnary::I1 => "special_i1",
        SpecialUnary::I1e => "special_i1e",
        SpecialUnary::BesselJ0 => "special_bessel_j0",
        SpecialUnary::BesselJ1 => "special_bessel_j1",
        SpecialUnary::BesselY0 => "special_bessel_y0",
        SpecialUnary::BesselY1 => "special_bessel_y1",
        SpecialUnary::ModifiedBesselK0 => "special_modified_bessel_k0",
        SpecialUnary::ModifiedBesselK1 => "special_modified_bessel_k1",
        SpecialUnary::ScaledModifiedBesselK0 => "special_scaled_modified_bessel_k0",
        SpecialUnary::ScaledModifiedBesselK1 => "special_scaled_modified_bessel_k1",
        SpecialUnary::SphericalBesselJ0 => "special_spherical_bessel_j0",
        SpecialUnary::AiryAi => "special_airy_ai",
        SpecialUnary::Entr => "special_entr",
        SpecialUnary::Logit(_) => "logit",
        SpecialUnary::Sinc => "sinc",
    }
}

/// The function's name.
pub(crate) fn binary_name(function: SpecialBinary) -> &'static str {
    use ChebyshevKind::{T, U, V, W};
    match function {
        SpecialBinary::Gammainc => "igamma",
        SpecialBinary::Gammaincc => "igammac",
        SpecialBinary::Zeta => "special_zeta",
        SpecialBinary::Xlogy => "xlogy",
        SpecialBinary::Xlog1py => "special_xlog1py",
        SpecialBinary::Nextafter => "nextafter",
        SpecialBinary::ChebyshevPolynomial(T) => "special_chebyshev_polynomial_t",
        SpecialBinary::ChebyshevPolynomial(U) => "special_chebyshev_polynomial_u",
        SpecialBinary::ChebyshevPolynomial(V) => "special_chebyshev_polynomial_v",
        SpecialBinary::ChebyshevPolynomial(W) => "special_chebyshev_polynomial_w",
        SpecialBinary::ShiftedChebyshevPolynomial(T) => "special_shifted_chebyshev_polynomial_t",
        SpecialBinary::ShiftedChebyshevPolynomial(U) => "special_shifted_chebyshev_polynomial_u",
        SpecialBinary::ShiftedChebyshevPolynomial(V) => "special_shifted_chebyshev_polynomial_v",
        SpecialBinary::ShiftedChebyshevPolynomial(W) => "special_shifted_chebyshev_polynomial_w",
        SpecialBinary::HermitePolynomialH => "special_hermite_polynomial_h",
        SpecialBinary::HermitePolynomialHe => "special_hermite_polynomial_he",
        SpecialBinary::LaguerrePolynomialL => "special_laguerre_polynomial_l",
        SpecialBinary::LegendrePolynomialP => "special_legendre_polynomial_p",
    }
}

impl Value {
    fn special(&self, function: SpecialUnary) -> Result<Value> {
        if self.dtype.is_half() {
            return self.cast(DType::F32)?.special(function)?.cast(self.dtype);
        }
        let x = self.contiguous()?;
        with_float!(unary_name(function), self.dtype, T => {
            let data = x.data::<T>()?;
            Value::build::<T>(self.dtype, self.shape.clone(), |out| function.apply(data, out))
        })
    }

    fn special_zip(&self, function: SpecialBinary, rhs: &Value) -> Result<Value> {
        if self.dtype.is_half() {
            let (a, b) = (self.cast(DType::F32)?, rhs.cast(DType::F32)?);
            return a.special_zip(function, &b)?.cast(self.dtype);
        }
        let op = binary_name(function);
        let (a, b, shape) = broadcast(op, self, rhs)?;
        let (a, b) = (a.contiguous()?, b.contiguous()?);
        with_float!(op, self.dtype, T => {
            let (a, b) = (a.data::<T>()?, b.data::<T>()?);
            Value::build::<T>(self.dtype, shape, |out| function.apply(a, b, out))
        })
    }
}

impl Tensor {
    /// A special function of each element; integers become the default floating point type first.
    fn special(&self, function: SpecialUnary) -> Result<Tensor> {
        let mut input = self.read();
        if !input.value.dtype.is_float() {
            input = Saved {
                value: input.value.cast(DType::DEFAULT)?,
                history: History::None,
            };
        }
        let value = input.value.special(function)?;
        Ok(record(value, &[&input], |output| {
            Op::Special(SpecialOp {
                function,
                input: input.clone(),
                output: Saved::output(output, 0),
            })
        }))
    }
}

/// A special function of two operands; integers become the default floating point type.
fn combine(function: SpecialBinary, lhs: &Operand<'_>, rhs: &Operand<'_>) -> Result<Tensor> {
    let dtype = common_dtype(lhs, rhs).to_float();
    let (mut x, mut y) = (read(lhs, dtype), read(rhs, dtype));
    for operand in [&mut x, &mut y] {
        operand.value = operand.value.cast_view(dtype)?;
    }
    let value = x.value.special_zip(function, &y.value)?;
    Ok(record(value, &[&x, &y], |_| {
        Op::SpecialBinary(SpecialBinaryOp {
            function,
            lhs: x.clone(),
            rhs: y.clone(),
        })
    }))
}

/// Methods that apply one special function to each element.
macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident => $function:ident;)*) => {
        impl Tensor { $(
            $(#[$doc])*
            ///
            /// # Errors
            /// None that a valid tensor meets.
            pub fn $name(&self) -> Result<Tensor> {
                self.special(SpecialUnary::$function)
            }
        )* }
    };
}

methods! {
    /// The logarithm of the absolute value of the gamma function (`lgamma`, `special.gammaln`).
    lgamma => Lgamma;
    /// The derivative of [`Tensor::lgamma`] (`digamma`, `special.psi`).
    digamma => Digamma;
    /// The inverse of the error function.
    erfinv => Erfinv;
    /// `exp(x²)·erfc(x)`.
    erfcx => Erfcx;
    /// The probability that a standard normal variable is below `x`.
    ndtr => Ndtr;
    /// The inverse of [`Tensor::ndtr`].
    ndtri => Ndtri;
    /// The logarithm of [`Tensor::ndtr`], accurate in both tails.
    log_ndtr => LogNdtr;
    /// The modified Bessel function of the first kind of order 0.
    i0 => I0;
    /// `exp(-|x|)·i0(x)`.
    i0e => I0e;
    /// The modified Bessel function of the first kind of order 1.
    i1 => I1;
    /// `exp(-|x|)·i1(x)`.
    i1e => I1e;
    /// The Bessel function of the first kind of order 0.
    bessel_j0 => BesselJ0;
    /// The Bessel function of the first kind of order 1.
    bessel_j1 => BesselJ1;
    /// The Bessel function of the second kind of order 0.
    bessel_y0 => BesselY0;
    /// The Bessel function of the second kind of order 1.
    bessel_y1 => BesselY1;
    /// The modified Bessel function of the second kind of order 0.
    modified_bessel_k0 => ModifiedBesselK0;
    /// The modified Bessel function of the second kind of order 1.
    modified_bessel_k1 => ModifiedBesselK1;
    /// `exp(x)` times the modified Bessel function of the second kind of order 0.
    scaled_modified_bessel_k0 => ScaledModifiedBesselK0;
    /// `exp(x)` times the modified Bessel function of the second kind of order 1.
    scaled_modified_bessel_k1 => ScaledModifiedBesselK1;
    /// The spherical Bessel function of the first kind of order 0, `sin(x)/x`.
    spherical_bessel_j0 => SphericalBesselJ0;
    /// The Airy function Ai.
    airy_ai => AiryAi;
    /// `-x·log(x)`: 0 at 0, negative infinity below.
    entr => Entr;
    /// `sin(πx)/(πx)`, 1 at 0.
    sinc => Sinc;
}

impl Tensor {
    /// The derivative of order `n` of [`Tensor::digamma`].
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn polygamma(&self, n: u32) -> Result<Tensor> {
        if n == 0 {
            self.digamma()
        } else {
            self.special(SpecialUnary::Polygamma(n))
        }
    }

    /// The logarithm of the multivariate gamma function of dimension `p` (`mvlgamma`, `special.multigammaln`).
    ///
    /// # Errors
    /// `Value` if `p` is 0.
    pub fn mvlgamma(&self, p: u32) -> Result<Tensor> {
        ensure!(p >= 1, Value, "mvlgamma: p must be at least 1, got {p}");
        self.special(SpecialUnary::Multigammaln(p))
    }

    /// `log(x/(1 - x))`, with `x` clamped to `[eps, 1 - eps]` first if there is an `eps`.
    ///
    /// # Errors
    /// None that a valid tensor meets.
    pub fn logit(&self, eps: Option<f64>) -> Result<Tensor> {
        self.special(SpecialUnary::Logit(eps))
    }
}

/// Functions of two operands, either of which may be a number.
macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident => $function:expr;)*) => { $(
        $(#[$doc])*
        /// Either side may be a number.
        ///
        /// # Errors
        /// `Broadcast` if the shapes don't broadcast.
        pub fn $name<'a, 'b>(lhs: impl Into<Operand<'a>>, rhs: impl Into<Operand<'b>>) -> Result<Tensor> {
            combine($function, &lhs.into(), &rhs.into())
        }
    )* };
}

functions! {
    /// The Hurwitz zeta function `Σ 1/(k + rhs)^lhs` over `k ≥ 0`.
    zeta => SpecialBinary::Zeta;
    /// The Chebyshev polynomial of the first kind of degree `rhs` at `lhs`.
    chebyshev_polynomial_t => SpecialBinary::ChebyshevPolynomial(ChebyshevKind::T);
    /// The Chebyshev polynomial of the second kind of degree `rhs` at `lhs`.
    chebyshev_polynomial_u => SpecialBinary::ChebyshevPolynomial(ChebyshevKind::U);
    /// The Chebyshev polynomial of the third kind of degree `rhs` at `lhs`.
    chebyshev_polynomial_v => SpecialBinary::ChebyshevPolynomial(ChebyshevKind::V);
    /// The Chebyshev polynomial of the fourth kind of degree `rhs` at `lhs`.
    chebyshev_polynomial_w => SpecialBinary::ChebyshevPolynomial(ChebyshevKind::W);
    /// The Chebyshev polynomial of the first kind of degree `rhs` at `2·lhs - 1`.
    shifted_chebyshev_polynomial_t => SpecialBinary::ShiftedChebyshevPolynomial(ChebyshevKind::T);
    /// The Chebyshev polynomial of the second kind of degree `rhs` at `2·lhs - 1`.
    shifted_chebyshev_polynomial_u => SpecialBinary::ShiftedChebyshevPolynomial(ChebyshevKind::U);
    /// The Chebyshev polynomial of the third kind of degree `rhs` at `2·lhs - 1`.
    shifted_chebyshev_polynomial_v => SpecialBinary::ShiftedChebyshevPolynomial(ChebyshevKind::V);
    /// The Chebyshev polynomial of the fourth kind of degree `rhs` at `2·lhs - 1`.
    shifted_chebyshev_polynomial_w => SpecialBinary::ShiftedChebyshevPolynomial(ChebyshevKind::W);
    /// The physicist's Hermite polynomial of degree `rhs` at `lhs`.
    hermite_polynomial_h => SpecialBinary::HermitePolynomialH;
    /// The probabilist's Hermite polynomial of degree `rhs` at `lhs`.
    hermite_polynomial_he => SpecialBinary::HermitePolynomialHe;
    /// The Laguerre polynomial of degree `rhs` at `lhs`.
    laguerre_polynomial_l => SpecialBinary::LaguerrePolynomialL;
    /// The Legendre polynomial of degree `rhs` at `lhs`.
    legendre_polynomial_p => SpecialBinary::LegendrePolynomialP;
}

impl Tensor {
    /// The regularised lower incomplete gamma function of the parameter `self` at `x` (`igamma`, `special.gammainc`).
    /// The gradient reaches `x` only.
    ///
    /// # Errors
    /// `DType` unless the common type is a floating point type; `Broadcast` if the shapes don't broadcast.
    pub fn igamma(&self, x: &Tensor) -> Result<Tensor> {
        incomplete_gamma(SpecialBinary::Gammainc, self, x)
    }

    /// The regularised upper incomplete gamma function, `1 - igamma` (`igammac`, `special.gammaincc`).
    ///
    /// # Errors
    /// As [`Tensor::igamma`].
    pub fn igammac(&self, x: &Tensor) -> Result<Tensor> {
        incomplete_gamma(SpecialBinary::Gammaincc, self, x)
    }
}

fn incomplete_gamma(function: SpecialBinary, a: &Tensor, x: &Tensor) -> Result<Tensor> {
    let (lhs, rhs) = (Operand::Tensor(a), Operand::Tensor(x));
    let (op, dtype) = (binary_name(function), common_dtype(&lhs, &rhs));
    ensure!(
        dtype.is_float(),
        DType,
        "{op}: expected floating point tensors, got {dtype}"
    );
    combine(function, &lhs, &rhs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(x: Result<Tensor>, expected: &[f64]) {
        let got = x.unwrap().to_vec_f64().unwrap();
        assert_eq!(got.len(), expected.len());
        for (g, e) in got.iter().zip(expected) {
            assert!(
                (g - e).abs() <= 1e-12 * e.abs().max(1.0),
                "{got:?}, expected {expected:?}"
            );
        }
    }

    #[test]
    fn known_values() {
        let x = Tensor::new([0.5f64, 3.0]).unwrap();
        let pi = std::f64::consts::PI;
        close(x.lgamma(), &[pi.sqrt().ln(), 2f64.ln()]);
        close(x.entr(), &[0.5 * 2f64.ln(), -3.0 * 3f64.ln()]);
        close(x.sinc(), &[2.0 / pi, 0.0]);
        close(x.ndtr().and_then(|p| p.ndtri()), &[0.5, 3.0]);
        close(chebyshev_polynomial_t(&x, 2), &[-0.5, 17.0]);
        close(
            zeta(2.0, &Tensor::new([1i64]).unwrap().double().unwrap()),
            &[pi * pi / 6.0],
        );
        close(
            x.igamma(&x).and_then(|lower| lower.add(&x.igammac(&x)?)),
            &[1.0, 1.0],
        );
        close(x.mvlgamma(1), &[pi.sqrt().ln(), 2f64.ln()]);
    }

    #[test]
    fn integers_and_halves() {
        let whole = Tensor::new([1i64, 2]).unwrap();
        assert_eq!(whole.lgamma().unwrap().dtype(), DType::F32);
        assert_eq!(whole.half().unwrap().digamma().unwrap().dtype(), DType::F16);
        assert!(whole.igamma(&whole).is_err());
        assert!(whole.mvlgamma(0).is_err());
    }
}
