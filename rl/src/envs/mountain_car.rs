//! Mountain car: an engine that is too weak for the hill has to swing up (Moore, *Efficient memory-based learning for robot
//! control*, 1990), with three actions or with a force.

use flambeau_tensor::Result;
use serde::{Deserialize, Serialize};

use crate::env::fields_are_the_state;
use crate::render::Frame;
use crate::{Env, Pcg64, Space, Step, Value};

const MIN_POSITION: f64 = -1.2;
const MAX_POSITION: f64 = 0.6;
const MAX_SPEED: f64 = 0.07;
const GRAVITY: f64 = 0.0025;

fn observation_space() -> Space {
    let (speed, bounds) = (MAX_SPEED as f32, [MIN_POSITION as f32, MAX_POSITION as f32]);
    Space::bounded(&[bounds[0], -speed], &[bounds[1], speed])
}

/// `MountainCar-v0` without its limit of 200 steps.
///
/// Observation: position and velocity. Actions: 0 accelerates to the left, 2 to the right, 1 not at all. Each step costs
/// 1; the episode ends on top of the hill, at 0.5.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MountainCar {
    position: f64,
    velocity: f64,
    rng: Pcg64,
}

impl MountainCar {
    /// One whose episodes begin with seed 0 until they are seeded.
    pub fn new() -> MountainCar {
        MountainCar {
            position: -0.5,
            velocity: 0.0,
            rng: Pcg64::new(0),
        }
    }

    fn observation(&self) -> Value {
        Value::Box(vec![self.position as f32, self.velocity as f32])
    }
}

impl Default for MountainCar {
    fn default() -> Self {
        MountainCar::new()
    }
}

impl Env for MountainCar {
    fn observation_space(&self) -> Space {
        observation_space()
    }

    fn action_space(&self) -> Space {
        Space::discrete(3)
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        if let Some(seed) = seed {
            self.rng = Pcg64::new(seed);
        }
        (self.position, self.velocity) = (self.rng.uniform(-0.6, -0.4), 0.0);
        Ok(self.observation())
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        self.action_space().check_action("MountainCar", action)?;
        let push = action.as_discrete().unwrap_or(1) as f64 - 1.0;
        let velocity = self.velocity + (push * 0.001 - (3.0 * self.position).cos() * GRAVITY);
        self.velocity = velocity.clamp(-MAX_SPEED, MAX_SPEED);
        self.position = (self.position + self.velocity).clamp(MIN_POSITION, MAX_POSITION);
        if self.position == MIN_POSITION && self.velocity < 0.0 {
            self.velocity = 0.0;
        }
        Ok(Step {
            observation: self.observation(),
            reward: -1.0,
            terminated: self.position >= 0.5 && self.velocity >= 0.0,
            truncated: false,
        })
    }

    fn render(&self) -> Frame {
        draw(self.position, 0.5)
    }

    fields_are_the_state!();
}

/// `MountainCarContinuous-v0` without its limit of 999 steps.
///
/// Observation: position and velocity. Action: a force in `[-1, 1]`, whose square costs 0.1; the top of the hill, at
/// 0.45, gives 100 and ends the episode.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MountainCarContinuous {
    position: f64,
    velocity: f64,
    /// Whether the state has been rounded to `float32`, as Gymnasium does in each step.
    rounded: bool,
    rng: Pcg64,
}

impl MountainCarContinuous {
    /// One whose episodes begin with seed 0 until they are seeded.
    pub fn new() -> MountainCarContinuous {
        MountainCarContinuous {
            position: -0.5,
            velocity: 0.0,
            rounded: false,
            rng: Pcg64::new(0),
        }
    }

    fn observation(&self) -> Value {
        Value::Box(vec![self.position as f32, self.velocity as f32])
    }
}

impl Default for MountainCarContinuous {
    fn default() -> Self {
        MountainCarContinuous::new()
    }
}

impl Env for MountainCarContinuous {
    fn observation_space(&self) -> Space {
        observation_space()
    }

    fn action_space(&self) -> Space {
        Space::bounded(&[-1.0], &[1.0])
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        if let Some(seed) = seed {
            self.rng = Pcg64::new(seed);
        }
        (self.position, self.velocity) = (self.rng.uniform(-0.6, -0.4), 0.0);
        self.rounded = false;
        Ok(self.observation())
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        self.action_space()
            .check_action("MountainCarContinuous", action)?;
        let action = action
            .as_box()
            .and_then(|x| x.first())
            .copied()
            .unwrap_or_default();
        // Gymnasium's state is `float64` in an episode's first step and `float32` from then on.
        let rounded = self.rounded;
        let round = move |x: f64| if rounded { f64::from(x as f32) } else { x };
        let slope = GRAVITY * round(3.0 * self.position).cos();
        let force = if action.abs() > 1.0 {
            round(f64::from(action.signum()) * 0.0015 - slope)
        } else {
            f64::from(action * 0.0015 - slope as f32)
        };
        let mut velocity = round(self.velocity + force);
        if velocity.abs() > round(MAX_SPEED) {
            velocity = round(velocity.signum() * MAX_SPEED);
        }
        let position = round(self.position + velocity).clamp(round(MIN_POSITION), round(MAX_POSITION));
        if position == round(MIN_POSITION) && velocity < 0.0 {
            velocity = 0.0;
        }
        let terminated = position >= round(0.45) && velocity >= 0.0;
        self.position = f64::from(position as f32);
        self.velocity = f64::from(velocity as f32);
        self.rounded = true;
        Ok(Step {
            observation: self.observation(),
            reward: if terminated { 100.0 } else { 0.0 } - f64::from(action).powi(2) * 0.1,
            terminated,
            truncated: false,
        })
    }

    fn render(&self) -> Frame {
        draw(self.position, 0.45)
    }

    fields_are_the_state!();
}

fn draw(position: f64, goal: f64) -> Frame {
    let mut frame = Frame::new(600, 400, [255; 3]);
    let scale = 600.0 / (MAX_POSITION - MIN_POSITION);
    let height = |x: f64| (3.0 * x).sin() * 0.45 + 0.55;
    let point = |x: f64| ((x - MIN_POSITION) * scale, 400.0 - height(x) * scale);
    let xs = |i: i32| MIN_POSITION + f64::from(i) * (MAX_POSITION - MIN_POSITION) / 100.0;
    for i in 0..100 {
        frame.line(point(xs(i)), point(xs(i + 1)), 1.0, [0; 3]);
    }
    let flag = point(goal);
    let top = flag.1 - 50.0;
    frame.line(flag, (flag.0, top), 1.0, [0; 3]);
    frame.polygon(
        &[(flag.0, top), (flag.0, top + 10.0), (flag.0 + 25.0, top + 5.0)],
        [204, 204, 0],
    );
    let (x, y) = point(position);
    let (sin, cos) = (3.0 * position).cos().sin_cos();
    // A point of the car: along the hill, and up from it.
    let place = |along: f64, up: f64| (x + along * cos - up * sin, y - 10.0 - (along * sin + up * cos));
    frame.polygon(
        &[
            place(-20.0, 0.0),
            place(-20.0, 20.0),
            place(20.0, 20.0),
            place(20.0, 0.0),
        ],
        [0; 3],
    );
    for along in [-10.0, 10.0] {
        frame.circle(place(along, 0.0), 8.0, [128; 3]);
    }
    frame
}
