//! Catch: a ball falls, and a paddle below has to be where it lands (Mnih et al., *Recurrent models of visual attention*,
//! 2014; the size is that of bsuite).

use flambeau_tensor::Result;
use serde::{Deserialize, Serialize};

use super::grid;
use crate::env::fields_are_the_state;
use crate::render::Frame;
use crate::{Env, Pcg64, Space, Step, Value};

const ROWS: usize = 10;
const COLUMNS: usize = 5;

/// Catch on 10 rows and 5 columns (`Catch-v0`).
///
/// Observation: the board, 1 at the ball and at the paddle. Actions: 0 left, 1 stay, 2 right. After 9 steps the ball
/// arrives: 1 if it is caught, −1 if not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Catch {
    /// Row and column.
    ball: [usize; 2],
    paddle: usize,
    rng: Pcg64,
}

impl Catch {
    /// A board whose episodes begin with seed 0 until they are seeded.
    pub fn new() -> Catch {
        Catch {
            ball: [0, 2],
            paddle: COLUMNS / 2,
            rng: Pcg64::new(0),
        }
    }

    fn observation(&self) -> Value {
        let mut board = vec![0.0; ROWS * COLUMNS];
        board[self.ball[0] * COLUMNS + self.ball[1]] = 1.0;
        board[(ROWS - 1) * COLUMNS + self.paddle] = 1.0;
        Value::Box(board)
    }
}

impl Default for Catch {
    fn default() -> Self {
        Catch::new()
    }
}

impl Env for Catch {
    fn observation_space(&self) -> Space {
        Space::unit(&[ROWS, COLUMNS])
    }

    fn action_space(&self) -> Space {
        Space::discrete(3)
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        if let Some(seed) = seed {
            self.rng = Pcg64::new(seed);
        }
        self.ball = [0, self.rng.below(COLUMNS as u32) as usize];
        self.paddle = COLUMNS / 2;
        Ok(self.observation())
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        self.action_space().check_action("Catch", action)?;
        let right = action.as_discrete().unwrap_or(1) as isize - 1;
        [_, self.paddle] = grid::neighbour([ROWS, COLUMNS], [0, self.paddle], [0, right]);
        self.ball[0] = (self.ball[0] + 1).min(ROWS - 1);
        let terminated = self.ball[0] == ROWS - 1;
        let caught = self.ball[1] == self.paddle;
        Ok(Step {
            observation: self.observation(),
            reward: match (terminated, caught) {
                (false, _) => 0.0,
                (true, true) => 1.0,
                (true, false) => -1.0,
            },
            terminated,
            truncated: false,
        })
    }

    fn render(&self) -> Frame {
        grid::cells(ROWS, COLUMNS, 32, |row, column| {
            if [row, column] == [ROWS - 1, self.paddle] {
                [90, 200, 120]
            } else if [row, column] == self.ball {
                [250, 220, 90]
            } else {
                [25, 25, 35]
            }
        })
    }

    fields_are_the_state!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_follows_the_ball_catches_it() {
        let mut env = Catch::new();
        for seed in 0..20 {
            env.reset(Some(seed)).unwrap();
            let mut steps = 0;
            let (last, missed) = loop {
                let wanted =
                    1 + usize::from(env.ball[1] > env.paddle) - usize::from(env.ball[1] < env.paddle);
                // Away from the ball, the paddle stands at a wall in the end.
                let mut other = env.clone();
                let step = env.step(&wanted.into()).unwrap();
                let away = other.step(&(2 - wanted).into()).unwrap();
                steps += 1;
                if step.terminated {
                    break (step.reward, away.reward);
                }
            };
            assert_eq!((last, steps), (1.0, 9));
            assert!(missed == -1.0 || env.ball[1] == env.paddle);
        }
    }
}
