//! Indexing: reading and writing by numbers, ranges, masks and index tensors; triangles and diagonals.

use flambeau_tensor::ops::{mask, triangular};
use flambeau_tensor::{DType, Index, Reduction, Result, Tensor, bail};

use super::shape::{all_unsigned, complex_dim, dim, unsigned};
use crate::args::{Arg, Args, Either};
use crate::registry::{Entry, Output, complex, out};

/// A nested list of numbers or bools as a tensor.
fn list_tensor(items: &[Arg]) -> Result<Tensor> {
    let rows: Result<Vec<Tensor>> = items
        .iter()
        .map(|item| match item {
            Arg::Int(i) => Ok(Tensor::scalar(*i)),
            Arg::Bool(b) => Ok(Tensor::scalar(*b)),
            Arg::Tensor(t) => Ok(t.clone()),
            Arg::List(items) | Arg::Tuple(items) => list_tensor(items),
            other => bail!(Value, "__getitem__: {other:?} in a list"),
        })
        .collect();
    match rows? {
        rows if rows.is_empty() => Tensor::zeros(0, DType::I64),
        rows => Tensor::stack(&rows, 0),
    }
}

fn index(arg: &Arg) -> Result<Index> {
    let bound = |bound: &Option<i64>| bound.map(|i| i as isize);
    Ok(match arg {
        Arg::Int(i) => Index::At(*i as isize),
        Arg::Bool(b) => Index::Tensor(Tensor::scalar(*b)),
        Arg::None => Index::NewAxis,
        Arg::Ellipsis => Index::Ellipsis,
        Arg::Slice(start, stop, step) => Index::Range(bound(start), bound(stop), step.unwrap_or(1) as isize),
        Arg::Tensor(t) => Index::Tensor(t.clone()),
        Arg::List(items) | Arg::Tuple(items) => Index::Tensor(list_tensor(items)?),
        other => bail!(Unsupported, "__getitem__: index {other:?}"),
    })
}

fn indices(arg: Option<Arg>) -> Result<Vec<Index>> {
    match arg {
        Some(Arg::Tuple(items)) => items.iter().map(index).collect(),
        Some(Arg::List(items))
            if items
                .iter()
                .any(|i| matches!(i, Arg::Slice(..) | Arg::None | Arg::Ellipsis)) =>
        {
            items.iter().map(index).collect()
        }
        Some(one) => Ok(vec![index(&one)?]),
        None => bail!(Value, "__getitem__: expected an index"),
    }
}

fn getitem(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    out(x.i(indices(a.take(1, "index"))?)?)
}

fn setitem(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let index = indices(a.take(1, "index"))?;
    let value = a.operand(2, "value")?;
    let x = x.copy()?;
    x.set(index, value.operand())?;
    out(x)
}

fn index_put(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let Some(Arg::Tuple(items) | Arg::List(items)) = a.take(1, "indices") else {
        bail!(Value, "index_put: expected a tuple of tensors")
    };
    let tensors: Result<Vec<Option<Tensor>>> = items
        .iter()
        .map(|item| match item {
            Arg::None => Ok(None),
            Arg::Tensor(t) => Ok(Some(t.clone())),
            Arg::List(items) => list_tensor(items).map(Some),
            other => bail!(Unsupported, "index_put: index {other:?}"),
        })
        .collect();
    let tensors = tensors?;
    let tensors: Vec<Option<&Tensor>> = tensors.iter().map(Option::as_ref).collect();
    let values = a.tensor(2, "values")?;
    out(x.index_put(&tensors, &values, a.bool(3, "accumulate", false)?)?)
}

/// Input, dimension and index, as most functions here begin.
fn along(a: &mut Args) -> Result<(Tensor, isize, Tensor)> {
    let x = a.tensor(0, "input")?;
    Ok((x, a.required_int(1, "dim")? as isize, a.tensor(2, "index")?))
}

fn reduction(a: &mut Args, position: usize) -> Result<Reduction> {
    match a.opt_str(position, "reduce")?.as_deref() {
        Some("sum") => Ok(Reduction::Sum),
        Some("prod") => Ok(Reduction::Prod),
        Some("mean") => Ok(Reduction::Mean),
        Some("amax") => Ok(Reduction::Amax),
        Some("amin") => Ok(Reduction::Amin),
        other => bail!(Value, "{}: unknown reduction {other:?}", a.op()),
    }
}

fn index_select(a: &mut Args) -> Result<Output> {
    let (x, is_complex) = a.maybe_complex(0, "input")?;
    let (d, index) = (a.required_int(1, "dim")? as isize, a.tensor(2, "index")?);
    match is_complex {
        false => out(x.index_select(d, &index)?),
        true if x.rank() == 1 => complex(x.unsqueeze(0)?.index_select(0, &index)?.squeeze_dim(0)?),
        true => complex(x.index_select(complex_dim(d), &index)?),
    }
}

fn gather(a: &mut Args) -> Result<Output> {
    let (x, is_complex) = a.maybe_complex(0, "input")?;
    let (d, index) = (a.required_int(1, "dim")? as isize, a.tensor(2, "index")?);
    a.bool(usize::MAX, "sparse_grad", false)?;
    if !is_complex {
        return out(x.gather(d, &index)?);
    }
    // A single number counts as a vector of one.
    let x = if x.rank() == 1 { x.unsqueeze(0)? } else { x };
    if index.rank() == 0 {
        let gathered = x.gather(0, &index.reshape((1, 1))?.expand((1, 2))?)?;
        return complex(gathered.squeeze_dim(0)?);
    }
    let mut shape = index.shape().to_vec();
    shape.push(2);
    complex(x.gather(complex_dim(d), &index.unsqueeze(-1)?.expand(shape)?)?)
}

fn scatter(a: &mut Args) -> Result<Output> {
    let (x, d, index) = along(a)?;
    let name = if a.peek(usize::MAX, "value").is_some() {
        "value"
    } else {
        "src"
    };
    let src = a.operand(3, name)?;
    let reduce = a.opt_str(4, "reduce")?;
    let Some(reduce) = reduce else {
        return out(x.scatter(d, &index, src.operand())?);
    };
    let src = match src {
        Either::Tensor(src) => src,
        Either::Scalar(value) => Tensor::full(index.shape(), value, x.dtype())?,
    };
    match &*reduce {
        "add" => out(x.scatter_add(d, &index, &src)?),
        "multiply" => out(x.scatter_reduce(d, &index, &src, Reduction::Prod, true)?),
        other => bail!(Value, "scatter: unknown reduction {other:?}"),
    }
}

fn index_add(a: &mut Args) -> Result<Output> {
    let (x, d, index) = along(a)?;
    let source = a.tensor(3, "source")?;
    let source = match a.opt_scalar(usize::MAX, "alpha")? {
        Some(alpha) => source.mul(alpha)?.to_dtype(source.dtype())?,
        None => source,
    };
    out(x.index_add(d, &index, &source)?)
}

fn masked_fill(a: &mut Args) -> Result<Output> {
    let (x, is_complex) = a.maybe_complex(0, "input")?;
    let mask = a.tensor(1, "mask")?;
    if !is_complex {
        return out(x.masked_fill(&mask, a.operand(2, "value")?.operand())?);
    }
    let value = match a.take(2, "value") {
        Some(Arg::Complex(re, im)) => [Either::Scalar(re.into()), Either::Scalar(im.into())],
        Some(Arg::Float(re)) => [Either::Scalar(re.into()), Either::Scalar(0.0.into())],
        Some(Arg::Int(re)) => [Either::Scalar(re.into()), Either::Scalar(0.0.into())],
        Some(Arg::ComplexTensor(t)) => [Either::Tensor(t.select(-1, 0)?), Either::Tensor(t.select(-1, 1)?)],
        other => bail!(Unsupported, "masked_fill: a complex tensor with {other:?}"),
    };
    let filled = |part, value: &Either| x.select(-1, part)?.masked_fill(&mask, value.operand());
    let parts = [filled(0, &value[0])?, filled(1, &value[1])?];
    complex(Tensor::stack(&parts, -1)?)
}

fn take_along_dim(a: &mut Args) -> Result<Output> {
    let (x, index) = (a.tensor(0, "input")?, a.tensor(1, "indices")?);
    match a.opt_int(2, "dim")? {
        Some(d) => out(x.take_along_dim(&index, d as isize)?),
        None => out(x.ravel()?.take_along_dim(&index.ravel()?, 0)?),
    }
}

fn narrow(a: &mut Args) -> Result<Tensor> {
    let x = a.tensor(0, "input")?;
    let d = a.required_int(1, "dim")? as isize;
    let start = a.required_int(2, "start")? as isize;
    x.narrow(d, start, unsigned(a.required_int(3, "length")?, a)?)
}

fn select(a: &mut Args) -> Result<Tensor> {
    let x = a.tensor(0, "input")?;
    let d = a.required_int(1, "dim")? as isize;
    x.select(d, a.required_int(2, "index")? as isize)
}

/// Start, end and step of a slice from `position` on.
fn slice_bounds(a: &mut Args, position: usize) -> Result<(Option<isize>, Option<isize>, isize)> {
    let start = a.opt_int(position, "start")?.map(|i| i as isize);
    let end = a.opt_int(position + 1, "end")?.map(|i| i as isize);
    Ok((start, end, dim(a, position + 2, "step", 1)?))
}

fn slice(a: &mut Args) -> Result<Tensor> {
    let x = a.tensor(0, "input")?;
    let d = dim(a, 1, "dim", 0)?;
    let (start, end, step) = slice_bounds(a, 2)?;
    x.slice(d, start, end, step)
}

fn as_strided(a: &mut Args) -> Result<Tensor> {
    let x = a.tensor(0, "input")?;
    let (size, stride) = (
        all_unsigned(a.ints(1, "size")?, a)?,
        all_unsigned(a.ints(2, "stride")?, a)?,
    );
    x.as_strided(size, &stride, unsigned(a.int(3, "storage_offset", 0)?, a)?)
}

fn diagonal(a: &mut Args) -> Result<Tensor> {
    let x = a.tensor(0, "input")?;
    let (offset, d1, d2) = (
        dim(a, 1, "offset", 0)?,
        dim(a, 2, "dim1", 0)?,
        dim(a, 3, "dim2", 1)?,
    );
    x.diagonal(offset, d1, d2)
}

fn triangle_indices(a: &mut Args, f: fn(usize, usize, isize, DType) -> Result<Tensor>) -> Result<Output> {
    a.ignore_factory_keywords();
    let (rows, columns) = (
        unsigned(a.required_int(0, "row")?, a)?,
        unsigned(a.required_int(1, "col")?, a)?,
    );
    let offset = dim(a, 2, "offset", 0)?;
    let dtype = a.opt_dtype(usize::MAX, "dtype")?.unwrap_or(DType::I64);
    out(f(rows, columns, offset, dtype)?)
}

pub(super) const TABLE: &[Entry] = &[
    ("__getitem__", getitem),
    ("__setitem__", setitem),
    ("index_put", index_put),
    ("select", |a| out(select(a)?)),
    ("select_copy", |a| out(select(a)?.copy()?)),
    ("select_scatter", |a| {
        let (x, src) = (a.tensor(0, "input")?, a.tensor(1, "src")?);
        let d = a.required_int(2, "dim")? as isize;
        out(x.select_scatter(&src, d, a.required_int(3, "index")? as isize)?)
    }),
    ("narrow", |a| out(narrow(a)?)),
    ("narrow_copy", |a| out(narrow(a)?.copy()?)),
    ("slice", |a| out(slice(a)?)),
    ("slice_copy", |a| out(slice(a)?.copy()?)),
    ("slice_scatter", |a| {
        let (x, src) = (a.tensor(0, "input")?, a.tensor(1, "src")?);
        let d = dim(a, 2, "dim", 0)?;
        let (start, end, step) = slice_bounds(a, 3)?;
        out(x.slice_scatter(&src, d, start, end, step)?)
    }),
    ("as_strided", |a| out(as_strided(a)?)),
    ("as_strided_copy", |a| out(as_strided(a)?.copy()?)),
    ("as_strided_scatter", |a| {
        let (x, src) = (a.tensor(0, "input")?, a.tensor(1, "src")?);
        let (size, stride) = (
            all_unsigned(a.ints(2, "size")?, a)?,
            all_unsigned(a.ints(3, "stride")?, a)?,
        );
        let offset = unsigned(a.int(4, "storage_offset", 0)?, a)?;
        out(x.as_strided_scatter(&src, size, &stride, offset)?)
    }),
    ("index_select", index_select),
    ("index_add", index_add),
    ("index_copy", |a| {
        let (x, d, index) = along(a)?;
        out(x.index_copy(d, &index, &a.tensor(3, "source")?)?)
    }),
    ("index_fill", |a| {
        let (x, d, index) = along(a)?;
        out(x.index_fill(d, &index, a.operand(3, "value")?.operand())?)
    }),
    ("index_reduce", |a| {
        let (x, d, index) = along(a)?;
        let (source, reduction) = (a.tensor(3, "source")?, reduction(a, 4)?);
        if reduction == Reduction::Sum {
            bail!(Value, "index_reduce: expected prod, mean, amax or amin, got sum");
        }
        out(x.index_reduce(d, &index, &source, reduction, a.bool(5, "include_self", true)?)?)
    }),
    ("gather", gather),
    ("scatter", scatter),
    ("scatter_add", |a| {
        let (x, d, index) = along(a)?;
        out(x.scatter_add(d, &index, &a.tensor(3, "src")?)?)
    }),
    ("scatter_reduce", |a| {
        let (x, d, index) = along(a)?;
        let (src, reduction) = (a.tensor(3, "src")?, reduction(a, 4)?);
        out(x.scatter_reduce(d, &index, &src, reduction, a.bool(5, "include_self", true)?)?)
    }),
    ("take", |a| {
        out(a.tensor(0, "input")?.take(&a.tensor(1, "index")?)?)
    }),
    ("take_along_dim", take_along_dim),
    ("put", |a| {
        let (x, index, source) = (
            a.tensor(0, "input")?,
            a.tensor(1, "index")?,
            a.tensor(2, "source")?,
        );
        out(x.put(&index, &source, a.bool(3, "accumulate", false)?)?)
    }),
    ("masked_fill", masked_fill),
    ("masked_select", |a| {
        out(a.tensor(0, "input")?.masked_select(&a.tensor(1, "mask")?)?)
    }),
    ("masked_scatter", |a| {
        let (x, mask) = (a.tensor(0, "input")?, a.tensor(1, "mask")?);
        out(x.masked_scatter(&mask, &a.tensor(2, "source")?)?)
    }),
    ("nonzero", |a| {
        let x = a.tensor(0, "input")?;
        if a.bool(usize::MAX, "as_tuple", false)? {
            out(x.nonzero_tuple()?)
        } else {
            out(x.nonzero()?)
        }
    }),
    ("nonzero_static", |a| {
        let x = a.tensor(0, "input")?;
        let size = unsigned(a.required_int(usize::MAX, "size")?, a)?;
        out(x.nonzero_static(size, a.int(usize::MAX, "fill_value", -1)?)?)
    }),
    ("argwhere", |a| out(a.tensor(0, "input")?.nonzero()?)),
    ("unravel_index", |a| {
        let x = a.tensor(0, "indices")?;
        out(mask::unravel_index(&x, &all_unsigned(a.ints(1, "shape")?, a)?)?)
    }),
    ("tril", |a| {
        let x = a.tensor(0, "input")?;
        out(x.tril(dim(a, 1, "diagonal", 0)?)?)
    }),
    ("triu", |a| {
        let x = a.tensor(0, "input")?;
        out(x.triu(dim(a, 1, "diagonal", 0)?)?)
    }),
    ("tril_indices", |a| triangle_indices(a, triangular::tril_indices)),
    ("triu_indices", |a| triangle_indices(a, triangular::triu_indices)),
    ("diag", |a| {
        let x = a.tensor(0, "input")?;
        out(x.diag(dim(a, 1, "diagonal", 0)?)?)
    }),
    ("diagflat", |a| {
        let x = a.tensor(0, "input")?;
        out(x.diagflat(dim(a, 1, "offset", 0)?)?)
    }),
    ("diag_embed", |a| {
        let x = a.tensor(0, "input")?;
        let (offset, d1, d2) = (
            dim(a, 1, "offset", 0)?,
            dim(a, 2, "dim1", -2)?,
            dim(a, 3, "dim2", -1)?,
        );
        out(x.diag_embed(offset, d1, d2)?)
    }),
    ("diagonal", |a| out(diagonal(a)?)),
    ("diagonal_copy", |a| out(diagonal(a)?.copy()?)),
    ("linalg.diagonal", |a| {
        let x = a.tensor(0, "A")?;
        let none = usize::MAX;
        let (offset, d1, d2) = (
            dim(a, none, "offset", 0)?,
            dim(a, none, "dim1", -2)?,
            dim(a, none, "dim2", -1)?,
        );
        out(x.diagonal(offset, d1, d2)?)
    }),
    ("diagonal_scatter", |a| {
        let (x, src) = (a.tensor(0, "input")?, a.tensor(1, "src")?);
        let (offset, d1, d2) = (
            dim(a, 2, "offset", 0)?,
            dim(a, 3, "dim1", 0)?,
            dim(a, 4, "dim2", 1)?,
        );
        out(x.diagonal_scatter(&src, offset, d1, d2)?)
    }),
];
