//! Element-wise functions: arithmetic, comparisons, bits, rounding, choices, casts, complex parts.

use flambeau_tensor::ops::{binary, bitwise, compare, complex as parts};
use flambeau_tensor::{DType, Operand, Result, Scalar, Tensor, bail, result_type};

use crate::args::{Arg, Args, Either};
use crate::registry::{Entry, Output, complex, out};

/// Entries of functions that take one tensor and nothing else.
macro_rules! of_one {
    ($($name:literal => $method:ident;)*) => {
        &[$(($name, |a| out(a.tensor(0, "input")?.$method()?)),)*]
    };
}
pub(super) use of_one;

/// Entries of functions of two operands, each a tensor or a number.
macro_rules! of_two {
    ($($name:literal => $function:path;)*) => {
        &[$(($name, |a| {
            let (x, y) = (a.operand(0, "input")?, a.operand(1, "other")?);
            out($function(x.operand(), y.operand())?)
        }),)*]
    };
}

/// Functions of one tensor.
pub(super) const UNARY: &[Entry] = of_one! {
    "abs" => abs;
    "absolute" => abs;
    "acos" => acos;
    "acosh" => acosh;
    "arccos" => acos;
    "arccosh" => acosh;
    "arcsin" => asin;
    "arcsinh" => asinh;
    "arctan" => atan;
    "arctanh" => atanh;
    "asin" => asin;
    "asinh" => asinh;
    "atan" => atan;
    "atanh" => atanh;
    "bitwise_not" => bitwise_not;
    "ceil" => ceil;
    "cos" => cos;
    "cosh" => cosh;
    "deg2rad" => deg2rad;
    "erf" => erf;
    "erfc" => erfc;
    "exp" => exp;
    "exp2" => exp2;
    "expm1" => expm1;
    "fix" => trunc;
    "floor" => floor;
    "frac" => frac;
    "isfinite" => isfinite;
    "isinf" => isinf;
    "isnan" => isnan;
    "isneginf" => isneginf;
    "isposinf" => isposinf;
    "log" => log;
    "log10" => log10;
    "log1p" => log1p;
    "log2" => log2;
    "logical_not" => logical_not;
    "neg" => neg;
    "negative" => neg;
    "positive" => positive;
    "rad2deg" => rad2deg;
    "reciprocal" => reciprocal;
    "rsqrt" => rsqrt;
    "sgn" => sgn;
    "sigmoid" => sigmoid;
    "sign" => sign;
    "signbit" => signbit;
    "sin" => sin;
    "sinh" => sinh;
    "special.exp2" => exp2;
    "special.expit" => sigmoid;
    "special.expm1" => expm1;
    "special.log1p" => log1p;
    "sqrt" => sqrt;
    "square" => square;
    "tan" => tan;
    "tanh" => tanh;
    "trunc" => trunc;
};

/// Functions of two operands.
pub(super) const BINARY: &[Entry] = of_two! {
    "arctan2" => binary::atan2;
    "atan2" => binary::atan2;
    "bitwise_and" => bitwise::bitwise_and;
    "bitwise_left_shift" => bitwise::bitwise_left_shift;
    "bitwise_or" => bitwise::bitwise_or;
    "bitwise_right_shift" => bitwise::bitwise_right_shift;
    "bitwise_xor" => bitwise::bitwise_xor;
    "copysign" => binary::copysign;
    "eq" => compare::eq;
    "floor_divide" => binary::floor_divide;
    "fmax" => binary::fmax;
    "fmin" => binary::fmin;
    "fmod" => binary::fmod;
    "gcd" => bitwise::gcd;
    "ge" => compare::ge;
    "greater" => compare::gt;
    "greater_equal" => compare::ge;
    "gt" => compare::gt;
    "hypot" => binary::hypot;
    "lcm" => bitwise::lcm;
    "le" => compare::le;
    "less" => compare::lt;
    "less_equal" => compare::le;
    "logaddexp" => binary::logaddexp;
    "logaddexp2" => binary::logaddexp2;
    "logical_and" => compare::logical_and;
    "logical_or" => compare::logical_or;
    "logical_xor" => compare::logical_xor;
    "lt" => compare::lt;
    "maximum" => binary::maximum;
    "minimum" => binary::minimum;
    "mul" => binary::mul;
    "multiply" => binary::mul;
    "ne" => compare::ne;
    "nextafter" => binary::nextafter;
    "not_equal" => compare::ne;
    "remainder" => binary::remainder;
    "special.xlog1py" => binary::xlog1py;
    "special.xlogy" => binary::xlogy;
    "true_divide" => binary::div;
    "xlogy" => binary::xlogy;
};

/// Python's reflected operators: `x.__radd__(y)` is `y + x`.
macro_rules! reflected {
    ($($name:literal => $function:path;)*) => {
        &[$(($name, |a| {
            let (x, y) = (a.operand(0, "self")?, a.operand(1, "other")?);
            out($function(y.operand(), x.operand())?)
        }),)*]
    };
}

/// `y/x` as PyTorch computes it for a reflected operator.
fn reciprocal_times<'a>(y: impl Into<Operand<'a>>, x: impl Into<Operand<'a>>) -> Result<Tensor> {
    binary::mul(&binary::div(1.0, x)?, y)
}

/// Reflected operators.
pub(super) const REFLECTED: &[Entry] = reflected! {
    "__radd__" => binary::add;
    "__rand__" => bitwise::bitwise_and;
    "__rdiv__" => reciprocal_times;
    "__rfloordiv__" => binary::floor_divide;
    "__rlshift__" => bitwise::bitwise_left_shift;
    "__rmod__" => binary::remainder;
    "__rmul__" => binary::mul;
    "__ror__" => bitwise::bitwise_or;
    "__rpow__" => binary::pow;
    "__rrshift__" => bitwise::bitwise_right_shift;
    "__rsub__" => binary::sub;
    "__rtruediv__" => binary::div;
    "__rxor__" => bitwise::bitwise_xor;
};

/// A number as a 0-d tensor of the type of the result that it has with `other`.
fn number_beside(number: Scalar, other: &Either) -> Result<Tensor> {
    let dtype = match other {
        Either::Tensor(other) => result_type([other], &[number]),
        Either::Scalar(_) => number.default_dtype(),
    };
    Tensor::full((), number, dtype)
}

/// `lhs ± alpha·rhs`, where either side may be a number.
fn scaled_sum(a: &mut Args, names: [&str; 2], negative: bool) -> Result<Output> {
    let (x, y) = (a.operand(0, names[0])?, a.operand(1, names[1])?);
    let alpha = a.opt_scalar(2, "alpha")?.unwrap_or(1i64.into());
    let x = match x {
        Either::Tensor(x) => x,
        Either::Scalar(x) => number_beside(x, &y)?,
    };
    out(if negative {
        x.sub_scaled(y.operand(), alpha)?
    } else {
        x.add_scaled(y.operand(), alpha)?
    })
}

/// `div` with its rounding mode.
fn divide(a: &mut Args) -> Result<Output> {
    let (x, y) = (a.operand(0, "input")?, a.operand(1, "other")?);
    let rounding = match a.opt_str(2, "rounding_mode")?.as_deref() {
        None => return out(binary::div(x.operand(), y.operand())?),
        Some("floor") => binary::Rounding::Floor,
        Some("trunc") => binary::Rounding::Trunc,
        Some(other) => bail!(
            Value,
            "div: rounding_mode must be None, 'trunc' or 'floor', got '{other}'"
        ),
    };
    out(binary::div_rounded(x.operand(), y.operand(), rounding)?)
}

/// A bound of `clamp`: a tensor, a number or nothing.
fn bound(a: &mut Args, position: usize, name: &str) -> Result<Option<Either>> {
    match a.peek(position, name) {
        None => Ok(None),
        Some(Arg::None) => {
            a.take(position, name);
            Ok(None)
        }
        Some(_) => a.operand(position, name).map(Some),
    }
}

fn clamp(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let (min, max) = (bound(a, 1, "min")?, bound(a, 2, "max")?);
    out(x.clamp(
        min.as_ref().map(Either::operand),
        max.as_ref().map(Either::operand),
    )?)
}

/// `value` in `addcmul` and `addcdiv`.
fn value(a: &mut Args) -> Result<flambeau_tensor::Scalar> {
    Ok(a.opt_scalar(3, "value")?.unwrap_or(1i64.into()))
}

/// `to(dtype)`, `to(device, dtype)`, `to(other)`, with what PyTorch takes beside and means nothing here.
fn to(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "self")?;
    let mut dtype = a.opt_dtype(usize::MAX, "dtype")?;
    for name in ["device", "non_blocking", "copy", "memory_format"] {
        a.take(usize::MAX, name);
    }
    for argument in a.rest(1) {
        match argument {
            Arg::DType(name) => match DType::from_name(&name) {
                Some(named) => dtype = Some(named),
                None => bail!(Unsupported, "to: dtype {name}"),
            },
            Arg::Tensor(other) => dtype = Some(other.dtype()),
            Arg::Str(_) | Arg::Name(_) | Arg::Bool(_) | Arg::None => {}
            other => bail!(Value, "to: unexpected argument {other:?}"),
        }
    }
    out(match dtype {
        Some(dtype) => x.to_dtype(dtype)?,
        None => x,
    })
}

/// Casts by a method's name.
macro_rules! casts {
    ($($name:literal => $method:ident;)*) => {
        &[$(($name, |a| {
            let x = a.tensor(0, "self")?;
            a.take(1, "memory_format");
            out(x.$method()?)
        }),)*]
    };
}

/// Casts.
pub(super) const CASTS: &[Entry] = casts! {
    "bfloat16" => bfloat16;
    "bool" => bool;
    "byte" => byte;
    "char" => char;
    "double" => double;
    "float" => float;
    "half" => half;
    "int" => int;
    "long" => long;
    "short" => short;
};

/// A copy, or the tensor itself, of a real or a complex tensor.
fn same(a: &mut Args, copy: bool) -> Result<Output> {
    let (x, is_complex) = a.maybe_complex(0, "input")?;
    a.take(1, "memory_format");
    maybe_complex(if copy { x.copy()? } else { x }, is_complex)
}

fn maybe_complex(x: Tensor, is_complex: bool) -> Result<Output> {
    if is_complex { complex(x) } else { out(x) }
}

fn conj(a: &mut Args) -> Result<Output> {
    let (x, is_complex) = a.maybe_complex(0, "input")?;
    maybe_complex(if is_complex { x.conj()? } else { x }, is_complex)
}

fn isclose(a: &mut Args) -> Result<(Tensor, Tensor, f64, f64, bool)> {
    Ok((
        a.tensor(0, "input")?,
        a.tensor(1, "other")?,
        a.float(2, "rtol", 1e-5)?,
        a.float(3, "atol", 1e-8)?,
        a.bool(4, "equal_nan", false)?,
    ))
}

/// The only element as a Python number.
fn item(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "self")?;
    out(match x.dtype() {
        DType::Bool => Arg::Bool(x.item()?),
        dtype if dtype.is_float() => Arg::Float(x.item_f64()?),
        _ => Arg::Int(x.long()?.item()?),
    })
}

/// The rest.
pub(super) const TABLE: &[Entry] = &[
    ("add", |a| scaled_sum(a, ["input", "other"], false)),
    ("sub", |a| scaled_sum(a, ["input", "other"], true)),
    ("subtract", |a| scaled_sum(a, ["input", "other"], true)),
    ("rsub", |a| {
        let (x, y) = (a.operand(0, "input")?, a.operand(1, "other")?);
        let alpha = a.opt_scalar(2, "alpha")?.unwrap_or(1i64.into());
        let y = match y {
            Either::Tensor(y) => y,
            Either::Scalar(y) => number_beside(y, &x)?,
        };
        out(y.sub_scaled(x.operand(), alpha)?)
    }),
    ("div", divide),
    ("divide", divide),
    ("pow", |a| {
        let (x, y) = (a.operand(0, "input")?, a.operand(1, "exponent")?);
        out(binary::pow(x.operand(), y.operand())?)
    }),
    ("float_power", |a| {
        let (x, y) = (a.operand(0, "input")?, a.operand(1, "exponent")?);
        out(binary::float_power(x.operand(), y.operand())?)
    }),
    ("heaviside", |a| {
        out(a.tensor(0, "input")?.heaviside(&a.tensor(1, "values")?)?)
    }),
    ("ldexp", |a| {
        out(a.tensor(0, "input")?.ldexp(&a.tensor(1, "other")?)?)
    }),
    ("frexp", |a| out(a.tensor(0, "input")?.frexp()?)),
    ("round", |a| {
        let (x, decimals) = (a.tensor(0, "input")?, a.opt_int(1, "decimals")?);
        out(match decimals {
            Some(decimals) => x.round_decimals(decimals as i32)?,
            None => x.round()?,
        })
    }),
    ("nan_to_num", |a| {
        let x = a.tensor(0, "input")?;
        let (nan, posinf, neginf) = (
            a.opt_float(1, "nan")?,
            a.opt_float(2, "posinf")?,
            a.opt_float(3, "neginf")?,
        );
        out(x.nan_to_num(nan, posinf, neginf)?)
    }),
    ("clamp", clamp),
    ("clip", clamp),
    ("clamp_min", |a| {
        let (x, min) = (a.tensor(0, "input")?, a.operand(1, "min")?);
        out(x.clamp_min(min.operand())?)
    }),
    ("clamp_max", |a| {
        let (x, max) = (a.tensor(0, "input")?, a.operand(1, "max")?);
        out(x.clamp_max(max.operand())?)
    }),
    ("where", |a| {
        let condition = a.tensor(0, "condition")?;
        if a.peek(1, "input").is_none() {
            return out(condition.nonzero()?.unbind(1)?);
        }
        let (x, y) = (a.operand(1, "input")?, a.operand(2, "other")?);
        out(condition.where_cond(x.operand(), y.operand())?)
    }),
    ("lerp", |a| {
        let (x, end, weight) = (
            a.tensor(0, "input")?,
            a.tensor(1, "end")?,
            a.operand(2, "weight")?,
        );
        out(x.lerp(&end, weight.operand())?)
    }),
    ("addcmul", |a| {
        let (x, y, z) = (
            a.tensor(0, "input")?,
            a.tensor(1, "tensor1")?,
            a.tensor(2, "tensor2")?,
        );
        out(x.addcmul(&y, &z, value(a)?)?)
    }),
    ("addcdiv", |a| {
        let (x, y, z) = (
            a.tensor(0, "input")?,
            a.tensor(1, "tensor1")?,
            a.tensor(2, "tensor2")?,
        );
        out(x.addcdiv(&y, &z, value(a)?)?)
    }),
    ("isclose", |a| {
        let (x, y, rtol, atol, equal_nan) = isclose(a)?;
        out(x.isclose(&y, rtol, atol, equal_nan)?)
    }),
    ("allclose", |a| {
        let (x, y, rtol, atol, equal_nan) = isclose(a)?;
        out(Arg::Bool(x.allclose(&y, rtol, atol, equal_nan)?))
    }),
    ("equal", |a| {
        out(Arg::Bool(a.tensor(0, "input")?.equal(&a.tensor(1, "other")?)?))
    }),
    ("isin", |a| {
        let (x, set) = (a.operand(0, "elements")?, a.operand(1, "test_elements")?);
        a.bool(usize::MAX, "assume_unique", false)?;
        let invert = a.bool(usize::MAX, "invert", false)?;
        out(compare::isin(x.operand(), set.operand(), invert)?)
    }),
    ("isreal", |a| {
        let (x, is_complex) = a.maybe_complex(0, "input")?;
        out(if is_complex {
            x.imag()?.eq(0.0)?
        } else {
            x.isreal()?
        })
    }),
    ("angle", |a| {
        let (x, is_complex) = a.maybe_complex(0, "input")?;
        out(if is_complex {
            x.complex_angle()?
        } else {
            x.angle()?
        })
    }),
    ("real", |a| {
        let (x, is_complex) = a.maybe_complex(0, "input")?;
        out(if is_complex { x.real()? } else { x })
    }),
    ("imag", |a| match a.maybe_complex(0, "input")? {
        (x, true) => out(x.imag()?),
        (x, false) => bail!(
            Unsupported,
            "imag: a real tensor of {} has no imaginary part",
            x.dtype()
        ),
    }),
    ("conj", conj),
    ("conj_physical", conj),
    ("resolve_conj", |a| same(a, false)),
    ("resolve_neg", |a| same(a, false)),
    ("complex", |a| {
        complex(parts::complex(&a.tensor(0, "real")?, &a.tensor(1, "imag")?)?)
    }),
    ("polar", |a| {
        complex(parts::polar(&a.tensor(0, "abs")?, &a.tensor(1, "angle")?)?)
    }),
    ("view_as_real", |a| match a.maybe_complex(0, "input")? {
        (x, true) => out(x),
        (x, false) => bail!(
            DType,
            "view_as_real: expected a complex tensor, got {}",
            x.dtype()
        ),
    }),
    ("view_as_complex", |a| {
        let x = a.tensor(0, "input")?;
        if x.shape().last() != Some(&2) {
            bail!(
                Shape,
                "view_as_complex: the last dimension must be 2, got {:?}",
                x.shape()
            );
        }
        complex(x)
    }),
    ("cfloat", |a| {
        let x = a.tensor(0, "self")?;
        a.take(1, "memory_format");
        complex(parts::from_real(&x.float()?)?)
    }),
    ("cdouble", |a| {
        let x = a.tensor(0, "self")?;
        a.take(1, "memory_format");
        complex(parts::from_real(&x.double()?)?)
    }),
    ("to", to),
    ("type_as", |a| {
        out(a.tensor(0, "self")?.type_as(&a.tensor(1, "other")?)?)
    }),
    ("item", item),
    ("alias_copy", |a| same(a, true)),
    ("clone", |a| same(a, true)),
    ("contiguous", |a| same(a, false)),
    ("fill", |a| {
        let (x, value) = (a.tensor(0, "input")?, a.operand(1, "value")?);
        out(x.fill(value.operand())?)
    }),
    ("zero_", |a| {
        let x = a.tensor(0, "self")?.copy()?;
        x.zero_()?;
        out(x)
    }),
];
