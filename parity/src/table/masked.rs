//! `torch.masked`.

use flambeau_tensor::ops::masked::{self, Masked};
use flambeau_tensor::{Result, Tensor};

use super::reduction::opt_dim;
use crate::args::Args;
use crate::registry::{Entry, Output, out};

/// `dim`, `keepdim`, `dtype` and `mask`, with `dim` at `position`.
fn options(a: &mut Args, position: usize) -> Result<Masked> {
    let dims = a.opt_dims(position, "dim")?.filter(|dims| !dims.is_empty());
    let keepdim = a.bool(usize::MAX, "keepdim", false)?;
    Ok(Masked {
        dims,
        keepdim,
        ..mask_and_dtype(a)?
    })
}

fn mask_and_dtype(a: &mut Args) -> Result<Masked> {
    Ok(Masked {
        dtype: a.opt_dtype(usize::MAX, "dtype")?,
        mask: a.opt_tensor(usize::MAX, "mask")?,
        ..Masked::default()
    })
}

fn reduction(a: &mut Args, f: fn(&Tensor, &Masked) -> Result<Tensor>) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    out(f(&x, &options(a, 1)?)?)
}

fn along(a: &mut Args, f: fn(&Tensor, isize, &Masked) -> Result<Tensor>) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let dim = a.required_int(1, "dim")? as isize;
    out(f(&x, dim, &mask_and_dtype(a)?)?)
}

fn arg_extreme(a: &mut Args, f: fn(&Tensor, Option<isize>, &Masked) -> Result<Tensor>) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let dim = opt_dim(a, 1, "dim")?;
    let options = options(a, usize::MAX)?;
    // PyTorch gives these indices the type of the input.
    let dtype = options.dtype.unwrap_or(x.dtype());
    out(f(&x, dim, &options)?.to_dtype(dtype)?)
}

/// `var` and `std`: `unbiased` is the third argument, or `correction` is given.
fn spread(a: &mut Args, f: fn(&Tensor, f64, &Masked) -> Result<Tensor>) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let unbiased = a.bool(2, "unbiased", true)?;
    let correction = a.float(usize::MAX, "correction", if unbiased { 1.0 } else { 0.0 })?;
    out(f(&x, correction, &options(a, 1)?)?)
}

pub(super) const TABLE: &[Entry] = &[
    ("masked.sum", |a| reduction(a, masked::sum)),
    ("masked.prod", |a| reduction(a, masked::prod)),
    ("masked.mean", |a| reduction(a, masked::mean)),
    ("masked.amax", |a| reduction(a, masked::amax)),
    ("masked.amin", |a| reduction(a, masked::amin)),
    ("masked.logsumexp", |a| reduction(a, masked::logsumexp)),
    ("masked.argmax", |a| arg_extreme(a, masked::argmax)),
    ("masked.argmin", |a| arg_extreme(a, masked::argmin)),
    ("masked.var", |a| spread(a, masked::var)),
    ("masked.std", |a| spread(a, masked::std)),
    ("masked.norm", |a| {
        let x = a.tensor(0, "input")?;
        let p = a.float(1, "ord", 2.0)?;
        out(masked::norm(&x, p, &options(a, 2)?)?)
    }),
    ("masked.normalize", |a| {
        let x = a.tensor(0, "input")?;
        let p = a.float(1, "ord", 2.0)?;
        let dim = a.required_int(2, "dim")? as isize;
        let eps = a.float(usize::MAX, "eps", 1e-12)?;
        out(masked::normalize(&x, p, dim, eps, &mask_and_dtype(a)?)?)
    }),
    ("masked.median", |a| {
        let x = a.tensor(0, "input")?;
        let dim = a.int(1, "dim", -1)? as isize;
        out(masked::median(&x, dim, &options(a, usize::MAX)?)?)
    }),
    ("masked.logaddexp", |a| {
        let (x, y) = (a.tensor(0, "input")?, a.tensor(1, "other")?);
        let dtype = a.opt_dtype(usize::MAX, "dtype")?;
        let cast = |x: Tensor| dtype.map_or(Ok(x.clone()), |dtype| x.to_dtype(dtype));
        let (x, y) = (cast(x)?, cast(y)?);
        let x_mask = a.opt_tensor(usize::MAX, "input_mask")?;
        let y_mask = a.opt_tensor(usize::MAX, "other_mask")?;
        out(masked::logaddexp(&x, &y, x_mask.as_ref(), y_mask.as_ref())?)
    }),
    ("masked.softmax", |a| along(a, masked::softmax)),
    ("masked.softmin", |a| along(a, masked::softmin)),
    ("masked.log_softmax", |a| along(a, masked::log_softmax)),
    ("masked.cumsum", |a| along(a, masked::cumsum)),
    ("masked.cumprod", |a| along(a, masked::cumprod)),
];
