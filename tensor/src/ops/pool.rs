//! Pooling over one to three dimensions: maxima, means and power means over windows, and their adaptive kin
//! (`max_pool1d` … `adaptive_max_pool3d`, `max_unpool1d` …, `fractional_max_pool2d` …, `lp_pool1d` …).
//!
//! Inputs are `[batch, channels, spatial…]` or `[channels, spatial…]`. Indices are PyTorch's: flat within a plane. A
//! maximum is recorded as the selection of the element at its index, a mean as the linear map it is.

mod fractional;

pub use flambeau_kernels::pooling::AvgOptions;
use flambeau_kernels::pooling::{self, Window, embed, output_len};
pub use fractional::{FractionalOutput, fractional_max_pool, fractional_max_pool_with_indices};

use flambeau_kernels::index::validate;

use crate::amp::under_autocast;
use crate::ops::binary::pow;
use crate::ops::create::checked_numel;
use crate::ops::linear_map::{LinearMap, LinearMapOp, record_linear_map};
use crate::value::{Value, buffer};
use crate::{DType, Error, Result, Shape, Tensor, bail, ensure, with_float, with_integer, with_stored};

/// Options of a max pool over `D` dimensions; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct MaxPoolOptions<const D: usize> {
    /// Distance between windows; the kernel's size unless given.
    pub stride: Option<[usize; D]>,
    /// Cells around the input that are never the maximum.
    pub padding: [usize; D],
    /// Distance between the cells of a window.
    pub dilation: [usize; D],
    /// Windows that reach over the end count too.
    pub ceil_mode: bool,
}

impl<const D: usize> Default for MaxPoolOptions<D> {
    fn default() -> Self {
        MaxPoolOptions {
            stride: None,
            padding: [0; D],
            dilation: [1; D],
            ceil_mode: false,
        }
    }
}

/// Options of an average pool over `D` dimensions; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct AvgPoolOptions<const D: usize> {
    /// Distance between windows; the kernel's size unless given.
    pub stride: Option<[usize; D]>,
    /// Zeros around the input.
    pub padding: [usize; D],
    /// Windows that reach over the end count too.
    pub ceil_mode: bool,
    /// Padding counts as cells of value zero.
    pub count_include_pad: bool,
    /// Divide by this rather than by the number of cells.
    pub divisor_override: Option<i64>,
}

impl<const D: usize> Default for AvgPoolOptions<D> {
    fn default() -> Self {
        AvgPoolOptions {
            stride: None,
            padding: [0; D],
            ceil_mode: false,
            count_include_pad: true,
            divisor_override: None,
        }
    }
}

/// The trailing `D` sizes of an input with channels, and with or without a batch.
pub(crate) fn spatial<const D: usize>(op: &str, x: &Tensor) -> Result<[usize; D]> {
    let shape = x.shape();
    ensure!(
        shape.len() == D + 1 || shape.len() == D + 2,
        Shape,
        "{op}: expected an input of {} or {} dimensions, got {shape:?}",
        D + 1,
        D + 2
    );
    let sizes: [usize; D] = std::array::from_fn(|d| shape[shape.len() - D + d]);
    let first = usize::from(shape.len() == D + 2);
    ensure!(
        shape[first..].iter().all(|&size| size > 0),
        Shape,
        "{op}: only the batch may be empty, got {shape:?}"
    );
    Ok(sizes)
}

/// `shape` with other trailing sizes.
pub(crate) fn with_spatial<const D: usize>(shape: &[usize], sizes: [usize; D]) -> Shape {
    shape[..shape.len() - D].iter().copied().chain(sizes).collect()
}

/// The windows of a pool, after checking its arguments.
fn window<const D: usize>(
    op: &str,
    x: &Tensor,
    kernel: [usize; D],
    [stride, padding, dilation]: [[usize; D]; 3],
    ceil_mode: bool,
) -> Result<(Window, [usize; D])> {
    let input = spatial::<D>(op, x)?;
    let positive = [kernel, stride, dilation].iter().flatten().all(|&s| s > 0);
    ensure!(
        positive,
        Value,
        "{op}: kernel {kernel:?}, stride {stride:?} and dilation {dilation:?} must be positive"
    );
    let mut output = [0; D];
    for d in 0..D {
        let span = dilation[d].saturating_mul(kernel[d] - 1).saturating_add(1);
        ensure!(
            padding[d] <= span / 2,
            Value,
            "{op}: padding {padding:?} is more than half of the kernel {kernel:?}"
        );
        let size = output_len(input[d], kernel[d], stride[d], padding[d], dilation[d], ceil_mode);
        let Some(size) = size.filter(|&size| size > 0) else {
            bail!(
                Shape,
                "{op}: the kernel {kernel:?} does not fit the input {:?} padded by {padding:?}",
                x.shape()
            )
        };
        output[d] = size;
    }
    let window = Window {
        input: embed(&input, 1),
        output: embed(&output, 1),
        kernel: embed(&kernel, 1),
        stride: embed(&stride, 1),
        padding: embed(&padding, 0),
        dilation: embed(&dilation, 1),
    };
    Ok((window, output))
}

/// Values at their indices, recorded as a selection from `x`.
fn selection(
    x: &Tensor,
    value: Value,
    indices: Value,
    [input, output]: [usize; 2],
    window: Option<Window>,
) -> Result<(Tensor, Tensor)> {
    let map = LinearMap::Select {
        indices: indices.clone(),
        input,
        output,
        window,
    };
    let op = LinearMapOp::new(map, x.dims().clone(), value.shape.clone());
    let value = value.cast(x.dtype())?;
    Ok((
        record_linear_map(value, &x.read(), op),
        Tensor::from_value(indices),
    ))
}

/// Evaluates `$body` with `$T` standing for the number type `$dtype`, which is not a half-width float.
macro_rules! with_number {
    ($op:expr, $dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            DType::F32 | DType::F64 => with_float!($op, $dtype, $T => $body),
            other => with_integer!($op, other, $T => $body),
        }
    };
}

/// The elements as kernels take them: contiguous, and `float32` for half-width floats.
fn full_width(op: &str, x: &Tensor) -> Result<Value> {
    let dtype = x.dtype();
    ensure!(
        dtype != DType::Bool,
        DType,
        "{op}: expected a tensor of numbers, got bool"
    );
    if dtype.is_half() {
        x.value().cast(DType::F32)
    } else {
        x.value().contiguous()
    }
}

/// The largest element of every window over `D` dimensions, and its flat index in the plane.
///
/// # Shapes
/// `[batch, channels, spatial…] → [batch, channels, windows…]`, twice; the batch may be left out.
///
/// # Errors
/// `Shape` if the rank or sizes do not fit; `Value` for a zero kernel, stride or dilation or too much padding; `DType`
/// for bools.
pub fn max_pool_with_indices<const D: usize>(
    x: &Tensor,
    kernel: [usize; D],
    options: &MaxPoolOptions<D>,
) -> Result<(Tensor, Tensor)> {
    let op = format!("max_pool{D}d");
    let steps = [
        options.stride.unwrap_or(kernel),
        options.padding,
        options.dilation,
    ];
    let (window, output) = window(&op, x, kernel, steps, options.ceil_mode)?;
    let shape = with_spatial(x.shape(), output);
    let mut indices = buffer::<i64>(&shape)?;
    let input = full_width(&op, x)?;
    let value = with_number!(op, input.dtype, T => {
        let data = input.data::<T>()?;
        Value::build::<T>(input.dtype, shape.clone(), |out| pooling::max_pool(data, out, &mut indices, &window))?
    });
    let indices = Value::new(indices, DType::I64, shape);
    let sizes = [window.input_len(), window.output_len()];
    selection(x, value, indices, sizes, Some(window))
}

/// The largest element of every window over `D` dimensions.
///
/// # Errors
/// As [`max_pool_with_indices`].
pub fn max_pool<const D: usize>(
    x: &Tensor,
    kernel: [usize; D],
    options: &MaxPoolOptions<D>,
) -> Result<Tensor> {
    if D == 3 {
        under_autocast!("max_pool3d": x => max_pool(x, kernel, options));
    }
    if x.is_tracked() && crate::is_grad_enabled() {
        return Ok(max_pool_with_indices(x, kernel, options)?.0);
    }
    let op = format!("max_pool{D}d");
    let steps = [
        options.stride.unwrap_or(kernel),
        options.padding,
        options.dilation,
    ];
    let (window, output) = window(&op, x, kernel, steps, options.ceil_mode)?;
    let input = full_width(&op, x)?;
    let value = with_number!(op, input.dtype, T => {
        let data = input.data::<T>()?;
        let shape = with_spatial(x.shape(), output);
        Value::build::<T>(input.dtype, shape, |out| pooling::max_pool_values(data, out, &window))?
    });
    Ok(Tensor::from_value(value.cast(x.dtype())?))
}

/// The largest element of each of the windows that share the input out into `output` cells, and its index; `None` keeps
/// a dimension's size.
///
/// # Errors
/// `Shape` if the rank or sizes do not fit; `DType` for bools.
pub fn adaptive_max_pool_with_indices<const D: usize>(
    x: &Tensor,
    output: [Option<usize>; D],
) -> Result<(Tensor, Tensor)> {
    if D == 3 {
        under_autocast!("adaptive_max_pool3d": x => adaptive_max_pool_with_indices(x, output));
    }
    let op = format!("adaptive_max_pool{D}d");
    let (input, output) = adaptive_sizes(&op, x, output)?;
    let shape = with_spatial(x.shape(), output);
    let (input, output) = (embed(&input, 1), embed(&output, 1));
    let mut indices = buffer::<i64>(&shape)?;
    let full = full_width(&op, x)?;
    let value = with_number!(op, full.dtype, T => {
        let data = full.data::<T>()?;
        Value::build::<T>(full.dtype, shape.clone(), |out| {
            pooling::adaptive_max_pool(data, out, &mut indices, input, output)
        })?
    });
    let indices = Value::new(indices, DType::I64, shape);
    selection(
        x,
        value,
        indices,
        [input, output].map(|size| size.iter().product()),
        None,
    )
}

fn adaptive_sizes<const D: usize>(
    op: &str,
    x: &Tensor,
    output: [Option<usize>; D],
) -> Result<([usize; D], [usize; D])> {
    let input = spatial::<D>(op, x)?;
    let output: [usize; D] = std::array::from_fn(|d| output[d].unwrap_or(input[d]));
    checked_numel(op, &with_spatial(x.shape(), output))?;
    Ok((input, output))
}

/// The mean of each of the windows that share the input out into `output` cells; `None` keeps a dimension's size.
///
/// # Errors
/// `Shape` if the rank or sizes do not fit; `DType` unless the type is a floating point one.
pub fn adaptive_avg_pool<const D: usize>(x: &Tensor, output: [Option<usize>; D]) -> Result<Tensor> {
    if D == 3 {
        under_autocast!("adaptive_avg_pool3d": x => adaptive_avg_pool(x, output));
    }
    let op = format!("adaptive_avg_pool{D}d");
    let (input, output) = adaptive_sizes(&op, x, output)?;
    let map = LinearMap::AdaptiveAvgPool {
        input: embed(&input, 1),
        output: embed(&output, 1),
    };
    x.linear_map(LinearMapOp::new(
        map,
        x.dims().clone(),
        with_spatial(x.shape(), output),
    ))
}

/// The mean of every window over `D` dimensions. Means of integers are cut off to integers, as PyTorch's.
///
/// # Errors
/// `Shape` if the rank or sizes do not fit; `Value` for a zero kernel, stride or divisor or too much padding; `DType` for
/// bools.
pub fn avg_pool<const D: usize>(
    x: &Tensor,
    kernel: [usize; D],
    options: &AvgPoolOptions<D>,
) -> Result<Tensor> {
    if D == 3 {
        under_autocast!("avg_pool3d": x => avg_pool(x, kernel, options));
    }
    let op = format!("avg_pool{D}d");
    ensure!(
        options.divisor_override != Some(0),
        Value,
        "{op}: the divisor is 0"
    );
    let dtype = x.dtype();
    ensure!(
        dtype != DType::Bool,
        DType,
        "{op}: expected a tensor of numbers, got bool"
    );
    if !dtype.is_float() {
        // Exact as long as sums stay below 2⁵³; the cast cuts off towards zero like integer division.
        return avg_pool(&x.to_dtype(DType::F64)?, kernel, options)?.to_dtype(dtype);
    }
    let steps = [options.stride.unwrap_or(kernel), options.padding, [1; D]];
    let (window, output) = window(&op, x, kernel, steps, options.ceil_mode)?;
    let options = AvgOptions {
        count_include_pad: options.count_include_pad,
        divisor_override: options.divisor_override,
    };
    let map = LinearMap::AvgPool { window, options };
    x.linear_map(LinearMapOp::new(
        map,
        x.dims().clone(),
        with_spatial(x.shape(), output),
    ))
}

/// `(Σ xᵖ)^(1/p)` over every window; for infinite `p` the largest (or smallest) magnitude.
///
/// # Errors
/// As [`avg_pool`]; `Value` for `p` = 0.
pub fn lp_pool<const D: usize>(
    x: &Tensor,
    p: f64,
    kernel: [usize; D],
    stride: Option<[usize; D]>,
    ceil_mode: bool,
) -> Result<Tensor> {
    ensure!(
        p != 0.0 && !p.is_nan(),
        Value,
        "lp_pool{D}d: the order of the norm must not be {p}"
    );
    let named = |error: Error| error.context(format!("lp_pool{D}d"));
    if p.is_infinite() {
        let options = MaxPoolOptions {
            stride,
            ceil_mode,
            ..MaxPoolOptions::default()
        };
        let magnitudes = x.abs()?;
        return if p > 0.0 {
            max_pool(&magnitudes, kernel, &options).map_err(named)
        } else {
            max_pool(&magnitudes.neg()?, kernel, &options)
                .map_err(named)?
                .neg()
        };
    }
    let options = AvgPoolOptions {
        stride,
        ceil_mode,
        ..AvgPoolOptions::default()
    };
    let means = avg_pool(&pow(x, p)?, kernel, &options).map_err(named)?;
    pow(&means.mul(kernel.iter().product::<usize>())?, 1.0 / p)
}

/// The partial inverse of a max pool: zeros, with the elements of `x` at the places that `indices` name in planes of
/// `output` cells. See [`max_unpool_sizes`] for the size that undoes a pool.
///
/// # Errors
/// `Shape` if shapes differ or the rank does not fit; `DType` unless the indices are `int64`; `Index` if one lies outside.
pub fn max_unpool<const D: usize>(x: &Tensor, indices: &Tensor, output: [usize; D]) -> Result<Tensor> {
    under_autocast!("max_unpool": x => max_unpool(x, indices, output));
    let op = format!("max_unpool{D}d");
    let sizes = spatial::<D>(&op, x)?;
    ensure!(
        indices.shape() == x.shape(),
        Shape,
        "{op}: expected indices {:?}, got {:?}",
        x.shape(),
        indices.shape()
    );
    ensure!(
        indices.dtype() == DType::I64,
        DType,
        "{op}: expected indices of int64, got {}",
        indices.dtype()
    );
    let shape = with_spatial(x.shape(), output);
    checked_numel(&op, &shape)?;
    let (input, output): (usize, usize) = (sizes.iter().product(), output.iter().product());
    let indices = indices.value().contiguous()?;
    let places = indices.data::<i64>()?;
    if let Err(bad) = validate(places, output) {
        bail!(
            Index,
            "{op}: index {} is outside of a plane of {output} cells",
            bad.index
        )
    }
    let value = x.value().contiguous()?;
    let value = with_stored!(value.dtype, T => {
        let data = value.data::<T>()?;
        Value::build::<T>(value.dtype, shape.clone(), |out| pooling::max_unpool(data, places, out, input, output))?
    });
    // The transpose of a selection from the larger planes.
    let map = LinearMap::Select {
        indices: indices.clone(),
        input: output,
        output: input,
        window: None,
    };
    let op = LinearMapOp::new(map, shape, x.dims().clone()).transpose();
    Ok(record_linear_map(value, &x.read(), op))
}

/// The smallest sizes that a max pool with these arguments makes into `x`'s: `(size - 1)·stride - 2·padding + kernel`.
///
/// # Errors
/// `Shape` if the rank does not fit or a size would be negative.
pub fn max_unpool_sizes<const D: usize>(
    x: &Tensor,
    kernel: [usize; D],
    stride: [usize; D],
    padding: [usize; D],
) -> Result<[usize; D]> {
    let op = format!("max_unpool{D}d");
    let input = spatial::<D>(&op, x)?;
    let mut sizes = [0; D];
    for d in 0..D {
        let reach = (input[d] - 1).saturating_mul(stride[d]).saturating_add(kernel[d]);
        let Some(size) = reach.checked_sub(2 * padding[d]) else {
            bail!(
                Shape,
                "{op}: padding {padding:?} leaves nothing of {:?}",
                x.shape()
            )
        };
        sizes[d] = size;
    }
    Ok(sizes)
}

macro_rules! named {
    ($($(#[$doc:meta])* $name:ident = $function:ident<$d:literal>($kernel:ty, $options:ident) -> $result:ty;)*) => { $(
        $(#[$doc])*
        ///
        /// # Errors
        /// As the function over any number of dimensions.
        pub fn $name(x: &Tensor, kernel: $kernel, options: &$options<$d>) -> Result<$result> {
            $function::<$d>(x, kernel, options)
        }
    )* };
}
named! {
    /// [`max_pool`] over sequences `[batch, channels, length]`.
    max_pool1d = max_pool<1>([usize; 1], MaxPoolOptions) -> Tensor;
    /// [`max_pool`] over images `[batch, channels, height, width]`.
    max_pool2d = max_pool<2>([usize; 2], MaxPoolOptions) -> Tensor;
    /// [`max_pool`] over volumes `[batch, channels, depth, height, width]`.
    max_pool3d = max_pool<3>([usize; 3], MaxPoolOptions) -> Tensor;
    /// [`avg_pool`] over sequences `[batch, channels, length]`.
    avg_pool1d = avg_pool<1>([usize; 1], AvgPoolOptions) -> Tensor;
    /// [`avg_pool`] over images `[batch, channels, height, width]`.
    avg_pool2d = avg_pool<2>([usize; 2], AvgPoolOptions) -> Tensor;
    /// [`avg_pool`] over volumes `[batch, channels, depth, height, width]`.
    avg_pool3d = avg_pool<3>([usize; 3], AvgPoolOptions) -> Tensor;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maxima_with_indices_and_back() {
        let x = Tensor::new([[1i64, 5, 2, 4, 3]]).unwrap();
        let options = MaxPoolOptions {
            ceil_mode: true,
            ..MaxPoolOptions::default()
        };
        let (y, indices) = max_pool_with_indices(&x, [2], &options).unwrap();
        assert_eq!(y.to_vec::<i64>().unwrap(), [5, 4, 3]);
        assert_eq!(indices.to_vec::<i64>().unwrap(), [1, 3, 4]);
        let back = max_unpool(&y, &indices, [5]).unwrap();
        assert_eq!(back.to_vec::<i64>().unwrap(), [0, 5, 0, 4, 3]);
        assert!(max_unpool(&y, &indices, [4]).is_err());
    }

    #[test]
    fn means_of_integers_are_cut_off() {
        let x = Tensor::new([[1i64, 2, -4, 1]]).unwrap();
        let y = avg_pool1d(&x, [2], &AvgPoolOptions::default()).unwrap();
        assert_eq!(y.to_vec::<i64>().unwrap(), [1, -1]);
    }

    #[test]
    fn wrong_calls_are_errors() {
        let x = Tensor::zeros((1, 2, 4, 4), DType::F32).unwrap();
        let options = MaxPoolOptions {
            padding: [2, 2],
            ..MaxPoolOptions::default()
        };
        let error = max_pool2d(&x, [3, 3], &options).unwrap_err().to_string();
        assert_eq!(
            error,
            "max_pool2d: padding [2, 2] is more than half of the kernel [3, 3]"
        );
        assert!(max_pool2d(&x, [5, 5], &MaxPoolOptions::default()).is_err());
        assert!(
            avg_pool3d(
                &Tensor::zeros((4, 4), DType::F32).unwrap(),
                [1; 3],
                &AvgPoolOptions::default()
            )
            .is_err()
        );
    }
}
