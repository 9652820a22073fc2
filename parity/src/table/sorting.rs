//! Order, selection, search, counting, statistics and calculus on samples, distances, segments.

use flambeau_tensor::ops::index::Reduction as SegmentReduction;
use flambeau_tensor::ops::search::{Bins, UniqueTensors};
use flambeau_tensor::ops::segment::Segments;
use flambeau_tensor::ops::statistics::{Interpolation, QuantileOptions, Spacing};
use flambeau_tensor::{DType, Result, Tensor, bail};

use super::reduction::opt_dim;
use crate::args::{Arg, Args};
use crate::registry::{Entry, Output, out};

/// The arguments of `sort` and `argsort`; `stable` changes nothing, as every sort is.
fn order(a: &mut Args) -> Result<(Tensor, isize, bool)> {
    let x = a.tensor(0, "input")?;
    // The overload with `stable` has it first.
    let shift = usize::from(matches!(a.peek(1, ""), Some(Arg::Bool(_))));
    if shift == 1 {
        a.take(1, "");
    }
    a.bool(usize::MAX, "stable", false)?;
    let dim = a.int(1 + shift, "dim", -1)? as isize;
    let descending = a.bool(2 + shift, "descending", false)?;
    Ok((x, dim, descending))
}

fn median(
    a: &mut Args,
    whole: fn(&Tensor) -> Result<Tensor>,
    along: fn(&Tensor, isize, bool) -> Result<(Tensor, Tensor)>,
) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    match opt_dim(a, 1, "dim")? {
        Some(dim) => {
            let keepdim = a.bool(2, "keepdim", false)?;
            out(along(&x, dim, keepdim)?)
        }
        None => out(whole(&x)?),
    }
}

fn quantile(a: &mut Args, f: fn(&Tensor, &Tensor, QuantileOptions) -> Result<Tensor>) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let q = match a.peek(1, "q") {
        Some(Arg::Tensor(_)) => a.tensor(1, "q")?,
        _ => Tensor::scalar(a.float(1, "q", 0.5)?).to_dtype(x.dtype())?,
    };
    let dim = opt_dim(a, 2, "dim")?;
    let keepdim = a.bool(3, "keepdim", false)?;
    let interpolation = match a.opt_str(4, "interpolation")? {
        None => Interpolation::default(),
        Some(name) => match Interpolation::from_name(&name) {
            Some(interpolation) => interpolation,
            None => bail!(Value, "quantile: interpolation {name:?}"),
        },
    };
    let options = QuantileOptions {
        dim,
        keepdim,
        interpolation,
    };
    out(f(&x, &q, options)?)
}

fn unique_output(found: UniqueTensors, inverse: bool, counts: bool) -> Result<Output> {
    let mut tensors = vec![found.values];
    if inverse {
        tensors.push(found.inverse);
    }
    if counts {
        tensors.push(found.counts);
    }
    out(tensors)
}

/// Indices as `int32` if asked for.
fn index_width(a: &mut Args, indices: Tensor) -> Result<Output> {
    let narrow = a.bool(usize::MAX, "out_int32", false)?;
    out(if narrow {
        indices.to_dtype(DType::I32)?
    } else {
        indices
    })
}

/// Which side of equal entries: `right` or `side`.
fn right_side(a: &mut Args) -> Result<bool> {
    let right = a.bool(usize::MAX, "right", false)?;
    match a.opt_str(usize::MAX, "side")?.as_deref() {
        None => Ok(right),
        Some("left") if !right => Ok(false),
        Some("right") => Ok(true),
        Some(side) => bail!(Value, "searchsorted: side {side:?}, right {right}"),
    }
}

/// A tensor of values, or a number of the type of `like`.
fn values_like(a: &mut Args, position: usize, name: &str, like: &Tensor) -> Result<Tensor> {
    match a.peek(position, name) {
        Some(Arg::Tensor(_)) => a.tensor(position, name),
        _ => {
            let value = a.scalar(position, name)?;
            Tensor::full((), value, like.dtype())
        }
    }
}

fn bins(arg: Option<Arg>) -> Result<Bins> {
    match arg {
        Some(Arg::Int(n)) if n >= 0 => Ok(Bins::Count(n as usize)),
        Some(Arg::Tensor(edges)) => Ok(Bins::Edges(edges)),
        other => bail!(Value, "histogram: bins {other:?}"),
    }
}

fn histogram(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let bins = bins(a.take(1, "bins"))?;
    let range = a.opt_floats(usize::MAX, "range")?;
    let range = range.and_then(|r| Some((*r.first()?, *r.get(1)?)));
    let weight = a.opt_tensor(usize::MAX, "weight")?;
    let density = a.bool(usize::MAX, "density", false)?;
    out(x.histogram(&bins, range, weight.as_ref(), density)?)
}

fn histogramdd(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let dims = x.size(-1)?;
    let bins: Vec<Bins> = match a.take(1, "bins") {
        Some(Arg::List(items)) => items
            .into_iter()
            .map(|item| bins(Some(item)))
            .collect::<Result<_>>()?,
        Some(Arg::Int(n)) if n >= 0 => vec![Bins::Count(n as usize); dims],
        other => bail!(Value, "histogramdd: bins {other:?}"),
    };
    let range = a.opt_floats(usize::MAX, "range")?;
    let ranges: Option<Vec<(f64, f64)>> =
        range.map(|r| r.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect());
    let weight = a.opt_tensor(usize::MAX, "weight")?;
    let density = a.bool(usize::MAX, "density", false)?;
    let (counts, edges) = x.histogramdd(&bins, ranges.as_deref(), weight.as_ref(), density)?;
    out([vec![counts], edges].concat())
}

fn trapezoid(a: &mut Args, f: fn(&Tensor, Option<&Tensor>, isize) -> Result<Tensor>) -> Result<Output> {
    let y = a.tensor(0, "y")?;
    let x = a.opt_tensor(1, "x")?;
    let dx = a.opt_scalar(usize::MAX, "dx")?;
    let dim = a.int(usize::MAX, "dim", -1)? as isize;
    let area = f(&y, x.as_ref(), dim)?;
    match dx {
        Some(dx) => out(area.mul(dx)?),
        None => out(area),
    }
}

fn gradient(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let spacing = a.take(usize::MAX, "spacing");
    let given = a.opt_dims(usize::MAX, "dim")?;
    let edge_order = a.int(usize::MAX, "edge_order", 1)? as usize;
    let dims = given.unwrap_or_else(|| (0..x.rank() as isize).collect());
    let one = |arg: Arg| match arg {
        Arg::Int(step) => Ok(Spacing::Step(step as f64)),
        Arg::Float(step) => Ok(Spacing::Step(step)),
        Arg::Tensor(at) => Ok(Spacing::Coordinates(at)),
        other => bail!(Value, "gradient: spacing {other:?}"),
    };
    let spacings = match spacing {
        None | Some(Arg::None) => vec![Spacing::Step(1.0); dims.len()],
        Some(Arg::List(items)) => items.into_iter().map(one).collect::<Result<_>>()?,
        Some(single) => vec![one(single)?; dims.len()],
    };
    if spacings.len() != dims.len() {
        bail!(
            Value,
            "gradient: {} spacings for {} dimensions",
            spacings.len(),
            dims.len()
        );
    }
    let along = |(&dim, spacing): (&isize, &Spacing)| x.gradient(spacing, dim, edge_order);
    out(dims
        .iter()
        .zip(&spacings)
        .map(along)
        .collect::<Result<Vec<_>>>()?)
}

fn segment_reduce(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "data")?;
    let reduction = match a.opt_str(1, "reduce")?.as_deref() {
        Some("sum") => SegmentReduction::Sum,
        Some("mean") => SegmentReduction::Mean,
        Some("max") => SegmentReduction::Amax,
        Some("min") => SegmentReduction::Amin,
        Some("prod") => SegmentReduction::Prod,
        other => bail!(Value, "segment_reduce: reduce {other:?}"),
    };
    let lengths = a.opt_tensor(usize::MAX, "lengths")?;
    let offsets = a.opt_tensor(usize::MAX, "offsets")?;
    let axis = a.int(usize::MAX, "axis", 0)?;
    let axis = if axis < 0 { axis + x.rank() as i64 } else { axis } as usize;
    a.bool(usize::MAX, "unsafe", false)?;
    let initial = a.opt_scalar(usize::MAX, "initial")?;
    let segments = match (&lengths, &offsets) {
        (Some(lengths), None) => Segments::Lengths(lengths),
        (None, Some(offsets)) => Segments::Offsets(offsets),
        _ => bail!(Value, "segment_reduce: expected either lengths or offsets"),
    };
    out(x.segment_reduce(reduction, segments, axis, initial)?)
}

pub(super) const TABLE: &[Entry] = &[
    ("sort", |a| {
        let (x, dim, descending) = order(a)?;
        out(x.sort(dim, descending)?)
    }),
    ("argsort", |a| {
        let (x, dim, descending) = order(a)?;
        out(x.argsort(dim, descending)?)
    }),
    ("msort", |a| out(a.tensor(0, "input")?.msort()?)),
    ("topk", |a| {
        let x = a.tensor(0, "input")?;
        let k = a.required_count(1, "k")?;
        let dim = a.int(2, "dim", -1)? as isize;
        let (largest, sorted) = (a.bool(3, "largest", true)?, a.bool(4, "sorted", true)?);
        out(x.topk(k, dim, largest, sorted)?)
    }),
    ("kthvalue", |a| {
        let x = a.tensor(0, "input")?;
        let k = a.required_count(1, "k")?;
        let dim = a.int(2, "dim", -1)? as isize;
        let keepdim = a.bool(3, "keepdim", false)?;
        out(x.kthvalue(k, dim, keepdim)?)
    }),
    ("median", |a| median(a, Tensor::median, Tensor::median_dim)),
    ("nanmedian", |a| {
        median(a, Tensor::nanmedian, Tensor::nanmedian_dim)
    }),
    ("mode", |a| {
        let x = a.tensor(0, "input")?;
        let dim = a.int(1, "dim", -1)? as isize;
        let keepdim = a.bool(2, "keepdim", false)?;
        out(x.mode(dim, keepdim)?)
    }),
    ("unique", |a| {
        let x = a.tensor(0, "input")?;
        a.bool(1, "sorted", true)?;
        let (inverse, counts) = (
            a.bool(2, "return_inverse", false)?,
            a.bool(3, "return_counts", false)?,
        );
        let dim = opt_dim(a, 4, "dim")?;
        unique_output(x.unique(dim)?, inverse, counts)
    }),
    ("unique_consecutive", |a| {
        let x = a.tensor(0, "input")?;
        let (inverse, counts) = (
            a.bool(1, "return_inverse", false)?,
            a.bool(2, "return_counts", false)?,
        );
        let dim = opt_dim(a, 3, "dim")?;
        unique_output(x.unique_consecutive(dim)?, inverse, counts)
    }),
    ("searchsorted", |a| {
        let sorted = a.tensor(0, "sorted_sequence")?;
        let name = if a.peek(1, "self").is_some() {
            "self"
        } else {
            "input"
        };
        let values = values_like(a, 1, name, &sorted)?;
        let (right, sorter) = (right_side(a)?, a.opt_tensor(usize::MAX, "sorter")?);
        let found = sorted.searchsorted(&values, right, sorter.as_ref())?;
        index_width(a, found)
    }),
    ("bucketize", |a| {
        let boundaries = a.tensor(1, "boundaries")?;
        let x = values_like(a, 0, "input", &boundaries)?;
        let right = right_side(a)?;
        let found = x.bucketize(&boundaries, right)?;
        index_width(a, found)
    }),
    ("bincount", |a| {
        let x = a.tensor(0, "input")?;
        let weights = a.opt_tensor(1, "weights")?;
        let minlength = a.count(2, "minlength", 0)?;
        out(x.bincount(weights.as_ref(), minlength)?)
    }),
    ("histc", |a| {
        let x = a.tensor(0, "input")?;
        let bins = a.count(1, "bins", 100)?;
        let (min, max) = (a.float(2, "min", 0.0)?, a.float(3, "max", 0.0)?);
        out(x.histc(bins, min, max)?)
    }),
    ("histogram", histogram),
    ("histogramdd", histogramdd),
    ("quantile", |a| quantile(a, Tensor::quantile)),
    ("nanquantile", |a| quantile(a, Tensor::nanquantile)),
    ("cov", |a| {
        let x = a.tensor(0, "input")?;
        let correction = a.float(usize::MAX, "correction", 1.0)?;
        let frequencies = a.opt_tensor(usize::MAX, "fweights")?;
        let weights = a.opt_tensor(usize::MAX, "aweights")?;
        out(x.cov(correction, frequencies.as_ref(), weights.as_ref())?)
    }),
    ("corrcoef", |a| out(a.tensor(0, "input")?.corrcoef()?)),
    ("trapezoid", |a| trapezoid(a, Tensor::trapezoid)),
    ("trapz", |a| trapezoid(a, Tensor::trapezoid)),
    ("cumulative_trapezoid", |a| {
        trapezoid(a, Tensor::cumulative_trapezoid)
    }),
    ("diff", |a| {
        let x = a.tensor(0, "input")?;
        let n = a.count(1, "n", 1)?;
        let dim = a.int(2, "dim", -1)? as isize;
        let (prepend, append) = (a.opt_tensor(3, "prepend")?, a.opt_tensor(4, "append")?);
        out(x.diff(n, dim, prepend.as_ref(), append.as_ref())?)
    }),
    ("gradient", gradient),
    ("segment_reduce", segment_reduce),
    ("cdist", |a| {
        let (x, y) = (a.tensor(0, "x1")?, a.tensor(1, "x2")?);
        let p = a.float(2, "p", 2.0)?;
        a.opt_str(3, "compute_mode")?;
        out(x.cdist(&y, p)?)
    }),
    ("nn.functional.pdist", |a| {
        let x = a.tensor(0, "input")?;
        out(x.pdist(a.float(1, "p", 2.0)?)?)
    }),
    ("nn.functional.pairwise_distance", |a| {
        let (x, y) = (a.tensor(0, "x1")?, a.tensor(1, "x2")?);
        let (p, eps) = (a.float(2, "p", 2.0)?, a.float(3, "eps", 1e-6)?);
        let keepdim = a.bool(4, "keepdim", false)?;
        out(x.pairwise_distance(&y, p, eps, keepdim)?)
    }),
    ("nn.functional.cosine_similarity", |a| {
        let (x, y) = (a.tensor(0, "x1")?, a.tensor(1, "x2")?);
        let dim = a.int(2, "dim", 1)? as isize;
        let eps = a.float(3, "eps", 1e-8)?;
        out(x.cosine_similarity(&y, dim, eps)?)
    }),
];
