//! Sampling at the points of a grid (`nn.functional.grid_sample`), and grids of affine maps (`affine_grid`).

use flambeau_kernels::grid_sample::{self as kernel, Along, along, grid_sample_backward};
pub use flambeau_kernels::grid_sample::{
    Interpolation as GridInterpolation, Options as GridSampleOptions, Padding as GridPadding,
};
use flambeau_kernels::mem::Buf;

use crate::amp::under_autocast;
use crate::graph::{Op, Saved, record};
use crate::ops::create::checked_numel;
use crate::ops::linear_map::{LinearMap, LinearMapOp};
use crate::value::Value;
use crate::{DType, Result, Shape, Tensor, bail, ensure, with_float};

/// A recorded sampling.
#[derive(Clone, Debug)]
pub struct GridSampleOp {
    /// What is sampled, `[batch, channels, spatial…]`.
    pub input: Saved,
    /// Where, `[batch, points…, D]`.
    pub grid: Saved,
    /// How.
    pub options: GridSampleOptions,
}

/// Evaluates `$body` with `$sizes` as an array of the two or three spatial sizes.
macro_rules! with_sizes {
    ($shape:expr, |$sizes:ident| $body:expr) => {
        match $shape {
            [_, _, h, w] => {
                let $sizes = [*h, *w];
                $body
            }
            [_, _, d, h, w] => {
                let $sizes = [*d, *h, *w];
                $body
            }
            other => bail!(
                Shape,
                "grid_sample: expected an input of 4 or 5 dimensions, got {other:?}"
            ),
        }
    };
}

/// The values of `x` at the points of `grid`, whose coordinates (x, y and for volumes z) run from -1 to 1 over the input.
///
/// # Shapes
/// input `[batch, channels, height, width]`, grid `[batch, h, w, 2]` → `[batch, channels, h, w]`; with a depth
/// accordingly.
///
/// # Errors
/// `Shape` if shapes do not fit; `DType` unless both are of one floating point type; `Value` for cubic interpolation of
/// volumes.
pub fn grid_sample(x: &Tensor, grid: &Tensor, options: &GridSampleOptions) -> Result<Tensor> {
    under_autocast!("grid_sample": x, grid => grid_sample(x, grid, options));
    let op = "grid_sample";
    let (xs, gs) = (x.shape(), grid.shape());
    let rank = xs.len();
    let fits = (rank == 4 || rank == 5)
        && gs.len() == rank
        && gs[0] == xs[0]
        && gs[rank - 1] == rank - 2
        && xs[1..].iter().all(|&size| size > 0)
        && xs[2..].iter().product::<usize>() < u32::MAX as usize;
    ensure!(
        fits,
        Shape,
        "{op}: input {xs:?} and grid {gs:?}: expected [batch, channels, spatial…] and [batch, points…, 2 or 3]"
    );
    let dtypes = [x.dtype(), grid.dtype()];
    ensure!(
        dtypes[0] == dtypes[1] && dtypes[0].is_float(),
        DType,
        "{op}: expected input and grid of one floating point type, got {dtypes:?}"
    );
    let mut output = Shape::new(&xs[..2]);
    gs[1..rank - 1].iter().for_each(|&size| output.push(size));
    checked_numel(op, &output)?;
    let (a, g) = (x.read(), grid.read());
    let full = if dtypes[0].is_half() {
        DType::F32
    } else {
        dtypes[0]
    };
    let (av, gv) = (a.value.cast(full)?, g.value.cast(full)?);
    let value = with_float!(op, full, T => {
        let (data, points) = (av.data::<T>()?, gv.data::<T>()?);
        with_sizes!(xs, |sizes| Value::build::<T>(full, output, |out| {
            kernel::grid_sample(data, points, out, (xs[0], xs[1]), sizes, options)
        })?)
    });
    Ok(record(value.cast(dtypes[0])?, &[&a, &g], |_| {
        Op::GridSample(GridSampleOp {
            input: a.clone(),
            grid: g.clone(),
            options: *options,
        })
    }))
}

impl Tensor {
    /// The gradients of input and grid of `op`, this tensor being that of its output, by one fused kernel, not recorded;
    /// each only if wanted.
    ///
    /// # Errors
    /// `Shape` if this tensor has not the output's shape.
    pub fn grid_sample_backward(&self, op: &GridSampleOp, wanted: [bool; 2]) -> Result<[Option<Tensor>; 2]> {
        let dtype = self.dtype();
        let full = if dtype.is_half() { DType::F32 } else { dtype };
        let (grad, x, grid) = (
            self.value().cast(full)?,
            op.input.value.cast(full)?,
            op.grid.value.cast(full)?,
        );
        let (batch, channels) = (x.shape[0], x.shape[1]);
        let points = op.points();
        ensure!(
            grad.numel() == batch * channels * points,
            Shape,
            "grid_sample: gradient {:?} for an input {:?} and a grid {:?}",
            grad.shape,
            x.shape,
            grid.shape
        );
        let values = with_float!("grid_sample", full, T => {
            let (g, data, at) = (grad.data::<T>()?, x.data::<T>()?, grid.data::<T>()?);
            let buffer = |wanted: bool, like: &Value| Buf::<T>::zeroed(if wanted { like.numel() } else { 0 });
            let (mut dx, mut dgrid) = (buffer(wanted[0], &x), buffer(wanted[1], &grid));
            with_sizes!(&*x.shape, |sizes| {
                grid_sample_backward(g, data, at, &mut dx, &mut dgrid, (batch, channels), sizes, &op.options)
            });
            let value = |wanted: bool, buffer: Buf<T>, like: &Value| {
                wanted.then(|| Value::new(buffer, full, like.shape.clone()))
            };
            [value(wanted[0], dx, &x), value(wanted[1], dgrid, &grid)]
        });
        let [dx, dgrid] = values.map(|v| v.map(|v| v.cast(dtype).map(Tensor::from_value)).transpose());
        Ok([dx?, dgrid?])
    }
}

/// What all points read along one spatial dimension.
#[derive(Clone, Debug)]
pub struct GridReading {
    /// Cells that a point reads.
    pub count: usize,
    /// For each of them the cell, or `None` outside of the input: `[count][batch · points]`.
    cells: Vec<Vec<Option<usize>>>,
    /// How far the point lies behind the first cell, `[batch, points]`.
    pub behind: Tensor,
    /// The derivative of that by the grid's value, `[batch, points]`.
    pub scale: Tensor,
}

impl GridSampleOp {
    /// Points per image.
    pub fn points(&self) -> usize {
        let shape = self.grid.value.shape();
        shape[1..shape.len() - 1].iter().product()
    }

    /// What the points read along each spatial dimension, first to last.
    ///
    /// # Errors
    /// None that a valid operation meets.
    pub fn readings(&self) -> Result<Vec<GridReading>> {
        let (shape, dtype) = (self.input.value.shape(), self.grid.value.dtype);
        let rank = shape.len() - 2;
        let grid = Tensor::from_value(self.grid.value.clone()).to_vec_f64()?;
        let size = (shape[0], self.points());
        let reading = |d: usize| {
            let coordinates = grid.iter().skip(rank - 1 - d).step_by(rank);
            let along: Vec<Along<f64>> = coordinates
                .map(|&x| match dtype {
                    DType::F64 => along(x, shape[2 + d], &self.options),
                    _ => widened(along(x as f32, shape[2 + d], &self.options)),
                })
                .collect();
            let count = along.first().map_or(0, |a| a.count);
            let tensor = |f: fn(&Along<f64>) -> f64| {
                Tensor::from_vec(along.iter().map(f).collect::<Vec<f64>>(), size)?.to_dtype(dtype)
            };
            Ok(GridReading {
                count,
                cells: (0..count)
                    .map(|k| along.iter().map(|a| a.cells[k]).collect())
                    .collect(),
                behind: tensor(|a| a.behind)?,
                scale: tensor(|a| a.scale)?,
            })
        };
        (0..rank).map(reading).collect()
    }

    /// The selection `[batch, channels, spatial…] → [batch, channels, points]` of the cells that the points read by
    /// their tap number `taps[d]` along each dimension, and 1 where there is such a cell, else 0, `[batch, 1, points]`.
    ///
    /// # Errors
    /// None that a valid operation meets.
    pub fn tap(&self, readings: &[GridReading], taps: &[usize]) -> Result<(LinearMapOp, Tensor)> {
        let (shape, points) = (self.input.value.shape(), self.points());
        let (batch, channels, sizes) = (shape[0], shape[1], &shape[2..]);
        let flat = |at: usize| {
            let mut along = readings.iter().zip(taps).zip(sizes);
            along.try_fold(0, |cell, ((reading, &k), size)| {
                reading.cells[k][at].map(|place| cell * size + place)
            })
        };
        let cells: Vec<Option<usize>> = (0..batch * points).map(flat).collect();
        let inside: Vec<f64> = cells.iter().map(|cell| cell.is_some() as u8 as f64).collect();
        let mut indices = Vec::with_capacity(cells.len() * channels);
        for image in cells.chunks(points.max(1)) {
            for _ in 0..channels {
                indices.extend(image.iter().map(|cell| cell.unwrap_or(0) as i64));
            }
        }
        let output = Shape::new(&[batch, channels, points]);
        let map = LinearMap::Select {
            indices: Value::new(Buf::from_slice(&indices), DType::I64, output.clone()),
            input: sizes.iter().product(),
            output: points,
            window: None,
        };
        let inside = Tensor::from_vec(inside, (batch, 1, points))?.to_dtype(self.grid.value.dtype)?;
        Ok((LinearMapOp::new(map, Shape::new(shape), output), inside))
    }
}

fn widened(a: Along<f32>) -> Along<f64> {
    Along {
        count: a.count,
        cells: a.cells,
        weights: a.weights.map(f64::from),
        slopes: a.slopes.map(f64::from),
        behind: a.behind.into(),
        scale: a.scale.into(),
    }
}

/// The grid that affine maps make of the points of a regular one (Jaderberg et al., 2015), for [`grid_sample`].
///
/// # Shapes
/// theta `[batch, 2, 3]` and size `[batch, channels, h, w]` → `[batch, h, w, 2]`; theta `[batch, 3, 4]` and size
/// `[batch, channels, d, h, w]` → `[batch, d, h, w, 3]`.
///
/// # Errors
/// `Shape` if they do not fit or a size is 0; `DType` unless theta is of a floating point type.
pub fn affine_grid(theta: &Tensor, size: &[usize], align_corners: bool) -> Result<Tensor> {
    let (op, ts) = ("affine_grid", theta.shape());
    let rank = size.len().saturating_sub(2);
    ensure!(
        (rank == 2 || rank == 3) && ts == [size[0], rank, rank + 1] && size.iter().all(|&n| n > 0),
        Shape,
        "{op}: theta {ts:?} and size {size:?}: expected [batch, D, D + 1] and [batch, channels, spatial…], D = 2 or 3"
    );
    ensure!(
        theta.dtype().is_float(),
        DType,
        "{op}: expected a floating point theta, got {}",
        theta.dtype()
    );
    let spatial = &size[2..];
    checked_numel(op, spatial)?;
    let position = |at: usize, n: usize| {
        let x = if n > 1 {
            2.0 * at as f64 / (n - 1) as f64 - 1.0
        } else {
            0.0
        };
        if align_corners {
            x
        } else {
            x * (n - 1) as f64 / n as f64
        }
    };
    let points: usize = spatial.iter().product();
    let mut base = Vec::with_capacity(points * (rank + 1));
    for point in 0..points {
        let mut rest = point;
        for &n in spatial.iter().rev() {
            base.push(position(rest % n, n));
            rest /= n;
        }
        base.push(1.0);
    }
    let base = Tensor::from_vec(base, (points, rank + 1))?.to_dtype(theta.dtype())?;
    let mut shape = Shape::new(&[size[0]]);
    spatial.iter().for_each(|&n| shape.push(n));
    shape.push(rank);
    base.matmul(&theta.transpose(1, 2)?)?.reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_grid_gives_the_input() {
        let x = Tensor::from_vec((0..6).map(f64::from).collect::<Vec<f64>>(), (1, 1, 2, 3)).unwrap();
        let theta = Tensor::new([[[1.0f64, 0.0, 0.0], [0.0, 1.0, 0.0]]]).unwrap();
        for align_corners in [false, true] {
            let grid = affine_grid(&theta, &[1, 1, 2, 3], align_corners).unwrap();
            let options = GridSampleOptions {
                interpolation: GridInterpolation::Bilinear,
                padding: GridPadding::Zeros,
                align_corners,
            };
            let y = grid_sample(&x, &grid, &options).unwrap().to_vec::<f64>().unwrap();
            let x = x.to_vec::<f64>().unwrap();
            assert!(x.iter().zip(&y).all(|(a, b)| (a - b).abs() < 1e-12), "{y:?}");
        }
        assert!(affine_grid(&theta, &[2, 1, 2, 3], false).is_err());
    }
}
