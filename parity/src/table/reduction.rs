//! Sums, products, extremes, moments, norms, running reductions, softmax.

use flambeau_tensor::ops::linalg::norms::MatrixNorm;
use flambeau_tensor::{DType, Result, Tensor, bail};

use crate::args::{Arg, Args};
use crate::registry::{Entry, Output, out};

/// The dimensions at `position`; all of them where none are given.
pub(super) fn dims(a: &mut Args, position: usize, name: &str, x: &Tensor) -> Result<Vec<isize>> {
    let given = a.opt_dims(position, name)?;
    Ok(given
        .filter(|dims| !dims.is_empty())
        .unwrap_or_else(|| all_dims(x)))
}

/// Every dimension.
pub(super) fn all_dims(x: &Tensor) -> Vec<isize> {
    (0..x.rank() as isize).collect()
}

/// A dimension that may be absent.
pub(super) fn opt_dim(a: &mut Args, position: usize, name: &str) -> Result<Option<isize>> {
    Ok(a.opt_int(position, name)?.map(|dim| dim as isize))
}

/// The input cast to the type asked for at `position`.
pub(super) fn cast(a: &mut Args, position: usize, x: Tensor) -> Result<Tensor> {
    match a.opt_dtype(position, "dtype")? {
        Some(dtype) => x.to_dtype(dtype),
        None => Ok(x),
    }
}

/// `f` of the input in the type asked for at `position`, which is that of the result as well: sums of integers are
/// `int64` only where no type is asked for.
fn in_dtype(
    a: &mut Args,
    position: usize,
    x: Tensor,
    f: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<Output> {
    match a.opt_dtype(position, "dtype")? {
        Some(dtype) => out(f(&x.to_dtype(dtype)?)?.to_dtype(dtype)?),
        None => out(f(&x)?),
    }
}

/// `f(input, dims, keepdim)` for functions with `dim`, `keepdim` and `dtype`.
fn reduction(a: &mut Args, f: fn(&Tensor, Vec<isize>, bool) -> Result<Tensor>) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let dims = dims(a, 1, "dim", &x)?;
    let keepdim = a.bool(2, "keepdim", false)?;
    in_dtype(a, 3, x, |x| f(x, dims, keepdim))
}

/// [`reduction`] of tensors that may be complex, for linear functions: real and imaginary parts go their own ways.
fn linear_reduction(a: &mut Args, f: fn(&Tensor, Vec<isize>, bool) -> Result<Tensor>) -> Result<Output> {
    if !matches!(a.peek(0, "input"), Some(Arg::ComplexTensor(_))) {
        return reduction(a, f);
    }
    let (x, _) = a.maybe_complex(0, "input")?;
    let rank = x.rank() as isize - 1;
    if rank == 0 {
        // A single number, which both dimensions it can be asked to reduce, 0 and -1, leave as it is.
        a.opt_dims(1, "dim")?;
        a.bool(2, "keepdim", false)?;
        return crate::registry::complex(x);
    }
    let given = a.opt_dims(1, "dim")?.filter(|dims| !dims.is_empty());
    let dims = given.unwrap_or_else(|| (0..rank).collect());
    let dims = dims
        .into_iter()
        .map(|d| if d < 0 { d + rank } else { d })
        .collect();
    let keepdim = a.bool(2, "keepdim", false)?;
    crate::registry::complex(f(&x, dims, keepdim)?)
}

/// `f(input, dim)` for functions along one dimension with `dtype`.
fn along(a: &mut Args, f: fn(&Tensor, isize) -> Result<Tensor>) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let dim = a.required_int(1, "dim")? as isize;
    in_dtype(a, 2, x, |x| f(x, dim))
}

/// The dimension; without one, PyTorch's choice of old.
fn softmax_dim(a: &mut Args, x: &Tensor) -> Result<isize> {
    let implied = isize::from(!matches!(x.rank(), 0 | 1 | 3));
    Ok(opt_dim(a, 1, "dim")?.unwrap_or(implied))
}

/// Softmax and its kin under `nn.functional`, where `_stacklevel` stands before the type.
fn functional_softmax(a: &mut Args, f: fn(&Tensor, isize) -> Result<Tensor>) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let dim = softmax_dim(a, &x)?;
    a.int(2, "_stacklevel", 3)?;
    in_dtype(a, 3, x, |x| f(x, dim))
}

/// `max` and `min`: of all elements, along a dimension, or of two tensors.
fn extreme(
    a: &mut Args,
    all: fn(&Tensor) -> Result<Tensor>,
    along: fn(&Tensor, isize, bool) -> Result<(Tensor, Tensor)>,
    of_two: fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    if let Some(Arg::Tensor(_)) = a.peek(1, "other") {
        return out(of_two(&x, &a.tensor(1, "other")?)?);
    }
    match opt_dim(a, 1, "dim")? {
        Some(dim) => {
            let keepdim = a.bool(2, "keepdim", false)?;
            out(along(&x, dim, keepdim)?)
        }
        None => out(all(&x)?),
    }
}

fn arg_extreme(a: &mut Args, f: fn(&Tensor, Option<isize>, bool) -> Result<Tensor>) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let dim = opt_dim(a, 1, "dim")?;
    let keepdim = a.bool(2, "keepdim", false)?;
    out(f(&x, dim, keepdim)?)
}

/// The arguments of `var`, `std` and their kin: `(input, unbiased)`, `(input, dim, unbiased, keepdim)` or `(input, dim,
/// correction=, keepdim=)`.
fn moments(a: &mut Args) -> Result<(Tensor, Vec<isize>, f64, bool)> {
    let x = a.tensor(0, "input")?;
    let mut unbiased = None;
    if let Some(Arg::Bool(flag)) = a.peek(1, "dim") {
        unbiased = Some(*flag);
        a.take(1, "dim");
    }
    let dims = dims(a, 1, "dim", &x)?;
    if let Some(Arg::Bool(flag)) = a.take(2, "unbiased") {
        unbiased = Some(flag);
    }
    let keepdim = a.bool(3, "keepdim", false)?;
    let correction = a.opt_float(usize::MAX, "correction")?;
    let correction = correction.unwrap_or(if unbiased == Some(false) { 0.0 } else { 1.0 });
    Ok((x, dims, correction, keepdim))
}

fn norm(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let p = a.take(1, "p");
    let given = a.opt_dims(2, "dim")?;
    let keepdim = a.bool(3, "keepdim", false)?;
    let x = cast(a, 5, x)?;
    let all = given
        .clone()
        .filter(|d| !d.is_empty())
        .unwrap_or_else(|| all_dims(&x));
    let p = match p {
        None | Some(Arg::None) => 2.0,
        Some(Arg::Str(name)) if name == "fro" => 2.0,
        Some(Arg::Str(name)) if name == "nuc" => {
            let [rows, columns] = *given.as_deref().unwrap_or(&[0, 1]) else {
                bail!(
                    Value,
                    "norm: the nuclear norm needs two dimensions, got {given:?}"
                )
            };
            return out(x.matrix_norm_dims(MatrixNorm::Nuclear, (rows, columns), keepdim)?);
        }
        Some(Arg::Float(p)) => p,
        Some(Arg::Int(p)) => p as f64,
        Some(other) => bail!(Value, "norm: argument `p`: got {other:?}"),
    };
    out(x.vector_norm(p, all, keepdim)?)
}

fn any_all(
    a: &mut Args,
    whole: fn(&Tensor) -> Result<Tensor>,
    part: fn(&Tensor, Vec<isize>, bool) -> Result<Tensor>,
) -> Result<Output> {
    let (x, complex) = a.maybe_complex(0, "input")?;
    // A complex number is true if one of its parts is.
    let x = if complex { x.any_dim(-1, false)? } else { x };
    let given = a.opt_dims(1, "dim")?;
    let keepdim = a.bool(2, "keepdim", false)?;
    match given {
        // Unlike with other reductions, no dimensions are none, not all.
        Some(dims) if dims.is_empty() && x.dtype() == DType::U8 => out(x.bool()?.byte()?),
        Some(dims) if dims.is_empty() => out(x.bool()?),
        Some(dims) => out(part(&x, dims, keepdim)?),
        None if keepdim => out(part(&x, all_dims(&x), true)?),
        None => out(whole(&x)?),
    }
}

fn mean_of(x: &Tensor, dims: Vec<isize>, keepdim: bool) -> Result<Tensor> {
    x.mean_dim(dims, keepdim)
}

pub(super) const TABLE: &[Entry] = &[
    ("sum", |a| {
        linear_reduction(a, |x, dims, keep| x.sum_dim(dims, keep))
    }),
    ("mean", |a| linear_reduction(a, mean_of)),
    ("nansum", |a| reduction(a, |x, dims, keep| x.nansum(dims, keep))),
    ("nanmean", |a| reduction(a, |x, dims, keep| x.nanmean(dims, keep))),
    ("prod", |a| reduction(a, |x, dims, keep| x.prod_dim(dims, keep))),
    ("logsumexp", |a| {
        reduction(a, |x, dims, keep| x.logsumexp(dims, keep))
    }),
    ("amax", |a| reduction(a, |x, dims, keep| x.amax(dims, keep))),
    ("amin", |a| reduction(a, |x, dims, keep| x.amin(dims, keep))),
    ("max", |a| {
        extreme(a, Tensor::max, Tensor::max_dim, |x, y| x.maximum(y))
    }),
    ("min", |a| {
        extreme(a, Tensor::min, Tensor::min_dim, |x, y| x.minimum(y))
    }),
    ("argmax", |a| arg_extreme(a, Tensor::argmax)),
    ("argmin", |a| arg_extreme(a, Tensor::argmin)),
    ("aminmax", |a| {
        let x = a.tensor(0, "input")?;
        let dim = opt_dim(a, 1, "dim")?;
        let keepdim = a.bool(2, "keepdim", false)?;
        out(x.aminmax(dim, keepdim)?)
    }),
    ("any", |a| {
        any_all(a, Tensor::any, |x, dims, keep| x.any_dim(dims, keep))
    }),
    ("all", |a| {
        any_all(a, Tensor::all, |x, dims, keep| x.all_dim(dims, keep))
    }),
    ("count_nonzero", |a| {
        let (x, complex) = a.maybe_complex(0, "input")?;
        let x = if complex { x.any_dim(-1, false)? } else { x };
        let dims = dims(a, 1, "dim", &x)?;
        out(x.count_nonzero_dim(dims)?)
    }),
    ("var", |a| {
        let (x, dims, correction, keepdim) = moments(a)?;
        out(x.var(dims, correction, keepdim)?)
    }),
    ("std", |a| {
        let (x, dims, correction, keepdim) = moments(a)?;
        out(x.std(dims, correction, keepdim)?)
    }),
    ("var_mean", |a| {
        let (x, dims, correction, keepdim) = moments(a)?;
        out(x.var_mean(dims, correction, keepdim)?)
    }),
    ("std_mean", |a| {
        let (x, dims, correction, keepdim) = moments(a)?;
        out(x.std_mean(dims, correction, keepdim)?)
    }),
    ("norm", norm),
    ("dist", |a| {
        let (x, y) = (a.tensor(0, "input")?, a.tensor(1, "other")?);
        let p = a.float(2, "p", 2.0)?;
        out(x.dist(&y, p)?)
    }),
    ("renorm", |a| {
        let x = a.tensor(0, "input")?;
        let p = a.float(1, "p", 2.0)?;
        let dim = a.required_int(2, "dim")? as isize;
        let maxnorm = a.float(3, "maxnorm", 1.0)?;
        out(x.renorm(p, dim, maxnorm)?)
    }),
    ("trace", |a| out(a.tensor(0, "input")?.trace()?)),
    ("sum_to_size", |a| {
        let x = a.tensor(0, "input")?;
        let sizes: Vec<usize> = a
            .varargs_ints(1, "size")?
            .into_iter()
            .map(|n| n as usize)
            .collect();
        out(x.sum_to_size(sizes)?)
    }),
    ("cumsum", |a| along(a, Tensor::cumsum)),
    ("cumprod", |a| along(a, Tensor::cumprod)),
    ("logcumsumexp", |a| along(a, Tensor::logcumsumexp)),
    ("cummax", |a| {
        let x = a.tensor(0, "input")?;
        out(x.cummax(a.required_int(1, "dim")? as isize)?)
    }),
    ("cummin", |a| {
        let x = a.tensor(0, "input")?;
        out(x.cummin(a.required_int(1, "dim")? as isize)?)
    }),
    ("softmax", |a| along(a, Tensor::softmax)),
    ("log_softmax", |a| along(a, Tensor::log_softmax)),
    ("nn.functional.softmax", |a| {
        functional_softmax(a, Tensor::softmax)
    }),
    ("nn.functional.softmin", |a| {
        // Negated in its own type, in which unsigned integers wrap around.
        let negated = a.tensor(0, "input")?.neg()?;
        let dim = softmax_dim(a, &negated)?;
        a.int(2, "_stacklevel", 3)?;
        in_dtype(a, 3, negated, |x| x.softmax(dim))
    }),
    ("nn.functional.log_softmax", |a| {
        functional_softmax(a, Tensor::log_softmax)
    }),
];
