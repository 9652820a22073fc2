//! Resampling of sequences, images and volumes (`nn.functional.interpolate`).
//!
//! Inputs are `[batch, channels, spatial…]` with one to three spatial dimensions. Every mode is a linear map.

use flambeau_kernels::interpolate::{Axis, Kernel, Options, interpolate_bytes, nearest, nearest_positions};

use crate::ops::create::checked_numel;
use crate::ops::linear_map::{InterpolatedAxis, LinearMap, LinearMapOp, record_linear_map};
use crate::ops::pool::adaptive_avg_pool;
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, bail, ensure, with_stored};

/// How values between cells are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterpolateMode {
    /// The nearest cell, by PyTorch's original rounding.
    #[default]
    Nearest,
    /// The nearest cell, by the positions of the cells' centres.
    NearestExact,
    /// Linear, along sequences.
    Linear,
    /// Linear along both dimensions of images.
    Bilinear,
    /// Cubic along both dimensions of images.
    Bicubic,
    /// Linear along the three dimensions of volumes.
    Trilinear,
    /// Means over the cells that an output cell covers.
    Area,
}

/// PyTorch's name.
impl std::fmt::Display for InterpolateMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            InterpolateMode::Nearest => "nearest",
            InterpolateMode::NearestExact => "nearest-exact",
            InterpolateMode::Linear => "linear",
            InterpolateMode::Bilinear => "bilinear",
            InterpolateMode::Bicubic => "bicubic",
            InterpolateMode::Trilinear => "trilinear",
            InterpolateMode::Area => "area",
        })
    }
}

/// The size of the result: a number for each spatial dimension, or one for all of them.
#[derive(Clone, Copy, Debug)]
pub enum InterpolateSize<'a> {
    /// Output cells.
    Size(&'a [usize]),
    /// Output cells per input cell.
    ScaleFactor(&'a [f64]),
}

/// Options of [`interpolate`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug, Default)]
pub struct InterpolateOptions {
    /// How values between cells are made.
    pub mode: InterpolateMode,
    /// Corner cells keep their values, rather than covering the same area. For linear and cubic modes.
    pub align_corners: bool,
    /// Forget the scale factor when the size has been computed from it.
    pub recompute_scale_factor: bool,
    /// Widen the kernel when shrinking. For bilinear and bicubic modes.
    pub antialias: bool,
}

/// `x` resampled to another size.
///
/// # Shapes
/// `[batch, channels, spatial…] → [batch, channels, spatial…]`.
///
/// # Errors
/// `Shape` if the rank, the number of sizes or a size does not fit; `Value` for options that the mode does not have;
/// `DType` for other than floating point types, except bytes with bilinear and bicubic modes and all types with the
/// nearest ones.
pub fn interpolate(x: &Tensor, size: InterpolateSize<'_>, options: &InterpolateOptions) -> Result<Tensor> {
    use InterpolateMode::*;
    let shape = x.shape();
    let rank = shape.len().saturating_sub(2);
    let mode = options.mode;
    let fits = match mode {
        Nearest | NearestExact | Area => (1..=3).contains(&rank),
        Linear => rank == 1,
        Bilinear | Bicubic => rank == 2,
        Trilinear => rank == 3,
    };
    ensure!(
        fits,
        Shape,
        "interpolate: {mode} does not take an input of {} dimensions, {shape:?}",
        shape.len()
    );
    ensure!(
        !(options.align_corners && matches!(mode, Nearest | NearestExact | Area)),
        Value,
        "interpolate: align_corners is for linear and cubic modes, not {mode}"
    );
    ensure!(
        !options.antialias || matches!(mode, Bilinear | Bicubic),
        Value,
        "interpolate: antialias is for bilinear and bicubic modes, not {mode}"
    );
    let input = &shape[2..];
    let given = match size {
        InterpolateSize::Size(sizes) => sizes.len(),
        InterpolateSize::ScaleFactor(factors) => factors.len(),
    };
    ensure!(
        given == rank || given == 1,
        Shape,
        "interpolate: expected {rank} sizes or scale factors for {shape:?}, or one, got {size:?}"
    );
    let place = |d: usize| if given == 1 { 0 } else { d };
    let (output, mut scales): (Vec<usize>, Vec<Option<f64>>) = match size {
        InterpolateSize::Size(sizes) => ((0..rank).map(|d| sizes[place(d)]).collect(), vec![None; rank]),
        InterpolateSize::ScaleFactor(factors) => {
            let factor = |d: usize| factors[place(d)];
            // Conversion cuts off, and takes what is no number or negative to 0.
            let sizes = (0..rank).map(|d| (input[d] as f64 * factor(d)) as usize);
            (sizes.collect(), (0..rank).map(|d| Some(factor(d))).collect())
        }
    };
    ensure!(
        input.iter().chain(&output).chain([&shape[1]]).all(|&n| n > 0),
        Shape,
        "interpolate: input {shape:?} and output {output:?} must have positive sizes"
    );
    if options.recompute_scale_factor || mode == Area {
        scales.fill(None);
    }
    let mut result = Shape::new(&shape[..2]);
    output.iter().for_each(|&size| result.push(size));
    checked_numel("interpolate", &result)?;
    let kernel = match mode {
        Nearest | NearestExact => return nearest_neighbour(x, result, &scales, mode == NearestExact),
        Area => return area(x, &output),
        Bicubic => Kernel::Cubic,
        Linear | Bilinear | Trilinear => Kernel::Linear,
    };
    let axis = |d: usize| InterpolatedAxis {
        kernel,
        input: input[d],
        output: output[d],
        options: Options {
            align_corners: options.align_corners,
            scale: scales[d],
            antialias: options.antialias,
        },
    };
    if x.dtype() == DType::U8 && rank == 2 {
        let axes = [0, 1].map(|d| {
            let InterpolatedAxis {
                kernel,
                input,
                output,
                options,
            } = axis(d);
            Axis::<f64>::new(kernel, input, output, options)
        });
        let source = x.value().contiguous()?;
        let data = source.data::<u8>()?;
        let value = Value::build::<u8>(DType::U8, result, |out| interpolate_bytes(data, out, &axes))?;
        return Ok(Tensor::from_value(value));
    }
    let map = LinearMap::Interpolate {
        axes: (0..rank).map(axis).collect(),
    };
    x.linear_map(LinearMapOp::new(map, x.dims().clone(), result))
}

fn area(x: &Tensor, output: &[usize]) -> Result<Tensor> {
    match *output {
        [a] => adaptive_avg_pool(x, [Some(a)]),
        [a, b] => adaptive_avg_pool(x, [Some(a), Some(b)]),
        [a, b, c] => adaptive_avg_pool(x, [Some(a), Some(b), Some(c)]),
        _ => bail!(Shape, "interpolate: expected 1 to 3 sizes, got {output:?}"),
    }
}

fn nearest_neighbour(x: &Tensor, result: Shape, scales: &[Option<f64>], exact: bool) -> Result<Tensor> {
    let input = x.shape()[2..].to_vec();
    let axes = input.iter().zip(&result[2..]).zip(scales);
    let positions: Vec<Vec<usize>> = if x.dtype() == DType::F64 {
        axes.map(|((&from, &to), &scale)| nearest_positions::<f64>(from, to, scale, exact))
            .collect()
    } else {
        axes.map(|((&from, &to), &scale)| nearest_positions::<f32>(from, to, scale, exact))
            .collect()
    };
    let source = x.value().contiguous()?;
    let value = with_stored!(source.dtype, T => {
        let data = source.data::<T>()?;
        Value::build::<T>(source.dtype, result.clone(), |out| nearest(data, out, &input, &positions))?
    });
    let op = LinearMapOp::new(LinearMap::Nearest { input, positions }, x.dims().clone(), result);
    Ok(record_linear_map(value, &x.read(), op))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_scale_factors() {
        let x = Tensor::new([[[1.0f32, 3.0]]]).unwrap();
        let linear = InterpolateOptions {
            mode: InterpolateMode::Linear,
            align_corners: true,
            ..InterpolateOptions::default()
        };
        let y = interpolate(&x, InterpolateSize::Size(&[3]), &linear).unwrap();
        assert_eq!(y.to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0]);
        let y = interpolate(
            &x,
            InterpolateSize::ScaleFactor(&[2.0]),
            &InterpolateOptions::default(),
        )
        .unwrap();
        assert_eq!(y.to_vec::<f32>().unwrap(), [1.0, 1.0, 3.0, 3.0]);
        let image = x.reshape((1, 1, 1, 2)).unwrap();
        let y = interpolate(
            &image,
            InterpolateSize::ScaleFactor(&[2.0]),
            &InterpolateOptions::default(),
        )
        .unwrap();
        assert_eq!(y.shape(), [1, 1, 2, 4]);
        assert!(interpolate(&x, InterpolateSize::Size(&[3, 3]), &linear).is_err());
        assert!(interpolate(&x, InterpolateSize::ScaleFactor(&[f64::NAN]), &linear).is_err());
    }
}
