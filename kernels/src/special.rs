//! Special functions: `torch.special` beyond the elementary functions.
//!
//! The scalar functions are f64, with their accuracy in their docs; f32 (and f16, bf16 through it) computes in f64 and
//! rounds, except where PyTorch's result depends on the precision (`sinc`, `polygamma`, the polynomials), which run in
//! their own. [`SpecialUnary`] and [`SpecialBinary`] apply any of them to slices, in parallel.
//!
//! - `gamma`: lgamma, digamma, polygamma, zeta, multigammaln, incomplete gamma functions
//! - `error`: erf, erfc, erfcx, erfinv, the normal distribution
//! - `bessel`: Bessel functions and Ai, over the series in `tables` and `rational`
//! - `polynomial`: orthogonal polynomials
//! - `elementary`: entr, logit, sinc, xlogy, nextafter, gcd, frexp, …
//! - [`windows`]: window functions

mod bessel;
mod elementary;
mod error;
mod gamma;
mod polynomial;
mod rational;
mod tables;
pub mod windows;

use crate::element::Pod;
use crate::pool;
use std::ops::{Add, Div, Mul, Neg, Sub};

pub use bessel::{airy_ai, i0, i0e, i1, i1e, j0, j1, k0, k0e, k1, k1e, spherical_bessel_j0, y0, y1};
pub use elementary::{Integer, entr, frexp, gcd, lcm, ldexp, logit, nextafter, sinc, xlog1py, xlogy};
pub use error::{erf, erfc, erfcx, erfinv, log_ndtr, ndtr, ndtri};
pub use gamma::{digamma, gammainc, gammaincc, lgamma, multigammaln, polygamma, polygamma_f32, zeta};
pub use polynomial::{
    ChebyshevKind, chebyshev_polynomial, hermite_polynomial_h, hermite_polynomial_he, laguerre_polynomial_l,
    legendre_polynomial_p, shifted_chebyshev_polynomial,
};

/// The floating-point types of the special functions: f32 and f64.
pub trait SpecialFloat:
    Pod
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Conversion, rounding to the nearest.
    fn from_f64(x: f64) -> Self;
    /// The value as an f64.
    fn to_f64(self) -> f64;
    /// The next larger number.
    fn up(self) -> Self;
    /// See [`polygamma`].
    fn polygamma(n: u32, x: Self) -> Self;
}

impl SpecialFloat for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    #[inline]
    fn from_f64(x: f64) -> Self {
        x as f32
    }

    #[inline]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn up(self) -> Self {
        self.next_up()
    }

    fn polygamma(n: u32, x: Self) -> Self {
        polygamma_f32(n, x)
    }
}

impl SpecialFloat for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    #[inline]
    fn from_f64(x: f64) -> Self {
        x
    }

    #[inline]
    fn to_f64(self) -> f64 {
        self
    }

    fn up(self) -> Self {
        self.next_up()
    }

    fn polygamma(n: u32, x: Self) -> Self {
        polygamma(n, x)
    }
}

/// Elements that one task computes.
const CHUNK: usize = 1024;

/// A special function of one argument.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(
    missing_docs,
    reason = "the variants are named for the functions of this module, documented there"
)]
pub enum SpecialUnary {
    Lgamma,
    Digamma,
    Polygamma(u32),
    Multigammaln(u32),
    Erf,
    Erfc,
    Erfcx,
    Erfinv,
    Ndtr,
    Ndtri,
    LogNdtr,
    I0,
    I0e,
    I1,
    I1e,
    BesselJ0,
    BesselJ1,
    BesselY0,
    BesselY1,
    ModifiedBesselK0,
    ModifiedBesselK1,
    ScaledModifiedBesselK0,
    ScaledModifiedBesselK1,
    SphericalBesselJ0,
    AiryAi,
    Entr,
    Logit(Option<f64>),
    Sinc,
}

impl SpecialUnary {
    /// `out = f(x)`, element by element.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn apply<T: SpecialFloat>(self, x: &[T], out: &mut [T]) {
        match self {
            Self::Lgamma => map_f64(x, out, lgamma),
            Self::Digamma => map_f64(x, out, digamma),
            Self::Polygamma(n) => map(x, out, |x| T::polygamma(n, x)),
            Self::Multigammaln(p) => map_f64(x, out, |x| multigammaln(x, p)),
            Self::Erf => map_f64(x, out, erf),
            Self::Erfc => map_f64(x, out, erfc),
            Self::Erfcx => map_f64(x, out, erfcx),
            Self::Erfinv => map_f64(x, out, erfinv),
            Self::Ndtr => map_f64(x, out, ndtr),
            Self::Ndtri => map_f64(x, out, ndtri),
            Self::LogNdtr => map_f64(x, out, log_ndtr),
            // The exponential overflows in the type of x, as it does in PyTorch.
            Self::I0 => map(x, out, |x| {
                T::from_f64(x.to_f64().abs().exp()) * T::from_f64(i0e(x.to_f64()))
            }),
            Self::I0e => map_f64(x, out, i0e),
            Self::I1 => map(x, out, |x| {
                T::from_f64(x.to_f64().abs().exp()) * T::from_f64(i1e(x.to_f64()))
            }),
            Self::I1e => map_f64(x, out, i1e),
            Self::BesselJ0 => map_f64(x, out, j0),
            Self::BesselJ1 => map_f64(x, out, j1),
            Self::BesselY0 => map_f64(x, out, y0),
            Self::BesselY1 => map_f64(x, out, y1),
            Self::ModifiedBesselK0 => map_f64(x, out, k0),
            Self::ModifiedBesselK1 => map_f64(x, out, k1),
            Self::ScaledModifiedBesselK0 => map_f64(x, out, k0e),
            Self::ScaledModifiedBesselK1 => map_f64(x, out, k1e),
            Self::SphericalBesselJ0 => map_f64(x, out, spherical_bessel_j0),
            Self::AiryAi => map_f64(x, out, airy_ai),
            Self::Entr => map_f64(x, out, entr),
            Self::Logit(eps) => map_f64(x, out, |x| logit(x, eps)),
            Self::Sinc => map(x, out, sinc),
        }
    }
}

/// A special function of two arguments, in PyTorch's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the variants are named for the functions of this module, documented there"
)]
pub enum SpecialBinary {
    Gammainc,
    Gammaincc,
    Zeta,
    Xlogy,
    Xlog1py,
    Nextafter,
    ChebyshevPolynomial(ChebyshevKind),
    ShiftedChebyshevPolynomial(ChebyshevKind),
    HermitePolynomialH,
    HermitePolynomialHe,
    LaguerrePolynomialL,
    LegendrePolynomialP,
}

impl SpecialBinary {
    /// `out = f(a, b)`, element by element; an argument of one element goes with every element of the other.
    ///
    /// # Panics
    /// When an argument has neither one element nor as many as `out`.
    pub fn apply<T: SpecialFloat>(self, a: &[T], b: &[T], out: &mut [T]) {
        match self {
            Self::Gammainc => zip_f64(a, b, out, gammainc),
            Self::Gammaincc => zip_f64(a, b, out, gammaincc),
            Self::Zeta => zip_f64(a, b, out, zeta),
            Self::Xlogy => zip_f64(a, b, out, xlogy),
            Self::Xlog1py => zip_f64(a, b, out, xlog1py),
            Self::Nextafter => zip(a, b, out, nextafter),
            Self::ChebyshevPolynomial(kind) => zip(a, b, out, |x, n| chebyshev_polynomial(kind, x, n)),
            Self::ShiftedChebyshevPolynomial(kind) => {
                zip(a, b, out, |x, n| shifted_chebyshev_polynomial(kind, x, n))
            }
            Self::HermitePolynomialH => zip(a, b, out, hermite_polynomial_h),
            Self::HermitePolynomialHe => zip(a, b, out, hermite_polynomial_he),
            Self::LaguerrePolynomialL => zip(a, b, out, laguerre_polynomial_l),
            Self::LegendrePolynomialP => zip(a, b, out, legendre_polynomial_p),
        }
    }
}

fn map<T: SpecialFloat>(x: &[T], out: &mut [T], f: impl Fn(T) -> T + Sync) {
    assert_eq!(
        x.len(),
        out.len(),
        "special function: argument and result differ in length"
    );
    pool::parallel_chunks_mut(out, CHUNK, |start, piece| {
        for (o, &x) in piece.iter_mut().zip(&x[start..]) {
            *o = f(x);
        }
    });
}

fn map_f64<T: SpecialFloat>(x: &[T], out: &mut [T], f: impl Fn(f64) -> f64 + Sync) {
    map(x, out, |x| T::from_f64(f(x.to_f64())));
}

fn zip<T: SpecialFloat>(a: &[T], b: &[T], out: &mut [T], f: impl Fn(T, T) -> T + Sync) {
    let fits = |len: usize| len == out.len() || len == 1;
    assert!(
        fits(a.len()) && fits(b.len()),
        "special function: arguments and result differ in length"
    );
    let at = |values: &[T], i: usize| values[if values.len() == 1 { 0 } else { i }];
    pool::parallel_chunks_mut(out, CHUNK, |start, piece| {
        for (i, o) in piece.iter_mut().enumerate() {
            *o = f(at(a, start + i), at(b, start + i));
        }
    });
}

fn zip_f64<T: SpecialFloat>(a: &[T], b: &[T], out: &mut [T], f: impl Fn(f64, f64) -> f64 + Sync) {
    zip(a, b, out, |a, b| T::from_f64(f(a.to_f64(), b.to_f64())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_mapped_element_by_element() {
        let x: Vec<f32> = (0..3000).map(|i| i as f32 / 100.0).collect();
        let mut out = vec![0f32; 3000];
        SpecialUnary::I0e.apply(&x, &mut out);
        assert!(x.iter().zip(&out).all(|(&x, &o)| o == i0e(f64::from(x)) as f32));
        SpecialBinary::Zeta.apply(&[2.0], &x, &mut out);
        assert!(
            x.iter()
                .zip(&out)
                .all(|(&x, &o)| o == zeta(2.0, f64::from(x)) as f32)
        );
    }

    #[test]
    fn bessel_functions_have_their_wronskians() {
        for i in 1..300 {
            let x = f64::from(i) * 0.1;
            let modified = i0(x) * k1(x) + i1(x) * k0(x);
            assert!((modified * x - 1.0).abs() < 4e-15, "modified at {x}");
            // PyTorch's approximations, which these are, miss the identity by 1.3e-7 just beyond x = 5.
            let ordinary = j1(x) * y0(x) - j0(x) * y1(x);
            assert!(
                (ordinary * x * std::f64::consts::FRAC_PI_2 - 1.0).abs() < 2e-7,
                "ordinary at {x}"
            );
        }
    }

    #[test]
    fn airy_satisfies_its_equation() {
        for i in -20..80 {
            let (x, h) = (f64::from(i) * 0.1, 1e-3);
            let second = (airy_ai(x + h) - 2.0 * airy_ai(x) + airy_ai(x - h)) / (h * h);
            assert!((second - x * airy_ai(x)).abs() < 1e-5, "{x}");
        }
        assert!((airy_ai(-10.0) - 0.040_241_238_486_443_19).abs() < 1e-9);
        assert!((airy_ai(0.0) - 0.355_028_053_887_817_2).abs() < 1e-16);
    }
}
