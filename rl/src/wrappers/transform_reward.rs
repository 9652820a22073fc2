//! `TransformReward`: rewards through a function.

use flambeau_tensor::Result;

use super::pass_on;
use crate::{Env, Step, Value};

/// Passes every reward through a function (`gymnasium.wrappers.TransformReward`; `ClipReward` with `|r| r.clamp(-1.0, 1.0)`).
#[derive(Debug)]
pub struct TransformReward<E, F> {
    env: E,
    function: F,
    own: (),
}

impl<E: Env, F: FnMut(f64) -> f64 + Send> TransformReward<E, F> {
    /// The environment with other rewards.
    pub fn new(env: E, function: F) -> TransformReward<E, F> {
        TransformReward {
            env,
            function,
            own: (),
        }
    }
}

impl<E: Env, F: FnMut(f64) -> f64 + Send> Env for TransformReward<E, F> {
    pass_on!(observation_space, action_space, render, state);

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        self.env.reset(seed)
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        let mut step = self.env.step(action)?;
        step.reward = (self.function)(step.reward);
        Ok(step)
    }
}
