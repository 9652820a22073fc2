//! Making tensors: constants, series, windows.

use flambeau_tensor::ops::windows;
use flambeau_tensor::{DType, Result, Scalar, Tensor, bail};

use super::shape::{all_unsigned, unsigned};
use crate::args::{Arg, Args, Either};
use crate::registry::{Entry, Output, complex, out};

/// A position that no argument has: keyword only.
const KEYWORD: usize = usize::MAX;

fn dtype(a: &mut Args, default: DType) -> Result<DType> {
    a.ignore_factory_keywords();
    a.take(KEYWORD, "memory_format");
    Ok(a.opt_dtype(KEYWORD, "dtype")?.unwrap_or(default))
}

fn sizes(a: &mut Args, position: usize) -> Result<Vec<usize>> {
    all_unsigned(a.varargs_ints(position, "size")?, a)
}

/// A size as a list at `position`, so that more may follow.
fn size(a: &mut Args, position: usize) -> Result<Vec<usize>> {
    all_unsigned(a.ints(position, "size")?, a)
}

/// A number, also given as a 0-d tensor.
fn number(a: &mut Args, position: usize, name: &str) -> Result<Scalar> {
    Ok(match a.operand(position, name)? {
        Either::Scalar(scalar) => scalar,
        Either::Tensor(t) if t.dtype().is_float() => Scalar::Float(t.item_f64()?),
        Either::Tensor(t) => Scalar::Int(t.to_dtype(DType::I64)?.item::<i64>()?),
    })
}

fn filled(a: &mut Args, make: fn(Vec<usize>, DType) -> Result<Tensor>) -> Result<Output> {
    let dtype = dtype(a, DType::DEFAULT)?;
    out(make(sizes(a, 0)?, dtype)?)
}

fn filled_like(a: &mut Args, value: i64) -> Result<Output> {
    if matches!(a.peek(0, "input"), Some(Arg::ComplexTensor(_))) && a.peek(KEYWORD, "dtype").is_none() {
        let (x, _) = a.maybe_complex(0, "input")?;
        dtype(a, DType::DEFAULT)?;
        return complex_full(&x, value as f64, 0.0);
    }
    let (x, is_complex) = a.maybe_complex(0, "input")?;
    let dtype = dtype(a, x.dtype())?;
    let shape = &x.shape()[..x.rank() - is_complex as usize];
    out(Tensor::full(shape, value, dtype)?)
}

fn complex_full(like: &Tensor, re: f64, im: f64) -> Result<Output> {
    let part = |value| like.select(-1, 0)?.full_like(value);
    complex(Tensor::stack(&[part(re)?, part(im)?], -1)?)
}

fn full_like(a: &mut Args) -> Result<Output> {
    let (x, is_complex) = a.maybe_complex(0, "input")?;
    if !is_complex {
        let dtype = dtype(a, x.dtype())?;
        return out(Tensor::full(x.shape(), a.scalar(1, "fill_value")?, dtype)?);
    }
    if a.peek(KEYWORD, "dtype").is_some() {
        bail!(Unsupported, "full_like: a complex tensor with another dtype")
    }
    dtype(a, DType::DEFAULT)?;
    match a.take(1, "fill_value") {
        Some(Arg::Complex(re, im)) => complex_full(&x, re, im),
        Some(Arg::Float(re)) => complex_full(&x, re, 0.0),
        Some(Arg::Int(re)) => complex_full(&x, re as f64, 0.0),
        Some(Arg::Bool(re)) => complex_full(&x, re as u8 as f64, 0.0),
        other => bail!(Value, "full_like: fill value {other:?}"),
    }
}

fn new_filled(a: &mut Args, value: i64) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let dtype = dtype(a, x.dtype())?;
    out(Tensor::full(sizes(a, 1)?, value, dtype)?)
}

fn arange(a: &mut Args) -> Result<Output> {
    a.ignore_factory_keywords();
    let dtype = a.opt_dtype(KEYWORD, "dtype")?;
    let only_end = a.positional_len() < 2 && a.peek(KEYWORD, "end").is_none();
    let (start, end) = if only_end {
        (
            a.opt_scalar(KEYWORD, "start")?.unwrap_or(Scalar::Int(0)),
            number(a, 0, "end")?,
        )
    } else {
        (number(a, 0, "start")?, number(a, 1, "end")?)
    };
    let step = a.opt_scalar(2, "step")?.unwrap_or(Scalar::Int(1));
    out(Tensor::arange(start, end, step, dtype)?)
}

fn linspace(a: &mut Args) -> Result<Output> {
    let dtype = dtype(a, DType::DEFAULT)?;
    let (start, end) = (number(a, 0, "start")?, number(a, 1, "end")?);
    let steps = unsigned(a.required_int(2, "steps")?, a)?;
    out(Tensor::linspace(start, end, steps, dtype)?)
}

fn logspace(a: &mut Args) -> Result<Output> {
    let dtype = dtype(a, DType::DEFAULT)?;
    let (start, end) = (number(a, 0, "start")?, number(a, 1, "end")?);
    let steps = unsigned(a.required_int(2, "steps")?, a)?;
    let base = a.float(3, "base", 10.0)?;
    out(Tensor::logspace(start, end, steps, base, dtype)?)
}

fn eye(a: &mut Args) -> Result<Output> {
    let dtype = dtype(a, DType::DEFAULT)?;
    let n = unsigned(a.required_int(0, "n")?, a)?;
    let m = a.opt_int(1, "m")?.map(|i| unsigned(i, a)).transpose()?;
    out(Tensor::eye(n, m.unwrap_or(n), dtype)?)
}

/// A window of `signal.windows`: length, then keywords.
fn window(
    a: &mut Args,
    make: impl FnOnce(&mut Args, usize, bool, DType) -> Result<Tensor>,
) -> Result<Output> {
    let dtype = dtype(a, DType::DEFAULT)?;
    let len = unsigned(a.required_int(0, "M")?, a)?;
    let sym = a.bool(KEYWORD, "sym", true)?;
    out(make(a, len, sym, dtype)?)
}

/// A window of the older functions: length, then whether it is periodic.
fn old_window(
    a: &mut Args,
    make: impl FnOnce(&mut Args, usize, bool, DType) -> Result<Tensor>,
) -> Result<Output> {
    let dtype = dtype(a, DType::DEFAULT)?;
    let len = unsigned(a.required_int(0, "window_length")?, a)?;
    let periodic = a.bool(1, "periodic", true)?;
    out(make(a, len, !periodic, dtype)?)
}

pub(super) const TABLE: &[Entry] = &[
    ("zeros", |a| filled(a, Tensor::zeros)),
    ("ones", |a| filled(a, Tensor::ones)),
    ("full", |a| {
        let size = size(a, 0)?;
        let value = a.scalar(1, "fill_value")?;
        let dtype = dtype(a, value.default_dtype())?;
        out(Tensor::full(size, value, dtype)?)
    }),
    ("zeros_like", |a| filled_like(a, 0)),
    ("ones_like", |a| filled_like(a, 1)),
    ("full_like", full_like),
    ("new_zeros", |a| new_filled(a, 0)),
    ("new_ones", |a| new_filled(a, 1)),
    ("new_full", |a| {
        let x = a.tensor(0, "input")?;
        let (size, value) = (size(a, 1)?, a.scalar(2, "fill_value")?);
        let dtype = dtype(a, x.dtype())?;
        out(Tensor::full(size, value, dtype)?)
    }),
    ("scalar_tensor", |a| {
        let value = a.scalar(0, "s")?;
        let dtype = dtype(a, DType::DEFAULT)?;
        out(Tensor::scalar_tensor(value, dtype))
    }),
    ("arange", arange),
    ("linspace", linspace),
    ("logspace", logspace),
    ("eye", eye),
    ("nn.functional.one_hot", |a| {
        let x = a.tensor(0, "tensor")?;
        let classes = a.int(1, "num_classes", -1)?;
        out(x.one_hot(usize::try_from(classes).ok())?)
    }),
    ("signal.windows.bartlett", |a| {
        window(a, |_, n, sym, dtype| windows::bartlett(n, sym, dtype))
    }),
    ("signal.windows.blackman", |a| {
        window(a, |_, n, sym, dtype| windows::blackman(n, sym, dtype))
    }),
    ("signal.windows.cosine", |a| {
        window(a, |_, n, sym, dtype| windows::cosine(n, sym, dtype))
    }),
    ("signal.windows.exponential", |a| {
        window(a, |a, n, sym, dtype| {
            let center = a.opt_float(KEYWORD, "center")?;
            windows::exponential(n, center, a.float(KEYWORD, "tau", 1.0)?, sym, dtype)
        })
    }),
    ("signal.windows.gaussian", |a| {
        window(a, |a, n, sym, dtype| {
            windows::gaussian(n, a.float(KEYWORD, "std", 1.0)?, sym, dtype)
        })
    }),
    ("signal.windows.general_cosine", |a| {
        window(a, |a, n, sym, dtype| {
            let terms = a.opt_floats(KEYWORD, "a")?.unwrap_or_default();
            windows::general_cosine(n, &terms, sym, dtype)
        })
    }),
    ("signal.windows.general_hamming", |a| {
        window(a, |a, n, sym, dtype| {
            windows::general_hamming(n, a.float(KEYWORD, "alpha", 0.54)?, sym, dtype)
        })
    }),
    ("signal.windows.hamming", |a| {
        window(a, |_, n, sym, dtype| windows::hamming(n, sym, dtype))
    }),
    ("signal.windows.hann", |a| {
        window(a, |_, n, sym, dtype| windows::hann(n, sym, dtype))
    }),
    ("signal.windows.kaiser", |a| {
        window(a, |a, n, sym, dtype| {
            windows::kaiser(n, a.float(KEYWORD, "beta", 12.0)?, sym, dtype)
        })
    }),
    ("signal.windows.nuttall", |a| {
        window(a, |_, n, sym, dtype| windows::nuttall(n, sym, dtype))
    }),
    ("bartlett_window", |a| {
        old_window(a, |_, n, sym, dtype| windows::bartlett(n, sym, dtype))
    }),
    ("blackman_window", |a| {
        old_window(a, |_, n, sym, dtype| windows::blackman(n, sym, dtype))
    }),
    ("hamming_window", |a| {
        old_window(a, |a, n, sym, dtype| {
            let (alpha, beta) = (a.float(2, "alpha", 0.54)?, a.float(3, "beta", 0.46)?);
            windows::general_cosine(n, &[alpha, beta], sym, dtype)
        })
    }),
    ("hann_window", |a| {
        old_window(a, |_, n, sym, dtype| windows::hann(n, sym, dtype))
    }),
    ("kaiser_window", |a| {
        old_window(a, |a, n, sym, dtype| {
            windows::kaiser(n, a.float(2, "beta", 12.0)?, sym, dtype)
        })
    }),
];
