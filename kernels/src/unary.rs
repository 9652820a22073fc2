//! Element-wise functions of one argument, `out[i] = f(x[i])`, and their fused backward, `out[i] = grad[i]·f′(x[i])`.
//!
//! Each function is one line of a table: the variant of [`Unary`], its parameters, its formula. Parameters are given
//! as `f64` and converted to the element type before use, as PyTorch does. NaN goes in, NaN comes out unless said.

use crate::cast::cast;
use crate::element::{Float, Int, instantiate};
use crate::elementwise::{BLOCK, map_in_place, split};
use crate::simd;

/// Declares [`Unary`] and the dispatch to one vectorised loop per variant.
macro_rules! unary_table {
    ($(
        $(#[$meta:meta])*
        $name:ident $( ( $($p:ident: $pt:ty),* ) )? $( { $($q:ident: $qt:ty),* } )? => |$x:ident| $body:expr;
    )*) => {
        /// An element-wise function of one argument.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Unary { $(
            $(#[$meta])*
            $name $( ( $($pt),* ) )? $( { $(
                #[doc = concat!("The parameter `", stringify!($q), "`.")]
                $q: $qt
            ),* } )?,
        )* }

        fn block<T: Float>(op: Unary, x: &[T], out: &mut [T]) {
            match op { $(
                Unary::$name $( ( $($p),* ) )? $( { $($q),* } )? => {
                    simd! {
                        fn map[T: Float](x: &[T], out: &mut [T] $( $(, $p: T)* )? $( $(, $q: T)* )?) {
                            for (o, &$x) in out.iter_mut().zip(x) {
                                *o = $body;
                            }
                        }
                    }
                    map(x, out $( $(, T::from_f64($p as f64))* )? $( $(, T::from_f64($q as f64))* )?)
                }
            )* }
        }
    };
}

impl Unary {
    /// The same function for arguments beyond the reach of the vectorised one.
    fn far<T: Float>(self) -> Option<fn(T) -> T> {
        match self {
            Unary::Sin => Some(T::sin_far),
            Unary::Cos => Some(T::cos_far),
            Unary::Tan => Some(T::tan_far),
            _ => None,
        }
    }

    /// The derivative for arguments beyond the reach of the vectorised one.
    fn far_slope<T: Float>(self) -> Option<fn(T) -> T> {
        match self {
            Unary::Sin => Some(T::cos_far),
            Unary::Cos => Some(|x| -x.sin_far()),
            _ => None,
        }
    }
}

/// `out = op(x)` for a piece that is worth no further splitting.
fn apply<T: Float>(op: Unary, x: &[T], out: &mut [T]) {
    block(op, x, out);
    if let Some(far) = op.far() {
        for (o, &x) in out
            .iter_mut()
            .zip(x)
            .filter(|(_, x)| x.abs() > T::TRIGONOMETRIC_LIMIT)
        {
            *o = far(x);
        }
    }
}

/// `out = grad·op′(x)`, where `value` is what `backward_needs` names.
fn apply_backward<T: Float>(op: Unary, value: &[T], grad: &[T], out: &mut [T]) {
    backward_block(op, value, grad, out);
    if let Some(slope) = op.far_slope() {
        for ((o, &x), &g) in out
            .iter_mut()
            .zip(value)
            .zip(grad)
            .filter(|((_, x), _)| x.abs() > T::TRIGONOMETRIC_LIMIT)
        {
            *o = g * slope(x);
        }
    }
}

/// Both values are computed and one is taken: a form that vectorises whatever the two cost.
#[inline(always)]
pub(crate) fn choose<T>(condition: bool, then: T, otherwise: T) -> T {
    if condition { then } else { otherwise }
}

#[inline(always)]
fn constant<T: Float>(value: f64) -> T {
    T::from_f64(value)
}

/// -1, 0 or 1; 0 for NaN.
#[inline(always)]
fn sign<T: Float>(x: T) -> T {
    choose(x > T::ZERO, T::ONE, choose(x < T::ZERO, -T::ONE, T::ZERO))
}

/// `x` raised to at least `min`, then lowered to at most `max`.
#[inline(always)]
pub(crate) fn clamp<T: Float>(x: T, min: T, max: T) -> T {
    let raised = choose(x < min, min, x);
    choose(raised > max, max, raised)
}

/// `√(2/π)·(x + 0.044715·x³)`, the argument of tanh in the approximation of GELU.
#[inline(always)]
fn gelu_inner<T: Float>(x: T) -> T {
    constant::<T>(GELU_BETA) * (x + constant::<T>(GELU_KAPPA) * (x * x * x))
}

/// √(2/π).
const GELU_BETA: f64 = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
const GELU_KAPPA: f64 = 0.044715;

/// `log(1 + exp(x))` without overflow.
#[inline(always)]
fn softplus<T: Float>(x: T) -> T {
    choose(x > T::ZERO, x, T::ZERO) + (-x.abs()).exp().log1p()
}

unary_table! {
    /// `-x`.
    Neg => |x| -x;
    /// `|x|`.
    Abs => |x| x.abs();
    /// -1, 0 or 1; 0 for NaN.
    Sign => |x| sign(x);
    /// `x²`.
    Square => |x| x * x;
    /// `x³`.
    Cube => |x| x * x * x;
    /// `√x`.
    Sqrt => |x| x.sqrt();
    /// `1/√x`.
    Rsqrt => |x| T::ONE / x.sqrt();
    /// `1/x`.
    Reciprocal => |x| T::ONE / x;
    /// `1/x²`.
    ReciprocalSquare => |x| T::ONE / (x * x);
    /// `eˣ`.
    Exp => |x| x.exp();
    /// `2ˣ`.
    Exp2 => |x| x.exp2();
    /// `eˣ - 1`.
    Expm1 => |x| x.expm1();
    /// The natural logarithm.
    Log => |x| x.log();
    /// The logarithm to base 2.
    Log2 => |x| x.log2();
    /// The logarithm to base 10.
    Log10 => |x| x.log10();
    /// `log(1 + x)`.
    Log1p => |x| x.log1p();
    /// Sine.
    Sin => |x| x.sin();
    /// Cosine.
    Cos => |x| x.cos();
    /// Tangent.
    Tan => |x| x.tan();
    /// Inverse sine.
    Asin => |x| x.asin();
    /// Inverse cosine.
    Acos => |x| x.acos();
    /// Inverse tangent.
    Atan => |x| x.atan();
    /// Hyperbolic sine.
    Sinh => |x| x.sinh();
    /// Hyperbolic cosine.
    Cosh => |x| x.cosh();
    /// Hyperbolic tangent.
    Tanh => |x| x.tanh();
    /// Inverse hyperbolic sine.
    Asinh => |x| x.asinh();
    /// Inverse hyperbolic cosine.
    Acosh => |x| x.acosh();
    /// Inverse hyperbolic tangent.
    Atanh => |x| x.atanh();
    /// The error function.
    Erf => |x| x.erf();
    /// The complementary error function, `1 - erf(x)`.
    Erfc => |x| x.erfc();
    /// `1/(1 + e⁻ˣ)`.
    Sigmoid => |x| x.sigmoid();
    /// `log(sigmoid(x))`.
    LogSigmoid => |x| choose(x < T::ZERO, x, T::ZERO) - (-x.abs()).exp().log1p();
    /// `max(x, 0)`.
    Relu => |x| choose(x < T::ZERO, T::ZERO, x);
    /// `x` if positive, else `slope·x`.
    LeakyRelu(slope: f64) => |x| choose(x > T::ZERO, x, x * slope);
    /// `scale·x` if positive, else `scale·alpha·(exp(input_scale·x) - 1)`: ELU, and CELU and SELU as cases of it.
    Elu { alpha: f64, scale: f64, input_scale: f64 } => |x|
        choose(x > T::ZERO, x * scale, (x * input_scale).expm1() * (alpha * scale));
    /// `x·Φ(x)` with the normal distribution function Φ.
    Gelu => |x| x * x.normal_cdf();
    /// GELU's approximation `x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`.
    GeluTanh => |x| constant::<T>(0.5) * x * (T::ONE + gelu_inner(x).tanh());
    /// `x·sigmoid(x)`.
    Silu => |x| x / (T::ONE + (-x).exp());
    /// `x·tanh(softplus(x))`.
    Mish => |x| x * softplus(x).tanh();
    /// `log(1 + exp(beta·x))/beta`; `x` where `beta·x > threshold`.
    Softplus { beta: f64, threshold: f64 } => |x|
        choose(x * beta > threshold, x, (x * beta).exp().log1p() / beta);
    /// `x` between `min` and `max`.
    Hardtanh(min: f64, max: f64) => |x| clamp(x, min, max);
    /// `min(max(x + 3, 0), 6)/6`.
    Hardsigmoid => |x| clamp(x + constant(3.0), T::ZERO, constant(6.0)) / constant(6.0);
    /// `x·min(max(x + 3, 0), 6)/6`.
    Hardswish => |x| x * clamp(x + constant(3.0), T::ZERO, constant(6.0)) / constant(6.0);
    /// 0 where `|x| ≤ lambda`, else `x`.
    Hardshrink(lambda: f64) => |x| choose(x >= -lambda && x <= lambda, T::ZERO, x);
    /// `x` moved towards 0 by `lambda`, 0 where it would cross it.
    Softshrink(lambda: f64) => |x|
        choose(x > lambda, x - lambda, choose(x < -lambda, x + lambda, x * T::ZERO));
    /// `value` where `x ≤ threshold`, else `x`.
    Threshold(threshold: f64, value: f64) => |x| choose(x <= threshold, value, x);
    /// `x/(1 + |x|)`.
    Softsign => |x| x / (T::ONE + x.abs());
    /// `x - tanh(x)`.
    Tanhshrink => |x| x - x.tanh();
    /// The greatest whole number that is not above `x`.
    Floor => |x| x.floor();
    /// The least whole number that is not below `x`.
    Ceil => |x| x.ceil();
    /// The nearest whole number, ties to even.
    Round => |x| x.round_ties_even();
    /// Rounded to a number of decimals, which may be negative; ties to even.
    RoundDecimals(decimals: i32) => |x| {
        let unit = ten_to(decimals);
        choose(
            decimals < T::ZERO,
            (x / unit).round_ties_even() * unit,
            (x * unit).round_ties_even() / unit,
        )
    };
    /// The whole part.
    Trunc => |x| x.trunc();
    /// The part behind the point, with the sign of `x`.
    Frac => |x| x - x.trunc();
    /// `min(max(x, min), max)`; infinite bounds don't bound.
    Clamp(min: f64, max: f64) => |x| clamp(x, min, max);
    /// `x^exponent`.
    PowScalar(exponent: f64) => |x| x.pow(exponent);
    /// `base^x`.
    RpowScalar(base: f64) => |x| base.pow(x);
    /// `x + value`.
    AddScalar(value: f64) => |x| x + value;
    /// `value - x`.
    RsubScalar(value: f64) => |x| value - x;
    /// `x·value`.
    MulScalar(value: f64) => |x| x * value;
    /// `x/value`.
    DivScalar(value: f64) => |x| x / value;
    /// `value/x`.
    RdivScalar(value: f64) => |x| value / x;
}

/// `10^|decimals|`.
#[inline(always)]
fn ten_to<T: Float>(decimals: T) -> T {
    T::from_f64(10f64.powi(decimals.abs().to_f64() as i32))
}

impl Unary {
    /// The same function in a cheaper form, where there is one: the powers that PyTorch singles out.
    fn simplified(self) -> Unary {
        match self {
            Unary::PowScalar(2.0) => Unary::Square,
            Unary::PowScalar(3.0) => Unary::Cube,
            Unary::PowScalar(0.5) => Unary::Sqrt,
            Unary::PowScalar(-0.5) => Unary::Rsqrt,
            Unary::PowScalar(-1.0) => Unary::Reciprocal,
            Unary::PowScalar(-2.0) => Unary::ReciprocalSquare,
            Unary::PowScalar(1.0) => Unary::MulScalar(1.0),
            op => op,
        }
    }
}

/// What a function's backward reads besides the incoming gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// The function's input.
    Input,
    /// The function's output.
    Output,
}

/// Declares [`Unary::backward_needs`] and the dispatch to one vectorised backward loop per variant.
macro_rules! backward_table {
    ($(
        $name:ident $( ( $($p:ident),* ) )? $( { $($q:ident),* } )?, $needs:ident => |$v:ident, $g:ident| $body:expr;
    )*) => {
        impl Unary {
            /// What [`unary_backward`] reads for this function: the other slice may be empty.
            pub fn backward_needs(self) -> Needs {
                match self { $(
                    Unary::$name { .. } => Needs::$needs,
                )* }
            }
        }

        /// `value` is what `backward_needs` names (anything of the right length if nothing is needed).
        fn backward_block<T: Float>(op: Unary, value: &[T], grad: &[T], out: &mut [T]) {
            match op { $(
                Unary::$name $( ( $($p),* ) )? $( { $($q),* } )? => {
                    simd! {
                        fn map[T: Float](saved: &[T], grad: &[T], out: &mut [T] $( $(, $p: T)* )? $( $(, $q: T)* )?) {
                            for ((o, &$v), &$g) in out.iter_mut().zip(saved).zip(grad) {
                                *o = $body;
                            }
                        }
                    }
                    map(value, grad, out $( $(, T::from_f64($p as f64))* )? $( $(, T::from_f64($q as f64))* )?)
                }
            )* }
        }
    };
}

backward_table! {
    Neg, Nothing => |_x, g| -g;
    Abs, Input => |x, g| g * sign(x);
    Sign, Nothing => |_x, _g| T::ZERO;
    Square, Input => |x, g| g * (x + x);
    Cube, Input => |x, g| g * (constant::<T>(3.0) * (x * x));
    Sqrt, Output => |y, g| g / (y + y);
    Rsqrt, Output => |y, g| constant::<T>(-0.5) * g * (y * y * y);
    Reciprocal, Output => |y, g| -g * (y * y);
    ReciprocalSquare, Input => |x, g| constant::<T>(-2.0) * g / (x * x * x);
    Exp, Output => |y, g| g * y;
    Exp2, Output => |y, g| g * y * constant(std::f64::consts::LN_2);
    Expm1, Output => |y, g| g * (y + T::ONE);
    Log, Input => |x, g| g / x;
    Log2, Input => |x, g| g / (x * constant(std::f64::consts::LN_2));
    Log10, Input => |x, g| g / (x * constant(std::f64::consts::LN_10));
    Log1p, Input => |x, g| g / (x + T::ONE);
    Sin, Input => |x, g| g * x.cos();
    Cos, Input => |x, g| -g * x.sin();
    Tan, Output => |y, g| g * (T::ONE + y * y);
    Asin, Input => |x, g| g / (T::ONE - x * x).sqrt();
    Acos, Input => |x, g| -g / (T::ONE - x * x).sqrt();
    Atan, Input => |x, g| g / (x * x + T::ONE);
    Sinh, Input => |x, g| g * x.cosh();
    Cosh, Input => |x, g| g * x.sinh();
    Tanh, Output => |y, g| g * (T::ONE - y * y);
    Asinh, Input => |x, g| g / (x * x + T::ONE).sqrt();
    Acosh, Input => |x, g| g / (x * x - T::ONE).sqrt();
    Atanh, Input => |x, g| g / (T::ONE - x * x);
    Erf, Input => |x, g| g * (constant::<T>(std::f64::consts::FRAC_2_SQRT_PI) * (-(x * x)).exp());
    Erfc, Input => |x, g| -g * (constant::<T>(std::f64::consts::FRAC_2_SQRT_PI) * (-(x * x)).exp());
    Sigmoid, Output => |y, g| g * ((T::ONE - y) * y);
    LogSigmoid, Input => |x, g| g / (T::ONE + x.exp());
    Relu, Output => |y, g| choose(y <= T::ZERO, T::ZERO, g);
    LeakyRelu(slope), Input => |x, g| choose(x > T::ZERO, g, g * slope);
    Elu { alpha, scale, input_scale }, Input => |x, g|
        choose(x > T::ZERO, g * scale, g * (input_scale * (alpha * scale)) * (x * input_scale).exp());
    Gelu, Input => |x, g| {
        let density = constant::<T>(0.5 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2)
            * (x * x * constant(-0.5)).exp();
        g * (x.normal_cdf() + x * density)
    };
    GeluTanh, Input => |x, g| {
        let (half, tanh) = (constant::<T>(0.5), gelu_inner(x).tanh());
        let slope = constant::<T>(GELU_BETA) * (T::ONE + constant::<T>(3.0 * GELU_KAPPA) * (x * x));
        g * (half * (T::ONE + tanh) + half * x * ((T::ONE - tanh * tanh) * slope))
    };
    Silu, Input => |x, g| {
        let sigmoid = x.sigmoid();
        g * (sigmoid * (T::ONE + x * (T::ONE - sigmoid)))
    };
    Mish, Input => |x, g| {
        let tanh = softplus(x).tanh();
        g * (tanh + x * x.sigmoid() * (T::ONE - tanh * tanh))
    };
    Softplus { beta, threshold }, Input => |x, g| choose(x * beta > threshold, g, g * (x * beta).sigmoid());
    Hardtanh(min, max), Input => |x, g| choose(x <= min || x >= max, T::ZERO, g);
    Hardsigmoid, Input => |x, g|
        choose(x > constant(-3.0) && x < constant(3.0), g * constant(1.0 / 6.0), T::ZERO);
    Hardswish, Input => |x, g| choose(
        x <= constant(-3.0),
        T::ZERO,
        choose(x < constant(3.0), g * (x / constant(3.0) + constant(0.5)), g),
    );
    Hardshrink(lambda), Input => |x, g| choose(x >= -lambda && x <= lambda, T::ZERO, g);
    Softshrink(lambda), Input => |x, g| choose(x >= -lambda && x <= lambda, T::ZERO, g);
    Threshold(threshold, _value), Input => |x, g| choose(x <= threshold, T::ZERO, g);
    Softsign, Input => |x, g| {
        let d = T::ONE + x.abs();
        g / (d * d)
    };
    Tanhshrink, Input => |x, g| {
        let tanh = x.tanh();
        g * (tanh * tanh)
    };
    Floor, Nothing => |_x, _g| T::ZERO;
    Ceil, Nothing => |_x, _g| T::ZERO;
    Round, Nothing => |_x, _g| T::ZERO;
    RoundDecimals(_decimals), Nothing => |_x, _g| T::ZERO;
    Trunc, Nothing => |_x, _g| T::ZERO;
    Frac, Nothing => |_x, g| g;
    Clamp(min, max), Input => |x, g| choose(x > min && x < max, g, T::ZERO);
    PowScalar(exponent), Input => |x, g|
        choose(exponent == T::ZERO, T::ZERO, g * (exponent * x.pow(exponent - T::ONE)));
    RpowScalar(base), Input => |x, g| choose(
        base == T::ZERO && x >= T::ZERO,
        T::ZERO,
        g * (base.pow(x) * base.log()),
    );
    AddScalar(_value), Nothing => |_x, g| g;
    RsubScalar(_value), Nothing => |_x, g| -g;
    MulScalar(value), Nothing => |_x, g| g * value;
    DivScalar(value), Nothing => |_x, g| g / value;
    RdivScalar(value), Input => |x, g| -g * (value / (x * x));
}

instantiate! {
    trait FloatKernels for f32, f64 where Float;

    /// `out = op(x)`.
    pub fn unary(op: Unary, x: &[T], out: &mut [T]) {
        assert_eq!(x.len(), out.len(), "unary: the lengths differ");
        let op = op.simplified();
        split(out, |at, out| apply(op, &x[at..at + out.len()], out))
    }

    /// `x = op(x)`.
    pub fn unary_in_place(op: Unary, x: &mut [T]) {
        let op = op.simplified();
        map_in_place(x, |x, out| apply(op, x, out))
    }

    /// `out = grad·op′`, the gradient with respect to the input of `y = op(x)`. Only what [`Unary::backward_needs`]
    /// names is read of `x` and `y`; the other may be empty.
    pub fn unary_backward(op: Unary, x: &[T], y: &[T], grad: &[T], out: &mut [T]) {
        assert_eq!(grad.len(), out.len(), "unary_backward: the lengths differ");
        let value = match op.backward_needs() {
            Needs::Nothing => grad,
            Needs::Input => x,
            Needs::Output => y,
        };
        assert_eq!(value.len(), out.len(), "unary_backward: the saved value's length differs");
        split(out, |at, out| {
            let range = at..at + out.len();
            apply_backward(op, &value[range.clone()], &grad[range], out)
        })
    }

    /// [`unary_backward`] in the gradient's place; `value` is what [`Unary::backward_needs`] names.
    pub fn unary_backward_in_place(op: Unary, value: &[T], grad: &mut [T]) {
        assert_eq!(value.len(), grad.len(), "unary_backward_in_place: the saved value's length differs");
        split(grad, |at, out| {
            let mut scratch = [T::default(); BLOCK];
            for (i, out) in out.chunks_mut(BLOCK).enumerate() {
                let grad = &mut scratch[..out.len()];
                grad.copy_from_slice(out);
                apply_backward(op, &value[at + i * BLOCK..][..out.len()], grad, out);
            }
        })
    }

    /// `out = 1` where the test holds, else 0.
    pub fn test(what: Test, x: &[T], out: &mut [u8]) {
        assert_eq!(x.len(), out.len(), "test: the lengths differ");
        split(out, |at, out| test_block(what, &x[at..at + out.len()], out))
    }
}

/// A question to answer for each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// Is it NaN?
    Nan,
    /// Is it positive or negative infinity?
    Infinite,
    /// Is it neither infinite nor NaN?
    Finite,
    /// Is it positive infinity?
    PositiveInfinite,
    /// Is it negative infinity?
    NegativeInfinite,
    /// Is the sign bit set (that of -0 and of some NaNs is)?
    SignBit,
}

fn test_block<T: Float>(what: Test, x: &[T], out: &mut [u8]) {
    macro_rules! arm {
        (|$x:ident| $body:expr) => {{
            simd! {
                fn map[T: Float](x: &[T], out: &mut [u8]) {
                    for (o, &$x) in out.iter_mut().zip(x) {
                        *o = $body as u8;
                    }
                }
            }
            map(x, out)
        }};
    }
    match what {
        Test::Nan => arm!(|x| x.is_not_a_number()),
        Test::Infinite => arm!(|x| x.abs() == T::GREATEST),
        Test::Finite => arm!(|x| x.abs() < T::GREATEST),
        Test::PositiveInfinite => arm!(|x| x == T::GREATEST),
        Test::NegativeInfinite => arm!(|x| x == T::LEAST),
        Test::SignBit => arm!(|x| x.is_sign_negative()),
    }
}

/// An element-wise function of one integer. Arithmetic wraps; parameters are cut to the element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryInt {
    /// `-x`.
    Neg,
    /// `|x|`; the least signed value stays what it is.
    Abs,
    /// -1, 0 or 1.
    Sign,
    /// `x²`.
    Square,
    /// All bits inverted.
    Not,
    /// 1 where `x` is 0, else 0.
    LogicalNot,
    /// `x + value`.
    AddScalar(i64),
    /// `value - x`.
    RsubScalar(i64),
    /// `x·value`.
    MulScalar(i64),
    /// `min(max(x, min), max)`, compared as `i64`.
    Clamp(i64, i64),
}

/// Elements that are widened at a time.
const WIDE: usize = 512;

fn int_block<T: Int>(op: UnaryInt, x: &[T], out: &mut [T]) {
    macro_rules! arm {
        (|$x:ident $(, $p:ident)*| $body:expr) => {{
            simd! {
                fn map[T: Int](x: &[T], out: &mut [T] $(, $p: i64)*) {
                    for (o, &$x) in out.iter_mut().zip(x) {
                        *o = $body;
                    }
                }
            }
            map(x, out $(, $p)*)
        }};
    }
    match op {
        UnaryInt::Neg => arm!(|x| T::ZERO.minus(x)),
        UnaryInt::Abs => arm!(|x| choose(x < T::ZERO, T::ZERO.minus(x), x)),
        UnaryInt::Sign => arm!(|x| T::from_i64((x > T::ZERO) as i64 - (x < T::ZERO) as i64)),
        UnaryInt::Square => arm!(|x| x.times(x)),
        UnaryInt::Not => arm!(|x| T::from_i64(!x.to_i64())),
        UnaryInt::LogicalNot => arm!(|x| choose(x == T::ZERO, T::ONE, T::ZERO)),
        UnaryInt::AddScalar(value) => arm!(|x, value| x.plus(T::from_i64(value))),
        UnaryInt::RsubScalar(value) => arm!(|x, value| T::from_i64(value).minus(x)),
        UnaryInt::MulScalar(value) => arm!(|x, value| x.times(T::from_i64(value))),
        UnaryInt::Clamp(min, max) => arm!(|x, min, max| T::from_i64(x.to_i64().max(min).min(max))),
    }
}

instantiate! {
    trait IntKernels for i64, i32, i16, i8, u8, u32 where Int;

    /// `out = op(x)` for integers.
    pub fn unary_int(op: UnaryInt, x: &[T], out: &mut [T]) {
        assert_eq!(x.len(), out.len(), "unary_int: the lengths differ");
        split(out, |at, out| {
            // In `i64` for every type: narrower arithmetic that wraps is the same with fewer bits kept.
            let (mut wide, mut result) = ([0i64; WIDE], [0i64; WIDE]);
            for (x, out) in x[at..at + out.len()].chunks(WIDE).zip(out.chunks_mut(WIDE)) {
                let n = out.len();
                cast(x, &mut wide[..n]);
                int_block(op, &wide[..n], &mut result[..n]);
                cast(&result[..n], out);
            }
        })
    }
}

#[cfg(test)]
mod tests;
