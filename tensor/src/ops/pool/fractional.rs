//! Fractional max pooling (Graham, 2014, <https://arxiv.org/abs/1412.6071>): windows of one size at pseudo-random steps,
//! so that the output may have any size below the input's.

use flambeau_kernels::pooling::{self, embed};

use super::{full_width, selection, spatial, with_spatial};
use crate::amp::under_autocast;
use crate::value::{Value, buffer};
use crate::{DType, Result, Tensor, bail, ensure, with_float};

/// The size of the output of a fractional pool over `D` dimensions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FractionalOutput<const D: usize> {
    /// The size itself (`output_size`).
    Size([usize; D]),
    /// The fraction of the input's size, rounded down (`output_ratio`).
    Ratio([f64; D]),
}

/// The greatest element of windows at pseudo-random steps, over two or three dimensions, and its flat index in the plane.
/// `samples` holds for each plane one number in `[0, 1)` per dimension (PyTorch's `_random_samples`: of two dimensions
/// the last comes first, of three the first); they are drawn from the process' generator unless given.
///
/// # Shapes
/// `[batch, channels, spatial…] → [batch, channels, output…]`, twice; the batch may be left out. Samples
/// `[batch, channels, D]`.
///
/// # Errors
/// `Shape` if shapes do not fit or the kernel and output do not fit the input; `Value` for a ratio outside of `(0, 1)`;
/// `DType` unless input and samples are of one floating point type; `Unsupported` for other than 2 or 3 dimensions.
pub fn fractional_max_pool_with_indices<const D: usize>(
    x: &Tensor,
    kernel: [usize; D],
    output: FractionalOutput<D>,
    samples: Option<&Tensor>,
) -> Result<(Tensor, Tensor)> {
    under_autocast!("fractional_max_pool": x, samples => fractional_max_pool_with_indices(x, kernel, output, samples));
    let op = format!("fractional_max_pool{D}d");
    let order: &[usize] = match D {
        2 => &[1, 0],
        3 => &[0, 1, 2],
        _ => bail!(Unsupported, "{op}: expected 2 or 3 dimensions"),
    };
    let input = spatial::<D>(&op, x)?;
    let output = match output {
        FractionalOutput::Size(sizes) => sizes,
        FractionalOutput::Ratio(ratios) => {
            ensure!(
                ratios.iter().all(|&ratio| 0.0 < ratio && ratio < 1.0),
                Value,
                "{op}: expected ratios between 0 and 1, got {ratios:?}"
            );
            std::array::from_fn(|d| (input[d] as f64 * ratios[d]) as usize)
        }
    };
    let fits =
        (0..D).all(|d| kernel[d] > 0 && output[d] > 0 && output[d].saturating_add(kernel[d] - 1) <= input[d]);
    ensure!(
        fits,
        Shape,
        "{op}: output {output:?} of windows {kernel:?} does not fit the input {:?}",
        x.shape()
    );
    ensure!(
        x.dtype().is_float(),
        DType,
        "{op}: expected a floating point tensor, got {}",
        x.dtype()
    );
    let channels = x.shape()[x.rank() - D - 1];
    let batch = if x.rank() == D + 2 { x.shape()[0] } else { 1 };
    let samples = match samples {
        Some(samples) => samples.clone(),
        None => Tensor::rand((batch, channels, D), x.dtype())?,
    };
    ensure!(
        matches!(*samples.shape(), [n, c, d] if n >= batch && c == channels && d == D),
        Shape,
        "{op}: expected samples {:?}, or more, for the input {:?}, got {:?}",
        [batch, channels, D],
        x.shape(),
        samples.shape()
    );
    // As in PyTorch, those of further samples of the batch are left unread.
    let samples = samples.narrow(0, 0, batch)?;
    ensure!(
        samples.dtype() == x.dtype(),
        DType,
        "{op}: expected samples of {}, got {}",
        x.dtype(),
        samples.dtype()
    );
    let shape = with_spatial(x.shape(), output);
    let mut indices = buffer::<i64>(&shape)?;
    let (full, samples) = (full_width(&op, x)?, full_width(&op, &samples)?);
    let [input, output, kernel] = [input, output, kernel].map(|sizes| embed(&sizes, 1));
    let value = with_float!(op, full.dtype, T => {
        let (data, samples) = (full.data::<T>()?, samples.data::<T>()?);
        Value::build::<T>(full.dtype, shape.clone(), |out| {
            pooling::fractional_max_pool(data, samples, order, out, &mut indices, input, output, kernel)
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

/// The greatest element of windows at pseudo-random steps, over two or three dimensions
/// (`nn.functional.fractional_max_pool2d`, `fractional_max_pool3d`).
///
/// # Errors
/// As [`fractional_max_pool_with_indices`].
pub fn fractional_max_pool<const D: usize>(
    x: &Tensor,
    kernel: [usize; D],
    output: FractionalOutput<D>,
    samples: Option<&Tensor>,
) -> Result<Tensor> {
    Ok(fractional_max_pool_with_indices(x, kernel, output, samples)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::fork;

    #[test]
    fn samples_are_drawn_where_none_are_given() {
        let x = Tensor::arange(0, 2 * 5 * 6 * 7, 1, DType::F64).unwrap();
        let x = x.reshape((2, 5, 6, 7)).unwrap();
        let output = FractionalOutput::Ratio([0.5, 0.5, 0.6]);
        let draw = || fractional_max_pool_with_indices(&x, [2, 2, 3], output, None);
        let (drawn, indices) = fork(4, draw).unwrap();
        assert_eq!(
            (drawn.shape(), indices.shape()),
            (&[2, 2, 3, 4][..], &[2, 2, 3, 4][..])
        );
        let samples = fork(4, || Tensor::rand((1, 2, 3), DType::F64)).unwrap();
        let given = fractional_max_pool(&x, [2, 2, 3], output, Some(&samples)).unwrap();
        assert_eq!(drawn.to_vec::<f64>().unwrap(), given.to_vec::<f64>().unwrap());
    }

    #[test]
    fn wrong_calls_are_errors() {
        let x = Tensor::zeros((2, 4, 4), DType::F32).unwrap();
        let message = |result: Result<Tensor>| result.unwrap_err().to_string();
        assert_eq!(
            message(fractional_max_pool(
                &x,
                [3, 3],
                FractionalOutput::Size([3, 2]),
                None
            )),
            "fractional_max_pool2d: output [3, 2] of windows [3, 3] does not fit the input [2, 4, 4]"
        );
        assert!(
            message(fractional_max_pool(
                &x,
                [1, 1],
                FractionalOutput::Ratio([0.5, 1.0]),
                None
            ))
            .contains("1.0")
        );
        assert!(fractional_max_pool(&x, [1], FractionalOutput::Size([1]), None).is_err());
        let samples = Tensor::zeros((2, 1, 2), DType::F32).unwrap();
        assert!(fractional_max_pool(&x, [1, 1], FractionalOutput::Size([2, 2]), Some(&samples)).is_err());
        let samples = Tensor::rand((3, 2, 2), DType::F32).unwrap();
        assert!(fractional_max_pool(&x, [1, 1], FractionalOutput::Size([2, 2]), Some(&samples)).is_ok());
    }
}
