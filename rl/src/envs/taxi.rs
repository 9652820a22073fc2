//! Taxi: fetch a passenger and take them where they want to go.
//!
//! Dietterich, *Hierarchical reinforcement learning with the MAXQ value function decomposition* (2000).

use flambeau_tensor::Result;
use serde::{Deserialize, Serialize};

use super::grid;
use crate::env::fields_are_the_state;
use crate::render::{Frame, Rgb};
use crate::{Env, Pcg64, Space, Step, Value};

/// Where passengers wait and want to go: red, green, yellow, blue.
const PLACES: [[usize; 2]; 4] = [[0, 0], [0, 4], [4, 0], [4, 3]];
const COLORS: [Rgb; 4] = [[220, 80, 80], [90, 180, 90], [230, 200, 70], [80, 120, 220]];
/// The number of the place "in the taxi".
const RIDING: usize = 4;
/// What the actions 0 to 3 mean: down, up, right, left; 4 takes the passenger in, 5 lets them out.
const MOVES: [[isize; 2]; 4] = [[1, 0], [-1, 0], [0, 1], [0, -1]];

/// `Taxi-v4` without its limit of 200 steps, on a dry road.
///
/// Observation: a number for the taxi's cell, the passenger's place and where they want to go. Actions: 0 down, 1 up,
/// 2 right, 3 left, 4 take in, 5 let out. Each step costs 1, taking in or letting out where it can't be done 10; the right
/// place gives 20 and ends the episode.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Taxi {
    cell: [usize; 2],
    passenger: usize,
    destination: usize,
    rng: Pcg64,
}

impl Taxi {
    /// A taxi whose episodes begin with seed 0 until they are seeded.
    pub fn new() -> Taxi {
        Taxi {
            cell: [2, 2],
            passenger: 0,
            destination: 1,
            rng: Pcg64::new(0),
        }
    }

    fn number(&self) -> usize {
        ((self.cell[0] * 5 + self.cell[1]) * 5 + self.passenger) * 4 + self.destination
    }
}

impl Default for Taxi {
    fn default() -> Self {
        Taxi::new()
    }
}

/// Whether a wall stands to the right of a cell.
fn wall_right([row, column]: [usize; 2]) -> bool {
    matches!((row, column), (0 | 1, 1) | (3 | 4, 0 | 2))
}

impl Env for Taxi {
    fn observation_space(&self) -> Space {
        Space::discrete(500)
    }

    fn action_space(&self) -> Space {
        Space::discrete(6)
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        if let Some(seed) = seed {
            self.rng = Pcg64::new(seed);
        }
        // The 300 states in which a passenger waits elsewhere than where they want to go.
        let waits = |state: usize| state / 4 % 5 < RIDING && state / 4 % 5 != state % 4;
        let probabilities = (0..500).map(|state| if waits(state) { 1.0 / 300.0 } else { 0.0 });
        let state = self.rng.categorical(probabilities);
        self.cell = [state / 100, state / 20 % 5];
        self.passenger = state / 4 % 5;
        self.destination = state % 4;
        Ok(Value::Discrete(state))
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        self.action_space().check_action("Taxi", action)?;
        // Gymnasium draws among one outcome.
        self.rng.random();
        let here = PLACES.iter().position(|place| *place == self.cell);
        let (mut reward, mut terminated) = (-1.0, false);
        match action.as_discrete().unwrap_or(0) {
            direction @ 0..4 => {
                let blocked = match direction {
                    2 => wall_right(self.cell),
                    3 => self.cell[1] > 0 && wall_right([self.cell[0], self.cell[1] - 1]),
                    _ => false,
                };
                if !blocked {
                    self.cell = grid::neighbour([5, 5], self.cell, MOVES[direction]);
                }
            }
            4 if here == Some(self.passenger) => self.passenger = RIDING,
            5 if self.passenger == RIDING && here.is_some() => {
                self.passenger = here.unwrap_or(RIDING);
                terminated = self.passenger == self.destination;
                reward = if terminated { 20.0 } else { -1.0 };
            }
            _ => reward = -10.0,
        }
        Ok(Step {
            observation: Value::Discrete(self.number()),
            reward,
            terminated,
            truncated: false,
        })
    }

    fn render(&self) -> Frame {
        let size = 64;
        let mut frame = grid::cells(5, 5, size, |row, column| {
            let place = PLACES.iter().position(|place| *place == [row, column]);
            place.map_or([235; 3], |place| COLORS[place])
        });
        grid::lines(&mut frame, size, [210; 3]);
        for row in 0..5 {
            for column in (0..5).filter(|&column| wall_right([row, column])) {
                let (x, y) = (((column + 1) * size) as f64, (row * size) as f64);
                frame.line((x, y), (x, y + size as f64), 5.0, [60; 3]);
            }
        }
        let [row, column] = PLACES[self.destination];
        frame.circle(grid::middle(row, column, size), 24.0, [255; 3]);
        frame.circle(grid::middle(row, column, size), 20.0, COLORS[self.destination]);
        let (x, y) = grid::middle(self.cell[0], self.cell[1], size);
        frame.rectangle(x - 20.0, y - 12.0, 40.0, 24.0, [250, 190, 30]);
        let (x, y) = match PLACES.get(self.passenger) {
            Some([row, column]) => grid::middle(*row, *column, size),
            None => (x, y),
        };
        frame.circle((x, y), 8.0, [40; 3]);
        frame
    }

    fields_are_the_state!();
}
