//! `TimeLimit`: episodes are broken off after so many steps.

use flambeau_tensor::{Result, ensure};

use super::pass_on;
use crate::{Env, Step, Value};

/// Breaks an episode off, as truncated, after so many steps (`gymnasium.wrappers.TimeLimit`).
#[derive(Debug)]
pub struct TimeLimit<E> {
    env: E,
    max_episode_steps: usize,
    /// The steps of the present episode.
    own: usize,
}

impl<E: Env> TimeLimit<E> {
    /// The environment with a limit.
    ///
    /// # Errors
    /// `Value` if the limit is 0.
    pub fn new(env: E, max_episode_steps: usize) -> Result<TimeLimit<E>> {
        ensure!(
            max_episode_steps > 0,
            Value,
            "TimeLimit: expected at least 1 step, got 0"
        );
        Ok(TimeLimit {
            env,
            max_episode_steps,
            own: 0,
        })
    }
}

impl<E: Env> Env for TimeLimit<E> {
    pass_on!(observation_space, action_space, render, state);

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        self.own = 0;
        self.env.reset(seed)
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        let mut step = self.env.step(action)?;
        self.own += 1;
        step.truncated |= self.own >= self.max_episode_steps;
        Ok(step)
    }
}
