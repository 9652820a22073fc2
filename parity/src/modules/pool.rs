//! Pools.

use flambeau_nn::*;
use flambeau_tensor::ops::pool::{AvgPoolOptions, FractionalOutput, MaxPoolOptions};
use flambeau_tensor::{Result, Tensor, bail};

use super::linear::sizes;
use super::{Entry, Instance, of, unary};
use crate::args::{Arg, Args};
use crate::registry::out;

macro_rules! pools {
    ($($d:literal: $max:ident, $unpool:ident, $average:ident, $lp:ident, $adaptive_max:ident, $adaptive_average:ident;)*) => { &[$(
        (stringify!($max), |a| {
            let kernel = sizes::<$d>(a, 0, "kernel_size", None)?;
            let options = MaxPoolOptions {
                stride: Some(stride(a, 1, kernel)?),
                padding: sizes(a, 2, "padding", Some(0))?,
                dilation: sizes(a, 3, "dilation", Some(1))?,
                ceil_mode: a.bool(5, "ceil_mode", false)?,
            };
            let indices = a.bool(4, "return_indices", false)?;
            with_indices($max::new(kernel, options), indices, $max::forward_with_indices)
        }),
        (stringify!($unpool), |a| {
            let kernel = sizes::<$d>(a, 0, "kernel_size", None)?;
            let stride = stride(a, 1, kernel)?;
            of($unpool::new(kernel, Some(stride), sizes(a, 2, "padding", Some(0))?), |pool, a| {
                let (x, indices) = (a.tensor(0, "input")?, a.tensor(1, "indices")?);
                let size = a.opt_ints(2, "output_size")?;
                let size = size.map(|all| std::array::from_fn(|d| all[all.len() - $d + d] as usize));
                out(pool.forward(&x, &indices, size)?)
            })
        }),
        (stringify!($average), |a| {
            let kernel = sizes::<$d>(a, 0, "kernel_size", None)?;
            let options = AvgPoolOptions {
                stride: Some(stride(a, 1, kernel)?),
                padding: sizes(a, 2, "padding", Some(0))?,
                ceil_mode: a.bool(3, "ceil_mode", false)?,
                count_include_pad: a.bool(4, "count_include_pad", true)?,
                divisor_override: a.opt_int(5, "divisor_override")?,
            };
            unary($average::new(kernel, options))
        }),
        (stringify!($lp), |a| {
            let norm_type = a.float(0, "norm_type", f64::NAN)?;
            let kernel = sizes::<$d>(a, 1, "kernel_size", None)?;
            let stride = stride(a, 2, kernel)?;
            unary($lp::new(norm_type, kernel, Some(stride), a.bool(3, "ceil_mode", false)?))
        }),
        (stringify!($adaptive_max), |a| {
            let output = output_size::<$d>(a)?;
            let indices = a.bool(1, "return_indices", false)?;
            with_indices($adaptive_max::new(output), indices, $adaptive_max::forward_with_indices)
        }),
        (stringify!($adaptive_average), |a| unary($adaptive_average::new(output_size::<$d>(a)?))),
    )*] };
}

macro_rules! fractional {
    ($($name:ident, $d:literal;)*) => { &[$(
        (stringify!($name), |a| {
            let kernel = sizes::<$d>(a, 0, "kernel_size", None)?;
            let ratio = a.opt_floats(2, "output_ratio")?;
            let sized = !matches!(a.peek(1, "output_size"), None | Some(Arg::None));
            let output = match ratio.as_deref() {
                None if sized => FractionalOutput::Size(sizes(a, 1, "output_size", None)?),
                Some(&[ratio]) if !sized => FractionalOutput::Ratio([ratio; $d]),
                Some(ratios) if !sized && ratios.len() == $d => {
                    FractionalOutput::Ratio(std::array::from_fn(|d| ratios[d]))
                }
                _ => bail!(Value, "{}: expected either output_size or output_ratio", a.op()),
            };
            a.take(1, "output_size");
            let indices = a.bool(3, "return_indices", false)?;
            let mut pool = $name::new(kernel, output);
            pool.random_samples = a.opt_tensor(4, "_random_samples")?.map(Buffer::new);
            with_indices(pool, indices, $name::forward_with_indices)
        }),
    )*] };
}

pub(super) const FRACTIONAL: &[Entry] = fractional! {
    FractionalMaxPool2d, 2;
    FractionalMaxPool3d, 3;
};

pub(super) const TABLE: &[Entry] = pools! {
    1: MaxPool1d, MaxUnpool1d, AvgPool1d, LPPool1d, AdaptiveMaxPool1d, AdaptiveAvgPool1d;
    2: MaxPool2d, MaxUnpool2d, AvgPool2d, LPPool2d, AdaptiveMaxPool2d, AdaptiveAvgPool2d;
    3: MaxPool3d, MaxUnpool3d, AvgPool3d, LPPool3d, AdaptiveMaxPool3d, AdaptiveAvgPool3d;
};

/// The stride, which is the kernel's size unless given.
fn stride<const D: usize>(a: &mut Args, position: usize, kernel: [usize; D]) -> Result<[usize; D]> {
    match a.peek(position, "stride") {
        None | Some(Arg::None) => {
            a.take(position, "stride");
            Ok(kernel)
        }
        _ => sizes(a, position, "stride", None),
    }
}

/// Sizes of which some may be `None`.
fn output_size<const D: usize>(a: &mut Args) -> Result<[Option<usize>; D]> {
    let item = |item: &Arg| match item {
        Arg::Int(size) => Ok(Some(*size as usize)),
        Arg::None => Ok(None),
        other => bail!(Value, "output_size {other:?}"),
    };
    match a.take(0, "output_size") {
        Some(Arg::List(items)) if items.len() == D => {
            let mut sizes = [None; D];
            for (size, given) in sizes.iter_mut().zip(&items) {
                *size = item(given)?;
            }
            Ok(sizes)
        }
        Some(Arg::List(items)) if items.len() == 1 => Ok([item(&items[0])?; D]),
        Some(one) => Ok([item(&one)?; D]),
        None => bail!(Value, "{}: output_size is missing", a.op()),
    }
}

fn with_indices<M: Forward + 'static>(
    module: M,
    indices: bool,
    both: fn(&M, &Tensor) -> Result<(Tensor, Tensor)>,
) -> Result<Box<dyn Instance>> {
    if !indices {
        return unary(module);
    }
    of(module, move |module, a| {
        out(both(module, &a.tensor(0, "input")?)?)
    })
}
