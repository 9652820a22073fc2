//! Cliff walking: along an abyss to the goal (Sutton & Barto, *Reinforcement learning*, example 6.6).

use flambeau_tensor::Result;
use serde::{Deserialize, Serialize};

use super::grid::{self, Outcome};
use crate::env::fields_are_the_state;
use crate::render::Frame;
use crate::{Env, Pcg64, Space, Step, Value};

const SIZE: [usize; 2] = [4, 12];
/// The lower left corner; the goal is the lower right one, and the cliff lies between them.
const START: usize = 36;
const GOAL: usize = 47;
/// What the actions 0 to 3 mean: up, right, down, left.
const MOVES: [[isize; 2]; 4] = [[-1, 0], [0, 1], [1, 0], [0, -1]];

/// `CliffWalking-v1`.
///
/// Observation: the number of the cell. Actions: 0 up, 1 right, 2 down, 3 left. Each step costs 1, a fall off the cliff
/// 100, and leads back to the start; the goal ends the episode.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CliffWalking {
    is_slippery: bool,
    cell: usize,
    rng: Pcg64,
}

impl CliffWalking {
    /// A walker at the start. If it is slippery, each step goes to one of the sides with a probability of 2/3
    /// (`CliffWalkingSlippery-v1`).
    pub fn new(is_slippery: bool) -> CliffWalking {
        CliffWalking {
            is_slippery,
            cell: START,
            rng: Pcg64::new(0),
        }
    }

    fn outcome(&self, probability: f64, direction: usize) -> Outcome {
        let place = [self.cell / SIZE[1], self.cell % SIZE[1]];
        let [row, column] = grid::neighbour(SIZE, place, MOVES[direction]);
        let cell = row * SIZE[1] + column;
        let fallen = cell > START && cell < GOAL;
        Outcome {
            probability,
            state: if fallen { START } else { cell },
            reward: if fallen { -100.0 } else { -1.0 },
            terminated: cell == GOAL,
        }
    }
}

impl Env for CliffWalking {
    fn observation_space(&self) -> Space {
        Space::discrete(SIZE[0] * SIZE[1])
    }

    fn action_space(&self) -> Space {
        Space::discrete(4)
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        if let Some(seed) = seed {
            self.rng = Pcg64::new(seed);
        }
        // Gymnasium draws the start, though there is but one.
        self.rng.random();
        self.cell = START;
        Ok(Value::Discrete(self.cell))
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        self.action_space().check_action("CliffWalking", action)?;
        let action = action.as_discrete().unwrap_or(0);
        let directions = match self.is_slippery {
            true => vec![(action + 3) % 4, action, (action + 1) % 4],
            false => vec![action],
        };
        let probability = 1.0 / directions.len() as f64;
        let outcomes: Vec<Outcome> = directions
            .into_iter()
            .map(|direction| self.outcome(probability, direction))
            .collect();
        Ok(grid::follow(&outcomes, &mut self.cell, &mut self.rng))
    }

    fn render(&self) -> Frame {
        let size = 48;
        let mut frame = grid::cells(SIZE[0], SIZE[1], size, |row, column| {
            match row * SIZE[1] + column {
                START => [245, 225, 170],
                GOAL => [120, 200, 120],
                cell if cell > START => [90, 70, 60],
                _ => [225, 220, 205],
            }
        });
        grid::lines(&mut frame, size, [190, 185, 170]);
        frame.circle(
            grid::middle(self.cell / SIZE[1], self.cell % SIZE[1], size),
            14.0,
            [200, 70, 60],
        );
        frame
    }

    fields_are_the_state!();
}
