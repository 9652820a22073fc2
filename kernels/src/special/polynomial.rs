//! Orthogonal polynomials by their three-term recurrences (`chebyshev_polynomial_t(x, n)` and its kin).
//!
//! The recurrences run in the type of x, so that overflow shows as it does in PyTorch. Degrees below 0 give 0.

use super::SpecialFloat;

/// The degree as an integer: the fraction is cut off, and what no i64 holds counts as negative.
fn degree<T: SpecialFloat>(n: T) -> i64 {
    let n = n.to_f64();
    if n.is_nan() || n.abs() >= 9.2e18 {
        -1
    } else {
        n as i64
    }
}

/// The four kinds of Chebyshev polynomials: they share a recurrence and differ in their second member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChebyshevKind {
    /// cos(nθ), x = cos θ.
    T,
    /// sin((n + 1)θ) / sin θ.
    U,
    /// cos((n + ½)θ) / cos(θ/2).
    V,
    /// sin((n + ½)θ) / sin(θ/2).
    W,
}

/// The Chebyshev polynomial of degree n at x (`torch.special.chebyshev_polynomial_{t,u,v,w}`).
pub fn chebyshev_polynomial<T: SpecialFloat>(kind: ChebyshevKind, x: T, n: T) -> T {
    chebyshev(kind, x, degree(n))
}

/// The polynomial of 2x − 1 (`torch.special.shifted_chebyshev_polynomial_{t,u,v,w}`).
pub fn shifted_chebyshev_polynomial<T: SpecialFloat>(kind: ChebyshevKind, x: T, n: T) -> T {
    chebyshev(kind, x + x - T::ONE, degree(n))
}

fn chebyshev<T: SpecialFloat>(kind: ChebyshevKind, x: T, n: i64) -> T {
    use ChebyshevKind::{T as First, U, V, W};
    if n < 0 {
        return T::ZERO;
    }
    let size = x.to_f64().abs();
    if size == 1.0 {
        // The quotients above are 0 / 0 at an end, or 1; their limits are these.
        let (at_one, at_minus_one) = match kind {
            First => (1.0, 1.0),
            U => (n as f64 + 1.0, n as f64 + 1.0),
            V => (1.0, 2.0 * n as f64 + 1.0),
            W => (2.0 * n as f64 + 1.0, 1.0),
        };
        let sign = if n % 2 == 0 { 1.0 } else { -1.0 };
        return T::from_f64(if x > T::ZERO { at_one } else { sign * at_minus_one });
    }
    if n > 8 && size < 1.0 {
        let (theta, n) = (x.to_f64().acos(), n as f64);
        return T::from_f64(match kind {
            First => (n * theta).cos(),
            U => ((n + 1.0) * theta).sin() / theta.sin(),
            V => ((n + 0.5) * theta).cos() / (0.5 * theta).cos(),
            W => ((n + 0.5) * theta).sin() / (0.5 * theta).sin(),
        });
    }
    let twice = x + x;
    let second = match kind {
        First => x,
        U => twice,
        V => twice - T::ONE,
        W => twice + T::ONE,
    };
    recurrence(n, second, |_, last, before| twice * last - before)
}

/// p_n from p_0 = 1, p_1 and p_{k+1} = `next(k, p_k, p_{k−1})`; stops early at NaN.
fn recurrence<T: SpecialFloat>(n: i64, first: T, next: impl Fn(T, T, T) -> T) -> T {
    if n == 0 {
        return T::ONE;
    }
    let (mut before, mut last) = (T::ONE, first);
    let mut k = 1;
    while k < n && !last.to_f64().is_nan() {
        (before, last) = (last, next(T::from_f64(k as f64), last, before));
        k += 1;
    }
    last
}

/// The highest degree of a Hermite polynomial before the result is NaN.
fn hermite_limit<T: SpecialFloat>() -> i64 {
    if size_of::<T>() == 4 { 128 } else { 512 }
}

/// The physicist's Hermite polynomial H_n(x) (`torch.special.hermite_polynomial_h`).
pub fn hermite_polynomial_h<T: SpecialFloat>(x: T, n: T) -> T {
    let n = degree(n);
    if n < 0 {
        return T::ZERO;
    }
    if n > hermite_limit::<T>() {
        return T::from_f64(f64::NAN);
    }
    recurrence(n, x + x, |k, last, before| (x + x) * last - (k + k) * before)
}

/// The probabilist's Hermite polynomial He_n(x) (`torch.special.hermite_polynomial_he`).
pub fn hermite_polynomial_he<T: SpecialFloat>(x: T, n: T) -> T {
    let n = degree(n);
    if n < 0 {
        return T::ZERO;
    }
    if n > hermite_limit::<T>() {
        return T::from_f64(f64::NAN);
    }
    recurrence(n, x, |k, last, before| x * last - k * before)
}

/// The Laguerre polynomial L_n(x) (`torch.special.laguerre_polynomial_l`).
pub fn laguerre_polynomial_l<T: SpecialFloat>(x: T, n: T) -> T {
    let n = degree(n);
    if n < 0 {
        return T::ZERO;
    }
    if x == T::ZERO {
        return T::ONE;
    }
    let one = T::ONE;
    recurrence(n, one - x, |k, last, before| {
        ((k + k + (one - x)) * last - k * before) / (k + one)
    })
}

/// The Legendre polynomial P_n(x) (`torch.special.legendre_polynomial_p`).
pub fn legendre_polynomial_p<T: SpecialFloat>(x: T, n: T) -> T {
    let n = degree(n);
    if n < 0 {
        return T::ZERO;
    }
    let one = T::ONE;
    if x == one || x == -one {
        return if x > T::ZERO || n % 2 == 0 { one } else { -one };
    }
    recurrence(n, x, |k, last, before| {
        ((k + k + one) * x * last - k * before) / (k + one)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trigonometric_and_recurrent_forms_agree() {
        for kind in [
            ChebyshevKind::T,
            ChebyshevKind::U,
            ChebyshevKind::V,
            ChebyshevKind::W,
        ] {
            for i in -9..=9 {
                let x = f64::from(i) / 10.0;
                let p: Vec<f64> = (0..16)
                    .map(|n| chebyshev_polynomial(kind, x, f64::from(n)))
                    .collect();
                for n in 2..16 {
                    assert!(
                        (p[n] - (2.0 * x * p[n - 1] - p[n - 2])).abs() < 1e-12,
                        "{kind:?} {n} {x}"
                    );
                }
                assert_eq!(
                    shifted_chebyshev_polynomial(kind, 0.5 * (x + 1.0), 3.0),
                    chebyshev_polynomial(kind, 0.5 * (x + 1.0) * 2.0 - 1.0, 3.0)
                );
            }
        }
    }

    #[test]
    fn low_degrees_are_the_known_polynomials() {
        let x = 1.5f64;
        assert_eq!(hermite_polynomial_h(x, 3.0), 8.0 * x * x * x - 12.0 * x);
        assert_eq!(hermite_polynomial_he(x, 3.0), x * x * x - 3.0 * x);
        assert!((laguerre_polynomial_l(x, 2.0) - (x * x / 2.0 - 2.0 * x + 1.0)).abs() < 1e-15);
        assert_eq!(legendre_polynomial_p(x, 2.0), (3.0 * x * x - 1.0) / 2.0);
        assert_eq!(chebyshev_polynomial(ChebyshevKind::V, -1.0, 3.0), -7.0f32);
        assert_eq!(legendre_polynomial_p(0.3f32, -1.0), 0.0);
        assert!(hermite_polynomial_h(0.5f32, 129.0).is_nan());
        assert_eq!(hermite_polynomial_h(0.5f64, f64::NAN), 0.0);
    }
}
