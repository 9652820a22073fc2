//! A line search for the strong Wolfe conditions: the loss has fallen enough for the distance, and the slope is flat
//! enough.
//!
//! First the distance grows until an interval is known that holds such a point, then the interval shrinks around it by
//! cubic interpolation. Nocedal and Wright 2006, "Numerical Optimization", algorithms 3.5 and 3.6.

use flambeau_tensor::{Result, Tensor};

use super::number::Number;

/// How much of the promised decrease must come, and which part of the slope may remain.
const SUFFICIENT_DECREASE: Number = Number::float(1e-4);
const CURVATURE: Number = Number::float(0.9);

const ZERO: Number = Number::float(0.0);
const TENTH: Number = Number::float(0.1);

/// A point on the line.
#[derive(Clone, Debug)]
pub(super) struct Point {
    /// Distance from the start, in directions.
    pub(super) t: Number,
    pub(super) loss: Number,
    pub(super) grad: Tensor,
    /// The gradient along the direction.
    pub(super) slope: Number,
}

/// The best point found and how many were looked at, at most `budget` and one.
pub(super) fn strong_wolfe(
    look: &mut dyn FnMut(Number) -> Result<Point>,
    start: Point,
    t: Number,
    direction: &Tensor,
    tolerance_change: Number,
    budget: usize,
) -> Result<(Point, usize)> {
    let too_high = |p: &Point| p.loss > start.loss + SUFFICIENT_DECREASE * p.t * start.slope;
    let flat = |p: &Point| p.slope.abs() <= -CURVATURE * start.slope;
    let mut evals = 1;
    let mut previous = start.clone();
    let mut current = look(t)?;
    // The interval's ends; none while the search goes on outwards.
    let mut interval = None;
    let mut iterations = 0;
    while iterations < budget {
        if too_high(&current) || (iterations > 1 && current.loss >= previous.loss) {
            interval = Some([previous.clone(), current.clone()]);
            break;
        }
        if flat(&current) {
            return Ok((current, evals));
        }
        if current.slope >= ZERO {
            interval = Some([previous.clone(), current.clone()]);
            break;
        }
        let beyond = Number::float(0.01) * (current.t - previous.t);
        let bounds = (current.t + beyond, current.t * Number::float(10.0));
        let next = cubic_minimum(&previous, &current, bounds);
        previous = std::mem::replace(&mut current, look(next)?);
        evals += 1;
        iterations += 1;
    }
    // Out of budget: the better of start and end.
    let mut ends = interval.unwrap_or_else(|| [start.clone(), current]);
    let lower = |ends: &[Point; 2]| if ends[0].loss <= ends[1].loss { 0 } else { 1 };
    let mut low = lower(&ends);
    let reach = super::largest(direction)?;
    let mut stalled = false;
    while iterations < budget {
        let (left, right) = (ends[0].t.min(ends[1].t), ends[0].t.max(ends[1].t));
        if (ends[1].t - ends[0].t).abs() * reach < tolerance_change {
            break;
        }
        let mut t = cubic_minimum(&ends[0], &ends[1], (left, right));
        // Interpolation that stays near an end twice is pulled inwards.
        let margin = TENTH * (right - left);
        if (right - t).min(t - left) < margin {
            if stalled || t >= right || t <= left {
                t = if (t - right).abs() < (t - left).abs() {
                    right - margin
                } else {
                    left + margin
                };
                stalled = false;
            } else {
                stalled = true;
            }
        } else {
            stalled = false;
        }
        let current = look(t)?;
        evals += 1;
        iterations += 1;
        let high = 1 - low;
        if too_high(&current) || current.loss >= ends[low].loss {
            ends[high] = current;
            low = lower(&ends);
            continue;
        }
        let found = flat(&current);
        if !found && current.slope * (ends[high].t - ends[low].t) >= ZERO {
            ends[high] = ends[low].clone();
        }
        ends[low] = current;
        if found {
            break;
        }
    }
    let [first, second] = ends;
    Ok((if low == 0 { first } else { second }, evals))
}

/// The minimum, within bounds, of the cubic with the losses and slopes of two points; the bounds' middle if it has none.
fn cubic_minimum(a: &Point, b: &Point, (least, most): (Number, Number)) -> Number {
    let (two, three) = (Number::float(2.0), Number::float(3.0));
    let d1 = a.slope + b.slope - three * (a.loss - b.loss) / (a.t - b.t);
    let square = d1 * d1 - a.slope * b.slope;
    if square >= ZERO {
        let (left, right) = if a.t <= b.t { (a, b) } else { (b, a) };
        let d2 = square.sqrt();
        let back = (right.slope + d2 - d1) / (right.slope - left.slope + two * d2);
        let minimum = right.t - (right.t - left.t) * back;
        minimum.max(least).min(most)
    } else {
        (least + most) / two
    }
}
