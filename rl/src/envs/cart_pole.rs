//! CartPole: a pole stands on a cart that is pushed to the left or to the right.
//!
//! Barto, Sutton & Anderson, *Neuronlike adaptive elements that can solve difficult learning control problems* (1983).

use flambeau_tensor::Result;
use serde::{Deserialize, Serialize};

use crate::env::fields_are_the_state;
use crate::render::Frame;
use crate::{Env, Pcg64, Space, Step, Value};

const GRAVITY: f64 = 9.8;
const POLE_MASS: f64 = 0.1;
const TOTAL_MASS: f64 = 1.0 + POLE_MASS;
/// Half of the pole's length.
const LENGTH: f64 = 0.5;
const FORCE: f64 = 10.0;
/// Seconds between two steps.
const TAU: f64 = 0.02;
const MAX_POSITION: f64 = 2.4;
const MAX_ANGLE: f64 = 12.0 * std::f64::consts::TAU / 360.0;

/// `CartPole-v1` without its limit of 500 steps.
///
/// Observation: position, velocity, angle, angular velocity. Actions: 0 pushes to the left, 1 to the right. Each step
/// gives 1; the episode ends when the pole leans by more than 12° or the cart is 2.4 from the middle.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CartPole {
    /// Position, velocity, angle, angular velocity.
    state: [f64; 4],
    fallen: bool,
    rng: Pcg64,
}

impl CartPole {
    /// One whose episodes begin with seed 0 until they are seeded.
    pub fn new() -> CartPole {
        CartPole {
            state: [0.0; 4],
            fallen: false,
            rng: Pcg64::new(0),
        }
    }

    fn observation(&self) -> Value {
        Value::Box(self.state.map(|x| x as f32).to_vec())
    }
}

impl Default for CartPole {
    fn default() -> Self {
        CartPole::new()
    }
}

impl Env for CartPole {
    fn observation_space(&self) -> Space {
        let inf = f32::INFINITY;
        let high = [2.0 * MAX_POSITION as f32, inf, 2.0 * MAX_ANGLE as f32, inf];
        Space::bounded(&high.map(|x| -x), &high)
    }

    fn action_space(&self) -> Space {
        Space::discrete(2)
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        if let Some(seed) = seed {
            self.rng = Pcg64::new(seed);
        }
        self.state = [(); 4].map(|()| self.rng.uniform(-0.05, 0.05));
        self.fallen = false;
        Ok(self.observation())
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        self.action_space().check_action("CartPole", action)?;
        let force = if *action == Value::Discrete(1) {
            FORCE
        } else {
            -FORCE
        };
        let [x, v, angle, spin] = self.state;
        let (sin, cos) = angle.sin_cos();
        let pushed = (force + POLE_MASS * LENGTH * (spin * spin) * sin) / TOTAL_MASS;
        let spin_change =
            (GRAVITY * sin - cos * pushed) / (LENGTH * (4.0 / 3.0 - POLE_MASS * (cos * cos) / TOTAL_MASS));
        let v_change = pushed - POLE_MASS * LENGTH * spin_change * cos / TOTAL_MASS;
        self.state = [
            x + TAU * v,
            v + TAU * v_change,
            angle + TAU * spin,
            spin + TAU * spin_change,
        ];
        let terminated = self.state[0].abs() > MAX_POSITION || self.state[2].abs() > MAX_ANGLE;
        // Who steps on after the end is given nothing.
        let reward = if terminated && self.fallen { 0.0 } else { 1.0 };
        self.fallen |= terminated;
        Ok(Step {
            observation: self.observation(),
            reward,
            terminated,
            truncated: false,
        })
    }

    fn render(&self) -> Frame {
        let mut frame = Frame::new(600, 400, [255; 3]);
        let scale = 600.0 / (2.0 * MAX_POSITION);
        let (x, track) = (300.0 + self.state[0] * scale, 300.0);
        frame.line((0.0, track), (600.0, track), 1.0, [0; 3]);
        frame.rectangle(x - 25.0, track - 15.0, 50.0, 30.0, [0; 3]);
        let axle = (x, track - 7.5);
        let (sin, cos) = self.state[2].sin_cos();
        let length = 2.0 * LENGTH * scale;
        frame.line(
            axle,
            (axle.0 + sin * length, axle.1 - cos * length),
            10.0,
            [202, 152, 101],
        );
        frame.circle(axle, 5.0, [129, 132, 203]);
        frame
    }

    fields_are_the_state!();
}
