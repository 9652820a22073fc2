//! Breakout on 10 × 10 pixels, in the manner of MinAtar's: a ball breaks bricks, and a paddle keeps it in play.
//!
//! Young & Tian, *MinAtar: an Atari-inspired testbed for thorough and reproducible reinforcement learning experiments* (2019).

use flambeau_tensor::Result;
use serde::{Deserialize, Serialize};

use super::grid;
use crate::env::fields_are_the_state;
use crate::render::Frame;
use crate::{Env, Pcg64, Space, Step, Value};

/// Rows and columns of the board.
const SIZE: usize = 10;
/// The rows in which bricks stand.
const BRICKS: std::ops::Range<usize> = 1..4;
/// What the planes of an observation show.
const PLANES: usize = 4;

/// Breakout on a board of 10 × 10; `Breakout-v0` also repeats an action now and then ([`crate::wrappers::StickyAction`]), as MinAtar
/// does.
///
/// Observation: planes with the paddle, the ball, where the ball was, and the bricks, `[4, 10, 10]`. Actions: 0 stay, 1 left,
/// 2 right. A brick gives 1; three new rows come when all are broken. The episode ends when the ball passes the paddle.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Breakout {
    /// Row and column.
    ball: [usize; 2],
    before: [usize; 2],
    /// Whether the ball goes down, and whether it goes to the right.
    down: bool,
    right: bool,
    paddle: usize,
    bricks: [[bool; SIZE]; 3],
    over: bool,
    rng: Pcg64,
}

impl Breakout {
    /// A board whose episodes begin with seed 0 until they are seeded.
    pub fn new() -> Breakout {
        Breakout {
            ball: [3, 0],
            before: [3, 0],
            down: true,
            right: true,
            paddle: SIZE / 2 - 1,
            bricks: [[true; SIZE]; 3],
            over: false,
            rng: Pcg64::new(0),
        }
    }

    fn observation(&self) -> Value {
        let mut planes = vec![0.0; PLANES * SIZE * SIZE];
        let mut set = |plane: usize, [row, column]: [usize; 2]| {
            planes[(plane * SIZE + row) * SIZE + column] = 1.0;
        };
        set(0, [SIZE - 1, self.paddle]);
        set(1, self.ball);
        set(2, self.before);
        for (row, bricks) in BRICKS.zip(&self.bricks) {
            for column in (0..SIZE).filter(|&column| bricks[column]) {
                set(3, [row, column]);
            }
        }
        Value::Box(planes)
    }

    /// Breaks the brick at a place, if one stands there.
    fn breaks(&mut self, [row, column]: [usize; 2]) -> bool {
        BRICKS.contains(&row) && std::mem::take(&mut self.bricks[row - BRICKS.start][column])
    }

    /// The place next to `at` in the present direction, having turned at the walls.
    fn advance(&mut self) -> [usize; 2] {
        let [row, column] = self.ball;
        if (self.right && column == SIZE - 1) || (!self.right && column == 0) {
            self.right = !self.right;
        }
        if !self.down && row == 0 {
            self.down = true;
        }
        let step = |forward| if forward { 1 } else { -1 };
        grid::neighbour([SIZE, SIZE], self.ball, [step(self.down), step(self.right)])
    }
}

impl Default for Breakout {
    fn default() -> Self {
        Breakout::new()
    }
}

impl Env for Breakout {
    fn observation_space(&self) -> Space {
        Space::unit(&[PLANES, SIZE, SIZE])
    }

    fn action_space(&self) -> Space {
        Space::discrete(3)
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        if let Some(seed) = seed {
            self.rng = Pcg64::new(seed);
        }
        let left = self.rng.below(2) == 0;
        *self = Breakout {
            ball: [3, if left { 0 } else { SIZE - 1 }],
            right: left,
            rng: self.rng.clone(),
            ..Breakout::new()
        };
        self.before = self.ball;
        // The ball begins below the bricks.
        self.bricks[2][self.ball[1]] = false;
        Ok(self.observation())
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        self.action_space().check_action("Breakout", action)?;
        let right = [0, -1, 1][action.as_discrete().unwrap_or(0)];
        [_, self.paddle] = grid::neighbour([SIZE, SIZE], [0, self.paddle], [0, right]);
        let mut reward = 0.0;
        if !self.over {
            self.before = self.ball;
            let mut next = self.advance();
            if self.breaks(next) {
                // The ball turns where it broke a brick and goes on from where it was.
                reward = 1.0;
                self.down = !self.down;
                next[0] = self.ball[0];
            } else if next[0] == SIZE - 1 {
                if self.bricks.iter().flatten().all(|brick| !brick) {
                    self.bricks = [[true; SIZE]; 3];
                }
                if self.paddle == next[1] {
                    // The edge of the paddle sends it back where it came from.
                    self.down = false;
                    next[0] = self.ball[0];
                } else if self.paddle == self.ball[1] {
                    self.down = false;
                    self.right = !self.right;
                    next = self.ball;
                } else {
                    self.over = true;
                }
            }
            self.ball = next;
        }
        Ok(Step {
            observation: self.observation(),
            reward,
            terminated: self.over,
            truncated: false,
        })
    }

    fn render(&self) -> Frame {
        grid::cells(SIZE, SIZE, 24, |row, column| {
            let place = [row, column];
            if place == [SIZE - 1, self.paddle] {
                [90, 200, 120]
            } else if place == self.ball {
                [250, 220, 90]
            } else if BRICKS.contains(&row) && self.bricks[row - BRICKS.start][column] {
                [[220, 90, 80], [220, 140, 70], [200, 180, 80]][row - BRICKS.start]
            } else if place == self.before {
                [110, 100, 60]
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

    /// Who stands where the ball will land never loses it, and breaks all bricks in time.
    #[test]
    fn a_player_who_sees_ahead_breaks_every_brick() {
        for seed in 0..4 {
            let mut env = Breakout::new();
            let first = env.reset(Some(seed)).unwrap();
            assert!(env.observation_space().contains(&first));
            let mut broken = 0.0;
            for _ in 0..3000 {
                // Looks ahead with the paddle out of the way: where does the ball come to the last row?
                let mut ghost = env.clone();
                while !ghost.over && ghost.ball[0] < SIZE - 1 {
                    ghost.paddle = if ghost.ball[1] < SIZE / 2 { SIZE - 1 } else { 0 };
                    ghost.step(&0.into()).unwrap();
                }
                let target = ghost.ball[1];
                let action = match env.paddle.cmp(&target) {
                    std::cmp::Ordering::Less => 2,
                    std::cmp::Ordering::Greater => 1,
                    std::cmp::Ordering::Equal => 0,
                };
                let step = env.step(&action.into()).unwrap();
                broken += step.reward;
                assert!(!step.terminated, "lost after {broken} bricks");
                assert!(env.observation_space().contains(&step.observation));
            }
            // All bricks but those that a ball on a fixed course never meets are broken.
            assert!(broken >= 20.0, "{broken} bricks");
        }
    }

    #[test]
    fn a_ball_that_passes_the_paddle_ends_the_episode() {
        let mut env = Breakout::new();
        env.reset(Some(0)).unwrap();
        let steps = (1..100).find(|_| {
            env.paddle = 0;
            env.ball[1] = env.ball[1].max(2);
            env.step(&0.into()).unwrap().terminated
        });
        assert!(steps.is_some());
        assert!(env.step(&0.into()).unwrap().terminated);
    }
}
