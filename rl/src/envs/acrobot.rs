//! Acrobot: two links that hang from a hinge, of which only the joint between them is driven, have to swing up.
//!
//! Sutton, *Generalization in reinforcement learning: successful examples using sparse coarse coding* (1996); the equations
//! of motion are those of Sutton & Barto's book.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use flambeau_tensor::Result;
use serde::{Deserialize, Serialize};

use crate::env::fields_are_the_state;
use crate::render::Frame;
use crate::{Env, Pcg64, Space, Step, Value};

/// Seconds between two steps.
const DT: f64 = 0.2;
const GRAVITY: f64 = 9.8;
/// Where a link's mass is; its length, its mass and its moment of inertia are 1.
const CENTRE: f64 = 0.5;
const MAX_SPINS: [f64; 2] = [4.0 * PI, 9.0 * PI];

/// `Acrobot-v1` without its limit of 500 steps.
///
/// Observation: cosine and sine of both angles, and both angular velocities. Actions: a torque of −1, 0 or 1 at the joint.
/// Each step costs 1 until the end reaches the height of one link above the hinge.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Acrobot {
    /// The angle of the first link from hanging, that of the second from the first's direction, and their velocities.
    state: [f64; 4],
    rng: Pcg64,
}

impl Acrobot {
    /// One whose episodes begin with seed 0 until they are seeded.
    pub fn new() -> Acrobot {
        Acrobot {
            state: [0.0; 4],
            rng: Pcg64::new(0),
        }
    }

    fn observation(&self) -> Value {
        let [a, b, u, v] = self.state;
        let numbers = [a.cos(), a.sin(), b.cos(), b.sin(), u, v];
        Value::Box(numbers.map(|x| x as f32).to_vec())
    }
}

impl Default for Acrobot {
    fn default() -> Self {
        Acrobot::new()
    }
}

/// How the state changes under a torque.
fn derivatives([a, b, u, v]: [f64; 4], torque: f64) -> [f64; 4] {
    let (sin, cos) = b.sin_cos();
    let d1 = CENTRE * CENTRE + (1.0 + CENTRE * CENTRE + 2.0 * CENTRE * cos) + 2.0;
    let d2 = CENTRE * CENTRE + CENTRE * cos + 1.0;
    let phi2 = CENTRE * GRAVITY * (a + b - FRAC_PI_2).cos();
    let phi1 = -CENTRE * (v * v) * sin - 2.0 * CENTRE * v * u * sin
        + (CENTRE + 1.0) * GRAVITY * (a - FRAC_PI_2).cos()
        + phi2;
    let spin2 =
        (torque + d2 / d1 * phi1 - CENTRE * (u * u) * sin - phi2) / (CENTRE * CENTRE + 1.0 - d2 * d2 / d1);
    [u, v, -(d2 * spin2 + phi1) / d1, spin2]
}

/// One step of the classical method of Runge and Kutta.
fn runge_kutta(state: [f64; 4], torque: f64) -> [f64; 4] {
    let moved = |slope: [f64; 4], dt: f64| -> [f64; 4] { std::array::from_fn(|i| state[i] + dt * slope[i]) };
    let k1 = derivatives(state, torque);
    let k2 = derivatives(moved(k1, DT / 2.0), torque);
    let k3 = derivatives(moved(k2, DT / 2.0), torque);
    let k4 = derivatives(moved(k3, DT), torque);
    std::array::from_fn(|i| state[i] + DT / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]))
}

fn wrapped(mut angle: f64) -> f64 {
    while angle > PI {
        angle -= TAU;
    }
    while angle < -PI {
        angle += TAU;
    }
    angle
}

impl Env for Acrobot {
    fn observation_space(&self) -> Space {
        let high = [1.0, 1.0, 1.0, 1.0, MAX_SPINS[0] as f32, MAX_SPINS[1] as f32];
        Space::bounded(&high.map(|x| -x), &high)
    }

    fn action_space(&self) -> Space {
        Space::discrete(3)
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        if let Some(seed) = seed {
            self.rng = Pcg64::new(seed);
        }
        // Gymnasium begins with numbers of `float32`.
        self.state = [(); 4].map(|()| f64::from(self.rng.uniform(-0.1, 0.1) as f32));
        Ok(self.observation())
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        self.action_space().check_action("Acrobot", action)?;
        let torque = action.as_discrete().unwrap_or(1) as f64 - 1.0;
        let [a, b, u, v] = runge_kutta(self.state, torque);
        self.state = [
            wrapped(a),
            wrapped(b),
            u.clamp(-MAX_SPINS[0], MAX_SPINS[0]),
            v.clamp(-MAX_SPINS[1], MAX_SPINS[1]),
        ];
        let [a, b, ..] = self.state;
        let terminated = -a.cos() - (b + a).cos() > 1.0;
        Ok(Step {
            observation: self.observation(),
            reward: if terminated { 0.0 } else { -1.0 },
            terminated,
            truncated: false,
        })
    }

    fn render(&self) -> Frame {
        let mut frame = Frame::new(500, 500, [255; 3]);
        let scale = 500.0 / 4.4;
        let height = 250.0 - scale;
        frame.line((0.0, height), (500.0, height), 1.0, [0; 3]);
        let hinge = (250.0, 250.0);
        let end = |from: (f64, f64), angle: f64| (from.0 + angle.sin() * scale, from.1 + angle.cos() * scale);
        let joint = end(hinge, self.state[0]);
        let tip = end(joint, self.state[0] + self.state[1]);
        for (from, to) in [(hinge, joint), (joint, tip)] {
            frame.line(from, to, 0.2 * scale, [0, 204, 204]);
            frame.circle(from, 0.1 * scale, [204, 204, 0]);
        }
        frame
    }

    fields_are_the_state!();
}
