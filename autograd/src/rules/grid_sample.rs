//! Rule of `grid_sample`: `out = Σ_taps x[cell]·Π_d w_d`, the weights being polynomials in how far the point lies behind
//! a cell, `t_d`, and that a linear function of the grid: `dx[cell] += dy·Π w_d`, `dgrid_d = t_d′·Σ dy·x[cell]·w_d′·Π w_e`.
//!
//! Without `create_graph` a fused kernel computes both; with it, the formulas are recorded, one selection per tap.

use flambeau_tensor::ops::grid_sample::{GridReading, GridSampleOp};
use flambeau_tensor::{Result, Tensor, is_grad_enabled};
use smallvec::smallvec;

use super::{Context, Grads};

pub(super) fn backward(op: &GridSampleOp, cx: &Context<'_>) -> Result<Grads> {
    let wanted = [cx.needs(0), cx.needs(1)];
    let [dx, dgrid] = if is_grad_enabled() {
        recorded(op, cx, wanted)?
    } else {
        cx.grad()?.grid_sample_backward(op, wanted)?
    };
    Ok(smallvec![dx, dgrid])
}

/// The weights along one dimension and their derivatives by the grid's value, `[batch, points]` each.
struct Weights {
    values: Vec<Tensor>,
    slopes: Vec<Tensor>,
}

fn recorded(op: &GridSampleOp, cx: &Context<'_>, wanted: [bool; 2]) -> Result<[Option<Tensor>; 2]> {
    let (x, grid) = (cx.tensor(&op.input), cx.tensor(&op.grid));
    let (batch, rank, points) = (x.shape()[0], x.rank() - 2, op.points());
    let dy = cx.grad()?.reshape((batch, x.shape()[1], points))?;
    let coordinates = grid.reshape((batch, points, rank))?;
    let readings = op.readings()?;
    let mut weights = Vec::new();
    for (d, reading) in readings.iter().enumerate() {
        let coordinate = coordinates.select(2, (rank - 1 - d) as isize)?;
        weights.push(weights_of(reading, &coordinate)?);
    }
    let (mut dx, mut slopes): (Option<Tensor>, Vec<Option<Tensor>>) = (None, vec![None; rank]);
    let taps: usize = readings.iter().map(|r| r.count).product();
    for tap in 0..taps {
        let ks = numbers(tap, &readings);
        let (select, inside) = op.tap(&readings, &ks)?;
        // The product of the weights, one of them replaced by its slope if `by` says so.
        let product = |by: Option<usize>| -> Result<Tensor> {
            let mut product = inside.reshape((batch, points))?;
            for (d, (along, &k)) in weights.iter().zip(&ks).enumerate() {
                product = product.mul(if by == Some(d) {
                    &along.slopes[k]
                } else {
                    &along.values[k]
                })?;
            }
            Ok(product)
        };
        if wanted[0] {
            let share = dy.mul(&product(None)?.unsqueeze(1)?)?;
            add(&mut dx, share.linear_map(select.transpose())?)?;
        }
        if wanted[1] {
            let dot = dy.mul(&x.linear_map(select)?)?.sum_dim(1, false)?;
            for (d, slope) in slopes.iter_mut().enumerate() {
                add(slope, dot.mul(&product(Some(d))?)?)?;
            }
        }
    }
    let dgrid = if wanted[1] && taps > 0 {
        let mut columns = Vec::new();
        for slope in slopes.into_iter().rev().flatten() {
            columns.push(slope.unsqueeze(2)?);
        }
        Some(Tensor::cat(&columns.iter().collect::<Vec<_>>(), 2)?.reshape(grid.shape())?)
    } else {
        None
    };
    Ok([dx, dgrid])
}

fn add(sum: &mut Option<Tensor>, term: Tensor) -> Result<()> {
    *sum = Some(match sum.take() {
        Some(sum) => sum.add(&term)?,
        None => term,
    });
    Ok(())
}

/// The number of a tap as its numbers along each dimension.
fn numbers(mut tap: usize, readings: &[GridReading]) -> Vec<usize> {
    let mut ks = vec![0; readings.len()];
    for (k, reading) in ks.iter_mut().zip(readings).rev() {
        *k = tap % reading.count;
        tap /= reading.count;
    }
    ks
}

fn weights_of(reading: &GridReading, coordinate: &Tensor) -> Result<Weights> {
    // The distance's value is known; its dependence on the grid is linear.
    let moved = coordinate.sub(&coordinate.detach())?.mul(&reading.scale)?;
    let t = reading.behind.add(&moved)?;
    let constant = |c: f64| reading.behind.full_like(c);
    let (values, slopes) = match reading.count {
        1 => (vec![constant(1.0)?], vec![constant(0.0)?]),
        2 => (
            vec![t.neg()?.add(1.0)?, t.clone()],
            vec![constant(-1.0)?, constant(1.0)?],
        ),
        _ => cubic(&t)?,
    };
    let slopes = slopes
        .iter()
        .map(|s| s.mul(&reading.scale))
        .collect::<Result<_>>()?;
    Ok(Weights { values, slopes })
}

/// The weights of cubic convolution with a = -0.75 of the cells at distance `1 + t`, `t`, `1 - t`, `2 - t`, and their
/// derivatives by `t`.
fn cubic(t: &Tensor) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
    const A: f64 = -0.75;
    // c₃x³ + c₂x² + c₁x + c₀
    let polynomial = |x: &Tensor, c: [f64; 4]| -> Result<Tensor> {
        let high = x.mul(c[0])?.add(c[1])?.mul(x)?.add(c[2])?;
        high.mul(x)?.add(c[3])
    };
    let near = [A + 2.0, -(A + 3.0), 0.0, 1.0];
    let far = [A, -5.0 * A, 8.0 * A, -4.0 * A];
    let derivative = |c: [f64; 4]| [0.0, 3.0 * c[0], 2.0 * c[1], c[2]];
    let distances = [t.add(1.0)?, t.clone(), t.neg()?.add(1.0)?, t.neg()?.add(2.0)?];
    let (mut values, mut slopes) = (Vec::new(), Vec::new());
    for ((x, c), sign) in distances
        .iter()
        .zip([far, near, near, far])
        .zip([1.0, 1.0, -1.0, -1.0])
    {
        values.push(polynomial(x, c)?);
        slopes.push(polynomial(x, derivative(c))?.mul(sign)?);
    }
    Ok((values, slopes))
}
