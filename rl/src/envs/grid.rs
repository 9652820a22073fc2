//! What environments on a grid have in common: transitions that are drawn from a few possibilities, and pictures of cells.

use crate::render::{Frame, Rgb};
use crate::{Pcg64, Step, Value};

/// A possible outcome of an action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) probability: f64,
    pub(super) state: usize,
    pub(super) reward: f64,
    pub(super) terminated: bool,
}

/// Draws one of the outcomes and goes to its state.
pub(super) fn follow(outcomes: &[Outcome], state: &mut usize, rng: &mut Pcg64) -> Step {
    let drawn = outcomes[rng.categorical(outcomes.iter().map(|outcome| outcome.probability))];
    *state = drawn.state;
    Step {
        observation: Value::Discrete(drawn.state),
        reward: drawn.reward,
        terminated: drawn.terminated,
        truncated: false,
    }
}

/// The neighbour of a cell in a direction, or the cell itself at the border.
pub(super) fn neighbour(
    [rows, columns]: [usize; 2],
    [row, column]: [usize; 2],
    [down, right]: [isize; 2],
) -> [usize; 2] {
    [
        row.saturating_add_signed(down).min(rows - 1),
        column.saturating_add_signed(right).min(columns - 1),
    ]
}

/// A picture of cells, each `size` pixels wide and high and of the colour that `color` gives for row and column.
pub(super) fn cells(rows: usize, columns: usize, size: usize, color: impl Fn(usize, usize) -> Rgb) -> Frame {
    let mut frame = Frame::new(columns * size, rows * size, [255; 3]);
    for row in 0..rows {
        for column in 0..columns {
            let (x, y, size) = ((column * size) as f64, (row * size) as f64, size as f64);
            frame.rectangle(x, y, size, size, color(row, column));
        }
    }
    frame
}

/// Lines between the cells of a picture.
pub(super) fn lines(frame: &mut Frame, size: usize, color: Rgb) {
    let (width, height) = (frame.width() as f64, frame.height() as f64);
    for x in (0..=frame.width()).step_by(size).map(|x| x as f64) {
        frame.line((x, 0.0), (x, height), 1.0, color);
    }
    for y in (0..=frame.height()).step_by(size).map(|y| y as f64) {
        frame.line((0.0, y), (width, y), 1.0, color);
    }
}

/// The middle of a cell.
pub(super) fn middle(row: usize, column: usize, size: usize) -> (f64, f64) {
    let size = size as f64;
    ((column as f64 + 0.5) * size, (row as f64 + 0.5) * size)
}
