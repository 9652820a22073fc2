//! Element-wise functions of two arguments with broadcasting: arithmetic, comparisons, logic, bit operations.
//!
//! The operands are views of one shape (a broadcast operand has strides of 0); the output is contiguous.

use crate::cast::cast;
use crate::copy::bits;
use crate::element::{Element, Float, Int, Kind, instantiate};
use crate::elementwise::{zip2, zip2_in_place};
use crate::simd;
use crate::unary::choose;
use crate::view::View;

/// Declares an enum of operations and the dispatch to one vectorised loop per variant.
macro_rules! binary_table {
    (
        $(#[$enum_meta:meta])*
        pub enum $Enum:ident, fn $block:ident over $Bound:ident;
        $( $(#[$meta:meta])* $name:ident => |$a:ident, $b:ident| $body:expr; )*
    ) => {
        $(#[$enum_meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Enum { $(
            $(#[$meta])*
            $name,
        )* }

        fn $block<T: $Bound>(op: $Enum, a: &[T], b: &[T], out: &mut [T]) {
            match op { $(
                $Enum::$name => {
                    simd! {
                        fn zip[T: $Bound](a: &[T], b: &[T], out: &mut [T]) {
                            for ((o, &$a), &$b) in out.iter_mut().zip(a).zip(b) {
                                *o = $body;
                            }
                        }
                    }
                    zip(a, b, out)
                }
            )* }
        }
    };
}

binary_table! {
    /// An element-wise function of two floats.
    pub enum Binary, fn block over Float;
    /// `a + b`.
    Add => |a, b| a + b;
    /// `a - b`.
    Sub => |a, b| a - b;
    /// `a·b`.
    Mul => |a, b| a * b;
    /// `a/b`.
    Div => |a, b| a / b;
    /// `a/b` rounded towards negative infinity, exact where the quotient is (Python's `//`).
    FloorDivide => |a, b| floor_divide(a, b);
    /// `a/b` rounded towards zero.
    TruncDivide => |a, b| (a / b).trunc();
    /// The remainder with the sign of `b` (Python's `%`).
    Remainder => |a, b| {
        let m = a % b;
        choose(m != T::ZERO && ((b < T::ZERO) != (m < T::ZERO)), m + b, m)
    };
    /// The remainder with the sign of `a` (C's `fmod`).
    Fmod => |a, b| a % b;
    /// `a^b`.
    Pow => |a, b| a.pow(b);
    /// The greater; NaN if one is.
    Maximum => |a, b| choose(a > b || a.is_not_a_number(), a, b);
    /// The lesser; NaN if one is.
    Minimum => |a, b| choose(a < b || a.is_not_a_number(), a, b);
    /// The greater; the other if one is NaN.
    Fmax => |a, b| choose(a > b || b.is_not_a_number(), a, b);
    /// The lesser; the other if one is NaN.
    Fmin => |a, b| choose(a < b || b.is_not_a_number(), a, b);
    /// The angle of the point `(b, a)`.
    Atan2 => |a, b| a.atan2(b);
    /// `√(a² + b²)` without overflow.
    Hypot => |a, b| a.hypot(b);
    /// `|a|` with the sign of `b`.
    Copysign => |a, b| a.copysign(b);
    /// The next float after `a` in the direction of `b`.
    NextAfter => |a, b| a.next_after(b);
    /// `log(eᵃ + eᵇ)`.
    LogAddExp => |a, b| {
        let (greater, apart) = (choose(a > b || a.is_not_a_number(), a, b), (a - b).abs());
        // Equal infinities: their distance is NaN, their sum themselves.
        choose(a == b && a.abs() == T::GREATEST, a, greater + (-apart).exp().log1p())
    };
    /// `log2(2ᵃ + 2ᵇ)`.
    LogAddExp2 => |a, b| {
        let (greater, apart) = (choose(a > b || a.is_not_a_number(), a, b), (a - b).abs());
        let tail = (-apart).exp2().log1p() * T::from_f64(std::f64::consts::LOG2_E);
        choose(a == b && a.abs() == T::GREATEST, a, greater + tail)
    };
    /// `a·log(b)`; 0 where `a` is 0 and `b` is not NaN.
    Xlogy => |a, b| choose(b.is_not_a_number(), b, choose(a == T::ZERO, T::ZERO, a * b.log()));
    /// `a·log(1 + b)`; 0 where `a` is 0 and `b` is not NaN.
    Xlog1py => |a, b| choose(b.is_not_a_number(), b, choose(a == T::ZERO, T::ZERO, a * b.log1p()));
    /// 0 where `a < 0`, `b` where it is 0, 1 where it is greater; 0 for NaN.
    Heaviside => |a, b| choose(a == T::ZERO, b, choose(a > T::ZERO, T::ONE, T::ZERO));
}

/// Python's `//`: from the exact remainder, so that `1 // 0.1` is 9.
#[inline(always)]
fn floor_divide<T: Float>(a: T, b: T) -> T {
    let m = a % b;
    let quotient = (a - m) / b;
    let quotient = choose(
        m != T::ZERO && ((b < T::ZERO) != (m < T::ZERO)),
        quotient - T::ONE,
        quotient,
    );
    let floor = quotient.floor();
    let floor = choose(quotient - floor > T::from_f64(0.5), floor + T::ONE, floor);
    let floor = choose(quotient == T::ZERO, T::ZERO.copysign(a / b), floor);
    choose(b == T::ZERO, a / b, floor)
}

binary_table! {
    /// An element-wise function of two integers; arithmetic wraps.
    pub enum BinaryInt, fn int_block over Int;
    /// `a + b`.
    Add => |a, b| a.plus(b);
    /// `a - b`.
    Sub => |a, b| a.minus(b);
    /// `a·b`.
    Mul => |a, b| a.times(b);
    /// `a/b` rounded towards negative infinity (Python's `//`).
    FloorDivide => |a, b| {
        let (a, b) = (a.to_i64(), b.to_i64());
        let quotient = a.wrapping_div(b);
        T::from_i64(quotient - (quotient.wrapping_mul(b) != a && ((a < 0) != (b < 0))) as i64)
    };
    /// `a/b` rounded towards zero.
    TruncDivide => |a, b| T::from_i64(a.to_i64().wrapping_div(b.to_i64()));
    /// The remainder with the sign of `b` (Python's `%`).
    Remainder => |a, b| {
        let (a, b) = (a.to_i64(), b.to_i64());
        let m = a.wrapping_rem(b);
        T::from_i64(if m != 0 && ((m < 0) != (b < 0)) { m + b } else { m })
    };
    /// The remainder with the sign of `a` (C's `%`).
    Fmod => |a, b| T::from_i64(a.to_i64().wrapping_rem(b.to_i64()));
    /// `a^b`; for a negative `b`, 1/`a` cut to an integer: 0 unless `a` is 1 or -1.
    Pow => |a, b| int_pow(a, b);
    /// The greater.
    Maximum => |a, b| choose(a > b, a, b);
    /// The lesser.
    Minimum => |a, b| choose(a < b, a, b);
    /// Bitwise and.
    And => |a, b| T::from_i64(a.to_i64() & b.to_i64());
    /// Bitwise or.
    Or => |a, b| T::from_i64(a.to_i64() | b.to_i64());
    /// Bitwise exclusive or.
    Xor => |a, b| T::from_i64(a.to_i64() ^ b.to_i64());
    /// `a·2^b`; 0 where `b` is negative or not below the number of bits.
    Shl => |a, b| {
        let b = b.to_i64();
        T::from_i64(if (0..T::BITS as i64).contains(&b) { a.to_i64() << b } else { 0 })
    };
    /// `a/2^b` rounded down; a `b` that is negative or too large counts as the greatest sensible one.
    Shr => |a, b| {
        let (b, most) = (b.to_i64(), T::BITS as i64 - 1);
        T::from_i64(a.to_i64() >> if (0..=most).contains(&b) { b } else { 63 })
    };
    /// The greatest common divisor, not negative.
    Gcd => |a, b| T::from_i64(gcd(a.to_i64(), b.to_i64()));
    /// The least common multiple, not negative.
    Lcm => |a, b| {
        let (a, b) = (a.to_i64(), b.to_i64());
        let g = gcd(a, b);
        T::from_i64(if g == 0 { 0 } else { a.wrapping_div(g).wrapping_mul(b).wrapping_abs() })
    };
    /// 0 where `a < 0`, `b` where it is 0, 1 where it is greater.
    Heaviside => |a, b| choose(a == T::ZERO, b, choose(a > T::ZERO, T::ONE, T::ZERO));
}

impl BinaryInt {
    /// Whether the operation divides by its second operand.
    fn divides(self) -> bool {
        use BinaryInt::*;
        matches!(self, FloorDivide | TruncDivide | Remainder | Fmod)
    }
}

fn int_pow<T: Int>(a: T, b: T) -> T {
    let mut exponent = b.to_i64();
    if exponent < 0 {
        return match a.to_i64() {
            1 => T::ONE,
            -1 => choose(exponent % 2 == 0, T::ONE, a),
            _ => T::ZERO,
        };
    }
    let (mut power, mut result) = (a, T::ONE);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result.times(power);
        }
        power = power.times(power);
        exponent >>= 1;
    }
    result
}

fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.wrapping_abs(), b.wrapping_abs());
    while b != 0 {
        (a, b) = (b, a.wrapping_rem(b));
    }
    a
}

/// An integer was to be divided by zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DivisionByZero;

impl std::fmt::Display for DivisionByZero {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("integer division by zero")
    }
}

impl std::error::Error for DivisionByZero {}

/// Elements that are widened at a time.
const WIDE: usize = 512;

/// `out = op(a, b)`, computed in `i64` for every type: narrower arithmetic that wraps is the same with fewer bits kept.
fn widened<T: Int>(op: BinaryInt, a: &[T], b: &[T], out: &mut [T]) {
    let (mut wide_a, mut wide_b, mut wide_out) = ([0i64; WIDE], [0i64; WIDE], [0i64; WIDE]);
    for ((a, b), out) in a.chunks(WIDE).zip(b.chunks(WIDE)).zip(out.chunks_mut(WIDE)) {
        let n = out.len();
        cast(a, &mut wide_a[..n]);
        cast(b, &mut wide_b[..n]);
        int_block(op, &wide_a[..n], &wide_b[..n], &mut wide_out[..n]);
        cast(&wide_out[..n], out);
    }
}

/// Looks at a divisor before anything is divided by it.
fn check_divisor<T: Int>(op: BinaryInt, b: &View<'_, T>) -> Result<(), DivisionByZero> {
    let zero = op.divides() && b.numel() > 0 && {
        let nest = crate::view::Nest::new(b.shape, [b.strides]);
        let inner = nest.inner();
        let mut found = false;
        nest.for_rows(0..nest.rows(), |_, [offset]| {
            found |= (0..inner.len).any(|i| b.data[offset + i * inner.strides[0]] == T::ZERO)
        });
        found
    };
    if zero { Err(DivisionByZero) } else { Ok(()) }
}

/// Declares [`Compare`] and the dispatch to one vectorised loop per variant.
macro_rules! compare_table {
    ($( $(#[$meta:meta])* $name:ident => |$a:ident, $b:ident| $body:expr; )*) => {
        /// A relation between two elements. The logical ones take every value but zero as true, NaN included.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Compare { $(
            $(#[$meta])*
            $name,
        )* }

        fn compare_block<T: Element>(op: Compare, a: &[T], b: &[T], out: &mut [u8]) {
            match op { $(
                Compare::$name => {
                    simd! {
                        fn zip[T: Element](a: &[T], b: &[T], out: &mut [u8]) {
                            for ((o, &$a), &$b) in out.iter_mut().zip(a).zip(b) {
                                *o = ($body) as u8;
                            }
                        }
                    }
                    zip(a, b, out)
                }
            )* }
        }
    };
}

/// The comparison in the type itself for the common ones, else in a wider one.
fn compare_widened<T: Element>(op: Compare, a: &[T], b: &[T], out: &mut [u8]) {
    fn through<T: Element, W: Element>(op: Compare, a: &[T], b: &[T], out: &mut [u8]) {
        if T::KIND == W::KIND {
            return compare_block::<W>(op, bits(a), bits(b), out);
        }
        let (mut wide_a, mut wide_b) = ([W::ZERO; WIDE], [W::ZERO; WIDE]);
        for ((a, b), out) in a.chunks(WIDE).zip(b.chunks(WIDE)).zip(out.chunks_mut(WIDE)) {
            let n = out.len();
            cast(a, &mut wide_a[..n]);
            cast(b, &mut wide_b[..n]);
            compare_block(op, &wide_a[..n], &wide_b[..n], out);
        }
    }
    match T::KIND {
        Kind::F64 => through::<T, f64>(op, a, b, out),
        Kind::F32 | Kind::F16 | Kind::Bf16 => through::<T, f32>(op, a, b, out),
        Kind::U8 => through::<T, u8>(op, a, b, out),
        Kind::I64 | Kind::I32 | Kind::I16 | Kind::I8 | Kind::U32 => through::<T, i64>(op, a, b, out),
    }
}

compare_table! {
    /// `a = b`.
    Eq => |a, b| a == b;
    /// `a ≠ b`.
    Ne => |a, b| a != b;
    /// `a < b`.
    Lt => |a, b| a < b;
    /// `a ≤ b`.
    Le => |a, b| a <= b;
    /// `a > b`.
    Gt => |a, b| a > b;
    /// `a ≥ b`.
    Ge => |a, b| a >= b;
    /// Both are true.
    LogicalAnd => |a, b| (a != T::ZERO) & (b != T::ZERO);
    /// At least one is true.
    LogicalOr => |a, b| (a != T::ZERO) | (b != T::ZERO);
    /// Exactly one is true.
    LogicalXor => |a, b| (a != T::ZERO) ^ (b != T::ZERO);
}

instantiate! {
    trait FloatKernels for f32, f64 where Float;

    /// `out = op(a, b)`. The views have one shape; `out` has as many elements.
    pub fn binary(op: Binary, a: View<'_, T>, b: View<'_, T>, out: &mut [T]) {
        zip2(a, b, out, |a, b, out| block(op, a, b, out))
    }

    /// `a = op(a, b)` for a contiguous `a` with as many elements as `b`.
    pub fn binary_in_place(op: Binary, a: &mut [T], b: View<'_, T>) {
        zip2_in_place(a, b, |a, b, out| block(op, a, b, out))
    }

    /// `out = a + alpha·b`, with `alpha` in the element type (torch's `add` and `sub` with `alpha`).
    pub fn add_scaled(a: View<'_, T>, b: View<'_, T>, alpha: f64, out: &mut [T]) {
        let alpha = T::from_f64(alpha);
        zip2(a, b, out, |a, b, out| scaled_block(a, b, alpha, out))
    }

    /// `a += alpha·b` for a contiguous `a`.
    pub fn add_scaled_in_place(a: &mut [T], b: View<'_, T>, alpha: f64) {
        let alpha = T::from_f64(alpha);
        zip2_in_place(a, b, |a, b, out| scaled_block(a, b, alpha, out))
    }
}

simd! {
    fn scaled_block[T: Float](a: &[T], b: &[T], alpha: T, out: &mut [T]) {
        for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *o = a + alpha * b;
        }
    }
}

instantiate! {
    trait IntKernels for i64, i32, i16, i8, u8, u32 where Int;

    /// `out = op(a, b)` for integers; an error if a divisor is zero, and nothing is written then.
    pub fn binary_int(op: BinaryInt, a: View<'_, T>, b: View<'_, T>, out: &mut [T]) -> Result<(), DivisionByZero> {
        check_divisor(op, &b)?;
        zip2(a, b, out, |a, b, out| widened(op, a, b, out));
        Ok(())
    }

    /// `a = op(a, b)` for integers and a contiguous `a`; an error if a divisor is zero.
    pub fn binary_int_in_place(op: BinaryInt, a: &mut [T], b: View<'_, T>) -> Result<(), DivisionByZero> {
        check_divisor(op, &b)?;
        zip2_in_place(a, b, |a, b, out| widened(op, a, b, out));
        Ok(())
    }
}

instantiate! {
    trait CompareKernels for f32, f64, half::f16, half::bf16, i64, i32, i16, i8, u8, u32 where Element;

    /// `out = 1` where the comparison or logical operation holds, else 0.
    pub fn compare(op: Compare, a: View<'_, T>, b: View<'_, T>, out: &mut [u8]) {
        zip2(a, b, out, |a, b, out| compare_widened(op, a, b, out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(op: Binary, a: f32, b: f32) -> f32 {
        let mut out = [0.0];
        binary(
            op,
            View {
                data: &[a],
                shape: &[],
                strides: &[],
            },
            View {
                data: &[b],
                shape: &[],
                strides: &[],
            },
            &mut out,
        );
        out[0]
    }

    fn int<T: Int>(op: BinaryInt, a: T, b: T) -> T {
        let mut out = [T::ZERO];
        let (a, b) = ([a], [b]);
        let (a, b) = (
            View {
                data: &a,
                shape: &[],
                strides: &[],
            },
            View {
                data: &b,
                shape: &[],
                strides: &[],
            },
        );
        binary_int(op, a, b, &mut out).unwrap();
        out[0]
    }

    #[test]
    fn every_layout_of_operands_gives_the_same() {
        let (rows, columns) = (300, 200);
        let shape = [rows, columns];
        let n = rows * columns;
        let data: Vec<f32> = (0..n).map(|i| (i * 7919 % 1009) as f32 - 500.0).collect();
        let layouts: [[usize; 2]; 6] = [[columns, 1], [1, rows], [0, 1], [1, 0], [0, 0], [0, 3]];
        for sa in &layouts {
            for sb in &layouts {
                let mut out = vec![0.0; n];
                let view = |strides| View {
                    data: &data,
                    shape: &shape,
                    strides,
                };
                binary(Binary::Sub, view(sa), view(sb), &mut out);
                for (i, &o) in out.iter().enumerate() {
                    let at = |s: &[usize; 2]| data[i / columns * s[0] + i % columns * s[1]];
                    assert_eq!(o, at(sa) - at(sb), "{sa:?} {sb:?} at {i}");
                }
            }
            let mut a = data.clone();
            binary_in_place(
                Binary::Sub,
                &mut a,
                View {
                    data: &data,
                    shape: &shape,
                    strides: sa,
                },
            );
            for (i, &o) in a.iter().enumerate() {
                assert_eq!(o, data[i] - data[i / columns * sa[0] + i % columns * sa[1]]);
            }
        }
    }

    #[test]
    fn division_and_remainders_are_python_s() {
        use Binary::*;
        assert_eq!(float(FloorDivide, 1.0, 0.1), 9.0);
        assert_eq!(float(FloorDivide, -7.0, 2.0), -4.0);
        assert_eq!(float(FloorDivide, 5.0, 0.0), f32::INFINITY);
        assert_eq!(float(Remainder, -5.0, 3.0), 1.0);
        assert_eq!(float(Fmod, -5.0, 3.0), -2.0);
        assert_eq!(float(Remainder, -1e-30, f32::INFINITY), f32::INFINITY);
        assert_eq!(int::<i64>(BinaryInt::FloorDivide, -7, 2), -4);
        assert_eq!(int::<i64>(BinaryInt::FloorDivide, i64::MIN, -1), i64::MIN);
        assert_eq!(int::<i32>(BinaryInt::Remainder, -7, 3), 2);
        assert_eq!(int::<i8>(BinaryInt::TruncDivide, -7, 2), -3);
        assert_eq!(int::<u8>(BinaryInt::Add, 200, 100), 44);
        let (a, mut out) = ([1i64], [7i64]);
        let (a, zero) = (
            View {
                data: &a,
                shape: &[],
                strides: &[],
            },
            View {
                data: &[0],
                shape: &[],
                strides: &[],
            },
        );
        assert_eq!(
            binary_int(BinaryInt::Fmod, a, zero, &mut out),
            Err(DivisionByZero)
        );
        assert_eq!(out, [7]);
    }

    #[test]
    fn nan_infinities_and_zeros() {
        use Binary::*;
        let nan = f32::NAN;
        assert!(float(Maximum, nan, 1.0).is_nan() && float(Minimum, 1.0, nan).is_nan());
        assert_eq!((float(Fmax, nan, 1.0), float(Fmin, 1.0, nan)), (1.0, 1.0));
        assert_eq!(float(Xlogy, 0.0, 0.0), 0.0);
        assert!(float(Xlogy, 0.0, nan).is_nan());
        assert_eq!(
            float(LogAddExp, f32::NEG_INFINITY, f32::NEG_INFINITY),
            f32::NEG_INFINITY
        );
        assert_eq!(float(LogAddExp, f32::INFINITY, 1.0), f32::INFINITY);
        assert_eq!(float(LogAddExp, f32::NEG_INFINITY, 1.0), 1.0);
        assert_eq!(float(Heaviside, nan, 2.0), 0.0);
        assert_eq!(float(NextAfter, 0.0, -1.0), -f32::from_bits(1));
    }

    #[test]
    fn bits_powers_and_divisors() {
        use BinaryInt::*;
        assert_eq!(int::<i64>(Shl, 1, 64), 0);
        assert_eq!(int::<i64>(Shr, -8, 70), -1);
        assert_eq!(int::<i8>(Shr, -8, 1), -4);
        assert_eq!(int::<i32>(Pow, 3, 4), 81);
        assert_eq!(int::<i32>(Pow, -1, -3), -1);
        assert_eq!(int::<i32>(Pow, 2, -1), 0);
        assert_eq!(int::<i64>(Gcd, -12, 18), 6);
        assert_eq!(int::<i64>(Lcm, 4, -6), 12);
        assert_eq!(int::<u8>(Xor, 0b1100, 0b1010), 0b0110);
    }

    #[test]
    fn comparisons() {
        let (a, b) = ([1.0f32, 2.0, f32::NAN], [1.0f32, 1.0, 1.0]);
        let view = |data| View {
            data,
            shape: &[3],
            strides: &[1],
        };
        let mut out = [9; 3];
        for (op, want) in [
            (Compare::Eq, [1, 0, 0]),
            (Compare::Ne, [0, 1, 1]),
            (Compare::Lt, [0, 0, 0]),
            (Compare::Ge, [1, 1, 0]),
            (Compare::LogicalXor, [0, 0, 0]),
        ] {
            compare(op, view(&a), view(&b), &mut out);
            assert_eq!(out, want, "{op:?}");
        }
    }
}
