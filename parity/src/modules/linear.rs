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
            unary($conv::new(c_in as usize, c_out as usize, kernel, options(a)?)?)
        }),
        (stringify!($transpose), |a| {
            let [c_in, c_out] = [a.required_int(0, "in_channels")?, a.required_int(1, "out_channels")?];
            let kernel = sizes::<$d>(a, 2, "kernel_size", None)?;
            transposed(a, |options| $transpose::new(c_in as usize, c_out as usize, kernel, options), $transpose::forward_with_size)
        }),
    )*] };
}

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

fn options<const D: usize>(a: &mut Args) -> Result<ConvOptions<D>> {
    let padding_mode = match a.opt_str(8, "padding_mode")?.as_deref() {
        None | Some("zeros") => PaddingMode::Zeros,
        Some("reflect") => PaddingMode::Reflect,
        Some("replicate") => PaddingMode::Replicate,
        Some("circular") => PaddingMode::Circular,
        Some(other) => bail!(Value, "{}: padding_mode {other}", a.op()),
    };
    let padding = match a.peek(4, "padding") {
        Some(Arg::Str(_)) => match a.opt_str(4, "padding")?.as_deref() {
            Some("same") => Padding::Same,
            _ => Padding::Valid,
        },
        _ => Padding::Explicit(sizes(a, 4, "padding", Some(0))?),
    };
    Ok(ConvOptions {
        stride: sizes(a, 3, "stride", Some(1))?,
        padding,
        dilation: sizes(a, 5, "dilation", Some(1))?,
        groups: a.count(6, "groups", 1)?,
        bias: a.bool(7, "bias", true)?,
        padding_mode,
    })
}

fn transposed<M: Forward + 'static, const D: usize>(
    a: &mut Args,
    new: impl FnOnce(ConvTransposeOptions<D>) -> Result<M>,
    with_size: fn(&M, &Tensor, [usize; D]) -> Result<Tensor>,
) -> Result<Box<dyn Instance>> {
    a.take(9, "padding_mode");
    let module = new(ConvTransposeOptions {
        stride: sizes(a, 3, "stride", Some(1))?,
        padding: sizes(a, 4, "padding", Some(0))?,
        output_padding: sizes(a, 5, "output_padding", Some(0))?,
        groups: a.count(6, "groups", 1)?,
        bias: a.bool(7, "bias", true)?,
        dilation: sizes(a, 8, "dilation", Some(1))?,
    })?;
    of(module, move |module, a| {
        let x = a.tensor(0, "input")?;
        if matches!(a.peek(1, "output_size"), None | Some(Arg::None)) {
            a.take(1, "output_size");
            return out(module.forward(&x)?);
        }
        out(with_size(module, &x, sizes(a, 1, "output_size", None)?)?)
    })
}
