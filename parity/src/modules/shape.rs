//! Embeddings, padding, layers that move elements, distances.

use flambeau_nn::*;
use flambeau_tensor::ops::embedding::{BagMode, EmbeddingOptions};
use flambeau_tensor::ops::fold::UnfoldOptions;
use flambeau_tensor::ops::interpolate::{InterpolateMode, InterpolateOptions};
use flambeau_tensor::{Result, bail};

use super::linear::sizes;
use super::{Entry, Instance, of, unary};
use crate::args::Args;
use crate::registry::out;

macro_rules! pads {
    ($($d:literal: $constant:ident, $($other:ident),*;)*) => { &[$(
        (stringify!($constant), |a| {
            let padding = padding(a)?;
            unary($constant { padding, value: a.float(1, "value", f64::NAN)? })
        }),
        $( (stringify!($other), |a| unary($other { padding: padding(a)? })), )*
    )*] };
}

pub(super) const PADS: &[Entry] = pads! {
    1: ConstantPad1d, ZeroPad1d, ReflectionPad1d, ReplicationPad1d, CircularPad1d;
    2: ConstantPad2d, ZeroPad2d, ReflectionPad2d, ReplicationPad2d, CircularPad2d;
    3: ConstantPad3d, ZeroPad3d, ReflectionPad3d, ReplicationPad3d, CircularPad3d;
};

/// One number for all sides, or one for each.
fn padding<const N: usize>(a: &mut Args) -> Result<[isize; N]> {
    let given = a.ints(0, "padding")?;
    match given.len() {
        1 => Ok([given[0] as isize; N]),
        n if n == N => Ok(std::array::from_fn(|i| given[i] as isize)),
        _ => bail!(Value, "{}: padding {given:?}", a.op()),
    }
}

fn table(a: &mut Args, [max_norm, norm_type, by_freq]: [usize; 3]) -> Result<EmbeddingOptions> {
    Ok(EmbeddingOptions {
        padding_idx: None,
        max_norm: a.opt_float(max_norm, "max_norm")?,
        norm_type: a.float(norm_type, "norm_type", 2.0)?,
        scale_grad_by_freq: a.bool(by_freq, "scale_grad_by_freq", false)?,
    })
}

fn blocks(a: &mut Args, first: usize) -> Result<UnfoldOptions> {
    Ok(UnfoldOptions {
        dilation: sizes(a, first, "dilation", Some(1))?,
        padding: sizes(a, first + 1, "padding", Some(0))?,
        stride: sizes(a, first + 2, "stride", Some(1))?,
    })
}

pub(super) const TABLE: &[Entry] = &[
    ("ChannelShuffle", |a| {
        unary(ChannelShuffle {
            groups: a.required_int(0, "groups")? as usize,
        })
    }),
    ("CosineSimilarity", |a| {
        let layer = CosineSimilarity {
            dim: a.int(0, "dim", 1)? as isize,
            eps: a.float(1, "eps", 1e-8)?,
        };
        of(layer, |layer, a| {
            out(layer.forward(&a.tensor(0, "x1")?, &a.tensor(1, "x2")?)?)
        })
    }),
    ("Embedding", |a| {
        let [rows, dim] = [
            a.required_int(0, "num_embeddings")?,
            a.required_int(1, "embedding_dim")?,
        ];
        let padding_idx = a.opt_int(2, "padding_idx")?.map(|index| index as isize);
        a.take(6, "sparse");
        let options = EmbeddingOptions {
            padding_idx,
            ..table(a, [3, 4, 5])?
        };
        unary(Embedding::new(rows as usize, dim as usize, options)?)
    }),
    ("EmbeddingBag", |a| {
        let [rows, dim] = [
            a.required_int(0, "num_embeddings")?,
            a.required_int(1, "embedding_dim")?,
        ];
        let mode = match a.opt_str(5, "mode")?.as_deref() {
            None | Some("mean") => BagMode::Mean,
            Some("sum") => BagMode::Sum,
            Some("max") => BagMode::Max,
            Some(other) => bail!(Value, "EmbeddingBag: mode {other}"),
        };
        a.take(6, "sparse");
        let padding_idx = a.opt_int(9, "padding_idx")?.map(|index| index as isize);
        let options = EmbeddingBagOptions {
            table: EmbeddingOptions {
                padding_idx,
                ..table(a, [2, 3, 4])?
            },
            mode,
            include_last_offset: a.bool(8, "include_last_offset", false)?,
        };
        of(
            EmbeddingBag::new(rows as usize, dim as usize, options)?,
            |layer, a| {
                let (offsets, weights) = (
                    a.opt_tensor(1, "offsets")?,
                    a.opt_tensor(2, "per_sample_weights")?,
                );
                out(layer.forward(&a.tensor(0, "input")?, offsets.as_ref(), weights.as_ref())?)
            },
        )
    }),
    ("Flatten", |a| {
        unary(Flatten {
            start_dim: a.int(0, "start_dim", 1)? as isize,
            end_dim: a.int(1, "end_dim", -1)? as isize,
        })
    }),
    ("Fold", |a| {
        let (output_size, kernel_size) = (
            sizes(a, 0, "output_size", None)?,
            sizes(a, 1, "kernel_size", None)?,
        );
        unary(Fold {
            output_size,
            kernel_size,
            options: blocks(a, 2)?,
        })
    }),
    ("PairwiseDistance", |a| {
        let layer = PairwiseDistance {
            p: a.float(0, "p", 2.0)?,
            eps: a.float(1, "eps", 1e-6)?,
            keepdim: a.bool(2, "keepdim", false)?,
        };
        of(layer, |layer, a| {
            out(layer.forward(&a.tensor(0, "x1")?, &a.tensor(1, "x2")?)?)
        })
    }),
    ("PixelShuffle", |a| {
        unary(PixelShuffle {
            upscale_factor: a.required_int(0, "upscale_factor")? as usize,
        })
    }),
    ("PixelUnshuffle", |a| {
        unary(PixelUnshuffle {
            downscale_factor: a.required_int(0, "downscale_factor")? as usize,
        })
    }),
    ("Unflatten", |a| {
        let dim = a.required_int(0, "dim")? as isize;
        let unflattened_size = a
            .ints(1, "unflattened_size")?
            .into_iter()
            .map(|size| size as isize)
            .collect();
        unary(Unflatten {
            dim,
            unflattened_size,
        })
    }),
    ("Unfold", |a| {
        let kernel_size = sizes(a, 0, "kernel_size", None)?;
        unary(Unfold {
            kernel_size,
            options: blocks(a, 1)?,
        })
    }),
    ("Upsample", upsample),
    ("UpsamplingBilinear2d", |a| {
        enlarged(a, UpsamplingBilinear2d::to_size, UpsamplingBilinear2d::by_factor)
    }),
    ("UpsamplingNearest2d", |a| {
        enlarged(a, UpsamplingNearest2d::to_size, UpsamplingNearest2d::by_factor)
    }),
];

/// Up-sampling to a size or by factors, one for all dimensions or one for each.
fn enlarged<M: Forward + 'static>(
    a: &mut Args,
    to_size: impl FnOnce(&[usize]) -> M,
    by_factor: impl FnOnce(&[f64]) -> M,
) -> Result<Box<dyn Instance>> {
    match (a.opt_ints(0, "size")?, a.opt_floats(1, "scale_factor")?) {
        (Some(size), None) => {
            let size: Vec<usize> = size.into_iter().map(|size| size as usize).collect();
            unary(to_size(&size))
        }
        (None, Some(factors)) => unary(by_factor(&factors)),
        _ => bail!(Value, "{}: expected either size or scale_factor", a.op()),
    }
}

fn upsample(a: &mut Args) -> Result<Box<dyn Instance>> {
    let mode = match a.opt_str(2, "mode")?.as_deref() {
        None | Some("nearest") => InterpolateMode::Nearest,
        Some("nearest-exact") => InterpolateMode::NearestExact,
        Some("linear") => InterpolateMode::Linear,
        Some("bilinear") => InterpolateMode::Bilinear,
        Some("bicubic") => InterpolateMode::Bicubic,
        Some("trilinear") => InterpolateMode::Trilinear,
        Some("area") => InterpolateMode::Area,
        Some(other) => bail!(Value, "Upsample: mode {other}"),
    };
    let options = InterpolateOptions {
        mode,
        align_corners: a.bool(3, "align_corners", false)?,
        recompute_scale_factor: a.bool(4, "recompute_scale_factor", false)?,
        ..InterpolateOptions::default()
    };
    enlarged(
        a,
        |size| Upsample::to_size(size, options),
        |factors| Upsample::by_factor(factors, options),
    )
}
