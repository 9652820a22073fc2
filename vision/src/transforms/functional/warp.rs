//! Sampling a picture at the points of a grid, for the transforms that move its points about.

use flambeau_tensor::ops::grid_sample::{GridInterpolation, GridPadding, GridSampleOptions, grid_sample};
use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::{InterpolationMode, batched, dimensions};

/// The type in which the points for a picture are computed.
pub(super) fn grid_dtype(image: &Tensor) -> DType {
    image.dtype().to_float()
}

/// Half the numbers from `-(n - 1)` to `n - 1`: the centres of pixels, counted from the picture's middle.
pub(super) fn centred(n: usize, dtype: DType) -> Result<Tensor> {
    let end = (n as f64 - 1.0) * 0.5;
    Tensor::linspace(-end, end, n, DType::F32)?.to_dtype(dtype)
}

/// `m[0]·x + m[1]·y + m[2]` at every point of the lattice that two rows of coordinates span, `[height, width]`, summed in
/// this order as torchvision does: another rounding would choose other pixels where two are equally near.
pub(super) fn plane(x: &Tensor, y: &Tensor, m: [f64; 3]) -> Result<Tensor> {
    let (width, height) = (x.numel(), y.numel());
    let along_x = x.mul(m[0])?.reshape([1, width])?;
    let along_y = y.mul(m[1])?.reshape([height, 1])?;
    along_x.add(&along_y)?.add(m[2])
}

/// The numbers over `divisor`, in the precision of `dtype`.
pub(super) fn quotients(m: [f64; 3], divisor: f64, dtype: DType) -> [f64; 3] {
    m.map(|x| match dtype {
        DType::F64 => x / divisor,
        _ => f64::from(x as f32 / divisor as f32),
    })
}

/// The picture's values at the points of `grid`, whose coordinates run from -1 to 1 over it. Outside of it lies `fill`,
/// or, without one, black, which then fades in over the border pixels.
///
/// # Shapes
/// image `[…, channels, h, w]`, grid `[1, height, width, 2]` → `[…, channels, height, width]`.
pub(super) fn sample_at(
    op: &str,
    image: &Tensor,
    grid: &Tensor,
    interpolation: InterpolationMode,
    fill: Option<&[f64]>,
) -> Result<Tensor> {
    let [channels, ..] = dimensions(op, image)?;
    let nearest = interpolation == InterpolationMode::Nearest;
    ensure!(
        nearest || interpolation == InterpolationMode::Bilinear,
        Value,
        "{op}: expected nearest or bilinear interpolation, got {interpolation:?}"
    );
    if let Some(fill) = fill {
        ensure!(
            fill.len() == 1 || fill.len() == channels,
            Value,
            "{op}: {} values to fill a picture of {channels} channels",
            fill.len()
        );
    }
    let options = GridSampleOptions {
        interpolation: if nearest {
            GridInterpolation::Nearest
        } else {
            GridInterpolation::Bilinear
        },
        padding: GridPadding::Zeros,
        align_corners: false,
    };
    let dtype = image.dtype();
    let values = image.to_dtype(grid.dtype())?;
    let sampled = batched(&values, |x| {
        let &[batch, channels, height, width] = x.shape() else {
            return Ok(x.clone());
        };
        let &[_, rows, columns, _] = grid.shape() else {
            return Ok(x.clone());
        };
        let grid = grid.expand([batch, rows, columns, 2])?;
        let Some(fill) = fill else {
            return grid_sample(x, &grid, &options);
        };
        // How much of each new pixel comes from inside is sampled like one more channel.
        let inside = x.new_ones((batch, 1, height, width))?;
        let sampled = grid_sample(&Tensor::cat(&[x, &inside], 1)?, &grid, &options)?;
        let inside = sampled.narrow(1, channels as isize, 1)?;
        let sampled = sampled.narrow(1, 0, channels)?;
        let fill = Tensor::from_slice(fill, (1, fill.len(), 1, 1))?.to_dtype(sampled.dtype())?;
        if nearest {
            inside.lt(0.5)?.where_cond(&fill, &sampled)
        } else {
            sampled.sub(&fill)?.mul(&inside)?.add(&fill)
        }
    })?;
    if dtype.is_float() {
        sampled.to_dtype(dtype)
    } else {
        sampled.round()?.to_dtype(dtype)
    }
}
