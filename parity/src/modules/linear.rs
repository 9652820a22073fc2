//! Linear layers and convolutions.

use flambeau_nn::*;
use flambeau_tensor::ops::conv::Padding;
use flambeau_tensor::{Result, Tensor, bail};

use super::{Entry, Instance, of, unary};
use crate::args::{Arg, Args};
use crate::registry::out;

macro_rules! convolutions {
    ($($conv:ident, $transpose:ident, $d:literal;)*) => { &[$(
        (stringify!($conv), |a| {
            let [c_in, c_out] = [a.required_int(0, "in_channels")?, a.required_int(1, "out_channels")?];
            let kernel = sizes::<$d>(a, 2, "kernel_size", None)?;
            unary($conv::new(c_in as usize, c_out as usize, kernel, options(a, 3)?)?)
        }),
        (stringify!($transpose), |a| {
            let [c_in, c_out] = [a.required_int(0, "in_channels")?, a.required_int(1, "out_channels")?];
            let kernel = sizes::<$d>(a, 2, "kernel_size", None)?;
            transposed(a, |options| $transpose::new(c_in as usize, c_out as usize, kernel, options), $transpose::forward_with_size)
        }),
    )*] };
}

macro_rules! lazy_convolutions {
    ($($name:literal $conv:ident, $transpose_name:literal $transpose:ident, $d:literal;)*) => { &[$(
        ($name, |a| {
            let c_out = a.required_int(0, "out_channels")? as usize;
            let (kernel, options) = (sizes::<$d>(a, 1, "kernel_size", None)?, options(a, 2)?);
            unary($conv::lazy(c_out, kernel, options))
        }),
        ($transpose_name, |a| {
            let c_out = a.required_int(0, "out_channels")? as usize;
            let (kernel, options) = (sizes::<$d>(a, 1, "kernel_size", None)?, transposed_options(a, 2)?);
            unary($transpose::lazy(c_out, kernel, options))
        }),
    )*] };
}

pub(super) const LAZY: &[Entry] = lazy_convolutions! {
    "LazyConv1d" Conv1d, "LazyConvTranspose1d" ConvTranspose1d, 1;
    "LazyConv2d" Conv2d, "LazyConvTranspose2d" ConvTranspose2d, 2;
    "LazyConv3d" Conv3d, "LazyConvTranspose3d" ConvTranspose3d, 3;
};

pub(super) const CONVOLUTIONS: &[Entry] = convolutions! {
    Conv1d, ConvTranspose1d, 1;
    Conv2d, ConvTranspose2d, 2;
    Conv3d, ConvTranspose3d, 3;
};

pub(super) const TABLE: &[Entry] = &[
    ("Bilinear", |a| {
        let sizes = [
            a.required_int(0, "in1_features")?,
            a.required_int(1, "in2_features")?,
        ];
        let out_features = a.required_int(2, "out_features")? as usize;
        let options = LinearOptions {
            bias: a.bool(3, "bias", true)?,
        };
        of(
            Bilinear::new(sizes[0] as usize, sizes[1] as usize, out_features, options)?,
            |layer, a| out(layer.forward(&a.tensor(0, "input1")?, &a.tensor(1, "input2")?)?),
        )
    }),
    ("LazyLinear", |a| {
        let out_features = a.required_count(0, "out_features")?;
        let bias = a.bool(1, "bias", true)?;
        unary(Linear::lazy(out_features, LinearOptions { bias }))
    }),
    ("Linear", |a| {
        let sizes = [
            a.required_int(0, "in_features")?,
            a.required_int(1, "out_features")?,
        ];
        unary(Linear::new(
            sizes[0] as usize,
            sizes[1] as usize,
            LinearOptions {
                bias: a.bool(2, "bias", true)?,
            },
        )?)
    }),
];

/// One number for all dimensions, or one for each.
pub(super) fn sizes<const D: usize>(
    args: &mut Args,
    position: usize,
    name: &str,
    default: Option<usize>,
) -> Result<[usize; D]> {
    let given = args.opt_ints(position, name)?;
    match (given.as_deref(), default) {
        (Some([one]), _) => Ok([*one as usize; D]),
        (Some(all), _) if all.len() == D => Ok(std::array::from_fn(|d| all[d] as usize)),
        (None, Some(default)) => Ok([default; D]),
        (given, _) => bail!(Value, "{}: {name} {given:?}", args.op()),
    }
}

/// The settings from the stride, which stands at `first`.
fn options<const D: usize>(a: &mut Args, first: usize) -> Result<ConvOptions<D>> {
    let padding_mode = match a.opt_str(first + 5, "padding_mode")?.as_deref() {
        None | Some("zeros") => PaddingMode::Zeros,
        Some("reflect") => PaddingMode::Reflect,
        Some("replicate") => PaddingMode::Replicate,
        Some("circular") => PaddingMode::Circular,
        Some(other) => bail!(Value, "{}: padding_mode {other}", a.op()),
    };
    let padding = match a.peek(first + 1, "padding") {
        Some(Arg::Str(_)) => match a.opt_str(first + 1, "padding")?.as_deref() {
            Some("same") => Padding::Same,
            _ => Padding::Valid,
        },
        _ => Padding::Explicit(sizes(a, first + 1, "padding", Some(0))?),
    };
    Ok(ConvOptions {
        stride: sizes(a, first, "stride", Some(1))?,
        padding,
        dilation: sizes(a, first + 2, "dilation", Some(1))?,
        groups: a.count(first + 3, "groups", 1)?,
        bias: a.bool(first + 4, "bias", true)?,
        padding_mode,
    })
}

/// [`options`] of transposed convolutions.
fn transposed_options<const D: usize>(a: &mut Args, first: usize) -> Result<ConvTransposeOptions<D>> {
    a.take(first + 6, "padding_mode");
    Ok(ConvTransposeOptions {
        stride: sizes(a, first, "stride", Some(1))?,
        padding: sizes(a, first + 1, "padding", Some(0))?,
        output_padding: sizes(a, first + 2, "output_padding", Some(0))?,
        groups: a.count(first + 3, "groups", 1)?,
        bias: a.bool(first + 4, "bias", true)?,
        dilation: sizes(a, first + 5, "dilation", Some(1))?,
    })
}

fn transposed<M: Forward + 'static, const D: usize>(
    a: &mut Args,
    new: impl FnOnce(ConvTransposeOptions<D>) -> Result<M>,
    with_size: fn(&M, &Tensor, [usize; D]) -> Result<Tensor>,
) -> Result<Box<dyn Instance>> {
    let module = new(transposed_options(a, 3)?)?;
    of(module, move |module, a| {
        let x = a.tensor(0, "input")?;
        if matches!(a.peek(1, "output_size"), None | Some(Arg::None)) {
            a.take(1, "output_size");
            return out(module.forward(&x)?);
        }
        out(with_size(module, &x, sizes(a, 1, "output_size", None)?)?)
    })
}
