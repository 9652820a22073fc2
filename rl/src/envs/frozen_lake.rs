//! Frozen lake: from the start to the goal over ice on which one slips, past holes.

use flambeau_tensor::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::grid::{self, Outcome};
use crate::env::fields_are_the_state;
use crate::render::Frame;
use crate::{Env, Pcg64, Space, Step, Value};

/// What the actions 0 to 3 mean: left, down, right, up.
const MOVES: [[isize; 2]; 4] = [[0, -1], [1, 0], [0, 1], [-1, 0]];

const MAP_4X4: [&str; 4] = ["SFFF", "FHFH", "FFFH", "HFFG"];
const MAP_8X8: [&str; 8] = [
    "SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF", "FFFHFFFF", "FHHFFFHF", "FHFFHFHF", "FFFHFFFG",
];

/// Options of [`FrozenLake`].
#[derive(Clone, Debug)]
pub struct FrozenLakeOptions {
    /// Rows of `S` (start), `F` (frozen), `H` (hole) and `G` (goal).
    pub desc: Vec<String>,
    /// Whether one may go at a right angle to where one wants to.
    pub is_slippery: bool,
    /// How likely it is to go where one wants to on slippery ice.
    pub success_rate: f64,
}

impl Default for FrozenLakeOptions {
    fn default() -> Self {
        FrozenLakeOptions {
            desc: MAP_4X4.map(str::to_string).to_vec(),
            is_slippery: true,
            success_rate: 1.0 / 3.0,
        }
    }
}

impl FrozenLakeOptions {
    /// The larger of Gymnasium's two maps.
    pub fn map_8x8() -> FrozenLakeOptions {
        FrozenLakeOptions {
            desc: MAP_8X8.map(str::to_string).to_vec(),
            ..Default::default()
        }
    }
}

/// `FrozenLake-v1` without its limit of 100 steps.
///
/// Observation: the number of the cell. Actions: 0 left, 1 down, 2 right, 3 up. The goal gives 1; it and the holes end
/// the episode.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FrozenLake {
    map: Vec<Vec<u8>>,
    success_rate: Option<f64>,
    cell: usize,
    rng: Pcg64,
}

impl FrozenLake {
    /// A lake, at its start.
    ///
    /// # Errors
    /// `Value` unless the rows are equally long and of the letters `SFHG`, with a start; `Value` for a rate outside `[0, 1]`.
    pub fn new(options: FrozenLakeOptions) -> Result<FrozenLake> {
        let map: Vec<Vec<u8>> = options.desc.iter().map(|row| row.as_bytes().to_vec()).collect();
        let letters = || map.iter().flatten();
        ensure!(
            map.iter().all(|row| row.len() == map[0].len())
                && letters().all(|letter| b"SFHG".contains(letter))
                && letters().any(|&letter| letter == b'S'),
            Value,
            "FrozenLake: expected equally long rows of the letters S, F, H and G with a start S, got {:?}",
            options.desc
        );
        ensure!(
            (0.0..=1.0).contains(&options.success_rate),
            Value,
            "FrozenLake: expected a success_rate in [0, 1], got {}",
            options.success_rate
        );
        Ok(FrozenLake {
            cell: letters().position(|&letter| letter == b'S').unwrap_or(0),
            success_rate: options.is_slippery.then_some(options.success_rate),
            rng: Pcg64::new(0),
            map,
        })
    }

    fn size(&self) -> [usize; 2] {
        [self.map.len(), self.map[0].len()]
    }

    fn letter(&self, cell: usize) -> u8 {
        let columns = self.size()[1];
        self.map[cell / columns][cell % columns]
    }

    fn outcome(&self, probability: f64, direction: usize) -> Outcome {
        let columns = self.size()[1];
        let place = [self.cell / columns, self.cell % columns];
        let [row, column] = grid::neighbour(self.size(), place, MOVES[direction]);
        let letter = self.map[row][column];
        Outcome {
            probability,
            state: row * columns + column,
            reward: if letter == b'G' { 1.0 } else { 0.0 },
            terminated: matches!(letter, b'G' | b'H'),
        }
    }
}

impl Env for FrozenLake {
    fn observation_space(&self) -> Space {
        let [rows, columns] = self.size();
        Space::discrete(rows * columns)
    }

    fn action_space(&self) -> Space {
        Space::discrete(4)
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        if let Some(seed) = seed {
            self.rng = Pcg64::new(seed);
        }
        let starts = self
            .map
            .iter()
            .flatten()
            .filter(|&&letter| letter == b'S')
            .count();
        let probabilities = self
            .map
            .iter()
            .flatten()
            .map(|&letter| if letter == b'S' { 1.0 / starts as f64 } else { 0.0 });
        self.cell = self.rng.categorical(probabilities);
        Ok(Value::Discrete(self.cell))
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        self.action_space().check_action("FrozenLake", action)?;
        let action = action.as_discrete().unwrap_or(0);
        let outcomes = match self.success_rate {
            _ if matches!(self.letter(self.cell), b'G' | b'H') => vec![Outcome {
                probability: 1.0,
                state: self.cell,
                reward: 0.0,
                terminated: true,
            }],
            None => vec![self.outcome(1.0, action)],
            Some(rate) => {
                let aside = (1.0 - rate) / 2.0;
                vec![
                    self.outcome(aside, (action + 3) % 4),
                    self.outcome(rate, action),
                    self.outcome(aside, (action + 1) % 4),
                ]
            }
        };
        Ok(grid::follow(&outcomes, &mut self.cell, &mut self.rng))
    }

    fn render(&self) -> Frame {
        let ([rows, columns], size) = (self.size(), 64);
        let mut frame = grid::cells(rows, columns, size, |row, column| match self.map[row][column] {
            b'H' => [30, 90, 150],
            b'G' => [120, 200, 120],
            b'S' => [245, 225, 170],
            _ => [215, 235, 250],
        });
        grid::lines(&mut frame, size, [170, 200, 220]);
        frame.circle(
            grid::middle(self.cell / columns, self.cell % columns, size),
            18.0,
            [200, 70, 60],
        );
        frame
    }

    fields_are_the_state!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_maps_are_refused() {
        let lake = |rows: &[&str], success_rate| {
            FrozenLake::new(FrozenLakeOptions {
                desc: rows.iter().map(|row| row.to_string()).collect(),
                success_rate,
                ..Default::default()
            })
        };
        assert!(lake(&["SF", "FG"], 0.8).is_ok());
        for rows in [&["SF", "F"][..], &["SX", "FG"], &["FF", "FG"], &[]] {
            let error = lake(rows, 0.8).unwrap_err().to_string();
            assert!(error.contains("expected equally long rows"), "{error}");
        }
        assert!(
            lake(&["SG"], 1.5)
                .unwrap_err()
                .to_string()
                .contains("success_rate")
        );
    }
}
