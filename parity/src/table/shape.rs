//! Shapes: views, rearranging, joining and splitting.

use flambeau_tensor::ops::grid;
use flambeau_tensor::ops::split::Sections;
use flambeau_tensor::{DType, Result, Tensor, bail, broadcast_shapes};

use crate::args::{Arg, Args};
use crate::registry::{Entry, Output, complex, out};

/// The dimension at `position`, or the default.
pub(super) fn dim(a: &mut Args, position: usize, name: &str, default: isize) -> Result<isize> {
    Ok(a.int(position, name, default as i64)? as isize)
}

/// A size at `position`.
fn count(a: &mut Args, position: usize, name: &str) -> Result<usize> {
    unsigned(a.required_int(position, name)?, a)
}

/// A number that can't be negative.
pub(super) fn unsigned(i: i64, a: &Args) -> Result<usize> {
    match usize::try_from(i) {
        Ok(i) => Ok(i),
        Err(_) => bail!(
            Value,
            "{}: expected a number that is not negative, got {i}",
            a.op()
        ),
    }
}

pub(super) fn all_unsigned(ints: Vec<i64>, a: &Args) -> Result<Vec<usize>> {
    ints.into_iter().map(|i| unsigned(i, a)).collect()
}

fn signed(ints: Vec<i64>) -> Vec<isize> {
    ints.into_iter().map(|i| i as isize).collect()
}

/// Tensors given as one list or one by one.
fn varargs_tensors(a: &mut Args, name: &str) -> Result<Vec<Tensor>> {
    match a.peek(0, name) {
        Some(Arg::List(_) | Arg::Tuple(_)) => a.tensors(0, name),
        _ => {
            let rest = a.rest(0);
            a.tensors_of(rest, name)
        }
    }
}

/// The results in memory of their own: the `_copy` form of a view.
fn copied(output: Output) -> Result<Output> {
    let values = output.values.into_iter().map(|value| match value {
        Arg::Tensor(t) => Ok(Arg::Tensor(t.copy()?)),
        other => Ok(other),
    });
    Ok(Output {
        values: values.collect::<Result<_>>()?,
    })
}

/// A dimension of a complex tensor, whose last one is (real, imaginary).
pub(super) fn complex_dim(dim: isize) -> isize {
    if dim < 0 { dim - 1 } else { dim }
}

fn permute(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    out(x.permute(signed(a.varargs_ints(1, "dims")?))?)
}

fn transpose(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let (first, second) = (dim(a, 1, "dim0", 0)?, dim(a, 2, "dim1", 1)?);
    out(x.transpose(first, second)?)
}

fn swapaxes(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let (first, second) = (dim(a, 1, "axis0", 0)?, dim(a, 2, "axis1", 1)?);
    out(x.swapaxes(first, second)?)
}

fn reshape(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    out(x.reshape(a.varargs_ints(1, "shape")?)?)
}

fn view(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    if let Some(Arg::DType(_)) = a.peek(1, "dtype") {
        return match a.opt_dtype(1, "dtype")? {
            Some(dtype) => out(x.view_dtype(dtype)?),
            None => out(x),
        };
    }
    out(x.view(a.varargs_ints(1, "size")?)?)
}

fn expand(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    a.bool(usize::MAX, "implicit", false)?;
    out(x.expand(a.varargs_ints(1, "size")?)?)
}

fn squeeze(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    match a.opt_dims(1, "dim")? {
        Some(dims) => out(x.squeeze_dim(dims)?),
        None => out(x.squeeze()?),
    }
}

fn unsqueeze(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    out(x.unsqueeze(a.required_int(1, "dim")? as isize)?)
}

fn unbind(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    out(x.unbind(dim(a, 1, "dim", 0)?)?)
}

fn unfold(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let (d, size, step) = (
        a.required_int(1, "dimension")? as isize,
        count(a, 2, "size")?,
        count(a, 3, "step")?,
    );
    out(x.unfold(d, size, step)?)
}

fn split(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "tensor")?;
    let name = ["split_size_or_sections", "split_size", "split_sizes"];
    let name = name
        .into_iter()
        .find(|name| a.peek(1, name).is_some())
        .unwrap_or(name[0]);
    match a.take(1, name) {
        Some(Arg::Int(size)) => out(x.split(unsigned(size, a)?, dim(a, 2, "dim", 0)?)?),
        Some(Arg::List(items) | Arg::Tuple(items)) => {
            let sizes = all_unsigned(a.ints_of(&items, name)?, a)?;
            out(x.split_with_sizes(&sizes, dim(a, 2, "dim", 0)?)?)
        }
        other => bail!(Value, "split: expected a size or sizes, got {other:?}"),
    }
}

/// The sections of `tensor_split` and its kin: a number, or indices, given as integers or as a tensor.
fn sections(a: &mut Args) -> Result<Sections> {
    let name = [
        "indices_or_sections",
        "sections",
        "indices",
        "tensor_indices_or_sections",
    ];
    let name = name
        .into_iter()
        .find(|name| a.peek(1, name).is_some())
        .unwrap_or(name[0]);
    match a.take(1, name) {
        Some(Arg::Int(parts)) => Ok(Sections::Parts(unsigned(parts, a)?)),
        Some(Arg::Tensor(t)) => {
            let ints = t.to_dtype(DType::I64)?.to_vec::<i64>()?;
            match ints[..] {
                [parts] if t.rank() == 0 => Ok(Sections::Parts(unsigned(parts, a)?)),
                _ => Ok(Sections::At(signed(ints))),
            }
        }
        Some(Arg::List(items) | Arg::Tuple(items)) => Ok(Sections::At(signed(a.ints_of(&items, name)?))),
        other => bail!(Value, "{}: expected sections or indices, got {other:?}", a.op()),
    }
}

/// `atleast_1d` and its kin, of one tensor or several.
fn each(a: &mut Args, f: fn(&Tensor) -> Result<Tensor>) -> Result<Output> {
    let tensors = varargs_tensors(a, "tensors")?;
    out(tensors.iter().map(f).collect::<Result<Vec<_>>>()?)
}

fn movedim(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let (from, to) = (signed(a.ints(1, "source")?), signed(a.ints(2, "destination")?));
    out(x.movedim(from, to)?)
}

fn cat(a: &mut Args) -> Result<Output> {
    let Some(Arg::List(items) | Arg::Tuple(items)) = a.take(0, "tensors") else {
        bail!(Value, "cat: expected a list of tensors")
    };
    let d = dim(a, 1, "dim", 0)?;
    let parts: Option<Vec<Tensor>> = items
        .iter()
        .map(|item| match item {
            Arg::ComplexTensor(t) => Some(t.clone()),
            _ => None,
        })
        .collect();
    match parts {
        // Empty vectors fit anything, also as complex ones.
        Some(parts) if parts.iter().any(|p| p.shape() != [0, 2]) => {
            let parts: Vec<Tensor> = parts.into_iter().filter(|p| p.shape() != [0, 2]).collect();
            complex(Tensor::cat(&parts, complex_dim(d))?)
        }
        Some(parts) if !parts.is_empty() => complex(Tensor::cat(&parts, complex_dim(d))?),
        _ => out(Tensor::cat(&a.tensors_of(items, "tensors")?, d)?),
    }
}

/// The complex conjugate.
fn conjugate(x: &Tensor) -> Result<Tensor> {
    let (re, im) = (x.select(-1, 0)?, x.select(-1, 1)?);
    Tensor::stack(&[re, im.neg()?], -1)
}

/// `H` and `mH`: the transposed conjugate.
fn adjoint(a: &mut Args) -> Result<Output> {
    match a.maybe_complex(0, "input")? {
        (x, true) => complex(conjugate(&x.transpose(-3, -2)?)?),
        (x, false) => out(x.mt()?),
    }
}

fn meshgrid(a: &mut Args) -> Result<Output> {
    let indexing = match a.opt_str(usize::MAX, "indexing")?.as_deref() {
        None | Some("ij") => grid::Indexing::Ij,
        Some("xy") => grid::Indexing::Xy,
        Some(other) => bail!(Value, "meshgrid: unknown indexing {other:?}"),
    };
    out(grid::meshgrid(&varargs_tensors(a, "tensors")?, indexing)?)
}

fn repeat_interleave(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let repeats = a.take(1, "repeats");
    let d = a.opt_int(2, "dim")?.map(|d| d as isize);
    a.opt_int(usize::MAX, "output_size")?;
    match repeats {
        None => out(flambeau_tensor::ops::arrange::repeat_indices(&x)?),
        Some(Arg::Int(n)) => out(x.repeat_interleave(unsigned(n, a)?, d)?),
        Some(Arg::Tensor(repeats)) => out(x.repeat_interleave_each(&repeats, d)?),
        other => bail!(Value, "repeat_interleave: repeats {other:?}"),
    }
}

fn roll(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let shifts = signed(a.ints(1, "shifts")?);
    out(x.roll(shifts, a.opt_dims(2, "dims")?.unwrap_or_default())?)
}

fn rot90(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let k = dim(a, 1, "k", 1)?;
    match a.opt_dims(2, "dims")?.as_deref() {
        None => out(x.rot90(k, [0, 1])?),
        Some(&[first, second]) => out(x.rot90(k, [first, second])?),
        Some(other) => bail!(Value, "rot90: expected two dimensions, got {other:?}"),
    }
}

/// A single number as an argument.
fn item(x: &Tensor) -> Result<Arg> {
    Ok(match x.dtype() {
        DType::Bool => Arg::Bool(x.item::<bool>()?),
        dtype if dtype.is_float() => Arg::Float(x.item_f64()?),
        _ => Arg::Int(x.to_dtype(DType::I64)?.item::<i64>()?),
    })
}

fn nested(x: &Tensor) -> Result<Arg> {
    if x.rank() == 0 {
        return item(x);
    }
    x.unbind(0)?
        .iter()
        .map(nested)
        .collect::<Result<_>>()
        .map(Arg::List)
}

fn sizes(sizes: &[usize]) -> Result<Output> {
    out(Arg::List(
        sizes.iter().map(|&size| Arg::Int(size as i64)).collect(),
    ))
}

fn size(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    match a.opt_int(1, "dim")? {
        Some(d) => out(Arg::Int(x.size(d as isize)? as i64)),
        None => sizes(x.shape()),
    }
}

fn broadcast_shape(a: &mut Args) -> Result<Output> {
    let mut shapes = Vec::new();
    for arg in a.rest(0) {
        let ints = match &arg {
            Arg::Int(i) => vec![*i],
            Arg::List(items) | Arg::Tuple(items) => a.ints_of(items, "shapes")?,
            other => bail!(Value, "broadcast_shapes: expected a shape, got {other:?}"),
        };
        shapes.push(all_unsigned(ints, a)?);
    }
    let shapes: Vec<&[usize]> = shapes.iter().map(|shape| &shape[..]).collect();
    sizes(&broadcast_shapes("broadcast_shapes", &shapes)?)
}

pub(super) const TABLE: &[Entry] = &[
    ("permute", permute),
    ("permute_copy", |a| copied(permute(a)?)),
    ("transpose", transpose),
    ("transpose_copy", |a| copied(transpose(a)?)),
    ("swapaxes", swapaxes),
    ("swapdims", transpose),
    ("t", |a| out(a.tensor(0, "input")?.t()?)),
    ("t_copy", |a| out(a.tensor(0, "input")?.t()?.copy()?)),
    ("T", |a| {
        let x = a.tensor(0, "input")?;
        out(x.permute((0..x.rank() as isize).rev().collect::<Vec<_>>())?)
    }),
    ("mT", |a| out(a.tensor(0, "input")?.mt()?)),
    ("H", adjoint),
    ("mH", adjoint),
    ("adjoint", adjoint),
    ("movedim", movedim),
    ("moveaxis", movedim),
    ("reshape", reshape),
    ("reshape_as", |a| {
        out(a.tensor(0, "input")?.reshape_as(&a.tensor(1, "other")?)?)
    }),
    ("view", view),
    ("view_copy", |a| copied(view(a)?)),
    ("view_as", |a| {
        out(a.tensor(0, "input")?.view_as(&a.tensor(1, "other")?)?)
    }),
    ("flatten", |a| {
        let x = a.tensor(0, "input")?;
        let (start, end) = (dim(a, 1, "start_dim", 0)?, dim(a, 2, "end_dim", -1)?);
        out(x.flatten(start, end)?)
    }),
    ("unflatten", |a| {
        let x = a.tensor(0, "input")?;
        let d = a.required_int(1, "dim")? as isize;
        out(x.unflatten(d, a.ints(2, "sizes")?)?)
    }),
    ("ravel", |a| out(a.tensor(0, "input")?.ravel()?)),
    ("squeeze", squeeze),
    ("squeeze_copy", |a| copied(squeeze(a)?)),
    ("unsqueeze", unsqueeze),
    ("unsqueeze_copy", |a| copied(unsqueeze(a)?)),
    ("expand", expand),
    ("expand_copy", |a| copied(expand(a)?)),
    ("expand_as", |a| {
        out(a.tensor(0, "input")?.expand_as(&a.tensor(1, "other")?)?)
    }),
    ("broadcast_to", |a| {
        out(a.tensor(0, "input")?.broadcast_to(a.varargs_ints(1, "size")?)?)
    }),
    ("broadcast_tensors", |a| {
        out(Tensor::broadcast_tensors(&varargs_tensors(a, "tensors")?)?)
    }),
    ("broadcast_shapes", broadcast_shape),
    ("atleast_1d", |a| each(a, Tensor::atleast_1d)),
    ("atleast_2d", |a| each(a, Tensor::atleast_2d)),
    ("atleast_3d", |a| each(a, Tensor::atleast_3d)),
    ("detach", |a| out(a.tensor(0, "input")?.detach())),
    ("tolist", |a| out(nested(&a.tensor(0, "input")?)?)),
    ("numel", |a| out(Arg::Int(a.tensor(0, "input")?.numel() as i64))),
    ("dim", |a| out(Arg::Int(a.tensor(0, "input")?.rank() as i64))),
    ("size", size),
    ("stride", |a| sizes(&a.tensor(0, "input")?.strides())),
    ("unbind", unbind),
    ("unbind_copy", |a| copied(unbind(a)?)),
    ("unfold", unfold),
    ("unfold_copy", |a| copied(unfold(a)?)),
    ("split", split),
    ("split_with_sizes", split),
    ("split_with_sizes_copy", |a| copied(split(a)?)),
    ("chunk", |a| {
        let x = a.tensor(0, "input")?;
        let chunks = count(a, 1, "chunks")?;
        out(x.chunk(chunks, dim(a, 2, "dim", 0)?)?)
    }),
    ("tensor_split", |a| {
        let x = a.tensor(0, "input")?;
        let sections = sections(a)?;
        out(x.tensor_split(sections, dim(a, 2, "dim", 0)?)?)
    }),
    ("hsplit", |a| out(a.tensor(0, "input")?.hsplit(sections(a)?)?)),
    ("vsplit", |a| out(a.tensor(0, "input")?.vsplit(sections(a)?)?)),
    ("dsplit", |a| out(a.tensor(0, "input")?.dsplit(sections(a)?)?)),
    ("cat", cat),
    ("concat", cat),
    ("concatenate", cat),
    ("stack", |a| {
        let tensors = a.tensors(0, "tensors")?;
        out(Tensor::stack(&tensors, dim(a, 1, "dim", 0)?)?)
    }),
    ("hstack", |a| out(Tensor::hstack(&a.tensors(0, "tensors")?)?)),
    ("vstack", |a| out(Tensor::vstack(&a.tensors(0, "tensors")?)?)),
    ("row_stack", |a| out(Tensor::vstack(&a.tensors(0, "tensors")?)?)),
    ("dstack", |a| out(Tensor::dstack(&a.tensors(0, "tensors")?)?)),
    ("column_stack", |a| {
        out(Tensor::column_stack(&a.tensors(0, "tensors")?)?)
    }),
    ("block_diag", |a| {
        out(Tensor::block_diag(&varargs_tensors(a, "tensors")?)?)
    }),
    ("meshgrid", meshgrid),
    ("cartesian_prod", |a| {
        out(grid::cartesian_prod(&varargs_tensors(a, "tensors")?)?)
    }),
    ("combinations", |a| {
        let x = a.tensor(0, "input")?;
        let r = unsigned(a.int(1, "r", 2)?, a)?;
        out(x.combinations(r, a.bool(2, "with_replacement", false)?)?)
    }),
    ("flip", |a| {
        let x = a.tensor(0, "input")?;
        let dims = match a.opt_dims(usize::MAX, "dims")? {
            Some(dims) => dims,
            None => signed(a.varargs_ints(1, "dims")?),
        };
        out(x.flip(dims)?)
    }),
    ("fliplr", |a| out(a.tensor(0, "input")?.fliplr()?)),
    ("flipud", |a| out(a.tensor(0, "input")?.flipud()?)),
    ("roll", roll),
    ("rot90", rot90),
    ("repeat", |a| {
        let x = a.tensor(0, "input")?;
        out(x.repeat(&all_unsigned(a.varargs_ints(1, "repeats")?, a)?)?)
    }),
    ("tile", |a| {
        let x = a.tensor(0, "input")?;
        out(x.tile(&all_unsigned(a.varargs_ints(1, "dims")?, a)?)?)
    }),
    ("repeat_interleave", repeat_interleave),
    ("constant_pad_nd", |a| {
        let x = a.tensor(0, "input")?;
        let pads = signed(a.ints(1, "pad")?);
        let value = a.opt_scalar(2, "value")?.unwrap_or(0i64.into());
        out(x.constant_pad_nd(&pads, value)?)
    }),
    ("vander", |a| {
        let x = a.tensor(0, "x")?;
        let n = a.opt_int(1, "N")?.map(|i| unsigned(i, a)).transpose()?;
        let powers = x.vander(n)?;
        if a.bool(2, "increasing", false)? {
            out(powers)
        } else {
            out(powers.flip(-1)?)
        }
    }),
    ("linalg.vander", |a| {
        let x = a.tensor(0, "x")?;
        let n = a.opt_int(usize::MAX, "N")?.map(|i| unsigned(i, a)).transpose()?;
        out(x.vander(n)?)
    }),
];
