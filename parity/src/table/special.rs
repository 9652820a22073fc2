//! Special functions: `torch.special` and its aliases under `torch`.

use flambeau_tensor::ops::special;
use flambeau_tensor::{Result, bail};

use super::pointwise::of_one;
use crate::args::Args;
use crate::registry::{Entry, Output, out};

/// Functions of one tensor.
pub(super) const UNARY: &[Entry] = of_one! {
    "digamma" => digamma;
    "erfinv" => erfinv;
    "i0" => i0;
    "lgamma" => lgamma;
    "sinc" => sinc;
    "special.airy_ai" => airy_ai;
    "special.bessel_j0" => bessel_j0;
    "special.bessel_j1" => bessel_j1;
    "special.bessel_y0" => bessel_y0;
    "special.bessel_y1" => bessel_y1;
    "special.digamma" => digamma;
    "special.entr" => entr;
    "special.erf" => erf;
    "special.erfc" => erfc;
    "special.erfcx" => erfcx;
    "special.erfinv" => erfinv;
    "special.gammaln" => lgamma;
    "special.i0" => i0;
    "special.i0e" => i0e;
    "special.i1" => i1;
    "special.i1e" => i1e;
    "special.log_ndtr" => log_ndtr;
    "special.modified_bessel_i0" => i0;
    "special.modified_bessel_i1" => i1;
    "special.modified_bessel_k0" => modified_bessel_k0;
    "special.modified_bessel_k1" => modified_bessel_k1;
    "special.ndtr" => ndtr;
    "special.ndtri" => ndtri;
    "special.psi" => digamma;
    "special.scaled_modified_bessel_k0" => scaled_modified_bessel_k0;
    "special.scaled_modified_bessel_k1" => scaled_modified_bessel_k1;
    "special.sinc" => sinc;
    "special.spherical_bessel_j0" => spherical_bessel_j0;
};

/// Polynomials by argument and degree.
macro_rules! polynomials {
    ($($name:literal => $function:ident;)*) => {
        &[$(($name, |a| {
            let (x, n) = (a.operand(0, "input")?, a.operand(1, "n")?);
            out(special::$function(x.operand(), n.operand())?)
        }),)*]
    };
}

/// Orthogonal polynomials.
pub(super) const POLYNOMIALS: &[Entry] = polynomials! {
    "special.chebyshev_polynomial_t" => chebyshev_polynomial_t;
    "special.chebyshev_polynomial_u" => chebyshev_polynomial_u;
    "special.chebyshev_polynomial_v" => chebyshev_polynomial_v;
    "special.chebyshev_polynomial_w" => chebyshev_polynomial_w;
    "special.hermite_polynomial_h" => hermite_polynomial_h;
    "special.hermite_polynomial_he" => hermite_polynomial_he;
    "special.laguerre_polynomial_l" => laguerre_polynomial_l;
    "special.legendre_polynomial_p" => legendre_polynomial_p;
    "special.shifted_chebyshev_polynomial_t" => shifted_chebyshev_polynomial_t;
    "special.shifted_chebyshev_polynomial_u" => shifted_chebyshev_polynomial_u;
    "special.shifted_chebyshev_polynomial_v" => shifted_chebyshev_polynomial_v;
    "special.shifted_chebyshev_polynomial_w" => shifted_chebyshev_polynomial_w;
};

fn polygamma(a: &mut Args) -> Result<Output> {
    let (n, x) = (a.required_int(0, "n")?, a.tensor(1, "input")?);
    match u32::try_from(n) {
        Ok(n) => out(x.polygamma(n)?),
        Err(_) => bail!(Value, "polygamma: n must not be negative, got {n}"),
    }
}

fn mvlgamma(a: &mut Args) -> Result<Output> {
    let (x, p) = (a.tensor(0, "input")?, a.required_int(1, "p")?);
    out(x.mvlgamma(u32::try_from(p).unwrap_or(0))?)
}

fn logit(a: &mut Args) -> Result<Output> {
    let (x, eps) = (a.tensor(0, "input")?, a.opt_float(1, "eps")?);
    out(x.logit(eps)?)
}

/// The rest.
pub(super) const TABLE: &[Entry] = &[
    ("igamma", |a| {
        out(a.tensor(0, "input")?.igamma(&a.tensor(1, "other")?)?)
    }),
    ("igammac", |a| {
        out(a.tensor(0, "input")?.igammac(&a.tensor(1, "other")?)?)
    }),
    ("logit", logit),
    ("mvlgamma", mvlgamma),
    ("polygamma", polygamma),
    ("special.gammainc", |a| {
        out(a.tensor(0, "input")?.igamma(&a.tensor(1, "other")?)?)
    }),
    ("special.gammaincc", |a| {
        out(a.tensor(0, "input")?.igammac(&a.tensor(1, "other")?)?)
    }),
    ("special.logit", logit),
    ("special.multigammaln", mvlgamma),
    ("special.polygamma", polygamma),
    ("special.zeta", |a| {
        let (x, q) = (a.operand(0, "input")?, a.operand(1, "other")?);
        out(special::zeta(x.operand(), q.operand())?)
    }),
];
