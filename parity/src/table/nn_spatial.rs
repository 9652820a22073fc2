//! `nn.functional`: pooling, padding, resampling, sliding blocks and shuffles.

use flambeau_tensor::ops::fold::{
    UnfoldOptions, channel_shuffle, fold, pixel_shuffle, pixel_unshuffle, unfold,
};
use flambeau_tensor::ops::grid_sample::{
    GridInterpolation, GridPadding, GridSampleOptions, affine_grid, grid_sample,
};
use flambeau_tensor::ops::interpolate::{InterpolateMode, InterpolateOptions, InterpolateSize, interpolate};
use flambeau_tensor::ops::pad::PadMode;
use flambeau_tensor::ops::pool::{
    AvgPoolOptions, FractionalOutput, MaxPoolOptions, adaptive_avg_pool, adaptive_max_pool_with_indices,
    avg_pool, fractional_max_pool_with_indices, lp_pool, max_pool, max_pool_with_indices, max_unpool,
    max_unpool_sizes,
};
use flambeau_tensor::{Result, bail};

use super::nn::{count, counts, per_dimension};
use crate::args::{Arg, Args};
use crate::registry::{Entry, Output, out};

pub(super) const TABLE: &[Entry] = &[
    ("nn.functional.max_pool1d", |a| max_pooling::<1>(a)),
    ("nn.functional.max_pool2d", |a| max_pooling::<2>(a)),
    ("nn.functional.max_pool3d", |a| max_pooling::<3>(a)),
    ("nn.functional.avg_pool1d", |a| average_pooling::<1>(a)),
    ("nn.functional.avg_pool2d", |a| average_pooling::<2>(a)),
    ("nn.functional.avg_pool3d", |a| average_pooling::<3>(a)),
    ("nn.functional.adaptive_avg_pool1d", |a| adaptive_average::<1>(a)),
    ("nn.functional.adaptive_avg_pool2d", |a| adaptive_average::<2>(a)),
    ("nn.functional.adaptive_avg_pool3d", |a| adaptive_average::<3>(a)),
    ("nn.functional.adaptive_max_pool1d", |a| adaptive_maximum::<1>(a)),
    ("nn.functional.adaptive_max_pool2d", |a| adaptive_maximum::<2>(a)),
    ("nn.functional.adaptive_max_pool3d", |a| adaptive_maximum::<3>(a)),
    ("nn.functional.max_unpool1d", |a| unpooling::<1>(a)),
    ("nn.functional.max_unpool2d", |a| unpooling::<2>(a)),
    ("nn.functional.max_unpool3d", |a| unpooling::<3>(a)),
    ("nn.functional.fractional_max_pool2d", |a| fractional::<2>(a)),
    ("nn.functional.fractional_max_pool3d", |a| fractional::<3>(a)),
    ("nn.functional.lp_pool1d", |a| power_pooling::<1>(a)),
    ("nn.functional.lp_pool2d", |a| power_pooling::<2>(a)),
    ("nn.functional.lp_pool3d", |a| power_pooling::<3>(a)),
    ("nn.functional.pad", |a| {
        let (x, padding) = (a.tensor(0, "input")?, a.ints(1, "pad")?);
        let mode = match a.opt_str(2, "mode")?.as_deref() {
            None | Some("constant") => PadMode::Constant,
            Some("reflect") => PadMode::Reflect,
            Some("replicate") => PadMode::Replicate,
            Some("circular") => PadMode::Circular,
            Some(other) => bail!(Value, "pad: mode {other}"),
        };
        let value = a.opt_scalar(3, "value")?.unwrap_or(0.into());
        out(x.pad(&signed(&padding), mode, value)?)
    }),
    ("nn.functional.interpolate", |a| {
        let mode = match a.opt_str(3, "mode")?.as_deref() {
            None | Some("nearest") => InterpolateMode::Nearest,
            Some("nearest-exact") => InterpolateMode::NearestExact,
            Some("linear") => InterpolateMode::Linear,
            Some("bilinear") => InterpolateMode::Bilinear,
            Some("bicubic") => InterpolateMode::Bicubic,
            Some("trilinear") => InterpolateMode::Trilinear,
            Some("area") => InterpolateMode::Area,
            Some(other) => bail!(Value, "interpolate: mode {other}"),
        };
        let options = InterpolateOptions {
            mode,
            align_corners: a.bool(4, "align_corners", false)?,
            recompute_scale_factor: a.bool(5, "recompute_scale_factor", false)?,
            antialias: a.bool(6, "antialias", false)?,
        };
        resample(a, &options)
    }),
    ("nn.functional.upsample_nearest", |a| {
        resample(a, &InterpolateOptions::default())
    }),
    ("nn.functional.upsample_bilinear", |a| {
        let options = InterpolateOptions {
            mode: InterpolateMode::Bilinear,
            align_corners: true,
            ..InterpolateOptions::default()
        };
        resample(a, &options)
    }),
    ("nn.functional.grid_sample", |a| {
        let (x, grid) = (a.tensor(0, "input")?, a.tensor(1, "grid")?);
        let interpolation = match a.opt_str(2, "mode")?.as_deref() {
            None | Some("bilinear") => GridInterpolation::Bilinear,
            Some("nearest") => GridInterpolation::Nearest,
            Some("bicubic") => GridInterpolation::Bicubic,
            Some(other) => bail!(Value, "grid_sample: mode {other}"),
        };
        let padding = match a.opt_str(3, "padding_mode")?.as_deref() {
            None | Some("zeros") => GridPadding::Zeros,
            Some("border") => GridPadding::Border,
            Some("reflection") => GridPadding::Reflection,
            Some(other) => bail!(Value, "grid_sample: padding_mode {other}"),
        };
        let options = GridSampleOptions {
            interpolation,
            padding,
            align_corners: a.bool(4, "align_corners", false)?,
        };
        out(grid_sample(&x, &grid, &options)?)
    }),
    ("grid_sampler_2d", grid_sampler),
    ("grid_sampler_3d", grid_sampler),
    ("nn.functional.affine_grid", |a| {
        let (theta, size) = (a.tensor(0, "theta")?, counts("size", &a.ints(1, "size")?, a)?);
        out(affine_grid(&theta, &size, a.bool(2, "align_corners", false)?)?)
    }),
    ("nn.functional.unfold", |a| {
        let x = a.tensor(0, "input")?;
        let kernel = required::<2>(a, 1, "kernel_size")?;
        out(unfold(&x, kernel, &unfold_options(a, 2)?)?)
    }),
    ("nn.functional.fold", |a| {
        let x = a.tensor(0, "input")?;
        let (image, kernel) = (
            required::<2>(a, 1, "output_size")?,
            required::<2>(a, 2, "kernel_size")?,
        );
        out(fold(&x, image, kernel, &unfold_options(a, 3)?)?)
    }),
    ("nn.functional.pixel_shuffle", |a| {
        let (x, r) = (a.tensor(0, "input")?, a.required_int(1, "upscale_factor")?);
        out(pixel_shuffle(&x, count("upscale_factor", r, a)?)?)
    }),
    ("nn.functional.pixel_unshuffle", |a| {
        let (x, r) = (a.tensor(0, "input")?, a.required_int(1, "downscale_factor")?);
        out(pixel_unshuffle(&x, count("downscale_factor", r, a)?)?)
    }),
    ("nn.functional.channel_shuffle", |a| {
        let (x, groups) = (a.tensor(0, "input")?, a.required_int(1, "groups")?);
        out(channel_shuffle(&x, count("groups", groups, a)?)?)
    }),
];

fn signed(ints: &[i64]) -> Vec<isize> {
    ints.iter().map(|&i| i as isize).collect()
}

fn required<const D: usize>(a: &mut Args, position: usize, name: &str) -> Result<[usize; D]> {
    match per_dimension(a, position, name)? {
        Some(sizes) => Ok(sizes),
        None => bail!(Value, "{}: argument `{name}` is missing", a.op()),
    }
}

fn max_pooling<const D: usize>(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let kernel = required::<D>(a, 1, "kernel_size")?;
    let options = MaxPoolOptions {
        stride: per_dimension(a, 2, "stride")?,
        padding: per_dimension(a, 3, "padding")?.unwrap_or([0; D]),
        dilation: per_dimension(a, 4, "dilation")?.unwrap_or([1; D]),
        ceil_mode: a.bool(5, "ceil_mode", false)?,
    };
    if a.bool(6, "return_indices", false)? {
        return out(max_pool_with_indices(&x, kernel, &options)?);
    }
    out(max_pool(&x, kernel, &options)?)
}

fn average_pooling<const D: usize>(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let kernel = required::<D>(a, 1, "kernel_size")?;
    let divisor = if D > 1 {
        a.opt_int(6, "divisor_override")?
    } else {
        None
    };
    let options = AvgPoolOptions {
        stride: per_dimension(a, 2, "stride")?,
        padding: per_dimension(a, 3, "padding")?.unwrap_or([0; D]),
        ceil_mode: a.bool(4, "ceil_mode", false)?,
        count_include_pad: a.bool(5, "count_include_pad", true)?,
        divisor_override: divisor,
    };
    out(avg_pool(&x, kernel, &options)?)
}

fn power_pooling<const D: usize>(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let p = a.scalar(1, "norm_type")?.to_f64();
    let kernel = required::<D>(a, 2, "kernel_size")?;
    let stride = per_dimension(a, 3, "stride")?;
    out(lp_pool(&x, p, kernel, stride, a.bool(4, "ceil_mode", false)?)?)
}

/// Output sizes, `None` for those that stay.
fn adaptive_sizes<const D: usize>(a: &mut Args) -> Result<[Option<usize>; D]> {
    let size = |item: &Arg, a: &Args| match item {
        Arg::None => Ok(None),
        Arg::Int(i) => count("output_size", *i, a).map(Some),
        other => bail!(
            Value,
            "{}: argument `output_size`: expected sizes, got {other:?}",
            a.op()
        ),
    };
    match a.take(1, "output_size") {
        Some(Arg::List(items) | Arg::Tuple(items)) if items.len() == D || items.len() == 1 => {
            let mut sizes = [None; D];
            for (d, s) in sizes.iter_mut().enumerate() {
                *s = size(&items[d.min(items.len() - 1)], a)?;
            }
            Ok(sizes)
        }
        Some(item @ Arg::Int(_)) => Ok([size(&item, a)?; D]),
        other => bail!(
            Value,
            "{}: argument `output_size`: expected {D} sizes, got {other:?}",
            a.op()
        ),
    }
}

fn adaptive_average<const D: usize>(a: &mut Args) -> Result<Output> {
    let (x, sizes) = (a.tensor(0, "input")?, adaptive_sizes::<D>(a)?);
    out(adaptive_avg_pool(&x, sizes)?)
}

fn adaptive_maximum<const D: usize>(a: &mut Args) -> Result<Output> {
    let (x, sizes) = (a.tensor(0, "input")?, adaptive_sizes::<D>(a)?);
    let (y, indices) = adaptive_max_pool_with_indices(&x, sizes)?;
    if a.bool(2, "return_indices", false)? {
        out([y, indices])
    } else {
        out(y)
    }
}

fn unpooling<const D: usize>(a: &mut Args) -> Result<Output> {
    let (x, indices) = (a.tensor(0, "input")?, a.tensor(1, "indices")?);
    let kernel = required::<D>(a, 2, "kernel_size")?;
    let stride = per_dimension(a, 3, "stride")?.unwrap_or(kernel);
    let padding = per_dimension(a, 4, "padding")?.unwrap_or([0; D]);
    let sizes = match a.opt_ints(5, "output_size")? {
        None => max_unpool_sizes(&x, kernel, stride, padding)?,
        Some(ints) if ints.len() >= D => {
            let sizes = counts("output_size", &ints[ints.len() - D..], a)?;
            std::array::from_fn(|d| sizes[d])
        }
        Some(other) => bail!(
            Value,
            "{}: argument `output_size`: expected {D} sizes, got {other:?}",
            a.op()
        ),
    };
    out(max_unpool(&x, &indices, sizes)?)
}

fn fractional<const D: usize>(a: &mut Args) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let kernel = required::<D>(a, 1, "kernel_size")?;
    let ratio = a.opt_floats(3, "output_ratio")?;
    let output = match (per_dimension::<D>(a, 2, "output_size")?, ratio.as_deref()) {
        (Some(size), None) => FractionalOutput::Size(size),
        (None, Some(&[ratio])) => FractionalOutput::Ratio([ratio; D]),
        (None, Some(ratios)) if ratios.len() == D => {
            FractionalOutput::Ratio(std::array::from_fn(|d| ratios[d]))
        }
        _ => bail!(
            Value,
            "fractional_max_pool{D}d: expected either output_size or output_ratio"
        ),
    };
    let return_indices = a.bool(4, "return_indices", false)?;
    let samples = a.opt_tensor(5, "_random_samples")?;
    let (y, indices) = fractional_max_pool_with_indices(&x, kernel, output, samples.as_ref())?;
    if return_indices { out([y, indices]) } else { out(y) }
}

/// The size or scale factors at positions 1 and 2.
fn resample(a: &mut Args, options: &InterpolateOptions) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    match (a.opt_ints(1, "size")?, a.opt_floats(2, "scale_factor")?) {
        (Some(size), None) => {
            let size = counts("size", &size, a)?;
            out(interpolate(&x, InterpolateSize::Size(&size), options)?)
        }
        (None, Some(factors)) => out(interpolate(&x, InterpolateSize::ScaleFactor(&factors), options)?),
        _ => bail!(Value, "interpolate: expected either size or scale_factor"),
    }
}

fn grid_sampler(a: &mut Args) -> Result<Output> {
    let (x, grid) = (a.tensor(0, "input")?, a.tensor(1, "grid")?);
    let interpolation = match a.required_int(2, "interpolation_mode")? {
        0 => GridInterpolation::Bilinear,
        1 => GridInterpolation::Nearest,
        2 => GridInterpolation::Bicubic,
        other => bail!(Value, "grid_sampler: interpolation_mode {other}"),
    };
    let padding = match a.required_int(3, "padding_mode")? {
        0 => GridPadding::Zeros,
        1 => GridPadding::Border,
        2 => GridPadding::Reflection,
        other => bail!(Value, "grid_sampler: padding_mode {other}"),
    };
    let options = GridSampleOptions {
        interpolation,
        padding,
        align_corners: a.bool(4, "align_corners", false)?,
    };
    out(grid_sample(&x, &grid, &options)?)
}

fn unfold_options(a: &mut Args, position: usize) -> Result<UnfoldOptions> {
    Ok(UnfoldOptions {
        dilation: per_dimension(a, position, "dilation")?.unwrap_or([1; 2]),
        padding: per_dimension(a, position + 1, "padding")?.unwrap_or([0; 2]),
        stride: per_dimension(a, position + 2, "stride")?.unwrap_or([1; 2]),
    })
}
