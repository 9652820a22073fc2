//! Pendulum: a torque that is too weak to lift it has to swing it up and hold it there.

use std::f64::consts::{PI, TAU};

use flambeau_tensor::Result;
use serde::{Deserialize, Serialize};

use crate::env::fields_are_the_state;
use crate::render::Frame;
use crate::{Env, Pcg64, Space, Step, Value};

const MAX_SPEED: f64 = 8.0;
const MAX_TORQUE: f32 = 2.0;
/// Seconds between two steps.
const DT: f64 = 0.05;
const GRAVITY: f64 = 10.0;

/// `Pendulum-v1` without its limit of 200 steps.
///
/// Observation: cosine and sine of the angle from upright, and the angular velocity. Action: a torque in `[-2, 2]`. The
/// reward is minus the squares of the angle, of a tenth of the velocity and of a thousandth of the torque.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pendulum {
    angle: f64,
    velocity: f64,
    torque: f32,
    rng: Pcg64,
}

impl Pendulum {
    /// One whose episodes begin with seed 0 until they are seeded.
    pub fn new() -> Pendulum {
        Pendulum {
            angle: PI,
            velocity: 0.0,
            torque: 0.0,
            rng: Pcg64::new(0),
        }
    }

    fn observation(&self) -> Value {
        let numbers = [self.angle.cos(), self.angle.sin(), self.velocity];
        Value::Box(numbers.map(|x| x as f32).to_vec())
    }
}

impl Default for Pendulum {
    fn default() -> Self {
        Pendulum::new()
    }
}

impl Env for Pendulum {
    fn observation_space(&self) -> Space {
        let high = [1.0, 1.0, MAX_SPEED as f32];
        Space::bounded(&high.map(|x| -x), &high)
    }

    fn action_space(&self) -> Space {
        Space::bounded(&[-MAX_TORQUE], &[MAX_TORQUE])
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        if let Some(seed) = seed {
            self.rng = Pcg64::new(seed);
        }
        self.angle = self.rng.uniform(-PI, PI);
        self.velocity = self.rng.uniform(-1.0, 1.0);
        self.torque = 0.0;
        Ok(self.observation())
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        self.action_space().check_action("Pendulum", action)?;
        let torque = action
            .as_box()
            .and_then(|x| x.first())
            .copied()
            .unwrap_or_default();
        self.torque = torque.clamp(-MAX_TORQUE, MAX_TORQUE);
        let from_upright = (self.angle + PI).rem_euclid(TAU) - PI;
        let cost = from_upright.powi(2)
            + 0.1 * self.velocity.powi(2)
            + f64::from(0.001 * (self.torque * self.torque));
        let change = 3.0 * GRAVITY / 2.0 * self.angle.sin() + f64::from(3.0 * self.torque);
        self.velocity = (self.velocity + change * DT).clamp(-MAX_SPEED, MAX_SPEED);
        self.angle += self.velocity * DT;
        Ok(Step {
            observation: self.observation(),
            reward: -cost,
            terminated: false,
            truncated: false,
        })
    }

    fn render(&self) -> Frame {
        let mut frame = Frame::new(500, 500, [255; 3]);
        let scale = 500.0 / 4.4;
        let pivot = (250.0, 250.0);
        let end = (
            pivot.0 - self.angle.sin() * scale,
            pivot.1 - self.angle.cos() * scale,
        );
        frame.line(pivot, end, 0.2 * scale, [204, 77, 77]);
        // The torque: an arc around the pivot, as long as it is strong, with a head where it pushes to.
        let reach = f64::from(self.torque / MAX_TORQUE) * 0.75 * PI;
        let on_arc = |share: f64, radius: f64| {
            let angle = share * reach;
            (
                pivot.0 - radius * scale * angle.sin(),
                pivot.1 - radius * scale * angle.cos(),
            )
        };
        for i in 0..24 {
            let share = |i: i32| f64::from(i) / 24.0;
            frame.line(
                on_arc(share(i), 0.4),
                on_arc(share(i + 1), 0.4),
                3.0,
                [60, 60, 60],
            );
        }
        frame.circle(on_arc(1.0, 0.4), 6.0, [60, 60, 60]);
        frame.circle(pivot, 0.05 * scale, [0; 3]);
        frame
    }

    fields_are_the_state!();
}
