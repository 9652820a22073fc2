//! `RescaleAction`: actions between other bounds.

use flambeau_tensor::{Result, bail, ensure};

use super::pass_on;
use crate::{Env, Space, Step, Value};

/// Maps actions from `[min, max]` to the bounds of the environment (`gymnasium.wrappers.RescaleAction`).
#[derive(Debug)]
pub struct RescaleAction<E> {
    env: E,
    min: f32,
    max: f32,
    low: Vec<f32>,
    high: Vec<f32>,
    own: (),
}

impl<E: Env> RescaleAction<E> {
    /// The environment with actions in `[min, max]`.
    ///
    /// # Errors
    /// `Value` unless `min < max` and the environment's actions are arrays with finite bounds.
    pub fn new(env: E, min: f32, max: f32) -> Result<RescaleAction<E>> {
        ensure!(
            min < max,
            Value,
            "RescaleAction: expected min < max, got {min} and {max}"
        );
        match env.action_space() {
            Space::Box { low, high, .. } if low.iter().chain(&high).all(|x| x.is_finite()) => {
                Ok(RescaleAction {
                    env,
                    min,
                    max,
                    low,
                    high,
                    own: (),
                })
            }
            space => bail!(
                Value,
                "RescaleAction: expected a Box with finite bounds, got {space}"
            ),
        }
    }
}

impl<E: Env> Env for RescaleAction<E> {
    pass_on!(observation_space, render, state);

    fn action_space(&self) -> Space {
        Space::bounded(&vec![self.min; self.low.len()], &vec![self.max; self.low.len()])
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        self.env.reset(seed)
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        self.action_space().check_action("RescaleAction", action)?;
        let bounds = self.low.iter().zip(&self.high);
        let rescaled = action.as_box().unwrap_or_default().iter().zip(bounds);
        let rescaled = rescaled.map(|(x, (low, high))| {
            low + (high - low) * (x.clamp(self.min, self.max) - self.min) / (self.max - self.min)
        });
        self.env.step(&Value::Box(rescaled.collect()))
    }
}
