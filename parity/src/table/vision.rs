//! `torchvision.transforms.v2.functional` as `vision.…`, and `torchvision.utils` as `vision.utils.…`.

use flambeau_tensor::{Result, bail};
use flambeau_vision::transforms::functional::{
    Affine, Crop, Elastic, InterpolationMode, PaddingMode, Perspective, ResizeOptions, ResizeSize, Rotate,
    adjust_brightness, adjust_contrast, adjust_gamma, adjust_hue, adjust_saturation, adjust_sharpness,
    affine, autocontrast, center_crop, crop, elastic, equalize, erase, five_crop, gaussian_blur,
    grayscale_to_rgb, horizontal_flip, invert, normalize, pad, parse_padding, permute_channels, perspective,
    perspective_coefficients, posterize, resize, resized_crop, rgb_to_grayscale, rotate, solarize, ten_crop,
    to_dtype, vertical_flip,
};
use flambeau_vision::utils::{
    Color, DrawBoxesOptions, DrawMasksOptions, GridOptions, draw_bounding_boxes, draw_segmentation_masks,
    flow_to_image, make_grid,
};

use super::nn::count;
use crate::args::{Arg, Args};
use crate::registry::{Entry, Output, out};

pub(super) const TABLE: &[Entry] = &[
    ("vision.resize", |a| {
        let x = a.tensor(0, "inpt")?;
        let options = ResizeOptions {
            interpolation: interpolation(a, 2, InterpolationMode::Bilinear)?,
            max_size: a.opt_count(3, "max_size")?,
            antialias: a.bool(4, "antialias", true)?,
        };
        let size = size(a, 1, "size")?;
        out(resize(&x, size, &options)?)
    }),
    ("vision.crop", |a| {
        let x = a.tensor(0, "inpt")?;
        out(crop(&x, part(a, ["top", "left", "height", "width"])?)?)
    }),
    ("vision.center_crop", |a| {
        let x = a.tensor(0, "inpt")?;
        out(center_crop(&x, pair(a, 1, "output_size")?)?)
    }),
    ("vision.resized_crop", |a| {
        let x = a.tensor(0, "inpt")?;
        let part = part(a, ["top", "left", "height", "width"])?;
        let size = size(a, 5, "size")?;
        let options = ResizeOptions {
            interpolation: interpolation(a, 6, InterpolationMode::Bilinear)?,
            max_size: None,
            antialias: a.bool(7, "antialias", true)?,
        };
        out(resized_crop(&x, part, size, &options)?)
    }),
    ("vision.five_crop", |a| {
        let x = a.tensor(0, "inpt")?;
        out(five_crop(&x, pair(a, 1, "size")?)?)
    }),
    ("vision.ten_crop", |a| {
        let x = a.tensor(0, "inpt")?;
        let size = pair(a, 1, "size")?;
        out(ten_crop(&x, size, a.bool(2, "vertical_flip", false)?)?)
    }),
    ("vision.horizontal_flip", |a| {
        out(horizontal_flip(&a.tensor(0, "inpt")?)?)
    }),
    ("vision.vertical_flip", |a| {
        out(vertical_flip(&a.tensor(0, "inpt")?)?)
    }),
    ("vision.pad", |a| {
        let x = a.tensor(0, "inpt")?;
        let padding: Vec<isize> = a.ints(1, "padding")?.into_iter().map(|i| i as isize).collect();
        let fill = a.opt_floats(2, "fill")?.unwrap_or_default();
        let mode = a.opt_str(3, "padding_mode")?;
        let Some(mode) = PaddingMode::from_name(mode.as_deref().unwrap_or("constant")) else {
            bail!(Value, "pad: padding_mode {mode:?}")
        };
        out(pad(&x, parse_padding(&padding)?, &fill, mode)?)
    }),
    ("vision.affine", |a| {
        let x = a.tensor(0, "inpt")?;
        let map = Affine {
            angle: a.float(1, "angle", 0.0)?,
            translate: two(a, 2, "translate")?.unwrap_or_default(),
            scale: a.float(3, "scale", 1.0)?,
            shear: match a.opt_floats(4, "shear")?.as_deref() {
                None | Some([]) => [0.0; 2],
                Some([x]) => [*x, 0.0],
                Some([x, y, ..]) => [*x, *y],
            },
            interpolation: interpolation(a, 5, InterpolationMode::Nearest)?,
            fill: a.opt_floats(6, "fill")?,
            center: two(a, 7, "center")?,
        };
        out(affine(&x, &map)?)
    }),
    ("vision.rotate", |a| {
        let x = a.tensor(0, "inpt")?;
        let rotation = Rotate {
            angle: a.float(1, "angle", 0.0)?,
            interpolation: interpolation(a, 2, InterpolationMode::Nearest)?,
            expand: a.bool(3, "expand", false)?,
            center: two(a, 4, "center")?,
            fill: a.opt_floats(5, "fill")?,
        };
        out(rotate(&x, &rotation)?)
    }),
    ("vision.perspective", |a| {
        let x = a.tensor(0, "inpt")?;
        let (start, end) = (corners(a, 1, "startpoints")?, corners(a, 2, "endpoints")?);
        let given = a.opt_floats(5, "coefficients")?;
        let coefficients = match (given.as_deref().map(<[f64; 8]>::try_from), start, end) {
            (Some(Ok(coefficients)), None, None) => coefficients,
            (None, Some(start), Some(end)) => perspective_coefficients(&start, &end)?,
            _ => bail!(
                Value,
                "perspective: expected two times four corners, or eight coefficients"
            ),
        };
        let map = Perspective {
            coefficients,
            interpolation: interpolation(a, 3, InterpolationMode::Bilinear)?,
            fill: a.opt_floats(4, "fill")?,
        };
        out(perspective(&x, &map)?)
    }),
    ("vision.elastic", |a| {
        let x = a.tensor(0, "inpt")?;
        let map = Elastic {
            displacement: a.tensor(1, "displacement")?,
            interpolation: interpolation(a, 2, InterpolationMode::Bilinear)?,
            fill: a.opt_floats(3, "fill")?,
        };
        out(elastic(&x, &map)?)
    }),
    ("vision.erase", |a| {
        let x = a.tensor(0, "inpt")?;
        let part = part(a, ["i", "j", "h", "w"])?;
        let value = a.tensor(5, "v")?;
        a.bool(6, "inplace", false)?;
        out(erase(&x, part, &value)?)
    }),
    ("vision.adjust_brightness", |a| {
        factor(a, "brightness_factor", adjust_brightness)
    }),
    ("vision.adjust_contrast", |a| {
        factor(a, "contrast_factor", adjust_contrast)
    }),
    ("vision.adjust_saturation", |a| {
        factor(a, "saturation_factor", adjust_saturation)
    }),
    ("vision.adjust_sharpness", |a| {
        factor(a, "sharpness_factor", adjust_sharpness)
    }),
    ("vision.adjust_hue", |a| factor(a, "hue_factor", adjust_hue)),
    ("vision.adjust_gamma", |a| {
        let x = a.tensor(0, "inpt")?;
        let (gamma, gain) = (a.scalar(1, "gamma")?.to_f64(), a.float(2, "gain", 1.0)?);
        out(adjust_gamma(&x, gamma, gain)?)
    }),
    ("vision.solarize", |a| factor(a, "threshold", solarize)),
    ("vision.posterize", |a| {
        let x = a.tensor(0, "inpt")?;
        out(posterize(&x, a.required_count(1, "bits")? as u32)?)
    }),
    ("vision.invert", |a| out(invert(&a.tensor(0, "inpt")?)?)),
    ("vision.autocontrast", |a| {
        out(autocontrast(&a.tensor(0, "inpt")?)?)
    }),
    ("vision.equalize", |a| out(equalize(&a.tensor(0, "inpt")?)?)),
    ("vision.rgb_to_grayscale", |a| {
        let x = a.tensor(0, "inpt")?;
        out(rgb_to_grayscale(&x, a.count(1, "num_output_channels", 1)?)?)
    }),
    ("vision.grayscale_to_rgb", |a| {
        out(grayscale_to_rgb(&a.tensor(0, "inpt")?)?)
    }),
    ("vision.permute_channels", |a| {
        let x = a.tensor(0, "inpt")?;
        let order: Vec<usize> = a
            .ints(1, "permutation")?
            .into_iter()
            .map(|i| i as usize)
            .collect();
        out(permute_channels(&x, &order)?)
    }),
    ("vision.gaussian_blur", |a| {
        let x = a.tensor(0, "inpt")?;
        let kernel = pair(a, 1, "kernel_size")?;
        let sigma = two(a, 2, "sigma")?;
        out(gaussian_blur(&x, [kernel.0, kernel.1], sigma)?)
    }),
    ("vision.normalize", |a| {
        let x = a.tensor(0, "inpt")?;
        let (mean, std) = (a.opt_floats(1, "mean")?, a.opt_floats(2, "std")?);
        a.bool(3, "inplace", false)?;
        out(normalize(
            &x,
            &mean.unwrap_or_default(),
            &std.unwrap_or_default(),
        )?)
    }),
    ("vision.to_dtype", |a| {
        let x = a.tensor(0, "inpt")?;
        let dtype = a.opt_dtype(1, "dtype")?.unwrap_or(flambeau_tensor::DType::F32);
        out(to_dtype(&x, dtype, a.bool(2, "scale", false)?)?)
    }),
    ("vision.utils.make_grid", |a| {
        let images = match a.peek(0, "tensor") {
            Some(Arg::List(_)) => flambeau_tensor::Tensor::stack(&a.tensors(0, "tensor")?, 0)?,
            _ => a.tensor(0, "tensor")?,
        };
        let options = GridOptions {
            nrow: a.count(1, "nrow", 8)?,
            padding: a.count(2, "padding", 2)?,
            normalize: a.bool(3, "normalize", false)?,
            value_range: two(a, 4, "value_range")?.map(|[low, high]| (low, high)),
            scale_each: a.bool(5, "scale_each", false)?,
            pad_value: a.float(6, "pad_value", 0.0)?,
        };
        out(make_grid(&images, &options)?)
    }),
    ("vision.utils.draw_bounding_boxes", |a| {
        let (image, boxes) = (a.tensor(0, "image")?, a.tensor(1, "boxes")?);
        let colors = colors(a, 3)?;
        let options = DrawBoxesOptions {
            colors: &colors,
            fill: a.bool(4, "fill", false)?,
            width: a.count(5, "width", 1)?,
            ..DrawBoxesOptions::default()
        };
        out(draw_bounding_boxes(&image, &boxes, &options)?)
    }),
    ("vision.utils.draw_segmentation_masks", |a| {
        let (image, masks) = (a.tensor(0, "image")?, a.tensor(1, "masks")?);
        let alpha = a.float(2, "alpha", 0.8)?;
        let colors = colors(a, 3)?;
        let options = DrawMasksOptions {
            alpha,
            colors: &colors,
        };
        out(draw_segmentation_masks(&image, &masks, &options)?)
    }),
    ("vision.utils.flow_to_image", |a| {
        out(flow_to_image(&a.tensor(0, "flow")?)?)
    }),
];

fn factor(
    a: &mut Args,
    name: &str,
    f: fn(&flambeau_tensor::Tensor, f64) -> Result<flambeau_tensor::Tensor>,
) -> Result<Output> {
    let x = a.tensor(0, "inpt")?;
    let factor = a.scalar(1, name)?.to_f64();
    out(f(&x, factor)?)
}

fn interpolation(a: &mut Args, position: usize, default: InterpolationMode) -> Result<InterpolationMode> {
    match a.opt_str(position, "interpolation")? {
        None => Ok(default),
        Some(name) => match InterpolationMode::from_name(&name) {
            Some(mode) => Ok(mode),
            None => bail!(Unsupported, "interpolation {name}"),
        },
    }
}

fn size(a: &mut Args, position: usize, name: &str) -> Result<ResizeSize> {
    let Some(sizes) = a.opt_ints(position, name)? else {
        return Ok(ResizeSize::LargerEdge);
    };
    match sizes[..] {
        [edge] => Ok(ResizeSize::SmallerEdge(count(name, edge, a)?)),
        [height, width] => Ok(ResizeSize::HeightWidth(
            count(name, height, a)?,
            count(name, width, a)?,
        )),
        _ => bail!(Value, "{name}: expected one or two sizes, got {sizes:?}"),
    }
}

/// Two sizes, given as two or as one for both.
fn pair(a: &mut Args, position: usize, name: &str) -> Result<(usize, usize)> {
    let sizes = a.ints(position, name)?;
    match sizes[..] {
        [both] => Ok((count(name, both, a)?, count(name, both, a)?)),
        [first, second] => Ok((count(name, first, a)?, count(name, second, a)?)),
        _ => bail!(Value, "{name}: expected one or two sizes, got {sizes:?}"),
    }
}

/// Two numbers, given as two or as one for both; or `None`.
fn two(a: &mut Args, position: usize, name: &str) -> Result<Option<[f64; 2]>> {
    match a.opt_floats(position, name)?.as_deref() {
        None => Ok(None),
        Some([both]) => Ok(Some([*both; 2])),
        Some([first, second]) => Ok(Some([*first, *second])),
        Some(other) => bail!(Value, "{name}: expected two numbers, got {other:?}"),
    }
}

fn part(a: &mut Args, names: [&str; 4]) -> Result<Crop> {
    Ok(Crop {
        top: a.required_int(1, names[0])? as isize,
        left: a.required_int(2, names[1])? as isize,
        height: a.required_count(3, names[2])?,
        width: a.required_count(4, names[3])?,
    })
}

fn corners(a: &mut Args, position: usize, name: &str) -> Result<Option<[[f64; 2]; 4]>> {
    let points = match a.take(position, name) {
        None | Some(Arg::None) => return Ok(None),
        Some(Arg::List(points)) => points,
        other => bail!(Value, "{name}: expected four corners, got {other:?}"),
    };
    let number = |x: &Arg| match x {
        Arg::Int(i) => Some(*i as f64),
        Arg::Float(f) => Some(*f),
        _ => None,
    };
    let corner = |point: &Arg| match point {
        Arg::List(xy) if xy.len() == 2 => Some([number(&xy[0])?, number(&xy[1])?]),
        _ => None,
    };
    let corners: Option<Vec<[f64; 2]>> = points.iter().map(corner).collect();
    match corners.and_then(|corners| corners.try_into().ok()) {
        Some(corners) => Ok(Some(corners)),
        None => bail!(Value, "{name}: expected four corners, got {points:?}"),
    }
}

/// One colour or several, each by name or as red, green and blue.
fn colors(a: &mut Args, position: usize) -> Result<Vec<Color>> {
    let color = |arg: &Arg| match arg {
        Arg::Str(name) => Color::named(name),
        Arg::List(levels) => match levels[..] {
            [Arg::Int(r), Arg::Int(g), Arg::Int(b)] => Ok(Color([r, g, b].map(|level| level as u8))),
            _ => bail!(Value, "colors: {levels:?}"),
        },
        other => bail!(Value, "colors: {other:?}"),
    };
    match a.take(position, "colors") {
        None | Some(Arg::None) => Ok(Vec::new()),
        Some(Arg::List(list)) if !matches!(list.first(), Some(Arg::Int(_))) => {
            list.iter().map(color).collect()
        }
        Some(one) => Ok(vec![color(&one)?]),
    }
}
